/*
 * Messages as they are read: whatever comes in, *m holds nothing that the rules do not allow.
 *
 * The reader of each type sets `bad` of the wire, or leaves something unread: both refuse the
 * message. Memory is taken for lists alone, after their length was held against what is there.
 */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "ipc/chan.h"
#include "model/queue.h"
#include "model/request.h"
#include "transport/message.h"
#include "transport/message_inside.h"

enum { TEXT_LEAST = 5, CELL_LEAST = 3 * 4 + 1 + 2 * 8, LEASE_WIRE = 16 + 4 + 4 + 8 };
enum { RUN_TIMEOUT_MAX_S = 604800, SIGNAL_MAX = 64, SHA256_TEXT = 64 };

static size_t left(const struct wire *w)
{
    return w->bad ? 0 : (size_t)(w->end - w->p);
}

static void need(struct wire *w, bool holds)
{
    w->bad = w->bad || !holds;
}

static bool get_bool(struct wire *w)
{
    uint8_t v = wire_get_u8(w);

    need(w, v <= 1);
    return v == 1;
}

static uint32_t get_u32(struct wire *w, uint32_t max)
{
    uint32_t v = wire_get_u32(w);

    need(w, v <= max);
    return v;
}

static int32_t get_i32(struct wire *w, int32_t min, int32_t max)
{
    int32_t v = wire_get_i32(w);

    need(w, v >= min && v <= max);
    return v;
}

static int64_t get_i64(struct wire *w, int64_t min)
{
    int64_t v = wire_get_i64(w);

    need(w, v >= min);
    return v;
}

/* NULL is fine. */
static const char *get_text(struct wire *w, size_t max)
{
    const char *s;
    size_t n;

    if (!wire_get_str(w, &s, &n) || !s) {
        return NULL;
    }
    need(w, n <= max && utf8_valid(s, n));
    return w->bad ? NULL : s;
}

/* Never NULL. */
static const char *get_word(struct wire *w, size_t max)
{
    const char *s = get_text(w, max);

    need(w, s != NULL);
    return w->bad ? "" : s;
}

/* An object or a list, or NULL. */
/* Answers carry it as it is: what is none would break them. */
static bool is_json(const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);

    json_decref(doc);
    return doc != NULL;
}

static const char *get_json(struct wire *w)
{
    const char *s = get_text(w, MESSAGE_MAX);

    need(w, !s || is_json(s));
    return w->bad ? NULL : s;
}

static void get_list(struct wire *w, struct strvec *out)
{
    uint32_t n = get_u32(w, MESSAGE_LIST_MAX);

    need(w, n <= left(w) / TEXT_LEAST);
    for (uint32_t i = 0; i < n && !w->bad; i++) {
        const char *s = get_word(w, MESSAGE_NAME_MAX);

        if (!w->bad) {
            strvec_push(out, s);
        }
    }
}

static void get_lease(struct wire *w, struct lease *l)
{
    if (left(w) < LEASE_WIRE) {
        w->bad = true;
        return;
    }
    memcpy(l->job_id.b, w->p, sizeof l->job_id.b);
    w->p += sizeof l->job_id.b;
    l->idx = get_i32(w, 0, TASKS_MAX - 1);
    l->epoch = wire_get_u32(w);
    l->token = wire_get_u64(w);
    /* That of no claim: it would fit a task that nobody holds. */
    need(w, l->token != 0);
}

/* What is left of the message. */
static void get_rest(struct wire *w, struct message *m, size_t max)
{
    m->n = left(w);
    need(w, m->n > 0 && m->n <= max);
    if (!w->bad) {
        m->data = w->p;
        w->p = w->end;
    }
}

/* ---- of a worker ---- */

