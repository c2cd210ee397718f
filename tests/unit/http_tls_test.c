/* TLS: what is offered, what is refused, and that the bytes are the same as without. */
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <time.h>

#include "http_toy.h"

static char *cert_path, *key_path;

static void write_pem(const char *path, const gnutls_datum_t *pem)
{
    FILE *f = fopen(path, "w");

    CHECK(f && fwrite(pem->data, 1, pem->size, f) == pem->size && fclose(f) == 0);
}

static void make_pair(void)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    gnutls_datum_t pem;
    unsigned char serial = 1;
    time_t now = time(NULL);

    if (cert_path) {
        return;
    }
    cert_path = str_fmt("%s/cert.pem", test_dir());
    key_path = str_fmt("%s/key.pem", test_dir());
    CHECK(gnutls_x509_privkey_init(&key) == 0 && gnutls_x509_crt_init(&crt) == 0);
    CHECK(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                       GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, &serial, 1);
    gnutls_x509_crt_set_activation_time(crt, now - 60);
    gnutls_x509_crt_set_expiration_time(crt, now + 3600);
    gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, "localhost", 9);
    gnutls_x509_crt_set_key(crt, key);
    CHECK(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) == 0);
    CHECK(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem) == 0);
    write_pem(cert_path, &pem);
    gnutls_free(pem.data);
    CHECK(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem) == 0);
    write_pem(key_path, &pem);
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

static void start_tls(void)
{
    struct http_config c;

    make_pair();
    c = (struct http_config){.tls_cert = cert_path, .tls_key = key_path};
    start_with(&c);
}

struct client {
    int fd;
    gnutls_session_t s;
    gnutls_certificate_credentials_t cred;
};

/* 0, or the error that ended the handshake. */
static int client_open(struct client *c, const char *priorities, const char *alpn)
{
    gnutls_datum_t proto;
    int rc = GNUTLS_E_AGAIN;
    char copy[16];

    c->fd = dial();
    CHECK(gnutls_certificate_allocate_credentials(&c->cred) == 0);
    CHECK(gnutls_init(&c->s, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) == 0);
    CHECK(gnutls_priority_set_direct(c->s, priorities, NULL) == 0);
    gnutls_credentials_set(c->s, GNUTLS_CRD_CERTIFICATE, c->cred);
    gnutls_transport_set_int(c->s, c->fd);
    if (alpn) {
        snprintf(copy, sizeof copy, "%s", alpn);
        proto = (gnutls_datum_t){(unsigned char *)copy, (unsigned)strlen(alpn)};
        CHECK(gnutls_alpn_set_protocols(c->s, &proto, 1, 0) == 0);
    }
    for (int i = 0; i < 10000; i++) {
        rc = gnutls_handshake(c->s);
        if (rc == 0 || gnutls_error_is_fatal(rc)) {
            break;
        }
        CHECK_OK(loop_turn(app.loop, 1, ERR));
    }
    return rc;
}

static void client_close(struct client *c)
{
    gnutls_deinit(c->s);
    gnutls_certificate_free_credentials(c->cred);
    close(c->fd);
}

static void client_say(struct client *c, const char *p, size_t n)
{
    while (n) {
        ssize_t k = gnutls_record_send(c->s, p, n);

        CHECK(k > 0 || k == GNUTLS_E_AGAIN);
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
        turn();
    }
}

static void client_hear(struct client *c, size_t want, struct buf *out)
{
    for (int quiet = 0; out->len < want && quiet < 1000;) {
        char part[20000];
        ssize_t n;

        CHECK_OK(loop_turn(app.loop, 1, ERR));
        n = gnutls_record_recv(c->s, part, sizeof part);
        if (n == 0) {
            break;
        }
        CHECK(n > 0 || !gnutls_error_is_fatal((int)n));
        quiet = n > 0 ? 0 : quiet + 1;
        buf_add(out, part, n > 0 ? (size_t)n : 0);
    }
}

static void both_versions_serve_several_requests(void)
{
    static const char *const versions[] = {"NORMAL:-VERS-ALL:+VERS-TLS1.2",
                                           "NORMAL:-VERS-ALL:+VERS-TLS1.3"};

    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct client c;

        start_tls();
        CHECK_INT(client_open(&c, versions[i], "http/1.1"), 0);
        for (int k = 0; k < 3; k++) {
            auto_buf got = {0};

            client_say(&c, GET("/hello"), strlen(GET("/hello")));
            client_hear(&c, 100, &got);
            check_status(&got, 200);
            CHECK_STR(body_of(&got), "hello");
        }
        client_close(&c);
        stop();
    }
}

