/*
 * How issues live on over random histories of scans, against a plain model of the rules; and what
 * is left of them when the process is killed in the middle.
 *
 * A tree has some of the weaknesses a..p. Two engines know some of them each. A scan reports what
 * is there and what its engines saw; engines fail, miss files, files are left out, jobs fail, are
 * cancelled, and end in another order than they were submitted.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "store_scan_rig.h"

enum { LETTERS = 16, ENGINES = 2, SCANS = 150, ROUNDS = 15 };

struct rng {
    uint64_t x;
};

static uint32_t below(struct rng *r, uint32_t n)
{
    uint64_t z = (r->x += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) % n);
}

static bool chance(struct rng *r, uint32_t percent)
{
    return below(r, 100) < percent;
}

static const char *const engine_names[ENGINES] = {"e0", "e1"};

/* ---- a scan: what there is, and what it sees ---- */

struct view {
    char reported[LETTERS];        /* its name as it was reported, 0: it was not */
    unsigned engines[LETTERS];     /* bits: which reported it */
    bool whole[ENGINES];           /* the engine ran whole, */
    bool misses[ENGINES][LETTERS]; /* but for these files */
    bool skipped[LETTERS];
    bool diff, none; /* baseline "none" */
    enum job_state end;
};

static unsigned knows(int letter)
{
    return letter % 3 == 0 ? 1u : letter % 3 == 1 ? 2u : 3u;
}

static void draw_view(struct rng *r, const char tree[LETTERS], struct view *v)
{
    static const enum job_state ends[] = {JOB_FAILED, JOB_CANCELLED, JOB_TIMED_OUT};

    *v = (struct view){.diff = chance(r, 8), .none = chance(r, 8)};
    v->end = chance(r, 80) ? JOB_COMPLETED : ends[below(r, 3)];
    for (int i = 0; i < LETTERS; i++) {
        v->skipped[i] = chance(r, 5);
    }
    for (int en = 0; en < ENGINES; en++) {
        v->whole[en] = chance(r, 75);
        for (int i = 0; i < LETTERS; i++) {
            bool sees = v->whole[en] || chance(r, 40);

            v->misses[en][i] = chance(r, 6);
            if (tree[i] && sees && !v->misses[en][i] && !v->skipped[i] && (knows(i) & 1u << en)) {
                v->engines[i] |= 1u << en;
                v->reported[i] = tree[i];
            }
        }
    }
}

static char *run_text(const struct view *v)
{
    struct buf t = {0};
    const char *comma = "";

    buf_adds(&t, "{\"branch\":\"main\",\"assessment\":\"complete\",\"files\":{\"skipped\":[");
    for (int i = 0; i < LETTERS; i++) {
        if (v->skipped[i]) {
            buf_addf(&t, "%s{\"path\":\"src/%c.c\",\"why\":\"large\"}", comma, 'a' + i);
            comma = ",";
        }
    }
    buf_adds(&t, "]},\"engines\":[");
    for (int en = 0; en < ENGINES; en++) {
        buf_addf(&t, "%s{\"name\":\"%s\",\"status\":\"%s\",\"missed\":[", en ? "," : "",
                 engine_names[en], v->whole[en] ? "ok" : "partial");
        comma = "";
        for (int i = 0; i < LETTERS; i++) {
            if (v->misses[en][i]) {
                buf_addf(&t, "%s{\"path\":\"src/%c.c\"}", comma, 'a' + i);
                comma = ",";
            }
        }
        buf_adds(&t, "]}");
    }
    buf_adds(&t, "]}");
    return buf_take(&t);
}

static void tell_findings(struct store *s, const struct lease *l, const struct view *v)
{
    for (int i = 0; i < LETTERS; i++) {
        struct sample m;
        struct finding *f = sample_of(&m, v->reported[i] ? v->reported[i] : 'z');

        f->n_engines = 0;
        for (int en = 0; en < ENGINES; en++) {
            if (v->engines[i] & 1u << en) {
                f->engines[f->n_engines++] = (struct finding_engine){.name = engine_names[en]};
            }
        }
        if (v->reported[i]) {
            CHECK_OK(store_finding_add(s, l, f, ERR));
        }
    }
}

