/*
 * Rendered bodies of terminal jobs, so that a job that many ask for is one copy. The least recently
 * used go first. An entry is current when nothing was committed or changed since it was looked at;
 * else the job's row is read again and its rev compared: no other part has to tell the cache of
 * deletions or new results.
 */
#include <string.h>

#include "base/mem.h"
#include "http/api_priv.h"

enum { CACHE_SLOTS = 512 }; /* power of two */

struct slot {
    struct cached c;
    struct slot *chain;         /* same hash */
    struct slot *newer, *older; /* by use */
};

struct view_cache {
    struct slot *slots[CACHE_SLOTS];
    struct slot *newest, *oldest;
    size_t bytes, max;
};

struct view_cache *view_cache_new(size_t bytes)
{
    struct view_cache *c = xcalloc(1, sizeof *c);

    c->max = bytes;
    return c;
}

static struct slot **chain_of(struct view_cache *c, const struct id *id)
{
    /* The last bytes of an id are random. */
    return &c->slots[(id->b[14] | id->b[15] << 8) & (CACHE_SLOTS - 1)];
}

static void unlink_use(struct view_cache *c, struct slot *s)
{
    *(s->newer ? &s->newer->older : &c->newest) = s->older;
    *(s->older ? &s->older->newer : &c->oldest) = s->newer;
}

static void link_newest(struct view_cache *c, struct slot *s)
{
    s->newer = NULL;
    s->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = s;
    c->newest = s;
}

static size_t weight(const struct cached *e)
{
    return sizeof(struct slot) + e->n;
}

static void remove_slot(struct view_cache *c, struct slot *s)
{
    struct slot **at = chain_of(c, &s->c.id);

    while (*at != s) {
        at = &(*at)->chain;
    }
    *at = s->chain;
    unlink_use(c, s);
    c->bytes -= weight(&s->c);
    free(s->c.body);
    free(s);
}

static struct slot *find(struct view_cache *c, const struct id *id, enum api_surface surface)
{
    for (struct slot *s = *chain_of(c, id); s; s = s->chain) {
        if (s->c.surface == surface && id_cmp(&s->c.id, id) == 0) {
            return s;
        }
    }
    return NULL;
}

struct cached *view_cache_find(struct view_cache *c, const struct id *id, enum api_surface surface)
{
    struct slot *s = find(c, id, surface);

    if (!s) {
        return NULL;
    }
    if (s != c->newest) {
        unlink_use(c, s);
        link_newest(c, s);
    }
    return &s->c;
}

void view_cache_put(struct view_cache *c, const struct cached *entry)
{
    struct slot *s = find(c, &entry->id, entry->surface);
    struct slot **chain;

    if (s) {
        remove_slot(c, s);
    }
    if (entry->n > CACHE_BODY_MAX || weight(entry) > c->max) {
        return;
    }
    while (c->bytes + weight(entry) > c->max) {
        /* The analyser does not know that `oldest` has moved on. */
        remove_slot(c, c->oldest); /* NOLINT(clang-analyzer-unix.Malloc) */
    }
    s = xcalloc(1, sizeof *s);
    s->c = *entry;
    s->c.body = xmalloc(entry->n + 1);
    memcpy(s->c.body, entry->body, entry->n);
    chain = chain_of(c, &entry->id);
    s->chain = *chain;
    *chain = s;
    link_newest(c, s);
    c->bytes += weight(entry);
}

void view_cache_drop(struct view_cache *c, const struct id *id)
{
    for (int surface = 0; surface < SURFACES; surface++) {
        struct slot *s = find(c, id, (enum api_surface)surface);

        if (s) {
            remove_slot(c, s);
        }
    }
}

void view_cache_clear(struct view_cache *c)
{
    struct slot *next;

    for (struct slot *s = c->newest; s; s = next) {
        next = s->older;
        free(s->c.body);
        free(s);
    }
    *c = (struct view_cache){.max = c->max};
}

void view_cache_free(struct view_cache *c)
{
    if (c) {
        view_cache_clear(c);
        free(c);
    }
}

size_t view_cache_bytes(const struct view_cache *c)
{
    return c->bytes;
}

/* Reads the job's row again: still there, and the same? */
static bool still_current(struct api *a, struct cached *e)
{
    struct job job;
    bool same;

    job_init(&job);
    same =
        store_job_get(a->store, &e->id, &job, NULL) == 0 && job.num == e->num && job.rev == e->rev;
    job_done(&job);
    return same;
}

struct cached *api_cached(struct api *a, const struct id *id, enum api_surface surface)
{
    struct cached *e = view_cache_find(a->cache, id, surface);
    int64_t last = store_event_last(a->store);

    if (!e) {
        return NULL;
    }
    if (store_dirty(a->store) || e->seen != last) {
        if (!still_current(a, e)) {
            view_cache_drop(a->cache, id);
            return NULL;
        }
        if (!store_dirty(a->store)) {
            e->seen = last;
        }
    }
    if (a->cfg.ttl_us && e->completed_us < wall_us() - a->cfg.ttl_us) {
        view_cache_drop(a->cache, id);
        return NULL;
    }
    return e;
}

void api_cache_body(struct api *a, const struct job *job, enum api_surface surface,
                    const struct buf *b)
{
    if (!job_state_terminal(job->state) || store_dirty(a->store) || b->over) {
        return;
    }
    view_cache_put(a->cache, &(struct cached){.id = job->id,
                                              .surface = surface,
                                              .num = job->num,
                                              .rev = job->rev,
                                              .completed_us = job->completed_us,
                                              .seen = store_event_last(a->store),
                                              .n = b->len,
                                              .body = b->data});
}
