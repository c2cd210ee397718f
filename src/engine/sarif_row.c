/*
 * Reads declarations of engines: a file of an operator, or the JSON that sarif_engines_json() made
 * of them, which is YAML as well.
 */
#include "engine/sarif_row.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "policy/node.h"

enum { ROWS_MAX = 16, FILE_MAX = 1 << 20, LIST_MAX = 256, TEXT_MAX = 4096, NAME_MAX_ = 31 };

const struct sarif_language sarif_languages[] = {
    {"any", LANG_ANY},       {"c", LANG_C},         {"c++", LANG_CXX},
    {"python", LANG_PYTHON}, {"shell", LANG_SHELL}, {NULL, 0},
};

struct reading {
    const char *name; /* of the file */
    struct sarif_engines *all;
    struct sarif_engine *row;
    bool to_file, ok_said; /* what the row says of itself so far */
};

/* ---- values ---- */

static int text_of(const struct reading *r, const struct node *v, const char *what, char **out,
                   struct err *e)
{
    if (v->kind != NODE_TEXT || !*v->text || strlen(v->text) > TEXT_MAX) {
        return node_wrong(r->name, v, e, "'%s' must be text of 1 to %d characters", what, TEXT_MAX);
    }
    free(*out);
    *out = xstrdup(v->text);
    return 0;
}

static int list_of(const struct reading *r, const struct node *v, const char *what,
                   struct strvec *out, struct err *e)
{
    if (v->kind != NODE_LIST || v->n > LIST_MAX) {
        return node_wrong(r->name, v, e, "'%s' must be a list of at most %d items ([a, b])", what,
                          LIST_MAX);
    }
    for (size_t i = 0; i < v->n; i++) {
        const struct node *item = &v->item[i];

        if (item->kind != NODE_TEXT || strlen(item->text) > TEXT_MAX) {
            return node_wrong(r->name, item, e, "an item of '%s' must be text", what);
        }
        strvec_push(out, item->text);
    }
    return 0;
}

static int absolute(const struct reading *r, const struct node *v, const char *path,
                    const char *what, struct err *e)
{
    const char *p = path;

    if (*p != '/') {
        return node_wrong(r->name, v, e, "%s must be an absolute path (/usr/local/bin/...)", what);
    }
    for (; (p = strstr(p, "..")); p += 2) {
        if (p[-1] == '/' && (p[2] == '/' || p[2] == 0)) {
            return node_wrong(r->name, v, e, "%s must not go through '..'", what);
        }
    }
    return 0;
}

/* ---- members ---- */

static int row_name(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    int rc = text_of(r, v, "name", &r->row->name, e);
    const char *name = r->row->name;

    if (rc < 0) {
        return rc;
    }
    if (strlen(name) > NAME_MAX_ || name[0] < 'a' || name[0] > 'z' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name)) {
        return node_wrong(r->name, v, e,
                          "'name' must be 1 to %d of a-z, 0-9 and '-', beginning with a letter",
                          NAME_MAX_);
    }
    if (engine_find(name) || str_eq(name, "rules") || str_eq(name, "claude")) {
        return node_wrong(r->name, v, e, "'%s' is a built-in engine; give yours another name",
                          name);
    }
    for (size_t i = 0; i < r->all->n; i++) {
        if (r->all->v[i] != r->row && str_eq(r->all->v[i]->name, name)) {
            return node_wrong(r->name, v, e, "there are two engines of the name '%s'", name);
        }
    }
    return 0;
}

static int row_summary(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return text_of(r, v, "summary", &r->row->summary, e);
}

static int row_program(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    int rc = text_of(r, v, "program", &r->row->program, e);

    return rc ? rc : absolute(r, v, r->row->program, "'program'", e);
}

/* Words in braces are known; anything else in braces is a slip. */
static int check_argument(const struct reading *r, const struct node *v, struct err *e)
{
    static const char *const known[] = {"{tree}", "{output}", "{list}", "{files}"};

    for (const char *p = v->text; (p = strchr(p, '{')); p++) {
        size_t n = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz");
        bool ok = false;

        if (n == 0 || p[1 + n] != '}') {
            continue;
        }
        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            ok = ok || (strlen(known[i]) == n + 2 && strncmp(p, known[i], n + 2) == 0);
        }
        if (!ok) {
            return node_wrong(r->name, v, e,
                              "'%.*s' is not known; there are {tree}, {files}, {list}, {output}",
                              (int)n + 2, p);
        }
        if (strncmp(p, "{files}", 7) == 0 && strcmp(v->text, "{files}") != 0) {
            return node_wrong(r->name, v, e, "{files} must be an argument of its own");
        }
    }
    return 0;
}

static int row_arguments(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    int rc = list_of(r, v, "arguments", &r->row->arguments, e);

    for (size_t i = 0; rc == 0 && i < v->n; i++) {
        const char *text = v->item[i].text;

        rc = check_argument(r, &v->item[i], e);
        r->row->wants_files = r->row->wants_files || strcmp(text, "{files}") == 0;
        r->row->wants_list = r->row->wants_list || strstr(text, "{list}") != NULL;
    }
    return rc;
}

