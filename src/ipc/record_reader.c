/*
 * The reading side. Whole records are read where they lie, in the caller's chunk; only a record
 * that is split between chunks is put together in `in` first.
 */
#include <endian.h>
#include <string.h>

#include "base/mem.h"
#include "ipc/chan.h"
#include "ipc/record_format.h"

enum { KEEP_MAX = 256 << 10 };

static int bad(struct err *e, const char *what)
{
    return err_set(e, ERR_TOOL, "the parser's record stream is broken: %s", what);
}

/* UTF-8 without NUL. Most strings are ASCII: eight bytes a step. */
static bool text_ok(const char *s, size_t n)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
    size_t i = 0;

    while (i < n) {
        uint64_t v;
        size_t len;

        if (n - i >= sizeof v) {
            memcpy(&v, s + i, sizeof v);
            if (((v | (v - ones)) & tops) == 0) { /* no byte above 127, none zero */
                i += sizeof v;
                continue;
            }
        }
        if (s[i] == '\0') {
            return false;
        }
        len = (unsigned char)s[i] < 0x80 ? 1 : utf8_len(s + i, n - i);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}

static bool kind_ok(char kind, const char *s, size_t n)
{
    switch (kind) {
    case '[':
        return n >= 2 && s[0] == '[' && s[n - 1] == ']';
    case '{':
        return n >= 2 && s[0] == '{' && s[n - 1] == '}';
    default:
        return n <= RECORD_TEXT_MAX;
    }
}

static void get_strings(struct wire *w, void *of, const struct string_at *at, unsigned count)
{
    uint32_t mask = wire_get_u32(w);

    if (mask >> count != 0) {
        w->bad = true;
    }
    for (unsigned i = 0; i < count && !w->bad; i++) {
        const char **member = (const char **)(void *)((char *)of + at[i].offset);
        const char *s;
        uint32_t n;

        if (!(mask & UINT32_C(1) << i)) {
            *member = NULL;
            w->bad = at[i].kind == '!';
            continue;
        }
        n = wire_get_u32(w);
        if (w->bad || n >= (size_t)(w->end - w->p)) {
            w->bad = true;
            return;
        }
        s = (const char *)w->p;
        w->p += (size_t)n + 1;
        if (s[n] != '\0' || !kind_ok(at[i].kind, s, n) || !text_ok(s, n)) {
            w->bad = true;
            return;
        }
        *member = s;
    }
}

#define GET_STRINGS(w, of, at) get_strings((w), (of), (at), ARRAY_LEN(at))

/* -1 (not said) to max. */
static int32_t get_within(struct wire *w, int32_t max)
{
    int32_t v = wire_get_i32(w);

    if (v < -1 || v > max) {
        w->bad = true;
    }
    return v;
}

static bool get_bool(struct wire *w)
{
    uint8_t v = wire_get_u8(w);

    if (v > 1) {
        w->bad = true;
    }
    return v != 0;
}

static int64_t get_time(struct wire *w)
{
    int64_t v = wire_get_i64(w);

    if (v < 0) {
        w->bad = true;
    }
    return v;
}

static unsigned get_count(struct wire *w)
{
    unsigned n = wire_get_u16(w);

    if (n > RECORD_LIST_MAX) {
        w->bad = true;
    }
    return w->bad ? 0 : n;
}

static int read_host(struct record_reader *r, struct wire *w, struct err *e)
{
    struct host_addr addrs[RECORD_LIST_MAX];
    struct host_name names[RECORD_LIST_MAX];
    struct host h = {.addrs = addrs, .names = names};

    h.reason_ttl = get_within(w, TTL_MAX);
    h.start_s = get_time(w);
    h.end_s = get_time(w);
    h.timed_out = get_bool(w);
    GET_STRINGS(w, &h, host_strings);
    h.n_addrs = get_count(w);
    for (size_t i = 0; i < h.n_addrs && !w->bad; i++) {
        GET_STRINGS(w, &addrs[i], addr_strings);
    }
    h.n_names = get_count(w);
    for (size_t i = 0; i < h.n_names && !w->bad; i++) {
        GET_STRINGS(w, &names[i], name_strings);
    }
    if (!wire_end(w)) {
        return bad(e, "a host");
    }
    return r->sink->host ? r->sink->host(r->arg, &h, e) : 0;
}

static int read_port(struct record_reader *r, struct wire *w, struct err *e)
{
    struct port p = {0};

    p.number = wire_get_u16(w);
    p.reason_ttl = get_within(w, TTL_MAX);
    p.conf = get_within(w, CONF_MAX);
    p.has_service = get_bool(w);
    GET_STRINGS(w, &p, port_strings);
    if (!wire_end(w)) {
        return bad(e, "a port");
    }
    return r->sink->port ? r->sink->port(r->arg, &p, e) : 0;
}

