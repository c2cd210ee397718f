/*
 * What the filter of a box costs: netd ROUNDS [nat]. In network namespaces of its own (root), a
 * sender in a "box" writes UDP frames with one call each; they are routed by the "host" to a far
 * end. Prints one JSON object: packets per second of CPU without a filter, with one of 1 and of
 * 20,000 intervals, all of four addresses or of one to eight, and how long it takes to load and to
 * remove each; medians.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "netd/filter.h"
#include "netd/link.h"
#include "netd/nat.h"
#include "netd/nft.h"

enum { ROUND_US = 300000, VARIANTS = 4, ROUNDS_MAX = 9 };

static const struct variant {
    const char *name;
    unsigned intervals;
    bool mixed;
} variants[VARIANTS] = {{"intervals_0", 0, false},
                        {"intervals_1", 1, false},
                        {"intervals_20000", 20000, false},
                        {"intervals_20000_mixed", 20000, true}};
static const uint8_t gateway_mac[MAC_LEN] = {2, 0, 0, 0, 0, 1},
                     box_mac[MAC_LEN] = {2, 0, 0, 0, 0, 2};

static void need(bool ok, const char *what, const struct err *e)
{
    if (!ok) {
        fprintf(stderr, "bench netd: %s: %s\n", what, e->msg);
        exit(1);
    }
}

static struct net_ip ip(const char *s)
{
    struct net_ip out = {0};
    struct err e = {.msg = "not an address"};

    need(net_ip_parse(s, &out), s, &e);
    return out;
}

/* A leg with its far end in a namespace of its own; that is entered for `fn`. */
static int leg(struct link *l, int host, const char *name, const char *gateway, const char *far)
{
    struct veth v = {.name = name, .peer = "eth0"};
    struct net_ip gw = ip(gateway), other = ip(far);
    struct err e = {.msg = "unshare, setns"};
    struct link inside;
    int index, far_index = 0;

    memcpy(v.mac, gateway_mac, MAC_LEN);
    memcpy(v.peer_mac, box_mac, MAC_LEN);
    need(unshare(CLONE_NEWNET) == 0, "namespace", &e);
    v.peer_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    need(setns(host, CLONE_NEWNET) == 0, "namespace", &e);
    need(link_veth(l, &v, &index, &e) == 0, name, &e);
    link_up(l, index);
    link_address(l, index, &gw, 30);
    link_neighbour(l, index, &other, box_mac);
    need(setns(v.peer_ns, CLONE_NEWNET) == 0, "namespace", &e);
    need(link_open(&inside, &e) == 0 && link_index(&inside, "eth0", &far_index, &e) == 0, name, &e);
    link_up(&inside, far_index);
    need(link_flush(&inside, &e) == 0, name, &e);
    link_close(&inside);
    need(setns(host, CLONE_NEWNET) == 0, "namespace", &e);
    need(link_flush(l, &e) == 0, name, &e);
    return v.peer_ns;
}

static int open_sender(int box, int host)
{
    struct sockaddr_ll sa = {.sll_family = AF_PACKET};
    struct err e = {.msg = "packet socket"};
    struct link l;
    int fd;

    need(setns(box, CLONE_NEWNET) == 0 && link_open(&l, &e) == 0, "box", &e);
    need(link_index(&l, "eth0", &sa.sll_ifindex, &e) == 0, "box", &e);
    link_close(&l);
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    need(fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0, "packet socket", &e);
    need(setns(host, CLONE_NEWNET) == 0, "namespace", &e);
    return fd;
}

