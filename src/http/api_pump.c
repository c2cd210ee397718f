/*
 * Long answers whose rows cost more than their bytes: exports, differences. One step of one of them
 * is made in a turn, whatever their number, so that everybody else's requests go on in between; and
 * none while the client has not taken what it was given.
 */
#include "http/api_pump.h"
#include "base/log.h"
#include "base/mem.h"

static void on_time(struct timer *t)
{
    struct api *a = container_of(t, struct api, pump_timer);
    struct pump *p = a->pumps;

    if (!p) {
        return;
    }
    a->pumps = p->next;
    p->queued = false;
    p->turn = true;
    if (a->pumps) {
        timer_arm(a->loop, t, 0);
    }
    http_stream_wake(&p->st);
}

static void enqueue(struct pump *p)
{
    struct pump **at = &p->api->pumps;

    while (*at) {
        at = &(*at)->next;
    }
    *at = p;
    p->next = NULL;
    p->queued = true;
    if (!p->api->pump_timer.loop) {
        p->api->pump_timer.fn = on_time;
        timer_arm(p->api->loop, &p->api->pump_timer, 0);
    }
}

static void dequeue(struct pump *p)
{
    struct pump **at = &p->api->pumps;

    while (*at && *at != p) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = p->next;
    }
    p->queued = false;
}

static int pump_more(struct http_stream *st, struct buf *out)
{
    struct pump *p = container_of(st, struct pump, st);
    struct err e = {0};
    int rc;

    if (!p->turn) {
        if (!p->queued) {
            enqueue(p);
        }
        return 2;
    }
    p->turn = false;
    rc = p->step(p, &e);
    if (rc < 0) {
        log_error("answer_broken_off", KV("error", e.msg));
        return -1; /* half of a list must not look like a whole one */
    }
    buf_add(out, p->text.data, p->text.len);
    if (p->text.size > 4 * (size_t)API_CHUNK) {
        buf_done(&p->text);
    }
    buf_reset(&p->text);
    if (rc == 0) {
        return 0;
    }
    enqueue(p);
    return 2;
}

static void pump_done(struct http_stream *st)
{
    struct pump *p = container_of(st, struct pump, st);

    if (p->queued) {
        dequeue(p);
    }
    buf_done(&p->text);
    p->free(p);
}

void pump_reply(struct api *a, struct http_req *r, const char *type, struct pump *p)
{
    p->api = a;
    p->st.more = pump_more;
    p->st.done = pump_done;
    http_reply_stream(r, 200, type, &p->st);
}

void api_pumps_stop(struct api *a)
{
    timer_stop(&a->pump_timer);
}
