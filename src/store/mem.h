/*
 * mem - the backend in memory: lists that are looked through, and an undo list for rollbacks.
 * Simple enough to be the reference that the other one is compared with.
 */
#pragma once

#include "store/internal.h"

/* A set of hosts; only the last host can be unfinished. */
struct mem_host {
    struct host host; /* owns its strings */
    bool sealed;
    int64_t n_open;
    /* of a merged set: */
    int64_t marks;
    int32_t *stages; /* owned: of each port */
    uint64_t turn;   /* which one made it, or made a copy for the undo */
};

struct mem_result {
    int64_t num;
    struct mem_host **hosts; /* [seq - 1] */
    int64_t n, size;
    uint32_t *index; /* owned; of a merged set: hash table by address of seqs, 0: empty */
    size_t index_size, indexed;
};

struct mem_job {
    struct job job;
    struct task_row row;      /* of a plain job */
    struct board board;       /* of a planned one */
    char *raw_path, *raw_uri; /* of a plain one's run */
};

/* A task of a planned job. */
struct mem_task {
    struct task_row row;
    struct part part;
    char *spec, *raw_path, *raw_uri;
};

struct mem_cell {
    int64_t job_num;
    int32_t idx;
    struct coverage_cell cell; /* texts are owned */
};

struct mem_purge {
    int64_t id, result, line;
    int64_t rows; /* still there, so to say; -1: not counted yet */
    char *path;
};

struct mem_event {
    struct event ev; /* data is owned */
};

struct mem_idem {
    char *key_id, *idem;
    uint8_t fingerprint[32];
    struct id job;
    int64_t at_us;
};

struct mem_audit {
    struct audit a; /* texts are owned */
};

struct mem_origin {
    int64_t job_num;
    struct id job;
    int64_t gone;
    struct origin origin; /* texts are owned */
};

/* A cursor, a memo, an orphan. */
struct mem_named {
    char *name, *value; /* owned */
    int64_t seq, at_us;
};

struct mem_scan {
    int64_t num;
    struct scan sc;
};

struct mem_line {
    int64_t num;
    struct line l;
};

struct mem_finding {
    int64_t num;
    struct finding_head head;
};

struct mem_body {
    int64_t num;
    char *p; /* owned */
    size_t n;
};

struct mem_verdict {
    int64_t num;
    struct verdict v;
};

struct mem_issue {
    int64_t num;
    struct issue is;
};

struct mem_kind_row {
    int64_t num;
    struct kind k;
};

/* Things of one kind, each allocated, in order. */
struct mem_list {
    void **v;
    size_t n, size;
};

enum mem_kind {
    MEM_JOB,
    MEM_TASK,
    MEM_CELL,
    MEM_PURGE,
    MEM_EVENT,
    MEM_IDEM,
    MEM_KEY,
    MEM_AUDIT,
    MEM_ORIGIN,
    MEM_CURSOR,
    MEM_MEMO,
    MEM_ORPHAN,
    MEM_DEAD, /* struct dead_letter; texts are owned */
    MEM_SCAN, /* these are in the order of their numbers; texts are owned */
    MEM_LINE,
    MEM_FINDING,
    MEM_BODY,
    MEM_VERDICT,
    MEM_ISSUE,
    MEM_KIND,
    MEM_KINDS
};

/* What a change did, so that a rollback can do the opposite. */
struct mem_undo {
    enum { UNDO_ADD, UNDO_REMOVE, UNDO_CHANGE, UNDO_HOST, UNDO_SEAL, UNDO_MERGED } what;
    enum mem_kind kind;
    size_t at;
    void *old; /* owned: what was removed or replaced; UNDO_MERGED: struct mem_host or NULL */
    int64_t result, seq;
};

struct mem {
    struct store base;
    struct mem_list lists[MEM_KINDS];
    struct mem_result **results;
    size_t n_results;
    struct mem_undo *undo;
    size_t n_undo, undo_size;
    uint64_t turn;
};

static inline struct mem *mem_of(struct store *s)
{
    return (struct mem *)(void *)s;
}

