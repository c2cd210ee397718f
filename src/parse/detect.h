/* detect - what a file is, from its first bytes; for src/parse only (parse.h: parse_detect). */
#pragma once

#include <stddef.h>

enum detected {
    IS_EMPTY, /* or blank */
    IS_NMAP_XML,
    IS_NMAP_TEXT,
    IS_MASSCAN_JSON,
    IS_MASSCAN_LIST,
    IS_MASSCAN_GREPABLE,
    IS_MASSCAN_XML,
    IS_MASSCAN_BINARY,
    IS_MASSCAN_CONF,
    IS_ZMAP_CSV,
    IS_ZMAP_JSON,
    IS_ZMAP_STATUS,
    IS_ZMAP_METADATA,
    IS_SARIF,
    IS_JSON,
    IS_XML,
    IS_HTML,
    IS_UTF16,
    IS_PACKED,
    IS_BINARY,
    IS_TEXT,
};

enum detected detect(const char *head, size_t n);
/* For a person: what it looks like, and what would do. Also of kinds that are read elsewhere. */
const char *detect_text(enum detected kind);
