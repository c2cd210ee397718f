/*
 * policy_remote - asks a server what it would do with targets: the same way as a submit, up to the
 * place where a job would be stored.
 */
#pragma once

#include "cli/cli.h"

/* One verdict for each operand from `first` on. An exit status; STATUS_REFUSED if one is refused.
 */
int policy_check_remote(struct cli *c, size_t first);
