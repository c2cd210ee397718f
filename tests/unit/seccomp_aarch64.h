/* seccomp_aarch64 - box/seccomp_calls.h with the numbers of aarch64. */
#pragma once

#include "box/seccomp_table.h"

extern const struct seccomp_call aarch64_calls[];
extern const size_t aarch64_n_calls;
