/*
 * From a list to a program.
 *
 *     architecture, x32
 *     a tree of comparisons over ranges of numbers with the same rule; its leaves are the answers,
 *     or jumps to
 *     one block for each rule that looks at arguments
 *
 * Arguments are 64 bits, the kernel takes the lower half where the parameter is an int: so does a
 * block. Both machines are little-endian: the lower half comes first.
 */
#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "box/seccomp_table.h"

#define ALLOW     SECCOMP_RET_ALLOW
#define KILL      SECCOMP_RET_KILL_PROCESS
#define NOTIFY    SECCOMP_RET_USER_NOTIF
#define FAIL(err) (SECCOMP_RET_ERRNO | (err))

enum { X32_BIT = 0x40000000, SOCK_TYPE = 0xf, SOL_NETLINK_ = 270 };

/* Not in every libc's header. */
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

struct range {
    uint32_t from;
    uint8_t rule;
};

struct program {
    struct sock_filter *at;
    unsigned n;
    const struct seccomp_source *from;
    struct range ranges[SECCOMP_NUMBERS];
    unsigned n_ranges;
    /* Jumps of the tree to the block of a rule, to be filled in. */
    struct {
        unsigned at;
        uint8_t rule;
    } leaves[SECCOMP_NUMBERS];
    unsigned n_leaves;
};

static void emit(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
    assert(p->n < SECCOMP_MAX);
    p->at[p->n++] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
}

static void load(struct program *p, size_t offset)
{
    emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void load_argument(struct program *p, unsigned i)
{
    load(p, offsetof(struct seccomp_data, args) + sizeof(uint64_t) * i);
}

static void ret(struct program *p, uint32_t action)
{
    emit(p, BPF_RET | BPF_K, action, 0, 0);
}

/* Jumps over the next `n` instructions unless the accumulator is v. */
static void unless(struct program *p, uint32_t v, uint8_t n)
{
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, v, 0, n);
}

static void ret_if(struct program *p, uint32_t v, uint32_t action)
{
    unless(p, v, 1);
    ret(p, action);
}

static void ret_if_bits(struct program *p, uint32_t bits, uint32_t action)
{
    emit(p, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
    ret(p, action);
}

static void ret_one_of(struct program *p, const uint8_t *v, size_t n, uint32_t hit, uint32_t miss)
{
    for (size_t i = 0; i < n; i++) {
        ret_if(p, v[i], hit);
    }
    ret(p, miss);
}

/* ---- rules that look at arguments ---- */

static void rule_clone(struct program *p)
{
    const uint32_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

    load_argument(p, 0);
    ret_if_bits(p, namespaces, FAIL(EPERM));
    ret(p, ALLOW);
}

static void rule_ioctl(struct program *p)
{
    load_argument(p, 1);
    ret_if(p, TIOCSTI, FAIL(EPERM));
    ret_if(p, TIOCLINUX, FAIL(EPERM));
    ret(p, ALLOW);
}

/* Sockets that cannot but connect to one address, which a broker sees: no SCTP, no tunnels. */
static void plain_inet(struct program *p)
{
    static const uint8_t protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6};

    load_argument(p, 1);
    emit(p, BPF_ALU | BPF_AND | BPF_K, SOCK_TYPE, 0, 0);
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 2, 0);
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, SOCK_DGRAM, 1, 0);
    ret(p, FAIL(EPERM));
    load_argument(p, 2);
    ret_one_of(p, protocols, sizeof protocols, ALLOW, FAIL(EPROTONOSUPPORT));
}

static void rule_socket(struct program *p)
{
    const uint32_t no = FAIL(EAFNOSUPPORT);
    unsigned list = p->from->list;

    load_argument(p, 0);
    if (list != LIST_BROKER) {
        ret_if(p, AF_UNIX, ALLOW);
    }
    if (list == LIST_NETD) {
        ret_if(p, AF_NETLINK, ALLOW);
    } else if (list & (LIST_NETWORK | LIST_BROKER | LIST_RUNNER | LIST_RESOLVER | LIST_PROXY |
                       LIST_DEPOT | LIST_EDGE | LIST_DAEMON | LIST_BOXED)) {
        unless(p, AF_NETLINK, 4);
        load_argument(p, 2);
        ret_if(p, NETLINK_ROUTE, ALLOW);
        ret(p, no);
    }
    if (list & (LIST_NETWORK | LIST_RUNNER)) {
        ret_if(p, AF_PACKET, ALLOW);
    }
    if (list & (LIST_BROKER | LIST_BOXED)) {
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0);
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0);
        ret(p, no);
        plain_inet(p);
        return;
    }
    if (list != LIST_OFFLINE) {
        ret_if(p, AF_INET, ALLOW);
        ret_if(p, AF_INET6, ALLOW);
    }
    ret(p, no);
}

