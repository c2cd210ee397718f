#include "proxy/reach.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "policy/policy.h"
#include "proxy/link.h"
#include "proxy/server.h"

static void connect_next(struct reach *r, int errnum);

static void on_connect(struct watch *w, uint32_t events)
{
    struct reach *r = container_of(w, struct reach, far);
    int errnum = 0;
    socklen_t len = sizeof errnum;

    (void)events;
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0) {
        errnum = errno;
    }
    if (errnum != 0) {
        connect_next(r, errnum);
        return;
    }
    timer_stop(&r->late);
    watch_del(w);
    r->done(r, 200, NULL);
}

static void on_connect_late(struct timer *t)
{
    connect_next(container_of(t, struct reach, late), ETIMEDOUT);
}

static int try_connect(struct reach *r, const struct net_ip *ip)
{
    struct sockaddr_storage sa;
    socklen_t len = net_ip_to(ip, r->en->place.port, &sa);
    const int on = 1;

    r->far.fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (r->far.fd < 0) {
        return errno;
    }
    (void)setsockopt(r->far.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(r->far.fd, (const struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS) {
        return errno;
    }
    r->far.events = EPOLLOUT;
    r->far.fn = on_connect;
    return watch_add(r->pp->loop, &r->far, NULL) == 0 ? 0 : EMFILE;
}

/* To those that were checked and to no others. errnum: of the one before. */
static void connect_next(struct reach *r, int errnum)
{
    char why[NET_TEXT + 80], text[NET_TEXT];

    while (r->tried < r->n_ip) {
        watch_close(&r->far, true);
        errnum = try_connect(r, &r->ip[r->tried++]);
        if (errnum == 0) {
            r->late.fn = on_connect_late;
            timer_arm(r->pp->loop, &r->late, r->pp->config->connect_ms);
            return;
        }
    }
    net_ip_text(&r->ip[r->n_ip - 1], text);
    snprintf(why, sizeof why, "connect to %s port %u: %s", text, r->en->place.port,
             strerror(errnum));
    reach_stop(r, true);
    r->done(r, 502, why);
}

/* Of what the name has those that will do. */
static void check_addresses(struct reach *r, const struct net_ip *ip, size_t n)
{
    auto_netset own = {0};
    const char *refused = NULL;
    char why[NET_TEXT + 200], text[NET_TEXT];

    if (own_addresses(&own, NULL) != 0) {
        r->done(r, 502, "the machine's own addresses are not known: nothing is connected to");
        return;
    }
    for (size_t i = 0; i < n && r->n_ip < TRIES_MAX; i++) {
        const char *what = allow_refuses(r->en, &ip[i], &own);

        if (!what) {
            r->ip[r->n_ip++] = ip[i];
        } else if (!refused) {
            refused = what;
            net_ip_text(&ip[i], text);
        }
    }
    if (r->n_ip > 0) {
        connect_next(r, 0);
    } else if (refused) {
        snprintf(why, sizeof why, "%s is refused: %s", text, refused);
        r->done(r, 403, why);
    } else {
        r->done(r, 502, "the host name has no address");
    }
}

static void on_found(void *arg, const struct net_ip *ip, size_t n)
{
    struct reach *r = arg;

    r->lookup = NULL;
    check_addresses(r, ip, n);
}

void reach_start(struct reach *r, struct proxy_process *pp, const struct allow_entry *en)
{
    r->pp = pp;
    r->en = en;
    r->n_ip = r->tried = 0;
    if (!en->place.name) {
        check_addresses(r, &en->place.ip, 1);
        return;
    }
    r->lookup = lookup_start(pp->loop, pp->config->look_up, en->place.name, on_found, r);
    if (!r->lookup) {
        r->done(r, 502, "the host name could not be asked for");
    }
}

void reach_stop(struct reach *r, bool reset)
{
    if (r->lookup) {
        lookup_cancel(r->lookup);
        r->lookup = NULL;
    }
    timer_stop(&r->late);
    watch_close(&r->far, reset);
}
