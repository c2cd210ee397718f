/*
 * /metrics: Prometheus text format 0.0.4. Times are seconds; labels are bounded: routes, states,
 * surfaces, never ids or targets.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/api_priv.h"

static void family(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void value(struct buf *b, const char *name, int64_t v)
{
    buf_addf(b, "%s %" PRId64 "\n", name, v);
}

static void one(struct buf *b, const char *name, const char *type, const char *help, int64_t v)
{
    family(b, name, type, help);
    value(b, name, v);
}

static void labelled(struct buf *b, const char *name, const char *label, const char *is, int64_t v)
{
    buf_addf(b, "%s{%s=\"%s\"} %" PRId64 "\n", name, label, is, v);
}

static void seconds(struct buf *b, const char *name, int64_t us)
{
    buf_addf(b, "%s %" PRId64 ".%06" PRId64 "\n", name, us / 1000000, us % 1000000);
}

static void summary(struct buf *b, const char *name, const char *help, int64_t us, int64_t n)
{
    auto_free char *sum = str_fmt("%s_sum", name);
    auto_free char *count = str_fmt("%s_count", name);

    family(b, name, "summary", help);
    seconds(b, sum, us);
    value(b, count, n);
}

/* Outcomes that happened, and plain completion so that the family is never empty. */
static void put_finished(struct buf *b, const struct sched_stats *s)
{
    static const char *const name = "scanpod_jobs_finished_total";

    family(b, name, "counter", "Jobs that ended since the start, by outcome and reason.");
    for (int i = JOB_COMPLETED; i < JOB_STATES; i++) {
        for (int r = 0; r < REASON_COUNT; r++) {
            if (s->finished[i][r] || (i == JOB_COMPLETED && r == REASON_NONE)) {
                buf_addf(b, "%s{outcome=\"%s\",reason=\"%s\"} %" PRId64 "\n", name,
                         job_state_name((enum job_state)i), job_reason_name((enum job_reason)r),
                         s->finished[i][r]);
            }
        }
    }
}

static int take_created(void *arg, const struct job *j, struct err *e)
{
    (void)e;
    *(int64_t *)arg = j->created_us;
    return 0;
}

static int64_t oldest_queued_us(struct api *a)
{
    const struct job_filter f = {.states = 1u << JOB_QUEUED, .oldest_first = true, .limit = 1};
    int64_t created = 0;

    if (store_job_list(a->store, &f, take_created, &created, NULL) < 0 || !created) {
        return 0;
    }
    return MAX(wall_us() - created, 0);
}

static void put_jobs(struct api *a, struct buf *b, const struct sched_stats *s)
{
    static const char *const surface[SURFACES] = {[SURFACE_OLD] = "old", [SURFACE_V1] = "v1"};
    static const char *const submitted = "scanpod_jobs_submitted_total";
    int64_t counts[JOB_STATES] = {0};

    store_job_counts(a->store, counts);
    family(b, "scanpod_jobs", "gauge", "Jobs in the store by state.");
    for (int i = 0; i < JOB_STATES; i++) {
        labelled(b, "scanpod_jobs", "state", job_state_name((enum job_state)i), counts[i]);
    }
    family(b, submitted, "counter", "Jobs submitted since the start, by source and result.");
    for (int i = 0; i < SURFACES; i++) {
        buf_addf(b, "%s{source=\"%s\",result=\"accepted\"} %" PRId64 "\n", submitted, surface[i],
                 a->submitted[i]);
        buf_addf(b, "%s{source=\"%s\",result=\"refused\"} %" PRId64 "\n", submitted, surface[i],
                 a->refused[i]);
    }
    one(b, "scanpod_jobs_replayed_total", "counter",
        "Submissions that an Idempotency-Key answered with an earlier job.", a->replayed);
    put_finished(b, s);
    family(b, "scanpod_job_oldest_queued_seconds", "gauge", "How long the oldest job has waited.");
    seconds(b, "scanpod_job_oldest_queued_seconds", oldest_queued_us(a));
    summary(b, "scanpod_job_queue_seconds", "Time from submission to the first run.",
            s->queue_us_total, s->queue_n);
    summary(b, "scanpod_job_run_seconds", "Time from the first run to the end.", s->run_us_total,
            s->run_n);
    summary(b, "scanpod_cancel_seconds", "Time from a cancel to the end of the run.",
            s->cancel_us_total, s->cancel_n);
}

