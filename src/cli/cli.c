#include "cli/cli.h"

#include <string.h>

#include "base/mem.h"
#include "cli/connect.h"
#include "cli/view.h"
#include "daemon/settings.h"
#include "version.h"

enum { TYPO_MAX = 2, WAIT_MAX_S = 31536000 };

const struct flag global_flags[] = {
    {.name = "server", .value = "URL", .help = "http://HOST:PORT, https://HOST:PORT or unix:PATH"},
    {.name = "key-file", .value = "FILE", .help = "file that holds the API key"},
    {.name = "ca-file", .value = "FILE", .help = "certificates to trust, PEM"},
    {.name = "data-dir", .value = "DIR", .help = "where a local server keeps its data"},
    {.name = "config", .value = "FILE", .help = "configuration file"},
    {.name = "output",
     .letter = 'o',
     .value = "FORMAT",
     .help = "table, json, ndjson, csv, nmap; of findings also sarif, markdown, html"},
    {.name = "quiet", .letter = 'q', .help = "only results and errors"},
    {.name = "color", .value = "WHEN", .help = "auto, always or never"},
    {.name = "timeout", .value = "SECONDS", .help = "stop waiting after so long; the job goes on"},
    {.name = "help", .letter = 'h', .help = "show help"},
    {.name = "version", .help = "show the version"},
    {0},
};

static const struct flag no_flags[] = {{0}};
static const char *const format_names[] = {"table", "json",  "ndjson",   "csv",
                                           "nmap",  "sarif", "markdown", "html"};

bool format_parse(const char *s, enum format *out)
{
    for (size_t i = 0; i < ARRAY_LEN(format_names); i++) {
        if (strcmp(s, format_names[i]) == 0) {
            *out = (enum format)i;
            return true;
        }
    }
    return false;
}

const struct flag *command_flags(const struct command *cmd)
{
    return cmd->flags_fn ? cmd->flags_fn() : cmd->flags ? cmd->flags : no_flags;
}

const struct command *command_find(const struct command *const *list, const char *name)
{
    for (; *list; list++) {
        if (strcmp((*list)->name, name) == 0) {
            return *list;
        }
    }
    return NULL;
}

int command_unknown(const struct command *const *list, const char *name, struct err *e)
{
    const char *best = NULL;
    unsigned least = TYPO_MAX + 1;

    for (; *list; list++) {
        unsigned d = str_distance(name, (*list)->name);

        if (d < least) {
            least = d;
            best = (*list)->name;
        }
    }
    if (best) {
        return err_set(e, ERR_INVALID, "unknown command '%s'; did you mean '%s'?", name, best);
    }
    return err_set(e, ERR_INVALID, "unknown command '%s'", name);
}

/* A command that runs by itself too is meant, unless one of its own commands follows at once. */
static bool runs_itself(const struct command *cmd, int argc, const char *const *argv)
{
    return cmd->run && (argc == 0 || !command_find(cmd->subs, argv[0]));
}

/* Finds the command; *rest is what follows its name. cmd stays NULL if there was none. */
static int find_command(struct cli *c, int argc, const char *const *argv, int *rest, struct err *e)
{
    const struct flag *const tables[] = {global_flags, NULL};
    const struct command *const *list = commands;

    *rest = 0;
    for (;;) {
        int used = 0;
        int rc = args_read(&c->args, tables, argc - *rest, argv + *rest, true, &used, e);

        *rest += used;
        if (rc != 0 || *rest >= argc) {
            return rc;
        }
        c->parent = c->cmd;
        c->cmd = command_find(list, argv[*rest]);
        if (!c->cmd) {
            rc = command_unknown(list, argv[*rest], e);
            c->cmd = c->parent;
            c->parent = NULL;
            return rc;
        }
        (*rest)++;
        if (!c->cmd->subs || runs_itself(c->cmd, argc - *rest, argv + *rest)) {
            return 0;
        }
        list = c->cmd->subs;
    }
}

static int read_color(const struct args *a, struct term_facts *f, struct err *e)
{
    const char *s = args_value(a, "color");

    if (!s || strcmp(s, "auto") == 0) {
        f->color = COLOR_AUTO;
    } else if (strcmp(s, "always") == 0) {
        f->color = COLOR_ALWAYS;
    } else if (strcmp(s, "never") == 0) {
        f->color = COLOR_NEVER;
    } else {
        return err_set(e, ERR_INVALID, "--color '%s': expected auto, always or never", s);
    }
    return 0;
}

static int read_format(struct cli *c, struct err *e)
{
    const char *s = args_value(&c->args, "output");

    if (!s) {
        return 0;
    }
    if (!format_parse(s, &c->format)) {
        return err_set(e, ERR_INVALID,
                       "--output '%s': expected table, json, ndjson, csv, nmap, sarif, markdown or "
                       "html",
                       s);
    }
    if (c->cmd && !(c->cmd->formats & (1u << c->format))) {
        return err_set(e, ERR_INVALID, "--output '%s': '%s' has no such form", s, c->cmd->name);
    }
    return 0;
}

/* --timeout is the limit for waiting, unless the command has a flag of that name. */
static int read_wait(struct cli *c, struct err *e)
{
    for (size_t i = 0; i < c->args.n_set; i++) {
        const struct arg *a = &c->args.set[i];
        uint64_t s;

        if (strcmp(a->flag->name, "timeout") != 0 || a->flag < global_flags ||
            a->flag >= global_flags + ARRAY_LEN(global_flags)) {
            continue;
        }
        if (!str_to_u64(a->value, 1, WAIT_MAX_S, &s)) {
            return err_set(e, ERR_INVALID, "--timeout '%s': expected seconds, 1 to %d", a->value,
                           WAIT_MAX_S);
        }
        c->wait_ms = (int64_t)s * 1000;
    }
    return 0;
}

