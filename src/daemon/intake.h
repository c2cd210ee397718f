/*
 * intake - what comes through the message queues of the setting `intake`, and what goes back.
 *
 * One edge process for each queue (edge/edge.h). A message becomes the same submit as a request of
 * HTTP (http/api_message.h) and is answered after the commit; what is refused is a dead letter, and
 * its sender hears of it first. Results come from the event log (intake_results.h). An edge process
 * that has ended is not started again: its messages wait at the broker for the next server.
 */
#pragma once

#include <stdbool.h>

#include "daemon/privilege.h"
#include "event/loop.h"
#include "http/api.h"
#include "store/store.h"

struct intakes;

struct intakes_start {
    struct loop *loop;
    struct store *store;
    struct api *api;
    const struct api_depot *depot; /* borrowed; NULL: raw output stays here */
};

/*
 * Early, while still privileged: `setting` is URLs with blanks between. dir: the data directory, in
 * which the name under which messages are taken is kept. *out is NULL without a setting.
 */
int intakes_spawn(const char *setting, const char *dir, const struct service_user *u,
                  struct intakes **out, struct err *e);
/* NULL is fine for the rest. */
int intakes_start(struct intakes *all, const struct intakes_start *s, struct err *e);
void intakes_after_commit(struct intakes *all, bool committed);
/* Takes nothing more. */
void intakes_drain(struct intakes *all);
/* Before the API and the store; waits for the processes, 5 s at most. */
void intakes_free(struct intakes *all);
/* As api_config.intake. */
bool intakes_stats(void *arg, size_t i, struct api_intake_stats *out);
