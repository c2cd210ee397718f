/*
 * Nothing that some other program could read in another way is a target: octal and hexadecimal
 * numbers, short forms of inet_aton(), zone ids. What was read is kept as ranges and names only,
 * and is written from those, so that no spelling of a client ever reaches a tool or a resolver.
 */
#include "model/target.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/mem.h"

enum {
    OCTETS = 4,
    SHOWN_MAX = 80, /* bytes of a token in a message */
    NAME_MAX_LEN = 253,
    LABEL_MAX = 63,
    RANGES_MAX = 65536, /* of one octet list: 10.0.0-255.1,3,5 and so on */
    NAMES_MAX = 4096,
    ADDRESSES_OF_NAME_MAX = 64,
};

/* Ranges in the order in which they were written. */
struct ranges {
    struct net_range *v; /* owned */
    size_t n, size;
};

static void ranges_done(struct ranges *r)
{
    free(r->v);
}

#define auto_ranges __attribute__((cleanup(ranges_done))) struct ranges

static void ranges_push(struct ranges *r, const struct net_range *one)
{
    if (r->n == r->size) {
        r->size = r->size ? 2 * r->size : 16;
        r->v = xrealloc(r->v, r->size * sizeof *r->v);
    }
    r->v[r->n++] = *one;
}

static int invalid(const char *token, const char *why, struct err *e)
{
    auto_buf shown = {0};
    size_t n = strlen(token);

    buf_add_escaped(&shown, token, MIN(n, (size_t)SHOWN_MAX));
    return err_set(e, ERR_INVALID, "invalid target: '%s%s': %s", shown.len ? shown.data : "",
                   n > SHOWN_MAX ? "..." : "", why);
}

void target_set_done(struct target_set *t)
{
    for (size_t i = 0; i < t->n_pins; i++) {
        free(t->pins[i].name);
        free(t->pins[i].ip);
    }
    free(t->pins);
    netset_done(&t->addresses);
    netset_done(&t->excluded);
    *t = (struct target_set){0};
}

/* ---- octet lists: "10.0.0-5.1,3-254" ---- */

struct octet_list {
    struct {
        uint8_t low, high;
    } part[128]; /* sorted, disjoint, not touching */
    unsigned n;
};

/* A decimal number up to 255 without leading zeros. */
static bool octet_number(const char **at, unsigned *out)
{
    const char *s = *at;
    unsigned v = 0;
    size_t n = 0;

    for (; s[n] >= '0' && s[n] <= '9' && n < 4; n++) {
        v = v * 10 + (unsigned)(s[n] - '0');
    }
    if (n == 0 || n > 3 || v > 255 || (n > 1 && s[0] == '0')) {
        return false;
    }
    *at = s + n;
    *out = v;
    return true;
}

/* Into `seen`, up to the next '.' or the end. Returns why not, or NULL. */
static const char *octet_marks(const char **at, bool seen[256])
{
    const char *s = *at;
    unsigned low, high;

    if (*s == '*') {
        memset(seen, true, 256);
        *at = s + 1;
        return NULL;
    }
    for (;; s++) {
        if (!octet_number(&s, &low)) {
            return "octets are decimal numbers from 0 to 255 without leading zeros";
        }
        high = low;
        if (*s == '-') {
            s++;
            if (!octet_number(&s, &high)) {
                return "a range of octets needs both ends, as in 1-254";
            }
        }
        if (low > high) {
            return "a range of octets goes upwards";
        }
        memset(seen + low, true, high - low + 1);
        if (*s != ',') {
            break;
        }
    }
    *at = s;
    return NULL;
}

static const char *octet_read(const char **at, struct octet_list *out)
{
    bool seen[257] = {false};
    const char *why = octet_marks(at, seen);

    out->n = 0;
    for (unsigned i = 0; i < 256 && !why; i++) {
        if (seen[i] && (i == 0 || !seen[i - 1])) {
            out->part[out->n].low = (uint8_t)i;
        }
        if (seen[i] && !seen[i + 1]) {
            out->part[out->n++].high = (uint8_t)i;
        }
    }
    return why;
}

