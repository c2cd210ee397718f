/*
 * fleet - the server's side of a transport over Redis Streams: pushes tasks to the workers that
 * have room for them, applies what they report.
 *
 *   P q:QUEUE    stream, group "workers": MSG_ASSIGN, one entry a task, taken out when it is read
 *   P reports    stream, group "server": what workers tell; removed once it is committed
 *   P w:WORKER   stream, at most about 1000 entries: what the server tells one worker
 *   P server     which store's server this is, with an expiry that it renews
 *
 * (P: the prefix of the URL, "scanpod:".) The store is the truth; no stream holds the only copy of
 * anything: an assignment that is lost costs a lease, a report that is lost is sent again because
 * its acknowledgement did not come. Reports of a run are applied in the order of `seq`, each once:
 * the store remembers the last one in the same transaction. A run that nothing was heard of for
 * lease_ms of our own clock is lost; its worker has stopped it before (kill_ms), and whatever it
 * still reports is fenced.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "event/loop.h"
#include "sched/sched.h"
#include "store/store.h"
#include "transport/redis.h"

struct fleet;

struct fleet_config {
    const struct redis_url *url;
    uint32_t beat_ms, kill_ms, lease_ms; /* 10 s, 60 s, 80 s, divided by lease-scale */
    const char *blob_dir; /* raw output of workers is put together here; may be NULL */
    /* The name of a job's key, for the worker's policy; NULL: the configured key. */
    const char *(*key_name)(void *arg, const char *key_id);
    void (*resolve)(void *arg, const char *host,
                    void (*found)(void *found_arg, const char *address),
                    void *found_arg); /* as struct redis_events */
    void *resolve_arg;
    /* The Redis server is not fit to carry tasks. May be NULL. */
    void (*unfit)(void *arg, const char *why);
    void *arg;
};

/* Before sched_recover(): the scheduler's lane is set. Changes the store. */
int fleet_new(struct loop *l, struct store *s, struct sched *sc, const struct fleet_config *c,
              struct fleet **out, struct err *e);
void fleet_free(struct fleet *f);
/* The turn: after the commit reports are acknowledged, or read anew. */
void fleet_after_commit(struct fleet *f, bool committed);

/* One for each worker that was heard of in the last lease_ms, or that holds tasks. Borrowed. */
struct fleet_worker {
    const char *name, *version, *zone, *host, *confinement;
    const struct strvec *queues, *tools;
    uint32_t slots, held;
    uint32_t load_x100;
    uint32_t spooled;
    uint64_t spool_bytes;
    int64_t heard_ms; /* how long ago */
    bool draining, gone;
};
void fleet_workers(const struct fleet *f, void (*fn)(void *arg, const struct fleet_worker *w),
                   void *arg);
/* ERR_NOT_FOUND: no such worker. It finishes what it has, and takes no more until told so; kept
 * for the name over restarts of both. */
int fleet_drain(struct fleet *f, const char *worker, bool on, struct err *e);
/* Workers that serve it, their slots, and how many of these are free. */
void fleet_room(const struct fleet *f, const char *queue, uint32_t *workers, uint32_t *slots,
                uint32_t *free_slots);
bool fleet_serves(const struct fleet *f, const char *queue); /* does any worker? */

struct fleet_stats {
    bool up;
    bool conflict; /* another server has this Redis */
    char why[512]; /* it is down, or not used */
    int64_t reconnects, pushed, applied, duplicates, fenced, lost, adopted, bad_entries;
};
void fleet_stats(const struct fleet *f, struct fleet_stats *out);
