/*
 * Boxes at every level that the kernel grants: what a tool is given, and that nothing of it is
 * left when its pidfd says so.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "box/box.h"
#include "tap.h"

enum { PATIENCE_MS = 30000 };

static char mark[64];

/* How many processes carry our mark as an argument. */
static unsigned marked_processes(void)
{
    DIR *proc = opendir("/proc");
    const struct dirent *row;
    unsigned n = 0;

    while ((row = readdir(proc))) {
        auto_free char *path = str_fmt("/proc/%s/cmdline", row->d_name);
        auto_fd int fd =
            isdigit((unsigned char)row->d_name[0]) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        char text[4096];
        ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text);

        n += len > 0 && memmem(text, (size_t)len, mark, strlen(mark)) != NULL;
    }
    closedir(proc);
    return n;
}

struct run {
    struct box box;
    struct box_end end;
    int out; /* its stdout, our end */
    struct buf text;
};

/* A fresh mark for every run, so that a leak is counted where it happened. */
static void start_spec(struct run *r, struct box_spec *spec)
{
    static unsigned count;
    int fds[2];

    snprintf(mark, sizeof mark, "box-test-%d-%u-end", getpid(), ++count);

    *r = (struct run){.out = -1};
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    spec->out = fds[1];
    r->out = fds[0];
    CHECK_OK(box_start(spec, &r->box, ERR));
    close(fds[1]);
}

static void start(struct run *r, const char *what, const char *arg)
{
    char *argv[] = {xstrdup(test_standin()), mark, xstrdup(what), xstrdup(arg), NULL};
    char *env[] = {NULL};
    struct box_spec spec = {.argv = argv, .env = env, .in = -1, .err = -1, .hold_fd = -1};

    start_spec(r, &spec);
    free(argv[0]);
    free(argv[2]);
    free(argv[3]);
}

/* The tool's first word, and init's, which may come after it. */
static void await_ready(struct run *r)
{
    struct pollfd p = {.fd = r->box.report_fd, .events = POLLIN};
    char byte = 0;

    CHECK_INT(read(r->out, &byte, 1), 1);
    CHECK_INT(byte, '!');
    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1);
    CHECK(box_poll(&r->box));
}

static void finish(struct run *r)
{
    struct pollfd p = {.fd = r->box.pidfd, .events = POLLIN};
    char chunk[4096];
    ssize_t n;

    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1);
    CHECK_INT(marked_processes(), 0); /* before anybody reaped anything */
    CHECK_OK(box_wait(&r->box, &r->end, ERR));
    box_done(&r->box);
    while ((n = read(r->out, chunk, sizeof chunk)) > 0) {
        buf_add(&r->text, chunk, (size_t)n);
    }
    fd_close(&r->out);
}

static void each_level(void (*test)(enum box_level level))
{
    unsigned done = 0;
    auto_buf missing = {0};

    for (int l = BOX_PIDNS; l <= BOX_SUBREAPER; l++) {
        if (box_force_level((enum box_level)l)) {
            test((enum box_level)l);
            done++;
        } else {
            buf_addf(&missing, " %s", box_level_name((enum box_level)l));
        }
    }
    if (missing.len && str_eq(getenv("SCANPOD_MUST_SANDBOX"), "1")) {
        tap_fail(__FILE__, __LINE__, "levels that do not work here:%s", missing.data);
    }
    if (done == 0) {
        tap_skip("no level works here");
    }
}

static void exits(enum box_level level)
{
    struct run r;

    start(&r, "exit", "3");
    CHECK_STR(r.box.level, box_level_name(level));
    finish(&r);
    CHECK(r.end.started);
    CHECK_INT(r.end.exit_status, 3);
    CHECK_INT(r.end.exit_signal, 0);
    CHECK(r.end.cpu_us > 0);
    CHECK(r.end.max_rss_kb > 0);
}

static void an_exit_status_is_told_with_what_it_used(void)
{
    each_level(exits);
}

static void crashes(enum box_level level)
{
    struct run r;

    (void)level;
    start(&r, "crash", "");
    finish(&r);
    CHECK(r.end.started);
    CHECK_INT(r.end.exit_status, -1);
    CHECK_INT(r.end.exit_signal, SIGSEGV);
}

