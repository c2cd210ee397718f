/*
 * client - TLS 1.2 and 1.3 of the client side on non-blocking descriptors, by GnuTLS, which is
 * loaded by the first tls_trust_new(). The certificate has to be valid for the host, and signed by
 * who is trusted; no data is sent before that is known.
 *
 * Reads and writes give a count, 0 (read: orderly end; a stream that is cut is a failure), or one
 * of TLS_CLIENT_*.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct tls_trust;  /* who may sign: one for many connections */
struct tls_client; /* one a connection */

enum { TLS_CLIENT_AGAIN = -1, TLS_CLIENT_FAILED = -2 };

/* Certificates in PEM; NULL: those of the system. ERR_INVALID: there is none among them;
 * ERR_NOT_FOUND: no GnuTLS, or the system has none. */
int tls_trust_new(const char *pem, size_t n, struct tls_trust **out, struct err *e);
void tls_trust_free(struct tls_trust *t); /* NULL is fine; after its clients */

/* `host`: a name, or an address as text. NULL: out of resources; fd stays the caller's. */
struct tls_client *tls_client_new(const struct tls_trust *t, int fd, const char *host);
void tls_client_free(struct tls_client *c);     /* NULL is fine */
int tls_client_handshake(struct tls_client *c); /* 0: done, and it is who it should be */
/* Why the handshake failed, for a person: "the certificate ... has expired". */
const char *tls_client_why(const struct tls_client *c);
bool tls_client_distrusts(const struct tls_client *c); /* it was the certificate */
bool tls_client_wants_write(const struct tls_client *c);
ssize_t tls_client_read(struct tls_client *c, void *p, size_t n);
/* After TLS_CLIENT_AGAIN call again with the same bytes. */
ssize_t tls_client_write(struct tls_client *c, const void *p, size_t n);
void tls_client_bye(struct tls_client *c); /* best effort, never waits */
