/*
 * host_view - a host object of the REST interface, read defensively: what is missing is "".
 * Everything is borrowed from the JSON value.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct host_view {
    const char *address, *name, *state, *reason;
    bool timed_out;
    size_t n_ports;
    const json_t *ports, *scripts, *hidden; /* hidden: ports that the tool only counted */
};

struct port_view {
    int64_t number;
    const char *protocol, *state, *reason, *service, *product, *version, *extrainfo;
    const json_t *cpe, *scripts;
};

void host_view_read(const json_t *host, struct host_view *h);
void host_view_port(const struct host_view *h, size_t i, struct port_view *p);
/* "Apache httpd 2.4 (Debian)" */
void port_view_version(const struct port_view *p, struct buf *out);
void port_view_cpe(const struct port_view *p, struct buf *out); /* joined by blanks */
/* How many; and "998 closed, 1 filtered ports" (out may be NULL). */
int64_t host_view_hidden(const struct host_view *h, struct buf *out);
