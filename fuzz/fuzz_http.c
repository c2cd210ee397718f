/*
 * The HTTP parser: one stream of requests, cut anywhere, gives the same events as in one piece;
 * an accepted head, written again from its parts, is accepted and means the same.
 *
 * The first two bytes choose the cuts, the rest is what a client sends.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/http_parser.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Bytes become visible to the parsers in steps, as a connection would read them. */
struct feed {
    const char *p;
    size_t n, shown;
    size_t first, step; /* step 0: all the rest at once */
};

static bool feed_more(struct feed *f)
{
    size_t k = f->first ? f->first : f->step ? f->step : f->n;

    f->first = 0;
    if (f->shown == f->n) {
        return false;
    }
    f->shown = k < f->n - f->shown ? f->shown + k : f->n;
    return true;
}

static void add_span(struct buf *b, const char *p, struct http_span s)
{
    buf_add(b, p + s.at, s.len);
}

static void add_head(struct buf *b, const char *p, const struct http_head *h)
{
    buf_addf(b, "%d %d %d %d %d %llu|", h->method, h->minor, h->chunked, h->close, h->expect,
             (unsigned long long)h->content_length);
    add_span(b, p, h->target);
    for (unsigned i = 0; i < h->n; i++) {
        buf_addc(b, '\n');
        add_span(b, p, h->f[i].name);
        buf_addc(b, ':');
        add_span(b, p, h->f[i].value);
    }
    buf_addc(b, '\n');
}

static void check_again(const char *p, const struct http_head *h)
{
    struct http_head again = {0};
    auto_buf text = {0}, one = {0}, two = {0};
    int rc;

    buf_addf(&text, "%s ", http_method_names[h->method]);
    add_span(&text, p, h->target);
    buf_addf(&text, " HTTP/1.%d\r\n", h->minor);
    for (unsigned i = 0; i < h->n; i++) {
        add_span(&text, p, h->f[i].name);
        buf_addc(&text, ':');
        add_span(&text, p, h->f[i].value);
        buf_adds(&text, "\r\n");
    }
    buf_adds(&text, "\r\n");
    rc = http_head_parse(&again, text.data, text.len);
    assert(rc == HTTP_DONE && again.len == text.len);
    add_head(&one, p, h);
    add_head(&two, text.data, &again);
    assert(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
}

static void check_target(const char *p, const struct http_head *h)
{
    auto_free char *copy = xmalloc(h->len);
    struct target t;

    memcpy(copy, p, h->len);
    if (target_decode(copy, h->target.at, h->target.len, &t)) {
        return;
    }
    assert(strlen(copy + t.path) == t.path_len && t.path_len <= h->target.len);
    for (unsigned i = 0; i < t.n; i++) {
        size_t end = h->target.at + (size_t)h->target.len;

        assert(t.q[i].name + strlen(copy + t.q[i].name) <= end);
        assert(t.q[i].value + strlen(copy + t.q[i].value) <= end);
    }
}

/* One request from f->p + at: its events go to `out`. Where the next begins; 0: there is none. */
static size_t take_body(struct feed *f, size_t at, const struct http_head *h, struct buf *out)
{
    struct http_chunked c = {.max = 4096};
    int rc = HTTP_MORE;

    if (!h->chunked) {
        while (f->shown - at < h->content_length) {
            if (!feed_more(f)) {
                buf_adds(out, "cut\n");
                return 0;
            }
        }
        buf_add(out, f->p + at, h->content_length);
        return at + h->content_length;
    }
    while (rc == HTTP_MORE) {
        size_t k = f->shown - at, used, got;
        auto_free char *part = xmalloc(k + 1);

        memcpy(part, f->p + at, k);
        rc = http_chunked_feed(&c, part, k, &used, &got);
        assert(used <= k && got <= used && c.total <= c.max);
        assert(rc != HTTP_MORE || used == k);
        buf_add(out, part, got);
        at += used;
        if (rc == HTTP_MORE && !feed_more(f)) {
            buf_adds(out, "cut\n");
            return 0;
        }
    }
    buf_addf(out, "chunked %d\n", rc);
    return rc == HTTP_DONE ? at : 0;
}

static void take_all(struct feed *f, struct buf *out, bool check)
{
    size_t at = 0;

    for (;;) {
        struct http_head h = {0};
        int rc = HTTP_MORE;

        while ((rc = http_head_parse(&h, f->p + at, f->shown - at)) == HTTP_MORE) {
            if (!feed_more(f)) {
                buf_adds(out, "more\n");
                return;
            }
        }
        buf_addf(out, "%d %s\n", rc, rc >= 400 ? h.why : "");
        if (rc != HTTP_DONE) {
            assert(rc >= 400 && rc <= 505 && h.why);
            return;
        }
        assert(h.len <= HTTP_HEAD_MAX && h.len <= f->shown - at);
        add_head(out, f->p + at, &h);
        if (check) {
            check_again(f->p + at, &h);
            check_target(f->p + at, &h);
        }
        at = take_body(f, at + h.len, &h, out);
        if (at == 0) {
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_buf whole = {0}, cut = {0};
    struct feed f = {0};

    if (n < 2) {
        return 0;
    }
    f.p = (const char *)data + 2;
    f.n = n - 2;
    take_all(&f, &whole, true);
    f.shown = 0;
    f.first = data[0];
    f.step = data[1];
    take_all(&f, &cut, false);
    assert(whole.len == cut.len && memcmp(whole.data, cut.data, whole.len) == 0);
    return 0;
}
