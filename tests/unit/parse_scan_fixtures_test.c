/*
 * Outputs of masscan and zmap in all their forms: each is compared with what stands beside it in
 * X.expect.json, fed whole and in small pieces. Both are brought into one form, a sorted list of
 * lines such as "10.0.0.1 tcp 80 open syn-ack 64".
 */
#include <dirent.h>

#include "base/buf.h"
#include "parse/sightings.h"
#include "parse_feed.h"

static const size_t steps[] = {0, 1, 7, 4096};

/* --- lines --- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void check_lines(const char *file, size_t step, struct strvec *got, struct strvec *want)
{
    strvec_push(got, ""); /* so that there is a list */
    strvec_push(want, "");
    qsort(got->v, got->n, sizeof *got->v, by_text);
    qsort(want->v, want->n, sizeof *want->v, by_text);
    for (size_t i = 0; i < MAX(got->n, want->n); i++) {
        const char *g = i < got->n ? got->v[i] : "nothing";
        const char *w = i < want->n ? want->v[i] : "nothing";

        if (strcmp(g, w) != 0) {
            tap_fail(__FILE__, __LINE__, "%s in steps of %zu: got %.300s, want %.300s", file, step,
                     g, w);
            return;
        }
    }
}

static const char *text_of(json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s ? s : "-";
}

static int number_of(json_t *o, const char *name)
{
    json_t *v = json_object_get(o, name);

    return json_is_integer(v) ? (int)json_integer_value(v) : -1;
}

/* "22,80-82" */
static void push_ports(struct strvec *out, const char *before, const char *ports, const char *after)
{
    while (*ports) {
        char *end;
        long from = strtol(ports, &end, 10);
        long to = *end == '-' ? strtol(end + 1, &end, 10) : from;

        for (; from <= to; from++) {
            strvec_pushf(out, "%s %ld %s", before, from, after);
        }
        ports = *end ? end + 1 : end;
    }
}

static const char *address_of(json_t *host)
{
    return text_of(json_array_get(json_object_get(host, "addresses"), 0), "addr");
}

static void push_extras(struct strvec *out, json_t *host)
{
    json_t *extra, *reason;
    size_t i, k;

    json_array_foreach(json_object_get(host, "extraports"), i, extra)
    {
        json_int_t left = json_integer_value(json_object_get(extra, "count"));

        json_array_foreach(json_object_get(extra, "reasons"), k, reason)
        {
            auto_free char *before = str_fmt("%s %s", address_of(host), text_of(reason, "proto"));

            left -= json_integer_value(json_object_get(reason, "count"));
            if (json_object_get(reason, "ports")) {
                auto_free char *after =
                    str_fmt("%s %s", text_of(extra, "state"), text_of(reason, "reason"));

                push_ports(out, before, text_of(reason, "ports"), after);
            } else {
                strvec_pushf(out, "%s %s %d", before, text_of(extra, "state"),
                             number_of(reason, "count"));
            }
        }
        CHECK_INT(left, 0);
    }
}

static void push_banners(struct strvec *out, const char *address, json_t *port)
{
    json_t *script;
    size_t i;

    json_array_foreach(json_object_get(port, "scripts"), i, script)
    {
        strvec_pushf(out, "%s %s %d %s %s", address, text_of(port, "protocol"),
                     number_of(port, "portid"), text_of(script, "id"), text_of(script, "output"));
    }
}

/* What the hosts say. */
static void push_hosts(struct strvec *out, json_t *hosts, bool with_ttl)
{
    json_t *host, *port;
    size_t i, k;

    json_array_foreach(hosts, i, host)
    {
        json_t *status = json_object_get(host, "status");

        if (strcmp(text_of(status, "reason"), "echo-reply") == 0) {
            CHECK_STR(text_of(status, "state"), "up");
            strvec_pushf(out, "%s up", address_of(host));
        }
        if (strcmp(text_of(status, "reason"), "listed") == 0 &&
            json_array_size(json_object_get(host, "ports")) == 0) {
            strvec_pushf(out, "%s listed", address_of(host));
        }
        json_array_foreach(json_object_get(host, "ports"), k, port)
        {
            json_t *state = json_object_get(port, "state");

            if (with_ttl) {
                strvec_pushf(out, "%s %s %d %s %s %d", address_of(host), text_of(port, "protocol"),
                             number_of(port, "portid"), text_of(state, "state"),
                             text_of(state, "reason"), number_of(state, "reason_ttl"));
            } else {
                strvec_pushf(out, "%s %d %s", address_of(host), number_of(port, "portid"),
                             text_of(state, "state"));
            }
            push_banners(out, address_of(host), port);
        }
        push_extras(out, host);
    }
}

