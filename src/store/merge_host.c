/* Heads of hosts, and ports: which word is kept. */
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "store/internal.h"
#include "store/merge.h"

/* ---- marks: of each member the stage that said it plus one, in a byte; 0: nobody did ---- */

enum mark { MARK_STATE, MARK_TIMED, MARK_COMMENT, MARK_OS, MARK_SCRIPTS, MARK_MORE, MARKS };

static int64_t rank_of(int32_t stage)
{
    return MAX(0, MIN(stage, 254)) + 1;
}

static int64_t mark_get(int64_t marks, enum mark m)
{
    return marks >> 8 * m & 255;
}

static void mark_set(int64_t *marks, enum mark m, int64_t rank)
{
    *marks = (*marks & ~(INT64_C(255) << 8 * m)) | rank << 8 * m;
}

int64_t host_marks(const struct host *h, int32_t stage)
{
    const bool said[MARKS] = {
        [MARK_STATE] = h->state, [MARK_TIMED] = true,         [MARK_COMMENT] = h->comment,
        [MARK_OS] = h->os,       [MARK_SCRIPTS] = h->scripts, [MARK_MORE] = h->more};
    int64_t marks = 0;

    for (int m = 0; m < MARKS; m++) {
        mark_set(&marks, (enum mark)m, said[m] ? rank_of(stage) : 0);
    }
    return marks;
}

/* ---- heads ---- */

/* True if the new word of this stage wins, which is noted. */
static bool wins(int64_t *marks, enum mark m, int64_t rank)
{
    if (rank < mark_get(*marks, m)) {
        return false;
    }
    mark_set(marks, m, rank);
    return true;
}

static bool set_text(const char **to, const char *from)
{
    if (str_eq(*to, from)) {
        return false;
    }
    *to = from;
    return true;
}

/* A later stage's word; NULL says nothing. */
static bool take_text(const char **to, int64_t *marks, enum mark m, const char *from, int64_t rank)
{
    return from && wins(marks, m, rank) && set_text(to, from);
}

/* nmap -Pn calls up what it was given; the reasons of other states are of packets. */
static bool is_told(const struct host *h)
{
    return str_eq(h->state, "up") && str_eq(h->reason, "user-set");
}

/* Up wins over all else. The reason is that of the state which is kept. */
static bool take_state(struct host *to, int64_t *marks, const struct host *from, int64_t rank)
{
    bool was_up = str_eq(to->state, "up");
    bool is_up = str_eq(from->state, "up");
    bool turns = !to->state || (is_up && !was_up);
    bool changed;

    if (!from->state || (was_up && (!is_up || is_told(from)))) {
        return false;
    }
    if (turns) {
        mark_set(marks, MARK_STATE, rank);
    } else if (!wins(marks, MARK_STATE, rank)) {
        return false;
    }
    changed = !str_eq(to->state, from->state);
    to->state = from->state;
    if (changed || from->reason) {
        changed |= !str_eq(to->reason, from->reason) || to->reason_ttl != from->reason_ttl;
        to->reason = from->reason;
        to->reason_ttl = from->reason_ttl;
    }
    return changed;
}

static bool take_times(struct host *to, const struct host *from)
{
    int64_t start = to->start_s;
    int64_t end = MAX(to->end_s, from->end_s);
    bool changed;

    if (from->start_s != 0 && (start == 0 || from->start_s < start)) {
        start = from->start_s;
    }
    changed = start != to->start_s || end != to->end_s;
    to->start_s = start;
    to->end_s = end;
    return changed;
}

static bool take_timed_out(struct host *to, int64_t *marks, const struct host *from, int64_t rank)
{
    bool changed = wins(marks, MARK_TIMED, rank) && to->timed_out != from->timed_out;

    if (changed) {
        to->timed_out = from->timed_out;
    }
    return changed;
}

/* The same address may be written in two ways. */
static bool same_address(const struct host_addr *a, const struct host_addr *b)
{
    uint8_t ka[HOST_KEY];
    uint8_t kb[HOST_KEY];

    if (str_eq(a->addr, b->addr)) {
        return true;
    }
    return host_key(a->addr, ka) && host_key(b->addr, kb) && memcmp(ka, kb, HOST_KEY) == 0;
}

static bool join_address(struct host *to, const struct host_addr *from)
{
    for (size_t i = 0; i < to->n_addrs; i++) {
        struct host_addr *is = &to->addrs[i];

        if (same_address(is, from)) {
            return !is->vendor && set_text(&is->vendor, from->vendor);
        }
    }
    if (to->n_addrs >= MERGE_ADDRS_MAX) {
        return false;
    }
    *host_add_addr(to) = *from;
    return true;
}

static bool join_name(struct host *to, const struct host_name *from)
{
    for (size_t i = 0; i < to->n_names; i++) {
        if (str_eq(to->names[i].name, from->name) && str_eq(to->names[i].type, from->type)) {
            return false;
        }
    }
    if (to->n_names >= MERGE_NAMES_MAX) {
        return false;
    }
    *host_add_name(to) = *from;
    return true;
}

static bool join_lists(struct host *to, const struct host *from)
{
    bool changed = false;

    for (size_t i = 0; i < from->n_addrs; i++) {
        changed |= join_address(to, &from->addrs[i]);
    }
    for (size_t i = 0; i < from->n_names; i++) {
        changed |= join_name(to, &from->names[i]);
    }
    return changed;
}