static int read_progress(struct record_reader *r, struct wire *w, struct err *e)
{
    struct progress p = {0};

    p.percent_x100 = get_within(w, PERCENT_MAX);
    p.remaining_s = get_within(w, INT32_MAX);
    GET_STRINGS(w, &p, progress_strings);
    if (!wire_end(w)) {
        return bad(e, "a progress report");
    }
    return r->sink->progress ? r->sink->progress(r->arg, &p, e) : 0;
}

static int32_t get_number(struct wire *w, int32_t max)
{
    uint32_t v = wire_get_u32(w);

    if (v > (uint32_t)max) {
        w->bad = true;
    }
    return w->bad ? 0 : (int32_t)v;
}

static void get_place(struct wire *w, struct finding_place *at)
{
    at->line = get_number(w, INT32_MAX);
    at->column = get_number(w, INT32_MAX);
    at->end_line = get_number(w, INT32_MAX);
    at->end_column = get_number(w, INT32_MAX);
}

/* Hex digits, a colon and more of them: text without surprises. */
static bool print_ok(const char *s, size_t size)
{
    size_t n = strnlen(s, size);

    return n < size && strspn(s, "0123456789abcdef:") == n;
}

static void get_identity(struct wire *w, struct finding_identity *id)
{
    if ((size_t)(w->end - w->p) < sizeof *id) {
        w->bad = true;
    }
    if (!w->bad) {
        memcpy(id, w->p, sizeof *id);
        w->p += sizeof *id;
    }
    if (!w->bad &&
        !(print_ok(id->primary, sizeof id->primary) && print_ok(id->moved, sizeof id->moved) &&
          print_ok(id->around, sizeof id->around) && print_ok(id->github, sizeof id->github))) {
        w->bad = true;
    }
}

static void get_finding_numbers(struct wire *w, struct finding *f)
{
    f->severity = (enum severity)wire_get_u8(w);
    f->confidence_x100 = wire_get_u8(w);
    f->verified = get_bool(w);
    f->snippet_line = get_number(w, INT32_MAX);
    get_place(w, &f->at);
    f->n_cwe = (uint32_t)get_number(w, FINDING_CWES);
    for (uint32_t i = 0; i < f->n_cwe && !w->bad; i++) {
        f->cwe[i] = get_number(w, INT32_MAX);
    }
    get_identity(w, &f->identity);
}

static int read_finding(struct record_reader *r, struct wire *w, struct err *e)
{
    struct finding f = {0};
    struct err why = {0};

    get_finding_numbers(w, &f);
    GET_STRINGS(w, &f, finding_strings);
    f.n_engines = (uint32_t)get_number(w, FINDING_ENGINES);
    for (uint32_t i = 0; i < f.n_engines && !w->bad; i++) {
        f.engines[i].confidence_x100 = wire_get_u8(w);
        GET_STRINGS(w, &f.engines[i], engine_strings);
    }
    f.n_related = (uint32_t)get_number(w, FINDING_RELATED);
    for (uint32_t i = 0; i < f.n_related && !w->bad; i++) {
        get_place(w, &f.related[i]);
        GET_STRINGS(w, &f.related[i], place_strings);
    }
    if (!wire_end(w)) {
        return bad(e, "a finding");
    }
    if (finding_check(&f, &why) != 0) {
        return bad(e, why.msg);
    }
    return r->sink->finding ? r->sink->finding(r->arg, &f, e) : 0;
}

static int read_run(struct record_reader *r, struct wire *w, struct err *e)
{
    struct run_info run = {0};

    run.start_s = get_time(w);
    run.complete = get_bool(w);
    GET_STRINGS(w, &run, run_strings);
    if (!wire_end(w)) {
        return bad(e, "the run's own record");
    }
    return r->sink->run ? r->sink->run(r->arg, &run, e) : 0;
}

static bool hash_ok(const char hash[65])
{
    size_t n = strnlen(hash, 65);

    return n == 0 || (n == 64 && strspn(hash, "0123456789abcdef") == 64);
}

static int read_raw(struct record_reader *r, struct wire *w, struct err *e)
{
    struct raw_info raw = {0};

    for (size_t i = 0; i < sizeof raw.sha256; i++) {
        raw.sha256[i] = (char)wire_get_u8(w);
    }
    raw.size = wire_get_u64(w);
    raw.stored = wire_get_u64(w);
    raw.truncated = get_bool(w);
    if (!wire_end(w) || !hash_ok(raw.sha256)) {
        return bad(e, "the raw output's record");
    }
    return r->sink->raw ? r->sink->raw(r->arg, &raw, e) : 0;
}

