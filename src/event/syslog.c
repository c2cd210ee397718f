#include "event/syslog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { BUFFER_MAX = 256 << 10, MESSAGE_BYTES = 2048, DIAL_MS = 1000, DIAL_MAX_MS = 60000 };
enum { FACILITY_DAEMON = 3, PORT_UDP = 514, PORT_TCP = 601 };

struct syslog {
    struct loop *loop;
    struct syslog_url url;
    struct syslog_events events;
    struct watch watch; /* fd -1: not connected */
    struct timer dial;
    int64_t dial_ms; /* until the next try */
    struct buf out;  /* of a stream: what waits */
    bool stream, connecting;
    bool asking;     /* for the address */
    char host[256];  /* of this machine */
    uint32_t untold; /* dropped, not yet told */
    struct syslog_stats stats;
};

/* ---- the URL ---- */

static int number(const char *text, uint16_t *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || n < 1 || n > 65535) {
        return ERR_INVALID;
    }
    *out = (uint16_t)n;
    return 0;
}

/* HOST, HOST:PORT, [v6], [v6]:PORT */
static int split_host(const char *text, struct syslog_url *out)
{
    const char *end = *text == '[' ? strchr(text, ']') : text + strcspn(text, ":/");
    const char *host = *text == '[' ? text + 1 : text;
    size_t slash;
    auto_free char *rest = NULL;

    if (!end || end == host) {
        return ERR_INVALID;
    }
    out->host = xstrndup(host, (size_t)(end - host));
    rest = xstrdup(*text == '[' ? end + 1 : end);
    slash = strlen(rest);
    if (slash > 0 && rest[slash - 1] == '/') {
        rest[slash - 1] = 0;
    }
    return *rest == 0 ? 0 : *rest == ':' ? number(rest + 1, &out->port) : ERR_INVALID;
}

int syslog_url_parse(const char *text, struct syslog_url *out, struct err *e)
{
    static const struct {
        const char *scheme;
        int kind;
        uint16_t port;
    } kinds[] = {
        {"syslog://", SYSLOG_UDP, PORT_UDP},
        {"syslog+udp://", SYSLOG_UDP, PORT_UDP},
        {"syslog+tcp://", SYSLOG_TCP, PORT_TCP},
        {"syslog+unix:", SYSLOG_UNIX, 0},
    };
    struct syslog_url u = {0};
    int rc = ERR_INVALID;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *rest = text + strlen(kinds[i].scheme);

        if (!str_starts(text, kinds[i].scheme)) {
            continue;
        }
        u.kind = kinds[i].kind;
        u.port = kinds[i].port;
        if (u.kind == SYSLOG_UNIX) {
            rest += str_starts(rest, "//") ? 2 : 0;
            rc = *rest == '/' && strlen(rest) < sizeof((struct sockaddr_un *)0)->sun_path
                     ? 0
                     : ERR_INVALID;
            u.path = xstrdup(rest);
        } else {
            rc = split_host(rest, &u);
        }
        break;
    }
    if (rc != 0) {
        syslog_url_done(&u);
        return err_set(e, ERR_INVALID,
                       "'%.200s' names no log server: syslog://HOST[:PORT], "
                       "syslog+tcp://HOST[:PORT] or syslog+unix:/PATH",
                       text);
    }
    *out = u;
    return 0;
}

void syslog_url_done(struct syslog_url *u)
{
    free(u->host);
    free(u->path);
    *u = (struct syslog_url){0};
}

/* ---- the connection ---- */

static void dial(struct syslog *s);

static void hang_up(struct syslog *s)
{
    if (s->watch.fd >= 0) {
        watch_del(&s->watch);
        close(s->watch.fd);
        s->watch.fd = -1;
    }
    s->stats.up = s->connecting = false;
    /* A message that was cut in the middle would spoil what follows on the next connection. */
    buf_reset(&s->out);
    timer_arm(s->loop, &s->dial, s->dial_ms);
    s->dial_ms = MIN(s->dial_ms * 2, DIAL_MAX_MS);
}

