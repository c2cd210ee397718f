/*
 * The zmap parser: which form it is, and what a row means. The answering host is saddr, the
 * scanned port sport. Without classification and success a row says only that something was
 * heard: such a port is "unfiltered", never open.
 */
#include <string.h>

#include "base/mem.h"
#include "parse/scan.h"

enum zmap_field zmap_field(const char *s, size_t n)
{
    static const struct {
        const char *name;
        enum zmap_field field;
    } rows[] = {
        {"saddr", Z_SADDR},
        {"sport", Z_SPORT},
        {"classification", Z_CLASS},
        {"success", Z_SUCCESS},
        {"ttl", Z_TTL},
        {"timestamp_ts", Z_TIME},
        {"timestamp_str", Z_TIME_STR},
        {"icmp_responder", Z_RESPONDER},
        {"icmp_type", Z_ICMP_TYPE},
        {"icmp_code", Z_ICMP_CODE},
        {"udp_pkt_size", Z_UDP},
        {"udp_len", Z_UDP},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *name = rows[i].name;
        size_t k = 0;

        /* zmap 2 has hyphens */
        while (k < n && name[k] && (s[k] == name[k] || (s[k] == '-' && name[k] == '_'))) {
            k++;
        }
        if (k == n && !name[k]) {
            return rows[i].field;
        }
    }
    return Z_NONE;
}

struct zmap_row zmap_row(void)
{
    return (struct zmap_row){.x = scan_finding(), .success = -1, .icmp_type = -1, .icmp_code = -1};
}

static const struct class
{
    const char *name;
    enum sighting_state state;
    enum sighting_proto proto;
    const char *reason; /* in nmap's words */
} classes[] = {
    {"synack", FINDING_OPEN, PROTO_TCP, "syn-ack"},
    {"rst", FINDING_CLOSED, PROTO_TCP, "reset"},
    {"echoreply", FINDING_UP, PROTO_ICMP, "echo-reply"},
    {"icmp", FINDING_FILTERED, PROTO_TCP, "icmp"},
    {"icmp-unreach", FINDING_FILTERED, PROTO_UDP, "icmp"},
    {"icmp_unreach", FINDING_FILTERED, PROTO_UDP, "icmp"},
    {"unreach", FINDING_FILTERED, PROTO_ICMP, "unreach"},
    {"port_unreach", FINDING_FILTERED, PROTO_UDP, "port-unreach"},
    {"sourcequench", FINDING_FILTERED, PROTO_ICMP, "source-quench"},
    {"redirect", FINDING_FILTERED, PROTO_ICMP, "redirect"},
    {"timxceed", FINDING_FILTERED, PROTO_ICMP, "time-exceeded"},
};

/* nmap's words for what ICMP says of an address. */
static const char *icmp_reason(int64_t type, int64_t code)
{
    static const char *const unreachable[] = {
        [0] = "net-unreach",      [1] = "host-unreach",   [2] = "proto-unreach",
        [3] = "port-unreach",     [9] = "net-prohibited", [10] = "host-prohibited",
        [13] = "admin-prohibited"};

    if (type == 3 && code >= 0 && code < (int64_t)ARRAY_LEN(unreachable) && unreachable[code]) {
        return unreachable[code];
    }
    return type == 3 ? "dest-unreach" : type == 11 ? "time-exceeded" : NULL;
}

static void set_reason(struct scan *p, struct sighting *x, const char *reason, size_t n)
{
    x->reason = sightings_reason(p->found, reason, n);
}

static const struct class *find_class(const char *s, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        if (scan_is(s, n, classes[i].name)) {
            return &classes[i];
        }
    }
    return NULL;
}

/* Of a classification that we know. */
static void by_class(struct scan *p, struct zmap_row *row, const struct class *c)
{
    struct sighting *x = &row->x;
    const char *reason = c->reason;

    x->state = c->state;
    x->proto = row->udp ? PROTO_UDP : c->proto;
    if (c->state == FINDING_FILTERED) {
        const char *told = icmp_reason(row->icmp_type, row->icmp_code);

        reason = told ? told : reason;
        x->answered = row->has_responder && memcmp(row->responder, x->addr, x->v6 ? 16 : 4) == 0;
    }
    set_reason(p, x, reason, strlen(reason));
}

/* Of another one (modules of UDP, later ones), or of none. */
static void by_success(struct scan *p, struct zmap_row *row)
{
    struct sighting *x = &row->x;
    bool named = row->class_n > 0;

    x->proto = named || row->udp ? PROTO_UDP : PROTO_TCP;
    if (named) {
        set_reason(p, x, row->class, row->class_n);
        if (scan_is(row->class, row->class_n, "udp")) {
            set_reason(p, x, "udp-response", 12);
        }
    }
    if (row->success < 0 && !named) {
        set_reason(p, x, "listed", 6);
        x->state = row->has_port      ? FINDING_UNFILTERED
                   : row->port_column ? FINDING_LISTED
                                      : FINDING_UP;
    } else if (row->success > 0) {
        x->state = row->has_port ? FINDING_OPEN : FINDING_UP;
    } else if (row->has_port) {
        x->state = named ? FINDING_UNFILTERED : FINDING_CLOSED;
    } else {
        x->state = FINDING_FILTERED;
    }
}

bool zmap_class(struct scan *p, const char *s, size_t n)
{
    const struct class *c = find_class(s, n);

    if (!c || c->state == FINDING_FILTERED || n > sizeof p->class.text) {
        return false;
    }
    p->class = (struct zmap_class){.n = n, .state = c->state, .proto = c->proto};
    memcpy(p->class.text, s, n);
    p->class.reason = sightings_reason(p->found, c->reason, strlen(c->reason));
    return true;
}

bool zmap_add(struct scan *p, struct zmap_row *row)
{
    const struct class *c = row->class_n ? find_class(row->class, row->class_n) : NULL;
    struct sighting *x = &row->x;

    if (!row->has_addr) {
        scan_fail(p, ERR_TOOL, "a row has no address (saddr)");
        return false;
    }
    if (row->known) {
        x->state = row->known->state;
        x->proto = row->udp ? PROTO_UDP : row->known->proto;
        x->reason = row->known->reason;
    } else if (c) {
        by_class(p, row, c);
    } else {
        by_success(p, row);
    }
    if (x->state == FINDING_OPEN && !row->has_port) {
        x->state = FINDING_UP;
    } else if (x->state == FINDING_CLOSED && !row->has_port) {
        x->state = FINDING_UP; /* it answered; to which port is not in the file */
    }
    if (x->state == FINDING_UP || x->state == FINDING_LISTED) {
        x->port = -1;
        x->proto = PROTO_ICMP;
    }
    return scan_report(p, x);
}

static const struct scan_form *form_of(struct scan *p, enum detected kind)
{
    switch (kind) {
    case IS_ZMAP_CSV:
        return &zmap_csv;
    case IS_ZMAP_JSON:
        return &zmap_json;
    default:
        return NULL;
    }
}

static void *zmap_new(const struct parse_sink *sink)
{
    return scan_new(sink, "zmap", form_of);
}

const struct parser parser_zmap = {
    .name = "zmap",
    .new = zmap_new,
    .feed = scan_feed,
    .finish = scan_finish,
    .free = scan_free,
};