static bool octet_full(const struct octet_list *o)
{
    return o->n == 1 && o->part[0].low == 0 && o->part[0].high == 255;
}

static size_t octet_count(const struct octet_list *o)
{
    size_t n = 0;

    for (unsigned i = 0; i < o->n; i++) {
        n += (size_t)o->part[i].high - o->part[i].low + 1u;
    }
    return n;
}

/* Octets behind `last` are full: all values before it, the parts of it as ranges. */
static void octets_expand(const struct octet_list o[OCTETS], unsigned at, unsigned last,
                          uint32_t prefix, struct ranges *out)
{
    unsigned shift = 8 * (OCTETS - 1 - at);

    for (unsigned i = 0; i < o[at].n; i++) {
        uint32_t low = o[at].part[i].low, high = o[at].part[i].high;

        if (at == last) {
            struct net_range r = {
                .first.lo = prefix | low << shift,
                .last.lo = prefix | high << shift | ((UINT32_C(1) << shift) - 1),
            };

            ranges_push(out, &r);
            continue;
        }
        for (uint32_t v = low; v <= high; v++) {
            octets_expand(o, at + 1, last, prefix | v << shift, out);
        }
    }
}

static int octets_add(const char *token, struct ranges *out, struct err *e)
{
    struct octet_list o[OCTETS];
    const char *at = token;
    unsigned last = OCTETS - 1;
    size_t n;

    for (unsigned i = 0; i < OCTETS; i++) {
        const char *why = octet_read(&at, &o[i]);

        if (why) {
            return invalid(token, why, e);
        }
        if (*at != (i + 1 < OCTETS ? '.' : '\0')) {
            return invalid(token, "an IPv4 address has four octets with dots between them", e);
        }
        at++;
    }
    while (last > 0 && octet_full(&o[last])) {
        last--;
    }
    n = o[last].n;
    for (unsigned i = 0; i < last; i++) {
        n *= octet_count(&o[i]); /* at most 2^24 * 128 */
    }
    if (n > RANGES_MAX) {
        return invalid(token, "it falls into more than 65536 ranges; write prefixes", e);
    }
    octets_expand(o, 0, last, 0, out);
    return 0;
}

/* ---- addresses ---- */

/* Digits and what stands between octets: no name can look so. */
static bool like_ipv4(const char *s)
{
    return s[strspn(s, "0123456789.,-*")] == '\0';
}

static int ipv4_add(const char *token, struct ranges *out, struct err *e)
{
    const char *dash = strchr(token, '-');
    struct net_range r;

    if (net_ip_parse(token, &r.first)) { /* most targets are one address */
        r.last = r.first;
        ranges_push(out, &r);
        return 0;
    }
    if (dash && memchr(token, ',', strlen(token)) == NULL) {
        auto_free char *first = xstrndup(token, (size_t)(dash - token));
        struct net_ip ip;

        /* a.b.c.d-e.f.g.h; "1.2.3.4-5" is an octet list. */
        if (net_ip_parse(first, &ip) && strchr(dash, '.')) {
            if (!net_range_parse(token, false, &r)) {
                return invalid(token, "a range is two IPv4 addresses, the lower one first", e);
            }
            ranges_push(out, &r);
            return 0;
        }
    }
    return octets_add(token, out, e);
}

static int prefix_add(const char *token, struct ranges *out, struct err *e)
{
    const char *slash = strchr(token, '/');
    auto_free char *text = xstrndup(token, (size_t)(slash - token));
    struct net_range r;
    struct net_ip ip;

    if (net_range_parse(token, true, &r)) {
        ranges_push(out, &r);
        return 0;
    }
    if (net_ip_parse(text, &ip)) {
        return invalid(token,
                       ip.v6 ? "the length of an IPv6 prefix is from 0 to 128"
                             : "the length of an IPv4 prefix is from 0 to 32",
                       e);
    }
    return invalid(token, "only a single IP address can have a prefix length", e);
}

