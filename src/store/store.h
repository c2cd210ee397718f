/*
 * store - durable jobs, tasks, results, events and keys behind one interface.
 *
 * Two implementations share one conformance suite: "sqlite:DIR" (DIR/scanpod.db, WAL,
 * synchronous=FULL) and "mem:" (the reference in tests, and `scanpod run`).
 *
 * All changes since the last commit are one transaction. store_commit() makes them durable
 * together; the loop calls it once per turn, before any reply leaves. Reads see the turn's own
 * changes. If any change failed for a reason that is ours (disk full, I/O), the turn is broken:
 * every later change fails the same way and store_commit() undoes all of it and says why.
 * A change refused for its own sake (ERR_INVALID, ERR_CONFLICT, ERR_FENCED, ERR_NOT_FOUND,
 * ERR_BUSY) changes nothing and breaks nothing.
 *
 * Exactly one process has a store open for writing (a lock file with its pid). One thread only.
 * Nothing here waits for anything but the disk. Each change of a job adds one to its rev and
 * appends one event in the same transaction.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "model/host.h"
#include "model/job.h"

struct store;

struct store_limits {
    int64_t max_jobs;    /* all retained jobs, as in the old service; 0: no cap */
    int64_t max_waiting; /* scheduled + queued + waiting; 0: no cap */
};

int store_open(const char *url, struct store **out, struct err *e);
/*
 * Takes DIR/lock (makes DIR if it is missing) before anything is opened, so that processes forked
 * in between inherit the lock and hold it for as long as they live. ERR_CONFLICT names the process
 * that has it; a lock that only the children of a dead process hold is waited for, at most 5 s.
 */
int store_lock(const char *dir, int *fd, struct err *e);
/* store_open() under a lock that is already held; takes lock_fd on success. */
int store_open_locked(const char *url, int lock_fd, struct store **out, struct err *e);
int store_lock_fd(const struct store *s); /* borrowed; -1: the backend has none */
void store_close(struct store *s);        /* undoes what was not committed; NULL is fine */
void store_set_limits(struct store *s, const struct store_limits *l);
int store_commit(struct store *s, struct err *e);
void store_rollback(struct store *s);
bool store_dirty(const struct store *s); /* something to commit */
/* Housekeeping when there is time: passive checkpoint when the log is large. Never in a commit. */
void store_idle(struct store *s);
int store_check(struct store *s, struct err *e); /* integrity_check; slow */

/* ---- jobs ---- */

/*
 * Adds a queued job with one task; if run_at_us is set, a scheduled one, or a waiting one if
 * j->state says so. j->id, created_us and the request members are set by the caller; num, rev and
 * state are set here. ERR_BUSY over a cap, the message says which and what to do.
 */
int store_job_add(struct store *s, struct job *j, struct err *e);
/* Fills a zeroed *out; the caller job_done()s it. */
int store_job_get(struct store *s, const struct id *id, struct job *out, struct err *e);

struct job_filter {
    uint32_t states;   /* bit set of 1u << JOB_*; 0: all */
    const char *tool;  /* NULL: all */
    int64_t since_us;  /* created at or after; 0: all */
    bool oldest_first; /* order of arrival; default: newest first */
    int64_t after;     /* cursor: num of the last one seen; 0: from the start */
    uint32_t limit;    /* at most 1000; 0 is 1000 */
};

/*
 * Calls fn for each; a non-zero return stops and is returned. The job is borrowed, and comes
 * without the large texts (pins, limits, plan, repo, stderr_tail, sandbox_json, run_json,
 * summary_json), which only store_job_get() reads. No callback of this header may call the store.
 */
typedef int (*job_fn)(void *arg, const struct job *j, struct err *e);
int store_job_list(struct store *s, const struct job_filter *f, job_fn fn, void *arg,
                   struct err *e);

/* Only ids and states, for lists of thousands. */
typedef int (*job_head_fn)(void *arg, int64_t num, const struct id *id, enum job_state state);
int store_job_heads(struct store *s, const struct job_filter *f, job_head_fn fn, void *arg,
                    struct err *e);

/* Maintained, never computed. [JOB_STATES] */
void store_job_counts(struct store *s, int64_t counts[JOB_STATES]);

/*
 * Queued, scheduled, waiting: cancelled at once. Running: cancel_requested is set, the worker is
 * told by the caller. *now is the state afterwards. ERR_CONFLICT when terminal (also cancelled).
 */
