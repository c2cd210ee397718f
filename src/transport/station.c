#include "transport/station.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/station_internal.h"

char *station_key(const struct station *s, const char *kind, const char *name)
{
    return str_fmt("%s%s%s", s->url.prefix, kind, name);
}

/* ---- what we are ---- */

static void copy_list(struct strvec *to, const struct strvec *from)
{
    *to = (struct strvec){0};
    for (size_t i = 0; i < from->n; i++) {
        strvec_push(to, from->v[i]);
    }
}

static void free_hello(struct hello *h)
{
    free((void *)(uintptr_t)h->version);
    free((void *)(uintptr_t)h->zone);
    free((void *)(uintptr_t)h->host);
    free((void *)(uintptr_t)h->home);
    strvec_done(&h->queues);
    strvec_done(&h->tools);
}

static void copy_hello(struct hello *to, const struct hello *from)
{
    *to = *from;
    to->version = xstrdup(from->version);
    to->zone = xstrdup(from->zone);
    to->host = xstrdup(from->host);
    to->home = xstrdup(from->home);
    copy_list(&to->queues, &from->queues);
    copy_list(&to->tools, &from->tools);
    to->held = (struct strvec){0};
}

void station_announce(struct station *s)
{
    struct hello h = s->hello;
    auto_strvec held = {0};

    if (!s->up || !s->placed) {
        return; /* it is said when we are */
    }
    for (const struct run *r = s->runs; r; r = r->next) {
        if (r->state == RUN_OFFERED) {
            char text[LEASE_TEXT + 1];

            lease_text(&r->lease, text);
            strvec_push(&held, text);
        }
    }
    h.held = held;
    put_hello(&s->out, &h);
    for (struct run *r = s->runs; r; r = r->next) {
        if (r->state == RUN_OFFERED) {
            r->since_ms = boot_ms();
            put_offer(&s->out, &r->lease);
        }
    }
    station_beat(s);
}

void station_hello(struct station *s, const struct hello *h)
{
    free_hello(&s->hello);
    copy_hello(&s->hello, h);
    station_groups(s);
    station_announce(s);
}

void station_room(struct station *s, uint32_t slots)
{
    uint32_t undated = 0; /* they are not with the owner yet */

    for (const struct run *r = s->runs; r; r = r->next) {
        undated += r->state == RUN_UNDATED;
    }
    s->room = slots > undated ? slots - undated : 0;
    station_take(s);
}

/* ---- connections ---- */

static void on_up(void *arg)
{
    struct station *s = arg;
    auto_free char *warn = NULL;
    struct err e = {0};

    if (redis_server_check(redis_server(s->cmd), &warn, &e) != 0) {
        s->ev.refused(s->ev.arg, e.msg);
        return;
    }
    if (warn && !s->warned) {
        s->warned = true;
        log_warn("transport", KV("hint", warn));
    }
    log_info("transport_up", KV("version", redis_server(s->cmd)->version));
    s->up = true;
    s->up_ms = boot_ms();
    s->down_told = false;
    s->placed = false;
    s->known = false;
    s->writing = 0;
    for (struct run *r = s->runs; r; r = r->next) {
        run_send_again(s, r);
    }
    station_groups(s);
    station_place(s);
}

static void lose(struct station *s)
{
    if (s->up) {
        s->stats.reconnects++;
    }
    s->up = false;
    s->known = false;
    s->writing = 0;
    runs_keep(s);
    station_flush_soon(s);
}

static void on_down(void *arg, const char *why)
{
    struct station *s = arg;

    if (s->up || !s->down_told) {
        s->down_told = true;
        log_warn("transport_down", KV("why", why));
    }
    lose(s);
}

static void on_reader_up(void *arg)
{
    struct reader *r = arg;

    r->up = true;
    r->waiting = false;
    if (r == &r->station->take) {
        r->station->own_pending = true;
    }
    r->go_on(r->station);
}

static void on_reader_down(void *arg, const char *why)
{
    struct reader *r = arg;

    (void)why; /* the other connection says it */
    r->up = r->waiting = false;
}

static int connect_cmd(struct station *s, struct err *e)
{
    const struct redis_events ev = {.up = on_up,
                                    .down = on_down,
                                    .resolve = s->net.resolve,
                                    .resolve_arg = s->net.resolve_arg,
                                    .arg = s};

    return redis_new(s->loop, &s->url, &ev, &s->cmd, e);
}

static int connect_reader(struct station *s, struct reader *r, struct err *e)
{
    const struct redis_events ev = {.up = on_reader_up,
                                    .down = on_reader_down,
                                    .resolve = s->net.resolve,
                                    .resolve_arg = s->net.resolve_arg,
                                    .arg = r};

    r->up = r->waiting = false;
    return redis_new(s->loop, &s->url, &ev, &r->redis, e);
}

