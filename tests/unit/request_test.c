/* What a client may ask for: words, targets, ports. */
#include "model/request.h"

#include <jansson.h>

#include "model/job.h"
#include "tap.h"

/* The words, joined by '|'; or the error's message. Borrowed until the next call. */
static const char *split(const char *s)
{
    static char text[512];
    auto_strvec words = {0};
    struct err e = {0};
    size_t n = 0;

    if (shell_split(s, &words, &e) < 0) {
        snprintf(text, sizeof text, "%s", e.msg);
        return text;
    }
    text[0] = '\0';
    for (size_t i = 0; i < words.n; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? "|" : "", words.v[i]);
    }
    return text;
}

static void words_are_split_as_a_posix_shell_does(void)
{
    static const char *const cases[][2] = {
        {"", ""},
        {" \t\r\n ", ""},
        {"a  b\tc\nd", "a|b|c|d"},
        {"'a b' \"c d\"", "a b|c d"},
        {"a'b'\"c\"d", "abcd"},
        {"''", ""},
        {"a '' b", "a||b"},
        {"a\\ b \\'", "a b|'"},
        {"\"a\\\"b\\\\c\\d\\$\"", "a\"b\\c\\d\\$"},
        {"'a\\b'", "a\\b"},
        {"a # b", "a|#|b"},
        {"a\\\nb", "a\nb"},
        {"a\vb", "a\vb"},
        {"'a", "No closing quotation"},
        {"\"a'", "No closing quotation"},
        {"a \\", "No escaped character"},
        {"\"a\\", "No escaped character"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(split(cases[i][0]), cases[i][1]);
    }
}

static void a_quoted_token_is_split_into_itself(void)
{
    static const char *const tokens[] = {
        "plain", "", "two words", "it's", "\"", "\\", "a\tb\nc\vd\fe", "'", "#", "--x=$HOME;*",
    };
    auto_strvec words = {0};
    auto_buf text = {0};

    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        shell_quote(&text, tokens[i]);
    }
    CHECK_OK(shell_split(text.data, &words, ERR));
    CHECK_INT(words.n, ARRAY_LEN(tokens));
    for (size_t i = 0; i < words.n && i < ARRAY_LEN(tokens); i++) {
        CHECK_STR(words.v[i], tokens[i]);
    }
    CHECK(str_starts(text.data, "plain '' 'two words' 'it'\\''s'"));
}

/* "" and *count, or the message. Borrowed until the next call. */
static const char *targets(const char *s, uint64_t *count)
{
    static char text[512];
    auto_targets set = {0};
    struct err e = {0};

    text[0] = '\0';
    if (targets_parse(s, &set, &e) < 0) {
        CHECK_INT(e.code, ERR_INVALID);
        snprintf(text, sizeof text, "%s", e.msg);
    } else if (count) {
        *count = target_set_count(&set);
    }
    return text;
}

static void accepted_targets_are_counted(void)
{
    static const struct {
        const char *s;
        uint64_t count;
    } cases[] = {
        {"10.0.0.1", 1},         {"10.0.0.1 10.0.0.1 10.0.0.0/31", 2},
        {"example.com", 1},      {"my-host a.b.c", 2},
        {"10.0.0.0/24", 256},    {"10.0.0.0/12", 1 << 20},
        {"10.0.0-1.*", 512},     {"192.168.1.1-50", 50},
        {"10.0.0.1,3", 2},       {"::1", 1},
        {"2001:db8::/120", 256}, {"2001:DB8:0:0::1/108", 1 << 20},
        {"::1 example.com", 2},  {"'10.0.0.1' \"10.0.0.2\"", 2},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t count = 0;

        CHECK_STR(targets(cases[i].s, &count), "");
        CHECK_INT(count, cases[i].count);
    }
}

