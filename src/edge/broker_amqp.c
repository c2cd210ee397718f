#include "edge/broker_amqp.h"

#include <string.h>

#include "base/mem.h"
#include "edge/amqp_table.h"

enum { TICK_MS = 1000, RAW_MAX = 4 * EDGE_BODY_MAX, KEPT_MAX = 64 << 10 };

/* ---- the end ---- */

void amqp_lost(struct broker *b, const char *why)
{
    auto_buf text = {0};

    if (b->lost) {
        return;
    }
    b->lost = true;
    watch_del(&b->in.watch);
    watch_del(&b->out.watch);
    edge_url_text(&b->url, &text);
    buf_addf(&text, ": %s", why);
    b->ev.lost(b->ev.arg, text.data);
}

static void closed_by_server(struct broker *b, const amqp_method_t *m)
{
    amqp_rpc_reply_t r = {.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION, .reply = *m};
    struct err e;

    amqp_reply_error(b, r, "it ends the connection", &e);
    amqp_lost(b, e.msg);
}

/* ---- messages ---- */

static char *text_of(const amqp_basic_properties_t *p, amqp_flags_t flag, amqp_bytes_t b)
{
    return p->_flags & flag ? xstrndup(b.len ? b.bytes : "", b.len) : NULL;
}

static void begin_delivery(struct link *l, const amqp_basic_deliver_t *d)
{
    broker_message_free(take_ptr(&l->message));
    l->message = xcalloc(1, sizeof *l->message);
    l->message->tag = d->delivery_tag;
    l->message->redelivered = d->redelivered;
    l->reading = READ_DELIVERY;
    l->head = true;
}

static void take_head(struct link *l, const amqp_frame_t *f)
{
    const amqp_basic_properties_t *p = f->payload.properties.decoded;
    struct broker_message *m = l->message;

    l->left = f->payload.properties.body_size;
    l->head = false;
    if (l->reading == READ_RETURN) {
        amqp_returned(l->broker, p);
        return;
    }
    m->size = l->left;
    m->content_type = text_of(p, AMQP_BASIC_CONTENT_TYPE_FLAG, p->content_type);
    m->content_encoding = text_of(p, AMQP_BASIC_CONTENT_ENCODING_FLAG, p->content_encoding);
    m->correlation = text_of(p, AMQP_BASIC_CORRELATION_ID_FLAG, p->correlation_id);
    m->reply_to = text_of(p, AMQP_BASIC_REPLY_TO_FLAG, p->reply_to);
    m->message_id = text_of(p, AMQP_BASIC_MESSAGE_ID_FLAG, p->message_id);
    buf_add(&m->properties, f->payload.properties.raw.bytes, f->payload.properties.raw.len);
    if (p->_flags & AMQP_BASIC_HEADERS_FLAG) {
        m->headers = amqp_table_json(&p->headers);
    }
}

/* A message that is too large is read to its end, and its first bytes are kept. */
static bool take_body(struct link *l, const amqp_bytes_t *part)
{
    if (part->len > l->left) {
        return false;
    }
    l->left -= part->len;
    if (l->reading == READ_DELIVERY) {
        struct broker_message *m = l->message;
        size_t most = m->size > RAW_MAX ? KEPT_MAX : RAW_MAX;

        buf_add(&m->body, part->bytes, MIN(part->len, most - m->body.len));
    }
    return true;
}

static void end_message(struct link *l)
{
    struct broker_message *m = take_ptr(&l->message);

    if (l->reading == READ_DELIVERY) {
        l->broker->ev.message(l->broker->ev.arg, m);
    }
    l->reading = READ_NOTHING;
}

/* ---- frames ---- */

static void take_method(struct link *l, const amqp_method_t *m)
{
    struct broker *b = l->broker;

    switch (m->id) {
    case AMQP_BASIC_DELIVER_METHOD:
        begin_delivery(l, m->decoded);
        break;
    case AMQP_BASIC_RETURN_METHOD:
        l->reading = READ_RETURN;
        l->head = true;
        break;
    case AMQP_BASIC_ACK_METHOD:
        amqp_confirmed(b, ((amqp_basic_ack_t *)m->decoded)->delivery_tag,
                       ((amqp_basic_ack_t *)m->decoded)->multiple, true);
        break;
    case AMQP_BASIC_NACK_METHOD:
        amqp_confirmed(b, ((amqp_basic_nack_t *)m->decoded)->delivery_tag,
                       ((amqp_basic_nack_t *)m->decoded)->multiple, false);
        break;
    case AMQP_BASIC_CANCEL_METHOD:
        amqp_lost(b, "the queue was deleted");
        break;
    case AMQP_CONNECTION_BLOCKED_METHOD:
        b->blocked = b->blocked || l == &b->out;
        break;
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        if (l == &b->out) {
            amqp_unblocked(b);
        }
        break;
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
        closed_by_server(b, m);
        break;
    default:
        break;
    }
}

