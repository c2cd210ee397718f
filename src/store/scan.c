/*
 * The row of a repository scan: where it belongs, and what is counted of it. While it runs its
 * intake counts; the row follows once per commit, as with hosts.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/internal.h"

void scan_done(struct scan *sc)
{
    free(sc->url);
    free(sc->branch);
    free(sc->subdir);
    free(sc->commit);
    *sc = (struct scan){0};
}

void repo_scan_done(struct repo_scan *r)
{
    free(r->url);
    free(r->branch);
    free(r->subdir);
    free(r->commit);
    *r = (struct repo_scan){0};
}

void line_done(struct line *l)
{
    free(l->key);
    free(l->url);
    free(l->branch);
    free(l->subdir);
    *l = (struct line){0};
}

char *line_key(const char *url, const char *branch, const char *subdir)
{
    return str_fmt("%s\n%s\n%s", url, branch, subdir);
}

bool scan_may(const struct job *j)
{
    return !j->planned && str_eq(j->tool, "repo");
}

/* ---- adding ---- */

static const char *text_at(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

int scan_check(struct store *s, const struct job *j)
{
    json_t *o;
    bool ok;

    if (!j->repo) {
        return 0;
    }
    o = json_loads(j->repo, 0, NULL);
    ok = text_at(o, "url") != NULL;
    json_decref(o);
    if (!ok) {
        return store_fail(s, ERR_INVALID, "what a repository scan was asked for has no URL");
    }
    return str_eq(j->tool, "repo") && !j->plan
               ? 0
               : store_fail(s, ERR_INVALID, "only an unplanned job of the tool 'repo' scans one");
}

static char *copy_of(const char *s)
{
    return xstrdup(s ? s : "");
}

int scan_add(struct store *s, const struct job *j)
{
    json_t *o = json_loads(j->repo, 0, NULL);
    const char *baseline = text_at(o, "baseline");
    struct scan sc = {
        .job_num = j->num,
        .url = copy_of(text_at(o, "url")),
        .branch = copy_of(text_at(o, "branch")),
        .subdir = copy_of(text_at(o, "subdir")),
        .commit = xstrdup(text_at(o, "commit")),
        .diff = text_at(o, "base") || text_at(o, "head"),
    };
    int rc;

    if (baseline && id_parse(baseline, &sc.baseline)) {
        sc.asked = ASKED_JOB;
    } else if (baseline) {
        sc.asked = ASKED_NONE;
    }
    rc = s->ops->scan_put(s, &sc);
    scan_done(&sc);
    json_decref(o);
    return rc;
}

/* ---- while it runs ---- */

int scan_flush(struct store *s, struct intake *it)
{
    return it->scan ? s->ops->scan_put(s, it->scan) : 0;
}

static void forget(struct scan *sc)
{
    sc->findings = 0;
    memset(&sc->is, 0, sizeof sc->is);
}

int scan_discard(struct store *s, const struct job *j)
{
    struct scan sc;
    int rc = scan_may(j) ? s->ops->scan_find(s, j->num, &sc) : ERR_NOT_FOUND;

    if (rc != 0) {
        return rc == ERR_NOT_FOUND ? 0 : rc;
    }
    if (sc.findings > 0) {
        forget(&sc);
        rc = s->ops->scan_put(s, &sc);
    }
    scan_done(&sc);
    return rc;
}

/* The first finding of a run since it was claimed, or since a turn was undone. */
static int open_scan(struct store *s, struct intake *it)
{
    struct scan *sc = xcalloc(1, sizeof *sc);
    int rc = s->ops->scan_find(s, it->job_num, sc);

    if (rc != 0) {
        free(sc);
        return rc == ERR_NOT_FOUND ? store_fail(s, ERR_CONFLICT,
                                                "the job is no repository scan: it has no findings")
                                   : rc;
    }
    if (it->reparse) {
        forget(sc);
    }
    it->scan = sc;
    return 0;
}

static size_t text_of(const struct finding *f)
{
    return strlen(f->at.path) + strlen(f->rule) + (f->line ? strlen(f->line) : 0);
}

/* Before it is written: whether there is room. */
static int check_room(struct store *s, const struct intake *it, const struct finding *f)
{
    if (it->scan->findings >= SCAN_FINDINGS_MAX) {
        return store_fail(s, ERR_LIMIT, "more than %d findings", SCAN_FINDINGS_MAX);
    }
    return it->scan_text + text_of(f) > SCAN_TEXT_MAX
               ? store_fail(s, ERR_LIMIT, "paths and lines of the findings take more than %d MiB",
                            SCAN_TEXT_MAX >> 20)
               : 0;
}

static int put(struct store *s, struct intake *it, const struct finding *f)
{
    auto_buf body = {0};
    auto_buf engines = {0};
    auto_buf cwes = {0};
    struct finding_head h;
    int rc;

    head_of(f, &engines, &cwes, &h);
    finding_pack(f, &body);
    rc = s->ops->finding_put(s, finding_id(it->result, it->scan->findings + 1), &h, body.data,
                             body.len);
    if (rc == 0) {
        it->scan->findings++;
        it->scan_text += text_of(f);
        it->changed = true;
        figures_report(&it->scan->is, &h, LIFE_NEW, false);
    }
    return rc;
}

static int finding_add(struct store *s, const struct lease *l, const struct finding *f)
{
    struct intake *it = NULL;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = finding_check(f, &s->err);
    }
    if (rc == 0) {
        rc = intake_for(s, l, &it);
    }
    if (rc == 0 && !it->scan) {
        rc = open_scan(s, it);
    }
    if (rc != 0) {
        return rc;
    }
    assert(it && it->scan);
    rc = check_room(s, it, f);
    return rc == 0 ? put(s, it, f) : rc;
}

int store_finding_add(struct store *s, const struct lease *l, const struct finding *f,
                      struct err *e)
{
    return store_change_end(s, finding_add(s, l, f), e);
}

/* ---- figures out ---- */

static void give(const struct scan *sc, struct repo_scan *out)
{
    *out = (struct repo_scan){
        .url = xstrdup(sc->url),
        .branch = xstrdup(sc->branch),
        .subdir = xstrdup(sc->subdir),
        .commit = xstrdup(sc->commit),
        .complete = sc->complete,
        .ended = sc->ended,
        .baseline = sc->asked == ASKED_JOB ? sc->baseline : (struct id){{0}},
        .triaged = sc->is.triaged,
    };
    for (int l = 0; l < LIFES && sc->ended; l++) { /* before that nothing is compared */
        out->life[l] = sc->is.life[l];
        for (int sev = 0; sev < SEVERITIES; sev++) {
            out->by_life[sev][l] = sc->is.by_life[sev][l];
        }
    }
    spread_sum(&sc->is.counting, out->counts);
    spread_level(&sc->is.counting, sc->complete, out->level, &out->score_x10);
}

int store_repo_scan(struct store *s, int64_t job_num, struct repo_scan *out, struct err *e)
{
    const struct intake *it = intake_of(s, job_num, 0);
    struct scan sc;
    int rc;

    if (it && it->scan && !it->reparse) {
        give(it->scan, out);
        return 0;
    }
    rc = s->ops->scan_find(s, job_num, &sc);
    if (rc == 0) {
        give(&sc, out);
        scan_done(&sc);
    }
    return store_read_end(s, rc, e);
}
