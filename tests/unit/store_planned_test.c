/* Planned jobs: many tasks that move on their own, one result. Run over each backend. */
#include <sqlite3.h>

#include "store_rig.h"

static const struct outcome completed = {.state = JOB_COMPLETED};
static const struct outcome failed = {.state = JOB_FAILED,
                                      .reason = REASON_TOOL_FAILED,
                                      .retryable = true,
                                      .error = "masscan said no",
                                      .command_line = "masscan -p1",
                                      .exit_status = 1};

/* ---- jobs with tasks ---- */

static struct job planned_job(int priority)
{
    struct job j = new_job();

    j.priority = priority;
    j.plan = xstrdup("{\"stages\":[]}");
    j.profile = xstrdup("standard@1");
    return j;
}

static int32_t add_tasks(struct store *s, const struct id *id, int n)
{
    auto_free struct task_new *v = xcalloc((size_t)n, sizeof *v);
    char specs[8][24];
    int32_t first = -1;

    for (int i = 0; i < n; i++) {
        snprintf(specs[i % 8], sizeof specs[0], "{\"spec\":%d}", i % 8);
        v[i] = (struct task_new){.stage = i % 2, .weight = i, .spec = specs[i % 8]};
    }
    CHECK_OK(store_task_add(s, id, v, (size_t)n, &first, ERR));
    return first;
}

static struct id add_job(struct store *s, struct job *j, int tasks)
{
    struct id id = j->id;

    CHECK_OK(store_job_add(s, j, ERR));
    job_done(j);
    if (tasks > 0) {
        CHECK_INT(add_tasks(s, &id, tasks), 0);
    }
    return id;
}

static struct id add_planned(struct store *s, int priority, int tasks)
{
    struct job j = planned_job(priority);

    return add_job(s, &j, tasks);
}

static enum job_state finish(struct store *s, const struct lease *l, const struct outcome *o)
{
    enum job_state st = JOB_STATES;

    CHECK_OK(store_task_finish(s, l, o, clock_us + 1000, &st, ERR));
    return st;
}

struct listed {
    struct task_info v[16]; /* without texts */
    char spec[16][64], error[16][64], command[16][64];
    int n;
};

static int list_task(void *arg, const struct task_info *t, struct err *e)
{
    struct listed *l = arg;

    (void)e;
    if (l->n < 16) {
        l->v[l->n] = *t;
        snprintf(l->spec[l->n], 64, "%s", t->spec ? t->spec : "none");
        snprintf(l->error[l->n], 64, "%s", t->error ? t->error : "none");
        snprintf(l->command[l->n], 64, "%s", t->command_line ? t->command_line : "none");
    }
    l->n++;
    return 0;
}

static struct listed tasks_of(struct store *s, const struct id *id)
{
    struct listed l = {0};

    CHECK_OK(store_tasks(s, num_of(s, id), -1, 0, list_task, &l, ERR));
    return l;
}

static enum job_state task_state(struct store *s, const struct id *id, int idx)
{
    struct listed l = tasks_of(s, id);

    CHECK(idx < l.n);
    return l.v[idx].task.state;
}

static bool nothing_to_claim(struct store *s)
{
    struct task t;
    struct job j = {0};
    bool got = true;

    CHECK(!store_task_ready(s, NULL));
    CHECK_OK(store_task_claim(s, WORKER, NULL, NULL, &t, &j, &got, ERR));
    return !got;
}

static void add_host(struct store *s, const struct lease *l, const char *address, int open)
{
    struct host_addr addr = {address, "ipv4", NULL};
    struct host h = {.addrs = &addr, .n_addrs = 1, .state = "up", .reason_ttl = -1};
    struct port p = {.protocol = "tcp", .state = "open", .reason_ttl = -1, .conf = -1};
    int64_t seq;

    CHECK_OK(store_host_begin(s, l, &h, &seq, ERR));
    for (int i = 0; i < open; i++) {
        p.number = (uint16_t)(i + 1);
        CHECK_OK(store_host_port(s, &p, ERR));
    }
    CHECK_OK(store_host_end(s, ERR));
}

/* How many tasks had results to merge. */
static int merge_all(struct store *s)
{
    int n = (int)s->now.tasks_unmerged;
    bool more = true;

    while (more) {
        CHECK_OK(store_merge_step(s, 1, &more, ERR));
    }
    return n;
}

static bool is_ripe(struct store *s, const struct id *want)
{
    struct id id;
    bool found = false;

    CHECK_OK(store_job_ripe(s, &id, &found, ERR));
    if (found && want) {
        CHECK(id_cmp(&id, want) == 0);
    }
    return found;
}

/* ---- adding ---- */

static void a_planned_job_is_read_back_with_its_plan(struct store *s)
{
    struct job j = planned_job(4);
    struct id id = j.id;
    struct job got;

    j.import_path = xstrdup("import/1");
    add_job(s, &j, 2);
    got = get(s, &id);
    CHECK(got.planned);
    CHECK_STR(got.plan, "{\"stages\":[]}");
    CHECK_STR(got.profile, "standard@1");
    CHECK_STR(got.import_path, "import/1");
    CHECK_STR(got.task_spec, NULL);
    CHECK_STR(got.summary_json, NULL);
    CHECK_INT(got.state, JOB_QUEUED);
    job_done(&got);
    id = add(s);
    got = get(s, &id);
    CHECK(!got.planned);
    CHECK_STR(got.plan, NULL);
    CHECK_STR(got.profile, NULL);
    job_done(&got);
}

static int planned_in_list(void *arg, const struct job *j, struct err *e)
{
    (void)e;
    CHECK_STR(j->plan, NULL);
    *(int *)arg += j->planned ? 10 : 1;
    return 0;
}

static void lists_have_planned_and_plain_jobs_by_state(struct store *s)
{
    int n = 0;

    add_planned(s, 4, 1);
    add(s);
    add_planned(s, 9, 1);
    CHECK_OK(store_job_list(s, &(struct job_filter){0}, planned_in_list, &n, ERR));
    CHECK_INT(n, 21);
    n = 0;
    CHECK_OK(store_job_list(s, &(struct job_filter){.states = 1u << JOB_QUEUED}, planned_in_list,
                            &n, ERR));
    CHECK_INT(n, 21);
    claim(s);
    n = 0;
    CHECK_OK(store_job_list(s, &(struct job_filter){.states = 1u << JOB_QUEUED, .tool = "nmap"},
                            planned_in_list, &n, ERR));
    CHECK_INT(n, 11);
}

