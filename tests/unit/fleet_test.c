/*
 * The server's side of the transport against a real redis-server, with a worker that the test
 * plays by hand: what it is given, and what becomes of what it says.
 */
#include <hiredis/hiredis.h>
#include <signal.h>
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
    char *socket, *store_url;
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
    struct sched_config c = {.retry_base_ms = 1, .beat_ms = 10000, .worker = "local"};
    struct worker_link link = {0};
    struct fleet_config fc = {.url = &b->url, .beat_ms = 100, .kill_ms = 300, .lease_ms = LEASE_MS};

    CHECK_OK(loop_new(&b->loop, ERR));
    CHECK_OK(store_open(b->store_url, &b->store, ERR));
    CHECK_OK(sched_new(b->loop, b->store, &c, &link, &b->sched, ERR));
    CHECK_OK(fleet_new(b->loop, b->store, b->sched, &fc, &b->fleet, ERR));
    CHECK_OK(sched_recover(b->sched, ERR));
}

static void stop_server(struct bench *b)
{
    fleet_free(b->fleet);
    sched_free(b->sched);
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
    CHECK(mkdir(dir, 0700) == 0);
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

static struct answer answered(struct bench *b)
{
    struct message m = {0};
    redisReply *r = heard(b, MSG_ANSWER, &m);
    struct answer a = m.answer;

    message_done(&m);
    freeReplyObject(r);
    return a;
}

static void expect(struct bench *b, enum message_type type, const struct lease *l)
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

static struct id submit(struct bench *b)
{
    struct job j = {0};
    struct id id;

    job_init(&j);
    j.id = id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup("127.0.0.1");
    j.queue = xstrdup("net");
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

static struct job job_of(struct bench *b, const struct id *id)
{
    struct job j = {0};

    CHECK_OK(store_job_get(b->store, id, &j, ERR));
    return j;
}

static void wait_state(struct bench *b, const struct id *id, enum job_state want)
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

static void one_host(struct buf *records, const char *address)
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

/* ---- tests ---- */

static void a_task_goes_to_a_worker_and_its_result_comes_back(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    auto_buf hosts = {0};
    struct lease l;
    struct job j;

    one_host(&hosts, "127.0.0.1");
    hello(&b, ONE, "home", NULL);
    expect(&b, MSG_ANSWER, NULL);
    CHECK(take(&b, &l, WAIT_MS));
    SAY(&b, ONE, put_took(&out, &l); put_hosts(&out, &l, 1, hosts.data, hosts.len));
    expect(&b, MSG_ACK, &l);
    SAY(&b, ONE, put_end(&out, &l, 2, &good));
    expect(&b, MSG_ACK, &l);
    j = job_of(&b, &id);
    CHECK_INT(j.state, JOB_COMPLETED);
    CHECK_INT(j.hosts, 1);
    CHECK_INT(j.ports_open, 1);
    job_done(&j);
    tear_down(&b);
}

static void no_more_is_pushed_than_there_are_free_slots(void)
{
    struct bench b = set_up();
    struct lease l[2], more;

    for (int i = 0; i < 5; i++) {
        submit(&b);
    }
    CHECK(!take(&b, &more, 200)); /* nobody is there */
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l[0], WAIT_MS) && take(&b, &l[1], WAIT_MS));
    SAY(&b, ONE, put_took(&out, &l[0]); put_took(&out, &l[1]));
    CHECK(!take(&b, &more, 200));
    SAY(&b, ONE, put_end(&out, &l[0], 1, &good));
    CHECK(take(&b, &more, WAIT_MS));
    tear_down(&b);
}

static void a_report_that_comes_twice_counts_once(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    auto_buf hosts = {0};
    struct lease l;
    struct job j;

    one_host(&hosts, "127.0.0.1");
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    for (int i = 0; i < 2; i++) {
        SAY(&b, ONE, put_hosts(&out, &l, 1, hosts.data, hosts.len));
        expect(&b, MSG_ACK, &l);
    }
    SAY(&b, ONE, put_end(&out, &l, 2, &good); put_end(&out, &l, 2, &good));
    expect(&b, MSG_ACK, &l);
    SAY(&b, ONE, put_end(&out, &l, 2, &good)); /* its acknowledgement was lost */
    expect(&b, MSG_FENCED, &l);
    j = job_of(&b, &id);
    CHECK_INT(j.hosts, 1);
    CHECK_INT(j.state, JOB_COMPLETED);
    job_done(&j);
    tear_down(&b);
}

static void a_report_behind_a_gap_waits_for_what_is_missing(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    auto_buf hosts = {0};
    struct lease l;
    struct job j;

    one_host(&hosts, "127.0.0.1");
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    SAY(&b, ONE, put_end(&out, &l, 2, &good));
    for (int i = 0; i < 10; i++) {
        turn(&b, 10);
    }
    j = job_of(&b, &id);
    CHECK_INT(j.state, JOB_RUNNING);
    job_done(&j);
    SAY(&b, ONE, put_hosts(&out, &l, 1, hosts.data, hosts.len); put_end(&out, &l, 2, &good));
    wait_state(&b, &id, JOB_COMPLETED);
    tear_down(&b);
}

