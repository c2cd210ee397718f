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

static char *found(const char *path, const char *text)
{
    struct seen s = {0};

    CHECK_OK(scan(the_rules(), path, text, strlen(text), &s));
    return buf_take(&s.all);
}

#define FOUND(path, text, want)                     \
    do {                                            \
        auto_free char *lines_ = found(path, text); \
        CHECK_STR(lines_, want);                    \
    } while (0)

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

static void every_text_is_plain_and_every_class_known(void)
{
    for (size_t i = 0; i < rules_count(the_rules()); i++) {
        const struct rule *r = rules_at(the_rules(), i);

        CHECK(r->title && strlen(r->title) <= 80);
        CHECK(r->message[strlen(r->message) - 1] == '.');
        CHECK(r->fix[strlen(r->fix) - 1] == '.' || r->fix[strlen(r->fix) - 1] == ')');
        CHECK(r->n_cwe > 0 || strcmp(r->class_, "other") == 0);
        CHECK(r->sample && finding_path_ok(r->sample));
    }
}

/* ---- places and secrets ---- */

static void places_are_of_characters_and_secrets_are_cut(void)
{
    FOUND("app/x.py",
          "a = 1\r\n\xc3\xa4 = \"AKIA"
          "UVW75EFR6EDT4SYW\"\r\n",
          "aws-access-key-id 2:6-2:25 AWS access key id: AKIA... (20 characters)\n");
    FOUND("a.js", "x\ry = eval(z);\r", "js-eval 2:5-2:10\n");
    FOUND("a.js", "", "");
    FOUND("a.js", "\n\n", "");
    FOUND("a.js", "eval(z)", "js-eval 1:1-1:6\n");
}

static void a_key_in_many_lines_is_told_to_its_end(void)
{
    FOUND("k.pem",
          "x\n-----BEGIN RSA PRIVATE"
          " KEY-----\n"
          "MIIEpAIBAAKCAQEAd72OrAWTslT4hrkoP0b8QPdOTxSXbDNSr7Io6R3Ir67NoveE\n"
          "uLD0AZAirFQmjdtB6yPlvOfky3qVp5m4x87WO8hkYg5XeZc083TDyxnWtGN1cJUf\n"
          "Zz09==\n-----END RSA PRIVATE"
          " KEY-----\n",
          "private-key 3:1-5:6 private key: MIIE... (136 characters)\n");
}

static void a_guess_gives_way_to_a_rule_that_knows(void)
{
    FOUND("a.py",
          "token = \"ghp_"
          "Ky9Pf34qY6Nb3wWD25RQ4F5ZR3qa7y3gm1IL\"\n",
          "github-token 1:10-1:49 GitHub token: ghp_... (40 characters)\n");
    FOUND("a.py", "password = \"hunter22x\"; secret = \"8isWydfhl3TvtnythpZQPPP6\"\n",
          "generic-password 1:13-1:21 password: hunt... (9 characters)\n"
          "generic-api-key 1:35-1:58 key: 8isW... (24 characters)\n");
}

static void a_key_of_a_service_account_is_told_once(void)
{
    FOUND("a.json",
          "{\"type\": \"service_account\", \"private_key\": \"-----BEGIN PRIVATE"
          " KEY-----\\nMIIEvd72OrAWTslT4hrkoP0b8QPdOTxSXbD\\n\"}\n",
          "gcp-service-account-key 1:45-1:110 service account key: ----... (66 characters)\n");
}

