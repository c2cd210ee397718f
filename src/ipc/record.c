/* The writing side: measure, reserve once, then write through a bare pointer. */

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "base/mem.h"
#include "ipc/chan.h"
#include "ipc/record_format.h"

struct strings {
    const char *s[STRINGS_MAX];
    uint32_t n[STRINGS_MAX];
    unsigned count;
    uint32_t mask;
    size_t size; /* on the wire */
};

static uint32_t cut(const char *s, size_t n, size_t max)
{
    if (n > max) {
        n = max;
        while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80) {
            n--;
        }
    }
    return (uint32_t)n;
}

static void collect_some(struct strings *set, const void *of, const struct string_at *at,
                         unsigned count, bool with_json)
{
    set->count = count;
    set->mask = 0;
    set->size = sizeof set->mask;
    for (unsigned i = 0; i < count; i++) {
        const char *s = *(const char *const *)(const void *)((const char *)of + at[i].offset);
        bool json = at[i].kind == '[' || at[i].kind == '{';

        if (at[i].kind == '!' && !s) {
            s = "";
        }
        if (!s || (json && !with_json)) {
            continue;
        }
        set->s[i] = s;
        set->n[i] = json ? (uint32_t)MIN(strlen(s), (size_t)RECORD_MAX)
                         : cut(s, strlen(s), RECORD_TEXT_MAX);
        set->mask |= UINT32_C(1) << i;
        set->size += LEN_SIZE + set->n[i] + 1;
    }
}

static void collect(struct strings *set, const void *of, const struct string_at *at, unsigned count)
{
    collect_some(set, of, at, count, true);
    if (set->size > RECORD_MAX / 2) {
        collect_some(set, of, at, count, false);
    }
}

#define COLLECT(set, of, at) collect((set), (of), (at), ARRAY_LEN(at))

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static uint8_t *put_u64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static uint8_t *put_strings(uint8_t *p, const struct strings *set)
{
    p = put_u32(p, set->mask);
    for (unsigned i = 0; i < set->count; i++) {
        if (set->mask & UINT32_C(1) << i) {
            p = put_u32(p, set->n[i]);
            memcpy(p, set->s[i], set->n[i]);
            p += set->n[i];
            *p++ = '\0';
        }
    }
    return p;
}

/* NULL: over the buffer's own cap, whose `over` says so. The caller writes at most `size`. */
static uint8_t *begin(struct buf *b, uint8_t type, size_t size)
{
    uint8_t *p = (uint8_t *)buf_space(b, HEAD_SIZE + size);

    if (p) {
        p[LEN_SIZE] = type;
        p += HEAD_SIZE;
    }
    return p;
}

/* The record begins at b->len and ends at `end`. */
static void finish(struct buf *b, const uint8_t *end)
{
    uint8_t *start = (uint8_t *)b->data + b->len;
    size_t n = (size_t)(end - start);

    assert(n - LEN_SIZE <= RECORD_MAX);
    put_u32(start, (uint32_t)(n - LEN_SIZE));
    b->len += n;
    b->data[b->len] = '\0';
}

static int32_t within(int32_t v, int32_t max)
{
    return v < 0 || v > max ? -1 : v;
}

/* A list: u16 count, then sets of strings. Ends early where the record would become too large. */
struct list {
    const void *items;
    size_t n, item_size;
    const struct string_at *at;
    unsigned n_at;
};

static void put_list(struct buf *b, const struct list *list)
{
    size_t count_at = b->len;
    size_t limit = b->len + RECORD_MAX / 4;
    uint16_t count = 0;

    wire_u16(b, 0);
    for (size_t i = 0; i < MIN(list->n, (size_t)RECORD_LIST_MAX); i++) {
        struct strings set;
        uint8_t *p;

        collect(&set, (const char *)list->items + i * list->item_size, list->at, list->n_at);
        if (b->len + set.size > limit) {
            break;
        }
        p = (uint8_t *)buf_space(b, set.size);
        if (p) {
            put_strings(p, &set);
            b->len += set.size;
            count++;
        }
    }
    if (!b->over) {
        count = htole16(count);
        memcpy(b->data + count_at, &count, sizeof count);
    }
}

void record_put_head(struct buf *b, const struct host *h)
{
    const struct list addrs = {h->addrs, h->n_addrs, sizeof *h->addrs, addr_strings,
                               ARRAY_LEN(addr_strings)};
    const struct list names = {h->names, h->n_names, sizeof *h->names, name_strings,
                               ARRAY_LEN(name_strings)};
    size_t start = b->len;
    struct strings set;
    uint8_t *p;

    COLLECT(&set, h, host_strings);
    p = begin(b, REC_HOST, sizeof(uint32_t) + 2 * sizeof(uint64_t) + 1 + set.size);
    if (!p) {
        return;
    }
    p = put_u32(p, (uint32_t)within(h->reason_ttl, TTL_MAX));
    p = put_u64(p, (uint64_t)MAX(h->start_s, 0));
    p = put_u64(p, (uint64_t)MAX(h->end_s, 0));
    *p++ = h->timed_out;
    p = put_strings(p, &set);
    b->len = (size_t)((char *)p - b->data);
    put_list(b, &addrs);
    put_list(b, &names);
    p = (uint8_t *)b->data + b->len;
    b->len = start;
    finish(b, p);
}

