#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "netd/blocks.h"
#include "netd/filter.h"
#include "netd/nat.h"
#include "netd/nft.h"
#include "netd/proto.h"
#include "netd_lab.h"
#include "tap.h"

static const uint8_t BROADCAST[6] = {255, 255, 255, 255, 255, 255};
static const char IP_FORWARD[] = "/proc/sys/net/ipv4/ip_forward";

static void write_scope(const char *path, const char *allow)
{
    auto_free char *text =
        str_fmt("version: 1\nscope:\n  allow:\n    - note: lab\n      target: %s\n", allow);
    auto_free char *fresh = str_fmt("%s.new", path);
    FILE *f = fopen(fresh, "w");

    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
    CHECK_INT(chmod(fresh, 0644), 0);
    CHECK_INT(rename(fresh, path), 0);
}

/* A netd with one box whose way leads to `targets`. */
struct one {
    struct rig r;
    struct lab_box b;
    struct lab *lab;
};

static void one_start(struct one *o, const struct netd_config *c, const char *targets)
{
    int ns;

    o->lab = lab_get();
    rig_start(&o->r, c);
    CHECK_STR(o->r.why, "");
    ns = lab_namespace();
    CHECK_INT(rig_up(&o->r, 1, ns, targets), 0);
    lab_box_open(&o->b, &o->r, ns);
    (void)lab_arrived(&o->lab->in);
    (void)lab_arrived(&o->lab->out);
}

static struct egress_counts one_end(struct one *o)
{
    struct egress_counts c = rig_down(&o->r, 1);

    lab_box_done(&o->b);
    rig_stop(&o->r);
    return c;
}

static void it_says_what_it_can_do_and_leaves_nothing(void)
{
    struct netd_config c = rig_config();
    struct rig r;

    lab_write(IP_FORWARD, "0");
    rig_start(&r, &c);
    CHECK_STR(r.why, "");
    CHECK(r.usable && r.forward_v4 && r.forward_v6);
    CHECK_INT(r.dedicated_v4 + r.dedicated_v6, 0);
    CHECK_INT(lab_read(IP_FORWARD), '1');
    CHECK(lab_count_ours() > 0);
    rig_stop(&r);
    CHECK_INT(lab_read(IP_FORWARD), '0');
    CHECK_INT(lab_count_ours(), 0);
}

static void what_is_in_scope_passes_and_nothing_else(void)
{
    struct netd_config c = rig_config();
    const uint8_t foreign[6] = {2, 1, 2, 3, 4, 5};
    const struct packet bad[] = {
        {.to = "10.77.2.2"},                                   /* out of scope */
        {.to = "10.77.2.2", .proto = IPPROTO_TCP, .port = 80}, /* the same */
        {.to = "10.77.2.1"},                                   /* the host itself */
        {.to = "10.77.1.2", .from = "10.77.2.9"},              /* spoofed */
        {.to = "10.77.1.2", .options = true},
        {.to = "10.77.1.2", .proto = IPPROTO_IPIP},
        {.to = "10.77.1.2", .proto = IPPROTO_GRE},
        {.to = "10.77.1.2", .vlan = true},
        {.to = "10.77.1.2", .to_mac = foreign},
        {.to = "10.77.1.2", .to_mac = BROADCAST},
        {.to = "10.77.1.2", .type = 0x88b5}, /* no protocol of ours */
        {.to = "fd77:2::2", .from = "fd77:1::9"},
        {.to = "fd77:1::2", .from = "fd77:1::9"},
    };
    struct one o;
    struct egress_counts n;

    one_start(&o, &c, "10.77.1.2,10.77.1.16/30");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        lab_send(&o.b, &bad[i]);
    }
    CHECK_INT(lab_arrived(&o.lab->in), 0);
    CHECK_INT(lab_arrived(&o.lab->out), 0);
    lab_send(&o.b, &(struct packet){.to = "10.77.1.2"});
    lab_send(&o.b, &(struct packet){.to = "10.77.1.2", .proto = IPPROTO_TCP, .port = 80});
    lab_send(&o.b, &(struct packet){.to = "10.77.1.2", .proto = IPPROTO_ICMP, .icmp_type = 8});
    CHECK_INT(lab_arrived(&o.lab->in), 3);
    n = one_end(&o);
    CHECK_INT(n.passed, 3);
    CHECK_INT(n.out_of_scope, 5);
    CHECK_INT(n.spoofed, 1);
    CHECK_INT(n.options, 1);
    CHECK_INT(n.protocol, 2);
    CHECK_INT(n.link, 4);
    CHECK_INT(n.rate, 0);
    CHECK_INT(n.noise, 0);
    CHECK_INT(lab_count_ours(), 0);
}

static void ipv6_has_the_same_rules(void)
{
    struct netd_config c = rig_config();
    struct one o;
    struct egress_counts n;

    one_start(&o, &c, "fd77:1::2-fd77:1::ffff");
    lab_send(&o.b, &(struct packet){.to = "fd77:2::2"});
    lab_send(&o.b, &(struct packet){.to = "fd77:1::2", .from = "fd77:2::9"});
    lab_send(&o.b, &(struct packet){.to = "fd77:1::2", .proto = 43}); /* routing header */
    lab_send(&o.b, &(struct packet){.to = "fd77:1::2", .proto = 44}); /* fragment */
    lab_send(&o.b, &(struct packet){.to = "fd77:1::2", .vlan = true});
    lab_send(&o.b, &(struct packet){.to = "ff02::1",
                                    .proto = 58,
                                    .icmp_type = 134,
                                    .from = "fe80::1"}); /* router advertisement */
    lab_send(&o.b, &(struct packet){.to = "10.77.1.2", .from = "10.77.1.9"});
    CHECK_INT(lab_arrived(&o.lab->in), 0);
    CHECK_INT(lab_arrived(&o.lab->out), 0);
    lab_send(&o.b, &(struct packet){.to = "fd77:1::2", .proto = IPPROTO_TCP, .port = 80});
    lab_send(&o.b, &(struct packet){.to = "fd77:1::2", .proto = 58, .icmp_type = 128});
    CHECK_INT(lab_arrived(&o.lab->in), 2);
    n = one_end(&o);
    CHECK_INT(n.passed, 2);
    CHECK_INT(n.out_of_scope, 2); /* and IPv4, of which nothing was asked for */
    CHECK_INT(n.spoofed, 1);
    CHECK_INT(n.protocol, 2);
    CHECK_INT(n.link, 1);
    CHECK_INT(n.noise, 1);
}

