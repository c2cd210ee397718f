/* What time brings: tasks that are due, jobs that are too old, rows and files of those that are
 * gone. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sched/internal.h"
#include "store/blob.h"
#include "store/findings.h"

enum { EXPIRE_BATCH = 200, PURGE_ROWS = 500 };
static const int64_t event_keep_us = INT64_C(7) * 86400 * 1000000;
static const int64_t idem_keep_us = INT64_C(86400) * 1000000;

void housekeeping(struct sched *s)
{
    int64_t now = wall_us();
    int64_t due_us = 0;
    int64_t expire_us = 0;
    int64_t purge_id = 0;
    int64_t n = 0;
    bool more = false;
    char *path = NULL;

    s->ticked = false;
    if (store_task_due(s->store, now, &due_us, NULL) != 0 ||
        store_queue_expire(s->store, now, &expire_us, NULL) != 0) {
        return;
    }
    if (due_us) {
        timer_arm(s->loop, &s->due, due_us > now ? (due_us - now) / 1000 + 1 : 1);
    }
    if (s->config.retention_us &&
        store_job_expire(s->store, now - s->config.retention_us, EXPIRE_BATCH, &n, NULL) == 0 &&
        n > 0) {
        log_info("jobs_expired", KV("count", n));
    }
    store_event_expire(s->store, now - event_keep_us, EXPIRE_BATCH, &n, NULL);
    store_idem_expire(s->store, now - idem_keep_us, NULL);
    (void)store_triage_expire(s->store, now, NULL, NULL);
    if (store_purge_step(s->store, PURGE_ROWS, &more, &path, &purge_id, NULL) == 0 && path) {
        if (s->blob_dir) {
            blob_remove(s->blob_dir, path);
        }
        store_purge_done(s->store, purge_id, NULL);
        more = true;
    }
    free(path);
    if (more) {
        s->ticked = true;
        loop_again(s->loop);
    }
}

/* A batch a turn. */
void wake_waiting(struct sched *s)
{
    if (store_task_wake(s->store, &s->wake_after, NULL) != 0) {
        return;
    }
    s->woke = true;
    s->waking = s->wake_after > 0;
    if (s->waking) {
        loop_again(s->loop);
    }
}
