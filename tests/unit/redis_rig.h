/*
 * redis_rig - a real redis-server of the test's own, and a client in a loop.
 *
 * Times are not waited for: a timer that would end in seconds is set to now.
 */
#pragma once

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "transport/redis.h"
#include "transport/redis_inside.h"

#include "tap.h"

enum { PATIENCE_MS = 60000 };

static struct loop *loop;
static struct redis *r;
static pid_t server_pid;
static unsigned ups, downs;
static char why[REDIS_WHY];

/* ---- the server ---- */

static inline void stop_server(void)
{
    if (server_pid > 0) {
        kill(server_pid, SIGKILL);
        waitpid(server_pid, NULL, 0);
        server_pid = 0;
    }
}

static inline const char *socket_path(void)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/redis.sock", test_dir());
    return path;
}

static inline bool listens(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(to.sun_path, socket_path(), strlen(socket_path()));
    return connect(fd, (const struct sockaddr *)&to, sizeof to) == 0;
}

static inline void need_server(void)
{
    static const char *const places[] = {"/usr/bin/redis-server", "/usr/local/bin/redis-server"};

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (access(places[i], X_OK) == 0) {
            return;
        }
    }
    if (str_eq(getenv("SCANPOD_MUST_SANDBOX"), "1")) {
        tap_fail(__FILE__, __LINE__, "there is no redis-server");
    }
    tap_skip("there is no redis-server");
}

/* On the socket alone; `more`: further arguments, one word each, ended by NULL. */
static inline void start_server(const char *const *more)
{
    const char *argv[32] = {"redis-server", "--port", "0", "--unixsocket", socket_path(), "--dir",
                            test_dir(),     "--save", "",  "--loglevel",   "warning"};
    size_t n = 11;
    int64_t until_ms = boot_ms() + PATIENCE_MS;

    need_server();
    stop_server();
    while (more && *more) {
        argv[n++] = *more++;
    }
    unlink(socket_path());
    server_pid = fork();
    if (server_pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    while (!listens()) {
        CHECK(boot_ms() < until_ms && waitpid(server_pid, NULL, WNOHANG) == 0);
        usleep(10000);
    }
}

/* Of this machine, where nobody listens just now. */
static inline uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
          getsockname(fd, (struct sockaddr *)&at, &n) == 0);
    return ntohs(at.sin_port);
}

/* ---- the client ---- */

static inline void on_up(void *arg)
{
    (void)arg;
    ups++;
}

static inline void on_down(void *arg, const char *reason)
{
    (void)arg;
    downs++;
    snprintf(why, sizeof why, "%s", reason);
}

/* What a test that failed has left. */
static inline void fresh(void)
{
    redis_free(r);
    r = NULL;
    loop_free(loop);
    loop = NULL;
    ups = downs = 0;
    why[0] = '\0';
    CHECK_OK(loop_new(&loop, ERR));
}

static inline void finish(void)
{
    redis_free(r);
    r = NULL;
    loop_free(loop);
    loop = NULL;
    stop_server();
}

static inline void open_with(const char *url, const struct redis_events *ev)
{
    struct redis_url u;
    int rc;

    CHECK_OK(redis_url_parse(url, &u, ERR));
    rc = redis_new(loop, &u, ev, &r, ERR);
    redis_url_done(&u);
    CHECK_INT(rc, 0);
}

static inline void open_url(const char *url)
{
    const struct redis_events ev = {.up = on_up, .down = on_down};

    open_with(url, &ev);
}

/* To the server; `user` is "" or "NAME:PASSWORD@", `tail` is "" or "?..." */
static inline void open_server(const char *user, const char *tail)
{
    auto_free char *url = str_fmt("unix://%s%s%s", user, socket_path(), tail);

    open_url(url);
}

static inline void turns_until(const unsigned *count, unsigned is)
{
    int64_t until_ms = boot_ms() + PATIENCE_MS;

    while (*count < is) {
        if (boot_ms() > until_ms) {
            tap_fail(__FILE__, __LINE__, "it never came; the last reason is '%s'", why);
        }
        CHECK_OK(loop_turn(loop, 100, ERR));
    }
}

static inline void connect_up(const char *user, const char *tail)
{
    open_server(user, tail);
    turns_until(&ups, 1);
    CHECK(redis_is_up(r));
    downs = 0; /* it may have been loading */
}

/* Counts answers, and keeps what the last one said. */
static unsigned answers, nones;
static int last_type;
static long long last_integer;
static size_t last_len;
static char last_text[256];

static inline void on_answer(void *arg, const struct redisReply *reply)
{
    if (!reply) {
        nones++;
        return;
    }
    if (arg) { /* the answer that it has to be */
        CHECK_INT(reply->integer, *(const int *)arg);
    }
    last_type = reply->type;
    last_integer = reply->integer;
    last_len = reply->len;
    snprintf(last_text, sizeof last_text, "%s", reply->str ? reply->str : "");
    answers++;
}

static inline void command(const char *a, const char *b, const char *c)
{
    const char *argv[] = {a, b, c};

    redis_command(r, on_answer, NULL, c ? 3 : b ? 2 : 1, argv, NULL);
}
