/* What every store does, run over each backend. */
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "store_rig.h"

static const struct outcome completed = {.state = JOB_COMPLETED};
static const struct outcome failed = {.state = JOB_FAILED,
                                      .reason = REASON_TOOL_FAILED,
                                      .retryable = true,
                                      .error = "nmap said no",
                                      .exit_status = 1,
                                      .stderr_tail = "no\n"};

static enum job_state finish(struct store *s, const struct lease *l, const struct outcome *o,
                             int64_t retry_at)
{
    enum job_state st = JOB_STATES;

    CHECK_OK(store_task_finish(s, l, o, retry_at, &st, ERR));
    return st;
}

static void add_host(struct store *s, const struct lease *l, const char *state, int open)
{
    struct host_addr addr = {"192.0.2.1", "ipv4", NULL};
    struct host h = {.addrs = &addr, .n_addrs = 1, .state = state, .reason_ttl = -1};
    struct port p = {.protocol = "tcp", .state = "open", .reason_ttl = -1, .conf = -1};
    int64_t seq;

    CHECK_OK(store_host_begin(s, l, &h, &seq, ERR));
    for (int i = 0; i < open; i++) {
        p.number = (uint16_t)(i + 1);
        CHECK_OK(store_host_port(s, &p, ERR));
    }
    CHECK_OK(store_host_end(s, ERR));
}

static int count_host(void *arg, int64_t seq, const struct host *head, struct err *e)
{
    (void)seq;
    (void)head;
    (void)e;
    ++*(int *)arg;
    return 0;
}

static int hosts_of(struct store *s, const struct id *id)
{
    int n = 0;
    struct host_sink sink = {.host = count_host, .arg = &n};

    CHECK_OK(store_hosts(s, num_of(s, id), &(struct host_filter){0}, &sink, ERR));
    return n;
}

struct seen {
    char text[4096];
    int n;
};

static int note_event(void *arg, const struct event *ev, struct err *e)
{
    struct seen *seen = arg;
    size_t n = strlen(seen->text);

    (void)e;
    snprintf(seen->text + n, sizeof seen->text - n, "%s%s", n ? " " : "", ev->type);
    seen->n++;
    return 0;
}

static struct seen events_after(struct store *s, int64_t after)
{
    struct seen seen = {0};

    CHECK_OK(store_events(s, after, 1000, note_event, &seen, ERR));
    return seen;
}

/* ---- jobs ---- */

static void a_new_job_is_read_back_as_it_was_sent(struct store *s)
{
    struct job j = new_job();
    struct job got;

    j.ports = xstrdup("22,80");
    j.arguments = xstrdup("-sV 'a b' \xff\n");
    j.timeout_s = -5;
    j.queue_timeout_s = 60;
    j.priority = 9;
    j.max_attempts = 3;
    j.old_route = true;
    j.clip = true;
    j.scope_rule = xstrdup("allow 192.0.2.0/24");
    j.pins = xstrdup("a.example=192.0.2.1");
    j.limits = xstrdup("wall_s=60");
    CHECK_OK(store_job_add(s, &j, ERR));
    CHECK_INT(j.num, 1);
    CHECK_INT(j.rev, 1);
    CHECK_INT(j.state, JOB_QUEUED);
    CHECK_OK(store_commit(s, ERR));
    got = get(s, &j.id);
    CHECK_INT(got.num, 1);
    CHECK_INT(got.rev, 1);
    CHECK_INT(got.state, JOB_QUEUED);
    CHECK_STR(got.tool, "nmap");
    CHECK_STR(got.targets, "192.0.2.1");
    CHECK_STR(got.ports, "22,80");
    CHECK_STR(got.arguments, "-sV 'a b' \xff\n");
    CHECK_STR(got.key_id, "");
    CHECK_STR(got.error, NULL);
    CHECK(got.old_route);
    CHECK(got.clip);
    CHECK_STR(got.scope_rule, "allow 192.0.2.0/24");
    CHECK_STR(got.pins, "a.example=192.0.2.1");
    CHECK_STR(got.limits, "wall_s=60");
    CHECK_STR(got.repo, NULL);
    CHECK_STR(got.sandbox_json, NULL);
    CHECK_INT(got.timeout_s, -5);
    CHECK_INT(got.run_timeout_s, 900);
    CHECK_INT(got.priority, 9);
    CHECK_INT(got.max_attempts, 3);
    CHECK_INT(got.created_us, 1000);
    CHECK_INT(got.queue_expires_us, 1000 + 60000000);
    CHECK_INT(got.percent_x100, -1);
    CHECK_INT(got.exit_status, -1);
    job_done(&got);
    job_done(&j);
}

static void an_unknown_job_is_not_found(struct store *s)
{
    struct id id = id_new();
    struct job j = {0};
    enum job_state st = JOB_WAITING;
    struct host_sink sink = {0};
    char *path = NULL;

    CHECK_ERR(store_job_get(s, &id, &j, ERR), ERR_NOT_FOUND);
    CHECK_ERR(store_job_cancel(s, &id, &st, ERR), ERR_NOT_FOUND);
    CHECK_ERR(store_job_delete(s, &id, ERR), ERR_NOT_FOUND);
    CHECK_ERR(store_hosts(s, 77, &(struct host_filter){0}, &sink, ERR), ERR_NOT_FOUND);
    CHECK_ERR(store_raw_path(s, 77, &path, ERR), ERR_NOT_FOUND);
    CHECK_INT(st, JOB_WAITING);
    CHECK(!store_dirty(s));
}

static void a_job_id_is_stored_once(struct store *s)
{
    struct job j = new_job();
    struct job again = new_job();

    again.id = j.id;
    CHECK_OK(store_job_add(s, &j, ERR));
    CHECK_ERR(store_job_add(s, &again, ERR), ERR_CONFLICT);
    CHECK_INT(again.num, 0);
    CHECK_OK(store_commit(s, ERR));
    CHECK_ERR(store_job_add(s, &again, ERR), ERR_CONFLICT);
    CHECK_OK(store_commit(s, ERR));
    job_done(&j);
    job_done(&again);
    add(s);
}

static void a_job_without_targets_or_with_a_wild_priority_is_refused(struct store *s)
{
    struct job j = new_job();
    char *targets = take_ptr(&j.targets);

    CHECK_ERR(store_job_add(s, &j, ERR), ERR_INVALID);
    j.targets = targets;
    j.priority = 10;
    CHECK_ERR(store_job_add(s, &j, ERR), ERR_INVALID);
    j.priority = -1;
    CHECK_ERR(store_job_add(s, &j, ERR), ERR_INVALID);
    CHECK(!store_dirty(s));
    job_done(&j);
}

static void a_full_store_refuses_with_what_to_do(struct store *s)
{
    struct job j = new_job();
    struct id first;
    enum job_state st;

    store_set_limits(s, &(struct store_limits){.max_jobs = 2});
    first = add(s);
    add(s);
    CHECK_ERR(store_job_add(s, &j, ERR), ERR_BUSY);
    CHECK_STR(tap_err.msg, "Job store is at capacity \xe2\x80\x94 purge finished jobs (DELETE "
                           "/scans) or wait for retention to expire");
    CHECK_OK(store_job_cancel(s, &first, &st, ERR));
    CHECK_ERR(store_job_add(s, &j, ERR), ERR_BUSY);
    CHECK_OK(store_job_delete(s, &first, ERR));
    CHECK_OK(store_job_add(s, &j, ERR));
    job_done(&j);
}

