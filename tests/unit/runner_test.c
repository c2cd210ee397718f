/*
 * The runner with its boxes and parsers, seen from the daemon: what is told, in which order, and
 * that nothing is left behind, whoever dies first. At every level that the kernel grants; as root
 * the runner becomes nobody, as in real life.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "box/box.h"
#include "ipc/chan.h"
#include "proxy/proxy.h"
#include "runner/broker.h"
#include "runner/bucket.h"
#include "runner/lease.h"
#include "runner/runner.h"
#include "runner/work_dir.h"
#include "runner_rig.h"
#include "store/blob.h"

static const char two_hosts[] =
    "<?xml version=\"1.0\"?>\n<!DOCTYPE nmaprun>\n"
    "<nmaprun scanner=\"nmap\" args=\"nmap -oX -\" start=\"1\" version=\"7.93\">\n"
    "<host><status state=\"up\" reason=\"user-set\" reason_ttl=\"0\"/>"
    "<address addr=\"127.0.0.1\" addrtype=\"ipv4\"/><ports><port protocol=\"tcp\" portid=\"80\">"
    "<state state=\"open\" reason=\"syn-ack\" reason_ttl=\"0\"/></port></ports></host>\n"
    "<host><status state=\"up\" reason=\"user-set\" reason_ttl=\"0\"/>"
    "<address addr=\"127.0.0.2\" addrtype=\"ipv4\"/></host>\n";
static const char closing[] = "<runstats><finished time=\"2\" exit=\"success\"/></runstats>"
                              "</nmaprun>\n";

static void normal(void)
{
    auto_free char *text = str_fmt("%s%s", two_hosts, closing);
    auto_free char *path = write_test_file("scan.xml", text);
    auto_free char *blob_path = str_fmt("%s/blob", test_dir());
    int blob = open(blob_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct stat st;
    struct story story;
    const struct seen *s;

    daemon_start();
    launch((struct runner_launch){.run = 1, .parser = "nmap-xml", .blob_fd = blob}, "print", path);
    s = finish(1);
    CHECK_INT(d.ready, 1);
    CHECK_INT(s->started, 1);
    CHECK_INT(s->end.exit_status, 0);
    CHECK_INT(s->end.exit_signal, 0);
    CHECK_INT(s->end.cause, RUN_BY_ITSELF);
    CHECK(!s->end.parser_failed);
    CHECK_STR(s->tail, "");
    CHECK_STR(s->end.sandbox.box, box_level_name(level_now));
    CHECK_INT(s->end.sandbox.limit, LIMIT_NONE);
    CHECK_INT(s->end.sandbox.output_bytes, strlen(text));
    CHECK(read_story(s, &story));
    CHECK_INT(story.hosts, 2);
    CHECK_INT(story.ports, 1);
    CHECK_STR(story.args, "nmap -oX -");
    CHECK(story.complete);
    CHECK_INT(story.end_code, 0);
    CHECK_INT(story.raw.size, strlen(text));
    CHECK_INT(strlen(story.raw.sha256), 64);
    CHECK(!story.raw.truncated);
    CHECK_INT(fstat(blob, &st), 0);
    CHECK_INT(st.st_size, story.raw.stored);
    free(story.args);
    close(blob);
    daemon_stop();
}

static void a_run_tells_its_results_its_raw_output_and_its_end(void)
{
    each_level(normal);
}

static void unlike_any_program(void)
{
    struct runner_launch l = {.run = 1};
    const struct seen *s;
    struct story story;

    daemon_start();
    CHECK_OK(launch_as(&l, "/nonexistent/nmap", "", ""));
    s = finish(1);
    CHECK_INT(s->started, 0);
    CHECK(!s->end.started);
    CHECK_STR(s->step, "exec");
    CHECK_INT(s->end.errnum, ENOENT);
    CHECK(read_story(s, &story));
    free(story.args);
    daemon_stop();
}

static void a_missing_program_did_not_start(void)
{
    each_level(unlike_any_program);
}

static void complains(void)
{
    const struct seen *s;

    daemon_start();
    launch((struct runner_launch){.run = 1}, "complain", "2");
    launch((struct runner_launch){.run = 2}, "complain", "5000");
    s = finish(1);
    CHECK_INT(s->end.exit_status, 3);
    CHECK_INT(s->end.cause, RUN_BY_ITSELF);
    CHECK_STR(s->tail, "line 1: something is wrong\nline 2: something is wrong\n");
    s = finish(2);
    CHECK(strlen(s->tail) <= STDERR_TAIL_MAX && strlen(s->tail) > STDERR_TAIL_MAX - 64);
    CHECK(str_starts(s->tail, "line "));
    CHECK(strstr(s->tail, "line 5000: something is wrong\n") != NULL);
    daemon_stop();
}

static void the_last_whole_lines_of_stderr_come_with_the_end(void)
{
    each_level(complains);
}

static void crashes(void)
{
    const struct seen *s;

    daemon_start();
    launch((struct runner_launch){.run = 1}, "crash", "");
    s = finish(1);
    CHECK(s->end.started);
    CHECK_INT(s->end.exit_status, -1);
    CHECK_INT(s->end.exit_signal, SIGSEGV);
    CHECK_INT(s->end.cause, RUN_BY_ITSELF);
    CHECK(!s->end.parser_failed);
    daemon_stop();
}

static void a_tool_that_crashes_is_told_by_its_signal(void)
{
    each_level(crashes);
}

static void is_stopped(void)
{
    const struct seen *s;

    daemon_start();
    launch((struct runner_launch){.run = 1, .grace_ms = PATIENCE_MS}, "wait", "");
    launch((struct runner_launch){.run = 2, .grace_ms = 50}, "deaf", "");
    launch((struct runner_launch){.run = 3, .grace_ms = PATIENCE_MS}, "children", "20");
    launch((struct runner_launch){.run = 4, .grace_ms = 50}, "daemon-and-wait", "");
    while (!d.runs[1].started || !d.runs[2].started || !d.runs[3].started || !d.runs[4].started) {
        turn();
    }
    for (uint64_t run = 1; run <= 4; run++) {
        runner_stop(d.r, run);
        runner_stop(d.r, run); /* twice is once */
    }
    runner_stop(d.r, 77); /* nobody */
    for (uint64_t run = 1; run <= 4; run++) {
        s = finish(run);
        CHECK(s->end.started);
        CHECK_INT(s->end.cause, RUN_STOPPED);
        CHECK_INT(s->end.exit_status, -1);
    }
    CHECK_INT(d.runs[1].end.exit_signal, SIGTERM);
    CHECK_INT(d.runs[3].end.exit_signal, SIGTERM); /* its deaf children go with it */
    daemon_stop();
}

static void a_stop_ends_the_whole_tree_politely_or_not(void)
{
    each_level(is_stopped);
}

static void takes_too_long(void)
{
    const struct seen *s;

    daemon_start();
    launch((struct runner_launch){.run = 1, .wall_ms = 30, .grace_ms = 30}, "deaf", "");
    launch((struct runner_launch){.run = 2, .wall_ms = 30}, "spin", "");
    s = finish(1);
    CHECK_INT(s->end.cause, RUN_WALL);
    s = finish(2);
    CHECK_INT(s->end.cause, RUN_WALL);
    daemon_stop();
}

static void a_run_ends_at_its_time_limit(void)
{
    each_level(takes_too_long);
}

static void writes_too_much(void)
{
    const struct seen *s;
    struct story story;

    daemon_start();
    launch((struct runner_launch){.run = 1, .output_max = 1000001, .grace_ms = 1000}, "endless",
           "");
    s = finish(1);
    CHECK_INT(s->end.cause, RUN_OUTPUT);
    CHECK(!s->end.parser_failed);
    CHECK(read_story(s, &story));
    CHECK_INT(story.raw.size, 1000001);
    CHECK(story.raw.truncated);
    free(story.args);
    daemon_stop();
}

static void a_run_ends_at_its_output_limit_and_says_what_it_kept(void)
{
    each_level(writes_too_much);
}

