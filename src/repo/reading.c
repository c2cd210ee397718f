#include "repo/reading.h"
#include "parse/json_seed.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "box/close_fds.h"
#include "box/seccomp.h"
#include "engine/sarif.h"

enum {
    FLUSH_AT = 64 << 10,
    READ_MAX_S = 300,
    MEMORY_MAX_MB = 4096,
    NOTES_MAX = 64 << 20,
    WHY_MAX = 400,
    CHUNK = 64 << 10
};

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

/* ---- what an engine wrote, as memory ---- */

struct mapping {
    const char *text;
    size_t n;
};

static int map_fd(int fd, struct mapping *m, struct err *e)
{
    struct stat st;
    void *p;

    *m = (struct mapping){.text = ""};
    if (fd < 0) {
        return 0;
    }
    if (fstat(fd, &st) < 0) {
        return err_errno(e, "look at the engine's output");
    }
    if (st.st_size == 0) {
        return 0;
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        return err_errno(e, "map the engine's output");
    }
    *m = (struct mapping){.text = p, .n = (size_t)st.st_size};
    return 0;
}

static void unmap(struct mapping *m)
{
    if (m->n > 0) {
        munmap((void *)(uintptr_t)m->text, m->n);
    }
}

/* ---- the child ---- */

struct child {
    const struct engine *engine;
    int fd, notes_fd;
    struct buf records;
};

static void child_limit(int which, rlim_t max)
{
    struct rlimit l = {max, max};

    (void)setrlimit(which, &l);
}

static void child_confine(struct child *c)
{
    int keep[] = {STDERR_FILENO, c->fd, c->notes_fd};
    struct err e = {0};

    prctl(PR_SET_NAME, "scanpod-parse", 0, 0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || !close_all_but(keep, ARRAY_LEN(keep))) {
        _exit(1);
    }
    child_limit(RLIMIT_CORE, 0);
    child_limit(RLIMIT_CPU, READ_MAX_S);
    if (!UNDER_ASAN) {
        child_limit(RLIMIT_AS, (rlim_t)MEMORY_MAX_MB << 20);
    }
    signal(SIGPIPE, SIG_IGN);
    json_seed();
    if (seccomp_role(ROLE_PARSER, &e) != 0) {
        _exit(1);
    }
}

static void child_write(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);

        if (k < 0 && errno != EINTR) {
            _exit(1);
        }
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
}

static int child_finding(void *arg, const struct finding *f, struct err *e)
{
    struct child *c = arg;

    (void)e;
    record_put_finding(&c->records, f);
    if (c->records.len >= FLUSH_AT) {
        child_write(c->fd, c->records.data, c->records.len);
        buf_reset(&c->records);
    }
    return 0;
}

static void child_notes(struct child *c, const struct engine_notes *notes)
{
    auto_buf text = {0};
    struct json j = json_to(&text);

    json_obj(&j);
    json_str(&j, "why", notes->why);
    json_bool(&j, "cut", notes->cut);
    json_strn(&j, "more", notes->more.data ? notes->more.data : "", notes->more.len);
    json_arr_in(&j, "failed");
    for (size_t i = 0; i < notes->failed.n; i++) {
        json_str(&j, NULL, notes->failed.v[i]);
    }
    json_end(&j);
    json_end(&j);
    child_write(c->notes_fd, text.data, text.len);
}

static _Noreturn void child_run(struct child *c, const struct engine_end *end)
{
    struct engine_notes notes = {0};
    struct parse_end last = {0};
    struct err e = {0};

    child_confine(c);
    last.code = c->engine->read(end, child_finding, c, &notes, &e);
    last.message = last.code != 0 ? e.msg : NULL;
    child_notes(c, &notes);
    record_put_end(&c->records, &last);
    child_write(c->fd, c->records.data, c->records.len);
    _exit(0);
}

/* ---- the other side ---- */

static int on_finding(void *arg, const struct finding *f, struct err *e)
{
    struct reading *r = arg;

    (void)e;
    haul_add(&r->haul, f);
    return 0;
}

/* A built-in engine's "PATH\tREASON". */
static int on_progress(void *arg, const struct progress *p, struct err *e)
{
    struct reading *r = arg;

    (void)e;
    if (p->task) {
        strvec_push(&r->failed, p->task);
    }
    return 0;
}

static void set_why(struct reading *r, int code, const char *text)
{
    r->code = r->code ? r->code : code;
    if (!r->why) {
        r->why = xstrndup(text, MIN(strlen(text), (size_t)WHY_MAX));
    }
}

static int on_end(void *arg, const struct parse_end *end, struct err *e)
{
    struct reading *r = arg;

    (void)e;
    r->ended = true;
    if (end->code != 0) {
        set_why(r, end->code, end->message ? end->message : err_name(end->code));
    }
    return 0;
}

static const struct record_sink sink = {
    .finding = on_finding, .progress = on_progress, .end = on_end};

static void feed(struct reading *r, const char *p, size_t n)
{
    struct err e = {0};

    if (record_feed(&r->records, p, n, &e) != 0) {
        set_why(r, ERR_TOOL, e.msg);
    }
}

