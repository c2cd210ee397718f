/*
 * The document that nmap would have written: valid under its DTD, so that whatever reads nmap's
 * files reads ours. What came from nmap goes back to where it stood; other tools' results are told
 * in nmap's words. What the DTD has no place for (attributes of later versions, protocols that are
 * none of its four) is left out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "plan/plan.h"
#include "report/escape.h"
#include "report/facts.h"
#include "report/formats.h"
#include "report/nmap_xml.h"

struct xml_writer {
    const struct job *job;
    struct buf *out;
    json_t *run;     /* owned: job->run_json; NULL */
    struct buf tail; /* of the host at hand: what stands behind its ports */
    bool in_ports;
    uint64_t up, down, total;
};

#define PROTOCOLS " ip tcp udp sctp "

static void *xml_new(const struct job *j, struct buf *out)
{
    struct xml_writer *w = xcalloc(1, sizeof *w);

    w->job = j;
    w->out = out;
    w->run = facts_json(j->run_json);
    return w;
}

static void xml_done(void *arg)
{
    struct xml_writer *w = arg;

    buf_done(&w->tail);
    json_decref(w->run);
    free(w);
}

/* ---- the head ---- */

static const struct xml_att scaninfo_atts[] = {
    {"type", "syn",
     " syn ack bounce connect null xmas window maimon fin udp sctpinit sctpcookieecho ipproto "},
    {"scanflags", NULL, NULL},
    {"protocol", "tcp", PROTOCOLS},
    {"numservices", "0", NULL},
    {"services", "", NULL},
    {0}};
static const struct xml_att level_atts[] = {{"level", "0", NULL}, {0}};
static const struct xml_att target_atts[] = {
    {"specification", "", NULL}, {"status", NULL, " skipped "}, {"reason", NULL, " invalid "}, {0}};

/* The ports of one protocol out of "22,80,T:1-9,U:53", as one list. */
static void ports_of(const char *ports, char letter, struct buf *out)
{
    char now = 'T'; /* what the tools without letters scan */

    while (*ports) {
        size_t n = strcspn(ports, ",");
        const char *range = ports;

        if (n > 2 && ports[1] == ':') {
            now = ports[0];
            range += 2;
        }
        if (now == letter) {
            buf_adds(out, out->len ? "," : "");
            buf_add(out, range, n - (size_t)(range - ports));
        }
        ports += n + (ports[n] == ',');
    }
}

static uint32_t count_of(const char *list)
{
    uint32_t n[PORTS_PROTOCOLS];

    ports_count(list, n);
    return n[PORTS_TCP];
}

/* Tools that keep no such record: what was asked for. */
static void add_asked(struct xml_writer *w)
{
    struct {
        char letter;
        const char *type, *protocol;
    } rows[] = {{'T', "syn", "tcp"}, {'U', "udp", "udp"}, {'S', "sctpinit", "sctp"}};

    struct plan *plan = NULL;
    const char *ports = w->job->ports;

    if (w->job->plan && plan_read(w->job->plan, &plan, NULL) == 0) {
        ports = plan_ports(plan); /* the profile's, where the request named none */
        rows[0].type = plan_tcp_scan(plan);
    }
    for (size_t i = 0; ports && ports_parse(ports, NULL) == 0 && i < ARRAY_LEN(rows); i++) {
        auto_buf list = {0};

        ports_of(ports, rows[i].letter, &list);
        if (list.len) {
            buf_addf(w->out,
                     "<scaninfo type=\"%s\" protocol=\"%s\" numservices=\"%" PRIu32
                     "\" services=\"%s\"/>\n",
                     rows[i].type, rows[i].protocol, count_of(list.data), list.data);
        }
    }
    plan_free(plan);
}

static void add_scaninfo(struct xml_writer *w)
{
    const json_t *list = json_object_get(w->run, "scaninfo");
    const json_t *v;
    size_t i;

    if (json_array_size(list) == 0) {
        if (!w->job->import_path) { /* what a file does not say, nobody asked */
            add_asked(w);
        }
        return;
    }
    json_array_foreach(list, i, v)
    {
        xml_open(w->out, "scaninfo", scaninfo_atts, v);
        buf_adds(w->out, "/>\n");
    }
}

