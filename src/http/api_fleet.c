/*
 * What waits and who works: queues, workers, and messages that were no requests.
 */
#include <string.h>

#include "base/mem.h"
#include "http/api_v1.h"
#include "model/queue.h"

/* ---- queues ---- */

struct queue_view {
    const char *name;
    int64_t ready, oldest_us;
    uint32_t workers, slots, free_slots;
};

/* The worker of this process serves all queues, or only the one of files handed in. */
static void add_local(const struct api *a, struct queue_view *v)
{
    struct sched_stats s = {0};

    sched_stats(a->sched, &s);
    if (s.slots == 0 ||
        (a->cfg.elsewhere && strcmp(v->name, queue_kind_names[QUEUE_IMPORT]) != 0)) {
        return;
    }
    v->workers++;
    v->slots += s.slots;
    v->free_slots += s.paused || s.busy >= s.slots ? 0 : s.slots - s.busy;
}

static void put_queue(struct json *j, const struct queue_view *v)
{
    int64_t waited = v->oldest_us ? MAX(wall_us() - v->oldest_us, 0) : 0;

    json_obj(j);
    json_str(j, "queue", v->name);
    json_int(j, "ready", v->ready);
    json_int(j, "oldest_seconds", waited / 1000000);
    json_int(j, "workers", v->workers);
    json_int(j, "slots", v->slots);
    json_int(j, "free_slots", v->free_slots);
    json_end(j);
}

struct queue_list {
    struct strvec names;
    int64_t ready[64], oldest_us[64];
};

static size_t place(struct queue_list *l, const char *name)
{
    size_t i = 0;

    while (i < l->names.n && strcmp(l->names.v[i], name) != 0) {
        i++;
    }
    if (i == l->names.n && i < ARRAY_LEN(l->ready)) {
        strvec_push(&l->names, name);
    }
    return i;
}

static void note_depth(void *arg, const struct queue_depth *q)
{
    struct queue_list *l = arg;
    size_t i = place(l, q->queue);

    if (i < ARRAY_LEN(l->ready)) {
        l->ready[i] = q->ready;
        l->oldest_us[i] = q->oldest_us;
    }
}

static void note_worker(void *arg, const struct fleet_worker *w)
{
    for (size_t i = 0; i < w->queues->n && !w->gone; i++) {
        place(arg, w->queues->v[i]);
    }
}

/* Also those in which nothing waits, if somebody serves them. */
static void queues_of(const struct api *a, struct queue_list *l)
{
    for (int k = 0; k < QUEUE_KINDS; k++) {
        place(l, queue_kind_names[k]);
    }
    store_queues(a->store, note_depth, l);
    if (a->cfg.fleet) {
        fleet_workers(a->cfg.fleet, note_worker, l);
    }
}

static struct queue_view view_of(const struct api *a, const struct queue_list *l, size_t i)
{
    struct queue_view v = {
        .name = l->names.v[i], .ready = l->ready[i], .oldest_us = l->oldest_us[i]};

    if (a->cfg.fleet) {
        fleet_room(a->cfg.fleet, v.name, &v.workers, &v.slots, &v.free_slots);
    }
    add_local(a, &v);
    return v;
}

bool api_queue_served(const struct api *a, const char *name)
{
    struct queue_view v = {.name = name};

    if (!a->cfg.fleet) {
        return true; /* by this process, or by nobody on purpose */
    }
    add_local(a, &v);
    return v.workers > 0 || fleet_serves(a->cfg.fleet, name);
}

void api_each_queue(const struct api *a,
                    void (*fn)(void *arg, const char *name, int64_t ready, int64_t oldest_us,
                               uint32_t slots, uint32_t free_slots),
                    void *arg)
{
    struct queue_list l = {0};

    queues_of(a, &l);
    for (size_t i = 0; i < l.names.n; i++) {
        struct queue_view v = view_of(a, &l, i);

        fn(arg, v.name, v.ready, v.oldest_us, v.slots, v.free_slots);
    }
    strvec_done(&l.names);
}

void v1_queues(struct http_req *r, void *app)
{
    const struct api *a = app;
    struct json j = json_to(http_out(r));
    struct queue_list l = {0};

    http_not_stored(r);
    queues_of(a, &l);
    json_obj(&j);
    json_arr_in(&j, "items");
    for (size_t i = 0; i < l.names.n; i++) {
        struct queue_view v = view_of(a, &l, i);

        put_queue(&j, &v);
    }
    json_end(&j);
    json_end(&j);
    strvec_done(&l.names);
    api_json_reply(r, 200);
}

