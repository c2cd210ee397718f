/*
 * The tree of a commit as files: `ls-tree` names its entries, `cat-file --batch` gives the blobs,
 * in the same order. What is not a plain file, or too large, is left out before it is asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "repo/checkout_work.h"
#include "repo/tree_write.h"

enum { LFS_MAX = 1024, HEADER_MAX = 256 };
#define LFS_VERSION "version https://git-lfs.github.com/spec/"

/* ---- names ---- */

struct listing {
    struct checkout_work *w;
    struct buf row;   /* of an entry that is not whole yet */
    struct buf paths; /* of files to be written, each with its NUL */
    struct buf ids;   /* the same, a line each */
    uint64_t bytes;
    uint32_t n;
    bool any; /* something was named at all */
};

struct entry {
    const char *mode, *kind, *id, *size, *path;
};

/* "MODE SP KIND SP ID SP+ SIZE TAB PATH", cut in place. */
static bool cut_entry(char *row, struct entry *out)
{
    char *at = row;

    out->mode = strsep(&at, " ");
    out->kind = strsep(&at, " ");
    out->id = strsep(&at, " ");
    if (!at) {
        return false;
    }
    at += strspn(at, " ");
    out->size = strsep(&at, "\t");
    out->path = at;
    return at && *at;
}

static const char *not_a_file(const struct entry *en)
{
    if (str_eq(en->mode, "160000")) {
        return "submodule: its repository is not fetched";
    }
    if (str_eq(en->mode, "120000")) {
        return "symbolic link: not followed";
    }
    return str_eq(en->kind, "blob") ? NULL : "not a file";
}

static int take_entry(struct listing *l, const struct entry *en, struct err *e)
{
    struct checkout_work *w = l->w;
    const char *why = not_a_file(en);
    uint64_t size = 0;
    char text[64];

    l->any = true;
    if (++w->seen > w->s->max_files) {
        return checkout_over(w, false, e);
    }
    why = why ? why : tree_path_wrong(en->path);
    if (!why && !str_to_u64(en->size, 0, UINT64_MAX, &size)) {
        why = "its content is not in the repository";
    }
    if (!why && size > w->s->max_file_bytes) {
        snprintf(text, sizeof text, "larger than %u KiB", w->s->max_file_bytes >> 10);
        why = text;
    }
    if (why) {
        checkout_leave(w->out, en->path, why);
        return 0;
    }
    l->bytes += size;
    if (l->bytes > w->s->max_bytes) {
        return checkout_over(w, true, e);
    }
    buf_add(&l->paths, en->path, strlen(en->path) + 1);
    buf_addf(&l->ids, "%s\n", en->id);
    l->n++;
    return 0;
}

static int take_row(struct listing *l, struct err *e)
{
    struct entry en;

    if (!cut_entry(l->row.data, &en)) {
        return err_set(e, ERR_TOOL, "git's list of the tree cannot be read");
    }
    return checkout_wanted(l->w, en.path) ? take_entry(l, &en, e) : 0;
}

/* Rows end with NUL. */
static int on_list(void *arg, const char *p, size_t n, struct err *e)
{
    struct listing *l = arg;
    int rc = 0;

    while (n > 0 && rc == 0) {
        const char *end = memchr(p, '\0', n);
        size_t part = end ? (size_t)(end - p) : n;

        if (l->row.len + part > TREE_PATH_MAX + 1024) {
            /* Nobody has such a path; what begins it is enough to tell which. */
            part = MIN(part, TREE_PATH_MAX + 1024 - l->row.len);
        }
        buf_add(&l->row, p, part);
        if (end) {
            rc = l->row.len ? take_row(l, e) : 0;
            buf_reset(&l->row);
        }
        part = end ? (size_t)(end - p) + 1 : n;
        p += part;
        n -= part;
    }
    return rc;
}

static int list_tree(struct listing *l, struct err *e)
{
    struct checkout_work *w = l->w;
    auto_free char *below = w->s->request.subdir ? str_fmt("%s/", w->s->request.subdir) : NULL;
    const char *const args[] = {"ls-tree", "-r", "-l",  "-z", "--full-tree",
                                w->head,   "--", below, NULL};
    const struct git_call call = {.args = args, .in = -1, .out = on_list, .arg = l};
    int rc = git_must(&w->git, &call, &w->out->status, e);

    if (rc == 0 && below && !l->any) {
        rc = checkout_fail(
            w, CHECKOUT_REFUSED,
            err_set(e, ERR_NOT_FOUND, "the tree has no directory '%s'", w->s->request.subdir));
    }
    if (rc == 0 && !l->any) {
        strvec_push(&w->out->notes, "The tree has no files.");
    }
    return rc;
}

/* ---- blobs ---- */

struct writing {
    struct checkout_work *w;
    struct tree_writer tree;
    const char *path; /* of the blob at hand, in listing.paths */
    uint32_t done, n;
    enum { IN_HEADER, IN_BLOB, AT_END } state;
    struct buf header, small; /* small: the whole of a blob that may be one of LFS */
    uint64_t left;            /* bytes of the blob that are still to come */
    bool may_be_lfs;
    int fd; /* -1: this one is left out */
};

static int open_file(struct writing *wr, struct err *e)
{
    const char *why = NULL;
    int rc = tree_create(&wr->tree, wr->path, &wr->fd, &why, e);

    if (rc == 0 && why) {
        checkout_leave(wr->w->out, wr->path, why);
    }
    return rc;
}

