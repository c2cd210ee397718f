/* The `policies` and `keys` parts of a policy file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/internal.h"
#include "tool/tool.h"

enum { NAME_MAX_LEN = 64, LIST_MAX = 64, TARGETS_MAX = 4096, CONCURRENT_MAX = 65535 };

#define ADDRESSES_DEFAULT UINT64_C(65536)
#define PROBES_DEFAULT    UINT64_C(16777216) /* a /24, all ports */
#define ADDRESSES_MAX     (UINT64_C(1) << 40)
#define PROBES_MAX        (UINT64_C(1) << 56)

/* Tools that a policy may name although this build does not have them. */
static const char *const known_tools[] = {"nmap", "masscan", "zmap", NULL};

static const struct {
    const char *name;
    unsigned flag;
} script_flag_names[] = {
    {"dos", SCRIPT_DOS},           {"exploit", SCRIPT_EXPLOIT},
    {"external", SCRIPT_EXTERNAL}, {"broadcast", SCRIPT_BROADCAST},
    {"brute", SCRIPT_BRUTE},
};

/* The policy that is read. */
struct reading {
    struct load *l;
    struct rules *r;
    uint64_t number; /* what number_read() found */
    const struct limit_row *row;
};

void rules_default(struct rules *r, const char *name)
{
    *r = (struct rules){.name = xstrdup(name)};
    r->pub = (struct policy_rules){
        .name = r->name,
        .scripts = SCRIPTS_SAFE,
        .max_addresses = ADDRESSES_DEFAULT,
        .max_probes = PROBES_DEFAULT,
    };
}

void rules_done(struct rules *r)
{
    free(r->name);
    free(r->ports);
    free(r->set);
    free(r->open);
    netset_done(&r->targets);
    strvec_done(&r->tools);
    strvec_done(&r->windows);
    *r = (struct rules){0};
}

static int text_of(const struct load *l, const struct node *v, const char *what, const char **out,
                   struct err *e)
{
    if (v->kind != NODE_TEXT || !*v->text) {
        return node_wrong(l->name, v, e, "'%s' must be text", what);
    }
    *out = v->text;
    return 0;
}

static bool name_ok(const char *s)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(s);

    return n >= 1 && n <= NAME_MAX_LEN && strspn(s, good) == n;
}

static int name_of(const struct load *l, const struct node *v, const char *what, char **out,
                   struct err *e)
{
    if (v->kind != NODE_TEXT || !name_ok(v->text)) {
        return node_wrong(l->name, v, e,
                          "'%s' must be a name of at most %d letters, digits, '.', '_' or '-'",
                          what, NAME_MAX_LEN);
    }
    *out = xstrdup(v->text);
    return 0;
}

static int number_of(const struct load *l, const struct node *v, const char *what, uint64_t min,
                     uint64_t max, uint64_t *out, struct err *e)
{
    if (v->kind != NODE_TEXT || !str_to_u64(v->text, min, max, out)) {
        return node_wrong(l->name, v, e, "'%s' must be a number from %" PRIu64 " to %" PRIu64, what,
                          min, max);
    }
    return 0;
}

