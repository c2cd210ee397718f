/*
 * What workers report, applied in the turn in which it was read. An entry may hold messages of many
 * runs; each is judged by itself: what is fenced is answered, what was applied before is
 * acknowledged again, what has a gap before it waits until its worker sends everything anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/record.h"
#include "store/blob.h"
#include "store/findings.h"
#include "transport/entry.h"
#include "transport/fleet_internal.h"

/* ---- hosts ---- */

struct host_intake {
    struct fleet *f;
    const struct lease *lease;
};

static int on_host(void *arg, const struct host *head, struct err *e)
{
    struct host_intake *t = arg;
    int64_t seq;

    return store_host_begin(t->f->store, t->lease, head, &seq, e);
}

static int on_port(void *arg, const struct port *p, struct err *e)
{
    struct host_intake *t = arg;

    return store_host_port(t->f->store, p, e);
}

static int on_host_end(void *arg, struct err *e)
{
    struct host_intake *t = arg;

    return store_host_end(t->f->store, e);
}

static int on_finding(void *arg, const struct finding *finding, struct err *e)
{
    struct host_intake *t = arg;

    return store_finding_add(t->f->store, t->lease, finding, e);
}

/* Only whole hosts: nothing of them is left over for a later entry. */
static int apply_hosts(struct fleet *f, const struct message *m, struct err *e)
{
    static const struct record_sink sink = {
        .host = on_host, .port = on_port, .host_end = on_host_end, .finding = on_finding};
    struct host_intake t = {.f = f, .lease = &m->lease};
    struct record_reader reader = {.sink = &sink, .arg = &t};
    int rc = record_feed(&reader, m->data, m->n, e);

    if (rc == 0 && (reader.in_host || reader.in.len > 0)) {
        rc = err_set(e, ERR_INVALID, "hosts are not whole");
    }
    record_reader_done(&reader);
    if (rc == 0) {
        sched_touch(f->sched, &m->lease.job_id);
    }
    return rc;
}

/* ---- raw output ---- */

