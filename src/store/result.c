/*
 * Results. A run that delivers hosts has an intake, which knows its place in the result set and
 * counts, and keeps the head of the host that is open: so a host costs one row, written at its end,
 * each port one row, and nothing else. The job's own counts are written and told once per commit.
 *
 * A set of hosts has a number of its own. Forgetting a set is forgetting its number: the rows go
 * later, in steps (purge), so that a retry or a deletion never has to wait for a million rows.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/internal.h"
#include "store/place.h"

enum { HOSTS_MAX = 1000 };

/* ---- intakes ---- */

static bool is_of(const struct intake *it, int64_t job_num, int32_t idx)
{
    return it->job_num == job_num && it->lease.idx == idx;
}

struct intake *intake_of(struct store *s, int64_t job_num, int32_t idx)
{
    struct intake *it = s->intakes;

    while (it && !is_of(it, job_num, idx)) {
        it = it->next;
    }
    return it;
}

void intake_overlay(struct store *s, struct job *j)
{
    const struct intake *it = j->planned ? NULL : intake_of(s, j->num, 0);

    if (it && !it->reparse) {
        j->hosts = it->hosts;
        j->hosts_up = it->hosts_up;
        j->ports_open = it->ports_open;
    }
}

void intake_drop(struct store *s, int64_t job_num, int32_t idx)
{
    for (struct intake **p = &s->intakes; *p; p = &(*p)->next) {
        if (is_of(*p, job_num, idx)) {
            struct intake *it = *p;

            *p = it->next;
            if (s->current == it) {
                s->current = NULL;
            }
            host_done(&it->head);
            if (it->scan) {
                scan_done(it->scan);
                free(it->scan);
            }
            free(it);
            return;
        }
    }
}

void intake_drop_all(struct store *s)
{
    while (s->intakes) {
        intake_drop(s, s->intakes->job_num, s->intakes->lease.idx);
    }
}

static int flush_one(struct store *s, struct intake *it)
{
    struct work w;
    int rc = work_load_task(s, NULL, it->job_num, it->lease.idx, &w);

    if (rc != 0) {
        return rc;
    }
    if (w.job.planned) { /* its own counts are those of what is merged */
        rc = s->ops->part_put(s, &w.row, &w.part);
    } else {
        w.job.rev++;
        rc = s->ops->job_put(s, &w.job);
        if (rc == 0) {
            rc = scan_flush(s, it);
        }
        if (rc == 0) {
            rc = event_add(s, &w, it->scan ? "job.findings" : "job.hosts", NULL);
        }
    }
    work_done(&w);
    it->changed = false;
    return rc;
}

int intake_flush(struct store *s)
{
    int rc = 0;

    for (struct intake *it = s->intakes; rc == 0 && it; it = it->next) {
        if (it->changed && !it->reparse) {
            rc = flush_one(s, it);
        }
    }
    return rc;
}

int intake_end(struct store *s, struct work *w)
{
    const struct intake *it = intake_of(s, w->job.num, w->row.task.idx);
    int64_t ports;
    int rc = 0;

    if (w->row.result) {
        rc = s->ops->result_cut(s, w->row.result, work_counts(w).hosts, &ports);
    }
    if (rc == 0 && it && it->changed && !w->job.planned) {
        w->job.rev++; /* the row is written with the end */
        rc = event_add(s, w, it->scan ? "job.findings" : "job.hosts", NULL);
    }
    intake_drop(s, w->job.num, w->row.task.idx);
    return rc;
}

int result_discard(struct store *s, struct work *w, const char *raw_path)
{
    int64_t ports;
    int rc = 0;

    intake_drop(s, w->job.num, w->row.task.idx);
    if (w->row.result) {
        rc = s->ops->result_cut(s, w->row.result, work_counts(w).hosts, &ports);
    }
    if (rc == 0 && w->row.result) {
        rc = scan_discard(s, &w->job);
    }
    if (rc == 0 && (w->row.result || raw_path)) {
        rc = s->ops->purge_add(s, s->now.next_purge, w->row.result, raw_path);
        s->now.next_purge++;
    }
    w->row.result = 0;
    work_count(w, (struct host_counts){0});
    return rc;
}

