/*
 * masscan's JSON and ndjson: one sighting a record. Records as masscan writes them are read in one
 * go; whatever differs by one byte takes the general way.
 */
#include <string.h>

#include "parse/scan.h"

/* --- the usual forms --- */

/* Where the literal ends, or NULL. */
#define LITERAL(s, end, text)                                                                \
    ((size_t)((end) - (s)) >= sizeof(text) - 1 && memcmp((s), (text), sizeof(text) - 1) == 0 \
         ? (s) + sizeof(text) - 1                                                            \
         : NULL)

/* A word of letters, digits and hyphens up to its quote. */
static const char *word(const char *s, const char *end, size_t *n)
{
    const char *from = s;

    while (s < end && ((*s >= 'a' && *s <= 'z') || *s == '-')) {
        s++;
    }
    *n = (size_t)(s - from);
    return s < end && *s == '"' ? s + 1 : NULL;
}

/* "status": "open", "reason": "syn-ack", "ttl": 64 */
static const char *fast_status(struct scan *p, const char *s, const char *end, struct sighting *x,
                               bool spaced)
{
    const char *at = s;
    int64_t v;
    size_t n;

    s = spaced ? LITERAL(s, end, "\"status\": \"") : LITERAL(s, end, "\"status\":\"");
    at = s;
    s = s ? word(s, end, &n) : NULL;
    if (!s || !masscan_status(at, n, x)) {
        return NULL;
    }
    s = spaced ? LITERAL(s, end, ", \"reason\": \"") : LITERAL(s, end, ",\"reason\":\"");
    at = s;
    s = s ? word(s, end, &n) : NULL;
    if (!s) {
        return NULL;
    }
    x->reason = sightings_reason(p->found, at, n);
    s = spaced ? LITERAL(s, end, ", \"ttl\": ") : LITERAL(s, end, ",\"ttl\":");
    s = s ? scan_digits(s, end, UINT8_MAX, &v) : NULL;
    x->ttl = s ? (int32_t)v : -1;
    return s;
}

/* 80, "proto": "tcp", */
static const char *fast_port(const char *s, const char *end, struct sighting *x, bool spaced)
{
    const char *at;
    int64_t v;
    size_t n;

    s = scan_digits(s, end, UINT16_MAX, &v);
    if (!s) {
        return NULL;
    }
    x->port = (int32_t)v;
    s = spaced ? LITERAL(s, end, ", \"proto\": \"") : LITERAL(s, end, ",\"proto\":\"");
    at = s;
    s = s ? word(s, end, &n) : NULL;
    return s && masscan_proto(at, n, x) ? s : NULL;
}

static const char *fast_json(struct scan *p, const char *s, const char *end, struct sighting *x)
{
    s = LITERAL(s, end, "{   \"ip\": \"");
    s = s ? scan_ipv4(s, end, x->addr) : NULL;
    s = s ? LITERAL(s, end, "\",   \"timestamp\": \"") : NULL;
    s = s ? scan_digits(s, end, INT64_C(1) << 40, &x->time_s) : NULL;
    s = s ? LITERAL(s, end, "\", \"ports\": [ {\"port\": ") : NULL;
    s = s ? fast_port(s, end, x, true) : NULL;
    s = s ? LITERAL(s, end, ", ") : NULL;
    s = s ? fast_status(p, s, end, x, true) : NULL;
    return s ? LITERAL(s, end, "} ] }") : NULL;
}

static const char *fast_ndjson(struct scan *p, const char *s, const char *end, struct sighting *x)
{
    s = LITERAL(s, end, "{\"ip\":\"");
    s = s ? scan_ipv4(s, end, x->addr) : NULL;
    s = s ? LITERAL(s, end, "\",\"timestamp\":\"") : NULL;
    s = s ? scan_digits(s, end, INT64_C(1) << 40, &x->time_s) : NULL;
    s = s ? LITERAL(s, end, "\",\"port\":") : NULL;
    s = s ? fast_port(s, end, x, false) : NULL;
    s = s ? LITERAL(s, end, ",\"rec_type\":\"status\",\"data\":{") : NULL;
    s = s ? fast_status(p, s, end, x, false) : NULL;
    return s ? LITERAL(s, end, "}}") : NULL;
}

static size_t fast(struct scan *p, const char *s, size_t n)
{
    struct sighting x;
    const char *end = s + n;
    const char *at;

    if (n < 2) {
        return 0;
    }
    x.v6 = x.answered = false;
    x.banner_n = x.name_n = 0;
    at = s[1] == ' ' ? fast_json(p, s, end, &x) : fast_ndjson(p, s, end, &x);
    return at && masscan_add(p, &x) ? (size_t)(at - s) : 0;
}

/* --- the general way --- */

struct record {
    struct scan *p;
    struct sighting x;
    int64_t port;
    bool has_addr, has_proto, has_status, has_banner;
    const char *ports; /* the list: it may stand before the address */
    const char *bad;
};

static bool member(struct json_scan *j, void *arg);