/* "ID blob SIZE" or "ID missing". */
static int begin_blob(struct writing *wr, struct err *e)
{
    const char *kind = wr->header.data ? strchr(wr->header.data, ' ') : NULL;
    const char *size = kind ? strchr(kind + 1, ' ') : NULL;

    if (wr->done == wr->n) {
        return err_set(e, ERR_TOOL, "git gives more objects than it was asked for");
    }
    if (kind && str_eq(kind + 1, "missing")) {
        checkout_leave(wr->w->out, wr->path, "its content is not in the repository");
        wr->path += strlen(wr->path) + 1;
        wr->done++;
        return 0;
    }
    if (!size || !str_starts(kind, " blob ") ||
        !str_to_u64(size + 1, 0, wr->w->s->max_file_bytes, &wr->left)) {
        return err_set(e, ERR_TOOL, "git gives another object than it was asked for");
    }
    wr->fd = -1;
    wr->may_be_lfs = wr->left < LFS_MAX && wr->left > strlen(LFS_VERSION);
    buf_reset(&wr->small);
    wr->state = IN_BLOB;
    wr->w->out->bytes += wr->left;
    return wr->may_be_lfs ? 0 : open_file(wr, e);
}

static int end_blob(struct writing *wr, struct err *e)
{
    int rc = 0;

    if (wr->may_be_lfs && str_starts(wr->small.data, LFS_VERSION)) {
        checkout_leave(wr->w->out, wr->path,
                       "Git LFS pointer: its content is not in the repository");
    } else if (wr->may_be_lfs) {
        rc = open_file(wr, e);
        if (rc == 0 && wr->fd >= 0) {
            rc = write_whole(wr->fd, wr->small.data, wr->small.len, e);
        }
    }
    if (wr->fd >= 0) {
        wr->w->out->files++;
    }
    fd_close(&wr->fd);
    wr->path += strlen(wr->path) + 1;
    wr->done++;
    if (wr->done % 256 == 0) {
        checkout_tell(wr->w, 60 + (unsigned)((uint64_t)wr->done * 35 / wr->n));
    }
    return rc;
}

static size_t take_header(struct writing *wr, const char *p, size_t n, struct err *e, int *rc)
{
    const char *end = memchr(p, '\n', n);
    size_t part = end ? (size_t)(end - p) : n;

    if (wr->header.len + part > HEADER_MAX) {
        *rc = err_set(e, ERR_TOOL, "git's answer about an object cannot be read");
        return n;
    }
    buf_add(&wr->header, p, part);
    if (!end) {
        return n;
    }
    *rc = begin_blob(wr, e);
    buf_reset(&wr->header);
    return part + 1;
}

static size_t take_bytes(struct writing *wr, const char *p, size_t n, struct err *e, int *rc)
{
    size_t part = (size_t)MIN((uint64_t)n, wr->left);

    if (wr->may_be_lfs) {
        buf_add(&wr->small, p, part);
    } else if (wr->fd >= 0) {
        *rc = write_whole(wr->fd, p, part, e);
    }
    wr->left -= part;
    return part;
}

static int on_blobs(void *arg, const char *p, size_t n, struct err *e)
{
    struct writing *wr = arg;
    int rc = 0;

    while (rc == 0 && (n > 0 || (wr->state == IN_BLOB && wr->left == 0))) {
        size_t part = 0;

        if (wr->state == IN_HEADER) {
            part = take_header(wr, p, n, e, &rc);
        } else if (wr->state == IN_BLOB && wr->left > 0) {
            part = take_bytes(wr, p, n, e, &rc);
        } else if (wr->state == IN_BLOB) {
            rc = end_blob(wr, e);
            wr->state = AT_END;
        } else {
            part = 1; /* the line end behind a blob */
            wr->state = IN_HEADER;
        }
        p += part;
        n -= part;
    }
    return rc;
}

/* git reads what it is asked for from memory: no reader waits for a writer. */
static int ids_file(const struct buf *ids, struct err *e)
{
    auto_fd int fd = memfd_create("ids", MFD_CLOEXEC);

    if (fd < 0) {
        return err_errno(e, "make room for the list of files");
    }
    int rc = write_whole(fd, ids->data ? ids->data : "", ids->len, e);

    return rc ? rc : lseek(fd, 0, SEEK_SET) < 0 ? err_errno(e, "list of files") : take_fd(&fd);
}

static int write_files(struct checkout_work *w, const struct listing *l, struct err *e)
{
    static const char *const args[] = {"cat-file", "--batch", "--buffer", NULL};
    auto_fd int root = open(ENGINE_TREE, O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_fd int ids = -1;
    struct writing wr = {
        .w = w, .tree = {.root_fd = root}, .path = l->paths.data, .n = l->n, .fd = -1};
    struct git_call call = {.args = args, .out = on_blobs, .arg = &wr};
    int rc;

    if (root < 0) {
        return err_errno(e, "open '%s'", ENGINE_TREE);
    }
    ids = ids_file(&l->ids, e);
    if (ids < 0) {
        return ids;
    }
    call.in = ids;
    rc = git_must(&w->git, &call, &w->out->status, e);
    if (rc == 0 && (wr.done != l->n || wr.state == IN_BLOB)) {
        rc = err_set(e, ERR_TOOL, "git gave %u of the tree's %u files only", wr.done, l->n);
    }
    fd_close(&wr.fd);
    tree_writer_done(&wr.tree);
    buf_done(&wr.header);
    buf_done(&wr.small);
    return rc;
}

int checkout_files(struct checkout_work *w, struct err *e)
{
    struct listing l = {.w = w};
    int rc;

    checkout_tell(w, 60);
    rc = list_tree(&l, e);
    if (rc == 0 && l.n > 0) {
        rc = write_files(w, &l, e);
    }
    buf_done(&l.row);
    buf_done(&l.paths);
    buf_done(&l.ids);
    return rc;
}
