#include "engine/sarif.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/hit.h"
#include "engine/sarif_row.h"
#include "parse/sarif.h"

/* ---- what it is told ---- */

static void put_replaced(struct strvec *argv, const char *argument, const char *const names[][2])
{
    auto_buf b = {0};

    while (*argument) {
        size_t used = 0;

        for (size_t i = 0; names[i][0] && !used; i++) {
            if (str_starts(argument, names[i][0])) {
                used = strlen(names[i][0]);
                buf_adds(&b, names[i][1]);
            }
        }
        if (!used) {
            buf_addc(&b, *argument);
            used = 1;
        }
        argument += used;
    }
    strvec_pushn(argv, b.data ? b.data : "", b.len);
}

static int declared_argv(const struct engine_ask *a, struct strvec *argv, struct err *e)
{
    const struct sarif_engine *row = a->declared;
    const char *const names[][2] = {
        {"{tree}", ENGINE_TREE},
        {"{output}", row && row->output ? row->output : ""},
        {"{list}", a->list_file ? a->list_file : ""},
        {NULL, NULL},
    };

    if (!row || (row->wants_list && !a->list_file)) {
        return err_set(e, ERR_INTERNAL, "a declared engine is not told what it is to do");
    }
    strvec_push(argv, a->program);
    for (size_t i = 0; i < row->arguments.n; i++) {
        if (strcmp(row->arguments.v[i], "{files}") != 0) {
            put_replaced(argv, row->arguments.v[i], names);
            continue;
        }
        for (size_t k = 0; k < a->n_files; k++) {
            hit_push_path(argv, a->files[k].path);
        }
    }
    return 0;
}

/* ---- what it says ---- */

static int check_end(const struct sarif_engine *row, const struct engine_end *end,
                     struct engine_notes *notes, struct err *e)
{
    struct engine_end known = *end;

    /* hit_end() knows statuses below 32 only. */
    if (end->exit_status >= 0 && end->exit_status < 256 &&
        (row->ok_exit[end->exit_status / 32] >> end->exit_status % 32 & 1)) {
        known.exit_status = 0;
    } else if (end->exit_status == 0) {
        return hit_failure(notes, e, "%s ended with status 0, which is not in its ok_exit",
                           row->name);
    }
    return hit_end(&known, row->name, 1, notes, e);
}

static int declared_read(const struct engine_end *end, finding_fn fn, void *arg,
                         struct engine_notes *notes, struct err *e)
{
    const struct sarif_engine *row = end->declared;
    struct sarif_log log;
    struct err why = {0};
    int rc, said;

    if (!row) {
        return err_set(e, ERR_INTERNAL, "output of a declared engine without its row");
    }
    rc = check_end(row, end, notes, e);
    if (rc < 0) {
        return rc;
    }
    said = sarif_log_read(end->out, end->n_out, ENGINE_TREE, &log, &why);
    for (size_t i = 0; rc == 0 && i < log.n; i++) {
        struct finding *f = &log.v[i];

        f->engines[0].name = row->name;
        if (row->confidence_x100 > 0) {
            f->confidence_x100 = row->confidence_x100;
            f->engines[0].confidence_x100 = row->confidence_x100;
        }
        rc = fn(arg, f, e);
    }
    sarif_log_done(&log);
    return rc ? rc : said ? hit_failure(notes, e, "%s's SARIF: %s", row->name, why.msg) : 0;
}

/* ---- rows ---- */

_Static_assert(offsetof(struct sarif_engine, engine) == 0, "a row begins with its engine");

const struct sarif_engine *sarif_engine_of(const struct engine *en)
{
    return en && en->read == declared_read ? (const void *)en : NULL;
}

void sarif_engine_finish(struct sarif_engine *row)
{
    struct limits usual = {.wall_s = 600, .memory_mb = 2048, .output_mb = 256, .processes = 128};
    struct limits l = row->limits;

    for (const struct limit_row *r = limit_rows; r->name; r++) {
        if (*limit_at(&l, r) == 0) {
            *limit_at(&l, r) = *limit_at(&usual, r);
        }
    }
    row->engine = (struct engine){
        .tool = {.name = row->name,
                 .summary = row->summary ? row->summary : "declared by the configuration",
                 .program = row->program,
                 .limits = l,
                 .files = 1024},
        .languages = row->languages,
        .family = row->name,
        .on_demand = !row->by_default,
        .chunk = row->wants_files ? 200 : 0,
        .env = (const char *const *)row->env.v,
        .output = row->output,
        .build_argv = declared_argv,
        .read = declared_read,
    };
}

