/* Keys, their quotas, claims that pass over some of them, and jobs that wait; on each backend. */
#include "store_rig.h"

enum { HOUR_S = 3600 };
static const int64_t hour_us = INT64_C(3600) * 1000000;
static const int64_t day_us = INT64_C(86400) * 1000000;

static struct id add_for(struct store *s, const char *key, int priority)
{
    struct job j = new_job();
    struct id id = j.id;

    free(j.key_id);
    j.key_id = xstrdup(key);
    j.priority = priority;
    CHECK_OK(store_job_add(s, &j, ERR));
    job_done(&j);
    return id;
}

/* ---- scopes ---- */

static void scopes_are_read_and_written_by_name(void)
{
    auto_buf text = {0};
    unsigned bits = 0;

    CHECK_OK(key_scopes_parse("read", &bits, ERR));
    CHECK_INT(bits, KEY_READ);
    CHECK_OK(key_scopes_parse("raw,cancel,read,submit:network", &bits, ERR));
    CHECK_INT(bits, KEY_RAW | KEY_CANCEL | KEY_READ | KEY_SUBMIT_NETWORK);
    key_scopes_text(bits, &text);
    CHECK_STR(text.data, "read,submit:network,cancel,raw");
    buf_reset(&text);
    key_scopes_text(KEY_ALL, &text);
    CHECK_STR(text.data, "read,submit:network,submit:repo,cancel,admin,raw,aggressive");
    CHECK_OK(key_scopes_parse(text.data, &bits, ERR));
    CHECK_INT(bits, KEY_ALL);
}

static void a_word_that_is_no_scope_is_named(void)
{
    static const char *const bad[] = {"",      ",",        "read,", ",read", "Read",
                                      "reads", "read,all", "rea",   " read", "read, cancel"};
    unsigned bits = 77;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(key_scopes_parse(bad[i], &bits, ERR), ERR_INVALID);
    }
    CHECK_ERR(key_scopes_parse("read,nonsense,raw", &bits, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "'nonsense'"));
    CHECK(strstr(tap_err.msg, "submit:repo"));
    CHECK_INT(bits, 77);
}

/* ---- keys ---- */

static int take_key(void *arg, const struct key *k, struct err *e)
{
    (void)e;
    *(struct key *)arg = *k;
    return 0;
}

