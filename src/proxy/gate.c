/* The box's side of a gate: heads, what is let through, bodies, and answers of our own. */
#include "proxy/gate.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "proxy/server.h"

enum { IN_MAX = REQUEST_HEAD_MAX + 16384, PIECE = 16384 };

static void on_late(struct timer *t);

/* ---- the end ---- */

void gate_free(struct gate *c, bool reset)
{
    far_done(c, reset);
    buf_done(&c->in);
    buf_done(&c->out);
    link_done(&c->link, reset);
    free(c);
}

static void on_end(struct link *l, bool reset)
{
    gate_free(container_of(l, struct gate, link), reset);
}

void gate_await(struct gate *c, uint32_t ms)
{
    c->link.late.fn = on_late;
    timer_arm(c->link.run->pp->loop, &c->link.late, ms);
}

/* ---- answers of our own ---- */

void gate_answered(struct gate *c)
{
    c->keeps = c->keeps && c->up.done;
    far_done(c, false);
    c->state = GATE_FLUSH;
    c->link.carries = c->link.checkout = false;
    gate_await(c, c->link.run->pp->config->idle_ms);
    watch_events(&c->link.tool, EPOLLIN | EPOLLOUT); /* that goes on with it */
}

void gate_refuse(struct gate *c, int status, const char *why, bool final)
{
    struct proxy_counts *counts = &c->link.run->counts;

    assert(!c->answered);
    if (status >= 500) {
        counts->failed++;
    } else {
        counts->refused++;
        counts->api_refused += c->gw->kind == GATEWAY_MESSAGES;
    }
    c->keeps = c->keeps && c->up.done && status != 400;
    gateway_error(c->gw, status, why, final, !c->keeps, &c->out);
    gate_answered(c);
}

void gate_fail(struct gate *c, int status, const char *why, bool final)
{
    if (!c->answered) {
        gate_refuse(c, status, why, final);
        return;
    }
    c->link.run->counts.failed++;
    gate_free(c, true);
}

/* ---- the request's body ---- */

static void frame_up(struct gate *c, const struct buf *piece)
{
    if (c->up.kind != BODY_CHUNKED) {
        buf_add(&c->far_out, piece->data, piece->len);
        return;
    }
    if (piece->len > 0) {
        buf_addf(&c->far_out, "%zx\r\n", piece->len);
        buf_add(&c->far_out, piece->data, piece->len);
        buf_adds(&c->far_out, "\r\n");
    }
    if (c->up.done) {
        buf_adds(&c->far_out, "0\r\n\r\n");
    }
}

bool gate_take_body(struct gate *c)
{
    struct proxy_run *run = c->link.run;
    auto_buf piece = {0};
    size_t used;

    if (c->up.done || c->in.len == 0 || c->far_out.len > GATE_ROOM) {
        return true;
    }
    if (!body_feed(&c->up, c->in.data, c->in.len, &used, &piece)) {
        gate_fail(c, 400, "the chunks of the request's body are framed wrongly", true);
        return false;
    }
    buf_drop(&c->in, used);
    c->up_bytes += piece.len;
    if (c->up_bytes > c->gw->body_max) {
        gate_fail(c, 413, "the request's body is larger than may be", true);
        return false;
    }
    if (piece.len > run->bytes_left) {
        run_over_cap(run);
        return false;
    }
    run->bytes_left -= piece.len;
    run->counts.bytes_up += piece.len;
    frame_up(c, &piece);
    return true;
}

/* ---- what is asked ---- */

/* The reason to refuse it, of those that hold for all that asks the far side. */
static bool budget_allows(struct gate *c)
{
    struct proxy_run *run = c->link.run;
    const struct gateway *g = c->gw;
    char why[160];

    if (g->kind == GATEWAY_GIT && run->sealed) {
        gate_refuse(c, 403, RUN_SEALED, true);
    } else if (run->connections_left == 0) {
        gate_refuse(c, 403, "the run's connections are used up", true);
    } else if (run->bytes_left == 0) {
        gate_refuse(c, 403, "the run's bytes are used up", true);
    } else if (g->requests_max && g->requests >= g->requests_max) {
        snprintf(why, sizeof why, "the budget of this scan is spent: %u of %u requests",
                 g->requests, g->requests_max);
        gate_refuse(c, 429, why, true);
    } else if (g->tokens_max && g->tokens >= g->tokens_max) {
        snprintf(why, sizeof why,
                 "the budget of this scan is spent: %" PRIu64 " of %" PRIu64 " tokens", g->tokens,
                 g->tokens_max);
        gate_refuse(c, 429, why, true);
    } else {
        return true;
    }
    return false;
}

