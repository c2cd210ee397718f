/* Results and dead letters: persistent, mandatory, confirmed. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "edge/broker_amqp.h"
#include "edge/celery.h"

enum { CONFIRM_MS = 60000, PERSISTENT = 2, HEADERS_MAX = 64 };

static void pending_free(struct pending *p)
{
    free(p->event_id);
    free(p->reason);
    free(p);
}

static struct pending *pend(struct broker *b)
{
    struct pending *p = xcalloc(1, sizeof *p);

    p->since_ms = boot_ms();
    *b->tail = p;
    b->tail = &p->next;
    return p;
}

static void unpend(struct broker *b, struct pending *p)
{
    struct pending **at = &b->pending;

    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
    if (!p->next) {
        b->tail = at;
    }
}

/* False: the connection is lost, which was told. */
static bool send_now(struct broker *b, struct pending *p, const char *exchange, const char *key,
                     const amqp_basic_properties_t *props, amqp_bytes_t body)
{
    int rc = b->lib->basic_publish(b->out.c, AMQP_CHANNEL, amqp_text(exchange), amqp_text(key), 1,
                                   0, props, body);

    if (rc != AMQP_STATUS_OK) {
        amqp_lost(b, b->lib->error_string(rc));
        return false;
    }
    p->tag = ++b->published;
    p->since_ms = boot_ms();
    return true;
}

/* ---- results ---- */

static void send_result(struct broker *b, const struct edge_result *r, const char *to)
{
    amqp_basic_properties_t props = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG |
                  AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
                  AMQP_BASIC_APP_ID_FLAG,
        .content_type = amqp_text("application/json"),
        .content_encoding = amqp_text("utf-8"),
        .delivery_mode = PERSISTENT,
        .message_id = amqp_text(r->event_id),
        .app_id = amqp_text("scanpod"),
    };
    struct pending *p = pend(b);
    auto_buf text = {0};

    if (*r->correlation) {
        props._flags |= AMQP_BASIC_CORRELATION_ID_FLAG;
        props.correlation_id = amqp_text(r->correlation);
    }
    if (r->form == EDGE_CELERY) {
        celery_result(r, wall_us(), &text);
    } else {
        buf_adds(&text, r->body);
    }
    p->id = r->id;
    p->event_id = xstrdup(r->event_id);
    p->configured = !*r->reply_to;
    (void)send_now(b, p, "", to, &props, (amqp_bytes_t){.len = text.len, .bytes = text.data});
}

void amqp_publish_result(struct broker *b, const struct edge_result *r)
{
    const char *to = NULL;
    struct err e = {0};
    int rc = broker_destination(b->source, r, &to, &e);

    if (rc == 0 && to && b->blocked) {
        rc = err_set(&e, ERR_BUSY, "rabbitmq has paused its publishers");
    }
    if (rc == 0 && to) {
        send_result(b, r, to);
    } else {
        b->ev.sent(b->ev.arg, r->id, rc, rc ? e.msg : "");
    }
}

/* ---- dead letters ---- */

static amqp_table_entry_t header(const char *key, const char *text)
{
    amqp_table_entry_t x = {.key = amqp_text(key)};

    x.value.kind = AMQP_FIELD_KIND_UTF8;
    x.value.value.bytes = amqp_text(text);
    return x;
}

static bool is_key(const amqp_table_entry_t *x, const char *key)
{
    return x->key.len == strlen(key) && memcmp(x->key.bytes, key, x->key.len) == 0;
}

/* Those that would send it elsewhere too, and ours, are left out. */
static int keep_headers(const amqp_table_t *from, amqp_table_entry_t to[HEADERS_MAX])
{
    static const char *const dropped[] = {"CC", "BCC", "x-scanpod-reason", "x-scanpod-at",
                                          "x-scanpod-size"};
    int n = 0;

    for (int i = 0; i < from->num_entries && n < HEADERS_MAX - 3; i++) {
        bool drop = false;

        for (size_t k = 0; k < ARRAY_LEN(dropped); k++) {
            drop = drop || is_key(&from->entries[i], dropped[k]);
        }
        if (!drop) {
            to[n++] = from->entries[i];
        }
    }
    return n;
}

