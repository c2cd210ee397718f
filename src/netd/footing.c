#include "netd/footing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "netd/nat.h"

/* As a run does it, with both ends here. */
static int try_it(struct footing *f, struct err *e)
{
    struct ways *ws = &f->ways;
    struct veth v = {.name = NETD_PREFIX "try", .peer = NETD_PREFIX "yrt", .peer_ns = -1};
    struct net_range r = {.first = {.lo = 1}, .last = {.lo = 2}};
    auto_netset targets = {0};
    struct filter try = {.name = v.name, .targets = &targets, .has_v4 = true, .rate_pps = 1};
    char name[2][NAME_LEN];
    int rc, index;

    snprintf(name[0], NAME_LEN, NETD_PREFIX "%02x_try", ws->instance & 0xff);
    snprintf(name[1], NAME_LEN, NETD_PREFIX "%02x_yrt", ws->instance & 0xff);
    try.name = v.name = name[0];
    v.peer = name[1];
    memset(v.mac, 0x02, MAC_LEN);
    memset(v.peer_mac, 0x06, MAC_LEN);
    netset_add(&targets, &r);
    rc = link_veth(&ws->link, &v, &index, e);
    if (rc == 0) {
        rc = filter_load(&ws->nft, &try, e);
        if (rc == 0) {
            rc = filter_remove(&ws->nft, try.name, e);
        }
        (void)link_del(&ws->link, index, NULL);
    }
    return rc;
}

/* A firewall of the machine that knows nothing of boxes stops them; nobody would find out why. */
static void tell_drop(void *arg, const char *table, const char *chain)
{
    (void)arg;
    if (!str_eq(table, GUARD_TABLE)) {
        fprintf(stderr,
                "netd: chain %s of table %s drops what it does not know: accept interfaces "
                "named " NETD_PREFIX "* there, or boxes reach nothing\n",
                chain, table);
    }
}

static int start_forwarding(struct footing *f, struct err *e)
{
    struct nft *n = &f->ways.nft;
    int rc = 0;

    if (!forwarding(false) && (f->config->forward || f->config->rootless)) {
        /* With the guard there, somebody turned off what a netd had turned on. */
        rc = forward_turn_on(n, table_exists(n, GUARD_TABLE), e);
    }
    f->forward_v4 = forwarding(false);
    f->forward_v6 = forwarding(true);
    if (!f->forward_v4 && !f->forward_v6) {
        return rc != 0 ? rc
                       : err_set(e, ERR_SANDBOX,
                                 "IP forwarding is off: sysctl net.ipv4.ip_forward=1, or let netd "
                                 "turn it on");
    }
    return 0;
}

static int start_nat(struct footing *f, struct err *e)
{
    struct ways *ws = &f->ways;
    int rc = 0;

    snprintf(f->nat_table, sizeof f->nat_table, NETD_PREFIX "%02x_nat", ws->instance & 0xff);
    if (f->forward_v4) {
        rc = nat_load(&ws->nft, f->nat_table, &ws->v4, false, e);
    }
    if (rc == 0 && f->forward_v6) {
        rc = nat_load(&ws->nft, f->nat_table, &ws->v6, true, e);
    }
    return rc;
}

static void write_setting(const char *path, const char *value)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t n = strlen(value);

    if (fd < 0 || write(fd, value, n) != (ssize_t)n) {
        fprintf(stderr, "netd: cannot write %s to %s: %s\n", value, path, strerror(errno));
    }
}

/* Takes `path`. What cannot be read is not touched. */
static void turn(struct footing *f, char *path, const char *value)
{
    struct setting s = {.path = path};
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, s.was, sizeof s.was - 1);

    if (n > 0) {
        s.was[strcspn(s.was, "\n")] = '\0';
    }
    if (n <= 0 || str_eq(s.was, value)) {
        free(path);
        return;
    }
    write_setting(path, value);
    f->settings = xrealloc(f->settings, (f->n_settings + 1) * sizeof *f->settings);
    f->settings[f->n_settings++] = s;
}

/* Not while another netd, which found them turned, may rely on it. */
static void turn_back(struct footing *f, bool alone)
{
    while (f->n_settings > 0) {
        struct setting *s = &f->settings[--f->n_settings];

        if (alone) {
            write_setting(s->path, s->was);
        }
        free(s->path);
    }
    free(f->settings);
}

/* It answers for our addresses at once: by default the kernel waits up to 0.8 s, and with it the
 * first answer to every scan. */
