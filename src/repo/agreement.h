/*
 * agreement - several passes of an agent become one: what more of them said is surer.
 */
#pragma once

#include "repo/haul.h"

/*
 * Findings of different passes are the same if they name the same class in the same file, at most
 * AGREE_LINES apart or with the same quote. The surest report of each stays, its confidence
 * multiplied by the share of the passes that have it. Empties the hauls.
 */
enum { AGREE_LINES = 5 };
void agreement_make(struct haul *passes, size_t n, struct haul *out);
