#include "daemon/intake_view.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "daemon/intake_findings.h"
#include "edge/edge.h"

enum {
    HEAD_ROOM = 8 << 10, /* for all but hosts */
    HOSTS_ROOM = EDGE_RESULT_MAX - HEAD_ROOM,
    TEXT_MAX = 1024, /* of target and error, before they are escaped */
    ERROR_MAX = 512,
};

/* ---- hosts: the first one twice, once as members of `results` ---- */

struct hosts {
    struct buf list;  /* items of "hosts" */
    struct buf first; /* "ports" of the first one, an array */
    struct buf ports; /* of the present one */
    struct json j;
    char *name, *ip, *state; /* owned: of the present one */
    char *first_name, *first_ip;
    bool with_ports, full;
    uint32_t n;
    int64_t last; /* seq of the present one */
};

static void hosts_done(struct hosts *h)
{
    buf_done(&h->list);
    buf_done(&h->first);
    buf_done(&h->ports);
    free(h->name);
    free(h->ip);
    free(h->state);
    free(h->first_name);
    free(h->first_ip);
    *h = (struct hosts){0};
}

static int on_host(void *arg, int64_t seq, const struct host *head, struct err *e)
{
    struct hosts *h = arg;
    const char *ip = host_address(head);
    const char *name = head->n_names ? head->names[0].name : ip;

    h->last = seq;
    free(h->name);
    free(h->ip);
    free(h->state);
    h->name = name ? xstrndup(name, strnlen(name, 255)) : NULL;
    h->ip = xstrdup(ip);
    h->state = xstrdup(head->state);
    buf_reset(&h->ports);
    h->j = json_to(&h->ports);
    json_arr(&h->j);
    return 0;
}

static int on_port(void *arg, const struct port *p, struct err *e)
{
    struct hosts *h = arg;

    if (!h->with_ports) {
        return 0;
    }
    json_obj(&h->j);
    json_int(&h->j, "port_id", p->number);
    json_str(&h->j, "protocol", p->protocol);
    json_str(&h->j, "state", p->state);
    json_str(&h->j, "service", p->service);
    json_end(&h->j);
    h->full = h->list.len + h->first.len + h->ports.len > HOSTS_ROOM;
    return h->full;
}

static int on_host_end(void *arg, struct err *e)
{
    struct hosts *h = arg;
    auto_buf one = {0};
    struct json j = json_to(&one);

    json_end(&h->j);
    json_obj(&j);
    json_str(&j, "host", h->name);
    json_str(&j, "ip", h->ip);
    json_str(&j, "state", h->state);
    json_raw(&j, "ports", h->ports.data);
    json_end(&j);
    h->full = h->list.len + h->first.len + (h->n ? 0 : h->ports.len) + one.len > HOSTS_ROOM;
    if (h->full) {
        return 1;
    }
    if (h->n++ == 0) {
        buf_add(&h->first, h->ports.data, h->ports.len);
        h->first_name = xstrdup(h->name);
        h->first_ip = xstrdup(h->ip);
    }
    buf_adds(&h->list, h->list.len ? "," : "");
    buf_add(&h->list, one.data, one.len);
    return 0;
}

static int read_hosts(struct store *s, int64_t job_num, bool with_ports, struct hosts *h,
                      struct err *e)
{
    const struct host_sink sink = {
        .host = on_host, .port = on_port, .host_end = on_host_end, .arg = h};
    struct host_filter f = {.limit = 1000};
    uint32_t before;
    int rc;

    *h = (struct hosts){.with_ports = with_ports};
    do {
        before = h->n;
        rc = store_hosts(s, job_num, &f, &sink, e);
        f.after = h->last;
    } while (rc == 0 && h->n - before == f.limit);
    return rc < 0 ? rc : 0;
}

/* ---- the object ---- */

static const char *status_of(enum job_state s)
{
    return s == JOB_COMPLETED ? "completed" : s == JOB_TIMED_OUT ? "timeout" : "failed";
}

static void put_text(struct json *j, const char *key, const char *s)
{
    if (s) {
        json_strn(j, key, s, strnlen(s, TEXT_MAX));
    } else {
        json_nil(j, key);
    }
}

