/* Decisions about issues: they move what is counted of the line and of the scan that reported it
 * last. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/internal.h"

enum { NOTE_MAX = 1024, BATCH = 1000 };

/* An issue with its strings, and its line. */
struct held {
    struct issue is;
    struct line line;
    struct arena *arena;
};

static const char *keep(struct arena *a, const char *s)
{
    return s ? arena_strn(a, s, strlen(s)) : NULL;
}

static int hold(void *arg, const struct issue *i)
{
    struct held *h = arg;
    struct finding_head *head = &h->is.head;

    h->is = *i;
    h->is.note.reason = keep(h->arena, i->note.reason);
    h->is.note.by = keep(h->arena, i->note.by);
    head->rule = keep(h->arena, head->rule);
    head->path = keep(h->arena, head->path);
    head->text = keep(h->arena, head->text);
    head->engines = keep(h->arena, head->engines);
    head->cwes = keep(h->arena, head->cwes);
    return 0;
}

static void held_done(struct held *h)
{
    line_done(&h->line);
    arena_free(h->arena);
}

static int load(struct store *s, int64_t num, struct held *out)
{
    int rc;

    *out = (struct held){.arena = arena_new()};
    rc = s->ops->issue_find(s, num, hold, out);
    if (rc == 0) {
        rc = s->ops->line_find(s, NULL, out->is.line, &out->line);
    }
    if (rc == 0 && !issue_shows(&out->line, &out->is)) {
        rc = ERR_NOT_FOUND;
    }
    if (rc != 0) {
        held_done(out);
    }
    return rc == ERR_NOT_FOUND ? store_fail(s, rc, "no such issue") : rc;
}

/* ---- what a decision changes ---- */

static int recount_scan(struct store *s, const struct issue *i, bool away)
{
    struct scan sc;
    int rc = s->ops->scan_find(s, i->job_num, &sc);

    if (rc != 0) {
        return rc == ERR_NOT_FOUND ? 0 : rc; /* its job is gone */
    }
    if (sc.reread) {
        rc = scan_recount(s, &sc);
    } else {
        figures_recount(&sc.is, &i->head, i->last_life, away);
    }
    if (rc == 0) {
        rc = s->ops->scan_put(s, &sc);
    }
    scan_done(&sc);
    return rc;
}

static int recount_line(struct store *s, struct held *h, bool away)
{
    if (!h->is.open) {
        return 0;
    }
    if (away) {
        spread_take(&h->line.counting, &h->is.head);
    } else {
        spread_add(&h->line.counting, &h->is.head);
    }
    return line_save(s, &h->line);
}

static int tell(struct store *s, const struct issue *i, bool expired)
{
    auto_buf text = {0};
    struct json o = json_to(&text);
    char id[ID_TEXT + 1];

    id_text(&i->id, id);
    json_obj(&o);
    json_str(&o, "issue", id);
    json_str(&o, "triage", triage_name(i->force));
    json_int(&o, "issue_rev", (int64_t)i->rev);
    if (expired) {
        json_bool(&o, "expired", true);
    }
    json_end(&o);
    return event_append(s, "finding.triage", &i->job, text.data);
}

/* The issue as it is now, saved and told. */
static int decided(struct store *s, struct held *h, enum triage before, bool expired)
{
    bool away = triage_away(h->is.force);
    int rc;

    h->is.rev++;
    rc = s->ops->issue_put(s, &h->is);
    if (rc == 0 && away != triage_away(before)) {
        rc = recount_scan(s, &h->is, away);
        if (rc == 0) {
            rc = recount_line(s, h, away);
        }
    }
    return rc == 0 ? tell(s, &h->is, expired) : rc;
}

/* Of a line without jobs only what somebody wrote of was kept. */
static int leave(struct store *s, struct held *h)
{
    int rc;

    if (issue_shows(&h->line, &h->is)) {
        return 0;
    }
    h->line.open -= h->is.open;
    if (h->is.open) {
        spread_take(&h->line.counting, &h->is.head);
    }
    rc = line_save(s, &h->line);
    return rc == 0 ? s->ops->purge_line(s, s->now.next_purge++, h->line.num) : rc;
}

/* ---- deciding ---- */

static int check_text(struct store *s, const char *name, const char *text, bool needed)
{
    size_t n = text ? strlen(text) : 0;

    if (needed && n == 0) {
        return store_fail(s, ERR_INVALID, "%s: it is needed for this decision", name);
    }
    if (n > NOTE_MAX) {
        return store_fail(s, ERR_INVALID, "%s: it is longer than %d bytes", name, NOTE_MAX);
    }
    return text && !utf8_valid(text, n) ? store_fail(s, ERR_INVALID, "%s: it is not UTF-8", name)
                                        : 0;
}

