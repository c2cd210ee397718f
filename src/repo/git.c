/*
 * The box of a git command: the repository's directory and what git itself needs. With the network
 * it has that of the outer box, which is empty but for the proxy's listener; without it, nothing.
 */
#include "repo/git.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "box/box.h"
#include "proxy/proxy.h"
#include "repo/git_ssh.h"

enum {
    SAID_MAX = 16 * 1024,
    LINE_MAX_ = 4096,
    PIPE_BYTES = 1 << 20,
    MEMORY_MB = 4096,
    SLACK_MS = 2000, /* after which the box's own init should have kept the time */
    LOW_SPEED_S = 60,
};

/* ---- command line and environment ---- */

/* Problems of old and harmless repositories, and of names that are checked when the tree is written
 * (checkout_tree.c): nothing here makes use of .gitmodules, and no name is taken as it comes. */
static const char *const tolerated[] = {
    "badDateOverflow",
    "badEmail",
    "badName",
    "badTimezone",
    "missingEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "missingNameBeforeEmail",
    "missingTaggerEntry",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
    "badTagName",
    "extraHeaderEntry",
    "badFilemode",
    "nulInCommit",
    "hasDot",
    "hasDotdot",
    "hasDotgit",
    "emptyName",
    "fullPathname",
    "gitmodulesBlob",
    "gitmodulesLarge",
    "gitmodulesMissing",
    "gitmodulesName",
    "gitmodulesParse",
    "gitmodulesPath",
    "gitmodulesSymlink",
    "gitmodulesUpdate",
    "gitmodulesUrl",
    "gitattributesSymlink",
    "gitignoreSymlink",
    "mailmapSymlink",
    "gitattributesBlob",
    "gitattributesLarge",
    "gitattributesLineLength",
    "gitattributesMissing",
};

static const char *const options[] = {
    "protocol.allow=never",
    "protocol.version=2",
    "core.hooksPath=/dev/null",
    "core.symlinks=false",
    "core.fsmonitor=false",
    "core.protectNTFS=true",
    "core.protectHFS=true",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.askPass=/bin/false",
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    "core.quotePath=true",
    "core.fsync=none",
    "core.bigFileThreshold=16m",
    "core.packedGitLimit=512m",
    "transfer.fsckObjects=true",
    "fetch.fsckObjects=true",
    "transfer.bundleURI=false",
    "transfer.unpackLimit=1",
    "fetch.unpackLimit=1",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "fetch.parallel=1",
    "submodule.recurse=false",
    "credential.helper=",
    "credential.interactive=never",
    "http.followRedirects=false",
    "http.sslVerify=true",
    "http.sslVersion=tlsv1.2",
    "http.lowSpeedLimit=100",
    "http.maxRequests=1",
    "gc.auto=0",
    "maintenance.auto=false",
    "pack.threads=1",
    "index.threads=1",
    "pack.windowMemory=64m",
    "diff.renameLimit=2000",
    "safe.bareRepository=explicit",
    "ssh.variant=ssh",
    "advice.detachedHead=false",
};

static bool is_gateway(const struct repo_spec *s)
{
    return s->clone_url && str_starts(s->clone_url, REPO_GATEWAY_URL);
}

static bool is_ssh(const struct repo_spec *s)
{
    return s->clone_url && str_starts(s->clone_url, "ssh://");
}

static const char *protocol(const struct repo_spec *s)
{
    return is_ssh(s) ? "ssh" : is_gateway(s) ? "http" : "https";
}

static void option(struct strvec *argv, const char *text)
{
    strvec_push(argv, "-c");
    strvec_push(argv, text);
}

static void network_options(const struct git *g, struct strvec *argv)
{
    const struct repo_spec *s = g->spec;
    uint32_t slow_s = MAX(1, MIN((uint32_t)LOW_SPEED_S, s->clone_s / 2));
    auto_buf text = {0};

    buf_addf(&text, "protocol.%s.allow=always", protocol(s));
    option(argv, text.data);
    buf_reset(&text);
    buf_addf(&text, "http.lowSpeedTime=%u", slow_s);
    option(argv, text.data);
    buf_reset(&text);
    if (s->proxy && !is_gateway(s)) {
        buf_addf(&text, "http.proxy=http://127.0.0.1:%d", PROXY_PORT);
    } else {
        buf_adds(&text, "http.proxy=");
    }
    option(argv, text.data);
    if (g->ca_file) {
        buf_reset(&text);
        buf_addf(&text, "http.sslCAInfo=%s", g->ca_file);
        option(argv, text.data);
    }
}

