/*
 * Is the process alive, is it ready, what are its figures.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "http/api_priv.h"

enum { DISK_MIN = 16 * 1024 * 1024, FAILED_COMMIT_MS = 5000 };

void api_healthz(struct http_req *r, void *app)
{
    static const char body[] = "{\"status\":\"ok\"}";

    http_not_stored(r);
    http_reply(r, 200, "application/json", body, sizeof body - 1);
}

/* Each says what is wrong, or NULL. */
static const char *store_wrong(struct api *a)
{
    struct store_stats s = {0};

    store_stats(a->store, &s);
    if (s.failed_commits != a->failed_commits) {
        a->failed_commits = s.failed_commits;
        a->failed_ms = loop_now_ms(a->loop);
    }
    return a->failed_ms && loop_now_ms(a->loop) - a->failed_ms < FAILED_COMMIT_MS
               ? "a change could not be made durable"
               : NULL;
}

static const char *disk_wrong(struct api *a)
{
    struct statvfs fs;

    if (!a->cfg.blob_dir) {
        return NULL;
    }
    if (statvfs(a->cfg.blob_dir, &fs) < 0) {
        return "the data directory cannot be read";
    }
    return (uint64_t)fs.f_bavail * fs.f_frsize < DISK_MIN ? "less than 16 MiB of disk are free"
                                                          : NULL;
}

static const char *tool_wrong(struct api *a)
{
    const char *version;

    /* No paths: no key is needed to read this. */
    return !a->cfg.nmap || a->cfg.elsewhere || a->cfg.nmap(a->cfg.nmap_arg, &version)
               ? "nmap was not found or does not work; `scanpod doctor` says why"
               : NULL;
}

/* Without its tool the server still takes jobs and shows results: that is not to be unready. */
static const struct {
    const char *name;
    const char *(*wrong)(struct api *a);
    bool needed;
} checks[] = {
    {"store", store_wrong, true}, {"disk", disk_wrong, true}, {"nmap", tool_wrong, false}};

void api_readyz(struct http_req *r, void *app)
{
    struct api *a = app;
    bool verbose = http_query(r, "verbose") != NULL;
    const char *wrong[ARRAY_LEN(checks)];
    bool ready = true;
    bool whole = true;
    struct json j;

    http_not_stored(r);
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        wrong[i] = checks[i].wrong(a);
        ready = ready && !(wrong[i] && checks[i].needed);
        whole = whole && !wrong[i];
    }
    j = json_to(http_out(r));
    json_obj(&j);
    json_str(&j, "status", !ready ? "not ready" : whole ? "ready" : "degraded");
    if (verbose) {
        json_arr_in(&j, "checks");
        for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
            json_obj(&j);
            json_str(&j, "name", checks[i].name);
            json_bool(&j, "ok", !wrong[i]);
            json_str(&j, "detail", wrong[i]);
            json_end(&j);
        }
        json_end(&j);
    }
    json_end(&j);
    api_json_reply(r, ready ? 200 : 503);
}
