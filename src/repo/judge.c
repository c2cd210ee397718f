#include "repo/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "assess/identity.h"
#include "assess/merge.h"
#include "base/mem.h"

struct bench {
    const struct survey *survey;
    const struct judge_ask *ask;
    int tree_fd;
    struct arena *arena;
    struct verdict *verdict;
};

/* Engines come in a fixed order, but their output need not be. */
static int by_place(const void *a, const void *b)
{
    const struct finding *x = *(struct finding *const *)a, *y = *(struct finding *const *)b;
    int d = strcmp(x->at.path, y->at.path);

    d = d ? d : (x->at.line > y->at.line) - (x->at.line < y->at.line);
    d = d ? d : (x->at.column > y->at.column) - (x->at.column < y->at.column);
    d = d ? d : strcmp(x->rule, y->rule);
    d = d ? d
          : strcmp(x->n_engines ? x->engines[0].name : "", y->n_engines ? y->engines[0].name : "");
    if (d == 0 && x->n_engines && y->n_engines && x->engines[0].rule && y->engines[0].rule) {
        d = strcmp(x->engines[0].rule, y->engines[0].rule);
    }
    d = d ? d : strcmp(x->title, y->title);
    return d ? d : strcmp(x->message ? x->message : "", y->message ? y->message : "");
}

static bool is_below(const char *path, const char *dir)
{
    size_t n = dir ? strlen(dir) : 0;

    return n == 0 || (strncmp(path, dir, n) == 0 && path[n] == '/');
}

static void engine_names(const struct engine_run *r, struct finding *f)
{
    for (uint32_t i = 0; i < f->n_engines; i++) {
        f->engines[i].version = f->engines[i].version ? f->engines[i].version : r->version;
    }
    if (f->n_engines == 0) {
        f->engines[0] = (struct finding_engine){.name = r->engine->tool.name,
                                                .version = r->version,
                                                .confidence_x100 = f->confidence_x100};
        f->n_engines = 1;
    }
}

static struct finding **collect(const struct engine_run *runs, size_t n, const struct bench *b,
                                size_t *count)
{
    struct finding **v;
    size_t all = 0, kept = 0;

    for (size_t i = 0; i < n; i++) {
        all += runs[i].findings;
    }
    v = xcalloc(all ? all : 1, sizeof(struct finding *));
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < runs[i].n_hauls; k++) {
            const struct haul *h = &runs[i].hauls[k];

            for (size_t m = 0; m < h->n; m++) {
                if (!is_below(h->v[m].at.path, b->ask->subdir)) {
                    b->verdict->outside++;
                    continue;
                }
                engine_names(&runs[i], &h->v[m]);
                v[kept++] = &h->v[m];
            }
        }
    }
    b->verdict->reported = all;
    if (kept > 1) {
        qsort(v, kept, sizeof *v, by_place);
    }
    *count = kept;
    return v;
}

/* ---- one file ---- */

struct text {
    const char *p;
    size_t n;
    bool mapped;
};

static bool text_open(const struct bench *b, const char *path, struct text *t)
{
    auto_fd int fd = openat(b->tree_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    void *p;

    *t = (struct text){.p = ""};
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        return false;
    }
    if (st.st_size == 0) {
        return true;
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        return false;
    }
    *t = (struct text){.p = p, .n = (size_t)st.st_size, .mapped = true};
    return true;
}

static void text_close(struct text *t)
{
    if (t->mapped) {
        munmap((void *)(uintptr_t)t->p, t->n);
    }
}

static int hand_out(struct bench *b, const struct survey_file *f, struct finding **v, size_t n,
                    struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        struct verdict *verdict = b->verdict;

        if (f && b->ask->counts && !b->ask->counts(b->ask->arg, f, v[i]->at.line)) {
            verdict->outside++;
            continue;
        }
        if (verdict->written == HAUL_MAX) {
            verdict->dropped++;
            continue;
        }
        verdict->written++;
        verdict->unverified += !v[i]->verified;
        rc = b->ask->fn(b->ask->arg, v[i], e);
    }
    return rc;
}

/* How the source asks to be left alone there: told, not obeyed. */
static void note_marks(const struct source *s, struct finding *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct finding *f = v[i];
        size_t len;
        const char *line = f->at.line > 0 ? source_line(s, f->at.line, &len) : NULL;

        if (line && !f->marked) {
            f->marked = engine_mark(line, len);
        }
        line = f->at.line > 1 ? source_line(s, f->at.line - 1, &len) : NULL;
        if (line && !f->marked) {
            f->marked = engine_mark_above(line, len);
        }
    }
}

/* All findings of one path. */
static int judge_file(struct bench *b, struct finding **v, size_t n, struct err *e)
{
    const struct survey_file *f = survey_find(b->survey, v[0]->at.path);
    struct source source;
    struct text text;
    bool there = f && text_open(b, f->file.path, &text);
    int rc;

    if (there) {
        source_init(&source, f->file.path, text.p, text.n);
    }
    identify(there ? &source : NULL, v, n, b->arena);
    if (there) {
        note_marks(&source, v, n);
    }
    merge_findings(v, &n, b->arena);
    rc = hand_out(b, f, v, n, e);
    if (there) {
        source_done(&source);
        text_close(&text);
    }
    arena_reset(b->arena);
    return rc;
}

int judge_run(const struct engine_run *runs, size_t n, const struct survey *s,
              const struct judge_ask *ask, struct verdict *out, struct err *e)
{
    struct bench b = {.survey = s, .ask = ask, .verdict = out};
    auto_free struct finding **v = NULL;
    size_t count, from = 0;
    int rc = 0;

    *out = (struct verdict){0};
    b.tree_fd = open(ask->tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b.tree_fd < 0) {
        return err_errno(e, "open the tree");
    }
    b.arena = arena_new();
    v = collect(runs, n, &b, &count);
    while (from < count && rc == 0) {
        size_t to = from + 1;

        while (to < count && strcmp(v[to]->at.path, v[from]->at.path) == 0) {
            to++;
        }
        rc = judge_file(&b, v + from, to - from, e);
        from = to;
    }
    arena_free(b.arena);
    close(b.tree_fd);
    return rc;
}