static void add_level(struct xml_writer *w, const char *name)
{
    json_t *o = json_pack("{s:O?}", "level", json_object_get(w->run, name));

    xml_open(w->out, name, level_atts, o);
    buf_adds(w->out, "/>\n");
    json_decref(o);
}

static int64_t began(const struct xml_writer *w)
{
    const char *start = json_string_value(json_object_get(json_object_get(w->run, "run"), "start"));
    int64_t s = w->job->started_us / 1000000;

    if (start) {
        str_to_i64(start, 0, INT64_MAX, &s);
    } else if (json_object_get(json_object_get(w->run, "run"), "start")) {
        s = json_integer_value(json_object_get(json_object_get(w->run, "run"), "start"));
    }
    return s;
}

static void add_root(struct xml_writer *w)
{
    const json_t *run = json_object_get(w->run, "run");
    const char *args = json_string_value(json_object_get(run, "args"));
    const char *startstr = json_string_value(json_object_get(run, "startstr"));
    const char *version = json_string_value(json_object_get(run, "version"));
    struct buf *b = w->out;
    auto_buf command = {0};
    char when[FACTS_TIME];

    if (!args) {
        facts_command(w->job, &command);
        args = command.data;
    }
    if (!startstr) {
        facts_time(began(w), when);
        startstr = when;
    }
    version = version ? version : w->job->tool_version;
    buf_adds(b, "<nmaprun scanner=\"nmap\"");
    xml_attr(b, "args", args);
    buf_addf(b, " start=\"%" PRId64 "\"", began(w));
    xml_attr(b, "startstr", startstr);
    xml_attr(b, "version", version ? version : "");
    xml_attr(b, "profile_name", json_string_value(json_object_get(run, "profile_name")));
    buf_adds(b, " xmloutputversion=\"1.05\">\n");
}

static void add_run_scripts(struct xml_writer *w, const char *member, const char *element)
{
    const json_t *list = json_object_get(w->run, member);
    auto_free char *text = json_array_size(list) ? json_dumps(list, JSON_COMPACT) : NULL;

    if (text) {
        buf_addf(w->out, "<%s>", element);
        xml_scripts(w->out, text, "");
        buf_addf(w->out, "</%s>\n", element);
    }
}

static int xml_begin(void *arg, struct err *e)
{
    struct xml_writer *w = arg;
    const json_t *v;
    size_t i;

    (void)e;
    buf_adds(w->out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE nmaprun>\n");
    add_root(w);
    add_scaninfo(w);
    add_level(w, "verbose");
    add_level(w, "debugging");
    json_array_foreach(json_object_get(w->run, "targets"), i, v)
    {
        xml_open(w->out, "target", target_atts, v);
        buf_adds(w->out, "/>\n");
    }
    add_run_scripts(w, "prescripts", "prescript");
    return 0;
}

/* ---- hosts ---- */

static void add_ttl(struct buf *b, int32_t ttl)
{
    buf_adds(b, " reason_ttl=\"");
    buf_addu(b, ttl > 0 ? (uint64_t)ttl : 0);
    buf_addc(b, '"');
}

static void add_addresses(struct buf *b, const struct host *h)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n_addrs; i++) {
        const struct host_addr *a = &h->addrs[i];
        const char *type = xml_word(a->type, " ipv4 ipv6 mac ");

        if (type) {
            buf_adds(b, "<address");
            xml_attr(b, "addr", a->addr ? a->addr : "");
            xml_attr(b, "addrtype", type);
            xml_attr(b, "vendor", a->vendor);
            buf_adds(b, "/>\n");
            n++;
        }
    }
    if (n == 0) { /* the DTD wants one */
        buf_adds(b, "<address addr=\"\" addrtype=\"ipv4\"/>\n");
    }
}

static void add_names(struct buf *b, const struct host *h)
{
    buf_adds(b, "<hostnames>\n");
    for (size_t i = 0; i < h->n_names; i++) {
        buf_adds(b, "<hostname");
        xml_attr(b, "name", h->names[i].name);
        xml_attr(b, "type", xml_word(h->names[i].type, " user PTR "));
        buf_adds(b, "/>\n");
    }
    buf_adds(b, "</hostnames>\n");
}

static void open_ports(struct xml_writer *w)
{
    if (!w->in_ports) {
        buf_adds(w->out, "<ports>");
        w->in_ports = true;
    }
}

