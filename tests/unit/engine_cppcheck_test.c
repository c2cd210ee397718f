/* What cppcheck writes, recorded, cut, and made up. */
#include "engine_rig.h"

#define BEGIN "<?xml version=\"1.0\"?><results version=\"2\"><cppcheck version=\"2.10\"/><errors>"
#define END   "</errors></results>"

static void errors_become_findings(void)
{
    struct got g = {0};
    const json_t *o;

    engine_got_file(&engine_cppcheck, "cppcheck.xml", 0, &g);
    CHECK_INT(g.rc, 0);
    o = got_at(&g, "nullPointer", "main.c", 0);
    CHECK(o);
    CHECK_STR(member(o, "rule"), "null-dereference");
    CHECK_STR(member(o, "title"), "Null pointer is dereferenced");
    CHECK_STR(member(o, "message"), "Possible null pointer dereference: name");
    CHECK_STR(member(o, "severity"), "medium");
    CHECK_INT(count(o, "line"), 28);
    CHECK_INT(json_array_size(json_object_get(o, "related")), 2);
    CHECK_STR(member(json_array_get(json_object_get(o, "related"), 0), "message"),
              "Assuming condition is false");
    CHECK_INT(json_integer_value(json_array_get(json_object_get(o, "cwe"), 0)), 476);
    o = got_at(&g, "invalidContainer", "lib/part.cpp", 0);
    CHECK_STR(member(o, "rule"), "use-after-free");
    CHECK(json_real_value(json_object_get(o, "confidence")) == 0.4); /* inconclusive */
    o = got_at(&g, "getsCalled", "main.c", 0);
    CHECK_STR(member(o, "rule"), "buffer-overflow");
    CHECK(json_real_value(json_object_get(o, "confidence")) == 0.7);
    CHECK(strchr(member(got_at(&g, "invalidscanf", "main.c", 0), "message"), '\n'));
    CHECK_STR(member(json_array_get(json_object_get(o, "engines"), 0), "version"), "2.10");
    got_done(&g);
}

static void odd_names_come_back(void)
{
    static const char *const names[] = {"-x.c", "a b, \"c\".c", "\xc3\xa9.c", ".github/w.c",
                                        "latin.c"};
    struct got g = {0};

    engine_got_file(&engine_cppcheck, "cppcheck.xml", 0, &g);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CHECK(got_at(&g, "getsCalled", names[i], 0));
    }
    got_done(&g);
}

static void what_was_not_parsed_is_no_finding_but_a_failed_file(void)
{
    struct got g = {0};

    engine_got_file(&engine_cppcheck, "cppcheck.xml", 0, &g);
    CHECK_STR(got_failed(&g, "broken.c"), "not parsed");
    CHECK(!got_at(&g, "syntaxError", "broken.c", 0));
    CHECK_INT(g.notes.failed.n, 1);
    got_done(&g);
    engine_got_text(&engine_cppcheck,
                    BEGIN "<error id=\"internalError\" severity=\"error\"><location "
                          "file=\"/tmp/src/d/a.c\" line=\"0\"/></error>"
                          "<error id=\"toomanyconfigs\" severity=\"information\"/>" END,
                    0, &g);
    CHECK_INT(g.rc, 0);
    CHECK_STR(got_failed(&g, "d/a.c"), "given up inside");
    got_done(&g);
}

static void parts_of_other_files_need_not_be_c_by_themselves(void)
{
    struct got g = {0};

    engine_got_text(&engine_cppcheck,
                    BEGIN "<error id=\"syntaxError\" severity=\"error\"><location "
                          "file=\"a.h\" line=\"0\"/></error>"
                          "<error id=\"internalError\" severity=\"error\"><location "
                          "file=\"b.h\" line=\"0\"/></error>"
                          "<error id=\"unknownMacro\" severity=\"error\"><location "
                          "file=\"c.c\" line=\"0\"/></error>" END,
                    0, &g);
    CHECK_INT(g.notes.failed.n, 2);
    CHECK(!got_failed(&g, "a.h"));
    CHECK(got_failed(&g, "b.h") && got_failed(&g, "c.c"));
    got_done(&g);
}

static void a_cut_is_a_failure(void)
{
    size_t n;
    auto_free char *text = test_data("engines/cppcheck.xml", &n);

    (void)text;
    cut_anywhere_is_a_failure(&engine_cppcheck, "cppcheck.xml", 0, n - 1, 7);
    cut_anywhere_is_a_failure(&engine_cppcheck, "cppcheck-none.xml", 0, 120, 1);
    only_these_ends_are_believed(&engine_cppcheck, "cppcheck.xml", 1);
}

static void nothing_found_is_an_empty_list(void)
{
    struct got g = {0};

    engine_got_file(&engine_cppcheck, "cppcheck-none.xml", 0, &g);
    CHECK_INT(g.rc, 0);
    CHECK_INT(g.n, 0);
    got_done(&g);
}

