/*
 * Addresses are compared as (family, hi, lo), so one order holds for both families and a range
 * never crosses from one to the other. Nothing here adds to an address without looking whether it
 * is the last one of its family: ranges that end there are as good as any other.
 */
#include "base/netset.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* ---- addresses ---- */

/* "10.0.0.1": four decimal numbers without leading zeros, nothing else. */
static bool ip4_parse(const char *s, uint32_t *out)
{
    uint32_t ip = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned v = 0;
        size_t n = 0;

        for (; s[n] >= '0' && s[n] <= '9' && n < 4; n++) {
            v = v * 10 + (unsigned)(s[n] - '0');
        }
        if (n == 0 || n > 3 || v > 255 || (n > 1 && s[0] == '0') || s[n] != (i < 3 ? '.' : '\0')) {
            return false;
        }
        ip = ip << 8 | v;
        s += n + 1;
    }
    *out = ip;
    return true;
}

static struct net_ip ip4(uint32_t v)
{
    return (struct net_ip){.lo = v};
}

static struct net_ip ip6(const uint8_t b[16])
{
    struct net_ip ip = {.v6 = true};

    for (unsigned i = 0; i < 8; i++) {
        ip.hi = ip.hi << 8 | b[i];
        ip.lo = ip.lo << 8 | b[i + 8];
    }
    return ip;
}

static void ip6_bytes(const struct net_ip *ip, uint8_t b[16])
{
    for (unsigned i = 0; i < 8; i++) {
        b[i] = (uint8_t)(ip->hi >> (56 - 8 * i));
        b[i + 8] = (uint8_t)(ip->lo >> (56 - 8 * i));
    }
}

static bool is_mapped(const struct net_ip *ip)
{
    return ip->v6 && ip->hi == 0 && ip->lo >> 32 == 0xffff;
}

bool net_ip_parse(const char *s, struct net_ip *out)
{
    struct in6_addr a6;
    struct net_ip ip;
    uint32_t v4;

    if (ip4_parse(s, &v4)) {
        *out = ip4(v4);
        return true;
    }
    if (inet_pton(AF_INET6, s, &a6) != 1) {
        return false;
    }
    ip = ip6(a6.s6_addr);
    if (is_mapped(&ip)) {
        return false;
    }
    *out = ip;
    return true;
}

bool net_ip_from(const struct sockaddr *sa, socklen_t len, struct net_ip *out)
{
    if (len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, sa, sizeof in);
        *out = ip4(ntohl(in.sin_addr.s_addr));
        return true;
    }
    if (len >= sizeof(struct sockaddr_in6) && sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, sa, sizeof in6);
        *out = ip6(in6.sin6_addr.s6_addr);
        if (is_mapped(out)) {
            *out = ip4((uint32_t)out->lo);
        }
        return true;
    }
    return false;
}

socklen_t net_ip_to(const struct net_ip *ip, uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (ip->v6) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

        ip6_bytes(ip, in6.sin6_addr.s6_addr);
        memcpy(out, &in6, sizeof in6);
        return sizeof in6;
    }

    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

    in.sin_addr.s_addr = htonl((uint32_t)ip->lo);
    memcpy(out, &in, sizeof in);
    return sizeof in;
}

void net_ip_text(const struct net_ip *ip, char out[NET_TEXT])
{
    uint8_t b[16];

    if (!ip->v6) {
        snprintf(out, NET_TEXT, "%u.%u.%u.%u", (unsigned)(ip->lo >> 24 & 255),
                 (unsigned)(ip->lo >> 16 & 255), (unsigned)(ip->lo >> 8 & 255),
                 (unsigned)(ip->lo & 255));
        return;
    }
    ip6_bytes(ip, b);
    if (!inet_ntop(AF_INET6, b, out, NET_TEXT)) {
        out[0] = '\0'; /* cannot happen: there is room for any address */
    }
}

int net_ip_cmp(const struct net_ip *a, const struct net_ip *b)
{
    if (a->v6 != b->v6) {
        return a->v6 ? 1 : -1;
    }
    if (a->hi != b->hi) {
        return a->hi < b->hi ? -1 : 1;
    }
    return a->lo < b->lo ? -1 : a->lo > b->lo;
}

