/* config - the settings that a server on this machine would use, and what is wrong with them. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/connect.h"
#include "cli/table.h"
#include "daemon/settings.h"

static const struct flag show_flags[] = {
    {.name = "origin", .help = "say where each value comes from"},
    {0},
};

static const char *origin_name(const struct option_set *s, const struct option *o)
{
    static const char *const names[] = {"default", "file", "environment", "flag"};
    const char *where = NULL;
    enum option_origin from = option_from(s, o->name, &where);

    return from != FROM_DEFAULT && where ? where : names[from];
}

static void show_json(const struct option_set *s)
{
    auto_buf b = {0};
    struct json j = json_to(&b);

    json_obj(&j);
    for (const struct option *o = settings_table; o->name; o++) {
        const char *v = option_str(s, o->name);

        json_obj_in(&j, o->name);
        json_str(&j, "value", v && o->secret ? "(set, not shown)" : v);
        json_str(&j, "origin", origin_name(s, o));
        json_end(&j);
    }
    json_end(&j);
    buf_addc(&b, '\n');
    out_buf(&b);
}

static void show_table(struct cli *c, const struct option_set *s)
{
    static const char *const head[] = {"NAME", "VALUE", "ORIGIN"};
    struct table t = {
        .head = head,
        .n = args_has(&c->args, "origin") ? 3 : 2,
        .color = c->term.out_color,
        .sink = out_sink,
    };

    for (const struct option *o = settings_table; o->name; o++) {
        const char *v = option_str(s, o->name);

        v = !v ? "-" : o->secret ? "(set, not shown)" : v;
        table_row(&t, (const char *const[]){o->name, v, origin_name(s, o)});
    }
    table_end(&t);
}

static int show(struct cli *c)
{
    struct option_set *s;
    struct err e = {0};
    int status = STATUS_OK;

    if (connect_settings(&c->args, &s, &e) != 0) {
        status = cli_fail(c, &e, "scanpod config check");
    } else if (c->format == FORMAT_JSON) {
        show_json(s);
    } else {
        show_table(c, s);
    }
    option_set_free(s);
    return status;
}

static const struct command command_config_show = {
    .name = "show",
    .summary = "show every setting",
    .flags = show_flags,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON,
    .run = show,
};

static int check(struct cli *c)
{
    struct err e = {0};

    if (connect_settings_check(&c->args, &e) != 0) {
        say_error(&c->term, e.msg, "scanpod config show --origin");
        return STATUS_FOUND;
    }
    say(&c->term, "the settings are fine");
    return STATUS_OK;
}

static const struct command command_config_check = {
    .name = "check",
    .summary = "check the settings; exit status 1 if something is wrong",
    .formats = 1u << FORMAT_TABLE,
    .run = check,
};

static const struct command *const subs[] = {&command_config_show, &command_config_check, NULL};

const struct command command_config = {
    .name = "config",
    .summary = "show and check settings",
    .subs = subs,
};
