/*
 * Where a Redis server is, as text.
 *
 * Messages about a URL never repeat what may be a part of its password: a '/' or '#' in one that
 * was not encoded shifts everything behind it.
 */
#include <limits.h>
#include <string.h>
#include <sys/un.h>

#include "base/mem.h"
#include "base/netset.h"
#include "transport/redis.h"

enum { URL_MAX = 4096, HOST_MAX = 253, PREFIX_MAX = 64, DB_MAX = 65535, PORT_DEFAULT = 6379 };

#define PREFIX_DEFAULT "scanpod:"

/* `what` names the part. *out is set on success only. */
static int decode(const char *s, size_t n, const char *what, char **out, struct err *e)
{
    char *text = str_percent_decode(s, n);

    if (!text) {
        return err_set(e, ERR_INVALID,
                       "Redis URL: in the %s a '%%' is not followed by two hex digits of a "
                       "character; a percent sign itself is written as %%25",
                       what);
    }
    *out = text;
    return 0;
}

static int parse_user(const char *s, size_t n, struct redis_url *u, struct err *e)
{
    const char *colon = memchr(s, ':', n);
    size_t user = colon ? (size_t)(colon - s) : n;
    int rc;

    if (!colon || user + 1 == n) {
        return err_set(e, ERR_INVALID,
                       "Redis URL: there is no password before the '@'; a password without a user "
                       "is written as ':PASSWORD@'");
    }
    if (user > 0) {
        rc = decode(s, user, "user", &u->user, e);
        if (rc < 0) {
            return rc;
        }
    }
    return decode(colon + 1, n - user - 1, "password", &u->password, e);
}

static bool host_ok(const char *s)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    struct net_ip ip;

    return net_ip_parse(s, &ip) ||
           (*s && strlen(s) <= HOST_MAX && strspn(s, letters) == strlen(s) && *s != '-');
}

/* In brackets only IPv6, and that only in brackets. */
static int parse_host(const char *s, size_t n, struct redis_url *u, struct err *e)
{
    const char *close = n > 0 && s[0] == '[' ? memchr(s, ']', n) : NULL;
    const char *colon = close ? close + 1 : memchr(s, ':', n);
    size_t host = colon ? (size_t)(colon - s) : n;
    size_t rest = n - MIN(host, n);
    auto_free char *port = NULL;
    struct net_ip ip;
    uint64_t v = PORT_DEFAULT;
    int rc =
        close ? decode(s + 1, host - 2, "host", &u->host, e) : decode(s, host, "host", &u->host, e);

    if (rc < 0) {
        return rc;
    }
    if (!*u->host) {
        return err_set(e, ERR_INVALID, "Redis URL: there is no host");
    }
    if (!host_ok(u->host) || (net_ip_parse(u->host, &ip) && ip.v6) != (close != NULL)) {
        return err_set(e, ERR_INVALID,
                       "Redis URL: the host is neither a name nor an address (IPv6 in brackets)");
    }
    if (rest > 0) {
        port = xstrndup(s + host + 1, rest - 1);
        if (s[host] != ':' || !str_to_u64(port, 1, UINT16_MAX, &v)) {
            return err_set(e, ERR_INVALID,
                           "Redis URL: the port is no number from 1 to 65535 ('/', '?', '#' and "
                           "'@' in a password are written as %%2F, %%3F, %%23 and %%40)");
        }
    }
    u->port = (uint16_t)v;
    return 0;
}

static int parse_db(const char *s, size_t n, struct redis_url *u, struct err *e)
{
    auto_free char *text = xstrndup(s, n);
    uint64_t v = 0;

    if (n > 0 && !str_to_u64(text, 0, DB_MAX, &v)) {
        return err_set(e, ERR_INVALID,
                       "Redis URL: the database is no number from 0 to %d ('/', '?', '#' and '@' "
                       "in a password are written as %%2F, %%3F, %%23 and %%40)",
                       DB_MAX);
    }
    u->db = (int)v;
    return 0;
}

/* Part of every key, in patterns too. */
static bool prefix_ok(const char *s)
{
    return *s && strlen(s) <= PREFIX_MAX &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:._-{}") ==
               strlen(s);
}

/* A file of TLS. */
static int parse_file(const char *s, size_t n, char **out, struct err *e)
{
    int rc = decode(s, n, "file name", out, e);

    if (rc == 0 && (*out)[0] != '/') {
        return err_set(e, ERR_INVALID, "Redis URL: files are named by their whole paths");
    }
    return rc;
}