static void parser_dies(void)
{
    auto_free char *path = write_test_file("crash", "before CRASH after");
    const struct seen *s;
    struct story story;

    daemon_start();
    launch((struct runner_launch){.run = 1, .grace_ms = 1000}, "print-and-wait", path);
    launch((struct runner_launch){.run = 2, .grace_ms = 1000}, "print", path);
    s = finish(1);
    CHECK(s->end.parser_failed);
    CHECK_INT(s->end.cause, RUN_PARSER);
    CHECK(!read_story(s, &story));
    free(story.args);
    s = finish(2);
    CHECK(s->end.parser_failed);
    CHECK(!read_story(s, &story));
    free(story.args);
    launch((struct runner_launch){.run = 3}, "exit", "0"); /* the runner is well */
    s = finish(3);
    CHECK(!s->end.parser_failed);
    daemon_stop();
}

static void a_parser_that_crashes_costs_its_run_alone(void)
{
    each_level(parser_dies);
}

static void parser_hangs(void)
{
    auto_free char *path = write_test_file("hang", "HANG");
    const struct seen *s;

    daemon_start();
    launch((struct runner_launch){.run = 1}, "print", path);
    s = finish(1);
    CHECK(s->end.parser_failed);
    CHECK_INT(s->end.exit_status, 0);
    CHECK_INT(s->end.cause, RUN_BY_ITSELF);
    daemon_stop();
}

static void a_parser_that_hangs_after_its_tool_is_ended(void)
{
    each_level(parser_hangs);
}

static void disk_is_full(void)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    const struct seen *s;
    struct story story;

    daemon_start();
    launch((struct runner_launch){.run = 1, .parser = "test", .blob_fd = full, .grace_ms = 1000},
           "endless", "");
    s = finish(1);
    CHECK_INT(s->end.cause, RUN_PARSER);
    CHECK(s->end.parser_failed);
    CHECK(read_story(s, &story)); /* not a crash: it says what is wrong */
    CHECK_INT(story.end_code, ERR_FULL);
    CHECK_INT(story.raw.size, 0);
    free(story.args);
    close(full);
    daemon_stop();
}

static void raw_output_that_cannot_be_kept_ends_the_run_with_the_reason(void)
{
    each_level(disk_is_full);
}

static void breaks_off(void)
{
    auto_free char *text = str_fmt("%s%s", two_hosts, "<host><garb");
    auto_free char *path = write_test_file("cut.xml", text);
    const struct seen *s;
    struct story story;

    daemon_start();
    launch((struct runner_launch){.run = 1, .parser = "nmap-xml", .blob_fd = -1},
           "print-and-exit-1", path);
    s = finish(1);
    CHECK_INT(s->end.exit_status, 1);
    CHECK(read_story(s, &story));
    CHECK_INT(story.hosts, 2);
    CHECK(!story.complete);
    CHECK_INT(story.end_code, ERR_TOOL);
    CHECK_INT(story.raw.size, strlen(text));
    free(story.args);
    daemon_stop();
}

static void output_that_breaks_off_keeps_its_complete_hosts(void)
{
    each_level(breaks_off);
}

static void is_live(void)
{
    auto_free char *path = write_test_file("scan-part.xml", two_hosts);
    struct story story = {0};

    daemon_start();
    launch((struct runner_launch){.run = 1, .parser = "nmap-xml", .blob_fd = -1}, "print-and-wait",
           path);
    while (story.hosts < 2) {
        turn();
        CHECK(!read_story(&d.runs[1], &story));
    }
    CHECK(d.runs[1].ends == 0);
    runner_stop(d.r, 1);
    (void)finish(1);
    daemon_stop();
}

static void results_come_while_the_tool_still_runs(void)
{
    each_level(is_live);
}

static void waits_for_its_reader(void)
{
    auto_free char *path = write_test_file("scan-paused.xml", two_hosts);

    daemon_start();
    launch((struct runner_launch){.run = 1, .parser = "nmap-xml", .blob_fd = -1}, "print", path);
    launch((struct runner_launch){.run = 2}, "exit", "0");
    runner_pause(d.r, 1, true);
    (void)finish(2);
    for (int i = 0; i < 20; i++) {
        CHECK_OK(loop_turn(d.l, 10, ERR));
    }
    CHECK_INT(d.runs[1].records.len, 0);
    CHECK_INT(d.runs[1].ends, 0); /* not before its records were read */
    runner_pause(d.r, 1, false);
    (void)finish(1);
    CHECK(d.runs[1].records.len > 0);
    daemon_stop();
}

static void a_paused_run_keeps_its_records_and_its_end_back(void)
{
    each_level(waits_for_its_reader);
}

static void leaves_litter(void)
{
    auto_free char *outside = str_fmt("%s/outside", test_dir());
    auto_free char *inside = str_fmt("%s/precious", outside);
    int fd;
    const struct seen *s;

    (void)mkdir(outside, 0777);
    CHECK_INT(chmod(outside, 0777), 0);
    fd = open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    CHECK(fd >= 0);
    close(fd);
    daemon_start();
    launch((struct runner_launch){.run = 1}, "litter", outside);
    s = finish(1);
    CHECK_INT(s->end.exit_status, 0);
    CHECK_INT(entries(d.work_dir), 0);
    CHECK_INT(access(inside, F_OK), 0);
    CHECK_INT(unlink(inside), 0);
    CHECK_INT(rmdir(outside), 0);
    daemon_stop();
}

static void a_working_directory_goes_with_all_that_is_in_it_and_nothing_else(void)
{
    each_level(leaves_litter);
}

static void a_directory_is_used_again_only_if_it_is_as_new(void)
{
    auto_free char *base = str_fmt("%s/work-dirs", test_dir());
    struct work_dirs ds;
    struct work_dir w;
    int fd;

    work_dirs_open(&ds, base);
    CHECK(work_dir_take(&ds, 1, &w));
    CHECK(work_dir_give(&ds, &w));
    CHECK(work_dir_take(&ds, 2, &w));
    CHECK_STR(w.name, "1");
    fd = openat(ds.fd, "1/left", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
    CHECK(!work_dir_give(&ds, &w)); /* to be swept */
    CHECK_INT(unlinkat(ds.fd, "1/left", 0), 0);
    CHECK(work_dir_give(&ds, &w)); /* empty, but not as it was */
    CHECK_INT(faccessat(ds.fd, "1", F_OK, 0), -1);
    CHECK(work_dir_take(&ds, 3, &w));
    CHECK_STR(w.name, "3");
    CHECK_INT(fchmodat(ds.fd, "3", 0755, 0), 0);
    CHECK(work_dir_give(&ds, &w));
    CHECK_INT(faccessat(ds.fd, "3", F_OK, 0), -1);
    CHECK(work_dir_take(&ds, 4, &w));
    CHECK(work_dir_give(&ds, &w));
    work_dirs_close(&ds);
    CHECK_INT(entries(base), 0);
    close(ds.fd);
    free(ds.path);
}

static void old_work_is_swept_at_the_start_however_deep(void)
{
    auto_free char *base = str_fmt("%s/work-old", test_dir());
    struct runner_config c = {.hold_fd = -1, .netd_fd = -1, .work_dir = base};
    auto_buf path = {0};
    int fd, pidfd;
    struct pollfd p;
    siginfo_t info;

    CHECK_INT(mkdir(base, 0700), 0);
    buf_addf(&path, "%s/17", base);
    for (int depth = 0; depth < 600; depth++) {
        CHECK_INT(mkdir(path.data, 0700), 0);
        buf_adds(&path, "/d");
    }
    buf_reset(&path);
    buf_addf(&path, "%s/notes", base); /* not ours: no number */
    CHECK_INT(mkdir(path.data, 0700), 0);
    CHECK_OK(runner_spawn(&c, &fd, &pidfd, ERR));
    p = (struct pollfd){.fd = fd, .events = POLLIN};
    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1); /* it says that it is ready */
    CHECK_INT(entries(base), 1);
    CHECK_INT(access(path.data, F_OK), 0);
    close(fd);
    p.fd = pidfd;
    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1);
    CHECK_INT(waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
    close(pidfd);
}

static void many_at_once(void)
{
    enum { N = 24 };

    daemon_start();
    for (uint64_t run = 1; run <= N; run++) {
        launch((struct runner_launch){.run = run}, "exit", run % 2 ? "0" : "5");
    }
    for (uint64_t run = 1; run <= N; run++) {
        while (!d.runs[run].ends) {
            turn();
        }
        CHECK(d.runs[run].in_order);
        CHECK_INT(d.runs[run].end.exit_status, run % 2 ? 0 : 5);
    }
    daemon_stop();
}

