/*
 * URLs of repositories. What passes is made of letters, digits and a few marks that mean nothing to
 * a shell, to git's remote helpers or to ssh, and has one spelling.
 */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/netset.h"
#include "model/target.h"
#include "repo/spec.h"

enum { HTTPS_PORT = 443, SSH_PORT = 22, USER_MAX = 64 };

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
static const char PATH[] = ALNUM "._~/+-";
static const char USER[] = ALNUM "._-";

#define CREDENTIAL                                                                                \
    "the URL has credentials in it, which would end up in logs: store them as a secret and name " \
    "it "                                                                                         \
    "as 'credential'"

static bool in_path(char c)
{
    return c != '\0' && strchr(PATH, c);
}

static int hex(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* ---- parts; each appends its canonical form ---- */

static int wrong_path_byte(char c, struct err *e)
{
    if (c == '?' || c == '#') {
        return err_set(e, ERR_INVALID,
                       "a repository's URL has no query or fragment: leave out what comes "
                       "from '%c' on",
                       c);
    }
    return err_set(e, ERR_INVALID,
                   "the path of a repository's URL has letters, digits and . _ ~ / + - only, not "
                   "byte 0x%02x",
                   (unsigned char)c);
}

static int decode_path(const char *s, struct buf *out, struct err *e)
{
    for (; *s; s++) {
        char c = *s;

        if (c == '%') {
            int high = hex(s[1]);
            int low = high < 0 ? -1 : hex(s[2]);

            c = low < 0 ? '\0' : (char)(high * 16 + low);
            if (!in_path(c) || c == '/') {
                return err_set(e, ERR_INVALID,
                               "'%%' in the path of a repository's URL stands for a letter, a "
                               "digit or one of . _ ~ + - only");
            }
            s += 2;
        } else if (!in_path(c)) {
            return wrong_path_byte(c, e);
        }
        buf_addc(out, c);
    }
    return 0;
}

static int check_parts(const char *path, struct err *e)
{
    for (const char *p = path; *p; p += strcspn(p, "/")) {
        size_t n = strcspn(++p, "/");

        if (n == 0) {
            return err_set(e, ERR_INVALID,
                           "the path of a repository's URL has an empty part: '//'");
        }
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.')) {
            return err_set(e, ERR_INVALID,
                           "the path of a repository's URL goes through '.' or '..': write where "
                           "it ends");
        }
    }
    return 0;
}

/* Bytes at the end that name the same repository when they are not there. */
static size_t needless_end(const struct buf *path)
{
    const char *end = path->data + path->len;

    if (path->len > 1 && end[-1] == '/') {
        return 1;
    }
    return path->len > 5 && memcmp(end - 4, ".git", 4) == 0 && end[-5] != '/' ? 4 : 0;
}

/* s has no slash in front. */
static int add_path(const char *s, struct buf *out, struct err *e)
{
    auto_buf path = {0};
    size_t n;
    int rc;

    buf_addc(&path, '/');
    rc = decode_path(s, &path, e);
    while (rc == 0 && (n = needless_end(&path)) > 0) {
        path.len -= n;
        path.data[path.len] = '\0';
    }
    if (rc == 0 && path.len == 1) {
        rc = err_set(e, ERR_INVALID,
                     "the URL has no path: write that of the repository, as in "
                     "https://HOST/OWNER/NAME");
    }
    rc = rc ? rc : check_parts(path.data, e);
    if (rc == 0) {
        buf_add(out, path.data, path.len);
    }
    return rc;
}

static int add_user(const char *s, size_t n, struct buf *out, struct err *e)
{
    auto_free char *user = xstrndup(s, n);

    if (memchr(s, ':', n)) {
        return err_set(e, ERR_INVALID, CREDENTIAL);
    }
    if (n == 0 || n > USER_MAX || strchr(".-", user[0]) || strspn(user, USER) != n) {
        return err_set(e, ERR_INVALID,
                       "the user in an ssh URL is a plain name of letters, digits and . _ -, as in "
                       "ssh://git@HOST/PATH");
    }
    buf_add(out, s, n);
    buf_addc(out, '@');
    return 0;
}

