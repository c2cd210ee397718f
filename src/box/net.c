/*
 * rtnetlink by hand: all requests of a configuration go out in one message, and each is
 * acknowledged by the kernel before sendto() returns. The requests' sequence numbers are indices of
 * what they were for.
 */
#include "box/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { LO_INDEX = 1 };

const char *net_loopback_up(void)
{
    struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &req) == 0 ? NULL : "loopback";
}

const char *net_listen(uint16_t port, int *out_fd)
{
    const struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&sa, sizeof sa) < 0 ||
        listen(fd, SOMAXCONN) < 0) {
        return "listen";
    }
    *out_fd = take_fd(&fd);
    return NULL;
}

/* Requests. */

struct batch {
    char data[1024] __attribute__((aligned(NLMSG_ALIGNTO)));
    size_t len;
    const char *steps[16];
    unsigned n;
};

/* Room for the family's header, zeroed. The sizes are ours: they fit. */
static void *batch_add(struct batch *b, const char *step, uint16_t type, uint16_t flags,
                       size_t size)
{
    struct nlmsghdr *h = (struct nlmsghdr *)(void *)(b->data + b->len);

    h->nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    h->nlmsg_seq = b->n;
    b->steps[b->n++] = step;
    b->len += NLMSG_ALIGN(h->nlmsg_len);
    return NLMSG_DATA(h);
}

/* To the last request, which began at `start`. */
static void batch_attr(struct batch *b, size_t start, uint16_t type, const void *value, size_t n)
{
    struct nlmsghdr *h = (struct nlmsghdr *)(void *)(b->data + start);
    struct rtattr *a = (struct rtattr *)(void *)(b->data + b->len);

    a->rta_type = type;
    a->rta_len = (uint16_t)RTA_LENGTH(n);
    memcpy(RTA_DATA(a), value, n);
    b->len += RTA_ALIGN(a->rta_len);
    h->nlmsg_len = (uint32_t)(b->len - start);
}

/* Returns its length. */
static size_t address_bytes(const struct net_ip *ip, unsigned char out[16])
{
    struct sockaddr_storage ss;

    net_ip_to(ip, 0, &ss);
    if (ip->v6) {
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)&ss)->sin6_addr, 16);
        return 16;
    }
    memcpy(out, &((const struct sockaddr_in *)(const void *)&ss)->sin_addr, 4);
    return 4;
}

static void add_link_up(struct batch *b, const char *step, int index)
{
    struct ifinfomsg *m = batch_add(b, step, RTM_NEWLINK, 0, sizeof *m);

    m->ifi_index = index;
    m->ifi_flags = m->ifi_change = IFF_UP;
}

static void add_address(struct batch *b, int index, const struct net_ip *ip, uint8_t prefix)
{
    size_t start = b->len;
    struct ifaddrmsg *m =
        batch_add(b, "address", RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof *m);
    unsigned char bytes[16];
    size_t n = address_bytes(ip, bytes);

    m->ifa_family = ip->v6 ? AF_INET6 : AF_INET;
    m->ifa_prefixlen = prefix;
    m->ifa_flags = ip->v6 ? IFA_F_NODAD : 0; /* netd gave it: nobody else has it */
    m->ifa_index = (uint32_t)index;
    batch_attr(b, start, IFA_LOCAL, bytes, n);
    batch_attr(b, start, IFA_ADDRESS, bytes, n);
}

static void add_neighbour(struct batch *b, int index, const struct net_ip *ip, const uint8_t mac[6])
{
    size_t start = b->len;
    struct ndmsg *m =
        batch_add(b, "neighbour", RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof *m);
    unsigned char bytes[16];
    size_t n = address_bytes(ip, bytes);

    m->ndm_family = ip->v6 ? AF_INET6 : AF_INET;
    m->ndm_ifindex = index;
    m->ndm_state = NUD_PERMANENT;
    batch_attr(b, start, NDA_DST, bytes, n);
    batch_attr(b, start, NDA_LLADDR, mac, 6);
}

