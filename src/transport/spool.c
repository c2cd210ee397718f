#include "transport/spool.h"

#include <assert.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "transport/message.h"

#define MAGIC "scanpod-spool-1\n"
enum { MAGIC_LEN = sizeof MAGIC - 1, HEAD = 4 };

struct kept {
    uint32_t n;   /* bytes */
    uint8_t *mem; /* owned; NULL: in the file */
    uint64_t at;  /* there */
};

struct spool {
    char *dir;            /* owned */
    struct lease lease;   /* the files' */
    struct lease written; /* the messages', if `own` */
    bool own;             /* they were written by this process */
    struct kept *kept;    /* owned; without the pieces of the raw output */
    size_t n, size;
    size_t in_file; /* the first so many of `kept` are in the file */
    size_t memory;
    int fd; /* -1: no file yet */
    uint64_t end;
    bool settled;
    int raw_fd;       /* -1: none */
    size_t raw_after; /* so many of `kept` come before its pieces */
    uint64_t raw_pieces, raw_size;
};

static char *path_of(const char *dir, const struct lease *l, const char *suffix)
{
    char text[LEASE_TEXT + 1];

    lease_text(l, text);
    for (char *p = text; *p; p++) {
        *p = *p == '/' ? '.' : *p;
    }
    return str_fmt("%s/%s.%s", dir, text, suffix);
}

static const char *suffix_of(const struct spool *s)
{
    return s->settled ? "spool" : "part";
}

struct spool *spool_new(const char *dir, const struct lease *l)
{
    struct spool *s = xcalloc(1, sizeof *s);

    s->dir = xstrdup(dir);
    s->lease = s->written = *l;
    s->own = true;
    s->fd = s->raw_fd = -1;
    return s;
}

static void unlink_file(const struct spool *s, const char *suffix)
{
    auto_free char *path = path_of(s->dir, &s->lease, suffix);

    (void)unlink(path);
}

void spool_free(struct spool *s)
{
    if (!s) {
        return;
    }
    if (!s->settled && s->fd >= 0) {
        unlink_file(s, "part");
    }
    if (!s->settled && s->raw_fd >= 0) {
        unlink_file(s, "raw");
    }
    for (size_t i = 0; i < s->n; i++) {
        free(s->kept[i].mem);
    }
    fd_close(&s->fd);
    fd_close(&s->raw_fd);
    free(s->kept);
    free(s->dir);
    free(s);
}

void spool_remove(struct spool *s)
{
    if (s && s->settled) {
        unlink_file(s, "spool");
        unlink_file(s, "raw");
        s->settled = false;
    }
    spool_free(s);
}

/* ---- what is in it ---- */

static struct kept *push(struct spool *s)
{
    if (s->n == s->size) {
        s->size = s->size ? s->size * 2 : 4;
        s->kept = xrealloc(s->kept, s->size * sizeof *s->kept);
    }
    s->kept[s->n] = (struct kept){0};
    return &s->kept[s->n++];
}

void spool_add(struct spool *s, const void *message, size_t n)
{
    struct kept *k = push(s);

    assert(!s->settled && n <= HEAD + MESSAGE_MAX);
    k->mem = xmalloc(n);
    memcpy(k->mem, message, n);
    k->n = (uint32_t)n;
    s->memory += n;
}

static int open_raw(struct spool *s, const char *path, struct err *e)
{
    struct stat st;

    s->raw_fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (s->raw_fd < 0 || fstat(s->raw_fd, &st) < 0) {
        err_errno(e, "open '%s'", path);
        fd_close(&s->raw_fd);
        return ERR_IO;
    }
    s->raw_size = (uint64_t)st.st_size;
    s->raw_pieces = (s->raw_size + MESSAGE_RAW_MAX - 1) / MESSAGE_RAW_MAX;
    return 0;
}