static int check_note(struct store *s, const struct triage_note *n)
{
    bool needed = triage_away(n->state);
    int rc;

    if ((unsigned)n->state >= TRIAGES) {
        return store_fail(s, ERR_INVALID, "there is no such decision");
    }
    rc = check_text(s, "reason", n->reason, needed);
    if (rc == 0) {
        rc = check_text(s, "by", n->by, needed);
    }
    if (rc == 0 && n->until_us != 0 && (n->state == TRIAGE_NONE || n->until_us <= store_now(s))) {
        rc = store_fail(s, ERR_INVALID,
                        n->state == TRIAGE_NONE ? "until: an issue that is open stays so"
                                                : "until: that time has passed");
    }
    return rc;
}

static int decide(struct store *s, struct held *h, uint64_t rev, const struct triage_note *n)
{
    enum triage before = h->is.force;
    int rc;

    if (rev != 0 && rev != h->is.rev) {
        return store_fail(s, ERR_CONFLICT, "the issue has changed: read it again");
    }
    rc = store_begin(s);
    if (rc != 0) {
        return rc;
    }
    h->is.note = *n;
    if (n->at_us == 0) {
        h->is.note.at_us = store_now(s);
    }
    h->is.force = n->state;
    h->is.expires_us = n->until_us;
    rc = decided(s, h, before, false);
    return rc == 0 ? leave(s, h) : rc;
}

int store_triage(struct store *s, const struct id *issue, uint64_t rev, const struct triage_note *n,
                 uint64_t *now, struct err *e)
{
    struct held h;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = check_note(s, n);
    }
    if (rc == 0) {
        rc = load(s, issue_num(issue), &h);
    }
    if (rc == 0) {
        rc = id_cmp(&h.is.id, issue) == 0 ? decide(s, &h, rev, n)
                                          : store_fail(s, ERR_NOT_FOUND, "no such issue");
        if (rc == 0 && now) {
            *now = h.is.rev;
        }
        held_done(&h);
    }
    return store_change_end(s, rc, e);
}

/* ---- what time brings ---- */

static int expire(struct store *s, int64_t num)
{
    struct held h;
    enum triage before;
    int rc = load(s, num, &h);

    if (rc != 0) {
        return rc;
    }
    before = h.is.force;
    h.is.force = TRIAGE_NONE;
    h.is.expires_us = 0;
    rc = decided(s, &h, before, true);
    held_done(&h);
    return rc;
}

int store_triage_expire(struct store *s, int64_t now_us, int64_t *next_us, struct err *e)
{
    int64_t nums[BATCH];
    uint32_t n = 0;
    int64_t next = 0;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = s->ops->issue_due(s, now_us, BATCH, nums, &n);
    }
    if (rc == 0 && n > 0) {
        rc = store_begin(s);
    }
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        rc = expire(s, nums[i]);
    }
    if (rc == 0) {
        rc = s->ops->issue_due_next(s, &next);
    }
    if (rc == 0 && next_us) {
        *next_us = next;
    }
    return store_change_end(s, rc, e);
}

/* ---- repositories ---- */

struct repos {
    repo_row_fn fn;
    void *arg;
    struct err *e;
    uint32_t left;
    bool full;
};

static int on_line(void *arg, const struct line *l)
{
    struct repos *rs = arg;
    struct repo_row r = {.url = l->url,
                         .branch = l->branch,
                         .subdir = l->subdir,
                         .cursor = l->key,
                         .open = l->open,
                         .open_counting = spread_sum(&l->counting, NULL),
                         .last_job = l->last_job,
                         .last_us = l->last_us};

    if (l->jobs == 0 && l->open == 0) {
        return 0;
    }
    if (rs->left == 0) {
        rs->full = true;
        return 1;
    }
    rs->left--;
    memcpy(r.level, l->level, sizeof r.level);
    return rs->fn(rs->arg, &r, rs->e);
}

int store_repos(struct store *s, const char *after, uint32_t limit, repo_row_fn fn, void *arg,
                struct err *e)
{
    struct repos rs = {fn, arg, &s->err, limit == 0 || limit > BATCH ? BATCH : limit, false};
    int rc = s->ops->lines(s, after ? after : "", on_line, &rs);

    return store_read_end(s, rs.full ? 0 : rc, e);
}
