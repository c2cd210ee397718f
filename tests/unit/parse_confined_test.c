/*
 * The parsers of masscan, zmap, SARIF and repository scans in a process that may only read, write
 * and have memory: nothing that they call opens a file, asks for the time zone or how much memory
 * there is, or does anything else. What libc asks for once, or for large input only, is asked for
 * in the child: the parent does none of it before.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "box/seccomp.h"
#include "parse/json_seed.h"
#include "parse/parse.h"
#include "tap.h"

enum { RESULTS = 5000 };

struct heard {
    size_t hosts, findings;
    int64_t start_s;
    bool complete;
};

static int take_host(void *arg, const struct host *h, struct err *e)
{
    struct heard *heard = arg;

    (void)h;
    (void)e;
    heard->hosts++;
    return 0;
}

static int take_finding(void *arg, const struct finding *f, struct err *e)
{
    struct heard *heard = arg;

    (void)f;
    (void)e;
    heard->findings++;
    return 0;
}

static int take_run(void *arg, const struct run_info *r, struct err *e)
{
    struct heard *heard = arg;

    (void)e;
    heard->start_s = r->start_s;
    heard->complete = r->complete;
    return 0;
}

struct input {
    const struct parser *parser;
    const char *text;
    size_t n;
    size_t findings; /* 0: it has hosts */
    int64_t start_s; /* 0: it does not tell */
};

/* In the child: 0, or what went wrong. */
static int parse_confined(const struct input *in)
{
    struct heard heard = {0};
    const struct parse_sink sink = {
        .host = take_host, .finding = take_finding, .run = take_run, .arg = &heard};
    void *p = in->parser->new (&sink);
    struct err e = {0};

    json_seed();
    if (seccomp_role(ROLE_PARSER, &e) != 0) {
        return 2;
    }
    for (size_t at = 0; at < in->n; at += 1000) {
        if (in->parser->feed(p, in->text + at, MIN((size_t)1000, in->n - at), &e) != 0) {
            return 3;
        }
    }
    if (in->parser->finish(p, &e) != 0) {
        return 4;
    }
    in->parser->free(p);
    if (heard.findings != in->findings || (heard.hosts == 0) != (in->findings > 0)) {
        return 5;
    }
    if (!heard.complete) {
        return 6;
    }
    return in->start_s && heard.start_s != in->start_s ? 7 : 0;
}

static int in_child(const struct input *in)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        _exit(parse_confined(in));
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void the_recordings_parse_in_confinement(void)
{
    static const struct {
        const struct parser *parser;
        const char *file;
    } rows[] = {
        {&parser_masscan, "masscan/all.json"},
        {&parser_masscan, "masscan/all.ndjson"},
        {&parser_masscan, "masscan/all.list"},
        {&parser_masscan, "masscan/all.grepable"},
        {&parser_masscan, "masscan/all.xml"},
        {&parser_zmap, "zmap/v2.csv"},
        {&parser_zmap, "zmap/v4.csv"},
        {&parser_zmap, "zmap/v2.json"},
        {&parser_zmap, "zmap/addresses_ports.csv"},
        {&parser_zmap, "zmap/icmp.csv"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n;
        auto_free char *text = test_data(rows[i].file, &n);
        const struct input in = {.parser = rows[i].parser, .text = text, .n = n};
        int rc = in_child(&in);

        if (rc != 0) {
            tap_fail(__FILE__, __LINE__, "%s: %d", rows[i].file, rc);
        }
    }
}

static void times_ipv6_and_much_of_it_parse_in_confinement(void)
{
    auto_buf text = {0};
    struct input in = {.parser = &parser_zmap};

    buf_adds(&text, "saddr,sport,classification,success,timestamp_str\n");
    for (int i = 0; i < 200000; i++) {
        buf_addf(&text, "2001:db8::%x:%x,80,%s,1,2026-11-21T22:23:54.707+0000\n", i >> 16,
                 i & 65535, i % 2 ? "synack" : "rst");
    }
    in.text = text.data;
    in.n = text.len;
    CHECK_INT(in_child(&in), 0);
}

/* Far more than libc sorts without asking for memory, and some alike. */
static void a_sarif_log_with_a_time_and_thousands_of_results_parses_in_confinement(void)
{
    auto_buf text = {0};
    struct input in = {.parser = &parser_sarif, .findings = RESULTS, .start_s = 1795384047};

    buf_adds(&text, "{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"toy\","
                    "\"rules\":[{\"id\":\"CWE-78\"}]}},\"invocations\":[{"
                    "\"executionSuccessful\":true,\"startTimeUtc\":\"2026-11-22T21:47:27.5Z\"}],"
                    "\"results\":[");
    for (int i = 0; i < RESULTS; i++) {
        buf_addf(&text,
                 "%s{\"ruleId\":\"CWE-78\",\"message\":{\"text\":\"m %d\"},\"locations\":[{"
                 "\"physicalLocation\":{\"artifactLocation\":{\"uri\":\"src/%d.c\"},"
                 "\"region\":{\"startLine\":%d,\"snippet\":{\"text\":\"system(a%d);\"}}}}]}",
                 i ? "," : "", i % 7, i % 97, RESULTS - i, i % 11);
    }
    buf_adds(&text, "]}]}");
    in.text = text.data;
    in.n = text.len;
    CHECK_INT(in_child(&in), 0);
}

static void a_repository_scan_with_thousands_of_findings_parses_in_confinement(void)
{
    auto_buf text = {0};
    struct input in = {.parser = &parser_repo, .findings = RESULTS};

    for (int i = 0; i < RESULTS; i++) {
        buf_addf(&text,
                 "{\"finding\":{\"rule\":\"command-injection\",\"title\":\"t\","
                 "\"severity\":\"high\",\"confidence\":0.3,\"path\":\"src/%d.c\",\"line\":%d,"
                 "\"verified\":true,\"cwe\":[78],\"engines\":[{\"name\":\"flawfinder\","
                 "\"rule\":\"system\",\"confidence\":0.3}]}}\n",
                 i % 97, RESULTS - i);
        if (i % 500 == 0) {
            buf_adds(&text, "{\"progress\":{\"task\":\"engines\",\"percent\":12.5}}\n");
        }
    }
    buf_adds(&text, "{\"run\":{\"repository\":\"https://h/r\",\"assessment\":\"partial\"}}\n");
    in.text = text.data;
    in.n = text.len;
    CHECK_INT(in_child(&in), 0);
}

TESTS(the_recordings_parse_in_confinement, times_ipv6_and_much_of_it_parse_in_confinement,
      a_sarif_log_with_a_time_and_thousands_of_results_parses_in_confinement,
      a_repository_scan_with_thousands_of_findings_parses_in_confinement)
