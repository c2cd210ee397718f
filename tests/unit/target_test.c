/* Targets: every spelling becomes addresses or a name, and what could be read twice is refused. */
#include "model/target.h"

#include "tap.h"

/* The set of blank-separated tokens; an error ends the test. */
static void parse(const char *s, struct target_set *t)
{
    auto_strvec tokens = {0};

    while (*s) {
        size_t n = strcspn(s, " ");

        strvec_pushn(&tokens, s, n);
        s += n + (s[n] == ' ');
    }
    CHECK_OK(target_set_parse(&tokens, t, ERR));
}

/* Its lines for a tool, joined by blanks. Borrowed until the next call. */
static const char *lines(const char *s)
{
    static char out[2048];
    auto_targets t = {0};
    auto_buf b = {0};

    parse(s, &t);
    target_set_lines(&t, false, &b);
    snprintf(out, sizeof out, "%.*s", (int)(b.len ? b.len - 1 : 0), b.data ? b.data : "");
    for (char *p = out; *p; p++) {
        *p = *p == '\n' ? ' ' : *p;
    }
    return out;
}

static void every_spelling_becomes_prefixes_or_names(void)
{
    static const char *const cases[][2] = {
        {"10.0.0.1", "10.0.0.1"},
        {"10.0.0.0/24", "10.0.0.0/24"},
        {"10.0.0.77/24", "10.0.0.0/24"},
        {"10.0.0.1/32", "10.0.0.1"},
        {"10.0.0.1-10.0.0.5", "10.0.0.1 10.0.0.2/31 10.0.0.4/31"},
        {"10.0.0.254-10.0.1.1", "10.0.0.254/31 10.0.1.0/31"},
        {"10.0.0.4-7", "10.0.0.4/30"},
        {"10.0.0-1.*", "10.0.0.0/23"},
        {"10.0.0.*", "10.0.0.0/24"},
        {"10.*.*.*", "10.0.0.0/8"},
        {"10.0.0-5.0-255", "10.0.0.0/22 10.0.4.0/23"},
        {"10.0.1,3.7", "10.0.1.7 10.0.3.7"},
        {"10.0.0-1.1,254", "10.0.0.1 10.0.0.254 10.0.1.1 10.0.1.254"},
        {"10.0.0.9,7,8,7-8", "10.0.0.7 10.0.0.8/31"},
        {"1-2.0.0.0", "1.0.0.0 2.0.0.0"},
        {"10.0.0.2 10.0.0.1 10.0.0.3", "10.0.0.1 10.0.0.2/31"},
        {"255.255.255.255", "255.255.255.255"},
        {"::1", "::1"},
        {"2001:DB8::5/120", "2001:db8::/120"},
        {"2001:db8::1 10.0.0.1", "10.0.0.1 2001:db8::1"},
        {"Www.Example.ORG", "www.example.org"},
        {"example.org.", "example.org"},
        {"example.org EXAMPLE.org. 10.0.0.1", "10.0.0.1 example.org"},
        {"localhost", "localhost"},
        {"3com.com", "3com.com"},
        {"0x7f.example", "0x7f.example"},
        {"a-b.c", "a-b.c"},
        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(lines(cases[i][0]), cases[i][1]);
    }
}

