/* The registry of tools and nmap's options, command line and version. */
#include "tool/tool.h"

#include <sys/stat.h>
#include <unistd.h>

#include "model/request.h"
#include "tap.h"

/* "" or the message. Borrowed until the next call. */
static const char *check(const char *arguments)
{
    static char text[512];
    auto_strvec tokens = {0};
    struct err e = {0};

    CHECK_OK(shell_split(arguments, &tokens, ERR));
    text[0] = '\0';
    if (tool_nmap.check_arguments(&tokens, &e) < 0) {
        CHECK_INT(e.code, ERR_INVALID);
        snprintf(text, sizeof text, "%s", e.msg);
    }
    return text;
}

struct asked {
    const char *targets, *ports, *arguments;
    bool no_raw;
};

/* The command line joined by spaces, or the message. Borrowed until the next call. */
static const char *line(const struct asked *a)
{
    static char text[1024];
    auto_strvec targets = {0}, arguments = {0}, argv = {0};
    struct err e = {0};
    size_t n = 0;

    CHECK_OK(targets_parse(a->targets, &targets, NULL, ERR));
    CHECK_OK(shell_split(a->arguments, &arguments, ERR));
    if (tool_nmap.build_argv(&(struct tool_scan){.targets = &targets,
                                                 .ports = a->ports,
                                                 .arguments = &arguments,
                                                 .ipv6 = targets_have_ipv6(&targets),
                                                 .raw_sockets = !a->no_raw},
                             "/bin/nmap", &argv, &e) < 0) {
        snprintf(text, sizeof text, "%s", e.msg);
        return text;
    }
    text[0] = '\0';
    for (size_t i = 0; i < argv.n; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "", argv.v[i]);
    }
    return text;
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
        rows++;
    }
    CHECK_INT(rows, 33 + ARRAY_LEN(valued));
}

static void everything_else_is_refused_by_name(void)
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
        auto_free char *says = str_fmt("disallowed argument: '%s'", bad[i]);

        strvec_push(&tokens, "-sT");
        strvec_push(&tokens, bad[i]);
        CHECK_ERR(tool_nmap.check_arguments(&tokens, ERR), ERR_INVALID);
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

static void the_command_line_ends_with_the_targets_behind_two_dashes(void)
{
    CHECK_STR(line(&(struct asked){.targets = "127.0.0.1 example.com", .arguments = ""}),
              "/bin/nmap -oX - --stats-every 1s --privileged -- 127.0.0.1 example.com");
    CHECK_STR(line(&(struct asked){.targets = "127.0.0.1",
                                   .ports = "22,T:80",
                                   .arguments = "-sT --host-timeout '30s'"}),
              "/bin/nmap -oX - --stats-every 1s --privileged -sT --host-timeout 30s -p 22,T:80 -- "
              "127.0.0.1");
    CHECK_STR(line(&(struct asked){.targets = "::1", .arguments = ""}),
              "/bin/nmap -oX - --stats-every 1s --privileged -6 -- ::1");
    CHECK_STR(line(&(struct asked){.targets = "::1", .arguments = "-6 -n"}),
              "/bin/nmap -oX - --stats-every 1s --privileged -6 -n -- ::1");
}

static void without_raw_sockets_nmap_is_told_and_raw_scans_are_refused(void)
{
    CHECK_STR(line(&(struct asked){.targets = "127.0.0.1", .arguments = "-sT", .no_raw = true}),
              "/bin/nmap -oX - --stats-every 1s --unprivileged -sT -- 127.0.0.1");
    CHECK_STR(line(&(struct asked){.targets = "127.0.0.1", .arguments = "-n -sS", .no_raw = true}),
              "argument '-sS' needs raw sockets, which this server cannot give: start it as root, "
              "or use -sT");
    CHECK_STR(line(&(struct asked){.targets = "127.0.0.1", .arguments = "--mtu=8", .no_raw = true}),
              "argument '--mtu=8' needs raw sockets, which this server cannot give: start it as "
              "root, or use -sT");
}

static void unchecked_arguments_still_cannot_take_the_result_away(void)
{
    static const char *const bad[] = {
        "-oX",          "-oN",      "-oA",    "-oG",      "-oS",
        "-o",           "--oX",     "-oX=a",  "-ofile",   "--append-output",
        "-append_out",  "--resume", "-resum", "--webxml", "-we",
        "--stylesheet", "-sty=x",   "--",
    };
    static const char *const good[] = {"--open", "-open", "--osscan-limit",  "--osscan_guess", "-O",
                                       "-sC",    "-A",    "--script=banner", "--reason",       "-r",
                                       "-sT",    "out",   "--stats-every=5s"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_free char *says =
            str_fmt("disallowed argument: '%s': the result is read from nmap's output", bad[i]);

        CHECK_STR(line(&(struct asked){.targets = "127.0.0.1", .arguments = bad[i]}), says);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK(str_starts(line(&(struct asked){.targets = "127.0.0.1", .arguments = good[i]}),
                         "/bin/nmap "));
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
    CHECK(tool_all()[0] == &tool_nmap);
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

TESTS(every_argument_of_the_old_list_is_accepted, everything_else_is_refused_by_name,
      values_are_digits_with_a_unit_for_times,
      the_command_line_ends_with_the_targets_behind_two_dashes,
      without_raw_sockets_nmap_is_told_and_raw_scans_are_refused,
      unchecked_arguments_still_cannot_take_the_result_away,
      the_version_is_read_from_the_first_line_that_has_it, tools_are_found_by_name,
      programs_are_found_where_configured_or_in_absolute_parts_of_path)