static void xml_that_is_none_of_its_own_is_refused(void)
{
    static const char *const bad[] = {
        "",
        "cppcheck: error: could not find or open any of the paths given.\n",
        "<?xml version=\"1.0\"?><html/>",
        BEGIN END "<more/>",
        BEGIN "<error id=\"a\"></errors>",
        "<!DOCTYPE results [<!ENTITY a \"b\">]>" BEGIN "<error id=\"&a;\"/>" END,
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct got g = {0};

        engine_got_text(&engine_cppcheck, bad[i], 0, &g);
        if (g.rc != ERR_TOOL) {
            tap_fail(__FILE__, __LINE__, "%s: %d", bad[i], g.rc);
        }
        got_done(&g);
    }
}

static void places_outside_of_the_tree_are_left_out(void)
{
    struct got g = {0};

    engine_got_text(&engine_cppcheck,
                    BEGIN "<error id=\"nullPointer\" severity=\"error\" msg=\"m\"><location "
                          "file=\"/usr/include/x.h\" line=\"3\"/></error>"
                          "<error id=\"nullPointer\" severity=\"error\" msg=\"m\"><location "
                          "file=\"../x.h\" line=\"3\"/><location file=\"./a//b/./c.c\" "
                          "line=\"4\"/></error>" END,
                    0, &g);
    CHECK_INT(g.rc, 0);
    CHECK_INT(g.n, 1); /* what is in the tree stands for it */
    CHECK_STR(member(json_array_get(g.findings, 0), "path"), "a/b/c.c");
    got_done(&g);
}

/* Every id that the program lists is either a class or left out on purpose. */
static void every_id_is_known(void)
{
    size_t n, known = 0;
    auto_free char *text = test_data("engines/cppcheck-ids.txt", &n);
    char *rest = text;

    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        char *id = strsep(&line, " ");
        auto_free char *xml =
            str_fmt(BEGIN "<error id=\"%s\" severity=\"%s\" msg=\"m\" cwe=\"89\"><location "
                          "file=\"a.c\" line=\"1\"/></error>" END,
                    id, line);
        struct got g = {0};

        engine_got_text(&engine_cppcheck, xml, 0, &g);
        CHECK_INT(g.rc, 0);
        /* by its CWE it would be this: then it is not in the table */
        if (g.n == 1 && str_eq(member(json_array_get(g.findings, 0), "rule"), "sql-injection")) {
            tap_fail(__FILE__, __LINE__, "%s is not known", id);
        }
        known += g.n;
        got_done(&g);
    }
    CHECK(known > 150);
}

static void ids_of_other_versions_are_read_by_name_or_cwe(void)
{
    struct got g = {0};

    engine_got_text(&engine_cppcheck,
                    BEGIN "<error id=\"asctimeCalled\" severity=\"warning\" msg=\"m\" "
                          "cwe=\"477\"><location file=\"a.c\" line=\"1\"/></error>"
                          "<error id=\"brandNew\" severity=\"error\" msg=\"m\" cwe=\"416\">"
                          "<location file=\"a.c\" line=\"2\"/></error>"
                          "<error id=\"brandNewer\" severity=\"error\" msg=\"m\">"
                          "<location file=\"a.c\" line=\"3\"/></error>"
                          "<error id=\"unusedVariable\" severity=\"style\" msg=\"m\">"
                          "<location file=\"a.c\" line=\"3\"/></error>" END,
                    0, &g);
    CHECK_INT(g.n, 3);
    CHECK_STR(member(json_array_get(g.findings, 0), "rule"), "dangerous-function");
    CHECK_STR(member(json_array_get(g.findings, 1), "rule"), "use-after-free");
    CHECK_STR(member(json_array_get(g.findings, 2), "rule"), "other");
    got_done(&g);
}

static void it_is_told_a_list_and_nothing_of_the_tree(void)
{
    const struct engine_ask ask = {.program = "/usr/bin/cppcheck", .list_file = "/tmp/list"};
    auto_free char *argv = engine_argv(&engine_cppcheck, &ask);
    const struct engine_ask none = {.program = "/usr/bin/cppcheck"};
    auto_strvec v = {0};

    CHECK(strstr(argv, " --file-list=/tmp/list"));
    CHECK(!strstr(argv, "inline-suppr"));
    CHECK_STR(engine_cppcheck.output, "/tmp/cppcheck.xml");
    CHECK(strstr(argv, " --output-file=/tmp/cppcheck.xml"));
    CHECK_ERR(engine_cppcheck.build_argv(&none, &v, ERR), ERR_INTERNAL);
}

TESTS(errors_become_findings, odd_names_come_back,
      what_was_not_parsed_is_no_finding_but_a_failed_file,
      parts_of_other_files_need_not_be_c_by_themselves, a_cut_is_a_failure,
      nothing_found_is_an_empty_list, xml_that_is_none_of_its_own_is_refused,
      places_outside_of_the_tree_are_left_out, every_id_is_known,
      ids_of_other_versions_are_read_by_name_or_cwe, it_is_told_a_list_and_nothing_of_the_tree)