static const struct xml_att extraports_atts[] = {{"state", "", NULL}, {"count", "0", NULL}, {0}};
static const struct xml_att extrareasons_atts[] = {{"reason", "", NULL},
                                                   {"count", "0", NULL},
                                                   {"proto", NULL, PROTOCOLS},
                                                   {"ports", NULL, NULL},
                                                   {0}};

static void add_extraports(struct xml_writer *w, const char *text)
{
    json_t *list = facts_json(text);
    const json_t *v, *r;
    size_t i, k;

    json_array_foreach(list, i, v)
    {
        open_ports(w);
        xml_open(w->out, "extraports", extraports_atts, v);
        buf_adds(w->out, ">\n");
        json_array_foreach(json_object_get(v, "reasons"), k, r)
        {
            xml_open(w->out, "extrareasons", extrareasons_atts, r);
            buf_adds(w->out, "/>\n");
        }
        buf_adds(w->out, "</extraports>\n");
    }
    json_decref(list);
}

static int xml_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct xml_writer *w = arg;
    struct buf *b = w->out;
    const char *state = xml_word(h->state, " up down unknown skipped ");

    (void)seq;
    (void)e;
    w->total++;
    w->up += str_eq(state, "up");
    w->down += str_eq(state, "down");
    buf_adds(b, "<host");
    if (h->start_s) {
        buf_addf(b, " starttime=\"%" PRId64 "\"", h->start_s);
    }
    if (h->end_s) {
        buf_addf(b, " endtime=\"%" PRId64 "\"", h->end_s);
    }
    xml_attr(b, "timedout", h->timed_out ? "true" : NULL);
    xml_attr(b, "comment", h->comment);
    buf_adds(b, "><status");
    xml_attr(b, "state", state ? state : "unknown");
    xml_attr(b, "reason", h->reason ? h->reason : "");
    add_ttl(b, h->reason_ttl);
    buf_adds(b, "/>\n");
    add_addresses(b, h);
    add_names(b, h);
    w->in_ports = false;
    if (h->extraports) {
        add_extraports(w, h->extraports);
    }
    buf_reset(&w->tail);
    xml_host_tail(&w->tail, h);
    return 0;
}

/* ---- ports ---- */

static const struct xml_att service_more_atts[] = {
    {"servicefp", NULL, NULL}, {"proto", NULL, " rpc "}, {"rpcnum", NULL, NULL},
    {"lowver", NULL, NULL},    {"highver", NULL, NULL},  {0}};

static void add_service_more(struct buf *b, const char *text)
{
    json_t *more = facts_json(text);
    auto_buf element = {0};

    xml_open(&element, "", service_more_atts, more);
    buf_add(b, element.data + 1, element.len - 1);
    json_decref(more);
}

static void add_service(struct buf *b, const struct port *p)
{
    buf_adds(b, "<service");
    xml_attr(b, "name", p->service ? p->service : "");
    xml_attr(b, "product", p->product);
    xml_attr(b, "version", p->version);
    xml_attr(b, "extrainfo", p->extrainfo);
    xml_attr(b, "hostname", p->hostname);
    xml_attr(b, "ostype", p->ostype);
    xml_attr(b, "devicetype", p->devicetype);
    xml_attr(b, "tunnel", xml_word(p->tunnel, " ssl "));
    if (p->more) {
        add_service_more(b, p->more);
    }
    xml_attr(b, "method", !p->method || strcmp(p->method, "table") == 0 ? "table" : "probed");
    buf_adds(b, " conf=\"");
    buf_addu(b, p->conf > 0 ? (uint64_t)MIN(p->conf, 10) : 0);
    if (p->cpe) {
        json_t *list = facts_json(p->cpe);

        buf_adds(b, "\">");
        xml_cpes(b, list);
        buf_adds(b, "</service>");
        json_decref(list);
    } else {
        buf_adds(b, "\"/>");
    }
}

static void add_banner(struct buf *b, const struct port *p)
{
    auto_buf banner = {0};

    if (facts_banner(p, &banner)) {
        buf_adds(b, "<script id=\"banner\" output=\"");
        xml_add(b, banner.data, banner.len);
        buf_adds(b, "\"/>");
    }
}

