/* The option table: values, bounds, origins, files. */
#include "base/option.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static const struct option table[] = {
    {.name = "name", .env = "OPTTEST_NAME", .type = OPT_STR, .dotenv = true},
    {.name = "place", .env = "OPTTEST_PLACE", .type = OPT_STR, .def = "here"},
    {.name = "count",
     .env = "OPTTEST_COUNT",
     .env2 = "OPTTEST_OLD",
     .type = OPT_INT,
     .min = 1,
     .max = 10,
     .def = "4",
     .dotenv = true},
    {.name = "cap", .env = "OPTTEST_CAP", .type = OPT_INT, .min = 0, .max = 99},
    {.name = "quick", .env = "OPTTEST_QUICK", .type = OPT_BOOL, .def = "no"},
    {.name = "form", .env = "OPTTEST_FORM", .type = OPT_ENUM, .values = "text|json", .def = "text"},
    {.name = "key", .env = "OPTTEST_KEY", .type = OPT_INT, .min = 1, .max = 2, .secret = true},
    {0},
};

static void free_set(struct option_set **s)
{
    option_set_free(*s);
}
#define auto_set __attribute__((cleanup(free_set))) struct option_set

static const char *file_with(const char *text)
{
    static char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/conf", test_dir());
    f = fopen(path, "w");
    CHECK(f != NULL);
    CHECK(fputs(text, f) >= 0);
    CHECK(fclose(f) == 0);
    return path;
}

static void defaults_are_there_and_rows_without_one_are_not_set(void)
{
    auto_set *s = option_set_new(table);
    const char *where;

    CHECK_STR(option_str(s, "place"), "here");
    CHECK_INT(option_int(s, "count"), 4);
    CHECK(!option_bool(s, "quick"));
    CHECK(!option_is_set(s, "cap"));
    CHECK_STR(option_str(s, "name"), NULL);
    CHECK_INT(option_from(s, "count", &where), FROM_DEFAULT);
    CHECK_STR(where, "default");
}

static void a_refused_value_names_row_value_origin_and_bounds_and_changes_nothing(void)
{
    static const char *const bad[] = {"0",  "11", "x",   "",
                                      "4 ", "+4", "0x4", "99999999999999999999"};
    auto_set *s = option_set_new(table);

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(option_put(s, "count", bad[i], FROM_FLAG, "--count", ERR), ERR_INVALID);
        CHECK_INT(option_int(s, "count"), 4);
    }
    option_put(s, "count", "11", FROM_FLAG, "--count", ERR);
    CHECK_STR(tap_err.msg, "count: '11' (from --count) is not a whole number from 1 to 10");
    CHECK_ERR(option_put(s, "form", "xml", FROM_ENV, "OPTTEST_FORM", ERR), ERR_INVALID);
    CHECK_STR(tap_err.msg, "form: 'xml' (from OPTTEST_FORM) is not one of text|json");
    CHECK_ERR(option_put(s, "form", "text|json", FROM_ENV, "w", ERR), ERR_INVALID);
    CHECK_ERR(option_put(s, "quick", "perhaps", FROM_ENV, "w", ERR), ERR_INVALID);
    CHECK_ERR(option_put(s, "name", "a\nb", FROM_FLAG, "w", ERR), ERR_INVALID);
    CHECK_ERR(option_put(s, "place", "", FROM_FLAG, "w", ERR), ERR_INVALID);
    CHECK_ERR(option_put(s, "nothing", "1", FROM_FLAG, "--nothing", ERR), ERR_NOT_FOUND);
}

static void a_secret_value_is_not_in_the_message(void)
{
    auto_set *s = option_set_new(table);

    CHECK_ERR(option_put(s, "key", "hunter2", FROM_ENV, "OPTTEST_KEY", ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "hunter2") == NULL);
    CHECK(strstr(tap_err.msg, "OPTTEST_KEY") != NULL);
}

