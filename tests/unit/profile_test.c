/* Profiles: what is built in, what a file may say, and that the documentation has the same. */
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "base/json.h"
#include "plan/plan.h"
#include "tap.h"

static int load(const char *text, struct profiles **out)
{
    auto_free char *path = str_fmt("%s/profiles.yaml", test_dir());
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return profiles_load(path, out, ERR);
}

static void the_built_in_ones_are_there_and_show_themselves(void)
{
    static const char *const names[] = {"quick", "standard", "full", "sweep", "udp", "ping"};
    struct profiles *p = NULL;

    CHECK_OK(profiles_load(NULL, &p, ERR));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct profile *f = profiles_at(p, i);
        auto_free char *version = str_fmt("%s@1", names[i]);
        auto_buf b = {0};
        json_t *o;

        CHECK(f && f->builtin);
        CHECK_STR(f->name, names[i]);
        CHECK(profiles_find(p, version, ERR) == f);
        profile_json(f, &b);
        o = json_loads(b.data, JSON_REJECT_DUPLICATES, NULL);
        CHECK_STR(json_string_value(json_object_get(o, "name")), names[i]);
        CHECK_INT(json_array_size(json_object_get(o, "stages")), f->n_stages);
        json_decref(o);
    }
    CHECK(profiles_at(p, ARRAY_LEN(names)) == NULL);
    CHECK(profiles_find(p, "standard@2", ERR) == NULL);
    CHECK(strstr(tap_err.msg, "the version of 'standard' is 1"));
    CHECK(profiles_find(p, "standart", ERR) == NULL);
    CHECK(strstr(tap_err.msg, "quick, standard, full, sweep, udp, ping"));
    CHECK(profiles_find(p, "standard@", ERR) == NULL);
    profiles_free(p);
}

static void a_file_adds_profiles(void)
{
    static const char text[] = "version: 1\n"
                               "profiles:\n"
                               "  - name: web\n"
                               "    summary: web servers and what they are\n"
                               "    version: 3\n"
                               "    service_seconds: 90\n"
                               "    stages:\n"
                               "      - find: hosts\n"
                               "      - {find: ports, ports: '80,443,8000-8100', rate: 5000}\n"
                               "      - {find: services, arguments: '--version-intensity 9'}\n"
                               "      - {find: services, arguments: '--script http-title'}\n";
    struct profiles *p = NULL;
    const struct profile *f;

    CHECK_OK(load(text, &p));
    f = profiles_find(p, "web@3", ERR);
    CHECK(f && !f->builtin && f->n_stages == 4 && f->service_s == 90);
    CHECK_INT(f->stages[1].rate, 5000);
    CHECK_STR(f->stages[1].ports, "80,443,8000-8100");
    CHECK_STR(f->stages[2].arguments, "--version-intensity 9");
    CHECK_INT(f->stages[3].kind, STAGE_SERVICES);
    profiles_free(p);
}

#define HEAD "version: 1\nprofiles:\n  - name: x\n    stages:\n"

