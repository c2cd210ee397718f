/*
 * A real redis-server, a store, a scheduler and the server's side of the transport, with a worker
 * that the test plays by hand.
 */
#pragma once

#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/record.h"
#include "tap.h"
#include "transport/fleet.h"
#include "transport/message.h"

#define ONE   "00000000000000a1"
#define OTHER "00000000000000b2"

enum { LEASE_MS = 400, WAIT_MS = 5000 };

struct bench {
    char *socket, *store_url, *blob;
    pid_t redis;
    redisContext *c; /* the worker's */
    struct redis_url url;
    struct loop *loop;
    struct store *store;
    struct sched *sched;
    struct fleet *fleet;
    bool fail_commits;
    char last[64]; /* of the worker's own stream */
};

static pid_t start_redis(const char *dir, const char *socket)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir,
               "--appendonly", "yes", "--appendfsync", "no", "--save", "", "--logfile", "/dev/null",
               (char *)NULL);
        _exit(127);
    }
    return pid;
}

static redisContext *dial(const char *socket)
{
    for (int i = 0; i < 200; i++) {
        redisContext *c = redisConnectUnix(socket);

        if (c && !c->err) {
            return c;
        }
        if (c) {
            redisFree(c);
        }
        usleep(20000);
    }
    tap_fail(__FILE__, __LINE__, "redis-server does not come up");
}

static void start_server(struct bench *b)
{
    struct sched_config c = {
        .retry_base_ms = 1, .beat_ms = 10000, .worker = "local", .blob_dir = b->blob};
    struct worker_link link = {0};
    struct fleet_config fc = {
        .url = &b->url, .beat_ms = 100, .kill_ms = 300, .lease_ms = LEASE_MS, .blob_dir = b->blob};

    CHECK_OK(loop_new(&b->loop, ERR));
    CHECK_OK(store_open(b->store_url, &b->store, ERR));
    CHECK_OK(sched_new(b->loop, b->store, &c, &link, &b->sched, ERR));
    CHECK_OK(fleet_new(b->loop, b->store, b->sched, &fc, &b->fleet, ERR));
    CHECK_OK(sched_recover(b->sched, ERR));
}

static void stop_server(struct bench *b)
{
    sched_free(b->sched); /* it tells its lane */
    fleet_free(b->fleet);
    store_close(b->store);
    loop_free(b->loop);
}

static int runs_of_bench;

static struct bench set_up(void)
{
    struct bench b = {.last = "0"};
    auto_free char *dir = str_fmt("%s/%d", test_dir(), runs_of_bench++);
    auto_free char *url = NULL;

    if (system("command -v redis-server >/dev/null") != 0) {
        tap_skip("there is no redis-server");
    }
    b.blob = str_fmt("%s/blob", dir);
    CHECK(mkdir(dir, 0700) == 0 && mkdir(b.blob, 0700) == 0);
    b.socket = str_fmt("%s/s", dir);
    b.store_url = str_fmt("sqlite:%s/data", dir);
    b.redis = start_redis(dir, b.socket);
    b.c = dial(b.socket);
    url = str_fmt("unix:%s", b.socket);
    CHECK_OK(redis_url_parse(url, &b.url, ERR));
    start_server(&b);
    return b;
}

static void tear_down(struct bench *b)
{
    stop_server(b);
    redisFree(b->c);
    kill(b->redis, SIGKILL);
    waitpid(b->redis, NULL, 0);
    redis_url_done(&b->url);
    free(b->socket);
    free(b->blob);
    free(b->store_url);
}

static void turn(struct bench *b, int ms)
{
    bool committed;

    CHECK_OK(loop_turn(b->loop, ms, ERR));
    sched_before_commit(b->sched);
    committed = !b->fail_commits && store_commit(b->store, NULL) == 0;
    if (!committed) {
        store_rollback(b->store);
    }
    sched_after_commit(b->sched, committed);
    fleet_after_commit(b->fleet, committed);
}

/* ---- the worker ---- */

static void say(struct bench *b, const char *instance, const struct buf *out)
{
    redisReply *r = redisCommand(b->c, "XADD scanpod:reports * v %d w hand i %s d %b",
                                 TRANSPORT_PROTOCOL, instance, out->data, out->len);

    CHECK(r && r->type == REDIS_REPLY_STRING);
    freeReplyObject(r);
}

#define SAY(b, instance, ...)       \
    do {                            \
        auto_buf out = {0};         \
        __VA_ARGS__;                \
        say((b), (instance), &out); \
    } while (0)

static void hello(struct bench *b, const char *instance, const char *home, const char *held)
{
    struct hello h = {.version = "test",
                      .zone = "",
                      .host = "here",
                      .home = home,
                      .slots = 2,
                      .confinement = "none"};

    strvec_push(&h.queues, "net");
    strvec_push(&h.tools, "nmap 7.93");
    if (held) {
        strvec_push(&h.held, held);
    }
    SAY(b, instance, put_hello(&out, &h));
    strvec_done(&h.queues);
    strvec_done(&h.tools);
    strvec_done(&h.held);
}

