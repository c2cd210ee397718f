#include "daemon/launch.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/programs.h"
#include "daemon/repo_launch.h"
#include "store/blob.h"

enum { VERSION_US = 50000 };

static void join_argv(const struct strvec *argv, struct buf *out)
{
    for (size_t i = 0; i < argv->n; i++) {
        buf_addf(out, "%s%s", i ? " " : "", argv->v[i]);
    }
}

int launch_blob(const struct launcher *l, struct tool_run *r, int *fd, struct err *e)
{
    int rc;

    if (!l->config->blob_dir) {
        return 0;
    }
    r->blob_path = blob_path(&r->lease);
    rc = blob_create(l->config->blob_dir, r->blob_path, fd, e);
    if (rc != 0) {
        free(take_ptr(&r->blob_path));
    }
    return rc;
}

static int start(const struct launcher *l, struct tool_run *r, struct dispatch *d, struct err *e)
{
    auto_buf line = {0};
    auto_fd int blob = -1;
    int rc = launch_blob(l, r, &blob, e);

    if (rc != 0) {
        return rc;
    }
    join_argv(&d->argv, &line);
    r->argv_line = buf_take(&line);
    r->notes = d->notes;
    d->notes = (struct strvec){0};
    d->launch.run = r->run;
    d->launch.blob_fd = blob;
    d->launch.lease_until_ms = l->lease_until_ms;
    return runner_launch(l->runner, &d->launch, e);
}

/* What a task of a planned job asks; false when the job has one of its own. */
static int read_spec(const struct job *j, struct plan_spec *spec, bool *has, struct err *e)
{
    *has = j->task_spec != NULL;
    return *has ? plan_spec_read(j->task_spec, spec, e) : 0;
}

/* *wait_until_us: it is not to be started before then. */
static int launch(const struct launcher *l, struct tool_run *r, const struct job *j,
                  const struct plan_spec *spec, int64_t *wait_until_us, struct err *e)
{
    const char *version = NULL, *why = NULL;
    const char *program = programs_look(l->config->programs, r->tool, &version, &why);
    const struct dispatch_ask ask = {
        .job = j,
        .spec = spec,
        .key_name = l->key_name,
        .tool = r->tool,
        .program = program,
        .version = version,
        .run = r->run,
    };
    struct dispatch d = {0};
    int rc;

    if (!program) {
        return err_set(e, ERR_NOT_FOUND, "%s", why);
    }
    if (!version && r->tool->merges && !programs_settled(l->config->programs)) {
        *wait_until_us = wall_us() + VERSION_US; /* it is being asked: options depend on it */
        return 0;
    }
    rc = dispatch_plan(&l->config->dispatch, l->config->scope, l->caps, &ask, &d, e);
    *wait_until_us = d.wait_until_us;
    if (rc == 0 && !d.wait_until_us) {
        r->plan = d.plan;
        d.plan = (struct tool_plan){0};
        rc = r->tool->instant ? 0 : start(l, r, &d, e);
    }
    dispatch_done(&d);
    return rc;
}

/* A file that was handed in, in place of a tool's output. */
static int launch_import(const struct launcher *l, struct tool_run *r, const struct job *j,
                         struct err *e)
{
    const struct strvec nothing = {0};
    auto_free char *path =
        str_fmt("%s/%s", l->config->blob_dir ? l->config->blob_dir : "", j->import_path);
    auto_fd int input = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    auto_fd int blob = -1;
    struct runner_launch spec = {.run = r->run,
                                 .argv = &nothing,
                                 .parser = j->repo ? parser_sarif.name : r->tool->parser->name,
                                 .grace_ms = l->config->dispatch.grace_ms,
                                 .output_max = UINT64_MAX,
                                 .wall_ms = (uint32_t)j->run_timeout_s * 1000,
                                 .input_fd = input,
                                 .plain = true};
    int rc;

    if (input < 0) {
        return err_set(e, ERR_INVALID, "the file that was handed in is gone");
    }
    r->import = true;
    rc = launch_blob(l, r, &blob, e);
    spec.blob_fd = blob;
    return rc == 0 ? runner_launch(l->runner, &spec, e) : rc;
}

int launch_task(const struct launcher *l, struct tool_run *r, const struct job *j,
                int64_t *wait_until_us, struct err *e)
{
    struct plan_spec spec = {0};
    bool has = false;
    int rc = read_spec(j, &spec, &has, e);

    if (rc == 0) {
        const char *name = has ? spec.tool : j->tool;

        r->tool = has ? tool_find(name) : tool_of_job(name);
        rc = !r->tool         ? err_set(e, ERR_NOT_FOUND, "this server has no tool '%s'", name)
             : j->import_path ? launch_import(l, r, j, e)
             : j->repo        ? launch_repository(l, r, j, wait_until_us, e)
                              : launch(l, r, j, has ? &spec : NULL, wait_until_us, e);
    }
    plan_spec_done(&spec);
    return rc;
}
