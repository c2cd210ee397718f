/* Queues, the turns of keys, and the list of what can be claimed; on each backend. */
#include "store/places.h"
#include "store_rig.h"

static struct id add_to(struct store *s, const char *queue, const char *key, int priority)
{
    struct job j = new_job();
    struct id id = j.id;

    j.queue = xstrdup(queue);
    free(j.key_id);
    j.key_id = xstrdup(key);
    j.priority = priority;
    CHECK_OK(store_job_add(s, &j, ERR));
    job_done(&j);
    return id;
}

/* Claims one from those queues, which are words with "," between, and gives its number; 0: none. */
static int64_t claim_of(struct store *s, const char *queues, const char *block, char key[65])
{
    auto_strvec of = {0};
    auto_strvec blocked = {0};
    struct task t = {0};
    struct job j = {0};
    bool got = false;

    for (const char *p = queues; p && *p; p += strspn(p, ",")) {
        size_t n = strcspn(p, ",");

        strvec_pushn(&of, p, n);
        p += n;
    }
    if (block) {
        strvec_push(&blocked, block);
    }
    CHECK_OK(store_task_claim(s, WORKER, queues ? &of : NULL, &blocked, &t, &j, &got, ERR));
    if (got && key) {
        snprintf(key, 65, "%s", j.key_id);
    }
    if (got) {
        CHECK(j.queue);
    }
    job_done(&j);
    return got ? t.job_num : 0;
}

/* ---- queues ---- */

static void a_claim_is_for_the_queues_that_it_names(struct store *s)
{
    add_to(s, NULL, "", 4);
    add_to(s, "net-raw", "", 4);
    add_to(s, "net@dmz", "", 9);
    add_to(s, "net", "", 9);
    CHECK_INT(claim_of(s, "repo", NULL, NULL), 0);
    CHECK_INT(claim_of(s, "", NULL, NULL), 0);
    CHECK_INT(claim_of(s, "net-raw,repo", NULL, NULL), 2);
    CHECK_INT(claim_of(s, "net-raw,repo", NULL, NULL), 0);
    CHECK_INT(claim_of(s, "net-raw,net", NULL, NULL), 4);
    CHECK_INT(claim_of(s, "net,net,net-raw", NULL, NULL), 1);
    CHECK_INT(claim_of(s, NULL, NULL, NULL), 3);
    CHECK_INT(claim_of(s, NULL, NULL, NULL), 0);
}

static void a_job_says_its_queue_and_most_say_none(struct store *s)
{
    struct id net = add_to(s, "net", "", 4);
    struct id raw = add_to(s, "net-raw@dmz", "", 4);
    struct job j = get(s, &net);

    CHECK(!j.queue);
    job_done(&j);
    j = get(s, &raw);
    CHECK_STR(j.queue, "net-raw@dmz");
    job_done(&j);
}

static void a_name_that_is_no_queue_is_refused_and_changes_nothing(struct store *s)
{
    static const char *const bad[] = {"", "nets", "net@", "net@-a", "@dmz", "net raw", "net@UP"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct job j = new_job();

        j.queue = xstrdup(bad[i]);
        CHECK_ERR(store_job_add(s, &j, ERR), ERR_INVALID);
        job_done(&j);
    }
    CHECK(!store_dirty(s));
    CHECK(!store_task_ready(s, NULL));
}

