/* broker_inside - what the broker's files share. Private to them. */
#pragma once

#include <linux/seccomp.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "runner/broker.h"
#include "runner/bucket.h"

enum {
    DATA_MAX = 65536 /* bytes of one send; a datagram is never larger, a stream sends the rest */
};

/* A call that waits until its socket is ready. */
struct pending {
    struct pending *next;
    struct broker *broker;
    struct watch watch; /* its fd is the duplicate; owned */
    struct timer until; /* SO_SNDTIMEO of the socket */
    uint64_t id;
    bool connecting;
    int flags; /* of the file: put back at the end */
    /* A send that found no room. */
    struct sockaddr_storage to;
    socklen_t to_len;
    int send_flags;
    struct buf data;
};

struct broker {
    struct loop *loop;
    struct watch watch; /* the listener; borrowed */
    struct broker_scope scope;
    struct egress_counts counts;
    struct bucket bucket;
    struct timer refill; /* while the listener is not read */
    struct pending *pending;
    unsigned n_pending;
    pid_t pid; /* whose pidfd we have: mostly the same process calls again and again */
    int pidfd;
    size_t req_size;
    struct seccomp_notif *req;       /* owned; as large as the kernel says */
    struct seccomp_notif_resp *resp; /* owned */
    size_t resp_size;
    char data[DATA_MAX];
};

/* One call as it is being looked at. */
struct call {
    uint64_t id;
    pid_t pid;
    struct sockaddr_storage to;
    socklen_t to_len; /* 0: no address */
    size_t n;         /* bytes to send, in broker.data */
    bool cut;         /* there are more: only a stream may be sent in parts */
    int flags;
};

/* broker.c */
void broker_answer(struct broker *b, uint64_t id, long result); /* negative: an error */
bool broker_still_waits(const struct broker *b, uint64_t id);
int broker_socket_option(int fd, int name); /* of SOL_SOCKET; -1 if it has none */

/* broker_copy.c: the tool's memory and sockets. All is copied once. */
int broker_copy_call(struct broker *b, struct call *c, int nr, const __u64 *args); /* or -errno */
int broker_copy_message(struct broker *b, struct call *c, uint64_t from);          /* or -errno */
/* Tells how much of a message of sendmmsg() was sent. */
bool broker_note_sent(const struct call *c, uint64_t message, unsigned n);
int broker_take_socket(struct broker *b, pid_t pid, int fd); /* -1 with errno */
void broker_forget_process(struct broker *b);

/* broker_wait.c: calls that wait for their socket. Takes *fd; NULL: too many wait already. */
struct pending *broker_wait_for(struct broker *b, uint64_t id, int *fd);
void broker_pending_free(struct pending *p);
