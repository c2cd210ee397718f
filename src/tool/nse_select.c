/*
 * Which scripts a policy lets through: by their categories, and by what their sources show.
 */
#include <string.h>

#include "base/mem.h"
#include "tool/nse_db.h"

enum { LIST_MAX = 16384 };

/* The level from which on a category no longer forbids, and the flag that lifts it at any. */
static const struct category_row {
    unsigned bit;
    enum script_level from; /* SCRIPTS_NONE: at no level */
    unsigned flag;
} categories[] = {
    {CAT_SAFE, SCRIPTS_SAFE, 0},
    {CAT_VERSION, SCRIPTS_SAFE, 0},
    {CAT_DEFAULT, SCRIPTS_SAFE, 0},
    {CAT_DISCOVERY, SCRIPTS_SAFE, 0},
    {CAT_VULN, SCRIPTS_SAFE, 0},
    {CAT_INTRUSIVE, SCRIPTS_STANDARD, 0},
    {CAT_AUTH, SCRIPTS_STANDARD, 0},
    {CAT_BRUTE, SCRIPTS_AGGRESSIVE, SCRIPT_BRUTE},
    {CAT_FUZZER, SCRIPTS_AGGRESSIVE, 0},
    {CAT_MALWARE, SCRIPTS_AGGRESSIVE, 0},
    {CAT_DOS, SCRIPTS_NONE, SCRIPT_DOS},
    {CAT_EXPLOIT, SCRIPTS_NONE, SCRIPT_EXPLOIT},
    {CAT_EXTERNAL, SCRIPTS_NONE, SCRIPT_EXTERNAL},
    {CAT_BROADCAST, SCRIPTS_NONE, SCRIPT_BROADCAST},
    {CAT_OTHER, SCRIPTS_NONE, 0},
};

/* They write files, mostly where an argument says. */
static const char *const writers[] = {
    "ajp-request",
    "cics-enum",
    "domino-enum-users",
    "hostmap-bfk",
    "hostmap-crtsh",
    "http-awstatstotals-exec",
    "http-axis2-dir-traversal",
    "http-config-backup",
    "http-domino-enum-passwords",
    "http-fetch",
    "http-majordomo2-dir-traversal",
    "http-phpmyadmin-dir-traversal",
    "http-tplink-dir-traversal",
    "http-wordpress-users",
    "ip-geolocation-map-bing",
    "ip-geolocation-map-google",
    "ip-geolocation-map-kml",
    "lu-enum",
    "ms-sql-dump-hashes",
    "oracle-brute-stealth",
    "shodan-api",
    "snmp-ios-config",
    "stuxnet-detect",
    "supermicro-ipmi-conf",
    "traceroute-geolocation",
    "url-snarf",
    "vtam-enum",
};

/* ---- names of levels and flags ---- */

static const char *const level_names[] = {"none", "safe", "standard", "aggressive"};

static const struct {
    const char *name;
    unsigned flag;
} flag_names[] = {
    {"dos", SCRIPT_DOS},           {"exploit", SCRIPT_EXPLOIT},
    {"external", SCRIPT_EXTERNAL}, {"broadcast", SCRIPT_BROADCAST},
    {"brute", SCRIPT_BRUTE},
};

const char *script_level_name(enum script_level l)
{
    return level_names[l];
}

bool script_level_parse(const char *s, enum script_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (str_eq(s, level_names[i])) {
            *out = (enum script_level)i;
            return true;
        }
    }
    return false;
}

const char *script_flag_name(unsigned flag)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_names); i++) {
        if (flag_names[i].flag == flag) {
            return flag_names[i].name;
        }
    }
    return NULL;
}

bool script_flag_parse(const char *s, unsigned *out)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_names); i++) {
        if (str_eq(s, flag_names[i].name)) {
            *out = flag_names[i].flag;
            return true;
        }
    }
    return false;
}

/* ---- the choice ---- */

static bool writes_files(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        if (str_eq(writers[i], name)) {
            return true;
        }
    }
    return false;
}

static bool lifted(const struct category_row *c, unsigned cats, enum script_level level,
                   unsigned flags)
{
    if (c->flag & flags || (c->from != SCRIPTS_NONE && level >= c->from)) {
        return true;
    }
    return c->bit == CAT_EXPLOIT && cats & CAT_VULN && level >= SCRIPTS_AGGRESSIVE;
}

