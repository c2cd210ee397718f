/*
 * record_format - the tables that both directions of the record stream walk, so that they cannot
 * disagree. Private to ipc/.
 *
 * A set of strings is a u32 mask of those that are there, then each as u32 length, bytes and NUL:
 * what the tool did not say costs a bit.
 */
#pragma once

#include "ipc/record.h"

enum { LEN_SIZE = 4, HEAD_SIZE = 5, STRINGS_MAX = 20 };

/* Types in the order in which the last three have to come. */
enum { REC_HOST = 1, REC_PORT, REC_HOST_END, REC_PROGRESS, REC_FINDING, REC_RUN, REC_RAW, REC_END };

struct string_at {
    uint16_t offset;
    char kind; /* 0: text; '!': text that must be there; '[', '{': JSON that starts so */
};

#define AT(type, member, kind_)              \
    {                                        \
        offsetof(struct type, member), kind_ \
    }

static const struct string_at addr_strings[] = {
    AT(host_addr, addr, '!'),
    AT(host_addr, type, '!'),
    AT(host_addr, vendor, 0),
};
static const struct string_at name_strings[] = {
    AT(host_name, name, '!'),
    AT(host_name, type, 0),
};
static const struct string_at host_strings[] = {
    AT(host, state, 0), AT(host, reason, 0),    AT(host, comment, 0), AT(host, extraports, '['),
    AT(host, os, '{'),  AT(host, scripts, '['), AT(host, more, '{'),
};
static const struct string_at port_strings[] = {
    AT(port, protocol, '!'), AT(port, state, '!'),    AT(port, reason, 0),  AT(port, reason_ip, 0),
    AT(port, owner, 0),      AT(port, service, 0),    AT(port, product, 0), AT(port, version, 0),
    AT(port, extrainfo, 0),  AT(port, tunnel, 0),     AT(port, method, 0),  AT(port, hostname, 0),
    AT(port, ostype, 0),     AT(port, devicetype, 0), AT(port, cpe, '['),   AT(port, scripts, '['),
    AT(port, more, '{'),
};
static const struct string_at progress_strings[] = {AT(progress, task, 0)};
static const struct string_at run_strings[] = {
    AT(run_info, scanner, 0), AT(run_info, version, 0), AT(run_info, args, 0),
    AT(run_info, json, '{'),  AT(run_info, exit, 0),    AT(run_info, errormsg, 0),
};
static const struct string_at finding_strings[] = {
    AT(finding, rule, '!'),         AT(finding, title, '!'),   AT(finding, message, 0),
    AT(finding, recommendation, 0), AT(finding, at.path, '!'), AT(finding, at.message, 0),
    AT(finding, function, 0),       AT(finding, line, 0),      AT(finding, snippet, 0),
    AT(finding, quote, 0),          AT(finding, marked, 0),    AT(finding, secret, 0),
};
static const struct string_at engine_strings[] = {
    AT(finding_engine, name, '!'),
    AT(finding_engine, version, 0),
    AT(finding_engine, rule, 0),
    AT(finding_engine, severity, 0),
};
static const struct string_at place_strings[] = {
    AT(finding_place, path, '!'),
    AT(finding_place, message, 0),
};
static const struct string_at end_strings[] = {AT(parse_end, message, 0)};

enum { TTL_MAX = 255, CONF_MAX = 10, PERCENT_MAX = 10000 };
