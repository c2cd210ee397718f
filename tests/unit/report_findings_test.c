/* Findings in the formats for people and programs: what they say, and what hostile text becomes.
 * SCANPOD_WRITE_DOCS=1 writes the files of tests/data/findings anew. */
#include "findings_rig.h"
#include "report_check.h"

static const char *const formats[] = {"json", "ndjson", "csv", "markdown", "html", "sarif"};

static void check_document(const char *format, const struct buf *out)
{
    const char *why = NULL;

    if (str_eq(format, "json") || str_eq(format, "sarif")) {
        json_t *o = json_loadb(out->data, out->len, JSON_REJECT_DUPLICATES, NULL);

        why = o ? NULL : "a text that is no JSON";
        json_decref(o);
    } else {
        why = report_wrong(format, out->data ? out->data : "", out->len);
    }
    if (why) {
        tap_fail(__FILE__, __LINE__, "%s has %s: %.3000s", format, why, out->data);
    }
}

/* The version of ScanPod is not a part of the files. */
static char *without_version(const struct buf *out)
{
    static const char *const keys[] = {"\"ScanPod\",\"version\":\"", "\"semanticVersion\":\""};
    auto_buf text = {0};
    const char *p = out->data;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *hit = strstr(p, keys[i]);

        if (hit) {
            hit += strlen(keys[i]);
            buf_add(&text, p, (size_t)(hit - p));
            p = hit + strcspn(hit, "\"");
        }
    }
    buf_adds(&text, p);
    return buf_take(&text);
}

static void every_format_is_as_it_was(void)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct findings_rig r;
        auto_buf out = {0};
        auto_free char *name =
            str_fmt("findings/report%s", findings_format_find(formats[i])->suffix);
        auto_free char *got = NULL;
        auto_free char *want = NULL;
        size_t n;

        rig_init(&r);
        rig_fill(&r);
        rig_write(formats[i], &r, &out);
        rig_done(&r);
        check_document(formats[i], &out);
        got = without_version(&out);
        if (getenv("SCANPOD_WRITE_DOCS")) {
            auto_free char *path = str_fmt("%s/%s", getenv("SCANPOD_TEST_DATA"), name);
            FILE *f = fopen(path, "w");

            CHECK(f && fputs(got, f) >= 0 && fclose(f) == 0);
        }
        want = test_data(name, &n);
        if (!str_eq(got, want)) {
            size_t at = 0;

            while (got[at] && got[at] == want[at]) {
                at++;
            }
            tap_fail(__FILE__, __LINE__, "%s differs at byte %zu: '%.80s', not '%.80s'", name, at,
                     got + at, want + at);
        }
    }
}

static void a_scan_without_findings_is_a_document(void)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct findings_rig r;
        auto_buf out = {0};

        rig_init(&r);
        rig_write(formats[i], &r, &out);
        check_document(formats[i], &out);
        if (str_eq(formats[i], "markdown") || str_eq(formats[i], "html")) {
            CHECK(strstr(out.data, "was not complete"));
        }
        rig_done(&r);
    }
}

static const char *const hostile[] = {
    "</dd><script>alert(1)</script>&lt;\"'",
    "=cmd|' /C calc'!A0",
    "  @SUM(A1)",
    "\x1b[31m\a\x7f",
    "ab\u202e\u2066\xc2\x85\u200b",
    "` | `code` | [x](javascript:alert(1)) <b>",
    "line one\nline two\r\n\n# Heading\n- item\n```\n",
    "\n",
    "\"],\"x\":[\"",
    "-1",
};

static void hostile_text_is_inert_everywhere(void)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        for (size_t k = 0; k < ARRAY_LEN(hostile); k++) {
            struct findings_rig r;
            auto_buf out = {0};
            struct finding *f;
            const char *t = hostile[k];

            rig_init(&r);
            free(r.scan.branch);
            r.scan.branch = xstrdup(t);
            free(r.scan.subdir);
            r.scan.subdir = xstrdup(t);
            r.job.error = xstrdup(t);
            f = rig_add(&r, "other", 1, SEVERITY_LOW, 4);
            f->title = f->message = f->recommendation = f->function = f->line = f->snippet = t;
            f->marked = f->secret = f->at.path = t;
            f->snippet_line = 3;
            f->engines[0] = (struct finding_engine){t, t, t, t, 50};
            f->related[0] = (struct finding_place){t, 1, 1, 1, 1, t};
            f->n_related = 1;
            r.rows[0].triage =
                (struct triage_note){.state = TRIAGE_ACCEPTED_RISK, .reason = t, .by = t};
            r.rows[0].counts = false;
            rig_write(formats[i], &r, &out);
            check_document(formats[i], &out);
            rig_done(&r);
        }
    }
}

static void records_that_are_not_as_expected_are_survived(void)
{
    static const char *const records[] = {
        "",
        "null",
        "[]",
        "{\"engines\":{}}",
        "{\"engines\":[1,null,{},{\"missed\":[1,{\"path\":7},{\"path\":\"../"
        "x\"}]}],\"notes\":[1,{}],"
        "\"files\":[],\"assessment\":3}",
        "{\"engines\":[{\"name\":\"<b>|`\",\"status\":\"=1\",\"reason\":\"\\n# "
        "x\",\"missed_more\":-3}]}",
    };

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        for (size_t k = 0; k < ARRAY_LEN(records); k++) {
            struct findings_rig r;
            auto_buf out = {0};

            rig_init(&r);
            free(r.job.run_json);
            r.job.run_json = xstrdup(records[k]);
            rig_write(formats[i], &r, &out);
            check_document(formats[i], &out);
            rig_done(&r);
        }
    }
}

static void lines_of_the_finding_are_marked_in_the_excerpt(void)
{
    struct findings_rig r;
    auto_buf out = {0};

    rig_init(&r);
    rig_fill(&r);
    rig_write("html", &r, &out);
    CHECK(strstr(out.data, "<span>   12 </span><mark>    system(argv[1]);</mark>\n"));
    CHECK(strstr(out.data, "<span>   13 </span>}\n"));
    rig_done(&r);
}

static void formats_are_found_by_their_names(void)
{
    CHECK_STR(findings_format_find("sarif")->suffix, ".sarif");
    CHECK(!findings_format_find("SARIF"));
    CHECK(!findings_format_find(""));
    for (size_t i = 0; findings_formats[i]; i++) {
        CHECK(findings_format_find(findings_formats[i]->name) == findings_formats[i]);
        CHECK(*findings_formats[i]->help && *findings_formats[i]->media_type);
    }
}

TESTS(every_format_is_as_it_was, a_scan_without_findings_is_a_document,
      hostile_text_is_inert_everywhere, records_that_are_not_as_expected_are_survived,
      lines_of_the_finding_are_marked_in_the_excerpt, formats_are_found_by_their_names)
