/* A file of rules: version 1, a list of them. docs/rules.md says what the keys mean. */
#include <string.h>

#include "assess/classes.h"
#include "base/mem.h"
#include "engine/rules_kind.h"
#include "engine/rules_set.h"

struct reading {
    struct rules *set;
    const char *name;
    struct entry *entry; /* the rule at hand */
    const struct node *at;
};

static int text_into(struct reading *r, const struct node *v, const char *key, size_t most,
                     const char **out, struct err *e)
{
    if (v->kind != NODE_TEXT || !v->text[0] || strlen(v->text) > most) {
        return node_wrong(r->name, v, e, "'%s' must be text of 1 to %zu characters", key, most);
    }
    *out = v->text;
    return 0;
}

#define TEXT(key, member, most)                                              \
    static int read_##member(void *arg, const struct node *v, struct err *e) \
    {                                                                        \
        struct reading *r = arg;                                             \
                                                                             \
        return text_into(r, v, key, most, &r->entry->rule.member, e);        \
    }
TEXT("id", id, 63)
TEXT("title", title, 120)
TEXT("message", message, 1000)
TEXT("fix", fix, 1000)
TEXT("regex", regex, RULE_REGEX_MAX)
TEXT("inside", inside, RULE_REGEX_MAX)
TEXT("has", has, RULE_REGEX_MAX)
TEXT("lacks", lacks, RULE_REGEX_MAX)
TEXT("allow", allow, RULE_REGEX_MAX)
TEXT("secret", secret, 60)
TEXT("sample", sample, 200)
#undef TEXT

static int flag_into(struct reading *r, const struct node *v, const char *key, bool *out,
                     struct err *e)
{
    if (v->kind != NODE_TEXT || (!str_eq(v->text, "true") && !str_eq(v->text, "false"))) {
        return node_wrong(r->name, v, e, "'%s' must be true or false", key);
    }
    *out = v->text[0] == 't';
    return 0;
}

