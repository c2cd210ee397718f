/*
 * What a way out costs that netd makes for a box: ways N RANGES. In a network namespace of its own
 * (root), netd is asked N times for a way out of a new, empty namespace, with that many ranges as
 * targets: no box, no tool. Prints one JSON object, milliseconds: until the way is there, until the
 * last counters came back (all that the end of a run waits for), and the pace when one way follows
 * the other at once, so that netd removes the old ones meanwhile.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "netd/netd.h"

enum { PAUSE_MS = 120 /* netd removes what is left of the one before */ };

struct bench {
    struct loop *loop;
    struct netd *netd;
    struct netset targets;
    struct timer pause;
    uint64_t run;
    int host;
    bool rest;
};

static void need(bool ok, const char *what, const struct err *e)
{
    if (!ok) {
        fprintf(stderr, "bench ways: %s: %s\n", what, e->msg);
        exit(1);
    }
}

/* ---- what netd says: each ends a turn of the loop ---- */

static void on_ready(void *arg, bool usable, const char *why, bool forward_v4, bool forward_v6,
                     uint32_t dedicated_v4, uint32_t dedicated_v6)
{
    struct bench *b = arg;
    struct err e = {0};

    (void)forward_v6;
    (void)dedicated_v4;
    (void)dedicated_v6;
    err_set(&e, ERR_SANDBOX, "%s", why);
    need(usable && forward_v4, "netd", &e);
    loop_stop(b->loop);
}

static void on_up(void *arg, uint64_t run, int code, const char *why, const struct box_address *a,
                  bool dedicated)
{
    struct bench *b = arg;
    struct err e = {0};

    (void)a;
    (void)dedicated;
    err_set(&e, ERR_SANDBOX, "%s", why);
    need(code == 0 && run == b->run, "a way", &e);
    loop_stop(b->loop);
}

static void on_counts(void *arg, uint64_t run, const struct egress_counts *c)
{
    struct bench *b = arg;

    (void)run;
    (void)c;
    loop_stop(b->loop);
}

static void on_gone(void *arg)
{
    struct err e = {.msg = "it has ended"};

    (void)arg;
    need(false, "netd", &e);
}

static void on_pause(struct timer *t)
{
    loop_stop(container_of(t, struct bench, pause)->loop);
}

/* ---- rounds ---- */

static void turn(struct bench *b)
{
    struct err e = {0};

    need(loop_run(b->loop, &e) == 0, "loop", &e);
}

static int new_namespace(const struct bench *b)
{
    struct err e = {.msg = "unshare, setns"};
    int fd = unshare(CLONE_NEWNET) == 0 ? open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) : -1;

    need(fd >= 0 && setns(b->host, CLONE_NEWNET) == 0, "namespace", &e);
    return fd;
}

static void round_of(struct bench *b, double *up_ms, double *counts_ms)
{
    auto_fd int ns = new_namespace(b);
    const struct netd_ask ask = {.run = ++b->run, .netns_fd = ns, .targets = &b->targets};
    struct err e = {0};
    int64_t began = boot_us();

    need(netd_up(b->netd, &ask, &e) == 0, "ask", &e);
    turn(b);
    *up_ms = (double)(boot_us() - began) / 1000;
    fd_close(&ns); /* the box ends */
    began = boot_us();
    netd_down(b->netd, b->run);
    turn(b);
    *counts_ms = (double)(boot_us() - began) / 1000;
    if (b->rest) {
        timer_arm(b->loop, &b->pause, PAUSE_MS);
        turn(b);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void print_quantiles(const char *name, double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    printf("\"%s\": {\"p10\": %.3f, \"p50\": %.3f, \"p90\": %.3f}", name, v[n / 10], v[n / 2],
           v[n - 1 - n / 10]);
}

static void measure(struct bench *b, size_t n)
{
    double *up = xcalloc(n, sizeof *up), *counts = xcalloc(n, sizeof *counts);
    int64_t began;

    b->rest = true;
    round_of(b, up, counts); /* warms up */
    for (size_t i = 0; i < n; i++) {
        round_of(b, up + i, counts + i);
    }
    printf("{\"ranges\": %zu, ", b->targets.n);
    print_quantiles("up_ms", up, n);
    printf(", ");
    print_quantiles("counts_ms", counts, n);
    b->rest = false;
    began = boot_us();
    for (size_t i = 0; i < n; i++) {
        round_of(b, up + i, counts + i);
    }
    printf(", \"pace_ms\": %.3f, ", (double)(boot_us() - began) / 1000 / (double)n);
    print_quantiles("busy_up_ms", up, n);
    printf("}\n");
    free(up);
    free(counts);
}

/* Every other network of four addresses from 10.0.0.0 on: all private ones are allowed. */
static void make_targets(struct netset *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct net_range r = {.first = {.lo = (10u << 24) + 8u * i}};

        r.last.lo = r.first.lo + 3;
        netset_add(s, &r);
    }
}

int main(int argc, char **argv)
{
    const struct netd_config config = {
        .pool_v4 = "198.18.0.0/16", .pool_v6 = "fd5c:a17e::/64", .forward = true};
    struct bench b = {.pause = {.fn = on_pause}};
    struct netd_events ev = {
        .ready = on_ready, .up = on_up, .counts = on_counts, .gone = on_gone, .arg = &b};
    size_t n = argc > 1 ? (size_t)atoi(argv[1]) : 20;
    size_t ranges = argc > 2 ? (size_t)atoi(argv[2]) : 1;
    struct err e = {.msg = "run it as root"};
    int fd, pidfd;

    need(n > 0 && n <= 100000 && ranges > 0 && ranges <= 100000 && unshare(CLONE_NEWNET) == 0,
         "a network namespace", &e);
    b.host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    make_targets(&b.targets, ranges);
    need(netd_spawn(&config, &fd, &pidfd, &e) == 0 && loop_new(&b.loop, &e) == 0 &&
             netd_connect(b.loop, fd, &ev, &b.netd, &e) == 0,
         "netd", &e);
    turn(&b);
    measure(&b, n);
    netd_free(b.netd);
    loop_free(b.loop);
    netset_done(&b.targets);
    close(pidfd);
    return 0;
}
