/*
 * Gateways over TLS, with a far side of the test's own: whose certificate is believed, that nothing
 * is sent to anybody else, and that a stream that is cut is not taken for a whole one.
 */
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <time.h>

#include "gateway_rig.h"

#define TLS_NORMAL "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* ---- certificates ---- */

struct identity {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
};

/* A name or an address; signed by `by`, NULL: by itself, and a CA. */
static struct identity make(const char *name, const struct identity *by, time_t from, time_t to)
{
    static unsigned char serial;
    struct identity id;
    struct in_addr ip;
    time_t now = time(NULL);

    serial++;
    CHECK(gnutls_x509_privkey_init(&id.key) == 0 && gnutls_x509_crt_init(&id.crt) == 0);
    CHECK(gnutls_x509_privkey_generate(id.key, GNUTLS_PK_ECDSA,
                                       GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
    gnutls_x509_crt_set_version(id.crt, 3);
    gnutls_x509_crt_set_serial(id.crt, &serial, 1);
    gnutls_x509_crt_set_activation_time(id.crt, now + from);
    gnutls_x509_crt_set_expiration_time(id.crt, now + to);
    gnutls_x509_crt_set_dn_by_oid(id.crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                  (unsigned)strlen(name));
    if (inet_pton(AF_INET, name, &ip) == 1) {
        gnutls_x509_crt_set_subject_alt_name(id.crt, GNUTLS_SAN_IPADDRESS, &ip, 4, 0);
    } else {
        gnutls_x509_crt_set_subject_alt_name(id.crt, GNUTLS_SAN_DNSNAME, name,
                                             (unsigned)strlen(name), 0);
    }
    gnutls_x509_crt_set_basic_constraints(id.crt, !by, -1);
    gnutls_x509_crt_set_key(id.crt, id.key);
    CHECK(gnutls_x509_crt_sign2(id.crt, by ? by->crt : id.crt, by ? by->key : id.key,
                                GNUTLS_DIG_SHA256, 0) == 0);
    return id;
}

static void forget(struct identity *id)
{
    gnutls_x509_crt_deinit(id->crt);
    gnutls_x509_privkey_deinit(id->key);
}

static char *write_pem(const struct identity *id)
{
    static unsigned n;
    char *path = str_fmt("%s/ca-%u.pem", test_dir(), n++);
    gnutls_datum_t pem;
    FILE *f = fopen(path, "w");

    CHECK(gnutls_x509_crt_export2(id->crt, GNUTLS_X509_FMT_PEM, &pem) == 0);
    CHECK(f && fwrite(pem.data, 1, pem.size, f) == pem.size && fclose(f) == 0);
    gnutls_free(pem.data);
    return path;
}

/* ---- the far side ---- */

struct server {
    int fd;
    gnutls_session_t s;
    gnutls_certificate_credentials_t cred;
};

/* 0, or the error that ended the handshake. */
static int serve(const struct rig *r, const struct identity *id, const char *priorities,
                 struct server *s)
{
    int rc;

    s->fd = answer_call(r);
    CHECK(gnutls_certificate_allocate_credentials(&s->cred) == 0);
    CHECK(gnutls_certificate_set_x509_key(s->cred, (gnutls_x509_crt_t *)(uintptr_t)&id->crt, 1,
                                          id->key) == 0);
    CHECK(gnutls_init(&s->s, GNUTLS_SERVER | GNUTLS_NO_SIGNAL) == 0);
    CHECK(gnutls_priority_set_direct(s->s, priorities, NULL) == 0);
    gnutls_credentials_set(s->s, GNUTLS_CRD_CERTIFICATE, s->cred);
    gnutls_transport_set_int(s->s, s->fd);
    do {
        rc = gnutls_handshake(s->s);
    } while (rc < 0 && !gnutls_error_is_fatal(rc));
    return rc;
}

static void tls_say(struct server *s, const char *text)
{
    CHECK_INT(gnutls_record_send(s->s, text, strlen(text)), strlen(text));
}

/* Until it has that in it. */
static void tls_hear(struct server *s, const char *want, struct buf *all)
{
    while (!all->data || !strstr(all->data, want)) {
        char piece[4096];
        ssize_t n = gnutls_record_recv(s->s, piece, sizeof piece);

        CHECK(n > 0);
        buf_add(all, piece, (size_t)n);
    }
}

static void hang_up(struct server *s, bool orderly)
{
    if (orderly) {
        gnutls_bye(s->s, GNUTLS_SHUT_WR);
    }
    gnutls_deinit(s->s);
    gnutls_certificate_free_credentials(s->cred);
    close(s->fd);
}

/* Owned by the test at hand. */
static struct {
    struct identity ca, leaf;
    char *ca_path;
} world;

static void begin_tls(struct rig *r, const char *name, time_t from, time_t to, const char *upstream)
{
    struct proxy_gateway g = messages();

    world.ca = make("ca of the test", NULL, -60, 3600);
    world.leaf = make(name, &world.ca, from, to);
    world.ca_path = write_pem(&world.ca);
    start(r, (struct proxy_config){.ca_file = {world.ca_path}});
    g.upstream = upstream;
    g.tls = true;
    g.ca_file = world.ca_path;
    open_with(r, &g, 1, 0);
}

static void end_tls(struct rig *r)
{
    end(r);
    forget(&world.ca);
    forget(&world.leaf);
    free(world.ca_path);
}

static int ask_one(const struct rig *r)
{
    int fd = dial(r);

    say(fd, POST "Content-Length: 2\r\nConnection: close\r\n\r\n{}");
    return fd;
}

static void gets(int fd, int status, const char *why)
{
    auto_free char *first = str_fmt("HTTP/1.1 %d ", status);
    char text[4096];

    hear_all(fd, text, sizeof text);
    if (!str_starts(text, first)) {
        tap_fail(__FILE__, __LINE__, "not %d, but: %s", status, text);
    }
    has(text, why);
    close(fd);
}

static void answers_well(const struct rig *r, const char *priorities)
{
    struct server s;
    auto_buf got = {0};
    int fd = ask_one(r);

    CHECK_INT(serve(r, &world.leaf, priorities, &s), 0);
    tls_hear(&s, "{}", &got);
    has(got.data, "POST /v1/messages HTTP/1.1\r\n");
    has(got.data, "\r\nX-Api-Key: " KEY "\r\n");
    tls_say(&s, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    tls_say(&s, "done");
    gets(fd, 200, "\r\n\r\ndone");
    hang_up(&s, true);
}

/* The handshake ends, and not a byte was sent. */
static void is_not_believed(const struct rig *r, const char *why)
{
    struct server s;
    char piece[16];
    char text[4096];
    int fd = ask_one(r);

    if (serve(r, &world.leaf, TLS_NORMAL, &s) == 0) {
        CHECK(gnutls_record_recv(s.s, piece, sizeof piece) <= 0);
    }
    hang_up(&s, false);
    hear_all(fd, text, sizeof text);
    has(text, "HTTP/1.1 502 Bad Gateway\r\n");
    has(text, "\r\nX-Should-Retry: false\r\n");
    has(text, why);
    lacks(text, "canary");
    close(fd);
}

/* ---- whom it believes ---- */

static void a_certificate_of_the_name_is_believed(void)
{
    struct rig r;
    struct server s;
    char name[64] = "";
    size_t n = sizeof name;
    unsigned type;
    auto_buf got = {0};
    int fd;

    begin_tls(&r, "good.test", -60, 3600, "good.test:%=127.0.0.1");
    answers_well(&r, TLS_NORMAL);
    answers_well(&r, "NORMAL:-VERS-ALL:+VERS-TLS1.2");
    answers_well(&r, "NORMAL:-VERS-ALL:+VERS-TLS1.3");
    fd = ask_one(&r);
    CHECK_INT(serve(&r, &world.leaf, TLS_NORMAL, &s), 0);
    CHECK_INT(gnutls_server_name_get(s.s, name, &n, &type, 0), 0);
    CHECK_STR(name, "good.test");
    tls_hear(&s, "{}", &got);
    tls_say(&s, "HTTP/1.1 200 OK\r\nX-Echo: " KEY "\r\nContent-Length: 0\r\n\r\n");
    gets(fd, 502, "answered with the secret");
    hang_up(&s, false);
    end_tls(&r);
}

static void one_of_another_name_is_not(void)
{
    struct rig r;

    begin_tls(&r, "other.test", -60, 3600, "good.test:%=127.0.0.1");
    is_not_believed(&r, "TLS with good.test port ");
    end_tls(&r);
}

static void one_that_has_expired_is_not(void)
{
    struct rig r;

    begin_tls(&r, "good.test", -3600, -60, "good.test:%=127.0.0.1");
    is_not_believed(&r, "expired");
    end_tls(&r);
}

static void one_that_is_not_valid_yet_is_not(void)
{
    struct rig r;

    begin_tls(&r, "good.test", 600, 3600, "good.test:%=127.0.0.1");
    is_not_believed(&r, "not yet");
    end_tls(&r);
}

static void one_that_nobody_known_has_signed_is_not(void)
{
    struct identity other;
    struct rig r;

    begin_tls(&r, "good.test", -60, 3600, "good.test:%=127.0.0.1");
    forget(&world.leaf);
    other = make("another ca", NULL, -60, 3600);
    world.leaf = make("good.test", &other, -60, 3600);
    is_not_believed(&r, "TLS with good.test");
    forget(&world.leaf);
    world.leaf = make("good.test", NULL, -60, 3600); /* by itself */
    is_not_believed(&r, "TLS with good.test");
    forget(&other);
    end_tls(&r);
}

static void one_of_its_own_is_if_it_is_in_the_ca_file(void)
{
    struct proxy_gateway g = messages();
    struct rig r;

    world.leaf = make("good.test", NULL, -60, 3600);
    world.ca = make("unused", NULL, -60, 3600);
    world.ca_path = write_pem(&world.leaf);
    start(&r, (struct proxy_config){.ca_file = {world.ca_path}});
    g.upstream = "good.test:%=127.0.0.1";
    g.tls = true;
    g.ca_file = world.ca_path;
    open_with(&r, &g, 1, 0);
    answers_well(&r, TLS_NORMAL);
    end_tls(&r);
}

static void without_a_ca_file_the_systems_hold(void)
{
    struct proxy_gateway two[] = {messages(), messages()};
    struct rig r;
    int fd;

    world.ca = make("ca of the test", NULL, -60, 3600);
    world.leaf = make("good.test", &world.ca, -60, 3600);
    world.ca_path = write_pem(&world.ca);
    start(&r, (struct proxy_config){.ca_file = {world.ca_path}});
    two[0].upstream = two[1].upstream = "good.test:%=127.0.0.1";
    two[0].tls = two[1].tls = true;
    two[1].ca_file = "/another/ca.pem";
    two[1].prefix = "/other";
    open_with(&r, two, 2, 0);
    if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0) {
        is_not_believed(&r, "TLS with good.test");
    }
    fd = dial(&r);
    say(fd, "POST /other/v1/messages HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    gets(fd, 502, "the gateway's CA file is not one of the settings");
    end_tls(&r);
}

static void addresses_have_certificates_too(void)
{
    struct rig r;

    begin_tls(&r, "127.0.0.1", -60, 3600, "127.0.0.1:%=127.0.0.1");
    answers_well(&r, TLS_NORMAL);
    end_tls(&r);
    begin_tls(&r, "127.0.0.2", -60, 3600, "127.0.0.1:%=127.0.0.1");
    is_not_believed(&r, "TLS with 127.0.0.1 port ");
    end_tls(&r);
}

static void a_ca_file_has_to_have_one(void)
{
    auto_free char *path = str_fmt("%s/none.pem", test_dir());
    struct proxy_config c = {.ca_file = {path}};
    struct proxy_gateway g = messages();
    FILE *f = fopen(path, "w");
    struct rig r;
    int fd, pidfd, far;

    CHECK(f && fputs("no certificate\n", f) >= 0 && fclose(f) == 0);
    start(&r, c);
    g.upstream = "good.test:%=127.0.0.1";
    g.tls = true;
    g.ca_file = path;
    open_with(&r, &g, 1, 0);
    fd = ask_one(&r);
    far = answer_call(&r);
    gets(fd, 502, "there is no certificate in PEM form in the CA file");
    close(far);
    end(&r);
    c.ca_file[0] = "/nonexistent/ca.pem";
    CHECK_ERR(proxy_spawn(&c, &fd, &pidfd, ERR), ERR_NOT_FOUND);
    has(tap_err.msg, "open CA file '/nonexistent/ca.pem'");
}

/* ---- what goes wrong on the way ---- */

static void what_speaks_no_tls_is_told(void)
{
    struct rig r;
    int fd, far;

    begin_tls(&r, "good.test", -60, 3600, "good.test:%=127.0.0.1");
    fd = ask_one(&r);
    far = answer_call(&r);
    say(far, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    gets(fd, 502, "TLS with good.test port ");
    close(far);
    fd = ask_one(&r);
    far = answer_call(&r);
    close(far);
    gets(fd, 502, "TLS with good.test port ");
    end_tls(&r);
}

static void what_never_begins_is_not_waited_for(void)
{
    struct proxy_gateway g = messages();
    struct rig r;
    int fd, far;

    world.ca = make("ca of the test", NULL, -60, 3600);
    world.leaf = make("good.test", &world.ca, -60, 3600);
    world.ca_path = write_pem(&world.ca);
    start(&r, (struct proxy_config){.ca_file = {world.ca_path}, .connect_ms = 50});
    g.upstream = "good.test:%=127.0.0.1";
    g.tls = true;
    g.ca_file = world.ca_path;
    open_with(&r, &g, 1, 0);
    fd = ask_one(&r);
    far = answer_call(&r);
    gets(fd, 502, "did not begin TLS in time");
    close(far);
    end_tls(&r);
}

static void old_versions_are_refused(void)
{
    struct rig r;
    struct server s;
    int fd;

    begin_tls(&r, "good.test", -60, 3600, "good.test:%=127.0.0.1");
    fd = ask_one(&r);
    CHECK(serve(&r, &world.leaf, "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0", &s) != 0);
    hang_up(&s, false);
    gets(fd, 502, "TLS with good.test port ");
    end_tls(&r);
}

static void a_stream_that_is_cut_is_not_whole(void)
{
    struct rig r;
    auto_buf got = {0}, again = {0};
    struct server s;
    char rest[4096];
    int fd;

    begin_tls(&r, "good.test", -60, 3600, "good.test:%=127.0.0.1");
    fd = ask_one(&r);
    CHECK_INT(serve(&r, &world.leaf, TLS_NORMAL, &s), 0);
    tls_hear(&s, "{}", &got);
    tls_say(&s, "HTTP/1.1 200 OK\r\n\r\nall of it");
    hang_up(&s, true); /* an end that is said */
    gets(fd, 200, "9\r\nall of it\r\n0\r\n\r\n");
    fd = ask_one(&r);
    CHECK_INT(serve(&r, &world.leaf, TLS_NORMAL, &s), 0);
    tls_hear(&s, "{}", &again);
    tls_say(&s, "HTTP/1.1 200 OK\r\n\r\nhalf of it");
    hang_up(&s, false);
    CHECK_INT(hear_all(fd, rest, sizeof rest), -1);
    lacks(rest, "\r\n0\r\n\r\n");
    close(fd);
    end_tls(&r);
}

static void much_goes_both_ways_unchanged(void)
{
    enum { MUCH = 1 << 20 };
    auto_free char *out = xmalloc(MUCH);
    auto_free char *in = xmalloc(MUCH + 1);
    auto_buf got = {0};
    struct server s;
    struct rig r;
    size_t n = 0;
    pid_t child;
    int fd;

    for (size_t i = 0; i < MUCH; i++) {
        out[i] = (char)(i * 7 + (i >> 11));
    }
    begin_tls(&r, "good.test", -60, 3600, "good.test:%=127.0.0.1");
    fd = dial(&r);
    say(fd, POST "Content-Length: 1048576\r\nConnection: close\r\n\r\n");
    child = fork();
    if (child == 0) {
        _exit(send(fd, out, MUCH, MSG_NOSIGNAL) != MUCH);
    }
    CHECK_INT(serve(&r, &world.leaf, TLS_NORMAL, &s), 0);
    while (!got.data || !memmem(got.data, got.len, "\r\n\r\n", 4) ||
           got.data + got.len - (char *)memmem(got.data, got.len, "\r\n\r\n", 4) < MUCH + 4) {
        ssize_t k = gnutls_record_recv(s.s, in, MUCH);

        CHECK(k > 0);
        buf_add(&got, in, (size_t)k);
    }
    CHECK(memcmp(got.data + got.len - MUCH, out, MUCH) == 0);
    CHECK_INT(waitpid(child, NULL, 0), child);
    child = fork();
    if (child == 0) {
        bool ok = true;

        tls_say(&s, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
        while (ok && n < MUCH) {
            ssize_t k = gnutls_record_send(s.s, out + n, MUCH - n);

            ok = k > 0;
            n += ok ? (size_t)k : 0;
        }
        _exit(!ok);
    }
    has(head_of(fd), "200 OK");
    CHECK_INT(hear_all(fd, in, MUCH + 1), MUCH);
    CHECK(memcmp(in, out, MUCH) == 0);
    CHECK_INT(waitpid(child, NULL, 0), child);
    close(fd);
    hang_up(&s, false);
    end_tls(&r);
}

TESTS(a_certificate_of_the_name_is_believed, one_of_another_name_is_not,
      one_that_has_expired_is_not, one_that_is_not_valid_yet_is_not,
      one_that_nobody_known_has_signed_is_not, one_of_its_own_is_if_it_is_in_the_ca_file,
      without_a_ca_file_the_systems_hold, addresses_have_certificates_too,
      a_ca_file_has_to_have_one, what_speaks_no_tls_is_told, what_never_begins_is_not_waited_for,
      old_versions_are_refused, a_stream_that_is_cut_is_not_whole, much_goes_both_ways_unchanged)
