#include "cli/results.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "cli/host_view.h"
#include "cli/table.h"
#include "cli/view.h"

enum { LINE_MAX_BYTES = 64 << 20 };

static const char *const table_head[] = {"HOST", "PORT", "STATE", "SERVICE", "VERSION"};
static const char *const csv_head[] = {
    "address", "hostname", "host_state", "protocol", "port",      "state",
    "reason",  "service",  "product",    "version",  "extrainfo", "cpe",
};

struct results {
    enum format format;
    struct term term;
    void (*sink)(void *arg, struct buf *text);
    void *arg;
    struct table table;
    struct results_totals totals;
    struct buf line; /* an NDJSON line whose end is not there yet */
    struct buf out;
    bool in_job; /* JSON: inside the job object */
};

struct results *results_new(enum format format, const struct term *t,
                            void (*sink)(void *arg, struct buf *text), void *arg)
{
    struct results *r = xcalloc(1, sizeof *r);

    r->format = format;
    r->term = *t;
    r->sink = sink;
    r->arg = arg;
    r->line.cap = LINE_MAX_BYTES;
    r->table = (struct table){
        .head = table_head,
        .n = ARRAY_LEN(table_head),
        .width = t->width,
        .color = t->out_color,
        .sink = sink,
        .arg = arg,
    };
    if (format == FORMAT_CSV) {
        csv_row(&r->out, csv_head, ARRAY_LEN(csv_head));
    }
    return r;
}

int results_job(struct results *r, const char *json, size_t n, struct err *e)
{
    if (r->format != FORMAT_JSON) {
        return 0;
    }
    while (n && strchr(" \r\n\t", json[n - 1])) {
        n--;
    }
    if (n < 2 || json[0] != '{' || json[n - 1] != '}') {
        return err_set(e, ERR_INVALID, "the server sent no job");
    }
    buf_add(&r->out, json, n - 1);
    buf_adds(&r->out, n > 2 ? ",\"results\":[" : "\"results\":[");
    r->in_job = true;
    return 0;
}

/* ---- table ---- */

static void table_host(struct results *r, const struct host_view *h)
{
    auto_buf who = {0};
    const char *note = h->timed_out ? "timed out" : "no ports to show";

    if (strcmp(h->state, "up") != 0 && h->n_ports == 0 && !h->timed_out) {
        return;
    }
    buf_adds(&who, h->address);
    if (*h->name && strcmp(h->name, h->address) != 0) {
        buf_addf(&who, " (%s)", h->name);
    }
    if (h->n_ports == 0) {
        table_row(&r->table, (const char *const[]){who.data, "-", "-", "-", note});
    }
    for (size_t i = 0; i < h->n_ports; i++) {
        struct port_view p;
        auto_buf port = {0};
        auto_buf version = {0};

        host_view_port(h, i, &p);
        buf_addf(&port, "%" PRId64 "/%s", p.number, p.protocol);
        port_view_version(&p, &version);
        table_row(&r->table, (const char *const[]){i == 0 ? who.data : "", port.data, p.state,
                                                   p.service, version.data});
    }
}

/* ---- csv ---- */

static void csv_host(struct results *r, const struct host_view *h)
{
    if (h->n_ports == 0) {
        csv_row(&r->out,
                (const char *const[]){h->address, h->name, h->timed_out ? "timed out" : h->state,
                                      "", "", "", "", "", "", "", "", ""},
                ARRAY_LEN(csv_head));
    }
    for (size_t i = 0; i < h->n_ports; i++) {
        struct port_view p;
        auto_buf number = {0};
        auto_buf cpe = {0};

        host_view_port(h, i, &p);
        buf_addf(&number, "%" PRId64, p.number);
        port_view_cpe(&p, &cpe);
        csv_row(&r->out,
                (const char *const[]){h->address, h->name, h->state, p.protocol, number.data,
                                      p.state, p.reason, p.service, p.product, p.version,
                                      p.extrainfo, cpe.data},
                ARRAY_LEN(csv_head));
    }
}

/* ---- the table that everybody knows ---- */

static void nmap_scripts(struct buf *b, const json_t *scripts)
{
    const json_t *one;
    size_t i;

    json_array_foreach(scripts, i, one)
    {
        const char *text = json_text(one, "output");
        const char *id = json_text(one, "id");
        bool first = true;

        while (first || *text) {
            size_t n = strcspn(text, "\n");
            bool last = text[n] == '\0' || text[n + 1] == '\0';

            buf_adds(b, last ? "|_" : first ? "| " : "|");
            if (first) {
                buf_add_escaped(b, id, strlen(id));
                buf_adds(b, ": ");
            }
            buf_add_escaped(b, text, n);
            buf_addc(b, '\n');
            text += n + (text[n] == '\n');
            first = false;
        }
    }
}

