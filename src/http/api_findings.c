/*
 * Findings of one repository scan, and those of all repositories with what people decided about
 * them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/api_repo.h"
#include "http/api_v1.h"
#include "report/finding_facts.h"

enum { REASON_MAX = 1024 };

void view_finding(struct json *j, const struct finding_row *row)
{
    json_obj(j);
    finding_row_members(row, j);
    json_end(j);
}

/* ---- lists ---- */

static void read_words(struct http_req *r, struct problems *p, struct finding_filter *f)
{
    const char *severity = http_query(r, "severity"), *state = http_query(r, "state");
    const char *triage = http_query(r, "triage"), *counts = http_query(r, "counts");
    const char *open = http_query(r, "open");
    enum severity s = SEVERITY_INFO;
    enum finding_life l;
    enum triage t;

    if (severity && !severity_parse(severity, &s)) {
        problem_add(p, "?severity", "must be info, low, medium, high or critical");
    }
    f->severity_min = (int)s;
    for (const char *at = state; at && *at;) {
        size_t n = strcspn(at, ",");
        auto_free char *word = xstrndup(at, n);

        if (!finding_life_parse(word, &l)) {
            problem_add(p, "?state",
                        "must be new, unchanged, updated, reopened, fixed, unknown, by commas");
            break;
        }
        f->lives |= 1u << l;
        at += n + (at[n] == ',');
    }
    if (triage && !triage_parse(triage, &t)) {
        problem_add(p, "?triage", "must be open, acknowledged, false_positive or accepted_risk");
    } else if (triage) {
        f->triage = (int)t;
    }
    if ((counts && !str_eq(counts, "true") && !str_eq(counts, "false")) ||
        (open && !str_eq(open, "true") && !str_eq(open, "false"))) {
        problem_add(p, counts ? "?counts" : "?open", "must be true or false");
    }
    f->counts = counts ? str_eq(counts, "true") : -1;
    f->open = open ? str_eq(open, "true") : -1;
}

static bool read_filter(struct http_req *r, bool issues, struct finding_filter *f)
{
    static const char *const of_scan[] = {"limit",  "cursor", "severity", "state",
                                          "triage", "counts", "engine",   "rule",
                                          "path",   "cwe",    "text",     NULL};
    static const char *const of_all[] = {"limit", "cursor",     "severity", "triage", "counts",
                                         "open",  "repository", "branch",   "engine", "rule",
                                         "path",  "cwe",        "text",     NULL};
    const char *cursor = http_query(r, "cursor");
    int64_t limit = API_PAGE_DEFAULT, cwe = 0;
    struct problems p = {0};

    *f = (struct finding_filter){.triage = -1, .counts = -1, .open = -1};
    if (!api_query_known(r, issues ? of_all : of_scan) ||
        !api_query_int(r, "limit", 1, API_PAGE_MAX, &limit) ||
        !api_query_int(r, "cwe", 1, 99999, &cwe)) {
        return false;
    }
    if (cursor && !cursor_read(cursor, issues ? 'i' : 'f', &f->after)) {
        problem_add(&p, "?cursor", "is not a cursor of this list");
    }
    read_words(r, &p, f);
    f->limit = (uint32_t)limit;
    f->cwe = (int32_t)cwe;
    f->engine = http_query(r, "engine");
    f->rule = http_query(r, "rule");
    f->path = http_query(r, "path");
    f->text = http_query(r, "text");
    f->url = http_query(r, "repository");
    f->branch = http_query(r, "branch");
    if (p.n) {
        problems_reply(r, &p);
    }
    return p.n == 0;
}

struct page {
    struct json j;
    int64_t next; /* 0: it is the last one */
};

static int put_row(void *arg, const struct finding_row *row, struct err *e)
{
    struct page *pg = arg;

    (void)e;
    view_finding(&pg->j, row);
    return 0;
}

static void end_page(struct http_req *r, struct page *pg, char kind, int rc, const struct err *e)
{
    if (rc < 0) {
        buf_reset(pg->j.b);
        api_fail(r, e);
        return;
    }
    api_page_end(r, &pg->j, kind, pg->next, pg->next != 0);
    api_json_reply(r, 200);
}

void v1_repo_findings(struct http_req *r, void *app)
{
    struct api *a = app;
    struct finding_filter f;
    struct page pg = {0};
    struct err e = {0};
    struct job job;

    if (!read_filter(r, false, &f) || !api_repo_job_of(a, r, &job)) {
        return;
    }
    pg.j = json_to(http_out(r));
    json_obj(&pg.j);
    json_arr_in(&pg.j, "items");
    f.next = &pg.next;
    end_page(r, &pg, 'f', store_findings(a->store, job.num, &f, put_row, &pg, &e), &e);
    job_done(&job);
}

void v1_findings(struct http_req *r, void *app)
{
    struct api *a = app;
    struct finding_filter f;
    struct page pg = {0};
    struct err e = {0};

    if (!read_filter(r, true, &f)) {
        return;
    }
    pg.j = json_to(http_out(r));
    json_obj(&pg.j);
    json_arr_in(&pg.j, "items");
    f.next = &pg.next;
    end_page(r, &pg, 'i', store_issues(a->store, &f, put_row, &pg, &e), &e);
}

struct lines {
    struct buf text;
    int64_t last;
    uint32_t n;
};

static int put_line(void *arg, const struct finding_row *row, struct err *e)
{
    struct lines *l = arg;
    struct json j = json_to(&l->text);

    (void)e;
    view_finding(&j, row);
    buf_addc(&l->text, '\n');
    l->last = row->seq;
    l->n++;
    return 0;
}

