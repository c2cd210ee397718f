#include "store/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/* ---- things and their undo ---- */

static struct mem_job *job_copy(const struct mem_job *from)
{
    struct mem_job *c = xcalloc(1, sizeof *c);
    struct job *j = &c->job;

    *c = *from;
    c->raw_path = xstrdup(from->raw_path);
    j->tool = xstrdup(j->tool);
    j->targets = xstrdup(j->targets);
    j->ports = xstrdup(j->ports);
    j->arguments = xstrdup(j->arguments);
    j->key_id = xstrdup(j->key_id);
    j->error = xstrdup(j->error);
    j->stderr_tail = xstrdup(j->stderr_tail);
    j->command_line = xstrdup(j->command_line);
    j->tool_version = xstrdup(j->tool_version);
    j->confinement = xstrdup(j->confinement);
    j->raw_sha256 = xstrdup(j->raw_sha256);
    j->run_json = xstrdup(j->run_json);
    return c;
}

static void thing_free(enum mem_kind kind, void *thing)
{
    if (!thing) {
        return;
    }
    if (kind == MEM_JOB) {
        job_done(&((struct mem_job *)thing)->job);
        free(((struct mem_job *)thing)->raw_path);
    } else if (kind == MEM_PURGE) {
        free(((struct mem_purge *)thing)->path);
    } else if (kind == MEM_EVENT) {
        free((void *)(uintptr_t)((struct mem_event *)thing)->ev.data);
    } else if (kind == MEM_IDEM) {
        free(((struct mem_idem *)thing)->key_id);
        free(((struct mem_idem *)thing)->idem);
    }
    free(thing);
}

void mem_undo_push(struct mem *m, const struct mem_undo *u)
{
    if (m->n_undo == m->undo_size) {
        m->undo_size = MAX(2 * m->undo_size, 64);
        m->undo = xrealloc(m->undo, m->undo_size * sizeof *m->undo);
    }
    m->undo[m->n_undo++] = *u;
}

static void insert(struct mem_list *l, size_t at, void *thing)
{
    if (l->n == l->size) {
        l->size = MAX(2 * l->size, 16);
        l->v = xrealloc(l->v, l->size * sizeof *l->v);
    }
    memmove(l->v + at + 1, l->v + at, (l->n - at) * sizeof *l->v);
    l->v[at] = thing;
    l->n++;
}

static void *cut(struct mem_list *l, size_t at)
{
    void *thing = l->v[at];

    l->n--;
    memmove(l->v + at, l->v + at + 1, (l->n - at) * sizeof *l->v);
    return thing;
}

void mem_add(struct mem *m, enum mem_kind kind, void *thing)
{
    struct mem_list *l = &m->lists[kind];

    insert(l, l->n, thing);
    mem_undo_push(m, &(struct mem_undo){.what = UNDO_ADD, .kind = kind, .at = l->n - 1});
}

void mem_remove(struct mem *m, enum mem_kind kind, size_t at)
{
    void *old = cut(&m->lists[kind], at);

    mem_undo_push(m, &(struct mem_undo){.what = UNDO_REMOVE, .kind = kind, .at = at, .old = old});
}

void mem_replace(struct mem *m, enum mem_kind kind, size_t at, void *thing)
{
    void *old = m->lists[kind].v[at];

    m->lists[kind].v[at] = thing;
    mem_undo_push(m, &(struct mem_undo){.what = UNDO_CHANGE, .kind = kind, .at = at, .old = old});
}

static void undo(struct mem *m, const struct mem_undo *u)
{
    struct mem_list *l = &m->lists[u->kind];
    struct mem_result *r;
    int64_t ports;

    switch (u->what) {
    case UNDO_ADD:
        thing_free(u->kind, cut(l, u->at));
        break;
    case UNDO_REMOVE:
        insert(l, u->at, u->old);
        break;
    case UNDO_CHANGE:
        thing_free(u->kind, l->v[u->at]);
        l->v[u->at] = u->old;
        break;
    case UNDO_HOST:
        mem_result_cut(&m->base, u->result, u->seq - 1, &ports);
        break;
    case UNDO_SEAL:
        r = mem_result_find(m, u->result);
        r->hosts[u->seq - 1]->sealed = false;
        break;
    }
}

