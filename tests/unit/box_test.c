/*
 * The life of a box at every level that the kernel grants: how its tool starts and ends, what it is
 * given, and that nothing of it is left when its pidfd says so. What it cannot do is in
 * box_inside_test.c.
 */
#include <sys/file.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "box_rig.h"

static void start(struct run *r, const char *what, const char *arg)
{
    char *argv[] = {standin(), mark, xstrdup(what), xstrdup(arg), NULL};
    struct box_spec spec = a_spec(argv);

    start_spec(r, &spec);
    free(argv[2]);
    free(argv[3]);
}

/* The tool's first word, and init's, which may come after it. */
static void await_ready(struct run *r)
{
    char byte = 0;

    CHECK_INT(read(r->out, &byte, 1), 1);
    CHECK_INT(byte, '!');
    await_note(r);
    CHECK(r->box.told == BOX_STARTED);
}

static void exits(void)
{
    struct run r;

    start(&r, "exit", "3");
    CHECK_STR(r.box.level, box_level_name(now->level));
    finish(&r);
    CHECK(r.end.started);
    CHECK_INT(r.end.exit_status, 3);
    CHECK_INT(r.end.exit_signal, 0);
    CHECK(r.end.cpu_us > 0);
    CHECK(r.end.max_rss_kb > 0);
}

static void an_exit_status_is_told_with_what_it_used(void)
{
    each_way(exits);
}

static void crashes(void)
{
    struct run r;

    start(&r, "crash", "");
    finish(&r);
    CHECK(r.end.started);
    CHECK_INT(r.end.exit_status, -1);
    CHECK_INT(r.end.exit_signal, SIGSEGV);
}

static void a_crash_is_told_as_its_signal(void)
{
    each_way(crashes);
}

static void cannot_start(void)
{
    char program[] = "/nonexistent/scanner";
    char *argv[] = {program, NULL};
    struct box_bind missing[] = {{.path = "/nonexistent/tree"}};
    struct box_spec spec = a_spec(argv);
    struct run r;

    start_spec(&r, &spec);
    finish(&r);
    CHECK(!r.end.started);
    CHECK_STR(r.end.step, "exec");
    CHECK_INT(r.end.errnum, ENOENT);

    spec.binds = missing;
    spec.n_binds = 1;
    if (now->view || box_probe()->landlock) {
        start_spec(&r, &spec);
        finish(&r);
        CHECK(!r.end.started);
        CHECK_STR(r.end.step, "bind");
        CHECK_INT(r.end.errnum, ENOENT);
    }
    if (!now->view) {
        spec = a_spec(argv);
        spec.dir = "/nonexistent";
        start_spec(&r, &spec);
        finish(&r);
        CHECK(!r.end.started);
        CHECK_STR(r.end.step, "chdir");
    }
}

static void not_started_is_told_apart_from_started_and_failed(void)
{
    each_way(cannot_start);
}

static void is_given_little(void)
{
    char *argv[] = {standin(), mark, xstrdup("show"), NULL};
    char *env[] = {xstrdup("ONLY=this"), NULL};
    struct box_spec spec = a_spec(argv);
    char *dir = realpath(spec.dir, NULL);
    auto_free char *cwd = str_fmt("cwd %s", now->view ? "/tmp" : dir);
    int hold = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int loose = dup(hold); /* not even close-on-exec */
    struct run r;

    spec.env = env;
    spec.hold_fd = hold;
    spec.limits = (struct box_limits){.cpu_s = 77, .mem_mb = 512, .files = 99, .file_mb = 5};
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
    if (now->level != BOX_PLAIN || geteuid() == 0) {
        check_line(&r, "CapBnd:\t0000000000000000");
    }
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
        auto_free char *line = str_fmt("fd %d", fd);

        CHECK(!has_line(&r, line));
    }
    buf_done(&r.text);
    free(argv[2]);
    free(env[0]);
    free(dir);
}

static void a_tool_is_given_its_descriptors_and_nothing_else(void)
{
    each_way(is_given_little);
}