static void too_many_waiting_jobs_are_refused_until_one_runs(struct store *s)
{
    struct job j = new_job();

    store_set_limits(s, &(struct store_limits){.max_waiting = 2});
    add(s);
    add(s);
    CHECK_ERR(store_job_add(s, &j, ERR), ERR_BUSY);
    CHECK(strstr(tap_err.msg, "2 jobs are waiting"));
    claim(s);
    CHECK_OK(store_job_add(s, &j, ERR));
    job_done(&j);
}

static void counts_follow_every_change(struct store *s)
{
    int64_t c[JOB_STATES];
    struct id id;
    struct lease l;
    enum job_state st;

    id = add(s);
    add(s);
    l = claim(s);
    store_job_counts(s, c);
    CHECK_INT(c[JOB_QUEUED], 1);
    CHECK_INT(c[JOB_RUNNING], 1);
    finish(s, &l, &completed, 0);
    l = claim(s);
    CHECK_OK(store_job_cancel(s, &l.job_id, &st, ERR));
    CHECK_INT(st, JOB_RUNNING);
    finish(s, &l, &(struct outcome){.state = JOB_CANCELLED, .reason = REASON_CANCELLED}, 0);
    store_job_counts(s, c);
    CHECK_INT(c[JOB_COMPLETED], 1);
    CHECK_INT(c[JOB_CANCELLED], 1);
    CHECK_INT(c[JOB_QUEUED] + c[JOB_RUNNING], 0);
    CHECK_OK(store_job_delete(s, &id, ERR));
    store_job_counts(s, c);
    CHECK_INT(c[JOB_COMPLETED], 0);
}

/* ---- lists ---- */

struct nums {
    int64_t v[32];
    int n;
};

static int note_num(void *arg, const struct job *j, struct err *e)
{
    struct nums *nums = arg;

    (void)e;
    nums->v[nums->n++] = j->num;
    return 0;
}

static int note_head(void *arg, int64_t num, const struct id *id, enum job_state st)
{
    struct nums *nums = arg;

    (void)id;
    (void)st;
    nums->v[nums->n++] = num;
    return 0;
}

static void check_list(struct store *s, const struct job_filter *f, const char *want)
{
    struct nums list = {0};
    struct nums heads = {0};
    auto_buf text = {0};

    CHECK_OK(store_job_list(s, f, note_num, &list, ERR));
    CHECK_OK(store_job_heads(s, f, note_head, &heads, ERR));
    for (int i = 0; i < list.n; i++) {
        buf_addf(&text, "%s%lld", i ? " " : "", (long long)list.v[i]);
    }
    CHECK_STR(text.data ? text.data : "", want);
    CHECK_INT(heads.n, list.n);
    CHECK(memcmp(heads.v, list.v, sizeof list.v) == 0);
}

static void lists_are_filtered_ordered_and_paged(struct store *s)
{
    enum job_state st;

    for (int i = 0; i < 6; i++) {
        struct job j = new_job();

        if (i % 2) {
            free(j.tool);
            j.tool = xstrdup("zmap");
        }
        CHECK_OK(store_job_add(s, &j, ERR));
        clock_us += 10;
        if (i == 1 || i == 4) {
            CHECK_OK(store_job_cancel(s, &j.id, &st, ERR));
        }
        job_done(&j);
    }
    check_list(s, &(struct job_filter){0}, "6 5 4 3 2 1");
    check_list(s, &(struct job_filter){.oldest_first = true}, "1 2 3 4 5 6");
    check_list(s, &(struct job_filter){.limit = 2}, "6 5");
    check_list(s, &(struct job_filter){.limit = 2, .after = 5}, "4 3");
    check_list(s, &(struct job_filter){.limit = 2, .after = 4, .oldest_first = true}, "5 6");
    check_list(s, &(struct job_filter){.states = 1u << JOB_CANCELLED}, "5 2");
    check_list(s, &(struct job_filter){.states = 1u << JOB_CANCELLED, .after = 5}, "2");
    check_list(s,
               &(struct job_filter){.states = 1u << JOB_CANCELLED | 1u << JOB_QUEUED, .limit = 3},
               "6 5 4");
    check_list(s, &(struct job_filter){.states = 1u << JOB_RUNNING}, "");
    check_list(s, &(struct job_filter){.tool = "zmap"}, "6 4 2");
    check_list(s, &(struct job_filter){.tool = "zmap", .states = 1u << JOB_QUEUED}, "6 4");
    check_list(s, &(struct job_filter){.tool = "masscan"}, "");
    check_list(s, &(struct job_filter){.since_us = 1030}, "6 5 4");
    check_list(s, &(struct job_filter){.since_us = 1030, .tool = "nmap", .oldest_first = true},
               "5");
    check_list(s, &(struct job_filter){.since_us = 1030, .tool = "nmap", .limit = 1}, "5");
    check_list(s, &(struct job_filter){.since_us = 9999}, "");
}

static int count_head(void *arg, int64_t num, const struct id *id, enum job_state st)
{
    (void)num;
    (void)id;
    (void)st;
    ++*(int *)arg;
    return 0;
}

/* Also where the clock jumped back, and where many jobs came at one time. */
static void lists_by_time_miss_no_job(struct store *s)
{
    enum { JOBS = 900 };
    int64_t at[JOBS];

    for (int i = 0; i < JOBS; i++) {
        struct job j = new_job();

        at[i] = j.created_us = i < 300 ? 5000 : i < 600 ? 3000 + i / 10 : 5000 + i / 10;
        CHECK_OK(store_job_add(s, &j, ERR));
        job_done(&j);
    }
    for (int64_t since = 3020; since < 5100; since += since == 3070 ? 1920 : 1) {
        int want = 0;
        int got = 0;
        struct job_filter f = {.since_us = since};

        for (int i = 0; i < JOBS; i++) {
            want += at[i] >= since;
        }
        CHECK_OK(store_job_heads(s, &f, count_head, &got, ERR));
        CHECK_INT(got, want);
        got = 0;
        f.tool = "nmap";
        CHECK_OK(store_job_heads(s, &f, count_head, &got, ERR));
        CHECK_INT(got, want);
    }
}

static int stop_at_first(void *arg, const struct job *j, struct err *e)
{
    (void)arg;
    (void)j;
    return err_set(e, ERR_LIMIT, "that is enough");
}

static void a_list_stops_when_its_reader_says_so(struct store *s)
{
    add(s);
    add(s);
    CHECK_ERR(store_job_list(s, &(struct job_filter){0}, stop_at_first, NULL, ERR), ERR_LIMIT);
    CHECK_STR(tap_err.msg, "that is enough");
    CHECK_ERR(store_job_list(s, &(struct job_filter){.states = 1u << JOB_QUEUED}, stop_at_first,
                             NULL, ERR),
              ERR_LIMIT);
    check_list(s, &(struct job_filter){0}, "2 1");
}

/* ---- claims and leases ---- */

static void the_highest_priority_is_claimed_first_then_the_oldest(struct store *s)
{
    struct id a = add_with(s, 4, 1);
    struct id b = add_with(s, 9, 1);
    struct id c = add_with(s, 4, 1);
    struct lease l;
    struct task t;
    struct job j;
    bool got = true;

    CHECK(store_task_ready(s, NULL));
    l = claim(s);
    CHECK(id_cmp(&l.job_id, &b) == 0);
    CHECK_INT(l.epoch, 1);
    l = claim(s);
    CHECK(id_cmp(&l.job_id, &a) == 0);
    l = claim(s);
    CHECK(id_cmp(&l.job_id, &c) == 0);
    CHECK(!store_task_ready(s, NULL));
    CHECK_OK(store_task_claim(s, WORKER, NULL, NULL, &t, &j, &got, ERR));
    CHECK(!got);
}

