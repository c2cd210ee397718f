#include "cli/host_view.h"

#include <inttypes.h>
#include <string.h>

#include "cli/view.h"

/* The first of the names that is there. */
static const char *either(const json_t *o, const char *a, const char *b)
{
    const char *s = json_text(o, a);

    return *s ? s : json_text(o, b);
}

/* The address that a person would use: IPv4, else IPv6, else whatever is there. */
static const char *best_address(const json_t *host)
{
    const json_t *list = json_object_get(host, "addresses");
    const char *best = either(host, "address", "host");
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        const char *addr =
            json_is_string(one) ? json_string_value(one) : either(one, "addr", "address");

        if (!*best) {
            best = addr;
        }
    }
    return best;
}

static const char *first_name(const json_t *host)
{
    const json_t *one = json_array_get(json_object_get(host, "hostnames"), 0);

    if (!one) {
        one = json_array_get(json_object_get(host, "names"), 0);
    }
    return json_is_string(one) ? json_string_value(one) : json_text(one, "name");
}

void host_view_read(const json_t *host, struct host_view *h)
{
    const json_t *ports = json_object_get(host, "ports");

    *h = (struct host_view){
        .address = best_address(host),
        .name = first_name(host),
        .state = json_text(host, "state"),
        .reason = json_text(host, "reason"),
        .timed_out = json_is_true(json_object_get(host, "timed_out")),
        .n_ports = json_array_size(ports),
        .ports = ports,
        .scripts = json_object_get(host, "scripts"),
        .hidden = json_object_get(host, "extraports"),
    };
}

void host_view_port(const struct host_view *h, size_t i, struct port_view *p)
{
    const json_t *o = json_array_get(h->ports, i);
    const json_t *s = json_object_get(o, "service");
    const json_t *number = json_object_get(o, "port");
    const json_t *detail = json_is_object(s) ? s : o;

    if (!number) {
        number = json_object_get(o, "number");
    }
    *p = (struct port_view){
        .number = json_integer_value(number),
        .protocol = json_text(o, "protocol"),
        .state = json_text(o, "state"),
        .reason = json_text(o, "reason"),
        .service = json_is_object(s) ? json_text(s, "name") : json_text(o, "service"),
        .product = json_text(detail, "product"),
        .version = json_text(detail, "version"),
        .extrainfo = json_text(detail, "extrainfo"),
        .cpe = json_object_get(detail, "cpe"),
        .scripts = json_object_get(o, "scripts"),
    };
}

void port_view_version(const struct port_view *p, struct buf *out)
{
    buf_adds(out, p->product);
    if (*p->version) {
        buf_addf(out, "%s%s", out->len ? " " : "", p->version);
    }
    if (*p->extrainfo) {
        buf_addf(out, "%s(%s)", out->len ? " " : "", p->extrainfo);
    }
}

void port_view_cpe(const struct port_view *p, struct buf *out)
{
    const json_t *one;
    size_t i;

    json_array_foreach(p->cpe, i, one)
    {
        if (json_is_string(one)) {
            buf_addf(out, "%s%s", out->len ? " " : "", json_string_value(one));
        }
    }
}

int64_t host_view_hidden(const struct host_view *h, struct buf *out)
{
    int64_t total = 0;
    const json_t *one;
    size_t i;

    json_array_foreach(h->hidden, i, one)
    {
        int64_t n = json_integer_value(json_object_get(one, "count"));

        total += n;
        if (out) {
            buf_addf(out, "%s%" PRId64 " %s", out->len ? ", " : "", n, json_text(one, "state"));
        }
    }
    if (out && total) {
        buf_adds(out, " ports");
    }
    return total;
}