int store_job_cancel(struct store *s, const struct id *id, enum job_state *now, struct err *e);
/* Only terminal jobs; ERR_CONFLICT else. Results and raw files go in store_purge_step()s. */
int store_job_delete(struct store *s, const struct id *id, struct err *e);
/* All terminal ones at once, *n is how many. */
int store_job_delete_finished(struct store *s, int64_t *n, struct err *e);
/* Terminal jobs completed before `before_us`, at most `limit`. *n is how many. */
int store_job_expire(struct store *s, int64_t before_us, uint32_t limit, int64_t *n, struct err *e);
/* Removes a bounded number of rows of deleted jobs. When all rows of a job are gone and it had a
 * raw file, its path is given (caller frees) so that the caller unlinks it and then calls
 * purge_done. *more: call again. Nothing is removed while a reparse is under way. */
int store_purge_step(struct store *s, uint32_t max_rows, bool *more, char **raw_path,
                     int64_t *purge_id, struct err *e);
int store_purge_done(struct store *s, int64_t purge_id, struct err *e);

/* ---- tasks and leases ---- */

/*
 * Leases the next runnable task of one of `queues` (names of model/queue.h; NULL: of any): highest
 * priority; of the keys that have such tasks, and are not among `blocked` (ids of keys that may run
 * no more now; NULL: none), the one whose turn it is (each claim costs a key the same, a key that
 * had nothing to do does not save up); of that key the oldest job's first task. What is ready is
 * kept in memory, rebuilt when the store is opened. Its job becomes running (the first time:
 * started_us). *out is false if there is none. The caller job_done()s *job, whose queue is the
 * task's, never NULL. The token is made from a secret of the store and (job, idx, epoch):
 * store_task_adopt() knows old ones again.
 */
int store_task_claim(struct store *s, const char *worker, const struct strvec *queues,
                     const struct strvec *blocked, struct task *task, struct job *job, bool *out,
                     struct err *e);
/* Renews: beat + 1. ERR_FENCED if the lease is not the current one. *cancel: the job wants to end.
 */
int store_task_renew(struct store *s, const struct lease *l, bool *cancel, struct err *e);
/* Progress of the run, as an event, at most a few per second. Also renews. */
int store_task_progress(struct store *s, const struct lease *l, const struct progress *p,
                        struct err *e);
/*
 * Ends the run. A retryable failure with attempts left goes back to scheduled with run_at_us =
 * retry_at_us and its results are removed; everything else makes the job terminal. Applying the
 * same end twice is 0 and changes nothing. *job_state (may be NULL) is the job's state afterwards;
 * of a planned job's task the task's own, here and in store_task_lost().
 */
int store_task_finish(struct store *s, const struct lease *l, const struct outcome *o,
                      int64_t retry_at_us, enum job_state *job_state, struct err *e);
/*
 * Takes a task from a worker that is gone: lost + 1, back to queued without the results of that
 * run, or failed with worker_lost at the TASK_MAX_LOSTth loss, or cancelled if that was asked
 * (complete hosts are then kept, partial). Compares (epoch, token, beat): ERR_FENCED. Whoever
 * counts the time of the lease itself, so that a beat or progress of the run is no news to it,
 * gives TASK_BEAT_ANY.
 */
enum { TASK_BEAT_ANY = INT32_MAX };
int store_task_lost(struct store *s, const struct lease *l, uint32_t beat,
                    enum job_state *job_state, struct err *e);
/* Gives a task back unstarted (drain): queued again, nothing charged; cancelled if asked for. */
int store_task_release(struct store *s, const struct lease *l, struct err *e);
/* The same, but waiting until then: the key's scan window is closed. store_task_due() brings it
 * back. A job that waits has no queue time limit. */
int store_task_wait(struct store *s, const struct lease *l, int64_t until_us, struct err *e);

typedef int (*task_fn)(void *arg, const struct task *t, struct err *e);
int store_task_running(struct store *s, task_fn fn, void *arg, struct err *e);
/* Scheduled and waiting tasks whose time has come become queued, at most 1000 a call. *next_us:
 * when the next one is due (in the past when there are more), 0: none. */
int store_task_due(struct store *s, int64_t now_us, int64_t *next_us, struct err *e);
/* Waiting tasks become queued before their time, because the windows may have changed; at most
 * 1000 a call, from number *after on. *after: where the next call goes on, 0: that was all. */
int store_task_wake(struct store *s, int64_t *after, struct err *e);
/* Fails jobs that waited longer than their queue time limit, which starts anew whenever a job
 * becomes queued. *next_us as above. */
