/* The registry of tools and nmap's options, command line and version. */
#include "tool/tool.h"

#include <sys/stat.h>
#include <unistd.h>

#include "model/request.h"
#include "tap.h"

static struct nse_db *db;

static const struct nse_db *scripts(void)
{
    static const char text[] =
        "Entry { filename = \"banner.nse\", categories = { \"discovery\", \"safe\", } }\n"
        "Entry { filename = \"ftp-anon.nse\", categories = { \"auth\", \"default\", } }\n"
        "Entry { filename = \"http-title.nse\", categories = { \"default\", \"safe\", } }\n"
        "Entry { filename = \"ssh-brute.nse\", categories = { \"brute\", } }\n";

    if (!db) {
        CHECK_OK(nse_parse(text, strlen(text), &db, ERR));
    }
    return db;
}

struct asked {
    const char *targets, *ports, *arguments;
    bool old, unsafe, advanced, no_raw, broker, user_stack, dns;
    enum script_level scripts;
    uint32_t rate, wall;
    const char *data_dir;
    int code; /* of what was expected to fail; 0: ERR_INVALID */
};

static int plan_of(const struct asked *a, struct tool_plan *plan, struct err *e)
{
    return tool_check(&tool_nmap,
                      &(struct tool_request){.targets = a->targets ? a->targets : "127.0.0.1",
                                             .ports = a->ports,
                                             .arguments = a->arguments,
                                             .old = a->old,
                                             .unsafe = a->unsafe,
                                             .advanced = a->advanced,
                                             .scripts = a->scripts ? a->scripts : SCRIPTS_SAFE,
                                             .nse = scripts()},
                      plan, e);
}

static const char *joined(const struct strvec *words, char *text, size_t size)
{
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < words->n; i++) {
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? " " : "", words->v[i]);
    }
    return text;
}

static const char *failed(const struct asked *a, const struct err *e, char *text, size_t size)
{
    CHECK_INT(e->code, a->code ? a->code : ERR_INVALID);
    snprintf(text, size, "%s", e->msg);
    return text;
}

/* The options as they will be given, or the message. Borrowed until the next call. */
static const char *tokens_of(const struct asked *a)
{
    static char text[1024];
    auto_plan plan = {0};
    struct err e = {0};

    if (plan_of(a, &plan, &e) < 0) {
        return failed(a, &e, text, sizeof text);
    }
    return joined(&plan.tokens, text, sizeof text);
}

/* "" or the message of the old service's check. Borrowed until the next call. */
static const char *check(const char *arguments)
{
    static char text[512];
    struct asked a = {.arguments = arguments, .old = true};
    auto_plan plan = {0};
    struct err e = {0};

    text[0] = '\0';
    return plan_of(&a, &plan, &e) < 0 ? failed(&a, &e, text, sizeof text) : text;
}

static const char *const fixed =
    "/bin/nmap -oX - --no-stylesheet --noninteractive --stats-every 1s --";

/* What stands between the fixed beginning and the file of targets, or the message; then the notes,
 * each behind "; ". Borrowed until the next call. */
static const char *line(const struct asked *a)
{
    static char text[2048];
    auto_plan plan = {0};
    auto_strvec argv = {0}, notes = {0};
    struct err e = {0};
    char *end;

    CHECK_OK(plan_of(a, &plan, ERR));
    if (tool_nmap.build_argv(&plan,
                             &(struct tool_start){.program = "/bin/nmap",
                                                  .raw_sockets = !a->no_raw && !a->broker,
                                                  .broker = a->broker,
                                                  .user_stack = a->user_stack,
                                                  .dns = a->dns,
                                                  .rate_pps = a->rate,
                                                  .wall_s = a->wall,
                                                  .data_dir = a->data_dir},
                             &argv, &notes, &e) < 0) {
        return failed(a, &e, text, sizeof text);
    }
    CHECK(argv.n > 3 && str_eq(argv.v[argv.n - 2], "-iL"));
    CHECK_STR(argv.v[argv.n - 1], TOOL_TARGETS_FILE);
    joined(&argv, text, sizeof text);
    CHECK(str_starts(text, fixed));
    end = strstr(text, " -iL ");
    *end = '\0';
    for (size_t i = 0; i < notes.n; i++) {
        end += snprintf(end, sizeof text - (size_t)(end - text), "; %s", notes.v[i]);
    }
    return text + strlen(fixed);
}

