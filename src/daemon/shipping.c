#include "daemon/shipping.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/blob.h"

enum {
    WINDOW = 16,     /* files that the depot has at the same time */
    LOOK_MS = 200,   /* after a commit; many are looked for at once */
    AGAIN_MS = 1000, /* after a commit that failed */
    FETCH_LATE_MS = 30000,
    FETCH_KEEP_MS = 300000,
    FETCHES_MAX = 64,
    COUNT_MAX = 1000,
    ORPHANS_MAX = 500,
};

/* A file on its way. */
struct parcel {
    struct parcel *next;
    uint64_t id;
    int64_t job_num;
    int32_t idx;
    char *path;
    enum {
        SENT,    /* the depot has it */
        ARRIVED, /* it is there; the store does not know yet */
        NOTED,   /* it does, with the next commit */
        LOST,    /* there is no file: the row stays, so that it can be seen */
    } state;
    bool seen;
};

/* A file on its way back. */
struct fetching {
    struct fetching *next;
    struct shipping *shipping;
    uint64_t id;
    char *path;
    void (*done)(void *arg, int rc, int fd, const char *why); /* NULL: nobody waits */
    void *arg;
    bool answered;
    int rc, fd;
    char *why;
    struct timer timer; /* late, or answered, or kept for too long */
};

/* An object whose job was deleted. */
struct orphan {
    struct orphan *next;
    uint64_t id;
    int64_t num;
};

struct shipping {
    struct loop *loop;
    struct store *store;
    const struct depot_config *to;
    const char *blob_dir;
    struct depot *depot;
    struct parcel *parcels;
    struct fetching *fetches;
    struct orphan *orphans; /* of which the depot knows, or that are not ours to remove */
    uint64_t last_id;
    struct timer look;
    bool gone; /* the depot's process */
    char *why; /* of the last upload, if it failed */
    int64_t stored, failed, fetched, removed;
};

/* ---- parcels ---- */

static struct parcel *parcel_of(struct shipping *s, int64_t job_num, int32_t idx)
{
    struct parcel *p = s->parcels;

    while (p && (p->job_num != job_num || p->idx != idx)) {
        p = p->next;
    }
    return p;
}

static void parcel_drop(struct shipping *s, struct parcel *p)
{
    struct parcel **at = &s->parcels;

    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
    free(p->path);
    free(p);
}

static unsigned under_way(const struct shipping *s, unsigned *all)
{
    unsigned n = 0;

    *all = 0;
    for (const struct parcel *p = s->parcels; p; p = p->next) {
        n += p->state != LOST;
        (*all)++;
    }
    return n;
}

static int take_local(void *arg, int64_t job_num, int32_t idx, const char *path, struct err *e)
{
    struct shipping *s = arg;
    struct parcel *p = parcel_of(s, job_num, idx);
    unsigned all;

    if (p) {
        p->seen = true;
        return 0;
    }
    if (under_way(s, &all) >= WINDOW) {
        return 0;
    }
    p = xcalloc(1, sizeof *p);
    *p = (struct parcel){.next = s->parcels,
                         .id = ++s->last_id,
                         .job_num = job_num,
                         .idx = idx,
                         .path = xstrdup(path),
                         .seen = true};
    s->parcels = p;
    return depot_store(s->depot, p->id, path, e);
}

/* Those without a file are forgotten with their jobs. */
static void forget_lost(struct shipping *s)
{
    struct parcel *next;

    for (struct parcel *p = s->parcels; p; p = next) {
        next = p->next;
        if (p->state == LOST && !p->seen) {
            parcel_drop(s, p);
        }
    }
}

static void note(struct shipping *s, struct parcel *p)
{
    auto_free char *uri = depot_uri(s->to, p->path);
    struct err e = {0};
    int rc = store_blob_moved(s->store, p->job_num, p->idx, uri, &e);

    if (rc == 0) {
        p->state = NOTED;
    } else if (rc == ERR_NOT_FOUND) { /* the job was deleted meanwhile */
        (void)depot_remove(s->depot, ++s->last_id, p->path, NULL);
        parcel_drop(s, p);
    } else {
        log_error("blob_not_noted", KV("path", p->path), KV("error", e.msg));
        timer_arm(s->loop, &s->look, AGAIN_MS);
    }
}

static void look(struct shipping *s)
{
    struct parcel *next;
    struct err e = {0};
    unsigned all;

    for (struct parcel *p = s->parcels; p; p = next) {
        next = p->next;
        p->seen = false;
        if (p->state == ARRIVED) {
            note(s, p);
        }
    }
    if (under_way(s, &all) >= WINDOW) {
        return;
    }
    if (store_blobs_local(s->store, all + WINDOW, take_local, s, &e) == 0) {
        forget_lost(s);
    } else {
        log_error("blobs_unknown", KV("error", e.msg));
        timer_arm(s->loop, &s->look, AGAIN_MS);
    }
}

