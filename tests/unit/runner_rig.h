/*
 * runner_rig - a daemon in miniature for tests of the runner: what is told, in which order, and
 * that nothing is left behind. At every level that the kernel grants; as root the runner becomes
 * nobody, as in real life.
 */
#pragma once

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "box/box.h"
#include "ipc/record.h"
#include "runner/runner.h"
#include "tap.h"

enum { PATIENCE_MS = 60000, RUNS_MAX = 32 };

static char mark[64];
static enum box_level level_now;
static unsigned without_now; /* what the kernel is said not to have, so that the level is that */

/* Every run's tool has MARK.RUN. as an argument; run 0 stands for all. */
static inline unsigned marked_processes(uint64_t run)
{
    auto_free char *word = run ? str_fmt("%s.%u.", mark, (unsigned)run) : xstrdup(mark);
    DIR *proc = opendir("/proc");
    const struct dirent *row;
    unsigned n = 0;

    while ((row = readdir(proc))) {
        auto_free char *path = str_fmt("/proc/%s/cmdline", row->d_name);
        auto_fd int fd =
            isdigit((unsigned char)row->d_name[0]) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        char text[4096];
        ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text);

        n += len > 0 && memmem(text, (size_t)len, word, strlen(word)) != NULL;
    }
    closedir(proc);
    return n;
}

/* A parser for tests: the whole output becomes the run's arguments; words make it crash or hang. */

struct test_parser {
    const struct parse_sink *sink;
    struct buf text;
};

static inline void *test_new(const struct parse_sink *sink)
{
    struct test_parser *p = xcalloc(1, sizeof *p);

    p->sink = sink;
    p->text.cap = 200000;
    return p;
}

