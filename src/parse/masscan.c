/*
 * The masscan parser: which form it is, and the words that all forms share.
 */
#include <string.h>

#include "base/mem.h"
#include "parse/scan.h"

bool masscan_proto(const char *s, size_t n, struct sighting *x)
{
    static const struct {
        const char *word;
        enum sighting_proto proto;
    } rows[] = {{"tcp", PROTO_TCP},   {"udp", PROTO_UDP}, {"icmp", PROTO_ICMP},
                {"sctp", PROTO_SCTP}, {"arp", PROTO_ARP}, {"oproto", PROTO_IP},
                {"ip", PROTO_IP}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (scan_is(s, n, rows[i].word)) {
            x->proto = rows[i].proto;
            return true;
        }
    }
    return false;
}

bool masscan_status(const char *s, size_t n, struct sighting *x)
{
    static const struct {
        const char *word;
        enum sighting_state state;
    } rows[] = {{"open", FINDING_OPEN},
                {"closed", FINDING_CLOSED},
                {"up", FINDING_UP},
                {"filtered", FINDING_FILTERED},
                {"unknown", FINDING_UNFILTERED}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (scan_is(s, n, rows[i].word)) {
            x->state = rows[i].state;
            return true;
        }
    }
    return false;
}

bool masscan_add(struct scan *p, struct sighting *x)
{
    if (x->proto == PROTO_ICMP || x->proto == PROTO_ARP || x->state == FINDING_UP) {
        /* An answer of the host, whatever the number says. */
        if (x->state == FINDING_BANNER) {
            return true;
        }
        x->port = -1;
        x->state = FINDING_UP;
    } else if (x->port < 0) {
        scan_fail(p, ERR_TOOL, "a record has no port");
        return false;
    }
    return scan_report(p, x);
}

static const struct scan_form *form_of(struct scan *p, enum detected kind)
{
    switch (kind) {
    case IS_MASSCAN_JSON:
    case IS_JSON:
        return &masscan_json;
    case IS_MASSCAN_LIST:
        return &masscan_list;
    case IS_MASSCAN_GREPABLE:
        return &masscan_grepable;
    case IS_MASSCAN_XML:
        return &masscan_xml;
    default:
        return NULL;
    }
}

static void *masscan_new(const struct parse_sink *sink)
{
    return scan_new(sink, "masscan", form_of);
}

const struct parser parser_masscan = {
    .name = "masscan",
    .new = masscan_new,
    .feed = scan_feed,
    .finish = scan_finish,
    .free = scan_free,
};
