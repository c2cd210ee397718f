#include <sys/mman.h>

#include "secret/secret_priv.h"

void secrets_share(struct secrets *s, bool on)
{
    if (s && s->mem) {
        /* A kernel that does not know it (before 4.14) leaves children with a copy. */
        (void)madvise(s->mem, s->size, on ? MADV_KEEPONFORK : MADV_WIPEONFORK);
    }
}
