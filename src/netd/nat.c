#include "netd/nat.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "netd/bytes.h"
#include "netd/instance.h"

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 2
#endif
#ifndef NFT_TABLE_F_PERSIST
#define NFT_TABLE_F_PERSIST 4
#endif

enum { AFTER_ROUTING = 100 /* NF_IP_PRI_NAT_SRC, whose header fights with libc */ };

/* Between conntrack and its confirmation; as long as a late answer may take. */
enum { AFTER_CONNTRACK = -100, UNANSWERED_S = 10 };

/* A loaded state of conntrack, as bits. */
enum { CT_INVALID = 1, CT_ESTABLISHED = 2, CT_RELATED = 4 };

static const char FORWARD_V4[] = "/proc/sys/net/ipv4/ip_forward";
static const char FORWARD_V6[] = "/proc/sys/net/ipv6/conf/all/forwarding";

static void from_box(struct nft *n)
{
    nft_load_meta(n, NFT_META_IIFNAME);
    nft_is(n, NETD_PREFIX, strlen(NETD_PREFIX));
}

static void to_box(struct nft *n)
{
    nft_load_meta(n, NFT_META_OIFNAME);
    nft_is(n, NETD_PREFIX, strlen(NETD_PREFIX));
}

static void of_pool(struct nft *n, const struct pool *p, bool source)
{
    bool v6 = p->all.first.v6;
    uint32_t offset = v6 ? (source ? 8 : 24) : (source ? 12 : 16);
    uint8_t mask[16] = {0}, base[16];
    uint16_t len = net_bytes(&p->all.first, base);

    for (unsigned i = 0; i < p->len; i++) {
        mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
    }
    nft_load(n, NFT_PAYLOAD_NETWORK_HEADER, offset, len);
    nft_mask(n, mask, len);
    nft_is(n, base, len);
}

static void state_is(struct nft *n, uint32_t states, bool any)
{
    static const uint32_t none;

    nft_load_ct_state(n);
    nft_mask(n, &states, sizeof states);
    if (any) {
        nft_is_not(n, &none, sizeof none);
    } else {
        nft_is(n, &none, sizeof none);
    }
}

static void end(struct nft *n, uint32_t verdict)
{
    nft_verdict(n, verdict);
    nft_rule_end(n);
}

static void guard_boxes(struct nft *n, const struct pool *pool)
{
    const struct nft_hook forward = {.type = "filter", .hook = NF_INET_FORWARD};

    nft_chain(n, "forward", &forward);
    nft_rule(n, "forward");
    from_box(n);
    to_box(n);
    end(n, NF_DROP);
    nft_rule(n, "forward");
    from_box(n);
    of_pool(n, pool, true);
    state_is(n, CT_INVALID, true);
    nft_count(n, "invalid");
    end(n, NF_DROP);
    nft_rule(n, "forward");
    to_box(n);
    of_pool(n, pool, false);
    state_is(n, CT_ESTABLISHED | CT_RELATED, false);
    end(n, NF_DROP);
}

/* A scan leaves an entry for each probe: without this they fill conntrack's table for minutes. Not
 * every kernel can; then the table is only larger. */
static void forget_soon(struct nft *n, const char *table, const struct pool *pool, bool v6)
{
    static const struct {
        const char *name;
        uint8_t proto;
    } rows[] = {{"syn", IPPROTO_TCP}, {"udp", IPPROTO_UDP}};
    const struct nft_hook enter = {
        .type = "filter", .hook = NF_INET_PRE_ROUTING, .priority = AFTER_CONNTRACK};

    nft_begin(n, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4, table);
    nft_chain(n, "enter", &enter);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        nft_timeout(n, rows[i].name, v6, rows[i].proto, UNANSWERED_S);
        nft_rule(n, "enter");
        from_box(n);
        of_pool(n, pool, true);
        nft_load_meta(n, NFT_META_L4PROTO);
        nft_is(n, &rows[i].proto, 1);
        nft_use_timeout(n, rows[i].name);
        nft_rule_end(n);
    }
    (void)nft_commit(n, NULL);
}