/* ---- turns ---- */

static int mem_begin(struct store *s)
{
    assert(mem_of(s)->n_undo == 0);
    return 0;
}

static int mem_commit(struct store *s, const struct tally *t)
{
    struct mem *m = mem_of(s);

    (void)t;
    for (size_t i = 0; i < m->n_undo; i++) {
        struct mem_undo *u = &m->undo[i];

        if (u->what == UNDO_REMOVE && u->kind == MEM_PURGE) {
            mem_result_remove(m, ((struct mem_purge *)u->old)->result);
        }
        thing_free(u->kind, u->old);
    }
    m->n_undo = 0;
    return 0;
}

static void mem_rollback(struct store *s)
{
    struct mem *m = mem_of(s);

    while (m->n_undo > 0) {
        undo(m, &m->undo[--m->n_undo]);
    }
}

static void mem_close(struct store *s)
{
    struct mem *m = mem_of(s);

    for (int kind = 0; kind < MEM_KINDS; kind++) {
        for (size_t i = 0; i < m->lists[kind].n; i++) {
            thing_free((enum mem_kind)kind, m->lists[kind].v[i]);
        }
        free(m->lists[kind].v);
    }
    for (size_t i = 0; i < m->n_results; i++) {
        mem_result_free(m->results[i]);
    }
    free(m->results);
    free(m->undo);
    free(m);
}

static void mem_idle(struct store *s)
{
    (void)s;
}

static int mem_check(struct store *s)
{
    (void)s;
    return 0;
}

static int64_t mem_log_bytes(struct store *s)
{
    (void)s;
    return 0;
}

/* ---- jobs ---- */

static struct mem_job *job_at(struct mem *m, size_t i)
{
    return m->lists[MEM_JOB].v[i];
}

static bool find(struct mem *m, const struct id *id, int64_t num, size_t *at)
{
    for (size_t i = 0; i < m->lists[MEM_JOB].n; i++) {
        const struct job *j = &job_at(m, i)->job;

        if (id ? id_cmp(&j->id, id) == 0 : j->num == num) {
            *at = i;
            return true;
        }
    }
    return false;
}

static int missing(struct store *s)
{
    return store_fail(s, ERR_NOT_FOUND, "no such job");
}

static int mem_job_add(struct store *s, const struct job *j)
{
    struct mem *m = mem_of(s);
    struct mem_job mj = {.job = *j};
    size_t at;

    if (find(m, &j->id, 0, &at)) {
        return store_fail(s, ERR_CONFLICT, "a job with this id exists already");
    }
    mj.job.stderr_tail = mj.job.run_json = NULL;
    mem_add(m, MEM_JOB, job_copy(&mj));
    return 0;
}

static int mem_job_put(struct store *s, const struct job *j)
{
    struct mem *m = mem_of(s);
    struct mem_job mj;
    size_t at;

    if (!find(m, NULL, j->num, &at)) {
        return missing(s);
    }
    mj = *job_at(m, at);
    mj.job = *j;
    mj.job.stderr_tail = job_at(m, at)->job.stderr_tail;
    mj.job.run_json = job_at(m, at)->job.run_json;
    mem_replace(m, MEM_JOB, at, job_copy(&mj));
    return 0;
}

static int mem_job_text_put(struct store *s, const struct job *j)
{
    struct mem *m = mem_of(s);
    struct mem_job mj;
    size_t at;

    if (!find(m, NULL, j->num, &at)) {
        return missing(s);
    }
    mj = *job_at(m, at);
    if (j->stderr_tail) {
        mj.job.stderr_tail = j->stderr_tail;
    }
    if (j->run_json) {
        mj.job.run_json = j->run_json;
    }
    mem_replace(m, MEM_JOB, at, job_copy(&mj));
    return 0;
}