static void a_key_is_read_back_as_it_was_made(struct store *s)
{
    struct key k = {.id = "aaaaaaaaaaaaaaaa",
                    .name = "ci",
                    .hash = {1, 2, 3},
                    .scopes = KEY_READ | KEY_RAW,
                    .created_us = 5,
                    .expires_us = 77,
                    .quota = {3, 40, INT64_C(5000000000)}};
    struct key got = {0};

    CHECK_OK(store_key_add(s, &k, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_key_used(s, k.id, 9, ERR));
    CHECK_OK(store_keys(s, take_key, &got, ERR));
    CHECK_INT(got.scopes, KEY_READ | KEY_RAW);
    CHECK_INT(got.expires_us, 77);
    CHECK_INT(got.last_used_us, 9);
    CHECK_INT(got.quota.waiting, 3);
    CHECK_INT(got.quota.jobs_per_day, 40);
    CHECK_INT(got.quota.addresses_per_day, INT64_C(5000000000));
    CHECK(memcmp(got.hash, k.hash, sizeof k.hash) == 0);
}

static void a_key_with_unknown_scopes_or_a_negative_quota_is_refused(struct store *s)
{
    struct key good = {.id = "aaaaaaaaaaaaaaaa", .name = "ci", .scopes = KEY_ALL};
    struct key k = good;

    k.scopes = 128;
    CHECK_ERR(store_key_add(s, &k, ERR), ERR_INVALID);
    k = good;
    k.quota.waiting = -1;
    CHECK_ERR(store_key_add(s, &k, ERR), ERR_INVALID);
    k = good;
    k.quota.addresses_per_day = -1;
    CHECK_ERR(store_key_add(s, &k, ERR), ERR_INVALID);
    k = good;
    k.expires_us = -1;
    CHECK_ERR(store_key_add(s, &k, ERR), ERR_INVALID);
    CHECK(!store_dirty(s));
    CHECK_OK(store_key_add(s, &good, ERR));
}

/* ---- quotas ---- */

static int charge(struct store *s, const struct key *k, int64_t addresses, int64_t now,
                  int32_t *retry_s)
{
    tap_err = (struct err){0};
    return store_key_charge(s, k, addresses, now, retry_s, ERR);
}

static void a_key_may_ask_for_so_many_jobs_in_24_hours(struct store *s)
{
    struct key k = {.id = "k", .name = "ci", .quota.jobs_per_day = 3};
    struct key other = {.id = "o", .name = "other"};
    int64_t t0 = 1000 * day_us + hour_us / 2;
    int32_t retry = -1;

    CHECK_OK(charge(s, &k, 1, t0, &retry));
    CHECK_OK(charge(s, &k, 1, t0 + 2 * hour_us, &retry));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(charge(s, &k, 1, t0 + 2 * hour_us, &retry));
    CHECK_ERR(charge(s, &k, 1, t0 + 3 * hour_us, &retry), ERR_BUSY);
    CHECK(strstr(tap_err.msg, "'ci'"));
    CHECK(strstr(tap_err.msg, "3 jobs in 24 hours"));
    CHECK_INT(retry, 20 * HOUR_S + HOUR_S / 2); /* when the hour of the first one leaves */
    CHECK_OK(charge(s, &other, 1, t0 + 3 * hour_us, &retry));
    CHECK_ERR(charge(s, &k, 1, t0 + 3 * hour_us + (retry - 1) * INT64_C(1000000), NULL), ERR_BUSY);
    CHECK_OK(charge(s, &k, 1, t0 + 24 * hour_us - hour_us / 2, &retry));
    CHECK_ERR(charge(s, &k, 1, t0 + 24 * hour_us, &retry), ERR_BUSY);
    CHECK_OK(charge(s, &k, 1, t0 + 26 * hour_us, &retry));
    CHECK_OK(charge(s, &k, 1, t0 + 26 * hour_us, &retry));
}

static void a_key_may_ask_for_so_many_addresses_in_24_hours(struct store *s)
{
    struct key k = {.id = "k", .name = "ci", .quota.addresses_per_day = 300};
    int64_t t0 = 1000 * day_us;
    int32_t retry = -1;

    CHECK_ERR(charge(s, &k, 301, t0, &retry), ERR_BUSY);
    CHECK_INT(retry, 0); /* never */
    CHECK(strstr(tap_err.msg, "300 addresses"));
    CHECK_OK(charge(s, &k, 200, t0, &retry));
    CHECK_OK(charge(s, &k, 50, t0 + hour_us, &retry));
    CHECK_ERR(charge(s, &k, 51, t0 + hour_us, &retry), ERR_BUSY);
    CHECK_INT(retry, 23 * HOUR_S);
    CHECK_ERR(charge(s, &k, 300, t0 + hour_us, &retry), ERR_BUSY);
    CHECK_INT(retry, 24 * HOUR_S);
    CHECK_OK(charge(s, &k, 50, t0 + hour_us, &retry));
    CHECK_OK(charge(s, &k, 0, t0 + hour_us, &retry));
    CHECK_ERR(charge(s, &k, 1, t0 + hour_us, &retry), ERR_BUSY);
}

static void addresses_beyond_counting_do_not_wrap_around(struct store *s)
{
    struct key k = {.id = "k", .name = "ci"};
    int64_t t0 = 1000 * day_us;

    CHECK_OK(charge(s, &k, INT64_MAX, t0, NULL));
    CHECK_OK(charge(s, &k, INT64_MAX, t0, NULL));
    k.quota.addresses_per_day = INT64_MAX - 1;
    CHECK_ERR(charge(s, &k, 0, t0, NULL), ERR_BUSY);
    CHECK_ERR(charge(s, &k, -1, t0, NULL), ERR_INVALID);
}

static void what_was_charged_is_given_back_with_an_undone_turn(struct store *s)
{
    struct key k = {.id = "k", .name = "ci", .quota = {.jobs_per_day = 2, .waiting = 1}};
    int64_t t0 = 1000 * day_us;

    CHECK_OK(charge(s, &k, 1, t0, NULL));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(charge(s, &k, 1, t0, NULL));
    add_for(s, "k", 4);
    CHECK_ERR(charge(s, &k, 1, t0, NULL), ERR_BUSY);
    store_rollback(s);
    CHECK_OK(charge(s, &k, 1, t0, NULL));
    CHECK_ERR(charge(s, &k, 1, t0, NULL), ERR_BUSY);
}

static void a_key_may_have_so_many_jobs_that_wait(struct store *s)
{
    struct key k = {.id = "k", .name = "ci", .quota.waiting = 2};
    struct job later = new_job();
    enum job_state st;
    struct id id;
    int32_t retry = 0;

    add_for(s, "other", 9);
    free(later.key_id);
    later.key_id = xstrdup("k");
    later.run_at_us = clock_us + 5000000;
    CHECK_OK(store_job_add(s, &later, ERR));
    job_done(&later);
    CHECK_OK(charge(s, &k, 1, clock_us, &retry));
    id = add_for(s, "k", 4);
    CHECK_ERR(charge(s, &k, 1, clock_us, &retry), ERR_BUSY);
    CHECK(strstr(tap_err.msg, "2 jobs waiting"));
    CHECK(retry > 0);
    claim(s); /* the other key's */
    CHECK_ERR(charge(s, &k, 1, clock_us, &retry), ERR_BUSY);
    claim(s);
    CHECK_OK(charge(s, &k, 1, clock_us, &retry));
    add_for(s, "k", 4);
    CHECK_ERR(charge(s, &k, 1, clock_us, &retry), ERR_BUSY);
    CHECK_OK(store_job_cancel(s, &id, &st, ERR));
    CHECK_INT(st, JOB_RUNNING);
    CHECK_ERR(charge(s, &k, 1, clock_us, &retry), ERR_BUSY);
    CHECK_OK(store_job_cancel(s, &later.id, &st, ERR));
    CHECK_INT(st, JOB_CANCELLED);
    CHECK_OK(charge(s, &k, 1, clock_us, &retry));
}

static void a_charge_tells_of_a_full_store_and_charges_nothing(struct store *s)
{
    struct key k = {.id = "k", .name = "ci", .quota.jobs_per_day = 1};

    store_set_limits(s, &(struct store_limits){.max_waiting = 1});
    add(s);
    CHECK_ERR(charge(s, &k, 1, clock_us, NULL), ERR_BUSY);
    CHECK(strstr(tap_err.msg, "1 jobs are waiting"));
    claim(s);
    CHECK_OK(charge(s, &k, 1, clock_us, NULL));
}

/* ---- claims ---- */

/* Claims one and gives its number; 0: none. */
static int64_t claim_not(struct store *s, const char *const *keys)
{
    auto_strvec blocked = {0};
    struct task t = {0};
    struct job j = {0};
    bool got = false;

    for (; keys && *keys; keys++) {
        strvec_push(&blocked, *keys);
    }
    CHECK_OK(store_task_claim(s, WORKER, NULL, &blocked, &t, &j, &got, ERR));
    CHECK_INT(t.job_num, j.num);
    job_done(&j);
    return got ? t.job_num : 0;
}

static void a_claim_passes_over_blocked_keys_in_order(struct store *s)
{
    static const char *const a[] = {"a", NULL};
    static const char *const ab[] = {"b", "a", NULL};
    static const char *const none[] = {"", NULL};
    static const char *const all[] = {"", "a", "b", NULL};

    add_for(s, "a", 9); /* 1 */
    add_for(s, "a", 4); /* 2 */
    add_for(s, "b", 4); /* 3 */
    add_for(s, "", 4);  /* 4 */
    add_for(s, "b", 5); /* 5 */
    add_for(s, "", 2);  /* 6 */
    CHECK_INT(claim_not(s, all), 0);
    CHECK_INT(claim_not(s, a), 5);
    CHECK_INT(claim_not(s, a), 3);
    CHECK_INT(claim_not(s, none), 1);
    CHECK_INT(claim_not(s, ab), 4);
    CHECK_INT(claim_not(s, NULL), 2);
    CHECK(store_task_ready(s, NULL));
    CHECK_INT(claim_not(s, none), 0);
    CHECK_INT(claim_not(s, ab), 6);
    CHECK(!store_task_ready(s, NULL));
}

static void a_key_is_blocked_in_every_tool(struct store *s)
{
    static const char *const a[] = {"a", NULL};

    for (int i = 0; i < 4; i++) {
        struct job j = new_job();

        free(j.tool);
        j.tool = xstrdup(i % 2 ? "zmap" : "nmap");
        free(j.key_id);
        j.key_id = i == 3 ? xstrdup("b") : xstrdup("a");
        CHECK_OK(store_job_add(s, &j, ERR));
        job_done(&j);
    }
    CHECK_INT(claim_not(s, a), 4);
    CHECK_INT(claim_not(s, a), 0);
    CHECK_INT(claim_not(s, NULL), 1);
}

static void a_claim_comes_with_pins_and_limits_at_every_try(struct store *s)
{
    struct job j = new_job();
    struct task t;
    bool got = false;

    j.pins = xstrdup("a.example=192.0.2.1");
    j.limits = xstrdup("wall_s=9");
    CHECK_OK(store_job_add(s, &j, ERR));
    CHECK_OK(store_commit(s, ERR));
    job_done(&j);
    for (int i = 0; i < 2; i++) {
        struct lease l;

        CHECK_OK(store_task_claim(s, WORKER, NULL, NULL, &t, &j, &got, ERR));
        CHECK(got);
        CHECK_STR(j.pins, "a.example=192.0.2.1");
        CHECK_STR(j.limits, "wall_s=9");
        job_done(&j);
        l = lease_of(&t);
        CHECK_OK(store_task_release(s, &l, ERR));
    }
}

/* ---- waiting ---- */

static void a_job_that_waits_is_queued_when_its_time_comes(struct store *s)
{
    struct job j = new_job();
    struct job got;
    struct lease l;
    int64_t next = -1;

    j.state = JOB_WAITING;
    j.queue_timeout_s = 1;
    CHECK_ERR(store_job_add(s, &j, ERR), ERR_INVALID); /* until when? */
    j.run_at_us = clock_us + 5000000;
    CHECK_OK(store_job_add(s, &j, ERR));
    CHECK_INT(j.state, JOB_WAITING);
    CHECK_INT(j.queue_expires_us, 0);
    CHECK(!store_task_ready(s, NULL));
    CHECK_OK(store_queue_expire(s, clock_us + 4000000, &next, ERR));
    CHECK_INT(next, 0);
    CHECK_OK(store_task_due(s, clock_us + 4999999, &next, ERR));
    CHECK_INT(next, clock_us + 5000000);
    CHECK_INT(state_of(s, &j.id), JOB_WAITING);
    CHECK_OK(store_task_due(s, clock_us + 5000000, &next, ERR));
    CHECK_INT(next, 0);
    got = get(s, &j.id);
    CHECK_INT(got.state, JOB_QUEUED);
    CHECK_INT(got.run_at_us, 0);
    CHECK_INT(got.queue_expires_us, clock_us + 6000000);
    job_done(&got);
    l = claim(s);
    CHECK(id_cmp(&l.job_id, &j.id) == 0);
    job_done(&j);
}

static void a_task_is_put_back_until_its_window_opens(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    struct job j;
    int64_t next = 0;
    int64_t counts[JOB_STATES];

    CHECK_ERR(store_task_wait(s, &l, 0, ERR), ERR_INVALID);
    CHECK_INT(state_of(s, &id), JOB_RUNNING);
    CHECK_OK(store_task_wait(s, &l, 7000000, ERR));
    j = get(s, &id);
    CHECK_INT(j.state, JOB_WAITING);
    CHECK_INT(j.run_at_us, 7000000);
    CHECK_INT(j.attempts, 0);
    CHECK_INT(j.started_us, 0);
    job_done(&j);
    store_job_counts(s, counts);
    CHECK_INT(counts[JOB_WAITING], 1);
    CHECK_ERR(store_task_wait(s, &l, 8000000, ERR), ERR_FENCED);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_task_due(s, 7000000, &next, ERR));
    CHECK_INT(claim(s).epoch, 2);
}

