/*
 * standin - a scanner that does what a test asks for: standin MARK WHAT [ARG].
 *
 * MARK is not used here: tests find left-over processes by it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

static int *volatile nowhere;

static void wait_for_ever(void)
{
    for (;;) {
        pause();
    }
}

/* Shows that everything before has happened: a test waits for this byte. */
static void ready(void)
{
    (void)!write(STDOUT_FILENO, "!", 1);
}

static int print_file(const char *path)
{
    char chunk[65536];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    while (fd >= 0 && (n = read(fd, chunk, sizeof chunk)) > 0) {
        for (ssize_t at = 0, k; at < n; at += k) {
            k = write(STDOUT_FILENO, chunk + at, (size_t)(n - at));
            if (k < 0) {
                return 4;
            }
        }
    }
    return fd < 0 ? 5 : 0;
}

/* The whole of a service: new session, deaf, orphaned. */
static void become_daemon(void)
{
    if (fork() != 0) {
        wait(NULL);
        return;
    }
    setsid();
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    if (fork() != 0) {
        _exit(0);
    }
    ready();
    wait_for_ever();
}

/* Runs away: every step is a new process in a group of its own, and the old one ends. */
static void run_away(int steps)
{
    for (; steps > 0; steps--) {
        pid_t pid = fork();

        if (pid != 0) {
            _exit(0);
        }
        setpgid(0, 0);
    }
    ready();
    wait_for_ever();
}

static void have_children(int n)
{
    for (int i = 0; i < n; i++) {
        if (fork() == 0) {
            if (i % 2 == 0) {
                setsid();
                signal(SIGTERM, SIG_IGN);
            }
            wait_for_ever();
        }
    }
    ready();
    wait_for_ever();
}

static void copy_lines(const char *path, const char *prefix)
{
    FILE *f = fopen(path, "re");
    char line[512];

    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, prefix, strlen(prefix)) == 0) {
            fputs(line, stdout);
        }
    }
    if (f) {
        fclose(f);
    }
}

static void show_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    const struct dirent *row;

    while (d && (row = readdir(d))) {
        int fd = atoi(row->d_name);

        if (row->d_name[0] != '.' && fd != dirfd(d)) {
            printf("fd %d\n", fd);
        }
    }
    if (d) {
        closedir(d);
    }
}

/* What the process was given. */
static int show(void)
{
    static const struct {
        const char *name;
        int which;
    } limits[] = {{"core", RLIMIT_CORE},
                  {"nofile", RLIMIT_NOFILE},
                  {"cpu", RLIMIT_CPU},
                  {"as", RLIMIT_AS},
                  {"fsize", RLIMIT_FSIZE}};
    extern char **environ;
    char cwd[4096];
    int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    char byte;

    copy_lines("/proc/self/status", "Cap");
    copy_lines("/proc/self/status", "NoNewPrivs");
    copy_lines("/proc/self/status", "Sig");
    copy_lines("/proc/self/status", "Uid");
    copy_lines("/proc/self/status", "Groups");
    for (unsigned i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct rlimit l;

        getrlimit((__rlimit_resource_t)limits[i].which, &l);
        printf("limit %s %lld\n", limits[i].name, (long long)l.rlim_cur);
    }
    printf("cwd %s\n", getcwd(cwd, sizeof cwd) ? cwd : "?");
    printf("umask %03o\n", umask(0));
    printf("raw socket %s\n", raw >= 0 ? "yes" : "no");
    close(raw);
    printf("own group %s\n", getpgrp() == getpid() ? "yes" : "no");
    printf("terminal %s\n", open("/dev/tty", O_RDWR | O_CLOEXEC) >= 0 ? "yes" : "no");
    printf("stdin %s\n", read(STDIN_FILENO, &byte, 1) == 0 ? "empty" : "not empty");
    show_fds();
    for (char **v = environ; *v; v++) {
        printf("env %s\n", *v);
    }
    return 0;
}

static int complain(int lines)
{
    for (int i = 1; i <= lines; i++) {
        fprintf(stderr, "line %d: something is wrong\n", i);
    }
    return 3;
}

static int write_for_ever(void)
{
    static char chunk[65536];

    memset(chunk, '\n', sizeof chunk);
    while (write(STDOUT_FILENO, chunk, sizeof chunk) > 0) {
    }
    return 6;
}

static void spin(void)
{
    for (volatile unsigned long i = 0;; i++) {
    }
}

/* A file and a folder in the working directory, and a link that leads out of it. */
static int litter(const char *out)
{
    int fd = open("left-over", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || mkdir("folder", 0700) < 0 || symlink(out, "folder/link") < 0) {
        return 7;
    }
    close(fd);
    fd = open("folder/inside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 || chmod("folder", 0) < 0 ? 8 : 0;
}

/* ---- limits ---- */

static int take_memory(int mb)
{
    for (int i = 0; i < mb; i++) {
        char *p = malloc(1 << 20);

        if (!p) {
            fprintf(stderr, "malloc: %s\n", strerror(errno));
            return 1;
        }
        memset(p, i, 1 << 20);
    }
    return 0;
}

static int fork_often(int n)
{
    for (int i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid < 0) {
            fprintf(stderr, "fork: %s\n", strerror(errno));
            return 1;
        }
        if (pid == 0) {
            wait_for_ever();
        }
    }
    return 0;
}

