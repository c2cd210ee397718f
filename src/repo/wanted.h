/*
 * wanted - which engines a scan is to have, from what was asked and what is installed.
 */
#pragma once

#include "repo/engine_run.h"
#include "repo/spec.h"

/* *out: owned array of *n, to be planned; wanted_free(). ERR_INVALID: there is no such engine. */
int wanted_make(const struct repo_spec *spec, struct engine_run **out, size_t *n, struct err *e);
void wanted_free(struct engine_run *runs, size_t n);