static void every_argument_of_the_old_list_is_accepted(void)
{
    static const char *const flags =
        "-sS -sT -sU -sA -sW -sM -sN -sF -sX -sn -sV -Pn -n -R -6 -r -F -O -v -vv -vvv -d -dd -T0 "
        "-T1 -T2 -T3 -T4 -T5 --open --reason --traceroute --packet-trace";
    static const char *const valued[] = {
        "--top-ports",       "--max-retries",         "--host-timeout",
        "--scan-delay",      "--max-scan-delay",      "--min-rate",
        "--max-rate",        "--min-parallelism",     "--max-parallelism",
        "--min-hostgroup",   "--max-hostgroup",       "--max-rtt-timeout",
        "--min-rtt-timeout", "--initial-rtt-timeout", "--mtu",
    };
    unsigned rows = 0;

    CHECK_STR(check(""), "");
    CHECK_STR(check(flags), "");
    for (size_t i = 0; i < ARRAY_LEN(valued); i++) {
        auto_free char *apart = str_fmt("%s 16", valued[i]);
        auto_free char *joined = str_fmt("-n %s=16 -v", valued[i]);
        auto_free char *missing = str_fmt("-n %s", valued[i]);
        auto_free char *says = str_fmt("argument '%s' requires a value", valued[i]);

        CHECK_STR(check(apart), "");
        CHECK_STR(check(joined), "");
        CHECK_STR(check(missing), says);
    }
    for (const struct tool_option *o = tool_nmap.options; o->name; o++) {
        rows += o->old;
    }
    CHECK_INT(rows, 33 + ARRAY_LEN(valued));
}

static void everything_else_is_refused_by_name_on_the_old_routes(void)
{
    static const char *const bad[] = {
        "-p",        "-sC",           "-A",       "--script", "--script=vuln",
        "-oN",       "-oX",           "-iL",      "-iR",      "--exclude",
        "--datadir", "--stylesheet",  "--resume", "-sO",      "-sY",
        "-sZ",       "-PS80",         "-S",       "-D",       "-e",
        "-g",        "example",       "-sSU",     "-T",       "-T6",
        "-T4=",      "-sV=1",         "--",       "-",        "--host-time",
        "-open",     "--OPEN",        "--open=",  "--mtu16",  "-sS\n",
        "=16",       "--top-ports16",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_strvec tokens = {0};
        auto_plan plan = {0};
        auto_free char *says = str_fmt("disallowed argument: '%s'", bad[i]);

        strvec_push(&tokens, "-sT");
        strvec_push(&tokens, bad[i]);
        CHECK_ERR(tool_check(
                      &tool_nmap,
                      &(struct tool_request){
                          .targets = "127.0.0.1", .tokens = &tokens, .old = true, .advanced = true},
                      &plan, ERR),
                  ERR_INVALID);
        CHECK_STR(tap_err.msg, says);
    }
    CHECK_STR(check("-T 4"), "disallowed argument: '-T'");
    CHECK_STR(check("''"), "disallowed argument: ''");
    CHECK_STR(check("--top-ports 10 20"), "disallowed argument: '20'");
}

static void values_are_digits_with_a_unit_for_times(void)
{
    static const char *const good[] = {
        "--host-timeout 30",   "--host-timeout 30s", "--host-timeout=5m", "--scan-delay 10ms",
        "--host-timeout 168h", "--max-retries 0",    "--min-rate=100000", "--top-ports 65535",
    };
    static const char *const bad[][2] = {
        {"--host-timeout 1.5s", "invalid value for '--host-timeout': '1.5s'"},
        {"--host-timeout=-1", "invalid value for '--host-timeout': '-1'"},
        {"--host-timeout=+1", "invalid value for '--host-timeout': '+1'"},
        {"--host-timeout=", "invalid value for '--host-timeout': ''"},
        {"--host-timeout ''", "invalid value for '--host-timeout': ''"},
        {"--host-timeout s", "invalid value for '--host-timeout': 's'"},
        {"--host-timeout 5d", "invalid value for '--host-timeout': '5d'"},
        {"--host-timeout 5sm", "invalid value for '--host-timeout': '5sm'"},
        {"--host-timeout 5S", "invalid value for '--host-timeout': '5S'"},
        {"--host-timeout 169h", "invalid value for '--host-timeout': '169h'"},
        {"--host-timeout 99999999999999999999", "invalid value for '--host-timeout': "
                                                "'99999999999999999999'"},
        {"--min-rate -sV", "invalid value for '--min-rate': '-sV'"},
        {"--max-retries 5s", "invalid value for '--max-retries': '5s'"},
        {"--max-retries '5\n'", "invalid value for '--max-retries': '5\n'"},
        {"--min-rate 0x10", "invalid value for '--min-rate': '0x10'"},
        {"--min-rate=1=2", "invalid value for '--min-rate': '1=2'"},
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK_STR(check(good[i]), "");
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_STR(check(bad[i][0]), bad[i][1]);
    }
}

static void the_old_routes_take_what_contradicts_itself_as_they_did(void)
{
    CHECK_STR(check("-sS -sT -T1 -T5 -sn -F --top-ports 5 --min-rate 9 --max-rate 3"), "");
    CHECK_STR(check("--max-retries 999999 --host-timeout 0 --mtu 7 --min-parallelism 0"), "");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "--max-rate 5 --max-rate=7", .old = true}),
              "--max-rate 7");
}

