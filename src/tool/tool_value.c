/* Values of options, type by type: what is let through is written anew. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/netset.h"
#include "model/request.h"
#include "tool/tool_option.h"

enum { HEX_MAX = 2800, DECOYS_MAX = 16, NAME_BYTES = 15, PROTOCOL_MAX = 255 };

bool tool_time_value(const char *v, int64_t min, int64_t max, int64_t *ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    size_t n = strspn(v, "0123456789");
    auto_free char *number = xstrndup(v, n);

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        uint64_t count;

        if (!str_eq(v + n, units[i].unit)) {
            continue;
        }
        if (!str_to_u64(number, 0, (uint64_t)max / units[i].ms, &count) ||
            count * units[i].ms < (uint64_t)min) {
            return false;
        }
        *ms = (int64_t)(count * units[i].ms);
        return true;
    }
    return false;
}

bool tool_protocols_value(const char *ports)
{
    const char *last = strrchr(ports, ',');
    const char *dash;
    uint64_t n;

    last = last ? last + 1 : ports;
    dash = strchr(last, '-');
    return !strpbrk(ports, "TUS") && str_to_u64(dash ? dash + 1 : last, 0, PROTOCOL_MAX, &n);
}

static bool ports_value(const struct tool_option *o, const char *v, struct buf *out)
{
    if (str_eq(v, "-") && o->apart) {
        v = "1-65535"; /* nmap's own short form for all */
    }
    if (ports_parse(v, NULL) < 0) {
        return false;
    }
    auto_free char *text = ports_canonical(v);

    buf_adds(out, text);
    if (o->value == TOOL_PROTOCOLS) {
        return tool_protocols_value(text);
    }
    return !o->glued || !strpbrk(text, "TUS"); /* behind a probe letters would have no meaning */
}

static bool hex_value(const char *v, struct buf *out)
{
    size_t n = strlen(v);

    buf_adds(out, v);
    return n > 0 && n % 2 == 0 && n <= HEX_MAX && strspn(v, "0123456789abcdefABCDEF") == n;
}

static bool address_value(const char *v, struct buf *out)
{
    char text[NET_TEXT];
    struct net_ip ip;

    if (!net_ip_parse(v, &ip)) {
        return false;
    }
    net_ip_text(&ip, text);
    buf_adds(out, text);
    return true;
}

static bool decoys_value(const char *v, struct buf *out)
{
    unsigned n = 0;

    for (;; v++) {
        size_t len = strcspn(v, ",");
        auto_free char *one = xstrndup(v, len);
        bool word = str_eq(one, "ME") || str_eq(one, "RND") ||
                    (str_starts(one, "RND:") && str_to_u64(one + 4, 1, DECOYS_MAX, &(uint64_t){0}));

        buf_adds(out, out->len ? "," : "");
        if (++n > DECOYS_MAX || (!word && !address_value(one, out))) {
            return false;
        }
        buf_adds(out, word ? one : "");
        v += len;
        if (!*v) {
            return true;
        }
    }
}

static bool mac_value(const char *v, struct buf *out)
{
    buf_adds(out, v);
    if (str_eq(v, "0")) {
        return true;
    }
    for (unsigned i = 0; i < 6; i++, v += 3) {
        if (strspn(v, "0123456789abcdefABCDEF") != 2 || v[2] != (i < 5 ? ':' : '\0')) {
            return false;
        }
    }
    return true;
}

static bool name_value(const char *v, struct buf *out)
{
    static const char *const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t n = strlen(v);

    buf_adds(out, v);
    for (size_t i = 0; i < n; i++) {
        if (!strchr(letters, v[i]) && (i == 0 || !strchr("0123456789_-", v[i]))) {
            return false;
        }
    }
    return n > 0 && n <= NAME_BYTES;
}

