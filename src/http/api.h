/*
 * api - the REST surfaces: the old service's routes at the root, /api/v1 beside it.
 * One table of routes (api_routes), read by the server, the documentation and the tests.
 */
#pragma once

#include "base/json.h"
#include "engine/sarif.h"
#include "http/http.h"
#include "model/sandbox.h"
#include "model/target.h"
#include "plan/plan.h"
#include "policy/policy.h"
#include "sched/sched.h"
#include "store/store.h"
#include "transport/fleet.h"

struct api_depot_stats {
    int64_t waiting; /* files that are not there yet; counted up to 1000 */
    int64_t stored, failed, fetched, removed;
    bool down;       /* the last upload failed */
    const char *why; /* borrowed until the next call */
};

/* Raw output in object storage (daemon/shipping.h). */
struct api_depot {
    /* "s3://...": where a file is, or will be. Caller frees. */
    char *(*uri)(void *arg, const char *path);
    /* For a file that is not here. done comes once, in a later turn, after 30 s at the latest:
     * rc 0: fd is the receiver's. ERR_NOT_FOUND: it is not there. Else not now. */
    void *(*fetch)(void *arg, int64_t job_num, int32_t idx, const char *path,
                   void (*done)(void *done_arg, int rc, int fd, const char *why), void *done_arg);
    void (*give_up)(void *arg, void *handle); /* done does not come any more */
    void (*stats)(void *arg, struct api_depot_stats *out);
    void *arg;
};

/* A message queue from which requests come (daemon/intake.h). Strings are borrowed until the next
 * turn. */
struct api_intake_stats {
    const char *name, *queue;
    bool up;
    const char *why; /* why nothing can be taken; NULL: it can */
    int64_t taken, refused, later;
    int64_t results, undeliverable;
};

/* Strings are borrowed and outlive the api. */
struct api_config {
    const char *legacy_key; /* SCANPOD_API_KEY; NULL: only keys of the store */
    bool allow_unsafe_args;
    int32_t scan_timeout_s; /* default run time limit */
    int32_t queue_timeout_s;
    int32_t retries;
    int32_t old_retries; /* of jobs from the old routes, whose clients expect a failure at once */
    const char *blob_dir;
    const char *version;
    /* NULL or why nmap cannot be used; its version, NULL if not known. */
    const char *(*nmap)(void *arg, const char **version);
    void *nmap_arg;
    /* What boxes can do; NULL while it is still being found out. */
    const struct sandbox_caps *(*sandbox)(void *arg);
    void *sandbox_arg;
    /* The policy in force: borrowed until the next call. */
    struct policy *(*policy)(void *arg);
    /* Reads the file anew: 0, or why the old one stays in force. */
    int (*policy_reload)(void *arg, struct err *e);
    void *policy_arg;
    bool allow_unconfined;
    const struct nse_db *nse; /* NULL: nmap's scripts were not found */
    /* Pins the names of a target set; as resolver_pin() and resolver_cancel(). */
    void *(*pin)(void *arg, struct target_set *t,
                 void (*done)(void *arg, int code, const char *why), void *done_arg);
    void (*unpin)(void *arg, void *handle);
    void *pin_arg;
    int64_t ttl_us;                  /* SCANPOD_JOB_TTL_SECONDS where set; 0: none */
    const struct profiles *profiles; /* borrowed */
    /* Fills slots, raw, have_* of a plan's request for these targets. */
    void (*plan_facts)(void *arg, const struct target_set *t, struct plan_request *q);
    /* The stages and tasks of a job that is not stored, with the argv of each task whose stage is
     * known (JSON members "stages", "estimate_s", "addresses", "probes" are added to j). */
    int (*dry_run)(void *arg, const struct job *job, struct json *j, struct err *e);
    void *plan_arg;
    /* Programs by tool: full path and version, NULL if not there (then *why). */
    const char *(*program)(void *arg, const struct tool *t, const char **version, const char **why);
    void *program_arg;
    const char *import_dir; /* under blob_dir: where uploads are written; NULL: not offered */
    uint64_t import_max;    /* bytes */
    /* Scans run on workers elsewhere: what this machine can do says nothing about them. */
    bool elsewhere;
    struct fleet *fleet; /* borrowed; NULL: no transport */
    /* Parses a job's raw output anew in a process of its own; `done` is called in a later turn.
     * NULL: not offered. */
    int (*reparse)(void *arg, const struct id *job,
                   void (*done)(void *done_arg, int rc, const char *message), void *done_arg,
                   struct err *e);
    void *reparse_arg;
    /* The i-th message queue; false: there is none. NULL: there are none. */
    bool (*intake)(void *arg, size_t i, struct api_intake_stats *out);
    void *intake_arg;
    /* Repository scans (daemon/repo_means.h). */
    int32_t repo_timeout_s;
    bool agent_ready;                                  /* the claude engine has a key */
    bool (*agent_model)(void *arg, const char *model); /* may be asked for */
    bool (*has_secret)(void *arg, const char *name);
    void *agent_arg;
    const struct sarif_engines *declared_engines; /* borrowed; may be NULL */
    const char *cors_origins;                     /* by commas; NULL: none */
    const char *anonymous_repo_key; /* whose rights old repository clients without a key have */
    bool scan_orchestrator;         /* GET /health answers like the old repository scanner */
    const struct api_depot *depot;  /* borrowed; NULL: raw output stays in blob_dir */
};

struct api;
int api_new(struct loop *l, struct store *st, struct sched *sc, const struct api_config *c,
            struct api **out, struct err *e);
void api_free(struct api *a);
void api_set_server(struct api *a, struct http_server *s); /* for metrics */
/* Fills routes, app, authorize, no_route, error_body. */
void api_http_config(struct api *a, struct http_config *c);
/* After each commit: wakes event streams. */
void api_after_commit(struct api *a);
/* A turn's changes were undone: forgets what was taken over from it into memory. */
void api_turn_undone(struct api *a);
extern const struct http_route api_routes[];

/* The same JSON without a server: a job, and its hosts as NDJSON in pieces. */
typedef int (*api_bytes_fn)(void *arg, const char *data, size_t n, struct err *e);
void api_job_json(const struct job *job, struct buf *out);
/* Of a repository scan: the scan with its job, and its findings as NDJSON. */
void api_repo_scan_json(struct store *st, const struct job *job, struct buf *out);
int api_findings_json(struct store *st, int64_t job_num, api_bytes_fn fn, void *arg, struct err *e);
int api_hosts_json(struct store *st, int64_t job_num, api_bytes_fn fn, void *arg, struct err *e);