static void put_sched(struct buf *b, const struct sched_stats *s)
{
    one(b, "scanpod_attempts_total", "counter", "Runs that were started.", s->claims);
    one(b, "scanpod_retries_total", "counter", "Runs that were put back to be tried again.",
        s->retries);
    one(b, "scanpod_lease_reaped_total", "counter", "Leases of workers that went silent.", s->lost);
    one(b, "scanpod_lease_fenced_total", "counter", "Reports refused because their lease was old.",
        s->fenced);
    family(b, "scanpod_worker_slots", "gauge", "Runs that can be under way at the same time.");
    labelled(b, "scanpod_worker_slots", "state", "busy", s->busy);
    labelled(b, "scanpod_worker_slots", "state", "free", (int64_t)s->slots - s->busy);
}

static void put_store(struct api *a, struct buf *b)
{
    struct store_stats s = {0};

    store_stats(a->store, &s);
    summary(b, "scanpod_store_commit_seconds", "Time that commits took.", s.commit_us_total,
            s.commits);
    family(b, "scanpod_store_commit_max_seconds", "gauge", "The longest commit since the start.");
    seconds(b, "scanpod_store_commit_max_seconds", s.commit_us_max);
    one(b, "scanpod_store_ops_total", "counter", "Changes made durable.", s.ops);
    one(b, "scanpod_store_errors_total", "counter", "Commits that failed and were undone.",
        s.failed_commits);
    one(b, "scanpod_sqlite_wal_bytes", "gauge", "Size of the write-ahead log.", s.log_bytes);
    one(b, "scanpod_events_last", "gauge", "Number of the newest event.",
        store_event_last(a->store));
}

static void put_depot(struct api *a, struct buf *b)
{
    static const char *const uploads = "scanpod_blob_uploads_total";
    struct api_depot_stats s = {0};

    if (!a->cfg.depot) {
        return;
    }
    a->cfg.depot->stats(a->cfg.depot->arg, &s);
    one(b, "scanpod_blobs_waiting", "gauge",
        "Raw output that is not in object storage yet, counted up to 1000.", s.waiting);
    family(b, uploads, "counter", "Attempts to put raw output into object storage, by result.");
    labelled(b, uploads, "result", "stored", s.stored);
    labelled(b, uploads, "result", "failed", s.failed);
    one(b, "scanpod_blob_fetches_total", "counter", "Raw output had back from object storage.",
        s.fetched);
    one(b, "scanpod_blob_removals_total", "counter", "Objects of deleted jobs that were removed.",
        s.removed);
    one(b, "scanpod_blob_storage_up", "gauge", "0: the last upload failed.", !s.down);
}

struct by_route {
    struct buf *b;
    const char *route; /* of the sum under way */
    int64_t n, us;
    bool times;
};

static void route_end(struct by_route *br)
{
    static const char *const name = "scanpod_http_request_seconds";

    if (br->route) {
        buf_addf(br->b, "%s_sum{route=\"%s\"} %" PRId64 ".%06" PRId64 "\n", name, br->route,
                 br->us / 1000000, br->us % 1000000);
        buf_addf(br->b, "%s_count{route=\"%s\"} %" PRId64 "\n", name, br->route, br->n);
    }
    br->route = NULL;
    br->n = br->us = 0;
}

static void put_route(void *arg, const char *route, const char *method, int status, int64_t n,
                      int64_t us)
{
    struct by_route *br = arg;

    if (!br->times) {
        buf_addf(br->b,
                 "scanpod_http_requests_total{route=\"%s\",method=\"%s\",code=\"%d\"} %" PRId64
                 "\n",
                 route, method, status, n);
        return;
    }
    if (br->route && !str_eq(br->route, route)) {
        route_end(br);
    }
    br->route = route;
    br->n += n;
    br->us += us;
}