static void tasks_are_listed_with_what_they_are_to_do(struct store *s)
{
    struct id id = add_planned(s, 4, 3);
    struct listed l = tasks_of(s, &id);
    struct listed page = {0};

    CHECK_INT(l.n, 3);
    CHECK_INT(l.v[1].task.idx, 1);
    CHECK_INT(l.v[1].task.stage, 1);
    CHECK_INT(l.v[1].task.state, JOB_QUEUED);
    CHECK_INT(id_cmp(&l.v[1].task.job_id, &id), 0);
    CHECK_INT(l.v[0].weight, 1); /* at least */
    CHECK_INT(l.v[2].weight, 2);
    CHECK_INT(l.v[2].percent_x100, -1);
    CHECK_STR(l.spec[2], "{\"spec\":2}");
    CHECK_STR(l.error[2], "none");
    CHECK(!l.v[2].merged);
    CHECK_OK(store_tasks(s, num_of(s, &id), 0, 1, list_task, &page, ERR));
    CHECK_INT(page.n, 1);
    CHECK_INT(page.v[0].task.idx, 1);
    CHECK_ERR(store_tasks(s, 77, -1, 0, list_task, &page, ERR), ERR_NOT_FOUND);
}

static void a_plain_job_has_one_task(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct listed got;

    add_host(s, &l, "192.0.2.1", 2);
    CHECK_INT(finish(s, &l, &failed), JOB_FAILED);
    got = tasks_of(s, &id);
    CHECK_INT(got.n, 1);
    CHECK_INT(got.v[0].task.idx, 0);
    CHECK_INT(got.v[0].task.state, JOB_FAILED);
    CHECK_INT(got.v[0].reason, REASON_TOOL_FAILED);
    CHECK_INT(got.v[0].ports_open, 2);
    CHECK_STR(got.spec[0], "none");
    CHECK_STR(got.error[0], "masscan said no");
    CHECK(got.v[0].merged);
    CHECK_ERR(store_task_add(s, &id, &(struct task_new){.spec = "x"}, 1, NULL, ERR), ERR_CONFLICT);
}

static void a_job_has_at_most_so_many_tasks(struct store *s)
{
    struct id id = add_planned(s, 4, 0);
    struct task_new one = {.spec = "x"};
    struct lease l;
    int n = 0;

    CHECK_INT(add_tasks(s, &id, TASKS_MAX), 0);
    CHECK_ERR(store_task_add(s, &id, &one, 1, NULL, ERR), ERR_LIMIT);
    CHECK(strstr(tap_err.msg, "4096"));
    CHECK_OK(store_commit(s, ERR));
    l = claim(s);
    CHECK_INT(l.idx, 0);
    CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED);
    l = claim(s);
    CHECK_INT(l.idx, 1);
    CHECK_OK(store_job_cancel(s, &id, NULL, ERR));
    CHECK(!store_task_ready(s, NULL));
    CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED);
    CHECK(is_ripe(s, &id));
    CHECK_OK(store_job_settle(s, &id, &(struct outcome){.state = JOB_CANCELLED}, ERR));
    for (int after = -1; after < TASKS_MAX - 1; after += 1000) {
        struct listed got = {0};

        CHECK_OK(store_tasks(s, num_of(s, &id), after, 1000, list_task, &got, ERR));
        CHECK_INT(got.v[0].task.idx, after + 1);
        n += got.n;
    }
    CHECK_INT(n, TASKS_MAX);
}

static void a_task_without_words_is_refused_and_changes_nothing(struct store *s)
{
    struct id id = add_planned(s, 4, 1);
    struct task_new v[2] = {{.spec = "x"}, {.spec = NULL}};
    struct id unknown = {{1}};

    CHECK_ERR(store_task_add(s, &id, v, 2, NULL, ERR), ERR_INVALID);
    CHECK_ERR(store_task_add(s, &unknown, v, 1, NULL, ERR), ERR_NOT_FOUND);
    CHECK_OK(store_task_add(s, &id, v, 0, NULL, ERR));
    CHECK_INT(tasks_of(s, &id).n, 1);
    CHECK_OK(store_commit(s, ERR));
}

/* ---- claims ---- */

static void claims_go_by_priority_then_job_then_place(struct store *s)
{
    struct id low = add_planned(s, 4, 2);
    struct id plain = add(s);
    struct id high = add_planned(s, 7, 2);
    struct id last = add_planned(s, 4, 1);
    const struct id *want[] = {&high, &high, &low, &low, &plain, &last};
    const int idx[] = {0, 1, 0, 1, 0, 0};

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct lease l = claim(s);

        CHECK_INT(id_cmp(&l.job_id, want[i]), 0);
        CHECK_INT(l.idx, idx[i]);
    }
    CHECK(nothing_to_claim(s));
}

static void a_claimed_job_says_what_its_task_is(struct store *s)
{
    struct id id = add_planned(s, 4, 2);
    struct task t;
    struct job j = {0};
    bool got = false;

    claim(s);
    clock_us = 5000;
    CHECK_OK(store_task_claim(s, WORKER, NULL, NULL, &t, &j, &got, ERR));
    CHECK(got);
    CHECK_INT(t.idx, 1);
    CHECK_INT(t.stage, 1);
    CHECK_INT(t.attempts, 1);
    CHECK_STR(t.worker, WORKER);
    CHECK_INT(id_cmp(&t.job_id, &id), 0);
    CHECK_STR(j.task_spec, "{\"spec\":1}");
    CHECK_STR(j.plan, "{\"stages\":[]}");
    CHECK_STR(j.profile, "standard@1");
    CHECK_INT(j.state, JOB_RUNNING);
    CHECK_INT(j.started_us, 1000);
    CHECK_INT(j.attempts, 1);
    job_done(&j);
    CHECK_INT(tasks_of(s, &id).v[1].started_us, 5000);
}