static inline int test_feed(void *arg, const char *data, size_t n, struct err *e)
{
    struct test_parser *p = arg;

    (void)e;
    buf_add(&p->text, data, n);
    if (p->text.data && strstr(p->text.data, "CRASH")) {
        signal(SIGABRT, SIG_DFL);
        abort();
    }
    if (p->text.data && strstr(p->text.data, "HANG")) {
        poll(NULL, 0, -1);
    }
    if (p->text.data && strstr(p->text.data, "SOCKET")) {
        (void)!socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    return 0;
}

static inline int test_finish(void *arg, struct err *e)
{
    struct test_parser *p = arg;
    struct run_info run = {.args = p->text.data, .complete = true};

    return p->sink->run(p->sink->arg, &run, e);
}

static inline void test_free(void *arg)
{
    struct test_parser *p = arg;

    buf_done(&p->text);
    free(p);
}

static const struct parser test_parser = {"test", test_new, test_feed, test_finish, test_free};

/* A daemon in miniature. */

struct seen {
    unsigned started, records_ends, ends;
    unsigned left; /* processes that were there when the end was told */
    bool in_order;
    struct buf records;
    struct runner_end end;
    char *step, *tail, *why;
    struct buf status; /* lines, each with its length in front */
};

struct daemon {
    struct loop *l;
    struct runner *r;
    int pidfd;
    char *work_dir;
    struct seen runs[RUNS_MAX];
    struct sandbox_caps caps;
    unsigned ready, gone, ended, answers;
    struct buf answer;
};

static struct daemon d;

static inline void on_status(void *arg, uint64_t run, const char *line)
{
    (void)arg;
    buf_addf(&d.runs[run].status, "%zu:%.20s;", strlen(line), line);
}

static inline void on_ready(void *arg, const struct sandbox_caps *caps)
{
    (void)arg;
    d.ready++;
    d.caps = *caps;
}

static inline void on_answer(void *arg, uint64_t ask, const char *text, size_t n)
{
    (void)arg;
    d.answers++;
    buf_addf(&d.answer, "%d:", (int)ask);
    buf_add(&d.answer, text, n);
    buf_adds(&d.answer, ";");
}

static inline void on_started(void *arg, uint64_t run)
{
    struct seen *s = &d.runs[run];

    (void)arg;
    s->in_order = s->in_order && !s->started && !s->records.len && !s->records_ends && !s->ends;
    s->started++;
}

static inline void on_records(void *arg, uint64_t run, const void *p, size_t n)
{
    struct seen *s = &d.runs[run];

    (void)arg;
    s->in_order = s->in_order && !s->records_ends && !s->ends && n <= RECORD_MAX;
    buf_add(&s->records, p, n);
}

static inline void on_records_end(void *arg, uint64_t run)
{
    struct seen *s = &d.runs[run];

    (void)arg;
    s->in_order = s->in_order && !s->records_ends && !s->ends;
    s->records_ends++;
}

static inline void on_ended(void *arg, const struct runner_end *end)
{
    struct seen *s = &d.runs[end->run];

    (void)arg;
    s->in_order = s->in_order && s->records_ends == 1 && !s->ends && s->started == end->started;
    s->ends++;
    s->left = marked_processes(end->run);
    s->end = *end;
    s->step = xstrdup(end->step);
    s->tail = xstrdup(end->stderr_tail);
    s->why = xstrdup(end->why);
    d.ended++;
}

static inline void on_gone(void *arg)
{
    (void)arg;
    d.gone++;
}

static inline void make_work_dir(void)
{
    static unsigned count;

    d.work_dir = str_fmt("%s/work-%d-%u", test_dir(), getpid(), ++count);
    CHECK_INT(mkdir(d.work_dir, 0700), 0);
    if (geteuid() == 0) {
        CHECK_INT(chmod(test_dir(), 0755), 0);
        CHECK_INT(chown(d.work_dir, 65534, 65534), 0);
    }
}

static inline void turn(void);

static inline void daemon_start_with(struct runner_config c)
{
    static const struct runner_events events = {.ready = on_ready,
                                                .answer = on_answer,
                                                .started = on_started,
                                                .status = on_status,
                                                .records = on_records,
                                                .records_end = on_records_end,
                                                .ended = on_ended,
                                                .gone = on_gone};
    const struct box_bind bind = {.path = test_dir()}; /* where the stand-in is */
    static unsigned count;
    int fd;

    d = (struct daemon){.pidfd = -1};
    make_work_dir();
    c.change_user = geteuid() == 0;
    c.uid = c.gid = 65534;
    c.hold_fd = -1;
    c.parser_idle_ms = c.parser_idle_ms ? c.parser_idle_ms : 200;
    c.work_dir = d.work_dir;
    c.binds = &bind;
    c.n_binds = 1;
    c.without |= without_now;
    snprintf(mark, sizeof mark, "runner-test-%d-%u-end", getpid(), ++count);
    runner_add_parser(&test_parser);
    CHECK_OK(runner_spawn(&c, &fd, &d.pidfd, ERR));
    CHECK_OK(loop_new(&d.l, ERR));
    CHECK_OK(runner_connect(d.l, fd, &events, &d.r, ERR));
    for (int i = 0; i < RUNS_MAX; i++) {
        d.runs[i].in_order = true;
    }
    while (!d.ready) {
        turn();
    }
}

static inline void daemon_start(void)
{
    daemon_start_with((struct runner_config){.netd_fd = -1});
}

static inline void turn(void)
{
    int64_t before = boot_ms();

    CHECK_OK(loop_turn(d.l, PATIENCE_MS, ERR));
    CHECK(boot_ms() - before < PATIENCE_MS);
}

static inline unsigned entries(const char *dir)
{
    DIR *h = opendir(dir);
    const struct dirent *row;
    unsigned n = 0;

    while ((row = readdir(h))) {
        n += row->d_name[0] != '.';
    }
    closedir(h);
    return n;
}

static inline void await_runner_end(void)
{
    struct pollfd p = {.fd = d.pidfd, .events = POLLIN};
    siginfo_t info;

    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1);
    CHECK_INT(waitid((idtype_t)P_PIDFD, (id_t)d.pidfd, &info, WEXITED), 0);
    fd_close(&d.pidfd);
}

static inline void daemon_free(void)
{
    runner_free(d.r);
    loop_free(d.l);
    free(d.work_dir);
    for (int i = 0; i < RUNS_MAX; i++) {
        buf_done(&d.runs[i].records);
        buf_done(&d.runs[i].status);
        free(d.runs[i].step);
        free(d.runs[i].tail);
        free(d.runs[i].why);
    }
    buf_done(&d.answer);
}

/* The end of every test: nothing is left, and the runner ends in order. */
static inline void daemon_stop(void)
{
    CHECK_INT(marked_processes(0), 0);
    runner_free(d.r);
    d.r = NULL;
    await_runner_end();
    CHECK_INT(entries(d.work_dir), 0);
    daemon_free();
}

