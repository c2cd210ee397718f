#include "daemon/repo_launch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/programs.h"
#include "daemon/repo_means.h"
#include "repo/spec.h"

enum {
    VERSION_US = 200000,
    BINDS_MAX = 128,
    FILES = 65536,
    CLONE_S = 600,
    FILE_BYTES_MAX = 10 << 20,
    TREE_FACTOR = 3, /* objects, files, and what engines write about them */
    REQUESTS_MAX = 2000,
};

#define GIT_PREFIX "/git"
#define API_PREFIX "/anthropic"

/* All that the launch points to. */
struct repo_start {
    const struct repo_means *means; /* borrowed */
    struct repo_spec spec;
    struct repo_url url;
    struct strvec argv, allow, programs, strings;
    struct box_bind binds[BINDS_MAX];
    size_t n_binds;
    struct box_file texts[3];
    size_t n_texts;
    struct buf spec_text;
    struct proxy_gateway gateways[3];
    size_t n_gateways;
    struct limits limits;
    bool old_route;
};

static void start_done(struct repo_start *s)
{
    repo_spec_done(&s->spec);
    repo_url_done(&s->url);
    strvec_done(&s->argv);
    strvec_done(&s->allow);
    strvec_done(&s->programs);
    strvec_done(&s->strings);
    if (s->spec_text.data) {
        explicit_bzero(s->spec_text.data, s->spec_text.len); /* there may be a key in it */
    }
    buf_done(&s->spec_text);
}

/* Text that lives as long as the start. */
static const char *keep(struct repo_start *s, const char *text)
{
    strvec_push(&s->strings, text);
    return s->strings.v[s->strings.n - 1];
}

static bool add_bind(struct repo_start *s, const char *path)
{
    for (size_t i = 0; i < s->n_binds; i++) {
        if (strcmp(s->binds[i].path, path) == 0) {
            return true;
        }
    }
    if (s->n_binds == BINDS_MAX) {
        return false;
    }
    s->binds[s->n_binds++] = (struct box_bind){.path = keep(s, path)};
    return true;
}

/* What lies in /usr is shown in any case. */
static void show_program(struct repo_start *s, const char *path)
{
    auto_free char *real = realpath(path, NULL);

    if (real && !str_starts(real, "/usr/")) {
        (void)add_bind(s, real);
    }
}

/* ---- where it comes from ---- */

static int secret_of(const struct repo_start *s, const char *name, const char **value,
                     struct err *e)
{
    *value = secrets_get(s->means->secrets, name, NULL);
    return *value ? 0
                  : err_set(e, ERR_INVALID,
                            "there is no secret '%s' here: put it into secrets-dir, or name "
                            "another one in `credential`",
                            name);
}

static int start_ssh(struct repo_start *s, struct err *e)
{
    const char *key;
    int rc;

    if (!s->means->ssh) {
        return err_set(e, ERR_NOT_FOUND, "ssh is not installed: install openssh-client");
    }
    if (!s->means->known_hosts) {
        return err_set(e, ERR_INVALID,
                       "no host keys are known: set repo-known-hosts to a file with that of %s",
                       s->url.host);
    }
    if (!s->spec.request.credential) {
        return err_set(e, ERR_INVALID, "ssh needs `credential`: the name of a secret with a key");
    }
    rc = secret_of(s, s->spec.request.credential, &key, e);
    if (rc == 0) {
        s->spec.ssh = s->means->ssh;
        s->spec.ssh_key = xstrdup(key);
        s->spec.known_hosts = xstrdup(s->means->known_hosts);
        s->spec.clone_url = s->spec.request.url;
        show_program(s, s->means->ssh);
    }
    return rc;
}

static void add_git_gateway(struct repo_start *s, const char *prefix, const char *path,
                            const char *entry)
{
    s->gateways[s->n_gateways++] = (struct proxy_gateway){
        .kind = GATEWAY_GIT,
        .prefix = prefix,
        .upstream = keep(s, entry),
        .tls = true,
        .path = path,
        .ca_file = s->means->ca_file,
        .secret = s->spec.request.credential,
        .username = s->spec.request.username ? s->spec.request.username : "x-access-token",
    };
}

/* With a token the proxy makes the requests, and git sees neither token nor host. */
static int start_https(struct repo_start *s, const char *entry, struct err *e)
{
    const char *token, *suffixed;
    int rc;

    if (!s->spec.request.credential) {
        s->spec.clone_url = s->spec.request.url;
        return 0;
    }
    rc = secret_of(s, s->spec.request.credential, &token, e);
    if (rc != 0) {
        return rc;
    }
    /* Some servers know a repository only with ".git" at its end: the checkout asks for both. */
    strvec_pushf(&s->strings, "%s.git", s->url.path);
    suffixed = s->strings.v[s->strings.n - 1];
    add_git_gateway(s, GIT_PREFIX, s->url.path, entry);
    add_git_gateway(s, GIT_PREFIX "suffix", suffixed, entry);
    strvec_pushf(&s->strings, "http://127.0.0.1:%d" GIT_PREFIX, PROXY_PORT);
    s->spec.clone_url = s->strings.v[s->strings.n - 1];
    return 0;
}

