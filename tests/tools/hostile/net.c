/* Ways by sockets: what any program could try, with and without raw sockets. */
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_alg.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { PORT = 80, WAIT_MS = 300 };

static struct sockaddr_in v4(struct in_addr a, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = a, .sin_port = htons(port)};
}

static struct sockaddr_in6 v6(const struct in6_addr *a, uint16_t port)
{
    return (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_addr = *a, .sin6_port = htons(port)};
}

/* Tries to connect, and waits a moment for an answer. */
static enum verdict try_connect(int fd, const void *sa, socklen_t len, char detail[160])
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int err = 0;
    socklen_t size = sizeof err;

    if (fd < 0) {
        return refused(detail, "socket");
    }
    if (connect(fd, sa, len) < 0 && errno != EINPROGRESS) {
        enum verdict v = refused(detail, "connect");

        close(fd);
        return v;
    }
    if (poll(&p, 1, WAIT_MS) == 1) {
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
        close(fd);
        errno = err;
        /* Refused by the far end means that the far end was reached. */
        return err == 0 || err == ECONNREFUSED ? got(detail, "connected")
                                               : refused(detail, "connect");
    }
    close(fd);
    return sent(detail, "no answer");
}

static int stream(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static enum verdict tcp_connect(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = v4(w->out, PORT);

    return try_connect(stream(AF_INET), &sa, sizeof sa, detail);
}

static enum verdict tcp_own(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = v4(w->has_own ? w->own : w->gateway, PORT);

    return try_connect(stream(AF_INET), &sa, sizeof sa, detail);
}

static enum verdict tcp_gateway(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = v4(w->gateway, PORT);

    return try_connect(stream(AF_INET), &sa, sizeof sa, detail);
}

static enum verdict tcp_metadata(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(80)};

    (void)w;
    inet_aton("169.254.169.254", &sa.sin_addr); /* dropped inside the test's own namespaces */
    return try_connect(stream(AF_INET), &sa, sizeof sa, detail);
}

static enum verdict tcp6_connect(const struct where *w, char detail[160])
{
    struct sockaddr_in6 sa = v6(&w->out6, PORT);

    return try_connect(stream(AF_INET6), &sa, sizeof sa, detail);
}

static enum verdict tcp_mapped(const struct where *w, char detail[160])
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};

    sa.sin6_addr.s6_addr[10] = sa.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&sa.sin6_addr.s6_addr[12], &w->out, 4);
    return try_connect(stream(AF_INET6), &sa, sizeof sa, detail);
}

static enum verdict fast_open(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = v4(w->out, PORT);
    int fd = stream(AF_INET);
    ssize_t n = sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&sa, sizeof sa);

    if (n < 0 && errno != EINPROGRESS) {
        return refused(detail, "sendto");
    }
    usleep(50000);
    close(fd);
    return sent(detail, "TCP fast open");
}

static enum verdict udp_to(int family, const void *sa, socklen_t len, char detail[160])
{
    int fd = socket(family, SOCK_DGRAM, 0);
    enum verdict v;

    if (fd < 0) {
        return refused(detail, "socket");
    }
    v = sendto(fd, "hello", 5, 0, sa, len) < 0 ? refused(detail, "sendto") : sent(detail, "udp");
    close(fd);
    return v;
}

static enum verdict udp_send(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = v4(w->out, 53);

    return udp_to(AF_INET, &sa, sizeof sa, detail);
}

static enum verdict udp6_send(const struct where *w, char detail[160])
{
    struct sockaddr_in6 sa = v6(&w->out6, 53);

    return udp_to(AF_INET6, &sa, sizeof sa, detail);
}

static enum verdict udp_multicast(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(5353)};

    (void)w;
    inet_aton("224.0.0.251", &sa.sin_addr);
    return udp_to(AF_INET, &sa, sizeof sa, detail);
}

static enum verdict udp_broadcast(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(67)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    int on = 1;
    enum verdict v;

    (void)w;
    sa.sin_addr.s_addr = INADDR_BROADCAST;
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
    v = sendto(fd, "x", 1, 0, (struct sockaddr *)&sa, sizeof sa) < 0 ? refused(detail, "sendto")
                                                                     : sent(detail, "broadcast");
    close(fd);
    return v;
}