static void what_could_be_read_twice_is_refused(void)
{
    static const char *const cases[][2] = {
        {"127.1", "an IPv4 address has four octets"},
        {"2130706433", "octets are decimal numbers"},
        {"0x7f.1", "a number, not a host name"},
        {"0x7f000001", "a number, not a host name"},
        {"0X7F000001", "a number, not a host name"},
        {"127.0.0.0x1", "a number, not a host name"},
        {"0x7f.0.0.1", "a number, not a host name"},
        {"0x", "a number, not a host name"},
        {"017700000001", "octets are decimal numbers"},
        {"010.0.0.1", "without leading zeros"},
        {"10.0.0.01", "without leading zeros"},
        {"10.0.0.00", "without leading zeros"},
        {"127.0.0.1.", "an IPv4 address has four octets"},
        {"example.1", "a number, not a host name"},
        {"example.0x10", "a number, not a host name"},
        {"1.2.3.4.5", "an IPv4 address has four octets"},
        {"10.0.0.256", "octets are decimal"},
        {"10.0.0.", "octets are decimal"},
        {"10..0.1", "octets are decimal"},
        {"10.0.0.9-3", "goes upwards"},
        {"10.0.0.250-", "needs both ends"},
        {"10.0.0.-2", "octets are decimal"},
        {"10.0.0.1,", "octets are decimal"},
        {"10.0.0.1-2-3", "four octets"},
        {"10.0.0.5-10.0.0.1", "the lower one first"},
        {"10.0.0.1-10.0.0", "the lower one first"},
        {"10.0.0.0/33", "from 0 to 32"},
        {"10.0.0.0/", "from 0 to 32"},
        {"10.0.0.0/024", "from 0 to 32"},
        {"10.0.0.0/2/4", "from 0 to 32"},
        {"10.1.2.*/30", "only a single IP address"},
        {"10.0.0.1-5/24", "only a single IP address"},
        {"localhost/30", "only a single IP address"},
        {"/24", "only a single IP address"},
        {"::ffff:10.0.0.1", "an IPv4-mapped address"},
        {"::FFFF:a00:1", "an IPv4-mapped address"},
        {"0:0:0:0:0:ffff:10.0.0.1", "an IPv4-mapped address"},
        {"0000::0:ffff:127.0.0.1", "an IPv4-mapped address"},
        {"::ffff:0:0/96", "an IPv4-mapped address"},
        {"fe80::1%lo", "zone ids"},
        {"fe80::1%25lo/64", "zone ids"},
        {"2001:db8::/129", "from 0 to 128"},
        {"2001:db8::1-2001:db8::5", "written as prefixes"},
        {"[::1]", "not an IPv6 address"},
        {"http://x", "only a single IP address"},
        {"12345::1", "not an IPv6 address"},
        {"", "it is empty"},
        {"-sV", "do not begin with '-'"},
        {"-iL", "do not begin with '-'"},
        {"under_score", "host names have letters"},
        {"a b", "host names have letters"},
        {"a;b", "host names have letters"},
        {"a\nb", "'a\\x0ab'"},
        {"b\xc3\xbc"
         "cher.de",
         "host names have letters"},
        {"a..b", "1 to 63 characters"},
        {".", "octets are decimal"},
        {".a", "1 to 63 characters"},
        {"a-.b", "begin or end with '-'"},
        {"a.-b", "begin or end with '-'"},
        {"*", "four octets"},
        {"*.example.org", "host names have letters"},
        {"*.*.*.1", "more than 65536 ranges"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_targets t = {0};

        CHECK_ERR(target_add(&t, cases[i][0], ERR), ERR_INVALID);
        if (!strstr(tap_err.msg, cases[i][1]) || !str_starts(tap_err.msg, "invalid target: '")) {
            tap_fail(__FILE__, __LINE__, "'%s' gave: %s", cases[i][0], tap_err.msg);
        }
        CHECK_INT(t.addresses.n + t.n_pins, 0);
    }
}

static void long_names_are_refused_at_the_limit(void)
{
    auto_targets t = {0};
    char name[260];

    memset(name, 'a', sizeof name);
    for (size_t i = 50; i < sizeof name; i += 51) {
        name[i] = '.';
    }
    name[253] = '\0';
    CHECK_OK(target_add(&t, name, ERR));
    name[253] = 'a';
    name[254] = '\0';
    CHECK_ERR(target_add(&t, name, ERR), ERR_INVALID);
    memset(name, 'a', 64);
    name[64] = '\0';
    CHECK_ERR(target_add(&t, name, ERR), ERR_INVALID);
    name[63] = '\0';
    CHECK_OK(target_add(&t, name, ERR));
}

static void a_refused_token_leaves_no_set(void)
{
    auto_strvec tokens = {0};
    auto_targets t = {0};

    CHECK_ERR(target_set_parse(&tokens, &t, ERR), ERR_INVALID);
    CHECK_STR(tap_err.msg, "targets must not be empty");
    strvec_push(&tokens, "10.0.0.1");
    strvec_push(&tokens, "127.1");
    CHECK_ERR(target_set_parse(&tokens, &t, ERR), ERR_INVALID);
    CHECK_INT(t.addresses.n, 0);
}

static void two_thousand_targets_in_any_order_are_one_set(void)
{
    auto_strvec tokens = {0};
    auto_targets t = {0};

    for (unsigned i = 0; i < 2000; i++) {
        unsigned k = i * 7919 % 2000;

        strvec_pushf(&tokens, "10.%u.%u.0/24", k / 256, k % 256);
    }
    CHECK_OK(target_set_parse(&tokens, &t, ERR));
    CHECK_INT(t.addresses.n, 1);
    CHECK_INT(target_set_count(&t), 2000 * 256);
}

static void too_many_ranges_are_refused_early(void)
{
    auto_strvec tokens = {0};
    auto_targets t = {0};

    for (unsigned i = 0; i < 5; i++) {
        strvec_pushf(&tokens,
                     "10.%u.*.1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33,35,37,39,41,43,"
                     "45,47,49,51,53,55,57,59,61,63,65,67,69,71,73,75,77,79,81,83,85,87,"
                     "89,91,93,95,97,99,101,103,105,107,109,111,113,115,117,119,121,123,"
                     "125,127,129,131,133,135,137,139,141,143,145,147,149,151,153,155,"
                     "157,159,161,163,165,167,169,171,173,175,177,179,181,183,185,187,"
                     "189,191,193,195,197,199,201,203,205,207,209,211,213,215,217,219,221",
                     i);
    }
    CHECK_ERR(target_set_parse(&tokens, &t, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "131072 ranges"));
}

static void pins_survive_being_stored(void)
{
    auto_targets t = {0};
    auto_buf b = {0}, hosts = {0}, numeric = {0};
    auto_netset all = {0};

    parse("b.example a.example 10.0.0.1", &t);
    CHECK(!target_set_has_v6(&t));
    CHECK_OK(pins_apply(&t, "a.example=10.0.0.1+2001:db8::1,b.example=192.0.2.5", ERR));
    CHECK(target_set_has_v6(&t) && target_set_has_v4(&t));
    pins_put(&t, &b);
    CHECK_STR(b.data, "b.example=192.0.2.5,a.example=10.0.0.1+2001:db8::1");
    CHECK_OK(pins_apply(&t, b.data, ERR));
    target_set_hosts(&t, &hosts);
    CHECK_STR(hosts.data, "192.0.2.5 b.example\n10.0.0.1 a.example\n2001:db8::1 a.example\n");
    target_set_lines(&t, true, &numeric);
    CHECK_STR(numeric.data, "10.0.0.1\n192.0.2.5\n");
    target_set_all(&t, &all);
    CHECK_INT(netset_count(&all), 3);
    CHECK_INT(target_set_count(&t), 3);
}

static void pins_that_do_not_fit_are_refused(void)
{
    static const char *const bad[] = {
        "",
        "a.example=10.0.0.1,c.example=10.0.0.2",
        "a.example=10.0.0.1,a.example=10.0.0.2",
        "a.example=",
        "a.example",
        "a.example=10.0.0.1+",
        "a.example=+10.0.0.1",
        "a.example=127.1",
        "a.example=::ffff:10.0.0.1",
        "a.example=10.0.0.1,,",
        "A.example=10.0.0.1",
    };
    auto_targets t = {0};

    parse("a.example", &t);
    CHECK_OK(pins_apply(&t, "a.example=10.0.0.1", ERR));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(pins_apply(&t, bad[i], ERR), ERR_INVALID);
        CHECK_INT(t.pins[0].n, 0);
    }
    CHECK_ERR(pins_apply(&t, NULL, ERR), ERR_INVALID);
}

