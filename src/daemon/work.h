/*
 * work - `scanpod worker`: runs the tasks of a server elsewhere. The roles, the policy and the
 * worker of a server, without its store and its interfaces; tasks come through a station.
 */
#pragma once

#include "base/option.h"

/* Returns an exit status. */
int work_main(struct option_set *settings);
