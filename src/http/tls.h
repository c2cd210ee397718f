/*
 * tls - TLS 1.2 and 1.3 of the server side on non-blocking descriptors, by GnuTLS.
 *
 * Reads and writes give a count, 0 (read: orderly end), or one of TLS_*.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct tls_ctx; /* certificate, key, ticket key: one a server */
struct tls;     /* one a connection */

enum { TLS_AGAIN = -1, TLS_FAILED = -2 };

/* ERR_INVALID: the files are no pair; the message says which and why. */
int tls_ctx_new(const char *cert, const char *key, struct tls_ctx **out, struct err *e);
void tls_ctx_free(struct tls_ctx *c);

struct tls *tls_new(struct tls_ctx *c, int fd); /* NULL: out of resources; fd stays the caller's */
void tls_free(struct tls *t);
int tls_handshake(struct tls *t); /* 0: done */
bool tls_wants_write(const struct tls *t);
ssize_t tls_read(struct tls *t, void *p, size_t n);
/* After TLS_AGAIN call again with the same bytes. */
ssize_t tls_write(struct tls *t, const void *p, size_t n);
bool tls_pending(const struct tls *t); /* decrypted bytes that epoll does not know of */
void tls_bye(struct tls *t);           /* best effort, never waits */