static void fragments_are_judged_as_whole_packets(void)
{
    enum { MORE = 0x2000, LATER = 185 };
    struct netd_config c = rig_config();
    struct one o;
    struct egress_counts n;

    one_start(&o, &c, "10.77.1.2-10.77.1.99");
    lab_send(&o.b, &(struct packet){.to = "10.77.2.2", .fragment = MORE});
    lab_send(&o.b, &(struct packet){.to = "10.77.2.2", .fragment = LATER});
    lab_send(&o.b, &(struct packet){.to = "10.77.1.2", .fragment = MORE, .from = "1.2.3.4"});
    CHECK_INT(lab_arrived(&o.lab->out), 0);
    CHECK_INT(lab_arrived(&o.lab->in), 0);
    lab_send(&o.b, &(struct packet){.to = "10.77.1.2", .fragment = MORE});
    lab_send(&o.b, &(struct packet){.to = "10.77.1.2", .fragment = LATER});
    n = one_end(&o);
    CHECK_INT(n.passed, 2);
    CHECK_INT(n.out_of_scope, 2);
    CHECK_INT(n.spoofed, 1);
}

static void the_gateway_may_be_asked_for_and_nobody_else(void)
{
    struct netd_config c = rig_config();
    struct one o;
    struct egress_counts n;
    uint8_t arp[42] = {0}, got[256];
    size_t len;
    bool answered = false;

    one_start(&o, &c, "10.77.1.2-10.77.1.99");
    memcpy(arp, BROADCAST, 6);
    memcpy(arp + 6, o.b.mac, 6);
    memcpy(arp + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
    memcpy(arp + 22, o.b.mac, 6);
    memcpy(arp + 28, &(uint32_t){htonl((uint32_t)o.b.a.v4.lo)}, 4);
    memcpy(arp + 38, &(uint32_t){htonl((uint32_t)o.b.a.gateway4.lo)}, 4);
    CHECK_INT(send(o.b.sock, arp, sizeof arp, 0), sizeof arp);
    while (!answered && lab_heard(&o.b, got, sizeof got, &len)) {
        answered = len >= 42 && got[12] == 8 && got[13] == 6 && got[21] == 2;
    }
    CHECK(answered);
    arp[41] ^= 4; /* somebody else */
    CHECK_INT(send(o.b.sock, arp, sizeof arp, 0), sizeof arp);
    arp[41] ^= 4;
    arp[21] = 2; /* an answer that nobody asked for */
    CHECK_INT(send(o.b.sock, arp, sizeof arp, 0), sizeof arp);
    n = one_end(&o);
    CHECK_INT(n.noise, 1);
    CHECK_INT(n.link, 2);
}

static void the_rate_has_a_limit(void)
{
    struct netd_config c = rig_config();
    auto_netset set = {0};
    struct net_range t = {0};
    struct netd_ask ask = {.run = 7, .targets = &set, .rate_pps = 100};
    struct egress_counts n;
    struct lab_box b;
    struct rig r;
    unsigned arrived;
    int64_t began;

    CHECK(net_range_parse("10.77.1.2-10.77.1.99", false, &t));
    netset_add(&set, &t);
    (void)lab_get();
    rig_start(&r, &c);
    ask.netns_fd = lab_namespace();
    CHECK_INT(rig_ask(&r, &ask), 0);
    lab_box_open(&b, &r, ask.netns_fd);
    (void)lab_arrived(&lab_get()->in);
    began = boot_ms();
    for (int i = 0; i < 1000; i++) {
        lab_send(&b, &(struct packet){.to = "10.77.1.2"});
    }
    n = rig_down(&r, 7);
    arrived = lab_arrived(&lab_get()->in);
    CHECK_INT(n.passed + n.rate, 1000);
    CHECK_INT(n.passed, arrived);
    CHECK(n.passed >= 100 && n.passed <= 100 + 100 * (uint64_t)(boot_ms() - began + 1000) / 1000);
    lab_box_done(&b);
    rig_stop(&r);
}

/* A way for a tool with raw sockets, or without. */
static void way_start(struct rig *r, struct lab_box *b, const char *targets, bool raw)
{
    struct netd_config c = rig_config();
    int ns;

    (void)lab_get();
    rig_start(r, &c);
    r->raw = raw;
    ns = lab_namespace();
    CHECK_INT(rig_up(r, 1, ns, targets), 0);
    lab_box_open(b, r, ns);
    (void)lab_arrived(&lab_get()->in);
}

static void resets_from_the_silent_ports_stay_in_the_box(const char *to, bool raw, unsigned kept)
{
    enum { RST = 4, SYN = 2, RST_ACK = 20 };
    const uint16_t last = NETD_SILENT_PORT + NETD_SILENT_PORTS - 1;
    const struct packet some[] = {
        {.proto = IPPROTO_TCP, .tcp_flags = RST, .source = NETD_SILENT_PORT},
        {.proto = IPPROTO_TCP, .tcp_flags = RST_ACK, .source = last},
        {.proto = IPPROTO_TCP, .tcp_flags = SYN, .source = NETD_SILENT_PORT},
        {.proto = IPPROTO_TCP, .tcp_flags = RST, .source = NETD_SILENT_PORT - 1},
        {.proto = IPPROTO_TCP, .tcp_flags = RST, .source = (uint16_t)(last + 1)},
        {.proto = IPPROTO_UDP, .source = NETD_SILENT_PORT},
    };
    struct egress_counts n;
    struct lab_box b;
    struct rig r;

    way_start(&r, &b, to, raw);
    for (size_t i = 0; i < ARRAY_LEN(some); i++) {
        struct packet p = some[i];

        p.to = to;
        lab_send(&b, &p);
    }
    n = rig_down(&r, 1);
    CHECK_INT(n.noise, kept);
    CHECK_INT(n.passed, ARRAY_LEN(some) - kept);
    lab_box_done(&b);
    rig_stop(&r);
}

static void a_raw_tool_may_speak_tcp_without_its_kernel(void)
{
    resets_from_the_silent_ports_stay_in_the_box("10.77.1.2", true, 2);
    resets_from_the_silent_ports_stay_in_the_box("fd77:1::2", true, 2);
    resets_from_the_silent_ports_stay_in_the_box("10.77.1.2", false, 0);
}

/* To a multicast group of this link. */
static bool is_beat(const uint8_t *frame, size_t n)
{
    static const uint8_t v4[] = {0x01, 0, 0x5e, 0, 0, 0xfe}, v6[] = {0x33, 0x33, 0, 0, 1, 0x14};

    return n > sizeof v4 && (memcmp(frame, v4, sizeof v4) == 0 || memcmp(frame, v6, 6) == 0);
}

static bool hears_beats(struct lab_box *b, unsigned want, unsigned tries)
{
    uint8_t frame[256];
    size_t n;

    while (want > 0 && tries-- > 0) {
        want -= lab_heard(b, frame, sizeof frame, &n) && is_beat(frame, n);
    }
    return want == 0;
}

static void something_moves_on_the_link_of_a_raw_tool(void)
{
    static const char *const targets[] = {"10.77.1.2", "fd77:1::2"};
    enum { TRIES = 100, LISTEN = 10 };

    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct egress_counts n, none = {0};
        struct lab_box b;
        struct rig r;

        way_start(&r, &b, targets[i], true);
        CHECK(hears_beats(&b, 2, TRIES));
        CHECK_INT(lab_arrived(&lab_get()->in), 0);
        n = rig_down(&r, 1);
        CHECK(memcmp(&n, &none, sizeof n) == 0);
        lab_box_done(&b);
        rig_stop(&r);
        way_start(&r, &b, targets[i], false);
        CHECK(!hears_beats(&b, 1, LISTEN));
        lab_box_done(&b);
        rig_stop(&r);
    }
}

