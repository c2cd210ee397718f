/*
 * findings - what repository scans cost the store, through its own interface.
 * usage: findings STORE FINDINGS LINES EACH
 *
 * First one repository with FINDINGS findings, scanned again and again: the same, moved by ten
 * lines, by an engine that fails, others in their place, none. Prints how many a second come in,
 * and how long the end of the scan and its commit take. Then LINES repositories of EACH findings:
 * prints the times of pages of 100 issues by all filters, of a decision, and the size on disk.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/findings.h"

enum { PAGE = 100, INTAKE = 2000, ROUNDS = 60, RULES = 40 };

struct times {
    int64_t v[1 << 14]; /* microseconds */
    size_t n;
};

struct bench {
    struct store *s;
    uint64_t x; /* of the random numbers */
    struct times t;
};

static uint64_t next(struct bench *b)
{
    uint64_t z = (b->x += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    return z ^ (z >> 27);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void note(struct times *t, int64_t us)
{
    if (t->n < ARRAY_LEN(t->v)) {
        t->v[t->n++] = us;
    }
}

static void show(const char *what, struct times *t)
{
    qsort(t->v, t->n, sizeof *t->v, by_size);
    if (t->n > 0) {
        printf("%s: %zu, ms: p50 %.2f p95 %.2f max %.2f\n", what, t->n,
               (double)t->v[t->n / 2] / 1e3, (double)t->v[t->n * 95 / 100] / 1e3,
               (double)t->v[t->n - 1] / 1e3);
    }
    t->n = 0;
}

/* ---- scans ---- */

struct sample {
    struct finding f;
    char rule[32], path[96], line[96], message[128], snippet[512], function[32];
};

/* Finding `k` of set `set`; `shift` lines below where it was. */
static struct finding *sample_of(struct sample *m, uint64_t set, uint64_t k, int32_t shift)
{
    static const char *const engines[] = {"flawfinder", "cppcheck", "bandit", "rules"};
    uint64_t rule = k % 7 ? k % 9 : k % RULES;

    *m = (struct sample){.f = {.severity = (enum severity)(k % 100 == 0  ? 4
                                                           : k % 10 == 0 ? 3
                                                                         : k % 3),
                               .confidence_x100 = 30 + (int32_t)(k % 60),
                               .title = "A weakness of some class",
                               .recommendation = "Use a function that knows the length.",
                               .verified = true,
                               .cwe = {100 + (int32_t)rule},
                               .n_cwe = 1,
                               .n_engines = 1,
                               .snippet_line = 10}};
    snprintf(m->rule, sizeof m->rule, "weakness-%u", (unsigned)rule);
    snprintf(m->path, sizeof m->path, "src/module%u/part%u/file%u.c", (unsigned)(k / 200),
             (unsigned)(k / 50 % 4), (unsigned)(k / 10));
    snprintf(m->line, sizeof m->line, "memcpy(target_%" PRIu64 ", source_%" PRIu64 ", n);", set, k);
    snprintf(m->message, sizeof m->message,
             "The length of what is copied to target_%" PRIu64 " is not checked", k);
    memset(m->snippet, 'x', 400);
    snprintf(m->function, sizeof m->function, "function_%u", (unsigned)(k / 3));
    m->f.rule = m->rule;
    m->f.message = m->message;
    m->f.line = m->line;
    m->f.snippet = m->snippet;
    m->f.function = m->function;
    m->f.at = (struct finding_place){.path = m->path, .line = 10 + (int32_t)k + shift};
    m->f.engines[0] = (struct finding_engine){
        .name = k % 1000 == 0 ? "claude" : engines[k % 4], .version = "1.0", .rule = "R1"};
    snprintf(m->f.identity.primary, PRINT_TEXT, "%016" PRIx64 "%015" PRIx64 "1",
             set * 0x9e3779b97f4a7c15u, k);
    snprintf(m->f.identity.moved, PRINT_TEXT, "%016" PRIx64 "%015" PRIx64 "2",
             set * 0x9e3779b97f4a7c15u, k);
    snprintf(m->f.identity.around, PRINT_TEXT, "%016" PRIx64 "%015" PRIx64 "3",
             set * 0x9e3779b97f4a7c15u, k);
    snprintf(m->f.identity.github, sizeof m->f.identity.github, "39fa2ee980eb94b0:1");
    return &m->f;
}

static int start(struct bench *b, uint64_t repo, struct lease *l, struct err *e)
{
    auto_free char *request = str_fmt("{\"url\":\"https://git.example/%" PRIu64 "\"}", repo);
    struct task t;
    struct job j;
    bool found = false;
    int rc;

    job_init(&j);
    j.id = id_new();
    j.tool = xstrdup("repo");
    j.targets = xstrdup("https://git.example/");
    j.repo = xstrdup(request);
    j.created_us = wall_us();
    rc = store_job_add(b->s, &j, e);
    job_done(&j);
    if (rc == 0) {
        rc = store_task_claim(b->s, "bench", NULL, NULL, &t, &j, &found, e);
    }
    if (rc == 0) {
        *l = (struct lease){t.job_id, t.idx, t.epoch, t.token};
        job_done(&j);
    }
    return rc;
}

struct round {
    const char *name;
    uint64_t set;
    uint64_t part; /* of the findings, in percent */
    int32_t shift;
    const char *status; /* of the engines */
};

static int report(struct bench *b, const struct round *r, const struct lease *l, uint64_t n,
                  struct err *e)
{
    struct sample m;
    int rc = 0;

    for (uint64_t k = 0; rc == 0 && k < n * r->part / 100; k++) {
        rc = store_finding_add(b->s, l, sample_of(&m, r->set, k, r->shift), e);
        if (rc == 0 && k % INTAKE == INTAKE - 1) {
            rc = store_commit(b->s, e);
        }
    }
    return rc == 0 ? store_commit(b->s, e) : rc;
}

static char *run_of(const char *status)
{
    static const char *const engines[] = {"flawfinder", "cppcheck", "bandit", "rules", "claude"};
    struct buf text = {0};

    buf_adds(&text, "{\"assessment\":\"complete\",\"branch\":\"main\",\"files\":{\"skipped\":[],"
                    "\"skipped_more\":0},\"engines\":[");
    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        buf_addf(&text, "%s{\"name\":\"%s\",\"status\":\"%s\",\"missed\":[]}", i ? "," : "",
                 engines[i], status);
    }
    buf_adds(&text, "]}");
    return buf_take(&text);
}

static int64_t cpu_us(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000) + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static int scan(struct bench *b, uint64_t repo, const struct round *r, uint64_t n, bool tell,
                struct err *e)
{
    auto_free char *run = run_of(r->status);
    struct outcome o = {.state = JOB_COMPLETED, .run_json = run};
    int64_t times[4];
    int64_t cpu;
    struct lease l;
    int rc = start(b, repo, &l, e);

    times[0] = boot_us();
    if (rc == 0) {
        rc = report(b, r, &l, n, e);
    }
    times[1] = boot_us();
    cpu = cpu_us();
    if (rc == 0) {
        rc = store_task_finish(b->s, &l, &o, 0, NULL, e);
    }
    times[2] = boot_us();
    cpu = cpu_us() - cpu;
    if (rc == 0) {
        rc = store_commit(b->s, e);
    }
    times[3] = boot_us();
    store_idle(b->s);
    if (rc == 0 && tell) {
        printf("%s: %" PRIu64 " findings, %.0f in/s, end %.0f ms (CPU %.0f ms), commit %.0f ms\n",
               r->name, n * r->part / 100,
               (double)(n * r->part) * 1e4 / (double)(times[1] - times[0] + 1),
               (double)(times[2] - times[1]) / 1e3, (double)cpu / 1e3,
               (double)(times[3] - times[2]) / 1e3);
        fflush(stdout);
    }
    return rc;
}

static int ends(struct bench *b, uint64_t n, struct err *e)
{
    static const struct round rounds[] = {
        {"all new", 1, 100, 0, "ok"},
        {"the same", 1, 100, 0, "ok"},
        {"ten lines below", 1, 100, 10, "ok"},
        {"one engine less", 1, 50, 0, "failed"},
        {"others", 2, 100, 0, "ok"},
        {"the first again", 1, 100, 0, "ok"},
        {"nothing", 1, 0, 0, "ok"},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(rounds); i++) {
        rc = scan(b, 0, &rounds[i], n, true, e);
    }
    return rc;
}

/* ---- pages ---- */

static int count(void *arg, const struct finding_row *r, struct err *e)
{
    (void)r;
    (void)e;
    ++*(uint64_t *)arg;
    return 0;
}

static int pages(struct bench *b, const char *name, struct finding_filter f, int64_t last,
                 struct err *e)
{
    uint64_t rows = 0;
    int64_t after = 0;
    int rc = 0;

    f.limit = PAGE;
    f.next = &after;
    for (int i = 0; rc == 0 && i < ROUNDS; i++) {
        int64_t t;

        f.after = i % 3 == 0 ? 0 : i % 3 == 1 ? after : 1 + (int64_t)(next(b) % (uint64_t)last);
        t = boot_us();
        rc = store_issues(b->s, &f, count, &rows, e);
        note(&b->t, boot_us() - t);
    }
    printf("%5" PRIu64 " rows, ", rows);
    show(name, &b->t);
    fflush(stdout);
    return rc;
}

static const struct finding_filter all = {.triage = -1, .counts = -1, .open = -1};

static int filters(struct bench *b, int64_t last, struct err *e)
{
    const struct {
        const char *name;
        struct finding_filter f;
    } v[] = {
        {"all", {.severity_min = 0}},
        {"high", {.severity_min = SEVERITY_HIGH}},
        {"critical", {.severity_min = SEVERITY_CRITICAL}},
        {"one rule", {.rule = "weakness-7"}},
        {"a rare rule", {.rule = "weakness-28"}},
        {"no such rule", {.rule = "nothing"}},
        {"one repository", {.url = "https://git.example/77"}},
        {"one repository, critical",
         {.url = "https://git.example/77", .severity_min = SEVERITY_CRITICAL}},
        {"one branch of all", {.branch = "main", .severity_min = SEVERITY_HIGH}},
        {"a rare engine", {.engine = "claude"}},
        {"no such engine", {.engine = "nothing"}},
        {"a CWE", {.cwe = 107}},
        {"no such CWE", {.cwe = 1}},
        {"a directory", {.path = "src/module2/"}},
        {"no such directory", {.path = "nothing/"}},
        {"text", {.text = "target_17 "}},
        {"no such text", {.text = "nothing like that"}},
    };
    struct finding_filter f;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(v); i++) {
        f = v[i].f;
        f.triage = f.counts = f.open = -1;
        rc = pages(b, v[i].name, f, last, e);
    }
    f = all;
    f.open = 0;
    rc = rc == 0 ? pages(b, "fixed", f, last, e) : rc;
    f.open = 1;
    f.counts = 1;
    rc = rc == 0 ? pages(b, "open, counting", f, last, e) : rc;
    f = all;
    f.triage = TRIAGE_ACCEPTED_RISK;
    return rc == 0 ? pages(b, "accepted risks", f, last, e) : rc;
}

