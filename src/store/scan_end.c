/*
 * The end of a repository scan: its findings are told apart by what was known before, and move the
 * issues of their line, all in the transaction of the end. It is done at once and not in steps:
 * nobody ever sees a scan that is half compared, and what 25,000 findings take (docs/performance)
 * is less than what the loop waits for a full disk. Bodies are not touched: an issue lends that of
 * the finding.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/compare.h"
#include "store/digest.h"

struct ending {
    struct store *s;
    struct work *w;
    struct scan sc;
    struct line line;
    struct seen *seen;
    struct arena *arena;
    struct known_set now, issues, baseline;
    struct inherited inherited;
    struct figures is;
    int64_t absent; /* verdicts behind the last finding */
    bool completed; /* the job was, and what it did not report may be gone */
    bool of_line;   /* there is a line */
    bool moves;     /* and this scan moves its issues */
    int64_t now_us;
    int64_t opened; /* open issues of the line, */
    struct spread counting;
    size_t added;
};

static bool away(const struct issue *i)
{
    return triage_away(i->force);
}

/* ---- issues ---- */

/*
 * Sorts by time like other ids, and holds the number, so that no index is needed to find an issue.
 */
static struct id issue_id(const struct ending *e, int64_t num)
{
    uint64_t ms = (uint64_t)(e->now_us / 1000);
    uint8_t in[ID_LEN + sizeof num];
    uint8_t hash[32];
    struct id id;

    memcpy(in, e->w->job.id.b, ID_LEN);
    memcpy(in + ID_LEN, &num, sizeof num);
    sha256_of(in, sizeof in, hash);
    for (int i = 0; i < 6; i++) {
        id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
        id.b[10 + i] = (uint8_t)((uint64_t)num >> (40 - 8 * i));
    }
    memcpy(id.b + 6, hash, 4);
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x70);
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    return id;
}

int64_t issue_num(const struct id *id)
{
    uint64_t num = 0;

    for (int i = 10; i < ID_LEN; i++) {
        num = num << 8 | id->b[i];
    }
    return (int64_t)num;
}

static void reported(const struct ending *e, const struct found *f, enum finding_life l,
                     struct issue *i)
{
    i->job_num = e->w->job.num;
    i->job = e->w->job.id;
    i->last_us = e->now_us;
    i->body = finding_id(e->w->row.result, f->seq);
    i->open = true;
    i->fixed_us = 0;
    i->life = l;
    i->last_life = f->verdict.life;
}

static int issue_new(struct ending *e, const struct found *f, int64_t *num, bool *is_away)
{
    const struct heirloom *h = inherited_find(&e->inherited, f->head.prints);
    struct issue i = {.num = e->s->now.next_issue++,
                      .line = e->line.num,
                      .rev = 1,
                      .first_job = e->w->job.id,
                      .first_us = e->now_us,
                      .head = f->head};
    int rc = kind_of(e->s, &f->head, &i.kind);

    i.id = issue_id(e, i.num);
    reported(e, f, LIFE_NEW, &i);
    if (h) {
        i.note = h->note;
        i.force = h->note.state;
        i.expires_us = h->expires_us;
    }
    *num = i.num;
    *is_away = away(&i);
    e->added++;
    e->opened++;
    if (!away(&i)) {
        spread_add(&e->counting, &i.head);
    }
    return rc == 0 ? e->s->ops->issue_add(e->s, &i) : rc;
}

/* Those that reported it, and those that had and have not been asked again. */
static const char *engines_of(struct ending *e, const struct found *f, const struct issue *i)
{
    auto_buf all = {0};
    const char *p = i->head.engines;
    const char *end;

    buf_adds(&all, f->head.engines);
    for (; (end = strchr(p, '\n')) != NULL; p = end + 1) {
        auto_free char *name = xstrndup(p, (size_t)(end - p));

        if (!list_has(all.data ? all.data : "", '\n', name) &&
            !seen_by(e->seen, p, (size_t)(end - p), i->head.path)) {
            buf_add(&all, p, (size_t)(end - p) + 1);
        }
    }
    return all.len == strlen(f->head.engines) ? f->head.engines
                                              : arena_strn(e->arena, all.data, all.len);
}

