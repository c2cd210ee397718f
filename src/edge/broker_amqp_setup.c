/* Dialling, declaring, consuming. */
#include <string.h>

#include "base/mem.h"
#include "edge/broker_amqp.h"

enum { DIAL_S = 3, ANSWER_S = 5, HEARTBEAT_S = 30, FRAME_MAX = 131072, NOT_THERE = 404 };

static const amqp_table_t no_table;
static const amqp_bytes_t no_bytes;

/* What a server says at the end of a connection or a channel. */
static bool server_text(const amqp_method_t *m, uint16_t *code, amqp_bytes_t *text)
{
    if (m->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *c = m->decoded;

        *code = c->reply_code;
        *text = c->reply_text;
        return true;
    }
    if (m->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *c = m->decoded;

        *code = c->reply_code;
        *text = c->reply_text;
        return true;
    }
    return false;
}

int amqp_reply_error(const struct broker *b, amqp_rpc_reply_t r, const char *what, struct err *e)
{
    auto_buf text = {.cap = 300};
    amqp_bytes_t said;
    uint16_t code;

    if (r.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && server_text(&r.reply, &code, &said)) {
        buf_add_escaped(&text, said.bytes, said.len);
    } else if (r.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        buf_adds(&text, b->lib->error_string(r.library_error));
    } else {
        buf_adds(&text, "the answer is not one of AMQP");
    }
    return err_set(e, ERR_IO, "%s: %s", what, text.data ? text.data : "");
}

/* ---- connections ---- */

static amqp_socket_t *make_socket(struct broker *b, amqp_connection_state_t c, struct err *e)
{
    const char *ca = edge_url_parameter(&b->url, "ca");
    amqp_socket_t *s;

    if (!b->url.tls) {
        s = b->lib->tcp_socket_new(c);
        return s ? s : (err_set(e, ERR_IO, "no socket"), NULL);
    }
    ca = ca ? ca : "/etc/ssl/certs/ca-certificates.crt";
    s = b->lib->ssl_socket_new(c);
    if (!s || b->lib->ssl_socket_set_cacert(s, ca) != AMQP_STATUS_OK) {
        err_set(e, ERR_IO, "the certificates in %s cannot be used", ca);
        return NULL;
    }
    b->lib->ssl_socket_set_verify_peer(s, 1);
    b->lib->ssl_socket_set_verify_hostname(s, 1);
    return s;
}

static int log_in(struct broker *b, amqp_connection_state_t c, struct err *e)
{
    amqp_table_entry_t can[] = {
        {.key = amqp_text("connection.blocked")},
        {.key = amqp_text("consumer_cancel_notify")},
        {.key = amqp_text("publisher_confirms")},
        {.key = amqp_text("basic.nack")},
    };
    amqp_table_entry_t about[] = {
        {.key = amqp_text("capabilities")},
        {.key = amqp_text("connection_name")},
    };
    const amqp_table_t properties = {.num_entries = ARRAY_LEN(about), .entries = about};
    const char *user = b->url.user ? b->url.user : "guest";
    const char *password = b->url.password ? b->url.password : "guest";
    amqp_rpc_reply_t r;

    for (size_t i = 0; i < ARRAY_LEN(can); i++) {
        can[i].value.kind = AMQP_FIELD_KIND_BOOLEAN;
        can[i].value.value.boolean = 1;
    }
    about[0].value.kind = AMQP_FIELD_KIND_TABLE;
    about[0].value.value.table = (amqp_table_t){.num_entries = ARRAY_LEN(can), .entries = can};
    about[1].value.kind = AMQP_FIELD_KIND_UTF8;
    about[1].value.value.bytes = amqp_text("scanpod");
    r = b->lib->login_with_properties(c, b->url.vhost, 0, FRAME_MAX, HEARTBEAT_S, &properties,
                                      AMQP_SASL_METHOD_PLAIN, user, password);
    return r.reply_type == AMQP_RESPONSE_NORMAL ? 0 : amqp_reply_error(b, r, "log in", e);
}

static int open_channel(struct broker *b, struct link *l, amqp_channel_t n, struct err *e)
{
    b->lib->channel_open(l->c, n);
    return b->lib->get_rpc_reply(l->c).reply_type == AMQP_RESPONSE_NORMAL
               ? 0
               : amqp_reply_error(b, b->lib->get_rpc_reply(l->c), "open a channel", e);
}

static int dial(struct broker *b, struct link *l, struct err *e)
{
    const struct timeval within = {.tv_sec = DIAL_S}, answer = {.tv_sec = ANSWER_S};
    amqp_socket_t *s;
    int rc;

    l->c = b->lib->new_connection();
    s = l->c ? make_socket(b, l->c, e) : NULL;
    if (!s) {
        return ERR_IO;
    }
    b->lib->set_handshake_timeout(l->c, &answer);
    b->lib->set_rpc_timeout(l->c, &answer);
    rc = b->lib->socket_open_noblock(s, b->url.host, b->url.port, &within);
    if (rc != AMQP_STATUS_OK) {
        return err_set(e, ERR_IO, "connect: %s", b->lib->error_string(rc));
    }
    rc = log_in(b, l->c, e);
    return rc ? rc : open_channel(b, l, AMQP_CHANNEL, e);
}

