/*
 * sqlite - the backend in one file, DIR/scanpod.db. sqlite.c owns the connection; one file for each
 * noun has its statements. All of them are prepared, once, and found by the address of their text.
 */
#pragma once

#include <sqlite3.h>

#include "base/buf.h"
#include "store/internal.h"

enum { STMTS_MAX = 512, TOOLS_MAX = 64 };

struct migration {
    int version;
    const char *sql;
};
extern const struct migration sqlite_migrations[]; /* from schema/; ends with a zero version */

struct sqlite {
    struct store base;
    sqlite3 *db;
    int lock_fd;
    struct {
        const char *sql;
        sqlite3_stmt *st;
    } stmts[STMTS_MAX];     /* hash table by address */
    char *tools[TOOLS_MAX]; /* names; [i] has number i + 1 */
    int n_tools;
    int n_tools_committed;
    struct buf addrs, names; /* scratch: packed lists of a host */
    int log_frames;          /* in the WAL */
    int log_tried;           /* of them, when they were last moved into the database */
    bool dead;               /* fsync failed: nothing may be acknowledged any more */
};

static inline struct sqlite *sqlite_of(struct store *s)
{
    return (struct sqlite *)(void *)s;
}

/* NULL when it cannot be prepared: then sq_step() fails. `sql` is a static string. */
sqlite3_stmt *sq_stmt(struct sqlite *q, const char *sql);
/* Keeps the connection's message: "cannot WHAT: ..."; returns the ERR_* that fits. */
int sq_fail(struct sqlite *q, const char *what);
int sq_exec(struct sqlite *q, const char *sql, const char *what);
/* 1: a row, 0: the end (reset), or negative. */
int sq_step(struct sqlite *q, sqlite3_stmt *st, const char *what);
/* One statement without rows, or whose rows do not matter. */
int sq_run(struct sqlite *q, sqlite3_stmt *st, const char *what);

/* Parameters and columns in the order of the text. */
struct binder {
    sqlite3_stmt *st;
    int i;
};

static inline void b_int(struct binder *b, int64_t v)
{
    sqlite3_bind_int64(b->st, ++b->i, v);
}

static inline void b_text(struct binder *b, const char *s) /* borrowed until the reset */
{
    if (s) {
        sqlite3_bind_text(b->st, ++b->i, s, -1, SQLITE_STATIC);
    } else {
        sqlite3_bind_null(b->st, ++b->i);
    }
}

static inline void b_blob(struct binder *b, const void *p, size_t n)
{
    sqlite3_bind_blob(b->st, ++b->i, p, (int)n, SQLITE_STATIC);
}

static inline void b_id(struct binder *b, const struct id *id)
{
    b_blob(b, id->b, ID_LEN);
}

struct columns {
    sqlite3_stmt *st;
    int i;
};

static inline int64_t c_int(struct columns *c)
{
    return sqlite3_column_int64(c->st, c->i++);
}

static inline const char *c_text(struct columns *c) /* borrowed until the next step */
{
    return (const char *)sqlite3_column_text(c->st, c->i++);
}

void c_bytes(struct columns *c, void *out, size_t n); /* zeroes if the size differs */

int sqlite_tools_load(struct sqlite *q);

int sqlite_job_add(struct store *s, const struct job *j);
int sqlite_job_put(struct store *s, const struct job *j);
int sqlite_job_text_put(struct store *s, const struct job *j);
int sqlite_job_text_get(struct store *s, struct job *j);
int sqlite_job_find(struct store *s, const struct id *id, int64_t num, struct job *out);
int sqlite_job_drop(struct store *s, int64_t num, bool planned);
int sqlite_job_ended(struct store *s, int64_t before_us, uint32_t limit, int64_t *nums,
                     uint32_t *n);
int sqlite_job_overdue(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n);
int sqlite_job_overdue_next(struct store *s, int64_t *next_us);
int sqlite_job_list(struct store *s, const struct job_filter *f, job_fn fn, void *arg);
int sqlite_job_heads(struct store *s, const struct job_filter *f, job_head_fn fn, void *arg);
/* Reads up to `limit` numbers from a statement's first column and resets it. */
int sqlite_nums(struct sqlite *q, sqlite3_stmt *st, uint32_t limit, int64_t *nums, uint32_t *n);
/* The one integer that a statement gives, 0 if none. */
int sqlite_one(struct sqlite *q, sqlite3_stmt *st, int64_t *out);
void sqlite_job_read(struct sqlite *q, struct columns *c, struct job *out); /* JOB_COLUMNS */

#define JOB_COLUMNS                                                                        \
    "num, id, rev, state, tool, targets, ports, arguments, timeout_s, run_timeout_s, "     \
    "queue_timeout_s, priority, max_attempts, key_id, old_route, clip, scope_rule, "       \
    "planned, profile, import_path, queue, "                                               \
    "created_us, started_us, completed_us, "                                               \
    "run_at_us, queue_expires_us, reason, error, exit_status, exit_signal, command_line, " \
    "tool_version, confinement, partial, cancel_requested, attempts, lost, percent_x100, " \
    "remaining_s, hosts, hosts_up, ports_open, raw_sha256, raw_size"

