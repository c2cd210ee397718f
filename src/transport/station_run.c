#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/station_internal.h"

/* ---- the list ---- */

static bool same_lease(const struct lease *a, const struct lease *b)
{
    return a->token == b->token && a->epoch == b->epoch && a->idx == b->idx &&
           id_cmp(&a->job_id, &b->job_id) == 0;
}

struct run *run_of(const struct station *s, const struct lease *l)
{
    struct run *r = s->runs;

    while (r && !same_lease(&r->lease, l)) {
        r = r->next;
    }
    return r;
}

static struct run *add(struct station *s, const struct lease *l, struct spool *sp)
{
    struct run *r = xcalloc(1, sizeof *r);

    r->lease = *l;
    r->spool = sp;
    r->moved_ms = boot_ms();
    *s->runs_tail = r;
    s->runs_tail = &r->next;
    return r;
}

struct run *run_new(struct station *s, const struct lease *l)
{
    return add(s, l, spool_new(s->spool_dir, l));
}

static void unlink_run(struct station *s, struct run *r)
{
    struct run **at = &s->runs;

    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
    if (s->runs_tail == &r->next) {
        s->runs_tail = at;
    }
    s->flight -= r->flight;
    buf_done(&r->entry);
    free(r->task);
    free(r);
}

void run_drop(struct station *s, struct run *r)
{
    spool_remove(r->spool);
    unlink_run(s, r);
    station_flush_soon(s); /* there is room for others' reports */
}

void runs_free(struct station *s)
{
    s->up = false;
    runs_keep(s);
    while (s->runs) {
        spool_free(s->runs->spool);
        unlink_run(s, s->runs);
    }
}

void run_load(void *arg, const struct lease *l, struct spool *sp)
{
    struct run *r = add(arg, l, sp);

    r->state = RUN_OFFERED;
    r->complete = true;
    r->since_ms = boot_ms();
}

/* ---- assignments ---- */

static bool was_taken(const struct station *s, uint64_t token)
{
    for (uint32_t i = 0; i < MIN(s->n_taken, (uint32_t)TAKEN_KEPT); i++) {
        if (s->taken[i] == token) {
            return true;
        }
    }
    return false;
}

/* False: it stays undated. */
static bool start(struct station *s, struct run *r, const struct assignment *a)
{
    int64_t deadline;

    if (!beat_date(s, a, &deadline)) {
        return false;
    }
    if (deadline - boot_ms() < (int64_t)s->beat_ms) {
        run_give_back(s, r, RELEASE_STALE);
        return true;
    }
    r->state = RUN_HELD;
    r->tell_took = true;
    r->deadline_ms = deadline;
    run_deadline(s, r, deadline);
    s->stats.taken++;
    s->ev.assigned(s->ev.arg, a, deadline);
    station_flush_soon(s);
    return true;
}

void run_assign(struct station *s, const struct assignment *a, const void *entry, size_t n)
{
    struct run *r;

    if (was_taken(s, a->lease.token) || run_of(s, &a->lease)) {
        return;
    }
    s->taken[s->n_taken++ % TAKEN_KEPT] = a->lease.token;
    r = run_new(s, &a->lease);
    if (s->drained || s->leaving || s->room == 0) {
        run_give_back(s, r, s->drained || s->leaving ? RELEASE_DRAIN : RELEASE_STALE);
        return;
    }
    s->room--;
    r->state = RUN_UNDATED;
    r->since_ms = boot_ms();
    if (!start(s, r, a)) {
        buf_add(&r->entry, entry, n);
        station_beat(s); /* its answer will tell */
    }
}

static void date(struct station *s, struct run *r)
{
    struct buf entry = r->entry;
    const uint8_t *p = (const uint8_t *)entry.data;
    size_t n = entry.len;
    struct message m = {0};

    r->entry = (struct buf){0};
    if (message_next(&p, &n, &m, NULL) == 0 && start(s, r, &m.assign)) {
        buf_done(&entry);
    } else {
        r->entry = entry;
        if (boot_ms() - r->since_ms > 2 * (int64_t)s->beat_ms) {
            run_give_back(s, r, RELEASE_STALE);
        }
    }
    message_done(&m);
}

void runs_date(struct station *s)
{
    for (struct run *r = s->runs, *next; r; r = next) {
        next = r->next;
        if (r->state == RUN_UNDATED) {
            date(s, r);
        }
    }
}

/* ---- time ---- */

void run_deadline(struct station *s, struct run *r, int64_t deadline_ms)
{
    if (deadline_ms > r->deadline_ms) {
        r->deadline_ms = deadline_ms;
        s->ev.extend(s->ev.arg, &r->lease, deadline_ms);
    }
    if (!s->deadline_timer.loop || s->deadline_timer.at_ms > deadline_ms) {
        timer_arm(s->loop, &s->deadline_timer, MAX(deadline_ms - boot_ms(), 0));
    }
}