static int list_of(const struct load *l, const struct node *v, const char *what, size_t min,
                   struct err *e)
{
    if (v->kind != NODE_LIST || v->n < min || v->n > LIST_MAX) {
        return node_wrong(l->name, v, e, "'%s' must be a list of %zu to %d words", what, min,
                          LIST_MAX);
    }
    for (size_t i = 0; i < v->n; i++) {
        const char *unused;
        int rc = text_of(l, &v->item[i], what, &unused, e);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- members of a policy ---- */

static int member_name(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;
    int rc;

    free(m->r->name);
    m->r->name = NULL;
    rc = name_of(m->l, v, "name", &m->r->name, e);
    m->r->pub.name = m->r->name;
    return rc;
}

static bool tool_known(const char *name)
{
    for (const char *const *t = known_tools; *t; t++) {
        if (strcmp(*t, name) == 0) {
            return true;
        }
    }
    return tool_of_job(name) != NULL;
}

static int member_tools(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;
    int rc = list_of(m->l, v, "tools", 1, e);

    for (size_t i = 0; i < v->n && rc == 0; i++) {
        if (!tool_known(v->item[i].text)) {
            return node_wrong(m->l->name, &v->item[i], e,
                              "there is no such tool; 'tools' is a list of nmap, masscan, zmap, "
                              "repo");
        }
        strvec_push(&m->r->tools, v->item[i].text);
    }
    if (rc == 0) {
        m->r->pub.tools = (const char *const *)m->r->tools.v;
    }
    return rc;
}

static int member_options(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;

    m->r->pub.advanced = v->kind == NODE_TEXT && strcmp(v->text, "advanced") == 0;
    if (!m->r->pub.advanced && (v->kind != NODE_TEXT || strcmp(v->text, "standard") != 0)) {
        return node_wrong(m->l->name, v, e, "'options' must be standard or advanced");
    }
    return 0;
}

static int member_scripts(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;

    if (v->kind != NODE_TEXT || !script_level_parse(v->text, &m->r->pub.scripts)) {
        return node_wrong(m->l->name, v, e, "'scripts' must be none, safe, standard or aggressive");
    }
    return 0;
}

static int member_script_flags(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;
    int rc = list_of(m->l, v, "script_flags", 0, e);

    for (size_t i = 0; i < v->n && rc == 0; i++) {
        unsigned flag = 0;

        for (size_t k = 0; k < ARRAY_LEN(script_flag_names); k++) {
            if (strcmp(script_flag_names[k].name, v->item[i].text) == 0) {
                flag = script_flag_names[k].flag;
            }
        }
        if (!flag) {
            rc = node_wrong(m->l->name, &v->item[i], e,
                            "'script_flags' has words of dos, exploit, external, broadcast, brute");
        }
        m->r->pub.script_flags |= flag;
    }
    return rc;
}

static int member_ports(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;

    m->r->set = xcalloc(1, sizeof *m->r->set);
    if (v->kind != NODE_TEXT || !port_set_parse(v->text, m->r->set)) {
        return node_wrong(
            m->l->name, v, e,
            "'ports' must be a list such as \"T:1-1024,U:53,161\" with ports from 0 to "
            "65535");
    }
    m->r->ports = xstrdup(v->text);
    m->r->pub.ports = m->r->ports;
    return 0;
}

static int member_targets(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;

    if (v->kind != NODE_LIST || v->n == 0 || v->n > TARGETS_MAX) {
        return node_wrong(m->l->name, v, e,
                          "'targets' must be a list of 1 to %d prefixes or ranges", TARGETS_MAX);
    }
    m->r->has_targets = true;
    for (size_t i = 0; i < v->n; i++) {
        struct net_range r;
        int rc = node_range(m->l, &v->item[i], &r, e);

        if (rc < 0) {
            return rc;
        }
        netset_add(&m->r->targets, &r);
    }
    return 0;
}

static int member_addresses(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;

    return number_of(m->l, v, "max_addresses", 1, ADDRESSES_MAX, &m->r->pub.max_addresses, e);
}

static int member_probes(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;

    return number_of(m->l, v, "max_probes", 1, PROBES_MAX, &m->r->pub.max_probes, e);
}

static int member_concurrent(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;
    uint64_t n = 0;
    int rc = number_of(m->l, v, "max_concurrent", 0, CONCURRENT_MAX, &n, e);

    m->r->pub.max_concurrent = (uint32_t)n;
    return rc;
}

static int member_windows(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;
    int rc;

    if (v->kind == NODE_LIST && v->n == 0) {
        return node_wrong(m->l->name, v, e,
                          "an empty 'windows' never opens; leave it out to allow any time");
    }
    rc = list_of(m->l, v, "windows", 1, e);
    if (rc < 0) {
        return rc;
    }
    m->r->open = xcalloc(WEEK_MIN / 8, 1);
    for (size_t i = 0; i < v->n; i++) {
        const char *why = window_parse(v->item[i].text, m->r->open);

        if (why) {
            return node_wrong(m->l->name, &v->item[i], e, "%s", why);
        }
        strvec_push(&m->r->windows, v->item[i].text);
    }
    return 0;
}

static int member_timezone(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;

    if (v->kind != NODE_TEXT || !timezone_parse(v->text, &m->r->offset_min)) {
        return node_wrong(
            m->l->name, v, e,
            "'timezone' must be UTC or an offset such as \"+02:00\", at most 14 hours");
    }
    return 0;
}

static int member_dns(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;

    if (v->kind == NODE_TEXT && strcmp(v->text, "none") == 0) {
        return 0;
    }
    m->r->pub.has_dns = v->kind == NODE_TEXT && net_ip_parse(v->text, &m->r->pub.dns);
    if (!m->r->pub.has_dns) {
        return node_wrong(m->l->name, v, e,
                          "'dns' must be none or the IP address of the one resolver");
    }
    return 0;
}

/* `limits` has a key for each row; which one is told by where the value came from. */
static int limits_member(struct reading *m, const struct node *key, const struct node *v,
                         struct err *e)
{
    for (const struct limit_row *row = limit_rows; row->name; row++) {
        uint32_t *at = limit_at(&m->r->pub.limits, row);
        uint64_t n = 0;
        int rc;

        if (strcmp(row->name, key->text) != 0) {
            continue;
        }
        if (*at) {
            return node_wrong(m->l->name, key, e, "'%s' is given twice in limits", row->name);
        }
        rc = number_of(m->l, v, row->name, row->min, row->max, &n, e);
        *at = (uint32_t)n;
        return rc;
    }
    return node_wrong(m->l->name, key, e,
                      "no such limit; limits are wall_s, cpu_s, memory_mb, "
                      "processes, file_mb, disk_mb, inodes, output_mb, rate_pps");
}

static int member_limits(void *arg, const struct node *v, struct err *e)
{
    struct reading *m = arg;
    int rc = 0;

    if (v->kind != NODE_MAP) {
        return node_wrong(m->l->name, v, e, "'limits' must be a mapping, such as {wall_s: 3600}");
    }
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        const struct node *key = &v->item[2 * i];

        rc = key->kind == NODE_TEXT
                 ? limits_member(m, key, &v->item[2 * i + 1], e)
                 : node_wrong(m->l->name, key, e, "a key of limits must be a word");
    }
    return rc;
}

static const struct node_field policy_fields[] = {
    {"name", member_name, true},
    {"targets", member_targets, false},
    {"tools", member_tools, false},
    {"options", member_options, false},
    {"scripts", member_scripts, false},
    {"script_flags", member_script_flags, false},
    {"ports", member_ports, false},
    {"max_addresses", member_addresses, false},
    {"max_probes", member_probes, false},
    {"max_concurrent", member_concurrent, false},
    {"windows", member_windows, false},
    {"timezone", member_timezone, false},
    {"dns", member_dns, false},
    {"limits", member_limits, false},
    {0},
};

static int policy_read(struct load *l, const struct node *v, struct err *e)
{
    struct reading m = {.l = l};

    if (l->p->n_rules == l->rules_size) {
        l->rules_size = l->rules_size ? 2 * l->rules_size : 4;
        l->p->rules = xrealloc(l->p->rules, l->rules_size * sizeof *l->p->rules);
    }
    m.r = &l->p->rules[l->p->n_rules++];
    rules_default(m.r, "");
    m.r->line = v->line;
    m.r->column = v->column;
    return node_map(l->name, v, "a policy", policy_fields, &m, e);
}

int policies_read(void *load, const struct node *v, struct err *e)
{
    struct load *l = load;
    int rc = 0;

    if (v->kind != NODE_LIST) {
        return node_wrong(l->name, v, e, "policies must be a list");
    }
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        rc = policy_read(l, &v->item[i], e);
    }
    return rc;
}

