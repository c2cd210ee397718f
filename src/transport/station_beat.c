/* Beats, and what their answers mean. Only times of our own clock are compared with each other,
 * and only times of the server's with each other. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/station_internal.h"

enum { PENDING_BEATS = 2, SILENT_BEATS = 30, SILENT_EVERY = 10 };

static uint32_t load_x100(void)
{
    double load;

    return getloadavg(&load, 1) == 1 && load >= 0 && load < 1e6 ? (uint32_t)(load * 100) : 0;
}

/* Those that we hold, and those whose last report is not on its way yet: once it is, the server
 * would take the name for that of a run that is over. */
static bool is_named(const struct run *r)
{
    return r->state == RUN_HELD || r->state == RUN_UNDATED ||
           (r->state == RUN_ENDED && r->sent < spool_last(r->spool));
}

static void name_runs(struct station *s, struct beat *b, bool held)
{
    for (struct run *r = s->runs; r && b->n_leases < BEAT_LEASES_MAX; r = r->next) {
        if (is_named(r) && (r->state == RUN_HELD) == held) {
            b->leases[b->n_leases++] = r->lease;
            r->first_beat = r->first_beat ? r->first_beat : b->n;
        }
    }
}

/* The time is taken before the beat can have reached anybody. */
void station_beat(struct station *s)
{
    struct beat b = {.n = ++s->last_beat, .load_x100 = load_x100()};
    struct station_stats now;

    if (!s->up || !s->placed) {
        return;
    }
    station_stats(s, &now);
    b.busy = MIN(now.held, (uint32_t)WORKER_SLOTS_MAX);
    b.spooled = now.spooled;
    b.spool_bytes = now.spool_bytes;
    b.draining = s->hello.draining || s->leaving;
    name_runs(s, &b, true);
    name_runs(s, &b, false);
    s->beats[b.n % BEATS_KEPT] = (struct sent_beat){.n = b.n, .sent_ms = boot_ms()};
    put_beat(&s->out, &b);
    station_flush_soon(s);
}

bool beat_date(const struct station *s, const struct assignment *a, int64_t *deadline_ms)
{
    const struct sent_beat *best = NULL;

    for (size_t i = 0; i < BEATS_KEPT; i++) {
        const struct sent_beat *b = &s->beats[i];

        if (b->answered && b->boot == a->boot && b->at_ms <= a->at_ms &&
            (!best || b->n > best->n)) {
            best = b;
        }
    }
    if (best) {
        *deadline_ms = best->sent_ms + s->kill_ms;
    }
    return best != NULL;
}

static void take_times(struct station *s, const struct answer *a)
{
    if (s->beat_ms != a->beat_ms) {
        timer_arm(s->loop, &s->beat_timer, a->beat_ms);
    }
    s->beat_ms = a->beat_ms;
    s->kill_ms = a->kill_ms;
}

void station_drain(struct station *s, bool drain)
{
    if (s->drained != drain) {
        s->drained = drain;
        s->ev.drain(s->ev.arg, drain);
    }
}

void station_answered(struct station *s, const struct answer *a)
{
    struct sent_beat *b = &s->beats[a->beat % BEATS_KEPT];
    bool other = s->boot != 0 && s->boot != a->boot;

    take_times(s, a);
    station_drain(s, a->drain);
    s->boot = a->boot;
    if (a->beat > 0 && b->n == a->beat) {
        b->answered = true;
        s->answered_ms = boot_ms();
        s->answered_beat_ms = MAX(s->answered_beat_ms, b->sent_ms);
        b->boot = a->boot;
        b->at_ms = a->at_ms;
        s->known = true;
        for (struct run *r = s->runs; r; r = r->next) {
            if (r->state == RUN_HELD && r->first_beat && r->first_beat <= a->beat) {
                run_deadline(s, r, b->sent_ms + s->kill_ms);
            }
        }
        runs_date(s);
        station_flush_soon(s);
    }
    if (other) {
        station_announce(s); /* a server that was just started: it has heard nothing but beats */
    }
    station_take(s);
}

/* Nobody has read for long; it would only fill the stream of whoever comes back. */
static bool is_silent(const struct station *s)
{
    return boot_ms() - MAX(s->answered_ms, s->up_ms) > SILENT_BEATS * (int64_t)s->beat_ms;
}

void on_beat(struct timer *t)
{
    struct station *s = container_of(t, struct station, beat_timer);

    timer_arm(s->loop, t, s->beat_ms);
    runs_deadlines(s);
    station_watch(s);
    /* A command of a connection that we gave up may have reached Redis late, and taken a task for
     * nobody. */
    s->own_pending |= s->last_beat % PENDING_BEATS == 0;
    runs_date(s);
    runs_tick(s);
    if (is_silent(s) && (s->last_beat + 1) % SILENT_EVERY != 0) {
        s->last_beat++;
    } else {
        station_beat(s);
    }
    station_take(s);
    station_listen(s);
}
