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

#include "store/finding.h"
#include "store/ready.h"
#include "store/store.h"

/* Kept in one row, written once per commit. */
struct tally {
    int64_t counts[JOB_STATES];
    int64_t next_job, next_event, next_result, next_purge;
    int64_t next_slot;      /* of the hosts of merged sets: where their ports are */
    int64_t created_max_us; /* of all jobs ever stored */
    int64_t next_audit;
    uint8_t audit_head[32]; /* hash of the last entry */

    int64_t planned_running; /* of counts[JOB_RUNNING]: planned jobs */
    int64_t tasks_timed;     /* of planned jobs: those that are scheduled or wait, */
    int64_t tasks_unmerged;  /* and those whose results are to be merged */
    int64_t next_merge;
    int64_t next_issue, next_line;
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
    int64_t result;  /* number of the set of hosts of its run; 0: none */
    int64_t reports; /* number of the last one of its run that was applied; 0: none */
};

struct host_counts {
    int64_t hosts, hosts_up, ports_open;
};

/* What more is kept of a task of a planned job: what of a plain job's task is kept of the job. */
struct part {
    char *queue; /* owned; NULL: "net" */
    int64_t weight;
    bool found_only, repeats;
    int32_t percent_x100;
    enum job_reason reason;
    bool partial;
    char *error, *command_line; /* owned */
    int64_t started_us, ended_us;
    struct host_counts counts; /* of row.result */
    int64_t merge;             /* its place in the order of ends while its results are to be merged
                                  into the job's; 0: there are none (left) */
    int64_t merge_pos;         /* how far that is; of store_merge_step() alone */
};

/* How far a planned job is. */
struct board {
    int32_t tasks;          /* made so far */
    int32_t tasks_left;     /* not over; */
    int32_t tasks_queued;   /* of these: can be claimed */
    int32_t tasks_unmerged; /* over, with results that are not yet in the job's */
    int64_t result;         /* number of the job's own set of hosts; 0: none yet */
};

/*
 * A job as the rules change it. A plain one with its only task: the two move together, and what is
 * told of the one is told of the other. A planned one with the task that was asked for (if any),
 * which moves on its own.
 */
struct work {
    struct job job;
    struct task_row row;
    struct part part; /* these two: of a planned job */
    struct board board;
};

/* A task by its place. */
struct task_at {
    int64_t job_num;
    int32_t idx;
};

/* The ports of a host: rows that follow each other, of so many that are open. */
struct host_rows {
    int64_t first, n, n_open;
};

/* A host of a merged set, beside its head. */
struct merged_host {
    int64_t result, seq;
    int64_t slot;  /* where its ports are */
    int64_t marks; /* which stage said what of it: merge_host.c */
    int64_t n_ports, n_open;
};

/* A run that delivers hosts. */
struct intake {
    struct lease lease;
    int64_t job_num, result;             /* of the task lease.idx */
    int64_t hosts, hosts_up, ports_open; /* of complete hosts */
    int64_t ports;                       /* rows of complete hosts */
    bool open;                           /* a host is being received: */
    bool up;
    struct host head; /* a copy, in its arena */
    int64_t n_ports, n_open;
    bool reparse;  /* of a job that has ended: nothing shows before its end */
    int64_t noted; /* of a reparse: its set is to be removed, under this number, unless it ends */
    bool changed;  /* since the last commit */
    struct scan *scan; /* owned; of a repository scan: with what it reported so far */
    size_t scan_text;  /* bytes of it that are compared at the end */
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
    /* The large texts: pins, limits, plan, repo, stderr_tail, sandbox_json, run_json,
     * summary_json. What is NULL stays. */
    int (*job_text_put)(struct store *s, const struct job *j);
    /* Fills them; they are NULL before. */
    int (*job_text_get)(struct store *s, struct job *j);
    /* By id, or by num when id is NULL. *out is zeroed before, and comes without the texts. */
    int (*job_find)(struct store *s, const struct id *id, int64_t num, struct job *out);
    int (*job_num)(struct store *s, const struct id *id, int64_t *num);
    /* Job, its tasks, coverage, blob rows. */
    int (*job_drop)(struct store *s, int64_t num, bool planned);
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
    /* Gives fn each that can be claimed, in any order; a plain job's has idx 0. */
    int (*task_ready)(struct store *s, void (*fn)(void *arg, const struct ready_task *t),
                      void *arg);
    int (*task_reports)(struct store *s, int64_t job_num, int32_t idx, int64_t reports);
    int (*task_running)(struct store *s, task_fn fn, void *arg); /* by job, idx */
    /* Scheduled or waiting, and run_at_us <= now; by that, then job, idx. */
    int (*task_due)(struct store *s, int64_t now_us, uint32_t limit, struct task_at *v,
                    uint32_t *n);
    int (*task_due_next)(struct store *s, int64_t *next_us);
    /* Waiting, by job, idx, from the one behind `after` on. */
    int (*task_waiting)(struct store *s, struct task_at after, uint32_t limit, struct task_at *v,
                        uint32_t *n);

