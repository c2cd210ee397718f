/* A request for a repository scan as JSON: one row a member. */
#include <jansson.h>
#include <string.h>

#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/finding.h"
#include "repo/json_member.h"
#include "repo/ref.h"
#include "repo/spec.h"
#include "secret/secret.h"

enum { NAME_MAX_ = 128, DIR_NAME_MAX = 512 };

void repo_request_done(struct repo_request *r)
{
    char *own[] = {r->url,  r->branch,   r->commit,     r->subdir,   r->base,
                   r->head, r->baseline, r->credential, r->username, r->fail_on};
    const char *agent[] = {r->agent.model, r->agent.effort, r->agent.base_url, r->agent.paths};

    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        free(own[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(agent); i++) {
        free((void *)(uintptr_t)agent[i]);
    }
    strvec_done(&r->engines);
    *r = (struct repo_request){0};
}

/* ---- what each may be ---- */

/* "dir:NAME" stands for a directory that its owner scans where it is; the name is shown only. */
static int check_url(const char *s, char **canonical, struct err *e)
{
    if (!str_starts(s, "dir:")) {
        return repo_url_check(s, canonical, e);
    }
    if (!s[4] || strlen(s) > DIR_NAME_MAX) {
        return err_set(e, ERR_INVALID, "the name of a directory has 1 to %d bytes",
                       DIR_NAME_MAX - 4);
    }
    for (const char *p = s; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            return err_set(e, ERR_INVALID, "the name of a directory has no control characters");
        }
    }
    *canonical = xstrdup(s);
    return 0;
}

static int check_ref(const char *s, char **canonical, struct err *e)
{
    *canonical = xstrdup(s);
    return repo_ref_check(s, e);
}

static int check_commit(const char *s, char **canonical, struct err *e)
{
    int rc = repo_commit_check(s, e);

    *canonical = xstrdup(s);
    for (char *p = *canonical; *p; p++) {
        *p = *p >= 'A' && *p <= 'F' ? (char)(*p + 32) : *p;
    }
    return rc;
}

/* A commit, a branch or a tag. */
static int check_revision(const char *s, char **canonical, struct err *e)
{
    return strspn(s, "0123456789abcdefABCDEF") == strlen(s) && strlen(s) >= 40
               ? check_commit(s, canonical, e)
               : check_ref(s, canonical, e);
}

static int check_subdir(const char *s, char **canonical, struct err *e)
{
    size_t n = strlen(s);

    *canonical = xstrndup(s, n > 1 && s[n - 1] == '/' ? n - 1 : n);
    return repo_subdir_check(*canonical, e);
}

static int check_baseline(const char *s, char **canonical, struct err *e)
{
    char text[ID_TEXT + 1];
    struct id id;

    if (id_parse(s, &id)) {
        id_text(&id, text);
        *canonical = xstrdup(text);
        return 0;
    }
    *canonical = xstrdup(s);
    return str_eq(s, "none")
               ? 0
               : err_set(e, ERR_INVALID,
                         "a baseline is the id of an earlier job, or 'none'; leave it "
                         "out for the last scan of the same branch");
}

static int check_word(const char *s, const char *marks, const char *what, char **canonical,
                      struct err *e)
{
    size_t n = strlen(s);

    *canonical = xstrdup(s);
    for (const char *p = s; *p; p++) {
        if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') &&
            (p == s ? *p != '_' : !strchr(marks, *p))) {
            n = 0;
        }
    }
    return n == 0 || n > NAME_MAX_
               ? err_set(e, ERR_INVALID, "%s is 1 to %d letters, digits and any of %s", what,
                         NAME_MAX_, marks)
               : 0;
}

static int check_credential(const char *s, char **canonical, struct err *e)
{
    *canonical = xstrdup(s);
    return secret_name_ok(s) ? 0
                             : err_set(e, ERR_INVALID,
                                       "it is the name of a secret (a small letter, then small "
                                       "letters, digits and -), never the secret itself");
}

static int check_username(const char *s, char **canonical, struct err *e)
{
    return check_word(s, "._@+-", "a user's name", canonical, e);
}

static int check_engine(const char *s, char **canonical, struct err *e)
{
    size_t n = strlen(s);

    *canonical = xstrdup(s);
    return n == 0 || n > 31 || s[0] < 'a' || s[0] > 'z' ||
                   strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != n
               ? err_set(e, ERR_INVALID,
                         "the name of an engine is a small letter, then small letters, digits "
                         "and -")
               : 0;
}

static int check_severity(const char *s, char **canonical, struct err *e)
{
    enum severity severity;

    *canonical = xstrdup(s);
    return severity_parse(s, &severity) ? 0
                                        : err_set(e, ERR_INVALID,
                                                  "a severity is info, low, medium, high or "
                                                  "critical");
}

static int check_model(const char *s, char **canonical, struct err *e)
{
    int rc = check_word(s, "._:-", "the name of a model", canonical, e);

    return rc == 0 && strlen(s) > 64
               ? err_set(e, ERR_INVALID, "the name of a model has at most 64 bytes")
               : rc;
}