static int fill_disk(const char *name)
{
    static char chunk[65536];
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    memset(chunk, 'x', sizeof chunk);
    for (;;) {
        ssize_t n = write(fd, chunk, sizeof chunk);

        if (n < 0) {
            fprintf(stderr, "write: %s\n", strerror(errno));
            return 1;
        }
    }
}

static int fill_inodes(void)
{
    for (int i = 0;; i++) {
        char name[32];
        int fd;

        snprintf(name, sizeof name, "inode-%d", i);
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) {
            fprintf(stderr, "open: %s\n", strerror(errno));
            return 1;
        }
        close(fd);
    }
}

/* ---- network ---- */

static socklen_t address(const char *text, struct sockaddr_storage *ss)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;
    char ip[64];
    int port = 0;

    memset(ss, 0, sizeof *ss);
    if (sscanf(text, "%63[^,],%d", ip, &port) != 2) {
        return 0;
    }
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return sizeof *v4;
    }
    inet_pton(AF_INET6, ip, &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return sizeof *v6;
}

static const char *said(long rc)
{
    static char text[32];

    snprintf(text, sizeof text, "%ld", rc);
    return rc >= 0 ? text : strerrorname_np(errno);
}

/* Each ADDRESS,PORT in turn, blocking, not blocking, and by datagram in three ways. */
static int speak(char **to)
{
    for (; *to; to++) {
        struct sockaddr_storage ss;
        socklen_t len = address(*to, &ss);
        char hello[] = "hello";
        struct iovec iov = {hello, 5};
        struct mmsghdr mm = {
            .msg_hdr = {.msg_name = &ss, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1}};
        int s = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int n = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int u = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        printf("%s connect %s", *to, said(connect(s, (struct sockaddr *)&ss, len)));
        printf(" flags %s", fcntl(s, F_GETFL) & O_NONBLOCK ? "changed" : "same");
        printf(" nonblock %s", said(connect(n, (struct sockaddr *)&ss, len)));
        printf(" sendto %s", said(sendto(u, "hello", 5, 0, (struct sockaddr *)&ss, len)));
        printf(" sendmsg %s", said(sendmsg(u, &mm.msg_hdr, 0)));
        printf(" sendmmsg %s\n", said(sendmmsg(u, &mm, 1, 0)));
        close(s);
        close(n);
        close(u);
    }
    return 0;
}

/* What scanners say of themselves: one line over the other, by carriage returns. */
static void print_status(void)
{
    fputs("rate: 10.00-kpps, 12.5% done\r\n", stderr);
    usleep(700 * 1000);
    for (int i = 0; i < 100; i++) {
        fprintf(stderr, "line %d of many\r", i);
    }
    usleep(700 * 1000);
    for (int i = 0; i < 5000; i++) {
        fputc('x', stderr);
    }
    fputs("\n", stderr);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "";
    const char *arg = argc > 3 ? argv[3] : "";

    if (strcmp(what, "exit") == 0) {
        return atoi(arg);
    } else if (strcmp(what, "print") == 0) {
        return print_file(arg);
    } else if (strcmp(what, "print-and-exit-1") == 0) {
        print_file(arg);
        return 1;
    } else if (strcmp(what, "print-and-wait") == 0) {
        print_file(arg);
        wait_for_ever();
    } else if (strcmp(what, "crash") == 0) {
        *(volatile int *)nowhere = 1; /* no signal sent: filters may refuse that */
    } else if (strcmp(what, "wait") == 0) {
        ready();
        wait_for_ever();
    } else if (strcmp(what, "deaf") == 0) {
        signal(SIGTERM, SIG_IGN);
        ready();
        wait_for_ever();
    } else if (strcmp(what, "daemon") == 0) {
        become_daemon();
        return 0;
    } else if (strcmp(what, "daemon-and-wait") == 0) {
        become_daemon();
        wait_for_ever();
    } else if (strcmp(what, "run-away") == 0) {
        if (fork() == 0) {
            run_away(atoi(arg));
        }
        wait_for_ever();
    } else if (strcmp(what, "children") == 0) {
        have_children(atoi(arg));
    } else if (strcmp(what, "show") == 0) {
        return show();
    } else if (strcmp(what, "complain") == 0) {
        return complain(atoi(arg));
    } else if (strcmp(what, "endless") == 0) {
        return write_for_ever();
    } else if (strcmp(what, "spin") == 0) {
        spin();
    } else if (strcmp(what, "litter") == 0) {
        return litter(arg);
    } else if (strcmp(what, "memory") == 0) {
        return take_memory(atoi(arg));
    } else if (strcmp(what, "forks") == 0) {
        return fork_often(atoi(arg));
    } else if (strcmp(what, "fill") == 0) {
        return fill_disk("big");
    } else if (strcmp(what, "inodes") == 0) {
        return fill_inodes();
    } else if (strcmp(what, "speak") == 0) {
        return speak(argv + 3);
    } else if (strcmp(what, "status") == 0) {
        print_status();
    } else if (strcmp(what, "ask") == 0) {
        printf("standin 1.0\n");
        return 0;
    }
    return 9;
}