int api_findings_json(struct store *st, int64_t job_num, api_bytes_fn fn, void *arg, struct err *e)
{
    struct finding_filter f = {.triage = -1, .counts = -1, .open = -1, .limit = API_PAGE_MAX};
    struct lines l = {0};
    int rc;

    do {
        l.n = 0;
        f.after = l.last;
        rc = store_findings(st, job_num, &f, put_line, &l, e);
        if (rc == 0 && l.text.len) {
            rc = fn(arg, l.text.data, l.text.len, e);
        }
        buf_reset(&l.text);
    } while (rc == 0 && l.n == API_PAGE_MAX);
    buf_done(&l.text);
    return rc;
}

/* ---- one ---- */

static int put_one(void *arg, const struct finding_row *row, struct err *e)
{
    struct http_req *r = arg;
    struct json j = json_to(http_out(r));
    char etag[32];

    (void)e;
    snprintf(etag, sizeof etag, "\"i%" PRIu64 "\"", row->rev);
    http_add_header(r, "ETag", etag);
    view_finding(&j, row);
    return 0;
}

static void not_there(struct http_req *r)
{
    api_error(r, ERR_NOT_FOUND, "there is no such finding");
}

static bool id_of(struct http_req *r, struct id *id)
{
    if (id_parse(http_param(r, "id"), id)) {
        return true;
    }
    not_there(r);
    return false;
}

static void one_reply(struct api *a, struct http_req *r, const struct id *id)
{
    struct err e = {0};

    int rc = store_issue(a->store, id, put_one, r, &e);

    if (rc == ERR_NOT_FOUND) {
        not_there(r);
    } else if (rc < 0) {
        api_fail(r, &e);
    } else {
        api_json_reply(r, 200);
    }
}

void v1_finding(struct http_req *r, void *app)
{
    static const char *const known[] = {NULL};
    struct id id;

    if (api_query_known(r, known) && id_of(r, &id)) {
        one_reply(app, r, &id);
    }
}

/* ---- triage ---- */

struct decision_read {
    struct triage_note note;
    uint64_t rev;
};

/* An If-Match of ours, "i7"; false: it is none. */
static bool read_match(const char *match, uint64_t *rev)
{
    auto_free char *digits = NULL;
    size_t n = match ? strlen(match) : 0;

    if (!match || str_eq(match, "*")) {
        return true;
    }
    if (n < 4 || match[0] != '"' || match[1] != 'i' || match[n - 1] != '"') {
        return false;
    }
    digits = xstrndup(match + 2, n - 3);
    return str_to_u64(digits, 1, UINT64_MAX, rev);
}

static void read_note(struct problems *p, json_t *body, struct decision_read *d)
{
    static const char *const members[] = {"state", "reason", "until", NULL};
    const char *state, *until;

    v1_refuse_unknown(p, body, members);
    state = member_text(p, body, "state");
    until = member_text(p, body, "until");
    d->note.reason = member_text(p, body, "reason");
    if (!state || !triage_parse(state, &d->note.state)) {
        problem_add(p, "/state", "must be open, acknowledged, false_positive or accepted_risk");
    }
    if (d->note.reason && strlen(d->note.reason) > REASON_MAX) {
        problem_add(p, "/reason", "must be at most %d bytes", REASON_MAX);
    }
    if (d->note.state >= TRIAGE_FALSE_POSITIVE && (!d->note.reason || !*d->note.reason)) {
        problem_add(p, "/reason", "is required for %s", triage_name(d->note.state));
    }
    if (until && (!rfc3339_parse(until, &d->note.until_us) || d->note.until_us <= d->note.at_us)) {
        problem_add(p, "/until", "must be a date or an RFC 3339 time to come");
    }
}

static void note_audit(struct api *a, struct http_req *r, const struct triage_note *t,
                       const struct id *id)
{
    char text[ID_TEXT + 1];
    struct audit_note n;

    id_text(id, text);
    audit_begin(&n, r);
    json_str(&n.j, "state", triage_name(t->state));
    json_str(&n.j, "reason", t->reason);
    json_time(&n.j, "until", t->until_us);
    audit_add(a, api_key(r), "finding.triage", text, &n);
}

static void decide(struct api *a, struct http_req *r, const struct id *id, json_t *body)
{
    const struct key *k = api_key(r);
    struct decision_read d = {.note = {.at_us = wall_us(),
                                       .by = *k->name ? k->name
                                             : *k->id ? k->id
                                                      : "config"}};
    struct problems p = {0};
    uint64_t now = 0;
    struct err e = {0};
    int rc;

    if (!read_match(http_header(r, "If-Match"), &d.rev)) {
        api_status(r, 412, "If-Match is not an ETag of a finding", NULL);
        return;
    }
    if (json_is_object(body)) {
        read_note(&p, body, &d);
    } else {
        problem_add(&p, "", "must be a JSON object");
    }
    if (p.n) {
        problems_reply(r, &p);
        return;
    }
    rc = store_triage(a->store, id, d.rev, &d.note, &now, &e);
    if (rc == ERR_CONFLICT) {
        api_status(r, 412, "the finding has changed meanwhile", "read it again");
    } else if (rc == ERR_NOT_FOUND) {
        not_there(r);
    } else if (rc < 0) {
        api_fail(r, &e);
    } else {
        note_audit(a, r, &d.note, id);
        one_reply(a, r, id);
    }
}

void v1_finding_triage(struct http_req *r, void *app)
{
    static const char *const known[] = {NULL};
    struct id id;
    json_t *body;

    if (!api_query_known(r, known) || !id_of(r, &id)) {
        return;
    }
    body = v1_body(r);
    if (body) {
        decide(app, r, &id, body);
        json_decref(body);
    }
}
