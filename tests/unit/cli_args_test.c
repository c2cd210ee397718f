#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/request.h"
#include "cli/term.h"
#include "tap.h"

static const struct flag flags[] = {
    {.name = "ports", .letter = 'p', .value = "PORTS", .help = ""},
    {.name = "arguments", .value = "ARGS", .help = ""},
    {.name = "quiet", .letter = 'q', .help = ""},
    {.name = "help", .letter = 'h', .help = ""},
    {.name = "unsafe", .value = "true|false", .help = "", .optional = true},
    {0},
};
static const struct flag inner[] = {
    {.name = "ports", .letter = 'P', .value = "OTHER", .help = ""},
    {0},
};
static const struct flag *const tables[] = {flags, NULL};

#define READ(a, ...)                                                             \
    args_read((a), tables, (int)ARRAY_LEN(((const char *const[]){__VA_ARGS__})), \
              (const char *const[]){__VA_ARGS__}, false, NULL, ERR)

static void values_come_in_four_spellings(void)
{
    static const char *const lines[][2] = {
        {"--ports", "22"}, {"--ports=22", NULL}, {"-p", "22"}, {"-p22", NULL}};

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct args a = {0};

        CHECK_OK(args_read(&a, tables, lines[i][1] ? 2 : 1, lines[i], false, NULL, ERR));
        CHECK_STR(args_value(&a, "ports"), "22");
        CHECK_INT(a.n, 0);
        args_done(&a);
    }
}

static void flags_and_operands_mix(void)
{
    struct args a = {0};

    CHECK_OK(READ(&a, "127.0.0.1", "-qh", "::1", "--arguments", "-sV", "-"));
    CHECK_INT(a.n, 3);
    CHECK_STR(a.operands[0], "127.0.0.1");
    CHECK_STR(a.operands[1], "::1");
    CHECK_STR(a.operands[2], "-");
    CHECK(args_has(&a, "quiet") && args_has(&a, "help"));
    CHECK_STR(args_value(&a, "arguments"), "-sV");
    CHECK(!args_has(&a, "ports"));
    args_done(&a);
}

static void two_dashes_end_the_flags(void)
{
    struct args a = {0};

    CHECK_OK(READ(&a, "-q", "--", "--ports", "-h"));
    CHECK_INT(a.n, 2);
    CHECK_STR(a.operands[0], "--ports");
    CHECK(!args_has(&a, "help"));
    args_done(&a);
}

static void the_last_of_two_values_counts(void)
{
    struct args a = {0};

    CHECK_OK(READ(&a, "--ports=1", "-p", "2"));
    CHECK_STR(args_value(&a, "ports"), "2");
    args_done(&a);
}

static void the_first_table_wins(void)
{
    const struct flag *const both[] = {inner, flags, NULL};
    const char *const line[] = {"--ports", "7"};
    struct args a = {0};

    CHECK_OK(args_read(&a, both, 2, line, false, NULL, ERR));
    CHECK(a.set[0].flag == &inner[0]);
    args_done(&a);
}

static void an_optional_value_needs_an_equals_sign(void)
{
    struct args a = {0};

    CHECK_OK(READ(&a, "--unsafe", "false"));
    CHECK_STR(args_value(&a, "unsafe"), "true");
    CHECK_STR(a.operands[0], "false");
    args_done(&a);
    CHECK_OK(READ(&a, "--unsafe=false"));
    CHECK_STR(args_value(&a, "unsafe"), "false");
    args_done(&a);
}

static void reading_can_stop_before_the_command(void)
{
    const char *const line[] = {"-q", "scan", "--ports"};
    struct args a = {0};
    int used = 0;

    CHECK_OK(args_read(&a, tables, 3, line, true, &used, ERR));
    CHECK_INT(used, 1);
    CHECK_INT(a.n, 0);
    args_done(&a);
}

