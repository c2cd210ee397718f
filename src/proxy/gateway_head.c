/* The heads that a gateway writes: of requests with the secret in, of answers without what is not
 * the box's business, and of answers of its own. */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "proxy/gateway.h"

/* ---- requests ---- */

/* What the client says about itself, or its own secrets; and what is said anew. */
static bool passes_up(const struct msg *m, const char *name)
{
    static const char *const not [] = {
        "Host",   "Content-Length",  "Expect",    "X-Api-Key", "Authorization",
        "Cookie", "Accept-Encoding", "Forwarded", "Via"};

    for (size_t i = 0; i < ARRAY_LEN(not ); i++) {
        if (strcasecmp(name, not [i]) == 0) {
            return false;
        }
    }
    return strncasecmp(name, "X-Forwarded-", 12) != 0 && !msg_is_hop(m, name);
}

static void add_host(const struct gateway *g, struct buf *out)
{
    const struct proxy_place *to = &g->upstream.v[0].place;
    char text[NET_TEXT];

    net_ip_text(&to->ip, text);
    buf_addf(out, to->name || !to->ip.v6 ? "Host: %s" : "Host: [%s]", to->name ? to->name : text);
    if (to->port != (g->tls ? 443 : 80)) {
        buf_addf(out, ":%u", to->port);
    }
    buf_adds(out, "\r\n");
}

static void add_base64(struct buf *out, const char *text, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)(unsigned char)text[i] << 16;

        v |= i + 1 < n ? (uint32_t)(unsigned char)text[i + 1] << 8 : 0;
        v |= i + 2 < n ? (unsigned char)text[i + 2] : 0;
        buf_addc(out, digits[v >> 18]);
        buf_addc(out, digits[v >> 12 & 63]);
        buf_addc(out, i + 1 < n ? digits[v >> 6 & 63] : '=');
        buf_addc(out, i + 2 < n ? digits[v & 63] : '=');
    }
}

static bool add_secret(const struct gateway *g, const struct secrets *s, struct buf *out,
                       const char **why)
{
    size_t n;
    const char *secret = secrets_get(s, g->secret, &n);

    if (!secret) {
        *why = "there is no secret of the name that the gateway is to use";
        return false;
    }
    if (g->kind == GATEWAY_GIT) {
        auto_buf both = {0};

        buf_addf(&both, "%s:", g->username);
        (void)buf_space(&both, n + 1); /* so that no copy of it is left where it was */
        buf_add(&both, secret, n);
        buf_adds(out, "Authorization: Basic ");
        add_base64(out, both.data, both.len);
        secure_zero(both.data, both.len);
    } else {
        for (size_t i = 0; i < n; i++) {
            if (secret[i] <= ' ' || secret[i] > '~') {
                *why = "the gateway's secret has characters that no API key has";
                return false;
            }
        }
        buf_adds(out, str_starts(secret, "sk-ant-oat") ? "Authorization: Bearer " : "X-Api-Key: ");
        buf_add(out, secret, n);
    }
    buf_adds(out, "\r\n");
    return true;
}

bool gateway_request(const struct gateway *g, const struct secrets *s, const struct msg *m,
                     const char *target, const struct body *b, struct buf *out, const char **why)
{
    /* All that may be added, so that the secret is never left where the buffer was before. */
    (void)buf_space(out, REQUEST_HEAD_MAX + 2 * SECRET_MAX + 4096);
    buf_addf(out, "%s %s HTTP/1.1\r\n", m->method, target);
    add_host(g, out);
    for (size_t i = 0; i < m->n; i++) {
        if (passes_up(m, m->v[i].name)) {
            buf_addf(out, "%s: %s\r\n", m->v[i].name, m->v[i].value);
        }
    }
    if (g->secret && !add_secret(g, s, out, why)) {
        return false;
    }
    if (b->kind == BODY_CHUNKED) {
        buf_adds(out, "Transfer-Encoding: chunked\r\n");
    } else if (!b->done || strcmp(m->method, "POST") == 0) {
        buf_addf(out, "Content-Length: %" PRIu64 "\r\n", b->left);
    }
    buf_adds(out, "Accept-Encoding: identity\r\nConnection: close\r\n\r\n");
    return true;
}

/* ---- answers ---- */

const char *gateway_distrusts(const struct route *r, const struct msg *m)
{
    const char *coding = msg_get(m, "Content-Encoding", NULL);
    const char *type = msg_get(m, "Content-Type", NULL);

    if (coding && strcasecmp(coding, "identity") != 0) {
        return "the answer is compressed, though nobody asked for that";
    }
    if (r->is && m->status == 200 && (!type || strcasecmp(type, r->is) != 0)) {
        return "what answered is no git server";
    }
    return NULL;
}

void gateway_answer(const struct msg *m, struct buf *out)
{
    static const char *const not [] = {"Content-Length", "Set-Cookie", "Set-Cookie2", "Alt-Svc"};

    buf_addf(out, "HTTP/1.1 %u %s\r\n", m->status, m->reason);
    for (size_t i = 0; i < m->n; i++) {
        bool passes = !msg_is_hop(m, m->v[i].name);

        for (size_t k = 0; passes && k < ARRAY_LEN(not ); k++) {
            passes = strcasecmp(m->v[i].name, not [k]) != 0;
        }
        if (passes) {
            buf_addf(out, "%s: %s\r\n", m->v[i].name, m->v[i].value);
        }
    }
}

/* ---- our own ---- */

static const struct {
    int status;
    const char *phrase, *type; /* the API's word for it */
} errors[] = {
    {400, "Bad Request", "invalid_request_error"},
    {403, "Forbidden", "permission_error"},
    {408, "Request Timeout", "invalid_request_error"},
    {413, "Content Too Large", "request_too_large"},
    {429, "Too Many Requests", "rate_limit_error"},
    {431, "Request Header Fields Too Large", "invalid_request_error"},
    {502, "Bad Gateway", "api_error"},
    {504, "Gateway Timeout", "timeout_error"},
};

void gateway_error(const struct gateway *g, int status, const char *why, bool final, bool close,
                   struct buf *out)
{
    auto_buf text = {0};
    size_t i = 0;

    while (i + 1 < ARRAY_LEN(errors) && errors[i].status != status) {
        i++;
    }
    if (g->kind == GATEWAY_MESSAGES) {
        struct json j = json_to(&text);

        json_obj(&j);
        json_str(&j, "type", "error");
        json_obj_in(&j, "error");
        json_str(&j, "type", errors[i].type);
        json_str(&j, "message", why);
        json_end(&j);
        json_end(&j);
    } else {
        buf_addf(&text, "%s\n", why);
    }
    buf_addf(out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", status,
             errors[i].phrase,
             g->kind == GATEWAY_MESSAGES ? "application/json" : "text/plain; charset=utf-8",
             text.len);
    if (final && g->kind == GATEWAY_MESSAGES) {
        buf_adds(out, "X-Should-Retry: false\r\n");
    }
    if (close) {
        buf_adds(out, "Connection: close\r\n");
    }
    buf_adds(out, "\r\n");
    buf_add(out, text.data, text.len);
}
