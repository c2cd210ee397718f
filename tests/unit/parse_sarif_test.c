/* SARIF of many tools, and what only hand-made documents show. */
#include <dirent.h>
#include <jansson.h>

#include "assess/classes.h"
#include "parse/finding_json.h"
#include "parse/parse.h"
#include "parse/sarif.h"
#include "tap.h"

struct got {
    json_t *findings; /* owned */
    json_t *run;      /* owned */
    size_t n, runs, stop_at;
    bool complete, blind;
    char *exit, *errormsg, *scanner, *version; /* owned */
    int64_t start_s;
    int feed_rc, finish_rc;
    struct err err;
};

static int on_finding(void *arg, const struct finding *f, struct err *e)
{
    struct got *g = arg;
    auto_buf b = {0};
    struct json j = json_to(&b);

    if (++g->n == g->stop_at) {
        return err_set(e, ERR_FULL, "no more, please");
    }
    CHECK(g->runs == 0);
    CHECK_OK(finding_check(f, ERR));
    CHECK(weakness_find(f->rule));
    if (!g->blind) {
        finding_json(f, &j);
        json_array_append_new(g->findings, json_loads(b.data, 0, NULL));
    }
    return 0;
}

static int on_run(void *arg, const struct run_info *r, struct err *e)
{
    struct got *g = arg;

    (void)e;
    g->runs++;
    g->run = json_loads(r->json, JSON_REJECT_DUPLICATES, NULL);
    CHECK(g->run);
    g->complete = r->complete;
    g->exit = xstrdup(r->exit);
    g->errormsg = xstrdup(r->errormsg);
    g->scanner = xstrdup(r->scanner);
    g->version = xstrdup(r->version);
    g->start_s = r->start_s;
    return 0;
}

static void parse(const char *text, size_t n, size_t step, struct got *g)
{
    const struct parse_sink sink = {.finding = on_finding, .run = on_run, .arg = g};
    void *p = parser_sarif.new(&sink);

    g->findings = json_array();
    for (size_t at = 0; at < n && g->feed_rc == 0; at += step) {
        g->feed_rc = parser_sarif.feed(p, text + at, MIN(step, n - at), &g->err);
    }
    g->finish_rc = parser_sarif.finish(p, &g->err);
    parser_sarif.free(p);
    CHECK((g->finish_rc == 0) == (g->complete && g->runs == 1) || g->stop_at);
}

static void done(struct got *g)
{
    json_decref(g->findings);
    json_decref(g->run);
    free(g->exit);
    free(g->errormsg);
    free(g->scanner);
    free(g->version);
    *g = (struct got){0};
}

static const char *member(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static int64_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static const json_t *nth(const struct got *g, size_t i)
{
    const json_t *o = json_array_get(g->findings, i);

    CHECK(o);
    return o;
}

/* ---- the fixtures ---- */

/* Links to places are plain text in a finding. */
static char *plain(const char *s)
{
    struct buf b = {0};

    while (*s) {
        const char *close = *s == '[' ? strchr(s, ']') : NULL;
        size_t n = close && close[1] == '(' ? strspn(close + 2, "0123456789") : 0;

        if (n && close[2 + n] == ')') {
            buf_add(&b, s + 1, (size_t)(close - s) - 1);
            s = close + 3 + n;
        } else {
            buf_addc(&b, *s++);
        }
    }
    return buf_take(&b);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);

    return n >= k && strcmp(s + n - k, end) == 0;
}

static void check_place(const char *file, size_t i, const json_t *want, const json_t *got)
{
    const json_t *where = json_array_get(json_object_get(want, "locations"), 0);
    const char *uri = member(where, "uri");
    const char *name = uri && strrchr(uri, '/') ? strrchr(uri, '/') + 1 : uri;
    int64_t line = number(where, "startLine");

    if (!uri || str_eq(uri, ".") || str_eq(uri, "./")) {
        CHECK_STR(member(got, "path"), SARIF_NO_PATH);
        return;
    }
    if (!strchr(uri, '%') && !ends_with(member(got, "path"), name)) {
        tap_fail(__FILE__, __LINE__, "%s, %zu: '%s' is not '%s'", file, i, member(got, "path"),
                 uri);
    }
    if (number(got, "line") != line ||
        (line && number(got, "column") != number(where, "startColumn"))) {
        tap_fail(__FILE__, __LINE__, "%s, %zu: line %lld", file, i, (long long)number(got, "line"));
    }
}

