/* Unpacking: every number and name is checked, whoever made the pack. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "repo/pack.h"
#include "repo/tree_write.h"

enum { BUFFER = 256 * 1024, TEXT_MAX = 4096 };

struct unpacking {
    int in;
    const struct pack_limits *limits;
    struct unpacked *told;
    struct tree_writer tree;
    uint32_t n; /* entries so far */
    size_t at, have;
    char buffer[BUFFER];
};

struct head {
    char kind;
    uint64_t size;
    char path[TREE_PATH_MAX + 1];
};

static int broken(struct err *e, const char *why)
{
    return err_set(e, ERR_INVALID, "the packed directory cannot be read: %s", why);
}

/* What is there, at least one byte; 0: the end. */
static ssize_t more(struct unpacking *u)
{
    ssize_t n;

    if (u->at < u->have) {
        return (ssize_t)(u->have - u->at);
    }
    do {
        n = read(u->in, u->buffer, sizeof u->buffer);
    } while (n < 0 && errno == EINTR);
    u->at = 0;
    u->have = n > 0 ? (size_t)n : 0;
    return n;
}

/* Hands n bytes to out, or to a file, or to nobody. */
static int take(struct unpacking *u, uint64_t n, char *out, int fd, struct err *e)
{
    int rc = 0;

    while (n > 0 && rc == 0) {
        ssize_t there = more(u);
        size_t part = there > 0 ? (size_t)MIN((uint64_t)there, n) : 0;

        if (there <= 0) {
            return there < 0 ? err_errno(e, "read the packed directory")
                             : broken(e, "it is cut off");
        }
        if (out) {
            memcpy(out, u->buffer + u->at, part);
            out += part;
        } else if (fd >= 0) {
            rc = write_whole(fd, u->buffer + u->at, part, e);
        }
        u->at += part;
        n -= part;
    }
    return rc;
}

static int take_head(struct unpacking *u, struct head *h, struct err *e)
{
    uint16_t n = 0;
    uint64_t size = 0;
    int rc = take(u, 1, &h->kind, -1, e);

    rc = rc ? rc : take(u, sizeof n, (char *)&n, -1, e);
    n = be16toh(n);
    if (rc == 0 && n > TREE_PATH_MAX) {
        return broken(e, "a path is too long");
    }
    rc = rc ? rc : take(u, n, h->path, -1, e);
    rc = rc ? rc : take(u, sizeof size, (char *)&size, -1, e);
    if (rc != 0) {
        return rc;
    }
    h->path[n] = '\0';
    h->size = be64toh(size);
    if (strlen(h->path) != n || !strchr("fxloE", h->kind) || h->kind == '\0') {
        return broken(e, "an entry is not one");
    }
    return 0;
}

static int check_limits(struct unpacking *u, const struct head *h, struct err *e)
{
    const struct pack_limits *l = u->limits;

    if (++u->n > l->max_files) {
        return err_set(e, ERR_LIMIT,
                       "the directory has more than %u files, which is the limit: raise max_files "
                       "(setting repo-max-files), "
                       "or scan a part of it",
                       l->max_files);
    }
    if (h->size > l->max_bytes - MIN(u->told->bytes, l->max_bytes)) {
        return err_set(e, ERR_LIMIT,
                       "the directory has more than %llu MiB, which is the limit: raise max_bytes "
                       "(setting repo-max-mb), "
                       "or scan a part of it",
                       (unsigned long long)(l->max_bytes >> 20));
    }
    return 0;
}

static void leave(const struct unpacking *u, const char *path, const char *why)
{
    if (u->told->left) {
        u->told->left(u->told->arg, path, why);
    }
}

/* A link's text is dropped, the reason of what is left out told. */
static int take_left(struct unpacking *u, const struct head *h, struct err *e)
{
    char text[TEXT_MAX + 1];
    auto_buf shown = {0};
    int rc;

    if (h->size > TEXT_MAX) {
        return broken(e, "a link is too long");
    }
    rc = take(u, h->size, text, -1, e);
    if (rc == 0) {
        text[h->size] = '\0';
        buf_add_escaped(&shown, text, strlen(text));
        leave(u, h->path,
              h->kind == 'l' ? "symbolic link: not followed"
              : shown.len    ? shown.data
                             : "left out");
    }
    return rc;
}

static int take_file(struct unpacking *u, const struct head *h, struct err *e)
{
    const uint32_t max = u->limits->max_file_bytes;
    const char *why = max && h->size > max ? "too large" : NULL;
    auto_fd int fd = -1;
    int rc = why ? 0 : tree_create(&u->tree, h->path, &fd, &why, e);

    if (rc == 0 && why) {
        leave(u, h->path, why);
    }
    rc = rc ? rc : take(u, h->size, NULL, fd, e);
    if (rc == 0 && fd >= 0) {
        u->told->files++;
        u->told->bytes += h->size;
    }
    return rc;
}

static bool wanted(const struct unpacking *u, const char *path)
{
    const char *dir = u->limits->subdir;
    size_t n = dir ? strlen(dir) : 0;

    return !dir || (strncmp(path, dir, n) == 0 && path[n] == '/');
}

static int take_entries(struct unpacking *u, struct err *e)
{
    for (;;) {
        struct head h;
        int rc = take_head(u, &h, e);

        if (rc != 0) {
            return rc;
        }
        if (h.kind == 'E') {
            return h.path[0] || h.size ? broken(e, "its end is not one") : 0;
        }
        rc = check_limits(u, &h, e);
        if (rc == 0 && !wanted(u, h.path)) {
            rc = take(u, h.size, NULL, -1, e);
        } else if (rc == 0) {
            rc = h.kind == 'l' || h.kind == 'o' ? take_left(u, &h, e) : take_file(u, &h, e);
        }
        if (rc != 0) {
            return rc;
        }
    }
}

int unpack_directory(int in_fd, int dir_fd, const struct pack_limits *l, struct unpacked *told,
                     struct err *e)
{
    struct unpacking *u = xmalloc(sizeof *u);
    int rc;

    told->bytes = 0;
    told->files = 0;
    u->in = in_fd;
    u->limits = l;
    u->told = told;
    u->tree = (struct tree_writer){.root_fd = dir_fd};
    u->n = 0;
    u->at = u->have = 0;
    rc = take_entries(u, e);
    tree_writer_done(&u->tree);
    free(u);
    return rc;
}
