/*
 * merge - how what two tasks of a planned job say of one host, or of one port, becomes one.
 *
 * Pure rules without a store: both backends keep what comes out. A word has a stage behind it, the
 * one that said it; the word of a later stage wins, and among those of one stage the one that came
 * last. Which stage that was is kept beside each member of a host (marks) and each port, so that it
 * makes no difference how the tasks of different stages alternate.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/host.h"

/* Bounds of what is joined; what is more is left out. */
enum {
    MERGE_ADDRS_MAX = 64,
    MERGE_NAMES_MAX = 256,
    MERGE_LIST_MAX = 64,        /* extraports: states, and reasons of each */
    MERGE_TEXT_MAX = 256 << 10, /* bytes of an extraports text that is read */
};

/* The marks of a host of which only this head is known. */
int64_t host_marks(const struct host *head, int32_t stage);
/*
 * Joins `from` into `to`, which is held under *marks and whose extraports are added up in `sum`
 * (borrowed by *to afterwards). What looks at found ports only says nothing of the host's being
 * given up. Strings of `to` may come to point into `from`; *to grows by
 * host_add_addr() and host_add_name(). False: nothing changed, not even the marks.
 */
bool host_join(struct host *to, int64_t *marks, const struct host *from, int32_t stage,
               bool found_only, struct buf *sum);

/* Whether a host that is not there yet has to show a port that answered before it is one: its tool
 * was told to take it for up, and nothing in this head was an answer. */
bool host_unseen(const struct host *head);
bool port_answered(const struct port *p);
/* What answered there is why it is up, if all that was known is that it was to be taken for up. */
void host_shown(struct host *head, const char *reason, int32_t reason_ttl);

/*
 * What is to be kept: false if it is `held`, else *out, with strings of both, of the later of the
 * two stages. Within a stage silence does not undo an answer: a task probes all of its ports on all
 * of its hosts, and so some that it was not made for. Of the same state, a service that was probed
 * for is not replaced by what is only the name of a port number, whichever came last.
 */
bool port_join(const struct port *held, int32_t held_stage, const struct port *from, int32_t stage,
               struct port *out);

/*
 * Two extraports texts, counts added by state and by reason; "ports" are joined, and left out where
 * one side does not say which. False: nothing is to be added (`b` is no such text, or `sum` would
 * be too long); an `a` that is no such text counts as empty.
 */
bool extraports_sum(const char *a, const char *b, struct buf *sum);
