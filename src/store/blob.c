/*
 * Raw files. The window is small (128 KiB), so that a writer needs 1.2 MiB however large
 * the output is; scanners repeat themselves at short distances, so that costs little.
 *
 * The end of a writer syncs the file. The file systems that we run on make a new file's name
 * durable with it.
 */
#include "store/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/digest.h"

enum {
    LEVEL = 3,
    WINDOW_LOG = 17,
    TABLE_LOG = 15,
    SHORT_TABLE_LOG = 12,
    CHUNK = 32 * 1024,
    FOLDER_LEN = 2,
};

/* ---- names ---- */

char *blob_path(const struct lease *l)
{
    char id[ID_TEXT + 1];
    const char *folder = id + ID_TEXT - FOLDER_LEN; /* the first digits are the time */

    id_text(&l->job_id, id);
    if (l->idx == 0) {
        return str_fmt("%s/%s.%" PRIu32 ".zst", folder, id, l->epoch);
    }
    return str_fmt("%s/%s.%" PRId32 ".%" PRIu32 ".zst", folder, id, l->idx, l->epoch);
}

/* A dot and a number; NULL: something else. */
static const char *after_number(const char *p)
{
    size_t digits = *p == '.' ? strspn(p + 1, "0123456789") : 0;

    return digits > 0 && digits <= 10 ? p + 1 + digits : NULL;
}

/* Only names that blob_path() makes: a path from elsewhere must not lead out of the directory. */
static bool well_formed(const char *path)
{
    size_t n = strspn(path, "0123456789abcdef");
    const char *name = path + FOLDER_LEN + 1;
    const char *rest;

    if (n != FOLDER_LEN || path[FOLDER_LEN] != '/' || strspn(name, "0123456789abcdef") != ID_TEXT ||
        memcmp(path, name + ID_TEXT - FOLDER_LEN, FOLDER_LEN) != 0) {
        return false;
    }
    rest = after_number(name + ID_TEXT);
    if (rest && after_number(rest)) { /* of another task than the first */
        rest = after_number(rest);
    }
    return rest && strcmp(rest, ".zst") == 0;
}

static int check_path(const char *path, struct err *e)
{
    return well_formed(path) ? 0 : err_set(e, ERR_INVALID, "'%s' names no raw file", path);
}

int blob_create(const char *dir, const char *path, int *out_fd, struct err *e)
{
    auto_free char *full = str_fmt("%s/%s", dir, path);
    auto_free char *folder = str_fmt("%s/%.*s", dir, FOLDER_LEN, path);
    int rc = check_path(path, e);
    int fd;

    if (rc != 0) {
        return rc;
    }
    if (mkdir(folder, 0700) < 0 && errno != EEXIST) {
        return err_errno(e, "create folder '%s'", folder);
    }
    fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_errno(e, "create raw file '%s'", full);
    }
    *out_fd = fd;
    return 0;
}

void blob_remove(const char *dir, const char *path)
{
    auto_free char *full = str_fmt("%s/%s", dir, path);

    if (well_formed(path)) {
        unlink(full);
    }
}

/* ---- writing ---- */

struct blob_writer {
    int fd;
    ZSTD_CCtx *z;
    struct sha256 *hash;
    uint64_t size, stored;
    size_t held;    /* of `first`; the size of a short output is known before its compression */
    bool streaming; /* it is longer than that */
    char first[CHUNK];
    char out[CHUNK];
};

/* Clearing large tables takes longer than compressing a short output, and makes it no smaller. */
static void set_tables(ZSTD_CCtx *z, int log)
{
    ZSTD_CCtx_setParameter(z, ZSTD_c_hashLog, log);
    ZSTD_CCtx_setParameter(z, ZSTD_c_chainLog, log);
}

struct blob_writer *blob_writer_new(int fd)
{
    struct blob_writer *w = xmalloc(sizeof *w);