int spool_add_raw(struct spool *s, const char *path, struct err *e)
{
    auto_free char *here = path_of(s->dir, &s->lease, "raw");

    assert(s->raw_fd < 0 && !s->settled);
    if (rename(path, here) < 0) {
        return err_errno(e, "move '%s' to '%s'", path, here);
    }
    s->raw_after = s->n;
    if (open_raw(s, here, e) != 0) {
        (void)unlink(here);
        return ERR_IO;
    }
    return 0;
}

uint64_t spool_last(const struct spool *s)
{
    return s->n + s->raw_pieces;
}

/* Which one of `kept` it is; NULL: *piece of the raw output. */
static struct kept *find(const struct spool *s, uint64_t seq, uint64_t *piece)
{
    uint64_t i = seq - 1;

    assert(seq > 0 && seq <= spool_last(s));
    if (i < s->raw_after || s->raw_pieces == 0) {
        return &s->kept[i];
    }
    if (i < s->raw_after + s->raw_pieces) {
        *piece = i - s->raw_after;
        return NULL;
    }
    return &s->kept[i - s->raw_pieces];
}

static size_t piece_size(const struct spool *s, uint64_t piece)
{
    return (size_t)MIN(s->raw_size - piece * MESSAGE_RAW_MAX, (uint64_t)MESSAGE_RAW_MAX);
}

size_t spool_size(const struct spool *s, uint64_t seq)
{
    uint64_t piece = 0;
    const struct kept *k = find(s, seq, &piece);

    return k ? k->n : piece_size(s, piece);
}

static int read_at(int fd, void *to, size_t n, uint64_t at, struct err *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, (char *)to + done, n - done, (off_t)(at + done));

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? err_errno(e, "read a kept report")
                           : err_set(e, ERR_IO, "read a kept report: the file is too short");
        }
        done += (size_t)got;
    }
    return 0;
}

static bool same_lease(const struct lease *a, const struct lease *b)
{
    return a->token == b->token && a->epoch == b->epoch && a->idx == b->idx &&
           id_cmp(&a->job_id, &b->job_id) == 0;
}

static void put_again(struct buf *out, const struct message *m, const struct lease *as)
{
    switch (m->type) {
    case MSG_HOSTS:
        put_hosts(out, as, m->seq, m->data, m->n);
        break;
    case MSG_END:
        put_end(out, as, m->seq, &m->outcome);
        break;
    case MSG_RELEASE:
        put_release(out, as, m->seq, m->why);
        break;
    case MSG_WAIT:
        put_wait(out, as, m->seq, m->until_us);
        break;
    default:
        break; /* nothing else is kept */
    }
}

static int relabel(const uint8_t *p, size_t n, const struct lease *as, struct buf *out,
                   struct err *e)
{
    struct message m = {0};
    int rc = message_next(&p, &n, &m, e);

    if (rc == 0) {
        put_again(out, &m, as);
        message_done(&m);
    }
    return rc;
}

static int get_piece(const struct spool *s, uint64_t seq, uint64_t piece, const struct lease *as,
                     struct buf *out, struct err *e)
{
    auto_free void *bytes = xmalloc(MESSAGE_RAW_MAX);
    size_t n = piece_size(s, piece);
    int rc = read_at(s->raw_fd, bytes, n, piece * MESSAGE_RAW_MAX, e);

    if (rc == 0) {
        put_raw(out, as, seq, piece * MESSAGE_RAW_MAX, bytes, n);
    }
    return rc;
}

int spool_get(struct spool *s, uint64_t seq, const struct lease *as, struct buf *out, struct err *e)
{
    uint64_t piece = 0;
    const struct kept *k = find(s, seq, &piece);
    auto_free uint8_t *bytes = NULL;
    const uint8_t *p;

    if (!k) {
        return get_piece(s, seq, piece, as, out, e);
    }
    p = k->mem;
    if (!p) {
        int rc;

        p = bytes = xmalloc(k->n);
        if ((rc = read_at(s->fd, bytes, k->n, k->at, e)) != 0) {
            return rc;
        }
    }
    if (!s->own || !same_lease(as, &s->written)) {
        return relabel(p, k->n, as, out, e);
    }
    buf_add(out, p, k->n);
    return 0;
}

