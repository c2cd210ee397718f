/* Secrets: which files are taken, what becomes of variables, and that no form of one gets out. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "secret/leak.h"
#include "secret/secret.h"
#include "tap.h"

extern char **environ;

static char *dir; /* of the test at hand */

static void fresh_dir(void)
{
    static unsigned n;

    free(dir);
    dir = str_fmt("%s/secrets-%u", test_dir(), n++);
    CHECK(mkdir(dir, 0700) == 0);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void put_n(const char *name, const char *text, size_t n, mode_t mode)
{
    auto_free char *path = str_fmt("%s/%s", dir, name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && write(fd, text, n) == (ssize_t)n && fchmod(fd, mode) == 0);
}

static void put(const char *name, const char *text)
{
    put_n(name, text, strlen(text), 0400);
}

static struct secrets *load(void)
{
    struct secrets *s = NULL;

    CHECK_OK(secrets_load(dir, &s, ERR));
    return s;
}

static void refused(int code, const char *why)
{
    struct secrets *s = NULL;

    CHECK_ERR(secrets_load(dir, &s, ERR), code);
    if (!strstr(tap_err.msg, why)) {
        tap_fail(__FILE__, __LINE__, "not '%s', but: %s", why, tap_err.msg);
    }
    CHECK(!s);
}

/* ---- names and files ---- */

static void names_are_small_words(void)
{
    static const char *const bad[] = {"", "A", "1a", "-a", "a_b", "a.b", "a/b", "a b", "ä"};
    auto_free char *longest =
        xstrdup("a123456789a123456789a123456789a123456789a123456789a123456789abc");

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK(!secret_name_ok(bad[i]));
    }
    CHECK(secret_name_ok("a") && secret_name_ok("anthropic-key-2") && secret_name_ok("a-"));
    CHECK_INT(strlen(longest), 63);
    CHECK(secret_name_ok(longest));
    longest = xrealloc(longest, 65);
    memcpy(longest + 63, "x", 2);
    CHECK(!secret_name_ok(longest));
}

static void files_are_secrets_without_their_line_end(void)
{
    struct secrets *s;
    size_t n;

    fresh_dir();
    put("b-key", "with a line end\n");
    put("a-key", "with dos\r\n");
    put("c-key", "two\n\n");
    put("d-key", "none");
    put(".hidden", "");
    s = load();
    CHECK_INT(secrets_count(s), 4);
    CHECK_STR(secrets_name(s, 0), "a-key");
    CHECK_STR(secrets_get(s, "a-key", &n), "with dos");
    CHECK_INT(n, 8);
    CHECK_STR(secrets_get(s, "b-key", NULL), "with a line end");
    CHECK_STR(secrets_get(s, "c-key", NULL), "two\n");
    CHECK_STR(secrets_get(s, "d-key", NULL), "none");
    CHECK(!secrets_get(s, "e-key", NULL) && !secrets_get(s, "b-ke", NULL));
    secrets_free(s);
}

static void no_directory_is_no_secrets(void)
{
    struct secrets *s;

    unsetenv("CREDENTIALS_DIRECTORY");
    CHECK_OK(secrets_load(NULL, &s, ERR));
    CHECK_INT(secrets_count(s), 0);
    CHECK(!secrets_get(s, "a", NULL));
    secrets_free(s);
    CHECK_INT(secrets_count(NULL), 0);
    CHECK(!secrets_get(NULL, "a", NULL));
    CHECK_ERR(secrets_load("/nonexistent/secrets", &s, ERR), ERR_NOT_FOUND);
}

static void files_that_others_can_touch_are_refused(void)
{
    static const mode_t bad[] = {0404, 0402, 0401, 0420, 0644, 0666, 0460};
    static const mode_t good[] = {0400, 0600, 0440, 0640, 0500};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        fresh_dir();
        put_n("key", "value", 5, bad[i]);
        refused(ERR_INVALID, "/key' is open to others (mode 0");
        CHECK(strstr(tap_err.msg, "chmod 0400"));
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        fresh_dir();
        put_n("key", "value", 5, good[i]);
        secrets_free(load());
    }
}