static void every_box_sees_the_same_gateway(void)
{
    struct lab_box b[2];
    uint8_t mac[6];
    struct rig r;
    char text[18];

    way_start(&r, &b[0], "10.77.1.2", false);
    memcpy(mac, r.address.gateway_mac, sizeof mac);
    b[1].ns = lab_namespace();
    CHECK_INT(rig_up(&r, 2, b[1].ns, "10.77.1.2"), 0);
    CHECK(memcmp(mac, r.address.gateway_mac, sizeof mac) == 0);
    snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
             mac[4], mac[5]);
    CHECK_STR(text, NETD_GATEWAY_MAC);
    lab_box_done(&b[0]);
    close(b[1].ns);
    rig_stop(&r);
}

static void only_a_resolver_that_a_policy_names_may_be_asked(void)
{
    auto_free char *path = str_fmt("%s/dns.yaml", test_dir());
    struct netd_config c = rig_config();
    auto_netset set = {0};
    struct net_range t = {0};
    struct netd_ask ask = {.run = 1, .targets = &set, .has_dns = true};
    struct rig r;

    (void)lab_get();
    CHECK_INT(chmod(test_dir(), 0755), 0);
    write_scope(path, "10.77.1.0/24\npolicies:\n  - name: default\n  - name: named\n"
                      "    dns: 203.0.113.53\n#");
    CHECK(net_range_parse("10.77.1.2", false, &t));
    netset_add(&set, &t);
    c.scope_file = path;
    rig_start(&r, &c);
    CHECK_STR(r.why, "");
    ask.netns_fd = lab_namespace();
    CHECK(net_ip_parse("203.0.113.54", &ask.dns));
    CHECK_INT(rig_ask(&r, &ask), ERR_SCOPE);
    (void)rig_down(&r, 1);
    CHECK(net_ip_parse("203.0.113.53", &ask.dns));
    CHECK_INT(rig_ask(&r, &ask), 0);
    (void)rig_down(&r, 1);
    close(ask.netns_fd);
    rig_stop(&r);
}

static void dns_goes_to_the_one_resolver_only(void)
{
    struct netd_config c = rig_config();
    auto_netset set = {0};
    struct net_range t = {0};
    struct netd_ask ask = {.run = 7, .targets = &set, .has_dns = true};
    struct egress_counts n;
    struct lab_box b;
    struct rig r;

    CHECK(net_range_parse("10.77.1.2-10.77.1.99", false, &t));
    netset_add(&set, &t);
    CHECK(net_ip_parse("10.77.2.2", &ask.dns));
    (void)lab_get();
    rig_start(&r, &c);
    ask.netns_fd = lab_namespace();
    CHECK_INT(rig_ask(&r, &ask), 0);
    lab_box_open(&b, &r, ask.netns_fd);
    (void)lab_arrived(&lab_get()->out);
    lab_send(&b, &(struct packet){.to = "10.77.2.2", .port = 80});
    lab_send(&b, &(struct packet){.to = "10.77.2.2", .port = 53, .fragment = 185});
    lab_send(&b, &(struct packet){.to = "10.77.2.2", .port = 53, .proto = IPPROTO_SCTP});
    lab_send(&b, &(struct packet){.to = "10.77.2.1", .port = 53});
    CHECK_INT(lab_arrived(&lab_get()->out), 0);
    lab_send(&b, &(struct packet){.to = "10.77.2.2", .port = 53});
    lab_send(&b, &(struct packet){.to = "10.77.2.2", .port = 53, .proto = IPPROTO_TCP});
    CHECK_INT(lab_arrived(&lab_get()->out), 2);
    n = rig_down(&r, 7);
    CHECK_INT(n.passed, 2);
    CHECK_INT(n.out_of_scope, 4);
    lab_box_done(&b);
    rig_stop(&r);
}

/* ---- scope ---- */

static void large_sets_are_loaded_whole(void)
{
    enum { RANGES = 20000 };
    struct netd_config c = rig_config();
    auto_netset set = {0};
    struct netd_ask ask = {.run = 3, .targets = &set};
    struct egress_counts n;
    struct lab_box b;
    struct rig r;
    int64_t began;

    for (uint64_t i = 0; i < RANGES; i++) { /* every other address of 10.64.0.0/15 and on */
        struct net_range one = {.first = {.lo = (10u << 24) + (64u << 16) + 4 * i},
                                .last = {.lo = (10u << 24) + (64u << 16) + 4 * i + 1}};

        netset_add(&set, &one);
    }
    for (uint64_t i = 0; i < 500; i++) {
        struct net_range one = {.first = {.lo = (10u << 24) + (77u << 16) + (1u << 8) + 2 * i},
                                .last = {.lo = (10u << 24) + (77u << 16) + (1u << 8) + 2 * i}};

        netset_add(&set, &one); /* 10.77.1.2 is among them, 10.77.1.3 is not, 10.77.2.2 is */
    }
    (void)lab_get();
    rig_start(&r, &c);
    ask.netns_fd = lab_namespace();
    began = boot_us();
    CHECK_INT(rig_ask(&r, &ask), 0);
    printf("# %zu intervals: %.1f ms\n", set.n, (double)(boot_us() - began) / 1000);
    lab_box_open(&b, &r, ask.netns_fd);
    (void)lab_arrived(&lab_get()->in);
    (void)lab_arrived(&lab_get()->out);
    lab_send(&b, &(struct packet){.to = "10.77.1.3"});
    lab_send(&b, &(struct packet){.to = "10.64.0.2"});
    lab_send(&b, &(struct packet){.to = "10.63.255.255"});
    lab_send(&b, &(struct packet){.to = "255.255.255.255"});
    CHECK_INT(lab_arrived(&lab_get()->in), 0);
    lab_send(&b, &(struct packet){.to = "10.77.1.2"});
    lab_send(&b, &(struct packet){.to = "10.77.2.2"});
    lab_send(&b, &(struct packet){.to = "10.64.0.0"});
    lab_send(&b, &(struct packet){.to = "10.65.56.125"}); /* the last of the 20,000 */
    CHECK_INT(lab_arrived(&lab_get()->in), 1);
    CHECK_INT(lab_arrived(&lab_get()->out), 1);
    n = rig_down(&r, 3);
    CHECK_INT(n.passed, 4);
    CHECK_INT(n.out_of_scope, 4);
    lab_box_done(&b);
    rig_stop(&r);
}

