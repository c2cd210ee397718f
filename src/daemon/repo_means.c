#include "daemon/repo_means.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/agent.h"
#include "engine/rules.h"
#include "tool/tool.h"

enum { TEXT_MAX = 8 << 20 };

/* ---- files ---- */

static int read_text(const struct option_set *o, const char *name, char **out, struct err *e)
{
    const char *path = option_str(o, name);
    auto_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    struct stat st;
    auto_buf text = {.cap = TEXT_MAX};

    if (!path) {
        return 0;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        return err_set(e, ERR_INVALID, "%s: '%s': %s", name, path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode) || st.st_size > TEXT_MAX) {
        return err_set(e, ERR_INVALID, "%s: '%s' is not a file of at most %d MiB", name, path,
                       TEXT_MAX >> 20);
    }
    for (;;) {
        char *at = buf_space(&text, 65536);
        ssize_t n = at ? read(fd, at, 65536) : 0;

        if (n < 0) {
            return err_set(e, ERR_INVALID, "%s: '%s': %s", name, path, strerror(errno));
        }
        if (n == 0) {
            break;
        }
        text.len += (size_t)n;
    }
    buf_addc(&text, '\0');
    *out = buf_take(&text);
    return 0;
}

static char *own_program(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

    return n > 0 ? xstrndup(path, (size_t)n) : NULL;
}

/* Helpers of a checkout: no scanners, so not in the list of tools. */
static char *find_program(const struct option_set *o, const char *name, const char *setting)
{
    const struct tool t = {.name = name, .program = name, .setting = setting};
    char *path = NULL;
    struct err e = {0};

    return tool_path(&t, option_str(o, setting), &path, &e) == 0 ? path : NULL;
}

/* ---- the model's API ---- */

static int api_wrong(struct err *e, const char *why)
{
    return err_set(e, ERR_INVALID, "agent-url: %s; it is written https://HOST[:PORT][/PATH]", why);
}

static int read_api(const struct option_set *o, struct repo_means *m, struct err *e)
{
    const char *url = option_str(o, "agent-url"), *within = option_str(o, "agent-within");
    const char *at;
    auto_free char *place = NULL;
    size_t n;

    m->api_tls = str_starts(url, "https://");
    if (!m->api_tls && !str_starts(url, "http://")) {
        return api_wrong(e, "neither https nor http");
    }
    if (!m->api_tls && !within) {
        return api_wrong(e, "without TLS only where agent-within says which addresses it has");
    }
    at = url + strlen(m->api_tls ? "https://" : "http://");
    n = strcspn(at, "/");
    place = xstrndup(at, n);
    if (n == 0 || strpbrk(at, "@?# ") != NULL) {
        return api_wrong(e, "no host, or more than host, port and path");
    }
    if (!strchr(place, ':') || (place[0] == '[' && place[n - 1] == ']')) {
        char *with_port = str_fmt("%s:%d", place, m->api_tls ? 443 : 80);

        free(place);
        place = with_port;
    }
    m->api_upstream = str_fmt("%s%s%s", place, within ? "=" : "", within ? within : "");
    n = strlen(at += n);
    while (n > 0 && at[n - 1] == '/') {
        n--;
    }
    m->api_path = xstrndup(at, n);
    return 0;
}

/* ---- all of it ---- */

/* One that cannot be found keeps its name, so that whoever opens it says so. */
char *repo_means_ca(const struct option_set *settings, const char *setting)
{
    const char *path = option_str(settings, setting);
    char *full = path ? realpath(path, NULL) : NULL;

    return full || !path ? full : xstrdup(path);
}

/* A mistake in it is told at the start, not by every scan. */
static int check_rules(const struct option_set *o, const char *rules, struct err *e)
{
    return rules ? rules_check(rules, strlen(rules), option_str(o, "rules-file"), e) : 0;
}

int repo_means_open(const struct option_set *o, struct repo_means *out, struct err *e)
{
    int rc;

    *out = (struct repo_means){
        .self = own_program(),
        .git = find_program(o, "git", "tool-git"),
        .ssh = find_program(o, "ssh", "tool-ssh"),
        .ca_file = repo_means_ca(o, "repo-ca-file"),
        .api_ca_file = repo_means_ca(o, "agent-ca-file"),
        .api_secret = option_str(o, "agent-secret"),
        .api_models = option_str(o, "agent-models"),
        .api_tokens = (uint64_t)option_int(o, "agent-max-tokens"),
        .max_bytes = (uint64_t)option_int(o, "repo-max-mb") << 20,
        .max_files = (uint32_t)option_int(o, "repo-max-files"),
        .local_fd = -1,
    };
    if ((rc = secrets_load(option_str(o, "secrets-dir"), &out->secrets, e)) != 0 ||
        (rc = sarif_engines_load(option_str(o, "engines-file"), &out->declared, e)) != 0 ||
        (rc = read_text(o, "repo-ca-file", &out->ca, e)) != 0 ||
        (rc = read_text(o, "repo-known-hosts", &out->known_hosts, e)) != 0 ||
        (rc = read_text(o, "rules-file", &out->rules, e)) != 0 ||
        (rc = check_rules(o, out->rules, e)) != 0) {
        return rc;
    }
    return read_api(o, out, e);
}

void repo_means_done(struct repo_means *m)
{
    secrets_free(m->secrets);
    sarif_engines_free(m->declared);
    free(m->self);
    free(m->git);
    free(m->ssh);
    free(m->ca);
    free(m->ca_file);
    free(m->api_ca_file);
    free(m->known_hosts);
    free(m->rules);
    free(m->api_upstream);
    free(m->api_path);
    if (m->local_fd >= 0) {
        (void)close(m->local_fd);
    }
    *m = (struct repo_means){.local_fd = -1};
}

bool repo_means_agent(const struct repo_means *m)
{
    return m->api_upstream && m->api_secret && secrets_get(m->secrets, m->api_secret, NULL);
}

bool repo_means_model(const struct repo_means *m, const char *model)
{
    size_t n = strlen(model);

    for (const char *p = m->api_models; p; p = strchr(p, ',')) {
        p += strspn(p, ", ");
        if (strncmp(p, model, n) == 0 && (p[n] == '\0' || p[n] == ',' || p[n] == ' ')) {
            return true;
        }
    }
    return !m->api_models;
}

char *repo_means_default_model(const struct repo_means *m)
{
    const char *first = m->api_models;
    size_t n = first ? strspn(first, ", ") : 0;

    if (repo_means_model(m, AGENT_MODEL) || !first[n]) {
        return xstrdup(AGENT_MODEL);
    }
    return xstrndup(first + n, strcspn(first + n, ", "));
}
