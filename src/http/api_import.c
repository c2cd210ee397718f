/*
 * POST /api/v1/imports: the output of a tool that ran elsewhere becomes a finished job. The body
 * goes to a file while it arrives; what it is is looked up in its first bytes; the rest is the
 * worker's, whose parser reads it in a box. Nothing is sent anywhere, so the policy is not asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/api_v1.h"
#include "model/queue.h"
#include "model/request.h"
#include "repo/spec.h"

#define SARIF "sarif"

enum {
    UPLOADS_MAX = 8, /* at the same time */
    HEAD = 4096,     /* what parse_detect() wants */
    WRITE_BACK =
        4 << 20, /* so much is handed to the disk at a time: the end has little to wait for */
    NAME_MAX_BYTES = 255,
};

struct upload {
    struct http_sink sink;
    struct api *api;
    struct id id; /* the job's to be */
    int fd;
    char *path;                /* owned */
    char *name;                /* owned; NULL: none was given */
    char *format;              /* owned: "auto", "sarif", or a tool */
    char *repository, *branch; /* owned: of findings, whose they are; NULL: not said */
    struct buf head;
    uint64_t size, handed;
};

/* keep: the file stays. */
static void upload_free(struct upload *u, bool keep)
{
    u->api->uploads--;
    fd_close(&u->fd);
    if (!keep && unlink(u->path) < 0 && errno != ENOENT) {
        log_warn("import_left", KV("file", u->path), KV("error", strerror(errno)));
    }
    buf_done(&u->head);
    free(u->path);
    free(u->name);
    free(u->format);
    free(u->repository);
    free(u->branch);
    free(u);
}

static void upload_drop(struct http_sink *k)
{
    upload_free(container_of(k, struct upload, sink), false);
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t rc = write(fd, p, n);

        if (rc < 0 && errno != EINTR) {
            return -1;
        }
        p += MAX(rc, 0);
        n -= (size_t)MAX(rc, 0);
    }
    return 0;
}

static int upload_take(struct http_sink *k, const char *p, size_t n, const char **why)
{
    struct upload *u = container_of(k, struct upload, sink);

    if (u->head.len < HEAD) {
        buf_add(&u->head, p, MIN(n, HEAD - u->head.len));
    }
    if (write_all(u->fd, p, n) < 0) {
        bool full = errno == ENOSPC || errno == EDQUOT;

        log_error("import_unwritten", KV("file", u->path), KV("error", strerror(errno)));
        *why = full ? "no space left on the server" : "the file cannot be written";
        return full ? 507 : 503;
    }
    u->size += n;
    if (u->size - u->handed >= WRITE_BACK) {
        sync_file_range(u->fd, (off64_t)u->handed, (off64_t)(u->size - u->handed),
                        SYNC_FILE_RANGE_WRITE);
        u->handed = u->size;
    }
    return 0;
}

/* ---- its beginning ---- */

static bool is_shown_text(const char *s)
{
    size_t n = strlen(s);

    for (const char *c = s; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            return false;
        }
    }
    return n >= 1 && n <= NAME_MAX_BYTES && utf8_valid(s, n);
}

static bool query_right(struct http_req *r)
{
    static const char *const known[] = {"format", "name", "repository", "branch", NULL};
    const char *repository = http_query(r, "repository"), *branch = http_query(r, "branch");
    auto_free char *url = NULL;
    struct err e = {0};
    const char *format = http_query(r, "format");
    const char *name = http_query(r, "name");
    struct problems p = {0};

    if (!api_query_known(r, known)) {
        return false;
    }
    if (format && !str_eq(format, "auto") && !str_eq(format, SARIF) &&
        (!tool_find(format) || tool_find(format)->instant)) {
        problem_add(&p, "?format", "must be auto, nmap, masscan, zmap or sarif");
    }
    if (repository && repo_url_check(repository, &url, &e) < 0) {
        problem_add(&p, "?repository", "%s", e.msg);
    }
    if (branch && repo_ref_check(branch, &e) < 0) {
        problem_add(&p, "?branch", "%s", e.msg);
    }
    if (name && !is_shown_text(name)) {
        problem_add(&p, "?name", "must be 1 to %d bytes of text without control characters",
                    NAME_MAX_BYTES);
    }
    if (p.n) {
        problems_reply(r, &p);
        return false;
    }
    return true;
}

