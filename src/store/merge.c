/*
 * Merging: what the tasks of a planned job found becomes one set of hosts, in steps.
 *
 * A step takes the task that ended first among those that are not merged, and goes on behind the
 * host and port where the one before stopped: merge_pos in the task's row, written in the same
 * transaction as what was merged, so that neither a crash nor the size of the steps makes a
 * difference. What is kept of two that speak of the same is said in merge.h.
 */
#include "store/merge.h"

#include <string.h>

#include "base/mem.h"
#include "store/internal.h"
#include "store/place.h"

enum {
    ENOUGH = 1,    /* what a sink returns to stop */
    AGAIN = 2,     /* to read the host once more, from its start */
    TASK_COST = 8, /* rows that the end of a task counts for */
};

struct merging {
    struct store *s;
    struct work *w;
    int64_t left; /* rows of this step */
    int64_t seq;  /* host of the task: this one, or the last that is done */
    int64_t port; /* 0: all of it is done, or nothing; else 1 + how many of its ports are */

    /* the host that is being merged */
    bool open, fresh, changed, recount;
    bool waits;         /* it is none yet, until a port of it answers */
    int64_t alive;      /* the host of which one does; 0: none */
    const char *reason; /* of that port, in `arena` */
    int32_t reason_ttl;
    struct host borrowed; /* waits: its head */
    struct merged_host into;
    struct host head;  /* its arrays are owned unless it is fresh */
    int32_t last_port; /* fresh: no port behind this one is there yet */
    uint8_t key[HOST_KEY];
    struct arena *arena, *port_arena; /* strings of what is held */
    struct buf sum;
};

/* ---- hosts ---- */

/* What looks again at what was found makes no hosts, unless there is an open port after all; nor
 * does an address that nobody heard of. */
static bool must_wait(const struct merging *m, const struct host *from)
{
    return m->seq != m->alive && (m->w->part.found_only || host_unseen(from));
}

/* Sums do not hold what was counted before already. */
static bool counts_again(const struct merging *m)
{
    return m->w->part.found_only || m->w->part.repeats;
}

static int host_resume(struct merging *m, const struct host *from, bool has_key)
{
    m->changed = false;
    m->into = (struct merged_host){.result = m->w->board.result, .seq = m->w->job.hosts};
    if (has_key) { /* one without an address was the last that was added */
        int rc = m->s->ops->merged_find(m->s, m->into.result, m->key, &m->into.seq);

        if (rc != 0) {
            return rc;
        }
        if (m->into.seq == 0) {
            m->waits = true;
            m->borrowed = *from;
            return 0;
        }
    }
    return m->s->ops->merged_get(m->s, &m->into, NULL);
}

static void host_new(struct merging *m, const struct host *from)
{
    struct job *j = &m->w->job;

    j->hosts++;
    j->hosts_up += str_eq(from->state, "up");
    m->fresh = m->changed = true;
    m->last_port = -1;
    m->head = *from;
    m->into = (struct merged_host){.result = m->w->board.result,
                                   .seq = j->hosts,
                                   .slot = m->s->now.next_slot++,
                                   .marks = host_marks(from, m->w->row.task.stage)};
}

static int host_again(struct merging *m, const struct host *from)
{
    struct job *j = &m->w->job;
    int rc;

    arena_reset(m->arena);
    m->head = (struct host){.arena = m->arena};
    rc = m->s->ops->merged_get(m->s, &m->into, &m->head);
    if (rc == 0) {
        j->hosts_up -= str_eq(m->head.state, "up");
        m->changed = host_join(&m->head, &m->into.marks, from, m->w->row.task.stage,
                               m->w->part.found_only, &m->sum);
        j->hosts_up += str_eq(m->head.state, "up");
    }
    return rc;
}

static int on_host(void *arg, int64_t seq, const struct host *head, struct err *e)
{
    struct merging *m = arg;
    struct host from = *head;
    bool has_key = place_of(head, m->key);
    int rc = 0;

    (void)e;
    m->seq = seq;
    m->recount = false;
    m->open = true;
    m->fresh = false;
    m->waits = false;
    if (counts_again(m)) {
        from.extraports = NULL;
    }
    if (m->seq == m->alive) {
        host_shown(&from, m->reason, m->reason_ttl);
    }
    if (m->port > 0) {
        return host_resume(m, &from, has_key);
    }
    m->port = 1;
    m->left--;
    m->into = (struct merged_host){.result = m->w->board.result};
    if (has_key) {
        rc = m->s->ops->merged_find(m->s, m->into.result, m->key, &m->into.seq);
    }
    if (rc == 0 && m->into.seq > 0) {
        rc = host_again(m, &from);
    } else if (rc == 0 && has_key && must_wait(m, head)) {
        m->waits = true;
        m->changed = false;
        m->borrowed = from;
    } else if (rc == 0) {
        host_new(m, &from);
    }
    return rc;
}

static void host_forget(struct merging *m)
{
    m->open = false;
    if (!m->fresh) {
        m->head.arena = NULL; /* it is used for the next one */
        host_done(&m->head);
    }
    m->head = (struct host){0};
}

/* While what the source lent is there. */
static int host_close(struct merging *m)
{
    int rc = 0;

    if (m->changed) {
        rc = m->s->ops->merged_put(m->s, &m->into, &m->head, m->fresh ? m->key : NULL);
    } else if (m->recount) {
        rc = m->s->ops->merged_count(m->s, &m->into);
    }
    host_forget(m);
    return rc;
}

/* ---- ports ---- */