static int check_effort(const char *s, char **canonical, struct err *e)
{
    *canonical = xstrdup(s);
    return str_eq(s, "low") || str_eq(s, "medium") || str_eq(s, "high")
               ? 0
               : err_set(e, ERR_INVALID, "an effort is low, medium or high");
}

/* ---- the rows ---- */

#define AT(m) offsetof(struct repo_request, m)

static const struct json_member members[] = {
    {"url", JSON_MEMBER_TEXT, AT(url), .check = check_url},
    {"branch", JSON_MEMBER_TEXT, AT(branch), .check = check_ref},
    {"commit", JSON_MEMBER_TEXT, AT(commit), .check = check_commit},
    {"subdir", JSON_MEMBER_TEXT, AT(subdir), .check = check_subdir},
    {"base", JSON_MEMBER_TEXT, AT(base), .check = check_revision},
    {"head", JSON_MEMBER_TEXT, AT(head), .check = check_revision},
    {"baseline", JSON_MEMBER_TEXT, AT(baseline), .check = check_baseline},
    {"engines", JSON_MEMBER_TEXTS, AT(engines), .max = REPO_ENGINES_MAX, .check = check_engine},
    {"credential", JSON_MEMBER_TEXT, AT(credential), .check = check_credential},
    {"username", JSON_MEMBER_TEXT, AT(username), .check = check_username},
    {"fail_on", JSON_MEMBER_TEXT, AT(fail_on), .check = check_severity},
    {"agent_wanted", JSON_MEMBER_BOOL, AT(agent_wanted)},
    {"max_bytes", JSON_MEMBER_U64, AT(max_bytes), .max = INT64_C(1) << 40},
    {"max_files", JSON_MEMBER_U32, AT(max_files), .max = 10000000},
    {0},
};

static const struct json_member agent_members[] = {
    {"model", JSON_MEMBER_TEXT, AT(agent.model), .check = check_model},
    {"effort", JSON_MEMBER_TEXT, AT(agent.effort), .check = check_effort},
    {"max_turns", JSON_MEMBER_U32, AT(agent.max_turns), .max = 1000},
    {"max_budget_cents", JSON_MEMBER_U32, AT(agent.max_budget_cents), .max = 1000000},
    {"passes", JSON_MEMBER_U32, AT(agent.passes), .max = AGENT_PASSES_MAX},
    {"stall_s", JSON_MEMBER_U32, AT(agent.stall_s), .max = 3600},
    {0},
};

static bool has_agent(const struct agent_ask *a)
{
    return a->model || a->effort || a->max_turns || a->max_budget_cents || a->passes || a->stall_s;
}

void repo_request_json(const struct repo_request *r, struct json *j)
{
    json_members_write(members, r, j);
    if (has_agent(&r->agent)) {
        json_obj_in(j, "agent");
        json_members_write(agent_members, r, j);
        json_end(j);
    }
}

void repo_request_write(const struct repo_request *r, struct buf *json)
{
    struct json j = json_to(json);

    json_obj(&j);
    repo_request_json(r, &j);
    json_end(&j);
}

/* ---- what fits together ---- */

static int check_whole(struct repo_request *r, const char *at, struct err *e)
{
    bool local = r->url && str_starts(r->url, "dir:");

    for (size_t i = 0; i < r->engines.n; i++) {
        r->agent_wanted = r->agent_wanted || str_eq(r->engines.v[i], "claude");
    }
    if (!r->url) {
        return err_set(e, ERR_INVALID, "%s/url: it is missing", at);
    }
    if (r->head && !r->base) {
        return err_set(e, ERR_INVALID,
                       "%s/base: it is missing: 'head' says up to where, 'base' since when", at);
    }
    if (r->head && r->commit && !str_eq(r->head, r->commit)) {
        return err_set(e, ERR_INVALID,
                       "%s/head: it is another commit than 'commit': give one of them", at);
    }
    if (r->username && !r->credential) {
        return err_set(e, ERR_INVALID, "%s/credential: it is missing: 'username' goes with it", at);
    }
    if (local && r->credential) {
        return err_set(e, ERR_INVALID, "%s/credential: a local directory needs none", at);
    }
    return 0;
}

int repo_request_from(const struct json_t *o, const char *at, struct repo_request *out,
                      struct err *e)
{
    static const char *const others[] = {"agent", NULL};
    struct repo_request r = {0};
    auto_free char *agent_at = str_fmt("%s/agent", at);
    const json_t *agent = json_object_get(o, "agent");
    int rc = json_members_read(members, o, at, others, &r, e);

    if (rc == 0 && agent) {
        rc = json_members_read(agent_members, agent, agent_at, NULL, &r, e);
    }
    rc = rc ? rc : check_whole(&r, at, e);
    if (rc != 0) {
        repo_request_done(&r);
        return rc;
    }
    *out = r;
    return 0;
}

int repo_request_read(const char *json, struct repo_request *out, struct err *e)
{
    json_t *o;
    int rc = json_document(json, strlen(json), &o, e);

    if (rc == 0) {
        rc = repo_request_from(o, "", out, e);
        json_decref(o);
    }
    return rc;
}