    w->fd = fd;
    w->size = w->stored = w->held = 0;
    w->streaming = false;
    w->hash = sha256_new();
    w->z = ZSTD_createCCtx();
    if (!w->z) {
        abort();
    }
    ZSTD_CCtx_setParameter(w->z, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(w->z, ZSTD_c_windowLog, WINDOW_LOG);
    set_tables(w->z, TABLE_LOG);
    ZSTD_CCtx_setParameter(w->z, ZSTD_c_checksumFlag, 1);
    return w;
}

static int put(struct blob_writer *w, size_t n, struct err *e)
{
    size_t done = 0;

    while (done < n) {
        ssize_t k = write(w->fd, w->out + done, n - done);

        if (k < 0 && errno != EINTR) {
            return err_errno(e, "write raw output");
        }
        done += k > 0 ? (size_t)k : 0;
    }
    w->stored += n;
    return 0;
}

/* Feeds `in` and writes what comes out; at the end until nothing is left. */
static int compress(struct blob_writer *w, ZSTD_inBuffer *in, ZSTD_EndDirective how, struct err *e)
{
    size_t left;

    do {
        ZSTD_outBuffer out = {w->out, sizeof w->out, 0};
        int rc;

        left = ZSTD_compressStream2(w->z, &out, in, how);
        if (ZSTD_isError(left)) {
            return err_set(e, ERR_INTERNAL, "compress raw output: %s", ZSTD_getErrorName(left));
        }
        rc = put(w, out.pos, e);
        if (rc != 0) {
            return rc;
        }
    } while (how == ZSTD_e_end ? left > 0 : in->pos < in->size);
    return 0;
}

int blob_write(struct blob_writer *w, const void *p, size_t n, struct err *e)
{
    ZSTD_inBuffer in = {p, n, 0};

    sha256_add(w->hash, p, n);
    w->size += n;
    if (!w->streaming && n <= sizeof w->first - w->held) {
        memcpy(w->first + w->held, p, n);
        w->held += n;
        return 0;
    }
    if (!w->streaming) {
        ZSTD_inBuffer first = {w->first, w->held, 0};
        int rc = compress(w, &first, ZSTD_e_continue, e);

        if (rc != 0) {
            return rc;
        }
        w->streaming = true;
    }
    return compress(w, &in, ZSTD_e_continue, e);
}

int blob_writer_end(struct blob_writer *w, char sha256[65], uint64_t *size, uint64_t *stored,
                    struct err *e)
{
    ZSTD_inBuffer in = {w->first, w->streaming ? 0 : w->held, 0};
    uint8_t hash[32];
    int rc;

    if (!w->streaming) {
        set_tables(w->z, SHORT_TABLE_LOG);
    }
    rc = compress(w, &in, ZSTD_e_end, e);
    if (rc == 0 && fsync(w->fd) < 0) {
        rc = err_errno(e, "sync raw output");
    }
    if (rc == 0) {
        sha256_end(take_ptr(&w->hash), hash);
        sha256_hex(hash, sha256);
        *size = w->size;
        *stored = w->stored;
    }
    blob_writer_free(w);
    return rc;
}

void blob_writer_free(struct blob_writer *w)
{
    uint8_t unused[32];

    if (w) {
        if (w->hash) {
            sha256_end(w->hash, unused);
        }
        ZSTD_freeCCtx(w->z);
        fd_close(&w->fd);
        free(w);
    }
}

/* ---- reading ---- */

struct blob_reader {
    int fd;
    ZSTD_DCtx *z;
    ZSTD_inBuffer in;
    bool ended; /* a whole frame was read */
    bool full;  /* the last call filled its buffer: there may be more without input */
    char data[CHUNK];
};

struct blob_reader *blob_reader_new(int fd)
{
    struct blob_reader *r = xmalloc(sizeof *r);

    r->fd = fd;
    r->ended = r->full = false;
    r->in = (ZSTD_inBuffer){r->data, 0, 0};
    r->z = ZSTD_createDCtx();
    if (!r->z) {
        abort();
    }
    ZSTD_DCtx_setParameter(r->z, ZSTD_d_windowLogMax, WINDOW_LOG);
    return r;
}

int blob_reader_open(const char *dir, const char *path, struct blob_reader **out, struct err *e)
{
    auto_free char *full = str_fmt("%s/%s", dir, path);
    int rc = check_path(path, e);
    int fd;

    if (rc != 0) {
        return rc;
    }
    fd = open(full, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return err_errno(e, "open raw file '%s'", full);
    }
    *out = blob_reader_new(fd);
    return 0;
}

/* 1: there is input, 0: the file ends where a frame ends. */
static int refill(struct blob_reader *r, struct err *e)
{
    ssize_t k;

    do {
        k = read(r->fd, r->data, sizeof r->data);
    } while (k < 0 && errno == EINTR);
    if (k < 0) {
        return err_errno(e, "read raw file");
    }
    if (k == 0) {
        return r->ended ? 0 : err_set(e, ERR_IO, "raw file ends too early");
    }
    if (r->ended) {
        return err_set(e, ERR_IO, "raw file has data after its end");
    }
    r->in.size = (size_t)k;
    r->in.pos = 0;
    return 1;
}

int blob_read(struct blob_reader *r, void *p, size_t size, size_t *n, struct err *e)
{
    ZSTD_outBuffer out = {p, size, 0};

    while (out.pos == 0 && size > 0) {
        size_t left;

        if (r->in.pos == r->in.size && !r->full) {
            int rc = refill(r, e);

            if (rc < 0) {
                return rc;
            }
            if (rc == 0) {
                break;
            }
        }
        left = ZSTD_decompressStream(r->z, &out, &r->in);
        if (ZSTD_isError(left)) {
            return err_set(e, ERR_IO, "raw file is damaged: %s", ZSTD_getErrorName(left));
        }
        r->ended = left == 0;
        r->full = !r->ended && out.pos == out.size;
    }
    *n = out.pos;
    return 0;
}

void blob_reader_free(struct blob_reader *r)
{
    if (r) {
        ZSTD_freeDCtx(r->z);
        close(r->fd);
        free(r);
    }
}