static int add_host(const char *s, size_t n, struct buf *out, struct err *e)
{
    auto_free char *text = xstrndup(s, n);
    auto_free char *name = NULL;
    struct net_ip ip;
    char canonical[NET_TEXT];
    const char *why = "there is none";

    if (n > 2 && s[0] == '[' && s[n - 1] == ']') {
        text[n - 1] = '\0';
        if (!net_ip_parse(text + 1, &ip) || !ip.v6) {
            return err_set(e, ERR_INVALID, "in the brackets of a URL is an IPv6 address");
        }
        net_ip_text(&ip, canonical);
        buf_addf(out, "[%s]", canonical);
    } else if (net_ip_parse(text, &ip) && !ip.v6) {
        net_ip_text(&ip, canonical);
        buf_adds(out, canonical);
    } else if (n > 0 && target_name(text, &name, &why)) {
        buf_adds(out, name);
    } else {
        return err_set(e, ERR_INVALID, "the host of the URL: %s", why);
    }
    return 0;
}

static int add_port(const char *s, size_t n, uint16_t normal, struct buf *out, struct err *e)
{
    auto_free char *text = xstrndup(s, n);
    uint64_t port;

    if (n > 5 || !str_to_u64(text, 1, 65535, &port)) {
        return err_set(e, ERR_INVALID, "the port of the URL is a number from 1 to 65535");
    }
    if (port != normal) {
        buf_addf(out, ":%u", (unsigned)port);
    }
    return 0;
}

/* HOST[:PORT], n bytes. */
static int add_place(const char *s, size_t n, uint16_t normal, struct buf *out, struct err *e)
{
    const char *from = n > 0 && s[0] == '[' ? memchr(s, ']', n) : s;
    const char *colon = from ? memchr(from, ':', n - (size_t)(from - s)) : NULL;
    size_t host = colon ? (size_t)(colon - s) : n;
    int rc = add_host(s, host, out, e);

    return rc || !colon ? rc : add_port(colon + 1, n - host - 1, normal, out, e);
}

/* ---- forms ---- */

/* What follows "https://" or "ssh://". */
static int check_authority(const char *s, bool ssh, struct buf *out, struct err *e)
{
    size_t n = strcspn(s, "/?#");
    const char *at = memrchr(s, '@', n);
    int rc = 0;

    buf_adds(out, ssh ? "ssh://" : "https://");
    if (at && !ssh) {
        return err_set(e, ERR_INVALID, CREDENTIAL);
    }
    if (at) {
        rc = add_user(s, (size_t)(at - s), out, e);
        n -= (size_t)(at + 1 - s);
        s = at + 1;
    }
    rc = rc ? rc : add_place(s, n, ssh ? SSH_PORT : HTTPS_PORT, out, e);
    if (rc == 0 && s[n] != '/' && s[n] != '\0') {
        rc = wrong_path_byte(s[n], e);
    }
    return rc ? rc : add_path(s[n] ? s + n + 1 : "", out, e);
}

/* "git@host:path": an '@' and later a ':' before any slash. *colon: behind the host. */
static bool is_short(const char *s, const char **at, const char **colon)
{
    size_t n = strcspn(s, "/[");

    *at = memchr(s, '@', n);
    if (!*at || memchr(s, ':', (size_t)(*at - s))) {
        return false;
    }
    if ((*at)[1] == '[') {
        const char *bracket = strchr(*at, ']');

        *colon = bracket ? bracket + 1 : NULL;
        return bracket && bracket[1] == ':';
    }
    *colon = memchr(*at, ':', n - (size_t)(*at - s));
    return *colon != NULL;
}

/* USER@HOST:PATH. The path counts from where the user's server has its repositories, or from "/":
 * all that speak git take both for the same. */
static int add_short(const char *s, const char *at, const char *colon, struct buf *out,
                     struct err *e)
{
    int rc;

    buf_adds(out, "ssh://");
    rc = add_user(s, (size_t)(at - s), out, e);
    rc = rc ? rc : add_host(at + 1, (size_t)(colon - at - 1), out, e);
    return rc ? rc : add_path(colon + 1 + (colon[1] == '/'), out, e);
}