static int mem_job_find(struct store *s, const struct id *id, int64_t num, bool text,
                        struct job *out)
{
    struct mem *m = mem_of(s);
    struct mem_job *copy;
    struct mem_job mj;
    size_t at;

    if (!find(m, id, num, &at)) {
        return missing(s);
    }
    mj = *job_at(m, at);
    mj.raw_path = NULL;
    if (!text) {
        mj.job.stderr_tail = mj.job.run_json = NULL;
    }
    copy = job_copy(&mj);
    *out = copy->job;
    free(copy);
    return 0;
}

static int mem_job_drop(struct store *s, int64_t num)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (!find(m, NULL, num, &at)) {
        return missing(s);
    }
    mem_remove(m, MEM_JOB, at);
    return 0;
}

static bool matches(const struct job *j, const struct job_filter *f)
{
    if (!(f->states & (1u << j->state)) || (f->tool && strcmp(f->tool, j->tool) != 0)) {
        return false;
    }
    if (f->since_us > 0 && j->created_us < f->since_us) {
        return false;
    }
    return f->after <= 0 || (f->oldest_first ? j->num > f->after : j->num < f->after);
}

static int mem_job_list(struct store *s, const struct job_filter *f, job_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    size_t n = m->lists[MEM_JOB].n;
    uint32_t given = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n && given < f->limit; i++) {
        struct job j = job_at(m, f->oldest_first ? i : n - 1 - i)->job;

        if (matches(&j, f)) {
            j.stderr_tail = j.run_json = NULL;
            rc = fn(arg, &j, &s->err);
            given++;
        }
    }
    return rc;
}

struct head_sink {
    job_head_fn fn;
    void *arg;
};

static int head_of(void *arg, const struct job *j, struct err *e)
{
    struct head_sink *h = arg;

    (void)e;
    return h->fn(h->arg, j->num, &j->id, j->state);
}

static int mem_job_heads(struct store *s, const struct job_filter *f, job_head_fn fn, void *arg)
{
    struct head_sink h = {fn, arg};

    return mem_job_list(s, f, head_of, &h);
}

/* ---- by time: the least first, by looking at all ---- */

typedef int64_t (*time_fn)(const struct mem_job *mj); /* 0: does not count */

static int64_t completed_at(const struct mem_job *mj)
{
    return mj->job.completed_us;
}

static int64_t overdue_at(const struct mem_job *mj)
{
    return mj->job.queue_expires_us;
}

static int64_t due_at(const struct mem_job *mj)
{
    return mj->row.task.state == JOB_SCHEDULED ? mj->row.task.run_at_us : 0;
}

/* The first after (after_us, after_num) in the order of time, then number. */
static const struct mem_job *earliest(struct mem *m, time_fn at, int64_t after_us,
                                      int64_t after_num)
{
    const struct mem_job *best = NULL;

    for (size_t i = 0; i < m->lists[MEM_JOB].n; i++) {
        const struct mem_job *mj = job_at(m, i);
        int64_t us = at(mj);

        if (us != 0 && (us > after_us || (us == after_us && mj->job.num > after_num)) &&
            (!best || us < at(best))) {
            best = mj;
        }
    }
    return best;
}

static uint32_t until(struct mem *m, time_fn at, int64_t last_us, uint32_t limit, int64_t *nums)
{
    const struct mem_job *mj = earliest(m, at, INT64_MIN, 0);
    uint32_t n = 0;

    while (mj && n < limit && at(mj) <= last_us) {
        nums[n++] = mj->job.num;
        mj = earliest(m, at, at(mj), mj->job.num);
    }
    return n;
}

static int mem_job_ended(struct store *s, int64_t before_us, uint32_t limit, int64_t *nums,
                         uint32_t *n)
{
    *n = until(mem_of(s), completed_at, before_us - 1, limit, nums);
    return 0;
}

