/*
 * message - heads of HTTP/1.1 requests and answers, and how long what follows them is. Strict: what
 * two readers could understand in two ways is refused. Private to proxy/.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
    REQUEST_HEAD_MAX = 16384, /* bytes, with the empty line */
    ANSWER_HEAD_MAX = 65536,
    MESSAGE_LINES = 128,
};

struct msg_line {
    const char *name, *value;
};

struct msg {
    char *text;                  /* owned; all others point into it */
    const char *method, *target; /* of a request; the target is visible ASCII after a '/' */
    unsigned status;             /* of an answer: 100 to 599 */
    const char *reason;
    unsigned minor; /* HTTP/1.minor */
    struct msg_line v[MESSAGE_LINES];
    size_t n;
};

extern const char msg_token[]; /* the characters of methods and names */

/* Lines that end with CR LF, and nothing else of what a terminal or a log would obey. */
bool msg_plain(const char *p, size_t n);
/* Reads what came so far. 0: more is needed; 200: *out (msg_done()) and *len, how long the head is;
 * else 400 or 431 and *why. */
int msg_request(const char *p, size_t n, struct msg *out, size_t *len, const char **why);
int msg_answer(const char *p, size_t n, struct msg *out, size_t *len, const char **why);
void msg_done(struct msg *m);
/* The first value of that name, NULL: none; *count (may be NULL): how many there are. */
const char *msg_get(const struct msg *m, const char *name, size_t *count);
/* Is the line for the next hop alone: by its name, or because "Connection" says so? */
bool msg_is_hop(const struct msg *m, const char *name);
/* May another message follow on the connection? */
bool msg_keeps(const struct msg *m);

/* ---- what follows the head ---- */

struct body {
    enum { BODY_LENGTH, BODY_CHUNKED, BODY_TO_END } kind;
    bool done; /* all of it was read */
    uint64_t left;
    uint8_t at, digits; /* of a chunk's frame */
};

/* False: *why. A request without a length has none. */
bool msg_request_body(const struct msg *m, struct body *out, const char **why);
/* An answer to a request that was not HEAD. */
bool msg_answer_body(const struct msg *m, struct body *out, const char **why);
/* Appends what is the body's to out; *used of the n bytes belong to it, with its frame. False: it
 * is framed wrongly. */
bool body_feed(struct body *b, const char *p, size_t n, size_t *used, struct buf *out);