static void what_nothing_is_heard_of_runs_again_and_the_late_worker_is_fenced(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct lease l, again;
    struct job j;

    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    SAY(&b, ONE, put_took(&out, &l));
    wait_state(&b, &id, JOB_QUEUED);
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &again, WAIT_MS));
    CHECK_INT(again.epoch, l.epoch + 1);
    SAY(&b, ONE, put_end(&out, &l, 1, &good));
    expect(&b, MSG_FENCED, &l);
    j = job_of(&b, &id);
    CHECK_INT(j.state, JOB_RUNNING);
    CHECK_INT(j.lost, 1);
    job_done(&j);
    tear_down(&b);
}

static void beats_keep_a_lease_for_as_long_as_it_takes(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct lease l;

    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    for (uint64_t n = 1; n <= 10; n++) {
        struct beat beat = {.n = n, .busy = 1, .n_leases = 1, .leases = {l}};

        SAY(&b, ONE, put_beat(&out, &beat));
        expect(&b, MSG_ANSWER, NULL);
        usleep(LEASE_MS / 4 * 1000);
    }
    SAY(&b, ONE, put_end(&out, &l, 1, &good));
    wait_state(&b, &id, JOB_COMPLETED);
    tear_down(&b);
}

static void a_complete_result_of_a_lost_run_is_adopted_while_the_task_is_open(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct message m = {0};
    struct lease l, now;
    redisReply *r;

    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    wait_state(&b, &id, JOB_QUEUED);
    SAY(&b, ONE, put_offer(&out, &l));
    r = heard(&b, MSG_ADOPT, &m);
    now = m.now;
    message_done(&m);
    freeReplyObject(r);
    CHECK(now.epoch > l.epoch);
    SAY(&b, ONE, put_end(&out, &now, 1, &good));
    wait_state(&b, &id, JOB_COMPLETED);
    SAY(&b, ONE, put_offer(&out, &l));
    expect(&b, MSG_FENCED, &l);
    tear_down(&b);
}

static void an_instance_that_is_gone_for_certain_loses_its_tasks_at_once(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct lease l, again;
    int64_t before;

    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    SAY(&b, ONE, put_took(&out, &l));
    turn(&b, 50);
    before = boot_ms();
    hello(&b, OTHER, "home", NULL);
    CHECK(take(&b, &again, WAIT_MS));
    CHECK(boot_ms() - before < LEASE_MS || again.epoch == l.epoch + 1);
    SAY(&b, OTHER, put_end(&out, &again, 1, &good));
    wait_state(&b, &id, JOB_COMPLETED);
    tear_down(&b);
}

static void a_second_worker_of_a_name_that_is_taken_is_refused(void)
{
    struct bench b = set_up();

    hello(&b, ONE, "home", NULL);
    expect(&b, MSG_ANSWER, NULL);
    hello(&b, OTHER, "elsewhere", NULL);
    expect(&b, MSG_REFUSED, NULL);
    tear_down(&b);
}

static void runs_go_on_while_the_server_is_started_again(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    auto_buf hosts = {0};
    struct lease l;
    struct job j;

    one_host(&hosts, "127.0.0.1");
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    SAY(&b, ONE, put_took(&out, &l); put_hosts(&out, &l, 1, hosts.data, hosts.len));
    expect(&b, MSG_ACK, &l);
    stop_server(&b);
    SAY(&b, ONE, put_end(&out, &l, 2, &good));
    start_server(&b);
    wait_state(&b, &id, JOB_COMPLETED);
    j = job_of(&b, &id);
    CHECK_INT(j.hosts, 1);
    CHECK_INT(j.attempts, 1);
    job_done(&j);
    tear_down(&b);
}

static void what_a_failed_commit_undid_is_read_again(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    auto_buf hosts = {0};
    struct lease l;
    struct job j;

    one_host(&hosts, "127.0.0.1");
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    b.fail_commits = true;
    SAY(&b, ONE, put_hosts(&out, &l, 1, hosts.data, hosts.len); put_end(&out, &l, 2, &good));
    for (int i = 0; i < 20; i++) {
        turn(&b, 10);
    }
    b.fail_commits = false;
    wait_state(&b, &id, JOB_COMPLETED);
    j = job_of(&b, &id);
    CHECK_INT(j.hosts, 1);
    job_done(&j);
    tear_down(&b);
}

static void a_cancel_reaches_the_worker(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    const struct outcome stopped = {
        .state = JOB_CANCELLED, .reason = REASON_CANCELLED, .exit_status = -1};
    enum job_state now;
    struct lease l;

    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    CHECK_OK(sched_cancel(b.sched, &id, &now, ERR)); /* before it is known who has it */
    SAY(&b, ONE, put_took(&out, &l));
    expect(&b, MSG_CANCEL, &l);
    SAY(&b, ONE, put_end(&out, &l, 1, &stopped));
    wait_state(&b, &id, JOB_CANCELLED);
    tear_down(&b);
}

