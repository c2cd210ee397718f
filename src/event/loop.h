/*
 * loop - one epoll loop per process: descriptors, timers, children, signals.
 *
 * One turn: wait, handle everything that is ready, run the turn-end hooks in the order they were
 * added (the store commits there, then replies leave), repeat. Handlers must not block. One thread
 * only. Everything may be removed at any time, also from inside its own handler.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/err.h"

struct loop;

int loop_new(struct loop **out, struct err *e);
void loop_free(struct loop *l); /* does not close watched descriptors */
/* Runs until loop_stop(). Returns 0, or ERR_IO if epoll itself fails. */
int loop_run(struct loop *l, struct err *e);
/* One turn; waits at most timeout_ms (-1: as long as timers allow). For tests and short commands.
 */
int loop_turn(struct loop *l, int timeout_ms, struct err *e);
void loop_stop(struct loop *l);

/*
 * Descriptors. Embed a watch in your own struct; the loop owns nothing of it. Level-triggered.
 * Errors and hang-ups are told unasked, except while `events` is 0: then nothing is told.
 */
struct watch {
    int fd;
    uint32_t events; /* EPOLLIN, EPOLLOUT, ... as registered */
    void (*fn)(struct watch *w, uint32_t events);
    struct loop *loop; /* NULL while not added */
    uint64_t gen;      /* the loop's: stale events are dropped */
};

int watch_add(struct loop *l, struct watch *w, struct err *e); /* fd, events, fn are set */
void watch_events(struct watch *w, uint32_t events);           /* no system call if unchanged */
void watch_del(struct watch *w);                               /* before closing fd */

/* Timers on CLOCK_BOOTTIME, millisecond grain, one shot. Embed and re-arm at will. */
struct timer {
    int64_t at_ms; /* boot_ms() when due */
    void (*fn)(struct timer *t);
    struct loop *loop; /* NULL while not armed */
    uint32_t slot;     /* the loop's heap index */
};

void timer_arm(struct loop *l, struct timer *t, int64_t in_ms); /* again moves it */
void timer_stop(struct timer *t);

/* Called at the end of every turn. */
struct turn_hook {
    void (*fn)(struct turn_hook *h);
    struct turn_hook *next;
};

void loop_at_turn_end(struct loop *l, struct turn_hook *h);
/* Asks for one more turn without waiting (work that was found by a turn-end hook). */
void loop_again(struct loop *l);

/* Signals through a signalfd: blocked in the process, delivered as a call. Several may be added. */
int loop_signal(struct loop *l, int signo, void (*fn)(int signo, void *arg), void *arg,
                struct err *e);
int64_t loop_now_ms(const struct loop *l); /* boot_ms() at the start of this turn's handling */
