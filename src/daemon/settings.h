/* settings - the one table of ScanPod's settings, and where they come from. */
#pragma once

#include "base/option.h"

extern const struct option settings_table[];

/* Environment, .env, /etc/scanpod/scanpod.conf or --config. Flags are put in by the caller before.
 */
int settings_load(struct option_set *s, const char *config, struct err *e);