static bool tcp_flags_value(const char *v, struct buf *out)
{
    static const char *const names[] = {"URG", "ACK", "PSH", "RST", "SYN", "FIN", "ECE", "CWR"};
    size_t i = 0;

    buf_adds(out, v);
    if (str_to_u64(v, 0, PROTOCOL_MAX, &(uint64_t){0})) {
        return true;
    }
    for (; *v; v += 3) {
        for (i = 0; i < ARRAY_LEN(names) && !str_starts(v, names[i]); i++) {
        }
        if (i == ARRAY_LEN(names)) {
            return false;
        }
    }
    return out->len > 0;
}

/* "i/n" with 1 <= i <= n. */
static bool shard_value(const struct tool_option *o, const char *v, struct buf *out)
{
    size_t len = strcspn(v, "/");
    auto_free char *first = xstrndup(v, len);
    uint64_t i, n;

    if (v[len] != '/' || !str_to_u64(v + len + 1, 1, (uint64_t)o->max, &n) ||
        !str_to_u64(first, 1, n, &i)) {
        return false;
    }
    buf_addf(out, "%" PRIu64 "/%" PRIu64, i, n);
    return true;
}

static bool choice_value(const struct tool_option *o, const char *v, struct buf *out)
{
    buf_adds(out, v);
    for (const char *at = o->choices; *v; at++) {
        size_t n = strcspn(at, "|");

        if (strlen(v) == n && strncmp(at, v, n) == 0) {
            return true;
        }
        at += n;
        if (!*at) {
            break;
        }
    }
    return false;
}

bool tool_value_read(const struct tool_option *o, bool old, const char *v, struct buf *out,
                     int64_t *number)
{
    int64_t min = old && o->old_max ? o->old_min : o->min;
    int64_t max = old && o->old_max ? o->old_max : o->max;

    switch (o->value) {
    case TOOL_FLAG:
        return false;
    case TOOL_TIME:
        buf_adds(out, v);
        return tool_time_value(v, min, max, number);
    case TOOL_COUNT:
    case TOOL_RATE:
        if (!str_to_i64(v, min, max, number) || *v == '-') {
            return false;
        }
        buf_addf(out, "%" PRId64, *number);
        return true;
    case TOOL_PORTS:
    case TOOL_PROTOCOLS:
        return ports_value(o, v, out);
    case TOOL_HEX:
        return hex_value(v, out);
    case TOOL_ADDRESS:
        return address_value(v, out);
    case TOOL_DECOYS:
        return decoys_value(v, out);
    case TOOL_MAC:
        return mac_value(v, out);
    case TOOL_NAME:
        return name_value(v, out);
    case TOOL_TCP_FLAGS:
        return tcp_flags_value(v, out);
    case TOOL_SHARD:
        return shard_value(o, v, out);
    case TOOL_CHOICE:
        return choice_value(o, v, out);
    case TOOL_SCRIPTS:
    case TOOL_SCRIPT_ARGS: /* the tool itself asks nse.h */
        buf_adds(out, v);
        return *v != '\0';
    }
    return false;
}

int tool_value_invalid(const struct tool_option *o, bool old, const char *v, struct err *e)
{
    if (!old && (o->value == TOOL_COUNT || o->value == TOOL_RATE)) {
        return err_set(e, ERR_INVALID,
                       "invalid value for '%s': '%s': a number from %" PRId64 " to %" PRId64,
                       o->name, v, o->min, o->max);
    }
    if (!old && o->value == TOOL_TIME) {
        return err_set(e, ERR_INVALID,
                       "invalid value for '%s': '%s': digits and ms, s, m or h, from %" PRId64
                       " ms to %" PRId64 " s",
                       o->name, v, o->min, o->max / 1000);
    }
    if (o->value == TOOL_SHARD) {
        return err_set(e, ERR_INVALID,
                       "invalid value for '%s': '%s': the number of a shard and of all, as 1/4; at "
                       "most %" PRId64,
                       o->name, v, o->max);
    }
    if (o->value == TOOL_CHOICE) {
        return err_set(e, ERR_INVALID, "invalid value for '%s': '%s': one of %s", o->name, v,
                       o->choices);
    }
    return err_set(e, ERR_INVALID, "invalid value for '%s': '%s'", o->name, v);
}
