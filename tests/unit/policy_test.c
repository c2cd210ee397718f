/* The scope and policy file: what it may say, and every decision both ways. */
#include "policy/policy.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "tap.h"

#define HEAD "version: 1\nscope:\n  allow:\n"

static const int64_t noon = INT64_C(1767268800) * 1000000; /* Thursday, 2026-01-01 12:00 UTC */

/* The policy of the test that runs; freed by the next. */
static struct policy *policy;

static void load(const char *text)
{
    struct policy *p = NULL;

    CHECK_OK(policy_parse(text, strlen(text), "scope.yaml", &p, ERR));
    policy_unref(policy);
    policy = p;
}

static void load_builtin(void)
{
    policy_unref(policy);
    policy = policy_builtin();
}

static void targets_of(const char *s, struct target_set *t)
{
    auto_strvec tokens = {0};

    while (*s) {
        size_t n = strcspn(s, " ");

        strvec_pushn(&tokens, s, n);
        s += n + (s[n] == ' ');
    }
    CHECK_OK(target_set_parse(&tokens, t, ERR));
}

static void set_of(const char *s, struct netset *out)
{
    auto_targets t = {0};

    targets_of(s, &t);
    netset_add_set(out, &t.addresses);
}

/* What is asked besides the targets. */
struct asked {
    const char *pins, *ports, *tool, *key, *own;
    uint32_t n_ports;
    unsigned protocols;
    int64_t now_us;
    bool clip;
};

/* "ok: ALLOWED [RULE]" or the message. Borrowed until the next call. */
static const char *judge_with(const char *targets, const struct asked *a)
{
    static char out[1024];
    auto_targets t = {0};
    auto_netset own = {0};
    struct policy_verdict v = {0};
    struct err e = {0};
    size_t n;
    int rc;

    targets_of(targets, &t);
    if (a->pins) {
        CHECK_OK(pins_apply(&t, a->pins, ERR));
    }
    if (a->own) {
        set_of(a->own, &own);
    }

    const struct policy_ask ask = {
        .key_name = a->key,
        .tool = a->tool ? a->tool : "nmap",
        .targets = &t,
        .ports = a->ports,
        .n_ports = a->n_ports,
        .protocols = a->protocols,
        .own = a->own ? &own : NULL,
        .now_us = a->now_us ? a->now_us : noon,
        .clip = a->clip,
    };

    rc = policy_judge(policy, &ask, &v, &e);
    if (rc < 0) {
        CHECK_INT(rc, ERR_SCOPE);
        CHECK_INT(v.allowed.n, 0);
        snprintf(out, sizeof out, "%s", e.msg);
        return out;
    }
    n = (size_t)snprintf(out, sizeof out, "ok:");
    for (size_t i = 0; i < v.allowed.n && n < 256; i++) {
        char text[NET_TEXT];

        net_range_text(&v.allowed.v[i], text);
        n += (size_t)snprintf(out + n, sizeof out - n, " %s", text);
    }
    snprintf(out + n, sizeof out - n, " [%s]%s", v.rule, v.wait_until_us ? " waits" : "");
    policy_verdict_done(&v);
    return out;
}

static const char *judge(const char *targets)
{
    return judge_with(targets, &(struct asked){0});
}

/* The message has the part; it is printed if it has not. */
static void has(const char *got, const char *part)
{
    if (!strstr(got, part)) {
        tap_fail(__FILE__, __LINE__, "'%s' does not have '%s'", got, part);
    }
}

/* ---- the built-in scope ---- */

static void the_builtin_scope_has_loopback_and_private_ranges(void)
{
    load_builtin();
    CHECK_STR(policy_source(policy), "built-in");
    CHECK_STR(judge("127.0.0.1"), "ok: 127.0.0.1 [allow 127.0.0.0/8 (loopback)]");
    CHECK_STR(judge("::1"), "ok: ::1 [allow ::1 (loopback)]");
    CHECK_STR(judge("10.9.8.0/24"), "ok: 10.9.8.0/24 [allow 10.0.0.0/8 (private)]");
    has(judge("172.31.255.255 192.168.3.4"), "ok: ");
    has(judge("100.64.0.1"), "ok: ");
    has(judge("fd12::/112"), "ok: ");
    has(judge("8.8.8.8"), "8.8.8.8 is not allowed: no entry of scope.allow covers it; the built-in "
                          "scope has loopback and private ranges only; write a scope file");
    has(judge("172.32.0.0"), "not allowed");
    has(judge("2001:db8::1"), "not allowed");
    has(judge("9.255.255.255-10.0.0.1"), "9.255.255.255 is not allowed");
    has(judge("10.255.255.255-11.0.0.1"), "11.0.0.0/31 is not allowed");
}

static void hard_denials_are_not_lifted_by_wider_entries(void)
{
    static const char *const cases[] = {
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "239.1.2.3",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "ff02::1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
        "2001:0:1::1",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd20:ce::254",
    };

    load(HEAD "    - target: 0.0.0.0/0\n    - target: '::/0'\n");
    has(judge("8.8.8.8 2001:db8::1"), "ok: ");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        has(judge(cases[i]), "not allowed: ");
        has(judge(cases[i]), "need an entry that names them, a wider one does not do");
    }
    /* What a socket would fold to 127.0.0.1. */
    has(judge("::fffe:ffff:ffff/112"), "ok: ");
    has(judge("::1:0:0:0/112"), "ok: ");
    has(judge("0.0.0.0/0"), "0.0.0.0/8 is not allowed: addresses of this network");
    has(judge("::/64"), ":: is not allowed: the unspecified address");
}

static void hard_denials_are_lifted_by_an_entry_inside(void)
{
    load(HEAD "    - target: 169.254.0.0/16\n    - target: 224.0.0.5\n    - target: 'fe80::/64'\n");
    CHECK_STR(judge("169.254.169.254"), "ok: 169.254.169.254 [allow 169.254.0.0/16]");
    has(judge("224.0.0.5"), "ok: ");
    has(judge("224.0.0.6"), "not allowed");
    has(judge("fe80::5"), "ok: ");
    has(judge("fe80:1::5"), "not allowed");
    load(HEAD "    - target: 169.254.0.0-169.255.0.0\n");
    has(judge("169.255.0.0"), "ok: ");
    has(judge("169.254.0.0"), "link local and cloud metadata addresses");
}