static int issue_again(struct ending *e, const struct found *f, enum finding_life l,
                       struct issue *i)
{
    const struct issue was = *i;
    bool indexed;
    int rc;

    i->rev++;
    i->reopened += !was.open;
    i->head = f->head;
    i->head.engines = engines_of(e, f, &was);
    reported(e, f, l, i);
    rc = kind_of(e->s, &i->head, &i->kind);
    indexed = !was.open || was.kind != i->kind || was.head.severity != i->head.severity ||
              strcmp(was.head.rule, i->head.rule) != 0;
    if (rc != 0) {
        return rc;
    }
    rc = indexed ? e->s->ops->issue_put(e->s, i) : e->s->ops->issue_touch(e->s, i);
    return rc == 0 && was.body != i->body ? e->s->ops->body_free(e->s, was.body) : rc;
}

static int issue_absent(struct ending *e, struct issue *i, enum finding_life l)
{
    bool same = i->life == l;

    i->life = l;
    if (l == LIFE_FIXED) {
        i->open = false;
        i->fixed_us = e->now_us;
        i->rev++;
        return e->s->ops->issue_put(e->s, i);
    }
    i->rev += !same;
    return same ? 0 : e->s->ops->issue_touch(e->s, i);
}

/* ---- verdicts ---- */

/* How a finding stands to what it was matched with. */
static enum finding_life life_of(const struct known *k, bool open)
{
    if (k->twin < 0) {
        return LIFE_NEW;
    }
    return !open ? LIFE_REOPENED : k->rewritten ? LIFE_UPDATED : LIFE_UNCHANGED;
}

static enum finding_life absent_life(const struct ending *e, const struct finding_head *h)
{
    return e->completed && seen_whole(e->seen, h->engines, h->path) ? LIFE_FIXED : LIFE_UNKNOWN;
}

static int one(struct ending *e, size_t at)
{
    const struct known *k = &e->now.known[at];
    struct found *f = k->of;
    struct issue *i = k->twin >= 0 ? &issue_at(&e->issues, (size_t)k->twin)->is : NULL;
    enum finding_life life = life_of(k, !i || i->open);
    bool is_away = i && away(i);
    int rc = 0;

    if (e->sc.asked == ASKED_LINE) {
        f->verdict.life = life;
    } /* else it is told already */
    f->verdict.issue = i ? i->num : 0;
    if (e->moves) {
        rc = i ? issue_again(e, f, life, i) : issue_new(e, f, &f->verdict.issue, &is_away);
    }
    figures_report(&e->is, &f->head, f->verdict.life, is_away);
    return rc == 0 ? e->s->ops->verdict_put(e->s, finding_id(e->w->row.result, f->seq), &f->verdict)
                   : rc;
}

/* One that the scan did not report any more, behind all others. */
static int put_absent(struct ending *e, const struct verdict *v, enum severity sev, bool is_away)
{
    int64_t seq = e->sc.findings + ++e->absent;

    figures_absent(&e->is, sev, v->life, is_away);
    return e->s->ops->verdict_put(e->s, finding_id(e->w->row.result, seq), v);
}

static int rest_of_line(struct ending *e)
{
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < e->issues.n; at++) {
        struct issue *i = &issue_at(&e->issues, at)->is;

        if (i->open && e->issues.known[at].twin < 0) {
            const struct verdict v = {i->num, absent_life(e, &i->head), i->body};

            if (e->sc.asked == ASKED_LINE) {
                rc = put_absent(e, &v, i->head.severity, away(i));
            }
            if (rc == 0 && e->moves) {
                rc = issue_absent(e, i, v.life);
            }
        }
        e->opened += i->open;
        if (i->open && !away(i)) {
            spread_add(&e->counting, &i->head);
        }
    }
    return rc;
}

