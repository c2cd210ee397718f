/* How many tasks of one key may run at the same time: keys that are full are passed over. */
#include <stdlib.h>

#include "base/mem.h"
#include "sched/internal.h"

void key_limit_add(struct sched *s, struct run *r)
{
    const char *key = r->job.key_id ? r->job.key_id : "";
    struct key_use *u = s->keys;

    while (u && !str_eq(u->key, key)) {
        u = u->next;
    }
    if (!u) {
        u = xcalloc(1, sizeof *u);
        u->key = xstrdup(key);
        u->next = s->keys;
        s->keys = u;
    }
    u->n++;
    r->use = u;
}

void key_limit_drop(struct sched *s, struct run *r)
{
    struct key_use **at = &s->keys;
    struct key_use *u = take_ptr(&r->use);

    if (--u->n > 0) {
        return;
    }
    while (*at != u) {
        at = &(*at)->next;
    }
    *at = u->next;
    free(u->key);
    free(u);
}

static bool is_blocked(const struct sched *s, const char *key)
{
    for (size_t i = 0; i < s->blocked.n; i++) {
        if (str_eq(s->blocked.v[i], key)) {
            return true;
        }
    }
    return false;
}

/* But for those whose end is in this transaction. */
static uint32_t running(const struct sched *s, const struct key_use *u)
{
    uint32_t n = u->n;

    for (uint32_t i = 0; i < s->n_live; i++) {
        n -= s->runs[i]->use == u && s->runs[i]->applied;
    }
    return n;
}

/* Adds a key to the blocked ones if as many of its runs as it may have are there. */
static void block_if_full(struct sched *s, const struct key_use *u)
{
    uint32_t most = s->config.max_concurrent(s->config.arg, u->key);

    if (most > 0 && u->n >= most && running(s, u) >= most && !is_blocked(s, u->key)) {
        strvec_push(&s->blocked, u->key);
    }
}

void key_limit_start(struct sched *s)
{
    strvec_done(&s->blocked);
    for (const struct key_use *u = s->keys; s->config.max_concurrent && u; u = u->next) {
        block_if_full(s, u);
    }
}

void key_limit_after_claim(struct sched *s, const struct run *r)
{
    if (s->config.max_concurrent) {
        block_if_full(s, r->use);
    }
}
