/* The audit log: its chain on each backend, and what was done to a log on disk shows. */
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/audit.h"
#include "store/digest.h"
#include "store_rig.h"

enum { ENTRIES = 9 };

static void note(struct store *s, const char *action)
{
    struct audit a = {
        .at_us = clock_us, .actor = "k1", .action = action, .object = "x", .detail = "{\"n\":1}"};

    CHECK_OK(store_audit_add(s, &a, ERR));
    clock_us++;
}

static int64_t whole(struct store *s, struct audit *head)
{
    int64_t n = -1;

    CHECK_OK(store_audit_verify(s, NULL, &n, head->hash, ERR));
    head->seq = n;
    return n;
}

static int verify(struct store *s, const struct audit *expect)
{
    uint8_t head[32];
    int64_t n;

    tap_err = (struct err){0};
    return store_audit_verify(s, expect, &n, head, ERR);
}

static int say_entry(void *arg, const struct audit *a, struct err *e)
{
    (void)e;
    buf_addf(arg, "%lld:%lld:%s:%s:%s:%s;", (long long)a->seq, (long long)a->at_us, a->actor,
             a->action, a->object, a->detail);
    return 0;
}

/* ---- on each backend ---- */

static void entries_are_listed_as_they_were_written(struct store *s)
{
    auto_buf got = {0};
    struct audit head;

    CHECK_INT(whole(s, &head), 0);
    CHECK_OK(store_audit_add(s, &(struct audit){.actor = "system", .action = "start"}, ERR));
    clock_us = 2000;
    note(s, "scan.submit");
    CHECK_OK(store_commit(s, ERR));
    note(s, "scan.cancel");
    CHECK_OK(store_audit_list(s, 0, 0, say_entry, &got, ERR));
    CHECK_STR(got.data, "1:1000:system:start::{};2:2000:k1:scan.submit:x:{\"n\":1};"
                        "3:2001:k1:scan.cancel:x:{\"n\":1};");
    buf_reset(&got);
    CHECK_OK(store_audit_list(s, 1, 1, say_entry, &got, ERR));
    CHECK_STR(got.data, "2:2000:k1:scan.submit:x:{\"n\":1};");
    buf_reset(&got);
    CHECK_OK(store_audit_list(s, 3, 5, say_entry, &got, ERR));
    CHECK_INT(got.len, 0);
    CHECK_INT(whole(s, &head), 3);
}

static void an_entry_that_says_nothing_or_is_not_text_is_refused(struct store *s)
{
    struct audit head;

    CHECK_ERR(store_audit_add(s, &(struct audit){.action = "a"}, ERR), ERR_INVALID);
    CHECK_ERR(store_audit_add(s, &(struct audit){.actor = "a"}, ERR), ERR_INVALID);
    CHECK_ERR(store_audit_add(s, &(struct audit){.actor = "", .action = "a"}, ERR), ERR_INVALID);
    CHECK_ERR(store_audit_add(s, &(struct audit){.actor = "\xff", .action = "a"}, ERR),
              ERR_INVALID);
    CHECK_ERR(
        store_audit_add(s, &(struct audit){.actor = "a", .action = "a", .detail = "text"}, ERR),
        ERR_INVALID);
    CHECK(!store_dirty(s));
    CHECK_INT(whole(s, &head), 0);
}

static void an_undone_turn_leaves_no_gap(struct store *s)
{
    struct audit before;
    struct audit after;

    note(s, "one");
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(whole(s, &before), 1);
    note(s, "never");
    add(s);
    store_rollback(s);
    CHECK_INT(whole(s, &after), 1);
    CHECK(memcmp(before.hash, after.hash, 32) == 0);
    note(s, "two");
    store_fail(s, ERR_FULL, "cannot store a job: database or disk is full");
    store_change_end(s, ERR_FULL, NULL);
    CHECK_ERR(store_audit_add(s, &(struct audit){.actor = "a", .action = "b"}, ERR), ERR_FULL);
    CHECK_ERR(store_commit(s, ERR), ERR_FULL);
    note(s, "two");
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(whole(s, &after), 2);
}

static void a_head_that_was_kept_must_be_in_the_chain(struct store *s)
{
    struct audit kept;
    struct audit wrong;

    for (int i = 0; i < 3; i++) {
        note(s, "a");
    }
    whole(s, &kept);
    for (int i = 0; i < 3; i++) {
        note(s, "b");
    }
    CHECK_INT(verify(s, &kept), 0);
    wrong = kept;
    wrong.hash[31] ^= 1;
    CHECK_ERR(verify(s, &wrong), ERR_CONFLICT);
    CHECK(strstr(tap_err.msg, "entry 3"));
    wrong = kept;
    wrong.seq = 7;
    CHECK_ERR(verify(s, &wrong), ERR_CONFLICT);
    CHECK(strstr(tap_err.msg, "cut off"));
    whole(s, &kept);
    CHECK_INT(verify(s, &kept), 0);
}

/* ---- the chain by itself ---- */

