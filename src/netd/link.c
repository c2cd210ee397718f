#include "netd/link.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "netd/bytes.h"

enum { MESSAGE_MAX = 2048, NO_ADDRESSES_OF_ITS_OWN = 1 /* IN6_ADDR_GEN_MODE_NONE */ };

int link_open(struct link *l, struct err *e)
{
    *l = (struct link){.seq = 1};
    l->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!l->sock) {
        return err_errno(e, "open a routing socket");
    }
    if (mnl_socket_bind(l->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
        int rc = err_errno(e, "bind a routing socket");

        link_close(l);
        return rc;
    }
    return 0;
}

void link_close(struct link *l)
{
    if (l->sock) {
        mnl_socket_close(l->sock);
    }
    buf_done(&l->batch);
    *l = (struct link){0};
}

static struct nlmsghdr *request(struct link *l, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf_space(&l->batch, MESSAGE_MAX));

    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    h->nlmsg_seq = l->seq++;
    return h;
}

static void request_end(struct link *l, const struct nlmsghdr *h)
{
    l->batch.len += h->nlmsg_len;
}

static const char *request_name(uint16_t type)
{
    switch (type) {
    case RTM_NEWLINK:
        return "make or change an interface";
    case RTM_DELLINK:
        return "remove an interface";
    case RTM_NEWADDR:
        return "add an address";
    case RTM_NEWNEIGH:
        return "add a neighbour";
    case RTM_NEWROUTE:
        return "add a route";
    default:
        return "change the network";
    }
}

static const struct nlmsghdr *find_request(const struct link *l, uint32_t seq)
{
    const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)l->batch.data;
    int left = (int)l->batch.len;

    for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
        if (h->nlmsg_seq == seq) {
            return h;
        }
    }
    return NULL;
}

/* What is refused because it is there or gone already was not worth a request. */
static bool harmless(uint16_t type, int errnum)
{
    return (type == RTM_DELLINK && (errnum == ENODEV || errnum == EINVAL)) ||
           (type == RTM_DELNEIGH && errnum == ENOENT);
}

/* Every request is answered while it is being sent. */
static int answers(struct link *l, uint32_t last, struct err *e)
{
    char in[16384] __attribute__((aligned(8)));
    bool done = false;
    int rc = 0;

    while (!done) {
        ssize_t got = recv(mnl_socket_get_fd(l->sock), in, sizeof in, MSG_DONTWAIT);
        const struct nlmsghdr *h = (const struct nlmsghdr *)in;
        int left = (int)got;

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return err_errno(e, "rtnetlink: read the answer");
        }
        for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
            const struct nlmsgerr *m = mnl_nlmsg_get_payload(h);
            const struct nlmsghdr *asked = find_request(l, h->nlmsg_seq);

            if (h->nlmsg_type != NLMSG_ERROR || !asked) {
                continue;
            }
            done = done || h->nlmsg_seq == last;
            if (m->error && rc == 0 && !harmless(asked->nlmsg_type, -m->error)) {
                errno = -m->error;
                rc = err_errno(e, "rtnetlink: %s", request_name(asked->nlmsg_type));
            }
        }
    }
    return rc;
}

int link_flush(struct link *l, struct err *e)
{
    int rc = 0;

    if (l->batch.len) {
        rc = mnl_socket_sendto(l->sock, l->batch.data, l->batch.len) < 0
                 ? err_errno(e, "rtnetlink: send")
                 : answers(l, l->seq - 1, e);
        buf_reset(&l->batch);
    }
    return rc;
}

/* ---- interfaces ---- */

static struct ifinfomsg *put_link(struct nlmsghdr *h, int index)
{
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);

    i->ifi_family = AF_UNSPEC;
    i->ifi_index = index;
    return i;
}

/* Its kernel end is silent: no router solicitation, no link-local address. */
static void put_silent(struct nlmsghdr *h)
{
    struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
    struct nlattr *inet6 = mnl_attr_nest_start(h, AF_INET6);

    mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, NO_ADDRESSES_OF_ITS_OWN);
    mnl_attr_nest_end(h, inet6);
    mnl_attr_nest_end(h, spec);
}

static void put_veth(struct nlmsghdr *h, const struct veth *v)
{
    struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    struct nlattr *data, *peer;

    mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
    data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
    put_link(h, 0);
    mnl_attr_put_strz(h, IFLA_IFNAME, v->peer);
    mnl_attr_put(h, IFLA_ADDRESS, MAC_LEN, v->peer_mac);
    mnl_attr_put_u32(h, IFLA_NUM_TX_QUEUES, 1);
    mnl_attr_put_u32(h, IFLA_NUM_RX_QUEUES, 1);
    if (v->peer_ns >= 0) {
        mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)v->peer_ns);
    }
    mnl_attr_nest_end(h, peer);
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
}