/* One queue, for a scaler that wants one number. A queue that nobody serves yet has one too. */
void v1_queue(struct http_req *r, void *app)
{
    const struct api *a = app;
    const char *name = http_param(r, "name");
    struct queue_list l = {0};
    char zone[ZONE_MAX];
    enum queue_kind kind;
    struct err e = {0};
    size_t i;

    http_not_stored(r);
    if (queue_parse(name, &kind, zone, &e) < 0) {
        api_error(r, ERR_NOT_FOUND, "%s", e.msg);
        return;
    }
    queues_of(a, &l);
    i = place(&l, name);
    if (i < l.names.n) {
        struct json j = json_to(http_out(r));
        struct queue_view v = view_of(a, &l, i);

        put_queue(&j, &v);
        api_json_reply(r, 200);
    } else {
        api_error(r, ERR_LIMIT, "there are too many queues");
    }
    strvec_done(&l.names);
}

/* ---- workers ---- */

static void put_words(struct json *j, const char *key, const struct strvec *v)
{
    json_arr_in(j, key);
    for (size_t i = 0; i < v->n; i++) {
        json_str(j, NULL, v->v[i]);
    }
    json_end(j);
}

struct tool_search {
    const char *name, *version;
};

/* "nmap 7.93" */
static void look_for_tool(void *arg, const struct fleet_worker *w)
{
    struct tool_search *s = arg;
    size_t n = strlen(s->name);

    for (size_t i = 0; i < w->tools->n && !w->gone && !s->version; i++) {
        const char *text = w->tools->v[i];

        if (strncmp(text, s->name, n) == 0 && (text[n] == ' ' || !text[n])) {
            s->version = text + n + (text[n] == ' ');
        }
    }
}

const char *api_fleet_tool(const struct api *a, const char *tool)
{
    struct tool_search s = {.name = tool};

    fleet_workers(a->cfg.fleet, look_for_tool, &s);
    return s.version;
}

static const char *state_of(const struct fleet_worker *w)
{
    return w->gone ? "gone" : w->draining ? "draining" : "up";
}

static void put_worker(void *arg, const struct fleet_worker *w)
{
    struct json *j = arg;

    json_obj(j);
    json_str(j, "name", w->name);
    json_str(j, "state", state_of(w));
    json_str(j, "host", w->host);
    json_str(j, "version", w->version);
    json_str(j, "zone", w->zone);
    put_words(j, "queues", w->queues);
    put_words(j, "tools", w->tools);
    json_int(j, "slots", w->slots);
    json_int(j, "busy", w->held);
    json_int(j, "load_x100", w->load_x100);
    json_int(j, "spooled", w->spooled);
    json_int(j, "spool_bytes", (int64_t)MIN(w->spool_bytes, (uint64_t)INT64_MAX));
    if (w->heard_ms >= 0) {
        json_int(j, "heard_ms", w->heard_ms);
    } else {
        json_nil(j, "heard_ms");
    }
    json_str(j, "confinement", w->confinement);
    json_end(j);
}

void v1_workers(struct http_req *r, void *app)
{
    const struct api *a = app;
    struct json j = json_to(http_out(r));

    http_not_stored(r);
    json_obj(&j);
    json_bool(&j, "transport", a->cfg.fleet != NULL);
    json_arr_in(&j, "items");
    if (a->cfg.fleet) {
        fleet_workers(a->cfg.fleet, put_worker, &j);
    }
    json_end(&j);
    json_end(&j);
    api_json_reply(r, 200);
}

static void set_drain(struct http_req *r, struct api *a, bool on)
{
    const char *name = http_param(r, "name");
    struct audit_note n;
    struct err e = {0};
    int rc = a->cfg.fleet ? fleet_drain(a->cfg.fleet, name, on, &e)
                          : err_set(&e, ERR_NOT_FOUND, "this server has no transport");

    if (rc < 0) {
        api_fail(r, &e);
        return;
    }
    audit_begin(&n, r);
    audit_add(a, api_key(r), on ? "worker.drain" : "worker.resume", name, &n);
    http_reply(r, 204, NULL, NULL, 0);
}

void v1_worker_drain(struct http_req *r, void *app)
{
    set_drain(r, app, true);
}

void v1_worker_resume(struct http_req *r, void *app)
{
    set_drain(r, app, false);
}

/* ---- messages that were no requests ---- */

static int put_dead(void *arg, const struct dead_letter *d, struct err *e)
{
    struct number_page *pg = arg;

    (void)e;
    json_obj(&pg->j);
    json_int(&pg->j, "seq", d->seq);
    json_time(&pg->j, "at", d->at_us);
    json_str(&pg->j, "source", d->source);
    json_str(&pg->j, "task_id", d->task_id);
    json_str(&pg->j, "reason", d->reason);
    json_str(&pg->j, "body", d->body);
    json_end(&pg->j);
    pg->last = d->seq;
    pg->n++;
    return 0;
}

static int list_dead(struct store *s, int64_t after, uint32_t limit, struct number_page *pg,
                     struct err *e)
{
    return store_dead_list(s, after, limit, put_dead, pg, e);
}

void v1_dead_letters(struct http_req *r, void *app)
{
    struct api *a = app;

    api_number_page(r, a->store, list_dead);
}