static void flush(struct syslog *s)
{
    while (s->out.len > 0) {
        ssize_t n = send(s->watch.fd, s->out.data, s->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (n < 0) {
            hang_up(s);
            return;
        }
        buf_drop(&s->out, (size_t)n);
    }
    watch_events(&s->watch, EPOLLIN | (s->out.len > 0 ? EPOLLOUT : 0));
}

static void came_up(struct syslog *s)
{
    s->connecting = false;
    s->stats.up = true;
    s->stats.reconnects++;
    s->dial_ms = DIAL_MS;
    flush(s);
}

static void on_socket(struct watch *w, uint32_t events)
{
    struct syslog *s = container_of(w, struct syslog, watch);
    char byte[256];
    int failed = 0;
    socklen_t size = sizeof failed;

    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &failed, &size) < 0 || failed) {
        if (s->stream) {
            hang_up(s);
        } /* of UDP: nobody listens there at the moment */
        return;
    }
    if (s->connecting && (events & EPOLLOUT)) {
        came_up(s);
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP)) { /* a log server says nothing: this is its end */
        ssize_t n = recv(w->fd, byte, sizeof byte, MSG_DONTWAIT);

        if (s->stream && (n == 0 || (n < 0 && errno != EAGAIN))) {
            hang_up(s);
            return;
        }
    }
    if (events & EPOLLOUT) {
        flush(s);
    }
}

/* An address of either kind; its length, or 0. */
static socklen_t address_of(const char *text, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    *out = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof *v6;
    }
    return 0;
}

static void connect_to(struct syslog *s, const struct sockaddr *to, socklen_t n, int type)
{
    int fd = socket(to->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = fd < 0 ? -1 : connect(fd, to, n);

    s->stream = type == SOCK_STREAM;
    if (rc < 0 && (fd < 0 || errno != EINPROGRESS)) {
        bool other = fd >= 0 && errno == EPROTOTYPE && type == SOCK_DGRAM;

        if (fd >= 0) {
            close(fd);
        }
        if (other) {
            connect_to(s, to, n, SOCK_STREAM);
            return;
        }
        hang_up(s);
        return;
    }
    s->watch.fd = fd;
    s->watch.fn = on_socket;
    s->watch.events = rc < 0 ? EPOLLOUT : EPOLLIN;
    s->connecting = rc < 0;
    if (watch_add(s->loop, &s->watch, NULL) != 0) {
        close(fd);
        s->watch.fd = -1;
        hang_up(s);
        return;
    }
    if (!s->connecting) {
        came_up(s);
    }
}

static void on_address(void *arg, const char *address)
{
    struct syslog *s = arg;
    struct sockaddr_storage to;
    socklen_t n = address ? address_of(address, s->url.port, &to) : 0;

    s->asking = false;
    if (n == 0) {
        hang_up(s);
        return;
    }
    connect_to(s, (struct sockaddr *)&to, n, s->url.kind == SYSLOG_UDP ? SOCK_DGRAM : SOCK_STREAM);
}

static void dial(struct syslog *s)
{
    struct sockaddr_storage to;

    if (s->url.kind == SYSLOG_UNIX) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};

        snprintf(at.sun_path, sizeof at.sun_path, "%s", s->url.path);
        connect_to(s, (struct sockaddr *)&at, sizeof at, SOCK_DGRAM);
    } else if (address_of(s->url.host, s->url.port, &to) || !s->events.resolve) {
        on_address(s, s->url.host);
    } else if (!s->asking) {
        s->asking = true;
        s->events.resolve(s->events.arg, s->url.host, on_address, s);
    }
}

static void on_dial(struct timer *t)
{
    dial(container_of(t, struct syslog, dial));
}

/* ---- messages ---- */

static void add_param(struct buf *b, const char *key, const char *s, size_t n)
{
    auto_buf text = {0};

    buf_add_escaped(&text, s, n);
    buf_addf(b, " %s=\"", key);
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("\"\\]", text.data[i])) {
            buf_addc(b, '\\');
        }
        buf_addc(b, text.data[i]);
    }
    buf_addc(b, '"');
}

