/* What makes a finding the same in the next scan, and what it shows of its file. */
#include "assess/identity.h"
#include "model/host.h"
#include "tap.h"

static struct finding finding_at(const char *path, const char *rule, int32_t line)
{
    struct finding f = {.rule = rule,
                        .title = "Something",
                        .severity = SEVERITY_HIGH,
                        .confidence_x100 = 80,
                        .at = {.path = path, .line = line},
                        .n_engines = 1};

    f.engines[0] = (struct finding_engine){.name = "rules", .rule = "R1", .confidence_x100 = 80};
    return f;
}

struct rig {
    struct source s;
    struct arena *arena;
};

static void look(struct rig *r, const char *path, const char *text, struct finding *v, size_t n)
{
    struct finding *list[64];

    for (size_t i = 0; i < n; i++) {
        list[i] = &v[i];
    }
    r->arena = arena_new();
    source_init(&r->s, path, text, strlen(text));
    identify(&r->s, list, n, r->arena);
}

static void rig_done(struct rig *r)
{
    source_done(&r->s);
    arena_free(r->arena);
}

/* ---- GitHub's hash: the vectors of its own tests ---- */

static void check_hashes(const char *text, const char *const *want)
{
    struct source s;
    int32_t line = 1;
    char got[24];

    source_init(&s, "x", text, strlen(text));
    for (; want[line - 1]; line++) {
        CHECK(source_github_hash(&s, line, got));
        CHECK_STR(got, want[line - 1]);
    }
    CHECK(!source_github_hash(&s, line, got));
    source_done(&s);
}

static void githubs_own_vectors_of_line_hashes_come_out(void)
{
    static const char *const ends[] = {
        "e9496ae3ebfced30:1", "fb7c023a8b9ccb3f:1", "ce8ba1a563dcdaca:1", "e20e36e16fcb0cc8:1",
        "b3edc88f2938467e:1", "c8e28b0b4002a3a0:1", "c129715d7a2bc9a3:1", NULL};
    static const char *const lorem[] = {
        "a7f2ff13bc495cf2:1", "a7f2ff13bc495cf2:2", "a7f2ff13bc495cf2:3", "a7f2ff13bc495cf2:4",
        "a7f2ff13bc495cf2:5", "a7f2ff13bc495cf2:6", "a7f2ff1481e87703:1", "a9cf91f7bbf1862b:1",
        "55ec222b86bcae53:1", "cc97dc7b1d7d8f7b:1", "c129715d7a2bc9a3:1", NULL};
    auto_buf repeated = {0};

    check_hashes("", (const char *const[]){"c129715d7a2bc9a3:1", NULL});
    check_hashes(" a\nb\n  \t\tc\n d",
                 (const char *const[]){"271789c17abda88f:1", "54703d4cd895b18:1",
                                       "180aee12dab6264:1", "a23a3dc5e078b07b:1", NULL});
    check_hashes(" hello; \t\nworld!!!\n\n\n  \t\tGreetings\n End",
                 (const char *const[]){"8b7cf3e952e7aeb2:1", "b1ae1287ec4718d9:1",
                                       "bff680108adb0fcc:1", "c6805c5e1288b612:1",
                                       "b86d3392aea1be30:1", "e6ceba753e1a442:1", NULL});
    check_hashes(" hello; \t\nworld!!!\n\n\n  \t\tGreetings\n End\n", ends);
    check_hashes(" hello; \t\nworld!!!\r\r\r  \t\tGreetings\r End\r", ends);
    check_hashes(" hello; \t\r\nworld!!!\r\n\r\n\r\n  \t\tGreetings\r\n End\r\n", ends);
    check_hashes(" hello; \t\nworld!!!\r\n\n\r  \t\tGreetings\r End\r\n", ends);
    for (int i = 0; i < 10; i++) {
        buf_adds(&repeated, "Lorem ipsum dolor sit amet.\n");
    }
    check_hashes(repeated.data, lorem);
    {
        struct source f;
        char got[24];

        /* The files of fingerprinting.expected.sarif. */
        source_init(&f, "testFile1.js", "var a = 0;\nvar b = 0;\nvar c = 0;\nvar d = 0;\n", 44);
        CHECK(source_github_hash(&f, 1, got));
        CHECK_STR(got, "5e4d5a9cf1294ad9:1");
        source_done(&f);
        source_init(&f, "testFile2.js", "var foo = 0;\nvar bar = 0;\nvar baz = 0;\nvar qux = 0;\n",
                    52);
        CHECK(source_github_hash(&f, 2, got));
        CHECK_STR(got, "f7592a95a9381ac0:1");
        source_done(&f);
    }
}