static void too_late(struct station *s, struct run *r)
{
    char text[LEASE_TEXT + 1];

    lease_text(&r->lease, text);
    log_warn("lease_lost", KV("lease", text));
    r->state = RUN_LOST;
    s->stats.self_kills++;
}

void runs_deadlines(struct station *s)
{
    int64_t now = boot_ms(), next_ms = INT64_MAX;

    for (struct run *r = s->runs, *next; r; r = next) {
        next = r->next;
        if (r->state == RUN_HELD && now >= r->deadline_ms) {
            too_late(s, r);
            s->ev.fenced(s->ev.arg, &r->lease);
        } else if (r->state == RUN_HELD) {
            next_ms = MIN(next_ms, r->deadline_ms);
        }
    }
    if (next_ms != INT64_MAX) {
        timer_arm(s->loop, &s->deadline_timer, MAX(next_ms - now, 1));
    }
}

/* With the owner, and in time. One whose time is over is lost from now on. */
static struct run *held(struct station *s, const struct lease *l)
{
    struct run *r = run_of(s, l);

    if (r && r->state == RUN_HELD && boot_ms() >= r->deadline_ms) {
        too_late(s, r);
    }
    return r && r->state == RUN_HELD ? r : NULL;
}

/* ---- reports ---- */

static void ended(struct station *s, struct run *r, const struct buf *message)
{
    spool_add(r->spool, message->data, message->len);
    r->state = RUN_ENDED;
    r->moved_ms = boot_ms();
    if (!s->up) {
        runs_keep(s);
    }
    station_flush_soon(s);
}

void run_give_back(struct station *s, struct run *r, enum release_why why)
{
    auto_buf b = {0};

    put_release(&b, &r->lease, spool_last(r->spool) + 1, why);
    ended(s, r, &b);
}

void station_release(struct station *s, const struct lease *l, enum release_why why)
{
    struct run *r = held(s, l);

    if (r) {
        run_give_back(s, r, why);
    } else if ((r = run_of(s, l)) && r->state == RUN_LOST) {
        run_give_back(s, r, RELEASE_LOST); /* only now: it is certain that nothing of it runs */
    }
}

void station_wait(struct station *s, const struct lease *l, int64_t until_us)
{
    struct run *r = held(s, l);
    auto_buf b = {0};

    if (r) {
        put_wait(&b, l, spool_last(r->spool) + 1, until_us);
        ended(s, r, &b);
    }
}

void station_hosts(struct station *s, const struct lease *l, const void *records, size_t n)
{
    struct run *r = held(s, l);
    auto_buf b = {0};

    if (r) {
        put_hosts(&b, l, spool_last(r->spool) + 1, records, n);
        spool_add(r->spool, b.data, b.len);
        runs_keep(s);
        station_flush_soon(s);
    }
}

void station_progress(struct station *s, const struct lease *l, const struct progress *p)
{
    struct run *r = held(s, l);

    if (r) {
        free(r->task);
        r->task = xstrdup(p->task);
        r->progress = *p;
        r->progress.task = r->task;
        r->has_progress = true;
        station_flush_soon(s);
    }
}

static bool add_raw(struct run *r, const char *raw_path)
{
    struct err e = {0};
    int rc = spool_add_raw(r->spool, raw_path, &e);

    if (rc != 0) {
        log_warn("raw_lost", KV("error", e.msg));
        (void)unlink(raw_path);
    }
    return rc == 0;
}

/* An outcome that is too large for a message is told without its record. */
static void put_outcome(struct buf *b, const struct run *r, struct outcome *o)
{
    uint64_t seq = spool_last(r->spool) + 1;

    put_end(b, &r->lease, seq, o);
    if (b->over) {
        o->run_json = o->command_line = o->summary_json = NULL;
        buf_done(b);
        *b = (struct buf){0};
        put_end(b, &r->lease, seq, o);
    }
}

void station_end(struct station *s, const struct lease *l, const struct outcome *o,
                 const char *raw_path)
{
    struct run *r = held(s, l);
    struct outcome copy = *o;
    auto_buf b = {0};

    if (!r) {
        if (raw_path) {
            (void)unlink(raw_path);
        }
        station_release(s, l, RELEASE_LOST);
        return;
    }
    if (!raw_path || !add_raw(r, raw_path)) {
        copy.raw_sha256 = NULL;
        copy.raw_size = copy.raw_stored = 0;
    }
    put_outcome(&b, r, &copy);
    r->complete = o->state == JOB_COMPLETED;
    ended(s, r, &b);
}

/* ---- what the server says ---- */

void run_ack(struct station *s, const struct lease *l, uint64_t seq)
{
    struct run *r = run_of(s, l);

    if (!r || seq <= r->acked || seq > spool_last(r->spool)) {
        return;
    }
    for (uint64_t i = r->acked + 1; i <= MIN(seq, r->sent); i++) {
        size_t size = spool_size(r->spool, i);

        r->flight -= size;
        s->flight -= size;
    }
    r->acked = seq;
    r->again = 0;
    r->sent = MAX(r->sent, seq);
    r->moved_ms = boot_ms();
    if (r->state == RUN_ENDED && seq == spool_last(r->spool)) {
        s->stats.delivered++;
        run_drop(s, r);
    } else {
        station_flush_soon(s);
    }
}