static void put_http(struct api *a, struct buf *b)
{
    struct by_route br = {.b = b};
    struct http_stats s = {0};
    struct sse_stats sse = {0};

    sse_hub_stats(a->hub, &sse);
    one(b, "scanpod_sse_clients", "gauge", "Clients on the event stream.", sse.clients);
    one(b, "scanpod_sse_lagged_total", "counter", "Event stream clients that could not keep up.",
        sse.lagged);
    if (!a->server) {
        return;
    }
    http_stats(a->server, &s);
    one(b, "scanpod_http_connections", "gauge", "Open connections.", s.conns);
    one(b, "scanpod_http_accepted_total", "counter", "Connections accepted.", s.accepted);
    one(b, "scanpod_http_rejected_total", "counter",
        "Connections and requests refused before a handler saw them.", s.rejected);
    one(b, "scanpod_http_deadline_closed_total", "counter",
        "Connections closed because they were too slow.", s.deadline_closed);
    family(b, "scanpod_http_requests_total", "counter", "Requests by route and status class.");
    http_metrics(a->server, put_route, &br);
    family(b, "scanpod_http_request_seconds", "summary", "Time to answer, by route.");
    br.times = true;
    http_metrics(a->server, put_route, &br);
    route_end(&br);
}

/* Resident pages: the second number of statm. */
static int64_t resident_pages(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    char line[128] = "";
    char *space;

    if (!f) {
        return 0;
    }
    space = fgets(line, sizeof line, f) ? strchr(line, ' ') : NULL;
    fclose(f);
    return space ? strtoll(space, NULL, 10) : 0;
}

static void put_process(const struct api *a, struct buf *b)
{
    struct rusage u = {0};

    getrusage(RUSAGE_SELF, &u);
    family(b, "process_cpu_seconds_total", "counter", "Processor time of this process.");
    seconds(b, "process_cpu_seconds_total",
            (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000) + u.ru_utime.tv_usec +
                u.ru_stime.tv_usec);
    one(b, "process_resident_memory_bytes", "gauge", "Memory of this process.",
        resident_pages() * sysconf(_SC_PAGESIZE));
    family(b, "scanpod_build_info", "gauge", "1, with the version as a label.");
    labelled(b, "scanpod_build_info", "version", a->cfg.version ? a->cfg.version : "", 1);
}

/* One family at a time: queues are few, and asking for them costs little. */
struct queue_metric {
    struct buf *b;
    const char *name;
    enum { READY, OLDEST, SLOTS, FREE } what;
};

static void put_queue_metric(void *arg, const char *queue, int64_t ready, int64_t oldest_us,
                             uint32_t slots, uint32_t free_slots)
{
    const struct queue_metric *m = arg;
    int64_t waited = oldest_us ? MAX(wall_us() - oldest_us, 0) / 1000000 : 0;
    const int64_t values[] = {
        [READY] = ready, [OLDEST] = waited, [SLOTS] = slots, [FREE] = free_slots};

    labelled(m->b, m->name, "queue", queue, values[m->what]);
}

static void put_queues(const struct api *a, struct buf *b)
{
    static const struct {
        const char *name, *help;
    } families[] = {
        [READY] = {"scanpod_queue_ready", "Tasks that wait for a free slot."},
        [OLDEST] = {"scanpod_queue_oldest_seconds",
                    "Since the oldest job with a task in the queue was accepted."},
        [SLOTS] = {"scanpod_queue_slots", "Slots of the workers that serve the queue."},
        [FREE] = {"scanpod_queue_free_slots", "Of these, free ones."},
    };

    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        struct queue_metric m = {.b = b, .name = families[i].name, .what = i};

        family(b, m.name, "gauge", families[i].help);
        api_each_queue(a, put_queue_metric, &m);
    }
}

struct worker_count {
    int64_t up, draining, gone, spooled;
};

static void count_worker(void *arg, const struct fleet_worker *w)
{
    struct worker_count *n = arg;

    n->gone += w->gone;
    n->draining += !w->gone && w->draining;
    n->up += !w->gone && !w->draining;
    n->spooled += w->spooled;
}