static void counters_of_a_table_that_is_gone_are_not_zero(void)
{
    struct egress_counts c = {.passed = 7};
    struct nft n;

    (void)lab_get();
    CHECK_OK(nft_open(&n, ERR));
    CHECK_ERR(filter_counts(&n, "sp_gone", &c, ERR), ERR_SANDBOX);
    CHECK_INT(c.passed, 7);
    nft_close(&n);
}

/* Since 6.9 the kernel does not let them; before, the box is cut off and nobody knows what it
 * sent. */
static void others_cannot_open_a_box_by_removing_its_filter(void)
{
    struct netd_config c = rig_config();
    const struct packet out = {.to = "10.77.2.2"};
    bool wired = true;
    struct nft n;
    struct one o;
    bool lasts;

    one_start(&o, &c, "10.77.1.2");
    CHECK_OK(nft_open(&n, ERR));
    lasts = nft_lasting(&n) != 0;
    nft_begin(&n, NFPROTO_UNSPEC, "all");
    nft_flush(&n);
    CHECK_OK(nft_commit(&n, ERR));
    nft_close(&n);
    if (lasts) {
        lab_send(&o.b, &out);
        CHECK_INT(lab_arrived(&o.lab->out), 0);
        CHECK_INT(rig_down(&o.r, 1).out_of_scope, 1);
        CHECK_INT(o.r.n_lost, 0);
    } else {
        for (int i = 0; i < 100 && wired; i++) {
            rig_turn(&o.r, 100);
            wired = if_nametoindex("sp_00_0") != 0;
        }
        CHECK(!wired);
        (void)rig_down(&o.r, 1);
        CHECK_INT(o.r.n_lost, 1);
    }
    lab_box_done(&o.b);
    rig_stop(&o.r);
}

static void add(struct netset *s, uint64_t first, uint64_t addresses)
{
    struct net_range r = {.first = {.lo = first}, .last = {.lo = first + addresses - 1}};

    netset_add(s, &r);
}

/* What the blocks stand for, and what stayed a range: together again. */
static void put_together(const struct division *d, struct netset *out)
{
    netset_add_set(out, &d->rest);
    for (size_t i = 0; i < d->n; i++) {
        const struct blocks *b = &d->blocks[i];

        for (size_t k = 0; k < b->n; k++) {
            add(out, ntohl(b->v[k]), UINT64_C(1) << (32 - b->len));
        }
    }
}

static void a_divided_set_is_the_same_set(void)
{
    enum { RANGES = 3000, SHAPES = 6 };

    for (unsigned shape = 0; shape < SHAPES; shape++) {
        auto_netset set = {0}, again = {0};
        auto_division d = {0};
        size_t size = 0;

        for (uint64_t i = 0, at = 1 << 24; i < RANGES; i++, at += 1 << 10) {
            const uint64_t addresses[SHAPES] = {
                1, 1 + i % 7, i % 2 ? 256 : 1, i % 3 ? 128 : 1 + i % 90, 100, 3 << (i % 8)};

            add(&set, at + (shape == 5 ? i % 13 : 0), addresses[shape]);
        }
        add(&set, 0, 1);
        add(&set, UINT32_MAX, 1);
        netset_add(&set,
                   &(struct net_range){{.v6 = true, .hi = 1}, {.v6 = true, .hi = 1, .lo = 9}});
        division_make(&d, &set);
        put_together(&d, &again);
        CHECK(netset_equal(&set, &again));
        for (size_t i = 0; i < d.n; i++) {
            size += d.blocks[i].n;
        }
        printf("# shape %u: %zu ranges are %zu blocks and %zu ranges\n", shape, set.n, size,
               d.rest.n);
        CHECK(size <= 256 << 10);
        CHECK(shape > 2 || d.rest.n <= 3); /* few are left of what has few sizes */
    }
}

static void small_sets_are_not_divided(void)
{
    auto_netset set = {0};
    auto_division d = {0};

    for (uint64_t i = 0; i < 200; i++) {
        add(&set, 8 * i, 4);
    }
    division_make(&d, &set);
    CHECK_INT(d.n, 0);
    CHECK(netset_equal(&d.rest, &set));
}

/* Two sizes of blocks, a tree beside them, and their borders. */
static void sets_of_many_sizes_are_filtered_exactly(void)
{
    struct netd_config c = rig_config();
    auto_netset set = {0};
    struct netd_ask ask = {.run = 3, .targets = &set, .rate_pps = 1000};
    struct egress_counts n;
    struct lab_box b;
    struct rig r;

    for (uint64_t i = 0; i < 4000; i++) { /* from 10.64.0.0 on */
        uint64_t first = (10u << 24) + (64u << 16) + (i << 8);
        bool ours = first == (10u << 24) + (77u << 16) + (1u << 8); /* has the host's address */

        add(&set, ours ? first + 2 : first, ours ? 1 : 1 + i % 2 * 127);
    }
    add(&set, (10u << 24) + (63u << 16) + 5, 3);
    (void)lab_get();
    rig_start(&r, &c);
    ask.netns_fd = lab_namespace();
    CHECK_INT(rig_ask(&r, &ask), 0);
    lab_box_open(&b, &r, ask.netns_fd);
    (void)lab_arrived(&lab_get()->in);
    lab_send(&b, &(struct packet){.to = "10.64.0.1"});
    lab_send(&b, &(struct packet){.to = "10.64.1.128"});
    lab_send(&b, &(struct packet){.to = "10.63.0.4"});
    lab_send(&b, &(struct packet){.to = "10.63.0.8"});
    lab_send(&b, &(struct packet){.to = "10.77.1.128", .proto = IPPROTO_GRE});
    lab_send(&b, &(struct packet){.to = "10.77.1.2", .proto = IPPROTO_GRE});
    lab_send(&b, &(struct packet){.to = "10.77.1.2", .from = "10.77.1.3"});
    CHECK_INT(lab_arrived(&lab_get()->in), 0);
    lab_send(&b, &(struct packet){.to = "10.77.1.2"});
    lab_send(&b, &(struct packet){.to = "10.64.0.0"});
    lab_send(&b, &(struct packet){.to = "10.64.1.0"});
    lab_send(&b, &(struct packet){.to = "10.64.1.127"});
    lab_send(&b, &(struct packet){.to = "10.63.0.5"});
    lab_send(&b, &(struct packet){.to = "10.63.0.7"});
    CHECK_INT(lab_arrived(&lab_get()->in), 1);
    n = rig_down(&r, 3);
    CHECK_INT(n.passed, 6);
    CHECK_INT(n.out_of_scope, 5);
    CHECK_INT(n.protocol, 1);
    CHECK_INT(n.spoofed, 1);
    CHECK_INT(n.rate, 0);
    lab_box_done(&b);
    rig_stop(&r);
}

static int try_targets(struct rig *r, const char *targets)
{
    static uint64_t run = 100;
    int ns = lab_namespace();
    int code = rig_up(r, ++run, ns, targets);

    (void)rig_down(r, run);
    close(ns);
    return code;
}

