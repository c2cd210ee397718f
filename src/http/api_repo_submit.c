/* From an understood request for a repository scan to a stored job, in one turn. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/api_repo.h"
#include "http/api_v1.h"
#include "model/queue.h"

enum { QUEUE_TIMEOUT_MAX_S = 30 * 86400, MEMBERS_MAX = 32 };

void repo_submit_done(struct repo_submit *s)
{
    repo_request_done(&s->q);
}

/* ---- the request ---- */

/* Members of the job; all others are the scan's, and repo_request_read() knows them. */
static const char *const of_job[] = {"timeout",        "timeout_seconds", "priority", "retries",
                                     "retry_attempts", "queue_timeout",   "limits",   "zone",
                                     "task_id",        "reply_to",        NULL};

static bool is_of_job(const char *name)
{
    for (size_t i = 0; of_job[i]; i++) {
        if (strcmp(of_job[i], name) == 0) {
            return true;
        }
    }
    return false;
}

void api_repo_problem(struct problems *p, const struct err *e)
{
    const char *colon = e->msg[0] == '/' ? strstr(e->msg, ": ") : NULL;
    auto_free char *pointer = colon ? xstrndup(e->msg, (size_t)(colon - e->msg)) : NULL;

    problem_add(p, pointer ? pointer : "", "%s", colon ? colon + 2 : e->msg);
}

static void read_request(struct repo_submit *s, json_t *body, struct problems *p)
{
    json_t *scan = json_object();
    const char *name;
    json_t *v;
    char *text;
    struct err e = {0};

    json_object_foreach(body, name, v)
    {
        if (!is_of_job(name)) {
            json_object_set(scan, name, v);
        }
    }
    text = json_dumps(scan, JSON_COMPACT);
    json_decref(scan);
    if (!text || repo_request_read(text, &s->q, &e) < 0) {
        api_repo_problem(p, &e);
    }
    free(text);
}

static int64_t int_either(struct problems *p, json_t *body, const char *a, const char *b,
                          int64_t min, int64_t max)
{
    return member_int(p, body, member_given(body, a) ? a : b, min, max);
}

bool api_repo_read(struct repo_submit *s, json_t *body, struct buf *limits, struct problems *p)
{
    struct err e = {0};

    if (!json_is_object(body)) {
        problem_add(p, "", "must be a JSON object");
        return false;
    }
    read_request(s, body, p);
    v1_limits(p, body, 0, limits);
    s->limits = limits->len ? limits->data : NULL;
    s->timeout_s =
        int_either(p, body, "timeout", "timeout_seconds", JOB_TIMEOUT_MIN_S, JOB_TIMEOUT_MAX_S);
    s->retries = int_either(p, body, "retries", "retry_attempts", 0, JOB_RETRIES_MAX);
    s->priority = member_int(p, body, "priority", 0, JOB_PRIORITY_MAX);
    s->queue_timeout_s = member_int(p, body, "queue_timeout", 1, QUEUE_TIMEOUT_MAX_S);
    s->zone = member_text(p, body, "zone");
    if (s->zone && zone_check(s->zone, &e) < 0) {
        problem_add(p, "/zone", "%s", e.msg);
    }
    return p->n == 0;
}

/* ---- the decision ---- */

static int check_agent(const struct api *a, const struct repo_request *q, struct err *e)
{
    if (!q->agent_wanted) {
        return 0;
    }
    if (!a->cfg.agent_ready) {
        return err_set(e, ERR_INVALID,
                       "the claude engine has no key here: put a secret of the name that the "
                       "setting agent-secret has into secrets-dir");
    }
    if (q->agent.model && a->cfg.agent_model &&
        !a->cfg.agent_model(a->cfg.agent_arg, q->agent.model)) {
        return err_set(e, ERR_INVALID, "the model '%s' is not among the setting agent-models",
                       q->agent.model);
    }
    return 0;
}

static int check_engines(const struct api *a, const struct repo_request *q, struct err *e)
{
    for (size_t i = 0; i < q->engines.n; i++) {
        const char *name = q->engines.v[i];

        if (!engine_find(name) && !sarif_engines_find(a->cfg.declared_engines, name)) {
            return err_set(e, ERR_INVALID,
                           "/engines: there is no engine '%.40s'; GET /api/v1/engines lists them",
                           name);
        }
    }
    return 0;
}

static int check_baseline(const struct api *a, const struct repo_request *q, struct err *e)
{
    struct job job;
    struct id id;
    int rc = 0;

    if (!q->baseline || !id_parse(q->baseline, &id)) {
        return 0;
    }
    job_init(&job);
    if (store_job_get(a->store, &id, &job, NULL) != 0 || !job.repo || job.state != JOB_COMPLETED) {
        rc = err_set(e, ERR_INVALID, "/baseline: '%s' is no repository scan that has completed",
                     q->baseline);
    }
    job_done(&job);
    return rc;
}

static int check_credential(const struct api *a, const struct repo_request *q, struct err *e)
{
    if (q->credential && !a->cfg.elsewhere && a->cfg.has_secret &&
        !a->cfg.has_secret(a->cfg.agent_arg, q->credential)) {
        return err_set(e, ERR_INVALID, "/credential: there is no secret '%s' on this server",
                       q->credential);
    }
    return 0;
}

