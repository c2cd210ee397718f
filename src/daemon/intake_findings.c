#include "daemon/intake_findings.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "store/findings.h"

enum { HEAD_ROOM = 4 << 10, TEXT_MAX = 300, PAGE = 200 };

struct rows {
    struct buf list; /* items of "findings" */
    size_t room;
    int64_t last;
    uint32_t n; /* of this page */
    bool full;
};

/* At most TEXT_MAX bytes of it, whole characters. */
static void put_text(struct json *j, const char *key, const char *s)
{
    size_t n = s ? strlen(s) : 0;

    if (n > TEXT_MAX) {
        n = TEXT_MAX;
        while (n > 0 && !utf8_valid(s, n)) {
            n--;
        }
    }
    json_strn(j, key, s ? s : "", n);
}

static int put_row(void *arg, const struct finding_row *row, struct err *e)
{
    static const struct id nothing;
    struct rows *x = arg;
    const struct finding *f = row->f;
    auto_buf one = {0};
    struct json j = json_to(&one);
    char id[ID_TEXT + 1];

    (void)e;
    x->last = row->seq;
    x->n++;
    json_obj(&j);
    if (id_cmp(&row->issue, &nothing) != 0) {
        id_text(&row->issue, id);
        json_str(&j, "id", id);
    } else {
        json_nil(&j, "id");
    }
    json_str(&j, "state", finding_life_name(row->life));
    json_bool(&j, "counts", row->counts);
    json_str(&j, "rule", f->rule);
    json_str(&j, "severity", severity_name(f->severity));
    put_text(&j, "title", f->title);
    put_text(&j, "message", f->message);
    json_str(&j, "path", f->at.path);
    json_int(&j, "line", f->at.line);
    json_arr_in(&j, "cwe");
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        json_int(&j, NULL, f->cwe[i]);
    }
    json_end(&j);
    json_end(&j);
    if (x->list.len + one.len + 1 > x->room) {
        x->full = true;
        return 1;
    }
    buf_adds(&x->list, x->list.len ? "," : "");
    buf_add(&x->list, one.data, one.len);
    return 0;
}

static int read_rows(struct store *s, int64_t job_num, struct rows *x, struct err *e)
{
    struct finding_filter f = {.triage = -1, .counts = -1, .open = -1, .limit = PAGE};
    int rc = 0;

    do {
        x->n = 0;
        f.after = x->last;
        rc = store_findings(s, job_num, &f, put_row, x, e);
    } while (rc == 0 && x->n == PAGE);
    return rc < 0 ? rc : 0;
}

static void write_head(struct json *j, const struct job *job, const struct repo_scan *scan)
{
    char id[ID_TEXT + 1];
    auto_free char *path = NULL;

    id_text(&job->id, id);
    path = str_fmt("/api/v1/repo-scans/%s", id);
    json_str(j, "repository", scan->url);
    json_str(j, "branch", scan->branch);
    json_str(j, "commit", scan->commit);
    json_bool(j, "complete", scan->complete);
    json_str(j, "risk_level", scan->level);
    json_num(j, "risk_score", scan->score_x10 / 10.0, 1);
    json_obj_in(j, "counts");
    for (int i = SEVERITIES - 1; i >= 0; i--) {
        json_int(j, severity_name((enum severity)i), scan->counts[i]);
    }
    json_end(j);
    json_obj_in(j, "states");
    for (int i = 0; i < LIFES; i++) {
        json_int(j, finding_life_name((enum finding_life)i), scan->life[i]);
    }
    json_end(j);
    json_int(j, "findings_total",
             scan->life[LIFE_NEW] + scan->life[LIFE_UNCHANGED] + scan->life[LIFE_UPDATED] +
                 scan->life[LIFE_REOPENED]);
    json_str(j, "scan_path", path);
}

int intake_findings_write(struct store *s, const struct job *job, size_t room, struct buf *out,
                          struct err *e)
{
    struct rows x = {.room = room > HEAD_ROOM ? room - HEAD_ROOM : 0};
    struct json j = json_to(out);
    struct repo_scan scan = {0};
    int rc = store_repo_scan(s, job->num, &scan, e);

    if (rc == ERR_NOT_FOUND) {
        return 0;
    }
    rc = rc ? rc : read_rows(s, job->num, &x, e);
    if (rc == 0) {
        json_obj(&j);
        write_head(&j, job, &scan);
        json_bool(&j, "truncated", x.full);
        json_arr_in(&j, "findings");
        if (x.list.len) {
            buf_add(out, x.list.data, x.list.len);
        }
        json_end(&j);
        json_end(&j);
    }
    buf_done(&x.list);
    repo_scan_done(&scan);
    return rc;
}
