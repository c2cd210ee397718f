/*
 * Reports of real scans: every nmap file of the fixtures goes through parser and writer, and must
 * come back from nmap XML as the same hosts, be valid under nmap's DTD, and be the same file to
 * programs that read nmap's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "parse_feed.h"
#include "report_rig.h"

static const char *const folders[] = {
    "lab",    "brutespray", "defectdojo", "java-nmap",        "libnmap",       "logstash",
    "nmap4j", "ruby-nmap",  "ullaakut",   "nmap-parser-perl", "securecodebox", "willdurand"};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t k = strlen(end);

    return n >= k && strcmp(s + n - k, end) == 0;
}

typedef void (*file_fn)(void *arg, const char *file, const char *text, size_t n);

static unsigned each_file(file_fn fn, void *arg)
{
    unsigned count = 0;

    if (!test_fixtures_present()) {
        tap_skip("shared fixtures are not beside this repository");
    }
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        auto_free char *dir = str_fmt("%s/nmap/%s", getenv("SCANPOD_TEST_FIXTURES"), folders[i]);
        DIR *d = opendir(dir);
        struct dirent *entry;

        CHECK(d);
        while ((entry = readdir(d))) {
            auto_free char *file = str_fmt("nmap/%s/%s", folders[i], entry->d_name);
            auto_free char *text = NULL;
            size_t n;

            if (ends_with(file, ".xml")) {
                text = test_fixture(file, &n);
                fn(arg, file, text, n);
                count++;
            }
        }
        closedir(d);
    }
    return count;
}

/* ---- what the DTD makes of a host ---- */

static void otherwise(json_t *o, const char *name, json_t *v)
{
    if (json_object_get(o, name)) {
        json_decref(v);
    } else {
        json_object_set_new(o, name, v);
    }
}

/* Attributes that the DTD requires. */
static void state_required(json_t *o, const char *state)
{
    otherwise(o, "state", json_string(state));
    otherwise(o, "reason", json_string(""));
    otherwise(o, "reason_ttl", json_integer(0));
}

static void only(json_t *o, const char *const *names)
{
    const char *name;
    json_t *v;
    void *next;

    json_object_foreach_safe(o, next, name, v)
    {
        bool found = false;

        for (const char *const *k = names; *k; k++) {
            found = found || strcmp(*k, name) == 0;
        }
        if (!found) {
            json_object_del(o, name);
        }
    }
}

static void dtd_service(json_t *s)
{
    static const char *const names[] = {"name",   "product",    "version", "extrainfo", "hostname",
                                        "ostype", "devicetype", "tunnel",  "servicefp", "proto",
                                        "rpcnum", "lowver",     "highver", "method",    "conf",
                                        "cpe",    NULL};

    otherwise(s, "name", json_string(""));
    otherwise(s, "method", json_string("table"));
    if (!str_eq(json_string_value(json_object_get(s, "method")), "table")) {
        json_object_set_new(s, "method", json_string("probed")); /* "detection" of the oldest */
    }
    otherwise(s, "conf", json_integer(0));
    only(s, names);
}

static void dtd_os(json_t *os)
{
    json_t *matches = json_object_get(os, "osmatch");
    json_t *beside = json_object_get(os, "osclass");
    json_t *v;
    size_t i;

    json_array_foreach(matches, i, v)
    {
        otherwise(v, "line", json_integer(0));
    }
    if (json_array_size(matches)) {
        json_array_extend(json_object_get(json_array_get(matches, 0), "osclass"), beside);
    } else {
        json_array_foreach(beside, i, v)
        {
            const char *gen = json_string_value(json_object_get(v, "osgen"));
            auto_free char *name = str_fmt(
                "%s %s%s%s", json_string_value(json_object_get(v, "vendor")),
                json_string_value(json_object_get(v, "osfamily")), gen ? " " : "", gen ? gen : "");

            json_array_append_new(matches, json_pack("{s:s,s:O,s:i,s:[O]}", "name", name,
                                                     "accuracy", json_object_get(v, "accuracy"),
                                                     "line", 0, "osclass", v));
        }
    }
    json_array_clear(beside);
}

/* The oldest versions told a class of the sequence as well. */
static void dtd_sequence(json_t *sequence)
{
    static const char *const names[] = {"index", "difficulty", "values", NULL};

    only(sequence, names);
}

