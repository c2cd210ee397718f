/*
 * What is written: one entry for all that a turn has to say. Of reports of runs only so much is
 * under way that the server's Redis need not hold more than FLIGHT_MAX of this worker, and nothing
 * on a new connection before the server has answered; each run gets its turn, one report after the
 * other.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/station_internal.h"

void station_flush_soon(struct station *s)
{
    if (!s->flush_timer.loop) {
        timer_arm(s->loop, &s->flush_timer, 0);
    }
}

static void on_written(void *arg, const redisReply *reply)
{
    struct station *s = arg;

    if (!reply) {
        return; /* `down` follows, and all of it is sent again */
    }
    s->writing -= s->writing > 0;
    s->wrote_ms = boot_ms();
    if (reply->type == REDIS_REPLY_ERROR) {
        log_warn("transport_refused", KV("error", reply->str)); /* sent again after a while */
    }
    if (s->bye && s->writing == 0) {
        station_left(s);
    }
}

static void write_entry(struct station *s, struct buf *b)
{
    auto_free char *key = NULL;

    if (b->len == 0) {
        return;
    }
    key = station_key(s, "reports", "");
    s->wrote_ms = s->writing++ ? s->wrote_ms : boot_ms();
    redis_cmd(s->cmd, on_written, s, "XADD %s * v %d w %s i %s d %b", key, TRANSPORT_PROTOCOL,
              s->name, s->instance, b->data, b->len);
    buf_reset(b);
}

void run_send_again(struct station *s, struct run *r)
{
    s->flight -= r->flight;
    r->flight = 0;
    r->sent = r->acked;
}

static bool reports(const struct run *r)
{
    return r->state == RUN_HELD || r->state == RUN_ENDED;
}

/* Progress that nobody reads would only fill the stream. */
static void put_notes(struct station *s, struct buf *b)
{
    bool heard = boot_ms() - s->answered_ms < 3 * (int64_t)s->beat_ms;

    for (struct run *r = s->runs; r; r = r->next) {
        if (r->state == RUN_HELD && r->tell_took) {
            put_took(b, &r->lease);
        }
        if (r->state == RUN_HELD && r->has_progress && heard) {
            put_progress(b, &r->lease, &r->progress);
        }
        r->tell_took = r->has_progress = false;
    }
}

/* False: there is nothing to send, or it cannot be read. */
static bool put_next(struct station *s, struct run *r, struct buf *b)
{
    struct err e = {0};
    size_t size;

    if (!reports(r) || r->sent >= spool_last(r->spool)) {
        return false;
    }
    size = spool_size(r->spool, r->sent + 1);
    if (s->flight > 0 && s->flight + size > FLIGHT_MAX) {
        return false;
    }
    if (spool_get(r->spool, r->sent + 1, &r->lease, b, &e) != 0) {
        log_error("report_lost", KV("error", e.msg));
        run_spoilt(s, r);
        return false;
    }
    r->moved_ms = r->sent == r->acked ? boot_ms() : r->moved_ms;
    r->sent++;
    r->flight += size;
    s->flight += size;
    return true;
}

static void put_reports(struct station *s, struct buf *b)
{
    bool more = s->known;

    while (more) {
        more = false;
        for (struct run *r = s->runs, *next; r; r = next) {
            next = r->next;
            more |= put_next(s, r, b);
            if (b->len >= ENTRY_BYTES) {
                write_entry(s, b);
            }
        }
    }
}

/* Nothing is left that this process could still deliver; while there is nobody, nothing that would
 * be lost with it. */
static bool delivered(const struct station *s)
{
    for (const struct run *r = s->runs; r; r = r->next) {
        if (r->state != RUN_OFFERED && (s->up || !spool_settled(r->spool))) {
            return false;
        }
    }
    return true;
}

void on_flush(struct timer *t)
{
    struct station *s = container_of(t, struct station, flush_timer);
    struct buf b = s->out;

    if (!s->up || !s->placed) {
        buf_reset(&s->out); /* whoever connects says it anew */
        if (s->leaving && !s->up && delivered(s)) {
            station_left(s);
        }
        return;
    }
    s->out = (struct buf){0};
    put_notes(s, &b);
    put_reports(s, &b);
    if (s->leaving && s->left && !s->bye && delivered(s)) {
        s->bye = true;
        put_bye(&b);
    }
    write_entry(s, &b);
    buf_done(&b);
}