/* ---- keys ---- */

struct key_reading {
    struct load *l;
    struct key_row *row;
};

static int key_key(void *arg, const struct node *v, struct err *e)
{
    struct key_reading *k = arg;

    return name_of(k->l, v, "key", &k->row->key, e);
}

static int key_policy(void *arg, const struct node *v, struct err *e)
{
    struct key_reading *k = arg;

    k->row->line = v->line;
    k->row->column = v->column;
    return name_of(k->l, v, "policy", &k->row->policy, e);
}

static const struct node_field key_fields[] = {
    {"key", key_key, true},
    {"policy", key_policy, true},
    {0},
};

int keys_read(void *load, const struct node *v, struct err *e)
{
    struct load *l = load;
    int rc = 0;

    if (v->kind != NODE_LIST) {
        return node_wrong(l->name, v, e, "keys must be a list of {key: NAME, policy: NAME}");
    }
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        struct key_reading k = {.l = l};

        if (l->p->n_keys == l->keys_size) {
            l->keys_size = l->keys_size ? 2 * l->keys_size : 16;
            l->p->keys = xrealloc(l->p->keys, l->keys_size * sizeof *l->p->keys);
        }
        k.row = &l->p->keys[l->p->n_keys++];
        *k.row = (struct key_row){0};
        rc = node_map(l->name, &v->item[i], "an entry of keys", key_fields, &k, e);
    }
    return rc;
}