static int mem_job_overdue(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums,
                           uint32_t *n)
{
    *n = until(mem_of(s), overdue_at, now_us, limit, nums);
    return 0;
}

static int mem_job_overdue_next(struct store *s, int64_t *next_us)
{
    const struct mem_job *mj = earliest(mem_of(s), overdue_at, INT64_MIN, 0);

    *next_us = mj ? overdue_at(mj) : 0;
    return 0;
}

static int mem_task_due(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n)
{
    *n = until(mem_of(s), due_at, now_us, limit, nums);
    return 0;
}

static int mem_task_due_next(struct store *s, int64_t *next_us)
{
    const struct mem_job *mj = earliest(mem_of(s), due_at, INT64_MIN, 0);

    *next_us = mj ? due_at(mj) : 0;
    return 0;
}

/* ---- tasks ---- */

static int mem_task_put(struct store *s, const struct task_row *r)
{
    struct mem *m = mem_of(s);
    struct mem_job mj;
    size_t at;

    if (!find(m, NULL, r->task.job_num, &at)) {
        return missing(s);
    }
    mj = *job_at(m, at);
    mj.row = *r;
    mem_replace(m, MEM_JOB, at, job_copy(&mj));
    return 0;
}

static int mem_task_find(struct store *s, int64_t job_num, int32_t idx, struct task_row *out)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (idx != 0 || !find(m, NULL, job_num, &at)) {
        return missing(s);
    }
    *out = job_at(m, at)->row;
    return 0;
}

static int mem_task_next(struct store *s, struct task_row *out, bool *found)
{
    struct mem *m = mem_of(s);

    *found = false;
    for (size_t i = 0; i < m->lists[MEM_JOB].n; i++) {
        const struct task_row *r = &job_at(m, i)->row;

        if (r->task.state == JOB_QUEUED && (!*found || r->task.priority > out->task.priority)) {
            *out = *r;
            *found = true;
        }
    }
    return 0;
}

static int mem_task_running(struct store *s, task_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->lists[MEM_JOB].n; i++) {
        struct task t = job_at(m, i)->row.task;

        if (t.state == JOB_RUNNING) {
            rc = fn(arg, &t, &s->err);
        }
    }
    return rc;
}

/* ---- raw files, and what is to be removed ---- */

static int mem_blob_put(struct store *s, int64_t job_num, uint32_t epoch, const struct outcome *o)
{
    struct mem *m = mem_of(s);
    struct mem_job mj;
    size_t at;

    (void)epoch;
    if (!find(m, NULL, job_num, &at)) {
        return missing(s);
    }
    mj = *job_at(m, at);
    mj.raw_path = (char *)(uintptr_t)o->raw_path; /* only to be copied */
    mem_replace(m, MEM_JOB, at, job_copy(&mj));
    return 0;
}

static int mem_blob_path(struct store *s, int64_t job_num, char **path)
{
    struct mem *m = mem_of(s);
    size_t at;

    *path = find(m, NULL, job_num, &at) ? xstrdup(job_at(m, at)->raw_path) : NULL;
    return 0;
}

static int mem_purge_add(struct store *s, int64_t id, int64_t result, const char *path)
{
    struct mem *m = mem_of(s);
    struct mem_purge *p = xcalloc(1, sizeof *p);
    int64_t ports = 0;
    const struct mem_result *r = mem_result_find(m, result);

    mem_result_cut(s, result, INT64_MAX, &ports);
    *p = (struct mem_purge){
        .id = id, .result = result, .rows = ports + (r ? r->n : 0), .path = xstrdup(path)};
    mem_add(m, MEM_PURGE, p);
    return 0;
}

static bool mem_purge_any(struct store *s)
{
    return mem_of(s)->lists[MEM_PURGE].n > 0;
}

