#include "daemon/intake_results.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/intake_view.h"

enum {
    PAGE = 256,            /* events looked at in a turn */
    PUT_EACH = 64,         /* results after which the cursor is put at once */
    KEEP_MS = 3600 * 1000, /* it is put also when it stands still, so that no event expires */
    SHOWN_MAX = 4096,
};

int intake_results_open(struct intake_results *r, struct err *e)
{
    int rc;

    r->cursor = str_fmt("intake:%s", r->name);
    rc = store_cursor_get(r->store, r->cursor, &r->put, e);
    if (rc == 0 && r->put == 0) {
        /* A new one: nothing came from it yet. The first event is no result of anything. */
        r->put = MAX(store_event_last(r->store), 1);
        rc = store_cursor_put(r->store, r->cursor, r->put, e);
    }
    r->read = r->put;
    r->put_ms = boot_ms();
    return rc;
}

void intake_results_done(struct intake_results *r)
{
    free(r->cursor);
    r->cursor = NULL;
}

static struct result_row *row(struct intake_results *r, size_t i)
{
    return &r->rows[(r->first + i) % RESULTS_AT_ONCE];
}

/* ---- the cursor ---- */

static int64_t position(struct intake_results *r)
{
    return r->n ? row(r, 0)->seq - 1 : r->read;
}

static void put_cursor(struct intake_results *r)
{
    int64_t at = position(r);
    int64_t now = boot_ms();
    struct err e = {0};

    if (at == r->put && now - r->put_ms < KEEP_MS) {
        return;
    }
    if (store_cursor_put(r->store, r->cursor, at, &e) < 0) {
        log_error("cursor_not_stored", KV("intake", r->name), KV("error", e.msg));
        return;
    }
    r->put = at;
    r->put_ms = now;
    r->since_put = 0;
}

void intake_results_undone(struct intake_results *r)
{
    r->put = -1; /* again with the next tick */
}

/* ---- ends ---- */

bool intake_result_is_lost(int rc)
{
    return rc == ERR_INVALID || rc == ERR_NOT_FOUND;
}

void intake_note_undeliverable(struct store *s, const char *intake, const char *task_id,
                               const char *why, const char *body)
{
    auto_buf reason = {.cap = 512};
    auto_free char *shown = NULL;
    size_t n = strnlen(body, SHOWN_MAX);
    struct dead_letter d = {.at_us = wall_us(), .source = intake, .task_id = task_id};
    struct err e = {0};

    while (n > 0 && !utf8_valid(body, n)) {
        n--;
    }
    shown = xstrndup(body, n);
    buf_adds(&reason, "undeliverable: ");
    buf_add_escaped(&reason, why, strlen(why));
    d.reason = reason.data;
    d.body = shown;
    log_warn("result_undeliverable", KV("intake", intake), KV("task", task_id), KV("error", why));
    if (store_dead_add(s, &d, &e) < 0) {
        log_error("dead_letter_failed", KV("intake", intake), KV("error", e.msg));
    }
}

/* In order: the cursor cannot pass one that is under way. */
static void drop_done(struct intake_results *r)
{
    while (r->n && row(r, 0)->done) {
        r->first = (r->first + 1) % RESULTS_AT_ONCE;
        r->n--;
        r->since_put++;
    }
    if (r->since_put >= PUT_EACH) {
        put_cursor(r);
    }
}

/* ---- sending ---- */

static int write_row(struct intake_results *r, const struct result_row *x, const char *event_id,
                     const struct origin *o, struct buf *body, char **error, struct err *e)
{
    const struct intake_result v = {
        .event_id = event_id, .task_id = o->task_id, .job = x->job, .state = x->state};

    return x->state == JOB_RUNNING ? 0
                                   : intake_result_write(r->store, r->depot, &v, body, error, e);
}

static int send_row(struct intake_results *r, struct result_row *x, const struct origin *o,
                    struct err *e)
{
    auto_free char *event_id = str_fmt("%s:%" PRId64, r->store_id, x->seq);
    auto_free char *error = NULL;
    auto_buf body = {0};
    int rc = write_row(r, x, event_id, o, &body, &error, e);
    const struct edge_result out = {
        .id = *r->last_id + 1,
        .form = (enum edge_form)o->form,
        .event_id = event_id,
        .task_id = o->task_id,
        .reply_to = o->reply_to,
        .correlation = o->correlation,
        .state = x->state == JOB_RUNNING     ? RESULT_STARTED
                 : x->state == JOB_COMPLETED ? RESULT_OK
                                             : RESULT_FAILED,
        .body = body.data ? body.data : "{}",
        .error = error,
    };

