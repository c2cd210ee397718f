/* Ways to use more than was given. Each goes on until it is stopped. */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MB = 1 << 20 };

static void failed(const char *what, long done)
{
    printf("limit\t%s\t%ld\t%s\n", what, done, strerror(errno));
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void forks(void)
{
    for (long n = 0;; n++) {
        pid_t pid = fork();

        if (pid < 0) {
            failed("fork", n);
        }
        if (pid == 0) {
            pause();
            _exit(0);
        }
    }
}

static void memory(void)
{
    for (long n = 0;; n++) {
        char *p = malloc(MB);

        if (!p) {
            failed("malloc", n);
        }
        memset(p, (int)n | 1, MB);
    }
}

static void disk(void)
{
    static char block[MB];
    int fd = open("/tmp/fill", O_WRONLY | O_CREAT, 0600);

    for (long n = 0;; n++) {
        ssize_t k = write(fd, block, sizeof block);

        if (k < (ssize_t)sizeof block) {
            failed("write", n);
        }
    }
}

static void inodes(void)
{
    for (long n = 0;; n++) {
        char name[64];
        int fd;

        snprintf(name, sizeof name, "/tmp/file-%ld", n);
        fd = open(name, O_WRONLY | O_CREAT, 0600);
        if (fd < 0) {
            failed("create", n);
        }
        close(fd);
    }
}

static void sparse(void)
{
    int fd = open("/tmp/sparse", O_WRONLY | O_CREAT, 0600);

    if (ftruncate(fd, (off_t)1 << 40) < 0) {
        failed("ftruncate", 0);
    }
    printf("limit\tsparse\t0\tgot\n");
}

static void endless(void)
{
    static char line[4096];

    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    for (;;) {
        if (write(STDOUT_FILENO, line, sizeof line) < 0) {
            exit(1);
        }
    }
}

static void deaf(void)
{
    for (int s = 1; s < 32; s++) {
        signal(s, SIG_IGN);
    }
}

static void stubborn(void)
{
    deaf();
    for (;;) {
        pause();
    }
}

/* Out of the process group, the session and the parent's sight. */
static void daemonised(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            deaf();
            for (;;) {
                pause();
            }
        }
        _exit(0);
    }
    printf("limit\tdaemon\t0\tleft behind\n");
}

static void spin(void)
{
    for (volatile unsigned long n = 0;; n++) {
    }
}

const struct limit_way ways_limits[] = {
    {"fork", forks},    {"memory", memory},   {"disk", disk},         {"inodes", inodes},
    {"sparse", sparse}, {"endless", endless}, {"stubborn", stubborn}, {"daemon", daemonised},
    {"spin", spin},     {NULL, NULL},
};