static void a_worker_that_drains_gets_nothing_more(void)
{
    struct bench b = set_up();
    struct lease l;

    hello(&b, ONE, "home", NULL);
    expect(&b, MSG_ANSWER, NULL);
    CHECK_OK(fleet_drain(b.fleet, "hand", true, ERR));
    expect(&b, MSG_DRAIN, NULL);
    submit(&b);
    CHECK(!take(&b, &l, 300));
    CHECK_OK(fleet_drain(b.fleet, "hand", false, ERR));
    CHECK(take(&b, &l, WAIT_MS));
    CHECK_INT(fleet_drain(b.fleet, "nobody", true, ERR), ERR_NOT_FOUND);
    tear_down(&b);
}

/* l NULL: it holds nothing. */
static void beat(struct bench *b, uint64_t n, const struct lease *l)
{
    struct beat at = {.n = n, .busy = l != NULL, .n_leases = l != NULL};

    if (l) {
        at.leases[0] = *l;
    }
    SAY(b, ONE, put_beat(&out, &at));
}

static void a_cancel_is_said_again_until_the_run_ends_over_a_restart_too(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    const struct outcome stopped = {
        .state = JOB_CANCELLED, .reason = REASON_CANCELLED, .exit_status = -1};
    enum job_state now;
    struct lease l;

    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    SAY(&b, ONE, put_took(&out, &l));
    CHECK_OK(sched_cancel(b.sched, &id, &now, ERR));
    expect(&b, MSG_CANCEL, &l); /* and this one is lost */
    beat(&b, 1, &l);
    expect(&b, MSG_CANCEL, &l);
    stop_server(&b);
    start_server(&b);
    beat(&b, 2, &l);
    expect(&b, MSG_CANCEL, &l);
    SAY(&b, ONE, put_end(&out, &l, 1, &stopped));
    wait_state(&b, &id, JOB_CANCELLED);
    tear_down(&b);
}

static void a_drain_outlives_a_restart_of_the_server(void)
{
    struct bench b = set_up();
    struct lease l;

    hello(&b, ONE, "home", NULL);
    expect(&b, MSG_ANSWER, NULL);
    CHECK_OK(fleet_drain(b.fleet, "hand", true, ERR));
    expect(&b, MSG_DRAIN, NULL);
    stop_server(&b);
    start_server(&b);
    submit(&b);
    beat(&b, 7, NULL); /* its hello was before the server's time */
    CHECK(answered(&b).drain);
    hello(&b, ONE, "home", NULL); /* ... until it says it again */
    CHECK(answered(&b).drain);
    CHECK(!take(&b, &l, 300));
    stop_server(&b);
    start_server(&b);
    CHECK_OK(fleet_drain(b.fleet, "hand", false, ERR)); /* before it is heard of */
    CHECK_INT(fleet_drain(b.fleet, "hand", false, ERR), ERR_NOT_FOUND);
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    tear_down(&b);
}

static void entries_that_are_none_are_counted_and_removed(void)
{
    struct bench b = set_up();
    struct fleet_stats st;
    int64_t end = boot_ms() + WAIT_MS;
    redisReply *r;

    hello(&b, ONE, "home", NULL);
    expect(&b, MSG_ANSWER, NULL);
    freeReplyObject(redisCommand(b.c, "XADD scanpod:reports * v 1 w hand i %s d nonsense", ONE));
    freeReplyObject(redisCommand(b.c, "XADD scanpod:reports * hello world"));
    freeReplyObject(redisCommand(b.c, "XADD scanpod:reports * v 99 w hand i %s d x", ONE));
    do {
        turn(&b, 10);
        fleet_stats(b.fleet, &st);
    } while (st.bad_entries < 3 && boot_ms() < end);
    CHECK_INT(st.bad_entries, 3);
    turn(&b, 10);
    r = redisCommand(b.c, "XLEN scanpod:reports");
    CHECK_INT(r->integer, 0);
    freeReplyObject(r);
    tear_down(&b);
}

TESTS(a_task_goes_to_a_worker_and_its_result_comes_back,
      no_more_is_pushed_than_there_are_free_slots, a_report_that_comes_twice_counts_once,
      a_report_behind_a_gap_waits_for_what_is_missing,
      what_nothing_is_heard_of_runs_again_and_the_late_worker_is_fenced,
      beats_keep_a_lease_for_as_long_as_it_takes,
      a_complete_result_of_a_lost_run_is_adopted_while_the_task_is_open,
      an_instance_that_is_gone_for_certain_loses_its_tasks_at_once,
      a_second_worker_of_a_name_that_is_taken_is_refused,
      runs_go_on_while_the_server_is_started_again, what_a_failed_commit_undid_is_read_again,
      a_cancel_reaches_the_worker, a_worker_that_drains_gets_nothing_more,
      a_drain_outlives_a_restart_of_the_server,
      a_cancel_is_said_again_until_the_run_ends_over_a_restart_too,
      entries_that_are_none_are_counted_and_removed)
