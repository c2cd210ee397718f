/* One host from the sightings about it. */
#include <arpa/inet.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "parse/sightings_store.h"

static const char *const proto_names[] = {
    [PROTO_TCP] = "tcp", [PROTO_UDP] = "udp",   [PROTO_SCTP] = "sctp",
    [PROTO_IP] = "ip",   [PROTO_ICMP] = "icmp", [PROTO_ARP] = "arp",
};

void sightings_host_done(struct sightings_host *h)
{
    free(h->host.ports);
    buf_done(&h->extra);
    for (unsigned i = 0; i < EXTRAS_MAX; i++) {
        buf_done(&h->extras[i].ports);
    }
    buf_done(&h->scripts);
    arena_free(h->arena);
}

/* NULL: not said. */
static const char *reason(const struct sightings_host *h, const struct kept *k)
{
    return h->reasons[k->reason][0] ? h->reasons[k->reason] : NULL;
}

static struct port *add_port(struct sightings_host *h, const struct kept *k)
{
    struct host *host = &h->host;
    struct port *p;

    if (host->n_ports == h->room) {
        h->room = h->room ? h->room * 2 : 16;
        host->ports = xrealloc(host->ports, h->room * sizeof *host->ports);
    }
    p = &host->ports[host->n_ports++];
    *p = (struct port){.number = (uint16_t)kept_port(k),
                       .protocol = proto_names[kept_proto(k)],
                       .reason_ttl = k->ttl,
                       .conf = -1};
    return p;
}

/* Numbers from 0 to 255 with a dot behind. */
static void fill_octets(struct sightings_host *h)
{
    for (unsigned v = 0; v < 256; v++) {
        struct sightings_octet *o = &h->octets[v];

        if (v >= 100) {
            o->text[o->n++] = (char)('0' + v / 100);
        }
        if (v >= 10) {
            o->text[o->n++] = (char)('0' + v / 10 % 10);
        }
        o->text[o->n++] = (char)('0' + v % 10);
        o->text[o->n++] = '.';
    }
}

void sightings_host_init(struct sightings_host *h)
{
    h->arena = arena_new();
    fill_octets(h);
}

static void address(struct sightings_host *h, const struct kept *k)
{
    uint32_t a = (uint32_t)(k->key >> KEY_SUB);
    char *to = h->text;

    h->addr.addr = h->text;
    h->addr.type = k->v6 ? "ipv6" : "ipv4";
    if (k->v6) {
        inet_ntop(AF_INET6, k->addr, h->text, sizeof h->text);
        return;
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        const struct sightings_octet *o = &h->octets[a >> shift & 255];

        memcpy(to, o->text, sizeof o->text);
        to += o->n;
    }
    to[-1] = '\0';
}

static void times(struct host *host, const struct kept *k)
{
    if (k->first_s && (!host->start_s || k->first_s < host->start_s)) {
        host->start_s = k->first_s;
    }
    host->end_s = MAX(host->end_s, k->last_s);
}

/* --- banners --- */

/* Facts about a service; what remains are names of services. */
static const char *service_of_fact(const char *name, size_t n)
{
    static const struct {
        const char *fact, *service; /* "": tells of none */
    } rows[] = {
        {"unknown", ""},        {"title", "http"}, {"html", "http"},   {"http.server", "http"},
        {"X509", "ssl"},        {"X509CA", "ssl"}, {"cert", "ssl"},    {"heartbleed", "ssl"},
        {"ticketbleed", "ssl"}, {"vuln", ""},      {"versioning", ""}, {"scripting", ""},
        {"vnc-info", "vnc"},    {"safe", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strlen(rows[i].fact) == n && memcmp(rows[i].fact, name, n) == 0) {
            return rows[i].service;
        }
    }
    return NULL;
}

