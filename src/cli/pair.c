#include "cli/pair.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/id.h"
#include "base/mem.h"
#include "tls/gnutls_lib.h"

enum { SERIAL_LEN = 16 };

/* A step of GnuTLS: keeps the first failure. */
static void step(int *rc, int result)
{
    if (*rc >= 0) {
        *rc = result;
    }
}

static void add_name(const struct gnutls_lib *lib, gnutls_x509_crt_t crt, const char *name, int *rc)
{
    unsigned char addr[16];

    if (inet_pton(AF_INET, name, addr) == 1) {
        step(rc, lib->x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, addr, 4,
                                                    GNUTLS_FSAN_APPEND));
    } else if (inet_pton(AF_INET6, name, addr) == 1) {
        step(rc, lib->x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, addr, 16,
                                                    GNUTLS_FSAN_APPEND));
    } else {
        step(rc, lib->x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
                                                    (unsigned)strlen(name), GNUTLS_FSAN_APPEND));
    }
}

static void add_names(const struct gnutls_lib *lib, gnutls_x509_crt_t crt, const char *extra,
                      int *rc)
{
    char host[256] = "";

    gethostname(host, sizeof host - 1);
    if (!*host) {
        snprintf(host, sizeof host, "localhost");
    }
    step(rc, lib->x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, host,
                                         (unsigned)MIN(strlen(host), (size_t)64)));
    add_name(lib, crt, "localhost", rc);
    add_name(lib, crt, "127.0.0.1", rc);
    add_name(lib, crt, "::1", rc);
    if (strcmp(host, "localhost") != 0) {
        add_name(lib, crt, host, rc);
    }
    if (extra) {
        add_name(lib, crt, extra, rc);
    }
}

static int fill_in(const struct gnutls_lib *lib, gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
                   const char *extra, unsigned days)
{
    unsigned char serial[SERIAL_LEN];
    unsigned char key_id[64];
    size_t key_id_len = sizeof key_id;
    time_t now = time(NULL);
    int rc = 0;

    random_bytes(serial, sizeof serial);
    serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, and of full length */
    step(&rc, lib->x509_crt_set_version(crt, 3));
    step(&rc, lib->x509_crt_set_serial(crt, serial, sizeof serial));
    step(&rc, lib->x509_crt_set_activation_time(crt, now - 3600));
    step(&rc, lib->x509_crt_set_expiration_time(crt, now + (time_t)days * 86400));
    add_names(lib, crt, extra, &rc);
    step(&rc, lib->x509_crt_set_key(crt, key));
    step(&rc, lib->x509_crt_set_basic_constraints(crt, 0, -1));
    step(&rc, lib->x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE));
    step(&rc, lib->x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0));
    step(&rc, lib->x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, key_id, &key_id_len));
    step(&rc, lib->x509_crt_set_subject_key_id(crt, key_id, key_id_len));
    step(&rc, lib->x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0));
    return rc;
}

static void fingerprint(const struct gnutls_lib *lib, gnutls_x509_crt_t crt, char out[65], int *rc)
{
    unsigned char hash[32];
    size_t n = sizeof hash;

    step(rc, lib->x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, hash, &n));
    for (size_t i = 0; *rc >= 0 && i < n; i++) {
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
    }
}

static void give(struct buf *out, gnutls_datum_t *d)
{
    if (d->data) {
        buf_add(out, d->data, d->size);
        secure_zero(d->data, d->size);
        free(d->data);
    }
}

int pair_make(const char *extra, unsigned days, struct pair *out, struct err *e)
{
    const struct gnutls_lib *lib;
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t crt = NULL;
    gnutls_datum_t cert_pem = {0}, key_pem = {0};
    int rc = gnutls_lib(&lib, e);

    if (rc != 0) {
        return rc;
    }
    step(&rc, lib->x509_privkey_init(&key));
    step(&rc, lib->x509_crt_init(&crt));
    if (rc >= 0) {
        step(&rc, lib->x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                             GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    }
    if (rc >= 0) {
        step(&rc, fill_in(lib, crt, key, extra, days));
        step(&rc, lib->x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &cert_pem));
        step(&rc, lib->x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &key_pem));
        fingerprint(lib, crt, out->fingerprint, &rc);
    }
    give(&out->cert, &cert_pem);
    give(&out->key, &key_pem);
    lib->x509_crt_deinit(crt);
    lib->x509_privkey_deinit(key);
    if (rc < 0) {
        pair_done(out);
        return err_set(e, ERR_INTERNAL, "make a certificate: %s", lib->strerror(rc));
    }
    return 0;
}

void pair_done(struct pair *p)
{
    if (p->key.data) {
        secure_zero(p->key.data, p->key.len);
    }
    buf_done(&p->key);
    buf_done(&p->cert);
}

static int read_pem(const struct gnutls_lib *lib, const char *path, gnutls_datum_t *out,
                    struct err *e)
{
    int rc = lib->load_file(path, out);

    if (rc < 0) {
        return err_set(e, ERR_IO, "cannot read '%s'", path);
    }
    return 0;
}

static int compare(const struct gnutls_lib *lib, gnutls_x509_crt_t crt, gnutls_x509_privkey_t key)
{
    unsigned char a[64], b[64];
    size_t na = sizeof a, nb = sizeof b;
    int rc = 0;

    step(&rc, lib->x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, a, &na));
    step(&rc, lib->x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, b, &nb));
    return rc >= 0 && (na != nb || memcmp(a, b, na) != 0) ? GNUTLS_E_CERTIFICATE_KEY_MISMATCH : rc;
}

int pair_check(const char *cert_file, const char *key_file, int64_t *expires_s, struct err *e)
{
    const struct gnutls_lib *lib;
    gnutls_datum_t cert_pem = {0}, key_pem = {0};
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t crt = NULL;
    int rc = gnutls_lib(&lib, e);
    int bad = 0;

    if (rc != 0) {
        return rc;
    }
    rc = read_pem(lib, cert_file, &cert_pem, e);
    if (rc == 0) {
        rc = read_pem(lib, key_file, &key_pem, e);
    }
    if (rc == 0) {
        step(&bad, lib->x509_crt_init(&crt));
        step(&bad, lib->x509_privkey_init(&key));
        step(&bad, bad < 0 ? bad : lib->x509_crt_import(crt, &cert_pem, GNUTLS_X509_FMT_PEM));
        step(&bad, bad < 0
                       ? bad
                       : lib->x509_privkey_import2(key, &key_pem, GNUTLS_X509_FMT_PEM, NULL, 0));
        step(&bad, bad < 0 ? bad : compare(lib, crt, key));
        if (bad < 0) {
            rc = err_set(e, ERR_INVALID, "'%s' and '%s': %s", cert_file, key_file,
                         lib->strerror(bad));
        } else {
            *expires_s = (int64_t)lib->x509_crt_get_expiration_time(crt);
        }
    }
    if (key_pem.data) {
        secure_zero(key_pem.data, key_pem.size);
    }
    free(key_pem.data);
    free(cert_pem.data);
    lib->x509_crt_deinit(crt);
    lib->x509_privkey_deinit(key);
    return rc;
}
