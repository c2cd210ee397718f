#include "store/ready.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/job.h"
#include "model/queue.h"
#include "store/places.h"

enum { PRIORITIES = JOB_PRIORITY_MAX + 1, FEW = 64 };

/* ---- what there is ---- */

struct queue {
    char *name;
    int64_t n;
    uint64_t wanted; /* the search that looks here */
};

struct fifo {
    struct queue *queue;
    struct places of;
};

/* What a key has of one priority. */
struct lane {
    uint64_t time;
    struct fifo *fifos;
    size_t n_fifos;
};

struct owner {
    char *key;
    uint64_t blocked; /* the search that passes over it */
    struct lane lanes[PRIORITIES];
};

struct change {
    struct owner *owner;
    struct queue *queue;
    int64_t place;
    int32_t priority;
    bool put;
};

/* Queues, or owners, by name: each begins with a pointer to it. */
struct table {
    void **v; /* owned */
    size_t n, size;
    size_t tidy; /* when it is time to look for those that may go */
};

struct ready {
    struct table queues, owners;
    int64_t n;
    int64_t n_at[PRIORITIES];
    uint64_t present[PRIORITIES];
    uint64_t search; /* counts them, so that marks need not be taken away */
    struct change *changes;
    size_t n_changes, size_changes;
};

static int64_t place_of(int64_t job_num, int32_t idx)
{
    return job_num * TASKS_MAX + idx;
}

/* ---- queues and keys by name ---- */

/* Where it is, or belongs. */
static size_t where(const struct table *t, const char *name, bool *found)
{
    size_t lo = 0;
    size_t hi = t->n;

    *found = false;
    while (lo < hi && !*found) {
        size_t mid = lo + (hi - lo) / 2;
        int cmp = strcmp(*(char *const *)t->v[mid], name);

        if (cmp < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
            *found = cmp == 0;
        }
    }
    return *found ? hi : lo;
}

static void *find(const struct table *t, const char *name)
{
    bool found;
    size_t at = where(t, name, &found);

    return found ? t->v[at] : NULL;
}

static void *find_or_add(struct table *t, const char *name, size_t size)
{
    bool found;
    size_t at = where(t, name, &found);

    if (found) {
        return t->v[at];
    }
    if (t->n == t->size) {
        t->size = MAX(2 * t->size, 8);
        t->v = xrealloc(t->v, t->size * sizeof *t->v);
    }
    memmove(t->v + at + 1, t->v + at, (t->n - at) * sizeof *t->v);
    t->v[at] = xcalloc(1, size);
    t->n++;
    *(char **)t->v[at] = xstrdup(name);
    return t->v[at];
}

static struct queue *queue_of(struct ready *r, const char *name)
{
    name = name ? name : queue_kind_names[QUEUE_NET];
    return find_or_add(&r->queues, name, sizeof(struct queue));
}

static struct owner *owner_of(struct ready *r, const char *key)
{
    return find_or_add(&r->owners, key ? key : "", sizeof(struct owner));
}

static struct fifo *fifo_of(struct lane *l, struct queue *q)
{
    for (size_t i = 0; i < l->n_fifos; i++) {
        if (l->fifos[i].queue == q) {
            return &l->fifos[i];
        }
    }
    l->fifos = xrealloc(l->fifos, (l->n_fifos + 1) * sizeof *l->fifos);
    l->fifos[l->n_fifos] = (struct fifo){.queue = q};
    return &l->fifos[l->n_fifos++];
}

static void owner_free(struct owner *o)
{
    for (int p = 0; p < PRIORITIES; p++) {
        for (size_t i = 0; i < o->lanes[p].n_fifos; i++) {
            free(o->lanes[p].fifos[i].of.v);
        }
        free(o->lanes[p].fifos);
    }
    free(o->key);
    free(o);
}

static void queue_free(struct queue *q)
{
    free(q->name);
    free(q);
}

struct ready *ready_new(void)
{
    struct ready *r = xcalloc(1, sizeof *r);

    r->queues.tidy = r->owners.tidy = FEW;
    return r;
}

void ready_free(struct ready *r)
{
    if (!r) {
        return;
    }
    for (size_t i = 0; i < r->owners.n; i++) {
        owner_free(r->owners.v[i]);
    }
    for (size_t i = 0; i < r->queues.n; i++) {
        queue_free(r->queues.v[i]);
    }
    free(r->owners.v);
    free(r->queues.v);
    free(r->changes);
    free(r);
}

/* ---- changes ---- */

static void count(struct ready *r, struct queue *q, int32_t priority, int64_t by)
{
    q->n += by;
    r->n_at[priority] += by;
    r->n += by;
}

static void apply(struct ready *r, const struct change *c, bool put)
{
    struct fifo *f = fifo_of(&c->owner->lanes[c->priority], c->queue);
    size_t at;

    if (put) {
        places_put(&f->of, c->place);
    } else {
        at = places_rank(&f->of, c->place);
        assert(at < f->of.n && places_at(&f->of, at) == c->place);
        places_cut(&f->of, at, 1);
    }
    count(r, c->queue, c->priority, put ? 1 : -1);
}

