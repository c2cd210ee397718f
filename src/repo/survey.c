/*
 * One directory at a time, its names in order, each opened by its name in the directory that is
 * open: no path is ever resolved as a whole, so a link cannot lead anywhere. The repository's path
 * and the one that is told are kept side by side; they differ where names had to be changed.
 */
#include "repo/survey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "repo/text.h"

enum {
    DEPTH_MAX = 100,
    PATH_MAX_TOLD = 3000, /* with what is before it, still a path */
    NAME_KEPT = 180,
    NAMES_TRIED = 10000,
    FILE_BYTES_DEFAULT = 64 << 20,
};

struct walk {
    struct survey *s;
    const struct survey_ask *ask;
    struct buf path, raw; /* of what is being looked at: as told, as the repository has it */
    struct buf text, utf8;
    unsigned depth;
};

static int walk_dir(struct walk *w, int dir_fd, struct err *e);

/* Links have no text of their own, submodules are repositories of their own. */
bool survey_hides(const char *path, const char *why)
{
    const unsigned source = LANG_C | LANG_CXX | LANG_PYTHON | LANG_SHELL;

    return !str_starts(why, "symbolic link") && !str_starts(why, "submodule") &&
           (str_starts(why, "directory") || (language_of(path, "", 0) & source) != 0);
}

void survey_leave(struct survey *s, const char *path, const char *why)
{
    size_t bytes = strlen(path) + strlen(why) + 24;

    s->hidden += survey_hides(path, why);
    if (s->n_left == SURVEY_LEFT_MAX || s->left_bytes + bytes > SURVEY_LEFT_BYTES) {
        s->left_more++;
        return;
    }
    s->left_bytes += bytes;
    s->left[s->n_left++] = (struct survey_left){
        .path = arena_strn(s->arena, path, strlen(path)),
        .why = arena_strn(s->arena, why, strlen(why)),
    };
}

static void cut(struct buf *b, size_t len)
{
    b->len = len;
    if (b->data) {
        b->data[len] = '\0';
    }
}

static void leave(struct walk *w, const char *why)
{
    survey_leave(w->s, w->path.len ? w->path.data : ".", why);
}

/* ---- names ---- */

static bool name_tells(const char *name)
{
    for (const char *p = name; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            return false;
        }
    }
    return utf8_valid(name, strlen(name));
}

static void encode_name(const char *name, struct buf *out)
{
    for (size_t n = strlen(name), i = 0; i < n && out->len < NAME_KEPT;) {
        size_t len = utf8_len(name + i, n - i);
        unsigned char c = (unsigned char)name[i];

        if (len == 0 || c < 0x20 || c == 0x7f || c == '%') {
            buf_addf(out, "%%%02X", c);
            i++;
        } else {
            buf_add(out, name + i, len);
            i += len;
        }
    }
}

/* Gives it a name that can be told. False: it keeps its own. */
static bool rename_it(int dir_fd, const char *name, struct buf *now)
{
    size_t base;

    encode_name(name, now);
    base = now->len;
    for (unsigned i = 2; i < NAMES_TRIED; i++) {
        if (renameat2(dir_fd, name, dir_fd, now->data, RENAME_NOREPLACE) == 0) {
            return true;
        }
        if (errno != EEXIST) {
            return false;
        }
        cut(now, base);
        buf_addf(now, "~%u", i);
    }
    return false;
}

/* ---- files ---- */

