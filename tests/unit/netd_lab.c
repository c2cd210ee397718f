#include "netd_lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "netd/bytes.h"
#include "netd/nft.h"
#include "tap.h"

static struct lab lab;
static uint8_t last[2048];
static size_t last_n;

/* ---- namespaces ---- */

static void enter(int ns)
{
    CHECK_INT(setns(ns, CLONE_NEWNET), 0);
}

int lab_namespace(void)
{
    int fd;

    CHECK_INT(unshare(CLONE_NEWNET), 0);
    fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    enter(lab.host);
    return fd;
}

static bool write_file(const char *path, const char *text)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

void lab_write(const char *path, const char *text)
{
    CHECK(write_file(path, text));
}

char lab_read(const char *path)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char c = '?';

    CHECK(fd >= 0 && read(fd, &c, 1) == 1);
    return c;
}

static struct net_ip ip(const char *s)
{
    struct net_ip out;

    CHECK(net_ip_parse(s, &out));
    return out;
}

static void default_route(struct link *l, int index, const char *gateway)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf_space(&l->batch, 512));
    struct net_ip gw = ip(gateway);
    struct rtmsg *r;
    uint8_t wire[16];

    h->nlmsg_type = RTM_NEWROUTE;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
    h->nlmsg_seq = l->seq++;
    r = mnl_nlmsg_put_extra_header(h, sizeof *r);
    r->rtm_family = gw.v6 ? AF_INET6 : AF_INET;
    r->rtm_table = RT_TABLE_MAIN;
    r->rtm_protocol = RTPROT_STATIC;
    r->rtm_type = RTN_UNICAST;
    mnl_attr_put(h, RTA_GATEWAY, net_bytes(&gw, wire), wire);
    mnl_attr_put_u32(h, RTA_OIF, (uint32_t)index);
    l->batch.len += h->nlmsg_len;
}

/* Both ends of one leg: net "10.77.1." and "fd77:1::". */
static void make_leg(struct far_end *f, const char *name, const char *v4, const char *v6)
{
    struct veth v = {.name = name, .peer = "eth0", .mac = {2, 0, 0, 1}, .peer_mac = {2, 0, 0, 2}};
    struct sockaddr_ll sa = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct link host = {0}, far = {0};
    int index, far_index;

    v.mac[5] = v.peer_mac[5] = (uint8_t)name[2];
    f->ns = lab_namespace();
    v.peer_ns = f->ns;
    CHECK_OK(link_open(&host, ERR));
    CHECK_OK(link_veth(&host, &v, &index, ERR));
    enter(f->ns);
    CHECK_OK(link_open(&far, ERR));
    CHECK_OK(link_index(&far, "eth0", &far_index, ERR));
    link_up(&far, far_index);
    CHECK_OK(link_flush(&far, ERR));
    f->witness = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(f->witness >= 0);
    sa.sll_ifindex = far_index;
    CHECK_INT(bind(f->witness, (struct sockaddr *)&sa, sizeof sa), 0);
    for (int i = 0; i < 2; i++) {
        auto_free char *gw = str_fmt("%s1", i ? v6 : v4);
        auto_free char *own = str_fmt("%s2", i ? v6 : v4);
        struct net_ip a = ip(gw), b = ip(own);

        if (i == 0) {
            link_up(&host, index);
        }
        link_address(&host, index, &a, i ? 64 : 24);
        link_neighbour(&host, index, &b, v.peer_mac);
        link_address(&far, far_index, &b, i ? 64 : 24);
        CHECK_OK(link_flush(&host, ERR));
        CHECK_OK(link_flush(&far, ERR));
        default_route(&far, far_index, gw);
        CHECK_OK(link_flush(&far, ERR));
    }
    link_close(&host);
    link_close(&far);
    enter(lab.host);
}

static bool own_world(void)
{
    uid_t uid = getuid();
    gid_t gid = getgid();

    if (unshare(CLONE_NEWNET | CLONE_NEWNS) == 0) {
        lab.root = true;
        return true;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) == 0) {
        auto_free char *u = str_fmt("0 %u 1", uid), *g = str_fmt("0 %u 1", gid);

        return write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", u) &&
               write_file("/proc/self/gid_map", g);
    }
    return false;
}

