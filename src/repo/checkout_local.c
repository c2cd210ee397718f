/* A directory of the caller's machine, which comes on standard input (repo/pack.h). */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "repo/checkout_work.h"
#include "repo/pack.h"
#include "repo/ref.h"

static void on_left(void *arg, const char *path, const char *why)
{
    checkout_leave(arg, path, why);
}

static int unpack_tree(struct checkout_work *w, struct err *e)
{
    const struct repo_spec *s = w->s;
    const struct pack_limits limits = {.max_bytes = s->max_bytes,
                                       .max_files = s->max_files,
                                       .max_file_bytes = s->max_file_bytes,
                                       .subdir = s->request.subdir};
    struct unpacked told = {.left = on_left, .arg = w->out};
    auto_fd int root = open(ENGINE_TREE, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc;

    if (root < 0) {
        return err_errno(e, "open '%s'", ENGINE_TREE);
    }
    rc = unpack_directory(STDIN_FILENO, root, &limits, &told, e);
    w->out->bytes = told.bytes;
    w->out->files = told.files;
    if (rc == 0 && told.files == 0 && s->request.subdir) {
        return checkout_fail(
            w, CHECKOUT_REFUSED,
            err_set(e, ERR_NOT_FOUND, "there is no file below '%s'", s->request.subdir));
    }
    return rc;
}

static int unpack_objects(struct checkout_work *w, struct err *e)
{
    const struct pack_limits limits = {.max_bytes = w->s->max_bytes, .max_files = UINT32_MAX};
    struct unpacked told = {0};
    int rc = mkdir(REPO_GIT_DIR, 0700) < 0 ? err_errno(e, "make '%s'", REPO_GIT_DIR) : 0;
    auto_fd int root = open(REPO_GIT_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (rc == 0 && root < 0) {
        rc = err_errno(e, "open '%s'", REPO_GIT_DIR);
    }
    rc = rc ? rc : unpack_directory(STDIN_FILENO, root, &limits, &told, e);
    return rc ? rc : repository_make(access(REPO_GIT_DIR "/sha256", F_OK) == 0, e);
}

/* A commit, or a branch or tag; of a clone, also a branch that only its origin has. */
static int resolve(struct checkout_work *w, const char *name, char out[COMMIT_TEXT], struct err *e)
{
    static const char *const places[] = {"refs/heads/", "refs/tags/", "refs/remotes/origin/", ""};
    int rc = 0;

    out[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(places) && rc == 0 && !out[0]; i++) {
        auto_free char *full = str_fmt("%s%s", places[i], name);

        if (*places[i] ? !repo_is_commit(name)
                       : repo_is_commit(name) || str_starts(name, "refs/")) {
            rc = git_commit_of(w, full, out, e);
        }
    }
    if (rc == 0 && !out[0]) {
        rc = checkout_fail(
            w, CHECKOUT_REFUSED,
            err_set(e, ERR_NOT_FOUND, "the repository has no commit, branch or tag '%s'", name));
    }
    return rc;
}

static int resolve_head(struct checkout_work *w, struct err *e)
{
    static const char *const args[] = {"symbolic-ref", "--quiet", "--short", "HEAD", NULL};
    const struct repo_request *q = &w->s->request;
    const char *name = q->commit ? q->commit : q->head ? q->head : q->branch;
    auto_buf branch = {0};
    int rc;

    if (git_read(w, args, false, REPO_REF_MAX + 16, &branch, NULL) == 0 && branch.len > 1) {
        branch.data[--branch.len] = '\0';
    } else {
        buf_reset(&branch); /* a commit was checked out, no branch */
    }
    w->out->status = CHECKOUT_OK;
    if (name) {
        rc = resolve(w, name, w->head, e);
    } else {
        rc = git_commit_of(w, "HEAD", w->head, e);
        if (rc == 0 && !w->head[0]) {
            rc = checkout_fail(
                w, CHECKOUT_REFUSED,
                err_set(e, ERR_NOT_FOUND, "the repository is empty: it has no commit yet"));
        }
    }
    if (rc == 0 && checkout_elsewhere(q)) {
        char tip[COMMIT_TEXT] = "";

        rc = git_commit_of(w, q->branch ? q->branch : "HEAD", tip, NULL);
        w->out->aside = rc != 0 || !str_eq(tip, w->head);
        rc = 0;
    }
    w->out->branch = xstrdup(q->branch                      ? q->branch
                             : branch.len && branch.data[0] ? branch.data
                                                            : NULL);
    return rc;
}

int checkout_unpack(struct checkout_work *w, struct err *e)
{
    const struct repo_request *q = &w->s->request;
    bool tree = str_eq(w->s->local, "tree");
    int rc = tree ? unpack_tree(w, e) : unpack_objects(w, e);

    if (rc == 0 && tree && (q->commit || q->base)) {
        return checkout_fail(w, CHECKOUT_REFUSED,
                             err_set(e, ERR_INVALID,
                                     "plain files have no commits: scan the directory as a "
                                     "repository"));
    }
    if (rc != 0 || tree) {
        return rc;
    }
    rc = resolve_head(w, e);
    rc = rc || !q->base ? rc : resolve(w, q->base, w->base, e);
    if (rc == 0 && w->s->last_commit) {
        (void)git_commit_of(w, w->s->last_commit, w->last, NULL);
    }
    return rc;
}