/* ---- what stays the same ---- */

static const char before_text[] = "#include <stdio.h>\n"
                                  "\n"
                                  "int f(char *a, char *b)\n"
                                  "{\n"
                                  "    if (a) {\n"
                                  "        strcpy(a, b);\n"
                                  "    } else {\n"
                                  "        strcpy(b, a);\n"
                                  "    }\n"
                                  "    strcpy(a, b);\n"
                                  "}\n"
                                  "\n"
                                  "int g(char *a, char *b)\n"
                                  "{\n"
                                  "    strcpy(a, b);\n"
                                  "}\n";
static const int32_t before_lines[] = {6, 8, 10, 15};

static void prints_of(const char *path, const char *text, const int32_t *lines, size_t n,
                      struct finding_identity *out)
{
    struct rig r;
    struct finding v[64];

    for (size_t i = 0; i < n; i++) {
        v[i] = finding_at(path, "buffer-overflow", lines[i]);
    }
    look(&r, path, text, v, n);
    for (size_t i = 0; i < n; i++) {
        CHECK(v[i].verified);
        CHECK_INT(strlen(v[i].identity.primary), PRINT_TEXT - 1);
        out[i] = v[i].identity;
    }
    rig_done(&r);
}

static void check_same(const char *text, const int32_t *lines)
{
    struct finding_identity before[4], now[4];

    prints_of("src/a.c", before_text, before_lines, 4, before);
    prints_of("src/a.c", text, lines, 4, now);
    for (int i = 0; i < 4; i++) {
        CHECK_STR(now[i].primary, before[i].primary);
        CHECK_STR(now[i].moved, before[i].moved);
        CHECK_STR(now[i].around, before[i].around);
    }
}

static void lines_inserted_above_change_nothing(void)
{
    auto_free char *text = str_fmt("/*\n1\n2\n3\n4\n5\n6\n7\n8\n*/\n%s", before_text);

    check_same(text, (const int32_t[]){16, 18, 20, 25});
}

static void another_indentation_and_brace_style_change_nothing(void)
{
    check_same("#include <stdio.h>\r\n"
               "int f(char *a, char *b) {\r\n"
               "\tif ( a )\r\n"
               "\t{\r\n"
               "\t\tstrcpy( a, b );\r\n"
               "\t}\r\n"
               "\telse\r\n"
               "\t{\r\n"
               "\t\tstrcpy(b,a);\r\n"
               "\t}\r\n"
               "\r\n"
               "\tstrcpy (a,\tb);\r\n"
               "}\r\n"
               "int g(char *a, char *b) {\r\n"
               "  strcpy(a, b); }\r\n",
               (const int32_t[]){5, 9, 12, 15});
}

static void what_differs_has_another_print(void)
{
    struct finding_identity v[4];

    prints_of("src/a.c", before_text, before_lines, 4, v);
    /* 0 and 2 are equal but for their ordinal; 3 is in another function. */
    CHECK(!str_eq(v[0].primary, v[2].primary));
    CHECK_STR(v[0].moved, v[2].moved);
    CHECK(!str_eq(v[0].primary, v[1].primary));
    CHECK(!str_eq(v[0].moved, v[3].moved));
    CHECK(!str_eq(v[0].around, v[2].around));
}