bool intake_reparses(const struct store *s)
{
    const struct intake *it = s->intakes;

    while (it && !it->reparse) {
        it = it->next;
    }
    return it != NULL;
}

static struct intake *intake_new(struct store *s, const struct work *w, const struct lease *l)
{
    struct intake *it = xcalloc(1, sizeof *it);
    struct host_counts c = work_counts(w);

    it->lease = *l;
    it->job_num = w->job.num;
    it->result = w->row.result;
    it->hosts = c.hosts;
    it->hosts_up = c.hosts_up;
    it->ports_open = c.ports_open;
    it->next = s->intakes;
    s->intakes = it;
    return it;
}

static bool same_lease(const struct lease *a, const struct lease *b)
{
    return a->epoch == b->epoch && a->token == b->token && a->idx == b->idx &&
           memcmp(&a->job_id, &b->job_id, sizeof a->job_id) == 0;
}

static struct intake *intake_find(struct store *s, const struct lease *l)
{
    struct intake *it = s->intakes;

    while (it && !same_lease(&it->lease, l)) {
        it = it->next;
    }
    return it;
}

/* The run's first host since it was claimed, or since a turn was undone. */
static int intake_start(struct store *s, const struct lease *l, struct intake **out)
{
    struct work w;
    int64_t ports = 0;
    int rc = work_load_task(s, &l->job_id, 0, l->idx, &w);

    if (rc != 0) {
        return rc == ERR_NOT_FOUND ? store_fenced(s) : rc;
    }
    if (!task_held(&w.row.task, l)) {
        rc = store_fenced(s);
    } else {
        rc = store_begin(s);
    }
    if (rc == 0 && w.row.result == 0) {
        w.row.result = s->now.next_result++;
        rc = s->ops->task_put(s, &w.row);
    } else if (rc == 0) {
        rc = s->ops->result_cut(s, w.row.result, work_counts(&w).hosts, &ports);
    }
    if (rc == 0) {
        *out = intake_new(s, &w, l);
        (*out)->ports = ports;
    }
    work_done(&w);
    return rc;
}

int intake_for(struct store *s, const struct lease *l, struct intake **out)
{
    struct intake *it =
        s->current && same_lease(&s->current->lease, l) ? s->current : intake_find(s, l);
    int rc = it ? store_begin(s) : intake_start(s, l, &it);

    if (rc == 0) {
        assert(it);
        *out = it;
    }
    return rc;
}

/* ---- hosts in ---- */

static int unfinished(struct store *s, struct intake *it)
{
    int64_t ports;

    it->open = false;
    return s->ops->result_cut(s, it->result, it->hosts, &ports);
}

static int host_begin(struct store *s, const struct lease *l, const struct host *head, int64_t *seq)
{
    struct intake *it = NULL;
    int rc = store_whole(s);

    if (rc != 0) {
        return rc;
    }
    rc = intake_for(s, l, &it);
    if (rc == 0 && it->open) {
        rc = unfinished(s, it);
    }
    if (rc == 0) {
        if (it->head.arena) {
            arena_reset(it->head.arena);
        }
        head_copy(&it->head, head, it->head.arena ? it->head.arena : arena_new());
        s->current = it;
        it->open = true;
        it->up = str_eq(head->state, "up");
        it->n_ports = it->n_open = 0;
        if (seq) {
            *seq = it->hosts + 1;
        }
    }
    return rc;
}

int store_host_begin(struct store *s, const struct lease *l, const struct host *head, int64_t *seq,
                     struct err *e)
{
    return store_change_end(s, host_begin(s, l, head, seq), e);
}

/* The open host's intake, ready for a write. */
static int need_open(struct store *s, struct intake **out)
{
    int rc = store_whole(s);

    if (rc == 0 && (!s->current || !s->current->open)) {
        rc = store_fail(s, ERR_CONFLICT, "no host is open");
    }
    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        *out = s->current;
    }
    return rc;
}