int link_veth(struct link *l, const struct veth *v, int *index, struct err *e)
{
    struct nlmsghdr *h = request(l, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    int rc;

    put_link(h, 0);
    mnl_attr_put_strz(h, IFLA_IFNAME, v->name);
    mnl_attr_put(h, IFLA_ADDRESS, MAC_LEN, v->mac);
    mnl_attr_put_u32(h, IFLA_NUM_TX_QUEUES, 1);
    mnl_attr_put_u32(h, IFLA_NUM_RX_QUEUES, 1);
    put_veth(h, v);
    request_end(l, h);
    rc = link_flush(l, e);
    return rc != 0 ? rc : link_index(l, v->name, index, e);
}

int link_del(struct link *l, int index, struct err *e)
{
    struct nlmsghdr *h = request(l, RTM_DELLINK, 0);

    put_link(h, index);
    request_end(l, h);
    return link_flush(l, e);
}

void link_up(struct link *l, int index)
{
    struct nlmsghdr *h;
    struct ifinfomsg *i;

    if (access("/proc/sys/net/ipv6", F_OK) == 0) {
        h = request(l, RTM_NEWLINK, 0); /* of its own: flags of a request are set first */
        put_link(h, index);
        put_silent(h);
        request_end(l, h);
    }
    h = request(l, RTM_NEWLINK, 0);
    i = put_link(h, index);
    i->ifi_flags = i->ifi_change = IFF_UP;
    request_end(l, h);
}

/* ---- addresses, neighbours, routes ---- */

static uint8_t family_of(const struct net_ip *ip)
{
    return ip->v6 ? AF_INET6 : AF_INET;
}

void link_address(struct link *l, int index, const struct net_ip *ip, uint8_t prefix)
{
    struct nlmsghdr *h = request(l, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof *a);
    uint8_t wire[16];
    uint16_t len = net_bytes(ip, wire);

    a->ifa_family = family_of(ip);
    a->ifa_prefixlen = prefix;
    a->ifa_index = (uint32_t)index;
    a->ifa_flags = ip->v6 ? IFA_F_NODAD : 0;
    mnl_attr_put(h, IFA_LOCAL, len, wire);
    mnl_attr_put(h, IFA_ADDRESS, len, wire);
    request_end(l, h);
}

static void neighbour(struct link *l, int index, const struct net_ip *ip, const uint8_t *mac,
                      bool add)
{
    struct nlmsghdr *h =
        add ? request(l, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE) : request(l, RTM_DELNEIGH, 0);
    struct ndmsg *n = mnl_nlmsg_put_extra_header(h, sizeof *n);
    uint8_t wire[16];
    uint16_t len = net_bytes(ip, wire);

    n->ndm_family = family_of(ip);
    n->ndm_ifindex = index;
    n->ndm_state = NUD_PERMANENT;
    n->ndm_flags = mac ? 0 : NTF_PROXY;
    mnl_attr_put(h, NDA_DST, len, wire);
    if (mac) {
        mnl_attr_put(h, NDA_LLADDR, MAC_LEN, mac);
    }
    request_end(l, h);
}

void link_neighbour(struct link *l, int index, const struct net_ip *ip, const uint8_t *mac)
{
    neighbour(l, index, ip, mac, true);
}

void link_proxy(struct link *l, int index, const struct net_ip *ip, bool add)
{
    neighbour(l, index, ip, NULL, add);
}

void link_route(struct link *l, int index, const struct net_ip *ip)
{
    struct nlmsghdr *h = request(l, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    struct rtmsg *r = mnl_nlmsg_put_extra_header(h, sizeof *r);
    uint8_t wire[16];
    uint16_t len = net_bytes(ip, wire);

    r->rtm_family = family_of(ip);
    r->rtm_dst_len = ip->v6 ? 128 : 32;
    r->rtm_table = RT_TABLE_MAIN;
    r->rtm_protocol = RTPROT_STATIC;
    r->rtm_scope = RT_SCOPE_LINK;
    r->rtm_type = RTN_UNICAST;
    mnl_attr_put(h, RTA_DST, len, wire);
    mnl_attr_put_u32(h, RTA_OIF, (uint32_t)index);
    request_end(l, h);
}