static void offer(struct station *s, struct run *r)
{
    run_send_again(s, r);
    r->state = RUN_OFFERED;
    r->since_ms = boot_ms();
    put_offer(&s->out, &r->lease);
    station_flush_soon(s);
}

void run_fenced(struct station *s, const struct lease *l, bool open)
{
    struct run *r = run_of(s, l);

    if (!r || (open && r->state == RUN_OFFERED)) {
        return; /* offered again in a while */
    }
    s->stats.fenced++;
    if (open && r->state == RUN_ENDED && r->complete) {
        offer(s, r);
    } else if (r->state == RUN_HELD) {
        struct lease copy = r->lease;

        run_drop(s, r);
        s->ev.fenced(s->ev.arg, &copy);
    } else {
        run_drop(s, r);
    }
}

void run_adopt(struct station *s, const struct lease *l, const struct lease *now)
{
    struct run *r = run_of(s, l);
    struct err e = {0};

    if (run_of(s, now)) {
        return;
    }
    if (!r || r->state != RUN_OFFERED || spool_rename(r->spool, now, &e) != 0) {
        if (e.code) {
            log_error("spool_failed", KV("error", e.msg));
        }
        run_give_back(s, run_new(s, now), RELEASE_LOST);
        return;
    }
    run_send_again(s, r);
    r->lease = *now;
    r->state = RUN_ENDED;
    r->acked = r->sent = 0;
    r->again = 0;
    r->first_beat = 0;
    r->moved_ms = boot_ms();
    station_flush_soon(s);
}

/* It cannot be delivered any more. */
void run_spoilt(struct station *s, struct run *r)
{
    struct lease l = r->lease;
    bool with_owner = r->state == RUN_HELD;

    run_drop(s, r);
    if (with_owner) {
        s->ev.fenced(s->ev.arg, &l);
    }
}

/* ---- what is kept ---- */

static void settle(struct run *r)
{
    struct err e = {0};

    if (spool_settle(r->spool, &e) != 0) {
        log_warn("spool_failed", KV("error", e.msg));
    }
}

static struct run *largest(const struct station *s, size_t *total)
{
    struct run *most = NULL;

    *total = 0;
    for (struct run *r = s->runs; r; r = r->next) {
        *total += spool_memory(r->spool);
        if (!most || spool_memory(r->spool) > spool_memory(most->spool)) {
            most = r;
        }
    }
    return most;
}

/* A result that is complete and was not taken for so long may have to outlive us. */
static bool waits(const struct station *s, const struct run *r)
{
    return !s->up || boot_ms() - r->moved_ms > 2 * (int64_t)s->beat_ms;
}

void runs_keep(struct station *s)
{
    struct run *most;
    size_t total;

    for (struct run *r = s->runs; r; r = r->next) {
        if (r->complete && (r->state == RUN_ENDED || r->state == RUN_OFFERED) && waits(s, r) &&
            !spool_settled(r->spool)) {
            settle(r);
        }
    }
    while ((most = largest(s, &total)) && total > MEMORY_MAX) {
        struct err e = {0};

        if (spool_spill(most->spool, &e) == 0) {
            s->full = false;
        } else if (total > MEMORY_FULL) {
            log_error("run_given_up", KV("error", e.msg));
            run_spoilt(s, most);
        } else {
            if (!s->full) {
                log_warn("spool_failed", KV("error", e.msg));
            }
            s->full = true;
            break;
        }
    }
}

/* The server has answered a beat that was sent after it, and not acknowledged it. */
static bool unheard(const struct station *s, const struct run *r)
{
    return boot_ms() - r->moved_ms > 2 * (int64_t)s->beat_ms && s->answered_beat_ms > r->moved_ms;
}

/* Again, or never more: one that the server refuses each time would go for ever. The task is lost
 * with its lease. */
static void again(struct station *s, struct run *r)
{
    if (++r->again <= AGAIN_MAX) {
        run_send_again(s, r);
        r->moved_ms = boot_ms();
    } else {
        char text[LEASE_TEXT + 1];

        lease_text(&r->lease, text);
        log_error("report_not_taken", KV("lease", text), KV("report", r->acked + 1));
        run_spoilt(s, r);
    }
}

void runs_tick(struct station *s)
{
    int64_t now = boot_ms(), rest_ms = 3 * (int64_t)s->beat_ms;
    bool heard = now - s->answered_ms < rest_ms;

    runs_keep(s);
    for (struct run *r = s->runs, *next; s->up && s->placed && r; r = next) {
        next = r->next;
        if (r->state == RUN_OFFERED && heard && now - r->since_ms > rest_ms) {
            r->since_ms = now;
            put_offer(&s->out, &r->lease);
        }
        if (r->sent > r->acked && unheard(s, r)) {
            again(s, r);
        }
    }
    station_flush_soon(s);
}