static void wrong_flags_are_named(void)
{
    static const struct {
        const char *line[2];
        int n;
        const char *says;
    } cases[] = {
        {{"--port"}, 1, "unknown option '--port'; did you mean '--ports'?"},
        {{"--prots=1"}, 1, "unknown option '--prots'; did you mean '--ports'?"},
        {{"--frobnicate"}, 1, "unknown option '--frobnicate'"},
        {{"-x"}, 1, "unknown option '-x'"},
        {{"-qx"}, 1, "unknown option '-x'"},
        {{"--ports"}, 1, "option '--ports' needs a value: PORTS"},
        {{"-p"}, 1, "option '-p' needs a value: PORTS"},
        {{"--quiet=yes"}, 1, "option '--quiet' takes no value"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct args a = {0};

        CHECK_ERR(args_read(&a, tables, cases[i].n, cases[i].line, false, NULL, ERR), ERR_INVALID);
        CHECK_STR(tap_err.msg, cases[i].says);
        args_done(&a);
    }
}

static void a_scan_becomes_a_request(void)
{
    static const struct flag scan_flags[] = {
        SCAN_FLAGS,
        {.name = "priority", .value = "N", .help = ""},
        {.name = "retries", .value = "N", .help = ""},
        {0},
    };
    const struct flag *const t[] = {scan_flags, NULL};
    const char *const line[] = {"127.0.0.1", "a\"b", "-p", "22", "--timeout", "9", "--priority=0"};
    struct scan_flags f;
    struct args a = {0};
    auto_buf json = {0};

    CHECK_OK(args_read(&a, t, ARRAY_LEN(line), line, false, NULL, ERR));
    CHECK_OK(scan_flags_read(&a, &f, ERR));
    scan_flags_json(&f, &json);
    CHECK_STR(json.data, "{\"targets\":\"127.0.0.1 a\\\"b\",\"ports\":\"22\",\"timeout\":9,"
                         "\"priority\":0}");
    scan_flags_done(&f);
    args_done(&a);
}

static void numbers_out_of_bounds_are_refused(void)
{
    static const struct flag scan_flags[] = {
        SCAN_FLAGS, {.name = "priority", .value = "N", .help = ""}, {0}};
    const struct flag *const t[] = {scan_flags, NULL};
    static const char *const lines[][1] = {
        {"--timeout=0"}, {"--timeout=86401"}, {"--timeout=1s"},  {"--timeout=-1"},
        {"--timeout="},  {"--priority=10"},   {"--timeout=1.5"}, {"--priority=x"}};

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct scan_flags f;
        struct args a = {0};

        CHECK_OK(args_read(&a, t, 1, lines[i], false, NULL, ERR));
        CHECK_ERR(scan_flags_read(&a, &f, ERR), ERR_INVALID);
        scan_flags_done(&f);
        args_done(&a);
    }
}

static void http_statuses_become_exit_statuses(void)
{
    static const struct {
        long http;
        int exit;
    } cases[] = {
        {200, STATUS_OK},          {202, STATUS_OK},          {204, STATUS_OK},
        {304, STATUS_OK},          {400, STATUS_USAGE},       {401, STATUS_DENIED},
        {403, STATUS_REFUSED},     {404, STATUS_FOUND},       {409, STATUS_FOUND},
        {413, STATUS_USAGE},       {422, STATUS_USAGE},       {429, STATUS_UNREACHABLE},
        {500, STATUS_UNREACHABLE}, {503, STATUS_UNREACHABLE}, {507, STATUS_UNREACHABLE},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(client_exit_status(cases[i].http), cases[i].exit);
    }
}

static struct err problem_err;

static void check_problem(long status, const char *body, const char *says, const char *want_hint)
{
    struct answer a = {.status = status};
    char *hint = NULL;

    buf_adds(&a.body, body);
    problem_err = (struct err){0};
    CHECK(client_check(&a, &problem_err, &hint) != 0);
    CHECK_STR(problem_err.msg, says);
    CHECK_STR(hint, want_hint);
    free(hint);
    answer_done(&a);
}

static void problems_are_read_defensively(void)
{
    check_problem(422,
                  "{\"detail\":\"two things\",\"errors\":[{\"pointer\":\"/ports\",\"detail\":"
                  "\"bad\"},{\"detail\":\"worse\"},7]}",
                  "two things; /ports: bad; worse", NULL);
    check_problem(409, "{\"title\":\"Conflict\",\"hint\":\"do this\"}", "Conflict", "do this");
    check_problem(500, "<html>", "the server answered with status 500", NULL);
    check_problem(302, "", "the server answered with status 302", NULL);
    check_problem(401, "[1,2", "the server answered with status 401", NULL);
    check_problem(422, "{\"detail\":[{\"msg\":\"old shape\"}]}",
                  "the server answered with status 422", NULL);
}