static void blocked_keys_hold_for_planned_jobs_that_run(struct store *s)
{
    static const char *const keys[] = {"a", "b", "", "c"};
    auto_strvec blocked = {0};
    struct job last = {0};
    struct task t;
    bool got = true;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct job j = planned_job(9 - (int)i);

        free(j.key_id);
        j.key_id = xstrdup(keys[i]);
        add_job(s, &j, 2);
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct job j = {0};

        CHECK_OK(store_task_claim(s, WORKER, NULL, &blocked, &t, &j, &got, ERR));
        CHECK(got);
        CHECK_STR(j.key_id, keys[i]);
        CHECK_INT(t.idx, 0);
        job_done(&j);
        strvec_push(&blocked, keys[i]); /* another task of it stays queued, and the job runs */
    }
    CHECK(store_task_ready(s, NULL));
    CHECK_OK(store_task_claim(s, WORKER, NULL, &blocked, &t, &last, &got, ERR));
    CHECK(!got);
    CHECK_OK(store_task_claim(s, WORKER, NULL, NULL, &t, &last, &got, ERR));
    CHECK(got);
    CHECK_STR(last.key_id, "a");
    CHECK_INT(t.idx, 1);
    job_done(&last);
}

static void a_job_for_later_is_not_claimed_before(struct store *s)
{
    struct job j = planned_job(4);
    struct id id = j.id;
    int64_t next = -1;

    j.run_at_us = 5000;
    add_job(s, &j, 3);
    CHECK_INT(state_of(s, &id), JOB_SCHEDULED);
    CHECK_INT(task_state(s, &id, 0), JOB_SCHEDULED);
    CHECK(nothing_to_claim(s));
    CHECK_OK(store_task_due(s, 4999, &next, ERR));
    CHECK_INT(next, 5000);
    CHECK(nothing_to_claim(s));
    CHECK_OK(store_task_due(s, 5000, &next, ERR));
    CHECK_INT(next, 0);
    CHECK_INT(state_of(s, &id), JOB_QUEUED);
    CHECK_INT(task_state(s, &id, 2), JOB_QUEUED);
    CHECK_INT(claim(s).idx, 0);
    CHECK_INT(add_tasks(s, &id, 1), 3);
    CHECK_INT(task_state(s, &id, 3), JOB_QUEUED);
}

static void a_job_that_waits_is_woken_with_its_tasks(struct store *s)
{
    struct job j = planned_job(4);
    struct id id = j.id;
    int64_t after = 0;

    j.run_at_us = 5000;
    j.state = JOB_WAITING;
    add_job(s, &j, 2);
    CHECK_INT(state_of(s, &id), JOB_WAITING);
    CHECK(nothing_to_claim(s));
    CHECK_OK(store_task_wake(s, &after, ERR));
    CHECK_INT(after, 0);
    CHECK_INT(state_of(s, &id), JOB_QUEUED);
    claim(s);
    claim(s);
    CHECK(nothing_to_claim(s));
}

static void the_queue_time_limit_holds_until_the_first_claim(struct store *s)
{
    struct job j = planned_job(4);
    struct job k = planned_job(4);
    struct id first;
    struct id second;
    struct listed l;
    int64_t next = -1;

    j.queue_timeout_s = k.queue_timeout_s = 1;
    first = add_job(s, &j, 2);
    second = add_job(s, &k, 2);
    claim(s);
    CHECK_OK(store_queue_expire(s, 1000 + 1000000, &next, ERR));
    CHECK_INT(next, 0);
    CHECK_INT(state_of(s, &first), JOB_RUNNING);
    CHECK_INT(state_of(s, &second), JOB_FAILED);
    l = tasks_of(s, &second);
    CHECK_INT(l.v[1].task.state, JOB_FAILED);
    CHECK_INT(l.v[1].reason, REASON_QUEUE_TIMEOUT);
    CHECK(strstr(l.error[1], "queue time limit"));
    CHECK_INT(claim(s).idx, 1);
    CHECK(nothing_to_claim(s));
}

/* ---- runs ---- */

static void a_planned_job_runs_until_it_is_settled(struct store *s)
{
    struct id id = add_planned(s, 4, 2);
    struct lease l;
    struct job j;

    CHECK(!is_ripe(s, NULL));
    CHECK_ERR(store_job_settle(s, &id, &completed, ERR), ERR_CONFLICT);
    l = claim(s);
    CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED);
    CHECK_INT(state_of(s, &id), JOB_RUNNING);
    CHECK(!is_ripe(s, NULL));
    CHECK_INT(add_tasks(s, &id, 1), 2); /* what follows from the first */
    l = claim(s);
    CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED);
    CHECK_ERR(store_job_settle(s, &id, &completed, ERR), ERR_CONFLICT);
    l = claim(s);
    CHECK_INT(l.idx, 2);
    CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED);
    CHECK(nothing_to_claim(s));
    CHECK(is_ripe(s, &id));
    clock_us = 9000;
    CHECK_ERR(store_job_settle(s, &id, &(struct outcome){.state = JOB_RUNNING}, ERR), ERR_INVALID);
    CHECK_OK(store_job_settle(s, &id,
                              &(struct outcome){.state = JOB_COMPLETED,
                                                .partial = true,
                                                .summary_json = "{\"stages\":[1]}",
                                                .command_line = "masscan; nmap",
                                                .tool_version = "1",
                                                .confinement = "ns",
                                                .run_json = "{\"r\":1}",
                                                .sandbox_json = "{\"s\":1}"},
                              ERR));
    CHECK(!is_ripe(s, NULL));
    CHECK_ERR(store_job_settle(s, &id, &completed, ERR), ERR_CONFLICT);
    j = get(s, &id);
    CHECK_INT(j.state, JOB_COMPLETED);
    CHECK(j.partial);
    CHECK_INT(j.completed_us, 9000);
    CHECK_INT(j.percent_x100, 10000);
    CHECK_STR(j.summary_json, "{\"stages\":[1]}");
    CHECK_STR(j.command_line, "masscan; nmap");
    CHECK_STR(j.tool_version, "1");
    CHECK_STR(j.confinement, "ns");
    CHECK_STR(j.run_json, "{\"r\":1}");
    CHECK_STR(j.sandbox_json, "{\"s\":1}");
    CHECK_STR(j.plan, "{\"stages\":[]}");
    job_done(&j);
    CHECK_ERR(store_task_add(s, &id, &(struct task_new){.spec = "x"}, 1, NULL, ERR), ERR_CONFLICT);
}