static void another_path_changes_all_but_moved(void)
{
    struct finding_identity a[4], b[4];

    prints_of("src/a.c", before_text, before_lines, 4, a);
    prints_of("lib/b.c", before_text, before_lines, 4, b);
    CHECK(!str_eq(a[0].primary, b[0].primary));
    CHECK(!str_eq(a[0].around, b[0].around));
    CHECK_STR(a[0].moved, b[0].moved);
    CHECK_STR(a[0].github, b[0].github);
}

static void prints_do_not_depend_on_the_order_of_reports(void)
{
    static const int32_t turned[] = {15, 10, 8, 6};
    struct finding_identity a[4], b[4];

    prints_of("src/a.c", before_text, before_lines, 4, a);
    prints_of("src/a.c", before_text, turned, 4, b);
    for (int i = 0; i < 4; i++) {
        CHECK_STR(a[i].primary, b[3 - i].primary);
    }
}

static void equals_on_one_line_are_told_apart_by_their_columns(void)
{
    struct rig r;
    struct finding v[2] = {finding_at("a.c", "format-string", 1),
                           finding_at("a.c", "format-string", 1)};
    char first[PRINT_TEXT];

    v[0].at.column = 20;
    v[1].at.column = 3;
    look(&r, "a.c", "  printf(a); printf(b);\n", v, 2);
    CHECK(!str_eq(v[0].identity.primary, v[1].identity.primary));
    memcpy(first, v[1].identity.primary, sizeof first);
    rig_done(&r);
    v[0] = finding_at("a.c", "format-string", 1);
    look(&r, "a.c", "  printf(a); printf(b);\n", v, 1);
    CHECK_STR(v[0].identity.primary, first);
    rig_done(&r);
}

/* ---- what is told of the place ---- */

static void function_line_and_snippet_come_from_the_tree(void)
{
    struct rig r;
    struct finding v[1] = {finding_at("src/a.c", "buffer-overflow", 8)};

    look(&r, "src/a.c", before_text, v, 1);
    CHECK_STR(v[0].function, "f");
    CHECK_STR(v[0].line, "strcpy(b, a);");
    CHECK_INT(v[0].snippet_line, 5);
    CHECK_STR(v[0].snippet, "    if (a) {\n        strcpy(a, b);\n    } else {\n"
                            "        strcpy(b, a);\n    }\n    strcpy(a, b);\n}\n");
    CHECK_OK(finding_check(&v[0], ERR));
    rig_done(&r);
}

static void a_place_that_is_not_in_the_tree_is_marked_and_doubted(void)
{
    struct rig r;
    struct finding v[3] = {finding_at("a.c", "other", 99), finding_at("a.c", "other", 1),
                           finding_at("a.c", "other", 0)};
    struct finding alone = finding_at("gone.c", "other", 3), *list[] = {&alone};
    struct arena *arena = arena_new();

    look(&r, "a.c", "int x;\n", v, 3);
    CHECK(!v[0].verified && v[0].confidence_x100 == 40 && !v[0].snippet && !v[0].line);
    CHECK(v[1].verified && v[1].confidence_x100 == 80 && v[1].snippet);
    CHECK(v[2].verified && !v[2].snippet && v[2].identity.github[0]);
    rig_done(&r);
    identify(NULL, list, 1, arena);
    CHECK(!alone.verified && alone.confidence_x100 == 40 && !alone.snippet);
    CHECK(alone.identity.primary[0] && alone.identity.moved[0] && !alone.identity.around[0]);
    arena_free(arena);
}

