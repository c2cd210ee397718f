/*
 * buf - a growing byte buffer with a cap; strvec - a growing list of strings.
 *
 * A zeroed struct is an empty one without a cap. Appending past the cap, if one is set,
 * drops the bytes and sets `over`: writers check once at the end, not at each step.
 * `data` is always followed by a NUL that `len` does not count (NULL while nothing was added).
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* owned */
    size_t len;
    size_t size; /* allocated */
    size_t cap;  /* 0: none */
    bool over;   /* something did not fit */
};

void buf_done(struct buf *b);  /* frees and empties; keeps cap */
void buf_reset(struct buf *b); /* len = 0, memory kept */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_addu(struct buf *b, uint64_t v); /* decimal */
void buf_drop(struct buf *b, size_t n);   /* removes n bytes at the front */
/* Room for at least n more bytes at data+len; the caller advances len. NULL if over the cap. */
char *buf_space(struct buf *b, size_t n);
/* Gives the text away (never NULL); the buffer is empty afterwards. */
char *buf_take(struct buf *b);

#define auto_buf __attribute__((cleanup(buf_done))) struct buf

struct strvec {
    char **v; /* owned, each owned; NULL-terminated once something was pushed */
    size_t n;
    size_t size;
};

void strvec_push(struct strvec *sv, const char *s);
void strvec_pushn(struct strvec *sv, const char *s, size_t n);
void strvec_pushf(struct strvec *sv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strvec_done(struct strvec *sv);

#define auto_strvec __attribute__((cleanup(strvec_done))) struct strvec

/* Strings. */
char *str_fmt(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* caller frees */
bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *s, const char *prefix);
/* Decimal digits only, whole string, within [min, max]; false leaves *out alone. */
bool str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out);
bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *out);
/* Length of the valid UTF-8 character at s (1-4), or 0 when it is malformed. n > 0 bytes left. */
size_t utf8_len(const char *s, size_t n);
/* The code point of the character at s, whose length utf8_len() gave. */
uint32_t utf8_code(const char *s, size_t len);
bool utf8_valid(const char *s, size_t n);
/*
 * Appends text from an unknown source so that a terminal shows it as text: control bytes, ESC,
 * malformed UTF-8 and bidi controls become \xNN or \u{NNNN}; tab and newline too.
 */
void buf_add_escaped(struct buf *b, const char *s, size_t n);
/* Percent-decoded; caller frees. NULL: a '%' without two hex digits, or something that becomes a
 * control character. */
char *str_percent_decode(const char *s, size_t n);
/* Edit distance, for "did you mean". */
unsigned str_distance(const char *a, const char *b);
