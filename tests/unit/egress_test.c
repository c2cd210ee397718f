/* The ladder of network confinement: which level a run gets, or why none. */
#include "policy/policy.h"
#include "tap.h"

/* A machine with everything. */
static struct sandbox_caps machine(void)
{
    struct sandbox_caps c = {
        .box = "userns", .limits = "rlimit", .forward_v4 = true, .forward_v6 = true};

    for (unsigned i = 0; i < EGRESS_LEVELS; i++) {
        c.usable[i] = true;
    }
    return c;
}

static void without(struct sandbox_caps *c, enum egress l, const char *why)
{
    c->usable[l] = false;
    snprintf(c->why[l], sizeof c->why[l], "%s", why);
}

/* "nft", "nft raw" or the message. Borrowed until the next call. */
static const char *choose(const struct sandbox_caps *c, bool unconfined,
                          const struct egress_need *need)
{
    static char out[600];
    enum egress l = EGRESS_LEVELS;
    bool raw = false;
    struct err e = {0};
    int rc = egress_choose(c, unconfined, need, &l, &raw, &e);

    if (rc < 0) {
        CHECK_INT(rc, ERR_SCOPE);
        CHECK_INT(l, EGRESS_LEVELS);
        snprintf(out, sizeof out, "%s", e.msg);
    } else {
        snprintf(out, sizeof out, "%s%s", egress_name(l), raw ? " raw" : "");
    }
    return out;
}

static void has(const char *got, const char *part)
{
    if (!strstr(got, part)) {
        tap_fail(__FILE__, __LINE__, "'%s' does not have '%s'", got, part);
    }
}

static const struct egress_need connects = {.network = true, .v4 = true, .elsewhere = true};
static const struct egress_need syn = {
    .network = true, .v4 = true, .elsewhere = true, .wants_raw = true, .option = "-sS"};
static const struct egress_need udp = {
    .network = true, .v4 = true, .elsewhere = true, .raw = true, .option = "-sU"};
static const struct egress_need fin = {.network = true,
                                       .v4 = true,
                                       .elsewhere = true,
                                       .raw = true,
                                       .nat_lies = true,
                                       .slirp_lies = true,
                                       .option = "-sF"};
static const struct egress_need os = {.network = true,
                                      .v4 = true,
                                      .elsewhere = true,
                                      .raw = true,
                                      .slirp_lies = true,
                                      .option = "-O"};
static const struct egress_need local = {
    .network = true, .v4 = true, .own = true, .wants_raw = true, .option = "-sS"};

static void the_best_usable_level_is_taken(void)
{
    struct sandbox_caps c = machine();

    CHECK_STR(choose(&c, false, &connects), "nft");
    CHECK_STR(choose(&c, false, &syn), "nft raw");
    CHECK_STR(choose(&c, false, &udp), "nft raw");
    without(&c, EGRESS_NFT, "netd does not run");
    CHECK_STR(choose(&c, false, &connects), "rootless");
    CHECK_STR(choose(&c, false, &syn), "rootless raw");
    without(&c, EGRESS_ROOTLESS, "no slirp4netns");
    CHECK_STR(choose(&c, false, &connects), "broker");
    CHECK_STR(choose(&c, false, &syn), "broker"); /* falls back to connect */
    without(&c, EGRESS_BROKER, "no seccomp");
    has(choose(&c, false, &connects),
        "no level of confinement fits the tool: nft: netd does not run; "
        "rootless: no slirp4netns; broker: no seccomp; see 'scanpod "
        "doctor'");
    CHECK_STR(choose(&c, true, &connects), "unconfined");
    without(&c, EGRESS_UNCONFINED, "");
    has(choose(&c, true, &connects), "no level of confinement");
}

static void unconfined_is_never_taken_unasked_or_before_another(void)
{
    struct sandbox_caps c = machine();

    CHECK_STR(choose(&c, true, &connects), "nft");
    CHECK_STR(choose(&c, true, &local), "broker");
    without(&c, EGRESS_BROKER, "");
    has(choose(&c, false, &local), "need the level broker, which is not usable: not usable on this "
                                   "machine");
    CHECK_STR(choose(&c, true, &local), "unconfined");
}

