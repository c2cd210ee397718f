/*
 * The delegated group as a directory that is kept open; everything is done by names below it.
 *
 *     GROUP/                cgroup.subtree_control: memory pids cpu
 *       supervisor/         this process and the roles that it forks
 *       run-1f/ ...         one for each run, without children
 *
 * A group that systemd has delegated says so in an extended attribute. Root can write to all
 * groups, so that it has to look there; for everybody else it is enough that the files are theirs.
 * The root of a cgroup namespace (a container's) is nobody else's either.
 */
#include "box/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define LEAF   "supervisor"
#define PREFIX "run-"

enum { TEXT = 4096, WAIT_MS = 5, WAITS = 200 };

struct cgroup_tree {
    int dir_fd;
};

/* ---- small files ---- */

/* The start of a small file as a string; false if there is none. */
static bool read_text(int dir, const char *name, char out[TEXT])
{
    auto_fd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, TEXT - 1);

    out[n < 0 ? 0 : n] = '\0';
    return n >= 0;
}

static bool write_text(int dir, const char *name, const char *text)
{
    auto_fd int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = strstr(text, word); at; at = strstr(at + n, word)) {
        if ((at == text || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' ' || at[n] == '\n')) {
            return true;
        }
    }
    return false;
}

/* A decimal number and nothing else up to the end of the line; -1 if it is none. */
static int64_t number(const char *s)
{
    char *end;
    unsigned long long v;

    errno = 0;
    v = strtoull(s, &end, 10);
    return end == s || *s < '0' || *s > '9' || (*end != '\n' && *end != '\0') || errno != 0 ||
                   v > INT64_MAX
               ? -1
               : (int64_t)v;
}

/* From lines "key number", or a number alone with an empty key; -1 if there is none. */
static int64_t read_key(int dir, const char *name, const char *key)
{
    char text[TEXT];
    size_t n = strlen(key);

    if (!read_text(dir, name, text)) {
        return -1;
    }
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (n == 0) {
            return number(line);
        }
        if (strncmp(line, key, n) == 0 && line[n] == ' ') {
            return number(line + n + 1);
        }
    }
    return -1;
}

/* ---- where we are ---- */

/* Our group's path in the hierarchy, without a newline; NULL: there is no cgroup v2. */
static char *own_path(void)
{
    char text[TEXT];
    const char *line;

    if (!read_text(AT_FDCWD, "/proc/self/cgroup", text)) {
        return NULL;
    }
    line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line) {
        return NULL;
    }
    line = strchr(line, '/');
    return line ? xstrndup(line, strcspn(line, "\n")) : NULL;
}

/* Where the directory of `path` is mounted; NULL: nowhere. */
static char *find_directory(const char *path)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    auto_free char *line = NULL;
    size_t size = 0;
    char *found = NULL;

    while (f && !found && getline(&line, &size, f) > 0) {
        char root[1024], point[1024];
        const char *kind = strstr(line, " - cgroup2 ");
        size_t n;

        if (!kind || sscanf(line, "%*s %*s %*s %1023s %1023s", root, point) != 2) {
            continue;
        }
        n = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == '\0')) {
            found = str_fmt("%s%s", point, path + n);
        }
    }
    if (f) {
        fclose(f);
    }
    return found;
}

/* Nobody manages this group but us; called where we could write to it anyhow. */
static bool is_ours(int dir, const char *path)
{
    char value[8] = "";

    if (geteuid() != 0) {
        return true;
    }
    return strcmp(path, "/") == 0 ||
           (fgetxattr(dir, "trusted.delegate", value, sizeof value - 1) > 0 && value[0] == '1') ||
           (fgetxattr(dir, "user.delegate", value, sizeof value - 1) > 0 && value[0] == '1');
}