/* ---- the plain model ---- */

struct plain {
    bool known[LETTERS], open[LETTERS];
    char as[LETTERS];          /* how it was reported last */
    unsigned engines[LETTERS]; /* that have yet to prove that it is gone */
    int64_t newest;            /* job */
};

static bool proves(const struct view *v, int en, int i)
{
    return v->whole[en] && !v->misses[en][i] && !v->skipped[i];
}

static enum finding_life life_of(const struct plain *p, const struct view *v, int i)
{
    if (v->reported[i]) {
        return !p->known[i]                 ? LIFE_NEW
               : !p->open[i]                ? LIFE_REOPENED
               : p->as[i] != v->reported[i] ? LIFE_UPDATED
                                            : LIFE_UNCHANGED;
    }
    for (int en = 0; en < ENGINES; en++) {
        if ((p->engines[i] & 1u << en) && !proves(v, en, i)) {
            return LIFE_UNKNOWN;
        }
    }
    return v->end == JOB_COMPLETED && !v->diff ? LIFE_FIXED : LIFE_UNKNOWN;
}

static void move_on(struct plain *p, const struct view *v, int64_t job)
{
    if (v->end != JOB_COMPLETED || job < p->newest) {
        return;
    }
    p->newest = job;
    for (int i = 0; i < LETTERS; i++) {
        if (v->reported[i]) {
            unsigned left = p->known[i] ? p->engines[i] : 0;

            for (int en = 0; en < ENGINES; en++) {
                left &= proves(v, en, i) ? ~(1u << en) : ~0u;
            }
            p->known[i] = p->open[i] = true;
            p->as[i] = v->reported[i];
            p->engines[i] = v->engines[i] | left;
        } else if (p->open[i] && life_of(p, v, i) == LIFE_FIXED) {
            p->open[i] = false;
        }
    }
}

/* ---- what the store says ---- */

static int note_life(void *arg, const struct finding_row *r, struct err *e)
{
    int *lives = arg;
    int i = (name_of(r) | 0x20) - 'a';

    (void)e;
    CHECK(i >= 0 && i < LETTERS);
    CHECK_INT(lives[i], -1);
    lives[i] = (int)r->life;
    return 0;
}

static int note_open(void *arg, const struct finding_row *r, struct err *e)
{
    int *open = arg;
    int i = (name_of(r) | 0x20) - 'a';

    (void)e;
    CHECK_INT(open[i], -1);
    open[i] = r->open;
    return 0;
}

/* A scan that did not complete and reported nothing is not compared. */
static bool compared(const struct view *v)
{
    bool any = v->end == JOB_COMPLETED;

    for (int i = 0; i < LETTERS; i++) {
        any = any || v->reported[i];
    }
    return any;
}

static void check_lives(struct store *s, int64_t job, const struct plain *p, const struct view *v)
{
    struct finding_filter f = all_findings();
    struct repo_scan figures;
    int64_t counts[LIFES] = {0};
    int got[LETTERS];

    memset(got, -1, sizeof got);
    f.lives = (1u << LIFES) - 1;
    CHECK_OK(store_findings(s, job, &f, note_life, got, ERR));
    for (int i = 0; i < LETTERS; i++) {
        int want =
            v->reported[i] || (p->open[i] && !v->none && compared(v)) ? (int)life_of(p, v, i) : -1;

        if (v->none && v->reported[i]) {
            want = LIFE_NEW;
        }
        CHECK_INT(got[i], want);
        if (want >= 0) {
            counts[want]++;
        }
    }
    CHECK_OK(store_repo_scan(s, job, &figures, ERR));
    CHECK(memcmp(figures.life, counts, sizeof counts) == 0);
    repo_scan_done(&figures);
}