static void every_refusal_has_its_reason_on_the_new_routes(void)
{
    static const char *const unsafe[] = {"-f", "-S", "-D", "--badsum", "--spoof-mac", "--mtu"};

    CHECK_STR(tokens_of(&(struct asked){.arguments = "-iL x"}),
              "disallowed argument: '-iL': reads files: name the targets in the request");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "-oX/etc/x"}),
              "disallowed argument: '-oX/etc/x': writes files: the result is read from nmap's "
              "output");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "--datadir=/x"}),
              "disallowed argument: '--datadir=/x': reads files");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "-A"}),
              "disallowed argument: '-A': name its parts: -sV -O --traceroute -sC");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "--quite-unknown"}),
              "disallowed argument: '--quite-unknown'");
    for (size_t i = 0; i < ARRAY_LEN(unsafe); i++) {
        auto_free char *start = str_fmt("disallowed argument: '%s': ", unsafe[i]);

        CHECK(str_starts(tokens_of(&(struct asked){.arguments = unsafe[i], .advanced = true}),
                         start));
    }
    for (const struct tool_option *o = tool_nmap.options; o->name; o++) {
        const struct tool_refusal *r = tool_nmap.refusals;

        while (o->class_ == OPTION_UNSAFE && r->name && !str_eq(r->name, o->name)) {
            r++;
        }
        CHECK(r->name != NULL);
    }
}

static void tricks_of_getopt_match_nothing(void)
{
    static const char *const bad[] = {
        "-script=banner",
        "--scrip banner",
        "--script_args=a",
        "-oX/tmp/x",
        "-oNx",
        "-iL/etc/passwd",
        "--excludef x",
        "--EXCLUDE x",
        "-open",
        "--host_timeout 5",
        "-max-rate 5",
        "--max-rat=5",
        "-sSV",
        "-sSU",
        "-T=4",
        "-T 4",
        "-T6",
        "-vvvv",
        "--data_dir x",
        "-resume x",
        "--",
        "-",
        "''",
        "-PS=22",
        "-PSx",
        "-PT80",
        "-P0",
        "-PS-1",
        "-p=22",
        "-p",
        "-p -packet",
        "-datadir x",
        "-privileged",
        "-n1",
        "-6x",
        "-F80",
        "--open=x",
        "--script=./x.nse",
        "x",
        "127.0.0.2",
        "-g 0",
        "-e ../x",
        "-S /etc/passwd",
        "-PO256",
        "-POT:1",
        "-PST:80",
        "-p S:",
        "-p /etc/passwd",
        "-p22 -p23",
        "--stylesheet x",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct asked a = {
            .arguments = bad[i], .unsafe = true, .advanced = true, .scripts = SCRIPTS_AGGRESSIVE};
        auto_plan plan = {0};

        if (plan_of(&a, &plan, NULL) != ERR_INVALID) {
            tap_fail(__FILE__, __LINE__, "'%s' was taken", bad[i]);
        }
    }
}

static void glued_values_are_read(void)
{
    CHECK_STR(tokens_of(&(struct asked){.arguments = "-PS80,22 -PA -PU53 -PO1,6"}),
              "-PS22,80 -PA -PU53 -PO1,6");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "-g53", .advanced = true}), "-g 53");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "-g 0053", .advanced = true}), "-g 53");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "--max-retries=3 --exclude-ports 9,7-8"}),
              "--max-retries 3 --exclude-ports 7-9");
}

static void ports_may_stand_in_the_arguments_once(void)
{
    static const char *const forms[] = {"-p443,22", "-p 22,443", "-p22 -p 22"};
    static const char *const wants[] = {"22,443", "22,443", "22"};

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        auto_plan plan = {0};

        CHECK_OK(plan_of(&(struct asked){.arguments = forms[i]}, &plan, ERR));
        CHECK_STR(plan.ports, wants[i]);
        CHECK_INT(plan.tokens.n, 0);
    }
    CHECK_STR(line(&(struct asked){.arguments = "-p-"}), "privileged -n -p 1-65535");
    CHECK_STR(tokens_of(&(struct asked){.ports = "22", .arguments = "-p22"}),
              "contradicting arguments: '-p' and 'ports'");
    CHECK_STR(tokens_of(&(struct asked){.ports = "22", .arguments = "-p80", .old = true}),
              "disallowed argument: '-p80'");
}

