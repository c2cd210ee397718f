/* What everything else stands on: strings, times, ids, the JSON writer. */
#include <time.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sort.h"
#include "tap.h"

static void a_message_that_is_cut_ends_in_a_whole_character(void)
{
    struct err e = {0};
    char longer[1024];

    memset(longer, 'x', sizeof longer);
    memcpy(longer + 510, "\xe2\x82\xac", 3);
    longer[sizeof longer - 1] = '\0';
    err_set(&e, ERR_INVALID, "%s", longer);
    CHECK_INT(strlen(e.msg), 510);
    CHECK(utf8_valid(e.msg, strlen(e.msg)));
}

static void a_buffer_with_a_cap_drops_what_does_not_fit_and_says_so(void)
{
    auto_buf b = {.cap = 4};

    buf_adds(&b, "abc");
    CHECK(!b.over);
    buf_adds(&b, "de");
    CHECK(b.over);
    CHECK_STR(b.data, "abc");
}

static void ids_increase_and_survive_text(void)
{
    struct id last = id_new();

    for (int i = 0; i < 10000; i++) {
        struct id id = id_new();
        struct id again;
        char text[ID_TEXT + 1];

        CHECK(id_cmp(&last, &id) < 0);
        id_text(&id, text);
        CHECK(id_parse(text, &again));
        CHECK_INT(id_cmp(&id, &again), 0);
        last = id;
    }
    CHECK(!id_parse("0123", &last));
    CHECK(!id_parse("0123456789abcdef0123456789abcdeg", &last));
    CHECK(id_parse("01234567-89AB-7def-8123-456789abcdef", &last));
}

static int by_first(const void *a, const void *b)
{
    return **(const char *const *)a - **(const char *const *)b;
}

static void pointers_are_sorted_and_equals_keep_their_order(void)
{
    const char *v[] = {"c1", "a1", "b1", "a2", "c2", "a3", "b2"};
    const char *const sorted[] = {"a1", "a2", "a3", "b1", "b2", "c1", "c2"};

    sort_pointers(v, 0, by_first);
    sort_pointers(v, 1, by_first);
    CHECK_STR(v[0], "c1");
    sort_pointers(v, 7, by_first);
    for (size_t i = 0; i < 7; i++) {
        CHECK_STR(v[i], sorted[i]);
    }
}

static void times_are_written_and_read_back(void)
{
    char text[RFC3339_LEN + 1];
    int64_t us;

    rfc3339_us(INT64_C(1795297609863097), text);
    CHECK_STR(text, "2026-11-21T21:46:49.863097Z");
    CHECK(rfc3339_parse(text, &us));
    CHECK_INT(us, INT64_C(1795297609863097));
    CHECK(rfc3339_parse("2026-11-21T23:46:49+02:00", &us));
    CHECK_INT(us, INT64_C(1795297609000000));
    for (int64_t day = -719528; day < 60000; day += 97) { /* from 0000-01-01 on */
        struct tm tm;
        time_t at = day * 86400;

        CHECK(gmtime_r(&at, &tm) != NULL);
        CHECK(date_days(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) == day);
    }
    CHECK(date_days(2024, 2, 30) == date_days(2024, 3, 1)); /* as timegm() has it */
    CHECK(rfc3339_parse("2026-11-21", &us));
    CHECK(!rfc3339_parse("2026-11-21T", &us));
    CHECK(!rfc3339_parse("2026-13-01", &us));
    CHECK(!rfc3339_parse("yesterday", &us));
}

static void a_hostile_string_cannot_leave_its_json_quotes(void)
{
    auto_buf b = {0};
    struct json j = json_to(&b);

    json_obj(&j);
    json_strn(&j, "a", "\"\\\n\x01\x7f\xff\xe2\x82\xac\0z", 11);
    json_arr_in(&j, "b");
    json_int(&j, NULL, INT64_MIN);
    json_str(&j, NULL, NULL);
    json_obj(&j);
    json_end(&j);
    json_end(&j);
    json_bool(&j, "c", true);
    json_end(&j);
    CHECK_STR(b.data, "{\"a\":\"\\\"\\\\\\n\\u0001\\u007f\xef\xbf\xbd\xe2\x82\xac\\u0000z\","
                      "\"b\":[-9223372036854775808,null,{}],\"c\":true}");
}

