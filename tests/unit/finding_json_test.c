/* A finding as JSON and back: nothing is lost, and what cannot be is refused by name. */
#include "parse/finding_json.h"

#include <jansson.h>

#include "tap.h"

static const struct finding whole = {
    .rule = "command-injection",
    .title = "Command with text from outside",
    .message = "line one\nline \"two\" \xe2\x82\xac",
    .recommendation = "Give the program its arguments one by one.",
    .cwe = {78, 77},
    .n_cwe = 2,
    .severity = SEVERITY_HIGH,
    .confidence_x100 = 57,
    .at = {.path = "src/a b.c", .line = 7, .column = 3, .end_line = 8, .end_column = 1},
    .function = "main",
    .line = "system(argv[1]);",
    .snippet = "{\n    system(argv[1]);\n}",
    .snippet_line = 6,
    .verified = true,
    .quote = "system(argv[1])",
    .marked = "nosec",
    .secret = "token abcd...",
    .engines = {{"flawfinder", "2.0.19", "FF1044", "4", 30}, {"rules", NULL, NULL, NULL, 100}},
    .n_engines = 2,
    .related = {{.path = "src/b.c", .line = 1, .message = "from here"}, {.path = "c"}},
    .n_related = 2,
    .identity = {"0123456789abcdef0123456789abcdef", "11", "22", "39fa2ee980eb94b0:1"},
};

static char *as_json(const struct finding *f)
{
    struct buf b = {0};
    struct json j = json_to(&b);

    finding_json(f, &j);
    return buf_take(&b);
}

static json_t *tree_of(const char *text)
{
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    CHECK(o);
    return o;
}

static void what_is_written_is_read_again(void)
{
    auto_free char *text = as_json(&whole);
    auto_free char *again = NULL;
    json_t *o = tree_of(text);
    struct finding f;

    CHECK_OK(finding_from_json(o, &f, ERR));
    CHECK_OK(finding_check(&f, ERR));
    again = as_json(&f);
    CHECK_STR(again, text);
    CHECK_STR(f.message, whole.message);
    CHECK_INT(f.confidence_x100, 57);
    CHECK_INT(f.engines[0].confidence_x100, 30);
    CHECK_STR(f.related[0].message, "from here");
    CHECK_STR(f.identity.github, "39fa2ee980eb94b0:1");
    CHECK_STR(f.quote, NULL);
    json_decref(o);
}

static void what_is_not_said_is_not_there(void)
{
    const struct finding f = {.rule = "other", .title = "t", .at = {.path = "p"}};
    auto_free char *text = as_json(&f);

    CHECK_STR(text, "{\"rule\":\"other\",\"title\":\"t\",\"severity\":\"info\",\"confidence\":0.00,"
                    "\"path\":\"p\",\"verified\":false}");
}

static void every_confidence_survives(void)
{
    for (int32_t i = 0; i <= 100; i++) {
        struct finding f = whole, back;
        auto_free char *text = NULL;
        json_t *o;

        f.confidence_x100 = i;
        text = as_json(&f);
        o = tree_of(text);
        CHECK_OK(finding_from_json(o, &back, ERR));
        CHECK_INT(back.confidence_x100, i);
        json_decref(o);
    }
}

static void what_cannot_be_is_refused_by_name(void)
{
    static const struct {
        const char *json, *names;
    } bad[] = {
        {"[]", "not an object"},
        {"{}", "'rule'"},
        {"{\"rule\":1}", "'rule'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"path\":\"p\"}", "'severity'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"HIGH\",\"path\":\"p\"}", "'severity'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\"}", "'path'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\",\"line\":-1}",
         "'line'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\",\"line\":1.5}",
         "'line'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\","
         "\"line\":9999999999}",
         "'line'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\","
         "\"confidence\":1.01}",
         "'confidence'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\",\"cwe\":[0]}",
         "'cwe'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\","
         "\"cwe\":[1,2,3,4,5,6,7,8,9]}",
         "'cwe'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\",\"verified\":1}",
         "'verified'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\",\"engines\":[1]}",
         "'engines'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\",\"engines\":[{}]}",
         "'name'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\",\"related\":[1]}",
         "'related'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\",\"related\":{}}",
         "'related'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\","
         "\"fingerprints\":{\"primary\":\"0123456789abcdef0123456789abcdef0\"}}",
         "'primary'"},
        {"{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"high\",\"path\":\"p\","
         "\"fingerprints\":{\"github\":\"<b>\"}}",
         "'github'"},
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        json_t *o = tree_of(bad[i].json);
        struct finding f;

        CHECK_ERR(finding_from_json(o, &f, ERR), ERR_INVALID);
        if (!strstr(tap_err.msg, bad[i].names)) {
            tap_fail(__FILE__, __LINE__, "%s: '%s' does not name %s", bad[i].json, tap_err.msg,
                     bad[i].names);
        }
        json_decref(o);
    }
}

static void members_of_other_names_are_left_alone(void)
{
    json_t *o = tree_of("{\"rule\":\"a\",\"title\":\"t\",\"severity\":\"low\",\"path\":\"p\","
                        "\"triage\":{\"x\":1},\"marked\":null}");
    struct finding f;

    CHECK_OK(finding_from_json(o, &f, ERR));
    CHECK_STR(f.marked, NULL);
    json_decref(o);
}

TESTS(what_is_written_is_read_again, what_is_not_said_is_not_there, every_confidence_survives,
      what_cannot_be_is_refused_by_name, members_of_other_names_are_left_alone)