    /* Planned jobs. Of the job: id, key, priority, and whether it runs. */
    int (*board_add)(struct store *s, const struct job *j, const struct board *b);
    int (*board_put)(struct store *s, const struct job *j, const struct board *b);
    int (*board_find)(struct store *s, int64_t job_num, struct board *out); /* ERR_NOT_FOUND */
    /* The first job that runs with nothing left and nothing unmerged; 0: none. */
    int (*board_ripe)(struct store *s, int64_t *job_num);
    /* A new task with its part. */
    int (*part_add)(struct store *s, const struct task_row *r, const struct part *p,
                    const char *spec);
    int (*part_put)(struct store *s, const struct task_row *r, const struct part *p);
    int (*part_find)(struct store *s, int64_t job_num, int32_t idx, struct part *out);
    int (*part_spec)(struct store *s, int64_t job_num, int32_t idx, char **spec);
    /* Tasks that neither run nor are over end like this; *n is how many. */
    int (*part_end_idle)(struct store *s, int64_t job_num, enum job_state state,
                         enum job_reason reason, const char *error, int64_t now_us, int64_t *n);
    int (*parts)(struct store *s, int64_t job_num, int32_t after, uint32_t limit, task_info_fn fn,
                 void *arg);
    /* What is next in the order of ends, among those whose `merge` is set; job_num 0: none. */
    int (*part_to_merge)(struct store *s, struct task_at *out);
    /* Calls with what each task leaves behind: its set of hosts (0: none), its raw file and where
     * else that is, or NULL. */
    int (*part_remains)(struct store *s, int64_t job_num,
                        int (*fn)(struct store *s, int64_t result, const char *path,
                                  const char *uri));

    int (*cell_add)(struct store *s, int64_t job_num, int32_t idx, size_t seq,
                    const struct coverage_cell *c);
    int (*cells)(struct store *s, int64_t job_num, cell_fn fn, void *arg);

    /* A complete host: its ports were put before. */
    int (*host_put)(struct store *s, int64_t result, int64_t seq, const struct host *head,
                    const struct host_rows *r);
    int (*port_put)(struct store *s, int64_t result, int64_t n, int64_t seq, const struct port *p);
    /* Removes what follows the first n_hosts hosts and their ports; tells how many ports stay. */
    int (*result_cut)(struct store *s, int64_t result, int64_t n_hosts, int64_t *n_ports);
    int (*hosts)(struct store *s, int64_t result, const struct host_filter *f,
                 const struct host_sink *sink);

    /* A complete host of a plain set gets its place in the order of addresses. */
    int (*host_place)(struct store *s, int64_t result, int64_t seq, const uint8_t key[HOST_KEY]);