static void look_for_orphans(struct shipping *s);

static void on_look(struct timer *t)
{
    struct shipping *s = container_of(t, struct shipping, look);

    if (!s->gone) {
        look(s);
        look_for_orphans(s);
    }
}

static void look_soon(struct shipping *s)
{
    if (!s->look.loop && !s->gone) {
        timer_arm(s->loop, &s->look, LOOK_MS);
    }
}

void shipping_after_commit(struct shipping *s, bool committed)
{
    struct parcel *next;

    if (!s) {
        return;
    }
    for (struct parcel *p = s->parcels; p; p = next) {
        next = p->next;
        if (p->state == NOTED && committed) {
            blob_remove(s->blob_dir, p->path);
            s->stored++;
            parcel_drop(s, p);
        } else if (p->state == NOTED) {
            p->state = ARRIVED;
        }
    }
    look_soon(s);
}

/* ---- what the depot tells of them ---- */

static void on_stored(void *arg, uint64_t id, int rc, const char *why)
{
    struct shipping *s = arg;
    struct parcel *p = s->parcels;

    while (p && p->id != id) {
        p = p->next;
    }
    if (rc == 0 && s->why) {
        log_info("storage_answers");
        free(take_ptr(&s->why));
    }
    if (!p) {
        return;
    }
    if (rc == 0) {
        p->state = ARRIVED;
        note(s, p);
        return;
    }
    s->failed++;
    if (rc == ERR_NOT_FOUND) {
        log_error("blob_lost", KV("path", p->path));
        p->state = LOST;
        (void)depot_remove(s->depot, ++s->last_id, p->path, NULL); /* half of it may be there */
        look_soon(s);
        return;
    }
    if (!str_eq(why, s->why)) { /* not each of hundreds of times */
        auto_free char *uri = depot_uri(s->to, p->path);

        log_warn("blob_waits", KV("uri", uri), KV("error", why));
        free(s->why);
        s->why = xstrdup(why);
    }
}

/* ---- fetches ---- */

static void fetching_free(struct fetching *f)
{
    timer_stop(&f->timer);
    fd_close(&f->fd);
    free(f->path);
    free(f->why);
    free(f);
}

static void fetching_drop(struct fetching *f)
{
    struct fetching **at = &f->shipping->fetches;

    while (*at != f) {
        at = &(*at)->next;
    }
    *at = f->next;
    fetching_free(f);
}

static void deliver(struct fetching *f)
{
    void (*done)(void *, int, int, const char *) = f->done;
    auto_free char *why = take_ptr(&f->why);
    void *arg = f->arg;
    int fd = take_fd(&f->fd);
    int rc = f->rc;

    fetching_drop(f);
    done(arg, rc, fd, why ? why : "");
}

static void on_fetch_timer(struct timer *t)
{
    struct fetching *f = container_of(t, struct fetching, timer);

    if (f->answered && f->done) {
        deliver(f);
    } else if (f->answered) {
        fetching_drop(f);
    } else if (f->done) {
        void (*done)(void *, int, int, const char *) = f->done;

        f->done = NULL;
        done(f->arg, ERR_BUSY, -1, "the storage takes long");
    }
}

static void answer(struct fetching *f, int rc, int fd, const char *why)
{
    f->answered = true;
    f->rc = rc;
    f->fd = fd;
    f->why = xstrdup(why);
}

static void on_fetched(void *arg, uint64_t id, int rc, int fd, const char *why)
{
    struct shipping *s = arg;
    struct fetching *f = s->fetches;

    while (f && f->id != id) {
        f = f->next;
    }
    s->fetched += rc == 0;
    if (!f) {
        fd_close(&fd);
        return;
    }
    if (rc < 0) {
        log_warn("blob_not_fetched", KV("path", f->path), KV("error", why));
    }
    answer(f, rc, fd, why);
    if (f->done) {
        deliver(f);
    } else if (rc < 0) {
        fetching_drop(f);
    } else {
        timer_arm(s->loop, &f->timer, FETCH_KEEP_MS);
    }
}

/* One that nobody waits for any more, or a new one. */
static struct fetching *fetching_for(struct shipping *s, const char *path)
{
    struct fetching *f = s->fetches;

    while (f && (f->done || !str_eq(f->path, path))) {
        f = f->next;
    }
    if (!f) {
        f = xcalloc(1, sizeof *f);
        *f = (struct fetching){.next = s->fetches,
                               .shipping = s,
                               .path = xstrdup(path),
                               .fd = -1,
                               .timer = {.fn = on_fetch_timer}};
        s->fetches = f;
    }
    return f;
}

