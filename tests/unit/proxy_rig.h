/* The proxy with a box's side and a far side of the test's own, in a network namespace of its own.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "box/net.h"
#include "proxy/proxy.h"
#include "tap.h"

#define OWN_GLOBAL "93.184.216.34" /* an address of the namespace's loopback interface */

enum { WAIT_S = 20 };

/* ---- names ---- */

struct answers {
    unsigned twice; /* how often "twice.test" was asked for */
    unsigned asked;
};
static struct answers *answers; /* shared with the children of the proxy */

static inline size_t give(struct net_ip *out, const char *text)
{
    return net_ip_parse(text, out);
}

static inline size_t test_names(const char *name, struct net_ip out[LOOKUP_MAX])
{
    answers->asked++;
    if (str_eq(name, "good.test")) {
        return give(out, "127.0.0.1");
    }
    if (str_eq(name, "twice.test")) {
        return give(out, answers->twice++ == 0 ? "127.0.0.1" : "10.1.2.3");
    }
    if (str_eq(name, "mixed.test")) {
        return give(out, "169.254.169.254") + give(out + 1, "10.1.2.3") +
               give(out + 2, "127.0.0.1");
    }
    if (str_eq(name, "private.test")) {
        return give(out, "10.1.2.3");
    }
    if (str_eq(name, "meta.test")) {
        return give(out, "169.254.169.254");
    }
    if (str_eq(name, "own.test")) {
        return give(out, OWN_GLOBAL);
    }
    return 0;
}

/* ---- the rig ---- */

struct rig {
    struct loop *loop;
    struct proxy *proxy;
    int pidfd;
    bool ready, gone, counted;
    struct proxy_counts counts;
    int listen_fd;
    uint16_t listen_port;
    int far_fd; /* somebody to connect to */
    uint16_t far_port;
};

static inline bool add_own_address(void)
{
    struct ifreq req = {.ifr_name = "lo:1"};
    struct sockaddr_in *sa = (struct sockaddr_in *)(void *)&req.ifr_addr;
    auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    sa->sin_family = AF_INET;
    return inet_pton(AF_INET, OWN_GLOBAL, &sa->sin_addr) == 1 && ioctl(fd, SIOCSIFADDR, &req) == 0;
}

/* Whatever the proxy lets through by mistake gets nowhere. Once, for all tests. */
static inline bool isolated(void)
{
    static int done = -1;

    if (done < 0) {
        done = (unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) &&
               !net_loopback_up() && add_own_address();
    }
    return done > 0;
}

static inline int listen_anywhere(uint16_t *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(bind(fd, (struct sockaddr *)&sa, len) == 0 && listen(fd, 128) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&sa, &len) == 0);
    *port = ntohs(sa.sin_port);
    return fd;
}

static inline void on_ready(void *arg)
{
    ((struct rig *)arg)->ready = true;
}

static inline void on_counts(void *arg, uint64_t run, const struct proxy_counts *c)
{
    struct rig *r = arg;

    CHECK_INT(run, 7);
    r->counts = *c;
    r->counted = true;
}

static inline void on_gone(void *arg)
{
    ((struct rig *)arg)->gone = true;
}

static inline void until(struct rig *r, const bool *what)
{
    while (!*what) {
        CHECK_OK(loop_turn(r->loop, -1, ERR));
    }
}

