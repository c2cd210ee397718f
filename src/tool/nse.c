/*
 * nmap's list of scripts.
 *
 * It is nmap's own index of its packaged scripts: text of a known form, and nothing else is read
 * from it. A line of another form makes the whole list unusable, so that a script cannot hide its
 * categories behind one.
 */
#include "tool/nse_db.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

enum { TEXT_MAX = 1 << 20, NAME_MAX_BYTES = 64, CATEGORY_MAX = 32 };

static const struct {
    const char *name;
    unsigned bit;
} categories[] = {
    {"safe", CAT_SAFE},         {"version", CAT_VERSION},
    {"default", CAT_DEFAULT},   {"discovery", CAT_DISCOVERY},
    {"vuln", CAT_VULN},         {"intrusive", CAT_INTRUSIVE},
    {"auth", CAT_AUTH},         {"brute", CAT_BRUTE},
    {"fuzzer", CAT_FUZZER},     {"malware", CAT_MALWARE},
    {"dos", CAT_DOS},           {"exploit", CAT_EXPLOIT},
    {"external", CAT_EXTERNAL}, {"broadcast", CAT_BROADCAST},
};

unsigned nse_category(const char *s, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(categories); i++) {
        if (strlen(categories[i].name) == n && strncmp(categories[i].name, s, n) == 0) {
            return categories[i].bit;
        }
    }
    return 0;
}

const char *nse_category_name(unsigned bit)
{
    for (size_t i = 0; i < ARRAY_LEN(categories); i++) {
        if (categories[i].bit == bit) {
            return categories[i].name;
        }
    }
    return NULL;
}

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
        bit = nse_category(text, n);
        *cats |= bit ? bit : CAT_OTHER;
        if (!take(at, end, ",")) {
            break;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        if (!take(at, end, "}")) {
            return false;
        }
    }
    return *at == end;
}

static bool ends_nse(const char *s, size_t n)
{
    return n > 4 && memcmp(s + n - 4, ".nse", 4) == 0;
}

static bool read_entry(const char *line, const char *end, struct nse_script *out)
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
    return strcmp(((const struct nse_script *)a)->name, ((const struct nse_script *)b)->name);
}

static void db_add(struct nse_db *db, struct nse_script s)
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
        if (nse_category(db->v[i].name, strlen(db->v[i].name))) {
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
        struct nse_script s;

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
const struct nse_script *nse_find(const struct nse_db *db, const char *name, size_t n)
{
    auto_free char *text = xstrndup(name, n);
    struct nse_script key = {.name = text};

    if (n > 4 && str_eq(text + n - 4, ".nse")) {
        text[n - 4] = '\0';
    }
    return bsearch(&key, db->v, db->n, sizeof *db->v, script_cmp);
}

bool nse_has(const struct nse_db *db, const char *name)
{
    return nse_find(db, name, strlen(name)) != NULL;
}