static void own_addresses_need_an_entry_of_their_own(void)
{
    const struct asked here = {.own = "10.0.0.5 10.0.0.6 127.0.0.0/8"};
    auto_netset own = {0};

    load(HEAD "    - target: 10.0.0.0/8\n    - target: 10.0.0.6\n    - target: 127.0.0.1\n");
    has(judge_with("10.0.0.4", &here), "ok: ");
    has(judge_with("10.0.0.5", &here),
        "10.0.0.5 is not allowed: the machine's own addresses need an "
        "entry that names them");
    has(judge_with("10.0.0.5", &here), "- target: 10.0.0.5");
    has(judge_with("10.0.0.6", &here), "ok: 10.0.0.6");
    has(judge_with("127.0.0.1", &here), "ok: ");
    has(judge_with("127.0.0.2", &here), "loopback (127.0.0.0/8) need an entry");
    has(judge_with("10.0.0.0/24", &here), "10.0.0.5 is not allowed");
    load_builtin();
    has(judge_with("127.0.0.2", &here), "ok: ");
    has(judge_with("10.0.0.5", &here), "not allowed");
    CHECK_OK(own_addresses(&own, ERR));
    set_of("127.0.0.1 ::1", &own);
    CHECK(netset_count(&own) >= (1 << 24) + 1);
}

/* ---- entries ---- */

static void deny_wins_and_names_its_line(void)
{
    load(HEAD "    - {target: 10.20.0.0/16, note: production, authorised_by: 'J. Doe'}\n"
              "    - target: 10.21.0.0/16\n"
              "  deny:\n"
              "    - {target: 10.20.9.0/24, note: payment}\n"
              "    - target: 10.20.200.0-10.21.3.255\n");
    CHECK_STR(judge("10.20.8.1"), "ok: 10.20.8.1 [allow 10.20.0.0/16 (production)]");
    CHECK_STR(judge("10.20.9.1"),
              "10.20.9.1 is not allowed: scope.deny has 10.20.9.0/24 (payment), "
              "line 7 of scope.yaml, and deny wins; take it out of the targets");
    has(judge("10.20.0.0/16"), "10.20.9.0/24 is not allowed");
    has(judge("10.21.0.0/16"), "10.21.0.0/22 is not allowed");
    has(judge("10.21.4.0/24 10.20.1.0/24"), "[allow 10.20.0.0/16 (production), +1 more]");
    CHECK_STR(judge_with("10.20.8.0/23", &(struct asked){.clip = true}),
              "ok: 10.20.8.0/24 [allow 10.20.0.0/16 (production)]");
    has(judge_with("10.20.9.0/24", &(struct asked){.clip = true}), "10.20.9.0/24 is not allowed");
}

static void touching_and_overlapping_entries_are_one_scope(void)
{
    load(HEAD "    - target: 10.0.0.0/25\n    - target: 10.0.0.128/25\n"
              "    - target: 10.0.0.64-10.0.1.9\n    - target: '2001:db8::/48'\n"
              "    - target: '2001:db8:1::/48'\n");
    has(judge("10.0.0.0-10.0.1.9"), "ok: 10.0.0.0-10.0.1.9");
    has(judge("10.0.0.0-10.0.1.10"), "10.0.1.10 is not allowed");
    has(judge("2001:db8:0:ffff:ffff:ffff:ffff:ffff 2001:db8:1::"), "ok: ");
    has(judge("2001:db8:2::"), "not allowed");
}

static void entries_expire_at_the_end_of_their_last_day(void)
{
    const int64_t day = INT64_C(86400) * 1000000;
    int64_t end;

    load(HEAD "    - {target: 10.0.0.0/8, expires: 2026-01-31}\n"
              "    - {target: 192.168.0.0/16, expires: '2026-01-31T18:00:00+02:00'}\n"
              "    - {target: 10.0.0.7}\n");
    CHECK(rfc3339_parse("2026-02-01", &end));
    has(judge_with("10.1.1.1", &(struct asked){.now_us = end - 1}), "ok: ");
    CHECK_STR(
        judge_with("10.1.1.1", &(struct asked){.now_us = end}),
        "10.1.1.1 is not allowed: the entry 10.0.0.0/8 expired at 2026-02-01T00:00:00Z; renew "
        "'expires' in line 4 of scope.yaml and reload");
    has(judge_with("10.0.0.7", &(struct asked){.now_us = end + 900 * day}), "ok: ");
    CHECK(rfc3339_parse("2026-01-31T16:00:00Z", &end));
    has(judge_with("192.168.0.1", &(struct asked){.now_us = end - 1}), "ok: ");
    has(judge_with("192.168.0.1", &(struct asked){.now_us = end}), "expired");
}

static void names_go_where_they_may_resolve_to(void)
{
    load(HEAD "    - {target: www.example.org, within: [192.0.2.0/24, '2001:db8::/64']}\n"
              "    - {target: old.example, within: [192.0.2.0/24], expires: 2020-01-01}\n"
              "    - {target: lo.example, within: [127.0.0.0/8]}\n"
              "    - {target: wide.example, within: [0.0.0.0/0]}\n"
              "    - target: 10.0.0.0/8\n"
              "  deny:\n"
              "    - target: 192.0.2.66\n"
              "    - target: evil.example\n");
    has(judge("www.example.org"), "ok: [allow www.example.org]");
    has(judge("other.example"), "ok: ");
    has(judge_with("WWW.example.org.", &(struct asked){.pins = "www.example.org=192.0.2.7"}),
        "ok: 192.0.2.7 [allow www.example.org]");
    has(judge_with("www.example.org",
                   &(struct asked){.pins = "www.example.org=192.0.2.7+10.0.0.1"}),
        "ok: 10.0.0.1 192.0.2.7");
    has(judge_with("www.example.org",
                   &(struct asked){.pins = "www.example.org=192.0.2.7+198.51.100.1"}),
        "www.example.org resolves to 198.51.100.1, which is not in 'within' of its entry in line "
        "4");
    has(judge_with("www.example.org", &(struct asked){.pins = "www.example.org=192.0.2.66"}),
        "www.example.org: 192.0.2.66 is not allowed: scope.deny has 192.0.2.66, line 10");
    has(judge_with("other.example", &(struct asked){.pins = "other.example=10.0.0.3"}),
        "ok: 10.0.0.3");
    has(judge_with("other.example", &(struct asked){.pins = "other.example=192.0.2.7"}),
        "other.example: 192.0.2.7 is not allowed: no entry");
    has(judge_with("old.example", &(struct asked){.pins = "old.example=192.0.2.7"}), "not allowed");
    has(judge("evil.example"), "evil.example is not allowed: scope.deny has it, line 11");
    has(judge_with("evil.example", &(struct asked){.pins = "evil.example=10.0.0.1"}),
        "not allowed");
    has(judge_with("lo.example", &(struct asked){.pins = "lo.example=127.0.0.1"}), "ok: 127.0.0.1");
    has(judge_with("wide.example", &(struct asked){.pins = "wide.example=8.8.8.8"}), "ok: 8.8.8.8");
    has(judge_with("wide.example", &(struct asked){.pins = "wide.example=169.254.169.254"}),
        "not in 'within'");
    has(judge("192.0.2.7"), "not allowed"); /* by its address alone it is not */
    has(judge_with("www.example.org other.example",
                   &(struct asked){.pins = "www.example.org=192.0.2.7,other.example=8.8.8.8",
                                   .clip = true}),
        "ok: 192.0.2.7 [allow www.example.org]");
}

