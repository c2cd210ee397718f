/*
 * load - a closed loop of HTTP requests: each connection sends the next one when its answer is
 * complete. Unlike wrk it tells what each connection got, so that one that starves is seen, and it
 * can send a number of requests instead of sending for a time.
 *
 * usage: load PORT CONNECTIONS SECONDS|nCOUNT METHOD PATH KEY [BODY]
 * Prints one JSON object: rate, latencies, answers that were not 2xx, requests of the connection
 * that got the fewest. After nCOUNT another line: a JSON array of each connection's last answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { IN_MAX = 1 << 20, CONNS_MAX = 10000, BUCKETS = 4096 };

struct conn {
    int fd;
    char *in; /* IN_MAX bytes */
    size_t have;
    size_t need; /* whole answer; 0: header not complete */
    double sent_us;
    uint64_t answers;
};

struct load {
    struct conn *conns;
    long n;
    uint64_t left, open; /* requests that may still be sent; that wait for an answer */
    int epoll;
    char *request;
    uint64_t answers, bad;
    double max_us;
    uint64_t bucket[BUCKETS]; /* see bucket_of() */
};

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* 64 buckets for each power of two: an error below 2 %. */
static unsigned bucket_of(double us)
{
    uint64_t v = (uint64_t)us + 64;
    unsigned top = 63u - (unsigned)__builtin_clzll(v);
    unsigned i = (top - 6) * 64 + (unsigned)(v >> (top - 6) & 63);

    return i < BUCKETS ? i : BUCKETS - 1;
}

static double bucket_us(unsigned i)
{
    return (double)((uint64_t)(64 + i % 64) << i / 64) - 64;
}

static double percentile(const struct load *l, double share)
{
    uint64_t left = (uint64_t)((double)l->answers * share);

    for (unsigned i = 0; i < BUCKETS; i++) {
        if (l->bucket[i] > left) {
            return bucket_us(i);
        }
        left -= l->bucket[i];
    }
    return l->max_us;
}

static void request_send(struct load *l, struct conn *c)
{
    size_t n = strlen(l->request);

    if (l->left == 0) {
        return;
    }
    l->left--;
    l->open++;
    c->have = c->need = 0;
    c->sent_us = now_us();
    if (send(c->fd, l->request, n, MSG_NOSIGNAL) != (ssize_t)n) {
        fail("send");
    }
}

static void conn_open(struct load *l, struct conn *c, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    int one = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->in = malloc(IN_MAX + 1);
    if (c->fd < 0 || !c->in || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0) {
        fail("connect");
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0) {
        fail("epoll");
    }
}

/* Length of the whole answer once its header is there. */
static size_t answer_length(const char *in, const char *header_end)
{
    static const char name[] = "\r\ncontent-length:";
    const char *at = strcasestr(in, name);

    if (!at || at > header_end) {
        fputs("an answer without Content-Length\n", stderr);
        exit(1);
    }
    return (size_t)(header_end + 4 - in) + strtoul(at + strlen(name), NULL, 10);
}

static void answer_done(struct load *l, struct conn *c)
{
    double us = now_us() - c->sent_us;

    l->answers++;
    l->open--;
    c->answers++;
    l->bad += c->in[9] != '2';
    l->bucket[bucket_of(us)]++;
    l->max_us = us > l->max_us ? us : l->max_us;
}

/* True when the answer is complete. */
static bool conn_read(struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->have, IN_MAX - c->have, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (n <= 0) {
        fail("the server closed a connection");
    }
    c->have += (size_t)n;
    c->in[c->have] = '\0';
    if (c->need == 0) {
        const char *end = strstr(c->in, "\r\n\r\n");

        c->need = end ? answer_length(c->in, end) : 0;
    }
    if (c->need > IN_MAX || (c->need && c->have > c->need)) {
        fputs("an answer of a length that was not announced\n", stderr);
        exit(1);
    }
    return c->need && c->have == c->need;
}

static double run(struct load *l, double seconds)
{
    double start = now_us(), end = start + seconds * 1e6, now = start;

    for (long i = 0; i < l->n; i++) {
        request_send(l, &l->conns[i]);
    }
    while (now < end && l->open > 0) {
        struct epoll_event ev[256];
        int n = epoll_wait(l->epoll, ev, 256, 100);

        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;

            if (conn_read(c)) {
                answer_done(l, c);
                request_send(l, c);
            }
        }
        now = now_us();
    }
    return (now - start) / 1e6;
}

/* The bodies are JSON already. */
static void print_last(const struct load *l)
{
    for (long i = 0; i < l->n; i++) {
        const struct conn *c = &l->conns[i];
        const char *body = c->answers ? strstr(c->in, "\r\n\r\n") : NULL;

        printf("%s%s", i ? "," : "[", body ? body + 4 : "null");
    }
    puts("]");
}

static char *request_make(char **argv, const char *body)
{
    char *text = NULL;
    char length[96] = "";

    if (body) {
        snprintf(length, sizeof length, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                 strlen(body));
    }
    if (asprintf(&text, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nX-API-Key: %s\r\n%s\r\n%s",
                 argv[4], argv[5], argv[1], argv[6], length, body ? body : "") < 0) {
        fail("request");
    }
    return text;
}

int main(int argc, char **argv)
{
    static struct load l;
    double seconds, took;
    bool counted;
    uint64_t least = UINT64_MAX;

    if (argc != 7 && argc != 8) {
        fputs("usage: load PORT CONNECTIONS SECONDS|nCOUNT METHOD PATH KEY [BODY]\n", stderr);
        return 2;
    }
    l.n = strtol(argv[2], NULL, 10);
    counted = argv[3][0] == 'n';
    seconds = counted ? 3600 : strtod(argv[3], NULL);
    l.left = counted ? strtoull(argv[3] + 1, NULL, 10) : UINT64_MAX;
    l.conns = l.n > 0 && l.n <= CONNS_MAX ? calloc((size_t)l.n, sizeof *l.conns) : NULL;
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.request = request_make(argv, argv[7]);
    if (!l.conns || l.epoll < 0) {
        fail("connections");
    }
    for (long i = 0; i < l.n; i++) {
        conn_open(&l, &l.conns[i], (uint16_t)strtoul(argv[1], NULL, 10));
    }
    took = run(&l, seconds);
    for (long i = 0; i < l.n; i++) {
        least = l.conns[i].answers < least ? l.conns[i].answers : least;
    }
    printf("{\"rate\":%.1f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"p999_us\":%.0f,\"max_us\":%.0f,"
           "\"bad\":%llu,\"answers\":%llu,\"least\":%llu}\n",
           (double)l.answers / took, percentile(&l, 0.5), percentile(&l, 0.99),
           percentile(&l, 0.999), l.max_us, (unsigned long long)l.bad,
           (unsigned long long)l.answers, (unsigned long long)least);
    if (counted) {
        print_last(&l);
    }
    for (long i = 0; i < l.n; i++) {
        close(l.conns[i].fd);
        free(l.conns[i].in);
    }
    free(l.conns);
    free(l.request);
    return 0;
}
