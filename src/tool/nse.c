/*
 * nmap's list of scripts, and which of them a policy lets through.
 *
 * The list is nmap's own index of its packaged scripts. It is text of a known form, and nothing
 * else is read from it: a line of another form makes the whole list unusable, so that a script
 * cannot hide its categories behind one.
 */
#include "tool/nse.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

enum {
    TEXT_MAX = 1 << 20,
    LIST_MAX = 16384,
    NAME_MAX_BYTES = 64,
    CATEGORY_MAX = 32,
};

enum category {
    CAT_SAFE = 1,
    CAT_VERSION = 2,
    CAT_DEFAULT = 4,
    CAT_DISCOVERY = 8,
    CAT_VULN = 16,
    CAT_INTRUSIVE = 32,
    CAT_AUTH = 64,
    CAT_BRUTE = 128,
    CAT_FUZZER = 256,
    CAT_MALWARE = 512,
    CAT_DOS = 1024,
    CAT_EXPLOIT = 2048,
    CAT_EXTERNAL = 4096,
    CAT_BROADCAST = 8192,
    CAT_OTHER = 16384, /* one that this table does not have */

    /* What the safe level takes; the rest forbids until something lifts it. */
    CATS_PLAIN = CAT_SAFE | CAT_VERSION | CAT_DEFAULT | CAT_DISCOVERY | CAT_VULN,
};

/* The level from which on a category no longer forbids, and the flag that lifts it at any. */
static const struct category_row {
    const char *name;
    unsigned bit;
    enum script_level from; /* SCRIPTS_NONE: at no level */
    unsigned flag;
} categories[] = {
    {"safe", CAT_SAFE, SCRIPTS_SAFE, 0},
    {"version", CAT_VERSION, SCRIPTS_SAFE, 0},
    {"default", CAT_DEFAULT, SCRIPTS_SAFE, 0},
    {"discovery", CAT_DISCOVERY, SCRIPTS_SAFE, 0},
    {"vuln", CAT_VULN, SCRIPTS_SAFE, 0},
    {"intrusive", CAT_INTRUSIVE, SCRIPTS_STANDARD, 0},
    {"auth", CAT_AUTH, SCRIPTS_STANDARD, 0},
    {"brute", CAT_BRUTE, SCRIPTS_AGGRESSIVE, SCRIPT_BRUTE},
    {"fuzzer", CAT_FUZZER, SCRIPTS_AGGRESSIVE, 0},
    {"malware", CAT_MALWARE, SCRIPTS_AGGRESSIVE, 0},
    {"dos", CAT_DOS, SCRIPTS_NONE, SCRIPT_DOS},
    {"exploit", CAT_EXPLOIT, SCRIPTS_NONE, SCRIPT_EXPLOIT},
    {"external", CAT_EXTERNAL, SCRIPTS_NONE, SCRIPT_EXTERNAL},
    {"broadcast", CAT_BROADCAST, SCRIPTS_NONE, SCRIPT_BROADCAST},
    {"of its own", CAT_OTHER, SCRIPTS_NONE, 0},
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

struct script {
    char *name; /* owned */
    unsigned cats;
};

struct nse_db {
    struct script *v; /* owned; sorted by name */
    size_t n, size;
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

/* ---- the list ---- */

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

/* A name that nmap can only read as a script's name. */
static bool name_ok(const char *s, size_t n)
{
    if (n == 0 || n > NAME_MAX_BYTES || !isalnum((unsigned char)s[0])) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!name_char(s[i])) {
            return false;
        }
    }
    return true;
}

static unsigned category_bit(const char *s, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(categories); i++) {
        if (strlen(categories[i].name) == n && strncmp(categories[i].name, s, n) == 0) {
            return categories[i].bit;
        }
    }
    return 0;
}