static void tasks_of_one_job_deliver_at_the_same_time(struct store *s)
{
    struct id id = add_planned(s, 4, 2);
    struct lease a = claim(s);
    struct lease b = claim(s);
    struct host h = {.state = "up", .reason_ttl = -1};
    struct port p = {.number = 7, .protocol = "tcp", .state = "open"};
    struct listed l;
    struct job j;
    int64_t seq = 0;

    CHECK_OK(store_host_begin(s, &a, &h, &seq, ERR));
    CHECK_INT(seq, 1);
    CHECK_OK(store_host_begin(s, &b, &h, &seq, ERR));
    CHECK_INT(seq, 1);
    CHECK_OK(store_host_port(s, &p, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_host_select(s, &a, ERR));
    CHECK_OK(store_host_end(s, ERR));
    CHECK_OK(store_host_select(s, &b, ERR));
    CHECK_OK(store_host_port(s, &p, ERR));
    CHECK_OK(store_host_end(s, ERR));
    add_host(s, &b, "192.0.2.9", 1);
    CHECK_OK(store_commit(s, ERR));
    l = tasks_of(s, &id);
    CHECK_INT(l.v[0].hosts, 1);
    CHECK_INT(l.v[0].ports_open, 0);
    CHECK_INT(l.v[1].hosts, 2);
    CHECK_INT(l.v[1].ports_open, 3);
    j = get(s, &id);
    CHECK_INT(j.hosts, 0); /* nothing is merged */
    job_done(&j);
    store_rollback(s); /* as after a restart: nobody is delivering */
    add_host(s, &a, "192.0.2.3", 1);
    CHECK_INT(tasks_of(s, &id).v[0].hosts, 2);
}

static void a_job_is_ripe_when_its_last_result_is_merged(struct store *s)
{
    struct id id = add_planned(s, 4, 2);
    struct lease a = claim(s);
    struct lease b = claim(s);
    struct task_at at;

    add_host(s, &b, "192.0.2.2", 1);
    add_host(s, &a, "192.0.2.1", 1);
    CHECK_INT(finish(s, &b, &completed), JOB_COMPLETED);
    CHECK_INT(finish(s, &a, &completed), JOB_COMPLETED);
    CHECK_INT(s->ops->part_to_merge(s, &at), 0);
    CHECK_INT(at.idx, 1); /* in the order of ends */
    CHECK(!tasks_of(s, &id).v[1].merged);
    CHECK(!is_ripe(s, NULL));
    CHECK_ERR(store_job_settle(s, &id, &completed, ERR), ERR_CONFLICT);
    CHECK_INT(merge_all(s), 2);
    CHECK(tasks_of(s, &id).v[1].merged);
    CHECK_INT(tasks_of(s, &id).v[1].hosts, 1);
    CHECK(is_ripe(s, &id));
}

static void reports_are_fenced_by_task(struct store *s)
{
    struct id id = add_planned(s, 4, 2);
    struct lease a = claim(s);
    struct lease b = claim(s);
    struct lease mixed = a;
    struct lease none = a;
    struct host h = {.state = "up", .reason_ttl = -1};
    struct progress p = {.percent_x100 = 5};

    mixed.idx = b.idx;
    none.idx = 2;
    for (int i = 0; i < 2; i++) {
        const struct lease *l = i ? &none : &mixed;

        CHECK_ERR(store_task_renew(s, l, NULL, ERR), ERR_FENCED);
        CHECK_ERR(store_task_progress(s, l, &p, ERR), ERR_FENCED);
        CHECK_ERR(store_task_finish(s, l, &completed, 0, NULL, ERR), ERR_FENCED);
        CHECK_ERR(store_task_lost(s, l, 0, NULL, ERR), ERR_FENCED);
        CHECK_ERR(store_task_release(s, l, ERR), ERR_FENCED);
        CHECK_ERR(store_host_begin(s, l, &h, NULL, ERR), ERR_FENCED);
    }
    CHECK_INT(finish(s, &a, &completed), JOB_COMPLETED);
    CHECK_ERR(store_task_renew(s, &a, NULL, ERR), ERR_FENCED);
    CHECK_OK(store_task_renew(s, &b, NULL, ERR));
    CHECK_OK(store_task_progress(s, &b, &p, ERR));
    CHECK_INT(tasks_of(s, &id).v[1].percent_x100, 5);
}

static void a_second_end_of_a_task_changes_nothing(struct store *s)
{
    struct id id = add_planned(s, 4, 2);
    struct lease l = claim(s);
    struct job before;
    struct job after;

    CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED);
    CHECK_OK(store_commit(s, ERR));
    before = get(s, &id);
    CHECK_INT(finish(s, &l, &failed), JOB_COMPLETED);
    CHECK(!store_dirty(s));
    after = get(s, &id);
    CHECK_INT(after.rev, before.rev);
    job_done(&before);
    job_done(&after);
}

static void a_task_that_always_fails_does_not_hold_up_the_others(struct store *s)
{
    struct job j = planned_job(4);
    struct id id = j.id;
    struct lease bad;
    struct listed l;

    j.max_attempts = 3;
    add_job(s, &j, 3);
    bad = claim(s);
    for (int i = 1; i < 3; i++) {
        struct lease good = claim(s);

        add_host(s, &bad, "192.0.2.1", 1);
        CHECK_INT(finish(s, &bad, &failed), JOB_SCHEDULED);
        l = tasks_of(s, &id);
        CHECK_INT(l.v[0].hosts, 0);
        CHECK_STR(l.error[0], "masscan said no");
        CHECK_STR(l.command[0], "masscan -p1");
        add_host(s, &good, "192.0.2.2", 1);
        CHECK_INT(finish(s, &good, &completed), JOB_COMPLETED);
        CHECK_INT(state_of(s, &id), JOB_RUNNING);
        CHECK(!is_ripe(s, NULL));
        clock_us += 1000;
        CHECK_OK(store_task_due(s, clock_us, NULL, ERR));
        bad = claim(s);
        CHECK_INT(bad.idx, 0);
        CHECK_INT(bad.epoch, i + 1);
    }
    add_host(s, &bad, "192.0.2.1", 1);
    CHECK_INT(finish(s, &bad, &failed), JOB_FAILED);
    l = tasks_of(s, &id);
    CHECK_INT(l.v[0].task.failed, 3);
    CHECK_INT(l.v[0].reason, REASON_TOOL_FAILED);
    CHECK_INT(l.v[0].hosts, 1);
    CHECK_INT(l.v[1].task.state, JOB_COMPLETED);
    CHECK_INT(l.v[1].percent_x100, 10000);
    CHECK_INT(merge_all(s), 3); /* complete hosts of the failed one are kept */
    CHECK(is_ripe(s, &id));
}

