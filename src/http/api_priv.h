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

enum { API_PAGE_MAX = 1000, API_PAGE_DEFAULT = 100, API_JSON_DEPTH = 32, API_WAIT_MAX_S = 60 };
enum { API_CHUNK = 64 * 1024 }; /* what a stream writes at a time */

enum api_surface { SURFACE_OLD, SURFACE_V1, SURFACES };

struct api_key_row; /* api_auth.c */
struct view_cache;  /* api_cache.c */
struct sse_hub;     /* api_events.c */

struct api {
    struct loop *loop;
    struct store *store;
    struct sched *sched;
    struct http_server *server; /* NULL until api_set_server() */
    struct api_config cfg;
    struct api_key_row *keys; /* owned list; rows live as long as the api */
    struct timer key_timer;   /* last uses that are not in the store yet */
    uint8_t legacy_hash[32];  /* of cfg.legacy_key */
    struct view_cache *cache;
    struct sse_hub *hub;
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

/* A 422 of /api/v1 that names each wrong field; a zeroed struct is empty. */
struct problems {
    struct buf json; /* items of "errors" */
    unsigned n;
};
void problem_add(struct problems *p, const char *pointer, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void problems_reply(struct http_req *r, struct problems *p); /* frees */
/* The body of a problem document. errors: JSON items or NULL. */
void problem_write(struct buf *out, int status, const char *detail, const char *hint,
                   const char *instance, const char *errors);
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
/* Closes "items" and the page: next_cursor, and the Link header if there is more. */
void api_page_end(struct http_req *r, struct json *j, char kind, int64_t last, bool more);

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

/* ---- submitting (api_submit.c) ---- */
struct scan_request { /* NULL and INT64_MIN: not given; strings are borrowed */
    const char *tool, *targets, *ports, *arguments;
    int64_t timeout_s, priority, retries, queue_timeout_s;
};
void scan_request_init(struct scan_request *q);
int api_check_targets(const char *s, struct err *e);
int api_check_ports(const char *s, struct err *e);
int api_check_arguments(const struct api *a, const char *tool, const char *s, struct err *e);
/* Adds the job; *out is the stored job, to be job_done(). */
int api_submit(struct api *a, struct http_req *r, const struct scan_request *q, struct job *out,
               struct err *e);
/* Applies SCANPOD_JOB_TTL_SECONDS where it is set. */
void api_sweep(struct api *a);

/* ---- JSON out (api_view.c, api_hosts.c) ---- */
void view_old_job(struct json *j, const struct job *job);  /* members up to `request` */
void view_old_tail(struct json *j, const struct job *job); /* error and times */
void view_job(struct json *j, const char *key, const struct job *job, bool full);
void view_run(struct json *j, const struct job *job); /* the old result's last members */
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
    bool lines;              /* NDJSON: a newline after each host */
    size_t full;             /* stop before the next host when the buffer holds more */
    int64_t last;            /* seq of the last host written */
    uint32_t n;              /* hosts written */
    bool stopped;            /* because of `full` */
    struct port_span *spans; /* owned: of the present host */
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
const char *api_key_id(const struct http_req *r); /* "" for the configured key */

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

/* ---- handlers ---- */
#define API_HANDLER(name) void name(struct http_req *r, void *app)
API_HANDLER(old_health);
API_HANDLER(old_submit);
API_HANDLER(old_list);
API_HANDLER(old_get);
API_HANDLER(old_cancel);
API_HANDLER(old_delete);
API_HANDLER(old_purge);
API_HANDLER(v1_submit);
API_HANDLER(v1_list);
API_HANDLER(v1_get);
API_HANDLER(v1_cancel);
API_HANDLER(v1_retry);
API_HANDLER(v1_delete);
API_HANDLER(v1_hosts);
API_HANDLER(v1_raw);
API_HANDLER(v1_reparse);
API_HANDLER(v1_events);
API_HANDLER(v1_capabilities);
API_HANDLER(v1_tools);
API_HANDLER(v1_version);
API_HANDLER(v1_keys);
API_HANDLER(v1_key_create);
API_HANDLER(v1_key_revoke);
API_HANDLER(api_healthz);
API_HANDLER(api_readyz);
API_HANDLER(api_metrics);
API_HANDLER(api_openapi);
API_HANDLER(api_docs);
