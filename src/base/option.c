#include "base/option.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/mem.h"

enum { FILE_MAX = 1 << 20, SHOWN_MAX = 80 };

struct slot {
    char *text; /* owned; NULL: not set */
    int64_t number;
    enum option_origin from;
    char *where; /* owned; NULL: the table's default */
};

struct option_set {
    const struct option *table;
    struct slot *slots; /* owned; one a row */
};

/* Where a value comes from, for messages and for the slot. */
struct source {
    enum option_origin from;
    const char *where;
};

static struct slot *slot_of(const struct option_set *s, const char *name, const struct option **row)
{
    for (size_t i = 0; s->table[i].name; i++) {
        if (str_eq(s->table[i].name, name)) {
            *row = &s->table[i];
            return &s->slots[i];
        }
    }
    return NULL;
}

/* ---- values ---- */

/* "max-jobs: 'x' (from SCANPOD_MAX_JOBS) <why>"; a secret value is not shown. */
static int refuse(const struct option *row, const char *value, const char *where, const char *why,
                  struct err *e)
{
    auto_buf shown = {.cap = SHOWN_MAX};

    if (row->secret) {
        buf_adds(&shown, "the value");
    } else {
        buf_addc(&shown, '\'');
        buf_add_escaped(&shown, value, MIN(strlen(value), (size_t)SHOWN_MAX / 4));
        buf_adds(&shown, strlen(value) > SHOWN_MAX / 4 ? "...'" : "'");
    }
    return err_set(e, ERR_INVALID, "%s: %s (from %s) %s", row->name, shown.data, where, why);
}

static bool bool_of(const char *value, int64_t *out)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcasecmp(value, words[i]) == 0) {
            *out = (int64_t)(i & 1);
            return true;
        }
    }
    return false;
}

/* The word of "a|b|c" that equals value but for case; NULL if none. The caller frees. */
static char *enum_of(const char *values, const char *value)
{
    for (const char *p = values;; p++) {
        size_t n = strcspn(p, "|");

        if (n == strlen(value) && strncasecmp(p, value, n) == 0) {
            return xstrndup(p, n);
        }
        p += n;
        if (!*p) {
            return NULL;
        }
    }
}

static bool has_control(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            return true;
        }
    }
    return false;
}

/* Checks a value that is not empty. On success *text is its canonical spelling (caller frees). */
static int value_check(const struct option *row, const char *value, const char *where, char **text,
                       int64_t *number, struct err *e)
{
    auto_free char *why = NULL;

    switch (row->type) {
    case OPT_STR:
        if (has_control(value)) {
            return refuse(row, value, where, "contains a control character", e);
        }
        break;
    case OPT_INT:
        if (!str_to_i64(value, row->min, row->max, number)) {
            why = str_fmt("is not a whole number from %" PRId64 " to %" PRId64, row->min, row->max);
            return refuse(row, value, where, why, e);
        }
        break;
    case OPT_BOOL:
        if (!bool_of(value, number)) {
            return refuse(row, value, where, "is not one of true, false, yes, no, on, off, 1, 0",
                          e);
        }
        *text = xstrdup(*number ? "true" : "false");
        return 0;
    case OPT_ENUM:
        *text = enum_of(row->values, value);
        if (!*text) {
            why = str_fmt("is not one of %s", row->values);
            return refuse(row, value, where, why, e);
        }
        return 0;
    }
    *text = xstrdup(value);
    return 0;
}

static int slot_put(struct slot *slot, const struct option *row, const char *value,
                    const struct source *src, struct err *e)
{
    auto_free char *text = NULL;
    int64_t number = 0;

    if (*value) {
        int rc = value_check(row, value, src->where, &text, &number, e);

        if (rc < 0) {
            return rc;
        }
    } else if (row->type != OPT_STR || row->def) {
        return refuse(row, value, src->where, "is empty", e);
    }
    if (src->from < slot->from) {
        return 0;
    }
    if (slot->text && row->secret) {
        secure_zero(slot->text, strlen(slot->text));
    }
    free(slot->text);
    free(slot->where);
    *slot = (struct slot){
        .text = take_ptr(&text), .number = number, .from = src->from, .where = xstrdup(src->where)};
    return 0;
}