static void note(struct ready *r, const struct change *c)
{
    if (r->n_changes == r->size_changes) {
        r->size_changes = MAX(2 * r->size_changes, FEW);
        r->changes = xrealloc(r->changes, r->size_changes * sizeof *r->changes);
    }
    r->changes[r->n_changes++] = *c;
}

static void change(struct ready *r, const struct ready_task *t, bool put)
{
    struct change c = {.owner = owner_of(r, t->key),
                       .queue = queue_of(r, t->queue),
                       .place = place_of(t->job_num, t->idx),
                       .priority = t->priority,
                       .put = put};

    apply(r, &c, put);
    note(r, &c);
}

void ready_put(struct ready *r, const struct ready_task *t)
{
    change(r, t, true);
}

void ready_take(struct ready *r, const struct ready_task *t)
{
    change(r, t, false);
}

void ready_take_job(struct ready *r, const struct ready_task *t)
{
    struct owner *o = find(&r->owners, t->key ? t->key : "");
    int64_t from = place_of(t->job_num, 0);

    for (size_t i = 0; o && i < o->lanes[t->priority].n_fifos; i++) {
        struct fifo *f = &o->lanes[t->priority].fifos[i];
        size_t at = places_rank(&f->of, from);
        size_t n = places_rank(&f->of, from + TASKS_MAX) - at;

        for (size_t k = 0; k < n; k++) {
            note(r, &(struct change){o, f->queue, places_at(&f->of, at + k), t->priority, false});
        }
        if (n > 0) {
            count(r, f->queue, t->priority, -(int64_t)n);
            places_cut(&f->of, at, n);
        }
    }
}

void ready_load(struct ready *r, const struct ready_task *t)
{
    struct queue *q = queue_of(r, t->queue);
    struct fifo *f = fifo_of(&owner_of(r, t->key)->lanes[t->priority], q);

    places_append(&f->of, place_of(t->job_num, t->idx));
    count(r, q, t->priority, 1);
}

void ready_loaded(struct ready *r)
{
    for (size_t i = 0; i < r->owners.n; i++) {
        const struct owner *o = r->owners.v[i];

        for (int p = 0; p < PRIORITIES; p++) {
            for (size_t k = 0; k < o->lanes[p].n_fifos; k++) {
                places_sort(&o->lanes[p].fifos[k].of);
            }
        }
    }
}

/* ---- turns ---- */

static bool lane_tidy(struct lane *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->n_fifos; i++) {
        if (l->fifos[i].of.n > 0) {
            l->fifos[kept++] = l->fifos[i];
        } else {
            free(l->fifos[i].of.v);
        }
    }
    l->n_fifos = kept;
    return kept == 0;
}

/* Forgets what is empty, where nothing is lost by that: a key whose time is to come would be ahead
 * of the others if it were new again. */
static void tidy(struct ready *r)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->owners.n; i++) {
        struct owner *o = r->owners.v[i];
        bool idle = true;

        for (int p = 0; p < PRIORITIES; p++) {
            idle &= lane_tidy(&o->lanes[p]) & (o->lanes[p].time <= r->present[p]);
        }
        if (idle) {
            owner_free(o);
        } else {
            r->owners.v[kept++] = o;
        }
    }
    r->owners.n = kept;
    r->owners.tidy = MAX(2 * kept, FEW);
    kept = 0;
    for (size_t i = 0; i < r->queues.n; i++) {
        struct queue *q = r->queues.v[i];

        if (q->n == 0) {
            queue_free(q);
        } else {
            r->queues.v[kept++] = q;
        }
    }
    r->queues.n = kept;
    r->queues.tidy = MAX(2 * kept, FEW);
}

void ready_commit(struct ready *r)
{
    r->n_changes = 0;
    if (r->size_changes > 4096) { /* after a turn out of the ordinary */
        free(r->changes);
        r->changes = NULL;
        r->size_changes = 0;
    }
    if (r->owners.n > r->owners.tidy || r->queues.n > r->queues.tidy) {
        tidy(r);
    }
}

void ready_rollback(struct ready *r)
{
    while (r->n_changes > 0) {
        const struct change *c = &r->changes[--r->n_changes];

        apply(r, c, !c->put);
    }
    memset(r->present, 0, sizeof r->present);
    for (size_t i = 0; i < r->owners.n; i++) {
        struct owner *o = r->owners.v[i];

        for (int p = 0; p < PRIORITIES; p++) {
            o->lanes[p].time = 0;
        }
    }
}

/* ---- whose turn it is ---- */

bool ready_any(struct ready *r, const struct strvec *queues)
{
    bool any = !queues && r->n > 0;

    for (size_t i = 0; queues && !any && i < queues->n; i++) {
        const struct queue *q = find(&r->queues, queues->v[i]);

        any = q && q->n > 0;
    }
    return any;
}

