/*
 * api_submit - from an understood request to a stored job.
 *
 *     plan -> names are pinned (the request is suspended) -> stages -> policy -> way out -> quota
 * -> job with its first tasks, audit
 *
 * All but the pinning happens in one turn. Nothing is stored before the last step but the audit
 * entry of a refusal. A client that goes away while its names are resolved leaves nothing behind.
 *
 * A request comes from a client, who waits for the answer on a connection, or by a message
 * (api_message.c), of which only the ends differ.
 */
#pragma once

#include "http/api_priv.h"

/* What the policy and the machine say to a plan whose names are pinned. */
struct decision {
    struct policy_verdict verdict; /* valid when rule is NULL or "egress" */
    struct limits limits;          /* in force */
    int32_t run_timeout_s;
    bool has_level; /* false: what boxes can do is still being found out */
    enum egress level;
    bool raw;
    const char *rule; /* by what it was refused, as in api_refuse(); NULL: allowed */
};

/* Members `level` and `raw_sockets`, null where they are not known (api_policy.c). */
void decision_network(struct json *j, const struct decision *d);

struct submit;

/* Why there is no job. Borrowed for the call. */
struct submit_end {
    enum {
        SUBMIT_WRONG,      /* the member `at` (JSON pointer) is */
        SUBMIT_UNRESOLVED, /* a name of the targets has no address */
        SUBMIT_REFUSED,    /* by `rule` */
        SUBMIT_BUSY,       /* not before retry_s */
        SUBMIT_NO_KEY,     /* it is not in force any more */
        SUBMIT_FAILED,     /* as err.code says */
    } how;
    const char *at, *rule;
    int32_t retry_s;
    const struct err *err;
};

struct submit_how {
    /* Answers. Each is called at most once, `s` is gone afterwards. */
    void (*accepted)(struct http_req *r, const struct job *job);
    /* A name of the targets has no address. */
    void (*unresolved)(struct http_req *r, const char *targets, const char *why);
    /* Instead of storing a job (a dry run): e is the refusal when d->rule is set. */
    void (*judged)(struct http_req *r, const struct submit *s, const struct decision *d,
                   const struct err *e);
    /* Of a message, which has no connection, instead of those above. What else belongs to the job
     * in its transaction; and the end: job is NULL, or end is. */
    int (*stored)(void *arg, const struct job *job, struct err *e);
    void (*ended)(void *arg, const struct job *job, const struct submit_end *end);
};

struct submit {
    struct api *api;
    struct http_req *req; /* NULL: it came by a message */
    const char *intake;   /* then by which; borrowed */
    void *arg;            /* and what is handed to `how` */
    const struct key *key;
    struct scan_request q; /* its strings are ours once the request was suspended */
    bool kept;             /* they are */
    struct tool_plan plan;
    struct plan *staged;     /* owned: of a planned job, made when the names are pinned */
    struct plan_needs needs; /* of staged */
    const struct submit_how *how;
    char *idem; /* owned; NULL: none */
    uint8_t print[32];
    char retry_of[ID_TEXT + 1]; /* "": of none */
    void *pinning;              /* handle of api_config.pin */
    struct submit *next;        /* of those that are being pinned */
};

/*
 * Takes the plan (leaves an empty one), goes on with it, and answers, now or later. idem and print
 * may be NULL; retry_of too.
 */
void api_submit(struct api *a, struct http_req *r, const struct scan_request *q,
                struct tool_plan *plan, const struct submit_how *how, const char *idem,
                const uint8_t *print, const struct id *retry_of);
/*
 * The same for a message: a, key, intake, q, how and arg of `from` are taken over, and the plan.
 * Gives what can be handed to submit_give_up() while names are resolved; NULL: it has ended.
 */
struct submit *submit_message(const struct submit *from, struct tool_plan *plan);
/* `how` is not called any more. */
void submit_give_up(struct submit *s);
/* Ends it: refused by `rule`, with an entry in the audit log. */
void submit_refused(struct submit *s, const char *rule, const struct err *e);
/* Refuses what api_plan() refused: 403, and an entry in the audit log. */
void api_submit_refused(struct api *a, struct http_req *r, const struct scan_request *q,
                        const char *rule, const struct err *e);
/* The job that would be stored. The caller job_done()s it. */
void submit_job(const struct submit *s, const struct decision *d, struct job *j);
/* At the end of the API, after its server. */
void api_submits_free(struct api *a);

/* ---- planned jobs (api_staged.c) ---- */

/*
 * Makes s->staged. sweepers: masscan and zmap may be chosen where they are; else only where the
 * request or its profile names them. ERR_INVALID: the request cannot be planned.
 */
int staged_make(struct submit *s, bool sweepers, struct err *e);
/* JSON pointer to the member without which it could be. */
const char *staged_fault_at(struct submit *s);
/* Did the plan choose a tool that nobody named? */
bool staged_chose_sweeper(const struct submit *s);
/* Fills what `ask` needs of the plan, and judges it for each tool. As policy_judge(). */
int staged_judge(struct submit *s, struct policy_ask *ask, struct policy_verdict *out,
                 struct err *e);
/* As egress_choose(), for each stage. */
int staged_level(const struct submit *s, const struct sandbox_caps *caps,
                 const struct egress_need *places, struct decision *d, struct err *e);
/* The first tasks, of what the policy allows. */
int staged_first(const struct submit *s, const struct decision *d, struct plan_tasks *out,
                 struct err *e);

/* ---- the same Idempotency-Key while the first request is suspended (api_follow.c) ---- */

/* True: the request waits and is handled anew by `again` when the first one has its answer. */
bool api_follow(struct api *a, struct http_req *r, const char *idem, http_handler again);
/* This one is over: those that wait for it are run in the next turn. */
void api_follow_end(struct api *a, const struct submit *leader);
void api_followers_free(struct api *a);