static void a_crash_is_told_as_its_signal(void)
{
    each_level(crashes);
}

static void cannot_start(enum box_level level)
{
    char program[] = "/nonexistent/scanner";
    char no_dir[] = "/nonexistent";
    char *argv[] = {program, NULL};
    char *shown[] = {xstrdup(test_standin()), NULL};
    char *env[] = {NULL};
    struct box_spec spec = {.argv = argv, .env = env, .in = -1, .err = -1, .hold_fd = -1};
    struct run r;

    (void)level;
    start_spec(&r, &spec);
    finish(&r);
    CHECK(!r.end.started);
    CHECK_STR(r.end.step, "exec");
    CHECK_INT(r.end.errnum, ENOENT);

    spec.argv = shown;
    spec.dir = no_dir;
    start_spec(&r, &spec);
    finish(&r);
    CHECK(!r.end.started);
    CHECK_STR(r.end.step, "chdir");
    free(shown[0]);
}

static void not_started_is_told_apart_from_started_and_failed(void)
{
    each_level(cannot_start);
}

static void check_line(const struct run *r, const char *line)
{
    auto_free char *whole = str_fmt("\n%s\n", line);
    auto_free char *text = str_fmt("\n%s", r->text.data);

    if (!strstr(text, whole)) {
        tap_fail(__FILE__, __LINE__, "no line '%s' in: %s", line, text);
    }
}

static void is_given_little(enum box_level level)
{
    char *argv[] = {xstrdup(test_standin()), mark, xstrdup("show"), NULL};
    char *env[] = {xstrdup("ONLY=this"), NULL};
    char *dir = realpath(test_dir(), NULL);
    struct box_spec spec = {
        .argv = argv,
        .env = env,
        .dir = dir,
        .in = -1,
        .err = -1,
        .hold_fd = -1,
        .limits = {.cpu_s = 77, .mem_mb = 512, .files = 99, .file_mb = 5},
    };
    auto_free char *cwd = str_fmt("cwd %s", dir);
    int hold = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int loose = dup(hold); /* not even close-on-exec */
    struct run r;

    (void)level;
    spec.hold_fd = hold;
    setenv("SECRET", "do not inherit", 1);
    signal(SIGINT, SIG_IGN);
    start_spec(&r, &spec);
    finish(&r);
    signal(SIGINT, SIG_DFL);
    unsetenv("SECRET");
    close(hold);
    close(loose);
    CHECK_INT(r.end.exit_status, 0);
    check_line(&r, "CapInh:\t0000000000000000");
    check_line(&r, "CapPrm:\t0000000000000000");
    check_line(&r, "CapEff:\t0000000000000000");
    check_line(&r, "CapAmb:\t0000000000000000");
    check_line(&r, "NoNewPrivs:\t1");
    check_line(&r, "SigBlk:\t0000000000000000");
    check_line(&r, "SigIgn:\t0000000000000000");
    check_line(&r, "raw socket no");
    check_line(&r, "limit core 0");
    check_line(&r, "limit nofile 99");
    check_line(&r, "limit cpu 77");
    check_line(&r, "limit as 536870912");
    check_line(&r, "limit fsize 5242880");
    check_line(&r, "umask 077");
    check_line(&r, "own group yes");
    check_line(&r, "terminal no");
    check_line(&r, "stdin empty");
    check_line(&r, cwd);
    check_line(&r, "env ONLY=this");
    CHECK(strstr(r.text.data, "SECRET") == NULL);
    CHECK(strstr(r.text.data, "fd 2\n") != NULL);
    for (int fd = 3; fd < 64; fd++) {
        auto_free char *line = str_fmt("\nfd %d\n", fd);

        CHECK(strstr(r.text.data, line) == NULL);
    }
    buf_done(&r.text);
    free(argv[0]);
    free(argv[2]);
    free(env[0]);
    free(dir);
}

static void a_tool_is_given_its_descriptors_and_nothing_else(void)
{
    each_level(is_given_little);
}

