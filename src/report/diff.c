#include "report/diff.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/diff_side.h"
#include "report/facts.h"

struct diff {
    struct diff_side a, b;
    struct diff_counts counts;
    bool next_a, next_b; /* that side has to go on before anything is compared */
    int stopped;         /* what the receiver or the store said */

    diff_fn fn; /* of the step at hand */
    void *arg;
    struct err *err;
    const char *address;
    int64_t told; /* about the hosts at hand */
};

const char *diff_kind_name(enum diff_kind k)
{
    static const char *const names[DIFF_KINDS] = {
        "host_new", "host_gone", "host_changed",  "opened",
        "closed",   "changed",   "not_scanned_a", "not_scanned_b",
    };

    return names[k];
}

int diff_new(struct store *s, int64_t a, int64_t b, struct diff **out, struct err *e)
{
    struct diff *d = xcalloc(1, sizeof *d);
    int rc = diff_side_init(&d->a, s, a, e);

    if (rc == 0) {
        rc = diff_side_init(&d->b, s, b, e);
    }
    if (rc != 0) {
        diff_free(d);
        return rc;
    }
    d->next_a = d->next_b = true;
    *out = d;
    return 0;
}

void diff_free(struct diff *d)
{
    if (d) {
        diff_side_done(&d->a);
        diff_side_done(&d->b);
        free(d);
    }
}

const struct diff_counts *diff_counts(const struct diff *d)
{
    return &d->counts;
}

static int tell(struct diff *d, enum diff_kind kind, const struct port *a, const struct port *b,
                const char *what)
{
    const struct diff_item it = {
        .kind = kind,
        .address = d->address,
        .host_a = d->a.host,
        .host_b = d->b.host,
        .a = a,
        .b = b,
        .what = what,
    };

    d->counts.n[kind]++;
    d->told++;
    return d->fn(d->arg, &it, d->err);
}

/* ---- what differs ---- */

struct words {
    char text[128];
    size_t n;
};

static void add_word(struct words *w, bool differs, const char *name)
{
    if (differs) {
        w->n +=
            (size_t)snprintf(w->text + w->n, sizeof w->text - w->n, "%s%s", w->n ? "," : "", name);
    }
}

/* "" is nothing. `both`: something that one side did not tell is no difference. */
static bool text_differs(const char *a, const char *b, bool both)
{
    a = a ? a : "";
    b = b ? b : "";
    return (!both || (*a && *b)) && strcmp(a, b) != 0;
}

/* Identifiers and output: the trees that scripts hand out beside say the same. */
static bool scripts_differ(const char *a, const char *b, bool both)
{
    json_t *x, *y;
    bool differ;

    if (!text_differs(a, b, both)) {
        return false;
    }
    x = facts_json(a);
    y = facts_json(b);
    differ = json_array_size(x) != json_array_size(y);
    for (size_t i = 0; !differ && i < json_array_size(x); i++) {
        const json_t *p = json_array_get(x, i);
        const json_t *q = json_array_get(y, i);

        differ = !json_equal(json_object_get(p, "id"), json_object_get(q, "id")) ||
                 !json_equal(json_object_get(p, "output"), json_object_get(q, "output"));
    }
    json_decref(x);
    json_decref(y);
    return differ;
}

/* The names of the systems it may be, best guess first; how sure nmap was is no difference. */
static bool os_differs(const char *a, const char *b, bool both)
{
    json_t *x, *y;
    const json_t *v, *w;
    bool differ;

    if (!text_differs(a, b, both)) {
        return false;
    }
    x = facts_json(a);
    y = facts_json(b);
    v = json_object_get(x, "osmatch");
    w = json_object_get(y, "osmatch");
    differ = json_array_size(v) != json_array_size(w);
    for (size_t i = 0; !differ && i < json_array_size(v); i++) {
        differ = !json_equal(json_object_get(json_array_get(v, i), "name"),
                             json_object_get(json_array_get(w, i), "name"));
    }
    json_decref(x);
    json_decref(y);
    return differ;
}

static bool has_name(const struct host *h, const char *name)
{
    for (size_t i = 0; i < h->n_names; i++) {
        if (str_eq(h->names[i].name, name)) {
            return true;
        }
    }
    return false;
}

static bool names_differ(const struct host *a, const struct host *b, bool both)
{
    if (both && (a->n_names == 0 || b->n_names == 0)) {
        return false;
    }
    for (size_t i = 0; i < a->n_names; i++) {
        if (!has_name(b, a->names[i].name)) {
            return true;
        }
    }
    for (size_t i = 0; i < b->n_names; i++) {
        if (!has_name(a, b->names[i].name)) {
            return true;
        }
    }
    return false;
}

static bool is_mac(const struct host_addr *a)
{
    return str_eq(a->type, "mac");
}

static size_t count_addresses(const struct host *h, bool mac)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n_addrs; i++) {
        n += is_mac(&h->addrs[i]) == mac;
    }
    return n;
}