static void check_result(const char *file, size_t i, const json_t *want, const json_t *got)
{
    const json_t *en = json_array_get(json_object_get(got, "engines"), 0);
    const char *message = member(want, "message");
    const char *prints =
        member(json_object_get(want, "partialFingerprints"), "primaryLocationLineHash");
    auto_free char *text = plain(message ? message : "");
    bool suppressed = json_is_true(json_object_get(want, "suppressed"));

    if (!str_eq(member(en, "severity"), member(want, "level")) ||
        (member(want, "ruleId") && !str_eq(member(en, "rule"), member(want, "ruleId"))) ||
        (member(got, "marked") != NULL) != suppressed) {
        tap_fail(__FILE__, __LINE__, "%s, %zu: %s, %s, %s", file, i, member(en, "severity"),
                 member(en, "rule"), member(got, "marked"));
    }
    if (message && strlen(text) < 4000 &&
        !str_eq(member(got, "message") ? member(got, "message") : "", text)) {
        tap_fail(__FILE__, __LINE__, "%s, %zu: '%s' is not '%s'", file, i, member(got, "message"),
                 text);
    }
    if (prints && strlen(prints) < 24) { /* the form of GitHub */
        CHECK_STR(member(json_object_get(got, "fingerprints"), "github"), prints);
    }
    if (number(want, "codeFlows") > 0) {
        CHECK(json_array_size(json_object_get(got, "related")) > 0);
    }
    check_place(file, i, want, got);
}

/* Results that count, in the order of the document. */
static void check_fixture(const char *file, const json_t *want, const struct got *g)
{
    size_t i, k, at = 0;
    const json_t *run, *result;
    bool broken = !json_is_true(json_object_get(want, "json")) || json_object_get(want, "error");

    json_array_foreach(json_object_get(want, "runs"), i, run)
    {
        const json_t *ok = json_object_get(run, "executionSuccessful");

        broken = broken || json_object_get(run, "error");
        for (k = 0; k < json_array_size(ok); k++) {
            broken = broken || json_is_false(json_array_get(ok, k));
        }
        json_array_foreach(json_object_get(run, "results"), k, result)
        {
            if (str_eq(member(result, "kind"), "fail") &&
                !str_eq(member(result, "baselineState"), "absent")) {
                check_result(file, at, result, nth(g, at));
                at++;
            }
        }
    }
    CHECK_INT(g->n, at);
    if (broken) {
        CHECK_INT(g->finish_rc, ERR_TOOL);
    }
    CHECK_INT(g->runs, 1);
    CHECK(json_is_true(json_object_get(g->run, "imported")));
}

/* X and what is expected of it, as far as there is such. */
static size_t check_folder(const char *name)
{
    auto_free char *dir = str_fmt("%s/sarif/%s", getenv("SCANPOD_TEST_FIXTURES"), name);
    DIR *d = opendir(dir);
    const struct dirent *entry;
    size_t count = 0;

    CHECK(d);
    while ((entry = readdir(d))) {
        auto_free char *path = str_fmt("sarif/%s/%s", name, entry->d_name);
        auto_free char *beside = str_fmt("%s.expect.json", path);
        auto_free char *text = NULL;
        auto_free char *expect = NULL;
        const char *why = "";
        struct got g = {0};
        json_t *want;
        size_t n, m;

        if (entry->d_name[0] == '.' || ends_with(path, ".expect.json")) {
            continue;
        }
        text = test_fixture(path, &n);
        expect = test_fixture(beside, &m);
        want = json_loads(expect, 0, NULL);
        CHECK(want);
        parse(text, n, 1 + n / 3, &g);
        check_fixture(path, want, &g);
        if (!str_eq(parse_detect(text, n, &why), "sarif")) {
            tap_fail(__FILE__, __LINE__, "%s: %s", path, why);
        }
        json_decref(want);
        done(&g);
        count++;
    }
    closedir(d);
    return count;
}

