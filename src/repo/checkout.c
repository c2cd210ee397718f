/* The steps of a checkout, in order, and what is left of it. */
#include "repo/checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "repo/checkout_work.h"
#include "repo/git_ssh.h"
#include "repo/tree_write.h"

enum { TELL_MS = 200 };

/* ---- what the steps share ---- */

void checkout_tell(struct checkout_work *w, unsigned percent)
{
    int64_t now = boot_ms();

    if ((int)percent > w->percent && (now - w->told_ms >= TELL_MS || percent >= 100)) {
        w->percent = (int)MIN(percent, 100u);
        w->told_ms = now;
        dprintf(STDERR_FILENO, "progress checkout %d\n", w->percent);
    }
}

void checkout_leave(struct checkout *c, const char *path, const char *why)
{
    auto_buf shown = {0};
    struct checkout_left *l;

    if (c->n_left == CHECKOUT_LEFT_MAX) {
        c->left_more++;
        return;
    }
    buf_add_escaped(&shown, path, strnlen(path, TREE_PATH_MAX));
    c->left = xrealloc(c->left, (c->n_left + 1) * sizeof *c->left);
    l = &c->left[c->n_left++];
    l->path = buf_take(&shown);
    l->why = xstrdup(why);
}

bool checkout_elsewhere(const struct repo_request *q)
{
    return q->head || (q->commit && !q->branch);
}

int checkout_fail(struct checkout_work *w, enum checkout_status status, int rc)
{
    w->out->status = status;
    return rc;
}

int checkout_over(struct checkout_work *w, bool bytes, struct err *e)
{
    int rc = bytes ? err_set(e, ERR_LIMIT,
                             "the tree has more than %llu MiB, which is the limit: raise max_bytes "
                             "(setting repo-max-mb), "
                             "or scan a part of it (subdir)",
                             (unsigned long long)(w->s->max_bytes >> 20))
                   : err_set(e, ERR_LIMIT,
                             "the tree has more than %u files, which is the limit: raise max_files "
                             "(setting repo-max-files), "
                             "or scan a part of it (subdir)",
                             w->s->max_files);

    return checkout_fail(w, CHECKOUT_LIMIT, rc);
}

bool checkout_wanted(const struct checkout_work *w, const char *path)
{
    const char *dir = w->s->request.subdir;
    size_t n = dir ? strlen(dir) : 0;

    return !dir || (strncmp(path, dir, n) == 0 && path[n] == '/');
}

/* ---- the repository ---- */

static int put_file(const char *path, const char *text, struct err *e)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    return fd < 0 ? err_errno(e, "make '%s'", path) : write_whole(fd, text, strlen(text), e);
}

int repository_make(bool sha256, struct err *e)
{
    static const char *const dirs[] = {REPO_GIT_DIR, REPO_GIT_DIR "/objects", REPO_GIT_DIR "/refs"};
    const char *config = sha256 ? "[core]\n\trepositoryformatversion = 1\n\tbare = true\n"
                                  "[extensions]\n\tobjectFormat = sha256\n"
                                : "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        if (mkdir(dirs[i], 0700) < 0 && errno != EEXIST) {
            return err_errno(e, "make '%s'", dirs[i]);
        }
    }
    if (access(REPO_GIT_DIR "/HEAD", F_OK) < 0) {
        rc = put_file(REPO_GIT_DIR "/HEAD", "ref: refs/heads/none\n", e);
    }
    return rc ? rc : put_file(REPO_GIT_DIR "/config", config, e);
}

struct reading {
    struct buf *out;
    size_t max;
};

static int on_text(void *arg, const char *p, size_t n, struct err *e)
{
    struct reading *r = arg;

    if (r->out->len + n > r->max) {
        return err_set(e, ERR_LIMIT, "git says more than %zu bytes of the repository", r->max);
    }
    buf_add(r->out, p, n);
    return 0;
}

int git_read(struct checkout_work *w, const char *const *args, bool network, size_t max,
             struct buf *out, struct err *e)
{
    struct reading r = {.out = out, .max = max};
    const struct git_call call = {
        .args = args, .network = network, .in = -1, .out = on_text, .arg = &r};