/* ---- the set ---- */

struct option_set *option_set_new(const struct option *table)
{
    struct option_set *s = xcalloc(1, sizeof *s);
    size_t n = 0;

    while (table[n].name) {
        n++;
    }
    s->table = table;
    s->slots = xcalloc(n ? n : 1, sizeof *s->slots);
    for (size_t i = 0; i < n; i++) {
        if (table[i].def) {
            int rc = value_check(&table[i], table[i].def, "default", &s->slots[i].text,
                                 &s->slots[i].number, NULL);

            assert(rc == 0);
            (void)rc;
        }
    }
    return s;
}

void option_set_free(struct option_set *s)
{
    if (!s) {
        return;
    }
    for (size_t i = 0; s->table[i].name; i++) {
        if (s->slots[i].text && s->table[i].secret) {
            secure_zero(s->slots[i].text, strlen(s->slots[i].text));
        }
        free(s->slots[i].text);
        free(s->slots[i].where);
    }
    free(s->slots);
    free(s);
}

int option_put(struct option_set *s, const char *name, const char *value, enum option_origin from,
               const char *where, struct err *e)
{
    const struct option *row;
    struct slot *slot = slot_of(s, name, &row);

    if (!slot) {
        return err_set(e, ERR_NOT_FOUND, "there is no setting '%s' (from %s)", name, where);
    }
    return slot_put(slot, row, value, &(struct source){from, where}, e);
}

int option_read_env(struct option_set *s, struct err *e)
{
    for (size_t i = 0; s->table[i].name; i++) {
        const struct option *row = &s->table[i];
        const char *const names[] = {row->env, row->env2};

        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            const char *value = names[k] ? getenv(names[k]) : NULL;
            int rc;

            if (!value || !*value) {
                continue;
            }
            rc = slot_put(&s->slots[i], row, value, &(struct source){FROM_ENV, names[k]}, e);
            if (rc < 0) {
                return rc;
            }
            break;
        }
    }
    return 0;
}

/* ---- files ---- */

static int file_read(const char *path, bool dotenv, struct buf *out, struct err *e)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        return err_errno(e, "read '%s'", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(e, dotenv ? ERR_NOT_FOUND : ERR_INVALID, "'%s' is not a regular file", path);
    }
    if (dotenv && st.st_uid != geteuid() && st.st_uid != 0) {
        return err_set(e, ERR_DENIED, "'%s' belongs to another user (uid %u): not read", path,
                       (unsigned)st.st_uid);
    }
    out->cap = FILE_MAX;
    for (;;) {
        char part[4096];
        ssize_t n = read(fd, part, sizeof part);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_errno(e, "read '%s'", path);
        }
        if (n == 0) {
            break;
        }
        buf_add(out, part, (size_t)n);
        if (out->over) {
            return err_set(e, ERR_LIMIT, "'%s' is larger than %d bytes", path, FILE_MAX);
        }
    }
    if (out->len && memchr(out->data, '\0', out->len)) {
        return err_set(e, ERR_INVALID, "'%s' contains a NUL byte", path);
    }
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static char *skip_blanks(char *p)
{
    while (is_blank(*p)) {
        p++;
    }
    return p;
}

/*
 * The value at p, unquoted in place and terminated. Unquoted text ends before " #"; in double
 * quotes a backslash keeps `"` and `\` as they are. NULL if a quote is not closed or text follows
 * it.
 */
static char *value_unquote(char *p)
{
    char quote = *p;
    char *to = p;
    char *in = p + 1;

    if (quote != '"' && quote != '\'') {
        char *end = p;

        for (char *c = p; *c && !(*c == '#' && (c == p || is_blank(c[-1]))); c++) {
            if (!is_blank(*c)) {
                end = c + 1;
            }
        }
        *end = '\0';
        return p;
    }
    while (*in && *in != quote) {
        if (*in == '\\' && quote == '"' && (in[1] == '"' || in[1] == '\\')) {
            in++;
        }
        *to++ = *in++;
    }
    if (!*in) {
        return NULL;
    }
    in = skip_blanks(in + 1);
    if (*in && *in != '#') {
        return NULL;
    }
    *to = '\0';
    return p;
}

