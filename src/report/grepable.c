/* One line a host, fields divided by tabs: what nmap -oG writes, for grep, cut and awk. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/escape.h"
#include "report/facts.h"
#include "report/formats.h"

struct grepable {
    const struct job *job;
    struct buf *out;
    struct buf line; /* of the host at hand: what begins its lines */
    struct buf tail; /* and what stands behind its ports */
    struct buf scratch;
    bool in_ports;
    uint64_t up, total;
};

static void *grepable_new(const struct job *j, struct buf *out)
{
    struct grepable *w = xcalloc(1, sizeof *w);

    w->job = j;
    w->out = out;
    return w;
}

static void grepable_done(void *arg)
{
    struct grepable *w = arg;

    buf_done(&w->line);
    buf_done(&w->tail);
    buf_done(&w->scratch);
    free(w);
}

static int grepable_begin(void *arg, struct err *e)
{
    struct grepable *w = arg;
    const struct job *j = w->job;
    auto_buf command = {0};
    char when[FACTS_TIME];

    (void)e;
    facts_command(j, &command);
    facts_time(j->started_us / 1000000, when);
    if (j->plan || !j->tool) {
        buf_adds(w->out, "# ScanPod");
    } else {
        buf_adds(w->out, "# ");
        buf_adds(w->out, strcmp(j->tool, "nmap") == 0 ? "Nmap" : j->tool);
        if (j->tool_version) {
            buf_addc(w->out, ' ');
            buf_add_escaped(w->out, j->tool_version, strlen(j->tool_version));
        }
    }
    buf_addf(w->out, " scan initiated %s as: ", when);
    buf_add_escaped(w->out, command.data, command.len);
    buf_addc(w->out, '\n');
    return 0;
}

/* "Host: 10.0.0.1 (name)\t" */
static void add_host(struct buf *b, const char *address, const char *name)
{
    buf_adds(b, "Host: ");
    grepable_add(b, address ? address : "");
    buf_adds(b, " (");
    for (const char *s = name ? name : ""; *s; s++) {
        if (*s == '(' || *s == ')') {
            buf_addf(b, "\\x%02x", (unsigned)*s);
        } else {
            size_t n = strcspn(s, "()");
            auto_free char *piece = xstrndup(s, n);

            grepable_add(b, piece);
            s += n - 1;
        }
    }
    buf_adds(b, ")\t");
}

static const char *sequence(const json_t *more, const char *name, const char *member,
                            char number[FACTS_NUMBER])
{
    return facts_text(json_object_get(json_object_get(more, name), member), number);
}

/* The state that stands for most of the ports that are not listed. */
static void add_ignored(struct buf *b, const char *extraports)
{
    json_t *list = facts_json(extraports);
    const json_t *v;
    const char *state = NULL;
    int64_t count = 0;
    size_t i;

    json_array_foreach(list, i, v)
    {
        int64_t n = json_integer_value(json_object_get(v, "count"));

        if (n > count && json_is_string(json_object_get(v, "state"))) {
            count = n;
            state = json_string_value(json_object_get(v, "state"));
        }
    }
    if (state) {
        buf_adds(b, "\tIgnored State: ");
        grepable_add(b, state);
        buf_addf(b, " (%" PRId64 ")", count);
    }
    json_decref(list);
}

static void add_tail(struct grepable *w, const struct host *h)
{
    char number[FACTS_NUMBER];
    const char *value;
    json_t *more;

    if (h->extraports) {
        add_ignored(&w->tail, h->extraports);
    }
    if (h->os) {
        buf_reset(&w->scratch);
        facts_os(h, &w->scratch);
        if (w->scratch.len) {
            buf_adds(&w->tail, "\tOS: ");
            grepable_add(&w->tail, w->scratch.data);
        }
    }
    more = facts_json(h->more);
    value = sequence(more, "tcpsequence", "index", number);
    if (value) {
        buf_adds(&w->tail, "\tSeq Index: ");
        grepable_add(&w->tail, value);
    }
    value = sequence(more, "ipidsequence", "class", number);
    if (value) {
        buf_adds(&w->tail, "\tIP ID Seq: ");
        grepable_add(&w->tail, value);
    }
    json_decref(more);
}

static int grepable_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct grepable *w = arg;
    bool up = str_eq(h->state, "up");

    (void)seq;
    (void)e;
    w->total++;
    w->up += up;
    w->in_ports = false;
    buf_reset(&w->line);
    add_host(&w->line, host_address(h), h->n_names ? h->names[0].name : NULL);
    buf_add(w->out, w->line.data, w->line.len);
    buf_addf(w->out, "Status: %s%s\n",
             up                         ? "Up"
             : str_eq(h->state, "down") ? "Down"
                                        : "Unknown",
             h->timed_out ? "\tTimed out" : "");
    buf_reset(&w->tail);
    add_tail(w, h);
    return 0;
}

static void open_ports(struct grepable *w)
{
    buf_add(w->out, w->line.data, w->line.len);
    buf_adds(w->out, "Ports: ");
    w->in_ports = true;
}

/* number/state/protocol/owner/service/rpc/version/ */
static int grepable_port(void *arg, const struct port *p, struct err *e)
{
    struct grepable *w = arg;
    struct buf *b = w->out;

    (void)e;
    if (w->in_ports) {
        buf_adds(b, ", ");
    } else {
        open_ports(w);
    }
    buf_addu(b, p->number);
    buf_addc(b, '/');
    grepable_add(b, p->state ? p->state : "unknown");
    buf_addc(b, '/');
    grepable_add(b, p->protocol);
    buf_addc(b, '/');
    grepable_add(b, p->owner);
    buf_addc(b, '/');
    if (p->tunnel && p->service) {
        grepable_add(b, p->tunnel);
        buf_addc(b, '|');
    }
    grepable_add(b, p->service);
    buf_adds(b, "//");
    if (p->product || p->version || p->extrainfo) {
        buf_reset(&w->scratch);
        facts_version(p, &w->scratch);
        grepable_add(b, w->scratch.data);
    }
    buf_addc(b, '/');
    return 0;
}

static int grepable_host_end(void *arg, struct err *e)
{
    struct grepable *w = arg;

    (void)e;
    if (!w->in_ports && w->tail.len) {
        open_ports(w);
    }
    if (w->in_ports) {
        buf_add(w->out, w->tail.data, w->tail.len);
        buf_addc(w->out, '\n');
    }
    return 0;
}

static int grepable_end(void *arg, struct err *e)
{
    struct grepable *w = arg;
    const struct job *j = w->job;
    int64_t took = MAX(j->completed_us - j->started_us, 0);
    char when[FACTS_TIME];

    (void)e;
    facts_time(j->completed_us / 1000000, when);
    buf_addf(w->out,
             "# %s done at %s -- %" PRIu64 " IP address%s (%" PRIu64 " host%s up) scanned in "
             "%" PRId64 ".%02d seconds\n",
             str_eq(j->tool, "nmap") && !j->plan ? "Nmap" : "ScanPod", when, w->total,
             w->total == 1 ? "" : "es", w->up, w->up == 1 ? "" : "s", took / 1000000,
             (int)(took % 1000000 / 10000));
    return 0;
}

const struct report_format report_grepable = {
    .name = "grepable",
    .media_type = "text/plain; charset=utf-8",
    .suffix = ".gnmap",
    .help = "one line a host, as nmap -oG writes it",
    .new = grepable_new,
    .begin = grepable_begin,
    .sink = {.host = grepable_host, .port = grepable_port, .host_end = grepable_host_end},
    .end = grepable_end,
    .done = grepable_done,
};
