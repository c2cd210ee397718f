/*
 * Reports are read in batches, one a turn; they are applied when they come, acknowledged when the
 * turn is committed. A turn that was undone leaves them unacknowledged: they are read again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "transport/entry.h"
#include "transport/fleet_internal.h"

enum { BLOCK_MS = 5000 };

static void apply_entries(struct fleet *f, const redisReply *entries)
{
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];
        struct err e = {0};

        if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
            entry->element[0]->type != REDIS_REPLY_STRING) {
            continue;
        }
        strvec_push(&f->done, entry->element[0]->str);
        if (f->reading_old && entry->element[0]->len < sizeof f->old_id) {
            memcpy(f->old_id, entry->element[0]->str, entry->element[0]->len + 1);
        }
        if (entry->element[1]->type == REDIS_REPLY_ARRAY &&
            fleet_apply_entry(f, entry->element[1], &e) != 0) {
            f->stats.bad_entries++;
            log_warn("report_refused", KV("error", e.msg));
        }
    }
}

/* [[key, [[id, [k, v, ...]], ...]]], or nil when nothing came. */
static void on_read(void *arg, const redisReply *reply)
{
    struct fleet *f = arg;
    const redisReply *entries = NULL;

    f->reading = false;
    if (!reply) {
        return; /* `down` follows */
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        log_warn("transport_refused", KV("error", reply->str));
        f->again = true; /* NOGROUP: the server has lost its data */
        return;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
        reply->element[0]->type == REDIS_REPLY_ARRAY && reply->element[0]->elements == 2) {
        entries = reply->element[0]->element[1];
    }
    if (entries && entries->type == REDIS_REPLY_ARRAY && entries->elements > 0) {
        apply_entries(f, entries); /* goes on after the commit */
        loop_again(f->loop);
        return;
    }
    /* One that was sent before it was known that there is something old has not seen it. */
    f->pending = f->pending && !f->reading_old;
    fleet_read(f);
}

/* A group that is removed wakes nobody who waits: it is found out in time for the leases. */
static int block_ms(const struct fleet *f)
{
    return (int)MIN(f->config.beat_ms, (uint32_t)BLOCK_MS);
}

void fleet_read(struct fleet *f)
{
    auto_free char *key = fleet_key(f, "reports", "");

    if (f->reading || !f->own || !redis_is_up(f->read)) {
        return;
    }
    f->reading = true;
    f->reading_old = f->pending;
    redis_cmd(f->read, on_read, f, "XREADGROUP GROUP server main COUNT %d BLOCK %d STREAMS %s %s",
              REPORT_BATCH, block_ms(f), key, f->pending ? f->old_id : ">");
}

/* What was read before, and never acknowledged, comes first. */
void fleet_read_anew(struct fleet *f)
{
    auto_free char *key = fleet_key(f, "reports", "");

    f->pending = true;
    f->reading_old = false; /* what is under way began somewhere else */
    memcpy(f->old_id, "0", sizeof "0");
    f->again = false;
    redis_cmd(f->cmd, fleet_on_group, f, "XGROUP CREATE %s server 0 MKSTREAM", key);
    for (struct fleet_queue *q = f->queues; q; q = q->next) {
        q->group = false;
        fleet_make_group(f, q);
    }
    fleet_read(f);
}

static void acknowledge(struct fleet *f)
{
    auto_free char *key = fleet_key(f, "reports", "");

    entries_done(f->cmd, key, "server", &f->done);
}

/* What was applied in this turn is read again; how far each run was before it, the store knows. */
static void forget_turn(struct fleet *f)
{
    for (size_t i = 0; i < FLEET_RUN_HASH; i++) {
        for (struct fleet_run *r = f->by_token[i]; r; r = r->next) {
            r->mine = false;
            r->end_seq = 0;
        }
    }
}

void fleet_after_commit(struct fleet *f, bool committed)
{
    bool applied = f->done.n > 0;

    if (committed) {
        acknowledge(f);
    } else if (applied) {
        forget_turn(f);
        f->again = true;
    }
    strvec_done(&f->done);
    f->done = (struct strvec){0};
    f->filled = true; /* looked at anew */
    crews_tell(f, committed);
    if (applied && committed) {
        fleet_read(f);
    }
}