static void nmap_ports(struct results *r, const struct host_view *h)
{
    static const char *const head[] = {"PORT", "STATE", "SERVICE", "VERSION"};
    size_t plain = 3;
    struct table t = {.head = head, .color = r->term.out_color, .sink = r->sink, .arg = r->arg};

    for (size_t i = 0; i < h->n_ports; i++) {
        struct port_view p;
        auto_buf v = {0};

        host_view_port(h, i, &p);
        port_view_version(&p, &v);
        if (v.len) {
            plain = 4;
        }
    }
    t.n = plain;
    for (size_t i = 0; i < h->n_ports; i++) {
        struct port_view p;
        auto_buf port = {0};
        auto_buf v = {0};

        host_view_port(h, i, &p);
        port_view_version(&p, &v);
        buf_addf(&port, "%" PRId64 "/%s", p.number, p.protocol);
        table_row(&t, (const char *const[]){port.data, p.state, p.service, v.data});
        if (json_array_size(p.scripts)) {
            /* The widths of the rows so far are kept; scripts stand between rows. */
            table_flush(&t);
            nmap_scripts(&r->out, p.scripts);
            r->sink(r->arg, &r->out);
        }
    }
    table_end(&t);
}

static void nmap_host(struct results *r, const struct host_view *h)
{
    struct buf *b = &r->out;
    auto_buf hidden = {0};

    buf_adds(b, "Nmap scan report for ");
    buf_add_escaped(b, *h->name ? h->name : h->address, strlen(*h->name ? h->name : h->address));
    if (*h->name && strcmp(h->name, h->address) != 0) {
        buf_adds(b, " (");
        buf_add_escaped(b, h->address, strlen(h->address));
        buf_addc(b, ')');
    }
    buf_adds(b, "\nHost is ");
    buf_add_escaped(b, h->state, strlen(h->state));
    if (*h->reason) {
        buf_adds(b, ", received ");
        buf_add_escaped(b, h->reason, strlen(h->reason));
    }
    buf_adds(b, ".\n");
    if (h->timed_out) {
        buf_adds(b, "Skipping host due to host timeout\n");
    }
    host_view_hidden(h, &hidden);
    if (hidden.len) {
        buf_adds(b, "Not shown: ");
        buf_add_escaped(b, hidden.data, hidden.len);
        buf_addc(b, '\n');
    }
    r->sink(r->arg, b);
    if (h->n_ports) {
        nmap_ports(r, h);
    }
    if (json_array_size(h->scripts)) {
        buf_adds(b, "\nHost script results:\n");
        nmap_scripts(b, h->scripts);
    }
    buf_addc(b, '\n');
}

/* ---- all ---- */

static void show(struct results *r, const struct host_view *h)
{
    switch (r->format) {
    case FORMAT_TABLE:
        table_host(r, h);
        break;
    case FORMAT_CSV:
        csv_host(r, h);
        break;
    case FORMAT_NMAP:
        nmap_host(r, h);
        break;
    default: /* not said here, or of findings */
        break;
    }
}

int results_host(struct results *r, const char *json, size_t n, struct err *e)
{
    json_t *doc = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL);
    struct host_view h;

    if (!json_is_object(doc)) {
        json_decref(doc);
        return err_set(e, ERR_INVALID, "the server sent a line that is no host");
    }
    host_view_read(doc, &h);
    if (r->format == FORMAT_JSON || r->format == FORMAT_NDJSON) {
        if (r->format == FORMAT_JSON && r->totals.hosts) {
            buf_addc(&r->out, ',');
        }
        buf_add(&r->out, json, n);
        if (r->format == FORMAT_NDJSON) {
            buf_addc(&r->out, '\n');
        }
    } else {
        show(r, &h);
    }
    r->totals.hosts++;
    r->totals.up += strcmp(h.state, "up") == 0;
    r->totals.ports += (int64_t)h.n_ports;
    r->totals.hidden += host_view_hidden(&h, NULL);
    r->totals.timed_out += h.timed_out;
    json_decref(doc);
    r->sink(r->arg, &r->out);
    return 0;
}

int results_feed(struct results *r, const char *data, size_t n, struct err *e)
{
    while (n) {
        const char *end = memchr(data, '\n', n);
        size_t k = end ? (size_t)(end - data) : n;
        int rc = 0;

        buf_add(&r->line, data, k);
        if (r->line.over) {
            return err_set(e, ERR_LIMIT, "a host is larger than %d MiB", LINE_MAX_BYTES >> 20);
        }
        if (end && r->line.len) {
            rc = results_host(r, r->line.data, r->line.len, e);
            buf_reset(&r->line);
        }
        if (rc != 0) {
            return rc;
        }
        data += k + (end != NULL);
        n -= k + (end != NULL);
    }
    return 0;
}

void results_end(struct results *r, struct results_totals *t)
{
    if (r->line.len) {
        results_host(r, r->line.data, r->line.len, NULL);
    }
    if (r->format == FORMAT_TABLE) {
        table_end(&r->table);
    }
    if (r->format == FORMAT_JSON && r->in_job) {
        buf_adds(&r->out, "]}\n");
    }
    r->sink(r->arg, &r->out);
    if (t) {
        *t = r->totals;
    }
    buf_done(&r->line);
    buf_done(&r->out);
    free(r);
}

void results_remark(const struct term *t, const struct results_totals *n)
{
    if (n->up == 0) {
        say(t, "No host was found up.");
    }
    if (n->hidden) {
        say(t, "%" PRId64 " closed or filtered ports are not shown; -o nmap counts them by host.",
            n->hidden);
    }
}