static void a_cancelled_task_does_not_wait(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    enum job_state st;

    CHECK_OK(store_job_cancel(s, &id, &st, ERR));
    CHECK_OK(store_task_wait(s, &l, 7000000, ERR));
    CHECK_INT(state_of(s, &id), JOB_CANCELLED);
    id = add(s);
    l = claim(s);
    CHECK_OK(store_task_wait(s, &l, 7000000, ERR));
    CHECK_OK(store_job_cancel(s, &id, &st, ERR));
    CHECK_INT(st, JOB_CANCELLED);
}

static void all_that_wait_can_be_woken_in_steps(struct store *s)
{
    struct job later = new_job();
    struct id first = {0};
    int64_t counts[JOB_STATES];
    int64_t after = 0;

    for (int i = 0; i < 1001; i++) {
        struct job j = new_job();

        j.state = JOB_WAITING;
        j.run_at_us = clock_us + 5000000;
        CHECK_OK(store_job_add(s, &j, ERR));
        first = i == 0 ? j.id : first;
        job_done(&j);
    }
    later.run_at_us = clock_us + 5000000; /* scheduled: stays */
    CHECK_OK(store_job_add(s, &later, ERR));
    job_done(&later);
    CHECK_OK(store_task_wake(s, &after, ERR));
    CHECK(after != 0);
    store_job_counts(s, counts);
    CHECK_INT(counts[JOB_QUEUED], 1000);
    CHECK_INT(state_of(s, &first), JOB_QUEUED);
    CHECK_OK(store_task_wake(s, &after, ERR));
    CHECK_INT(after, 0);
    store_job_counts(s, counts);
    CHECK_INT(counts[JOB_QUEUED], 1001);
    CHECK_INT(counts[JOB_WAITING], 0);
    CHECK_INT(counts[JOB_SCHEDULED], 1);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_task_wake(s, &after, ERR));
    CHECK(!store_dirty(s));
}