size_t spool_memory(const struct spool *s)
{
    return s->memory;
}

uint64_t spool_stored(const struct spool *s)
{
    return s->end + s->raw_size;
}

/* ---- files ---- */

static int write_at(int fd, const void *p, size_t n, uint64_t at, struct err *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(fd, (const char *)p + done, n - done, (off_t)(at + done));

        if (put < 0 && errno != EINTR) {
            return err_errno(e, "keep a report");
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return 0;
}

static int open_part(struct spool *s, struct err *e)
{
    auto_free char *path = path_of(s->dir, &s->lease, "part");
    auto_fd int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0) {
        return err_errno(e, "make '%s'", path);
    }
    rc = write_at(fd, MAGIC, MAGIC_LEN, 0, e);
    if (rc != 0) {
        (void)unlink(path);
        return rc;
    }
    s->end = MAGIC_LEN;
    s->fd = take_fd(&fd);
    return 0;
}

int spool_spill(struct spool *s, struct err *e)
{
    uint64_t end;
    int rc = s->fd < 0 ? open_part(s, e) : 0;

    end = s->end;
    for (size_t i = s->in_file; rc == 0 && i < s->n; i++) {
        rc = write_at(s->fd, s->kept[i].mem, s->kept[i].n, end, e);
        s->kept[i].at = end;
        end += s->kept[i].n;
    }
    if (rc != 0) {
        return rc;
    }
    for (; s->in_file < s->n; s->in_file++) {
        free(take_ptr(&s->kept[s->in_file].mem));
    }
    s->end = end;
    s->memory = 0;
    return 0;
}

static int sync_dir(const char *dir, struct err *e)
{
    auto_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? err_errno(e, "sync '%s'", dir) : 0;
}

int spool_settle(struct spool *s, struct err *e)
{
    auto_free char *part = path_of(s->dir, &s->lease, "part");
    auto_free char *whole = path_of(s->dir, &s->lease, "spool");
    int rc = s->settled ? 0 : spool_spill(s, e);

    if (rc != 0 || s->settled) {
        return rc;
    }
    if (fsync(s->fd) < 0 || rename(part, whole) < 0) {
        return err_errno(e, "keep '%s'", whole);
    }
    s->settled = true;
    return sync_dir(s->dir, e);
}

bool spool_settled(const struct spool *s)
{
    return s->settled;
}

static int move(const struct spool *s, const struct lease *now, const char *suffix, struct err *e)
{
    auto_free char *from = path_of(s->dir, &s->lease, suffix);
    auto_free char *to = path_of(s->dir, now, suffix);

    return rename(from, to) < 0 ? err_errno(e, "rename '%s'", from) : 0;
}

/* The raw output first: a .spool whose .raw has another name is not whole. */
int spool_rename(struct spool *s, const struct lease *now, struct err *e)
{
    int rc = s->raw_fd >= 0 ? move(s, now, "raw", e) : 0;

    if (rc == 0 && s->fd >= 0) {
        rc = move(s, now, suffix_of(s), e);
    }
    if (rc == 0) {
        s->lease = *now;
        rc = s->settled ? sync_dir(s->dir, e) : 0;
    }
    return rc;
}

/* ---- what an earlier process left ---- */

/* Where each message lies; the last one is read whole. */
static int index_file(struct spool *s, uint64_t size, struct err *e)
{
    char magic[MAGIC_LEN];
    int rc = read_at(s->fd, magic, MAGIC_LEN, 0, e);

    if (rc != 0 || memcmp(magic, MAGIC, MAGIC_LEN) != 0) {
        return err_set(e, ERR_INVALID, "it is no spool file");
    }
    for (s->end = MAGIC_LEN; s->end < size;) {
        uint32_t n;
        struct kept *k;

        if (read_at(s->fd, &n, sizeof n, s->end, e) != 0) {
            return ERR_INVALID;
        }
        n = le32toh(n);
        if (n > MESSAGE_MAX || n + HEAD > size - s->end) {
            return err_set(e, ERR_INVALID, "it ends too early");
        }
        k = push(s);
        k->at = s->end;
        k->n = n + HEAD;
        s->end += k->n;
        s->in_file = s->n;
    }
    return 0;
}

