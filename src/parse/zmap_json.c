/* zmap's JSON: one object a line, of which a few members matter. */
#include <string.h>

#include "parse/scan.h"

struct record {
    struct scan *p;
    struct zmap_row row;
    const char *bad;
};

static bool address(struct json_scan *j, struct record *r)
{
    struct buf *b = &r->p->key;

    if (!json_scan_string(j, b)) {
        return false;
    }
    r->row.has_addr = scan_address(b->data ? b->data : "", b->len, &r->row.x);
    r->bad = r->row.has_addr ? r->bad : "an address is none";
    return true;
}

static bool responder(struct json_scan *j, struct zmap_row *row, struct buf *b)
{
    struct sighting x = {0};

    if (json_scan_peek(j) != '"') {
        return json_scan_skip(j);
    }
    if (!json_scan_string(j, b)) {
        return false;
    }
    row->has_responder = scan_address(b->data ? b->data : "", b->len, &x);
    memcpy(row->responder, x.addr, sizeof x.addr);
    return true;
}

static bool class(struct json_scan *j, struct record *r)
{
    struct buf *b = &r->p->name;

    if (json_scan_peek(j) != '"') {
        return json_scan_skip(j);
    }
    if (!json_scan_string(j, b)) {
        return false;
    }
    r->row.class = b->data ? b->data : "";
    r->row.class_n = b->len;
    return true;
}

static bool time_string(struct json_scan *j, struct record *r)
{
    struct buf *b = &r->p->key;
    int64_t at;

    if (json_scan_peek(j) != '"') {
        return json_scan_skip(j);
    }
    if (!json_scan_string(j, b)) {
        return false;
    }
    at = scan_time(b->data ? b->data : "", b->len);
    r->row.x.time_s = r->row.x.time_s ? r->row.x.time_s : at;
    return true;
}

static bool port(struct json_scan *j, struct record *r)
{
    bool null = json_scan_peek(j) == 'n';
    int64_t v = -1;

    if (!json_scan_number(j, &v)) {
        return false;
    }
    r->row.port_column = true;
    r->row.has_port = v >= 0 && v <= UINT16_MAX;
    r->row.x.port = r->row.has_port ? (int32_t)v : -1;
    if (!r->row.has_port && !null) {
        r->bad = "a port is no number from 0 to 65535";
    }
    return true;
}

static bool number(struct json_scan *j, int64_t max, int64_t *out)
{
    int64_t v = -1;
    bool ok = json_scan_number(j, &v);

    if (ok && v >= 0 && v <= max) {
        *out = v;
    }
    return ok;
}

static bool member(struct json_scan *j, void *arg)
{
    struct record *r = arg;
    struct zmap_row *row = &r->row;
    int64_t v = -1;
    bool ok;

    switch (zmap_field(j->key, strlen(j->key))) {
    case Z_SADDR:
        return address(j, r);
    case Z_SPORT:
        return port(j, r);
    case Z_CLASS:
        return class(j, r);
    case Z_SUCCESS:
        return number(j, 1, &row->success);
    case Z_TTL:
        ok = number(j, UINT8_MAX, &v);
        row->x.ttl = (int32_t)v;
        return ok;
    case Z_TIME:
        return number(j, INT64_C(1) << 40, &row->x.time_s);
    case Z_TIME_STR:
        return time_string(j, r);
    case Z_RESPONDER:
        return responder(j, row, &r->p->key);
    case Z_ICMP_TYPE:
        return number(j, UINT8_MAX, &row->icmp_type);
    case Z_ICMP_CODE:
        return number(j, UINT8_MAX, &row->icmp_code);
    case Z_UDP:
        row->udp = true;
        return json_scan_skip(j);
    default:
        return json_scan_skip(j);
    }
}

static bool record(struct scan *p, const char *s, size_t n)
{
    struct record r = {.p = p, .row = zmap_row()};
    struct json_scan j = {.p = s, .end = s + n};

    if (!json_scan_object(&j, member, &r)) {
        scan_fail(p, ERR_TOOL, "malformed JSON: %s", j.why);
        return false;
    }
    if (r.bad) {
        scan_fail(p, ERR_TOOL, "%s", r.bad);
        return false;
    }
    return zmap_add(p, &r.row);
}

static size_t take(struct scan *p, const char *s, size_t n)
{
    static const struct scan_json how = {.record = record};

    return scan_take_json(p, s, n, &how);
}

const struct scan_form zmap_json = {.name = "json", .take = take, .end = scan_end_json};
