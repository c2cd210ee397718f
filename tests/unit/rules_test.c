/* The engine of rules: the examples of every rule, and what holds for all of them. */
#include "engine/rules.h"
#include "engine/rules_kind.h"
#include "engine/rules_literals.h"
#include "engine/rules_secret.h"
#include "tap.h"

/* ---- findings as text ---- */

struct seen {
    struct buf all;    /* "rule line:column-line:column secret\n" */
    const char *only;  /* count those of this rule */
    unsigned n, of_it; /* all, of `only` */
    int32_t confidence;
};

static int see(void *arg, const struct finding *f, struct err *e)
{
    struct seen *s = arg;

    if (finding_check(f, e) < 0) {
        return ERR_INVALID;
    }
    s->n++;
    if (s->only && str_eq(f->engines[0].rule, s->only)) {
        s->of_it++;
        s->confidence = f->confidence_x100;
    }
    buf_addf(&s->all, "%s %d:%d-%d:%d%s%s\n", f->engines[0].rule, (int)f->at.line,
             (int)f->at.column, (int)f->at.end_line, (int)f->at.end_column, f->secret ? " " : "",
             f->secret ? f->secret : "");
    return 0;
}

static struct rules *rules;

static struct rules *the_rules(void)
{
    if (!rules) {
        CHECK_OK(rules_new(&rules, ERR));
    }
    return rules;
}

static int scan(struct rules *r, const char *path, const char *text, size_t n, struct seen *s)
{
    struct engine_file file = {.path = path, .size = n};

    buf_reset(&s->all);
    s->n = s->of_it = 0;
    return rules_scan(r, &file, text, n, see, s, &tap_err);
}

/* ---- the rules ---- */

static unsigned wrong_examples(const struct rule *rule, const struct strvec *texts, bool want)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < texts->n; i++) {
        struct seen s = {.only = rule->id};

        CHECK_OK(scan(the_rules(), rule->sample, texts->v[i], strlen(texts->v[i]), &s));
        if ((s.of_it > 0) != want) {
            printf("# %s: example %zu of '%s': %s# found: %s\n", rule->id, i + 1,
                   want ? "match" : "no-match", texts->v[i], s.all.data ? s.all.data : "nothing");
            wrong++;
        }
        buf_done(&s.all);
    }
    return wrong;
}

static void every_rule_finds_its_examples_and_leaves_the_others(void)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < rules_count(the_rules()); i++) {
        const struct rule *rule = rules_at(the_rules(), i);

        wrong += wrong_examples(rule, &rule->match, true);
        wrong += wrong_examples(rule, &rule->no_match, false);
    }
    CHECK_INT(wrong, 0);
}

static void every_rule_has_two_examples_of_each_kind(void)
{
    CHECK(rules_count(the_rules()) >= 100);
    for (size_t i = 0; i < rules_count(the_rules()); i++) {
        const struct rule *rule = rules_at(the_rules(), i);

        if (rule->match.n < 2 || (rule->no_match.n < 2 && rule->regex)) {
            tap_fail(__FILE__, __LINE__, "%s has %zu and %zu examples", rule->id, rule->match.n,
                     rule->no_match.n);
        }
    }
}

TESTS(every_rule_finds_its_examples_and_leaves_the_others, every_rule_has_two_examples_of_each_kind)