void amqp_hang_up(struct broker *b, struct link *l)
{
    watch_del(&l->watch);
    if (l->c) {
        b->lib->destroy_connection(l->c); /* the broker sees it, and brings again what we had */
        l->c = NULL;
    }
    broker_message_free(take_ptr(&l->message));
}

/* ---- queues ---- */

/* After a declaration: 0; 1: there is no such thing, and the channel is open again. */
static int outcome(struct broker *b, const char *what, struct err *e)
{
    amqp_rpc_reply_t r = b->lib->get_rpc_reply(b->out.c);
    amqp_channel_close_ok_t ok = {0};
    amqp_bytes_t text;
    uint16_t code = 0;
    int rc;

    if (r.reply_type == AMQP_RESPONSE_NORMAL) {
        return 0;
    }
    amqp_reply_error(b, r, what, e);
    if (r.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || r.reply.id != AMQP_CHANNEL_CLOSE_METHOD ||
        !server_text(&r.reply, &code, &text)) {
        return ERR_IO;
    }
    rc = b->lib->send_method(b->out.c, AMQP_SETUP_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    if (rc != AMQP_STATUS_OK || open_channel(b, &b->out, AMQP_SETUP_CHANNEL, e) != 0) {
        return ERR_IO;
    }
    return code == NOT_THERE ? 1 : ERR_DENIED;
}

static int have_queue(struct broker *b, const char *name, struct err *e)
{
    auto_free char *what = str_fmt("queue '%s'", name);
    int rc;

    b->lib->queue_declare(b->out.c, AMQP_SETUP_CHANNEL, amqp_text(name), 1, 0, 0, 0, no_table);
    rc = outcome(b, what, e);
    if (rc == 1) {
        b->lib->queue_declare(b->out.c, AMQP_SETUP_CHANNEL, amqp_text(name), 0, 1, 0, 0, no_table);
        rc = outcome(b, what, e);
    }
    return rc == 1 ? ERR_IO : rc;
}

static int have_dead(struct broker *b, struct err *e)
{
    auto_free char *what = str_fmt("exchange '%s'", b->dlx);
    amqp_bytes_t x = amqp_text(b->dlx);
    int rc;

    b->lib->exchange_declare(b->out.c, AMQP_SETUP_CHANNEL, x, amqp_text("fanout"), 1, 0, 0, 0,
                             no_table);
    rc = outcome(b, what, e);
    if (rc == 1) {
        b->lib->exchange_declare(b->out.c, AMQP_SETUP_CHANNEL, x, amqp_text("fanout"), 0, 1, 0, 0,
                                 no_table);
        rc = outcome(b, what, e);
    }
    rc = rc ? rc : have_queue(b, b->dead, e);
    if (rc == 0) {
        b->lib->queue_bind(b->out.c, AMQP_SETUP_CHANNEL, amqp_text(b->dead), x,
                           amqp_text(b->source->queue), no_table);
        rc = outcome(b, "bind the queue of dead letters", e);
    }
    return rc == 1 ? ERR_IO : rc;
}

int amqp_setup_results(struct broker *b, struct err *e)
{
    return have_queue(b, b->source->results, e);
}

static int publisher(struct broker *b, struct err *e)
{
    struct err ignored;
    int rc = dial(b, &b->out, e);

    rc = rc ? rc : open_channel(b, &b->out, AMQP_SETUP_CHANNEL, e);
    rc = rc ? rc : have_queue(b, b->source->queue, e);
    rc = rc ? rc : have_dead(b, e);
    if (rc == 0 && amqp_setup_results(b, &ignored) == ERR_IO) { /* else each result tells it */
        *e = ignored;
        rc = ERR_IO;
    }
    if (rc != 0) {
        return rc;
    }
    b->lib->confirm_select(b->out.c, AMQP_CHANNEL);
    if (b->lib->get_rpc_reply(b->out.c).reply_type != AMQP_RESPONSE_NORMAL) {
        return amqp_reply_error(b, b->lib->get_rpc_reply(b->out.c), "confirms", e);
    }
    return 0;
}

static int consumer(struct broker *b, struct err *e)
{
    int rc = dial(b, &b->in, e);

    if (rc != 0) {
        return rc;
    }
    b->lib->basic_qos(b->in.c, AMQP_CHANNEL, 0, EDGE_PREFETCH, 0);
    if (b->lib->get_rpc_reply(b->in.c).reply_type == AMQP_RESPONSE_NORMAL) {
        b->lib->basic_consume(b->in.c, AMQP_CHANNEL, amqp_text(b->source->queue), no_bytes, 0, 0, 0,
                              no_table);
    }
    return b->lib->get_rpc_reply(b->in.c).reply_type == AMQP_RESPONSE_NORMAL
               ? 0
               : amqp_reply_error(b, b->lib->get_rpc_reply(b->in.c), "consume", e);
}

int amqp_setup(struct broker *b, struct err *e)
{
    auto_buf where = {0};
    int rc = publisher(b, e);

    rc = rc ? rc : consumer(b, e);
    edge_url_text(&b->url, &where);
    return rc ? err_prefix(e, ERR_IO, "%s", where.data) : 0;
}