void mem_undo_push(struct mem *m, const struct mem_undo *u);
/* Each is undone by a rollback. The list takes what it is given. */
void mem_add(struct mem *m, enum mem_kind kind, void *thing);
void mem_insert(struct mem *m, enum mem_kind kind, size_t at, void *thing);
void mem_remove(struct mem *m, enum mem_kind kind, size_t at);
void mem_replace(struct mem *m, enum mem_kind kind, size_t at, void *thing);

/* Of the kinds in the order of numbers: the first that has this one or a greater one; whether that
 * is it; adds or replaces. */
size_t mem_from(struct mem *m, enum mem_kind kind, int64_t num);
bool mem_find(struct mem *m, enum mem_kind kind, int64_t num, size_t *at);
void mem_put(struct mem *m, enum mem_kind kind, void *thing);
void mem_finding_free(enum mem_kind kind, void *thing); /* what it owns */
void mem_head_copy(struct finding_head *h);             /* its texts are owned from now on */
void mem_head_free(const struct finding_head *h);
int64_t mem_findings_rows(struct mem *m, int64_t result); /* that a purge is to remove */
void mem_findings_remove(struct mem *m, int64_t result);
int64_t mem_line_rows(struct mem *m, int64_t line);
void mem_line_remove(struct mem *m, int64_t line);

void mem_result_free(struct mem_result *r);
struct mem_result *mem_result_find(struct mem *m, int64_t num); /* NULL: no host yet */
void mem_result_remove(struct mem *m, int64_t num);

struct mem_result *mem_result_of(struct mem *m, int64_t num); /* made if need be */
struct mem_host *mem_host_copy(const struct host *from);      /* the head */
void mem_host_free(struct mem_host *mh);
void mem_port_copy(struct host *h, struct port *to, const struct port *from); /* into its arena */
void mem_result_add(struct mem_result *r, struct mem_host *mh);

int mem_host_place(struct store *s, int64_t result, int64_t seq, const uint8_t key[HOST_KEY]);
int mem_merge_source(struct store *s, int64_t from, int64_t seq, int64_t port,
                     const struct host_sink *sink);
int mem_merged_find(struct store *s, int64_t result, const uint8_t key[HOST_KEY], int64_t *seq);
int mem_merged_get(struct store *s, struct merged_host *m, struct host *head);
int mem_merged_put(struct store *s, const struct merged_host *m, const struct host *head,
                   const uint8_t *key);
int mem_merged_count(struct store *s, const struct merged_host *m);
int mem_merged_port_get(struct store *s, const struct merged_host *m, int32_t key, struct arena *a,
                        struct port *out, int32_t *stage, bool *found);
int mem_merged_port_put(struct store *s, const struct merged_host *m, int32_t key,
                        const struct port *p, int32_t stage);
void mem_merged_undo(struct mem *m, const struct mem_undo *u);

int mem_host_put(struct store *s, int64_t result, int64_t seq, const struct host *head,
                 const struct host_rows *r);
int mem_port_put(struct store *s, int64_t result, int64_t n, int64_t seq, const struct port *p);
int mem_result_cut(struct store *s, int64_t result, int64_t n_hosts, int64_t *n_ports);
int mem_hosts(struct store *s, int64_t result, const struct host_filter *f,
              const struct host_sink *sink);

int mem_job_add(struct store *s, const struct job *j);
int mem_job_put(struct store *s, const struct job *j);
int mem_job_text_put(struct store *s, const struct job *j);
int mem_job_find(struct store *s, const struct id *id, int64_t num, struct job *out);
int mem_job_text_get(struct store *s, struct job *j);
int mem_job_drop(struct store *s, int64_t num, bool planned);
int mem_job_list(struct store *s, const struct job_filter *f, job_fn fn, void *arg);
int mem_job_heads(struct store *s, const struct job_filter *f, job_head_fn fn, void *arg);
int mem_job_ended(struct store *s, int64_t before_us, uint32_t limit, int64_t *nums, uint32_t *n);
int mem_job_overdue(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n);
int mem_job_overdue_next(struct store *s, int64_t *next_us);
struct mem_job *mem_job_at(struct mem *m, size_t i);
bool mem_job_where(struct mem *m, const struct id *id, int64_t num, size_t *at);
void mem_job_store(struct mem *m, size_t at,
                   const struct mem_job *mj); /* a copy, undone by a rollback */
