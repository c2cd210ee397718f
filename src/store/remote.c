/* Raw output that is in object storage, and what waits for the queues: what other processes ask. */
#include <stdlib.h>

#include "base/mem.h"
#include "store/internal.h"

enum { LIST_MAX = 1000 };

int store_blobs_local(struct store *s, uint32_t limit, blob_fn fn, void *arg, struct err *e)
{
    return store_read_end(s, s->ops->blobs_local(s, limit ? limit : LIST_MAX, fn, arg), e);
}

int store_blob_moved(struct store *s, int64_t job_num, int32_t idx, const char *uri, struct err *e)
{
    auto_free char *path = NULL;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = s->ops->blob_get(s, job_num, idx, &path, NULL);
    }
    if (rc == 0 && !path) {
        rc = store_fail(s, ERR_NOT_FOUND, "no such raw output: its job is gone");
    }
    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        rc = s->ops->blob_move(s, job_num, idx, uri);
    }
    return store_change_end(s, rc, e);
}

int store_blob_uri(struct store *s, int64_t job_num, int32_t idx, char **uri, struct err *e)
{
    char *got = NULL;
    int rc = s->ops->blob_get(s, job_num, idx, NULL, &got);

    if (rc == 0) {
        *uri = got;
    }
    return store_read_end(s, rc, e);
}

int orphan_add(struct store *s, const char *uri)
{
    return uri ? s->ops->orphan_add(s, s->now.next_purge++, uri) : 0;
}

int store_blobs_orphaned(struct store *s, uint32_t limit, orphan_fn fn, void *arg, struct err *e)
{
    return store_read_end(s, s->ops->orphans(s, limit ? limit : LIST_MAX, fn, arg), e);
}

int store_blob_removed(struct store *s, int64_t orphan, struct err *e)
{
    int rc = store_whole(s);

    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        rc = s->ops->orphan_drop(s, orphan);
    }
    return store_change_end(s, rc, e);
}