static void make_frame(uint8_t frame[60])
{
    static const uint8_t head[] = {0x08,        0, 0x45, 0,  0, 46, 0, 0,  0, 0, 64,
                                   IPPROTO_UDP, 0, 0,    10, 8, 0,  2, 10, 9, 0, 2};
    uint32_t sum = 0;

    memset(frame, 0, 60);
    memcpy(frame, gateway_mac, MAC_LEN);
    memcpy(frame + 6, box_mac, MAC_LEN);
    memcpy(frame + 12, head, sizeof head);
    for (int i = 14; i < 34; i += 2) {
        sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    frame[24] = (uint8_t)(~sum >> 8);
    frame[25] = (uint8_t)~sum;
    frame[37] = 9;  /* destination port */
    frame[39] = 26; /* length */
}

/* Of this thread, with what the kernel does for its packets: others use the machine, too. */
static int64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static double send_for_a_while(int fd, const uint8_t frame[60])
{
    int64_t began = cpu_us(), now = began;
    uint64_t n = 0;

    while (now - began < ROUND_US) {
        for (int i = 0; i < 256; i++) {
            n += send(fd, frame, 60, 0) == 60;
        }
        now = cpu_us();
    }
    return (double)n * 1e6 / (double)(now - began);
}

/* From 10.9.0.0 on every other network of four addresses, or one to eight of each sixteen. */
static void make_targets(struct netset *s, const struct variant *v)
{
    for (unsigned i = 0; i < v->intervals; i++) {
        struct net_range r = {
            .first = {.lo = (10u << 24) + (9u << 16) + (v->mixed ? 16u : 8u) * i}};

        r.last.lo = r.first.lo + (v->mixed ? (i + 2) % 8 : 3);
        netset_add(s, &r);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

struct figures {
    double pps[ROUNDS_MAX], load_ms[ROUNDS_MAX], remove_ms[ROUNDS_MAX];
};

static void round_of(struct nft *n, const struct variant *v, int sender, struct figures *f,
                     unsigned round)
{
    auto_netset targets = {0};
    struct filter filter = {.name = "sp_bench",
                            .targets = &targets,
                            .has_v4 = true,
                            .v4 = ip("10.8.0.2"),
                            .gateway4 = ip("10.8.0.1")};
    struct egress_counts c = {0};
    struct err e = {0};
    uint8_t frame[60];
    int64_t began = boot_us();

    make_targets(&targets, v);
    memcpy(filter.gateway_mac, gateway_mac, MAC_LEN);
    make_frame(frame);
    if (v->intervals) {
        need(filter_load(n, &filter, &e) == 0, "load", &e);
        f->load_ms[round] = (double)(boot_us() - began) / 1000;
    }
    f->pps[round] = send_for_a_while(sender, frame);
    if (v->intervals) {
        need(filter_counts(n, filter.name, &c, &e) == 0, "count", &e);
        need(c.passed > 0 && c.out_of_scope + c.spoofed + c.protocol + c.options + c.link == 0,
             "packets were dropped", &e);
        began = boot_us();
        need(filter_remove(n, filter.name, &e) == 0, "remove", &e);
        f->remove_ms[round] = (double)(boot_us() - began) / 1000;
    }
}

/* As every run without a scan address of its own has it. */
static void translate(struct nft *n)
{
    struct pool pool = {0};
    struct err e = {0};

    need(pool_init(&pool, "10.8.0.0/16", false, 0, 1, &e) == 0, "pool", &e);
    need(nat_load(n, "sp_bench_nat", &pool, false, &e) == 0, "nat", &e);
    pool_done(&pool);
}

static void report(struct figures f[VARIANTS], unsigned rounds)
{
    double none = 0;

    printf("{\"rounds\": %u", rounds);
    for (unsigned v = 0; v < VARIANTS; v++) {
        qsort(f[v].pps, rounds, sizeof(double), by_value);
        qsort(f[v].load_ms, rounds, sizeof(double), by_value);
        qsort(f[v].remove_ms, rounds, sizeof(double), by_value);
        none = v ? none : f[v].pps[rounds / 2];
        printf(", \"%s\": {\"kpps\": %.0f, \"of_plain\": %.3f, \"load_ms\": %.2f, "
               "\"remove_ms\": %.2f}",
               variants[v].name, f[v].pps[rounds / 2] / 1000, f[v].pps[rounds / 2] / none,
               f[v].load_ms[rounds / 2], f[v].remove_ms[rounds / 2]);
    }
    printf("}\n");
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 3;
    static struct figures f[VARIANTS];
    struct err e = {.msg = "run it as root"};
    struct link l;
    struct nft n;
    int host, box, sender, on;

    rounds = rounds < 1 ? 1 : MIN(rounds, (unsigned)ROUNDS_MAX);
    need(unshare(CLONE_NEWNET) == 0, "a network namespace", &e);
    host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    on = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
    need(host >= 0 && on >= 0 && write(on, "1", 1) == 1, "forwarding", &e);
    need(link_open(&l, &e) == 0 && nft_open(&n, &e) == 0, "netlink", &e);
    box = leg(&l, host, "sp_bench", "10.8.0.1", "10.8.0.2");
    (void)leg(&l, host, "far", "10.9.0.1", "10.9.0.2");
    sender = open_sender(box, host);
    if (argc > 2 && str_eq(argv[2], "nat")) {
        translate(&n);
    }
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned v = 0; v < VARIANTS; v++) {
            round_of(&n, &variants[v], sender, &f[v], round);
        }
    }
    report(f, rounds);
    nft_close(&n);
    link_close(&l);
    return 0;
}
