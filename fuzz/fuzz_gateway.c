/*
 * What comes to a gateway from either side: heads, framed bodies, the tokens an answer tells, and
 * the watch for the secret. What is handed on is read by others as it was read here; nothing
 * depends on the pieces in which it came; no secret passes.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/gateway.h"
#include "proxy/usage.h"

#define KEY "sk-ant-fuzz"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct secrets *secrets(void)
{
    static struct secrets *s;

    if (!s) {
        setenv("SCANPOD_SECRET_KEY", KEY, 1);
        if (secrets_load(NULL, &s, NULL) != 0) {
            abort();
        }
    }
    return s;
}

static size_t lines_of(const struct msg *m, const char *name)
{
    size_t n;

    (void)msg_get(m, name, &n);
    return n;
}

/* What the far side is told has the one meaning that was checked, and the secret once. */
static void check_request(const struct gateway *g, const struct msg *m, const struct body *b)
{
    auto_buf target = {0}, head = {0};
    struct route r = gateway_route(g, m, &target);
    struct msg again;
    struct body framed;
    const char *why;
    size_t len;

    if (r.status != 0 || !gateway_request(g, secrets(), m, target.data, b, &head, &why)) {
        assert(r.status == 0 || r.status == 200 || r.why);
        return;
    }
    if (msg_request(head.data, head.len, &again, &len, &why) != 200) {
        assert(head.len > REQUEST_HEAD_MAX || m->n > MESSAGE_LINES - 8);
        return;
    }
    assert(len == head.len && strcmp(again.target, target.data) == 0);
    assert(lines_of(&again, "Host") == 1 && !msg_keeps(&again));
    assert(lines_of(&again, "X-Api-Key") + lines_of(&again, "Authorization") == 1);
    assert(lines_of(&again, "Cookie") == 0 && lines_of(&again, "Upgrade") == 0);
    assert(msg_request_body(&again, &framed, &why));
    assert(framed.kind == b->kind && framed.left == b->left && framed.done == b->done);
    msg_done(&again);
}

/* In pieces of `step`; false: framed wrongly. *used: how much belongs to it. */
static bool feed(struct body *b, const char *p, size_t n, size_t step, struct buf *out,
                 size_t *used)
{
    *used = 0;
    while (*used < n && !b->done) {
        size_t k;

        if (!body_feed(b, p + *used, MIN(step, n - *used), &k, out)) {
            return false;
        }
        assert(k > 0 && k <= MIN(step, n - *used));
        *used += k;
    }
    return true;
}

static void check_body(struct body b, const char *p, size_t n, size_t step)
{
    auto_buf whole = {0}, pieces = {0};
    struct body other = b;
    size_t used, used_pieces;
    bool ok = feed(&b, p, n, n ? n : 1, &whole, &used);
    bool ok_pieces = feed(&other, p, n, step, &pieces, &used_pieces);

    assert(ok_pieces == ok);
    assert(whole.len <= n && whole.len == pieces.len);
    assert(whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0);
    assert(!ok || (used == used_pieces && b.done == other.done));
}

static void check_heads(const char *p, size_t n, size_t step)
{
    char prefix[] = "/a", path[] = "", secret[] = "key", upstream[] = "example.org:443";
    struct allow_list at = {0};
    auto_strvec entries = {0};
    struct gateway g = {.prefix = prefix, .path = path, .secret = secret, .tls = true};
    const struct gateway_list l = {.v = &g, .n = 1};
    const char *why = NULL;
    struct body b;
    struct msg m;
    size_t len;

    strvec_push(&entries, upstream);
    assert(allow_parse(&entries, &at, NULL) == 0);
    g.upstream = at;
    (void)gateway_of_head(&l, p, n);
    if (msg_request(p, n, &m, &len, &why) == 200) {
        assert(len <= n && memcmp(p + len - 4, "\r\n\r\n", 4) == 0);
        if (msg_request_body(&m, &b, &why)) {
            check_body(b, p + len, n - len, step);
            if (gateway_of_target(&l, m.target)) {
                check_request(&g, &m, &b);
            }
        }
        msg_done(&m);
    }
    if (msg_answer(p, n, &m, &len, &why) == 200) {
        auto_buf head = {0};

        if (msg_answer_body(&m, &b, &why)) {
            check_body(b, p + len, n - len, step);
        }
        gateway_answer(&m, &head);
        assert(head.len <= len + 16 && msg_plain(head.data, head.len));
        msg_done(&m);
    }
    allow_done(&at);
}

static void check_usage(const char *p, size_t n, size_t step, bool events)
{
    struct usage whole = {.events = events}, pieces = {.events = events};

    usage_feed(&whole, p, n);
    for (size_t at = 0; at < n; at += step) {
        usage_feed(&pieces, p + at, MIN(step, n - at));
    }
    assert(usage_input(&whole) == usage_input(&pieces));
    assert(usage_output(&whole) == usage_output(&pieces));
}

/* What passes has no secret in it, and of what has none all passes. */
static void check_leak(const char *p, size_t n, size_t step)
{
    struct leak *l = leak_new(secrets(), "key");
    struct leak_stream st = {{0}};
    auto_buf redacted = {0};
    size_t held = 0;
    bool found = false;

    for (size_t at = 0; at < n && !found; at += step) {
        size_t k = MIN(step, n - at);

        found = leak_feed(l, &st, p + at, k, &held);
        assert(found || held <= at + k);
        assert(found || !memmem(p, at + k - held, KEY, sizeof KEY - 1));
    }
    assert(found == (secrets_redact(secrets(), p, n, &redacted) > 0));
    assert(!redacted.data || !memmem(redacted.data, redacted.len, KEY, sizeof KEY - 1));
    leak_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t step = n > 0 ? 1 + data[0] % 61 : 1;
    auto_free char *text = xmalloc(n ? n : 1); /* of its own: reading beyond it is seen */

    if (n == 0) {
        return 0;
    }
    n--;
    memcpy(text, data + 1, n);
    text = xrealloc(text, n ? n : 1);
    check_heads(text, n, step);
    check_usage(text, n, step, data[0] & 64);
    check_leak(text, n, step);
    return 0;
}
