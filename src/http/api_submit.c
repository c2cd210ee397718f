/* Each step of api_submit.h, in its order from the end of the file upwards. */
#include "http/api_submit.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/queue.h"
#include "sched/add.h"

enum { OWN_FRESH_MS = 1000, NOTE_TARGETS_MAX = 1024 };

void api_sweep(struct api *a)
{
    int64_t n = 0;

    if (!a->cfg.ttl_us) {
        return;
    }
    do {
        if (store_job_expire(a->store, wall_us() - a->cfg.ttl_us, API_PAGE_MAX, &n, NULL) < 0) {
            return; /* the turn is broken: the commit says why */
        }
    } while (n == API_PAGE_MAX);
}

/* ---- ends without a job ---- */

static void count(const struct submit *s, bool accepted)
{
    enum api_surface surface;

    if (s->req) {
        surface = api_old(s->req) ? SURFACE_OLD : SURFACE_V1;
        s->api->submitted[surface] += accepted;
        s->api->refused[surface] += !accepted;
    }
}

static void answer(struct submit *s, const struct submit_end *end)
{
    struct problems p = {0};

    switch (end->how) {
    case SUBMIT_WRONG:
        problem_add(&p, end->at, "%s", end->err->msg);
        problems_reply(s->req, &p);
        break;
    case SUBMIT_UNRESOLVED:
        s->how->unresolved(s->req, s->q.targets, end->err->msg);
        break;
    case SUBMIT_REFUSED:
        api_refuse(s->req, end->rule, end->err);
        break;
    case SUBMIT_BUSY:
        api_busy(s->req, end->err, end->retry_s);
        break;
    case SUBMIT_NO_KEY:
        api_status(s->req, 401, end->err->msg, NULL);
        break;
    case SUBMIT_FAILED:
        api_fail(s->req, end->err);
        break;
    }
}

static void finish(struct submit *s, const struct submit_end *end)
{
    if (s->req) {
        answer(s, end);
    } else {
        s->how->ended(s->arg, NULL, end);
    }
}

static void failed(struct submit *s, const struct err *e)
{
    finish(s, &(struct submit_end){.how = SUBMIT_FAILED, .err = e});
}

/* Where it came from, for people. */
static const char *sender(const struct submit *s)
{
    return s->req ? http_peer(s->req) : s->intake;
}

static void note_begin(const struct submit *s, struct audit_note *n)
{
    audit_begin_from(n, s->req ? "peer" : "intake", sender(s));
}

void submit_refused(struct submit *s, const char *rule, const struct err *e)
{
    const struct key *k = s->key;
    struct audit_note n;

    count(s, false);
    log_warn("scan_refused", KV("key", *k->id ? k->id : "config"), KV("peer", sender(s)),
             KV("rule", rule), KV("error", e->msg));
    note_begin(s, &n);
    json_str(&n.j, "tool", s->q.tool);
    json_strn(&n.j, "targets", s->q.targets,
              s->q.targets ? strnlen(s->q.targets, NOTE_TARGETS_MAX) : 0);
    json_str(&n.j, "rule", rule);
    json_str(&n.j, "reason", e->msg);
    audit_add(s->api, k, "scan.refused", "", &n);
    finish(s, &(struct submit_end){.how = SUBMIT_REFUSED, .rule = rule, .err = e});
}

void api_submit_refused(struct api *a, struct http_req *r, const struct scan_request *q,
                        const char *rule, const struct err *e)
{
    struct submit s = {.api = a, .req = r, .key = api_key(r), .q = *q};

    submit_refused(&s, rule, e);
}

/* ---- the decision ---- */

static int own_now(struct api *a, struct err *e)
{
    struct netset fresh = {0};
    int rc;

    if (a->own_ms && loop_now_ms(a->loop) - a->own_ms < OWN_FRESH_MS) {
        return 0;
    }
    rc = own_addresses(&fresh, e);
    if (rc == 0) {
        netset_done(&a->own);
        a->own = fresh;
        a->own_ms = loop_now_ms(a->loop);
    }
    return rc;
}

