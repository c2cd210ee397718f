/*
 * host - one result model for all tools: hosts with ports.
 *
 * Everything that a query looks at is a member; what is only shown (script trees, OS guesses,
 * traces) is kept as JSON text that the parser's own writer made, so that it goes from a scanner
 * to a client without being taken apart again.
 *
 * Strings point into `arena` and live as long as the host. NULL means: the tool did not say.
 * `state` words are nmap's: open, closed, filtered, unfiltered, open|filtered, closed|filtered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct host_addr {
    const char *addr, *type, *vendor; /* type: ipv4, ipv6, mac */
};

struct host_name {
    const char *name, *type; /* type: user, PTR */
};

struct port {
    uint16_t number;
    const char *protocol; /* tcp, udp, sctp, ip */
    const char *state, *reason, *reason_ip;
    int32_t reason_ttl; /* -1: not said */
    const char *owner;
    bool has_service;
    /* service */
    const char *service, *product, *version, *extrainfo, *tunnel, *method, *hostname, *ostype,
        *devicetype;
    int32_t conf;        /* 0..10; -1: not said */
    const char *cpe;     /* JSON array of strings, or NULL */
    const char *scripts; /* JSON array [{"id","output","data"?}], or NULL */
    const char *more;    /* JSON object of rare service fields (servicefp, rpcnum, ...), or NULL */
};

struct host {
    struct host_addr *addrs;
    size_t n_addrs;
    struct host_name *names;
    size_t n_names;
    struct port *ports;
    size_t n_ports;
    const char *state, *reason; /* up, down, unknown, skipped */
    int32_t reason_ttl;         /* -1: not said */
    int64_t start_s, end_s;     /* epoch seconds; 0: not said */
    bool timed_out;             /* the tool gave up on it: its ports are not known, not closed */
    const char *comment;
    const char *extraports; /* JSON array [{"state","count","reasons":[...]}], or NULL */
    const char *os;         /* JSON object, or NULL */
    const char *scripts;    /* JSON array, or NULL */
    const char *more;       /* JSON object: uptime, distance, trace, times, ..., or NULL */
    struct arena *arena;    /* owned; NULL: strings live elsewhere */
};

/* Frees the arrays and the arena, leaves a zeroed host. */
void host_done(struct host *h);
/* Grow the arrays (xrealloc inside); the new element is zeroed, -1 where that means "not said". */
struct host_addr *host_add_addr(struct host *h);
struct host_name *host_add_name(struct host *h);
struct port *host_add_port(struct host *h);
/* First IPv4, else IPv6, else MAC address; NULL if none. What the old surface calls `host`. */
const char *host_address(const struct host *h);

/*
 * Where an address stands in lists that are in order: all IPv4 before all IPv6, then by number;
 * 17 bytes: 4 or 6, then the address in network order, zeros behind it. False: `text` is no
 * address of these families (a MAC address, garbage).
 */
enum { HOST_KEY = 17 };
bool host_key(const char *text, uint8_t out[HOST_KEY]);

/* Streams of hosts: head (no ports), then its ports, then its end. Everything is borrowed for the
 * call; a non-zero return stops the stream. seq is the reader's place in the list it reads. */
struct host_sink {
    int (*host)(void *arg, int64_t seq, const struct host *head, struct err *e);
    int (*port)(void *arg, const struct port *p, struct err *e);
    int (*host_end)(void *arg, struct err *e);
    void *arg;
};

/* arena - many small strings, freed together. */
struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *a);
void arena_reset(struct arena *a); /* keeps the first block */
char *arena_strn(struct arena *a, const char *s, size_t n);
size_t arena_used(const struct arena *a);

/* What a tool says while it runs, and about its run. */
struct progress {
    const char *task;     /* "SYN Stealth Scan" */
    int32_t percent_x100; /* 0..10000; -1 unknown */
    int32_t remaining_s;  /* -1 unknown */
};

struct run_info {
    const char *scanner, *version, *args;
    int64_t start_s;
    const char *json; /* the whole record as a JSON object */
    bool complete;    /* the tool closed its document, its end record included */
    const char *exit; /* "success", "error" or NULL */
    const char *errormsg;
};
