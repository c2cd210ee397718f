/* How many tasks of one key may run at the same time: keys that are full are passed over. */
#include "base/mem.h"
#include "sched/internal.h"

static const char *key_of(const struct run *r)
{
    return r->job.key_id ? r->job.key_id : "";
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

/* Adds a key to the blocked ones if as many of its runs as it may have are there. */
static void block_if_full(struct sched *s, const char *key)
{
    uint32_t most = s->config.max_concurrent(s->config.arg, key);
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        n += !s->runs[i]->applied && str_eq(key_of(s->runs[i]), key);
    }
    if (most > 0 && n >= most && !is_blocked(s, key)) {
        strvec_push(&s->blocked, key);
    }
}

/* Whether an earlier run is of the same key. */
static bool seen(const struct sched *s, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++) {
        if (!s->runs[i]->applied && str_eq(key_of(s->runs[i]), key_of(s->runs[at]))) {
            return true;
        }
    }
    return false;
}

void key_limit_start(struct sched *s)
{
    strvec_done(&s->blocked);
    for (uint32_t i = 0; s->config.max_concurrent && i < s->n; i++) {
        if (!s->runs[i]->applied && !seen(s, i)) {
            block_if_full(s, key_of(s->runs[i]));
        }
    }
}

void key_limit_after_claim(struct sched *s, const struct run *r)
{
    if (s->config.max_concurrent) {
        block_if_full(s, key_of(r));
    }
}
