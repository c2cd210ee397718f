/* URLs, names of branches, commits: what is taken, in which spelling, and what is said of the rest.
 */
#include "repo/ref.h"
#include "repo/spec.h"
#include "tap.h"

static void a_url_has_one_spelling(void)
{
    static const char *const rows[][2] = {
        {"https://example.org/owner/name", "https://example.org/owner/name"},
        {"https://example.org/owner/name.git", "https://example.org/owner/name"},
        {"https://example.org/owner/name/", "https://example.org/owner/name"},
        {"https://example.org/owner/name.git/", "https://example.org/owner/name"},
        {"https://example.org/owner/name.git.git", "https://example.org/owner/name"},
        {"HTTPS://Example.ORG/Owner/Name", "https://example.org/Owner/Name"},
        {"https://example.org.:443/a", "https://example.org/a"},
        {"https://example.org:8443/a", "https://example.org:8443/a"},
        {"https://example.org:0443/a", "https://example.org/a"},
        {"https://192.0.2.7/a", "https://192.0.2.7/a"},
        {"https://[2001:DB8::7]:444/a", "https://[2001:db8::7]:444/a"},
        {"https://example.org/%41%7ea", "https://example.org/A~a"},
        {"https://example.org/a/.git", "https://example.org/a/.git"},
        {"https://example.org/-x", "https://example.org/-x"},
        {"ssh://git@example.org/a.git", "ssh://git@example.org/a"},
        {"ssh://example.org:22/a", "ssh://example.org/a"},
        {"ssh://git@example.org:2222/~me/a", "ssh://git@example.org:2222/~me/a"},
        {"git@example.org:owner/name.git", "ssh://git@example.org/owner/name"},
        {"git@example.org:/srv/name", "ssh://git@example.org/srv/name"},
        {"git@[2001:db8::1]:a", "ssh://git@[2001:db8::1]/a"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *once = NULL, *twice = NULL;

        CHECK_OK(repo_url_check(rows[i][0], &once, ERR));
        CHECK_STR(once, rows[i][1]);
        CHECK_OK(repo_url_check(once, &twice, ERR));
        CHECK_STR(twice, once);
    }
}

static void a_wrong_url_says_what_would_do(void)
{
    static const char *const rows[][2] = {
        {"", "use https://HOST/PATH"},
        {"https://user:token@example.org/a", "'credential'"},
        {"https://token@example.org/a", "'credential'"},
        {"https://@example.org/a", "'credential'"},
        {"ssh://git:password@example.org/a", "'credential'"},
        {"http://example.org/a", "use https://"},
        {"git://example.org/a", "use https://"},
        {"ftp://example.org/a", "use https://HOST/PATH"},
        {"file:///etc", "scanpod repo DIR"},
        {"FILE:/etc", "scanpod repo DIR"},
        {"/srv/repo", "scanpod repo DIR"},
        {"./repo", "scanpod repo DIR"},
        {"../repo", "scanpod repo DIR"},
        {"~/repo", "scanpod repo DIR"},
        {"repo", "USER@HOST:PATH"},
        {"example.org:a", "USER@HOST:PATH"},
        {"--upload-pack=touch", "'-'"},
        {"-oProxyCommand=touch@example.org:a", "'-'"},
        {"ssh://-oProxyCommand=touch/a", "host"},
        {"ssh://-o@example.org/a", "plain name"},
        {"-x@example.org:a", "'-'"},
        {"ext::sh -c touch", "blank"},
        {"ext::sh", "remote helpers"},
        {"fd::7", "remote helpers"},
        {"https::https://example.org/a", "remote helpers"},
        {"https://example.org/a b", "blank"},
        {"https://example.org/a\nb", "control"},
        {"https://example.org/a\r", "control"},
        {"https://example.org/a\x1b[2J", "control"},
        {"https://example.org/\xc3\xa4", "ASCII"},
        {"https://ex\xc3\xa4mple.org/a", "ASCII"},
        {"https://example.org", "no path"},
        {"https://example.org/", "no path"},
        {"https://example.org//", "no path"},
        {"https://example.org/a?x=1", "query"},
        {"https://example.org/a#x", "fragment"},
        {"https://example.org?x", "query"},
        {"https://example.org/../a", "'..'"},
        {"https://example.org/a/..", "'..'"},
        {"https://example.org/a/%2e%2e/b", "'..'"},
        {"https://example.org/a/./b", "'.'"},
        {"https://example.org//a", "'//'"},
        {"https://example.org/a%2fb", "'%'"},
        {"https://example.org/a%00", "'%'"},
        {"https://example.org/a%0ab", "'%'"},
        {"https://example.org/a%2", "'%'"},
        {"https://example.org/a;b", "letters"},
        {"https://example.org/$(touch)", "letters"},
        {"https://example.org/a'b", "letters"},
        {"https://example.org/a\\b", "letters"},
        {"https:///a", "host"},
        {"https://:443/a", "host"},
        {"https://example.org:/a", "port"},
        {"https://example.org:0/a", "port"},
        {"https://example.org:65536/a", "port"},
        {"https://example.org:+1/a", "port"},
        {"https://127.1/a", "host"},
        {"https://2130706433/a", "host"},
        {"https://0x7f.1/a", "host"},
        {"https://010.0.0.1/a", "host"},
        {"https://[::ffff:127.0.0.1]/a", "IPv6"},
        {"https://[fe80::1%lo]/a", "IPv6"},
        {"https://[::1/a", "host"},
        {"https://exa_mple.org/a", "host"},
        {"git@:a", "host"},
        {"git@example.org:", "no path"},
        {"git@example.org:../a", "'..'"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *out = NULL;

        if (repo_url_check(rows[i][0], &out, ERR) != ERR_INVALID) {
            tap_fail(__FILE__, __LINE__, "'%s' was taken as '%s'", rows[i][0], out);
        }
        if (!strstr(tap_err.msg, rows[i][1])) {
            tap_fail(__FILE__, __LINE__, "'%s': %s", rows[i][0], tap_err.msg);
        }
        CHECK(!strstr(tap_err.msg, "token@") && !strstr(tap_err.msg, "password"));
    }
}

static void a_url_has_a_length(void)
{
    auto_buf url = {0};
    char *out = NULL;

    buf_adds(&url, "https://example.org/");
    while (url.len <= REPO_URL_MAX) {
        buf_addc(&url, 'a');
    }
    CHECK_ERR(repo_url_check(url.data, &out, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "2048"));
}

static void a_canonical_url_comes_apart(void)
{
    struct repo_url u = {0};

    CHECK_OK(repo_url_split("https://[2001:db8::7]:444/a/b", &u, ERR));
    CHECK(!u.ssh && !u.user);
    CHECK_STR(u.host, "2001:db8::7");
    CHECK_STR(u.path, "/a/b");
    CHECK_INT(u.port, 444);
    repo_url_done(&u);
    CHECK_OK(repo_url_split("ssh://git@example.org/~me/a", &u, ERR));
    CHECK(u.ssh);
    CHECK_STR(u.user, "git");
    CHECK_STR(u.host, "example.org");
    CHECK_INT(u.port, 22);
    repo_url_done(&u);
    CHECK_OK(repo_url_split("https://example.org/a", &u, ERR));
    CHECK_INT(u.port, 443);
    repo_url_done(&u);
    CHECK_ERR(repo_url_split("https://EXAMPLE.org/a", &u, ERR), ERR_INVALID);
    CHECK_ERR(repo_url_split("git@example.org:a", &u, ERR), ERR_INVALID);
}

static void names_of_branches_follow_gits_rules(void)
{
    static const char *const good[] = {
        "main", "feature/x-1", "v1.0",     "a@b", "\xc3\xa4", "refs/heads/main",
        "x{y}", "a.b/c",       "$(touch)", "a;b", "a'b",
    };
    static const char *const bad[] = {
        "",      "-x",     "--upload-pack=touch",
        "@",     "HEAD",   "a..b",
        "a b",   "a\nb",   "a\x7f",
        "a~1",   "a^",     "a:b",
        "a?",    "a*",     "a[b",
        "a\\b",  "/a",     "a/",
        "a//b",  "a.",     ".a",
        "b/.a",  "a.lock", "a.lock/b",
        "a@{1}", "\xff",
    };
    char longer[REPO_REF_MAX + 2] = {0};

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK_OK(repo_ref_check(good[i], ERR));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (repo_ref_check(bad[i], ERR) != ERR_INVALID) {
            tap_fail(__FILE__, __LINE__, "'%s' was taken", bad[i]);
        }
    }
    memset(longer, 'a', sizeof longer - 1);
    CHECK_ERR(repo_ref_check(longer, ERR), ERR_INVALID);
}

static void commits_are_named_by_all_their_digits(void)
{
    CHECK_OK(repo_commit_check("0123456789abcdef0123456789ABCDEF01234567", ERR));
    CHECK_ERR(repo_commit_check("0123456", ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "40"));
    CHECK_ERR(repo_commit_check("main", ERR), ERR_INVALID);
    CHECK_ERR(repo_commit_check("", ERR), ERR_INVALID);
    CHECK(repo_is_commit("0123456789abcdef0123456789abcdef01234567"));
    CHECK(!repo_is_commit("0123456789abcdef0123456789ABCDEF01234567"));
}

static void a_directory_of_the_tree_stays_in_it(void)
{
    static const char *const bad[] = {"",     "/",    "/a",    "a/",   "a//b", "..",
                                      "a/..", "../a", "a/./b", "a\nb", "\xff", "a\x1b"};

    CHECK_OK(repo_subdir_check("src/lib", ERR));
    CHECK_OK(repo_subdir_check("a b", ERR));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(repo_subdir_check(bad[i], ERR), ERR_INVALID);
    }
}

TESTS(a_url_has_one_spelling, a_wrong_url_says_what_would_do, a_url_has_a_length,
      a_canonical_url_comes_apart, names_of_branches_follow_gits_rules,
      commits_are_named_by_all_their_digits, a_directory_of_the_tree_stays_in_it)
