/* secret_priv - how secrets lie in memory. Private to secret/. */
#pragma once

#include <stdint.h>

#include "secret/secret.h"

enum {
    SECRET_NAME_MAX = 63,
    FORM_MIN = 8, /* bytes: what is shorter is found everywhere */
};

/* A way in which a secret may be written, itself first. */
struct secret_form {
    uint32_t secret;
    size_t at, n; /* in mem */
};

struct secret_row {
    char name[SECRET_NAME_MAX + 1];
    size_t at, n; /* in mem, with a NUL behind it */
    uint32_t form, n_forms;
};

struct secrets {
    struct secret_row *v; /* owned; by name */
    size_t n;
    struct secret_form *forms; /* owned */
    size_t n_forms;
    char *mem; /* a mapping of its own: values, then their forms */
    size_t used, size;
    size_t values;  /* how much of it are values */
    uint32_t *head; /* owned; chains of forms by the hash of their middle; form + 1, 0: end */
    uint32_t *next; /* owned */
    unsigned shift;
};

/* Room for n more bytes; they stay where they are once everything is loaded. */
char *secrets_space(struct secrets *s, size_t n);
/* ERR_LIMIT, ERR_INVALID. A name that is there already is left as it is. `what` names the source.
 */
int secrets_add(struct secrets *s, const char *name, const char *p, size_t n, const char *what,
                struct err *e);
/* source.c. Every file of a directory; those with other names are skipped if `any`. */
int secrets_from_dir(struct secrets *s, const char *dir, bool any, struct err *e);
int secrets_from_environment(struct secrets *s, struct err *e);
/* forms.c: those of row i, appended to forms. */
void secrets_add_forms(struct secrets *s, size_t i);
/* redact.c */
void secrets_index(struct secrets *s);
