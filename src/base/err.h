/*
 * err - what went wrong, in one value that a person can read.
 *
 * A function that can fail returns 0 or a negative ERR_* and takes a `struct err *`
 * last. It fills the err only on failure. The err may be NULL: then only the code
 * is told. No allocation; long messages are cut at a character boundary.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

enum {
    ERR_OK = 0,
    ERR_INVALID = -1,   /* the request is wrong; the message names the field or token */
    ERR_NOT_FOUND = -2, /* no such thing */
    ERR_CONFLICT = -3,  /* the thing is in a state that forbids this */
    ERR_FENCED = -4,    /* the caller's lease is not the current one */
    ERR_LIMIT = -5,     /* a size, depth or count cap was reached */
    ERR_BUSY = -6,      /* full for now: the caller may try again later */
    ERR_DENIED = -7,    /* not signed in, or not allowed */
    ERR_TOOL = -8,      /* the scanner failed */
    ERR_SANDBOX = -9,   /* the box could not be built */
    ERR_IO = -10,       /* the operating system refused */
    ERR_FULL = -11,     /* no space left on the device */
    ERR_INTERNAL = -12, /* our own fault */
    ERR_SCOPE = -13,    /* the policy forbids it; the message has the rule and the fix */
};

struct err {
    int code;
    char msg[512];
};

/* Both return `code` (or the code that fits errno), so that callers write `return err_set(...)`. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_setv(struct err *e, int code, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
/* Appends ": strerror(errno)". ENOSPC, EDQUOT -> ERR_FULL; ENOENT -> ERR_NOT_FOUND; else ERR_IO. */
int err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts "context: " before the message and keeps the code, which it returns. */
int err_prefix(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* One table maps codes to names, HTTP statuses and exit statuses (docs/cli.md lists the latter). */
const char *err_name(int code);
int err_http_status(int code);
int err_exit_status(int code);
