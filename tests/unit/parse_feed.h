/*
 * parse_feed - feeds a parser in pieces and keeps all that it hands out, as JSON in the shape of
 * the expectation files. All JSON text of the parser is read strictly on the way: duplicate names
 * or malformed text fail the test.
 */
#pragma once

#include <jansson.h>

#include "parse/parse.h"
#include "tap.h"

struct seen {
    json_t *hosts, *progress; /* arrays; owned */
    json_t *run;              /* owned; NULL until the end */
    unsigned runs;
    bool complete;
    char *exit, *errormsg, *scanner, *version, *args; /* owned */
    int64_t start_s;
    int feed_rc, finish_rc;
    struct err err; /* of the first failure */
    /* what a sink is to return, from the n-th host on; n = 0: never */
    size_t stop_at;
    int stop_rc;
    bool blind; /* only count: for input that is large */
};

static inline json_t *read_json(const char *text)
{
    json_error_t why;
    json_t *v = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);

    if (!v) {
        tap_fail(__FILE__, __LINE__, "not JSON: %s: %.200s", why.text, text);
    }
    return v;
}

static inline void put(json_t *o, const char *name, const char *s)
{
    if (s) {
        CHECK(json_object_set_new(o, name, json_string(s)) == 0);
    }
}

static inline void put_json(json_t *o, const char *name, const char *text, bool always)
{
    if (text) {
        CHECK(json_object_set_new(o, name, read_json(text)) == 0);
    } else if (always) {
        json_object_set_new(o, name, json_array());
    }
}

/* Members of a JSON object go into another; none may be there already. */
static inline void put_members(json_t *o, const char *text)
{
    json_t *more, *value;
    const char *name;

    if (!text) {
        return;
    }
    more = read_json(text);
    json_object_foreach(more, name, value)
    {
        CHECK(!json_object_get(o, name));
        json_object_set(o, name, value);
    }
    json_decref(more);
}

static inline void put_ttl(json_t *o, int32_t ttl)
{
    if (ttl >= 0) {
        json_object_set_new(o, "reason_ttl", json_integer(ttl));
    }
}

static inline json_t *port_as_json(const struct port *p)
{
    json_t *o = json_object();
    json_t *state = json_object();

    json_object_set_new(o, "portid", json_integer(p->number));
    put(o, "protocol", p->protocol);
    put(o, "owner", p->owner);
    put(state, "state", p->state);
    put(state, "reason", p->reason);
    put(state, "reason_ip", p->reason_ip);
    put_ttl(state, p->reason_ttl);
    json_object_set_new(o, "state", state);
    put_json(o, "scripts", p->scripts, false);
    if (p->has_service) {
        json_t *s = json_object();

        put(s, "name", p->service);
        put(s, "product", p->product);
        put(s, "version", p->version);
        put(s, "extrainfo", p->extrainfo);
        put(s, "tunnel", p->tunnel);
        put(s, "method", p->method);
        put(s, "hostname", p->hostname);
        put(s, "ostype", p->ostype);
        put(s, "devicetype", p->devicetype);
        if (p->conf >= 0) {
            json_object_set_new(s, "conf", json_integer(p->conf));
        }
        put_json(s, "cpe", p->cpe, true);
        put_members(s, p->more);
        json_object_set_new(o, "service", s);
    }
    return o;
}

static inline json_t *host_as_json(const struct host *h)
{
    json_t *o = json_object();
    json_t *list = json_array();
    json_t *status = json_object();

    for (size_t i = 0; i < h->n_addrs; i++) {
        json_t *a = json_object();

        put(a, "addr", h->addrs[i].addr);
        put(a, "addrtype", h->addrs[i].type);
        put(a, "vendor", h->addrs[i].vendor);
        json_array_append_new(list, a);
    }
    json_object_set_new(o, "addresses", list);
    list = json_array();
    for (size_t i = 0; i < h->n_names; i++) {
        json_t *n = json_object();

        put(n, "name", h->names[i].name);
        put(n, "type", h->names[i].type);
        json_array_append_new(list, n);
    }
    json_object_set_new(o, "hostnames", list);
    list = json_array();
    for (size_t i = 0; i < h->n_ports; i++) {
        json_array_append_new(list, port_as_json(&h->ports[i]));
    }
    json_object_set_new(o, "ports", list);
    put(status, "state", h->state);
    put(status, "reason", h->reason);
    put_ttl(status, h->reason_ttl);
    if (json_object_size(status)) {
        json_object_set_new(o, "status", status);
    } else {
        json_decref(status);
    }
    if (h->start_s) {
        json_object_set_new(o, "starttime", json_integer(h->start_s));
    }
    if (h->end_s) {
        json_object_set_new(o, "endtime", json_integer(h->end_s));
    }
    put(o, "timedout", h->timed_out ? "true" : NULL);
    put(o, "comment", h->comment);
    put_json(o, "extraports", h->extraports, true);
    put_json(o, "os", h->os, false);
    put_json(o, "hostscripts", h->scripts, false);
    put_members(o, h->more);
    return o;
}

static inline int seen_host(void *arg, const struct host *h, struct err *e)
{
    struct seen *s = arg;

    if (s->stop_at && json_array_size(s->hosts) + 1 >= s->stop_at) {
        return err_set(e, s->stop_rc, "no more, please");
    }
    json_array_append_new(s->hosts, s->blind ? json_true() : host_as_json(h));
    return 0;
}

static inline int seen_progress(void *arg, const struct progress *p, struct err *e)
{
    struct seen *s = arg;

    (void)e;
    json_array_append_new(s->progress,
                          json_pack("[s?ii]", p->task, p->percent_x100, p->remaining_s));
    return 0;
}

static inline int seen_run(void *arg, const struct run_info *r, struct err *e)
{
    struct seen *s = arg;

    (void)e;
    s->runs++;
    s->run = s->blind ? NULL : read_json(r->json);
    s->complete = r->complete;
    s->exit = xstrdup(r->exit);
    s->errormsg = xstrdup(r->errormsg);
    s->scanner = xstrdup(r->scanner);
    s->version = xstrdup(r->version);
    s->args = xstrdup(r->args);
    s->start_s = r->start_s;
    return 0;
}

/* Feeds `text` in pieces of `step` bytes (0: whole). seen_done() it. */
static inline void parse_in_steps(const struct parser *parser, const char *text, size_t n,
                                  size_t step, struct seen *s)
{
    const struct parse_sink sink = {
        .host = seen_host, .progress = seen_progress, .run = seen_run, .arg = s};
    void *p = parser->new (&sink);

    s->hosts = json_array();
    s->progress = json_array();
    if (step == 0) {
        step = n ? n : 1;
    }
    for (size_t at = 0; at < n && s->feed_rc == 0; at += step) {
        /* A piece of its own, so that reading beyond its end is seen. */
        size_t k = MIN(step, n - at);
        char *piece = xmalloc(k);

        memcpy(piece, text + at, k);
        s->feed_rc = parser->feed(p, piece, k, &s->err);
        free(piece);
    }
    s->finish_rc = parser->finish(p, s->feed_rc ? NULL : &s->err);
    parser->free(p);
}

static inline void seen_done(struct seen *s)
{
    json_decref(s->hosts);
    json_decref(s->progress);
    json_decref(s->run);
    free(s->exit);
    free(s->errormsg);
    free(s->scanner);
    free(s->version);
    free(s->args);
    *s = (struct seen){.stop_at = s->stop_at, .stop_rc = s->stop_rc, .blind = s->blind};
}