static int xml_port(void *arg, const struct port *p, struct err *e)
{
    struct xml_writer *w = arg;
    struct buf *b = w->out;
    const char *protocol = p->protocol ? xml_word(p->protocol, PROTOCOLS) : "tcp";

    (void)e;
    if (!protocol) {
        return 0;
    }
    open_ports(w);
    buf_adds(b, "<port protocol=\"");
    buf_adds(b, protocol);
    buf_adds(b, "\" portid=\"");
    buf_addu(b, p->number);
    buf_adds(b, "\"><state");
    xml_attr(b, "state", p->state ? p->state : "unknown");
    xml_attr(b, "reason", p->reason ? p->reason : "");
    add_ttl(b, p->reason_ttl);
    xml_attr(b, "reason_ip", p->reason_ip);
    buf_adds(b, "/>");
    if (p->owner) {
        buf_adds(b, "<owner");
        xml_attr(b, "name", p->owner);
        buf_adds(b, "/>");
    }
    if (p->has_service || p->service) {
        add_service(b, p);
    }
    if (p->scripts) {
        xml_scripts(b, p->scripts, "");
    } else if (p->more) {
        add_banner(b, p);
    }
    buf_adds(b, "</port>\n");
    return 0;
}

static int xml_host_end(void *arg, struct err *e)
{
    struct xml_writer *w = arg;

    (void)e;
    if (w->in_ports) {
        buf_adds(w->out, "</ports>\n");
    }
    buf_add(w->out, w->tail.data, w->tail.len);
    buf_adds(w->out, "</host>\n");
    return 0;
}

/* ---- the end ---- */

static const struct xml_att finished_atts[] = {{"time", "0", NULL},
                                               {"timestr", NULL, NULL},
                                               {"summary", NULL, NULL},
                                               {"elapsed", "0", NULL},
                                               {"exit", NULL, " error success "},
                                               {"errormsg", NULL, NULL},
                                               {0}};
static const struct xml_att hosts_atts[] = {
    {"up", "0", NULL}, {"down", "0", NULL}, {"total", "0", NULL}, {0}};

static void add_finished(struct xml_writer *w)
{
    const struct job *j = w->job;
    struct buf *b = w->out;
    int64_t took = MAX(j->completed_us - j->started_us, 0);
    bool whole = j->state == JOB_COMPLETED && !j->partial;
    char when[FACTS_TIME];

    facts_time(j->completed_us / 1000000, when);
    buf_addf(b, "<finished time=\"%" PRId64 "\"", j->completed_us / 1000000);
    xml_attr(b, "timestr", when);
    buf_addf(b, " elapsed=\"%" PRId64 ".%02d\" exit=\"%s\"", took / 1000000,
             (int)(took % 1000000 / 10000), whole ? "success" : "error");
    if (!whole) {
        xml_attr(b, "errormsg", j->error ? j->error : "not all of the targets was covered");
    }
    buf_adds(b, "/>");
}

static int xml_end(void *arg, struct err *e)
{
    struct xml_writer *w = arg;
    const json_t *stats = json_object_get(w->run, "runstats");
    const json_t *finished = json_object_get(stats, "finished");
    const json_t *hosts = json_object_get(stats, "hosts");
    struct buf *b = w->out;

    (void)e;
    add_run_scripts(w, "postscripts", "postscript");
    buf_adds(b, "<runstats>");
    if (json_is_object(finished)) {
        xml_open(b, "finished", finished_atts, finished);
        buf_adds(b, "/>");
    } else {
        add_finished(w);
    }
    if (json_is_object(hosts)) {
        xml_open(b, "hosts", hosts_atts, hosts);
        buf_adds(b, "/>");
    } else {
        buf_addf(b, "<hosts up=\"%" PRIu64 "\" down=\"%" PRIu64 "\" total=\"%" PRIu64 "\"/>", w->up,
                 w->down, w->total);
    }
    buf_adds(b, "\n</runstats>\n</nmaprun>\n");
    return 0;
}

const struct report_format report_nmap_xml = {
    .name = "nmap-xml",
    .media_type = "application/xml; charset=utf-8",
    .suffix = ".xml",
    .help = "as nmap -oX writes it, valid under nmap's DTD",
    .new = xml_new,
    .begin = xml_begin,
    .sink = {.host = xml_host, .port = xml_port, .host_end = xml_host_end},
    .end = xml_end,
    .done = xml_done,
};
