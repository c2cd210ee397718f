/* Events and remembered requests in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/mem.h"

/* ---- events ---- */

static const struct event *event_at(struct mem *m, size_t i)
{
    return &((struct mem_event *)m->lists[MEM_EVENT].v[i])->ev;
}

int mem_event_put(struct store *s, const struct event *ev)
{
    struct mem_event *me = xcalloc(1, sizeof *me);

    me->ev = *ev;
    me->ev.type = event_type_name(event_type_num(ev->type));
    me->ev.data = xstrdup(ev->data);
    mem_add(mem_of(s), MEM_EVENT, me);
    return 0;
}

int mem_events(struct store *s, int64_t after, int64_t last, uint32_t limit, event_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    uint32_t given = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->lists[MEM_EVENT].n && given < limit; i++) {
        const struct event *ev = event_at(m, i);

        if (ev->seq > after && ev->seq <= last) {
            rc = fn(arg, ev, &s->err);
            given++;
        }
    }
    return rc;
}

int64_t mem_event_first(struct store *s)
{
    struct mem *m = mem_of(s);

    return m->lists[MEM_EVENT].n ? event_at(m, 0)->seq : 0;
}

int mem_event_older(struct store *s, int64_t before_us, int64_t upto, uint32_t limit, int64_t *last,
                    int64_t *n)
{
    struct mem *m = mem_of(s);

    for (size_t i = 0; i < m->lists[MEM_EVENT].n && *n < limit; i++) {
        if (event_at(m, i)->at_us >= before_us || event_at(m, i)->seq > upto) {
            break;
        }
        *last = event_at(m, i)->seq;
        ++*n;
    }
    return 0;
}

int mem_event_drop(struct store *s, int64_t last)
{
    struct mem *m = mem_of(s);

    while (m->lists[MEM_EVENT].n && event_at(m, 0)->seq <= last) {
        mem_remove(m, MEM_EVENT, 0);
    }
    return 0;
}

/* ---- remembered requests ---- */

int mem_idem_find(struct store *s, const char *key_id, const char *idem, uint8_t fingerprint[32],
                  struct id *job, bool *found)
{
    struct mem *m = mem_of(s);

    *found = false;
    for (size_t i = 0; i < m->lists[MEM_IDEM].n; i++) {
        const struct mem_idem *mi = m->lists[MEM_IDEM].v[i];

        if (strcmp(mi->key_id, key_id) == 0 && strcmp(mi->idem, idem) == 0) {
            memcpy(fingerprint, mi->fingerprint, sizeof mi->fingerprint);
            *job = mi->job;
            *found = true;
        }
    }
    return 0;
}

int mem_idem_put(struct store *s, const char *key_id, const char *idem,
                 const uint8_t fingerprint[32], const struct id *job, int64_t now_us)
{
    struct mem_idem *mi = xcalloc(1, sizeof *mi);

    mi->key_id = xstrdup(key_id);
    mi->idem = xstrdup(idem);
    memcpy(mi->fingerprint, fingerprint, sizeof mi->fingerprint);
    mi->job = *job;
    mi->at_us = now_us;
    mem_add(mem_of(s), MEM_IDEM, mi);
    return 0;
}

bool mem_idem_older(struct store *s, int64_t before_us)
{
    struct mem *m = mem_of(s);

    for (size_t i = 0; i < m->lists[MEM_IDEM].n; i++) {
        if (((struct mem_idem *)m->lists[MEM_IDEM].v[i])->at_us < before_us) {
            return true;
        }
    }
    return false;
}

int mem_idem_drop(struct store *s, int64_t before_us)
{
    struct mem *m = mem_of(s);

    for (size_t i = m->lists[MEM_IDEM].n; i > 0; i--) {
        if (((struct mem_idem *)m->lists[MEM_IDEM].v[i - 1])->at_us < before_us) {
            mem_remove(m, MEM_IDEM, i - 1);
        }
    }
    return 0;
}