static void files_of_others_are_refused(void)
{
    auto_free char *path = NULL;

    if (geteuid() != 0) {
        tap_skip("only root gives files away");
    }
    fresh_dir();
    put("key", "value");
    path = str_fmt("%s/key", dir);
    CHECK(chown(path, 12345, (gid_t)-1) == 0);
    refused(ERR_INVALID, "/key' belongs to user 12345: it has to belong to root or to user 0");
    CHECK(chown(path, 0, (gid_t)-1) == 0 && chown(dir, 12345, (gid_t)-1) == 0);
    refused(ERR_INVALID, "belongs to user 12345");
}

static void a_directory_that_others_write_into_is_refused(void)
{
    fresh_dir();
    put("key", "value");
    CHECK(chmod(dir, 0770) == 0);
    refused(ERR_INVALID, "others can write into the directory");
    CHECK(chmod(dir, 0702) == 0);
    refused(ERR_INVALID, "chmod 0700");
    CHECK(chmod(dir, 01777) == 0); /* as orchestrators mount them */
    secrets_free(load());
    CHECK(chmod(dir, 0755) == 0);
    secrets_free(load());
}

static void links_stay_inside(void)
{
    auto_free char *inside = NULL, *data = NULL, *outside = NULL, *target = NULL;
    struct secrets *s;

    fresh_dir();
    data = str_fmt("%s/..data", dir);
    CHECK(mkdir(data, 0700) == 0);
    put("..data/key", "value");
    inside = str_fmt("%s/key", dir);
    CHECK(symlink("..data/key", inside) == 0);
    s = load();
    CHECK_STR(secrets_get(s, "key", NULL), "value");
    CHECK_INT(secrets_count(s), 1);
    secrets_free(s);
    outside = str_fmt("%s/outside", dir);
    CHECK(symlink("../../../../../../../../etc/hostname", outside) == 0);
    refused(ERR_INVALID, "/outside' is a link that leads out of its directory");
    CHECK(unlink(outside) == 0);
    target = str_fmt("%s/key", data);
    CHECK(symlink(target, outside) == 0); /* the same place, but from the root */
    refused(ERR_INVALID, "leads out");
    CHECK(unlink(outside) == 0 && symlink("outside", outside) == 0);
    refused(ERR_INVALID, "leads out");
    CHECK(unlink(outside) == 0 && symlink("missing", outside) == 0);
    refused(ERR_NOT_FOUND, "/outside'");
}

static void what_is_no_file_is_refused(void)
{
    auto_free char *path = NULL;

    fresh_dir();
    path = str_fmt("%s/key", dir);
    CHECK(mkdir(path, 0700) == 0);
    refused(ERR_INVALID, "/key' is not a file");
    CHECK(rmdir(path) == 0 && mkfifo(path, 0400) == 0);
    refused(ERR_INVALID, "/key' is not a file"); /* and nobody waits for a writer */
}

static void bad_contents_are_refused(void)
{
    auto_free char *much = xmalloc(SECRET_MAX + 1);

    memset(much, 'x', SECRET_MAX + 1);
    fresh_dir();
    put("key", "");
    refused(ERR_INVALID, "/key' is empty");
    fresh_dir();
    put("key", "\r\n");
    refused(ERR_INVALID, "/key' is empty");
    fresh_dir();
    put_n("key", "a\0b", 3, 0400);
    refused(ERR_INVALID, "/key' has a NUL byte");
    fresh_dir();
    put_n("key", much, SECRET_MAX + 1, 0400);
    refused(ERR_LIMIT, "/key' has more than 64 KiB");
    fresh_dir();
    put_n("key", much, SECRET_MAX, 0400);
    secrets_free(load());
    fresh_dir();
    for (int i = 0; i < 16; i++) { /* 1 MiB with the NULs is one too many */
        auto_free char *name = str_fmt("key-%d", i);

        put_n(name, much, SECRET_MAX, 0400);
    }
    refused(ERR_LIMIT, "1 MiB");
}

static void bad_names_are_refused(void)
{
    static const char *const bad[] = {"Key", "key.txt", "1key", "a b", "key_1"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        fresh_dir();
        put(bad[i], "value");
        refused(ERR_INVALID, "cannot be the name of a secret");
        CHECK(strstr(tap_err.msg, bad[i]));
    }
}