static void get_hello(struct wire *w, struct message *m)
{
    struct hello *h = &m->hello;
    enum queue_kind kind;
    char zone[ZONE_MAX];
    struct lease held;
    const char *s;

    h->version = get_word(w, MESSAGE_NAME_MAX);
    h->zone = get_word(w, MESSAGE_NAME_MAX);
    need(w, !h->zone[0] || zone_check(h->zone, NULL) == 0);
    h->host = get_word(w, MESSAGE_NAME_MAX);
    h->home = get_word(w, MESSAGE_NAME_MAX);
    h->slots = get_u32(w, WORKER_SLOTS_MAX);
    get_list(w, &h->queues);
    get_list(w, &h->tools);
    get_list(w, &h->held);
    for (size_t i = 0; i < h->queues.n && !w->bad; i++) {
        need(w, queue_parse(h->queues.v[i], &kind, zone, NULL) == 0);
    }
    for (size_t i = 0; i < h->held.n && !w->bad; i++) {
        need(w, lease_parse(h->held.v[i], &held));
    }
    h->draining = get_bool(w);
    s = get_word(w, sizeof h->confinement - 1);
    memcpy(h->confinement, s, strlen(s) + 1);
}

static void get_beat(struct wire *w, struct message *m)
{
    struct beat *h = &m->beat;

    h->n = wire_get_u64(w);
    need(w, h->n > 0);
    h->busy = get_u32(w, WORKER_SLOTS_MAX);
    h->load_x100 = wire_get_u32(w);
    h->spool_bytes = wire_get_u64(w);
    h->spooled = wire_get_u32(w);
    h->draining = get_bool(w);
    h->n_leases = get_u32(w, BEAT_LEASES_MAX);
    for (uint32_t i = 0; i < h->n_leases && !w->bad; i++) {
        get_lease(w, &h->leases[i]);
    }
}

static void get_progress(struct wire *w, struct message *m)
{
    m->progress.task = get_text(w, MESSAGE_NAME_MAX);
    m->progress.percent_x100 = get_i32(w, -1, 10000);
    m->progress.remaining_s = get_i32(w, -1, INT32_MAX);
}

static void get_raw(struct wire *w, struct message *m)
{
    m->offset = wire_get_u64(w);
    get_rest(w, m, MESSAGE_RAW_MAX);
    need(w, m->offset <= (uint64_t)INT64_MAX - m->n);
}

/* Addresses and ranges with commas between them, as they are stored. */
static bool addresses_ok(const char *s)
{
    char token[NET_TEXT];
    struct net_range r;

    for (;;) {
        size_t n = strcspn(s, ",");

        if (n == 0 || n >= sizeof token) {
            return false;
        }
        memcpy(token, s, n);
        token[n] = '\0';
        if (!net_range_parse(token, false, &r)) {
            return false;
        }
        if (!s[n]) {
            return true;
        }
        s += n + 1;
    }
}

static bool ports_ok(const char *s)
{
    return s && *s && ports_parse(s, NULL) == 0;
}

static bool protocol_ok(const char *s)
{
    return str_eq(s, "tcp") || str_eq(s, "udp") || str_eq(s, "sctp") || str_eq(s, "ip");
}

static void get_cell(struct wire *w, struct coverage_cell *c)
{
    c->addresses = get_word(w, MESSAGE_MAX);
    c->protocol = get_word(w, MESSAGE_NAME_MAX);
    c->ports = get_text(w, MESSAGE_MAX);
    c->up_only = get_bool(w);
    c->start_us = get_i64(w, 0);
    c->end_us = get_i64(w, 0);
    need(w, !w->bad && addresses_ok(c->addresses) &&
                (str_eq(c->protocol, "host") ? c->ports == NULL
                                             : protocol_ok(c->protocol) && ports_ok(c->ports)));
}

static void get_cells(struct wire *w, struct outcome *o)
{
    uint32_t n = wire_get_u32(w);
    struct coverage_cell *cells;

    need(w, n <= left(w) / CELL_LEAST);
    if (w->bad || n == 0) {
        return;
    }
    cells = xcalloc(n, sizeof *cells);
    o->cells = cells;
    o->n_cells = n;
    for (uint32_t i = 0; i < n && !w->bad; i++) {
        get_cell(w, &cells[i]);
    }
}

