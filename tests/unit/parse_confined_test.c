/*
 * The parsers of masscan and zmap in a process that may only read, write and have memory: nothing
 * that they call opens a file, asks for the time zone or does anything else.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "box/seccomp.h"
#include "parse/parse.h"
#include "tap.h"

static int take_host(void *arg, const struct host *h, struct err *e)
{
    size_t *hosts = arg;

    (void)h;
    (void)e;
    ++*hosts;
    return 0;
}

/* In the child: 0, or what went wrong. */
static int parse_confined(const struct parser *parser, const char *text, size_t n)
{
    size_t hosts = 0;
    const struct parse_sink sink = {.host = take_host, .arg = &hosts};
    void *p = parser->new (&sink);
    struct err e = {0};

    if (seccomp_role(ROLE_PARSER, &e) != 0) {
        return 2;
    }
    for (size_t at = 0; at < n; at += 1000) {
        if (parser->feed(p, text + at, MIN((size_t)1000, n - at), &e) != 0) {
            return 3;
        }
    }
    if (parser->finish(p, &e) != 0) {
        return 4;
    }
    parser->free(p);
    return hosts ? 0 : 5;
}

static int in_child(const struct parser *parser, const char *text, size_t n)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        _exit(parse_confined(parser, text, n));
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
        int rc = in_child(rows[i].parser, text, n);

        if (rc != 0) {
            tap_fail(__FILE__, __LINE__, "%s: %d", rows[i].file, rc);
        }
    }
}

static void times_ipv6_and_much_of_it_parse_in_confinement(void)
{
    auto_buf text = {0};

    buf_adds(&text, "saddr,sport,classification,success,timestamp_str\n");
    for (int i = 0; i < 200000; i++) {
        buf_addf(&text, "2001:db8::%x:%x,80,%s,1,2026-11-21T22:23:54.707+0000\n", i >> 16,
                 i & 65535, i % 2 ? "synack" : "rst");
    }
    CHECK_INT(in_child(&parser_zmap, text.data, text.len), 0);
}

TESTS(the_recordings_parse_in_confinement, times_ipv6_and_much_of_it_parse_in_confinement)