static inline void rig_start(struct rig *r, struct proxy_config c)
{
    const struct proxy_events ev = {on_ready, on_counts, on_gone, r};
    int fd;

    if (!isolated()) {
        tap_skip("no network namespace of its own");
    }
    if (!answers) {
        answers =
            mmap(NULL, sizeof *answers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    *answers = (struct answers){0};
    *r = (struct rig){0};
    c.look_up = test_names;
    CHECK_OK(loop_new(&r->loop, ERR));
    CHECK_OK(proxy_spawn(&c, &fd, &r->pidfd, ERR));
    CHECK_OK(proxy_connect(r->loop, fd, &ev, &r->proxy, ERR));
    until(r, &r->ready);
    r->listen_fd = listen_anywhere(&r->listen_port);
    r->far_fd = listen_anywhere(&r->far_port);
}

/* "%" in an entry is the far side's port. */
static inline void rig_open(struct rig *r, const char *entries, uint64_t bytes,
                            uint32_t connections)
{
    auto_free char *copy = xstrdup(entries);
    auto_strvec allow = {0};
    struct proxy_ask ask = {.run = 7,
                            .listen_fd = r->listen_fd,
                            .allow = &allow,
                            .bytes_max = bytes,
                            .connections_max = connections};

    for (char *save, *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
        size_t n = strcspn(p, "%");

        if (p[n]) {
            strvec_pushf(&allow, "%.*s%u%s", (int)n, p, r->far_port, p + n + 1);
        } else {
            strvec_push(&allow, p);
        }
    }
    CHECK_OK(proxy_open(r->proxy, &ask, ERR));
}

static inline void rig_begin(struct rig *r, const char *entries)
{
    rig_start(r, (struct proxy_config){0});
    rig_open(r, entries, 0, 0);
}

static inline void rig_counts(struct rig *r)
{
    proxy_close(r->proxy, 7);
    until(r, &r->counted);
}

static inline void rig_end(struct rig *r)
{
    siginfo_t info;

    proxy_free(r->proxy);
    CHECK(waitid((idtype_t)P_PIDFD, (id_t)r->pidfd, &info, WEXITED) == 0);
    CHECK(info.si_code == CLD_EXITED || info.si_status == SIGKILL);
    loop_free(r->loop);
    close(r->pidfd);
    close(r->listen_fd);
    close(r->far_fd);
}

/* ---- both sides ---- */

static inline void wait_at_most(int fd)
{
    const struct timeval t = {.tv_sec = WAIT_S};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

static inline int dial(const struct rig *r)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(r->listen_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
    wait_at_most(fd);
    return fd;
}

static inline int answer_call(const struct rig *r)
{
    int fd;

    wait_at_most(r->far_fd);
    fd = accept(r->far_fd, NULL, NULL);
    CHECK(fd >= 0);
    wait_at_most(fd);
    return fd;
}

static inline void say(int fd, const char *text)
{
    CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Exactly n bytes. */
static inline void hear(int fd, const char *want)
{
    char got[512] = "";

    CHECK_INT(recv(fd, got, strlen(want), MSG_WAITALL), strlen(want));
    CHECK_STR(got, want);
}

/* All until the end; -1: it was reset. */
static inline ssize_t hear_all(int fd, char *out, size_t size)
{
    size_t n = 0;
    ssize_t got;

    while ((got = recv(fd, out + n, size - 1 - n, 0)) > 0) {
        n += (size_t)got;
    }
    out[n] = '\0';
    CHECK(got == 0 || errno == ECONNRESET);
    return got < 0 ? -1 : (ssize_t)n;
}

/* "%" in `to` is the far side's port. */
static inline void ask(const struct rig *r, int fd, const char *to, const char *more)
{
    size_t n = strcspn(to, "%");
    auto_free char *port = to[n] ? str_fmt("%u", r->far_port) : xstrdup("");
    auto_free char *text = str_fmt("CONNECT %.*s%s HTTP/1.1\r\nHost: %.*s\r\n\r\n%s", (int)n, to,
                                   port, (int)n, to, more);

    say(fd, text);
}

static inline int tunnel(const struct rig *r, const char *to, int *far)
{
    int fd = dial(r);

    ask(r, fd, to, "");
    *far = answer_call(r);
    hear(fd, "HTTP/1.1 200 Connection established\r\n\r\n");
    return fd;
}

/* The answer has that status, says that, and is the end. */
static inline void refused_with(int fd, int status, const char *why)
{
    auto_free char *begin = str_fmt("HTTP/1.1 %d ", status);
    char text[2048];

    hear_all(fd, text, sizeof text);
    if (!str_starts(text, begin) || !strstr(text, why)) {
        tap_fail(__FILE__, __LINE__, "not %d with '%s', but: %s", status, why, text);
    }
    close(fd);
}

static inline void refused(const struct rig *r, const char *to, int status, const char *why)
{
    int fd = dial(r);

    ask(r, fd, to, "");
    refused_with(fd, status, why);
}