static void a_claim_starts_the_job_under_a_new_lease(struct store *s)
{
    struct id id = add(s);
    struct task t;
    struct job j = {0};
    bool got = false;

    clock_us = 5000;
    CHECK_OK(store_task_claim(s, WORKER, NULL, NULL, &t, &j, &got, ERR));
    CHECK(got);
    CHECK(id_cmp(&j.id, &id) == 0);
    CHECK_INT(j.state, JOB_RUNNING);
    CHECK_INT(j.started_us, 5000);
    CHECK_INT(j.attempts, 1);
    CHECK_INT(j.rev, 2);
    CHECK_INT(t.epoch, 1);
    CHECK_INT(t.state, JOB_RUNNING);
    CHECK_INT(t.beat, 0);
    CHECK(t.token != 0);
    CHECK_STR(t.worker, WORKER);
    job_done(&j);
}

static void reports_under_an_old_lease_are_fenced(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct lease wrong[3] = {l, l, l};
    struct host h = {.state = "up"};
    enum job_state st;
    int64_t seq;

    wrong[0].epoch++;
    wrong[1].token++;
    wrong[2].idx++;
    for (int i = 0; i < 3; i++) {
        bool cancel;

        CHECK_ERR(store_task_renew(s, &wrong[i], &cancel, ERR), ERR_FENCED);
        CHECK_ERR(store_task_progress(s, &wrong[i], &(struct progress){0}, ERR), ERR_FENCED);
        CHECK_ERR(store_task_finish(s, &wrong[i], &completed, 0, &st, ERR), ERR_FENCED);
        CHECK_ERR(store_task_lost(s, &wrong[i], 0, &st, ERR), ERR_FENCED);
        CHECK_ERR(store_task_release(s, &wrong[i], ERR), ERR_FENCED);
        CHECK_ERR(store_host_begin(s, &wrong[i], &h, &seq, ERR), ERR_FENCED);
    }
    CHECK_ERR(store_task_lost(s, &l, 1, &st, ERR), ERR_FENCED);
    CHECK_INT(state_of(s, &id), JOB_RUNNING);
    CHECK_OK(store_task_lost(s, &l, 0, &st, ERR));
    CHECK_INT(st, JOB_QUEUED);
    CHECK_ERR(store_task_finish(s, &l, &completed, 0, &st, ERR), ERR_FENCED);
    CHECK_INT(state_of(s, &id), JOB_QUEUED);
}

static void renewals_count_and_tell_of_a_cancel(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    bool cancel = true;
    enum job_state st;

    CHECK_OK(store_task_renew(s, &l, &cancel, ERR));
    CHECK(!cancel);
    CHECK_OK(store_task_progress(s, &l, &(struct progress){"x", 1250, 9}, ERR));
    CHECK_OK(store_job_cancel(s, &id, &st, ERR));
    CHECK_INT(st, JOB_RUNNING);
    CHECK_OK(store_task_renew(s, &l, &cancel, ERR));
    CHECK(cancel);
    CHECK_ERR(store_task_lost(s, &l, 2, &st, ERR), ERR_FENCED);
    CHECK_OK(store_task_lost(s, &l, 3, &st, ERR));
    CHECK_INT(st, JOB_CANCELLED);
}

static void progress_is_kept_and_told(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct job j;

    CHECK_OK(store_task_progress(s, &l, &(struct progress){"SYN \"scan\"", 1250, 90}, ERR));
    CHECK_OK(store_commit(s, ERR));
    j = get(s, &id);
    CHECK_INT(j.percent_x100, 1250);
    CHECK_INT(j.remaining_s, 90);
    CHECK_INT(j.rev, 3);
    job_done(&j);
    CHECK_STR(events_after(s, 0).text, "job.created job.state job.progress");
}

/* ---- ends ---- */

static void an_end_keeps_everything_the_worker_said(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct job j;
    auto_free char *path = NULL;
    struct outcome o = {
        .state = JOB_FAILED,
        .reason = REASON_TOOL_CRASHED,
        .partial = true,
        .error = "crashed",
        .exit_status = -1,
        .exit_signal = 11,
        .stderr_tail = "\x1b[31mboom",
        .command_line = "nmap -oX - 192.0.2.1",
        .tool_version = "7.93",
        .confinement = "pidns",
        .sandbox_json = "{\"box\":\"userns\"}",
        .run_json = "{\"a\":1}",
        .raw_path = "ab/x.1.zst",
        .raw_sha256 = "00ff",
        .raw_size = 1234,
        .raw_stored = 99,
    };

    clock_us = 9000;
    CHECK_INT(finish(s, &l, &o, 0), JOB_FAILED);
    CHECK_OK(store_commit(s, ERR));
    j = get(s, &id);
    CHECK_INT(j.state, JOB_FAILED);
    CHECK_INT(j.reason, REASON_TOOL_CRASHED);
    CHECK(j.partial);
    CHECK_INT(j.completed_us, 9000);
    CHECK_INT(j.exit_status, -1);
    CHECK_INT(j.exit_signal, 11);
    CHECK_STR(j.error, "crashed");
    CHECK_STR(j.stderr_tail, "\x1b[31mboom");
    CHECK_STR(j.command_line, "nmap -oX - 192.0.2.1");
    CHECK_STR(j.tool_version, "7.93");
    CHECK_STR(j.confinement, "pidns");
    CHECK_STR(j.sandbox_json, "{\"box\":\"userns\"}");
    CHECK_STR(j.run_json, "{\"a\":1}");
    CHECK_STR(j.raw_sha256, "00ff");
    CHECK_INT(j.raw_size, 1234);
    CHECK_OK(store_raw_path(s, j.num, &path, ERR));
    CHECK_STR(path, "ab/x.1.zst");
    job_done(&j);
}

static void the_same_end_twice_changes_nothing(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct job j;
    int64_t last;

    CHECK_INT(finish(s, &l, &completed, 0), JOB_COMPLETED);
    CHECK_OK(store_commit(s, ERR));
    last = store_event_last(s);
    CHECK_INT(finish(s, &l, &failed, 0), JOB_COMPLETED);
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(store_event_last(s), last);
    j = get(s, &id);
    CHECK_INT(j.rev, 3);
    CHECK_INT(j.state, JOB_COMPLETED);
    job_done(&j);
}

static void a_run_cannot_end_in_a_state_that_is_no_end(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    enum job_state st;

    CHECK_ERR(store_task_finish(s, &l, &(struct outcome){.state = JOB_QUEUED}, 0, &st, ERR),
              ERR_INVALID);
    CHECK_ERR(store_task_finish(s, &l, &(struct outcome){.state = JOB_STATES}, 0, &st, ERR),
              ERR_INVALID);
    CHECK_INT(state_of(s, &id), JOB_RUNNING);
}