static void refused_targets_are_named(void)
{
    static const char *const tokens[] = {
        "-sV",
        "-iL",
        "-::1",
        "a;b",
        "$(id)",
        "http://x",
        "[::1]",
        "10.0.0.256",
        "10.0.0.9-3",
        "10.0.0.1-2-3",
        "10.0..1",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/2/4",
        "10.0.0.0/0024",
        "127.1",
        "0x7f.1",
        "2130706433",
        "010.0.0.1",
        "example.com/30",
        "fe80::1%lo",
        "12345::1",
        "2001:db8:::1",
        "2001:db8::/129",
        "::ffff:10.0.0.1",
    };
    static const char *const whole[][2] = {
        {"", "targets must not be empty"},
        {" \n", "targets must not be empty"},
        {"'open", "No closing quotation"},
        {"10.0.0.1 \\", "No escaped character"},
        {"10.0.0.1 ::1",
         "IPv4 and IPv6 targets cannot be in one scan without a profile: submit one for each"},
        {"10.0.0.0/8", "too many addresses: 16777216, at most 1048576 in one scan"},
        {"10.0.0.0/12 10.16.0.1", "too many addresses: 1048577, at most 1048576 in one scan"},
        {"2001:db8::/107", "too many addresses: 2097152, at most 1048576 in one scan"},
        {"::/0", "too many addresses: 2^64 or more, at most 1048576 in one scan"},
    };

    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        auto_free char *text = str_fmt("10.0.0.1 %s", tokens[i]);
        auto_free char *start = str_fmt("invalid target: '%s'", tokens[i]);
        const char *got = targets(text, NULL);

        if (!str_starts(got, start)) {
            tap_fail(__FILE__, __LINE__, "'%s' gave '%s'", tokens[i], got);
        }
    }
    CHECK(str_starts(targets("''", NULL), "invalid target: ''"));
    for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
        CHECK_STR(targets(whole[i][0], NULL), whole[i][1]);
    }
}

static void endless_targets_are_refused_before_they_are_read(void)
{
    auto_buf many = {0};
    auto_targets set = {0};
    uint64_t count = 0;

    for (unsigned i = 0; many.len + 16 <= TARGETS_TEXT_MAX; i++) {
        buf_addf(&many, "10.%u.%u.%u ", i >> 15, i >> 7 & 255, i << 1 & 255);
    }
    CHECK_STR(targets(many.data, &count), "");
    CHECK(count > 60000);
    while (many.len <= TARGETS_TEXT_MAX) {
        buf_adds(&many, " ");
    }
    CHECK_STR(targets(many.data, &count), "targets are longer than 1048576 bytes");
    many.data[JOB_TARGETS_MAX + 1] = '\0';
    CHECK_ERR(targets_parse_old(many.data, &set, ERR), ERR_INVALID);
    CHECK_STR(tap_err.msg, "targets are longer than 65536 bytes");
}

static void exclusions_are_for_the_new_routes_only(void)
{
    auto_targets set = {0}, old = {0};

    CHECK_OK(targets_parse("10.0.0.0/24 !10.0.0.5 '!10.0.0.128/25'", &set, ERR));
    CHECK_INT(target_set_count(&set), 127);
    CHECK_ERR(targets_parse_old("10.0.0.0/24 !10.0.0.5", &old, ERR), ERR_INVALID);
    CHECK(str_starts(tap_err.msg, "invalid target: '!10.0.0.5': "));
    CHECK_INT(old.addresses.n, 0);
}

static void sweeps_may_have_more_addresses(void)
{
    auto_targets set = {0}, whole = {0}, plain = {0}, six = {0}, both = {0}, large = {0},
                 mixed = {0};

    CHECK_OK(targets_parse_sweep("10.0.0.0/8", &set, ERR));
    CHECK_INT(target_set_count(&set), 1 << 24);
    CHECK_OK(targets_parse_sweep("0.0.0.0/0", &whole, ERR));
    CHECK_ERR(targets_parse("0.0.0.0/0", &plain, ERR), ERR_INVALID);
    CHECK_STR(tap_err.msg, "too many addresses: 4294967296, at most 1048576 in one scan");
    CHECK_ERR(targets_parse_sweep("10.0.0.1 ::1", &mixed, ERR), ERR_INVALID);
    CHECK_OK(targets_parse_planned("10.0.0.1 ::1", &both, ERR));
    CHECK_INT(target_set_count(&both), 2);
    CHECK_ERR(targets_parse_planned("10.0.0.1 2001:db8::/64", &large, ERR), ERR_INVALID);
    CHECK_ERR(targets_parse_sweep("2001:db8::/64", &six, ERR), ERR_INVALID);
    CHECK_STR(tap_err.msg, "too many addresses: 2^64 or more, at most 4294967296 in one scan");
}