static void take_notes(struct reading *r)
{
    struct mapping m;
    json_t *doc;
    const char *s;
    size_t i;
    json_t *at;

    if (map_fd(r->notes_fd, &m, NULL) != 0 || m.n > NOTES_MAX) {
        set_why(r, ERR_TOOL, "its notes could not be read");
        return;
    }
    doc = json_loadb(m.text, m.n, 0, NULL);
    unmap(&m);
    if (!doc) {
        set_why(r, ERR_TOOL, "its reader broke off");
        return;
    }
    s = json_string_value(json_object_get(doc, "why"));
    if (s && *s) {
        free(r->why); /* the reader's own words before the error's */
        r->why = xstrndup(s, strnlen(s, WHY_MAX));
    }
    if (json_is_true(json_object_get(doc, "cut"))) {
        set_why(r, ERR_TOOL, "its output ends too early");
        r->code = r->code ? r->code : ERR_TOOL;
    }
    s = json_string_value(json_object_get(doc, "more"));
    buf_adds(&r->more, s ? s : "");
    json_array_foreach(json_object_get(doc, "failed"), i, at)
    {
        if (json_is_string(at)) {
            strvec_push(&r->failed, json_string_value(at));
        }
    }
    json_decref(doc);
}

/* Its own program's output needs no other process. */
static void read_built_in(const struct start *s, struct reading *r)
{
    struct mapping m;
    struct err e = {0};

    if (map_fd(s->out_fd, &m, &e) != 0) {
        set_why(r, e.code, e.msg);
        return;
    }
    feed(r, m.text, m.n);
    unmap(&m);
    if (!r->ended) {
        set_why(r, ERR_TOOL, "its output ends too early");
    }
}

static int begin_child(const struct start *s, struct reading *r, struct err *e)
{
    struct mapping out, err;
    struct engine_end end = {.exit_status = s->end.exit_status,
                             .exit_signal = s->end.exit_signal,
                             .cut = s->cut == CUT_OUTPUT,
                             .declared = sarif_engine_of(s->engine)};
    int pair[2];
    int rc = map_fd(s->engine->output ? s->file_fd : s->out_fd, &out, e);

    if (rc != 0) {
        return rc;
    }
    rc = map_fd(s->err_fd, &err, e);
    if (rc != 0) {
        unmap(&out);
        return rc;
    }
    r->notes_fd = memfd_create("notes", MFD_CLOEXEC);
    if (r->notes_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        rc = err_errno(e, "prepare to read the engine's output");
    } else {
        end.out = out.text;
        end.n_out = out.n;
        end.err = err.text;
        end.n_err = err.n;
        r->pid = fork();
        if (r->pid == 0) {
            struct child c = {.engine = s->engine, .fd = pair[1], .notes_fd = r->notes_fd};

            child_run(&c, &end);
        }
        close(pair[1]);
        r->fd = pair[0];
        if (r->pid < 0) {
            rc = err_errno(e, "fork to read the engine's output");
        } else if (fcntl(r->fd, F_SETFL, O_NONBLOCK) < 0) {
            rc = err_errno(e, "read the engine's output");
        }
    }
    unmap(&out);
    unmap(&err);
    return rc;
}

int reading_begin(const struct start *s, struct reading *out, struct err *e)
{
    int rc = 0;

    *out = (struct reading){.pid = -1, .fd = -1, .notes_fd = -1};
    out->until_ms = boot_ms() + READ_MAX_S * INT64_C(1000);
    out->records.sink = &sink;
    out->records.arg = out;
    if (s->engine->built_in) {
        read_built_in(s, out);
    } else {
        rc = begin_child(s, out, e);
    }
    if (rc != 0) {
        reading_done(out);
    }
    return rc;
}

static void end_child(struct reading *r)
{
    int status;

    fd_close(&r->fd);
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR) {
    }
    r->pid = -1;
    if (r->ended) {
        r->late = false;
        take_notes(r);
    } else {
        set_why(r, ERR_TOOL,
                r->late ? "its output took too long to be read"
                        : "its output made its reader fail");
    }
}

bool reading_tick(struct reading *r)
{
    auto_free char *chunk = NULL;

    if (r->fd < 0) {
        return true;
    }
    r->records.arg = r; /* it may have been moved */
    chunk = xmalloc(CHUNK);
    for (;;) {
        ssize_t n = read(r->fd, chunk, CHUNK);

        if (n > 0) {
            feed(r, chunk, (size_t)n);
        } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            end_child(r);
            return true;
        } else if (errno == EAGAIN) {
            break;
        }
    }
    if (boot_ms() >= r->until_ms) {
        r->late = true;
        kill(r->pid, SIGKILL);
    }
    return false;
}

void reading_done(struct reading *r)
{
    if (r->pid > 0) {
        kill(r->pid, SIGKILL);
        (void)waitpid(r->pid, NULL, 0);
    }
    fd_close(&r->fd);
    fd_close(&r->notes_fd);
    record_reader_done(&r->records);
    haul_done(&r->haul);
    strvec_done(&r->failed);
    buf_done(&r->more);
    free(r->why);
    *r = (struct reading){.pid = -1, .fd = -1, .notes_fd = -1};
}
