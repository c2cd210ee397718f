/* What the box of a repository scan is told. */
#include <jansson.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/host.h"
#include "repo/json_member.h"
#include "repo/ref.h"
#include "repo/spec.h"

enum { KEY_MAX = 64 * 1024, HOSTS_MAX = 1024 * 1024, PROGRAM_MAX = 8192 };

static void forget(char *secret)
{
    if (secret) {
        secure_zero(secret, strlen(secret));
        free(secret);
    }
}

void repo_spec_done(struct repo_spec *s)
{
    forget(s->ssh_key);
    free(s->known_hosts);
    free(s->last_commit);
    sarif_engines_free(s->declared);
    repo_request_done(&s->request);
    arena_free(s->arena);
    *s = (struct repo_spec){0};
}

/* ---- its members; the borrowed strings travel as owned ones ---- */

struct spec_text {
    struct repo_spec s;
    char *local, *clone_url, *git, *ssh;
    struct strvec programs;
};

static int check_path(const char *s, char **canonical, struct err *e)
{
    if (s[0] != '/' || strstr(s, "/../")) {
        return err_set(e, ERR_INVALID, "it is the full path of a program");
    }
    *canonical = xstrdup(s);
    return 0;
}

static int check_local(const char *s, char **canonical, struct err *e)
{
    if (!str_eq(s, "tree") && !str_eq(s, "git")) {
        return err_set(e, ERR_INVALID, "it is tree or git");
    }
    *canonical = xstrdup(s);
    return 0;
}

static int check_clone_url(const char *s, char **canonical, struct err *e)
{
    struct repo_url u = {0};
    int rc = 0;

    /* The gateway is ours, on this machine, and needs no encryption. */
    if (!str_starts(s, REPO_GATEWAY_URL)) {
        rc = repo_url_split(s, &u, e);
        repo_url_done(&u);
    } else if (s[strcspn(s, " \t\r\n?#@")]) {
        rc = err_set(e, ERR_INVALID, "it is not a URL of the gateway");
    }
    if (rc == 0) {
        *canonical = xstrdup(s);
    }
    return rc;
}

static int check_commit(const char *s, char **canonical, struct err *e)
{
    if (!repo_is_commit(s)) {
        return err_set(e, ERR_INVALID, "it is a commit: 40 or 64 hexadecimal digits");
    }
    *canonical = xstrdup(s);
    return 0;
}

#define AT(m) offsetof(struct spec_text, m)

static const struct json_member members[] = {
    {"local", JSON_MEMBER_TEXT, AT(local), .check = check_local},
    {"clone_url", JSON_MEMBER_TEXT, AT(clone_url), .check = check_clone_url},
    {"proxy", JSON_MEMBER_BOOL, AT(s.proxy)},
    {"ssh_key", JSON_MEMBER_TEXT, AT(s.ssh_key), .max = KEY_MAX},
    {"known_hosts", JSON_MEMBER_TEXT, AT(s.known_hosts), .max = HOSTS_MAX},
    {"has_ca", JSON_MEMBER_BOOL, AT(s.has_ca)},
    {"programs", JSON_MEMBER_TEXTS, AT(programs), .max = REPO_ENGINES_MAX},
    {"git", JSON_MEMBER_TEXT, AT(git), .check = check_path},
    {"ssh", JSON_MEMBER_TEXT, AT(ssh), .check = check_path},
    {"last_commit", JSON_MEMBER_TEXT, AT(s.last_commit), .check = check_commit},
    {"max_bytes", JSON_MEMBER_U64, AT(s.max_bytes), .max = INT64_C(1) << 40},
    {"max_files", JSON_MEMBER_U32, AT(s.max_files), .max = 10000000},
    {"max_file_bytes", JSON_MEMBER_U32, AT(s.max_file_bytes), .max = 1u << 30},
    {"wall_s", JSON_MEMBER_U32, AT(s.wall_s), .max = 7 * 86400},
    {"clone_s", JSON_MEMBER_U32, AT(s.clone_s), .max = 86400},
    {"at_once", JSON_MEMBER_U32, AT(s.at_once), .max = 256},
    {0},
};

