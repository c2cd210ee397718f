/*
 * sqlite_row - hosts and ports as rows: which columns, in which order. The id of a host is
 * result * 2^32 + its place in the result.
 */
#pragma once

#include "store/sqlite.h"

static inline int64_t first_id(int64_t result)
{
    return (int64_t)((uint64_t)result << 32);
}

/* What a reader of hosts selects, and what is written of a head. */
#define HEAD_COLUMNS                                                                \
    "address, state, reason, reason_ttl, start_s, end_s, timed_out, addrs, names, " \
    "comment, extraports, os, scripts, more"
#define HEAD_VALUES  "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
#define HOST_COLUMNS "id, n_ports, ports_open, port_first, marks, " HEAD_COLUMNS

#define PORT_COLUMNS                                                                          \
    "number, protocol, state, reason, reason_ttl, conf, service, method, product, version, "  \
    "extrainfo, tunnel, hostname, ostype, devicetype, cpe, scripts, reason_ip, owner, more, " \
    "has_service"
#define PORT_VALUES "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"

struct host_row {
    int64_t id, n_ports, ports_open, port_first;
    bool merged;
    int64_t marks;
    struct host head; /* strings borrowed until the next step; host_done() it */
};

void head_bind(struct sqlite *q, struct binder *b, const struct host *h);
void host_read(struct columns *c, struct host_row *r); /* HOST_COLUMNS */
void port_bind(struct binder *b, const struct port *p);
void port_read(struct columns *c, struct port *p); /* PORT_COLUMNS */
/* The host of a row and its ports, from where they are, to a sink. */
int host_give(struct sqlite *q, sqlite3_stmt *st, const struct host_sink *sink);
