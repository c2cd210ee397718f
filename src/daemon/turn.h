/*
 * turn - the end of a turn, in its one order: claims, commit, launches and waiters, replies, and
 * what the store has to tidy up.
 */
#pragma once

#include "daemon/intake.h"
#include "daemon/shipping.h"
#include "daemon/worker.h"
#include "event/loop.h"
#include "http/api.h"
#include "http/http.h"
#include "sched/sched.h"
#include "store/store.h"
#include "transport/fleet.h"

struct turn {
    struct turn_hook hook;
    struct loop *loop;
    struct store *store;
    struct sched *sched;
    struct worker *worker;
    struct shipping *shipping; /* NULL: raw output stays here */
    struct api *api;           /* NULL: no server */
    struct http_server *http;  /* NULL: no server */
    struct intakes *intakes;   /* NULL: no message queues */
    struct fleet *fleet;       /* NULL: no transport */
};

void turn_start(struct turn *t);
