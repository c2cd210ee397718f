/* Ways below IP: frames of our own, and with CAP_NET_ADMIN in our own namespace its interfaces. */
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* A frame as it stands, out of eth0. */
static enum verdict send_frame(const struct where *w, const void *frame, size_t n, char detail[160])
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = w->ifindex, .sll_halen = 6};
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    enum verdict v;

    if (fd < 0) {
        return refused(detail, "packet socket");
    }
    v = sendto(fd, frame, n, 0, (struct sockaddr *)&to, sizeof to) < 0 ? refused(detail, "sendto")
                                                                       : sent(detail, "frame");
    close(fd);
    return v;
}

static uint16_t sum(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint32_t s = 0;

    for (size_t i = 0; i + 1 < n; i += 2) {
        s += (uint32_t)b[i] << 8 | b[i + 1];
    }
    while (s >> 16) {
        s = (s & 0xffff) + (s >> 16);
    }
    return htons((uint16_t)~s);
}

struct packet {
    struct iphdr ip;
    uint16_t ports[2], len, check;
    char body[24];
} __attribute__((packed));

static struct packet udp_packet(struct in_addr from, struct in_addr to)
{
    struct packet p = {.ip = {.version = 4,
                              .ihl = 5,
                              .ttl = 64,
                              .protocol = IPPROTO_UDP,
                              .tot_len = htons(sizeof p),
                              .saddr = from.s_addr,
                              .daddr = to.s_addr},
                       .ports = {htons(4444), htons(53)},
                       .len = htons(sizeof p - sizeof p.ip)};

    p.ip.check = sum(&p.ip, sizeof p.ip);
    return p;
}

/* Destination, source, tags, type, payload: returns the length. */
static size_t put_frame(uint8_t *out, const uint8_t dst[6], const uint8_t src[6],
                        const uint16_t *types, size_t n_types, const void *payload, size_t n)
{
    size_t at = 12;

    memcpy(out, dst, 6);
    memcpy(out + 6, src, 6);
    for (size_t i = 0; i < n_types; i++) {
        uint16_t t = htons(types[i]);

        memcpy(out + at, &t, 2);
        at += 2;
    }
    memcpy(out + at, payload, n);
    return at + n;
}

static enum verdict ip_frame(const struct where *w, const uint8_t dst[6], const uint8_t src[6],
                             const uint16_t *types, size_t n_types, char detail[160])
{
    struct packet p = udp_packet(w->self, w->out);
    uint8_t frame[256];
    size_t n = put_frame(frame, dst, src, types, n_types, &p, sizeof p);

    return send_frame(w, frame, n, detail);
}

#define TYPES(...) (const uint16_t[]){__VA_ARGS__}, sizeof((const uint16_t[]){__VA_ARGS__}) / 2

static enum verdict frame_gateway(const struct where *w, char detail[160])
{
    return ip_frame(w, w->gateway_mac, w->mac, TYPES(ETH_P_IP), detail);
}

static enum verdict frame_broadcast(const struct where *w, char detail[160])
{
    return ip_frame(w, broadcast, w->mac, TYPES(ETH_P_IP), detail);
}

static enum verdict frame_other_mac(const struct where *w, char detail[160])
{
    return ip_frame(w, (const uint8_t[6]){2, 0, 0, 0, 0, 9}, w->mac, TYPES(ETH_P_IP), detail);
}

static enum verdict frame_source_mac(const struct where *w, char detail[160])
{
    return ip_frame(w, w->gateway_mac, (const uint8_t[6]){2, 0, 0, 0, 0, 8}, TYPES(ETH_P_IP),
                    detail);
}

static enum verdict frame_vlan(const struct where *w, char detail[160])
{
    return ip_frame(w, w->gateway_mac, w->mac, TYPES(ETH_P_8021Q, 5, ETH_P_IP), detail);
}