struct lab *lab_get(void)
{
    if (lab.made) {
        return &lab;
    }
    if (!own_world()) {
        if (str_eq(getenv("SCANPOD_MUST_SANDBOX"), "1")) {
            tap_fail(__FILE__, __LINE__, "no namespace: %s", strerror(errno));
        }
        tap_skip("the kernel makes no namespaces for us");
    }
    lab.host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    CHECK(lab.host >= 0);
    CHECK_INT(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    lab.made = true;
    make_leg(&lab.in, "h-in", "10.77.1.", "fd77:1::");
    make_leg(&lab.out, "h-out", "10.77.2.", "fd77:2::");
    lab_write("/proc/sys/net/ipv6/conf/all/forwarding", "1");
    return &lab;
}

static bool counts_as_arrived(const uint8_t *f, size_t n)
{
    if (n >= 14 + 20 && f[12] == 8 && f[13] == 0) {
        return true;
    }
    return n >= 14 + 41 && f[12] == 0x86 && f[13] == 0xdd &&
           !(f[14 + 6] == 58 && f[14 + 40] >= 130 && f[14 + 40] <= 143) && f[14 + 6] != 0;
}

unsigned lab_arrived(const struct far_end *f)
{
    unsigned n = 0;

    for (int idle = 0; idle < 2;) {
        struct pollfd p = {.fd = f->witness, .events = POLLIN};
        struct sockaddr_ll from = {0};
        socklen_t len = sizeof from;
        uint8_t frame[2048];
        ssize_t got;

        if (poll(&p, 1, 15) <= 0) {
            idle++;
            continue;
        }
        got = recvfrom(f->witness, frame, sizeof frame, 0, (struct sockaddr *)&from, &len);
        if (got > 0 && from.sll_pkttype != PACKET_OUTGOING &&
            counts_as_arrived(frame, (size_t)got)) {
            last_n = (size_t)got - 14;
            memcpy(last, frame + 14, last_n);
            n++;
        }
    }
    return n;
}

const uint8_t *lab_last(size_t *n)
{
    *n = last_n;
    return last;
}

static void count_link(void *arg, int index, const char *name)
{
    (void)index;
    *(unsigned *)arg += str_starts(name, "sp_");
}

static void count_table(void *arg, uint8_t family, const char *name, uint32_t flags)
{
    (void)family;
    (void)flags;
    *(unsigned *)arg += str_starts(name, "sp_") || str_starts(name, "scanpod");
}

unsigned lab_count_ours(void)
{
    struct link l;
    struct nft n;
    unsigned count = 0;

    CHECK_OK(link_open(&l, ERR));
    CHECK_OK(link_list(&l, count_link, &count, ERR));
    CHECK_OK(nft_open(&n, ERR));
    CHECK_OK(nft_tables(&n, count_table, &count, ERR));
    nft_close(&n);
    link_close(&l);
    return count;
}

/* ---- netd ---- */

static void on_ready(void *arg, bool usable, const char *why, bool forward_v4, bool forward_v6,
                     uint32_t dedicated_v4, uint32_t dedicated_v6)
{
    struct rig *r = arg;

    r->ready = true;
    r->usable = usable;
    snprintf(r->why, sizeof r->why, "%s", why);
    r->forward_v4 = forward_v4;
    r->forward_v6 = forward_v6;
    r->dedicated_v4 = dedicated_v4;
    r->dedicated_v6 = dedicated_v6;
}

static void on_up(void *arg, uint64_t run, int code, const char *why, const struct box_address *a,
                  bool dedicated)
{
    struct rig *r = arg;

    r->n_up++;
    r->run = run;
    r->code = code;
    snprintf(r->why, sizeof r->why, "%s", why);
    r->address = *a;
    r->dedicated = dedicated;
}

static void on_counts(void *arg, uint64_t run, const struct egress_counts *c)
{
    struct rig *r = arg;

    r->n_counts++;
    r->run = run;
    if (c) {
        r->counts = *c;
    } else {
        r->n_lost++;
    }
}

static void on_gone(void *arg)
{
    ((struct rig *)arg)->gone = true;
}

struct netd_config rig_config(void)
{
    return (struct netd_config){
        .uid = 65534,
        .gid = 65534,
        .change_user = lab_get()->root,
        .scope_owner = getuid(),
        .pool_v4 = "198.18.0.0/16",
        .pool_v6 = "fd5c:a17e::/64",
        .proxy_neighbours = true,
        .forward = true,
    };
}

void rig_turn(struct rig *r, int ms)
{
    int64_t until = boot_ms() + ms;
    int64_t left;

    while ((left = until - boot_ms()) > 0) {
        CHECK_OK(loop_turn(r->loop, (int)left, ERR));
    }
}

/* Until *flag is not what it was, or five seconds have passed. */
static bool wait_for(struct rig *r, const unsigned *n, unsigned was, const bool *flag)
{
    int64_t until = boot_ms() + 5000;

    while ((n ? *n == was : !*flag) && !r->gone && boot_ms() < until) {
        CHECK_OK(loop_turn(r->loop, 100, ERR));
    }
    return n ? *n != was : *flag;
}

void rig_attach(struct rig *r, int fd, int pidfd)
{
    struct netd_events ev = {
        .ready = on_ready, .up = on_up, .counts = on_counts, .gone = on_gone, .arg = r};

    *r = (struct rig){.pidfd = pidfd, .fd = fd};
    CHECK_OK(loop_new(&r->loop, ERR));
    CHECK_OK(netd_connect(r->loop, fd, &ev, &r->netd, ERR));
    CHECK(wait_for(r, NULL, 0, &r->ready));
}

void rig_start(struct rig *r, const struct netd_config *c)
{
    int fd, pidfd;

    CHECK_OK(netd_spawn(c, &fd, &pidfd, ERR));
    rig_attach(r, fd, pidfd);
}

void rig_stop(struct rig *r)
{
    siginfo_t info;

    netd_free(r->netd);
    if (r->pidfd >= 0) {
        CHECK_INT(waitid(P_PIDFD, (id_t)r->pidfd, &info, WEXITED), 0);
        close(r->pidfd);
    }
    loop_free(r->loop);
    *r = (struct rig){.pidfd = -1};
}

int rig_ask(struct rig *r, const struct netd_ask *ask)
{
    unsigned was = r->n_up;

    CHECK_OK(netd_up(r->netd, ask, ERR));
    CHECK(wait_for(r, &r->n_up, was, NULL));
    CHECK_INT(r->run, ask->run);
    return r->code;
}

int rig_up(struct rig *r, uint64_t run, int ns, const char *targets)
{
    auto_netset set = {0};
    auto_free char *copy = xstrdup(targets);
    struct netd_ask ask = {.run = run, .netns_fd = ns, .targets = &set, .raw = r->raw};
    char *save = NULL;

    for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
        struct net_range range;

        CHECK(net_range_parse(t, false, &range));
        netset_add(&set, &range);
    }
    return rig_ask(r, &ask);
}