static void tasks_of_one_job_wait_in_queues_of_their_own(struct store *s)
{
    const struct task_new v[] = {{.spec = "a", .queue = "net-raw"},
                                 {.spec = "b"},
                                 {.spec = "c", .queue = "net"},
                                 {.spec = "d", .queue = "net-raw"}};
    const struct task_new bad = {.spec = "e", .queue = "nowhere"};
    auto_strvec net = {0};
    auto_strvec zone = {0};
    struct job j = new_job();
    struct task t;
    struct job got_job = {0};
    bool got = false;

    j.plan = xstrdup("{}");
    j.queue = xstrdup("net@dmz");
    CHECK_OK(store_job_add(s, &j, ERR));
    CHECK_OK(store_task_add(s, &j.id, v, ARRAY_LEN(v), NULL, ERR));
    CHECK_ERR(store_task_add(s, &j.id, &bad, 1, NULL, ERR), ERR_INVALID);
    strvec_push(&net, "net");
    strvec_push(&zone, "net@dmz");
    CHECK(store_task_ready(s, &net));
    CHECK_OK(store_task_claim(s, WORKER, &net, NULL, &t, &got_job, &got, ERR));
    CHECK(got);
    CHECK_INT(t.idx, 2);
    CHECK_STR(got_job.queue, "net");
    job_done(&got_job);
    CHECK(!store_task_ready(s, &net));
    CHECK_OK(store_task_claim(s, WORKER, &zone, NULL, &t, &got_job, &got, ERR));
    CHECK(got);
    CHECK_INT(t.idx, 1);
    CHECK_STR(got_job.queue, "net@dmz");
    job_done(&got_job);
    CHECK_OK(store_job_cancel(s, &j.id, NULL, ERR));
    CHECK(!store_task_ready(s, NULL));
    job_done(&j);
}

struct depths {
    char text[256];
};

static void say_depth(void *arg, const struct queue_depth *q)
{
    struct depths *d = arg;
    size_t n = strlen(d->text);

    snprintf(d->text + n, sizeof d->text - n, "%s %lld %lld; ", q->queue, (long long)q->ready,
             (long long)q->oldest_us);
}

static void depths_follow_what_waits(struct store *s)
{
    struct depths d = {""};
    struct lease l;

    add_to(s, "repo", "a", 4);
    clock_us = 2000;
    add_to(s, "net", "a", 4);
    clock_us = 3000;
    add_to(s, "net", "b", 9);
    store_queues(s, say_depth, &d);
    CHECK_STR(d.text, "net 2 2000; repo 1 1000; ");
    CHECK_INT(claim_of(s, "repo", NULL, NULL), 1);
    CHECK_INT(claim_of(s, "net", NULL, NULL), 3);
    CHECK_INT(claim_of(s, "net", NULL, NULL), 2);
    d.text[0] = '\0';
    store_queues(s, say_depth, &d);
    CHECK_STR(d.text, "net 0 0; repo 0 0; ");
    store_rollback(s);
    add_to(s, "net", "a", 4);
    l = claim(s);
    CHECK_OK(store_task_release(s, &l, ERR));
    d.text[0] = '\0';
    store_queues(s, say_depth, &d);
    CHECK(strstr(d.text, "net 1 3000; "));
}

/* Names of queues come from outside. */
static void queues_that_are_no_more_are_forgotten(struct store *s)
{
    struct depths d = {""};

    for (int i = 0; i < 300; i++) {
        auto_free char *queue = str_fmt("net@z%d", i);
        auto_free char *key = str_fmt("k%d", i);

        add_to(s, queue, key, i % 10);
        CHECK_INT(claim_of(s, queue, NULL, NULL), i + 1);
        CHECK_OK(store_commit(s, ERR));
    }
    store_queues(s, say_depth, &d);
    CHECK_OK(store_commit(s, ERR));
    add_to(s, "net", "", 4);
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(claim_of(s, NULL, NULL, NULL), 301);
}

/* ---- the turns of keys ---- */

static void fill(struct store *s, const char *key, int priority, int n)
{
    for (int i = 0; i < n; i++) {
        add_to(s, NULL, key, priority);
    }
}

/* How often each of the keys "a" to "e" is the one, of n claims. */
static void claims(struct store *s, int n, const char *block, int of[5])
{
    memset(of, 0, 5 * sizeof of[0]);
    for (int i = 0; i < n; i++) {
        char key[65] = "";

        CHECK(claim_of(s, NULL, block, key) > 0);
        CHECK(key[0] >= 'a' && key[0] <= 'e' && !key[1]);
        of[key[0] - 'a']++;
    }
}

static void backlogged_keys_get_the_same(struct store *s)
{
    int of[5];

    fill(s, "a", 4, 100); /* all of one before any of the next */
    fill(s, "b", 4, 60);
    fill(s, "c", 4, 60);
    fill(s, "d", 4, 60);
    claims(s, 100, NULL, of);
    for (int i = 0; i < 4; i++) {
        CHECK(of[i] >= 24 && of[i] <= 26);
    }
}