static int start_remote(struct repo_start *s, struct policy *policy, struct err *e)
{
    auto_buf entry = {0};
    int rc = repo_url_split(s->spec.request.url, &s->url, e);

    if (rc == 0 && !s->means->git) {
        rc = err_set(e, ERR_NOT_FOUND, "git is not installed: install git");
    }
    if (rc == 0) {
        rc = policy_repository(policy, s->url.host, s->url.port, s->url.ssh, &entry, e);
    }
    if (rc != 0) {
        return rc;
    }
    s->spec.proxy = true;
    rc = s->url.ssh ? start_ssh(s, e) : start_https(s, entry.data, e);
    if (rc == 0 && s->n_gateways == 0) {
        strvec_push(&s->allow, entry.data);
    }
    if (s->means->ca) {
        s->spec.has_ca = true;
        s->texts[s->n_texts++] = (struct box_file){
            .path = REPO_CA_FILE, .text = s->means->ca, .n = strlen(s->means->ca)};
    } else if (access("/etc/ssl/certs", R_OK | X_OK) == 0) {
        (void)add_bind(s, "/etc/ssl/certs");
    }
    return rc;
}

static int start_local(struct repo_start *s, struct err *e)
{
    if (s->means->local_fd < 0) {
        return err_set(e, ERR_INVALID, "a directory is scanned by `scanpod repo DIR` alone");
    }
    s->spec.local = s->means->local;
    return 0;
}

/* ---- engines ---- */