static void a_tool_with_raw_sockets_has_that_capability_alone(void)
{
    char *argv[] = {xstrdup(test_standin()), mark, xstrdup("show"), NULL};
    char *env[] = {NULL};
    struct box_spec spec = {
        .argv = argv, .env = env, .in = -1, .err = -1, .hold_fd = -1, .raw_sockets = true};
    bool raw = box_force_level(BOX_PIDNS);
    struct run r;

    if (raw) {
        box_probe(&raw);
    }
    if (raw) {
        start_spec(&r, &spec);
        finish(&r);
        CHECK(r.box.raw_sockets);
        check_line(&r, "CapPrm:\t0000000000002000");
        check_line(&r, "CapEff:\t0000000000002000");
        check_line(&r, "CapAmb:\t0000000000002000");
        check_line(&r, "CapBnd:\t0000000000002000");
        check_line(&r, "raw socket yes");
        buf_done(&r.text);
    }
    free(argv[0]);
    free(argv[2]);
    if (!raw) {
        tap_skip("no CAP_NET_RAW to hand on");
    }
}

static void obeys(enum box_level level)
{
    struct run r;

    (void)level;
    start(&r, "wait", "");
    await_ready(&r);
    CHECK_INT(marked_processes(), 1);
    box_terminate(&r.box);
    finish(&r);
    CHECK_INT(r.end.exit_signal, SIGTERM);
}

static void a_polite_request_reaches_the_tool(void)
{
    each_level(obeys);
}

static void is_asked_early(enum box_level level)
{
    struct run r;

    (void)level;
    start(&r, "wait", "");
    box_terminate(&r.box); /* init may not even run yet */
    finish(&r);
    buf_done(&r.text);
    CHECK(!r.end.started || r.end.exit_signal == SIGTERM);
}

static void a_request_sent_before_the_tool_runs_is_not_lost(void)
{
    each_level(is_asked_early);
}

static void is_deaf(enum box_level level)
{
    struct run r;
    struct pollfd p;

    (void)level;
    start(&r, "deaf", "");
    await_ready(&r);
    box_terminate(&r.box);
    p = (struct pollfd){.fd = r.box.pidfd, .events = POLLIN};
    CHECK_INT(poll(&p, 1, 50), 0);
    box_kill(&r.box);
    finish(&r);
    CHECK(r.end.started);
    CHECK_INT(r.end.exit_signal, SIGKILL);
}

static void a_tool_that_ignores_the_request_is_killed(void)
{
    each_level(is_deaf);
}

static void leaves_a_daemon(enum box_level level)
{
    struct run r;

    (void)level;
    start(&r, "daemon", ""); /* the tool itself ends */
    finish(&r);
    buf_done(&r.text);
    CHECK_INT(r.end.exit_status, 0);

    start(&r, "daemon-and-wait", "");
    await_ready(&r);
    CHECK_INT(marked_processes(), 2);
    box_kill(&r.box);
    finish(&r);
    CHECK_INT(r.end.exit_signal, SIGKILL);
}

static void a_double_forked_deaf_daemon_does_not_outlive_its_box(void)
{
    each_level(leaves_a_daemon);
}

static void has_a_hundred_children(enum box_level level)
{
    struct run r;

    (void)level;
    start(&r, "children", "100");
    await_ready(&r);
    CHECK_INT(marked_processes(), 101);
    box_kill(&r.box);
    finish(&r);
    CHECK_INT(r.end.exit_signal, SIGKILL);
}

static void a_hundred_children_half_of_them_deaf_go_with_their_tool(void)
{
    each_level(has_a_hundred_children);
}

static void runs_away(enum box_level level)
{
    struct run r;

    (void)level;
    start(&r, "run-away", "2000");
    poll(NULL, 0, 20); /* somewhere on its way */
    box_kill(&r.box);
    finish(&r);
    buf_done(&r.text);
}

static void a_process_that_forks_on_and_on_is_caught(void)
{
    each_level(runs_away);
}