/* ---- contradictions ---- */

static int key_cmp(const void *a, const void *b)
{
    const struct key_row *x = a, *y = b;

    return strcmp(x->key, y->key);
}

static int rules_cmp(const void *a, const void *b)
{
    const struct rules *x = a, *y = b;
    int c = strcmp(x->name, y->name);

    return c ? c : (x->line > y->line) - (x->line < y->line);
}

static int rules_named(const void *name, const void *b)
{
    const struct rules *y = b;

    return strcmp(name, y->name);
}

static int policies_check(struct load *l, struct err *e)
{
    struct policy *p = l->p;

    if (p->n_rules) {
        qsort(p->rules, p->n_rules, sizeof *p->rules, rules_cmp);
    }
    for (size_t i = 1; i < p->n_rules; i++) {
        const struct rules *r = &p->rules[i];

        if (strcmp(r->name, r[-1].name) == 0) {
            const struct node at = {.line = r->line, .column = r->column};

            return node_wrong(l->name, &at, e, "the policy '%s' is there already, in line %u",
                              r->name, r[-1].line);
        }
    }
    return 0;
}

int keys_check(struct load *l, struct err *e)
{
    struct policy *p = l->p;
    int rc = policies_check(l, e);

    if (rc < 0) {
        return rc;
    }
    if (p->n_keys) {
        qsort(p->keys, p->n_keys, sizeof *p->keys, key_cmp);
    }
    for (size_t i = 0; i < p->n_keys; i++) {
        struct key_row *k = &p->keys[i];
        const struct node at = {.line = k->line, .column = k->column};
        const struct rules *r =
            p->n_rules ? bsearch(k->policy, p->rules, p->n_rules, sizeof *r, rules_named) : NULL;

        if (i && strcmp(k->key, k[-1].key) == 0) {
            return node_wrong(l->name, &at, e, "the key '%s' is given twice, also in line %u",
                              k->key, k[-1].line);
        }
        if (!r && strcmp(k->policy, "default") != 0) {
            return node_wrong(l->name, &at, e, "there is no policy '%s'", k->policy);
        }
        k->rules = r ? (size_t)(r - p->rules) : p->n_rules; /* the default is added there */
    }
    return 0;
}