static void all_fixtures_are_read_as_is_expected(void)
{
    static const char *const folders[] = {"codeql-action", "defectdojo", "gitleaks",
                                          "grype",         "sarif-sdk",  "tutorials"};
    size_t count = 0;

    if (!test_fixtures_present()) {
        tap_skip("no fixtures here");
    }
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        count += check_folder(folders[i]);
    }
    CHECK(count >= 40);
}

static void what_is_known_of_some_fixtures(void)
{
    size_t n;
    auto_free char *base = test_fixture("sarif/tutorials/OriginalUriBaseIds.sarif", &n);
    auto_free char *taxa = NULL;
    auto_free char *flow = NULL;
    auto_free char *grype = NULL;
    struct got g = {0};

    parse(base, n, n, &g);
    CHECK_STR(member(nth(&g, 1), "path"), "src/io/kb.c");
    CHECK(json_is_true(json_object_get(nth(&g, 1), "verified")));
    done(&g);
    taxa = test_fixture("sarif/tutorials/standard-taxonomy.sarif", &n);
    parse(taxa, n, n, &g);
    CHECK_STR(member(nth(&g, 0), "rule"), "memory-leak");
    CHECK_INT(json_integer_value(json_array_get(json_object_get(nth(&g, 0), "cwe"), 0)), 401);
    done(&g);
    flow = test_fixture("sarif/tutorials/bad-eval-with-code-flow.sarif", &n);
    parse(flow, n, n, &g);
    CHECK_INT(json_array_size(json_object_get(nth(&g, 0), "related")), 3);
    done(&g);
    grype = test_fixture("sarif/grype/directory.sarif", &n);
    parse(grype, n, n, &g);
    CHECK_STR(member(nth(&g, 0), "rule"), "dependency-risk");
    done(&g);
}

/* ---- what programs wrote about files of ours ---- */

static const json_t *of_rule(const struct got *g, const char *rule, int64_t line)
{
    size_t i;
    const json_t *o;

    json_array_foreach(g->findings, i, o)
    {
        if (str_eq(member(json_array_get(json_object_get(o, "engines"), 0), "rule"), rule) &&
            number(o, "line") == line) {
            return o;
        }
    }
    return NULL;
}

static void recordings_of_real_programs_are_read(void)
{
    size_t n;
    auto_free char *words = test_data("sarif/flawfinder.sarif", &n);
    auto_free char *paths = NULL;
    struct got g = {0};
    const json_t *o;

    parse(words, n, 999, &g);
    CHECK_INT(g.finish_rc, 0);
    CHECK_INT(g.n, 15);
    o = of_rule(&g, "FF1044", 29);
    CHECK_STR(member(o, "rule"), "command-injection");
    CHECK_STR(member(o, "path"), "main.c");
    CHECK_STR(member(o, "line_text"), "system(line);");
    CHECK_STR(member(o, "severity"), "high");
    CHECK_STR(g.scanner, "Flawfinder");
    done(&g);
    paths = test_data("sarif/clang.sarif", &n);
    parse(paths, n, 999, &g);
    CHECK_INT(g.finish_rc, 0);
    CHECK_INT(g.n, 5);
    o = of_rule(&g, "unix.Malloc", 39);
    CHECK_STR(member(o, "message"), "Use of memory after it is freed");
    CHECK(json_array_size(json_object_get(o, "related")) > 2);
    CHECK_STR(member(o, "path"), "tmp/src/main.c"); /* of a machine: not in the tree */
    CHECK(json_is_false(json_object_get(o, "verified")));
    done(&g);
}

