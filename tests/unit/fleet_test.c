/*
 * The server's side of the transport against a real redis-server, with a worker that the test
 * plays by hand: what it is given, and what becomes of what it says.
 */
#include "fleet_rig.h"

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

static long long waiting_in(struct bench *b, const char *queue)
{
    redisReply *r = redisCommand(b->c, "XLEN scanpod:q:%s", queue);
    long long n = r && r->type == REDIS_REPLY_INTEGER ? r->integer : -1;

    freeReplyObject(r);
    return n;
}

static void queues_that_the_same_worker_serves_share_its_slots(void)
{
    struct bench b = set_up();
    struct hello h = {.version = "test", .zone = "", .host = "here", .home = "home", .slots = 3};
    static const char *const queues[] = {"net", "net-raw",
                                         "net"}; /* each once, said twice or not */

    for (size_t i = 0; i < ARRAY_LEN(queues); i++) {
        strvec_push(&h.queues, queues[i]);
    }
    for (int i = 0; i < 8; i++) {
        submit_to(&b, i % 2 ? "net-raw" : "net");
    }
    SAY(&b, ONE, put_hello(&out, &h));
    strvec_done(&h.queues);
    for (int i = 0; i < 100 && waiting_in(&b, "net") + waiting_in(&b, "net-raw") < 3; i++) {
        turn(&b, 20);
    }
    for (int i = 0; i < 5; i++) {
        turn(&b, 20);
    }
    CHECK_INT(waiting_in(&b, "net"), 2);
    CHECK_INT(waiting_in(&b, "net-raw"), 1);
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

static void a_run_that_told_its_progress_can_be_lost_too(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    const struct progress half = {.percent_x100 = 5000, .task = "Connect Scan"};
    struct lease l, again;
    struct job j;

    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    SAY(&b, ONE, put_took(&out, &l); put_progress(&out, &l, &half));
    wait_state(&b, &id, JOB_QUEUED);
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &again, WAIT_MS));
    j = job_of(&b, &id);
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
      no_more_is_pushed_than_there_are_free_slots,
      queues_that_the_same_worker_serves_share_its_slots, a_report_that_comes_twice_counts_once,
      a_report_behind_a_gap_waits_for_what_is_missing,
      what_nothing_is_heard_of_runs_again_and_the_late_worker_is_fenced,
      a_run_that_told_its_progress_can_be_lost_too, beats_keep_a_lease_for_as_long_as_it_takes,
      a_complete_result_of_a_lost_run_is_adopted_while_the_task_is_open,
      an_instance_that_is_gone_for_certain_loses_its_tasks_at_once,
      a_second_worker_of_a_name_that_is_taken_is_refused,
      runs_go_on_while_the_server_is_started_again, what_a_failed_commit_undid_is_read_again,
      a_cancel_reaches_the_worker, a_worker_that_drains_gets_nothing_more,
      a_drain_outlives_a_restart_of_the_server,
      a_cancel_is_said_again_until_the_run_ends_over_a_restart_too,
      entries_that_are_none_are_counted_and_removed)