static bool join_extraports(struct host *to, const char *from, struct buf *sum)
{
    if (!from) {
        return false;
    }
    if (!to->extraports) {
        to->extraports = from;
        return true;
    }
    buf_reset(sum);
    if (!extraports_sum(to->extraports, from, sum)) {
        return false;
    }
    to->extraports = sum->data;
    return true;
}

static bool is_silence(const char *reason)
{
    return reason && str_starts(reason, "no-response");
}

/* [{"state","count","reasons":[{"reason","count"}]}]: true if some of it is not silence. */
static bool extraports_answered(const char *text)
{
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    const json_t *group, *one;
    bool any = false;
    size_t i, k;

    json_array_foreach(list, i, group)
    {
        const json_t *reasons = json_object_get(group, "reasons");

        any |= str_eq(json_string_value(json_object_get(group, "state")), "closed");
        json_array_foreach(reasons, k, one)
        {
            any |= !is_silence(json_string_value(json_object_get(one, "reason")));
        }
    }
    json_decref(list);
    return any;
}

bool host_unseen(const struct host *h)
{
    return is_told(h) && !h->timed_out && !extraports_answered(h->extraports);
}

void host_shown(struct host *h, const char *reason, int32_t reason_ttl)
{
    if (is_told(h) && reason) {
        h->reason = reason;
        h->reason_ttl = reason_ttl;
    }
}

bool port_answered(const struct port *p)
{
    return str_eq(p->state, "open") || str_eq(p->state, "closed") ||
           (p->reason && !is_silence(p->reason));
}

bool host_join(struct host *to, int64_t *marks, const struct host *from, int32_t stage,
               bool found_only, struct buf *sum)
{
    const int64_t before = *marks;
    int64_t rank = rank_of(stage);
    bool changed = take_state(to, marks, from, rank);

    changed |= take_times(to, from);
    changed |= !found_only && take_timed_out(to, marks, from, rank);
    changed |= take_text(&to->comment, marks, MARK_COMMENT, from->comment, rank);
    changed |= take_text(&to->os, marks, MARK_OS, from->os, rank);
    changed |= take_text(&to->scripts, marks, MARK_SCRIPTS, from->scripts, rank);
    changed |= take_text(&to->more, marks, MARK_MORE, from->more, rank);
    changed |= join_lists(to, from);
    changed |= join_extraports(to, from->extraports, sum);
    return changed || *marks != before;
}

static const char *copy(struct arena *a, const char *s)
{
    return s ? arena_strn(a, s, strlen(s)) : NULL;
}

void head_copy(struct host *to, const struct host *from, struct arena *a)
{
    const struct host old = *to;

    *to = *from;
    to->addrs = old.addrs;
    to->names = old.names;
    to->ports = NULL;
    to->n_addrs = to->n_names = to->n_ports = 0;
    to->arena = a;
    for (size_t i = 0; i < from->n_addrs; i++) {
        const struct host_addr *x = &from->addrs[i];

        *host_add_addr(to) =
            (struct host_addr){copy(a, x->addr), copy(a, x->type), copy(a, x->vendor)};
    }
    for (size_t i = 0; i < from->n_names; i++) {
        const struct host_name *x = &from->names[i];

        *host_add_name(to) = (struct host_name){copy(a, x->name), copy(a, x->type)};
    }
    to->state = copy(a, from->state);
    to->reason = copy(a, from->reason);
    to->comment = copy(a, from->comment);
    to->extraports = copy(a, from->extraports);
    to->os = copy(a, from->os);
    to->scripts = copy(a, from->scripts);
    to->more = copy(a, from->more);
}

/* ---- ports ---- */

int32_t port_key(const struct port *p)
{
    static const char *const order[] = {"tcp", "udp", "sctp", "ip"};
    int32_t rank = 0;

    while (rank < (int32_t)ARRAY_LEN(order) && !str_eq(p->protocol, order[rank])) {
        rank++;
    }
    return rank << 16 | p->number;
}

static void keep_service(struct port *to, const struct port *from)
{
    to->has_service = true;
    to->service = from->service;
    to->product = from->product;
    to->version = from->version;
    to->extrainfo = from->extrainfo;
    to->tunnel = from->tunnel;
    to->method = from->method;
    to->hostname = from->hostname;
    to->ostype = from->ostype;
    to->devicetype = from->devicetype;
    to->conf = from->conf;
    to->cpe = from->cpe;
    to->more = from->more;
}

static bool is_probed(const struct port *p)
{
    return p->has_service && str_eq(p->method, "probed");
}

bool port_join(const struct port *held, int32_t held_stage, const struct port *from, int32_t stage,
               struct port *out)
{
    bool later = stage >= held_stage;
    const struct port *first = later ? held : from, *last = later ? from : held;
    bool service, scripts;

    if (stage == held_stage && port_answered(held) && !port_answered(from)) {
        return false;
    }
    *out = *last;
    if (!str_eq(first->state, last->state)) {
        return later;
    }
    service = first->has_service && (!last->has_service || (is_probed(first) && !is_probed(last)));
    scripts = first->scripts && !last->scripts;
    if (service) {
        keep_service(out, first);
    }
    if (scripts) {
        out->scripts = first->scripts;
    }
    return later || service || scripts;
}
