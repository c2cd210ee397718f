/* What only a store on disk has to do: locks, crashes, full disks, other versions. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/sqlite.h"
#include "store/store.h"
#include "tap.h"

enum { ROUNDS = 20 };

static char *new_dir(void)
{
    static int n;

    return str_fmt("%s/data%d", test_dir(), n++);
}

static struct store *open_store(const char *dir)
{
    auto_free char *url = str_fmt("sqlite:%s", dir);
    struct store *s;

    CHECK_OK(store_open(url, &s, ERR));
    return s;
}

static int open_code(const char *dir)
{
    auto_free char *url = str_fmt("sqlite:%s", dir);
    struct store *s;
    int rc;

    tap_err = (struct err){0};
    rc = store_open(url, &s, ERR);
    if (rc == 0) {
        store_close(s);
    }
    return rc;
}

static int add(struct store *s, const char *targets, struct id *id, struct err *e)
{
    struct job j;
    int rc;

    job_init(&j);
    j.id = *id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup(targets);
    j.key_id = xstrdup("");
    j.max_attempts = 1;
    j.created_us = wall_us();
    rc = store_job_add(s, &j, e);
    job_done(&j);
    return rc;
}

static bool has(struct store *s, const struct id *id)
{
    struct job j = {0};
    int rc = store_job_get(s, id, &j, NULL);

    job_done(&j);
    return rc == 0;
}

static int64_t jobs_in(struct store *s)
{
    int64_t counts[JOB_STATES];
    int64_t n = 0;

    store_job_counts(s, counts);
    for (int i = 0; i < JOB_STATES; i++) {
        n += counts[i];
    }
    return n;
}

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/* ---- the data directory ---- */