static void a_terminal_never_sees_control_or_bidi_characters(void)
{
    auto_buf b = {0};
    const char *text = "ok\x1b[31m\xe2\x80\xae\xff\xc2\x9b\xc3\xa9\n";

    buf_add_escaped(&b, text, strlen(text));
    CHECK_STR(b.data, "ok\\x1b[31m\\u{202e}\\xff\\u{9b}\xc3\xa9\\x0a");
}

static void numbers_are_read_whole_or_not_at_all(void)
{
    uint64_t u;
    int64_t i;

    CHECK(str_to_u64("18446744073709551615", 0, UINT64_MAX, &u));
    CHECK(u == UINT64_MAX);
    CHECK(!str_to_u64("18446744073709551616", 0, UINT64_MAX, &u));
    CHECK(!str_to_u64("", 0, 10, &u));
    CHECK(!str_to_u64("5 ", 0, 10, &u));
    CHECK(!str_to_u64("+5", 0, 10, &u));
    CHECK(!str_to_u64("11", 0, 10, &u));
    CHECK(str_to_i64("-5", -5, 10, &i));
    CHECK_INT(i, -5);
}

static void a_typing_error_is_one_or_two_steps_away(void)
{
    CHECK_INT(str_distance("scna", "scan"), 2);
    CHECK_INT(str_distance("job", "jobs"), 1);
    CHECK_INT(str_distance("", "abc"), 3);
}

static void a_value_in_the_log_cannot_look_like_another_field(void)
{
    auto_free char *path = str_fmt("%s/values", test_dir());
    char line[512] = "";
    FILE *f;

    CHECK_OK(log_to_file(path, ERR));
    log_warn("values", KV("a", "x\" b=\"\\"), KV("c", "\n"), KV("d", ""));
    f = fopen(path, "r");
    CHECK(f != NULL);
    CHECK(fgets(line, sizeof line, f) != NULL);
    fclose(f);
    CHECK(strstr(line, "| values | a=\"x\\\" b=\\\"\\\\\" c=\\x0a d=\"\"\n") != NULL);
}

static void a_flood_of_one_event_is_cut_and_counted(void)
{
    auto_free char *path = str_fmt("%s/log", test_dir());
    char line[512];
    unsigned floods = 0;
    unsigned others = 0;
    FILE *f;

    CHECK_OK(log_to_file(path, ERR));
    for (int i = 0; i < 5000; i++) {
        log_warn("flood", KV("i", i));
    }
    log_warn("other");
    f = fopen(path, "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f)) {
        floods += strstr(line, "| flood |") != NULL;
        others += strstr(line, "| other |") != NULL;
    }
    fclose(f);
    CHECK(floods >= 100 && floods <= 300); /* the clock may have passed a second or two */
    CHECK_INT(others, 1);
}

static void text_is_percent_decoded_or_refused(void)
{
    static const char *const bad[] = {"%", "%4", "%zz", "a%0", "%00", "%1b", "a\nb", "%7F"};
    auto_free char *good = str_percent_decode("a%20b%2Fc%c3%a4+", 16);

    CHECK_STR(good, "a b/c\xc3\xa4+");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (str_percent_decode(bad[i], strlen(bad[i]))) {
            tap_fail(__FILE__, __LINE__, "taken: %s", bad[i]);
        }
    }
}

TESTS(text_is_percent_decoded_or_refused, a_message_that_is_cut_ends_in_a_whole_character,
      a_buffer_with_a_cap_drops_what_does_not_fit_and_says_so, ids_increase_and_survive_text,
      times_are_written_and_read_back, pointers_are_sorted_and_equals_keep_their_order,
      a_hostile_string_cannot_leave_its_json_quotes,
      a_terminal_never_sees_control_or_bidi_characters, numbers_are_read_whole_or_not_at_all,
      a_typing_error_is_one_or_two_steps_away, a_value_in_the_log_cannot_look_like_another_field,
      a_flood_of_one_event_is_cut_and_counted)