static json_t *as_dtd(json_t *hosts)
{
    json_t *h, *p;
    size_t i, k;

    json_array_foreach(hosts, i, h)
    {
        if (!json_object_get(h, "status")) {
            json_object_set_new(h, "status", json_object());
        }
        state_required(json_object_get(h, "status"), "unknown");
        if (json_array_size(json_object_get(h, "addresses")) == 0) {
            json_array_append_new(json_object_get(h, "addresses"),
                                  json_pack("{ss,ss}", "addr", "", "addrtype", "ipv4"));
        }
        json_array_foreach(json_object_get(h, "ports"), k, p)
        {
            state_required(json_object_get(p, "state"), "unknown");
            if (json_object_get(p, "service")) {
                dtd_service(json_object_get(p, "service"));
            }
        }
        if (json_object_get(h, "os")) {
            dtd_os(json_object_get(h, "os"));
        }
        dtd_sequence(json_object_get(h, "tcpsequence"));
    }
    return hosts;
}

static void round_trip(void *arg, const char *file, const char *text, size_t n)
{
    auto_buf xml = {0};
    struct seen before = {0}, after = {0};

    (void)arg;
    rig_export("nmap-xml", &parser_nmap_xml, text, n, &xml);
    parse_in_steps(&parser_nmap_xml, text, n, 0, &before);
    parse_in_steps(&parser_nmap_xml, xml.data, xml.len, 0, &after);
    if (after.finish_rc != 0 || !after.complete) {
        tap_fail(__FILE__, __LINE__, "%s: %s", file, after.err.msg);
    }
    as_dtd(before.hosts);
    if (!json_equal(before.hosts, after.hosts)) {
        auto_free char *g = json_dumps(after.hosts, JSON_SORT_KEYS);
        auto_free char *w = json_dumps(before.hosts, JSON_SORT_KEYS);
        size_t i = 0;

        while (g[i] && g[i] == w[i]) {
            i++;
        }
        i = i > 100 ? i - 100 : 0;
        tap_fail(__FILE__, __LINE__, "%s: got ...%.300s, want ...%.300s", file, g + i, w + i);
    }
    seen_done(&before);
    seen_done(&after);
}

static void nmap_files_come_back_from_their_export_as_the_same_hosts(void)
{
    CHECK_INT(each_file(round_trip, NULL), 94);
}

/* ---- what others say ---- */

struct exports {
    struct strvec files; /* argv that grows */
    unsigned n;
};

static char *write_file(const char *name, const char *text, size_t n)
{
    char *path = str_fmt("%s/%s", test_dir(), name);
    FILE *f = fopen(path, "w");

    CHECK(f && fwrite(text, 1, n, f) == n && fclose(f) == 0);
    return path;
}

static void export_to_file(void *arg, const char *file, const char *text, size_t n)
{
    struct exports *x = arg;
    auto_buf xml = {0};
    auto_free char *name = str_fmt("%u.xml", x->n++);
    auto_free char *path = NULL;

    (void)file;
    rig_export("nmap-xml", &parser_nmap_xml, text, n, &xml);
    path = write_file(name, xml.data, xml.len);
    strvec_push(&x->files, path);
}