static struct upload *upload_new(struct api *a, struct http_req *r, struct err *e)
{
    struct upload *u = xcalloc(1, sizeof *u);
    const char *format = http_query(r, "format");
    char id[ID_TEXT + 1];

    *u = (struct upload){
        .sink = {.take = upload_take, .drop = upload_drop, .max = a->cfg.import_max},
        .api = a,
        .id = id_new(),
        .fd = -1};
    id_text(&u->id, id);
    u->path = str_fmt("%s/%s", a->cfg.import_dir, id);
    u->name = xstrdup(http_query(r, "name"));
    u->format = xstrdup(format ? format : "auto");
    if (http_query(r, "repository")) {
        (void)repo_url_check(http_query(r, "repository"), &u->repository, NULL);
    }
    u->branch = xstrdup(http_query(r, "branch"));
    a->uploads++;
    u->fd = open(u->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (u->fd < 0) {
        err_errno(e, "make the file '%s'", u->path);
        upload_free(u, false);
        return NULL;
    }
    return u;
}

struct http_sink *api_upload(struct http_req *r, const struct http_route *route, void *app)
{
    struct api *a = app;
    struct upload *u;
    struct err e = {0};

    http_not_stored(r);
    if (!query_right(r)) {
        return NULL;
    }
    if (!a->cfg.import_dir) {
        api_status(r, 503, "this server takes no files", NULL);
        return NULL;
    }
    if (a->uploads >= UPLOADS_MAX) {
        err_set(&e, ERR_BUSY, "%d files are being handed in already", UPLOADS_MAX);
        api_busy(r, &e, 5);
        return NULL;
    }
    u = upload_new(a, r, &e);
    if (!u) {
        api_fail(r, &e);
        return NULL;
    }
    return &u->sink;
}

/* ---- its end ---- */

static int make_durable(const struct upload *u, struct err *e)
{
    auto_fd int dir = open(u->api->cfg.import_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fsync(u->fd) < 0 || dir < 0 || fsync(dir) < 0) {
        return err_errno(e, "write '%s' to disk", u->path);
    }
    return 0;
}

/* Whose output it is. NULL: not what it says, or nothing known; *why for a person. */
static const struct tool *tool_of(const struct upload *u, char *why, size_t size)
{
    const char *text = NULL;
    const char *found = parse_detect(u->head.data ? u->head.data : "", u->head.len, &text);
    bool named = !str_eq(u->format, "auto");

    if (found && str_eq(found, SARIF) && (!named || str_eq(u->format, SARIF))) {
        return &tool_repo;
    }
    if (named && u->size == 0 && tool_find(u->format) && tool_find(u->format)->merges) {
        return tool_find(u->format); /* they write nothing when they found nothing */
    }
    if (!found) {
        snprintf(why, size, "%s%s%s: %s", named ? "not the output of " : "cannot be read",
                 named ? u->format : "", "", text ? text : "it is not known");
        return NULL;
    }
    if (named && !str_eq(found, u->format)) {
        snprintf(why, size, "not the output of %s: it is that of %s", u->format, found);
        return NULL;
    }
    if (!tool_find(found)) {
        snprintf(why, size, "cannot be imported here: it is that of %s", found);
    }
    return tool_find(found);
}

/* One task that stands for all of the file. */
static int plan_import(const struct tool *t, char **plan, struct buf *spec, struct err *e)
{
    const bool one_port = str_eq(t->name, "zmap");
    char none[] = "";
    const struct plan_spec all = {
        .kind = STAGE_PORTS, .tool = (char *)(uintptr_t)t->name, .targets = none};
    auto_targets nowhere = {0};
    struct plan_request q = {.tool = t->name,
                             .ports = one_port ? "80" : "0-65535",
                             .slots = 1,
                             .raw = true,
                             .have_masscan = true,
                             .have_zmap = true,
                             .targets = &nowhere};
    auto_buf text = {0};
    struct plan *p = NULL;
    int rc = target_add(&nowhere, "127.0.0.1", e);

    rc = rc == 0 ? plan_make(&q, &p, e) : rc;
    if (rc == 0) {
        plan_write(p, &text);
        plan_spec_write(&all, spec);
        *plan = buf_take(&text);
    }
    plan_free(p);
    return rc < 0 ? err_prefix(e, ERR_INTERNAL, "plan of an import") : 0;
}

static void fill_job(const struct upload *u, const struct tool *t, const struct key *k,
                     struct job *j)
{
    const struct api_config *c = &u->api->cfg;
    size_t n = strlen(c->blob_dir);

