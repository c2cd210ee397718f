#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int code;
    const char *name;
    int http;
    int exit;
} codes[] = {
    {ERR_OK, "ok", 200, 0},
    {ERR_INVALID, "invalid", 422, 2},
    {ERR_NOT_FOUND, "not-found", 404, 1},
    {ERR_CONFLICT, "conflict", 409, 1},
    {ERR_FENCED, "fenced", 409, 1},
    {ERR_LIMIT, "limit", 413, 2},
    {ERR_BUSY, "busy", 429, 5},
    {ERR_DENIED, "denied", 401, 4},
    {ERR_SCOPE, "out-of-scope", 403, 6},
    {ERR_TOOL, "tool-failed", 500, 3},
    {ERR_SANDBOX, "sandbox-failed", 500, 3},
    {ERR_IO, "io", 503, 5},
    {ERR_FULL, "disk-full", 507, 5},
    {ERR_INTERNAL, "internal", 500, 70},
};

static size_t code_row(int code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].code == code) {
            return i;
        }
    }
    return sizeof codes / sizeof codes[0] - 1;
}

const char *err_name(int code)
{
    return codes[code_row(code)].name;
}

int err_http_status(int code)
{
    return codes[code_row(code)].http;
}

int err_exit_status(int code)
{
    return codes[code_row(code)].exit;
}

/* A message that was cut must not end in half a UTF-8 character: it is shown and logged as text. */
static void trim_utf8(char *s)
{
    size_t n = strlen(s);
    size_t i = n;

    while (i > 0 && n - i < 4 && ((unsigned char)s[i - 1] & 0xc0) == 0x80) {
        i--;
    }
    if (i == 0) {
        return;
    }

    unsigned char lead = (unsigned char)s[i - 1];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;

    if (n - (i - 1) < want) {
        s[i - 1] = '\0';
    }
}

__attribute__((format(printf, 3, 0))) static void fill(struct err *e, int code, const char *fmt,
                                                       va_list ap)
{
    int n;

    e->code = code;
    n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    if (n >= (int)sizeof e->msg) {
        trim_utf8(e->msg);
    }
}

int err_setv(struct err *e, int code, const char *fmt, va_list ap)
{
    if (e) {
        fill(e, code, fmt, ap);
    }
    return code;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    code = err_setv(e, code, fmt, ap);
    va_end(ap);
    return code;
}

int err_errno(struct err *e, const char *fmt, ...)
{
    int saved = errno;
    int code = ERR_IO;
    va_list ap;

    if (saved == ENOSPC || saved == EDQUOT) {
        code = ERR_FULL;
    } else if (saved == ENOENT) {
        code = ERR_NOT_FOUND;
    }
    if (e) {
        size_t n;

        va_start(ap, fmt);
        fill(e, code, fmt, ap);
        va_end(ap);
        n = strlen(e->msg);
        snprintf(e->msg + n, sizeof e->msg - n, ": %s", strerror(saved));
    }
    errno = saved;
    return code;
}

int err_prefix(struct err *e, int code, const char *fmt, ...)
{
    char before[sizeof e->msg];
    char old[sizeof e->msg];
    va_list ap;

    if (!e) {
        return code;
    }
    memcpy(old, e->msg, sizeof old);
    va_start(ap, fmt);
    vsnprintf(before, sizeof before, fmt, ap);
    va_end(ap);
    return err_set(e, code, "%s: %s", before, old);
}
