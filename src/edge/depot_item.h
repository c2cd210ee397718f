/*
 * depot_item - what the depot has been asked for, step by step. Private to the depot's process.
 *
 *   store   hash -> [large: look] -> put -> check
 *                                -> create -> part... -> complete -> check
 *   fetch   get      remove   delete      abort   of an upload in parts that was given up
 *
 * Each step is one request. A failure waits and takes the step again, or the first one.
 */
#pragma once

#include "edge/depot_http.h"
#include "ipc/chan.h"

enum {
    DEPOT_STORE = 1,
    DEPOT_FETCH,
    DEPOT_REMOVE,
    DEPOT_ABORT, /* of its own accord */
    DEPOT_OPS,
};
enum { DEPOT_NAME_MAX = 255 };

/* Relative, and the same in a path, in a URL and in a key. */
bool depot_name_valid(const char *name);

struct item;

struct depot_process {
    struct loop *loop;
    struct chan chan;
    struct depot_http http;
    const struct depot_start *start;
    int dir_fd;
    struct item *items;
    unsigned busy[DEPOT_OPS]; /* items that hold a place */
    bool stopping;
    int64_t end_ms;
    uint64_t random;
};

void item_add(struct depot_process *dp, unsigned op, uint64_t id, const char *name);
/* A request has ended; frees it. */
void item_answered(struct transfer *t);
/* Takes the steps that are due. Returns the milliseconds until the next one is; at most most_ms. */
int items_step(struct depot_process *dp, int most_ms);
/* What is under way ends; uploads in parts are to be aborted. */
void items_stop(struct depot_process *dp);
bool items_idle(const struct depot_process *dp);
