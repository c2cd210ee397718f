/*
 * Recordings of our own (tests/data/nmap) with expectations read off by hand, and input that was
 * made to hurt.
 */
#include "parse_feed.h"

#define HEAD                                        \
    "<?xml version=\"1.0\"?>\n<!DOCTYPE nmaprun>\n" \
    "<nmaprun scanner=\"nmap\" args=\"nmap x\" start=\"1700000000\" version=\"7.93\">\n"
#define HOST(addr, inside)                                                                   \
    "<host><status state=\"up\"/><address addr=\"" addr "\" addrtype=\"ipv4\"/>" inside "</" \
    "host>\n"
#define PORT(number, inside)                                                             \
    "<ports><port protocol=\"tcp\" portid=\"" number "\"><state state=\"open\"/>" inside \
    "</port></ports>"
#define TAIL "<runstats><finished exit=\"success\"/><hosts up=\"1\"/></runstats>\n</nmaprun>\n"

static void parse_text(const char *text, size_t n, size_t step, struct seen *s)
{
    parse_in_steps(&parser_nmap_xml, text, n, step, s);
}

static void parse_str(const char *text, struct seen *s)
{
    parse_text(text, strlen(text), 0, s);
}

static void parse_recording(const char *name, struct seen *s)
{
    auto_free char *path = str_fmt("nmap/%s.xml", name);
    size_t n;
    auto_free char *text = test_data(path, &n);

    parse_text(text, n, 0, s);
}

/* Walks down names and indexes: "0.ports.1.state". */
static json_t *member(json_t *v, const char *path)
{
    auto_free char *copy = xstrdup(path);
    char *rest = copy;
    char *part;

    while (v && (part = strsep(&rest, "."))) {
        v = json_is_array(v) ? json_array_get(v, strtoul(part, NULL, 10))
                             : json_object_get(v, part);
    }
    return v;
}

static const char *str_at(json_t *v, const char *path)
{
    return json_string_value(member(v, path));
}

static int64_t int_at(json_t *v, const char *path)
{
    json_t *found = member(v, path);

    if (!json_is_integer(found)) {
        tap_fail(__FILE__, __LINE__, "%s is no number", path);
    }
    return json_integer_value(found);
}

static size_t size_at(json_t *v, const char *path)
{
    return json_array_size(member(v, path));
}

/* --- recordings --- */