int store_queue_expire(struct store *s, int64_t now_us, int64_t *next_us, struct err *e);
/* True if something is runnable now, in one of the queues (NULL: in any). */
bool store_task_ready(struct store *s, const struct strvec *queues);

/* What waits, by queue; also those where nothing does any more. */
struct queue_depth {
    const char *queue;
    int64_t ready;     /* tasks that can be claimed */
    int64_t oldest_us; /* when the oldest job among them was created; 0: none */
};
void store_queues(struct store *s, void (*fn)(void *arg, const struct queue_depth *q), void *arg);

/*
 * A report from far away is about to be applied: *fresh if it is the next one of this run (seq 1,
 * 2, ...; remembered in this transaction), false if it was applied before, also when the run is
 * over since. ERR_CONFLICT: one before it is missing; ERR_FENCED.
 */
int store_task_report(struct store *s, const struct lease *l, uint64_t seq, bool *fresh,
                      struct err *e);
/*
 * A worker has the complete result of a run whose lease is over. ERR_FENCED: the store never gave
 * that lease, or the job is gone; ERR_CONFLICT: the task has ended. Else the task is leased anew,
 * to `worker`, in place of the run that it has now (what that one stored is dropped, it is fenced),
 * and *now is the lease under which the result is to be delivered. Charges nothing.
 */
int store_task_adopt(struct store *s, const struct lease *old, const char *worker,
                     struct lease *now, struct err *e);

/* ---- results ---- */

/*
 * Streams a host under a lease: begin, ports, end. A host that was begun and not ended is undone
 * by host_abort, by the job's next begin, and by the end of the run; no list shows it. seq counts
 * hosts of the job from 1. Each run may have one host open, also over several turns: _port, _end
 * and _abort are for the run of the last begin or select (ERR_CONFLICT: it has no host open; after
 * an undone turn none has).
 */
int store_host_begin(struct store *s, const struct lease *l, const struct host *head, int64_t *seq,
                     struct err *e);
int store_host_port(struct store *s, const struct port *p, struct err *e);
int store_host_end(struct store *s, struct err *e);
int store_host_abort(struct store *s, struct err *e);
/* Goes on with the host of another run: call it when the records of several runs alternate. */
int store_host_select(struct store *s, const struct lease *l, struct err *e);

struct host_filter {
    const char *state; /* host state, NULL: all */
    bool open_only;    /* hosts with at least one open port */
    int64_t after;     /* cursor: seq of the last one seen */
    uint32_t limit;    /* hosts, at most 1000; 0 is 1000 */
    bool by_address;   /* in the order of host_key(), those without an address last, then by seq:
                          goes on behind (after_key, after), of which after_key NULL is the start */
    const uint8_t *after_key; /* HOST_KEY bytes; of a host without an address: all 255 */
};

int store_hosts(struct store *s, int64_t job_num, const struct host_filter *f,
                const struct host_sink *sink, struct err *e);

/* The hosts of one task's run, also of a planned job's; nothing once they are merged and gone. */
int store_task_hosts(struct store *s, int64_t job_num, int32_t idx, const struct host_filter *f,
                     const struct host_sink *sink, struct err *e);

/* ---- planned jobs: many tasks, one result ---- */

/*
 * A job whose `plan` is set is added without a task; its tasks come in the same transaction, by
 * store_task_add(). It is running from the first claim until store_job_settle(), whatever its tasks
 * do: they are queued, scheduled (back-off), waiting (window) and end one by one. The job's state
 * is queued (or waiting, scheduled) before the first claim; then no task of it can be claimed
 * unless it is queued or running. percent_x100 of the job never goes down.
 */
struct task_new {
    const char *queue; /* model/queue.h; NULL: the job's */
    int32_t stage;
    int64_t weight;   /* what the task is of the stage's work: probes; at least 1 */
    const char *spec; /* plan_spec_write() */
    bool found_only;  /* it looks again at what an earlier stage found: see below */
    bool repeats;     /* it does again what another task of its stage did */
};
/* ERR_LIMIT: more than TASKS_MAX; ERR_CONFLICT: the job is not planned, is over, or was cancelled.
 * *first: idx of the first one, the others follow. */
int store_task_add(struct store *s, const struct id *job, const struct task_new *v, size_t n,
                   int32_t *first, struct err *e);