static void the_policy_decides_about_classes(void)
{
    struct asked a = {.arguments = "-sF", .code = ERR_SCOPE};
    struct asked forge = {.arguments = "-S 10.1.1.1 -D RND:3,ME --spoof-mac 0 -f --scanflags SYN",
                          .unsafe = true};

    CHECK_STR(tokens_of(&a),
              "argument '-sF' is not allowed: the policy would need 'options: advanced'");
    a.advanced = true;
    CHECK_STR(tokens_of(&a), "-sF");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "-sF", .old = true}), "-sF");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "-dd", .code = ERR_SCOPE}),
              "argument '-dd' is not allowed: the policy would need 'options: advanced'");
    CHECK_STR(tokens_of(&forge), forge.arguments);
    forge.old = true;
    CHECK_STR(tokens_of(&forge), forge.arguments);
    CHECK_STR(tokens_of(&(struct asked){.arguments = "-oN x", .unsafe = true, .old = true}),
              "disallowed argument: '-oN': writes files: the result is read from nmap's output");
}

static void contradictions_are_named(void)
{
    static const char *const cases[][2] = {
        {"-sS -sT", "contradicting arguments: '-sS' and '-sT'"},
        {"-T4 -T3", "contradicting arguments: '-T4' and '-T3'"},
        {"-v -vv", "contradicting arguments: '-v' and '-vv'"},
        {"-n -R", "contradicting arguments: '-n' and '-R'"},
        {"-F --top-ports 5", "contradicting arguments: '-F' and '--top-ports'"},
        {"-p 5 -F", "contradicting arguments: '-p' and '-F'"},
        {"-sn -sU", "contradicting arguments: '-sn' and '-sU'"},
        {"-sn -p 22", "contradicting arguments: '-sn' and '-p'"},
        {"-sL -O", "contradicting arguments: '-sL' and '-O'"},
        {"-sO -sS", "contradicting arguments: '-sO' and '-sS'"},
        {"-Pn -PS", "contradicting arguments: '-Pn' and '-PS'"},
        {"-sT --traceroute", "contradicting arguments: '-sT' and '--traceroute'"},
        {"--max-rate 5 --max-rate 6", "contradicting arguments: '--max-rate' is given twice"},
        {"--min-rate 9 --max-rate 3",
         "contradicting arguments: '--min-rate 9' is more than '--max-rate 3'"},
        {"--scan-delay 1m --max-scan-delay 30s",
         "contradicting arguments: '--scan-delay 1m' is more than '--max-scan-delay 30s'"},
        {"--defeat-icmp-ratelimit", "argument '--defeat-icmp-ratelimit' needs '-sU'"},
        {"--defeat-rst-ratelimit -sA",
         "contradicting arguments: '--defeat-rst-ratelimit' and '-sA'"},
        {"-6", "contradicting arguments: '-6' and IPv4 targets"},
        {"--mtu 12", "invalid value for '--mtu': '12': a multiple of 8"},
        {"--max-retries 11", "invalid value for '--max-retries': '11': a number from 0 to 10"},
        {"--host-timeout 5d", "invalid value for '--host-timeout': '5d': digits and ms, s, m or h, "
                              "from 1000 ms to 604800 s"},
        {"-sO -p T:1", "'-sO' takes protocols from 0 to 255, without letters"},
        {"-sO -p 1-256", "'-sO' takes protocols from 0 to 255, without letters"},
        {"-sO -p 6,17-18", "'-sO' takes the protocols 1, 6, 17, 58 and 132: probes of 18 do not "
                           "leave a box"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(tokens_of(&(struct asked){.arguments = cases[i][0], .unsafe = true}),
                  cases[i][1]);
    }
    CHECK_STR(tokens_of(&(struct asked){.arguments = "-F", .ports = "22"}),
              "contradicting arguments: '-F' and 'ports'");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "-sn", .ports = "22"}),
              "contradicting arguments: '-sn' and 'ports'");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "-T4 -sV -T4 --max-rate 5 --max-rate=05"}),
              "-T4 -sV --max-rate 5");
}

static void scripts_go_through_the_level_and_come_out_as_names(void)
{
    struct tool_request no_db = {.targets = "127.0.0.1", .arguments = "-sC"};
    auto_plan plan = {0};

    CHECK_STR(tokens_of(&(struct asked){.arguments = "-sC -sV"}), "-sV --script http-title");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "--script=banner -sC"}),
              "--script banner,http-title");
    CHECK_STR(
        tokens_of(&(struct asked){.arguments = "--script default", .scripts = SCRIPTS_STANDARD}),
        "--script ftp-anon,http-title");
    CHECK(strstr(tokens_of(&(struct asked){
                     .arguments = "--script ssh-brute", .unsafe = true, .code = ERR_SCOPE}),
                 "scripts: aggressive") != NULL);
    CHECK_STR(tokens_of(&(struct asked){.arguments =
                                            "--script http-title --script-args http-title.url=/a"}),
              "--script http-title --script-args http-title.url=\"/a\"");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "--script-args http-title.url=/a"}),
              "argument '--script-args' needs '--script'");
    CHECK_STR(tokens_of(&(struct asked){.arguments = "--script ''"}),
              "invalid value for '--script': ''");
    CHECK_ERR(tool_check(&tool_nmap, &no_db, &plan, ERR), ERR_INVALID);
    CHECK(str_starts(tap_err.msg, "scripts cannot be chosen"));
}

