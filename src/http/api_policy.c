/*
 * The policy over REST: what is in force, what it would say to a request, reading its file anew.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/api_submit.h"
#include "http/api_v1.h"

static void policy_reply(struct api *a, struct http_req *r)
{
    policy_json(api_policy(a), wall_us(), http_out(r));
    api_json_reply(r, 200);
}

void v1_policy(struct http_req *r, void *app)
{
    http_not_stored(r);
    policy_reply(app, r);
}

void v1_policy_reload(struct http_req *r, void *app)
{
    struct api *a = app;
    struct audit_note n;
    struct err e = {0};
    int rc = a->cfg.policy_reload ? a->cfg.policy_reload(a->cfg.policy_arg, &e)
                                  : err_set(&e, ERR_CONFLICT, "the policy has no file");

    audit_begin(&n, r);
    json_bool(&n.j, "in_force", rc == 0);
    json_str(&n.j, "error", rc == 0 ? NULL : e.msg);
    audit_add(a, api_key(r), "policy.reload", policy_source(api_policy(a)), &n);
    if (rc == 0) {
        policy_reply(a, r);
        return;
    }
    api_status(r, err_http_status(rc) == 409 ? 409 : 422, e.msg,
               "the policy that was there before stays in force");
}

/* ---- what it would say ---- */

static void put_refusal(struct json *j, const char *rule, const char *reason)
{
    json_bool(j, "allowed", !rule);
    json_str(j, "rule", rule);
    json_str(j, "detail", reason);
}

void decision_network(struct json *j, const struct decision *d)
{
    if (d->has_level) {
        json_str(j, "level", egress_name(d->level));
        json_bool(j, "raw_sockets", d->raw);
    } else {
        json_nil(j, "level");
        json_nil(j, "raw_sockets");
    }
}

static void judged(struct http_req *r, const struct submit *s, const struct decision *d,
                   const struct err *e)
{
    struct json j = json_to(http_out(r));
    const struct policy_rules *rules = api_rules(s->api, s->key);
    auto_buf pins = {0};

    pins_put(&s->plan.targets, &pins);
    json_obj(&j);
    put_refusal(&j, d->rule, d->rule ? e->msg : d->verdict.rule);
    json_str(&j, "policy", rules->name);
    decision_network(&j, d);
    json_int(&j, "targets", (int64_t)MIN(target_set_count(&s->plan.targets), (uint64_t)INT64_MAX));
    json_int(&j, "ports", s->staged ? s->needs.ports : s->plan.n_ports);
    view_pins(&j, "pins", pins.data);
    if (d->verdict.rules) {
        view_limits(&j, "limits", &d->limits);
    } else {
        json_nil(&j, "limits");
    }
    json_time(&j, "wait_until", d->verdict.wait_until_us);
    json_end(&j);
    http_not_stored(r);
    api_json_reply(r, 200);
}

/* Refused before any target was looked at: by the tool's table or the key's scopes. */
static void judged_early(struct api *a, struct http_req *r, const struct v1_request *q)
{
    struct submit s = {.api = a, .key = api_key(r), .plan = q->plan};
    const struct decision d = {.rule = q->rule};

    judged(r, &s, &d, &q->refused);
}

void v1_policy_check(struct http_req *r, void *app)
{
    static const struct submit_how how = {.judged = judged, .unresolved = v1_unresolved};
    struct api *a = app;
    struct v1_request q = {0};
    struct problems p = {0};
    json_t *body = v1_body(r);

    if (!body) {
        return;
    }
    if (!v1_request_check(a, api_key(r), body, &q, &p)) {
        problems_reply(r, &p);
    } else if (q.refused.code) {
        judged_early(a, r, &q);
    } else {
        api_submit(a, r, &q.scan, &q.plan, &how, NULL, NULL, NULL);
    }
    v1_request_done(&q);
    json_decref(body);
}