static void a_connect_scan_gives_ports_states_and_times(void)
{
    struct seen s = {0};

    parse_recording("connect", &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK(s.complete);
    CHECK_STR(s.exit, "success");
    CHECK_STR(s.errormsg, NULL);
    CHECK_STR(s.scanner, "nmap");
    CHECK_STR(s.version, "7.93");
    CHECK_STR(s.args, "nmap -n -sT -p 18081,18082 -oX - 127.0.0.1");
    CHECK_INT(s.start_s, 1795306804);
    CHECK_INT(json_array_size(s.hosts), 1);
    CHECK_STR(str_at(s.hosts, "0.addresses.0.addr"), "127.0.0.1");
    CHECK_STR(str_at(s.hosts, "0.status.reason"), "localhost-response");
    CHECK_INT(int_at(s.hosts, "0.status.reason_ttl"), 0);
    CHECK_INT(int_at(s.hosts, "0.starttime"), 1795306804);
    CHECK_INT(size_at(s.hosts, "0.ports"), 2);
    CHECK_INT(int_at(s.hosts, "0.ports.0.portid"), 18081);
    CHECK_STR(str_at(s.hosts, "0.ports.0.state.state"), "open");
    CHECK_STR(str_at(s.hosts, "0.ports.0.state.reason"), "syn-ack");
    CHECK(!member(s.hosts, "0.ports.0.service"));
    CHECK_STR(str_at(s.hosts, "0.ports.1.state.state"), "closed");
    CHECK_STR(str_at(s.hosts, "0.ports.1.state.reason"), "conn-refused");
    CHECK_INT(int_at(s.hosts, "0.times.srtt"), 801);
    CHECK_STR(str_at(s.run, "scaninfo.0.services"), "18081-18082");
    CHECK_INT(int_at(s.run, "runstats.hosts.up"), 1);
    CHECK_STR(str_at(s.run, "runstats.finished.elapsed"), "0.02");
    seen_done(&s);
}

static void a_version_scan_gives_services_cpes_and_script_trees(void)
{
    struct seen s = {0};
    json_t *port;

    parse_recording("version", &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(size_at(s.hosts, "0.ports"), 3);
    port = member(s.hosts, "0.ports.1");
    CHECK_STR(str_at(port, "service.name"), "http");
    CHECK_STR(str_at(port, "service.product"), "SimpleHTTPServer");
    CHECK_STR(str_at(port, "service.version"), "0.6");
    CHECK_STR(str_at(port, "service.extrainfo"), "Python 3.11.7");
    CHECK_STR(str_at(port, "service.method"), "probed");
    CHECK_INT(int_at(port, "service.conf"), 10);
    CHECK_INT(size_at(port, "service.cpe"), 1);
    CHECK_STR(str_at(port, "service.cpe.0"), "cpe:/a:python:simplehttpserver:0.6");
    CHECK_INT(size_at(port, "scripts"), 3);
    CHECK_STR(str_at(port, "scripts.0.id"), "http-server-header");
    CHECK_STR(str_at(port, "scripts.0.data.0.elem"), "SimpleHTTP/0.6 Python/3.11.7");
    CHECK_STR(str_at(port, "scripts.1.output"), "\n  Supported Methods: GET HEAD");
    CHECK_STR(str_at(port, "scripts.1.data.0.key"), "Supported Methods");
    CHECK_STR(str_at(port, "scripts.1.data.0.table.1.elem"), "HEAD");
    CHECK_STR(str_at(port, "scripts.2.data.0.key"), "title");
    CHECK_STR(str_at(port, "scripts.2.data.0.elem"), "A page &amp; its title");
    CHECK_STR(str_at(s.hosts, "0.ports.0.service.method"), "table");
    CHECK_INT(int_at(s.hosts, "0.ports.0.service.conf"), 3);
    CHECK(!member(s.hosts, "0.ports.2.service"));
    seen_done(&s);
}

static void a_scan_of_ipv6_and_of_udp_say_so(void)
{
    struct seen s = {0};

    parse_recording("ipv6", &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_STR(str_at(s.hosts, "0.addresses.0.addr"), "::1");
    CHECK_STR(str_at(s.hosts, "0.addresses.0.addrtype"), "ipv6");
    CHECK_INT(size_at(s.hosts, "0.ports"), 3);
    CHECK_STR(str_at(s.hosts, "0.ports.1.state.state"), "open");
    seen_done(&s);
    parse_recording("udp", &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_STR(str_at(s.hosts, "0.ports.0.protocol"), "udp");
    CHECK_INT(int_at(s.hosts, "0.ports.0.state.reason_ttl"), 64);
    seen_done(&s);
}

static void an_os_scan_gives_matches_classes_and_sequences(void)
{
    struct seen s = {0};
    json_t *os;

    parse_recording("os", &s);
    CHECK_INT(s.finish_rc, 0);
    os = member(s.hosts, "0.os");
    CHECK_INT(size_at(os, "portused"), 3);
    CHECK_INT(int_at(os, "portused.2.portid"), 38257);
    CHECK_INT(size_at(os, "osmatch"), 10);
    CHECK_STR(str_at(os, "osmatch.3.name"), "AXIS 210A or 211 Network Camera (Linux 2.6.17)");
    CHECK_INT(int_at(os, "osmatch.3.line"), 61815);
    CHECK_INT(size_at(os, "osmatch.3.osclass"), 2);
    CHECK_STR(str_at(os, "osmatch.3.osclass.1.cpe.1"), "cpe:/h:axis:211_network_camera");
    CHECK_INT(size_at(os, "osclass"), 0);
    CHECK_INT(size_at(os, "fingerprints"), 1);
    CHECK(strstr(str_at(os, "fingerprints.0"), "\nOS:=6B02354A%P="));
    CHECK_INT(int_at(s.hosts, "0.uptime.seconds"), 2);
    CHECK_INT(int_at(s.hosts, "0.distance.value"), 0);
    CHECK_INT(int_at(s.hosts, "0.tcpsequence.index"), 251);
    CHECK_STR(str_at(s.hosts, "0.ipidsequence.class"), "All zeros");
    CHECK_STR(str_at(s.hosts, "0.tcptssequence.class"), "other");
    seen_done(&s);
}

static void progress_is_told_as_it_is_read(void)
{
    struct seen s = {0};

    parse_recording("stats", &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.progress), 5);
    CHECK_STR(str_at(s.progress, "0.0"), "Connect Scan");
    CHECK_INT(int_at(s.progress, "0.1"), 0);
    CHECK_INT(int_at(s.progress, "0.2"), -1);
    CHECK_INT(int_at(s.progress, "1.1"), 3168);
    CHECK_INT(int_at(s.progress, "1.2"), 3);
    CHECK_INT(int_at(s.progress, "3.1"), 9802);
    CHECK_INT(int_at(s.progress, "3.2"), 1);
    CHECK_INT(int_at(s.progress, "4.1"), 10000);
    CHECK_INT(int_at(s.run, "tasks.progress"), 3);
    CHECK_STR(str_at(s.hosts, "0.extraports.0.state"), "closed");
    CHECK_INT(int_at(s.hosts, "0.extraports.0.count"), 100);
    CHECK_STR(str_at(s.hosts, "0.extraports.0.reasons.0.ports"), "18000-18080,18082-18100");
    seen_done(&s);
}

static void a_host_that_timed_out_is_kept_as_that(void)
{
    struct seen s = {0};

    parse_recording("host_timeout", &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 1);
    CHECK_STR(str_at(s.hosts, "0.timedout"), "true");
    CHECK_INT(size_at(s.hosts, "0.ports"), 0);
    seen_done(&s);
}

static void a_killed_scan_keeps_the_host_that_was_complete(void)
{
    struct seen s = {0};

    parse_recording("killed", &s);
    CHECK_INT(s.finish_rc, ERR_TOOL);
    CHECK_STR(s.err.msg, "nmap output, line 42, column 1: no element found");
    CHECK_INT(s.runs, 1);
    CHECK(!s.complete);
    CHECK_STR(s.exit, NULL);
    CHECK_STR(s.version, "7.93");
    CHECK_INT(json_array_size(s.hosts), 1);
    CHECK_INT(size_at(s.hosts, "0.ports"), 21);
    CHECK(json_is_null(member(s.run, "runstats")));
    seen_done(&s);
}

static void an_option_error_is_a_complete_document_that_says_error(void)
{
    struct seen s = {0};

    parse_recording("error", &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK(s.complete);
    CHECK_STR(s.exit, "error");
    CHECK(str_starts(s.errormsg, "You cannot use -F (fast scan)"));
    CHECK_STR(s.scanner, NULL);
    CHECK_INT(json_array_size(s.hosts), 0);
    seen_done(&s);
}

static void appended_scans_are_all_read(void)
{
    struct seen s = {0};

    parse_recording("appended", &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK(s.complete);
    CHECK_INT(json_array_size(s.hosts), 2);
    CHECK_STR(str_at(s.hosts, "1.addresses.0.addr"), "127.0.0.2");
    CHECK_STR(str_at(s.run, "scaninfo.0.services"), "18081");
    CHECK_INT(size_at(s.run, "more_documents"), 1);
    CHECK_STR(str_at(s.run, "more_documents.0.scaninfo.0.services"), "18082");
    CHECK(strstr(s.args, "18081"));
    seen_done(&s);
    parse_recording("list", &s);
    CHECK_INT(json_array_size(s.hosts), 4);
    CHECK_STR(str_at(s.hosts, "3.status.state"), "unknown");
    CHECK_INT(int_at(s.run, "runstats.hosts.down"), 4);
    seen_done(&s);
}

static void recordings_do_not_depend_on_chunking(void)
{
    static const char *const names[] = {"connect", "version",  "ipv6",         "udp",
                                        "os",      "stats",    "host_timeout", "killed",
                                        "error",   "appended", "list"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auto_free char *path = str_fmt("nmap/%s.xml", names[i]);
        size_t n;
        auto_free char *text = test_data(path, &n);
        struct seen whole = {0};

        parse_text(text, n, 0, &whole);
        for (size_t step = 1; step < 300; step += 1 + step / 5) {
            struct seen s = {0};

            parse_text(text, n, step, &s);
            CHECK_INT(s.finish_rc, whole.finish_rc);
            CHECK_STR(s.err.msg, whole.err.msg);
            CHECK(json_equal(s.hosts, whole.hosts));
            CHECK(json_equal(s.run, whole.run));
            CHECK(json_equal(s.progress, whole.progress));
            seen_done(&s);
        }
        seen_done(&whole);
    }
}

/* --- cut and damaged --- */

static void a_file_cut_anywhere_gives_the_hosts_before_the_cut(void)
{
    size_t n;
    auto_free char *text = test_data("nmap/appended.xml", &n);
    const char *one = strstr(text, "</nmaprun>") + strlen("</nmaprun>");
    const char *two = strstr(one, "<?xml");
    size_t hosts = 0;

    for (size_t cut = 0; cut <= n; cut++) {
        struct seen s = {0};
        bool whole = (cut >= (size_t)(one - text) && cut <= (size_t)(two - text)) || cut + 1 >= n;
        size_t got;

        parse_text(text, cut, cut % 3 ? 0 : 11, &s);
        got = json_array_size(s.hosts);
        CHECK_INT(s.finish_rc, whole ? 0 : ERR_TOOL);
        CHECK_INT(s.complete, whole);
        CHECK(got == hosts || got == hosts + 1);
        hosts = got;
        CHECK_INT(s.runs, 1);
        CHECK(whole || s.err.msg[0]);
        seen_done(&s);
    }
    CHECK_INT(hosts, 2);
}

static void a_scan_appended_to_one_that_was_cut_is_read_too(void)
{
    struct seen s = {0};

    for (size_t step = 0; step < 12; step++) {
        const char *text =
            HEAD HOST("192.0.2.1", "") "<prescript><script id=\"a\" output=\"b\"><table>" HEAD HOST(
                "192.0.2.2", "") TAIL;

        parse_text(text, strlen(text), step, &s);
        CHECK_INT(s.finish_rc, ERR_TOOL);
        CHECK(!s.complete);
        CHECK_INT(json_array_size(s.hosts), 2);
        CHECK_STR(str_at(s.hosts, "1.addresses.0.addr"), "192.0.2.2");
        CHECK_INT(size_at(s.run, "prescripts"), 0);
        CHECK_STR(str_at(s.run, "more_documents.0.runstats.finished.exit"), "success");
        CHECK_STR(s.exit, "success");
        seen_done(&s);
    }
}

static void what_may_stand_before_a_document_is_passed_over(void)
{
    static const char *const before[] = {
        "",
        "\n\n",
        "\xef\xbb\xbf",
        "\xef\xbb\xbf\n<!-- x -->\n",
        "<!-- one -->\r\n<!-- two -- 2 -->",
        "<!---->",
        "<!-- > -> --->",
    };
    struct seen s = {0};

    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        auto_free char *text = str_fmt("%s" HEAD HOST("192.0.2.1", "") TAIL, before[i]);

        for (size_t step = 0; step < 4; step++) {
            parse_text(text, strlen(text), step, &s);
            CHECK_STR(s.err.msg, "");
            CHECK_INT(s.finish_rc, 0);
            CHECK_INT(json_array_size(s.hosts), 1);
            seen_done(&s);
        }
    }
}

static void comments_of_old_versions_with_two_dashes_are_passed_over(void)
{
    struct seen s = {0};

    parse_str("<?xml version=\"1.0\" ?>\n<?xml-stylesheet href=\"a.xsl\"?>\n"
              "<!-- nmap 4.11 scan initiated as: nmap -sS --open -oX - x -->\n"
              "<nmaprun scanner=\"nmap\">" HOST("192.0.2.1", "") TAIL "<!-- nmap -- done -->\n",
              &s);
    CHECK_STR(s.err.msg, "");
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 1);
    seen_done(&s);
}

static void what_a_crash_leaves_after_a_document_does_no_harm(void)
{
    static const char text[] = HEAD HOST("192.0.2.1", "") TAIL "\0\0\0\0\0\0\0\0\0\0";
    struct seen s = {0};

    parse_text(text, sizeof text, 5, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 1);
    seen_done(&s);
    parse_str(HEAD HOST("192.0.2.1", "") TAIL "Segmentation fault\n", &s);
    CHECK_INT(s.finish_rc, ERR_TOOL);
    CHECK_INT(json_array_size(s.hosts), 1);
    CHECK(!s.complete);
    seen_done(&s);
}

static void failures_name_the_place_in_the_file(void)
{
    struct seen s = {0};

    parse_str("<!--\n\n-->\n" HEAD "<host>\n<hos\x01t/>", &s);
    CHECK_INT(s.feed_rc, ERR_TOOL);
    CHECK_STR(s.err.msg, "nmap output, line 8, column 5: not well-formed (invalid token)");
    seen_done(&s);
    parse_str(HEAD TAIL "\n" HEAD "\n  </nmaprum>", &s);
    CHECK_STR(s.err.msg, "nmap output, line 11, column 5: mismatched tag");
    seen_done(&s);
    parse_str("Starting Nmap 7.93\n", &s);
    CHECK_INT(s.finish_rc, ERR_TOOL);
    CHECK_STR(s.err.msg, "nmap output, line 1, column 1: syntax error");
    CHECK_INT(s.runs, 1);
    seen_done(&s);
    parse_str("", &s);
    CHECK_STR(s.err.msg, "nmap output, line 1, column 1: no element found");
    seen_done(&s);
    parse_str("<html><host/></html>", &s);
    CHECK_STR(s.err.msg, "nmap output, line 1, column 1: not of nmap: the root element is 'html'");
    seen_done(&s);
}

static void damaged_bytes_never_harm_the_hosts_before_them(void)
{
    static const char *const names[] = {"version", "appended", "os", "killed"};
    uint64_t seed = 20231114;

    for (unsigned round = 0; round < 2000; round++) {
        auto_free char *path = str_fmt("nmap/%s.xml", names[round % ARRAY_LEN(names)]);
        size_t n;
        auto_free char *text = test_data(path, &n);
        struct seen s = {0};
        struct seen again = {0};

        for (unsigned i = 0; i < 1 + round % 5; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[(seed >> 33) % n] = (char)(seed >> 25);
        }
        parse_text(text, n, 0, &s);
        parse_text(text, n, 1 + round % 97, &again);
        CHECK_INT(s.runs, 1);
        CHECK_INT(s.finish_rc, again.finish_rc);
        CHECK_STR(s.err.msg, again.err.msg);
        CHECK(json_equal(s.hosts, again.hosts));
        CHECK(json_equal(s.run, again.run));
        CHECK(s.finish_rc == 0 || !s.complete);
        seen_done(&s);
        seen_done(&again);
    }
}

/* --- hostile --- */

static void entities_and_declarations_are_refused(void)
{
    static const char *const types[] = {
        "<!DOCTYPE nmaprun [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]>",
        "<!DOCTYPE nmaprun [<!ENTITY a SYSTEM \"file:///etc/hostname\">]>",
        "<!DOCTYPE nmaprun [<!ELEMENT host ANY>]>",
        "<!DOCTYPE nmaprun [ ]>",
        "<!DOCTYPE nmaprun SYSTEM \"x.dtd\" [<!ATTLIST host a CDATA \"x\">]>",
        "<!DOCTYPE nmaprun [<!ENTITY % p SYSTEM \"file:///etc/hostname\"> %p;]>",
    };
    struct seen s = {0};

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        auto_free char *text = str_fmt(
            "<?xml version=\"1.0\"?>%s<nmaprun args=\"x\">" HOST("192.0.2.1", "") TAIL, types[i]);

        for (size_t step = 0; step < 3; step++) {
            parse_text(text, strlen(text), step, &s);
            CHECK_INT(s.feed_rc, ERR_TOOL);
            CHECK_INT(s.finish_rc, ERR_TOOL);
            CHECK(strstr(s.err.msg, "refused"));
            CHECK_INT(json_array_size(s.hosts), 0);
            seen_done(&s);
        }
    }
}

static char *nested(unsigned depth, const char *open, const char *close)
{
    struct buf b = {0};

    buf_adds(&b, HEAD HOST("192.0.2.1", ""));
    buf_adds(&b, "<host><hostscript><script id=\"x\" output=\"y\">");
    for (unsigned i = 0; i < depth; i++) {
        buf_adds(&b, open);
    }
    for (unsigned i = 0; i < depth; i++) {
        buf_adds(&b, close);
    }
    buf_adds(&b, "</script></hostscript></host>" TAIL);
    return buf_take(&b);
}

static void nesting_has_a_limit_for_known_and_unknown_elements(void)
{
    struct seen s = {0};
    auto_free char *deepest = nested(252, "<table>", "</table>");
    auto_free char *known = nested(253, "<table>", "</table>");
    auto_free char *unknown = nested(100000, "<nobody>", "</nobody>");

    parse_str(deepest, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 2);
    seen_done(&s);
    parse_str(known, &s);
    CHECK_INT(s.feed_rc, ERR_LIMIT);
    CHECK_INT(s.finish_rc, ERR_LIMIT);
    CHECK(!s.complete);
    CHECK_INT(json_array_size(s.hosts), 1);
    seen_done(&s);
    parse_str(unknown, &s);
    CHECK_INT(s.finish_rc, ERR_LIMIT);
    CHECK(strstr(s.err.msg, "nested deeper than 256"));
    seen_done(&s);
}

/* A host with one script whose output has n bytes, after a small host. */
static char *big_script(size_t n, size_t scripts)
{
    struct buf b = {0};
    auto_free char *text = xmalloc(n + 1);

    memset(text, 'x', n);
    text[n] = '\0';
    buf_adds(&b, HEAD HOST("192.0.2.1", ""));
    buf_adds(&b, "<host><hostscript>");
    for (size_t i = 0; i < scripts; i++) {
        buf_addf(&b, "<script id=\"x\" output=\"%s\"/>", text);
    }
    buf_adds(&b, "</hostscript></host>" TAIL);
    return buf_take(&b);
}

static void a_long_attribute_is_read_in_any_pieces(void)
{
    auto_free char *text = big_script(1 << 20, 1);
    static const size_t steps[] = {0, 100, 4096, 65536};

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct seen s = {0};

        parse_text(text, strlen(text), steps[i], &s);
        CHECK_INT(s.finish_rc, 0);
        CHECK_INT(strlen(str_at(s.hosts, "1.hostscripts.0.output")), 1 << 20);
        seen_done(&s);
    }
}

static void a_tag_has_a_limit_that_does_not_depend_on_the_pieces(void)
{
    static const size_t steps[] = {0, 65536, 50001, 1 << 20};
    size_t most = (8 << 20) + 1 - strlen("<script id=\"x\" output=\"\"/>");
    auto_free char *fits = big_script(most, 1);
    auto_free char *beyond = big_script(most + 1, 1);
    struct seen s = {.blind = true};

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        parse_text(fits, strlen(fits), steps[i], &s);
        CHECK_INT(s.finish_rc, 0);
        CHECK_INT(json_array_size(s.hosts), 2);
        seen_done(&s);
        parse_text(beyond, strlen(beyond), steps[i], &s);
        CHECK_INT(s.finish_rc, ERR_LIMIT);
        CHECK(strstr(s.err.msg, "line 5, column 19: a tag is longer than 8388608 bytes"));
        CHECK_INT(json_array_size(s.hosts), 1);
        seen_done(&s);
    }
}

