/* The old service's `claude_cli_args`: the few words of it that a request may say. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/agent.h"
#include "model/host.h"
#include "model/request.h"

enum { TURNS_MAX = 1000, BUDGET_MAX = 10000, MODEL_MAX = 64 };

static int bad_value(const char *name, const char *value, struct err *e)
{
    return err_set(e, ERR_INVALID, "invalid value for '%s': '%.100s'", name, value);
}

static int read_model(const char *v, struct agent_ask *out, struct arena *arena, struct err *e)
{
    static const char marks[] = "._:-";
    size_t n = strlen(v);

    for (const char *p = v; *p; p++) {
        bool word =
            (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');

        if (!word && (p == v || !strchr(marks, *p))) {
            n = 0;
            break;
        }
    }
    if (n == 0 || n > MODEL_MAX) {
        return bad_value("--model", v, e);
    }
    out->model = arena_strn(arena, v, n);
    return 0;
}

static int read_turns(const char *v, struct agent_ask *out, struct arena *arena, struct err *e)
{
    uint64_t n;

    (void)arena;
    if (!str_to_u64(v, 1, TURNS_MAX, &n)) {
        return bad_value("--max-turns", v, e);
    }
    out->max_turns = (int32_t)n;
    return 0;
}

static int read_budget(const char *v, struct agent_ask *out, struct arena *arena, struct err *e)
{
    char *end = NULL;
    double amount = strspn(v, "0123456789.") == strlen(v) ? strtod(v, &end) : 0;

    (void)arena;
    if (!end || end == v || *end || !(amount >= 0.01 && amount <= BUDGET_MAX)) {
        return bad_value("--max-budget-usd", v, e);
    }
    out->max_budget_cents = (int32_t)(amount * 100 + 0.5);
    return 0;
}

static int read_effort(const char *v, struct agent_ask *out, struct arena *arena, struct err *e)
{
    if (!str_eq(v, "low") && !str_eq(v, "medium") && !str_eq(v, "high")) {
        return bad_value("--effort", v, e);
    }
    out->effort = arena_strn(arena, v, strlen(v));
    return 0;
}

static const struct {
    const char *name;
    int (*read)(const char *v, struct agent_ask *out, struct arena *arena, struct err *e);
} rows[] = {
    {"--model", read_model},
    {"--max-turns", read_turns},
    {"--max-budget-usd", read_budget},
    {"--effort", read_effort},
};

/* One argument, and its value where that stands apart; *at moves on. */
static int read_one(const struct strvec *words, size_t *at, struct agent_ask *out,
                    struct arena *arena, struct err *e)
{
    const char *word = words->v[(*at)++];
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strlen(rows[i].name) != n || memcmp(rows[i].name, word, n) != 0) {
            continue;
        }
        if (!equals && *at == words->n) {
            return err_set(e, ERR_INVALID, "argument '%s' requires a value", rows[i].name);
        }
        return rows[i].read(equals ? equals + 1 : words->v[(*at)++], out, arena, e);
    }
    return err_set(e, ERR_INVALID,
                   "disallowed argument: '%.100s' (known are --model, --max-turns, "
                   "--max-budget-usd and --effort)",
                   word);
}

int agent_args_parse(const char *text, struct agent_ask *out, struct arena *arena, struct err *e)
{
    auto_strvec words = {0};
    int rc = shell_split(text, &words, e);

    for (size_t at = 0; rc == 0 && at < words.n;) {
        rc = read_one(&words, &at, out, arena, e);
    }
    return rc;
}
