/* How a connection begins: a name becomes an address, an address becomes a socket. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/mem.h"
#include "base/netset.h"
#include "transport/redis_inside.h"

/* A port of this machine that nobody listens on may be given to the socket that asks for it. */
static bool to_itself(int fd)
{
    struct sockaddr_storage own = {0}, peer = {0};
    socklen_t n = sizeof own, m = sizeof peer;

    return getsockname(fd, (struct sockaddr *)&own, &n) == 0 && own.ss_family != AF_UNIX &&
           getpeername(fd, (struct sockaddr *)&peer, &m) == 0 && n == m &&
           memcmp(&own, &peer, n) == 0;
}

static void greet(struct redis *r)
{
    r->watch.fn = redis_io_ready;
    r->state = REDIS_GREETING;
    r->moved_ms = loop_now_ms(r->loop);
    timer_arm(r->loop, &r->limit, REDIS_CONNECT_MS);
    timer_arm(r->loop, &r->look, REDIS_IDLE_MS);
    redis_greet(r);
}

static void on_handshake(struct watch *w, uint32_t events)
{
    struct redis *r = container_of(w, struct redis, watch);
    int wants = redis_tls_handshake(r->tls);

    (void)events;
    if (wants > 0) {
        watch_events(w, (uint32_t)wants);
    } else if (wants == 0) {
        greet(r);
    } else {
        redis_lost(r, "TLS", redis_tls_why(r->tls));
    }
}

static void connected(struct redis *r)
{
    int error = 0;
    socklen_t n = sizeof error;

    if (getsockopt(r->watch.fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0) {
        error = errno;
    }
    if (error != 0) {
        redis_lost(r, "connect", strerror(error));
        return;
    }
    if (to_itself(r->watch.fd)) {
        redis_lost(r, "connect", strerror(ECONNREFUSED));
        return;
    }
    if (!r->tls) {
        greet(r);
    } else if (redis_tls_start(r->tls, r->watch.fd)) {
        r->watch.fn = on_handshake;
        r->state = REDIS_SHAKING;
        on_handshake(&r->watch, EPOLLOUT);
    } else {
        redis_lost(r, "TLS", redis_tls_why(r->tls));
    }
}

static void on_socket(struct watch *w, uint32_t events)
{
    (void)events;
    connected(container_of(w, struct redis, watch));
}

static void dial(struct redis *r, const struct sockaddr *to, socklen_t len)
{
    struct err e = {0};
    int one = 1;
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        redis_lost(r, "make a socket", strerror(errno));
        return;
    }
    if (to->sa_family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    if (connect(fd, to, len) < 0 && errno != EINPROGRESS) {
        int error = errno;

        close(fd);
        redis_lost(r, "connect", strerror(error));
        return;
    }
    r->watch.fd = fd;
    r->watch.events = EPOLLOUT;
    r->watch.fn = on_socket;
    r->state = REDIS_CONNECTING;
    if (watch_add(r->loop, &r->watch, &e) != 0 || !redis_io_start(r)) {
        redis_lost(r, "watch the connection", e.msg);
    }
}

static void dial_ip(struct redis *r, const struct net_ip *ip)
{
    struct sockaddr_storage to;
    socklen_t len = net_ip_to(ip, r->url.port, &to);

    dial(r, (const struct sockaddr *)&to, len);
}

static void found(void *found_arg, const char *address)
{
    struct redis_ask *ask = found_arg;
    struct redis *r = ask->r;
    struct net_ip ip;

    free(ask);
    if (!r) {
        return;
    }
    r->ask = NULL;
    if (!address || !net_ip_parse(address, &ip)) {
        redis_lost(r, "no address was found for its name", NULL);
        return;
    }
    dial_ip(r, &ip);
}

void redis_dial(struct redis *r)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct net_ip ip;

    timer_arm(r->loop, &r->limit, REDIS_CONNECT_MS);
    if (r->url.path) {
        /* redis_url_parse() saw to the length */
        memcpy(local.sun_path, r->url.path, MIN(strlen(r->url.path), sizeof local.sun_path - 1));
        dial(r, (const struct sockaddr *)&local, sizeof local);
        return;
    }
    if (net_ip_parse(r->url.host, &ip)) {
        dial_ip(r, &ip);
        return;
    }
    r->state = REDIS_FINDING;
    r->ask = xcalloc(1, sizeof *r->ask);
    r->ask->r = r;
    r->ev.resolve(r->ev.resolve_arg, r->url.host, found, r->ask); /* r may be gone now */
}

void redis_dial_stop(struct redis *r)
{
    if (r->ask) {
        r->ask->r = NULL; /* found() frees it */
        r->ask = NULL;
    }
}
