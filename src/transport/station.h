/*
 * station - the worker's side of a transport over Redis Streams: takes tasks while there is room,
 * reports, and ends what it can no longer hold.
 *
 * Every report is kept until the server has acknowledged it: in memory while the connection is up,
 * in files below the spool directory once it is not, or when there is much of it. The complete
 * result of a run survives this process there (MSG_OFFER at the next start); what is not complete
 * is run again. A spool file is written whole, synced, and renamed into its place.
 *
 * A lease is held for kill_ms from the sending of the last beat that named it and was answered;
 * `extend` tells the owner each new deadline, in its CLOCK_BOOTTIME, and whoever runs the tool ends
 * it by itself when that has passed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "event/loop.h"
#include "model/job.h"
#include "transport/message.h"
#include "transport/redis.h"

struct station;

struct station_config {
    const struct redis_url *url;
    const char *name;        /* of this worker */
    const char *spool_dir;   /* exists, is ours alone */
    struct hello hello;      /* copied */
    struct redis_events net; /* only resolve and resolve_arg */
};

struct station_events {
    /* A task to run. It may be ended from inside. `deadline_ms`: as extend. */
    void (*assigned)(void *arg, const struct assignment *a, int64_t deadline_ms);
    void (*extend)(void *arg, const struct lease *l, int64_t deadline_ms);
    void (*cancel)(void *arg, const struct lease *l);
    /* It is not ours any more: stop it at once; what it still reports is dropped. Once nothing of
     * it runs, station_release() says so: only then a run whose time was over is given back. */
    void (*fenced)(void *arg, const struct lease *l);
    void (*drain)(void *arg, bool on);
    /* The server does not want this worker: the process is to end with this message. */
    void (*refused)(void *arg, const char *why);
    void *arg;
};

int station_new(struct loop *l, const struct station_config *c, const struct station_events *ev,
                struct station **out, struct err *e);
void station_free(struct station *s);
/* What this worker is has changed (tools, confinement, draining). */
void station_hello(struct station *s, const struct hello *h);
/* How many more tasks may be taken; 0 at the start. Each that is assigned is one less. */
void station_room(struct station *s, uint32_t slots);

/* ---- reports, under the lease of the assignment ---- */
void station_hosts(struct station *s, const struct lease *l, const void *records, size_t n);
void station_progress(struct station *s, const struct lease *l, const struct progress *p);
/* The file of the raw output, compressed: read in pieces and sent before the end; NULL: none. It is
 * removed when it is delivered. */
void station_end(struct station *s, const struct lease *l, const struct outcome *o,
                 const char *raw_path);
void station_release(struct station *s, const struct lease *l, enum release_why why);
void station_wait(struct station *s, const struct lease *l, int64_t until_us);

/* Takes nothing more, and says goodbye once everything is delivered; after that time what is left
 * stays in the spool. `left` must not free the station. */
void station_leave(struct station *s, uint32_t within_ms, void (*left)(void *arg), void *arg);

struct station_stats {
    bool up;
    uint32_t held, spooled;
    uint64_t spool_bytes;
    int64_t taken, delivered, fenced, self_kills, reconnects;
};
void station_stats(const struct station *s, struct station_stats *out);
