/* serve - starts the server; every setting is a flag. And netd, where it runs on its own. */
#include "daemon/serve.h"

#include "cli/cli.h"
#include "cli/connect.h"
#include "daemon/settings.h"

enum { FLAGS_MAX = 128 };

static const char *value_name(const struct option *o)
{
    switch (o->type) {
    case OPT_INT:
        return "N";
    case OPT_ENUM:
        return o->values;
    case OPT_BOOL:
        return "true|false";
    default:
        return "TEXT";
    }
}

/* Secrets are no flags: others could read them. The URL of a transport need not hold one. */
static bool is_flag(const struct option *o)
{
    return !o->secret || str_eq(o->name, "transport");
}

const struct flag *serve_flags(void)
{
    static struct flag flags[FLAGS_MAX];
    size_t n = 0;

    if (flags[0].name) {
        return flags;
    }
    for (const struct option *o = settings_table; o->name && n + 1 < FLAGS_MAX; o++) {
        if (!is_flag(o)) {
            continue;
        }
        flags[n++] = (struct flag){
            .name = o->name,
            .value = value_name(o),
            .help = o->help,
            .optional = o->type == OPT_BOOL,
        };
    }
    return flags;
}

static int run(struct cli *c)
{
    struct option_set *settings;
    struct err e = {0};
    int status;

    if (connect_settings(&c->args, &settings, &e) != 0) {
        say_error(&c->term, e.msg, "scanpod config check");
        status = STATUS_USAGE;
    } else {
        status = serve_main(settings);
    }
    option_set_free(settings);
    return status;
}

const struct command command_serve = {
    .name = "serve",
    .summary = "run the server",
    .more = "Settings come from flags, the environment, /etc/scanpod/scanpod.conf, in this order;\n"
            "'scanpod config show --origin' tells which one counts.\n",
    .flags_fn = serve_flags,
    .formats = 1u << FORMAT_TABLE,
    .run = run,
};

static const struct flag netd_flags[] = {
    {.name = "socket", .value = "PATH", .help = "unix socket to listen on"},
    {.name = "peer-user", .value = "USER", .help = "the only user who may talk to it"},
    {.name = "scope", .value = "FILE", .help = "scope file, checked again for each scan"},
    {0},
};

static int run_netd(struct cli *c)
{
    const char *socket = args_value(&c->args, "socket");
    const char *user = args_value(&c->args, "peer-user");
    struct option_set *settings = NULL;
    struct err e = {0};
    int status;

    if (!socket || !user) {
        err_set(&e, ERR_INVALID, "--%s is missing", socket ? "peer-user" : "socket");
        return cli_fail(c, &e, "scanpod netd --help");
    }
    if (connect_settings(&c->args, &settings, &e) != 0) {
        say_error(&c->term, e.msg, "scanpod config check");
        status = STATUS_USAGE;
    } else {
        status = netd_main(settings, socket, user);
    }
    option_set_free(settings);
    return status;
}

const struct command command_netd = {
    .name = "netd",
    .summary = "run netd alone, for a server without privileges",
    .more = "It needs CAP_NET_ADMIN and nothing else; see docs/deploy.md.\n",
    .flags = netd_flags,
    .formats = 1u << FORMAT_TABLE,
    .run = run_netd,
};