static void a_failure_is_retried_while_attempts_are_left(struct store *s)
{
    struct id id = add_with(s, 4, 2);
    struct lease l = claim(s);
    struct lease second;
    struct job j;
    int64_t next = -1;

    add_host(s, &l, "up", 2);
    CHECK_INT(finish(s, &l, &failed, 50000), JOB_SCHEDULED);
    CHECK_INT(finish(s, &l, &failed, 60000), JOB_SCHEDULED);
    j = get(s, &id);
    CHECK_INT(j.run_at_us, 50000);
    CHECK_INT(j.hosts, 0);
    CHECK_INT(j.completed_us, 0);
    job_done(&j);
    CHECK_INT(hosts_of(s, &id), 0);
    CHECK_OK(store_task_due(s, 49999, &next, ERR));
    CHECK_INT(next, 50000);
    CHECK_INT(state_of(s, &id), JOB_SCHEDULED);
    CHECK_OK(store_task_due(s, 50000, &next, ERR));
    CHECK_INT(next, 0);
    CHECK_INT(state_of(s, &id), JOB_QUEUED);
    second = claim(s);
    CHECK_INT(second.epoch, 2);
    CHECK(second.token != l.token);
    CHECK_INT(finish(s, &second, &failed, 70000), JOB_FAILED);
    j = get(s, &id);
    CHECK_INT(j.attempts, 2);
    CHECK_STR(j.error, "nmap said no");
    CHECK_STR(j.stderr_tail, "no\n");
    job_done(&j);
}

static void a_cancelled_run_is_not_retried(struct store *s)
{
    struct id id = add_with(s, 4, 5);
    struct lease l = claim(s);
    enum job_state st;

    CHECK_OK(store_job_cancel(s, &id, &st, ERR));
    CHECK_INT(finish(s, &l, &failed, 5000), JOB_FAILED);
}

static void our_own_failures_have_a_budget_of_their_own(struct store *s)
{
    const struct outcome ours = {
        .state = JOB_FAILED, .reason = REASON_SANDBOX, .retryable = true, .exit_status = -1};
    struct lease l;

    add_with(s, 4, 1); /* no retry for the tool's failures */
    for (int i = 1; i < TASK_MAX_LOST; i++) {
        l = claim(s);
        CHECK_INT(finish(s, &l, &ours, 1), JOB_SCHEDULED);
        CHECK_OK(store_task_due(s, INT64_MAX, &(int64_t){0}, ERR));
    }
    l = claim(s);
    CHECK_INT(finish(s, &l, &ours, 1), JOB_FAILED);
}

static void a_time_out_is_not_retried(struct store *s)
{
    struct lease l;

    add_with(s, 4, 5);
    l = claim(s);
    CHECK_INT(finish(s, &l,
                     &(struct outcome){
                         .state = JOB_TIMED_OUT, .reason = REASON_TIMEOUT, .retryable = true},
                     5000),
              JOB_TIMED_OUT);
}

static void a_job_that_ended_stays_as_it_is(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    enum job_state st = JOB_WAITING;

    finish(s, &l, &completed, 0);
    CHECK_ERR(store_job_cancel(s, &id, &st, ERR), ERR_CONFLICT);
    CHECK_INT(st, JOB_WAITING);
    CHECK_ERR(store_task_renew(s, &l, NULL, ERR), ERR_FENCED);
    CHECK_ERR(store_task_release(s, &l, ERR), ERR_FENCED);
    CHECK_ERR(store_task_lost(s, &l, 0, &st, ERR), ERR_FENCED);
    CHECK_INT(state_of(s, &id), JOB_COMPLETED);
}

static void waiting_jobs_are_cancelled_at_once(struct store *s)
{
    struct id queued = add(s);
    struct job j = new_job();
    struct task t;
    enum job_state st;
    bool got = true;

    j.run_at_us = 5000;
    CHECK_OK(store_job_add(s, &j, ERR));
    CHECK_INT(j.state, JOB_SCHEDULED);
    CHECK_OK(store_job_cancel(s, &queued, &st, ERR));
    CHECK_INT(st, JOB_CANCELLED);
    CHECK_OK(store_job_cancel(s, &j.id, &st, ERR));
    CHECK_INT(st, JOB_CANCELLED);
    job_done(&j);
    CHECK_OK(store_task_claim(s, WORKER, NULL, NULL, &t, &j, &got, ERR));
    CHECK(!got);
    CHECK_OK(store_task_due(s, 10000, NULL, ERR));
    CHECK(!store_task_ready(s, NULL));
}

static void a_second_cancel_of_a_running_job_changes_nothing(struct store *s)
{
    struct id id = add(s);
    struct job j;
    enum job_state st;

    claim(s);
    CHECK_OK(store_job_cancel(s, &id, &st, ERR));
    CHECK_OK(store_job_cancel(s, &id, &st, ERR));
    CHECK_INT(st, JOB_RUNNING);
    j = get(s, &id);
    CHECK(j.cancel_requested);
    CHECK_INT(j.rev, 3);
    job_done(&j);
}

static void lost_workers_are_counted_and_at_last_fail_the_job(struct store *s)
{
    struct id id = add(s);
    enum job_state st = JOB_STATES;
    struct job j;

    for (int i = 1; i <= TASK_MAX_LOST; i++) {
        struct lease l = claim(s);

        CHECK_INT(l.epoch, i);
        CHECK_INT(hosts_of(s, &id), 0);
        add_host(s, &l, "up", 1);
        CHECK_OK(store_task_lost(s, &l, 0, &st, ERR));
        CHECK_INT(st, i < TASK_MAX_LOST ? JOB_QUEUED : JOB_FAILED);
    }
    j = get(s, &id);
    CHECK_INT(j.reason, REASON_WORKER_LOST);
    CHECK_INT(j.lost, TASK_MAX_LOST);
    CHECK(j.partial);
    CHECK_INT(j.hosts, 1);
    CHECK(j.error != NULL);
    job_done(&j);
    CHECK_INT(hosts_of(s, &id), 1);
}

static void a_released_task_is_as_if_never_claimed(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct job j;

    CHECK_OK(store_task_release(s, &l, ERR));
    j = get(s, &id);
    CHECK_INT(j.state, JOB_QUEUED);
    CHECK_INT(j.attempts, 0);
    CHECK_INT(j.lost, 0);
    CHECK_INT(j.started_us, 0);
    job_done(&j);
    CHECK_ERR(store_task_finish(s, &l, &completed, 0, NULL, ERR), ERR_FENCED);
    CHECK_INT(claim(s).epoch, 2);
}

static int note_task(void *arg, const struct task *t, struct err *e)
{
    struct task *out = arg;

    (void)e;
    out[out[0].job_num ? 1 : 0] = *t;
    return 0;
}

static void running_tasks_are_listed_with_their_leases(struct store *s)
{
    struct task t[2] = {0};
    struct lease l;

    add(s);
    add(s);
    l = claim(s);
    CHECK_OK(store_task_renew(s, &l, NULL, ERR));
    CHECK_OK(store_task_running(s, note_task, t, ERR));
    CHECK_INT(t[0].job_num, 1);
    CHECK_INT(t[0].beat, 1);
    CHECK_INT(t[0].epoch, l.epoch);
    CHECK(t[0].token == l.token);
    CHECK(id_cmp(&t[0].job_id, &l.job_id) == 0);
    CHECK_INT(t[1].job_num, 0);
}