static void build_argv(const struct git *g, const struct git_call *c, struct strvec *argv)
{
    strvec_push(argv, g->spec->git);
    strvec_push(argv, "--no-pager");
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        option(argv, options[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(tolerated); i++) {
        strvec_push(argv, "-c");
        strvec_pushf(argv, "fetch.fsck.%s=warn", tolerated[i]);
    }
    if (c->network) {
        network_options(g, argv);
    }
    for (const char *const *a = c->args; *a; a++) {
        strvec_push(argv, *a);
    }
}

static void build_env(const struct git *g, const struct git_call *c, struct strvec *env)
{
    static const char *const fixed[] = {
        "PATH=/usr/bin:/bin",
        "HOME=/nonexistent",
        "LC_ALL=C",
        "TZ=UTC",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_ATTR_NOSYSTEM=1",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_ASKPASS=/bin/false",
        "SSH_ASKPASS=/bin/false",
        "SSH_ASKPASS_REQUIRE=never",
        "GIT_LFS_SKIP_SMUDGE=1",
        "GIT_PROTOCOL_FROM_USER=0",
        "GIT_NO_LAZY_FETCH=1",
        "GIT_NO_REPLACE_OBJECTS=1",
        "GIT_LITERAL_PATHSPECS=1",
        "GIT_OPTIONAL_LOCKS=0",
        "GIT_ADVICE=0",
    };

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        strvec_push(env, fixed[i]);
    }
    strvec_pushf(env, "GIT_DIR=%s", REPO_GIT_DIR);
    /* Instead of protocol.*: a list that no configuration changes. */
    strvec_pushf(env, "GIT_ALLOW_PROTOCOL=%s", c->network ? protocol(g->spec) : "none");
    if (c->network && g->relay) {
        strvec_pushf(env, "GIT_SSH=%s", g->spec->ssh);
        strvec_push(env, "GIT_SSH_VARIANT=ssh");
    }
}

/* ---- what it says ---- */

struct listener {
    const struct git_call *call;
    struct buf line, *said;
    bool skip; /* the rest of a line that is too long */
};

static void hear_line(struct listener *l)
{
    const char *s = l->line.data ? l->line.data : "";
    const char *at = strstr(s, "Receiving objects:");
    const char *percent = at ? strchr(at, '%') : NULL;

    if (percent) {
        const char *digits = percent;

        while (digits > at && digits[-1] >= '0' && digits[-1] <= '9') {
            digits--;
        }
        if (l->call->progress && percent - digits <= 3) {
            l->call->progress(l->call->arg, (unsigned)strtoul(digits, NULL, 10));
        }
    } else if (l->line.len > 0 && !str_starts(s, "remote: ")) {
        buf_add(l->said, s, l->line.len);
        buf_addc(l->said, '\n');
        if (l->said->len > SAID_MAX) {
            buf_drop(l->said, l->said->len - SAID_MAX);
        }
    }
    buf_reset(&l->line);
}

static void hear(struct listener *l, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n' || p[i] == '\r') {
            hear_line(l);
        } else if (l->line.len < LINE_MAX_) {
            buf_addc(&l->line, p[i] ? p[i] : '?');
        }
    }
}

/* ---- running it ---- */

struct running {
    struct box box;
    int out, err; /* our ends; -1 once they are at their end */
    struct listener listener;
    int stopped; /* what the reader of the output returned */
};

/* *ours: non-blocking. */
static bool make_pipe(int *ours, int *theirs)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0) {
        return false;
    }
    (void)fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES); /* smaller is slower, nothing else */
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *ours = ends[0];
    *theirs = ends[1];
    return true;
}

static void read_out(struct running *r, const struct git_call *c, struct err *e)
{
    static char chunk[256 * 1024];
    ssize_t n = read(r->out, chunk, sizeof chunk);

    if (n > 0 && c->out && r->stopped == 0) {
        r->stopped = c->out(c->arg, chunk, (size_t)n, e);
        if (r->stopped) {
            box_kill(&r->box);
        }
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        fd_close(&r->out);
    }
}

static void read_err(struct running *r)
{
    char chunk[8192];
    ssize_t n = read(r->err, chunk, sizeof chunk);

    if (n > 0) {
        hear(&r->listener, chunk, (size_t)n);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        fd_close(&r->err);
    }
}