int nat_load(struct nft *n, const char *table, const struct pool *pool, bool v6, struct err *e)
{
    const struct nft_hook leave = {
        .type = "nat", .hook = NF_INET_POST_ROUTING, .priority = AFTER_ROUTING};
    uint32_t flags = nft_lasting(n);
    int rc;

    nft_begin(n, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4, table);
    nft_mark(n, "the table");
    nft_table(n, flags);
    nft_counter(n, "invalid");
    nft_mark(n, "the guards");
    guard_boxes(n, pool);
    nft_mark(n, "the translation");
    nft_chain(n, "leave", &leave);
    nft_rule(n, "leave");
    of_pool(n, pool, true);
    nft_load_meta(n, NFT_META_OIFNAME);
    nft_is_not(n, NETD_PREFIX, strlen(NETD_PREFIX));
    nft_masquerade(n);
    nft_rule_end(n);
    rc = nft_commit(n, e);
    if (rc == 0) {
        forget_soon(n, table, pool, v6);
    }
    return rc;
}

void nat_remove(struct nft *n, const char *table)
{
    static const uint8_t families[] = {NFPROTO_IPV4, NFPROTO_IPV6};

    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        nft_begin(n, families[i], table);
        nft_table_del(n);
        (void)nft_commit(n, NULL);
    }
}

/* ---- forwarding ---- */

static bool read_switch(const char *path)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char c = '0';

    return fd >= 0 && read(fd, &c, 1) == 1 && c != '0';
}

static int write_switch(const char *path, const char *value, struct err *e)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, value, 1) != 1) {
        return err_errno(e, "write %s to %s", value, path);
    }
    return 0;
}

bool forwarding(bool v6)
{
    return read_switch(v6 ? FORWARD_V6 : FORWARD_V4);
}

static void remove_guard(struct nft *n)
{
    nft_begin(n, NFPROTO_IPV4, GUARD_TABLE);
    nft_table_del(n);
    (void)nft_commit(n, NULL);
}

static int make_guard(struct nft *n, struct err *e)
{
    const struct nft_hook hook = {.type = "filter", .hook = NF_INET_FORWARD, .drop = true};
    uint32_t flags = nft_lasting(n);

    nft_begin(n, NFPROTO_IPV4, GUARD_TABLE);
    nft_mark(n, "the table");
    nft_table(n, flags);
    nft_chain(n, "forward", &hook);
    nft_rule(n, "forward");
    from_box(n);
    end(n, NF_ACCEPT);
    nft_rule(n, "forward");
    to_box(n);
    end(n, NF_ACCEPT);
    return nft_commit(n, e);
}

int forward_turn_on(struct nft *n, bool has_guard, struct err *e)
{
    int rc = has_guard ? 0 : make_guard(n, e);

    if (rc == 0) {
        rc = write_switch(FORWARD_V4, "1", e);
        if (rc != 0 && !has_guard) {
            remove_guard(n);
        }
    }
    return rc;
}

void forward_turn_off(struct nft *n)
{
    if (write_switch(FORWARD_V4, "0", NULL) == 0) { /* else the guard stays as long as it is on */
        remove_guard(n);
    }
}

/* ---- tables that last ---- */

static bool known(struct nft *n, uint32_t flags)
{
    bool ok;

    nft_begin(n, NFPROTO_NETDEV, NETD_PREFIX "try");
    nft_table(n, flags);
    nft_table_del(n);
    ok = nft_commit(n, NULL) == 0;
    return ok;
}

uint32_t nft_lasting(struct nft *n)
{
    static const uint32_t flags = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST;

    if (!n->lasting_known) {
        n->lasting_known = true;
        n->lasting = known(n, flags) ? flags : 0;
    }
    return n->lasting;
}