static int mem_purge_step(struct store *s, uint32_t max_rows, bool *more, char **path, int64_t *id)
{
    struct mem *m = mem_of(s);
    const struct mem_purge *first = m->lists[MEM_PURGE].v[0];
    struct mem_purge *p = xcalloc(1, sizeof *p);

    *p = *first;
    p->path = xstrdup(first->path);
    p->rows -= MIN(p->rows, (int64_t)max_rows);
    mem_replace(m, MEM_PURGE, 0, p);
    if (p->rows > 0) {
        *more = true;
        return 0;
    }
    *more = m->lists[MEM_PURGE].n > 1;
    if (p->path) {
        *path = xstrdup(p->path);
        *id = p->id;
    } else {
        mem_remove(m, MEM_PURGE, 0);
    }
    return 0;
}

static int mem_purge_drop(struct store *s, int64_t id)
{
    struct mem *m = mem_of(s);

    for (size_t i = 0; i < m->lists[MEM_PURGE].n; i++) {
        if (((struct mem_purge *)m->lists[MEM_PURGE].v[i])->id == id) {
            mem_remove(m, MEM_PURGE, i);
            break;
        }
    }
    return 0;
}

/* ---- events ---- */

static const struct event *event_at(struct mem *m, size_t i)
{
    return &((struct mem_event *)m->lists[MEM_EVENT].v[i])->ev;
}

static int mem_event_put(struct store *s, const struct event *ev)
{
    struct mem_event *me = xcalloc(1, sizeof *me);

    me->ev = *ev;
    me->ev.type = event_type_name(event_type_num(ev->type));
    me->ev.data = xstrdup(ev->data);
    mem_add(mem_of(s), MEM_EVENT, me);
    return 0;
}

static int mem_events(struct store *s, int64_t after, int64_t last, uint32_t limit, event_fn fn,
                      void *arg)
{
    struct mem *m = mem_of(s);
    uint32_t given = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->lists[MEM_EVENT].n && given < limit; i++) {
        const struct event *ev = event_at(m, i);

        if (ev->seq > after && ev->seq <= last) {
            rc = fn(arg, ev, &s->err);
            given++;
        }
    }
    return rc;
}

static int64_t mem_event_first(struct store *s)
{
    struct mem *m = mem_of(s);

    return m->lists[MEM_EVENT].n ? event_at(m, 0)->seq : 0;
}

static int mem_event_older(struct store *s, int64_t before_us, uint32_t limit, int64_t *last,
                           int64_t *n)
{
    struct mem *m = mem_of(s);

    for (size_t i = 0; i < m->lists[MEM_EVENT].n && *n < limit; i++) {
        if (event_at(m, i)->at_us >= before_us) {
            break;
        }
        *last = event_at(m, i)->seq;
        ++*n;
    }
    return 0;
}

static int mem_event_drop(struct store *s, int64_t last)
{
    struct mem *m = mem_of(s);

    while (m->lists[MEM_EVENT].n && event_at(m, 0)->seq <= last) {
        mem_remove(m, MEM_EVENT, 0);
    }
    return 0;
}

/* ---- remembered requests ---- */

static int mem_idem_find(struct store *s, const char *key_id, const char *idem,
                         uint8_t fingerprint[32], struct id *job, bool *found)
{
    struct mem *m = mem_of(s);

    *found = false;
    for (size_t i = 0; i < m->lists[MEM_IDEM].n; i++) {
        const struct mem_idem *mi = m->lists[MEM_IDEM].v[i];

        if (strcmp(mi->key_id, key_id) == 0 && strcmp(mi->idem, idem) == 0) {
            memcpy(fingerprint, mi->fingerprint, sizeof mi->fingerprint);
            *job = mi->job;
            *found = true;
        }
    }
    return 0;
}

