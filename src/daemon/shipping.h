/*
 * shipping - raw output on its way to object storage, and back.
 *
 * What is not there yet is what the store says is only here: it survives restarts and outages. A
 * file goes to the depot after the commit of its run, and is removed here after the commit that
 * says that it is there; the object goes after its job. What is asked for and not here is fetched:
 * nobody waits longer than 30 s, but the fetch goes on, and whoever asks again within minutes has
 * its file at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/worker.h"
#include "edge/depot.h"
#include "event/loop.h"
#include "http/api.h"
#include "store/store.h"

struct shipping;

struct shipping_config {
    struct loop *loop;
    struct store *store;
    const struct depot_config *to; /* borrowed */
    const char *blob_dir;          /* borrowed */
    int depot_fd;                  /* taken */
};

int shipping_new(const struct shipping_config *c, struct shipping **out, struct err *e);
/* Who waits is told. NULL is fine, as in all of them but shipping_api(). */
void shipping_free(struct shipping *s);
/* At the end of each turn. */
void shipping_after_commit(struct shipping *s, bool committed);

/* "s3://...": where a file is, or will be. Caller frees; NULL without storage. */
char *shipping_uri(const struct shipping *s, const char *path);
/* What the API asks; s is its argument. */
struct api_depot shipping_api(struct shipping *s);

/* worker_reparse(), also of raw output that is not here. */
int shipping_reparse(struct shipping *s, struct worker *w, const struct id *job,
                     void (*done)(void *arg, int rc, const char *message), void *arg,
                     struct err *e);
