/* Repository scans for tests: findings that are known by a letter, and what a scan saw. */
#pragma once

#include "store/findings.h"
#include "store_rig.h"

#define REPO_A "{\"url\":\"https://git.example/a\"}"

static inline struct id submit(struct store *s, const char *request)
{
    struct job j = new_job();
    struct id id = j.id;

    free(j.tool);
    j.tool = xstrdup("repo");
    j.repo = xstrdup(request);
    j.max_attempts = 3;
    CHECK_OK(store_job_add(s, &j, ERR));
    job_done(&j);
    return id;
}

/*
 * Finding `a`: rule "rule-a", in src/a.c, reported by flawfinder. Upper case: the same, at a line
 * that was rewritten.
 */
struct sample {
    struct finding f;
    char rule[16], path[32], line[64], title[32];
};

static inline void sample_print(char out[PRINT_TEXT], char kind, char name)
{
    snprintf(out, PRINT_TEXT, "%02x%030x", (unsigned char)kind, (unsigned char)name);
}

static inline struct finding *sample_of(struct sample *m, char name)
{
    char low = (char)(name | 0x20);

    *m = (struct sample){.f = {.severity = SEVERITY_HIGH, .confidence_x100 = 80, .verified = true}};
    snprintf(m->rule, sizeof m->rule, "rule-%c", low);
    snprintf(m->path, sizeof m->path, "src/%c.c", low);
    snprintf(m->line, sizeof m->line, "%c%c%c(%c);", name, name, name, name);
    snprintf(m->title, sizeof m->title, "Title of %c", low);
    m->f.rule = m->rule;
    m->f.title = m->title;
    m->f.message = "what is wrong";
    m->f.line = m->line;
    m->f.at = (struct finding_place){.path = m->path, .line = 10 + low};
    m->f.cwe[0] = 100 + low;
    m->f.n_cwe = 1;
    m->f.engines[0] = (struct finding_engine){.name = "flawfinder", .confidence_x100 = 80};
    m->f.n_engines = 1;
    sample_print(m->f.identity.primary, 1, name);
    sample_print(m->f.identity.moved, 2, low);
    sample_print(m->f.identity.around, 3, name);
    return &m->f;
}

static inline void report(struct store *s, const struct lease *l, const char *names)
{
    struct sample m;

    for (; *names; names++) {
        CHECK_OK(store_finding_add(s, l, sample_of(&m, *names), ERR));
    }
}

#define SAW_ALL                                                              \
    "{\"assessment\":\"complete\",\"branch\":\"main\",\"commit\":\"c1\","    \
    "\"files\":{\"total\":9,\"skipped\":[],\"skipped_more\":0},"             \
    "\"engines\":[{\"name\":\"flawfinder\",\"status\":\"ok\",\"missed\":[]," \
    "\"missed_more\":0}]}"

static inline void end_scan(struct store *s, const struct lease *l, enum job_state state,
                            const char *run)
{
    struct outcome o = {.state = state, .run_json = run};

    if (state == JOB_FAILED) {
        o.reason = REASON_TOOL_FAILED;
    }
    CHECK_OK(store_task_finish(s, l, &o, 0, NULL, ERR));
}

/* A whole scan that reports these. */
static inline struct id scan_with(struct store *s, const char *request, const char *names,
                                  const char *run)
{
    struct id id = submit(s, request);
    struct lease l = claim(s);

    report(s, &l, names);
    end_scan(s, &l, JOB_COMPLETED, run);
    CHECK_OK(store_commit(s, ERR));
    return id;
}

/* ---- what is there ---- */

static inline char name_of(const struct finding_row *r)
{
    return r->f->line[0];
}

static inline int note_row(void *arg, const struct finding_row *r, struct err *e)
{
    (void)e;
    buf_addf(arg, "%c=%s%s ", name_of(r), finding_life_name(r->life), r->counts ? "" : "!");
    return 0;
}

static inline struct finding_filter all_findings(void)
{
    return (struct finding_filter){.triage = -1, .counts = -1, .open = -1};
}

/* Of the last scan, those included that it did not report. */
static inline void check_scan(struct store *s, const struct id *job, const char *want)
{
    struct finding_filter f = all_findings();
    auto_buf got = {0};

    f.lives = (1u << LIFES) - 1;
    CHECK_OK(store_findings(s, num_of(s, job), &f, note_row, &got, ERR));
    CHECK_STR(got.data ? got.data : "", want);
}

static inline int note_issue(void *arg, const struct finding_row *r, struct err *e)
{
    (void)e;
    buf_addf(arg, "%c%s%s ", name_of(r), r->open ? "" : "-", r->counts ? "" : "!");
    return 0;
}

/* All issues, newest first: closed ones with a minus, those that do not count with a mark. */
static inline void check_issues(struct store *s, const struct finding_filter *f, const char *want)
{
    struct finding_filter all = all_findings();
    auto_buf got = {0};

    CHECK_OK(store_issues(s, f ? f : &all, note_issue, &got, ERR));
    CHECK_STR(got.data ? got.data : "", want);
}

struct wanted {
    char name;
    struct finding_row row; /* without its finding */
};

static inline int find_row(void *arg, const struct finding_row *r, struct err *e)
{
    struct wanted *w = arg;

    (void)e;
    if ((name_of(r) | 0x20) == (w->name | 0x20)) {
        w->row = *r;
        w->row.f = NULL;
        w->row.url = w->row.branch = w->row.subdir = NULL;
        w->row.triage.reason = w->row.triage.by = NULL;
        return 1;
    }
    return 0;
}

/* The newest issue of that letter. */
static inline struct finding_row issue_row(struct store *s, char name)
{
    struct finding_filter f = all_findings();
    struct wanted w = {.name = name};

    CHECK_INT(store_issues(s, &f, find_row, &w, ERR), 1);
    return w.row;
}

static inline struct repo_scan figures_of(struct store *s, const struct id *job)
{
    struct repo_scan r = {0};

    CHECK_OK(store_repo_scan(s, num_of(s, job), &r, ERR));
    return r;
}

static inline void decide_on(struct store *s, char name, enum triage t, int64_t until_us)
{
    struct finding_row r = issue_row(s, name);

    CHECK_OK(store_triage(s, &r.issue, r.rev,
                          &(struct triage_note){t, "because", "ann", clock_us, until_us}, NULL,
                          ERR));
}
