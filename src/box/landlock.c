#include "box/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/view.h"

/* Of later kernels than the headers. */
enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_IOCTL_DEV = 5, ABI_SCOPE = 6 };
#define FS_TRUNCATE  (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define SCOPE_ALL    UINT64_C(3) /* abstract UNIX sockets, signals */

struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

#define READ_FILE (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE)
#define READ_DIR  (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* Read where a view would have them too; the rest of /proc is not for a tool. */
static const char *const more_system[] = {
    "/bin",         "/sbin",         "/lib",       "/lib32",        "/lib64",
    "/libx32",      "/proc/meminfo", "/proc/stat", "/proc/cpuinfo", "/proc/sys/kernel",
    "/proc/sys/vm", "/etc/hosts",    NULL,
};

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, UINT32_C(1) /* the version, please */);

    return abi > 0 ? (int)abi : 0;
}

static uint64_t all_access(int abi)
{
    uint64_t all = LANDLOCK_ACCESS_FS_REFER - 1;

    all |= abi >= ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0;
    all |= abi >= ABI_TRUNCATE ? FS_TRUNCATE : 0;
    all |= abi >= ABI_IOCTL_DEV ? FS_IOCTL_DEV : 0;
    return all;
}

/* No devices, no programs of its own making. */
static uint64_t write_access(int abi)
{
    return all_access(abi) & ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                         LANDLOCK_ACCESS_FS_MAKE_BLOCK | FS_IOCTL_DEV);
}

static bool allow(int rules, const char *path, uint64_t access)
{
    auto_fd int fd = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.parent_fd = fd};
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        return false;
    }
    rule.allowed_access = S_ISDIR(st.st_mode)
                              ? access
                              : access & (READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE);
    return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

static bool allow_list(int rules, const char *const *paths, uint64_t access)
{
    for (; *paths; paths++) {
        if (!allow(rules, *paths, access) && errno != ENOENT && errno != EACCES) {
            return false;
        }
    }
    return true;
}

const char *landlock_make(const struct box_spec *spec, int *out_fd)
{
    const int abi = landlock_abi();
    const struct ruleset_attr attr = {
        .handled_access_fs = all_access(abi),
        .scoped = SCOPE_ALL,
    };
    const size_t size = abi >= ABI_SCOPE ? sizeof attr : sizeof attr.handled_access_fs;
    auto_fd int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);

    if (rules < 0 || !allow_list(rules, view_system, READ_DIR) ||
        !allow_list(rules, more_system, READ_DIR) ||
        !allow_list(rules, view_devices,
                    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                        (abi >= ABI_TRUNCATE ? FS_TRUNCATE : 0)) ||
        (spec->dir && !allow(rules, ".", write_access(abi)))) {
        return "landlock";
    }
    for (size_t i = 0; i < spec->n_binds; i++) {
        const struct box_bind *b = &spec->binds[i];

        if (!allow(rules, b->path, READ_DIR | (b->write ? write_access(abi) : 0))) {
            return "bind";
        }
    }
    if (spec->argv && view_is_program(spec->argv[0]) && !allow(rules, spec->argv[0], READ_FILE)) {
        return "bind";
    }
    *out_fd = take_fd(&rules);
    return NULL;
}

bool landlock_enter(int fd)
{
    return allow(fd, "/proc/self", READ_DIR) && syscall(SYS_landlock_restrict_self, fd, 0) == 0;
}