static void rule_socketpair(struct program *p)
{
    load_argument(p, 0);
    ret_if(p, AF_UNIX, ALLOW);
    ret(p, FAIL(EAFNOSUPPORT));
}

/* Only what neither routes nor sends anything by itself (a membership sends reports). */
static void rule_sockopt(struct program *p)
{
    static const uint8_t ip[] = {IP_TOS,     IP_TTL,     IP_MTU_DISCOVER,        IP_RECVERR,
                                 IP_RECVTTL, IP_RECVTOS, IP_BIND_ADDRESS_NO_PORT};
    static const uint8_t ip6[] = {IPV6_UNICAST_HOPS, IPV6_MTU_DISCOVER, IPV6_RECVERR,
                                  IPV6_V6ONLY,       IPV6_RECVHOPLIMIT, IPV6_TCLASS};
    static const uint8_t tcp[] = {TCP_NODELAY,   TCP_MAXSEG,     TCP_CORK,        TCP_KEEPIDLE,
                                  TCP_KEEPINTVL, TCP_KEEPCNT,    TCP_SYNCNT,      TCP_LINGER2,
                                  TCP_QUICKACK,  TCP_CONGESTION, TCP_USER_TIMEOUT};
    static const uint8_t netlink[] = {NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK};
    static const struct {
        uint32_t level;
        const uint8_t *options;
        uint8_t n;
    } allowed[] = {
        {IPPROTO_IP, ip, sizeof ip},
        {IPPROTO_IPV6, ip6, sizeof ip6},
        {IPPROTO_TCP, tcp, sizeof tcp},
        {SOL_NETLINK_, netlink, sizeof netlink},
    };

    if (p->from->list != LIST_BROKER) {
        ret(p, ALLOW);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        load_argument(p, 1);
        unless(p, allowed[i].level, (uint8_t)(2 * allowed[i].n + 2));
        load_argument(p, 2);
        ret_one_of(p, allowed[i].options, allowed[i].n, ALLOW, FAIL(EPERM));
    }
    load_argument(p, 1);
    unless(p, SOL_SOCKET, 6);
    load_argument(p, 2);
    ret_if(p, SO_BINDTODEVICE, FAIL(EPERM));
    ret_if(p, 62 /* SO_BINDTOIFINDEX */, FAIL(EPERM));
    ret(p, ALLOW);
    ret(p, FAIL(EPERM));
}

static void rule_sendto(struct program *p)
{
    if (p->from->list == LIST_BROKER) {
        load_argument(p, 4);
        unless(p, 0, 2); /* both halves of the pointer */
        load(p, offsetof(struct seccomp_data, args[4]) + sizeof(uint32_t));
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
        ret(p, NOTIFY);
        load_argument(p, 3);
        ret_if_bits(p, MSG_FASTOPEN, FAIL(EOPNOTSUPP)); /* it would connect */
    }
    ret(p, ALLOW);
}

/* The first argument is a process: none but the caller. */
static void rule_self(struct program *p)
{
    load_argument(p, 0);
    ret_if(p, 0, ALLOW);
    ret(p, FAIL(EPERM));
}

static void rule_signal(struct program *p)
{
    if (p->from->list == LIST_BROKER) {
        rule_self(p);
    } else {
        ret(p, ALLOW);
    }
}

static void rule_memory(struct program *p)
{
    load_argument(p, 2);
    ret_if_bits(p, PROT_EXEC, KILL);
    ret(p, ALLOW);
}

static void rule_notify(struct program *p)
{
    ret(p, p->from->list == LIST_BROKER ? NOTIFY : ALLOW);
}

static void rule_listen(struct program *p)
{
    ret(p, p->from->list == LIST_BROKER ? FAIL(EPERM) : ALLOW);
}

static void (*const blocks[N_RULES])(struct program *) = {
    [RULE_CLONE] = rule_clone,     [RULE_IOCTL] = rule_ioctl,
    [RULE_SOCKET] = rule_socket,   [RULE_SOCKETPAIR] = rule_socketpair,
    [RULE_SOCKOPT] = rule_sockopt, [RULE_SENDTO] = rule_sendto,
    [RULE_NOTIFY] = rule_notify,   [RULE_LISTEN] = rule_listen,
    [RULE_SIGNAL] = rule_signal,   [RULE_SELF] = rule_self,
    [RULE_MEMORY] = rule_memory,
};

