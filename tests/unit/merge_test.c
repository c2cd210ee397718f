/* One finding where several engines report the same; and what all amount to. */
#include "assess/merge.h"
#include "tap.h"

struct heap {
    struct finding f[64], *v[64];
    size_t n;
};

static struct finding *add(struct heap *h, const char *engine, const char *rule, int32_t cwe,
                           int32_t line, int32_t column)
{
    struct finding *f = &h->f[h->n];

    *f = (struct finding){.rule = rule,
                          .title = "T",
                          .cwe = {cwe},
                          .n_cwe = cwe ? 1 : 0,
                          .severity = SEVERITY_MEDIUM,
                          .confidence_x100 = 50,
                          .verified = true,
                          .at = {.path = "a.c", .line = line, .column = column},
                          .n_engines = 1};
    f->engines[0] = (struct finding_engine){.name = engine, .rule = "R", .confidence_x100 = 50};
    h->v[h->n++] = f;
    return f;
}

static size_t merge(struct heap *h)
{
    merge_findings(h->v, &h->n, NULL);
    return h->n;
}

static void engines_that_say_the_same_become_one(void)
{
    struct heap h = {.n = 0};

    add(&h, "flawfinder", "buffer-overflow", 120, 7, 5)->confidence_x100 = 30;
    add(&h, "claude", "buffer-overflow", 787, 8, 0)->severity = SEVERITY_CRITICAL;
    add(&h, "cppcheck", "out-of-bounds", 119, 7, 9)->confidence_x100 = 70;
    h.f[1].message = NULL;
    h.f[0].message = "of flawfinder";
    h.f[2].secret = "s";
    CHECK_INT(merge(&h), 1);
    CHECK_INT(h.v[0]->at.line, 8);
    CHECK_INT(h.v[0]->severity, SEVERITY_CRITICAL);
    CHECK_INT(h.v[0]->n_engines, 3);
    CHECK_STR(h.v[0]->engines[0].name, "claude");
    CHECK_STR(h.v[0]->engines[1].name, "cppcheck");
    CHECK_STR(h.v[0]->engines[2].name, "flawfinder");
    /* 1 - .5 .3 .7 */
    CHECK_INT(h.v[0]->confidence_x100, 90);
    CHECK_INT(h.v[0]->n_cwe, 3);
    CHECK_INT(h.v[0]->cwe[0], 787);
    CHECK_STR(h.v[0]->message, "of flawfinder");
    CHECK_STR(h.v[0]->secret, "s");
    CHECK_INT(h.v[0]->n_related, 1);
    CHECK_INT(h.v[0]->related[0].line, 7);
    CHECK(h.v[0]->identity.primary[0]);
}

static void what_is_not_the_same_stays_apart(void)
{
    struct heap h = {.n = 0};

    add(&h, "flawfinder", "buffer-overflow", 120, 10, 1); /* two calls on one line */
    add(&h, "flawfinder", "buffer-overflow", 120, 10, 30);
    add(&h, "flawfinder", "format-string", 134, 10, 1); /* another class */
    add(&h, "cppcheck", "race-condition", 362, 10, 1);
    add(&h, "cppcheck", "buffer-overflow", 120, 13, 1); /* three lines away */
    add(&h, "bandit", "other", 0, 10, 1);
    add(&h, "shellcheck", "other", 0, 10, 1);
    add(&h, "cppcheck", "buffer-overflow", 120, 10, 1)->at.path = "b.c";
    add(&h, "cppcheck", "buffer-overflow", 120, 0, 0); /* of the whole file */
    add(&h, "claude", "buffer-overflow", 120, 0, 0);
    CHECK_INT(merge(&h), 10);
}

static void regions_that_overlap_are_the_same_place(void)
{
    struct heap h = {.n = 0};

    add(&h, "claude", "sql-injection", 89, 10, 0)->at.end_line = 40;
    add(&h, "bandit", "sql-injection", 89, 30, 0)->at.end_line = 31;
    add(&h, "rules", "sql-injection", 89, 41, 0);
    CHECK_INT(merge(&h), 2);
    CHECK_INT(h.v[0]->n_engines, 2);
}