static void a_job_that_queues_for_too_long_fails(struct store *s)
{
    struct job j = new_job();
    struct job got;
    struct lease l;
    int64_t next = -1;

    j.queue_timeout_s = 1;
    CHECK_OK(store_job_add(s, &j, ERR));
    add(s); /* without a limit */
    CHECK_OK(store_queue_expire(s, 1000999, &next, ERR));
    CHECK_INT(next, 1001000);
    l = claim(s);
    CHECK_OK(store_queue_expire(s, 1002000, &next, ERR));
    CHECK_INT(next, 0);
    clock_us = 2000000;
    CHECK_OK(store_task_release(s, &l, ERR));
    CHECK_OK(store_queue_expire(s, 2999999, &next, ERR));
    CHECK_INT(next, 3000000);
    CHECK_OK(store_queue_expire(s, 3000000, &next, ERR));
    CHECK_INT(next, 0);
    got = get(s, &j.id);
    CHECK_INT(got.state, JOB_FAILED);
    CHECK_INT(got.reason, REASON_QUEUE_TIMEOUT);
    job_done(&got);
    job_done(&j);
}

/* ---- results ---- */

static int text_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct buf *b = arg;

    (void)e;
    buf_addf(b, "H%lld %s %s ttl=%d %lld-%lld%s", (long long)seq, h->state, h->reason,
             h->reason_ttl, (long long)h->start_s, (long long)h->end_s, h->timed_out ? " out" : "");
    for (size_t i = 0; i < h->n_addrs; i++) {
        buf_addf(b, " a=%s/%s/%s", h->addrs[i].addr, h->addrs[i].type,
                 h->addrs[i].vendor ? h->addrs[i].vendor : "-");
    }
    for (size_t i = 0; i < h->n_names; i++) {
        buf_addf(b, " n=%s/%s", h->names[i].name, h->names[i].type ? h->names[i].type : "-");
    }
    buf_addf(b, " %s %s %s %s %s;", h->comment ? h->comment : "-",
             h->extraports ? h->extraports : "-", h->os ? h->os : "-",
             h->scripts ? h->scripts : "-", h->more ? h->more : "-");
    return 0;
}

static int text_port(void *arg, const struct port *p, struct err *e)
{
    const char *const s[] = {p->protocol, p->state,    p->reason,  p->reason_ip,  p->owner,
                             p->service,  p->product,  p->version, p->extrainfo,  p->tunnel,
                             p->method,   p->hostname, p->ostype,  p->devicetype, p->cpe,
                             p->scripts,  p->more};
    struct buf *b = arg;

    (void)e;
    buf_addf(b, "P%u %d %d %d", p->number, p->reason_ttl, p->conf, p->has_service);
    for (size_t i = 0; i < ARRAY_LEN(s); i++) {
        buf_addf(b, " %s", s[i] ? s[i] : "-");
    }
    buf_addc(b, ';');
    return 0;
}

static int text_end(void *arg, struct err *e)
{
    (void)e;
    buf_addc(arg, '.');
    return 0;
}

static void hosts_are_read_back_as_they_came(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct host_addr addrs[] = {{"192.0.2.7", "ipv4", NULL}, {"00:00:5E:00:53:01", "mac", "ACME"}};
    struct host_name names[] = {{"a.example", "user"}, {"", NULL}};
    struct host h = {.addrs = addrs,
                     .n_addrs = 2,
                     .names = names,
                     .n_names = 2,
                     .state = "up",
                     .reason = "syn-ack",
                     .reason_ttl = 64,
                     .start_s = 5,
                     .end_s = 9,
                     .timed_out = true,
                     .comment = "c",
                     .extraports = "[1]",
                     .os = "{}",
                     .scripts = "[2]",
                     .more = "{\"m\":1}"};
    struct port full = {65535, "udp",   "open",   "r",   "192.0.2.9",    -1,     "own",
                        true,  "svc",   "prod",   "1.0", "extra",        "ssl",  "probed",
                        "hn",  "Linux", "router", 10,    "[\"cpe:/a\"]", "[{}]", "{\"fp\":1}"};
    struct port bare = {.protocol = "tcp", .state = "closed", .reason_ttl = 1, .conf = -1};
    struct host empty = {.state = "down", .reason = "no-response", .reason_ttl = -1};
    auto_buf got = {0};
    struct host_sink sink = {text_host, text_port, text_end, &got};
    int64_t seq = 0;

    CHECK_OK(store_host_begin(s, &l, &h, &seq, ERR));
    CHECK_INT(seq, 1);
    CHECK_OK(store_host_port(s, &full, ERR));
    CHECK_OK(store_host_port(s, &bare, ERR));
    CHECK_OK(store_host_end(s, ERR));
    CHECK_OK(store_host_begin(s, &l, &empty, &seq, ERR));
    CHECK_INT(seq, 2);
    CHECK_OK(store_host_end(s, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_hosts(s, num_of(s, &id), &(struct host_filter){0}, &sink, ERR));
    CHECK_STR(got.data,
              "H1 up syn-ack ttl=64 5-9 out a=192.0.2.7/ipv4/- a=00:00:5E:00:53:01/mac/ACME"
              " n=a.example/user n=/- c [1] {} [2] {\"m\":1};"
              "P65535 -1 10 1 udp open r 192.0.2.9 own svc prod 1.0 extra ssl probed hn Linux"
              " router [\"cpe:/a\"] [{}] {\"fp\":1};"
              "P0 1 -1 0 tcp closed - - - - - - - - - - - - - - -;."
              "H2 down no-response ttl=-1 0-0 - - - - -;.");
}

static void hosts_are_filtered_and_paged(struct store *s)
{
    static const struct {
        struct host_filter f;
        const char *want;
    } rows[] = {
        {{0}, "1 2 3 4 "},
        {{.limit = 2}, "1 2 "},
        {{.after = 2}, "3 4 "},
        {{.after = 4}, ""},
        {{.state = "down"}, "2 "},
        {{.open_only = true}, "1 4 "},
        {{.open_only = true, .after = 1}, "4 "},
    };
    struct id id = add(s);
    struct lease l = claim(s);

    add_host(s, &l, "up", 1);
    add_host(s, &l, "down", 0);
    add_host(s, &l, "up", 0);
    add_host(s, &l, "up", 3);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf got = {0};
        auto_buf nums = {0};
        struct host_sink sink = {.host = text_host, .arg = &got};

        CHECK_OK(store_hosts(s, num_of(s, &id), &rows[i].f, &sink, ERR));
        for (const char *p = got.data; p && (p = strchr(p, 'H')); p++) {
            buf_addf(&nums, "%c ", p[1]);
        }
        CHECK_STR(nums.data ? nums.data : "", rows[i].want);
    }
}

