/*
 * Hosts: one is filled while its element is open, handed out at its end, and its memory used for
 * the next. What queries look at becomes members; the rest is written as JSON right away.
 */
#include <stdlib.h>
#include <string.h>

#include "parse/nmap.h"

enum { BUF_KEPT = 256 * 1024 };

/* Members of host.more. One that comes twice is kept once: a JSON object has no second. */
enum {
    SEEN_DISTANCE = 1,
    SEEN_UPTIME = 2,
    SEEN_TCPSEQUENCE = 4,
    SEEN_IPIDSEQUENCE = 8,
    SEEN_TCPTSSEQUENCE = 16,
    SEEN_TIMES = 32,
    SEEN_SMURF = 64,
    SEEN_TRACE = 128,
};

/* A large host does not keep its memory from the next ones. */
static void empty(struct buf *b)
{
    if (b->size > BUF_KEPT) {
        buf_done(b);
    } else {
        buf_reset(b);
    }
}

void nmap_host_reset(struct nmap *p)
{
    struct arena *a = p->host.arena;

    p->host.arena = NULL;
    host_done(&p->host);
    arena_reset(a);
    p->host.arena = a;
    p->host.reason_ttl = -1;
    p->port = NULL;
    empty(&p->cpe);
    empty(&p->port_scripts);
    empty(&p->host_scripts);
    empty(&p->extraports);
    empty(&p->more);
    empty(&p->os_portused);
    empty(&p->os_match);
    empty(&p->os_class);
    empty(&p->os_fingerprints);
    empty(&p->scratch);
    p->seen = 0;
    p->has_os = false;
}

void nmap_host_free(struct nmap *p)
{
    host_done(&p->host);
    buf_done(&p->cpe);
    buf_done(&p->port_scripts);
    buf_done(&p->host_scripts);
    buf_done(&p->extraports);
    buf_done(&p->more);
    buf_done(&p->os_portused);
    buf_done(&p->os_match);
    buf_done(&p->os_class);
    buf_done(&p->os_fingerprints);
    buf_done(&p->scratch);
}

size_t nmap_host_size(const struct nmap *p)
{
    const struct host *h = &p->host;

    return arena_used(h->arena) + h->n_ports * sizeof *h->ports + h->n_addrs * sizeof *h->addrs +
           h->n_names * sizeof *h->names + p->cpe.len + p->port_scripts.len + p->host_scripts.len +
           p->extraports.len + p->more.len + p->os_portused.len + p->os_match.len +
           p->os_class.len + p->os_fingerprints.len;
}

/* --- host --- */

