/*
 * Where raw output goes, from one setting. Names are kept to characters that are the same in a URL
 * as in a key, so that nothing about them is ever encoded or signed differently.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "edge/depot.h"

enum { BUCKET_MIN = 3, BUCKET_MAX = 63, PREFIX_MAX = 512, SECRET_MAX = 4096, TEXT_MAX = 16384 };

#define LETTERS  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define HAS_HOST "expected http://HOST[:PORT] or https://HOST[:PORT]"

char *depot_uri(const struct depot_config *c, const char *name)
{
    return str_fmt("s3://%s/%s%s%s", c->bucket, c->prefix ? c->prefix : "",
                   c->prefix && *c->prefix ? "/" : "", name);
}

static void forget(char **secret)
{
    if (*secret) {
        secure_zero(*secret, strlen(*secret));
    }
    free(*secret);
    *secret = NULL;
}

void depot_config_done(struct depot_config *c)
{
    free(c->path);
    free(c->bucket);
    free(c->prefix);
    free(c->endpoint);
    free(c->region);
    forget(&c->access_key);
    forget(&c->secret_key);
    forget(&c->session_token);
    *c = (struct depot_config){0};
}

static bool made_of(const char *s, const char *letters)
{
    return s[strspn(s, letters)] == '\0';
}

/* ---- what is right ---- */

static int check_bucket(const char *s, struct err *e)
{
    size_t n = s ? strlen(s) : 0;

    if (n < BUCKET_MIN || n > BUCKET_MAX || !made_of(s, LETTERS ".-_") || s[0] == '.' ||
        s[0] == '-' || strstr(s, "..")) {
        return err_set(e, ERR_INVALID,
                       "blob: '%s' is no name of a bucket: %d to %d letters, digits, '.', '-'",
                       s ? s : "", BUCKET_MIN, BUCKET_MAX);
    }
    return 0;
}

/* Without slashes at its ends. */
static int check_prefix(char *s, struct err *e)
{
    size_t n = strlen(s);

    while (n && s[n - 1] == '/') {
        s[--n] = '\0';
    }
    while (*s == '/') {
        memmove(s, s + 1, n--);
    }
    if (n > PREFIX_MAX || !made_of(s, LETTERS "._-~/")) {
        return err_set(e, ERR_INVALID,
                       "blob: the prefix '%s' may have letters, digits, '.', '_', '-', '~' and '/'",
                       s);
    }
    for (const char *p = s; *p;) {
        size_t part = strcspn(p, "/");

        if (part == 0 || strspn(p, ".") >= part) {
            return err_set(e, ERR_INVALID, "blob: the prefix '%s' has an empty part, '.' or '..'",
                           s);
        }
        p += part + (p[part] == '/');
    }
    return 0;
}

static int check_endpoint(char *s, struct err *e)
{
    size_t scheme = str_starts(s, "https://")  ? strlen("https://")
                    : str_starts(s, "http://") ? strlen("http://")
                                               : 0;
    size_t n = strlen(s);

    while (n > scheme && s[n - 1] == '/') {
        s[--n] = '\0';
    }
    if (!scheme || n == scheme || !made_of(s + scheme, LETTERS ".-_:[]")) {
        return err_set(e, ERR_INVALID, "blob: endpoint: " HAS_HOST);
    }
    return 0;
}

static int check_secret(const char *s, const char *what, struct err *e)
{
    if (strlen(s) > SECRET_MAX) {
        return err_set(e, ERR_INVALID, "blob: the %s is too long", what);
    }
    for (const char *p = s; *p; p++) {
        if (*p <= ' ' || *p > '~' || (*p == ':' && str_eq(what, "access key"))) {
            return err_set(e, ERR_INVALID, "blob: the %s holds what none can hold", what);
        }
    }
    return 0;
}

static void from_env(char **to, const char *name)
{
    const char *v = getenv(name);

    if (!*to && v && *v) {
        *to = xstrdup(v);
    }
}

