#include "proxy/allow.h"

#include <string.h>

#include "base/mem.h"
#include "model/target.h"
#include "policy/hard.h"
#include "proxy/proxy.h"

enum { WITHIN_MAX = 16, PLACE_MAX = 300 /* bytes: a name of 253 and a port */ };

/* ---- places ---- */

void place_done(struct proxy_place *p)
{
    free(p->name);
    p->name = NULL;
}

/* "443", "[::1]" and "example.org" of the text; it is cut. */
static bool cut_port(char *text, uint16_t *port)
{
    char *colon = strrchr(text, ':');
    uint64_t v;

    if (!colon || colon[1] == '0' || !str_to_u64(colon + 1, 1, UINT16_MAX, &v)) {
        return false;
    }
    *colon = '\0';
    *port = (uint16_t)v;
    return true;
}

bool place_parse(const char *text, struct proxy_place *out, const char **why)
{
    size_t n = strlen(text);
    auto_free char *host = xstrndup(text, PLACE_MAX);
    struct proxy_place p = {.name = NULL};

    if (n > PLACE_MAX || !cut_port(host, &p.port)) {
        *why = "it does not end with ':' and a port from 1 to 65535";
        return false;
    }
    n = strlen(host);
    if (host[0] == '[') {
        if (host[n - 1] != ']' || (host[n - 1] = '\0', !net_ip_parse(host + 1, &p.ip)) ||
            !p.ip.v6) {
            *why = "there is no IPv6 address between the brackets";
            return false;
        }
    } else if (strchr(host, ':')) {
        *why = "an IPv6 address needs brackets";
        return false;
    } else if (!net_ip_parse(host, &p.ip) && !target_name(host, &p.name, why)) {
        return false;
    }
    *out = p;
    return true;
}

static bool place_equal(const struct proxy_place *a, const struct proxy_place *b)
{
    if (a->port != b->port || !a->name != !b->name) {
        return false;
    }
    return a->name ? strcmp(a->name, b->name) == 0 : net_ip_cmp(&a->ip, &b->ip) == 0;
}

/* ---- lists ---- */

void allow_done(struct allow_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        place_done(&l->v[i].place);
        free(l->v[i].within);
    }
    free(l->v);
    *l = (struct allow_list){0};
}

static bool parse_within(char *list, struct allow_entry *en, const char **why)
{
    en->within = xcalloc(WITHIN_MAX, sizeof *en->within);
    for (char *part; (part = strsep(&list, ","));) {
        if (en->n_within == WITHIN_MAX) {
            *why = "it has more than 16 ranges";
            return false;
        }
        if (!net_range_parse(part, false, &en->within[en->n_within++])) {
            *why = "what follows '=' is not a list of addresses, prefixes and ranges";
            return false;
        }
    }
    return true;
}

static bool parse_entry(const char *text, struct allow_entry *en, const char **why)
{
    auto_free char *copy = xstrdup(text);
    char *ranges = copy;

    return place_parse(strsep(&ranges, "="), &en->place, why) &&
           (!ranges || parse_within(ranges, en, why));
}

int allow_parse(const struct strvec *entries, struct allow_list *out, struct err *e)
{
    struct allow_list l = {.v = xcalloc(entries->n + 1, sizeof *l.v)};
    const char *why;

    if (entries->n > PROXY_ENTRIES_MAX) {
        allow_done(&l);
        return err_set(e, ERR_LIMIT, "the proxy's list has more than %d entries",
                       PROXY_ENTRIES_MAX);
    }
    for (; l.n < entries->n; l.n++) {
        if (!parse_entry(entries->v[l.n], &l.v[l.n], &why)) {
            err_set(e, ERR_INVALID, "proxy entry '%.100s': %s", entries->v[l.n], why);
            l.n++; /* as far as it came */
            allow_done(&l);
            return ERR_INVALID;
        }
    }
    *out = l;
    return 0;
}

int proxy_allow_check(const struct strvec *allow, struct err *e)
{
    struct allow_list l = {0};
    int rc = allow_parse(allow, &l, e);

    allow_done(&l);
    return rc;
}

const struct allow_entry *allow_find(const struct allow_list *l, const struct proxy_place *to)
{
    for (size_t i = 0; i < l->n; i++) {
        if (place_equal(&l->v[i].place, to)) {
            return &l->v[i];
        }
    }
    return NULL;
}

/* ---- addresses ---- */

#define V4(a, b, c, d, len)                                                                    \
    {                                                                                          \
        .first.lo = (uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d),                          \
        .last.lo = ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d)) | (UINT32_MAX >> (len)), \
    }
#define V6(hi1, hi2)                                                                             \
    {                                                                                            \
        .first = {.v6 = true, .hi = (hi1)}, .last = {.v6 = true, .hi = (hi2), .lo = UINT64_MAX } \
    }

/* Nothing of the Internet is there: what is private, and what registries set aside (IANA special
 * purpose addresses). What is hard denied is not repeated. */
static const struct net_range not_global[] = {
    V4(10, 0, 0, 0, 8),
    V4(100, 64, 0, 0, 10),
    V4(172, 16, 0, 0, 12),
    V4(192, 0, 0, 0, 24),
    V4(192, 0, 2, 0, 24),
    V4(192, 88, 99, 0, 24),
    V4(192, 168, 0, 0, 16),
    V4(198, 18, 0, 0, 15), /* boxes of other scans, too */
    V4(198, 51, 100, 0, 24),
    V4(203, 0, 113, 0, 24),
    V6(0, 0x1fffffffffffffff), /* but 2000::/3 nothing is */
    V6(0x2001000000000000, 0x200101ffffffffff),
    V6(0x20010db800000000, 0x20010db8ffffffff),
    V6(0x3fff000000000000, 0x3fff0fffffffffff),
    V6(0x4000000000000000, UINT64_MAX),
};

static bool is_global(const struct net_ip *ip)
{
    for (size_t i = 0; i < ARRAY_LEN(not_global); i++) {
        if (net_range_has(&not_global[i], ip)) {
            return false;
        }
    }
    return true;
}

const char *allow_refuses(const struct allow_entry *en, const struct net_ip *ip,
                          const struct netset *own)
{
    const struct hard_row *h = hard_row_of(ip);
    bool is_own = !h && netset_has(own, ip);

    for (size_t i = 0; i < en->n_within; i++) {
        const struct net_range *w = &en->within[i];

        if (net_range_has(w, ip) && hard_lifted(w, ip) &&
            (!is_own || netset_covers(own, w, NULL))) {
            return NULL;
        }
    }
    if (h) {
        return h->why;
    }
    if (is_own) {
        return "the machine's own address";
    }
    if (en->n_within) {
        return "outside the ranges of its entry";
    }
    return is_global(ip) ? NULL : "a private or reserved address";
}