    /* Merged sets. The hosts of set `from` behind `seq`, and of the first of them the ports behind
     * the first `port`; a positive return of the sink stops and is returned. The sink writes to
     * merged sets meanwhile. */
    int (*merge_source)(struct store *s, int64_t from, int64_t seq, int64_t port,
                        const struct host_sink *sink);
    int (*merged_find)(struct store *s, int64_t result, const uint8_t key[HOST_KEY], int64_t *seq);
    /* By result and seq. head: NULL, or its strings are copied into its arena, the caller's. */
    int (*merged_get)(struct store *s, struct merged_host *m, struct host *head);
    /* Adds or replaces. key: its place, of a new one; else NULL. */
    int (*merged_put)(struct store *s, const struct merged_host *m, const struct host *head,
                      const uint8_t *key);
    int (*merged_count)(struct store *s, const struct merged_host *m); /* n_ports, n_open */
    /* Strings are copied into the arena. */
    int (*merged_port_get)(struct store *s, const struct merged_host *m, int32_t key,
                           struct arena *a, struct port *out, int32_t *stage, bool *found);
    int (*merged_port_put)(struct store *s, const struct merged_host *m, int32_t key,
                           const struct port *p, int32_t stage);

    /* Repository scans. Adds or replaces. */
    int (*scan_put)(struct store *s, const struct scan *sc);
    int (*scan_find)(struct store *s, int64_t job_num, struct scan *out); /* then scan_done() */
    int (*scan_drop)(struct store *s, int64_t job_num);
    /* A finding by finding_id(), in growing order in each set. */
    int (*finding_put)(struct store *s, int64_t id, const struct finding_head *h, const void *body,
                       size_t n);
    int (*verdict_put)(struct store *s, int64_t id, const struct verdict *v);
    /* By seq, behind `after`; a positive return of fn stops and is returned. */
    int (*findings)(struct store *s, int64_t result, int64_t after, head_fn fn, void *arg);
    int (*verdicts)(struct store *s, int64_t result, int64_t after, verdict_fn fn, void *arg);
    int (*body_get)(struct store *s, int64_t id, struct buf *out, bool *found);
    int (*body_free)(struct store *s, int64_t id); /* removes it, unless its finding is there */
    int (*issue_add)(struct store *s, const struct issue *i);
    int (*issue_put)(struct store *s, const struct issue *i);
    /* All but kind, rule, severity, open, the triage and its note. */
    int (*issue_touch)(struct store *s, const struct issue *i);
    int (*issue_drop)(struct store *s, int64_t num);
    int (*issue_find)(struct store *s, int64_t num, issue_fn fn, void *arg); /* ERR_NOT_FOUND */
    /* The greatest number below, 0: none. */
    int (*issue_before)(struct store *s, const struct issue_range *r, int64_t below, int64_t *num);
    int (*issues_of)(struct store *s, int64_t line, issue_fn fn, void *arg);    /* in any order */
    int (*issues_noted)(struct store *s, int64_t line, issue_fn fn, void *arg); /* by number */
    /* expires_us is set and <= now; by that, then number. *next: the least that is set. */
    int (*issue_due)(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n);
    int (*issue_due_next)(struct store *s, int64_t *next_us);
    int (*kind_add)(struct store *s, const struct kind *k);
    int (*kinds)(struct store *s, kind_fn fn, void *arg); /* by number */
    int (*line_put)(struct store *s, const struct line *l);
    /* By key, or by num when that is NULL. Then line_done(). */
    int (*line_find)(struct store *s, const char *key, int64_t num, struct line *out);
    /* By key, behind `after`; a positive return of fn stops and is returned. */
    int (*lines)(struct store *s, const char *after, line_fn fn, void *arg);
    /* Issues of the line that are gone (issue_shows()), and the line itself if no job of it and no
     * issue is left: removed in purge_step()s. */
    int (*purge_line)(struct store *s, int64_t id, int64_t line);

    int (*blob_put)(struct store *s, const struct task *t, const struct outcome *o);
    /* Both NULL: none. Each may be NULL if it is not asked for. */
    int (*blob_get)(struct store *s, int64_t job_num, int32_t idx, char **path, char **uri);
    int (*blob_move)(struct store *s, int64_t job_num, int32_t idx, const char *uri);
    int (*blobs_local)(struct store *s, uint32_t limit, blob_fn fn, void *arg); /* by job, idx */
    int (*orphan_add)(struct store *s, int64_t id, const char *uri);
    int (*orphans)(struct store *s, uint32_t limit, orphan_fn fn, void *arg); /* by id */
    int (*orphan_drop)(struct store *s, int64_t id);
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
    /* seq of the last of the oldest `limit` events that are all older, up to number `upto`; 0:
     * none. */
    int (*event_older)(struct store *s, int64_t before_us, int64_t upto, uint32_t limit,
                       int64_t *last, int64_t *n);
    int (*event_drop)(struct store *s, int64_t last); /* up to and including */

