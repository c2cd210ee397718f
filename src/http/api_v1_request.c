/*
 * The request of POST /api/v1/scans: all of its members, in the words of this interface and of the
 * older scan runtime, as one struct scan_request.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "http/api_v1.h"
#include "model/queue.h"
#include "model/request.h"

enum { QUEUE_TIMEOUT_MAX_S = 2592000 };

static const char default_profile[] = "standard";

/* Which of two names of a member is given; the first if none is. */
static const char *name_given(struct problems *p, const json_t *body, const char *name,
                              const char *other)
{
    auto_free char *pointer = str_fmt("/%s", other);

    if (!member_given(body, other)) {
        return name;
    }
    if (member_given(body, name)) {
        problem_add(p, pointer, "is another name of \"%s\": give one of them", name);
    }
    return other;
}

static int64_t int_by_name(struct problems *p, const json_t *body, const char *name,
                           const char *other, int64_t min, int64_t max)
{
    return member_int(p, body, name_given(p, body, name, other), min, max);
}

/* ---- targets ---- */

/* False: something is wrong with it, so that nothing can be said of all targets. */
static bool add_list(struct problems *p, const json_t *body, struct buf *out)
{
    const char *text = member_text(p, body, "targets_list");
    auto_strvec tokens = {0};
    struct err e = {0};

    if (!text) {
        return !member_given(body, "targets_list");
    }
    if (strlen(text) > TARGETS_TEXT_MAX) {
        problem_add(p, "/targets_list", "is longer than %d bytes", TARGETS_TEXT_MAX);
        return false;
    }
    if (target_list_read(text, strlen(text), &tokens, &e) < 0) {
        problem_add(p, "/targets_list", "%s", e.msg);
        return false;
    }
    for (size_t i = 0; i < tokens.n; i++) {
        shell_quote(out, tokens.v[i]);
    }
    return true;
}

static void add_exclusion(struct problems *p, const char *pointer, const char *token,
                          struct buf *out)
{
    auto_free char *text = str_fmt("!%s", token);
    struct target_set alone = {0};
    struct err e = {0};

    if (*token == '!') {
        problem_add(p, pointer, "'%.80s': exclusions are written without '!' here", token);
    } else if (target_add(&alone, token, &e) < 0) {
        problem_add(p, pointer, "%s", e.msg);
    } else {
        shell_quote(out, text);
    }
    target_set_done(&alone);
}

static void add_exclusions(struct problems *p, const json_t *body, struct buf *out)
{
    auto_buf joined = {0};
    auto_strvec tokens = {0};
    struct err e = {0};
    const char *text = member_list(p, body, "exclude", &joined);

    if (text && shell_split(text, &tokens, &e) < 0) {
        problem_add(p, "/exclude", "%s", e.msg);
    }
    for (size_t i = 0; i < tokens.n && p->n < 32; i++) {
        add_exclusion(p, "/exclude", tokens.v[i], out);
    }
}

/* Lists and exclusions become tokens behind those of `targets`: one text says it all. */
static void read_targets(struct problems *p, const json_t *body, struct v1_request *q)
{
    const char *name = name_given(p, body, "targets", "target");
    const char *own = member_list(p, body, name, &q->targets);
    auto_strvec tokens = {0};
    bool whole;

    q->targets_at = str_eq(name, "target") ? "/target" : "/targets";
    q->scan.targets = own;
    if (own && shell_split(own, &tokens, NULL) < 0) {
        return; /* what is open at its end must not swallow what follows: told by its own check */
    }
    buf_adds(&q->all, own ? own : "");
    if (!member_given(body, name)) {
        if (!member_given(body, "targets_list")) {
            problem_add(p, "/targets", "is required");
            return;
        }
        q->targets_at = "/targets_list";
    }
    whole = add_list(p, body, &q->all);
    add_exclusions(p, body, &q->all);
    q->scan.targets = whole && (own || !member_given(body, name)) ? q->all.data : NULL;
}

