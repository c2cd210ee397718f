/*
 * diff - what changed between two results: a merge of two lists in the order of host_key(), with
 * coverage in mind. A port that the other scan did not look at is "not scanned", never closed.
 *
 * Memory: the cells of both sides and one host of each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/host.h"
#include "store/store.h"

enum diff_kind {
    DIFF_HOST_NEW, /* up in b, known not to be up in a */
    DIFF_HOST_GONE,
    DIFF_HOST_CHANGED, /* names, MAC address, operating system, host scripts */
    DIFF_OPENED,       /* open in b; in a it was probed and not open */
    DIFF_CLOSED,
    DIFF_CHANGED,       /* state (other than to or from open), service, product, version, scripts */
    DIFF_NOT_SCANNED_A, /* in b; a did not look */
    DIFF_NOT_SCANNED_B, /* in a; b did not look: not known */
    DIFF_KINDS,
};
const char *diff_kind_name(enum diff_kind k); /* "host_new", "opened", "not_scanned_b", ... */

/* Borrowed. Port members are NULL for changes of hosts. */
struct diff_item {
    enum diff_kind kind;
    const char *address;
    const struct host *host_a, *host_b; /* heads; NULL: not in that result */
    const struct port *a, *b;
    const char *what; /* which members differ, comma-separated: "service,version" */
};

struct diff_counts {
    int64_t n[DIFF_KINDS], hosts_same, ports_same;
};

struct diff;
/* Both jobs over (ERR_CONFLICT), store and numbers stay valid until diff_free(). */
int diff_new(struct store *s, int64_t a, int64_t b, struct diff **out, struct err *e);
void diff_free(struct diff *d);
typedef int (*diff_fn)(void *arg, const struct diff_item *it, struct err *e);
/* Goes on for about `rows` rows and calls fn for each difference; *more: there is more to compare.
 * A non-zero return of fn stops it for good. */
int diff_step(struct diff *d, uint32_t rows, diff_fn fn, void *arg, bool *more, struct err *e);
const struct diff_counts *diff_counts(const struct diff *d);

/* One item in the two forms that the API and the CLI share; text is for terminals and escaped. */
void diff_item_json(const struct diff_item *it, struct buf *out);
void diff_item_text(const struct diff_item *it, struct buf *out);
void diff_counts_json(const struct diff_counts *c, struct buf *out);
