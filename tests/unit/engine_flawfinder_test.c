/* What flawfinder writes, recorded, cut, and made up. */
#include "engine_rig.h"

#define HEADER                                                                        \
    "File,Line,Column,DefaultLevel,Level,Category,Name,Warning,Suggestion,Note,CWEs," \
    "Context,Fingerprint,ToolVersion,RuleId,HelpUri\r\n"

static void hits_become_findings(void)
{
    struct got g = {0};
    const json_t *o;

    engine_got_file(&engine_flawfinder, "flawfinder.csv", 0, &g);
    CHECK_INT(g.rc, 0);
    CHECK_INT(g.n, 20);
    o = got_at(&g, "FF1015", "main.c", 0);
    CHECK(o);
    CHECK_STR(member(o, "rule"), "buffer-overflow");
    CHECK_STR(member(o, "title"), "sprintf() formats without knowing how much room there is");
    CHECK_STR(member(o, "severity"), "high");
    CHECK_STR(member(o, "quote"), "    sprintf(line, \"echo %s, \\\"%s\\\"\", name, argv[1]);");
    CHECK_STR(member(o, "recommendation"), "Use sprintf_s, snprintf, or vsnprintf.");
    CHECK_INT(count(o, "line"), 28);
    CHECK_INT(count(o, "column"), 5);
    CHECK_INT(json_integer_value(json_array_get(json_object_get(o, "cwe"), 0)), 120);
    CHECK_STR(member(json_array_get(json_object_get(o, "engines"), 0), "version"), "2.0.19");
    CHECK_STR(member(got_at(&g, "FF1044", "main.c", 0), "rule"), "command-injection");
    CHECK_STR(member(got_at(&g, "FF1048", "main.c", 0), "severity"), "medium");
    CHECK_STR(member(got_at(&g, "FF1013", "main.c", 0), "severity"), "low");
    got_done(&g);
}

static void comments_that_ask_to_be_ignored_are_not_obeyed(void)
{
    struct got g = {0};

    engine_got_file(&engine_flawfinder, "flawfinder.csv", 0, &g);
    CHECK(strstr(member(got_at(&g, "FF1001", "main.c", 0), "quote"), "Flawfinder: ignore"));
    got_done(&g);
}

static void names_with_commas_quotes_and_dashes_come_back(void)
{
    static const char *const names[] = {"-x.c", "a b, \"c\".c", "\xc3\xa9.c", ".github/w.c"};
    struct got g = {0};

    engine_got_file(&engine_flawfinder, "flawfinder.csv", 0, &g);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CHECK_INT(count(got_at(&g, "FF1014", names[i], 0), "line"), 5);
    }
    got_done(&g);
}

static void nothing_found_is_a_header_alone(void)
{
    struct got g = {0};

    engine_got_file(&engine_flawfinder, "flawfinder-none.csv", 0, &g);
    CHECK_INT(g.rc, 0);
    CHECK_INT(g.n, 0);
    got_done(&g);
    engine_got_text(&engine_flawfinder, "", 0, &g);
    CHECK_INT(g.rc, ERR_TOOL);
    got_done(&g);
}

static void a_file_that_is_not_utf8_is_named(void)
{
    struct got g = {0};

    engine_got_file(&engine_flawfinder, "flawfinder-latin.csv", 15, &g);
    CHECK_INT(g.rc, ERR_TOOL);
    CHECK_STR(got_failed(&g, "latin.c"), "not UTF-8");
    got_done(&g);
}

/* A cut at the end of a row cannot be told from the end: whoever cuts says so (engine_end.cut). */
static void a_row_that_is_cut_is_a_failure(void)
{
    size_t n;
    auto_free char *text = test_data("engines/flawfinder.csv", &n);

    for (size_t cut = 0; cut <= n; cut++) {
        const struct engine_end end = {.out = text, .n_out = cut, .err = ""};
        bool at_end = cut > 1 && text[cut - 1] == '\n' && text[cut - 2] == '\r';
        struct got g = {.blind = true};

        engine_got(&engine_flawfinder, &end, &g);
        if ((g.rc == 0) != at_end) {
            tap_fail(__FILE__, __LINE__, "cut at %zu: %d", cut, g.rc);
        }
        got_done(&g);
    }
    only_these_ends_are_believed(&engine_flawfinder, "flawfinder.csv", 1);
}

static void rows_that_make_no_sense_are_refused(void)
{
    static const char *const rows[] = {
        "a.c,1\r\n",
        "/etc/passwd,1,1,1,4,b,n,w,s,,CWE-1,c,f,v,FF1001,u\r\n",
        "../a.c,1,1,1,4,b,n,w,s,,CWE-1,c,f,v,FF1001,u\r\n",
        "a.c,0,1,1,4,b,n,w,s,,CWE-1,c,f,v,FF1001,u\r\n",
        "a.c,x,1,1,4,b,n,w,s,,CWE-1,c,f,v,FF1001,u\r\n",
        "a.c,1,1,1,6,b,n,w,s,,CWE-1,c,f,v,FF1001,u\r\n",
        "a.c,1,1,1,-1,b,n,w,s,,CWE-1,c,f,v,FF1001,u\r\n",
        "a.c,99999999999,1,1,4,b,n,w,s,,CWE-1,c,f,v,FF1001,u\r\n",
        "a.c,1,1,1,4,b,n,w,s,,CWE-1,c,f,v,FF1001,u,more\r\n",
        "Error: File ended\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = str_fmt(HEADER "%s", rows[i]);
        struct got g = {0};

        engine_got_text(&engine_flawfinder, text, 0, &g);
        if (g.rc != ERR_TOOL || g.n) {
            tap_fail(__FILE__, __LINE__, "%s: %d", rows[i], g.rc);
        }
        got_done(&g);
    }
}