int sqlite_task_add(struct store *s, const struct task_row *r);
int sqlite_task_put(struct store *s, const struct task_row *r);
int sqlite_task_find(struct store *s, int64_t job_num, int32_t idx, struct task_row *out);
int sqlite_task_ready(struct store *s, void (*fn)(void *arg, const struct ready_task *t),
                      void *arg);
int sqlite_task_running(struct store *s, task_fn fn, void *arg);
int sqlite_task_due(struct store *s, int64_t now_us, uint32_t limit, struct task_at *v,
                    uint32_t *n);
int sqlite_task_waiting(struct store *s, struct task_at after, uint32_t limit, struct task_at *v,
                        uint32_t *n);
int sqlite_task_due_next(struct store *s, int64_t *next_us);

#define TASK_COLUMNS                                                                         \
    "job_num, idx, state, priority, epoch, token, beat, attempts, failed, lost, run_at_us, " \
    "worker, result, stage, reports"
void sqlite_task_read(struct columns *c, struct task_row *out); /* TASK_COLUMNS */
int sqlite_board_add(struct store *s, const struct job *j, const struct board *b);
int sqlite_board_put(struct store *s, const struct job *j, const struct board *b);
int sqlite_board_find(struct store *s, int64_t job_num, struct board *out);
int sqlite_board_ripe(struct store *s, int64_t *job_num);
int sqlite_part_add(struct store *s, const struct task_row *r, const struct part *p,
                    const char *spec);
int sqlite_part_put(struct store *s, const struct task_row *r, const struct part *p);
int sqlite_part_find(struct store *s, int64_t job_num, int32_t idx, struct part *out);
int sqlite_part_spec(struct store *s, int64_t job_num, int32_t idx, char **spec);
int sqlite_part_end_idle(struct store *s, int64_t job_num, enum job_state state,
                         enum job_reason reason, const char *error, int64_t now_us, int64_t *n);
int sqlite_parts(struct store *s, int64_t job_num, int32_t after, uint32_t limit, task_info_fn fn,
                 void *arg);
int sqlite_part_to_merge(struct store *s, struct task_at *out);
int sqlite_part_remains(struct store *s, int64_t job_num,
                        int (*fn)(struct store *s, int64_t result, const char *path,
                                  const char *uri));
int sqlite_cell_add(struct store *s, int64_t job_num, int32_t idx, size_t seq,
                    const struct coverage_cell *c);
int sqlite_cells(struct store *s, int64_t job_num, cell_fn fn, void *arg);

int sqlite_host_put(struct store *s, int64_t result, int64_t seq, const struct host *head,
                    const struct host_rows *r);
int sqlite_port_put(struct store *s, int64_t result, int64_t n, int64_t seq, const struct port *p);
int sqlite_result_cut(struct store *s, int64_t result, int64_t n_hosts, int64_t *n_ports);
int sqlite_hosts(struct store *s, int64_t result, const struct host_filter *f,
                 const struct host_sink *sink);

int sqlite_hosts_by_address(struct store *s, int64_t result, const struct host_filter *f,
                            const struct host_sink *sink);
int sqlite_host_place(struct store *s, int64_t result, int64_t seq, const uint8_t key[HOST_KEY]);
int sqlite_merge_source(struct store *s, int64_t from, int64_t seq, int64_t port,
                        const struct host_sink *sink);
int sqlite_merged_find(struct store *s, int64_t result, const uint8_t key[HOST_KEY], int64_t *seq);
int sqlite_merged_get(struct store *s, struct merged_host *m, struct host *head);
int sqlite_merged_put(struct store *s, const struct merged_host *m, const struct host *head,
                      const uint8_t *key);
int sqlite_merged_count(struct store *s, const struct merged_host *m);
int sqlite_merged_port_get(struct store *s, const struct merged_host *m, int32_t key,
                           struct arena *a, struct port *out, int32_t *stage, bool *found);
int sqlite_merged_port_put(struct store *s, const struct merged_host *m, int32_t key,
                           const struct port *p, int32_t stage);

int sqlite_scan_put(struct store *s, const struct scan *sc);
int sqlite_scan_find(struct store *s, int64_t job_num, struct scan *out);
int sqlite_scan_drop(struct store *s, int64_t job_num);
int sqlite_finding_put(struct store *s, int64_t id, const struct finding_head *h, const void *body,
                       size_t n);