static void has_raw_sockets(void)
{
    char *argv[] = {standin(), mark, xstrdup("show"), NULL};
    struct box_spec spec = a_spec(argv);
    const struct box_can *can = box_probe();
    struct run r;

    spec.raw_sockets = true;
    if (can->own_net) {
        spec.net = BOX_NET_EMPTY;
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
    /* In the machine's own network that takes privilege, and is not claimed without. */
    spec = a_spec(argv);
    spec.raw_sockets = true;
    start_spec(&r, &spec);
    finish(&r);
    CHECK_INT(r.box.raw_sockets, can->raw_shared);
    CHECK(!can->raw_shared || (geteuid() == 0 && now->level != BOX_USERNS));
    check_line(&r, can->raw_shared ? "raw socket yes" : "raw socket no");
    check_line(&r, can->raw_shared ? "CapEff:\t0000000000002000" : "CapEff:\t0000000000000000");
    buf_done(&r.text);
    free(argv[2]);
}

static void a_tool_with_raw_sockets_has_that_capability_alone(void)
{
    each_way(has_raw_sockets);
}

static void obeys(void)
{
    struct run r;

    start(&r, "wait", "");
    await_ready(&r);
    CHECK_INT(marked_processes(), 1);
    box_terminate(&r.box);
    finish(&r);
    CHECK_INT(r.end.exit_signal, SIGTERM);
}

static void a_polite_request_reaches_the_tool(void)
{
    each_way(obeys);
}

static void is_asked_early(void)
{
    struct run r;

    start(&r, "wait", "");
    box_terminate(&r.box); /* init may not even run yet */
    finish(&r);
    buf_done(&r.text);
    CHECK(!r.end.started || r.end.exit_signal == SIGTERM);
}

static void a_request_sent_before_the_tool_runs_is_not_lost(void)
{
    each_way(is_asked_early);
}

static void is_deaf(void)
{
    struct run r;
    struct pollfd p;

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
    each_way(is_deaf);
}

/* How many there are, once there are `n`: what forks twice is three for a moment. */
static unsigned marked_soon(unsigned n)
{
    unsigned seen = marked_processes();

    for (int i = 0; i < 500 && seen != n; i++) {
        usleep(10000);
        seen = marked_processes();
    }
    return seen;
}

static void leaves_a_daemon(void)
{
    struct run r;

    start(&r, "daemon", ""); /* the tool itself ends */
    finish(&r);
    buf_done(&r.text);
    CHECK_INT(r.end.exit_status, 0);

    start(&r, "daemon-and-wait", "");
    await_ready(&r);
    CHECK_INT(marked_soon(2), 2);
    box_kill(&r.box);
    finish(&r);
    CHECK_INT(r.end.exit_signal, SIGKILL);
}

static void a_double_forked_deaf_daemon_does_not_outlive_its_box(void)
{
    each_way(leaves_a_daemon);
}

static void has_a_hundred_children(void)
{
    struct run r;

    start(&r, "children", "100");
    await_ready(&r);
    CHECK_INT(marked_soon(101), 101);
    box_kill(&r.box);
    finish(&r);
    CHECK_INT(r.end.exit_signal, SIGKILL);
}

static void a_hundred_children_half_of_them_deaf_go_with_their_tool(void)
{
    each_way(has_a_hundred_children);
}

static void runs_away(void)
{
    struct run r;

    start(&r, "run-away", "2000");
    poll(NULL, 0, 20); /* somewhere on its way */
    box_kill(&r.box);
    finish(&r);
    buf_done(&r.text);
}

static void a_process_that_forks_on_and_on_is_caught(void)
{
    each_way(runs_away);
}

static void holds_a_lock(void)
{
    auto_free char *path = str_fmt("%s/lock", test_dir());
    char *argv[] = {standin(), mark, xstrdup("wait"), NULL};
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct box_spec spec = a_spec(argv);
    struct run r;
    int again;

    spec.hold_fd = lock;
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
    free(argv[2]);
}

static void the_lock_is_held_until_the_tree_is_gone(void)
{
    each_way(holds_a_lock);
}

static void loses_its_caller(void)
{
    char *argv[] = {standin(), mark, xstrdup("daemon-and-wait"), NULL};
    struct box_spec spec = a_spec(argv);
    int told[2];
    char byte;
    pid_t caller;
    struct run r = {.out = -1};

    /* The caller is a process between us and the box, which dies without a word. Everything below
     * it holds the pipe's other end: reading its end proves that all are gone. */
    CHECK_INT(pipe2(told, O_CLOEXEC), 0);
    spec.out = spec.hold_fd = told[1];
    caller = fork();
    if (caller == 0) {
        if (box_start(&spec, &r.box, NULL) != 0) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    close(told[1]);
    CHECK_INT(read(told[0], &byte, 1), 1);
    CHECK_INT(marked_soon(2), 2);
    kill(caller, SIGKILL);
    waitpid(caller, NULL, 0);
    struct pollfd p = {.fd = told[0], .events = POLLIN};

    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1);
    CHECK_INT(read(told[0], &byte, 1), 0);
    CHECK_INT(marked_processes(), 0);
    close(told[0]);
    free(argv[2]);
}

static void a_box_dies_with_its_caller(void)
{
    each_way(loses_its_caller);
}

static void is_lost_before_it_starts(void)
{
    char *argv[] = {standin(), mark, xstrdup("wait"), NULL};
    struct box_spec spec = a_spec(argv);
    struct run r;

    if (box_probe()->own_net) {
        spec.net = BOX_NET_OWN; /* waits for us */
        start_spec(&r, &spec);
        await_note(&r);
        CHECK(r.box.told == BOX_WAITING);
        CHECK(r.box.netns_fd >= 0);
        box_kill(&r.box);
        finish(&r);
        CHECK(!r.end.started);
        CHECK_STR(r.end.step, "network");
        CHECK_INT(r.end.errnum, ECANCELED);
    }
    free(argv[2]);
}

static void a_box_that_is_killed_while_it_waits_did_not_start(void)
{
    each_way(is_lost_before_it_starts);
}

static void loses_its_caller_early(void)
{
    char *argv[] = {standin(), mark, xstrdup("wait"), NULL};
    struct box_spec spec = a_spec(argv);
    int told[2];
    char byte;
    pid_t caller;
    struct run r = {.out = -1};

    if (box_probe()->own_net) {
        CHECK_INT(pipe2(told, O_CLOEXEC), 0);
        spec.net = BOX_NET_OWN;
        spec.hold_fd = told[1];
        caller = fork();
        if (caller == 0) {
            struct pollfd p = {.fd = -1, .events = POLLIN};

            if (box_start(&spec, &r.box, NULL) == 0) {
                p.fd = r.box.report_fd;
                (void)poll(&p, 1, PATIENCE_MS);
                (void)!write(told[1], "!", 1);
            }
            for (;;) {
                pause();
            }
        }
        close(told[1]);
        CHECK_INT(read(told[0], &byte, 1), 1);
        kill(caller, SIGKILL);
        waitpid(caller, NULL, 0);
        CHECK_INT(read(told[0], &byte, 1), 0); /* the one who held it is gone */
        close(told[0]);
    }
    free(argv[2]);
}

static void a_box_that_waits_for_its_network_dies_with_its_caller(void)
{
    each_way(loses_its_caller_early);
}

/* Borrowed; NULL: none that we may use. */
static const char *a_cgroup(void)
{
    static char path[512];
    FILE *f = fopen("/proc/self/mounts", "re");
    char line[4096];
    char where[256];
    bool found = false;

    while (!found && fgets(line, sizeof line, f)) {
        found = sscanf(line, "cgroup2 %255s cgroup2 ", where) == 1;
    }
    fclose(f);
    snprintf(path, sizeof path, "%s/scanpod-box-test-%d", found ? where : "/nonexistent", getpid());
    return found && mkdir(path, 0755) == 0 ? path : NULL;
}

static void is_born_in_a_cgroup(void)
{
    char *argv[] = {standin(), mark, xstrdup("wait"), NULL};
    struct box_spec spec = a_spec(argv);
    const char *group = a_cgroup();
    struct run r;
    char text[64] = "";

    if (group) {
        auto_free char *list = str_fmt("%s/cgroup.procs", group);
        auto_fd int dir = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        auto_fd int fd = open(list, O_RDONLY | O_CLOEXEC);
        unsigned members = 0;

        spec.cgroup_fd = dir;
        start_spec(&r, &spec);
        await_ready(&r);
        CHECK(read(fd, text, sizeof text - 1) > 0);
        for (const char *p = text; (p = strchr(p, '\n')); p++) {
            members++;
        }
        CHECK_INT(members, 2); /* init and the tool */
        box_kill(&r.box);
        finish(&r);
        CHECK_INT(rmdir(group), 0); /* nobody is left in it */
    }
    free(argv[2]);
}

static void a_box_is_born_in_its_cgroup(void)
{
    if (geteuid() != 0) {
        tap_skip("no cgroup was delegated to us");
    }
    each_way(is_born_in_a_cgroup);
}

static void what_is_not_there_is_refused_by_name(void)
{
    char *argv[] = {standin(), mark, NULL};
    struct box_spec spec = a_spec(argv);
    struct box b;

    box_without(BOX_WITHOUT_NET | BOX_WITHOUT_NOTIFY);
    CHECK(!box_probe()->own_net);
    CHECK(!box_probe()->notify);
    spec.net = BOX_NET_EMPTY;
    CHECK_ERR(box_start(&spec, &b, ERR), ERR_SANDBOX);
    CHECK(strstr(tap_err.msg, "network namespace") != NULL);
    spec.net = BOX_NET_SHARED;
    spec.calls = BOX_CALLS_BROKER;
    CHECK_ERR(box_start(&spec, &b, ERR), ERR_SANDBOX);

    box_without(BOX_WITHOUT_LANDLOCK | BOX_WITHOUT_USERNS | BOX_WITHOUT_PRIVILEGE);
    CHECK(!box_probe()->landlock);
    CHECK(!box_probe()->view);
    CHECK(box_probe()->level == BOX_PLAIN);
    CHECK(strstr(box_probe()->why, "userns") != NULL);
    box_without(0);
}

static void all_of_this_holds_for_a_service_user(void)
{
    again_as_nobody();
}

static int64_t *shared_time(int64_t until_ms)
{
    int64_t *page =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(page != MAP_FAILED);
    *page = until_ms;
    return page;
}

static void start_until(struct run *r, const int64_t *until_ms, const char *what)
{
    char *argv[] = {standin(), mark, xstrdup(what), xstrdup(""), NULL};
    struct box_spec spec = a_spec(argv);

    spec.until_ms = until_ms;
    start_spec(r, &spec);
    free(argv[2]);
    free(argv[3]);
}

/* Until soon, but so late that it has been started by then, however busy the machine is. */
static void start_for_a_while(struct run *r, int64_t *until_ms, const char *what)
{
    for (int64_t ms = 150; ms < PATIENCE_MS; ms *= 2) {
        *until_ms = boot_ms() + ms;
        start_until(r, until_ms, what);
        await_note(r);
        if (r->box.told == BOX_STARTED) {
            return;
        }
        finish(r);
        buf_done(&r->text);
    }
    tap_fail(__FILE__, __LINE__, "%s: it never started in time", now->name);
}

static void lives_until(void)
{
    int64_t *until_ms = shared_time(boot_ms() + PATIENCE_MS);
    struct run r;

    start_until(&r, until_ms, "deaf");
    await_ready(&r);
    *until_ms = boot_ms() + 50; /* earlier: not looked at before the time that it knew */
    box_kill(&r.box);
    finish(&r);
    buf_done(&r.text);
    CHECK(!r.end.late);

    start_for_a_while(&r, until_ms, "daemon-and-wait");
    finish(&r);
    buf_done(&r.text);
    CHECK(r.end.started && r.end.late && boot_ms() >= *until_ms);
    CHECK_INT(r.end.exit_signal, SIGKILL);

    start_until(&r, until_ms, "exit");
    finish(&r);
    CHECK(!r.end.started && r.end.late);
    CHECK_STR(r.end.step, "late");
    buf_done(&r.text);
    munmap(until_ms, sizeof *until_ms);
}

static void a_box_whose_time_has_passed_is_killed_by_its_own_init(void)
{
    each_way(lives_until);
}

/* The whole tree hangs, longer than its time: no tool goes on when it is let go. */
static void is_frozen(void)
{
    int64_t *until_ms = shared_time(0);
    struct run r;

    start_for_a_while(&r, until_ms, "deaf");
    CHECK_INT(kill(r.box.pid, SIGSTOP), 0);
    while (boot_ms() <= *until_ms + 20) {
        poll(NULL, 0, 10);
    }
    CHECK_INT(kill(r.box.pid, SIGCONT), 0);
    finish(&r);
    CHECK(r.end.late);
    buf_done(&r.text);
    munmap(until_ms, sizeof *until_ms);
}

static void a_box_that_was_frozen_past_its_time_is_killed_at_its_first_look(void)
{
    each_way(is_frozen);
}

TESTS(an_exit_status_is_told_with_what_it_used, a_crash_is_told_as_its_signal,
      not_started_is_told_apart_from_started_and_failed,
      a_tool_is_given_its_descriptors_and_nothing_else,
      a_tool_with_raw_sockets_has_that_capability_alone, a_polite_request_reaches_the_tool,
      a_request_sent_before_the_tool_runs_is_not_lost, a_tool_that_ignores_the_request_is_killed,
      a_double_forked_deaf_daemon_does_not_outlive_its_box,
      a_hundred_children_half_of_them_deaf_go_with_their_tool,
      a_process_that_forks_on_and_on_is_caught, the_lock_is_held_until_the_tree_is_gone,
      a_box_dies_with_its_caller, a_box_that_is_killed_while_it_waits_did_not_start,
      a_box_that_waits_for_its_network_dies_with_its_caller, a_box_is_born_in_its_cgroup,
      what_is_not_there_is_refused_by_name, a_box_whose_time_has_passed_is_killed_by_its_own_init,
      a_box_that_was_frozen_past_its_time_is_killed_at_its_first_look,
      all_of_this_holds_for_a_service_user)
