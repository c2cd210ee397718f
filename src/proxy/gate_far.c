/* The far side of a gate: connection, TLS, the request with the secret, the answer without it. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "proxy/gate.h"
#include "proxy/server.h"

enum { PIECE = 16384, ROUNDS = 8, INTERIM_MAX = 8 };

/* ---- the end ---- */

static void forget_secret(struct buf *b)
{
    if (b->data) {
        secure_zero(b->data, b->size);
    }
}

void far_done(struct gate *c, bool reset)
{
    if (c->tls && !reset) {
        tls_client_bye(c->tls);
    }
    tls_client_free(take_ptr(&c->tls));
    reach_stop(&c->reach, reset);
    forget_secret(&c->far_out);
    buf_done(&c->far_out);
    buf_done(&c->far_in);
    buf_done(&c->plain);
    buf_done(&c->target);
    msg_done(&c->msg);
    c->answered = c->far_deaf = c->chunked = false;
    c->interim = 0;
    c->up_bytes = c->tokens = 0;
    c->leak = (struct leak_stream){0};
    c->usage = (struct usage){0};
}

/* ---- bytes ---- */

static ssize_t far_write(struct gate *c)
{
    ssize_t n;

    if (c->tls) {
        n = tls_client_write(c->tls, c->far_out.data, c->far_out.len);
        return n == TLS_CLIENT_AGAIN ? 0 : n;
    }
    n = send(c->reach.far.fd, c->far_out.data, c->far_out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

enum far_read { FAR_DATA, FAR_AGAIN, FAR_END, FAR_BROKEN };

static enum far_read far_read(struct gate *c, char *p, size_t size, size_t *n)
{
    ssize_t got;
    bool again;

    if (c->tls) {
        got = tls_client_read(c->tls, p, size);
        again = got == TLS_CLIENT_AGAIN;
    } else {
        got = recv(c->reach.far.fd, p, size, MSG_DONTWAIT);
        again = got < 0 && (errno == EAGAIN || errno == EINTR);
    }
    *n = got > 0 ? (size_t)got : 0;
    return got > 0 ? FAR_DATA : got == 0 ? FAR_END : again ? FAR_AGAIN : FAR_BROKEN;
}

static void send_far(struct gate *c, bool *moved)
{
    while (c->far_out.len > 0 && !c->far_deaf) {
        ssize_t n = far_write(c);

        if (n == 0) {
            return;
        }
        *moved = true;
        if (n < 0) { /* it may have answered before it closed */
            c->far_deaf = true;
        } else {
            buf_drop(&c->far_out, (size_t)n);
        }
    }
    if (c->far_out.len == 0 || c->far_deaf) {
        forget_secret(&c->far_out);
        buf_reset(&c->far_out);
    }
}

/* ---- the answer's body ---- */

static void count_tokens(struct gate *c, const char *p, size_t n)
{
    struct proxy_counts *counts = &c->link.run->counts;
    uint64_t in = usage_input(&c->usage), out = usage_output(&c->usage), all;

    usage_feed(&c->usage, p, n);
    counts->input_tokens += usage_input(&c->usage) - in;
    counts->output_tokens += usage_output(&c->usage) - out;
    all = usage_input(&c->usage) + usage_output(&c->usage);
    c->gw->tokens += all - c->tokens;
    c->tokens = all;
}

/* All but the last `held` bytes of `plain`. */
static void hand_down(struct gate *c, size_t held)
{
    size_t n = c->plain.len - held;

    if (n > 0 && c->chunked) {
        buf_addf(&c->out, "%zx\r\n", n);
    }
    buf_add(&c->out, c->plain.data, n);
    if (n > 0 && c->chunked) {
        buf_adds(&c->out, "\r\n");
    }
    buf_drop(&c->plain, n);
    if (c->down.done && c->chunked) {
        buf_adds(&c->out, "0\r\n\r\n");
    }
}

/* False: the gate is gone. */
static bool take_down(struct gate *c, const char *p, size_t n)
{
    struct proxy_run *run = c->link.run;
    size_t before = c->plain.len, held, used, fresh;

    if (!body_feed(&c->down, p, n, &used, &c->plain)) {
        gate_free(c, true);
        return false;
    }
    fresh = c->plain.len - before;
    if (leak_feed(c->gw->leak, &c->leak, c->plain.data + before, fresh, &held)) {
        run->counts.failed++;
        gate_free(c, true);
        return false;
    }
    if (fresh > run->bytes_left) {
        run_over_cap(run);
        return false;
    }
    run->bytes_left -= fresh;
    run->counts.bytes_down += fresh;
    if (c->route.counts) {
        count_tokens(c, c->plain.data + before, fresh);
    }
    hand_down(c, c->down.done ? 0 : held);
    return true;
}

/* ---- the answer's head ---- */

static void frame_down(struct gate *c)
{
    if (c->down.kind == BODY_LENGTH && c->down.left > 0) {
        buf_addf(&c->out, "Content-Length: %" PRIu64 "\r\n", c->down.left);
    } else if (c->down.kind == BODY_LENGTH) {
        buf_adds(&c->out, "Content-Length: 0\r\n");
    } else if (c->msg.minor == 1) {
        c->chunked = true;
        buf_adds(&c->out, "Transfer-Encoding: chunked\r\n");
    } else {
        c->keeps = false;
    }
    buf_adds(&c->out, c->keeps ? "\r\n" : "Connection: close\r\n\r\n");
}

static bool answer_passes(struct gate *c, const struct msg *m, const char **why)
{
    if (m->status == 101) {
        *why = "the far side changed to another protocol, though nobody asked for that";
        return false;
    }
    *why = gateway_distrusts(&c->route, m);
    return !*why && msg_answer_body(m, &c->down, why);
}

/* A head that is whole and goes to the box. */
static bool take_answer(struct gate *c, const struct msg *m)
{
    const char *type = msg_get(m, "Content-Type", NULL), *why;

    if (!answer_passes(c, m, &why)) {
        gate_fail(c, 502, why, false);
        return false;
    }
    c->answered = true;
    c->keeps = c->keeps && c->up.done;
    c->route.counts = c->route.counts && m->status == 200;
    c->usage.events = type && strncasecmp(type, "text/event-stream", 17) == 0;
    gateway_answer(m, &c->out);
    frame_down(c);
    return true;
}

static bool has_secret(const struct gate *c, const char *p, size_t n)
{
    struct leak_stream once = {0};
    size_t held;

    return leak_feed(c->gw->leak, &once, p, n, &held);
}

/* False: the request is over, or the gate is gone. */
static bool take_heads(struct gate *c)
{
    while (!c->answered) {
        struct msg m;
        const char *why;
        size_t len;
        int status = msg_answer(c->far_in.data, c->far_in.len, &m, &len, &why);
        bool passes;

        if (status == 0) {
            return true;
        }
        if (status != 200 || has_secret(c, c->far_in.data, len)) {
            if (status == 200) {
                msg_done(&m);
                why = "the far side answered with the secret: nothing of it is handed on";
            }
            gate_fail(c, 502, why, false);
            return false;
        }
        passes = m.status >= 200 || m.status == 101;
        if (passes ? !take_answer(c, &m) : ++c->interim > INTERIM_MAX) {
            msg_done(&m);
            if (!passes) {
                gate_fail(c, 502, "the far side never comes to an answer", false);
            }
            return false;
        }
        msg_done(&m);
        buf_drop(&c->far_in, len);
    }
    return true;
}

static bool take_piece(struct gate *c, const char *p, size_t n)
{
    bool there;

    if (c->answered) {
        return take_down(c, p, n);
    }
    buf_add(&c->far_in, p, n);
    if (!take_heads(c)) {
        return false;
    }
    there = !c->answered || take_down(c, c->far_in.data, c->far_in.len);
    if (there && c->answered) {
        buf_reset(&c->far_in);
    }
    return there;
}

/* Nothing more comes. False: always. */
static bool far_ended(struct gate *c, enum far_read how)
{
    if (!c->answered) {
        gate_fail(c, 502, "the far side closed the connection without an answer", false);
    } else if (c->down.kind == BODY_TO_END && how == FAR_END) {
        c->down.done = true;
        hand_down(c, 0);
        gate_answered(c);
    } else {
        gate_free(c, true);
    }
    return false;
}

/* ---- both ways ---- */

/* Once each way. False: the request is over, or the gate is gone. */
static bool round_trip(struct gate *c, bool *moved)
{
    char piece[PIECE];
    size_t n;

    if (!gate_take_body(c)) {
        return false;
    }
    send_far(c, moved);
    if (c->out.len < GATE_ROOM) {
        enum far_read how = far_read(c, piece, sizeof piece, &n);

        if (how == FAR_END || how == FAR_BROKEN) {
            return far_ended(c, how);
        }
        if (how == FAR_DATA) {
            *moved = true;
            if (!take_piece(c, piece, n)) {
                return false;
            }
        }
    }
    if (c->answered && c->down.done) {
        gate_answered(c);
        return false;
    }
    return gate_send(c, moved);
}

static uint32_t patience(const struct gate *c)
{
    const struct proxy_config *config = c->link.run->pp->config;

    return c->up.done && c->gw->kind == GATEWAY_MESSAGES ? config->answer_ms : config->idle_ms;
}

void far_pump(struct gate *c)
{
    bool moved = true, any = false;

    for (int i = 0; i < ROUNDS && moved; i++) {
        moved = false;
        if (!round_trip(c, &moved)) {
            return;
        }
        any = any || moved;
    }
    if (any) {
        gate_await(c, patience(c));
    }
    gate_watch(c, moved);
    watch_events(&c->reach.far, (c->out.len < GATE_ROOM ? EPOLLIN : 0) |
                                    (c->far_out.len > 0 && !c->far_deaf ? EPOLLOUT : 0));
}

static void begin_relay(struct gate *c)
{
    c->state = GATE_RELAY;
    c->link.run->counts.passed++;
    gate_await(c, patience(c));
    far_pump(c);
}

/* ---- the connection ---- */

static void shake(struct gate *c)
{
    int rc = tls_client_handshake(c->tls);

    if (rc == 0) {
        begin_relay(c);
    } else if (rc == TLS_CLIENT_AGAIN) {
        watch_events(&c->reach.far, tls_client_wants_write(c->tls) ? EPOLLOUT : EPOLLIN);
    } else {
        const struct proxy_place *to = &c->gw->upstream.v[0].place;
        char address[NET_TEXT];
        auto_free char *why = NULL;

        net_ip_text(&to->ip, address);
        why = str_fmt("TLS with %s port %u: %s", to->name ? to->name : address, to->port,
                      tls_client_why(c->tls));
        gate_refuse(c, 502, why, tls_client_distrusts(c->tls));
    }
}

static void on_far(struct watch *w, uint32_t events)
{
    struct gate *c = container_of(w, struct gate, reach.far);

    (void)events;
    if (c->state == GATE_SHAKE) {
        shake(c);
    } else {
        far_pump(c);
    }
}

static void begin_tls(struct gate *c)
{
    const struct proxy_place *to = &c->gw->upstream.v[0].place;
    const struct tls_trust *trust;
    const char *why;
    char address[NET_TEXT];

    if (!process_trust(c->link.run->pp, c->gw->ca_file, &trust, &why)) {
        gate_refuse(c, 502, why, true);
        return;
    }
    net_ip_text(&to->ip, address);
    c->tls = tls_client_new(trust, c->reach.far.fd, to->name ? to->name : address);
    if (!c->tls) {
        gate_refuse(c, 502, "TLS could not be begun", false);
        return;
    }
    c->state = GATE_SHAKE;
    gate_await(c, c->link.run->pp->config->connect_ms);
    shake(c);
}

static void on_reached(struct reach *r, int status, const char *why)
{
    struct gate *c = container_of(r, struct gate, reach);

    if (status != 200) {
        gate_refuse(c, status, why, status == 403);
        return;
    }
    r->far.fn = on_far;
    r->far.events = EPOLLIN;
    if (watch_add(r->pp->loop, &r->far, NULL) != 0) {
        gate_refuse(c, 502, "there is no room for another connection", false);
    } else if (c->gw->tls) {
        begin_tls(c);
    } else {
        begin_relay(c);
    }
}

void far_begin(struct gate *c)
{
    const char *why;

    if (!gateway_request(c->gw, c->link.run->pp->config->secrets, &c->msg, c->target.data, &c->up,
                         &c->far_out, &why)) {
        gate_refuse(c, 403, why, true);
        return;
    }
    c->state = GATE_REACH;
    c->reach.done = on_reached;
    reach_start(&c->reach, c->link.run->pp, &c->gw->upstream.v[0]);
}
