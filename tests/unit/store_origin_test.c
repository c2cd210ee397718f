/* What came through a queue, what is told to whom, and raw output elsewhere; on each backend. */
#include "store_rig.h"

static const int64_t day_us = INT64_C(86400) * 1000000;

/* ---- origins ---- */

static bool has_origin(struct store *s, int64_t num)
{
    struct origin o = {0};
    bool found = false;

    CHECK_OK(store_origin_get(s, num, &o, &found, ERR));
    origin_done(&o);
    return found;
}

static void an_origin_is_read_back_by_number_and_by_id(struct store *s)
{
    struct origin put = {"jobs", "t-1", "", "c\xc3\xa9", 2};
    struct id id = add(s);
    struct origin got = {0};
    bool found = true;

    CHECK(!has_origin(s, 1));
    CHECK_OK(store_origin_of(s, &id, &got, &found, ERR));
    CHECK(!found);
    CHECK_OK(store_origin_put(s, 1, &put, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_origin_of(s, &id, &got, &found, ERR));
    CHECK(found);
    CHECK_STR(got.intake, "jobs");
    CHECK_STR(got.task_id, "t-1");
    CHECK_STR(got.reply_to, "");
    CHECK_STR(got.correlation, "c\xc3\xa9");
    CHECK_INT(got.form, 2);
    origin_done(&got);
    CHECK(has_origin(s, 1));
    CHECK_ERR(store_origin_put(s, 2, &put, ERR), ERR_NOT_FOUND);
    CHECK(!store_dirty(s));
}

static void an_origin_outlives_its_job_until_the_events_are_gone(struct store *s)
{
    struct id id = add(s);
    int64_t n = 0;

    CHECK_OK(store_origin_put(s, 1, &(struct origin){.intake = "q"}, ERR));
    add(s);
    CHECK_OK(store_origin_put(s, 2, &(struct origin){.intake = "q"}, ERR));
    CHECK_OK(store_job_cancel(s, &id, NULL, ERR));
    clock_us += 1000;
    CHECK_OK(store_job_delete(s, &id, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK(has_origin(s, 1));
    CHECK_OK(store_event_expire(s, clock_us, 100, &n, ERR)); /* all but that of the removal */
    CHECK_INT(n, 3);
    CHECK(has_origin(s, 1));
    CHECK_OK(store_event_expire(s, clock_us + 1, 100, &n, ERR));
    CHECK_INT(n, 1);
    CHECK(!has_origin(s, 1));
    CHECK(has_origin(s, 2)); /* its job is there, though its events are not */
}

/* ---- cursors ---- */

static int64_t cursor(struct store *s, const char *name)
{
    int64_t seq = -1;

    CHECK_OK(store_cursor_get(s, name, &seq, ERR));
    return seq;
}

static void cursors_are_kept_by_name(struct store *s)
{
    CHECK_INT(cursor(s, "results"), 0);
    CHECK_OK(store_cursor_put(s, "results", 7, ERR));
    CHECK_OK(store_cursor_put(s, "other", 9, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_cursor_put(s, "results", 8, ERR));
    CHECK_INT(cursor(s, "results"), 8);
    store_rollback(s);
    CHECK_INT(cursor(s, "results"), 7);
    CHECK_INT(cursor(s, "other"), 9);
    CHECK_ERR(store_cursor_put(s, "results", -1, ERR), ERR_INVALID);
}

static void events_wait_for_their_readers_but_not_for_ever(struct store *s)
{
    int64_t n = -1;

    for (int i = 0; i < 10; i++) {
        add(s);
    }
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_cursor_put(s, "a", 3, ERR));
    CHECK_OK(store_cursor_put(s, "b", 6, ERR));
    clock_us += 6 * day_us;
    CHECK_OK(store_event_expire(s, clock_us, 100, &n, ERR));
    CHECK_INT(n, 3);
    CHECK_OK(store_cursor_put(s, "b", 6, ERR)); /* no further, but it is there */
    clock_us += 2 * day_us;
    CHECK_OK(store_event_expire(s, clock_us, 100, &n, ERR)); /* "a" has not been seen for 8 days */
    CHECK_INT(n, 3);
    CHECK_INT(store_event_first(s), 7);
    clock_us += 7 * day_us;
    CHECK_OK(store_event_expire(s, clock_us, 100, &n, ERR));
    CHECK_INT(n, 4);
}

static void a_reader_at_the_start_keeps_all_events(struct store *s)
{
    int64_t n = -1;

    add(s);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_cursor_put(s, "a", 0, ERR));
    CHECK_OK(store_event_expire(s, clock_us + 1, 100, &n, ERR));
    CHECK_INT(n, 0);
}

/* ---- messages that were no requests ---- */

struct letters {
    int64_t first, last;
    char body[64], reason[64];
    int n;
};

static int take_letter(void *arg, const struct dead_letter *d, struct err *e)
{
    struct letters *l = arg;

    (void)e;
    if (l->n++ == 0) {
        l->first = d->seq;
        snprintf(l->body, sizeof l->body, "%s", d->body);
        snprintf(l->reason, sizeof l->reason, "%s", d->reason);
    }
    l->last = d->seq;
    return 0;
}

static void letters_are_listed_newest_first_in_pages(struct store *s)
{
    struct letters l = {.n = 0};

    CHECK_INT(store_dead_count(s), 0);
    for (int i = 1; i <= 5; i++) {
        auto_free char *body = str_fmt("body %d", i);

        CHECK_OK(
            store_dead_add(s,
                           &(struct dead_letter){
                               .at_us = i, .source = "q", .reason = "it is no JSON", .body = body},
                           ERR));
    }
    CHECK_INT(store_dead_count(s), 5);
    CHECK_OK(store_dead_list(s, 0, 2, take_letter, &l, ERR));
    CHECK_INT(l.n, 2);
    CHECK_INT(l.first, 5);
    CHECK_INT(l.last, 4);
    CHECK_STR(l.body, "body 5");
    CHECK_STR(l.reason, "it is no JSON");
    l.n = 0;
    CHECK_OK(store_dead_list(s, l.last, 10, take_letter, &l, ERR));
    CHECK_INT(l.n, 3);
    CHECK_INT(l.first, 3);
    CHECK_INT(l.last, 1);
    store_rollback(s);
    CHECK_INT(store_dead_count(s), 0);
}

static void the_newest_letters_are_kept(struct store *s)
{
    struct letters l = {.n = 0};
    const struct dead_letter d = {.source = "q", .reason = "r", .body = "b"};

    for (int i = 1; i <= 10020; i++) {
        CHECK_OK(store_dead_add(s, &d, ERR));
    }
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(store_dead_count(s), 10000);
    CHECK_OK(store_dead_list(s, 0, 1, take_letter, &l, ERR));
    CHECK_INT(l.first, 10020);
    l.n = 0;
    CHECK_OK(store_dead_list(s, 22, 9, take_letter, &l, ERR));
    CHECK_INT(l.n, 1);
    CHECK_INT(l.last, 21);
}

/* ---- memos ---- */

static void a_memo_is_kept_until_it_is_taken_away(struct store *s)
{
    char *value = NULL;

    CHECK_OK(store_memo_get(s, "id", &value, ERR));
    CHECK(!value);
    CHECK_OK(store_memo_put(s, "id", NULL, ERR));
    CHECK_OK(store_memo_put(s, "id", "abc", ERR));
    CHECK_OK(store_memo_put(s, "id", "def", ERR));
    CHECK_OK(store_memo_put(s, "drain:w", "", ERR));
    CHECK_OK(store_memo_get(s, "id", &value, ERR));
    CHECK_STR(value, "def");
    free(take_ptr(&value));
    CHECK_OK(store_memo_get(s, "drain:w", &value, ERR));
    CHECK_STR(value, "");
    free(take_ptr(&value));
    CHECK_OK(store_memo_put(s, "id", NULL, ERR));
    CHECK_OK(store_memo_get(s, "id", &value, ERR));
    CHECK(!value);
}

/* ---- raw output elsewhere ---- */

static struct id run_with(struct store *s, const char *raw)
{
    const struct outcome o = {.state = JOB_COMPLETED, .raw_path = raw};
    struct id id = add(s);
    struct lease l = claim(s);

    CHECK_OK(store_task_finish(s, &l, &o, 0, NULL, ERR));
    return id;
}

static int say_blob(void *arg, int64_t num, int32_t idx, const char *path, struct err *e)
{
    (void)e;
    buf_addf(arg, "%lld/%d %s; ", (long long)num, idx, path);
    return 0;
}

static void check_local(struct store *s, uint32_t limit, const char *want)
{
    auto_buf text = {0};

    CHECK_OK(store_blobs_local(s, limit, say_blob, &text, ERR));
    CHECK_STR(text.len ? text.data : "", want);
}

struct orphans {
    int64_t id;
    char text[200];
};

static int say_orphan(void *arg, int64_t id, const char *uri, struct err *e)
{
    struct orphans *o = arg;
    size_t n = strlen(o->text);

    (void)e;
    snprintf(o->text + n, sizeof o->text - n, "%s; ", uri);
    o->id = o->id ? o->id : id;
    return 0;
}

static struct orphans orphans_of(struct store *s)
{
    struct orphans o = {0};

    CHECK_OK(store_blobs_orphaned(s, 0, say_orphan, &o, ERR));
    return o;
}

static void files_are_local_until_they_are_moved(struct store *s)
{
    char *uri = NULL;
    char *path = NULL;

    run_with(s, "a/1");
    run_with(s, NULL);
    run_with(s, "a/3");
    check_local(s, 0, "1/0 a/1; 3/0 a/3; ");
    check_local(s, 1, "1/0 a/1; ");
    CHECK_OK(store_blob_uri(s, 1, 0, &uri, ERR));
    CHECK(!uri);
    CHECK_OK(store_blob_moved(s, 1, 0, "s3://b/a/1", ERR));
    check_local(s, 0, "3/0 a/3; ");
    CHECK_OK(store_blob_uri(s, 1, 0, &uri, ERR));
    CHECK_STR(uri, "s3://b/a/1");
    free(uri);
    CHECK_OK(store_raw_path(s, 1, &path, ERR)); /* by which it is known there, too */
    CHECK_STR(path, "a/1");
    free(path);
    CHECK_ERR(store_blob_moved(s, 2, 0, "s3://b/x", ERR), ERR_NOT_FOUND);
    CHECK_ERR(store_blob_moved(s, 3, 1, "s3://b/x", ERR), ERR_NOT_FOUND);
    CHECK_ERR(store_blob_moved(s, 9, 0, "s3://b/x", ERR), ERR_NOT_FOUND);
}

static void what_is_elsewhere_of_a_job_that_is_gone_is_told(struct store *s)
{
    struct id moved = run_with(s, "a/1");
    struct id local = run_with(s, "a/2");
    struct orphans o;
    char *path = NULL;
    int64_t id = 0;
    bool more = true;
    int files = 0;

    CHECK_OK(store_blob_moved(s, 1, 0, "s3://b/a/1", ERR));
    CHECK_STR(orphans_of(s).text, "");
    CHECK_OK(store_job_delete(s, &moved, ERR));
    CHECK_OK(store_job_delete(s, &local, ERR));
    o = orphans_of(s);
    CHECK_STR(o.text, "s3://b/a/1; ");
    while (more) { /* both local names, although only one file may be left */
        CHECK_OK(store_purge_step(s, 10, &more, &path, &id, ERR));
        if (path) {
            files++;
            CHECK_OK(store_purge_done(s, id, ERR));
        }
        free(take_ptr(&path));
    }
    CHECK_INT(files, 2);
    CHECK_STR(orphans_of(s).text, "s3://b/a/1; ");
    CHECK_OK(store_blob_removed(s, o.id, ERR));
    CHECK_STR(orphans_of(s).text, "");
    check_local(s, 0, "");
}

static void files_of_a_planned_job_s_tasks_move_one_by_one(struct store *s)
{
    const struct outcome a = {.state = JOB_COMPLETED, .raw_path = "p/0"};
    const struct outcome b = {.state = JOB_COMPLETED, .raw_path = "p/1"};
    const struct task_new v[] = {{.spec = "a"}, {.spec = "b"}};
    struct job j = new_job();
    struct lease l;
    struct orphans o;

    run_with(s, "q/1");
    j.plan = xstrdup("{}");
    CHECK_OK(store_job_add(s, &j, ERR));
    CHECK_OK(store_task_add(s, &j.id, v, 2, NULL, ERR));
    for (int i = 0; i < 2; i++) {
        l = claim(s);
        CHECK_OK(store_task_finish(s, &l, l.idx ? &b : &a, 0, NULL, ERR));
    }
    CHECK_OK(store_commit(s, ERR));
    check_local(s, 2, "1/0 q/1; 2/0 p/0; ");
    CHECK_OK(store_blob_moved(s, 2, 1, "s3://b/p/1", ERR));
    check_local(s, 0, "1/0 q/1; 2/0 p/0; ");
    CHECK_OK(store_job_settle(s, &j.id, &a, ERR));
    CHECK_OK(store_job_delete(s, &j.id, ERR));
    o = orphans_of(s);
    CHECK_STR(o.text, "s3://b/p/1; ");
    check_local(s, 0, "1/0 q/1; ");
    job_done(&j);
}

BOTH(an_origin_is_read_back_by_number_and_by_id)
BOTH(an_origin_outlives_its_job_until_the_events_are_gone)
BOTH(cursors_are_kept_by_name)
BOTH(events_wait_for_their_readers_but_not_for_ever)
BOTH(a_reader_at_the_start_keeps_all_events)
BOTH(letters_are_listed_newest_first_in_pages)
BOTH(the_newest_letters_are_kept)
BOTH(a_memo_is_kept_until_it_is_taken_away)
BOTH(files_are_local_until_they_are_moved)
BOTH(what_is_elsewhere_of_a_job_that_is_gone_is_told)
BOTH(files_of_a_planned_job_s_tasks_move_one_by_one)

TESTS(OF_BOTH(an_origin_is_read_back_by_number_and_by_id),
      OF_BOTH(an_origin_outlives_its_job_until_the_events_are_gone),
      OF_BOTH(cursors_are_kept_by_name), OF_BOTH(events_wait_for_their_readers_but_not_for_ever),
      OF_BOTH(a_reader_at_the_start_keeps_all_events),
      OF_BOTH(letters_are_listed_newest_first_in_pages), OF_BOTH(the_newest_letters_are_kept),
      OF_BOTH(a_memo_is_kept_until_it_is_taken_away), OF_BOTH(files_are_local_until_they_are_moved),
      OF_BOTH(what_is_elsewhere_of_a_job_that_is_gone_is_told),
      OF_BOTH(files_of_a_planned_job_s_tasks_move_one_by_one))
