/* The server's side of the transport where things cross, come twice, or are not what they say. */
#include "fleet_rig.h"
#include "store/blob.h"

static struct lease took_one(struct bench *b)
{
    struct lease l;

    hello(b, ONE, "home", NULL);
    CHECK(take(b, &l, WAIT_MS));
    SAY(b, ONE, put_took(&out, &l));
    turn(b, 20);
    return l;
}

static struct lease adopted(struct bench *b, const struct lease *old)
{
    struct message m = {0};
    redisReply *r = heard(b, MSG_ADOPT, &m);
    struct lease now = m.now;

    CHECK(m.lease.token == old->token);
    message_done(&m);
    freeReplyObject(r);
    return now;
}

static void a_worker_that_was_started_again_while_the_server_was_down_is_not_refused(void)
{
    struct bench b = set_up();
    struct lease l;

    hello(&b, ONE, "home", NULL);
    expect(&b, MSG_ANSWER, NULL);
    stop_server(&b);
    beat(&b, 1, NULL); /* of the instance that ended then; its hello was read before */
    hello(&b, OTHER, "home", NULL);
    start_server(&b);
    submit(&b);
    CHECK(take(&b, &l, WAIT_MS));
    tear_down(&b);
}

static void a_hello_that_comes_late_does_not_take_the_tasks_of_who_lives(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct lease l;
    struct job j;

    hello(&b, ONE, "home", NULL);
    hello(&b, OTHER, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    SAY(&b, OTHER, put_took(&out, &l));
    turn(&b, 20);
    hello(&b, ONE, "home", NULL); /* it was on its way when its process died */
    for (int i = 0; i < 10; i++) {
        turn(&b, 5);
    }
    j = job_of(&b, &id);
    CHECK_INT(j.state, JOB_RUNNING);
    CHECK_INT(j.lost, 0);
    job_done(&j);
    SAY(&b, OTHER, put_end(&out, &l, 1, &good));
    wait_state(&b, &id, JOB_COMPLETED);
    tear_down(&b);
}

static void a_result_that_is_offered_twice_is_adopted_once(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct lease l = took_one(&b);
    struct lease first, second;
    struct job j;

    wait_state(&b, &id, JOB_QUEUED);
    SAY(&b, ONE, put_offer(&out, &l));
    first = adopted(&b, &l);
    SAY(&b, ONE, put_offer(&out, &l)); /* before it has heard of that */
    second = adopted(&b, &l);
    CHECK(first.token == second.token && first.epoch == second.epoch);
    SAY(&b, ONE, put_end(&out, &first, 1, &good));
    wait_state(&b, &id, JOB_COMPLETED);
    j = job_of(&b, &id);
    CHECK_INT(j.lost, 1); /* the first time */
    job_done(&j);
    tear_down(&b);
}

static void a_run_whose_replacement_was_undone_goes_on(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct lease l = took_one(&b);
    struct lease second;
    struct job j;

    wait_state(&b, &id, JOB_QUEUED);
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &second, WAIT_MS));
    SAY(&b, ONE, put_took(&out, &second));
    turn(&b, 20);
    b.fail_commits = true;
    SAY(&b, ONE, put_offer(&out, &l));
    for (int i = 0; i < 5; i++) {
        turn(&b, 5);
    }
    /* The offer is gone when it is read again: nothing took the place of the run. */
    freeReplyObject(redisCommand(b.c, "DEL scanpod:reports"));
    b.fail_commits = false;
    turn(&b, 5);
    turn(&b, 5);
    j = job_of(&b, &id);
    CHECK_INT(j.state, JOB_RUNNING);
    CHECK_INT(j.lost, 1);
    job_done(&j);
    tear_down(&b);
}

static void raw_output_with_a_hole_is_not_kept(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct lease l = took_one(&b);
    struct outcome o = good;
    char sha[65];
    struct job j;

    memset(sha, 'a', 64);
    sha[64] = 0;
    o.raw_sha256 = sha;
    o.raw_size = o.raw_stored = 6;
    SAY(&b, ONE, put_raw(&out, &l, 1, 0, "ab", 2); put_raw(&out, &l, 2, 4, "ef", 2);
        put_end(&out, &l, 3, &o));
    wait_state(&b, &id, JOB_COMPLETED);
    j = job_of(&b, &id);
    CHECK_INT(j.raw_size, 0);
    job_done(&j);
    tear_down(&b);
}

static void raw_output_in_order_and_twice_is_kept(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct lease l = took_one(&b);
    struct outcome o = good;
    char sha[65];
    struct job j;

    memset(sha, 'a', 64);
    sha[64] = 0;
    o.raw_sha256 = sha;
    o.raw_size = 9;
    o.raw_stored = 4;
    SAY(&b, ONE, put_raw(&out, &l, 1, 0, "ab", 2); put_raw(&out, &l, 1, 0, "ab", 2);
        put_raw(&out, &l, 2, 2, "ef", 2); put_end(&out, &l, 3, &o));
    wait_state(&b, &id, JOB_COMPLETED);
    j = job_of(&b, &id);
    CHECK_INT(j.raw_size, 9);
    job_done(&j);
    tear_down(&b);
}

static void raw_output_of_a_run_that_was_replaced_is_removed(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct lease l = took_one(&b), second;
    auto_free char *full = NULL;
    auto_free char *path = NULL;

    wait_state(&b, &id, JOB_QUEUED);
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &second, WAIT_MS));
    SAY(&b, ONE, put_raw(&out, &second, 1, 0, "ab", 2));
    expect(&b, MSG_ACK, &second);
    path = blob_path(&second);
    full = str_fmt("%s/%s", b.blob, path);
    CHECK(access(full, F_OK) == 0);
    SAY(&b, ONE, put_offer(&out, &l));
    adopted(&b, &l);
    turn(&b, 5);
    CHECK(access(full, F_OK) != 0);
    tear_down(&b);
}