/* l NULL: it holds nothing. */
static inline void beat(struct bench *b, uint64_t n, const struct lease *l)
{
    struct beat at = {.n = n, .busy = l != NULL, .n_leases = l != NULL};

    if (l) {
        at.leases[0] = *l;
    }
    SAY(b, ONE, put_beat(&out, &at));
}

/* The next message of that type in the worker's stream; the entry is the caller's to free. */
static redisReply *heard(struct bench *b, enum message_type type, struct message *m)
{
    int64_t end = boot_ms() + WAIT_MS;

    while (boot_ms() < end) {
        redisReply *r = redisCommand(b->c, "XRANGE scanpod:w:hand (%s + COUNT 1", b->last);

        turn(b, 5);
        if (r && r->type == REDIS_REPLY_ARRAY && r->elements == 1) {
            redisReply *fields = r->element[0]->element[1];
            const uint8_t *p = (const uint8_t *)fields->element[7]->str;
            size_t n = fields->element[7]->len;

            while (n > 0) {
                CHECK_OK(message_next(&p, &n, m, ERR));
                if (m->type == type) {
                    if (n == 0) {
                        snprintf(b->last, sizeof b->last, "%s", r->element[0]->element[0]->str);
                    } /* else the entry is read again for what follows */
                    return r;
                }
            }
            snprintf(b->last, sizeof b->last, "%s", r->element[0]->element[0]->str);
        }
        freeReplyObject(r);
    }
    tap_fail(__FILE__, __LINE__, "message %d does not come", type);
}

static inline struct answer answered(struct bench *b)
{
    struct message m = {0};
    redisReply *r = heard(b, MSG_ANSWER, &m);
    struct answer a = m.answer;

    message_done(&m);
    freeReplyObject(r);
    return a;
}

static inline void expect(struct bench *b, enum message_type type, const struct lease *l)
{
    struct message m = {0};
    redisReply *r = heard(b, type, &m);

    if (l) {
        CHECK(id_cmp(&m.lease.job_id, &l->job_id) == 0 && m.lease.epoch == l->epoch);
    }
    message_done(&m);
    freeReplyObject(r);
}

/* Takes one out of the queue, as a worker does. */
static bool take(struct bench *b, struct lease *out, int ms)
{
    int64_t end = boot_ms() + ms;

    while (boot_ms() < end) {
        redisReply *r =
            redisCommand(b->c, "XREADGROUP GROUP workers hand COUNT 1 STREAMS scanpod:q:net >");
        bool got = r && r->type == REDIS_REPLY_ARRAY;

        if (got) {
            redisReply *entry = r->element[0]->element[1]->element[0];
            const uint8_t *p = (const uint8_t *)entry->element[1]->element[7]->str;
            size_t n = entry->element[1]->element[7]->len;
            struct message m = {0};

            CHECK_OK(message_next(&p, &n, &m, ERR));
            CHECK_INT(m.type, MSG_ASSIGN);
            CHECK_STR(m.assign.job.targets, "127.0.0.1");
            CHECK_STR(m.assign.queue, "net");
            *out = m.assign.lease;
            message_done(&m);
            freeReplyObject(
                redisCommand(b->c, "XACK scanpod:q:net workers %s", entry->element[0]->str));
            freeReplyObject(redisCommand(b->c, "XDEL scanpod:q:net %s", entry->element[0]->str));
        }
        freeReplyObject(r);
        if (got) {
            return true;
        }
        turn(b, 5);
    }
    return false;
}

static struct id submit_to(struct bench *b, const char *queue)
{
    struct job j = {0};
    struct id id;

    job_init(&j);
    j.id = id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup("127.0.0.1");
    j.queue = xstrdup(queue);
    j.timeout_s = INT64_MIN;
    j.run_timeout_s = 60;
    j.queue_timeout_s = 60;
    j.priority = JOB_PRIORITY_DEFAULT;
    j.max_attempts = 2;
    j.created_us = wall_us();
    j.queue_expires_us = j.created_us + 60000000;
    CHECK_OK(store_job_add(b->store, &j, ERR));
    job_done(&j);
    loop_again(b->loop);
    return id;
}

static struct id submit(struct bench *b)
{
    return submit_to(b, "net");
}

static struct job job_of(struct bench *b, const struct id *id)
{
    struct job j = {0};

    CHECK_OK(store_job_get(b->store, id, &j, ERR));
    return j;
}

static inline void wait_state(struct bench *b, const struct id *id, enum job_state want)
{
    int64_t end = boot_ms() + WAIT_MS;
    enum job_state st;

    do {
        struct job j = job_of(b, id);

        st = j.state;
        job_done(&j);
        turn(b, 5);
    } while (st != want && boot_ms() < end);
    CHECK_STR(job_state_name(st), job_state_name(want));
}

static inline void one_host(struct buf *records, const char *address)
{
    struct host_addr a = {.addr = address, .type = "ipv4"};
    struct port p = {.number = 22, .protocol = "tcp", .state = "open"};
    struct host h = {.state = "up"};

    h.addrs = &a;
    h.n_addrs = 1;
    h.ports = &p;
    h.n_ports = 1;
    record_put_host(records, &h);
}

static const struct outcome good = {.state = JOB_COMPLETED, .exit_status = 0};