/* ---- message queues ---- */

static const struct {
    const char *name, *type, *help;
    size_t at; /* of an int64_t in struct api_intake_stats */
} intake_families[] = {
    {"scanpod_intake_taken_total", "counter", "Messages that became jobs, repeats too.",
     offsetof(struct api_intake_stats, taken)},
    {"scanpod_intake_refused_total", "counter", "Messages that became dead letters.",
     offsetof(struct api_intake_stats, refused)},
    {"scanpod_intake_later_total", "counter", "Times that a message had to wait.",
     offsetof(struct api_intake_stats, later)},
    {"scanpod_intake_results_total", "counter", "Results that the broker has.",
     offsetof(struct api_intake_stats, results)},
    {"scanpod_intake_undeliverable_total", "counter", "Results that nobody will get.",
     offsetof(struct api_intake_stats, undeliverable)},
};

static void put_intakes(const struct api *a, struct buf *b)
{
    struct api_intake_stats s;

    if (!a->cfg.intake || !a->cfg.intake(a->cfg.intake_arg, 0, &s)) {
        return;
    }
    family(b, "scanpod_intake_up", "gauge", "1 while the broker of a message queue is there.");
    for (size_t i = 0; a->cfg.intake(a->cfg.intake_arg, i, &s); i++) {
        labelled(b, "scanpod_intake_up", "intake", s.name, s.up);
    }
    for (size_t f = 0; f < ARRAY_LEN(intake_families); f++) {
        family(b, intake_families[f].name, intake_families[f].type, intake_families[f].help);
        for (size_t i = 0; a->cfg.intake(a->cfg.intake_arg, i, &s); i++) {
            int64_t v;

            memcpy(&v, (const char *)&s + intake_families[f].at, sizeof v);
            labelled(b, intake_families[f].name, "intake", s.name, v);
        }
    }
}

static void put_fleet(const struct api *a, struct buf *b)
{
    struct worker_count n = {0};
    struct fleet_stats s;

    if (!a->cfg.fleet) {
        return;
    }
    fleet_workers(a->cfg.fleet, count_worker, &n);
    fleet_stats(a->cfg.fleet, &s);
    family(b, "scanpod_workers", "gauge", "Workers of the transport, by state.");
    labelled(b, "scanpod_workers", "state", "up", n.up);
    labelled(b, "scanpod_workers", "state", "draining", n.draining);
    labelled(b, "scanpod_workers", "state", "gone", n.gone);
    one(b, "scanpod_spool_results", "gauge", "Results on disks of workers, not yet delivered.",
        n.spooled);
    one(b, "scanpod_transport_up", "gauge", "1 while the transport can be used.",
        s.up && !s.conflict);
    one(b, "scanpod_transport_connects_total", "counter", "Times it was connected to.",
        s.reconnects);
    one(b, "scanpod_tasks_pushed_total", "counter", "Tasks given to the transport.", s.pushed);
    one(b, "scanpod_reports_applied_total", "counter", "Reports of workers.", s.applied);
    one(b, "scanpod_reports_duplicate_total", "counter", "Those that had been applied before.",
        s.duplicates);
    one(b, "scanpod_reports_fenced_total", "counter", "Those under a lease that was over.",
        s.fenced);
    one(b, "scanpod_lease_adopted_total", "counter", "Late results that were taken all the same.",
        s.adopted);
    one(b, "scanpod_transport_bad_entries_total", "counter", "Entries that were no reports.",
        s.bad_entries);
}

void api_metrics(struct http_req *r, void *app)
{
    struct api *a = app;
    struct buf *b = http_out(r);
    struct sched_stats s = {0};

    http_not_stored(r);
    sched_stats(a->sched, &s);
    put_jobs(a, b, &s);
    put_sched(b, &s);
    put_store(a, b);
    put_depot(a, b);
    put_http(a, b);
    put_queues(a, b);
    put_fleet(a, b);
    put_intakes(a, b);
    put_process(a, b);
    http_reply_buf(r, 200, "text/plain; version=0.0.4; charset=utf-8");
}
