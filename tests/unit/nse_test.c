/* nmap's list of scripts and what the levels of a policy let through. */
#include "tool/nse.h"

#include <sys/stat.h>

#include "tap.h"

#define ENTRY(name, ...) "Entry { filename = \"" name ".nse\", categories = { " __VA_ARGS__ " } }\n"

static const char small[] = ENTRY("banner", "\"discovery\", \"safe\", ")
    ENTRY("http-title", "\"default\", \"discovery\", \"safe\", ")
        ENTRY("ftp-anon", "\"auth\", \"default\", \"safe\", ") ENTRY("ssh-brute",
                                                                     "\"brute\", \"intrusive\", ")
            ENTRY("smb-vuln-x", "\"dos\", \"exploit\", \"intrusive\", \"vuln\", ") ENTRY(
                "exploit-vuln", "\"exploit\", \"vuln\", ") ENTRY("exploit-only", "\"exploit\", ")
                ENTRY("whois-ip", "\"discovery\", \"external\", \"safe\", ")
                    ENTRY("broadcast-ping", "\"broadcast\", \"discovery\", \"safe\", ")
                        ENTRY("http-slowloris", "\"dos\", \"intrusive\", ")
                            ENTRY("http-fetch", "\"safe\", ")
                                ENTRY("novel", "\"safe\", \"quantum\"") ENTRY("bare", "")
                                    ENTRY("http-enum", "\"discovery\", \"intrusive\", \"vuln\", ");

static struct nse_db *db;

static void open_small(void)
{
    if (!db) {
        CHECK_OK(nse_parse(small, strlen(small), &db, ERR));
    }
}

/* The names joined by commas, or the message. Borrowed until the next call. */
static const char *chosen(const char *list, enum script_level level, unsigned flags)
{
    static char text[600];
    auto_strvec names = {0};
    struct err e = {0};
    size_t n = 0;

    open_small();
    text[0] = '\0';
    if (nse_select(db, list, level, flags, &names, &e) < 0) {
        CHECK_INT(names.n, 0);
        snprintf(text, sizeof text, "%s: %s", err_name(e.code), e.msg);
        return text;
    }
    for (size_t i = 0; i < names.n; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? "," : "", names.v[i]);
    }
    return text;
}

static void categories_become_names_that_the_level_allows(void)
{
    CHECK_STR(chosen("safe", SCRIPTS_SAFE, 0), "banner,http-title");
    CHECK_STR(chosen("default", SCRIPTS_SAFE, 0), "http-title");
    CHECK_STR(chosen("default", SCRIPTS_STANDARD, 0), "ftp-anon,http-title");
    CHECK_STR(chosen("vuln", SCRIPTS_STANDARD, 0), "http-enum");
    CHECK_STR(chosen("vuln", SCRIPTS_AGGRESSIVE, 0), "exploit-vuln,http-enum");
    CHECK_STR(chosen("vuln", SCRIPTS_AGGRESSIVE, SCRIPT_DOS), "exploit-vuln,http-enum,smb-vuln-x");
    CHECK_STR(chosen("brute", SCRIPTS_AGGRESSIVE, 0), "ssh-brute");
    CHECK_STR(chosen("brute", SCRIPTS_STANDARD, SCRIPT_BRUTE), "ssh-brute");
    CHECK_STR(chosen("exploit", SCRIPTS_SAFE, SCRIPT_EXPLOIT), "exploit-only,exploit-vuln");
    CHECK_STR(chosen("external", SCRIPTS_SAFE, SCRIPT_EXTERNAL), "whois-ip");
    CHECK_STR(chosen("broadcast,dos", SCRIPTS_STANDARD, SCRIPT_BROADCAST | SCRIPT_DOS),
              "broadcast-ping,http-slowloris");
}

static void names_are_sorted_and_come_once(void)
{
    CHECK_STR(chosen("http-title,banner,safe,http-title.nse", SCRIPTS_SAFE, 0),
              "banner,http-title");
}