static enum verdict frame_vlan_zero(const struct where *w, char detail[160])
{
    return ip_frame(w, w->gateway_mac, w->mac, TYPES(ETH_P_8021Q, 0, ETH_P_IP), detail);
}

static enum verdict frame_double_vlan(const struct where *w, char detail[160])
{
    return ip_frame(w, w->gateway_mac, w->mac, TYPES(ETH_P_8021AD, 5, ETH_P_8021Q, 6, ETH_P_IP),
                    detail);
}

static enum verdict frame_mpls(const struct where *w, char detail[160])
{
    return ip_frame(w, w->gateway_mac, w->mac, TYPES(0x8847, 0, 0x01ff), detail);
}

static enum verdict frame_pppoe(const struct where *w, char detail[160])
{
    return ip_frame(w, w->gateway_mac, w->mac, TYPES(0x8864, 0x1100, 1, 48, 0x0021), detail);
}

static enum verdict frame_lldp(const struct where *w, char detail[160])
{
    return ip_frame(w, (const uint8_t[6]){1, 0x80, 0xc2, 0, 0, 0x0e}, w->mac, TYPES(0x88cc),
                    detail);
}

static enum verdict frame_spoofed(const struct where *w, char detail[160])
{
    struct packet p = udp_packet(w->in, w->out);
    uint8_t frame[256];
    size_t n = put_frame(frame, w->gateway_mac, w->mac, TYPES(ETH_P_IP), &p, sizeof p);

    return send_frame(w, frame, n, detail);
}

/* To the allowed host, with the forbidden one inside. */
static enum verdict frame_tunnel(const struct where *w, char detail[160])
{
    struct {
        struct iphdr ip;
        struct packet inner;
    } __attribute__((packed)) p = {.inner = udp_packet(w->self, w->out)};
    uint8_t frame[256];

    p.ip = (struct iphdr){.version = 4,
                          .ihl = 5,
                          .ttl = 64,
                          .protocol = IPPROTO_IPIP,
                          .tot_len = htons(sizeof p),
                          .saddr = w->self.s_addr,
                          .daddr = w->in.s_addr};
    p.ip.check = sum(&p.ip, sizeof p.ip);
    return send_frame(
        w, frame, put_frame(frame, w->gateway_mac, w->mac, TYPES(ETH_P_IP), &p, sizeof p), detail);
}

/* A header longer than 20 bytes: loose source route by hand. */
static enum verdict frame_options(const struct where *w, char detail[160])
{
    struct {
        struct iphdr ip;
        uint8_t opt[12];
        char body[16];
    } __attribute__((packed)) p = {.ip = {.version = 4,
                                          .ihl = 8,
                                          .ttl = 64,
                                          .protocol = IPPROTO_UDP,
                                          .tot_len = htons(sizeof p),
                                          .saddr = w->self.s_addr,
                                          .daddr = w->in.s_addr},
                                   .opt = {1, 131, 11, 4}};
    uint8_t frame[256];

    memcpy(p.opt + 8, &w->out, 4);
    p.ip.check = sum(&p, 32);
    return send_frame(
        w, frame, put_frame(frame, w->gateway_mac, w->mac, TYPES(ETH_P_IP), &p, sizeof p), detail);
}

static enum verdict frame_ip6(const struct where *w, char detail[160])
{
    struct {
        struct ip6_hdr ip;
        char body[16];
    } p = {.ip = {.ip6_dst = w->out6}};
    uint8_t frame[256];

    p.ip.ip6_flow = htonl(6u << 28);
    p.ip.ip6_plen = htons(16);
    p.ip.ip6_nxt = IPPROTO_UDP;
    p.ip.ip6_hlim = 64;
    return send_frame(w, frame,
                      put_frame(frame, w->gateway_mac, w->mac, TYPES(ETH_P_IPV6), &p, sizeof p),
                      detail);
}

