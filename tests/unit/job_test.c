/* The table of states. */
#include "model/job.h"

#include "tap.h"

static void terminal_is_for_ever(void)
{
    for (int from = 0; from < JOB_STATES; from++) {
        unsigned moves = 0;

        for (int to = 0; to < JOB_STATES; to++) {
            moves += job_state_may((enum job_state)from, (enum job_state)to);
        }
        CHECK(!job_state_may((enum job_state)from, (enum job_state)from));
        CHECK((moves == 0) == job_state_terminal((enum job_state)from));
        CHECK(job_state_terminal((enum job_state)from) == (from >= JOB_COMPLETED));
    }
}

static void only_a_queued_job_starts_and_only_a_running_one_completes(void)
{
    for (int from = 0; from < JOB_STATES; from++) {
        CHECK(job_state_may((enum job_state)from, JOB_RUNNING) == (from == JOB_QUEUED));
        CHECK(job_state_may((enum job_state)from, JOB_COMPLETED) == (from == JOB_RUNNING));
        CHECK(job_state_may((enum job_state)from, JOB_TIMED_OUT) == (from == JOB_RUNNING));
        CHECK(job_state_may((enum job_state)from, JOB_CANCELLED) == (from < JOB_COMPLETED));
        CHECK(job_state_may((enum job_state)from, JOB_FAILED) == (from < JOB_COMPLETED));
    }
    CHECK(job_state_may(JOB_RUNNING, JOB_QUEUED));
    CHECK(job_state_may(JOB_RUNNING, JOB_SCHEDULED));
    CHECK(job_state_may(JOB_RUNNING, JOB_WAITING));
    CHECK(!job_state_may(JOB_WAITING, JOB_SCHEDULED));
    CHECK(!job_state_may(JOB_QUEUED, JOB_SCHEDULED));
    CHECK(!job_state_may(JOB_SCHEDULED, JOB_WAITING));
}

static void names_are_read_back_and_nothing_else_is(void)
{
    for (int i = 0; i < JOB_STATES; i++) {
        enum job_state s = JOB_STATES;

        CHECK(job_state_parse(job_state_name((enum job_state)i), &s));
        CHECK_INT(s, i);
    }
    for (int i = 0; i < REASON_COUNT; i++) {
        enum job_reason r = REASON_COUNT;

        CHECK(job_reason_parse(job_reason_name((enum job_reason)i), &r));
        CHECK_INT(r, i);
    }
    CHECK(!job_state_parse("Running", &(enum job_state){0}));
    CHECK(!job_state_parse("", &(enum job_state){0}));
    CHECK(!job_state_parse(NULL, &(enum job_state){0}));
    CHECK(!job_reason_parse("tool", &(enum job_reason){0}));
}

static void the_old_service_hears_only_its_five_words(void)
{
    CHECK_STR(job_state_legacy(JOB_SCHEDULED), "pending");
    CHECK_STR(job_state_legacy(JOB_QUEUED), "pending");
    CHECK_STR(job_state_legacy(JOB_WAITING), "pending");
    CHECK_STR(job_state_legacy(JOB_RUNNING), "running");
    CHECK_STR(job_state_legacy(JOB_COMPLETED), "completed");
    CHECK_STR(job_state_legacy(JOB_FAILED), "failed");
    CHECK_STR(job_state_legacy(JOB_CANCELLED), "cancelled");
    CHECK_STR(job_state_legacy(JOB_TIMED_OUT), "failed");
}

static void a_new_job_knows_nothing_yet_and_can_be_emptied_twice(void)
{
    struct job j;

    job_init(&j);
    CHECK_INT(j.timeout_s, INT64_MIN);
    CHECK_INT(j.exit_status, -1);
    CHECK_INT(j.percent_x100, -1);
    CHECK_INT(j.remaining_s, -1);
    CHECK_INT(j.priority, JOB_PRIORITY_DEFAULT);
    j.targets = xstrdup("a");
    j.run_json = xstrdup("{}");
    j.pins = xstrdup("a=192.0.2.1");
    j.limits = xstrdup("wall_s=1");
    j.scope_rule = xstrdup("allow 192.0.2.0/24");
    j.sandbox_json = xstrdup("{}");
    job_done(&j);
    CHECK(j.targets == NULL && j.run_json == NULL);
    CHECK(j.pins == NULL && j.limits == NULL && j.scope_rule == NULL && j.sandbox_json == NULL);
    job_done(&j);
}

TESTS(terminal_is_for_ever, only_a_queued_job_starts_and_only_a_running_one_completes,
      names_are_read_back_and_nothing_else_is, the_old_service_hears_only_its_five_words,
      a_new_job_knows_nothing_yet_and_can_be_emptied_twice)
