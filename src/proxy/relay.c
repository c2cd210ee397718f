/*
 * One connection: head -> name -> connect -> tunnel, or an answer that says why not. A request to
 * a gateway is handed to a gate as soon as that is seen.
 *
 * While the name is asked for and the far side connected to, nothing is read from the tool. What it
 * sent after the head is the first that goes up the tunnel.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "proxy/gate.h"
#include "proxy/head.h"
#include "proxy/link.h"
#include "proxy/reach.h"
#include "proxy/server.h"
#include "proxy/tunnel.h"

struct relay {
    struct link link;
    struct reach reach; /* its far side */
    char *head;         /* owned; HEAD_MAX; NULL once there is a tunnel or an answer */
    size_t n_head, used;
    struct proxy_place to;
    struct flow up, down;
};

/* ---- the end ---- */

static void relay_free(struct relay *c, bool reset)
{
    struct proxy_run *run = c->link.run;

    reach_stop(&c->reach, reset);
    run->counts.bytes_up += c->up.sent;
    run->counts.bytes_down += c->down.sent;
    flow_done(&c->up);
    flow_done(&c->down);
    place_done(&c->to);
    free(c->head);
    if (c->link.tool.fd >= 0) { /* else a gate has it */
        link_done(&c->link, reset);
    }
    free(c);
}

static void on_end(struct link *l, bool reset)
{
    relay_free(container_of(l, struct relay, link), reset);
}

static void refuse(struct relay *c, int status, const char *why)
{
    auto_buf text = {0};

    if (status == 502) {
        c->link.run->counts.failed++;
    } else {
        c->link.run->counts.refused++;
    }
    reach_stop(&c->reach, true);
    head_refusal(&text, status, why);
    link_part(&c->link, text.data, text.len);
}

/* ---- the tunnel ---- */

static void on_idle(struct timer *t)
{
    relay_free(container_of(t, struct relay, link.late), true);
}

static void pump(struct relay *c)
{
    struct proxy_run *run = c->link.run;
    struct watch *tool = &c->link.tool, *far = &c->reach.far;
    bool moved = false;
    enum flow_end up = flow_pump(&c->up, tool->fd, far->fd, &run->bytes_left, &moved);
    enum flow_end down = flow_pump(&c->down, far->fd, tool->fd, &run->bytes_left, &moved);

    if (up == FLOW_OVER || down == FLOW_OVER) {
        run_over_cap(run);
    } else if (up == FLOW_BROKEN || down == FLOW_BROKEN) {
        relay_free(c, true);
    } else if (c->up.shut && c->down.shut) {
        relay_free(c, false);
    } else {
        watch_events(tool,
                     (flow_wants_in(&c->up) ? EPOLLIN : 0) | (c->down.len > 0 ? EPOLLOUT : 0));
        watch_events(far, (flow_wants_in(&c->down) ? EPOLLIN : 0) | (c->up.len > 0 ? EPOLLOUT : 0));
        if (moved) {
            timer_arm(run->pp->loop, &c->link.late, run->pp->config->idle_ms);
        }
    }
}

static void on_tool(struct watch *w, uint32_t events)
{
    (void)events;
    pump(container_of(w, struct relay, link.tool));
}

static void on_far(struct watch *w, uint32_t events)
{
    (void)events;
    pump(container_of(w, struct relay, reach.far));
}

static void begin_tunnel(struct relay *c)
{
    static const char answer[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    struct proxy_run *run = c->link.run;
    size_t early = c->n_head - c->used;

    if (run->bytes_left < early) {
        refuse(c, 403, "the run's bytes are used up");
        return;
    }
    c->reach.far.fn = on_far;
    if (send(c->link.tool.fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL) !=
            sizeof answer - 1 ||
        watch_add(run->pp->loop, &c->reach.far, NULL) != 0) {
        relay_free(c, true);
        return;
    }
    run->counts.passed++;
    run->bytes_left -= early;
    c->link.carries = true;
    flow_init(&c->up, c->head + c->used, early);
    flow_init(&c->down, NULL, 0);
    free(take_ptr(&c->head));
    c->link.tool.fn = on_tool;
    c->link.late.fn = on_idle;
    timer_arm(run->pp->loop, &c->link.late, run->pp->config->idle_ms);
    pump(c);
}

/* ---- where it may go ---- */

static void on_reached(struct reach *r, int status, const char *why)
{
    struct relay *c = container_of(r, struct relay, reach);

    if (status == 200) {
        begin_tunnel(c);
    } else {
        refuse(c, status, why);
    }
}

static void find_way(struct relay *c)
{
    struct proxy_run *run = c->link.run;
    const struct allow_entry *en = allow_find(&run->allow, &c->to);

    if (run->sealed) {
        refuse(c, 403, RUN_SEALED);
    } else if (run->connections_left == 0) {
        refuse(c, 403, "the run's connections are used up");
    } else if (run->bytes_left == 0) {
        refuse(c, 403, "the run's bytes are used up");
    } else if (!en) {
        refuse(c, 403, "this host and port are not on the run's list");
    } else {
        run->connections_left--;
        c->link.checkout = true;
        reach_start(&c->reach, run->pp, en);
    }
}

/* ---- the head ---- */

static void hand_to_gate(struct relay *c)
{
    struct proxy_run *run = c->link.run;
    int fd = link_release(&c->link);

    gate_new(run, fd, c->head, c->n_head);
    relay_free(c, false);
}

static void on_head(struct watch *w, uint32_t events)
{
    struct relay *c = container_of(w, struct relay, link.tool);
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
    if (gateway_of_head(&c->link.run->gateways, c->head, c->n_head)) {
        hand_to_gate(c);
        return;
    }
    status = head_parse(c->head, c->n_head, &c->to, &c->used, &why);
    if (status == 0) {
        return;
    }
    timer_stop(&c->link.late);
    watch_events(w, 0);
    if (status == 200) {
        find_way(c);
    } else {
        refuse(c, status, why);
    }
}

static void on_head_late(struct timer *t)
{
    refuse(container_of(t, struct relay, link.late), 408,
           "the request's head did not come in time");
}

void relay_new(struct proxy_run *run, int fd)
{
    struct relay *c = xcalloc(1, sizeof *c);

    c->link.end = on_end;
    c->reach.far.fd = -1;
    c->reach.done = on_reached;
    c->head = xmalloc(HEAD_MAX);
    if (!link_init(&c->link, run, fd, on_head)) {
        relay_free(c, true);
        return;
    }
    c->link.late.fn = on_head_late;
    timer_arm(run->pp->loop, &c->link.late, run->pp->config->header_ms);
}