static void targets_outside_the_scope_file_are_refused(void)
{
    auto_free char *path = str_fmt("%s/scope.yaml", test_dir());
    struct netd_config c = rig_config();
    struct rig r;

    (void)lab_get();
    CHECK_INT(chmod(test_dir(), 0755), 0);
    write_scope(path, "10.77.1.0/24");
    c.scope_file = path;
    rig_start(&r, &c);
    CHECK_STR(r.why, "");
    CHECK_INT(try_targets(&r, "10.77.1.2"), 0);
    CHECK_INT(try_targets(&r, "10.77.1.2,10.77.2.2"), ERR_SCOPE);
    CHECK(strstr(r.why, "10.77.2.2"));
    CHECK_INT(try_targets(&r, "10.77.0.0/16"), ERR_SCOPE);
    CHECK_INT(try_targets(&r, "10.77.1.1"), ERR_SCOPE); /* an address of the host */
    CHECK_INT(try_targets(&r, "fd77:1::2"), ERR_SCOPE);
    write_scope(path, "10.77.2.0/24"); /* is obeyed without being told */
    CHECK_INT(try_targets(&r, "10.77.2.2"), 0);
    CHECK_INT(try_targets(&r, "10.77.1.2"), ERR_SCOPE);
    write_scope(path, "10.77.1.0/24\n      surprise: yes"); /* broken: the old one stays */
    CHECK_INT(try_targets(&r, "10.77.2.2"), 0);
    CHECK_INT(try_targets(&r, "10.77.1.2"), ERR_SCOPE);
    CHECK_INT(unlink(path), 0);
    CHECK_INT(try_targets(&r, "10.77.2.2"), 0);
    CHECK_INT(try_targets(&r, "10.77.1.2"), ERR_SCOPE);
    rig_stop(&r);
}

static void some_targets_no_file_can_allow(void)
{
    auto_free char *path = str_fmt("%s/wide.yaml", test_dir());
    struct netd_config c = rig_config();
    struct rig r;

    (void)lab_get();
    CHECK_INT(chmod(test_dir(), 0755), 0);
    write_scope(path, "127.0.0.0/8\n    - target: ::1\n    - target: 198.18.0.0/15\n"
                      "    - target: 10.77.1.1");
    c.scope_file = path;
    rig_start(&r, &c);
    CHECK_STR(r.why, "");
    CHECK_INT(try_targets(&r, "127.0.0.1"), ERR_SCOPE);
    CHECK_INT(try_targets(&r, "127.255.0.0/16"), ERR_SCOPE);
    CHECK_INT(try_targets(&r, "::1"), ERR_SCOPE);
    CHECK_INT(try_targets(&r, "198.18.77.0/24"), ERR_SCOPE); /* other boxes */
    CHECK_INT(try_targets(&r, "198.19.0.0/24"), 0);
    CHECK_INT(try_targets(&r, "10.77.1.1"), 0); /* ours, and allowed as such */
    rig_stop(&r);
}

static void a_broken_scope_file_at_the_start_makes_it_useless(void)
{
    auto_free char *path = str_fmt("%s/none.yaml", test_dir());
    struct netd_config c = rig_config();
    struct rig r;

    c.scope_file = path;
    rig_start(&r, &c);
    CHECK(!r.usable);
    CHECK(strstr(r.why, "none.yaml"));
    CHECK_INT(try_targets(&r, "10.77.1.2"), ERR_SANDBOX);
    rig_stop(&r);
    CHECK_INT(lab_count_ours(), 0);
}

/* ---- beginnings and ends ---- */

static unsigned until_gone(unsigned ms)
{
    unsigned n = 1;

    for (int64_t until = boot_ms() + ms; n && boot_ms() < until;) {
        n = lab_count_ours();
        usleep(5000);
    }
    return n;
}

static void everything_is_removed_when_the_peer_goes(void)
{
    struct netd_config c = rig_config();
    int ns[2];
    struct rig r;

    (void)lab_get();
    rig_start(&r, &c);
    for (unsigned i = 0; i < 2; i++) {
        ns[i] = lab_namespace();
        CHECK_INT(rig_up(&r, i, ns[i], "10.77.1.2"), 0);
    }
    CHECK(lab_count_ours() >= 4);
    shutdown(r.fd, SHUT_RDWR); /* as if the runner had died: nobody said DOWN */
    CHECK_INT(until_gone(3000), 0);
    rig_stop(&r);
    close(ns[0]);
    close(ns[1]);
}

static void what_a_killed_one_left_is_removed_by_the_next(void)
{
    struct netd_config c = rig_config();
    int ns = -1;
    struct rig r;

    (void)lab_get();
    lab_write(IP_FORWARD, "0");
    rig_start(&r, &c);
    ns = lab_namespace();
    CHECK_INT(rig_up(&r, 1, ns, "10.77.1.2"), 0);
    CHECK_INT(syscall(SYS_pidfd_send_signal, r.pidfd, SIGKILL, NULL, 0), 0);
    rig_turn(&r, 50);
    CHECK(r.gone);
    rig_stop(&r);
    CHECK(lab_count_ours() >= 2);
    CHECK_INT(lab_read(IP_FORWARD), '1');
    rig_start(&r, &c);
    CHECK_STR(r.why, "");
    CHECK_INT(lab_count_ours(), 4); /* its own: number, two NAT tables, the guard */
    rig_stop(&r);
    CHECK_INT(lab_count_ours(), 0);
    CHECK_INT(lab_read(IP_FORWARD), '0'); /* as it was before the one that was killed */
    close(ns);
}

static void a_killed_one_does_not_open_the_way(void)
{
    struct netd_config c = rig_config();
    struct one o;

    one_start(&o, &c, "10.77.1.2");
    CHECK_INT(syscall(SYS_pidfd_send_signal, o.r.pidfd, SIGKILL, NULL, 0), 0);
    rig_turn(&o.r, 50);
    CHECK(o.r.gone);
    lab_send(&o.b, &(struct packet){.to = "10.77.2.2"});
    lab_send(&o.b, &(struct packet){.to = "10.77.1.2", .from = "10.9.9.9"});
    CHECK_INT(lab_arrived(&o.lab->out), 0);
    CHECK_INT(lab_arrived(&o.lab->in), 0);
    lab_box_done(&o.b);
    rig_stop(&o.r);
    rig_start(&o.r, &c); /* cleans up */
    rig_stop(&o.r);
}

