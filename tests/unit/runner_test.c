/*
 * The runner with its boxes and parsers, seen from the daemon: what is told, in which order, and
 * that nothing is left behind, whoever dies first. At every level that the kernel grants; as root
 * the runner becomes nobody, as in real life.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "box/box.h"
#include "ipc/chan.h"
#include "ipc/record.h"
#include "runner/runner.h"
#include "runner/work_dir.h"
#include "tap.h"

enum { PATIENCE_MS = 60000, RUNS_MAX = 32 };

static char mark[64];
static enum box_level level_now;

/* Every run's tool has MARK.RUN. as an argument; run 0 stands for all. */
static unsigned marked_processes(uint64_t run)
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

static void *test_new(const struct parse_sink *sink)
{
    struct test_parser *p = xcalloc(1, sizeof *p);

    p->sink = sink;
    p->text.cap = 200000;
    return p;
}

static int test_feed(void *arg, const char *data, size_t n, struct err *e)
{
    struct test_parser *p = arg;

    (void)e;
    buf_add(&p->text, data, n);
    if (p->text.data && strstr(p->text.data, "CRASH")) {
        signal(SIGABRT, SIG_DFL);
        abort();
    }
    if (p->text.data && strstr(p->text.data, "HANG")) {
        pause();
    }
    return 0;
}

static int test_finish(void *arg, struct err *e)
{
    struct test_parser *p = arg;
    struct run_info run = {.args = p->text.data, .complete = true};

    return p->sink->run(p->sink->arg, &run, e);
}

static void test_free(void *arg)
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
    char *step, *tail;
};

struct daemon {
    struct loop *l;
    struct runner *r;
    int pidfd;
    char *work_dir;
    struct seen runs[RUNS_MAX];
    unsigned ready, gone, ended;
};

static struct daemon d;

static void on_ready(void *arg, const char *level, bool raw)
{
    (void)arg;
    (void)raw;
    d.ready++;
    CHECK_STR(level, box_level_name(level_now));
}

static void on_started(void *arg, uint64_t run)
{
    struct seen *s = &d.runs[run];

    (void)arg;
    s->in_order = s->in_order && !s->started && !s->records.len && !s->records_ends && !s->ends;
    s->started++;
}

static void on_records(void *arg, uint64_t run, const void *p, size_t n)
{
    struct seen *s = &d.runs[run];

    (void)arg;
    s->in_order = s->in_order && !s->records_ends && !s->ends && n <= RECORD_MAX;
    buf_add(&s->records, p, n);
}

static void on_records_end(void *arg, uint64_t run)
{
    struct seen *s = &d.runs[run];

    (void)arg;
    s->in_order = s->in_order && !s->records_ends && !s->ends;
    s->records_ends++;
}

static void on_ended(void *arg, const struct runner_end *end)
{
    struct seen *s = &d.runs[end->run];

    (void)arg;
    s->in_order = s->in_order && s->records_ends == 1 && !s->ends && s->started == end->started;
    s->ends++;
    s->left = marked_processes(end->run);
    s->end = *end;
    s->step = xstrdup(end->step);
    s->tail = xstrdup(end->stderr_tail);
    d.ended++;
}

static void on_gone(void *arg)
{
    (void)arg;
    d.gone++;
}

static void make_work_dir(void)
{
    static unsigned count;

    d.work_dir = str_fmt("%s/work-%u", test_dir(), ++count);
    CHECK_INT(mkdir(d.work_dir, 0700), 0);
    if (geteuid() == 0) {
        CHECK_INT(chmod(test_dir(), 0755), 0);
        CHECK_INT(chown(d.work_dir, 65534, 65534), 0);
    }
}

static void daemon_start(void)
{
    static const struct runner_events events = {on_ready, on_started, on_records, on_records_end,
                                                on_ended, on_gone,    NULL};
    static unsigned count;
    struct runner_config c = {.user = "nobody", .hold_fd = -1, .parser_idle_ms = 200};
    int fd;

    d = (struct daemon){.pidfd = -1};
    make_work_dir();
    c.work_dir = d.work_dir;
    snprintf(mark, sizeof mark, "runner-test-%d-%u-end", getpid(), ++count);
    runner_add_parser(&test_parser);
    CHECK_OK(runner_spawn(&c, &fd, &d.pidfd, ERR));
    CHECK_OK(loop_new(&d.l, ERR));
    CHECK_OK(runner_connect(d.l, fd, &events, &d.r, ERR));
    for (int i = 0; i < RUNS_MAX; i++) {
        d.runs[i].in_order = true;
    }
}

static void turn(void)
{
    int64_t before = boot_ms();

    CHECK_OK(loop_turn(d.l, PATIENCE_MS, ERR));
    CHECK(boot_ms() - before < PATIENCE_MS);
}

static unsigned entries(const char *dir)
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

static void await_runner_end(void)
{
    struct pollfd p = {.fd = d.pidfd, .events = POLLIN};
    siginfo_t info;

    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1);
    CHECK_INT(waitid((idtype_t)P_PIDFD, (id_t)d.pidfd, &info, WEXITED), 0);
    fd_close(&d.pidfd);
}

