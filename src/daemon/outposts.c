#include "daemon/outposts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/find_host.h"
#include "daemon/transport_url.h"
#include "model/queue.h"

enum { BEAT_MS = 10000, KILL_MS = 60000, LEASE_MS = 80000 };

struct outposts {
    struct loop *loop;
    struct store *store;
    struct outposts_config config;
    char *blob_dir; /* owned */
    struct redis_url url;
    struct strvec own; /* queues */
    bool scans_here;
    struct fleet *fleet;
    char version[32]; /* of zmap, what outposts_facts() hands out */
};

static const char *key_name(void *arg, const char *key_id)
{
    struct outposts *o = arg;

    return in_force_key_name(o->config.scope, o->store, key_id);
}

static void unfit(void *arg, const char *why)
{
    struct outposts *o = arg;

    o->config.unfit(o->config.arg, why);
}

int outposts_new(struct loop *l, struct store *s, const struct outposts_config *c,
                 struct outposts **out, struct err *e)
{
    struct outposts *o;
    struct redis_url url;
    bool has = false;
    int rc = transport_url(c->settings, false, &url, &has, e);

    if (rc != 0 || !has) {
        *out = NULL;
        return rc;
    }
    o = xcalloc(1, sizeof *o);
    o->loop = l;
    o->store = s;
    o->config = *c;
    o->config.blob_dir = o->blob_dir = xstrdup(c->blob_dir);
    o->url = url;
    o->scans_here = option_from(c->settings, "max-scan-workers", NULL) != FROM_DEFAULT &&
                    option_int(c->settings, "max-scan-workers") > 0;
    strvec_push(&o->own, queue_kind_names[QUEUE_IMPORT]);
    *out = o;
    return 0;
}

int outposts_start(struct outposts *o, struct sched *sc, struct err *e)
{
    uint32_t scale = (uint32_t)option_int(o->config.settings, "lease-scale");
    const struct fleet_config c = {
        .url = &o->url,
        .beat_ms = BEAT_MS / scale,
        .kill_ms = KILL_MS / scale,
        .lease_ms = LEASE_MS / scale,
        .blob_dir = o->blob_dir,
        .key_name = key_name,
        .resolve = find_host,
        .resolve_arg = o->config.resolver,
        .unfit = unfit,
        .arg = o,
    };

    return fleet_new(o->loop, o->store, sc, &c, &o->fleet, e);
}

void outposts_free(struct outposts *o)
{
    if (!o) {
        return;
    }
    fleet_free(o->fleet);
    redis_url_done(&o->url);
    strvec_done(&o->own);
    free(o->blob_dir);
    free(o);
}

struct fleet *outposts_fleet(const struct outposts *o)
{
    return o ? o->fleet : NULL;
}

const struct strvec *outposts_own_queues(const struct outposts *o)
{
    return o && !o->scans_here ? &o->own : NULL;
}

/* ---- what they can do ---- */

struct sum {
    struct outposts *o;
    struct plan_request *q;
};

static void add_worker(void *arg, const struct fleet_worker *w)
{
    struct sum *s = arg;
    enum queue_kind kind;
    char zone[ZONE_MAX];

    if (w->gone || w->draining || !w->zone || !str_eq(w->zone, s->q->zone ? s->q->zone : "")) {
        return;
    }
    s->q->slots += w->slots;
    for (size_t i = 0; i < w->queues->n; i++) {
        if (queue_parse(w->queues->v[i], &kind, zone, NULL) == 0) {
            s->q->raw |= kind == QUEUE_NET_RAW;
            s->q->have_masscan |= kind == QUEUE_NET_MASSCAN;
            s->q->have_zmap |= kind == QUEUE_NET_ZMAP;
        }
    }
    for (size_t i = 0; i < w->tools->n; i++) {
        if (str_starts(w->tools->v[i], "zmap")) {
            snprintf(s->o->version, sizeof s->o->version, "%s",
                     w->tools->v[i] + MIN(strlen("zmap "), strlen(w->tools->v[i])));
        }
    }
}

static bool names(const struct plan_request *q, const char *tool)
{
    bool yes = str_eq(q->tool, tool);

    for (size_t i = 0; q->profile && !q->tool && i < q->profile->n_stages; i++) {
        yes |= str_eq(q->profile->stages[i].tool, tool);
    }
    return yes;
}

/*
 * What is left open is planned for the workers that are there. What is asked for by name is
 * believed: a server that was just started has heard of nobody, and a worker that has it may be
 * started because of it. Until then it waits in a queue of its own.
 */
void outposts_facts(void *arg, struct plan_request *q)
{
    struct outposts *o = arg;
    struct sum s = {.o = o, .q = q};

    q->slots = 0;
    q->raw = q->have_masscan = q->have_zmap = false;
    fleet_workers(o->fleet, add_worker, &s);
    q->zmap_version = q->have_zmap && *o->version ? o->version : NULL;
    q->slots = MAX(q->slots, 1);
    q->have_masscan |= names(q, "masscan");
    q->have_zmap |= names(q, "zmap");
    q->raw |= names(q, "masscan") || names(q, "zmap");
}