static void counts_of_results_are_told_once_per_commit(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct job j;
    int64_t last;

    CHECK_OK(store_commit(s, ERR));
    last = store_event_last(s);
    add_host(s, &l, "up", 2);
    add_host(s, &l, "down", 0);
    j = get(s, &id);
    CHECK_INT(j.hosts, 2);
    CHECK_INT(j.hosts_up, 1);
    CHECK_INT(j.ports_open, 2);
    job_done(&j);
    CHECK_INT(events_after(s, last).n, 0);
    CHECK_OK(store_commit(s, ERR));
    CHECK_STR(events_after(s, last).text, "job.hosts");
    CHECK_OK(store_task_renew(s, &l, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(events_after(s, last).n, 1); /* no new hosts, no new event */
    add_host(s, &l, "up", 1);
    finish(s, &l, &completed, 0);
    CHECK_OK(store_commit(s, ERR));
    CHECK_STR(events_after(s, last).text, "job.hosts job.hosts job.state");
    j = get(s, &id);
    CHECK_INT(j.hosts, 3);
    CHECK_INT(j.ports_open, 3);
    job_done(&j);
}

static void an_unfinished_host_is_never_shown(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct host h = {.state = "up", .reason_ttl = -1};
    struct port p = {.number = 1, .protocol = "tcp", .state = "open"};
    struct job j;
    int64_t seq;

    add_host(s, &l, "up", 1);
    CHECK_OK(store_host_begin(s, &l, &h, &seq, ERR));
    CHECK_OK(store_host_port(s, &p, ERR));
    CHECK_INT(hosts_of(s, &id), 1);
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(hosts_of(s, &id), 1);
    CHECK_OK(store_host_abort(s, ERR));
    CHECK_ERR(store_host_port(s, &p, ERR), ERR_CONFLICT);
    CHECK_ERR(store_host_end(s, ERR), ERR_CONFLICT);
    CHECK_OK(store_host_begin(s, &l, &h, &seq, ERR));
    CHECK_INT(seq, 2);
    CHECK_OK(store_host_port(s, &p, ERR));
    CHECK_OK(store_host_begin(s, &l, &h, &seq, ERR)); /* undoes the one before */
    CHECK_INT(seq, 2);
    finish(s, &l, &completed, 0);
    CHECK_OK(store_commit(s, ERR));
    j = get(s, &id);
    CHECK_INT(j.hosts, 1);
    CHECK_INT(j.ports_open, 1);
    job_done(&j);
    CHECK_INT(hosts_of(s, &id), 1);
}

static void runs_that_alternate_keep_their_hosts_apart(struct store *s)
{
    struct id a = add(s);
    struct id b = add(s);
    struct lease la = claim(s);
    struct lease lb = claim(s);
    struct host h = {.state = "up", .reason_ttl = -1};
    struct port p = {.protocol = "tcp", .state = "open", .reason_ttl = -1, .conf = -1};
    auto_buf got = {0};
    struct host_sink sink = {.host = text_host, .port = text_port, .arg = &got};
    int64_t seq;

    CHECK_OK(store_host_begin(s, &la, &h, &seq, ERR));
    p.number = 1;
    CHECK_OK(store_host_port(s, &p, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_host_begin(s, &lb, &h, &seq, ERR));
    p.number = 2;
    CHECK_OK(store_host_port(s, &p, ERR));
    CHECK_OK(store_host_select(s, &la, ERR));
    p.number = 3;
    CHECK_OK(store_host_port(s, &p, ERR));
    CHECK_OK(store_host_end(s, ERR));
    CHECK_OK(store_host_select(s, &lb, ERR));
    CHECK_OK(store_host_end(s, ERR));
    CHECK_ERR(store_host_select(s, &la, ERR), ERR_CONFLICT);
    CHECK_OK(store_hosts(s, num_of(s, &a), &(struct host_filter){0}, &sink, ERR));
    CHECK_OK(store_hosts(s, num_of(s, &b), &(struct host_filter){0}, &sink, ERR));
    CHECK_STR(got.data, "H1 up (null) ttl=-1 0-0 - - - - -;"
                        "P1 -1 -1 0 tcp open - - - - - - - - - - - - - - -;"
                        "P3 -1 -1 0 tcp open - - - - - - - - - - - - - - -;"
                        "H1 up (null) ttl=-1 0-0 - - - - -;"
                        "P2 -1 -1 0 tcp open - - - - - - - - - - - - - - -;");
}

static void reparse_replaces_the_hosts_of_a_job_that_ended(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct lease again;
    struct job j;

    CHECK_ERR(store_reparse_begin(s, &id, &again, ERR), ERR_CONFLICT);
    add_host(s, &l, "up", 1);
    finish(s, &l, &completed, 0);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_reparse_begin(s, &id, &again, ERR));
    CHECK(again.token != l.token);
    add_host(s, &again, "up", 4);
    add_host(s, &again, "down", 0);
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(hosts_of(s, &id), 1); /* what is under way does not show */
    j = get(s, &id);
    CHECK_INT(j.hosts, 1);
    CHECK_INT(j.ports_open, 1);
    job_done(&j);
    CHECK_OK(store_reparse_end(s, &again, true, "{\"again\":1}", ERR));
    CHECK_ERR(store_reparse_end(s, &again, true, NULL, ERR), ERR_FENCED);
    CHECK_OK(store_commit(s, ERR));
    j = get(s, &id);
    CHECK_INT(j.state, JOB_COMPLETED);
    CHECK_INT(j.hosts, 2);
    CHECK_INT(j.ports_open, 4);
    CHECK(j.partial);
    CHECK_STR(j.run_json, "{\"again\":1}");
    job_done(&j);
    CHECK_INT(hosts_of(s, &id), 2);
}

/* ---- deleting ---- */

/* All steps to the end; the raw paths are noted. */
static int purge(struct store *s, uint32_t rows, struct buf *paths)
{
    bool more = true;
    int steps = 0;

    while (more) {
        char *path = NULL;
        int64_t id = 0;

        CHECK_OK(store_purge_step(s, rows, &more, &path, &id, ERR));
        if (path) {
            buf_addf(paths, "%s ", path);
            CHECK_OK(store_purge_done(s, id, ERR));
        }
        free(path);
        steps++;
    }
    return steps;
}

static void only_one_reparse_of_a_job_is_under_way(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct lease first;
    struct lease second;

    add_host(s, &l, "up", 1);
    finish(s, &l, &completed, 0);
    CHECK_OK(store_reparse_begin(s, &id, &first, ERR));
    add_host(s, &first, "up", 1);
    CHECK_ERR(store_reparse_begin(s, &id, &second, ERR), ERR_CONFLICT);
    CHECK_OK(store_reparse_end(s, &first, false, NULL, ERR));
    CHECK_OK(store_reparse_begin(s, &id, &second, ERR));
    CHECK_ERR(store_reparse_end(s, &first, false, NULL, ERR), ERR_FENCED);
    CHECK_OK(store_reparse_end(s, &second, false, NULL, ERR));
    CHECK_INT(hosts_of(s, &id), 0);
}

static void a_reparse_that_does_not_end_changes_nothing(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct lease again;
    auto_buf paths = {0};
    struct job j;

    add_host(s, &l, "up", 2);
    finish(s, &l, &completed, 0);
    CHECK_OK(store_reparse_begin(s, &id, &again, ERR));
    add_host(s, &again, "up", 4);
    add_host(s, &again, "up", 4);
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(purge(s, 3, &paths), 1); /* what comes in stays */
    CHECK_OK(store_reparse_abandon(s, &again, ERR));
    CHECK_ERR(store_reparse_abandon(s, &again, ERR), ERR_FENCED);
    CHECK_OK(store_commit(s, ERR));
    j = get(s, &id);
    CHECK_INT(j.hosts, 1);
    CHECK_INT(j.ports_open, 2);
    CHECK(!j.partial);
    job_done(&j);
    CHECK_INT(hosts_of(s, &id), 1);
    CHECK_INT(purge(s, 3, &paths), 4); /* two hosts and eight ports, three at a time */
}

static void a_deleted_job_is_gone_at_once_and_its_rows_in_steps(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct job j = {0};
    auto_buf paths = {0};

    CHECK_ERR(store_job_delete(s, &id, ERR), ERR_CONFLICT);
    add_host(s, &l, "up", 8);
    add_host(s, &l, "up", 0);
    finish(s, &l, &(struct outcome){.state = JOB_COMPLETED, .raw_path = "ab/raw"}, 0);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_job_delete(s, &id, ERR));
    CHECK_ERR(store_job_get(s, &id, &j, ERR), ERR_NOT_FOUND);
    CHECK_ERR(store_job_delete(s, &id, ERR), ERR_NOT_FOUND);
    check_list(s, &(struct job_filter){0}, "");
    CHECK_OK(store_commit(s, ERR));
    CHECK_STR(events_after(s, 3).text, "job.state job.deleted");
    CHECK_INT(purge(s, 4, &paths), 3); /* ten rows */
    CHECK_STR(paths.data, "ab/raw ");
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(purge(s, 4, &paths), 1);
    CHECK(!store_dirty(s));
    add(s);
    check_list(s, &(struct job_filter){0}, "2");
}

static void a_failed_try_leaves_its_raw_file_to_the_purge(struct store *s)
{
    struct lease l;
    struct outcome o = failed;
    auto_buf paths = {0};

    add_with(s, 4, 2);
    l = claim(s);
    o.raw_path = "cd/first";
    CHECK_INT(finish(s, &l, &o, 10), JOB_SCHEDULED);
    purge(s, 100, &paths);
    CHECK_STR(paths.data, "cd/first ");
}

static void finished_jobs_are_deleted_together_and_others_stay(struct store *s)
{
    struct id done;
    struct id running;
    struct lease l;
    int64_t n = -1;

    done = add(s);
    l = claim(s);
    finish(s, &l, &completed, 0);
    running = add(s);
    claim(s);
    add(s);
    CHECK_OK(store_job_delete_finished(s, &n, ERR));
    CHECK_INT(n, 1);
    CHECK_OK(store_job_delete_finished(s, &n, ERR));
    CHECK_INT(n, 0);
    CHECK_ERR(store_job_get(s, &done, &(struct job){0}, ERR), ERR_NOT_FOUND);
    CHECK_INT(state_of(s, &running), JOB_RUNNING);
    check_list(s, &(struct job_filter){0}, "3 2");
}

static void jobs_expire_by_the_time_they_ended(struct store *s)
{
    enum job_state st;
    int64_t n = -1;

    for (int i = 0; i < 5; i++) {
        struct id id = add(s);

        clock_us = 10000 - i * 100; /* ends go backwards */
        CHECK_OK(store_job_cancel(s, &id, &st, ERR));
    }
    add(s);
    CHECK_OK(store_job_expire(s, 9800, 10, &n, ERR));
    CHECK_INT(n, 2);
    check_list(s, &(struct job_filter){0}, "6 3 2 1");
    CHECK_OK(store_job_expire(s, 20000, 1, &n, ERR));
    CHECK_INT(n, 1);
    check_list(s, &(struct job_filter){0}, "6 2 1");
}

/* ---- turns ---- */

static void a_rollback_undoes_everything_since_the_commit(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct host h = {.state = "up", .reason_ttl = -1};
    struct job j;
    int64_t c[JOB_STATES];
    int64_t seq;
    bool found;
    uint8_t print[32] = {1};

    add_host(s, &l, "up", 1);
    CHECK_OK(store_commit(s, ERR));
    CHECK(!store_dirty(s));
    add_host(s, &l, "up", 1);
    CHECK_OK(store_host_begin(s, &l, &h, &seq, ERR));
    add(s);
    CHECK_OK(store_idem_put(s, "k", "i", print, &id, 1, ERR));
    CHECK(store_dirty(s));
    store_rollback(s);
    CHECK(!store_dirty(s));
    store_job_counts(s, c);
    CHECK_INT(c[JOB_QUEUED], 0);
    CHECK_INT(c[JOB_RUNNING], 1);
    j = get(s, &id);
    CHECK_INT(j.hosts, 1);
    job_done(&j);
    CHECK_INT(hosts_of(s, &id), 1);
    CHECK_OK(store_idem_get(s, "k", "i", print, &(struct id){0}, &found, ERR));
    CHECK(!found);
    CHECK_ERR(store_host_end(s, ERR), ERR_CONFLICT);
    add_host(s, &l, "up", 1);
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(hosts_of(s, &id), 2);
    add(s);
    check_list(s, &(struct job_filter){0}, "2 1");
}

static void events_are_told_only_after_the_commit(struct store *s)
{
    int64_t n = -1;

    CHECK_INT(store_event_last(s), 0);
    CHECK_INT(store_event_first(s), 0);
    add(s);
    CHECK_INT(events_after(s, 0).n, 0);
    CHECK_INT(store_event_last(s), 0);
    CHECK_INT(store_event_first(s), 0);
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(store_event_last(s), 1);
    CHECK_INT(store_event_first(s), 1);
    CHECK_INT(events_after(s, 0).n, 1);
    clock_us = 3000;
    add(s);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_event_expire(s, 3000, 100, &n, ERR));
    CHECK_INT(n, 1);
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(store_event_first(s), 2);
    CHECK_INT(store_event_last(s), 2);
    CHECK_OK(store_event_expire(s, 9000, 100, &n, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(store_event_first(s), 0);
    CHECK_INT(store_event_last(s), 2);
}

static int keep_data(void *arg, const struct event *ev, struct err *e)
{
    (void)e;
    snprintf(arg, 256, "%s", ev->data);
    return 0;
}

static void event_data_is_json_with_state_and_rev(struct store *s)
{
    char data[256];
    struct lease l;

    add(s);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_events(s, 0, 1, keep_data, data, ERR));
    CHECK_STR(data, "{\"state\":\"queued\",\"rev\":1,\"tool\":\"nmap\"}");
    l = claim(s);
    CHECK_OK(store_task_progress(s, &l, &(struct progress){"a\"b", 1250, -1}, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_events(s, 2, 1, keep_data, data, ERR));
    CHECK_STR(data, "{\"state\":\"running\",\"rev\":3,\"task\":\"a\\\"b\",\"percent\":12.50,"
                    "\"remaining_s\":null}");
}

/* ---- remembered requests, keys ---- */

static void a_request_is_remembered_until_it_expires(struct store *s)
{
    uint8_t print[32] = {1, 2, 3};
    uint8_t got[32] = {0};
    struct id job = id_new();
    struct id out = {0};
    bool found = true;

    CHECK_OK(store_idem_get(s, "k", "i", got, &out, &found, ERR));
    CHECK(!found);
    CHECK_OK(store_idem_put(s, "k", "i", print, &job, 100, ERR));
    CHECK_ERR(store_idem_put(s, "k", "i", print, &job, 100, ERR), ERR_CONFLICT);
    CHECK_OK(store_idem_put(s, "other", "i", print, &job, 200, ERR));
    CHECK_OK(store_idem_get(s, "k", "i", got, &out, &found, ERR));
    CHECK(found);
    CHECK(memcmp(got, print, 32) == 0);
    CHECK(id_cmp(&out, &job) == 0);
    CHECK_OK(store_idem_expire(s, 101, ERR));
    CHECK_OK(store_idem_get(s, "k", "i", got, &out, &found, ERR));
    CHECK(!found);
    CHECK_OK(store_idem_get(s, "other", "i", got, &out, &found, ERR));
    CHECK(found);
}

static int note_key(void *arg, const struct key *k, struct err *e)
{
    (void)e;
    buf_addf(arg, "%s:%s:%lld:%lld ", k->id, k->name, (long long)k->revoked_us,
             (long long)k->last_used_us);
    return 0;
}

static void keys_are_added_listed_and_revoked(struct store *s)
{
    struct key a = {.id = "aaaaaaaaaaaaaaaa", .name = "ci", .hash = {7}, .created_us = 1};
    struct key b = {.id = "bbbbbbbbbbbbbbbb", .name = "ci", .created_us = 2};
    auto_buf got = {0};

    CHECK_OK(store_key_add(s, &a, ERR));
    CHECK_ERR(store_key_add(s, &b, ERR), ERR_CONFLICT);
    CHECK_ERR(store_key_revoke(s, "nobody", 9, ERR), ERR_NOT_FOUND);
    CHECK_OK(store_key_revoke(s, "ci", 10, ERR));
    CHECK_OK(store_key_revoke(s, "ci", 11, ERR));
    CHECK_OK(store_key_add(s, &b, ERR));
    CHECK_ERR(store_key_add(s, &b, ERR), ERR_CONFLICT);
    CHECK_OK(store_key_used(s, b.id, 30, ERR));
    CHECK_ERR(store_key_used(s, "zz", 30, ERR), ERR_NOT_FOUND);
    CHECK_OK(store_keys(s, note_key, &got, ERR));
    CHECK_STR(got.data, "aaaaaaaaaaaaaaaa:ci:10:0 bbbbbbbbbbbbbbbb:ci:0:30 ");
    CHECK_OK(store_key_revoke(s, "bbbbbbbbbbbbbbbb", 40, ERR));
    buf_reset(&got);
    CHECK_OK(store_keys(s, note_key, &got, ERR));
    CHECK_STR(got.data, "aaaaaaaaaaaaaaaa:ci:10:0 bbbbbbbbbbbbbbbb:ci:40:30 ");
}

BOTH(a_new_job_is_read_back_as_it_was_sent)
BOTH(an_unknown_job_is_not_found)
BOTH(a_job_id_is_stored_once)
BOTH(a_job_without_targets_or_with_a_wild_priority_is_refused)
BOTH(a_full_store_refuses_with_what_to_do)
BOTH(too_many_waiting_jobs_are_refused_until_one_runs)
BOTH(counts_follow_every_change)
BOTH(lists_are_filtered_ordered_and_paged)
BOTH(lists_by_time_miss_no_job)
BOTH(a_list_stops_when_its_reader_says_so)
BOTH(the_highest_priority_is_claimed_first_then_the_oldest)
BOTH(a_claim_starts_the_job_under_a_new_lease)
BOTH(reports_under_an_old_lease_are_fenced)
BOTH(renewals_count_and_tell_of_a_cancel)
BOTH(progress_is_kept_and_told)
BOTH(an_end_keeps_everything_the_worker_said)
BOTH(the_same_end_twice_changes_nothing)
BOTH(a_run_cannot_end_in_a_state_that_is_no_end)
BOTH(a_failure_is_retried_while_attempts_are_left)
BOTH(a_cancelled_run_is_not_retried)
BOTH(our_own_failures_have_a_budget_of_their_own)
BOTH(a_time_out_is_not_retried)
BOTH(a_job_that_ended_stays_as_it_is)
BOTH(waiting_jobs_are_cancelled_at_once)
BOTH(a_second_cancel_of_a_running_job_changes_nothing)
BOTH(lost_workers_are_counted_and_at_last_fail_the_job)
BOTH(a_released_task_is_as_if_never_claimed)
BOTH(running_tasks_are_listed_with_their_leases)
BOTH(a_job_that_queues_for_too_long_fails)
BOTH(hosts_are_read_back_as_they_came)
BOTH(hosts_are_filtered_and_paged)
BOTH(counts_of_results_are_told_once_per_commit)
BOTH(an_unfinished_host_is_never_shown)
BOTH(runs_that_alternate_keep_their_hosts_apart)
BOTH(reparse_replaces_the_hosts_of_a_job_that_ended)
BOTH(only_one_reparse_of_a_job_is_under_way)
BOTH(a_reparse_that_does_not_end_changes_nothing)
BOTH(a_deleted_job_is_gone_at_once_and_its_rows_in_steps)
BOTH(a_failed_try_leaves_its_raw_file_to_the_purge)
BOTH(finished_jobs_are_deleted_together_and_others_stay)
BOTH(jobs_expire_by_the_time_they_ended)
BOTH(a_rollback_undoes_everything_since_the_commit)
BOTH(events_are_told_only_after_the_commit)
BOTH(event_data_is_json_with_state_and_rev)
BOTH(a_request_is_remembered_until_it_expires)
BOTH(keys_are_added_listed_and_revoked)

TESTS(OF_BOTH(a_new_job_is_read_back_as_it_was_sent), OF_BOTH(an_unknown_job_is_not_found),
      OF_BOTH(a_job_id_is_stored_once),
      OF_BOTH(a_job_without_targets_or_with_a_wild_priority_is_refused),
      OF_BOTH(a_full_store_refuses_with_what_to_do),
      OF_BOTH(too_many_waiting_jobs_are_refused_until_one_runs),
      OF_BOTH(counts_follow_every_change), OF_BOTH(lists_are_filtered_ordered_and_paged),
      OF_BOTH(lists_by_time_miss_no_job), OF_BOTH(a_list_stops_when_its_reader_says_so),
      OF_BOTH(the_highest_priority_is_claimed_first_then_the_oldest),
      OF_BOTH(a_claim_starts_the_job_under_a_new_lease),
      OF_BOTH(reports_under_an_old_lease_are_fenced), OF_BOTH(renewals_count_and_tell_of_a_cancel),
      OF_BOTH(progress_is_kept_and_told), OF_BOTH(an_end_keeps_everything_the_worker_said),
      OF_BOTH(the_same_end_twice_changes_nothing),
      OF_BOTH(a_run_cannot_end_in_a_state_that_is_no_end),
      OF_BOTH(a_failure_is_retried_while_attempts_are_left),
      OF_BOTH(a_cancelled_run_is_not_retried), OF_BOTH(our_own_failures_have_a_budget_of_their_own),
      OF_BOTH(a_time_out_is_not_retried), OF_BOTH(a_job_that_ended_stays_as_it_is),
      OF_BOTH(waiting_jobs_are_cancelled_at_once),
      OF_BOTH(a_second_cancel_of_a_running_job_changes_nothing),
      OF_BOTH(lost_workers_are_counted_and_at_last_fail_the_job),
      OF_BOTH(a_released_task_is_as_if_never_claimed),
      OF_BOTH(running_tasks_are_listed_with_their_leases),
      OF_BOTH(a_job_that_queues_for_too_long_fails), OF_BOTH(hosts_are_read_back_as_they_came),
      OF_BOTH(hosts_are_filtered_and_paged), OF_BOTH(counts_of_results_are_told_once_per_commit),
      OF_BOTH(an_unfinished_host_is_never_shown),
      OF_BOTH(runs_that_alternate_keep_their_hosts_apart),
      OF_BOTH(reparse_replaces_the_hosts_of_a_job_that_ended),
      OF_BOTH(only_one_reparse_of_a_job_is_under_way),
      OF_BOTH(a_reparse_that_does_not_end_changes_nothing),
      OF_BOTH(a_deleted_job_is_gone_at_once_and_its_rows_in_steps),
      OF_BOTH(a_failed_try_leaves_its_raw_file_to_the_purge),
      OF_BOTH(finished_jobs_are_deleted_together_and_others_stay),
      OF_BOTH(jobs_expire_by_the_time_they_ended),
      OF_BOTH(a_rollback_undoes_everything_since_the_commit),
      OF_BOTH(events_are_told_only_after_the_commit),
      OF_BOTH(event_data_is_json_with_state_and_rev),
      OF_BOTH(a_request_is_remembered_until_it_expires), OF_BOTH(keys_are_added_listed_and_revoked))
