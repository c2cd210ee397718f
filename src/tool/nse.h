/*
 * nse - nmap's scripts by name, from its script.db, through levels of policy.
 *
 * Requests name scripts or categories; categories are expanded here, by us, to the names that the
 * level allows, and only names reach nmap: never an expression, a path or a wildcard. A script by
 * name that the level does not allow is refused with the level that would. Rules: reference
 * security.md 4.4 (safe: `safe`, `version`, `default`, discovery or vuln, and none of intrusive dos
 * brute exploit external broadcast fuzzer malware auth; standard: also intrusive, auth; aggressive:
 * also brute, fuzzer, malware and vuln's exploits; dos, exploit, external, broadcast, brute
 * otherwise only with their flag). A category that is not nmap's own forbids at every level.
 * Scripts that write files by argument are never allowed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum script_level { SCRIPTS_NONE, SCRIPTS_SAFE, SCRIPTS_STANDARD, SCRIPTS_AGGRESSIVE };
enum {
    SCRIPT_DOS = 1,
    SCRIPT_EXPLOIT = 2,
    SCRIPT_EXTERNAL = 4,
    SCRIPT_BROADCAST = 8,
    SCRIPT_BRUTE = 16
};
/* What they are called in files: "dos". NULL: no such flag. */
const char *script_flag_name(unsigned flag);
bool script_flag_parse(const char *s, unsigned *out);
const char *script_level_name(enum script_level l);
bool script_level_parse(const char *s, enum script_level *out);

struct nse_db;

/* "Entry { filename = "x.nse", categories = { "a", } }" lines; at most 1 MiB, anything else is an
 * error with its line. */
int nse_parse(const char *text, size_t n, struct nse_db **out, struct err *e);
/* DIR/scripts/script.db, DIR such as /usr/share/nmap. */
int nse_load(const char *dir, struct nse_db **out, struct err *e);
void nse_free(struct nse_db *db);
size_t nse_count(const struct nse_db *db);
bool nse_has(const struct nse_db *db, const char *name);
/* How many the level and the flags allow. */
size_t nse_allowed(const struct nse_db *db, enum script_level level, unsigned flags);

/*
 * `list` is what a client wrote: "http-title,safe". Appends the allowed names, sorted, once each.
 * ERR_INVALID: no such script or category, or a form that is none; ERR_SCOPE: not at this level,
 * the message says which category forbids it and what would allow it.
 */
int nse_select(const struct nse_db *db, const char *list, enum script_level level, unsigned flags,
               struct strvec *names, struct err *e);
/* "name.key=value,name.key=value": keys from the list of harmless ones; one that belongs to a
 * script needs that script among `names`. Values [A-Za-z0-9._:/@-]{0,256}, quoted by us into *out.
 */
int nse_arguments(const char *args, const struct strvec *names, struct buf *out, struct err *e);
