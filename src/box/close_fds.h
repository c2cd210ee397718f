/* close_fds - in a forked child: only what is named stays open. */
#pragma once

#include <stdbool.h>

/* Sorts `keep`; negative numbers in it are skipped. */
bool close_all_but(int *keep, unsigned n);