int store_host_port(struct store *s, const struct port *p, struct err *e)
{
    struct intake *it;
    int rc = need_open(s, &it);

    if (rc == 0) {
        rc = s->ops->port_put(s, it->result, it->ports + it->n_ports, it->hosts + 1, p);
    }
    if (rc == 0) {
        it->n_ports++;
        it->n_open += p->state && strcmp(p->state, "open") == 0;
    }
    return store_change_end(s, rc, e);
}

static int host_put(struct store *s, const struct intake *it)
{
    const struct host_rows rows = {it->ports, it->n_ports, it->n_open};
    uint8_t key[HOST_KEY];
    int rc = s->ops->host_put(s, it->result, it->hosts + 1, &it->head, &rows);

    if (rc == 0 && it->hosts >= PLACE_UNWRITTEN) {
        place_of(&it->head, key);
        rc = s->ops->host_place(s, it->result, it->hosts + 1, key);
    }
    return rc;
}

int store_host_end(struct store *s, struct err *e)
{
    struct intake *it;
    int rc = need_open(s, &it);

    if (rc == 0) {
        rc = host_put(s, it);
    }
    if (rc == 0) {
        it->open = false;
        it->changed = true;
        it->hosts++;
        it->hosts_up += it->up;
        it->ports += it->n_ports;
        it->ports_open += it->n_open;
    }
    return store_change_end(s, rc, e);
}

int store_host_abort(struct store *s, struct err *e)
{
    struct intake *it;
    int rc = need_open(s, &it);

    if (rc == 0) {
        rc = unfinished(s, it);
    }
    return store_change_end(s, rc, e);
}

int store_host_select(struct store *s, const struct lease *l, struct err *e)
{
    struct intake *it = intake_find(s, l);
    int rc = store_whole(s);

    if (rc == 0 && (!it || !it->open)) {
        rc = store_fail(s, ERR_CONFLICT, "no host is open");
    }
    if (rc == 0) {
        s->current = it;
    }
    return store_read_end(s, rc, e);
}

/* ---- hosts out ---- */

static int hosts_of(struct store *s, int64_t result, const struct host_filter *f,
                    const struct host_sink *sink)
{
    struct host_filter b = *f;

    if (b.limit == 0 || b.limit > HOSTS_MAX) {
        b.limit = HOSTS_MAX;
    }
    return result ? s->ops->hosts(s, result, &b, sink) : 0;
}

int store_hosts(struct store *s, int64_t job_num, const struct host_filter *f,
                const struct host_sink *sink, struct err *e)
{
    struct board board;
    struct task_row row;
    int rc = s->ops->board_find(s, job_num, &board);

    if (rc == 0) {
        rc = hosts_of(s, board.result, f, sink);
    } else if (rc == ERR_NOT_FOUND) { /* a plain job, or none */
        rc = s->ops->task_find(s, job_num, 0, &row);
        if (rc == 0) {
            rc = hosts_of(s, row.result, f, sink);
        }
    }
    return store_read_end(s, rc, e);
}

int store_task_hosts(struct store *s, int64_t job_num, int32_t idx, const struct host_filter *f,
                     const struct host_sink *sink, struct err *e)
{
    struct task_row row;
    int rc = s->ops->task_find(s, job_num, idx, &row);

    if (rc == 0) {
        rc = hosts_of(s, row.result, f, sink);
    }
    return store_read_end(s, rc, e);
}

int store_task_raw_path(struct store *s, int64_t job_num, int32_t idx, char **path, struct err *e)
{
    struct task_row row;
    char *got = NULL;
    int rc = s->ops->task_find(s, job_num, idx, &row);

    if (rc == 0) {
        rc = s->ops->blob_get(s, job_num, idx, &got, NULL);
    }
    if (rc == 0) {
        *path = got;
    }
    return store_read_end(s, rc, e);
}

int store_raw_path(struct store *s, int64_t job_num, char **path, struct err *e)
{
    return store_task_raw_path(s, job_num, 0, path, e);
}

/* ---- reparse ---- */

/*
 * The new set is not the job's before the end, so that whatever happens in between leaves the old
 * one whole. It is noted for removal from the start, and nothing is removed while a reparse is
 * under way: so nothing is left of one that did not come to its end, even after a crash.
 */