static int check_end(struct spool *s, struct err *e)
{
    auto_buf bytes = {0};
    struct message m = {0};
    const uint8_t *p;
    size_t n;
    int rc;

    if (s->n == 0) {
        return err_set(e, ERR_INVALID, "it is empty");
    }
    s->raw_after = s->n - 1;
    s->own = false;
    if ((rc = spool_get(s, spool_last(s), &s->lease, &bytes, e)) != 0) {
        return rc;
    }
    p = (const uint8_t *)bytes.data;
    n = bytes.len;
    if ((rc = message_next(&p, &n, &m, e)) != 0) {
        return rc;
    }
    if (m.type != MSG_END || m.seq != spool_last(s) || m.outcome.state != JOB_COMPLETED) {
        rc = err_set(e, ERR_INVALID, "it does not end with a complete result");
    }
    message_done(&m);
    return rc;
}

static int load(struct spool *s, struct err *e)
{
    auto_free char *path = path_of(s->dir, &s->lease, "spool");
    auto_free char *raw = path_of(s->dir, &s->lease, "raw");
    struct stat st;
    int rc;

    s->settled = true;
    s->fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        return err_errno(e, "open '%s'", path);
    }
    if ((rc = index_file(s, (uint64_t)st.st_size, e)) != 0) {
        return rc;
    }
    if (access(raw, F_OK) == 0 && (rc = open_raw(s, raw, e)) != 0) {
        return rc;
    }
    return check_end(s, e);
}

/* "ID.IDX.EPOCH.TOKEN.SUFFIX". False: something else. */
static bool read_name(const char *name, struct lease *l, const char **suffix)
{
    auto_free char *text = xstrdup(name);
    char *dot = strrchr(text, '.');

    if (!dot) {
        return false;
    }
    *suffix = name + (dot - text) + 1;
    *dot = '\0';
    for (char *p = text; *p; p++) {
        *p = *p == '.' ? '/' : *p;
    }
    return lease_parse(text, l);
}

/* Files beside a .spool that is there, and nothing else, stay. */
static bool wanted(const char *dir, const struct lease *l, const char *suffix)
{
    auto_free char *whole = path_of(dir, l, "spool");

    return str_eq(suffix, "raw") && access(whole, F_OK) == 0;
}

struct loading {
    const char *dir;
    void (*found)(void *arg, const struct lease *l, struct spool *s);
    void *arg;
    uint32_t *removed;
};

static void look_at(const struct loading *ld, const char *name)
{
    struct lease l;
    const char *suffix;
    auto_free char *path = str_fmt("%s/%s", ld->dir, name);
    struct err e = {0};

    if (name[0] == '.') {
        return;
    }
    if (read_name(name, &l, &suffix) && str_eq(suffix, "spool")) {
        struct spool *s = spool_new(ld->dir, &l);

        if (load(s, &e) == 0) {
            ld->found(ld->arg, &l, s);
        } else {
            ++*ld->removed;
            spool_remove(s);
        }
    } else if (!read_name(name, &l, &suffix) || !wanted(ld->dir, &l, suffix)) {
        ++*ld->removed;
        (void)unlink(path);
    }
}

int spools_load(const char *dir, void (*found)(void *arg, const struct lease *l, struct spool *s),
                void *arg, uint32_t *removed, struct err *e)
{
    const struct loading ld = {.dir = dir, .found = found, .arg = arg, .removed = removed};
    DIR *d = opendir(dir);
    auto_strvec names = {0};

    if (!d) {
        return err_errno(e, "read '%s'", dir);
    }
    for (const struct dirent *x; (x = readdir(d));) {
        strvec_push(&names, x->d_name);
    }
    closedir(d);
    *removed = 0;
    for (size_t i = 0; i < names.n; i++) { /* .raw of a broken .spool may be looked at before it */
        look_at(&ld, names.v[i]);
    }
    return 0;
}