static void many_runs_at_once_do_not_mix(void)
{
    each_level(many_at_once);
}

static void await_no_process(void)
{
    int64_t until = boot_ms() + PATIENCE_MS;

    while (marked_processes(0) > 0) {
        CHECK(boot_ms() < until);
        poll(NULL, 0, 5);
    }
}

static void start_some(void)
{
    daemon_start();
    launch((struct runner_launch){.run = 1}, "deaf", "");
    launch((struct runner_launch){.run = 2}, "daemon-and-wait", "");
    launch((struct runner_launch){.run = 3}, "children", "20");
    while (!d.runs[1].started || !d.runs[2].started || !d.runs[3].started) {
        turn();
    }
    while (marked_processes(0) < 1 + 2 + 21) {
        poll(NULL, 0, 1);
    }
}

static void runner_is_killed(void)
{
    start_some();
    CHECK_INT(syscall(SYS_pidfd_send_signal, d.pidfd, SIGKILL, NULL, 0), 0);
    while (!d.gone) {
        turn();
    }
    CHECK_INT(d.gone, 1);
    CHECK_INT(d.ended, 0);
    await_runner_end();
    await_no_process();
    runner_stop(d.r, 1); /* harmless now */
    CHECK_ERR(launch_as(&(struct runner_launch){.run = 9}, test_standin(), "exit", "0"), ERR_IO);
    daemon_free();
}

static void tools_die_with_a_runner_that_is_killed(void)
{
    each_level(runner_is_killed);
}

static void daemon_goes_away(void)
{
    start_some();
    runner_free(d.r);
    d.r = NULL;
    await_runner_end();
    CHECK_INT(marked_processes(0), 0); /* the runner ends after them */
    CHECK_INT(entries(d.work_dir), 0);
    daemon_free();
}

static void runner_and_tools_go_when_the_daemon_has_gone(void)
{
    each_level(daemon_goes_away);
}

static void is_nobody(void)
{
    const struct seen *s;
    struct story story;
    bool raw;

    daemon_start();
    launch((struct runner_launch){.run = 1, .raw_sockets = true}, "show", "");
    s = finish(1);
    raw = s->end.sandbox.raw_sockets;
    CHECK_INT(s->end.exit_status, 0);
    CHECK(read_story(s, &story));
    CHECK(strstr(story.args, "Uid:\t0") == NULL);
    CHECK(strstr(story.args, "NoNewPrivs:\t1\n") != NULL);
    CHECK(strstr(story.args, raw ? "CapEff:\t0000000000002000\n" : "CapEff:\t0000000000000000\n") !=
          NULL);
    CHECK(strstr(story.args, raw ? "raw socket yes" : "raw socket no") != NULL);
    CHECK_INT(raw, d.caps.usable[EGRESS_NONE]); /* in a network namespace of its own, always */
    CHECK(strstr(story.args, "\nfd 3\n") == NULL);
    CHECK(strstr(story.args, d.caps.view ? "cwd /tmp\n" : d.work_dir) != NULL);
    free(story.args);
    daemon_stop();
}

static void a_tool_started_by_root_is_nobody_with_one_capability_at_most(void)
{
    if (geteuid() != 0) {
        tap_skip("needs root, who becomes nobody");
    }
    each_level(is_nobody);
}

static void a_runner_that_hears_nonsense_ends_itself(void)
{
    auto_free char *base = str_fmt("%s/work-nonsense", test_dir());
    struct runner_config c = {.hold_fd = -1, .netd_fd = -1, .work_dir = base};
    /* no such message; a launch without its socket; a launch that is cut; a stop with a tail */
    static const struct {
        const char *p;
        size_t n;
    } cases[] = {{"\xff\xff", 2},
                 {"\1\0", 2},
                 {"\1\0\1\0\0\0\0\0\0\0\4\0\0\0test", 18},
                 {"\2\0\1\0\0\0\0\0\0\0!", 11},
                 {"\3\0\1\0\0\0\0\0\0\0\0\0\0\0", 14}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd;

        d = (struct daemon){.pidfd = -1};
        CHECK_OK(runner_spawn(&c, &fd, &d.pidfd, ERR));
        CHECK_INT(send(fd, cases[i].p, cases[i].n, 0), cases[i].n);
        await_runner_end();
        close(fd);
    }
}

static void a_daemon_that_hears_nonsense_gives_the_runner_up(void)
{
    static const char *const cases[] = {"\4\0",      "\4\0yy", "\5\0xxxxxxxx", "\6\0garbage",
                                        "\7\0short", "\1\0",   "\x63\0"};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        static const struct runner_events events = {.gone = on_gone};
        int fds[2];

        d = (struct daemon){.pidfd = -1};
        CHECK_OK(chan_pair(fds, ERR));
        CHECK_OK(loop_new(&d.l, ERR));
        CHECK_OK(runner_connect(d.l, fds[0], &events, &d.r, ERR));
        CHECK(send(fds[1], cases[i], 2 + strlen(cases[i] + 2), 0) > 0);
        turn();
        CHECK_INT(d.gone, 1);
        close(fds[1]);
        daemon_free();
    }
}

static void what_cannot_be_launched_is_refused_at_once(void)
{
    auto_free char *long_arg = xmalloc(200001);
    struct runner_launch l = {.run = 1, .parser = "no-such-parser", .blob_fd = -1};

    memset(long_arg, 'x', 200000);
    long_arg[200000] = '\0';
    daemon_start();
    CHECK_ERR(launch_as(&l, test_standin(), "exit", "0"), ERR_INVALID);
    l.parser = NULL;
    CHECK_ERR(launch_as(&l, test_standin(), "exit", long_arg), ERR_LIMIT);
    launch((struct runner_launch){.run = 1}, "exit", "0"); /* the number is free again */
    (void)finish(1);
    daemon_stop();
}

/* ---- limits ---- */

static const struct seen *run_limited(uint64_t run, struct limits l, const char *what,
                                      const char *arg)
{
    launch((struct runner_launch){.run = run, .limits = l, .wall_ms = 20000}, what, arg);
    return finish(run);
}

static void is_limited(void)
{
    const struct seen *s;

    daemon_start();
    s = run_limited(1, (struct limits){.cpu_s = 1}, "spin", "");
    CHECK_INT(s->end.sandbox.limit, LIMIT_CPU);
    CHECK(s->end.sandbox.limit_certain);
    CHECK(s->end.sandbox.cpu_us > 0);
    s = run_limited(2, (struct limits){.memory_mb = 64}, "memory", "256");
    CHECK_INT(s->end.sandbox.limit, LIMIT_OOM);
    CHECK_INT(s->end.sandbox.limit_certain, str_eq(d.caps.limits, "cgroup2"));
    s = run_limited(3, (struct limits){.processes = 16}, "forks", "1000");
    CHECK_INT(s->end.sandbox.limit, LIMIT_PIDS);
    CHECK_INT(s->end.sandbox.limit_certain, str_eq(d.caps.limits, "cgroup2"));
    s = run_limited(4, (struct limits){.file_mb = 1}, "fill", "");
    CHECK_INT(s->end.sandbox.limit, LIMIT_FILE_SIZE);
    CHECK_INT(s->end.exit_signal, SIGXFSZ);
    if (d.caps.view) {
        s = run_limited(5, (struct limits){.disk_mb = 2}, "fill", "");
        CHECK_INT(s->end.sandbox.limit, LIMIT_DISK);
        CHECK(s->end.sandbox.limit_certain);
        CHECK(s->end.sandbox.disk_bytes > 1 << 20);
        s = run_limited(6, (struct limits){.inodes = 32}, "inodes", "");
        CHECK_INT(s->end.sandbox.limit, LIMIT_INODES);
        CHECK(s->end.sandbox.limit_certain);
    }
    s = run_limited(7, (struct limits){.processes = 16, .memory_mb = 256}, "exit", "3");
    CHECK_INT(s->end.sandbox.limit, LIMIT_NONE); /* to fail is no sign of a limit */
    daemon_stop();
}

static void the_limit_that_ended_a_run_is_named(void)
{
    each_level(is_limited);
}

