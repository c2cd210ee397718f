#include "daemon/programs.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/probe.h"
#include "engine/engine.h"

enum { PROGRAMS_MAX = 32 };

struct program {
    const struct tool *tool;
    const char *configured; /* borrowed from the settings */
    char *path;             /* owned; NULL: not found */
    struct tool_seen seen;
    bool asked; /* of the file that was seen */
};

struct programs {
    struct program v[PROGRAMS_MAX];
    size_t n;
    struct worker *worker;  /* borrowed; NULL: nobody can be asked yet */
    struct program *asking; /* whose answer is awaited */
};

static void add(struct programs *p, const struct option_set *settings, const struct tool *t)
{
    assert(p->n < PROGRAMS_MAX);
    p->v[p->n++] = (struct program){
        .tool = t, .configured = t->setting ? option_str(settings, t->setting) : NULL};
}

struct programs *programs_new(const struct option_set *settings)
{
    struct programs *p = xcalloc(1, sizeof *p);

    for (const struct tool *const *t = tool_all(); *t; t++) {
        if (!(*t)->instant && (*t)->program) {
            add(p, settings, *t);
        }
    }
    for (const struct engine *const *en = engine_all(); *en; en++) {
        if (!(*en)->built_in) {
            add(p, settings, &(*en)->tool);
        }
    }
    return p;
}

void programs_free(struct programs *p)
{
    if (!p) {
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].path);
    }
    free(p);
}

static void ask_next(struct programs *p);

static void on_version(void *arg, const char *text)
{
    struct programs *p = arg;
    struct program *g = p->asking;
    struct err e = {0};

    p->asking = NULL;
    if (tool_answered(g->tool, &g->seen, text, &e) != 0) {
        log_warn("tool_unusable", KV("tool", g->tool->name), KV("error", e.msg));
    } else {
        log_info("tool", KV("tool", g->tool->name), KV("version", g->seen.version));
    }
    ask_next(p);
}

static void find(struct program *g)
{
    struct err e = {0};

    free(take_ptr(&g->path));
    if (tool_see(g->tool, g->configured, &g->seen, &e) == 0) {
        (void)tool_path(g->tool, g->configured, &g->path, &e);
    }
}

static void ask_next(struct programs *p)
{
    for (size_t i = 0; p->worker && !p->asking && i < p->n; i++) {
        struct program *g = &p->v[i];
        struct err e = {0};

        if (g->asked) {
            continue;
        }
        g->asked = true;
        find(g);
        if (!g->path) {
            log_info("tool_missing", KV("tool", g->tool->name), KV("error", g->seen.wrong.msg));
            continue;
        }
        p->asking = g;
        if (worker_ask(p->worker, g->tool, g->path, on_version, p, &e) != 0) {
            p->asking = NULL;
            log_warn("tool_unusable", KV("tool", g->tool->name), KV("error", e.msg));
        }
    }
}

bool programs_settled(const struct programs *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (!p->v[i].asked) {
            return false;
        }
    }
    return p->asking == NULL;
}

void programs_ask(struct programs *p, struct worker *w)
{
    p->worker = w;
    ask_next(p);
}

static struct program *program_of(struct programs *p, const struct tool *t)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].tool == t) {
            return &p->v[i];
        }
    }
    return NULL;
}

const char *programs_look(struct programs *p, const struct tool *t, const char **version,
                          const char **why)
{
    struct program *g = program_of(p, t);
    const char *known = NULL;
    const char *wrong = t->instant ? NULL
                        : g        ? tool_look(t, g->configured, &g->seen, &known)
                                   : "this server does not know it";

    if (g && !wrong && (!known || !g->path) && g != p->asking) {
        struct err e = {0};

        free(take_ptr(&g->path));
        (void)tool_path(t, g->configured, &g->path, &e);
        if (!known && g->asked) { /* it came or changed since it was asked */
            g->asked = false;
            ask_next(p);
        }
    }
    if (version) {
        *version = known;
    }
    if (why) {
        *why = wrong;
    }
    return t->instant ? t->program : g && !wrong ? g->path : NULL;
}
