/*
 * `scanpod raw-cat DIR PATH` writes a stored raw output to standard output. It is what a reparse
 * runs in a box in place of the tool, so that the same pipe, parser and limits are used.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/serve.h"
#include "store/blob.h"

static int write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(STDOUT_FILENO, p, n);

        if (k < 0 && errno != EINTR) {
            return -1;
        }
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        }
    }
    return 0;
}

int raw_cat_main(const char *dir, const char *path)
{
    static char chunk[65536];
    struct blob_reader *r;
    struct err e = {0};
    size_t n = 0;
    int rc = blob_reader_open(dir, path, &r, &e);

    signal(SIGPIPE, SIG_IGN); /* a parser that has enough is no fault of the file */

    if (rc != 0) {
        fprintf(stderr, "error: %s\n", e.msg);
        return err_exit_status(rc);
    }
    while ((rc = blob_read(r, chunk, sizeof chunk, &n, &e)) == 0 && n > 0) {
        if (write_all(chunk, n) < 0) {
            break;
        }
    }
    blob_reader_free(r);
    if (rc != 0) {
        fprintf(stderr, "error: %s\n", e.msg);
        return err_exit_status(rc);
    }
    return 0;
}
