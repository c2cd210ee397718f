/* TLS to Redis: whose certificate is taken, and that commands go through it. */
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <time.h>

#include "redis_rig.h"

static char *cert, *key, *other_cert; /* paths */
static char port[8];

static void write_pem(const char *path, gnutls_datum_t *pem)
{
    FILE *f = fopen(path, "we");

    CHECK(f && fwrite(pem->data, 1, pem->size, f) == pem->size && fclose(f) == 0);
    gnutls_free(pem->data);
}

/* Signed by itself, so that it is its own authority. */
static char *make_certificate(const char *name, char **key_path)
{
    static const unsigned char loopback[] = {127, 0, 0, 1};
    char *path = str_fmt("%s/%s.pem", test_dir(), name);
    gnutls_x509_privkey_t k;
    gnutls_x509_crt_t crt;
    gnutls_datum_t pem;
    unsigned char serial = 1;
    time_t now = time(NULL);

    CHECK(gnutls_x509_privkey_init(&k) == 0 && gnutls_x509_crt_init(&crt) == 0);
    CHECK(gnutls_x509_privkey_generate(k, GNUTLS_PK_ECDSA,
                                       GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, &serial, 1);
    gnutls_x509_crt_set_activation_time(crt, now - 60);
    gnutls_x509_crt_set_expiration_time(crt, now + 3600);
    gnutls_x509_crt_set_basic_constraints(crt, 1, -1);
    gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                  (unsigned)strlen(name));
    gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, loopback, sizeof loopback, 0);
    gnutls_x509_crt_set_key(crt, k);
    CHECK(gnutls_x509_crt_sign2(crt, crt, k, GNUTLS_DIG_SHA256, 0) == 0);
    CHECK(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem) == 0);
    write_pem(path, &pem);
    CHECK(gnutls_x509_privkey_export2(k, GNUTLS_X509_FMT_PEM, &pem) == 0);
    if (key_path) {
        *key_path = str_fmt("%s/%s.key", test_dir(), name);
        write_pem(*key_path, &pem);
    } else {
        gnutls_free(pem.data);
    }
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(k);
    return path;
}

/* `clients`: "yes" if they must have a certificate. */
static void start_tls(const char *clients)
{
    if (!cert) {
        cert = make_certificate("server", &key);
        other_cert = make_certificate("other", NULL);
    }
    snprintf(port, sizeof port, "%u", free_port());
    start_server((const char *const[]){"--bind", "127.0.0.1", "--tls-port", port, "--tls-cert-file",
                                       cert, "--tls-key-file", key, "--tls-ca-cert-file", cert,
                                       "--tls-auth-clients", clients, NULL});
}

static void open_tls(const char *host, const char *more)
{
    auto_free char *url = str_fmt("rediss://%s:%s/?ca=%s%s", host, port, cert, more);

    open_url(url);
}

static void commands_go_through_it(void)
{
    enum { BIG = 8 << 20, N = 5000 };
    auto_free char *big = xcalloc(1, BIG);
    const char *set[] = {"SET", "k", big};
    const size_t lens[] = {3, 1, BIG};

    fresh();
    start_tls("no");
    open_tls("127.0.0.1", "");
    turns_until(&ups, 1);
    answers = nones = 0;
    redis_command(r, on_answer, NULL, 3, set, lens);
    for (int i = 0; i < N; i++) {
        redis_cmd(r, on_answer, NULL, "INCR n");
    }
    turns_until(&answers, 1 + N);
    CHECK_INT(last_integer, N);
    command("GET", "k", NULL);
    turns_until(&answers, 2 + N);
    CHECK_INT(last_len, BIG);
    stop_server();
    turns_until(&downs, 1);
    finish();
}

static void a_certificate_of_another_authority_is_refused(void)
{
    auto_free char *url = NULL;

    fresh();
    start_tls("no");
    url = str_fmt("rediss://127.0.0.1:%s?ca=%s", port, other_cert);
    open_url(url);
    turns_until(&downs, 1);
    CHECK(str_starts(why, "TLS: ") && strstr(why, "issuer is unknown"));
    CHECK_INT(ups, 0);
    finish();
}

static void to_loopback(void *arg, const char *host,
                        void (*found)(void *found_arg, const char *address), void *found_arg)
{
    (void)arg;
    (void)host;
    found(found_arg, "127.0.0.1");
}

static void a_certificate_for_another_host_is_refused(void)
{
    const struct redis_events ev = {.up = on_up, .down = on_down, .resolve = to_loopback};
    auto_free char *url = NULL;

    fresh();
    start_tls("no");
    url = str_fmt("rediss://redis.example:%s?ca=%s", port, cert);
    open_with(url, &ev);
    turns_until(&downs, 1);
    CHECK(str_starts(why, "TLS: ") && strstr(why, "does not match"));
    CHECK_INT(ups, 0);
    finish();
}

static void a_server_may_ask_for_a_certificate(void)
{
    auto_free char *more = NULL;

    fresh();
    start_tls("yes");
    open_tls("127.0.0.1", "");
    turns_until(&downs, 1);
    CHECK_INT(ups, 0);
    redis_free(r);
    r = NULL;
    more = str_fmt("&cert=%s&key=%s", cert, key);
    open_tls("127.0.0.1", more);
    turns_until(&ups, 1);
    finish();
}

static void a_server_without_tls_is_told(void)
{
    fresh();
    start_tls("no");
    stop_server();
    start_server((const char *const[]){"--bind", "127.0.0.1", "--port", port, NULL});
    open_tls("127.0.0.1", "");
    while (r->state != REDIS_SHAKING) {
        CHECK_OK(loop_turn(loop, 100, ERR));
    }
    timer_arm(loop, &r->limit, 0);
    turns_until(&downs, 1);
    CHECK(strstr(why, "no TLS handshake"));
    finish();
}

static void files_that_do_not_do_are_named(void)
{
    const struct redis_events ev = {0};
    struct redis *none = NULL;
    struct redis_url u;

    fresh();
    start_tls("no");
    CHECK_OK(redis_url_parse("rediss://:s3cret@127.0.0.1?ca=/nowhere/ca.pem", &u, ERR));
    CHECK_ERR(redis_new(loop, &u, &ev, &none, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "/nowhere/ca.pem") && !strstr(tap_err.msg, "s3cret"));
    free(u.ca);
    u.ca = xstrdup(cert);
    u.cert = xstrdup(other_cert);
    u.key = xstrdup(key); /* of another certificate */
    CHECK_ERR(redis_new(loop, &u, &ev, &none, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, other_cert));
    redis_url_done(&u);
    CHECK(!none);
    finish();
}

TESTS(commands_go_through_it, a_certificate_of_another_authority_is_refused,
      a_certificate_for_another_host_is_refused, a_server_may_ask_for_a_certificate,
      a_server_without_tls_is_told, files_that_do_not_do_are_named)