static void files_are_for_the_owner_only(void)
{
    static const char *const names[] = {"scanpod.db", "scanpod.db-wal", "scanpod.db-shm", "lock"};
    auto_free char *dir = new_dir();
    mode_t mask = umask(0);
    struct store *s = open_store(dir);
    struct stat st;
    struct id id;

    umask(mask);
    CHECK_OK(add(s, "a", &id, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(stat(dir, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0700);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auto_free char *path = str_fmt("%s/%s", dir, names[i]);

        CHECK_INT(stat(path, &st), 0);
        CHECK_INT(st.st_mode & 0777, 0600);
    }
    store_close(s);
}

static void what_was_committed_is_there_after_reopening(void)
{
    auto_free char *dir = new_dir();
    struct store *s = open_store(dir);
    struct id kept;
    struct id undone;

    CHECK_OK(add(s, "a", &kept, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(add(s, "b", &undone, ERR));
    store_close(s);
    s = open_store(dir);
    CHECK(has(s, &kept));
    CHECK(!has(s, &undone));
    CHECK_INT(jobs_in(s), 1);
    CHECK_INT(store_event_last(s), 1);
    CHECK_OK(add(s, "c", &undone, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(store_event_last(s), 2);
    store_close(s);
}

/* Adds a job of a key. */
static void add_for(struct store *s, const char *key)
{
    struct job j;

    job_init(&j);
    j.id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup("a");
    j.key_id = xstrdup(key);
    j.created_us = wall_us();
    CHECK_OK(store_job_add(s, &j, ERR));
    job_done(&j);
}

static int64_t one_number(struct store *s, const char *sql)
{
    sqlite3_stmt *st;
    int64_t n;

    CHECK_INT(sqlite3_prepare_v2(store_sqlite(s), sql, -1, &st, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

static void what_a_key_used_counts_for_a_day_and_is_removed_after_two(void)
{
    const int64_t hour = INT64_C(3600) * 1000000;
    const int64_t t0 = 480000 * hour;
    struct key k = {.id = "k", .name = "ci", .quota = {2, 3, 0}};
    auto_free char *dir = new_dir();
    struct store *s = open_store(dir);

    add_for(s, "k");
    add_for(s, "k");
    add_for(s, "");
    CHECK_OK(store_key_charge(s, &(struct key){.id = "k"}, 5, t0, NULL, ERR));
    CHECK_OK(store_key_charge(s, &(struct key){.id = "k"}, 5, t0 + hour, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_key_charge(s, &(struct key){.id = "k"}, 5, t0 + hour, NULL, ERR));
    add_for(s, "k");
    store_close(s); /* the last two were not committed */
    s = open_store(dir);
    CHECK_ERR(store_key_charge(s, &k, 1, t0, NULL, ERR), ERR_BUSY);
    CHECK(strstr(tap_err.msg, "2 jobs waiting"));
    k.quota.waiting = 3;
    CHECK_OK(store_key_charge(s, &k, 1, t0 + 2 * hour, NULL, ERR));
    CHECK_ERR(store_key_charge(s, &k, 1, t0 + 2 * hour, NULL, ERR), ERR_BUSY);
    CHECK_OK(store_commit(s, ERR));
    CHECK_INT(one_number(s, "SELECT n FROM key_waiting WHERE key_id = 'k'"), 2);
    CHECK_INT(one_number(s, "SELECT count(*) FROM key_waiting"), 2);
    CHECK_INT(one_number(s, "SELECT count(*) FROM key_use"), 3);
    CHECK_OK(store_key_charge(s, &(struct key){.id = "x"}, 1, t0 + 25 * hour, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
    store_close(s);
    s = open_store(dir);
    CHECK_ERR(store_key_charge(s, &k, 1, t0 + 23 * hour, NULL, ERR), ERR_BUSY); /* set back */
    CHECK_OK(store_key_charge(s, &(struct key){.id = "x"}, 1, t0 + 49 * hour, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
    /* the last of "k", and that of "x", whose place it had a day before */
    CHECK_INT(one_number(s, "SELECT count(*) FROM key_use"), 2);
    store_close(s);
}

/* However many jobs of other keys are queued before it. */
static int steps_of(struct store *s)
{
    int steps = 0;

    for (sqlite3_stmt *st = sqlite3_next_stmt(store_sqlite(s), NULL); st;
         st = sqlite3_next_stmt(store_sqlite(s), st)) {
        steps += sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 1);
        CHECK_INT(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1), 0);
        CHECK_INT(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_SORT, 1), 0);
    }
    return steps;
}

static void a_claim_that_passes_over_keys_does_not_look_at_their_jobs(void)
{
    auto_strvec blocked = {0};
    auto_free char *dir = new_dir();
    struct store *s = open_store(dir);
    struct task t;
    struct job j = {0};
    bool got = false;
    int steps;

    strvec_push(&blocked, "a");
    for (int i = 0; i < 3000; i++) {
        add_for(s, i == 2999 ? "b" : "a");
    }
    CHECK_OK(store_commit(s, ERR));
    steps_of(s);
    CHECK_OK(store_task_claim(s, "w", NULL, &blocked, &t, &j, &got, ERR));
    CHECK(got);
    CHECK_INT(j.num, 3000);
    job_done(&j);
    steps = steps_of(s);
    CHECK(steps > 0 && steps < 600);
    store_close(s);
}

static void a_wrong_address_is_refused(void)
{
    static const char *const bad[] = {"", "sqlite:", "mem", "mem:x", "postgres://x", "/tmp/x"};
    struct store *s;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(store_open(bad[i], &s, ERR), ERR_INVALID);
    }
    CHECK_ERR(store_open("sqlite:/nonexistent/data", &s, ERR), ERR_NOT_FOUND);
    CHECK_ERR(store_open("sqlite:/dev/null", &s, ERR), ERR_IO);
}

/* ---- the lock ---- */

static void a_second_opening_is_refused_and_names_the_first(void)
{
    auto_free char *dir = new_dir();
    auto_free char *pid = str_fmt("process %d", (int)getpid());
    struct store *s = open_store(dir);

    CHECK_INT(open_code(dir), ERR_CONFLICT);
    CHECK(strstr(tap_err.msg, pid));
    CHECK(strstr(tap_err.msg, dir));
    CHECK(strstr(tap_err.msg, "stop it"));
    store_close(s);
    CHECK_INT(open_code(dir), 0);
}

static void a_store_takes_a_lock_that_is_held_already(void)
{
    auto_free char *dir = new_dir();
    auto_free char *url = str_fmt("sqlite:%s", dir);
    struct store *s;
    int fd = -1;

    CHECK_OK(store_lock(dir, &fd, ERR));
    CHECK_INT(open_code(dir), ERR_CONFLICT);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_OK(store_open_locked(url, fd, &s, ERR));
    CHECK_INT(store_lock_fd(s), fd);
    CHECK_INT(open_code(dir), ERR_CONFLICT);
    store_close(s);
    CHECK_INT(fcntl(fd, F_GETFD), -1);
    CHECK_OK(store_open("mem:", &s, ERR));
    CHECK_INT(store_lock_fd(s), -1);
    store_close(s);
}

/*
 * A daemon takes the lock, a child inherits it, the daemon dies. The child goes when `go` closes,
 * or after a while. Gives the daemon's pid.
 */
static pid_t dead_daemon_with_a_child(const char *dir, int go)
{
    int told[2];
    pid_t pid;
    char c;

    CHECK_INT(pipe(told), 0);
    pid = fork();
    if (pid == 0) {
        int fd;

        close(told[0]);
        if (store_lock(dir, &fd, NULL) != 0) {
            _exit(1);
        }
        if (fork() == 0) {
            struct pollfd p = {.fd = go, .events = POLLIN};

            close(told[1]);
            poll(&p, 1, 20000);
            usleep(300000);
            _exit(0);
        }
        _exit(0);
    }
    close(told[1]);
    CHECK_INT(read(told[0], &c, 1), 0);
    close(told[0]);
    CHECK_INT(wait_for(pid), 0);
    return pid;
}

static void the_children_of_a_dead_daemon_are_waited_for(void)
{
    auto_free char *dir = new_dir();
    int go[2];

    CHECK_INT(pipe2(go, O_CLOEXEC), 0);
    dead_daemon_with_a_child(dir, go[0]);
    CHECK_INT(write(go[1], "x", 1), 1);
    CHECK_INT(open_code(dir), 0);
    close(go[0]);
    close(go[1]);
}

static void children_that_do_not_go_are_named_in_the_end(void)
{
    auto_free char *dir = new_dir();
    auto_free char *who = NULL;
    int go[2];

    CHECK_INT(pipe2(go, O_CLOEXEC), 0);
    who = str_fmt("children of process %d", (int)dead_daemon_with_a_child(dir, go[0]));
    CHECK_INT(open_code(dir), ERR_CONFLICT);
    CHECK(strstr(tap_err.msg, who));
    CHECK_INT(write(go[1], "x", 1), 1);
    CHECK_INT(open_code(dir), 0);
    close(go[0]);
    close(go[1]);
}

/* ---- other files, other versions ---- */

static void run_sql(const char *dir, const char *sql, int want)
{
    auto_free char *path = str_fmt("%s/scanpod.db", dir);
    sqlite3 *db;

    CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_INT(sqlite3_exec(db, sql, NULL, NULL, NULL), want);
    sqlite3_close(db);
}

static void a_database_of_a_newer_version_is_refused(void)
{
    auto_free char *dir = new_dir();

    CHECK_INT(open_code(dir), 0);
    run_sql(dir, "INSERT INTO schema_version VALUES (999, 1)", SQLITE_OK);
    CHECK_INT(open_code(dir), ERR_CONFLICT);
    CHECK(strstr(tap_err.msg, "newer scanpod"));
    CHECK(strstr(tap_err.msg, "999"));
    run_sql(dir, "DELETE FROM schema_version WHERE version = 999", SQLITE_OK);
    CHECK_INT(open_code(dir), 0);
}

static void a_database_from_before_the_release_is_refused_and_left_alone(void)
{
    auto_free char *dir = new_dir();

    CHECK_INT(open_code(dir), 0);
    run_sql(dir, "PRAGMA user_version = 0", SQLITE_OK);
    CHECK_INT(open_code(dir), ERR_CONFLICT);
    CHECK(strstr(tap_err.msg, "before the first release"));
    CHECK(strstr(tap_err.msg, "another data directory"));
    run_sql(dir, "PRAGMA user_version = 6", SQLITE_OK);
    CHECK_INT(open_code(dir), 0);
}

/* As the first version left it: one job that had waited for its turn, with its texts. */
static void make_version_1(const char *dir, struct id *id)
{
    static const char rows[] =
        "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_us INTEGER NOT NULL)"
        " STRICT; INSERT INTO schema_version VALUES (1, 1);"
        "INSERT INTO tool VALUES (1, 'nmap');"
        "INSERT INTO job (num, id, rev, state, tool, targets, run_timeout_s, queue_timeout_s,"
        " priority, max_attempts, key_id, old_route, clip, planned, created_us, run_at_us,"
        " queue_expires_us) VALUES (1, x'%s', 1, 1, 1, '192.0.2.1', 60, 0, 4, 1, '', 0, 0, 0, 5, 0,"
        " 0);"
        "INSERT INTO job_text (job_num, pins) VALUES (1, 'a.example=192.0.2.1');"
        "INSERT INTO event VALUES (1, 5, 0, x'%s', '{}');"
        "UPDATE tally SET queued = 1, next_job = 2, next_event = 2, created_max_us = 5;";
    char text[ID_TEXT + 1];
    auto_free char *sql = NULL;

    *id = id_new();
    id_text(id, text);
    sql = str_fmt(rows, text, text);
    CHECK_INT(mkdir(dir, 0700), 0);
    CHECK_INT(sqlite_migrations[0].version, 1);
    run_sql(dir, sqlite_migrations[0].sql, SQLITE_OK);
    run_sql(dir, sql, SQLITE_OK);
}

static void a_database_of_the_first_version_is_migrated_and_nothing_is_lost(void)
{
    auto_free char *dir = new_dir();
    struct job j = {0};
    struct store *s;
    struct id id;

    make_version_1(dir, &id);
    for (int i = 0; i < 2; i++) { /* and then it is as any other */
        s = open_store(dir);
        CHECK_INT(one_number(s, "SELECT max(version) FROM schema_version"), 2);
        CHECK_INT(one_number(s, "PRAGMA user_version"), 6);
        CHECK_OK(store_job_get(s, &id, &j, ERR));
        CHECK_STR(j.targets, "192.0.2.1");
        CHECK_STR(j.pins, "a.example=192.0.2.1");
        CHECK_STR(j.repo, NULL);
        job_done(&j);
        CHECK(store_task_ready(s, NULL));
        CHECK_INT(jobs_in(s), i + 1);
        CHECK_OK(add(s, "b", &(struct id){{0}}, ERR));
        CHECK_OK(store_commit(s, ERR));
        CHECK_OK(store_check(s, ERR));
        store_close(s);
    }
}

static void a_first_version_from_before_the_release_is_not_migrated(void)
{
    auto_free char *dir = new_dir();
    struct id id;

    make_version_1(dir, &id);
    run_sql(dir, "PRAGMA user_version = 4", SQLITE_OK);
    CHECK_INT(open_code(dir), ERR_CONFLICT);
    run_sql(dir, "PRAGMA user_version = 5", SQLITE_OK);
    CHECK_INT(open_code(dir), 0);
}

static void a_file_that_is_no_database_is_refused_and_left_alone(void)
{
    auto_free char *dir = new_dir();
    auto_free char *path = str_fmt("%s/scanpod.db", dir);
    static const char text[] = "this is not a database, it is a text that is long enough to tell";
    char got[sizeof text];
    int fd;

    CHECK_INT(mkdir(dir, 0700), 0);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_INT(write(fd, text, sizeof text), sizeof text);
    CHECK_INT(open_code(dir), ERR_IO);
    CHECK(strstr(tap_err.msg, path));
    CHECK_INT(pread(fd, got, sizeof got, 0), sizeof text);
    CHECK(memcmp(got, text, sizeof text) == 0);
    close(fd);
}

static void the_schema_allows_the_moves_of_the_table_and_no_others(void)
{
    auto_free char *dir = new_dir();
    struct store *s = open_store(dir);
    struct id id;

    CHECK_OK(add(s, "a", &id, ERR));
    CHECK_OK(store_commit(s, ERR));
    store_close(s);
    for (int from = 0; from < JOB_STATES; from++) {
        for (int to = 0; to < JOB_STATES; to++) {
            bool may = from == to || job_state_may((enum job_state)from, (enum job_state)to);
            auto_free char *set =
                str_fmt("DROP TRIGGER IF EXISTS off; PRAGMA ignore_check_constraints = ON;"
                        "CREATE TEMP TABLE j AS SELECT * FROM job; DELETE FROM job;"
                        "UPDATE j SET state = %d, completed_us = %d, run_at_us = 1;"
                        "INSERT INTO job SELECT * FROM j;",
                        from, from >= JOB_COMPLETED);
            auto_free char *move =
                str_fmt("%s PRAGMA ignore_check_constraints = OFF;"
                        "UPDATE job SET state = %d, completed_us = %d,"
                        " run_at_us = %d",
                        set, to, to >= JOB_COMPLETED, to == JOB_SCHEDULED || to == JOB_WAITING);

            run_sql(dir, move, may ? SQLITE_OK : SQLITE_CONSTRAINT);
        }
    }
}

static void the_schema_refuses_states_that_make_no_sense(void)
{
    static const char *const bad[] = {
        "UPDATE job SET state = 8",
        "UPDATE job SET state = 3, completed_us = 5",
        "UPDATE job SET state = 5, completed_us = 0",
        "UPDATE job SET priority = 10",
        "UPDATE job SET targets = NULL",
        "UPDATE job SET id = x'00'",
        "INSERT INTO task VALUES (1, 0, 3, 5, 1, 0, 0, 0, 0, 0, 0, 'w', 0, 0, 0)",
        "UPDATE tally SET queued = -1",
        "INSERT INTO tally SELECT 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 1, zeroblob(32),"
        " 0, 0, 0, 1, 1, 1",
        "UPDATE tally SET tasks_timed = -1",
        "INSERT INTO planned VALUES (1, NULL, 4, 0, 1, 2, 1, 0, 0)",
        "INSERT INTO planned VALUES (1, NULL, 4, 0, 2, 1, 2, 0, 0)",
        "INSERT INTO planned VALUES (1, NULL, 4, 0, 2, 1, 0, 2, 0)",
        "INSERT INTO planned VALUES (1, NULL, 4, 0, 4097, 1, 0, 0, 0)",
        "UPDATE tally SET audit_head = x'00'",
        "UPDATE job SET run_at_us = 5",
        "UPDATE job SET state = 2, run_at_us = 0",
        "UPDATE job SET state = 2, run_at_us = 5, queue_expires_us = 6",
        "UPDATE job SET clip = 2",
        "INSERT INTO task VALUES (1, 0, 2, 5, 1, 1, 0, 0, 0, 0, 0, 'w', 0, 0, 0)",
        "INSERT INTO key_waiting VALUES ('k', 0)",
        "INSERT INTO key_use VALUES ('k', 24, 1, 1, 1)",
        "UPDATE audit SET detail = '{}'",
        "DELETE FROM audit",
    };
    auto_free char *dir = new_dir();
    struct store *s = open_store(dir);
    struct id id;

    CHECK_OK(add(s, "a", &id, ERR));
    CHECK_OK(store_audit_add(s, &(struct audit){.actor = "a", .action = "b"}, ERR));
    CHECK_OK(store_commit(s, ERR));
    store_close(s);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        run_sql(dir, bad[i], SQLITE_CONSTRAINT);
    }
}

static int64_t rows_in(struct store *s, const char *table)
{
    auto_free char *sql = str_fmt("SELECT count(*) FROM %s", table);
    sqlite3_stmt *st;
    int64_t n;

    CHECK_INT(sqlite3_prepare_v2(store_sqlite(s), sql, -1, &st, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

/* Two tries with hosts and raw files, an unfinished host, then the end. */
static void run_it(struct store *s, bool last)
{
    struct outcome o = {.state = last ? JOB_COMPLETED : JOB_FAILED,
                        .retryable = true,
                        .stderr_tail = "words",
                        .raw_path = "ab/raw"};
    struct host h = {.state = "up", .reason_ttl = -1};
    struct port p = {.number = 1, .protocol = "tcp", .state = "open"};
    struct task t;
    struct job j = {0};
    bool got = false;
    struct lease l;
    int64_t seq;

    CHECK_OK(store_task_claim(s, "w", NULL, NULL, &t, &j, &got, ERR));
    CHECK(got);
    job_done(&j);
    l = (struct lease){t.job_id, t.idx, t.epoch, t.token};
    for (int i = 0; i < 3; i++) {
        CHECK_OK(store_host_begin(s, &l, &h, &seq, ERR));
        CHECK_OK(store_host_port(s, &p, ERR));
        if (i < 2) {
            CHECK_OK(store_host_end(s, ERR));
        }
        CHECK_OK(store_commit(s, ERR));
    }
    CHECK_OK(store_task_finish(s, &l, &o, 1, NULL, ERR));
    CHECK_OK(store_task_due(s, INT64_MAX, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
}

static void nothing_stays_behind_of_a_deleted_job(void)
{
    static const char *const tables[] = {"job",  "job_text", "task", "host",
                                         "port", "blob",     "purge"};
    auto_free char *dir = new_dir();
    struct store *s = open_store(dir);
    bool more = true;
    int files = 0;
    struct job j;

    job_init(&j);
    j.id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup("192.0.2.1");
    j.max_attempts = 2;
    CHECK_OK(store_job_add(s, &j, ERR));
    run_it(s, false);
    run_it(s, true);
    CHECK_OK(store_job_delete(s, &j.id, ERR));
    job_done(&j);
    while (more) {
        char *path = NULL;
        int64_t id;

        CHECK_OK(store_purge_step(s, 1, &more, &path, &id, ERR));
        if (path) {
            CHECK_OK(store_purge_done(s, id, ERR));
            files++;
        }
        free(path);
        CHECK_OK(store_commit(s, ERR));
    }
    CHECK_INT(files, 2);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        if (rows_in(s, tables[i]) != 0) {
            tap_fail(__FILE__, __LINE__, "rows stay in %s", tables[i]);
        }
    }
    store_close(s);
}

/* ---- the log ---- */

static int64_t size_of(const char *dir, const char *name)
{
    auto_free char *path = str_fmt("%s/%s", dir, name);
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : -1;
}

static void the_log_is_moved_into_the_database_only_when_idle(void)
{
    auto_free char *dir = new_dir();
    auto_free char *big = xmalloc(60001);
    struct store *s = open_store(dir);
    int64_t before;
    struct store_stats st;
    struct id id;

    memset(big, 'x', 60000);
    big[60000] = '\0';
    before = size_of(dir, "scanpod.db");
    for (int i = 0; i < 160; i++) {
        CHECK_OK(add(s, big, &id, ERR));
        CHECK_OK(store_commit(s, ERR));
    }
    store_stats(s, &st);
    CHECK(st.log_bytes > 8 << 20);
    CHECK_INT(size_of(dir, "scanpod.db"), before);
    store_idle(s);
    CHECK(size_of(dir, "scanpod.db") > 8 << 20);
    CHECK_OK(add(s, "a", &id, ERR));
    CHECK_OK(store_commit(s, ERR));
    store_stats(s, &st);
    CHECK(st.log_bytes < 1 << 20); /* it started over */
    CHECK_INT(st.commits, 161);
    store_idle(s);
    CHECK_OK(store_check(s, ERR));
    store_close(s);
}

/* ---- full disks ---- */

static void set_pages(struct store *s, int pages)
{
    auto_free char *sql = str_fmt("PRAGMA max_page_count = %d", pages);

    CHECK_INT(sqlite3_exec(store_sqlite(s), sql, NULL, NULL, NULL), SQLITE_OK);
}

/* Adds in turns until it fails; gives the code and keeps the last id that was committed. */
static int fill(struct store *s, struct id *kept, int64_t *n)
{
    auto_free char *big = xmalloc(8001);
    struct id id;
    int rc = 0;

    memset(big, 'x', 8000);
    big[8000] = '\0';
    for (int i = 0; i < 2000; i++) {
        rc = add(s, big, &id, ERR);
        if (rc == 0) {
            rc = store_commit(s, ERR);
        }
        if (rc != 0) {
            break;
        }
        *kept = id;
        ++*n;
    }
    return rc;
}

static void a_full_database_breaks_the_turn_and_works_again_with_space(void)
{
    auto_free char *dir = new_dir();
    struct store *s = open_store(dir);
    int64_t n = 0;
    int64_t events;
    struct id kept = {0};
    struct id id;
    struct store_stats st;
    int rc;

    set_pages(s, 200);
    rc = fill(s, &kept, &n);
    CHECK_INT(rc, ERR_FULL);
    CHECK(n > 0);
    events = store_event_last(s);
    CHECK_INT(events, n);
    if (store_dirty(s)) { /* it failed before the commit: everything fails until then */
        CHECK_ERR(add(s, "b", &id, ERR), ERR_FULL);
        CHECK_ERR(store_job_delete(s, &kept, ERR), ERR_FULL);
        CHECK_ERR(store_commit(s, ERR), ERR_FULL);
    }
    CHECK(!store_dirty(s));
    CHECK_INT(jobs_in(s), n);
    CHECK(has(s, &kept));
    store_stats(s, &st);
    CHECK_INT(st.failed_commits, 1);
    set_pages(s, 100000);
    CHECK_OK(add(s, "c", &id, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK(has(s, &id));
    CHECK_INT(jobs_in(s), n + 1);
    CHECK_INT(store_event_last(s), n + 1);
    CHECK_OK(store_check(s, ERR));
    store_close(s);
    s = open_store(dir);
    CHECK_INT(jobs_in(s), n + 1);
    store_close(s);
}

/* The log cannot grow: writes to it fail in the commit. */
static void a_write_that_fails_in_the_commit_is_undone(void)
{
    auto_free char *dir = new_dir();
    struct store *s = open_store(dir);
    struct rlimit old;
    struct rlimit low;
    int64_t n = 0;
    struct id kept = {0};
    struct id id;
    int rc;

    CHECK_INT(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &low), 0);
    rc = fill(s, &kept, &n);
    if (store_dirty(s)) {
        struct err e;

        store_commit(s, &e);
    }
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    CHECK_INT(rc, ERR_FULL);
    CHECK(n > 0);
    CHECK_INT(jobs_in(s), n);
    CHECK(has(s, &kept));
    CHECK_OK(add(s, "c", &id, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_check(s, ERR));
    store_close(s);
    s = open_store(dir);
    CHECK_INT(jobs_in(s), n + 1);
    CHECK(has(s, &kept));
    CHECK(has(s, &id));
    CHECK_OK(store_check(s, ERR));
    store_close(s);
}

/* ---- crashes ---- */

static int add_planned(struct store *s, struct id *id)
{
    static const struct task_new tasks[] = {{.spec = "1"}, {.spec = "2"}, {.spec = "3"}};
    struct job j;
    int rc;

    job_init(&j);
    j.id = *id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup("192.0.2.1");
    j.plan = xstrdup("{}");
    j.created_us = wall_us();
    rc = store_job_add(s, &j, NULL);
    job_done(&j);
    return rc == 0 ? store_task_add(s, id, tasks, ARRAY_LEN(tasks), NULL, NULL) : rc;
}

/* Adds, claims and ends jobs for ever; tells each id after the commit that has it. */
static void work_until_killed(const char *dir, int tell)
{
    auto_free char *url = str_fmt("sqlite:%s", dir);
    struct id ids[8];
    struct store *s;

    if (store_open(url, &s, NULL) != 0) {
        _exit(1);
    }
    for (unsigned turn = 0;; turn++) {
        unsigned n = 1 + turn % 8;

        for (unsigned i = 0; i < n; i++) {
            struct task t;
            struct job j = {0};
            bool got = false;

            if ((i == 0 ? add_planned(s, &ids[i]) : add(s, "192.0.2.1", &ids[i], NULL)) != 0 ||
                store_task_claim(s, "w", NULL, NULL, &t, &j, &got, NULL) != 0) {
                _exit(2);
            }
            job_done(&j);
            if (got && (i + turn) % 2) {
                struct lease l = {t.job_id, t.idx, t.epoch, t.token};

                store_task_finish(s, &l, &(struct outcome){.state = JOB_COMPLETED}, 0, NULL, NULL);
            }
        }
        if (store_commit(s, NULL) != 0) {
            _exit(3);
        }
        if (write(tell, ids, n * sizeof *ids) < 0) {
            _exit(4);
        }
        if (turn % 16 == 15) {
            store_idle(s);
        }
    }
}

/* Reads what the child tells for a while, kills it, reads the rest. */
static void crash(const char *dir, unsigned after_us, struct buf *told)
{
    char chunk[4096];
    ssize_t n;
    int64_t end = boot_us() + after_us;
    int fds[2];
    pid_t pid;

    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        work_until_killed(dir, fds[1]);
    }
    close(fds[1]);
    /* the first turn must be over, then any moment will do */
    n = read(fds[0], chunk, sizeof chunk);
    buf_add(told, chunk, n > 0 ? (size_t)n : 0);
    while (n > 0 && boot_us() < end) {
        struct pollfd p = {.fd = fds[0], .events = POLLIN};

        if (poll(&p, 1, 1) > 0 && (n = read(fds[0], chunk, sizeof chunk)) > 0) {
            buf_add(told, chunk, (size_t)n);
        }
    }
    kill(pid, SIGKILL);
    while ((n = read(fds[0], chunk, sizeof chunk)) > 0) {
        buf_add(told, chunk, (size_t)n);
    }
    close(fds[0]);
    CHECK_INT(WTERMSIG(wait_for(pid)), SIGKILL);
}

struct tallies {
    int64_t counts[JOB_STATES];
    int64_t after;
    int n;
};

static int count(void *arg, int64_t num, const struct id *id, enum job_state st)
{
    struct tallies *t = arg;

    (void)id;
    t->counts[st]++;
    t->after = num;
    t->n++;
    return 0;
}

static void check_counts(struct store *s)
{
    struct tallies t = {.n = 1};
    int64_t counts[JOB_STATES];

    while (t.n > 0) {
        struct job_filter f = {.after = t.after, .oldest_first = true};

        t.n = 0;
        CHECK_OK(store_job_heads(s, &f, count, &t, ERR));
    }
    store_job_counts(s, counts);
    CHECK(memcmp(counts, t.counts, sizeof counts) == 0);
    CHECK_INT(one_number(s, "SELECT count(*) FROM planned WHERE tasks_left <> (SELECT count(*)"
                            " FROM task WHERE task.job_num = planned.job_num AND state < 4)"
                            " OR tasks_queued <> (SELECT count(*) FROM task"
                            " WHERE task.job_num = planned.job_num AND state = 1)"
                            " OR tasks <> (SELECT count(*) FROM part"
                            " WHERE part.job_num = planned.job_num)"),
              0);
    CHECK_INT(one_number(s, "SELECT tasks_timed - (SELECT count(*) FROM task JOIN planned"
                            " USING (job_num) WHERE state IN (0, 2)) FROM tally"),
              0);
}

static void no_job_that_was_told_is_lost_in_a_crash(void)
{
    auto_free char *dir = new_dir();
    unsigned seed = 1;
    auto_buf told = {0};

    for (int round = 0; round < ROUNDS; round++) {
        struct store *s;

        random_bytes(&seed, sizeof seed);
        crash(dir, seed % 60000, &told);
        s = open_store(dir);
        for (size_t i = 0; i + sizeof(struct id) <= told.len; i += sizeof(struct id)) {
            struct id id;

            memcpy(&id, told.data + i, sizeof id);
            CHECK(has(s, &id));
        }
        check_counts(s);
        CHECK_OK(store_check(s, ERR));
        store_close(s);
    }
    printf("# %zu jobs told in %d rounds\n", told.len / sizeof(struct id), ROUNDS);
}

TESTS(files_are_for_the_owner_only, what_was_committed_is_there_after_reopening,
      what_a_key_used_counts_for_a_day_and_is_removed_after_two,
      a_claim_that_passes_over_keys_does_not_look_at_their_jobs, a_wrong_address_is_refused,
      a_second_opening_is_refused_and_names_the_first, a_store_takes_a_lock_that_is_held_already,
      the_children_of_a_dead_daemon_are_waited_for, children_that_do_not_go_are_named_in_the_end,
      a_database_of_a_newer_version_is_refused,
      a_database_from_before_the_release_is_refused_and_left_alone,
      a_database_of_the_first_version_is_migrated_and_nothing_is_lost,
      a_first_version_from_before_the_release_is_not_migrated,
      a_file_that_is_no_database_is_refused_and_left_alone,
      the_schema_allows_the_moves_of_the_table_and_no_others,
      the_schema_refuses_states_that_make_no_sense, nothing_stays_behind_of_a_deleted_job,
      the_log_is_moved_into_the_database_only_when_idle,
      a_full_database_breaks_the_turn_and_works_again_with_space,
      a_write_that_fails_in_the_commit_is_undone, no_job_that_was_told_is_lost_in_a_crash)