/* Borrowed for the call. */
struct task_info {
    struct task task;
    const char *spec;
    int64_t weight;
    int32_t percent_x100;             /* of a task that runs; -1 unknown */
    enum job_reason reason;           /* why it did not complete */
    const char *error, *command_line; /* of its last end; NULL: none yet */
    bool partial;
    int64_t started_us, ended_us;        /* of the last run; 0: not yet */
    int64_t hosts, hosts_up, ports_open; /* of its own results */
    bool merged;                         /* they are in the job's */
};
typedef int (*task_info_fn)(void *arg, const struct task_info *t, struct err *e);
/* By idx, after `after` (-1: from the start). A plain job has one, with what is known of it. */
int store_tasks(struct store *s, int64_t job_num, int32_t after, uint32_t limit, task_info_fn fn,
                void *arg, struct err *e);

/*
 * Results of a task that ended go into the job's, a bounded number of rows at a time, tasks in the
 * order of their ends; the task's own rows then go by store_purge_step(). *more: call again, in
 * this or a later turn; a crash loses nothing and doubles nothing.
 *
 * One host for each address (those without one stay apart), in the order in which they were first
 * seen. State: up wins over all else; the reason is that of the state which is kept. Names and
 * addresses are joined, within bounds (merge.h); least start, greatest end; os, scripts, comment,
 * more: the later stage's where it says something. A port (protocol, number) is replaced by that of
 * a later or the same stage, but keeps its service and its scripts where the new one has none and
 * the state is the same. A task that is found_only changes rows of ports that are there, adds those
 * that are open, and adds no other; its extraports are left out, as are those of a task that
 * repeats another. Other extraports are summed by state and reasons. timed_out: the last word of
 * the latest stage wins; a task that is found_only has none. It makes a host of an address only if
 * there is an open port; a host that is up because its tool was told so (reason "user-set") is one
 * from its first port, or sum of ports, that answered. Ports of merged hosts are in the order tcp,
 * udp, sctp, ip, then by number.
 */
int store_merge_step(struct store *s, uint32_t max_rows, bool *more, struct err *e);
/* Planned jobs that run, have no task that is not over, and nothing left to merge. */
int store_job_ripe(struct store *s, struct id *job, bool *found, struct err *e);
/* Ends such a job: o->state, reason, error, partial, summary_json, command_line, tool_version,
 * run_json, sandbox_json, confinement. ERR_CONFLICT: it is not ripe. */
int store_job_settle(struct store *s, const struct id *job, const struct outcome *o, struct err *e);
/* While it runs: its summary and progress (percent_x100 below what is stored is ignored). */
int store_job_progress(struct store *s, const struct id *job, const struct progress *p,
                       const char *summary_json, struct err *e);

/* ---- coverage ---- */

/* Cells come with the outcome of a run (of a run that is tried again they are dropped). Oldest task
 * first; borrowed for the call. */
typedef int (*cell_fn)(void *arg, int32_t task_idx, const struct coverage_cell *c, struct err *e);
int store_coverage(struct store *s, int64_t job_num, cell_fn fn, void *arg, struct err *e);

/* The raw output's file, relative to the blob directory; *path NULL if none. Caller frees. */
int store_raw_path(struct store *s, int64_t job_num, char **path, struct err *e);
/* The same of one task of a planned job. */
int store_task_raw_path(struct store *s, int64_t job_num, int32_t idx, char **path, struct err *e);
/* reparse: hosts of a terminal job are received anew, by host_begin with the lease that begin
 * gives. The old ones are there until store_reparse_end puts the new ones in their place; abandon,
 * the job's removal or a crash before that leave them as they are. ERR_CONFLICT: the job has not
 * ended, or a reparse of it is under way. */
int store_reparse_begin(struct store *s, const struct id *id, struct lease *l, struct err *e);
int store_reparse_end(struct store *s, const struct lease *l, bool partial, const char *run_json,
                      struct err *e);
int store_reparse_abandon(struct store *s, const struct lease *l, struct err *e);

/* ---- events ---- */

struct event {
    int64_t seq; /* 1, 2, ...: the SSE id */
    int64_t at_us;
    const char *type; /* "job.created", "job.state", "job.progress", "job.hosts", "job.deleted",
                         "job.task" (a task of a planned job ended: {"task","stage",
                         "task_state"}; of those that a cancel ended no one is told),
                         "job.findings", "repo.findings", "finding.triage" (findings.h) */
    struct id job_id;
    const char *data; /* JSON object */
};
typedef int (*event_fn)(void *arg, const struct event *ev, struct err *e);
/* Committed events after `seq`, oldest first. */
int store_events(struct store *s, int64_t after, uint32_t limit, event_fn fn, void *arg,
                 struct err *e);