void record_put_port(struct buf *b, const struct port *port)
{
    struct strings set;
    uint16_t number = htole16(port->number);
    uint8_t *p;

    COLLECT(&set, port, port_strings);
    p = begin(b, REC_PORT, sizeof number + 2 * sizeof(uint32_t) + 1 + set.size);
    if (!p) {
        return;
    }
    memcpy(p, &number, sizeof number);
    p = put_u32(p + sizeof number, (uint32_t)within(port->reason_ttl, TTL_MAX));
    p = put_u32(p, (uint32_t)within(port->conf, CONF_MAX));
    *p++ = port->has_service;
    finish(b, put_strings(p, &set));
}

void record_put_host_end(struct buf *b)
{
    uint8_t *p = begin(b, REC_HOST_END, 0);

    if (p) {
        finish(b, p);
    }
}

void record_put_host(struct buf *b, const struct host *h)
{
    record_put_head(b, h);
    for (size_t i = 0; i < h->n_ports; i++) {
        record_put_port(b, &h->ports[i]);
    }
    record_put_host_end(b);
}

void record_put_progress(struct buf *b, const struct progress *progress)
{
    struct strings set;
    uint8_t *p;

    COLLECT(&set, progress, progress_strings);
    p = begin(b, REC_PROGRESS, 2 * sizeof(uint32_t) + set.size);
    if (p) {
        p = put_u32(p, (uint32_t)within(progress->percent_x100, PERCENT_MAX));
        p = put_u32(p, (uint32_t)within(progress->remaining_s, INT32_MAX));
        finish(b, put_strings(p, &set));
    }
}

/* ---- findings ---- */

/* The numbers of a finding, before its strings: with a fixed size but for the lists. */
static void put_place_numbers(struct buf *b, const struct finding_place *at)
{
    wire_u32(b, (uint32_t)MAX(at->line, 0));
    wire_u32(b, (uint32_t)MAX(at->column, 0));
    wire_u32(b, (uint32_t)MAX(at->end_line, 0));
    wire_u32(b, (uint32_t)MAX(at->end_column, 0));
}

static void put_finding_numbers(struct buf *b, const struct finding *f)
{
    wire_u8(b, (uint8_t)f->severity);
    wire_u8(b, (uint8_t)f->confidence_x100);
    wire_u8(b, f->verified);
    wire_u32(b, (uint32_t)MAX(f->snippet_line, 0));
    put_place_numbers(b, &f->at);
    wire_u32(b, f->n_cwe);
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        wire_u32(b, (uint32_t)f->cwe[i]);
    }
    buf_add(b, &f->identity, sizeof f->identity);
}

static void put_strings_of(struct buf *b, const void *of, const struct string_at *at, unsigned n)
{
    struct strings set;
    uint8_t *p;

    collect(&set, of, at, n);
    p = (uint8_t *)buf_space(b, set.size);
    if (p) {
        put_strings(p, &set);
        b->len += set.size;
    }
}

void record_put_finding(struct buf *b, const struct finding *f)
{
    struct buf body = {.cap = RECORD_MAX - 1};
    uint8_t *p;

    assert(f->n_cwe <= FINDING_CWES && f->n_engines <= FINDING_ENGINES &&
           f->n_related <= FINDING_RELATED);
    put_finding_numbers(&body, f);
    put_strings_of(&body, f, finding_strings, ARRAY_LEN(finding_strings));
    wire_u32(&body, f->n_engines);
    for (uint32_t i = 0; i < f->n_engines; i++) {
        wire_u8(&body, (uint8_t)f->engines[i].confidence_x100);
        put_strings_of(&body, &f->engines[i], engine_strings, ARRAY_LEN(engine_strings));
    }
    wire_u32(&body, f->n_related);
    for (uint32_t i = 0; i < f->n_related; i++) {
        put_place_numbers(&body, &f->related[i]);
        put_strings_of(&body, &f->related[i], place_strings, ARRAY_LEN(place_strings));
    }
    assert(!body.over); /* whatever passed finding_check() is far smaller */
    p = begin(b, REC_FINDING, body.len);
    if (p) {
        memcpy(p, body.data, body.len);
        finish(b, p + body.len);
    }
    buf_done(&body);
}

void record_put_run(struct buf *b, const struct run_info *r)
{
    struct strings set;
    uint8_t *p;

    COLLECT(&set, r, run_strings);
    p = begin(b, REC_RUN, sizeof(uint64_t) + 1 + set.size);
    if (p) {
        p = put_u64(p, (uint64_t)MAX(r->start_s, 0));
        *p++ = r->complete;
        finish(b, put_strings(p, &set));
    }
}

void record_put_raw(struct buf *b, const struct raw_info *r)
{
    uint8_t *p = begin(b, REC_RAW, sizeof r->sha256 + 2 * sizeof(uint64_t) + 1);

    if (p) {
        memcpy(p, r->sha256, sizeof r->sha256);
        p = put_u64(p + sizeof r->sha256, r->size);
        p = put_u64(p, r->stored);
        *p++ = r->truncated;
        finish(b, p);
    }
}

void record_put_end(struct buf *b, const struct parse_end *end)
{
    struct strings set;
    uint8_t *p;

    COLLECT(&set, end, end_strings);
    p = begin(b, REC_END, sizeof(uint32_t) + set.size);
    if (p) {
        p = put_u32(p, (uint32_t)end->code);
        finish(b, put_strings(p, &set));
    }
}