static void a_key_that_was_idle_or_blocked_has_saved_up_nothing(struct store *s)
{
    int of[5];

    fill(s, "a", 4, 300);
    fill(s, "b", 4, 300);
    fill(s, "c", 4, 300);
    claims(s, 100, "b", of);
    CHECK_INT(of[1], 0);
    CHECK(of[0] >= 49 && of[0] <= 51);
    fill(s, "d", 4, 300); /* it comes late */
    claims(s, 40, NULL, of);
    for (int i = 0; i < 4; i++) {
        CHECK(of[i] >= 9 && of[i] <= 11);
    }
}

/* Who always has one job that waits gets no more than who has many. */
static void a_key_that_submits_one_by_one_waits_for_its_turn(struct store *s)
{
    int mine = 0;

    fill(s, "a", 4, 100);
    fill(s, "b", 4, 1);
    for (int i = 0; i < 60; i++) {
        char key[65] = "";

        CHECK(claim_of(s, NULL, NULL, key) > 0);
        if (key[0] == 'b') {
            mine++;
            fill(s, "b", 4, 1);
        }
        CHECK_OK(store_commit(s, ERR));
    }
    CHECK(mine >= 29 && mine <= 31);
}

/* Many claims of a key in one queue do not decide who is next in another. */
static void turns_in_one_queue_do_not_starve_keys_in_another(struct store *s)
{
    int of[5] = {0};

    fill(s, "a", 4, 100);
    fill(s, "b", 4, 100);
    for (int i = 0; i < 120; i++) {
        add_to(s, "net-raw", "c", 4);
    }
    for (int i = 0; i < 60; i++) {
        char key[65] = "";

        CHECK(claim_of(s, "net-raw", NULL, NULL) > 0);
        CHECK(claim_of(s, "net", NULL, key) > 0);
        of[key[0] - 'a']++;
        CHECK(claim_of(s, "net-raw", NULL, NULL) > 0);
    }
    CHECK(of[0] >= 29 && of[0] <= 31);
}

static void turns_are_taken_within_a_priority_and_jobs_of_a_key_by_age(struct store *s)
{
    static const int64_t want[] = {4, 6, 5, 1, 3, 2};

    add_to(s, NULL, "a", 4); /* 1 */
    add_to(s, NULL, "a", 4); /* 2 */
    add_to(s, NULL, "b", 4); /* 3 */
    add_to(s, NULL, "a", 7); /* 4 */
    add_to(s, NULL, "a", 7); /* 5 */
    add_to(s, NULL, "b", 7); /* 6 */
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        CHECK_INT(claim_of(s, NULL, NULL, NULL), want[i]);
    }
}

static void an_undone_turn_gives_back_what_was_claimed(struct store *s)
{
    int of[5];

    fill(s, "a", 4, 50);
    fill(s, "b", 9, 50);
    CHECK_OK(store_commit(s, ERR));
    claims(s, 70, NULL, of);
    fill(s, "c", 9, 5);
    store_rollback(s);
    claims(s, 100, NULL, of);
    CHECK_INT(of[0], 50);
    CHECK_INT(of[1], 50);
    CHECK_INT(claim_of(s, NULL, NULL, NULL), 0);
}

/* ---- places in order ---- */

static void places_stay_in_order_wherever_they_come_and_go(void)
{
    bool there[1000] = {false};
    struct places p = {0};
    uint32_t x = 1;

    for (int step = 0; step < 40000; step++) {
        size_t v;
        size_t rank;

        x = x * 1664525 + 1013904223;
        v = (x >> 8) % ARRAY_LEN(there);
        if (step % 1000 < 500 && (x >> 28) < 12) { /* grows and shrinks */
            v = MIN(v + 500, ARRAY_LEN(there) - 1);
        }
        rank = places_rank(&p, (int64_t)v);
        if (there[v]) {
            CHECK_INT(places_at(&p, rank), v);
            places_cut(&p, rank, 1);
        } else if (step % 2000 < 1000 || (x >> 28) < 4) {
            places_put(&p, (int64_t)v);
        } else {
            continue;
        }
        there[v] = !there[v];
        if (step % 97 == 0) {
            size_t n = 0;

            for (size_t i = 0; i < ARRAY_LEN(there); i++) {
                if (there[i]) {
                    CHECK_INT(places_at(&p, n), i);
                    n++;
                }
            }
            CHECK_INT(p.n, n);
        }
    }
    free(p.v);
}

