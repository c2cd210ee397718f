#include <string.h>

#include "base/mem.h"
#include "runner/process.h"

void tail_add(struct stderr_tail *t, const char *p, size_t n)
{
    if (!t->ring) {
        t->ring = xmalloc(STDERR_TAIL_MAX);
    }
    if (n > STDERR_TAIL_MAX) {
        t->total += n - STDERR_TAIL_MAX;
        p += n - STDERR_TAIL_MAX;
        n = STDERR_TAIL_MAX;
    }
    while (n > 0) {
        size_t at = (size_t)(t->total % STDERR_TAIL_MAX);
        size_t k = MIN(n, STDERR_TAIL_MAX - at);

        memcpy(t->ring + at, p, k);
        t->total += k;
        p += k;
        n -= k;
    }
}

char *tail_text(const struct stderr_tail *t)
{
    size_t n = (size_t)MIN(t->total, (uint64_t)STDERR_TAIL_MAX);
    size_t at = t->total > STDERR_TAIL_MAX ? (size_t)(t->total % STDERR_TAIL_MAX) : 0;
    char *text = xmalloc(n + 1);
    const char *line;

    for (size_t i = 0; i < n; i++) {
        char c = t->ring[(at + i) % STDERR_TAIL_MAX];

        text[i] = (char)(c ? c : ' ');
    }
    text[n] = '\0';
    line = t->total > STDERR_TAIL_MAX ? strchr(text, '\n') : NULL;
    if (line && line[1]) { /* the first line has lost its beginning */
        memmove(text, line + 1, strlen(line + 1) + 1);
    }
    return text;
}
