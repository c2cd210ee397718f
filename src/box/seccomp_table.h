/* seccomp_table - lists of system calls, and the programs made of them. Private to box/. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define SECCOMP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SECCOMP_ASAN 1
#endif
#endif
#ifndef SECCOMP_ASAN
#define SECCOMP_ASAN 0
#endif

enum {
    LIST_NETWORK = 1, /* three allow-lists for tools: what is not there gives ENOSYS */
    LIST_OFFLINE = 2,
    LIST_BROKER = 4,
    LIST_PARSER = 8,  /* what is not there ends the process */
    LIST_DAEMON = 16, /* lists of what is refused */
    LIST_RUNNER = 32,
    LIST_NETD = 64,
    LIST_RESOLVER = 128,
    LIST_PROXY = 256,
    LIST_DEPOT = 512,
    LIST_EDGE = 1024,
    LIST_NESTING = 2048, /* the same, and whatever is newer than this table gives ENOSYS */
    LIST_AGENT = 4096,

    LIST_BOXED = LIST_NESTING | LIST_AGENT,
    LIST_TOOLS = LIST_NETWORK | LIST_OFFLINE | LIST_BROKER,
    LIST_ROLES =
        LIST_DAEMON | LIST_RUNNER | LIST_NETD | LIST_RESOLVER | LIST_PROXY | LIST_DEPOT | LIST_EDGE,
};

/* What a listed call gets. */
enum seccomp_rule {
    RULE_NONE,  /* it is not listed */
    RULE_PLAIN, /* allowed */
    RULE_REFUSED,
    RULE_ABSENT,
    /* by its arguments, and by the list */
    RULE_CLONE,
    RULE_IOCTL,
    RULE_SOCKET,
    RULE_SOCKETPAIR,
    RULE_SOCKOPT,
    RULE_SENDTO,
    RULE_NOTIFY,
    RULE_LISTEN,
    RULE_SIGNAL,
    RULE_SELF,
    RULE_MEMORY,
    N_RULES
};

struct seccomp_call {
    const char *name;
    const char *number; /* as text: a name that is no number is not known on this machine */
    uint16_t lists;
    uint8_t rule;
};

/* Two steps, so that a name without a number keeps its own text. */
#define SECCOMP_TEXT_(x) #x
#define SECCOMP_TEXT(x)  SECCOMP_TEXT_(x)
#define CALL(name, lists, rule)                              \
    {                                                        \
#name, SECCOMP_TEXT(__NR_##name), lists, RULE_##rule \
    }
#define TOOL(name)    CALL(name, LIST_TOOLS, PLAIN)
#define PARSE(name)   CALL(name, LIST_PARSER, PLAIN)
#define NEVER(name)   CALL(name, LIST_ROLES | LIST_BOXED, REFUSED)
#define BOXED(name)   CALL(name, LIST_BOXED, REFUSED)
#define UNBOXED(name) CALL(name, (LIST_ROLES & ~LIST_RUNNER) | LIST_AGENT, REFUSED)

extern const struct seccomp_call seccomp_calls[];
extern const size_t seccomp_n_calls;
extern const uint32_t seccomp_arch; /* AUDIT_ARCH_* */

/* The number of a call on the machine of this table; -1: not known there. */
int seccomp_number(const struct seccomp_call *c);

struct seccomp_source {
    const struct seccomp_call *calls;
    size_t n;
    uint32_t arch;
    unsigned list; /* one of LIST_* */
};
/* NEWEST: of Linux 5.17, the last that was judged; from 424 on all machines share their numbers. */
enum { SECCOMP_MAX = 1024, SECCOMP_NUMBERS = 1024, SECCOMP_NEWEST = 450 };
/* Writes the program, and returns its length; our own tables fit. */
unsigned seccomp_build(const struct seccomp_source *from, struct sock_filter out[SECCOMP_MAX]);
