/*
 * scan_listen - many listeners in one thread, for scans to find. Reads "ADDRESS PORT KIND" lines
 * from stdin until its end, prints "ready", and serves until a signal.
 *
 * Kinds: ssh, ftp, smtp (say who they are), http, redis (answer), raw (hangs up at once), silent
 * (takes everything, says nothing), udp (answers every datagram), and, with the port given as
 * LOW-HIGH, any of the former on each of them.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RAW_KIND = 5, SILENT_KIND, UDP_KIND, EVENTS = 64 };

static const struct kind {
    const char *name, *greeting, *answer;
    bool hangs_up; /* after the answer */
} kinds[] = {
    {"ssh", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", NULL, false},
    {"ftp", "220 (vsFTPd 3.0.3)\r\n", NULL, false},
    {"smtp", "220 mail.test ESMTP Postfix (Debian/GNU)\r\n", NULL, false},
    {"http", NULL,
     "HTTP/1.0 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\n"
     "Content-Length: 26\r\n\r\n<title>hello world</title>\r\n",
     true},
    {"redis", NULL, "-ERR wrong number of arguments for 'get' command\r\n", false},
    [RAW_KIND] = {"raw", NULL, NULL, true},
    [SILENT_KIND] = {"silent", NULL, NULL, false},
    [UDP_KIND] = {"udp", NULL, "hello\n", false},
};

/* What an event belongs to, in its 64 bits. */
static uint64_t tag(int fd, unsigned kind, bool listens)
{
    return (uint32_t)fd | (uint64_t)kind << 32 | (uint64_t)listens << 63;
}

static void watch(int ep, int fd, unsigned kind, bool listens)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = tag(fd, kind, listens)};

    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) != 0) {
        perror("scan_listen: epoll");
        exit(1);
    }
}

static void open_one(int ep, const char *address, int port, unsigned kind)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int type = (kind == UDP_KIND ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(AF_INET, type, 0), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
        bind(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
        (kind != UDP_KIND && listen(fd, 128) != 0)) {
        fprintf(stderr, "scan_listen: %s:%d: ", address, port);
        perror("");
        exit(1);
    }
    watch(ep, fd, kind, kind != UDP_KIND);
}

static void open_all(int ep)
{
    char address[64], ports[16], name[16];

    while (scanf("%63s %15s %15s", address, ports, name) == 3) {
        char *dash = strchr(ports, '-');
        int low = atoi(ports), high = dash ? atoi(dash + 1) : low;
        unsigned kind = 0;

        while (kind < sizeof kinds / sizeof *kinds && strcmp(kinds[kind].name, name) != 0) {
            kind++;
        }
        if (kind == sizeof kinds / sizeof *kinds) {
            fprintf(stderr, "scan_listen: no kind '%s'\n", name);
            exit(1);
        }
        for (int port = low; port <= high; port++) {
            open_one(ep, address, port, kind);
        }
    }
}

static void greet(int ep, int fd, unsigned kind)
{
    const struct kind *k = &kinds[kind];
    int conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (conn < 0) {
        return;
    }
    if (kind == RAW_KIND ||
        (k->greeting && send(conn, k->greeting, strlen(k->greeting), MSG_NOSIGNAL) < 0)) {
        close(conn);
        return;
    }
    watch(ep, conn, kind, false);
}

static void answer(int fd, unsigned kind)
{
    const struct kind *k = &kinds[kind];
    char bytes[4096];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len);

    if (kind == UDP_KIND) {
        if (got >= 0) {
            sendto(fd, k->answer, strlen(k->answer), MSG_NOSIGNAL, (struct sockaddr *)&from, len);
        }
        return;
    }
    if (got > 0 && k->answer) {
        send(fd, k->answer, strlen(k->answer), MSG_NOSIGNAL);
    }
    if (got <= 0 || k->hangs_up) {
        close(fd);
    }
}

int main(void)
{
    struct rlimit files = {65536, 65536};
    struct epoll_event v[EVENTS];
    int ep = epoll_create1(EPOLL_CLOEXEC);

    setrlimit(RLIMIT_NOFILE, &files);
    open_all(ep);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(ep, v, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            int fd = (int)(v[i].data.u64 & UINT32_MAX);
            unsigned kind = v[i].data.u64 >> 32 & 0xff;

            if (v[i].data.u64 >> 63) {
                greet(ep, fd, kind);
            } else {
                answer(fd, kind);
            }
        }
    }
}
