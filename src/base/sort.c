#include "base/sort.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

void sort_pointers(void *v, size_t n, int (*cmp)(const void *a, const void *b))
{
    auto_free void **scratch = n > 1 ? xcalloc(n, sizeof *scratch) : NULL;
    void **at = v;

    for (size_t width = 1; width < n; width *= 2) {
        for (size_t from = 0; from < n; from += 2 * width) {
            size_t left = from;
            size_t middle = MIN(from + width, n);
            size_t right = middle;
            size_t end = MIN(from + 2 * width, n);

            for (size_t to = from; to < end; to++) {
                bool take_right = left == middle || (right < end && cmp(&at[right], &at[left]) < 0);

                scratch[to] = at[take_right ? right++ : left++];
            }
        }
        memcpy(at, scratch, n * sizeof *at);
    }
}
