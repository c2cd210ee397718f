/*
 * api_priv - what the files of the REST surfaces share. Nothing outside http/api*.c includes it.
 *
 * A handler runs in one turn of the loop with the whole body at hand; it reads the store, makes its
 * changes and answers, or keeps the request and answers from a waiter or a timer.
 */
#pragma once

#include <jansson.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "http/api.h"
#include "model/host.h"
#include "tool/tool.h"

enum { API_PAGE_MAX = 1000, API_PAGE_DEFAULT = 100, API_JSON_DEPTH = 32, API_WAIT_MAX_S = 60 };
enum { API_CHUNK = 64 * 1024 }; /* what a stream writes at a time */
enum {
    API_SUBMIT_MAX = 3 * 1048576
}; /* a list of targets has at most 1 MiB, escapes come on top */

enum api_surface { SURFACE_OLD, SURFACE_V1, SURFACES };

struct api_key_row; /* api_auth.c */
struct follower;    /* api_follow.c */
struct submit;      /* api_submit.h */
struct view_cache;  /* api_cache.c */
struct sse_hub;     /* api_events.c */
struct pump;        /* api_pump.h */

struct api {
    struct loop *loop;
    struct store *store;
    struct sched *sched;
    struct http_server *server; /* NULL until api_set_server() */
    struct api_config cfg;
    struct api_key_row *keys;   /* owned list; rows live as long as the api */
    struct timer key_timer;     /* last uses that are not in the store yet */
    struct key config_key;      /* stands for cfg.legacy_key: every scope, id "" */
    struct submit *submits;     /* owned list: those whose names are being resolved */
    struct follower *followers; /* owned list: requests that wait for one of these */
    struct timer follow_timer;  /* runs followers again whose leader is gone */
    struct netset own;          /* the machine's addresses, as of own_ms */
    int64_t own_ms;
    struct view_cache *cache;
    struct sse_hub *hub;
    struct pump *pumps; /* list: answers that wait for their next step */
    struct timer pump_timer;
    unsigned uploads;            /* under way */
    struct strvec fresh_imports; /* files of jobs that are not yet committed */
    int64_t submitted[SURFACES], refused[SURFACES], replayed;
    int64_t failed_commits, failed_ms; /* what /readyz saw last, and when */
};

