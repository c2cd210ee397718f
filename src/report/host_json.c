#include "report/host_json.h"

static void put(struct json *j, const char *key, const char *s)
{
    if (s && *s) {
        json_str(j, key, s);
    }
}

static void put_json(struct json *j, const char *key, const char *text)
{
    if (text && *text) {
        json_raw(j, key, text);
    }
}

static void put_not_minus(struct json *j, const char *key, int64_t v)
{
    if (v >= 0) {
        json_int(j, key, v);
    }
}

static void put_names(struct json *j, const struct host *h)
{
    json_arr_in(j, "addresses");
    for (size_t i = 0; i < h->n_addrs; i++) {
        json_obj(j);
        json_str(j, "addr", h->addrs[i].addr);
        json_str(j, "type", h->addrs[i].type);
        put(j, "vendor", h->addrs[i].vendor);
        json_end(j);
    }
    json_end(j);
    json_arr_in(j, "hostnames");
    for (size_t i = 0; i < h->n_names; i++) {
        json_obj(j);
        json_str(j, "name", h->names[i].name);
        json_str(j, "type", h->names[i].type);
        json_end(j);
    }
    json_end(j);
}

void host_json_members(struct json *j, const struct host *h)
{
    json_str(j, "state", h->state ? h->state : "unknown");
    put(j, "reason", h->reason);
    json_bool(j, "timed_out", h->timed_out);
    put_names(j, h);
    put_not_minus(j, "reason_ttl", h->reason_ttl);
    if (h->start_s) {
        json_time(j, "started_at", h->start_s * 1000000);
    }
    if (h->end_s) {
        json_time(j, "ended_at", h->end_s * 1000000);
    }
    put(j, "comment", h->comment);
    put_json(j, "extraports", h->extraports);
    put_json(j, "os", h->os);
    put_json(j, "scripts", h->scripts);
    put_json(j, "more", h->more);
    json_arr_in(j, "ports");
}

void port_json(struct json *j, const struct port *p, const char *nameless)
{
    json_obj(j);
    json_int(j, "port", p->number);
    json_str(j, "protocol", p->protocol);
    json_str(j, "state", p->state ? p->state : "unknown");
    json_str(j, "service", p->service ? p->service : nameless);
    put(j, "reason", p->reason);
    put_not_minus(j, "reason_ttl", p->reason_ttl);
    put(j, "reason_ip", p->reason_ip);
    put(j, "owner", p->owner);
    put(j, "product", p->product);
    put(j, "version", p->version);
    put(j, "extrainfo", p->extrainfo);
    put(j, "tunnel", p->tunnel);
    put(j, "method", p->method);
    put_not_minus(j, "conf", p->conf);
    put(j, "hostname", p->hostname);
    put(j, "ostype", p->ostype);
    put(j, "devicetype", p->devicetype);
    put_json(j, "cpe", p->cpe);
    put_json(j, "scripts", p->scripts);
    put_json(j, "more", p->more);
    json_end(j);
}