/* ---- what a run is given ---- */

static char *output_of(uint64_t run)
{
    struct story story;

    CHECK_INT(finish(run)->end.started, true);
    CHECK(read_story(&d.runs[run], &story));
    return story.args ? story.args : xstrdup("");
}

static void has_files(void)
{
    struct runner_launch l = {.run = 1, .target_lines = "192.0.2.0/24\nwww.example.org\n"};
    auto_free char *text = NULL;

    daemon_start();
    launch(l, "print", TARGETS_FILE);
    text = output_of(1);
    CHECK_STR(text, l.target_lines);
    if (d.caps.view) {
        auto_free char *hosts = NULL;
        auto_free char *nsswitch = NULL;

        l = (struct runner_launch){.run = 2, .hosts = "192.0.2.1 www.example.org\n"};
        launch(l, "print", "/etc/hosts");
        hosts = output_of(2);
        CHECK_STR(hosts, l.hosts);
        l = (struct runner_launch){.run = 3};
        launch(l, "print", "/etc/nsswitch.conf");
        nsswitch = output_of(3);
        CHECK(strstr(nsswitch, "hosts: files\n") != NULL);
        CHECK_INT(entries(d.work_dir), 0); /* nothing of it is on the disk */
    }
    daemon_stop();
}

static void a_tool_finds_its_targets_and_pinned_names_in_files(void)
{
    each_level(has_files);
}

/* ---- the broker ---- */

static void loopback_up(void)
{
    struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    auto_fd int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    CHECK_INT(ioctl(s, SIOCSIFFLAGS, &r), 0);
}

/* A network namespace of our own, so that nothing here is anybody else's; not for users who may
 * not make one. */
static void own_network(void)
{
    static bool done;

    if (!done && geteuid() == 0 && unshare(CLONE_NEWNET) == 0) {
        loopback_up();
        done = true;
    }
}