void sarif_engines_free(struct sarif_engines *s)
{
    for (size_t i = 0; s && i < s->n; i++) {
        struct sarif_engine *row = s->v[i];

        strvec_done(&row->arguments);
        strvec_done(&row->paths);
        strvec_done(&row->env);
        free(row->name);
        free(row->summary);
        free(row->program);
        free(row->output);
        free(row);
    }
    if (s) {
        free(s->v);
        free(s);
    }
}

size_t sarif_engines_count(const struct sarif_engines *s)
{
    return s ? s->n : 0;
}

const struct engine *sarif_engines_at(const struct sarif_engines *s, size_t i)
{
    return &s->v[i]->engine;
}

const struct engine *sarif_engines_find(const struct sarif_engines *s, const char *name)
{
    for (size_t i = 0; s && i < s->n; i++) {
        if (str_eq(s->v[i]->name, name)) {
            return &s->v[i]->engine;
        }
    }
    return NULL;
}

const char *const *sarif_engine_paths(const struct engine *en)
{
    static const char *const none[] = {NULL};
    const struct sarif_engine *row = sarif_engine_of(en);

    return row && row->paths.n ? (const char *const *)row->paths.v : none;
}

/* ---- on their way into the box ---- */

static void put_list(struct json *j, const char *key, const struct strvec *v)
{
    json_arr_in(j, key);
    for (size_t i = 0; i < v->n; i++) {
        json_str(j, NULL, v->v[i]);
    }
    json_end(j);
}

static void put_env(struct json *j, const struct strvec *env)
{
    json_obj_in(j, "env");
    for (size_t i = 0; i < env->n; i++) {
        const char *equals = strchr(env->v[i], '=');
        auto_free char *name = xstrndup(env->v[i], (size_t)(equals - env->v[i]));

        json_str(j, name, equals + 1);
    }
    json_end(j);
}

static void put_row(struct json *j, const struct sarif_engine *row)
{
    struct limits limits = row->limits;

    json_obj(j);
    json_str(j, "name", row->name);
    if (row->summary) {
        json_str(j, "summary", row->summary);
    }
    json_str(j, "program", row->program);
    put_list(j, "arguments", &row->arguments);
    json_str(j, "output", row->output ? "file" : "stdout");
    json_arr_in(j, "ok_exit");
    for (int i = 0; i < 256; i++) {
        if (row->ok_exit[i / 32] >> i % 32 & 1) {
            json_int(j, NULL, i);
        }
    }
    json_end(j);
    json_arr_in(j, "languages");
    for (size_t i = 0; sarif_languages[i].name; i++) {
        if ((row->languages & sarif_languages[i].bit) == sarif_languages[i].bit) {
            json_str(j, NULL, sarif_languages[i].name);
        }
    }
    json_end(j);
    put_list(j, "paths", &row->paths);
    put_env(j, &row->env);
    if (row->confidence_x100) {
        json_num(j, "confidence", row->confidence_x100 / 100.0, 2);
    }
    json_bool(j, "default", row->by_default);
    json_obj_in(j, "limits");
    for (const struct limit_row *r = limit_rows; r->name; r++) {
        uint32_t n = *limit_at(&limits, r);

        if (n) {
            json_int(j, r->name, n);
        }
    }
    json_end(j);
    json_end(j);
}

void sarif_engines_json(const struct sarif_engines *s, struct json *j, const char *key)
{
    if (key) {
        json_obj_in(j, key);
    } else {
        json_obj(j);
    }
    json_int(j, "version", 1);
    json_arr_in(j, "engines");
    for (size_t i = 0; s && i < s->n; i++) {
        put_row(j, s->v[i]);
    }
    json_end(j);
    json_end(j);
}