static void a_checksum_tells_a_token_from_a_lookalike(void)
{
    const char *right = "t = ghp_"
                        "Ky9Pf34qY6Nb3wWD25RQ4F5ZR3qa7y3gm1IL\n";
    const char *wrong = "t = ghp_"
                        "Ky9Pf34qY6Nb3wWD25RQ4F5ZR3qa7y3gm1IM\n";
    struct seen s = {.only = "github-token"};

    CHECK(secret_sum_right(right + 4, 40));
    CHECK(!secret_sum_right(wrong + 4, 40));
    CHECK(!secret_sum_right("ghp_abc", 7) && !secret_sum_right("ghp", 3));
    CHECK_OK(scan(the_rules(), "a.txt", right, strlen(right), &s));
    CHECK_INT(s.confidence, 98);
    CHECK_OK(scan(the_rules(), "a.txt", wrong, strlen(wrong), &s));
    CHECK_INT(s.confidence, 30);
    CHECK_OK(scan(the_rules(), "src/test/a.c", right, strlen(right), &s));
    CHECK_INT(s.confidence, 49);
    buf_done(&s.all);
}

static void placeholders_are_no_secrets(void)
{
    static const char *const no[] = {"changeme",
                                     "your-key-here",
                                     "${TOKEN}",
                                     "{{ token }}",
                                     "xxxxxxxxxx",
                                     "process.env.X",
                                     "<token>",
                                     "1234567890",
                                     "AKIAIOSFODNN7EXAMPLE",
                                     "aaaaaaaa",
                                     "$1",
                                     "%s%s%s"};
    static const char *const yes[] = {"8isWydfhl3TvtnythpZ", "hunter22", "Tr0ub4dor&3"};

    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        CHECK(secret_is_placeholder(no[i], strlen(no[i]), false));
    }
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        CHECK(!secret_is_placeholder(yes[i], strlen(yes[i]), false));
    }
}

static void randomness_tells_keys_from_words(void)
{
    CHECK(secret_randomness("8isWydfhl3TvtnythpZQPPP6", 24) > 85);
    CHECK(secret_randomness("969e58b081006f7e3dfc967a64cb1402", 32) > 85);
    CHECK(secret_randomness("authenticationenabled", 21) < 82);
    CHECK(secret_randomness("aaaaaaaaaaaaaaaaaaaa", 20) == 0);
    CHECK(secret_randomness("", 0) == 0 && secret_randomness("a", 1) == 0);
}

static void marks_in_the_source_are_told_and_not_obeyed(void)
{
    FOUND("a.py", "eval(x)  # nosec\n", "python-eval 1:1-1:6\n");
}

/* ---- kinds and paths ---- */

static void patterns_of_paths_match_what_they_say(void)
{
    CHECK(path_matches("*.c", "a/b/x.c") && path_matches("*.c", "x.C"));
    CHECK(!path_matches("*.c", "x.cc") && !path_matches("*.c", "c"));
    CHECK(path_matches("**/nginx/**.conf", "etc/nginx/conf.d/a.conf"));
    CHECK(path_matches("**/nginx/**.conf", "nginx/a.conf"));
    CHECK(!path_matches("**/nginx/**.conf", "mynginx/a.conf"));
    CHECK(path_matches(".github/workflows/*.yml", ".github/workflows/a.yml"));
    CHECK(!path_matches(".github/workflows/*.yml", ".github/workflows/a/b.yml"));
    CHECK(path_matches("compose*.y?ml", "x/compose.prod.yaml"));
    CHECK(!path_matches("", "a") && path_matches("*", "a/b") && !path_matches("?", "ab"));
    CHECK(path_matches("a*b*c*d", "aXbYbZcccd") && !path_matches("a*b*c*d", "aXbYc"));
}

static void kinds_come_from_the_path_or_the_first_line(void)
{
    const char *env = "#!/usr/bin/env -S python3 -u\n";

    CHECK_INT(rule_kind_of("x/run", "#!/bin/sh -e\n", 13), kind_find("shell"));
    CHECK_INT(rule_kind_of("run", "#!/bin/bash", 11), kind_find("shell"));
    CHECK_INT(rule_kind_of("run", env, strlen(env)), kind_find("python"));
    CHECK_INT(rule_kind_of("run", "#!", 2), 0);
    CHECK_INT(rule_kind_of("run", "hello", 5), 0);
    CHECK(rule_kind_of(".github/workflows/a.yml", "", 0) ==
          (kind_find("workflow") | kind_find("yaml")));
    CHECK(kind_find("cobol") == 0 && kind_find("any") == UINT64_MAX);
    CHECK(path_is_aside("a/tests/x.c") && path_is_aside("x_test.go") && path_is_aside("go.sum"));
    CHECK(!path_is_aside("src/attest/contest.c"));
}

