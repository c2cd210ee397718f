/* Leases of workers far away: tokens, numbered reports, results that come late; on each backend. */
#include "store_rig.h"

static const struct outcome completed = {.state = JOB_COMPLETED};

static struct id add_planned(struct store *s, int n)
{
    struct job j = new_job();
    struct id id = j.id;
    struct task_new v[4] = {{.spec = "a"}, {.spec = "b"}, {.spec = "c"}, {.spec = "d"}};

    j.plan = xstrdup("{}");
    CHECK_OK(store_job_add(s, &j, ERR));
    CHECK_OK(store_task_add(s, &id, v, (size_t)n, NULL, ERR));
    job_done(&j);
    return id;
}

/* As a server makes them; the rig's are counted. */
static void real_tokens(struct store *s)
{
    store_set_hooks(s, fake_clock, NULL, NULL);
}

static void add_host(struct store *s, const struct lease *l)
{
    struct host h = {.state = "up", .reason_ttl = -1};

    CHECK_OK(store_host_begin(s, l, &h, NULL, ERR));
    CHECK_OK(store_host_end(s, ERR));
}

static int64_t hosts_of(struct store *s, const struct id *id)
{
    struct job j = get(s, id);
    int64_t n = j.hosts;

    job_done(&j);
    return n;
}

/* ---- tokens ---- */

static void tokens_differ_by_job_task_and_epoch(struct store *s)
{
    struct lease v[6];

    real_tokens(s);
    add(s);
    add_planned(s, 2);
    for (int i = 0; i < 3; i++) {
        v[i] = claim(s);
        CHECK_OK(store_task_lost(s, &v[i], 0, NULL, ERR));
        v[i + 3] = claim(s);
        CHECK_INT(v[i + 3].epoch, 2);
    }
    for (int i = 0; i < 6; i++) {
        CHECK(v[i].token != 0);
        for (int k = 0; k < i; k++) {
            CHECK(v[i].token != v[k].token);
        }
    }
}

