/*
 * POST /api/v1/scans?dry_run=true: what a submit would do. Goes the way of every submit up to the
 * quota, and stores nothing.
 */
#include "base/mem.h"
#include "http/api_submit.h"
#include "http/api_v1.h"

static void put_policy(struct json *j, const struct submit *s, const struct decision *d,
                       const struct err *e)
{
    json_obj_in(j, "policy");
    json_str(j, "verdict", d->rule ? "refused" : d->verdict.wait_until_us ? "waits" : "allowed");
    json_str(j, "rule", d->rule);
    json_str(j, "detail", d->rule ? e->msg : d->verdict.rule);
    json_str(j, "policy", api_rules(s->api, s->key)->name);
    decision_network(j, d);
    json_time(j, "wait_until", d->verdict.wait_until_us);
    json_end(j);
}

static int64_t shown(uint64_t n)
{
    return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

static void put_stages(struct json *j, const struct submit *s)
{
    json_arr_in(j, "stages");
    for (size_t i = 0; s->staged && i < plan_stages(s->staged); i++) {
        json_obj(j);
        json_str(j, "name", stage_kind_name(plan_stage_kind(s->staged, i)));
        json_str(j, "tool", plan_stage_tool(s->staged, i));
        json_arr_in(j, "tasks");
        json_end(j);
        json_end(j);
    }
    json_end(j);
}

/* Without tasks: of what is refused none is made. */
static void put_amounts(struct json *j, const struct submit *s)
{
    uint64_t addresses = target_set_count(&s->plan.targets);
    uint64_t ports = MAX(s->plan.n_ports, 1);
    uint64_t probes = addresses > UINT64_MAX / ports ? UINT64_MAX : addresses * ports;

    json_int(j, "addresses", shown(addresses));
    json_int(j, "probes", shown(s->staged ? s->needs.probes : probes));
    if (s->staged) {
        json_int(j, "estimate_s", s->needs.seconds);
    } else {
        json_nil(j, "estimate_s");
    }
    put_stages(j, s);
}

static int put_run(struct json *j, const struct submit *s, const struct decision *d, struct err *e)
{
    const struct api_config *c = &s->api->cfg;
    struct job job;
    int rc;

    if (d->rule || !c->dry_run) {
        put_amounts(j, s);
        return 0;
    }
    submit_job(s, d, &job);
    rc = c->dry_run(c->plan_arg, &job, j, e);
    job_done(&job);
    return rc;
}

static void judged(struct http_req *r, const struct submit *s, const struct decision *d,
                   const struct err *e)
{
    struct json j = json_to(http_out(r));
    struct err fault = {0};

    http_not_stored(r);
    json_obj(&j);
    json_bool(&j, "dry_run", true);
    json_str(&j, "profile", s->q.profile_name);
    put_policy(&j, s, d, e);
    json_int(&j, "ports", s->staged ? s->needs.ports : s->plan.n_ports);
    if (put_run(&j, s, d, &fault) < 0) {
        buf_reset(j.b);
        if (fault.code == ERR_NOT_FOUND) { /* the tool, not the resource */
            fault.code = ERR_TOOL;
        }
        api_fail(r, &fault);
        return;
    }
    json_end(&j);
    api_json_reply(r, 200);
}

void v1_dry_run(struct api *a, struct http_req *r, struct v1_request *q)
{
    static const struct submit_how how = {.judged = judged, .unresolved = v1_unresolved};

    if (q->refused.code) { /* before any target was looked at */
        struct submit s = {.api = a, .key = api_key(r), .q = q->scan, .plan = q->plan};
        const struct decision d = {.rule = q->rule};

        judged(r, &s, &d, &q->refused);
    } else {
        api_submit(a, r, &q->scan, &q->plan, &how, NULL, NULL, NULL);
    }
}