static void add_default_route(struct batch *b, int index, const struct net_ip *gateway)
{
    size_t start = b->len;
    struct rtmsg *m = batch_add(b, "route", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof *m);
    unsigned char bytes[16];
    size_t n = address_bytes(gateway, bytes);

    m->rtm_family = gateway->v6 ? AF_INET6 : AF_INET;
    m->rtm_table = RT_TABLE_MAIN;
    m->rtm_protocol = RTPROT_STATIC;
    m->rtm_scope = RT_SCOPE_UNIVERSE;
    m->rtm_type = RTN_UNICAST;
    m->rtm_flags = RTNH_F_ONLINK; /* an address of our own (/32) shares no network with it */
    batch_attr(b, start, RTA_GATEWAY, bytes, n);
    batch_attr(b, start, RTA_OIF, &index, sizeof index);
}

/* The step that the kernel refused, with errno; NULL if it did all. */
static const char *batch_run(const struct batch *b)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    auto_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    char reply[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
    unsigned answered = 0;

    if (fd < 0 || sendto(fd, b->data, b->len, 0, (const struct sockaddr *)&kernel, sizeof kernel) !=
                      (ssize_t)b->len) {
        return "netlink";
    }
    while (answered < b->n) {
        ssize_t got = recv(fd, reply, sizeof reply, MSG_DONTWAIT);
        size_t left = got > 0 ? (size_t)got : 0;

        if (got <= 0) {
            return "netlink";
        }
        for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)reply; NLMSG_OK(h, left);
             h = NLMSG_NEXT(h, left)) {
            const struct nlmsgerr *said = NLMSG_DATA(h);

            if (h->nlmsg_type == NLMSG_ERROR && said->error != 0) {
                errno = -said->error;
                return h->nlmsg_seq < b->n ? b->steps[h->nlmsg_seq] : "netlink";
            }
            answered += h->nlmsg_type == NLMSG_ERROR;
        }
    }
    return NULL;
}

/* Settings of the namespace. */

/* True also where there is no such setting: a kernel without IPv6. */
static bool set(const char *path, const char *value)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd < 0 ? errno == ENOENT : write(fd, value, strlen(value)) == (ssize_t)strlen(value);
}

#define NET "/proc/sys/net/"

static bool set_all(bool v6)
{
    /* Scripts that listen as the services they imitate. */
    bool done = set(NET "ipv4/ip_unprivileged_port_start", "0");

    if (!v6) {
        return done && set(NET "ipv6/conf/all/disable_ipv6", "1") &&
               set(NET "ipv6/conf/default/disable_ipv6", "1");
    }
    /* What is sent is what the tool sends: nothing is looked for or announced. */
    return done && set(NET "ipv6/conf/eth0/accept_ra", "0") &&
           set(NET "ipv6/conf/eth0/router_solicitations", "0") &&
           set(NET "ipv6/conf/eth0/addr_gen_mode", "1") &&
           set(NET "ipv6/conf/eth0/dad_transmits", "0");
}

const char *net_configure(const struct box_address *a)
{
    struct batch b = {0};
    int index = (int)if_nametoindex("eth0");

    if (index == 0) {
        return "eth0";
    }
    if (!set_all(a->has_v6)) {
        return "sysctl";
    }
    add_link_up(&b, "loopback", LO_INDEX);
    add_link_up(&b, "eth0", index);
    if (a->has_v4) {
        add_address(&b, index, &a->v4, a->prefix4);
        add_neighbour(&b, index, &a->gateway4, a->gateway_mac);
        add_default_route(&b, index, &a->gateway4);
    }
    if (a->has_v6) {
        add_address(&b, index, &a->v6, a->prefix6);
        add_neighbour(&b, index, &a->gateway6, a->gateway_mac);
        add_default_route(&b, index, &a->gateway6);
    }
    return batch_run(&b);
}