static char **file_of(struct redis_url *u, const char *s, size_t name)
{
    char **file = name == 2 && memcmp(s, "ca", 2) == 0     ? &u->ca
                  : name == 4 && memcmp(s, "cert", 4) == 0 ? &u->cert
                  : name == 3 && memcmp(s, "key", 3) == 0  ? &u->key
                                                           : NULL;

    return u->tls && file && !*file ? file : NULL;
}

static int parse_parameter(const char *s, size_t n, struct redis_url *u, struct err *e)
{
    const char *is = memchr(s, '=', n);
    size_t name = is ? (size_t)(is - s) : n;
    int rc;

    if (is && name == 6 && memcmp(s, "prefix", 6) == 0 && !u->prefix) {
        rc = decode(is + 1, n - name - 1, "prefix", &u->prefix, e);
        if (rc == 0 && !prefix_ok(u->prefix)) {
            rc = err_set(e, ERR_INVALID,
                         "Redis URL: prefix is 1 to %d letters, digits and any of ':._-{}'",
                         PREFIX_MAX);
        }
        return rc;
    }
    if (is && name == 2 && memcmp(s, "db", 2) == 0 && u->path && u->db < 0 && n > name + 1) {
        return parse_db(is + 1, n - name - 1, u, e);
    }
    if (is && file_of(u, s, name)) {
        return parse_file(is + 1, n - name - 1, file_of(u, s, name), e);
    }
    return err_set(e, ERR_INVALID,
                   "Redis URL: behind the '?' there may be 'prefix=...'%s, once, and nothing else",
                   u->path  ? " and 'db=...'"
                   : u->tls ? ", 'ca=...', 'cert=...' and 'key=...'"
                            : "");
}

static int parse_parameters(const char *s, struct redis_url *u, struct err *e)
{
    int rc = 0;

    for (;;) {
        size_t n = strcspn(s, "&");

        rc = parse_parameter(s, n, u, e);
        if (rc < 0 || !s[n]) {
            return rc;
        }
        s += n + 1;
    }
}

/* unix:PATH, unix://[[USER]:PASSWORD@]PATH */
static int parse_unix(const char *s, struct redis_url *u, struct err *e)
{
    size_t n = strcspn(s, "?");
    const char *at = NULL;
    int rc;

    if (str_starts(s, "//")) {
        s += 2;
        n -= 2;
        at = *s != '/' ? memchr(s, '@', n) : NULL;
    }
    if (at) {
        rc = parse_user(s, (size_t)(at - s), u, e);
        if (rc < 0) {
            return rc;
        }
        n -= (size_t)(at + 1 - s);
        s = at + 1;
    }
    rc = decode(s, n, "path", &u->path, e);
    if (rc < 0) {
        return rc;
    }
    if (u->path[0] != '/' || strlen(u->path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        return err_set(e, ERR_INVALID,
                       "Redis URL: the path of a socket begins with '/' and has at most %zu bytes",
                       sizeof((struct sockaddr_un *)0)->sun_path - 1);
    }
    u->db = -1;
    rc = s[n] ? parse_parameters(s + n + 1, u, e) : 0;
    u->db = MAX(u->db, 0);
    return rc;
}

/* Behind "redis://". */
static int parse_tcp(const char *s, struct redis_url *u, struct err *e)
{
    size_t n = strcspn(s, "/?#");
    const char *at = memchr(s, '@', n);
    size_t db;
    int rc;

    if (strchr(s, '#') || strchr(at ? at + 1 : s + n, '@')) {
        return err_set(e, ERR_INVALID,
                       "Redis URL: there is a '#', or an '@' too many; '/', '?', '#' and '@' in a "
                       "password are written as %%2F, %%3F, %%23 and %%40");
    }
    if (at) {
        rc = parse_user(s, (size_t)(at - s), u, e);
        if (rc < 0) {
            return rc;
        }
        n -= (size_t)(at + 1 - s);
        s = at + 1;
    }
    rc = parse_host(s, n, u, e);
    s += n;
    if (rc == 0 && *s == '/') {
        s++;
        db = strcspn(s, "?");
        rc = parse_db(s, db, u, e);
        s += db;
    }
    if (rc == 0 && *s == '?') {
        rc = parse_parameters(s + 1, u, e);
    }
    if (rc == 0 && !u->cert != !u->key) {
        return err_set(e, ERR_INVALID, "Redis URL: 'cert=' and 'key=' belong together");
    }
    return rc;
}

static int parse(const char *text, struct redis_url *u, struct err *e)
{
    size_t n = strnlen(text, URL_MAX + 1);

    if (n > URL_MAX) {
        return err_set(e, ERR_INVALID, "Redis URL: it is longer than %d bytes", URL_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f) {
            return err_set(e, ERR_INVALID, "Redis URL: it has a blank or a control character");
        }
    }
    if (str_starts(text, "unix:")) {
        return parse_unix(text + 5, u, e);
    }
    u->tls = str_starts(text, "rediss://");
    if (!u->tls && !str_starts(text, "redis://")) {
        return err_set(e, ERR_INVALID,
                       "Redis URL: it begins with neither redis:// nor rediss:// nor unix:");
    }
    return parse_tcp(text + (u->tls ? 9 : 8), u, e);
}

int redis_url_parse(const char *text, struct redis_url *out, struct err *e)
{
    struct redis_url u = {0};
    int rc = parse(text, &u, e);

    if (rc < 0) {
        redis_url_done(&u);
        return rc;
    }
    if (!u.prefix) {
        u.prefix = xstrdup(PREFIX_DEFAULT);
    }
    *out = u;
    return 0;
}

void redis_url_done(struct redis_url *u)
{
    if (u->password) {
        secure_zero(u->password, strlen(u->password));
    }
    free(u->host);
    free(u->path);
    free(u->user);
    free(u->password);
    free(u->prefix);
    free(u->ca);
    free(u->cert);
    free(u->key);
    *u = (struct redis_url){0};
}

void redis_url_copy(const struct redis_url *from, struct redis_url *to)
{
    *to = *from;
    to->host = xstrdup(from->host);
    to->path = xstrdup(from->path);
    to->user = xstrdup(from->user);
    to->password = xstrdup(from->password);
    to->prefix = xstrdup(from->prefix);
    to->ca = xstrdup(from->ca);
    to->cert = xstrdup(from->cert);
    to->key = xstrdup(from->key);
}

/* What means something in a URL, or is no printing character, as %XX. */
static void put_encoded(struct buf *out, const char *s, const char *also)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *s; s++) {
        if (strchr(plain, *s) || strchr(also, *s)) {
            buf_addc(out, *s);
        } else {
            buf_addf(out, "%%%02X", (unsigned char)*s);
        }
    }
}

