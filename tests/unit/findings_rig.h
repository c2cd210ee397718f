/* A repository scan with findings, for the formats that write them. */
#pragma once

#include "report/findings.h"
#include "tap.h"

struct findings_rig {
    struct job job;
    struct repo_scan scan;
    struct finding f[8];
    struct finding_row rows[8];
    size_t n;
};

#define RIG_RECORD                                                                               \
    "{\"assessment\":\"partial\",\"files\":{\"total\":12,\"skipped\":[{\"path\":\"big.bin\","    \
    "\"why\":\"not text\"}],\"skipped_more\":2},\"engines\":[{\"name\":\"flawfinder\","          \
    "\"version\":\"2.0.19\",\"status\":\"ok\",\"findings\":3,\"files\":9,\"missed\":[],"         \
    "\"missed_more\":0},{\"name\":\"cppcheck\",\"version\":\"2.10\",\"status\":\"timeout\","     \
    "\"reason\":\"no answer within 600 s\",\"findings\":1,\"files\":9,\"missed\":[{\"path\":"    \
    "\"src/odd [name]:x.c\",\"why\":\"syntax error\"}],\"missed_more\":0},{\"name\":\"claude\"," \
    "\"version\":\"\",\"status\":\"skipped\",\"reason\":\"not asked for\",\"findings\":0,"       \
    "\"files\":0}],\"notes\":[\"3 findings name places that are not in the tree\"]}"

static inline struct finding *rig_add(struct findings_rig *r, const char *rule, int32_t cwe,
                                      enum severity s, int32_t line)
{
    struct finding *f = &r->f[r->n];
    struct finding_row *row = &r->rows[r->n++];

    *f = (struct finding){.rule = rule,
                          .title = "Something is wrong",
                          .message = "Text from outside reaches a shell.",
                          .cwe = {cwe},
                          .n_cwe = cwe ? 1 : 0,
                          .severity = s,
                          .confidence_x100 = 80,
                          .at = {.path = "src/a.c", .line = line},
                          .verified = true,
                          .n_engines = 1};
    f->engines[0] = (struct finding_engine){"flawfinder", "2.0.19", "FF1001", "4", 80};
    snprintf(f->identity.primary, sizeof f->identity.primary, "%032d", line);
    snprintf(f->identity.moved, sizeof f->identity.moved, "%032" PRId64, INT64_C(1000) + line);
    snprintf(f->identity.around, sizeof f->identity.around, "%032" PRId64, INT64_C(2000) + line);
    snprintf(f->identity.github, sizeof f->identity.github, "39fa2ee980eb94b0:%d", line % 100);
    *row = (struct finding_row){.seq = (int64_t)r->n,
                                .life = LIFE_NEW,
                                .open = true,
                                .counts = true,
                                .first_us = INT64_C(1790000000000000),
                                .last_us = INT64_C(1790000000000000),
                                .url = r->scan.url,
                                .branch = r->scan.branch,
                                .subdir = r->scan.subdir,
                                .f = f};
    memset(row->issue.b, (int)r->n, sizeof row->issue.b);
    memset(row->job.b, 0x11, sizeof row->job.b);
    row->first_job = row->job;
    return f;
}

/* The scan alone; strings are owned: rig_done(). */
static inline void rig_init(struct findings_rig *r)
{
    *r = (struct findings_rig){.n = 0};
    job_init(&r->job);
    memset(r->job.id.b, 0x11, sizeof r->job.id.b);
    r->job.tool = xstrdup("repo");
    r->job.targets = xstrdup("https://git.example.com/team/app");
    r->job.state = JOB_COMPLETED;
    r->job.started_us = INT64_C(1790000000000000);
    r->job.completed_us = INT64_C(1790000012000000);
    r->job.run_json = xstrdup(RIG_RECORD);
    r->scan.url = xstrdup("https://git.example.com/team/app");
    r->scan.branch = xstrdup("main");
    r->scan.subdir = xstrdup("");
    r->scan.commit = xstrdup("0123456789abcdef0123456789abcdef01234567");
    r->scan.ended = true;
    r->scan.score_x10 = 424;
    snprintf(r->scan.level, sizeof r->scan.level, "high");
}

/* Findings that have all members, and all states. */
static inline void rig_fill(struct findings_rig *r)
{
    struct finding *f;

    f = rig_add(r, "command-injection", 78, SEVERITY_CRITICAL, 12);
    f->cwe[1] = 88;
    f->n_cwe = 2;
    f->at.column = 5;
    f->at.end_line = 12;
    f->at.end_column = 20;
    f->function = "main";
    f->line = "system(argv[1]);";
    f->snippet = "\nint main(int argc, char **argv)\n{\n    system(argv[1]);\n}\n";
    f->snippet_line = 9;
    f->recommendation = "Start the program directly.";
    f->related[0] = (struct finding_place){"src/b.c", 3, 1, 0, 0, "comes from here"};
    f->n_related = 1;
    f->engines[1] = (struct finding_engine){"cppcheck", "2.10", "x", NULL, 40};
    f->n_engines = 2;
    f = rig_add(r, "hardcoded-secret", 798, SEVERITY_HIGH, 40);
    f->secret = "token: tok_****";
    f->marked = "nosec";
    r->rows[1].life = LIFE_UNCHANGED;
    f = rig_add(r, "buffer-overflow", 120, SEVERITY_MEDIUM, 7);
    r->rows[2].life = LIFE_UPDATED;
    r->rows[2].counts = false;
    r->rows[2].triage = (struct triage_note){.state = TRIAGE_FALSE_POSITIVE,
                                             .reason = "the length is checked, \"really\"",
                                             .by = "ann",
                                             .at_us = INT64_C(1790000000000000),
                                             .until_us = INT64_C(1800000000000000)};
    f = rig_add(r, "weak-hash", 328, SEVERITY_LOW, 0);
    f->at.path = "dir/na me:\xC3\xA9.py";
    f->verified = false;
    f->message = NULL;
    r->rows[3].life = LIFE_REOPENED;
    f = rig_add(r, "from-the-future", 0, SEVERITY_INFO, 3);
    f->snippet = "only line\n";
    f->snippet_line = 3;
    f->message = "Something is wrong, and see [here](https://evil.example) or [1](2).";
    r->rows[4].life = LIFE_UNKNOWN;
    rig_add(r, "xxe", 611, SEVERITY_HIGH, 3);
    r->rows[5].life = LIFE_FIXED;
}

static inline void rig_done(struct findings_rig *r)
{
    job_done(&r->job);
    repo_scan_done(&r->scan);
}

static inline void rig_write(const char *format, const struct findings_rig *r, struct buf *out)
{
    const struct findings_format *f = findings_format_find(format);
    void *w;

    CHECK(f);
    w = f->new (&r->job, &r->scan, out);
    CHECK_OK(f->begin(w, ERR));
    for (size_t i = 0; i < r->n; i++) {
        CHECK_OK(f->row(w, &r->rows[i], ERR));
    }
    CHECK_OK(f->end(w, ERR));
    f->done(w);
}