static void probes_are_counted_at_most(void)
{
    static const struct {
        const char *arguments, *ports;
        uint32_t n;
    } cases[] = {
        {"", NULL, 1000},
        {"-sU", NULL, 1000},
        {"-sU -sT", NULL, 2000},
        {"-sU -sS -sY", NULL, 3000},
        {"-F", NULL, 100},
        {"-F -sU -sS", NULL, 200},
        {"--top-ports 50", NULL, 50},
        {"-sU", "1-10,T:20", 10},
        {"-sU -sS", "1-10,T:20,U:5", 21},
        {"", "1-65535", 65535},
        {"", "U:53", 1},
        {"-sn", NULL, 1},
        {"-sL", NULL, 1},
        {"-sO", NULL, 4},
        {"-sO", "1,6,17", 3},
        {"-p 1-5", NULL, 5},
        {"-sV -O --traceroute", NULL, 1000},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_plan plan = {0};

        CHECK_OK(plan_of(&(struct asked){.arguments = cases[i].arguments,
                                         .ports = cases[i].ports,
                                         .advanced = true},
                         &plan, ERR));
        CHECK_INT(plan.n_ports, cases[i].n);
    }
}

static void the_plan_says_what_it_needs_of_the_network(void)
{
    static const struct {
        const char *arguments;
        bool raw, nat, stack;
        const char *option;
    } cases[] = {
        {"", false, false, false, NULL},
        {"-sS", false, false, false, NULL},
        {"-sT -sV", false, false, false, NULL},
        {"-sU", true, false, false, "-sU"},
        {"-sA", true, false, true, "-sA"},
        {"-sU -O", true, false, true, "-O"},
        {"-O -sF", true, true, true, "-sF"},
        {"--traceroute", true, false, true, "--traceroute"},
        {"-PA80", false, false, true, "-PA"},
        {"-PE", true, false, false, "-PE"},
        {"--ttl 5", true, false, false, "--ttl"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_plan plan = {0};

        CHECK_OK(plan_of(&(struct asked){.arguments = cases[i].arguments, .advanced = true}, &plan,
                         ERR));
        CHECK(plan.need.network);
        CHECK_INT(plan.need.raw, cases[i].raw);
        CHECK_INT(plan.need.nat_lies, cases[i].nat);
        CHECK_INT(plan.need.slirp_lies, cases[i].stack);
        CHECK_STR(plan.need.option, cases[i].option);
        CHECK(plan.need.wants_raw || !plan.need.raw);
    }
    for (const struct tool_option *o = tool_nmap.options; o->name; o++) {
        CHECK(!o->nat_lies || (o->slirp_lies && o->needs_raw));
    }
}

static void the_command_line_ends_with_the_file_of_targets(void)
{
    CHECK_STR(line(&(struct asked){.arguments = ""}), "privileged -n");
    CHECK_STR(
        line(&(struct asked){.ports = "T:80,22,443", .arguments = "-sT --host-timeout '30s'"}),
        "privileged -n -sT --host-timeout 30s -p T:22,80,443");
    CHECK_STR(line(&(struct asked){.targets = "::1"}), "privileged -n -6");
    CHECK_STR(line(&(struct asked){.targets = "::1", .arguments = "-6 -n"}), "privileged -n -6");
    CHECK_STR(line(&(struct asked){.targets = "example.com", .arguments = "-6"}),
              "privileged -n -6");
    CHECK_STR(line(&(struct asked){.data_dir = "/usr/share/nmap"}),
              "privileged -n --datadir /usr/share/nmap");
    CHECK_STR(line(&(struct asked){.arguments = "-R"}),
              "privileged -n; -R has no effect: names are looked up by the server, not by the "
              "scan");
    CHECK_STR(line(&(struct asked){.arguments = "-R", .dns = true}), "privileged -R");
    CHECK_STR(line(&(struct asked){.arguments = "", .dns = true}), "privileged -n");
}

static void the_stricter_limit_holds(void)
{
    CHECK_STR(line(&(struct asked){.rate = 100, .wall = 60}),
              "privileged -n --max-rate 100 --host-timeout 60s");
    CHECK_STR(line(&(struct asked){
                  .arguments = "--max-rate 50 --host-timeout 1500ms", .rate = 100, .wall = 60}),
              "privileged -n --max-rate 50 --host-timeout 1500ms");
    CHECK_STR(line(&(struct asked){
                  .arguments = "--max-rate 500 --host-timeout 2m", .rate = 100, .wall = 60}),
              "privileged -n --max-rate 100 --host-timeout 60s; --max-rate became 100: the limit "
              "of packets per second");
    CHECK_STR(line(&(struct asked){.arguments = "--min-rate 500", .rate = 100}),
              "privileged -n --min-rate 100 --max-rate 100; --min-rate became 100: the limit of "
              "packets per second");
    CHECK_STR(line(&(struct asked){.arguments = "--min-rate 50 --max-rate 80"}),
              "privileged -n --min-rate 50 --max-rate 80");
    CHECK_STR(line(&(struct asked){.arguments = "--host-timeout 0", .wall = 5, .old = true}),
              "privileged -n --host-timeout 5s");
}

static void without_raw_sockets_nmap_is_told_and_raw_scans_are_refused(void)
{
    CHECK_STR(line(&(struct asked){.arguments = "-sT", .no_raw = true}), "unprivileged -n -sT");
    CHECK_STR(line(&(struct asked){.arguments = "-n -sS", .broker = true}),
              "unprivileged -n -sT; -sS became -sT: no raw sockets at this level");
    CHECK_STR(line(&(struct asked){.arguments = "-sU", .broker = true}),
              "argument '-sU' needs raw sockets: at level broker only connect() and sendto() reach "
              "the network; use -sT");
    CHECK_STR(line(&(struct asked){.arguments = "--mtu=8", .old = true, .no_raw = true}),
              "argument '--mtu' needs raw sockets, which this run cannot have; use -sT");
}

static void a_user_mode_stack_is_not_asked_what_it_would_answer_itself(void)
{
    static const char *const note =
        "; hosts are looked for by echo and SYN only: the user-mode network stack would answer "
        "other probes itself";
    auto_free char *plain = str_fmt("privileged -n -sS -PE -PS80,443%s", note);

    CHECK_STR(line(&(struct asked){.arguments = "-sS", .user_stack = true}), plain);
    CHECK_STR(line(&(struct asked){.arguments = "-Pn", .user_stack = true}), "privileged -n -Pn");
    CHECK_STR(line(&(struct asked){.arguments = "-PS22", .user_stack = true}),
              "privileged -n -PS22");
    CHECK_STR(line(&(struct asked){.arguments = "-O", .user_stack = true}),
              "argument '-O' would be answered by the user-mode network stack of level rootless, "
              "not by the target");
}

/* The tokens of one member, or the message. Borrowed until the next call. */
static const char *member(const char *field, const char *value)
{
    static char text[600];
    auto_strvec tokens = {0};
    struct err e = {0};

    if (tool_option_tokens(&tool_nmap, field, value, &tokens, &e) < 0) {
        CHECK_INT(e.code, ERR_INVALID);
        snprintf(text, sizeof text, "%s", e.msg);
        return text;
    }
    return joined(&tokens, text, sizeof text);
}

static void members_of_the_options_object_become_tokens(void)
{
    CHECK_STR(member("technique", "syn,udp"), "-sS -sU");
    CHECK_STR(member("timing", "4"), "-T4");
    CHECK_STR(member("service_version", NULL), "-sV");
    CHECK_STR(member("service_version", "false"), "");
    CHECK_STR(member("max_retries", "3"), "--max-retries 3");
    CHECK_STR(member("ping_syn", NULL), "-PS");
    CHECK_STR(member("ping_syn", "22,80"), "-PS22,80");
    CHECK_STR(member("scripts", "safe"), "--script safe");
    CHECK_STR(member("source_port", "53"), "-g 53");
    CHECK_STR(member("timing", "6"), "invalid value for 'timing': '6': one of 0, 1, 2, 3, 4, 5");
    CHECK_STR(member("timing", NULL), "invalid value for 'timing': '': one of 0, 1, 2, 3, 4, 5");
    CHECK_STR(member("os", "yes"), "invalid value for 'os': 'yes': true or false");
    CHECK_STR(member("max_retries", NULL), "option 'max_retries' requires a value");
    CHECK_STR(member("max_retrys", "3"),
              "nmap has no option 'max_retrys'; did you mean 'max_retries'?");
    CHECK_STR(member("--script", "x"), "nmap has no option '--script'");
    CHECK_STR(member("ports", "22"), "nmap has no option 'ports'");
}

static void no_two_rows_have_the_same_name_or_field(void)
{
    for (const struct tool_option *a = tool_nmap.options; a->name; a++) {
        for (const struct tool_option *b = a + 1; b->name; b++) {
            CHECK(!str_eq(a->name, b->name));
            CHECK(!a->field || !str_eq(a->field, b->field) ||
                  (a->word && b->word && !str_eq(a->word, b->word)) ||
                  str_eq(a->field, "source_port"));
        }
    }
}

static void the_version_is_read_from_the_first_line_that_has_it(void)
{
    char version[16] = "unchanged";

    CHECK(tool_nmap.read_version("Nmap version 7.93 ( https://nmap.org )\nPlatform: x\n", version,
                                 sizeof version));
    CHECK_STR(version, "7.93");
    CHECK(tool_nmap.read_version("warning\n\nNmap version 7.95SVN (x)", version, sizeof version));
    CHECK_STR(version, "7.95SVN");
    CHECK(!tool_nmap.read_version("", version, sizeof version));
    CHECK(!tool_nmap.read_version("Nmap version ", version, sizeof version));
    CHECK(!tool_nmap.read_version("Nmap version 1234567890123456", version, sizeof version));
    CHECK(!tool_nmap.read_version("zmap 2.1.1", version, sizeof version));
    CHECK_STR(version, "7.95SVN");
}

static void tools_are_found_by_name(void)
{
    CHECK(tool_find("nmap") == &tool_nmap);
    CHECK(tool_find("Nmap") == NULL);
    CHECK(tool_find("") == NULL);
    CHECK(tool_find("masscan") == &tool_masscan);
    CHECK(tool_find("zmap") == &tool_zmap);
    CHECK(tool_find("noop") == &tool_noop);
    CHECK(tool_all()[0] == &tool_nmap && tool_all()[3] == &tool_noop && !tool_all()[4]);
}

static void the_tool_that_does_nothing_takes_targets_and_nothing_else(void)
{
    static const struct tool_request bad[] = {
        {.targets = "127.0.0.1", .ports = "80"},
        {.targets = "127.0.0.1", .arguments = "-v"},
        {.targets = "127.0.0.1", .arguments = "80"},
        {.targets = "127.0.0.1", .arguments = "-v", .unsafe = true, .advanced = true},
        {.targets = "127.0.0.300"},
        {.targets = ""},
    };
    auto_plan plan = {0};

    CHECK_OK(tool_check(&tool_noop, &(struct tool_request){.targets = "127.0.0.0/30 127.0.1.9"},
                        &plan, ERR));
    CHECK_INT(target_set_count(&plan.targets), 5);
    CHECK(!plan.need.network && plan.n_ports == 0 && plan.tokens.n == 0);
    CHECK(tool_noop.instant && !tool_noop.parser && !tool_noop.build_argv && !tool_noop.covers);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_plan none = {0};

        CHECK_INT(tool_check(&tool_noop, &bad[i], &none, NULL), ERR_INVALID);
    }
}