/* The service is what most of the banners say; one inside TLS counts more than TLS. */
static void tell_service(struct sightings_host *h, struct port *p, const char *name, size_t n)
{
    const char *fact = service_of_fact(name, n);
    bool ssl;

    if (n == 0 || (fact && !*fact)) {
        return;
    }
    if (fact) {
        name = fact;
        n = strlen(fact);
    }
    ssl = n == 3 && memcmp(name, "ssl", 3) == 0;
    if (p->service && str_eq(p->service, "ssl") && !ssl) {
        p->tunnel = "ssl";
        p->service = NULL;
    } else if (p->service && ssl && !str_eq(p->service, "ssl")) {
        p->tunnel = "ssl";
    }
    p->has_service = true;
    p->service = p->service ? p->service : arena_strn(h->arena, name, n);
}

static bool is_fact(const char *name, size_t n)
{
    return service_of_fact(name, n) && !(n == 7 && memcmp(name, "unknown", 7) == 0);
}

/* What a service said stands where nmap's script `banner` would have put it. */
static const struct kept *banners(struct sightings_host *h, struct port *p, const struct kept *k,
                                  const struct kept *end, const char *texts)
{
    struct json j;
    uint64_t port = k->key;

    buf_reset(&h->scripts);
    j = json_to(&h->scripts);
    json_arr(&j);
    for (; k < end && k->key == port; k++) {
        const char *name = texts + k->text;
        char id[REASON_TEXT * 2];
        size_t n = 6;

        memcpy(id, "banner", n);
        if (is_fact(name, k->name_n)) {
            id[n++] = '-';
            memcpy(id + n, name, k->name_n);
            n += k->name_n;
        }
        times(&h->host, k);
        tell_service(h, p, name, k->name_n);
        json_obj(&j);
        json_strn(&j, "id", id, n);
        json_strn(&j, "output", name + k->name_n, k->banner_n);
        json_end(&j);
    }
    json_end(&j);
    p->scripts = arena_strn(h->arena, h->scripts.data, h->scripts.len);
    return k;
}

/* --- what is not listed one by one --- */

static struct sightings_extra *extra_of(struct sightings_host *h, const struct kept *k)
{
    bool has_port = kept_port(k) >= 0;
    struct sightings_extra *x;

    for (unsigned i = h->n_extras; i-- > 0;) {
        x = &h->extras[i];
        if ((x->state == kept_state(k) && x->reason == k->reason && x->proto == kept_proto(k) &&
             x->has_port == has_port)) {
            return x;
        }
    }
    if (h->n_extras == EXTRAS_MAX) {
        return NULL;
    }
    x = &h->extras[h->n_extras++];
    buf_reset(&x->ports);
    *x = (struct sightings_extra){.state = kept_state(k),
                                  .reason = k->reason,
                                  .proto = kept_proto(k),
                                  .has_port = has_port,
                                  .begin = -1,
                                  .last = -1,
                                  .ports = x->ports};
    return x;
}

static void end_range(struct sightings_extra *x)
{
    if (x->begin >= 0) {
        if (x->ports.len) {
            buf_addc(&x->ports, ',');
        }
        buf_addu(&x->ports, (uint64_t)x->begin);
        if (x->last > x->begin) {
            buf_addc(&x->ports, '-');
            buf_addu(&x->ports, (uint64_t)x->last);
        }
    }
}

static void add_extra(struct sightings_host *h, const struct kept *k)
{
    struct sightings_extra *x = extra_of(h, k);
    int32_t port = kept_port(k);

    if (!x) {
        return; /* 64 reasons for one host: nobody reads that */
    }
    if (port < 0) {
        x->count += k->count;
        return;
    }
    x->count++;
    if (x->begin < 0 || port != x->last + 1) {
        end_range(x);
        x->begin = port;
    }
    x->last = port;
}

