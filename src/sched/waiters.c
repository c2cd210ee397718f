#include "sched/waiters.h"

#include <stdlib.h>

#include "base/mem.h"

/* The last bytes of an id are random, the first ones are its time. */
static size_t slot_of(const struct id *id)
{
    return ((size_t)id->b[14] << 8 | id->b[15]) % WAITER_SLOTS;
}

void waiters_add(struct waiters *ws, struct job_waiter *w)
{
    struct job_waiter **head = &ws->slot[slot_of(&w->job)];

    w->next = *head;
    w->prev = head;
    if (*head) {
        (*head)->prev = &w->next;
    }
    *head = w;
}

void sched_unwait(struct job_waiter *w)
{
    if (!w->prev) {
        return;
    }
    *w->prev = w->next;
    if (w->next) {
        w->next->prev = w->prev;
    }
    w->next = NULL;
    w->prev = NULL;
}

void waiters_touch(struct waiters *ws, const struct id *job)
{
    if (ws->n_touched > 0 && id_cmp(&ws->touched[ws->n_touched - 1], job) == 0) {
        return;
    }
    if (ws->n_touched == ws->size_touched) {
        ws->size_touched = ws->size_touched ? ws->size_touched * 2 : 64;
        ws->touched = xrealloc(ws->touched, ws->size_touched * sizeof *ws->touched);
    }
    ws->touched[ws->n_touched++] = *job;
}

/* Takes the waiters of one job off their slot first: a waiter may add itself again. */
static void tell_one(struct waiters *ws, const struct id *job)
{
    struct job_waiter *fire = NULL;
    struct job_waiter *next;

    for (struct job_waiter *w = ws->slot[slot_of(job)]; w; w = next) {
        next = w->next;
        if (id_cmp(&w->job, job) == 0) {
            sched_unwait(w);
            w->next = fire;
            w->prev = &fire;
            if (fire) {
                fire->prev = &w->next;
            }
            fire = w;
        }
    }
    while (fire) {
        struct job_waiter *w = fire;

        sched_unwait(w);
        w->fn(w);
    }
}

void waiters_tell(struct waiters *ws, bool committed)
{
    struct id *touched = take_ptr(&ws->touched);
    size_t n = ws->n_touched;

    ws->n_touched = ws->size_touched = 0;
    for (size_t i = 0; committed && i < n; i++) {
        tell_one(ws, &touched[i]);
    }
    free(touched);
}

void waiters_done(struct waiters *ws)
{
    free(ws->touched);
    *ws = (struct waiters){0};
}
