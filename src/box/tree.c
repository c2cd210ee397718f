#include "box/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

/* The parent and process group of a process, from /proc/PID/stat; false if it is gone. */
static bool read_stat(pid_t pid, pid_t *parent, pid_t *group)
{
    char path[64];
    char text[512];
    auto_fd int fd = -1;
    const char *after_name;
    char *end;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    after_name = strrchr(text, ')'); /* the name itself may hold anything */
    if (!after_name || strlen(after_name) < 4) {
        return false;
    }
    *parent = (pid_t)strtol(after_name + 4, &end, 10);
    *group = (pid_t)strtol(end, &end, 10);
    return true;
}

/*
 * Without a namespace: kills our own children, which nobody but us reaps, so that their numbers
 * cannot mean others. Whatever they leave becomes our child, and the next round's. A group is
 * killed as a whole: it cannot fork its way out.
 */
static void kill_children(void)
{
    DIR *proc = opendir("/proc");
    const struct dirent *row;

    while (proc && (row = readdir(proc))) {
        pid_t pid = (pid_t)strtol(row->d_name, NULL, 10); /* 0: no process */
        pid_t parent, group;

        if (pid > 0 && read_stat(pid, &parent, &group) && parent == getpid()) {
            if (group > 1 && group != getpgrp()) {
                kill(-group, SIGKILL);
            }
            kill(pid, SIGKILL);
        }
    }
    if (proc) {
        closedir(proc);
    }
}

static void note_child(struct tree *t, pid_t pid, int status)
{
    if (pid == t->tool) {
        t->tool_ended = true;
        t->status = status;
    }
}

/* Reaps what has ended. */
static void reap(struct tree *t)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        note_child(t, pid, status);
    }
    t->empty = pid < 0 && errno == ECHILD;
}

static void kill_tree(struct tree *t)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};

    for (reap(t); !t->empty; reap(t)) {
        if (t->own_pids) {
            int status;
            pid_t pid;

            kill(-1, SIGKILL); /* everybody in the namespace but us, at one stroke */
            while ((pid = waitpid(-1, &status, 0)) > 0) {
                note_child(t, pid, status);
            }
        } else {
            sigset_t child;

            kill_children();
            sigemptyset(&child);
            sigaddset(&child, SIGCHLD);
            (void)sigtimedwait(&child, NULL, &pause);
        }
    }
}

/* A box whose time has passed is late; else SIGALRM comes when it passes, unless it is moved on. */
static bool set_alarm(struct tree *t)
{
    int64_t until_ms = __atomic_load_n(t->until_ms, __ATOMIC_ACQUIRE);
    const struct itimerspec at = {
        .it_value = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000}};

    t->late = until_ms <= boot_ms();
    return t->late || timer_settime(t->timer, TIMER_ABSTIME, &at, NULL) == 0;
}

const char *tree_watch_time(struct tree *t)
{
    if (!t->until_ms) {
        return NULL;
    }
    /* The clock that goes on while the machine sleeps: then it rings when that wakes up. */
    if (timer_create(CLOCK_BOOTTIME, NULL, &t->timer) < 0 || !set_alarm(t)) {
        return "timer";
    }
    errno = ETIME;
    return t->late ? "late" : NULL;
}

void tree_serve(struct tree *t)
{
    sigset_t heard;
    int signo = 0;

    sigemptyset(&heard);
    sigaddset(&heard, SIGCHLD);
    sigaddset(&heard, SIGTERM);
    sigaddset(&heard, SIGUSR1);
    sigaddset(&heard, SIGALRM);
    for (reap(t); !t->tool_ended && !t->late && signo != SIGUSR1; reap(t)) {
        signo = sigwaitinfo(&heard, NULL);
        if (signo == SIGTERM) {
            kill(-t->tool, SIGTERM);
        } else if (signo == SIGALRM && t->until_ms && !set_alarm(t)) {
            t->late = true; /* nobody would ring again */
        }
    }
    kill_tree(t);
}
