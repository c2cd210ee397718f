/* Engines that the configuration declares: their file, what they are told, what they say. */
#include "engine/sarif.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "engine_rig.h"

#define MINIMAL                             \
    "version: 1\nengines:\n  - name: toy\n" \
    "    program: /usr/bin/toy\n    arguments: [\"{tree}\"]\n"

static const char *write_file(const char *text, mode_t mode)
{
    static char path[512];
    int fd;

    snprintf(path, sizeof path, "%s/engines.yaml", test_dir());
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    fchmod(fd, mode);
    close(fd);
    return path;
}

static struct sarif_engines *load(const char *text)
{
    struct sarif_engines *s = NULL;

    CHECK_OK(sarif_engines_load(write_file(text, 0600), &s, ERR));
    return s;
}

static const char whole[] =
    "version: 1\n"
    "engines:\n"
    "  - name: semgrep\n"
    "    summary: patterns of many languages\n"
    "    program: /opt/semgrep/bin/semgrep\n"
    "    arguments: [scan, \"--output={output}\", --, \"{files}\", \"{}\", \"x{tree}y\"]\n"
    "    output: file\n"
    "    ok_exit: [0, 1, 255]\n"
    "    languages: [python, c]\n"
    "    paths: [/opt/rules]\n"
    "    env: {SEMGREP_SEND_METRICS: \"off\", EMPTY: \"\"}\n"
    "    confidence: 0.6\n"
    "    default: true\n"
    "    limits: {wall_s: 60, memory_mb: 512}\n"
    "  - name: listed\n"
    "    program: /usr/bin/listed\n"
    "    arguments: [\"@{list}\"]\n";

static void check_whole(const struct sarif_engines *s)
{
    const struct engine_file files[] = {{.path = "-x.py"}, {.path = "d/b.c"}};
    const struct engine *en = sarif_engines_find(s, "semgrep");
    const struct engine_ask ask = {.program = "/opt/semgrep/bin/semgrep",
                                   .files = files,
                                   .n_files = ARRAY_LEN(files),
                                   .list_file = "/tmp/list",
                                   .declared = sarif_engine_of(en)};
    auto_free char *argv = NULL;
    auto_free char *other = NULL;
    struct engine_ask second = ask;

    CHECK_INT(sarif_engines_count(s), 2);
    CHECK(en == sarif_engines_at(s, 0));
    argv = engine_argv(en, &ask);
    CHECK_STR(argv, "/opt/semgrep/bin/semgrep scan --output=/tmp/semgrep.sarif -- ./-x.py d/b.c {} "
                    "x/tmp/srcy");
    CHECK_STR(en->output, "/tmp/semgrep.sarif");
    CHECK_INT(en->languages, LANG_PYTHON | LANG_C);
    CHECK_INT(en->tool.limits.wall_s, 60);
    CHECK_INT(en->tool.limits.memory_mb, 512);
    CHECK(en->tool.limits.processes > 0 && en->chunk > 0 && !en->on_demand && !en->network);
    CHECK_STR(en->env[0], "SEMGREP_SEND_METRICS=off");
    CHECK_STR(en->env[1], "EMPTY=");
    CHECK_STR(en->env[2], NULL);
    CHECK_STR(sarif_engine_paths(en)[0], "/opt/rules");
    CHECK_STR(sarif_engine_paths(en)[1], "/opt/semgrep/bin/semgrep"); /* else it is not there */
    CHECK_STR(sarif_engine_paths(en)[2], NULL);
    en = sarif_engines_at(s, 1);
    second.program = "/usr/bin/listed";
    second.declared = sarif_engine_of(en);
    other = engine_argv(en, &second);
    CHECK_STR(other, "/usr/bin/listed @/tmp/list");
    CHECK(en->on_demand && en->chunk == 0 && !en->output);
    CHECK_INT(en->languages, LANG_ANY);
    CHECK_STR(sarif_engine_paths(en)[0], NULL);
}

