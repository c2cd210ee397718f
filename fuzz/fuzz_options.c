/*
 * Options: a first byte that says on which route and with which rights, then (with SWEEP, for which
 * the first character says which tool) the arguments, then members of the `options` object, one a
 * line. What is understood has rows of the table only, its values are of their types, and the
 * command line that comes of it keeps its frame.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "tool/tool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum {
    OLD = 1,
    UNSAFE = 2,
    ADVANCED = 4,
    AGGRESSIVE = 8,
    RAW = 16,
    STACK = 32,
    OBJECT = 64,
    SWEEP = 128,
};

static const char scripts[] =
    "Entry { filename = \"banner.nse\", categories = { \"discovery\", \"safe\", } }\n"
    "Entry { filename = \"http-title.nse\", categories = { \"default\", \"safe\", } }\n"
    "Entry { filename = \"ssh-brute.nse\", categories = { \"brute\", } }\n";

static const struct nse_db *db(void)
{
    static struct nse_db *one;

    if (!one) {
        int rc = nse_parse(scripts, strlen(scripts), &one, NULL);

        assert(rc == 0);
    }
    return one;
}

/* Whether a word of the plan is the name of a row, or a name with its value behind it. */
static const struct tool_option *row_of(const struct tool *t, const char *word)
{
    for (const struct tool_option *o = t->options; o->name; o++) {
        size_t len = strlen(o->name);

        if (strcmp(word, o->name) == 0 || (o->glued && strncmp(word, o->name, len) == 0 &&
                                           word[len] >= '0' && word[len] <= '9')) {
            return o;
        }
    }
    return NULL;
}

static void check_plan(const struct tool *t, const struct tool_plan *p, unsigned flags)
{
    for (size_t i = 0; i < p->tokens.n; i++) {
        const struct tool_option *o = row_of(t, p->tokens.v[i]);

        assert(o);
        assert(o->class_ != OPTION_UNSAFE || flags & UNSAFE || (flags & OLD && o->old));
        assert(o->old || !(flags & OLD) || flags & UNSAFE);
        if (o->value != TOOL_FLAG && !o->glued) {
            const char *value = p->tokens.v[++i];

            assert(i < p->tokens.n && value[0] && !strchr("-/.~", value[0]));
        }
    }
    if (p->ports) {
        struct err e;

        assert(ports_parse(p->ports, &e) == 0);
    }
    assert(p->n_ports > 0 && p->n_ports <= 3 * 65536);
}

static void check_start(const struct tool_plan *p, unsigned flags)
{
    const struct tool_start start = {.program = "/bin/nmap",
                                     .raw_sockets = flags & RAW,
                                     .broker = !(flags & RAW),
                                     .user_stack = flags & STACK,
                                     .rate_pps = 100,
                                     .wall_s = 60};
    auto_strvec argv = {0}, notes = {0};
    struct err e = {0};

    if (tool_nmap.build_argv(p, &start, &argv, &notes, &e) < 0) {
        assert(e.code == ERR_INVALID && e.msg[0]);
        return;
    }
    assert(strcmp(argv.v[1], "-oX") == 0 && strcmp(argv.v[2], "-") == 0);
    assert(strcmp(argv.v[argv.n - 2], "-iL") == 0);
    assert(strcmp(argv.v[argv.n - 1], TOOL_TARGETS_FILE) == 0);
    for (size_t i = 3; i < argv.n; i++) {
        const char *word = argv.v[i];

        assert(word[0] && !strchr("/.~", word[0]) && strcmp(word, "--") != 0);
        assert(!(word[0] == '-' && word[1] == 'o') && strpbrk(word, " \n\t'\\") == NULL);
    }
}

