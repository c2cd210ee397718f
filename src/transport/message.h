/*
 * message - what a server and its workers tell each other over a transport.
 *
 * One entry of a stream has the fields
 *   v  protocol number, decimal (TRANSPORT_PROTOCOL): an entry of another one is refused whole
 *   w  name of the worker that speaks or is spoken to, i its instance (16 hex digits)
 *   d  one or more messages, each: u32 length of what follows, u8 type, body (ipc/chan.h wire)
 * The reader checks lengths, types, ranges and UTF-8; a message that breaks a rule is refused with
 * all that follows it in its entry, told in the log, and removed.
 *
 * Time. Nobody compares clocks of two machines. The server puts its own CLOCK_BOOTTIME (`at_ms`)
 * and the random number of its start (`boot`) into each beat's answer and into each assignment: a
 * worker knows that an assignment with at_ms >= that of the answer to its beat k was made after it
 * had sent beat k, so that the lease began no earlier; every deadline counts from then, on the
 * worker's own clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/host.h"
#include "model/job.h"
#include "model/sandbox.h"

enum { TRANSPORT_PROTOCOL = 2 };
enum {
    MESSAGE_MAX = 64 << 20,      /* a host with all its ports and their scripts */
    MESSAGE_RAW_MAX = 256 << 10, /* bytes of raw output in one MSG_RAW */
    WORKER_NAME_MAX = 64,        /* with the NUL: [A-Za-z0-9][A-Za-z0-9._-]* */
    WORKER_SLOTS_MAX = 256,
    INSTANCE_TEXT = 16,
};

enum message_type {
    /* worker -> server, in the stream of reports */
    MSG_HELLO = 1, /* struct hello: at the start, and whenever something of it changed */
    MSG_BEAT,      /* struct beat */
    MSG_TOOK,      /* lease: it was taken out of the queue and is about to run */
    MSG_HOSTS,     /* lease, seq, bytes: whole hosts and findings, as records (ipc/record.h) */
    MSG_PROGRESS,  /* lease, percent, remaining: not kept if it is lost */
    MSG_RAW,       /* lease, seq, offset, bytes: of the compressed raw output */
    MSG_END,       /* lease, seq, struct outcome with its cells; raw_path is not sent */
    MSG_RELEASE,   /* lease, seq, enum release_why: it was not run, or was stopped */
    MSG_WAIT,      /* lease, seq, until_us: a scan window or a budget is closed until then */
    MSG_BYE,       /* the worker ends; it holds nothing any more */
    /* server -> queue */
    MSG_ASSIGN = 32, /* struct assignment */
    /* server -> one worker */
    MSG_ANSWER = 48, /* struct answer: to HELLO and BEAT */
    MSG_ACK,         /* lease, seq: all up to seq is committed; after the last one it is over */
    MSG_FENCED,      /* lease, open: it is somebody else's, stop it; open: the task is not over, so
                        that a complete result may be offered (MSG_OFFER) */
    MSG_CANCEL,      /* lease */
    MSG_ADOPT,       /* lease, new lease: deliver what you have of the former under the latter */
    MSG_DRAIN,       /* u8 on: take no more */
    MSG_REFUSED,     /* text: why this worker is not wanted; it ends with it */
    /* worker -> server again */
    MSG_OFFER = 64, /* lease: a complete result is at hand, of a lease that is over */
};

enum release_why {
    RELEASE_DRAIN, /* handed back, nothing charged */
    RELEASE_STALE, /* it lay in the queue for too long to be run safely */
    RELEASE_LOST,  /* stopped because the lease could not be renewed; charged as a loss */
    RELEASE_WHYS,
};

/* What a worker is. Strings are borrowed. */
struct hello {
    const char *version; /* of the program */
    const char *zone;    /* "": none */
    const char *host;    /* of the machine, for people */
    const char *home;    /* random id kept in its data directory, whose lock proves that an earlier
                            instance with the same id is gone */
    uint32_t slots;
    struct strvec queues;
    struct strvec tools; /* "nmap 7.93", "masscan 1.3.2", ... those that can be run */
    struct strvec held;  /* leases as text whose complete results wait in its spool */
    bool draining;
    char confinement[64]; /* "pidns+rlimits, egress nft" */
};

