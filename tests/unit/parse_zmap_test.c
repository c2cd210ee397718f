/*
 * zmap's CSV and JSON: our own recordings, pieces and cuts, and what hurts; and what parse_detect()
 * says of files.
 */
#include "base/buf.h"
#include "parse_feed.h"

#define HEADER "saddr,sport,classification,success,repeat,ttl,timestamp_ts\n"

static const char *const forms[] = {"zmap/v2.csv", "zmap/v4.csv", "zmap/v2.json", "zmap/v4.json"};

static json_t *host_at(const struct seen *s, size_t i)
{
    return json_array_get(s->hosts, i);
}

static const char *address_at(const struct seen *s, size_t i)
{
    json_t *first = json_array_get(json_object_get(host_at(s, i), "addresses"), 0);

    return json_string_value(json_object_get(first, "addr"));
}

static const char *status_at(const struct seen *s, size_t i, const char *member)
{
    return json_string_value(json_object_get(json_object_get(host_at(s, i), "status"), member));
}

static json_t *port_at(const struct seen *s, size_t host, size_t i)
{
    return json_array_get(json_object_get(host_at(s, host), "ports"), i);
}

static const char *port_state(const struct seen *s, size_t host, size_t i, const char *member)
{
    return json_string_value(
        json_object_get(json_object_get(port_at(s, host, i), "state"), member));
}

static json_int_t count_of(const struct seen *s, const char *name)
{
    return json_integer_value(json_object_get(s->run, name));
}

static char *extras_at(const struct seen *s, size_t i)
{
    return json_dumps(json_object_get(host_at(s, i), "extraports"), JSON_SORT_KEYS | JSON_COMPACT);
}

static void parse(const char *text, struct seen *s)
{
    parse_in_steps(&parser_zmap, text, strlen(text), 0, s);
}

static void check_text(const char *text, int rc, size_t hosts)
{
    static const size_t steps[] = {0, 1, 3};

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct seen s = {0};

        parse_in_steps(&parser_zmap, text, strlen(text), steps[i], &s);
        if (s.finish_rc != rc || json_array_size(s.hosts) != hosts || s.runs != 1 ||
            s.complete != (rc == 0) || (rc && !s.err.msg[0])) {
            tap_fail(__FILE__, __LINE__, "%.60s in steps of %zu: %s '%s', %zu hosts", text,
                     steps[i], err_name(s.finish_rc), s.err.msg, json_array_size(s.hosts));
        }
        seen_done(&s);
    }
}

/* --- the recordings --- */

static void check_recording(const struct seen *s)
{
    auto_free char *closed = extras_at(s, 0);
    auto_free char *filtered = extras_at(s, 2);

    CHECK_INT(json_array_size(s->hosts), 3);
    CHECK_STR(address_at(s, 0), "192.0.2.10");
    CHECK_STR(port_state(s, 0, 0, "state"), "open");
    CHECK_STR(port_state(s, 0, 0, "reason"), "syn-ack");
    CHECK_STR(json_string_value(json_object_get(port_at(s, 0, 0), "protocol")), "tcp");
    CHECK_STR(closed, "[{\"count\":1,\"reasons\":[{\"count\":1,\"ports\":\"443\",\"proto\":\"tcp\","
                      "\"reason\":\"reset\"}],\"state\":\"closed\"}]");
    CHECK_STR(filtered, "[{\"count\":1,\"reasons\":[{\"count\":1,\"reason\":\"port-unreach\"}],"
                        "\"state\":\"filtered\"}]");
    /* It told so itself. */
    CHECK_STR(status_at(s, 2, "state"), "up");
    CHECK_STR(status_at(s, 2, "reason"), "port-unreach");
    CHECK_INT(json_integer_value(json_object_get(host_at(s, 0), "starttime")), 1700000000);
    CHECK_INT(json_integer_value(json_object_get(host_at(s, 0), "endtime")), 1700000003);
    CHECK_INT(count_of(s, "records"), 5);
    CHECK_INT(count_of(s, "duplicates"), 1);
    CHECK_STR(s->scanner, "zmap");
}

static void all_forms_say_the_same_in_pieces_of_any_size(void)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        size_t n;
        auto_free char *text = test_data(forms[i], &n);

        for (size_t step = 0; step < 70; step++) {
            struct seen s = {0};

            parse_in_steps(&parser_zmap, text, n, step, &s);
            CHECK_INT(s.finish_rc, 0);
            CHECK(s.complete);
            check_recording(&s);
            seen_done(&s);
        }
    }
}