static enum verdict udp_sendmsg(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = v4(w->out, 53);
    struct iovec iov = {.iov_base = (char[]){"x"}, .iov_len = 1};
    struct msghdr mh = {
        .msg_name = &sa, .msg_namelen = sizeof sa, .msg_iov = &iov, .msg_iovlen = 1};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    enum verdict v = sendmsg(fd, &mh, 0) < 0 ? refused(detail, "sendmsg") : sent(detail, "sendmsg");

    close(fd);
    return v;
}

static enum verdict udp_sendmmsg(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = v4(w->out, 53);
    struct iovec iov = {.iov_base = (char[]){"x"}, .iov_len = 1};
    struct mmsghdr mm = {
        .msg_hdr = {.msg_name = &sa, .msg_namelen = sizeof sa, .msg_iov = &iov, .msg_iovlen = 1}};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    enum verdict v =
        sendmmsg(fd, &mm, 1, 0) < 0 ? refused(detail, "sendmmsg") : sent(detail, "sendmmsg");

    close(fd);
    return v;
}

/* Connected to what is allowed, then once more to what is not. */
static enum verdict udp_reconnect(const struct where *w, char detail[160])
{
    struct sockaddr_in good = v4(w->in, 53);
    struct sockaddr_in bad = v4(w->out, 53);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    enum verdict v;

    if (fd < 0 || connect(fd, (struct sockaddr *)&good, sizeof good) < 0 ||
        connect(fd, (struct sockaddr *)&bad, sizeof bad) < 0) {
        return refused(detail, "connect");
    }
    v = send(fd, "x", 1, 0) < 0 ? refused(detail, "send") : sent(detail, "send");
    close(fd);
    return v;
}

struct flip {
    struct sockaddr_in sa;
    struct in_addr in, out;
    volatile int stop;
};

static void *flip_address(void *arg)
{
    struct flip *f = arg;

    while (!f->stop) {
        f->sa.sin_addr = f->in;
        __sync_synchronize();
        f->sa.sin_addr = f->out;
    }
    return NULL;
}

/* The address changes while somebody checks it. */
static enum verdict udp_race(const struct where *w, char detail[160])
{
    struct flip f = {.sa = v4(w->in, 53), .in = w->in, .out = w->out};
    pthread_t thread;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0 || pthread_create(&thread, NULL, flip_address, &f) != 0) {
        return refused(detail, "thread");
    }
    for (int i = 0; i < 2000; i++) {
        (void)!sendto(fd, "r", 1, 0, (struct sockaddr *)&f.sa, sizeof f.sa);
    }
    f.stop = 1;
    pthread_join(thread, NULL);
    close(fd);
    return sent(detail, "2000 times");
}

static enum verdict raw_to(const struct where *w, int protocol, char detail[160])
{
    struct sockaddr_in sa = v4(w->out, 0);
    char body[64] = {8};
    int fd = socket(AF_INET, SOCK_RAW, protocol);
    enum verdict v;

    if (fd < 0) {
        return refused(detail, "raw socket");
    }
    v = sendto(fd, body, sizeof body, 0, (struct sockaddr *)&sa, sizeof sa) < 0
            ? refused(detail, "sendto")
            : sent(detail, "raw");
    close(fd);
    return v;
}

static enum verdict raw_icmp(const struct where *w, char detail[160])
{
    return raw_to(w, IPPROTO_ICMP, detail);
}

static enum verdict raw_sctp(const struct where *w, char detail[160])
{
    return raw_to(w, 132, detail);
}

static enum verdict raw_gre(const struct where *w, char detail[160])
{
    return raw_to(w, IPPROTO_GRE, detail);
}

static enum verdict raw_ipip(const struct where *w, char detail[160])
{
    return raw_to(w, IPPROTO_IPIP, detail);
}

