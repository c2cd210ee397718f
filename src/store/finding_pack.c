/*
 * Findings and figures as bytes. A string is its length, its bytes and a NUL, so that unpacking
 * copies nothing; numbers have 32 bits. Read back with every length checked: the bytes come from a
 * file.
 */
#include <string.h>

#include "base/mem.h"
#include "store/finding.h"

static const uint32_t none = UINT32_MAX;

static void put_int(struct buf *b, int64_t v)
{
    int32_t n = (int32_t)v;

    buf_add(b, &n, sizeof n);
}

static void put_text(struct buf *b, const char *s)
{
    uint32_t n = s ? (uint32_t)strlen(s) : none;

    buf_add(b, &n, sizeof n);
    if (s) {
        buf_add(b, s, (size_t)n + 1);
    }
}

struct reader {
    const char *p;
    size_t n;
    bool bad;
};

static int32_t get_int(struct reader *r)
{
    int32_t v = 0;

    if (r->n < sizeof v) {
        r->bad = true;
        return 0;
    }
    memcpy(&v, r->p, sizeof v);
    r->p += sizeof v;
    r->n -= sizeof v;
    return v;
}

static const char *get_text(struct reader *r)
{
    uint32_t n = (uint32_t)get_int(r);
    const char *s = r->p;

    if (r->bad || n == none) {
        return NULL;
    }
    if (n >= r->n || s[n] != '\0') {
        r->bad = true;
        return NULL;
    }
    r->p += (size_t)n + 1;
    r->n -= (size_t)n + 1;
    return s;
}

/* How many follow. */
static uint32_t get_count(struct reader *r, uint32_t max)
{
    int32_t n = get_int(r);

    if (n < 0 || (uint32_t)n > max) {
        r->bad = true;
        return 0;
    }
    return (uint32_t)n;
}

/* ---- findings ---- */

static void put_place(struct buf *b, const struct finding_place *p)
{
    put_text(b, p->path);
    put_int(b, p->line);
    put_int(b, p->column);
    put_int(b, p->end_line);
    put_int(b, p->end_column);
    put_text(b, p->message);
}

static void get_place(struct reader *r, struct finding_place *p)
{
    p->path = get_text(r);
    p->line = get_int(r);
    p->column = get_int(r);
    p->end_line = get_int(r);
    p->end_column = get_int(r);
    p->message = get_text(r);
}

static void put_lists(struct buf *b, const struct finding *f)
{
    put_int(b, f->n_cwe);
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        put_int(b, f->cwe[i]);
    }
    put_int(b, f->n_engines);
    for (uint32_t i = 0; i < f->n_engines; i++) {
        put_text(b, f->engines[i].name);
        put_text(b, f->engines[i].version);
        put_text(b, f->engines[i].rule);
        put_text(b, f->engines[i].severity);
        put_int(b, f->engines[i].confidence_x100);
    }
    put_int(b, f->n_related);
    for (uint32_t i = 0; i < f->n_related; i++) {
        put_place(b, &f->related[i]);
    }
}

static void get_lists(struct reader *r, struct finding *f)
{
    f->n_cwe = get_count(r, FINDING_CWES);
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        f->cwe[i] = get_int(r);
    }
    f->n_engines = get_count(r, FINDING_ENGINES);
    for (uint32_t i = 0; i < f->n_engines; i++) {
        f->engines[i].name = get_text(r);
        f->engines[i].version = get_text(r);
        f->engines[i].rule = get_text(r);
        f->engines[i].severity = get_text(r);
        f->engines[i].confidence_x100 = get_int(r);
    }
    f->n_related = get_count(r, FINDING_RELATED);
    for (uint32_t i = 0; i < f->n_related; i++) {
        get_place(r, &f->related[i]);
    }
}

void finding_pack(const struct finding *f, struct buf *out)
{
    put_text(out, f->rule);
    put_text(out, f->title);
    put_text(out, f->message);
    put_text(out, f->recommendation);
    put_int(out, f->severity);
    put_int(out, f->confidence_x100);
    put_place(out, &f->at);
    put_text(out, f->function);
    put_text(out, f->line);
    put_text(out, f->snippet);
    put_int(out, f->snippet_line);
    put_int(out, f->verified);
    put_text(out, f->marked);
    put_text(out, f->secret);
    put_lists(out, f);
    buf_add(out, &f->identity, sizeof f->identity);
}

bool finding_unpack(const char *p, size_t n, struct finding *f)
{
    struct reader r = {p, n, false};

    *f = (struct finding){0};
    f->rule = get_text(&r);
    f->title = get_text(&r);
    f->message = get_text(&r);
    f->recommendation = get_text(&r);
    f->severity = (enum severity)get_count(&r, SEVERITIES - 1);
    f->confidence_x100 = get_int(&r);
    get_place(&r, &f->at);
    f->function = get_text(&r);
    f->line = get_text(&r);
    f->snippet = get_text(&r);
    f->snippet_line = get_int(&r);
    f->verified = get_int(&r) != 0;
    f->marked = get_text(&r);
    f->secret = get_text(&r);
    get_lists(&r, f);
    if (r.n != sizeof f->identity) {
        return false;
    }
    memcpy(&f->identity, r.p, sizeof f->identity);
    f->identity.primary[PRINT_TEXT - 1] = f->identity.moved[PRINT_TEXT - 1] = '\0';
    f->identity.around[PRINT_TEXT - 1] = '\0';
    f->identity.github[sizeof f->identity.github - 1] = '\0';
    return !r.bad && f->rule && f->title && f->at.path;
}

/* ---- figures ---- */

void spread_pack(const struct spread *sp, struct buf *out)
{
    for (int sev = 0; sev < SEVERITIES; sev++) {
        for (int c = 0; c < CONFIDENCES; c++) {
            if (sp->n[sev][c]) {
                put_int(out, sev * CONFIDENCES + c);
                put_int(out, sp->n[sev][c]);
            }
        }
    }
}

static void get_spread(struct reader *r, struct spread *sp)
{
    memset(sp, 0, sizeof *sp);
    while (r->n > 0 && !r->bad) {
        uint32_t at = get_count(r, SEVERITIES * CONFIDENCES - 1);
        uint32_t n = (uint32_t)get_int(r);

        if (!r->bad) {
            sp->n[at / CONFIDENCES][at % CONFIDENCES] = n;
        }
    }
}

void spread_unpack(const void *p, size_t n, struct spread *sp)
{
    struct reader r = {p, n, false};

    get_spread(&r, sp);
}

void figures_pack(const struct figures *f, struct buf *out)
{
    buf_add(out, f->life, sizeof f->life);
    buf_add(out, f->by_life, sizeof f->by_life);
    put_int(out, f->triaged);
    spread_pack(&f->counting, out);
}

void figures_unpack(const void *p, size_t n, struct figures *f)
{
    const size_t fixed = sizeof f->life + sizeof f->by_life;
    struct reader r = {p, n, false};

    memset(f, 0, sizeof *f);
    if (n < fixed) {
        return;
    }
    memcpy(f->life, r.p, sizeof f->life);
    memcpy(f->by_life, r.p + sizeof f->life, sizeof f->by_life);
    r.p += fixed;
    r.n -= fixed;
    f->triaged = (uint32_t)get_int(&r);
    get_spread(&r, &f->counting);
}
