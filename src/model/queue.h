/*
 * queue - the names of the queues in which tasks wait: what a task needs of a worker, and where it
 * is to run.
 *
 *   net          nmap that opens ordinary sockets
 *   net-raw      options of nmap that need raw sockets
 *   net-masscan  masscan, zmap: each has its own, as not every worker has them
 *   net-zmap
 *   repo         repository scans
 *   import       files that were handed in; only the server itself serves it
 *
 * with "@ZONE" behind it where the request names a zone: "net-raw@dmz". A worker serves the queues
 * of what it can do in its own zone; one without a zone serves those without.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum { ZONE_MAX = 32, QUEUE_MAX = 48 }; /* bytes with the NUL */

enum queue_kind {
    QUEUE_NET,
    QUEUE_NET_RAW,
    QUEUE_NET_MASSCAN,
    QUEUE_NET_ZMAP,
    QUEUE_REPO,
    QUEUE_IMPORT,
    QUEUE_KINDS
};

extern const char *const queue_kind_names[QUEUE_KINDS];

/* zone NULL or "": none. */
void queue_name(enum queue_kind kind, const char *zone, char out[QUEUE_MAX]);
/* [a-z0-9][a-z0-9-]{0,30}; ERR_INVALID says so. */
int zone_check(const char *zone, struct err *e);
/* Splits a name; ERR_INVALID if it is none. zone[0] is 0 without one. */
int queue_parse(const char *name, enum queue_kind *kind, char zone[ZONE_MAX], struct err *e);