/* Runs a program with its output in `log`; -1: it is not installed. */
static int run(char *const *argv, const char *log)
{
    posix_spawn_file_actions_t actions;
    extern char **environ;
    pid_t pid;
    int status = 0;
    int rc;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    rc = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc != 0) {
        return -1;
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static void must_run(struct strvec *argv, int want)
{
    auto_free char *log = str_fmt("%s/log", test_dir());
    int rc = run(argv->v, log);

    if (rc == -1) {
        tap_skip("%s is not installed", argv->v[0]);
    }
    if (rc != want) {
        FILE *f = fopen(log, "r");
        char text[600] = "";

        CHECK(f);
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        fclose(f);
        tap_fail(__FILE__, __LINE__, "%s ended with %d: %s", argv->v[0], rc, text);
    }
}

static void export_with(struct exports *x, const struct parser *parser, const char *file)
{
    size_t n;
    auto_free char *text = test_fixture(file, &n);
    auto_free char *name = str_fmt("%u.xml", x->n++);
    auto_free char *path = NULL;
    auto_buf xml = {0};

    rig_export("nmap-xml", parser, text, n, &xml);
    path = write_file(name, xml.data, xml.len);
    strvec_push(&x->files, path);
}

/* All that a tool may leave, in one directory. */
static void export_all(struct exports *x)
{
    static const char *const masscan[] = {"syn.json",     "banners.json", "banners.xml",
                                          "closed.json",  "ipv6.json",    "ping.json",
                                          "nothing.json", "syn.list",     "syn.grepable"};
    static const char *const zmap[] = {"v2-default.csv", "v2-udp.json", "v4-icmp.csv",
                                       "v4-all_fields.json"};

    each_file(export_to_file, x);
    for (size_t i = 0; i < ARRAY_LEN(masscan); i++) {
        auto_free char *file = str_fmt("masscan/lab/%s", masscan[i]);

        export_with(x, &parser_masscan, file);
    }
    for (size_t i = 0; i < ARRAY_LEN(zmap); i++) {
        auto_free char *file = str_fmt("zmap/lab/%s", zmap[i]);

        export_with(x, &parser_zmap, file);
    }
}

#define DTD "/usr/share/nmap/nmap.dtd"

static void exports_are_valid_under_the_dtd(void)
{
    struct exports x = {0};

    if (access(DTD, R_OK) != 0) {
        tap_skip("nmap's DTD is not installed");
    }
    strvec_push(&x.files, "xmllint");
    strvec_push(&x.files, "--noout");
    strvec_push(&x.files, "--nonet");
    strvec_push(&x.files, "--huge");
    strvec_push(&x.files, "--dtdvalid");
    strvec_push(&x.files, DTD);
    export_all(&x);
    must_run(&x.files, 0);
    strvec_done(&x.files);
}

static void libnmap_reads_the_exports(void)
{
    struct exports x = {0};

    strvec_push(&x.files, "/usr/bin/python3");
    strvec_push(&x.files, "-c");
    strvec_push(&x.files, "import sys\n"
                          "from libnmap.parser import NmapParser\n"
                          "for f in sys.argv[1:]:\n"
                          "    r = NmapParser.parse_fromfile(f)\n"
                          "    r.hosts_total, r.started, r.endtime, r.commandline, r.summary\n"
                          "    for h in r.hosts:\n"
                          "        h.address, h.hostnames, h.os_fingerprint, h.uptime\n"
                          "        for s in h.services:\n"
                          "            s.banner, s.cpelist, s.scripts_results, s.state\n");
    export_all(&x);
    must_run(&x.files, 0);
    strvec_done(&x.files);
}

/* A few of them: it takes a moment for each. It fails itself where a port has two scripts. */
static void ndiff_sees_no_difference_to_the_original(void)
{
    static const char *const files[] = {"ndiff/lab-services/a.xml", "ndiff/lab-ping/b.xml",
                                        "ndiff/nothing-to-something/b.xml",
                                        "ndiff/ports-changed/a.xml"};

    if (!test_fixtures_present()) {
        tap_skip("shared fixtures are not beside this repository");
    }
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        size_t n;
        auto_free char *text = test_fixture(files[i], &n);
        auto_free char *a = write_file("a.xml", text, n);
        auto_free char *b = NULL;
        auto_buf xml = {0};
        auto_strvec argv = {0};

        rig_export("nmap-xml", &parser_nmap_xml, text, n, &xml);
        b = write_file("b.xml", xml.data, xml.len);
        strvec_push(&argv, "ndiff");
        strvec_push(&argv, a);
        strvec_push(&argv, b);
        must_run(&argv, 0);
    }
}

static void imports_do_not_say_that_they_were_scanned_here(void)
{
    static const char *const formats[] = {"markdown", "html", "grepable", "nmap-xml"};
    char tool[] = "zmap", name[] = "office.csv", plan[] = "{}", file[] = "upload";
    char summary[] = "{\"coverage\":{\"text\":\"covered 0.0 %\"}}";
    const struct job job = {.tool = tool,
                            .targets = name,
                            .state = JOB_COMPLETED,
                            .plan = plan,
                            .import_path = file,
                            .summary_json = summary};

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        auto_buf out = {0};

        report_hosts(formats[i], &job, NULL, 0, &out);
        CHECK(strstr(out.data, "scanpod import --format zmap office.csv"));
        CHECK(!strstr(out.data, "covered") && !strstr(out.data, "scanpod scan"));
    }
}

TESTS(imports_do_not_say_that_they_were_scanned_here,
      nmap_files_come_back_from_their_export_as_the_same_hosts, exports_are_valid_under_the_dtd,
      libnmap_reads_the_exports, ndiff_sees_no_difference_to_the_original)
