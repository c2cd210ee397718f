/* Policy files: any text is refused with its place, or gives a policy that keeps its own rules. */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What is allowed of everything is allowed when it is asked for alone. */
static void judge_all(const struct policy *p, int64_t now_us)
{
    static const char *const tokens[] = {"0.0.0.0/0", "::/0", "a.example", "b.example"};
    auto_targets t = {0};
    auto_netset own = {0};
    struct policy_verdict v = {0};
    struct net_range r;
    struct err e = {0};

    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        int rc = target_add(&t, tokens[i], &e);

        assert(rc == 0);
    }
    if (net_range_parse("10.0.0.5", false, &r)) {
        netset_add(&own, &r);
    }

    struct policy_ask ask = {.targets = &t, .own = &own, .now_us = now_us, .clip = true};

    if (policy_judge(p, &ask, &v, &e) == 0) {
        assert(policy_check_ranges(p, &v.allowed, &own, now_us, &e) == 0);
        assert(netset_count(&v.allowed) <= v.rules->max_addresses);
        policy_verdict_done(&v);
    } else {
        assert(e.code == ERR_SCOPE && e.msg[0]);
    }
    ask.clip = false;
    if (policy_judge(p, &ask, &v, &e) == 0) {
        policy_verdict_done(&v);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const int64_t now_us = INT64_C(1767268800) * 1000000;
    auto_strvec warnings = {0};
    auto_buf b = {0};
    struct policy *p = NULL;
    struct err e = {0};
    json_t *doc;

    if (policy_parse((const char *)data, n, "f", &p, &e) < 0) {
        assert(e.code == ERR_INVALID && strncmp(e.msg, "f:", 2) == 0 && !p);
        return 0;
    }
    policy_json(p, now_us, &b);
    doc = json_loadb(b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
    assert(doc);
    json_decref(doc);
    policy_warnings(p, now_us, &warnings);
    judge_all(p, now_us);
    assert(policy_rules(p, "k", NULL)->name);
    policy_unref(p);
    return 0;
}
