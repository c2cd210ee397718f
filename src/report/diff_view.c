/* Differences as JSON and as lines for a terminal. */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "report/diff.h"
#include "report/facts.h"

/* ---- JSON ---- */

static void put(struct json *j, const char *key, const char *s)
{
    if (s && *s) {
        json_str(j, key, s);
    }
}

static void put_port(struct json *j, const char *key, const struct port *p)
{
    if (!p) {
        json_nil(j, key);
        return;
    }
    json_obj_in(j, key);
    json_str(j, "state", p->state ? p->state : "unknown");
    put(j, "service", p->service);
    put(j, "product", p->product);
    put(j, "version", p->version);
    put(j, "extrainfo", p->extrainfo);
    put(j, "tunnel", p->tunnel);
    if (p->scripts) {
        json_raw(j, "scripts", p->scripts);
    }
    json_end(j);
}

static void put_host(struct json *j, const char *key, const struct host *h)
{
    const struct host_addr *mac;
    auto_buf os = {0};

    if (!h) {
        json_nil(j, key);
        return;
    }
    mac = facts_mac(h);
    json_obj_in(j, key);
    json_str(j, "state", h->state ? h->state : "unknown");
    json_arr_in(j, "hostnames");
    for (size_t i = 0; i < h->n_names; i++) {
        json_str(j, NULL, h->names[i].name);
    }
    json_end(j);
    put(j, "mac", mac ? mac->addr : NULL);
    if (h->os) {
        facts_os(h, &os);
        put(j, "os", os.len ? os.data : NULL);
    }
    json_end(j);
}

static const struct port *port_of(const struct diff_item *it)
{
    return it->b ? it->b : it->a;
}

void diff_item_json(const struct diff_item *it, struct buf *out)
{
    const struct port *p = port_of(it);
    struct json j = json_to(out);

    json_obj(&j);
    json_str(&j, "kind", diff_kind_name(it->kind));
    json_str(&j, "address", it->address);
    if (p) {
        json_int(&j, "port", p->number);
        json_str(&j, "protocol", p->protocol);
        put(&j, "what", it->what);
        put_port(&j, "a", it->a);
        put_port(&j, "b", it->b);
    } else {
        put(&j, "what", it->what);
        put_host(&j, "a", it->host_a);
        put_host(&j, "b", it->host_b);
    }
    json_end(&j);
}

void diff_counts_json(const struct diff_counts *c, struct buf *out)
{
    struct json j = json_to(out);

    json_obj(&j);
    for (int k = 0; k < DIFF_KINDS; k++) {
        json_int(&j, diff_kind_name((enum diff_kind)k), c->n[k]);
    }
    json_int(&j, "hosts_same", c->hosts_same);
    json_int(&j, "ports_same", c->ports_same);
    json_end(&j);
}

/* ---- text ---- */

static void add(struct buf *b, const char *s)
{
    if (s) {
        buf_add_escaped(b, s, strlen(s));
    }
}

/* "open ssh OpenSSH 8.2 (protocol 2.0)" */
static void add_port(struct buf *b, const struct port *p)
{
    auto_buf version = {0};

    if (!p) {
        buf_adds(b, "not open");
        return;
    }
    add(b, p->state ? p->state : "unknown");
    if (p->service) {
        buf_addc(b, ' ');
        if (p->tunnel) {
            add(b, p->tunnel);
            buf_addc(b, '/');
        }
        add(b, p->service);
    }
    facts_version(p, &version);
    if (version.len) {
        buf_addc(b, ' ');
        buf_add_escaped(b, version.data, version.len);
    }
}

static void add_host(struct buf *b, const struct host *h)
{
    const struct host_addr *mac;
    auto_buf os = {0};

    if (!h) {
        buf_adds(b, "not up");
        return;
    }
    mac = facts_mac(h);
    add(b, h->state ? h->state : "unknown");
    for (size_t i = 0; i < h->n_names; i++) {
        buf_adds(b, i ? ", " : " ");
        add(b, h->names[i].name);
    }
    if (mac) {
        buf_adds(b, " mac ");
        add(b, mac->addr);
    }
    if (h->os) {
        facts_os(h, &os);
        if (os.len) {
            buf_adds(b, " os ");
            buf_add_escaped(b, os.data, os.len);
        }
    }
}

static char sign(enum diff_kind k)
{
    switch (k) {
    case DIFF_HOST_NEW:
    case DIFF_OPENED:
        return '+';
    case DIFF_HOST_GONE:
    case DIFF_CLOSED:
        return '-';
    case DIFF_NOT_SCANNED_A:
    case DIFF_NOT_SCANNED_B:
        return '?';
    default:
        return '~';
    }
}

static const char *phrase(enum diff_kind k)
{
    static const char *const words[DIFF_KINDS] = {
        "new host", "host is gone", "host changed",       "opened",
        "closed",   "changed",      "not scanned before", "not scanned after",
    };

    return words[k];
}

void diff_item_text(const struct diff_item *it, struct buf *out)
{
    const struct port *p = port_of(it);

    buf_addc(out, sign(it->kind));
    buf_addc(out, ' ');
    add(out, it->address);
    if (p) {
        buf_addf(out, " %u/", p->number);
        add(out, p->protocol);
    }
    buf_addc(out, ' ');
    buf_adds(out, phrase(it->kind));
    if (it->what) {
        buf_addf(out, " (%s)", it->what);
    }
    buf_adds(out, ": ");
    if (it->kind == DIFF_NOT_SCANNED_A || it->kind == DIFF_NOT_SCANNED_B ||
        it->kind == DIFF_HOST_NEW || it->kind == DIFF_HOST_GONE) {
        bool in_b = it->kind == DIFF_NOT_SCANNED_A || it->kind == DIFF_HOST_NEW;

        if (p) {
            add_port(out, p);
        } else {
            add_host(out, in_b ? it->host_b : it->host_a);
        }
    } else if (p) {
        add_port(out, it->a);
        buf_adds(out, " -> ");
        add_port(out, it->b);
    } else {
        add_host(out, it->host_a);
        buf_adds(out, " -> ");
        add_host(out, it->host_b);
    }
    buf_addc(out, '\n');
}