static inline int launch_as(struct runner_launch *l, const char *program, const char *what,
                            const char *arg)
{
    auto_strvec argv = {0};

    strvec_push(&argv, program);
    strvec_pushf(&argv, "%s.%u.", mark, (unsigned)l->run);
    strvec_push(&argv, what);
    strvec_push(&argv, arg);
    l->argv = &argv;
    if (!l->parser) {
        l->parser = "test";
        l->blob_fd = -1;
    }
    l->input_fd = -1;
    if (!d.caps.usable[EGRESS_NONE] && l->egress == EGRESS_NONE) {
        l->egress = EGRESS_BROKER;
    }
    if (!l->output_max) {
        l->output_max = UINT64_MAX;
    }
    return runner_launch(d.r, l, ERR);
}

static inline void launch(struct runner_launch l, const char *what, const char *arg)
{
    CHECK_OK(launch_as(&l, test_standin(), what, arg));
}

static const struct seen *finish(uint64_t run)
{
    struct seen *s = &d.runs[run];

    while (!s->ends) {
        turn();
    }
    CHECK(s->in_order);
    CHECK_INT(s->left, 0);
    return s;
}

/* What the records say. */
struct story {
    unsigned hosts, ports;
    char *args;
    struct raw_info raw;
    int end_code;
    bool complete;
};

static inline int hear_host(void *arg, const struct host *h, struct err *e)
{
    (void)h;
    (void)e;
    ((struct story *)arg)->hosts++;
    return 0;
}

static inline int hear_port(void *arg, const struct port *p, struct err *e)
{
    (void)p;
    (void)e;
    ((struct story *)arg)->ports++;
    return 0;
}

static inline int hear_run(void *arg, const struct run_info *r, struct err *e)
{
    struct story *st = arg;

    (void)e;
    st->args = xstrdup(r->args);
    st->complete = r->complete;
    return 0;
}

static inline int hear_raw(void *arg, const struct raw_info *r, struct err *e)
{
    (void)e;
    ((struct story *)arg)->raw = *r;
    return 0;
}

static inline int hear_end(void *arg, const struct parse_end *end, struct err *e)
{
    (void)e;
    ((struct story *)arg)->end_code = end->code;
    return 0;
}

/* False: the stream has no end. Free st->args. */
static inline bool read_story(const struct seen *s, struct story *st)
{
    static const struct record_sink sink = {
        .host = hear_host, .port = hear_port, .run = hear_run, .raw = hear_raw, .end = hear_end};
    struct record_reader r = {.sink = &sink, .arg = st};
    bool ended;

    *st = (struct story){0};
    CHECK_OK(record_feed(&r, s->records.data, s->records.len, ERR));
    ended = r.ended;
    record_reader_done(&r);
    return ended;
}

/* Whether a runner comes up at that level when the kernel lacks what the better ones need. */
static inline bool level_works(enum box_level level)
{
    static const unsigned without[] = {0, BOX_WITHOUT_USERNS,
                                       BOX_WITHOUT_USERNS | BOX_WITHOUT_PRIVILEGE};
    bool works;

    level_now = level;
    without_now = without[level];
    daemon_start();
    works = str_eq(d.caps.box, box_level_name(level));
    daemon_stop();
    return works;
}

static inline void each_level(void (*test)(void))
{
    unsigned done = 0;
    auto_buf missing = {0};

    for (int l = BOX_USERNS; l <= BOX_PLAIN; l++) {
        if (level_works((enum box_level)l)) {
            test();
            done++;
        } else {
            buf_addf(&missing, " %s", box_level_name((enum box_level)l));
        }
    }
    without_now = 0;
    if (missing.len && str_eq(getenv("SCANPOD_MUST_SANDBOX"), "1")) {
        tap_fail(__FILE__, __LINE__, "levels that do not work here:%s", missing.data);
    }
    if (done == 0) {
        tap_skip("no level works here");
    }
}

static inline char *write_test_file(const char *name, const char *text)
{
    char *path = str_fmt("%s/%s", test_dir(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    CHECK_INT(write(fd, text, strlen(text)), strlen(text));
    CHECK_INT(fchmod(fd, 0644), 0);
    close(fd);
    CHECK_INT(chmod(test_dir(), 0755), 0);
    return path;
}