static int check_group(int dir, const char *path, struct err *e)
{
    char controllers[TEXT];

    if (!read_text(dir, "cgroup.controllers", controllers) || !has_word(controllers, "memory") ||
        !has_word(controllers, "pids")) {
        controllers[strcspn(controllers, "\n")] = '\0';
        return err_set(e, ERR_SANDBOX,
                       "the group '%s' has the controllers '%s', not memory and pids", path,
                       controllers);
    }
    /* The hierarchy's root, which belongs to the machine, has no such file. */
    if (faccessat(dir, "cgroup.type", F_OK, 0) < 0) {
        return err_set(e, ERR_SANDBOX,
                       "this process is in the root group, which is not delegated to anybody");
    }
    if (faccessat(dir, ".", W_OK, AT_EACCESS) < 0 ||
        faccessat(dir, "cgroup.procs", W_OK, AT_EACCESS) < 0 ||
        faccessat(dir, "cgroup.subtree_control", W_OK, AT_EACCESS) < 0) {
        return err_set(e, ERR_SANDBOX, "the group '%s' is not delegated to this user: %s", path,
                       strerror(errno));
    }
    if (!is_ours(dir, path)) {
        return err_set(e, ERR_SANDBOX, "the group '%s' is not delegated (Delegate= in the unit)",
                       path);
    }
    return 0;
}

/* ---- taking it ---- */

static bool populated(int group)
{
    return read_key(group, "cgroup.events", "populated") == 1;
}

/* Empties and removes a group; true if it is gone. */
static bool remove_group(int tree, const char *name, int group)
{
    for (unsigned i = 0; i < WAITS; i++) {
        if (unlinkat(tree, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
            return true;
        }
        if (populated(group)) {
            (void)write_text(group, "cgroup.kill", "1");
        }
        poll(NULL, 0, WAIT_MS);
    }
    return false;
}

/* What an earlier process left. */
static void remove_old_runs(int tree)
{
    int fd = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *row;

    while (dir && (row = readdir(dir))) {
        if (strncmp(row->d_name, PREFIX, strlen(PREFIX)) == 0) {
            auto_fd int group = openat(tree, row->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

            (void)remove_group(tree, row->d_name, group);
        }
    }
    if (dir) {
        closedir(dir);
    } else {
        fd_close(&fd);
    }
}

/* No group may have processes and controllers for its children. */
static int move_to_leaf(int tree, const char *path, struct err *e)
{
    if (mkdirat(tree, LEAF, 0755) < 0 && errno != EEXIST) {
        return err_set(e, ERR_SANDBOX, "make a group in '%s': %s", path, strerror(errno));
    }
    if (!write_text(tree, LEAF "/cgroup.procs", "0")) {
        return err_set(e, ERR_SANDBOX, "move to the group '%s/" LEAF "': %s", path,
                       strerror(errno));
    }
    return 0;
}

static int turn_on(int tree, const char *path, bool moved, struct err *e)
{
    if (!write_text(tree, "cgroup.subtree_control", "+memory +pids")) {
        int errnum = errno;

        if (moved) { /* back to how it was */
            (void)write_text(tree, "cgroup.procs", "0");
            (void)unlinkat(tree, LEAF, AT_REMOVEDIR);
        }
        return err_set(e, ERR_SANDBOX, "turn controllers on in the group '%s': %s", path,
                       errnum == EBUSY ? "other processes are in it" : strerror(errnum));
    }
    (void)write_text(tree, "cgroup.subtree_control", "+cpu"); /* where it was given to us */
    return 0;
}

static int hand_over(int tree, uid_t owner, const char *path, struct err *e)
{
    static const char *const files[] = {".", "cgroup.procs", "cgroup.threads",
                                        "cgroup.subtree_control"};

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (fchownat(tree, files[i], owner, (gid_t)-1, 0) < 0) {
            return err_set(e, ERR_SANDBOX, "hand the group '%s' over: %s", path, strerror(errno));
        }
    }
    return 0;
}

/* We may be in a leaf already, that of a former self or one by DelegateSubgroup=. */
static bool strip_leaf(char *path)
{
    char *name = strrchr(path, '/');

    if (strcmp(name, "/" LEAF) != 0) {
        return false;
    }
    name[name == path] = '\0';
    return true;
}

int cgroup_open(uid_t owner, struct cgroup_tree **out, struct err *e)
{
    auto_free char *path = own_path();
    auto_free char *directory = NULL;
    auto_fd int dir = -1;
    bool in_leaf;
    int rc;

    if (!path) {
        return err_set(e, ERR_SANDBOX, "there is no cgroup v2");
    }
    in_leaf = strip_leaf(path);
    directory = find_directory(path);
    if (!directory) {
        return err_set(e, ERR_SANDBOX, "cgroup v2 is not mounted");
    }
    dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return err_set(e, ERR_SANDBOX, "open '%s': %s", directory, strerror(errno));
    }
    rc = check_group(dir, path, e);
    if (rc == 0 && !in_leaf) {
        rc = move_to_leaf(dir, path, e);
    }
    if (rc == 0) {
        rc = turn_on(dir, path, !in_leaf, e);
    }
    if (rc == 0 && geteuid() == 0 && owner != 0) {
        rc = hand_over(dir, owner, path, e);
    }
    if (rc != 0) {
        return rc;
    }
    remove_old_runs(dir);
    *out = xmalloc(sizeof **out);
    (*out)->dir_fd = take_fd(&dir);
    return 0;
}

