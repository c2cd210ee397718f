#include "repo/start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/sarif.h"
#include "repo/spec.h"

enum {
    OUTPUT_MB = 64,
    WALL_S = 600,
    GRACE_MS = 2000,     /* between TERM and KILL, and between KILL and the next one */
    GRACE_LAST_MS = 500, /* the same when the time of the whole scan is up */
    BINDS_MAX = 32,
    FILES_MAX = 16,
};

/* A sanitizer's shadow is larger than any limit of address space. */
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

/* What the box is made of, until it is started. */
struct making {
    const struct start_ask *ask;
    struct strvec argv, env;
    struct buf list, input;
    struct box_bind binds[BINDS_MAX];
    size_t n_binds;
    struct box_file files[FILES_MAX];
    size_t n_files;
};

static void making_done(struct making *m)
{
    strvec_done(&m->argv);
    strvec_done(&m->env);
    buf_done(&m->list);
    buf_done(&m->input);
}

static int add_bind(struct making *m, const struct box_bind *b, struct err *e)
{
    if (m->n_binds == BINDS_MAX) {
        return err_set(e, ERR_LIMIT, "more than %d paths to be shown", BINDS_MAX);
    }
    m->binds[m->n_binds++] = *b;
    return 0;
}

static int add_file(struct making *m, const char *path, const char *text, size_t n, struct err *e)
{
    if (m->n_files == FILES_MAX) {
        return err_set(e, ERR_LIMIT, "more than %d files to be written", FILES_MAX);
    }
    m->files[m->n_files++] = (struct box_file){.path = path, .text = text, .n = n};
    return 0;
}

/* A built-in engine is our own program; it is told the language, too. */
static void list_files(struct making *m)
{
    const struct engine_ask *ask = &m->ask->ask;

    for (size_t i = 0; i < ask->n_files; i++) {
        const struct engine_file *f = &ask->files[i];

        if (m->ask->engine->built_in) {
            buf_addf(&m->list, "%u ", f->language);
        }
        buf_addf(&m->list, "%s\n", f->path);
    }
}

static int make_argv(struct making *m, struct err *e)
{
    const struct engine *en = m->ask->engine;

    if (en->built_in) {
        strvec_push(&m->argv, m->ask->self);
        strvec_push(&m->argv, "repo-box");
        strvec_push(&m->argv, "--engine");
        strvec_push(&m->argv, en->tool.name);
        return 0;
    }
    return en->build_argv(&m->ask->ask, &m->argv, e);
}

static void make_env(struct making *m)
{
    static const char *const base[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp",
                                       "TMPDIR=/tmp", "LC_ALL=C.UTF-8", "TZ=UTC"};

    for (size_t i = 0; i < ARRAY_LEN(base); i++) {
        strvec_push(&m->env, base[i]);
    }
    for (const char *const *v = m->ask->engine->env; v && *v; v++) {
        strvec_push(&m->env, *v);
    }
}

static int make_files(struct making *m, struct err *e)
{
    static const char hosts[] = "127.0.0.1 localhost\n::1 localhost\n";
    static const char names[] = "passwd: files\ngroup: files\nhosts: files\n";
    const struct engine *en = m->ask->engine;
    int rc = add_file(m, START_LIST, m->list.data, m->list.len, e);

    for (const struct engine_input *in = en->inputs; rc == 0 && in && in->path; in++) {
        rc = add_file(m, in->path, in->text, strlen(in->text), e);
    }
    if (rc == 0 && en->network) {
        rc = add_file(m, "/etc/hosts", hosts, sizeof hosts - 1, e);
    }
    if (rc == 0 && en->network) {
        rc = add_file(m, "/etc/nsswitch.conf", names, sizeof names - 1, e);
    }
    return rc;
}

static int make_binds(struct making *m, const struct start *s, struct err *e)
{
    const struct start_ask *ask = m->ask;
    int rc = add_bind(m, &(struct box_bind){.path = ENGINE_TREE, .from = ask->tree}, e);

    if (rc == 0 && s->file) {
        rc = add_bind(
            m, &(struct box_bind){.path = ask->engine->output, .from = s->file, .write = true}, e);
    }
    if (rc == 0 && ask->engine->built_in && access(REPO_RULES_FILE, R_OK) == 0) {
        rc = add_bind(m, &(struct box_bind){.path = REPO_RULES_FILE}, e);
    }
    if (rc == 0 && ask->ask.declared) {
        for (const char *const *p = sarif_engine_paths(ask->engine); rc == 0 && p && *p; p++) {
            rc = add_bind(m, &(struct box_bind){.path = *p}, e);
        }
    }
    return rc;
}

