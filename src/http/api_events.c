/*
 * The event stream (server-sent events). The log in the store is the truth; a client is a cursor
 * in it. What was committed last is also kept rendered, once for all, so that a thousand idle
 * clients cost one copy each and not one query each. A client behind that reads pages of the log.
 *
 * Clients are woken in slices, one slice a turn, and a turn gives out a bounded number of bytes, so
 * that no other request waits for all of them, however much there is to tell.
 * A client whose connection does not take what it is given, until the rendered events have passed
 * it by, gets `lagged` and is closed: it comes back with Last-Event-ID.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/loop.h"
#include "http/api_priv.h"

enum {
    RECENT_MAX = 1024,         /* rendered events */
    RECENT_BYTES = 256 * 1024, /* of text: also how far a client may stay behind */
    REPLAY_PAGE = 256,         /* rows of the log at a time */
    REPLAY_PAGES = 8,          /* in one turn when a filter lets nothing through */
    SLICE = 128,               /* clients woken in a turn */
    TURN_BYTES = 256 * 1024,   /* given to all of them in a turn, more or less */
    BEAT_MS = 15000,
};

static const char *const topics[] = {"job.created", "job.state",   "job.progress",
                                     "job.hosts",   "job.deleted", "job.task"};

struct frame {
    int64_t seq;
    struct id job;
    unsigned topic;
    char *text; /* owned */
    size_t n;
};

struct sse_client {
    struct http_stream st;
    struct sse_hub *hub;
    struct sse_client *next, **prev;
    struct timer beat;
    const struct key *key;
    int64_t after;   /* seq of the last event it is past */
    struct id job;   /* zero: all */
    unsigned topics; /* bit set; 0: all */
    bool greeted, gap, beat_due, lagged, live;
};

struct sse_hub {
    struct api *api;
    struct sse_client *clients, *pass; /* pass: next one to wake */
    struct timer timer;
    int64_t n, lagged;
    struct frame recent[RECENT_MAX]; /* a ring */
    unsigned first, count;
    size_t bytes;
    int64_t before, head; /* the ring holds all of (before, head] */
    bool again;           /* more came while a pass was under way, or somebody had to wait */
    size_t spent;         /* bytes given out in this turn */
    /* The page of the log that was read last, for clients without a filter: those that fell
     * behind together read it once. */
    struct buf page;
    int64_t page_after, page_end;
};

/* Unknown types are a topic of their own that only clients without a filter see. */
static unsigned topic_of(const char *type)
{
    for (unsigned i = 0; i < ARRAY_LEN(topics); i++) {
        if (str_eq(topics[i], type)) {
            return i;
        }
    }
    return ARRAY_LEN(topics);
}

static bool wanted(const struct sse_client *c, const struct id *job, unsigned topic)
{
    return (!c->topics || (c->topics >> topic & 1)) &&
           (id_is_zero(&c->job) || id_cmp(&c->job, job) == 0);
}

/* id, event, data; the data is the store's object with the job and the time in front. */
static void render(struct buf *out, const struct event *ev)
{
    char when[RFC3339_LEN + 1];
    char job[ID_TEXT + 1];
    const char *rest = ev->data && ev->data[0] == '{' ? ev->data + 1 : "}";

    rfc3339_us(ev->at_us, when);
    id_text(&ev->job_id, job);
    buf_addf(out, "id: %" PRId64 "\nevent: %s\ndata: {\"job_id\":\"%s\",\"at\":\"%s\"%s%s\n\n",
             ev->seq, ev->type, job, when, *rest == '}' ? "" : ",", rest);
}

/* ---- what was committed last ---- */

static void forget_oldest(struct sse_hub *h)
{
    struct frame *f = &h->recent[h->first];

    h->before = f->seq;
    h->bytes -= f->n;
    free(f->text);
    h->first = (h->first + 1) % RECENT_MAX;
    h->count--;
}

static void forget_all(struct sse_hub *h, int64_t head)
{
    while (h->count) {
        forget_oldest(h);
    }
    h->before = h->head = head;
}

static int keep(void *arg, const struct event *ev, struct err *e)
{
    struct sse_hub *h = arg;
    auto_buf text = {0};
    struct frame *f;

    render(&text, ev);
    while (h->count == RECENT_MAX || (h->count && h->bytes + text.len > RECENT_BYTES)) {
        forget_oldest(h);
    }
    f = &h->recent[(h->first + h->count++) % RECENT_MAX];
    f->seq = ev->seq;
    f->job = ev->job_id;
    f->topic = topic_of(ev->type);
    f->n = text.len;
    f->text = buf_take(&text);
    h->bytes += f->n;
    h->head = ev->seq;
    return 0;
}

/* Reads what was committed since. More than the ring could hold is left to the log. */
static void catch_up(struct sse_hub *h)
{
    int64_t last = store_event_last(h->api->store);
    struct err e = {0};

    if (last - h->head > RECENT_MAX) {
        forget_all(h, last);
        return;
    }
    if (last > h->head && store_events(h->api->store, h->head, RECENT_MAX, keep, h, &e) < 0) {
        log_error("events_unreadable", KV("error", e.msg));
    }
}

