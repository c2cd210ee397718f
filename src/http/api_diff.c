/*
 * GET /api/v1/diff: what changed between two results.
 */
#include <stdio.h>

#include "base/mem.h"
#include "http/api_pump.h"
#include "report/diff.h"

enum { STEP_ROWS = 2048 };

enum form { FORM_JSON, FORM_LINES, FORM_TEXT };

struct difference {
    struct pump pump;
    struct diff *diff;
    enum form form;
    bool begun, any;
    char a[ID_TEXT + 1], b[ID_TEXT + 1];
};

static int on_item(void *arg, const struct diff_item *it, struct err *e)
{
    struct difference *d = arg;
    struct buf *out = &d->pump.text;

    if (d->form == FORM_TEXT) {
        diff_item_text(it, out); /* with its line end */
    } else {
        buf_adds(out, d->form == FORM_JSON && d->any ? "," : "");
        diff_item_json(it, out);
    }
    buf_adds(out, d->form == FORM_LINES ? "\n" : "");
    d->any = true;
    return 0;
}

static void text_end(const struct diff_counts *c, struct buf *out)
{
    const char *sep = "";

    buf_adds(out, "# ");
    for (int k = 0; k < DIFF_KINDS; k++) {
        if (c->n[k]) {
            buf_addf(out, "%s%s %lld", sep, diff_kind_name((enum diff_kind)k), (long long)c->n[k]);
            sep = ", ";
        }
    }
    buf_addf(out, "%ssame: %lld hosts, %lld ports\n", sep, (long long)c->hosts_same,
             (long long)c->ports_same);
}

static void difference_end(struct difference *d)
{
    const struct diff_counts *c = diff_counts(d->diff);
    struct buf *out = &d->pump.text;

    if (d->form == FORM_TEXT) {
        text_end(c, out);
        return;
    }
    buf_adds(out, d->form == FORM_JSON ? "],\"counts\":" : "{\"counts\":");
    diff_counts_json(c, out);
    buf_adds(out, d->form == FORM_JSON ? "}" : "}\n");
}

static int difference_step(struct pump *p, struct err *e)
{
    struct difference *d = container_of(p, struct difference, pump);
    bool more = false;
    int rc;

    if (!d->begun && d->form == FORM_JSON) {
        buf_addf(&p->text, "{\"a\":\"%s\",\"b\":\"%s\",\"items\":[", d->a, d->b);
    }
    d->begun = true;
    rc = diff_step(d->diff, STEP_ROWS, on_item, d, &more, e);
    if (rc != 0) {
        return rc < 0 ? rc : err_set(e, ERR_INTERNAL, "the comparison stopped");
    }
    if (!more) {
        difference_end(d);
    }
    return more;
}

static void difference_free(struct pump *p)
{
    struct difference *d = container_of(p, struct difference, pump);

    diff_free(d->diff);
    free(d);
}

/* ---- the request ---- */

/* One of the two jobs; false: told in p, or answered (*answered). */
static bool side(struct api *a, struct http_req *r, const char *name, struct job *out,
                 struct problems *p)
{
    const char *text = http_query(r, name);
    auto_free char *pointer = str_fmt("?%s", name);
    struct id id;

    if (!text) {
        problem_add(p, pointer, "is required: the id of a job");
    } else if (!id_parse(text, &id) || store_job_get(a->store, &id, out, NULL) < 0) {
        problem_add(p, pointer, "there is no such job");
    } else if (out->repo) {
        problem_add(p, pointer,
                    "is a scan of a repository, which has no hosts: its findings say "
                    "what is new; another scan to compare with is its 'baseline'");
    } else if (!job_state_terminal(out->state)) {
        problem_add(p, pointer, "the job is still %s", job_state_name(out->state));
    } else {
        return true;
    }
    return false;
}

static bool form_of(struct http_req *r, enum form *out, struct problems *p)
{
    static const char *const names[] = {
        [FORM_JSON] = "json", [FORM_LINES] = "ndjson", [FORM_TEXT] = "text"};
    const char *format = http_query(r, "format");

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq(names[i], format ? format : "json")) {
            *out = (enum form)i;
            return true;
        }
    }
    problem_add(p, "?format", "must be json, ndjson or text");
    return false;
}

static void compare(struct api *a, struct http_req *r, const struct job *x, const struct job *y,
                    enum form form)
{
    static const char *const types[] = {[FORM_JSON] = "application/json",
                                        [FORM_LINES] = "application/x-ndjson",
                                        [FORM_TEXT] = "text/plain; charset=utf-8"};
    auto_free char *etag = str_fmt("\"r%llu-r%llu-%d\"", (unsigned long long)x->rev,
                                   (unsigned long long)y->rev, (int)form);
    struct difference *d;
    struct diff *diff = NULL;
    struct err e = {0};

    if (etag_matches(http_header(r, "If-None-Match"), etag)) {
        http_add_header(r, "ETag", etag);
        http_reply(r, 304, NULL, NULL, 0);
        return;
    }
    if (diff_new(a->store, x->num, y->num, &diff, &e) < 0) {
        api_fail(r, &e);
        return;
    }
    d = xcalloc(1, sizeof *d);
    d->pump.step = difference_step;
    d->pump.free = difference_free;
    d->diff = diff;
    d->form = form;
    id_text(&x->id, d->a);
    id_text(&y->id, d->b);
    http_add_header(r, "ETag", etag);
    http_add_header(r, "X-Content-Type-Options", "nosniff");
    pump_reply(a, r, types[form], &d->pump);
}

void v1_diff(struct http_req *r, void *app)
{
    static const char *const known[] = {"a", "b", "format", NULL};
    struct api *a = app;
    struct problems p = {0};
    struct job x, y;
    enum form form = FORM_JSON;

    if (!api_query_known(r, known)) {
        return;
    }
    job_init(&x);
    job_init(&y);
    form_of(r, &form, &p);
    side(a, r, "a", &x, &p);
    side(a, r, "b", &y, &p);
    if (p.n) {
        problems_reply(r, &p);
    } else {
        compare(a, r, &x, &y, form);
    }
    job_done(&x);
    job_done(&y);
}