/* ---- literals ---- */

static int note_hit(void *arg, size_t at, uint32_t of)
{
    buf_addf(arg, "%zu:%u ", at, (unsigned)of);
    return 0;
}

static void literals_are_all_found_whatever_stands_around(void)
{
    static const char *const words[] = {"abc", "abcd", "bcd", "ABC", "cab", "\xe2\x80\xae", "x-y"};
    static const uint32_t of[] = {1, 2, 3, 4, 5, 6, 7};
    const char *text = "xAbCdcab\xe2\x80\xae"
                       "abX-Yabc";
    struct literals *l = literals_new(words, of, ARRAY_LEN(words));
    auto_buf b = {0};

    CHECK_INT(literals_find(l, text, strlen(text), note_hit, &b), 0);
    CHECK_STR(b.data, "1:4 1:1 1:2 2:3 5:5 8:6 13:7 16:4 16:1 ");
    CHECK_INT(literals_find(l, text, 2, note_hit, &b), 0);
    literals_free(l);
}

static void more_bytes_than_classes_are_still_told_apart(void)
{
    char words[100][4];
    const char *v[100];
    uint32_t of[100];
    struct literals *l;

    for (unsigned i = 0; i < 100; i++) {
        words[i][0] = (char)(128 + i);
        words[i][1] = words[i][2] = 'q';
        words[i][3] = '\0';
        v[i] = words[i];
        of[i] = i;
    }
    l = literals_new(v, of, 100);
    for (unsigned i = 0; i < 100; i++) {
        auto_buf b = {0}, want = {0};

        literals_find(l, v[i], 3, note_hit, &b);
        buf_addf(&want, "0:%u ", i);
        CHECK_STR(b.data, want.data);
    }
    literals_free(l);
}

/* ---- rules of an operator ---- */

#define HEAD "version: 1\nrules:\n"
#define RULE(id, more)                                                                             \
    "  - id: " id "\n    class: other\n    title: T\n    message: M.\n    fix: F.\n    severity: " \
    "low\n    confidence: 50\n" more

static void refused(const char *text, const char *why)
{
    struct rules *r = the_rules();
    size_t before = rules_count(r);

    CHECK_ERR(rules_add(r, text, strlen(text), "f", ERR), ERR_INVALID);
    if (!strstr(tap_err.msg, why) || !str_starts(tap_err.msg, "f:")) {
        tap_fail(__FILE__, __LINE__, "'%s' does not say '%s'", tap_err.msg, why);
    }
    CHECK_INT(rules_count(r), before);
}

static void files_of_rules_that_are_wrong_are_refused_with_the_place(void)
{
    refused("version: 2\nrules: []\n", "f:1:10: 'version' must be 1");
    refused(HEAD "  - id: a\n", "missing in a rule");
    refused(HEAD RULE("a", "    wat: x\n"), "unknown key 'wat'");
    refused(HEAD RULE("a", "    literals: [ab]\n    regex: 'ab'\n"), "3 characters or more");
    refused(HEAD RULE("a", "    regex: 'abc'\n"), "needs 'literals'");
    refused(HEAD RULE("a", ""), "needs 'regex'");
    refused(HEAD RULE("A!", "    literals: [abc]\n    regex: abc\n"), "small letters");
    refused(HEAD RULE("js-eval", "    literals: [abc]\n    regex: abc\n"), "already a rule");
    refused(HEAD RULE("a", "    literals: [abc]\n    regex: 'a(bc'\n"), "'regex' at character");
    refused(HEAD RULE("a", "    literals: [abc]\n    regex: 'abc'\n    secret: s\n"), "no group");
    refused(HEAD RULE("a", "    literals: [abc]\n    regex: 'a'\n    files: [cobol]\n"),
            "no kind of files");
    refused(HEAD RULE("a", "    literals: [abc]\n    regex: 'a'\n    lines: 0\n"), "from 1 to");
    refused(HEAD "  - id: b\n    class: nonsense\n", "no class 'nonsense'");
    refused("rules: [", "f:");
    refused("", "f:");
}