int sqlite_verdict_put(struct store *s, int64_t id, const struct verdict *v);
int sqlite_findings(struct store *s, int64_t result, int64_t after, head_fn fn, void *arg);
int sqlite_verdicts(struct store *s, int64_t result, int64_t after, verdict_fn fn, void *arg);
int sqlite_body_get(struct store *s, int64_t id, struct buf *out, bool *found);
int sqlite_body_free(struct store *s, int64_t id);
int sqlite_issue_add(struct store *s, const struct issue *i);
int sqlite_issue_put(struct store *s, const struct issue *i);
int sqlite_issue_touch(struct store *s, const struct issue *i);
int sqlite_issue_drop(struct store *s, int64_t num);
int sqlite_issue_find(struct store *s, int64_t num, issue_fn fn, void *arg);
int sqlite_issue_before(struct store *s, const struct issue_range *r, int64_t below, int64_t *num);
int sqlite_issues_of(struct store *s, int64_t line, issue_fn fn, void *arg);
int sqlite_issues_noted(struct store *s, int64_t line, issue_fn fn, void *arg);
int sqlite_issue_due(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n);
int sqlite_issue_due_next(struct store *s, int64_t *next_us);
int sqlite_kind_add(struct store *s, const struct kind *k);
int sqlite_kinds(struct store *s, kind_fn fn, void *arg);
int sqlite_line_put(struct store *s, const struct line *l);
int sqlite_line_find(struct store *s, const char *key, int64_t num, struct line *out);
int sqlite_lines(struct store *s, const char *after, line_fn fn, void *arg);
int sqlite_purge_line(struct store *s, int64_t id, int64_t line);
/* Of a step: *rest, some stay. */
int sqlite_findings_purge(struct sqlite *q, int64_t result, int64_t *budget, bool *rest);
int sqlite_line_purge(struct sqlite *q, int64_t line, uint32_t max_rows, bool *rest);

int sqlite_blob_put(struct store *s, const struct task *t, const struct outcome *o);
int sqlite_purge_add(struct store *s, int64_t id, int64_t result, const char *path);
int sqlite_purge_step(struct store *s, uint32_t max_rows, bool *more, char **path, int64_t *id);
int sqlite_purge_drop(struct store *s, int64_t id);
bool sqlite_purge_any(struct store *s);

int sqlite_event_put(struct store *s, const struct event *ev);
int sqlite_events(struct store *s, int64_t after, int64_t last, uint32_t limit, event_fn fn,
                  void *arg);
int64_t sqlite_event_first(struct store *s);
int sqlite_event_older(struct store *s, int64_t before_us, int64_t upto, uint32_t limit,
                       int64_t *last, int64_t *n);
int sqlite_event_drop(struct store *s, int64_t last);
int sqlite_idem_find(struct store *s, const char *key_id, const char *idem, uint8_t fingerprint[32],
                     struct id *job, bool *found);
int sqlite_idem_put(struct store *s, const char *key_id, const char *idem,
                    const uint8_t fingerprint[32], const struct id *job, int64_t now_us);
bool sqlite_idem_older(struct store *s, int64_t before_us);
int sqlite_idem_drop(struct store *s, int64_t before_us);
int sqlite_key_put(struct store *s, const struct key *k);
int sqlite_keys(struct store *s, key_fn fn, void *arg);
int sqlite_key_tally_put(struct store *s, const struct key_tally *t);
int sqlite_key_tallies_load(struct sqlite *q);
int sqlite_key_use_drop(struct store *s, int64_t hour);
int sqlite_audit_put(struct store *s, const struct audit *a);
int sqlite_audits(struct store *s, int64_t after, uint32_t limit, audit_fn fn, void *arg);

int sqlite_job_num(struct store *s, const struct id *id, int64_t *num);
int sqlite_task_reports(struct store *s, int64_t job_num, int32_t idx, int64_t reports);
int sqlite_blob_get(struct store *s, int64_t job_num, int32_t idx, char **path, char **uri);
int sqlite_blob_move(struct store *s, int64_t job_num, int32_t idx, const char *uri);
int sqlite_blobs_local(struct store *s, uint32_t limit, blob_fn fn, void *arg);
int sqlite_orphan_add(struct store *s, int64_t id, const char *uri);
int sqlite_orphans(struct store *s, uint32_t limit, orphan_fn fn, void *arg);
int sqlite_orphan_drop(struct store *s, int64_t id);
int sqlite_origin_put(struct store *s, int64_t job_num, const struct id *job,
                      const struct origin *o);
int sqlite_origin_find(struct store *s, const struct id *job, int64_t job_num, struct origin *out,
                       bool *found);
int sqlite_origin_gone(struct store *s, int64_t job_num, int64_t seq);
int sqlite_origin_drop(struct store *s, int64_t last);
int sqlite_cursor_get(struct store *s, const char *name, int64_t *seq);
int sqlite_cursor_put(struct store *s, const char *name, int64_t seq, int64_t now_us);
int sqlite_cursor_least(struct store *s, int64_t since_us, int64_t *seq);
int sqlite_dead_put(struct store *s, const struct dead_letter *d);
int sqlite_dead_bounds(struct store *s, int64_t *first, int64_t *last);
int sqlite_dead_drop(struct store *s, int64_t last);
int sqlite_deads(struct store *s, int64_t before, uint32_t limit, dead_fn fn, void *arg);
int sqlite_memo_put(struct store *s, const char *name, const char *value);
int sqlite_memo_get(struct store *s, const char *name, char **value);
