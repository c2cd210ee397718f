/* How many tasks of one key may run at the same time: keys that are full are passed over. */
#include "base/mem.h"
#include "sched/internal.h"

static const char *key_of(const struct run *r)
{
    return r->job.key_id ? r->job.key_id : "";
}

static bool has(const struct strvec *v, const char *key)
{
    for (size_t i = 0; i < v->n; i++) {
        if (str_eq(v->v[i], key)) {
            return true;
        }
    }
    return false;
}

static bool is_blocked(const struct sched *s, const char *key)
{
    return has(&s->blocked, key);
}

/* Adds a key to the blocked ones if as many of its runs as it may have are there. */
static void block_if_full(struct sched *s, const char *key)
{
    uint32_t most = s->config.max_concurrent(s->config.arg, key);
    uint32_t n = 0;

    for (uint32_t i = 0; most > 0 && n < most && i < s->n; i++) {
        n += !s->runs[i]->applied && str_eq(key_of(s->runs[i]), key);
    }
    if (most > 0 && n >= most && !is_blocked(s, key)) {
        strvec_push(&s->blocked, key);
    }
}

void key_limit_start(struct sched *s)
{
    struct strvec seen = {0}; /* keys are few */

    strvec_done(&s->blocked);
    for (uint32_t i = 0; s->config.max_concurrent && i < s->n; i++) {
        const char *key = key_of(s->runs[i]);

        if (!s->runs[i]->applied && !has(&seen, key)) {
            strvec_push(&seen, key);
            block_if_full(s, key);
        }
    }
    strvec_done(&seen);
}

void key_limit_after_claim(struct sched *s, const struct run *r)
{
    if (s->config.max_concurrent) {
        block_if_full(s, key_of(r));
    }
}