static int listener(const char *ip, int type, uint16_t *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof sa;
    int fd;

    own_network(); /* before there are sockets */
    fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    inet_pton(AF_INET, ip, &sa.sin_addr);
    sa.sin_port = htons(*port);
    CHECK_INT(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    CHECK_INT(type == SOCK_STREAM ? listen(fd, 64) : 0, 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    *port = ntohs(sa.sin_port);
    return fd;
}

static void add_range(struct netset *s, const char *text)
{
    struct net_range r;

    CHECK(net_range_parse(text, false, &r));
    netset_add(s, &r);
}

static void launch_speak(struct runner_launch l, const char *const *to)
{
    auto_strvec argv = {0};

    strvec_push(&argv, test_standin());
    strvec_pushf(&argv, "%s.%u.", mark, (unsigned)l.run);
    strvec_push(&argv, "speak");
    for (; *to; to++) {
        strvec_push(&argv, *to);
    }
    l.argv = &argv;
    l.parser = "test";
    l.blob_fd = l.input_fd = -1;
    l.output_max = UINT64_MAX;
    CHECK_OK(runner_launch(d.r, &l, ERR));
}

static unsigned datagrams(int fd)
{
    char chunk[64];
    unsigned n = 0;

    while (recv(fd, chunk, sizeof chunk, 0) > 0) {
        n++;
    }
    return n;
}

static void is_brokered(void)
{
    auto_netset targets = {0};
    uint16_t port = 0;
    auto_fd int in = listener("127.0.0.9", SOCK_STREAM, &port);
    auto_fd int in_udp = listener("127.0.0.9", SOCK_DGRAM, &port);
    auto_fd int out = listener("127.0.1.9", SOCK_STREAM, &port);
    auto_fd int out_udp = listener("127.0.1.9", SOCK_DGRAM, &port);
    auto_strvec to = {0};
    auto_free char *text = NULL;
    const struct egress_counts *c;

    strvec_pushf(&to, "127.0.0.9,%u", port);
    strvec_pushf(&to, "127.0.1.9,%u", port);
    strvec_pushf(&to, "::ffff:127.0.0.9,%u", port);
    strvec_pushf(&to, "::ffff:127.0.1.9,%u", port);
    strvec_push(&to, "127.0.0.9,1");
    daemon_start();
    if (!d.caps.usable[EGRESS_BROKER]) {
        daemon_stop();
        tap_skip("no seccomp notifications here");
    }
    add_range(&targets, "127.0.0.0/24");
    launch_speak((struct runner_launch){.run = 1, .egress = EGRESS_BROKER, .targets = &targets},
                 (const char *const *)to.v);
    text = output_of(1);
    CHECK(strstr(text, "127.0.0.9,1 connect ECONNREFUSED flags same") != NULL);
    CHECK(strstr(text, "::ffff:127.0.1.9") != NULL);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (strstr(line, "127.0.1.9")) {
            CHECK(strstr(line, " connect ENETUNREACH flags same nonblock ENETUNREACH "
                               "sendto ENETUNREACH sendmsg ENETUNREACH sendmmsg E") != NULL);
        } else if (!strstr(line, ",1 ")) {
            CHECK(strstr(line, " connect 0 flags same nonblock E") ||
                  strstr(line, " connect 0 flags same nonblock 0"));
            CHECK(strstr(line, " sendto 5 sendmsg 5 ") != NULL);
        }
    }
    CHECK_INT(accept(out, NULL, NULL), -1);
    CHECK_INT(datagrams(out_udp), 0);
    CHECK(datagrams(in_udp) >= 4);
    c = &d.runs[1].end.sandbox.counts;
    CHECK(d.runs[1].end.sandbox.counted);
    CHECK_INT(d.runs[1].end.sandbox.egress, EGRESS_BROKER);
    CHECK(c->passed >= 8);
    CHECK(c->out_of_scope >= 8);
    daemon_stop();
}

static void a_brokered_tool_reaches_its_targets_and_nothing_else(void)
{
    each_level(is_brokered);
}

/* Connections that its backlog does not take: the kernel tries again after a second. */
static void a_brokered_call_that_has_to_wait_keeps_nobody_else_waiting(void)
{
    auto_netset targets = {0};
    uint16_t full_port = 0, port = 0;
    auto_fd int full = listener("127.0.0.9", SOCK_STREAM, &full_port);
    auto_fd int in = listener("127.0.0.9", SOCK_STREAM, &port);
    auto_free char *to_full = str_fmt("127.0.0.9,%u", full_port);
    auto_free char *to_free = str_fmt("127.0.0.9,%u", port);
    auto_free char *first = NULL;
    auto_free char *second = NULL;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(full_port)};
    int held[3];

    daemon_start();
    if (!d.caps.usable[EGRESS_BROKER]) {
        daemon_stop();
        tap_skip("no seccomp notifications here");
    }
    inet_pton(AF_INET, "127.0.0.9", &sa.sin_addr);
    CHECK_INT(listen(full, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        held[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(held[i], (struct sockaddr *)&sa, sizeof sa);
    }
    add_range(&targets, "127.0.0.0/24");
    launch_speak((struct runner_launch){.run = 1, .egress = EGRESS_BROKER, .targets = &targets},
                 (const char *const[]){to_full, NULL});
    while (!d.runs[1].started) {
        turn();
    }
    launch_speak((struct runner_launch){.run = 2, .egress = EGRESS_BROKER, .targets = &targets},
                 (const char *const[]){to_free, NULL});
    second = output_of(2);
    CHECK(strstr(second, " connect 0 flags same") != NULL);
    CHECK_INT(d.runs[1].ends, 0);
    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        close(held[i]);
    }
    CHECK_INT(listen(full, 64), 0);
    first = output_of(1);
    CHECK(strstr(first, " connect 0 flags same") != NULL);
    daemon_stop();
}

static void a_bucket_lets_its_rate_pass_and_a_burst_before(void)
{
    struct bucket b;
    int64_t now = 5000;
    unsigned taken = 0;

    bucket_init(&b, 0, now);
    for (unsigned i = 0; i < 100000; i++) {
        bucket_take(&b);
    }
    CHECK_INT(bucket_wait_ms(&b, now), 0); /* no limit */
    bucket_init(&b, 100, now);
    for (; bucket_wait_ms(&b, now) == 0; taken++) {
        bucket_take(&b);
    }
    CHECK_INT(taken, 100);
    CHECK(bucket_wait_ms(&b, now) >= 10 && bucket_wait_ms(&b, now) <= 11);
    for (taken = 0; now < 5000 + 10000000; now += 1000) {
        for (; bucket_wait_ms(&b, now) == 0; taken++) {
            bucket_take(&b);
        }
    }
    CHECK(taken >= 999 && taken <= 1000);
    for (unsigned i = 0; i < 50; i++) {
        bucket_take(&b); /* debt: half a second */
    }
    CHECK(bucket_wait_ms(&b, now) >= 500 && bucket_wait_ms(&b, now) <= 520);
    now += INT64_C(86400) * 1000000 * 365;
    for (taken = 0; bucket_wait_ms(&b, now) == 0; taken++) {
        bucket_take(&b);
    }
    CHECK_INT(taken, 100);
    bucket_init(&b, UINT32_MAX, 0);
    bucket_take(&b);
    CHECK_INT(bucket_wait_ms(&b, INT64_MAX / 2), 0);
}

/* 200 calls, of which half are more than the burst: they wait for about a second. */
static void calls_above_the_rate_wait_and_are_made(void)
{
    enum { TIMES = 40, CALLS = 5, RATE = 100 };
    auto_netset targets = {0};
    auto_strvec to = {0};
    uint16_t port = 0;
    auto_fd int in = listener("127.0.0.9", SOCK_STREAM, &port);
    auto_fd int in_udp = listener("127.0.0.9", SOCK_DGRAM, &port);
    auto_free char *text = NULL;
    int64_t began;

    for (unsigned i = 0; i < TIMES; i++) {
        strvec_pushf(&to, "127.0.0.9,%u", port);
    }
    daemon_start();
    if (!d.caps.usable[EGRESS_BROKER]) {
        daemon_stop();
        tap_skip("no seccomp notifications here");
    }
    CHECK_INT(listen(in, 2 * TIMES), 0);
    add_range(&targets, "127.0.0.9");
    began = boot_ms();
    launch_speak(
        (struct runner_launch){
            .run = 1, .egress = EGRESS_BROKER, .targets = &targets, .limits = {.rate_pps = RATE}},
        (const char *const *)to.v);
    text = output_of(1);
    CHECK(boot_ms() - began >= 900);
    CHECK_INT(d.runs[1].end.sandbox.counts.passed, TIMES * CALLS);
    CHECK_INT(d.runs[1].end.sandbox.counts.rate, 0);
    CHECK_INT(datagrams(in_udp), TIMES * 3);
    daemon_stop();
}

static void a_set_of_twenty_thousand_ranges_is_passed_on_whole(void)
{
    auto_netset targets = {0};
    uint16_t port = 0;
    auto_fd int in = listener("127.9.9.1", SOCK_STREAM, &port);
    auto_free char *inside = str_fmt("127.9.9.1,%u", port);
    auto_free char *beside = str_fmt("127.9.9.2,%u", port);
    auto_free char *text = NULL;
    auto_buf lines = {0};

    for (unsigned i = 0; i < 20000; i++) {
        struct net_ip ip = {.lo = 0x7f000000u + i * 2 + 1};

        netset_add(&targets, &(struct net_range){ip, ip});
        buf_addf(&lines, "127.0.%u.%u\n", i >> 7, (i * 2 + 1) & 255);
    }
    add_range(&targets, "127.9.9.1");
    daemon_start();
    if (!d.caps.usable[EGRESS_BROKER]) {
        daemon_stop();
        tap_skip("no seccomp notifications here");
    }
    launch_speak(
        (struct runner_launch){
            .run = 1, .egress = EGRESS_BROKER, .targets = &targets, .target_lines = lines.data},
        (const char *const[]){inside, beside, NULL});
    text = output_of(1);
    CHECK(strstr(text, "127.9.9.1,") && strstr(text, " connect 0 "));
    CHECK(strstr(strstr(text, "127.9.9.2,"), " connect ENETUNREACH ") != NULL);
    daemon_stop();
}

static void addresses_are_judged_by_what_the_kernel_would_make_of_them(void)
{
    auto_netset targets = {0};
    struct broker_scope scope = {.targets = &targets, .has_dns = true};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(80)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_nl nl = {.nl_family = AF_NETLINK};
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/secret"};

    add_range(&targets, "192.0.2.0/24");
    add_range(&targets, "2001:db8::/64");
    CHECK(net_ip_parse("198.51.100.53", &scope.dns));
    inet_pton(AF_INET, "192.0.2.255", &v4.sin_addr);
    CHECK_INT(broker_judge(&scope, &v4, sizeof v4, true), BROKER_PASS);
    CHECK_INT(broker_judge(&scope, &v4, sizeof v4 - 1, true), BROKER_REFUSED);
    v4.sin_family = AF_UNSPEC; /* which a datagram socket takes for AF_INET */
    CHECK_INT(broker_judge(&scope, &v4, sizeof v4, false), BROKER_REFUSED);
    CHECK_INT(broker_judge(&scope, &v4, sizeof v4, true), BROKER_LOCAL);
    v4.sin_family = AF_INET;
    inet_pton(AF_INET, "192.0.3.0", &v4.sin_addr);
    CHECK_INT(broker_judge(&scope, &v4, sizeof v4, true), BROKER_SCOPE);
    inet_pton(AF_INET, "198.51.100.53", &v4.sin_addr);
    CHECK_INT(broker_judge(&scope, &v4, sizeof v4, false), BROKER_SCOPE);
    v4.sin_port = htons(53);
    CHECK_INT(broker_judge(&scope, &v4, sizeof v4, false), BROKER_PASS);
    inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
    CHECK_INT(broker_judge(&scope, &v6, sizeof v6, true), BROKER_PASS);
    inet_pton(AF_INET6, "2001:db8:0:1::1", &v6.sin6_addr);
    CHECK_INT(broker_judge(&scope, &v6, sizeof v6, true), BROKER_SCOPE);
    inet_pton(AF_INET6, "::ffff:192.0.2.7", &v6.sin6_addr);
    CHECK_INT(broker_judge(&scope, &v6, sizeof v6, true), BROKER_PASS);
    inet_pton(AF_INET6, "::ffff:192.0.3.7", &v6.sin6_addr);
    CHECK_INT(broker_judge(&scope, &v6, sizeof v6, true), BROKER_SCOPE);
    inet_pton(AF_INET6, "::192.0.2.7", &v6.sin6_addr);
    CHECK_INT(broker_judge(&scope, &v6, sizeof v6, true), BROKER_SCOPE);
    CHECK_INT(broker_judge(&scope, &nl, sizeof nl, false), BROKER_LOCAL);
    nl.nl_pid = 1;
    CHECK_INT(broker_judge(&scope, &nl, sizeof nl, false), BROKER_REFUSED);
    CHECK_INT(broker_judge(&scope, &un, sizeof un, true), BROKER_REFUSED);
    CHECK_INT(broker_judge(&scope, &un, 1, true), BROKER_REFUSED);
    CHECK_INT(broker_judge(&scope, &un, 0, true), BROKER_REFUSED);
}

/* ---- levels ---- */

static void a_level_that_is_not_there_is_named_and_nothing_is_started(void)
{
    const struct seen *s;

    daemon_start();
    CHECK(!d.caps.usable[EGRESS_NFT] && !d.caps.usable[EGRESS_ROOTLESS]);
    CHECK(!d.caps.usable[EGRESS_UNCONFINED] && d.caps.why[EGRESS_UNCONFINED][0]);
    for (uint64_t run = EGRESS_NFT; run < EGRESS_LEVELS; run++) {
        if (run == EGRESS_BROKER) {
            continue;
        }
        launch((struct runner_launch){.run = run, .egress = (enum egress)run}, "exit", "0");
        s = finish(run);
        CHECK(!s->end.started);
        CHECK_STR(s->step, "egress");
        CHECK(strstr(s->why, d.caps.why[run]) != NULL);
        CHECK_INT(s->end.sandbox.egress, run);
    }
    daemon_stop();
}

static void a_proxied_run_has_its_list_and_fails_with_its_proxy(void)
{
    const struct proxy_config pc = {.change_user = geteuid() == 0, .uid = 65534, .gid = 65534};
    struct runner_config c = {.netd_fd = -1};
    auto_strvec allow = {0};
    struct runner_launch l = {
        .run = 1, .parser = "test", .egress = EGRESS_NONE, .blob_fd = -1, .proxy_allow = &allow};
    const struct seen *s;
    int pidfd;

    CHECK_OK(proxy_spawn(&pc, &c.proxy_fd, &pidfd, ERR));
    daemon_start_with(c);
    fd_close(&c.proxy_fd);
    if (!d.caps.usable[EGRESS_PROXY]) {
        CHECK(d.caps.why[EGRESS_PROXY][0]);
        daemon_stop();
        fd_close(&pidfd);
        tap_skip("no network namespaces here");
    }
    strvec_push(&allow, "git.example.org:443=192.0.2.0/24");
    CHECK_ERR(launch_as(&l, test_standin(), "exit", "0"), ERR_INVALID); /* another level's */
    l.egress = EGRESS_PROXY;
    strvec_push(&allow, "example.org"); /* no port */
    CHECK_ERR(launch_as(&l, test_standin(), "exit", "0"), ERR_INVALID);
    free(allow.v[--allow.n]);
    launch((struct runner_launch){.run = 1, .egress = EGRESS_PROXY, .proxy_allow = &allow}, "exit",
           "3");
    s = finish(1);
    CHECK_INT(s->end.exit_status, 3);
    CHECK(s->end.sandbox.counted && s->end.sandbox.counts.passed == 0);
    CHECK_INT(s->end.sandbox.egress, EGRESS_PROXY);
    launch((struct runner_launch){.run = 2, .egress = EGRESS_PROXY, .proxy_allow = &allow}, "wait",
           "");
    while (!d.runs[2].started) {
        turn();
    }
    CHECK(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0);
    s = finish(2);
    CHECK_INT(s->end.cause, RUN_NETD);
    CHECK_STR(s->why, "the proxy ended while the tool ran");
    while (d.caps.usable[EGRESS_PROXY]) {
        turn(); /* it is told that the level is gone */
    }
    daemon_stop();
    fd_close(&pidfd);
}

static void unconfined_runs_need_the_setting(void)
{
    daemon_start_with((struct runner_config){.netd_fd = -1, .allow_unconfined = true});
    CHECK(d.caps.usable[EGRESS_UNCONFINED]);
    launch((struct runner_launch){.run = 1, .egress = EGRESS_UNCONFINED}, "exit", "4");
    CHECK_INT(finish(1)->end.exit_status, 4);
    CHECK_INT(d.runs[1].end.sandbox.egress, EGRESS_UNCONFINED);
    daemon_stop();
}

/* ---- netd ---- */

static int netd_pidfd;

/* In a network namespace of our own, which leads nowhere. */
static bool daemon_start_with_netd(void)
{
    const struct netd_config nc = {.change_user = true,
                                   .uid = 65534,
                                   .gid = 65534,
                                   .pool_v4 = "198.18.0.0/16",
                                   .pool_v6 = "fd5c:a17e::/64",
                                   .forward = true};
    int fd;

    if (geteuid() != 0) {
        return false;
    }
    own_network();
    CHECK_OK(netd_spawn(&nc, &fd, &netd_pidfd, ERR));
    daemon_start_with((struct runner_config){.netd_fd = fd, .netd = &nc});
    close(fd);
    return d.caps.usable[EGRESS_NFT];
}

static void daemon_stop_with_netd(void)
{
    struct pollfd p = {.fd = netd_pidfd, .events = POLLIN};
    siginfo_t info;

    daemon_stop();
    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1); /* it ends with its runner */
    CHECK_INT(waitid((idtype_t)P_PIDFD, (id_t)netd_pidfd, &info, WEXITED), 0);
    close(netd_pidfd);
}