/* ---- waking ---- */

static void wake_slice(struct sse_hub *h)
{
    for (unsigned i = 0; i < SLICE && h->pass && h->spent < TURN_BYTES; i++) {
        struct sse_client *c = h->pass;
        size_t backlog = http_stream_backlog(&c->st);

        h->pass = c->next;
        if (backlog > RECENT_BYTES || (backlog > 0 && c->live && c->after < h->before)) {
            c->lagged = true;
        }
        http_stream_wake(&c->st); /* may end c, not others */
    }
    if (h->pass || h->again) {
        /* The more clients, the rarer the rounds: a round costs a system call for each. */
        int64_t pause = h->pass ? 0 : h->n / 20;

        timer_arm(h->api->loop, &h->timer, pause);
    }
}

static void on_timer(struct timer *t)
{
    struct sse_hub *h = container_of(t, struct sse_hub, timer);

    if (!h->pass && h->again) {
        h->again = false;
        catch_up(h);
        h->pass = h->clients;
    }
    wake_slice(h);
}

/* Who asks for more when the turn has given out enough is woken in a later one. */
static bool must_wait(struct sse_hub *h)
{
    if (h->spent < TURN_BYTES) {
        return false;
    }
    h->again = true;
    if (!h->timer.loop) {
        timer_arm(h->api->loop, &h->timer, 0);
    }
    return true;
}

void sse_hub_wake(struct sse_hub *h)
{
    h->spent = 0;
    if (!h->clients || store_event_last(h->api->store) == h->head) {
        return;
    }
    if (h->timer.loop) {
        h->again = true;
        return;
    }
    catch_up(h);
    h->pass = h->clients;
    wake_slice(h);
    if (!h->timer.loop && h->n > SLICE / 2) {
        timer_arm(h->api->loop, &h->timer, h->n / 20);
    }
}

/* ---- one client ---- */

static void from_recent(struct sse_client *c, struct buf *out)
{
    struct sse_hub *h = c->hub;

    for (unsigned i = 0; i < h->count && out->len < API_CHUNK; i++) {
        const struct frame *f = &h->recent[(h->first + i) % RECENT_MAX];

        if (f->seq <= c->after) {
            continue;
        }
        if (wanted(c, &f->job, f->topic)) {
            buf_add(out, f->text, f->n);
        }
        c->after = f->seq;
    }
}

static bool unfiltered(const struct sse_client *c)
{
    return !c->topics && id_is_zero(&c->job);
}

struct replay {
    struct sse_client *c;
    struct buf *out;
};

static int replay_row(void *arg, const struct event *ev, struct err *e)
{
    struct replay *rp = arg;

    if (rp->out->len >= API_CHUNK) {
        return 1;
    }
    if (wanted(rp->c, &ev->job_id, topic_of(ev->type))) {
        render(rp->out, ev);
    }
    rp->c->after = ev->seq;
    return 0;
}

/* A page of the log. False: it cannot be read. */
static bool from_log(struct sse_client *c, struct buf *out)
{
    struct sse_hub *h = c->hub;
    bool shared = unfiltered(c) && out->len == 0;
    struct replay rp = {.c = c, .out = shared ? &h->page : out};
    int64_t before = c->after;
    struct err e = {0};

    if (shared && h->page_after == before && h->page_end > before) {
        buf_add(out, h->page.data, h->page.len);
        c->after = h->page_end;
        return true;
    }
    if (shared) {
        buf_reset(&h->page);
        h->page_after = h->page_end = -1;
    }
    if (store_events(h->api->store, c->after, REPLAY_PAGE, replay_row, &rp, &e) < 0) {
        log_error("events_unreadable", KV("error", e.msg));
        return false;
    }
    if (c->after == before) {
        c->after = h->before; /* nothing is left of them */
    } else if (shared) {
        h->page_after = before;
        h->page_end = c->after;
        buf_add(out, h->page.data, h->page.len);
    }
    return true;
}

static void greet(struct sse_client *c, struct buf *out)
{
    buf_adds(out, "retry: 2000\n\n");
    if (c->gap) {
        buf_addf(out, "event: gap\ndata: {\"after\":%" PRId64 "}\n\n", c->after);
    }
    c->greeted = true;
}