static void ranges_are_checked_with_those_of_names(void)
{
    auto_netset good = {0}, bad = {0}, own = {0};

    load(HEAD "    - {target: www.example.org, within: [192.0.2.0/24]}\n"
              "    - {target: 10.0.0.0/8, expires: 2026-01-01}\n"
              "  deny:\n    - target: 10.3.0.0/16\n");
    set_of("192.0.2.5 10.1.0.0/16", &good);
    set_of("10.2.0.0-10.3.0.0", &bad);
    set_of("10.1.2.3", &own);
    CHECK_OK(policy_check_ranges(policy, &good, NULL, noon, ERR));
    CHECK_ERR(policy_check_ranges(policy, &bad, NULL, noon, ERR), ERR_SCOPE);
    has(tap_err.msg, "10.3.0.0 is not allowed");
    CHECK_ERR(policy_check_ranges(policy, &good, &own, noon, ERR), ERR_SCOPE);
    has(tap_err.msg, "10.1.2.3 is not allowed");
    CHECK_ERR(policy_check_ranges(policy, &good, NULL, noon + INT64_C(86400000000), ERR),
              ERR_SCOPE);
    has(tap_err.msg, "expired");
}

/* ---- policies ---- */

static void rules_are_those_of_the_key(void)
{
    const struct policy_rules *r;

    load(HEAD "    - target: 10.0.0.0/8\n"
              "policies:\n"
              "  - name: night\n"
              "    tools: [nmap]\n"
              "    options: advanced\n"
              "    scripts: aggressive\n"
              "    script_flags: [dos, brute]\n"
              "    max_addresses: 256\n"
              "    max_probes: 1000\n"
              "    max_concurrent: 2\n"
              "    dns: 10.0.0.53\n"
              "    limits: {wall_s: 60, rate_pps: 500}\n"
              "keys:\n"
              "  - {key: night-scanner, policy: night}\n"
              "  - {key: other, policy: default}\n");
    r = policy_rules(policy, "k_1", "night-scanner");
    CHECK_STR(r->name, "night");
    CHECK(policy_rules(policy, "night-scanner", NULL) == r);
    CHECK(r->advanced && r->has_dns && r->scripts == SCRIPTS_AGGRESSIVE);
    CHECK_INT(r->script_flags, SCRIPT_DOS | SCRIPT_BRUTE);
    CHECK_INT(r->max_concurrent, 2);
    CHECK_INT(r->limits.wall_s, 60);
    CHECK_INT(r->limits.rate_pps, 500);
    CHECK_STR(r->tools[0], "nmap");
    r = policy_rules(policy, NULL, NULL);
    CHECK_STR(r->name, "default");
    CHECK(policy_rules(policy, "x", "other") == r);
    CHECK(!r->advanced && !r->tools && !r->ports && r->scripts == SCRIPTS_SAFE && !r->has_dns);
    CHECK_INT(r->max_addresses, 65536);
    CHECK_INT(r->max_probes, 16777216);
    CHECK_INT(r->script_flags, 0);
    has(judge_with("10.0.0.0/24", &(struct asked){.key = "night-scanner"}), "ok: ");
    CHECK_STR(judge_with("10.0.0.0-10.0.1.0", &(struct asked){.key = "night-scanner"}),
              "policy 'night' allows 256 addresses in one scan, these are 257; split the scan or "
              "raise 'max_addresses'");
    has(judge_with("10.0.0.0/30", &(struct asked){.key = "night-scanner", .n_ports = 250}), "ok: ");
    has(judge_with("10.0.0.0/30", &(struct asked){.key = "night-scanner", .n_ports = 251}),
        "allows 1000 probes (addresses x ports) in one scan, these are 4 x 251");
    has(judge_with("10.0.0.1", &(struct asked){.key = "night-scanner", .tool = "zmap"}),
        "policy 'night' does not allow the tool zmap");
    has(judge_with("10.0.0.1", &(struct asked){.tool = "zmap"}), "ok: ");
}

static void a_policy_named_default_is_for_all_other_keys(void)
{
    load(HEAD "    - target: '::/0'\npolicies:\n  - {name: default, max_addresses: 1099511627776, "
              "max_probes: 72057594037927936}\n  - {name: a}\n");
    CHECK_INT(policy_rules(policy, "x", "y")->max_addresses, INT64_C(1) << 40);
    has(judge("2001:db8::/88"), "ok: ");
    has(judge("2001:db8::/64"), "these are at least 18446744073709551615;");
    has(judge("2001:db8::/60"), "these are at least ");
    has(judge_with("2001:db8::/88", &(struct asked){.n_ports = UINT32_MAX}), "max_probes");
}

static void a_policy_can_have_a_part_of_the_scope(void)
{
    const struct asked acme = {.key = "acme"}, clipped = {.key = "acme", .clip = true};

    load(HEAD "    - target: 10.0.0.0/8\n    - {target: a.example, within: [192.0.2.0/24]}\n"
              "policies:\n"
              "  - {name: part, targets: [10.1.0.0/16, 10.3.0.0/16, 172.16.0.0/12]}\n"
              "keys: [{key: acme, policy: part}]\n");
    has(judge_with("10.1.2.0/24 10.3.0.1", &acme), "ok: 10.1.2.0/24 10.3.0.1 [");
    has(judge("10.2.0.1"), "ok: ");
    CHECK_STR(
        judge_with("10.1.255.255-10.2.0.3", &acme),
        "10.2.0.0/30 is not allowed: it is in the scope, but not among the 'targets' of policy "
        "'part'; leave it out, or add it there");
    has(judge_with("172.16.0.1", &acme), "no entry of scope.allow covers it");
    has(judge_with("10.1.255.255-10.2.0.3", &clipped), "ok: 10.1.255.255 [");
    has(judge_with("10.2.0.0/24", &clipped), "10.2.0.0/24 is not allowed");
    has(judge_with("a.example", &(struct asked){.key = "acme", .pins = "a.example=192.0.2.1"}),
        "192.0.2.1 is not allowed: it is in the scope");
    has(judge_with("a.example", &acme), "ok: ");
}

