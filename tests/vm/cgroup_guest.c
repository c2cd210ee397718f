/*
 * Groups for runs, on a machine that has cgroup v2 and nothing else: as root, and as a user to whom
 * a group was delegated (`cgroup_guest delegated GROUP`). `cgroup_guest hog WHAT` is the tool.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "box/box.h"
#include "box/cgroup.h"
#include "tap.h"

#define MOUNT "/sys/fs/cgroup"
#define SELF  "/usr/bin/cgroup_guest"

enum { USER = 61001, MB = 1 << 20 };

/* ---- what a tool does wrong ---- */

static int hog_memory(void)
{
    for (int i = 0; i < 200; i++) {
        char *p = mmap(NULL, MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        memset(p, 1, MB);
    }
    return 0;
}

static int hog_processes(void)
{
    for (int i = 0; i < 100; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            pause();
        }
        if (pid < 0) {
            return errno == EAGAIN ? 3 : 4;
        }
    }
    return 0;
}

static int hog_processor(void)
{
    struct timespec from, now;

    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - from.tv_sec < 2);
    return 0;
}

static int hog(const char *what)
{
    switch (what[0]) {
    case 'm':
        return hog_memory();
    case 'p':
        return hog_processes();
    case 'c':
        return hog_processor();
    default:
        fork();
        fork();
        pause();
        return 0;
    }
}

/* ---- groups by hand ---- */

static void write_to(const char *path, const char *text)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        tap_fail(__FILE__, __LINE__, "write '%s' to %s: %s", text, path, strerror(errno));
    }
}

static bool enter(const char *group)
{
    auto_free char *path = str_fmt("%s/cgroup.procs", group);
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, "0", 1) == 1;
}

/* A new group with controllers, owned by `user` as systemd would do it. */
static char *new_group(uid_t user)
{
    static unsigned number;
    static const char *const files[] = {"", "/cgroup.procs", "/cgroup.threads",
                                        "/cgroup.subtree_control"};
    char *group = str_fmt(MOUNT "/unit%u", ++number);

    write_to(MOUNT "/cgroup.subtree_control", "+memory +pids +cpu");
    CHECK_INT(mkdir(group, 0755), 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_free char *path = str_fmt("%s%s", group, files[i]);

        CHECK_INT(chown(path, user, user), 0);
    }
    return group;
}

/* "ok", or why a process in `group` gets no groups of its own. */
static const char *answer_in(const char *group, uid_t owner)
{
    static char text[512];
    int fds[2];
    ssize_t n;
    pid_t pid;

    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        struct cgroup_tree *t = NULL;
        struct err e = {.msg = "cannot enter"};

        if (enter(group) && cgroup_open(owner, &t, &e) == 0) {
            snprintf(e.msg, sizeof e.msg, "ok");
        }
        _exit(write(fds[1], e.msg, strlen(e.msg)) < 0);
    }
    close(fds[1]);
    n = read(fds[0], text, sizeof text - 1);
    close(fds[0]);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

#define CHECK_HAS(text, part)                                                    \
    do {                                                                         \
        const char *text_ = (text);                                              \
        if (!strstr(text_, part)) {                                              \
            tap_fail(__FILE__, __LINE__, "'%s' does not say '%s'", text_, part); \
        }                                                                        \
    } while (0)

static void the_machines_root_group_is_not_taken(void)
{
    CHECK_HAS(answer_in(MOUNT, 0), "root group");
}

static void root_takes_a_group_only_if_it_was_delegated(void)
{
    auto_free char *group = new_group(0);

    CHECK_HAS(answer_in(group, 0), "is not delegated (Delegate=");
    CHECK_INT(setxattr(group, "trusted.delegate", "1", 1, 0), 0);
    CHECK_STR(answer_in(group, 0), "ok");
}

static void a_group_without_controllers_is_of_no_use(void)
{
    auto_free char *group = new_group(0);
    auto_free char *inner = str_fmt("%s/inner", group);

    CHECK_INT(mkdir(inner, 0755), 0);
    CHECK_HAS(answer_in(inner, 0), "not memory and pids");
}