/* ---- answers (api_reply.c) ---- */
bool api_old(const struct http_req *r); /* answers in the old service's shape */
/* One error in the shape of the route: {"detail":...} or a problem document. */
void api_fail(struct http_req *r, const struct err *e);
void api_error(struct http_req *r, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* By HTTP status, for what no error code stands for: 400, 401, 405, 415. */
void api_status(struct http_req *r, int status, const char *detail, const char *hint);
/* 403. `rule` is a word for programs ("key.scope", "policy.scope", ...), the message is for people.
 */
void api_refuse(struct http_req *r, const char *rule, const struct err *e);
/* 429 that says when to come back. */
void api_busy(struct http_req *r, const struct err *e, int32_t retry_s);

/* A 422 of /api/v1 that names each wrong field; a zeroed struct is empty. */
struct problems {
    struct buf json; /* items of "errors" */
    unsigned n;
};
void problem_add(struct problems *p, const char *pointer, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void problems_reply(struct http_req *r, struct problems *p); /* frees */
struct problem {
    int status;
    const char *detail, *hint, *instance, *rule; /* all but detail may be NULL */
    const char *errors;                          /* JSON items or NULL */
};
void problem_write(struct buf *out, const struct problem *p);
/* Sets X-Request-Id and returns it: once per request, before the answer. */
void api_request_id(struct http_req *r, char out[ID_TEXT + 1]);
void api_json_reply(struct http_req *r, int status); /* what http_out() holds */
/* The id in the path; answers 404 and returns false if there is no such job. */
bool api_job_of(struct api *a, struct http_req *r, struct job *out);
/* Query parameters that are not in `known` (NULL-terminated) get a 422; false then. */
bool api_query_known(struct http_req *r, const char *const *known);
/* A number in the query; *out is left alone when it is absent. Answers 422 and returns false. */
bool api_query_int(struct http_req *r, const char *name, int64_t min, int64_t max, int64_t *out);
/* "after" positions as opaque text, bound to what they continue. */
void cursor_write(char out[40], char kind, int64_t at);
bool cursor_read(const char *text, char kind, int64_t *at);
/* The same for lists in the order of addresses. */
void cursor_write_place(char out[64], const uint8_t key[HOST_KEY], int64_t seq);
bool cursor_read_place(const char *text, uint8_t key[HOST_KEY], int64_t *seq);
/* Closes "items" and the page: next_cursor, and the Link header if there is more. */
void api_page_end(struct http_req *r, struct json *j, char kind, int64_t last, bool more);
void api_page_end_at(struct http_req *r, struct json *j, const char *cursor); /* NULL: the last */

/* ---- JSON in (api_json.c) ---- */
struct json_fault {
    size_t pos; /* in characters */
    bool encoding;
    char msg[128]; /* in the words of Python's decoder where it has one */
};
/* Strict: UTF-8, no NUL, no duplicate members, at most API_JSON_DEPTH levels. NULL: see *f. */
json_t *api_json_load(const char *p, size_t n, struct json_fault *f);
/* Writes a parsed value with our writer. */
void api_json_write(struct json *j, const char *key, const json_t *v);

/* ---- what a scan request asks (api_plan.c) ---- */
struct scan_request { /* NULL and INT64_MIN: not given; strings are borrowed */
    const char *tool, *targets, *ports, *arguments;
    const char *limits; /* as limits_put() writes them */
    int64_t timeout_s, priority, retries, queue_timeout_s;
    bool clip;
    bool old; /* the old service's list of arguments, and its words */
    /* planned jobs */
    const struct profile *profile; /* borrowed from the configuration; NULL: none */
    const char *profile_name;      /* as it is stored: "standard@1"; NULL: none */
    const char *planned;           /* a retry: the plan that was made the first time */
    bool tool_given;               /* else `tool` is only whose options the arguments are */
    bool own_pace;
    uint32_t rate, shards;
    const char *zone; /* checked; NULL: none */
};
struct scan_faults { /* code 0: none */
    struct err targets, ports, arguments;
    struct err refused; /* well formed, but not allowed; `rule` says by what */
    const char *rule;
};
void scan_request_init(struct scan_request *q);
bool scan_is_planned(const struct scan_request *q); /* the job will have a plan and many tasks */
/*
 * Checks targets, ports and arguments by the tool's tables, within what the policy and the key
 * allow. False: *f says what is wrong. tool_plan_done() *plan in both cases. A tool of NULL: the
 * arguments are not looked at.
 */
bool api_plan(struct api *a, const struct key *k, const struct scan_request *q,
              struct tool_plan *plan, struct scan_faults *f);
struct policy *api_policy(const struct api *a);
const struct policy_rules *api_rules(const struct api *a, const struct key *k);

/* Applies SCANPOD_JOB_TTL_SECONDS where it is set. */
void api_sweep(struct api *a);

/* A page of what is numbered: ?after=, ?limit=, "items" and "next". */
struct number_page {
    struct json j;
    int64_t last; /* number of the last one that was put */
    int64_t n;    /* how many were */
};
void api_number_page(struct http_req *r, struct store *s,
                     int (*list)(struct store *s, int64_t after, uint32_t limit,
                                 struct number_page *pg, struct err *e));

/* ---- queues (api_fleet.c) ---- */
/* Its version on a worker that has it; NULL: none has. Borrowed until the fleet changes. */
const char *api_fleet_tool(const struct api *a, const char *tool);
bool api_queue_served(const struct api *a, const char *name); /* by whoever is there now */
void api_each_queue(const struct api *a,
                    void (*fn)(void *arg, const char *name, int64_t ready, int64_t oldest_us,
                               uint32_t slots, uint32_t free_slots),
                    void *arg);

/* ---- the audit log (api_audit.c) ---- */
/* Members for the detail of an entry go between begin and add. */
struct audit_note {
    struct buf text; /* owned */
    struct json j;
};
void audit_begin(struct audit_note *n, const struct http_req *r);
/* Of what did not come by a connection: which `what` it came by. */
void audit_begin_from(struct audit_note *n, const char *what, const char *name);
/* Frees the note. A failure breaks the turn: its commit says why. */
void audit_add(struct api *a, const struct key *k, const char *action, const char *object,
               struct audit_note *n);
/* The whole of it for a job: {"peer"}. */
void audit_job(struct api *a, const struct http_req *r, const char *action, const struct id *job);

/* ---- JSON out (api_view.c, api_hosts.c) ---- */
void view_old_job(struct json *j, const struct job *job);  /* members up to `request` */
void view_old_tail(struct json *j, const struct job *job); /* error and times */
void view_job(struct json *j, const char *key, const struct job *job, bool full);
/* In full, with where its raw output is. */
void api_view_job(struct api *a, struct json *j, const struct job *job);
void view_run(struct json *j, const struct job *job); /* the old result's last members */
void view_limits(struct json *j, const char *key, const struct limits *l); /* those that are set */
void view_pins(struct json *j, const char *key, const char *pins); /* {"name": ["addr", ...]} */
void view_known(struct json *j, const char *key, int64_t v, int64_t unknown); /* null if it is */
void job_etag(const struct job *job, char out[32]);
bool etag_matches(const char *if_none_match, const char *etag);

struct port_span { /* where the text of a port is */
    size_t at, n;
    uint16_t number;
    char protocol[8];
};

/* Rows to JSON; `old` picks the older names. host_writer_done() at the end. */
struct host_writer {
    struct json j;
    bool old;
    bool lines;                 /* NDJSON: a newline after each host */
    size_t full;                /* stop before the next host when the buffer holds more */
    int64_t last;               /* seq of the last host written */
    uint8_t last_key[HOST_KEY]; /* and its place in the order of addresses */
    uint32_t n;                 /* hosts written */
    bool stopped;               /* because of `full` */
    struct port_span *spans;    /* owned: of the present host */
    size_t n_spans, size_spans, ports_at;
    bool in_order;
};
int host_writer_page(struct store *s, int64_t job_num, const struct host_filter *f,
                     struct host_writer *w, struct err *e);
void host_writer_done(struct host_writer *w);
/* The whole job in the old shape: small ones from one buffer, large ones as a stream. */
void old_job_reply(struct api *a, struct http_req *r, struct job *job);

/* ---- cache of finished jobs (api_cache.c) ---- */
enum { CACHE_BYTES = 1024 * 1024, CACHE_BODY_MAX = 64 * 1024 };
struct cached {
    struct id id;
    enum api_surface surface;
    int64_t num;
    uint64_t rev;
    int64_t completed_us;
    int64_t seen; /* store_event_last() when it was known to be current */
    size_t n;
    char *body; /* owned by the cache */
};
struct view_cache *view_cache_new(size_t bytes);
void view_cache_free(struct view_cache *c);
struct cached *view_cache_find(struct view_cache *c, const struct id *id, enum api_surface s);
/* Copies the body. Too large a body is not kept. */
void view_cache_put(struct view_cache *c, const struct cached *entry);
void view_cache_drop(struct view_cache *c, const struct id *id);
void view_cache_clear(struct view_cache *c);
size_t view_cache_bytes(const struct view_cache *c);
/* The entry if it is current, else NULL; what `r` asks for is still to be checked (ETag). */
struct cached *api_cached(struct api *a, const struct id *id, enum api_surface s);
/* Keeps the body of a terminal job whose state is committed. */
void api_cache_body(struct api *a, const struct job *job, enum api_surface s, const struct buf *b);

/* ---- keys (api_auth.c) ---- */
int api_keys_load(struct api *a, struct err *e); /* again after each change */
void api_keys_free(struct api *a);
bool api_authorize(struct http_req *r, const struct http_route *route, void *app);
/* Who asks, until the handler suspends the request; outlives it. The configured key has id "". */
const struct key *api_key(const struct http_req *r);
/* The key of that name or id, in force or not; NULL: there is none. NULL: the configured key.
 * Notes the use of one in force. */
const struct key *api_key_named(struct api *a, const char *name);
/* With what KEY_ADMIN includes. */
unsigned key_scopes_held(const struct key *k);
bool key_in_force(const struct key *k);                /* of those that api_key() gave */
void key_scope_fault(unsigned missing, struct err *e); /* "this key lacks the scope ..." */

/* ---- pages of other origins (api_cors.c) ---- */
/* Adds headers where the request's origin is among those allowed. */
bool api_cors(const struct api *a, struct http_req *r);
/* True: it was a question of a browser, and is answered. */
bool api_cors_preflight(const struct api *a, struct http_req *r, const char *allow);

/* ---- event stream (api_events.c) ---- */
struct sse_hub *sse_hub_new(struct api *a);
void sse_hub_free(struct sse_hub *h);
void sse_hub_wake(struct sse_hub *h);
struct sse_stats {
    int64_t clients, lagged;
};
void sse_hub_stats(const struct sse_hub *h, struct sse_stats *out);

/* ---- answers that wait for a job (api_wait.c) ---- */
struct job_wait_spec {
    uint64_t rev;  /* answer when the job's rev is another one ... */
    bool terminal; /* ... or only when it is terminal */
    int64_t ms;    /* give up after that */
    void (*reply)(struct api *a, struct http_req *r, struct job *job, bool timed_out);
};
void api_wait(struct api *a, struct http_req *r, const struct id *job,
              const struct job_wait_spec *spec);

/* ---- files that are handed in (api_import.c) ---- */
struct http_sink *api_upload(struct http_req *r, const struct http_route *route, void *app);
/* After a commit: they stay; after one that failed: they go with their jobs. */
void api_imports_settle(struct api *a, bool committed);

/* ---- handlers ---- */
#define API_HANDLER(name) void name(struct http_req *r, void *app)
API_HANDLER(old_health);
API_HANDLER(old_submit);
API_HANDLER(old_list);
API_HANDLER(old_get);
API_HANDLER(old_cancel);
API_HANDLER(old_delete);
API_HANDLER(old_purge);
API_HANDLER(old_repo_submit);
API_HANDLER(old_repo_list);
API_HANDLER(old_repo_get);
API_HANDLER(old_repo_delete);
API_HANDLER(old_repo_cancel);
API_HANDLER(v1_repo_submit);
API_HANDLER(v1_repo_list);
API_HANDLER(v1_repo_get);
API_HANDLER(v1_repo_findings);
API_HANDLER(v1_repo_export);
API_HANDLER(v1_repositories);
API_HANDLER(v1_engines);
API_HANDLER(v1_findings);
API_HANDLER(v1_finding);
API_HANDLER(v1_finding_triage);
API_HANDLER(v1_submit);
API_HANDLER(v1_list);
API_HANDLER(v1_get);
API_HANDLER(v1_cancel);
API_HANDLER(v1_retry);
API_HANDLER(v1_delete);
API_HANDLER(v1_hosts);
API_HANDLER(v1_raw);
API_HANDLER(v1_reparse);
API_HANDLER(v1_export);
API_HANDLER(v1_tasks);
API_HANDLER(v1_coverage);
API_HANDLER(v1_diff);
API_HANDLER(v1_profiles);
API_HANDLER(v1_profile);
API_HANDLER(v1_import);
API_HANDLER(v1_events);
API_HANDLER(v1_capabilities);
API_HANDLER(v1_tools);
API_HANDLER(v1_policy);
API_HANDLER(v1_policy_check);
API_HANDLER(v1_policy_reload);
API_HANDLER(v1_audit);
API_HANDLER(v1_version);
API_HANDLER(v1_keys);
API_HANDLER(v1_key_create);
API_HANDLER(v1_key_revoke);
API_HANDLER(v1_queues);
API_HANDLER(v1_queue);
API_HANDLER(v1_workers);
API_HANDLER(v1_worker_drain);
API_HANDLER(v1_worker_resume);
API_HANDLER(v1_dead_letters);
API_HANDLER(api_healthz);
API_HANDLER(api_readyz);
API_HANDLER(api_metrics);
API_HANDLER(api_openapi);
API_HANDLER(api_docs);