static void ports_outside_the_policy_are_refused(void)
{
    load(HEAD "    - target: 10.0.0.0/8\n"
              "policies:\n"
              "  - {name: default, ports: \"22,T:80-90,U:53\"}\n");
    has(judge_with("10.0.0.1", &(struct asked){.ports = "22,80-90", .n_ports = 12}), "ok: ");
    has(judge_with("10.0.0.1", &(struct asked){.ports = "T:85,U:53,22", .n_ports = 3}), "ok: ");
    CHECK_STR(judge_with("10.0.0.1", &(struct asked){.ports = "22,91", .n_ports = 2}),
              "policy 'default' does not allow port T:91, only 22,T:80-90,U:53; leave it out or "
              "change its 'ports'");
    has(judge_with("10.0.0.1", &(struct asked){.ports = "U:80", .n_ports = 1}), "port U:80");
    has(judge_with("10.0.0.1", &(struct asked){.ports = "53", .n_ports = 1}), "port T:53");
    has(judge_with("10.0.0.1", &(struct asked){.ports = "53", .n_ports = 1, .protocols = ASK_UDP}),
        "ok: ");
    has(judge_with("10.0.0.1",
                   &(struct asked){.ports = "22", .n_ports = 2, .protocols = ASK_TCP | ASK_UDP}),
        "ok: ");
    has(judge_with("10.0.0.1",
                   &(struct asked){.ports = "53", .n_ports = 2, .protocols = ASK_TCP | ASK_UDP}),
        "port T:53");
    has(judge_with("10.0.0.1", &(struct asked){.n_ports = 1000}), "name the ports to scan");
    has(judge_with("10.0.0.1", &(struct asked){.n_ports = 0}), "ok: ");
    has(judge_with("10.0.0.1", &(struct asked){.ports = "22,", .n_ports = 1}), "not allow port");
}

/* ---- windows ---- */

/* When the window opens, RFC 3339; "open". `spec` is windows and timezone. */
static const char *opens(const char *spec, const char *now)
{
    static char text[RFC3339_LEN + 1];
    auto_buf b = {0};
    auto_targets t = {0};
    struct policy_verdict v = {0};
    struct policy_ask ask = {.targets = &t};

    buf_addf(&b, HEAD "    - target: 10.0.0.0/8\npolicies:\n  - {name: default, %s}\n", spec);
    load(b.data);
    targets_of("10.0.0.1", &t);
    CHECK(rfc3339_parse(now, &ask.now_us));
    CHECK_OK(policy_judge(policy, &ask, &v, ERR));
    snprintf(text, sizeof text, "open");
    if (v.wait_until_us) {
        rfc3339_us(v.wait_until_us, text);
        text[19] = '\0';
    }
    policy_verdict_done(&v);
    return text;
}

static void jobs_wait_for_their_window(void)
{
    static const char *const night = "windows: ['Mon-Fri 22:00-06:00'], timezone: UTC";
    static const char *const weekend = "windows: ['Sat,Sun 00:00-24:00']";

    CHECK_STR(opens(night, "2026-01-01T21:59:59Z"), "2026-01-01T22:00:00"); /* a Thursday */
    CHECK_STR(opens(night, "2026-01-01T22:00:00Z"), "open");
    CHECK_STR(opens(night, "2026-01-02T05:59:59Z"), "open");
    CHECK_STR(opens(night, "2026-01-02T06:00:00Z"), "2026-01-02T22:00:00");
    CHECK_STR(opens(night, "2026-01-03T05:59:00Z"), "open"); /* Friday's night */
    CHECK_STR(opens(night, "2026-01-03T06:00:00Z"), "2026-01-05T22:00:00");
    CHECK_STR(opens(night, "2026-01-04T23:00:00Z"), "2026-01-05T22:00:00");
    CHECK_STR(opens(night, "2026-01-05T01:00:00Z"), "2026-01-05T22:00:00"); /* no Sunday night */
    CHECK_STR(opens(weekend, "2026-01-03T00:00:00Z"), "open");
    CHECK_STR(opens(weekend, "2026-01-04T23:59:59Z"), "open");
    CHECK_STR(opens(weekend, "2026-01-05T00:00:00Z"), "2026-01-10T00:00:00");
    CHECK_STR(opens("windows: ['Sun 23:00-01:00']", "2026-01-05T00:30:00Z"), "open");
    CHECK_STR(opens("windows: ['Fri-Mon 10:00-11:00']", "2026-01-06T10:00:00Z"),
              "2026-01-09T10:00:00");
    CHECK_STR(opens("windows: ['Mon 10:00-11:00', 'Tue 09:00-10:00']", "2026-01-05T11:00:00Z"),
              "2026-01-06T09:00:00");
    CHECK_STR(opens("windows: ['Thu 00:00-01:00'], timezone: '+02:00'", "2025-12-31T21:59:00Z"),
              "2025-12-31T22:00:00");
    CHECK_STR(opens("windows: ['Thu 00:00-01:00'], timezone: '+02:00'", "2025-12-31T22:30:00Z"),
              "open");
    CHECK_STR(opens("windows: ['Thu 00:00-01:00'], timezone: '-03:30'", "2026-01-01T03:30:00Z"),
              "open");
    CHECK_STR(opens("windows: ['Thu 00:00-01:00'], timezone: '-03:30'", "2026-01-01T03:29:59Z"),
              "2026-01-01T03:30:00");
    CHECK_STR(opens("windows: ['Wed 23:00-24:00']", "1969-12-31T23:30:00Z"), "open");
}

/* ---- bad files ---- */