/* Of another worker, with the same Redis. */
static void say_as(struct bench *b, const char *name, const struct buf *out)
{
    freeReplyObject(redisCommand(b->c, "XADD scanpod:reports * v %d w %s i %s d %b",
                                 TRANSPORT_PROTOCOL, name, OTHER, out->data, out->len));
}

static void a_run_of_one_worker_is_not_ended_by_another(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct lease l = took_one(&b);
    struct beat named = {.n = 1, .n_leases = 1, .leases = {l}};
    struct outcome bad = {.state = JOB_FAILED, .reason = REASON_TOOL_FAILED, .exit_status = 1};
    auto_buf theirs = {0};
    struct job j;

    put_beat(&theirs, &named);
    put_took(&theirs, &l);
    put_end(&theirs, &l, 1, &bad);
    say_as(&b, "stranger", &theirs);
    for (int i = 0; i < 10; i++) {
        turn(&b, 5);
    }
    j = job_of(&b, &id);
    CHECK_INT(j.state, JOB_RUNNING);
    job_done(&j);
    SAY(&b, ONE, put_end(&out, &l, 1, &good));
    wait_state(&b, &id, JOB_COMPLETED);
    tear_down(&b);
}

static void hosts_that_are_not_whole_end_their_run_and_no_other(void)
{
    struct bench b = set_up();
    struct id ids[2] = {submit(&b), submit(&b)};
    struct lease l[2];
    auto_buf whole = {0};
    struct job j;
    int bad;

    one_host(&whole, "127.0.0.1");
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l[0], WAIT_MS) && take(&b, &l[1], WAIT_MS));
    bad = id_cmp(&l[0].job_id, &ids[0]) == 0 ? 0 : 1;
    SAY(&b, ONE, put_hosts(&out, &l[0], 1, whole.data, whole.len - 1);
        put_hosts(&out, &l[1], 1, whole.data, whole.len); put_end(&out, &l[1], 2, &good));
    wait_state(&b, &ids[bad], JOB_FAILED);
    wait_state(&b, &ids[!bad], JOB_COMPLETED);
    j = job_of(&b, &ids[!bad]);
    CHECK_INT(j.hosts, 1);
    CHECK_INT(j.ports_open, 1);
    job_done(&j);
    tear_down(&b);
}

static void a_wait_for_ever_is_cut_short(void)
{
    struct bench b = set_up();
    struct id id = submit(&b);
    struct lease l = took_one(&b);
    struct job j;

    SAY(&b, ONE, put_wait(&out, &l, 1, INT64_MAX));
    wait_state(&b, &id, JOB_WAITING);
    j = job_of(&b, &id);
    CHECK(j.run_at_us < wall_us() + INT64_C(401) * 86400 * 1000000);
    job_done(&j);
    tear_down(&b);
}

static int64_t count(struct bench *b, const char *command)
{
    redisReply *r = redisCommand(b->c, command);
    int64_t n = r && r->type == REDIS_REPLY_INTEGER ? r->integer : -1;

    freeReplyObject(r);
    return n;
}

static void everything_is_lost_but_the_server_and_work_goes_on(void)
{
    struct bench b = set_up();
    struct id id;
    struct lease l;

    hello(&b, ONE, "home", NULL);
    expect(&b, MSG_ANSWER, NULL);
    freeReplyObject(redisCommand(b.c, "FLUSHALL"));
    hello(&b, ONE, "home", NULL); /* to a stream without a group */
    expect(&b, MSG_ANSWER, NULL);
    id = submit(&b);
    hello(&b, ONE, "home", NULL);
    CHECK(take(&b, &l, WAIT_MS));
    SAY(&b, ONE, put_end(&out, &l, 1, &good));
    wait_state(&b, &id, JOB_COMPLETED);
    turn(&b, 20);
    CHECK_INT(count(&b, "XLEN scanpod:reports"), 0);
    tear_down(&b);
}

/* The connection that acknowledges ends, the one that reads does not. */
static void what_was_applied_and_not_removed_is_removed_later(void)
{
    struct bench b = set_up();
    int64_t end = boot_ms() + 4 * WAIT_MS;

    hello(&b, ONE, "home", NULL);
    expect(&b, MSG_ANSWER, NULL);
    /* As if an acknowledgement had been lost with its connection. */
    SAY(&b, ONE, put_bye(&out));
    freeReplyObject(redisCommand(b.c, "XREADGROUP GROUP server main STREAMS scanpod:reports >"));
    CHECK_INT(count(&b, "XLEN scanpod:reports"), 1);
    freeReplyObject(redisCommand(b.c, "CLIENT KILL TYPE normal SKIPME yes"));
    do {
        turn(&b, 20);
    } while (count(&b, "XLEN scanpod:reports") != 0 && boot_ms() < end);
    CHECK_INT(count(&b, "XLEN scanpod:reports"), 0);
    tear_down(&b);
}

TESTS(a_worker_that_was_started_again_while_the_server_was_down_is_not_refused,
      a_hello_that_comes_late_does_not_take_the_tasks_of_who_lives,
      a_result_that_is_offered_twice_is_adopted_once, a_run_whose_replacement_was_undone_goes_on,
      raw_output_with_a_hole_is_not_kept, raw_output_in_order_and_twice_is_kept,
      raw_output_of_a_run_that_was_replaced_is_removed, a_run_of_one_worker_is_not_ended_by_another,
      hosts_that_are_not_whole_end_their_run_and_no_other, a_wait_for_ever_is_cut_short,
      everything_is_lost_but_the_server_and_work_goes_on,
      what_was_applied_and_not_removed_is_removed_later)
