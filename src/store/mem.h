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
};

struct mem_result {
    int64_t num;
    struct mem_host **hosts; /* [seq - 1] */
    int64_t n, size;
};

struct mem_job {
    struct job job;
    struct task_row row;
    char *raw_path;
};

struct mem_purge {
    int64_t id, result;
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

/* Things of one kind, each allocated, in order. */
struct mem_list {
    void **v;
    size_t n, size;
};

enum mem_kind { MEM_JOB, MEM_PURGE, MEM_EVENT, MEM_IDEM, MEM_KEY, MEM_AUDIT, MEM_KINDS };

/* What a change did, so that a rollback can do the opposite. */
struct mem_undo {
    enum { UNDO_ADD, UNDO_REMOVE, UNDO_CHANGE, UNDO_HOST, UNDO_SEAL } what;
    enum mem_kind kind;
    size_t at;
    void *old; /* owned: what was removed or replaced */
    int64_t result, seq;
};

struct mem {
    struct store base;
    struct mem_list lists[MEM_KINDS];
    struct mem_result **results;
    size_t n_results;
    struct mem_undo *undo;
    size_t n_undo, undo_size;
};

static inline struct mem *mem_of(struct store *s)
{
    return (struct mem *)(void *)s;
}

void mem_undo_push(struct mem *m, const struct mem_undo *u);
/* Each is undone by a rollback. The list takes what it is given. */
void mem_add(struct mem *m, enum mem_kind kind, void *thing);
void mem_remove(struct mem *m, enum mem_kind kind, size_t at);
void mem_replace(struct mem *m, enum mem_kind kind, size_t at, void *thing);

void mem_result_free(struct mem_result *r);
struct mem_result *mem_result_find(struct mem *m, int64_t num); /* NULL: no host yet */
void mem_result_remove(struct mem *m, int64_t num);

int mem_host_put(struct store *s, int64_t result, int64_t seq, int64_t port_first,
                 const struct host *head);
int mem_port_put(struct store *s, int64_t result, int64_t n, int64_t seq, const struct port *p);
int mem_host_seal(struct store *s, int64_t result, int64_t seq, int64_t n_ports, int64_t n_open);
int mem_result_cut(struct store *s, int64_t result, int64_t n_hosts, int64_t *n_ports);
int mem_hosts(struct store *s, int64_t result, const struct host_filter *f,
              const struct host_sink *sink);

int mem_job_add(struct store *s, const struct job *j);
int mem_job_put(struct store *s, const struct job *j);
int mem_job_text_put(struct store *s, const struct job *j);
int mem_job_find(struct store *s, const struct id *id, int64_t num, struct job *out);
int mem_job_text_get(struct store *s, struct job *j);
int mem_job_drop(struct store *s, int64_t num);
int mem_job_list(struct store *s, const struct job_filter *f, job_fn fn, void *arg);
int mem_job_heads(struct store *s, const struct job_filter *f, job_head_fn fn, void *arg);
int mem_job_ended(struct store *s, int64_t before_us, uint32_t limit, int64_t *nums, uint32_t *n);
int mem_job_overdue(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n);
int mem_job_overdue_next(struct store *s, int64_t *next_us);
int mem_task_due(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n);
int mem_task_due_next(struct store *s, int64_t *next_us);
int mem_task_put(struct store *s, const struct task_row *r);
int mem_task_find(struct store *s, int64_t job_num, int32_t idx, struct task_row *out);
int mem_task_next(struct store *s, const struct strvec *blocked, struct task_row *out, bool *found);
int mem_task_running(struct store *s, task_fn fn, void *arg);
int mem_blob_put(struct store *s, int64_t job_num, uint32_t epoch, const struct outcome *o);
int mem_blob_path(struct store *s, int64_t job_num, char **path);
int mem_purge_add(struct store *s, int64_t id, int64_t result, const char *path);
bool mem_purge_any(struct store *s);
int mem_purge_step(struct store *s, uint32_t max_rows, bool *more, char **path, int64_t *id);
int mem_purge_drop(struct store *s, int64_t id);
int mem_purge_keep(struct store *s, int64_t id);
int mem_event_put(struct store *s, const struct event *ev);
int mem_events(struct store *s, int64_t after, int64_t last, uint32_t limit, event_fn fn,
               void *arg);
int64_t mem_event_first(struct store *s);
int mem_event_older(struct store *s, int64_t before_us, uint32_t limit, int64_t *last, int64_t *n);
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
void mem_audit_done(struct mem_audit *ma);
int mem_audit_put(struct store *s, const struct audit *a);
int mem_audits(struct store *s, int64_t after, uint32_t limit, audit_fn fn, void *arg);