static void a_host_has_a_limit_of_memory(void)
{
    auto_free char *fits = big_script(1 << 20, 62);
    auto_free char *text = big_script(1 << 20, 65);
    struct seen s = {.blind = true};

    parse_str(fits, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 2);
    seen_done(&s);
    parse_str(text, &s);
    CHECK_INT(s.finish_rc, ERR_LIMIT);
    CHECK(strstr(s.err.msg, "one host needs more than"));
    CHECK_INT(json_array_size(s.hosts), 1);
    seen_done(&s);
}

static void run_records_have_a_limit_of_memory(void)
{
    auto_buf b = {0};
    auto_free char *name = xmalloc((1 << 20) + 1);
    struct seen s = {.blind = true};

    memset(name, 'x', 1 << 20);
    name[1 << 20] = '\0';
    buf_adds(&b, HEAD);
    for (unsigned i = 0; i < 17; i++) {
        buf_addf(&b, "<target specification=\"%s\"/>", name);
    }
    parse_text(b.data, b.len, 0, &s);
    CHECK_INT(s.finish_rc, ERR_LIMIT);
    CHECK_INT(s.runs, 1);
    seen_done(&s);
    buf_reset(&b);
    for (unsigned i = 0; i < 200000; i++) {
        buf_adds(&b, "<?xml version=\"1.0\"?><nmaprun>");
    }
    parse_text(b.data, b.len, 0, &s);
    CHECK_INT(s.finish_rc, ERR_LIMIT);
    CHECK_INT(s.runs, 1);
    seen_done(&s);
}

