/*
 * beat - one small frame a second into a box.
 *
 * Tools behind libpcap look at the clock only when a frame arrives: on a link where nothing moves
 * they would never come to their end. So a datagram without content goes to a multicast group of
 * the link that nobody joined (groups and port for experiments and for nothing): it needs no
 * privilege, no neighbour and no route, provokes no answer, and is not counted, because filters
 * look at what comes out of a box. Private to the room.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

enum { BEAT_MS = 1000 };

struct beat {
    int v4, v6; /* sockets; -1: the family is not there */
};

/* Before system calls are given up. What is not to be had is left out. */
void beat_open(struct beat *b);
void beat_close(struct beat *b);
/* Out of our end of the link, which has an address of this family. Failure is nobody's loss: the
 * tools' deadlines hold. */
void beat_send(const struct beat *b, int index, bool v6);
