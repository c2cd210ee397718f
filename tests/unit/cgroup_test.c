/*
 * What can be said about groups without a machine that delegates one: figures are read from files
 * as the kernel writes them, and a machine without cgroup v2 is told why. Limits that bite, and
 * delegation, are tested in a virtual machine (tests/vm).
 */
#include "box/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tap.h"

/* A directory like that of a group, with one file. */
static struct cgroup fake(const char *file, const char *text)
{
    static unsigned number;
    struct cgroup g = {.dir_fd = -1, .name = "run-1"};
    auto_free char *dir = str_fmt("%s/group%u", test_dir(), ++number);

    CHECK_INT(mkdir(dir, 0700), 0);
    g.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(g.dir_fd >= 0);
    if (file) {
        auto_fd int fd = openat(g.dir_fd, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        CHECK_INT(write(fd, text, strlen(text)), strlen(text));
    }
    return g;
}

static struct cgroup_use use_of(const char *file, const char *text)
{
    struct cgroup g = fake(file, text);
    struct cgroup_use u;

    cgroup_use(&g, &u);
    fd_close(&g.dir_fd);
    return u;
}

static void figures_are_read_as_the_kernel_writes_them(void)
{
    CHECK_INT(use_of("cpu.stat", "usage_usec 123456\nuser_usec 100000\n").cpu_us, 123456);
    CHECK_INT(use_of("cpu.stat", "user_usec 7\nusage_usec 9\n").cpu_us, 9);
    CHECK_INT(use_of("memory.peak", "67108864\n").memory_peak_kb, 65536);
    CHECK_INT(use_of("pids.events", "max 3\n").pids_refused, 3);
    CHECK_INT(
        use_of("memory.events", "low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 1\n")
            .oom_kills,
        2);
    CHECK_INT(use_of("memory.events", "oom_group_kill 5\n").oom_kills, 0);
}

static void figures_that_are_not_there_are_not_known(void)
{
    static const char *const texts[] = {
        "", "usage_usec", "usage_usec \n", "usage_usec x\n", "usage_usec_x 5\n", "\n\n"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CHECK_INT(use_of("cpu.stat", texts[i]).cpu_us, -1);
    }

    struct cgroup_use u = use_of(NULL, NULL);

    CHECK_INT(u.cpu_us, -1);
    CHECK_INT(u.memory_peak_kb, -1);
    CHECK_INT(u.oom_kills, 0);
    CHECK_INT(u.pids_refused, 0);
    CHECK_INT(use_of("pids.events", "max 99999999999\n").pids_refused, UINT32_MAX);
}

static void killing_is_one_write(void)
{
    struct cgroup g = fake("cgroup.kill", "");
    char text[8] = "";

    cgroup_kill(&g);

    auto_fd int fd = openat(g.dir_fd, "cgroup.kill", O_RDONLY | O_CLOEXEC);

    CHECK_INT(read(fd, text, sizeof text - 1), 1);
    CHECK_STR(text, "1");
    fd_close(&g.dir_fd);
}

/* Exit statuses of the child below. */
enum { GOOD = 0, NO_REASON = 1, WRONG_CODE = 2, NO_GROUP = 3, LEFT_BEHIND = 4 };

/* In a child: where there is a group, it moves itself. */
static int open_and_use(void)
{
    const struct cgroup_limits l = {.memory_bytes = 64 << 20, .pids = 20, .cpu_percent = 50};
    struct cgroup_tree *t = NULL;
    struct cgroup g;
    struct err e = {0};
    int rc = cgroup_open(0, &t, &e);

    if (rc != 0) {
        printf("# no group: %s\n", e.msg);
        fflush(stdout);
        return rc != ERR_SANDBOX ? WRONG_CODE : e.msg[0] == '\0' || t ? NO_REASON : GOOD;
    }
    if (cgroup_make(t, 1, &l, &g, &e) != 0 || g.dir_fd < 0) {
        return NO_GROUP;
    }
    cgroup_remove(t, &g);
    rc = faccessat(cgroup_fd(t), "run-1", F_OK, 0) == 0 ? LEFT_BEHIND : GOOD;
    cgroup_close(t);
    return rc;
}

static void a_group_is_there_or_the_reason_is_told(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        _exit(open_and_use());
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), GOOD);
}

static void closing_nothing_is_fine(void)
{
    cgroup_close(NULL);
}

TESTS(figures_are_read_as_the_kernel_writes_them, figures_that_are_not_there_are_not_known,
      killing_is_one_write, a_group_is_there_or_the_reason_is_told, closing_nothing_is_fine)
