/*
 * engine_rig - gives an engine the output of its program and keeps what it makes of it. Every
 * finding is checked on the way.
 */
#pragma once

#include <jansson.h>

#include "assess/classes.h"
#include "engine/engine.h"
#include "parse/finding_json.h"
#include "tap.h"

struct got {
    json_t *findings; /* owned; with `quote` */
    struct engine_notes notes;
    int rc;
    struct err err;
    size_t n, stop_at; /* stop_at: the n-th is refused; 0: none */
    bool blind;        /* only count */
};

static inline int got_finding(void *arg, const struct finding *f, struct err *e)
{
    struct got *g = arg;
    auto_buf b = {0};
    struct json j = json_to(&b);
    json_t *o;

    if (++g->n == g->stop_at) {
        return err_set(e, ERR_FULL, "no more, please");
    }
    CHECK_OK(finding_check(f, ERR));
    CHECK(weakness_find(f->rule));
    CHECK(f->n_engines == 1 && f->engines[0].rule && f->confidence_x100 > 0);
    CHECK_INT(f->engines[0].confidence_x100, f->confidence_x100);
    if (g->blind) {
        return 0;
    }
    finding_json(f, &j);
    o = json_loads(b.data, 0, NULL);
    CHECK(o);
    if (f->quote) {
        json_object_set_new(o, "quote", json_string(f->quote));
    }
    json_array_append_new(g->findings, o);
    return 0;
}

static inline void engine_got(const struct engine *en, const struct engine_end *end, struct got *g)
{
    /* A copy of its own, so that reading beyond its end is seen. */
    char *out = xmalloc(end->n_out + !end->n_out), *err = xmalloc(end->n_err + !end->n_err);
    struct engine_end copy = *end;

    memcpy(out, end->out, end->n_out);
    memcpy(err, end->err, end->n_err);
    copy.out = out;
    copy.err = err;
    g->findings = json_array();
    g->rc = en->read(&copy, got_finding, g, &g->notes, &g->err);
    free(out);
    free(err);
    CHECK(g->rc == 0 || g->err.msg[0]);
    CHECK(g->rc != ERR_TOOL || g->notes.why);
}

static inline void engine_got_text(const struct engine *en, const char *text, int status,
                                   struct got *g)
{
    const struct engine_end end = {
        .out = text, .n_out = strlen(text), .err = "", .exit_status = status};

    engine_got(en, &end, g);
}

static inline void engine_got_file(const struct engine *en, const char *name, int status,
                                   struct got *g)
{
    auto_free char *path = str_fmt("engines/%s", name);
    size_t n;
    auto_free char *text = test_data(path, &n);
    const struct engine_end end = {.out = text, .n_out = n, .err = "", .exit_status = status};

    engine_got(en, &end, g);
}

static inline void got_done(struct got *g)
{
    json_decref(g->findings);
    engine_notes_done(&g->notes);
    *g = (struct got){0};
}

static inline const char *member(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static inline int64_t count(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

/* The n-th (from 0) of this rule of the engine's at that path; NULL: there are not so many. */
static inline const json_t *got_at(const struct got *g, const char *rule, const char *path,
                                   size_t nth)
{
    size_t i;
    const json_t *o;

    json_array_foreach(g->findings, i, o)
    {
        const json_t *en = json_array_get(json_object_get(o, "engines"), 0);

        if (str_eq(member(en, "rule"), rule) && str_eq(member(o, "path"), path) && nth-- == 0) {
            return o;
        }
    }
    return NULL;
}

static inline const char *got_failed(const struct got *g, const char *path)
{
    size_t n = strlen(path);

    for (size_t i = 0; i < g->notes.failed.n; i++) {
        const char *s = g->notes.failed.v[i];

        if (strncmp(s, path, n) == 0 && s[n] == '\t') {
            return s + n + 1;
        }
    }
    return NULL;
}

/* Cut anywhere, an output is a failure, and what is whole before was handed out. */
static inline void cut_anywhere_is_a_failure(const struct engine *en, const char *name, int status,
                                             size_t least, size_t step)
{
    auto_free char *path = str_fmt("engines/%s", name);
    size_t n;
    auto_free char *text = test_data(path, &n);

    for (size_t cut = 0; cut < least; cut += step) {
        const struct engine_end end = {.out = text, .n_out = cut, .err = "", .exit_status = status};
        struct got g = {.blind = true};

        engine_got(en, &end, &g);
        if (g.rc != ERR_TOOL) {
            tap_fail(__FILE__, __LINE__, "%s cut at %zu of %zu: %d", name, cut, n, g.rc);
        }
        got_done(&g);
    }
}

/* No status but those is believed, no signal either, nor output that was cut. */
static inline void only_these_ends_are_believed(const struct engine *en, const char *name,
                                                uint32_t ok)
{
    auto_free char *path = str_fmt("engines/%s", name);
    size_t n;
    auto_free char *text = test_data(path, &n);

    for (int status = -1; status < 256; status++) {
        struct engine_end end = {
            .out = text, .n_out = n, .err = "x: bad\n", .n_err = 7, .exit_status = status};
        struct got g = {.blind = true};

        engine_got(en, &end, &g);
        if ((g.rc == 0) != (status >= 0 && status < 32 && (ok >> status & 1))) {
            tap_fail(__FILE__, __LINE__, "%s with status %d: %d: %s", name, status, g.rc,
                     g.err.msg);
        }
        got_done(&g);
        end.cut = true;
        engine_got(en, &end, &g);
        CHECK_INT(g.rc, ERR_TOOL);
        got_done(&g);
    }
    for (int signal = 1; signal < 32; signal++) {
        const struct engine_end end = {
            .out = text, .n_out = n, .err = "", .exit_status = -1, .exit_signal = signal};
        struct got g = {.blind = true};

        engine_got(en, &end, &g);
        CHECK_INT(g.rc, ERR_TOOL);
        CHECK(strstr(g.notes.why, "signal"));
        got_done(&g);
    }
}

/* argv with spaces between. */
static inline char *engine_argv(const struct engine *en, const struct engine_ask *ask)
{
    auto_strvec argv = {0};
    struct buf b = {0};

    CHECK_OK(en->build_argv(ask, &argv, ERR));
    for (size_t i = 0; i < argv.n; i++) {
        buf_addf(&b, "%s%s", i ? " " : "", argv.v[i]);
    }
    return buf_take(&b);
}
