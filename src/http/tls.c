#include "http/tls.h"

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "tls/gnutls_lib.h"

enum { READ_AHEAD = 4096 };

struct tls_ctx {
    const struct gnutls_lib *lib;
    gnutls_certificate_credentials_t cred;
    gnutls_priority_t priority;
    gnutls_datum_t ticket_key;
};

struct tls {
    const struct gnutls_lib *lib;
    gnutls_session_t s;
    int fd;
    bool resume;    /* the last write did not leave completely; GnuTLS keeps the record */
    uint16_t at, n; /* of what was read ahead */
    char ahead[READ_AHEAD];
};

/* Forward secrecy and authenticated ciphers only; the cheapest of them first. */
static const char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:"
                                 "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-KX-ALL:"
                                 "+ECDHE-RSA:+ECDHE-ECDSA:%SERVER_PRECEDENCE";

int tls_ctx_new(const char *cert, const char *key, struct tls_ctx **out, struct err *e)
{
    const struct gnutls_lib *lib;
    struct tls_ctx *c;
    int rc = gnutls_lib(&lib, e);

    if (rc != 0) {
        return rc;
    }
    c = xcalloc(1, sizeof *c);
    c->lib = lib;
    rc = lib->certificate_allocate_credentials(&c->cred);
    if (rc == 0) {
        rc = lib->certificate_set_x509_key_file(c->cred, cert, key, GNUTLS_X509_FMT_PEM);
        if (rc < 0) {
            err_set(e, ERR_INVALID, "TLS certificate and key: %s", lib->strerror(rc));
            tls_ctx_free(c);
            return ERR_INVALID;
        }
        rc = lib->priority_init(&c->priority, priorities, NULL);
    }
    if (rc == 0) {
        rc = lib->session_ticket_key_generate(&c->ticket_key);
    }
    if (rc < 0) {
        tls_ctx_free(c);
        return err_set(e, ERR_INTERNAL, "set up TLS: %s", lib->strerror(rc));
    }
    *out = c;
    return 0;
}

void tls_ctx_free(struct tls_ctx *c)
{
    if (!c) {
        return;
    }
    if (c->cred) {
        c->lib->certificate_free_credentials(c->cred);
    }
    if (c->priority) {
        c->lib->priority_deinit(c->priority);
    }
    if (c->ticket_key.data) {
        secure_zero(c->ticket_key.data, c->ticket_key.size);
        free(c->ticket_key.data);
    }
    free(c);
}

/* GnuTLS reads a record's header and its rest in two calls: that would be two system calls. */
static ssize_t pull(gnutls_transport_ptr_t ptr, void *data, size_t n)
{
    struct tls *t = ptr;
    ssize_t got;

    if (t->at == t->n) {
        if (n >= sizeof t->ahead) {
            return recv(t->fd, data, n, 0);
        }
        got = recv(t->fd, t->ahead, sizeof t->ahead, 0);
        if (got <= 0) {
            return got;
        }
        t->at = 0;
        t->n = (uint16_t)got;
    }
    n = MIN(n, (size_t)(t->n - t->at));
    memcpy(data, t->ahead + t->at, n);
    t->at = (uint16_t)(t->at + n);
    return (ssize_t)n;
}

struct tls *tls_new(struct tls_ctx *c, int fd)
{
    unsigned char http11[] = "http/1.1";
    gnutls_datum_t alpn = {http11, sizeof http11 - 1};
    struct tls *t = xcalloc(1, sizeof *t);

    t->lib = c->lib;
    if (c->lib->init(&t->s, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
        free(t);
        return NULL;
    }
    if (c->lib->priority_set(t->s, c->priority) < 0 ||
        c->lib->credentials_set(t->s, GNUTLS_CRD_CERTIFICATE, c->cred) < 0 ||
        c->lib->session_ticket_enable_server(t->s, &c->ticket_key) < 0 ||
        c->lib->alpn_set_protocols(t->s, &alpn, 1, GNUTLS_ALPN_MANDATORY) < 0) {
        tls_free(t);
        return NULL;
    }
    c->lib->handshake_set_timeout(t->s, GNUTLS_INDEFINITE_TIMEOUT); /* the connection has its own */
    t->fd = fd;
    c->lib->transport_set_ptr2(t->s, t, (gnutls_transport_ptr_t)(intptr_t)fd);
    c->lib->transport_set_pull_function(t->s, pull);
    return t;
}

void tls_free(struct tls *t)
{
    if (t) {
        t->lib->deinit(t->s);
        free(t);
    }
}

static int failure(ssize_t rc)
{
    return rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED ? TLS_AGAIN : TLS_FAILED;
}

int tls_handshake(struct tls *t)
{
    for (;;) {
        int rc = t->lib->handshake(t->s);

        if (rc == 0) {
            return 0;
        }
        if (failure(rc) == TLS_AGAIN || t->lib->error_is_fatal(rc)) {
            return failure(rc);
        }
    }
}

bool tls_wants_write(const struct tls *t)
{
    return t->lib->record_get_direction(t->s) == 1;
}

ssize_t tls_read(struct tls *t, void *p, size_t n)
{
    ssize_t rc = t->lib->record_recv(t->s, p, n);

    /* Renegotiation is a failure here, and a peer that cuts the stream is one that left. */
    return rc >= 0 ? rc : failure(rc);
}

ssize_t tls_write(struct tls *t, const void *p, size_t n)
{
    ssize_t rc = t->resume ? t->lib->record_send(t->s, NULL, 0) : t->lib->record_send(t->s, p, n);

    t->resume = rc < 0 && failure(rc) == TLS_AGAIN;
    return rc >= 0 ? rc : failure(rc);
}

bool tls_pending(const struct tls *t)
{
    return t->at < t->n || t->lib->record_check_pending(t->s) > 0;
}

void tls_bye(struct tls *t)
{
    t->lib->bye(t->s, GNUTLS_SHUT_WR);
}
