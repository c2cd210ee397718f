/*
 * cli - one command line: its flags, where its output goes, the server it talks to.
 *
 * A command is a `const struct command` at the end of its own file, named in commands.c. It prints
 * results on stdout and everything else on stderr, and returns the program's exit status.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/option.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/term.h"

/* Exit statuses; docs/cli.md lists them. err_exit_status() gives the same for ERR_*. */
enum {
    STATUS_OK = 0,
    STATUS_FOUND = 1,       /* "yes, there is something": doctor, no such job, a conflict */
    STATUS_USAGE = 2,       /* wrong command line or invalid request */
    STATUS_SCAN = 3,        /* the scan failed, timed out or was cancelled */
    STATUS_DENIED = 4,      /* not signed in, or not allowed */
    STATUS_UNREACHABLE = 5, /* no server, or it cannot serve now */
    STATUS_REFUSED = 6,     /* by the scope policy */
    STATUS_WAITED = 124,    /* --timeout passed; the job goes on */
    STATUS_INTERRUPTED = 130,
};

enum format {
    FORMAT_TABLE,
    FORMAT_JSON,
    FORMAT_NDJSON,
    FORMAT_CSV,
    FORMAT_NMAP,
    FORMAT_SARIF,
    FORMAT_MARKDOWN,
    FORMAT_HTML,
};

/* What most commands can write. */
#define FORMATS_TEXT \
    (1u << FORMAT_TABLE | 1u << FORMAT_JSON | 1u << FORMAT_NDJSON | 1u << FORMAT_CSV)
#define FORMATS_RESULTS (FORMATS_TEXT | 1u << FORMAT_NMAP)
#define FORMATS_FINDINGS \
    (FORMATS_TEXT | 1u << FORMAT_SARIF | 1u << FORMAT_MARKDOWN | 1u << FORMAT_HTML)

struct cli;

struct command {
    const char *name;
    const char *operands;                 /* "TARGET..." for the help; NULL: none */
    const char *summary;                  /* one line */
    const char *more;                     /* further text of its help; NULL: none */
    const struct flag *flags;             /* ends with name NULL; NULL: none */
    const struct flag *(*flags_fn)(void); /* instead of `flags`; NULL: none */
    const struct command *const *subs;    /* NULL-terminated; NULL: none */
    size_t min, max;                      /* operands */
    unsigned formats;                     /* bit set of 1u << FORMAT_* that it can write */
    bool hidden;                          /* for our own processes: not in the help */
    int (*run)(struct cli *c);            /* with subs: NULL, or what it does without one */
};

extern const struct command *const commands[]; /* NULL-terminated */
extern const struct flag global_flags[];

struct cli {
    struct args args;
    const struct command *cmd;    /* the one that runs */
    const struct command *parent; /* NULL: cmd is at the top */
    struct term term;
    enum format format;
    int64_t wait_ms; /* --timeout; 0: no limit */

    /* private */
    struct option_set *settings;
    struct client *client;
    char *key_from; /* where the key was taken from */
};

int cli_main(int argc, char **argv);

/* Prints e and a hint (may be NULL); gives the exit status for e->code. */
int cli_fail(struct cli *c, const struct err *e, const char *hint);
/* The same for the server's refusal: its text and hint, its status. 0 if it is none. */
int cli_check(struct cli *c, const struct answer *a);
/* Settings as the server would read them, with --data-dir and --config put in. Loaded once; what
 * is wrong in them is a warning here, an error in `config check`. Never NULL. */
struct option_set *cli_settings(struct cli *c);
/* The table of settings as flags, made once. */
const struct flag *serve_flags(void);
/* NULL after an error was printed; *status is then set. */
struct client *cli_client(struct cli *c, int *status);
/* One call whose failure is printed: 0 and an answer with a good status, or an exit status. */
int cli_call(struct cli *c, const struct call *call, struct answer *a);
/* What helps when a call to the server failed. */
const char *cli_hint_unreachable(const struct client *client);

/* Help for a command, or the whole program if NULL, on stdout. */
void help_command(const struct cli *c, const struct command *parent, const struct command *cmd);
const struct command *command_find(const struct command *const *list, const char *name);
/* "unknown command 'scna'; did you mean 'scan'?" */
int command_unknown(const struct command *const *list, const char *name, struct err *e);
const struct flag *command_flags(const struct command *cmd); /* never NULL */

bool format_parse(const char *s, enum format *out);