/* True if `word` stands at *at, which is moved behind it and the spaces that follow. */
static bool take(const char **at, const char *end, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(end - *at) < n || memcmp(*at, word, n) != 0) {
        return false;
    }
    *at += n;
    while (*at < end && **at == ' ') {
        (*at)++;
    }
    return true;
}

/* "text" with no quote, backslash or control in it. */
static bool take_quoted(const char **at, const char *end, const char **text, size_t *n)
{
    const char *p = *at;

    if (p == end || *p++ != '"') {
        return false;
    }
    *text = p;
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= ' ') {
        p++;
    }
    *n = (size_t)(p - *text);
    *at = p;
    return take(at, end, "\"");
}

/* The categories up to and with "} }" and the end of the line. */
static bool read_categories(const char **at, const char *end, unsigned *cats)
{
    *cats = 0;
    while (*at < end && **at == '"') {
        const char *text;
        size_t n;
        unsigned bit;

        if (!take_quoted(at, end, &text, &n) || n == 0 || n > CATEGORY_MAX) {
            return false;
        }
        bit = category_bit(text, n);
        *cats |= bit ? bit : CAT_OTHER;
        if (!take(at, end, ",")) {
            break;
        }
    }
    return take(at, end, "}") && take(at, end, "}") && *at == end;
}

static bool ends_nse(const char *s, size_t n)
{
    return n > 4 && memcmp(s + n - 4, ".nse", 4) == 0;
}

static bool read_entry(const char *line, const char *end, struct script *out)
{
    const char *name;
    size_t n;

    if (!take(&line, end, "Entry") || !take(&line, end, "{") || !take(&line, end, "filename") ||
        !take(&line, end, "=") || !take_quoted(&line, end, &name, &n) || !take(&line, end, ",") ||
        !take(&line, end, "categories") || !take(&line, end, "=") || !take(&line, end, "{")) {
        return false;
    }
    if (!ends_nse(name, n) || ends_nse(name, n - 4) || !name_ok(name, n - 4) ||
        !read_categories(&line, end, &out->cats)) {
        return false;
    }
    out->name = xstrndup(name, n - 4);
    return true;
}

static int script_cmp(const void *a, const void *b)
{
    return strcmp(((const struct script *)a)->name, ((const struct script *)b)->name);
}

static void db_add(struct nse_db *db, struct script s)
{
    if (db->n == db->size) {
        db->size = db->size ? db->size * 2 : 256;
        db->v = xrealloc(db->v, db->size * sizeof *db->v);
    }
    db->v[db->n++] = s;
}

static int db_sort(struct nse_db *db, struct err *e)
{
    if (db->n == 0) {
        return err_set(e, ERR_INVALID, "script.db has no entries");
    }
    qsort(db->v, db->n, sizeof *db->v, script_cmp);
    for (size_t i = 0; i < db->n; i++) {
        if (i > 0 && str_eq(db->v[i - 1].name, db->v[i].name)) {
            return err_set(e, ERR_INVALID, "script.db has '%s' twice", db->v[i].name);
        }
        if (category_bit(db->v[i].name, strlen(db->v[i].name))) {
            return err_set(e, ERR_INVALID, "script.db has a script called as the category '%s'",
                           db->v[i].name);
        }
    }
    return 0;
}

static void db_free(struct nse_db **db)
{
    nse_free(*db);
}

int nse_parse(const char *text, size_t n, struct nse_db **out, struct err *e)
{
    __attribute__((cleanup(db_free))) struct nse_db *db = xcalloc(1, sizeof *db);
    const char *end = text + n;
    unsigned line = 0;
    int rc;

    if (n > TEXT_MAX) {
        return err_set(e, ERR_LIMIT, "script.db is larger than %d bytes", TEXT_MAX);
    }
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        const char *next = stop ? stop + 1 : end;
        struct script s;

        stop = stop ? stop : end;
        line++;
        if (stop > text) {
            if (!read_entry(text, stop, &s)) {
                return err_set(e, ERR_INVALID,
                               "script.db line %u is not 'Entry { filename = \"NAME.nse\", "
                               "categories = { ... } }'",
                               line);
            }
            db_add(db, s);
        }
        text = next;
    }
    rc = db_sort(db, e);
    if (rc == 0) {
        *out = take_ptr(&db);
    }
    return rc;
}

