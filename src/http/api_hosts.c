/*
 * Hosts as JSON, written from the store's rows as they come: a million hosts need no more memory
 * than one chunk. Ports are sorted by number inside each protocol, whatever the tool's order was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/api_priv.h"
#include "report/host_json.h"
#include "store/place.h"

static int on_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct host_writer *w = arg;
    struct json *j = &w->j;
    const char *address = host_address(h);

    if (w->n > 0 && w->full && j->b->len > w->full) {
        w->stopped = true;
        return 1;
    }
    json_obj(j);
    if (w->old) {
        json_str(j, "host", address ? address : "");
    } else {
        json_int(j, "seq", seq);
        json_str(j, "address", address);
    }
    host_json_members(j, h);
    w->last = seq;
    place_of(h, w->last_key);
    w->ports_at = j->b->len;
    w->n_spans = 0;
    w->in_order = true;
    return 0;
}

static int span_order(const void *a, const void *b)
{
    const struct port_span *x = a;
    const struct port_span *y = b;
    int rc = strcmp(x->protocol, y->protocol);

    return rc ? rc : (int)x->number - (int)y->number;
}

/* Notes where the text of a port begins, so that a host can be put in order at its end. */
static void note_span(struct host_writer *w, const struct port *p)
{
    struct port_span *s;

    if (w->n_spans == w->size_spans) {
        w->size_spans = w->size_spans ? w->size_spans * 2 : 64;
        w->spans = xrealloc(w->spans, w->size_spans * sizeof *w->spans);
    }
    s = &w->spans[w->n_spans++];
    s->at = w->j.b->len + (w->n_spans > 1); /* after the comma */
    s->number = p->number;
    snprintf(s->protocol, sizeof s->protocol, "%s", p->protocol ? p->protocol : "");
    if (w->n_spans > 1 && span_order(s - 1, s) > 0) {
        w->in_order = false;
    }
}

static void put_in_order(struct host_writer *w)
{
    struct buf *b = w->j.b;
    auto_buf old = {0};

    buf_add(&old, b->data + w->ports_at, b->len - w->ports_at);
    for (size_t i = 0; i < w->n_spans; i++) {
        size_t end = i + 1 < w->n_spans ? w->spans[i + 1].at - 1 : b->len;

        w->spans[i].n = end - w->spans[i].at;
    }
    qsort(w->spans, w->n_spans, sizeof *w->spans, span_order);
    b->len = w->ports_at;
    for (size_t i = 0; i < w->n_spans; i++) {
        if (i > 0) {
            buf_addc(b, ',');
        }
        buf_add(b, old.data + (w->spans[i].at - w->ports_at), w->spans[i].n);
    }
}

void host_writer_done(struct host_writer *w)
{
    free(w->spans);
    w->spans = NULL;
    w->n_spans = w->size_spans = 0;
}

static int on_port(void *arg, const struct port *p, struct err *e)
{
    struct host_writer *w = arg;

    note_span(w, p);
    port_json(&w->j, p, w->old ? "" : NULL);
    return 0;
}

static int on_host_end(void *arg, struct err *e)
{
    struct host_writer *w = arg;

    if (!w->in_order) {
        put_in_order(w);
    }
    json_end(&w->j); /* ports */
    json_end(&w->j);
    if (w->lines) {
        buf_addc(w->j.b, '\n');
    }
    w->n++;
    return 0;
}

int host_writer_page(struct store *s, int64_t job_num, const struct host_filter *f,
                     struct host_writer *w, struct err *e)
{
    const struct host_sink sink = {
        .host = on_host, .port = on_port, .host_end = on_host_end, .arg = w};
    int rc;

    w->n = 0;
    w->stopped = false;
    rc = store_hosts(s, job_num, f, &sink, e);
    return w->stopped ? 0 : rc;
}

/* ---- a long list of hosts, with something before and after it ---- */

enum { BATCH = 256 };

struct host_stream {
    struct http_stream st;
    struct api *api;
    int64_t job_num;
    struct host_filter filter;
    char *state; /* owned: what filter.state points to */
    struct host_writer w;
    struct buf head, tail;  /* owned */
    int64_t expected, sent; /* hosts; expected -1: not known */
    bool started;
};

