/*
 * One connection: head -> name -> connect -> tunnel, or an answer that says why not.
 *
 * While the name is asked for and the far side connected to, nothing is read from the tool. What it
 * sent after the head is the first that goes up the tunnel.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "policy/policy.h"
#include "proxy/head.h"
#include "proxy/server.h"
#include "proxy/tunnel.h"

enum {
    TRIES_MAX = 4, /* addresses of a name */
    PARTING_MS = 2000,
    PARTING_MAX = 65536, /* what is read, unseen, after a refusal */
};

struct relay {
    struct relay *next, **at; /* of the run's list */
    struct proxy_run *run;
    struct watch tool, far;
    struct timer late; /* of whatever it waits for */
    char *head;        /* owned; HEAD_MAX; NULL once there is a tunnel or an answer */
    size_t n_head, used;
    struct proxy_place to;
    struct lookup *lookup;
    struct net_ip ip[TRIES_MAX];
    unsigned n_ip, tried;
    bool tunnelled;
    struct flow up, down;
    size_t parted;
};

/* ---- the end ---- */

static void close_watch(struct watch *w, bool reset)
{
    const struct linger at_once = {.l_onoff = 1};

    if (w->fd >= 0 && reset) { /* nobody shall take what came for all there was */
        (void)setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    watch_del(w);
    fd_close(&w->fd);
}

void relay_free(struct relay *c, bool reset)
{
    struct proxy_run *run = c->run;

    if (c->lookup) {
        lookup_cancel(c->lookup);
    }
    timer_stop(&c->late);
    close_watch(&c->tool, reset);
    close_watch(&c->far, reset);
    run->counts.bytes_up += c->up.sent;
    run->counts.bytes_down += c->down.sent;
    flow_done(&c->up);
    flow_done(&c->down);
    place_done(&c->to);
    free(c->head);
    *c->at = c->next;
    if (c->next) {
        c->next->at = c->at;
    }
    free(c);
    run->n_relays--;
    run_has_room(run);
}

static void on_parting_late(struct timer *t)
{
    relay_free(container_of(t, struct relay, late), true);
}

/* Closing while something unread is there would reset the connection, and the answer with it. */
static void on_parting(struct watch *w, uint32_t events)
{
    struct relay *c = container_of(w, struct relay, tool);
    char chunk[4096];
    ssize_t n = recv(w->fd, chunk, sizeof chunk, MSG_DONTWAIT);

    (void)events;
    if (n > 0 && (c->parted += (size_t)n) < PARTING_MAX) {
        return;
    }
    if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
        relay_free(c, false);
    }
}

static void refuse(struct relay *c, int status, const char *why)
{
    auto_buf text = {0};
    ssize_t n;

    if (status == 502) {
        c->run->counts.failed++;
    } else {
        c->run->counts.refused++;
    }
    head_refusal(&text, status, why);
    n = send(c->tool.fd, text.data, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n != (ssize_t)text.len) { /* its socket was empty: it is gone */
        relay_free(c, true);
        return;
    }
    close_watch(&c->far, true);
    (void)shutdown(c->tool.fd, SHUT_WR);
    c->tool.fn = on_parting;
    watch_events(&c->tool, EPOLLIN);
    c->late.fn = on_parting_late;
    timer_arm(c->run->pp->loop, &c->late, PARTING_MS);
}

/* ---- the tunnel ---- */

static void over_the_cap(struct proxy_run *run)
{
    struct relay *next;

    for (struct relay *c = run->relays; c; c = next) {
        next = c->next;
        if (c->tunnelled) {
            relay_free(c, true);
        }
    }
}

static void on_idle(struct timer *t)
{
    relay_free(container_of(t, struct relay, late), true);
}

static void pump(struct relay *c)
{
    uint64_t *left = &c->run->bytes_left;
    bool moved = false;
    enum flow_end up = flow_pump(&c->up, c->tool.fd, c->far.fd, left, &moved);
    enum flow_end down = flow_pump(&c->down, c->far.fd, c->tool.fd, left, &moved);

    if (up == FLOW_OVER || down == FLOW_OVER) {
        over_the_cap(c->run);
    } else if (up == FLOW_BROKEN || down == FLOW_BROKEN) {
        relay_free(c, true);
    } else if (c->up.shut && c->down.shut) {
        relay_free(c, false);
    } else {
        watch_events(&c->tool,
                     (flow_wants_in(&c->up) ? EPOLLIN : 0) | (c->down.len > 0 ? EPOLLOUT : 0));
        watch_events(&c->far,
                     (flow_wants_in(&c->down) ? EPOLLIN : 0) | (c->up.len > 0 ? EPOLLOUT : 0));
        if (moved) {
            timer_arm(c->run->pp->loop, &c->late, c->run->pp->config->idle_ms);
        }
    }
}

static void on_tool(struct watch *w, uint32_t events)
{
    (void)events;
    pump(container_of(w, struct relay, tool));
}

static void on_far(struct watch *w, uint32_t events)
{
    (void)events;
    pump(container_of(w, struct relay, far));
}

static void begin_tunnel(struct relay *c)
{
    static const char answer[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    struct proxy_run *run = c->run;
    size_t early = c->n_head - c->used;

    if (run->bytes_left < early) {
        refuse(c, 403, "the run's bytes are used up");
        return;
    }
    if (send(c->tool.fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL) !=
        sizeof answer - 1) {
        relay_free(c, true);
        return;
    }
    run->counts.passed++;
    run->bytes_left -= early;
    c->tunnelled = true;
    flow_init(&c->up, c->head + c->used, early);
    flow_init(&c->down, NULL, 0);
    free(take_ptr(&c->head));
    c->tool.fn = on_tool;
    c->far.fn = on_far;
    c->late.fn = on_idle;
    timer_arm(run->pp->loop, &c->late, run->pp->config->idle_ms);
    pump(c);
}

/* ---- the far side ---- */

static void connect_next(struct relay *c, int errnum);

static void on_connect(struct watch *w, uint32_t events)
{
    struct relay *c = container_of(w, struct relay, far);
    int errnum = 0;
    socklen_t len = sizeof errnum;

    (void)events;
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0) {
        errnum = errno;
    }
    if (errnum != 0) {
        connect_next(c, errnum);
    } else {
        begin_tunnel(c);
    }
}