static void a_script_that_the_level_forbids_says_what_would_allow_it(void)
{
    CHECK_STR(
        chosen("ftp-anon", SCRIPTS_SAFE, 0),
        "out-of-scope: script 'ftp-anon' is not allowed: its category 'auth' is not at level safe; "
        "the policy would need 'scripts: standard'");
    CHECK_STR(
        chosen("ssh-brute", SCRIPTS_STANDARD, 0),
        "out-of-scope: script 'ssh-brute' is not allowed: its category 'brute' is not at level "
        "standard; the policy would need 'scripts: aggressive' or 'script_flags: [brute]'");
    CHECK_STR(
        chosen("whois-ip", SCRIPTS_AGGRESSIVE, 0),
        "out-of-scope: script 'whois-ip' is not allowed: its category 'external' is not at level "
        "aggressive; the policy would need 'script_flags: [external]'");
    CHECK_STR(
        chosen("banner", SCRIPTS_NONE, 31),
        "out-of-scope: scripts are not allowed: the policy has 'scripts: none'; 'scripts: safe' "
        "would allow harmless ones");
    CHECK(str_starts(chosen("dos", SCRIPTS_AGGRESSIVE, 0),
                     "out-of-scope: no script of the category"));
}

static void nothing_lifts_files_and_unknown_categories(void)
{
    CHECK_STR(chosen("http-fetch", SCRIPTS_AGGRESSIVE, 31),
              "out-of-scope: script 'http-fetch' is never allowed: it writes files");
    CHECK_STR(chosen("bare", SCRIPTS_AGGRESSIVE, 31),
              "out-of-scope: script 'bare' is never allowed: it has no category");
    CHECK_STR(
        chosen("novel", SCRIPTS_AGGRESSIVE, 31),
        "out-of-scope: script 'novel' is not allowed: its category of its own is not at level "
        "aggressive; nothing lifts that");
    CHECK_STR(chosen("safe", SCRIPTS_SAFE, 31), "banner,broadcast-ping,http-title,whois-ip");
}

static void only_names_and_categories_are_taken(void)
{
    static const char *const bad[] = {
        "",           ",",           "banner,",       ",banner",        "banner,,safe",
        "all",        "*",           "http-*",        "+banner",        "not safe",
        "safe and x", "(safe)",      "./x.nse",       "/tmp/x.nse",     "../banner",
        "banner ",    " banner",     "Banner",        "banner.nse.nse", ".nse",
        "quantum",    "of its own",  "banner\n",      "safe\\",         "banner;id",
        "%safe",      "safe,/etc/x", "scripts/banner"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *got = chosen(bad[i], SCRIPTS_AGGRESSIVE, 31);

        if (!str_starts(got, "invalid: no such script or category: '")) {
            tap_fail(__FILE__, __LINE__, "'%s' gave %s", bad[i], got);
        }
    }
}

static void a_hostile_list_is_refused_with_its_line(void)
{
    static const char *const bad[] = {
        "Entry { filename = \"../x.nse\", categories = { \"safe\", } }\n",
        "Entry { filename = \"/x.nse\", categories = { \"safe\", } }\n",
        "Entry { filename = \"-x.nse\", categories = { \"safe\", } }\n",
        "Entry { filename = \"x,y.nse\", categories = { \"safe\", } }\n",
        "Entry { filename = \"x\", categories = { \"safe\", } }\n",
        "Entry { filename = \"x.nse.nse\", categories = { \"safe\", } }\n",
        "Entry { filename = \".nse\", categories = { \"safe\", } }\n",
        "Entry { filename = \"x.nse\", categories = { \"safe\", } } os.execute('id')\n",
        "Entry { filename = \"x.nse\", categories = { \"safe\" \"dos\" } }\n",
        "Entry { filename = \"x.nse\", categories = { safe } }\n",
        "Entry { filename = \"x.nse\", categories = { \"sa\\fe\", } }\n",
        "Entry { filename = \"x.nse\", categories = { \"\", } }\n",
        "Entry { filename = \"x.nse\", categories = { \"safe\", }\n",
        "Entry { filename = \"x.nse\", categories = { \"safe\n\", } }\n",
        "Entry { filename = \"x.nse\" }\n",
        "entry { filename = \"x.nse\", categories = { \"safe\", } }\n",
        "-- a comment\n",
        "\r\n",
        " \n",
        "Entry",
        "Entry { filename = \"",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_free char *text = str_fmt("%s\n%s", ENTRY("banner", "\"safe\", "), bad[i]);
        struct nse_db *got = NULL;

        CHECK_ERR(nse_parse(text, strlen(text), &got, ERR), ERR_INVALID);
        CHECK(got == NULL);
        if (!str_starts(tap_err.msg, "script.db line 3 is not 'Entry")) {
            tap_fail(__FILE__, __LINE__, "'%s' gave %s", bad[i], tap_err.msg);
        }
    }
}