static bool read_all(struct walk *w, int fd, size_t size)
{
    buf_reset(&w->text);
    while (w->text.len < size) {
        ssize_t n = read(fd, buf_space(&w->text, size - w->text.len), size - w->text.len);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n == 0) {
            break;
        }
        w->text.len += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool write_all(int fd, const struct buf *b)
{
    size_t at = 0;

    while (at < b->len) {
        ssize_t n = pwrite(fd, b->data + at, b->len - at, (off_t)at);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return ftruncate(fd, (off_t)b->len) == 0;
}

static bool is_lfs_pointer(const struct buf *b)
{
    static const char head[] = "version https://git-lfs.github.com/spec/v1\n";

    return b->len >= sizeof head - 1 && b->len < 1024 &&
           memcmp(b->data, head, sizeof head - 1) == 0;
}

/* NULL: text, in w->text, and UTF-8 on disk. */
static const char *make_text(struct walk *w, int fd, size_t size)
{
    const char *why;

    if (!read_all(w, fd, size)) {
        return "could not be read";
    }
    if (w->text.len == 0) {
        return NULL;
    }
    why = text_not(w->text.data, MIN(w->text.len, (size_t)TEXT_HEAD));
    if (why || is_lfs_pointer(&w->text)) {
        return why ? why : "Git LFS pointer: the content is not in the repository";
    }
    buf_reset(&w->utf8);
    if (!text_to_utf8(w->text.data, w->text.len, &w->utf8)) {
        return NULL;
    }
    w->s->rewritten++;
    if (!write_all(fd, &w->utf8)) {
        return "not UTF-8, and no room to rewrite it";
    }
    buf_reset(&w->text);
    buf_add(&w->text, w->utf8.data, w->utf8.len);
    return NULL;
}

static void add_file(struct walk *w)
{
    struct survey *s = w->s;
    struct survey_file *f;
    unsigned l = w->text.len == 0
                     ? language_of(w->path.data, "", 0)
                     : language_of(w->path.data, w->text.data, MIN(w->text.len, (size_t)TEXT_HEAD));
    unsigned bit = 0;

    l = l ? l : LANG_OTHER_TEXT; /* text_not() has said that it is text */
    if (s->n == s->size) {
        s->size = s->size ? 2 * s->size : 256;
        s->files = xrealloc(s->files, s->size * sizeof *s->files);
    }
    f = &s->files[s->n++];
    *f = (struct survey_file){
        .file = {.path = arena_strn(s->arena, w->path.data, w->path.len),
                 .size = w->text.len,
                 .language = l},
        .agent = survey_is_agents(w->path.data),
    };
    if (strcmp(w->path.data, w->raw.data) != 0) {
        f->origin = arena_strn(s->arena, w->raw.data, w->raw.len);
    }
    while (bit + 1 < SURVEY_LANGUAGES && !(l >> bit & 1)) {
        bit++;
    }
    s->languages[bit]++;
    s->bytes += w->text.len;
    s->agent += f->agent;
}

static int look_at_file(struct walk *w, int dir_fd, const char *name, uint64_t size, struct err *e)
{
    uint32_t max = w->ask->max_file_bytes ? w->ask->max_file_bytes : FILE_BYTES_DEFAULT;
    auto_fd int fd = -1;
    char why[64];
    const char *not_text;

    if (w->ask->max_files && w->s->total >= w->ask->max_files) {
        return err_set(e, ERR_LIMIT, "the tree has more than %u files (max-files)",
                       w->ask->max_files);
    }
    w->s->total++;
    if (size > max) {
        snprintf(why, sizeof why, "larger than %u KiB", max >> 10);
        leave(w, why);
        return 0;
    }
    fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        leave(w, "could not be opened");
        return 0;
    }
    not_text = make_text(w, fd, (size_t)size);
    if (not_text) {
        leave(w, not_text);
    } else {
        add_file(w);
    }
    return 0;
}

/* ---- directories ---- */

/* With everything below it. What cannot be removed stays, and no list of files names it. */
static void remove_all(int dir_fd, const char *name, unsigned depth)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 || depth > DEPTH_MAX ? NULL : fdopendir(fd);

    if (d) {
        for (const struct dirent *at = readdir(d); at; at = readdir(d)) {
            if (strcmp(at->d_name, ".") != 0 && strcmp(at->d_name, "..") != 0) {
                remove_all(dirfd(d), at->d_name, depth + 1);
            }
        }
        closedir(d);
    } else if (fd >= 0) {
        close(fd);
    }
    (void)unlinkat(dir_fd, name, fd >= 0 ? AT_REMOVEDIR : 0);
}

static int enter(struct walk *w, int dir_fd, const char *name, struct err *e)
{
    auto_fd int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc;

    if (fd < 0 || w->depth >= DEPTH_MAX) {
        leave(w, fd < 0 ? "directory that could not be opened"
                        : "directory that is nested too deep, with all that is in it");
        return 0;
    }
    w->depth++;
    rc = walk_dir(w, fd, e);
    w->depth--;
    return rc;
}

