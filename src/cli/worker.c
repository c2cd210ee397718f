/* worker - runs the tasks of a server elsewhere. */
#include "cli/cli.h"
#include "cli/connect.h"
#include "cli/fleet.h"
#include "daemon/work.h"

enum { FLAGS_MAX = 128 };

/* Every setting, and the name by its short name. */
static const struct flag *worker_flags(void)
{
    static struct flag flags[FLAGS_MAX] = {
        {.name = "name", .value = "TEXT", .help = "the same as --worker-name"}};
    size_t n = 1;

    for (const struct flag *f = serve_flags(); f->name && n + 1 < FLAGS_MAX; f++) {
        flags[n++] = *f;
    }
    flags[n] = (struct flag){0};
    return flags;
}

static int read_settings(struct cli *c, struct option_set **settings, struct err *e)
{
    const char *name = args_value(&c->args, "name");
    int rc = connect_settings(&c->args, settings, e);

    return rc == 0 && name ? option_put(*settings, "worker-name", name, FROM_FLAG, "--name", e)
                           : rc;
}

static int run(struct cli *c)
{
    struct option_set *settings = NULL;
    struct err e = {0};
    int status;

    if (read_settings(c, &settings, &e) != 0) {
        say_error(&c->term, e.msg, "scanpod config check");
        status = STATUS_USAGE;
    } else {
        status = work_main(settings);
    }
    option_set_free(settings);
    return status;
}

const struct command command_worker = {
    .name = "worker",
    .summary = "run the scans of a server elsewhere; or: list, drain, resume",
    .more = "It needs a transport that the server has too: --transport redis://HOST[:PORT][/DB].\n"
            "SIGTERM: it takes nothing more, finishes what runs, and hands back what still runs\n"
            "after --drain-timeout.\n",
    .flags_fn = worker_flags,
    .subs = fleet_worker_commands,
    .formats = 1u << FORMAT_TABLE,
    .run = run,
};