static void a_tree_that_is_known_makes_paths_relative(void)
{
    size_t n;
    auto_free char *text = test_data("sarif/clang.sarif", &n);
    struct sarif_log log;

    CHECK_OK(sarif_log_read(text, n, "/tmp/src", &log, ERR));
    CHECK_INT(log.n, 5);
    for (size_t i = 0; i < log.n; i++) {
        CHECK_STR(log.v[i].at.path, "main.c");
        CHECK(log.v[i].verified);
    }
    sarif_log_done(&log);
}

/* ---- documents made here ---- */

#define LOG(more, results)                                                                  \
    "{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"Toy\","             \
    "\"version\":\"1\",\"rules\":[{\"id\":\"R1\",\"name\":\"SqlInjection\",\"properties\":" \
    "{\"security-severity\":\"9.1\",\"precision\":\"high\",\"tags\":[\"security\","         \
    "\"external/cwe/cwe-089\"]},\"help\":{\"text\":\"Bind it.\"}}]}}" more                  \
    ",\"results\":[" results "]}]}"
#define AT(uri, more)                                                                      \
    "\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":\"" uri "\"" more \
    "},\"region\":{\"startLine\":3}}}]"
#define RESULT(more) "{\"ruleId\":\"R1\",\"message\":{\"text\":\"m\"}," more "}"

static void read_log(const char *text, struct got *g)
{
    parse(text, strlen(text), 1000, g);
}

static void chunks_do_not_matter_and_a_cut_is_a_failure(void)
{
    static const char text[] = LOG("", RESULT(AT("a.c", "")));

    for (size_t step = 1; step < sizeof text; step += 7) {
        struct got g = {0};

        parse(text, sizeof text - 1, step, &g);
        CHECK_INT(g.finish_rc, 0);
        CHECK_INT(g.n, 1);
        CHECK_STR(g.scanner, "Toy");
        CHECK_STR(g.version, "1");
        CHECK_STR(g.exit, "success");
        CHECK_STR(member(g.run, "assessment"), "complete");
        done(&g);
    }
    for (size_t cut = 0; cut < sizeof text - 1; cut++) {
        struct got g = {0};

        parse(text, cut, 50, &g);
        CHECK_INT(g.finish_rc, ERR_TOOL);
        CHECK_INT(g.n, 0);
        CHECK_STR(member(g.run, "assessment"), "failed");
        done(&g);
    }
}

static void what_rules_say_is_in_the_finding(void)
{
    struct got g = {0};
    const json_t *o;

    read_log(LOG("", RESULT(AT("a%20b.c", ""))), &g);
    o = nth(&g, 0);
    CHECK_STR(member(o, "rule"), "sql-injection");
    CHECK_STR(member(o, "title"), "SqlInjection");
    CHECK_STR(member(o, "recommendation"), "Bind it.");
    CHECK_STR(member(o, "severity"), "critical");
    CHECK(json_real_value(json_object_get(o, "confidence")) == 0.8);
    CHECK_STR(member(o, "path"), "a b.c");
    CHECK_INT(json_integer_value(json_array_get(json_object_get(o, "cwe"), 0)), 89);
    CHECK(json_is_true(json_object_get(o, "verified")));
    done(&g);
}

static void rules_of_extensions_and_parts_of_rules_are_found(void)
{
    static const char text[] =
        "{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"T\",\"rules\":["
        "{\"id\":\"A\",\"name\":\"driver\"}]},\"extensions\":[{\"name\":\"X\",\"rules\":["
        "{\"id\":\"B\",\"name\":\"extension\",\"defaultConfiguration\":{\"level\":\"error\"}}]}]},"
        "\"invocations\":[{\"executionSuccessful\":true,\"ruleConfigurationOverrides\":["
        "{\"descriptor\":{\"id\":\"A\"},\"configuration\":{\"level\":\"note\"}}]}],"
        "\"results\":["
        "{\"rule\":{\"index\":0,\"toolComponent\":{\"index\":0}},\"message\":{\"text\":\"m\"}},"
        "{\"ruleId\":\"A/7\",\"ruleIndex\":0,\"message\":{\"text\":\"m\"}},"
        "{\"ruleId\":\"B\",\"ruleIndex\":0,\"message\":{\"text\":\"m\"}},"
        "{\"ruleId\":\"C\",\"ruleIndex\":99,\"message\":{\"text\":\"m\"}}]}]}";
    static const char *const titles[] = {"extension", "driver", "extension", "m"};
    static const char *const levels[] = {"high", "low", "high", "medium"};
    struct got g = {0};

    read_log(text, &g);
    CHECK_INT(g.n, 4);
    for (size_t i = 0; i < 4; i++) {
        CHECK_STR(member(nth(&g, i), "title"), titles[i]);
        CHECK_STR(member(nth(&g, i), "severity"), levels[i]);
        CHECK_STR(member(nth(&g, i), "path"), SARIF_NO_PATH);
    }
    done(&g);
}