static void rules_of_an_operator_are_run_beside_the_others(void)
{
    static const char text[] =
        HEAD RULE("own-word", "    literals: [frobnicate]\n    regex: 'frobnicate\\(\\w+\\)'\n"
                              "    match: ['frobnicate(x)']\n");
    struct rules *r = NULL;
    struct seen s = {.only = "own-word"};

    CHECK_OK(rules_check(text, strlen(text), "f", ERR));
    CHECK_OK(rules_new(&r, ERR));
    CHECK_OK(scan(r, "a.js", "frobnicate(x); eval(y)", 22, &s));
    CHECK_INT(s.n, 1);
    CHECK_OK(rules_add(r, text, strlen(text), "f", ERR));
    CHECK_OK(scan(r, "a.js", "frobnicate(x); eval(y)", 22, &s));
    CHECK_INT(s.n, 2);
    CHECK_INT(s.of_it, 1);
    buf_done(&s.all);
    rules_free(r);
}

/* ---- hostile text ---- */

static void a_regex_that_never_ends_is_given_up_and_told(void)
{
    static const char text[] =
        HEAD RULE("own-slow", "    literals: [aaa]\n    regex: '(a+)+(a+)+(a+)+[bc]'\n");
    struct rules *r = NULL;
    struct seen s = {.only = "js-eval"};
    auto_buf line = {0};

    CHECK_OK(rules_new(&r, ERR));
    CHECK_OK(rules_add(r, text, strlen(text), "f", ERR));
    buf_adds(&line, "\neval(x)\n");
    for (int i = 0; i < 3000; i++) {
        buf_addc(&line, 'a');
    }
    buf_adds(&line, "\neval(x)\n");
    CHECK_INT(scan(r, "a.js", line.data, line.len, &s), ERR_LIMIT);
    CHECK_STR(tap_err.msg, "line 3 is made too hard for the rule own-slow");
    CHECK_INT(s.of_it, 2);
    buf_done(&s.all);
    rules_free(r);
}

static void every_rule_bears_lines_of_its_own_literals(void)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < rules_count(the_rules()); i++) {
        const struct rule *rule = rules_at(the_rules(), i);
        struct seen s = {0};
        auto_buf line = {0};

        for (size_t k = 0; line.len < 4000 && rule->literals.n > 0; k++) {
            buf_addf(&line, "%s%s", rule->literals.v[k % rule->literals.n],
                     &" \"=:('x\",${ 1"[k % 12]);
        }
        buf_addc(&line, '\n');
        if (scan(the_rules(), rule->sample, line.data, line.len, &s) != 0) {
            printf("# %s: %s\n", rule->id, tap_err.msg);
            wrong++;
        }
        for (size_t k = 0; k < line.len; k++) { /* one long word, which ends in nothing */
            line.data[k] = k % 2048 < 40 ? line.data[k] : "aA1 "[k / 3000 % 4];
        }
        if (scan(the_rules(), rule->sample, line.data, line.len, &s) != 0) {
            printf("# %s: %s\n", rule->id, tap_err.msg);
            wrong++;
        }
        buf_done(&s.all);
    }
    CHECK_INT(wrong, 0);
}

static void long_lines_are_searched_around_the_literals(void)
{
    auto_buf line = {0};
    struct seen s = {.only = "js-eval"};

    for (int i = 0; i < 100000; i++) {
        buf_adds(&line, i % 10000 == 0 ? ";eval(x);" : ";f(x)");
    }
    CHECK_OK(scan(the_rules(), "a.min.js", line.data, line.len, &s));
    CHECK_INT(s.of_it, 10);
    buf_done(&s.all);
}