static void take_frame(struct link *l, const amqp_frame_t *f)
{
    bool ok = true;

    if (f->frame_type == AMQP_FRAME_METHOD) {
        ok = l->reading == READ_NOTHING || f->channel != AMQP_CHANNEL;
        take_method(l, &f->payload.method);
    } else if (f->frame_type == AMQP_FRAME_HEADER) {
        ok = l->reading != READ_NOTHING && l->head;
        if (ok) {
            take_head(l, f);
        }
    } else if (f->frame_type == AMQP_FRAME_BODY) {
        ok = l->reading != READ_NOTHING && !l->head && take_body(l, &f->payload.body_fragment);
    }
    if (!ok) {
        amqp_lost(l->broker, "it sends frames in an order that AMQP does not know");
    } else if (l->reading != READ_NOTHING && !l->head && l->left == 0) {
        end_message(l);
    }
}

/* Everything that is there, heartbeats too. */
static void pump(struct link *l)
{
    struct broker *b = l->broker;
    const struct timeval now = {0};
    int n = 0;

    while (!b->lost && n++ < AMQP_FRAMES_AT_ONCE) {
        amqp_frame_t f;
        int rc = b->lib->wait_frame(l->c, &f, &now);

        if (rc == AMQP_STATUS_TIMEOUT) {
            break;
        }
        if (rc != AMQP_STATUS_OK) {
            amqp_lost(b, b->lib->error_string(rc));
            return;
        }
        take_frame(l, &f);
    }
    b->lib->maybe_release_buffers(l->c);
    if (n > AMQP_FRAMES_AT_ONCE && !b->lost) {
        timer_arm(b->loop, &b->again, 0);
    }
}

static void on_link(struct watch *w, uint32_t events)
{
    (void)events;
    pump(container_of(w, struct link, watch));
}

/* What the library has read already no descriptor tells. */
static void on_again(struct timer *t)
{
    struct broker *b = container_of(t, struct broker, again);

    pump(&b->in);
    if (!b->lost) {
        pump(&b->out);
    }
}

static void on_tick(struct timer *t)
{
    struct broker *b = container_of(t, struct broker, tick);

    on_again(&b->again);
    if (!b->lost) {
        amqp_publish_tick(b);
    }
    if (!b->lost) {
        timer_arm(b->loop, t, TICK_MS);
    }
}

/* ---- the broker ---- */

static void rabbit_room(struct broker *b, unsigned n)
{
    (void)b; /* the prefetch is the broker's to keep */
    (void)n;
}

static void rabbit_ack(struct broker *b, struct broker_message *m)
{
    int rc = b->lib->basic_ack(b->in.c, AMQP_CHANNEL, m->tag, 0);

    if (rc == AMQP_STATUS_OK) {
        b->ev.settled(b->ev.arg, m);
    } else {
        amqp_lost(b, b->lib->error_string(rc));
    }
}

static void rabbit_give_back(struct broker *b, struct broker_message *m)
{
    int rc = b->lib->basic_nack(b->in.c, AMQP_CHANNEL, m->tag, 0, 1);

    if (rc != AMQP_STATUS_OK) {
        amqp_lost(b, b->lib->error_string(rc));
    }
}

static void rabbit_publish(struct broker *b, const struct edge_result *r)
{
    amqp_publish_result(b, r);
    timer_arm(b->loop, &b->again, 0); /* the answer may have been read with something else */
}

static void rabbit_close(struct broker *b)
{
    timer_stop(&b->tick);
    timer_stop(&b->again);
    amqp_publish_end(b, b->lost);
    if (b->lib) {
        amqp_hang_up(b, &b->in);
        amqp_hang_up(b, &b->out);
    }
    free(b->dlx);
    free(b->dead);
    edge_url_done(&b->url);
    free(b);
}

static int watch_link(struct broker *b, struct link *l, struct err *e)
{
    l->watch = (struct watch){.fd = b->lib->get_sockfd(l->c), .events = EPOLLIN, .fn = on_link};
    return watch_add(b->loop, &l->watch, e);
}

static int rabbit_open(const struct broker_start *s, struct broker **out, struct err *e)
{
    struct broker *b = xcalloc(1, sizeof *b);
    int rc = amqp_lib(&b->lib, e);

    b->loop = s->loop;
    b->source = s->source;
    b->ev = *s->events;
    b->tail = &b->pending;
    b->in.broker = b->out.broker = b;
    b->in.watch.fd = b->out.watch.fd = -1;
    b->tick.fn = on_tick;
    b->again.fn = on_again;
    b->dlx = str_fmt("%s.dlx", s->source->queue);
    b->dead = str_fmt("%s.dead", s->source->queue);
    rc = rc ? rc : edge_url_parse(s->source->url, &b->url, e);
    rc = rc ? rc : amqp_setup(b, e);
    rc = rc ? rc : watch_link(b, &b->in, e);
    rc = rc ? rc : watch_link(b, &b->out, e);
    if (rc != 0) {
        rabbit_close(b);
        return rc;
    }
    timer_arm(b->loop, &b->again, 0);
    timer_arm(b->loop, &b->tick, TICK_MS);
    *out = b;
    return 0;
}

const struct broker_kind broker_amqp = {
    .open = rabbit_open,
    .close = rabbit_close,
    .room = rabbit_room,
    .ack = rabbit_ack,
    .dead = amqp_publish_dead,
    .give_back = rabbit_give_back,
    .publish = rabbit_publish,
};
