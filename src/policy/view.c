/* What is in force, for people and programs, and what is likely not meant. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "policy/internal.h"

#define SOON_US INT64_C(1209600000000) /* two weeks */

static const struct {
    const char *name;
    unsigned flag;
} flags[] = {
    {"dos", SCRIPT_DOS},           {"exploit", SCRIPT_EXPLOIT},
    {"external", SCRIPT_EXTERNAL}, {"broadcast", SCRIPT_BROADCAST},
    {"brute", SCRIPT_BRUTE},
};

/* ---- JSON ---- */

static void entry_json(struct json *j, const struct entry *en, bool deny, int64_t now_us)
{
    char text[NET_TEXT > 300 ? NET_TEXT : 300];

    json_obj(j);
    entry_text(en, text, sizeof text);
    json_str(j, "target", text);
    if (en->n_within) {
        json_arr_in(j, "within");
        for (size_t i = 0; i < en->n_within; i++) {
            net_range_text(&en->within[i], text);
            json_str(j, NULL, text);
        }
        json_end(j);
    }
    json_str(j, "note", en->note);
    json_str(j, "authorised_by", en->authorised_by);
    if (!deny) {
        json_time(j, "expires", en->expires_us == NEVER ? 0 : en->expires_us);
        json_bool(j, "expired", en->expires_us <= now_us);
    }
    json_int(j, "line", en->line);
    json_end(j);
}

static void entries_json(struct json *j, const char *name, const struct entries *list, bool deny,
                         int64_t now_us)
{
    json_arr_in(j, name);
    for (size_t i = 0; i < list->n; i++) {
        entry_json(j, &list->v[i], deny, now_us);
    }
    json_end(j);
}

static void words_json(struct json *j, const char *name, const struct strvec *words)
{
    if (words->n == 0) {
        json_nil(j, name);
        return;
    }
    json_arr_in(j, name);
    for (size_t i = 0; i < words->n; i++) {
        json_str(j, NULL, words->v[i]);
    }
    json_end(j);
}

static void limits_json(struct json *j, const struct limits *l)
{
    struct limits copy = *l;

    json_obj_in(j, "limits");
    for (const struct limit_row *row = limit_rows; row->name; row++) {
        uint32_t v = *limit_at(&copy, row);

        if (v) {
            json_int(j, row->name, v);
        }
    }
    json_end(j);
}

static void rules_json(struct json *j, const struct rules *r, int64_t now_us)
{
    const struct policy_rules *pub = &r->pub;
    char text[NET_TEXT];

    json_obj(j);
    json_str(j, "name", pub->name);
    if (r->has_targets) {
        json_arr_in(j, "targets");
        for (size_t i = 0; i < r->targets.n; i++) {
            net_range_text(&r->targets.v[i], text);
            json_str(j, NULL, text);
        }
        json_end(j);
    } else {
        json_nil(j, "targets");
    }
    words_json(j, "tools", &r->tools);
    json_str(j, "options", pub->advanced ? "advanced" : "standard");
    json_str(j, "scripts", script_level_name(pub->scripts));
    json_arr_in(j, "script_flags");
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (pub->script_flags & flags[i].flag) {
            json_str(j, NULL, flags[i].name);
        }
    }
    json_end(j);
    json_str(j, "ports", pub->ports);
    json_int(j, "max_addresses", (int64_t)pub->max_addresses);
    json_int(j, "max_probes", (int64_t)pub->max_probes);
    json_int(j, "max_concurrent", pub->max_concurrent);
    words_json(j, "windows", &r->windows);
    snprintf(text, sizeof text, "%c%02d:%02d", r->offset_min < 0 ? '-' : '+',
             abs(r->offset_min) / 60, abs(r->offset_min) % 60);
    json_str(j, "timezone", r->offset_min ? text : "UTC");
    json_time(j, "opens_at",
              r->open ? window_wait(r->open, r->offset_min, now_us) : 0); /* null: open */
    if (pub->has_dns) {
        net_ip_text(&pub->dns, text);
    }
    json_str(j, "dns", pub->has_dns ? text : "none");
    limits_json(j, &pub->limits);
    json_end(j);
}