static int open_raw(struct fleet *f, const struct lease *l, int *fd, struct err *e)
{
    auto_free char *path = blob_path(l);
    auto_free char *full = str_fmt("%s/%s", f->config.blob_dir, path);

    *fd = open(full, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (*fd >= 0) {
        return 0;
    }
    return errno == ENOENT ? blob_create(f->config.blob_dir, path, fd, e)
                           : err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
}

/* Pieces come in order, each once or again: writing one twice changes nothing. One behind a piece
 * that could not be written would leave a hole: it is dropped, and the file is found too short at
 * the end. That fails no scan. */
static void apply_raw(struct fleet *f, const struct message *m)
{
    auto_fd int fd = -1;
    struct err e = {0};
    struct stat st;
    ssize_t n;

    if (!f->config.blob_dir) {
        return;
    }
    if (open_raw(f, &m->lease, &fd, &e) != 0) {
        log_warn("raw_failed", KV("error", e.msg));
        return;
    }
    if (fstat(fd, &st) != 0 || m->offset > (uint64_t)st.st_size) {
        return;
    }
    n = pwrite(fd, m->data, m->n, (off_t)m->offset);
    if (n != (ssize_t)m->n) {
        log_warn("raw_failed", KV("error", n < 0 ? strerror(errno) : "the disk is full"));
    }
}

/* All of it is on disk, and as long as it is said to be. */
static bool keep_raw(struct fleet *f, const struct lease *l, const struct outcome *o, char **path)
{
    auto_fd int fd = -1;
    struct stat st;

    if (!f->config.blob_dir || o->raw_stored <= 0 || open_raw(f, l, &fd, NULL) != 0) {
        return false;
    }
    if (fstat(fd, &st) != 0 || st.st_size != o->raw_stored || fsync(fd) != 0) {
        auto_free char *gone = blob_path(l);

        log_warn("raw_lost", KV("path", gone));
        blob_remove(f->config.blob_dir, gone);
        return false;
    }
    *path = blob_path(l);
    return true;
}

/* ---- the end of a run ---- */

static void apply_end(struct fleet *f, struct fleet_run *r, const struct message *m)
{
    struct outcome o = m->outcome;
    auto_free char *path = NULL;

    if (keep_raw(f, &m->lease, &o, &path)) {
        o.raw_path = path;
    } else {
        o.raw_path = o.raw_sha256 = NULL;
        o.raw_size = o.raw_stored = 0;
    }
    sched_finish(f->sched, &m->lease, &o);
    r->end_seq = m->seq;
    fleet_free_slot(r);
}

/* Whatever a worker's policy says: longer than any window is closed. */
static const int64_t WAIT_MAX_US = INT64_C(400) * 86400 * 1000000;

static void apply_release(struct fleet *f, struct fleet_run *r, const struct message *m)
{
    if (m->type == MSG_WAIT) {
        sched_wait_until(f->sched, &m->lease, MIN(m->until_us, wall_us() + WAIT_MAX_US));
    } else if (m->why == RELEASE_LOST) {
        sched_lost(f->sched, &m->lease);
    } else {
        sched_release(f->sched, &m->lease);
    }
    r->end_seq = m->seq;
    fleet_free_slot(r);
}

/* The worker sent what it must not: the task fails, the worker is told to stop it. */
static void spoil(struct fleet *f, struct crew *c, const struct message *m, const struct err *why)
{
    const struct outcome o = {
        .state = JOB_FAILED, .reason = REASON_INTERNAL, .exit_status = -1, .error = why->msg};

    log_error("report_broken", KV("worker", c->name), KV("error", why->msg));
    sched_finish(f->sched, &m->lease, &o);
    put_fenced(crew_out(f, c), &m->lease, false);
}

/* ---- the order of reports ---- */

enum order { ORDER_NEXT, ORDER_BEFORE, ORDER_GAP, ORDER_FENCED, ORDER_FAILED };

/* The first report of a run that began with us needs no look at the store: nothing was applied. */
static enum order place(struct fleet *f, struct fleet_run *r, const struct message *m)
{
    bool last = m->type == MSG_END || m->type == MSG_RELEASE || m->type == MSG_WAIT;
    bool fresh = false;
    struct err e = {0};
    int rc;

    if (r->end_seq) {
        return ORDER_BEFORE;
    }
    if (last && r->mine && m->seq == r->applied + 1) {
        return ORDER_NEXT; /* the end of a run cannot be applied twice */
    }
    rc = store_task_report(f->store, &m->lease, m->seq, &fresh, &e);
    if (rc == 0) {
        r->applied = MAX(r->applied, m->seq);
        return fresh ? ORDER_NEXT : ORDER_BEFORE;
    }
    if (rc != ERR_CONFLICT && rc != ERR_FENCED) {
        log_error("report_failed", KV("error", e.msg));
    }
    return rc == ERR_CONFLICT ? ORDER_GAP : rc == ERR_FENCED ? ORDER_FENCED : ORDER_FAILED;
}

static void apply_one(struct fleet *f, struct crew *c, struct fleet_run *r, const struct message *m)
{
    struct err e = {0};
    int rc = 0;

    switch (m->type) {
    case MSG_HOSTS:
        rc = apply_hosts(f, m, &e);
        break;
    case MSG_RAW:
        apply_raw(f, m);
        break;
    case MSG_END:
        apply_end(f, r, m);
        break;
    default:
        apply_release(f, r, m);
        break;
    }
    f->stats.applied++;
    if (rc == ERR_TOOL || rc == ERR_INVALID || rc == ERR_LIMIT) {
        spoil(f, c, m, &e);
    } else if (rc != 0) {
        log_error("report_failed", KV("error", e.msg)); /* the turn is broken: read anew */
    } else if (!r->end_seq) {
        put_ack(crew_out(f, c), &m->lease, m->seq);
    }
}

static bool another_has(const struct fleet_run *r, const struct crew *c)
{
    return r->crew && r->crew != c;
}

static void sequenced(struct fleet *f, struct crew *c, const struct message *m)
{
    struct fleet_run *r = fleet_run_of(f, &m->lease);

    if (!r || another_has(r, c) || (!r->end_seq && !sched_holds(f->sched, &m->lease))) {
        fleet_fence(f, c, &m->lease);
        return;
    }
    if (!r->crew && !r->end_seq) {
        fleet_take(f, r, c);
    }
    sched_heard(f->sched, &m->lease);
    switch (place(f, r, m)) {
    case ORDER_NEXT:
        apply_one(f, c, r, m);
        break;
    case ORDER_BEFORE:
        f->stats.duplicates++;
        if (!r->end_seq) {
            put_ack(crew_out(f, c), &m->lease, m->seq);
        } /* else its acknowledgement comes with the commit of its end */
        break;
    case ORDER_FENCED:
        fleet_fence(f, c, &m->lease);
        break;
    case ORDER_GAP:
    case ORDER_FAILED:
        break;
    }
}

static void took(struct fleet *f, struct crew *c, const struct message *m)
{
    struct fleet_run *r = fleet_run_of(f, &m->lease);

    if (!r || another_has(r, c) || !sched_heard(f->sched, &m->lease)) {
        fleet_fence(f, c, &m->lease);
        return;
    }
    if (!r->crew) {
        fleet_take(f, r, c);
    }
    if (r->cancel) {
        put_cancel(crew_out(f, c), &m->lease);
    }
}

static bool same_lease(const struct lease *a, const struct lease *b)
{
    return a->token == b->token && a->epoch == b->epoch && a->idx == b->idx &&
           id_cmp(&a->job_id, &b->job_id) == 0;
}

/* That its result was adopted as. */
static struct fleet_run *adopted_as(const struct fleet *f, const struct lease *old,
                                    const struct crew *c)
{
    for (size_t i = 0; i < FLEET_RUN_HASH; i++) {
        for (struct fleet_run *r = f->by_token[i]; r; r = r->next) {
            if (r->from.token != 0 && r->crew == c && same_lease(&r->from, old)) {
                return r;
            }
        }
    }
    return NULL;
}

static void offered(struct fleet *f, struct crew *c, const struct message *m)
{
    struct fleet_run *r = adopted_as(f, &m->lease, c);
    struct lease now;
    struct err e = {0};
    int rc;

    if (r) { /* offered twice, or the answer was lost */
        if (!r->end_seq && sched_heard(f->sched, &r->lease)) {
            put_adopt(crew_out(f, c), &m->lease, &r->lease);
        }
        return;
    }
    rc = sched_adopt(f->sched, &m->lease, &now, &e);
    if (rc == 0) {
        r = fleet_run_of(f, &now);
        r->from = m->lease;
        fleet_take(f, r, c);
        put_adopt(crew_out(f, c), &m->lease, &now);
        f->stats.adopted++;
    } else if (rc == ERR_FENCED || rc == ERR_CONFLICT || rc == ERR_NOT_FOUND) {
        put_fenced(crew_out(f, c), &m->lease, false);
    } /* else it is offered again */
}

static void apply(struct fleet *f, const char *name, const char *instance, const struct message *m)
{
    struct crew *c;

    if (m->type == MSG_HELLO) {
        crew_hello(f, name, instance, &m->hello);
        return;
    }
    c = crew_make(f, name);
    if (!c->heard_ms) {
        memcpy(c->instance, instance, INSTANCE_TEXT + 1); /* its hello was before our time */
    }
    if (strcmp(c->instance, instance) != 0) {
        return; /* of an instance that is gone: nothing of it is open */
    }
    switch (m->type) {
    case MSG_BEAT:
        crew_beat(f, c, &m->beat);
        break;
    case MSG_TOOK:
        took(f, c, m);
        break;
    case MSG_PROGRESS:
        if (sched_heard(f->sched, &m->lease)) {
            (void)sched_progress(f->sched, &m->lease, &m->progress, NULL);
        }
        break;
    case MSG_OFFER:
        offered(f, c, m);
        break;
    case MSG_BYE:
        crew_bye(f, c);
        break;
    default:
        sequenced(f, c, m);
        break;
    }
}

/* ---- an entry ---- */

static bool instance_ok(const redisReply *v)
{
    return v && v->len == INSTANCE_TEXT && strspn(v->str, "0123456789abcdef") == INSTANCE_TEXT;
}

int fleet_apply_entry(struct fleet *f, const redisReply *fields, struct err *e)
{
    const redisReply *v = entry_field(fields, "v"), *w = entry_field(fields, "w"),
                     *i = entry_field(fields, "i"), *d = entry_field(fields, "d");
    const uint8_t *p;
    size_t n;
    int rc = 0;

    if (!v || !w || !instance_ok(i) || !d || strlen(w->str) != w->len || !worker_name_ok(w->str)) {
        return err_set(e, ERR_INVALID, "an entry without v, w, i or d");
    }
    if (strtol(v->str, NULL, 10) != TRANSPORT_PROTOCOL) {
        auto_free char *key = fleet_key(f, "w:", w->str);

        /* It sees our number in the answer, and ends with an error that names both. */
        redis_cmd(f->cmd, NULL, NULL, "XADD %s MAXLEN ~ %d * v %d w %s i %s d %b", key,
                  CONTROL_ENTRIES, TRANSPORT_PROTOCOL, w->str, i->str, "", (size_t)0);
        return err_set(e, ERR_INVALID, "worker '%s' speaks protocol %.20s, this server %d", w->str,
                       v->str, TRANSPORT_PROTOCOL);
    }
    f->counted = false; /* whatever it says */
    p = (const uint8_t *)d->str;
    n = d->len;
    while (rc == 0 && n > 0) {
        struct message m = {0};

        rc = message_next(&p, &n, &m, e);
        if (rc == 0) {
            apply(f, w->str, i->str, &m);
        }
        message_done(&m);
    }
    return rc;
}
