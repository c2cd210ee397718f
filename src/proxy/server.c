/*
 * The role: a channel from the runner, and runs with their listeners. A message that the client's
 * side would not have sent ends it, and with it every connection.
 */
#include "proxy/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/role.h"
#include "box/seccomp.h"
#include "proxy/proto.h"

enum {
    HEADER_MS = 10000,
    CONNECT_MS = 10000,
    IDLE_MS = 60000,
    ANSWER_MS = 300000,
    RESUME_MS = 100
};
enum { CA_MAX = 4 << 20, PIECE = 65536 };

/* ---- one run ---- */

static void listen_on(struct proxy_run *run)
{
    bool room = run->n_links < PROXY_AT_ONCE && !run->resume.loop;

    watch_events(&run->listener, room ? EPOLLIN : 0);
}

void run_has_room(struct proxy_run *run)
{
    if (run->listener.fd >= 0) {
        listen_on(run);
    }
}

static void end_links(struct proxy_run *run, bool (*which)(const struct link *l))
{
    struct link *next;

    for (struct link *l = run->links; l; l = next) {
        next = l->next;
        if (which(l)) {
            l->end(l, true);
        }
    }
}

static bool all(const struct link *l)
{
    (void)l;
    return true;
}

static bool carries(const struct link *l)
{
    return l->carries;
}

static bool of_checkout(const struct link *l)
{
    return l->checkout;
}

void run_over_cap(struct proxy_run *run)
{
    end_links(run, carries);
}

void run_seal(struct proxy_run *run)
{
    if (!run->sealed) {
        run->sealed = true;
        end_links(run, of_checkout);
    }
}

static void on_resume(struct timer *t)
{
    listen_on(container_of(t, struct proxy_run, resume));
}

static void on_listener(struct watch *w, uint32_t events)
{
    struct proxy_run *run = container_of(w, struct proxy_run, listener);
    /* cppcheck-suppress nullPointer ; nobody asks for the peer's address */
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd >= 0) {
        relay_new(run, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        timer_arm(run->pp->loop, &run->resume, RESUME_MS);
    }
    listen_on(run);
}

static struct proxy_run **find(struct proxy_process *pp, uint64_t id)
{
    struct proxy_run **at = &pp->runs;

    while (*at && (*at)->id != id) {
        at = &(*at)->next;
    }
    return at;
}

static int option_of(int fd, int name)
{
    int v = -1;
    socklen_t len = sizeof v;

    return getsockopt(fd, SOL_SOCKET, name, &v, &len) < 0 ? -1 : v;
}

static bool is_listener(int fd)
{
    return option_of(fd, SO_DOMAIN) == AF_INET && option_of(fd, SO_TYPE) == SOCK_STREAM &&
           option_of(fd, SO_ACCEPTCONN) == 1 && fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0;
}

static bool on_open(struct proxy_process *pp, struct wire *w, int *fd)
{
    struct proxy_run *run;
    struct open_in in;

    if (!open_get(w, &in)) {
        return false;
    }
    if (*find(pp, in.run) || !is_listener(*fd)) {
        allow_done(&in.allow);
        gateways_done(&in.gateways);
        return false;
    }
    run = xcalloc(1, sizeof *run);
    run->pp = pp;
    run->id = in.run;
    run->allow = in.allow;
    run->gateways = in.gateways;
    for (size_t i = 0; i < run->gateways.n; i++) {
        struct gateway *g = &run->gateways.v[i];

        g->leak = g->secret ? leak_new(pp->config->secrets, g->secret) : NULL;
    }
    run->bytes_left = in.bytes_max;
    run->connections_left = in.connections_max;
    run->resume.fn = on_resume;
    run->listener = (struct watch){.fd = take_fd(fd), .events = EPOLLIN, .fn = on_listener};
    run->next = pp->runs;
    pp->runs = run;
    return watch_add(pp->loop, &run->listener, NULL) == 0;
}

static bool on_run_over(struct proxy_process *pp, struct wire *w)
{
    struct proxy_run **at = find(pp, wire_get_u64(w));
    struct proxy_run *run = *at;
    auto_buf body = {0};

    if (!wire_end(w) || !run) {
        return false;
    }
    *at = run->next;
    timer_stop(&run->resume);
    watch_del(&run->listener);
    fd_close(&run->listener.fd);
    end_links(run, all);
    tally_put(&body, run->id, &run->counts);
    (void)chan_send(&pp->chan, PROXY_COUNTS, body.data, body.len, NULL, 0, NULL);
    allow_done(&run->allow);
    gateways_done(&run->gateways);
    free(run);
    return true;
}

