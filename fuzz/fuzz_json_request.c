/* JSON bodies: what our scan lets through is read, and written back it reads the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "http/api_old.h"
#include "http/api_v1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct policy *policy_of(void *arg)
{
    return arg;
}

static struct policy *open_policy(void)
{
    static const char text[] =
        "version: 1\n"
        "scope: {allow: [{target: 127.0.0.0/8}]}\n"
        "policies: [{name: default, options: advanced, scripts: aggressive}]\n";
    struct policy *p = NULL;
    int rc = policy_parse(text, strlen(text), "open", &p, NULL);

    assert(rc == 0);
    return p;
}

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

/* What is neither wrong nor refused has somewhere to go; a refusal says by what and why. */
static void check_plan(const struct tool_plan *plan, const struct err *refused, const char *rule)
{
    if (refused->code) {
        assert(rule && refused->msg[0]);
    } else {
        assert(plan->targets.addresses.n || plan->targets.n_pins);
    }
}

static void check_old(struct api *a, const struct key *k, const json_t *v)
{
    struct scan_request q;
    struct scan_faults f;
    auto_plan plan = {0};
    auto_buf detail = {0};

    if (old_request_check(a, k, v, &q, &plan, &f, &detail)) {
        assert(q.targets && detail.len == 0);
        assert(q.timeout_s == INT64_MIN || (q.timeout_s >= 1 && q.timeout_s <= 86400));
        check_plan(&plan, &f.refused, f.rule);
    } else {
        assert(detail.len > 0 && utf8_valid(detail.data, detail.len));
    }
}

static void check_v1(struct api *a, const struct key *k, json_t *v)
{
    struct v1_request q = {0};
    struct problems p = {0};

    if (v1_request_check(a, k, v, &q, &p)) {
        assert(p.n == 0 && q.scan.targets && q.scan.tool);
        check_plan(&q.plan, &q.refused, q.rule);
    } else {
        assert(p.n > 0 && utf8_valid(p.json.data, p.json.len));
    }
    v1_request_done(&q);
    buf_done(&p.json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct key user = {.id = "0123456789abcdef",
                                    .scopes = KEY_READ | KEY_SUBMIT_NETWORK};
    static const struct key master = {.scopes = KEY_ALL};
    static struct api strict = {.cfg = {.policy = policy_of}};
    static struct api lax = {.cfg = {.policy = policy_of, .allow_unsafe_args = true}};
    auto_free char *copy = xmalloc(n ? n : 1); /* exactly n bytes: no NUL behind them */
    struct json_fault f;
    json_t *v;

    if (!strict.cfg.policy_arg) {
        strict.cfg.policy_arg = policy_builtin();
        lax.cfg.policy_arg = open_policy();
    }
    for (size_t i = 0; i < n; i++) {
        copy[i] = (char)data[i];
    }
    v = api_json_load(copy, n, &f);
    if (!v) {
        assert(f.msg[0] && f.pos <= n);
        return 0;
    }
    write_and_read_again(v);
    check_old(&strict, &user, v);
    check_old(&lax, &master, v);
    check_v1(&strict, &user, v);
    check_v1(&lax, &master, v);
    json_decref(v);
    return 0;
}