static int32_t or_default(int64_t given, int32_t def)
{
    return given == INT64_MIN ? def : (int32_t)given;
}

static int limits_in_force(const struct submit *s, struct decision *d, struct err *e)
{
    static const struct limits none;
    const struct limits *tool = s->staged ? &none : &tool_find(s->q.tool)->limits;
    struct limits asked = {0};
    struct limits by = d->verdict.rules->limits;
    int rc = limits_parse(s->q.limits, &asked, e);

    if (rc < 0) {
        return rc;
    }
    limits_tighten(&by, &asked);
    asked =
        (struct limits){.wall_s = (uint32_t)or_default(s->q.timeout_s, s->api->cfg.scan_timeout_s)};
    limits_tighten(&by, &asked);
    d->run_timeout_s = (int32_t)by.wall_s;
    d->limits = *tool;
    limits_tighten(&d->limits, &by);
    return 0;
}

static int choose_level(struct submit *s, struct decision *d, struct err *e)
{
    const struct api_config *c = &s->api->cfg;
    const struct sandbox_caps *caps = c->sandbox ? c->sandbox(c->sandbox_arg) : NULL;
    auto_netset all = {0};
    auto_netset outside = {0};
    int rc;

    target_set_all(&s->plan.targets, &all);
    netset_add_set(&outside, &all);
    netset_remove_set(&outside, &d->verdict.allowed);
    netset_remove_set(&all, &outside); /* what was clipped off */
    egress_places(&s->plan.need, &all, &s->api->own);
    if (!caps || c->elsewhere || (!s->staged && tool_find(s->q.tool)->instant)) {
        return 0;
    }
    if (s->staged) {
        rc = staged_level(s, caps, &s->plan.need, d, e);
        d->has_level = rc == 0;
        return rc;
    }
    rc = egress_choose(caps, c->allow_unconfined, &s->plan.need, &d->level, &d->raw, e);
    d->has_level = rc == 0;
    return rc;
}

static int check_raw(const struct submit *s, struct decision *d, struct err *e)
{
    if (!s->staged || !s->needs.raw || key_scopes_held(s->key) & KEY_RAW) {
        return 0;
    }
    d->rule = "key.scope";
    key_scope_fault(KEY_RAW, e);
    return err_prefix(e, ERR_SCOPE, "%s needs raw sockets",
                      s->needs.raw_by ? s->needs.raw_by : s->q.tool);
}

/* ERR_SCOPE: d->rule says by what. Other errors are ours. policy_verdict_done() in any case. */
static int decide(struct submit *s, struct decision *d, struct err *e)
{
    const struct key *k = s->key;
    struct policy_ask ask;
    int rc = own_now(s->api, e);

    if (rc < 0) {
        return rc;
    }
    ask = (struct policy_ask){
        .key_id = k->id,
        .key_name = *k->name ? k->name : NULL,
        .tool = s->q.tool,
        .targets = &s->plan.targets,
        .ports = s->plan.ports,
        .n_ports = s->plan.n_ports,
        .protocols = s->plan.protocols,
        .own = &s->api->own,
        .now_us = wall_us(),
        .clip = s->q.clip,
    };
    rc = check_raw(s, d, e);
    if (rc < 0) {
        return rc;
    }
    d->rule = "policy.scope";
    rc = s->staged ? staged_judge(s, &ask, &d->verdict, e)
                   : policy_judge(api_policy(s->api), &ask, &d->verdict, e);
    if (rc == 0) {
        d->rule = "egress";
        rc = limits_in_force(s, d, e);
    }
    if (rc == 0) {
        rc = choose_level(s, d, e);
    }
    if (rc == 0) {
        d->rule = NULL;
    }
    return rc;
}

/* ---- the job ---- */

/* The tool that looks for ports, or the first one. */
static const char *main_tool(const struct plan *p)
{
    for (size_t i = 0; i < plan_stages(p); i++) {
        if (plan_stage_kind(p, i) == STAGE_PORTS) {
            return plan_stage_tool(p, i);
        }
    }
    return plan_stage_tool(p, 0);
}