    rc = rc ? rc : edge_result(r->edge, &out, e);
    if (rc == 0) {
        x->id = ++*r->last_id;
    } else if (intake_result_is_lost(rc)) {
        intake_note_undeliverable(r->store, r->name, o->task_id, e->msg, out.body);
        r->undeliverable++;
        x->done = true;
        loop_again(r->loop); /* for the commit */
    }
    return rc;
}

static void send_waiting(struct intake_results *r)
{
    for (size_t i = 0; r->edge && r->up && i < r->n; i++) {
        struct result_row *x = row(r, i);
        struct origin o = {0};
        struct err e = {0};
        bool found = false;
        int rc = 0;

        if (x->done || x->id) {
            continue;
        }
        rc = store_origin_of(r->store, &x->job, &o, &found, &e);
        if (rc == 0 && !found) {
            x->done = true; /* nobody is known who would want it */
        } else if (rc == 0) {
            rc = send_row(r, x, &o, &e);
        }
        origin_done(&o);
        if (rc != 0 && !x->done) {
            break; /* the next tick tries again */
        }
    }
    drop_done(r);
}

void intake_results_up(struct intake_results *r, bool up)
{
    r->up = up;
    send_waiting(r);
}

bool intake_results_sent(struct intake_results *r, uint64_t id, int rc, const char *why)
{
    for (size_t i = 0; i < r->n; i++) {
        struct result_row *x = row(r, i);
        struct origin o = {0};
        bool found = false;

        if (x->id != id || x->done) {
            continue;
        }
        x->id = 0;
        x->done = rc == 0 || intake_result_is_lost(rc);
        r->sent += rc == 0;
        if (intake_result_is_lost(rc)) {
            (void)store_origin_of(r->store, &x->job, &o, &found, NULL);
            intake_note_undeliverable(r->store, r->name, found ? o.task_id : "", why, "");
            r->undeliverable++;
            origin_done(&o);
        }
        drop_done(r);
        return true;
    }
    return false;
}

void intake_results_tick(struct intake_results *r)
{
    send_waiting(r);
    put_cursor(r);
}

/* ---- reading ---- */

struct page {
    struct result_row rows[PAGE];
    size_t n;
    int64_t last;
};

/* {"state":"running",...}: as the store writes it. */
static bool state_of(const char *data, enum job_state *out)
{
    static const char start[] = "{\"state\":\"";
    char word[16];
    size_t n;

    if (!str_starts(data, start)) {
        return false;
    }
    data += sizeof start - 1;
    n = strcspn(data, "\"");
    if (n >= sizeof word) {
        return false;
    }
    memcpy(word, data, n);
    word[n] = '\0';
    return job_state_parse(word, out);
}

static int on_event(void *arg, const struct event *ev, struct err *e)
{
    struct page *p = arg;
    enum job_state state;

    p->last = ev->seq;
    if (str_eq(ev->type, "job.state") && state_of(ev->data, &state) &&
        (state == JOB_RUNNING || job_state_terminal(state))) {
        p->rows[p->n++] = (struct result_row){.seq = ev->seq, .job = ev->job_id, .state = state};
    }
    return 0;
}

static bool wanted(struct intake_results *r, const struct result_row *x, bool *failed)
{
    struct origin o = {0};
    struct err e = {0};
    bool found = false;
    bool is = false;

    if (store_origin_of(r->store, &x->job, &o, &found, &e) < 0) {
        log_error("origin_not_read", KV("intake", r->name), KV("error", e.msg));
        *failed = true;
    }
    is = found && str_eq(o.intake, r->name) &&
         (job_state_terminal(x->state) || o.form == EDGE_CELERY);
    origin_done(&o);
    return is;
}

static void take_page(struct intake_results *r, const struct page *p)
{
    bool failed = false;

    for (size_t i = 0; i < p->n; i++) {
        bool is = wanted(r, &p->rows[i], &failed);

        if (failed || (is && r->n == RESULTS_AT_ONCE)) {
            r->read = p->rows[i].seq - 1;
            return;
        }
        if (is) {
            r->rows[(r->first + r->n++) % RESULTS_AT_ONCE] = p->rows[i];
        }
    }
    r->read = p->last;
}

void intake_results_pump(struct intake_results *r)
{
    int64_t last = store_event_last(r->store);
    struct page p = {0};
    struct err e = {0};

    if (!r->edge || !r->up || r->n == RESULTS_AT_ONCE || r->read >= last) {
        return;
    }
    if (store_events(r->store, r->read, PAGE, on_event, &p, &e) < 0) {
        log_error("events_not_read", KV("intake", r->name), KV("error", e.msg));
        return;
    }
    if (p.last == 0) {
        r->read = last;
        return;
    }
    take_page(r, &p);
    send_waiting(r);
    if (r->read < last && r->n < RESULTS_AT_ONCE) {
        loop_again(r->loop);
    }
}
