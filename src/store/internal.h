/*
 * internal - what is shared inside the room: the rules (store.c, job.c, task.c, result.c) work on
 * loaded rows, a backend keeps them. Rules exist once; a backend decides nothing.
 *
 * A backend reports a failure with store_fail(), whose message stays in the store; the public
 * functions hand it out. ERR_IO, ERR_FULL and ERR_INTERNAL from a change break the turn.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* Kept in one row, written once per commit. */
struct tally {
    int64_t counts[JOB_STATES];
    int64_t next_job, next_event, next_result, next_purge;
    int64_t created_max_us; /* of all jobs ever stored */
    int64_t next_audit;
    uint8_t audit_head[32]; /* hash of the last entry */
};

enum { USE_HOURS = 24 };

/* What a key asked for in one hour. */
struct key_use {
    int64_t hour; /* since 1970 */
    int64_t jobs, addresses;
};

/* What is counted for a key, and what of it was committed. Kept for every key that has jobs that
 * wait, or was charged. */
struct key_tally {
    char *key;       /* owned */
    int64_t waiting; /* jobs that are scheduled, queued or waiting */
    int64_t waiting_committed;
    struct key_use use[USE_HOURS], use_committed[USE_HOURS]; /* [hour % USE_HOURS] */
    bool changed;
};

struct task_row {
    struct task task;
    int64_t result; /* number of the set of hosts of its run; 0: none */
};

/* A job with its task, as the rules change them. */
struct work {
    struct job job;
    struct task_row row;
};

/* A run that delivers hosts. */
struct intake {
    struct lease lease;
    int64_t job_num, result;
    int64_t hosts, hosts_up, ports_open; /* of complete hosts */
    int64_t ports;                       /* rows of complete hosts */
    bool open;                           /* a host is being received: */
    bool up;
    int64_t n_ports, n_open;
    bool reparse;  /* of a job that has ended: nothing shows before its end */
    int64_t noted; /* of a reparse: its set is to be removed, under this number, unless it ends */
    bool changed;  /* since the last commit */
    struct intake *next;
};

struct store_ops {
    void (*close)(struct store *s);
    int (*begin)(struct store *s);
    int (*commit)(struct store *s, const struct tally *t);
    void (*rollback)(struct store *s);
    void (*idle)(struct store *s);
    int (*check)(struct store *s);
    int64_t (*log_bytes)(struct store *s);

    /* ERR_CONFLICT if the id exists. */
    int (*job_add)(struct store *s, const struct job *j);
    /* All members but the request and the texts. */
    int (*job_put)(struct store *s, const struct job *j);
    /* The large texts: pins, limits, stderr_tail, sandbox_json, run_json. What is NULL stays. */
    int (*job_text_put)(struct store *s, const struct job *j);
    /* Fills them; they are NULL before. */
    int (*job_text_get)(struct store *s, struct job *j);
    /* By id, or by num when id is NULL. *out is zeroed before, and comes without the texts. */
    int (*job_find)(struct store *s, const struct id *id, int64_t num, struct job *out);
    int (*job_drop)(struct store *s, int64_t num); /* job, its tasks, its blob row */
    int (*job_list)(struct store *s, const struct job_filter *f, job_fn fn, void *arg);
    int (*job_heads)(struct store *s, const struct job_filter *f, job_head_fn fn, void *arg);
    /* Terminal, completed before; by completion, then num. */
    int (*job_ended)(struct store *s, int64_t before_us, uint32_t limit, int64_t *nums,
                     uint32_t *n);
    /* queue_expires_us is set and <= now; by that, then num. *next: the least that is set. */
    int (*job_overdue)(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n);
    int (*job_overdue_next)(struct store *s, int64_t *next_us);

    int (*task_add)(struct store *s, const struct task_row *r);
    int (*task_put)(struct store *s, const struct task_row *r);
    int (*task_find)(struct store *s, int64_t job_num, int32_t idx, struct task_row *out);
    /* blocked: NULL, or not empty. s->keys names all keys that have jobs that wait. */
    int (*task_next)(struct store *s, const struct strvec *blocked, struct task_row *out,
                     bool *found);
    int (*task_running)(struct store *s, task_fn fn, void *arg); /* by job */
    /* Scheduled or waiting, and run_at_us <= now; by that, then job. */
    int (*task_due)(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n);
    int (*task_due_next)(struct store *s, int64_t *next_us);

    int (*host_put)(struct store *s, int64_t result, int64_t seq, int64_t port_first,
                    const struct host *head);
    int (*port_put)(struct store *s, int64_t result, int64_t n, int64_t seq, const struct port *p);
    int (*host_seal)(struct store *s, int64_t result, int64_t seq, int64_t n_ports, int64_t n_open);
    /* Removes what follows the first n_hosts hosts and their ports; tells how many ports stay. */
    int (*result_cut)(struct store *s, int64_t result, int64_t n_hosts, int64_t *n_ports);
    int (*hosts)(struct store *s, int64_t result, const struct host_filter *f,
                 const struct host_sink *sink);

    int (*blob_put)(struct store *s, int64_t job_num, uint32_t epoch, const struct outcome *o);
    int (*blob_path)(struct store *s, int64_t job_num, char **path); /* NULL: none */
    /* path may be NULL. */
    int (*purge_add)(struct store *s, int64_t id, int64_t result, const char *path);
    int (*purge_step)(struct store *s, uint32_t max_rows, bool *more, char **path, int64_t *id);
    int (*purge_drop)(struct store *s, int64_t id);
    int (*purge_keep)(struct store *s, int64_t id); /* forgets to remove */
    bool (*purge_any)(struct store *s);