static void fill_plan(const struct submit *s, struct job *j)
{
    auto_buf text = {0};

    plan_write(s->staged, &text);
    j->plan = buf_take(&text);
    j->profile = xstrdup(s->q.profile_name);
    free(j->tool);
    j->tool = xstrdup(main_tool(s->staged));
}

/* Where the job waits, as it is shown; of a profile its tasks may wait elsewhere later. */
static enum queue_kind first_queue(const struct submit *s)
{
    if (s->staged) {
        return s->q.profile_name ? QUEUE_NET : tool_find(s->q.tool)->raw_queue;
    }
    return s->plan.need.raw ? QUEUE_NET_RAW : QUEUE_NET;
}

void submit_job(const struct submit *s, const struct decision *d, struct job *j)
{
    const struct api_config *c = &s->api->cfg;
    const struct scan_request *q = &s->q;
    char queue[QUEUE_MAX];
    auto_buf pins = {0};

    job_init(j);
    j->id = id_new();
    j->tool = xstrdup(q->tool);
    j->targets = xstrdup(q->targets);
    j->ports = xstrdup(q->ports);
    j->arguments = xstrdup(q->arguments);
    j->limits = q->limits && *q->limits ? xstrdup(q->limits) : NULL;
    j->scope_rule = xstrdup(d->verdict.rule);
    j->clip = q->clip;
    j->old_route = q->old;
    if (s->plan.targets.n_pins) {
        pins_put(&s->plan.targets, &pins);
        j->pins = buf_take(&pins);
    }
    if (s->staged) {
        fill_plan(s, j);
    }
    queue_name(first_queue(s), q->zone, queue);
    j->queue = xstrdup(queue);
    j->timeout_s = q->timeout_s;
    j->run_timeout_s = d->run_timeout_s;
    j->queue_timeout_s = or_default(q->queue_timeout_s, c->queue_timeout_s);
    j->priority = or_default(q->priority, JOB_PRIORITY_DEFAULT);
    j->max_attempts = 1 + or_default(q->retries, q->old ? c->old_retries : c->retries);
    j->key_id = xstrdup(s->key->id);
    j->created_us = wall_us();
    if (d->verdict.wait_until_us) {
        j->state = JOB_WAITING;
        j->run_at_us = d->verdict.wait_until_us;
    }
    if (j->queue_timeout_s > 0) {
        j->queue_expires_us = j->created_us + (int64_t)j->queue_timeout_s * 1000000;
    }
}

static void note_submit(const struct submit *s, const struct decision *d, const struct job *j)
{
    char id[ID_TEXT + 1];
    struct audit_note n;

    id_text(&j->id, id);
    log_info("job_created", KV("job", id), KV("targets", j->targets), KV("peer", sender(s)));
    if (!api_queue_served(s->api, j->queue)) {
        log_warn(
            "queue_unserved", KV("queue", j->queue), KV("job", id),
            KV("hint", "no worker serves this queue now; `scanpod worker list` shows which do"));
    }
    note_begin(s, &n);
    json_str(&n.j, "tool", j->tool);
    json_strn(&n.j, "targets", j->targets, strnlen(j->targets, JOB_TARGETS_MAX));
    json_str(&n.j, "profile", j->profile);
    json_str(&n.j, "ports", j->ports);
    json_str(&n.j, "arguments", j->arguments);
    view_pins(&n.j, "pins", j->pins);
    json_str(&n.j, "rule", j->scope_rule);
    json_str(&n.j, "policy", d->verdict.rules->name);
    if (*s->retry_of) {
        json_str(&n.j, "retry_of", s->retry_of);
    }
    audit_add(s->api, s->key, "scan.submit", id, &n);
}

/* It names the member, or is our own failure. */
static void unplanned(struct submit *s, const struct err *e)
{
    if (e->code != ERR_INVALID) {
        failed(s, e);
        return;
    }
    finish(s, &(struct submit_end){
                  .how = SUBMIT_WRONG, .at = s->q.planned ? "" : staged_fault_at(s), .err = e});
}

