/*
 * reading - what an engine wrote becomes findings, in a forked process that can do nothing else:
 * no files, no sockets but the one that it answers on, a dozen system calls. An engine's output is
 * as hostile as the repository; a bug in its reader costs that output.
 *
 * Findings come back as records (ipc/record.h) and are checked; what else the reader noted comes as
 * JSON. Built-in engines are our own program: their output is records already.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/engine.h"
#include "ipc/record.h"
#include "repo/haul.h"
#include "repo/start.h"

struct reading {
    pid_t pid;
    int fd;       /* owned: records; readable when there are some, or it is over; -1: over */
    int notes_fd; /* owned */
    int64_t until_ms;
    struct record_reader records;
    struct haul haul;     /* what it handed out */
    struct strvec failed; /* "PATH\\tREASON" */
    struct buf more;      /* JSON members */
    char *why;            /* owned; not whole, or worth nothing; NULL: whole */
    int code;             /* 0, or how reading failed: then `why` says it */
    bool ended;           /* the end came */
    bool late;            /* it did not, and time was up */
};

/* The engine's start is over. Built-in: all is read at once, and it is over when this returns. */
int reading_begin(const struct start *s, struct reading *out, struct err *e);
/* fd is readable, or time has passed: true once it is over and everything is there. */
bool reading_tick(struct reading *r);
void reading_done(struct reading *r);