static void two_runs_do_not_meet(void)
{
    struct netd_config c = rig_config();
    struct one o;
    struct egress_counts n;
    struct lab_box second;
    char other[NET_TEXT];
    uint8_t got[256];
    size_t len;
    int ns;

    one_start(&o, &c, "10.77.1.2");
    ns = lab_namespace();
    CHECK_INT(rig_up(&o.r, 2, ns, "10.77.2.2"), 0);
    lab_box_open(&second, &o.r, ns);
    CHECK(net_ip_cmp(&second.a.v4, &o.b.a.v4) != 0);
    net_ip_text(&second.a.v4, other);
    lab_send(&o.b, &(struct packet){.to = other});
    lab_send(&o.b, &(struct packet){.to = "10.77.2.2"});
    lab_send(&second, &(struct packet){.to = "10.77.1.2"});
    lab_send(&second, &(struct packet){.to = "10.77.2.2"});
    CHECK_INT(lab_arrived(&o.lab->in), 0);
    CHECK_INT(lab_arrived(&o.lab->out), 1);
    while (lab_heard(&o.b, got, sizeof got, &len)) {
        CHECK(!(got[12] == 8 && got[13] == 0)); /* IPv6 listener reports of the host's end only */
    }
    n = rig_down(&o.r, 2);
    CHECK_INT(n.passed, 1);
    CHECK_INT(n.out_of_scope, 1);
    lab_box_done(&second);
    n = one_end(&o);
    CHECK_INT(n.passed, 0);
    CHECK_INT(n.out_of_scope, 2);
}

static void two_of_them_share_a_machine(void)
{
    struct netd_config c = rig_config();
    struct one a, b;

    lab_get();
    lab_write(IP_FORWARD, "0");
    one_start(&a, &c, "10.77.1.2");
    one_start(&b, &c, "10.77.2.2"); /* finds nothing that is left over */
    CHECK(net_ip_cmp(&a.b.a.v4, &b.b.a.v4) != 0);
    CHECK_INT(one_end(&b).passed, 0);
    CHECK_INT(lab_read(IP_FORWARD), '1');
    lab_send(&a.b, &(struct packet){.to = "10.77.1.2"});
    lab_send(&a.b, &(struct packet){.to = "10.77.2.2"});
    CHECK_INT(lab_arrived(&a.lab->in), 1);
    CHECK_INT(lab_arrived(&a.lab->out), 0);
    CHECK_INT(one_end(&a).out_of_scope, 1);
    CHECK_INT(lab_read(IP_FORWARD), '0');
    CHECK_INT(lab_count_ours(), 0);
}

static void a_way_is_removed_after_its_run(void)
{
    struct netd_config c = rig_config();
    unsigned before;
    struct rig r;

    (void)lab_get();
    rig_start(&r, &c);
    before = lab_count_ours();
    for (unsigned i = 0; i < 3; i++) {
        CHECK_INT(try_targets(&r, "10.77.1.2"), 0);
    }
    for (int64_t until = boot_ms() + 3000; lab_count_ours() != before && boot_ms() < until;) {
        rig_turn(&r, 10);
    }
    CHECK_INT(lab_count_ours(), before);
    rig_stop(&r);
}

/* ---- addresses ---- */

static void behind_nat_the_far_end_sees_the_host(void)
{
    struct netd_config c = rig_config();
    struct in_addr host;
    uint8_t frame[256];
    struct one o;
    size_t n;
    const uint8_t *last;
    bool answered = false;

    one_start(&o, &c, "10.77.1.2");
    CHECK_INT(o.r.address.prefix4, 30);
    CHECK(!o.r.dedicated);
    lab_send(&o.b, &(struct packet){.to = "10.77.1.2", .proto = IPPROTO_ICMP, .icmp_type = 8});
    CHECK_INT(lab_arrived(&o.lab->in), 1);
    last = lab_last(&n);
    CHECK(inet_pton(AF_INET, "10.77.1.1", &host) == 1 && memcmp(last + 12, &host, 4) == 0);
    while (!answered && lab_heard(&o.b, frame, sizeof frame, &n)) {
        answered = n >= 42 && frame[23] == IPPROTO_ICMP && frame[34] == 0; /* its echo reply */
    }
    CHECK(answered);
    /* What conntrack cannot translate would leave with the box's own address. */
    lab_send(&o.b, &(struct packet){.to = "10.77.1.2", .proto = IPPROTO_TCP, .tcp_flags = 0x29});
    CHECK_INT(lab_arrived(&o.lab->in), 0);
    CHECK_INT(one_end(&o).passed, 2);
}