static int put_job(struct submit *s, struct job *job, const struct plan_tasks *tasks, struct err *e)
{
    struct store *st = s->api->store;
    int rc = store_job_add(st, job, e);

    if (rc == 0 && s->staged) {
        rc = sched_add_tasks(st, job, tasks, e);
    }
    if (rc == 0 && s->idem) {
        rc = store_idem_put(st, s->key->id, s->idem, s->print, &job->id, job->created_us, e);
    }
    return rc == 0 && s->how->stored ? s->how->stored(s->arg, job, e) : rc;
}

static bool charge(struct submit *s)
{
    uint64_t addresses = target_set_count(&s->plan.targets);
    struct err e = {0};
    int32_t retry_s = 0;
    int rc = store_key_charge(s->api->store, s->key,
                              addresses > INT64_MAX ? INT64_MAX : (int64_t)addresses, wall_us(),
                              &retry_s, &e);

    if (rc == ERR_BUSY && retry_s == 0) {
        submit_refused(s, "key.quota", &e); /* to wait would not help */
    } else if (rc == ERR_BUSY) {
        count(s, false);
        finish(s, &(struct submit_end){.how = SUBMIT_BUSY, .retry_s = retry_s, .err = &e});
    } else if (rc != 0) {
        count(s, false);
        failed(s, &e);
    }
    return rc == 0;
}

static void store_it(struct submit *s, const struct decision *d)
{
    auto_tasks tasks = {0};
    struct err e = {0};
    struct job job;
    int rc = s->staged ? staged_first(s, d, &tasks, &e) : 0;

    if (rc < 0) {
        unplanned(s, &e);
        return;
    }
    api_sweep(s->api);
    if (!charge(s)) {
        return;
    }
    submit_job(s, d, &job);
    rc = put_job(s, &job, &tasks, &e);
    count(s, rc == 0);
    if (rc != 0) {
        failed(s, &e);
    } else {
        note_submit(s, d, &job);
        if (s->req) {
            s->how->accepted(s->req, &job);
        } else {
            s->how->ended(s->arg, &job, NULL);
        }
    }
    job_done(&job);
}

/*
 * A plan that chose a fast tool where the request would be refused for it, is made again without:
 * nmap can do the same, in its own time.
 */
static int decide_planned(struct submit *s, struct decision *d, struct err *e)
{
    struct decision other = {0};
    struct err why = {0};
    int rc = decide(s, d, e);

    if (rc != ERR_SCOPE || !staged_chose_sweeper(s) || staged_make(s, false, NULL) < 0) {
        return rc;
    }
    if (decide(s, &other, &why) == 0) {
        policy_verdict_done(&d->verdict);
        *d = other;
        return 0;
    }
    policy_verdict_done(&other.verdict);
    return rc;
}

static void go_on(struct submit *s)
{
    struct decision d = {0};
    struct err e = {0};
    int rc;

    if (scan_is_planned(&s->q) && staged_make(s, true, &e) < 0) {
        unplanned(s, &e);
        return;
    }
    rc = s->staged ? decide_planned(s, &d, &e) : decide(s, &d, &e);
    if (rc < 0 && rc != ERR_SCOPE) {
        failed(s, &e);
    } else if (s->how->judged) {
        s->how->judged(s->req, s, &d, &e);
    } else if (rc < 0) {
        submit_refused(s, d.rule, &e);
    } else {
        store_it(s, &d);
    }
    policy_verdict_done(&d.verdict);
}

/* ---- names ---- */

static void submit_free(struct submit *s)
{
    tool_plan_done(&s->plan);
    plan_free(s->staged);
    if (s->kept) {
        free((char *)(uintptr_t)s->q.tool);
        free((char *)(uintptr_t)s->q.targets);
        free((char *)(uintptr_t)s->q.ports);
        free((char *)(uintptr_t)s->q.arguments);
        free((char *)(uintptr_t)s->q.limits);
        free((char *)(uintptr_t)s->q.profile_name);
        free((char *)(uintptr_t)s->q.zone);
        free((char *)(uintptr_t)s->q.planned);
    }
    free(s->idem);
    free(s);
}

