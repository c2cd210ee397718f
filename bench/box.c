/*
 * Milliseconds of running a program that does nothing: plainly, and in a box. One line for each:
 *     box N HOW PROGRAM [ARG...]     HOW: plain, shared, none, own
 * prints the median, the 10th and the 90th percentile of N runs.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/box.h"

static char *const env[] = {NULL};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static bool run_plain(char **argv)
{
    pid_t pid;
    int status;

    return posix_spawn(&pid, argv[0], NULL, NULL, argv, env) == 0 &&
           waitpid(pid, &status, 0) == pid && status == 0;
}

/* With a network of its own: as soon as it waits for its interface, it is ended. */
static bool run_own(struct box *b)
{
    struct pollfd p = {.fd = b->report_fd, .events = POLLIN};

    while (b->told == BOX_SILENT && poll(&p, 1, -1) == 1) {
        (void)box_poll(b);
    }
    box_kill(b);
    return b->told == BOX_WAITING;
}

static bool run_box(char **argv, enum box_net net)
{
    const struct box_spec spec = {
        .argv = argv,
        .env = env,
        .in = -1,
        .out = -1,
        .err = -1,
        .net = net,
        .hold_fd = -1,
        .cgroup_fd = -1,
    };
    struct box b;
    struct box_end end;
    struct err e;
    bool waited;

    if (box_start(&spec, &b, &e) != 0) {
        fprintf(stderr, "%s\n", e.msg);
        return false;
    }
    waited = net == BOX_NET_OWN && run_own(&b);
    if (box_wait(&b, &end, &e) != 0) {
        fprintf(stderr, "%s\n", e.msg);
        return false;
    }
    box_done(&b);
    if (!waited && (!end.started || end.exit_status != 0)) {
        fprintf(stderr, "%s: %s\n", end.step, strerror(end.errnum));
        return false;
    }
    return true;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print_quantiles(const int64_t *took, long n)
{
    const long at[] = {n / 2, n / 10, n - 1 - n / 10};

    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        printf("%.3f%c", (double)took[at[i]] / 1e6, i + 1 < ARRAY_LEN(at) ? ' ' : '\n');
    }
}

static bool run_once(const char *how, char **argv)
{
    if (strcmp(how, "plain") == 0) {
        return run_plain(argv);
    }
    return run_box(argv, strcmp(how, "own") == 0    ? BOX_NET_OWN
                         : strcmp(how, "none") == 0 ? BOX_NET_EMPTY
                                                    : BOX_NET_SHARED);
}

int main(int argc, char **argv)
{
    long n = argc > 3 ? strtol(argv[1], NULL, 10) : 0;
    int64_t *took;

    if (n <= 0) {
        fprintf(stderr, "usage: box N plain|shared|none|own PROGRAM [ARG...]\n");
        return 2;
    }
    took = xcalloc((size_t)n, sizeof *took);
    for (long i = -5; i < n; i++) {
        int64_t start = now_ns();
        bool ok = run_once(argv[2], argv + 3);

        if (!ok) {
            return 1;
        }
        if (i >= 0) { /* the first ones warm up */
            took[i] = now_ns() - start;
        }
    }
    qsort(took, (size_t)n, sizeof *took, by_value);
    print_quantiles(took, n);
    free(took);
    return 0;
}
