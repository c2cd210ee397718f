/*
 * gate - a connection whose requests go to a gateway, one after the other. Private to proxy/.
 *
 *   HEAD  -> REACH -> SHAKE (with TLS) -> RELAY -> FLUSH -> HEAD, or the end
 *
 * Each request has a connection of its own to the far side. RELAY moves the rest of the request up
 * and the answer down at the same time, as it comes; a request's body, an answer's head and what
 * may be the beginning of the secret are all that waits. FLUSH is an answer that is complete and
 * has only to leave. gate.c has the box's side of it, gate_far.c the far one.
 */
#pragma once

#include "proxy/gateway.h"
#include "proxy/link.h"
#include "proxy/reach.h"
#include "proxy/usage.h"
#include "tls/client.h"

struct gate {
    struct link link;
    enum { GATE_HEAD, GATE_REACH, GATE_SHAKE, GATE_RELAY, GATE_FLUSH } state;
    struct buf in, out; /* from and to the box: not used, not sent yet */
    /* The request. */
    struct gateway *gw; /* borrowed */
    struct msg msg;
    struct buf target;
    struct route route;
    struct body up;
    uint64_t up_bytes;
    bool keeps; /* another may follow */
    /* The far side. */
    struct reach reach;
    struct tls_client *tls;
    struct buf far_out; /* has the secret in it */
    bool far_deaf;      /* it takes nothing more, but may still answer */
    /* The answer. */
    struct buf far_in; /* its head */
    unsigned interim;
    bool answered, chunked; /* its head was handed on; how it is framed for the box */
    struct body down;
    struct buf plain; /* of its body: held back */
    struct leak_stream leak;
    struct usage usage;
    uint64_t tokens; /* of them were counted */
};

enum { GATE_ROOM = 32768 /* bytes that may wait each way before nothing more is read */ };

/* Takes fd; p are bytes that were read already. */
void gate_new(struct proxy_run *run, int fd, const char *p, size_t n);

/* ---- between the two files ---- */

void gate_free(struct gate *c, bool reset);
/* Ends the request with an answer of our own; no other has begun. */
void gate_refuse(struct gate *c, int status, const char *why, bool final);
/* The same, but if another has begun it ends the connection, and the gate is gone. */
void gate_fail(struct gate *c, int status, const char *why, bool final);
/* Its answer is in `out` as a whole. */
void gate_answered(struct gate *c);
/* Hands the request's body on to far_out. False: the gate has changed its state, or is gone. */
bool gate_take_body(struct gate *c);
/* Sends what there is for the box. False: the gate is gone. */
bool gate_send(struct gate *c, bool *moved);
void gate_await(struct gate *c, uint32_t ms);
/* `again`: there is more to do at once, when others had their turn. */
void gate_watch(struct gate *c, bool again);

void far_begin(struct gate *c); /* connects, asks, relays */
void far_pump(struct gate *c);
void far_done(struct gate *c, bool reset); /* closes it, and forgets the request */