static void goes_out_by_netd(void)
{
    auto_netset targets = {0};
    auto_netset forbidden = {0};
    const struct sandbox_report *r;

    if (!daemon_start_with_netd()) {
        auto_free char *why = xstrdup(d.caps.why[EGRESS_NFT]);

        daemon_stop_with_netd();
        tap_skip("level nft: %s", why);
    }
    add_range(&targets, "10.77.1.2");
    launch_speak((struct runner_launch){.run = 1,
                                        .egress = EGRESS_NFT,
                                        .targets = &targets,
                                        .raw_sockets = true,
                                        .wall_ms = 300}, /* nobody answers */
                 (const char *const[]){"10.77.2.2,7", NULL});
    r = &finish(1)->end.sandbox;
    CHECK(d.runs[1].end.started);
    CHECK_INT(r->egress, EGRESS_NFT);
    CHECK(r->counted && r->raw_sockets);
    CHECK_INT(r->counts.passed, 0);
    CHECK(r->counts.out_of_scope > 0);
    CHECK_INT(r->limit, LIMIT_TIMEOUT);

    add_range(&forbidden, "192.0.2.1");
    launch((struct runner_launch){.run = 2, .egress = EGRESS_NFT, .targets = &forbidden}, "exit",
           "0");
    CHECK(!finish(2)->end.started);
    CHECK_INT(d.runs[2].end.cause, RUN_NETD);
    CHECK_STR(d.runs[2].step, "netd");
    CHECK(strstr(d.runs[2].why, "192.0.2.1") != NULL);
    for (uint64_t run = 3; run < 9; run++) {
        launch((struct runner_launch){.run = run, .egress = EGRESS_NFT, .targets = &targets},
               "exit", "0");
    }
    for (uint64_t run = 3; run < 9; run++) {
        while (!d.runs[run].ends) {
            turn();
        }
        CHECK_INT(d.runs[run].end.exit_status, 0);
        CHECK(d.runs[run].end.sandbox.counted);
    }
    daemon_stop_with_netd();
}

static void a_way_out_by_netd_is_made_counted_and_refused(void)
{
    if (geteuid() != 0) {
        tap_skip("needs root, who starts netd");
    }
    goes_out_by_netd();
}

static void a_run_whose_netd_is_killed_has_failed_and_is_over(void)
{
    auto_netset targets = {0};

    if (!daemon_start_with_netd()) {
        if (geteuid() == 0) {
            daemon_stop_with_netd();
        }
        tap_skip("level nft does not work here");
    }
    add_range(&targets, "10.77.1.2");
    launch(
        (struct runner_launch){
            .run = 1, .egress = EGRESS_NFT, .targets = &targets, .grace_ms = PATIENCE_MS},
        "deaf", "");
    while (!d.runs[1].started) {
        turn();
    }
    CHECK_INT(syscall(SYS_pidfd_send_signal, netd_pidfd, SIGKILL, NULL, 0), 0);
    (void)finish(1);
    CHECK_INT(d.runs[1].end.cause, RUN_NETD);
    CHECK(d.runs[1].why[0]);
    CHECK(!d.runs[1].end.sandbox.counted);
    launch((struct runner_launch){.run = 2, .egress = EGRESS_NFT, .targets = &targets}, "exit",
           "0");
    CHECK(!finish(2)->end.started); /* nor is it taken for usable any more */
    launch((struct runner_launch){.run = 3}, "exit", "0");
    CHECK_INT(finish(3)->end.exit_status, 0);
    daemon_stop_with_netd();
}

/* ---- questions ---- */

static void ask(uint64_t id, const char *program, const char *what, const char *arg)
{
    auto_strvec argv = {0};

    strvec_push(&argv, program);
    strvec_pushf(&argv, "%s.%u.", mark, (unsigned)id);
    strvec_push(&argv, what);
    strvec_push(&argv, arg);
    CHECK_OK(runner_ask(d.r, id, &argv, ERR));
}

static void is_asked(void)
{
    daemon_start();
    ask(1, test_standin(), "ask", "");
    while (d.answers < 1) {
        turn();
    }
    CHECK_STR(d.answer.data, "1:standin 1.0\n;");
    buf_reset(&d.answer);
    ask(2, "/nonexistent/tool", "", "");
    while (d.answers < 2) {
        turn();
    }
    CHECK_STR(d.answer.data, "2:;");
    buf_reset(&d.answer);
    ask(3, test_standin(), "endless", "");
    while (d.answers < 3) {
        turn();
    }
    CHECK_INT(d.answer.len, 2 + 4096 + 1);
    buf_reset(&d.answer);
    ask(4, test_standin(), "deaf", "");
    while (d.answers < 4) {
        turn();
    }
    CHECK_STR(d.answer.data, "4:!;"); /* what it said before its time was over */
    daemon_stop();
}