/* A view of the spec in which everything is where the rows say; nothing is copied. */
static void view_of(const struct repo_spec *s, struct spec_text *v)
{
    v->s = *s;
    v->local = (char *)(uintptr_t)s->local;
    v->clone_url = (char *)(uintptr_t)s->clone_url;
    v->git = (char *)(uintptr_t)s->git;
    v->ssh = (char *)(uintptr_t)s->ssh;
    v->programs.v = (char **)(uintptr_t)s->programs;
    v->programs.n = s->n_programs;
}

void repo_spec_write(const struct repo_spec *s, struct buf *json)
{
    struct json j = json_to(json);
    struct spec_text v = {0};

    view_of(s, &v);
    json_obj(&j);
    json_obj_in(&j, "request");
    repo_request_json(&s->request, &j);
    json_end(&j);
    json_members_write(members, &v, &j);
    if (s->declared) {
        sarif_engines_json(s->declared, &j, "declared");
    }
    json_end(&j);
    secure_zero(&v, sizeof v);
}

/* ---- reading ---- */

static const char *keep(struct arena *a, const char *s)
{
    return s ? arena_strn(a, s, strlen(s)) : NULL;
}

static void text_done(struct spec_text *t)
{
    free(t->local);
    free(t->clone_url);
    free(t->git);
    free(t->ssh);
    strvec_done(&t->programs);
}

/* "NAME=PATH=VERSION" */
static int check_programs(const struct strvec *programs, struct err *e)
{
    for (size_t i = 0; i < programs->n; i++) {
        const char *first = strchr(programs->v[i], '=');

        if (!first || first == programs->v[i] || !strchr(first + 1, '=') ||
            strlen(programs->v[i]) > PROGRAM_MAX) {
            return err_set(e, ERR_INVALID, "/programs/%zu: it is NAME=PATH=VERSION", i);
        }
    }
    return 0;
}

/* What its code counts on. */
static int check_whole(const struct spec_text *t, struct err *e)
{
    if (!t->s.max_bytes || !t->s.max_files || !t->s.max_file_bytes || !t->s.clone_s) {
        return err_set(e, ERR_INVALID,
                       "/max_bytes: it is missing, or max_files, max_file_bytes or clone_s is");
    }
    if (!t->local && !t->clone_url) {
        return err_set(e, ERR_INVALID, "/clone_url: it is missing");
    }
    if (!t->git && !str_eq(t->local, "tree")) {
        return err_set(e, ERR_INVALID, "/git: it is missing");
    }
    return check_programs(&t->programs, e);
}

static int read_declared(const json_t *v, struct sarif_engines **out, struct err *e)
{
    auto_free char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    int rc = text ? sarif_engines_read(text, out, e) : 0;

    return rc ? err_prefix(e, rc, "/declared") : 0;
}

static int read_from(const json_t *o, struct spec_text *t, struct err *e)
{
    static const char *const others[] = {"request", "declared", NULL};
    int rc = json_members_read(members, o, "", others, t, e);

    rc = rc ? rc : repo_request_from(json_object_get(o, "request"), "/request", &t->s.request, e);
    rc = rc ? rc : read_declared(json_object_get(o, "declared"), &t->s.declared, e);
    return rc ? rc : check_whole(t, e);
}

static void forget_key(const json_t *o)
{
    const json_t *key = json_object_get(o, "ssh_key");

    if (json_is_string(key)) {
        secure_zero((char *)(uintptr_t)json_string_value(key), json_string_length(key));
    }
}

int repo_spec_read(const char *json, size_t n, struct repo_spec *out, struct err *e)
{
    struct spec_text t = {.s.arena = arena_new()};
    json_t *o = NULL;
    int rc = json_document(json, n, &o, e);

    rc = rc ? rc : read_from(o, &t, e);
    if (rc == 0) {
        t.s.local = keep(t.s.arena, t.local);
        t.s.clone_url = keep(t.s.arena, t.clone_url);
        t.s.git = keep(t.s.arena, t.git);
        t.s.ssh = keep(t.s.arena, t.ssh);
        for (size_t i = 0; i < t.programs.n; i++) {
            t.s.programs[t.s.n_programs++] = keep(t.s.arena, t.programs.v[i]);
        }
        *out = t.s;
    } else {
        repo_spec_done(&t.s);
    }
    text_done(&t);
    forget_key(o);
    json_decref(o);
    return rc;
}