static void a_lost_worker_costs_its_task_alone(struct store *s)
{
    struct id id = add_planned(s, 4, 2);
    struct lease a = claim(s);
    struct lease b = claim(s);
    enum job_state st;

    for (int i = 1; i <= TASK_MAX_LOST; i++) {
        add_host(s, &a, "192.0.2.1", 1);
        CHECK_ERR(store_task_lost(s, &a, 1, &st, ERR), ERR_FENCED); /* it renewed since */
        CHECK_OK(store_task_lost(s, &a, 0, &st, ERR));
        CHECK_INT(st, i == TASK_MAX_LOST ? JOB_FAILED : JOB_QUEUED);
        CHECK_ERR(store_task_renew(s, &a, NULL, ERR), ERR_FENCED);
        if (i < TASK_MAX_LOST) {
            CHECK_INT(tasks_of(s, &id).v[0].hosts, 0);
            a = claim(s);
            CHECK_INT(a.idx, 0);
        }
    }
    CHECK_INT(tasks_of(s, &id).v[0].reason, REASON_WORKER_LOST);
    CHECK(tasks_of(s, &id).v[0].partial);
    CHECK_OK(store_task_renew(s, &b, NULL, ERR));
    CHECK_INT(state_of(s, &id), JOB_RUNNING);
}

static void a_task_is_given_back_or_waits_while_its_job_runs(struct store *s)
{
    struct id id = add_planned(s, 4, 2);
    struct lease a = claim(s);
    int64_t next = 0;
    int64_t after = 0;

    CHECK_OK(store_task_release(s, &a, ERR));
    CHECK_INT(task_state(s, &id, 0), JOB_QUEUED);
    CHECK_INT(state_of(s, &id), JOB_RUNNING);
    a = claim(s);
    CHECK_INT(a.idx, 0);
    CHECK_INT(tasks_of(s, &id).v[0].task.attempts, 1);
    CHECK_OK(store_task_wait(s, &a, 7000, ERR));
    CHECK_INT(task_state(s, &id, 0), JOB_WAITING);
    CHECK_INT(claim(s).idx, 1);
    CHECK(nothing_to_claim(s));
    CHECK_OK(store_task_due(s, 6999, &next, ERR));
    CHECK_INT(next, 7000);
    CHECK_OK(store_task_wake(s, &after, ERR));
    a = claim(s);
    CHECK_INT(a.idx, 0);
    CHECK_OK(store_task_wait(s, &a, 7000, ERR));
    CHECK_OK(store_task_due(s, 7000, &next, ERR));
    CHECK_INT(next, 0);
    CHECK_INT(claim(s).idx, 0);
}

struct running {
    char text[256];
};

static int note_running(void *arg, const struct task *t, struct err *e)
{
    struct running *r = arg;
    size_t n = strlen(r->text);

    (void)e;
    snprintf(r->text + n, sizeof r->text - n, "%lld/%d ", (long long)t->job_num, t->idx);
    return 0;
}

static void running_tasks_of_all_jobs_are_listed(struct store *s)
{
    struct running r = {{0}};
    struct lease first;

    add_planned(s, 4, 3);
    add(s);
    first = claim(s);
    for (int i = 0; i < 3; i++) {
        claim(s);
    }
    CHECK_INT(finish(s, &first, &completed), JOB_COMPLETED);
    CHECK_OK(store_task_running(s, note_running, &r, ERR));
    CHECK_STR(r.text, "1/1 1/2 2/0 ");
}

/* ---- cancel ---- */

static void a_cancel_ends_what_does_not_run_and_waits_for_what_does(struct store *s)
{
    struct job j = planned_job(4);
    struct id id = j.id;
    struct lease runs;
    struct lease retried;
    struct lease waits;
    enum job_state now = JOB_STATES;
    bool cancel = false;

    j.max_attempts = 2;
    add_job(s, &j, 4);
    runs = claim(s);
    retried = claim(s);
    waits = claim(s);
    CHECK_INT(finish(s, &retried, &failed), JOB_SCHEDULED);
    CHECK_OK(store_task_wait(s, &waits, 9000, ERR));
    CHECK_OK(store_job_cancel(s, &id, &now, ERR));
    CHECK_INT(now, JOB_RUNNING);
    CHECK_INT(task_state(s, &id, 0), JOB_RUNNING);
    for (int i = 1; i < 4; i++) {
        CHECK_INT(task_state(s, &id, i), JOB_CANCELLED);
        CHECK_INT(tasks_of(s, &id).v[i].reason, REASON_CANCELLED);
    }
    CHECK(nothing_to_claim(s));
    CHECK_OK(store_task_due(s, 99999, NULL, ERR));
    CHECK(nothing_to_claim(s));
    CHECK_ERR(store_task_add(s, &id, &(struct task_new){.spec = "x"}, 1, NULL, ERR), ERR_CONFLICT);
    CHECK(strstr(tap_err.msg, "cancelled"));
    CHECK_OK(store_task_renew(s, &runs, &cancel, ERR));
    CHECK(cancel);
    CHECK(!is_ripe(s, NULL));
    CHECK_INT(finish(s, &runs, &failed), JOB_FAILED); /* no other try */
    CHECK(is_ripe(s, &id));
    CHECK_OK(store_job_settle(
        s, &id, &(struct outcome){.state = JOB_CANCELLED, .reason = REASON_CANCELLED}, ERR));
    CHECK_INT(state_of(s, &id), JOB_CANCELLED);
}

static void a_cancel_before_the_first_claim_ends_the_job_at_once(struct store *s)
{
    struct job later = planned_job(4);
    struct id ids[3];
    enum job_state now;

    later.run_at_us = 5000;
    ids[0] = add_planned(s, 4, 3);
    ids[1] = add_job(s, &later, 2);
    ids[2] = add_planned(s, 4, 0); /* nothing to do */
    for (int i = 0; i < 3; i++) {
        CHECK_OK(store_job_cancel(s, &ids[i], &now, ERR));
        CHECK_INT(now, JOB_CANCELLED);
        CHECK_ERR(store_job_cancel(s, &ids[i], &now, ERR), ERR_CONFLICT);
    }
    CHECK_INT(task_state(s, &ids[0], 2), JOB_CANCELLED);
    CHECK_INT(task_state(s, &ids[1], 1), JOB_CANCELLED);
    CHECK(nothing_to_claim(s));
    CHECK(!is_ripe(s, NULL));
}

