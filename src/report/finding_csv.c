/* One line a finding, by RFC 4180. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "report/escape.h"
#include "report/finding_facts.h"
#include "report/finding_formats.h"

struct csv {
    struct buf *out;
    struct buf scratch;
};

static void *csv_new(const struct job *job, const struct repo_scan *scan, struct buf *out)
{
    struct csv *w = xcalloc(1, sizeof *w);

    (void)job;
    (void)scan;
    w->out = out;
    return w;
}

static void csv_done(void *arg)
{
    struct csv *w = arg;

    buf_done(&w->scratch);
    free(w);
}

static int csv_begin(void *arg, struct err *e)
{
    struct csv *w = arg;

    (void)e;
    buf_adds(w->out, "severity,confidence,state,counts,rule,title,path,line,column,end_line,"
                     "end_column,function,cwe,engines,verified,message,recommendation,line_text,"
                     "marked,secret,triage,triage_reason,triage_by,triage_until,first_seen_at,"
                     "last_seen_at,id,fingerprint\r\n");
    return 0;
}

static void field(struct buf *b, const char *s)
{
    if (s) {
        csv_add(b, s, strlen(s));
    }
    buf_addc(b, ',');
}

static void number(struct buf *b, int32_t n)
{
    if (n > 0) {
        buf_addu(b, (uint64_t)n);
    }
    buf_addc(b, ',');
}

static void when(struct buf *b, int64_t us)
{
    char text[RFC3339_LEN + 1] = "";

    if (us) {
        rfc3339_us(us, text);
    }
    field(b, text);
}

static void add_lists(struct csv *w, const struct finding *f)
{
    buf_reset(&w->scratch);
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        buf_addf(&w->scratch, "%sCWE-%d", i ? " " : "", f->cwe[i]);
    }
    field(w->out, w->scratch.len ? w->scratch.data : NULL);
    buf_reset(&w->scratch);
    for (uint32_t i = 0; i < f->n_engines; i++) {
        buf_addf(&w->scratch, "%s%s%s%s", i ? " " : "", f->engines[i].name,
                 f->engines[i].rule ? ":" : "", f->engines[i].rule ? f->engines[i].rule : "");
    }
    field(w->out, w->scratch.len ? w->scratch.data : NULL);
}

static void add_triage(struct buf *b, const struct triage_note *t)
{
    bool some = t->state != TRIAGE_NONE;

    field(b, triage_name(t->state));
    field(b, some ? t->reason : NULL);
    field(b, some ? t->by : NULL);
    when(b, some ? t->until_us : 0);
}

static int csv_row(void *arg, const struct finding_row *row, struct err *e)
{
    struct csv *w = arg;
    const struct finding *f = row->f;
    char id[ID_TEXT + 1];

    (void)e;
    field(w->out, severity_name(f->severity));
    buf_addf(w->out, "%.2f,", f->confidence_x100 / 100.0);
    field(w->out, finding_life_name(row->life));
    field(w->out, row->counts ? "true" : "false");
    field(w->out, f->rule);
    field(w->out, f->title);
    field(w->out, f->at.path);
    number(w->out, f->at.line);
    number(w->out, f->at.column);
    number(w->out, f->at.end_line);
    number(w->out, f->at.end_column);
    field(w->out, f->function);
    add_lists(w, f);
    field(w->out, f->verified ? "true" : "false");
    field(w->out, f->message);
    field(w->out, f->recommendation);
    field(w->out, f->line);
    field(w->out, f->marked);
    field(w->out, f->secret);
    add_triage(w->out, &row->triage);
    when(w->out, row->first_us);
    when(w->out, row->last_us);
    id_text(&row->issue, id);
    field(w->out, id_is_zero(&row->issue) ? NULL : id);
    csv_add(w->out, f->identity.primary, strlen(f->identity.primary));
    buf_adds(w->out, "\r\n");
    return 0;
}

static int csv_end(void *arg, struct err *e)
{
    (void)arg;
    (void)e;
    return 0;
}

const struct findings_format findings_csv = {
    .name = "csv",
    .media_type = "text/csv; charset=utf-8; header=present",
    .suffix = ".csv",
    .help = "one line a finding, without formulas",
    .new = csv_new,
    .begin = csv_begin,
    .row = csv_row,
    .end = csv_end,
    .done = csv_done,
};
