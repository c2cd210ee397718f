/* Ways to files, other processes and privilege. */
#include "hostile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static enum verdict read_path(const char *path, char detail[160])
{
    char c;
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, &c, 1);

    if (fd >= 0) {
        close(fd);
    }
    return n == 1 ? got(detail, path) : refused(detail, path);
}

static enum verdict write_path(const char *path, char detail[160])
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    if (fd < 0) {
        return refused(detail, path);
    }
    close(fd);
    unlink(path);
    return got(detail, path);
}

static enum verdict read_secret(const struct where *w, char detail[160])
{
    return read_path(w->secret, detail);
}

static enum verdict read_shadow(const struct where *w, char detail[160])
{
    (void)w;
    return read_path("/etc/shadow", detail);
}

static enum verdict read_init_environ(const struct where *w, char detail[160])
{
    (void)w;
    return read_path("/proc/1/environ", detail);
}

static enum verdict read_init_memory(const struct where *w, char detail[160])
{
    (void)w;
    return read_path("/proc/1/mem", detail);
}

static enum verdict read_init_root(const struct where *w, char detail[160])
{
    (void)w;
    return read_path("/proc/1/root/etc/shadow", detail);
}

static enum verdict read_kernel_memory(const struct where *w, char detail[160])
{
    (void)w;
    return read_path("/proc/kcore", detail);
}

static enum verdict read_device(const struct where *w, char detail[160])
{
    (void)w;
    return read_path("/dev/mem", detail);
}

static enum verdict read_homes(const struct where *w, char detail[160])
{
    (void)w;
    return read_path("/root/.profile", detail);
}

static enum verdict write_usr(const struct where *w, char detail[160])
{
    (void)w;
    return write_path("/usr/hostile", detail);
}

static enum verdict write_etc(const struct where *w, char detail[160])
{
    (void)w;
    return write_path("/etc/hostile", detail);
}

static enum verdict write_root(const struct where *w, char detail[160])
{
    (void)w;
    return write_path("/hostile", detail);
}

static enum verdict write_var(const struct where *w, char detail[160])
{
    (void)w;
    return write_path("/var/tmp/hostile", detail);
}

static enum verdict write_sysctl(const struct where *w, char detail[160])
{
    int fd = open("/proc/sys/kernel/core_pattern", O_WRONLY);

    (void)w;
    if (fd < 0) {
        return refused(detail, "core_pattern");
    }
    close(fd);
    return got(detail, "core_pattern");
}

static enum verdict write_sysrq(const struct where *w, char detail[160])
{
    int fd = open("/proc/sysrq-trigger", O_WRONLY);

    (void)w;
    if (fd < 0) {
        return refused(detail, "sysrq-trigger");
    }
    close(fd); /* nothing is written: being able to is enough */
    return got(detail, "sysrq-trigger");
}

static enum verdict other_processes(const struct where *w, char detail[160])
{
    DIR *d = opendir("/proc");
    const struct dirent *row;
    long others = 0;

    (void)w;
    while (d && (row = readdir(d))) {
        long pid = strtol(row->d_name, NULL, 10);

        others += pid > 1 && pid != getpid() && pid != getppid();
    }
    if (d) {
        closedir(d);
    }
    errno = ESRCH;
    return others > 0 ? got(detail, "other processes are seen") : refused(detail, "none is seen");
}

static enum verdict signal_all(const struct where *w, char detail[160])
{
    (void)w;
    errno = ESRCH;
    return kill(-1, 0) == 0 && kill(1, SIGSTOP) == 0 && getppid() != 1
               ? got(detail, "signals outside")
               : refused(detail, "kill");
}

static enum verdict become_root(const struct where *w, char detail[160])
{
    (void)w;
    return setresuid(0, 0, 0) < 0 ? refused(detail, "setresuid") : got(detail, "root");
}

static enum verdict raise_capabilities(const struct where *w, char detail[160])
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct all[2] = {{~0u, ~0u, ~0u}, {~0u, ~0u, ~0u}};

    (void)w;
    return syscall(SYS_capset, &head, all) < 0 ? refused(detail, "capset")
                                               : got(detail, "capabilities");
}

/* su and the like are there: without new privileges they give none. */
static enum verdict run_setuid(const struct where *w, char detail[160])
{
    int status = 0;
    pid_t pid = fork();

    (void)w;
    if (pid == 0) {
        execl("/usr/bin/newgrp", "newgrp", "root", "-c", "true", NULL);
        _exit(127);
    }
    errno = EPERM;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
                   WEXITSTATUS(status) == 0
               ? got(detail, "a set-user-ID program")
               : refused(detail, "newgrp");
}