static void places_are_paths_in_the_tree_or_are_not_verified(void)
{
    static const struct {
        const char *base, *uri, *path;
        bool inside;
    } rows[] = {
        {"", "src/./x//a.c", "src/x/a.c", true},
        {"", "./a.c", "a.c", true},
        {"", "x/../a.c", "a.c", true},
        {"", "../../etc/passwd", "etc/passwd", false},
        {"", "src\\\\win\\\\a.c", "src/win/a.c", true},
        {"", "/etc/passwd", "etc/passwd", false},
        {"", "file:///home/u/p/q/r/a.c", "p/q/r/a.c", false},
        {"", "file:///C:/w/a.c", "C:/w/a.c", false},
        {"", "C:\\\\w\\\\a.c", "C:/w/a.c", false},
        {"", "http://h/x/a.c", "h/x/a.c", false},
        {"", "a%zz.c", "a%zz.c", true},
        {"", "a%00b.c", "a%00b.c", true},
        {"", "a%0ab.c", "a%0ab.c", true},
        {"", "a\\nb.c", "a_b.c", true},
        {"", "%FF.c", "%FF.c", true},
        {"", "caf%C3%A9.c", "caf\xc3\xa9.c", true},
        {"", "..", SARIF_NO_PATH, false},
        {"", "file:///", SARIF_NO_PATH, false},
        {",\"originalUriBaseIds\":{\"R\":{\"uri\":\"file:///home/u/p/\"}}", "file:///home/u/p/a.c",
         "a.c", true},
        {",\"originalUriBaseIds\":{\"R\":{\"uri\":\"file:///home/u/p/\"},\"S\":{\"uri\":"
         "\"file:///home/u/p/src/\"}}",
         "file:///home/u/p/src/a.c", "src/a.c", true},
        {",\"originalUriBaseIds\":{\"R\":{\"uri\":\"file:///\"}}", "file:///home/a.c", "home/a.c",
         false},
        {",\"versionControlProvenance\":[{\"mappedTo\":{\"uri\":\"file:///w/\"}}]",
         "file://host/w/d/a.c", "d/a.c", true},
        {",\"originalUriBaseIds\":{\"%SRCROOT%\":{\"uri\":\"b/\",\"uriBaseId\":\"%SRCROOT%\"}}",
         "a.c\",\"uriBaseId\":\"%SRCROOT%", NULL, true}, /* a base of itself: it only has to end */
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text =
            str_fmt("{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"T\"}}%s,"
                    "\"results\":[{\"message\":{\"text\":\"m\"}," AT("%s", "") "}]}]}",
                    rows[i].base, rows[i].uri);
        struct got g = {0};

        read_log(text, &g);
        CHECK_INT(g.finish_rc, 0);
        if (rows[i].path && !str_eq(member(nth(&g, 0), "path"), rows[i].path)) {
            tap_fail(__FILE__, __LINE__, "%s: %s", rows[i].uri, member(nth(&g, 0), "path"));
        }
        if (json_is_true(json_object_get(nth(&g, 0), "verified")) != rows[i].inside) {
            tap_fail(__FILE__, __LINE__, "%s: inside or not", rows[i].uri);
        }
        done(&g);
    }
}