struct egress_counts rig_down(struct rig *r, uint64_t run)
{
    unsigned was = r->n_counts;

    netd_down(r->netd, run);
    CHECK(wait_for(r, &r->n_counts, was, NULL));
    CHECK_INT(r->run, run);
    return r->counts;
}

int rig_pid(const struct rig *r)
{
    auto_free char *path = str_fmt("/proc/self/fdinfo/%d", r->pidfd);
    char line[128];
    int pid = -1;
    FILE *f = fopen(path, "r");

    CHECK(f);
    while (fgets(line, sizeof line, f)) {
        if (str_starts(line, "Pid:")) {
            pid = atoi(line + 4);
        }
    }
    fclose(f);
    return pid;
}

/* ---- a box ---- */

void lab_box_open(struct lab_box *b, const struct rig *r, int ns)
{
    struct sockaddr_ll sa = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct ifreq ifr = {.ifr_name = "eth0"};
    struct link l;

    *b = (struct lab_box){.ns = ns, .a = r->address};
    enter(ns);
    CHECK_OK(link_open(&l, ERR));
    CHECK_OK(link_index(&l, "eth0", &b->index, ERR));
    link_up(&l, b->index);
    CHECK_OK(link_flush(&l, ERR));
    link_close(&l);
    b->sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    CHECK(b->sock >= 0);
    CHECK_INT(ioctl(b->sock, SIOCGIFHWADDR, &ifr), 0);
    memcpy(b->mac, ifr.ifr_hwaddr.sa_data, 6);
    sa.sll_ifindex = b->index;
    CHECK_INT(bind(b->sock, (struct sockaddr *)&sa, sizeof sa), 0);
    enter(lab.host);
}

void lab_box_done(struct lab_box *b)
{
    fd_close(&b->sock);
    fd_close(&b->ns);
}