static void a_cut_file_gives_what_was_whole_and_says_so(void)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        size_t n;
        auto_free char *text = test_data(forms[i], &n);
        json_int_t last = 0;

        for (size_t cut = 1; cut <= n; cut++) {
            struct seen s = {0};
            bool at_end = text[cut - 1] == '\n' || (i >= 2 && text[cut - 1] == '}');

            parse_in_steps(&parser_zmap, text, cut, 0, &s);
            CHECK_INT(s.finish_rc, at_end ? 0 : ERR_TOOL);
            CHECK_INT(s.complete, at_end);
            CHECK(count_of(&s, "records") >= last);
            last = count_of(&s, "records");
            seen_done(&s);
        }
        CHECK_INT(last, 5);
    }
}

/* --- lists --- */

static void an_address_in_a_bare_list_is_up(void)
{
    size_t n;
    auto_free char *text = test_data("zmap/addresses.csv", &n);
    struct seen s = {0};

    parse(text, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 2);
    CHECK_STR(address_at(&s, 0), "192.0.2.10");
    CHECK_STR(status_at(&s, 0, "state"), "up");
    CHECK_STR(status_at(&s, 0, "reason"), "listed");
    seen_done(&s);
}

static void a_port_in_a_bare_list_is_not_called_open(void)
{
    size_t n;
    auto_free char *text = test_data("zmap/addresses_ports.csv", &n);
    struct seen s = {0};

    parse(text, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 3);
    CHECK_STR(port_state(&s, 0, 0, "state"), "unfiltered");
    CHECK_STR(status_at(&s, 2, "state"), "unknown");
    CHECK_INT(count_of(&s, "open"), 0);
    seen_done(&s);
    check_text("192.0.2.1,80,synack\n", ERR_TOOL, 0);
}

static void answers_to_pings_are_hosts_without_ports(void)
{
    size_t n;
    auto_free char *text = test_data("zmap/icmp.csv", &n);
    struct seen s = {0};

    parse(text, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 2);
    CHECK_STR(status_at(&s, 0, "state"), "unknown");
    CHECK_STR(status_at(&s, 1, "state"), "up");
    CHECK_STR(status_at(&s, 1, "reason"), "echo-reply");
    CHECK_INT(json_array_size(json_object_get(host_at(&s, 1), "ports")), 0);
    seen_done(&s);
}

