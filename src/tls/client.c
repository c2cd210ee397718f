#include "tls/client.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/netset.h"
#include "tls/gnutls_lib.h"

struct tls_trust {
    const struct gnutls_lib *lib;
    gnutls_certificate_credentials_t cred;
    gnutls_priority_t priority;
};

struct tls_client {
    const struct gnutls_lib *lib;
    gnutls_session_t s;
    char *host; /* owned; GnuTLS keeps the pointer for the check */
    bool resume, distrusts;
    char why[256];
};

/* Forward secrecy and authenticated ciphers only. */
static const char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:"
                                 "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-KX-ALL:"
                                 "+ECDHE-RSA:+ECDHE-ECDSA";

/* ---- trust ---- */

/* How many may sign, or a negative code. */
static int trust_whom(const struct tls_trust *t, const char *pem, size_t n)
{
    gnutls_datum_t list = {.size = (unsigned)n};

    if (!pem) {
        return t->lib->certificate_set_x509_system_trust(t->cred);
    }
    memcpy(&list.data, &pem, sizeof list.data); /* it is only read */
    return t->lib->certificate_set_x509_trust_mem(t->cred, &list, GNUTLS_X509_FMT_PEM);
}

static int trust_fill(struct tls_trust *t, const char *pem, size_t n, struct err *e)
{
    int rc = t->lib->certificate_allocate_credentials(&t->cred);

    if (rc == 0) {
        rc = t->lib->priority_init(&t->priority, priorities, NULL);
    }
    if (rc < 0) {
        return err_set(e, ERR_INTERNAL, "set up TLS: %s", t->lib->strerror(rc));
    }
    rc = trust_whom(t, pem, n);
    if (rc > 0) {
        return 0;
    }
    if (pem) {
        return err_set(e, ERR_INVALID, "there is no certificate in PEM form in the CA file%s%s",
                       rc < 0 ? ": " : "", rc < 0 ? t->lib->strerror(rc) : "");
    }
    return err_set(e, ERR_NOT_FOUND,
                   "the system has no CA certificates: apt-get install ca-certificates");
}

int tls_trust_new(const char *pem, size_t n, struct tls_trust **out, struct err *e)
{
    const struct gnutls_lib *lib;
    struct tls_trust *t;
    int rc = gnutls_lib(&lib, e);

    if (rc != 0) {
        return rc;
    }
    t = xcalloc(1, sizeof *t);
    t->lib = lib;
    rc = trust_fill(t, pem, n, e);
    if (rc != 0) {
        tls_trust_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void tls_trust_free(struct tls_trust *t)
{
    if (!t) {
        return;
    }
    if (t->cred) {
        t->lib->certificate_free_credentials(t->cred);
    }
    if (t->priority) {
        t->lib->priority_deinit(t->priority);
    }
    free(t);
}

/* ---- one connection ---- */

static bool prepare(struct tls_client *c, const struct tls_trust *t, int fd)
{
    unsigned char http11[] = "http/1.1";
    gnutls_datum_t alpn = {http11, sizeof http11 - 1};
    struct net_ip ip;

    if (c->lib->priority_set(c->s, t->priority) < 0 ||
        c->lib->credentials_set(c->s, GNUTLS_CRD_CERTIFICATE, t->cred) < 0 ||
        c->lib->alpn_set_protocols(c->s, &alpn, 1, 0) < 0 ||
        (!net_ip_parse(c->host, &ip) &&
         c->lib->server_name_set(c->s, GNUTLS_NAME_DNS, c->host, strlen(c->host)) < 0)) {
        return false;
    }
    c->lib->session_set_verify_cert(c->s, c->host, 0);
    c->lib->handshake_set_timeout(c->s, GNUTLS_INDEFINITE_TIMEOUT); /* the caller has its own */
    c->lib->transport_set_int2(c->s, fd, fd);
    return true;
}

struct tls_client *tls_client_new(const struct tls_trust *t, int fd, const char *host)
{
    struct tls_client *c = xcalloc(1, sizeof *c);

    c->lib = t->lib;
    c->host = xstrdup(host);
    if (c->lib->init(&c->s, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
        c->s = NULL;
    }
    if (!c->s || !prepare(c, t, fd)) {
        tls_client_free(c);
        return NULL;
    }
    return c;
}

void tls_client_free(struct tls_client *c)
{
    if (c) {
        if (c->s) {
            c->lib->deinit(c->s);
        }
        free(c->host);
        free(c);
    }
}

static int failure(ssize_t rc)
{
    return rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED ? TLS_CLIENT_AGAIN
                                                              : TLS_CLIENT_FAILED;
}

static void keep_why(struct tls_client *c, int rc)
{
    gnutls_datum_t text = {0};
    unsigned status;

    c->distrusts = rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
    if (!c->distrusts) {
        snprintf(c->why, sizeof c->why, "%s", c->lib->strerror(rc));
        return;
    }
    status = c->lib->session_get_verify_cert_status(c->s);
    if (c->lib->certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) == 0) {
        snprintf(c->why, sizeof c->why, "%.*s", (int)text.size, (const char *)text.data);
    } else {
        snprintf(c->why, sizeof c->why, "the certificate is not trusted");
    }
    free(text.data);
}

int tls_client_handshake(struct tls_client *c)
{
    for (;;) {
        int rc = c->lib->handshake(c->s);

        if (rc == 0) {
            return 0;
        }
        if (failure(rc) == TLS_CLIENT_AGAIN) {
            return TLS_CLIENT_AGAIN;
        }
        if (c->lib->error_is_fatal(rc)) {
            keep_why(c, rc);
            return TLS_CLIENT_FAILED;
        }
    }
}

const char *tls_client_why(const struct tls_client *c)
{
    return c->why;
}

bool tls_client_distrusts(const struct tls_client *c)
{
    return c->distrusts;
}

bool tls_client_wants_write(const struct tls_client *c)
{
    return c->lib->record_get_direction(c->s) == 1;
}

ssize_t tls_client_read(struct tls_client *c, void *p, size_t n)
{
    ssize_t rc = c->lib->record_recv(c->s, p, n);

    return rc >= 0 ? rc : failure(rc);
}

ssize_t tls_client_write(struct tls_client *c, const void *p, size_t n)
{
    ssize_t rc = c->resume ? c->lib->record_send(c->s, NULL, 0) : c->lib->record_send(c->s, p, n);

    c->resume = rc < 0 && failure(rc) == TLS_CLIENT_AGAIN;
    return rc >= 0 ? rc : failure(rc);
}

void tls_client_bye(struct tls_client *c)
{
    c->lib->bye(c->s, GNUTLS_SHUT_WR);
}