static void daemon_free(void)
{
    runner_free(d.r);
    loop_free(d.l);
    free(d.work_dir);
    for (int i = 0; i < RUNS_MAX; i++) {
        buf_done(&d.runs[i].records);
        free(d.runs[i].step);
        free(d.runs[i].tail);
    }
}

/* The end of every test: nothing is left, and the runner ends in order. */
static void daemon_stop(void)
{
    CHECK_INT(marked_processes(0), 0);
    runner_free(d.r);
    d.r = NULL;
    await_runner_end();
    CHECK_INT(entries(d.work_dir), 0);
    daemon_free();
}

static int launch_as(struct runner_launch *l, const char *program, const char *what,
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
    if (!l->output_max) {
        l->output_max = UINT64_MAX;
    }
    return runner_launch(d.r, l, ERR);
}

static void launch(struct runner_launch l, const char *what, const char *arg)
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

static int hear_host(void *arg, const struct host *h, struct err *e)
{
    (void)h;
    (void)e;
    ((struct story *)arg)->hosts++;
    return 0;
}

static int hear_port(void *arg, const struct port *p, struct err *e)
{
    (void)p;
    (void)e;
    ((struct story *)arg)->ports++;
    return 0;
}

static int hear_run(void *arg, const struct run_info *r, struct err *e)
{
    struct story *st = arg;

    (void)e;
    st->args = xstrdup(r->args);
    st->complete = r->complete;
    return 0;
}

static int hear_raw(void *arg, const struct raw_info *r, struct err *e)
{
    (void)e;
    ((struct story *)arg)->raw = *r;
    return 0;
}

static int hear_end(void *arg, const struct parse_end *end, struct err *e)
{
    (void)e;
    ((struct story *)arg)->end_code = end->code;
    return 0;
}

/* False: the stream has no end. Free st->args. */
static bool read_story(const struct seen *s, struct story *st)
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

static void each_level(void (*test)(void))
{
    unsigned done = 0;
    auto_buf missing = {0};

    for (int l = BOX_PIDNS; l <= BOX_SUBREAPER; l++) {
        if (box_force_level((enum box_level)l)) {
            level_now = (enum box_level)l;
            test();
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

static char *write_test_file(const char *name, const char *text)
{
    char *path = str_fmt("%s/%s", test_dir(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    CHECK_INT(write(fd, text, strlen(text)), strlen(text));
    CHECK_INT(fchmod(fd, 0644), 0);
    close(fd);
    CHECK_INT(chmod(test_dir(), 0755), 0);
    return path;
}

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
    CHECK_STR(s->end.level, box_level_name(level_now));
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
    launch((struct runner_launch){.run = 3, .grace_ms = 50}, "children", "20");
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
    struct runner_config c = {.hold_fd = -1, .work_dir = base};
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

    daemon_start();
    launch((struct runner_launch){.run = 1, .raw_sockets = true}, "show", "");
    s = finish(1);
    CHECK_INT(s->end.exit_status, 0);
    CHECK(read_story(s, &story));
    CHECK(strstr(story.args, "Uid:\t65534\t65534\t65534\t65534\n") != NULL);
    CHECK(strstr(story.args, "NoNewPrivs:\t1\n") != NULL);
    CHECK(strstr(story.args, s->end.raw_sockets ? "CapEff:\t0000000000002000\n"
                                                : "CapEff:\t0000000000000000\n") != NULL);
    CHECK(strstr(story.args, s->end.raw_sockets ? "CapBnd:\t0000000000202000\n" : "CapBnd") !=
          NULL);
    CHECK(strstr(story.args, s->end.raw_sockets ? "raw socket yes" : "raw socket no") != NULL);
    CHECK(level_now != BOX_USERNS || !s->end.raw_sockets);
    CHECK(strstr(story.args, "\nfd 3\n") == NULL);
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
    struct runner_config c = {.hold_fd = -1, .work_dir = base};
    /* no such message; a launch without its socket; a launch that is cut; a stop with a tail */
    static const struct {
        const char *p;
        size_t n;
    } cases[] = {{"\xff\xff", 2},
                 {"\1\0", 2},
                 {"\1\0\1\0\0\0\0\0\0\0\4\0\0\0test", 18},
                 {"\2\0\1\0\0\0\0\0\0\0!", 11}};

    CHECK(box_force_level(BOX_SUBREAPER));
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
    static const char *const cases[] = {"\3\0", "\4\0xxxxxxxx", "\5\0garbage", "\1\0", "\x63\0"};

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
    CHECK(box_force_level(level_now = BOX_SUBREAPER));
    daemon_start();
    CHECK_ERR(launch_as(&l, test_standin(), "exit", "0"), ERR_INVALID);
    l.parser = NULL;
    CHECK_ERR(launch_as(&l, test_standin(), "exit", long_arg), ERR_LIMIT);
    launch((struct runner_launch){.run = 1}, "exit", "0"); /* the number is free again */
    (void)finish(1);
    daemon_stop();
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
      what_cannot_be_launched_is_refused_at_once)
