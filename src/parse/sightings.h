/*
 * sightings - what masscan and zmap report, one answer at a time and in no order, made into hosts;
 * for src/parse only.
 *
 * Up to SIGHTINGS_MAX are collected, sorted by address, protocol, port and state, and joined when
 * they say the same. If that leaves enough room (answers that came by the hundreds) collecting
 * goes on, else hosts are handed out. Memory is bounded by that number and by FINDINGS_TEXT.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "parse/parse.h"

enum {
    FINDINGS_TEXT = 8 << 20, /* bytes of banners that are kept at a time */
    BANNERS_MAX = 32,        /* different ones of one port; the rest are counted only */
    BANNER_TEXT = 4 << 20,   /* bytes of one, as text */
    REASONS_MAX = 200,       /* different ones; the rest are "other" */
    REASON_TEXT = 48,
};

enum sighting_proto { PROTO_TCP, PROTO_UDP, PROTO_SCTP, PROTO_IP, PROTO_ICMP, PROTO_ARP };

/* In the order in which they are listed for one port. */
enum sighting_state {
    FINDING_UP,         /* the address answered; no port */
    FINDING_OPEN,       /* */
    FINDING_UNFILTERED, /* it answered, and nobody said whether it is open */
    FINDING_FILTERED,   /* somebody told that it cannot be reached; mostly not which port */
    FINDING_LISTED,     /* an address in a list that says nothing of it */
    FINDING_CLOSED,
    FINDING_BANNER,
};

struct sighting {
    bool v6;
    bool answered;    /* filtered: the address itself told so, it is up */
    uint8_t addr[16]; /* network order; IPv4: the first four */
    enum sighting_proto proto;
    enum sighting_state state;
    int32_t port;    /* -1: none */
    int32_t ttl;     /* -1: not said */
    unsigned reason; /* sightings_reason() */
    int64_t time_s;  /* 0: not said */
    /* of banners, bytes as they came over the network */
    const char *name, *banner;
    size_t name_n, banner_n;
};

struct sightings_count {
    uint64_t records;    /* that were read */
    uint64_t duplicates; /* of these: said what another one said */
    uint64_t up, open, unfiltered, filtered, closed, banners;
    uint64_t banners_left_out;
    int64_t first_s, last_s;
};

struct sightings;

struct sightings *sightings_new(const struct parse_sink *sink);
void sightings_free(struct sightings *f);
/* The number of a reason, which stays valid; 0: not said. */
unsigned sightings_reason(struct sightings *f, const char *s, size_t n);
/* 0, or what the sink returned. */
int sightings_add(struct sightings *f, const struct sighting *x, struct err *e);
/* Hands out what is there. */
int sightings_flush(struct sightings *f, struct err *e);
const struct sightings_count *sightings_count(const struct sightings *f);

/*
 * Bytes of a service as text: UTF-8 that can be shown stays, as do tab and line ends; everything
 * else becomes \xNN, like in nmap's output.
 */
void sightings_text(struct buf *b, const char *s, size_t n);