static bool is_asked(const struct repo_request *q, const char *name)
{
    for (size_t i = 0; i < q->engines.n; i++) {
        if (strcmp(q->engines.v[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(const struct repo_start *s, const struct engine *en)
{
    const struct repo_request *q = &s->spec.request;

    if (en == &engine_claude && q->agent_wanted) {
        return true;
    }
    return q->engines.n ? is_asked(q, en->tool.name) : !en->on_demand;
}

static void add_program(struct repo_start *s, const struct engine *en, const char *path,
                        const char *version)
{
    if (s->programs.n < REPO_ENGINES_MAX) {
        strvec_pushf(&s->programs, "%s=%s=%s", en->tool.name, path ? path : "",
                     version ? version : "");
    }
    if (path && !en->built_in) {
        show_program(s, path);
    }
}

static void add_engines(struct repo_start *s, struct programs *programs)
{
    for (const struct engine *const *en = engine_all(); *en; en++) {
        const char *version = NULL;
        const char *path = NULL;

        if (!is_wanted(s, *en)) {
            continue;
        }
        if ((*en)->built_in) {
            path = s->means->self;
        } else {
            path = programs_look(programs, &(*en)->tool, &version, NULL);
        }
        if (*en == &engine_claude && !repo_means_agent(s->means)) {
            path = NULL; /* without a key it could not say a word */
        }
        add_program(s, *en, path, version);
    }
    for (size_t i = 0; i < sarif_engines_count(s->means->declared); i++) {
        const struct engine *en = sarif_engines_at(s->means->declared, i);

        if (is_wanted(s, en)) {
            add_program(s, en, access(en->tool.program, X_OK) == 0 ? en->tool.program : NULL, "");
            for (const char *const *p = sarif_engine_paths(en); p && *p; p++) {
                (void)add_bind(s, *p);
            }
        }
    }
    for (size_t i = 0; i < s->programs.n; i++) {
        s->spec.programs[s->spec.n_programs++] = s->programs.v[i];
    }
    s->spec.declared = s->means->declared; /* lent: taken back before repo_spec_done() */
}

static void add_agent(struct repo_start *s)
{
    const struct repo_means *m = s->means;

    if (!is_wanted(s, &engine_claude) || !repo_means_agent(m)) {
        return;
    }
    if (!s->spec.request.agent.model) {
        s->spec.request.agent.model = repo_means_default_model(m);
    }
    s->spec.request.agent.base_url = str_fmt("http://127.0.0.1:%d" API_PREFIX, PROXY_PORT);
    s->gateways[s->n_gateways++] = (struct proxy_gateway){
        .kind = GATEWAY_MESSAGES,
        .prefix = API_PREFIX,
        .upstream = m->api_upstream,
        .tls = m->api_tls,
        .path = m->api_path,
        .ca_file = m->api_tls ? m->api_ca_file : NULL,
        .secret = m->api_secret,
        .tokens_max = m->api_tokens,
        .requests_max = REQUESTS_MAX,
    };
}

/* ---- the box ---- */

static int set_limits(struct repo_start *s, const struct job *j, const struct policy_rules *rules,
                      struct err *e)
{
    struct limits own;
    int rc = limits_parse(j->limits, &own, e);

    if (rc != 0) {
        return rc;
    }
    s->limits = tool_repo.limits;
    s->spec.max_bytes = s->means->max_bytes;
    s->spec.max_files = s->means->max_files;
    if (s->spec.request.max_bytes) {
        s->spec.max_bytes = MIN(s->spec.max_bytes, s->spec.request.max_bytes);
    }
    if (s->spec.request.max_files) {
        s->spec.max_files = MIN(s->spec.max_files, s->spec.request.max_files);
    }
    s->limits.disk_mb = (uint32_t)(s->spec.max_bytes >> 20) * TREE_FACTOR + 64;
    s->limits.inodes = s->spec.max_files * TREE_FACTOR + 4096;
    limits_tighten(&s->limits, &rules->limits);
    limits_tighten(&s->limits, &own);
    own = (struct limits){.wall_s = (uint32_t)j->run_timeout_s};
    limits_tighten(&s->limits, &own);
    s->spec.max_file_bytes = FILE_BYTES_MAX;
    s->spec.wall_s = s->limits.wall_s;
    s->spec.clone_s = MIN((uint32_t)CLONE_S, s->limits.wall_s);
    s->spec.at_once = (uint32_t)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
    return 0;
}

static void write_texts(struct repo_start *s)
{
    repo_spec_write(&s->spec, &s->spec_text);
    s->texts[s->n_texts++] =
        (struct box_file){.path = REPO_SPEC_FILE, .text = s->spec_text.data, .n = s->spec_text.len};
    if (s->means->rules) {
        s->texts[s->n_texts++] = (struct box_file){
            .path = REPO_RULES_FILE, .text = s->means->rules, .n = strlen(s->means->rules)};
    }
}

static int prepare(struct repo_start *s, const struct launcher *l, const struct job *j,
                   struct err *e)
{
    struct in_force *scope = l->config->scope;
    const struct policy_rules *rules = policy_rules(in_force_policy(scope), j->key_id, l->key_name);
    int rc = policy_tool(rules, tool_repo.name, e);

    if (rc == 0) {
        rc = repo_request_read(j->repo, &s->spec.request, e);
    }
    if (rc == 0) {
        rc = str_starts(s->spec.request.url, "dir:") ? start_local(s, e)
                                                     : start_remote(s, in_force_policy(scope), e);
    }
    if (rc == 0) {
        rc = set_limits(s, j, rules, e);
    }
    if (rc == 0) {
        s->spec.git = s->means->git;
        if (s->means->git) {
            show_program(s, s->means->git);
        }
        add_engines(s, l->config->programs);
        add_agent(s);
        write_texts(s);
        s->spec.declared = NULL;
        strvec_push(&s->argv, s->means->self);
        strvec_push(&s->argv, "repo-box");
        show_program(s, s->means->self);
    }
    return rc;
}

static int launch(struct repo_start *s, const struct launcher *l, struct tool_run *r, struct err *e)
{
    const struct dispatch_config *c = &l->config->dispatch;
    auto_fd int blob = -1;
    struct runner_launch spec = {
        .run = r->run,
        .argv = &s->argv,
        .parser = r->tool->parser->name,
        .grace_ms = c->grace_ms,
        .output_max = c->output_max,
        .wall_ms = s->limits.wall_s * 1000,
        .limits = s->limits,
        .files = FILES,
        .egress = EGRESS_PROXY,
        .proxy_allow = &s->allow,
        .nest = true,
        .texts = s->texts,
        .n_texts = s->n_texts,
        .binds = s->binds,
        .n_binds = s->n_binds,
        .stdin_fd = s->spec.local ? s->means->local_fd : -1,
        .gateways = s->gateways,
        .n_gateways = s->n_gateways,
        .lease_until_ms = l->lease_until_ms,
        .input_fd = -1,
    };
    /* What the box writes quotes the repository, and a secret may stand there: what is stored of it
     * is redacted on its way, and as it is it is kept only where there is none. */
    int rc = secrets_count(s->means->secrets) == 0 ? launch_blob(l, r, &blob, e) : 0;

    if (rc == 0) {
        r->secrets = s->means->secrets;
        /* The old repository scanner was the agent: without its answer there is no scan. */
        r->agent_required = s->old_route && s->spec.request.agent_wanted;
        r->argv_line = str_fmt("scanpod repo %s", s->spec.request.url);
        spec.blob_fd = blob;
        rc = runner_launch(l->runner, &spec, e);
    }
    return rc;
}

int launch_repository(const struct launcher *l, struct tool_run *r, const struct job *j,
                      int64_t *wait_until_us, struct err *e)
{
    struct repo_start s = {.means = l->config->repo, .old_route = j->old_route};
    int rc;

    if (!s.means || !s.means->self) {
        return err_set(e, ERR_NOT_FOUND, "repository scans are not set up here");
    }
    if (!l->caps->nest) {
        return err_set(e, ERR_SANDBOX, "repository scans cannot be confined here: %s",
                       l->caps->why_nest);
    }
    if (!programs_settled(l->config->programs)) {
        /* The engines are being asked for their versions. All that wait are due at the same time,
         * and so they stay in their order. */
        *wait_until_us = (wall_us() / VERSION_US + 1) * VERSION_US;
        return 0;
    }
    rc = prepare(&s, l, j, e);
    if (rc == 0) {
        rc = launch(&s, l, r, e);
    }
    start_done(&s);
    return rc;
}