static void check_open(struct store *s, const struct plain *p)
{
    struct finding_filter f = all_findings();
    int got[LETTERS];

    memset(got, -1, sizeof got);
    CHECK_OK(store_issues(s, &f, note_open, got, ERR));
    for (int i = 0; i < LETTERS; i++) {
        CHECK_INT(got[i], p->known[i] ? (int)p->open[i] : -1);
    }
}

static struct lease begin(struct store *s, bool diff, bool none, int64_t *num)
{
    auto_free char *request =
        str_fmt("{\"url\":\"https://git.example/a\",\"branch\":\"main\"%s%s}",
                diff ? ",\"base\":\"1\"" : "", none ? ",\"baseline\":\"none\"" : "");
    struct id id = submit(s, request);
    struct lease l = claim(s);

    *num = num_of(s, &id);
    return l;
}

/* The tree changes a little: weaknesses come, go, and are written otherwise. */
static void change(struct rng *r, char tree[LETTERS])
{
    for (uint32_t n = below(r, 5); n > 0; n--) {
        uint32_t i = below(r, LETTERS);

        tree[i] = (char)(chance(r, 40) ? 0 : (chance(r, 70) ? 'a' : 'A') + (int)i);
    }
}

static void finish_one(struct store *s, struct plain *p, const struct lease *l, int64_t num,
                       const struct view *v)
{
    auto_free char *run = run_text(v);

    tell_findings(s, l, v);
    if (num % 5 == 0) {
        CHECK_OK(store_commit(s, ERR));
    }
    end_scan(s, l, v->end, run);
    check_lives(s, num, p, v);
    move_on(p, v, num);
    check_open(s, p);
    CHECK_OK(store_commit(s, ERR));
}

static void issues_live_as_the_rules_say(struct store *s)
{
    uint64_t seed = (uint64_t)wall_us() % 1000000000;
    struct rng r = {seed};
    struct plain p = {.newest = 0};
    char tree[LETTERS] = {0};
    int64_t num;

    printf("# seed %llu\n", (unsigned long long)seed);
    for (int n = 0; n < SCANS; n++) {
        bool overtaken = chance(&r, 10);
        struct view late;
        struct view v;
        struct lease late_lease = {.idx = 0};
        struct lease l;
        int64_t late_num = 0;

        clock_us += 1000;
        change(&r, tree);
        if (overtaken) {
            draw_view(&r, tree, &late);
            late_lease = begin(s, late.diff, late.none, &late_num);
            change(&r, tree);
        }
        draw_view(&r, tree, &v);
        l = begin(s, v.diff, v.none, &num);
        finish_one(s, &p, &l, num, &v);
        if (overtaken) {
            finish_one(s, &p, &late_lease, late_num, &late);
        }
    }
}

/* ---- killed in the middle ---- */

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

struct running {
    struct task v[64];
    int n;
};

static int note_task(void *arg, const struct task *t, struct err *e)
{
    struct running *r = arg;

    (void)e;
    if (r->n < 64) {
        r->v[r->n++] = *t;
    }
    return 0;
}

static void lose_all(struct store *s)
{
    struct running r = {.n = 0};

    CHECK_OK(store_task_running(s, note_task, &r, ERR));
    for (int i = 0; i < r.n; i++) {
        struct lease l = lease_of(&r.v[i]);

        CHECK_OK(store_task_lost(s, &l, TASK_BEAT_ANY, NULL, ERR));
    }
    CHECK_OK(store_commit(s, ERR));
}

/* Scans for ever, deletes the oldest, and tells of each scan that was committed. */
static void work(const char *url, int fd, uint64_t seed)
{
    struct rng r = {seed};
    char tree[LETTERS] = {0};
    struct store *s;

    CHECK_OK(store_open(url, &s, ERR));
    lose_all(s);
    for (;;) {
        auto_free char *run = NULL;
        struct lease l;
        struct view v;
        int64_t num;
        char *path = NULL;
        int64_t id;
        bool more;

        change(&r, tree);
        draw_view(&r, tree, &v);
        run = run_text(&v);
        if (store_task_ready(s, NULL)) { /* one that was lost */
            l = claim(s);
            num = 0;
        } else {
            l = begin(s, v.diff, v.none, &num);
        }
        CHECK_OK(store_commit(s, ERR));
        tell_findings(s, &l, &v);
        CHECK_OK(store_commit(s, ERR));
        end_scan(s, &l, v.end, run);
        if (chance(&r, 30)) {
            CHECK_OK(store_job_expire(s, INT64_MAX, 1, NULL, ERR));
        }
        CHECK_OK(store_purge_step(s, 5, &more, &path, &id, ERR));
        CHECK_OK(store_commit(s, ERR));
        if (write(fd, &l.job_id, sizeof l.job_id) != (ssize_t)sizeof l.job_id) {
            _exit(1);
        }
    }
}

