/*
 * Adds up what hosts say of the ports that have no row: [{"state","count","reasons":[{"reason",
 * "count","proto","ports"}]}]. The texts come from our own parsers, but what is in them a scanner,
 * or whoever made an imported file: all members may be missing or of another kind, and the lists as
 * long as they like.
 */
#include <jansson.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "store/merge.h"

enum { PORTS = 65536, BITS = 64 };

struct port_bits {
    uint64_t v[PORTS / BITS];
};

struct reason {
    const char *reason, *proto;
    int64_t count;
    struct port_bits *ports; /* owned; NULL: not said */
    bool unsaid;             /* one of them did not say which */
};

struct state {
    const char *state;
    int64_t count;
    struct reason *reasons; /* owned */
    size_t n_reasons;
};

struct sum {
    struct state *states; /* owned */
    size_t n;
};

static void sum_done(struct sum *s)
{
    for (size_t i = 0; i < s->n; i++) {
        for (size_t k = 0; k < s->states[i].n_reasons; k++) {
            free(s->states[i].reasons[k].ports);
        }
        free(s->states[i].reasons);
    }
    free(s->states);
}

/* ---- reading ---- */

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

/* A number, or its digits; saturates. */
static int64_t count_of(const json_t *o)
{
    const json_t *v = json_object_get(o, "count");
    int64_t n = 0;

    if (json_is_integer(v)) {
        n = json_integer_value(v);
    } else if (!json_is_string(v) || !str_to_i64(json_string_value(v), 0, INT64_MAX, &n)) {
        n = 0;
    }
    return MAX(n, 0);
}

static int64_t add(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static bool read_port(const char **at, unsigned *out)
{
    const char *p = *at;
    unsigned v = 0;

    while (*p >= '0' && *p <= '9' && v < PORTS) {
        v = 10 * v + (unsigned)(*p++ - '0');
    }
    if (p == *at || v >= PORTS) {
        return false;
    }
    *at = p;
    *out = v;
    return true;
}

/* "1,3-4"; false where it is anything else. */
static bool read_ports(const char *text, struct port_bits *bits)
{
    const char *p = text;

    while (*p) {
        unsigned first;
        unsigned last;

        if (!read_port(&p, &first)) {
            return false;
        }
        last = first;
        if (*p == '-') {
            p++;
            if (!read_port(&p, &last)) {
                return false;
            }
        }
        for (unsigned i = first; i <= last; i++) {
            bits->v[i / BITS] |= UINT64_C(1) << i % BITS;
        }
        if (*p == ',' && p[1]) {
            p++;
        } else if (*p) {
            return false;
        }
    }
    return true;
}

static struct state *state_at(struct sum *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++) {
        if (str_eq(s->states[i].state, name)) {
            return &s->states[i];
        }
    }
    if (s->n == MERGE_LIST_MAX) {
        return NULL;
    }
    s->states = xrealloc(s->states, (s->n + 1) * sizeof *s->states);
    s->states[s->n] = (struct state){.state = name};
    return &s->states[s->n++];
}

static struct reason *reason_at(struct state *st, const char *name, const char *proto)
{
    for (size_t i = 0; i < st->n_reasons; i++) {
        if (str_eq(st->reasons[i].reason, name) && str_eq(st->reasons[i].proto, proto)) {
            return &st->reasons[i];
        }
    }
    if (st->n_reasons == MERGE_LIST_MAX) {
        return NULL;
    }
    st->reasons = xrealloc(st->reasons, (st->n_reasons + 1) * sizeof *st->reasons);
    st->reasons[st->n_reasons] = (struct reason){.reason = name, .proto = proto};
    return &st->reasons[st->n_reasons++];
}

static void add_reason(struct state *st, const json_t *o)
{
    struct reason *r = reason_at(st, text_of(o, "reason"), text_of(o, "proto"));
    const char *ports = text_of(o, "ports");

    if (!r) {
        return;
    }
    r->count = add(r->count, count_of(o));
    if (!r->ports) {
        r->ports = xcalloc(1, sizeof *r->ports);
    }
    if (!ports || !read_ports(ports, r->ports)) {
        r->unsaid = true;
    }
}

static void add_all(struct sum *s, const json_t *list)
{
    size_t i;
    size_t k;
    const json_t *o;
    const json_t *reason;

    json_array_foreach(list, i, o)
    {
        struct state *st = json_is_object(o) ? state_at(s, text_of(o, "state")) : NULL;

        if (!st) {
            continue;
        }
        st->count = add(st->count, count_of(o));
        json_array_foreach(json_object_get(o, "reasons"), k, reason)
        {
            if (json_is_object(reason)) {
                add_reason(st, reason);
            }
        }
    }
}

static json_t *read_text(const char *text)
{
    size_t n = strlen(text);
    json_t *list = n <= MERGE_TEXT_MAX ? json_loadb(text, n, 0, NULL) : NULL;

    if (!json_is_array(list)) {
        json_decref(list);
        return NULL;
    }
    return list;
}

/* ---- writing ---- */

static bool has_port(const struct port_bits *bits, unsigned i)
{
    return i < PORTS && (bits->v[i / BITS] >> i % BITS & 1);
}

static void write_ports(struct json *j, const struct port_bits *bits)
{
    auto_buf text = {0};

    for (unsigned i = 0; i < PORTS; i++) {
        unsigned first = i;

        if (!bits->v[i / BITS]) {
            i |= BITS - 1;
            continue;
        }
        if (!has_port(bits, i)) {
            continue;
        }
        while (has_port(bits, i + 1)) {
            i++;
        }
        buf_addf(&text, i > first ? "%s%u-%u" : "%s%u", text.len ? "," : "", first, i);
    }
    json_strn(j, "ports", text.data ? text.data : "", text.len);
}

static void write_state(struct json *j, const struct state *st, bool which)
{
    json_obj(j);
    json_str(j, "state", st->state);
    json_int(j, "count", st->count);
    json_arr_in(j, "reasons");
    for (size_t i = 0; i < st->n_reasons; i++) {
        const struct reason *r = &st->reasons[i];

        json_obj(j);
        json_str(j, "reason", r->reason);
        json_int(j, "count", r->count);
        if (r->proto) {
            json_str(j, "proto", r->proto);
        }
        if (which && !r->unsaid) {
            write_ports(j, r->ports);
        }
        json_end(j);
    }
    json_end(j);
    json_end(j);
}

static void write_sum(struct buf *out, const struct sum *s, bool which)
{
    struct json j = json_to(out);

    json_arr(&j);
    for (size_t i = 0; i < s->n; i++) {
        write_state(&j, &s->states[i], which);
    }
    json_end(&j);
}

bool extraports_sum(const char *a, const char *b, struct buf *out)
{
    json_t *to = read_text(a);
    json_t *from = read_text(b);
    struct sum s = {0};

    if (from) {
        add_all(&s, to);
        add_all(&s, from);
        write_sum(out, &s, true);
    }
    if (out->len > MERGE_TEXT_MAX) { /* the counts at least */
        buf_reset(out);
        write_sum(out, &s, false);
    }
    sum_done(&s);
    json_decref(to);
    json_decref(from);
    return from && out->len <= MERGE_TEXT_MAX;
}
