/* The request vocabulary of the older scan runtime, tool by tool. */
#include "tool/scan_type.h"

#include <strings.h>

#include "tap.h"

/* The options, and " | " with the ports if there are any by default; or the message. */
static const char *made(const struct tool *t, const char *type, const char *ports)
{
    static char text[1024];
    auto_strvec tokens = {0};
    struct err e = {0};
    size_t n = 0;

    text[0] = '\0';
    if (scan_type_tokens(t, type, &tokens, &ports, &e) < 0) {
        CHECK_INT(e.code, ERR_INVALID);
        CHECK_INT(tokens.n, 0);
        snprintf(text, sizeof text, "%s", e.msg);
        return text;
    }
    for (size_t i = 0; i < tokens.n; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "", tokens.v[i]);
    }
    if (ports) {
        snprintf(text + n, sizeof text - n, " | %.12s", ports);
    }
    return text;
}

static void each_type_is_options_of_nmap(void)
{
    static const char *const cases[][2] = {
        {"SYN_SCAN", "-sS"},
        {"CONNECT_SCAN", "-sT"},
        {"UDP_SCAN", "-sU"},
        {"PING_SWEEP", "-sn"},
        {"SERVICE_DETECTION", "-sV"},
        {"OS_DETECTION", "-O"},
        {"basic", "-sS -T4"},
        {"service", "-sV"},
        {"os", "-O"},
        {"script", "-sC"},
        {"full", "-sV -O --traceroute -sC"},
        {"syn_scan", "-sS"},
        {"Basic", "-sS -T4"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(made(&tool_nmap, cases[i][0], NULL), cases[i][1]);
    }
}

static void masscan_does_what_it_can_and_names_the_rest(void)
{
    static const char *const cases[][2] = {
        {"SYN_SCAN", "-sS | 7,9,13,21-23"},
        {"UDP_SCAN", "-sU | 7,9,17,19,49"},
        {"PING_SWEEP", "--ping"},
        {"basic", "-sS | 7,9,13,21-23"},
        {"CONNECT_SCAN", "masscan cannot do CONNECT_SCAN: it sends raw packets only; use nmap"},
        {"service", "masscan cannot do service: it reads banners ('--banners') and identifies "
                    "nothing; use nmap"},
        {"OS_DETECTION", "masscan cannot do OS_DETECTION: it guesses no systems; use nmap"},
        {"SCRIPT", "masscan cannot do script: it has no scripts; use nmap"},
        {"full", "masscan cannot do full: it reads banners ('--banners') and identifies nothing; "
                 "use nmap"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(made(&tool_masscan, cases[i][0], NULL), cases[i][1]);
    }
    CHECK_STR(made(&tool_masscan, "SYN_SCAN", "80"), "-sS | 80");
}

static void zmap_does_what_it_can_and_names_the_rest(void)
{
    static const char *const cases[][2] = {
        {"SYN_SCAN", "-M tcp_synscan"},
        {"PING_SWEEP", "-M icmp_echoscan"},
        {"basic", "-M tcp_synscan"},
        {"UDP_SCAN", "zmap cannot do UDP_SCAN: its answers to UDP depend on what is sent; use nmap "
                     "or masscan"},
        {"CONNECT_SCAN", "zmap cannot do CONNECT_SCAN: it sends raw packets only; use nmap"},
        {"SERVICE_DETECTION",
         "zmap cannot do SERVICE_DETECTION: it finds ports and hosts only; use nmap"},
        {"os", "zmap cannot do os: it finds ports and hosts only; use nmap"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(made(&tool_zmap, cases[i][0], NULL), cases[i][1]);
    }
}

static void an_unknown_type_is_answered_with_all(void)
{
    static const char *const bad[] = {"XMAS_SCAN", "", "-sS", "SYN_SCAN ", "SYN"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_free char *says =
            str_fmt("invalid scan_type: '%s': one of SYN_SCAN, CONNECT_SCAN, UDP_SCAN, PING_SWEEP, "
                    "SERVICE_DETECTION, OS_DETECTION, basic, service, os, script, full",
                    bad[i]);

        CHECK_STR(made(&tool_nmap, bad[i], NULL), says);
    }
}

/* Whatever a type becomes, the tool's own check takes it. */
static void every_type_that_a_tool_can_do_passes_its_check(void)
{
    static const char db_text[] =
        "Entry { filename = \"http-title.nse\", categories = { \"default\", \"safe\", } }\n";
    struct nse_db *db = NULL;
    unsigned taken = 0;

    CHECK_OK(nse_parse(db_text, strlen(db_text), &db, ERR));
    for (const struct tool *const *t = tool_all(); *t; t++) {
        for (size_t i = 0; scan_types[i]; i++) {
            auto_strvec tokens = {0};
            auto_plan plan = {0};
            const char *ports = NULL;

            if (scan_type_tokens(*t, scan_types[i], &tokens, &ports, NULL) < 0) {
                continue;
            }
            if (*t == &tool_zmap && strcasecmp(scan_types[i], "PING_SWEEP") != 0) {
                ports = "80"; /* which it does not choose itself */
            }
            CHECK_OK(tool_check(*t,
                                &(struct tool_request){.targets = "10.0.0.1",
                                                       .ports = ports,
                                                       .tokens = &tokens,
                                                       .scripts = SCRIPTS_SAFE,
                                                       .nse = db},
                                &plan, ERR));
            CHECK(plan.n_ports > 0);
            taken++;
        }
    }
    CHECK_INT(taken, 11 + 4 + 3);
    nse_free(db);
}

TESTS(each_type_is_options_of_nmap, masscan_does_what_it_can_and_names_the_rest,
      zmap_does_what_it_can_and_names_the_rest, an_unknown_type_is_answered_with_all,
      every_type_that_a_tool_can_do_passes_its_check)