static int check_operands(const struct cli *c, struct err *e)
{
    const struct command *cmd = c->cmd;

    if (c->args.n < cmd->min) {
        return err_set(e, ERR_INVALID, "%s: %s is missing", cmd->name,
                       cmd->operands ? cmd->operands : "an operand");
    }
    if (c->args.n > cmd->max && cmd->subs) {
        return command_unknown(cmd->subs, c->args.operands[cmd->max], e);
    }
    if (c->args.n > cmd->max) {
        return err_set(e, ERR_INVALID, "%s: unexpected '%s'", cmd->name,
                       c->args.operands[cmd->max]);
    }
    return 0;
}

static int read_line(struct cli *c, int argc, const char *const *argv, struct err *e)
{
    struct term_facts facts = {0};
    int rest;
    int rc;
    int bad_color;

    rc = find_command(c, argc, argv, &rest, e);
    if (rc == 0 && c->cmd) {
        const struct flag *const tables[] = {command_flags(c->cmd), global_flags, NULL};

        rc = args_read(&c->args, tables, argc - rest, argv + rest, false, NULL, e);
    }
    facts.quiet = args_has(&c->args, "quiet");
    bad_color = read_color(&c->args, &facts, rc == 0 ? e : NULL);
    term_environment(&facts);
    c->term = term_decide(&facts);
    if (rc == 0) {
        rc = bad_color;
    }
    if (rc == 0 && !args_has(&c->args, "help") && !args_has(&c->args, "version")) {
        rc = read_format(c, e);
        if (rc == 0) {
            rc = read_wait(c, e);
        }
        if (rc == 0 && c->cmd && c->cmd->run) {
            rc = check_operands(c, e);
        }
    }
    return rc;
}

/* The help that fits what was typed. */
static char *help_hint(const struct cli *c)
{
    if (!c->cmd) {
        return xstrdup("scanpod help");
    }
    if (c->parent) {
        return str_fmt("scanpod %s %s --help", c->parent->name, c->cmd->name);
    }
    return str_fmt("scanpod %s --help", c->cmd->name);
}

static int usage(struct cli *c, const struct err *e)
{
    auto_free char *hint = help_hint(c);

    say_error(&c->term, e->msg, hint);
    return STATUS_USAGE;
}

static int dispatch(struct cli *c)
{
    struct err e = {0};

    if (args_has(&c->args, "help")) {
        help_command(c, c->parent, c->cmd);
        return STATUS_OK;
    }
    if (args_has(&c->args, "version") && (!c->cmd || c->cmd->run)) {
        out_write("scanpod " SCANPOD_VERSION "\n", sizeof "scanpod " SCANPOD_VERSION "\n" - 1);
        return STATUS_OK;
    }
    if (!c->cmd) {
        err_set(&e, ERR_INVALID, "a command is missing");
        return usage(c, &e);
    }
    if (!c->cmd->run) {
        err_set(&e, ERR_INVALID, "%s: a command is missing", c->cmd->name);
        return usage(c, &e);
    }
    return c->cmd->run(c);
}

int cli_main(int argc, char **argv)
{
    struct cli c = {0};
    struct err e = {0};
    int status;
    int rc = argc > 0 ? read_line(&c, argc - 1, (const char *const *)argv + 1, &e)
                      : err_set(&e, ERR_INVALID, "no arguments");

    status = rc == 0 ? dispatch(&c) : usage(&c, &e);
    rc = out_end(&e);
    if (rc != 0) {
        status = cli_fail(&c, &e, NULL);
    }
    client_free(c.client);
    option_set_free(c.settings);
    free(c.key_from);
    args_done(&c.args);
    return status;
}

int cli_fail(struct cli *c, const struct err *e, const char *hint)
{
    say_error(&c->term, e->msg, hint);
    return err_exit_status(e->code);
}

const char *cli_hint_unreachable(const struct client *client)
{
    if (client_untrusted(client)) {
        return "name the certificate to trust: --ca-file FILE";
    }
    return "scanpod serve    (or name a running server: --server URL)";
}

/* A 403 because of the key is another one than a 403 because of the policy. */
static bool key_lacks_scope(const struct answer *a)
{
    json_t *doc = a->status == 403
                      ? json_loadb(a->body.data ? a->body.data : "", a->body.len, 0, NULL)
                      : NULL;
    bool lacks = str_eq(json_text(doc, "rule"), "key.scope");

    json_decref(doc);
    return lacks;
}

int cli_check(struct cli *c, const struct answer *a)
{
    struct err e = {0};
    auto_free char *hint = NULL;

    if (client_check(a, &e, &hint) == 0) {
        return STATUS_OK;
    }
    if (a->status == 401) { /* the server cannot know where our key came from */
        free(hint);
        hint = connect_key_hint(c);
    }
    say_error(&c->term, e.msg, hint);
    return key_lacks_scope(a) ? STATUS_DENIED : client_exit_status(a->status);
}

int cli_call(struct cli *c, const struct call *call, struct answer *a)
{
    struct err e = {0};
    int status;
    struct client *client = cli_client(c, &status);

    if (!client) {
        return status;
    }
    if (client_call(client, call, a, &e) != 0) {
        return cli_fail(c, &e, e.code == ERR_IO ? cli_hint_unreachable(c->client) : NULL);
    }
    return cli_check(c, a);
}