static int client_more(struct http_stream *st, struct buf *out)
{
    struct sse_client *c = container_of(st, struct sse_client, st);
    struct sse_hub *h = c->hub;

    if (!key_in_force(c->key)) {
        return 0; /* revoked or expired since the stream began */
    }
    if (!c->greeted) {
        greet(c, out);
    }
    if (c->lagged) {
        buf_addf(out, "event: lagged\ndata: {\"after\":%" PRId64 "}\n\n", c->after);
        h->lagged++;
        return 0;
    }
    if (c->after < h->head && out->len == 0 && must_wait(h)) {
        return 2;
    }
    for (int i = 0; i < REPLAY_PAGES && c->after < h->head && out->len < API_CHUNK; i++) {
        if (c->after >= h->before) {
            from_recent(c, out);
        } else if (!from_log(c, out)) {
            return -1;
        }
    }
    if (out->len == 0 && (c->beat_due || c->after < h->head)) {
        buf_adds(out, ": \n\n");
    }
    if (out->len == 0) {
        return 2;
    }
    h->spent += out->len;
    c->beat_due = false;
    timer_arm(h->api->loop, &c->beat, BEAT_MS);
    c->live = c->live || c->after >= h->head;
    return c->after < h->head ? 1 : 2;
}

static void on_beat(struct timer *t)
{
    struct sse_client *c = container_of(t, struct sse_client, beat);

    c->beat_due = true;
    http_stream_wake(&c->st);
}

static void client_done(struct http_stream *st)
{
    struct sse_client *c = container_of(st, struct sse_client, st);
    struct sse_hub *h = c->hub;

    timer_stop(&c->beat);
    if (h->pass == c) {
        h->pass = c->next;
    }
    *c->prev = c->next;
    if (c->next) {
        c->next->prev = c->prev;
    }
    h->n--;
    if (h->n == 0) {
        timer_stop(&h->timer);
        h->again = false;
        forget_all(h, h->head);
        buf_done(&h->page);
        h->page_after = h->page_end = -1;
    }
    free(c);
}

/* ---- the request ---- */

static bool topics_read(const char *s, unsigned *set)
{
    char word[32];

    while (*s) {
        size_t n = strcspn(s, ",");
        unsigned topic;

        if (n == 0 || n >= sizeof word) {
            return false;
        }
        memcpy(word, s, n);
        word[n] = '\0';
        topic = topic_of(word);
        if (topic == ARRAY_LEN(topics)) {
            return false;
        }
        *set |= 1u << topic;
        s += n + (s[n] == ',');
    }
    return *set != 0;
}

static bool events_query(struct http_req *r, struct sse_client *c, const char **after)
{
    static const char *const known[] = {"after", "job", "topics", NULL};
    const char *job = http_query(r, "job");
    const char *names = http_query(r, "topics");
    struct problems p = {0};

    if (!api_query_known(r, known)) {
        return false;
    }
    *after = http_header(r, "Last-Event-ID");
    if (!*after || !**after) {
        *after = http_query(r, "after");
    }
    if (*after && !str_to_i64(*after, 0, INT64_MAX, &c->after)) {
        problem_add(&p, "?after", "must be the id of an event, or 0");
    }
    if (job && !id_parse(job, &c->job)) {
        problem_add(&p, "?job", "must be the id of a job");
    }
    if (names && !topics_read(names, &c->topics)) {
        problem_add(&p, "?topics", "must be types of events separated by commas");
    }
    if (p.n) {
        problems_reply(r, &p);
        return false;
    }
    return true;
}

/* Where to start, and whether something is missing before that. */
static void place(struct api *a, struct sse_client *c, bool given)
{
    int64_t first = store_event_first(a->store);
    int64_t last = store_event_last(a->store);

    if (!given) {
        c->after = last;
    } else if (c->after > last) {
        c->gap = true; /* of another log */
        c->after = last;
    } else if (first == 0 ? c->after < last : c->after + 1 < first) {
        c->gap = true;
        c->after = first == 0 ? last : first - 1;
    }
}

void v1_events(struct http_req *r, void *app)
{
    struct api *a = app;
    struct sse_hub *h = a->hub;
    struct sse_client *c = xcalloc(1, sizeof *c);
    const char *after;

    if (!events_query(r, c, &after)) {
        free(c);
        return;
    }
    place(a, c, after != NULL);
    c->hub = h;
    c->key = api_key(r);
    c->st.more = client_more;
    c->st.done = client_done;
    c->beat.fn = on_beat;
    if (!h->clients) {
        forget_all(h, store_event_last(a->store));
    }
    c->next = h->clients;
    c->prev = &h->clients;
    if (c->next) {
        c->next->prev = &c->next;
    }
    h->clients = c;
    h->n++;
    timer_arm(a->loop, &c->beat, BEAT_MS);
    http_add_header(r, "Cache-Control", "no-cache");
    http_add_header(r, "X-Accel-Buffering", "no");
    http_reply_stream(r, 200, "text/event-stream", &c->st);
}

struct sse_hub *sse_hub_new(struct api *a)
{
    struct sse_hub *h = xcalloc(1, sizeof *h);

    h->api = a;
    h->timer.fn = on_timer;
    return h;
}

void sse_hub_free(struct sse_hub *h)
{
    if (h) {
        timer_stop(&h->timer);
        forget_all(h, 0);
        buf_done(&h->page);
        free(h);
    }
}

void sse_hub_stats(const struct sse_hub *h, struct sse_stats *out)
{
    out->clients = h->n;
    out->lagged = h->lagged;
}
