/* edge_url - the address of a broker, taken apart. Private to edge/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* amqp[s]://[USER[:PASSWORD]@]HOST[:PORT][/VHOST][?ca=FILE] or
 * redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or unix:PATH (Redis). Parts are percent-decoded. */
struct edge_url {
    bool amqp, tls;
    uint16_t port;
    int db;
    char *host, *path;         /* owned, one of them */
    char *user, *password;     /* owned; NULL: none */
    char *vhost;               /* owned; RabbitMQ's */
    struct strvec names, text; /* parameters, decoded */
};
/* ERR_INVALID; the message has neither user nor password. */
int edge_url_parse(const char *url, struct edge_url *out, struct err *e);
void edge_url_done(struct edge_url *u);
/* NULL: there is none of that name. */
const char *edge_url_parameter(const struct edge_url *u, const char *name);
/* "rabbitmq at HOST:PORT", for messages. */
void edge_url_text(const struct edge_url *u, struct buf *out);