static void a_cancelled_task_that_is_lost_or_given_back_is_over(struct store *s)
{
    struct id id = add_planned(s, 4, 2);
    struct lease a = claim(s);
    struct lease b = claim(s);
    enum job_state st;

    add_host(s, &a, "192.0.2.1", 1);
    CHECK_OK(store_job_cancel(s, &id, NULL, ERR));
    CHECK_OK(store_task_lost(s, &a, 0, &st, ERR));
    CHECK_INT(st, JOB_CANCELLED);
    CHECK(tasks_of(s, &id).v[0].partial);
    CHECK_OK(store_task_release(s, &b, ERR));
    CHECK_INT(task_state(s, &id, 1), JOB_CANCELLED);
    CHECK_INT(merge_all(s), 1);
    CHECK(is_ripe(s, &id));
}

/* ---- what is told ---- */

static void the_progress_of_a_planned_job_never_goes_back(struct store *s)
{
    struct id id = add_planned(s, 4, 1);
    struct id plain = add(s);
    struct progress p = {.task = "ports", .percent_x100 = 5000, .remaining_s = 60};
    struct lease l;
    struct job j;

    CHECK_OK(store_job_progress(s, &id, &p, "{\"a\":1}", ERR));
    l = claim(s);
    p = (struct progress){.task = "ports", .percent_x100 = 4000, .remaining_s = 90};
    CHECK_OK(store_job_progress(s, &id, &p, NULL, ERR));
    CHECK_OK(store_task_progress(s, &l, &p, ERR)); /* of the task alone */
    j = get(s, &id);
    CHECK_INT(j.percent_x100, 5000);
    CHECK_INT(j.remaining_s, 90);
    CHECK_STR(j.summary_json, "{\"a\":1}");
    CHECK_STR(j.plan, "{\"stages\":[]}");
    job_done(&j);
    CHECK_OK(store_job_progress(s, &id, NULL, "{\"a\":2}", ERR));
    j = get(s, &id);
    CHECK_STR(j.summary_json, "{\"a\":2}");
    CHECK_INT(j.percent_x100, 5000);
    job_done(&j);
    CHECK_ERR(store_job_progress(s, &plain, &p, NULL, ERR), ERR_CONFLICT);
    CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED);
    CHECK_OK(store_job_settle(s, &id, &completed, ERR));
    CHECK_ERR(store_job_progress(s, &id, &p, NULL, ERR), ERR_CONFLICT);
}

struct told {
    char text[2048];
};

static int note_event(void *arg, const struct event *ev, struct err *e)
{
    struct told *t = arg;
    size_t n = strlen(t->text);

    (void)e;
    snprintf(t->text + n, sizeof t->text - n, "%s %s\n", ev->type, ev->data);
    return 0;
}

