/*
 * mem - allocation that does not fail, and locals that free themselves.
 *
 * Small fixed allocations abort when memory runs out: jobs are leased, so a restart
 * loses nothing. What is sized by input grows in a `struct buf` (buf.h) with a cap.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);            /* NULL gives NULL */
char *xstrndup(const char *s, size_t n); /* copies at most n bytes, always terminated */
void secure_zero(void *p, size_t n);     /* not removed by the optimiser */

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_fd(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

#define auto_free __attribute__((cleanup(cleanup_free)))
#define auto_fd   __attribute__((cleanup(cleanup_fd)))

/* Hands an owned value on: the local is emptied, so that its cleanup does nothing. */
static inline int take_fd(int *fd)
{
    int v = *fd;

    *fd = -1;
    return v;
}

#define take_ptr(pp)                  \
    __extension__({                   \
        __typeof__(*(pp)) v_ = *(pp); \
        *(pp) = NULL;                 \
        v_;                           \
    })

/* Closes *fd if open and sets it to -1. */
void fd_close(int *fd);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MAX(a, b)    ((a) > (b) ? (a) : (b))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
