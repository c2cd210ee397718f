/* cppcheck_rules - what cppcheck's ids mean; for src/engine/cppcheck.c. */
#pragma once

#include "engine/hit.h"

/* NULL: an id that is not known. */
const struct hit_rule *cppcheck_rule(const char *id);