static void each_end_of_a_task_is_an_event_of_its_job(struct store *s)
{
    struct job j = planned_job(4);
    struct id id = j.id;
    struct told told = {{0}};
    struct lease a;
    struct lease b;

    j.max_attempts = 2;
    add_job(s, &j, 2);
    a = claim(s);
    b = claim(s);
    CHECK_INT(finish(s, &a, &failed), JOB_SCHEDULED); /* not told */
    CHECK_INT(finish(s, &b, &completed), JOB_COMPLETED);
    CHECK_OK(store_job_cancel(s, &id, NULL, ERR));
    CHECK_OK(store_job_settle(s, &id, &(struct outcome){.state = JOB_CANCELLED}, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_events(s, 0, 100, note_event, &told, ERR));
    CHECK_STR(told.text, "job.created {\"state\":\"queued\",\"rev\":1,\"tool\":\"nmap\"}\n"
                         "job.state {\"state\":\"running\",\"rev\":2,\"attempts\":1}\n"
                         "job.task {\"state\":\"running\",\"rev\":3,\"task\":1,\"stage\":1,"
                         "\"task_state\":\"completed\"}\n"
                         "job.state {\"state\":\"running\",\"rev\":4,\"attempts\":1,"
                         "\"cancel_requested\":true}\n"
                         "job.state {\"state\":\"cancelled\",\"rev\":5,\"attempts\":1,"
                         "\"cancel_requested\":true,\"reason\":null,\"partial\":false,\"hosts\":0,"
                         "\"hosts_up\":0,\"ports_open\":0}\n");
}

/* ---- coverage ---- */

static int note_cell(void *arg, int32_t idx, const struct coverage_cell *c, struct err *e)
{
    struct told *t = arg;
    size_t n = strlen(t->text);

    (void)e;
    snprintf(t->text + n, sizeof t->text - n, "%d %s %s %s %d %lld-%lld\n", idx, c->addresses,
             c->protocol, c->ports ? c->ports : "-", c->up_only, (long long)c->start_us,
             (long long)c->end_us);
    return 0;
}

static const char *coverage(struct store *s, int64_t num, struct told *told)
{
    *told = (struct told){{0}};
    CHECK_OK(store_coverage(s, num, note_cell, told, ERR));
    return told->text;
}

static void coverage_comes_with_the_end_and_not_with_a_try(struct store *s)
{
    const struct coverage_cell cells[] = {
        {.addresses = "192.0.2.0/24", .protocol = "host", .start_us = 1, .end_us = 2},
        {.addresses = "192.0.2.1,192.0.2.7",
         .protocol = "tcp",
         .ports = "1-1000",
         .up_only = true,
         .start_us = 3,
         .end_us = 4},
    };
    struct outcome o = {.state = JOB_COMPLETED, .cells = cells, .n_cells = 2};
    struct outcome again = failed;
    struct job j = planned_job(4);
    struct id id = j.id;
    struct told told;
    struct lease a;
    struct lease b;

    j.max_attempts = 2;
    add_job(s, &j, 2);
    a = claim(s);
    b = claim(s);
    CHECK_INT(finish(s, &b, &o), JOB_COMPLETED);
    again.cells = cells;
    again.n_cells = 1;
    CHECK_INT(finish(s, &a, &again), JOB_SCHEDULED);
    CHECK_STR(coverage(s, 1, &told), "1 192.0.2.0/24 host - 0 1-2\n"
                                     "1 192.0.2.1,192.0.2.7 tcp 1-1000 1 3-4\n");
    CHECK_OK(store_task_due(s, 99999, NULL, ERR));
    a = claim(s);
    CHECK_INT(finish(s, &a, &again), JOB_FAILED);
    CHECK_INT(finish(s, &a, &again), JOB_FAILED);
    CHECK_STR(coverage(s, 1, &told), "0 192.0.2.0/24 host - 0 1-2\n"
                                     "1 192.0.2.0/24 host - 0 1-2\n"
                                     "1 192.0.2.1,192.0.2.7 tcp 1-1000 1 3-4\n");
    CHECK_OK(store_job_settle(s, &id, &completed, ERR));
    CHECK_OK(store_job_delete(s, &id, ERR));
    CHECK_STR(coverage(s, 1, &told), "");
}

static void plain_jobs_have_coverage_too(struct store *s)
{
    const struct coverage_cell cell = {.addresses = "192.0.2.1", .protocol = "udp", .ports = "53"};
    struct id id = add(s);
    struct lease l = claim(s);
    struct told told;

    CHECK_STR(coverage(s, 1, &told), "");
    CHECK_INT(
        finish(s, &l, &(struct outcome){.state = JOB_COMPLETED, .cells = &cell, .n_cells = 1}),
        JOB_COMPLETED);
    CHECK_STR(coverage(s, 1, &told), "0 192.0.2.1 udp 53 0 0-0\n");
    CHECK_OK(store_job_delete(s, &id, ERR));
    CHECK_STR(coverage(s, 1, &told), "");
}

/* ---- going ---- */

static void a_deleted_job_takes_the_files_of_all_its_tasks_along(struct store *s)
{
    struct id id = add_planned(s, 4, 2);
    struct lease a = claim(s);
    struct lease b = claim(s);
    char paths[128] = "";
    bool more = true;

    add_host(s, &a, "192.0.2.1", 1);
    CHECK_INT(finish(s, &a, &(struct outcome){.state = JOB_COMPLETED, .raw_path = "ab/1"}),
              JOB_COMPLETED);
    CHECK_INT(finish(s, &b, &(struct outcome){.state = JOB_COMPLETED, .raw_path = "ab/2"}),
              JOB_COMPLETED);
    CHECK_ERR(store_job_delete(s, &id, ERR), ERR_CONFLICT);
    merge_all(s);
    CHECK_OK(store_job_settle(s, &id, &completed, ERR));
    CHECK_OK(store_job_delete(s, &id, ERR));
    while (more) {
        char *path = NULL;
        int64_t purge = 0;

        CHECK_OK(store_purge_step(s, 10, &more, &path, &purge, ERR));
        if (path) {
            size_t n = strlen(paths);

            snprintf(paths + n, sizeof paths - n, "%s ", path);
            CHECK_OK(store_purge_done(s, purge, ERR));
            free(path);
            more = true;
        }
    }
    CHECK_STR(paths, "ab/1 ab/2 ");
}

static void an_undone_turn_undoes_what_tasks_did(struct store *s)
{
    struct id id = add_planned(s, 4, 2);
    struct lease l;

    CHECK_OK(store_commit(s, ERR));
    l = claim(s);
    claim(s);
    add_host(s, &l, "192.0.2.1", 1);
    CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED);
    add_tasks(s, &id, 5);
    store_rollback(s);
    CHECK_INT(state_of(s, &id), JOB_QUEUED);
    CHECK_INT(tasks_of(s, &id).n, 2);
    CHECK_INT(claim(s).idx, 0);
    CHECK_INT(claim(s).idx, 1);
    CHECK(nothing_to_claim(s));
    store_rollback(s);
    CHECK(store_task_ready(s, NULL));
}

static void a_planned_job_is_not_parsed_again(struct store *s)
{
    struct id id = add_planned(s, 4, 1);
    struct lease l = claim(s);

    CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED);
    CHECK_OK(store_job_settle(s, &id, &completed, ERR));
    CHECK_ERR(store_reparse_begin(s, &id, &l, ERR), ERR_CONFLICT);
}

/* ---- in a file ---- */

static struct store *open_at(const char *url)
{
    struct store *s;

    CHECK_OK(store_open(url, &s, ERR));
    store_set_hooks(s, fake_clock, fake_token, NULL);
    return s;
}

static int lose_it(void *arg, const struct task *t, struct err *e)
{
    struct lease *l = arg;

    (void)e;
    *l = lease_of(t);
    return 0;
}

