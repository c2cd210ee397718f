/* What bandit writes, recorded, cut, and made up. */
#include "engine_rig.h"

#define ONE(id)                                                                        \
    "{\"errors\":[],\"results\":[{\"filename\":\"./a.py\",\"line_number\":3,"          \
    "\"line_range\":[3,4,5],\"issue_severity\":\"HIGH\",\"issue_confidence\":\"LOW\"," \
    "\"issue_text\":\"t\",\"code\":\"2 x\\n3 y\\n4 z\\n\",\"test_id\":\"" id "\"}]}"

static void results_become_findings(void)
{
    struct got g = {0};
    const json_t *o;

    engine_got_file(&engine_bandit, "bandit.json", 1, &g);
    CHECK_INT(g.rc, 0);
    o = got_at(&g, "B605", "app.py", 0);
    CHECK(o);
    CHECK_STR(member(o, "rule"), "command-injection");
    CHECK_STR(member(o, "severity"), "high");
    CHECK(json_real_value(json_object_get(o, "confidence")) == 0.9);
    CHECK_INT(count(o, "line"), 19);
    CHECK_INT(count(o, "column"), 0);
    CHECK_INT(json_integer_value(json_array_get(json_object_get(o, "cwe"), 0)), 78);
    CHECK_STR(member(o, "quote"), "    os.system(\"rm \" + name)");
    CHECK_STR(member(got_at(&g, "B301", "app.py", 0), "rule"), "unsafe-deserialization");
    CHECK_STR(member(got_at(&g, "B501", "app.py", 0), "rule"), "certificate-validation");
    got_done(&g);
}

static void neither_its_file_nor_its_comments_silence_it(void)
{
    struct got g = {0};

    engine_got_file(&engine_bandit, "bandit.json", 1, &g);
    CHECK(got_at(&g, "B307", "app.py", 0)); /* .bandit of the tree skips it */
    CHECK(strstr(member(got_at(&g, "B602", "app.py", 0), "quote"), "# nosec"));
    got_done(&g);
}

static void what_is_no_weakness_by_itself_is_left_out(void)
{
    static const char *const ids[] = {"B101", "B403", "B404", "B603"};
    struct got g = {0};

    engine_got_file(&engine_bandit, "bandit.json", 1, &g);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        CHECK(!got_at(&g, ids[i], "app.py", 0));
    }
    got_done(&g);
}

static void odd_names_come_back(void)
{
    static const char *const names[] = {"-x.py", "a b, \"c\".py", "\xc3\xa9.py", ".github/w.py"};
    struct got g = {0};

    engine_got_file(&engine_bandit, "bandit.json", 1, &g);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CHECK(got_at(&g, "B605", names[i], 0));
    }
    got_done(&g);
}

static void files_that_it_could_not_read_are_told(void)
{
    struct got g = {0};

    engine_got_file(&engine_bandit, "bandit.json", 1, &g);
    CHECK_INT(g.notes.failed.n, 3);
    CHECK_STR(got_failed(&g, "broken.py"), "syntax error while parsing AST from file");
    CHECK(got_failed(&g, "latin.py"));
    CHECK_STR(got_failed(&g, "nul.py"), "exception while scanning file");
    got_done(&g);
    engine_got_file(&engine_bandit, "bandit-none.json", 0, &g);
    CHECK_INT(g.rc, 0);
    CHECK_INT(g.n, 0);
    CHECK(got_failed(&g, "broken.py"));
    got_done(&g);
}

static void a_cut_or_a_status_that_does_not_fit_is_a_failure(void)
{
    size_t n;
    auto_free char *text = test_data("engines/bandit.json", &n);

    (void)text;
    cut_anywhere_is_a_failure(&engine_bandit, "bandit.json", 1, n - 1, 11);
    only_these_ends_are_believed(&engine_bandit, "bandit.json", 1 << 1);
    only_these_ends_are_believed(&engine_bandit, "bandit-none.json", 1 << 0);
}

static void documents_that_make_no_sense_are_refused(void)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"errors\":[],\"results\":{}}",
        "{\"errors\":[],\"results\":[1]}",
        "{\"errors\":[],\"results\":[{\"filename\":\"/a\",\"line_number\":1,\"test_id\":\"B1\"}]}",
        "{\"errors\":[],\"results\":[{\"filename\":\"a\",\"line_number\":0,\"test_id\":\"B1\"}]}",
        "{\"errors\":[],\"results\":[{\"filename\":\"a\",\"line_number\":1}]}",
        "Traceback (most recent call last):\n  File \"/usr/bin/bandit\", line 33\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct got g = {0};

        engine_got_text(&engine_bandit, bad[i], 1, &g);
        if (g.rc != ERR_TOOL || g.n) {
            tap_fail(__FILE__, __LINE__, "%s: %d", bad[i], g.rc);
        }
        got_done(&g);
    }
}

static void every_test_is_known(void)
{
    size_t n, known = 0;
    auto_free char *text = test_data("engines/bandit-ids.txt", &n);
    char *rest = text;

    for (char *id; (id = strsep(&rest, "\n")) && *id;) {
        auto_free char *json = str_fmt("{\"errors\":[],\"results\":[{\"filename\":\"a\","
                                       "\"line_number\":1,\"test_id\":\"%s\"}]}",
                                       id);
        struct got g = {0};

        engine_got_text(&engine_bandit, json, 1, &g);
        CHECK_INT(g.rc, 0);
        if (g.n && str_eq(member(json_array_get(g.findings, 0), "rule"), "other")) {
            tap_fail(__FILE__, __LINE__, "%s is not known", id);
        }
        known++;
        got_done(&g);
    }
    CHECK(known > 60);
}

static void the_milder_severity_counts_and_the_range_is_kept(void)
{
    struct got g = {0};
    const json_t *o;

    engine_got_text(&engine_bandit, ONE("B108"), 1, &g);
    o = json_array_get(g.findings, 0);
    CHECK_STR(member(o, "severity"), "low");
    CHECK(json_real_value(json_object_get(o, "confidence")) == 0.3);
    CHECK_INT(count(o, "end_line"), 5);
    CHECK_STR(member(o, "path"), "a.py");
    CHECK_STR(member(o, "quote"), "y");
    got_done(&g);
    engine_got_text(&engine_bandit, ONE("B999"), 1, &g);
    CHECK_STR(member(json_array_get(g.findings, 0), "rule"), "other");
    CHECK_STR(member(json_array_get(g.findings, 0), "severity"), "high");
    got_done(&g);
}

static void it_is_given_a_configuration_of_ours(void)
{
    const struct engine_file files[] = {{.path = "-x.py"}};
    const struct engine_ask ask = {.program = "/b", .files = files, .n_files = 1};
    auto_free char *argv = engine_argv(&engine_bandit, &ask);

    CHECK_STR(argv, "/b --format json --quiet --ini /tmp/bandit.ini --ignore-nosec --exclude // -- "
                    "./-x.py");
    CHECK_STR(engine_bandit.inputs[0].path, "/tmp/bandit.ini");
    CHECK_STR(engine_bandit.inputs[1].path, NULL);
}

TESTS(results_become_findings, neither_its_file_nor_its_comments_silence_it,
      what_is_no_weakness_by_itself_is_left_out, odd_names_come_back,
      files_that_it_could_not_read_are_told, a_cut_or_a_status_that_does_not_fit_is_a_failure,
      documents_that_make_no_sense_are_refused, every_test_is_known,
      the_milder_severity_counts_and_the_range_is_kept, it_is_given_a_configuration_of_ours)
