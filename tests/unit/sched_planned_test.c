/*
 * Planned jobs in the scheduler, over the memory store, with a planner whose plan is: each task of
 * stage 0 is followed by one of stage 1. The worker only remembers what it was told.
 */
#include "base/clock.h"
#include "model/job.h"
#include "sched/sched.h"
#include "tap.h"

struct bench {
    struct loop *loop;
    struct store *store;
    struct sched *sched;
    unsigned n_run, n_cancel, n_ended, n_settled, n_undone;
    struct lease runs[16];
    int32_t stages[16];
    struct lease cancelled;
    struct outcome settle; /* how jobs are to end */
};

static void on_run(void *arg, const struct task *t, const struct job *j)
{
    struct bench *b = arg;

    CHECK(j->task_spec != NULL);
    b->stages[b->n_run % ARRAY_LEN(b->runs)] = t->stage;
    b->runs[b->n_run++ % ARRAY_LEN(b->runs)] =
        (struct lease){.job_id = t->job_id, .idx = t->idx, .epoch = t->epoch, .token = t->token};
}

static void on_cancel(void *arg, const struct lease *l)
{
    struct bench *b = arg;

    b->n_cancel++;
    b->cancelled = *l;
}

static int on_ended(void *arg, const struct task *t, const struct outcome *o, struct err *e)
{
    struct bench *b = arg;
    const struct task_new next = {.stage = 1, .weight = 1, .spec = "{\"next\":true}"};
    int32_t first;

    b->n_ended++;
    return t->stage == 0 && o->state == JOB_COMPLETED
               ? store_task_add(b->store, &t->job_id, &next, 1, &first, e)
               : 0;
}

static int on_settle(void *arg, const struct id *job, struct outcome *out, struct err *e)
{
    struct bench *b = arg;

    (void)job;
    (void)e;
    b->n_settled++;
    *out = b->settle;
    return 0;
}

static void on_progress(void *arg, const struct id *job)
{
    (void)arg;
    (void)job;
}

static void on_undone(void *arg)
{
    struct bench *b = arg;

    b->n_undone++;
}

static void set_up(struct bench *b, uint32_t slots)
{
    struct sched_config c = {.slots = slots, .retry_base_ms = 1, .beat_ms = 10000, .worker = "w"};
    struct worker_link link = {.run = on_run, .cancel = on_cancel, .arg = b};
    struct planner_link planner = {.ended = on_ended,
                                   .settle = on_settle,
                                   .progress = on_progress,
                                   .undone = on_undone,
                                   .arg = b};

    *b = (struct bench){.settle = {.state = JOB_COMPLETED, .summary_json = "{}"}};
    CHECK_OK(loop_new(&b->loop, ERR));
    CHECK_OK(store_open("mem:", &b->store, ERR));
    CHECK_OK(sched_new(b->loop, b->store, &c, &link, &b->sched, ERR));
    sched_plan_with(b->sched, &planner);
}

static void tear_down(struct bench *b)
{
    sched_free(b->sched);
    store_close(b->store);
    loop_free(b->loop);
}

static struct id add_planned(struct bench *b, int32_t tasks)
{
    struct job j = {0};
    struct id id;

