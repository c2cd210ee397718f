/*
 * masscan's forms: our own recordings, pieces and cuts, and what hurts.
 */
#include "base/buf.h"
#include "parse_feed.h"

#define RECORD(ip, port, time)                                                             \
    "{   \"ip\": \"" ip "\",   \"timestamp\": \"" time "\", \"ports\": [ {\"port\": " port \
    ", \"proto\": \"tcp\", \"status\": \"open\", \"reason\": \"syn-ack\", \"ttl\": 64} ] }\n"
#define BANNER(text)                                                                           \
    "{   \"ip\": \"192.0.2.1\",   \"timestamp\": \"1700000000\", \"ports\": [ "                \
    "{\"port\": 80, \"proto\": \"tcp\", \"service\": {\"name\": \"http\", \"banner\": \"" text \
    "\"} } ] }\n"

static const char *const forms[] = {"masscan/all.json", "masscan/all.ndjson", "masscan/all.list",
                                    "masscan/all.grepable", "masscan/all.xml"};

static json_t *host_at(const struct seen *s, size_t i)
{
    return json_array_get(s->hosts, i);
}

static const char *address_at(const struct seen *s, size_t i)
{
    json_t *first = json_array_get(json_object_get(host_at(s, i), "addresses"), 0);

    return json_string_value(json_object_get(first, "addr"));
}

static json_t *port_at(const struct seen *s, size_t host, size_t i)
{
    return json_array_get(json_object_get(host_at(s, host), "ports"), i);
}

static const char *script_at(json_t *port, size_t i, const char *member)
{
    return json_string_value(
        json_object_get(json_array_get(json_object_get(port, "scripts"), i), member));
}

static json_int_t count_of(const struct seen *s, const char *name)
{
    return json_integer_value(json_object_get(s->run, name));
}

static void parse(const char *text, struct seen *s)
{
    parse_in_steps(&parser_masscan, text, strlen(text), 0, s);
}

/* One answer: what finish() says, and how many hosts there were. */
static void check_text(const char *text, int rc, size_t hosts)
{
    static const size_t steps[] = {0, 1, 3};

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct seen s = {0};

        parse_in_steps(&parser_masscan, text, strlen(text), steps[i], &s);
        if (s.finish_rc != rc || json_array_size(s.hosts) != hosts || s.runs != 1 ||
            s.complete != (rc == 0) || (rc && !s.err.msg[0])) {
            tap_fail(__FILE__, __LINE__, "%.60s in steps of %zu: %s '%s', %zu hosts", text,
                     steps[i], err_name(s.finish_rc), s.err.msg, json_array_size(s.hosts));
        }
        seen_done(&s);
    }
}

/* --- the recordings --- */

static void check_recording(const struct seen *s, bool reasons)
{
    json_t *port = port_at(s, 0, 1);
    auto_free char *extra =
        json_dumps(json_object_get(host_at(s, 2), "extraports"), JSON_SORT_KEYS);

    CHECK_INT(json_array_size(s->hosts), 3);
    CHECK_STR(address_at(s, 0), "192.0.2.10");
    CHECK_STR(address_at(s, 1), "192.0.2.20");
    CHECK_STR(address_at(s, 2), "192.0.2.30");
    CHECK_INT(json_integer_value(json_object_get(port, "portid")), 80);
    CHECK_STR(json_string_value(json_object_get(json_object_get(port, "service"), "name")), "http");
    CHECK_STR(script_at(port, 0, "id"), "banner-http.server");
    CHECK_STR(script_at(port, 0, "output"), "caf\xc3\xa9 \\xff\\x1b[31m<b>\"=1+1\\");
    CHECK_STR(script_at(port, 1, "output"), "a\tb");
    CHECK_STR(script_at(port_at(s, 0, 0), 0, "output"), "SSH-2.0-OpenSSH_9.2");
    CHECK(!script_at(port_at(s, 0, 0), 1, "output"));
    CHECK_INT(json_array_size(json_object_get(host_at(s, 2), "ports")), 0);
    CHECK_STR(extra, reasons
                         ? "[{\"count\": 3, \"reasons\": [{\"count\": 3, \"ports\": \"80-81,443\", "
                           "\"proto\": \"tcp\", \"reason\": \"rst\"}], \"state\": \"closed\"}]"
                         : "[{\"count\": 3, \"reasons\": [{\"count\": 3, \"ports\": \"80-81,443\", "
                           "\"proto\": \"tcp\"}], \"state\": \"closed\"}]");
    CHECK_INT(json_integer_value(json_object_get(host_at(s, 0), "starttime")), 1700000000);
    CHECK_INT(json_integer_value(json_object_get(host_at(s, 0), "endtime")), 1700000009);
    CHECK_INT(count_of(s, "records"), 12);
    CHECK_INT(count_of(s, "duplicates"), 2);
    CHECK_INT(count_of(s, "open"), 4);
    CHECK_INT(count_of(s, "closed"), 3);
    CHECK_INT(count_of(s, "banners"), 3);
    CHECK_INT(s->start_s, 1700000000);
}

