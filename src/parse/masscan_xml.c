/*
 * masscan's XML looks like nmap's, one host element a sighting: nmap's parser reads it, with all
 * its care, and its hosts are taken apart into sightings. A service is a banner; beside one the
 * state is not masscan's sighting, but part of the form.
 */
#include <string.h>

#include "parse/scan.h"

/* {"banner":"..."} as nmap's parser keeps what it does not know. */
static bool find_banner(struct json_scan *j, void *arg)
{
    struct scan *p = arg;

    return strcmp(j->key, "banner") == 0 ? json_scan_string(j, &p->scratch) : json_scan_skip(j);
}

static bool add_port(struct scan *p, struct sighting *x, const struct port *port)
{
    const char *protocol = port->protocol ? port->protocol : "";
    const char *state = port->state ? port->state : "";

    x->port = port->number;
    x->ttl = port->reason_ttl >= 0 && port->reason_ttl <= UINT8_MAX ? port->reason_ttl : -1;
    if (!masscan_proto(protocol, strlen(protocol), x) || !masscan_status(state, strlen(state), x)) {
        scan_fail(p, ERR_TOOL, "a port has an unknown protocol or state");
        return false;
    }
    x->reason = port->reason ? sightings_reason(p->found, port->reason, strlen(port->reason)) : 0;
    if (port->has_service && port->more) {
        struct json_scan j = {.p = port->more, .end = port->more + strlen(port->more)};

        buf_reset(&p->scratch);
        json_scan_object(&j, find_banner, p);
        masscan_unescape(&p->banner, p->scratch.data ? p->scratch.data : "", p->scratch.len);
        x->state = FINDING_BANNER;
        x->reason = 0;
        x->name = port->service ? port->service : "";
        x->name_n = strlen(x->name);
        x->banner = p->banner.data ? p->banner.data : "";
        x->banner_n = p->banner.len;
    }
    return masscan_add(p, x);
}

static int on_host(void *arg, const struct host *h, struct err *e)
{
    struct scan *p = arg;
    struct sighting x = scan_finding();
    const char *address = host_address(h);

    if (!address || !scan_address(address, strlen(address), &x)) {
        scan_fail(p, ERR_TOOL, "a host has no address");
    }
    x.time_s = h->end_s > 0 && h->end_s < INT64_C(1) << 40 ? h->end_s : 0;
    for (size_t i = 0; i < h->n_ports && !p->code; i++) {
        add_port(p, &x, &h->ports[i]);
    }
    if (p->code && e) {
        *e = p->err;
    }
    return p->code;
}

/* The inner parser's words, with our name. */
static void failed(struct scan *p, int code, const struct err *e)
{
    const char *colon = strstr(e->msg, "nmap output, ");

    if (!p->code) {
        p->code = err_set(&p->err, code, "masscan output, %s",
                          colon == e->msg ? e->msg + strlen("nmap output, ") : e->msg);
    }
}

static void begin(struct scan *p)
{
    p->xml_sink = (struct parse_sink){.host = on_host, .arg = p};
    p->xml = parser_nmap_xml.new(&p->xml_sink);
}

static size_t take(struct scan *p, const char *s, size_t n)
{
    struct err e = {0};
    int rc;

    if (!p->xml) {
        begin(p);
    }
    rc = parser_nmap_xml.feed(p->xml, s, n, &e);
    if (rc) {
        failed(p, rc, &e);
    }
    return n;
}

static void end(struct scan *p, const char *rest, size_t n)
{
    struct err e = {0};
    int rc;

    (void)rest;
    (void)n;
    if (!p->xml) {
        begin(p);
    }
    rc = parser_nmap_xml.finish(p->xml, &e);
    if (rc) {
        failed(p, rc, &e);
    }
}

static void done(struct scan *p)
{
    parser_nmap_xml.free(p->xml);
}

const struct scan_form masscan_xml = {.name = "xml", .take = take, .end = end, .free = done};