static void a_lease_is_known_again_after_reopening_and_nowhere_else(void)
{
    auto_free char *url = str_fmt("sqlite:%s/lease", test_dir());
    auto_free char *other = str_fmt("sqlite:%s/other", test_dir());
    struct store *s;
    struct lease old;
    struct lease now;
    struct job j = new_job();

    CHECK_OK(store_open(url, &s, ERR));
    CHECK_OK(store_job_add(s, &j, ERR));
    old = claim(s);
    CHECK_OK(store_task_lost(s, &old, 0, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
    store_close(s);
    CHECK_OK(store_open(url, &s, ERR));
    CHECK_OK(store_task_adopt(s, &old, "late", &now, ERR));
    store_close(s);
    CHECK_OK(store_open(other, &s, ERR));
    CHECK_OK(store_job_add(s, &j, ERR));
    now = claim(s);
    CHECK(now.token != old.token); /* of the same job, task and epoch */
    CHECK_ERR(store_task_adopt(s, &old, "late", &now, ERR), ERR_FENCED);
    store_close(s);
    job_done(&j);
}

/* ---- reports ---- */

static void reports_are_applied_once_and_in_order(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    bool fresh = false;

    CHECK_ERR(store_task_report(s, &l, 0, &fresh, ERR), ERR_INVALID);
    CHECK_ERR(store_task_report(s, &l, 2, &fresh, ERR), ERR_CONFLICT);
    CHECK_OK(store_task_report(s, &l, 1, &fresh, ERR));
    CHECK(fresh);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_task_report(s, &l, 1, &fresh, ERR));
    CHECK(!fresh);
    CHECK(!store_dirty(s));
    CHECK_OK(store_task_report(s, &l, 2, &fresh, ERR));
    CHECK(fresh);
    CHECK_OK(store_task_progress(s, &l, &(struct progress){"ports", 500, 9}, ERR));
    add_host(s, &l);
    CHECK_OK(store_task_report(s, &l, 2, &fresh, ERR)); /* the row was written since */
    CHECK(!fresh);
    CHECK_ERR(store_task_report(s, &l, 4, &fresh, ERR), ERR_CONFLICT);
    CHECK(strstr(tap_err.msg, "report 4"));
    CHECK_OK(store_task_report(s, &l, 3, &fresh, ERR));
    CHECK(fresh);
    CHECK_OK(store_task_finish(s, &l, &completed, 0, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_task_report(s, &l, 3, &fresh, ERR)); /* the end comes again */
    CHECK(!fresh);
    CHECK_ERR(store_task_report(s, &l, 4, &fresh, ERR), ERR_FENCED);
    CHECK_INT(state_of(s, &id), JOB_COMPLETED);
}

static void a_report_that_was_undone_comes_again(struct store *s)
{
    struct lease l;
    bool fresh = false;

    add_planned(s, 1);
    l = claim(s);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_task_report(s, &l, 1, &fresh, ERR));
    CHECK(fresh);
    store_rollback(s);
    CHECK_OK(store_task_report(s, &l, 1, &fresh, ERR));
    CHECK(fresh);
}

static void reports_of_another_run_are_fenced(struct store *s)
{
    struct lease first;
    struct lease second;
    struct lease wrong;
    bool fresh = false;

    add(s);
    first = claim(s);
    CHECK_OK(store_task_report(s, &first, 1, &fresh, ERR));
    CHECK_OK(store_task_lost(s, &first, 0, NULL, ERR));
    CHECK_ERR(store_task_report(s, &first, 1, &fresh, ERR), ERR_FENCED);
    second = claim(s);
    CHECK_ERR(store_task_report(s, &first, 2, &fresh, ERR), ERR_FENCED);
    CHECK_OK(store_task_report(s, &second, 1, &fresh, ERR)); /* they count anew */
    CHECK(fresh);
    wrong = second;
    wrong.token++;
    CHECK_ERR(store_task_report(s, &wrong, 2, &fresh, ERR), ERR_FENCED);
    wrong = second;
    wrong.idx = 1;
    CHECK_ERR(store_task_report(s, &wrong, 1, &fresh, ERR), ERR_FENCED);
    wrong = second;
    wrong.job_id = id_new();
    CHECK_ERR(store_task_report(s, &wrong, 1, &fresh, ERR), ERR_FENCED);
}

/* ---- results that come late ---- */

/* What became of the task between the loss of its worker and the worker's return. */
enum since { QUEUED, CLAIMED, RETRIED, PUT_OFF, GIVEN_BACK, SINCE_COUNT };

static void go_on(struct store *s, enum since since)
{
    const struct outcome failed = {
        .state = JOB_FAILED, .reason = REASON_TOOL_FAILED, .retryable = true};
    struct lease l;

    if (since == QUEUED) {
        return;
    }
    l = claim(s);
    add_host(s, &l);
    add_host(s, &l);
    if (since == RETRIED) {
        CHECK_OK(store_task_finish(s, &l, &failed, clock_us + 5000, NULL, ERR));
    } else if (since == PUT_OFF) {
        CHECK_OK(store_task_wait(s, &l, clock_us + 5000, ERR));
    } else if (since == GIVEN_BACK) {
        CHECK_OK(store_task_release(s, &l, ERR));
    }
}

static void adopt_after(struct store *s, bool planned, enum since since)
{
    struct id id = planned ? add_planned(s, 1) : add_with(s, 4, 2);
    struct lease old = claim(s);
    struct lease now = {0};
    struct job before;
    struct job after;
    bool fresh = false;

    CHECK_OK(store_task_report(s, &old, 1, &fresh, ERR));
    add_host(s, &old);
    CHECK_OK(store_task_lost(s, &old, 0, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
    go_on(s, since);
    CHECK_OK(store_commit(s, ERR));
    before = get(s, &id);
    CHECK_OK(store_task_adopt(s, &old, "late", &now, ERR));
    CHECK(now.epoch > old.epoch && now.token != old.token && now.token != 0);
    CHECK_INT(now.idx, 0);
    CHECK(!store_task_ready(s, NULL));
    CHECK_ERR(store_task_renew(s, &old, NULL, ERR), ERR_FENCED);
    CHECK_OK(store_task_report(s, &now, 1, &fresh, ERR));
    CHECK(fresh);
    CHECK_INT(hosts_of(s, &id), 0); /* what the other run had stored is dropped */
    add_host(s, &now);
    after = get(s, &id);
    CHECK_INT(after.state, JOB_RUNNING);
    CHECK_INT(after.lost, before.lost);
    CHECK_INT(after.attempts, before.attempts);
    CHECK_OK(store_task_finish(s, &now, &completed, 0, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
    if (planned) {
        bool more = true;

        while (more) {
            CHECK_OK(store_merge_step(s, 100, &more, ERR));
        }
        CHECK_OK(store_job_settle(s, &id, &completed, ERR));
    }
    CHECK_INT(state_of(s, &id), JOB_COMPLETED);
    CHECK_INT(hosts_of(s, &id), 1);
    CHECK_ERR(store_task_adopt(s, &old, "late", &now, ERR), ERR_CONFLICT);
    CHECK_OK(store_commit(s, ERR));
    job_done(&before);
    job_done(&after);
}

static void a_late_result_is_taken_while_its_task_is_open(struct store *s)
{
    real_tokens(s);
    for (int since = 0; since < SINCE_COUNT; since++) {
        adopt_after(s, false, (enum since)since);
        clock_us += 100000;
        CHECK_OK(store_task_due(s, clock_us, NULL, ERR));
    }
}

static void a_late_result_of_a_planned_job_s_task_is_taken_too(struct store *s)
{
    real_tokens(s);
    for (int since = 0; since < SINCE_COUNT; since++) {
        if (since != RETRIED) { /* it would need a second attempt */
            adopt_after(s, true, (enum since)since);
        }
    }
}

static void who_has_the_task_when_it_is_adopted_is_fenced(struct store *s)
{
    struct id id = add(s);
    struct lease old;
    struct lease second;
    struct lease now;

    real_tokens(s);
    old = claim(s);
    CHECK_OK(store_task_lost(s, &old, 0, NULL, ERR));
    second = claim(s);
    CHECK_OK(store_task_adopt(s, &old, "late", &now, ERR));
    CHECK_ERR(store_task_renew(s, &second, NULL, ERR), ERR_FENCED);
    CHECK_ERR(store_task_lost(s, &second, 0, NULL, ERR), ERR_FENCED);
    CHECK_ERR(store_task_finish(s, &second, &completed, 0, NULL, ERR), ERR_FENCED);
    CHECK_ERR(store_host_begin(s, &second, &(struct host){.state = "up"}, NULL, ERR), ERR_FENCED);
    CHECK_OK(store_task_lost(s, &now, 0, NULL, ERR)); /* and is lost as any other */
    CHECK_INT(state_of(s, &id), JOB_QUEUED);
    CHECK(store_task_ready(s, NULL));
}

static void a_lease_that_was_never_given_is_fenced(struct store *s)
{
    struct lease l;
    struct lease now;
    struct lease bad;

    real_tokens(s);
    add(s);
    l = claim(s);
    CHECK_OK(store_task_lost(s, &l, 0, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
    bad = l;
    bad.token ^= 1;
    CHECK_ERR(store_task_adopt(s, &bad, "x", &now, ERR), ERR_FENCED);
    bad = l;
    bad.epoch = 0;
    CHECK_ERR(store_task_adopt(s, &bad, "x", &now, ERR), ERR_FENCED);
    bad.epoch = 2; /* the next one, with a token that will be right */
    bad.token = token_made(s, &l.job_id, 0, 2);
    CHECK_ERR(store_task_adopt(s, &bad, "x", &now, ERR), ERR_FENCED);
    bad = (struct lease){.job_id = l.job_id, .epoch = 1, .token = 0};
    CHECK_ERR(store_task_adopt(s, &bad, "x", &now, ERR), ERR_FENCED);
    bad = l;
    bad.idx = 1;
    CHECK_ERR(store_task_adopt(s, &bad, "x", &now, ERR), ERR_FENCED);
    bad = l;
    bad.job_id = id_new();
    CHECK_ERR(store_task_adopt(s, &bad, "x", &now, ERR), ERR_FENCED);
    CHECK(!store_dirty(s));
    CHECK_OK(store_job_cancel(s, &l.job_id, NULL, ERR));
    CHECK_ERR(store_task_adopt(s, &l, "x", &now, ERR), ERR_CONFLICT);
    CHECK_OK(store_job_delete(s, &l.job_id, ERR));
    CHECK_ERR(store_task_adopt(s, &l, "x", &now, ERR), ERR_FENCED);
}

BOTH(tokens_differ_by_job_task_and_epoch)
BOTH(reports_are_applied_once_and_in_order)
BOTH(a_report_that_was_undone_comes_again)
BOTH(reports_of_another_run_are_fenced)
BOTH(a_late_result_is_taken_while_its_task_is_open)
BOTH(a_late_result_of_a_planned_job_s_task_is_taken_too)
BOTH(who_has_the_task_when_it_is_adopted_is_fenced)
BOTH(a_lease_that_was_never_given_is_fenced)

TESTS(OF_BOTH(tokens_differ_by_job_task_and_epoch),
      a_lease_is_known_again_after_reopening_and_nowhere_else,
      OF_BOTH(reports_are_applied_once_and_in_order), OF_BOTH(a_report_that_was_undone_comes_again),
      OF_BOTH(reports_of_another_run_are_fenced),
      OF_BOTH(a_late_result_is_taken_while_its_task_is_open),
      OF_BOTH(a_late_result_of_a_planned_job_s_task_is_taken_too),
      OF_BOTH(who_has_the_task_when_it_is_adopted_is_fenced),
      OF_BOTH(a_lease_that_was_never_given_is_fenced))