static void bad_files_are_refused_with_line_and_reason(void)
{
    static const char *const cases[][2] = {
        {"", "scope.yaml:1:1: the file is empty; it begins with 'version: 1'"},
        {"# only a comment\n", "scope.yaml:1:1: the file is empty; it begins with 'version: 1'"},
        {"42\n", "scope.yaml:1:1: the file must be a mapping ('key: value' lines)"},
        {"version: 1\n", "scope.yaml:1:1: 'scope' is missing in the file"},
        {"scope: {allow: []}\n", "scope.yaml:1:1: 'version' is missing in the file"},
        {"version: 2\nscope: {allow: []}\n", "scope.yaml:1:10: 'version' must be 1"},
        {"version: 1\nversion: 1\n", "scope.yaml:2:1: 'version' is given twice in the file"},
        {"version: 1\nscop: {}\n",
         "scope.yaml:2:1: unknown key 'scop' in the file; did you mean 'scope'?"},
        {"version: 1\nscope: {}\n", "scope.yaml:2:8: 'allow' is missing in scope"},
        {"version: 1\nscope: {allow: {}}\n",
         "scope.yaml:2:16: scope.allow must be a list of entries"},
        {"version: 1\nscope: {allow: []}\n---\nversion: 1\n",
         "scope.yaml:3:1: a second document ('---') is not accepted"},
        {"version: 1\nscope: &a {allow: []}\n", "scope.yaml:2:8: anchors (&name) are not accepted"},
        {"version: 1\nscope: *a\n",
         "scope.yaml:2:8: aliases (*name) are not accepted; write it out"},
        {"version: !!int 1\n", "scope.yaml:1:10: tags (!name) are not accepted"},
        {"version: 1\nscope: {[a]: b}\n", "scope.yaml:2:9: a key of scope must be a word"},
        {"version: 1\nx: [[[[[[[[[1]]]]]]]]]\n", "scope.yaml:2:11: nested too deeply"},
        {"version: 1\nscope:\n\tallow: []\n",
         "scope.yaml:3:1: while scanning for the next token: found character that cannot start any "
         "token"},
        {"version: 1\nscope: {allow: [}\n",
         "scope.yaml:2:17: while parsing a flow node: did not find "
         "expected node content"},
        {"version: 1\nnote: \"a\xff\"\n", "scope.yaml:2:9: invalid leading UTF-8 octet"},
        {"version: \"1\\0\"\n", "scope.yaml:1:10: control characters are not accepted in values"},
        {"version: \"\\e[31m\"\n",
         "scope.yaml:1:10: control characters are not accepted in values"},
        {HEAD "    - 10.0.0.0/8\n",
         "scope.yaml:4:7: an entry is a mapping: '- target: 10.20.0.0/16'"},
        {HEAD "    - {}\n", "scope.yaml:4:7: 'target' is missing in an entry of scope.allow"},
        {HEAD "    - {target: 10.0.0.1/8}\n",
         "scope.yaml:4:16: '10.0.0.1/8' has bits behind the prefix; write 10.0.0.0/8"},
        {HEAD "    - {target: 010.0.0.0/8}\n",
         "scope.yaml:4:16: '010.0.0.0/8' is not an address, a prefix (10.0.0.0/8) or a range "
         "(10.0.0.1-10.0.0.9)"},
        {HEAD "    - {target: 10.0.0.1-5}\n",
         "scope.yaml:4:16: '10.0.0.1-5' is not an address, a prefix (10.0.0.0/8) or a range "
         "(10.0.0.1-10.0.0.9)"},
        {HEAD "    - {target: '::ffff:10.0.0.1'}\n",
         "scope.yaml:4:16: '::ffff:10.0.0.1' is not an address, a prefix (10.0.0.0/8) or a range "
         "(10.0.0.1-10.0.0.9)"},
        {HEAD "    - {target: 0x7f.1}\n", "scope.yaml:4:16: '0x7f.1': a number, not a host name; "
                                          "write an IPv4 address as four decimal "
                                          "octets"},
        {HEAD "    - {target: [10.0.0.1]}\n",
         "scope.yaml:4:16: 'target' must be an address, a prefix, "
         "a range or a host name"},
        {HEAD "    - {target: a.example}\n", "scope.yaml:4:16: a host name needs 'within': the "
                                             "prefixes that it may resolve to, such as "
                                             "within: [192.0.2.0/24]"},
        {HEAD "    - {target: a.example, within: []}\n",
         "scope.yaml:4:35: 'within' must be a list of 1 to 64 prefixes or ranges"},
        {HEAD "    - {target: a.example, within: [b.example]}\n",
         "scope.yaml:4:36: 'b.example' is not an address, a prefix (10.0.0.0/8) or a range "
         "(10.0.0.1-10.0.0.9)"},
        {HEAD "    - {target: 10.0.0.1, within: [10.0.0.0/8]}\n",
         "scope.yaml:4:34: 'within' is for host names of scope.allow"},
        {HEAD "    - {target: 10.0.0.1, expire: 2027-01-01}\n",
         "scope.yaml:4:26: unknown key 'expire' in an entry of scope.allow; did you mean "
         "'expires'?"},
        {HEAD "    - {target: 10.0.0.1, target: 10.0.0.2}\n",
         "scope.yaml:4:26: 'target' is given twice in an entry of scope.allow"},
        {HEAD "    - {target: 10.0.0.1, expires: 2027-02-31}\n",
         "scope.yaml:4:35: 'expires' must be the last day (2027-01-31) or an RFC 3339 time "
         "(2027-01-31T18:00:00Z)"},
        {HEAD "    - {target: 10.0.0.1, expires: tomorrow}\n",
         "scope.yaml:4:35: 'expires' must be the last day (2027-01-31) or an RFC 3339 time "
         "(2027-01-31T18:00:00Z)"},
        {HEAD "    - {target: 10.0.0.1, note: ''}\n",
         "scope.yaml:4:32: 'note' must be text of 1 to 200 bytes"},
        {HEAD
         "    - target: 10.0.0.0/8\n  deny:\n    - {target: 10.1.0.0/16, expires: 2027-01-01}\n",
         "scope.yaml:6:38: entries of scope.deny do not expire; remove the entry when it is no "
         "longer "
         "wanted"},
        {HEAD "    - target: 10.0.0.0/8\n  deny:\n    - target: 10.0.0.0-10.255.255.255\n",
         "scope.yaml:6:7: 10.0.0.0/8 is in scope.deny here and in scope.allow in line 4; remove "
         "one"},
        {HEAD
         "    - {target: a.example, within: [10.0.0.0/8]}\n  deny:\n    - target: A.example.\n",
         "scope.yaml:6:7: a.example is in scope.deny here and in scope.allow in line 4; remove "
         "one"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy *p = NULL;

        CHECK_ERR(policy_parse(cases[i][0], strlen(cases[i][0]), "scope.yaml", &p, ERR),
                  ERR_INVALID);
        CHECK(!p);
        CHECK_STR(tap_err.msg, cases[i][1]);
    }
}

#define RULES "version: 1\nscope: {allow: []}\npolicies:\n"

static void bad_policies_are_refused_with_line_and_reason(void)
{
    static const char *const cases[][2] = {
        {RULES "  - {}\n", "4:5: 'name' is missing in a policy"},
        {RULES "  - {name: 'a b'}\n", "4:12: 'name' must be a name of at most 64"},
        {RULES "  - {name: a, name: b}\n", "4:15: 'name' is given twice in a policy"},
        {RULES "  - {name: a, tool: [nmap]}\n",
         "4:15: unknown key 'tool' in a policy; did you mean "
         "'tools'?"},
        {RULES "  - {name: a, tools: [nmpa]}\n", "4:23: there is no such tool"},
        {RULES "  - {name: a, targets: []}\n", "4:24: 'targets' must be a list of 1 to 4096"},
        {RULES "  - {name: a, targets: [a.example]}\n", "4:25: 'a.example' is not an address"},
        {RULES "  - {name: a, tools: []}\n", "4:22: 'tools' must be a list of 1 to 64 words"},
        {RULES "  - {name: a, tools: nmap}\n", "4:22: 'tools' must be a list"},
        {RULES "  - {name: a, options: all}\n", "4:24: 'options' must be standard or advanced"},
        {RULES "  - {name: a, scripts: all}\n", "4:24: 'scripts' must be none, safe, standard or"},
        {RULES "  - {name: a, script_flags: [fuzzer]}\n", "4:30: 'script_flags' has words of dos"},
        {RULES "  - {name: a, ports: 22-21}\n", "4:22: 'ports' must be a list such as"},
        {RULES "  - {name: a, ports: '65536'}\n", "4:22: 'ports' must be a list such as"},
        {RULES "  - {name: a, ports: '22,'}\n", "4:22: 'ports' must be a list such as"},
        {RULES "  - {name: a, max_addresses: 0}\n",
         "4:30: 'max_addresses' must be a number from 1 to"},
        {RULES "  - {name: a, max_addresses: -1}\n", "4:30: 'max_addresses' must be a number"},
        {RULES "  - {name: a, max_probes: 1e6}\n", "4:27: 'max_probes' must be a number"},
        {RULES "  - {name: a, max_concurrent: 65536}\n",
         "4:31: 'max_concurrent' must be a number from "
         "0 to 65535"},
        {RULES "  - {name: a, windows: []}\n", "4:24: an empty 'windows' never opens"},
        {RULES "  - {name: a, windows: ['Mon 10:00-10:00']}\n", "4:25: the window never opens"},
        {RULES "  - {name: a, windows: ['Mon 24:00-06:00']}\n",
         "4:25: a window cannot begin at 24:00"},
        {RULES "  - {name: a, windows: ['Mon 10:00-24:30']}\n", "4:25: a window is written as"},
        {RULES "  - {name: a, windows: ['Mond 10:00-11:00']}\n", "4:25: a window is written as"},
        {RULES "  - {name: a, windows: ['10:00-11:00']}\n", "4:25: a window is written as"},
        {RULES "  - {name: a, windows: ['Mon 1:00-2:00']}\n", "4:25: a window is written as"},
        {RULES "  - {name: a, timezone: Europe/Berlin}\n",
         "4:25: 'timezone' must be UTC or an offset"},
        {RULES "  - {name: a, timezone: '+15:00'}\n", "4:25: 'timezone' must be UTC or an offset"},
        {RULES "  - {name: a, dns: resolver.example}\n",
         "4:20: 'dns' must be none or the IP address"},
        {RULES "  - {name: a, limits: 3}\n", "4:23: 'limits' must be a mapping"},
        {RULES "  - {name: a, limits: {wall: 3}}\n", "4:24: no such limit"},
        {RULES "  - {name: a, limits: {wall_s: 0}}\n", "4:32: 'wall_s' must be a number from 1 to"},
        {RULES "  - {name: a, limits: {wall_s: 1, wall_s: 2}}\n", "4:35: 'wall_s' is given twice"},
        {RULES "  - {name: a}\n  - {name: b}\n  - {name: a}\n",
         "6:5: the policy 'a' is there already, in "
         "line 4"},
        {RULES "  - {name: a}\nkeys:\n  - {key: k, policy: b}\n", "6:22: there is no policy 'b'"},
        {RULES "  - {name: a}\nkeys:\n  - {key: k, policy: a}\n  - {key: k, policy: a}\n",
         "the key 'k' is given twice, also in line"},
        {RULES "  - {name: a}\nkeys:\n  - {key: k}\n",
         "6:5: 'policy' is missing in an entry of keys"},
        {RULES "  - {name: a}\nkeys: {k: a}\n", "5:7: keys must be a list"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy *p = NULL;

        CHECK_ERR(policy_parse(cases[i][0], strlen(cases[i][0]), "scope.yaml", &p, ERR),
                  ERR_INVALID);
        has(tap_err.msg, cases[i][1]);
    }
}

/* ---- files ---- */

static char *write_file(const char *text, size_t n, mode_t mode)
{
    char *path = str_fmt("%s/scope.yaml", test_dir());
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && write(fd, text, n) == (ssize_t)n && fchmod(fd, mode) == 0);
    return path;
}

static void files_that_others_can_write_are_refused(void)
{
    static const char text[] = "version: 1\nscope: {allow: [{target: 10.0.0.0/8}]}\n";
    static const mode_t bad[] = {0620, 0602, 0666};
    struct policy *p = NULL;
    auto_free char *path = write_file(text, sizeof text - 1, 0644);
    auto_free char *big = xcalloc(1 << 21, 1);

    CHECK_OK(policy_load(path, geteuid(), &p, ERR));
    CHECK_STR(policy_source(p), path);
    CHECK(policy_ref(p) == p);
    policy_unref(p);
    policy_unref(p);
    p = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK(chmod(path, bad[i]) == 0);
        CHECK_ERR(policy_load(path, geteuid(), &p, ERR), ERR_INVALID);
        has(tap_err.msg, "chmod go-w");
    }
    CHECK(chmod(path, 0600) == 0);
    if (geteuid() == 0) {
        CHECK(chown(path, 12345, (gid_t)-1) == 0);
        CHECK_OK(policy_load(path, 12345, &p, ERR));
        policy_unref(p);
        p = NULL;
        CHECK_ERR(policy_load(path, 54321, &p, ERR), ERR_INVALID);
        has(tap_err.msg, "belongs to user 12345");
        CHECK(unlink(path) == 0);
    }
    memset(big, '#', 1 << 21);
    free(path);
    path = write_file(big, (1 << 20) + 1, 0600);
    CHECK_ERR(policy_load(path, geteuid(), &p, ERR), ERR_INVALID);
    has(tap_err.msg, "larger than 1 MiB");
    CHECK_ERR(policy_load(test_dir(), geteuid(), &p, ERR), ERR_INVALID);
    has(tap_err.msg, "not a file");
    CHECK(unlink(path) == 0);
    CHECK_ERR(policy_load(path, geteuid(), &p, ERR), ERR_NOT_FOUND);
    CHECK(mkfifo(path, 0600) == 0);
    CHECK_ERR(policy_load(path, geteuid(), &p, ERR), ERR_INVALID);
    CHECK(unlink(path) == 0);
    CHECK(!p);
}