static void lists_that_are_empty_double_or_endless_are_refused(void)
{
    static const char twice[] = ENTRY("x", "\"safe\"") ENTRY("x", "\"dos\"");
    static const char disguised[] = ENTRY("safe", "\"dos\"");
    static const char nul[] = "Entry { filename = \"x\0.nse\", categories = { \"safe\" } }";
    auto_buf big = {0};
    struct nse_db *got = NULL;

    CHECK_ERR(nse_parse("", 0, &got, ERR), ERR_INVALID);
    CHECK_ERR(nse_parse("\n\n", 2, &got, ERR), ERR_INVALID);
    CHECK_ERR(nse_parse(twice, strlen(twice), &got, ERR), ERR_INVALID);
    CHECK_STR(tap_err.msg, "script.db has 'x' twice");
    CHECK_ERR(nse_parse(disguised, strlen(disguised), &got, ERR), ERR_INVALID);
    CHECK_ERR(nse_parse(nul, sizeof nul - 1, &got, ERR), ERR_INVALID);
    while (big.len <= 1 << 20) {
        buf_addf(&big, ENTRY("x%zu", "\"safe\""), big.len);
    }
    CHECK_ERR(nse_parse(big.data, big.len, &got, ERR), ERR_LIMIT);
    CHECK(got == NULL);
}

static void a_list_is_loaded_from_a_regular_file_only(void)
{
    auto_free char *scripts = str_fmt("%s/scripts", test_dir());
    auto_free char *file = str_fmt("%s/script.db", scripts);
    struct nse_db *got = NULL;
    FILE *f;

    CHECK_ERR(nse_load(test_dir(), &got, ERR), ERR_NOT_FOUND);
    CHECK(mkdir(scripts, 0755) == 0);
    CHECK(mkfifo(file, 0644) == 0);
    CHECK_ERR(nse_load(test_dir(), &got, ERR), ERR_INVALID);
    CHECK(unlink(file) == 0);
    f = fopen(file, "w");
    CHECK(f && fputs(small, f) >= 0 && fclose(f) == 0);
    CHECK_OK(nse_load(test_dir(), &got, ERR));
    CHECK_INT(nse_count(got), 14);
    CHECK(nse_has(got, "banner"));
    CHECK(!nse_has(got, "safe"));
    nse_free(got);
}

/* The text, or the message. Borrowed until the next call. */
static const char *arguments(const char *args, const char *script)
{
    static char text[1024];
    auto_strvec names = {0};
    auto_buf out = {0};
    struct err e = {0};

    strvec_push(&names, "banner");
    strvec_push(&names, script);
    if (nse_arguments(args, &names, &out, &e) < 0) {
        CHECK_INT(e.code, ERR_INVALID);
        CHECK_INT(out.len, 0);
        snprintf(text, sizeof text, "%s", e.msg);
    } else {
        snprintf(text, sizeof text, "%s", out.data);
    }
    return text;
}

static void script_arguments_are_quoted_and_belong_to_a_script(void)
{
    CHECK_STR(arguments("http-title.url=/a,vulns.showall=", "http-title"),
              "http-title.url=\"/a\",vulns.showall=\"\"");
    CHECK_STR(arguments("http-title.url=/a", "http-git"),
              "script argument 'http-title.url' is for the script 'http-title', which is not asked "
              "for");
}

