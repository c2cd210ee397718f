#include "box/role.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/close_fds.h"

static const char *drop(const struct role_start *s)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    if (s->change_user && (setgroups(0, NULL) < 0 || setresgid(s->gid, s->gid, s->gid) < 0 ||
                           setresuid(s->uid, s->uid, s->uid) < 0)) {
        return "become the service user";
    }
    if (syscall(SYS_capset, &head, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return "drop privileges";
    }
    return NULL;
}

const char *role_become(const struct role_start *s, int fd)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT};
    int keep[] = {STDERR_FILENO, fd};
    const char *failed = drop(s);
    sigset_t none;
    int null;

    if (failed) {
        return failed;
    }
    if (!close_all_but(keep, ARRAY_LEN(keep))) {
        return "close descriptors";
    }
    /* The numbers 0 and 1 must mean nothing that a later descriptor would be taken for. */
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null != STDIN_FILENO || fcntl(null, F_DUPFD_CLOEXEC, STDOUT_FILENO) != STDOUT_FILENO ||
        chdir("/") < 0) {
        return "open /dev/null";
    }
    prctl(PR_SET_NAME, s->name, 0, 0, 0);
    (void)setsid();
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        signal(ignored[i], SIG_IGN);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return NULL;
}