/* Names that mean something else beside or in host.more. */
static bool is_taken(const char *name)
{
    static const char *const taken[] = {
        "distance", "uptime", "tcpsequence", "ipidsequence", "tcptssequence", "times",
        "smurf",    "trace",  "addresses",   "hostnames",    "ports",         "extraports",
        "os",       "status", "scripts",     "hostscripts",
    };

    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (strcmp(taken[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void host_start(struct nmap *p, const char **atts)
{
    struct host *h = &p->host;

    for (; *atts; atts += 2) {
        const char *name = atts[0];
        const char *value = atts[1];

        if (strcmp(name, "starttime") == 0) {
            nmap_number(value, &h->start_s);
        } else if (strcmp(name, "endtime") == 0) {
            nmap_number(value, &h->end_s);
        } else if (strcmp(name, "timedout") == 0) {
            h->timed_out = strcmp(value, "true") == 0;
        } else if (strcmp(name, "comment") == 0) {
            h->comment = nmap_keep(p, value);
        } else if (!is_taken(name)) {
            nmap_member(&p->more, name, value); /* of a later version */
        }
    }
}

static const char *os_record(struct nmap *p)
{
    const struct {
        const char *name;
        const struct buf *items;
    } parts[] = {{"portused", &p->os_portused},
                 {"osmatch", &p->os_match},
                 {"osclass", &p->os_class},
                 {"fingerprints", &p->os_fingerprints}};
    struct buf *b = &p->scratch;

    buf_reset(b);
    buf_addc(b, '{');
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        nmap_comma(b);
        buf_addf(b, "\"%s\":[", parts[i].name);
        buf_add(b, parts[i].items->data, parts[i].items->len);
        buf_addc(b, ']');
    }
    buf_addc(b, '}');
    return b->data;
}

static void host_end(struct nmap *p)
{
    struct host *h = &p->host;
    int rc;

    h->extraports = nmap_wrap(&p->extraports, '[', ']');
    h->scripts = nmap_wrap(&p->host_scripts, '[', ']');
    h->more = nmap_wrap(&p->more, '{', '}');
    h->os = p->has_os ? os_record(p) : NULL;
    if (p->sink->host) {
        rc = p->sink->host(p->sink->arg, h, &p->err);
        if (rc) {
            nmap_sink_failed(p, rc);
        }
    }
    nmap_host_reset(p);
}

static void status_start(struct nmap *p, const char **atts)
{
    struct host *h = &p->host;

    for (; *atts; atts += 2) {
        if (strcmp(atts[0], "state") == 0) {
            h->state = nmap_keep(p, atts[1]);
        } else if (strcmp(atts[0], "reason") == 0) {
            h->reason = nmap_keep(p, atts[1]);
        } else if (strcmp(atts[0], "reason_ttl") == 0) {
            h->reason_ttl = nmap_small(atts[1], INT32_MAX);
        }
    }
}

static void address_start(struct nmap *p, const char **atts)
{
    struct host_addr *a = host_add_addr(&p->host);

    for (; *atts; atts += 2) {
        if (strcmp(atts[0], "addr") == 0) {
            a->addr = nmap_keep(p, atts[1]);
        } else if (strcmp(atts[0], "addrtype") == 0) {
            a->type = nmap_keep(p, atts[1]);
        } else if (strcmp(atts[0], "vendor") == 0) {
            a->vendor = nmap_keep(p, atts[1]);
        }
    }
    a->type = a->type ? a->type : "ipv4"; /* the default of nmap's DTD */
}

static void hostname_start(struct nmap *p, const char **atts)
{
    struct host_name *n = host_add_name(&p->host);

    for (; *atts; atts += 2) {
        if (strcmp(atts[0], "name") == 0) {
            n->name = nmap_keep(p, atts[1]);
        } else if (strcmp(atts[0], "type") == 0) {
            n->type = nmap_keep(p, atts[1]);
        }
    }
}

/* --- operating system --- */

struct buf *nmap_osclass_list(struct nmap *p, enum nmap_id above)
{
    return above == E_OSMATCH ? &p->os_match : &p->os_class;
}

static void os_start(struct nmap *p, const char **atts)
{
    (void)atts;
    p->has_os = true;
}

static void portused_start(struct nmap *p, const char **atts)
{
    nmap_comma(&p->os_portused);
    nmap_object(&p->os_portused, atts, NULL);
    buf_addc(&p->os_portused, '}');
}

static void osmatch_start(struct nmap *p, const char **atts)
{
    nmap_comma(&p->os_match);
    nmap_object(&p->os_match, atts, "osclass");
    nmap_comma(&p->os_match);
    buf_adds(&p->os_match, "\"osclass\":[");
}

static void osmatch_end(struct nmap *p)
{
    buf_adds(&p->os_match, "]}");
}

static void osclass_start(struct nmap *p, const char **atts)
{
    struct buf *b = nmap_osclass_list(p, nmap_parent(p));

    nmap_comma(b);
    nmap_object(b, atts, "cpe");
    nmap_comma(b);
    buf_adds(b, "\"cpe\":[");
}

static void osclass_end(struct nmap *p)
{
    buf_adds(nmap_osclass_list(p, nmap_parent(p)), "]}");
}

static void osfingerprint_start(struct nmap *p, const char **atts)
{
    const char *text = nmap_att(atts, "fingerprint");

    if (text) {
        nmap_comma(&p->os_fingerprints);
        buf_add_json_string(&p->os_fingerprints, text, strlen(text));
    }
}

/* --- what is only shown --- */

static bool more_begin(struct nmap *p, unsigned bit, const char *name)
{
    if (p->seen & bit) {
        return false;
    }
    p->seen |= bit;
    nmap_comma(&p->more);
    buf_addc(&p->more, '"');
    buf_adds(&p->more, name);
    buf_adds(&p->more, "\":");
    return true;
}

static void more_object(struct nmap *p, unsigned bit, const char *name, const char **atts)
{
    if (more_begin(p, bit, name)) {
        nmap_object(&p->more, atts, NULL);
        buf_addc(&p->more, '}');
    }
}

#define MORE(name, bit)                                         \
    static void name##_start(struct nmap *p, const char **atts) \
    {                                                           \
        more_object(p, bit, #name, atts);                       \
    }
MORE(distance, SEEN_DISTANCE)
MORE(uptime, SEEN_UPTIME)
MORE(tcpsequence, SEEN_TCPSEQUENCE)
MORE(ipidsequence, SEEN_IPIDSEQUENCE)
MORE(tcptssequence, SEEN_TCPTSSEQUENCE)
MORE(times, SEEN_TIMES)
MORE(smurf, SEEN_SMURF)
#undef MORE

static void trace_start(struct nmap *p, const char **atts)
{
    p->trace_ignored = !more_begin(p, SEEN_TRACE, "trace");
    if (!p->trace_ignored) {
        nmap_object(&p->more, atts, "hops");
        nmap_comma(&p->more);
        buf_adds(&p->more, "\"hops\":[");
    }
}

static void hop_start(struct nmap *p, const char **atts)
{
    if (!p->trace_ignored) {
        nmap_comma(&p->more);
        nmap_object(&p->more, atts, NULL);
        buf_addc(&p->more, '}');
    }
}

static void trace_end(struct nmap *p)
{
    if (!p->trace_ignored) {
        buf_adds(&p->more, "]}");
    }
}

const struct nmap_element nmap_host_elements[] = {
    {"host", E_HOST, IN(E_NMAPRUN), host_start, host_end},
    {"status", E_LEAF, IN(E_HOST), status_start, NULL},
    {"address", E_LEAF, IN(E_HOST), address_start, NULL},
    {"hostnames", E_HOSTNAMES, IN(E_HOST), NULL, NULL},
    {"hostname", E_LEAF, IN(E_HOSTNAMES), hostname_start, NULL},
    {"ports", E_PORTS, IN(E_HOST), NULL, NULL},
    {"hostscript", E_HOSTSCRIPT, IN(E_HOST), NULL, NULL},
    {"os", E_OS, IN(E_HOST), os_start, NULL},
    {"portused", E_LEAF, IN(E_OS), portused_start, NULL},
    {"osmatch", E_OSMATCH, IN(E_OS), osmatch_start, osmatch_end},
    {"osclass", E_OSCLASS, IN(E_OS) | IN(E_OSMATCH), osclass_start, osclass_end},
    {"osfingerprint", E_LEAF, IN(E_OS), osfingerprint_start, NULL},
    {"distance", E_LEAF, IN(E_HOST), distance_start, NULL},
    {"uptime", E_LEAF, IN(E_HOST), uptime_start, NULL},
    {"tcpsequence", E_LEAF, IN(E_HOST), tcpsequence_start, NULL},
    {"ipidsequence", E_LEAF, IN(E_HOST), ipidsequence_start, NULL},
    {"tcptssequence", E_LEAF, IN(E_HOST), tcptssequence_start, NULL},
    {"times", E_LEAF, IN(E_HOST), times_start, NULL},
    {"smurf", E_LEAF, IN(E_HOST), smurf_start, NULL},
    {"trace", E_TRACE, IN(E_HOST), trace_start, trace_end},
    {"hop", E_LEAF, IN(E_TRACE), hop_start, NULL},
    {0},
};
