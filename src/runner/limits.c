/*
 * A cgroup counts what it refused; the file system says when it is full; signals of their own tell
 * of processor time and file size. Limits of memory and processes by rlimits only make calls fail
 * inside the tool: what it looked like and what it complained about is all there is, and such an
 * answer is marked as the likely one.
 */
#include "runner/limits.h"

#include <signal.h>
#include <string.h>

static bool failed(const struct box_end *end)
{
    return end->exit_status != 0;
}

static bool says(const struct limit_evidence *ev, const char *const *words)
{
    for (; *words; words++) {
        if (strcasestr(ev->stderr_tail, *words)) {
            return true;
        }
    }
    return false;
}

/* By signal or by counter. */
static enum limit_kind told(const struct limit_evidence *ev)
{
    const struct box_end *end = ev->end;
    int64_t cpu_us = end->cpu_us > ev->use.cpu_us ? end->cpu_us : ev->use.cpu_us;

    if (end->exit_signal == SIGXCPU ||
        (end->exit_signal == SIGKILL && ev->limits->cpu_s > 0 && ev->use.oom_kills == 0 &&
         cpu_us >= (int64_t)ev->limits->cpu_s * 1000000)) {
        return LIMIT_CPU;
    }
    if (end->exit_signal == SIGXFSZ) {
        return LIMIT_FILE_SIZE;
    }
    if (ev->cgroup && ev->use.oom_kills > 0) {
        return LIMIT_OOM;
    }
    if (ev->cgroup && ev->use.pids_refused > 0) {
        return LIMIT_PIDS;
    }
    if (failed(end) && end->inodes_full) {
        return LIMIT_INODES;
    }
    return failed(end) && end->disk_full ? LIMIT_DISK : LIMIT_NONE;
}

/* By what the tool looked like when it failed. */
static enum limit_kind guess(const struct limit_evidence *ev)
{
    static const char *const memory[] = {
        "cannot allocate", "failed to map segment", "can't allocate", "out of memory",
        "bad_alloc",       "memoryerror",           "malloc",         NULL};
    static const char *const processes[] = {"resource temporarily unavailable",
                                            "fork:",
                                            "fork failed",
                                            "can't fork",
                                            "cannot fork",
                                            NULL};
    static const char *const disk[] = {"no space left on device", NULL};
    static const char *const file[] = {"file too large", NULL};
    const struct limits *l = ev->limits;
    int64_t memory_kb = (int64_t)l->memory_mb * 1024;
    int signo = ev->end->exit_signal;

    if (!ev->cgroup && l->memory_mb > 0) {
        bool large = ev->end->max_rss_kb >= memory_kb / 4 * 3;

        if (says(ev, memory) ||
            (large && (signo == SIGKILL || signo == SIGABRT || signo == SIGSEGV))) {
            return LIMIT_OOM;
        }
    }
    if (!ev->cgroup && l->processes > 0 && says(ev, processes)) {
        return LIMIT_PIDS;
    }
    if (says(ev, disk)) {
        return LIMIT_DISK;
    }
    return l->file_mb > 0 && says(ev, file) ? LIMIT_FILE_SIZE : LIMIT_NONE;
}

enum limit_kind limit_that_ended(const struct limit_evidence *ev, bool *certain)
{
    enum limit_kind k = LIMIT_NONE;

    *certain = true;
    if (ev->cause == RUN_WALL) {
        return LIMIT_TIMEOUT;
    }
    if (ev->cause == RUN_OUTPUT) {
        return LIMIT_OUTPUT;
    }
    if (ev->cause != RUN_BY_ITSELF || !ev->end->started) {
        return LIMIT_NONE;
    }
    k = told(ev);
    if (k == LIMIT_NONE && failed(ev->end)) {
        k = guess(ev);
        *certain = k == LIMIT_NONE;
    }
    return k;
}
