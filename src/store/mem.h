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
    int64_t rows; /* still there, so to say */
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

/* Things of one kind, each allocated, in order. */
struct mem_list {
    void **v;
    size_t n, size;
};

enum mem_kind { MEM_JOB, MEM_PURGE, MEM_EVENT, MEM_IDEM, MEM_KEY, MEM_KINDS };

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