static void the_nearest_reports_are_joined_first(void)
{
    struct heap h = {.n = 0};

    add(&h, "flawfinder", "buffer-overflow", 120, 10, 1);
    add(&h, "flawfinder", "buffer-overflow", 120, 12, 1);
    add(&h, "cppcheck", "buffer-overflow", 120, 12, 5);
    add(&h, "cppcheck", "buffer-overflow", 120, 11, 5);
    CHECK_INT(merge(&h), 2);
    CHECK_INT(h.v[0]->n_engines, 2);
    CHECK_INT(h.v[1]->n_engines, 2);
    CHECK_INT(h.v[1]->at.line, 12);
}

static void what_an_engine_says_twice_is_said_once(void)
{
    struct heap h = {.n = 0};

    for (int i = 0; i < 5; i++) {
        add(&h, "cppcheck", "null-dereference", 476, 10, 4);
    }
    CHECK_INT(merge(&h), 1);
    CHECK_INT(h.v[0]->n_engines, 1);
    CHECK_INT(h.v[0]->confidence_x100, 50);
}

static void engines_of_one_family_count_once(void)
{
    struct heap h = {.n = 0};

    add(&h, "flawfinder", "buffer-overflow", 120, 10, 1);
    add(&h, "clang", "buffer-overflow", 119, 10, 1)->engines[0].rule =
        "security.insecureAPI.strcpy";
    CHECK_INT(merge(&h), 1);
    CHECK_INT(h.v[0]->n_engines, 2);
    CHECK_INT(h.v[0]->confidence_x100, 50);
}

static void a_class_joins_where_cwes_do_not(void)
{
    struct heap h = {.n = 0};

    add(&h, "bandit", "weak-random", 0, 10, 1);
    add(&h, "claude", "weak-random", 1241, 11, 1);
    CHECK_INT(merge(&h), 1);
}

