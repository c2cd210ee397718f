/*
 * scan - what the parsers of masscan and zmap share: pieces of input become whole records; for
 * src/parse only.
 *
 *   scan.c           the shell: pieces, lines, limits, the end
 *   scan_text.c      numbers and addresses
 *   detect.c         what a file is, from its first bytes
 *   sightings*.c      sightings become hosts
 *   json_scan.c      one JSON object
 *   masscan*.c       the forms of masscan
 *   zmap*.c          the forms of zmap
 *
 * A form takes whole records from the front of what is there, and leaves the rest: it comes again
 * with more behind it.
 */
#pragma once

#include "parse/detect.h"
#include "parse/json_scan.h"
#include "parse/parse.h"
#include "parse/sightings.h"

enum {
    SCAN_HEAD = 4096,         /* bytes that tell the form */
    SCAN_RECORD_MAX = 8 << 20 /* bytes of one record */
};

struct scan;

struct scan_form {
    const char *name;
    /* Returns how much of s was used; scan_fail() stops it all. */
    size_t (*take)(struct scan *p, const char *s, size_t n);
    /* The end: what is left is no whole record. May be NULL: then it must be blank. */
    void (*end)(struct scan *p, const char *rest, size_t n);
    void (*free)(struct scan *p); /* may be NULL */
};

/* What a column or member of zmap says. */
enum zmap_field {
    Z_NONE,
    Z_SADDR,
    Z_SPORT,
    Z_CLASS,
    Z_SUCCESS,
    Z_TTL,
    Z_TIME,
    Z_TIME_STR,
    Z_RESPONDER,
    Z_ICMP_TYPE,
    Z_ICMP_CODE,
    Z_UDP, /* only udp modules have it */
};

struct zmap_columns {
    uint8_t *field; /* owned */
    size_t n;
    unsigned has; /* bits of the fields that are there */
};

/* A classification that means the same in every row that has it. */
struct zmap_class {
    char text[24];
    size_t n; /* 0: none */
    enum sighting_state state;
    enum sighting_proto proto;
    unsigned reason;
};

struct scan {
    const struct parse_sink *sink;
    const char *tool; /* for messages */
    const struct scan_form *(*choose)(struct scan *p, enum detected kind);
    const struct scan_form *form; /* NULL: too little was seen */
    int code;
    struct err err;
    bool sink_failed;
    struct sightings *found;
    struct buf hold;  /* input that waits for the end of a record */
    size_t seen;      /* bytes of the record at hand that were looked at */
    uint64_t lines;   /* line ends before the record at hand */
    bool unfinished;  /* it began in a way that wants an end, which has not come */
    char version[32]; /* of the tool; "" */

    struct json_edge edge; /* JSON */
    bool in_array, after_record;
    struct buf key, scratch, name, banner;
    struct zmap_columns columns;
    struct zmap_class class; /* of the last row */
    void *xml;               /* masscan's XML: a parser of nmap's */
    struct parse_sink xml_sink;
};

/* Stops; the message gets the tool and the line. Only the first failure counts. */
void scan_fail(struct scan *p, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* False: it stops here. */
bool scan_report(struct scan *p, const struct sighting *x);
/* A sighting of which nothing is known. */
struct sighting scan_finding(void);
/* The length of the line at s, its end included; 0: it has none yet. Fails when it is too long. */
size_t scan_line(struct scan *p, const char *s, size_t n);
/* Line end, spaces at both ends: gone. */
void scan_trim(const char **s, size_t *n);
void scan_count_lines(struct scan *p, const char *s, size_t n);

void *scan_new(const struct parse_sink *sink, const char *tool,
               const struct scan_form *(*choose)(struct scan *p, enum detected kind));
int scan_feed(void *arg, const char *data, size_t n, struct err *e);
int scan_finish(void *arg, struct err *e);
void scan_free(void *arg);

/*
 * JSON objects one after the other, in an array or not, with commas or not: record() gets each.
 * fast() may read a record of the usual form at once, and returns its length, or 0. NULL: none.
 */
struct scan_json {
    bool (*record)(struct scan *p, const char *s, size_t n);
    size_t (*fast)(struct scan *p, const char *s, size_t n);
};
size_t scan_take_json(struct scan *p, const char *s, size_t n, const struct scan_json *how);
void scan_end_json(struct scan *p, const char *rest, size_t n);
/* Text for a message. */
const char *scan_quote(struct scan *p, const char *s, size_t n);

/* Whole text; false: it is none. */
bool scan_number(const char *s, size_t n, int64_t max, int64_t *out);
bool scan_address(const char *s, size_t n, struct sighting *x);
/* 2026-11-21T22:35:02.707+0000 as epoch seconds, 0: it is none. */
int64_t scan_time(const char *s, size_t n);
bool scan_is(const char *s, size_t n, const char *word);

extern const struct scan_form masscan_json, masscan_list, masscan_grepable, masscan_xml, zmap_json,
    zmap_csv;

/* What masscan calls these. False: unknown. */
bool masscan_proto(const char *s, size_t n, struct sighting *x);
bool masscan_status(const char *s, size_t n, struct sighting *x);
/* Turns \xNN back into bytes. */
void masscan_unescape(struct buf *b, const char *s, size_t n);
/* Checks and adds what a record of masscan said. */
bool masscan_add(struct scan *p, struct sighting *x);

/* What a row of zmap said; the callers fill it. */
struct zmap_row {
    struct sighting x;
    bool has_addr, has_port;
    const struct zmap_class *known; /* what the class means; NULL: look at the next two */
    const char *class;              /* NULL or empty: not said */
    size_t class_n;
    int64_t success; /* -1: not said */
    int64_t icmp_type, icmp_code;
    uint8_t responder[16];
    bool has_responder, udp;
    bool port_column; /* there is one, if empty */
};
struct zmap_row zmap_row(void);
bool zmap_add(struct scan *p, struct zmap_row *row);
/* Puts it into p->class. False: rows with this class are not all alike, or it is unknown. */
bool zmap_class(struct scan *p, const char *s, size_t n);
/* The field of that name, hyphens or underscores. */
enum zmap_field zmap_field(const char *s, size_t n);

/* Of each record: here, so that they are part of their callers. */

/* What follows the digits at s, of which there is at least one; NULL: none, or more than `max`. */
static inline const char *scan_digits(const char *s, const char *end, int64_t max, int64_t *out)
{
    const char *from = s;
    int64_t v = 0;

    for (; s < end && *s >= '0' && *s <= '9'; s++) {
        v = v * 10 + (*s - '0');
        if (v > max) {
            return NULL;
        }
    }
    if (s == from) {
        return NULL;
    }
    *out = v;
    return s;
}

/* What follows the IPv4 address at s, or NULL. */
static inline const char *scan_ipv4(const char *s, const char *end, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        const char *from = s;
        unsigned v = 0;

        if (i) {
            if (s == end || *s != '.') {
                return NULL;
            }
            from = ++s;
        }
        while (s < end && s - from < 3 && *s >= '0' && *s <= '9') {
            v = v * 10 + (unsigned)(*s++ - '0');
        }
        if (s == from || v > 255 || (s - from > 1 && *from == '0')) {
            return NULL;
        }
        out[i] = (uint8_t)v;
    }
    return s;
}