    job_init(j);
    j->id = u->id;
    j->tool = xstrdup(t->name);
    j->targets = xstrdup(u->name ? u->name : "imported file");
    j->import_path = xstrdup(u->path + n + 1); /* import_dir is below blob_dir */
    j->queue = xstrdup(queue_kind_names[QUEUE_IMPORT]);
    j->timeout_s = INT64_MIN;
    j->run_timeout_s = c->scan_timeout_s;
    j->queue_timeout_s = c->queue_timeout_s;
    j->priority = JOB_PRIORITY_DEFAULT;
    j->max_attempts = 1; /* the same file gives the same again */
    j->key_id = xstrdup(k->id);
    j->created_us = wall_us();
    if (j->queue_timeout_s > 0) {
        j->queue_expires_us = j->created_us + (int64_t)j->queue_timeout_s * 1000000;
    }
}

/* Whose findings they are: a repository that was named, or the file by its name. */
static void fill_repository(const struct upload *u, struct job *j)
{
    auto_free char *dir = str_fmt("dir:%s", u->name ? u->name : "imported");
    auto_buf text = {0};
    struct json q = json_to(&text);

    free(j->targets);
    j->targets = xstrdup(u->repository ? u->repository : dir);
    json_obj(&q);
    json_str(&q, "url", j->targets);
    if (u->branch) {
        json_str(&q, "branch", u->branch);
    }
    json_end(&q);
    j->repo = buf_take(&text);
}

static int store_import(struct upload *u, const struct tool *t, const struct key *k, struct job *j,
                        struct err *e)
{
    struct store *st = u->api->store;
    auto_buf spec = {0};
    int32_t first;
    int rc = 0;

    fill_job(u, t, k, j);
    if (t == &tool_repo) {
        fill_repository(u, j);
    }
    if (t->merges) {
        rc = plan_import(t, &j->plan, &spec, e);
    }
    if (rc == 0) {
        rc = store_job_add(st, j, e);
    }
    if (rc == 0 && t->merges) {
        const struct task_new task = {.weight = 1, .spec = spec.data};

        rc = store_task_add(st, &j->id, &task, 1, &first, e);
    }
    return rc;
}

static void note_import(const struct upload *u, struct http_req *r, const struct job *j)
{
    struct audit_note n;
    char id[ID_TEXT + 1];

    id_text(&j->id, id);
    log_info("job_imported", KV("job", id), KV("tool", j->tool), KV("bytes", u->size));
    audit_begin(&n, r);
    json_str(&n.j, "tool", j->tool);
    json_str(&n.j, "name", u->name);
    json_int(&n.j, "bytes", (int64_t)u->size);
    audit_add(u->api, api_key(r), "scan.import", id, &n);
}

/* True: the job is in the store. */
static bool import(struct upload *u, struct http_req *r, struct job *job)
{
    struct api *a = u->api;
    struct problems p = {0};
    struct err e = {0};
    char why[256];
    int32_t retry_s = 0;
    const struct tool *t = tool_of(u, why, sizeof why);
    int rc;

    if (!t) {
        problem_add(&p, "", "%s", why);
        problems_reply(r, &p);
        return false;
    }
    rc = make_durable(u, &e);
    if (rc == 0) {
        rc = store_key_charge(a->store, api_key(r), 0, wall_us(), &retry_s, &e);
    }
    if (rc == ERR_BUSY) {
        api_busy(r, &e, MAX(retry_s, 1));
        return false;
    }
    if (rc == 0) {
        rc = store_import(u, t, api_key(r), job, &e);
    }
    if (rc < 0) {
        api_fail(r, &e);
        return false;
    }
    return true;
}

void v1_import(struct http_req *r, void *app)
{
    struct upload *u = container_of(http_take_sink(r), struct upload, sink);
    struct api *a = app;
    struct job job;
    bool stored;

    job_init(&job);
    stored = import(u, r, &job);
    if (stored) {
        strvec_push(&a->fresh_imports, u->path);
        a->submitted[SURFACE_V1]++;
        note_import(u, r, &job);
        v1_job_reply(r, 202, &job);
    }
    upload_free(u, stored);
    job_done(&job);
}

void api_imports_settle(struct api *a, bool committed)
{
    for (size_t i = 0; i < a->fresh_imports.n && !committed; i++) {
        unlink(a->fresh_imports.v[i]);
    }
    if (a->fresh_imports.n) {
        strvec_done(&a->fresh_imports);
    }
}