/* ---- against a model ---- */

enum { PLACES = 64, ENTRIES = 6 };

static uint64_t seed = 0x9e3779b97f4a7c15;

static unsigned dice(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % n;
}

/* Half of them before 169.254.0.0, half in that hard denied range. */
static struct net_ip place(unsigned i)
{
    return (struct net_ip){.lo = 0xa9fe0000 - PLACES / 2 + i};
}

struct span {
    unsigned first, last;
    bool expired;
};

static struct span span_dice(void)
{
    struct span s = {.first = dice(PLACES), .expired = dice(4) == 0};

    s.last = s.first + dice(PLACES - s.first);
    return s;
}

static bool span_in(const struct span *s, unsigned i)
{
    return s->first <= i && i <= s->last;
}

/* As the documentation says it, entry by entry. */
static bool model_allows(const struct span *allow, const struct span *deny, const bool *own,
                         unsigned i)
{
    bool yes = false;

    for (unsigned k = 0; k < ENTRIES; k++) {
        bool all_own = true;

        for (unsigned m = allow[k].first; m <= allow[k].last; m++) {
            all_own = all_own && own[m];
        }
        yes |= !allow[k].expired && span_in(&allow[k], i) &&
               (i < PLACES / 2 || allow[k].first >= PLACES / 2) && (!own[i] || all_own);
    }
    return yes && !span_in(&deny[0], i) && !span_in(&deny[1], i);
}

