/*
 * What a job is made of: its tasks, and the cells that say what was really probed.
 */
#include <stdio.h>

#include "base/mem.h"
#include "http/api_priv.h"

struct listing {
    struct json j;
    int64_t skip, limit; /* cells */
    int64_t last, n;
    bool more;
};

static void put_spec(struct json *j, const struct plan_spec *s)
{
    json_str(j, "stage", stage_kind_name(s->kind));
    json_str(j, "tool", s->tool);
    json_str(j, "targets", s->targets);
    json_str(j, "ports", s->ports);
    json_str(j, "arguments", s->arguments);
    json_int(j, "addresses", (int64_t)MIN(s->addresses, (uint64_t)INT64_MAX));
    json_int(j, "probes", (int64_t)MIN(s->probes, (uint64_t)INT64_MAX));
    if (s->rate) {
        json_int(j, "rate", s->rate);
    } else {
        json_nil(j, "rate");
    }
    json_bool(j, "repeats", s->repeats);
    json_bool(j, "light", s->light);
    json_int(j, "round", s->round);
}

static int task_row(void *arg, const struct task_info *t, struct err *e)
{
    struct listing *l = arg;
    struct json *j = &l->j;
    struct plan_spec spec = {0};

    json_obj(j);
    json_int(j, "task", t->task.idx);
    json_str(j, "state", job_state_name(t->task.state));
    json_str(j, "reason", t->reason == REASON_NONE ? NULL : job_reason_name(t->reason));
    json_str(j, "error", t->error);
    if (t->spec && plan_spec_read(t->spec, &spec, NULL) == 0) {
        put_spec(j, &spec);
    }
    plan_spec_done(&spec);
    json_bool(j, "partial", t->partial);
    if (t->percent_x100 < 0) {
        json_nil(j, "percent");
    } else {
        json_num(j, "percent", t->percent_x100 / 100.0, 2);
    }
    json_int(j, "attempts", t->task.attempts);
    json_int(j, "lost", t->task.lost);
    json_time(j, "started_at", t->started_us);
    json_time(j, "ended_at", t->ended_us);
    json_str(j, "command_line", t->command_line);
    json_int(j, "hosts", t->hosts);
    json_int(j, "hosts_up", t->hosts_up);
    json_int(j, "ports_open", t->ports_open);
    json_bool(j, "merged", t->merged);
    json_end(j);
    l->last = t->task.idx + 1; /* a cursor is never 0 */
    l->n++;
    return 0;
}

/* The query of a list; false: answered. *after: 0 at its start. */
static bool list_query(struct http_req *r, char kind, int64_t *limit, int64_t *after)
{
    static const char *const known[] = {"limit", "cursor", NULL};
    const char *cursor = http_query(r, "cursor");
    struct problems p = {0};

    *limit = API_PAGE_DEFAULT;
    *after = 0;
    if (!api_query_known(r, known) || !api_query_int(r, "limit", 1, API_PAGE_MAX, limit)) {
        return false;
    }
    if (cursor && !cursor_read(cursor, kind, after)) {
        problem_add(&p, "?cursor", "is not a cursor of this list");
        problems_reply(r, &p);
        return false;
    }
    return true;
}

static struct listing list_begin(struct http_req *r, int64_t limit)
{
    struct listing l = {.j = json_to(http_out(r)), .limit = limit};

    json_obj(&l.j);
    json_arr_in(&l.j, "items");
    return l;
}

void v1_tasks(struct http_req *r, void *app)
{
    struct api *a = app;
    struct listing l;
    struct err e = {0};
    struct job job;
    int64_t limit, after;

    if (!list_query(r, 't', &limit, &after) || !api_job_of(a, r, &job)) {
        return;
    }
    l = list_begin(r, limit);
    if (store_tasks(a->store, job.num, (int32_t)after - 1, (uint32_t)limit, task_row, &l, &e) < 0) {
        buf_reset(l.j.b);
        api_fail(r, &e);
    } else {
        api_page_end(r, &l.j, 't', l.last, l.n == limit);
        api_json_reply(r, 200);
    }
    job_done(&job);
}

/* ---- coverage ---- */

static int cell_row(void *arg, int32_t idx, const struct coverage_cell *c, struct err *e)
{
    struct listing *l = arg;
    struct json *j = &l->j;

    if (l->skip > 0) {
        l->skip--;
        return 0;
    }
    if (l->n == l->limit || (l->n > 0 && j->b->len > CACHE_BYTES)) {
        l->more = true;
        return 1;
    }
    json_obj(j);
    json_int(j, "task", idx);
    json_str(j, "addresses", c->addresses);
    json_str(j, "protocol", c->protocol);
    json_str(j, "ports", c->ports);
    json_bool(j, "up_only", c->up_only);
    json_time(j, "started_at", c->start_us);
    json_time(j, "ended_at", c->end_us);
    json_end(j);
    l->n++;
    return 0;
}

/* A cursor counts the cells before it: they are written once, at the end of their run. */
void v1_coverage(struct http_req *r, void *app)
{
    struct api *a = app;
    struct listing l;
    struct err e = {0};
    struct job job;
    int64_t limit, after;

    if (!list_query(r, 'c', &limit, &after) || !api_job_of(a, r, &job)) {
        return;
    }
    l = list_begin(r, limit);
    l.skip = after;
    if (store_coverage(a->store, job.num, cell_row, &l, &e) < 0) {
        buf_reset(l.j.b);
        api_fail(r, &e);
    } else {
        api_page_end(r, &l.j, 'c', after + l.n, l.more);
        api_json_reply(r, 200);
    }
    job_done(&job);
}