static void prepare_uplink(struct footing *f, int index, bool v6)
{
    char name[NAME_LEN];

    if (link_name(&f->ways.link, index, name, NULL) != 0) {
        return;
    }
    turn(f, str_fmt("/proc/sys/net/%s/neigh/%s/proxy_delay", v6 ? "ipv6" : "ipv4", name), "0");
    if (v6) {
        turn(f, str_fmt("/proc/sys/net/ipv6/conf/%s/proxy_ndp", name), "1");
    }
}

/* The uplink of an address is where its neighbours are; if the way to it leads through a gateway,
 * or nowhere, somebody routes it to us. */
static void find_uplink(struct footing *f, struct scan_address *a)
{
    struct link *l = &f->ways.link;
    bool on_link = false;
    int index = 0;

    if (f->config->proxy_neighbours && link_way(l, &a->ip, &index, &on_link, NULL) == 0 &&
        on_link) {
        a->uplink = index;
        prepare_uplink(f, index, a->ip.v6);
    }
}

static int read_addresses(struct footing *f, struct err *e)
{
    struct ways *ws = &f->ways;
    const char *at = f->config->addresses;

    while (at && *at) {
        size_t n = strcspn(at, ",");
        auto_free char *one = xstrndup(at, n);
        struct scan_address a = {0};

        one[strcspn(one, " \t")] = '\0';
        if (!net_ip_parse(one + strspn(one, " "), &a.ip)) {
            return err_set(e, ERR_INVALID, "'%s' is not a scan address", one);
        }
        find_uplink(f, &a);
        ws->addresses = xrealloc(ws->addresses, (ws->n_addresses + 1) * sizeof *ws->addresses);
        ws->addresses[ws->n_addresses++] = a;
        at += n + (at[n] == ',');
        at += strspn(at, " ");
    }
    return 0;
}

static int prepare(struct footing *f, struct err *e)
{
    const struct netd_config *c = f->config;
    struct ways *ws = &f->ways;
    int rc = gate_open(&f->gate, c, e);

    if (rc == 0) {
        rc = link_open(&ws->link, e);
    }
    if (rc == 0) {
        rc = nft_open(&ws->nft, e);
    }
    if (rc == 0) {
        rc = instance_take(&ws->nft, &ws->instance, e);
    }
    if (rc == 0) {
        rc = pool_init(&ws->v4, c->pool_v4, false, ws->instance, INSTANCES, e);
    }
    if (rc == 0) {
        rc = pool_init(&ws->v6, c->pool_v6, true, ws->instance, INSTANCES, e);
    }
    if (rc == 0) {
        netset_add(&f->gate.never, &ws->v4.all);
        netset_add(&f->gate.never, &ws->v6.all);
        rc = instance_sweep(&ws->nft, &ws->link, ws->instance, e);
    }
    if (rc == 0) {
        rc = read_addresses(f, e);
    }
    if (rc == 0) {
        rc = try_it(f, e);
    }
    if (rc == 0) {
        rc = start_forwarding(f, e);
    }
    if (rc == 0) {
        (void)nft_forward_drops(&ws->nft, tell_drop, NULL, NULL);
        rc = start_nat(f, e);
    }
    return rc;
}

void footing_make(struct footing *f, const struct netd_config *c, const char *broken)
{
    struct err why = {0};

    *f = (struct footing){.config = c};
    beat_open(&f->ways.beat);
    if (broken) {
        snprintf(f->why, sizeof f->why, "%s", broken);
    } else if (prepare(f, &why) != 0) {
        snprintf(f->why, sizeof f->why, "%s", why.msg[0] ? why.msg : "it does not work here");
    }
}

void footing_done(struct footing *f)
{
    struct ways *ws = &f->ways;
    bool alone = false;

    if (ws->nft.sock) {
        ways_remove_all(ws);
        alone = instance_alone(&ws->nft, ws->instance);
        if (f->nat_table[0]) {
            nat_remove(&ws->nft, f->nat_table);
        }
        if (table_exists(&ws->nft, GUARD_TABLE) && alone) {
            forward_turn_off(&ws->nft);
        }
    }
    turn_back(f, alone);
    pool_done(&ws->v4);
    pool_done(&ws->v6);
    free(ws->addresses);
    beat_close(&ws->beat);
    gate_close(&f->gate);
    nft_close(&ws->nft);
    link_close(&ws->link);
}