/* "host up tcp=1-3 udp=53", or "". Borrowed until the next call. */
static const char *covered(const struct asked *a, const char *run_json)
{
    static const char *const kinds[] = {"tcp", "udp", "sctp", "ip"};
    static char text[512];
    struct tool_cover c = {0};
    auto_plan plan = {0};
    size_t n;

    CHECK_OK(plan_of(a, &plan, ERR));
    tool_nmap.covers(&plan, run_json, &c);
    n = (size_t)snprintf(text, sizeof text, "%s%s", c.hosts ? "host " : "", c.up_only ? "up " : "");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (c.ports[i]) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%s=%s ", kinds[i], c.ports[i]);
        }
        free(c.ports[i]);
    }
    text[n ? n - 1 : 0] = '\0';
    return text;
}

static void what_was_covered_is_in_nmaps_record(void)
{
    static const char tcp[] = "{\"args\":\"nmap -F\",\"scaninfo\":[{\"type\":\"syn\","
                              "\"protocol\":\"tcp\",\"numservices\":3,\"services\":\"7,9-10\"}]}";
    static const char both[] =
        "{\"scaninfo\":[{\"protocol\":\"tcp\",\"services\":\"80\"},{\"services\":\"53\","
        "\"protocol\":\"udp\"},{\"protocol\":\"tcp\",\"services\":\"22,80\"}],\"runstats\":{}}";
    static const char ip[] = "{\"scaninfo\":[{\"protocol\":\"ip\",\"services\":\"1,6,17\"}]}";

    CHECK_STR(covered(&(struct asked){.arguments = "-F"}, tcp), "host up tcp=7,9-10");
    CHECK_STR(covered(&(struct asked){.arguments = "-F -Pn"}, tcp), "tcp=7,9-10");
    CHECK_STR(covered(&(struct asked){.ports = "1-9"}, both), "host up tcp=22,80 udp=53");
    CHECK_STR(covered(&(struct asked){.arguments = "-sO", .advanced = true}, ip),
              "host up ip=1,6,17");
}