static int look_at(struct walk *w, int dir_fd, const char *name, struct err *e)
{
    struct stat st;

    if (strcmp(name, ".git") == 0) {
        remove_all(dir_fd, name, 0);
        return 0;
    }
    if (w->path.len > PATH_MAX_TOLD || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        leave(w, w->path.len > PATH_MAX_TOLD ? "path that is too long" : "could not be looked at");
        return 0;
    }
    if (S_ISDIR(st.st_mode)) {
        return enter(w, dir_fd, name, e);
    }
    if (S_ISREG(st.st_mode)) {
        return look_at_file(w, dir_fd, name, (uint64_t)st.st_size, e);
    }
    w->s->total++;
    leave(w, S_ISLNK(st.st_mode) ? "symbolic link" : "not a file");
    (void)unlinkat(dir_fd, name, 0);
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool list_dir(int dir_fd, struct strvec *names)
{
    int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (!d) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    for (const struct dirent *at = readdir(d); at; at = readdir(d)) {
        if (strcmp(at->d_name, ".") != 0 && strcmp(at->d_name, "..") != 0) {
            strvec_push(names, at->d_name);
        }
    }
    closedir(d);
    if (names->n > 1) {
        qsort(names->v, names->n, sizeof *names->v, by_bytes);
    }
    return true;
}

static int walk_name(struct walk *w, int dir_fd, const char *name, struct err *e)
{
    size_t path_len = w->path.len, raw_len = w->raw.len;
    auto_buf now = {0};
    int rc;

    if (!name_tells(name)) {
        if (!rename_it(dir_fd, name, &now)) {
            w->s->total++;
            survey_leave(w->s, now.len ? now.data : "?", "name that cannot be told, nor changed");
            return 0;
        }
        w->s->renamed++;
    }
    buf_addf(&w->path, "%s%s", path_len ? "/" : "", now.data ? now.data : name);
    buf_addf(&w->raw, "%s%s", raw_len ? "/" : "", name);
    rc = look_at(w, dir_fd, now.data ? now.data : name, e);
    cut(&w->path, path_len);
    cut(&w->raw, raw_len);
    return rc;
}

static int walk_dir(struct walk *w, int dir_fd, struct err *e)
{
    auto_strvec names = {0};
    int rc = 0;

    if (!list_dir(dir_fd, &names)) {
        leave(w, "directory that could not be read");
    }
    for (size_t i = 0; i < names.n && rc == 0; i++) {
        rc = walk_name(w, dir_fd, names.v[i], e);
    }
    return rc;
}

/* Each part by itself: none of them may be a link. */
static int open_subdir(const char *subdir, int *fd, struct err *e)
{
    auto_free char *copy = xstrdup(subdir);

    for (char *save, *p = strtok_r(copy, "/", &save); p; p = strtok_r(NULL, "/", &save)) {
        int next = openat(*fd, p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (next < 0) {
            return err_set(e, ERR_NOT_FOUND, "subdir: there is no directory '%s' in the tree",
                           subdir);
        }
        close(*fd);
        *fd = next;
    }
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct survey_file *x = a, *y = b;

    return strcmp(x->file.path, y->file.path);
}

int survey_run(const struct survey_ask *ask, struct survey *out, struct err *e)
{
    struct walk w = {.s = out, .ask = ask};
    auto_fd int fd = open(ask->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    *out = (struct survey){.arena = arena_new()};
    if (fd < 0) {
        return err_errno(e, "open the tree");
    }
    if (ask->subdir) {
        rc = open_subdir(ask->subdir, &fd, e);
        buf_adds(&w.path, ask->subdir);
        buf_adds(&w.raw, ask->subdir);
    } else {
        buf_adds(&w.path, "");
        buf_adds(&w.raw, "");
    }
    if (rc == 0) {
        rc = walk_dir(&w, fd, e);
    }
    if (out->n > 1) {
        qsort(out->files, out->n, sizeof *out->files, by_path);
    }
    buf_done(&w.path);
    buf_done(&w.raw);
    buf_done(&w.text);
    buf_done(&w.utf8);
    return rc;
}

void survey_done(struct survey *s)
{
    free(s->files);
    arena_free(s->arena);
    *s = (struct survey){0};
}