static size_t crash(const char *url, struct buf *told)
{
    uint64_t seed;
    int fds[2];
    pid_t pid;
    char chunk[4096];
    ssize_t n;

    random_bytes(&seed, sizeof seed);
    CHECK_INT(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        work(url, fds[1], seed);
        _exit(1);
    }
    close(fds[1]);
    buf_reset(told);
    n = read(fds[0], chunk, sizeof chunk);
    buf_add(told, chunk, n > 0 ? (size_t)n : 0);
    usleep((useconds_t)(seed % 120000)); /* any moment will do */
    kill(pid, SIGKILL);
    while ((n = read(fds[0], chunk, sizeof chunk)) > 0) {
        buf_add(told, chunk, (size_t)n);
    }
    close(fds[0]);
    CHECK_INT(WTERMSIG(wait_for(pid)), SIGKILL);
    return told->len / sizeof(struct id);
}

static int count_row(void *arg, const struct finding_row *r, struct err *e)
{
    int64_t *n = arg;

    (void)e;
    n[r->life]++;
    return 0;
}

static int check_job(void *arg, const struct job *j, struct err *e)
{
    struct buf *nums = arg;

    (void)e;
    buf_add(nums, &j->num, sizeof j->num);
    return 0;
}

struct totals {
    int64_t open, repos_open;
};

static int count_open(void *arg, const struct finding_row *r, struct err *e)
{
    struct totals *t = arg;

    (void)e;
    t->open += r->open;
    return 0;
}

static int count_repo(void *arg, const struct repo_row *r, struct err *e)
{
    struct totals *t = arg;

    (void)e;
    t->repos_open += r->open;
    return 0;
}

/* Every scan is compared whole or not at all, and what is counted is there. */
static void check_whole(struct store *s)
{
    struct finding_filter f = all_findings();
    struct totals t = {0};
    auto_buf nums = {0};

    f.lives = (1u << LIFES) - 1;
    CHECK_OK(store_job_list(s, &(struct job_filter){0}, check_job, &nums, ERR));
    for (size_t i = 0; i + sizeof(int64_t) <= nums.len; i += sizeof(int64_t)) {
        int64_t lives[LIFES] = {0};
        struct repo_scan r;
        int64_t num;

        memcpy(&num, nums.data + i, sizeof num);
        CHECK_OK(store_repo_scan(s, num, &r, ERR));
        CHECK_OK(store_findings(s, num, &f, count_row, lives, ERR));
        for (int l = 0; l < LIFES && r.ended; l++) {
            if (l != LIFE_FIXED && l != LIFE_UNKNOWN) { /* these may have gone since */
                CHECK_INT(lives[l], r.life[l]);
            }
        }
        repo_scan_done(&r);
    }
    f = all_findings();
    CHECK_OK(store_issues(s, &f, count_open, &t, ERR));
    CHECK_OK(store_repos(s, NULL, 0, count_repo, &t, ERR));
    CHECK_INT(t.open, t.repos_open);
}

