#include "proxy/gateway.h"

#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

enum { PREFIX_MAX = 32, PATH_MAX_ = 1024, USERNAME_MAX = 255, BODY_DEFAULT = 32 << 20 };

/* ---- what it may be ---- */

static int bad(struct err *e, const char *member, const char *why)
{
    return err_set(e, ERR_INVALID, "gateway: %s: %s", member, why);
}

static bool prefix_ok(const char *p)
{
    size_t n = p ? strlen(p) : 0;

    return n >= 2 && n <= PREFIX_MAX && p[0] == '/' &&
           strspn(p + 1, "abcdefghijklmnopqrstuvwxyz") == n - 1;
}

/* "", or one that means itself to everybody. */
static bool path_ok(const char *p)
{
    size_t n = strlen(p);

    return n == 0 ||
           (n <= PATH_MAX_ && p[0] == '/' && p[n - 1] != '/' && !strstr(p, "//") &&
            !strstr(p, "/./") && !strstr(p, "/../") && (n < 2 || strcmp(p + n - 2, "/.") != 0) &&
            (n < 3 || strcmp(p + n - 3, "/..") != 0) &&
            strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                      "._~/+-") == n);
}

static bool username_ok(const char *p)
{
    size_t n = strlen(p);

    for (size_t i = 0; i < n; i++) {
        if (p[i] <= ' ' || p[i] > '~' || p[i] == ':') {
            return false;
        }
    }
    return n > 0 && n <= USERNAME_MAX;
}

static int check_upstream(const struct proxy_gateway *g, struct err *e)
{
    struct allow_list l = {0};
    auto_strvec one = {0};
    size_t within;
    int rc;

    if (!g->upstream) {
        return bad(e, "upstream", "it is missing");
    }
    strvec_push(&one, g->upstream);
    rc = allow_parse(&one, &l, e);
    if (rc != 0) {
        return err_prefix(e, rc, "gateway: upstream");
    }
    within = l.v[0].n_within;
    allow_done(&l);
    return g->tls || within > 0
               ? 0
               : bad(e, "tls", "without it a secret goes only to addresses that are named");
}

int proxy_gateway_check(const struct proxy_gateway *g, struct err *e)
{
    bool git = g->kind == GATEWAY_GIT;

    if (!git && g->kind != GATEWAY_MESSAGES) {
        return bad(e, "kind", "there is no such kind");
    }
    if (!prefix_ok(g->prefix)) {
        return bad(e, "prefix", "it is '/' and 1 to 31 letters from a to z");
    }
    if (!path_ok(g->path ? g->path : "")) {
        return bad(e, "path", "it is '/' and names of A-Z, a-z, 0-9, '.', '_', '~', '+' and '-'");
    }
    if (git && (!g->path || !*g->path)) {
        return bad(e, "path", "a repository has one");
    }
    if (g->secret && !secret_name_ok(g->secret)) {
        return bad(e, "secret", "this cannot be the name of a secret");
    }
    if (git && g->secret && (!g->username || !username_ok(g->username))) {
        return bad(e, "username", "git needs one: 1 to 255 visible characters without ':'");
    }
    if (!git && g->username) {
        return bad(e, "username", "only git has one");
    }
    if (g->ca_file && (!g->tls || g->ca_file[0] != '/')) {
        return bad(e, "ca_file", "it is an absolute path, and only TLS needs it");
    }
    return check_upstream(g, e);
}

/* ---- messages ---- */

void gateway_put(struct buf *b, const struct proxy_gateway *g)
{
    wire_u8(b, (uint8_t)g->kind);
    wire_str(b, g->prefix);
    wire_str(b, g->upstream);
    wire_u8(b, g->tls);
    wire_str(b, g->path);
    wire_str(b, g->ca_file);
    wire_str(b, g->secret);
    wire_str(b, g->username);
    wire_u64(b, g->tokens_max);
    wire_u32(b, g->requests_max);
    wire_u32(b, g->body_max);
}

void gateways_done(struct gateway_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct gateway *g = &l->v[i];

        free(g->prefix);
        free(g->path);
        free(g->ca_file);
        free(g->secret);
        free(g->username);
        allow_done(&g->upstream);
        leak_free(g->leak);
    }
    free(l->v);
    *l = (struct gateway_list){0};
}

static void keep(struct gateway_list *l, const struct proxy_gateway *in)
{
    auto_strvec one = {0};
    struct gateway *g;

    l->v = l->v ? l->v : xcalloc(GATEWAYS_MAX, sizeof *l->v);
    g = &l->v[l->n++];
    strvec_push(&one, in->upstream);
    (void)allow_parse(&one, &g->upstream, NULL); /* it was checked */
    g->kind = in->kind;
    g->prefix = xstrdup(in->prefix);
    g->path = xstrdup(in->path ? in->path : "");
    g->ca_file = xstrdup(in->ca_file);
    g->secret = xstrdup(in->secret);
    g->username = xstrdup(in->username);
    g->tls = in->tls;
    g->tokens_max = in->tokens_max;
    g->requests_max = in->requests_max;
    g->body_max = in->body_max ? in->body_max : BODY_DEFAULT;
}