/* ---- against another job ---- */

static int note_force(void *arg, const struct issue *i)
{
    *(enum triage *)arg = i->force;
    return 0;
}

static int force_of(struct store *s, int64_t issue, enum triage *force)
{
    int rc;

    *force = TRIAGE_NONE;
    rc = issue ? s->ops->issue_find(s, issue, note_force, force) : 0;
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* The findings of the job that was asked for; without them it is compared as if none had been. */
static int load_baseline(struct ending *e, int64_t *result)
{
    struct store *s = e->s;
    struct task_row row;
    struct scan sc;
    int64_t num = 0;
    int rc = s->ops->job_num(s, &e->sc.baseline, &num);

    if (rc == 0) {
        rc = s->ops->scan_find(s, num, &sc);
    }
    if (rc == 0) {
        bool ended = sc.ended;

        scan_done(&sc);
        rc = ended ? s->ops->task_find(s, num, 0, &row) : ERR_NOT_FOUND;
    }
    if (rc == ERR_NOT_FOUND) {
        e->sc.asked = ASKED_LINE;
        return 0;
    }
    if (rc == 0) {
        *result = row.result;
        rc = found_load(s, row.result, &e->baseline);
    }
    return rc;
}

static int rest_of_baseline(struct ending *e, int64_t result)
{
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < e->baseline.n; at++) {
        const struct found *f = found_at(&e->baseline, at);
        const struct verdict v = {f->verdict.issue, absent_life(e, &f->head),
                                  finding_id(result, f->seq)};
        enum triage force;

        if (e->baseline.known[at].twin >= 0) {
            continue;
        }
        rc = force_of(e->s, v.issue, &force);
        if (rc == 0) {
            rc = put_absent(e, &v, f->head.severity, triage_away(force));
        }
    }
    return rc;
}

/* Tells the lives of all findings, before they are matched with issues. */
static int against_asked(struct ending *e)
{
    int64_t result = 0;
    int rc = e->sc.asked == ASKED_JOB ? load_baseline(e, &result) : 0;

    if (rc != 0 || e->sc.asked == ASKED_LINE) {
        return rc;
    }
    if (e->sc.asked == ASKED_JOB) {
        known_match(&e->baseline, &e->now, e->seen);
    }
    for (size_t at = 0; at < e->now.n; at++) {
        const struct known *k = &e->now.known[at];

        ((struct found *)k->of)->verdict.life = life_of(k, true);
    }
    return e->sc.asked == ASKED_JOB ? rest_of_baseline(e, result) : 0;
}

/* ---- the line ---- */

static int find_line(struct ending *e)
{
    const char *branch = seen_text(e->seen, "branch");
    auto_free char *key = NULL;
    int rc;

    if (branch) {
        text_set(&e->sc.branch, branch);
    }
    if (seen_text(e->seen, "commit")) {
        text_set(&e->sc.commit, seen_text(e->seen, "commit"));
    }
    key = line_key(e->sc.url, e->sc.branch, e->sc.subdir);
    rc = e->s->ops->line_find(e->s, key, 0, &e->line);
    e->of_line = rc == 0;
    if (rc == ERR_NOT_FOUND && e->completed) {
        e->line = (struct line){.num = e->s->now.next_line++,
                                .key = take_ptr(&key),
                                .url = xstrdup(e->sc.url),
                                .branch = xstrdup(e->sc.branch),
                                .subdir = xstrdup(e->sc.subdir)};
        e->of_line = true;
    }
    e->moves = e->completed && e->w->job.num > e->line.last_num && !seen_aside(e->seen);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* More issues than a line may have: the oldest of those that are fixed, and nobody wrote of. */
static int trim(struct ending *e)
{
    size_t n = e->issues.n + e->added;
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < e->issues.n && n > e->s->line_issues_max; at++) {
        const struct issue *i = &issue_at(&e->issues, at)->is;

        if (!i->open && i->note.state == TRIAGE_NONE) {
            rc = e->s->ops->issue_drop(e->s, i->num);
            if (rc == 0) {
                rc = e->s->ops->body_free(e->s, i->body);
            }
            n--;
        }
    }
    return rc;
}