static void send_dead(struct broker *b, struct pending *p)
{
    const struct broker_message *m = p->message;
    amqp_table_entry_t headers[HEADERS_MAX];
    auto_free char *size = str_fmt("%zu", m->size);
    amqp_basic_properties_t props = {0};
    char at[RFC3339_LEN + 1];
    amqp_pool_t pool;
    void *old = NULL;
    int n = 0;

    b->lib->init_pool(&pool, 4096);
    if (b->lib->decode_properties(
            AMQP_BASIC_CLASS, &pool,
            (amqp_bytes_t){.len = m->properties.len, .bytes = m->properties.data},
            &old) == AMQP_STATUS_OK) {
        props = *(amqp_basic_properties_t *)old;
    }
    rfc3339_us(p->at_us, at);
    if (props._flags & AMQP_BASIC_HEADERS_FLAG) {
        n = keep_headers(&props.headers, headers);
    }
    headers[n++] = header("x-scanpod-reason", p->reason);
    headers[n++] = header("x-scanpod-at", at);
    if (m->size > m->body.len) {
        headers[n++] = header("x-scanpod-size", size);
    }
    props.headers = (amqp_table_t){.num_entries = n, .entries = headers};
    props.delivery_mode = PERSISTENT;
    props._flags |= AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
    /* A name that is not ours would be refused, and a dead letter does not expire. */
    props._flags &= ~(amqp_flags_t)(AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG);
    (void)send_now(b, p, b->dlx, b->source->queue, &props,
                   (amqp_bytes_t){.len = m->body.len, .bytes = m->body.data});
    b->lib->empty_pool(&pool);
}

void amqp_publish_dead(struct broker *b, struct broker_message *m, const struct broker_dead *d)
{
    struct pending *p = pend(b);

    p->message = m;
    p->reason = xstrdup(d->reason);
    p->at_us = d->at_us;
    if (!b->blocked) {
        send_dead(b, p);
    }
}

void amqp_unblocked(struct broker *b)
{
    b->blocked = false;
    for (struct pending *p = b->pending; p && !b->lost; p = p->next) {
        if (p->message && p->tag == 0) {
            send_dead(b, p);
        }
    }
}

/* ---- what became of them ---- */

static void dead_done(struct broker *b, struct broker_message *m)
{
    int rc = b->lib->basic_ack(b->in.c, AMQP_CHANNEL, m->tag, 0);

    if (rc == AMQP_STATUS_OK) {
        b->ev.settled(b->ev.arg, m);
    } else {
        amqp_lost(b, b->lib->error_string(rc));
    }
}

static void result_done(struct broker *b, const struct pending *p, bool ok)
{
    struct err e = {0};

    if (p->returned) {
        if (p->configured && amqp_setup_results(b, &e) == ERR_IO) {
            amqp_lost(b, e.msg);
        }
        b->ev.sent(b->ev.arg, p->id, ERR_NOT_FOUND, "no such queue");
    } else {
        b->ev.sent(b->ev.arg, p->id, ok ? 0 : ERR_IO, ok ? "" : "rabbitmq did not take it");
    }
}

static void done(struct broker *b, struct pending *p, bool ok)
{
    unpend(b, p);
    if (!p->message) {
        result_done(b, p, ok);
    } else if (ok && !p->returned) {
        dead_done(b, p->message);
    } else {
        amqp_lost(b, "the queue of dead letters does not take a message");
    }
    pending_free(p);
}

void amqp_confirmed(struct broker *b, uint64_t tag, bool multiple, bool ok)
{
    for (struct pending *p = b->pending, *after; p && !b->lost; p = after) {
        after = p->next;
        if (p->tag == tag || (multiple && p->tag && (p->tag < tag || tag == 0))) {
            done(b, p, ok);
        }
    }
}

/* It is told before its confirmation. The event's id says which result; that of dead letters is
 * whatever their senders had given, so that one of them stands for all. */
void amqp_returned(struct broker *b, const amqp_basic_properties_t *props)
{
    bool ours = props->_flags & AMQP_BASIC_APP_ID_FLAG && props->app_id.len == strlen("scanpod") &&
                memcmp(props->app_id.bytes, "scanpod", props->app_id.len) == 0;

    for (struct pending *p = b->pending; p; p = p->next) {
        if (p->message) {
            p->returned = p->returned || !ours;
        } else if (ours && p->event_id && props->message_id.len == strlen(p->event_id) &&
                   memcmp(props->message_id.bytes, p->event_id, props->message_id.len) == 0) {
            p->returned = true;
        }
    }
}

void amqp_publish_tick(struct broker *b)
{
    for (const struct pending *p = b->pending; p && !b->blocked; p = p->next) {
        if (p->tag && boot_ms() - p->since_ms > CONFIRM_MS) {
            amqp_lost(b, "rabbitmq does not confirm what is published");
            return;
        }
    }
}

void amqp_publish_end(struct broker *b, bool tell)
{
    while (b->pending) {
        struct pending *p = b->pending;

        unpend(b, p);
        if (tell && !p->message) {
            b->ev.sent(b->ev.arg, p->id, ERR_IO, "the connection was lost before it was confirmed");
        }
        pending_free(p);
    }
}
