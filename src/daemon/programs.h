/*
 * programs - the tools' programs on this machine: where they are, which versions they are.
 *
 * Versions are asked in boxes, one program after the other, when the runner is ready, and again
 * when a file has changed since. Nothing is ever started here.
 */
#pragma once

#include "base/option.h"
#include "daemon/worker.h"
#include "tool/tool.h"

struct programs;

struct programs *programs_new(const struct option_set *settings);
void programs_free(struct programs *p);
/* True once every program that is there has said its version, or will not. */
bool programs_settled(const struct programs *p);
/* Asks all that are there, through the worker, from now on and whenever one has changed. */
void programs_ask(struct programs *p, struct worker *w);
/*
 * The full path (of an instant tool its name), NULL if it cannot be used (*why says why). *version
 * is NULL while it is not known.
 * Both borrowed until the next call. version and why may be NULL.
 */
const char *programs_look(struct programs *p, const struct tool *t, const char **version,
                          const char **why);
