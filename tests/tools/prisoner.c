/*
 * prisoner - tries to get out of the box it was started in: prisoner MARK WHAT [ARG...].
 *
 * MARK is not used here: tests find left-over processes by it.
 *
 *     escape PORT       one line for each way tried: its name and what it gave ("yes", or why not)
 *     show              what it was given
 *     files N           makes N files here; the number that could be made
 *     fill MB           writes that much here; the number of MB that could be written
 *     sparse MB         one file with a hole that long
 *     forks N           that many children at a time; the number that could be made
 *     connect PORT [ADDRESS]   to 127.0.0.1 unless told otherwise; sends a word
 *     send-to PORT      a datagram to 127.0.0.1
 *     cat FILE...       what it can read of them
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_ether.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* From the environment: what the test made for us to reach. */
static const char *given(const char *name)
{
    const char *value = getenv(name);

    return value ? value : "";
}

static void said(const char *name, long rc)
{
    printf("%s %s\n", name, rc >= 0 ? "yes" : strerror(errno));
}

static void try_write(const char *name, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    said(name, fd);
    if (fd >= 0) {
        close(fd);
    }
}

/* Opening for writing what is there, without creating or changing anything. */
static void try_touch(const char *name, const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    said(name, fd);
    if (fd >= 0) {
        close(fd);
    }
}

static void try_read(const char *name, const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, &byte, 1);

    if (fd >= 0 && n == 0) {
        errno = ENODATA;
        n = -1;
    }
    said(name, n);
    if (fd >= 0) {
        close(fd);
    }
}

static void try_list(const char *name, const char *path)
{
    DIR *d = opendir(path);

    said(name, d ? 0 : -1);
    if (d) {
        closedir(d);
    }
}

/* Any memory that we share with somebody else. */
static void try_mapping(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4096];
    bool shared = false;

    while (maps && fgets(line, sizeof line, maps)) {
        const char *mode = strchr(line, ' ');

        shared |= mode && strlen(mode) > 4 && mode[4] == 's';
    }
    if (maps) {
        fclose(maps);
        errno = ENOENT;
    }
    said(name, shared ? 0 : -1);
}

/* That of our parent, the init of the box. */
static void try_touch_init(const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/mem", getppid());
    try_touch(name, path);
}

static void try_socket(const char *name, int family, int type, int protocol)
{
    int fd = socket(family, type | SOCK_CLOEXEC, protocol);

    said(name, fd);
    if (fd >= 0) {
        close(fd);
    }
}

/* In a child: what would change the prisoner itself. */
static void in_child(const char *name, long (*fn)(void))
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        said(name, fn());
        fflush(stdout);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status)) {
        printf("%s died\n", name);
    }
}

static long new_user_namespace(void)
{
    return unshare(CLONE_NEWUSER);
}

static long new_mount_namespace(void)
{
    return unshare(CLONE_NEWNS);
}

static long new_network(void)
{
    return unshare(CLONE_NEWNET);
}

static long clone_user_namespace(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0) {
        _exit(0);
    }
    return pid < 0 || waitpid((pid_t)pid, NULL, 0) < 0 ? -1 : 0;
}

static long join_init(void)
{
    int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -1 : setns(fd, 0);
}

static long mount_tmpfs(void)
{
    return mount("none", "/tmp", "tmpfs", 0, NULL);
}

static long remount_root(void)
{
    return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL);
}

static long remount_usr(void)
{
    return mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL);
}

static long unmount_mask(void)
{
    return umount2("/proc/sys", MNT_DETACH);
}

static long change_root(void)
{
    return chroot("/usr");
}

static long become_root(void)
{
    return setresuid(0, 0, 0);
}

static long become_root_group(void)
{
    return setresgid(0, 0, 0);
}

static long join_groups(void)
{
    const gid_t groups[] = {0};

    return setgroups(1, groups);
}

static long trace_init(void)
{
    return ptrace(PTRACE_ATTACH, 1, NULL, NULL);
}

