/*
 * outposts - the workers elsewhere, as a server uses them: the transport that its settings name,
 * and what is to be known of them where scans are planned and accepted.
 */
#pragma once

#include "base/option.h"
#include "daemon/in_force.h"
#include "daemon/resolver.h"
#include "event/loop.h"
#include "plan/plan.h"
#include "sched/sched.h"
#include "store/store.h"
#include "transport/fleet.h"

struct outposts;

struct outposts_config {
    const struct option_set *settings;
    struct in_force *scope;
    struct resolver *resolver;
    const char *blob_dir;
    /* Redis is not fit to carry tasks. */
    void (*unfit)(void *arg, const char *why);
    void *arg;
};

/* *out is NULL where the settings name no transport. */
int outposts_new(struct loop *l, struct store *s, const struct outposts_config *c,
                 struct outposts **out, struct err *e);
/* Between sched_new() and sched_recover(). */
int outposts_start(struct outposts *o, struct sched *sc, struct err *e);
void outposts_free(struct outposts *o);                 /* NULL is fine */
struct fleet *outposts_fleet(const struct outposts *o); /* NULL: there is none */
/* Queues that this server's own worker serves: all but those of files handed in are left to the
 * others, unless the settings say how many scans run here. NULL: all. */
const struct strvec *outposts_own_queues(const struct outposts *o);
/* What plans need to know; a hook of struct planning. */
void outposts_facts(void *arg, struct plan_request *q);