BOTH(a_key_is_read_back_as_it_was_made)
BOTH(a_key_with_unknown_scopes_or_a_negative_quota_is_refused)
BOTH(a_key_may_ask_for_so_many_jobs_in_24_hours)
BOTH(a_key_may_ask_for_so_many_addresses_in_24_hours)
BOTH(addresses_beyond_counting_do_not_wrap_around)
BOTH(what_was_charged_is_given_back_with_an_undone_turn)
BOTH(a_key_may_have_so_many_jobs_that_wait)
BOTH(a_charge_tells_of_a_full_store_and_charges_nothing)
BOTH(a_claim_passes_over_blocked_keys_in_order)
BOTH(a_key_is_blocked_in_every_tool)
BOTH(a_claim_comes_with_pins_and_limits_at_every_try)
BOTH(a_job_that_waits_is_queued_when_its_time_comes)
BOTH(a_task_is_put_back_until_its_window_opens)
BOTH(a_cancelled_task_does_not_wait)
BOTH(all_that_wait_can_be_woken_in_steps)

TESTS(scopes_are_read_and_written_by_name, a_word_that_is_no_scope_is_named,
      OF_BOTH(a_key_is_read_back_as_it_was_made),
      OF_BOTH(a_key_with_unknown_scopes_or_a_negative_quota_is_refused),
      OF_BOTH(a_key_may_ask_for_so_many_jobs_in_24_hours),
      OF_BOTH(a_key_may_ask_for_so_many_addresses_in_24_hours),
      OF_BOTH(addresses_beyond_counting_do_not_wrap_around),
      OF_BOTH(what_was_charged_is_given_back_with_an_undone_turn),
      OF_BOTH(a_key_may_have_so_many_jobs_that_wait),
      OF_BOTH(a_charge_tells_of_a_full_store_and_charges_nothing),
      OF_BOTH(a_claim_passes_over_blocked_keys_in_order), OF_BOTH(a_key_is_blocked_in_every_tool),
      OF_BOTH(a_claim_comes_with_pins_and_limits_at_every_try),
      OF_BOTH(a_job_that_waits_is_queued_when_its_time_comes),
      OF_BOTH(a_task_is_put_back_until_its_window_opens), OF_BOTH(a_cancelled_task_does_not_wait),
      OF_BOTH(all_that_wait_can_be_woken_in_steps))