static void places_that_come_in_any_order_are_sorted(void)
{
    struct places p = {0};

    for (int i = 0; i < 500; i++) {
        places_append(&p, i * 7 % 500);
    }
    places_sort(&p);
    places_cut(&p, 100, 300);
    CHECK_INT(p.n, 200);
    CHECK_INT(places_at(&p, 99), 99);
    CHECK_INT(places_at(&p, 100), 400);
    places_cut(&p, 0, 200);
    CHECK_INT(places_rank(&p, 5), 0);
    free(p.v);
}

/* ---- a store with many jobs ---- */

static void what_waits_is_known_again_after_reopening(void)
{
    auto_free char *url = str_fmt("sqlite:%s/again", test_dir());
    struct store *s;
    struct lease l;
    struct job j = new_job();
    int of[5];

    CHECK_OK(store_open(url, &s, ERR));
    for (int i = 0; i < 30; i++) {
        free(j.tool);
        j.tool = xstrdup(i % 3 ? "nmap" : "zmap"); /* read one tool after the other */
        j.id = id_new();
        free(j.key_id);
        j.key_id = xstrdup(i % 2 ? "a" : "b");
        CHECK_OK(store_job_add(s, &j, ERR));
    }
    job_done(&j);
    l = claim(s);
    CHECK_OK(store_task_release(s, &l, ERR));
    add_to(s, "repo", "c", 4);
    claim_of(s, NULL, NULL, NULL);
    CHECK_OK(store_commit(s, ERR));
    claim_of(s, NULL, NULL, NULL);
    store_close(s);
    CHECK_OK(store_open(url, &s, ERR));
    CHECK_INT(claim_of(s, "repo", NULL, NULL), 31);
    CHECK_INT(claim_of(s, "net", NULL, NULL), 1);
    CHECK_INT(claim_of(s, "net", NULL, NULL), 4); /* 2 has run, and it is the turn of its key */
    claims(s, 27, NULL, of);
    CHECK_INT(of[0] + of[1], 27);
    CHECK(!store_task_ready(s, NULL));
    store_close(s);
}

BOTH(a_claim_is_for_the_queues_that_it_names)
BOTH(a_job_says_its_queue_and_most_say_none)
BOTH(a_name_that_is_no_queue_is_refused_and_changes_nothing)
BOTH(tasks_of_one_job_wait_in_queues_of_their_own)
BOTH(depths_follow_what_waits)
BOTH(queues_that_are_no_more_are_forgotten)
BOTH(backlogged_keys_get_the_same)
BOTH(a_key_that_was_idle_or_blocked_has_saved_up_nothing)
BOTH(a_key_that_submits_one_by_one_waits_for_its_turn)
BOTH(turns_in_one_queue_do_not_starve_keys_in_another)
BOTH(turns_are_taken_within_a_priority_and_jobs_of_a_key_by_age)
BOTH(an_undone_turn_gives_back_what_was_claimed)

TESTS(OF_BOTH(a_claim_is_for_the_queues_that_it_names),
      OF_BOTH(a_job_says_its_queue_and_most_say_none),
      OF_BOTH(a_name_that_is_no_queue_is_refused_and_changes_nothing),
      OF_BOTH(tasks_of_one_job_wait_in_queues_of_their_own), OF_BOTH(depths_follow_what_waits),
      OF_BOTH(queues_that_are_no_more_are_forgotten), OF_BOTH(backlogged_keys_get_the_same),
      OF_BOTH(a_key_that_was_idle_or_blocked_has_saved_up_nothing),
      OF_BOTH(a_key_that_submits_one_by_one_waits_for_its_turn),
      OF_BOTH(turns_in_one_queue_do_not_starve_keys_in_another),
      OF_BOTH(turns_are_taken_within_a_priority_and_jobs_of_a_key_by_age),
      OF_BOTH(an_undone_turn_gives_back_what_was_claimed),
      places_stay_in_order_wherever_they_come_and_go, places_that_come_in_any_order_are_sorted,
      what_waits_is_known_again_after_reopening)