int mem_job_missing(struct store *s);
struct mem_task *mem_task_at(struct mem *m, size_t i);
bool mem_task_where(struct mem *m, int64_t job_num, int32_t idx, size_t *at);
void mem_task_store(struct mem *m, size_t at, const struct mem_task *mt); /* a copy, as a job */
void mem_task_free(struct mem_task *mt);
void mem_cell_free(struct mem_cell *mc);
int mem_task_due(struct store *s, int64_t now_us, uint32_t limit, struct task_at *v, uint32_t *n);
int mem_task_due_next(struct store *s, int64_t *next_us);
int mem_task_waiting(struct store *s, struct task_at after, uint32_t limit, struct task_at *v,
                     uint32_t *n);
int mem_board_add(struct store *s, const struct job *j, const struct board *b);
int mem_board_put(struct store *s, const struct job *j, const struct board *b);
int mem_board_find(struct store *s, int64_t job_num, struct board *out);
int mem_board_ripe(struct store *s, int64_t *job_num);
int mem_part_add(struct store *s, const struct task_row *r, const struct part *p, const char *spec);
int mem_part_put(struct store *s, const struct task_row *r, const struct part *p);
int mem_part_find(struct store *s, int64_t job_num, int32_t idx, struct part *out);
int mem_part_spec(struct store *s, int64_t job_num, int32_t idx, char **spec);
int mem_part_end_idle(struct store *s, int64_t job_num, enum job_state state,
                      enum job_reason reason, const char *error, int64_t now_us, int64_t *n);
int mem_parts(struct store *s, int64_t job_num, int32_t after, uint32_t limit, task_info_fn fn,
              void *arg);
int mem_part_to_merge(struct store *s, struct task_at *out);
int mem_part_remains(struct store *s, int64_t job_num,
                     int (*fn)(struct store *s, int64_t result, const char *path, const char *uri));
void mem_tasks_drop(struct mem *m, int64_t job_num); /* and coverage */
int mem_cell_add(struct store *s, int64_t job_num, int32_t idx, size_t seq,
                 const struct coverage_cell *c);
int mem_cells(struct store *s, int64_t job_num, cell_fn fn, void *arg);
int mem_task_put(struct store *s, const struct task_row *r);
int mem_task_find(struct store *s, int64_t job_num, int32_t idx, struct task_row *out);
int mem_task_ready(struct store *s, void (*fn)(void *arg, const struct ready_task *t), void *arg);
int mem_task_running(struct store *s, task_fn fn, void *arg);
int mem_scan_put(struct store *s, const struct scan *sc);
int mem_scan_find(struct store *s, int64_t job_num, struct scan *out);
int mem_scan_drop(struct store *s, int64_t job_num);
int mem_finding_put(struct store *s, int64_t id, const struct finding_head *h, const void *body,
                    size_t n);
int mem_verdict_put(struct store *s, int64_t id, const struct verdict *v);
int mem_findings(struct store *s, int64_t result, int64_t after, head_fn fn, void *arg);
int mem_verdicts(struct store *s, int64_t result, int64_t after, verdict_fn fn, void *arg);
int mem_body_get(struct store *s, int64_t id, struct buf *out, bool *found);
int mem_body_free(struct store *s, int64_t id);
int mem_issue_add(struct store *s, const struct issue *i);
int mem_issue_put(struct store *s, const struct issue *i);
int mem_issue_touch(struct store *s, const struct issue *i);
int mem_issue_drop(struct store *s, int64_t num);
int mem_issue_find(struct store *s, int64_t num, issue_fn fn, void *arg);
int mem_issue_before(struct store *s, const struct issue_range *r, int64_t below, int64_t *num);
int mem_issues_of(struct store *s, int64_t line, issue_fn fn, void *arg);
int mem_issues_noted(struct store *s, int64_t line, issue_fn fn, void *arg);
int mem_issue_due(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n);
int mem_issue_due_next(struct store *s, int64_t *next_us);
int mem_kind_add(struct store *s, const struct kind *k);
int mem_kinds(struct store *s, kind_fn fn, void *arg);
int mem_line_put(struct store *s, const struct line *l);
int mem_line_find(struct store *s, const char *key, int64_t num, struct line *out);
int mem_lines(struct store *s, const char *after, line_fn fn, void *arg);
int mem_purge_line(struct store *s, int64_t id, int64_t line);

