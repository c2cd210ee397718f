/*
 * The scope: what may be reached at a moment. Allow entries are cut at load time by the hard
 * denials that they do not lie in, and sorted; so asking is one pass over the pieces that have not
 * expired, minus the machine's own addresses, minus what is denied. Nothing is remembered between
 * two questions: a policy never changes.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "policy/internal.h"

#define V4(a, b, c, d, len)                                                                    \
    {                                                                                          \
        .first.lo = (uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d),                          \
        .last.lo = ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d)) | (UINT32_MAX >> (len)), \
    }
#define V4_ONE(a, b, c, d)                                            \
    {                                                                 \
        .first.lo = (uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d), \
        .last.lo = (uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d),  \
    }
#define V6(hi1, lo1, hi2, lo2)                                     \
    {                                                              \
        .first = {.v6 = true, .hi = (hi1), .lo = (lo1)}, .last = { \
            .v6 = true,                                            \
            .hi = (hi2),                                           \
            .lo = (lo2)                                            \
        }                                                          \
    }
#define ALL UINT64_MAX

static const struct hard_row hard[] = {
    {V4(0, 0, 0, 0, 8), "addresses of this network (0.0.0.0/8)"},
    {V4(127, 0, 0, 0, 8), "loopback (127.0.0.0/8)"},
    {V4(169, 254, 0, 0, 16), "link local and cloud metadata addresses (169.254.0.0/16)"},
    {V4_ONE(100, 100, 100, 200), "a cloud metadata address"},
    {V4_ONE(168, 63, 129, 16), "a cloud metadata address"},
    {V4(224, 0, 0, 0, 4), "multicast (224.0.0.0/4)"},
    {V4(240, 0, 0, 0, 4), "reserved and broadcast addresses (240.0.0.0/4)"},
    {V6(0, 0, 0, 0), "the unspecified address (::)"},
    {V6(0, 1, 0, 1), "loopback (::1)"},
    {V6(0, 0xffff00000000, 0, 0xffffffffffff), "IPv4-mapped addresses (::ffff:0:0/96)"},
    {V6(0x0064ff9b00000000, 0, 0x0064ff9b00000000, UINT32_MAX), "NAT64 (64:ff9b::/96)"},
    {V6(0x2001000000000000, 0, 0x20010000ffffffff, ALL), "Teredo (2001::/32)"},
    {V6(0x2002000000000000, 0, 0x2002ffffffffffff, ALL), "6to4 (2002::/16)"},
    {V6(0xfd000ec200000000, 0x254, 0xfd000ec200000000, 0x254), "a cloud metadata address"},
    {V6(0xfd2000ce00000000, 0x254, 0xfd2000ce00000000, 0x254), "a cloud metadata address"},
    {V6(0xfe80000000000000, 0, 0xfebfffffffffffff, ALL), "link local addresses (fe80::/10)"},
    {V6(0xff00000000000000, 0, ALL, ALL), "multicast (ff00::/8)"},
    {.why = NULL},
};

const struct hard_row *hard_rows(void)
{
    return hard;
}

const struct hard_row *hard_row_of(const struct net_ip *ip)
{
    for (const struct hard_row *h = hard; h->why; h++) {
        if (net_range_has(&h->range, ip)) {
            return h;
        }
    }
    return NULL;
}

static bool inside(const struct net_range *r, const struct net_range *of)
{
    return net_range_has(of, &r->first) && net_range_has(of, &r->last);
}

bool hard_lifted(const struct net_range *source, const struct net_ip *ip)
{
    const struct hard_row *h = hard_row_of(ip);

    return !h || inside(source, &h->range);
}

/* ---- building ---- */

static void piece_add(struct policy *p, size_t *size, const struct piece *one)
{
    if (p->n_pieces == *size) {
        *size = *size ? 2 * *size : 64;
        p->pieces = xrealloc(p->pieces, *size * sizeof *p->pieces);
    }
    p->pieces[p->n_pieces++] = *one;
}

/* What the hard denials leave of a range, in pieces. */
static void pieces_of(struct policy *p, size_t *size, const struct net_range *source,
                      int64_t expires_us, bool named)
{
    struct piece one = {.source = *source, .expires_us = expires_us, .named = named};
    auto_netset left = {0};

    netset_add(&left, source);
    for (const struct hard_row *h = hard; h->why; h++) {
        if (!inside(source, &h->range) && netset_meets(&left, &h->range, NULL)) {
            netset_remove(&left, &h->range);
        }
    }
    for (size_t i = 0; i < left.n; i++) {
        one.range = left.v[i];
        piece_add(p, size, &one);
    }
}

