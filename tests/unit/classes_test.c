/* The table of classes: what reports, engines and documentation rely on. SCANPOD_WRITE_DOCS=1
 * writes docs/findings.md anew. */
#include "assess/classes.h"
#include "tap.h"

static const char *const categories[] = {
    "INJECTION",        "AUTHENTICATION",  "AUTHORIZATION",      "CRYPTOGRAPHY",
    "DATA_EXPOSURE",    "BUSINESS_LOGIC",  "CONFIGURATION",      "DEPENDENCY",
    "INPUT_VALIDATION", "OUTPUT_ENCODING", "SESSION_MANAGEMENT", "OTHER"};

/* Several classes share a CWE; the number leads to one of them. */
static bool leads_elsewhere(const char *name)
{
    return str_eq(name, "agent-configuration") || str_eq(name, "ci-misconfiguration") ||
           str_eq(name, "container-misconfiguration") || str_eq(name, "shell-quoting");
}

static bool known_category(const char *c)
{
    for (size_t i = 0; i < ARRAY_LEN(categories); i++) {
        if (str_eq(categories[i], c)) {
            return true;
        }
    }
    return false;
}

static void every_class_says_what_reports_need(void)
{
    size_t n = 0;

    for (const struct weakness *w = weaknesses; w->name; w++, n++) {
        CHECK(strspn(w->name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(w->name));
        CHECK(strlen(w->name) <= 64);
        CHECK(*w->title && strlen(w->title) <= 100);
        CHECK(*w->description && strlen(w->description) <= 1024);
        CHECK(*w->help && strlen(w->help) <= 1024);
        CHECK(known_category(w->category));
        CHECK(weakness_find(w->name) == w);
    }
    CHECK(n >= 40);
    CHECK_STR(weaknesses[n - 1].name, "other");
}

static void a_class_is_found_by_its_own_cwe(void)
{
    for (const struct weakness *w = weaknesses; w->name; w++) {
        if (w->cwe && !leads_elsewhere(w->name)) {
            CHECK_STR(weakness_of_cwe(w->cwe)->name, w->name);
        }
        CHECK(!w->cwe || cwe_name(w->cwe));
    }
}

static void every_cwe_of_the_table_leads_to_a_class_that_exists(void)
{
    int named = 0;

    for (int32_t n = -1; n < 2000; n++) {
        int32_t family = cwe_family(n);

        CHECK(weakness_of_cwe(n) != NULL);
        named += cwe_name(n) != NULL;
        CHECK(cwe_name(n) || str_eq(weakness_of_cwe(n)->name, "other"));
        /* A family is named by one of its members, which says the same. */
        CHECK(family == 0 || cwe_family(family) == family);
    }
    CHECK(named >= 150);
}

static void engines_words_for_one_thing_are_one_family(void)
{
    static const int32_t groups[][8] = {{119, 120, 121, 122, 125, 787, 788, 805},
                                        {77, 78, 88},
                                        {79, 80},
                                        {89, 564},
                                        {22, 23, 36, 73},
                                        {415, 416, 825},
                                        {190, 191, 680},
                                        {798, 259, 321},
                                        {327, 328}};

    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        for (size_t k = 0; k < ARRAY_LEN(groups[i]) && groups[i][k]; k++) {
            CHECK_INT(cwe_family(groups[i][k]), cwe_family(groups[i][0]));
        }
        CHECK(cwe_family(groups[i][0]) != 0);
        CHECK(i == 0 || cwe_family(groups[i][0]) != cwe_family(groups[i - 1][0]));
    }
    CHECK_INT(cwe_family(352), 0);
    CHECK_INT(cwe_family(4711), 0);
}

static void what_is_not_in_the_table_is_another_weakness(void)
{
    CHECK_STR(weakness_of_cwe(0)->name, "other");
    CHECK_STR(weakness_of_cwe(INT32_MAX)->name, "other");
    CHECK_STR(weakness_of_cwe(INT32_MIN)->name, "other");
    CHECK(weakness_find("") == NULL);
    CHECK(weakness_find("Command-Injection") == NULL);
    CHECK(weakness_find(NULL) == NULL);
}

/* ---- docs/findings.md ---- */

#define BEGIN "<!-- begin: classes -->\n"
#define END   "<!-- end -->\n"

static void add_table(struct buf *b)
{
    buf_adds(b, "| Class | CWE | Severity | Category | What it is, and what to do |\n"
                "| --- | --- | --- | --- | --- |\n");
    for (const struct weakness *w = weaknesses; w->name; w++) {
        buf_addf(b, "| `%s` | ", w->name);
        if (w->cwe) {
            buf_addf(b, "%" PRId32, w->cwe);
        }
        buf_addf(b, " | %s | `%s` | %s %s |\n", severity_name(w->severity), w->category,
                 w->description, w->help);
    }
}

static void the_document_has_every_class_as_it_is(void)
{
    size_t n;
    auto_free char *text = test_data("../../docs/findings.md", &n);
    const char *begin = strstr(text, BEGIN), *end = begin ? strstr(begin, END) : NULL;
    auto_buf want = {0};

    CHECK(begin && end);
    begin += strlen(BEGIN);
    add_table(&want);
    if (getenv("SCANPOD_WRITE_DOCS")) {
        auto_free char *path = str_fmt("%s/../../docs/findings.md", getenv("SCANPOD_TEST_DATA"));
        FILE *f = fopen(path, "w");

        CHECK(f && fprintf(f, "%.*s%s%s", (int)(begin - text), text, want.data, end) > 0 &&
              fclose(f) == 0);
    } else if ((size_t)(end - begin) != want.len || memcmp(begin, want.data, want.len) != 0) {
        tap_fail(__FILE__, __LINE__,
                 "docs/findings.md is not what the code says; write it anew with "
                 "SCANPOD_WRITE_DOCS=1 meson test -C build-test classes_test");
    }
}

TESTS(every_class_says_what_reports_need, a_class_is_found_by_its_own_cwe,
      every_cwe_of_the_table_leads_to_a_class_that_exists,
      engines_words_for_one_thing_are_one_family, what_is_not_in_the_table_is_another_weakness,
      the_document_has_every_class_as_it_is)