/* Through the allowed host by a routing header. */
static enum verdict frame_ip6_routing(const struct where *w, char detail[160])
{
    struct {
        struct ip6_hdr ip;
        uint8_t routing[24];
        char body[16];
    } p = {.ip = {.ip6_dst = w->in6}, .routing = {IPPROTO_UDP, 2, 0, 1}};
    uint8_t frame[256];

    memcpy(p.routing + 8, &w->out6, 16);
    p.ip.ip6_flow = htonl(6u << 28);
    p.ip.ip6_plen = htons(sizeof p - sizeof p.ip);
    p.ip.ip6_nxt = IPPROTO_ROUTING;
    p.ip.ip6_hlim = 64;
    return send_frame(w, frame,
                      put_frame(frame, w->gateway_mac, w->mac, TYPES(ETH_P_IPV6), &p, sizeof p),
                      detail);
}

static enum verdict arp_frame(const struct where *w, uint16_t op, const uint8_t dst[6],
                              struct in_addr claims, char detail[160])
{
    uint8_t arp[28] = {0, 1, 8, 0, 6, 4, (uint8_t)(op >> 8), (uint8_t)op};
    uint8_t frame[64];

    memcpy(arp + 8, w->mac, 6);
    memcpy(arp + 14, &claims, 4);
    memcpy(arp + 18, dst, 6);
    memcpy(arp + 24, &w->gateway, 4);
    return send_frame(w, frame, put_frame(frame, dst, w->mac, TYPES(ETH_P_ARP), arp, sizeof arp),
                      detail);
}

static enum verdict arp_reply(const struct where *w, char detail[160])
{
    return arp_frame(w, ARPOP_REPLY, w->gateway_mac, w->out, detail);
}

static enum verdict arp_claims_gateway(const struct where *w, char detail[160])
{
    return arp_frame(w, ARPOP_REQUEST, broadcast, w->gateway, detail);
}

static enum verdict nd_advert(const struct where *w, char detail[160])
{
    struct {
        struct ip6_hdr ip;
        uint8_t icmp[32];
    } p = {.ip = {.ip6_src = w->out6}, .icmp = {136, 0, 0, 0, 0x60}};
    uint8_t frame[256];

    inet_pton(AF_INET6, "ff02::1", &p.ip.ip6_dst);
    memcpy(p.icmp + 8, &w->out6, 16);
    p.icmp[24] = 2;
    p.icmp[25] = 1;
    memcpy(p.icmp + 26, w->mac, 6);
    p.ip.ip6_flow = htonl(6u << 28);
    p.ip.ip6_plen = htons(32);
    p.ip.ip6_nxt = IPPROTO_ICMPV6;
    p.ip.ip6_hlim = 255;
    return send_frame(w, frame,
                      put_frame(frame, (const uint8_t[6]){0x33, 0x33, 0, 0, 0, 1}, w->mac,
                                TYPES(ETH_P_IPV6), &p, sizeof p),
                      detail);
}

static enum verdict promiscuous(const struct where *w, char detail[160])
{
    struct packet_mreq m = {.mr_ifindex = w->ifindex, .mr_type = PACKET_MR_PROMISC};
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

    if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m) < 0) {
        return refused(detail, "promiscuous");
    }
    close(fd);
    return sent(detail, "promiscuous on our own interface only");
}

/* ---- with CAP_NET_ADMIN inside ---- */

static enum verdict change_address(const struct where *w, char detail[160])
{
    struct ifreq r = {.ifr_name = "eth0"};
    struct sockaddr_in *a = (struct sockaddr_in *)(void *)&r.ifr_addr;
    struct packet p = udp_packet(w->in, w->out);
    uint8_t frame[256];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    int rc;

    a->sin_family = AF_INET;
    a->sin_addr = w->in;
    rc = ioctl(fd, SIOCSIFADDR, &r);
    if (rc == 0) {
        send_frame(w, frame,
                   put_frame(frame, w->gateway_mac, w->mac, TYPES(ETH_P_IP), &p, sizeof p), detail);
        a->sin_addr = w->self;
        ioctl(fd, SIOCSIFADDR, &r);
    }
    if (rc < 0) {
        refused(detail, "SIOCSIFADDR");
    }
    close(fd);
    return rc < 0 ? REFUSED : sent(detail, "as the allowed host");
}