static int credentials(struct depot_config *c, struct err *e)
{
    int rc;

    if (!c->access_key && !c->secret_key) { /* all of them from one place */
        from_env(&c->access_key, "AWS_ACCESS_KEY_ID");
        from_env(&c->secret_key, "AWS_SECRET_ACCESS_KEY");
        from_env(&c->session_token, "AWS_SESSION_TOKEN");
    }
    if (!c->access_key || !c->secret_key) {
        return err_set(e, ERR_INVALID,
                       "blob: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    }
    if ((rc = check_secret(c->access_key, "access key", e)) != 0 ||
        (rc = check_secret(c->secret_key, "secret key", e)) != 0) {
        return rc;
    }
    return c->session_token ? check_secret(c->session_token, "session token", e) : 0;
}

/* style: 0 as the endpoint has it, else 'p' or 'h'. */
static int complete(struct depot_config *c, char style, struct err *e)
{
    int rc = check_bucket(c->bucket, e);

    if (rc == 0 && c->prefix) {
        rc = check_prefix(c->prefix, e);
    }
    from_env(&c->region, "AWS_REGION");
    from_env(&c->region, "AWS_DEFAULT_REGION");
    if (!c->region) {
        c->region = xstrdup("us-east-1");
    }
    if (rc == 0 && (!*c->region || strlen(c->region) > 64 || !made_of(c->region, LETTERS "-"))) {
        rc = err_set(e, ERR_INVALID, "blob: '%s' is no region", c->region);
    }
    c->path_style = style == 'p' || (!style && c->endpoint);
    if (rc == 0 && !c->endpoint) {
        c->endpoint = str_fmt("https://s3.%s.amazonaws.com", c->region);
    }
    if (rc == 0) {
        rc = check_endpoint(c->endpoint, e);
    }
    return rc == 0 ? credentials(c, e) : rc;
}

/* ---- s3://BUCKET/PREFIX?... ---- */

static int set_style(const char *value, char *style, struct err *e)
{
    if (!str_eq(value, "path") && !str_eq(value, "host")) {
        return err_set(e, ERR_INVALID, "blob: style is 'path' or 'host'");
    }
    *style = value[0];
    return 0;
}

/* One NAME=VALUE of n bytes. */
static int take_parameter(const char *p, size_t n, struct depot_config *c, char *style,
                          struct err *e)
{
    const char *eq = memchr(p, '=', n);
    size_t name = eq ? (size_t)(eq - p) : n;
    auto_free char *value = str_percent_decode(p + name + (eq != NULL), n - name - (eq != NULL));
    char **to = NULL;

    if (name == 8 && memcmp(p, "endpoint", 8) == 0) {
        to = &c->endpoint;
    } else if (name == 6 && memcmp(p, "region", 6) == 0) {
        to = &c->region;
    } else if (name != 5 || memcmp(p, "style", 5) != 0) {
        return err_set(e, ERR_INVALID,
                       "blob: there is no parameter '%.*s': endpoint, region, style", (int)name, p);
    }
    if (!value || !*value || (to && *to)) {
        return err_set(e, ERR_INVALID, "blob: %.*s has no value, or two, or a malformed one",
                       (int)name, p);
    }
    if (!to) {
        return set_style(value, style, e);
    }
    *to = take_ptr(&value);
    return 0;
}

static int parse_uri(const char *text, struct depot_config *c, struct err *e)
{
    const char *p = text + strlen("s3://");
    size_t bucket = strcspn(p, "/?");
    size_t path = bucket + strcspn(p + bucket, "?");
    const char *query = p + path;
    char style = 0;
    int rc;

    c->bucket = xstrndup(p, bucket);
    if (path > bucket) {
        c->prefix = xstrndup(p + bucket, path - bucket);
    }
    while (*query) {
        size_t n = strcspn(query + 1, "&");

        rc = take_parameter(query + 1, n, c, &style, e);
        if (rc != 0) {
            return rc;
        }
        query += 1 + n;
    }
    return complete(c, style, e);
}

/* ---- the third system's JSON ---- */

static int take_member(const char *name, const json_t *v, struct depot_config *c, char *style,
                       struct err *e)
{
    const struct {
        const char *name;
        char **to;
    } texts[] = {
        {"bucket", &c->bucket},
        {"prefix", &c->prefix},
        {"endpoint", &c->endpoint},
        {"region", &c->region},
        {"access_key", &c->access_key},
        {"secret_key", &c->secret_key},
        {"path", &c->path},
        {"session_token", &c->session_token},
    };

    if (str_eq(name, "type") || json_is_null(v)) {
        return 0;
    }
    if (str_eq(name, "path_style") && json_is_boolean(v)) {
        *style = json_is_true(v) ? 'p' : 'h';
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (str_eq(texts[i].name, name)) {
            if (!json_is_string(v) || json_string_length(v) != strlen(json_string_value(v))) {
                return err_set(e, ERR_INVALID, "blob: '%s' is not text", name);
            }
            *texts[i].to = json_string_length(v) ? xstrdup(json_string_value(v)) : NULL;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "blob: '%.64s' is no member of it, or not of that type", name);
}

static int read_object(json_t *root, struct depot_config *c, struct err *e)
{
    const char *type = json_string_value(json_object_get(root, "type"));
    const char *name;
    json_t *v;
    char style = 0;

    if (!json_is_object(root) || (!str_eq(type, "s3") && !str_eq(type, "local"))) {
        return err_set(e, ERR_INVALID, "blob: an object with \"type\" \"s3\" or \"local\"");
    }
    json_object_foreach(root, name, v)
    {
        int rc = take_member(name, v, c, &style, e);

        if (rc != 0) {
            return rc;
        }
    }
    c->local = str_eq(type, "local");
    if (c->local) {
        return c->path && c->path[0] != '/'
                   ? err_set(e, ERR_INVALID, "blob: the path '%s' is not absolute", c->path)
                   : 0;
    }
    return complete(c, style, e);
}

static int parse_json(const char *text, struct depot_config *c, struct err *e)
{
    json_error_t fault;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &fault);
    int rc;

    if (!root) { /* without the text, which may hold a secret */
        return err_set(e, ERR_INVALID, "blob: not JSON at line %d, column %d", fault.line,
                       fault.column);
    }
    rc = read_object(root, c, e);
    json_decref(root);
    return rc;
}

int depot_config_parse(const char *text, struct depot_config *out, struct err *e)
{
    struct depot_config c = {0};
    int rc;

    if (!*text || str_eq(text, "local")) {
        *out = (struct depot_config){.local = true};
        return 0;
    }
    if (strlen(text) > TEXT_MAX) {
        return err_set(e, ERR_INVALID, "blob: it is too long");
    }
    rc = str_starts(text, "s3://") ? parse_uri(text, &c, e)
         : text[strspn(text, " \t\r\n")] == '{'
             ? parse_json(text, &c, e)
             : err_set(e, ERR_INVALID,
                       "blob: expected s3://BUCKET[/PREFIX], or JSON "
                       "with \"type\"");
    if (rc != 0) {
        depot_config_done(&c);
        return rc;
    }
    *out = c;
    return 0;
}