static bool has_address(const struct host *h, const struct host_addr *a)
{
    for (size_t i = 0; i < h->n_addrs; i++) {
        if (is_mac(&h->addrs[i]) == is_mac(a) && str_eq(h->addrs[i].addr, a->addr)) {
            return true;
        }
    }
    return false;
}

static bool addresses_differ(const struct host *a, const struct host *b, bool mac, bool both)
{
    if (both && (count_addresses(a, mac) == 0 || count_addresses(b, mac) == 0)) {
        return false;
    }
    for (size_t i = 0; i < a->n_addrs; i++) {
        if (is_mac(&a->addrs[i]) == mac && !has_address(b, &a->addrs[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < b->n_addrs; i++) {
        if (is_mac(&b->addrs[i]) == mac && !has_address(a, &b->addrs[i])) {
            return true;
        }
    }
    return false;
}

/* Which states stand for ports that are not listed; how many of each changes with every port. */
static bool extraports_differ(const char *a, const char *b)
{
    json_t *x, *y;
    bool differ;

    if (!a || !b || strcmp(a, b) == 0) {
        return false;
    }
    x = facts_json(a);
    y = facts_json(b);
    differ = json_array_size(x) != json_array_size(y);
    for (size_t i = 0; !differ && i < json_array_size(x); i++) {
        bool found = false;

        for (size_t k = 0; !found && k < json_array_size(y); k++) {
            found = json_equal(json_object_get(json_array_get(x, i), "state"),
                               json_object_get(json_array_get(y, k), "state"));
        }
        differ = !found;
    }
    json_decref(x);
    json_decref(y);
    return differ;
}

static int compare_heads(struct diff *d)
{
    const struct host *a = d->a.host;
    const struct host *b = d->b.host;
    bool both = !d->a.tells || !d->b.tells;
    struct words w = {0};

    assert(a && b); /* both are up */
    add_word(&w, names_differ(a, b, both), "names");
    add_word(&w, addresses_differ(a, b, false, both), "addresses");
    add_word(&w, addresses_differ(a, b, true, both), "mac");
    add_word(&w, os_differs(a->os, b->os, both), "os");
    add_word(&w, scripts_differ(a->scripts, b->scripts, both), "scripts");
    add_word(&w, extraports_differ(a->extraports, b->extraports), "extraports");
    return w.n ? tell(d, DIFF_HOST_CHANGED, NULL, NULL, w.text) : 0;
}

/* ---- ports ---- */

static bool is_open(const struct port *p)
{
    return p->state && strcmp(p->state, "open") == 0;
}

/* Worth a word when the other side did not look. */
static bool may_be_open(const struct port *p)
{
    return is_open(p) || str_eq(p->state, "open|filtered");
}

static bool is_up(const struct host *h)
{
    if (!h || str_eq(h->state, "up")) {
        return h != NULL;
    }
    for (size_t i = 0; !h->state && i < h->n_ports; i++) {
        if (is_open(&h->ports[i])) {
            return true; /* tools that do not speak of hosts */
        }
    }
    return false;
}

/* A port that is not listed there: was it looked at? */
static bool looked(const struct diff_side *s, const struct port *p)
{
    if (s->host && s->host->timed_out) {
        return false;
    }
    return diff_cover_port(s->cover, p->protocol, p->number, is_up(s->host));
}

/* The state of ports that are not listed, where there is only one; NULL: not known. */
static const char *unlisted_state(const struct diff_side *s, json_t **keep)
{
    *keep = s->host && s->host->extraports ? facts_json(s->host->extraports) : NULL;
    return json_array_size(*keep) == 1
               ? json_string_value(json_object_get(json_array_get(*keep, 0), "state"))
               : NULL;
}

static int compare_rows(struct diff *d, const struct port *a, const struct port *b)
{
    bool both = !d->a.tells || !d->b.tells;
    struct words w = {0};

    if (is_open(a) != is_open(b)) {
        return tell(d, is_open(b) ? DIFF_OPENED : DIFF_CLOSED, a, b, NULL);
    }
    add_word(&w, !str_eq(a->state, b->state), "state");
    add_word(&w, text_differs(a->service, b->service, both), "service");
    add_word(&w, text_differs(a->product, b->product, both), "product");
    add_word(&w, text_differs(a->version, b->version, both), "version");
    add_word(&w, text_differs(a->extrainfo, b->extrainfo, both), "extrainfo");
    add_word(&w, text_differs(a->tunnel, b->tunnel, both), "tunnel");
    add_word(&w, scripts_differ(a->scripts, b->scripts, both), "scripts");
    if (w.n) {
        return tell(d, DIFF_CHANGED, a, b, w.text);
    }
    d->counts.ports_same++;
    return 0;
}

/* Listed on one side alone. */
static int compare_lone(struct diff *d, const struct port *p, bool in_b)
{
    const struct diff_side *other = in_b ? &d->a : &d->b;
    struct port unlisted = {.number = p->number, .protocol = p->protocol, .reason_ttl = -1};
    const struct port *o;
    json_t *keep = NULL;
    int rc = 0;

    if (!looked(other, p)) {
        if (!may_be_open(p)) {
            return 0;
        }
        return in_b ? tell(d, DIFF_NOT_SCANNED_A, NULL, p, NULL)
                    : tell(d, DIFF_NOT_SCANNED_B, p, NULL, NULL);
    }
    unlisted.conf = -1;
    unlisted.state = unlisted_state(other, &keep);
    o = unlisted.state ? &unlisted : NULL;
    if (is_open(p)) {
        rc = in_b ? tell(d, DIFF_OPENED, o, p, NULL) : tell(d, DIFF_CLOSED, p, o, NULL);
    } else if (o && !str_eq(o->state, p->state)) {
        rc = in_b ? tell(d, DIFF_CHANGED, o, p, "state") : tell(d, DIFF_CHANGED, p, o, "state");
    } else {
        d->counts.ports_same += o != NULL;
    }
    json_decref(keep);
    return rc;
}

static int compare_ports(struct diff *d)
{
    const struct diff_side *a = &d->a;
    const struct diff_side *b = &d->b;
    size_t n_a = a->host ? a->n_ports : 0;
    size_t n_b = b->host ? b->n_ports : 0;
    size_t i = 0;
    size_t k = 0;
    int rc = 0;

    while (rc == 0 && (i < n_a || k < n_b)) {
        int order = i == n_a ? 1 : k == n_b ? -1 : diff_port_order(a->ports[i], b->ports[k]);

        if (order == 0) {
            rc = compare_rows(d, a->ports[i++], b->ports[k++]);
        } else if (order < 0) {
            rc = compare_lone(d, a->ports[i++], false);
        } else {
            rc = compare_lone(d, b->ports[k++], true);
        }
    }
    return rc;
}

/* ---- hosts ---- */

static int compare_states(struct diff *d)
{
    bool up_a = is_up(d->a.host);
    bool up_b = is_up(d->b.host);

    if (up_a && up_b) {
        return compare_heads(d);
    }
    if (up_b) {
        return tell(d,
                    d->a.host || diff_cover_host(d->a.cover) ? DIFF_HOST_NEW : DIFF_NOT_SCANNED_A,
                    NULL, NULL, NULL);
    }
    if (up_a) {
        return tell(d,
                    d->b.host || diff_cover_host(d->b.cover) ? DIFF_HOST_GONE : DIFF_NOT_SCANNED_B,
                    NULL, NULL, NULL);
    }
    return 0;
}

/* One address, which is in at least one of the results. */
static int compare_address(struct diff *d, const struct host *of, const uint8_t key[HOST_KEY])
{
    int rc;

    d->address = host_address(of);
    d->told = 0;
    diff_cover_seek(d->a.cover, key);
    diff_cover_seek(d->b.cover, key);
    rc = compare_states(d);
    if (rc == 0) {
        rc = compare_ports(d);
    }
    d->counts.hosts_same += rc == 0 && d->told == 0 && d->a.host && d->b.host;
    return rc;
}

/* The least address that is at hand; the side that has none of it stands still, out of sight. */
static int compare_next(struct diff *d, uint32_t *rows)
{
    const struct host *a = d->a.host;
    const struct host *b = d->b.host;
    int order = !a ? 1 : !b ? -1 : memcmp(d->a.key, d->b.key, HOST_KEY);
    int rc;

    *rows +=
        1 + (uint32_t)(order <= 0 ? d->a.n_ports : 0) + (uint32_t)(order >= 0 ? d->b.n_ports : 0);
    d->a.host = order <= 0 ? a : NULL;
    d->b.host = order >= 0 ? b : NULL;
    rc = compare_address(d, order <= 0 ? a : b, order <= 0 ? d->a.key : d->b.key);
    d->a.host = a;
    d->b.host = b;
    d->next_a = order <= 0;
    d->next_b = order >= 0;
    return rc;
}

/* Goes on to the next address, a page at a time. */
static int go_on(struct diff *d, uint32_t *rows)
{
    bool *next = d->next_a ? &d->next_a : &d->next_b;
    int rc = diff_side_next(d->next_a ? &d->a : &d->b, rows, d->err);

    *next = rc == 1;
    return MIN(rc, 0);
}

static bool unfinished(const struct diff *d)
{
    return d->next_a || d->next_b || d->a.host || d->b.host;
}

int diff_step(struct diff *d, uint32_t rows, diff_fn fn, void *arg, bool *more, struct err *e)
{
    uint32_t done = 0;

    d->fn = fn;
    d->arg = arg;
    d->err = e;
    while (d->stopped == 0 && done < rows && unfinished(d)) {
        d->stopped = d->next_a || d->next_b ? go_on(d, &done) : compare_next(d, &done);
    }
    *more = d->stopped == 0 && unfinished(d);
    return d->stopped;
}