static void holds_a_lock(enum box_level level)
{
    auto_free char *path = str_fmt("%s/lock", test_dir());
    char *argv[] = {xstrdup(test_standin()), mark, xstrdup("wait"), NULL};
    char *env[] = {NULL};
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct box_spec spec = {.argv = argv, .env = env, .in = -1, .err = -1, .hold_fd = lock};
    struct run r;
    int again;

    (void)level;
    CHECK_INT(flock(lock, LOCK_EX | LOCK_NB), 0);
    start_spec(&r, &spec);
    await_ready(&r);
    close(lock);
    again = open(path, O_RDWR | O_CLOEXEC);
    CHECK_INT(flock(again, LOCK_EX | LOCK_NB), -1);
    box_kill(&r.box);
    finish(&r);
    CHECK_INT(flock(again, LOCK_EX | LOCK_NB), 0);
    close(again);
    free(argv[0]);
    free(argv[2]);
}

static void the_lock_is_held_until_the_tree_is_gone(void)
{
    each_level(holds_a_lock);
}

static void loses_its_caller(enum box_level level)
{
    int told[2];
    char byte;
    pid_t caller;
    struct run r = {.out = -1};

    (void)level;
    /* The caller is a process between us and the box, which dies without a word. Everything below
     * it holds the pipe's other end: reading its end proves that all are gone. */
    CHECK_INT(pipe2(told, O_CLOEXEC), 0);
    snprintf(mark, sizeof mark, "box-test-%d-orphan-%d-end", getpid(), (int)level);
    caller = fork();
    if (caller == 0) {
        char *argv[] = {xstrdup(test_standin()), mark, xstrdup("daemon-and-wait"), NULL};
        char *env[] = {NULL};
        struct box_spec spec = {
            .argv = argv, .env = env, .in = -1, .err = -1, .out = told[1], .hold_fd = told[1]};

        if (box_start(&spec, &r.box, NULL) != 0) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    close(told[1]);
    CHECK_INT(read(told[0], &byte, 1), 1);
    CHECK_INT(marked_processes(), 2);
    kill(caller, SIGKILL);
    waitpid(caller, NULL, 0);
    struct pollfd p = {.fd = told[0], .events = POLLIN};

    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1);
    CHECK_INT(read(told[0], &byte, 1), 0);
    CHECK_INT(marked_processes(), 0);
    close(told[0]);
}

static void a_box_dies_with_its_caller(void)
{
    each_level(loses_its_caller);
}

static void start_as_nobody(enum box_level level)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        char *argv[] = {xstrdup("/bin/true"), NULL};
        char *env[] = {NULL};
        struct box_spec spec = {
            .argv = argv, .env = env, .in = -1, .out = -1, .err = -1, .hold_fd = -1};
        struct box_end end;
        struct box b;

        if (setgid(65534) < 0 || setuid(65534) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
            !box_force_level(level) || box_start(&spec, &b, NULL) != 0 ||
            box_wait(&b, &end, NULL) != 0) {
            _exit(2);
        }
        _exit(end.started && end.exit_status == 0 && geteuid() == 65534 ? 0 : 3);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
}

static void boxes_need_no_privilege(void)
{
    if (geteuid() != 0) {
        tap_skip("needs root to become somebody else; without it all other tests prove the same");
    }
    start_as_nobody(BOX_SUBREAPER);
    if (!box_force_level(BOX_USERNS)) {
        tap_skip("no user namespaces here");
    }
    start_as_nobody(BOX_USERNS);
}

TESTS(an_exit_status_is_told_with_what_it_used, a_crash_is_told_as_its_signal,
      not_started_is_told_apart_from_started_and_failed,
      a_tool_is_given_its_descriptors_and_nothing_else,
      a_tool_with_raw_sockets_has_that_capability_alone, a_polite_request_reaches_the_tool,
      a_request_sent_before_the_tool_runs_is_not_lost, a_tool_that_ignores_the_request_is_killed,
      a_double_forked_deaf_daemon_does_not_outlive_its_box,
      a_hundred_children_half_of_them_deaf_go_with_their_tool,
      a_process_that_forks_on_and_on_is_caught, the_lock_is_held_until_the_tree_is_gone,
      a_box_dies_with_its_caller, boxes_need_no_privilege)