/* A scan whose credential is named by somebody else's key could read what that key may not. */
static int judge(const struct repo_submit *s, const char **rule, struct err *e)
{
    struct repo_url url = {0};
    auto_buf entry = {0};
    int rc;

    *rule = "key.scope";
    if (!(key_scopes_held(s->key) & KEY_SUBMIT_REPO)) {
        key_scope_fault(KEY_SUBMIT_REPO, e);
        return ERR_SCOPE;
    }
    if (str_starts(s->q.url, "dir:")) {
        return err_set(e, ERR_INVALID, "a directory is scanned by `scanpod repo DIR` alone");
    }
    *rule = "policy.scope";
    rc = policy_tool(api_rules(s->api, s->key), tool_repo.name, e);
    if (rc != 0) {
        return rc;
    }
    rc = repo_url_split(s->q.url, &url, e);
    if (rc == 0) {
        *rule = "policy.repositories";
        rc = policy_repository(api_policy(s->api), url.host, url.port, url.ssh, &entry, e);
    }
    repo_url_done(&url);
    return rc;
}

/* ---- the job ---- */

static int32_t or_default(int64_t given, int32_t def)
{
    return given == INT64_MIN ? def : (int32_t)given;
}

static void fill_job(const struct repo_submit *s, struct job *j)
{
    const struct api_config *c = &s->api->cfg;
    const struct policy_rules *rules = api_rules(s->api, s->key);
    struct limits by = {.wall_s = (uint32_t)or_default(s->timeout_s, c->repo_timeout_s)};
    char queue[QUEUE_MAX];
    auto_buf text = {0};

    limits_tighten(&by, &rules->limits);
    job_init(j);
    j->id = id_new();
    j->tool = xstrdup(tool_repo.name);
    j->targets = xstrdup(s->q.url);
    repo_request_write(&s->q, &text);
    j->repo = buf_take(&text);
    j->limits = xstrdup(s->limits);
    j->old_route = s->old;
    queue_name(QUEUE_REPO, s->zone, queue);
    j->queue = xstrdup(queue);
    j->timeout_s = s->timeout_s;
    j->run_timeout_s = (int32_t)by.wall_s;
    j->queue_timeout_s = or_default(s->queue_timeout_s, c->queue_timeout_s);
    j->priority = or_default(s->priority, JOB_PRIORITY_DEFAULT);
    j->max_attempts = 1 + or_default(s->retries, s->old ? c->old_retries : c->retries);
    j->key_id = xstrdup(s->key->id);
    j->created_us = wall_us();
    if (j->queue_timeout_s > 0) {
        j->queue_expires_us = j->created_us + (int64_t)j->queue_timeout_s * 1000000;
    }
}

static void note(const struct repo_submit *s, const char *action, const char *object,
                 const char *rule, const char *why)
{
    struct audit_note n;

    audit_begin_from(&n, s->from, s->by);
    json_str(&n.j, "tool", tool_repo.name);
    json_str(&n.j, "repository", s->q.url);
    json_str(&n.j, "branch", s->q.branch);
    json_str(&n.j, "commit", s->q.commit);
    json_str(&n.j, "credential", s->q.credential);
    if (rule) {
        json_str(&n.j, "rule", rule);
        json_str(&n.j, "reason", why);
    }
    audit_add(s->api, s->key, action, object, &n);
}

static int store_it(struct repo_submit *s, struct job *j, int32_t *retry_s, struct err *e)
{
    struct api *a = s->api;
    char id[ID_TEXT + 1];
    int rc;

    api_sweep(a);
    rc = store_key_charge(a->store, s->key, 1, wall_us(), retry_s, e);
    if (rc != 0) {
        return rc;
    }
    fill_job(s, j);
    rc = store_job_add(a->store, j, e);
    if (rc == 0 && s->stored) {
        rc = s->stored(s->arg, j, e);
    }
    if (rc != 0) {
        return rc;
    }
    id_text(&j->id, id);
    log_info("job_created", KV("job", id), KV("targets", j->targets), KV("peer", s->by));
    if (!api_queue_served(a, j->queue)) {
        log_warn(
            "queue_unserved", KV("queue", j->queue), KV("job", id),
            KV("hint", "no worker serves this queue now; `scanpod worker list` shows which do"));
    }
    note(s, "scan.submit", id, NULL, NULL);
    return 0;
}

int api_repo_submit(struct repo_submit *s, struct job *out, const char **rule, int32_t *retry_s,
                    struct err *e)
{
    int rc = judge(s, rule, e);

    *retry_s = 0;
    job_init(out);
    if (rc == ERR_SCOPE) {
        log_warn("scan_refused", KV("key", *s->key->id ? s->key->id : "config"), KV("peer", s->by),
                 KV("rule", *rule), KV("error", e->msg));
        note(s, "scan.refused", "", *rule, e->msg);
        return rc;
    }
    if (rc == 0 && !s->api->cfg.elsewhere) {
        rc = check_agent(s->api, &s->q, e);
    }
    if (rc == 0 && (rc = check_engines(s->api, &s->q, e)) == 0 &&
        (rc = check_baseline(s->api, &s->q, e)) == 0) {
        rc = check_credential(s->api, &s->q, e);
    }
    if (rc != 0) {
        return rc;
    }
    rc = store_it(s, out, retry_s, e);
    if (rc == ERR_BUSY && *retry_s == 0) {
        *rule = "key.quota";
        note(s, "scan.refused", "", *rule, e->msg);
        e->code = ERR_SCOPE;
        return ERR_SCOPE; /* to wait would not help */
    }
    return rc;
}