static void no_scan_that_was_told_is_lost_or_half_compared_in_a_crash(void)
{
    auto_free char *url = str_fmt("sqlite:%s/crash", test_dir());
    auto_buf told = {0};
    size_t scans = 0;

    for (int round = 0; round < ROUNDS; round++) {
        struct store *s;

        scans += crash(url, &told);
        CHECK_OK(store_open(url, &s, ERR));
        for (size_t i = 0; i + sizeof(struct id) <= told.len; i += sizeof(struct id)) {
            struct job j = {0};
            struct id id;

            memcpy(&id, told.data + i, sizeof id);
            if (store_job_get(s, &id, &j, NULL) == 0) { /* else it was deleted */
                CHECK(job_state_terminal(j.state));
                job_done(&j);
            }
        }
        check_whole(s);
        lose_all(s);
        check_whole(s);
        CHECK_OK(store_check(s, ERR));
        store_close(s);
    }
    printf("# %zu scans in %d rounds\n", scans, ROUNDS);
}

/* ---- what only SQLite has ---- */

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

static void purge_by(struct store *s, uint32_t rows)
{
    bool more = true;

    while (more) {
        char *path = NULL;
        int64_t id;

        CHECK_OK(store_purge_step(s, rows, &more, &path, &id, ERR));
        CHECK_OK(store_commit(s, ERR));
    }
}

static struct store *open_new(const char *name)
{
    auto_free char *url = str_fmt("sqlite:%s/%s", test_dir(), name);
    struct store *s;

    CHECK_OK(store_open(url, &s, ERR));
    return s;
}

static void nothing_stays_behind_of_scans(void)
{
    static const char *const tables[] = {"scan", "finding", "finding_body", "verdict", "issue",
                                         "line", "purge",   "job",          "job_text"};
    struct store *s = open_new("behind");
    struct finding_row r;
    struct id id;
    struct lease l;
    int64_t n;

    for (int i = 0; i < 12; i++) {
        scan_with(s, i % 2 ? REPO_A : "{\"url\":\"https://git.example/b\"}",
                  i % 3 ? "abcdef" : "aBcgh", SAW_ALL);
        if (i == 5) {
            decide_on(s, 'a', TRIAGE_FALSE_POSITIVE, 0);
        }
        if (i % 4 == 3) {
            CHECK_OK(store_job_expire(s, INT64_MAX, 2, &n, ERR));
            purge_by(s, 3);
        }
    }
    id = scan_with(s, REPO_A, "abc", SAW_ALL);
    CHECK_OK(store_reparse_begin(s, &id, &l, ERR));
    report(s, &l, "abcd");
    CHECK_OK(store_reparse_end(s, &l, false, NULL, ERR));
    id = submit(s, REPO_A);
    l = claim(s);
    report(s, &l, "abc");
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_task_lost(s, &l, TASK_BEAT_ANY, NULL, ERR));
    CHECK_OK(store_job_cancel(s, &id, NULL, ERR));
    r = issue_row(s, 'a');
    CHECK_OK(store_job_delete_finished(s, &n, ERR));
    CHECK_OK(store_commit(s, ERR));
    purge_by(s, 4);
    CHECK_INT(one_number(s, "SELECT count(*) FROM issue"), 1);
    CHECK_INT(one_number(s, "SELECT count(*) FROM finding_body"), 1);
    r = issue_row(s, 'a');
    CHECK_OK(store_triage(s, &r.issue, 0, &(struct triage_note){.state = TRIAGE_NONE}, NULL, ERR));
    CHECK_OK(store_commit(s, ERR));
    purge_by(s, 4);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        auto_free char *sql = str_fmt("SELECT count(*) FROM %s", tables[i]);

        if (one_number(s, sql) != 0) {
            tap_fail(__FILE__, __LINE__, "rows stay in %s", tables[i]);
        }
    }
    store_close(s);
}

static int nothing(void *arg, const struct finding_row *r, struct err *e)
{
    (void)arg;
    (void)r;
    (void)e;
    return 0;
}

/* Rows that a statement looked at without an index, and sorted. */
static void check_no_scan(struct store *s, int max_steps)
{
    int steps = 0;

    for (sqlite3_stmt *st = sqlite3_next_stmt(store_sqlite(s), NULL); st;
         st = sqlite3_next_stmt(store_sqlite(s), st)) {
        steps += sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 1);
        if (sqlite3_stmt_status(st, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1) ||
            sqlite3_stmt_status(st, SQLITE_STMTSTATUS_SORT, 1)) {
            tap_fail(__FILE__, __LINE__, "no index for %s", sqlite3_sql(st));
        }
    }
    if (max_steps > 0 && steps > max_steps) {
        tap_fail(__FILE__, __LINE__, "%d steps, at most %d are needed", steps, max_steps);
    }
}

