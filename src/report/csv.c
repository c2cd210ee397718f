/* One line a port, and one for each host without any, by RFC 4180. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/escape.h"
#include "report/facts.h"
#include "report/formats.h"

struct csv {
    struct buf *out;
    struct buf before, behind; /* fields of the host at hand, on both sides of its port's */
    struct buf scratch;
    bool any; /* a port was written */
};

static void *csv_new(const struct job *j, struct buf *out)
{
    struct csv *w = xcalloc(1, sizeof *w);

    (void)j;
    w->out = out;
    return w;
}

static void csv_done(void *arg)
{
    struct csv *w = arg;

    buf_done(&w->before);
    buf_done(&w->behind);
    buf_done(&w->scratch);
    free(w);
}

static int csv_begin(void *arg, struct err *e)
{
    struct csv *w = arg;

    (void)e;
    buf_adds(w->out, "address,hostnames,host_state,port,protocol,state,reason,service,product,"
                     "version,extrainfo,tunnel,cpe,scripts,mac,vendor,os,timed_out\r\n");
    return 0;
}

static void field(struct buf *b, const char *s)
{
    if (s) {
        csv_add(b, s, strlen(s));
    }
    buf_addc(b, ',');
}

static int csv_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct csv *w = arg;
    const struct host_addr *mac = facts_mac(h);

    (void)seq;
    (void)e;
    w->any = false;
    buf_reset(&w->before);
    buf_reset(&w->behind);
    buf_reset(&w->scratch);
    for (size_t i = 0; i < h->n_names; i++) {
        buf_adds(&w->scratch, i ? " " : "");
        buf_adds(&w->scratch, h->names[i].name ? h->names[i].name : "");
    }
    field(&w->before, host_address(h));
    field(&w->before, w->scratch.data);
    field(&w->before, h->state ? h->state : "unknown");
    buf_reset(&w->scratch);
    if (h->os) {
        facts_os(h, &w->scratch);
    }
    field(&w->behind, mac ? mac->addr : NULL);
    field(&w->behind, mac ? mac->vendor : NULL);
    field(&w->behind, w->scratch.len ? w->scratch.data : NULL);
    buf_adds(&w->behind, h->timed_out ? "true\r\n" : "false\r\n");
    return 0;
}

static void add_script(void *arg, const char *id, const char *output, size_t n)
{
    struct buf *b = arg;

    buf_adds(b, b->len ? " | " : "");
    buf_adds(b, id);
    buf_adds(b, ": ");
    buf_add(b, output, n);
}

static void add_cpes(struct csv *w, const char *text)
{
    json_t *list = facts_json(text);
    const json_t *v;
    size_t i;

    buf_reset(&w->scratch);
    json_array_foreach(list, i, v)
    {
        buf_adds(&w->scratch, w->scratch.len ? " " : "");
        buf_adds(&w->scratch, json_is_string(v) ? json_string_value(v) : "");
    }
    csv_add(w->out, w->scratch.data, w->scratch.len);
    json_decref(list);
}

static int csv_port(void *arg, const struct port *p, struct err *e)
{
    struct csv *w = arg;
    struct buf *b = w->out;

    (void)e;
    w->any = true;
    buf_add(b, w->before.data, w->before.len);
    buf_addu(b, p->number);
    buf_addc(b, ',');
    field(b, p->protocol);
    field(b, p->state);
    field(b, p->reason);
    field(b, p->service);
    field(b, p->product);
    field(b, p->version);
    field(b, p->extrainfo);
    field(b, p->tunnel);
    if (p->cpe) {
        add_cpes(w, p->cpe);
    }
    buf_addc(b, ',');
    if (p->scripts || p->more) {
        buf_reset(&w->scratch);
        facts_scripts(p->scripts, add_script, &w->scratch);
        if (w->scratch.len == 0) {
            facts_banner(p, &w->scratch);
        }
        csv_add(b, w->scratch.data, w->scratch.len);
    }
    buf_addc(b, ',');
    buf_add(b, w->behind.data, w->behind.len);
    return 0;
}

static int csv_host_end(void *arg, struct err *e)
{
    struct csv *w = arg;

    (void)e;
    if (!w->any) {
        buf_add(w->out, w->before.data, w->before.len);
        buf_adds(w->out, ",,,,,,,,,,,");
        buf_add(w->out, w->behind.data, w->behind.len);
    }
    return 0;
}

static int csv_end(void *arg, struct err *e)
{
    (void)arg;
    (void)e;
    return 0;
}

const struct report_format report_csv = {
    .name = "csv",
    .media_type = "text/csv; charset=utf-8; header=present",
    .suffix = ".csv",
    .help = "one line a port, for spreadsheets; nothing in it is a formula",
    .new = csv_new,
    .begin = csv_begin,
    .sink = {.host = csv_host, .port = csv_port, .host_end = csv_host_end},
    .end = csv_end,
    .done = csv_done,
};
