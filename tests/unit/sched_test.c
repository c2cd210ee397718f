/* The scheduler over the memory store, with a worker that only remembers what it was told. */
#include "base/clock.h"
#include "model/job.h"
#include "sched/sched.h"
#include "tap.h"

struct bench {
    struct loop *loop;
    struct store *store;
    struct sched *sched;
    unsigned n_run, n_cancel, n_told;
    struct lease lease; /* of the last run or cancel */
    struct lease runs[8];
    struct job_waiter waiter;
    uint32_t most_of_a, most; /* how many tasks of the key "a", and of others, may run */
};

static uint32_t max_concurrent(void *arg, const char *key_id)
{
    const struct bench *b = arg;

    return strcmp(key_id, "a") == 0 ? b->most_of_a : b->most;
}

static void on_run(void *arg, const struct task *t, const struct job *j)
{
    struct bench *b = arg;

    CHECK_INT(id_cmp(&t->job_id, &j->id), 0);
    b->lease =
        (struct lease){.job_id = t->job_id, .idx = t->idx, .epoch = t->epoch, .token = t->token};
    b->runs[b->n_run++ % ARRAY_LEN(b->runs)] = b->lease;
}

static void on_cancel(void *arg, const struct lease *l)
{
    struct bench *b = arg;

    b->n_cancel++;
    b->lease = *l;
}

static void on_told(struct job_waiter *w)
{
    container_of(w, struct bench, waiter)->n_told++;
}

static void set_up(struct bench *b, uint32_t slots)
{
    struct sched_config c = {.slots = slots,
                             .retry_base_ms = 1,
                             .beat_ms = 10000,
                             .worker = "w",
                             .max_concurrent = max_concurrent,
                             .arg = b};
    struct worker_link link = {.run = on_run, .cancel = on_cancel, .arg = b};

    *b = (struct bench){.waiter.fn = on_told};
    CHECK_OK(loop_new(&b->loop, ERR));
    CHECK_OK(store_open("mem:", &b->store, ERR));
    CHECK_OK(sched_new(b->loop, b->store, &c, &link, &b->sched, ERR));
}

static void tear_down(struct bench *b)
{
    sched_free(b->sched);
    store_close(b->store);
    loop_free(b->loop);
}

static struct id add_job_of(struct bench *b, int32_t attempts, const char *key)
{
    struct job j = {0};
    struct id id;

    job_init(&j);
    j.id = id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup("127.0.0.1");
    j.key_id = xstrdup(key);
    j.timeout_s = INT64_MIN;
    j.run_timeout_s = 60;
    j.queue_timeout_s = 60;
    j.priority = JOB_PRIORITY_DEFAULT;
    j.max_attempts = attempts;
    j.created_us = wall_us();
    j.queue_expires_us = j.created_us + 60000000;
    CHECK_OK(store_job_add(b->store, &j, ERR));
    job_done(&j);
    return id;
}

static struct id add_job(struct bench *b, int32_t attempts)
{
    return add_job_of(b, attempts, "");
}

static void turn(struct bench *b, bool commit)
{
    sched_before_commit(b->sched);
    if (commit) {
        CHECK_OK(store_commit(b->store, ERR));
    } else {
        store_rollback(b->store);
    }
    sched_after_commit(b->sched, commit);
}

static enum job_state state_of(struct bench *b, const struct id *id)
{
    struct job j = {0};
    enum job_state s;

    job_init(&j);
    CHECK_OK(store_job_get(b->store, id, &j, ERR));
    s = j.state;
    job_done(&j);
    return s;
}

static void a_claim_is_launched_only_when_it_is_committed(void)
{
    struct bench b;
    struct id id;

    set_up(&b, 1);
    id = add_job(&b, 1);
    CHECK_OK(store_commit(b.store, ERR));
    turn(&b, false);
    CHECK_INT(b.n_run, 0);
    CHECK_INT(state_of(&b, &id), JOB_QUEUED);
    turn(&b, true);
    CHECK_INT(b.n_run, 1);
    CHECK_INT(state_of(&b, &id), JOB_RUNNING);
    tear_down(&b);
}

static void no_more_runs_than_slots(void)
{
    struct bench b;

    set_up(&b, 2);
    for (int i = 0; i < 5; i++) {
        add_job(&b, 1);
    }
    turn(&b, true);
    turn(&b, true);
    CHECK_INT(b.n_run, 2);
    tear_down(&b);
}