static void rebuilt(const char *what, int64_t silent_ms, int rc, const struct err *e)
{
    log_warn("connection_rebuilt", KV("which", what), KV("silent_ms", silent_ms),
             KV("error", rc == 0 ? "" : e->msg));
}

void station_watch(struct station *s)
{
    int64_t now = boot_ms(), most = 3 * (int64_t)s->beat_ms;
    struct reader *readers[] = {&s->take, &s->tell};
    struct err e = {0};

    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        struct reader *r = readers[i];

        if (r->redis && r->up && r->waiting && now - r->turned_ms > most) {
            redis_free(take_ptr(&r->redis));
            rebuilt(r->what, now - r->turned_ms, connect_reader(s, r, &e), &e);
        }
    }
    if (s->up && s->writing > 0 && now - s->wrote_ms > most) {
        redis_free(take_ptr(&s->cmd));
        lose(s);
        rebuilt("reports", now - s->wrote_ms, connect_cmd(s, &e), &e);
    }
}

/* ---- life ---- */

static int load_spool(struct station *s, struct err *e)
{
    uint32_t removed = 0;
    int rc = spools_load(s->spool_dir, run_load, s, &removed, e);

    if (removed > 0) {
        log_warn("spool_cleaned", KV("files", removed));
    }
    return rc;
}

static void on_deadline(struct timer *t)
{
    runs_deadlines(container_of(t, struct station, deadline_timer));
}

int station_new(struct loop *l, const struct station_config *c, const struct station_events *ev,
                struct station **out, struct err *e)
{
    struct station *s = xcalloc(1, sizeof *s);
    uint64_t instance;
    int rc;

    s->loop = l;
    s->net = c->net;
    s->ev = *ev;
    s->name = xstrdup(c->name);
    s->spool_dir = xstrdup(c->spool_dir);
    s->runs_tail = &s->runs;
    s->beat_ms = FIRST_BEAT_MS;
    s->kill_ms = FIRST_KILL_MS;
    redis_url_copy(c->url, &s->url);
    copy_hello(&s->hello, &c->hello);
    random_bytes(&instance, sizeof instance);
    snprintf(s->instance, sizeof s->instance, "%016" PRIx64, instance);
    s->flush_timer.fn = on_flush;
    s->beat_timer.fn = on_beat;
    s->deadline_timer.fn = on_deadline;
    s->leave_timer.fn = on_leave;
    s->take = (struct reader){.station = s, .what = "tasks", .go_on = station_take};
    s->tell = (struct reader){.station = s, .what = "words", .go_on = station_listen};
    if ((rc = load_spool(s, e)) != 0 || (rc = connect_cmd(s, e)) != 0 ||
        (rc = connect_reader(s, &s->take, e)) != 0 || (rc = connect_reader(s, &s->tell, e)) != 0) {
        station_free(s);
        return rc;
    }
    timer_arm(l, &s->beat_timer, s->beat_ms);
    *out = s;
    return 0;
}

void station_free(struct station *s)
{
    if (!s) {
        return;
    }
    redis_free(s->cmd);
    redis_free(s->take.redis);
    redis_free(s->tell.redis);
    timer_stop(&s->flush_timer);
    timer_stop(&s->beat_timer);
    timer_stop(&s->deadline_timer);
    timer_stop(&s->leave_timer);
    runs_free(s);
    free_hello(&s->hello);
    redis_url_done(&s->url);
    buf_done(&s->out);
    free(s->name);
    free(s->spool_dir);
    free(s);
}

/* ---- leaving ---- */

void on_leave(struct timer *t)
{
    struct station *s = container_of(t, struct station, leave_timer);

    s->up = false; /* nothing more is sent */
    runs_keep(s);
    station_left(s);
}

void station_left(struct station *s)
{
    void (*left)(void *arg) = s->left;

    timer_stop(&s->leave_timer);
    s->left = NULL;
    if (left) {
        left(s->left_arg);
    }
}

void station_leave(struct station *s, uint32_t within_ms, void (*left)(void *arg), void *arg)
{
    s->leaving = true;
    s->left = left;
    s->left_arg = arg;
    timer_arm(s->loop, &s->leave_timer, within_ms);
    station_flush_soon(s);
}

void station_stats(const struct station *s, struct station_stats *out)
{
    *out = s->stats;
    out->up = s->up;
    out->held = out->spooled = 0;
    out->spool_bytes = 0;
    for (const struct run *r = s->runs; r; r = r->next) {
        out->held += r->state == RUN_UNDATED || r->state == RUN_HELD || r->state == RUN_LOST;
        if (spool_settled(r->spool)) {
            out->spooled++;
            out->spool_bytes += spool_stored(r->spool);
        }
    }
}