static int row_output(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    r->to_file = v->kind == NODE_TEXT && str_eq(v->text, "file");
    if (!r->to_file && !(v->kind == NODE_TEXT && str_eq(v->text, "stdout"))) {
        return node_wrong(r->name, v, e, "'output' must be stdout or file");
    }
    return 0;
}

static int row_ok_exit(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    auto_strvec list = {0};
    int rc = list_of(r, v, "ok_exit", &list, e);

    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        uint64_t n;

        if (!str_to_u64(list.v[i], 0, 255, &n)) {
            return node_wrong(r->name, &v->item[i], e, "a status must be a number from 0 to 255");
        }
        r->row->ok_exit[n / 32] |= UINT32_C(1) << n % 32;
    }
    if (rc == 0 && list.n == 0) {
        return node_wrong(r->name, v, e, "'ok_exit' must name at least one status");
    }
    r->ok_said = true;
    return rc;
}

static int row_languages(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    auto_strvec list = {0};
    int rc = list_of(r, v, "languages", &list, e);

    r->row->languages = 0;
    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        const struct sarif_language *l = sarif_languages;

        while (l->name && strcmp(l->name, list.v[i]) != 0) {
            l++;
        }
        if (!l->name) {
            return node_wrong(r->name, &v->item[i], e,
                              "a language must be any, c, c++, python or shell");
        }
        r->row->languages |= l->bit;
    }
    if (rc == 0 && r->row->languages == 0) {
        return node_wrong(r->name, v, e, "'languages' must name at least one, or any");
    }
    return rc;
}

static int row_paths(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    int rc = list_of(r, v, "paths", &r->row->paths, e);

    for (size_t i = 0; rc == 0 && i < v->n; i++) {
        const char *path = v->item[i].text;

        rc = absolute(r, &v->item[i], path, "a path", e);
        if (rc == 0 && path[strspn(path, "/")] == 0) {
            return node_wrong(r->name, &v->item[i], e, "all of the machine cannot be shown");
        }
    }
    return rc;
}

static int row_env(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    if (v->kind != NODE_MAP || v->n > LIST_MAX) {
        return node_wrong(r->name, v, e, "'env' must be a mapping ({NAME: value})");
    }
    for (size_t i = 0; i < v->n; i++) {
        const struct node *key = &v->item[2 * i], *value = &v->item[2 * i + 1];

        if (key->kind != NODE_TEXT || value->kind != NODE_TEXT || !*key->text ||
            strlen(key->text) > 128 || (key->text[0] >= '0' && key->text[0] <= '9') ||
            strspn(key->text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") !=
                strlen(key->text)) {
            return node_wrong(r->name, key, e,
                              "'env' must have names of letters, digits and '_', "
                              "with text behind them");
        }
        strvec_pushf(&r->row->env, "%s=%s", key->text, value->text);
    }
    return 0;
}

/* "0.6", ".6", "1" */
static bool hundredths(const char *s, int32_t *out)
{
    char *end;
    double d = strtod(s, &end);

    if (*end || end == s || strspn(s, "0123456789.") != strlen(s) || !(d > 0 && d <= 1)) {
        return false;
    }
    *out = (int32_t)(d * 100 + 0.5);
    return *out > 0;
}

static int row_confidence(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    if (v->kind != NODE_TEXT || !hundredths(v->text, &r->row->confidence_x100)) {
        return node_wrong(r->name, v, e, "'confidence' must be a number from 0.01 to 1");
    }
    return 0;
}

static int row_default(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    r->row->by_default = v->kind == NODE_TEXT && str_eq(v->text, "true");
    if (!r->row->by_default && !(v->kind == NODE_TEXT && str_eq(v->text, "false"))) {
        return node_wrong(r->name, v, e, "'default' must be true or false");
    }
    return 0;
}

static int row_limits(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    if (v->kind != NODE_MAP) {
        return node_wrong(r->name, v, e, "'limits' must be a mapping ({wall_s: 600})");
    }
    for (size_t i = 0; i < v->n; i++) {
        const struct node *key = &v->item[2 * i], *value = &v->item[2 * i + 1];
        const struct limit_row *l = limit_rows;
        uint64_t n;

        while (key->kind == NODE_TEXT && l->name && strcmp(l->name, key->text) != 0) {
            l++;
        }
        if (key->kind != NODE_TEXT || !l->name) {
            return node_wrong(r->name, key, e,
                              "there is no such limit; the usual ones are wall_s, "
                              "memory_mb, output_mb and processes");
        }
        if (value->kind != NODE_TEXT || !str_to_u64(value->text, l->min, l->max, &n)) {
            return node_wrong(r->name, value, e, "'%s' must be a number from %u to %u", l->name,
                              l->min, l->max);
        }
        *limit_at(&r->row->limits, l) = (uint32_t)n;
    }
    return 0;
}

/* ---- a row ---- */

/* It is seen inside, wherever it is. */
static void show_program(struct sarif_engine *row)
{
    static const char *const shown[] = {"/usr/", "/bin/", "/lib/", "/sbin/"};

    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        if (str_starts(row->program, shown[i])) {
            return;
        }
    }
    for (size_t i = 0; i < row->paths.n; i++) {
        size_t n = strlen(row->paths.v[i]);

        if (strncmp(row->program, row->paths.v[i], n) == 0 &&
            (row->program[n] == '/' || row->program[n] == 0)) {
            return;
        }
    }
    strvec_push(&row->paths, row->program);
}