static void more_than_1000_are_refused(void)
{
    fresh_dir();
    for (int i = 0; i <= SECRETS_MAX; i++) {
        auto_free char *name = str_fmt("k%d", i);

        put(name, "value");
    }
    refused(ERR_LIMIT, "1,000 secrets");
}

/* ---- other sources ---- */

static void the_first_source_wins(void)
{
    auto_free char *settings = NULL;
    struct secrets *s;

    fresh_dir();
    put("one", "of the settings");
    settings = xstrdup(dir);
    fresh_dir();
    put("one", "of systemd");
    put("two", "of systemd");
    put("tls.key", "for another end");
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    setenv("SCANPOD_SECRET_ONE", "of the environment", 1);
    setenv("SCANPOD_SECRET_TWO", "of the environment", 1);
    setenv("SCANPOD_SECRET_THREE_3", "of the environment", 1);
    CHECK_OK(secrets_load(settings, &s, ERR));
    unsetenv("CREDENTIALS_DIRECTORY");
    CHECK_INT(secrets_count(s), 3);
    CHECK_STR(secrets_get(s, "one", NULL), "of the settings");
    CHECK_STR(secrets_get(s, "two", NULL), "of systemd");
    CHECK_STR(secrets_get(s, "three-3", NULL), "of the environment");
    secrets_free(s);
}

static void systemds_directory_may_be_gone(void)
{
    struct secrets *s;

    setenv("CREDENTIALS_DIRECTORY", "/nonexistent/credentials", 1);
    CHECK_OK(secrets_load(NULL, &s, ERR));
    unsetenv("CREDENTIALS_DIRECTORY");
    secrets_free(s);
}

static void variables_leave_nothing_in_the_environment(void)
{
    static char entry[] = "SCANPOD_SECRET_A_KEY=canary-in-the-environment";
    struct secrets *s;

    fresh_dir();
    CHECK(putenv(entry) == 0);
    setenv("SCANPOD_SECRETS_DIR", "is another", 1);
    s = load();
    CHECK_STR(secrets_get(s, "a-key", NULL), "canary-in-the-environment");
    CHECK(!getenv("SCANPOD_SECRET_A_KEY"));
    for (size_t i = 0; i < sizeof entry; i++) { /* nor where it was */
        CHECK(i < sizeof "SCANPOD_SECRET_A_KEY=" - 1 || entry[i] == '\0');
    }
    CHECK_STR(getenv("SCANPOD_SECRETS_DIR"), "is another");
    unsetenv("SCANPOD_SECRETS_DIR");
    secrets_free(s);
}

static void bad_variables_are_named(void)
{
    static const char *const bad[] = {"SCANPOD_SECRET_", "SCANPOD_SECRET_1", "SCANPOD_SECRET_a",
                                      "SCANPOD_SECRET_A-B", "SCANPOD_SECRET__A"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        fresh_dir();
        setenv(bad[i], "value-of-it", 1);
        refused(ERR_INVALID, "does not name a secret");
        CHECK(strstr(tap_err.msg, bad[i]) && !strstr(tap_err.msg, "value-of-it"));
        CHECK(!getenv(bad[i]));
    }
    setenv("SCANPOD_SECRET_A", "", 1);
    refused(ERR_INVALID, "the variable SCANPOD_SECRET_A is empty");
}

/* ---- what is done to keep them in ---- */

/* The flags of the mapping that p is in. */
static void flags_of(const void *p, char *out, size_t size)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    bool in = false;

    out[0] = '\0';
    CHECK(f);
    while (fgets(line, sizeof line, f)) {
        uintptr_t from, to;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
            in = from <= (uintptr_t)p && (uintptr_t)p < to;
        } else if (in && str_starts(line, "VmFlags:")) {
            snprintf(out, size, "%s", line);
        }
    }
    fclose(f);
}

static void memory_is_locked_and_in_no_dump(void)
{
    struct rlimit may;
    char flags[512];
    struct secrets *s;

    fresh_dir();
    put("key", "value-of-the-key");
    s = load();
    flags_of(secrets_get(s, "key", NULL), flags, sizeof flags);
    CHECK(strstr(flags, " dd"));
    CHECK(getrlimit(RLIMIT_MEMLOCK, &may) == 0);
#ifndef __SANITIZE_ADDRESS__ /* which locks nothing */
    CHECK(strstr(flags, " lo") || (geteuid() != 0 && may.rlim_cur < 4096));
#endif
    secrets_free(s);
}