bool gateway_get(struct wire *w, struct gateway_list *l)
{
    struct proxy_gateway g = {.kind = (enum gateway_kind)wire_get_u8(w)};
    uint8_t tls;

    if (!wire_get_str(w, &g.prefix, NULL) || !wire_get_str(w, &g.upstream, NULL)) {
        return false;
    }
    tls = wire_get_u8(w);
    g.tls = tls == 1;
    if (!wire_get_str(w, &g.path, NULL) || !wire_get_str(w, &g.ca_file, NULL) ||
        !wire_get_str(w, &g.secret, NULL) || !wire_get_str(w, &g.username, NULL)) {
        return false;
    }
    g.tokens_max = wire_get_u64(w);
    g.requests_max = wire_get_u32(w);
    g.body_max = wire_get_u32(w);
    if (w->bad || tls > 1 || l->n == GATEWAYS_MAX || proxy_gateway_check(&g, NULL) != 0) {
        return false;
    }
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->v[i].prefix, g.prefix) == 0) {
            return false;
        }
    }
    keep(l, &g);
    return true;
}

/* ---- what is asked ---- */

/* What follows the prefix: "", or begins with '/' or '?'. NULL: another path. */
static const char *below(const struct gateway *g, const char *target)
{
    size_t n = strlen(g->prefix);

    if (strncmp(target, g->prefix, n) != 0) {
        return NULL;
    }
    return target[n] == '\0' || target[n] == '/' || target[n] == '?' ? target + n : NULL;
}

struct gateway *gateway_of_head(const struct gateway_list *l, const char *p, size_t n)
{
    char start[PREFIX_MAX + 32];
    const char *target;

    n = MIN(n, sizeof start - 1);
    memcpy(start, p, n);
    start[n] = '\0';
    target = strchr(start, ' ');
    if (!target || target == start || target - start > 15) { /* a method of ours has 4 letters */
        return NULL;
    }
    target++;
    for (size_t i = 0; i < l->n; i++) {
        size_t len = strlen(l->v[i].prefix);

        if (strncmp(target, l->v[i].prefix, len) == 0 && target[len] &&
            strchr("/? ", target[len])) {
            return &l->v[i];
        }
    }
    return NULL;
}

struct gateway *gateway_of_target(const struct gateway_list *l, const char *target)
{
    for (size_t i = 0; i < l->n; i++) {
        if (below(&l->v[i], target)) {
            return &l->v[i];
        }
    }
    return NULL;
}

static struct route refused(const char *why)
{
    return (struct route){.status = 403, .why = why};
}

/* "/v1/messages?beta=true" */
static struct route route_messages(const struct msg *m, const char *rest)
{
    size_t path = strcspn(rest, "?");
    bool post = strcmp(m->method, "POST") == 0;

    if (strcmp(m->method, "HEAD") == 0 && (path == 0 || (path == 1 && rest[0] == '/'))) {
        return (struct route){.status = 200};
    }
    if (post && path == strlen("/v1/messages") && strncmp(rest, "/v1/messages", path) == 0) {
        return (struct route){.counts = true};
    }
    if (post && path == strlen("/v1/messages/count_tokens") &&
        strncmp(rest, "/v1/messages/count_tokens", path) == 0) {
        return (struct route){.counts = false};
    }
    return refused("of the Messages API only POST /v1/messages and /v1/messages/count_tokens pass");
}

static struct route route_git(const struct msg *m, const char *rest)
{
    const char *type = msg_get(m, "Content-Type", NULL);

    if (strcmp(m->method, "GET") == 0 && strcmp(rest, "/info/refs?service=git-upload-pack") == 0) {
        return (struct route){.is = "application/x-git-upload-pack-advertisement"};
    }
    if (strcmp(m->method, "POST") == 0 && strcmp(rest, "/git-upload-pack") == 0) {
        if (!type || strcasecmp(type, "application/x-git-upload-pack-request") != 0) {
            return refused("this is not the content type of a request to git-upload-pack");
        }
        return (struct route){.is = "application/x-git-upload-pack-result"};
    }
    return refused("a repository can be fetched by git's smart protocol, and nothing else");
}

struct route gateway_route(const struct gateway *g, const struct msg *m, struct buf *target)
{
    const char *rest = below(g, m->target);
    struct route r;
    size_t n_host;

    assert(rest);
    (void)msg_get(m, "Host", &n_host);
    if (n_host > 1 || (n_host == 0 && m->minor == 1)) {
        return (struct route){.status = 400, .why = "there is not exactly one Host line"};
    }
    r = g->kind == GATEWAY_GIT ? route_git(m, rest) : route_messages(m, rest);
    buf_adds(target, g->path);
    buf_adds(target, rest);
    return r;
}
