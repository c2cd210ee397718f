/*
 * redis_tls - TLS for a connection to Redis, by GnuTLS, which is loaded when it is needed. Private
 * to transport/.
 *
 * TLS 1.2 and 1.3. The server's certificate has to be valid for the host of the URL, and signed by
 * one of the system's authorities or by `ca`.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "transport/redis.h"

struct redis_tls;

/* Reads the files of the URL. ERR_NOT_FOUND: GnuTLS is not installed; ERR_INVALID names the file
 * that does not do. */
int redis_tls_new(const struct redis_url *url, struct redis_tls **out, struct err *e);
void redis_tls_free(struct redis_tls *t); /* NULL is fine */

/* A new session on a connected socket, after which the former one is gone. False: see `why`. */
bool redis_tls_start(struct redis_tls *t, int fd);
void redis_tls_stop(struct redis_tls *t);
/* EPOLLIN or EPOLLOUT: again when that is there; 0: done; -1: failed. */
int redis_tls_handshake(struct redis_tls *t);
/* As recv() and send(), -1 with EAGAIN, or with EPROTO and the reason in redis_tls_why(). */
ssize_t redis_tls_recv(struct redis_tls *t, void *p, size_t n);
ssize_t redis_tls_send(struct redis_tls *t, const void *p, size_t n);
const char *redis_tls_why(const struct redis_tls *t);
