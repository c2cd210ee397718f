/*
 * args - flags and operands of one command line, read by tables.
 *
 * "--name value", "--name=value", "-n value", "-nvalue"; switches may be joined ("-qh"). Flags and
 * operands may be mixed; "--" ends the flags. Of a flag given twice the last one counts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct flag {
    const char *name;  /* without dashes */
    const char *value; /* what stands for its value in the help; NULL: a switch */
    const char *help;
    char letter;   /* 0: none */
    bool optional; /* the value can be left out, and is then "true"; given only by '=' */
};

struct args {
    struct arg {
        const struct flag *flag;
        const char *value; /* NULL for a switch */
    } * set;               /* owned; what it points to is borrowed */
    size_t n_set;
    const char **operands; /* owned, as above */
    size_t n;
};

/*
 * Reads argv[0..argc) with the flags of `tables` (each ends with name NULL; `tables` ends with
 * NULL; earlier ones win) and adds to *a. Stops before the first operand if `first_only`, and
 * gives in *used how many were read (may be NULL). ERR_INVALID names the token, with a suggestion
 * for an unknown one.
 */
int args_read(struct args *a, const struct flag *const *tables, int argc, const char *const *argv,
              bool first_only, int *used, struct err *e);
void args_done(struct args *a);

/* The value of the last `name`; "true" for a switch; NULL if it was not given. */
const char *args_value(const struct args *a, const char *name);
bool args_has(const struct args *a, const char *name);
