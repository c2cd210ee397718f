/*
 * Reports: hosts made of any bytes go through every format, and what comes out must be what its
 * readers take: well-formed, quoted, inert. The bytes are cut at 0 into texts, which are dealt out
 * to the members of hosts and ports; some go into the JSON members as our parsers write them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../tests/unit/report_check.h"
#include "base/json.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct input {
    const uint8_t *at, *end;
    struct arena *texts;
};

static unsigned byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

/* The next text; NULL (not said) where it is one byte of 1. */
static const char *text(struct input *in)
{
    const uint8_t *from = in->at;

    while (in->at < in->end && *in->at) {
        in->at++;
    }
    if (in->at - from == 1 && *from == 1) {
        from = NULL;
    }
    const char *s =
        from ? arena_strn(in->texts, (const char *)from, (size_t)(in->at - from)) : NULL;
    in->at += in->at < in->end;
    return s;
}

static void member(struct json *j, const char *key, struct input *in)
{
    const char *s = text(in);

    if (s) {
        json_str(j, key, s);
    }
}

static const char *kept(struct input *in, struct buf *b)
{
    return arena_strn(in->texts, b->data, b->len);
}

static const char *scripts(struct input *in)
{
    auto_buf b = {0};
    struct json j = json_to(&b);

    json_arr(&j);
    for (unsigned i = byte(in) % 3; i; i--) {
        json_obj(&j);
        member(&j, "id", in);
        member(&j, "output", in);
        json_arr_in(&j, "data");
        json_obj(&j);
        member(&j, "key", in);
        member(&j, byte(in) & 1 ? "elem" : "table", in);
        json_end(&j);
        json_end(&j);
        json_end(&j);
    }
    json_end(&j);
    return kept(in, &b);
}

static const char *object(struct input *in, const char *const *names)
{
    auto_buf b = {0};
    struct json j = json_to(&b);

    json_obj(&j);
    for (; *names; names++) {
        member(&j, *names, in);
    }
    json_end(&j);
    return kept(in, &b);
}

static const char *list_of(struct input *in, const char *const *names)
{
    auto_buf b = {0};

    buf_addf(&b, "[%s]", object(in, names));
    return kept(in, &b);
}

static const char *os(struct input *in)
{
    static const char *const names[] = {"name", "accuracy", "line", "vendor", "state", NULL};
    const char *one = list_of(in, names);
    auto_buf b = {0};

    buf_addf(&b, "{\"portused\":%s,\"osmatch\":%s,\"osclass\":%s}", one, byte(in) & 1 ? one : "[]",
             one);
    return kept(in, &b);
}

static void read_port(struct input *in, struct port *p)
{
    static const char *const rare[] = {"servicefp", "proto", "banner", "x", NULL};
    static const char *const words[] = {"tcp", "udp", "sctp", "ip"};
    unsigned what = byte(in);

    p->number = (uint16_t)(byte(in) << 8 | what);
    p->protocol = what & 1 ? words[what >> 1 & 3] : text(in);
    p->state = what & 8 ? "open" : text(in);
    p->reason = text(in);
    p->owner = text(in);
    p->has_service = what & 16;
    p->service = text(in);
    p->product = text(in);
    p->version = text(in);
    p->extrainfo = text(in);
    p->tunnel = what & 32 ? "ssl" : text(in);
    p->method = text(in);
    p->conf = (int32_t)byte(in) - 1;
    p->scripts = what & 64 ? scripts(in) : NULL;
    p->more = what & 128 ? object(in, rare) : NULL;
}

static void read_host(struct input *in, struct host *h)
{
    static const char *const more[] = {"distance", "uptime", "times", "trace", NULL};
    static const char *const extra[] = {"state", "count", "reasons", NULL};
    unsigned what = byte(in);

    for (unsigned i = what & 3; i; i--) {
        *host_add_addr(h) = (struct host_addr){text(in), i == 1 ? "ipv4" : text(in), text(in)};
    }
    for (unsigned i = what >> 2 & 3; i; i--) {
        *host_add_name(h) = (struct host_name){text(in), text(in)};
    }
    h->state = what & 16 ? "up" : text(in);
    h->reason = text(in);
    h->comment = text(in);
    h->timed_out = what & 32;
    h->scripts = what & 64 ? scripts(in) : NULL;
    h->os = what & 128 ? os(in) : NULL;
    h->more = what & 64 ? object(in, more) : NULL;
    h->extraports = what & 128 ? list_of(in, extra) : NULL;
    for (unsigned i = byte(in) % 4; i; i--) {
        read_port(in, host_add_port(h));
    }
}

static void check(const struct report_format *f, const struct job *j, const struct host *h,
                  size_t n)
{
    auto_buf out = {0};
    const char *why;
    void *w = f->new (j, &out);
    int rc = f->begin(w, NULL);

    for (size_t i = 0; i < n; i++) {
        rc |= f->sink.host(w, (int64_t)i + 1, &h[i], NULL);
        for (size_t k = 0; k < h[i].n_ports; k++) {
            rc |= f->sink.port(w, &h[i].ports[k], NULL);
        }
        rc |= f->sink.host_end(w, NULL);
    }
    rc |= f->end(w, NULL);
    f->done(w);
    why = report_wrong(f->name, out.data, out.len);
    if (rc || why) {
        fprintf(stderr, "%s has %s:\n%s\n", f->name, why ? why : "an error", out.data);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t nothing[1];
    struct input in = {n ? data : nothing, n ? data + n : nothing, arena_new()};
    struct host hosts[3] = {0};
    size_t n_hosts = byte(&in) % 3 + 1;
    struct job j;

    job_init(&j);
    j.state = JOB_COMPLETED;
    j.tool = xstrdup("nmap");
    j.targets = xstrdup(text(&in));
    j.command_line = xstrdup(text(&in));
    j.tool_version = xstrdup(text(&in));
    j.partial = byte(&in) & 1;
    j.error = xstrdup(text(&in));
    for (size_t i = 0; i < n_hosts; i++) {
        read_host(&in, &hosts[i]);
    }
    for (const struct report_format *const *f = report_formats; *f; f++) {
        check(*f, &j, hosts, n_hosts);
    }
    for (size_t i = 0; i < n_hosts; i++) {
        host_done(&hosts[i]);
    }
    job_done(&j);
    arena_free(in.texts);
    return 0;
}
