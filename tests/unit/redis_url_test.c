/* Where a Redis server is: what is taken, what is refused, and that no password is told. */
#include "transport/redis.h"

#include "tap.h"

#define SECRET "s3cr"

static struct redis_url u;

static void parse(const char *text)
{
    redis_url_done(&u);
    CHECK_OK(redis_url_parse(text, &u, ERR));
}

static void refused(const char *text, const char *because)
{
    struct redis_url none = {.port = 77};

    CHECK_ERR(redis_url_parse(text, &none, ERR), ERR_INVALID);
    CHECK_INT(none.port, 77);
    if (!strstr(tap_err.msg, because) || strstr(tap_err.msg, SECRET)) {
        tap_fail(__FILE__, __LINE__, "'%s' gives: %s", text, tap_err.msg);
    }
}

static void shown_as(const char *text)
{
    auto_buf b = {0};

    redis_url_text(&u, &b);
    CHECK_STR(b.data, text);
}

static void a_host_alone_has_the_usual_rest(void)
{
    parse("redis://10.0.0.1");
    CHECK_STR(u.host, "10.0.0.1");
    CHECK_INT(u.port, 6379);
    CHECK_INT(u.db, 0);
    CHECK(!u.tls && !u.path && !u.user && !u.password);
    CHECK_STR(u.prefix, "scanpod:");
    shown_as("redis://10.0.0.1:6379/0");
}

static void every_part_is_read(void)
{
    parse("redis://scan%40er:p%25a%2Fb%3A%23@redis_1.example:7000/12?prefix=a:%7Bx%7D");
    CHECK_STR(u.user, "scan@er");
    CHECK_STR(u.password, "p%a/b:#");
    CHECK_STR(u.host, "redis_1.example");
    CHECK_INT(u.port, 7000);
    CHECK_INT(u.db, 12);
    CHECK_STR(u.prefix, "a:{x}");
    shown_as("redis://redis_1.example:7000/12?prefix=a:{x}");
}

static void a_password_needs_no_user(void)
{
    parse("redis://:pw:more@localhost/");
    CHECK(!u.user);
    CHECK_STR(u.password, "pw:more");
    CHECK_INT(u.db, 0);
    shown_as("redis://localhost:6379/0");
}

static void ipv6_stands_in_brackets(void)
{
    parse("redis://:x@[2001:db8::7]:1/3");
    CHECK_STR(u.host, "2001:db8::7");
    CHECK_INT(u.port, 1);
    shown_as("redis://[2001:db8::7]:1/3");
    parse("redis://[::1]");
    CHECK_STR(u.host, "::1");
    CHECK_INT(u.port, 6379);
}

static void tls_is_another_scheme(void)
{
    parse("rediss://:pw@h");
    CHECK(u.tls);
    shown_as("rediss://h:6379/0");
    parse("rediss://h?prefix=p&ca=/a%20b.pem&key=/k&cert=/c");
    CHECK_STR(u.ca, "/a b.pem");
    CHECK_STR(u.cert, "/c");
    CHECK_STR(u.key, "/k");
    shown_as("rediss://h:6379/0?prefix=p&ca=/a%20b.pem&cert=/c&key=/k");
    refused("rediss://h?cert=/c", "belong together");
    refused("rediss://h?ca=x", "whole paths");
    refused("rediss://h?ca=/x&ca=/y", "nothing else");
    refused("redis://h?ca=/x", "nothing else");
}