static void without_a_record_the_plan_says_what_was_covered(void)
{
    CHECK_STR(covered(&(struct asked){.ports = "1-9"}, NULL), "host up tcp=1-9");
    CHECK_STR(covered(&(struct asked){.ports = "1-9,U:53", .arguments = "-sU -Pn"}, "{}"),
              "udp=1-9,53");
    CHECK_STR(covered(&(struct asked){.ports = "T:80,U:53", .arguments = "-sS -sU"}, NULL),
              "host up tcp=80 udp=53");
    CHECK_STR(covered(&(struct asked){.arguments = ""}, NULL), "host up");
    CHECK_STR(covered(&(struct asked){.arguments = "-sn"}, NULL), "host up");
    CHECK_STR(covered(&(struct asked){.arguments = "-sL"}, NULL), "");
    CHECK_STR(covered(&(struct asked){.arguments = "-sO -p 6,17", .advanced = true}, NULL),
              "host up ip=6,17");
}

static void a_record_that_is_not_ours_covers_nothing_more(void)
{
    static const char *const bad[] = {
        "",
        "{\"scaninfo\":",
        "{\"scaninfo\":[",
        "{\"scaninfo\":[{",
        "{\"scaninfo\":[{\"protocol",
        "{\"scaninfo\":[{\"protocol\":\"tcp\",\"services\":\"1\\\"",
        "{\"scaninfo\":[{\"protocol\":\"tcp\",\"services\":[1]}]}",
        "{\"scaninfo\":[{\"protocol\" \"tcp\"}]}",
        "{\"args\":\"\\\"scaninfo\\\":[{\\\"protocol\\\":\"}",
    };
    static const char *const strange[] = {
        "{\"scaninfo\":[{\"protocol\":\"tcp\",\"services\":\"1-99999\"}]}",
        "{\"scaninfo\":[{\"protocol\":\"tcp\",\"services\":\"<b>\"}]}",
        "{\"scaninfo\":[{\"protocol\":\"gopher\",\"services\":\"1\"}]}",
        "{\"scaninfo\":[{\"protocol\":\"tcp\"}]}",
        "{\"scaninfo\":[{}]}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_STR(covered(&(struct asked){.ports = "5"}, bad[i]), "host up tcp=5");
    }
    for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
        CHECK_STR(covered(&(struct asked){.ports = "5"}, strange[i]), "host up");
    }
}