static void what_is_wrong_is_named_with_its_place(void)
{
    static const char *const cases[][2] = {
        {"", ":1:1: "},
        {"version: 2\nprofiles: []\n", "'version' must be 1"},
        {"version: 1\n", "'profiles' is missing"},
        {"version: 1\nprofiles: 7\n", ":2:11: 'profiles' must be a list"},
        {"version: 1\nprofiles:\n  - name: quick\n    stages: [{find: hosts}]\n",
         ":3:11: 'quick' is a built-in profile"},
        {"version: 1\nprofiles:\n  - {name: a, stages: [{find: hosts}]}\n"
         "  - {name: a, stages: [{find: hosts}]}\n",
         "there are two profiles 'a'"},
        {"version: 1\nprofiles:\n  - {name: A b, stages: [{find: hosts}]}\n", "small letters"},
        {"version: 1\nprofiles:\n  - {name: a, stages: []}\n", "a list of 1 to 8 stages"},
        {"version: 1\nprofiles:\n  - {name: a, stage: []}\n", "did you mean 'stages'?"},
        {HEAD "      - {find: everything}\n", "'find' must be hosts, ports, services or verify"},
        {HEAD "      - {find: ports, tool: nnap}\n",
         "there is no such tool; 'tool' is one of nmap"},
        {HEAD "      - {find: ports, ports: '99999'}\n", "'ports' must be a list such as"},
        {HEAD "      - {find: ports, ports: 'top:0'}\n", "'ports' must be a list such as"},
        {HEAD "      - {find: ports, rate: -1}\n", "'rate' must be a number from 1"},
        {HEAD "      - {find: ports, arguments: '-oN /etc/passwd'}\n", ":5:34: "},
        {HEAD "      - {find: ports, arguments: '--nothing'}\n",
         "disallowed argument: '--nothing'"},
        {HEAD "      - {find: ports, arguments: '-p 80'}\n", "write them as 'ports'"},
        {HEAD "      - {find: ports, arguments: '\"'}\n", "No closing quotation"},
        {HEAD "      - {find: hosts, ports: '80'}\n", "only stages that find ports"},
        {HEAD "      - {find: services}\n", "need a stage that finds ports before them"},
        {HEAD "      - {find: ports}\n      - {find: hosts}\n",
         ":6:9: a stage that finds hosts is"},
        {HEAD "      - {find: hosts}\n      - {find: ports}\n      - {find: services}\n"
              "      - {find: ports}\n",
         "come before services"},
        {HEAD "      - {find: ports}\n      - {find: ports}\n", "needs one that finds hosts"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct profiles *p = NULL;

        CHECK_ERR(load(cases[i][0], &p), ERR_INVALID);
        if (!strstr(tap_err.msg, cases[i][1]) || !strstr(tap_err.msg, "profiles.yaml:")) {
            tap_fail(__FILE__, __LINE__, "case %d gave: %s", (int)i, tap_err.msg);
        }
        CHECK(!p);
    }
}

static void a_file_that_is_not_there_is_said(void)
{
    struct profiles *p = NULL;

    CHECK_ERR(profiles_load("/nowhere/profiles.yaml", &p, ERR), ERR_NOT_FOUND);
    CHECK(strstr(tap_err.msg, "/nowhere/profiles.yaml"));
}

/* The documentation, from the source that runs: beside tests/data. */
static char *read_doc(void)
{
    const char *data = getenv("SCANPOD_TEST_DATA");
    auto_free char *path = str_fmt("%s/../../docs/profiles.md", data ? data : "tests/data");
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_buf b = {0};
    ssize_t n = 1;

    CHECK(fd >= 0);
    while (n > 0) {
        char *at = buf_space(&b, 4096);

        n = read(fd, at, 4096);
        b.len += n > 0 ? (size_t)n : 0;
    }
    buf_addc(&b, '\n');
    return buf_take(&b);
}

static void the_table_of_the_documentation_is_that_of_the_code(void)
{
    auto_free char *doc = read_doc();
    struct profiles *p = NULL;

    CHECK_OK(profiles_load(NULL, &p, ERR));
    for (size_t i = 0; profiles_at(p, i); i++) {
        const struct profile *f = profiles_at(p, i);
        auto_buf row = {0};

        buf_addf(&row, "| `%s` | %u | ", f->name, f->version);
        for (size_t k = 0; k < f->n_stages; k++) {
            const struct profile_stage *s = &f->stages[k];

            buf_addf(&row, "%s%s", k ? ", " : "", stage_kind_name(s->kind));
            if (s->kind == STAGE_PORTS) {
                buf_addf(&row, " (%s%s%s)", s->ports ? s->ports : "those of the request",
                         s->arguments ? "; " : "", s->arguments ? s->arguments : "");
            }
        }
        buf_addf(&row, " | %s |\n", f->summary);
        if (!strstr(doc, row.data)) {
            tap_fail(__FILE__, __LINE__, "docs/profiles.md has no row: %s", row.data);
        }
    }
    profiles_free(p);
}

static void the_example_of_the_documentation_can_be_read(void)
{
    auto_free char *doc = read_doc();
    char *from = strstr(doc, "```yaml\n"), *to = from ? strstr(from, "\n```\n") : NULL;
    struct profiles *p = NULL;

    CHECK(from && to);
    to[1] = '\0';
    CHECK_OK(load(from + 8, &p));
    CHECK(profiles_at(p, 6) != NULL);
    profiles_free(p);
}

TESTS(the_built_in_ones_are_there_and_show_themselves, a_file_adds_profiles,
      what_is_wrong_is_named_with_its_place, a_file_that_is_not_there_is_said,
      the_table_of_the_documentation_is_that_of_the_code,
      the_example_of_the_documentation_can_be_read)