static void on_connect_late(struct timer *t)
{
    connect_next(container_of(t, struct relay, late), ETIMEDOUT);
}

static int try_connect(struct relay *c, const struct net_ip *ip)
{
    struct sockaddr_storage sa;
    socklen_t len = net_ip_to(ip, c->to.port, &sa);
    const int on = 1;

    c->far.fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->far.fd < 0) {
        return errno;
    }
    (void)setsockopt(c->far.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->far.fd, (const struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS) {
        return errno;
    }
    c->far.events = EPOLLOUT;
    c->far.fn = on_connect;
    return watch_add(c->run->pp->loop, &c->far, NULL) == 0 ? 0 : EMFILE;
}

/* To those that were checked and to no others. errnum: of the one before. */
static void connect_next(struct relay *c, int errnum)
{
    char why[NET_TEXT + 80], text[NET_TEXT];

    while (c->tried < c->n_ip) {
        close_watch(&c->far, true);
        errnum = try_connect(c, &c->ip[c->tried++]);
        if (errnum == 0) {
            c->late.fn = on_connect_late;
            timer_arm(c->run->pp->loop, &c->late, c->run->pp->config->connect_ms);
            return;
        }
    }
    net_ip_text(&c->ip[c->n_ip - 1], text);
    snprintf(why, sizeof why, "connect to %s port %u: %s", text, c->to.port, strerror(errnum));
    refuse(c, 502, why);
}

/* ---- where it may go ---- */

/* Of what the name has those that will do. */
static void check_addresses(struct relay *c, const struct net_ip *ip, size_t n)
{
    const struct allow_entry *en = allow_find(&c->run->allow, &c->to);
    auto_netset own = {0};
    const char *refused = NULL;
    char why[NET_TEXT + 200], text[NET_TEXT];

    if (own_addresses(&own, NULL) != 0) {
        refuse(c, 502, "the machine's own addresses are not known: nothing is connected to");
        return;
    }
    for (size_t i = 0; i < n && c->n_ip < TRIES_MAX; i++) {
        const char *what = allow_refuses(en, &ip[i], &own);

        if (!what) {
            c->ip[c->n_ip++] = ip[i];
        } else if (!refused) {
            refused = what;
            net_ip_text(&ip[i], text);
        }
    }
    if (c->n_ip > 0) {
        connect_next(c, 0);
    } else if (refused) {
        snprintf(why, sizeof why, "%s is refused: %s", text, refused);
        refuse(c, 403, why);
    } else {
        refuse(c, 502, "the host name has no address");
    }
}

static void on_found(void *arg, const struct net_ip *ip, size_t n)
{
    struct relay *c = arg;

    c->lookup = NULL;
    check_addresses(c, ip, n);
}

static void look_up(struct relay *c)
{
    const struct proxy_process *pp = c->run->pp;

    if (!c->to.name) {
        check_addresses(c, &c->to.ip, 1);
        return;
    }
    c->lookup = lookup_start(pp->loop, pp->config->look_up, c->to.name, on_found, c);
    if (!c->lookup) {
        refuse(c, 502, "the host name could not be asked for");
    }
}

static void find_way(struct relay *c)
{
    struct proxy_run *run = c->run;

    if (run->connections_left == 0) {
        refuse(c, 403, "the run's connections are used up");
    } else if (run->bytes_left == 0) {
        refuse(c, 403, "the run's bytes are used up");
    } else if (!allow_find(&run->allow, &c->to)) {
        refuse(c, 403, "this host and port are not on the run's list");
    } else {
        run->connections_left--;
        look_up(c);
    }
}

/* ---- the head ---- */

static void on_head(struct watch *w, uint32_t events)
{
    struct relay *c = container_of(w, struct relay, tool);
    ssize_t n = recv(w->fd, c->head + c->n_head, HEAD_MAX - c->n_head, MSG_DONTWAIT);
    const char *why;
    int status;

    (void)events;
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            relay_free(c, true);
        }
        return;
    }
    c->n_head += (size_t)n;
    status = head_parse(c->head, c->n_head, &c->to, &c->used, &why);
    if (status == 0) {
        return;
    }
    timer_stop(&c->late);
    watch_events(w, 0);
    if (status == 200) {
        find_way(c);
    } else {
        refuse(c, status, why);
    }
}

static void on_head_late(struct timer *t)
{
    refuse(container_of(t, struct relay, late), 408, "the request's head did not come in time");
}

void relay_new(struct proxy_run *run, int fd)
{
    struct relay *c = xcalloc(1, sizeof *c);
    const int on = 1;

    c->run = run;
    c->far.fd = -1;
    c->tool = (struct watch){.fd = fd, .events = EPOLLIN, .fn = on_head};
    c->late.fn = on_head_late;
    c->head = xmalloc(HEAD_MAX);
    c->next = run->relays;
    c->at = &run->relays;
    if (c->next) {
        c->next->at = &c->next;
    }
    run->relays = c;
    run->n_relays++;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (watch_add(run->pp->loop, &c->tool, NULL) != 0) {
        relay_free(c, true);
        return;
    }
    timer_arm(run->pp->loop, &c->late, run->pp->config->header_ms);
}
