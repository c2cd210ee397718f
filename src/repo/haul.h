/*
 * haul - findings that were handed out by one start of an engine, kept: copies, in an arena.
 */
#pragma once

#include <stddef.h>

#include "model/finding.h"
#include "model/host.h" /* struct arena */

enum { HAUL_MAX = 100000 };

struct haul {
    struct finding *v; /* owned */
    size_t n, size;
    struct arena *arena; /* owned; NULL until there is one */
    size_t lost;         /* more than HAUL_MAX */
};

void haul_add(struct haul *h, const struct finding *f);
void haul_done(struct haul *h);