/* False: there is none of that family. */
static bool ip_next(const struct net_ip *ip, struct net_ip *out)
{
    *out = *ip;
    out->lo++;
    if (ip->v6) {
        out->hi += out->lo == 0;
        return out->lo != 0 || out->hi != 0;
    }
    return out->lo <= UINT32_MAX;
}

static bool ip_prev(const struct net_ip *ip, struct net_ip *out)
{
    if (ip->hi == 0 && ip->lo == 0) {
        return false;
    }
    *out = *ip;
    out->hi -= out->lo == 0;
    out->lo--;
    return true;
}

/* ---- ranges ---- */

struct net_range net_prefix(const struct net_ip *ip, unsigned len)
{
    unsigned width = ip->v6 ? 128 : 32;
    unsigned host = len < width ? width - len : 0;
    uint64_t lo = host >= 64 ? UINT64_MAX : (UINT64_C(1) << host) - 1;
    uint64_t hi = host <= 64 ? 0 : host == 128 ? UINT64_MAX : (UINT64_C(1) << (host - 64)) - 1;
    struct net_range r = {.first = *ip, .last = *ip};

    r.first.hi &= ~hi;
    r.first.lo &= ~lo;
    r.last.hi |= hi;
    r.last.lo |= lo;
    return r;
}

static bool prefix_parse(const char *s, size_t n, bool fold, struct net_range *out)
{
    char text[NET_TEXT];
    struct net_ip ip;
    uint64_t len;

    if (n >= sizeof text) {
        return false;
    }
    memcpy(text, s, n);
    text[n] = '\0';
    s += n + 1;
    if (!net_ip_parse(text, &ip) || (s[0] == '0' && s[1]) ||
        !str_to_u64(s, 0, ip.v6 ? 128 : 32, &len)) {
        return false;
    }

    struct net_range r = net_prefix(&ip, (unsigned)len);

    if (!fold && net_ip_cmp(&r.first, &ip) != 0) {
        return false;
    }
    *out = r;
    return true;
}

bool net_range_parse(const char *s, bool fold, struct net_range *out)
{
    size_t n = strcspn(s, "/-");
    struct net_range r;
    char text[NET_TEXT];

    if (s[n] == '/') {
        return prefix_parse(s, n, fold, out);
    }
    if (n >= sizeof text) {
        return false;
    }
    memcpy(text, s, n);
    text[n] = '\0';
    if (!net_ip_parse(text, &r.first)) {
        return false;
    }
    r.last = r.first;
    if (s[n] == '-' && (!net_ip_parse(s + n + 1, &r.last) || r.last.v6 != r.first.v6 ||
                        net_ip_cmp(&r.first, &r.last) > 0)) {
        return false;
    }
    *out = r;
    return true;
}

static unsigned low_zeros(const struct net_ip *ip)
{
    unsigned width = ip->v6 ? 128 : 32;

    if (ip->lo) {
        return (unsigned)__builtin_ctzll(ip->lo);
    }
    return ip->hi ? 64 + (unsigned)__builtin_ctzll(ip->hi) : width;
}

/* The largest prefix that starts where r does and lies inside. */
static struct net_range first_prefix(const struct net_range *r, unsigned *len)
{
    unsigned width = r->first.v6 ? 128 : 32;
    unsigned host = low_zeros(&r->first);
    struct net_range p = net_prefix(&r->first, width - host);

    while (net_ip_cmp(&p.last, &r->last) > 0) {
        p = net_prefix(&r->first, width - --host);
    }
    *len = width - host;
    return p;
}

void net_range_text(const struct net_range *r, char out[NET_TEXT])
{
    unsigned len;
    struct net_range p = first_prefix(r, &len);
    size_t n;

    net_ip_text(&r->first, out);
    n = strlen(out);
    if (net_ip_cmp(&p.last, &r->last) != 0) {
        out[n] = '-';
        /* Two addresses of at most 45 bytes and a dash. */
        char last[NET_TEXT];

        net_ip_text(&r->last, last);
        snprintf(out + n + 1, NET_TEXT - n - 1, "%s", last);
    } else if (len < (r->first.v6 ? 128u : 32u)) {
        snprintf(out + n, NET_TEXT - n, "/%u", len);
    }
}

