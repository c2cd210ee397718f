/*
 * nmap XML: whatever comes in, the parser neither crashes nor hangs, keeps to its contract, and
 * hands out the same when it is fed in small pieces. The first byte says how small.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "parse/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct seen {
    uint64_t hash;
    size_t hosts, runs;
    bool complete;
};

static void mix(struct seen *s, const void *p, size_t n)
{
    const unsigned char *c = p;

    for (size_t i = 0; i < n; i++) {
        s->hash = (s->hash ^ c[i]) * UINT64_C(1099511628211);
    }
}

static void mix_str(struct seen *s, const char *text)
{
    if (text) {
        assert(utf8_valid(text, strlen(text)));
        mix(s, text, strlen(text));
    }
    mix(s, text ? "1" : "0", 1);
}

static void mix_port(struct seen *s, const struct port *p)
{
    const char *const all[] = {p->protocol, p->state,    p->reason,  p->reason_ip,  p->owner,
                               p->service,  p->product,  p->version, p->extrainfo,  p->tunnel,
                               p->method,   p->hostname, p->ostype,  p->devicetype, p->cpe,
                               p->scripts,  p->more};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        mix_str(s, all[i]);
    }
    mix(s, &p->number, sizeof p->number);
    mix(s, &p->reason_ttl, sizeof p->reason_ttl);
    mix(s, &p->conf, sizeof p->conf);
    mix(s, &p->has_service, sizeof p->has_service);
    assert(p->conf >= -1 && p->conf <= 10 && p->reason_ttl >= -1);
}

static int on_host(void *arg, const struct host *h, struct err *e)
{
    struct seen *s = arg;
    const char *const all[] = {h->state, h->reason,  h->comment, h->extraports,
                               h->os,    h->scripts, h->more};

    (void)e;
    assert(s->runs == 0);
    s->hosts++;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        mix_str(s, all[i]);
    }
    for (size_t i = 0; i < h->n_addrs; i++) {
        mix_str(s, h->addrs[i].addr);
        mix_str(s, h->addrs[i].type);
        mix_str(s, h->addrs[i].vendor);
    }
    for (size_t i = 0; i < h->n_names; i++) {
        mix_str(s, h->names[i].name);
        mix_str(s, h->names[i].type);
    }
    for (size_t i = 0; i < h->n_ports; i++) {
        mix_port(s, &h->ports[i]);
    }
    mix(s, &h->start_s, sizeof h->start_s);
    mix(s, &h->end_s, sizeof h->end_s);
    mix(s, &h->timed_out, sizeof h->timed_out);
    return 0;
}

static int on_progress(void *arg, const struct progress *p, struct err *e)
{
    (void)e;
    assert(p->percent_x100 >= -1 && p->percent_x100 <= 10000 && p->remaining_s >= -1);
    mix_str(arg, p->task);
    return 0;
}

static int on_run(void *arg, const struct run_info *r, struct err *e)
{
    struct seen *s = arg;

    (void)e;
    s->runs++;
    s->complete = r->complete;
    mix_str(s, r->json);
    mix_str(s, r->scanner);
    mix_str(s, r->args);
    mix_str(s, r->exit);
    mix_str(s, r->errormsg);
    return 0;
}

static bool same(const struct seen *a, const struct seen *b)
{
    return a->hash == b->hash && a->hosts == b->hosts && a->complete == b->complete;
}

/* Feeds it in pieces of `step` bytes; returns what finish() said. */
static int parse(const char *text, size_t n, size_t step, struct seen *s)
{
    const struct parse_sink sink = {
        .host = on_host, .progress = on_progress, .run = on_run, .arg = s};
    void *p = parser_nmap_xml.new(&sink);
    struct err e = {0};
    int fed = 0;
    int rc;

    *s = (struct seen){.hash = UINT64_C(14695981039346656037)};
    for (size_t at = 0; at < n && !fed; at += step) {
        fed = parser_nmap_xml.feed(p, text + at, MIN(step, n - at), &e);
    }
    assert(fed == 0 || fed == ERR_TOOL || fed == ERR_LIMIT);
    rc = parser_nmap_xml.finish(p, &e);
    parser_nmap_xml.free(p);
    assert(rc == 0 || rc == ERR_TOOL || rc == ERR_LIMIT);
    assert((fed == 0 || rc == fed) && (rc == 0 || e.msg[0]) && s->runs == 1);
    assert(rc == 0 || !s->complete);
    return rc; /* expat's words for garbage may differ with the pieces; the verdict may not */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct seen whole, pieces;
    const char *text;
    size_t step;
    int rc;

    if (n < 2) {
        return 0;
    }
    step = 1 + data[0] % 64;
    /* Seeds are plain files: they begin with '<', which is a step of 61. */
    text = (const char *)data + (data[0] == '<' ? 0 : 1);
    n -= (size_t)(text - (const char *)data);
    rc = parse(text, n, n, &whole);
    if (parse(text, n, step, &pieces) != rc || !same(&whole, &pieces)) {
        abort();
    }
    return 0;
}