static void an_artifact_may_be_named_by_its_index(void)
{
    struct got g = {0};

    read_log(LOG(",\"artifacts\":[{},{\"location\":{\"uri\":\"x/y.c\"}}]",
                 "{\"message\":{\"text\":\"m\"},\"locations\":[{\"physicalLocation\":"
                 "{\"artifactLocation\":{\"index\":1},\"region\":{\"startLine\":3,\"startColumn\":"
                 "2,\"endColumn\":5}}}]},"
                 "{\"message\":{\"text\":\"m\"},\"locations\":[{\"physicalLocation\":"
                 "{\"artifactLocation\":{\"index\":7}}}]}"),
             &g);
    CHECK_STR(member(nth(&g, 0), "path"), "x/y.c");
    CHECK_INT(number(nth(&g, 0), "end_column"), 4);
    CHECK_STR(member(nth(&g, 1), "path"), SARIF_NO_PATH);
    done(&g);
}

static void messages_get_their_arguments_and_lose_their_links(void)
{
    static const char *const rows[][2] = {
        {"{\"text\":\"'{0}' of {1}, {2} {{x}}\",\"arguments\":[\"a\",\"b\"]}", "'a' of b, {2} {x}"},
        {"{\"text\":\"f() {{ {0} }}\"}", "f() {{ {0} }}"},
        {"{\"text\":\"see [here](1) and [there](https://h/x)\"}",
         "see here and there (https://h/x)"},
        {"{\"text\":\"a[i](j) \\\\[x\\\\]\"}", "ai [x]"},
        {"{\"text\":\"v[3] = (1)\"}", "v[3] = (1)"},
        {"{\"markdown\":\"*m*\"}", "*m*"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = str_fmt(LOG("", "{\"message\":%s}"), rows[i][0]);
        struct got g = {0};

        read_log(text, &g);
        CHECK_STR(member(nth(&g, 0), "message"), rows[i][1]);
        done(&g);
    }
}

static void results_that_do_not_count_are_left_out(void)
{
    struct got g = {0};

    read_log(LOG("", RESULT("\"kind\":\"pass\"") "," RESULT("\"kind\":\"open\"") "," RESULT(
                         "\"baselineState\":\"absent\"") "," RESULT("\"kind\":\"fail\"")),
             &g);
    CHECK_INT(g.n, 1);
    done(&g);
}

static void a_tool_that_failed_is_not_complete(void)
{
    struct got g = {0};

    read_log(LOG(",\"invocations\":[{\"executionSuccessful\":false,\"startTimeUtc\":"
                 "\"2026-01-02T03:04:05Z\",\"toolExecutionNotifications\":[{\"level\":\"error\","
                 "\"message\":{\"text\":\"out of memory\"}}]}]",
                 RESULT(AT("a.c", ""))),
             &g);
    CHECK_INT(g.n, 1);
    CHECK_INT(g.finish_rc, ERR_TOOL);
    CHECK_STR(g.exit, "error");
    CHECK(strstr(g.errormsg, "did not succeed"));
    CHECK_STR(member(g.run, "assessment"), "partial");
    CHECK_STR(member(json_array_get(json_object_get(g.run, "engines"), 0), "status"), "partial");
    CHECK_INT(json_array_size(json_object_get(g.run, "notes")), 2);
    CHECK_INT(g.start_s, 1767323045);
    done(&g);
    read_log(LOG(",\"invocations\":[{\"executionSuccessful\":true,\"toolExecutionNotifications\":"
                 "[{\"level\":\"warning\",\"message\":{\"text\":\"slow\"}}]}]",
                 ""),
             &g);
    CHECK_INT(g.finish_rc, 0);
    done(&g);
}

static void other_versions_and_other_json_are_refused_by_name(void)
{
    static const char *const bad[][2] = {
        {"{\"version\":\"2.0.0\",\"runs\":[]}", "SARIF 2.0.0"},
        {"{\"version\":\"1.0.0\",\"runs\":[]}", "SARIF 1.0.0"},
        {"{\"runs\":[]}", "no version"},
        {"[]", "no version"},
        {"{\"version\":\"2.1.0\"}", "no list of runs"},
        {"{\"version\":\"2.1.0\",\"runs\":[1]}", "a run is not an object"},
        {"{\"version\":\"2.1.0\",\"runs\":[{\"results\":{}}]}", "not a list"},
        {"{\"version\":\"2.1.0\",\"runs\":[{\"results\":[1]}]}", "result 0 is not an object"},
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct got g = {0};

        read_log(bad[i][0], &g);
        if (g.finish_rc != ERR_TOOL || !strstr(g.err.msg, bad[i][1])) {
            tap_fail(__FILE__, __LINE__, "%s: %d: %s", bad[i][0], g.finish_rc, g.err.msg);
        }
        done(&g);
    }
}

static void nothing_of_a_secret_is_kept(void)
{
    struct got g = {0};
    const json_t *o;

    read_log(LOG("", "{\"ruleId\":\"aws-access-key\",\"message\":{\"text\":\"found\"},"
                     "\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":\"a\"},"
                     "\"region\":{\"startLine\":1,\"snippet\":{\"text\":\"AKIASECRET\"}},"
                     "\"contextRegion\":{\"startLine\":1,\"snippet\":{\"text\":\"AKIASECRET\"}}}}]"
                     "}"),
             &g);
    o = nth(&g, 0);
    CHECK_STR(member(o, "rule"), "hardcoded-secret");
    CHECK_STR(member(o, "secret"), "aws-access-key");
    CHECK_STR(member(o, "snippet"), NULL);
    CHECK_STR(member(o, "line_text"), NULL);
    done(&g);
}

static void excerpts_come_along_and_are_cut(void)
{
    auto_buf b = {0};
    struct got g = {0};

    read_log(LOG("", "{\"message\":{\"text\":\"m\"},\"locations\":[{\"physicalLocation\":"
                     "{\"artifactLocation\":{\"uri\":\"a\"},\"region\":{\"startLine\":7,"
                     "\"snippet\":{\"text\":\"\\t x  =  1;\\n y\"}},\"contextRegion\":{"
                     "\"startLine\":6,\"snippet\":{\"text\":\"{\\n x = 1;\\n}\"}}}}]}"),
             &g);
    CHECK_STR(member(nth(&g, 0), "line_text"), "x = 1;");
    CHECK_STR(member(nth(&g, 0), "snippet"), "{\n x = 1;\n}");
    CHECK_INT(number(nth(&g, 0), "snippet_line"), 6);
    done(&g);
    buf_adds(&b, LOG("", "{\"message\":{\"text\":\""));
    b.len -= 4; /* "]}]}" */
    for (int i = 0; i < 5000; i++) {
        buf_adds(&b, "\xe2\x82\xac");
    }
    buf_adds(&b, "\"}}]}]}");
    read_log(b.data, &g);
    CHECK_INT(g.finish_rc, 0);
    CHECK_INT(strlen(member(nth(&g, 0), "message")), 4095);
    CHECK_INT(strlen(member(nth(&g, 0), "title")), 255);
    done(&g);
}

static void classes_come_from_cwes_or_names(void)
{
    static const char *const rows[][2] = {
        {"\"ruleId\":\"py/path-injection\"", "path-traversal"},
        {"\"ruleId\":\"javascript.express.security.audit.xss.direct\"", "cross-site-scripting"},
        {"\"ruleId\":\"command-injection\"", "command-injection"},
        {"\"ruleId\":\"GHSA-xxxx-1234-yyyy\"", "dependency-risk"},
        {"\"ruleId\":\"X\",\"properties\":{\"cwe\":\"CWE-611\"}", "xxe"},
        {"\"ruleId\":\"X\",\"properties\":{\"cwe\":[502]}", "unsafe-deserialization"},
        {"\"ruleId\":\"X\",\"taxa\":[{\"id\":\"22\",\"toolComponent\":{\"name\":\"CWE\"}}]",
         "path-traversal"},
        {"\"ruleId\":\"X\",\"taxa\":[{\"id\":\"22\",\"toolComponent\":{\"name\":\"OWASP\"}}]",
         "other"},
        {"\"ruleId\":\"whatever\"", "other"},
        {"\"level\":\"note\"", "other"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text =
            str_fmt("{\"version\":\"2.1.0\",\"runs\":[{\"results\":[{\"message\":{\"text\":\"m\"},"
                    "%s}]}]}",
                    rows[i][0]);
        struct got g = {0};

        read_log(text, &g);
        CHECK_STR(member(nth(&g, 0), "rule"), rows[i][1]);
        done(&g);
    }
}

static void equals_are_told_apart_and_keep_their_identity(void)
{
    static const char text[] = LOG("", RESULT(AT("a.c", "")) "," RESULT(AT("a.c", "")));
    static const char less[] = LOG("", RESULT(AT("b.c", "")) "," RESULT(AT("a.c", "")));
    struct got g = {0}, again = {0};
    const char *first, *second, *other;

    read_log(text, &g);
    read_log(less, &again);
    first = member(json_object_get(nth(&g, 0), "fingerprints"), "primary");
    second = member(json_object_get(nth(&g, 1), "fingerprints"), "primary");
    other = member(json_object_get(nth(&again, 0), "fingerprints"), "primary");
    CHECK_INT(strlen(first), 32);
    CHECK(strcmp(first, second) != 0 && strcmp(first, other) != 0);
    CHECK_STR(member(json_object_get(nth(&again, 1), "fingerprints"), "primary"), first);
    done(&g);
    done(&again);
}

static void a_sink_that_says_stop_is_obeyed(void)
{
    static const char text[] = LOG("", RESULT(AT("a.c", "")) "," RESULT(AT("b.c", "")));
    struct got g = {.stop_at = 2};

    parse(text, sizeof text - 1, 100, &g);
    CHECK_INT(g.finish_rc, ERR_FULL);
    CHECK_STR(g.err.msg, "no more, please");
    CHECK_INT(g.runs, 0);
    done(&g);
}

static void flows_give_the_first_places_only(void)
{
    auto_buf b = {0};
    struct got g = {0};

    buf_adds(&b, LOG("", "{\"message\":{\"text\":\"m\"},\"codeFlows\":[{\"threadFlows\":[{"
                         "\"locations\":["));
    b.len -= 4;
    for (int i = 0; i < 100; i++) {
        buf_addf(&b,
                 "%s{\"location\":{\"physicalLocation\":{\"artifactLocation\":{\"uri\":"
                 "\"f%d.c\"},\"region\":{\"startLine\":1}},\"message\":{\"text\":\"s\"}}}",
                 i ? "," : "", i);
    }
    buf_adds(&b, "]}]}]}]}]}");
    read_log(b.data, &g);
    CHECK_INT(g.finish_rc, 0);
    CHECK_INT(json_array_size(json_object_get(nth(&g, 0), "related")), FINDING_RELATED);
    CHECK_STR(member(json_array_get(json_object_get(nth(&g, 0), "related"), 0), "path"), "f0.c");
    done(&g);
}

TESTS(all_fixtures_are_read_as_is_expected, what_is_known_of_some_fixtures,
      recordings_of_real_programs_are_read, a_tree_that_is_known_makes_paths_relative,
      chunks_do_not_matter_and_a_cut_is_a_failure, what_rules_say_is_in_the_finding,
      rules_of_extensions_and_parts_of_rules_are_found,
      places_are_paths_in_the_tree_or_are_not_verified, an_artifact_may_be_named_by_its_index,
      messages_get_their_arguments_and_lose_their_links, results_that_do_not_count_are_left_out,
      a_tool_that_failed_is_not_complete, other_versions_and_other_json_are_refused_by_name,
      nothing_of_a_secret_is_kept, excerpts_come_along_and_are_cut, classes_come_from_cwes_or_names,
      equals_are_told_apart_and_keep_their_identity, a_sink_that_says_stop_is_obeyed,
      flows_give_the_first_places_only)