static void a_host_may_have_all_65536_ports(void)
{
    auto_buf b = {0};
    struct seen s = {0};

    buf_adds(&b, HEAD "<host><ports>");
    for (unsigned i = 0; i < 65536; i++) {
        buf_addf(&b,
                 "<port protocol=\"tcp\" portid=\"%u\"><state state=\"%s\" reason=\"r\"/></port>",
                 i, i % 3 ? "open" : "closed");
    }
    buf_adds(&b, "</ports></host>" TAIL);
    parse_text(b.data, b.len, 1000, &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(size_at(s.hosts, "0.ports"), 65536);
    CHECK_INT(int_at(s.hosts, "0.ports.65535.portid"), 65535);
    CHECK_STR(str_at(s.hosts, "0.ports.65535.state.state"), "closed");
    CHECK_STR(str_at(s.hosts, "0.ports.65534.state.state"), "open");
    seen_done(&s);
}

static void port_numbers_that_are_none_stop_the_parser(void)
{
    static const char *const odd[] = {"65536", "-1", "", "80x", " 80", "99999999999999999999"};

    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        auto_free char *text =
            str_fmt(HEAD HOST("192.0.2.1", "") HOST("192.0.2.2", PORT("%s", "")) TAIL, odd[i]);
        struct seen s = {0};

        parse_str(text, &s);
        CHECK_INT(s.finish_rc, ERR_TOOL);
        CHECK(strstr(s.err.msg, "a port has the number"));
        CHECK_INT(json_array_size(s.hosts), 1);
        seen_done(&s);
    }
}

