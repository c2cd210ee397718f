/*
 * chan - framed messages between our own processes over SOCK_SEQPACKET, with descriptors.
 *
 * A message is a type (u16) and a body of at most CHAN_BODY_MAX bytes, with up to CHAN_FDS_MAX
 * descriptors. Bodies are written and read field by field (struct wire); the receiver checks
 * every one. Sending never blocks: what does not fit into the socket waits in a queue with a cap.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "event/loop.h"

enum { CHAN_BODY_MAX = 131072, CHAN_FDS_MAX = 8, CHAN_QUEUE_MAX = 4 << 20 };

int chan_pair(int fds[2], struct err *e); /* SEQPACKET, CLOEXEC, non-blocking */
/* Forks a process of ours: role(arg, its end of a channel), which never returns and ends when the
 * channel does. The caller closes *out_fd and *out_pidfd; `what` names it in messages. */
int chan_spawn(const char *what, void (*role)(const void *arg, int fd), const void *arg,
               int *out_fd, int *out_pidfd, struct err *e);

struct chan {
    struct watch watch;
    void *arg;
    /* `fds` are the receiver's to close or keep (it sets taken ones to -1; the rest are closed
     * after the call). */
    void (*on_message)(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds);
    /* Peer gone, or it sent what no chan_send() makes; call chan_done(). */
    void (*on_close)(struct chan *c);
    struct chan_msg *queue, **queue_tail;
    size_t queued;
    uint8_t *in; /* owned; where messages arrive */
    bool *gone;  /* tells the delivery loop that a handler ended the channel */
};

/* Takes fd. on_message, on_close and arg are set by the caller before. */
int chan_start(struct chan *c, struct loop *l, int fd, struct err *e);
/* Descriptors are duplicated into the message (the caller keeps its own). ERR_LIMIT when the
 * queue is full, ERR_IO when the peer is gone. */
int chan_send(struct chan *c, uint16_t type, const void *body, size_t n, const int *fds,
              unsigned n_fds, struct err *e);
/* Closes the descriptor, frees the queue. Fine inside a handler, whose body stays readable until
 * it returns; the struct may be freed at once. Twice is fine. */
void chan_done(struct chan *c);

/* wire - fields in a body: little-endian integers; strings as u32 length, bytes and a NUL. */
void wire_u8(struct buf *b, uint8_t v);
void wire_u16(struct buf *b, uint16_t v);
void wire_u32(struct buf *b, uint32_t v);
void wire_u64(struct buf *b, uint64_t v);
void wire_i32(struct buf *b, int32_t v);
void wire_i64(struct buf *b, int64_t v);
void wire_str(struct buf *b, const char *s); /* NULL survives as NULL */

/* Reading sets `bad` at the first field that does not fit and returns zeroes from then on. */
struct wire {
    const uint8_t *p, *end;
    bool bad;
};

uint8_t wire_get_u8(struct wire *w);
uint16_t wire_get_u16(struct wire *w);
uint32_t wire_get_u32(struct wire *w);
uint64_t wire_get_u64(struct wire *w);
int32_t wire_get_i32(struct wire *w);
int64_t wire_get_i64(struct wire *w);
/* Borrowed from the body and NUL-terminated. A NULL string gives *s = NULL. Refuses embedded NUL.
 * `n` may be NULL. False when bad. */
bool wire_get_str(struct wire *w, const char **s, size_t *n);
char *wire_get_strdup(struct wire *w); /* caller frees; NULL for NULL or bad */
bool wire_end(const struct wire *w);   /* nothing bad and nothing left over */
