/*
 * api_message - a scan request that came by a message of a queue: the same submit as POST
 * /api/v1/scans, without a connection. It acts under a key, with that key's scopes, policy and
 * quotas, and is in the audit log with the name of its queue.
 *
 * The task_id makes one job of a message that comes twice: for each intake, for a day. What is
 * refused is noted as a dead letter, in the transaction of its audit entry.
 */
#pragma once

#include "http/api.h"

/* Strings are borrowed for the call, but intake, which outlives the message. "": none. */
struct api_message {
    const char *intake;
    const char *key; /* name or id; NULL: the configured key */
    const char *task_id, *reply_to, *correlation;
    const char *body; /* JSON object */
    int32_t form;     /* edge/edge.h: kept with the job */
};

struct api_message_end {
    enum {
        MESSAGE_TAKEN,   /* there is a job of it, by now or since before */
        MESSAGE_REFUSED, /* for good, and noted */
        MESSAGE_LATER,   /* not before after_ms: nothing is wrong with the message */
    } how;
    uint32_t after_ms;
    const char *why;
    bool key;     /* LATER: because of the key, under which no message can act */
    bool another; /* REFUSED: the task_id is that of a job which is not this message's */
};
typedef void (*api_message_fn)(void *arg, const struct api_message_end *end);

struct api_asked;

/*
 * `fn` is called once, in this call or in a later turn; what it says holds when that turn is
 * committed. NULL: it was called. Else it can be given up while it has not been.
 */
struct api_asked *api_message(struct api *a, const struct api_message *m, api_message_fn fn,
                              void *arg);
void api_message_give_up(struct api_asked *x);
/* Notes a message that is no request. */
void api_message_refuse(struct api *a, const struct api_message *m, const char *why);