static int check_row(const struct reading *r, const struct node *n, struct err *e)
{
    struct sarif_engine *row = r->row;
    bool named = false;

    for (size_t i = 0; i < row->arguments.n; i++) {
        named = named || strstr(row->arguments.v[i], "{output}");
    }
    if (r->to_file != named) {
        return node_wrong(r->name, n, e, "%s",
                          named ? "{output} needs 'output: file'"
                                : "'output: file' needs {output} in 'arguments'");
    }
    if (r->to_file) {
        row->output = str_fmt("/tmp/%s.sarif", row->name);
    }
    if (!r->ok_said) {
        row->ok_exit[0] = 1;
    }
    show_program(row);
    sarif_engine_finish(row);
    return 0;
}

static int read_row(struct reading *r, const struct node *n, struct err *e)
{
    static const struct node_field fields[] = {
        {"name", row_name, true},
        {"summary", row_summary, false},
        {"program", row_program, true},
        {"arguments", row_arguments, true},
        {"output", row_output, false},
        {"ok_exit", row_ok_exit, false},
        {"languages", row_languages, false},
        {"paths", row_paths, false},
        {"env", row_env, false},
        {"confidence", row_confidence, false},
        {"default", row_default, false},
        {"limits", row_limits, false},
        {NULL, NULL, false},
    };
    int rc;

    if (r->all->n == ROWS_MAX) {
        return node_wrong(r->name, n, e, "there are more than %d engines", ROWS_MAX);
    }
    r->row = xcalloc(1, sizeof *r->row);
    r->row->languages = LANG_ANY;
    r->to_file = r->ok_said = false;
    r->all->v = xrealloc(r->all->v, (r->all->n + 1) * sizeof(struct sarif_engine *));
    r->all->v[r->all->n++] = r->row;
    rc = node_map(r->name, n, "an engine", fields, r, e);
    return rc ? rc : check_row(r, n, e);
}

/* ---- the file ---- */

static int read_version(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    if (v->kind != NODE_TEXT || !str_eq(v->text, "1")) {
        return node_wrong(r->name, v, e, "'version' must be 1");
    }
    return 0;
}

static int read_engines(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    int rc = 0;

    if (v->kind != NODE_LIST) {
        return node_wrong(r->name, v, e, "'engines' must be a list of mappings ('- name: ...')");
    }
    for (size_t i = 0; rc == 0 && i < v->n; i++) {
        rc = read_row(r, &v->item[i], e);
    }
    return rc;
}

static int read_text(const char *text, size_t n, const char *name, struct sarif_engines **out,
                     struct err *e)
{
    static const struct node_field fields[] = {
        {"version", read_version, true}, {"engines", read_engines, true}, {NULL, NULL, false}};
    struct reading r = {.name = name, .all = xcalloc(1, sizeof *r.all)};
    struct node root = {0};
    int rc = node_parse(text, n, name, &root, e);

    if (rc == 0) {
        rc = node_map(name, &root, "the file", fields, &r, e);
        node_done(&root);
    }
    if (rc < 0) {
        sarif_engines_free(r.all);
        return rc;
    }
    *out = r.all;
    return 0;
}

int sarif_engines_read(const char *json, struct sarif_engines **out, struct err *e)
{
    return read_text(json, strlen(json), "declared engines", out, e);
}

/* Whoever can write it decides which programs we start. */
static int check_file(const char *path, const struct stat *st, struct err *e)
{
    if (!S_ISREG(st->st_mode)) {
        return err_set(e, ERR_INVALID, "'%s' is not a file", path);
    }
    if ((st->st_uid != 0 && st->st_uid != geteuid()) || (st->st_mode & 022)) {
        return err_set(e, ERR_INVALID,
                       "'%s' names programs to be run, and others can write it: chown root '%s' "
                       "and chmod go-w '%s'",
                       path, path, path);
    }
    return 0;
}

int sarif_engines_load(const char *path, struct sarif_engines **out, struct err *e)
{
    auto_buf text = {.cap = FILE_MAX};
    auto_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    struct stat st;
    ssize_t n;
    int rc;

    if (!path) {
        *out = NULL;
        return 0;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        return err_errno(e, "open the file of engines '%s'", path);
    }
    rc = check_file(path, &st, e);
    if (rc < 0) {
        return rc;
    }
    do {
        char chunk[8192];

        n = read(fd, chunk, sizeof chunk);
        buf_add(&text, chunk, n > 0 ? (size_t)n : 0);
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (n < 0) {
        return err_errno(e, "read the file of engines '%s'", path);
    }
    if (text.over) {
        return err_set(e, ERR_INVALID, "'%s' is larger than 1 MiB", path);
    }
    return read_text(text.data ? text.data : "", text.len, path, out, e);
}
