/* link - a connection from the box, from accept() to its last byte. Private to proxy/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "event/loop.h"

struct proxy_run;

/* Embedded by what serves it: a relay (CONNECT) or a gate (requests to gateways). */
struct link {
    struct link *next, **at; /* of the run's list */
    struct proxy_run *run;
    struct watch tool;
    struct timer late;                       /* of whatever it waits for */
    void (*end)(struct link *l, bool reset); /* frees who embeds it */
    bool carries;  /* bytes go through it: it ends when the run's are used up */
    bool checkout; /* it ends when the checkout does */
    size_t parted;
};

/* Into the run's list. False: no watch could be made; link_done() is still to be called. */
bool link_init(struct link *l, struct proxy_run *run, int fd,
               void (*on_tool)(struct watch *w, uint32_t events));
/* Closes it and takes it out of the list. */
void link_done(struct link *l, bool reset);
/* The same, but the descriptor lives on. */
int link_release(struct link *l);
/* Closes a watched descriptor. `reset`: nobody shall take what came for all there was. */
void watch_close(struct watch *w, bool reset);
/*
 * Sends the answer, after what is still in `text`, and ends it: reads on for a while, because
 * closing while something unread is there would reset the connection, and the answer with it.
 */
void link_part(struct link *l, const char *text, size_t n);