static void span_text(const struct span *s, struct buf *out)
{
    struct net_range r = {place(s->first), place(s->last)};
    char first[NET_TEXT], last[NET_TEXT];

    net_ip_text(&r.first, first);
    net_ip_text(&r.last, last);
    buf_addf(out, "    - {target: %s-%s%s}\n", first, last,
             s->expired ? ", expires: 2020-01-01" : "");
}

static bool spans_equal(const struct span *allow, const struct span *deny)
{
    for (unsigned i = 0; i < ENTRIES * 2; i++) {
        const struct span *a = &allow[i / 2], *d = &deny[i % 2];

        if (a->first == d->first && a->last == d->last) {
            return true;
        }
    }
    return false;
}

static void one_random_scope(void)
{
    struct span allow[ENTRIES], deny[2], mine = span_dice();
    bool own[PLACES] = {false};
    auto_buf b = {0};
    auto_netset own_set = {0}, want = {0};
    auto_targets t = {0};
    struct policy_verdict v = {0};
    struct net_range all = {place(0), place(PLACES - 1)}, r;
    struct err e;

    for (unsigned i = 0; i < ENTRIES; i++) {
        allow[i] = span_dice();
    }
    deny[0] = span_dice();
    deny[1] = span_dice();
    deny[0].last = MIN(deny[0].last, deny[0].first + 5);
    deny[1].last = MIN(deny[1].last, deny[1].first + 5);
    deny[0].expired = deny[1].expired = false;
    if (spans_equal(allow, deny)) {
        return; /* a contradiction, refused */
    }
    buf_adds(&b, HEAD);
    for (unsigned i = 0; i < ENTRIES; i++) {
        span_text(&allow[i], &b);
    }
    buf_adds(&b, "  deny:\n");
    span_text(&deny[0], &b);
    span_text(&deny[1], &b);
    load(b.data);
    r = (struct net_range){place(mine.first), place(mine.last)};
    netset_add(&own_set, &r);
    for (unsigned i = 0; i < PLACES; i++) {
        own[i] = span_in(&mine, i);
    }
    for (unsigned i = 0; i < PLACES; i++) {
        auto_netset one = {0};
        bool yes = model_allows(allow, deny, own, i);

        r = (struct net_range){place(i), place(i)};
        netset_add(&one, &r);
        CHECK_INT(policy_check_ranges(policy, &one, &own_set, noon, ERR), yes ? 0 : ERR_SCOPE);
        if (yes) {
            netset_add(&want, &r);
        }
    }
    netset_add(&t.addresses, &all);

    const struct policy_ask ask = {.targets = &t, .own = &own_set, .now_us = noon, .clip = true};

    CHECK_INT(policy_judge(policy, &ask, &v, &e), want.n ? 0 : ERR_SCOPE);
    CHECK(netset_equal(&v.allowed, &want));
    policy_verdict_done(&v);
}

static void random_scopes_allow_what_the_rules_say_one_by_one(void)
{
    for (unsigned i = 0; i < 400; i++) {
        one_random_scope();
    }
}

/* ---- views ---- */