    /* Adds, or replaces that of the same job. */
    int (*origin_put)(struct store *s, int64_t job_num, const struct id *job,
                      const struct origin *o);
    /* By job, or by number when that is NULL. Strings are copies. */
    int (*origin_find)(struct store *s, const struct id *job, int64_t job_num, struct origin *out,
                       bool *found);
    int (*origin_gone)(struct store *s, int64_t job_num, int64_t seq); /* the job is */
    int (*origin_drop)(struct store *s, int64_t last); /* of jobs gone by that event or before */
    int (*cursor_get)(struct store *s, const char *name, int64_t *seq); /* 0: there is none */
    int (*cursor_put)(struct store *s, const char *name, int64_t seq, int64_t now_us);
    int (*cursor_least)(struct store *s, int64_t since_us, int64_t *seq); /* put since; as it was
                                                                             if there is none */
    int (*dead_put)(struct store *s, const struct dead_letter *d);
    int (*dead_bounds)(struct store *s, int64_t *first, int64_t *last); /* 0: there are none */
    int (*dead_drop)(struct store *s, int64_t last);                    /* up to and including */
    int (*deads)(struct store *s, int64_t before, uint32_t limit, dead_fn fn, void *arg);
    int (*memo_put)(struct store *s, const char *name, const char *value); /* NULL: none */
    int (*memo_get)(struct store *s, const char *name, char **value);

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
    struct ready *ready;     /* what can be claimed, this turn's changes included */
    struct key_tally **keys; /* by key */
    size_t n_keys, size_keys;
    bool keys_changed;
    struct kinds *kinds;    /* NULL: not read */
    size_t line_issues_max; /* LINE_ISSUES_MAX, but in tests */
    int64_t (*clock)(void *arg);
    uint64_t (*token)(void *arg); /* NULL, but in tests */
    void *hook_arg;
    uint8_t secret[32]; /* which tokens are made from; the backend knows it */
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
/* It was the last one that had this lease, and nobody took it away. */
bool task_claimed(const struct task *t, const struct lease *l);
/* Begins a run: a new lease. */
void task_lease(struct store *s, struct task_row *r, const char *worker);
int task_claim(struct store *s, struct work *w, const char *worker); /* of a queued one. Saves */
int task_queue(struct store *s, struct work *w, int64_t now_us);     /* of a timed one. Saves */
/* Of this claim, from the secret alone; never 0. */
uint64_t token_made(const struct store *s, const struct id *job, int32_t idx, uint32_t epoch);
uint64_t store_token(struct store *s, const struct id *job, int32_t idx, uint32_t epoch);
int store_whole(struct store *s);      /* 0, or the failure that broke this turn */
int store_load_ready(struct store *s); /* the last step of a backend's opening */
int store_begin(struct store *s);      /* before the first write of a change */
/* The end of every public function: hands out the message; a change breaks the turn if need be. */
int store_read_end(struct store *s, int rc, struct err *e);
int store_change_end(struct store *s, int rc, struct err *e);
int64_t store_now(struct store *s);

/*
 * Loads a job (by id, or by num when id is NULL): a plain one with its task, a planned one with its
 * board; and what its intake counted since the last commit. Then work_done().
 */
int work_load(struct store *s, const struct id *id, int64_t num, struct work *w);
/* The same with one of its tasks; ERR_NOT_FOUND: there is no such task. */
int work_load_task(struct store *s, const struct id *id, int64_t num, int32_t idx, struct work *w);
void work_done(struct work *w);
/* The job, and the task with it if the job is plain. */
void work_move(struct store *s, struct work *w, enum job_state to);
/* Job (rev + 1), its event, and the task if the job is plain. */
int work_save(struct store *s, struct work *w, const char *event, const char *task);
int work_end(struct store *s, struct work *w, enum job_state state, enum job_reason reason,
             const char *error);
/* As it is written down: NULL for "net", which most are of. Lends its argument. */
char *queue_kept(const char *queue);
/* The task can be claimed from now on, or no more. */
void work_ready(struct store *s, const struct work *w, bool yes);
void work_enqueue(struct work *w, int64_t now_us); /* queue time limit starts */
/* Counts of the hosts of the task's run: kept of a plain job, or of a planned job's task. */
struct host_counts work_counts(const struct work *w);
void work_count(struct work *w, struct host_counts c);

/* ---- planned.c ---- */

/* A task of a planned job moves alone; the counters follow. */
void part_move(struct store *s, struct work *w, enum job_state to);
int part_save(struct store *s, struct work *w); /* task, part, board; no rev, no event */
int board_save(struct store *s, struct work *w);
/* What claim, finish, ... mean to such a task. They save. */
int part_start(struct store *s, struct work *w);
int part_queue(struct store *s, struct work *w);
int part_put_back(struct store *s, struct work *w, int64_t until_us);
int part_retry(struct store *s, struct work *w, const struct outcome *o, int64_t retry_at_us);
int part_finish(struct store *s, struct work *w, const struct outcome *o);
/* Ends the task (part_move, part_save), and tells it as an event of its job. */
int part_end(struct store *s, struct work *w, enum job_state state, enum job_reason reason,
             const char *error);
/* Ends those that neither run nor are over; the board is not yet saved. */
int parts_end_idle(struct store *s, struct work *w, enum job_state state, enum job_reason reason,
                   const char *error);
/* All results of the task are in the job's: its own set is removed later. Saves. */
int part_merged(struct store *s, struct work *w);
/* What is left of a job's tasks goes with it. */
int parts_discard(struct store *s, struct work *w);
/* Texts are borrowed. */
struct task_info part_info(const struct task_row *r, const struct part *p, const char *spec);
int cells_add(struct store *s, const struct work *w, const struct outcome *o);
void text_set(char **at, const char *text); /* replaces by a copy */

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
int event_append(struct store *s, const char *type, const struct id *job, const char *data);
const char *event_type_name(int type);
int event_type_num(const char *name);

struct intake *intake_of(struct store *s, int64_t job_num, int32_t idx);
/* The run's, ready for a write; made if need be. ERR_FENCED. */
int intake_for(struct store *s, const struct lease *l, struct intake **out);
/* Counts of a plain job that are not in its row yet; a planned one's are of what is merged. */
void intake_overlay(struct store *s, struct job *j);
void intake_drop(struct store *s, int64_t job_num, int32_t idx);
void intake_drop_all(struct store *s);
int intake_flush(struct store *s); /* before a commit: counts and events */
/* Before a run ends: its unfinished host goes, its counts are told. */
int intake_end(struct store *s, struct work *w);
bool intake_reparses(const struct store *s); /* of any job */
/* Forgets a run's results; they and the raw file are removed later. */
int result_discard(struct store *s, struct work *w, const char *raw_path);
/* What is in object storage is to be removed. NULL is fine. */
int orphan_add(struct store *s, const char *uri);

/* ---- merged sets ---- */

/* What is told before the ports, with strings in the arena, which is to->arena from then on. The
 * arrays that `to` has are used again. */
void head_copy(struct host *to, const struct host *from, struct arena *a);
/* Where a port is among those of its host: tcp, udp, sctp, ip, all else, each by number. */
enum { PORT_KEYS = 8 << 16 };
int32_t port_key(const struct port *p);

/* ---- for tests ---- */

/* Both run the same for two stores that are compared. token NULL: as made from the secret. */
void store_set_secret(struct store *s, const uint8_t secret[32]);
void store_set_hooks(struct store *s, int64_t (*clock)(void *arg), uint64_t (*token)(void *arg),
                     void *arg);
struct sqlite3 *store_sqlite(struct store *s); /* the connection; NULL for another backend */