int64_t store_event_last(const struct store *s); /* newest committed; 0: none yet */
int64_t store_event_first(struct store *s);      /* oldest kept; 0: none */
/* Those from before then, oldest first, at most `limit`; but none that a reader of the log, whose
 * cursor was put in the last CURSOR_KEEP_DAYS, has yet to read: it loses nothing. One that stayed
 * away for longer finds the log begin behind its cursor. */
int store_event_expire(struct store *s, int64_t before_us, uint32_t limit, int64_t *n,
                       struct err *e);

/* ---- what came through a queue, and what is told to whom ---- */

/* Where a job came from, other than HTTP: who wants to hear of it. Written with the job. */
struct origin {
    const char *intake;   /* name */
    const char *task_id;  /* "" none */
    const char *reply_to; /* "" none */
    const char *correlation;
    int32_t form; /* edge/edge.h */
};
int store_origin_put(struct store *s, int64_t job_num, const struct origin *o, struct err *e);
/* Strings are owned by the caller: origin_done(). *found. Also of deleted jobs, while their events
 * are kept. */
int store_origin_get(struct store *s, int64_t job_num, struct origin *out, bool *found,
                     struct err *e);
/* The same by what an event says. */
int store_origin_of(struct store *s, const struct id *job, struct origin *out, bool *found,
                    struct err *e);
void origin_done(struct origin *o);

/* How far a reader of the event log is; 0: at the start. Names are short words. While a reader puts
 * its cursor at least once in CURSOR_KEEP_DAYS, no event behind it expires. */
enum { CURSOR_KEEP_DAYS = 7 };
int store_cursor_get(struct store *s, const char *name, int64_t *seq, struct err *e);
int store_cursor_put(struct store *s, const char *name, int64_t seq, struct err *e);

/* Messages that were no requests. The newest 10,000 are kept. */
struct dead_letter {
    int64_t seq, at_us;
    const char *source;                  /* name of the intake */
    const char *task_id, *reason, *body; /* body: its beginning, valid UTF-8 */
};
int store_dead_add(struct store *s, const struct dead_letter *d, struct err *e);
typedef int (*dead_fn)(void *arg, const struct dead_letter *d, struct err *e);
int store_dead_list(struct store *s, int64_t after, uint32_t limit, dead_fn fn, void *arg,
                    struct err *e); /* newest first; after: seq of the last one seen, 0: start */
int64_t store_dead_count(struct store *s);

/* Short values by name: what a server has to remember about itself ("id", "drain:WORKER").
 * NULL removes. *value is the caller's, NULL if there is none. */
int store_memo_put(struct store *s, const char *name, const char *value, struct err *e);
int store_memo_get(struct store *s, const char *name, char **value, struct err *e);

/* ---- raw output elsewhere ---- */

/* Files that are not in object storage yet, at most `limit` (0 is 1000), oldest first. */
typedef int (*blob_fn)(void *arg, int64_t job_num, int32_t idx, const char *path, struct err *e);
int store_blobs_local(struct store *s, uint32_t limit, blob_fn fn, void *arg, struct err *e);
/* It is at `uri` now: the local file may go after the commit. ERR_NOT_FOUND: the job is gone, and
 * what is there is the caller's to remove. */
int store_blob_moved(struct store *s, int64_t job_num, int32_t idx, const char *uri, struct err *e);
/* *uri NULL: it is local. Caller frees. */
int store_blob_uri(struct store *s, int64_t job_num, int32_t idx, char **uri, struct err *e);
/* Objects whose jobs are gone, oldest first, `limit` as above: to be removed there, each then
 * store_blob_removed(). Their local names, too, come out of store_purge_step(), whether or not a
 * file is left. */
typedef int (*orphan_fn)(void *arg, int64_t orphan, const char *uri, struct err *e);
int store_blobs_orphaned(struct store *s, uint32_t limit, orphan_fn fn, void *arg, struct err *e);
int store_blob_removed(struct store *s, int64_t orphan, struct err *e);

/* ---- idempotency ---- */

/* Remembers (key_id, idem) -> job until idem_expire. fingerprint: hash of the body.
 * ERR_CONFLICT: it is remembered already. */
int store_idem_get(struct store *s, const char *key_id, const char *idem, uint8_t fingerprint[32],
                   struct id *job, bool *found, struct err *e);
int store_idem_put(struct store *s, const char *key_id, const char *idem,
                   const uint8_t fingerprint[32], const struct id *job, int64_t now_us,
                   struct err *e);
