/*
 * station_internal - what the files of the worker's side share. Private to transport/station*.c.
 *
 *   station.c       the connections, and what the owner calls
 *   station_read.c  what is read: tasks from the queues, words from the server
 *   station_run.c   runs: their time, their reports, what becomes of them
 *   station_send.c  what is written: one entry of the stream of reports after the other
 *   station_beat.c  beats, and what an answer to one means for assignments and leases
 */
#pragma once

#include <hiredis/hiredis.h>

#include "transport/message.h"
#include "transport/redis.h"
#include "transport/spool.h"
#include "transport/station.h"

enum {
    BEATS_KEPT = 64,
    TAKEN_KEPT = 4096,      /* leases that were taken last: none is run twice */
    ENTRY_BYTES = 1 << 20,  /* of reports in one entry */
    FLIGHT_MAX = 8 << 20,   /* bytes of reports that nobody has acknowledged */
    MEMORY_MAX = 8 << 20,   /* bytes of reports in memory; more goes into files */
    MEMORY_FULL = 64 << 20, /* if they cannot be written: runs are given up */
    AGAIN_MAX = 10,         /* times that a report goes again to a server that answers all else */
    FIRST_BEAT_MS = 1000,   /* until the server says how often */
    FIRST_KILL_MS = 60000,
    QUEUES_MAX = 16,
};

enum run_state {
    RUN_UNDATED, /* assigned, but it is not known since when: waits for an answer */
    RUN_HELD,    /* with the owner */
    RUN_LOST,    /* its time was over: the owner ends it */
    RUN_ENDED,   /* its last report is there */
    RUN_OFFERED, /* complete, and its lease is over: may be wanted all the same */
};

struct run {
    struct run *next;
    struct lease lease;
    enum run_state state;
    bool complete;       /* ended with a whole result */
    struct spool *spool; /* owned */
    uint64_t sent, acked;
    size_t flight;       /* bytes of those that were sent and not acknowledged */
    int64_t moved_ms;    /* when something was last sent or acknowledged */
    uint32_t again;      /* how often all of it went again since something was acknowledged */
    int64_t deadline_ms; /* RUN_HELD */
    uint64_t first_beat; /* that named this lease; 0: none yet */
    int64_t since_ms;    /* RUN_UNDATED, RUN_OFFERED: since when it waits */
    struct buf entry;    /* RUN_UNDATED: the assignment as it came */
    bool tell_took;      /* the server does not know yet that we have it */
    bool has_progress;
    struct progress progress; /* the newest that was not sent; task is owned */
    char *task;
};

/* A connection that waits in a command for something to come. */
struct reader {
    struct station *station;
    struct redis *redis;
    const char *what;
    bool up, waiting;
    int64_t turned_ms; /* when it last came back, or was sent */
    int64_t rest_ms;   /* it was refused: not before then */
    void (*go_on)(struct station *s);
};

struct sent_beat {
    uint64_t n;
    int64_t sent_ms;
    bool answered;
    uint64_t boot;
    int64_t at_ms; /* the server's clock in the answer */
};

struct station {
    struct loop *loop;
    struct redis_url url; /* owned copies */
    struct redis_events net;
    char *name, *spool_dir; /* owned */
    char instance[INSTANCE_TEXT + 1];
    struct hello hello; /* owned copies */
    struct station_events ev;

    struct redis *cmd;
    struct reader take, tell;
    bool up; /* cmd is */
    int64_t up_ms;
    bool full;   /* what is too much for memory cannot be written */
    bool placed; /* it is known from where to read our own stream */
    bool warned, down_told;
    char last_id[48]; /* of our own stream */
    bool own_pending; /* first what an earlier connection or process took */
    bool taking_own;  /* that is what is being read */
    int64_t wrote_ms; /* the oldest entry that is not answered */
    uint32_t writing; /* entries that are not answered */

    uint32_t room;
    bool drained; /* the server said: take no more */
    bool leaving, bye;
    void (*left)(void *arg);
    void *left_arg;
    struct timer leave_timer;

    struct run *runs, **runs_tail;
    uint64_t taken[TAKEN_KEPT]; /* tokens */
    uint32_t n_taken;

    struct buf out; /* messages that are no reports of runs */
    struct timer flush_timer, beat_timer, deadline_timer;
    struct sent_beat beats[BEATS_KEPT];
    uint64_t last_beat;
    bool known;               /* an answer came since the connection was made */
    int64_t answered_ms;      /* when an answer last came */
    int64_t answered_beat_ms; /* when the newest beat that was answered was sent */
    uint64_t boot;            /* of the server that was heard last */
    uint32_t beat_ms, kill_ms;
    size_t flight;
    struct station_stats stats;
};

/* ---- station.c ---- */
char *station_key(const struct station *s, const char *kind, const char *name); /* caller frees */
void station_watch(struct station *s); /* connections that hang are made anew */
void on_leave(struct timer *t);
void station_announce(struct station *s); /* hello and offers, then a beat */
void station_left(struct station *s);

/* ---- station_read.c ---- */
void station_take(struct station *s);   /* reads the queues, if there is room and nobody does */
void station_listen(struct station *s); /* reads our own stream */
void station_place(struct station *s);  /* finds out where our own stream is */
void station_groups(struct station *s);

/* ---- station_run.c ---- */
struct run *run_new(struct station *s, const struct lease *l);
struct run *run_of(const struct station *s, const struct lease *l);
void run_drop(struct station *s, struct run *r); /* with its files */
void run_assign(struct station *s, const struct assignment *a, const void *entry, size_t n);
/* RUN_UNDATED ones, after an answer; those that waited for too long are given back. */
void runs_date(struct station *s);
void run_ack(struct station *s, const struct lease *l, uint64_t seq);
void run_fenced(struct station *s, const struct lease *l, bool open);
void run_adopt(struct station *s, const struct lease *l, const struct lease *now);
void runs_deadlines(struct station *s); /* those that are over, and the timer for the next */
void run_deadline(struct station *s, struct run *r, int64_t deadline_ms);
void run_load(void *arg, const struct lease *l, struct spool *sp);
/* The last report of a run that is given back. */
void run_give_back(struct station *s, struct run *r, enum release_why why);
/* Into files: complete results that cannot be delivered now, and what is too much for memory. */
void runs_keep(struct station *s);
void runs_tick(struct station *s); /* what was not acknowledged, or not answered, goes again */
void runs_free(struct station *s);
void run_spoilt(struct station *s, struct run *r); /* what was kept of it cannot be read */

/* ---- station_send.c ---- */
void station_flush_soon(struct station *s);
void on_flush(struct timer *t);
/* The connection is new, or nothing came back: all that is not acknowledged goes again. */
void run_send_again(struct station *s, struct run *r);

/* ---- station_beat.c ---- */
void on_beat(struct timer *t);
void station_beat(struct station *s);
void station_answered(struct station *s, const struct answer *a);
/* Until when a lease that began with this assignment may be held. False: not known. */
void station_drain(struct station *s, bool on);
bool beat_date(const struct station *s, const struct assignment *a, int64_t *deadline_ms);