static int check_fetch(struct shipping *s, int64_t job_num, int32_t idx, const char *path,
                       struct err *e)
{
    auto_free char *here = depot_uri(s->to, path);
    auto_free char *uri = NULL;
    unsigned n = 0;
    int rc = store_blob_uri(s->store, job_num, idx, &uri, e);

    for (const struct fetching *f = s->fetches; f; f = f->next) {
        n++;
    }
    if (rc != 0) {
        return rc;
    }
    if (!uri) {
        return err_set(e, ERR_NOT_FOUND, "the file is missing");
    }
    if (!str_eq(uri, here)) {
        return err_set(e, ERR_NOT_FOUND, "it is kept as %s, which the setting 'blob' does not name",
                       uri);
    }
    if (n > FETCHES_MAX) {
        return err_set(e, ERR_BUSY, "too many wait for the storage");
    }
    return s->gone ? err_set(e, ERR_IO, "the process that talks to the storage has ended") : 0;
}

static void *fetch(void *arg, int64_t job_num, int32_t idx, const char *path,
                   void (*done)(void *done_arg, int rc, int fd, const char *why), void *done_arg)
{
    struct shipping *s = arg;
    struct err e = {0};
    int rc = check_fetch(s, job_num, idx, path, &e);
    struct fetching *f = fetching_for(s, path);

    if (rc == 0 && !f->id) {
        f->id = ++s->last_id;
        rc = depot_fetch(s->depot, f->id, path, &e);
    }
    f->done = done;
    f->arg = done_arg;
    if (rc != 0 && !f->answered) {
        answer(f, rc, -1, e.msg);
    }
    timer_arm(s->loop, &f->timer, f->answered ? 1 : FETCH_LATE_MS);
    return f;
}

static void give_up(void *arg, void *handle)
{
    struct shipping *s = arg;
    struct fetching *f = handle;

    f->done = NULL;
    timer_stop(&f->timer);
    if (f->answered && f->rc < 0) {
        fetching_drop(f);
    } else if (f->answered) {
        timer_arm(s->loop, &f->timer, FETCH_KEEP_MS);
    }
}

/* ---- objects of deleted jobs ---- */

static struct orphan *orphan_of(struct shipping *s, int64_t num)
{
    struct orphan *o = s->orphans;

    while (o && o->num != num) {
        o = o->next;
    }
    return o;
}

static void orphan_drop(struct shipping *s, struct orphan *o)
{
    struct orphan **at = &s->orphans;

    while (*at != o) {
        at = &(*at)->next;
    }
    *at = o->next;
    free(o);
}

static int take_orphan(void *arg, int64_t num, const char *uri, struct err *e)
{
    struct shipping *s = arg;
    auto_free char *here = depot_uri(s->to, "");
    struct orphan *o;

    if (orphan_of(s, num)) {
        return 0;
    }
    o = xcalloc(1, sizeof *o);
    *o = (struct orphan){.next = s->orphans, .num = num, .id = ++s->last_id};
    s->orphans = o;
    if (!str_starts(uri, here)) { /* it stays on the list, for a server that can */
        log_warn("blob_left", KV("uri", uri),
                 KV("hint", "the setting 'blob' does not name this storage"));
        return 0;
    }
    return depot_remove(s->depot, o->id, uri + strlen(here), e);
}

static void on_removed(void *arg, uint64_t id, int rc, const char *why)
{
    struct shipping *s = arg;
    struct orphan *o = s->orphans;
    struct err e = {0};

    while (o && o->id != id) {
        o = o->next;
    }
    if (rc < 0) {
        log_warn("blob_not_removed", KV("error", why));
        return;
    }
    s->removed++;
    if (!o) {
        return;
    }
    if (store_blob_removed(s->store, o->num, &e) != 0) {
        log_error("blob_removal_not_noted", KV("error", e.msg));
    }
    orphan_drop(s, o);
}

static void look_for_orphans(struct shipping *s)
{
    struct err e = {0};
    unsigned n = 0;

    for (const struct orphan *o = s->orphans; o; o = o->next) {
        n++;
    }
    if (n < ORPHANS_MAX && store_blobs_orphaned(s->store, n + WINDOW, take_orphan, s, &e) != 0) {
        log_error("orphans_unknown", KV("error", e.msg));
    }
}

/* ---- reparse ---- */

struct reparse {
    struct worker *worker;
    struct id job;
    void (*done)(void *arg, int rc, const char *message);
    void *arg;
};