int mem_blob_put(struct store *s, const struct task *t, const struct outcome *o);
int mem_purge_add(struct store *s, int64_t id, int64_t result, const char *path);
bool mem_purge_any(struct store *s);
int mem_purge_step(struct store *s, uint32_t max_rows, bool *more, char **path, int64_t *id);
int mem_purge_drop(struct store *s, int64_t id);
int mem_purge_keep(struct store *s, int64_t id);
int mem_event_put(struct store *s, const struct event *ev);
int mem_events(struct store *s, int64_t after, int64_t last, uint32_t limit, event_fn fn,
               void *arg);
int64_t mem_event_first(struct store *s);
int mem_event_older(struct store *s, int64_t before_us, int64_t upto, uint32_t limit, int64_t *last,
                    int64_t *n);
int mem_event_drop(struct store *s, int64_t last);
int mem_idem_find(struct store *s, const char *key_id, const char *idem, uint8_t fingerprint[32],
                  struct id *job, bool *found);
int mem_idem_put(struct store *s, const char *key_id, const char *idem,
                 const uint8_t fingerprint[32], const struct id *job, int64_t now_us);
bool mem_idem_older(struct store *s, int64_t before_us);
int mem_idem_drop(struct store *s, int64_t before_us);
int mem_key_put(struct store *s, const struct key *k);
int mem_keys(struct store *s, key_fn fn, void *arg);
int mem_key_tally_put(struct store *s, const struct key_tally *t);
int mem_key_use_drop(struct store *s, int64_t hour);
void mem_origin_free(struct mem_origin *mo);
void mem_named_free(struct mem_named *mn);
void mem_dead_free(struct dead_letter *d);
void mem_audit_done(struct mem_audit *ma);
int mem_audit_put(struct store *s, const struct audit *a);
int mem_audits(struct store *s, int64_t after, uint32_t limit, audit_fn fn, void *arg);

int mem_job_num(struct store *s, const struct id *id, int64_t *num);
int mem_task_reports(struct store *s, int64_t job_num, int32_t idx, int64_t reports);
int mem_blob_get(struct store *s, int64_t job_num, int32_t idx, char **path, char **uri);
int mem_blob_move(struct store *s, int64_t job_num, int32_t idx, const char *uri);
int mem_blobs_local(struct store *s, uint32_t limit, blob_fn fn, void *arg);
int mem_orphan_add(struct store *s, int64_t id, const char *uri);
int mem_orphans(struct store *s, uint32_t limit, orphan_fn fn, void *arg);
int mem_orphan_drop(struct store *s, int64_t id);
int mem_origin_put(struct store *s, int64_t job_num, const struct id *job, const struct origin *o);
int mem_origin_find(struct store *s, const struct id *job, int64_t job_num, struct origin *out,
                    bool *found);
int mem_origin_gone(struct store *s, int64_t job_num, int64_t seq);
int mem_origin_drop(struct store *s, int64_t last);
int mem_cursor_get(struct store *s, const char *name, int64_t *seq);
int mem_cursor_put(struct store *s, const char *name, int64_t seq, int64_t now_us);
int mem_cursor_least(struct store *s, int64_t since_us, int64_t *seq);
int mem_dead_put(struct store *s, const struct dead_letter *d);
int mem_dead_bounds(struct store *s, int64_t *first, int64_t *last);
int mem_dead_drop(struct store *s, int64_t last);
int mem_deads(struct store *s, int64_t before, uint32_t limit, dead_fn fn, void *arg);
int mem_memo_put(struct store *s, const char *name, const char *value);
int mem_memo_get(struct store *s, const char *name, char **value);