static void all_forms_say_the_same_in_pieces_of_any_size(void)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        size_t n;
        auto_free char *text = test_data(forms[i], &n);

        for (size_t step = 0; step < 70; step++) {
            struct seen s = {0};

            parse_in_steps(&parser_masscan, text, n, step, &s);
            CHECK_INT(s.finish_rc, 0);
            CHECK(s.complete);
            CHECK_STR(s.scanner, "masscan");
            check_recording(&s, i != 2 && i != 3);
            seen_done(&s);
        }
    }
}

static void a_cut_file_gives_what_was_whole_and_says_so(void)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        size_t n;
        auto_free char *text = test_data(forms[i], &n);
        size_t last = 0;

        for (size_t cut = 0; cut <= n; cut++) {
            struct seen s = {0};
            /* A record, or the empty file, is an end as good as any where no bracket closes. */
            bool at_end = cut == 0 || cut + 2 >= n || memmem(text, cut, "# Masscan done", 14) ||
                          (i == 1 && (text[cut - 1] == '\n' || text[cut - 1] == '}'));

            parse_in_steps(&parser_masscan, text, cut, 0, &s);
            if (!at_end && (s.finish_rc != ERR_TOOL || s.complete)) {
                tap_fail(__FILE__, __LINE__, "%s, cut after %zu bytes: %s", forms[i], cut,
                         s.err.msg);
            }
            CHECK_INT(s.runs, 1);
            CHECK((size_t)count_of(&s, "records") >= last);
            last = (size_t)count_of(&s, "records");
            seen_done(&s);
        }
        CHECK_INT(last, 12);
    }
}

/* --- ends --- */

static void odd_ends_of_old_versions_are_understood(void)
{
    check_text("", 0, 0);
    check_text("\n \r\n", 0, 0);
    check_text("[\n]\n", 0, 0);
    check_text("[\n" RECORD("192.0.2.1", "80", "1") ",\n]\n", 0, 1);
    check_text("[\n" RECORD("192.0.2.1", "80", "1") ",\n{finished: 1}\n]\n", 0, 1);
    check_text(RECORD("192.0.2.1", "80", "1") RECORD("192.0.2.2", "80", "1"), 0, 2);
    check_text("\xef\xbb\xbf[\r\n" RECORD("192.0.2.1", "80", "1") "\r\n]\r\n", 0, 1);
    /* --append-output */
    check_text("[\n" RECORD("192.0.2.1", "80", "1") "]\n[\n" RECORD("192.0.2.2", "80", "1") "]\n",
               0, 2);
    check_text("[\n", ERR_TOOL, 0);
    check_text("[\n" RECORD("192.0.2.1", "80", "1") ",\n", ERR_TOOL, 1);
    check_text("#masscan\nopen tcp 80 192.0.2.1 1700000000\n", ERR_TOOL, 1);
    check_text("#masscan\nopen tcp 80 192.0.2.1 1700000000\nopen tcp 80 192.0.2.2", ERR_TOOL, 1);
    check_text("open tcp 80 192.0.2.1 1700000000\r\n", 0, 1);
}