static void reset_status(struct store *s)
{
    for (sqlite3_stmt *st = sqlite3_next_stmt(store_sqlite(s), NULL); st;
         st = sqlite3_next_stmt(store_sqlite(s), st)) {
        sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 1);
        sqlite3_stmt_status(st, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
        sqlite3_stmt_status(st, SQLITE_STMTSTATUS_SORT, 1);
    }
}

/* 4,000 issues in 40 repositories, every 100th of them critical. */
static struct store *open_filled(const char *name)
{
    struct store *s = open_new(name);

    for (int repo = 0; repo < 40; repo++) {
        auto_free char *request = str_fmt("{\"url\":\"https://git.example/%d\"}", repo);
        struct id id = submit(s, request);
        struct lease l = claim(s);

        for (int i = 0; i < 100; i++) {
            struct sample m;
            struct finding *f = sample_of(&m, (char)('a' + i % 20));

            f->severity = i == 50 ? SEVERITY_CRITICAL : SEVERITY_LOW;
            f->engines[0].name = i == 60 && repo % 8 == 0 ? "rare" : "flawfinder";
            snprintf(f->identity.primary, PRINT_TEXT, "%032x", i + 1);
            snprintf(f->identity.moved, PRINT_TEXT, "%032x", i + 1000);
            CHECK_OK(store_finding_add(s, &l, f, ERR));
        }
        end_scan(s, &l, JOB_COMPLETED, SAW_ALL);
        CHECK_OK(store_commit(s, ERR));
        (void)id;
    }
    return s;
}

static void lists_of_issues_look_at_what_they_give(void)
{
    struct store *s = open_filled("indexes");
    struct finding_filter v[9];

    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        v[i] = all_findings();
        v[i].limit = 5;
    }
    v[1].severity_min = SEVERITY_CRITICAL;
    v[2].url = "https://git.example/7";
    v[2].severity_min = SEVERITY_HIGH;
    v[3].rule = "rule-c";
    v[4].engine = "rare";
    v[5].cwe = 100 + 'd';
    v[6].open = 0;
    v[7].triage = TRIAGE_FALSE_POSITIVE;
    v[8].counts = 0;
    decide_on(s, 'c', TRIAGE_FALSE_POSITIVE, 0);
    CHECK_OK(store_issues(s, &v[4], nothing, NULL, ERR)); /* the kinds are read once */
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        reset_status(s);
        CHECK_OK(store_issues(s, &v[i], nothing, NULL, ERR));
        check_no_scan(s, 2500);
    }
    reset_status(s);
    CHECK_OK(store_triage_expire(s, INT64_MAX, NULL, ERR));
    check_no_scan(s, 100);
    scan_with(s, "{\"url\":\"https://git.example/3\"}", "abc", SAW_ALL);
    check_no_scan(s, 0);
    store_close(s);
}

/* However few rows there are that pass. */
static void a_page_looks_at_a_bounded_number_of_rows(void)
{
    struct store *s = open_filled("pages");
    struct finding_filter f = all_findings();
    int64_t next = 0;
    int calls = 0;

    f.text = "nothing like that";
    f.next = &next;
    do {
        CHECK_OK(store_issues(s, &f, nothing, NULL, ERR));
        f.after = next;
        calls++;
    } while (next != 0);
    CHECK(calls > 1 && calls < 10);
    store_close(s);
}

BOTH(issues_live_as_the_rules_say)

TESTS(OF_BOTH(issues_live_as_the_rules_say),
      no_scan_that_was_told_is_lost_or_half_compared_in_a_crash, nothing_stays_behind_of_scans,
      lists_of_issues_look_at_what_they_give, a_page_looks_at_a_bounded_number_of_rows)
