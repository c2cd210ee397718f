/* The ways in which a secret may be written by a program that shows it. */
#include <string.h>

#include "base/mem.h"
#include "secret/secret_priv.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* What was put behind `at` becomes a form of row i, unless it is there already. */
static void keep(struct secrets *s, size_t i, size_t at)
{
    struct secret_row *row = &s->v[i];
    size_t n = s->used - at;

    for (size_t f = row->form; f < s->n_forms; f++) {
        if (s->forms[f].n == n && memcmp(s->mem + s->forms[f].at, s->mem + at, n) == 0) {
            secure_zero(s->mem + at, n);
            s->used = at;
            return;
        }
    }
    s->forms = xrealloc(s->forms, (s->n_forms + 1) * sizeof *s->forms);
    s->forms[s->n_forms++] = (struct secret_form){.secret = (uint32_t)i, .at = at, .n = n};
    row->n_forms++;
}

static void put(struct secrets *s, char c)
{
    *secrets_space(s, 1) = c;
}

static void put_hex(struct secrets *s, unsigned char c, const char *digits)
{
    put(s, digits[c >> 4]);
    put(s, digits[c & 15]);
}

static bool unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

static void add_url(struct secrets *s, size_t i, const char *digits)
{
    size_t at = s->used;

    for (size_t k = 0; k < s->v[i].n; k++) {
        unsigned char c = (unsigned char)s->mem[s->v[i].at + k];

        if (unreserved(c)) {
            put(s, (char)c);
        } else {
            put(s, '%');
            put_hex(s, c, digits);
        }
    }
    keep(s, i, at);
}

static void add_json(struct secrets *s, size_t i)
{
    static const char plain[] = "\"\\\b\f\n\r\t", escaped[] = "\"\\bfnrt";
    size_t at = s->used;

    for (size_t k = 0; k < s->v[i].n; k++) {
        unsigned char c = (unsigned char)s->mem[s->v[i].at + k];
        const char *special = strchr(plain, c);

        if (special) {
            put(s, '\\');
            put(s, escaped[special - plain]);
        } else if (c < ' ') {
            put(s, '\\');
            put(s, 'u');
            put(s, '0');
            put(s, '0');
            put_hex(s, c, "0123456789abcdef");
        } else {
            put(s, (char)c);
        }
    }
    keep(s, i, at);
}

/*
 * Behind `before` other bytes (modulo 3): the characters that depend on the secret alone. Of what
 * stands next to them on either side at most four bits are the secret's.
 */
static void add_base64(struct secrets *s, size_t i, unsigned before, const char *alphabet)
{
    size_t at = s->used, n = s->v[i].n;
    size_t from = (before * 8 + 5) / 6, to = (before + n) * 8 / 6;

    for (size_t c = from; c < to; c++) {
        unsigned bits = 0;

        for (size_t bit = c * 6; bit < c * 6 + 6; bit++) {
            unsigned char byte = (unsigned char)s->mem[s->v[i].at + bit / 8 - before];

            bits = bits << 1 | (byte >> (7 - bit % 8) & 1);
        }
        put(s, alphabet[bits]);
    }
    keep(s, i, at);
}

void secrets_add_forms(struct secrets *s, size_t i)
{
    struct secret_row *row = &s->v[i];
    size_t at = s->used;
    char *p;

    row->form = (uint32_t)s->n_forms;
    if (row->n < FORM_MIN) {
        return;
    }
    p = secrets_space(s, row->n); /* which may move all of it */
    memcpy(p, s->mem + row->at, row->n);
    keep(s, i, at);
    add_url(s, i, "0123456789ABCDEF");
    add_url(s, i, "0123456789abcdef");
    add_json(s, i);
    for (unsigned before = 0; before < 3; before++) {
        add_base64(s, i, before, standard);
        add_base64(s, i, before, url_safe);
    }
}
