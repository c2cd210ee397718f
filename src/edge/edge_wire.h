/* edge_wire - the messages between daemon and edge, written and checked in one place. Private. */
#pragma once

#include "edge/edge.h"
#include "ipc/chan.h"

enum {
    EDGE_MESSAGE = 1, /* from the edge */
    EDGE_SENT,
    EDGE_STATE,
    EDGE_VERDICT = 16, /* from the daemon */
    EDGE_RESULT,
};

enum { EDGE_WHY_MAX = 512 };

/* Longer texts than the contract allows are our own fault: they are asserted on writing, and end
 * the channel on reading. */
void edge_message_put(struct buf *b, const struct edge_message *m);
bool edge_message_get(struct wire *w, struct edge_message *m);
void edge_result_put(struct buf *b, const struct edge_result *r);
bool edge_result_get(struct wire *w, struct edge_result *r);

struct edge_verdict_in {
    uint64_t id;
    enum edge_verdict verdict;
    uint32_t after_ms;
    const char *reason;
};
void edge_verdict_put(struct buf *b, const struct edge_verdict_in *v);
bool edge_verdict_get(struct wire *w, struct edge_verdict_in *v);

/* SENT and STATE: a number, a code, a reason. */
struct edge_note {
    uint64_t id;
    int32_t code;
    const char *why;
};
void edge_note_put(struct buf *b, const struct edge_note *n);
bool edge_note_get(struct wire *w, struct edge_note *n);