struct picked {
    struct id v[200];
    size_t n;
    int64_t last;
};

static int pick(void *arg, const struct finding_row *r, struct err *e)
{
    struct picked *p = arg;

    (void)e;
    if (p->n < ARRAY_LEN(p->v)) {
        p->v[p->n++] = r->issue;
    }
    p->last = p->last > r->seq ? p->last : r->seq;
    return 0;
}

static int decide(struct bench *b, int64_t *last, struct err *e)
{
    const struct triage_note n = {TRIAGE_ACCEPTED_RISK, "it is a test", "bench", 0, 0};
    struct picked p = {.n = 0};
    struct finding_filter f = all;
    int rc = store_issues(b->s, &f, pick, &p, e);

    for (size_t i = 0; rc == 0 && i < p.n; i++) {
        int64_t t = boot_us();

        rc = store_triage(b->s, &p.v[i], 0, &n, NULL, e);
        if (rc == 0) {
            rc = store_commit(b->s, e);
        }
        note(&b->t, boot_us() - t);
    }
    show("decisions, with commit", &b->t);
    *last = p.last;
    return rc;
}

static int many(struct bench *b, uint64_t lines, uint64_t each, struct err *e)
{
    const struct round r = {"", 1, 100, 0, "ok"};
    int64_t t = boot_us();
    int64_t last = 0;
    int rc = 0;

    for (uint64_t i = 1; rc == 0 && i <= lines; i++) {
        struct round of = r;

        of.set = 10 + i;
        rc = scan(b, i, &of, each, false, e);
    }
    printf("%" PRIu64 " repositories of %" PRIu64 " findings: %.1f s\n", lines, each,
           (double)(boot_us() - t) / 1e6);
    if (rc == 0) {
        rc = decide(b, &last, e);
    }
    return rc == 0 ? filters(b, last, e) : rc;
}

int main(int argc, char **argv)
{
    static struct bench b;
    auto_free char *url = NULL;
    struct rusage u;
    struct err e = {0};
    uint64_t n[3] = {0};
    int rc = 0;

    for (int i = 0; i < 3 && argc == 5; i++) {
        rc |= !str_to_u64(argv[2 + i], 0, 100000, &n[i]);
    }
    if (argc != 5 || rc != 0) {
        fprintf(stderr, "usage: findings STORE FINDINGS LINES EACH\n");
        return 2;
    }
    url = str_fmt("%s", argv[1]);
    rc = store_open(url, &b.s, &e);
    if (rc == 0) {
        rc = ends(&b, n[0], &e);
    }
    if (rc == 0 && n[1] > 0) {
        rc = many(&b, n[1], n[2], &e);
    }
    getrusage(RUSAGE_SELF, &u);
    printf("peak memory: %ld MiB\n", u.ru_maxrss / 1024);
    if (rc != 0) {
        fprintf(stderr, "findings: %s\n", e.msg);
    }
    store_close(b.s);
    return rc != 0;
}