static enum verdict icmp_datagram(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = v4(w->out, 0);
    char echo[16] = {8};
    int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    enum verdict v;

    if (fd < 0) {
        return refused(detail, "socket");
    }
    v = sendto(fd, echo, sizeof echo, 0, (struct sockaddr *)&sa, sizeof sa) < 0
            ? refused(detail, "sendto")
            : sent(detail, "echo");
    close(fd);
    return v;
}

/* An IP header of our own. */
static enum verdict send_header(const struct where *w, struct in_addr from, struct in_addr to,
                                uint8_t protocol, uint16_t frag, char detail[160])
{
    struct {
        struct iphdr ip;
        char body[32];
    } __attribute__((packed)) p = {.ip = {.version = 4,
                                          .ihl = 5,
                                          .ttl = 64,
                                          .protocol = protocol,
                                          .frag_off = htons(frag),
                                          .tot_len = htons(sizeof p),
                                          .saddr = from.s_addr,
                                          .daddr = to.s_addr}};
    struct sockaddr_in sa = v4(to, 0);
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    enum verdict v;

    (void)w;
    if (fd < 0) {
        return refused(detail, "raw socket");
    }
    v = sendto(fd, &p, sizeof p, 0, (struct sockaddr *)&sa, sizeof sa) < 0
            ? refused(detail, "sendto")
            : sent(detail, "own header");
    close(fd);
    return v;
}

static enum verdict header_out(const struct where *w, char detail[160])
{
    return send_header(w, w->self, w->out, IPPROTO_TCP, 0, detail);
}

static enum verdict header_spoofed(const struct where *w, char detail[160])
{
    return send_header(w, w->out, w->in, IPPROTO_UDP, 0, detail);
}

static enum verdict header_spoofed_out(const struct where *w, char detail[160])
{
    return send_header(w, w->in, w->out, IPPROTO_UDP, 0, detail);
}

static enum verdict header_fragment(const struct where *w, char detail[160])
{
    return send_header(w, w->self, w->out, IPPROTO_UDP, 0x2000, detail);
}

static enum verdict header_later_fragment(const struct where *w, char detail[160])
{
    return send_header(w, w->self, w->out, IPPROTO_UDP, 4, detail);
}

static enum verdict header_tunnel_in(const struct where *w, char detail[160])
{
    return send_header(w, w->self, w->in, IPPROTO_IPIP, 0, detail);
}

/* Loose source route: to the allowed host, which is to send it on. */
static enum verdict source_route(const struct where *w, char detail[160])
{
    uint8_t opt[12] = {1, 131, 11, 4};
    struct sockaddr_in sa = v4(w->in, 53);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    enum verdict v;

    memcpy(opt + 4, &w->in, 4);
    memcpy(opt + 8, &w->out, 4);
    if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_OPTIONS, opt, sizeof opt) < 0) {
        return refused(detail, "IP_OPTIONS");
    }
    v = sendto(fd, "x", 1, 0, (struct sockaddr *)&sa, sizeof sa) < 0 ? refused(detail, "sendto")
                                                                     : sent(detail, "source route");
    close(fd);
    return v;
}

static enum verdict other_family(int family, int type, const char *name, char detail[160])
{
    int fd = socket(family, type, 0);

    if (fd < 0) {
        return refused(detail, name);
    }
    close(fd);
    return got(detail, name);
}

static enum verdict family_vsock(const struct where *w, char detail[160])
{
    (void)w;
    return other_family(AF_VSOCK, SOCK_STREAM, "AF_VSOCK", detail);
}

static enum verdict family_alg(const struct where *w, char detail[160])
{
    (void)w;
    return other_family(AF_ALG, SOCK_SEQPACKET, "AF_ALG", detail);
}

static enum verdict family_bluetooth(const struct where *w, char detail[160])
{
    (void)w;
    return other_family(AF_BLUETOOTH, SOCK_RAW, "AF_BLUETOOTH", detail);
}

static enum verdict family_tipc(const struct where *w, char detail[160])
{
    (void)w;
    return other_family(30, SOCK_DGRAM, "AF_TIPC", detail);
}