static int read_end(struct record_reader *r, struct wire *w, struct err *e)
{
    struct parse_end end = {0};

    end.code = wire_get_i32(w);
    GET_STRINGS(w, &end, end_strings);
    if (!wire_end(w) || end.code > ERR_OK || end.code < ERR_INTERNAL) {
        return bad(e, "its end");
    }
    r->ended = true;
    return r->sink->end ? r->sink->end(r->arg, &end, e) : 0;
}

/* The order of types; keeps in_host and last. */
static bool order_ok(struct record_reader *r, uint8_t type)
{
    if (r->ended || type < REC_HOST || type > REC_END) {
        return false;
    }
    if (r->in_host) {
        r->in_host = type != REC_HOST_END;
        return type == REC_PORT || type == REC_HOST_END;
    }
    if (type == REC_PORT || type == REC_HOST_END) {
        return false;
    }
    if (type >= REC_RUN) {
        bool later = type > r->last;

        r->last = type;
        return later;
    }
    r->in_host = type == REC_HOST;
    return r->last == 0;
}

static int read_record(struct record_reader *r, const uint8_t *p, size_t n, struct err *e)
{
    struct wire w = {.p = p + 1, .end = p + n};

    if (!order_ok(r, p[0])) {
        return err_set(e, ERR_TOOL, "the parser's record stream is broken: type %u out of order",
                       p[0]);
    }
    switch (p[0]) {
    case REC_HOST:
        return read_host(r, &w, e);
    case REC_PORT:
        return read_port(r, &w, e);
    case REC_HOST_END:
        if (!wire_end(&w)) {
            return bad(e, "the end of a host");
        }
        return r->sink->host_end ? r->sink->host_end(r->arg, e) : 0;
    case REC_PROGRESS:
        return read_progress(r, &w, e);
    case REC_FINDING:
        return read_finding(r, &w, e);
    case REC_RUN:
        return read_run(r, &w, e);
    case REC_RAW:
        return read_raw(r, &w, e);
    default:
        return read_end(r, &w, e);
    }
}

/* The size of the record at p with its length field; 0 when the length is not there yet. */
static int record_size(const uint8_t *p, size_t n, size_t *size, struct err *e)
{
    uint32_t len;

    *size = 0;
    if (n < LEN_SIZE) {
        return 0;
    }
    memcpy(&len, p, sizeof len);
    len = le32toh(len);
    if (len == 0 || len > RECORD_MAX) {
        return err_set(e, ERR_TOOL, "the parser's record stream is broken: a record of %u bytes",
                       len);
    }
    *size = LEN_SIZE + (size_t)len;
    return 0;
}

/* Moves bytes from *p until `in` holds `want` of them. False: there are not that many yet. */
static bool fill(struct record_reader *r, const uint8_t **p, const uint8_t *end, size_t want)
{
    size_t n = MIN(want - r->in.len, (size_t)(end - *p));

    buf_add(&r->in, *p, n);
    *p += n;
    return r->in.len == want;
}

/* Completes the record that an earlier chunk began, if there is one. */
static int feed_rest(struct record_reader *r, const uint8_t **p, const uint8_t *end, struct err *e)
{
    size_t size;
    int rc;

    if (r->in.len < LEN_SIZE && !fill(r, p, end, LEN_SIZE)) {
        return 0;
    }
    rc = record_size((const uint8_t *)r->in.data, r->in.len, &size, e);
    if (rc != 0 || !fill(r, p, end, size)) {
        return rc;
    }
    rc = read_record(r, (const uint8_t *)r->in.data + LEN_SIZE, size - LEN_SIZE, e);
    if (r->in.size > KEEP_MAX) {
        buf_done(&r->in); /* one huge record does not cost its memory for ever */
    }
    buf_reset(&r->in);
    return rc;
}

static int feed(struct record_reader *r, const uint8_t *p, size_t n, struct err *e)
{
    const uint8_t *end = p + n;
    size_t size;
    int rc = 0;

    if (r->in.len > 0) {
        rc = feed_rest(r, &p, end, e);
    }
    while (rc == 0 && p < end) {
        rc = record_size(p, (size_t)(end - p), &size, e);
        if (rc != 0) {
            break;
        }
        if (size == 0 || size > (size_t)(end - p)) {
            buf_add(&r->in, p, (size_t)(end - p));
            break;
        }
        rc = read_record(r, p + LEN_SIZE, size - LEN_SIZE, e);
        p += size;
    }
    return rc;
}

int record_feed(struct record_reader *r, const void *p, size_t n, struct err *e)
{
    if (!r->failed && n > 0) {
        r->why.code = feed(r, p, n, &r->why);
        r->failed = r->why.code != 0;
    }
    if (r->failed) {
        return err_set(e, r->why.code, "%s", r->why.msg);
    }
    return 0;
}

void record_reader_done(struct record_reader *r)
{
    buf_done(&r->in);
}
