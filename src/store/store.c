#include "store/store.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/digest.h"
#include "store/internal.h"

/* ---- failures ---- */

int store_fail(struct store *s, int code, const char *fmt, ...)
{
    va_list ap;

    s->err.code = code;
    va_start(ap, fmt);
    vsnprintf(s->err.msg, sizeof s->err.msg, fmt, ap);
    va_end(ap);
    return code;
}

int store_whole(struct store *s)
{
    return s->broken ? store_fail(s, s->broken, "%s", s->why.msg) : 0;
}

int store_begin(struct store *s)
{
    int rc;

    if (s->in_turn) {
        return 0;
    }
    rc = s->ops->begin(s);
    if (rc == 0) {
        s->in_turn = true;
    }
    return rc;
}

int store_read_end(struct store *s, int rc, struct err *e)
{
    if (rc < 0 && e) {
        *e = s->err;
        e->code = rc;
    }
    return rc;
}

int store_change_end(struct store *s, int rc, struct err *e)
{
    if ((rc == ERR_IO || rc == ERR_FULL || rc == ERR_INTERNAL) && !s->broken) {
        s->broken = rc;
        s->why = s->err;
    }
    if (rc == 0) {
        s->stats.ops++;
    }
    return store_read_end(s, rc, e);
}

/* ---- opening ---- */

static int64_t real_clock(void *arg)
{
    (void)arg;
    return wall_us();
}

uint64_t token_made(const struct store *s, const struct id *job, int32_t idx, uint32_t epoch)
{
    uint8_t in[sizeof s->secret + ID_LEN + sizeof idx + sizeof epoch];
    uint8_t hash[32];
    uint64_t token;
    uint8_t *p = in;

    memcpy(p, s->secret, sizeof s->secret);
    p += sizeof s->secret;
    memcpy(p, job->b, ID_LEN);
    p += ID_LEN;
    memcpy(p, &idx, sizeof idx);
    p += sizeof idx;
    memcpy(p, &epoch, sizeof epoch);
    sha256_of(in, sizeof in, hash);
    memcpy(&token, hash, sizeof token);
    secure_zero(in, sizeof in);
    return token ? token : 1;
}

uint64_t store_token(struct store *s, const struct id *job, int32_t idx, uint32_t epoch)
{
    return s->token ? s->token(s->hook_arg) : token_made(s, job, idx, epoch);
}

void store_set_secret(struct store *s, const uint8_t secret[32])
{
    memcpy(s->secret, secret, sizeof s->secret);
}

int64_t store_now(struct store *s)
{
    int64_t now = s->clock(s->hook_arg);

    return now > 0 ? now : 1; /* 0 stands for "not yet" */
}

void store_set_hooks(struct store *s, int64_t (*clock)(void *arg), uint64_t (*token)(void *arg),
                     void *arg)
{
    s->clock = clock;
    s->token = token;
    s->hook_arg = arg;
}

static void note_ready(void *arg, const struct ready_task *t)
{
    ready_load(((struct store *)arg)->ready, t);
}

int store_load_ready(struct store *s)
{
    int rc;

    s->ready = ready_new();
    rc = s->ops->task_ready(s, note_ready, s);
    ready_loaded(s->ready);
    return rc;
}

int store_open_locked(const char *url, int lock_fd, struct store **out, struct err *e)
{
    struct store *s = NULL;
    int rc;

    if (str_starts(url, "sqlite:") && url[7]) {
        rc = sqlite_open(url + 7, lock_fd, &s, e);
    } else if (str_eq(url, "mem:")) {
        rc = mem_open(&s);
        fd_close(&lock_fd);
    } else {
        rc = err_set(e, ERR_INVALID, "store '%s' is neither 'sqlite:DIR' nor 'mem:'", url);
    }
    if (rc != 0) {
        return rc;
    }
    assert(s);
    store_set_hooks(s, real_clock, NULL, NULL);
    s->now = s->committed;
    s->line_issues_max = LINE_ISSUES_MAX;
    *out = s;
    return 0;
}

int store_open(const char *url, struct store **out, struct err *e)
{
    auto_fd int fd = -1;
    int rc = 0;

    if (str_starts(url, "sqlite:") && url[7]) {
        rc = store_lock(url + 7, &fd, e);
    }
    if (rc == 0) {
        rc = store_open_locked(url, fd, out, e);
    }
    if (rc == 0) {
        take_fd(&fd);
    }
    return rc;
}

void store_close(struct store *s)
{
    if (s) {
        store_rollback(s);
        key_tallies_done(s);
        ready_free(s->ready);
        s->ops->close(s);
    }
}

void store_set_limits(struct store *s, const struct store_limits *l)
{
    s->limits = *l;
}

/* ---- turns ---- */

bool store_dirty(const struct store *s)
{
    return s->in_turn || s->broken;
}

void store_rollback(struct store *s)
{
    if (s->in_turn) {
        s->ops->rollback(s);
    }
    s->in_turn = false;
    s->broken = 0;
    s->now = s->committed;
    key_tallies_rollback(s);
    kinds_forget(s);
    ready_rollback(s->ready);
    intake_drop_all(s);
}

int store_commit(struct store *s, struct err *e)
{
    int64_t start = boot_us();
    int64_t took;
    int rc = store_whole(s);

    if (rc == 0 && !s->in_turn) {
        return 0;
    }
    if (rc == 0) {
        rc = intake_flush(s);
    }
    if (rc == 0) {
        rc = key_tallies_flush(s);
    }
    if (rc == 0) {
        rc = s->ops->commit(s, &s->now);
    }
    if (rc != 0) {
        s->stats.failed_commits++;
        store_rollback(s);
        return store_read_end(s, rc, e);
    }
    s->in_turn = false;
    s->committed = s->now;
    key_tallies_committed(s);
    ready_commit(s->ready);
    took = boot_us() - start;
    s->stats.commits++;
    s->stats.commit_us_total += took;
    s->stats.commit_us_max = MAX(s->stats.commit_us_max, took);
    return 0;
}

void store_idle(struct store *s)
{
    if (!store_dirty(s)) {
        s->ops->idle(s);
    }
}

int store_check(struct store *s, struct err *e)
{
    return store_read_end(s, s->ops->check(s), e);
}

void store_stats(struct store *s, struct store_stats *out)
{
    *out = s->stats;
    out->log_bytes = s->ops->log_bytes(s);
}
