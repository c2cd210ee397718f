/* box_rig - boxes at every level that the kernel grants, and proof that nothing of them is left. */
#pragma once

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "box/box.h"
#include "tap.h"

enum { PATIENCE_MS = 30000 };

/* The runner is not dumpable, and neither are we. */
__attribute__((constructor)) static void be_like_the_runner(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* The ways in which boxes are made, as box_without() forces them. */
struct way {
    const char *name;
    unsigned without;
    enum box_level level;
    bool view, privileged;
};
static const struct way ways[] = {
    {"userns", 0, BOX_USERNS, true, false},
    {"namespaces", BOX_WITHOUT_USERNS, BOX_NAMESPACES, true, true},
    {"plain", BOX_WITHOUT_USERNS | BOX_WITHOUT_PRIVILEGE, BOX_PLAIN, false, false},
    {"userns without a view", BOX_WITHOUT_MOUNT, BOX_USERNS, false, false},
};
static const struct way *now; /* the one of this moment */

static inline bool take_way(const struct way *w)
{
    const struct box_can *can;

    box_without(w->without);
    can = box_probe();
    now = w;
    return can->level == w->level && can->view == w->view;
}

static inline void each_way(void (*test)(void))
{
    unsigned done = 0;
    auto_buf missing = {0};

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        if (take_way(&ways[i])) {
            test();
            done++;
        } else if (!ways[i].privileged || geteuid() == 0) {
            buf_addf(&missing, " %s (%s)", ways[i].name, box_probe()->why);
        }
    }
    box_without(0);
    if (missing.len && str_eq(getenv("SCANPOD_MUST_SANDBOX"), "1")) {
        tap_fail(__FILE__, __LINE__, "levels that do not work here:%s", missing.data);
    }
    if (done == 0) {
        tap_skip("no level works here");
    }
}

static inline char *read_text(const char *path, size_t *n)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct buf text = {0};
    char chunk[65536];
    ssize_t got;

    while ((got = read(fd, chunk, sizeof chunk)) > 0) {
        buf_add(&text, chunk, (size_t)got);
    }
    CHECK_INT(got, 0);
    *n = text.len;
    return text.data;
}

/* A program, for any user to run. */
static inline void copy_file(const char *from, const char *path)
{
    size_t n;
    auto_free char *text = read_text(from, &n);
    auto_fd int to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

    CHECK_INT(write(to, text, n), n);
    CHECK_INT(fchmod(to, 0755), 0);
}

/* Programs of tests/tools, where any user can run them. Borrowed. */
static inline char *prisoner(void)
{
    static char copy[256];
    const char *path = getenv("SCANPOD_TEST_PRISONER");

    if (!copy[0]) {
        (void)test_standin(); /* opens test_dir() to other users */
        snprintf(copy, sizeof copy, "%s/prisoner", test_dir());
        copy_file(path ? path : "", copy);
    }
    return copy;
}

static inline char *hostile(void)
{
    static char copy[256];
    const char *path = getenv("SCANPOD_TEST_HOSTILE");

    if (!copy[0]) {
        (void)test_standin();
        snprintf(copy, sizeof copy, "%s/hostile", test_dir());
        copy_file(path ? path : "", copy);
    }
    return copy;
}

static inline char *standin(void)
{
    static char path[256];

    snprintf(path, sizeof path, "%s", test_standin());
    return path;
}

static char mark[64];

/* A fresh mark for every run, so that a leak is counted where it happened. */
static inline void new_mark(void)
{
    static unsigned count;

    snprintf(mark, sizeof mark, "box-test-%d-%u-end", getpid(), ++count);
}

/* How many processes carry our mark as an argument. */
static inline unsigned marked_processes(void)
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

/* How many mounts of boxes are in our own namespace. */
static inline unsigned leaked_mounts(void)
{
    FILE *f = fopen("/proc/self/mounts", "re");
    char line[4096];
    unsigned n = 0;

    while (fgets(line, sizeof line, f)) {
        n += strncmp(line, "scanpod ", 8) == 0;
    }
    fclose(f);
    return n;
}

struct run {
    struct box box;
    struct box_end end;
    int out; /* its stdout, our end */
    struct buf text;
};

