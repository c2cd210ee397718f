/*
 * Ports: scans list tens of millions of them, so this is where time goes. Common members are copied
 * into the arena of the host, or shared with the port before; nothing is allocated for each.
 */
#include <string.h>

#include "parse/nmap.h"

/* Neighbouring ports mostly say the same: then they share the string. */
static const char *keep_or_share(struct nmap *p, const char *neighbour, const char *s)
{
    return neighbour && strcmp(neighbour, s) == 0 ? neighbour : nmap_keep(p, s);
}

static void extraports_start(struct nmap *p, const char **atts)
{
    nmap_comma(&p->extraports);
    nmap_object(&p->extraports, atts, "reasons");
    nmap_comma(&p->extraports);
    buf_adds(&p->extraports, "\"reasons\":[");
}

static void extrareasons_start(struct nmap *p, const char **atts)
{
    nmap_comma(&p->extraports);
    nmap_object(&p->extraports, atts, NULL);
    buf_addc(&p->extraports, '}');
}

static void extraports_end(struct nmap *p)
{
    buf_adds(&p->extraports, "]}");
}

/* The one before the open port, to share strings with. */
static const struct port *neighbour(const struct nmap *p)
{
    static const struct port none;

    return p->host.n_ports > 1 ? &p->host.ports[p->host.n_ports - 2] : &none;
}

static void port_start(struct nmap *p, const char **atts)
{
    const char *number = nmap_att(atts, "portid");
    const char *protocol = nmap_att(atts, "protocol");
    int64_t v;

    if (!number || !nmap_number(number, &v) || v > UINT16_MAX) {
        nmap_fail(p, ERR_TOOL, "a port has the number '%.20s'", number ? number : "");
        return;
    }
    p->port = host_add_port(&p->host);
    p->port->number = (uint16_t)v;
    if (protocol) {
        p->port->protocol = keep_or_share(p, neighbour(p)->protocol, protocol);
    }
    buf_reset(&p->port_scripts);
}

static void port_end(struct nmap *p)
{
    p->port->scripts = nmap_keep_list(p, &p->port_scripts);
    p->port = NULL;
}

static void state_start(struct nmap *p, const char **atts)
{
    struct port *port = p->port;
    const struct port *other = neighbour(p);

    for (; *atts; atts += 2) {
        if (strcmp(atts[0], "state") == 0) {
            port->state = keep_or_share(p, other->state, atts[1]);
        } else if (strcmp(atts[0], "reason") == 0) {
            port->reason = keep_or_share(p, other->reason, atts[1]);
        } else if (strcmp(atts[0], "reason_ttl") == 0) {
            port->reason_ttl = nmap_small(atts[1], INT32_MAX);
        } else if (strcmp(atts[0], "reason_ip") == 0) {
            port->reason_ip = keep_or_share(p, other->reason_ip, atts[1]);
        }
    }
}

static void owner_start(struct nmap *p, const char **atts)
{
    const char *name = nmap_att(atts, "name");

    p->port->owner = name ? nmap_keep(p, name) : p->port->owner;
}

/* Where an attribute of a service is kept; NULL: in `more`. */
static const char **service_member(struct port *port, const char *name)
{
    switch (*name) {
    case 'n':
        return strcmp(name, "name") == 0 ? &port->service : NULL;
    case 'p':
        return strcmp(name, "product") == 0 ? &port->product : NULL;
    case 'v':
        return strcmp(name, "version") == 0 ? &port->version : NULL;
    case 'e':
        return strcmp(name, "extrainfo") == 0 ? &port->extrainfo : NULL;
    case 't':
        return strcmp(name, "tunnel") == 0 ? &port->tunnel : NULL;
    case 'm':
        return strcmp(name, "method") == 0 ? &port->method : NULL;
    case 'h':
        return strcmp(name, "hostname") == 0 ? &port->hostname : NULL;
    case 'o':
        return strcmp(name, "ostype") == 0 ? &port->ostype : NULL;
    case 'd':
        return strcmp(name, "devicetype") == 0 ? &port->devicetype : NULL;
    default:
        return NULL;
    }
}

static void service_start(struct nmap *p, const char **atts)
{
    struct port *port = p->port;
    const struct port *other = neighbour(p);
    struct buf *b = &p->scratch;

    if (port->has_service) {
        p->cpe_ignored = true;
        return;
    }
    p->cpe_ignored = false;
    port->has_service = true;
    buf_reset(b);
    buf_reset(&p->cpe);
    for (; *atts; atts += 2) {
        const char **member = service_member(port, atts[0]);

        if (member == &port->method) {
            port->method = keep_or_share(p, other->method, atts[1]);
        } else if (member) {
            *member = nmap_keep(p, atts[1]);
        } else if (strcmp(atts[0], "conf") == 0) {
            port->conf = nmap_small(atts[1], 10);
        } else {
            if (!b->len) {
                buf_addc(b, '{');
            }
            nmap_member(b, atts[0], atts[1]);
        }
    }
    if (b->len) {
        buf_addc(b, '}');
        port->more = arena_strn(p->host.arena, b->data, b->len);
    }
}

static void service_end(struct nmap *p)
{
    if (!p->cpe_ignored) {
        p->port->cpe = nmap_keep_list(p, &p->cpe);
    }
}

static void cpe_start(struct nmap *p, const char **atts)
{
    (void)atts;
    nmap_text_begin(p);
}

static void cpe_end(struct nmap *p)
{
    struct buf *b = &p->cpe;

    nmap_text_end(p);
    if (nmap_parent(p) == E_OSCLASS) {
        b = nmap_osclass_list(p, p->stack[p->depth - 3]->id);
    } else if (p->cpe_ignored) {
        return;
    }
    nmap_comma(b);
    buf_add_json_string(b, p->text.data, p->text.len);
}

const struct nmap_element nmap_port_elements[] = {
    {"extraports", E_EXTRAPORTS, IN(E_PORTS), extraports_start, extraports_end},
    {"extrareasons", E_LEAF, IN(E_EXTRAPORTS), extrareasons_start, NULL},
    {"port", E_PORT, IN(E_PORTS), port_start, port_end},
    {"state", E_LEAF, IN(E_PORT), state_start, NULL},
    {"owner", E_LEAF, IN(E_PORT), owner_start, NULL},
    {"service", E_SERVICE, IN(E_PORT), service_start, service_end},
    {"cpe", E_LEAF, IN(E_SERVICE) | IN(E_OSCLASS), cpe_start, cpe_end},
    {0},
};