static void numbers_are_numbers_up_to_18_digits_and_text_beyond(void)
{
    struct seen s = {0};

    parse_str(
        HEAD HOST(
            "192.0.2.1",
            "<times srtt=\"007\" rttvar=\"-5\" to=\"999999999999999999\"/>"
            "<distance value=\"1e3\"/><uptime seconds=\"000\"/>") "<runstats><hosts up=\"1\" "
                                                                  "down=\"4294967295\" "
                                                                  "total=\"18446744073709551616\"/>"
                                                                  "</runstats></nmaprun>",
        &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(int_at(s.hosts, "0.times.srtt"), 7);
    CHECK_STR(str_at(s.hosts, "0.times.rttvar"), "-5");
    CHECK_INT(int_at(s.hosts, "0.times.to"), INT64_C(999999999999999999));
    CHECK_STR(str_at(s.hosts, "0.distance.value"), "1e3");
    CHECK_INT(int_at(s.hosts, "0.uptime.seconds"), 0);
    CHECK_INT(int_at(s.run, "runstats.hosts.down"), INT64_C(4294967295));
    CHECK_STR(str_at(s.run, "runstats.hosts.total"), "18446744073709551616");
    seen_done(&s);
}

/* Reading the JSON in parse_feed.h fails on names that come twice. */
static void elements_that_come_twice_do_not_break_the_json(void)
{
    struct seen s = {0};

    parse_str(
        HEAD "<host distance=\"1\" times=\"2\" os=\"3\" comment=\"c\" later=\"4\">"
             "<times srtt=\"1\"/><times srtt=\"2\"/><trace hops=\"x\"><hop ttl=\"1\"/></trace>"
             "<trace><hop ttl=\"2\"/></trace><distance value=\"3\"/><distance value=\"4\"/>"
             "<os><osmatch osclass=\"x\"><osclass cpe=\"y\"><cpe>one</cpe></osclass></osmatch></os>"
             "<os><osclass cpe=\"y\"/></os><ports><extraports reasons=\"z\"/></ports>" PORT(
                 "1", "<service name=\"a\" proto=\"p\"><cpe>b</cpe></service>"
                      "<service name=\"c\" proto=\"q\"><cpe>d</cpe></service>"
                      "<script id=\"s\" data=\"t\"><elem elem=\"u\">v</elem><table "
                      "table=\"w\"/></script>") "</host><runstats><finished exit=\"error\" "
                                                "errormsg=\"e\"/><finished exit=\"success\"/>"
                                                "<hosts/><hosts up=\"1\"/></runstats></nmaprun>",
        &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_STR(str_at(s.hosts, "0.later"), "4");
    CHECK_STR(str_at(s.hosts, "0.comment"), "c");
    CHECK_INT(int_at(s.hosts, "0.times.srtt"), 1);
    CHECK_INT(int_at(s.hosts, "0.distance.value"), 3);
    CHECK_INT(size_at(s.hosts, "0.trace.hops"), 1);
    CHECK_INT(size_at(s.hosts, "0.os.osmatch"), 1);
    CHECK_INT(size_at(s.hosts, "0.os.osclass"), 1);
    CHECK_STR(str_at(s.hosts, "0.os.osmatch.0.osclass.0.cpe.0"), "one");
    CHECK_STR(str_at(s.hosts, "0.ports.0.service.name"), "a");
    CHECK_INT(size_at(s.hosts, "0.ports.0.service.cpe"), 1);
    CHECK_STR(str_at(s.hosts, "0.ports.0.scripts.0.data.0.elem"), "v");
    CHECK_STR(s.exit, "error");
    CHECK_STR(s.errormsg, "e");
    seen_done(&s);
}

static void elements_in_the_wrong_place_are_skipped(void)
{
    struct seen s = {0};

    parse_str(HEAD "<port portid=\"1\"/><hosthint><host/><address addr=\"x\"/></hosthint>"
                   "<future><host><address addr=\"y\"/></host></future>" HOST(
                       "192.0.2.1", "<cpe>a</cpe><port portid=\"2\"/><elem>b</elem><host/>" PORT(
                                        "3", "<port portid=\"4\"/><status state=\"down\"/>")) TAIL,
              &s);
    CHECK_INT(s.finish_rc, 0);
    CHECK_INT(json_array_size(s.hosts), 1);
    CHECK_INT(size_at(s.hosts, "0.ports"), 1);
    CHECK_STR(str_at(s.hosts, "0.status.state"), "up");
    CHECK_INT(int_at(s.run, "hosthints"), 1);
    seen_done(&s);
}

static void a_receiver_that_refuses_stops_the_parser_with_its_own_code(void)
{
    struct seen s = {.stop_at = 2, .stop_rc = ERR_FULL};

    for (size_t step = 0; step < 20; step++) {
        const char *text =
            HEAD HOST("192.0.2.1", "") HOST("192.0.2.2", "") HOST("192.0.2.3", "") TAIL;

        parse_text(text, strlen(text), step, &s);
        CHECK_INT(s.feed_rc, ERR_FULL);
        CHECK_INT(s.finish_rc, ERR_FULL);
        CHECK_STR(s.err.msg, "no more, please");
        CHECK_INT(json_array_size(s.hosts), 1);
        CHECK_INT(s.runs, 0);
        seen_done(&s);
    }
}

static void a_sink_may_want_nothing(void)
{
    size_t n;
    auto_free char *text = test_data("nmap/stats.xml", &n);
    const struct parse_sink none = {0};
    void *p = parser_nmap_xml.new(&none);

    CHECK_OK(parser_nmap_xml.feed(p, text, n, ERR));
    CHECK_OK(parser_nmap_xml.finish(p, ERR));
    parser_nmap_xml.free(p);
    parser_nmap_xml.free(NULL);
}

TESTS(a_connect_scan_gives_ports_states_and_times,
      a_version_scan_gives_services_cpes_and_script_trees, a_scan_of_ipv6_and_of_udp_say_so,
      an_os_scan_gives_matches_classes_and_sequences, progress_is_told_as_it_is_read,
      a_host_that_timed_out_is_kept_as_that, a_killed_scan_keeps_the_host_that_was_complete,
      an_option_error_is_a_complete_document_that_says_error, appended_scans_are_all_read,
      recordings_do_not_depend_on_chunking, a_file_cut_anywhere_gives_the_hosts_before_the_cut,
      a_scan_appended_to_one_that_was_cut_is_read_too,
      what_may_stand_before_a_document_is_passed_over,
      comments_of_old_versions_with_two_dashes_are_passed_over,
      what_a_crash_leaves_after_a_document_does_no_harm, failures_name_the_place_in_the_file,
      damaged_bytes_never_harm_the_hosts_before_them, entities_and_declarations_are_refused,
      nesting_has_a_limit_for_known_and_unknown_elements, a_long_attribute_is_read_in_any_pieces,
      a_tag_has_a_limit_that_does_not_depend_on_the_pieces, a_host_has_a_limit_of_memory,
      run_records_have_a_limit_of_memory, a_host_may_have_all_65536_ports,
      port_numbers_that_are_none_stop_the_parser,
      numbers_are_numbers_up_to_18_digits_and_text_beyond,
      elements_that_come_twice_do_not_break_the_json, elements_in_the_wrong_place_are_skipped,
      a_receiver_that_refuses_stops_the_parser_with_its_own_code, a_sink_may_want_nothing)