static void put_host(struct buf *out, const char *host)
{
    bool brackets = strchr(host, ':') != NULL;

    buf_adds(out, brackets ? "[" : "");
    put_encoded(out, host, ":");
    buf_adds(out, brackets ? "]" : "");
}

void redis_url_text(const struct redis_url *u, struct buf *out)
{
    const struct {
        const char *name, *path;
    } files[] = {{"ca", u->ca}, {"cert", u->cert}, {"key", u->key}};
    char sign = '?';

    if (u->path) {
        /* Two slashes at the start would be taken for those of unix://. */
        buf_adds(out, str_starts(u->path, "//") ? "unix://" : "unix:");
        put_encoded(out, u->path, "/:@");
        if (u->db > 0) {
            buf_addf(out, "?db=%d", u->db);
            sign = '&';
        }
    } else {
        buf_adds(out, u->tls ? "rediss://" : "redis://");
        put_host(out, u->host);
        buf_addf(out, ":%d/%d", u->port, u->db);
    }
    if (!str_eq(u->prefix, PREFIX_DEFAULT)) {
        buf_addf(out, "%cprefix=%s", sign, u->prefix);
        sign = '&';
    }
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (files[i].path) {
            buf_addf(out, "%c%s=", sign, files[i].name);
            put_encoded(out, files[i].path, "/");
            sign = '&';
        }
    }
}

int redis_url_from_env(const char *(*get)(void *arg, const char *name), void *arg, char **url_text,
                       struct err *e)
{
    const char *url = get(arg, "REDIS_URL");
    const char *host = get(arg, "REDIS_HOST");
    const char *port = get(arg, "REDIS_PORT");
    const char *db = get(arg, "REDIS_DB");
    const char *password = get(arg, "REDIS_PASSWORD");
    struct redis_url u = {0};
    auto_buf text = {0};
    int rc;

    if (url && *url) {
        buf_adds(&text, url);
    } else if (host && *host) {
        buf_adds(&text, "redis://");
        if (password && *password) {
            buf_addc(&text, ':');
            put_encoded(&text, password, "");
            buf_addc(&text, '@');
        }
        put_host(&text, host);
        buf_adds(&text, port && *port ? ":" : "");
        put_encoded(&text, port && *port ? port : "", "");
        buf_addc(&text, '/');
        put_encoded(&text, db && *db ? db : "", "");
    } else {
        *url_text = NULL;
        return 0;
    }
    rc = redis_url_parse(text.data, &u, e);
    if (rc == 0) {
        redis_url_done(&u);
        *url_text = buf_take(&text);
        return 0;
    }
    secure_zero(text.data, text.len);
    return err_prefix(e, rc, "%s", url && *url ? "REDIS_URL" : "REDIS_HOST, REDIS_PORT, REDIS_DB");
}
