/* serve - starts the server; every setting is a flag. And raw-cat, which the server itself runs. */
#include "daemon/serve.h"

#include "base/mem.h"
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

/* The table of settings as flags, made once. Secrets are no flags: others could read them. */
static const struct flag *serve_flags(void)
{
    static struct flag flags[FLAGS_MAX];
    size_t n = 0;

    if (flags[0].name) {
        return flags;
    }
    for (const struct option *o = settings_table; o->name && n + 1 < FLAGS_MAX; o++) {
        if (o->secret) {
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

static int raw_cat(struct cli *c)
{
    return raw_cat_main(c->args.operands[0], c->args.operands[1]);
}

const struct command command_raw_cat = {
    .name = "raw-cat",
    .operands = "DIR PATH",
    .summary = "write a stored raw output to standard output",
    .min = 2,
    .max = 2,
    .hidden = true,
    .formats = 1u << FORMAT_TABLE,
    .run = raw_cat,
};
