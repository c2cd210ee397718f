#include "repo/wanted.h"

#include <string.h>

#include "base/mem.h"
#include "engine/sarif.h"
#include "version.h"

enum { MISSED_BYTES = 256 << 10 }; /* of all engines together: the record is one line */

struct list {
    struct engine_run *v;
    size_t n;
};

/* "NAME=PATH=VERSION" of the spec: versions may have a '=' in them. */
static void find_program(const struct repo_spec *spec, const char *name, struct engine_run *r)
{
    size_t n = strlen(name);

    for (uint32_t i = 0; i < spec->n_programs; i++) {
        const char *s = spec->programs[i];
        const char *path = s + n + 1;

        if (strncmp(s, name, n) == 0 && s[n] == '=') {
            size_t len = strcspn(path, "=");

            r->program = len ? xstrndup(path, len) : NULL;
            r->version = path[len] && path[len + 1] ? xstrdup(path + len + 1) : NULL;
            return;
        }
    }
}

static bool has(const struct list *l, const struct engine *en)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].engine == en) {
            return true;
        }
    }
    return false;
}

static void add(struct list *l, const struct repo_spec *spec, const struct engine *en, bool named)
{
    struct engine_run *r;

    if (has(l, en)) {
        return;
    }
    l->v = xrealloc(l->v, (l->n + 1) * sizeof *l->v);
    r = &l->v[l->n++];
    *r = (struct engine_run){
        .engine = en, .declared = sarif_engine_of(en), .named = named, .passes = 1};
    find_program(spec, en->tool.name, r);
    if (en->built_in && !r->version) {
        r->version = xstrdup(SCANPOD_VERSION);
    }
    if (en->network && spec->request.agent.passes > 1) {
        r->passes = (unsigned)spec->request.agent.passes;
    }
}

static const struct engine *find(const struct repo_spec *spec, const char *name)
{
    const struct engine *en = engine_find(name);

    return en || !spec->declared ? en : sarif_engines_find(spec->declared, name);
}

static void add_defaults(struct list *l, const struct repo_spec *spec)
{
    for (const struct engine *const *en = engine_all(); *en; en++) {
        if (!(*en)->on_demand) {
            add(l, spec, *en, false);
        }
    }
    for (size_t i = 0; spec->declared && i < sarif_engines_count(spec->declared); i++) {
        const struct engine *en = sarif_engines_at(spec->declared, i);

        if (!en->on_demand) {
            add(l, spec, en, false);
        }
    }
}

static void add_agents(struct list *l, const struct repo_spec *spec)
{
    for (const struct engine *const *en = engine_all(); *en; en++) {
        if ((*en)->network && spec->request.agent_wanted) {
            add(l, spec, *en, true);
        }
    }
}

int wanted_make(const struct repo_spec *spec, struct engine_run **out, size_t *n, struct err *e)
{
    const struct strvec *names = &spec->request.engines;
    struct list l = {0};

    for (size_t i = 0; i < names->n; i++) {
        const struct engine *en = find(spec, names->v[i]);

        if (!en) {
            wanted_free(l.v, l.n);
            return err_set(e, ERR_INVALID, "there is no engine '%s'", names->v[i]);
        }
        add(&l, spec, en, true);
    }
    if (names->n == 0) {
        add_defaults(&l, spec);
    }
    add_agents(&l, spec);
    for (size_t i = 0; i < l.n; i++) {
        l.v[i].missed_room = MISSED_BYTES / l.n;
    }
    *out = l.v;
    *n = l.n;
    return 0;
}

void wanted_free(struct engine_run *runs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        engine_run_done(&runs[i]);
    }
    free(runs);
}