static void a_socket_is_a_path(void)
{
    parse("unix:/run/redis%20x.sock");
    CHECK_STR(u.path, "/run/redis x.sock");
    CHECK(!u.host && u.db == 0);
    CHECK_STR(u.prefix, "scanpod:");
    shown_as("unix:/run/redis%20x.sock");
    parse("unix:///run/redis@home.sock?db=3&prefix=p:");
    CHECK_STR(u.path, "/run/redis@home.sock");
    CHECK(!u.password);
    CHECK_INT(u.db, 3);
    shown_as("unix:/run/redis@home.sock?db=3&prefix=p:");
    parse("unix:////me:pw@");
    CHECK_STR(u.path, "//me:pw@");
    shown_as("unix:////me:pw@");
    parse("unix://me:pw@/run/r.sock?prefix=p");
    CHECK_STR(u.user, "me");
    CHECK_STR(u.password, "pw");
    CHECK_STR(u.path, "/run/r.sock");
    shown_as("unix:/run/r.sock?prefix=p");
}

static void what_is_no_url_of_redis_is_refused(void)
{
    refused("", "begins with neither");
    refused("http://h", "begins with neither");
    refused("localhost:6379", "begins with neither");
    refused("REDIS://h", "begins with neither");
    refused("redis:h", "begins with neither");
    refused("redis://h h", "blank");
    refused("redis://h\n", "blank");
}

static void bad_hosts_are_refused(void)
{
    refused("redis://", "no host");
    refused("redis://:pw@", "no host");
    refused("redis://:7000", "no host");
    refused("redis:///0", "no host");
    refused("redis://-x", "neither a name");
    refused("redis://a%20b", "neither a name");
    refused("redis://a%2Fb", "neither a name");
    refused("redis://::1", "no host");
    refused("redis://2001:db8::7", "port");
    refused("redis://[10.0.0.1]", "in brackets");
    refused("redis://[h]", "in brackets");
    refused("redis://[::1", "host");
    refused("redis://[::1]x", "port");
    refused("redis://h%zz", "host");
}

static void bad_ports_are_refused(void)
{
    refused("redis://h:", "port");
    refused("redis://h:0", "port");
    refused("redis://h:65536", "port");
    refused("redis://h:-1", "port");
    refused("redis://h:1x", "port");
    refused("redis://h:1:2", "port");
}

static void bad_databases_are_refused(void)
{
    parse("redis://h/15");
    parse("redis://h/65535");
    refused("redis://h/65536", "database");
    refused("redis://h/-1", "database");
    refused("redis://h/x", "database");
    refused("redis://h/0/", "database");
    refused("unix:/a?db=x", "database");
}

static void unknown_and_repeated_parameters_are_refused(void)
{
    refused("redis://h?", "'prefix=...'");
    refused("redis://h/0?timeout=3", "'prefix=...'");
    refused("redis://h/0?prefix", "'prefix=...'");
    refused("redis://h/0?prefix=a&prefix=b", "'prefix=...'");
    refused("redis://h/0?prefix=a&", "'prefix=...'");
    refused("redis://h/0?db=1", "'prefix=...'");
    refused("unix:/a?db=1&db=2", "'db=...'");
    refused("unix:/a?db=", "'db=...'");
    refused("redis://h?prefix=", "prefix is");
    refused("redis://h?prefix=a*", "prefix is");
    refused("redis://h?prefix=%20", "prefix is");
    refused("redis://h?prefix=%", "prefix");
}

static void bad_users_and_paths_are_refused(void)
{
    refused("redis://me@h", "no password");
    refused("redis://@h", "no password");
    refused("redis://me:@h", "no password");
    refused("redis://m%1:" SECRET "@h", "user");
    refused("redis://me:" SECRET "%00@h", "password");
    refused("redis://me:" SECRET "%4", "port");
    refused("unix:", "begins with '/'");
    refused("unix:relative", "begins with '/'");
    refused("unix:///" SECRET "%", "path");
    refused("unix:/a23456789b23456789c23456789d23456789e23456789f23456789g23456789h23456789i2345"
            "j23456789k23456789l23456789m23456789n23456789",
            "at most 107 bytes");
}