static void only_sound_server_names_are_taken(void)
{
    static const char *const bad[] = {
        "",           "127.0.0.1:8000",   "ftp://localhost", "file:///x",     "unix:",
        "http://a b", "http://user@host", "http://h/?q",     "http://h\nX: 1"};
    static const char *const good[] = {"http://127.0.0.1:8000", "https://[::1]:8443/",
                                       "unix:/run/scanpod.sock"};
    struct client *c;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(client_new(&(struct client_config){.server = bad[i]}, &c, ERR), ERR_INVALID);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK_OK(client_new(&(struct client_config){.server = good[i]}, &c, ERR));
        CHECK_STR(client_server(c), good[i]);
        client_free(c);
    }
    CHECK_ERR(
        client_new(&(struct client_config){.server = good[0], .key = "a\r\nHost: b"}, &c, ERR),
        ERR_INVALID);
}

static void url_parts_are_encoded(void)
{
    auto_buf b = {0};

    buf_add_url(&b, "a b/c?d&e=%~\xc3\xa4");
    CHECK_STR(b.data, "a%20b%2Fc%3Fd%26e%3D%25~%C3%A4");
}

static void color_is_decided_in_the_order_that_is_documented(void)
{
    static const struct {
        const char *what;
        struct term_facts f;
        bool color;
    } cases[] = {
        {"terminal", {.out_tty = true, .term = "xterm"}, true},
        {"pipe", {.term = "xterm"}, false},
        {"dumb", {.out_tty = true, .term = "dumb"}, false},
        {"no TERM", {.out_tty = true}, false},
        {"NO_COLOR", {.out_tty = true, .term = "xterm", .no_color = "1"}, false},
        {"empty NO_COLOR", {.out_tty = true, .term = "xterm", .no_color = ""}, true},
        {"NO_COLOR over force", {.no_color = "1", .clicolor_force = "1"}, false},
        {"force on a pipe", {.clicolor_force = "1"}, true},
        {"force 0", {.clicolor_force = "0"}, false},
        {"--color always", {.color = COLOR_ALWAYS, .no_color = "1"}, true},
        {"--color never",
         {.color = COLOR_NEVER, .out_tty = true, .term = "xterm", .clicolor_force = "1"},
         false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (term_decide(&cases[i].f).out_color != cases[i].color) {
            tap_fail(__FILE__, __LINE__, "wrong for: %s", cases[i].what);
        }
    }
}

static void a_bar_needs_a_terminal_that_nothing_speaks_against(void)
{
    static const struct {
        struct term_facts f;
        bool bar;
    } cases[] = {
        {{.err_tty = true, .term = "xterm"}, true},
        {{.out_tty = true, .term = "xterm"}, false},
        {{.err_tty = true, .term = "xterm", .quiet = true}, false},
        {{.err_tty = true, .term = "xterm", .ci = "true"}, false},
        {{.err_tty = true, .term = "xterm", .ci = ""}, true},
        {{.err_tty = true, .term = "dumb"}, false},
        {{.err_tty = true}, false},
        {{.err_tty = true, .term = "xterm", .no_color = "1"}, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(term_decide(&cases[i].f).bar, cases[i].bar);
    }
}

static void only_a_terminal_cuts_lines(void)
{
    struct term_facts f = {.width = 80, .err_tty = true, .term = "xterm"};

    CHECK_INT(term_decide(&f).width, 0);
    f.out_tty = true;
    CHECK_INT(term_decide(&f).width, 80);
}

TESTS(values_come_in_four_spellings, flags_and_operands_mix, two_dashes_end_the_flags,
      the_last_of_two_values_counts, the_first_table_wins, an_optional_value_needs_an_equals_sign,
      reading_can_stop_before_the_command, wrong_flags_are_named, a_scan_becomes_a_request,
      numbers_out_of_bounds_are_refused, http_statuses_become_exit_statuses,
      problems_are_read_defensively, only_sound_server_names_are_taken, url_parts_are_encoded,
      color_is_decided_in_the_order_that_is_documented,
      a_bar_needs_a_terminal_that_nothing_speaks_against, only_a_terminal_cuts_lines)