static void the_canonical_line_is_the_one_that_is_documented(void)
{
    static const char line[] = "1:1,16:1795316400000000,6:system,10:key.create,"
                               "16:0123456789abcdef,2:{},";
    struct audit a = {.seq = 1,
                      .at_us = 1795316400000000,
                      .actor = "system",
                      .action = "key.create",
                      .object = "0123456789abcdef",
                      .detail = "{}"};
    uint8_t zero[32] = {0};
    uint8_t got[32];
    uint8_t want[32];
    auto_buf text = {0};

    buf_add(&text, zero, sizeof zero);
    buf_adds(&text, line);
    sha256_of(text.data, text.len, want);
    audit_hash(zero, &a, got);
    CHECK(memcmp(got, want, sizeof got) == 0);
    a.at_us = INT64_MIN;
    a.seq = 0;
    buf_reset(&text);
    buf_add(&text, zero, sizeof zero);
    buf_adds(&text, "1:0,20:-9223372036854775808,6:system,10:key.create,16:0123456789abcdef,2:{},");
    sha256_of(text.data, text.len, want);
    audit_hash(zero, &a, got);
    CHECK(memcmp(got, want, sizeof got) == 0);
}

static void text_cannot_move_from_one_member_to_the_next(void)
{
    struct audit a = {.seq = 1, .actor = "ab", .action = "c", .object = "", .detail = "{}"};
    struct audit b = {.seq = 1, .actor = "a", .action = "bc", .object = "", .detail = "{}"};
    uint8_t zero[32] = {0};
    uint8_t x[32];
    uint8_t y[32];

    audit_hash(zero, &a, x);
    audit_hash(zero, &b, y);
    CHECK(memcmp(x, y, sizeof x) != 0);
}

/* ---- on disk ---- */

static char *log_with_entries(struct audit *head)
{
    static int n;
    char *dir = str_fmt("%s/audit%d", test_dir(), n++);
    auto_free char *url = str_fmt("sqlite:%s", dir);
    struct store *s;

    clock_us = 1000;
    CHECK_OK(store_open(url, &s, ERR));
    for (int i = 0; i < ENTRIES; i++) {
        auto_free char *action = str_fmt("action.%d", i);

        note(s, action);
    }
    CHECK_OK(store_commit(s, ERR));
    whole(s, head);
    store_close(s);
    return dir;
}