static void the_view_is_json_and_warnings_have_lines(void)
{
    auto_buf b = {0};
    auto_strvec warnings = {0};
    static const char *const want[] = {
        "scope.yaml:4: 10.0.0.0/8 expired at 2020-01-02T00:00:00Z and allows nothing",
        "scope.yaml:5: 10.1.0.0/16 expires at 2026-01-06T00:00:00Z, in less than two weeks",
        "scope.yaml:6: 10.2.0.0/16 allows nothing: scope.deny or a hard denial has all of it",
        "scope.yaml:8: no key has the policy 'a'",
    };

    load(HEAD "    - {target: 10.0.0.0/8, note: \"a \\\"note\\\"\", expires: 2020-01-01}\n"
              "    - {target: 10.1.0.0/16, expires: 2026-01-05}\n"
              "    - {target: 10.2.0.0/16}\n"
              "  deny: [{target: 10.2.0.0/15}]\n"
              "policies: [{name: a, windows: ['Mon 10:00-11:00'], dns: '::1', ports: '1'}]\n");
    policy_json(policy, noon, &b);

    json_t *doc = json_loadb(b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *allow = json_object_get(json_object_get(doc, "scope"), "allow");
    json_t *policies = json_object_get(doc, "policies");

    CHECK_INT(json_array_size(allow), 3);
    CHECK(json_is_true(json_object_get(json_array_get(allow, 0), "expired")));
    CHECK(json_is_false(json_object_get(json_array_get(allow, 1), "expired")));
    CHECK_STR(json_string_value(json_object_get(json_array_get(allow, 0), "note")), "a \"note\"");
    CHECK_INT(json_array_size(policies), 2);
    CHECK_STR(json_string_value(json_object_get(json_array_get(policies, 0), "dns")), "::1");
    CHECK_STR(json_string_value(json_object_get(json_array_get(policies, 1), "name")), "default");
    json_decref(doc);
    policy_warnings(policy, noon, &warnings);
    CHECK_INT(warnings.n, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        CHECK_STR(warnings.v[i], want[i]);
    }
}

/* ---- checkouts ---- */

#define SCOPE "version: 1\nscope:\n  allow: []\n"

/* The proxy's entry, or why there is none. Borrowed. */
static const char *repository(const char *host, uint16_t port, bool ssh)
{
    static char out[600];
    auto_buf entry = {0};
    struct err e = {0};
    int rc = policy_repository(policy, host, port, ssh, &entry, &e);

    CHECK(rc == 0 || rc == ERR_SCOPE);
    snprintf(out, sizeof out, "%s", rc == 0 ? entry.data : e.msg);
    return out;
}

static void checkouts_come_from_hosts_with_global_addresses_by_default(void)
{
    load(SCOPE);
    CHECK_STR(repository("github.com", 443, false), "github.com:443");
    CHECK_STR(repository("github.com", 22, true), "github.com:22");
    has(repository("github.com", 8443, false), "another port needs an entry");
    has(repository("10.0.0.1", 443, false), "an address needs an entry");
    has(repository("169.254.169.254", 443, false), "an address needs an entry");
}

static void checkouts_come_from_listed_hosts_alone_where_there_is_a_list(void)
{
    load(SCOPE "repositories:\n"
               "  - host: '*.example.org'\n"
               "  - {host: git.internal, port: 8443, within: [10.20.0.0/16, 'fc00::/64']}\n"
               "  - {host: 127.0.0.1, port: 9000, within: [127.0.0.1]}\n");
    CHECK_STR(repository("a.example.org", 443, false), "a.example.org:443");
    CHECK_STR(repository("a.b.example.org", 22, true), "a.b.example.org:22");
    has(repository("example.org", 443, false), "no entry of `repositories` covers it");
    has(repository("evilexample.org", 443, false), "no entry of `repositories` covers it");
    has(repository("git.internal", 443, false), "no entry of `repositories` covers it");
    CHECK_STR(repository("git.internal", 8443, false), "git.internal:8443=10.20.0.0/16,fc00::/64");
    CHECK_STR(repository("127.0.0.1", 9000, false), "127.0.0.1:9000=127.0.0.1");
    has(repository("github.com", 443, false), "add '- {host: github.com, port: 443}'");
    load(SCOPE "repositories: []\n");
    has(repository("github.com", 443, false), "no entry of `repositories` covers it");
}

static void bad_repositories_are_refused_with_line_and_reason(void)
{
    static const char *const cases[][2] = {
        {SCOPE "repositories: github.com\n", "scope.yaml:4:15: repositories must be a list"},
        {SCOPE "repositories:\n  - github.com\n", "scope.yaml:5:5: "},
        {SCOPE "repositories:\n  - {host: 'a b'}\n", "scope.yaml:5:12: 'host': "},
        {SCOPE "repositories:\n  - {host: a.b, port: 0}\n", "'port' must be a number"},
        {SCOPE "repositories:\n  - {host: a.b, within: 10.0.0.0/8}\n", "'within' must be a list"},
        {SCOPE "repositories:\n  - {port: 443}\n", "host"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy *p = NULL;

        CHECK_ERR(policy_parse(cases[i][0], strlen(cases[i][0]), "scope.yaml", &p, ERR),
                  ERR_INVALID);
        has(tap_err.msg, cases[i][1]);
    }
}

/* ---- size ---- */

static void two_thousand_targets_in_twenty_thousand_entries_are_judged(void)
{
    auto_buf b = {0};
    auto_buf asked = {0};

    buf_adds(&b, HEAD);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned k = i * 7919 % 20000;

        buf_addf(&b, "    - target: 10.%u.%u.0/26\n", k / 256, k % 256);
    }
    buf_adds(&b,
             "  deny:\n    - target: 10.3.0.0/28\npolicies:\n  - {name: default, max_addresses: "
             "10000000}\n");
    load(b.data);
    for (unsigned i = 0; i < 2000; i++) {
        buf_addf(&asked, "%s10.%u.%u.%u", i ? " " : "", i / 256, i % 256, 1 + i % 63);
    }
    has(judge(asked.data), "10.3.0.13 is not allowed: scope.deny has 10.3.0.0/28");
    has(judge("10.4.0.0/26 10.5.9.63"), "ok: ");
    has(judge("10.4.0.0/25"), "10.4.0.64/26 is not allowed");
}

TESTS(the_builtin_scope_has_loopback_and_private_ranges,
      hard_denials_are_not_lifted_by_wider_entries, hard_denials_are_lifted_by_an_entry_inside,
      own_addresses_need_an_entry_of_their_own, deny_wins_and_names_its_line,
      touching_and_overlapping_entries_are_one_scope, entries_expire_at_the_end_of_their_last_day,
      names_go_where_they_may_resolve_to, ranges_are_checked_with_those_of_names,
      rules_are_those_of_the_key, a_policy_named_default_is_for_all_other_keys,
      a_policy_can_have_a_part_of_the_scope, ports_outside_the_policy_are_refused,
      jobs_wait_for_their_window, bad_files_are_refused_with_line_and_reason,
      bad_policies_are_refused_with_line_and_reason,
      random_scopes_allow_what_the_rules_say_one_by_one, files_that_others_can_write_are_refused,
      the_view_is_json_and_warnings_have_lines,
      checkouts_come_from_hosts_with_global_addresses_by_default,
      checkouts_come_from_listed_hosts_alone_where_there_is_a_list,
      bad_repositories_are_refused_with_line_and_reason,
      two_thousand_targets_in_twenty_thousand_entries_are_judged)
