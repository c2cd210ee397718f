/* Arguments: accepted ones make a command line of table options only, targets last. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "tool/tool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The row of an argument and whether the next one is its value. */
static const struct tool_option *row_of(const char *token, bool *takes_next)
{
    for (const struct tool_option *o = tool_nmap.options; o->name; o++) {
        size_t len = strlen(o->name);

        if (strncmp(token, o->name, len) == 0 &&
            (token[len] == '\0' || (token[len] == '=' && o->value != TOOL_FLAG))) {
            *takes_next = token[len] == '\0' && o->value != TOOL_FLAG;
            return o;
        }
    }
    return NULL;
}

static void check_argv(const struct strvec *argv, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        bool takes_next = false;
        const struct tool_option *row = row_of(argv->v[i], &takes_next);
        const char *value = strchr(argv->v[i], '=');

        assert(row);
        if (takes_next) {
            value = argv->v[++i];
            assert(i < to);
        } else if (value) {
            value++;
        }
        assert(!value || (*value >= '0' && *value <= '9'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_free char *text = xstrndup((const char *)data, n);
    auto_strvec arguments = {0}, targets = {0}, argv = {0};
    struct tool_scan scan = {.targets = &targets, .arguments = &arguments, .raw_sockets = true};
    struct err e = {0};

    if (shell_split(text, &arguments, &e) < 0) {
        assert(e.code == ERR_INVALID && e.msg[0]);
        return 0;
    }
    strvec_push(&targets, "127.0.0.1");
    if (tool_nmap.check_arguments(&arguments, &e) == 0) {
        int rc = tool_nmap.build_argv(&scan, "/bin/nmap", &argv, &e);

        assert(rc == 0 && argv.n >= arguments.n + 8);
        check_argv(&argv, argv.n - 2 - arguments.n, argv.n - 2);
    } else if (tool_nmap.build_argv(&scan, "/bin/nmap", &argv, &e) < 0) {
        return 0; /* unchecked, and refused still */
    }
    assert(strcmp(argv.v[1], "-oX") == 0 && strcmp(argv.v[2], "-") == 0);
    for (size_t i = 3; i < argv.n; i++) {
        assert(!(argv.v[i][0] == '-' && argv.v[i][1] == 'o' && argv.v[i][2] >= 'A' &&
                 argv.v[i][2] <= 'Z'));
    }
    assert(strcmp(argv.v[argv.n - 2], "--") == 0);
    assert(strcmp(argv.v[argv.n - 1], "127.0.0.1") == 0);
    return 0;
}
