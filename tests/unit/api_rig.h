/*
 * api_rig - the API behind the real server, over the memory store and a scheduler whose worker only
 * remembers what it was told. One loop, one process: nothing happens but in a turn of the test.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "event/loop.h"
#include "http/api_priv.h"
#include "tap.h"

struct rig {
    struct loop *loop;
    struct store *store;
    struct sched *sched;
    struct api *api;
    struct http_server *server;
    struct turn_hook hook;
    struct sockaddr_in addr;
    struct lease run, cancel; /* the last ones */
    unsigned runs, cancels;
    struct policy *policy;
    const struct sandbox_caps *caps;
    /* the resolver: it answers when the test calls rig_resolve() */
    struct target_set *pinning;
    void (*pinned)(void *arg, int code, const char *why);
    void *pinned_arg;
    unsigned pins, unpins;
};

static struct rig rig;

static inline void rig_run(void *arg, const struct task *t, const struct job *j)
{
    rig.runs++;
    rig.run =
        (struct lease){.job_id = t->job_id, .idx = t->idx, .epoch = t->epoch, .token = t->token};
}

static inline void rig_cancel(void *arg, const struct lease *l)
{
    rig.cancels++;
    rig.cancel = *l;
}

static inline struct policy *rig_policy(void *arg)
{
    return rig.policy;
}

static inline const struct sandbox_caps *rig_sandbox(void *arg)
{
    return rig.caps;
}

static inline void *rig_pin(void *arg, struct target_set *t,
                            void (*done)(void *arg, int code, const char *why), void *done_arg)
{
    rig.pinning = t;
    rig.pinned = done;
    rig.pinned_arg = done_arg;
    rig.pins++;
    return &rig;
}

static inline void rig_unpin(void *arg, void *handle)
{
    rig.pinning = NULL;
    rig.unpins++;
}

/* The last names that were asked for have this address (NULL: none at all). */
static inline void rig_resolve(const char *address)
{
    struct target_set *t = rig.pinning;

    CHECK(t);
    rig.pinning = NULL;
    for (size_t i = 0; address && i < t->n_pins; i++) {
        t->pins[i].ip = xcalloc(1, sizeof *t->pins[i].ip);
        t->pins[i].n = 1;
        CHECK(net_ip_parse(address, t->pins[i].ip));
    }
    rig.pinned(rig.pinned_arg, address ? 0 : ERR_INVALID, address ? NULL : "'x' has no address");
}

/* Puts another policy in force. */
static inline void rig_policy_set(const char *text)
{
    struct policy *p;

    CHECK_OK(policy_parse(text, strlen(text), "test.yaml", &p, ERR));
    policy_unref(rig.policy);
    rig.policy = p;
}

static inline void rig_turn_end(struct turn_hook *h)
{
    bool good = true;

    sched_before_commit(rig.sched);
    if (store_dirty(rig.store)) {
        good = store_commit(rig.store, NULL) == 0;
    }
    sched_after_commit(rig.sched, good);
    api_after_commit(rig.api);
    http_server_flush(rig.server);
}

static inline void rig_start(uint32_t slots, const struct api_config *more)
{
    struct sched_config sc = {.slots = slots, .retry_base_ms = 1, .beat_ms = 10000, .worker = "w"};
    struct worker_link link = {.run = rig_run, .cancel = rig_cancel};
    struct api_config ac = more ? *more : (struct api_config){0};
    struct http_config hc = {.header_timeout_ms = 10000,
                             .idle_timeout_ms = 75000,
                             .body_timeout_ms = 60000,
                             .max_conns = 64,
                             .max_conns_per_address = 64};
    socklen_t len = sizeof rig.addr;
    int fd;

    rig = (struct rig){.hook.fn = rig_turn_end, .policy = policy_builtin()};
    ac.policy = rig_policy;
    ac.sandbox = rig_sandbox;
    ac.pin = rig_pin;
    ac.unpin = rig_unpin;
    ac.legacy_key = "k";
    ac.version = "test";
    ac.scan_timeout_s = 900;
    ac.queue_timeout_s = 3600;
    CHECK_OK(loop_new(&rig.loop, ERR));
    CHECK_OK(store_open("mem:", &rig.store, ERR));
    CHECK_OK(sched_new(rig.loop, rig.store, &sc, &link, &rig.sched, ERR));
    CHECK_OK(api_new(rig.loop, rig.store, rig.sched, &ac, &rig.api, ERR));
    api_http_config(rig.api, &hc);
    CHECK_OK(http_server_new(rig.loop, &hc, &rig.server, ERR));
    api_set_server(rig.api, rig.server);
    CHECK_OK(http_listen("127.0.0.1:0", &fd, ERR));
    CHECK_INT(getsockname(fd, (struct sockaddr *)&rig.addr, &len), 0);
    CHECK_OK(http_server_listen(rig.server, fd, ERR));
    loop_at_turn_end(rig.loop, &rig.hook);
}

