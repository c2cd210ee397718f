#include "tool/scan_type.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* nmap's hundred most frequent TCP and UDP ports: what a scan without ports looks at, for tools
 * that have no choice of their own. */
#define TOP_TCP                                                                                  \
    "7,9,13,21-23,25-26,37,53,79-81,88,106,110-111,113,119,135,139,143-144,179,199,389,427,"     \
    "443-445,465,513-515,543-544,548,554,587,631,646,873,990,993,995,1025-1029,1110,1433,1720,"  \
    "1723,1755,1900,2000-2001,2049,2121,2717,3000,3128,3306,3389,3986,4899,5000,5009,5051,5060," \
    "5101,5190,5357,5432,5631,5666,5800,5900,6000-6001,6646,7070,8000,8008-8009,8080-8081,8443," \
    "8888,9100,9999-10000,32768,49152-49157"
#define TOP_UDP                                                                                    \
    "7,9,17,19,49,53,67-69,80,88,111,120,123,135-139,158,161-162,177,427,443,445,497,500,514-515," \
    "518,520,593,623,626,631,996-999,1022-1023,1025-1030,1433-1434,1645-1646,1701,1718-1719,"      \
    "1812-1813,1900,2000,2048-2049,2222-2223,3283,3456,3703,4444,4500,5000,5060,5353,5632,9200,"   \
    "10000,17185,20031,30718,31337,32768-32769,32771,32815,33281,49152-49154,49156,49181-49182,"   \
    "49185-49186,49188,49190-49194,49200-49201,65024"

/* What a tool makes of a type: options, or why it cannot. */
struct meaning {
    const char *tokens; /* separated by spaces; NULL: it cannot */
    const char *why;    /* with what to use */
    const char *ports;  /* when the request names none; NULL: the tool's own choice, or an error */
};

#define MASSCAN_NO_SERVICES "it reads banners ('--banners') and identifies nothing; use nmap"
#define ZMAP_NO_SERVICES    "it finds ports and hosts only; use nmap"
#define RAW_ONLY            "it sends raw packets only; use nmap"

enum { NMAP, MASSCAN, ZMAP, TOOLS };

static const struct {
    const char *name;
    struct meaning of[TOOLS];
} types[] = {
    {"SYN_SCAN",
     {[NMAP] = {"-sS"}, [MASSCAN] = {"-sS", .ports = TOP_TCP}, [ZMAP] = {"-M tcp_synscan"}}},
    {"CONNECT_SCAN", {[NMAP] = {"-sT"}, [MASSCAN] = {.why = RAW_ONLY}, [ZMAP] = {.why = RAW_ONLY}}},
    {"UDP_SCAN",
     {[NMAP] = {"-sU"},
      [MASSCAN] = {"-sU", .ports = TOP_UDP},
      [ZMAP] = {.why = "its answers to UDP depend on what is sent; use nmap or masscan"}}},
    {"PING_SWEEP", {[NMAP] = {"-sn"}, [MASSCAN] = {"--ping"}, [ZMAP] = {"-M icmp_echoscan"}}},
    {"SERVICE_DETECTION",
     {[NMAP] = {"-sV"},
      [MASSCAN] = {.why = MASSCAN_NO_SERVICES},
      [ZMAP] = {.why = ZMAP_NO_SERVICES}}},
    {"OS_DETECTION",
     {[NMAP] = {"-O"},
      [MASSCAN] = {.why = "it guesses no systems; use nmap"},
      [ZMAP] = {.why = ZMAP_NO_SERVICES}}},
    {"basic",
     {[NMAP] = {"-sS -T4"}, [MASSCAN] = {"-sS", .ports = TOP_TCP}, [ZMAP] = {"-M tcp_synscan"}}},
    {"service",
     {[NMAP] = {"-sV"},
      [MASSCAN] = {.why = MASSCAN_NO_SERVICES},
      [ZMAP] = {.why = ZMAP_NO_SERVICES}}},
    {"os",
     {[NMAP] = {"-O"},
      [MASSCAN] = {.why = "it guesses no systems; use nmap"},
      [ZMAP] = {.why = ZMAP_NO_SERVICES}}},
    {"script",
     {[NMAP] = {"-sC"},
      [MASSCAN] = {.why = "it has no scripts; use nmap"},
      [ZMAP] = {.why = "it has no scripts; use nmap"}}},
    /* The parts of -A; scripts are those that the policy's level allows. */
    {"full",
     {[NMAP] = {"-sV -O --traceroute -sC"},
      [MASSCAN] = {.why = MASSCAN_NO_SERVICES},
      [ZMAP] = {.why = ZMAP_NO_SERVICES}}},
};

const char *const scan_types[] = {"SYN_SCAN",
                                  "CONNECT_SCAN",
                                  "UDP_SCAN",
                                  "PING_SWEEP",
                                  "SERVICE_DETECTION",
                                  "OS_DETECTION",
                                  "basic",
                                  "service",
                                  "os",
                                  "script",
                                  "full",
                                  NULL};

static const struct meaning *meaning_of(const struct tool *t, size_t type)
{
    return &types[type].of[t == &tool_masscan ? MASSCAN : t == &tool_zmap ? ZMAP : NMAP];
}

static int unknown(const char *type, struct err *e)
{
    auto_buf all = {0};

    for (size_t i = 0; scan_types[i]; i++) {
        buf_addf(&all, "%s%s", i ? ", " : "", scan_types[i]);
    }
    return err_set(e, ERR_INVALID, "invalid scan_type: '%s': one of %s", type, all.data);
}

static void push_words(const char *words, struct strvec *tokens)
{
    while (*words) {
        size_t n = strcspn(words, " ");

        strvec_pushn(tokens, words, n);
        words += n + (words[n] == ' ');
    }
}

int scan_type_tokens(const struct tool *t, const char *type, struct strvec *tokens,
                     const char **ports, struct err *e)
{
    const struct meaning *m;
    size_t i = 0;

    while (i < ARRAY_LEN(types) && strcasecmp(types[i].name, type) != 0) {
        i++;
    }
    if (i == ARRAY_LEN(types)) {
        return unknown(type, e);
    }
    if (t->instant) {
        return err_set(e, ERR_INVALID, "%s has no types of scans", t->name);
    }
    m = meaning_of(t, i);
    if (!m->tokens) {
        return err_set(e, ERR_INVALID, "%s cannot do %s: %s", t->name, types[i].name, m->why);
    }
    push_words(m->tokens, tokens);
    if (m->ports && !*ports) {
        *ports = m->ports;
    }
    return 0;
}