static int piece_cmp(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;

    return net_ip_cmp(&x->range.first, &y->range.first);
}

static int name_cmp(const void *a, const void *b)
{
    const struct name_row *x = a, *y = b;

    return strcmp(x->entry->name, y->entry->name);
}

static void names_build(struct policy *p)
{
    const struct entries *lists[] = {&p->allow, &p->deny};

    p->names = xcalloc(p->allow.n + p->deny.n, sizeof *p->names);
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        for (size_t i = 0; i < lists[k]->n; i++) {
            if (lists[k]->v[i].name) {
                p->names[p->n_names++] =
                    (struct name_row){.entry = &lists[k]->v[i], .deny = lists[k] == &p->deny};
            }
        }
    }
    if (p->n_names) {
        qsort(p->names, p->n_names, sizeof *p->names, name_cmp);
    }
}

/* "allow TARGET (NOTE)"; a long note is cut at a whole character. */
static void label_make(struct entry *en)
{
    struct buf b = {0};
    char text[300];
    size_t n = 0, len;

    entry_text(en, text, sizeof text);
    buf_addf(&b, "allow %.80s", text);
    if (en->note) {
        buf_adds(&b, " (");
        for (; n < 50 && en->note[n]; n += len) {
            len = utf8_len(en->note + n, strlen(en->note + n));
            if (len == 0) {
                break;
            }
            buf_add(&b, en->note + n, len);
        }
        buf_adds(&b, en->note[n] ? "...)" : ")");
    }
    free(en->label);
    en->label = buf_take(&b);
}

void scope_build(struct policy *p)
{
    struct net_range *denied = xcalloc(p->deny.n, sizeof *denied);
    size_t size = 0, n = 0;

    for (size_t i = 0; i < p->allow.n; i++) {
        struct entry *en = &p->allow.v[i];

        label_make(en);
        if (!en->name) {
            pieces_of(p, &size, &en->range, en->expires_us, false);
        }
        for (size_t k = 0; k < en->n_within; k++) {
            pieces_of(p, &size, &en->within[k], en->expires_us, true);
        }
    }
    if (p->n_pieces) {
        qsort(p->pieces, p->n_pieces, sizeof *p->pieces, piece_cmp);
    }
    for (size_t i = 0; i < p->deny.n; i++) {
        if (!p->deny.v[i].name) {
            denied[n++] = p->deny.v[i].range;
        }
    }
    netset_add_many(&p->denied, denied, n);
    free(denied);
    names_build(p);
}

/* ---- asking ---- */

void scope_open(const struct policy *p, const struct netset *near, const struct netset *own,
                int64_t now_us, bool named, struct netset *out)
{
    bool has_own = own && own->n;
    struct net_range *again = has_own ? xcalloc(p->n_pieces, sizeof *again) : NULL;
    size_t n = 0;

    for (size_t i = 0; i < p->n_pieces; i++) {
        const struct piece *one = &p->pieces[i];

        if (one->expires_us <= now_us || (one->named && !named) ||
            !netset_meets(near, &one->range, NULL)) {
            continue;
        }
        netset_add(out, &one->range);
        if (has_own && netset_covers(own, &one->source, NULL)) {
            again[n++] = one->range;
        }
    }
    if (has_own) {
        netset_remove_set(out, own);
        netset_add_many(out, again, n);
    }
    free(again);
    netset_remove_set(out, &p->denied);
}

size_t scope_names(const struct policy *p, const char *name, const struct name_row **first)
{
    size_t low = 0, high = p->n_names, n = 0;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (strcmp(p->names[mid].entry->name, name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    while (low + n < p->n_names && strcmp(p->names[low + n].entry->name, name) == 0) {
        n++;
    }
    *first = p->names + low;
    return n;
}

bool scope_name_allows(const struct policy *p, const char *name, const struct net_ip *ip,
                       const struct netset *own, int64_t now_us)
{
    const struct name_row *row;
    size_t n = scope_names(p, name, &row);

    if (netset_has(&p->denied, ip)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const struct entry *en = row[i].entry;

        for (size_t k = 0; k < en->n_within && en->expires_us > now_us; k++) {
            const struct net_range *w = &en->within[k];

            if (net_range_has(w, ip) && hard_lifted(w, ip) &&
                (!own || !netset_has(own, ip) || netset_covers(own, w, NULL))) {
                return true;
            }
        }
    }
    return false;
}

/* ---- explaining ---- */

void entry_text(const struct entry *en, char *out, size_t size)
{
    char text[NET_TEXT];

    if (en->name) {
        snprintf(out, size, "%s", en->name);
        return;
    }
    net_range_text(&en->range, text);
    snprintf(out, size, "%s", text);
}

void scope_fix(const struct policy *p, char *out, size_t size)
{
    if (p->builtin) {
        snprintf(out, size,
                 "the built-in scope has loopback and private ranges only; write a scope file that "
                 "allows it and name it by --scope or SCANPOD_SCOPE_FILE");
    } else {
        snprintf(out, size, "add it to %.128s and reload, or see 'scanpod policy check'",
                 p->source);
    }
}

/* The first entry of the list that has ip and passes; NULL: none. */
static const struct entry *entry_with(const struct entries *list, const struct net_ip *ip,
                                      bool lifted)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct entry *en = &list->v[i];

        if (!en->name && net_range_has(&en->range, ip) &&
            (!lifted || hard_lifted(&en->range, ip))) {
            return en;
        }
    }
    return NULL;
}

