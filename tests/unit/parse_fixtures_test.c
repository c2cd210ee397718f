/*
 * Other people's scans, from nmap 3.27 to 7.93, and files made to hurt: each is compared, member
 * by member, with what stands beside it in X.expect.json, fed whole and in small pieces.
 */
#include <dirent.h>

#include "parse_feed.h"

static const size_t steps[] = {0, 1, 7, 4096};

/* Members of the expectation that the run record has too. */
static const char *const record[] = {"run",         "scaninfo", "verbose", "debugging",
                                     "hosthints",   "targets",  "tasks",   "prescripts",
                                     "postscripts", "runstats"};

static void check_same(const char *file, size_t step, const char *what, json_t *got, json_t *want)
{
    if (!json_equal(got, want)) {
        auto_free char *g = json_dumps(got, JSON_ENCODE_ANY | JSON_SORT_KEYS);
        auto_free char *w = json_dumps(want, JSON_ENCODE_ANY | JSON_SORT_KEYS);
        size_t i = 0;

        while (g && w && g[i] && g[i] == w[i]) {
            i++;
        }
        i = i > 60 ? i - 60 : 0;
        tap_fail(__FILE__, __LINE__,
                 "%s in steps of %zu: %s differs: got ...%.300s, want ...%.300s", file, step, what,
                 g ? g + i : "nothing", w ? w + i : "nothing");
    }
}

/* An expectation has null or a time of 0 where nothing was said; the model leaves that out. */
static json_t *without_unsaid(json_t *hosts)
{
    static const char *const times[] = {"starttime", "endtime"};
    size_t i;
    json_t *h;

    json_array_foreach(hosts, i, h)
    {
        if (json_is_null(json_object_get(h, "status"))) {
            json_object_del(h, "status");
        }
        for (size_t k = 0; k < ARRAY_LEN(times); k++) {
            json_t *t = json_object_get(h, times[k]);

            if (t && json_integer_value(t) == 0) {
                json_object_del(h, times[k]);
            }
        }
    }
    return hosts;
}

static void check_record(const char *file, size_t step, json_t *got, json_t *want)
{
    for (size_t i = 0; i < ARRAY_LEN(record); i++) {
        CHECK(json_object_get(want, record[i]));
        check_same(file, step, record[i], json_object_get(got, record[i]),
                   json_object_get(want, record[i]));
    }
}

static bool want_complete(json_t *want)
{
    return json_is_true(json_object_get(json_object_get(want, "summary"), "complete"));
}

/* A document can be whole and yet lack nmap's end record. */
static bool want_success(json_t *want)
{
    return want_complete(want) ||
           (json_is_true(json_object_get(want, "wellformed")) &&
            str_eq(json_string_value(json_object_get(want, "root")), "nmaprun"));
}

static const char *want_exit(json_t *want)
{
    return json_string_value(json_object_get(json_object_get(want, "summary"), "exit"));
}

static void check_file(const char *file, const char *text, size_t n, json_t *want, size_t step)
{
    struct seen s = {0};
    json_t *hosts = json_object_get(want, "hosts");
    json_t *more = json_object_get(want, "more_documents");
    json_t *more_got;
    json_t *doc;
    size_t i;

    parse_in_steps(&parser_nmap_xml, text, n, step, &s);
    json_array_foreach(more, i, doc)
    {
        json_array_extend(hosts, json_object_get(doc, "hosts"));
    }
    check_same(file, step, "hosts", s.hosts, without_unsaid(hosts));
    CHECK_INT(s.runs, 1);
    check_record(file, step, s.run, want);
    more_got = json_object_get(s.run, "more_documents");
    CHECK_INT(json_array_size(more_got), json_array_size(more));
    json_array_foreach(more, i, doc)
    {
        check_record(file, step, json_array_get(more_got, i), doc);
        json_array_clear(json_object_get(doc, "hosts"));
    }
    CHECK_INT(s.complete, want_complete(want));
    CHECK_INT(s.finish_rc, want_success(want) ? 0 : ERR_TOOL);
    CHECK_STR(s.exit, want_exit(want));
    CHECK_INT(json_array_size(s.progress),
              json_integer_value(json_object_get(json_object_get(want, "tasks"), "begin")) +
                  json_integer_value(json_object_get(json_object_get(want, "tasks"), "progress")) +
                  json_integer_value(json_object_get(json_object_get(want, "tasks"), "end")));
    seen_done(&s);
}