static int reparse_begin(struct store *s, struct work *w, struct lease *l)
{
    const struct task *t = &w->row.task;
    struct intake *it;
    int64_t result;
    int64_t noted;
    int rc;

    if (!job_state_terminal(w->job.state)) {
        return store_fail(s, ERR_CONFLICT, "job is %s: it has not ended yet",
                          job_state_name(w->job.state));
    }
    if (w->job.planned) {
        return store_fail(s, ERR_CONFLICT, "the results of a planned job have no single raw file");
    }
    if (intake_of(s, w->job.num, 0)) {
        return store_fail(s, ERR_CONFLICT, "the job's results are being rebuilt already");
    }
    if ((rc = store_begin(s)) != 0) {
        return rc;
    }
    result = s->now.next_result++;
    noted = s->now.next_purge++;
    rc = s->ops->purge_add(s, noted, result, NULL);
    if (rc == 0) {
        *l = (struct lease){.job_id = w->job.id,
                            .idx = t->idx,
                            .epoch = t->epoch,
                            /* no late report of another one, and none that can be adopted */
                            .token = store_token(s, &w->job.id, -1, (uint32_t)result)};
        it = intake_new(s, w, l);
        it->reparse = it->changed = true;
        it->result = result;
        it->noted = noted;
        it->hosts = it->hosts_up = it->ports_open = 0;
    }
    return rc;
}

int store_reparse_begin(struct store *s, const struct id *id, struct lease *l, struct err *e)
{
    struct work w;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = work_load(s, id, 0, &w);
    }
    if (rc == 0) {
        rc = reparse_begin(s, &w, l);
        work_done(&w);
    }
    return store_change_end(s, rc, e);
}

static int reparse_end(struct store *s, struct work *w, struct intake *it, bool partial,
                       const char *run_json)
{
    const struct intake is = *it;
    int64_t old = w->row.result;
    int64_t findings = 0;
    int64_t ports;
    int rc = store_begin(s);

    if (rc == 0) {
        rc = s->ops->result_cut(s, is.result, is.hosts, &ports);
    }
    if (rc == 0) {
        rc = s->ops->purge_keep(s, is.noted);
    }
    intake_drop(s, w->job.num, 0);
    if (rc == 0) {
        rc = result_discard(s, w, NULL);
    }
    w->row.result = is.result;
    if (rc == 0) {
        rc = s->ops->task_put(s, &w->row);
    }
    if (rc == 0) {
        rc = scan_reparsed(s, w, old, run_json, &findings);
    }
    w->job.hosts = is.hosts;
    w->job.hosts_up = is.hosts_up;
    w->job.ports_open = is.ports_open;
    /* As when it ran: what did not complete is partial if there is anything. */
    w->job.partial = w->job.state == JOB_COMPLETED ? partial : is.hosts + findings > 0;
    w->job.rev++;
    if (rc == 0) {
        rc = event_add(s, w, "job.hosts", NULL);
    }
    if (rc == 0 && run_json) {
        free(w->job.run_json);
        w->job.run_json = xstrdup(run_json);
        rc = s->ops->job_text_put(s, &w->job);
    }
    return rc == 0 ? s->ops->job_put(s, &w->job) : rc;
}

int store_reparse_end(struct store *s, const struct lease *l, bool partial, const char *run_json,
                      struct err *e)
{
    struct intake *it = intake_find(s, l);
    struct work w;
    int rc = store_whole(s);

    if (rc == 0 && (!it || !it->reparse)) {
        rc = store_fenced(s);
    }
    if (rc == 0) {
        rc = work_load(s, &l->job_id, 0, &w);
    }
    if (rc == 0) {
        rc = reparse_end(s, &w, it, partial, run_json);
        work_done(&w);
    }
    return store_change_end(s, rc, e);
}

int store_reparse_abandon(struct store *s, const struct lease *l, struct err *e)
{
    const struct intake *it = intake_find(s, l);
    int rc = store_whole(s);

    if (rc == 0 && (!it || !it->reparse)) {
        rc = store_fenced(s);
    }
    if (rc == 0) {
        intake_drop(s, it->job_num, 0);
    }
    return store_read_end(s, rc, e);
}