/* The frame of masscan and zmap: `fixed` words that are the server's, then those of the plan. */
static void check_sweep(const struct tool *t, const struct tool_plan *p, unsigned flags)
{
    const struct tool_start start = {.program = "/bin/x",
                                     .raw_sockets = flags & RAW,
                                     .broker = !(flags & RAW),
                                     .user_stack = flags & STACK,
                                     .interface = "eth0",
                                     .gateway_mac = "02-00-00-00-00-01",
                                     .silent_port = 61440,
                                     .silent_ports = 16,
                                     .version = flags & ADVANCED ? "4.0" : "2.1.1",
                                     .rate_pps = 100};
    const size_t fixed = t == &tool_zmap ? 16 : 5;
    auto_strvec argv = {0}, notes = {0};
    struct tool_cover cover = {0};
    struct err e = {0};

    assert(p->need.raw && p->need.network);
    t->covers(p, NULL, &cover);
    for (size_t i = 0; i < 4; i++) {
        assert(!cover.ports[i] || ports_parse(cover.ports[i], &e) == 0);
        free(cover.ports[i]);
    }
    assert(t->deadline_s(p, &start) >= 30);
    if (t->build_argv(p, &start, &argv, &notes, &e) < 0) {
        assert(e.code == ERR_INVALID && e.msg[0]);
        return;
    }
    assert(flags & RAW);
    assert(strcmp(argv.v[argv.n - 2], t == &tool_zmap ? "-w" : "-iL") == 0);
    assert(strcmp(argv.v[argv.n - 1], TOOL_TARGETS_FILE) == 0);
    for (size_t i = fixed; i < argv.n; i++) {
        const char *word = argv.v[i];
        bool shard = strcmp(argv.v[i - 1], "--shard") == 0;

        assert(word[0] && strpbrk(word, shard ? " \n\t'\\~" : " \n\t'\\~/.") == NULL);
        assert(!(word[0] == '-' && word[1] == 'o') && strcmp(word, "--") != 0);
    }
}

/* "field=value" or "field", one a line. */
static void push_members(const struct tool *t, char *text, struct strvec *tokens)
{
    for (char *line; (line = strsep(&text, "\n")) != NULL;) {
        char *value = strchr(line, '=');
        struct err e = {0};

        if (value) {
            *value++ = '\0';
        }
        if (tool_option_tokens(t, line, value, tokens, &e) < 0) {
            assert(e.code == ERR_INVALID && e.msg[0]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    unsigned flags = n ? data[0] : 0;
    auto_free char *text = xstrndup(n ? (const char *)data + 1 : "", n ? n - 1 : 0);
    const struct tool *t = !(flags & SWEEP) ? &tool_nmap
                           : text[0] == 'z' ? &tool_zmap
                                            : &tool_masscan;
    char *arguments = flags & SWEEP && text[0] ? text + 1 : text;
    char *members = flags & OBJECT ? strchr(arguments, '\n') : NULL;
    auto_strvec tokens = {0};
    auto_plan plan = {0};
    struct err e = {0};

    if (members) {
        *members++ = '\0';
    }
    if (shell_split(arguments, &tokens, &e) < 0) {
        assert(e.code == ERR_INVALID && e.msg[0]);
        return 0;
    }
    if (members) {
        push_members(t, members, &tokens);
    }
    if (tool_check(t,
                   &(struct tool_request){.targets = "127.0.0.1",
                                          .tokens = &tokens,
                                          .old = flags & OLD,
                                          .unsafe = flags & UNSAFE,
                                          .advanced = flags & ADVANCED,
                                          .scripts = flags & AGGRESSIVE ? SCRIPTS_AGGRESSIVE
                                                                        : SCRIPTS_SAFE,
                                          .nse = db()},
                   &plan, &e) < 0) {
        assert((e.code == ERR_INVALID || e.code == ERR_SCOPE) && e.msg[0]);
        return 0;
    }
    check_plan(t, &plan, flags);
    if (flags & SWEEP) {
        check_sweep(t, &plan, flags);
    } else {
        check_start(&plan, flags);
    }
    return 0;
}
