/*
 * intake_results - tells the senders of messages what became of their jobs: a reader of the event
 * log with a cursor of its own. A result is told at least once, and carries the id of its event, so
 * that a repeat can be known. The cursor moves past those that the broker has, or refuses for good;
 * what is under way when the server ends is told again by the next one.
 */
#pragma once

#include "edge/edge.h"
#include "event/loop.h"
#include "http/api.h"
#include "store/store.h"

enum { RESULTS_AT_ONCE = 64 };

struct result_row {
    int64_t seq; /* of the event */
    struct id job;
    enum job_state state;
    uint64_t id; /* at the edge; 0: to be sent (again) */
    bool done;
};

struct intake_results {
    struct loop *loop;
    struct store *store;
    const struct api_depot *depot;
    const char *name; /* of the intake */
    const char *store_id;
    char *cursor;      /* owned: its name */
    struct edge *edge; /* borrowed; NULL: gone */
    bool up;
    uint64_t *last_id; /* ids of the edge, shared with others that send */
    struct result_row rows[RESULTS_AT_ONCE];
    size_t first, n;
    int64_t read;        /* the last event that was looked at */
    int64_t put, put_ms; /* the cursor in the store, and when it was put */
    uint32_t since_put;
    int64_t sent, undeliverable;
};

/* Fills the rest: loop, store, depot, name, store_id, edge, last_id are set. */
int intake_results_open(struct intake_results *r, struct err *e);
void intake_results_done(struct intake_results *r);
/* After a commit: looks at what is new. May leave changes for the next turn, which it asks for. */
void intake_results_pump(struct intake_results *r);
/* The broker is there, or not: what has to be sent is sent. */
void intake_results_up(struct intake_results *r, bool up);
/* False: the id is of something else. */
bool intake_results_sent(struct intake_results *r, uint64_t id, int rc, const char *why);
/* Once a second, and at the end: what was not sent is tried again, the cursor is put. */
void intake_results_tick(struct intake_results *r);
/* The turn was undone. */
void intake_results_undone(struct intake_results *r);
/* Broker or server refuse it for good. */
bool intake_result_is_lost(int rc);
void intake_note_undeliverable(struct store *s, const char *intake, const char *task_id,
                               const char *why, const char *body);