/* " (note)", cut at a whole character; "" without a note. */
static void note_text(const struct entry *en, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    if (!en->note) {
        return;
    }
    for (size_t len; en->note[n]; n += len) {
        len = utf8_len(en->note + n, strlen(en->note + n));
        if (len == 0 || n + len + 4 > size) {
            break;
        }
    }
    snprintf(out, size, " (%.*s)", (int)n, en->note);
}

static int refused_by_deny(const struct policy *p, const struct net_range *part, struct err *e)
{
    const struct entry *en = entry_with(&p->deny, &part->first, false);
    struct net_range both = *part;
    char text[NET_TEXT], by[NET_TEXT], note[64] = "";

    netset_meets(&p->denied, part, &both);
    net_range_text(&both, text);
    snprintf(by, sizeof by, "an entry");
    if (en) {
        entry_text(en, by, sizeof by);
        note_text(en, note, sizeof note);
    }
    return err_set(e, ERR_SCOPE,
                   "%s is not allowed: scope.deny has %s%s, line %u of %.128s, and deny wins; take "
                   "it out of the targets",
                   text, by, note, en ? en->line : 0, p->source);
}

static int refused_expired(const struct policy *p, const struct entry *en,
                           const struct net_range *part, struct err *e)
{
    struct net_range both = *part;
    char text[NET_TEXT], by[NET_TEXT], when[RFC3339_LEN + 1];

    both.last = net_ip_cmp(&part->last, &en->range.last) < 0 ? part->last : en->range.last;
    net_range_text(&both, text);
    entry_text(en, by, sizeof by);
    rfc3339_us(en->expires_us, when);
    return err_set(e, ERR_SCOPE,
                   "%s is not allowed: the entry %s expired at %.19sZ; renew 'expires' in line %u "
                   "of %.128s and reload",
                   text, by, when, en->line, p->source);
}

/* An address that only an entry of its own allows. */
static int refused_special(const struct policy *p, const struct net_range *part, const char *why,
                           struct err *e)
{
    char text[NET_TEXT];

    net_range_text(part, text);
    if (p->builtin) {
        return err_set(e, ERR_SCOPE,
                       "%s is not allowed: %s need an entry that names them; write a scope file "
                       "with '- target: %s' in scope.allow and name it by --scope or "
                       "SCANPOD_SCOPE_FILE",
                       text, why, text);
    }
    return err_set(e, ERR_SCOPE,
                   "%s is not allowed: %s need an entry that names them, a wider one does not do; "
                   "add '- target: %s' to scope.allow of %.128s and reload",
                   text, why, text, p->source);
}

int scope_explain(const struct policy *p, const struct netset *own, int64_t now_us,
                  const struct net_range *outside, struct err *e)
{
    const struct net_ip *ip = &outside->first;
    const struct hard_row *h = hard_row_of(ip);
    const struct entry *en = entry_with(&p->allow, ip, true);
    struct net_range part = *outside;
    char text[NET_TEXT], fix[256];

    if (netset_has(&p->denied, ip)) {
        return refused_by_deny(p, outside, e);
    }
    if (en && en->expires_us <= now_us) {
        return refused_expired(p, en, outside, e);
    }
    if (h) {
        part.last = net_ip_cmp(&part.last, &h->range.last) < 0 ? part.last : h->range.last;
        return refused_special(p, &part, h->why, e);
    }
    if (own && netset_has(own, ip)) {
        netset_meets(own, outside, &part);
        return refused_special(p, &part, "the machine's own addresses", e);
    }
    net_range_text(outside, text);
    scope_fix(p, fix, sizeof fix);
    return err_set(e, ERR_SCOPE, "%s is not allowed: no entry of scope.allow covers it; %s", text,
                   fix);
}