#define FLAG(key)                                                         \
    static int read_##key(void *arg, const struct node *v, struct err *e) \
    {                                                                     \
        struct reading *r = arg;                                          \
                                                                          \
        return flag_into(r, v, #key, &r->entry->rule.key, e);             \
    }
FLAG(comments)
FLAG(once)
FLAG(formed)
FLAG(generic)
FLAG(checksum)
#undef FLAG

static int number_into(struct reading *r, const struct node *v, const char *key, int32_t min,
                       int32_t max, int32_t *out, struct err *e)
{
    int64_t got;

    if (v->kind != NODE_TEXT || !str_to_i64(v->text, min, max, &got)) {
        return node_wrong(r->name, v, e, "'%s' must be a number from %d to %d", key, (int)min,
                          (int)max);
    }
    *out = (int32_t)got;
    return 0;
}

#define NUMBER(key, member, min, max)                                        \
    static int read_##member(void *arg, const struct node *v, struct err *e) \
    {                                                                        \
        struct reading *r = arg;                                             \
                                                                             \
        return number_into(r, v, key, min, max, &r->entry->rule.member, e);  \
    }
NUMBER("lines", lines, 1, RULE_LINES_MAX)
NUMBER("least", least, 1, 4096)
NUMBER("random", random, 1, 100)
NUMBER("confidence", confidence_x100, 1, 100)
#undef NUMBER

static int list_into(struct reading *r, const struct node *v, const char *key, size_t most,
                     struct strvec *out, struct err *e)
{
    if (v->kind != NODE_LIST || v->n == 0 || v->n > 200) {
        return node_wrong(r->name, v, e, "'%s' must be a list of 1 to 200 texts", key);
    }
    for (size_t i = 0; i < v->n; i++) {
        const char *s = NULL;

        if (text_into(r, &v->item[i], key, most, &s, e) < 0) {
            return ERR_INVALID;
        }
        strvec_push(out, s);
    }
    return 0;
}

static int read_paths(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return list_into(r, v, "paths", 200, &r->entry->rule.paths, e);
}

static int read_not_paths(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return list_into(r, v, "not-paths", 200, &r->entry->rule.not_paths, e);
}

static int read_literals(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    int rc = list_into(r, v, "literals", LITERAL_MAX, &r->entry->rule.literals, e);

    for (size_t i = 0; rc == 0 && i < v->n; i++) {
        if (strlen(v->item[i].text) < LITERAL_MIN) {
            return node_wrong(r->name, &v->item[i], e,
                              "a literal must have %d characters or more, or it is everywhere",
                              LITERAL_MIN);
        }
    }
    return rc;
}

/* An example: a line, or a list of them. "{+}" in it is nothing: it keeps what looks like a token
 * from being one in the file of rules. */
static int examples_into(struct reading *r, const struct node *v, const char *key,
                         struct strvec *out, struct err *e)
{
    if (v->kind != NODE_LIST || v->n > 100) {
        return node_wrong(r->name, v, e, "'%s' must be a list of at most 100 examples", key);
    }
    for (size_t i = 0; i < v->n; i++) {
        const struct node *one = &v->item[i];
        size_t lines = one->kind == NODE_LIST ? one->n : 1;
        auto_buf text = {0};

        for (size_t k = 0; k < lines; k++) {
            const struct node *line = one->kind == NODE_LIST ? &one->item[k] : one;

            if (line->kind != NODE_TEXT) {
                return node_wrong(r->name, line, e, "an example is a text or a list of lines");
            }
            for (const char *p = line->text; *p; p++) {
                if (str_starts(p, "{+}")) {
                    p += 2;
                } else {
                    buf_addc(&text, *p);
                }
            }
            buf_addc(&text, '\n');
        }
        strvec_pushn(out, text.data ? text.data : "", text.len);
    }
    return 0;
}

static int read_match(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return examples_into(r, v, "match", &r->entry->rule.match, e);
}

static int read_no_match(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return examples_into(r, v, "no-match", &r->entry->rule.no_match, e);
}

static int read_class(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    const char *name = NULL;

    if (text_into(r, v, "class", 60, &name, e) < 0) {
        return ERR_INVALID;
    }
    if (!weakness_find(name)) {
        return node_wrong(r->name, v, e, "there is no class '%s' (docs/findings.md has them)",
                          name);
    }
    r->entry->rule.class_ = name;
    return 0;
}

static int read_cwe(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    struct rule *rule = &r->entry->rule;
    size_t n = v->kind == NODE_LIST ? v->n : 1;

    if (v->kind == NODE_MAP || n == 0 || n > FINDING_CWES) {
        return node_wrong(r->name, v, e, "'cwe' must be a number or a list of at most %d",
                          FINDING_CWES);
    }
    for (size_t i = 0; i < n; i++) {
        const struct node *one = v->kind == NODE_LIST ? &v->item[i] : v;

        if (number_into(r, one, "cwe", 1, 100000, &rule->cwe[i], e) < 0) {
            return ERR_INVALID;
        }
    }
    rule->n_cwe = (uint32_t)n;
    return 0;
}

static int read_severity(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    if (v->kind != NODE_TEXT || !severity_parse(v->text, &r->entry->rule.severity)) {
        return node_wrong(r->name, v, e, "'severity' is info, low, medium, high or critical");
    }
    return 0;
}

static int read_kinds(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    if (v->kind != NODE_LIST || v->n == 0) {
        return node_wrong(r->name, v, e, "'files' must be a list of kinds of files, or [any]");
    }
    for (size_t i = 0; i < v->n; i++) {
        const struct node *one = &v->item[i];
        uint64_t bit = one->kind == NODE_TEXT ? kind_find(one->text) : 0;

        if (!bit) {
            return node_wrong(r->name, one, e, "there is no kind of files of that name");
        }
        r->entry->rule.kinds |= bit;
    }
    return 0;
}

/* ---- a whole rule ---- */

static int compile(struct reading *r, const char *key, const char *text, pcre2_code **out,
                   struct err *e)
{
    pcre2_compile_context *how;
    int code = 0;
    PCRE2_SIZE at = 0;

    if (!text) {
        return 0;
    }
    how = pcre2_compile_context_create(NULL);
    if (!how) {
        return err_set(e, ERR_INTERNAL, "no memory for a regular expression");
    }
    pcre2_set_newline(how, PCRE2_NEWLINE_ANYCRLF);
    pcre2_set_parens_nest_limit(how, 30);
    *out =
        pcre2_compile((PCRE2_SPTR)text, strlen(text),
                      PCRE2_MULTILINE | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, how);
    pcre2_compile_context_free(how);
    if (!*out) {
        char why[128] = "";

        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        return node_wrong(r->name, r->at, e, "rule '%s': '%s' at character %zu: %s",
                          r->entry->rule.id, key, (size_t)at + 1, why);
    }
    return 0;
}

static int compile_all(struct reading *r, struct err *e)
{
    struct entry *t = r->entry;
    const struct rule *rule = &t->rule;
    int rc = compile(r, "regex", rule->regex, &t->regex, e);

    rc = rc < 0 ? rc : compile(r, "inside", rule->inside, &t->inside, e);
    rc = rc < 0 ? rc : compile(r, "has", rule->has, &t->has, e);
    rc = rc < 0 ? rc : compile(r, "lacks", rule->lacks, &t->lacks, e);
    rc = rc < 0 ? rc : compile(r, "allow", rule->allow, &t->allow, e);
    if (rc == 0 && rule->secret) {
        int group =
            t->regex ? pcre2_substring_number_from_name(t->regex, (PCRE2_SPTR) "secret") : -1;

        if (group <= 0) {
            return node_wrong(r->name, r->at, e,
                              "rule '%s': its 'regex' has no group (?<secret>...)", rule->id);
        }
        t->secret_group = (uint32_t)group;
    }
    return rc;
}

static int check_rule(struct reading *r, struct err *e)
{
    struct rule *rule = &r->entry->rule;

    if (strspn(rule->id, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(rule->id)) {
        return node_wrong(r->name, r->at, e, "'id' has small letters, digits and '-' only");
    }
    for (size_t i = 0; i + 1 < r->set->n; i++) {
        if (strcmp(r->set->v[i].rule.id, rule->id) == 0) {
            return node_wrong(r->name, r->at, e, "there is already a rule '%s'", rule->id);
        }
    }
    if (rule->regex && rule->literals.n == 0) {
        return node_wrong(r->name, r->at, e,
                          "rule '%s' needs 'literals': one of them stands in all that its regex "
                          "matches",
                          rule->id);
    }
    if (!rule->regex && rule->paths.n == 0) {
        return node_wrong(r->name, r->at, e, "rule '%s' needs 'regex', or at least 'paths'",
                          rule->id);
    }
    if (rule->n_cwe == 0) {
        rule->cwe[0] = weakness_find(rule->class_)->cwe;
        rule->n_cwe = rule->cwe[0] ? 1 : 0;
    }
    rule->kinds = rule->kinds ? rule->kinds : UINT64_MAX;
    rule->lines = rule->lines ? rule->lines : 1;
    rule->least = rule->least ? rule->least : 1;
    rule->sample = rule->sample ? rule->sample : kind_sample(rule->kinds);
    return compile_all(r, e);
}

static int read_rule(struct reading *r, const struct node *v, struct err *e)
{
    static const struct node_field fields[] = {
        {"id", read_id, true},
        {"class", read_class, true},
        {"title", read_title, true},
        {"message", read_message, true},
        {"fix", read_fix, true},
        {"cwe", read_cwe, false},
        {"severity", read_severity, true},
        {"confidence", read_confidence_x100, true},
        {"files", read_kinds, false},
        {"paths", read_paths, false},
        {"not-paths", read_not_paths, false},
        {"literals", read_literals, false},
        {"regex", read_regex, false},
        {"lines", read_lines, false},
        {"inside", read_inside, false},
        {"has", read_has, false},
        {"lacks", read_lacks, false},
        {"allow", read_allow, false},
        {"comments", read_comments, false},
        {"once", read_once, false},
        {"secret", read_secret, false},
        {"formed", read_formed, false},
        {"generic", read_generic, false},
        {"checksum", read_checksum, false},
        {"least", read_least, false},
        {"random", read_random, false},
        {"match", read_match, false},
        {"no-match", read_no_match, false},
        {"sample", read_sample, false},
        {0},
    };
    struct rules *set = r->set;

    if (set->n == RULES_MAX) {
        return node_wrong(r->name, v, e, "there can be at most %d rules", RULES_MAX);
    }
    if (set->n == set->size) {
        set->size = set->size ? 2 * set->size : 64;
        set->v = xrealloc(set->v, set->size * sizeof *set->v);
    }
    r->entry = &set->v[set->n++];
    *r->entry = (struct entry){0};
    r->at = v;
    return node_map(r->name, v, "a rule", fields, r, e) < 0 ? ERR_INVALID : check_rule(r, e);
}

void rule_entry_done(struct entry *t)
{
    pcre2_code_free(t->regex);
    pcre2_code_free(t->inside);
    pcre2_code_free(t->has);
    pcre2_code_free(t->lacks);
    pcre2_code_free(t->allow);
    strvec_done(&t->rule.paths);
    strvec_done(&t->rule.not_paths);
    strvec_done(&t->rule.literals);
    strvec_done(&t->rule.match);
    strvec_done(&t->rule.no_match);
}

/* ---- the file ---- */

static int read_version(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return v->kind == NODE_TEXT && strcmp(v->text, "1") == 0
               ? 0
               : node_wrong(r->name, v, e, "'version' must be 1");
}

static int read_list(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    if (v->kind != NODE_LIST) {
        return node_wrong(r->name, v, e, "'rules' must be a list of rules");
    }
    for (size_t i = 0; i < v->n; i++) {
        int rc = read_rule(r, &v->item[i], e);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int count_literals(struct reading *r, const struct node *root, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < r->set->n; i++) {
        n += r->set->v[i].rule.literals.n;
    }
    return n <= LITERALS_MAX
               ? 0
               : node_wrong(r->name, root, e, "all rules together may have at most %d literals",
                            LITERALS_MAX);
}

int rules_read(struct rules *set, const char *text, size_t n, const char *name, struct err *e)
{
    static const struct node_field fields[] = {
        {"version", read_version, true},
        {"rules", read_list, true},
        {0},
    };
    struct reading r = {.set = set, .name = name};
    struct node root = {0};
    int rc;

    if (n > RULES_FILE_MAX) {
        return err_set(e, ERR_INVALID, "%s:1:1: files of rules may have at most %d bytes", name,
                       RULES_FILE_MAX);
    }
    rc = node_parse(text, n, name, &root, e);
    if (rc < 0) {
        return rc;
    }
    rc = node_map(name, &root, "the file of rules", fields, &r, e);
    rc = rc < 0 ? rc : count_literals(&r, &root, e);
    set->docs = xrealloc(set->docs, (set->n_docs + 1) * sizeof *set->docs);
    set->docs[set->n_docs++] = root; /* also after an error: rules that were read point into it */
    return rc;
}