static enum verdict io_uring(const struct where *w, char detail[160])
{
    struct io_uring_params p = {0};
    long fd = syscall(SYS_io_uring_setup, 4, &p);

    (void)w;
    if (fd < 0) {
        return refused(detail, "io_uring_setup");
    }
    close((int)fd);
    return got(detail, "io_uring");
}

static enum verdict dbus(const struct where *w, char detail[160])
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = "/run/dbus/system_bus_socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)w;
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        return refused(detail, "connect");
    }
    close(fd);
    return got(detail, "D-Bus");
}

static enum verdict abstract_socket(const struct where *w, char detail[160])
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = "\0scanpod-witness"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)w;
    if (fd < 0 ||
        connect(fd, (struct sockaddr *)&sa, offsetof(struct sockaddr_un, sun_path) + 16) < 0) {
        return refused(detail, "connect");
    }
    close(fd);
    return got(detail, "abstract socket");
}

static enum verdict tun_device(const struct where *w, char detail[160])
{
    struct ifreq r = {.ifr_name = "leak0", .ifr_flags = IFF_TUN};
    int fd = open("/dev/net/tun", O_RDWR);

    (void)w;
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0) {
        return refused(detail, "tun");
    }
    close(fd);
    return got(detail, "tun");
}

static enum verdict enter_netns(const struct where *w, char detail[160])
{
    int fd = open("/proc/1/ns/net", O_RDONLY);

    if (fd < 0) {
        return refused(detail, "open /proc/1/ns/net");
    }
    if (setns(fd, CLONE_NEWNET) < 0) {
        return refused(detail, "setns");
    }
    close(fd);
    return tcp_connect(w, detail);
}

static enum verdict new_netns(const struct where *w, char detail[160])
{
    (void)w;
    return unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? refused(detail, "unshare")
                                                     : got(detail, "unshare");
}

static enum verdict bind_device(const struct where *w, char detail[160])
{
    struct sockaddr_in sa = v4(w->out, 53);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    enum verdict v;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5) < 0) {
        return refused(detail, "SO_BINDTODEVICE");
    }
    v = sendto(fd, "x", 1, 0, (struct sockaddr *)&sa, sizeof sa) < 0 ? refused(detail, "sendto")
                                                                     : sent(detail, "bound");
    close(fd);
    return v;
}

const struct way ways_net[] = {
    {"tcp_connect", tcp_connect},
    {"tcp_own_address", tcp_own},
    {"tcp_gateway", tcp_gateway},
    {"tcp_metadata", tcp_metadata},
    {"tcp6_connect", tcp6_connect},
    {"tcp_mapped", tcp_mapped},
    {"tcp_fast_open", fast_open},
    {"udp_send", udp_send},
    {"udp6_send", udp6_send},
    {"udp_multicast", udp_multicast},
    {"udp_broadcast", udp_broadcast},
    {"udp_sendmsg", udp_sendmsg},
    {"udp_sendmmsg", udp_sendmmsg},
    {"udp_reconnect", udp_reconnect},
    {"udp_race", udp_race},
    {"raw_icmp", raw_icmp},
    {"raw_sctp", raw_sctp},
    {"raw_gre", raw_gre},
    {"raw_ipip", raw_ipip},
    {"icmp_datagram", icmp_datagram},
    {"header_out", header_out},
    {"header_spoofed", header_spoofed},
    {"header_spoofed_out", header_spoofed_out},
    {"header_fragment", header_fragment},
    {"header_later_fragment", header_later_fragment},
    {"header_tunnel_in", header_tunnel_in},
    {"source_route", source_route},
    {"family_vsock", family_vsock},
    {"family_alg", family_alg},
    {"family_bluetooth", family_bluetooth},
    {"family_tipc", family_tipc},
    {"io_uring", io_uring},
    {"dbus", dbus},
    {"abstract_socket", abstract_socket},
    {"tun_device", tun_device},
    {"enter_netns", enter_netns},
    {"new_netns", new_netns},
    {"bind_device", bind_device},
    {NULL, NULL},
};