static int wrong_scheme(const char *s, struct err *e)
{
    if (strncasecmp(s, "http://", 7) == 0 || strncasecmp(s, "git://", 6) == 0) {
        return err_set(e, ERR_INVALID,
                       "the URL's scheme does not protect what is fetched: use https:// or ssh://");
    }
    if (strncasecmp(s, "file:", 5) == 0 || s[0] == '/' || s[0] == '.' || s[0] == '~') {
        return err_set(e, ERR_INVALID,
                       "a server does not read local directories: use https:// or ssh://, or scan "
                       "the directory where it is with 'scanpod repo DIR'");
    }
    if (s[0] == '-') {
        return err_set(e, ERR_INVALID, "a URL does not begin with '-': use https:// or ssh://");
    }
    if (strstr(s, "::")) {
        return err_set(e, ERR_INVALID,
                       "git's remote helpers ('NAME::...') are not run: use https:// or ssh://");
    }
    return err_set(e, ERR_INVALID,
                   "this is no URL of a repository: use https://HOST/PATH, ssh://USER@HOST/PATH or "
                   "USER@HOST:PATH");
}

static int check_text(const char *s, struct err *e)
{
    size_t n = strlen(s);

    if (n == 0) {
        return err_set(e, ERR_INVALID, "the URL is empty: use https://HOST/PATH");
    }
    if (n > REPO_URL_MAX) {
        return err_set(e, ERR_INVALID, "the URL is longer than %d bytes", REPO_URL_MAX);
    }
    for (; *s; s++) {
        if (*s <= ' ' || *s == 0x7f) {
            return err_set(e, ERR_INVALID,
                           "the URL has a blank, a control character or a byte that is not ASCII "
                           "in it (0x%02x): write it without",
                           (unsigned char)*s);
        }
    }
    return 0;
}

int repo_url_check(const char *text, char **canonical, struct err *e)
{
    const char *at, *colon;
    auto_buf out = {0};
    int rc = check_text(text, e);

    if (rc != 0) {
        return rc;
    }
    if (strncasecmp(text, "https://", 8) == 0) {
        rc = check_authority(text + 8, false, &out, e);
    } else if (strncasecmp(text, "ssh://", 6) == 0) {
        rc = check_authority(text + 6, true, &out, e);
    } else if (text[0] != '-' && !strstr(text, "://") && is_short(text, &at, &colon)) {
        rc = add_short(text, at, colon, &out, e);
    } else {
        rc = wrong_scheme(text, e);
    }
    if (rc == 0) {
        *canonical = buf_take(&out);
    }
    return rc;
}

/* ---- a canonical one's parts ---- */

void repo_url_done(struct repo_url *u)
{
    free(u->user);
    free(u->host);
    free(u->path);
    *u = (struct repo_url){0};
}

int repo_url_split(const char *canonical, struct repo_url *out, struct err *e)
{
    struct repo_url u = {.ssh = str_starts(canonical, "ssh://")};
    auto_free char *same = NULL;
    const char *s, *at, *colon;
    uint64_t port = u.ssh ? SSH_PORT : HTTPS_PORT;
    size_t n;
    int rc = repo_url_check(canonical, &same, e);

    if (rc != 0 || !str_eq(same, canonical)) {
        return rc ? rc
                  : err_set(e, ERR_INVALID, "the URL is not in its canonical form: '%s'", same);
    }
    s = strstr(canonical, "://") + 3;
    n = strcspn(s, "/");
    at = memchr(s, '@', n);
    if (at) {
        u.user = xstrndup(s, (size_t)(at - s));
        n -= (size_t)(at + 1 - s);
        s = at + 1;
    }
    u.path = xstrdup(s + n);
    colon = memchr(s, s[0] == '[' ? ']' : ':', n);
    if (colon && *colon == ']') {
        colon = colon[1] == ':' ? colon + 1 : NULL;
    }
    if (colon) {
        auto_free char *digits = xstrndup(colon + 1, n - (size_t)(colon + 1 - s));

        (void)str_to_u64(digits, 1, 65535, &port); /* it is: it was checked */
        n = (size_t)(colon - s);
    }
    u.host = s[0] == '[' ? xstrndup(s + 1, n - 2) : xstrndup(s, n);
    u.port = (uint16_t)port;
    *out = u;
    return 0;
}
