#include "tool/tool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/request.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const struct tool *const tools[] = {&tool_nmap, &tool_masscan, &tool_zmap, &tool_noop, NULL};

const struct tool *const *tool_all(void)
{
    return tools;
}

void tool_plan_done(struct tool_plan *p)
{
    target_set_done(&p->targets);
    strvec_done(&p->tokens);
    free(p->ports);
    *p = (struct tool_plan){0};
}

int tool_check(const struct tool *t, const struct tool_request *q, struct tool_plan *out,
               struct err *e)
{
    auto_strvec split = {0};
    const struct strvec *tokens = q->tokens ? q->tokens : &split;
    const char *targets = q->targets ? q->targets : "";
    int rc = q->old      ? targets_parse_old(targets, &out->targets, e)
             : t->merges ? targets_parse_sweep(targets, &out->targets, e)
                         : targets_parse(targets, &out->targets, e);

    if (rc == 0 && q->ports) {
        rc = ports_parse(q->ports, e);
        out->ports = rc == 0 ? ports_canonical(q->ports) : NULL;
    }
    if (rc == 0 && q->arguments && !q->tokens) {
        rc = shell_split(q->arguments, &split, e);
    }
    return rc == 0 ? t->check(q, tokens, out, e) : rc;
}

const struct tool *tool_find(const char *name)
{
    for (size_t i = 0; tools[i]; i++) {
        if (str_eq(tools[i]->name, name)) {
            return tools[i];
        }
    }
    return NULL;
}

const struct tool *tool_of_job(const char *name)
{
    return str_eq(name, tool_repo.name) ? &tool_repo : tool_find(name);
}

static bool can_run(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* The first match; relative parts of PATH are skipped, they depend on where we were started. */
static char *path_search(const char *program)
{
    const char *path = getenv("PATH");

    for (path = path && *path ? path : PATH_DEFAULT; *path;) {
        size_t n = strcspn(path, ":");
        auto_free char *full = str_fmt("%.*s/%s", (int)n, path, program);

        if (path[0] == '/' && can_run(full)) {
            return take_ptr(&full);
        }
        path += n + (path[n] == ':');
    }
    return NULL;
}

int tool_path(const struct tool *t, const char *configured, char **out, struct err *e)
{
    char *found = NULL;

    if (configured && strchr(configured, '/')) {
        found = realpath(configured, NULL);
        if (found && !can_run(found)) {
            free(found);
            found = NULL;
        }
    } else {
        found = path_search(configured ? configured : t->program);
    }
    if (found) {
        *out = found;
        return 0;
    }
    if (configured) {
        return err_set(e, ERR_NOT_FOUND, "%s: '%s' is not a program that can be run", t->setting,
                       configured);
    }
    return err_set(e, ERR_NOT_FOUND, "%s is not installed: %s%s, or set --%s", t->program,
                   t->install ? "" : "apt-get install ", t->install ? t->install : t->program,
                   t->setting);
}
