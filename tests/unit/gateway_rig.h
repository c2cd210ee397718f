/* Gateways on the proxy's rig, with secrets of the test's own. */
#pragma once

#include <poll.h>

#include "proxy_rig.h"
#include "secret/secret.h"

#define KEY  "sk-ant-api03-canary-of-the-gateway"
#define POST "POST /anthropic/v1/messages HTTP/1.1\r\nHost: box\r\n"

static struct secrets *secrets;

static inline struct proxy_gateway messages(void)
{
    return (struct proxy_gateway){.kind = GATEWAY_MESSAGES,
                                  .prefix = "/anthropic",
                                  .upstream = "127.0.0.1:%=127.0.0.1",
                                  .secret = "api-key"};
}

static inline struct proxy_gateway git(void)
{
    return (struct proxy_gateway){.kind = GATEWAY_GIT,
                                  .prefix = "/git",
                                  .upstream = "good.test:%=127.0.0.0/8",
                                  .path = "/owner/name.git",
                                  .secret = "token",
                                  .username = "x-access-token"};
}

static inline void start(struct rig *r, struct proxy_config c)
{
    setenv("SCANPOD_SECRET_API_KEY", KEY, 1);
    setenv("SCANPOD_SECRET_OAUTH", "sk-ant-oat01-canary-of-the-gateway", 1);
    setenv("SCANPOD_SECRET_TOKEN", "ghp-canary-of-git", 1);
    setenv("SCANPOD_SECRET_UNFIT", "two\nlines", 1);
    secrets_free(secrets);
    secrets = NULL;
    CHECK_OK(secrets_load(NULL, &secrets, ERR));
    c.secrets = secrets;
    secrets_share(secrets, true);
    rig_start(r, c);
}

/* "%" in an upstream is the far side's port. */
static inline void open_with(struct rig *r, const struct proxy_gateway *g, size_t n, uint64_t bytes)
{
    struct proxy_gateway copy[4];
    auto_strvec allow = {0}, upstreams = {0};
    const struct proxy_ask asked = {.run = 7,
                                    .listen_fd = r->listen_fd,
                                    .allow = &allow,
                                    .gateways = copy,
                                    .n_gateways = n,
                                    .bytes_max = bytes};

    strvec_pushf(&allow, "127.0.0.1:%u=127.0.0.1", r->far_port);
    for (size_t i = 0; i < n; i++) {
        size_t at = strcspn(g[i].upstream, "%");

        if (g[i].upstream[at]) {
            strvec_pushf(&upstreams, "%.*s%u%s", (int)at, g[i].upstream, r->far_port,
                         g[i].upstream + at + 1);
        } else {
            strvec_push(&upstreams, g[i].upstream);
        }
        copy[i] = g[i];
        copy[i].upstream = upstreams.v[i];
    }
    CHECK_OK(proxy_open(r->proxy, &asked, ERR));
}

static inline void begin(struct rig *r, struct proxy_gateway g)
{
    start(r, (struct proxy_config){0});
    open_with(r, &g, 1, 0);
}

static inline void end(struct rig *r)
{
    rig_end(r);
    secrets_free(secrets);
    secrets = NULL;
}

/* A head, with its empty line. */
static inline const char *head_of(int fd)
{
    static char text[32768];
    size_t n = 0;

    while (n < 4 || memcmp(text + n - 4, "\r\n\r\n", 4) != 0) {
        CHECK(n < sizeof text - 1);
        CHECK_INT(recv(fd, text + n, 1, 0), 1);
        text[++n] = '\0';
    }
    return text;
}

static inline void has(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        tap_fail(__FILE__, __LINE__, "no '%s' in: %s", part, text);
    }
}

static inline void lacks(const char *text, const char *part)
{
    if (strcasestr(text, part)) {
        tap_fail(__FILE__, __LINE__, "'%s' in: %s", part, text);
    }
}

static inline void nobody_calls(const struct rig *r)
{
    struct pollfd p = {.fd = r->far_fd, .events = POLLIN};

    CHECK_INT(poll(&p, 1, 0), 0);
}

/* The request's head at the far side. */
static inline int called(const struct rig *r, const char **head)
{
    int far = answer_call(r);

    *head = head_of(far);
    return far;
}

static inline void asked(const struct rig *r, int fd, const char *body, int *far)
{
    auto_free char *text = str_fmt(POST "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    const char *head;

    say(fd, text);
    *far = called(r, &head);
    has(head, "POST /v1/messages HTTP/1.1\r\n");
    hear(*far, body);
}

/* The whole answer; the connection ends with it. */
static inline void answered(int fd, int status, const char *why)
{
    auto_free char *first = str_fmt("HTTP/1.1 %d ", status);
    char text[4096];

    hear_all(fd, text, sizeof text);
    if (!str_starts(text, first)) {
        tap_fail(__FILE__, __LINE__, "not %d, but: %s", status, text);
    }
    has(text, why);
    close(fd);
}

static inline void asks_and_gets(const struct rig *r, const char *text, int status, const char *why)
{
    int fd = dial(r);

    say(fd, text);
    answered(fd, status, why);
}