/* ---- who is trusted ---- */

bool process_trust(struct proxy_process *pp, const char *ca_file, const struct tls_trust **out,
                   const char **why)
{
    struct trust *t = &pp->system;
    const struct buf none = {0}, *ca = &none;
    size_t i = 0;

    while (ca_file && i < ARRAY_LEN(pp->file) && !str_eq(ca_file, pp->config->ca_file[i])) {
        i++;
    }
    if (i == ARRAY_LEN(pp->file)) {
        *why = "the gateway's CA file is not one of the settings";
        return false;
    }
    if (ca_file) {
        t = &pp->file[i];
        ca = &pp->ca[i];
    }
    if (!t->tried) {
        t->tried = true;
        (void)tls_trust_new(ca->data, ca->len, &t->trust, &t->why);
    }
    *out = t->trust;
    *why = t->why.msg;
    return t->trust != NULL;
}

/* ---- the process ---- */

struct start {
    const struct proxy_config *config;
    struct buf ca[2];
};

static void on_message(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds)
{
    struct proxy_process *pp = container_of(c, struct proxy_process, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    bool ok = type == PROXY_OPEN    ? n_fds == 1 && on_open(pp, &w, fds)
              : type == PROXY_CLOSE ? n_fds == 0 && on_run_over(pp, &w)
                                    : false;

    if (!ok) {
        fprintf(stderr, "proxy: message %u is not one of ours\n", type);
        loop_stop(pp->loop);
    }
}

static void on_close(struct chan *c)
{
    loop_stop(container_of(c, struct proxy_process, chan)->loop);
}

static void proxy_process(const void *arg, int fd)
{
    const struct start *start = arg;
    const struct proxy_config *given = start->config;
    const struct role_start role = {.name = "scanpod-proxy",
                                    .change_user = given->change_user,
                                    .uid = given->uid,
                                    .gid = given->gid};
    struct proxy_config c = *given;
    struct proxy_process pp = {
        .config = &c, .ca = start->ca, .chan = {.on_message = on_message, .on_close = on_close}};
    const char *failed = role_become(&role, fd);
    struct err e = {0};

    if (failed) {
        fprintf(stderr, "proxy: %s: %s\n", failed, strerror(errno));
        _exit(1);
    }
    c.header_ms = c.header_ms ? c.header_ms : HEADER_MS;
    c.connect_ms = c.connect_ms ? c.connect_ms : CONNECT_MS;
    c.idle_ms = c.idle_ms ? c.idle_ms : IDLE_MS;
    c.answer_ms = c.answer_ms ? c.answer_ms : ANSWER_MS;
    c.look_up = c.look_up ? c.look_up : lookup_now;
    role_raise_descriptors();
    secrets_lock(c.secrets);
    secrets_share(c.secrets, false); /* look-ups need none */
    if (loop_new(&pp.loop, &e) != 0 || chan_start(&pp.chan, pp.loop, fd, &e) != 0 ||
        seccomp_role(ROLE_PROXY, &e) != 0 ||
        chan_send(&pp.chan, PROXY_READY, NULL, 0, NULL, 0, &e) != 0 || loop_run(pp.loop, &e) != 0) {
        fprintf(stderr, "proxy: %s\n", e.msg);
        _exit(1);
    }
    _exit(0); /* connections and children end with us */
}

/* While we may: its user may not be allowed to. */
static int read_ca(const char *path, struct buf *out, struct err *e)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n;

    if (fd < 0) {
        return err_errno(e, "open CA file '%s'", path);
    }
    while ((n = read(fd, buf_space(out, PIECE), PIECE)) > 0 && out->len + (size_t)n <= CA_MAX) {
        out->len += (size_t)n;
    }
    return n < 0   ? err_errno(e, "read CA file '%s'", path)
           : n > 0 ? err_set(e, ERR_LIMIT, "CA file '%s' has more than 4 MiB", path)
                   : 0;
}

int proxy_spawn(const struct proxy_config *c, int *out_fd, int *out_pidfd, struct err *e)
{
    struct start start = {.config = c};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(start.ca); i++) {
        rc = c->ca_file[i] ? read_ca(c->ca_file[i], &start.ca[i], e) : 0;
    }
    if (rc == 0) {
        rc = chan_spawn("the proxy", proxy_process, &start, out_fd, out_pidfd, e);
    }
    buf_done(&start.ca[0]);
    buf_done(&start.ca[1]);
    return rc;
}