/* What every box of the tests has: the programs in its view, and a directory without one. */
static inline struct box_spec a_spec(char *const *argv)
{
    static char *const env[] = {NULL};
    static struct box_bind binds[2];
    static char dir[300];
    static unsigned count;

    new_mark();
    binds[0].path = standin();
    binds[1].path = prisoner();
    snprintf(dir, sizeof dir, "%s/run-%u", test_dir(), ++count);
    CHECK_INT(mkdir(dir, 0700), 0);
    return (struct box_spec){
        .argv = argv,
        .env = env,
        .dir = dir,
        .in = -1,
        .out = -1,
        .err = -1,
        .calls = BOX_CALLS_NETWORK,
        .binds = binds,
        .n_binds = ARRAY_LEN(binds),
        .hold_fd = -1,
        .cgroup_fd = -1,
    };
}

static inline void start_spec(struct run *r, struct box_spec *spec)
{
    int fds[2];

    *r = (struct run){.out = -1};
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    spec->out = fds[1];
    r->out = fds[0];
    CHECK_OK(box_start(spec, &r->box, ERR));
    close(fds[1]);
    CHECK_STR(r->box.level, box_level_name(now->level));
}

static inline void await_note(struct run *r)
{
    struct pollfd p = {.fd = r->box.report_fd, .events = POLLIN};

    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1);
    (void)box_poll(&r->box);
}

/* Nothing is left, before anybody reaped anything. */
static inline void finish(struct run *r)
{
    struct pollfd p = {.fd = r->box.pidfd, .events = POLLIN};
    char chunk[4096];
    ssize_t n;

    CHECK_INT(poll(&p, 1, PATIENCE_MS), 1);
    CHECK_INT(marked_processes(), 0);
    CHECK_OK(box_wait(&r->box, &r->end, ERR));
    while ((n = read(r->out, chunk, sizeof chunk)) > 0) {
        buf_add(&r->text, chunk, (size_t)n);
    }
    CHECK_INT(leaked_mounts(), 0);
    box_done(&r->box);
    fd_close(&r->out);
}

/* For boxes that have to start. */
static inline void check_started(const struct run *r)
{
    if (!r->end.started) {
        tap_fail(__FILE__, __LINE__, "%s: not started: %s: %s", now->name, r->end.step,
                 strerror(r->end.errnum));
    }
}

static inline bool has_line(const struct run *r, const char *line)
{
    auto_free char *whole = str_fmt("\n%s\n", line);
    auto_free char *text = str_fmt("\n%s", r->text.data ? r->text.data : "");

    return strstr(text, whole) != NULL;
}

static inline void check_line(const struct run *r, const char *line)
{
    if (!has_line(r, line)) {
        tap_fail(__FILE__, __LINE__, "%s: no line '%s' in: %s", now->name, line,
                 r->text.data ? r->text.data : "");
    }
}

/* The whole test program once more, as a user with nothing. Its own run of this test is skipped. */
static inline void run_as_nobody(void)
{
    auto_free char *program = str_fmt("%s/again", test_dir());
    auto_free char *log = str_fmt("%s/again.log", test_dir());
    char *argv[] = {program, NULL};
    size_t n;
    auto_free char *text = NULL;
    int status;
    pid_t pid;

    setenv("SCANPOD_TEST_STANDIN", standin(), 1);
    setenv("SCANPOD_TEST_PRISONER", prisoner(), 1);
    if (getenv("SCANPOD_TEST_HOSTILE")) {
        setenv("SCANPOD_TEST_HOSTILE", hostile(), 1);
    }
    copy_file("/proc/self/exe", program);
    pid = fork();
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0 ||
            setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0) {
            _exit(2);
        }
        execv(program, argv);
        _exit(3);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    text = read_text(log, &n);
    if (status != 0) {
        tap_fail(__FILE__, __LINE__, "as nobody: %d: %s", status, text);
    }
    CHECK(strstr(text, "not ok") == NULL);
}

static inline void again_as_nobody(void)
{
    if (geteuid() != 0) {
        tap_skip("needs root to become somebody else; without it all other tests prove the same");
    }
    run_as_nobody();
}