static const char *get_sha256(struct wire *w)
{
    const char *s = get_text(w, SHA256_TEXT);

    need(w, !s || (strlen(s) == SHA256_TEXT && strspn(s, "0123456789abcdef") == SHA256_TEXT));
    return w->bad ? NULL : s;
}

static void get_end(struct wire *w, struct message *m)
{
    struct outcome *o = &m->outcome;
    uint8_t state = wire_get_u8(w);
    uint8_t reason = wire_get_u8(w);
    size_t n;

    need(w,
         state < JOB_STATES && job_state_terminal((enum job_state)state) && reason < REASON_COUNT);
    o->state = (enum job_state)state;
    o->reason = (enum job_reason)reason;
    o->retryable = get_bool(w);
    o->partial = get_bool(w);
    o->error = get_text(w, MESSAGE_WORDS_MAX);
    o->exit_status = wire_get_i32(w);
    o->exit_signal = get_i32(w, 0, SIGNAL_MAX);
    wire_get_str(w, &o->stderr_tail, &n); /* bytes of a tool: any */
    need(w, n <= MESSAGE_WORDS_MAX);
    o->command_line = get_text(w, MESSAGE_MAX);
    o->tool_version = get_text(w, MESSAGE_NAME_MAX);
    o->confinement = get_text(w, MESSAGE_NAME_MAX);
    o->run_json = get_json(w);
    o->sandbox_json = get_json(w);
    o->summary_json = get_json(w);
    o->raw_sha256 = get_sha256(w);
    o->raw_size = get_i64(w, 0);
    o->raw_stored = get_i64(w, 0);
    get_cells(w, o);
}

static void get_release(struct wire *w, struct message *m)
{
    uint8_t why = wire_get_u8(w);

    need(w, why < RELEASE_WHYS);
    m->why = (enum release_why)why;
}

/* ---- of the server ---- */

/* Members of a job that are text: it never frees these. */
static char *get_member(struct wire *w)
{
    return (char *)(uintptr_t)get_text(w, MESSAGE_MAX);
}

static bool tool_name_ok(const char *s)
{
    return s && *s && strlen(s) <= 32 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(s);
}

static void get_assign(struct wire *w, struct message *m)
{
    struct assignment *a = &m->assign;
    struct job *j = &a->job;
    struct limits limits;
    enum queue_kind kind;
    char zone[ZONE_MAX];

    job_init(j);
    get_lease(w, &a->lease);
    m->lease = a->lease;
    j->id = a->lease.job_id;
    a->boot = wire_get_u64(w);
    a->at_ms = get_i64(w, 0);
    a->queue = get_word(w, QUEUE_MAX - 1);
    need(w, !w->bad && queue_parse(a->queue, &kind, zone, NULL) == 0);
    a->key_name = get_text(w, MESSAGE_NAME_MAX);
    j->tool = get_member(w);
    need(w, tool_name_ok(j->tool));
    j->targets = get_member(w);
    j->ports = get_member(w);
    j->arguments = get_member(w);
    j->run_timeout_s = get_i32(w, 1, RUN_TIMEOUT_MAX_S);
    j->old_route = get_bool(w);
    j->pins = get_member(w);
    j->limits = get_member(w);
    need(w, limits_parse(j->limits, &limits, NULL) == 0);
    j->clip = get_bool(w);
    j->planned = get_bool(w);
    j->task_spec = (char *)(uintptr_t)get_json(w);
    j->repo = (char *)(uintptr_t)get_json(w);
    j->spent_us = get_i64(w, 0);
    j->key_id = get_member(w);
    j->created_us = get_i64(w, 0);
    j->priority = get_i32(w, 0, JOB_PRIORITY_MAX);
}

static void get_answer(struct wire *w, struct message *m)
{
    struct answer *a = &m->answer;

    a->beat = wire_get_u64(w);
    a->boot = wire_get_u64(w);
    a->at_ms = get_i64(w, 0);
    a->drain = get_bool(w);
    a->lease_ms = wire_get_u32(w);
    a->beat_ms = wire_get_u32(w);
    a->kill_ms = wire_get_u32(w);
    /* A worker lives by them. */
    need(w, a->beat_ms > 0 && a->beat_ms < a->kill_ms && a->kill_ms < a->lease_ms &&
                a->lease_ms <= INT32_MAX);
}