static enum verdict change_mac(const struct where *w, char detail[160])
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};
    struct ifreq r = {.ifr_name = "eth0"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    int rc;

    r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(r.ifr_hwaddr.sa_data, mac, 6);
    rc = ioctl(fd, SIOCSIFHWADDR, &r);
    if (rc < 0) {
        refused(detail, "SIOCSIFHWADDR");
    } else {
        ip_frame(w, w->gateway_mac, mac, TYPES(ETH_P_IP), detail);
        memcpy(r.ifr_hwaddr.sa_data, w->mac, 6);
        ioctl(fd, SIOCSIFHWADDR, &r);
    }
    close(fd);
    return rc < 0 ? REFUSED : sent(detail, "with another MAC");
}

/* A new interface of a kind, by rtnetlink. */
static enum verdict new_link(const char *kind, char detail[160])
{
    struct {
        struct nlmsghdr nh;
        struct ifinfomsg ifi;
        char attrs[128];
    } m = {.nh = {.nlmsg_len = NLMSG_LENGTH(sizeof m.ifi),
                  .nlmsg_type = RTM_NEWLINK,
                  .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK}};
    struct rtattr *info = (struct rtattr *)(void *)((char *)&m + NLMSG_ALIGN(m.nh.nlmsg_len));
    struct rtattr *name = (struct rtattr *)(void *)((char *)info + RTA_LENGTH(0));
    struct {
        struct nlmsghdr nh;
        struct nlmsgerr e;
    } answer = {0};
    size_t n = strlen(kind);
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

    name->rta_type = IFLA_INFO_KIND;
    name->rta_len = (unsigned short)RTA_LENGTH(n);
    memcpy(RTA_DATA(name), kind, n);
    info->rta_type = IFLA_LINKINFO;
    info->rta_len = (unsigned short)(RTA_LENGTH(0) + RTA_ALIGN(name->rta_len));
    m.nh.nlmsg_len = NLMSG_ALIGN(m.nh.nlmsg_len) + RTA_ALIGN(info->rta_len);
    if (fd < 0 || send(fd, &m, m.nh.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 0) {
        return refused(detail, "netlink");
    }
    close(fd);
    errno = -answer.e.error;
    return answer.e.error ? refused(detail, kind) : sent(detail, "interface in our own namespace");
}

static enum verdict link_dummy(const struct where *w, char detail[160])
{
    (void)w;
    return new_link("dummy", detail);
}

static enum verdict link_ipip(const struct where *w, char detail[160])
{
    (void)w;
    return new_link("ipip", detail);
}

const struct way ways_frames[] = {
    {"frame_gateway", frame_gateway},
    {"frame_broadcast", frame_broadcast},
    {"frame_other_mac", frame_other_mac},
    {"frame_source_mac", frame_source_mac},
    {"frame_vlan", frame_vlan},
    {"frame_vlan_zero", frame_vlan_zero},
    {"frame_double_vlan", frame_double_vlan},
    {"frame_mpls", frame_mpls},
    {"frame_pppoe", frame_pppoe},
    {"frame_lldp", frame_lldp},
    {"frame_spoofed", frame_spoofed},
    {"frame_tunnel", frame_tunnel},
    {"frame_options", frame_options},
    {"frame_ip6", frame_ip6},
    {"frame_ip6_routing", frame_ip6_routing},
    {"arp_reply", arp_reply},
    {"arp_claims_gateway", arp_claims_gateway},
    {"nd_advert", nd_advert},
    {"promiscuous", promiscuous},
    {"change_address", change_address},
    {"change_mac", change_mac},
    {"link_dummy", link_dummy},
    {"link_ipip", link_ipip},
    {NULL, NULL},
};