static long kill_outsider(void)
{
    return kill((pid_t)strtol(given("OUTSIDER"), NULL, 10), 0);
}

static long set_host_name(void)
{
    return sethostname("mine", 4);
}

static long make_device(void)
{
    return mknod("device", S_IFCHR | 0600, makedev(1, 5));
}

static long raise_limit(void)
{
    const struct rlimit l = {65536, 65536};

    return setrlimit(RLIMIT_NOFILE, &l);
}

static long be_nicer(void)
{
    return setpriority(PRIO_PROCESS, 0, -5);
}

static long type_into_terminal(void)
{
    return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static long load_program(void)
{
    char attr[128] = {0};

    return syscall(SYS_bpf, 5 /* BPF_PROG_LOAD */, attr, sizeof attr);
}

static long open_keyring(void)
{
    return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_SESSION_KEYRING, 1);
}

static long connect_abstract(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t n = strlen(given("ABSTRACT"));

    memcpy(sa.sun_path + 1, given("ABSTRACT"), n);
    return fd < 0 ? -1
                  : connect(fd, (const struct sockaddr *)&sa,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
}

static long connect_to(int port, const char *address)
{
    const struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = inet_addr(address),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    long rc = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&sa, sizeof sa);

    if (rc == 0) {
        (void)!write(fd, "word", 4);
    }
    return rc;
}

static long send_datagram(int port)
{
    const struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? -1 : sendto(fd, "word", 4, 0, (const struct sockaddr *)&sa, sizeof sa);
}

/* Whether any process but our own can be seen in /proc. */
static long see_processes(void)
{
    DIR *d = opendir("/proc");
    const struct dirent *row;
    long seen = -1;

    while (d && (row = readdir(d))) {
        long pid = strtol(row->d_name, NULL, 10);

        if (pid > 0 && pid != getpid() && pid != getppid()) {
            seen = pid;
        }
    }
    if (d) {
        closedir(d);
        errno = ESRCH;
    }
    return seen;
}

static void try_paths(void)
{
    try_read("read-shadow", "/etc/shadow");
    try_read("read-passwd", "/etc/passwd");
    try_read("read-secret", given("SECRET"));
    try_read("read-init-environment", "/proc/1/environ");
    try_mapping("see-shared-memory");
    try_touch_init("write-init-memory");
    try_read("read-kcore", "/proc/kcore");
    try_read("read-keys", "/proc/keys");
    try_list("list-root-home", "/root");
    try_list("list-home", "/home");
    try_list("list-var", "/var");
    try_list("list-run", "/run");
    try_list("list-sys", "/sys");
    try_list("list-init-files", "/proc/1/root/");
    try_write("write-root", "/prisoner");
    try_write("write-etc", "/etc/prisoner");
    try_write("write-usr", "/usr/prisoner");
    try_write("write-dev", "/dev/prisoner");
    try_write("write-outside", given("OUTSIDE"));
    try_touch("touch-sysrq", "/proc/sysrq-trigger");
    try_touch("touch-core-pattern", "/proc/sys/kernel/core_pattern");
    try_touch("touch-hostname", "/proc/sys/kernel/hostname");
    try_touch("touch-namespaces", "/proc/sys/user/max_user_namespaces");
    try_touch("touch-init-memory", "/proc/1/mem");
    try_touch("touch-disk", "/dev/vda");
    said("unlink-true", unlink("/usr/bin/true"));
}