static void after_a_crash_each_task_is_where_it_was(void)
{
    auto_free char *url = str_fmt("sqlite:%s/crash", test_dir());
    struct lease l = {.idx = -1};
    struct store *s;
    struct id id;

    clock_us = 1000;
    s = open_at(url);
    id = add_planned(s, 4, 3);
    l = claim(s);
    add_host(s, &l, "192.0.2.1", 1);
    CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED);
    l = claim(s);
    CHECK_OK(store_commit(s, ERR));
    add_host(s, &l, "192.0.2.2", 1);
    CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED); /* never committed */
    store_close(s);

    s = open_at(url);
    CHECK(store_task_ready(s, NULL));
    CHECK_INT(task_state(s, &id, 0), JOB_COMPLETED);
    CHECK_OK(store_task_running(s, lose_it, &l, ERR));
    CHECK_INT(l.idx, 1);
    CHECK_OK(store_task_lost(s, &l, 0, NULL, ERR));
    CHECK_INT(merge_all(s), 1);
    for (int i = 1; i < 3; i++) {
        l = claim(s);
        CHECK_INT(l.idx, i);
        CHECK_INT(finish(s, &l, &completed), JOB_COMPLETED);
    }
    CHECK_OK(store_commit(s, ERR));
    store_close(s);

    s = open_at(url); /* ripe, and nobody remembers */
    CHECK(is_ripe(s, &id));
    CHECK_OK(store_job_settle(s, &id, &completed, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK(!is_ripe(s, NULL));
    store_close(s);
}

/* However many jobs and tasks there are. */
static void claims_and_ripe_jobs_are_found_without_looking_through(void)
{
    auto_free char *url = str_fmt("sqlite:%s/steps", test_dir());
    auto_strvec blocked = {0};
    struct task t;
    struct job j = {0};
    struct store *s;
    struct id id;
    bool got = false;
    int seen = 0;

    clock_us = 1000;
    s = open_at(url);
    strvec_push(&blocked, "other");
    for (int i = 0; i < 300; i++) {
        struct job job = planned_job(9);

        free(job.key_id);
        job.key_id = xstrdup("other");
        add_job(s, &job, 5);
    }
    id = add_planned(s, 4, 3000);
    for (int i = 0; i < 2990; i++) {
        CHECK_OK(store_task_claim(s, WORKER, NULL, &blocked, &t, &j, &got, ERR));
        CHECK(got);
        job_done(&j);
    }
    CHECK_OK(store_commit(s, ERR));
    for (int run = 0; run < 2; run++) {
        seen = 0;
        if (run) {
            CHECK_OK(store_task_claim(s, WORKER, NULL, &blocked, &t, &j, &got, ERR));
            CHECK_INT(t.idx, 2990);
            CHECK_INT(id_cmp(&t.job_id, &id), 0);
            job_done(&j);
            CHECK(!is_ripe(s, NULL));
            CHECK_INT(merge_all(s), 0);
        }
        for (sqlite3_stmt *st = sqlite3_next_stmt(store_sqlite(s), NULL); st;
             st = sqlite3_next_stmt(store_sqlite(s), st)) {
            int steps = sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 1);

            CHECK_INT(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1), 0);
            CHECK_INT(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_SORT, 1), 0);
            if (run && steps > 0) {
                CHECK(steps < 250);
                seen++;
            }
        }
    }
    CHECK(seen > 5);
    store_close(s);
}

BOTH(a_planned_job_is_read_back_with_its_plan)
BOTH(lists_have_planned_and_plain_jobs_by_state)
BOTH(tasks_are_listed_with_what_they_are_to_do)
BOTH(a_plain_job_has_one_task)
BOTH(a_job_has_at_most_so_many_tasks)
BOTH(a_task_without_words_is_refused_and_changes_nothing)
BOTH(claims_go_by_priority_then_job_then_place)
BOTH(a_claimed_job_says_what_its_task_is)
BOTH(blocked_keys_hold_for_planned_jobs_that_run)
BOTH(a_job_for_later_is_not_claimed_before)
BOTH(a_job_that_waits_is_woken_with_its_tasks)
BOTH(the_queue_time_limit_holds_until_the_first_claim)
BOTH(a_planned_job_runs_until_it_is_settled)
BOTH(tasks_of_one_job_deliver_at_the_same_time)
BOTH(a_job_is_ripe_when_its_last_result_is_merged)
BOTH(reports_are_fenced_by_task)
BOTH(a_second_end_of_a_task_changes_nothing)
BOTH(a_task_that_always_fails_does_not_hold_up_the_others)
BOTH(a_lost_worker_costs_its_task_alone)
BOTH(a_task_is_given_back_or_waits_while_its_job_runs)
BOTH(running_tasks_of_all_jobs_are_listed)
BOTH(a_cancel_ends_what_does_not_run_and_waits_for_what_does)
BOTH(a_cancel_before_the_first_claim_ends_the_job_at_once)
BOTH(a_cancelled_task_that_is_lost_or_given_back_is_over)
BOTH(the_progress_of_a_planned_job_never_goes_back)
BOTH(each_end_of_a_task_is_an_event_of_its_job)
BOTH(coverage_comes_with_the_end_and_not_with_a_try)
BOTH(plain_jobs_have_coverage_too)
BOTH(a_deleted_job_takes_the_files_of_all_its_tasks_along)
BOTH(an_undone_turn_undoes_what_tasks_did)
BOTH(a_planned_job_is_not_parsed_again)

TESTS(OF_BOTH(a_planned_job_is_read_back_with_its_plan),
      OF_BOTH(lists_have_planned_and_plain_jobs_by_state),
      OF_BOTH(tasks_are_listed_with_what_they_are_to_do), OF_BOTH(a_plain_job_has_one_task),
      OF_BOTH(a_job_has_at_most_so_many_tasks),
      OF_BOTH(a_task_without_words_is_refused_and_changes_nothing),
      OF_BOTH(claims_go_by_priority_then_job_then_place),
      OF_BOTH(a_claimed_job_says_what_its_task_is),
      OF_BOTH(blocked_keys_hold_for_planned_jobs_that_run),
      OF_BOTH(a_job_for_later_is_not_claimed_before),
      OF_BOTH(a_job_that_waits_is_woken_with_its_tasks),
      OF_BOTH(the_queue_time_limit_holds_until_the_first_claim),
      OF_BOTH(a_planned_job_runs_until_it_is_settled),
      OF_BOTH(tasks_of_one_job_deliver_at_the_same_time),
      OF_BOTH(a_job_is_ripe_when_its_last_result_is_merged), OF_BOTH(reports_are_fenced_by_task),
      OF_BOTH(a_second_end_of_a_task_changes_nothing),
      OF_BOTH(a_task_that_always_fails_does_not_hold_up_the_others),
      OF_BOTH(a_lost_worker_costs_its_task_alone),
      OF_BOTH(a_task_is_given_back_or_waits_while_its_job_runs),
      OF_BOTH(running_tasks_of_all_jobs_are_listed),
      OF_BOTH(a_cancel_ends_what_does_not_run_and_waits_for_what_does),
      OF_BOTH(a_cancel_before_the_first_claim_ends_the_job_at_once),
      OF_BOTH(a_cancelled_task_that_is_lost_or_given_back_is_over),
      OF_BOTH(the_progress_of_a_planned_job_never_goes_back),
      OF_BOTH(each_end_of_a_task_is_an_event_of_its_job),
      OF_BOTH(coverage_comes_with_the_end_and_not_with_a_try),
      OF_BOTH(plain_jobs_have_coverage_too),
      OF_BOTH(a_deleted_job_takes_the_files_of_all_its_tasks_along),
      OF_BOTH(an_undone_turn_undoes_what_tasks_did), OF_BOTH(a_planned_job_is_not_parsed_again),
      after_a_crash_each_task_is_where_it_was,
      claims_and_ripe_jobs_are_found_without_looking_through)
