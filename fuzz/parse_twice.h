/*
 * parse_twice - whatever comes in, a parser neither crashes nor hangs, keeps to its contract, hands
 * out text only, and the same when it is fed in small pieces. The first byte says how small.
 */
#pragma once

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "parse/parse.h"

struct twice {
    uint64_t hash;
    size_t hosts, runs;
    bool complete;
};

static inline void twice_mix(struct twice *s, const void *p, size_t n)
{
    const unsigned char *c = p;

    for (size_t i = 0; i < n; i++) {
        s->hash = (s->hash ^ c[i]) * UINT64_C(1099511628211);
    }
}

static inline void twice_text(struct twice *s, const char *text)
{
    if (text) {
        assert(utf8_valid(text, strlen(text)));
        twice_mix(s, text, strlen(text));
    }
    twice_mix(s, text ? "1" : "0", 1);
}

static inline int twice_host(void *arg, const struct host *h, struct err *e)
{
    struct twice *s = arg;

    (void)e;
    assert(s->runs == 0 && h->n_addrs == 1 && h->addrs[0].addr && h->state);
    s->hosts++;
    twice_text(s, h->addrs[0].addr);
    twice_text(s, h->state);
    twice_text(s, h->reason);
    twice_text(s, h->extraports);
    twice_mix(s, &h->start_s, sizeof h->start_s);
    twice_mix(s, &h->end_s, sizeof h->end_s);
    for (size_t i = 0; i < h->n_ports; i++) {
        const struct port *p = &h->ports[i];

        assert(p->protocol && p->state && p->reason_ttl >= -1 && p->reason_ttl <= 255);
        twice_mix(s, &p->number, sizeof p->number);
        twice_mix(s, &p->reason_ttl, sizeof p->reason_ttl);
        twice_text(s, p->protocol);
        twice_text(s, p->state);
        twice_text(s, p->reason);
        twice_text(s, p->service);
        twice_text(s, p->tunnel);
        twice_text(s, p->scripts);
    }
    return 0;
}

static inline int twice_finding(void *arg, const struct finding *f, struct err *e)
{
    struct twice *s = arg;

    assert(s->runs == 0 && finding_check(f, e) == 0);
    s->hosts++;
    twice_text(s, f->rule);
    twice_text(s, f->title);
    twice_text(s, f->message);
    twice_text(s, f->at.path);
    twice_text(s, f->snippet);
    twice_mix(s, &f->at.line, sizeof f->at.line);
    twice_mix(s, f->identity.primary, sizeof f->identity.primary);
    return 0;
}

static inline int twice_run(void *arg, const struct run_info *r, struct err *e)
{
    struct twice *s = arg;

    (void)e;
    s->runs++;
    s->complete = r->complete;
    twice_text(s, r->json);
    twice_text(s, r->scanner);
    twice_text(s, r->version);
    return 0;
}

static inline int twice_once(const struct parser *parser, const char *text, size_t n, size_t step,
                             struct twice *s)
{
    const struct parse_sink sink = {
        .host = twice_host, .finding = twice_finding, .run = twice_run, .arg = s};
    void *p = parser->new (&sink);
    struct err e = {0};
    int fed = 0;
    int rc;

    *s = (struct twice){.hash = UINT64_C(14695981039346656037)};
    for (size_t at = 0; at < n && !fed; at += step) {
        fed = parser->feed(p, text + at, MIN(step, n - at), &e);
    }
    assert(fed == 0 || fed == ERR_TOOL || fed == ERR_LIMIT);
    rc = parser->finish(p, &e);
    parser->free(p);
    assert(rc == 0 || rc == ERR_TOOL || rc == ERR_LIMIT);
    assert((fed == 0 || rc == fed) && (rc == 0 || e.msg[0]) && s->runs == 1);
    assert((rc == 0) == s->complete);
    return rc;
}

static inline void parse_twice(const struct parser *parser, const uint8_t *data, size_t n)
{
    const char *text = (const char *)data;
    struct twice whole, pieces;
    const char *why = NULL;
    int rc;

    if (n == 0) {
        return;
    }
    assert(parse_detect(text, n, &why) || why);
    rc = twice_once(parser, text, n, n, &whole);
    if (twice_once(parser, text, n, 1 + data[0] % 64, &pieces) != rc || whole.hash != pieces.hash ||
        whole.hosts != pieces.hosts || whole.complete != pieces.complete) {
        abort();
    }
}
