/* proto - the messages between daemon and runner, written and checked in one place. Private. */
#pragma once

#include "ipc/chan.h"
#include "runner/runner.h"

enum {
    MSG_LAUNCH = 1, /* with the record socket and, if kept, the blob */
    MSG_STOP,
    MSG_READY, /* from here on: runner to daemon */
    MSG_STARTED,
    MSG_ENDED,
};

/* ERR_LIMIT when it does not fit into a message. */
int launch_put(struct buf *b, const struct runner_launch *l, struct err *e);
/* `argv` is filled; l->parser points into the body. False: not one of ours. */
bool launch_get(struct wire *w, struct runner_launch *l, struct strvec *argv);

void end_put(struct buf *b, const struct runner_end *end);
/* Strings point into the body. */
bool end_get(struct wire *w, struct runner_end *end);

const struct parser *parser_find(const char *name); /* NULL if there is none */