static int stream_more(struct http_stream *st, struct buf *out)
{
    struct host_stream *hs = container_of(st, struct host_stream, st);
    struct err e = {0};

    if (!hs->started) {
        hs->started = true;
        buf_add(out, hs->head.data, hs->head.len);
    }
    hs->w.j.b = out;
    hs->w.full = out->len + API_CHUNK;
    if (host_writer_page(hs->api->store, hs->job_num, &hs->filter, &hs->w, &e) < 0) {
        log_error("results_unreadable", KV("error", e.msg));
        return -1;
    }
    hs->filter.after = hs->w.last;
    hs->filter.after_key = hs->w.last_key;
    hs->sent += hs->w.n;
    if (hs->w.stopped || hs->w.n == hs->filter.limit) {
        return 1;
    }
    if (hs->expected >= 0 && hs->sent != hs->expected) {
        return -1; /* deleted under us: half of a list must not look like a whole one */
    }
    buf_add(out, hs->tail.data, hs->tail.len);
    return 0;
}

static void stream_done(struct http_stream *st)
{
    struct host_stream *hs = container_of(st, struct host_stream, st);

    host_writer_done(&hs->w);
    buf_done(&hs->head);
    buf_done(&hs->tail);
    free(hs->state);
    free(hs);
}

static struct host_stream *stream_new(struct api *a, const struct job *job)
{
    struct host_stream *hs = xcalloc(1, sizeof *hs);

    hs->st.more = stream_more;
    hs->st.done = stream_done;
    hs->api = a;
    hs->job_num = job->num;
    hs->filter.limit = BATCH;
    hs->expected = job_state_terminal(job->state) ? job->hosts : -1;
    return hs;
}

/* ---- the old surface: the whole job in one document ---- */

enum { SMALL_HOSTS = 64 };

static void old_head(struct json *j, const struct job *job)
{
    json_obj(j);
    view_old_job(j, job);
    json_obj_in(j, "result");
    json_arr_in(j, "hosts");
}

static void old_end(struct json *j, const struct job *job)
{
    json_end(j);
    view_run(j, job);
    json_end(j);
    view_old_tail(j, job);
    json_end(j);
}

static int old_small(struct api *a, struct buf *out, const struct job *job, struct err *e)
{
    const struct host_filter f = {.limit = API_PAGE_MAX};
    struct host_writer w = {.j = json_to(out), .old = true};
    int rc;

    old_head(&w.j, job);
    rc = host_writer_page(a->store, job->num, &f, &w, e);
    host_writer_done(&w);
    old_end(&w.j, job);
    return rc;
}

static void old_large(struct api *a, struct http_req *r, const struct job *job)
{
    struct host_stream *hs = stream_new(a, job);
    struct json end;

    /* One writer goes through head, hosts and tail, so that its commas are right. */
    hs->w = (struct host_writer){.j = json_to(&hs->head), .old = true};
    old_head(&hs->w.j, job);
    end = hs->w.j;
    end.b = &hs->tail;
    old_end(&end, job);
    http_reply_stream(r, 200, "application/json", &hs->st);
}

void old_job_reply(struct api *a, struct http_req *r, struct job *job)
{
    struct buf *out;
    struct err e = {0};

    if (job->state == JOB_COMPLETED && job->hosts > SMALL_HOSTS) {
        old_large(a, r, job);
        return;
    }
    out = http_out(r);
    if (job->state != JOB_COMPLETED) {
        struct json j = json_to(out);

        json_obj(&j);
        view_old_job(&j, job);
        json_nil(&j, "result");
        view_old_tail(&j, job);
        json_end(&j);
    } else if (old_small(a, out, job, &e) < 0) {
        buf_reset(out);
        api_fail(r, &e);
        return;
    }
    api_cache_body(a, job, SURFACE_OLD, out);
    api_json_reply(r, 200);
}

/* ---- /api/v1/scans/{id}/hosts ---- */

static bool wants_lines(struct http_req *r)
{
    const char *format = http_query(r, "format");
    const char *accept = http_header(r, "Accept");

    if (format) {
        return str_eq(format, "ndjson");
    }
    return accept && strstr(accept, "application/x-ndjson");
}