static void extra_state(struct json *j, struct sightings_host *h, enum sighting_state state)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < h->n_extras; i++) {
        count += h->extras[i].state == state ? h->extras[i].count : 0;
    }
    if (!count) {
        return;
    }
    json_obj(j);
    json_str(j, "state", state == FINDING_CLOSED ? "closed" : "filtered");
    json_int(j, "count", (int64_t)count);
    json_arr_in(j, "reasons");
    for (unsigned i = 0; i < h->n_extras; i++) {
        struct sightings_extra *x = &h->extras[i];

        if (x->state == state) {
            end_range(x);
            json_obj(j);
            if (h->reasons[x->reason][0]) {
                json_str(j, "reason", h->reasons[x->reason]);
            }
            json_int(j, "count", (int64_t)x->count);
            if (x->has_port) {
                json_str(j, "proto", proto_names[x->proto]);
                json_str(j, "ports", x->ports.data);
            }
            json_end(j);
        }
    }
    json_end(j);
    json_end(j);
}

/* In the shape that nmap gives them. */
static void tell_extras(struct sightings_host *h)
{
    struct json j;

    if (!h->n_extras) {
        return;
    }
    buf_reset(&h->extra);
    j = json_to(&h->extra);
    json_arr(&j);
    extra_state(&j, h, FINDING_CLOSED);
    extra_state(&j, h, FINDING_FILTERED);
    json_end(&j);
    h->host.extraports = h->extra.data;
}

/* --- the host --- */

/* How much a sighting tells about the host itself: the best one gives its state and reason. */
static unsigned weight(const struct kept *k)
{
    switch (kept_state(k)) {
    case FINDING_UP:
        return 6;
    case FINDING_OPEN:
        return 5;
    case FINDING_UNFILTERED:
        return 4;
    case FINDING_CLOSED:
        return 3;
    case FINDING_BANNER:
        return 2;
    default:
        return k->answered ? 3 : 1;
    }
}

static void tell_state(struct sightings_host *h, const struct kept *best)
{
    struct host *host = &h->host;

    host->state = weight(best) > 1 ? "up" : "unknown";
    host->reason = reason(h, best);
    host->reason_ttl = best->ttl;
    if (kept_state(best) == FINDING_BANNER) {
        host->reason = "response";
    } else if (kept_state(best) == FINDING_UP && (!host->reason || str_eq(host->reason, "none"))) {
        /* masscan's word, which knows no other for these */
        host->reason = kept_proto(best) == PROTO_ARP ? "arp-response" : "echo-reply";
    }
}

static void begin(struct sightings_host *h, const struct kept *k)
{
    struct port *ports = h->host.ports;

    h->host = (struct host){.ports = ports, .addrs = &h->addr, .n_addrs = 1};
    h->n_extras = 0;
    if (arena_used(h->arena)) {
        arena_reset(h->arena);
    }
    address(h, k);
}

int sightings_host_emit(struct sightings_host *h, const struct kept *k, size_t n, const char *texts,
                        const struct parse_sink *sink, struct err *e)
{
    const struct kept *end = k + n;
    const struct kept *best = k;
    const struct kept *listed = NULL; /* whose port was the last */
    struct port *p = NULL;

    begin(h, k);
    while (k < end) {
        bool again = listed && listed->key >> KEY_STATE == k->key >> KEY_STATE;
        enum sighting_state state = kept_state(k);

        times(&h->host, k);
        best = weight(k) > weight(best) ? k : best;
        if (state == FINDING_OPEN || state == FINDING_UNFILTERED || state == FINDING_BANNER) {
            if (!again) {
                p = add_port(h, k);
                p->state = state == FINDING_UNFILTERED ? "unfiltered" : "open";
                p->reason = state == FINDING_BANNER ? "response" : reason(h, k);
                listed = k;
            }
        } else if (!again && (state == FINDING_CLOSED || state == FINDING_FILTERED)) {
            add_extra(h, k);
        }
        if (state == FINDING_BANNER) {
            k = banners(h, p, k, end, texts);
        } else {
            k++;
        }
    }
    tell_state(h, best);
    tell_extras(h);
    return sink->host ? sink->host(sink->arg, &h->host, e) : 0;
}