static void add(struct record *r)
{
    struct sighting x = r->x;

    if (r->bad || r->p->code) {
        return;
    }
    if (!r->has_addr || !r->has_proto || (!r->has_status && !r->has_banner)) {
        r->bad = !r->has_addr    ? "a record has no address"
                 : !r->has_proto ? "a record has no protocol"
                                 : "a record has neither status nor banner";
        return;
    }
    if (r->port < 0 || r->port > UINT16_MAX) {
        r->bad = "a port is no number from 0 to 65535";
        return;
    }
    x.port = (int32_t)r->port;
    if (r->has_status) {
        masscan_add(r->p, &x);
    }
    if (r->has_banner) {
        x.state = FINDING_BANNER;
        x.reason = 0;
        x.name = r->p->name.data ? r->p->name.data : "";
        x.name_n = r->p->name.len;
        x.banner = r->p->banner.data ? r->p->banner.data : "";
        x.banner_n = r->p->banner.len;
        masscan_add(r->p, &x);
    }
}

static void forget(struct record *r)
{
    r->port = -1;
    r->has_proto = r->has_status = r->has_banner = false;
    r->x.ttl = -1;
    r->x.reason = 0;
    buf_reset(&r->p->name);
    buf_reset(&r->p->banner);
}

static bool listed_port(struct json_scan *j, void *arg)
{
    struct record *r = arg;

    forget(r);
    if (!json_scan_object(j, member, r)) {
        return false;
    }
    add(r);
    return true;
}

/* A string that goes through one of the tables. */
static bool known_word(struct json_scan *j, struct record *r,
                       bool (*find)(const char *s, size_t n, struct sighting *x), bool *has,
                       const char *bad)
{
    struct buf *b = &r->p->key;

    if (!json_scan_string(j, b)) {
        return false;
    }
    *has = find(b->data ? b->data : "", b->len, &r->x);
    if (!*has) {
        r->bad = r->bad ? r->bad : bad;
    }
    return true;
}

static bool member(struct json_scan *j, void *arg)
{
    struct record *r = arg;
    struct buf *b = &r->p->key;
    const char *key = j->key;
    int64_t v = -1;

    if (strcmp(key, "ip") == 0) {
        return known_word(j, r, scan_address, &r->has_addr, "an address is none");
    }
    if (strcmp(key, "timestamp") == 0) {
        bool ok = json_scan_number(j, &v);

        r->x.time_s = v > 0 && v < INT64_C(1) << 40 ? v : 0;
        return ok;
    }
    if (strcmp(key, "port") == 0) {
        return json_scan_number(j, &r->port);
    }
    if (strcmp(key, "proto") == 0) {
        return known_word(j, r, masscan_proto, &r->has_proto, "a protocol is unknown");
    }
    if (strcmp(key, "status") == 0) {
        return known_word(j, r, masscan_status, &r->has_status, "a status is unknown");
    }
    if (strcmp(key, "reason") == 0) {
        bool ok = json_scan_string(j, b);

        r->x.reason = sightings_reason(r->p->found, b->data ? b->data : "", b->len);
        return ok;
    }
    if (strcmp(key, "ttl") == 0) {
        bool ok = json_scan_number(j, &v);

        r->x.ttl = v >= 0 && v <= UINT8_MAX ? (int32_t)v : -1;
        return ok;
    }
    if (strcmp(key, "name") == 0 || strcmp(key, "service_name") == 0) {
        return json_scan_string(j, &r->p->name);
    }
    if (strcmp(key, "banner") == 0) {
        r->has_banner = true;
        return json_scan_string(j, &r->p->banner);
    }
    if (strcmp(key, "data") == 0 || strcmp(key, "service") == 0) {
        return json_scan_peek(j) == '{' ? json_scan_object(j, member, r) : json_scan_skip(j);
    }
    if (strcmp(key, "ports") == 0 && json_scan_peek(j) == '[') {
        r->ports = j->p;
    }
    return json_scan_skip(j);
}

/* What versions 1.0.3 to 1.0.5 wrote at the end. */
static bool is_trailer(const char *s, size_t n)
{
    static const char want[] = "{finished:1}";
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        if (s[i] == ' ' || s[i] == '\t') {
            continue;
        }
        if (at == sizeof want - 1 || s[i] != want[at++]) {
            return false;
        }
    }
    return at == sizeof want - 1;
}

static bool record(struct scan *p, const char *s, size_t n)
{
    struct record r = {.p = p, .x = scan_finding(), .port = -1};
    struct json_scan j = {.p = s, .end = s + n};

    if (is_trailer(s, n)) {
        return true;
    }
    forget(&r);
    if (!json_scan_object(&j, member, &r)) {
        scan_fail(p, ERR_TOOL, "malformed JSON: %s", j.why);
        return false;
    }
    if (r.ports) {
        j = (struct json_scan){.p = r.ports, .end = s + n};
        json_scan_array(&j, listed_port, &r);
        if (j.why) {
            scan_fail(p, ERR_TOOL, "not a record of masscan: %s", j.why);
        }
    } else {
        add(&r);
    }
    if (r.bad) {
        scan_fail(p, ERR_TOOL, "%s", r.bad);
    }
    return p->code == 0;
}

static size_t take(struct scan *p, const char *s, size_t n)
{
    static const struct scan_json how = {.record = record, .fast = fast};

    return scan_take_json(p, s, n, &how);
}

const struct scan_form masscan_json = {.name = "json", .take = take, .end = scan_end_json};
