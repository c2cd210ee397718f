/* The transport that the settings name: is it there, does it let us in, is it fit for tasks. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/netset.h"
#include "cli/doctor.h"
#include "daemon/transport_url.h"
#include "event/loop.h"
#include "transport/redis.h"

enum { PATIENCE_MS = 6000 };

struct dialled {
    bool up, down;
    char why[256];
};

static void on_up(void *arg)
{
    struct dialled *d = arg;

    d->up = true;
}

static void on_down(void *arg, const char *why)
{
    struct dialled *d = arg;

    d->down = true;
    snprintf(d->why, sizeof d->why, "%s", why);
}

/* Nobody waits for us: the system's own way of looking a name up will do. */
static void resolve(void *arg, const char *host,
                    void (*found)(void *found_arg, const char *address), void *found_arg)
{
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char text[NI_MAXHOST];
    bool good = getaddrinfo(host, NULL, &want, &list) == 0 &&
                getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof text, NULL, 0,
                            NI_NUMERICHOST) == 0;

    (void)arg;
    found(found_arg, good ? text : NULL);
    if (list) {
        freeaddrinfo(list);
    }
}

static void judge(const struct redis *redis, const char *where, struct check_result *r)
{
    const struct redis_server *s = redis_server(redis);
    auto_free char *warn = NULL;
    struct err e = {0};

    if (redis_server_check(s, &warn, &e) != 0) {
        doctor_result(r, FINDING_FAIL, "docs/fleet.md", "%s: %s", where, e.msg);
    } else if (warn) {
        doctor_result(r, FINDING_WARN, "docs/fleet.md", "%s: %s", where, warn);
    } else {
        doctor_result(r, FINDING_OK, NULL, "%s, Redis %s", where, s->version);
    }
}

static int dial(struct loop *l, const struct redis_url *url, struct check_result *r, struct err *e)
{
    struct dialled d = {0};
    const struct redis_events ev = {.up = on_up, .down = on_down, .resolve = resolve, .arg = &d};
    int64_t end = boot_ms() + PATIENCE_MS;
    struct redis *redis;
    auto_buf where = {0};
    int rc = redis_new(l, url, &ev, &redis, e);

    redis_url_text(url, &where);
    while (rc == 0 && !d.up && !d.down && boot_ms() < end) {
        rc = loop_turn(l, 100, e);
    }
    if (rc == 0 && d.up) {
        judge(redis, where.data, r);
    } else if (rc == 0) {
        doctor_result(r, FINDING_FAIL, "docs/fleet.md", "%s: %s", where.data,
                      d.down ? d.why : "no answer");
    }
    redis_free(redis);
    return rc;
}

void check_transport(struct cli *c, struct check_result *r)
{
    struct redis_url url;
    struct loop *l = NULL;
    struct err e = {0};
    bool has = false;
    int rc = transport_url(cli_settings(c), false, &url, &has, &e);

    if (rc == 0 && !has) {
        doctor_result(r, FINDING_OK, NULL, "none: scans run in the server");
        return;
    }
    if (rc == 0) {
        rc = loop_new(&l, &e);
        rc = rc == 0 ? dial(l, &url, r, &e) : rc;
        loop_free(l);
        redis_url_done(&url);
    }
    if (rc != 0) {
        doctor_result(r, FINDING_FAIL, "docs/fleet.md", "%s", e.msg);
    }
}
