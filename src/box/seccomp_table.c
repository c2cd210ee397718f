/* The lists with this machine's numbers. */
#include <asm/unistd.h>
#include <linux/audit.h>
#include <stdlib.h>

#include "box/seccomp_table.h"

const struct seccomp_call seccomp_calls[] = {
#include "box/seccomp_calls.h"
};
const size_t seccomp_n_calls = sizeof seccomp_calls / sizeof seccomp_calls[0];

#if defined(__x86_64__) && !defined(__ILP32__)
const uint32_t seccomp_arch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__) && !defined(__ILP32__) && defined(__AARCH64EL__)
const uint32_t seccomp_arch = AUDIT_ARCH_AARCH64;
#else
_Static_assert(0, "the filter of system calls knows x86-64 and aarch64 only");
#endif

int seccomp_number(const struct seccomp_call *c)
{
    char *end;
    long n = strtol(c->number, &end, 10);

    return end != c->number && *end == '\0' && n < SECCOMP_NUMBERS ? (int)n : -1;
}