static int make_memory(const char *name, int *fd, struct err *e)
{
    *fd = memfd_create(name, MFD_CLOEXEC);
    return *fd < 0 ? err_errno(e, "memory for the engine's output") : 0;
}

static int make_outputs(struct start *s, const struct start_ask *ask, struct err *e)
{
    int rc = make_memory("out", &s->out_fd, e);

    if (rc == 0) {
        rc = make_memory("err", &s->err_fd, e);
    }
    if (rc == 0 && ask->engine->output) {
        s->file = str_fmt("%s/%u", ask->work, ask->number);
        s->file_fd = open(s->file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (s->file_fd < 0) {
            rc = err_errno(e, "make the engine's output file");
        }
    }
    return rc;
}

static int make_input(struct making *m, int *fd, struct err *e)
{
    const struct engine *en = m->ask->engine;
    int rc;

    if (!en->build_input) {
        return 0;
    }
    rc = en->build_input(&m->ask->ask, &m->input, e);
    if (rc == 0) {
        rc = make_memory("in", fd, e);
    }
    if (rc == 0 && m->input.len > 0 &&
        (write(*fd, m->input.data, m->input.len) != (ssize_t)m->input.len ||
         lseek(*fd, 0, SEEK_SET) != 0)) {
        rc = err_errno(e, "write the engine's input");
    }
    return rc;
}

static void set_times(struct start *s, const struct start_ask *ask)
{
    const struct engine *en = ask->engine;
    uint64_t seconds = en->tool.limits.wall_s ? en->tool.limits.wall_s : WALL_S;
    int64_t own;

    seconds += (uint64_t)en->per_file_s * ask->ask.n_files;
    s->seconds = (uint32_t)MIN(seconds, (uint64_t)UINT32_MAX / 2);
    s->begun_ms = s->grown_ms = boot_ms();
    own = s->begun_ms + (int64_t)s->seconds * 1000;
    s->by_all = ask->until_ms < own;
    s->until_ms = MIN(own, ask->until_ms);
    s->all_until_ms = ask->until_ms;
    s->stall_s = ask->stall_s;
}

static int launch(struct making *m, struct start *s, struct err *e)
{
    const struct engine *en = m->ask->engine;
    const struct limits *l = &en->tool.limits;
    auto_fd int in = -1;
    struct box_spec spec = {.start = ENGINE_TREE, .cgroup_fd = -1, .hold_fd = -1};
    int rc = make_input(m, &in, e);

    if (rc != 0) {
        return rc;
    }
    spec.argv = m->argv.v;
    spec.env = m->env.v;
    spec.in = in;
    spec.out = s->out_fd;
    spec.err = s->err_fd;
    spec.net = en->network ? BOX_NET_SHARED : BOX_NET_EMPTY;
    spec.calls = en->network ? BOX_CALLS_AGENT : BOX_CALLS_OFFLINE;
    spec.binds = m->binds;
    spec.n_binds = m->n_binds;
    spec.files = m->files;
    spec.n_files = m->n_files;
    spec.limits = (struct box_limits){
        .cpu_s = l->cpu_s,
        .mem_mb = en->built_in && UNDER_ASAN ? 0 : l->memory_mb,
        .procs = l->processes,
        .file_mb = l->file_mb ? l->file_mb : (uint32_t)(s->out_max >> 20) + 1,
        .disk_mb = l->disk_mb,
        .inodes = l->inodes,
        .files = en->tool.files,
    };
    rc = box_start(&spec, &s->box, e);
    s->boxed = rc == 0;
    return rc;
}

int start_begin(const struct start_ask *ask, struct start *out, struct err *e)
{
    struct making m = {.ask = ask};
    struct start s = {.engine = ask->engine, .out_fd = -1, .err_fd = -1, .file_fd = -1};
    uint32_t mb = ask->engine->tool.limits.output_mb;
    int rc;

    s.out_max = (uint64_t)(mb ? mb : OUTPUT_MB) << 20;
    list_files(&m);
    make_env(&m);
    rc = make_argv(&m, e);
    if (rc == 0) {
        rc = make_files(&m, e);
    }
    if (rc == 0) {
        rc = make_outputs(&s, ask, e);
    }
    if (rc == 0) {
        rc = make_binds(&m, &s, e);
    }
    if (rc == 0) {
        set_times(&s, ask);
        rc = launch(&m, &s, e);
    }
    making_done(&m);
    *out = s;
    if (rc != 0) {
        start_done(out);
    }
    return rc;
}

static uint64_t size_of(int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static bool is_over(const struct start *s)
{
    struct pollfd p = {.fd = s->box.pidfd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

void start_stop(struct start *s, enum start_cut cut)
{
    int64_t now = boot_ms();
    int64_t grace = now >= s->all_until_ms ? GRACE_LAST_MS : GRACE_MS;

    if (s->cut == CUT_NONE) {
        s->cut = cut;
        s->ending_ms = now;
        box_terminate(&s->box);
    } else if (now - s->ending_ms >= grace) {
        s->ending_ms = now;
        box_kill(&s->box);
    }
}

/* What has become too much, if anything. */
static enum start_cut watch(struct start *s)
{
    uint64_t size = size_of(s->out_fd) + size_of(s->err_fd) + size_of(s->file_fd);
    int64_t now = boot_ms();

    if (size != s->out_seen) {
        s->out_seen = size;
        s->grown_ms = now;
    }
    if (size > s->out_max) {
        return CUT_OUTPUT;
    }
    if (now >= s->until_ms) {
        return s->by_all ? CUT_ALL : CUT_TIME;
    }
    return s->stall_s && now - s->grown_ms >= (int64_t)s->stall_s * 1000 ? CUT_STALL : CUT_NONE;
}

bool start_tick(struct start *s)
{
    enum start_cut cut;

    (void)box_poll(&s->box);
    if (is_over(s)) {
        s->boxed = false;
        if (box_wait(&s->box, &s->end, NULL) != 0) {
            s->end = (struct box_end){.errnum = ECHILD, .step = "wait", .exit_status = -1};
        }
        box_done(&s->box);
        if (s->cut == CUT_NONE && watch(s) == CUT_OUTPUT) {
            s->cut = CUT_OUTPUT;
        }
        return true;
    }
    cut = watch(s);
    if (s->cut != CUT_NONE || cut != CUT_NONE) {
        start_stop(s, cut);
    }
    return false;
}

static void say_end(const struct start *s, struct buf *why)
{
    const struct box_end *end = &s->end;

    if (!end->started) {
        buf_addf(why, "could not be started: %s: %s", end->step, strerror(end->errnum));
    } else if (end->disk_full || end->inodes_full) {
        buf_adds(why, "filled its /tmp");
    } else if (end->exit_signal == SIGXCPU) {
        buf_adds(why, "used more CPU time than it may");
    } else if (end->exit_signal == SIGXFSZ) {
        buf_adds(why, "wrote a file that is larger than it may be");
    } else if (end->exit_signal) {
        buf_addf(why, "was ended by signal %d (%s)", end->exit_signal, strsignal(end->exit_signal));
    }
}

bool start_failed(const struct start *s, struct buf *why)
{
    size_t before = why->len;

    switch (s->cut) {
    case CUT_TIME:
        buf_addf(why, "took longer than %u s", s->seconds);
        break;
    case CUT_ALL:
        buf_adds(why, "was not done when the time of the whole scan was up");
        break;
    case CUT_STALL:
        buf_addf(why, "wrote nothing for %u s", s->stall_s);
        break;
    case CUT_OUTPUT:
        buf_addf(why, "wrote more than %u MiB", (unsigned)(s->out_max >> 20));
        break;
    default:
        say_end(s, why);
        break;
    }
    return why->len > before;
}

void start_done(struct start *s)
{
    if (s->boxed) {
        s->box.asked = true; /* no time for manners */
        box_kill(&s->box);
        (void)box_wait(&s->box, &s->end, NULL);
        box_done(&s->box);
    }
    fd_close(&s->out_fd);
    fd_close(&s->err_fd);
    fd_close(&s->file_fd);
    if (s->file) {
        (void)unlink(s->file);
    }
    free(s->file);
    *s = (struct start){.out_fd = -1, .err_fd = -1, .file_fd = -1};
}