static void script_arguments_that_could_do_harm_are_refused(void)
{
    static const char *const unknown[] = {
        "newtargets=1",
        "userdb=/etc/passwd",
        "passdb=x",
        "http-fetch.destination=/x",
        "url-snarf.outfile=x",
        "smbusername=a",
        "creds.global=a",
        "http-enum.fingerprintfile=x",
        "HTTP.useragent=x",
        "http.useragent =x",
        " http.useragent=x",
        "dns-brute.hostlist=x",
    };
    static const char *const bad[] = {
        "http.useragent=a b", "http.useragent=\"", "http.useragent=a\\", "http.useragent={}",
        "http.useragent=a;b", "http.useragent==",  "http.useragent='",   "http.useragent=a\n"};
    auto_free char *long_value = str_fmt("http.useragent=%0257d", 0);

    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        CHECK(strstr(arguments(unknown[i], "http-fetch"), "is not among those") != NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK(strstr(arguments(bad[i], "x"), "a value is at most") != NULL);
    }
    CHECK(strstr(arguments(long_value, "x"), "a value is at most") != NULL);
    CHECK_STR(arguments("http.useragent", "x"),
              "script argument 'http.useragent' is not KEY=VALUE");
    CHECK_STR(arguments("", "x"), "script argument '' is not KEY=VALUE");
    CHECK_STR(arguments("vulns.short=1,", "x"), "script argument '' is not KEY=VALUE");
}

static void levels_and_flags_have_names_both_ways(void)
{
    static const char *const flags[] = {"dos", "exploit", "external", "broadcast", "brute"};
    enum script_level level = SCRIPTS_NONE;
    unsigned flag = 0;

    for (int l = SCRIPTS_NONE; l <= SCRIPTS_AGGRESSIVE; l++) {
        CHECK(script_level_parse(script_level_name((enum script_level)l), &level));
        CHECK_INT(level, l);
    }
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        CHECK(script_flag_parse(flags[i], &flag));
        CHECK_STR(script_flag_name(flag), flags[i]);
    }
    CHECK(!script_level_parse("Safe", &level));
    CHECK(!script_flag_parse("", &flag));
    CHECK(script_flag_name(0) == NULL);
}

static void the_packaged_list_gives_the_measured_numbers(void)
{
    struct nse_db *real = NULL;
    auto_strvec tagged = {0}, safe = {0}, by_default = {0}, standard = {0};
    static const char *const every = "safe,version,default,discovery,vuln";

    if (nse_load("/usr/share/nmap", &real, ERR) < 0) {
        tap_skip("%s", tap_err.msg);
    }
    if (nse_count(real) != 604) {
        nse_free(real);
        tap_skip("the numbers are of nmap 7.93");
    }
    /* 258 and 26 without the tag; four of the 258 write files: ajp-request, http-fetch,
     * ip-geolocation-map-kml, url-snarf. */
    CHECK_OK(nse_select(real, "safe", SCRIPTS_SAFE, 0, &tagged, ERR));
    CHECK_INT(tagged.n, 258 - 4);
    CHECK_OK(nse_select(real, every, SCRIPTS_SAFE, 0, &safe, ERR));
    CHECK_INT(safe.n, 258 - 4 + 26);
    CHECK_OK(nse_select(real, "default", SCRIPTS_SAFE, 0, &by_default, ERR));
    CHECK_INT(by_default.n, 125 - 9);
    CHECK_OK(nse_select(real, every, SCRIPTS_STANDARD, 0, &standard, ERR));
    CHECK(standard.n > safe.n);
    CHECK(nse_has(real, "http-title"));
    nse_free(real);
}

TESTS(categories_become_names_that_the_level_allows, names_are_sorted_and_come_once,
      a_script_that_the_level_forbids_says_what_would_allow_it,
      nothing_lifts_files_and_unknown_categories, only_names_and_categories_are_taken,
      a_hostile_list_is_refused_with_its_line, lists_that_are_empty_double_or_endless_are_refused,
      a_list_is_loaded_from_a_regular_file_only, script_arguments_are_quoted_and_belong_to_a_script,
      script_arguments_that_could_do_harm_are_refused, levels_and_flags_have_names_both_ways,
      the_packaged_list_gives_the_measured_numbers)