static void success_decides_when_there_is_no_class(void)
{
    struct seen s = {0};
    auto_free char *closed = NULL;

    parse("saddr,sport,success\n192.0.2.1,80,1\n192.0.2.1,81,0\n192.0.2.2,82,true\n", &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_STR(port_state(&s, 0, 0, "state"), "open");
    closed = extras_at(&s, 0);
    CHECK(strstr(closed, "\"ports\":\"81\""));
    CHECK_STR(port_state(&s, 1, 0, "state"), "open");
    seen_done(&s);
    /* zmap's modules of UDP name their own class */
    parse("saddr,sport,classification,success\n192.0.2.1,53,dns,1\n192.0.2.2,123,ntp,0\n", &s);
    CHECK_STR(json_string_value(json_object_get(port_at(&s, 0, 0), "protocol")), "udp");
    CHECK_STR(port_state(&s, 0, 0, "reason"), "dns");
    CHECK_STR(port_state(&s, 1, 0, "state"), "unfiltered");
    seen_done(&s);
}

static void columns_may_stand_in_any_order(void)
{
    struct seen s = {0};

    parse("repeat,timestamp_str,success,x,classification,sport,saddr\r\n"
          "0,2023-11-14T23:13:20.000+0100,1,\"a,b\"\"c\",synack,443,192.0.2.1\r\n"
          "\r\n0,2023-11-14T22:13:21.000+0000,1,,synack,80,2001:db8::1\r\n",
          &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 2);
    CHECK_INT(json_integer_value(json_object_get(host_at(&s, 0), "starttime")), 1700000000);
    CHECK_INT(json_integer_value(json_object_get(host_at(&s, 1), "starttime")), 1700000001);
    seen_done(&s);
    parse("saddr,timestamp_str\n192.0.2.1,2024-02-29T23:59:59.999-0130\n"
          "192.0.2.2,1970-01-01T00:00:01.000+0000\n192.0.2.3,2100-03-01T00:00:00.000+0000\n"
          "192.0.2.4,yesterday\n",
          &s);
    CHECK_INT(json_integer_value(json_object_get(host_at(&s, 0), "starttime")), 1709256599);
    CHECK_INT(json_integer_value(json_object_get(host_at(&s, 1), "starttime")), 1);
    CHECK_INT(json_integer_value(json_object_get(host_at(&s, 2), "starttime")), 4107542400);
    CHECK(!json_object_get(host_at(&s, 3), "starttime"));
    seen_done(&s);
}

static void a_header_alone_is_a_run_that_found_nothing(void)
{
    check_text("", 0, 0);
    check_text("saddr\n", 0, 0);
    check_text(HEADER, 0, 0);
    check_text("\xef\xbb\xbf" HEADER "192.0.2.1,80,synack,1,0,64,1\n", 0, 1);
}

/* --- what hurts --- */

static void garbage_ends_it_with_its_line(void)
{
    static const char *const rows[] = {
        "192.0.2.2,80,synack,1,0,64",
        "192.0.2.2,80,synack,1,0,64,1,9",
        "192.0.2.300,80,synack,1,0,64,1",
        "192.0.2.2,65536,synack,1,0,64,1",
        "192.0.2.2,99999999999999999999999,synack,1,0,64,1",
        "192.0.2.2,-1,synack,1,0,64,1",
        "192.0.2.2,80,synack,yes,0,64,1",
        ",80,synack,1,0,64,1",
        "Segmentation fault",
        "\"192.0.2.2",
        "192.0.02.2,80,synack,1,0,64,1",
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = str_fmt(
            HEADER "192.0.2.1,80,synack,1,0,64,1\n%s\n192.0.2.3,80,synack,1,0,64,1\n", rows[i]);
        struct seen s = {0};

        check_text(text, ERR_TOOL, 1);
        parse(text, &s);
        if (!strstr(s.err.msg, "line 3")) {
            tap_fail(__FILE__, __LINE__, "%s: %s", rows[i], s.err.msg);
        }
        seen_done(&s);
    }
    check_text("{\"saddr\":\"192.0.2.1\"}\n{\"saddr\":\"192.0.2.2\",}\n", ERR_TOOL, 1);
    check_text("{\"saddr\":\"192.0.2.1\"}\n{\"saddr\":\"192.0.2.2\",\"sport\":70000}\n", ERR_TOOL,
               1);
    check_text("{\"saddr\":\"192.0.2.1\"}\n{\"sport\":80}\n", ERR_TOOL, 1);
    check_text("{\"saddr\":\"192.0.2.1\"}\n{\"saddr\":\"192.0.2.2", ERR_TOOL, 1);
}

static void a_row_that_is_cut_is_not_another_address(void)
{
    check_text("192.0.2.1\n192.0.2.2", ERR_TOOL, 1);
    check_text("saddr,sport\n192.0.2.1,80\n192.0.2.2,80", ERR_TOOL, 1);
}

static void numbers_that_make_no_sense_are_not_said(void)
{
    struct seen s = {0};

    parse(HEADER "192.0.2.1,80,synack,1,0,999,99999999999999999999\n", &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK(!json_object_get(host_at(&s, 0), "starttime"));
    CHECK(!json_object_get(json_object_get(port_at(&s, 0, 0), "state"), "reason_ttl"));
    seen_done(&s);
}

static void hostile_classes_become_text(void)
{
    struct seen s = {0};

    parse("saddr,sport,classification,success\n192.0.2.1,80,\x1b[31m\xff<b>,1\n", &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_STR(port_state(&s, 0, 0, "reason"), "\\x1b[31m\\xff<b>");
    seen_done(&s);
}

static void thousands_of_classes_are_bounded(void)
{
    auto_buf text = {0};
    struct seen s = {0};

    buf_adds(&text, "saddr,sport,classification,success\n");
    for (int i = 0; i < 5000; i++) {
        buf_addf(&text, "192.0.2.1,%d,class%d,1\n", i, i);
    }
    parse(text.data, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_STR(port_state(&s, 0, 0, "reason"), "class0");
    CHECK_STR(port_state(&s, 0, 4999, "reason"), "other");
    seen_done(&s);
}

static void a_line_of_ten_megabytes_is_too_long(void)
{
    auto_buf text = {0};

    buf_adds(&text, HEADER "192.0.2.1,80,synack,1,0,64,1\n192.0.2.2,80,");
    for (int i = 0; i < 10 << 20; i++) {
        buf_addc(&text, 'x');
    }
    buf_adds(&text, ",1,0,64,1\n");
    for (size_t step = 0; step < 200000; step += 65536) {
        struct seen s = {0};

        parse_in_steps(&parser_zmap, text.data, text.len, step, &s);
        CHECK_INT(s.finish_rc, ERR_LIMIT);
        CHECK_INT(json_array_size(s.hosts), 1);
        seen_done(&s);
    }
}

static void all_ports_of_a_host_are_told_as_ranges(void)
{
    auto_buf text = {0};
    struct seen s = {0};
    auto_free char *extra = NULL;

    buf_adds(&text, HEADER);
    for (int i = 0; i < 65536; i++) {
        int port = i * 7919 % 65536;

        buf_addf(&text, "192.0.2.1,%d,%s,%d,0,64,1\n", port, port % 20000 == 80 ? "synack" : "rst",
                 port % 20000 == 80);
    }
    parse(text.data, &s);
    CHECK_INT(json_array_size(s.hosts), 1);
    extra = extras_at(&s, 0);
    CHECK_STR(
        extra,
        "[{\"count\":65532,\"reasons\":[{\"count\":65532,\"ports\":\"0-79,81-20079,20081-40079,"
        "40081-60079,60081-65535\",\"proto\":\"tcp\",\"reason\":\"reset\"}],\"state\":"
        "\"closed\"}]");
    CHECK_INT(json_array_size(json_object_get(host_at(&s, 0), "ports")), 4);
    seen_done(&s);
}

/* --- what files are --- */

static void files_are_known_by_their_first_bytes(void)
{
    static const struct {
        const char *head, *is, *why; /* is or why */
    } rows[] = {
        {"<?xml version=\"1.0\"?>\n<nmaprun scanner=\"nmap\" args=\"\">", "nmap", NULL},
        {"<?xml version=\"1.0\"?>\n<nmaprun scanner=\"masscan\">", "masscan", NULL},
        {"[\n{   \"ip\": \"192.0.2.1\"", "masscan", NULL},
        {"[\n", "masscan", NULL},
        {"{\"ip\":\"192.0.2.1\",\"timestamp\":\"1\"", "masscan", NULL},
        {"#masscan\nopen tcp 80", "masscan", NULL},
        {"# Masscan 1.3.2 scan", "masscan", NULL},
        {"open tcp 80 192.0.2.1 1", "masscan", NULL},
        {"{ \"saddr\": \"192.0.2.1\" }", "zmap", NULL},
        {"192.0.2.1\n", "zmap", NULL},
        {"192.0.2.1,80\r\n", "zmap", NULL},
        {"2001:db8::1\n", "zmap", NULL},
        {"sport,saddr\n", "zmap", NULL},
        {"", NULL, "empty"},
        {"{ \"local-hostname\": \"x\"", NULL, "metadata"},
        {"real-time,time-elapsed\n", NULL, "status file"},
        {"masscan/1.1\n", NULL, "--readscan"},
        {"\n# resume information\nresume-index = 1\n", NULL, "paused.conf"},
        {"# Nmap 7.93 scan initiated", NULL, "-oX"},
        {"Starting Nmap 7.93 ( https://nmap.org )", NULL, "-oX"},
        {"{\"a\": 1}", NULL, "JSON"},
        {"<?xml version=\"1.0\"?><other/>", NULL, "no nmaprun"},
        {"<!DOCTYPE html><html>", NULL, "web page"},
        {"\x1f\x8b\x08\x01", NULL, "compressed"},
        {"\xff\xfe<\x01", NULL, "UTF-16"},
        {"hello world\n", NULL, "text"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *why = NULL;
        const char *is = parse_detect(rows[i].head, strlen(rows[i].head), &why);

        if (!str_eq(is, rows[i].is) || (rows[i].why && (!why || !strstr(why, rows[i].why)))) {
            tap_fail(__FILE__, __LINE__, "%s: %s, %s", rows[i].head, is ? is : "nothing",
                     why ? why : "no reason");
        }
    }
    CHECK(!parse_detect("\x01\0\x02", 3, &(const char *){NULL}));
}

static void status_and_metadata_files_are_refused_by_name(void)
{
    static const char *const files[] = {"zmap/status.csv", "zmap/metadata.json"};
    static const char *const says[] = {"status file", "metadata file"};

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        size_t n;
        auto_free char *text = test_data(files[i], &n);
        struct seen s = {0};

        check_text(text, ERR_TOOL, 0);
        parse(text, &s);
        CHECK(strstr(s.err.msg, says[i]));
        seen_done(&s);
    }
}

TESTS(all_forms_say_the_same_in_pieces_of_any_size, a_cut_file_gives_what_was_whole_and_says_so,
      an_address_in_a_bare_list_is_up, a_port_in_a_bare_list_is_not_called_open,
      answers_to_pings_are_hosts_without_ports, success_decides_when_there_is_no_class,
      columns_may_stand_in_any_order, a_header_alone_is_a_run_that_found_nothing,
      garbage_ends_it_with_its_line, a_row_that_is_cut_is_not_another_address,
      numbers_that_make_no_sense_are_not_said, hostile_classes_become_text,
      thousands_of_classes_are_bounded, a_line_of_ten_megabytes_is_too_long,
      all_ports_of_a_host_are_told_as_ranges, files_are_known_by_their_first_bytes,
      status_and_metadata_files_are_refused_by_name)
