#include "store/sqlite_log.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { KEPT_MAX = 256 << 10, WRITE_MAX = 96 << 10 }; /* SQLite's own VFS expects < 128 KiB */

struct log_file {
    sqlite3_file base;
    char *kept;
    int n_kept;
    sqlite3_int64 at;   /* where the first kept byte belongs */
    sqlite3_file *real; /* follows this struct */
};

static struct log_file *log_of(sqlite3_file *f)
{
    return (struct log_file *)(void *)f;
}

static int flush(struct log_file *l)
{
    int rc = SQLITE_OK;

    for (int done = 0; rc == SQLITE_OK && done < l->n_kept; done += WRITE_MAX) {
        rc = l->real->pMethods->xWrite(l->real, l->kept + done, MIN(l->n_kept - done, WRITE_MAX),
                                       l->at + done);
    }
    if (rc == SQLITE_OK) {
        l->n_kept = 0;
    }
    return rc;
}

/* What is kept now was never committed. */
static int log_close(sqlite3_file *f)
{
    struct log_file *l = log_of(f);

    free(l->kept);
    return l->real->pMethods->xClose(l->real);
}

static int log_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    struct log_file *l = log_of(f);
    int rc = flush(l);

    return rc == SQLITE_OK ? l->real->pMethods->xRead(l->real, out, n, at) : rc;
}

static int log_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    struct log_file *l = log_of(f);

    if (l->n_kept > 0 && (at != l->at + l->n_kept || n > KEPT_MAX - l->n_kept)) {
        int rc = flush(l);

        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    if (n > KEPT_MAX) {
        return l->real->pMethods->xWrite(l->real, p, n, at);
    }
    if (l->n_kept == 0) {
        l->at = at;
    }
    memcpy(l->kept + l->n_kept, p, (size_t)n);
    l->n_kept += n;
    return SQLITE_OK;
}

static int log_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct log_file *l = log_of(f);
    int rc = flush(l);

    return rc == SQLITE_OK ? l->real->pMethods->xTruncate(l->real, size) : rc;
}

static int log_sync(sqlite3_file *f, int flags)
{
    struct log_file *l = log_of(f);
    int rc = flush(l);

    return rc == SQLITE_OK ? l->real->pMethods->xSync(l->real, flags) : rc;
}

static int log_size(sqlite3_file *f, sqlite3_int64 *size)
{
    struct log_file *l = log_of(f);
    int rc = flush(l);

    return rc == SQLITE_OK ? l->real->pMethods->xFileSize(l->real, size) : rc;
}

static int log_lock(sqlite3_file *f, int level)
{
    return log_of(f)->real->pMethods->xLock(log_of(f)->real, level);
}

static int log_unlock(sqlite3_file *f, int level)
{
    return log_of(f)->real->pMethods->xUnlock(log_of(f)->real, level);
}

static int log_reserved(sqlite3_file *f, int *out)
{
    return log_of(f)->real->pMethods->xCheckReservedLock(log_of(f)->real, out);
}

static int log_control(sqlite3_file *f, int op, void *arg)
{
    return log_of(f)->real->pMethods->xFileControl(log_of(f)->real, op, arg);
}

static int log_sector(sqlite3_file *f)
{
    return log_of(f)->real->pMethods->xSectorSize(log_of(f)->real);
}

static int log_traits(sqlite3_file *f)
{
    return log_of(f)->real->pMethods->xDeviceCharacteristics(log_of(f)->real);
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1, /* a log is neither shared nor mapped */
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector,
    .xDeviceCharacteristics = log_traits,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    sqlite3_vfs *real = vfs->pAppData;
    struct log_file *l = log_of(f);
    int rc;

    if (!(flags & SQLITE_OPEN_WAL)) {
        return real->xOpen(real, name, f, flags, out_flags);
    }
    *l = (struct log_file){.real = (sqlite3_file *)(void *)(l + 1)};
    rc = real->xOpen(real, name, l->real, flags, out_flags);
    if (rc != SQLITE_OK) {
        if (l->real->pMethods) { /* it wants to be closed in spite of that */
            l->real->pMethods->xClose(l->real);
        }
        return rc;
    }
    l->kept = xmalloc(KEPT_MAX);
    l->base.pMethods = &log_methods;
    return SQLITE_OK;
}

int sqlite_log_end(sqlite3 *db, bool committed)
{
    sqlite3_file *f = NULL;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f) != SQLITE_OK || !f ||
        f->pMethods != &log_methods) {
        return SQLITE_OK;
    }
    if (committed) {
        return flush(log_of(f));
    }
    log_of(f)->n_kept = 0;
    return SQLITE_OK;
}

const char *sqlite_log_vfs(void)
{
    static sqlite3_vfs vfs;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);

    if (vfs.zName || !real) {
        return vfs.zName;
    }
    vfs = *real; /* whose other functions do not look at their VFS */
    vfs.pNext = NULL;
    vfs.zName = "scanpod";
    vfs.pAppData = real;
    vfs.szOsFile = (int)sizeof(struct log_file) + real->szOsFile;
    vfs.xOpen = open_file;
    if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK) {
        vfs.zName = NULL;
    }
    return vfs.zName;
}