static void booleans_and_words_have_the_usual_spellings(void)
{
    static const char *const yes[] = {"true", "1", "yes", "on", "TRUE", "Yes"};
    static const char *const no[] = {"false", "0", "no", "off", "False"};
    auto_set *s = option_set_new(table);

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        CHECK_OK(option_put(s, "quick", yes[i], FROM_FLAG, "w", ERR));
        CHECK(option_bool(s, "quick"));
        CHECK_STR(option_str(s, "quick"), "true");
    }
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        CHECK_OK(option_put(s, "quick", no[i], FROM_FLAG, "w", ERR));
        CHECK(!option_bool(s, "quick"));
    }
    CHECK_OK(option_put(s, "form", "JSON", FROM_FLAG, "w", ERR));
    CHECK_STR(option_str(s, "form"), "json");
}

static void the_stronger_origin_wins_in_any_order_and_the_later_of_equals(void)
{
    auto_set *s = option_set_new(table);
    const char *where;

    CHECK_OK(option_put(s, "count", "9", FROM_FLAG, "--count", ERR));
    CHECK_OK(option_put(s, "count", "5", FROM_ENV, "OPTTEST_COUNT", ERR));
    CHECK_OK(option_put(s, "count", "6", FROM_FILE, "f:1", ERR));
    CHECK_INT(option_int(s, "count"), 9);
    CHECK_INT(option_from(s, "count", &where), FROM_FLAG);
    CHECK_STR(where, "--count");
    CHECK_OK(option_put(s, "count", "8", FROM_FLAG, "--count", ERR));
    CHECK_INT(option_int(s, "count"), 8);
    CHECK_ERR(option_put(s, "count", "700", FROM_FILE, "f:1", ERR), ERR_INVALID);
    CHECK_OK(option_put(s, "name", "a", FROM_FILE, "f:2", ERR));
    CHECK_OK(option_put(s, "name", "", FROM_FLAG, "--name", ERR));
    CHECK(!option_is_set(s, "name"));
}

static void the_environment_is_read_under_both_names_and_empty_is_absent(void)
{
    auto_set *s = option_set_new(table);
    const char *where;

    setenv("OPTTEST_OLD", "7", 1);
    setenv("OPTTEST_CAP", "", 1);
    setenv("OPTTEST_NAME", "x", 1);
    CHECK_OK(option_read_env(s, ERR));
    CHECK_INT(option_int(s, "count"), 7);
    option_from(s, "count", &where);
    CHECK_STR(where, "OPTTEST_OLD");
    CHECK(!option_is_set(s, "cap"));
    setenv("OPTTEST_COUNT", "3", 1);
    CHECK_OK(option_read_env(s, ERR));
    CHECK_INT(option_int(s, "count"), 3);
    setenv("OPTTEST_COUNT", "many", 1);
    CHECK_ERR(option_read_env(s, ERR), ERR_INVALID);
    CHECK_STR(tap_err.msg, "count: 'many' (from OPTTEST_COUNT) is not a whole number from 1 to 10");
    unsetenv("OPTTEST_OLD");
    unsetenv("OPTTEST_CAP");
    unsetenv("OPTTEST_NAME");
    unsetenv("OPTTEST_COUNT");
}

static void a_configuration_file_has_comments_quotes_and_row_names(void)
{
    auto_set *s = option_set_new(table);
    const char *path = file_with("\xef\xbb\xbf# a comment\r\n"
                                 "\n"
                                 "  count=5   # five\r\n"
                                 "name = \"a # \\\"b\\\" \\\\ c\"   # rest\n"
                                 "place='in # quotes'\n"
                                 "form = json");
    auto_free char *last = str_fmt("%s:6", path);
    const char *where;

    CHECK_OK(option_read_file(s, path, false, ERR));
    CHECK_INT(option_int(s, "count"), 5);
    CHECK_STR(option_str(s, "name"), "a # \"b\" \\ c");
    CHECK_STR(option_str(s, "place"), "in # quotes");
    CHECK_STR(option_str(s, "form"), "json");
    CHECK_INT(option_from(s, "form", &where), FROM_FILE);
    CHECK_STR(where, last);
}

