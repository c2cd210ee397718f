/*
 * plan_world - a network on paper and a scanner that answers tasks from it, so that whole plans can
 * be run to their end without a packet.
 */
#pragma once

#include "plan/plan.h"
#include "tap.h"

enum { WORLD_HOSTS = 512, WORLD_PORTS = 65536, WORLD_TASKS = 4096 };

struct world_host {
    struct net_ip ip;
    const char *name;
    bool filtered; /* what is not open does not answer */
    uint8_t *open; /* a bit a port */
    uint32_t n_open;
    uint16_t silent; /* a port whose service never speaks; 0: none */
    bool all_silent; /* none of its services does */
    bool mute;       /* not to the light set either */
};

struct world {
    struct world_host v[WORLD_HOSTS];
    size_t n;
    /* faults */
    unsigned lose_x1000;       /* of probes, by nmap in haste */
    unsigned sweep_lose_x1000; /* of answers, by masscan and zmap */
    const char *crash_tool;    /* every task of it crashes */
    const char *crash_targets; /* tasks whose targets have this text do, if they find ports */
    bool gossip;               /* tools tell of hosts that they were not asked about */
    const char *hang_tool;     /* ends by its deadline with half of what there is */
    uint64_t state;            /* of chance */

    /* what came of it */
    struct plan_spec spec[WORLD_TASKS]; /* owned */
    struct plan_task task[WORLD_TASKS];
    size_t n_tasks, done;
    uint64_t probes;             /* of tasks of ports */
    uint8_t *found[WORLD_HOSTS]; /* open, as the result has it after merging */
    uint8_t *named[WORLD_HOSTS]; /* open, and looked at to the end of identifying */
    bool up[WORLD_HOSTS];
    struct strvec notes, flags;
    struct buf summary; /* as it is stored */
};

struct world *world_new(uint64_t seed);
void world_free(struct world *w);
struct world_host *world_add(struct world *w, const char *ip);
void world_open(struct world_host *h, unsigned port);
uint64_t world_chance(struct world *w, uint64_t n);
/* Runs the plan to its end, tasks in their order or (mix) in any; checks it on the way. */
void world_run(struct world *w, const struct plan *p, const struct target_set *t, bool mix);
/* How many open ports were found that are there, and how many that are not. */
void world_compare(const struct world *w, uint64_t *right, uint64_t *wrong, uint64_t *all);
/* Open ports that no task of services looked at to its end. */
uint64_t world_unnamed(const struct world *w);
size_t world_count(const struct world *w, enum stage_kind kind, bool repeats);