/* The last rules are those that hold where the file has no policy named default. */
static size_t rules_in_force(const struct policy *p)
{
    for (size_t i = 0; i + 1 < p->n_rules; i++) {
        if (strcmp(p->rules[i].name, "default") == 0) {
            return p->n_rules - 1;
        }
    }
    return p->n_rules;
}

void policy_json(const struct policy *p, int64_t now_us, struct buf *out)
{
    struct json j = json_to(out);
    size_t n_rules = rules_in_force(p);
    char text[NET_TEXT];

    json_obj(&j);
    json_str(&j, "source", p->source);
    json_int(&j, "version", 1);
    json_obj_in(&j, "scope");
    entries_json(&j, "allow", &p->allow, false, now_us);
    entries_json(&j, "deny", &p->deny, true, now_us);
    json_end(&j);
    json_arr_in(&j, "hard_denied");
    for (const struct hard_row *h = hard_rows(); h->why; h++) {
        json_obj(&j);
        net_range_text(&h->range, text);
        json_str(&j, "range", text);
        json_str(&j, "why", h->why);
        json_end(&j);
    }
    json_end(&j);
    json_arr_in(&j, "policies");
    for (size_t i = 0; i < n_rules; i++) {
        rules_json(&j, &p->rules[i], now_us);
    }
    json_end(&j);
    repositories_json(&j, p);
    json_arr_in(&j, "keys");
    for (size_t i = 0; i < p->n_keys; i++) {
        json_obj(&j);
        json_str(&j, "key", p->keys[i].key);
        json_str(&j, "policy", p->keys[i].policy);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
}

/* ---- warnings ---- */

__attribute__((format(printf, 4, 5))) static void warn(const struct policy *p, unsigned line,
                                                       struct strvec *out, const char *fmt, ...)
{
    auto_buf b = {0};
    va_list ap;

    buf_addf(&b, "%s:%u: ", p->source, line);
    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    strvec_push(out, b.data);
}

/* Does the entry add nothing to what hard denials and scope.deny leave? */
static bool swallowed(const struct policy *p, const struct entry *en)
{
    auto_netset left = {0};

    netset_add(&left, &en->range);
    for (const struct hard_row *h = hard_rows(); h->why; h++) {
        bool in =
            net_range_has(&h->range, &en->range.first) && net_range_has(&h->range, &en->range.last);

        if (!in && netset_meets(&left, &h->range, NULL)) {
            netset_remove(&left, &h->range);
        }
    }
    if (netset_meets(&p->denied, &en->range, NULL)) {
        netset_remove_set(&left, &p->denied);
    }
    return left.n == 0;
}

static void warn_entry(const struct policy *p, const struct entry *en, int64_t now_us,
                       struct strvec *out)
{
    char text[300], when[RFC3339_LEN + 1];

    entry_text(en, text, sizeof text);
    if (en->expires_us != NEVER) {
        rfc3339_us(en->expires_us, when);
    }
    if (en->expires_us <= now_us) {
        warn(p, en->line, out, "%s expired at %.19sZ and allows nothing", text, when);
    } else if (en->expires_us != NEVER && en->expires_us - now_us < SOON_US) {
        warn(p, en->line, out, "%s expires at %.19sZ, in less than two weeks", text, when);
    }
    if (!en->name && swallowed(p, en)) {
        warn(p, en->line, out, "%s allows nothing: scope.deny or a hard denial has all of it",
             text);
    }
}

static bool policy_used(const struct policy *p, const struct rules *r)
{
    for (size_t i = 0; i < p->n_keys; i++) {
        if (strcmp(p->keys[i].policy, r->name) == 0) {
            return true;
        }
    }
    return strcmp(r->name, "default") == 0;
}

void policy_warnings(const struct policy *p, int64_t now_us, struct strvec *out)
{
    if (p->allow.n == 0) {
        warn(p, 1, out, "scope.allow is empty: every scan will be refused");
    }
    for (size_t i = 0; i < p->allow.n; i++) {
        warn_entry(p, &p->allow.v[i], now_us, out);
    }
    for (size_t i = 0; i < p->n_rules; i++) {
        if (!policy_used(p, &p->rules[i])) {
            warn(p, p->rules[i].line, out, "no key has the policy '%s'", p->rules[i].name);
        }
    }
}
