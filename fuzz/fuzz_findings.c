/*
 * Reports of findings: a finding made of any bytes goes through every format, and what comes out
 * must be what its readers take: well-formed, quoted, inert. The bytes are cut at 0 into texts,
 * which are dealt out to the members; numbers come from what is left of the first eight bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/unit/report_check.h"
#include "model/host.h"
#include "report/findings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct input {
    const uint8_t *at, *end;
    struct arena *texts;
};

/* The next text, as a store may have it: valid UTF-8. */
static const char *text(struct input *in)
{
    const uint8_t *from = in->at;
    const char *s;

    while (in->at < in->end && *in->at) {
        in->at++;
    }
    s = arena_strn(in->texts, (const char *)from, (size_t)(in->at - from));
    in->at += in->at < in->end;
    return utf8_valid(s, strlen(s)) ? s : "x";
}

static const char *text_or(struct input *in, const char *other)
{
    const char *s = text(in);

    return *s ? s : other;
}

static void finding_of(struct input *in, const uint8_t numbers[8], struct finding *f)
{
    *f =
        (struct finding){.rule = numbers[0] & 1 ? "weak-hash" : "other",
                         .title = text_or(in, "T"),
                         .message = text(in),
                         .recommendation = text(in),
                         .cwe = {numbers[1], 120},
                         .n_cwe = numbers[1] ? numbers[0] >> 7 | 1 : 0,
                         .severity = (enum severity)(numbers[2] % SEVERITIES),
                         .confidence_x100 = numbers[3] % 101,
                         .at = {.path = text_or(in, "p"), .line = numbers[4], .column = numbers[5]},
                         .function = text_or(in, NULL),
                         .line = text(in),
                         .snippet = text(in),
                         .snippet_line = numbers[6],
                         .marked = text_or(in, NULL),
                         .secret = text_or(in, NULL),
                         .n_engines = 1,
                         .n_related = 1};
    f->at.end_line = f->at.line + (numbers[7] & 3);
    f->at.end_column = numbers[7] >> 2;
    f->engines[0] = (struct finding_engine){text_or(in, "e"), text(in), text(in), text(in), 50};
    f->related[0] = (struct finding_place){.path = text_or(in, "p"), .message = text(in)};
    memcpy(f->identity.primary, "00112233445566778899aabbccddeeff", PRINT_TEXT);
}

static void check(const char *format, const struct buf *out)
{
    if (strcmp(format, "json") == 0 || strcmp(format, "sarif") == 0) {
        json_t *o = json_loadb(out->data, out->len, JSON_REJECT_DUPLICATES, NULL);

        if (!o) {
            abort();
        }
        json_decref(o);
    } else if (report_wrong(format, out->data, out->len)) {
        abort();
    }
}

static void write_all(const struct job *job, const struct repo_scan *scan,
                      const struct finding_row *row)
{
    for (size_t i = 0; findings_formats[i]; i++) {
        const struct findings_format *f = findings_formats[i];
        auto_buf out = {0};
        void *w = f->new (job, scan, &out);

        if (f->begin(w, NULL) != 0 || f->row(w, row, NULL) != 0 || f->row(w, row, NULL) != 0 ||
            f->end(w, NULL) != 0) {
            abort();
        }
        f->done(w);
        check(f->name, &out);
    }
}

/* What a job has is JSON, whatever stands in it. */
static char *record(const char *s)
{
    json_t *o = json_loads(s, JSON_ALLOW_NUL, NULL);
    char *out = o ? xstrdup(s) : NULL;

    json_decref(o);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = {data + 8, data + n, NULL};
    struct finding f;
    struct finding_row row = {.f = &f};
    struct repo_scan scan = {.level = "high"};
    struct job job;

    if (n < 8) {
        return 0;
    }
    in.texts = arena_new();
    job_init(&job);
    job.state = JOB_COMPLETED;
    finding_of(&in, data, &f);
    scan.url = xstrdup(text(&in));
    scan.branch = xstrdup(text(&in));
    scan.subdir = xstrdup(text(&in));
    row.url = scan.url;
    row.branch = scan.branch;
    row.subdir = scan.subdir;
    row.life = (enum finding_life)(data[2] % LIFES);
    row.triage = (struct triage_note){
        .state = (enum triage)(data[3] % TRIAGES), .reason = text(&in), .by = text(&in)};
    job.run_json = record(text(&in));
    write_all(&job, &scan, &row);
    job_done(&job);
    free(scan.url);
    free(scan.branch);
    free(scan.subdir);
    arena_free(in.texts);
    return 0;
}