bool net_range_has(const struct net_range *r, const struct net_ip *ip)
{
    return net_ip_cmp(&r->first, ip) <= 0 && net_ip_cmp(ip, &r->last) <= 0;
}

void net_range_prefixes(const struct net_range *r,
                        void (*fn)(void *arg, const struct net_ip *ip, unsigned len), void *arg)
{
    struct net_range left = *r;

    for (;;) {
        unsigned len;
        struct net_range p = first_prefix(&left, &len);

        fn(arg, &p.first, len);
        if (net_ip_cmp(&p.last, &left.last) == 0 || !ip_next(&p.last, &left.first)) {
            return;
        }
    }
}

/* ---- sets ---- */

void netset_done(struct netset *s)
{
    free(s->v);
    *s = (struct netset){0};
}

/* Makes room for n ranges in all. */
static void grow(struct netset *s, size_t n)
{
    if (n > s->size) {
        s->size = MAX(n, s->size ? 2 * s->size : 4);
        s->v = xrealloc(s->v, s->size * sizeof *s->v);
    }
}

/* True if b starts in a, or directly behind it. a starts first. */
static bool joins(const struct net_range *a, const struct net_range *b)
{
    struct net_ip next;

    if (a->last.v6 != b->first.v6) {
        return false;
    }
    return !ip_next(&a->last, &next) || net_ip_cmp(&b->first, &next) <= 0;
}

/* Adds a range that starts at or behind the start of the last one. */
static void append(struct netset *s, const struct net_range *r)
{
    struct net_range *last = s->n ? &s->v[s->n - 1] : NULL;

    if (last && joins(last, r)) {
        if (net_ip_cmp(&r->last, &last->last) > 0) {
            last->last = r->last;
        }
        return;
    }
    grow(s, s->n + 1);
    assert(s->v);
    s->v[s->n++] = *r;
}

