/* JSON bodies: what our scan lets through is read, and written back it reads the same. */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "http/api_old.h"
#include "http/api_v1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void write_and_read_again(const json_t *v)
{
    auto_buf text = {0};
    struct json j = json_to(&text);
    struct json_fault f;
    json_t *again;

    api_json_write(&j, NULL, v);
    again = api_json_load(text.data, text.len, &f);
    assert(again);
    assert(json_equal(again, v));
    json_decref(again);
}

static void check_old(const struct api *a, const json_t *v)
{
    struct scan_request q;
    auto_buf detail = {0};

    if (old_request_check(a, v, &q, &detail)) {
        assert(q.targets && detail.len == 0);
        assert(q.timeout_s == INT64_MIN || (q.timeout_s >= 1 && q.timeout_s <= 86400));
    } else {
        assert(detail.len > 0 && utf8_valid(detail.data, detail.len));
    }
}

static void check_v1(const struct api *a, json_t *v)
{
    struct v1_request q = {0};
    struct problems p = {0};

    if (v1_request_check(a, v, &q, &p)) {
        assert(p.n == 0 && q.scan.targets && q.scan.tool);
    } else {
        assert(p.n > 0 && utf8_valid(p.json.data, p.json.len));
    }
    v1_request_done(&q);
    buf_done(&p.json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct api strict;
    static const struct api lax = {.cfg = {.allow_unsafe_args = true}};
    auto_free char *copy = xmalloc(n ? n : 1); /* exactly n bytes: no NUL behind them */
    struct json_fault f;
    json_t *v;

    for (size_t i = 0; i < n; i++) {
        copy[i] = (char)data[i];
    }
    v = api_json_load(copy, n, &f);
    if (!v) {
        assert(f.msg[0] && f.pos <= n);
        return 0;
    }
    write_and_read_again(v);
    check_old(&strict, v);
    check_v1(&strict, v);
    check_v1(&lax, v);
    json_decref(v);
    return 0;
}