static void a_file_declares_engines(void)
{
    struct sarif_engines *s = load(whole);

    check_whole(s);
    CHECK(!sarif_engines_find(s, "flawfinder"));
    CHECK(!sarif_engine_of(&engine_flawfinder));
    CHECK_STR(sarif_engine_paths(&engine_flawfinder)[0], NULL);
    sarif_engines_free(s);
    CHECK_OK(sarif_engines_load(NULL, &s, ERR));
    CHECK(!s);
    CHECK_INT(sarif_engines_count(s), 0);
    sarif_engines_free(s);
}

static void rows_travel_as_json(void)
{
    struct sarif_engines *s = load(whole), *again = NULL;
    auto_buf b = {0}, second = {0};
    struct json j = json_to(&b), k = json_to(&second);
    json_t *tree;
    auto_free char *compact = NULL;

    sarif_engines_json(s, &j, NULL);
    tree = json_loads(b.data, JSON_REJECT_DUPLICATES, NULL);
    CHECK(tree);
    compact = json_dumps(tree, JSON_COMPACT); /* as others write it again on the way */
    CHECK_OK(sarif_engines_read(compact, &again, ERR));
    check_whole(again);
    sarif_engines_json(again, &k, NULL);
    CHECK_STR(second.data, b.data);
    json_decref(tree);
    sarif_engines_free(s);
    sarif_engines_free(again);
}

static void mistakes_are_told_with_their_place(void)
{
    static const char *const bad[][2] = {
        {"", ":1:1:"},
        {"version: 2\nengines: []\n", ":1:10: 'version' must be 1"},
        {"engines: []\n", "'version' is missing"},
        {"version: 1\nengines: {}\n", ":2:10: 'engines' must be a list"},
        {"version: 1\nengines:\n  - name: X\n", ":3:11: 'name' must be"},
        {"version: 1\nengines:\n  - name: bandit\n", "built-in engine"},
        {"version: 1\nengines:\n  - name: claude\n", "built-in engine"},
        {"version: 1\nengines:\n  - name: a\n    program: toy\n",
         ":4:14: 'program' must be an abs"},
        {"version: 1\nengines:\n  - name: a\n    program: /a/../b\n", "'..'"},
        {"version: 1\nengines:\n  - name: a\n    program: /a\n", "'arguments' is missing"},
        {"version: 1\nengines:\n  - name: a\n    program: /a\n    arguments: [\"{oops}\"]\n",
         ":5:17: '{oops}' is not known"},
        {"version: 1\nengines:\n  - name: a\n    program: /a\n    arguments: [\"x{files}\"]\n",
         "{files} must be an argument of its own"},
        {MINIMAL "    output: file\n", "'output: file' needs {output}"},
        {"version: 1\nengines:\n  - name: a\n    program: /a\n    arguments: [\"{output}\"]\n",
         "{output} needs 'output: file'"},
        {MINIMAL "    output: stderr\n", "'output' must be"},
        {MINIMAL "    ok_exit: [256]\n", "a number from 0 to 255"},
        {MINIMAL "    ok_exit: []\n", "at least one status"},
        {MINIMAL "    languages: [cobol]\n", "a language must be"},
        {MINIMAL "    paths: [/]\n", "all of the machine"},
        {MINIMAL "    paths: [opt]\n", "a path must be an absolute path"},
        {MINIMAL "    env: {\"A B\": x}\n", "'env' must have names"},
        {MINIMAL "    env: [x]\n", "'env' must be a mapping"},
        {MINIMAL "    confidence: 2\n", "'confidence' must be"},
        {MINIMAL "    confidence: nan\n", "'confidence' must be"},
        {MINIMAL "    default: yes\n", "'default' must be true or false"},
        {MINIMAL "    limits: {wall: 3}\n", "there is no such limit"},
        {MINIMAL "    limits: {wall_s: 0}\n", "'wall_s' must be a number from"},
        {MINIMAL "    argument: [x]\n", "did you mean 'arguments'"},
        {MINIMAL "  - name: toy\n    program: /b\n    arguments: []\n", "two engines of the name"},
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct sarif_engines *s = NULL;

        CHECK_ERR(sarif_engines_load(write_file(bad[i][0], 0600), &s, ERR), ERR_INVALID);
        if (!strstr(tap_err.msg, bad[i][1]) || !strstr(tap_err.msg, "engines.yaml:")) {
            tap_fail(__FILE__, __LINE__, "%zu: '%s' has no '%s'", i, tap_err.msg, bad[i][1]);
        }
    }
}