/* Written without %, it shifts what is behind it: no message may repeat a part of it. */
static void a_password_that_is_not_encoded_is_not_told(void)
{
    refused("redis://:a/" SECRET "@h/0", "written as %2F");
    refused("redis://:a@" SECRET "@h/0", "'@' too many");
    refused("redis://:a?" SECRET "@h/0", "written as %2F");
    refused("redis://:a#" SECRET "@h/0", "written as %2F");
    refused("redis://h:" SECRET, "written as %2F");
    refused("redis://h/" SECRET, "written as %2F");
    refused("redis://h?" SECRET, "nothing else");
    refused("redis://h?password=" SECRET, "nothing else");
    refused("redis://:" SECRET "%4@h", "password");
}

static void a_url_has_a_largest_size(void)
{
    auto_buf b = {0};

    buf_adds(&b, "redis://:");
    while (b.len < 5000) {
        buf_addc(&b, 'x');
    }
    buf_adds(&b, "@h");
    refused(b.data, "longer than 4096");
}

/* ---- the environment ---- */

static const char *env[5]; /* REDIS_URL, _HOST, _PORT, _DB, _PASSWORD */

static const char *get(void *arg, const char *name)
{
    static const char *const names[] = {"REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_DB",
                                        "REDIS_PASSWORD"};

    CHECK(arg == env);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq(names[i], name)) {
            return env[i];
        }
    }
    tap_fail(__FILE__, __LINE__, "asked for '%s'", name);
}

static int from_env(const char *url, const char *host, const char *port, const char *db,
                    const char *password, char **out)
{
    env[0] = url;
    env[1] = host;
    env[2] = port;
    env[3] = db;
    env[4] = password;
    return redis_url_from_env(get, env, out, ERR);
}

static void variables_make_a_url(void)
{
    char *text = NULL;

    CHECK_OK(from_env(NULL, NULL, "7000", "3", "pw", &text));
    CHECK(!text);
    CHECK_OK(from_env("", "", NULL, NULL, NULL, &text));
    CHECK(!text);
    CHECK_OK(from_env(NULL, "cache", NULL, NULL, NULL, &text));
    CHECK_STR(text, "redis://cache/");
    free(text);
    CHECK_OK(from_env(NULL, "::1", "7000", "3", "p/w@:%", &text));
    CHECK_STR(text, "redis://:p%2Fw%40%3A%25@[::1]:7000/3");
    parse(text);
    CHECK_STR(u.password, "p/w@:%");
    free(text);
    CHECK_OK(from_env("redis://other/5", "cache", "x", "3", "pw", &text));
    CHECK_STR(text, "redis://other/5");
    free(text);
}

static void bad_variables_are_named(void)
{
    char *text = NULL;

    CHECK_ERR(from_env("redis://:" SECRET "@", NULL, NULL, NULL, NULL, &text), ERR_INVALID);
    CHECK(str_starts(tap_err.msg, "REDIS_URL: ") && !strstr(tap_err.msg, SECRET));
    CHECK_ERR(from_env(NULL, "h", "0", NULL, SECRET, &text), ERR_INVALID);
    CHECK(str_starts(tap_err.msg, "REDIS_HOST, ") && !strstr(tap_err.msg, SECRET));
    CHECK_ERR(from_env(NULL, "h", NULL, "99999999", SECRET, &text), ERR_INVALID);
    CHECK_ERR(from_env(NULL, "a b", NULL, NULL, SECRET, &text), ERR_INVALID);
    CHECK(!text);
}

TESTS(a_host_alone_has_the_usual_rest, every_part_is_read, a_password_needs_no_user,
      ipv6_stands_in_brackets, tls_is_another_scheme, a_socket_is_a_path,
      what_is_no_url_of_redis_is_refused, bad_hosts_are_refused, bad_ports_are_refused,
      bad_databases_are_refused, unknown_and_repeated_parameters_are_refused,
      bad_users_and_paths_are_refused, a_password_that_is_not_encoded_is_not_told,
      a_url_has_a_largest_size, variables_make_a_url, bad_variables_are_named)