    int (*event_put)(struct store *s, const struct event *ev);
    int (*events)(struct store *s, int64_t after, int64_t last, uint32_t limit, event_fn fn,
                  void *arg);
    int64_t (*event_first)(struct store *s);
    /* seq of the last of the oldest `limit` events that are all older; 0: none. */
    int (*event_older)(struct store *s, int64_t before_us, uint32_t limit, int64_t *last,
                       int64_t *n);
    int (*event_drop)(struct store *s, int64_t last); /* up to and including */

    int (*idem_find)(struct store *s, const char *key_id, const char *idem, uint8_t fingerprint[32],
                     struct id *job, bool *found);
    int (*idem_put)(struct store *s, const char *key_id, const char *idem,
                    const uint8_t fingerprint[32], const struct id *job, int64_t now_us);
    bool (*idem_older)(struct store *s, int64_t before_us);
    int (*idem_drop)(struct store *s, int64_t before_us);

    int (*key_put)(struct store *s, const struct key *k); /* adds, or replaces the same id */
    int (*keys)(struct store *s, key_fn fn, void *arg);   /* in the order they were added */
    /* Before a commit: what differs from what was committed. */
    int (*key_tally_put)(struct store *s, const struct key_tally *t);
    int (*key_use_drop)(struct store *s, int64_t hour); /* up to and including */

    int (*audit_put)(struct store *s, const struct audit *a);
    int (*audits)(struct store *s, int64_t after, uint32_t limit, audit_fn fn, void *arg);
};

struct store {
    const struct store_ops *ops;
    struct store_limits limits;
    struct tally now, committed;
    bool in_turn;
    int broken; /* why the turn cannot be committed: an ERR_* */
    struct err why;
    struct err err; /* of the last call that failed */
    struct intake *intakes, *current;
    struct key_tally **keys; /* by key */
    size_t n_keys, size_keys;
    bool keys_changed;
    int64_t (*clock)(void *arg);
    uint64_t (*token)(void *arg);
    void *hook_arg;
    struct store_stats stats;
};

int sqlite_open(const char *dir, int lock_fd, struct store **out, struct err *e);
int mem_open(struct store **out);
void lock_release(int fd); /* closes, and no longer names us */

/* ---- for the rules ---- */

int store_fail(struct store *s, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A job_fn that tells a list of heads: for backends that read whole jobs anyway. */
struct head_sink {
    job_head_fn fn;
    void *arg;
};
int job_head_of(void *arg, const struct job *j, struct err *e);
/* Here, so that an analyser sees that it never returns 0. */
static inline int store_fenced(struct store *s)
{
    store_fail(s, ERR_FENCED, "the task has been given to somebody else or has ended");
    return ERR_FENCED;
}
bool task_held(const struct task *t, const struct lease *l); /* it runs under this lease */
int store_whole(struct store *s); /* 0, or the failure that broke this turn */
int store_begin(struct store *s); /* before the first write of a change */
/* The end of every public function: hands out the message; a change breaks the turn if need be. */
int store_read_end(struct store *s, int rc, struct err *e);
int store_change_end(struct store *s, int rc, struct err *e);
int64_t store_now(struct store *s);

/* Loads a job, its task and what its intake counted since the last commit. Then work_done(). */
int work_load(struct store *s, const struct id *id, int64_t num, struct work *w);
void work_done(struct work *w);
void work_move(struct store *s, struct work *w, enum job_state to);
int work_save(struct store *s, struct work *w, const char *event, const char *task);
int work_end(struct store *s, struct work *w, enum job_state state, enum job_reason reason,
             const char *error);
void work_enqueue(struct work *w, int64_t now_us); /* queue time limit starts */

/* 0, or the cap of the store that is reached. */
int store_room(struct store *s);

/* The tally of a key, made if it is not there. NULL is "". Valid until the turn ends. */
struct key_tally *key_tally_of(struct store *s, const char *key);
bool job_state_waits(enum job_state st); /* not terminal, and does not run */
void key_waiting_add(struct store *s, const char *key, int n);
int key_tallies_flush(struct store *s);      /* before a commit: writes what changed */
void key_tallies_committed(struct store *s); /* after it: forgets what is zero */
void key_tallies_rollback(struct store *s);
void key_tallies_done(struct store *s);
bool key_blocked(const struct strvec *blocked, const char *key); /* NULL is "" */

int event_add(struct store *s, const struct work *w, const char *type, const char *task);
const char *event_type_name(int type);
int event_type_num(const char *name);

struct intake *intake_of(struct store *s, int64_t job_num);
void intake_overlay(struct store *s, struct job *j); /* counts that are not in the row yet */
void intake_drop(struct store *s, int64_t job_num);
void intake_drop_all(struct store *s);
int intake_flush(struct store *s); /* before a commit: counts and events */
/* Before a run ends: its unfinished host goes, its counts are told. */
int intake_end(struct store *s, struct work *w);
bool intake_reparses(const struct store *s); /* of any job */
/* Forgets a run's results; they and the raw file are removed later. */
int result_discard(struct store *s, struct work *w, const char *raw_path);

/* ---- for tests ---- */

/* Both run the same for two stores that are compared. */
void store_set_hooks(struct store *s, int64_t (*clock)(void *arg), uint64_t (*token)(void *arg),
                     void *arg);
struct sqlite3 *store_sqlite(struct store *s); /* the connection; NULL for another backend */
