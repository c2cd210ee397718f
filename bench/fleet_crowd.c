/*
 * fleet_crowd - many workers in one process, each with its own connections: what a server has to do
 * for a large fleet. They run nothing; each task is over when it comes, or is held until the end.
 * usage: fleet_crowd REDIS_URL WORKERS SLOTS DIR [hold]    until SIGTERM; DIR: for their spools
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/station.h"

enum { CROWD_MAX = 5000 };

struct member {
    struct station *station;
    uint32_t slots; /* that are free */
    bool hold;
};

struct crowd {
    struct member v[CROWD_MAX];
    size_t n;
    struct turn_hook hook;
    struct loop *loop;
};

static void on_assigned(void *arg, const struct assignment *a, int64_t deadline_ms)
{
    struct member *m = arg;
    const struct outcome done = {.state = JOB_COMPLETED};

    (void)deadline_ms;
    if (m->hold) {
        m->slots--;
        return;
    }
    station_end(m->station, &a->lease, &done, NULL);
}

static void on_extend(void *arg, const struct lease *l, int64_t deadline_ms)
{
    (void)arg;
    (void)l;
    (void)deadline_ms;
}

static void on_lease(void *arg, const struct lease *l)
{
    (void)arg; /* nothing runs */
    (void)l;
}

static void on_drain(void *arg, bool on)
{
    (void)arg;
    (void)on;
}

static void on_refused(void *arg, const char *why)
{
    (void)arg;
    fprintf(stderr, "fleet_crowd: refused: %s\n", why);
    exit(1);
}

static void on_turn_end(struct turn_hook *hook)
{
    struct crowd *c = container_of(hook, struct crowd, hook);

    for (size_t i = 0; i < c->n; i++) {
        station_room(c->v[i].station, c->v[i].slots);
    }
}

static int join(struct crowd *c, const struct redis_url *url, uint32_t slots, const char *dir,
                bool hold, struct err *e)
{
    struct member *m = &c->v[c->n];
    auto_free char *name = str_fmt("crowd%zu", c->n);
    auto_free char *spool = str_fmt("%s/%s", dir, name);
    auto_free char *home = str_fmt("%032zx", c->n);
    struct station_config config = {
        .url = url,
        .name = name,
        .spool_dir = spool,
        .hello = {.version = "bench", .zone = "", .host = "crowd", .home = home, .slots = slots}};
    const struct station_events ev = {.assigned = on_assigned,
                                      .extend = on_extend,
                                      .cancel = on_lease,
                                      .fenced = on_lease,
                                      .drain = on_drain,
                                      .refused = on_refused,
                                      .arg = m};
    int rc;

    strvec_push(&config.hello.queues, "net");
    strvec_push(&config.hello.queues, "net-raw");
    strvec_push(&config.hello.tools, "noop");
    m->slots = slots;
    m->hold = hold;
    rc = mkdir(spool, 0700) < 0 ? err_errno(e, "make '%s'", spool)
                                : station_new(c->loop, &config, &ev, &m->station, e);
    strvec_done(&config.hello.queues);
    strvec_done(&config.hello.tools);
    c->n += rc == 0;
    return rc;
}

static void on_stop(int signo, void *arg)
{
    (void)signo;
    loop_stop(arg);
}

int main(int argc, char **argv)
{
    static struct crowd c;
    struct redis_url url = {0};
    struct err e = {0};
    uint64_t n, slots;
    int rc;

    if ((argc != 5 && (argc != 6 || !str_eq(argv[5], "hold"))) ||
        !str_to_u64(argv[2], 1, CROWD_MAX, &n) ||
        !str_to_u64(argv[3], 1, WORKER_SLOTS_MAX, &slots)) {
        fputs("usage: fleet_crowd REDIS_URL WORKERS SLOTS DIR [hold]\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if ((rc = redis_url_parse(argv[1], &url, &e)) == 0 && (rc = loop_new(&c.loop, &e)) == 0) {
        rc = loop_signal(c.loop, SIGTERM, on_stop, c.loop, &e);
    }
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        rc = join(&c, &url, (uint32_t)slots, argv[4], argc == 6, &e);
    }
    if (rc == 0) {
        c.hook.fn = on_turn_end;
        loop_at_turn_end(c.loop, &c.hook);
        rc = loop_run(c.loop, &e);
    }
    for (size_t i = 0; i < c.n; i++) {
        station_free(c.v[i].station);
    }
    redis_url_done(&url);
    loop_free(c.loop);
    if (rc != 0) {
        fprintf(stderr, "fleet_crowd: %s\n", e.msg);
    }
    return rc == 0 ? 0 : 1;
}