static void requests_in_one_record_are_all_answered(void)
{
    const char *text = GET("/items/1") GET("/items/2") GET("/items/3");
    struct client c;
    auto_buf got = {0};

    start_tls();
    CHECK_INT(client_open(&c, "NORMAL", NULL), 0);
    client_say(&c, text, strlen(text));
    while (count(&got, "HTTP/1.1 200") < 3 || !strstr(got.data, "/items/3|3")) {
        size_t before = got.len;

        client_hear(&c, got.len + 1, &got);
        CHECK(got.len > before);
    }
    client_close(&c);
    stop();
}

static void large_bodies_pass_both_ways(void)
{
    struct client c;
    auto_buf text = {0}, got = {0};

    start_tls();
    CHECK_INT(client_open(&c, "NORMAL", NULL), 0);
    buf_adds(&text, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    for (size_t i = 0; i < 100000; i++) {
        buf_addc(&text, (char)('a' + i % 23));
    }
    client_say(&c, text.data, text.len);
    client_hear(&c, 100050, &got);
    check_status(&got, 200);
    client_hear(&c, (size_t)(body_of(&got) - got.data) + 100000, &got);
    CHECK_STR(body_of(&got), strstr(text.data, "\r\n\r\n") + 4);
    client_close(&c);
    stop();
}

static void streams_survive_a_reader_that_pauses(void)
{
    struct client c;
    auto_buf got = {0};

    start_tls();
    app.stream_left = 20 << 20;
    CHECK_INT(client_open(&c, "NORMAL", NULL), 0);
    client_say(&c, GET("/stream"), strlen(GET("/stream")));
    turns(300);
    CHECK(app.stream_left > 0);
    client_hear(&c, 20 << 20, &got);
    client_hear(&c, SIZE_MAX, &got);
    CHECK_INT(count(&got, "0\r\n\r\n"), 1);
    CHECK_INT(app.done_calls, 1);
    CHECK(got.len > 20 << 20);
    client_close(&c);
    stop();
}

static void old_versions_and_weak_suites_are_refused(void)
{
    static const char *const weak[] = {
        "NORMAL:-VERS-ALL:+VERS-TLS1.0",
        "NORMAL:-VERS-ALL:+VERS-TLS1.1",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC:-MAC-ALL:+SHA1",
    };

    start_tls();
    for (size_t i = 0; i < ARRAY_LEN(weak); i++) {
        struct client c;

        CHECK(client_open(&c, weak[i], NULL) < 0);
        client_close(&c);
    }
    CHECK_INT(app.handled, 0);
    stop();
}

static void another_protocol_is_refused(void)
{
    struct client c;

    start_tls();
    CHECK(client_open(&c, "NORMAL", "h2") < 0);
    client_close(&c);
    stop();
}

static void plain_text_to_a_tls_port_is_not_served(void)
{
    auto_buf got = {0};

    start_tls();
    CHECK(ask(GET("/hello"), &got));
    CHECK_INT(app.handled, 0);
    CHECK_INT(count(&got, "HTTP/1.1"), 0);
    stop();
}

static void files_that_are_no_pair_are_refused_at_start(void)
{
    struct http_config c = {.routes = routes, .tls_cert = "/nonexistent/c", .tls_key = "/k"};
    struct http_server *s;
    struct loop *l;

    make_pair();
    CHECK_OK(loop_new(&l, ERR));
    CHECK_ERR(http_server_new(l, &c, &s, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "TLS certificate and key")); /* whoever gave them names them */
    c.tls_cert = c.tls_key = key_path;
    CHECK_ERR(http_server_new(l, &c, &s, ERR), ERR_INVALID);
    loop_free(l);
}

TESTS(both_versions_serve_several_requests, requests_in_one_record_are_all_answered,
      large_bodies_pass_both_ways, streams_survive_a_reader_that_pauses,
      old_versions_and_weak_suites_are_refused, another_protocol_is_refused,
      plain_text_to_a_tls_port_is_not_served, files_that_are_no_pair_are_refused_at_start)