    job_init(&j);
    j.id = id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup("127.0.0.1");
    j.plan = xstrdup("{}");
    j.profile = xstrdup("toy@1");
    j.timeout_s = INT64_MIN;
    j.run_timeout_s = 60;
    j.queue_timeout_s = 60;
    j.priority = JOB_PRIORITY_DEFAULT;
    j.max_attempts = 2;
    j.created_us = wall_us();
    j.queue_expires_us = j.created_us + 60000000;
    CHECK_OK(store_job_add(b->store, &j, ERR));
    for (int32_t i = 0; i < tasks; i++) {
        const struct task_new t = {.weight = 1, .spec = "{\"first\":true}"};
        int32_t first;

        CHECK_OK(store_task_add(b->store, &id, &t, 1, &first, ERR));
        CHECK_INT(first, i);
    }
    job_done(&j);
    return id;
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

static void end(struct bench *b, unsigned run, enum job_state state)
{
    const struct outcome o = {.state = state,
                              .reason = state == JOB_COMPLETED ? REASON_NONE : REASON_TOOL_CRASHED,
                              .exit_status = -1,
                              .command_line = "toy"};

    sched_finish(b->sched, &b->runs[run], &o);
}

static void turns(struct bench *b, unsigned n)
{
    while (n-- > 0) {
        turn(b, true);
    }
}

static void a_planned_job_runs_its_stages_and_is_settled_once(void)
{
    struct bench b;
    struct id id;

    set_up(&b, 2);
    id = add_planned(&b, 2);
    turn(&b, true);
    CHECK_INT(b.n_run, 2);
    CHECK_INT(state_of(&b, &id), JOB_RUNNING);
    end(&b, 0, JOB_COMPLETED);
    turn(&b, true);
    CHECK_INT(b.n_run, 3); /* the other one of stage 0 need not have ended */
    CHECK_INT(b.stages[2], 1);
    end(&b, 1, JOB_COMPLETED);
    turn(&b, true);
    CHECK_INT(b.n_run, 4);
    end(&b, 2, JOB_COMPLETED);
    end(&b, 3, JOB_COMPLETED);
    turns(&b, 4);
    CHECK_INT(b.n_ended, 4);
    CHECK_INT(b.n_settled, 1);
    CHECK_INT(state_of(&b, &id), JOB_COMPLETED);
    CHECK(sched_idle(b.sched));
    tear_down(&b);
}

static void what_follows_is_asked_again_when_the_commit_fails(void)
{
    struct bench b;
    struct id id;

    set_up(&b, 1);
    id = add_planned(&b, 1);
    turn(&b, true);
    end(&b, 0, JOB_COMPLETED);
    turn(&b, false);
    CHECK_INT(b.n_ended, 1);
    CHECK_INT(b.n_undone, 1);
    CHECK_INT(b.n_run, 1);
    turns(&b, 2);
    CHECK_INT(b.n_ended, 2);
    CHECK_INT(b.n_run, 2); /* one follower, not two */
    end(&b, 1, JOB_COMPLETED);
    turns(&b, 3);
    CHECK_INT(state_of(&b, &id), JOB_COMPLETED);
    CHECK_INT(b.n_run, 2);
    tear_down(&b);
}

static void a_settlement_that_was_undone_is_made_again(void)
{
    struct bench b;
    struct id id;

    set_up(&b, 1);
    id = add_planned(&b, 1);
    turn(&b, true);
    end(&b, 0, JOB_FAILED);
    turn(&b, false);
    CHECK_INT(state_of(&b, &id), JOB_RUNNING);
    b.settle.state = JOB_FAILED;
    b.settle.reason = REASON_TOOL_CRASHED;
    turns(&b, 4);
    CHECK_INT(state_of(&b, &id), JOB_FAILED);
    tear_down(&b);
}

static void cancelling_ends_what_runs_and_starts_nothing_more(void)
{
    struct bench b;
    struct id id;
    enum job_state now;

    set_up(&b, 1);
    id = add_planned(&b, 3);
    turn(&b, true);
    CHECK_INT(b.n_run, 1);
    CHECK_OK(sched_cancel(b.sched, &id, &now, ERR));
    turn(&b, true);
    CHECK_INT(b.n_cancel, 1);
    CHECK_INT(b.n_run, 1);
    b.settle.state = JOB_CANCELLED;
    b.settle.reason = REASON_CANCELLED;
    end(&b, 0, JOB_CANCELLED);
    turns(&b, 4);
    CHECK_INT(b.n_run, 1);
    CHECK_INT(state_of(&b, &id), JOB_CANCELLED);
    tear_down(&b);
}

static void tasks_of_one_job_fill_all_slots_and_no_more(void)
{
    struct bench b;

    set_up(&b, 3);
    add_planned(&b, 5);
    turns(&b, 2);
    CHECK_INT(b.n_run, 3);
    end(&b, 1, JOB_COMPLETED);
    turns(&b, 2);
    CHECK_INT(b.n_run, 4);
    tear_down(&b);
}

static void what_a_dead_process_left_is_continued(void)
{
    struct bench b;
    struct id id;

    set_up(&b, 2);
    id = add_planned(&b, 2);
    turn(&b, true);
    end(&b, 0, JOB_COMPLETED);
    turn(&b, true);
    sched_free(b.sched);
    {
        struct sched_config c = {.slots = 2, .retry_base_ms = 1, .beat_ms = 10000, .worker = "w"};
        struct worker_link link = {.run = on_run, .cancel = on_cancel, .arg = &b};
        struct planner_link planner = {.ended = on_ended,
                                       .settle = on_settle,
                                       .progress = on_progress,
                                       .undone = on_undone,
                                       .arg = &b};

        CHECK_OK(sched_new(b.loop, b.store, &c, &link, &b.sched, ERR));
        sched_plan_with(b.sched, &planner);
    }
    b.n_run = 0;
    CHECK_OK(sched_recover(b.sched, ERR));
    turns(&b, 2);
    CHECK_INT(b.n_run, 2); /* the lost one, and the follower of the one that was through */
    end(&b, 0, JOB_COMPLETED);
    end(&b, 1, JOB_COMPLETED);
    turns(&b, 3);
    CHECK_INT(b.n_run, 3);
    end(&b, 2, JOB_COMPLETED);
    turns(&b, 4);
    CHECK_INT(state_of(&b, &id), JOB_COMPLETED);
    tear_down(&b);
}

TESTS(a_planned_job_runs_its_stages_and_is_settled_once,
      what_follows_is_asked_again_when_the_commit_fails, a_settlement_that_was_undone_is_made_again,
      cancelling_ends_what_runs_and_starts_nothing_more,
      tasks_of_one_job_fill_all_slots_and_no_more, what_a_dead_process_left_is_continued)