static void pass_on(struct gate *c)
{
    struct proxy_run *run = c->link.run;
    const char *expect = msg_get(&c->msg, "Expect", NULL);

    if (c->up.kind == BODY_LENGTH && c->up.left > c->gw->body_max) {
        gate_refuse(c, 413, "the request's body is larger than may be", true);
        return;
    }
    if (expect && strcasecmp(expect, "100-continue") != 0) {
        gate_refuse(c, 400, "of all expectations 100-continue is known", true);
        return;
    }
    if (!budget_allows(c)) {
        return;
    }
    if (expect && c->in.len == 0 && c->msg.minor == 1) {
        buf_adds(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    if (c->gw->kind == GATEWAY_MESSAGES) {
        run->counts.api_requests++;
        run_seal(run);
    }
    c->gw->requests++;
    run->connections_left--;
    c->link.carries = true;
    c->link.checkout = c->gw->kind == GATEWAY_GIT;
    timer_stop(&c->link.late);
    far_begin(c);
}

/* A whole head is there. */
static void take_request(struct gate *c)
{
    struct gateway *g = gateway_of_target(&c->link.run->gateways, c->msg.target);
    const char *why;

    c->keeps = msg_keeps(&c->msg);
    if (!msg_request_body(&c->msg, &c->up, &why)) {
        gate_refuse(c, 400, why, true);
        return;
    }
    if (!g) {
        gate_refuse(c, 403, "there is no gateway of this path", true);
        return;
    }
    c->gw = g;
    c->route = gateway_route(g, &c->msg, &c->target);
    if (c->route.status == 0) {
        pass_on(c);
    } else if (c->route.status == 200) {
        c->keeps = c->keeps && c->up.done;
        buf_addf(&c->out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%s\r\n",
                 c->keeps ? "" : "Connection: close\r\n");
        gate_answered(c);
    } else {
        gate_refuse(c, c->route.status, c->route.why, true);
    }
}

/* ---- the connection ---- */

/* Reads what there is. False: the gate is gone. */
static bool take_in(struct gate *c)
{
    ssize_t n;

    if (c->in.len >= IN_MAX) {
        return true;
    }
    n = recv(c->link.tool.fd, buf_space(&c->in, PIECE), PIECE, MSG_DONTWAIT);
    if (n > 0) {
        c->in.len += (size_t)n;
        c->in.data[c->in.len] = '\0';
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        /* Nobody is there to hear the answer: it is not worth its price. */
        gate_free(c, c->state != GATE_HEAD || c->in.len > 0);
        return false;
    }
    return true;
}

bool gate_send(struct gate *c, bool *moved)
{
    while (c->out.len > 0) {
        ssize_t n = send(c->link.tool.fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return true;
        }
        if (n < 0) {
            gate_free(c, true);
            return false;
        }
        buf_drop(&c->out, (size_t)n);
        *moved = true;
    }
    return true;
}

void gate_watch(struct gate *c, bool again)
{
    watch_events(&c->link.tool,
                 (c->in.len < IN_MAX ? EPOLLIN : 0) | (c->out.len > 0 || again ? EPOLLOUT : 0));
}

/* False: more has to come. */
static bool take_head(struct gate *c)
{
    const char *why;
    size_t len;
    int status = msg_request(c->in.data ? c->in.data : "", c->in.len, &c->msg, &len, &why);

    if (status == 0) {
        return false;
    }
    if (status == 200) {
        buf_drop(&c->in, len);
        take_request(c);
        return true;
    }
    c->keeps = false;
    c->up.done = true;
    gate_refuse(c, status, why, true);
    return true;
}

/* As far as it goes now; several requests may be waiting. */
static void go_on(struct gate *c)
{
    bool moved = false;

    for (;;) {
        if (c->state == GATE_HEAD && !take_head(c)) {
            break;
        }
        if (c->state != GATE_FLUSH) {
            return; /* the far side's turn, or gone with it */
        }
        if (!gate_send(c, &moved)) {
            return;
        }
        if (c->out.len > 0) {
            break;
        }
        if (!c->keeps) {
            link_part(&c->link, NULL, 0);
            return;
        }
        c->state = GATE_HEAD;
        gate_await(c, c->in.len > 0 ? c->link.run->pp->config->header_ms
                                    : c->link.run->pp->config->idle_ms);
    }
    gate_watch(c, false);
}

static void on_tool(struct watch *w, uint32_t events)
{
    struct gate *c = container_of(w, struct gate, link.tool);
    size_t had = c->in.len;

    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        gate_free(c, true);
        return;
    }
    if ((events & EPOLLIN) != 0 && !take_in(c)) {
        return;
    }
    if (c->state == GATE_HEAD && had == 0 && c->in.len > 0) {
        gate_await(c, c->link.run->pp->config->header_ms);
    }
    if (c->state == GATE_RELAY) {
        far_pump(c);
    } else if (c->state == GATE_HEAD || c->state == GATE_FLUSH) {
        go_on(c);
    } else {
        gate_watch(c, false);
    }
}

static void on_late(struct timer *t)
{
    struct gate *c = container_of(t, struct gate, link.late);

    if (c->state == GATE_FLUSH || c->answered) {
        gate_free(c, true);
    } else if (c->state == GATE_HEAD && c->in.len == 0) {
        gate_free(c, false); /* nothing more was asked */
    } else if (c->state == GATE_HEAD) {
        c->keeps = false;
        gate_refuse(c, 408, "the request's head did not come in time", true);
    } else if (c->state == GATE_SHAKE) {
        gate_refuse(c, 502, "the far side did not begin TLS in time", false);
    } else if (!c->up.done && c->far_out.len == 0) {
        gate_refuse(c, 408, "the request's body did not come in time", true);
    } else {
        gate_refuse(c, 504, "the far side did not answer in time", false);
    }
}

void gate_new(struct proxy_run *run, int fd, const char *p, size_t n)
{
    struct gate *c = xcalloc(1, sizeof *c);

    c->link.end = on_end;
    c->reach.far.fd = -1;
    buf_add(&c->in, p, n);
    c->gw = gateway_of_head(&run->gateways, p, n);
    if (!link_init(&c->link, run, fd, on_tool)) {
        gate_free(c, true);
        return;
    }
    gate_await(c, run->pp->config->header_ms);
    go_on(c);
}