static void try_calls(void)
{
    in_child("unshare-user", new_user_namespace);
    in_child("unshare-mounts", new_mount_namespace);
    in_child("unshare-network", new_network);
    in_child("clone-user", clone_user_namespace);
    in_child("join-init", join_init);
    in_child("mount-tmpfs", mount_tmpfs);
    in_child("remount-root", remount_root);
    in_child("remount-usr", remount_usr);
    in_child("unmount-mask", unmount_mask);
    in_child("chroot", change_root);
    in_child("setuid-root", become_root);
    in_child("setgid-root", become_root_group);
    in_child("setgroups", join_groups);
    in_child("trace-init", trace_init);
    in_child("signal-outsider", kill_outsider);
    in_child("hostname", set_host_name);
    in_child("device", make_device);
    in_child("raise-limit", raise_limit);
    in_child("be-nicer", be_nicer);
    in_child("type-into-terminal", type_into_terminal);
    in_child("load-bpf", load_program);
    in_child("keyring", open_keyring);
    in_child("abstract-socket", connect_abstract);
    in_child("see-processes", see_processes);
}

static int escape(int port)
{
    try_paths();
    try_calls();
    said("connect-host", connect_to(port, "127.0.0.1"));
    try_socket("packet-socket", AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    try_socket("raw-socket", AF_INET, SOCK_RAW, IPPROTO_ICMP);
    return 0;
}

static int show(void)
{
    struct if_nameindex *names = if_nameindex();
    char host[64] = "";
    DIR *root = opendir("/");
    const struct dirent *row;

    gethostname(host, sizeof host);
    printf("uid %d %d\ngid %d %d\n", getuid(), geteuid(), getgid(), getegid());
    printf("groups %d\n", getgroups(0, NULL));
    printf("host %s\n", host);
    printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
    printf("ioprio %d\n", (int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
    for (const struct if_nameindex *n = names; n && n->if_index; n++) {
        printf("interface %s\n", n->if_name);
    }
    while (root && (row = readdir(root))) {
        printf("root %s\n", row->d_name);
    }
    return 0;
}

static long make_files(long n)
{
    char name[32];
    long i = 0;

    for (; i < n; i++) {
        int fd;

        snprintf(name, sizeof name, "file-%ld", i);
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0) {
            break;
        }
        close(fd);
    }
    return i;
}

static long fill(long mb)
{
    static char chunk[1 << 20];
    long i = 0;
    int fd = open("filled", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    memset(chunk, 'x', sizeof chunk);
    for (; i < mb && write(fd, chunk, sizeof chunk) == (ssize_t)sizeof chunk; i++) {
    }
    return i;
}

static long make_children(long n)
{
    long i = 0;

    for (; i < n; i++) {
        pid_t pid = fork();

        if (pid < 0) {
            break;
        }
        if (pid == 0) {
            pause();
            _exit(0);
        }
    }
    return i;
}

static int cat(char **paths)
{
    for (; *paths; paths++) {
        char text[4096];
        int fd = open(*paths, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

        if (n < 0) {
            printf("%s: %s\n", *paths, strerror(errno));
        } else {
            printf("%s: %.*s\n", *paths, (int)n, text);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "";
    long n = argc > 3 ? strtol(argv[3], NULL, 10) : 0;

    setvbuf(stdout, NULL, _IOFBF, 65536);
    if (strcmp(what, "escape") == 0) {
        return escape((int)n);
    } else if (strcmp(what, "show") == 0) {
        return show();
    } else if (strcmp(what, "files") == 0) {
        printf("files %ld\n", make_files(n));
        return 0;
    } else if (strcmp(what, "fill") == 0) {
        printf("filled %ld\n", fill(n));
        return 0;
    } else if (strcmp(what, "sparse") == 0) {
        int fd = open("sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        return fd >= 0 && ftruncate(fd, n << 20) == 0 ? 0 : 3;
    } else if (strcmp(what, "forks") == 0) {
        printf("children %ld\n", make_children(n));
        return 0;
    } else if (strcmp(what, "connect") == 0) {
        said("connect", connect_to((int)n, argc > 4 ? argv[4] : "127.0.0.1"));
        return 0;
    } else if (strcmp(what, "send-to") == 0) {
        said("send-to", send_datagram((int)n));
        return 0;
    } else if (strcmp(what, "cat") == 0) {
        return cat(argv + 3);
    }
    return 9;
}