static void meddle(const char *dir, const char *sql)
{
    auto_free char *path = str_fmt("%s/scanpod.db", dir);
    sqlite3 *db;

    CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_INT(
        sqlite3_exec(db, "DROP TRIGGER audit_keep; DROP TRIGGER audit_stay", NULL, NULL, NULL),
        SQLITE_OK);
    CHECK_INT(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int verify_at(const char *dir, const struct audit *expect)
{
    auto_free char *url = str_fmt("sqlite:%s", dir);
    struct store *s;
    int rc;

    CHECK_OK(store_open(url, &s, ERR));
    rc = verify(s, expect);
    store_close(s);
    return rc;
}

/* After it the log is not whole, and `says` is in the message. */
static void finds(const char *sql, const char *says)
{
    struct audit head;
    auto_free char *dir = log_with_entries(&head);

    CHECK_INT(verify_at(dir, &head), 0);
    meddle(dir, sql);
    CHECK_ERR(verify_at(dir, NULL), ERR_CONFLICT);
    if (!strstr(tap_err.msg, says)) {
        tap_fail(__FILE__, __LINE__, "'%s' is not in '%s', after: %s", says, tap_err.msg, sql);
    }
}

static void a_changed_member_shows(void)
{
    finds("UPDATE audit SET at_us = at_us + 1 WHERE seq = 4", "entry 4");
    finds("UPDATE audit SET actor = 'k2' WHERE seq = 4", "entry 4");
    finds("UPDATE audit SET action = 'action.3 ' WHERE seq = 4", "entry 4");
    finds("UPDATE audit SET object = '' WHERE seq = 1", "entry 1");
    finds("UPDATE audit SET detail = '{\"n\":2}' WHERE seq = 9", "entry 9");
    finds("UPDATE audit SET hash = zeroblob(32) WHERE seq = 5", "entry 5");
}

static void a_flipped_byte_anywhere_shows(void)
{
    static const char *const members[] = {"actor", "action", "object", "detail"};

    for (size_t m = 0; m < ARRAY_LEN(members); m++) {
        for (int at = 1; at <= (m == 2 ? 1 : 2); at++) {
            auto_free char *sql = str_fmt("UPDATE audit SET %s = substr(%s, 1, %d) || '~' ||"
                                          " substr(%s, %d) WHERE seq = 6",
                                          members[m], members[m], at - 1, members[m], at + 1);

            finds(sql, "entry 6");
        }
    }
}

static void a_dropped_entry_shows(void)
{
    finds("DELETE FROM audit WHERE seq = 1", "entry 1 is missing");
    finds("DELETE FROM audit WHERE seq = 5", "entry 5 is missing");
    finds("DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5",
          "entry 5");
}

static void exchanged_entries_show(void)
{
    finds("UPDATE audit SET seq = -1 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4;"
          "UPDATE audit SET seq = 4 WHERE seq = -1",
          "entry 3");
}

static void an_inserted_entry_shows(void)
{
    finds("INSERT INTO audit SELECT 10, at_us, actor, action, object, detail, hash FROM audit"
          " WHERE seq = 9",
          "entry 10");
}

static void a_cut_off_end_shows_by_the_store_and_by_a_kept_head(void)
{
    struct audit head;
    auto_free char *dir = log_with_entries(&head);

    meddle(dir, "DELETE FROM audit WHERE seq > 7");
    CHECK_ERR(verify_at(dir, NULL), ERR_CONFLICT);
    CHECK(strstr(tap_err.msg, "entry 9 was the last one written"));
    /* whoever can do that can also change what the store remembers of the head */
    {
        auto_free char *path = str_fmt("%s/scanpod.db", dir);
        sqlite3 *db;

        CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
        CHECK_INT(sqlite3_exec(db,
                               "UPDATE tally SET next_audit = 8, audit_head ="
                               " (SELECT hash FROM audit WHERE seq = 7)",
                               NULL, NULL, NULL),
                  SQLITE_OK);
        sqlite3_close(db);
    }
    CHECK_INT(verify_at(dir, NULL), 0);
    CHECK_ERR(verify_at(dir, &head), ERR_CONFLICT);
    CHECK(strstr(tap_err.msg, "it ends at entry 7"));
}

static void the_chain_goes_on_after_reopening(void)
{
    struct audit head;
    auto_free char *dir = log_with_entries(&head);
    auto_free char *url = str_fmt("sqlite:%s", dir);
    struct audit now;
    struct store *s;

    CHECK_OK(store_open(url, &s, ERR));
    note(s, "later");
    CHECK_INT(whole(s, &now), ENTRIES + 1);
    CHECK_INT(verify(s, &head), 0);
    store_close(s); /* without a commit */
    CHECK_OK(store_open(url, &s, ERR));
    CHECK_INT(whole(s, &now), ENTRIES);
    CHECK(memcmp(now.hash, head.hash, 32) == 0);
    store_close(s);
}

static void work_until_killed(const char *url, int tell)
{
    struct store *s;

    if (store_open(url, &s, NULL) != 0) {
        _exit(1);
    }
    for (;;) {
        struct audit a = {.at_us = 1, .actor = "a", .action = "scan.submit"};
        struct job j = new_job();

        if (store_job_add(s, &j, NULL) != 0 || store_audit_add(s, &a, NULL) != 0) {
            _exit(2);
        }
        if (j.num % 4 == 0 && (store_commit(s, NULL) != 0 || write(tell, "", 1) != 1)) {
            _exit(3);
        }
        job_done(&j);
    }
}

/* Killed in the middle of a turn, after a few of them. */
static void kill_at_work(const char *url, int turns)
{
    char byte;
    int status;
    int tell[2];
    pid_t pid;

    CHECK_INT(pipe(tell), 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        work_until_killed(url, tell[1]);
    }
    close(tell[1]);
    for (int i = 0; i < turns; i++) {
        CHECK_INT(read(tell[0], &byte, 1), 1);
    }
    CHECK_INT(kill(pid, SIGKILL), 0);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    close(tell[0]);
}

static void a_crash_leaves_a_whole_chain_and_an_entry_for_each_change(void)
{
    auto_free char *url = str_fmt("sqlite:%s/crash", test_dir());
    int64_t counts[JOB_STATES];
    struct audit head;
    int64_t before = 0;

    for (int round = 1; round <= 8; round++) {
        struct store *s;

        kill_at_work(url, round);
        CHECK_OK(store_open(url, &s, ERR));
        store_job_counts(s, counts);
        CHECK_INT(whole(s, &head), counts[JOB_QUEUED]);
        CHECK(head.seq >= before + (int64_t)4 * round);
        before = head.seq;
        store_close(s);
    }
}

BOTH(entries_are_listed_as_they_were_written)
BOTH(an_entry_that_says_nothing_or_is_not_text_is_refused)
BOTH(an_undone_turn_leaves_no_gap)
BOTH(a_head_that_was_kept_must_be_in_the_chain)

TESTS(OF_BOTH(entries_are_listed_as_they_were_written),
      OF_BOTH(an_entry_that_says_nothing_or_is_not_text_is_refused),
      OF_BOTH(an_undone_turn_leaves_no_gap), OF_BOTH(a_head_that_was_kept_must_be_in_the_chain),
      the_canonical_line_is_the_one_that_is_documented,
      text_cannot_move_from_one_member_to_the_next, a_changed_member_shows,
      a_flipped_byte_anywhere_shows, a_dropped_entry_shows, exchanged_entries_show,
      an_inserted_entry_shows, a_cut_off_end_shows_by_the_store_and_by_a_kept_head,
      the_chain_goes_on_after_reopening, a_crash_leaves_a_whole_chain_and_an_entry_for_each_change)