static void garbage_ends_it_with_its_line(void)
{
    static const char *const broken[] = {
        "{\"ip\": \"192.0.2.9\", \"ports\": [{\"port\": 80, \"proto\": \"tcp\"}]}\n",
        "{\"ip\": \"192.0.2.9\", \"ports\": [{\"port\": 70000, \"proto\": \"tcp\", \"status\": "
        "\"open\"}]}\n",
        "{\"ip\": \"192.0.2.9\", \"ports\": [{\"port\": 99999999999999999999, \"proto\": \"tcp\", "
        "\"status\": \"open\"}]}\n",
        "{\"ip\": \"192.0.2.9\", \"ports\": [{\"port\": -1, \"proto\": \"tcp\", \"status\": "
        "\"open\"}]}\n",
        "{\"ip\": \"192.0.2.999\", \"ports\": [{\"port\": 80, \"proto\": \"tcp\", \"status\": "
        "\"open\"}]}\n",
        "{\"ip\": \"192.0.2.9\", \"ports\": [{\"port\": 80, \"proto\": \"quic\", \"status\": "
        "\"open\"}]}\n",
        "{\"ip\": \"192.0.2.9\" \"ports\": []}\n",
        "{\"ip\": \"192.0.2.9\n\", \"ports\": []}\n",
        "{\"ip\": nothing}\n",
        "{\"other\": 1}\n",
        "Segmentation fault\n",
        "{'ip': 1}\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        auto_free char *text = str_fmt("[\n%s,\n%s]\n", RECORD("192.0.2.1", "80", "1"), broken[i]);
        struct seen s = {0};

        check_text(text, ERR_TOOL, 1);
        parse(text, &s);
        if (!strstr(s.err.msg, "line 4")) {
            tap_fail(__FILE__, __LINE__, "%s%s", broken[i], s.err.msg);
        }
        seen_done(&s);
    }
    check_text("#masscan\nopen tcp 80 192.0.2.1 1700000000\nopen tcp 80 192.0.2.2 17 x\n# end\n",
               ERR_TOOL, 1);
    check_text("# Masscan 1.3.2 scan\nTimestamp: 1\tHost: 192.0.2.1 ()\tPorts: 80/open\n", ERR_TOOL,
               0);
    check_text("hello\n", ERR_TOOL, 0);
    check_text("<?xml version=\"1.0\"?><other/>", ERR_TOOL, 0);
}

static void a_nul_byte_is_garbage(void)
{
    const char text[] = "[\n" RECORD("192.0.2.1", "80", "1") ",\n\0\0\0\0";
    struct seen s = {0};

    parse_in_steps(&parser_masscan, text, sizeof text - 1, 0, &s);
    CHECK_INT(s.finish_rc, ERR_TOOL);
    CHECK_INT(json_array_size(s.hosts), 1);
    CHECK(strstr(s.err.msg, "line 4"));
    seen_done(&s);
}