/* An exclusion that fits nothing, or leaves nothing, is the fault of that member. */
static const char *targets_at(const json_t *body, const struct v1_request *q)
{
    struct scan_request without = q->scan;
    auto_targets set = {0};
    auto_free char *own = NULL;

    if (!member_given(body, "exclude") || !without.targets) {
        return q->targets_at;
    }
    own = xstrdup(without.targets);
    own[strcspn(own, "!")] = '\0';
    return (without.profile ? targets_parse_planned : targets_parse_sweep)(own, &set, NULL) == 0
               ? "/exclude"
               : q->targets_at;
}

/* ---- tool and profile ---- */

static const char *stage_tool(const struct profile *profile)
{
    for (size_t i = 0; i < profile->n_stages; i++) {
        if (profile->stages[i].kind == STAGE_PORTS && profile->stages[i].tool) {
            return profile->stages[i].tool;
        }
    }
    return "nmap";
}

static bool says_how(const json_t *body)
{
    return member_given(body, "tool") || member_given(body, "arguments") ||
           member_given(body, "options") || member_given(body, "scan_type");
}

static void read_profile(struct problems *p, const struct api *a, const json_t *body,
                         struct v1_request *q)
{
    const char *name = member_text(p, body, "profile");
    struct scan_request *s = &q->scan;
    struct err e = {0};

    if (!a->cfg.profiles) {
        if (name) {
            problem_add(p, "/profile", "this server has no profiles");
        }
        return;
    }
    if (!member_given(body, "profile") && !says_how(body)) {
        name = default_profile;
    }
    if (!name) {
        return;
    }
    s->profile = profiles_find(a->cfg.profiles, name, &e);
    if (!s->profile) {
        problem_add(p, "/profile", "%s", e.msg);
        return;
    }
    q->profile = str_fmt("%s@%u", s->profile->name, s->profile->version);
    s->profile_name = q->profile;
}

static void read_tool(struct problems *p, const json_t *body, struct v1_request *q)
{
    const char *name = member_text(p, body, "tool");
    struct scan_request *s = &q->scan;

    if (s->profile) {
        s->tool = stage_tool(s->profile);
    }
    if (!member_given(body, "tool")) {
        return;
    }
    s->tool_given = true;
    s->tool = name;
    if (name && !tool_find(name)) {
        auto_buf all = {0};

        for (const struct tool *const *t = tool_all(); *t; t++) {
            buf_addf(&all, "%s%s", all.len ? ", " : "", (*t)->name);
        }
        problem_add(p, "/tool", "there is no such tool '%.40s': one of %s", name, all.data);
        s->tool = NULL;
    }
}

/* How the plan is to be cut and paced. */
static void read_pace(struct problems *p, const json_t *body, struct v1_request *q)
{
    static const char *const of_profiles[] = {"pace", "shards"};
    const char *pace = member_text(p, body, "pace");
    int64_t shards = member_int(p, body, "shards", 0, PLAN_SHARDS_MAX);
    int64_t rate = member_int(p, body, "rate", 1, V1_RATE_MAX);
    struct scan_request *s = &q->scan;

    if (pace && !str_eq(pace, "fast") && !str_eq(pace, "own")) {
        problem_add(p, "/pace", "must be \"fast\" or \"own\"");
    }
    for (size_t i = 0; i < ARRAY_LEN(of_profiles) && !s->profile; i++) {
        auto_free char *pointer = str_fmt("/%s", of_profiles[i]);

        if (member_given(body, of_profiles[i])) {
            problem_add(p, pointer, "is for profiles: one run of a tool has its own pace");
        }
    }
    s->own_pace = str_eq(pace, "own");
    s->shards = shards > 0 ? (uint32_t)shards : 0;
    s->rate = rate > 0 ? (uint32_t)rate : 0;
}

static void read_task_id(struct problems *p, const json_t *body, struct v1_request *q)
{
    const char *id = member_text(p, body, "task_id");

    if (id && !v1_idempotency_valid(id)) {
        problem_add(p, "/task_id", "must be 1 to 128 visible ASCII characters");
        id = NULL;
    }
    q->task_id = id;
}