static json_t *expectation(const char *file)
{
    auto_free char *path = str_fmt("%s.expect.json", file);
    auto_free char *text = test_fixture(path, NULL);

    return read_json(text);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t k = strlen(end);

    return n >= k && strcmp(s + n - k, end) == 0;
}

/* Compares all files of one folder below nmap/; returns how many. */
static unsigned check_folder(const char *folder)
{
    auto_free char *dir = str_fmt("%s/%s", getenv("SCANPOD_TEST_FIXTURES"), folder);
    DIR *d = opendir(dir);
    struct dirent *entry;
    unsigned count = 0;

    CHECK(d);
    while ((entry = readdir(d))) {
        auto_free char *file = str_fmt("%s/%s", folder, entry->d_name);
        auto_free char *text = NULL;
        json_t *want;
        size_t n;

        if (!ends_with(file, ".xml")) {
            continue;
        }
        text = test_fixture(file, &n);
        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
            want = expectation(file);
            check_file(file, text, n, want, steps[i]);
            json_decref(want);
        }
        count++;
    }
    closedir(d);
    return count;
}

static void scans_of_the_lab_parse_as_expected(void)
{
    if (!test_fixtures_present()) {
        tap_skip("shared fixtures are not beside this repository");
    }
    CHECK_INT(check_folder("nmap/lab"), 45);
}

static void scans_of_other_projects_parse_as_expected(void)
{
    static const char *const folders[] = {
        "brutespray", "defectdojo", "java-nmap", "libnmap",       "logstash",  "nmap-parser-perl",
        "nmap4j",     "ruby-nmap",  "ullaakut",  "securecodebox", "willdurand"};
    unsigned count = 0;

    if (!test_fixtures_present()) {
        tap_skip("shared fixtures are not beside this repository");
    }
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        auto_free char *folder = str_fmt("nmap/%s", folders[i]);

        count += check_folder(folder);
    }
    CHECK_INT(count, 49);
}

/* ok: all of it; partial: what was whole, and a failure; reject: a failure and no host. */
static void check_verdict(const char *file, const char *verdict, const char *text, size_t n,
                          size_t step)
{
    struct seen s = {0};

    parse_in_steps(&parser_nmap_xml, text, n, step, &s);
    if ((str_eq(verdict, "ok") && s.finish_rc != 0) ||
        (!str_eq(verdict, "ok") && s.finish_rc != ERR_TOOL) ||
        (str_eq(verdict, "partial") && json_array_size(s.hosts) == 0) ||
        (str_eq(verdict, "reject") && json_array_size(s.hosts) != 0)) {
        tap_fail(__FILE__, __LINE__, "%s in steps of %zu: %s (%s), %zu hosts; the verdict is %s",
                 file, step, err_name(s.finish_rc), s.err.msg, json_array_size(s.hosts), verdict);
    }
    CHECK_INT(s.complete, str_eq(verdict, "ok"));
    CHECK(s.finish_rc == 0 || s.err.msg[0]);
    seen_done(&s);
}

static void hostile_files_get_their_verdict(void)
{
    auto_free char *index = test_fixture("hostile/xml-json/INDEX.json", NULL);
    json_t *rows = read_json(index);
    json_t *row;
    size_t k;
    unsigned count = 0;

    json_array_foreach(rows, k, row)
    {
        const char *name = json_string_value(json_object_get(row, "file"));
        const char *verdict = json_string_value(json_object_get(row, "verdict"));
        auto_free char *file = str_fmt("hostile/xml-json/%s", name);
        auto_free char *beside =
            str_fmt("%s/%s.expect.json", getenv("SCANPOD_TEST_FIXTURES"), file);
        auto_free char *text = NULL;
        size_t n;

        if (!ends_with(name, ".xml")) {
            continue;
        }
        count++;
        text = test_fixture(file, &n);
        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
            check_verdict(file, verdict, text, n, steps[i]);
            if (access(beside, R_OK) == 0) {
                json_t *want = expectation(file);

                check_file(file, text, n, want, steps[i]);
                json_decref(want);
            }
        }
    }
    CHECK_INT(count, 22);
    json_decref(rows);
}

static void an_external_entity_is_refused(void)
{
    size_t n;
    auto_free char *text = test_fixture("hostile/xml-json/external_entity_file.xml", &n);

    check_verdict("external_entity_file.xml", "reject", text, n, 0);
    check_verdict("external_entity_file.xml", "reject", text, n, 1);
}

TESTS(scans_of_the_lab_parse_as_expected, scans_of_other_projects_parse_as_expected,
      hostile_files_get_their_verdict, an_external_entity_is_refused)
