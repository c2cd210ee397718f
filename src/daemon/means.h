/*
 * means - what a process that runs scans has for it, as the settings say: the same for a server and
 * for a worker elsewhere.
 */
#pragma once

#include "base/option.h"
#include "daemon/dispatch.h"
#include "model/sandbox.h"

struct nse_db;

/* All but nse, slots and budget. */
struct dispatch_config means_dispatch(const struct option_set *o);
/* nmap's scripts; NULL, logged, if they cannot be read. nse_free() it. */
struct nse_db *means_scripts(const struct option_set *o);
/* How many scans at the same time: each scan address serves one. */
int means_slots(const struct option_set *o, uint32_t *out, struct err *e);
/* "nft,broker": the ways out that can be used. */
void means_levels(const struct sandbox_caps *caps, struct buf *out);
void means_log(const struct sandbox_caps *caps);
/* Tools can have raw sockets. */
bool means_raw(const struct option_set *o, const struct sandbox_caps *caps);