static void a_group_with_other_processes_stays_as_it_was(void)
{
    auto_free char *group = new_group(0);
    auto_free char *leaf = str_fmt("%s/supervisor", group);
    pid_t other = fork();

    if (other == 0) {
        _exit(enter(group) ? pause() : 1);
    }
    CHECK_INT(setxattr(group, "trusted.delegate", "1", 1, 0), 0);
    for (int i = 0; i < 1000; i++) {
        auto_free char *events = str_fmt("%s/cgroup.events", group);
        auto_fd int fd = open(events, O_RDONLY | O_CLOEXEC);
        char text[64] = "";

        CHECK(read(fd, text, sizeof text - 1) > 0);
        if (strstr(text, "populated 1")) {
            break;
        }
        usleep(1000);
    }
    CHECK_HAS(answer_in(group, 0), "other processes are in it");
    CHECK_INT(access(leaf, F_OK), -1);
    kill(other, SIGKILL);
    CHECK_INT(waitpid(other, NULL, 0), other);
}

static void root_hands_its_group_over(void)
{
    auto_free char *group = new_group(0);
    auto_free char *procs = str_fmt("%s/cgroup.procs", group);
    struct stat st;

    CHECK_INT(setxattr(group, "trusted.delegate", "1", 1, 0), 0);
    CHECK_STR(answer_in(group, USER), "ok");
    CHECK_INT(stat(group, &st), 0);
    CHECK_INT(st.st_uid, USER);
    CHECK_INT(stat(procs, &st), 0);
    CHECK_INT(st.st_uid, USER);
}

/* ---- as a user in a delegated group ---- */

static const char *own_group;
static struct cgroup_tree *tree;

struct ended {
    struct box_end end;
    struct cgroup_use use;
    char cpu_stat[1024];
    bool removed;
};

static void run_in_group(const char *what, const struct cgroup_limits *l, bool kill_it,
                         struct ended *out)
{
    static uint64_t run = 0xfff0;
    char *const argv[] = {(char[]){SELF}, (char[]){"hog"}, xstrdup(what), NULL};
    char *const env[] = {NULL};
    struct box_spec spec = {.argv = argv,
                            .env = env,
                            .in = -1,
                            .out = -1,
                            .err = 2,
                            .net = BOX_NET_EMPTY,
                            .calls = BOX_CALLS_OFFLINE,
                            .hold_fd = -1};
    struct cgroup g;
    struct box b;
    auto_free char *path = NULL;

    CHECK_OK(cgroup_make(tree, ++run, l, &g, ERR));
    path = str_fmt("%s/%s", own_group, g.name);
    spec.cgroup_fd = g.dir_fd;
    CHECK_OK(box_start(&spec, &b, ERR));
    if (kill_it) {
        while (b.told == BOX_SILENT) {
            box_poll(&b);
            usleep(1000);
        }
        cgroup_kill(&g);
    }
    CHECK_OK(box_wait(&b, &out->end, ERR));
    box_done(&b);
    cgroup_use(&g, &out->use);

