/*
 * celery - tasks and results of Celery (message protocols 1 and 2), JSON only. No I/O. Private.
 *
 * Two names are known: scanpod.scan and scanpod.repo. A task is one request: what Celery would do
 * around it (callbacks, chains, groups, chords, times to come) is refused, never dropped in
 * silence.
 */
#pragma once

#include "edge/edge_message.h"

/* What kombu put around a message for Redis. */
struct kombu {
    json_t *root;               /* owned */
    struct buf body;            /* decoded */
    struct raw_message message; /* borrows from both */
};
/* False: it is no envelope. ERR_INVALID in *rc: it is one, and broken. */
bool kombu_open(const struct raw_message *r, struct kombu *out, int *rc, struct err *e);
void kombu_done(struct kombu *k);

/* `body`: the message's, parsed, or NULL: it is not JSON. */
bool celery_is(const struct raw_message *r, const json_t *body);
/* Fills *out as far as it comes. */
int celery_take(const struct raw_message *r, const json_t *body, struct taken *out, struct err *e);

/* The text that a result backend of Celery stores and sends. */
void celery_result(const struct edge_result *r, int64_t now_us, struct buf *out);