/* ---- the tree ---- */

static uint32_t unlisted(unsigned list)
{
    return list & (LIST_ROLES | LIST_BOXED) ? ALLOW : list == LIST_PARSER ? KILL : FAIL(ENOSYS);
}

static void leaf(struct program *p, uint8_t rule)
{
    switch (rule) {
    case RULE_NONE:
        ret(p, unlisted(p->from->list));
        break;
    case RULE_PLAIN:
        ret(p, ALLOW);
        break;
    case RULE_REFUSED:
        ret(p, FAIL(EPERM));
        break;
    case RULE_ABSENT:
        ret(p, FAIL(ENOSYS));
        break;
    default:
        p->leaves[p->n_leaves].at = p->n;
        p->leaves[p->n_leaves++].rule = rule;
        emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
    }
}

/* Of a tree over that many ranges: a leaf is one instruction. */
static unsigned tree_size(unsigned n)
{
    unsigned near = n == 1 ? 0 : tree_size(n / 2);

    return n == 1 ? 1 : 1 + (near > UINT8_MAX) + near + tree_size(n - n / 2);
}

/* Half of the ranges to each side. A conditional jump is too short for some: one without bounds
 * takes the far side. The kernel translates each program that it is given, for each run. */
static void tree(struct program *p, unsigned first, unsigned n)
{
    unsigned half = n / 2;
    unsigned near;

    if (n == 1) {
        leaf(p, p->ranges[first].rule);
        return;
    }
    near = tree_size(half);
    if (near <= UINT8_MAX) {
        emit(p, BPF_JMP | BPF_JGE | BPF_K, p->ranges[first + half].from, (uint8_t)near, 0);
    } else {
        emit(p, BPF_JMP | BPF_JGE | BPF_K, p->ranges[first + half].from, 0, 1);
        emit(p, BPF_JMP | BPF_JA, near, 0, 0);
    }
    tree(p, first, half);
    tree(p, first + half, n - half);
}

static void find_ranges(struct program *p)
{
    const struct seccomp_source *from = p->from;
    uint8_t rules[SECCOMP_NUMBERS] = {RULE_NONE};

    for (size_t i = 0; i < from->n; i++) {
        int number = seccomp_number(&from->calls[i]);

        if ((from->calls[i].lists & from->list) && number >= 0) {
            assert(rules[number] == RULE_NONE); /* one row for each */
            rules[number] = from->calls[i].rule;
        }
    }
    assert(rules[SECCOMP_NUMBERS - 1] == RULE_NONE); /* so is everything above */
    for (unsigned i = SECCOMP_NEWEST + 1; i < SECCOMP_NUMBERS && from->list & LIST_BOXED; i++) {
        rules[i] = rules[i] == RULE_NONE ? RULE_ABSENT : rules[i];
    }
    for (unsigned i = 0; i < SECCOMP_NUMBERS; i++) {
        if (i == 0 || rules[i] != rules[i - 1]) {
            p->ranges[p->n_ranges++] = (struct range){i, rules[i]};
        }
    }
}

static void put_blocks(struct program *p)
{
    for (unsigned rule = 0; rule < N_RULES; rule++) {
        unsigned start = p->n;
        bool used = false;

        for (unsigned i = 0; i < p->n_leaves; i++) {
            if (p->leaves[i].rule == rule) {
                p->at[p->leaves[i].at].k = start - p->leaves[i].at - 1;
                used = true;
            }
        }
        if (used) {
            assert(blocks[rule]);
            blocks[rule](p);
        }
    }
}

unsigned seccomp_build(const struct seccomp_source *from, struct sock_filter out[SECCOMP_MAX])
{
    auto_free struct program *p = xcalloc(1, sizeof *p);

    p->at = out;
    p->from = from;
    find_ranges(p);
    load(p, offsetof(struct seccomp_data, arch));
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, from->arch, 1, 0);
    ret(p, KILL);
    load(p, offsetof(struct seccomp_data, nr));
    if (from->arch == AUDIT_ARCH_X86_64) {
        emit(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
        ret(p, KILL);
    }
    tree(p, 0, p->n_ranges);
    put_blocks(p);
    return p->n;
}