/* "s3://...", or the path of the download; owned; NULL: none. */
static char *raw_path_of(struct store *s, const struct api_depot *depot, const struct job *job)
{
    auto_free char *path = NULL;
    char *uri = NULL;
    char id[ID_TEXT + 1];

    if (!job->raw_sha256) {
        return NULL;
    }
    if (store_blob_uri(s, job->num, 0, &uri, NULL) == 0 && uri) {
        return uri;
    }
    if (depot && store_raw_path(s, job->num, &path, NULL) == 0 && path) {
        return depot->uri(depot->arg, path);
    }
    id_text(&job->id, id);
    return str_fmt("/api/v1/scans/%s/raw", id);
}

static char *error_of(const struct intake_result *r, const struct job *job)
{
    if (r->state == JOB_COMPLETED) {
        return NULL;
    }
    if (r->state == JOB_CANCELLED) {
        return xstrdup("cancelled");
    }
    return job->error && *job->error
               ? xstrndup(job->error, strnlen(job->error, ERROR_MAX))
               : xstrdup(r->state == JOB_TIMED_OUT ? "the scan took too long" : "the scan failed");
}

static void put_results(struct json *j, const struct job *job, const struct hosts *h,
                        const char *raw)
{
    json_obj_in(j, "results");
    json_str(j, "host", h->first_name);
    json_str(j, "ip", h->first_ip);
    json_raw(j, "ports", h->n ? h->first.data : "[]");
    json_str(j, "raw_output_path", raw);
    json_int(j, "hosts_total", job->hosts);
    json_int(j, "hosts_up", job->hosts_up);
    json_int(j, "ports_open", job->ports_open);
    json_bool(j, "truncated", h->full || !h->with_ports);
    json_arr_in(j, "hosts");
    if (h->list.len) {
        buf_add(j->b, h->list.data, h->list.len);
    }
    json_end(j);
    json_end(j);
}

/* findings: `results` of a repository scan; NULL: it is none. */
static void write_it(const struct intake_result *r, const struct job *job, const struct hosts *h,
                     const char *findings, const char *raw, const char *error, struct buf *out)
{
    struct json j = json_to(out);
    char id[ID_TEXT + 1];

    id_text(&r->job, id);
    json_obj(&j);
    json_str(&j, "task_id", r->task_id);
    json_str(&j, "status", status_of(r->state));
    put_text(&j, "tool", job->tool);
    put_text(&j, "target", job->targets);
    if (findings) {
        json_raw(&j, "results", findings);
    } else {
        put_results(&j, job, h, raw);
    }
    put_text(&j, "error_message", error);
    json_bool(&j, "partial", job->partial);
    json_str(&j, "job_id", id);
    json_str(&j, "event_id", r->event_id);
    json_end(&j);
}

int intake_result_write(struct store *s, const struct api_depot *depot,
                        const struct intake_result *r, struct buf *out, char **error, struct err *e)
{
    auto_free char *raw = NULL;
    auto_buf findings = {0};
    struct hosts h = {.with_ports = true};
    struct job job;
    int rc;

    job_init(&job);
    rc = store_job_get(s, &r->job, &job, e);
    if (rc == 0 && job.repo) {
        rc = intake_findings_write(s, &job, HOSTS_ROOM, &findings, e);
    } else if (rc == 0) {
        rc = read_hosts(s, job.num, true, &h, e);
        if (rc == 0 && h.full) {
            hosts_done(&h);
            rc = read_hosts(s, job.num, false, &h, e);
        }
        raw = raw_path_of(s, depot, &job);
    } else if (rc == ERR_NOT_FOUND) {
        rc = 0; /* it was deleted meanwhile */
    }
    if (rc == 0) {
        *error = error_of(r, &job);
        write_it(r, &job, &h, findings.data, raw, *error, out);
    }
    hosts_done(&h);
    job_done(&job);
    return rc;
}

void intake_refusal_write(const char *event_id, const char *task_id, const char *why,
                          struct buf *out)
{
    struct json j = json_to(out);

    json_obj(&j);
    json_str(&j, "task_id", task_id);
    json_str(&j, "status", "failed");
    json_nil(&j, "tool");
    json_nil(&j, "target");
    json_nil(&j, "results");
    json_strn(&j, "error_message", why, strnlen(why, TEXT_MAX));
    json_nil(&j, "job_id");
    json_str(&j, "event_id", event_id);
    json_end(&j);
}