int store_idem_expire(struct store *s, int64_t before_us, struct err *e);

/* ---- keys ---- */

/* What a key may do: a bit set. */
enum key_scope {
    KEY_READ = 1,
    KEY_SUBMIT_NETWORK = 2,
    KEY_SUBMIT_REPO = 4,
    KEY_CANCEL = 8,
    KEY_ADMIN = 16,      /* keys, policy, audit, deleting: and everything above */
    KEY_RAW = 32,        /* scans with raw sockets */
    KEY_AGGRESSIVE = 64, /* what the policy allows beyond safe scripts and plain options */
    KEY_ALL = 127,
};
struct key_scope_row {
    const char *name; /* "submit:network" */
    unsigned bit;
    const char *help;
};
extern const struct key_scope_row key_scopes[]; /* ends with name NULL */
/* "read,cancel"; ERR_INVALID names the word that is none. */
int key_scopes_parse(const char *s, unsigned *out, struct err *e);
void key_scopes_text(unsigned scopes, struct buf *out);

struct key_quota {             /* 0: no limit */
    int32_t waiting;           /* jobs that wait at the same time */
    int32_t jobs_per_day;      /* accepted in 24 hours */
    int64_t addresses_per_day; /* asked for in 24 hours */
};

struct key {
    char id[17]; /* shown, logged: 16 hex */
    char name[65];
    uint8_t hash[32]; /* SHA-256 of the secret, which is 256 random bits */
    unsigned scopes;
    int64_t created_us, expires_us, revoked_us, last_used_us; /* expires_us 0: never */
    struct key_quota quota;
};
/* ERR_CONFLICT: the id, or the name among those in force, is taken. */
int store_key_add(struct store *s, const struct key *k, struct err *e);
/* Once more is 0 and changes nothing. */
int store_key_revoke(struct store *s, const char *id_or_name, int64_t now_us, struct err *e);
typedef int (*key_fn)(void *arg, const struct key *k, struct err *e);
int store_keys(struct store *s, key_fn fn, void *arg, struct err *e); /* revoked ones too */
int store_key_used(struct store *s, const char *id, int64_t now_us, struct err *e);
/*
 * Charges a submit to a key, before the job is added: ERR_BUSY names the quota that is used up
 * (or the cap of the store that store_job_add() would tell); *retry_s is when to try again, 0 if
 * the request alone is more than the quota. Usage is counted by hour, over the last 24; also of
 * keys without quotas. A refusal charges nothing.
 */
int store_key_charge(struct store *s, const struct key *k, int64_t addresses, int64_t now_us,
                     int32_t *retry_s, struct err *e);

/* ---- audit ---- */

/*
 * The log of who did what, append-only, written in the transaction of the change it tells of. Each
 * entry carries SHA-256(hash of the one before, its own canonical line), so that a changed, removed
 * or exchanged entry shows; a cut-off end shows against a head that was written down elsewhere.
 * store/audit.h has the canonical line. `detail` goes to clients byte for byte as it is stored, so
 * that they can compute the chain themselves; all text is valid UTF-8, or ERR_INVALID.
 */
struct audit {
    int64_t seq; /* 1, 2, ... */
    int64_t at_us;
    const char *actor;  /* key id, "config" (the configured key), "system", "cli" */
    const char *action; /* "scan.submit", "scan.refused", "scan.cancel", "key.create", ... */
    const char *object; /* job or key id, file; "" if none */
    const char *detail; /* JSON object: targets, rule, peer, ... */
    uint8_t hash[32];
};
int store_audit_add(struct store *s, const struct audit *a,
                    struct err *e); /* seq, hash: set here */
typedef int (*audit_fn)(void *arg, const struct audit *a, struct err *e);
/* Oldest first, after `after`. limit at most 1000. */
int store_audit_list(struct store *s, int64_t after, uint32_t limit, audit_fn fn, void *arg,
                     struct err *e);
/* 0: whole, *n entries up to *head. ERR_CONFLICT names the first entry that does not fit. `expect`:
 * a head that was exported (seq and hash), which must be in the chain; NULL: none. */
int store_audit_verify(struct store *s, const struct audit *expect, int64_t *n, uint8_t head[32],
                       struct err *e);

/* ---- figures for /metrics and doctor ---- */

struct store_stats {
    int64_t commits, commit_us_total, commit_us_max, ops, failed_commits;
    int64_t log_bytes; /* WAL */
};
void store_stats(struct store *s, struct store_stats *out);