static void a_quote_is_found_within_five_lines(void)
{
    static const struct {
        int32_t line;
        const char *quote;
        int32_t found; /* 0: nowhere */
    } cases[] = {
        {6, "strcpy(a, b);", 6},
        {5, "  strcpy( b,a )", 8},
        {11, "strcpy(b, a)", 8},
        {3, "strcpy(b, a);", 8},
        {2, "strcpy(b, a);", 0},
        {14, "strcpy(b, a);", 0},
        {7, "gets(a);", 0},
        {7, "{\n strcpy(b, a);", 8},
        {7, "", 7},
        {9, "}\n", 9},
        {99, "strcpy", 0},
        {19, "strcpy(a, b);", 15},
        {0, "#include <stdio.h>", 1},
        {16, "strcpy(a, b)\n}", 15},
        {INT32_MAX, "strcpy", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig r;
        struct finding v[1] = {finding_at("src/a.c", "buffer-overflow", cases[i].line)};

        v[0].quote = cases[i].quote;
        v[0].at.end_line = i % 2 ? INT32_MAX : cases[i].line;
        look(&r, "src/a.c", before_text, v, 1);
        if (v[0].verified != (cases[i].found > 0) ||
            v[0].at.line != (cases[i].found ? cases[i].found : cases[i].line)) {
            tap_fail(__FILE__, __LINE__, "case %zu: line %d", i, v[0].at.line);
        }
        CHECK_INT(v[0].confidence_x100, cases[i].found ? 80 : 40);
        CHECK(v[0].quote == NULL);
        CHECK_OK(finding_check(&v[0], ERR));
        rig_done(&r);
    }
}

static void text_that_is_not_utf8_or_very_long_is_cut_to_bounds(void)
{
    struct rig r;
    struct finding v[3] = {finding_at("a.js", "other", 2), finding_at("a.js", "other", 2),
                           finding_at("a.js", "other", 1)};
    auto_buf text = {0};

    buf_adds(&text, "caf\xE9 \x01 \xC3\xA9\n");
    for (int i = 0; i < 20000; i++) {
        buf_addf(&text, "\xC3\xA9%d;", i % 7);
    }
    buf_adds(&text, "\nend\n");
    v[0].at.column = 30001;
    look(&r, "a.js", text.data, v, 3);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(finding_check(&v[i], ERR));
        CHECK(strlen(v[i].snippet) > 10);
    }
    CHECK(!str_eq(v[0].line, v[1].line));
    CHECK(!str_eq(v[0].identity.primary, v[1].identity.primary));
    CHECK_STR(v[2].line, "caf\xEF\xBF\xBD \xEF\xBF\xBD \xC3\xA9");
    rig_done(&r);
}

/* ---- secrets ---- */

static bool shows(const struct finding *f, const char *secret)
{
    return strstr(f->line, secret) || strstr(f->snippet, secret) ||
           (f->message && strstr(f->message, secret)) || strstr(f->title, secret);
}

static void secrets_are_hidden_wherever_the_file_shows_them(void)
{
    static const char text[] = "# token is tok_QwErTyUiOp1234\n"
                               "x = 1\n"
                               "token = \"tok_QwErTyUiOp1234\"\n"
                               "use(\"tok_QwErTyUiOp1234\", x)\n";
    struct rig r;
    struct finding v[2] = {finding_at("a.py", "hardcoded-secret", 3),
                           finding_at("a.py", "other", 4)};

    v[0].secret = "token: tok_****";
    v[0].at.column = 10;
    v[0].at.end_line = 3;
    v[0].at.end_column = 27;
    v[1].title = "Call with 'tok_QwErTyUiOp1234'";
    v[1].message = "Possible hardcoded password: 'tok_QwErTyUiOp1234' twice tok_QwErTyUiOp1234";
    look(&r, "a.py", text, v, 2);
    for (int i = 0; i < 2; i++) {
        CHECK(!shows(&v[i], "tok_Q"));
        CHECK(!shows(&v[i], "UiOp1234"));
        CHECK_OK(finding_check(&v[i], ERR));
    }
    CHECK_STR(v[0].line, "token = \"tok_****\"");
    CHECK_STR(v[1].message, "Possible hardcoded password: 'tok_****' twice tok_****");
    CHECK(strstr(v[0].snippet, "# token is tok_****\n"));
    rig_done(&r);
}

