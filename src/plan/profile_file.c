/* Profiles of a file (docs/profiles.md). What it says is checked as a request would be. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "plan/internal.h"
#include "plan/profile.h"
#include "policy/node.h"

enum {
    NAME_MOST = 32,
    SUMMARY_MOST = 200,
    TEXT_MOST = 4096,
    PROFILES_MAX = 64,
    RATE_MAX = 10000000
};

struct reading {
    const char *name; /* of the file */
    struct profiles *all;
    struct profile *p;
    struct profile_stage *s;
    const struct node *ports, *arguments; /* where they stand, for messages */
};

static int text_of(const struct reading *r, const struct node *v, const char *what, size_t most,
                   const char **out, struct err *e)
{
    if (v->kind != NODE_TEXT || !*v->text || strlen(v->text) > most) {
        return node_wrong(r->name, v, e, "'%s' must be text of 1 to %zu characters", what, most);
    }
    free((char *)(uintptr_t)*out);
    *out = xstrdup(v->text);
    return 0;
}

static int number_of(const struct reading *r, const struct node *v, const char *what, uint64_t max,
                     uint32_t *out, struct err *e)
{
    uint64_t n;

    if (v->kind != NODE_TEXT || !str_to_u64(v->text, 1, max, &n)) {
        return node_wrong(r->name, v, e, "'%s' must be a number from 1 to %" PRIu64, what, max);
    }
    *out = (uint32_t)n;
    return 0;
}

/* ---- members of a stage ---- */

static int stage_find(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    for (int k = 0; k < STAGE_KINDS && v->kind == NODE_TEXT; k++) {
        if (strcmp(v->text, stage_kind_name((enum stage_kind)k)) == 0) {
            r->s->kind = (enum stage_kind)k;
            return 0;
        }
    }
    return node_wrong(r->name, v, e, "'find' must be hosts, ports, services or verify");
}

static int stage_tool(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    if (v->kind != NODE_TEXT || !tool_find(v->text) || tool_find(v->text)->instant) {
        auto_buf all = {0};

        for (const struct tool *const *t = tool_all(); *t; t++) {
            if (!(*t)->instant) {
                buf_addf(&all, "%s%s", all.len ? ", " : "", (*t)->name);
            }
        }
        return node_wrong(r->name, v, e, "there is no such tool; 'tool' is one of %s", all.data);
    }
    return text_of(r, v, "tool", NAME_MOST, &r->s->tool, e);
}

static int stage_ports(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    uint64_t n;
    int rc = text_of(r, v, "ports", TEXT_MOST, &r->s->ports, e);

    if (rc < 0) {
        return rc;
    }
    r->ports = v;
    if (str_starts(v->text, "top:") ? !str_to_u64(v->text + 4, 1, UINT16_MAX, &n)
                                    : ports_parse(v->text, NULL) < 0) {
        return node_wrong(r->name, v, e,
                          "'ports' must be a list such as \"22,80,8000-8100\", or \"top:100\" for "
                          "the most popular ones");
    }
    return 0;
}

static int stage_words(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    r->arguments = v;
    return text_of(r, v, "arguments", TEXT_MOST, &r->s->arguments, e);
}

static int stage_rate(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return number_of(r, v, "rate", RATE_MAX, &r->s->rate, e);
}

/* Scripts are chosen by the policy of whoever scans: their names are looked at then. */
static void without_scripts(const struct strvec *words, struct strvec *out)
{
    for (size_t i = 0; i < words->n; i++) {
        const char *w = words->v[i];

        if (str_eq(w, "--script") || str_eq(w, "--script-args")) {
            i++;
        } else if (!str_eq(w, "-sC") && !str_starts(w, "--script=") &&
                   !str_starts(w, "--script-args=")) {
            strvec_push(out, w);
        }
    }
}

static int check_words(const struct reading *r, struct err *e)
{
    const struct profile_stage *s = r->s;
    const char *name = s->tool ? s->tool : "nmap";
    auto_strvec words = {0}, rest = {0}, left = {0};
    auto_free char *ports = NULL;
    uint32_t top = 0;
    struct err why = {0};
    int rc = shell_split(s->arguments, &words, &why);

    if (rc == 0) {
        rc = options_split(name, s->arguments, &ports, &top, &rest, &why);
    }
    if (rc == 0 && (ports || top)) {
        return node_wrong(r->name, r->arguments, e,
                          "ports are not arguments: write them as 'ports'");
    }
    if (rc == 0) {
        bool list = s->kind == STAGE_PORTS && s->ports && !str_starts(s->ports, "top:");
        auto_plan plan = {0};

        without_scripts(&rest, &left);

        struct tool_request q = {.targets = "127.0.0.1",
                                 .ports = list                     ? s->ports
                                          : s->kind == STAGE_PORTS ? "80"
                                                                   : NULL,
                                 .tokens = &left,
                                 .advanced = true};

        rc = tool_check(tool_find(name), &q, &plan, &why);
    }
    return rc == 0 ? 0 : node_wrong(r->name, r->arguments, e, "%s", why.msg);
}