static void a_file_with_too_much_to_tell_is_told_so(void)
{
    auto_buf text = {0};
    struct seen s = {.only = "js-eval"};

    for (int i = 0; i < 3000; i++) {
        buf_adds(&text, "eval(x)\n");
    }
    CHECK_INT(scan(the_rules(), "a.js", text.data, text.len, &s), ERR_LIMIT);
    CHECK(strstr(tap_err.msg, "more than 2000 places"));
    CHECK_INT(s.of_it, 2000);
    buf_done(&s.all);
}

/* ---- the document ---- */

static void add_cell(struct buf *b, const char *s)
{
    for (; *s; s++) {
        buf_adds(b, *s == '|' ? "\\|" : (const char[]){*s, '\0'});
    }
}

static void add_table(struct buf *b)
{
    buf_adds(b, "| Rule | Finds | Class | CWE | Severity | Sure | Files |\n"
                "| --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < rules_count(the_rules()); i++) {
        const struct rule *r = rules_at(the_rules(), i);

        buf_addf(b, "| `%s` | ", r->id);
        add_cell(b, r->title);
        buf_addf(b, " | %s | ", r->class_);
        for (uint32_t k = 0; k < r->n_cwe; k++) {
            buf_addf(b, "%s%d", k ? ", " : "", (int)r->cwe[k]);
        }
        buf_addf(b, " | %s | %d %% | ", severity_name(r->severity), (int)r->confidence_x100);
        if (r->paths.n > 0) {
            for (size_t k = 0; k < r->paths.n; k++) {
                buf_addf(b, "%s`%s`", k ? ", " : "", r->paths.v[k]);
            }
        } else {
            kind_names(r->kinds, b);
        }
        buf_adds(b, " |\n");
    }
}

static void the_document_has_every_rule_as_it_is(void)
{
    static const char begin[] = "<!-- begin: written from src/engine/rules -->\n";
    size_t n;
    auto_free char *text = test_data("../../docs/rules.md", &n);
    const char *from = strstr(text, begin), *to = strstr(text, "<!-- end -->");
    auto_buf want = {0}, out = {0};

    CHECK(from && to && from < to);
    from += strlen(begin);
    add_table(&want);
    if (getenv("SCANPOD_WRITE_DOCS")) {
        auto_free char *path = str_fmt("%s/../../docs/rules.md", getenv("SCANPOD_TEST_DATA"));
        FILE *f = fopen(path, "w");

        buf_addf(&out, "%.*s%s%s", (int)(from - text), text, want.data, to);
        CHECK(f && fputs(out.data, f) >= 0 && fclose(f) == 0);
    } else if ((size_t)(to - from) != want.len || memcmp(from, want.data, want.len) != 0) {
        tap_fail(__FILE__, __LINE__,
                 "docs/rules.md is not what the rules say; write it anew with "
                 "SCANPOD_WRITE_DOCS=1 meson test -C build-test rules_test");
    }
}

TESTS(every_rule_finds_its_examples_and_leaves_the_others, every_rule_has_two_examples_of_each_kind,
      every_text_is_plain_and_every_class_known, places_are_of_characters_and_secrets_are_cut,
      a_key_in_many_lines_is_told_to_its_end, a_guess_gives_way_to_a_rule_that_knows,
      a_key_of_a_service_account_is_told_once, a_checksum_tells_a_token_from_a_lookalike,
      placeholders_are_no_secrets, randomness_tells_keys_from_words,
      marks_in_the_source_are_told_and_not_obeyed, patterns_of_paths_match_what_they_say,
      kinds_come_from_the_path_or_the_first_line, literals_are_all_found_whatever_stands_around,
      more_bytes_than_classes_are_still_told_apart,
      files_of_rules_that_are_wrong_are_refused_with_the_place,
      rules_of_an_operator_are_run_beside_the_others, a_regex_that_never_ends_is_given_up_and_told,
      every_rule_bears_lines_of_its_own_literals, long_lines_are_searched_around_the_literals,
      a_file_with_too_much_to_tell_is_told_so, the_document_has_every_rule_as_it_is)