static void port_lists_follow_the_old_grammar_with_bounds(void)
{
    static const struct {
        const char *s;
        uint32_t count; /* 0: refused */
    } cases[] = {
        {"22", 1},
        {"0", 1},
        {"1-65535", 65535},
        {"22,80,443", 3},
        {"80,80,79-81", 3},
        {"T:22,80,U:53", 3},
        {"T:80,U:80,S:80", 3},
        {"U:1-10,5-12", 12},
        {"00080", 1},
        {"", 0},
        {"-", 0},
        {"22-", 0},
        {"-22", 0},
        {"22,", 0},
        {",22", 0},
        {"22,,80", 0},
        {"65536", 0},
        {"99999999999999999999", 0},
        {"100-1", 0},
        {"T:", 0},
        {"X:22", 0},
        {"P:6", 0},
        {"t:22", 0},
        {"T:U:22", 0},
        {"1-2-3", 0},
        {"22 80", 0},
        {" 22", 0},
        {"22\n", 0},
        {"ssh", 0},
        {"[1-30]", 0},
        {"\xd9\xa1", 0},
        {"22;id", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_free char *says = str_fmt("invalid ports specification: '%s'", cases[i].s);

        if (cases[i].count) {
            uint32_t n[PORTS_PROTOCOLS];

            CHECK_OK(ports_parse(cases[i].s, ERR));
            ports_count(cases[i].s, n);
            CHECK_INT(strchr(cases[i].s, ':') ? n[PORTS_TCP] + n[PORTS_UDP] + n[PORTS_SCTP]
                                              : n[PORTS_TCP],
                      cases[i].count);
        } else {
            CHECK_ERR(ports_parse(cases[i].s, ERR), ERR_INVALID);
            CHECK_STR(tap_err.msg, says);
        }
    }
}

static void lists_of_the_same_ports_have_one_text(void)
{
    static const char *const cases[][2] = {
        {"22", "22"},
        {"0080", "80"},
        {"80,22,80,79-81", "22,79-81"},
        {"1-10,11", "1-11"},
        {"0-65535", "0-65535"},
        {"63,64,127,128,65535", "63-64,127-128,65535"},
        {"T:22,80,U:53", "T:22,80,U:53"},
        {"U:53,T:80,22", "T:22,80,U:53"},
        {"22,T:22,80,U:53", "22,T:80,U:53"},
        {"T:22,U:22,S:22", "22"},
        {"T:1-5,U:3-9,S:4-5", "4-5,T:1-3,U:3,6-9"},
        {"S:7", "S:7"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_free char *once = ports_canonical(cases[i][0]);
        auto_free char *again = ports_canonical(once);

        CHECK_STR(once, cases[i][1]);
        CHECK_STR(again, once);
        CHECK_OK(ports_parse(once, ERR));
    }
}

static json_t *vectors(void)
{
    auto_free char *text = test_fixture("targets/nmap-7.93-targets-and-ports.json", NULL);
    json_t *v = json_loads(text, 0, NULL);

    CHECK(v != NULL);
    return v;
}

/* A set has an address once, nmap's list as often as it is written: word by word. */
static bool count_each(const char *s, uint64_t *count)
{
    auto_strvec words = {0};

    if (*targets(s, NULL) || shell_split(s, &words, NULL) < 0) {
        return false;
    }
    for (size_t i = 0; i < words.n; i++) {
        uint64_t one = 0;

        CHECK_STR(targets(words.v[i], &one), "");
        *count += one;
    }
    return true;
}

static void targets_count_as_nmap_counts_them(void)
{
    json_t *all = vectors();
    unsigned compared = 0;
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(all, "targets"), i, v)
    {
        const char *s = json_string_value(json_object_get(v, "args"));
        int64_t want = json_integer_value(json_object_get(v, "count"));
        uint64_t count = 0;

        s += str_starts(s, "-6 ") ? 3 : 0;
        if (!count_each(s, &count)) {
            continue;
        }
        /* A name is one address for us; nmap may find that there is no such name. */
        if (want == 0 && strspn(s, "0123456789.") == strlen(s)) {
            continue;
        }
        if ((int64_t)count != want) {
            tap_fail(__FILE__, __LINE__, "'%s': %d, nmap says %d", s, (int)count, (int)want);
        }
        compared++;
    }
    json_decref(all);
    CHECK(compared >= 25);
}

/* nmap's own words for exclusions and lists as ours; NULL: not one of those. Caller frees. */
static char *as_tokens(const char *args, json_t *files)
{
    const char *list = strstr(args, " --exclude"), *at = strstr(args, "@");
    auto_buf b = {0};

    if (list && !at) {
        buf_add(&b, args, (size_t)(list - args));
        buf_adds(&b, " !");
        for (const char *p = strrchr(args, ' ') + 1; *p; p++) {
            bool next = *p == ',' && memchr(p + 1, '.', strcspn(p + 1, ",")) != NULL;

            buf_adds(&b, next ? " !" : "");
            if (!next) {
                buf_addc(&b, *p);
            }
        }
        return buf_take(&b);
    }
    if (at) {
        const char *text = json_string_value(json_object_get(files, at + 1));
        auto_strvec tokens = {0};

        CHECK(text != NULL);
        if (target_list_read(text, strlen(text), &tokens, NULL) < 0) {
            return NULL;
        }
        buf_add(&b, args, list ? (size_t)(list - args) : 0);
        for (size_t i = 0; i < tokens.n; i++) {
            buf_addf(&b, "%s%s%s", b.len ? " " : "", list ? "!" : "", tokens.v[i]);
        }
        return buf_take(&b);
    }
    return NULL;
}

static void exclusions_and_lists_are_those_of_nmap(void)
{
    json_t *all = vectors();
    unsigned compared = 0;
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(all, "targets"), i, v)
    {
        const char *args = json_string_value(json_object_get(v, "args"));
        auto_free char *s = as_tokens(args, json_object_get(all, "files"));
        int64_t want = json_integer_value(json_object_get(v, "count"));
        uint64_t count = 0;

        /* nmap ends a word of --exclude at any comma: "6" is an address of its own there. */
        if (!s || strstr(s, "10.0.0.300") || strstr(s, "1-3,6")) {
            continue;
        }
        compared++;
        if (want == 0) {
            CHECK(*targets(s, &count) != '\0'); /* nothing is left: we say so */
            continue;
        }
        CHECK_STR(targets(s, &count), "");
        if ((int64_t)count != want) {
            tap_fail(__FILE__, __LINE__, "'%s': %d, nmap says %d", s, (int)count, (int)want);
        }
    }
    json_decref(all);
    CHECK(compared >= 6);
}