int nse_load(const char *dir, struct nse_db **out, struct err *e)
{
    auto_free char *path = str_fmt("%s/scripts/script.db", dir);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    auto_buf text = {0};
    struct stat st;
    int rc;

    if (fd < 0 || fstat(fd, &st) < 0) {
        return err_errno(e, "open '%s'", path);
    }
    if (!S_ISREG(st.st_mode) || st.st_size > TEXT_MAX) {
        return err_set(e, ERR_INVALID, "'%s' is not a file of at most %d bytes", path, TEXT_MAX);
    }
    for (;;) {
        ssize_t got = read(fd, buf_space(&text, 65536), 65536);

        if (got < 0 && errno != EINTR) {
            return err_errno(e, "read '%s'", path);
        }
        if (got == 0 || text.len > TEXT_MAX) {
            break;
        }
        text.len += got > 0 ? (size_t)got : 0;
    }
    rc = nse_parse(text.len ? text.data : "", text.len, out, e);
    return rc < 0 ? err_prefix(e, rc, "%s", dir) : 0;
}

void nse_free(struct nse_db *db)
{
    if (!db) {
        return;
    }
    for (size_t i = 0; i < db->n; i++) {
        free(db->v[i].name);
    }
    free(db->v);
    free(db);
}

size_t nse_count(const struct nse_db *db)
{
    return db->n;
}

/* A name, with or without ".nse". */
static const struct script *db_find(const struct nse_db *db, const char *name, size_t n)
{
    auto_free char *text = xstrndup(name, n);
    struct script key = {.name = text};

    if (n > 4 && str_eq(text + n - 4, ".nse")) {
        text[n - 4] = '\0';
    }
    return bsearch(&key, db->v, db->n, sizeof *db->v, script_cmp);
}

bool nse_has(const struct nse_db *db, const char *name)
{
    return db_find(db, name, strlen(name)) != NULL;
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
static const struct category_row *forbids(const struct script *s, enum script_level level,
                                          unsigned flags)
{
    for (size_t i = 0; i < ARRAY_LEN(categories); i++) {
        if (s->cats & categories[i].bit && !lifted(&categories[i], s->cats, level, flags)) {
            return &categories[i];
        }
    }
    return NULL;
}

static bool allowed(const struct script *s, enum script_level level, unsigned flags)
{
    return s->cats && !writes_files(s->name) && !forbids(s, level, flags);
}

/* "script 'x' is not allowed: it is exploit; ..." */
static int refuse(const struct script *s, const struct category_row *c, enum script_level level,
                  struct err *e)
{
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
        e, ERR_SCOPE, "script '%s' is not allowed: its category %s%s%s at level %s; %s%s", s->name,
        c->bit == CAT_OTHER ? "" : "'", c->name, c->bit == CAT_OTHER ? " is not" : "' is not",
        script_level_name(level), fix.len ? "the policy would need " : "nothing lifts that",
        fix.len ? fix.data : "");
}

size_t nse_allowed(const struct nse_db *db, enum script_level level, unsigned flags)
{
    size_t n = 0;

    for (size_t i = 0; i < db->n; i++) {
        n += level != SCRIPTS_NONE && allowed(&db->v[i], level, flags);
    }
    return n;
}

/* One item of the list: marks in `take_it` what it stands for. */
static int select_item(const struct nse_db *db, const char *item, size_t n, enum script_level level,
                       unsigned flags, bool *chosen, struct err *e)
{
    unsigned bit = category_bit(item, n);
    const struct script *s = bit ? NULL : db_find(db, item, n);
    bool any = false;

    if (bit && bit != CAT_OTHER) {
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
