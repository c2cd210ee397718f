/* Between sightings.c and sightings_host.c: what is kept of a sighting, and who turns it into
 * hosts.
 */
#pragma once

#include "parse/sightings.h"

struct kept {
    uint64_t key;     /* IPv4: address and all below; IPv6: all below */
    uint8_t addr[16]; /* IPv6 */
    int64_t first_s, last_s;
    uint32_t count;
    uint32_t name_n, banner_n; /* texts at `text`, one behind the other */
    uint32_t text;
    int16_t ttl;
    uint8_t reason;
    bool v6, answered;
};

/* The parts of a key, from the low end: state, port + 1, protocol, address. */
enum { KEY_STATE = 3, KEY_PORT = 17, KEY_PROTO = 3, KEY_SUB = KEY_STATE + KEY_PORT + KEY_PROTO };

static inline uint64_t key_sub(enum sighting_proto proto, int32_t port, enum sighting_state state)
{
    return (uint64_t)proto << (KEY_STATE + KEY_PORT) | (uint64_t)(port + 1) << KEY_STATE |
           (uint64_t)state;
}

static inline enum sighting_state kept_state(const struct kept *k)
{
    return (enum sighting_state)(k->key & ((1 << KEY_STATE) - 1));
}

static inline int32_t kept_port(const struct kept *k)
{
    return (int32_t)(k->key >> KEY_STATE & ((1 << KEY_PORT) - 1)) - 1;
}

static inline enum sighting_proto kept_proto(const struct kept *k)
{
    return (enum sighting_proto)(k->key >> (KEY_STATE + KEY_PORT) & ((1 << KEY_PROTO) - 1));
}

/* Ports of one host that have state, reason and protocol in common. */
struct sightings_extra {
    enum sighting_state state;
    unsigned reason;
    enum sighting_proto proto;
    bool has_port;
    uint64_t count;
    int32_t begin, last; /* the open range */
    struct buf ports;    /* "22,80-90" */
};

enum { EXTRAS_MAX = 64 };

struct sightings_octet {
    char text[4];
    uint8_t n;
};

struct sightings_host {
    struct host host;
    struct host_addr addr;
    char text[64]; /* the address */
    size_t room;   /* for ports */
    struct buf extra, scripts;
    struct sightings_extra extras[EXTRAS_MAX];
    unsigned n_extras;
    struct arena *arena;
    char reasons[REASONS_MAX + 1][REASON_TEXT + 1];
    unsigned n_reasons;
    struct sightings_octet octets[256];
};

void sightings_host_init(struct sightings_host *h);
void sightings_host_done(struct sightings_host *h);
/* Hands out the host that all of these are about; they are sorted and joined. */
int sightings_host_emit(struct sightings_host *h, const struct kept *k, size_t n, const char *texts,
                        const struct parse_sink *sink, struct err *e);
