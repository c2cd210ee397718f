/* What all engines have in common, and the marks of sources that ask to be left alone. */
#include "engine_rig.h"

static const char *mark(const char *line)
{
    return engine_mark(line, strlen(line));
}

static const char *above(const char *line)
{
    return engine_mark_above(line, strlen(line));
}

static void marks_in_comments_are_seen(void)
{
    static const char *const lines[][2] = {
        {"strcpy(a, b); /* Flawfinder: ignore */", "Flawfinder: ignore"},
        {"strcpy(a, b); // flawfinder:ignore", "Flawfinder: ignore"},
        {"strcpy(a, b); /* RATS: ignore */", "RATS: ignore"},
        {"eval(x)  # nosec", "nosec"},
        {"eval(x)  #nosec B307", "nosec"},
        {"eval(x)  # noqa: S307", "noqa"},
        {"# shellcheck disable=SC2086", "shellcheck disable"},
        {"// cppcheck-suppress nullPointer", "cppcheck-suppress"},
        {"  int x; // NOLINT(bugprone)", "NOLINT"},
        {"// NOLINTNEXTLINE", "NOLINTNEXTLINE"},
        {"key = 'x' # gitleaks:allow", "gitleaks:allow"},
        {"x = 1; // lgtm[cpp/x]", "lgtm"},
        {"exec(c) // #nosec G204", "nosec"},
        {"<!-- nosemgrep: x -->", "nosemgrep"},
    };

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (!str_eq(mark(lines[i][0]), lines[i][1])) {
            tap_fail(__FILE__, __LINE__, "%s: %s", lines[i][0], mark(lines[i][0]));
        }
    }
}

static void words_that_are_no_marks_are_not(void)
{
    static const char *const lines[] = {
        "",
        "#",
        "nosec = eval(x)",
        "int nolint(void);",
        "eval(x)  # nosecrets here",
        "eval(x)  # xnosec",
        "x = 1; // my_noqa",
        "# flawfinder ignore",
    };

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (mark(lines[i])) {
            tap_fail(__FILE__, __LINE__, "%s: %s", lines[i], mark(lines[i]));
        }
    }
    CHECK_STR(engine_mark("// nosec", 7), NULL); /* no further than it is told */
}

static void a_mark_above_speaks_for_the_line_below_where_it_is_meant_to(void)
{
    CHECK_STR(above("    // Flawfinder: ignore"), "Flawfinder: ignore");
    CHECK_STR(above("eval(x)  # nosec"), NULL);
    CHECK_STR(above("  # nosec"), "nosec");
    CHECK_STR(above("f(); // NOLINTNEXTLINE"), "NOLINTNEXTLINE");
    CHECK_STR(above("f(); // NOLINT"), NULL);
    CHECK_STR(above("# shellcheck disable=SC1"), "shellcheck disable");
    CHECK_STR(above("int x;"), NULL);
    CHECK_STR(above(""), NULL);
}

static void engines_are_found_by_name_and_are_whole(void)
{
    size_t n = 0;

    for (const struct engine *const *p = engine_all(); *p; p++, n++) {
        const struct engine *en = *p;

        CHECK(engine_find(en->tool.name) == en);
        CHECK(en->tool.summary && en->languages && en->family && en->tool.limits.wall_s);
        CHECK(en->built_in || en->tool.setting);
        CHECK(en->built_in || (en->read && en->build_argv && en->tool.version_args &&
                               en->tool.read_version && en->tool.program));
        CHECK(en->built_in || (en->tool.limits.wall_s && en->tool.limits.memory_mb &&
                               en->tool.limits.output_mb && en->tool.limits.processes));
    }
    CHECK(n >= 5);
    CHECK(!engine_find("nmap"));
    CHECK(!engine_find(NULL));
}

static void versions_are_read_from_what_programs_print(void)
{
    static const struct {
        const struct engine *en;
        const char *text, *version;
    } rows[] = {
        {&engine_flawfinder, "2.0.19\n", "2.0.19"},
        {&engine_cppcheck, "Cppcheck 2.10\n", "2.10"},
        {&engine_cppcheck, "Cppcheck 2.14 dev\n", "2.14"},
        {&engine_bandit, "bandit 1.6.2\n  python version = 3.11.2\n", "1.6.2"},
        {&engine_shellcheck, "ShellCheck - shell script analysis tool\nversion: 0.9.0\n", "0.9.0"},
        {&engine_flawfinder, "Traceback (most recent call last):\n", NULL},
        {&engine_cppcheck, "2.10\n", NULL},
        {&engine_bandit, "", NULL},
        {&engine_shellcheck, "version: \n", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char version[64] = "";
        bool ok = rows[i].en->tool.read_version(rows[i].text, version, sizeof version);

        CHECK(ok == (rows[i].version != NULL));
        CHECK_STR(version, rows[i].version ? rows[i].version : "");
        CHECK(!rows[i].en->tool.read_version(rows[i].text, version, 3));
    }
}

TESTS(marks_in_comments_are_seen, words_that_are_no_marks_are_not,
      a_mark_above_speaks_for_the_line_below_where_it_is_meant_to,
      engines_are_found_by_name_and_are_whole, versions_are_read_from_what_programs_print)
