/* Requests and specs as JSON: there and back, and what is said of a wrong member. */
#include "repo/spec.h"
#include "tap.h"

static const char *const whole =
    "{\"url\":\"https://example.org/owner/name\",\"branch\":\"dev\","
    "\"subdir\":\"src\",\"base\":\"v1\",\"head\":\"0123456789abcdef0123456789abcdef01234567\","
    "\"baseline\":\"none\",\"engines\":[\"flawfinder\",\"claude\"],\"credential\":\"forge\","
    "\"username\":\"me\",\"fail_on\":\"high\",\"agent_wanted\":true,\"max_bytes\":1000,"
    "\"max_files\":10,\"agent\":{\"model\":\"claude-sonnet-4-5\",\"effort\":\"low\","
    "\"max_turns\":7,\"max_budget_cents\":50,\"passes\":2,\"stall_s\":60}}";

static void a_request_reads_as_it_was_written(void)
{
    struct repo_request r = {0};
    auto_buf again = {0};

    CHECK_OK(repo_request_read(whole, &r, ERR));
    CHECK_STR(r.url, "https://example.org/owner/name");
    CHECK_STR(r.branch, "dev");
    CHECK_INT(r.engines.n, 2);
    CHECK(r.agent_wanted);
    CHECK_INT(r.agent.max_turns, 7);
    CHECK_INT(r.agent.passes, 2);
    CHECK_INT(r.max_bytes, 1000);
    repo_request_write(&r, &again);
    CHECK_STR(again.data, whole);
    repo_request_done(&r);
    CHECK(!r.url && !r.engines.v);
}

static void the_least_request_has_a_url(void)
{
    struct repo_request r = {0};

    CHECK_OK(repo_request_read("{\"url\":\"git@Example.org:a/b.git\",\"branch\":null}", &r, ERR));
    CHECK_STR(r.url, "ssh://git@example.org/a/b");
    CHECK(!r.branch && !r.agent_wanted);
    repo_request_done(&r);
    CHECK_OK(repo_request_read("{\"url\":\"dir:my project\"}", &r, ERR));
    CHECK_STR(r.url, "dir:my project");
    repo_request_done(&r);
}

static void naming_the_agent_wants_it(void)
{
    struct repo_request r = {0};

    CHECK_OK(
        repo_request_read("{\"url\":\"https://example.org/a\",\"engines\":[\"claude\"]}", &r, ERR));
    CHECK(r.agent_wanted);
    repo_request_done(&r);
}