static void a_file_that_others_can_write_is_refused(void)
{
    struct sarif_engines *s = NULL;

    CHECK_ERR(sarif_engines_load(write_file(MINIMAL, 0620), &s, ERR), ERR_INVALID);
    CHECK_ERR(sarif_engines_load(write_file(MINIMAL, 0602), &s, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "chmod go-w"));
    CHECK_ERR(sarif_engines_load(test_dir(), &s, ERR), ERR_INVALID);
    CHECK_ERR(sarif_engines_load("/nowhere/at/all", &s, ERR), ERR_NOT_FOUND);
}

#define SARIF                                                                                  \
    "{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"Toy Scanner\","        \
    "\"version\":\"7\"}},\"results\":[{\"ruleId\":\"sqli\",\"message\":{\"text\":\"m\"},"      \
    "\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":"                     \
    "\"file:///tmp/src/d/a.py\"},\"region\":{\"startLine\":3,\"snippet\":{\"text\":\"x()\"}}}" \
    "}]}]}]}"

static void what_it_says_has_its_name_and_confidence(void)
{
    struct sarif_engines *s = load(whole);
    const struct engine *en = sarif_engines_at(s, 0);
    const json_t *o, *said;
    struct got g = {0};
    struct engine_end end = {.out = SARIF,
                             .n_out = strlen(SARIF),
                             .err = "",
                             .exit_status = 255,
                             .declared = sarif_engine_of(en)};

    engine_got(en, &end, &g);
    CHECK_INT(g.rc, 0);
    o = json_array_get(g.findings, 0);
    said = json_array_get(json_object_get(o, "engines"), 0);
    CHECK_STR(member(said, "name"), "semgrep");
    CHECK_STR(member(said, "version"), "7");
    CHECK(json_real_value(json_object_get(o, "confidence")) == 0.6);
    CHECK_STR(member(o, "path"), "d/a.py");
    CHECK_STR(member(o, "rule"), "sql-injection");
    CHECK_STR(member(o, "quote"), "x()");
    got_done(&g);
    sarif_engines_free(s);
}

static void only_its_own_statuses_and_whole_documents_are_believed(void)
{
    struct sarif_engines *s = load(whole);
    const struct engine *en = sarif_engines_at(s, 0);

    for (int status = -1; status < 300; status++) {
        const struct engine_end end = {.out = SARIF,
                                       .n_out = strlen(SARIF),
                                       .err = "x",
                                       .n_err = 1,
                                       .exit_status = status,
                                       .declared = sarif_engine_of(en)};
        struct got g = {.blind = true};

        engine_got(en, &end, &g);
        CHECK_INT(g.rc == 0, status == 0 || status == 1 || status == 255);
        got_done(&g);
    }
    for (size_t cut = 0; cut < strlen(SARIF); cut++) {
        const struct engine_end end = {
            .out = SARIF, .n_out = cut, .err = "", .declared = sarif_engine_of(en)};
        struct got g = {.blind = true};

        engine_got(en, &end, &g);
        CHECK_INT(g.rc, ERR_TOOL);
        got_done(&g);
    }
    sarif_engines_free(s);
}

TESTS(a_file_declares_engines, rows_travel_as_json, mistakes_are_told_with_their_place,
      a_file_that_others_can_write_is_refused, what_it_says_has_its_name_and_confidence,
      only_its_own_statuses_and_whole_documents_are_believed)