/* Marks what this search is about; false: there is nothing there. */
static bool start_search(struct ready *r, const struct strvec *queues, const struct strvec *blocked)
{
    int64_t n = queues ? 0 : r->n;

    r->search++;
    for (size_t i = 0; queues && i < queues->n; i++) {
        struct queue *q = find(&r->queues, queues->v[i]);

        if (q) {
            q->wanted = r->search;
            n += q->n;
        }
    }
    for (size_t i = 0; blocked && n > 0 && i < blocked->n; i++) {
        struct owner *o = find(&r->owners, blocked->v[i]);

        if (o) {
            o->blocked = r->search;
        }
    }
    return n > 0;
}

/* The first that is wanted; 0: there is none. */
static int64_t lane_first(const struct lane *l, uint64_t search, bool all, const char **queue)
{
    int64_t best = 0;

    for (size_t i = 0; i < l->n_fifos; i++) {
        const struct fifo *f = &l->fifos[i];

        if (f->of.n > 0 && (all || f->queue->wanted == search) &&
            (best == 0 || places_at(&f->of, 0) < best)) {
            best = places_at(&f->of, 0);
            *queue = f->queue->name;
        }
    }
    return best;
}

/* One that may be next. */
struct turn {
    uint64_t time; /* not before the present */
    uint64_t own;  /* may be before it */
    int64_t place;
};

static bool is_before(const struct turn *a, const struct turn *b)
{
    if (a->time != b->time) {
        return a->time < b->time;
    }
    return a->own != b->own ? a->own < b->own : a->place < b->place;
}

static bool next_of(const struct ready *r, int32_t priority, bool all, struct ready_task *out)
{
    struct turn best = {.place = 0};

    for (size_t i = 0; i < r->owners.n; i++) {
        const struct owner *o = r->owners.v[i];
        const struct lane *l = &o->lanes[priority];
        const char *queue = NULL;
        struct turn t = {MAX(l->time, r->present[priority]), l->time, 0};

        if (o->blocked != r->search) {
            t.place = lane_first(l, r->search, all, &queue);
        }
        if (t.place > 0 && (best.place == 0 || is_before(&t, &best))) {
            best = t;
            *out = (struct ready_task){queue, o->key, priority, t.place / TASKS_MAX,
                                       (int32_t)(t.place % TASKS_MAX)};
        }
    }
    return best.place > 0;
}

bool ready_next(struct ready *r, const struct strvec *queues, const struct strvec *blocked,
                struct ready_task *out)
{
    bool found = false;

    if (!start_search(r, queues, blocked)) {
        return false;
    }
    for (int32_t p = JOB_PRIORITY_MAX; !found && p >= 0; p--) {
        found = r->n_at[p] > 0 && next_of(r, p, !queues, out);
    }
    return found;
}

void ready_charge(struct ready *r, const struct ready_task *t)
{
    struct lane *l = &owner_of(r, t->key)->lanes[t->priority];

    r->present[t->priority] = MAX(r->present[t->priority], l->time);
    l->time = r->present[t->priority] + 1;
}

/* ---- for people ---- */

void ready_queues(struct ready *r, ready_queue_fn fn, void *arg)
{
    for (size_t k = 0; k < r->queues.n; k++) {
        struct queue *q = r->queues.v[k];
        int64_t oldest = 0;

        q->wanted = ++r->search;
        for (size_t i = 0; q->n > 0 && i < r->owners.n; i++) {
            const struct owner *o = r->owners.v[i];

            for (int p = 0; p < PRIORITIES; p++) {
                const char *name;
                int64_t first = lane_first(&o->lanes[p], r->search, false, &name);

                oldest = first > 0 && (oldest == 0 || first < oldest) ? first : oldest;
            }
        }
        fn(arg, q->name, q->n, oldest / TASKS_MAX);
    }
}

static void fifo_each(const struct fifo *f, struct ready_task *t,
                      void (*fn)(void *arg, const struct ready_task *t), void *arg)
{
    t->queue = f->queue->name;
    for (size_t i = 0; i < f->of.n; i++) {
        t->job_num = places_at(&f->of, i) / TASKS_MAX;
        t->idx = (int32_t)(places_at(&f->of, i) % TASKS_MAX);
        fn(arg, t);
    }
}

void ready_each(const struct ready *r, void (*fn)(void *arg, const struct ready_task *t), void *arg)
{
    for (size_t i = 0; i < r->owners.n; i++) {
        const struct owner *o = r->owners.v[i];
        struct ready_task t = {.key = o->key};

        for (t.priority = 0; t.priority < PRIORITIES; t.priority++) {
            for (size_t k = 0; k < o->lanes[t.priority].n_fifos; k++) {
                fifo_each(&o->lanes[t.priority].fifos[k], &t, fn, arg);
            }
        }
    }
}