static void a_wrong_line_in_a_configuration_file_is_refused_with_its_number(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"\ncuont = 5\n", ":2: there is no setting 'cuont'; did you mean 'count'?"},
        {"zzzzzzzzz = 5\n", ":1: there is no setting 'zzzzzzzzz'"},
        {"count\n", ":1: expected NAME = VALUE"},
        {"= 5\n", ":1: expected NAME = VALUE"},
        {"name = \"open\n", ":1: expected NAME = VALUE"},
        {"name = \"a\" b\n", ":1: expected NAME = VALUE"},
        {"count = 11\n", ":1) is not a whole number from 1 to 10"},
        {"OPTTEST_COUNT = 5\n", ":1: there is no setting 'OPTTEST_COUNT'"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_set *s = option_set_new(table);

        CHECK_ERR(option_read_file(s, file_with(cases[i].text), false, ERR), ERR_INVALID);
        if (!strstr(tap_err.msg, cases[i].says)) {
            tap_fail(__FILE__, __LINE__, "'%s' says: %s", cases[i].text, tap_err.msg);
        }
    }
}

static void a_dotenv_gives_only_the_marked_variables_and_ignores_the_rest(void)
{
    auto_set *s = option_set_new(table);
    const char *path = file_with("OTHER=1\n"
                                 "this is no assignment\n"
                                 "BROKEN=\"open\n"
                                 "export OPTTEST_NAME='n'\n"
                                 "OPTTEST_PLACE=there\n"
                                 "count=9\n"
                                 "OPTTEST_COUNT=\n");

    CHECK_OK(option_read_file(s, path, true, ERR));
    CHECK_STR(option_str(s, "name"), "n");
    CHECK_STR(option_str(s, "place"), "here");
    CHECK_INT(option_int(s, "count"), 4);
    CHECK_ERR(option_read_file(s, file_with("OPTTEST_COUNT=0\n"), true, ERR), ERR_INVALID);
    CHECK_ERR(option_read_file(s, file_with("OPTTEST_NAME='open\n"), true, ERR), ERR_INVALID);
}

static void a_file_that_is_missing_odd_or_huge_is_told_apart(void)
{
    auto_set *s = option_set_new(table);
    auto_free char *none = str_fmt("%s/none", test_dir());
    auto_buf big = {0};
    const char *path;
    FILE *f;

    CHECK_ERR(option_read_file(s, none, false, ERR), ERR_NOT_FOUND);
    CHECK_ERR(option_read_file(s, test_dir(), false, ERR), ERR_INVALID);
    CHECK_ERR(option_read_file(s, test_dir(), true, ERR), ERR_NOT_FOUND);
    CHECK_OK(option_read_file(s, file_with(""), false, ERR));
    for (int i = 0; i < 1 << 17; i++) {
        buf_adds(&big, "# 345678\n");
    }
    CHECK_ERR(option_read_file(s, file_with(big.data), false, ERR), ERR_LIMIT);
    path = file_with("");
    f = fopen(path, "w");
    CHECK(f && fwrite("count=5\0\n", 1, 9, f) == 9);
    fclose(f);
    CHECK_ERR(option_read_file(s, path, false, ERR), ERR_INVALID);
    if (geteuid() == 0) {
        path = file_with("OPTTEST_COUNT=5\n");
        CHECK(chown(path, 12345, 12345) == 0);
        CHECK_ERR(option_read_file(s, path, true, ERR), ERR_DENIED);
        CHECK(chown(path, 0, 0) == 0);
    }
    CHECK_INT(option_int(s, "count"), 4);
}

TESTS(defaults_are_there_and_rows_without_one_are_not_set,
      a_refused_value_names_row_value_origin_and_bounds_and_changes_nothing,
      a_secret_value_is_not_in_the_message, booleans_and_words_have_the_usual_spellings,
      the_stronger_origin_wins_in_any_order_and_the_later_of_equals,
      the_environment_is_read_under_both_names_and_empty_is_absent,
      a_configuration_file_has_comments_quotes_and_row_names,
      a_wrong_line_in_a_configuration_file_is_refused_with_its_number,
      a_dotenv_gives_only_the_marked_variables_and_ignores_the_rest,
      a_file_that_is_missing_odd_or_huge_is_told_apart)