static int ipv6_add(const char *token, struct ranges *out, struct err *e)
{
    size_t n = strcspn(token, "/");
    auto_free char *text = xstrndup(token, n);
    struct net_range r;
    struct net_ip ip;

    if (strchr(token, '%')) {
        return invalid(token, "zone ids are not accepted", e);
    }
    if (inet_pton(AF_INET6, text, &(struct in6_addr){0}) == 1 && !net_ip_parse(text, &ip)) {
        return invalid(token, "an IPv4-mapped address; write it as an IPv4 address", e);
    }
    if (token[n] == '/') {
        return prefix_add(token, out, e);
    }
    if (strchr(token, '-')) {
        return invalid(token, "IPv6 ranges are written as prefixes", e);
    }
    if (!net_range_parse(token, false, &r)) {
        return invalid(token, "not an IPv6 address", e);
    }
    ranges_push(out, &r);
    return 0;
}

/* ---- names ---- */

static bool alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* A label that inet_aton() and browsers take for a number: digits, or 0x and hexadecimal ones. */
static bool numeric(const char *label, size_t n)
{
    size_t i = 0;

    if (n >= 2 && label[0] == '0' && label[1] == 'x') {
        for (i = 2; i < n && strchr("0123456789abcdef", label[i]); i++) {
        }
        return i == n;
    }
    for (; i < n && label[i] >= '0' && label[i] <= '9'; i++) {
    }
    return i == n;
}

/* Why the lower-case name is none, or NULL. */
static const char *name_wrong(const char *s)
{
    size_t n = 0;

    if (strlen(s) > NAME_MAX_LEN) {
        return "a host name has at most 253 characters";
    }
    for (;; s += n + 1) {
        n = strcspn(s, ".");
        if (n == 0 || n > LABEL_MAX) {
            return "labels of a host name have 1 to 63 characters";
        }
        for (size_t i = 0; i < n; i++) {
            if (!alnum(s[i]) && s[i] != '-') {
                return "host names have letters, digits, '-' and '.' only";
            }
        }
        if (s[0] == '-' || s[n - 1] == '-') {
            return "labels of a host name do not begin or end with '-'";
        }
        if (!s[n]) {
            return numeric(s, n) ? "a number, not a host name; write an IPv4 address as four "
                                   "decimal octets"
                                 : NULL;
        }
    }
}

bool target_name(const char *token, char **out, const char **why)
{
    size_t n = strlen(token);
    auto_free char *name = xstrndup(token, n > 1 && token[n - 1] == '.' ? n - 1 : n);

    for (char *p = name; *p; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    }
    *why = name_wrong(name);
    if (*why) {
        return false;
    }
    *out = take_ptr(&name);
    return true;
}

static struct target_pin *pin_of(const struct target_set *t, const char *name)
{
    for (size_t i = 0; i < t->n_pins; i++) {
        if (strcmp(t->pins[i].name, name) == 0) {
            return &t->pins[i];
        }
    }
    return NULL;
}

static int name_add(struct target_set *t, const char *token, struct err *e)
{
    auto_free char *name = NULL;
    const char *why;

    if (!target_name(token, &name, &why)) {
        return invalid(token, why, e);
    }
    if (pin_of(t, name)) {
        return 0;
    }
    if (t->n_pins == NAMES_MAX) {
        return err_set(e, ERR_INVALID, "more than %d host names in one scan", NAMES_MAX);
    }
    t->pins = xrealloc(t->pins, (t->n_pins + 1) * sizeof *t->pins);
    t->pins[t->n_pins++] = (struct target_pin){.name = take_ptr(&name)};
    return 0;
}

/* ---- sets ---- */