static void own_addresses_are_reached_by_the_broker_only(void)
{
    struct sandbox_caps c = machine();
    struct egress_need need = local;

    CHECK_STR(choose(&c, false, &need), "broker");
    need.elsewhere = true;
    CHECK_STR(choose(&c, false, &need), "broker");
    need.raw = true;
    need.option = "-sU";
    CHECK_STR(
        choose(&c, true, &need),
        "-sU needs raw sockets, which loopback targets and the machine's own addresses (level "
        "broker) do not get; only TCP ports can be scanned there, with nmap -sT, or scan them and "
        "the other targets apart");
    need.option = "-O";
    has(choose(&c, true, &need), "do not get; leave it out and use nmap -sT, or scan them");
    need.option = "zmap";
    has(choose(&c, true, &need), "do not get; use nmap -sT, or scan them");
    need.option = "icmp_echoscan";
    has(choose(&c, true, &need), "do not get; use nmap -sn, or scan them");
    need.option = "-sU";
    need.elsewhere = false;
    has(choose(&c, false, &need), "or scan from another machine");
    need.option = NULL;
    has(choose(&c, false, &need), "the tool needs raw sockets");
}

static void scan_types_that_nat_falsifies_need_an_address(void)
{
    struct sandbox_caps c = machine();
    struct egress_need both = fin;

    CHECK_STR(choose(&c, true, &fin), "-sF needs an address of its own: NAT would falsify it; set "
                                      "scan-addresses to an IPv4 address");
    c.dedicated_v4 = 1;
    CHECK_STR(choose(&c, false, &fin), "nft raw");
    both.v6 = true;
    has(choose(&c, false, &both), "to an IPv6 address");
    c.dedicated_v6 = 1;
    CHECK_STR(choose(&c, false, &both), "nft raw");
    without(&c, EGRESS_NFT, "netd does not run");
    has(choose(&c, false, &fin),
        "nft: netd does not run; rootless: a user-mode network stack would "
        "falsify -sF; broker: -sF needs raw sockets");
}

static void scan_types_that_a_user_mode_stack_falsifies_are_refused_there(void)
{
    struct sandbox_caps c = machine();

    CHECK_STR(choose(&c, false, &os), "nft raw");
    without(&c, EGRESS_NFT, "netd does not run");
    has(choose(&c, true, &os), "a user-mode network stack would falsify -O");
    CHECK_STR(choose(&c, true, &udp), "rootless raw");
    without(&c, EGRESS_ROOTLESS, "no slirp4netns");
    has(choose(&c, true, &udp), "broker: -sU needs raw sockets");
}

static void families_that_are_not_forwarded_go_another_way(void)
{
    struct sandbox_caps c = machine();
    struct egress_need six = connects;

    six.v4 = false;
    six.v6 = true;
    CHECK_STR(choose(&c, false, &six), "nft");
    c.forward_v6 = false;
    CHECK_STR(choose(&c, false, &connects), "nft");
    CHECK_STR(choose(&c, false, &six), "broker"); /* rootless has IPv4 only */
    six.raw = true;
    six.option = "-sU";
    has(choose(&c, false, &six), "set net.ipv6.conf.all.forwarding=1");
    c.forward_v4 = false;
    CHECK_STR(choose(&c, false, &connects), "rootless");
    without(&c, EGRESS_ROOTLESS, "no slirp4netns");
    has(choose(&c, false, &udp), "set net.ipv4.ip_forward=1");
}

static void no_network_is_the_empty_namespace(void)
{
    struct sandbox_caps c = machine();
    const struct egress_need nothing = {0};

    CHECK_STR(choose(&c, true, &nothing), "none");
    without(&c, EGRESS_NONE, "no user namespaces");
    CHECK_STR(choose(&c, true, &nothing), "broker");
    without(&c, EGRESS_BROKER, "no seccomp");
    has(choose(&c, false, &nothing),
        "needs the level none, which is not usable: no user namespaces");
    CHECK_STR(choose(&c, true, &nothing), "unconfined");
}

static void messages_are_never_cut_before_the_fix(void)
{
    struct sandbox_caps c = machine();
    char longest[160];

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    without(&c, EGRESS_NFT, longest);
    without(&c, EGRESS_ROOTLESS, longest);
    without(&c, EGRESS_BROKER, longest);
    has(choose(&c, false, &connects), "see 'scanpod doctor'");
}

TESTS(the_best_usable_level_is_taken, unconfined_is_never_taken_unasked_or_before_another,
      own_addresses_are_reached_by_the_broker_only, scan_types_that_nat_falsifies_need_an_address,
      scan_types_that_a_user_mode_stack_falsifies_are_refused_there,
      families_that_are_not_forwarded_go_another_way, no_network_is_the_empty_namespace,
      messages_are_never_cut_before_the_fix)
