/* What the Claude Code CLI prints, recorded, cut and made up; and what it is started with. */
#include <math.h>

#include "engine/agent.h"
#include "engine_rig.h"
#include "model/host.h"

static const char start_line[] =
    "{\"type\":\"system\",\"subtype\":\"init\",\"tools\":[\"Read\",\"Grep\",\"Glob\"],"
    "\"mcp_servers\":[],\"plugins\":[],\"permissionMode\":\"dontAsk\"}\n";

static const json_t *more(const struct got *g)
{
    static json_t *last;
    auto_free char *text = str_fmt("{%s}", g->notes.more.data);

    json_decref(last);
    last = json_loads(text, 0, NULL);
    CHECK(last);
    return last;
}

/* ---- recordings ---- */

static void an_answer_becomes_findings(void)
{
    static const char *const names[] = {"document", "text", "tools", "denied", "cut"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auto_free char *name = str_fmt("claude/%s.jsonl", names[i]);
        struct got g = {0};
        const json_t *o;

        engine_got_file(&engine_claude, name, 0, &g);
        CHECK_INT(g.rc, 0);
        CHECK_INT(g.n, 1);
        o = got_at(&g, "Command Injection", "src/run.py", 0);
        CHECK(o);
        CHECK_STR(member(o, "rule"), "command-injection");
        CHECK_STR(member(o, "title"), "The host goes to a shell");
        CHECK_STR(member(o, "severity"), "high");
        CHECK_STR(member(o, "quote"), "os.system(\"ping \" + host)");
        CHECK_INT(count(o, "line"), 5);
        CHECK(fabs(json_number_value(json_object_get(o, "confidence")) - 0.9) < 0.001);
        CHECK_INT(json_integer_value(json_array_get(json_object_get(o, "cwe"), 0)), 78);
        got_done(&g);
    }
}