static bool resolves(const struct far_end *f, const char *address)
{
    struct lab_box far = {.ns = f->ns, .sock = f->witness};
    struct in_addr a;
    uint8_t arp[42] = {0}, got[256];
    size_t n;

    CHECK_INT(inet_pton(AF_INET, address, &a), 1);
    memcpy(arp, BROADCAST, 6);
    memcpy(arp + 6, "\x02\x00\x00\x02\x00\x69", 6);
    memcpy(arp + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
    memcpy(arp + 22, arp + 6, 6);
    memcpy(arp + 28, (uint8_t[]){10, 77, 1, 2}, 4);
    memcpy(arp + 38, &a, 4);
    CHECK_INT(send(f->witness, arp, sizeof arp, 0), sizeof arp);
    for (int64_t until = boot_ms() + 1500; boot_ms() < until;) {
        if (lab_heard(&far, got, sizeof got, &n) && n >= 42 && got[13] == 6 && got[21] == 2) {
            return memcmp(got + 28, &a, 4) == 0;
        }
    }
    return false;
}

static void a_scan_address_is_announced_and_not_translated(void)
{
    static const char PROXY_DELAY[] = "/proc/sys/net/ipv4/neigh/h-in/proxy_delay";
    char delay;
    struct netd_config c = rig_config();
    auto_netset set = {0};
    struct net_range t = {0};
    struct netd_ask ask = {.run = 7, .targets = &set, .dedicated = true};
    struct in_addr own;
    struct lab_box b;
    const uint8_t *last;
    uint8_t frame[256];
    bool answered = false;
    struct rig r;
    size_t n;
    int ns;

    CHECK(net_range_parse("10.77.1.2", false, &t));
    netset_add(&set, &t);
    (void)lab_get();
    delay = lab_read(PROXY_DELAY);
    CHECK(delay > '0' && delay <= '9');
    c.addresses = "10.77.1.200, fd77:1::200";
    rig_start(&r, &c);
    CHECK_INT(lab_read(PROXY_DELAY), '0');
    CHECK_STR(r.why, "");
    CHECK_INT(r.dedicated_v4, 1);
    CHECK_INT(r.dedicated_v6, 1);
    ask.netns_fd = lab_namespace();
    CHECK_INT(rig_ask(&r, &ask), 0);
    CHECK(r.dedicated);
    CHECK_INT(r.address.prefix4, 32);
    lab_box_open(&b, &r, ask.netns_fd);
    (void)lab_arrived(&lab_get()->in);
    lab_send(&b, &(struct packet){.to = "10.77.1.2", .proto = IPPROTO_ICMP, .icmp_type = 8});
    CHECK_INT(lab_arrived(&lab_get()->in), 1);
    last = lab_last(&n);
    CHECK(inet_pton(AF_INET, "10.77.1.200", &own) == 1 && memcmp(last + 12, &own, 4) == 0);
    while (!answered && lab_heard(&b, frame, sizeof frame, &n)) {
        answered = n >= 42 && frame[23] == IPPROTO_ICMP && frame[34] == 0;
    }
    CHECK(answered); /* which it is only if the far end found us by ARP */
    CHECK(resolves(&lab_get()->in, "10.77.1.200"));
    /* FIN, PSH and URG is invalid to conntrack, and passes all the same. */
    lab_send(&b, &(struct packet){.to = "10.77.1.2", .proto = IPPROTO_TCP, .tcp_flags = 0x29});
    CHECK_INT(lab_arrived(&lab_get()->in), 1);
    ns = lab_namespace();
    ask = (struct netd_ask){.run = 8, .netns_fd = ns, .targets = &set, .dedicated = true};
    CHECK_INT(rig_ask(&r, &ask), ERR_BUSY);
    (void)rig_down(&r, 8);
    ask.run = 9;
    ask.dedicated = false;
    CHECK_INT(rig_ask(&r, &ask), 0);
    CHECK(!r.dedicated);
    (void)rig_down(&r, 9);
    CHECK_INT(rig_down(&r, 7).passed, 2);
    lab_box_done(&b);
    close(ns);
    rig_stop(&r);
    CHECK_INT(lab_read(PROXY_DELAY), delay); /* as it was */
}

/* ---- the role ---- */

static void read_status(int pid, const char *key, char out[64])
{
    auto_free char *path = str_fmt("/proc/%d/status", pid);
    char line[256];
    FILE *f = fopen(path, "r");

    CHECK(f);
    out[0] = '\0';
    while (fgets(line, sizeof line, f)) {
        if (str_starts(line, key)) {
            sscanf(line + strlen(key), " %63s", out);
        }
    }
    fclose(f);
}

static void it_holds_one_capability_and_is_nobody(void)
{
    struct netd_config c = rig_config();
    char value[64];
    struct rig r;

    if (!lab_get()->root) {
        tap_skip("we are not root");
    }
    rig_start(&r, &c);
    read_status(rig_pid(&r), "CapEff:", value);
    CHECK_STR(value, "0000000000001000");
    read_status(rig_pid(&r), "CapPrm:", value);
    CHECK_STR(value, "0000000000001000");
    read_status(rig_pid(&r), "CapBnd:", value);
    CHECK_STR(value, "0000000000001000");
    read_status(rig_pid(&r), "Uid:", value);
    CHECK_STR(value, "65534");
    read_status(rig_pid(&r), "NoNewPrivs:", value);
    CHECK_STR(value, "1");
    read_status(rig_pid(&r), "Seccomp:", value);
    CHECK_STR(value, "2");
    rig_stop(&r);
}

/* Sends one message to a fresh netd that has a way up; it has to end, and leave nothing. */
static void offend(uint16_t type, const void *body, size_t n)
{
    struct netd_config c = rig_config();
    uint8_t packet[4096];
    int ns = -1;
    struct rig r;

    (void)lab_get();
    rig_start(&r, &c);
    ns = lab_namespace();
    CHECK_INT(rig_up(&r, 1, ns, "10.77.1.2"), 0);
    packet[0] = (uint8_t)type;
    packet[1] = (uint8_t)(type >> 8);
    memcpy(packet + 2, body, n);
    CHECK_INT(send(r.fd, packet, n + 2, 0), n + 2);
    for (int64_t until = boot_ms() + 3000; !r.gone && boot_ms() < until;) {
        rig_turn(&r, 10);
    }
    CHECK(r.gone);
    rig_stop(&r);
    CHECK_INT(lab_count_ours(), 0);
    close(ns);
}

static void broken_messages_end_the_session(void)
{
    auto_buf ranges = {0}, up = {0}, down = {0};

    wire_u64(&ranges, 1);
    wire_u32(&ranges, 1);
    wire_u8(&ranges, 4);
    wire_u32(&ranges, 1);
    wire_u32(&ranges, 1);
    offend(NETD_RANGES, ranges.data, ranges.len); /* that no UP announced */
    wire_u64(&up, 2);
    wire_u8(&up, 0);
    wire_u32(&up, 0);
    wire_u8(&up, 0);
    wire_u32(&up, 1);
    offend(NETD_UP, up.data, up.len); /* without a namespace */
    wire_u64(&down, 1);
    wire_u8(&down, 0);
    offend(NETD_DOWN, down.data, down.len); /* one byte too many */
    offend(77, "x", 1);
    offend(NETD_READY, "x", 1);
}

static void a_descriptor_that_is_no_namespace_is_an_error_of_the_run(void)
{
    struct netd_config c = rig_config();
    int fd;
    struct rig r;

    (void)lab_get();
    rig_start(&r, &c);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(rig_up(&r, 1, fd, "10.77.1.2") != 0);
    CHECK(strstr(r.why, "sp_"));
    (void)rig_down(&r, 1);
    CHECK_INT(try_targets(&r, "10.77.1.2"), 0);
    close(fd);
    rig_stop(&r);
}

static void as_a_service_it_asks_who_it_is(void)
{
    auto_free char *path = str_fmt("%s/netd.sock", test_dir());
    struct netd_config c = rig_config();
    int fd = -1, status;
    struct rig r;
    pid_t pid, guest;

    (void)lab_get();
    CHECK_INT(chmod(test_dir(), 0755), 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
        _exit(netd_listen(&c, path, getuid(), NULL) != 0);
    }
    for (int64_t until = boot_ms() + 3000; boot_ms() < until;) {
        if (netd_dial(path, &fd, NULL) == 0) {
            break;
        }
        usleep(5000);
    }
    CHECK(fd >= 0);
    rig_attach(&r, fd, -1);
    CHECK_STR(r.why, "");
    CHECK_INT(try_targets(&r, "10.77.1.2"), 0);
    rig_stop(&r);
    if (lab_get()->root) { /* somebody else: hung up on without a word */
        guest = fork();
        if (guest == 0) {
            char c1;

            _exit(setresuid(12345, 12345, 12345) < 0 || netd_dial(path, &fd, NULL) != 0 ||
                  recv(fd, &c1, 1, 0) > 0);
        }
        CHECK_INT(waitpid(guest, &status, 0), guest);
        CHECK_INT(status, 0);
    }
    CHECK_OK(netd_dial(path, &fd, ERR)); /* the next peer */
    rig_attach(&r, fd, -1);
    CHECK_INT(try_targets(&r, "10.77.1.2"), 0);
    CHECK_INT(kill(pid, SIGTERM), 0);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    rig_stop(&r);
    CHECK_INT(lab_count_ours(), 0);
}

/* ---- without privilege ---- */

static bool say(const char *path, const char *text)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

struct stranger {
    int fd;    /* of netd's channel, in the stranger */
    pid_t box; /* whose namespace is a box's */
    char why[200];
};

static bool own_user_namespace(void)
{
    /* As most distributions have it; here it is root's alone. */
    if (mount("none", "/dev/net", "tmpfs", 0, NULL) < 0 ||
        mknod("/dev/net/tun", S_IFCHR | 0666, makedev(10, 200)) < 0 ||
        chmod("/dev/net/tun", 0666) < 0 || setresgid(12345, 12345, 12345) < 0 ||
        setresuid(12345, 12345, 12345) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0) {
        return false;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return unshare(CLONE_NEWUSER) == 0 && say("/proc/self/setgroups", "deny") &&
           say("/proc/self/uid_map", "12345 12345 1") && say("/proc/self/gid_map", "12345 12345 1");
}

/* An ordinary user in a user namespace, as the runner is one. */
static _Noreturn void be_stranger(const struct netd_config *c, const char *slirp, int tell)
{
    struct stranger st = {.fd = -1};
    struct err e = {0};
    int pidfd;

    if (unshare(CLONE_NEWNS) < 0 || !own_user_namespace()) {
        snprintf(st.why, sizeof st.why, "cannot become a stranger: %s", strerror(errno));
    } else if (netd_spawn_rootless(c, slirp, &st.fd, &pidfd, &e) != 0) {
        snprintf(st.why, sizeof st.why, "%.190s", e.msg);
    } else {
        st.box = fork();
        if (st.box == 0) {
            close(st.fd);
            prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            _exit(unshare(CLONE_NEWNET) < 0 || write(tell, "x", 1) != 1 || pause());
        }
    }
    if (write(tell, &st, sizeof st) == sizeof st) {
        pause();
    }
    _exit(1);
}

static void without_privilege_there_is_a_way_too(void)
{
    static const char slirp[] = "/usr/bin/slirp4netns";
    struct netd_config c = rig_config();
    struct stranger st = {0};
    auto_free char *path = NULL;
    struct egress_counts n;
    struct lab_box b;
    int tell[2], pidfd, ns;
    char box_ready;
    struct rig r;
    pid_t pid;

    if (!lab_get()->root || access(slirp, X_OK) < 0) {
        tap_skip("needs root, to become somebody else, and slirp4netns");
    }
    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, tell), 0);
    pid = fork();
    if (pid == 0) {
        be_stranger(&c, slirp, tell[1]);
    }
    close(tell[1]);
    for (int i = 0; i < 2; i++) { /* in any order */
        char msg[sizeof st];
        ssize_t got = read(tell[0], msg, sizeof msg);

        CHECK(got == 1 || got == sizeof st);
        if (got == sizeof st) {
            memcpy(&st, msg, sizeof st);
            CHECK_STR(st.why, "");
        } else {
            box_ready = msg[0];
            CHECK_INT(box_ready, 'x');
        }
    }
    close(tell[0]);
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    path = str_fmt("/proc/%d/ns/net", (int)st.box);
    ns = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(pidfd >= 0 && ns >= 0);
    rig_attach(&r, (int)syscall(SYS_pidfd_getfd, pidfd, st.fd, 0), -1);
    CHECK_STR(r.why, "");
    CHECK(r.forward_v4 && !r.forward_v6);
    CHECK_INT(rig_up(&r, 1, ns, "10.77.1.1"), ERR_SCOPE); /* the host around it */
    (void)rig_down(&r, 1);
    CHECK_INT(rig_up(&r, 1, ns, "10.77.1.2"), 0);
    lab_box_open(&b, &r, ns);
    (void)lab_arrived(&lab_get()->in);
    (void)lab_arrived(&lab_get()->out);
    lab_send(&b, &(struct packet){.to = "10.77.2.2"});
    lab_send(&b, &(struct packet){.to = "10.77.1.2", .from = "10.77.1.77"});
    CHECK_INT(lab_arrived(&lab_get()->out), 0);
    CHECK_INT(lab_arrived(&lab_get()->in), 0);
    lab_send(&b, &(struct packet){.to = "10.77.1.2"});
    rig_turn(&r, 100);
    CHECK_INT(lab_arrived(&lab_get()->in), 1);
    n = rig_down(&r, 1);
    CHECK_INT(n.passed, 1);
    CHECK_INT(n.out_of_scope, 1);
    CHECK_INT(n.spoofed, 1);
    lab_box_done(&b);
    rig_stop(&r);
    close(pidfd);
    CHECK_INT(kill(pid, SIGKILL), 0);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    CHECK_INT(lab_count_ours(), 0);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static void making_a_way_is_quick(void)
{
    enum { N = 40 };
    struct netd_config c = rig_config();
    int64_t us[N], down_us[N];
    struct rig r;

    (void)lab_get();
    rig_start(&r, &c);
    for (uint64_t i = 0; i < N; i++) {
        int ns = lab_namespace();
        int64_t began = boot_us();

        CHECK_INT(rig_up(&r, i, ns, "10.77.1.2-10.77.1.99"), 0);
        us[i] = boot_us() - began;
        close(ns);
        began = boot_us();
        (void)rig_down(&r, i);
        down_us[i] = boot_us() - began;
        rig_turn(&r, 5);
    }
    qsort(us, N, sizeof us[0], by_value);
    qsort(down_us, N, sizeof down_us[0], by_value);
    printf("# a way up: median %.2f ms, p90 %.2f ms; down: median %.2f ms, p90 %.2f ms\n",
           (double)us[N / 2] / 1000, (double)us[N * 9 / 10] / 1000, (double)down_us[N / 2] / 1000,
           (double)down_us[N * 9 / 10] / 1000);
    rig_stop(&r);
}

TESTS(it_says_what_it_can_do_and_leaves_nothing, what_is_in_scope_passes_and_nothing_else,
      ipv6_has_the_same_rules, fragments_are_judged_as_whole_packets,
      the_gateway_may_be_asked_for_and_nobody_else, the_rate_has_a_limit,
      a_raw_tool_may_speak_tcp_without_its_kernel, something_moves_on_the_link_of_a_raw_tool,
      every_box_sees_the_same_gateway, dns_goes_to_the_one_resolver_only,
      only_a_resolver_that_a_policy_names_may_be_asked, large_sets_are_loaded_whole,
      counters_of_a_table_that_is_gone_are_not_zero,
      others_cannot_open_a_box_by_removing_its_filter, a_divided_set_is_the_same_set,
      small_sets_are_not_divided, sets_of_many_sizes_are_filtered_exactly,
      targets_outside_the_scope_file_are_refused, some_targets_no_file_can_allow,
      a_broken_scope_file_at_the_start_makes_it_useless, everything_is_removed_when_the_peer_goes,
      what_a_killed_one_left_is_removed_by_the_next, a_killed_one_does_not_open_the_way,
      two_runs_do_not_meet, two_of_them_share_a_machine, a_way_is_removed_after_its_run,
      behind_nat_the_far_end_sees_the_host, a_scan_address_is_announced_and_not_translated,
      it_holds_one_capability_and_is_nobody, broken_messages_end_the_session,
      a_descriptor_that_is_no_namespace_is_an_error_of_the_run, as_a_service_it_asks_who_it_is,
      without_privilege_there_is_a_way_too, making_a_way_is_quick)
