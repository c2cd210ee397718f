/* help - for the program, a command, or a topic. */
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"

static const struct {
    const char *name, *summary, *text;
} topics[] = {
    {"exit-codes", "what the exit status says",
     "  0    done\n"
     "  1    there is something to look at: no such job, a conflict, a difference, a problem\n"
     "       found by doctor\n"
     "  2    wrong command line, or the request is not valid\n"
     "  3    the scan failed, timed out or was cancelled\n"
     "  4    not signed in, or not allowed\n"
     "  5    the server is not reachable, or cannot serve now\n"
     "  6    refused by the scope policy\n"
     "  70   a fault of ScanPod's own\n"
     "  124  the time limit for waiting passed; the job goes on\n"
     "  130  interrupted; the job goes on, its id was printed\n"},
    {"environment", "variables that are read",
     "  SCANPOD_SERVER        server to talk to: http://HOST:PORT, https://..., unix:PATH\n"
     "  SCANPOD_API_KEY_FILE  file that holds the API key\n"
     "  SCANPOD_API_KEY       the API key\n"
     "  SCANPOD_*             every setting: scanpod config show\n"
     "  NO_COLOR              no colour, unless --color says otherwise\n"
     "  CLICOLOR_FORCE        colour also where the output is no terminal\n"
     "  CI, TERM=dumb         no progress bar\n"},
    {"formatting", "what -o FORMAT writes",
     "  table   aligned columns; control bytes in what scanners found are escaped\n"
     "  json    the job as the REST interface gives it, with its hosts in \"results\"\n"
     "  ndjson  one host a line (lists: one job a line)\n"
     "  csv     one port a record; cells that a sheet would run as a formula are neutralised\n"
     "  nmap    the table everybody knows: PORT STATE SERVICE VERSION, by host\n"},
};

static void add_row(struct buf *b, const char *left, size_t width, const char *right)
{
    buf_addf(b, "  %s", left);
    for (size_t n = strlen(left); n < width; n++) {
        buf_addc(b, ' ');
    }
    buf_addf(b, "  %s\n", right);
}

static void add_flag(struct buf *b, const struct flag *f)
{
    auto_buf left = {0};

    buf_addf(&left, f->letter ? "-%c, " : "    ", f->letter);
    buf_addf(&left, "--%s", f->name);
    if (f->value) {
        buf_addf(&left, f->optional ? "[=%s]" : " %s", f->value);
    }
    if (left.len > 32) {
        buf_addf(b, "  %s\n", left.data);
        add_row(b, "", 32, f->help);
        return;
    }
    add_row(b, left.data, 32, f->help);
}

static void add_flags(struct buf *b, const char *title, const struct flag *f)
{
    if (f->name) {
        buf_addf(b, "\n%s\n", title);
    }
    for (; f->name; f++) {
        add_flag(b, f);
    }
}

static void add_commands(struct buf *b, const struct command *const *list)
{
    buf_adds(b, "\nCommands\n");
    for (; *list; list++) {
        if (!(*list)->hidden) {
            add_row(b, (*list)->name, 11, (*list)->summary);
        }
    }
}

static void add_program(struct buf *b)
{
    buf_adds(b, "ScanPod runs security scanners as durable jobs and keeps what they find.\n\n"
                "usage: scanpod [FLAGS] COMMAND ...\n");
    add_commands(b, commands);
    add_flags(b, "Flags of every command", global_flags);
    buf_adds(b, "\nTopics (scanpod help TOPIC)\n");
    for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
        add_row(b, topics[i].name, 14, topics[i].summary);
    }
}

void help_command(const struct cli *c, const struct command *parent, const struct command *cmd)
{
    auto_buf b = {0};

    (void)c;
    if (!cmd) {
        add_program(&b);
        out_buf(&b);
        return;
    }
    buf_addf(&b, "usage: scanpod %s%s%s%s%s%s\n", parent ? parent->name : "", parent ? " " : "",
             cmd->name, cmd->run ? " [FLAGS]" : " COMMAND ...", cmd->operands ? " " : "",
             cmd->operands ? cmd->operands : "");
    if (cmd->run && cmd->subs) {
        buf_addf(&b, "       scanpod %s COMMAND ...\n", cmd->name);
    }
    buf_addf(&b, "\n%s\n", cmd->summary);
    if (cmd->more) {
        buf_addf(&b, "\n%s", cmd->more);
    }
    if (cmd->subs) {
        add_commands(&b, cmd->subs);
    }
    add_flags(&b, "Flags", command_flags(cmd));
    buf_adds(&b, "\nFlags of every command: scanpod help\n");
    out_buf(&b);
}

static int run(struct cli *c)
{
    const struct command *const *list = commands;
    const struct command *parent = NULL;
    const struct command *cmd = NULL;
    struct err e = {0};

    for (size_t i = 0; i < ARRAY_LEN(topics) && c->args.n == 1; i++) {
        if (strcmp(topics[i].name, c->args.operands[0]) == 0) {
            out_write(topics[i].text, strlen(topics[i].text));
            return STATUS_OK;
        }
    }
    for (size_t i = 0; i < c->args.n; i++) {
        parent = cmd;
        cmd = list ? command_find(list, c->args.operands[i]) : NULL;
        if (!cmd) {
            command_unknown(list ? list : commands, c->args.operands[i], &e);
            return cli_fail(c, &e, "scanpod help");
        }
        list = cmd->subs;
    }
    help_command(c, parent, cmd);
    return STATUS_OK;
}

const struct command command_help = {
    .name = "help",
    .operands = "[COMMAND|TOPIC]",
    .summary = "help for a command or a topic",
    .max = 2,
    .formats = 1u << FORMAT_TABLE,
    .run = run,
};
