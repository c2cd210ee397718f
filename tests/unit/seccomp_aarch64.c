/* The lists as they are on aarch64, whose numbers are the kernel's generic ones: so that they are
 * compiled and tested on any machine. */
#define __ARCH_WANT_RENAMEAT
#define __ARCH_WANT_NEW_STAT
#define __ARCH_WANT_SET_GET_RLIMIT
#define __ARCH_WANT_SYS_CLONE3
#define __ARCH_WANT_MEMFD_SECRET
#include <asm-generic/unistd.h>

#include "box/seccomp_table.h"
#include "seccomp_aarch64.h"

const struct seccomp_call aarch64_calls[] = {
#include "box/seccomp_calls.h"
};
const size_t aarch64_n_calls = sizeof aarch64_calls / sizeof aarch64_calls[0];