/* Splits "[export] KEY = VALUE" in place. *key is NULL for blank lines and comments. */
static bool line_split(char *line, char **key, char **value)
{
    char *p = skip_blanks(line);
    char *end;

    *key = NULL;
    if (!*p || *p == '#') {
        return true;
    }
    if (str_starts(p, "export") && is_blank(p[strlen("export")])) {
        p = skip_blanks(p + strlen("export"));
    }
    end = p + strcspn(p, "= \t\r");
    *value = skip_blanks(end);
    if (end == p || **value != '=') {
        return false;
    }
    *value = value_unquote(skip_blanks(*value + 1));
    *end = '\0';
    *key = p;
    return *value != NULL;
}

static const struct option *row_by_env(const struct option *table, const char *key)
{
    for (; table->name; table++) {
        if (table->dotenv && str_eq(table->env, key)) {
            return table;
        }
    }
    return NULL;
}

static int key_unknown(const struct option *table, const char *key, const char *where,
                       struct err *e)
{
    const char *near = NULL;
    unsigned best = 3; /* a distance of more is another word */

    for (; table->name; table++) {
        unsigned d = str_distance(key, table->name);

        if (d < best) {
            best = d;
            near = table->name;
        }
    }
    if (near) {
        return err_set(e, ERR_INVALID, "%s: there is no setting '%.64s'; did you mean '%s'?", where,
                       key, near);
    }
    return err_set(e, ERR_INVALID, "%s: there is no setting '%.64s'", where, key);
}

static int line_put(struct option_set *s, char *line, bool dotenv, const char *where, struct err *e)
{
    const struct option *row = NULL;
    char *key, *value;
    bool good = line_split(line, &key, &value);
    struct slot *slot;

    if (good && !key) {
        return 0;
    }
    if (dotenv) {
        row = key ? row_by_env(s->table, key) : NULL;
        if (!row) {
            return 0; /* another program's line, in a syntax that is its own business */
        }
    }
    if (!good) {
        return err_set(e, ERR_INVALID, "%s: expected NAME = VALUE", where);
    }
    slot = slot_of(s, row ? row->name : key, &row);
    if (!slot) {
        return key_unknown(s->table, key, where, e);
    }
    if (!*value) {
        return 0;
    }
    return slot_put(slot, row, value, &(struct source){FROM_FILE, where}, e);
}

int option_read_file(struct option_set *s, const char *path, bool dotenv, struct err *e)
{
    auto_buf text = {0};
    int rc = file_read(path, dotenv, &text, e);
    char *line = text.data;

    if (rc < 0 || !line) {
        goto out;
    }
    if (str_starts(line, "\xef\xbb\xbf")) {
        line += 3;
    }
    for (unsigned n = 1; line && rc == 0; n++) {
        auto_free char *where = str_fmt("%s:%u", path, n);
        char *next = strchr(line, '\n');

        if (next) {
            *next++ = '\0';
        }
        rc = line_put(s, line, dotenv, where, e);
        line = next;
    }
out:
    if (text.data) {
        secure_zero(text.data, text.len); /* a key may be in it */
    }
    return rc;
}

/* ---- reading ---- */

const char *option_str(const struct option_set *s, const char *name)
{
    const struct option *row;
    const struct slot *slot = slot_of(s, name, &row);

    assert(slot);
    return slot->text;
}

int64_t option_int(const struct option_set *s, const char *name)
{
    const struct option *row;
    const struct slot *slot = slot_of(s, name, &row);

    assert(slot && slot->text && row->type == OPT_INT);
    return slot->number;
}

bool option_bool(const struct option_set *s, const char *name)
{
    const struct option *row;
    const struct slot *slot = slot_of(s, name, &row);

    assert(slot && row->type == OPT_BOOL);
    return slot->number != 0;
}

bool option_is_set(const struct option_set *s, const char *name)
{
    return option_str(s, name) != NULL;
}

enum option_origin option_from(const struct option_set *s, const char *name, const char **where)
{
    const struct option *row;
    const struct slot *slot = slot_of(s, name, &row);

    assert(slot);
    if (where) {
        *where = slot->where ? slot->where : "default";
    }
    return slot->from;
}
