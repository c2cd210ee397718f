#include "edge/edge_url.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { AMQP_PORT = 5672, AMQPS_PORT = 5671, REDIS_PORT = 6379, REDIS_DB_MAX = 65535 };

static int bad(struct err *e, const char *what)
{
    return err_set(e, ERR_INVALID, "the address of the message queue: %s", what);
}

static int take_user(struct edge_url *u, const char *s, size_t n, struct err *e)
{
    const char *colon = memchr(s, ':', n);
    size_t user = colon ? (size_t)(colon - s) : n;

    u->user = str_percent_decode(s, user);
    u->password = colon ? str_percent_decode(colon + 1, n - user - 1) : NULL;
    if (!u->user || (colon && !u->password)) {
        return bad(e, "user and password must be percent-encoded");
    }
    if (!*u->user) {
        free(take_ptr(&u->user));
    }
    return 0;
}

static int take_place(struct edge_url *u, const char *s, size_t n, struct err *e)
{
    size_t host = n;
    uint64_t v;

    if (n && *s == '[') {
        const char *end = memchr(s, ']', n);

        if (!end) {
            return bad(e, "']' is missing");
        }
        host = (size_t)(end - s) + 1;
        u->host = str_percent_decode(s + 1, host - 2);
    } else {
        const char *colon = memchr(s, ':', n);

        host = colon ? (size_t)(colon - s) : n;
        u->host = str_percent_decode(s, host);
    }
    if (!u->host || !*u->host || strlen(u->host) > 255) {
        return bad(e, "the host is missing");
    }
    if (host < n) {
        auto_free char *digits = xstrndup(s + host + 1, n - host - 1);

        if (s[host] != ':' || !str_to_u64(digits, 1, UINT16_MAX, &v)) {
            return bad(e, "the port is none");
        }
        u->port = (uint16_t)v;
    }
    return 0;
}

static int take_path(struct edge_url *u, const char *s, size_t n, struct err *e)
{
    auto_free char *text = str_percent_decode(s, n);
    uint64_t db = 0;

    if (!text) {
        return bad(e, "what follows the host must be percent-encoded");
    }
    if (u->amqp) {
        u->vhost = xstrdup(*text ? text : "/");
        return strlen(u->vhost) > 255 ? bad(e, "the vhost is too long") : 0;
    }
    if (*text && !str_to_u64(text, 0, REDIS_DB_MAX, &db)) {
        return bad(e, "the database must be a number");
    }
    u->db = (int)db;
    return 0;
}

static int take_parameters(struct edge_url *u, const char *s, struct err *e)
{
    while (*s) {
        size_t n = strcspn(s, "&");
        const char *is = memchr(s, '=', n);
        auto_free char *name = is ? str_percent_decode(s, (size_t)(is - s)) : NULL;
        auto_free char *text = is ? str_percent_decode(is + 1, n - (size_t)(is - s) - 1) : NULL;

        if (!name || !text || !*name) {
            return bad(e, "parameters are NAME=VALUE, joined by '&'");
        }
        if (edge_url_parameter(u, name)) {
            return err_set(e, ERR_INVALID,
                           "the address of the message queue: '%.40s' is given twice", name);
        }
        strvec_push(&u->names, name);
        strvec_push(&u->text, text);
        s += n;
        s += *s == '&';
    }
    return 0;
}

static int take_scheme(struct edge_url *u, const char **at, struct err *e)
{
    static const struct {
        const char *prefix;
        uint16_t port;
        bool amqp, tls;
    } schemes[] = {
        {"amqp://", AMQP_PORT, true, false},
        {"amqps://", AMQPS_PORT, true, true},
        {"redis://", REDIS_PORT, false, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (str_starts(*at, schemes[i].prefix)) {
            u->amqp = schemes[i].amqp;
            u->tls = schemes[i].tls;
            u->port = schemes[i].port;
            *at += strlen(schemes[i].prefix);
            return 0;
        }
    }
    if (str_starts(*at, "rediss://")) {
        return bad(e, "TLS to Redis is not possible with this hiredis");
    }
    return bad(e, "it must begin with amqp://, amqps://, redis:// or unix:");
}

static int take_apart(struct edge_url *u, const char *s, struct err *e)
{
    size_t n = strcspn(s, "?");
    size_t place;
    const char *at;
    int rc;

    if (strlen(s) > 2048) {
        return bad(e, "it is too long");
    }
    rc = s[n] ? take_parameters(u, s + n + 1, e) : 0;
    if (rc == 0 && str_starts(s, "unix:")) {
        u->path = str_percent_decode(s + 5, n - 5);
        return u->path && *u->path == '/' ? 0 : bad(e, "unix: needs an absolute path");
    }
    at = s;
    rc = rc ? rc : take_scheme(u, &at, e);
    if (rc != 0) {
        return rc;
    }
    n -= (size_t)(at - s);
    place = strcspn(at, "/?");
    s = memrchr(at, '@', place);
    if (s) {
        rc = take_user(u, at, (size_t)(s - at), e);
        place -= (size_t)(s - at) + 1;
        n -= (size_t)(s - at) + 1;
        at = s + 1;
    }
    rc = rc ? rc : take_place(u, at, place, e);
    return rc ? rc : take_path(u, at + place + (place < n), n - place - (place < n), e);
}

int edge_url_parse(const char *url, struct edge_url *out, struct err *e)
{
    struct edge_url u = {0};
    int rc = take_apart(&u, url, e);

    if (rc != 0) {
        edge_url_done(&u);
        return rc;
    }
    *out = u;
    return 0;
}

void edge_url_done(struct edge_url *u)
{
    free(u->host);
    free(u->path);
    free(u->user);
    free(u->vhost);
    if (u->password) {
        secure_zero(u->password, strlen(u->password));
        free(u->password);
    }
    strvec_done(&u->names);
    strvec_done(&u->text);
    *u = (struct edge_url){0};
}

const char *edge_url_parameter(const struct edge_url *u, const char *name)
{
    for (size_t i = 0; i < u->names.n; i++) {
        if (str_eq(u->names.v[i], name)) {
            return u->text.v[i];
        }
    }
    return NULL;
}

void edge_url_text(const struct edge_url *u, struct buf *out)
{
    buf_adds(out, u->amqp ? "rabbitmq at " : "redis at ");
    if (u->path) {
        buf_add_escaped(out, u->path, strlen(u->path));
        return;
    }
    buf_add_escaped(out, u->host, strlen(u->host));
    buf_addf(out, ":%u", u->port);
}