/* What does not fit is left out, at a whole character. */
static void cut(struct buf *b, size_t max)
{
    size_t n = MIN(b->len, max);

    while (n < b->len && n > 0 && ((unsigned char)b->data[n] & 0xc0) == 0x80) {
        n--;
    }
    b->len = n;
}

/* <PRI>1 TIME HOST APP PID MSGID [SD] MSG. 32473 is the number that RFC 5612 gives to examples and
 * to those without one of their own. Structured data is whole, or not there. */
static void put_message(const struct syslog *s, struct buf *b, enum log_level level, int64_t at_us,
                        const char *event, const struct kv *kv, unsigned n)
{
    static const int severity[] = {7, 6, 4, 3};
    char when[RFC3339_LEN + 1];
    auto_buf data = {0};

    rfc3339_us(at_us, when);
    buf_addf(b, "<%d>1 %s %s scanpod %d %.32s ", FACILITY_DAEMON * 8 + severity[level], when,
             s->host, (int)getpid(), event);
    for (unsigned i = 0; i < n; i++) {
        char digits[24];

        snprintf(digits, sizeof digits, "%" PRId64, kv[i].i);
        add_param(&data, kv[i].key, kv[i].type == KV_INT ? digits : kv[i].s,
                  kv[i].type == KV_INT ? strlen(digits) : strnlen(kv[i].s, 1024));
    }
    if (n > 0 && data.len < MESSAGE_BYTES / 2) {
        buf_adds(b, "[scanpod@32473");
        buf_add(b, data.data, data.len);
        buf_adds(b, "] ");
    } else {
        buf_adds(b, "- ");
    }
    buf_adds(b, event);
    if (n > 0) {
        buf_addc(b, ' ');
        log_add_logfmt(b, kv, n);
    }
    cut(b, MESSAGE_BYTES);
}

static bool send_one(struct syslog *s, const struct buf *m)
{
    if (!s->stream) {
        return s->watch.fd >= 0 &&
               send(s->watch.fd, m->data, m->len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)m->len;
    }
    if (s->watch.fd < 0 || s->out.len + m->len + 8 > BUFFER_MAX) {
        return false;
    }
    buf_addf(&s->out, "%zu ", m->len);
    buf_add(&s->out, m->data, m->len);
    if (!s->connecting) {
        flush(s);
    }
    return true;
}

static void on_event(void *arg, enum log_level level, int64_t at_us, const char *event,
                     const struct kv *kv, unsigned n)
{
    struct syslog *s = arg;
    auto_buf m = {0};

    if (s->untold > 0) {
        const struct kv lost = KV("count", s->untold);
        auto_buf told = {0};

        put_message(s, &told, LOG_WARN, at_us, "log_dropped", &lost, 1);
        s->untold = send_one(s, &told) ? 0 : s->untold;
    }
    put_message(s, &m, level, at_us, event, kv, n);
    if (send_one(s, &m)) {
        s->stats.sent++;
    } else {
        s->stats.dropped++;
        s->untold++;
    }
}

/* ---- life ---- */

struct syslog *syslog_start(struct loop *l, const struct syslog_url *url,
                            const struct syslog_events *ev)
{
    struct syslog *s = xcalloc(1, sizeof *s);

    s->loop = l;
    s->url = *url;
    s->url.host = xstrdup(url->host);
    s->url.path = xstrdup(url->path);
    s->events = *ev;
    s->watch.fd = -1;
    s->dial.fn = on_dial;
    s->dial_ms = DIAL_MS;
    if (gethostname(s->host, sizeof s->host - 1) != 0 || !*s->host) {
        snprintf(s->host, sizeof s->host, "-");
    }
    dial(s);
    log_also(on_event, s);
    return s;
}

void syslog_stop(struct syslog *s)
{
    if (!s) {
        return;
    }
    log_also(NULL, NULL);
    timer_stop(&s->dial);
    if (s->watch.fd >= 0) {
        watch_del(&s->watch);
        close(s->watch.fd);
    }
    buf_done(&s->out);
    syslog_url_done(&s->url);
    free(s);
}

void syslog_stats(const struct syslog *s, struct syslog_stats *out)
{
    *out = s->stats;
}