static void ports_count_as_nmap_counts_them(void)
{
    json_t *all = vectors();
    unsigned compared = 0;
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(all, "ports"), i, v)
    {
        const char *s = json_string_value(json_object_get(v, "spec"));
        json_t *seen = json_object_get(v, "tcp_udp_sctp");
        json_t *ports = json_object_get(seen, "ports");
        uint32_t n[PORTS_PROTOCOLS];
        int64_t want[3];

        if (ports_parse(s, NULL) < 0) {
            continue;
        }
        CHECK_INT(json_integer_value(json_object_get(seen, "rc")), 0);
        for (int k = 0; k < 3; k++) {
            static const char *const names[] = {"tcp", "udp", "sctp"};

            want[k] =
                json_integer_value(json_object_get(json_object_get(ports, names[k]), "count"));
        }
        ports_count(s, n);
        for (int k = 0; k < PORTS_PROTOCOLS; k++) {
            CHECK_INT(n[k], want[k]);
        }
        compared++;
    }
    json_decref(all);
    CHECK(compared >= 10);
}

TESTS(a_quoted_token_is_split_into_itself, exclusions_are_for_the_new_routes_only,
      sweeps_may_have_more_addresses, exclusions_and_lists_are_those_of_nmap,
      words_are_split_as_a_posix_shell_does, accepted_targets_are_counted,
      refused_targets_are_named, endless_targets_are_refused_before_they_are_read,
      lists_of_the_same_ports_have_one_text, port_lists_follow_the_old_grammar_with_bounds,
      targets_count_as_nmap_counts_them, ports_count_as_nmap_counts_them)
