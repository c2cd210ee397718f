#include "cli/repo_request.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/finding.h"
#include "model/job.h"

const struct flag repo_flags[] = {
    {.name = "ref", .value = "BRANCH", .help = "branch or tag (the remote's default)"},
    {.name = "commit", .value = "ID", .help = "exactly this commit"},
    {.name = "subdir", .value = "PATH", .help = "only what is below it"},
    {.name = "base", .value = "REF", .help = "only what changed since this commit or branch"},
    {.name = "head", .value = "REF", .help = "with --base: up to this one (the branch's head)"},
    {.name = "engines",
     .letter = 'e',
     .value = "NAMES",
     .help = "which, by commas: flawfinder, cppcheck, bandit, shellcheck, rules, claude and those "
             "declared (all that apply, but claude)"},
    {.name = "baseline",
     .value = "JOB",
     .help = "an earlier scan to compare with, or none (the last one of the same branch)"},
    {.name = "credential", .value = "NAME", .help = "secret to fetch with: a token, or an ssh key"},
    {.name = "username", .value = "NAME", .help = "user that the credential belongs to"},
    {.name = "model", .value = "NAME", .help = "model of the claude engine"},
    {.name = "effort", .value = "WORD", .help = "low, medium or high"},
    {.name = "max-turns", .value = "N", .help = "turns of the claude engine at most (40)"},
    {.name = "max-budget-usd", .value = "AMOUNT", .help = "what it may cost (2.00)"},
    {.name = "confirm", .value = "N", .help = "passes of the claude engine, 1 to 5 (1)"},
    {.name = "fail-on",
     .value = "SEVERITY",
     .help = "exit with status 1 if there are new findings of this severity or above"},
    {.name = "all", .help = "with --fail-on: known findings count as well"},
    {.name = "timeout", .value = "SECONDS", .help = "how long the scan may take (3600)"},
    {.name = "local", .help = "here and now, without a server; a directory always is"},
    {.name = "detach", .letter = 'd', .help = "do not wait: print the job's id"},
    {.name = "wait-timeout", .value = "SECONDS", .help = "stop waiting; the job goes on"},
    {0},
};

static int number_of(const struct args *a, const char *name, uint64_t min, uint64_t max,
                     uint64_t *out, struct err *e)
{
    const char *s = args_value(a, name);

    *out = 0;
    if (s && !str_to_u64(s, min, max, out)) {
        return err_set(e, ERR_INVALID, "--%s '%s': expected a number from %llu to %llu", name, s,
                       (unsigned long long)min, (unsigned long long)max);
    }
    return 0;
}

/* "2", "0.50": in cents. */
static int cents_of(const struct args *a, int64_t *out, struct err *e)
{
    const char *s = args_value(a, "max-budget-usd");
    char *end = NULL;
    double v = s ? strtod(s, &end) : 0;

    *out = 0;
    if (!s) {
        return 0;
    }
    if (end == s || *end || !(v >= 0.01 && v <= 10000)) {
        return err_set(e, ERR_INVALID,
                       "--max-budget-usd '%s': expected an amount from 0.01 to "
                       "10000",
                       s);
    }
    *out = (int64_t)(v * 100 + 0.5);
    return 0;
}

static void put_engines(struct json *j, const char *names)
{
    auto_free char *copy = xstrdup(names);

    json_arr_in(j, "engines");
    for (char *save, *p = strtok_r(copy, ", ", &save); p; p = strtok_r(NULL, ", ", &save)) {
        json_str(j, NULL, p);
    }
    json_end(j);
}

static void put_text(struct json *j, const struct args *a, const char *flag, const char *member)
{
    const char *s = args_value(a, flag);

    if (s) {
        json_str(j, member, s);
    }
}

static int put_agent(struct json *j, const struct args *a, struct err *e)
{
    uint64_t turns, passes;
    int64_t cents;
    int rc;

    if ((rc = number_of(a, "max-turns", 1, 1000, &turns, e)) != 0 ||
        (rc = number_of(a, "confirm", 1, AGENT_PASSES_MAX, &passes, e)) != 0 ||
        (rc = cents_of(a, &cents, e)) != 0) {
        return rc;
    }
    if (!args_value(a, "model") && !args_value(a, "effort") && !turns && !passes && !cents) {
        return 0;
    }
    json_obj_in(j, "agent");
    put_text(j, a, "model", "model");
    put_text(j, a, "effort", "effort");
    if (turns) {
        json_int(j, "max_turns", (int64_t)turns);
    }
    if (passes) {
        json_int(j, "passes", (int64_t)passes);
    }
    if (cents) {
        json_int(j, "max_budget_cents", cents);
    }
    json_end(j);
    return 0;
}

int repo_flags_json(const struct args *a, const char *what, struct buf *json, int64_t *timeout_s,
                    struct err *e)
{
    const char *engines = args_value(a, "engines"), *fail_on = args_value(a, "fail-on");
    struct json j = json_to(json);
    enum severity severity;
    uint64_t timeout;
    int rc = number_of(a, "timeout", JOB_TIMEOUT_MIN_S, JOB_TIMEOUT_MAX_S, &timeout, e);

    if (rc == 0 && fail_on && !severity_parse(fail_on, &severity)) {
        rc = err_set(e, ERR_INVALID, "--fail-on '%s': expected info, low, medium, high or critical",
                     fail_on);
    }
    if (rc != 0) {
        return rc;
    }
    *timeout_s = timeout ? (int64_t)timeout : INT64_MIN;
    json_obj(&j);
    json_str(&j, "url", what);
    put_text(&j, a, "ref", "branch");
    put_text(&j, a, "commit", "commit");
    put_text(&j, a, "subdir", "subdir");
    put_text(&j, a, "base", "base");
    put_text(&j, a, "head", "head");
    put_text(&j, a, "baseline", "baseline");
    put_text(&j, a, "credential", "credential");
    put_text(&j, a, "username", "username");
    put_text(&j, a, "fail-on", "fail_on");
    if (engines) {
        put_engines(&j, engines);
    }
    rc = put_agent(&j, a, e);
    json_end(&j);
    return rc;
}
