/* What shellcheck writes, recorded, cut, and made up. */
#include "engine_rig.h"

static void codes_of_the_table_become_findings(void)
{
    struct got g = {0};
    const json_t *o;

    engine_got_file(&engine_shellcheck, "shellcheck.json", 1, &g);
    CHECK_INT(g.rc, 0);
    o = got_at(&g, "SC2156", "run.sh", 0);
    CHECK(o);
    CHECK_STR(member(o, "rule"), "command-injection");
    CHECK_STR(member(o, "severity"), "high");
    CHECK(json_real_value(json_object_get(o, "confidence")) == 0.5);
    CHECK_INT(count(o, "line"), 17);
    CHECK_INT(count(o, "column"), 20);
    CHECK_INT(count(o, "end_line"), 17);
    CHECK_INT(count(o, "end_column"), 28);
    CHECK_STR(member(json_array_get(json_object_get(o, "engines"), 0), "severity"), "warning");
    CHECK_STR(member(got_at(&g, "SC2115", "run.sh", 0), "rule"), "path-traversal");
    CHECK_STR(member(got_at(&g, "SC2086", "run.sh", 0), "rule"), "shell-quoting");
    CHECK(!got_at(&g, "SC2034", "run.sh", 0)); /* of taste */
    CHECK(!got_at(&g, "SC3014", "run.sh", 0));
    got_done(&g);
}

static void a_file_beside_the_script_does_not_silence_it(void)
{
    struct got g = {0};

    engine_got_file(&engine_shellcheck, "shellcheck.json", 1, &g);
    CHECK(g.n > 10); /* .shellcheckrc of the tree disables all */
    got_done(&g);
}

static void scripts_that_it_cannot_read_are_told(void)
{
    struct got g = {0};

    engine_got_file(&engine_shellcheck, "shellcheck.json", 1, &g);
    CHECK_INT(g.notes.failed.n, 2);
    CHECK_STR(got_failed(&g, "broken.sh"), "not parsed: a syntax error");
    CHECK_STR(got_failed(&g, "other.sh"), "a shell that shellcheck does not read");
    got_done(&g);
}

static void files_that_are_not_there_are_told(void)
{
    size_t n, n_err;
    auto_free char *out = test_data("engines/shellcheck-missing.json", &n);
    auto_free char *err = test_data("engines/shellcheck-missing.json.err", &n_err);
    const struct engine_end end = {
        .out = out, .n_out = n, .err = err, .n_err = n_err, .exit_status = 2};
    struct engine_end silent = end;
    struct got g = {0};

    engine_got(&engine_shellcheck, &end, &g);
    CHECK_INT(g.rc, 0);
    CHECK(g.n > 5);
    CHECK_STR(got_failed(&g, "gone.sh"), "could not be read");
    got_done(&g);
    silent.n_err = 0;
    engine_got(&engine_shellcheck, &silent, &g);
    CHECK_INT(g.rc, ERR_TOOL);
    CHECK(g.n > 5);
    got_done(&g);
}

static void odd_names_come_back(void)
{
    static const char *const names[] = {"-x.sh", "a b, \"c\".sh", "\xc3\xa9.sh", ".github/w.sh"};
    struct got g = {0};

    engine_got_file(&engine_shellcheck, "shellcheck.json", 1, &g);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CHECK(got_at(&g, "SC2115", names[i], 0));
    }
    got_done(&g);
}

static void a_cut_or_a_status_that_does_not_fit_is_a_failure(void)
{
    size_t n;
    auto_free char *text = test_data("engines/shellcheck.json", &n);

    (void)text;
    cut_anywhere_is_a_failure(&engine_shellcheck, "shellcheck.json", 1, n - 2, 7);
    only_these_ends_are_believed(&engine_shellcheck, "shellcheck-none.json", 1 << 0 | 1 << 2);
}

static void documents_that_make_no_sense_are_refused(void)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"comments\":1}",
        "{\"comments\":[{}]}",
        "{\"comments\":[{\"file\":\"../a\",\"line\":1,\"code\":2086}]}",
        "{\"comments\":[{\"file\":\"a\",\"line\":-1,\"code\":2086}]}",
        "{\"comments\":[{\"file\":\"a\",\"line\":1,\"code\":\"2086\"}]}",
        "{\"comments\":[]}", /* with status 1 */
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct got g = {0};

        engine_got_text(&engine_shellcheck, bad[i], 1, &g);
        if (g.rc != ERR_TOOL || g.n) {
            tap_fail(__FILE__, __LINE__, "%s: %d", bad[i], g.rc);
        }
        got_done(&g);
    }
}

static void every_code_of_the_table_has_a_class(void)
{
    size_t known = 0;

    for (int code = 1000; code < 3100; code++) {
        auto_free char *json =
            str_fmt("{\"comments\":[{\"file\":\"a\",\"line\":2,\"endLine\":2,\"column\":3,"
                    "\"endColumn\":3,\"level\":\"info\",\"code\":%d,\"message\":\"m\"}]}",
                    code);
        struct got g = {0};

        engine_got_text(&engine_shellcheck, json, 1, &g);
        CHECK_INT(g.rc, 0);
        known += g.n;
        got_done(&g);
    }
    CHECK(known >= 35 && known < 100);
}

static void it_reads_no_file_but_those_named(void)
{
    const struct engine_file files[] = {{.path = "-x.sh"}, {.path = "b.sh"}};
    const struct engine_ask ask = {.program = "/s", .files = files, .n_files = 2};
    auto_free char *argv = engine_argv(&engine_shellcheck, &ask);

    CHECK_STR(argv, "/s --norc --format=json1 -- ./-x.sh b.sh");
}

TESTS(codes_of_the_table_become_findings, a_file_beside_the_script_does_not_silence_it,
      scripts_that_it_cannot_read_are_told, files_that_are_not_there_are_told, odd_names_come_back,
      a_cut_or_a_status_that_does_not_fit_is_a_failure, documents_that_make_no_sense_are_refused,
      every_code_of_the_table_has_a_class, it_reads_no_file_but_those_named)
