/*
 * From a checked request to a stored job: what both surfaces share.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/api_priv.h"
#include "model/request.h"
#include "tool/tool.h"

enum { TEXT_MAX = 16 * 1024 }; /* ports, arguments */

void scan_request_init(struct scan_request *q)
{
    *q = (struct scan_request){.tool = "nmap",
                               .timeout_s = INT64_MIN,
                               .priority = INT64_MIN,
                               .retries = INT64_MIN,
                               .queue_timeout_s = INT64_MIN};
}

int api_check_targets(const char *s, struct err *e)
{
    auto_strvec tokens = {0};

    if (strlen(s) > JOB_TARGETS_MAX) {
        return err_set(e, ERR_INVALID, "targets are longer than %d bytes", JOB_TARGETS_MAX);
    }
    return targets_parse(s, &tokens, NULL, e);
}

int api_check_ports(const char *s, struct err *e)
{
    if (strlen(s) > TEXT_MAX) {
        return err_set(e, ERR_INVALID, "ports are longer than %d bytes", TEXT_MAX);
    }
    return ports_parse(s, e);
}

int api_check_arguments(const struct api *a, const char *tool, const char *s, struct err *e)
{
    const struct tool *t = tool_find(tool);
    auto_strvec tokens = {0};
    int rc;

    if (strlen(s) > TEXT_MAX) {
        return err_set(e, ERR_INVALID, "arguments are longer than %d bytes", TEXT_MAX);
    }
    rc = shell_split(s, &tokens, e);
    if (rc < 0 || a->cfg.allow_unsafe_args) {
        return rc;
    }
    return t->check_arguments(&tokens, e);
}

void api_sweep(struct api *a)
{
    int64_t n = 0;

    if (!a->cfg.ttl_us) {
        return;
    }
    do {
        if (store_job_expire(a->store, wall_us() - a->cfg.ttl_us, API_PAGE_MAX, &n, NULL) < 0) {
            return; /* the turn is broken: the commit says why */
        }
    } while (n == API_PAGE_MAX);
}

static int32_t or_default(int64_t given, int32_t def)
{
    return given == INT64_MIN ? def : (int32_t)given;
}

int api_submit(struct api *a, struct http_req *r, const struct scan_request *q, struct job *out,
               struct err *e)
{
    int rc;

    api_sweep(a);
    job_init(out);
    out->id = id_new();
    out->tool = xstrdup(q->tool);
    out->targets = xstrdup(q->targets);
    out->ports = xstrdup(q->ports);
    out->arguments = xstrdup(q->arguments);
    out->timeout_s = q->timeout_s;
    out->run_timeout_s = or_default(q->timeout_s, a->cfg.scan_timeout_s);
    out->queue_timeout_s = or_default(q->queue_timeout_s, a->cfg.queue_timeout_s);
    out->priority = or_default(q->priority, JOB_PRIORITY_DEFAULT);
    out->max_attempts =
        1 + or_default(q->retries, api_old(r) ? a->cfg.old_retries : a->cfg.retries);
    out->key_id = xstrdup(api_key_id(r));
    out->created_us = wall_us();
    if (out->queue_timeout_s > 0) {
        out->queue_expires_us = out->created_us + (int64_t)out->queue_timeout_s * 1000000;
    }
    rc = store_job_add(a->store, out, e);
    a->submitted[api_old(r) ? SURFACE_OLD : SURFACE_V1] += rc == 0;
    a->refused[api_old(r) ? SURFACE_OLD : SURFACE_V1] += rc < 0;
    if (rc < 0) {
        job_done(out);
        return rc;
    }
    if (log_on(LOG_INFO)) {
        char id[ID_TEXT + 1];

        id_text(&out->id, id);
        log_info("job_created", KV("job", id), KV("targets", out->targets),
                 KV("peer", http_peer(r)));
    }
    return 0;
}
