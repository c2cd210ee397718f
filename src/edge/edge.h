/*
 * edge - a process that speaks with one message broker: requests come in, results go out.
 *
 * One process for each intake, forked early, without any capability, filtered, and the only one
 * that reads what a stranger put into that queue; broker libraries may block in it. It takes a
 * message apart (the third system's JSON, a repository request, a Celery task), hands the daemon a
 * request in plain JSON, and acknowledges it to the broker only when the daemon said that it is
 * committed. What cannot be understood goes to the dead-letter queue of the broker with the reason,
 * after the daemon has noted it. A broker that is away is dialled again (100 ms, doubling to 10 s).
 *
 *   edge --MESSAGE(id, ...)--> daemon      daemon --VERDICT(id, ...)--> edge
 *   daemon --RESULT(id, ...)--> edge       edge --SENT(id, ...)--> daemon
 *   edge --STATE(up | why not)--> daemon
 *
 * Brokers:
 *   amqp://, amqps://  RabbitMQ: durable queue (without arguments, as clients declare it; one that
 *                      is there is used as it is), prefetch, manual ack; dead letters to QUEUE.dead
 *                      through the exchange QUEUE.dlx, with the headers x-scanpod-reason and
 *                      x-scanpod-at; results persistent, mandatory, confirmed
 *   redis://, unix:    a list: each server moves a message to QUEUE:taken:SERVER until it is
 *                      committed; dead letters to the list QUEUE.dead as {reason, at, task_id,
 *                      body}. With kind=stream a stream with the group "scanpod" (XACK and XDEL
 *                      after the commit). A message of more than 1 MiB is moved to QUEUE.dead as it
 *                      is; a stream's stays there, without its group
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "event/loop.h"

enum {
    EDGE_BODY_MAX = 96 << 10, /* bytes of a request; a message may have four times as many around */
    EDGE_RESULT_MAX = 96 << 10, /* larger results are sent without their ports, with `truncated` */
    EDGE_PREFETCH = 64,
    EDGE_NAME_MAX = 64,
};

/* What a message was, and how its answers are to look. */
enum edge_form {
    EDGE_SCAN,   /* JSON of the third system: {"task_id", "tool", "target", ...} */
    EDGE_REPO,   /* JSON with "repo_url" */
    EDGE_CELERY, /* a task of Celery, protocol 1 or 2, JSON only; the request is its kwargs */
};

/*
 * URL?queue=NAME&key=KEY&results=NAME&kind=list|stream&name=NAME, and for amqps ca=FILE (default:
 * the system's). Default queue "network_scan_jobs", results "network_scan_results", name the
 * queue's. key: name or id of the API
 * key under which the messages act; without it the configured key. Owned strings.
 */
struct edge_source {
    enum { BROKER_AMQP, BROKER_REDIS_LIST, BROKER_REDIS_STREAM } broker;
    char *url; /* without our own parameters; secret */
    char *name, *queue, *results, *key;
};
int edge_source_parse(const char *text, struct edge_source *out, struct err *e);
void edge_source_done(struct edge_source *s);

struct edge_config {
    const struct edge_source *source;
    const char *server; /* id of the store: names what this server has taken */
    bool change_user;
    uid_t uid;
    gid_t gid;
};
/* In the parent, early. The child never returns; it ends when its channel closes. */
int edge_spawn(const struct edge_config *c, int *out_fd, int *out_pidfd, struct err *e);

/* ---- the daemon's side. Strings are borrowed for the call. ---- */

struct edge_message {
    uint64_t id; /* of this process; an answer is owed to it */
    enum edge_form form;
    const char *task_id;  /* "": none; of RabbitMQ else the message_id, of a stream QUEUE:ENTRY */
    const char *reply_to; /* "": the configured results queue; of Celery: nobody, or Redis */
    const char *correlation; /* AMQP correlation_id; "": none */
    const char *body;        /* the request, JSON object (with "repo_url": of a repository; what was
                              * found in task_id and reply_to may be in it too); of a bad one its
                              * first bytes, escaped */
    const char *bad;         /* NULL; or why it is none: note it, answer EDGE_REFUSED */
    bool redelivered;
};

enum edge_verdict {
    EDGE_TAKEN,   /* committed, or known already */
    EDGE_REFUSED, /* never: dead letter, with the reason */
    EDGE_LATER,   /* not now (quota, store full): kept, asked again after after_ms */
};

/* A state or a result of a job that came from here. */
struct edge_result {
    uint64_t id;
    enum edge_form form;
    const char *event_id; /* stable over repeats */
    const char *task_id, *reply_to, *correlation;
    /* STARTED, RETRY, or an end. Only Celery hears of the first two. */
    enum { RESULT_STARTED, RESULT_OK, RESULT_FAILED } state;
    const char *body;  /* JSON object, in the shape of the form's system */
    const char *error; /* for Celery's exception; NULL: none */
};

struct edge_events {
    void (*message)(void *arg, const struct edge_message *m);
    /* 0: the broker has it; else it is tried again by whoever gave it (ERR_NOT_FOUND: the queue
     * does not exist and cannot be made; ERR_INVALID: it refuses this one for good). */
    void (*sent)(void *arg, uint64_t id, int rc, const char *why);
    void (*state)(void *arg, bool up, const char *why);
    void (*gone)(void *arg); /* the process ended */
    void *arg;
};

struct edge;
int edge_connect(struct loop *l, int fd, const struct edge_events *ev, struct edge **out,
                 struct err *e); /* takes fd */
void edge_free(struct edge *d);
void edge_verdict(struct edge *d, uint64_t id, enum edge_verdict v, uint32_t after_ms,
                  const char *reason);
/* ERR_FULL: too many are under way; `sent` will come for these. */
int edge_result(struct edge *d, const struct edge_result *r, struct err *e);