static void programs_are_found_where_configured_or_in_absolute_parts_of_path(void)
{
    auto_free char *bin = str_fmt("%s/bin", test_dir());
    auto_free char *program = str_fmt("%s/nmap", bin);
    auto_free char *path = str_fmt("relative:%s", bin);
    auto_free char *found = NULL, *again = NULL;
    FILE *f;

    CHECK(mkdir(bin, 0755) == 0);
    setenv("PATH", path, 1);
    CHECK_ERR(tool_path(&tool_nmap, NULL, &found, ERR), ERR_NOT_FOUND);
    CHECK_STR(tap_err.msg, "nmap is not installed: apt-get install nmap, or set --tool-nmap");
    f = fopen(program, "w");
    CHECK(f != NULL);
    fclose(f);
    CHECK(chmod(program, 0644) == 0);
    CHECK_ERR(tool_path(&tool_nmap, program, &found, ERR), ERR_NOT_FOUND);
    CHECK_ERR(tool_path(&tool_nmap, bin, &found, ERR), ERR_NOT_FOUND);
    CHECK(strstr(tap_err.msg, "tool-nmap: ") != NULL);
    CHECK(chmod(program, 0755) == 0);
    CHECK_OK(tool_path(&tool_nmap, NULL, &found, ERR));
    CHECK_STR(found, program);
    CHECK(chdir(test_dir()) == 0);
    CHECK_OK(tool_path(&tool_nmap, "bin/nmap", &again, ERR));
    CHECK(again[0] == '/');
    CHECK_ERR(tool_path(&tool_nmap, "nmap2", &found, ERR), ERR_NOT_FOUND);
    setenv("PATH", "bin", 1);
    free(take_ptr(&again));
    CHECK_ERR(tool_path(&tool_nmap, NULL, &again, ERR), ERR_NOT_FOUND);
}

TESTS(every_argument_of_the_old_list_is_accepted,
      everything_else_is_refused_by_name_on_the_old_routes, values_are_digits_with_a_unit_for_times,
      the_old_routes_take_what_contradicts_itself_as_they_did,
      every_refusal_has_its_reason_on_the_new_routes, tricks_of_getopt_match_nothing,
      glued_values_are_read, ports_may_stand_in_the_arguments_once,
      the_policy_decides_about_classes, contradictions_are_named,
      scripts_go_through_the_level_and_come_out_as_names, probes_are_counted_at_most,
      the_plan_says_what_it_needs_of_the_network, the_command_line_ends_with_the_file_of_targets,
      the_stricter_limit_holds, without_raw_sockets_nmap_is_told_and_raw_scans_are_refused,
      a_user_mode_stack_is_not_asked_what_it_would_answer_itself,
      members_of_the_options_object_become_tokens, no_two_rows_have_the_same_name_or_field,
      the_version_is_read_from_the_first_line_that_has_it, what_was_covered_is_in_nmaps_record,
      without_a_record_the_plan_says_what_was_covered,
      a_record_that_is_not_ours_covers_nothing_more, tools_are_found_by_name,
      the_tool_that_does_nothing_takes_targets_and_nothing_else,
      programs_are_found_where_configured_or_in_absolute_parts_of_path)