static bool known_state(const char *s)
{
    static const char *const states[] = {"up", "down", "unknown", "skipped"};

    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        if (str_eq(s, states[i])) {
            return true;
        }
    }
    return false;
}

/* Reads the query into f. Answers and returns false if something is wrong with it. */
/* A cursor belongs to one order. */
static bool cursor_right(const char *cursor, struct host_filter *f, uint8_t key[HOST_KEY])
{
    if (!f->by_address) {
        return cursor_read(cursor, 'h', &f->after);
    }
    f->after_key = key;
    return cursor_read_place(cursor, key, &f->after);
}

static bool host_query(struct http_req *r, struct host_filter *f, uint8_t key[HOST_KEY])
{
    static const char *const known[] = {"format", "state",  "open", "order",
                                        "limit",  "cursor", NULL};
    const char *order = http_query(r, "order");
    const char *format = http_query(r, "format");
    const char *open = http_query(r, "open");
    const char *cursor = http_query(r, "cursor");
    struct problems p = {0};
    int64_t limit = API_PAGE_DEFAULT;

    if (!api_query_known(r, known) || !api_query_int(r, "limit", 1, API_PAGE_MAX, &limit)) {
        return false;
    }
    f->limit = (uint32_t)limit;
    f->state = http_query(r, "state");
    f->open_only = str_eq(open, "true");
    f->by_address = str_eq(order, "address");
    if (format && !str_eq(format, "json") && !str_eq(format, "ndjson")) {
        problem_add(&p, "?format", "must be json or ndjson");
    }
    if (f->state && !known_state(f->state)) {
        problem_add(&p, "?state", "must be up, down, unknown or skipped");
    }
    if (open && !str_eq(open, "true") && !str_eq(open, "false")) {
        problem_add(&p, "?open", "must be true or false");
    }
    if (order && !f->by_address && !str_eq(order, "seen")) {
        problem_add(&p, "?order", "must be seen or address");
    }
    if (cursor && !cursor_right(cursor, f, key)) {
        problem_add(&p, "?cursor", "is not a cursor of this list");
    }
    if (p.n) {
        problems_reply(r, &p);
        return false;
    }
    return true;
}

static void hosts_lines(struct api *a, struct http_req *r, const struct job *job,
                        const struct host_filter *f)
{
    struct host_stream *hs = stream_new(a, job);

    hs->state = xstrdup(f->state);
    hs->filter = *f;
    hs->filter.state = hs->state;
    hs->filter.limit = BATCH;
    if (f->after_key) {
        memcpy(hs->w.last_key, f->after_key, HOST_KEY);
        hs->filter.after_key = hs->w.last_key;
    }
    if (f->state || f->open_only || f->after) {
        hs->expected = -1;
    }
    hs->w.j = json_to(&hs->head);
    hs->w.lines = true;
    http_reply_stream(r, 200, "application/x-ndjson", &hs->st);
}

static void hosts_end(struct http_req *r, struct host_writer *w, const struct host_filter *f)
{
    bool more = w->stopped || w->n == f->limit;
    char cursor[64];

    if (!f->by_address) {
        api_page_end(r, &w->j, 'h', w->last, more);
        return;
    }
    cursor_write_place(cursor, w->last_key, w->last);
    api_page_end_at(r, &w->j, more ? cursor : NULL);
}

void v1_hosts(struct http_req *r, void *app)
{
    struct api *a = app;
    struct host_filter f = {0};
    struct host_writer w = {.full = CACHE_BYTES};
    uint8_t key[HOST_KEY];
    struct err e = {0};
    struct job job;

    if (!host_query(r, &f, key) || !api_job_of(a, r, &job)) {
        return;
    }
    if (wants_lines(r)) {
        hosts_lines(a, r, &job, &f);
        job_done(&job);
        return;
    }
    w.j = json_to(http_out(r));
    json_obj(&w.j);
    json_arr_in(&w.j, "items");
    if (host_writer_page(a->store, job.num, &f, &w, &e) < 0) {
        buf_reset(w.j.b);
        api_fail(r, &e);
    } else {
        hosts_end(r, &w, &f);
        api_json_reply(r, 200);
    }
    host_writer_done(&w);
    job_done(&job);
}