static void reparse_fetched(void *arg, int rc, int fd, const char *why)
{
    struct reparse *rp = arg;
    struct err e = {0};

    if (rc == 0) {
        rc = worker_reparse(rp->worker, &rp->job, fd, rp->done, rp->arg, &e);
        why = e.msg;
    }
    if (rc != 0) {
        rp->done(rp->arg, rc == ERR_BUSY ? ERR_IO : rc, why);
    }
    free(rp);
}

int shipping_reparse(struct shipping *s, struct worker *w, const struct id *job,
                     void (*done)(void *arg, int rc, const char *message), void *arg, struct err *e)
{
    auto_free char *path = NULL;
    auto_free char *full = NULL;
    struct reparse *rp;
    struct job j;
    int64_t num;
    int rc;

    job_init(&j);
    rc = s ? store_job_get(s->store, job, &j, e) : 0;
    num = j.num;
    job_done(&j);
    if (rc == 0 && s) {
        rc = store_raw_path(s->store, num, &path, e);
    }
    if (rc != 0) {
        return rc;
    }
    full = path ? str_fmt("%s/%s", s->blob_dir, path) : NULL;
    if (!full || access(full, F_OK) == 0 || errno != ENOENT) {
        return worker_reparse(w, job, -1, done, arg, e);
    }
    rp = xcalloc(1, sizeof *rp);
    *rp = (struct reparse){.worker = w, .job = *job, .done = done, .arg = arg};
    (void)fetch(s, num, 0, path, reparse_fetched, rp);
    return 0;
}

/* ---- the whole ---- */

static void on_gone(void *arg)
{
    struct shipping *s = arg;

    log_error("depot_gone", KV("hint", "raw output waits here until the server is started anew"));
    s->gone = true;
    timer_stop(&s->look);
    for (struct fetching *f = s->fetches; f; f = f->next) {
        if (!f->answered) {
            answer(f, ERR_IO, -1, "the process that talks to the storage has ended");
            timer_arm(s->loop, &f->timer, 1);
        }
    }
}

int shipping_new(const struct shipping_config *c, struct shipping **out, struct err *e)
{
    struct shipping *s = xcalloc(1, sizeof *s);
    const struct depot_events events = {.stored = on_stored,
                                        .fetched = on_fetched,
                                        .removed = on_removed,
                                        .gone = on_gone,
                                        .arg = s};
    int rc;

    *s = (struct shipping){.loop = c->loop,
                           .store = c->store,
                           .to = c->to,
                           .blob_dir = c->blob_dir,
                           .look = {.fn = on_look}};
    rc = depot_connect(c->loop, c->depot_fd, &events, &s->depot, e);
    if (rc != 0) {
        free(s);
        return rc;
    }
    look_soon(s); /* what an earlier server left waiting */
    *out = s;
    return 0;
}

static void lists_free(struct parcel *p, struct orphan *o)
{
    while (p) {
        struct parcel *next = p->next;

        free(p->path);
        free(p);
        p = next;
    }
    while (o) {
        struct orphan *next = o->next;

        free(o);
        o = next;
    }
}

void shipping_free(struct shipping *s)
{
    if (!s) {
        return;
    }
    timer_stop(&s->look);
    for (struct fetching *f = take_ptr(&s->fetches), *next; f; f = next) {
        next = f->next;
        if (f->done) {
            f->done(f->arg, ERR_IO, -1, "the server ends");
        }
        fetching_free(f);
    }
    lists_free(s->parcels, s->orphans);
    depot_free(s->depot);
    free(s->why);
    free(s);
}

char *shipping_uri(const struct shipping *s, const char *path)
{
    return s ? depot_uri(s->to, path) : NULL;
}

/* ---- for the API ---- */

static char *uri_hook(void *arg, const char *path)
{
    return shipping_uri(arg, path);
}

static int count(void *arg, int64_t job_num, int32_t idx, const char *path, struct err *e)
{
    (void)job_num, (void)idx, (void)path, (void)e;
    ++*(int64_t *)arg;
    return 0;
}

static void stats(void *arg, struct api_depot_stats *out)
{
    struct shipping *s = arg;

    *out = (struct api_depot_stats){.stored = s->stored,
                                    .failed = s->failed,
                                    .fetched = s->fetched,
                                    .removed = s->removed,
                                    .down = s->gone || s->why,
                                    .why = s->gone ? "its process has ended" : s->why};
    (void)store_blobs_local(s->store, COUNT_MAX, count, &out->waiting, NULL);
}

struct api_depot shipping_api(struct shipping *s)
{
    return (struct api_depot){
        .uri = uri_hook, .fetch = fetch, .give_up = give_up, .stats = stats, .arg = s};
}