/* The first range that ends at or behind ip; s->n: none. */
static size_t seek(const struct netset *s, const struct net_ip *ip)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (net_ip_cmp(&s->v[mid].last, ip) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

void netset_add(struct netset *s, const struct net_range *r)
{
    struct net_range all = *r;
    size_t from, to;

    assert(r->first.v6 == r->last.v6 && net_ip_cmp(&r->first, &r->last) <= 0);
    if (s->n == 0 || net_ip_cmp(&s->v[s->n - 1].first, &r->first) <= 0) {
        append(s, r);
        return;
    }
    from = seek(s, &r->first);
    if (from > 0 && joins(&s->v[from - 1], r)) {
        from--; /* the neighbour before */
    }
    for (to = from; to < s->n; to++) {
        if (net_ip_cmp(&s->v[to].first, &all.first) > 0 && !joins(&all, &s->v[to])) {
            break;
        }
        all.first = net_ip_cmp(&s->v[to].first, &all.first) < 0 ? s->v[to].first : all.first;
        all.last = net_ip_cmp(&s->v[to].last, &all.last) > 0 ? s->v[to].last : all.last;
    }
    grow(s, s->n + 1);
    memmove(&s->v[from + 1], &s->v[to], (s->n - to) * sizeof *s->v);
    s->v[from] = all;
    s->n = s->n - (to - from) + 1;
}

static int by_first(const void *a, const void *b)
{
    const struct net_range *x = a, *y = b;

    return net_ip_cmp(&x->first, &y->first);
}

void netset_add_many(struct netset *s, struct net_range *v, size_t n)
{
    struct netset sorted = {0};

    if (n == 0) {
        return;
    }
    qsort(v, n, sizeof *v, by_first);
    for (size_t i = 0; i < n; i++) {
        append(&sorted, &v[i]);
    }
    if (s->n == 0) {
        netset_done(s);
        *s = sorted;
        return;
    }
    netset_add_set(s, &sorted);
    netset_done(&sorted);
}

void netset_add_set(struct netset *s, const struct netset *other)
{
    struct netset out = {0};
    size_t i = 0, k = 0;

    if (other->n <= 1) {
        if (other->n) {
            netset_add(s, &other->v[0]);
        }
        return;
    }
    grow(&out, s->n + other->n);
    while (i < s->n || k < other->n) {
        if (k == other->n || (i < s->n && net_ip_cmp(&s->v[i].first, &other->v[k].first) <= 0)) {
            append(&out, &s->v[i++]);
        } else {
            append(&out, &other->v[k++]);
        }
    }
    free(s->v);
    *s = out;
}

void netset_remove_set(struct netset *s, const struct netset *other)
{
    struct netset out = {0};
    size_t k = 0;

    for (size_t i = 0; i < s->n; i++) {
        struct net_range left = s->v[i];
        bool empty = false;

        while (k < other->n && net_ip_cmp(&other->v[k].last, &left.first) < 0) {
            k++;
        }
        for (size_t at = k; at < other->n && !empty; at++) {
            const struct net_range *cut = &other->v[at];

            if (net_ip_cmp(&cut->first, &left.last) > 0) {
                break;
            }
            if (net_ip_cmp(&cut->first, &left.first) > 0) {
                struct net_range before = {.first = left.first};

                ip_prev(&cut->first, &before.last);
                append(&out, &before);
            }
            empty = net_ip_cmp(&cut->last, &left.last) >= 0 || !ip_next(&cut->last, &left.first);
        }
        if (!empty) {
            append(&out, &left);
        }
    }
    free(s->v);
    *s = out;
}

void netset_remove(struct netset *s, const struct net_range *r)
{
    struct net_range one = *r;

    netset_remove_set(s, &(struct netset){.v = &one, .n = 1});
}

bool netset_has(const struct netset *s, const struct net_ip *ip)
{
    size_t i = seek(s, ip);

    return i < s->n && net_range_has(&s->v[i], ip);
}

bool netset_covers(const struct netset *s, const struct net_range *r, struct net_range *outside)
{
    size_t i = seek(s, &r->first);
    struct net_range out = *r;

    if (i < s->n && net_ip_cmp(&s->v[i].first, &r->first) <= 0) {
        if (net_ip_cmp(&s->v[i].last, &r->last) >= 0) {
            return true;
        }
        /* Neighbours are merged: what follows is outside. */
        ip_next(&s->v[i].last, &out.first);
        i++;
    }
    if (i < s->n && net_ip_cmp(&s->v[i].first, &r->last) <= 0) {
        ip_prev(&s->v[i].first, &out.last);
    }
    if (outside) {
        *outside = out;
    }
    return false;
}

bool netset_meets(const struct netset *s, const struct net_range *r, struct net_range *part)
{
    size_t i = seek(s, &r->first);

    if (i == s->n || net_ip_cmp(&s->v[i].first, &r->last) > 0) {
        return false;
    }
    if (part) {
        *part = s->v[i];
        part->first = net_ip_cmp(&part->first, &r->first) < 0 ? r->first : part->first;
        part->last = net_ip_cmp(&part->last, &r->last) > 0 ? r->last : part->last;
    }
    return true;
}

bool netset_equal(const struct netset *a, const struct netset *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (net_ip_cmp(&a->v[i].first, &b->v[i].first) != 0 ||
            net_ip_cmp(&a->v[i].last, &b->v[i].last) != 0) {
            return false;
        }
    }
    return true;
}

uint64_t netset_count(const struct netset *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s->n; i++) {
        const struct net_range *r = &s->v[i];
        uint64_t hi = r->last.hi - r->first.hi - (r->last.lo < r->first.lo);
        uint64_t lo = r->last.lo - r->first.lo;

        if (hi || lo == UINT64_MAX || __builtin_add_overflow(sum, lo + 1, &sum)) {
            return UINT64_MAX;
        }
    }
    return sum;
}
