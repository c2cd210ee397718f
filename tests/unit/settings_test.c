/* The table of settings and the order in which their sources are read. */
#include "daemon/settings.h"

#include <unistd.h>

#include "base/log.h"
#include "tap.h"

static void free_set(struct option_set **s)
{
    option_set_free(*s);
}
#define auto_set __attribute__((cleanup(free_set))) struct option_set

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    CHECK(f != NULL);
    CHECK(fputs(text, f) >= 0);
    CHECK(fclose(f) == 0);
}

/* An empty working directory and no SCANPOD_ variables. */
static void start(void)
{
    for (const struct option *o = settings_table; o->name; o++) {
        unsetenv(o->env);
        if (o->env2) {
            unsetenv(o->env2);
        }
    }
    CHECK(chdir(test_dir()) == 0);
    unlink(".env");
    write_file("empty.conf", "");
}

static void the_table_is_complete_and_names_are_unique(void)
{
    for (const struct option *o = settings_table; o->name; o++) {
        CHECK(str_starts(o->env, "SCANPOD_"));
        CHECK(o->help && *o->help);
        CHECK(o->type != OPT_INT || o->min < o->max);
        CHECK(o->type != OPT_ENUM || o->values);
        for (const struct option *p = o + 1; p->name; p++) {
            CHECK(!str_eq(o->name, p->name) && !str_eq(o->env, p->env));
        }
    }
}

static void without_any_source_the_documented_defaults_hold(void)
{
    auto_set *s = option_set_new(settings_table);

    start();
    CHECK_OK(settings_load(s, "empty.conf", ERR));
    CHECK_STR(option_str(s, "listen"), "127.0.0.1:8000");
    CHECK_INT(option_int(s, "scan-timeout"), 900);
    CHECK_INT(option_int(s, "max-scan-workers"), 4);
    CHECK_INT(option_int(s, "retention-days"), 90);
    CHECK_INT(option_int(s, "max-waiting"), 10000);
    CHECK_INT(option_int(s, "retries"), 3);
    CHECK(!option_bool(s, "allow-unsafe-args"));
    CHECK(!option_is_set(s, "max-jobs"));
    CHECK(!option_is_set(s, "job-ttl-seconds"));
    CHECK(!option_is_set(s, "api-key"));
}

static void the_data_directory_follows_the_user(void)
{
    auto_set *s = option_set_new(settings_table);
    auto_set *given = option_set_new(settings_table);
    const char *where;

    start();
    setenv("XDG_DATA_HOME", "/somewhere/data", 1);
    CHECK_OK(settings_load(s, "empty.conf", ERR));
    CHECK_STR(option_str(s, "data-dir"),
              geteuid() == 0 ? "/var/lib/scanpod" : "/somewhere/data/scanpod");
    CHECK_INT(option_from(s, "data-dir", &where), FROM_DEFAULT);
    CHECK_OK(option_put(given, "data-dir", "/x", FROM_FLAG, "--data-dir", ERR));
    CHECK_OK(settings_load(given, "empty.conf", ERR));
    CHECK_STR(option_str(given, "data-dir"), "/x");
}

static void flags_beat_the_environment_beats_dotenv_beats_the_file(void)
{
    auto_set *s = option_set_new(settings_table);

    start();
    write_file("four.conf", "max-jobs = 1\nscan-timeout = 1\nmax-scan-workers = 1\nretries = 1\n");
    write_file(".env", "SCANPOD_MAX_JOBS=2\nSCANPOD_SCAN_TIMEOUT=2\nSCANPOD_MAX_SCAN_WORKERS=2\n"
                       "SCANPOD_RETRIES=2\n");
    setenv("SCANPOD_MAX_JOBS", "3", 1);
    setenv("SCANPOD_SCAN_TIMEOUT", "3", 1);
    CHECK_OK(option_put(s, "max-jobs", "4", FROM_FLAG, "--max-jobs", ERR));
    CHECK_OK(settings_load(s, "four.conf", ERR));
    CHECK_INT(option_int(s, "max-jobs"), 4);
    CHECK_INT(option_int(s, "scan-timeout"), 3);
    CHECK_INT(option_int(s, "max-scan-workers"), 2);
    CHECK_INT(option_int(s, "retries"), 1); /* no variable of the old service */
}

static void dotenv_cannot_choose_a_program(void)
{
    auto_set *s = option_set_new(settings_table);

    start();
    write_file(".env", "SCANPOD_TOOL_NMAP=/evil\nTOOL_PATHS_NMAP=/evil\nSCANPOD_DATA_DIR=/evil\n"
                       "SCANPOD_API_KEY=from-dotenv\n");
    CHECK_OK(settings_load(s, "empty.conf", ERR));
    CHECK_STR(option_str(s, "tool-nmap"), NULL);
    CHECK(!str_eq(option_str(s, "data-dir"), "/evil"));
    CHECK_STR(option_str(s, "api-key"), "from-dotenv");
}

static void a_named_configuration_file_must_exist_and_names_no_other(void)
{
    auto_set *s = option_set_new(settings_table);
    auto_set *by_env = option_set_new(settings_table);

    start();
    CHECK_ERR(settings_load(s, "missing.conf", ERR), ERR_NOT_FOUND);
    CHECK(strstr(tap_err.msg, "missing.conf") != NULL);
    write_file("other.conf", "config = empty.conf\n");
    CHECK_ERR(settings_load(s, "other.conf", ERR), ERR_INVALID);
    write_file("third.conf", "retries = 7\n");
    setenv("SCANPOD_CONFIG", "third.conf", 1);
    CHECK_OK(settings_load(by_env, NULL, ERR));
    CHECK_INT(option_int(by_env, "retries"), 7);
}

static void the_second_name_of_the_nmap_path_is_read(void)
{
    auto_set *s = option_set_new(settings_table);

    start();
    setenv("TOOL_PATHS_NMAP", "/opt/nmap", 1);
    CHECK_OK(settings_load(s, "empty.conf", ERR));
    CHECK_STR(option_str(s, "tool-nmap"), "/opt/nmap");
}

static void every_log_level_of_the_table_is_known_to_the_log(void)
{
    for (const struct option *o = settings_table; o->name; o++) {
        auto_free char *words = xstrdup(o->values ? o->values : "");
        char *rest = words;
        char *word;

        while (str_eq(o->name, "log-level") && (word = strsep(&rest, "|")) != NULL) {
            enum log_level level;

            CHECK(log_level_parse(word, &level));
        }
    }
}

TESTS(the_table_is_complete_and_names_are_unique, without_any_source_the_documented_defaults_hold,
      the_data_directory_follows_the_user, flags_beat_the_environment_beats_dotenv_beats_the_file,
      dotenv_cannot_choose_a_program, a_named_configuration_file_must_exist_and_names_no_other,
      the_second_name_of_the_nmap_path_is_read, every_log_level_of_the_table_is_known_to_the_log)