/* Until the box is gone and everything it wrote is read. */
static void serve(struct git *g, struct running *r, const struct git_call *c, struct err *e)
{
    bool gone = false;

    while (!gone || r->out >= 0 || r->err >= 0) {
        struct pollfd fds[] = {
            {.fd = r->out, .events = POLLIN},
            {.fd = r->err, .events = POLLIN},
            {.fd = gone ? -1 : r->box.pidfd, .events = POLLIN},
            {.fd = gone ? -1 : r->box.report_fd, .events = POLLIN},
        };
        int64_t left_ms = g->deadline_ms + SLACK_MS - boot_ms();

        if (left_ms <= 0) {
            box_kill(&r->box);
            left_ms = SLACK_MS;
        }
        if (poll(fds, ARRAY_LEN(fds), (int)MIN(left_ms, 60 * 1000)) < 0 && errno != EINTR) {
            break;
        }
        if (fds[3].revents) {
            (void)box_poll(&r->box);
        }
        if (fds[0].revents) {
            read_out(r, c, e);
        }
        if (fds[1].revents) {
            read_err(r);
        }
        gone = gone || fds[2].revents;
    }
    hear_line(&r->listener);
}

static int start(struct git *g, const struct git_call *c, struct running *r, struct err *e)
{
    auto_strvec argv = {0}, env = {0};
    auto_fd int out = -1, err = -1;
    struct box_bind binds[2] = {{REPO_GIT_DIR, c->network}};
    struct box_file files[GIT_SSH_FILES];
    uint64_t file_mb = (g->spec->max_bytes >> 20) + 16;
    struct box_spec spec = {
        .in = c->in,
        .net = c->network ? BOX_NET_SHARED : BOX_NET_EMPTY,
        .calls = c->network ? BOX_CALLS_NETWORK : BOX_CALLS_OFFLINE,
        .binds = binds,
        .n_binds = 1,
        .files = files,
        .limits = {.mem_mb = MEMORY_MB,
                   .procs = 64,
                   .file_mb = (uint32_t)MIN(file_mb, (uint64_t)UINT32_MAX)},
        .cgroup_fd = -1,
        .hold_fd = -1,
        .until_ms = &g->deadline_ms,
    };
    int rc;

    if (c->network && g->ca_file && !str_starts(g->ca_file, "/usr/")) {
        binds[spec.n_binds++] = (struct box_bind){.path = g->ca_file};
    }
    if (c->network && g->relay) {
        spec.n_files = git_ssh_files(g->relay, files);
    }
    build_argv(g, c, &argv);
    build_env(g, c, &env);
    spec.argv = argv.v;
    spec.env = env.v;
    if (!make_pipe(&r->out, &out) || !make_pipe(&r->err, &err)) {
        return err_errno(e, "make a pipe");
    }
    spec.out = out;
    spec.err = err;
    rc = box_start(&spec, &r->box, e);
    return rc;
}

void git_end_done(struct git_end *end)
{
    buf_done(&end->said);
}

int git_run(struct git *g, const struct git_call *c, struct git_end *end, struct err *e)
{
    struct git_end now = {.status = -1};
    struct running r = {.out = -1, .err = -1, .listener = {.call = c, .said = &now.said}};
    struct box_end box = {.exit_status = -1};
    int rc;

    if (boot_ms() >= g->deadline_ms) {
        *end = (struct git_end){.status = -1, .late = true};
        return 0;
    }
    rc = start(g, c, &r, e);
    if (rc == 0) {
        serve(g, &r, c, e);
        rc = box_wait(&r.box, &box, e);
        box_done(&r.box);
    }
    fd_close(&r.out);
    fd_close(&r.err);
    buf_done(&r.listener.line);
    if (rc == 0 && !box.started && !box.late && r.stopped == 0) {
        rc = err_set(e, ERR_SANDBOX, "git could not be started in its box: %s: %s", box.step,
                     strerror(box.errnum));
    }
    if (rc != 0 || r.stopped != 0) {
        git_end_done(&now);
        return rc ? rc : r.stopped;
    }
    now.status = box.exit_status;
    now.signal = box.exit_signal;
    now.late = box.late || boot_ms() >= g->deadline_ms;
    *end = now;
    return 0;
}

int git_must(struct git *g, const struct git_call *c, enum checkout_status *status, struct err *e)
{
    struct git_end end = {0};
    int rc = git_run(g, c, &end, e);

    if (rc == 0 && end.status != 0) {
        rc = git_explain(g, &end, status, e);
    }
    git_end_done(&end);
    return rc;
}