static void get_adopt(struct wire *w, struct message *m)
{
    get_lease(w, &m->now);
    need(w, id_cmp(&m->now.job_id, &m->lease.job_id) == 0 && m->now.idx == m->lease.idx);
}

/* ---- all ---- */

enum { HAS_LEASE = 1, HAS_SEQ = 2 };

static unsigned parts_of(enum message_type type)
{
    switch (type) {
    case MSG_TOOK:
    case MSG_PROGRESS:
    case MSG_FENCED:
    case MSG_CANCEL:
    case MSG_ADOPT:
    case MSG_OFFER:
        return HAS_LEASE;
    case MSG_HOSTS:
    case MSG_RAW:
    case MSG_END:
    case MSG_RELEASE:
    case MSG_WAIT:
    case MSG_ACK:
        return HAS_LEASE | HAS_SEQ;
    default:
        return 0;
    }
}

/* False: no such type. */
static bool get_body(struct wire *w, struct message *m)
{
    switch (m->type) {
    case MSG_HELLO:
        get_hello(w, m);
        return true;
    case MSG_BEAT:
        get_beat(w, m);
        return true;
    case MSG_HOSTS:
        get_rest(w, m, MESSAGE_MAX);
        return true;
    case MSG_PROGRESS:
        get_progress(w, m);
        return true;
    case MSG_RAW:
        get_raw(w, m);
        return true;
    case MSG_END:
        get_end(w, m);
        return true;
    case MSG_RELEASE:
        get_release(w, m);
        return true;
    case MSG_WAIT:
        m->until_us = get_i64(w, 1);
        return true;
    case MSG_ASSIGN:
        get_assign(w, m);
        return true;
    case MSG_ANSWER:
        get_answer(w, m);
        return true;
    case MSG_FENCED:
    case MSG_DRAIN:
        m->on = get_bool(w);
        return true;
    case MSG_ADOPT:
        get_adopt(w, m);
        return true;
    case MSG_REFUSED:
        m->text = get_word(w, MESSAGE_WORDS_MAX);
        return true;
    case MSG_TOOK:
    case MSG_BYE:
    case MSG_ACK:
    case MSG_CANCEL:
    case MSG_OFFER:
        return true;
    }
    return false;
}

int message_next(const uint8_t **p, size_t *n, struct message *m, struct err *e)
{
    struct wire head = {.p = *p, .end = *p + *n};
    uint32_t len = wire_get_u32(&head);
    struct wire w;
    unsigned parts;

    *m = (struct message){0};
    if (head.bad || len < 1 || len > MESSAGE_MAX || len > left(&head)) {
        return err_set(e, ERR_INVALID, "a message of %" PRIu32 " bytes where %zu are left", len,
                       left(&head));
    }
    w = (struct wire){.p = head.p, .end = head.p + len};
    m->type = (enum message_type)wire_get_u8(&w);
    parts = parts_of(m->type);
    if (parts & HAS_LEASE) {
        get_lease(&w, &m->lease);
    }
    if (parts & HAS_SEQ) {
        m->seq = wire_get_u64(&w);
    }
    if (!get_body(&w, m)) {
        return err_set(e, ERR_INVALID, "a message of the unknown type %d", (int)m->type);
    }
    if (!wire_end(&w)) {
        int type = (int)m->type;

        message_done(m);
        return err_set(e, ERR_INVALID, "a message of type %d is malformed", type);
    }
    *p = w.end;
    *n -= MESSAGE_HEAD + len;
    return 0;
}

void message_done(struct message *m)
{
    free((void *)(uintptr_t)m->outcome.cells);
    strvec_done(&m->hello.queues);
    strvec_done(&m->hello.tools);
    strvec_done(&m->hello.held);
    m->outcome.cells = NULL;
    m->outcome.n_cells = 0;
}
