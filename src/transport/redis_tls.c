#include "transport/redis_tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/mem.h"
#include "base/netset.h"

/* The functions that are used, without the gnutls_ before their names. */
#define FUNCTIONS(X)                         \
    X(certificate_allocate_credentials)      \
    X(certificate_free_credentials)          \
    X(certificate_set_x509_key_file)         \
    X(certificate_set_x509_system_trust)     \
    X(certificate_set_x509_trust_file)       \
    X(certificate_verification_status_print) \
    X(credentials_set)                       \
    X(deinit)                                \
    X(error_is_fatal)                        \
    X(handshake)                             \
    X(init)                                  \
    X(priority_set_direct)                   \
    X(record_get_direction)                  \
    X(record_recv)                           \
    X(record_send)                           \
    X(server_name_set)                       \
    X(session_get_verify_cert_status)        \
    X(session_set_verify_cert)               \
    X(strerror)                              \
    X(transport_set_int2)

static struct {
#define MEMBER(name) __typeof__(&gnutls_##name) name;
    FUNCTIONS(MEMBER)
#undef MEMBER
} lib;

static const struct {
    size_t at;
    const char *symbol;
} rows[] = {
#define ROW(name) {offsetof(__typeof__(lib), name), "gnutls_" #name},
    FUNCTIONS(ROW)
#undef ROW
};

struct redis_tls {
    char *host;     /* owned: what the certificate has to be valid for */
    bool host_name; /* it is a name, which is sent along */
    gnutls_certificate_credentials_t trust;
    gnutls_session_t session; /* NULL: none */
    bool unsent;              /* what the last send was given has not left yet */
    char why[192];
};

/* Once, for as long as the process lives. */
static int load(struct err *e)
{
    static bool ready;
    void *so = ready ? NULL : dlopen("libgnutls.so.30", RTLD_NOW | RTLD_LOCAL);

    if (ready) {
        return 0;
    }
    if (!so) {
        return err_set(e, ERR_NOT_FOUND,
                       "rediss:// needs GnuTLS, which is not installed: apt-get install "
                       "libgnutls30, or let stunnel carry the connection and name that as "
                       "redis://");
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        void *fn = dlsym(so, rows[i].symbol);

        if (!fn) {
            dlclose(so);
            return err_set(e, ERR_NOT_FOUND, "GnuTLS is too old, it has no %s()", rows[i].symbol);
        }
        memcpy((char *)&lib + rows[i].at, &fn, sizeof fn);
    }
    ready = true;
    return 0;
}

static int read_files(struct redis_tls *t, const struct redis_url *url, struct err *e)
{
    int n = url->ca ? lib.certificate_set_x509_trust_file(t->trust, url->ca, GNUTLS_X509_FMT_PEM)
                    : lib.certificate_set_x509_system_trust(t->trust);

    if (n <= 0) {
        return err_set(e, ERR_INVALID, "%s: no certificate of an authority is there%s%s",
                       url->ca ? url->ca : "the system's store", n < 0 ? ": " : "",
                       n < 0 ? lib.strerror(n) : "");
    }
    if (url->cert) {
        n = lib.certificate_set_x509_key_file(t->trust, url->cert, url->key, GNUTLS_X509_FMT_PEM);
        if (n < 0) {
            return err_set(e, ERR_INVALID, "%s with the key %s: %s", url->cert, url->key,
                           lib.strerror(n));
        }
    }
    return 0;
}

int redis_tls_new(const struct redis_url *url, struct redis_tls **out, struct err *e)
{
    struct redis_tls *t;
    struct net_ip ip;
    int rc = load(e);

    if (rc < 0) {
        return rc;
    }
    t = xcalloc(1, sizeof *t);
    t->host = xstrdup(url->host);
    t->host_name = !net_ip_parse(url->host, &ip);
    rc = lib.certificate_allocate_credentials(&t->trust) < 0
             ? err_set(e, ERR_INTERNAL, "GnuTLS makes no credentials")
             : read_files(t, url, e);
    if (rc < 0) {
        redis_tls_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void redis_tls_free(struct redis_tls *t)
{
    if (!t) {
        return;
    }
    redis_tls_stop(t);
    if (t->trust) {
        lib.certificate_free_credentials(t->trust);
    }
    free(t->host);
    free(t);
}

void redis_tls_stop(struct redis_tls *t)
{
    if (t->session) {
        lib.deinit(t->session);
        t->session = NULL;
    }
}

bool redis_tls_start(struct redis_tls *t, int fd)
{
    int rc;

    redis_tls_stop(t);
    t->unsent = false;
    rc = lib.init(&t->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (rc < 0) {
        t->session = NULL;
    } else {
        rc =
            lib.priority_set_direct(t->session, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", NULL);
    }
    if (rc >= 0) {
        rc = lib.credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, t->trust);
    }
    if (rc >= 0 && t->host_name) {
        rc = lib.server_name_set(t->session, GNUTLS_NAME_DNS, t->host, strlen(t->host));
    }
    if (rc < 0) {
        snprintf(t->why, sizeof t->why, "%s", lib.strerror(rc));
        return false;
    }
    lib.session_set_verify_cert(t->session, t->host, 0);
    lib.transport_set_int2(t->session, fd, fd);
    return true;
}

/* Why the server's certificate does not do, if that is what failed. */
static void explain(struct redis_tls *t, int rc)
{
    gnutls_datum_t text = {0};
    unsigned status;

    snprintf(t->why, sizeof t->why, "%s", lib.strerror(rc));
    if (rc != GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
        return;
    }
    status = lib.session_get_verify_cert_status(t->session);
    if (lib.certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) >= 0) {
        snprintf(t->why, sizeof t->why, "%.*s", (int)text.size, (const char *)text.data);
        free(text.data);
    }
}

int redis_tls_handshake(struct redis_tls *t)
{
    int rc;

    do {
        rc = lib.handshake(t->session);
    } while (rc < 0 && rc != GNUTLS_E_AGAIN && !lib.error_is_fatal(rc));
    if (rc == GNUTLS_E_AGAIN) {
        return lib.record_get_direction(t->session) ? EPOLLOUT : EPOLLIN;
    }
    if (rc < 0) {
        explain(t, rc);
        return -1;
    }
    return 0;
}

static ssize_t ended(struct redis_tls *t, ssize_t n)
{
    if (n >= 0) {
        return n;
    }
    if (n == GNUTLS_E_PREMATURE_TERMINATION) {
        return 0;
    }
    if (!lib.error_is_fatal((int)n)) {
        errno = EAGAIN;
        return -1;
    }
    snprintf(t->why, sizeof t->why, "%s", lib.strerror((int)n));
    errno = EPROTO;
    return -1;
}

ssize_t redis_tls_recv(struct redis_tls *t, void *p, size_t n)
{
    return ended(t, lib.record_recv(t->session, p, n));
}

ssize_t redis_tls_send(struct redis_tls *t, const void *p, size_t n)
{
    /* It keeps what did not leave, and wants no other bytes until it has. */
    ssize_t sent =
        t->unsent ? lib.record_send(t->session, NULL, 0) : lib.record_send(t->session, p, n);

    t->unsent = sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED;
    return ended(t, sent);
}

const char *redis_tls_why(const struct redis_tls *t)
{
    return t->why;
}