static bool is_open(const struct port *p)
{
    return str_eq(p->state, "open");
}

static int port_put(struct merging *m, int32_t key, const struct port *p, int32_t stage, int open)
{
    m->into.n_open += open;
    m->w->job.ports_open += open;
    m->recount = true;
    return m->s->ops->merged_port_put(m->s, &m->into, key, p, stage);
}

static int port_merge(struct merging *m, const struct port *p)
{
    int32_t stage = m->w->row.task.stage;
    int32_t key = port_key(p);
    struct port held;
    struct port out;
    int32_t held_stage = 0;
    bool found = false;
    int rc = 0;

    if (!m->fresh || key <= m->last_port) {
        arena_reset(m->port_arena);
        rc = m->s->ops->merged_port_get(m->s, &m->into, key, m->port_arena, &held, &held_stage,
                                        &found);
    }
    if (rc != 0) {
        return rc;
    }
    if (found) {
        return port_join(&held, held_stage, p, stage, &out)
                   ? port_put(m, key, &out, MAX(stage, held_stage), is_open(&out) - is_open(&held))
                   : 0;
    }
    if (m->w->part.found_only && !is_open(p)) {
        return 0;
    }
    m->last_port = MAX(m->last_port, key);
    m->into.n_ports++;
    return port_put(m, key, p, stage, is_open(p));
}

/* The first port that answers makes it a host; those before it are read again where they count. */
static int port_waits(struct merging *m, const struct port *p)
{
    if (m->w->part.found_only ? !is_open(p) : !port_answered(p)) {
        return 0;
    }
    m->waits = false;
    arena_reset(m->arena); /* no other host is held */
    m->reason = p->reason ? arena_strn(m->arena, p->reason, strlen(p->reason)) : NULL;
    m->reason_ttl = p->reason_ttl;
    if (m->port > 2 && !m->w->part.found_only) {
        m->alive = m->seq;
        return AGAIN;
    }
    host_shown(&m->borrowed, m->reason, m->reason_ttl);
    host_new(m, &m->borrowed);
    return port_merge(m, p);
}

static int on_port(void *arg, const struct port *p, struct err *e)
{
    struct merging *m = arg;

    (void)e;
    if (m->left <= 0) {
        int rc = host_close(m);

        return rc == 0 ? ENOUGH : rc;
    }
    m->left--;
    m->port++;
    return m->waits ? port_waits(m, p) : port_merge(m, p);
}

static int on_host_end(void *arg, struct err *e)
{
    struct merging *m = arg;
    int rc = host_close(m);

    (void)e;
    m->port = 0;
    return rc == 0 && m->left <= 0 ? ENOUGH : rc;
}

/* ---- steps ---- */

/* merge_pos: a host that is done and 0, or one that is not and `port`. */
static int64_t pos_of(const struct merging *m)
{
    return m->seq << 32 | m->port;
}

static int read_source(struct merging *m)
{
    struct host_sink sink = {on_host, on_port, on_host_end, m};
    int rc;

    do {
        int64_t behind = m->port > 0 ? m->seq - 1 : m->seq;
        int64_t ports = MAX(m->port - 1, 0);

        rc = m->s->ops->merge_source(m->s, m->w->row.result, behind, ports, &sink);
        if (rc == AGAIN) {
            host_forget(m);
            m->seq--;
            m->port = 0;
        }
    } while (rc == AGAIN);
    if (m->open) {
        host_forget(m); /* it failed */
    }
    return rc;
}

/* The job's own set begins with its first merged task. */
static int need_set(struct store *s, struct work *w)
{
    if (w->board.result) {
        return 0;
    }
    w->board.result = s->now.next_result++;
    return board_save(s, w);
}

static int merge_some(struct store *s, struct work *w, int64_t *left)
{
    struct merging m = {.s = s,
                        .w = w,
                        .left = *left,
                        .seq = w->part.merge_pos >> 32,
                        .port = w->part.merge_pos & UINT32_MAX,
                        .arena = arena_new(),
                        .port_arena = arena_new()};
    int rc = need_set(s, w);

    if (rc == 0) {
        rc = read_source(&m);
    }
    if (rc == ENOUGH) {
        w->part.merge_pos = pos_of(&m);
        rc = part_save(s, w);
    } else if (rc == 0) {
        m.left -= TASK_COST;
        rc = part_merged(s, w);
    }
    if (rc == 0) {
        rc = work_save(s, w, "job.hosts", NULL);
    }
    *left = m.left;
    arena_free(m.arena);
    arena_free(m.port_arena);
    buf_done(&m.sum);
    return rc;
}

static int merge_next(struct store *s, int64_t *left)
{
    struct task_at at = {0};
    struct work w;
    int rc = s->ops->part_to_merge(s, &at);

    if (rc == 0 && at.job_num == 0) {
        rc = store_fail(s, ERR_INTERNAL, "results to be merged are counted, but not there");
    }
    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        rc = work_load_task(s, NULL, at.job_num, at.idx, &w);
    }
    if (rc == 0) {
        rc = merge_some(s, &w, left);
        work_done(&w);
    }
    return rc;
}

int store_merge_step(struct store *s, uint32_t max_rows, bool *more, struct err *e)
{
    int64_t left = MAX(max_rows, 1u);
    int rc = store_whole(s);

    while (rc == 0 && left > 0 && s->now.tasks_unmerged > 0) {
        rc = merge_next(s, &left);
    }
    if (rc == 0) {
        *more = s->now.tasks_unmerged > 0;
    }
    return store_change_end(s, rc, e);
}