static void submit_keep(struct submit *s)
{
    s->q.tool = xstrdup(s->q.tool);
    s->q.targets = xstrdup(s->q.targets);
    s->q.ports = xstrdup(s->q.ports);
    s->q.arguments = xstrdup(s->q.arguments);
    s->q.limits = xstrdup(s->q.limits);
    s->q.profile_name = xstrdup(s->q.profile_name);
    s->q.zone = xstrdup(s->q.zone);
    s->q.planned = xstrdup(s->q.planned);
    s->kept = true;
}

static void unlink_submit(struct submit *s)
{
    struct submit **at = &s->api->submits;

    while (*at != s) {
        at = &(*at)->next;
    }
    *at = s->next;
    api_follow_end(s->api, s);
}

void submit_give_up(struct submit *s)
{
    s->api->cfg.unpin(s->api->cfg.pin_arg, s->pinning);
    unlink_submit(s);
    submit_free(s);
}

static void on_abort(struct http_req *r)
{
    submit_give_up(http_user(r));
}

static void unpinned(struct submit *s, int code, const char *why)
{
    struct submit_end end = {.how = code == ERR_INVALID ? SUBMIT_UNRESOLVED : SUBMIT_FAILED};
    struct err e = {0};

    err_set(&e, code, "%s", why);
    end.err = &e;
    finish(s, &end);
}

static void on_pinned(void *arg, int code, const char *why)
{
    struct submit *s = arg;
    struct err e = {0};

    unlink_submit(s);
    if (s->req) {
        http_on_abort(s->req, NULL);
        http_set_user(s->req, (void *)(uintptr_t)s->key);
    }
    if (!key_in_force(s->key)) {
        err_set(&e, ERR_DENIED, "the key is not in force any more");
        finish(s, &(struct submit_end){.how = SUBMIT_NO_KEY, .err = &e});
    } else if (code < 0) {
        unpinned(s, code, why);
    } else {
        go_on(s);
    }
    submit_free(s);
}

/* NULL: it has ended. */
static struct submit *pin(struct submit *s)
{
    struct api *a = s->api;

    submit_keep(s);
    s->next = a->submits;
    a->submits = s;
    if (s->req) {
        http_set_user(s->req, s);
        http_on_abort(s->req, on_abort);
    }
    s->pinning = a->cfg.pin(a->cfg.pin_arg, &s->plan.targets, on_pinned, s);
    if (!s->pinning) {
        on_pinned(s, ERR_IO, "names cannot be resolved at the moment");
        return NULL;
    }
    return s;
}

static struct submit *begin(struct submit *s)
{
    if (s->plan.targets.n_pins && s->api->cfg.pin) {
        return pin(s);
    }
    go_on(s);
    submit_free(s);
    return NULL;
}

void api_submit(struct api *a, struct http_req *r, const struct scan_request *q,
                struct tool_plan *plan, const struct submit_how *how, const char *idem,
                const uint8_t *print, const struct id *retry_of)
{
    struct submit *s = xcalloc(1, sizeof *s);

    *s = (struct submit){.api = a, .req = r, .key = api_key(r), .q = *q, .plan = *plan, .how = how};
    *plan = (struct tool_plan){0};
    s->idem = xstrdup(idem);
    if (print) {
        memcpy(s->print, print, sizeof s->print);
    }
    if (retry_of) {
        id_text(retry_of, s->retry_of);
    }
    (void)begin(s);
}

struct submit *submit_message(const struct submit *from, struct tool_plan *plan)
{
    struct submit *s = xcalloc(1, sizeof *s);

    *s = (struct submit){.api = from->api,
                         .intake = from->intake,
                         .arg = from->arg,
                         .key = from->key,
                         .q = from->q,
                         .plan = *plan,
                         .how = from->how};
    *plan = (struct tool_plan){0};
    return begin(s);
}

void api_submits_free(struct api *a)
{
    while (a->submits) {
        struct submit *s = a->submits;

        a->cfg.unpin(a->cfg.pin_arg, s->pinning);
        a->submits = s->next;
        submit_free(s);
    }
    api_followers_free(a);
}
