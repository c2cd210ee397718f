#include "box/seccomp.h"

#include <assert.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/seccomp_table.h"

/* Linux 5.19: a notified call is not interrupted, and not made twice, once it was taken. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV 32
#endif

struct filter {
    struct sock_filter code[SECCOMP_MAX];
    unsigned short n;
};

/* Static: what is installed in the child of a vfork has to be there already. */
static struct filter tools[BOX_CALLS_ALL];
static bool prepared;

static void build(unsigned list, struct filter *f)
{
    const struct seccomp_source from = {seccomp_calls, seccomp_n_calls, seccomp_arch, list};

    f->n = (unsigned short)seccomp_build(&from, f->code);
}

void seccomp_prepare(void)
{
    static const unsigned lists[BOX_CALLS_ALL] = {
        [BOX_CALLS_NETWORK] = LIST_NETWORK, [BOX_CALLS_OFFLINE] = LIST_OFFLINE,
        [BOX_CALLS_BROKER] = LIST_BROKER,   [BOX_CALLS_NESTING] = LIST_NESTING,
        [BOX_CALLS_AGENT] = LIST_AGENT,
    };

    for (unsigned i = 0; i < BOX_CALLS_ALL && !prepared; i++) {
        build(lists[i], &tools[i]);
    }
    prepared = true;
}

static int install(struct filter *f, unsigned long flags)
{
    struct sock_fprog program = {.len = f->n, .filter = f->code};

    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

int seccomp_tool(enum box_calls calls, int *notify_fd)
{
    int fd;

    if (calls == BOX_CALLS_ALL) {
        return 0;
    }
    assert(prepared);
    if (calls != BOX_CALLS_BROKER) {
        return install(&tools[calls], 0);
    }
    fd = install(&tools[calls],
                 SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    if (fd < 0 && errno == EINVAL) {
        fd = install(&tools[calls], SECCOMP_FILTER_FLAG_NEW_LISTENER);
    }
    if (fd < 0) {
        return -1;
    }
    *notify_fd = fd;
    return 0;
}

static const struct {
    const char *name;
    unsigned list;
} roles[] = {
    [ROLE_DAEMON] = {"daemon", LIST_DAEMON}, [ROLE_RUNNER] = {"runner", LIST_RUNNER},
    [ROLE_NETD] = {"netd", LIST_NETD},       [ROLE_RESOLVER] = {"resolver", LIST_RESOLVER},
    [ROLE_PROXY] = {"proxy", LIST_PROXY},    [ROLE_DEPOT] = {"depot", LIST_DEPOT},
    [ROLE_EDGE] = {"edge", LIST_EDGE},       [ROLE_PARSER] = {"parser", LIST_PARSER},
};

int seccomp_role(enum role r, struct err *e)
{
    auto_free struct filter *f = xmalloc(sizeof *f);

    build(roles[r].list, f);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || install(f, 0) < 0) {
        return err_set(e, ERR_SANDBOX, "install the %s's filter of system calls: %s", roles[r].name,
                       strerror(errno));
    }
    return 0;
}

const char *role_name(enum role r)
{
    return roles[r].name;
}