static void every_other_end_is_a_failure_that_says_why(void)
{
    static const struct {
        const char *name;
        int status;
        const char *why;
    } rows[] = {
        {"prose", 0, "the model's answer is not the document that was asked for"},
        {"schema", 1, "the model never gave an answer of the form that was asked"},
        {"refusal", 1, "the model refused to look at this repository"},
        {"max-tokens", 1, "claude failed: API Error: Claude's response exceeded"},
        {"turns", 1, "the limit of turns was reached before there was an answer"},
        {"budget", 1, "the budget was spent before there was an answer"},
        {"error-401", 1, "the model's API answered 401: Failed to authenticate"},
        {"error-500", 1, "the model's API answered 500: API Error: 500 not today"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *name = str_fmt("claude/%s.jsonl", rows[i].name);
        struct got g = {0};

        engine_got_file(&engine_claude, name, rows[i].status, &g);
        CHECK_INT(g.rc, ERR_TOOL);
        CHECK_INT(g.n, 0);
        if (!strstr(g.notes.why, rows[i].why)) {
            tap_fail(__FILE__, __LINE__, "%s: %s", rows[i].name, g.notes.why);
        }
        got_done(&g);
    }
}

static void what_it_cost_is_told_whatever_its_end(void)
{
    static const struct {
        const char *name;
        int status;
        int64_t turns, in, out, retries, refused;
        double usd;
    } rows[] = {
        {"document", 0, 2, 1000, 50, 0, 0, 0.0038}, {"denied", 0, 4, 3000, 150, 0, 2, 0.0113},
        {"turns", 1, 6, 5000, 250, 0, 0, 0.0188},   {"budget", 1, 1, 2000000, 50, 0, 0, 6.0008},
        {"schema", 1, 6, 5000, 250, 0, 0, 0.0188},  {"error-500", 1, 1, 0, 0, 3, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *name = str_fmt("claude/%s.jsonl", rows[i].name);
        struct got g = {0};
        const json_t *o;

        engine_got_file(&engine_claude, name, rows[i].status, &g);
        o = more(&g);
        CHECK_INT(count(o, "turns"), rows[i].turns);
        CHECK_INT(count(o, "input_tokens"), rows[i].in);
        CHECK_INT(count(o, "output_tokens"), rows[i].out);
        CHECK_INT(count(o, "api_retries"), rows[i].retries);
        CHECK_INT(count(o, "refused_tools"), rows[i].refused);
        CHECK(fabs(json_number_value(json_object_get(o, "cost_usd")) - rows[i].usd) < 0.00011);
        if (rows[i].in) {
            CHECK_STR(member(o, "model"), "claude-sonnet-4-5");
        }
        got_done(&g);
    }
}

static void tokens_of_a_run_that_was_ended_are_known(void)
{
    size_t n;
    auto_free char *text = test_data("engines/claude/tools.jsonl", &n);
    char *result = strstr(text, "\n{\"type\": \"result\"");
    struct engine_end end = {.err = "", .exit_status = -1, .exit_signal = 15};
    struct got g = {0};

    if (!result) { /* members may come in any order */
        result = strrchr(text, '\n');
        *result = '\0';
        result = strrchr(text, '\n');
    }
    end.out = text;
    end.n_out = (size_t)(result - text);
    engine_got(&engine_claude, &end, &g);
    CHECK_INT(g.rc, ERR_TOOL);
    CHECK_STR(g.notes.why, "claude was ended by signal 15");
    CHECK_INT(count(more(&g), "input_tokens"), 3000);
    CHECK_INT(count(more(&g), "output_tokens"), 150);
    CHECK(!json_object_get(more(&g), "cost_usd"));
    got_done(&g);
}

static void output_that_was_cut_anywhere_is_a_failure(void)
{
    size_t n;
    auto_free char *text = test_data("engines/claude/document.jsonl", &n);

    cut_anywhere_is_a_failure(&engine_claude, "claude/document.jsonl", 0, n - 2, 97);
    only_these_ends_are_believed(&engine_claude, "claude/document.jsonl", 1u << 0);
}

/* ---- made up ---- */

/* A run that ends well with this document. */
static void got_document(const char *doc, struct got *g)
{
    auto_free char *text =
        str_fmt("%s{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,"
                "\"num_turns\":1,\"structured_output\":%s}\n",
                start_line, doc);

    engine_got_text(&engine_claude, text, 0, g);
}

static void got_finding_of(const char *members, struct got *g)
{
    auto_free char *doc =
        str_fmt("{\"summary\":\"\",\"risk_level\":\"high\",\"findings\":[{%s}]}", members);

    got_document(doc, g);
}

#define REST "\"quote\":\"x = 1;\",\"description\":\"d\",\"recommendation\":\"r\""

static void no_findings_are_no_failure(void)
{
    struct got g = {0};

    got_document("{\"summary\":\"Fine.\",\"risk_level\":\"none\",\"findings\":[]}", &g);
    CHECK_INT(g.rc, 0);
    CHECK_INT(g.n, 0);
    CHECK(!g.notes.why);
    got_done(&g);
}

static void a_document_that_breaks_the_schema_is_a_failure(void)
{
    static const char *const docs[] = {
        "[]",
        "{}",
        "null",
        "\"\"",
        "{\"findings\":[]}",
        "{\"findings\":{},\"summary\":\"\"}",
        "{\"findings\":[],\"summary\":1}",
        "{\"findings\":[1],\"summary\":\"\"}",
        "{\"findings\":[[]],\"summary\":\"\"}",
    };
    static const char *const findings[] = {
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a\"," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a\",\"line\":0," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a\",\"line\":-3," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a\",\"line\":\"3\"," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a\",\"line\":1e9," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a\",\"line\":99999999999," REST,
        "\"type\":\"xxe\",\"severity\":\"dreadful\",\"file\":\"a\",\"line\":1," REST,
        "\"type\":\"xxe\",\"severity\":null,\"file\":\"a\",\"line\":1," REST,
        "\"type\":1,\"severity\":\"high\",\"file\":\"a\",\"line\":1," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"/etc/passwd\",\"line\":1," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"../a\",\"line\":1," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a/../../b\",\"line\":1," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"\",\"line\":1," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a\",\"line\":1,\"quote\":\"\","
        "\"description\":\"d\",\"recommendation\":\"r\"",
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a\",\"line\":1,"
        "\"quote\":\"  }\\n ; \\t\",\"description\":\"d\",\"recommendation\":\"r\"",
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":7,\"line\":1," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a\",\"line\":1,"
        "\"description\":\"d\",\"recommendation\":\"r\"",
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a\",\"line\":1,"
        "\"confidence\":1.5," REST,
        "\"type\":\"xxe\",\"severity\":\"high\",\"file\":\"a\",\"line\":1,"
        "\"confidence\":\"1\"," REST,
    };

    for (size_t i = 0; i < ARRAY_LEN(docs) + ARRAY_LEN(findings); i++) {
        struct got g = {0};
        const char *what = i < ARRAY_LEN(docs) ? docs[i] : findings[i - ARRAY_LEN(docs)];

        if (i < ARRAY_LEN(docs)) {
            got_document(what, &g);
        } else {
            got_finding_of(what, &g);
        }
        if (g.rc != ERR_TOOL || g.n != 0) {
            tap_fail(__FILE__, __LINE__, "%s: %d, %zu findings", what, g.rc, g.n);
        }
        got_done(&g);
    }
}

static void good_findings_beside_bad_ones_are_kept(void)
{
    struct got g = {0};

    got_document("{\"summary\":\"\",\"risk_level\":\"low\",\"findings\":["
                 "{\"type\":\"xxe\",\"severity\":\"low\",\"file\":\"a\",\"line\":1," REST "},{}]}",
                 &g);
    CHECK_INT(g.rc, ERR_TOOL);
    CHECK_INT(g.n, 1);
    CHECK_STR(g.notes.why, "1 of the model's 2 findings are not of the form that was asked for");
    got_done(&g);
}

static void types_and_cwes_become_classes_of_ours(void)
{
    static const struct {
        const char *type, *cwe, *rule;
        int64_t number; /* of the CWE; 0: any */
    } rows[] = {
        {"SQL Injection", "\"CWE-89\"", "sql-injection", 89},
        {"sql_injection", "null", "sql-injection", 89},
        {"Sequel trouble", "\"CWE-89: SQL\"", "sql-injection", 89},
        {"Sequel trouble", "\"89\"", "sql-injection", 89},
        {"--Path--Traversal--", "\"cwe 22\"", "path-traversal", 22},
        {"made up", "\"CWE-99998\"", "other", 0},
        {"made up", "\"CWE-\"", "other", 0},
        {"", "\"\"", "other", 0},
        {"\\u0007\\n", "-5", "other", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *members = str_fmt("\"type\":\"%s\",\"cwe\":%s,\"severity\":\"info\","
                                          "\"file\":\"a\",\"line\":1," REST,
                                          rows[i].type, rows[i].cwe);
        struct got g = {0};
        const json_t *o;

        got_finding_of(members, &g);
        CHECK_INT(g.rc, 0);
        o = json_array_get(g.findings, 0);
        CHECK_STR(member(o, "rule"), rows[i].rule);
        if (rows[i].number) {
            CHECK_INT(json_integer_value(json_array_get(json_object_get(o, "cwe"), 0)),
                      rows[i].number);
        }
        got_done(&g);
    }
}

static void a_model_is_never_quite_sure_and_says_so_by_default(void)
{
    static const struct {
        const char *given;
        double taken;
    } rows[] = {{"1", 0.9}, {"0.42", 0.42}, {"0", 0.01}, {"null", 0.5}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *members = str_fmt("\"type\":\"xxe\",\"severity\":\"low\",\"file\":\"a\","
                                          "\"line\":1,\"confidence\":%s," REST,
                                          rows[i].given);
        struct got g = {0};
        const json_t *o;

        got_finding_of(members, &g);
        CHECK_INT(g.rc, 0);
        o = json_array_get(g.findings, 0);
        CHECK(fabs(json_number_value(json_object_get(o, "confidence")) - rows[i].taken) < 0.001);
        got_done(&g);
    }
}

/* A run that is not what was started, however good its answer looks. */
static void with_other_tools_than_its_own_nothing_is_taken(void)
{
    static const char *const starts[] = {
        "",
        "{\"type\":\"system\",\"subtype\":\"init\"}\n",
        "{\"type\":\"system\",\"subtype\":\"init\",\"tools\":[\"Read\",\"Bash\"],"
        "\"mcp_servers\":[],\"permissionMode\":\"dontAsk\"}\n",
        "{\"type\":\"system\",\"subtype\":\"init\",\"tools\":[\"Read\",\"Task\"],"
        "\"mcp_servers\":[],\"permissionMode\":\"dontAsk\"}\n",
        "{\"type\":\"system\",\"subtype\":\"init\",\"tools\":[\"Read\"],"
        "\"mcp_servers\":[{\"name\":\"x\"}],\"permissionMode\":\"dontAsk\"}\n",
        "{\"type\":\"system\",\"subtype\":\"init\",\"tools\":[\"Read\"],"
        "\"mcp_servers\":[],\"permissionMode\":\"bypassPermissions\"}\n",
        "{\"type\":\"system\",\"subtype\":\"init\",\"tools\":[\"Read\"],\"mcp_servers\":[],"
        "\"plugins\":[{\"path\":\"/tmp/src/p\"}],\"permissionMode\":\"dontAsk\"}\n",
        "{\"type\":\"system\",\"subtype\":\"init\",\"tools\":[7],\"mcp_servers\":[],"
        "\"permissionMode\":\"dontAsk\"}\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        auto_free char *text = str_fmt(
            "%s{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,"
            "\"structured_output\":{\"summary\":\"\",\"risk_level\":\"low\",\"findings\":"
            "[{\"type\":\"xxe\",\"severity\":\"low\",\"file\":\"a\",\"line\":1," REST "}]}}\n",
            starts[i]);
        struct got g = {0};

        engine_got_text(&engine_claude, text, 0, &g);
        CHECK_INT(g.rc, ERR_TOOL);
        CHECK_INT(g.n, 0);
        CHECK(strstr(g.notes.why, "tools"));
        got_done(&g);
    }
}

static void lines_that_are_no_json_or_not_known_are_passed_over(void)
{
    auto_free char *text =
        str_fmt("\n\x01\xff{\n[]\nnull\n\"type\"\n{\"type\":7}\n{\"type\":\"news\"}\n"
                "{\"type\":\"stream_event\",\"event\":[]}\n"
                "{\"type\":\"assistant\",\"message\":{\"content\":[7,{}]}}\n%s"
                "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,"
                "\"permission_denials\":7,\"modelUsage\":[],\"total_cost_usd\":-5,"
                "\"num_turns\":-1,\"structured_output\":"
                "{\"summary\":\"\",\"risk_level\":\"none\",\"findings\":[]}}",
                start_line);
    struct got g = {0};

    engine_got_text(&engine_claude, text, 0, &g);
    CHECK_INT(g.rc, 0);
    CHECK_INT(count(more(&g), "turns"), 0);
    CHECK(json_number_value(json_object_get(more(&g), "cost_usd")) == 0);
    got_done(&g);
}

static void what_is_shown_of_its_words_is_escaped(void)
{
    struct got g = {0};

    engine_got_text(&engine_claude,
                    "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,"
                    "\"result\":\"a\\u001b[31mb\\nc\"}\n",
                    1, &g);
    CHECK_INT(g.rc, ERR_TOOL);
    CHECK(!strchr(g.notes.why, '\x1b') && !strchr(g.notes.why, '\n'));
    CHECK(strstr(g.notes.why, "claude failed: a"));
    got_done(&g);
}

/* ---- how it is started ---- */

static void it_is_started_with_tools_that_read_and_no_settings_of_others(void)
{
    const struct agent_ask agent = {.max_turns = 7, .max_budget_cents = 150, .effort = "low"};
    const struct engine_ask ask = {.program = "/opt/claude", .agent = &agent};
    auto_free char *argv = engine_argv(&engine_claude, &ask);

    CHECK(str_starts(argv, "/opt/claude -p --output-format stream-json --verbose "
                           "--include-partial-messages --tools Read Grep Glob --setting-sources "
                           "user --strict-mcp-config --disable-slash-commands "
                           "--no-session-persistence --permission-mode dontAsk "
                           "--max-turns 7 --max-budget-usd 1.50 --model " AGENT_MODEL
                           " --effort low --json-schema {"));
    CHECK(strstr(argv, "--append-system-prompt You review"));
    for (const char *const *v = engine_claude.env; *v; v++) {
        CHECK(!strstr(*v, "sk-"));
    }
    CHECK(engine_claude.build_argv(&(struct engine_ask){.program = "x"}, &(struct strvec){0},
                                   ERR) == ERR_INTERNAL);
}

static void the_schema_is_one(void)
{
    const struct agent_ask agent = {0};
    const struct engine_ask ask = {.program = "claude", .agent = &agent};
    auto_strvec argv = {0};
    json_t *schema = NULL;

    CHECK_OK(engine_claude.build_argv(&ask, &argv, ERR));
    for (size_t i = 0; i + 1 < argv.n; i++) {
        if (str_eq(argv.v[i], "--json-schema")) {
            schema = json_loads(argv.v[i + 1], JSON_REJECT_DUPLICATES, NULL);
        }
    }
    CHECK_STR(member(schema, "type"), "object");
    CHECK_INT(json_array_size(json_object_get(schema, "required")), 3);
    json_decref(schema);
}

static void passes_share_the_budget(void)
{
    const struct agent_ask agent = {.passes = 3, .max_budget_cents = 100};
    const struct agent_ask least = {.passes = 5, .max_budget_cents = 2};
    struct engine_ask ask = {.program = "claude", .agent = &agent};
    auto_free char *argv = engine_argv(&engine_claude, &ask);
    auto_free char *small = (ask.agent = &least, engine_argv(&engine_claude, &ask));

    CHECK(strstr(argv, "--max-budget-usd 0.33 "));
    CHECK(strstr(small, "--max-budget-usd 0.01 "));
}

static void what_to_look_at_is_in_the_prompt(void)
{
    const struct agent_ask agent = {.paths = "src/a.c\n"};
    struct engine_ask ask = {.program = "claude", .agent = &agent};
    auto_buf in = {0};

    CHECK_OK(engine_claude.build_input(&ask, &in, ERR));
    CHECK(strstr(in.data, "Report only what is in these files and directories:\nsrc/a.c\n"));
}

static void its_version_is_read_and_that_of_others_is_not(void)
{
    char version[32] = "";

    CHECK(engine_claude.tool.read_version("2.1.330 (Claude Code)\n", version, sizeof version));
    CHECK_STR(version, "2.1.330");
    CHECK(!engine_claude.tool.read_version("2.1.330 (Klaus Code)\n", version, sizeof version));
    CHECK(!engine_claude.tool.read_version("(Claude Code)\n", version, sizeof version));
}

/* ---- claude_cli_args ---- */

static void known_arguments_are_taken(void)
{
    struct arena *arena = arena_new();
    struct agent_ask q = {0};

    CHECK_OK(agent_args_parse("", &q, arena, ERR));
    CHECK(!q.model && !q.effort && !q.max_turns && !q.max_budget_cents);
    CHECK_OK(agent_args_parse("--model claude-opus-4-1 --max-turns=12 '--max-budget-usd' 0.5 "
                              "--effort \"high\"",
                              &q, arena, ERR));
    CHECK_STR(q.model, "claude-opus-4-1");
    CHECK_INT(q.max_turns, 12);
    CHECK_INT(q.max_budget_cents, 50);
    CHECK_STR(q.effort, "high");
    arena_free(arena);
}

static void other_arguments_are_refused_by_name(void)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"--add-dir /", "disallowed argument: '--add-dir'"},
        {"--dangerously-skip-permissions", "disallowed argument: '--dangerously-skip-permissions'"},
        {"--permission-mode=bypassPermissions", "disallowed argument: '--permission-mode="},
        {"--settings x", "disallowed argument: '--settings'"},
        {"--mcp-config x", "disallowed argument: '--mcp-config'"},
        {"--tools Bash", "disallowed argument: '--tools'"},
        {"-p", "disallowed argument: '-p'"},
        {"ls", "disallowed argument: 'ls'"},
        {"--", "disallowed argument: '--'"},
        {"--mode x", "disallowed argument: '--mode'"},
        {"--models x", "disallowed argument: '--models'"},
        {"--Model x", "disallowed argument: '--Model'"},
        {"--model", "argument '--model' requires a value"},
        {"--model ''", "invalid value for '--model'"},
        {"--model=", "invalid value for '--model'"},
        {"--model --add-dir", "invalid value for '--model'"},
        {"--model 'a b'", "invalid value for '--model'"},
        {"--model a/b", "invalid value for '--model'"},
        {"--model $(id)", "invalid value for '--model'"},
        {"--max-turns 0", "invalid value for '--max-turns'"},
        {"--max-turns 1001", "invalid value for '--max-turns'"},
        {"--max-turns -1", "invalid value for '--max-turns'"},
        {"--max-turns 1x", "invalid value for '--max-turns'"},
        {"--max-budget-usd 0", "invalid value for '--max-budget-usd'"},
        {"--max-budget-usd 1e9", "invalid value for '--max-budget-usd'"},
        {"--max-budget-usd inf", "invalid value for '--max-budget-usd'"},
        {"--max-budget-usd 1.2.3", "invalid value for '--max-budget-usd'"},
        {"--effort max", "invalid value for '--effort'"},
        {"--model 'a", ""},
    };
    struct arena *arena = arena_new();

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct agent_ask q = {0};
        struct err e = {0};

        CHECK_INT(agent_args_parse(rows[i].text, &q, arena, &e), ERR_INVALID);
        if (!strstr(e.msg, rows[i].says)) {
            tap_fail(__FILE__, __LINE__, "%s: %s", rows[i].text, e.msg);
        }
    }
    arena_free(arena);
}

TESTS(an_answer_becomes_findings, every_other_end_is_a_failure_that_says_why,
      what_it_cost_is_told_whatever_its_end, tokens_of_a_run_that_was_ended_are_known,
      output_that_was_cut_anywhere_is_a_failure, no_findings_are_no_failure,
      a_document_that_breaks_the_schema_is_a_failure, good_findings_beside_bad_ones_are_kept,
      types_and_cwes_become_classes_of_ours, a_model_is_never_quite_sure_and_says_so_by_default,
      with_other_tools_than_its_own_nothing_is_taken,
      lines_that_are_no_json_or_not_known_are_passed_over, what_is_shown_of_its_words_is_escaped,
      it_is_started_with_tools_that_read_and_no_settings_of_others, the_schema_is_one,
      passes_share_the_budget, what_to_look_at_is_in_the_prompt,
      its_version_is_read_and_that_of_others_is_not, known_arguments_are_taken,
      other_arguments_are_refused_by_name)