static int read_stage(struct reading *r, const struct node *v, struct err *e)
{
    static const struct node_field fields[] = {
        {"find", stage_find, true},    {"tool", stage_tool, false},
        {"ports", stage_ports, false}, {"arguments", stage_words, false},
        {"rate", stage_rate, false},   {0},
    };
    int rc;

    r->s = &r->p->stages[r->p->n_stages++];
    r->ports = r->arguments = NULL;
    rc = node_map(r->name, v, "a stage", fields, r, e);
    if (rc < 0) {
        return rc;
    }
    if (r->s->kind != STAGE_PORTS && (r->s->ports || r->s->rate)) {
        return node_wrong(r->name, v, e, "only stages that find ports have 'ports' and 'rate'");
    }
    if (r->s->kind != STAGE_PORTS && r->s->tool && strcmp(r->s->tool, "nmap") != 0) {
        return node_wrong(r->name, v, e, "a stage of %s is work for nmap, %s cannot do it",
                          stage_kind_name(r->s->kind), r->s->tool);
    }
    if (r->s->tool && r->ports && strcmp(r->s->tool, "nmap") != 0 &&
        str_starts(r->s->ports, "top:")) {
        return node_wrong(r->name, r->ports, e, "%s has no list of popular ports: name them",
                          r->s->tool);
    }
    return r->arguments ? check_words(r, e) : 0;
}

/* hosts, then ports, then what looks at them. */
static int check_order(const struct reading *r, const struct node *v, struct err *e)
{
    bool ports = false, behind = false;

    for (size_t i = 0; i < r->p->n_stages; i++) {
        enum stage_kind k = r->p->stages[i].kind;

        if (k == STAGE_HOSTS && i > 0) {
            return node_wrong(r->name, &v->item[i], e, "a stage that finds hosts is the first one");
        }
        if (k == STAGE_PORTS && (behind || (i > 0 && r->p->stages[0].kind != STAGE_HOSTS))) {
            return node_wrong(r->name, &v->item[i], e,
                              behind ? "stages that find ports come before services and verify"
                                     : "more than one stage that finds ports needs one that finds "
                                       "hosts before them");
        }
        if (k != STAGE_HOSTS && k != STAGE_PORTS && !ports) {
            return node_wrong(r->name, &v->item[i], e,
                              "services and verify need a stage that finds ports before them");
        }
        ports |= k == STAGE_PORTS;
        behind |= k == STAGE_SERVICES || k == STAGE_VERIFY;
    }
    return 0;
}

/* ---- members of a profile ---- */

static int member_name(void *arg, const struct node *v, struct err *e)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    struct reading *r = arg;
    int rc = text_of(r, v, "name", NAME_MOST, &r->p->name, e);

    if (rc < 0) {
        return rc;
    }
    if (strspn(v->text, good) != strlen(v->text)) {
        return node_wrong(r->name, v, e, "'name' has small letters, digits, '_' and '-' only");
    }
    for (size_t i = 0; i < r->all->n; i++) {
        if (&r->all->v[i] != r->p && strcmp(r->all->v[i].name, v->text) == 0) {
            return node_wrong(r->name, v, e,
                              r->all->v[i].builtin ? "'%s' is a built-in profile: take another name"
                                                   : "there are two profiles '%s'",
                              v->text);
        }
    }
    return 0;
}

static int member_summary(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return text_of(r, v, "summary", SUMMARY_MOST, &r->p->summary, e);
}

static int member_version(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return number_of(r, v, "version", 1000000, &r->p->version, e);
}

static int member_seconds(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return number_of(r, v, "service_seconds", 3600, &r->p->service_s, e);
}

static int member_stages(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    int rc = 0;

    if (v->kind != NODE_LIST || v->n < 1 || v->n > PLAN_STAGES_MAX) {
        return node_wrong(r->name, v, e, "'stages' must be a list of 1 to %d stages",
                          PLAN_STAGES_MAX);
    }
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        rc = read_stage(r, &v->item[i], e);
    }
    return rc == 0 ? check_order(r, v, e) : rc;
}

static int read_profile(struct reading *r, const struct node *v, struct err *e)
{
    static const struct node_field fields[] = {
        {"name", member_name, true},        {"summary", member_summary, false},
        {"version", member_version, false}, {"service_seconds", member_seconds, false},
        {"stages", member_stages, true},    {0},
    };
    int rc;

    r->all->v = xrealloc(r->all->v, (r->all->n + 1) * sizeof *r->all->v);
    r->p = &r->all->v[r->all->n++];
    *r->p = (struct profile){.version = 1, .name = xstrdup("")};
    rc = node_map(r->name, v, "a profile", fields, r, e);
    if (rc == 0 && !r->p->summary) {
        r->p->summary = xstrdup("");
    }
    return rc;
}

static int file_version(void *arg, const struct node *v, struct err *e)
{
    const struct reading *r = arg;

    return v->kind == NODE_TEXT && strcmp(v->text, "1") == 0
               ? 0
               : node_wrong(r->name, v, e, "'version' must be 1");
}

static int file_profiles(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    int rc = 0;

    if (v->kind != NODE_LIST || v->n > PROFILES_MAX) {
        return node_wrong(r->name, v, e, "'profiles' must be a list of at most %d profiles",
                          PROFILES_MAX);
    }
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        rc = read_profile(r, &v->item[i], e);
    }
    return rc;
}

int profiles_parse(const char *text, size_t n, const char *name, struct profiles *out,
                   struct err *e)
{
    static const struct node_field fields[] = {
        {"version", file_version, true}, {"profiles", file_profiles, true}, {0}};
    struct reading r = {.name = name, .all = out};
    struct node root = {0};
    int rc = node_parse(text, n, name, &root, e);

    if (rc < 0) {
        return rc;
    }
    rc = node_map(name, &root, "the file of profiles", fields, &r, e);
    node_done(&root);
    return rc;
}