static void a_secret_that_changes_behind_its_first_characters_is_the_same_finding(void)
{
    static const char *const texts[] = {"k = \"tok_QwErTyUiOp1234\"\n",
                                        "k = \"tok_0000000000aaaa\"\n"};
    char prints[2][PRINT_TEXT];

    for (int i = 0; i < 2; i++) {
        struct rig r;
        struct finding v[1] = {finding_at("a.py", "hardcoded-secret", 1)};

        v[0].secret = "token";
        v[0].at.column = 6;
        v[0].at.end_column = 23;
        look(&r, "a.py", texts[i], v, 1);
        memcpy(prints[i], v[0].identity.primary, PRINT_TEXT);
        rig_done(&r);
    }
    CHECK_STR(prints[0], prints[1]);
}

static void a_secret_without_columns_hides_what_may_be_it(void)
{
    static const struct {
        const char *text, *line;
    } cases[] = {
        {"password = 'hunter2hunter2'", "password = 'hunt****'"},
        {"PASSWORD=hunter2hunter2", "PASSWORD=hunt****"},
        {"password: hunter2hunter2", "password: hunt****"},
        {"hunter2hunter2", "hunt****"},
        {"p('a\\'hunter2hunter2', \"hunter3hunter3\")", "p('a\\'h****', \"hunt****\")"},
        {"pw = 'short'", "pw = 's****'"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig r;
        struct finding v[1] = {finding_at("a", "hardcoded-secret", 1)};

        v[0].secret = "password";
        look(&r, "a", cases[i].text, v, 1);
        CHECK_STR(v[0].line, cases[i].line);
        rig_done(&r);
    }
}

static void a_secret_of_many_lines_is_hidden_in_all_of_them(void)
{
    static const char text[] = "key = \"\"\"-----BEGIN KEY-----\n"
                               "MIIEowIBAAKCAQEAw5\n"
                               "  ZhOPtH8Kc6gY7nQ2\n"
                               "-----END KEY-----\"\"\"\n"
                               "x = 1\n";
    struct rig r;
    struct finding v[2] = {finding_at("a.py", "hardcoded-secret", 1),
                           finding_at("a.py", "other", 3)};

    v[0].secret = "private key";
    v[0].at.column = 10;
    v[0].at.end_line = 4;
    v[0].at.end_column = 17;
    look(&r, "a.py", text, v, 2);
    for (int i = 0; i < 2; i++) {
        CHECK(!shows(&v[i], "MIIE"));
        CHECK(!shows(&v[i], "ZhOP"));
        CHECK(strstr(v[i].snippet, "x = 1"));
    }
    rig_done(&r);
}

static void many_secrets_on_one_line_are_all_hidden(void)
{
    struct rig r;
    struct finding v[64];
    auto_buf text = {0};

    for (int i = 0; i < 64; i++) {
        v[i] = finding_at("a.txt", "hardcoded-secret", 1);
        v[i].secret = "k";
        v[i].at.column = (int32_t)text.len + 1;
        buf_addf(&text, "SECRET%02dabc ", (i * 37) % 64);
        v[i].at.end_column = (int32_t)text.len - 1;
    }
    look(&r, "a.txt", text.data, v, 64);
    for (int i = 0; i < 64; i++) {
        CHECK(!strstr(v[i].line, "SECR"));
        CHECK(!strstr(v[i].snippet, "abc"));
    }
    rig_done(&r);
}

/* ---- at random ---- */

static uint32_t dice(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

/* Lines of a program: n functions with calls in them; `salt` makes other lines around. */
static void program(struct buf *b, uint32_t *seed, int32_t *lines, size_t *n, uint32_t salt)
{
    uint32_t shape = 7;
    int32_t line = 1;

    *n = 0;
    for (int f = 0; f < 12; f++) {
        for (uint32_t k = salt ? dice(seed) % 4 : 0; k > 0; k--, line++) {
            buf_addf(b, "// %u\n", dice(seed));
        }
        buf_addf(b, "int f%d(char *a)\n{\n", f);
        line += 2;
        for (uint32_t k = 0; k < 3; k++) {
            const char *indent = salt && dice(seed) % 2 ? "\t" : "    ";

            if (salt && dice(seed) % 2) {
                buf_addf(b, "%slog(%u);\n\n", indent, dice(seed));
                line += 2;
            }
            buf_addf(b, "%sstrcpy(a,%sx%u);\n", indent, salt ? "  " : " ", dice(&shape) % 2);
            lines[(*n)++] = line++;
        }
        buf_adds(b, "}\n");
        line++;
    }
}

static void random_edits_between_keep_every_print(void)
{
    for (uint32_t round = 1; round <= 200; round++) {
        uint32_t seed = round;
        auto_buf before = {0}, now = {0};
        int32_t lines[2][64];
        size_t n;
        struct finding_identity a[64], b[64];

        program(&before, &seed, lines[0], &n, 0);
        program(&now, &seed, lines[1], &n, round);
        prints_of("f.c", before.data, lines[0], n, a);
        prints_of("f.c", now.data, lines[1], n, b);
        for (size_t i = 0; i < n; i++) {
            CHECK_STR(a[i].primary, b[i].primary);
            for (size_t k = 0; k < i; k++) {
                CHECK(!str_eq(a[i].primary, a[k].primary));
            }
        }
    }
}

static void any_bytes_and_any_places_are_survived(void)
{
    for (uint32_t round = 1; round <= 400; round++) {
        static const char *const paths[] = {"a.c", "a.py", "a.sh", "a.js", "a.rs", "a.php", "a.rb"};
        uint32_t seed = round;
        struct rig r;
        struct finding v[8];
        auto_buf text = {0};

        for (uint32_t k = dice(&seed) % 400; k > 0; k--) {
            static const char some[] = "{}()\"'\n\r\t `$#/*\\=<>fn def\xC3\xA9\xFF;:";

            buf_addc(&text, some[dice(&seed) % (sizeof some - 1)]);
        }
        buf_addc(&text, 'x');
        for (int i = 0; i < 8; i++) {
            v[i] = finding_at(paths[round % 7], "other", (int32_t)(dice(&seed) % 40));
            v[i].at.column = (int32_t)(dice(&seed) % 30);
            v[i].at.end_line = dice(&seed) % 2 ? v[i].at.line + (int32_t)(dice(&seed) % 9) : 0;
            v[i].at.end_column = (int32_t)(dice(&seed) % 30);
            v[i].secret = dice(&seed) % 2 ? "s" : NULL;
            v[i].quote = dice(&seed) % 3 ? NULL : "fn def";
        }
        look(&r, paths[round % 7], text.data, v, 8);
        for (int i = 0; i < 8; i++) {
            CHECK_OK(finding_check(&v[i], ERR));
        }
        rig_done(&r);
    }
}

TESTS(githubs_own_vectors_of_line_hashes_come_out, lines_inserted_above_change_nothing,
      another_indentation_and_brace_style_change_nothing, what_differs_has_another_print,
      another_path_changes_all_but_moved, prints_do_not_depend_on_the_order_of_reports,
      equals_on_one_line_are_told_apart_by_their_columns,
      function_line_and_snippet_come_from_the_tree,
      a_place_that_is_not_in_the_tree_is_marked_and_doubted, a_quote_is_found_within_five_lines,
      text_that_is_not_utf8_or_very_long_is_cut_to_bounds,
      secrets_are_hidden_wherever_the_file_shows_them,
      a_secret_that_changes_behind_its_first_characters_is_the_same_finding,
      a_secret_without_columns_hides_what_may_be_it,
      a_secret_of_many_lines_is_hidden_in_all_of_them, many_secrets_on_one_line_are_all_hidden,
      random_edits_between_keep_every_print, any_bytes_and_any_places_are_survived)