static void members_may_stand_in_another_order(void)
{
    struct seen s = {0};

    parse("[ { \"ports\": [ { \"ttl\": 5, \"reason\": \"syn-ack\", \"status\": \"open\", "
          "\"proto\": \"tcp\", \"port\": \"443\", \"new\": [ { } , null ] }, { \"port\": 80, "
          "\"proto\": \"tcp\", \"status\": \"open\" } ],\n \"timestamp\": 1700000000,\n"
          "\"ip\": \"2001:DB8::1\" } ]",
          &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_STR(address_at(&s, 0), "2001:db8::1");
    CHECK_INT(json_array_size(json_object_get(host_at(&s, 0), "ports")), 2);
    CHECK_INT(json_integer_value(json_object_get(host_at(&s, 0), "endtime")), 1700000000);
    CHECK_INT(json_integer_value(
                  json_object_get(json_object_get(port_at(&s, 0, 1), "state"), "reason_ttl")),
              5);
    seen_done(&s);
}

static void numbers_that_make_no_sense_are_not_said(void)
{
    struct seen s = {0};

    parse("[ { \"ip\": \"192.0.2.1\", \"timestamp\": \"99999999999999999999\", \"ports\": [ "
          "{\"port\": 1, \"proto\": \"tcp\", \"status\": \"open\", \"ttl\": 70000} ] } ]",
          &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK(!json_object_get(host_at(&s, 0), "starttime"));
    CHECK(!json_object_get(json_object_get(port_at(&s, 0, 0), "state"), "reason_ttl"));
    seen_done(&s);
}

/* --- joining --- */

static void a_port_that_is_open_and_closed_is_open(void)
{
    struct seen s = {0};

    parse(
        "#masscan\nclosed tcp 80 192.0.2.1 5\nopen tcp 80 192.0.2.1 9\nclosed tcp 81 192.0.2.1 7\n"
        "up arp 0 192.0.2.2 7\n# end\n",
        &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 2);
    CHECK_INT(json_array_size(json_object_get(host_at(&s, 0), "ports")), 1);
    CHECK_INT(json_integer_value(json_object_get(
                  json_array_get(json_object_get(host_at(&s, 0), "extraports"), 0), "count")),
              1);
    CHECK_STR(
        json_string_value(json_object_get(json_object_get(host_at(&s, 1), "status"), "reason")),
        "arp-response");
    CHECK_INT(json_integer_value(json_object_get(host_at(&s, 0), "starttime")), 5);
    CHECK_INT(json_integer_value(json_object_get(host_at(&s, 0), "endtime")), 9);
    seen_done(&s);
}

static void hundreds_of_thousands_of_the_same_answer_are_one(void)
{
    auto_buf text = {0};
    struct seen s = {0};

    buf_adds(&text, "#masscan\n");
    for (int i = 0; i < 3 * SIGHTINGS_MAX; i++) {
        buf_addf(&text, "open udp 53 192.0.2.%d %d\n", i % 2, 1700000000 + i);
    }
    buf_adds(&text, "# end\n");
    parse(text.data, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 2);
    CHECK_INT(count_of(&s, "records"), 3 * SIGHTINGS_MAX);
    CHECK_INT(count_of(&s, "duplicates"), 3 * SIGHTINGS_MAX - 2);
    CHECK_INT(json_integer_value(json_object_get(host_at(&s, 0), "starttime")), 1700000000);
    CHECK_INT(json_integer_value(json_object_get(host_at(&s, 1), "endtime")),
              1700000000 + 3 * SIGHTINGS_MAX - 1);
    seen_done(&s);
}

/* Two times as many as are collected: every port comes out, hosts are in order within a window. */
static void more_than_a_window_loses_nothing(void)
{
    enum { HOSTS = 2 * SIGHTINGS_MAX };
    auto_buf text = {0};
    auto_free bool *seen = xcalloc(HOSTS, sizeof *seen);
    struct seen s = {0};
    uint32_t at = 1;

    buf_adds(&text, "#masscan\n");
    for (int i = 0; i < HOSTS; i++) {
        at = (at * 1103515245 + 12345) % HOSTS; /* each once */
        buf_addf(&text, "open tcp 80 10.%u.%u.%u 1700000000\n", at >> 16, at >> 8 & 255, at & 255);
    }
    buf_adds(&text, "# end\n");
    parse(text.data, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), HOSTS);
    for (size_t i = 0; i < json_array_size(s.hosts); i++) {
        unsigned a, b, c;

        CHECK_INT(sscanf(address_at(&s, i), "10.%u.%u.%u", &a, &b, &c), 3);
        seen[a << 16 | b << 8 | c] = true;
    }
    for (int i = 0; i < HOSTS; i++) {
        CHECK(seen[i]);
    }
    seen_done(&s);
}

static void ipv6_stands_behind_ipv4_and_in_order(void)
{
    static const char *const want[] = {"9.9.9.9", "192.0.2.1", "2001:db8::1", "2001:db8::2",
                                       "fd00::1"};
    struct seen s = {0};

    parse("#masscan\nopen tcp 80 fd00::1 1\nopen tcp 80 192.0.2.1 1\nopen tcp 443 2001:db8::2 1\n"
          "open tcp 80 2001:db8::1 1\nopen tcp 80 2001:0db8:0::2 1\nopen tcp 80 9.9.9.9 1\n"
          "open tcp 80 fd00::1 3\n# end\n",
          &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        CHECK_STR(address_at(&s, i), want[i]);
    }
    CHECK_INT(json_integer_value(json_object_get(port_at(&s, 3, 0), "portid")), 80);
    CHECK_INT(json_integer_value(json_object_get(port_at(&s, 3, 1), "portid")), 443);
    CHECK_INT(count_of(&s, "duplicates"), 1);
    seen_done(&s);
}

/* --- banners --- */

static void hostile_bytes_of_a_banner_become_text(void)
{
    struct seen s = {0};

    parse("[\n" BANNER(
              "\\u0000\\u001b[31m\\u0007 \\u00e2\\u0080\\u00ae \\u00c2\\u009b \\u00ff\\u00c3 "
              "<img onerror=x> \\\"=1+1\\u000a\\ud83d\\ude00 \\ud800 \xf0\x28\x8c") "]\n",
          &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_STR(script_at(port_at(&s, 0, 0), 0, "output"),
              "\\x00\\x1b[31m\\x07 \xe2\x80\xae \\xc2\\x9b \\xff\\xc3 <img onerror=x> \"=1+1\n"
              "\xf0\x9f\x98\x80 \xef\xbf\xbd \\xf0(\\x8c");
    CHECK_STR(
        json_string_value(json_object_get(json_object_get(port_at(&s, 0, 0), "state"), "reason")),
        "response");
    seen_done(&s);
}

static void a_banner_of_a_megabyte_is_kept(void)
{
    enum { SIZE = 1 << 20 };
    auto_buf text = {0};
    auto_free char *filler = xmalloc(SIZE + 1);
    struct seen s = {0};

    memset(filler, 'x', SIZE);
    filler[SIZE] = '\0';
    buf_addf(&text, "[\n" BANNER("%s") "]\n", filler);
    parse_in_steps(&parser_masscan, text.data, text.len, 65536, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(strlen(script_at(port_at(&s, 0, 0), 0, "output")), SIZE);
    seen_done(&s);
    /* Every byte escaped, fed in small pieces: no time is lost, and no memory. */
    buf_reset(&text);
    buf_adds(&text,
             "[\n{   \"ip\": \"192.0.2.1\",   \"timestamp\": \"1\", \"ports\": [ {\"port\": 80, "
             "\"proto\": \"tcp\", \"service\": {\"name\": \"http\", \"banner\": \"");
    for (int i = 0; i < SIZE; i++) {
        buf_adds(&text, "\\u001b");
    }
    buf_adds(&text, "\"} } ] }\n]\n");
    parse_in_steps(&parser_masscan, text.data, text.len, 1000, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(strlen(script_at(port_at(&s, 0, 0), 0, "output")), 4 * SIZE);
    seen_done(&s);
}

static void a_record_of_ten_megabytes_is_too_long(void)
{
    static const char *const begins[] = {"{\"ip\": \"192.0.2.2\", \"x\": \"", "",
                                         "open tcp 80 192.0.2.2 1 "};
    enum { SIZE = 10 << 20 };

    for (size_t i = 0; i < ARRAY_LEN(begins); i += 2) {
        auto_buf text = {0};

        buf_adds(&text, i == 0 ? RECORD("192.0.2.1", "80", "1") : "open tcp 80 192.0.2.1 1\n");
        buf_adds(&text, begins[i]);
        for (int k = 0; k < SIZE; k++) {
            buf_addc(&text, 'x');
        }
        buf_adds(&text, i == 0 ? "\"}\n" : "\n");
        for (size_t step = 0; step < 200000; step += 65536) {
            struct seen s = {0};

            parse_in_steps(&parser_masscan, text.data, text.len, step, &s);
            CHECK_INT(s.finish_rc, ERR_LIMIT);
            CHECK_INT(json_array_size(s.hosts), 1);
            CHECK(!s.complete);
            CHECK(strstr(s.err.msg, "longer than"));
            seen_done(&s);
        }
    }
}

static void deep_nesting_is_refused(void)
{
    auto_buf text = {0};

    buf_adds(&text, RECORD("192.0.2.1", "80", "1") "{\"ip\": ");
    for (int i = 0; i < 100000; i++) {
        buf_addc(&text, '[');
    }
    check_text(text.data, ERR_LIMIT, 1);
}

static void thousands_of_banners_of_one_port_are_bounded(void)
{
    auto_buf text = {0};
    struct seen s = {0};

    buf_adds(&text, "#masscan\n");
    for (int i = 0; i < 50000; i++) {
        buf_addf(&text, "banner tcp 80 192.0.2.1 1 http banner %d\n", i);
    }
    buf_adds(&text, "# end\n");
    parse(text.data, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(json_object_get(port_at(&s, 0, 0), "scripts")), 32);
    CHECK_INT(count_of(&s, "banners_left_out"), 50000 - 32);
    seen_done(&s);
}

static void a_service_inside_tls_is_told_as_such(void)
{
    struct seen s = {0};
    json_t *service;

    parse("#masscan\nbanner tcp 443 192.0.2.1 1 ssl TLS/1.2\nbanner tcp 443 192.0.2.1 1 http "
          "HTTP/1.1\n"
          "banner tcp 22 192.0.2.1 1 unknown hello\n# end\n",
          &s);
    service = json_object_get(port_at(&s, 0, 1), "service");
    CHECK_STR(json_string_value(json_object_get(service, "name")), "http");
    CHECK_STR(json_string_value(json_object_get(service, "tunnel")), "ssl");
    CHECK(!json_object_get(port_at(&s, 0, 0), "service"));
    CHECK_STR(script_at(port_at(&s, 0, 0), 0, "output"), "hello");
    seen_done(&s);
}

/* --- the contract --- */

static void a_sink_that_stops_is_obeyed(void)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        size_t n;
        auto_free char *text = test_data(forms[i], &n);
        struct seen s = {.stop_at = 2, .stop_rc = ERR_BUSY};

        parse_in_steps(&parser_masscan, text, n, 0, &s);
        CHECK_INT(s.finish_rc, ERR_BUSY);
        CHECK_INT(json_array_size(s.hosts), 1);
        CHECK_INT(s.runs, 0);
        seen_done(&s);
    }
}

static void paused_conf_is_refused_by_name(void)
{
    size_t n;
    auto_free char *text = test_data("masscan/paused.conf", &n);
    const char *why = NULL;

    check_text(text, ERR_TOOL, 0);
    CHECK(!parse_detect(text, n, &why));
    CHECK(strstr(why, "paused.conf"));
}

TESTS(all_forms_say_the_same_in_pieces_of_any_size, a_cut_file_gives_what_was_whole_and_says_so,
      odd_ends_of_old_versions_are_understood, garbage_ends_it_with_its_line, a_nul_byte_is_garbage,
      members_may_stand_in_another_order, numbers_that_make_no_sense_are_not_said,
      a_port_that_is_open_and_closed_is_open, hundreds_of_thousands_of_the_same_answer_are_one,
      more_than_a_window_loses_nothing, ipv6_stands_behind_ipv4_and_in_order,
      hostile_bytes_of_a_banner_become_text, a_banner_of_a_megabyte_is_kept,
      a_record_of_ten_megabytes_is_too_long, deep_nesting_is_refused,
      thousands_of_banners_of_one_port_are_bounded, a_service_inside_tls_is_told_as_such,
      a_sink_that_stops_is_obeyed, paused_conf_is_refused_by_name)
