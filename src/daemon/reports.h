/*
 * reports - where a worker's reports go: into the store at hand, or to a server far away.
 *
 * The worker (daemon/worker.c, daemon/run.c) knows nothing of either. All calls are made inside a
 * turn, under the lease that the task was assigned with. Records of several runs alternate: host,
 * its ports and its end belong to the run named by the lease.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/finding.h"
#include "model/host.h"
#include "model/job.h"

struct reports {
    int (*host)(void *arg, const struct lease *l, const struct host *head, struct err *e);
    int (*port)(void *arg, const struct lease *l, const struct port *p, struct err *e);
    int (*host_end)(void *arg, const struct lease *l, struct err *e);
    int (*finding)(void *arg, const struct lease *l, const struct finding *f, struct err *e);
    /* Goes on with that run's host; before port() and host_end() in each turn and after others. */
    int (*select)(void *arg, const struct lease *l, struct err *e);
    int (*progress)(void *arg, const struct lease *l, const struct progress *p, struct err *e);
    /* o->raw_path names the file below the blob directory. */
    void (*finish)(void *arg, const struct lease *l, const struct outcome *o);
    void (*release)(void *arg, const struct lease *l);
    void (*wait)(void *arg, const struct lease *l, int64_t until_us);
    void (*wrote)(void *arg, const struct lease *l); /* its hosts of this turn are committed */
    /* They are not, and finish() was called in the same turn. */
    void (*lost)(void *arg, const struct lease *l);
    void (*ready)(void *arg, bool ready); /* runs can be started, or not yet */
    void *arg;
};

struct sched;
struct store;
/* Into the store, through the scheduler. Both borrowed. */
struct local_reports {
    struct store *store;
    struct sched *sched;
};
struct reports reports_local(struct local_reports *to);

struct station;
/* Through a station to a server elsewhere. `hosts` is its own. */
struct station_reports {
    struct station *station; /* borrowed; set before the first run */
    const char *blob_dir;    /* borrowed */
    struct station_hosts *hosts;
};
struct reports reports_station(struct station_reports *to);
void station_reports_done(struct station_reports *to);
