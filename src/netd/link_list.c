/* What there is: interfaces, addresses, and where packets would go. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "base/mem.h"
#include "netd/link.h"

enum { TRIES = 8 };

static int ask(struct link *l, struct nlmsghdr *h, mnl_cb_t fn, void *arg)
{
    char in[32768] __attribute__((aligned(8)));
    unsigned port = mnl_socket_get_portid(l->sock);
    int more = 1;

    h->nlmsg_seq = l->seq++;
    if (mnl_socket_sendto(l->sock, h, h->nlmsg_len) < 0) {
        return -1;
    }
    while (more > 0) {
        ssize_t got = mnl_socket_recvfrom(l->sock, in, sizeof in);

        if (got < 0) {
            return -1;
        }
        more = mnl_cb_run(in, (size_t)got, h->nlmsg_seq, port, fn, arg);
    }
    return more;
}

/* A dump into which something changed is made again: callers' sinks may hear a thing twice. */
static int dump(struct link *l, uint16_t type, size_t head, mnl_cb_t fn, void *arg)
{
    char at[256] __attribute__((aligned(8)));
    int rc = -1;

    for (int i = 0; i < TRIES && rc < 0; i++) {
        struct nlmsghdr *h = mnl_nlmsg_put_header(at);

        h->nlmsg_type = type;
        h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
        mnl_nlmsg_put_extra_header(h, head);
        rc = ask(l, h, fn, arg);
        if (rc < 0 && errno != EINTR) {
            break;
        }
    }
    return rc;
}

static int on_index(const struct nlmsghdr *h, void *arg)
{
    const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);

    *(int *)arg = i->ifi_index;
    return MNL_CB_OK;
}

int link_index(struct link *l, const char *name, int *index, struct err *e)
{
    char at[256] __attribute__((aligned(8)));
    struct nlmsghdr *h = mnl_nlmsg_put_header(at);
    int found = 0;

    h->nlmsg_type = RTM_GETLINK;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    if (ask(l, h, on_index, &found) < 0 || found <= 0) {
        return err_errno(e, "rtnetlink: find interface %s", name);
    }
    *index = found;
    return 0;
}

struct find_name {
    int index;
    char *out;
};

static void on_name(void *arg, int index, const char *name)
{
    const struct find_name *f = arg;

    if (index == f->index && strlen(name) < IF_NAMESIZE) {
        memcpy(f->out, name, strlen(name) + 1);
    }
}

int link_name(struct link *l, int index, char out[16], struct err *e)
{
    struct find_name f = {index, out};
    int rc;

    out[0] = '\0';
    rc = link_list(l, on_name, &f, e);
    return rc == 0 && !out[0] ? err_set(e, ERR_NOT_FOUND, "there is no interface %d", index) : rc;
}

struct name_sink {
    void (*fn)(void *arg, int index, const char *name);
    void *arg;
};

static int name_attr(const struct nlattr *a, void *arg)
{
    if (mnl_attr_get_type(a) == IFLA_IFNAME) {
        *(const char **)arg = mnl_attr_get_str(a);
    }
    return MNL_CB_OK;
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
    const struct name_sink *sink = arg;
    const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
    const char *name = NULL;

    mnl_attr_parse(h, sizeof *i, name_attr, &name);
    if (name) {
        sink->fn(sink->arg, i->ifi_index, name);
    }
    return MNL_CB_OK;
}

int link_list(struct link *l, void (*fn)(void *arg, int index, const char *name), void *arg,
              struct err *e)
{
    struct name_sink sink = {fn, arg};

    if (dump(l, RTM_GETLINK, sizeof(struct ifinfomsg), on_link, &sink) < 0) {
        return err_errno(e, "rtnetlink: list the interfaces");
    }
    return 0;
}

static bool from_wire(const struct nlattr *a, uint8_t family, struct net_ip *out)
{
    const uint8_t *p = mnl_attr_get_payload(a);
    uint64_t hi, lo;
    uint32_t v4;

    if (family == AF_INET && mnl_attr_get_payload_len(a) == sizeof v4) {
        memcpy(&v4, p, sizeof v4);
        *out = (struct net_ip){.lo = ntohl(v4)};
        return true;
    }
    if (family == AF_INET6 && mnl_attr_get_payload_len(a) == 2 * sizeof hi) {
        memcpy(&hi, p, sizeof hi);
        memcpy(&lo, p + sizeof hi, sizeof lo);
        *out = (struct net_ip){.v6 = true, .hi = be64toh(hi), .lo = be64toh(lo)};
        return true;
    }
    return false;
}

struct address_row {
    uint8_t family;
    struct netset *out;
};

static int address_attr(const struct nlattr *a, void *arg)
{
    const struct address_row *row = arg;
    uint16_t type = mnl_attr_get_type(a);
    struct net_range r;

    if ((type == IFA_LOCAL || type == IFA_ADDRESS) && from_wire(a, row->family, &r.first)) {
        r.last = r.first;
        netset_add(row->out, &r);
    }
    return MNL_CB_OK;
}

static int on_address(const struct nlmsghdr *h, void *arg)
{
    const struct ifaddrmsg *i = mnl_nlmsg_get_payload(h);
    struct address_row row = {i->ifa_family, arg};

    return mnl_attr_parse(h, sizeof *i, address_attr, &row);
}

int link_addresses(struct link *l, struct netset *out, struct err *e)
{
    if (dump(l, RTM_GETADDR, sizeof(struct ifaddrmsg), on_address, out) < 0) {
        return err_errno(e, "rtnetlink: list the addresses");
    }
    return 0;
}

struct way_row {
    int index;
    bool gateway;
};

static int way_attr(const struct nlattr *a, void *arg)
{
    struct way_row *row = arg;

    if (mnl_attr_get_type(a) == RTA_OIF) {
        row->index = (int)mnl_attr_get_u32(a);
    } else if (mnl_attr_get_type(a) == RTA_GATEWAY || mnl_attr_get_type(a) == RTA_VIA) {
        row->gateway = true;
    }
    return MNL_CB_OK;
}

static int on_way(const struct nlmsghdr *h, void *arg)
{
    return mnl_attr_parse(h, sizeof(struct rtmsg), way_attr, arg);
}

int link_way(struct link *l, const struct net_ip *ip, int *index, bool *on_link_itself,
             struct err *e)
{
    char at[256] __attribute__((aligned(8)));
    struct nlmsghdr *h = mnl_nlmsg_put_header(at);
    struct rtmsg *r;
    struct way_row row = {0};
    struct sockaddr_storage sa;
    char text[NET_TEXT];

    h->nlmsg_type = RTM_GETROUTE;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    r = mnl_nlmsg_put_extra_header(h, sizeof *r);
    r->rtm_family = ip->v6 ? AF_INET6 : AF_INET;
    r->rtm_dst_len = ip->v6 ? 128 : 32;
    net_ip_to(ip, 0, &sa);
    if (ip->v6) {
        mnl_attr_put(h, RTA_DST, 16, &((struct sockaddr_in6 *)(void *)&sa)->sin6_addr);
    } else {
        mnl_attr_put(h, RTA_DST, 4, &((struct sockaddr_in *)(void *)&sa)->sin_addr);
    }
    if (ask(l, h, on_way, &row) < 0 || row.index <= 0) {
        net_ip_text(ip, text);
        return err_errno(e, "rtnetlink: find the way to %s", text);
    }
    *index = row.index;
    *on_link_itself = !row.gateway;
    return 0;
}