static inline void rig_stop(void)
{
    http_server_free(rig.server);
    api_free(rig.api);
    sched_free(rig.sched);
    store_close(rig.store);
    loop_free(rig.loop);
    policy_unref(rig.policy);
}

static inline void turns(int n)
{
    while (n-- > 0) {
        CHECK_OK(loop_turn(rig.loop, 5, ERR));
    }
}

static inline int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&rig.addr, sizeof rig.addr) == 0);
    CHECK_INT(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Takes what is there into `got`. False at the end of the connection. */
static inline bool take(int fd, struct buf *got)
{
    for (;;) {
        ssize_t n = recv(fd, buf_space(got, 65536), 65536, 0);

        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        }
        got->len += (size_t)n;
        got->data[got->len] = '\0';
    }
}

/* Sends one request with that key; the answer comes with the turns. */
static inline int say_as(const char *key, const char *method, const char *path, const char *headers,
                         const char *body)
{
    auto_free char *text = str_fmt("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: %s\r\n"
                                   "Connection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
                                   method, path, key, headers ? headers : "",
                                   body ? strlen(body) : 0, body ? body : "");
    int fd = dial();

    CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    return fd;
}

static inline int say(const char *method, const char *path, const char *headers, const char *body)
{
    return say_as("k", method, path, headers, body);
}

struct answer {
    int status;
    struct buf text; /* all of it */
    const char *body;
};

static inline void answer_done(struct answer *a)
{
    buf_done(&a->text);
}

#define auto_answer __attribute__((cleanup(answer_done))) struct answer

/* Takes the chunks of a body apart, in place. */
static inline void unchunk(struct answer *a)
{
    char *in = a->text.data + (a->body - a->text.data);
    char *out = in;

    for (;;) {
        size_t n = strtoul(in, &in, 16);

        CHECK(str_starts(in, "\r\n"));
        if (n == 0) {
            break;
        }
        memmove(out, in + 2, n);
        out += n;
        in += 2 + n + 2;
    }
    *out = '\0';
}

static inline void parse_answer(struct answer *a)
{
    const char *end = a->text.data ? strstr(a->text.data, "\r\n\r\n") : NULL;

    CHECK(end && str_starts(a->text.data, "HTTP/1.1 "));
    a->status = atoi(a->text.data + 9);
    a->body = end + 4;
    if (strstr(a->text.data, "Transfer-Encoding: chunked\r\n")) {
        unchunk(a);
    }
}

/* Turns until the server closes; closes fd. */
static inline struct answer hear(int fd)
{
    struct answer a = {0};

    for (int i = 0; take(fd, &a.text); i++) {
        CHECK(i < 5000);
        turns(1);
    }
    close(fd);
    parse_answer(&a);
    return a;
}

static inline struct answer ask(const char *method, const char *path, const char *body)
{
    return hear(say(method, path, body ? "Content-Type: application/json\r\n" : NULL, body));
}

static inline struct answer ask_as(const char *key, const char *method, const char *path,
                                   const char *body)
{
    return hear(
        say_as(key, method, path, body ? "Content-Type: application/json\r\n" : NULL, body));
}

static inline bool has_header(const struct answer *a, const char *line)
{
    const char *at = strcasestr(a->text.data, line);

    return at && at < a->body;
}

/* The value of a string member; the first one of that name. Caller frees. */
static inline char *member_of(const char *json, const char *name)
{
    auto_free char *key = str_fmt("\"%s\":\"", name);
    const char *at = strstr(json, key);

    CHECK(at);
    at += strlen(key);
    return xstrndup(at, strcspn(at, "\""));
}

/* Submits on the old surface. Caller frees. */
static inline char *submit(const char *targets)
{
    auto_free char *body = str_fmt("{\"targets\":\"%s\"}", targets);
    auto_answer a = ask("POST", "/scans", body);

    CHECK_INT(a.status, 202);
    return member_of(a.body, "job_id");
}

static inline void finish(enum job_state state)
{
    struct outcome o = {.state = state,
                        .reason = state == JOB_CANCELLED ? REASON_CANCELLED
                                  : state == JOB_FAILED  ? REASON_TOOL_FAILED
                                                         : REASON_NONE,
                        .exit_signal = 0,
                        .command_line = "nmap -oX - x"};

    sched_finish(rig.sched, &rig.run, &o);
    turns(2);
}
