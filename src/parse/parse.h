/*
 * parse - push parsers for tool output: bytes in, hosts out. No I/O, bounded memory, fuzzed.
 *
 * One `const struct parser` per format. Feeding may be split anywhere. What was complete before
 * the input broke off or turned to garbage has been handed out; the end then says so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "model/finding.h"
#include "model/host.h"

/* Members may be NULL. Everything is borrowed for the call. A non-zero return stops the parser. */
struct parse_sink {
    int (*host)(void *arg, const struct host *h, struct err *e);
    int (*finding)(void *arg, const struct finding *f, struct err *e);
    int (*progress)(void *arg, const struct progress *p, struct err *e);
    int (*run)(void *arg, const struct run_info *r, struct err *e); /* once, at the end */
    void *arg;
};

struct parser {
    const char *name;                            /* "nmap-xml" */
    void *(*new)(const struct parse_sink *sink); /* the sink outlives the parser */
    /* 0; ERR_TOOL: malformed here (line, column in the message); ERR_LIMIT: a cap was reached. */
    int (*feed)(void *p, const char *data, size_t n, struct err *e);
    /* Call once, also after feed failed: then it returns the same code. 0: a complete document.
     * ERR_TOOL: truncated or broken; complete hosts were handed out and run_info.complete is
     * false. The sink's run() is called in any case, unless the sink itself had stopped. */
    int (*finish)(void *p, struct err *e);
    void (*free)(void *p);
};

extern const struct parser parser_nmap_xml;

/*
 * masscan and zmap report sightings in no order, each alone and often twice. Their parsers collect
 * up to SIGHTINGS_MAX of them, sort by address, protocol and port, join what is the same (first and
 * last time are kept) and hand out hosts; then they go on. So one address may come several times.
 * Ports that were reported closed are told as extraports only, in nmap's shape (reasons[] with
 * "proto" and "ports": which), and so is what ICMP said of a port that zmap does not name (state
 * filtered, no "ports"; the host is unknown unless it answered itself). A port of a list that does
 * not say whether it is open is "unfiltered", reason "listed". Banners are scripts of their port:
 * id "banner", or "banner-title" and the like for facts. A run that found nothing (0 bytes) is
 * complete. masscan's forms are told apart by their first bytes: JSON (also
 * with a comma too many, with {finished: 1}, or without its end: then everything that is whole is
 * handed out and run_info.complete is false), ndjson, list, XML, grepable; binary and paused.conf
 * are refused by name, as are zmap's metadata and status files.
 */
enum { SIGHTINGS_MAX = 65536 };
extern const struct parser parser_masscan; /* "masscan" */
extern const struct parser parser_zmap;    /* "zmap": CSV or JSON lines */

/*
 * "repo": what `scanpod repo-box` (repo/box.h) writes: one JSON object a line. {"finding": {...}}
 * any number of times, {"progress": {"task", "percent"}} between them, and {"run": {...}} as the
 * last line, which becomes run_info: its `json` is docs/findings.md "the run's record"; complete is
 * false without it; exit is "error" where it says that nothing was assessed. Everything is checked
 * by finding_check() again; a line that breaks a rule, or one longer than REPO_LINE_MAX, is the
 * end.
 */
enum { REPO_LINE_MAX = 1 << 20 };
extern const struct parser parser_repo;
/*
 * "sarif": SARIF 2.1.0 of any program (2.0 and earlier are refused by name), also with a byte order
 * mark. Results of all runs, of kind "fail" (or none); the first location counts, the others are
 * related; paths are made relative (uriBaseId, originalUriBaseIds, file://), those that are not in
 * a tree are kept as verified=false with their last parts. Suppressed ones come with `marked`.
 * Severity: security-severity of the rule, else level. Classes by CWE, else by rule id, else
 * "other" (assess/classes.h). The document is read whole: at most 256 MiB, else ERR_LIMIT.
 */
extern const struct parser parser_sarif;

/*
 * What a file is, from its first bytes (4 KiB are enough): "nmap", "masscan", "zmap", "sarif"
 * (whose parsers read it), or NULL with *why for a person: what it looks like and what would do.
 */
const char *parse_detect(const char *head, size_t n, const char **why);