static void a_run_that_ends_leaves_its_slot_in_the_same_turn(void)
{
    struct bench b;
    struct outcome o = {.state = JOB_COMPLETED, .exit_status = 0};
    struct id first;
    struct id second;

    set_up(&b, 1);
    first = add_job(&b, 1);
    second = add_job(&b, 1);
    turn(&b, true);
    CHECK_INT(b.n_run, 1);
    sched_finish(b.sched, &b.lease, &o);
    turn(&b, false); /* neither the end nor the claim is true */
    CHECK_INT(b.n_run, 1);
    CHECK_INT(state_of(&b, &first), JOB_RUNNING);
    CHECK_INT(state_of(&b, &second), JOB_QUEUED);
    turn(&b, true);
    CHECK_INT(b.n_run, 2);
    CHECK_INT(state_of(&b, &first), JOB_COMPLETED);
    CHECK_INT(state_of(&b, &second), JOB_RUNNING);
    tear_down(&b);
}

static void the_end_of_a_run_survives_failed_commits(void)
{
    struct bench b;
    struct outcome o = {.state = JOB_COMPLETED, .exit_status = 0};
    struct id id;

    set_up(&b, 1);
    id = add_job(&b, 1);
    turn(&b, true);
    sched_finish(b.sched, &b.lease, &o);
    turn(&b, false);
    turn(&b, false);
    CHECK_INT(state_of(&b, &id), JOB_RUNNING);
    CHECK(!sched_idle(b.sched));
    turn(&b, true);
    CHECK_INT(state_of(&b, &id), JOB_COMPLETED);
    CHECK(sched_idle(b.sched));
    tear_down(&b);
}

static void host_of(struct bench *b, const char *address)
{
    struct host_addr a = {.addr = address, .type = "ipv4"};
    struct host h = {.state = "up", .addrs = &a, .n_addrs = 1};
    int64_t seq;

    CHECK_OK(store_host_begin(b->store, &b->lease, &h, &seq, ERR));
    CHECK_OK(store_host_end(b->store, ERR));
}

static int64_t job_hosts(struct bench *b, const struct id *id)
{
    struct job j = {0};
    int64_t n;

    job_init(&j);
    CHECK_OK(store_job_get(b->store, id, &j, ERR));
    n = j.hosts;
    job_done(&j);
    return n;
}

/* And costs none of its attempts: the fault is the store's. */
static void a_run_whose_hosts_are_undone_with_its_end_is_tried_again(void)
{
    static struct coverage_cell cell = {.addresses = "127.0.0.1", .protocol = "tcp", .ports = "1"};
    struct bench b;
    struct outcome o = {.state = JOB_COMPLETED, .cells = &cell, .n_cells = 1};
    struct id id;

    set_up(&b, 1);
    id = add_job(&b, 1);
    turn(&b, true);
    host_of(&b, "127.0.0.1");
    sched_finish(b.sched, &b.lease, &o);
    sched_before_commit(b.sched);
    store_rollback(b.store);
    CHECK_INT(job_hosts(&b, &id), 0);
    sched_rows_lost(b.sched, &b.lease);
    sched_after_commit(b.sched, false);
    CHECK_INT(state_of(&b, &id), JOB_RUNNING);
    while (b.n_run < 2) {
        CHECK_OK(loop_turn(b.loop, 5, ERR));
        turn(&b, true);
    }
    host_of(&b, "127.0.0.1");
    sched_finish(b.sched, &b.lease, &o);
    turn(&b, true);
    CHECK_INT(state_of(&b, &id), JOB_COMPLETED);
    CHECK_INT(job_hosts(&b, &id), 1);
    tear_down(&b);
}

static void a_crash_is_tried_again_until_the_budget_is_used_up(void)
{
    struct bench b;
    struct outcome o = {
        .state = JOB_FAILED, .reason = REASON_TOOL_CRASHED, .retryable = true, .exit_signal = 11};
    struct id id;
    struct job j = {0};

    set_up(&b, 1);
    id = add_job(&b, 3);
    for (unsigned i = 1; i <= 3; i++) {
        while (b.n_run < i) {
            CHECK_OK(loop_turn(b.loop, 5, ERR));
            turn(&b, true);
        }
        sched_finish(b.sched, &b.lease, &o);
        turn(&b, true);
    }
    job_init(&j);
    CHECK_OK(store_job_get(b.store, &id, &j, ERR));
    CHECK_INT(j.state, JOB_FAILED);
    CHECK_INT(j.reason, REASON_TOOL_CRASHED);
    CHECK_INT(j.attempts, 3);
    job_done(&j);
    CHECK_INT(b.n_run, 3);
    tear_down(&b);
}

static void a_running_job_is_cancelled_at_the_worker_after_the_commit(void)
{
    struct bench b;
    struct id id;
    enum job_state now;

    set_up(&b, 1);
    id = add_job(&b, 1);
    turn(&b, true);
    CHECK_OK(sched_cancel(b.sched, &id, &now, ERR));
    CHECK_INT(now, JOB_RUNNING);
    CHECK_INT(b.n_cancel, 0);
    turn(&b, true);
    CHECK_INT(b.n_cancel, 1);
    tear_down(&b);
}