static void a_wrong_member_is_told_with_its_place(void)
{
    static const char *const rows[][2] = {
        {"", "line"},
        {"[]", "/: "},
        {"{\"url\":", "line"},
        {"{}", "/url: it is missing"},
        {"{\"url\":1}", "/url: it is a string"},
        {"{\"url\":\"https://a.org/a\",\"url\":\"https://a.org/b\"}", "duplicate"},
        {"{\"url\":\"https://u:p@a.org/a\"}", "/url: "},
        {"{\"url\":\"dir:\"}", "/url: "},
        {"{\"url\":\"dir:a\\u001b\"}", "/url: "},
        {"{\"url\":\"https://a.org/a\",\"brunch\":\"x\"}", "/brunch: there is no such member: did "
                                                           "you mean 'branch'?"},
        {"{\"url\":\"https://a.org/a\",\"branch\":\"-x\"}", "/branch: "},
        {"{\"url\":\"https://a.org/a\",\"branch\":[]}", "/branch: "},
        {"{\"url\":\"https://a.org/a\",\"commit\":\"abc123\"}", "/commit: "},
        {"{\"url\":\"https://a.org/a\",\"subdir\":\"../x\"}", "/subdir: "},
        {"{\"url\":\"https://a.org/a\",\"base\":\"a..b\"}", "/base: "},
        {"{\"url\":\"https://a.org/a\",\"head\":\"x\"}", "/base: it is missing"},
        {"{\"url\":\"https://a.org/a\",\"baseline\":\"x\"}", "/baseline: "},
        {"{\"url\":\"https://a.org/a\",\"engines\":\"x\"}", "/engines: "},
        {"{\"url\":\"https://a.org/a\",\"engines\":[\"ok\",\"../x\"]}", "/engines/1: "},
        {"{\"url\":\"https://a.org/a\",\"engines\":[1]}", "/engines/0: "},
        {"{\"url\":\"https://a.org/a\",\"credential\":\"ghp_ABC\"}", "/credential: "},
        {"{\"url\":\"https://a.org/a\",\"username\":\"me\"}", "/credential: it is missing"},
        {"{\"url\":\"https://a.org/a\",\"credential\":\"a\",\"username\":\"a:b\"}", "/username: "},
        {"{\"url\":\"dir:a\",\"credential\":\"a\"}", "/credential: "},
        {"{\"url\":\"https://a.org/a\",\"fail_on\":\"bad\"}", "/fail_on: "},
        {"{\"url\":\"https://a.org/a\",\"max_bytes\":0}", "/max_bytes: "},
        {"{\"url\":\"https://a.org/a\",\"max_bytes\":-1}", "/max_bytes: "},
        {"{\"url\":\"https://a.org/a\",\"max_bytes\":1.5}", "/max_bytes: "},
        {"{\"url\":\"https://a.org/a\",\"max_files\":99999999999}", "/max_files: "},
        {"{\"url\":\"https://a.org/a\",\"agent_wanted\":1}", "/agent_wanted: "},
        {"{\"url\":\"https://a.org/a\",\"agent\":1}", "/agent: "},
        {"{\"url\":\"https://a.org/a\",\"agent\":{\"model\":\"a b\"}}", "/agent/model: "},
        {"{\"url\":\"https://a.org/a\",\"agent\":{\"effort\":\"max\"}}", "/agent/effort: "},
        {"{\"url\":\"https://a.org/a\",\"agent\":{\"passes\":6}}", "/agent/passes: "},
        {"{\"url\":\"https://a.org/a\",\"agent\":{\"base_url\":\"http://x\"}}",
         "/agent/base_url: "},
        {"{\"url\":\"https://a.org/a\\u0000\"}", "line"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct repo_request r = {0};

        if (repo_request_read(rows[i][0], &r, ERR) != ERR_INVALID) {
            tap_fail(__FILE__, __LINE__, "%s was taken", rows[i][0]);
        }
        if (!strstr(tap_err.msg, rows[i][1])) {
            tap_fail(__FILE__, __LINE__, "%s: %s", rows[i][0], tap_err.msg);
        }
    }
}

static struct repo_spec some_spec(void)
{
    struct repo_spec s = {
        .clone_url = "https://example.org/a",
        .proxy = true,
        .has_ca = true,
        .programs = {"flawfinder=/usr/bin/flawfinder=2.0.19", "x=/x="},
        .n_programs = 2,
        .git = "/usr/bin/git",
        .ssh = "/usr/bin/ssh",
        .max_bytes = UINT64_C(5) << 32,
        .max_files = 7,
        .max_file_bytes = 8,
        .wall_s = 9,
        .clone_s = 10,
        .at_once = 2,
    };

    s.request.url = xstrdup("https://example.org/a");
    s.ssh_key = xstrdup("a key\n");
    s.known_hosts = xstrdup("example.org ssh-ed25519 AAAA\n");
    s.last_commit = xstrdup("0123456789abcdef0123456789abcdef01234567");
    return s;
}

static void a_spec_reads_as_it_was_written(void)
{
    struct repo_spec s = some_spec(), back = {0};
    auto_buf once = {0}, twice = {0};

    repo_spec_write(&s, &once);
    CHECK_OK(repo_spec_read(once.data, once.len, &back, ERR));
    CHECK_STR(back.clone_url, s.clone_url);
    CHECK_STR(back.ssh_key, s.ssh_key);
    CHECK_STR(back.programs[1], "x=/x=");
    CHECK_INT(back.n_programs, 2);
    CHECK_INT(back.max_bytes, s.max_bytes);
    CHECK(back.proxy && back.has_ca && !back.local);
    repo_spec_write(&back, &twice);
    CHECK_STR(twice.data, once.data);
    repo_spec_done(&back);
    repo_spec_done(&s);
}

static void a_spec_that_says_too_little_is_refused(void)
{
    struct repo_spec s = some_spec(), back = {0};
    auto_buf text = {0};

    s.clone_s = 0;
    repo_spec_write(&s, &text);
    CHECK_ERR(repo_spec_read(text.data, text.len, &back, ERR), ERR_INVALID);
    buf_reset(&text);
    s.clone_s = 1;
    s.git = "git";
    repo_spec_write(&s, &text);
    CHECK_ERR(repo_spec_read(text.data, text.len, &back, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "/git: "));
    buf_reset(&text);
    s.git = "/usr/bin/git";
    s.clone_url = "file:///etc";
    repo_spec_write(&s, &text);
    CHECK_ERR(repo_spec_read(text.data, text.len, &back, ERR), ERR_INVALID);
    buf_reset(&text);
    s.clone_url = "http://127.0.0.1:3128/git?x";
    repo_spec_write(&s, &text);
    CHECK_ERR(repo_spec_read(text.data, text.len, &back, ERR), ERR_INVALID);
    buf_reset(&text);
    s.clone_url = "http://127.0.0.1:3128/git";
    repo_spec_write(&s, &text);
    CHECK_OK(repo_spec_read(text.data, text.len, &back, ERR));
    repo_spec_done(&back);
    repo_spec_done(&s);
}

TESTS(a_request_reads_as_it_was_written, the_least_request_has_a_url, naming_the_agent_wants_it,
      a_wrong_member_is_told_with_its_place, a_spec_reads_as_it_was_written,
      a_spec_that_says_too_little_is_refused)