static enum verdict mount_something(const struct where *w, char detail[160])
{
    (void)w;
    return mount("none", "/tmp", "tmpfs", 0, NULL) < 0 ? refused(detail, "mount")
                                                       : got(detail, "mount");
}

static enum verdict remount_root(const struct where *w, char detail[160])
{
    (void)w;
    return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) < 0 ? refused(detail, "remount")
                                                                  : got(detail, "remount");
}

static enum verdict new_user_namespace(const struct where *w, char detail[160])
{
    (void)w;
    return unshare(CLONE_NEWUSER) < 0 ? refused(detail, "unshare") : got(detail, "unshare");
}

static enum verdict clone_namespace(const struct where *w, char detail[160])
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

    (void)w;
    if (pid == 0) {
        _exit(0);
    }
    if (pid > 0) {
        waitpid((pid_t)pid, NULL, 0);
    }
    return pid < 0 ? refused(detail, "clone") : got(detail, "clone");
}

static enum verdict trace_init(const struct where *w, char detail[160])
{
    (void)w;
    return ptrace(PTRACE_ATTACH, getppid(), 0, 0) < 0 ? refused(detail, "ptrace")
                                                      : got(detail, "ptrace");
}

static enum verdict make_device(const struct where *w, char detail[160])
{
    (void)w;
    return mknod("/tmp/mem", S_IFCHR | 0600, makedev(1, 1)) < 0 ? refused(detail, "mknod")
                                                                : got(detail, "mknod");
}

static enum verdict load_bpf(const struct where *w, char detail[160])
{
    union bpf_attr attr = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

    (void)w;
    return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr) < 0 ? refused(detail, "bpf")
                                                                    : got(detail, "bpf");
}

static enum verdict open_perf(const struct where *w, char detail[160])
{
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr};

    (void)w;
    return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) < 0 ? refused(detail, "perf")
                                                                 : got(detail, "perf");
}

static enum verdict open_userfault(const struct where *w, char detail[160])
{
    (void)w;
    return syscall(SYS_userfaultfd, 0) < 0 ? refused(detail, "userfaultfd")
                                           : got(detail, "userfaultfd");
}

static enum verdict add_key(const struct where *w, char detail[160])
{
    (void)w;
    return syscall(SYS_add_key, "user", "hostile", "x", 1, -2) < 0 ? refused(detail, "add_key")
                                                                   : got(detail, "add_key");
}

static enum verdict type_into_terminal(const struct where *w, char detail[160])
{
    char c = 'x';
    int fd = open("/dev/tty", O_RDWR);

    (void)w;
    return fd < 0 || ioctl(fd, TIOCSTI, &c) < 0 ? refused(detail, "TIOCSTI")
                                                : got(detail, "TIOCSTI");
}

static enum verdict inherited_descriptors(const struct where *w, char detail[160])
{
    (void)w;
    for (int fd = 3; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            return got(detail, "a descriptor was inherited");
        }
    }
    return refused(detail, "none");
}

static enum verdict regain_privileges(const struct where *w, char detail[160])
{
    (void)w;
    errno = EPERM;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) < 0
               ? refused(detail, "no_new_privs")
               : got(detail, "no_new_privs is not set");
}

const struct way ways_files[] = {
    {"read_secret", read_secret},
    {"read_shadow", read_shadow},
    {"read_init_environ", read_init_environ},
    {"read_init_memory", read_init_memory},
    {"read_init_root", read_init_root},
    {"read_kernel_memory", read_kernel_memory},
    {"read_device", read_device},
    {"read_homes", read_homes},
    {"write_usr", write_usr},
    {"write_etc", write_etc},
    {"write_root", write_root},
    {"write_var", write_var},
    {"write_sysctl", write_sysctl},
    {"write_sysrq", write_sysrq},
    {"other_processes", other_processes},
    {"signal_all", signal_all},
    {"become_root", become_root},
    {"raise_capabilities", raise_capabilities},
    {"run_setuid", run_setuid},
    {"mount_something", mount_something},
    {"remount_root", remount_root},
    {"new_user_namespace", new_user_namespace},
    {"clone_namespace", clone_namespace},
    {"trace_init", trace_init},
    {"make_device", make_device},
    {"load_bpf", load_bpf},
    {"open_perf", open_perf},
    {"open_userfault", open_userfault},
    {"add_key", add_key},
    {"type_into_terminal", type_into_terminal},
    {"inherited_descriptors", inherited_descriptors},
    {"regain_privileges", regain_privileges},
    {NULL, NULL},
};