static bool child_has(const struct secrets *s)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        _exit(str_eq(secrets_get(s, "key", NULL), "value-of-the-key") ? 7 : 0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status) == 7;
}

static void children_have_them_only_if_they_are_shared(void)
{
    struct secrets *s;

    fresh_dir();
    put("key", "value-of-the-key");
    s = load();
    CHECK(!child_has(s));
    secrets_share(s, true);
    CHECK(child_has(s));
    secrets_share(s, false);
    CHECK(!child_has(s));
    CHECK_STR(secrets_get(s, "key", NULL), "value-of-the-key");
    secrets_share(NULL, true);
    secrets_free(s);
}

/* ---- redaction ---- */

static void redacts(const struct secrets *s, const char *text, size_t times, const char *want)
{
    auto_buf out = {0};

    CHECK_INT(secrets_redact(s, text, strlen(text), &out), times);
    CHECK_STR(out.data ? out.data : "", want);
}

static void text_loses_every_secret(void)
{
    struct secrets *s;

    fresh_dir();
    put("api", "sk-ant-api03-first");
    put("api-2", "sk-ant-api03-second");
    put("short", "1234567");
    put("eight", "12345678");
    s = load();
    redacts(s, "", 0, "");
    redacts(s, "nothing", 0, "nothing");
    redacts(s, "a sk-ant-api03-first b", 1, "a [secret api] b");
    redacts(s, "sk-ant-api03-firstsk-ant-api03-second", 2, "[secret api][secret api-2]");
    redacts(s, "sk-ant-api03-firs sk-ant-api03", 0, "sk-ant-api03-firs sk-ant-api03");
    redacts(s, "1234567 is too short, 12345678 is not", 1,
            "1234567 is too short, [secret eight] is not");
    redacts(s, "12345678", 1, "[secret eight]");
    secrets_free(s);
}

static void overlapping_secrets_become_one(void)
{
    struct secrets *s;

    fresh_dir();
    put("long", "aaaaBBBBccccDDDDeeee");
    put("part", "BBBBccccDDDD");
    put("tail", "eeeeFFFFgggg");
    put("same", "xyxyxyxy");
    s = load();
    redacts(s, "(aaaaBBBBccccDDDDeeee)", 1, "([secret long])");
    redacts(s, "(aaaaBBBBccccDDDDeeeeFFFFgggg)", 1, "([secret long])");
    redacts(s, "(BBBBccccDDDD)", 1, "([secret part])");
    redacts(s, "xyxyxyxyxyxyxyx", 1, "[secret same]x");
    secrets_free(s);
}

static void other_spellings_are_found(void)
{
    struct secrets *s;

    fresh_dir();
    put("key", "a/b+c\"d\\e\nf?~=");
    s = load();
    redacts(s, "x=a%2Fb%2Bc%22d%5Ce%0Af%3F~%3D&", 1, "x=[secret key]&");
    redacts(s, "x=a%2fb%2bc%22d%5ce%0af%3f~%3d&", 1, "x=[secret key]&");
    redacts(s, "{\"x\":\"a/b+c\\\"d\\\\e\\nf?~=\"}", 1, "{\"x\":\"[secret key]\"}");
    secrets_free(s);
}

static size_t base64(const char *p, size_t n, char *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t k = 0;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)(unsigned char)p[i] << 16;

        v |= i + 1 < n ? (uint32_t)(unsigned char)p[i + 1] << 8 : 0;
        v |= i + 2 < n ? (unsigned char)p[i + 2] : 0;
        out[k++] = alphabet[v >> 18];
        out[k++] = alphabet[v >> 12 & 63];
        out[k++] = i + 1 < n ? alphabet[v >> 6 & 63] : '=';
        out[k++] = i + 2 < n ? alphabet[v & 63] : '=';
    }
    out[k] = '\0';
    return k;
}

/* Wherever it begins and whatever follows: of the encoded secret not more than a character at
 * either end is left, and that is half of others. */