static void put16(uint8_t *at, unsigned v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static void checksum(const uint8_t *p, size_t n, uint32_t sum, uint8_t *at)
{
    for (size_t i = 0; i < n; i += 2) {
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    put16(at, ~sum & 0xffff);
}

/* What conntrack would call invalid, NAT does not pass. `addresses`: of the pseudo header. */
static void transport_checksum(uint8_t *at, size_t n, uint8_t proto, const uint8_t *addresses,
                               size_t n_addresses)
{
    uint32_t sum = proto + (uint32_t)n;

    for (size_t i = 0; i < n_addresses; i += 2) {
        sum += (uint32_t)(addresses[i] << 8 | addresses[i + 1]);
    }
    if (proto == IPPROTO_TCP) {
        checksum(at, n, sum, at + 16);
    } else if (proto == IPPROTO_UDP) {
        checksum(at, n, sum, at + 6);
    } else if (proto == IPPROTO_ICMP) {
        checksum(at, n, 0, at + 2);
    } else if (proto == IPPROTO_ICMPV6) {
        checksum(at, n, sum, at + 2);
    }
}

static size_t put_transport(uint8_t *at, const struct packet *p, uint8_t proto)
{
    memset(at, 0, 24);
    if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6) {
        at[0] = p->icmp_type;
        return 24;
    }
    put16(at, p->source ? p->source : 40000);
    put16(at + 2, p->port ? p->port : 9);
    if (proto == IPPROTO_UDP) {
        put16(at + 4, 12);
        return 12;
    }
    at[12] = 0x50;
    at[13] = p->tcp_flags ? p->tcp_flags : 0x02; /* or whatever the protocol makes of it */
    return 20;
}

static size_t put_v4(uint8_t *at, const struct packet *p, const struct net_ip *from,
                     const struct net_ip *to)
{
    size_t head = p->options ? 24 : 20;
    uint8_t proto = p->proto ? p->proto : IPPROTO_UDP;
    size_t n = head + put_transport(at + head, p, proto);

    memset(at, 0, head);
    at[0] = (uint8_t)(0x40 | head / 4);
    put16(at + 2, (unsigned)n);
    put16(at + 4, 4711);
    put16(at + 6, p->fragment);
    at[8] = 64;
    at[9] = proto;
    net_bytes(from, at + 12);
    net_bytes(to, at + 16);
    if (p->options) {
        memset(at + 20, 1, 4); /* no operation */
    }
    checksum(at, head, 0, at + 10);
    transport_checksum(at + head, n - head, proto, at + 12, 8);
    return n;
}

static size_t put_v6(uint8_t *at, const struct packet *p, const struct net_ip *from,
                     const struct net_ip *to)
{
    uint8_t proto = p->proto ? p->proto : IPPROTO_UDP;
    size_t n = put_transport(at + 40, p, proto);

    memset(at, 0, 40);
    at[0] = 0x60;
    put16(at + 4, (unsigned)n);
    at[6] = proto;
    at[7] = 64;
    net_bytes(from, at + 8);
    net_bytes(to, at + 24);
    transport_checksum(at + 40, n, proto, at + 8, 32);
    return 40 + n;
}

void lab_send(const struct lab_box *b, const struct packet *p)
{
    struct net_ip to = ip(p->to);
    struct net_ip from = p->from ? ip(p->from) : to.v6 ? b->a.v6 : b->a.v4;
    uint8_t frame[256];
    size_t at = 12, n;

    memcpy(frame, p->to_mac ? p->to_mac : b->a.gateway_mac, 6);
    memcpy(frame + 6, b->mac, 6);
    if (p->vlan) {
        put16(frame + at, 0x8100);
        put16(frame + at + 2, 5);
        at += 4;
    }
    put16(frame + at, p->type ? p->type : to.v6 ? 0x86dd : 0x0800);
    at += 2;
    n = to.v6 ? put_v6(frame + at, p, &from, &to) : put_v4(frame + at, p, &from, &to);
    CHECK_INT(send(b->sock, frame, at + n, 0), at + n);
}

bool lab_heard(const struct lab_box *b, uint8_t *frame, size_t size, size_t *n)
{
    int64_t until = boot_ms() + 200;

    while (boot_ms() < until) {
        struct pollfd p = {.fd = b->sock, .events = POLLIN};
        struct sockaddr_ll from = {0};
        socklen_t len = sizeof from;
        ssize_t got;

        if (poll(&p, 1, 20) <= 0) {
            continue;
        }
        got = recvfrom(b->sock, frame, size, 0, (struct sockaddr *)&from, &len);
        if (got > 0 && from.sll_pkttype != PACKET_OUTGOING) {
            *n = (size_t)got;
            return true;
        }
    }
    return false;
}
