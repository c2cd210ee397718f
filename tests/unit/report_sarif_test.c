/* SARIF: its structure, what GitHub and DefectDojo make of it, its limits. */
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

#include "findings_rig.h"

static json_t *document(const struct findings_rig *r)
{
    auto_buf out = {0};
    json_error_t why;
    json_t *o;

    rig_write("sarif", r, &out);
    o = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &why);
    if (!o) {
        tap_fail(__FILE__, __LINE__, "no JSON: %s at %d", why.text, why.position);
    }
    return o;
}

/* "runs/0/results/1": NULL where there is no such member. */
static json_t *at(const json_t *o, const char *path)
{
    json_t *v = (json_t *)(uintptr_t)o;

    while (v && *path) {
        size_t n = strcspn(path, "/");
        auto_free char *part = xstrndup(path, n);

        v = json_is_array(v) ? json_array_get(v, (size_t)atoi(part)) : json_object_get(v, part);
        path += n + (path[n] == '/');
    }
    return v;
}

static const char *text_at(const json_t *o, const char *path)
{
    return json_string_value(at(o, path));
}

/* ---- by the checker in Python ---- */

static int run(char *const *argv, const char *log)
{
    posix_spawn_file_actions_t actions;
    extern char **environ;
    pid_t pid;
    int status = 0, rc;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    rc = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    CHECK(rc == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static void check_file(const struct buf *text, const char *schema)
{
    auto_free char *path = str_fmt("%s/x.sarif", test_dir());
    auto_free char *log = str_fmt("%s/log", test_dir());
    auto_free char *checker = str_fmt("%s/../blackbox/sarif_check.py", getenv("SCANPOD_TEST_DATA"));
    auto_strvec argv = {0};
    FILE *f = fopen(path, "w");
    int rc;

    CHECK(f && fwrite(text->data, 1, text->len, f) == text->len && fclose(f) == 0);
    strvec_push(&argv, "/usr/bin/python3");
    strvec_push(&argv, checker);
    if (schema) {
        strvec_push(&argv, "--schema");
        strvec_push(&argv, schema);
    }
    strvec_push(&argv, path);
    rc = run(argv.v, log);
    if (rc != 0) {
        char said[2000] = "";

        f = fopen(log, "r");
        CHECK(f);
        said[fread(said, 1, sizeof said - 1, f)] = '\0';
        fclose(f);
        tap_fail(__FILE__, __LINE__, "the checker ended with %d: %s", rc, said);
    }
}

static void every_kind_of_result_passes_the_rules_of_its_readers(void)
{
    struct findings_rig r;
    auto_buf out = {0};

    rig_init(&r);
    rig_fill(&r);
    rig_write("sarif", &r, &out);
    check_file(&out, NULL);
    rig_done(&r);
}

static void the_file_is_valid_under_the_schema_of_oasis(void)
{
    auto_free char *path =
        str_fmt("%s/../../build-sarif/sarif-2.1.0.json", getenv("SCANPOD_TEST_DATA"));
    struct findings_rig r;
    auto_buf out = {0};

    if (access(path, R_OK) < 0) {
        tap_skip("the schema of SARIF is not here: script/sarif-schema");
    }
    rig_init(&r);
    rig_fill(&r);
    rig_write("sarif", &r, &out);
    check_file(&out, path);
    rig_done(&r);
}

static void a_scan_that_failed_or_found_nothing_is_a_file_too(void)
{
    struct findings_rig r;
    json_t *o;
    auto_buf out = {0};

    rig_init(&r);
    free(r.job.run_json);
    r.job.run_json = NULL;
    r.job.state = JOB_FAILED;
    r.job.error = xstrdup("the repository is not there");
    free(r.scan.url);
    r.scan.url = xstrdup("dir:app");
    free(r.scan.commit);
    r.scan.commit = NULL;
    r.job.started_us = r.job.completed_us = 0;
    rig_write("sarif", &r, &out);
    check_file(&out, NULL);
    o = document(&r);
    CHECK_INT(json_array_size(at(o, "runs/0/results")), 0);
    CHECK(json_is_false(at(o, "runs/0/invocations/0/executionSuccessful")));
    CHECK_STR(text_at(o, "runs/0/invocations/0/toolExecutionNotifications/0/message/text"),
              "the repository is not there");
    CHECK_STR(text_at(o, "runs/0/properties/assessment"), "failed");
    CHECK(!at(o, "runs/0/versionControlProvenance"));
    json_decref(o);
    rig_done(&r);
}

/* ---- what it says ---- */

static void results_say_what_findings_say(void)
{
    struct findings_rig r;
    json_t *o, *x;

    rig_init(&r);
    rig_fill(&r);
    o = document(&r);
    x = at(o, "runs/0/results/0");
    CHECK_STR(text_at(x, "ruleId"), "command-injection");
    CHECK_STR(text_at(x, "level"), "error");
    CHECK_STR(text_at(x, "message/text"), "Something is wrong: Text from outside reaches a shell.");
    CHECK_INT(json_integer_value(at(x, "locations/0/physicalLocation/region/startColumn")), 5);
    CHECK_INT(json_integer_value(at(x, "locations/0/physicalLocation/region/endColumn")), 21);
    CHECK_INT(json_integer_value(at(x, "locations/0/physicalLocation/contextRegion/startLine")), 9);
    CHECK_INT(json_integer_value(at(x, "locations/0/physicalLocation/contextRegion/endLine")), 13);
    CHECK_STR(text_at(x, "locations/0/logicalLocations/0/fullyQualifiedName"), "main");
    CHECK_STR(text_at(x, "relatedLocations/0/message/text"), "comes from here");
    CHECK_STR(json_string_value(json_object_get(at(x, "fingerprints"), "scanpodFinding/v1")),
              "00000000000000000000000000000012");
    CHECK_STR(text_at(x, "partialFingerprints/primaryLocationLineHash"), "39fa2ee980eb94b0:12");
    CHECK_STR(text_at(x, "taxa/1/id"), "CWE-78");
    CHECK_STR(text_at(x, "properties/engines/1/name"), "cppcheck");
    /* A name that is no URI as it is; a finding of the whole file. */
    x = at(o, "runs/0/results/3");
    CHECK_STR(text_at(x, "locations/0/physicalLocation/artifactLocation/uri"),
              "dir/na%20me%3A%C3%A9.py");
    CHECK_STR(text_at(x, "message/text"), "Something is wrong");
    CHECK(json_is_false(at(x, "properties/verified")));
    json_decref(o);
    rig_done(&r);
}

static void states_become_those_of_a_baseline(void)
{
    static const char *const want[] = {"new", "unchanged", "updated", "new", "unchanged"};
    struct findings_rig r;
    json_t *o;

    rig_init(&r);
    rig_fill(&r);
    o = document(&r);
    /* The one that is fixed is not there: readers would open it again. */
    CHECK_INT(json_array_size(at(o, "runs/0/results")), 5);
    for (size_t i = 0; i < 5; i++) {
        CHECK_STR(text_at(json_array_get(at(o, "runs/0/results"), i), "baselineState"), want[i]);
    }
    json_decref(o);
    rig_done(&r);
}

static void only_people_suppress(void)
{
    struct findings_rig r;
    json_t *o;

    rig_init(&r);
    rig_fill(&r);
    /* Acknowledged, and decided but expired: both count. */
    r.rows[0].triage = (struct triage_note){.state = TRIAGE_ACKNOWLEDGED};
    r.rows[3].triage =
        (struct triage_note){.state = TRIAGE_ACCEPTED_RISK, .reason = "was", .by = "b"};
    o = document(&r);
    CHECK(!at(o, "runs/0/results/0/suppressions"));
    CHECK(!at(o, "runs/0/results/1/suppressions"));
    CHECK_STR(text_at(o, "runs/0/results/1/properties/marked"), "nosec");
    CHECK_STR(text_at(o, "runs/0/results/2/suppressions/0/status"), "accepted");
    CHECK(strstr(text_at(o, "runs/0/results/2/suppressions/0/justification"),
                 "false positive, by ann: the length is checked, \"really\" (until 2027-"));
    CHECK(!at(o, "runs/0/results/3/suppressions"));
    json_decref(o);
    rig_done(&r);
}

static void a_rule_has_the_worst_severity_of_its_results(void)
{
    struct findings_rig r;
    json_t *o;

    rig_init(&r);
    rig_add(&r, "weak-hash", 328, SEVERITY_LOW, 1);
    rig_add(&r, "weak-hash", 328, SEVERITY_HIGH, 2)->confidence_x100 = 20;
    rig_add(&r, "other", 0, SEVERITY_INFO, 3);
    o = document(&r);
    CHECK_STR(text_at(o, "runs/0/tool/driver/rules/0/properties/security-severity"), "8.0");
    CHECK_STR(text_at(o, "runs/0/tool/driver/rules/0/properties/precision"), "medium");
    CHECK_STR(text_at(o, "runs/0/tool/driver/rules/0/properties/tags/1"), "external/cwe/cwe-328");
    CHECK_STR(text_at(o, "runs/0/tool/driver/rules/0/relationships/0/target/id"), "CWE-328");
    CHECK(!at(o, "runs/0/tool/driver/rules/1/properties/security-severity"));
    CHECK_STR(text_at(o, "runs/0/results/0/level"), "note");
    CHECK_STR(text_at(o, "runs/0/results/1/level"), "error");
    json_decref(o);
    rig_done(&r);
}

static void engines_that_failed_are_told(void)
{
    static const char *const ids[] = {"engine-failed", "files-missed", "engine-skipped",
                                      "files-skipped", "note"};
    struct findings_rig r;
    json_t *o, *notes;

    rig_init(&r);
    o = document(&r);
    notes = at(o, "runs/0/invocations/0/toolExecutionNotifications");
    CHECK(json_is_false(at(o, "runs/0/invocations/0/executionSuccessful")));
    CHECK_INT(json_array_size(notes), ARRAY_LEN(ids));
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        CHECK_STR(text_at(json_array_get(notes, i), "descriptor/id"), ids[i]);
    }
    CHECK_STR(text_at(notes, "0/message/text"), "cppcheck: timeout: no answer within 600 s");
    CHECK_STR(text_at(notes, "1/locations/0/physicalLocation/artifactLocation/uri"),
              "src/odd%20%5Bname%5D%3Ax.c");
    CHECK_STR(text_at(notes, "3/message/text"), "3 files were left out of the scan");
    CHECK_STR(text_at(o, "runs/0/tool/extensions/1/name"), "cppcheck");
    CHECK_STR(text_at(o, "runs/0/versionControlProvenance/0/branch"), "main");
    json_decref(o);
    rig_done(&r);
}

static void hostile_text_stays_text(void)
{
    struct findings_rig r;
    struct finding *f;
    auto_buf out = {0};
    json_t *o;

    rig_init(&r);
    f = rig_add(&r, "other", 99999, SEVERITY_LOW, INT32_MAX);
    f->title = "\"},{\"ruleId\":\"x\" \x1b[31m\xE2\x80\xAE [a](b)";
    f->message = "]( [x]([y](z)) \x7f";
    f->at.column = INT32_MAX;
    f->at.end_column = INT32_MAX;
    f->at.path = "a%2e%2e/\"<b>?#\\x";
    f->snippet = "x";
    f->snippet_line = INT32_MAX;
    f->function = "f\"";
    f->identity.github[0] = '\0';
    rig_add(&r, "a-class-whose-name-is-as-long-as-a-name-of-a-class-can-be-or-so", 0, SEVERITY_INFO,
            1);
    rig_write("sarif", &r, &out);
    check_file(&out, NULL);
    o = document(&r);
    CHECK_INT(json_array_size(at(o, "runs/0/results")), 2);
    json_decref(o);
    rig_done(&r);
}

/* ---- size ---- */

struct tally {
    size_t results, most;
};

/* Writes n results as an exporter does: what is there is sent after each few. */
static double write_many(struct findings_rig *r, size_t n, struct buf *keep, struct tally *t)
{
    const struct findings_format *f = findings_format_find("sarif");
    auto_buf out = {0};
    void *w = f->new (&r->job, &r->scan, &out);
    clock_t begin = clock();

    CHECK_OK(f->begin(w, ERR));
    for (size_t i = 0; i < n; i++) {
        r->f[i % r->n].at.line = (int32_t)(i + 1);
        CHECK_OK(f->row(w, &r->rows[i % r->n], ERR));
        t->results++;
        t->most = out.len > t->most ? out.len : t->most;
        if (out.len > 65536) {
            if (keep) {
                buf_add(keep, out.data, out.len);
            }
            buf_reset(&out);
        }
    }
    CHECK_OK(f->end(w, ERR));
    f->done(w);
    if (keep) {
        buf_add(keep, out.data, out.len);
    }
    return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

static void more_results_than_a_run_takes_go_on_in_another(void)
{
    struct findings_rig r;
    struct tally t = {0};
    auto_buf out = {0};
    json_t *o;

    rig_init(&r);
    rig_add(&r, "other", 0, SEVERITY_LOW, 1);
    write_many(&r, 50001, &out, &t);
    o = json_loadb(out.data, out.len, 0, NULL);
    CHECK_INT(json_array_size(at(o, "runs")), 3);
    CHECK_INT(json_array_size(at(o, "runs/0/results")), 25000);
    CHECK_INT(json_array_size(at(o, "runs/2/results")), 1);
    CHECK(strstr(text_at(o, "runs/0/automationDetails/id"), "scanpod/"));
    CHECK(strstr(text_at(o, "runs/1/automationDetails/id"), "scanpod-2/"));
    CHECK(strstr(out.data, "part 3 of the scan's results: a run has no more than 25000; the scan "
                           "has 50001"));
    CHECK_INT(json_array_size(at(o, "runs/2/tool/driver/rules")), 1);
    json_decref(o);
    rig_done(&r);
}

static void twenty_five_thousand_results_take_no_more_memory_than_a_few(void)
{
    struct findings_rig r;
    struct tally few = {0}, many = {0};
    double seconds;

    rig_init(&r);
    rig_fill(&r);
    r.n = 5;
    write_many(&r, 200, NULL, &few);
    seconds = write_many(&r, 25000, NULL, &many);
    printf("# 25000 results in %.2f s\n", seconds);
    CHECK_INT(many.results, 25000);
    CHECK(many.most < 65536 + 16384);
    CHECK(few.most < 65536 + 16384);
    rig_done(&r);
}

TESTS(every_kind_of_result_passes_the_rules_of_its_readers,
      the_file_is_valid_under_the_schema_of_oasis,
      a_scan_that_failed_or_found_nothing_is_a_file_too, results_say_what_findings_say,
      states_become_those_of_a_baseline, only_people_suppress,
      a_rule_has_the_worst_severity_of_its_results, engines_that_failed_are_told,
      hostile_text_stays_text, more_results_than_a_run_takes_go_on_in_another,
      twenty_five_thousand_results_take_no_more_memory_than_a_few)
