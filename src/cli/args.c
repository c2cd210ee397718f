#include "cli/args.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { TYPO_MAX = 2 };

static const struct flag *find_long(const struct flag *const *tables, const char *name, size_t n)
{
    for (; *tables; tables++) {
        for (const struct flag *f = *tables; f->name; f++) {
            if (strncmp(f->name, name, n) == 0 && f->name[n] == '\0') {
                return f;
            }
        }
    }
    return NULL;
}

static const struct flag *find_letter(const struct flag *const *tables, char letter)
{
    for (; *tables; tables++) {
        for (const struct flag *f = *tables; f->name; f++) {
            if (f->letter == letter) {
                return f;
            }
        }
    }
    return NULL;
}

static int unknown(const struct flag *const *tables, const char *name, size_t n, struct err *e)
{
    auto_free char *given = xstrndup(name, n);
    const char *best = NULL;
    unsigned least = TYPO_MAX + 1;

    for (; *tables; tables++) {
        for (const struct flag *f = *tables; f->name; f++) {
            unsigned d = str_distance(given, f->name);

            if (d < least) {
                least = d;
                best = f->name;
            }
        }
    }
    if (best) {
        return err_set(e, ERR_INVALID, "unknown option '--%s'; did you mean '--%s'?", given, best);
    }
    return err_set(e, ERR_INVALID, "unknown option '--%s'", given);
}

static void put(struct args *a, const struct flag *f, const char *value)
{
    a->set = xrealloc(a->set, (a->n_set + 1) * sizeof *a->set);
    a->set[a->n_set++] = (struct arg){.flag = f, .value = value};
}

static void put_operand(struct args *a, const char *s)
{
    a->operands = xrealloc(a->operands, (a->n + 1) * sizeof *a->operands);
    a->operands[a->n++] = s;
}

/* The cursor over argv. */
struct reader {
    struct args *a;
    const struct flag *const *tables;
    int argc, i;
    const char *const *argv;
};

static int read_long(struct reader *r, struct err *e)
{
    const char *name = r->argv[r->i] + 2;
    size_t n = strcspn(name, "=");
    const char *value = name[n] == '=' ? name + n + 1 : NULL;
    const struct flag *f = find_long(r->tables, name, n);

    if (!f) {
        return unknown(r->tables, name, n, e);
    }
    if (!f->value && value) {
        return err_set(e, ERR_INVALID, "option '--%s' takes no value", f->name);
    }
    if (f->value && !value && f->optional) {
        value = "true";
    } else if (f->value && !value) {
        if (r->i + 1 >= r->argc) {
            return err_set(e, ERR_INVALID, "option '--%s' needs a value: %s", f->name, f->value);
        }
        value = r->argv[++r->i];
    }
    put(r->a, f, value);
    return 0;
}

static int read_letters(struct reader *r, struct err *e)
{
    for (const char *p = r->argv[r->i] + 1; *p; p++) {
        const struct flag *f = find_letter(r->tables, *p);

        if (!f) {
            return err_set(e, ERR_INVALID, "unknown option '-%c'", *p);
        }
        if (!f->value) {
            put(r->a, f, NULL);
            continue;
        }
        if (p[1]) {
            put(r->a, f, p + 1);
            return 0;
        }
        if (r->i + 1 >= r->argc) {
            return err_set(e, ERR_INVALID, "option '-%c' needs a value: %s", *p, f->value);
        }
        put(r->a, f, r->argv[++r->i]);
        return 0;
    }
    return 0;
}

int args_read(struct args *a, const struct flag *const *tables, int argc, const char *const *argv,
              bool first_only, int *used, struct err *e)
{
    struct reader r = {.a = a, .tables = tables, .argc = argc, .argv = argv};

    for (; r.i < argc; r.i++) {
        const char *s = argv[r.i];
        int rc = 0;

        if (s[0] != '-' || s[1] == '\0') {
            if (first_only) {
                break;
            }
            put_operand(a, s);
        } else if (strcmp(s, "--") == 0) {
            for (r.i++; r.i < argc; r.i++) {
                put_operand(a, argv[r.i]);
            }
            break;
        } else {
            rc = s[1] == '-' ? read_long(&r, e) : read_letters(&r, e);
        }
        if (rc != 0) {
            return rc;
        }
    }
    if (used) {
        *used = r.i;
    }
    return 0;
}

void args_done(struct args *a)
{
    free(a->set);
    free(a->operands);
    *a = (struct args){0};
}

const char *args_value(const struct args *a, const char *name)
{
    for (size_t i = a->n_set; i > 0; i--) {
        if (strcmp(a->set[i - 1].flag->name, name) == 0) {
            return a->set[i - 1].value ? a->set[i - 1].value : "true";
        }
    }
    return NULL;
}

bool args_has(const struct args *a, const char *name)
{
    return args_value(a, name) != NULL;
}