/* ---- all of it ---- */

static void put_fault(struct problems *p, const char *pointer, const struct err *e)
{
    if (e->code) {
        problem_add(p, pointer, "%s", e->msg);
    }
}

void v1_faults(struct problems *p, const struct scan_faults *f)
{
    put_fault(p, "/targets", &f->targets);
    put_fault(p, "/ports", &f->ports);
    put_fault(p, "/arguments", &f->arguments);
}

static void check_plan(struct problems *p, struct api *a, const struct key *k, json_t *body,
                       struct v1_request *q)
{
    struct scan_faults f;

    api_plan(a, k, &q->scan, &q->plan, &f);
    if (f.targets.code) {
        put_fault(p, targets_at(body, q), &f.targets);
    }
    if (!q->type_refused || member_given(body, "ports")) { /* it may have brought them */
        put_fault(p, "/ports", &f.ports);
    }
    if (f.arguments.code) {
        put_fault(p, v1_arguments_at(a, k, body, q), &f.arguments);
    }
    q->refused = f.refused;
    q->rule = f.rule;
}

static void read_figures(struct problems *p, json_t *body, struct v1_request *q)
{
    struct scan_request *s = &q->scan;
    /* A plan has the rate of its fast stages; one run of a tool is held to it from outside. */
    bool limited = s->tool && !scan_is_planned(s);
    struct err e = {0};

    v1_limits(p, body, limited ? s->rate : 0, &q->limits);
    s->limits = q->limits.len ? q->limits.data : NULL;
    s->timeout_s =
        int_by_name(p, body, "timeout", "timeout_seconds", JOB_TIMEOUT_MIN_S, JOB_TIMEOUT_MAX_S);
    s->retries = int_by_name(p, body, "retries", "retry_attempts", 0, JOB_RETRIES_MAX);
    s->priority = member_int(p, body, "priority", 0, JOB_PRIORITY_MAX);
    s->queue_timeout_s = member_int(p, body, "queue_timeout", 1, QUEUE_TIMEOUT_MAX_S);
    s->clip = member_bool(p, body, "clip");
    s->zone = member_text(p, body, "zone");
    if (s->zone && zone_check(s->zone, &e) < 0) {
        problem_add(p, "/zone", "%s", e.msg);
    }
}

bool v1_request_check(struct api *a, const struct key *k, json_t *body, struct v1_request *q,
                      struct problems *p)
{
    static const char *const members[] = {"targets",
                                          "target",
                                          "targets_list",
                                          "exclude",
                                          "ports",
                                          "tool",
                                          "profile",
                                          "scan_type",
                                          "arguments",
                                          "options",
                                          "limits",
                                          "rate",
                                          "pace",
                                          "shards",
                                          "timeout",
                                          "clip",
                                          "timeout_seconds",
                                          "priority",
                                          "retries",
                                          "task_id",
                                          "retry_attempts",
                                          "queue_timeout",
                                          "zone",
                                          NULL};
    struct scan_request *s = &q->scan;

    scan_request_init(s);
    if (!json_is_object(body)) {
        problem_add(p, "", "must be an object");
        return false;
    }
    v1_refuse_unknown(p, body, members);
    read_profile(p, a, body, q);
    read_tool(p, body, q);
    read_targets(p, body, q);
    s->ports = member_text(p, body, "ports");
    v1_arguments(p, body, q);
    read_pace(p, body, q);
    read_task_id(p, body, q);
    check_plan(p, a, k, body, q);
    read_figures(p, body, q);
    return p->n == 0;
}

void v1_request_done(struct v1_request *q)
{
    buf_done(&q->targets);
    buf_done(&q->all);
    buf_done(&q->listed);
    buf_done(&q->arguments);
    buf_done(&q->limits);
    free(q->profile);
    free(q->alone);
    tool_plan_done(&q->plan);
}

void v1_unresolved(struct http_req *r, const char *targets, const char *why)
{
    struct problems p = {0};

    problem_add(&p, "/targets", "%s", why);
    problems_reply(r, &p);
}