enum { BEAT_LEASES_MAX = WORKER_SLOTS_MAX };

struct beat {
    uint64_t n;         /* 1, 2, ... of this instance */
    uint32_t busy;      /* slots in use */
    uint32_t load_x100; /* load average of one minute */
    uint64_t spool_bytes;
    uint32_t spooled; /* results that wait to be delivered */
    bool draining;
    uint32_t n_leases;
    struct lease leases[BEAT_LEASES_MAX]; /* those that it holds */
};

struct answer {
    uint64_t beat; /* n of the beat; 0: to a hello */
    uint64_t boot; /* of the server */
    int64_t at_ms;
    bool drain;                          /* take no more */
    uint32_t lease_ms, beat_ms, kill_ms; /* the times in force: the server's count */
};

/* All that a worker needs to know of a task. Strings are borrowed. */
struct assignment {
    struct lease lease;
    uint64_t boot;
    int64_t at_ms;
    const char *queue;
    const char *key_name; /* for its own policy; NULL: the configured key */
    struct job job;       /* of its members: id, tool, targets, ports, arguments, run_timeout_s,
                             old_route, pins, limits, clip, planned, task_spec, repo, spent_us, key_id,
                             created_us, priority; none is owned */
};

/* ---- writing: each appends one message ----
 * A message that is larger than MESSAGE_MAX or than the buffer's cap leaves nothing there but
 * `over`. Texts for people (errors, versions, tails) are cut and made UTF-8; the rest is the
 * caller's to have right. */
void put_hello(struct buf *b, const struct hello *h);
void put_beat(struct buf *b, const struct beat *h);
void put_took(struct buf *b, const struct lease *l);
void put_hosts(struct buf *b, const struct lease *l, uint64_t seq, const void *records, size_t n);
void put_progress(struct buf *b, const struct lease *l, const struct progress *p);
void put_raw(struct buf *b, const struct lease *l, uint64_t seq, uint64_t offset, const void *p,
             size_t n);
void put_end(struct buf *b, const struct lease *l, uint64_t seq, const struct outcome *o);
void put_release(struct buf *b, const struct lease *l, uint64_t seq, enum release_why why);
void put_wait(struct buf *b, const struct lease *l, uint64_t seq, int64_t until_us);
void put_bye(struct buf *b);
void put_offer(struct buf *b, const struct lease *l);
void put_assign(struct buf *b, const struct assignment *a);
void put_answer(struct buf *b, const struct answer *a);
void put_ack(struct buf *b, const struct lease *l, uint64_t seq);
void put_fenced(struct buf *b, const struct lease *l, bool open);
void put_cancel(struct buf *b, const struct lease *l);
void put_adopt(struct buf *b, const struct lease *l, const struct lease *now);
void put_drain(struct buf *b, bool on);
void put_refused(struct buf *b, const char *text);

/* ---- reading ---- */

/* One message; which members count is the type's. Strings lie in the entry, also those of
 * assign.job, which is not job_done(); lists of a hello and cells are the message's own. */
struct message {
    enum message_type type;
    struct lease lease, now; /* now: MSG_ADOPT */
    uint64_t seq, offset;
    const void *data;
    size_t n;
    struct hello hello;
    struct beat beat;
    struct progress progress;
    struct outcome outcome; /* cells are owned */
    enum release_why why;
    int64_t until_us;
    struct assignment assign;
    struct answer answer;
    bool on; /* MSG_FENCED: open, MSG_DRAIN */
    const char *text;
};

/* At the start of *p (n bytes): fills *m, which message_done()s, and moves on; *n is 0 at the end.
 * ERR_INVALID: a rule is broken. */
int message_next(const uint8_t **p, size_t *n, struct message *m, struct err *e);
void message_done(struct message *m);

/* "ID/IDX/EPOCH/TOKEN", for spool files and logs; and back. */
enum { LEASE_TEXT = ID_TEXT + 1 + 10 + 1 + 10 + 1 + 16 };
void lease_text(const struct lease *l, char out[LEASE_TEXT + 1]);
bool lease_parse(const char *s, struct lease *out);
bool worker_name_ok(const char *s);