static int put_line(struct ending *e)
{
    struct line *l = &e->line;
    int rc = 0;

    l->jobs++;
    e->sc.line = l->num;
    if (e->moves) {
        l->last_num = e->w->job.num;
        l->last_job = e->w->job.id;
        l->last_us = e->now_us;
        l->complete = e->sc.complete;
        l->open = e->opened;
        l->counting = e->counting;
        rc = trim(e);
    }
    return rc == 0 ? line_save(e->s, l) : rc;
}

/* ---- the whole ---- */

static int tell(struct ending *e)
{
    auto_buf text = {0};
    struct json o = json_to(&text);
    char level[16];

    spread_level(&e->is.counting, e->sc.complete, level, NULL);
    e->w->job.rev++;
    json_obj(&o);
    json_str(&o, "state", job_state_name(e->w->job.state));
    json_int(&o, "rev", (int64_t)e->w->job.rev);
    for (int l = 0; l < LIFES; l++) {
        json_int(&o, finding_life_name((enum finding_life)l), e->is.life[l]);
    }
    json_int(&o, "triaged", e->is.triaged);
    json_str(&o, "level", level);
    json_bool(&o, "complete", e->sc.complete);
    json_end(&o);
    return event_append(e->s, "repo.findings", &e->w->job.id, text.data);
}

static int compare(struct ending *e)
{
    int rc = find_line(e);

    if (rc == 0) {
        rc = found_load(e->s, e->w->row.result, &e->now);
    }
    e->sc.findings = (int64_t)e->now.n;
    if (rc == 0) {
        rc = against_asked(e);
    }
    if (rc == 0 && e->of_line) {
        rc = issues_load(e->s, &e->line, &e->issues);
    }
    if (rc == 0) {
        known_match(&e->issues, &e->now, e->seen); /* maybe with none */
    }
    if (rc == 0 && e->moves) {
        rc = inherited_load(e->s, &e->line, e->now_us, e->arena, &e->inherited);
    }
    for (size_t at = 0; rc == 0 && at < e->now.n; at++) {
        rc = one(e, at);
    }
    if (rc == 0) {
        rc = rest_of_line(e);
    }
    return rc;
}

static void ending_done(struct ending *e)
{
    scan_done(&e->sc);
    line_done(&e->line);
    seen_free(e->seen);
    known_set_done(&e->now);
    known_set_done(&e->issues);
    known_set_done(&e->baseline);
    inherited_done(&e->inherited);
    arena_free(e->arena);
}

int scan_end(struct store *s, struct work *w, enum job_state state)
{
    struct ending e = {.s = s, .w = w, .completed = state == JOB_COMPLETED};
    int rc = scan_may(&w->job) ? s->ops->scan_find(s, w->job.num, &e.sc) : ERR_NOT_FOUND;

    if (rc != 0) {
        return rc == ERR_NOT_FOUND ? 0 : rc;
    }
    if (w->row.result == 0 && e.completed) {
        w->row.result = s->now.next_result++; /* for what is not there any more */
    }
    e.now_us = store_now(s);
    e.seen = seen_new(w->job.run_json, !e.sc.diff);
    e.arena = arena_new();
    e.now.arena = e.issues.arena = e.baseline.arena = e.arena;
    e.sc.ended = true;
    e.sc.complete = e.completed && !w->job.partial && seen_complete(e.seen);
    rc = w->row.result ? compare(&e) : 0; /* it never came to run */
    if (rc == 0 && e.of_line) {
        rc = put_line(&e);
    }
    if (rc == 0) {
        e.sc.is = e.is;
        rc = s->ops->scan_put(s, &e.sc);
    }
    if (rc == 0 && (e.completed || e.now.n > 0)) {
        rc = tell(&e);
    }
    ending_done(&e);
    return rc;
}