static uint32_t dice(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

static void random_heap(struct heap *h, uint32_t seed)
{
    static const char *const engines[] = {"flawfinder", "cppcheck", "claude", "bandit"};
    static const struct {
        const char *rule;
        int32_t cwe;
    } classes[] = {
        {"buffer-overflow", 120}, {"out-of-bounds", 125}, {"format-string", 134}, {"other", 0}};

    for (int i = 0; i < 40; i++) {
        uint32_t class = dice(&seed) % 4;
        struct finding *f = add(h, engines[dice(&seed) % 4], classes[class].rule,
                                classes[class].cwe, (int32_t)(dice(&seed) % 30), (int32_t)i);

        f->severity = (enum severity)(dice(&seed) % SEVERITIES);
        f->confidence_x100 = (int32_t)(dice(&seed) % 101);
        f->at.end_line = dice(&seed) % 4 ? 0 : f->at.line + (int32_t)(dice(&seed) % 5);
    }
}

static void order_does_not_matter_and_nothing_is_lost(void)
{
    for (uint32_t round = 1; round <= 300; round++) {
        struct heap a = {.n = 0}, b = {.n = 0};
        size_t said = 0;
        bool seen[40] = {false};

        random_heap(&a, round);
        random_heap(&b, round);
        for (size_t i = 0, k = 39; i < k; i++, k--) {
            struct finding *f = b.v[i];

            b.v[i] = b.v[k];
            b.v[k] = f;
        }
        CHECK_INT(merge(&a), merge(&b));
        for (size_t i = 0; i < a.n; i++) {
            CHECK_INT(a.v[i]->at.column, b.v[i]->at.column);
            CHECK_INT(a.v[i]->confidence_x100, b.v[i]->confidence_x100);
            CHECK_STR(a.v[i]->identity.primary, b.v[i]->identity.primary);
            CHECK(i == 0 || a.v[i]->at.line >= a.v[i - 1]->at.line);
            said += a.v[i]->n_engines;
            CHECK(!seen[a.v[i]->at.column]);
            seen[a.v[i]->at.column] = true;
            for (uint32_t k = 1; k < a.v[i]->n_engines; k++) {
                CHECK(strcmp(a.v[i]->engines[k - 1].name, a.v[i]->engines[k].name) < 0);
            }
        }
        CHECK_INT(said, 40);
    }
}

static void a_great_many_reports_of_one_line_are_merged_in_time(void)
{
    enum { N = 20000 };
    auto_free struct finding *f = xcalloc(N, sizeof *f), **v = xcalloc(N, sizeof(struct finding *));
    size_t n = N;

    for (int32_t i = 0; i < N; i++) {
        f[i] = (struct finding){.rule = "buffer-overflow", .title = "T", .cwe = {120}, .n_cwe = 1};
        f[i].at =
            (struct finding_place){.path = "a", .line = 1, .column = i / 2, .end_line = 90000};
        f[i].engines[0] = (struct finding_engine){.name = i % 2 ? "a" : "b"};
        f[i].n_engines = 1;
        v[i] = &f[i];
    }
    merge_findings(v, &n, NULL);
    CHECK_INT(n, N / 2);
}

/* ---- risk ---- */

static int32_t score_of(enum severity s, int32_t confidence, int n)
{
    struct risk r;

    risk_init(&r);
    for (int i = 0; i < n; i++) {
        risk_add(&r, s, confidence);
    }
    CHECK_INT(r.counts[s], n);
    return (int32_t)(risk_score(&r) + 0.5);
}

static void scores_are_those_of_the_formula(void)
{
    CHECK_INT(score_of(SEVERITY_HIGH, 95, 1), 24);
    CHECK_INT(score_of(SEVERITY_HIGH, 95, 2), 42);
    CHECK_INT(score_of(SEVERITY_CRITICAL, 90, 1), 54);
    CHECK_INT(score_of(SEVERITY_MEDIUM, 60, 10), 31);
    CHECK_INT(score_of(SEVERITY_LOW, 100, 10), 10);
    CHECK_INT(score_of(SEVERITY_LOW, 100, 20), 18);
    CHECK_INT(score_of(SEVERITY_LOW, 50, 2000), 18);
    CHECK_INT(score_of(SEVERITY_INFO, 100, 1000), 0);
    CHECK_INT(score_of(SEVERITY_CRITICAL, 100, 1000), 100);
    CHECK_INT(score_of(SEVERITY_CRITICAL, 0, 1000), 0);
}

static void the_level_is_the_worst_of_those_that_are_sure(void)
{
    struct risk r;

    risk_init(&r);
    CHECK_STR(risk_level(&r, true), "none");
    CHECK_STR(risk_level(&r, false), "unknown");
    risk_add(&r, SEVERITY_INFO, 10);
    CHECK_STR(risk_level(&r, true), "info");
    risk_add(&r, SEVERITY_HIGH, 49);
    CHECK_STR(risk_level(&r, true), "medium");
    risk_add(&r, SEVERITY_CRITICAL, 30);
    CHECK_STR(risk_level(&r, false), "high");
    risk_add(&r, SEVERITY_CRITICAL, 50);
    CHECK_STR(risk_level(&r, true), "critical");
    risk_add(&r, SEVERITY_LOW, 100);
    CHECK_STR(risk_level(&r, true), "critical");
}

static void one_more_finding_never_lowers_the_score(void)
{
    uint32_t seed = 3;
    struct risk r;
    double before = 0;

    risk_init(&r);
    for (int i = 0; i < 1000; i++) {
        risk_add(&r, (enum severity)(dice(&seed) % SEVERITIES), (int32_t)(dice(&seed) % 101));
        CHECK(risk_score(&r) >= before && risk_score(&r) <= 100);
        before = risk_score(&r);
    }
}

TESTS(engines_that_say_the_same_become_one, what_is_not_the_same_stays_apart,
      regions_that_overlap_are_the_same_place, the_nearest_reports_are_joined_first,
      what_an_engine_says_twice_is_said_once, engines_of_one_family_count_once,
      a_class_joins_where_cwes_do_not, order_does_not_matter_and_nothing_is_lost,
      a_great_many_reports_of_one_line_are_merged_in_time, scores_are_those_of_the_formula,
      the_level_is_the_worst_of_those_that_are_sure, one_more_finding_never_lowers_the_score)