    return git_must(&w->git, &call, &w->out->status, e);
}

int git_commit_of(struct checkout_work *w, const char *revision, char out[COMMIT_TEXT],
                  struct err *e)
{
    auto_free char *commit = str_fmt("%s^{commit}", revision);
    const char *const args[] = {"rev-parse",        "--verify", "--quiet",
                                "--end-of-options", commit,     NULL};
    auto_buf text = {0};
    struct reading r = {.out = &text, .max = 256};
    const struct git_call call = {.args = args, .in = -1, .out = on_text, .arg = &r};
    struct git_end end = {0};
    int rc = git_run(&w->git, &call, &end, e);

    if (rc == 0 && end.status == 0 && (text.len == 41 || text.len == 65)) {
        memcpy(out, text.data, text.len - 1);
        out[text.len - 1] = '\0';
    } else {
        out[0] = '\0';
        rc = rc == 0 && end.late ? git_explain(&w->git, &end, &w->out->status, e) : rc;
    }
    git_end_done(&end);
    return rc;
}

/* ---- the way to the server ---- */

/* Where systems keep the certificates that they trust. */
static const char *const ca_files[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

static int choose_ca(struct checkout_work *w, struct err *e)
{
    if (w->s->has_ca) {
        w->git.ca_file = REPO_CA_FILE;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(ca_files) && !w->git.ca_file; i++) {
        w->git.ca_file = access(ca_files[i], R_OK) == 0 ? ca_files[i] : NULL;
    }
    return w->git.ca_file || !str_starts(w->url, "https://")
               ? 0
               : checkout_fail(w, CHECKOUT_REFUSED,
                               err_set(e, ERR_NOT_FOUND,
                                       "there is no list of trusted certificates: install the "
                                       "package ca-certificates, or set repo-ca-file"));
}

static int start_ssh(struct checkout_work *w, struct err *e)
{
    const struct repo_spec *s = w->s;
    int rc;

    if (!s->ssh) {
        return checkout_fail(w, CHECKOUT_REFUSED,
                             err_set(e, ERR_NOT_FOUND,
                                     "an ssh URL needs the program ssh, which is not installed: "
                                     "install openssh-client, or use https"));
    }
    if (!s->ssh_key) {
        return checkout_fail(w, CHECKOUT_REFUSED,
                             err_set(e, ERR_INVALID,
                                     "an ssh URL needs a key: name a secret that is a private key "
                                     "as 'credential', or use https"));
    }
    if (!s->known_hosts) {
        return checkout_fail(w, CHECKOUT_REFUSED,
                             err_set(e, ERR_INVALID,
                                     "an ssh URL needs known hosts, or anybody could stand in for "
                                     "the server: set repo-known-hosts, or use https"));
    }
    rc = git_ssh_start(s, &w->git.relay, e);
    if (rc == 0) {
        w->url = git_ssh_url(w->git.relay);
    }
    return rc;
}

static void forget_key(struct repo_spec *s)
{
    if (s->ssh_key) {
        secure_zero(s->ssh_key, strlen(s->ssh_key));
        free(s->ssh_key);
        s->ssh_key = NULL;
    }
}

/* ---- the steps ---- */

/*
 * Some servers (GitLab) redirect to the path with ".git" at its end, which is not part of a
 * canonical URL, and others know no path with it. Redirects are not followed, so it is tried: of a
 * gateway as the one behind the same prefix and "suffix", if there is one.
 */
static char *other_url(const struct checkout_work *w)
{
    if (w->out->status != CHECKOUT_REFUSED || w->answered) {
        return NULL;
    }
    return str_starts(w->url, REPO_GATEWAY_URL) ? str_fmt("%ssuffix", w->url)
           : str_starts(w->url, "https://")     ? str_fmt("%s.git", w->url)
                                                : NULL;
}

static int fetch_either(struct checkout_work *w, struct err *e)
{
    const char *first = w->url;
    int rc = checkout_fetch(w, e);
    auto_free char *url = rc == ERR_NOT_FOUND || rc == ERR_INVALID ? other_url(w) : NULL;
    enum checkout_status status = w->out->status;

    if (!url) {
        return rc;
    }
    w->url = url;
    w->out->status = CHECKOUT_OK;
    if (checkout_fetch(w, NULL) == 0) {
        rc = 0;
    } else {
        w->out->status = status;
    }
    w->url = first;
    return rc;
}

static int get_objects(struct checkout_work *w, struct err *e)
{
    int rc;

    if (w->s->local) {
        return checkout_unpack(w, e);
    }
    rc = repository_make(false, e);
    rc = rc ? rc : choose_ca(w, e);
    if (rc == 0 && str_starts(w->url, "ssh://")) {
        rc = start_ssh(w, e);
    }
    rc = rc ? rc : fetch_either(w, e);
    git_ssh_stop(w->git.relay);
    w->git.relay = NULL;
    return rc;
}

static int run(struct checkout_work *w, struct err *e)
{
    int rc = 0;

    if (mkdir(ENGINE_TREE, 0755) < 0 && errno != EEXIST) {
        return err_errno(e, "make '%s'", ENGINE_TREE);
    }
    rc = get_objects(w, e);
    forget_key(w->s);
    if (rc == 0 && w->head[0]) {
        rc = checkout_files(w, e);
        rc = rc ? rc : checkout_compare(w, e);
    }
    if (rc == 0) {
        w->out->commit = w->head[0] ? xstrdup(w->head) : NULL;
        w->out->base = w->base[0] ? xstrdup(w->base) : NULL;
    }
    return rc;
}

int checkout_run(struct repo_spec *s, struct checkout *out, struct err *e)
{
    int64_t start_ms = boot_ms();
    struct checkout_work w = {.s = s, .out = out, .url = s->clone_url, .percent = -1};
    int rc, removed;

    *out = (struct checkout){0};
    w.git.spec = s;
    w.git.deadline_ms = start_ms + (int64_t)s->clone_s * 1000;
    checkout_tell(&w, 0);
    rc = run(&w, e);
    forget_key(s);
    removed = tree_remove(REPO_GIT_DIR, rc ? NULL : e);
    rc = rc ? rc : removed;
    if (rc != 0 && out->status == CHECKOUT_OK) {
        out->status = rc == ERR_FULL || rc == ERR_LIMIT ? CHECKOUT_LIMIT : CHECKOUT_FAILED;
    }
    if (rc == ERR_FULL) {
        rc = err_set(e, ERR_LIMIT,
                     "the tree does not fit into the limits of a checkout: raise max_bytes "
                     "(setting repo-max-mb), or "
                     "scan a part of it (subdir)");
    }
    if (rc == 0) {
        checkout_tell(&w, 100);
        out->duration_ms = (uint32_t)(boot_ms() - start_ms);
    }
    return rc;
}

/* ---- what it found ---- */

void checkout_done(struct checkout *c)
{
    for (uint32_t i = 0; i < c->n_left; i++) {
        free(c->left[i].path);
        free(c->left[i].why);
    }
    for (uint32_t i = 0; i < c->n_changed; i++) {
        free(c->changed[i].path);
        free(c->changed[i].from);
        free(c->changed[i].lines);
    }
    for (uint32_t i = 0; i < c->n_renamed; i++) {
        free(c->renamed[i].from);
        free(c->renamed[i].to);
    }
    free(c->left);
    free(c->changed);
    free(c->renamed);
    free(c->branch);
    free(c->commit);
    free(c->base);
    strvec_done(&c->notes);
    *c = (struct checkout){0};
}

const struct checkout_change *checkout_changed(const struct checkout *c, const char *path)
{
    size_t low = 0;
    size_t high = c->n_changed;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(path, c->changed[mid].path);

        if (order == 0) {
            return &c->changed[mid];
        }
        if (order < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return NULL;
}

bool checkout_line_changed(const struct checkout *c, const char *path, uint32_t line)
{
    const struct checkout_change *change = c->base ? checkout_changed(c, path) : NULL;

    if (!c->base || (change && (change->whole || line == 0))) {
        return true;
    }
    for (uint32_t i = 0; change && i < change->n_lines; i++) {
        if (line >= change->lines[i].first && line <= change->lines[i].last) {
            return true;
        }
    }
    return false;
}