static void every_rule_has_a_class(void)
{
    for (int i = 1001; i <= 1071; i++) {
        auto_free char *text =
            str_fmt(HEADER "a.c,1,1,4,4,b,word,w,s,,CWE-120,c,f,v,FF%d,u\r\n", i);
        struct got g = {0};
        const json_t *o;

        engine_got_text(&engine_flawfinder, text, 0, &g);
        CHECK_INT(g.n, 1);
        o = json_array_get(g.findings, 0);
        if (str_eq(member(o, "rule"), "other") || strchr(member(o, "title"), '%') ||
            !strstr(member(o, "title"), "word")) {
            tap_fail(__FILE__, __LINE__, "FF%d: %s: %s", i, member(o, "rule"), member(o, "title"));
        }
        got_done(&g);
    }
}

static void an_attribute_of_a_declaration_calls_nothing(void)
{
    static const struct {
        const char *name, *line, *severity;
    } rows[] = {
        {"printf", "__attribute__((format(printf, 2, 3)))", "info"},
        {"scanf", "int f(char *s, ...) __attribute__((__format__ (__scanf__, 1, 2)));", "info"},
        {"printf", "int format(int a) { return printf (a); }", "high"},
        {"printf", "__attribute__((format(printf, 1, 2))) int f() { printf(v); }", "high"},
        {"printf", "printf(format(printf, 1));", "high"},
        {"gets", "format(gets, 1, 2)", "high"},
        {"printf", "format(", "high"},
        {"printf", "format(printf", "high"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text =
            str_fmt(HEADER "a.c,1,1,4,4,b,%s,w,s,,CWE-134,\"%s\",f,v,FF1016,u\r\n", rows[i].name,
                    rows[i].line);
        struct got g = {0};

        engine_got_text(&engine_flawfinder, text, 0, &g);
        CHECK_INT(g.n, 1);
        CHECK_STR(member(json_array_get(g.findings, 0), "severity"), rows[i].severity);
        got_done(&g);
    }
}

static void a_rule_of_tomorrow_is_read_by_its_cwe(void)
{
    struct got g = {0};
    const json_t *o;

    engine_got_text(&engine_flawfinder,
                    HEADER "a.c,7,1,4,4,b,word,w,s,,\"CWE-89, CWE-20\",c,f,v,FF9999,u\r\n", 0, &g);
    o = json_array_get(g.findings, 0);
    CHECK_STR(member(o, "rule"), "sql-injection");
    CHECK_INT(json_array_size(json_object_get(o, "cwe")), 2);
    got_done(&g);
}

static void text_that_is_hostile_is_made_harmless(void)
{
    const char row[] =
        HEADER "a.c,7,1,4,4,b,w\0d\xff\n,\"w\xff\",,,CWE-x,\"c\xff\",f,v,FF1001,u\r\n";
    const struct engine_end end = {.out = row, .n_out = sizeof row - 1, .err = ""};
    struct got g = {0};

    engine_got(&engine_flawfinder, &end, &g);
    CHECK_INT(g.rc, ERR_TOOL); /* a line end outside of quotes: the row is too short */
    got_done(&g);
    engine_got_text(
        &engine_flawfinder,
        HEADER "a.c,7,1,4,4,b,w\x01\xff,\"w\xff\nx\",,,CWE-x,\"c\xff\",f,v,FF1001,u\r\n", 0, &g);
    CHECK_INT(g.rc, 0);
    CHECK_STR(member(json_array_get(g.findings, 0), "title"),
              "w \xef\xbf\xbd() copies without knowing how much room there is");
    CHECK_STR(member(json_array_get(g.findings, 0), "message"), "w\xef\xbf\xbd\nx");
    CHECK_STR(member(json_array_get(g.findings, 0), "quote"), NULL);
    got_done(&g);
}

static void who_wants_no_more_is_obeyed(void)
{
    struct got g = {.stop_at = 3};

    engine_got_file(&engine_flawfinder, "flawfinder.csv", 0, &g);
    CHECK_INT(g.rc, ERR_FULL);
    CHECK_INT(g.n, 3);
    got_done(&g);
}

static void names_are_never_options(void)
{
    const struct engine_file files[] = {{.path = "-x.c"}, {.path = "a b.c"}};
    const struct engine_ask ask = {
        .program = "/usr/bin/flawfinder", .files = files, .n_files = ARRAY_LEN(files)};
    auto_free char *argv = engine_argv(&engine_flawfinder, &ask);

    CHECK_STR(argv, "/usr/bin/flawfinder --csv --quiet --dataonly --neverignore --minlevel=2 -- "
                    "./-x.c a b.c");
}

TESTS(hits_become_findings, comments_that_ask_to_be_ignored_are_not_obeyed,
      names_with_commas_quotes_and_dashes_come_back, nothing_found_is_a_header_alone,
      a_file_that_is_not_utf8_is_named, a_row_that_is_cut_is_a_failure,
      rows_that_make_no_sense_are_refused, every_rule_has_a_class,
      an_attribute_of_a_declaration_calls_nothing, a_rule_of_tomorrow_is_read_by_its_cwe,
      text_that_is_hostile_is_made_harmless, who_wants_no_more_is_obeyed, names_are_never_options)
