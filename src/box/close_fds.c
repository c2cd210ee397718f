#include "box/close_fds.h"

#include <stdlib.h>
#include <unistd.h>

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

bool close_all_but(int *keep, unsigned n)
{
    unsigned next = 0;

    qsort(keep, n, sizeof *keep, by_value);
    for (unsigned i = 0; i < n; i++) {
        if (keep[i] < 0) {
            continue;
        }
        if ((unsigned)keep[i] > next && close_range(next, (unsigned)keep[i] - 1, 0) < 0) {
            return false;
        }
        next = (unsigned)keep[i] + 1;
    }
    return close_range(next, ~0U, 0) == 0;
}