/* --- masscan --- */

static bool is_any(const char *s, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(s, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The expectation has a character for each byte (JSON), or masscan's \xNN (the other forms). */
static void banner_bytes(struct buf *out, const char *s)
{
    for (size_t n = strlen(s); n > 0;) {
        size_t k = utf8_len(s, n);
        char hex[3] = {0};

        if (n >= 4 && s[0] == '\\' && s[1] == 'x') {
            memcpy(hex, s + 2, 2);
            buf_addc(out, (char)strtol(hex, NULL, 16));
            k = 4;
        } else {
            buf_addc(out, (char)utf8_code(s, k));
        }
        s += k;
        n -= k;
    }
}

static void want_banner(struct strvec *out, json_t *b)
{
    static const char *const facts[] = {"title", "http.server", "X509"};
    auto_buf bytes = {0};
    auto_buf text = {0};
    json_t *banner = json_object_get(b, "banner");
    const char *s = json_string_value(banner);
    bool fact = is_any(text_of(b, "name"), facts, ARRAY_LEN(facts));

    /* NUL bytes inside: jansson tells the length. */
    for (size_t at = 0; at <= json_string_length(banner); at += strlen(s + at) + 1) {
        if (at) {
            buf_addc(&bytes, '\0');
        }
        banner_bytes(&bytes, s + at);
    }
    sightings_text(&text, bytes.data ? bytes.data : "", bytes.len);
    strvec_pushf(out, "%s %s %d banner%s%s %s", text_of(b, "ip"), text_of(b, "proto"),
                 number_of(b, "port"), fact ? "-" : "", fact ? text_of(b, "name") : "",
                 text.data ? text.data : "");
}

static void want_masscan(struct strvec *out, json_t *want)
{
    json_t *f;
    size_t i;

    json_array_foreach(json_object_get(want, "findings"), i, f)
    {
        bool closed = strcmp(text_of(f, "status"), "closed") == 0;

        if (strcmp(text_of(f, "proto"), "icmp") == 0) {
            strvec_pushf(out, "%s up", text_of(f, "ip"));
        } else if (closed) {
            strvec_pushf(out, "%s %s %d closed %s", text_of(f, "ip"), text_of(f, "proto"),
                         number_of(f, "port"), text_of(f, "reason"));
        } else {
            strvec_pushf(out, "%s %s %d %s %s %d", text_of(f, "ip"), text_of(f, "proto"),
                         number_of(f, "port"), text_of(f, "status"), text_of(f, "reason"),
                         number_of(f, "ttl"));
        }
    }
    json_array_foreach(json_object_get(want, "banners"), i, f)
    {
        want_banner(out, f);
    }
}

/* --- zmap --- */

static void want_zmap(struct strvec *out, json_t *want)
{
    json_t *f, *other;
    size_t i, k;

    json_array_foreach(json_object_get(want, "findings"), i, f)
    {
        const char *ip = text_of(f, "ip");
        const char *status = text_of(f, "status");
        int port = number_of(f, "port");
        bool has_port = port >= 0;

        if (strcmp(status, "closed") == 0) {
            strvec_pushf(out, "%s tcp %d closed reset", ip, port);
        } else if (strcmp(status, "filtered") == 0) {
            strvec_pushf(out, "%s - filtered %d", ip, number_of(f, "count"));
        } else if (strcmp(status, "listed") == 0 && !has_port) {
            /* Of a host that is also listed with a port, nothing more is said. */
            json_array_foreach(json_object_get(want, "findings"), k, other)
            {
                has_port |= strcmp(text_of(other, "ip"), ip) == 0 && number_of(other, "port") >= 0;
            }
            if (!has_port) {
                strvec_pushf(out, "%s listed", ip);
            }
        } else if (has_port) {
            strvec_pushf(out, "%s %d %s", ip, port,
                         strcmp(status, "listed") == 0 ? "unfiltered" : status);
        } else {
            strvec_pushf(out, "%s up", ip);
        }
    }
}

/* --- both --- */

/* Every answer was counted, and a host's times are those of its first and last answer. */
static void check_counts(const char *file, const struct seen *s, json_t *want)
{
    json_int_t records = 0;
    json_int_t joined = 0;
    json_t *list, *f, *host;
    size_t i, k;

    json_array_foreach(json_object_get(want, "findings"), i, f)
    {
        records += number_of(f, "count");
        joined += number_of(f, "count") - 1;
    }
    list = json_object_get(want, "banners");
    json_array_foreach(list, i, f)
    {
        records += number_of(f, "count");
        joined += number_of(f, "count") - 1;
    }
    CHECK_INT(json_integer_value(json_object_get(s->run, "records")), records);
    CHECK_INT(json_integer_value(json_object_get(s->run, "duplicates")), joined);
    json_array_foreach(s->hosts, i, host)
    {
        int first = -1;
        int last = -1;

        json_array_foreach(json_object_get(want, "findings"), k, f)
        {
            if (strcmp(text_of(f, "ip"), address_of(host)) == 0) {
                first = first < 0 ? number_of(f, "first") : MIN(first, number_of(f, "first"));
                last = MAX(last, number_of(f, "last"));
            }
        }
        if (number_of(host, "starttime") != first ||
            (json_array_size(list) == 0 && number_of(host, "endtime") != last)) {
            tap_fail(__FILE__, __LINE__, "%s: %s has other times", file, address_of(host));
        }
    }
}

static void check_file(const struct parser *parser, const char *file, size_t step)
{
    auto_free char *beside = str_fmt("%s.expect.json", file);
    auto_free char *expected = test_fixture(beside, NULL);
    size_t n;
    auto_free char *text = test_fixture(file, &n);
    json_t *want = json_loads(expected, JSON_ALLOW_NUL, NULL);
    auto_strvec got_lines = {0};
    auto_strvec want_lines = {0};
    struct seen s = {0};
    bool masscan = parser == &parser_masscan;

    parse_in_steps(parser, text, n, step, &s);
    if (s.finish_rc != 0 || s.feed_rc != 0 || !s.complete || s.runs != 1) {
        tap_fail(__FILE__, __LINE__, "%s in steps of %zu: %s", file, step, s.err.msg);
    }
    CHECK_STR(s.scanner, parser->name);
    push_hosts(&got_lines, s.hosts, masscan);
    if (masscan) {
        want_masscan(&want_lines, want);
    } else {
        want_zmap(&want_lines, want);
        CHECK_INT(json_integer_value(json_object_get(s.run, "records")), number_of(want, "rows"));
    }
    check_lines(file, step, &got_lines, &want_lines);
    check_counts(file, &s, want);
    seen_done(&s);
    json_decref(want);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t k = strlen(end);

    return n >= k && strcmp(s + n - k, end) == 0;
}

/* Compares all files of a folder that have an expectation; returns how many. */
static unsigned check_folder(const struct parser *parser, const char *folder)
{
    auto_free char *dir = str_fmt("%s/%s", getenv("SCANPOD_TEST_FIXTURES"), folder);
    DIR *d = opendir(dir);
    struct dirent *entry;
    unsigned count = 0;

    CHECK(d);
    while (d && (entry = readdir(d))) {
        size_t n = strlen(entry->d_name);

        if (ends_with(entry->d_name, ".expect.json")) {
            auto_free char *file =
                str_fmt("%s/%.*s", folder, (int)(n - strlen(".expect.json")), entry->d_name);
            const char *why = NULL;
            size_t len;
            auto_free char *text = test_fixture(file, &len);

            for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
                check_file(parser, file, steps[i]);
            }
            CHECK_STR(parse_detect(text, len, &why), len ? parser->name : NULL);
            count++;
        }
    }
    closedir(d);
    return count;
}

static void every_file_of_masscan_parses_as_expected(void)
{
    if (!test_fixtures_present()) {
        tap_skip("shared fixtures are not beside this repository");
    }
    CHECK_INT(check_folder(&parser_masscan, "masscan/lab"), 14);
    CHECK_INT(check_folder(&parser_masscan, "masscan/ruby-masscan"), 4);
    CHECK_INT(check_folder(&parser_masscan, "masscan/defectdojo"), 3);
}

static void every_file_of_zmap_parses_as_expected(void)
{
    if (!test_fixtures_present()) {
        tap_skip("shared fixtures are not beside this repository");
    }
    CHECK_INT(check_folder(&parser_zmap, "zmap/lab"), 24);
}

static void what_is_no_result_is_refused_by_name(void)
{
    static const struct {
        const char *file;
        const struct parser *parser;
        const char *says;
    } rows[] = {
        {"masscan/lab/paused.conf", &parser_masscan, "paused.conf"},
        {"masscan/lab/syn.bin", &parser_masscan, "--readscan"},
        {"masscan/ruby-masscan/masscan.bin", &parser_masscan, "--readscan"},
        {"zmap/lab/v2-status.csv", &parser_zmap, "status file"},
        {"zmap/lab/v4-status.csv", &parser_zmap, "status file"},
        {"zmap/lab/v2-metadata.json", &parser_zmap, "metadata file"},
        {"zmap/lab/v4-metadata.json", &parser_zmap, "metadata file"},
        {"masscan/lab/syn.json", &parser_zmap, "masscan's JSON"},
        {"zmap/lab/v4-all_fields.csv", &parser_masscan, "zmap's list"},
        {"nmap/lab/ack.xml", &parser_masscan, "nmap's XML"},
    };

    if (!test_fixtures_present()) {
        tap_skip("shared fixtures are not beside this repository");
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
            size_t n;
            auto_free char *text = test_fixture(rows[i].file, &n);
            struct seen s = {0};

            parse_in_steps(rows[i].parser, text, n, steps[k], &s);
            CHECK_INT(s.finish_rc, ERR_TOOL);
            if (!strstr(s.err.msg, rows[i].says)) {
                tap_fail(__FILE__, __LINE__, "%s: %s", rows[i].file, s.err.msg);
            }
            CHECK_INT(json_array_size(s.hosts), 0);
            CHECK(!s.complete);
            CHECK_INT(s.runs, 1);
            seen_done(&s);
        }
    }
}

/* ok: two findings; partial: one, and a failure; reject: a failure and no host. */
static void hostile_files_get_their_verdict(void)
{
    static const struct {
        const char *file;
        size_t hosts;
        int rc;
    } rows[] = {{"masscan-cut.json", 1, ERR_TOOL},
                {"masscan-no-brackets.json", 2, 0},
                {"masscan-old-trailer.json", 2, 0},
                {"deep.json", 0, ERR_TOOL}};

    if (!test_fixtures_present()) {
        tap_skip("shared fixtures are not beside this repository");
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
            auto_free char *file = str_fmt("hostile/xml-json/%s", rows[i].file);
            size_t n;
            auto_free char *text = test_fixture(file, &n);
            struct seen s = {0};

            parse_in_steps(&parser_masscan, text, n, steps[k], &s);
            CHECK_INT(s.finish_rc, rows[i].rc);
            CHECK_INT(json_array_size(s.hosts), rows[i].hosts);
            CHECK_INT(s.complete, rows[i].rc == 0);
            seen_done(&s);
        }
    }
}

TESTS(every_file_of_masscan_parses_as_expected, every_file_of_zmap_parses_as_expected,
      what_is_no_result_is_refused_by_name, hostile_files_get_their_verdict)
