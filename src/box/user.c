/*
 * The tool's user is never root. A caller that is not root is mapped to BOX_UID, by init itself; a
 * caller that is root maps a user that is nobody else's, and init becomes that one, with or without
 * a user namespace.
 */
#include "box/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

static bool write_file(const char *path, const char *text)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t n = strlen(text);

    return fd >= 0 && write(fd, text, n) == (ssize_t)n;
}

bool user_map(pid_t pid)
{
    char path[64];
    char line[64];

    snprintf(line, sizeof line, "%d %d 1\n", BOX_UID, BOX_UID);
    snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
    if (!write_file(path, line)) {
        return false;
    }
    snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
    return write_file(path, line);
}

static bool map_self(const struct box_plan *plan)
{
    char line[64];
    bool done = write_file("/proc/self/setgroups", "deny");

    snprintf(line, sizeof line, "%d %u 1\n", BOX_UID, plan->gid);
    done = done && write_file("/proc/self/gid_map", line);
    snprintf(line, sizeof line, "%d %u 1\n", BOX_UID, plan->uid);
    return done && write_file("/proc/self/uid_map", line);
}

/* Whether the caller could map. It answers at once, or is dead. */
static bool mapped_by_caller(const struct box_plan *plan)
{
    struct box_word word;

    if (recv(plan->report_fd, &word, sizeof word, 0) != (ssize_t)sizeof word) {
        _exit(1);
    }
    return word.kind == WORD_MAPPED;
}

static bool capabilities(uint64_t permitted, uint64_t inheritable)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)permitted, (uint32_t)permitted, (uint32_t)inheritable},
        {(uint32_t)(permitted >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
    };

    return syscall(SYS_capset, &head, data) == 0;
}

static uint64_t permitted_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    return syscall(SYS_capget, &head, data) == 0
               ? data[0].permitted | (uint64_t)data[1].permitted << 32
               : 0;
}

bool user_has_cap(int cap)
{
    return (permitted_capabilities() >> cap & 1) != 0;
}

static bool switch_user(void)
{
    return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setgroups(0, NULL) == 0 &&
           setresgid(BOX_UID, BOX_UID, BOX_UID) == 0 && setresuid(BOX_UID, BOX_UID, BOX_UID) == 0 &&
           capabilities(permitted_capabilities(), 0);
}

const char *user_become(const struct box_plan *plan)
{
    bool switches = plan->root;

    /* The files below belong to root while the process may not be dumped. */
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    /* First of all to go when memory is short; init and tool inherit it. Harmless if refused. */
    (void)write_file("/proc/self/oom_score_adj", "1000");
    if (plan->level == BOX_USERNS && !(plan->root && mapped_by_caller(plan))) {
        /* Root that may not map others is root of a user namespace at most, not the machine's. */
        switches = false;
        if (!map_self(plan)) {
            return "userns";
        }
    }
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return switches && !switch_user() ? "user" : NULL;
}

void user_forbid_namespaces(const struct box_plan *plan)
{
    /* Of its own namespace only; without one this would be the machine's. */
    if (plan->level == BOX_USERNS) {
        (void)write_file("/proc/sys/user/max_user_namespaces", "0");
    }
}

static bool raise_ambient(bool wanted, int cap)
{
    return !wanted || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0;
}

const char *user_restrict(const struct box_plan *plan)
{
    uint64_t keep = (plan->raw_sockets ? UINT64_C(1) << CAP_NET_RAW : 0) |
                    (plan->net_admin ? UINT64_C(1) << CAP_NET_ADMIN : 0);

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
        return "no_new_privs";
    }
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
        /* Needs CAP_SETPCAP, and is a second lock only; older kernels know fewer. */
        if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            break;
        }
    }
    if (!capabilities(keep, keep) || !raise_ambient(plan->raw_sockets, CAP_NET_RAW) ||
        !raise_ambient(plan->net_admin, CAP_NET_ADMIN)) {
        return "capabilities";
    }
    return NULL;
}

const char *user_drop(void)
{
    bool done = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 && capabilities(0, 0);

    return done ? NULL : "capabilities";
}
