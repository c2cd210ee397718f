/* fleet_internal - what the files of the server's side share. Private to transport/fleet*.c. */
#pragma once

#include <hiredis/hiredis.h>

#include "transport/fleet.h"
#include "transport/message.h"

enum {
    FLEET_RUN_HASH = 1024,
    CREW_HASH = 256,
    CONTROL_ENTRIES = 1000,
    REPORT_BATCH = 256,
    FORMER_KEPT = 8
};

/* A worker. Strings are owned. */
struct crew {
    struct crew *next;
    struct buf out;       /* messages of this turn, sent after the commit: see crew_out() */
    struct crew *telling; /* the next one with any */
    bool tells;           /* is in that list */
    char *name;
    char instance[INSTANCE_TEXT + 1];
    char former[FORMER_KEPT][INSTANCE_TEXT + 1]; /* that it took the place of, the last ones */
    uint32_t n_former;
    char *version, *zone, *host, *home, *confinement;
    struct strvec queues, tools;
    struct fleet_queue **serves; /* `queues`, each once; owned array */
    uint32_t n_serves;
    uint32_t slots;
    uint32_t taken;              /* of its slots, by runs that have not ended */
    uint32_t load_x100, spooled; /* of its last beat */
    uint64_t spool_bytes;
    int64_t heard_ms;   /* 0: only known because a drain of it is remembered */
    bool drain;         /* was asked for */
    bool draining;      /* it says so */
    bool gone;          /* said goodbye, or nothing was heard of it for the time of a lease */
    struct crew *alike; /* in by_name */
};

/* A run that the scheduler holds in our lane. */
struct fleet_run {
    struct lease lease;
    struct lease from;         /* whose result it was adopted with; token 0: it was not */
    struct fleet_queue *queue; /* NULL: it was running when the server started, or was adopted */
    struct crew *crew;         /* NULL: nobody has said yet that it took it */
    bool taken;                /* counts as one of crew's slots */
    bool mine;                 /* claimed by this process: its reports began with us */
    bool cancel;               /* to be passed on once somebody has it */
    uint64_t applied;          /* seq of the last report that was applied, as far as we know */
    uint64_t end_seq;          /* of its last one; 0: not yet */
    struct fleet_run *next;
};

struct fleet_queue {
    char *name;
    uint32_t untaken;   /* pushed, or claimed in this turn, and nobody has said that he took it */
    bool group;         /* was made, on this connection */
    int64_t refused_ms; /* Redis would not take an entry: nothing more before a while is over */
    /* As long as they are `counted`: what it has room for, and the queues whose room is the same
     * workers', itself among them (none: not looked for yet). */
    int64_t room;
    struct fleet_queue **kin; /* owned array */
    uint32_t n_kin, size_kin;
    uint64_t mark; /* the search that found it last */
    struct fleet_queue *next;
};

struct fleet {
    struct loop *loop;
    struct store *store;
    struct sched *sched;
    struct fleet_config config;
    struct redis *cmd;  /* everything but what waits */
    struct redis *read; /* the reports */
    char *prefix;       /* owned */
    char *server;       /* id of the store; owned */
    uint64_t boot;      /* random */
    struct crew *crews;
    struct crew *by_name[CREW_HASH];
    struct crew *telling; /* those that are to be told something after this turn */
    struct fleet_queue *queues;
    uint64_t mark; /* counts searches for kin */
    bool counted;  /* rooms and kin of queues are right: until something is heard or over */
    bool filled;   /* a queue of `open` may have no more room */
    struct fleet_run *by_token[FLEET_RUN_HASH];
    struct fleet_push *pushes; /* that Redis has not answered; owned */
    struct sched_lane lane;
    struct strvec open; /* what lane.open() gave last */
    struct strvec done; /* entries that were applied in this turn: ids */
    bool reading;       /* an XREADGROUP is under way */
    bool own;           /* the key `server` is ours */
    bool fit;           /* the server was looked at and is good enough */
    bool pending;       /* what was read and not acknowledged is read first */
    bool reading_old;   /* ... and that is what is being read */
    char old_id[48];    /* up to which that was read: what is applied may not be acknowledged yet */
    bool again;         /* after this turn: it was undone, or the connection is new */
    struct timer tick;
    struct fleet_stats stats;
};

/* ---- fleet.c ---- */
char *fleet_key(const struct fleet *f, const char *kind, const char *name); /* caller frees */

/* ---- fleet_lane.c ---- */
struct sched_lane fleet_lane(struct fleet *f);
struct fleet_run *fleet_run_of(struct fleet *f, const struct lease *l);
struct fleet_queue *fleet_queue_of(struct fleet *f, const char *name); /* made if it is not there */
void fleet_free_slot(struct fleet_run *r);
void fleet_pushes_free(struct fleet *f);
/* Somebody has it. */
void fleet_take(struct fleet *f, struct fleet_run *r, struct crew *c);
/* Slots of its workers that are free, less what was pushed and may come to them. */
int64_t fleet_free_slots(const struct fleet *f, const struct fleet_queue *q);
void fleet_make_group(struct fleet *f, struct fleet_queue *q);
void fleet_on_group(void *arg, const redisReply *reply); /* the answer to XGROUP CREATE */

/* ---- fleet_read.c ---- */
void fleet_read(struct fleet *f); /* goes on, unless it is waiting already */
/* What was read before, and never acknowledged, comes first. */
void fleet_read_anew(struct fleet *f);

/* ---- fleet_crew.c ---- */
struct crew *crew_find(const struct fleet *f, const char *name);
struct crew *crew_make(struct fleet *f, const char *name);
void crews_free(struct fleet *f);
bool crew_serves(const struct crew *c, const struct fleet_queue *q);
bool crew_works(const struct crew *c); /* takes tasks */
void crew_hello(struct fleet *f, const char *name, const char *instance, const struct hello *h);
void crew_beat(struct fleet *f, struct crew *c, const struct beat *b);
void crew_bye(struct fleet *f, struct crew *c);
/* The lease is not its own: told, with whether the job is still open, and counted. */
void fleet_fence(struct fleet *f, struct crew *c, const struct lease *l);
void crews_sweep(struct fleet *f);
/* What it is told after the commit of this turn. */
struct buf *crew_out(struct fleet *f, struct crew *c);
void crews_tell(struct fleet *f, bool committed);

/* ---- fleet_report.c ---- */
/* An entry of the stream of reports. ERR_INVALID: it is none. */
int fleet_apply_entry(struct fleet *f, const redisReply *fields, struct err *e);