static void a_program_is_asked_for_what_it_prints(void)
{
    each_level(is_asked);
}

/* ---- stored output ---- */

static int store_output(const char *text)
{
    auto_free char *path = str_fmt("%s/stored", test_dir());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct blob_writer *w = blob_writer_new(dup(fd));
    uint64_t size, stored;
    char sha[65];

    CHECK_OK(blob_write(w, text, strlen(text), ERR));
    CHECK_OK(blob_writer_end(w, sha, &size, &stored, ERR));
    CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static int launch_stored(uint64_t run, int fd, const char *parser, uint64_t max)
{
    struct runner_launch l = {
        .run = run, .parser = parser, .blob_fd = -1, .input_fd = fd, .output_max = max};

    return runner_launch(d.r, &l, ERR);
}

static void stored_output_is_parsed_again_without_a_tool(void)
{
    auto_free char *text = str_fmt("%s%s", two_hosts, closing);
    auto_fd int fd = store_output(text);
    const struct seen *s;
    struct story story;

    daemon_start();
    CHECK_OK(launch_stored(1, fd, "nmap-xml", UINT64_MAX));
    s = finish(1);
    CHECK(s->end.started && !s->end.parser_failed);
    CHECK_INT(s->end.exit_status, 0);
    CHECK_INT(s->end.cause, RUN_BY_ITSELF);
    CHECK_INT(s->end.sandbox.output_bytes, strlen(text));
    CHECK(read_story(s, &story));
    CHECK_INT(story.hosts, 2);
    CHECK(story.complete);
    CHECK_INT(story.raw.size, strlen(text));
    free(story.args);

    CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
    CHECK_OK(launch_stored(2, fd, "nmap-xml", 100));
    s = finish(2);
    CHECK_INT(s->end.cause, RUN_OUTPUT);
    CHECK_INT(s->end.sandbox.limit, LIMIT_OUTPUT);
    daemon_stop();
}

static void stored_output_that_is_damaged_is_a_failure_with_its_reason(void)
{
    auto_fd int fd = store_output(two_hosts);
    const struct seen *s;
    struct story story;

    daemon_start();
    CHECK_INT(ftruncate(fd, 20), 0);
    CHECK_OK(launch_stored(1, fd, "nmap-xml", UINT64_MAX));
    s = finish(1);
    CHECK(s->end.parser_failed);
    CHECK(read_story(s, &story));
    CHECK_INT(story.end_code, ERR_IO);
    free(story.args);
    daemon_stop();
}

static void a_reparse_that_hangs_is_stopped(void)
{
    auto_fd int fd = store_output("HANG");

    daemon_start();
    CHECK_OK(launch_stored(1, fd, "test", UINT64_MAX));
    while (!d.runs[1].started) {
        turn();
    }
    runner_stop(d.r, 1);
    CHECK(finish(1)->end.parser_failed);
    daemon_stop();
}

static void a_file_that_was_handed_in_is_parsed_and_kept(void)
{
    auto_free char *text = str_fmt("%s%s", two_hosts, closing);
    auto_free char *path = write_test_file("import.xml", text);
    auto_free char *blob_path = str_fmt("%s/import.zst", test_dir());
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_fd int blob = open(blob_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct runner_launch l = {.run = 1,
                              .parser = "nmap-xml",
                              .blob_fd = blob,
                              .input_fd = fd,
                              .plain = true,
                              .output_max = UINT64_MAX};
    const struct seen *s;
    struct story story;

    daemon_start();
    CHECK_OK(runner_launch(d.r, &l, ERR));
    s = finish(1);
    CHECK(s->end.started && !s->end.parser_failed);
    CHECK(read_story(s, &story));
    CHECK_INT(story.hosts, 2);
    CHECK(story.complete);
    CHECK_INT(story.raw.size, strlen(text));
    CHECK(story.raw.stored > 0);
    free(story.args);
    daemon_stop();
}

static void only_files_are_plain(void)
{
    struct runner_launch l = {.run = 1, .plain = true};

    daemon_start();
    CHECK_ERR(launch_as(&l, test_standin(), "exit", "0"), ERR_INVALID);
    daemon_stop();
}

/* ---- leases ---- */

/* Run 1, until soon, but so late that it has been started by then, however busy the machine is. */
static int64_t launch_for_a_while(const char *what)
{
    struct seen *s = &d.runs[1];

    for (int64_t ms = 300; ms < PATIENCE_MS; ms *= 2) {
        const int64_t until = boot_ms() + ms;

        /* With a grace that nobody waits for. */
        launch((struct runner_launch){.run = 1, .lease_until_ms = until, .grace_ms = PATIENCE_MS},
               what, "");
        while (!s->started && !s->ends) {
            turn();
        }
        if (s->started) {
            return until;
        }
        buf_done(&s->records);
        free(s->step);
        free(s->tail);
        free(s->why);
        *s = (struct seen){.in_order = true};
    }
    tap_fail(__FILE__, __LINE__, "it never started in time");
    return 0;
}

/* Without a word to the runner or from it. */
static void await_no_tool(void)
{
    for (int64_t until = boot_ms() + PATIENCE_MS; marked_processes(0) > 0;) {
        CHECK(boot_ms() < until);
        poll(NULL, 0, 5);
    }
}

static void lease_passes(void)
{
    const struct seen *s;
    int64_t until;

    daemon_start();
    until = launch_for_a_while("daemon-and-wait"); /* a child in a session of its own */
    launch((struct runner_launch){.run = 2}, "exit", "0");
    s = finish(1);
    CHECK(s->end.started && boot_ms() >= until);
    CHECK_INT(s->end.cause, RUN_LEASE);
    CHECK_INT(s->end.exit_signal, SIGKILL);
    CHECK_INT(finish(2)->end.cause, RUN_BY_ITSELF);
    daemon_stop();
}

static void a_run_whose_lease_passes_is_killed_at_once_with_all_its_children(void)
{
    each_level(lease_passes);
}

static void a_lease_that_is_extended_keeps_its_run_alive_and_a_shorter_one_is_not_taken(void)
{
    const struct seen *s;
    int64_t from;

    daemon_start();
    from = launch_for_a_while("wait");
    launch((struct runner_launch){.run = 2, .lease_until_ms = from + PATIENCE_MS}, "wait", "");
    runner_extend(d.r, 1, from + 600);
    runner_extend(d.r, 1, from + 1);
    runner_extend(d.r, 2, from + 1);
    runner_extend(d.r, 3, from + 1); /* there is none */
    s = finish(1);
    CHECK_INT(s->end.cause, RUN_LEASE);
    CHECK(boot_ms() >= from + 600);
    CHECK_INT(d.runs[2].ends, 0);
    runner_stop(d.r, 2);
    CHECK_INT(finish(2)->end.cause, RUN_STOPPED);
    daemon_stop();
}

static void runner_is_frozen(void)
{
    int64_t until;

    daemon_start();
    until = launch_for_a_while("deaf");
    CHECK_INT(syscall(SYS_pidfd_send_signal, d.pidfd, SIGSTOP, NULL, 0), 0);
    await_no_tool();
    CHECK(boot_ms() >= until);
    CHECK_INT(syscall(SYS_pidfd_send_signal, d.pidfd, SIGCONT, NULL, 0), 0);
    CHECK_INT(finish(1)->end.cause, RUN_LEASE);
    daemon_stop();
}

static void a_tool_dies_with_its_lease_while_the_runner_is_frozen(void)
{
    each_level(runner_is_frozen);
}

/* A daemon that was frozen when it had just moved the lease on: what it wrote holds, no more. */
static void a_tool_dies_with_its_lease_while_daemon_and_runner_are_frozen(void)
{
    int told[2];
    char byte;
    int status;
    pid_t pid;

    CHECK_INT(pipe2(told, O_CLOEXEC), 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        daemon_start();
        runner_extend(d.r, 1, launch_for_a_while("deaf") + 300);
        (void)!write(told[1], mark, sizeof mark);
        (void)syscall(SYS_pidfd_send_signal, d.pidfd, SIGSTOP, NULL, 0);
        raise(SIGSTOP);
        (void)syscall(SYS_pidfd_send_signal, d.pidfd, SIGCONT, NULL, 0);
        CHECK_INT(finish(1)->end.cause, RUN_LEASE);
        daemon_stop();
        _exit(0);
    }
    close(told[1]);
    CHECK_INT(read(told[0], mark, sizeof mark), sizeof mark);
    CHECK_INT(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status));
    await_no_tool();
    CHECK_INT(kill(pid, SIGCONT), 0);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_INT(read(told[0], &byte, 1), 0);
    close(told[0]);
}

static void a_run_that_is_launched_too_late_is_not_started(void)
{
    const struct seen *s;

    daemon_start();
    launch((struct runner_launch){.run = 1, .lease_until_ms = boot_ms() - 1}, "exit", "0");
    s = finish(1);
    CHECK(!s->end.started);
    CHECK_INT(s->end.cause, RUN_LEASE);
    daemon_stop();
}

static void a_parser_does_not_outlive_the_lease_of_its_run(void)
{
    auto_free char *path = write_test_file("late", "HANG");
    auto_fd int input = open(path, O_RDONLY | O_CLOEXEC);
    const struct strvec nothing = {0};
    const struct runner_launch l = {.run = 1,
                                    .argv = &nothing,
                                    .parser = "test",
                                    .output_max = UINT64_MAX,
                                    .blob_fd = -1,
                                    .input_fd = input,
                                    .plain = true,
                                    .lease_until_ms = boot_ms() + 50};

    daemon_start_with((struct runner_config){.netd_fd = -1, .parser_idle_ms = PATIENCE_MS});
    CHECK_OK(runner_launch(d.r, &l, ERR));
    CHECK_INT(finish(1)->end.cause, RUN_LEASE);
    daemon_stop();
}

static void slots_of_leases_are_used_again_and_never_twice_at_once(void)
{
    struct leases s = {0};
    int fd = -1;
    uint32_t slot = NO_LEASE, first = NO_LEASE;
    const int64_t *seen;

    CHECK_OK(leases_make(&s, &fd, ERR));
    seen = leases_map(fd);
    CHECK(seen);
    for (uint32_t i = 0; i < LEASES; i++) {
        CHECK_OK(lease_take(&s, 1000 + i, &slot, ERR));
        first = i == 0 ? slot : first;
        CHECK_INT(lease_until_ms(&seen[slot]), 1000 + i);
    }
    CHECK_ERR(lease_take(&s, 1, &slot, ERR), ERR_LIMIT);
    lease_move(&s, first, 5000);
    CHECK_INT(lease_until_ms(&seen[first]), 5000);
    lease_move(&s, first, 4999);
    CHECK_INT(lease_until_ms(&seen[first]), 5000);
    lease_give(&s, first);
    CHECK_OK(lease_take(&s, 7, &slot, ERR));
    CHECK_INT(slot, first);
    lease_give(&s, NO_LEASE);
    leases_done(&s);
    CHECK_INT(lease_until_ms(&seen[slot]), 0);
    leases_done(&s);
    CHECK_INT(munmap((void *)(uintptr_t)seen, LEASES * sizeof *seen), 0);
    close(fd);
}

static void memory_of_leases_cannot_be_written_to_through_its_descriptor(void)
{
    struct leases s = {0};
    auto_fd int fd = -1;
    auto_fd int other = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const int64_t one = 1;
    const int64_t *seen;

    CHECK_OK(leases_make(&s, &fd, ERR));
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    CHECK_INT(pwrite(fd, &one, sizeof one, 0), -1);
    CHECK_INT(ftruncate(fd, 0), -1);
    seen = leases_map(fd);
    CHECK(seen);
    CHECK_INT(mprotect((void *)(uintptr_t)seen, 4096, PROT_READ | PROT_WRITE), -1);
    CHECK_INT(munmap((void *)(uintptr_t)seen, LEASES * sizeof *seen), 0);
    /* What could shrink under the reader is not taken. */
    CHECK_INT(ftruncate(other, LEASES * sizeof one), 0);
    CHECK(!leases_map(other));
    CHECK(!leases_map(-1));
    leases_done(&s);
}

static void a_tools_last_words_are_handed_on_now_and_then(void)
{
    const struct seen *s;

    daemon_start();
    launch((struct runner_launch){.run = 1}, "status", "");
    s = finish(1);
    CHECK_STR(s->status.data,
              "28:rate: 10.00-kpps, 12;14:line 0 of many;256:xxxxxxxxxxxxxxxxxxxx;");
    daemon_stop();
}

static void parser_makes_a_socket(void)
{
    auto_free char *path = write_test_file("socket", "SOCKET");
    const struct seen *s;

    daemon_start();
    launch((struct runner_launch){.run = 1}, "print", path);
    s = finish(1);
    CHECK(s->end.parser_failed);
    daemon_stop();
}

/* Not a file: the sanitizers make their reports with some. */
static void a_parser_that_makes_a_socket_is_ended_by_the_kernel(void)
{
    each_level(parser_makes_a_socket);
}

TESTS(a_run_tells_its_results_its_raw_output_and_its_end, a_missing_program_did_not_start,
      the_last_whole_lines_of_stderr_come_with_the_end, a_tool_that_crashes_is_told_by_its_signal,
      a_stop_ends_the_whole_tree_politely_or_not, a_run_ends_at_its_time_limit,
      a_run_ends_at_its_output_limit_and_says_what_it_kept,
      a_parser_that_crashes_costs_its_run_alone, a_parser_that_hangs_after_its_tool_is_ended,
      raw_output_that_cannot_be_kept_ends_the_run_with_the_reason,
      output_that_breaks_off_keeps_its_complete_hosts, results_come_while_the_tool_still_runs,
      a_paused_run_keeps_its_records_and_its_end_back,
      a_working_directory_goes_with_all_that_is_in_it_and_nothing_else,
      a_directory_is_used_again_only_if_it_is_as_new, old_work_is_swept_at_the_start_however_deep,
      many_runs_at_once_do_not_mix, tools_die_with_a_runner_that_is_killed,
      runner_and_tools_go_when_the_daemon_has_gone,
      a_tool_started_by_root_is_nobody_with_one_capability_at_most,
      a_runner_that_hears_nonsense_ends_itself, a_daemon_that_hears_nonsense_gives_the_runner_up,
      what_cannot_be_launched_is_refused_at_once, the_limit_that_ended_a_run_is_named,
      a_tool_finds_its_targets_and_pinned_names_in_files,
      a_brokered_tool_reaches_its_targets_and_nothing_else,
      a_brokered_call_that_has_to_wait_keeps_nobody_else_waiting,
      a_set_of_twenty_thousand_ranges_is_passed_on_whole,
      addresses_are_judged_by_what_the_kernel_would_make_of_them,
      a_bucket_lets_its_rate_pass_and_a_burst_before, calls_above_the_rate_wait_and_are_made,
      a_level_that_is_not_there_is_named_and_nothing_is_started, unconfined_runs_need_the_setting,
      a_proxied_run_has_its_list_and_fails_with_its_proxy,
      a_way_out_by_netd_is_made_counted_and_refused,
      a_run_whose_netd_is_killed_has_failed_and_is_over, a_program_is_asked_for_what_it_prints,
      stored_output_is_parsed_again_without_a_tool,
      stored_output_that_is_damaged_is_a_failure_with_its_reason, a_reparse_that_hangs_is_stopped,
      a_file_that_was_handed_in_is_parsed_and_kept, only_files_are_plain,
      a_tools_last_words_are_handed_on_now_and_then,
      a_parser_that_makes_a_socket_is_ended_by_the_kernel,
      a_run_whose_lease_passes_is_killed_at_once_with_all_its_children,
      a_lease_that_is_extended_keeps_its_run_alive_and_a_shorter_one_is_not_taken,
      a_tool_dies_with_its_lease_while_the_runner_is_frozen,
      a_tool_dies_with_its_lease_while_daemon_and_runner_are_frozen,
      a_run_that_is_launched_too_late_is_not_started,
      a_parser_does_not_outlive_the_lease_of_its_run,
      slots_of_leases_are_used_again_and_never_twice_at_once,
      memory_of_leases_cannot_be_written_to_through_its_descriptor)
