#include "box/role.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/close_fds.h"

bool role_hold(uint64_t permitted, uint64_t effective)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &head, data) < 0) {
        return false;
    }
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        data[i].permitted &= (uint32_t)(permitted >> (32 * i));
        data[i].effective = data[i].permitted & (uint32_t)(effective >> (32 * i));
        data[i].inheritable = 0; /* which ends the ambient ones */
    }
    return syscall(SYS_capset, &head, data) == 0;
}

void role_bound(uint64_t keep)
{
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
        if (!(keep >> cap & 1)) {
            (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
        }
    }
}

const char *role_drop(const struct role_start *s)
{
    role_bound(s->caps);
    if (s->change_user &&
        (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
         setresgid(s->gid, s->gid, s->gid) < 0 || setresuid(s->uid, s->uid, s->uid) < 0)) {
        return "become the service user";
    }
    if (!role_hold(s->caps, s->caps) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return "drop privileges";
    }
    return NULL;
}

static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT};
    sigset_t none;

    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        signal(ignored[i], SIG_IGN);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

const char *role_apart(const char *name, int *keep, unsigned n)
{
    int null;

    if (!close_all_but(keep, n)) {
        return "close descriptors";
    }
    /* The numbers 0 and 1 must mean nothing that a later descriptor would be taken for. */
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null != STDIN_FILENO || fcntl(null, F_DUPFD_CLOEXEC, STDOUT_FILENO) != STDOUT_FILENO) {
        return "open /dev/null";
    }
    prctl(PR_SET_NAME, name, 0, 0, 0);
    (void)setsid();
    ignore_signals();
    return NULL;
}

const char *role_become(const struct role_start *s, int fd)
{
    int keep[] = {STDERR_FILENO, fd};
    const char *failed = role_apart(s->name, keep, ARRAY_LEN(keep));

    if (!failed) {
        failed = role_drop(s);
    }
    return !failed && chdir("/") < 0 ? "change directory" : failed;
}

void role_raise_descriptors(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = MIN(l.rlim_max, (rlim_t)65536);
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}