static int mem_idem_put(struct store *s, const char *key_id, const char *idem,
                        const uint8_t fingerprint[32], const struct id *job, int64_t now_us)
{
    struct mem_idem *mi = xcalloc(1, sizeof *mi);

    mi->key_id = xstrdup(key_id);
    mi->idem = xstrdup(idem);
    memcpy(mi->fingerprint, fingerprint, sizeof mi->fingerprint);
    mi->job = *job;
    mi->at_us = now_us;
    mem_add(mem_of(s), MEM_IDEM, mi);
    return 0;
}

static bool mem_idem_older(struct store *s, int64_t before_us)
{
    struct mem *m = mem_of(s);

    for (size_t i = 0; i < m->lists[MEM_IDEM].n; i++) {
        if (((struct mem_idem *)m->lists[MEM_IDEM].v[i])->at_us < before_us) {
            return true;
        }
    }
    return false;
}

static int mem_idem_drop(struct store *s, int64_t before_us)
{
    struct mem *m = mem_of(s);

    for (size_t i = m->lists[MEM_IDEM].n; i > 0; i--) {
        if (((struct mem_idem *)m->lists[MEM_IDEM].v[i - 1])->at_us < before_us) {
            mem_remove(m, MEM_IDEM, i - 1);
        }
    }
    return 0;
}

/* ---- keys ---- */

static int mem_key_put(struct store *s, const struct key *k)
{
    struct mem *m = mem_of(s);
    struct key *copy = xcalloc(1, sizeof *copy);

    *copy = *k;
    for (size_t i = 0; i < m->lists[MEM_KEY].n; i++) {
        if (strcmp(((struct key *)m->lists[MEM_KEY].v[i])->id, k->id) == 0) {
            mem_replace(m, MEM_KEY, i, copy);
            return 0;
        }
    }
    mem_add(m, MEM_KEY, copy);
    return 0;
}

static int mem_keys(struct store *s, key_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->lists[MEM_KEY].n; i++) {
        rc = fn(arg, m->lists[MEM_KEY].v[i], &s->err);
    }
    return rc;
}

static const struct store_ops ops = {
    .close = mem_close,
    .begin = mem_begin,
    .commit = mem_commit,
    .rollback = mem_rollback,
    .idle = mem_idle,
    .check = mem_check,
    .log_bytes = mem_log_bytes,
    .job_add = mem_job_add,
    .job_put = mem_job_put,
    .job_text_put = mem_job_text_put,
    .job_find = mem_job_find,
    .job_drop = mem_job_drop,
    .job_list = mem_job_list,
    .job_heads = mem_job_heads,
    .job_ended = mem_job_ended,
    .job_overdue = mem_job_overdue,
    .job_overdue_next = mem_job_overdue_next,
    .task_add = mem_task_put,
    .task_put = mem_task_put,
    .task_find = mem_task_find,
    .task_next = mem_task_next,
    .task_running = mem_task_running,
    .task_due = mem_task_due,
    .task_due_next = mem_task_due_next,
    .host_put = mem_host_put,
    .port_put = mem_port_put,
    .host_seal = mem_host_seal,
    .result_cut = mem_result_cut,
    .hosts = mem_hosts,
    .blob_put = mem_blob_put,
    .blob_path = mem_blob_path,
    .purge_add = mem_purge_add,
    .purge_step = mem_purge_step,
    .purge_drop = mem_purge_drop,
    .purge_any = mem_purge_any,
    .event_put = mem_event_put,
    .events = mem_events,
    .event_first = mem_event_first,
    .event_older = mem_event_older,
    .event_drop = mem_event_drop,
    .idem_find = mem_idem_find,
    .idem_put = mem_idem_put,
    .idem_older = mem_idem_older,
    .idem_drop = mem_idem_drop,
    .key_put = mem_key_put,
    .keys = mem_keys,
};

int mem_open(struct store **out)
{
    struct mem *m = xcalloc(1, sizeof *m);

    m->base.ops = &ops;
    m->base.committed =
        (struct tally){.next_job = 1, .next_event = 1, .next_result = 1, .next_purge = 1};
    *out = &m->base;
    return 0;
}