static void base64_is_found_in_all_alignments(void)
{
    static const char secret[] = "s\xc3\xbcper-secret~?>value";
    struct secrets *s;

    fresh_dir();
    put("key", secret);
    s = load();
    for (size_t before = 0; before < 7; before++) {
        for (size_t after = 0; after < 7; after++) {
            auto_free char *text =
                str_fmt("%.*s%s%.*s", (int)before, "user42:", secret, (int)after, "abcdefg");
            char encoded[128];
            auto_buf out = {0};
            size_t n = base64(text, strlen(text), encoded);

            CHECK_INT(secrets_redact(s, encoded, n, &out), 1);
            CHECK(out.len <= (before + after) * 4 / 3 + 8 + strlen("[secret key]"));
            for (size_t i = 0; i < n; i++) { /* as it is in URLs */
                encoded[i] = encoded[i] == '+' ? '-' : encoded[i] == '/' ? '_' : encoded[i];
            }
            CHECK_INT(secrets_redact(s, encoded, n, &out), 1);
        }
    }
    secrets_free(s);
}

static void text_that_begins_like_many_secrets_is_none(void)
{
    enum { MUCH = 1 << 20, KEYS = 1000 };
    auto_buf text = {0}, out = {0};
    struct secrets *s;

    fresh_dir();
    for (int i = 0; i < KEYS; i++) { /* they begin alike, and the text as well */
        auto_free char *name = str_fmt("k%d", i);
        auto_free char *value = str_fmt("sk-ant-api03-%016x-%016x", i * 7919, i);

        put(name, value);
    }
    s = load();
    while (text.len < MUCH) {
        buf_adds(&text, "sk-ant-api03-sk-ant-api03-0000000000");
    }
    CHECK_INT(secrets_redact(s, text.data, text.len, &out), 0);
    CHECK_INT(out.len, text.len);
    secrets_free(s);
}

/* ---- streams ---- */

static bool leaks(const struct leak *l, const char *text, size_t step, struct buf *passed)
{
    struct leak_stream st = {0};
    size_t n = strlen(text), held = 0, before = 0;

    for (size_t at = 0; at < n; at += step) {
        size_t k = MIN(step, n - at);

        if (leak_feed(l, &st, text + at, k, &held)) {
            return true;
        }
        CHECK(held <= at + k && at + k - held >= before);
        before = at + k - held;
        buf_reset(passed);
        buf_add(passed, text, before);
    }
    return false;
}

static void a_stream_gives_nothing_of_a_secret(void)
{
    struct secrets *s;
    struct leak *l;

    fresh_dir();
    put("key", "abcabcabd+secret");
    put("short", "1234567");
    s = load();
    CHECK(!leak_new(s, "short") && !leak_new(s, "none") && !leak_new(NULL, "key"));
    l = leak_new(s, "key");
    CHECK(l);
    for (size_t step = 1; step < 40; step++) {
        auto_buf passed = {0};

        CHECK(leaks(l, "text abcabcabcabd+secret text", step, &passed));
        CHECK(!strstr(passed.data ? passed.data : "", "abcabcabd"));
        CHECK(leaks(l, "abcabcabd%2Bsecret", step, &passed));
        CHECK(leaks(l, "Basic dTphYmNhYmNhYmQrc2VjcmV0", step, &passed)); /* u:... */
        CHECK(!leaks(l, "abcabcabd+secre, abcabcabd", step, &passed));
        CHECK_STR(passed.data, "abcabcabd+secre, "); /* the rest may yet become one */
        CHECK(!leaks(l, "no more\n\n", step, &passed));
        CHECK_STR(passed.data, "no more\n\n");
    }
    leak_free(l);
    leak_free(NULL);
    secrets_free(s);
}

TESTS(names_are_small_words, files_are_secrets_without_their_line_end, no_directory_is_no_secrets,
      files_that_others_can_touch_are_refused, files_of_others_are_refused,
      a_directory_that_others_write_into_is_refused, links_stay_inside, what_is_no_file_is_refused,
      bad_contents_are_refused, bad_names_are_refused, more_than_1000_are_refused,
      the_first_source_wins, systemds_directory_may_be_gone,
      variables_leave_nothing_in_the_environment, bad_variables_are_named,
      memory_is_locked_and_in_no_dump, children_have_them_only_if_they_are_shared,
      text_loses_every_secret, overlapping_secrets_become_one, other_spellings_are_found,
      base64_is_found_in_all_alignments, text_that_begins_like_many_secrets_is_none,
      a_stream_gives_nothing_of_a_secret)