void cgroup_close(struct cgroup_tree *t)
{
    if (t) {
        fd_close(&t->dir_fd);
        free(t);
    }
}

int cgroup_fd(const struct cgroup_tree *t)
{
    return t->dir_fd;
}

/* ---- groups of runs ---- */

/* The name of the file that could not be written; NULL: all is set. */
static const char *set_limits(int group, const struct cgroup_limits *l)
{
    char text[64];

    if (l->memory_bytes) {
        snprintf(text, sizeof text, "%" PRIu64, l->memory_bytes);
        if (!write_text(group, "memory.max", text)) {
            return "memory.max";
        }
        /* A kernel without swap has no such file. */
        if (!write_text(group, "memory.swap.max", "0") && errno != ENOENT) {
            return "memory.swap.max";
        }
        /* The box ends as a whole, not process by process. */
        if (!write_text(group, "memory.oom.group", "1")) {
            return "memory.oom.group";
        }
    }
    if (l->pids) {
        snprintf(text, sizeof text, "%" PRIu32, l->pids);
        if (!write_text(group, "pids.max", text)) {
            return "pids.max";
        }
    }
    if (l->cpu_percent) {
        snprintf(text, sizeof text, "%" PRIu64 " 100000", UINT64_C(1000) * l->cpu_percent);
        /* That controller is not always delegated; the tool's time is limited all the same. */
        if (!write_text(group, "cpu.max", text) && errno != ENOENT) {
            return "cpu.max";
        }
    }
    return NULL;
}

int cgroup_make(struct cgroup_tree *t, uint64_t run, const struct cgroup_limits *l,
                struct cgroup *out, struct err *e)
{
    struct cgroup g = {.dir_fd = -1};
    const char *failed;

    snprintf(g.name, sizeof g.name, PREFIX "%" PRIx64, run);
    if (mkdirat(t->dir_fd, g.name, 0755) < 0) {
        return err_set(e, ERR_SANDBOX, "make the group '%s': %s", g.name, strerror(errno));
    }
    g.dir_fd = openat(t->dir_fd, g.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    failed = g.dir_fd < 0 ? "the directory" : set_limits(g.dir_fd, l);
    if (failed) {
        int code =
            err_set(e, ERR_SANDBOX, "%s of the group '%s': %s", failed, g.name, strerror(errno));

        cgroup_remove(t, &g);
        return code;
    }
    *out = g;
    return 0;
}

static uint32_t count(int group, const char *name, const char *key)
{
    int64_t v = read_key(group, name, key);

    return v < 0 ? 0 : (uint32_t)MIN(v, UINT32_MAX);
}

void cgroup_use(const struct cgroup *g, struct cgroup_use *out)
{
    int64_t peak = read_key(g->dir_fd, "memory.peak", "");

    *out = (struct cgroup_use){
        .cpu_us = read_key(g->dir_fd, "cpu.stat", "usage_usec"),
        .memory_peak_kb = peak < 0 ? -1 : peak / 1024,
        .oom_kills = count(g->dir_fd, "memory.events", "oom_kill"),
        .pids_refused = count(g->dir_fd, "pids.events", "max"),
    };
}

void cgroup_kill(const struct cgroup *g)
{
    (void)write_text(g->dir_fd, "cgroup.kill", "1");
}

void cgroup_remove(struct cgroup_tree *t, struct cgroup *g)
{
    if (g->name[0] != '\0') {
        (void)remove_group(t->dir_fd, g->name, g->dir_fd);
    }
    fd_close(&g->dir_fd);
    *g = (struct cgroup){.dir_fd = -1};
}