    auto_fd int fd = openat(g.dir_fd, "cpu.stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, out->cpu_stat, sizeof out->cpu_stat - 1);

    out->cpu_stat[n < 0 ? 0 : n] = '\0';
    cgroup_remove(tree, &g);
    out->removed = access(path, F_OK) < 0;
    free(argv[2]);
}

static void the_user_gets_groups_of_its_own(void)
{
    CHECK_OK(cgroup_open(0, &tree, ERR));
}

static void a_tool_that_takes_too_much_memory_is_ended_and_counted(void)
{
    struct ended r = {0};

    run_in_group("memory", &(struct cgroup_limits){.memory_bytes = 64 * MB}, false, &r);
    CHECK(r.end.started);
    CHECK_INT(r.end.exit_signal, SIGKILL);
    CHECK(r.use.oom_kills > 0);
    CHECK_INT(r.use.memory_peak_kb == -1 || r.use.memory_peak_kb > 60 * 1024, true);
    CHECK(r.removed);
}

static void without_the_limit_the_same_tool_ends_well(void)
{
    struct ended r = {0};

    run_in_group("memory", &(struct cgroup_limits){0}, false, &r);
    CHECK_INT(r.end.exit_status, 0);
    CHECK_INT(r.use.oom_kills, 0);
    CHECK(r.removed);
}

static void a_tool_that_forks_too_much_is_refused_and_counted(void)
{
    struct ended r = {0};

    run_in_group("processes", &(struct cgroup_limits){.pids = 20}, false, &r);
    CHECK_INT(r.end.exit_status, 3);
    CHECK(r.use.pids_refused > 0);
    CHECK(r.removed);
}

static void a_tool_gets_no_more_processor_than_its_share(void)
{
    struct ended r = {0};
    const char *at;

    run_in_group("cpu", &(struct cgroup_limits){.cpu_percent = 20}, false, &r);
    CHECK_INT(r.end.exit_status, 0);
    CHECK(r.use.cpu_us > 0);
    at = strstr(r.cpu_stat, "nr_throttled ");
    CHECK(at && strtol(at + strlen("nr_throttled "), NULL, 10) > 0);
}

static void killing_the_group_ends_all_of_it(void)
{
    struct ended r = {0};

    run_in_group("sleep", &(struct cgroup_limits){0}, true, &r);
    CHECK_INT(r.end.exit_signal, SIGKILL);
    CHECK(r.removed);
}

static void what_an_earlier_process_left_is_killed_and_removed(void)
{
    struct cgroup g;
    auto_free char *path = NULL;
    pid_t left;
    int status;

    CHECK_OK(cgroup_make(tree, 7, &(struct cgroup_limits){.pids = 5}, &g, ERR));
    path = str_fmt("%s/%s", own_group, g.name);
    left = fork();
    if (left == 0) {
        _exit(enter(path) ? pause() : 1);
    }
    for (char text[64] = ""; !strstr(text, "populated 1"); usleep(1000)) {
        auto_fd int fd = openat(g.dir_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);

        CHECK(read(fd, text, sizeof text - 1) > 0);
    }
    close(g.dir_fd);
    cgroup_close(tree); /* and forgets it: as one that crashed */
    CHECK_OK(cgroup_open(0, &tree, ERR));
    CHECK_INT(access(path, F_OK), -1);
    CHECK_INT(waitpid(left, &status, 0), left);
    CHECK(WIFSIGNALED(status));
    CHECK_INT(WTERMSIG(status), SIGKILL);
}

/* Neither can it leave, nor lift what limits all of it. */
static void the_user_stays_inside_what_it_was_given(void)
{
    auto_free char *limit = str_fmt("%s/memory.max", own_group);

    CHECK(!enter(MOUNT));
    CHECK_INT(open(limit, O_WRONLY | O_CLOEXEC), -1);
    CHECK_INT(errno, EACCES);
}

static void limits_that_the_kernel_does_not_take_are_an_error(void)
{
    struct cgroup g;
    auto_free char *path = str_fmt("%s/run-9", own_group);

    CHECK_INT(mkdir(path, 0755), 0);
    CHECK_ERR(cgroup_make(tree, 9, &(struct cgroup_limits){0}, &g, ERR), ERR_SANDBOX);
    CHECK_HAS(tap_err.msg, "run-9");
    CHECK_INT(rmdir(path), 0);
    CHECK_ERR(cgroup_make(tree, 9, &(struct cgroup_limits){.pids = UINT32_MAX}, &g, ERR),
              ERR_SANDBOX);
    CHECK_HAS(tap_err.msg, "pids.max");
    CHECK_INT(access(path, F_OK), -1);
}

static void no_group_is_left(void)
{
    DIR *dir = opendir(own_group);
    const struct dirent *row;

    CHECK(dir);
    while ((row = readdir(dir))) {
        CHECK(strncmp(row->d_name, "run-", 4) != 0);
    }
    closedir(dir);
    cgroup_close(tree);
}

int main(int argc, char **argv)
{
    static const struct tap_test as_root[] = {
        TAP_EACH_(the_machines_root_group_is_not_taken, root_takes_a_group_only_if_it_was_delegated,
                  a_group_without_controllers_is_of_no_use,
                  a_group_with_other_processes_stays_as_it_was, root_hands_its_group_over)};
    static const struct tap_test as_user[] = {TAP_EACH_(
        the_user_gets_groups_of_its_own, a_tool_that_takes_too_much_memory_is_ended_and_counted,
        without_the_limit_the_same_tool_ends_well,
        a_tool_that_forks_too_much_is_refused_and_counted,
        a_tool_gets_no_more_processor_than_its_share, killing_the_group_ends_all_of_it,
        what_an_earlier_process_left_is_killed_and_removed, the_user_stays_inside_what_it_was_given,
        limits_that_the_kernel_does_not_take_are_an_error, no_group_is_left)};

    if (argc == 3 && strcmp(argv[1], "hog") == 0) {
        return hog(argv[2]);
    }
    if (argc == 1) {
        return tap_run(as_root, ARRAY_LEN(as_root), 1, argv);
    }
    own_group = argv[2];
    if (!enter(own_group) || setgid(USER) < 0 || setuid(USER) < 0) {
        perror(own_group);
        return 99;
    }
    return tap_run(as_user, ARRAY_LEN(as_user), 1, argv);
}
