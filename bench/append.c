/*
 * append - what the disk can do: writes 4 KiB at the end of a file and calls fdatasync, N times.
 * usage: append FILE N; prints {"p50_us":...,"p99_us":...}
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    static char block[4096];
    long n = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    double *us;
    int fd;

    if (n < 1 || n > 1000000) {
        fputs("usage: append FILE N\n", stderr);
        return 2;
    }
    us = calloc((size_t)n, sizeof *us);
    fd = open(argv[1], O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    if (!us || fd < 0) {
        perror(argv[1]);
        return 1;
    }
    memset(block, 'x', sizeof block);
    for (long i = 0; i < n; i++) {
        double from = now_us();

        if (write(fd, block, sizeof block) != (ssize_t)sizeof block || fdatasync(fd) < 0) {
            perror(argv[1]);
            return 1;
        }
        us[i] = now_us() - from;
    }
    qsort(us, (size_t)n, sizeof *us, by_value);
    printf("{\"p50_us\":%.1f,\"p99_us\":%.1f}\n", us[n / 2], us[n - 1 - n / 100]);
    unlink(argv[1]);
    free(us);
    close(fd);
    return 0;
}
