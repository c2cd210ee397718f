/*
 * repo_launch - from a stored repository job to the one box that does it (repo/box.h): who may be
 * reached, with which secrets, and which engines are there. The policy of this process judges it
 * anew.
 */
#pragma once

#include "daemon/launch.h"

/* As launch_task(). */
int launch_repository(const struct launcher *l, struct tool_run *r, const struct job *j,
                      int64_t *wait_until_us, struct err *e);