static int token_read(struct target_set *t, const char *token, struct ranges *out, struct err *e)
{
    if (!*token) {
        return invalid(token, "it is empty", e);
    }
    if (token[0] == '-') {
        return invalid(token, "targets do not begin with '-'", e);
    }
    if (strchr(token, ':')) {
        return ipv6_add(token, out, e);
    }
    if (strchr(token, '/')) {
        return prefix_add(token, out, e);
    }
    if (like_ipv4(token)) {
        return ipv4_add(token, out, e);
    }
    return name_add(t, token, e);
}

int target_add(struct target_set *t, const char *token, struct err *e)
{
    auto_ranges found = {0};
    int rc = token_read(t, token, &found, e);

    if (rc == 0) {
        netset_add_many(&t->addresses, found.v, found.n);
    }
    return rc;
}

/* Tokens with '!' go into a set of their own. */
struct reading {
    struct target_set in, out;
    struct ranges in_ranges, out_ranges;
};

static void reading_done(struct reading *r)
{
    target_set_done(&r->in);
    target_set_done(&r->out);
    ranges_done(&r->in_ranges);
    ranges_done(&r->out_ranges);
}

static int read_token(struct reading *r, const char *token, struct err *e)
{
    bool taken = token[0] == '!';
    struct ranges *found = taken ? &r->out_ranges : &r->in_ranges;
    int rc = token_read(taken ? &r->out : &r->in, token + taken, found, e);

    if (rc == 0 && found->n > 2 * RANGES_MAX) {
        return err_set(e, ERR_INVALID,
                       "the targets fall into more than %d ranges; write "
                       "prefixes, or submit several scans",
                       2 * RANGES_MAX);
    }
    return rc;
}

/* A name that is not there may be meant as an address: leaving it in would scan it. */
static int remove_name(struct target_set *t, const char *name, struct err *e)
{
    struct target_pin *p = pin_of(t, name);

    if (!p) {
        auto_free char *token = str_fmt("!%s", name);

        return invalid(token, "no target has that name; exclude its address", e);
    }
    free(p->name);
    free(p->ip);
    t->n_pins--;
    memmove(p, p + 1, (size_t)(t->pins + t->n_pins - p) * sizeof *p);
    return 0;
}

static int exclude(struct reading *r, struct err *e)
{
    struct target_set *t = &r->in;
    bool any = r->out_ranges.n || r->out.n_pins;
    int rc = 0;

    if (any && !r->in_ranges.n && !t->n_pins) {
        return err_set(e, ERR_INVALID, "targets must not be empty: there are only exclusions");
    }
    for (size_t i = 0; i < r->out.n_pins && rc == 0; i++) {
        rc = remove_name(t, r->out.pins[i].name, e);
    }
    if (rc < 0) {
        return rc;
    }
    if (r->out.n_pins && r->in_ranges.n) { /* which may hold its address, and would scan it */
        auto_free char *token = str_fmt("!%s", r->out.pins[0].name);

        return invalid(token, "its address may be among the other targets; exclude its address", e);
    }
    netset_add_many(&t->addresses, r->in_ranges.v, r->in_ranges.n);
    netset_add_many(&t->excluded, r->out_ranges.v, r->out_ranges.n);
    netset_remove_set(&t->addresses, &t->excluded);
    if (any && !t->addresses.n && !t->n_pins) {
        return err_set(e, ERR_INVALID,
                       "targets: all of them are excluded, nothing is left to scan");
    }
    return 0;
}

int target_set_parse(const struct strvec *tokens, struct target_set *out, struct err *e)
{
    __attribute__((cleanup(reading_done))) struct reading r = {0};
    int rc = 0;

    if (tokens->n == 0) {
        return err_set(e, ERR_INVALID, "targets must not be empty");
    }
    for (size_t i = 0; i < tokens->n && rc == 0; i++) {
        rc = read_token(&r, tokens->v[i], e);
    }
    if (rc == 0) {
        rc = exclude(&r, e);
    }
    if (rc < 0) {
        return rc;
    }
    *out = r.in;
    r.in = (struct target_set){0};
    return 0;
}