static void what_is_excluded_is_not_in_the_set(void)
{
    static const char *const cases[][2] = {
        {"10.0.0.0/29 !10.0.0.1", "10.0.0.0 10.0.0.2/31 10.0.0.4/30"},
        {"!10.0.0.1 10.0.0.0/29", "10.0.0.0 10.0.0.2/31 10.0.0.4/30"},
        {"10.0.0.0/24 !10.0.0.5 !10.0.0.128/25 !10.0.0.0-4 !10.0.0.6-127", ""},
        {"10.0.0.1 !10.0.0.2", "10.0.0.1"},
        {"a.example b.example !A.example.", "b.example"},
        {"2001:db8::/126 !2001:db8::1", "2001:db8:: 2001:db8::2/127"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (*cases[i][1]) {
            CHECK_STR(lines(cases[i][0]), cases[i][1]);
        }
    }
}

static void exclusions_that_cannot_hold_are_refused(void)
{
    static const char *const cases[][2] = {
        {"10.0.0.0/29 !10.0.0.0/28", "all of them are excluded"},
        {"!10.0.0.0/28", "there are only exclusions"},
        {"a.example !a.example", "all of them are excluded"},
        {"10.0.0.0/24 !printer.example", "no target has that name; exclude its address"},
        {"printer.example 10.0.0.0/24 !printer.example",
         "among the other targets; exclude its addr"},
        {"10.0.0.0/24 !", "it is empty"},
        {"10.0.0.0/24 !!10.0.0.1", "host names have letters"},
        {"10.0.0.0/24 !-1", "do not begin with '-'"},
        {"10.0.0.0/24 !10.0.0.300", "octets are decimal"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_strvec tokens = {0};
        auto_targets t = {0};
        const char *s = cases[i][0], *blank = strchr(s, ' ');

        for (; blank; s = blank + 1, blank = strchr(s, ' ')) {
            strvec_pushn(&tokens, s, (size_t)(blank - s));
        }
        strvec_push(&tokens, s);
        CHECK_ERR(target_set_parse(&tokens, &t, ERR), ERR_INVALID);
        if (!strstr(tap_err.msg, cases[i][1])) {
            tap_fail(__FILE__, __LINE__, "'%s' gave: %s", cases[i][0], tap_err.msg);
        }
        CHECK_INT(t.addresses.n + t.n_pins + t.excluded.n, 0);
    }
}

static void names_lose_addresses_that_are_excluded(void)
{
    auto_targets t = {0};
    auto_buf l = {0}, numeric = {0}, hosts = {0};
    auto_netset all = {0};

    parse("a.example b.example 10.0.0.9 !10.0.0.1 !192.0.2.0/24", &t);
    CHECK_OK(pins_apply(&t, "a.example=10.0.0.1+10.0.0.2,b.example=192.0.2.5", ERR));
    target_set_lines(&t, false, &l);
    CHECK_STR(l.data, "10.0.0.9\na.example\n");
    target_set_lines(&t, true, &numeric);
    CHECK_STR(numeric.data, "10.0.0.9\n10.0.0.2\n");
    target_set_hosts(&t, &hosts);
    CHECK_STR(hosts.data, "10.0.0.2 a.example\n");
    target_set_all(&t, &all);
    CHECK_INT(netset_count(&all), 2);
}

static void lists_have_lines_blanks_and_comments(void)
{
    static const char text[] = "# all of it\n10.0.0.1\r\n\n  10.0.0.2\t10.0.0.8/30 # two\n"
                               "!10.0.0.9#x\nwww.example.org";
    auto_strvec tokens = {0}, bad = {0};
    auto_buf joined = {0};

    CHECK_OK(target_list_read(text, strlen(text), &tokens, ERR));
    for (size_t i = 0; i < tokens.n; i++) {
        buf_addf(&joined, "%s|", tokens.v[i]);
    }
    CHECK_STR(joined.data, "10.0.0.1|10.0.0.2|10.0.0.8/30|!10.0.0.9|www.example.org|");
    CHECK_ERR(target_list_read("10.0.0.1\n# x\n10.0.0.999\n", 24, &bad, ERR), ERR_INVALID);
    CHECK(str_starts(tap_err.msg, "line 3: invalid target: '10.0.0.999': "));
    CHECK_ERR(target_list_read("10.0.0.1\0x", 10, &bad, ERR), ERR_INVALID);
    CHECK(str_starts(tap_err.msg, "line 1: "));
}

TESTS(what_is_excluded_is_not_in_the_set, exclusions_that_cannot_hold_are_refused,
      names_lose_addresses_that_are_excluded, lists_have_lines_blanks_and_comments,
      every_spelling_becomes_prefixes_or_names, what_could_be_read_twice_is_refused,
      long_names_are_refused_at_the_limit, a_refused_token_leaves_no_set,
      two_thousand_targets_in_any_order_are_one_set, too_many_ranges_are_refused_early,
      pins_survive_being_stored, pins_that_do_not_fit_are_refused)