static void a_queued_job_is_cancelled_at_once_and_never_runs(void)
{
    struct bench b;
    struct id id;
    enum job_state now;

    set_up(&b, 1);
    id = add_job(&b, 1);
    CHECK_OK(sched_cancel(b.sched, &id, &now, ERR));
    CHECK_INT(now, JOB_CANCELLED);
    turn(&b, true);
    CHECK_INT(b.n_run, 0);
    CHECK_ERR(sched_cancel(b.sched, &id, &now, ERR), ERR_CONFLICT);
    tear_down(&b);
}

static void who_waits_hears_of_committed_changes_only(void)
{
    struct bench b;

    set_up(&b, 1);
    b.waiter.job = add_job(&b, 1);
    CHECK_OK(store_commit(b.store, ERR));
    sched_wait(b.sched, &b.waiter);
    turn(&b, false);
    CHECK_INT(b.n_told, 0);
    turn(&b, true);
    CHECK_INT(b.n_told, 1);
    sched_wait(b.sched, &b.waiter);
    sched_unwait(&b.waiter);
    sched_touch(b.sched, &b.waiter.job);
    turn(&b, true);
    CHECK_INT(b.n_told, 1);
    tear_down(&b);
}

static void what_ran_when_the_last_process_died_is_queued_again(void)
{
    struct bench b;
    struct id id;
    struct lease old;
    struct outcome o = {.state = JOB_COMPLETED};
    struct sched_config c = {.slots = 1, .retry_base_ms = 1, .worker = "w"};
    struct worker_link link = {.run = on_run, .cancel = on_cancel, .arg = &b};

    set_up(&b, 1);
    id = add_job(&b, 1);
    turn(&b, true);
    old = b.lease;
    sched_free(b.sched); /* as if the process had gone */
    CHECK_OK(sched_new(b.loop, b.store, &c, &link, &b.sched, ERR));
    CHECK_OK(sched_recover(b.sched, ERR));
    CHECK_INT(state_of(&b, &id), JOB_QUEUED);
    CHECK_ERR(store_task_finish(b.store, &old, &o, 0, NULL, ERR), ERR_FENCED);
    turn(&b, true);
    CHECK_INT(b.n_run, 2);
    CHECK_INT(b.lease.epoch, 2);
    tear_down(&b);
}

/* They may live: without a transport nothing is heard of them, that is all. */
static void what_workers_elsewhere_hold_is_not_given_away_by_a_start_without_a_transport(void)
{
    struct bench b;
    struct id id;
    struct task t;
    struct job j = {0};
    bool got = false;

    set_up(&b, 1);
    id = add_job(&b, 1);
    CHECK_OK(store_task_claim(b.store, "fleet", NULL, NULL, &t, &j, &got, ERR));
    CHECK(got);
    job_done(&j);
    CHECK_OK(store_commit(b.store, ERR));
    CHECK_OK(sched_recover(b.sched, ERR));
    turn(&b, true);
    CHECK_INT(state_of(&b, &id), JOB_RUNNING);
    CHECK_INT(b.n_run, 0);
    CHECK(sched_idle(b.sched));
    tear_down(&b);
}

static void draining_claims_nothing_and_hands_back(void)
{
    struct bench b;
    struct id first;

    set_up(&b, 2);
    first = add_job(&b, 1);
    turn(&b, true);
    sched_drain(b.sched);
    add_job(&b, 1);
    turn(&b, true);
    CHECK_INT(b.n_run, 1);
    sched_release(b.sched, &b.lease);
    turn(&b, true);
    CHECK(sched_idle(b.sched));
    CHECK_INT(state_of(&b, &first), JOB_QUEUED);
    tear_down(&b);
}

static void finish_job(struct bench *b, const struct id *job)
{
    struct outcome o = {.state = JOB_COMPLETED};

    for (size_t i = 0; i < ARRAY_LEN(b->runs); i++) {
        if (id_cmp(&b->runs[i].job_id, job) == 0) {
            sched_finish(b->sched, &b->runs[i], &o);
        }
    }
}

static void a_key_runs_no_more_than_it_may_and_others_go_on(void)
{
    struct bench b;
    struct id a[4];
    struct id other;

    set_up(&b, 4);
    b.most_of_a = 2;
    for (int i = 0; i < 4; i++) {
        a[i] = add_job_of(&b, 1, "a");
    }
    other = add_job_of(&b, 1, "b");
    turn(&b, true);
    CHECK_INT(b.n_run, 3);
    CHECK_INT(state_of(&b, &a[1]), JOB_RUNNING);
    CHECK_INT(state_of(&b, &a[2]), JOB_QUEUED);
    CHECK_INT(state_of(&b, &other), JOB_RUNNING);
    turn(&b, true);
    CHECK_INT(b.n_run, 3);
    finish_job(&b, &other); /* another key's: no room for "a" */
    turn(&b, true);
    CHECK_INT(b.n_run, 3);
    b.most_of_a = 3; /* the policy was changed */
    turn(&b, true);
    CHECK_INT(b.n_run, 4);
    CHECK_INT(state_of(&b, &a[2]), JOB_RUNNING);
    finish_job(&b, &a[0]);
    turn(&b, true); /* the end makes room in the same turn */
    CHECK_INT(b.n_run, 5);
    CHECK_INT(state_of(&b, &a[3]), JOB_RUNNING);
    tear_down(&b);
}