/* One line of n bytes, without what ends it. */
static int list_line(const char *s, size_t n, struct strvec *tokens, struct err *e)
{
    const char *comment = memchr(s, '#', n);
    const char *end = comment ? comment : s + n;

    while (s < end) {
        size_t len = 0;

        while (s + len < end && !strchr(" \t\r\v\f", s[len])) { /* NUL ends a token as well */
            len++;
        }
        if (len) {
            auto_targets t = {0};
            auto_free char *token = xstrndup(s, len);
            int rc = target_add(&t, token + (token[0] == '!'), e);

            if (rc < 0) {
                return rc;
            }
            strvec_push(tokens, token);
        }
        if (s + len < end && s[len] == '\0') {
            return err_set(e, ERR_INVALID, "invalid target: a NUL byte is in the list");
        }
        s += len + 1;
    }
    return 0;
}

int target_list_read(const char *text, size_t n, struct strvec *tokens, struct err *e)
{
    size_t at = 0;

    for (unsigned line = 1; at < n; line++) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t len = end ? (size_t)(end - (text + at)) : n - at;
        int rc = list_line(text + at, len, tokens, e);

        if (rc < 0) {
            return err_prefix(e, rc, "line %u", line);
        }
        at += len + 1;
    }
    return 0;
}

bool target_pin_allowed(const struct target_set *t, const struct net_ip *ip)
{
    return !netset_has(&t->excluded, ip);
}

void target_set_all(const struct target_set *t, struct netset *out)
{
    auto_ranges found = {0};

    for (size_t i = 0; i < t->n_pins; i++) {
        for (size_t k = 0; k < t->pins[i].n; k++) {
            ranges_push(&found, &(struct net_range){t->pins[i].ip[k], t->pins[i].ip[k]});
        }
    }
    netset_done(out);
    netset_add_many(out, found.v, found.n);
    netset_remove_set(out, &t->excluded);
    netset_add_set(out, &t->addresses);
}

uint64_t target_set_count(const struct target_set *t)
{
    uint64_t n = netset_count(&t->addresses);

    return n > UINT64_MAX - t->n_pins ? UINT64_MAX : n + t->n_pins;
}

static bool has_family(const struct target_set *t, bool v6)
{
    const struct netset *s = &t->addresses;

    /* IPv4 comes first. */
    if (s->n && s->v[v6 ? s->n - 1 : 0].first.v6 == v6) {
        return true;
    }
    for (size_t i = 0; i < t->n_pins; i++) {
        for (size_t k = 0; k < t->pins[i].n; k++) {
            if (t->pins[i].ip[k].v6 == v6 && target_pin_allowed(t, &t->pins[i].ip[k])) {
                return true;
            }
        }
    }
    return false;
}

bool target_set_has_v6(const struct target_set *t)
{
    return has_family(t, true);
}

bool target_set_has_v4(const struct target_set *t)
{
    return has_family(t, false);
}

static void prefix_line(void *arg, const struct net_ip *ip, unsigned len)
{
    char text[NET_TEXT];
    struct net_range r = net_prefix(ip, len);

    net_range_text(&r, text);
    buf_adds(arg, text);
    buf_addc(arg, '\n');
}

/* The first address that may be sent to; NULL: none, or not resolved yet. */
static const struct net_ip *first_ip(const struct target_set *t, const struct target_pin *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (target_pin_allowed(t, &p->ip[i])) {
            return &p->ip[i];
        }
    }
    return NULL;
}

