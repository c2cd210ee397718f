#include "daemon/planning.h"

#include "base/mem.h"
#include "model/request.h"

enum { SHOWN_TASKS = 100 };

void planning_facts(void *arg, const struct target_set *t, struct plan_request *q)
{
    const struct planning *p = arg;
    const struct sandbox_caps *caps = worker_caps(p->worker);
    struct egress_need need = {.network = true, .wants_raw = true};
    auto_netset all = {0};
    enum egress level;
    bool raw = false;

    if (p->elsewhere) {
        p->elsewhere(p->elsewhere_arg, q);
        return;
    }
    target_set_all(t, &all);
    egress_places(&need, &all, in_force_own(p->scope));
    q->slots = MAX(p->slots, 1);
    q->have_masscan = programs_look(p->programs, &tool_masscan, NULL, NULL) != NULL;
    q->have_zmap = programs_look(p->programs, &tool_zmap, &q->zmap_version, NULL) != NULL;
    q->raw = caps &&
             egress_choose(caps, p->dispatch.allow_unconfined, &need, &level, &raw, NULL) == 0 &&
             raw;
}

/* ---- what it would do ---- */

struct dry {
    const struct planning *p;
    const struct sandbox_caps *caps;
    const struct job *job;
    struct json *j;
    uint64_t probes; /* of the last task */
};

static void put_argv(struct json *j, const struct strvec *argv)
{
    json_arr_in(j, "argv");
    for (size_t i = 0; i < argv->n; i++) {
        json_str(j, NULL, argv->v[i]);
    }
    json_end(j);
}

static void put_strings(struct json *j, const char *key, const struct strvec *v)
{
    if (v->n > 0) {
        json_arr_in(j, key);
        for (size_t i = 0; i < v->n; i++) {
            json_str(j, NULL, v->v[i]);
        }
        json_end(j);
    }
}

static uint64_t times(uint64_t a, uint64_t b)
{
    return b && a > INT64_MAX / b ? INT64_MAX : a * b;
}

/* One task as it would be started now. */
static int put_task(struct dry *d, const struct tool *t, const struct plan_spec *s, struct err *e)
{
    const char *version = NULL, *why = NULL;
    const char *program = programs_look(d->p->programs, t, &version, &why);
    struct dispatch_ask ask = {
        .job = d->job,
        .spec = s,
        .key_name = in_force_key_name(d->p->scope, d->p->store, d->job->key_id),
        .tool = t,
        .program = program,
        .version = version,
    };
    struct dispatch out = {0};
    uint64_t addresses;
    int rc;

    if (!program && d->p->elsewhere) {
        ask.program = t->program; /* as it is called there */
    }
    rc = ask.program ? dispatch_plan(&d->p->dispatch, d->p->scope, d->caps, &ask, &out, e)
                     : err_set(e, ERR_NOT_FOUND, "%s", why);

    if (rc == 0) {
        addresses = s ? s->addresses : target_set_count(&out.plan.targets);
        json_obj(d->j);
        put_argv(d->j, &out.argv);
        json_int(d->j, "addresses", (int64_t)MIN(addresses, (uint64_t)INT64_MAX));
        d->probes =
            s ? MIN(s->probes, (uint64_t)INT64_MAX) : times(addresses, MAX(out.plan.n_ports, 1));
        json_int(d->j, "probes", (int64_t)d->probes);
        put_strings(d->j, "notes", &out.notes);
        json_end(d->j);
    }
    dispatch_done(&out);
    return rc;
}

static int put_tasks(struct dry *d, const struct plan_tasks *tasks, struct err *e)
{
    int rc = 0;

    json_arr_in(d->j, "tasks");
    for (size_t i = 0; rc == 0 && i < tasks->n && i < SHOWN_TASKS; i++) {
        rc = put_task(d, tool_find(tasks->v[i].tool), &tasks->v[i], e);
    }
    json_end(d->j);
    if (tasks->n > SHOWN_TASKS) {
        json_int(d->j, "more_tasks", (int64_t)(tasks->n - SHOWN_TASKS));
    }
    return rc;
}

static int put_stages(struct dry *d, const struct plan *plan, const struct target_set *t,
                      struct err *e)
{
    auto_tasks first = {0};
    int rc = plan_first(plan, t, &first, e);

    json_arr_in(d->j, "stages");
    for (size_t i = 0; rc == 0 && i < plan_stages(plan); i++) {
        json_obj(d->j);
        json_str(d->j, "name", stage_kind_name(plan_stage_kind(plan, i)));
        json_str(d->j, "tool", plan_stage_tool(plan, i));
        if (i == 0) {
            rc = put_tasks(d, &first, e);
        } else {
            json_str(d->j, "arguments", plan_stage_arguments(plan, i));
            json_str(d->j, "note", "its tasks are made from what the stage before it finds");
        }
        json_end(d->j);
    }
    json_end(d->j);
    return rc;
}

static int dry_planned(struct dry *d, const struct target_set *t, struct err *e)
{
    struct plan_needs needs;
    struct plan *plan = NULL;
    int rc = plan_read(d->job->plan, &plan, e);

    if (rc == 0) {
        plan_needs(plan, t, &needs);
        json_int(d->j, "addresses", (int64_t)MIN(needs.addresses, (uint64_t)INT64_MAX));
        json_int(d->j, "probes", (int64_t)MIN(needs.probes, (uint64_t)INT64_MAX));
        json_int(d->j, "estimate_s", needs.seconds);
        rc = put_stages(d, plan, t, e);
    }
    plan_free(plan);
    return rc;
}

static int dry_plain(struct dry *d, const struct target_set *t, struct err *e)
{
    int rc;

    json_int(d->j, "addresses", (int64_t)MIN(target_set_count(t), (uint64_t)INT64_MAX));
    json_nil(d->j, "estimate_s"); /* nmap's own pace */
    json_arr_in(d->j, "stages");
    json_obj(d->j);
    json_str(d->j, "name", "scan");
    json_str(d->j, "tool", d->job->tool);
    json_arr_in(d->j, "tasks");
    rc = put_task(d, tool_find(d->job->tool), NULL, e);
    json_end(d->j);
    json_end(d->j);
    json_end(d->j);
    json_int(d->j, "probes", (int64_t)d->probes);
    return rc;
}

int planning_dry_run(void *arg, const struct job *job, struct json *j, struct err *e)
{
    const struct planning *p = arg;
    struct dry d = {.p = p, .caps = worker_caps(p->worker), .job = job, .j = j};
    auto_targets t = {0};
    int rc;

    if (!d.caps) {
        return err_set(e, ERR_BUSY, "what the sandbox can do is still being found out");
    }
    rc = targets_parse_planned(job->targets, &t, e);
    if (rc == 0) {
        rc = pins_apply(&t, job->pins, e);
    }
    if (rc != 0) {
        return rc;
    }
    return job->plan ? dry_planned(&d, &t, e) : dry_plain(&d, &t, e);
}