static void a_claim_that_was_undone_does_not_count_against_its_key(void)
{
    struct bench b;

    set_up(&b, 2);
    b.most_of_a = 1;
    add_job_of(&b, 1, "a");
    CHECK_OK(store_commit(b.store, ERR));
    turn(&b, false);
    CHECK_INT(b.n_run, 0);
    turn(&b, true);
    CHECK_INT(b.n_run, 1);
    tear_down(&b);
}

static void nothing_is_claimed_while_paused(void)
{
    struct bench b;
    struct sched_stats stats;

    set_up(&b, 1);
    sched_pause(b.sched, true);
    add_job(&b, 1);
    turn(&b, true);
    CHECK_INT(b.n_run, 0);
    sched_stats(b.sched, &stats);
    CHECK(stats.paused);
    sched_pause(b.sched, false);
    CHECK_OK(loop_turn(b.loop, 1000, ERR)); /* there is something to do at once */
    turn(&b, true);
    CHECK_INT(b.n_run, 1);
    tear_down(&b);
}

static void a_task_waits_until_its_window_opens_and_leaves_its_slot(void)
{
    struct bench b;
    struct sched_stats stats;
    struct id first;
    struct id second;
    struct outcome o = {.state = JOB_COMPLETED};

    set_up(&b, 1);
    first = add_job(&b, 1);
    second = add_job(&b, 1);
    turn(&b, true);
    sched_wait_until(b.sched, &b.lease, wall_us() + 30000);
    turn(&b, false);
    CHECK_INT(state_of(&b, &first), JOB_RUNNING);
    turn(&b, true);
    CHECK_INT(state_of(&b, &first), JOB_WAITING);
    CHECK_INT(state_of(&b, &second), JOB_RUNNING);
    sched_finish(b.sched, &b.lease, &o);
    turn(&b, true);
    sched_stats(b.sched, &stats);
    CHECK_INT(stats.waits, 1);
    CHECK_INT(b.n_run, 2);
    while (b.n_run < 3) {
        CHECK_OK(loop_turn(b.loop, 5, ERR));
        turn(&b, true);
    }
    CHECK(id_cmp(&b.lease.job_id, &first) == 0);
    CHECK_INT(b.lease.epoch, 2);
    tear_down(&b);
}

static void a_changed_policy_wakes_what_waits(void)
{
    struct bench b;
    struct id id;

    set_up(&b, 1);
    id = add_job(&b, 1);
    turn(&b, true);
    sched_wait_until(b.sched, &b.lease, wall_us() + INT64_C(3600000000));
    turn(&b, true);
    turn(&b, true);
    CHECK_INT(state_of(&b, &id), JOB_WAITING);
    sched_wake(b.sched);
    turn(&b, false); /* undone, and not forgotten */
    CHECK_INT(state_of(&b, &id), JOB_WAITING);
    turn(&b, true);
    CHECK_INT(state_of(&b, &id), JOB_RUNNING);
    CHECK_INT(b.n_run, 2);
    turn(&b, true);
    CHECK_INT(b.n_run, 2);
    tear_down(&b);
}

TESTS(a_claim_is_launched_only_when_it_is_committed, no_more_runs_than_slots,
      a_run_that_ends_leaves_its_slot_in_the_same_turn, the_end_of_a_run_survives_failed_commits,
      a_run_whose_hosts_are_undone_with_its_end_is_tried_again,
      a_crash_is_tried_again_until_the_budget_is_used_up,
      a_running_job_is_cancelled_at_the_worker_after_the_commit,
      a_queued_job_is_cancelled_at_once_and_never_runs, who_waits_hears_of_committed_changes_only,
      what_ran_when_the_last_process_died_is_queued_again,
      what_workers_elsewhere_hold_is_not_given_away_by_a_start_without_a_transport,
      draining_claims_nothing_and_hands_back, a_key_runs_no_more_than_it_may_and_others_go_on,
      a_claim_that_was_undone_does_not_count_against_its_key, nothing_is_claimed_while_paused,
      a_task_waits_until_its_window_opens_and_leaves_its_slot, a_changed_policy_wakes_what_waits)