void target_set_lines(const struct target_set *t, bool numeric_only, struct buf *out)
{
    auto_netset written = {0};

    for (size_t i = 0; i < t->addresses.n; i++) {
        net_range_prefixes(&t->addresses.v[i], prefix_line, out);
    }
    for (size_t i = 0; i < t->n_pins; i++) {
        const struct target_pin *p = &t->pins[i];
        const struct net_ip *ip = first_ip(t, p);

        if (!numeric_only && (ip || p->n == 0)) {
            buf_adds(out, p->name);
            buf_addc(out, '\n');
        } else if (numeric_only && ip && !netset_has(&t->addresses, ip) &&
                   !netset_has(&written, ip)) {
            netset_add(&written, &(struct net_range){*ip, *ip});
            prefix_line(out, ip, ip->v6 ? 128 : 32);
        }
    }
}

void target_set_hosts(const struct target_set *t, struct buf *out)
{
    for (size_t i = 0; i < t->n_pins; i++) {
        for (size_t k = 0; k < t->pins[i].n; k++) {
            char text[NET_TEXT];

            if (target_pin_allowed(t, &t->pins[i].ip[k])) {
                net_ip_text(&t->pins[i].ip[k], text);
                buf_addf(out, "%s %s\n", text, t->pins[i].name);
            }
        }
    }
}

/* ---- pins ---- */

void pins_put(const struct target_set *t, struct buf *out)
{
    bool first = true;

    for (size_t i = 0; i < t->n_pins; i++) {
        const struct target_pin *p = &t->pins[i];

        for (size_t k = 0; k < p->n; k++) {
            char text[NET_TEXT];

            net_ip_text(&p->ip[k], text);
            if (k == 0) {
                buf_addf(out, "%s%s=%s", first ? "" : ",", p->name, text);
            } else {
                buf_addf(out, "+%s", text);
            }
            first = false;
        }
    }
}

/* "addr+addr" of n bytes into p, which has none yet. */
static bool pin_read(struct target_pin *p, const char *s, size_t n)
{
    const char *end = s + n;

    while (s <= end) {
        const char *plus = memchr(s, '+', (size_t)(end - s));
        auto_free char *text = xstrndup(s, (size_t)((plus ? plus : end) - s));
        struct net_ip ip;

        if (p->n == ADDRESSES_OF_NAME_MAX || !net_ip_parse(text, &ip)) {
            return false;
        }
        p->ip = xrealloc(p->ip, (p->n + 1) * sizeof *p->ip);
        p->ip[p->n++] = ip;
        s = plus ? plus + 1 : end + 1;
    }
    return true;
}

/* One "name=addr+addr" of n bytes. */
static int pin_apply(struct target_set *t, const char *s, size_t n, struct err *e)
{
    const char *eq = memchr(s, '=', n);
    size_t len = eq ? (size_t)(eq - s) : n;
    auto_free char *name = xstrndup(s, len);
    struct target_pin *p = pin_of(t, name);

    if (!p) {
        return err_set(e, ERR_INVALID, "a pin for '%.64s', which is not among the targets", name);
    }
    if (p->n) {
        return err_set(e, ERR_INVALID, "two pins for '%.64s'", name);
    }
    if (!eq || !pin_read(p, eq + 1, n - len - 1)) {
        return err_set(e, ERR_INVALID, "the pin for '%.64s' cannot be read", name);
    }
    return 0;
}

static void pins_clear(struct target_set *t)
{
    for (size_t i = 0; i < t->n_pins; i++) {
        free(t->pins[i].ip);
        t->pins[i].ip = NULL;
        t->pins[i].n = 0;
    }
}

int pins_apply(struct target_set *t, const char *text, struct err *e)
{
    int rc = 0;

    pins_clear(t);
    while (rc == 0 && text && *text) {
        size_t n = strcspn(text, ",");

        rc = pin_apply(t, text, n, e);
        text += n + (text[n] == ',');
    }
    for (size_t i = 0; i < t->n_pins && rc == 0; i++) {
        if (!t->pins[i].n) {
            rc = err_set(e, ERR_INVALID, "no pin for '%.64s'", t->pins[i].name);
        }
    }
    if (rc < 0) {
        pins_clear(t);
    }
    return rc;
}