/* The category that forbids the script; NULL: none does. */
static const struct category_row *forbids(const struct nse_script *s, enum script_level level,
                                          unsigned flags)
{
    for (size_t i = 0; i < ARRAY_LEN(categories); i++) {
        if (s->cats & categories[i].bit && !lifted(&categories[i], s->cats, level, flags)) {
            return &categories[i];
        }
    }
    return NULL;
}

static bool allowed(const struct nse_script *s, enum script_level level, unsigned flags)
{
    return s->cats && !writes_files(s->name) && !forbids(s, level, flags);
}

size_t nse_allowed(const struct nse_db *db, enum script_level level, unsigned flags)
{
    size_t n = 0;

    for (size_t i = 0; i < db->n; i++) {
        n += level != SCRIPTS_NONE && allowed(&db->v[i], level, flags);
    }
    return n;
}

/* "script 'x' is not allowed: it is exploit; ..." */
static int refuse(const struct nse_script *s, const struct category_row *c, enum script_level level,
                  struct err *e)
{
    const char *name = c ? nse_category_name(c->bit) : NULL;
    auto_buf fix = {0};

    if (writes_files(s->name) || !s->cats) {
        return err_set(e, ERR_SCOPE, "script '%s' is never allowed: %s", s->name,
                       s->cats ? "it writes files" : "it has no category");
    }
    if (c->from != SCRIPTS_NONE) {
        buf_addf(&fix, "'scripts: %s'", script_level_name(c->from));
    } else if (c->bit == CAT_EXPLOIT && s->cats & CAT_VULN) {
        buf_adds(&fix, "'scripts: aggressive'");
    }
    if (c->flag) {
        buf_addf(&fix, "%s'script_flags: [%s]'", fix.len ? " or " : "", script_flag_name(c->flag));
    }
    return err_set(
        e, ERR_SCOPE, "script '%s' is not allowed: its category %s%s%s is not at level %s; %s%s",
        s->name, name ? "'" : "", name ? name : "of its own", name ? "'" : "",
        script_level_name(level), fix.len ? "the policy would need " : "nothing lifts that",
        fix.len ? fix.data : "");
}

/* One item of the list: marks in `take_it` what it stands for. */
static int select_item(const struct nse_db *db, const char *item, size_t n, enum script_level level,
                       unsigned flags, bool *chosen, struct err *e)
{
    unsigned bit = nse_category(item, n);
    const struct nse_script *s = bit ? NULL : nse_find(db, item, n);
    bool any = false;

    if (bit) {
        for (size_t i = 0; i < db->n; i++) {
            if (db->v[i].cats & bit && allowed(&db->v[i], level, flags)) {
                chosen[i] = any = true;
            }
        }
        return any ? 0
                   : err_set(e, ERR_SCOPE,
                             "no script of the category '%.*s' is allowed at level %s with these "
                             "script_flags of the policy",
                             (int)n, item, script_level_name(level));
    }
    if (!s) {
        return err_set(e, ERR_INVALID,
                       "no such script or category: '%.*s': only names and categories of "
                       "script.db are taken, no paths, expressions or wildcards",
                       (int)n, item);
    }
    if (!allowed(s, level, flags)) {
        return refuse(s, forbids(s, level, flags), level, e);
    }
    chosen[s - db->v] = true;
    return 0;
}

int nse_select(const struct nse_db *db, const char *list, enum script_level level, unsigned flags,
               struct strvec *names, struct err *e)
{
    auto_free bool *chosen = xcalloc(db->n, sizeof *chosen);

    if (level == SCRIPTS_NONE) {
        return err_set(e, ERR_SCOPE,
                       "scripts are not allowed: the policy has 'scripts: none'; 'scripts: safe' "
                       "would allow harmless ones");
    }
    if (strlen(list) > LIST_MAX) {
        return err_set(e, ERR_INVALID, "the list of scripts is longer than %d bytes", LIST_MAX);
    }
    for (const char *p = list;; p++) {
        size_t n = strcspn(p, ",");
        int rc = select_item(db, p, n, level, flags, chosen, e);

        if (rc < 0) {
            return rc;
        }
        p += n;
        if (!*p) {
            break;
        }
    }
    for (size_t i = 0; i < db->n; i++) {
        if (chosen[i]) {
            strvec_push(names, db->v[i].name);
        }
    }
    return 0;
}
