/* What lists filter findings by, and what is counted of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assess/merge.h"
#include "base/mem.h"
#include "store/finding.h"

/* ---- heads ---- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Zeros unless all of it is hex. */
static void print_bytes(const char text[PRINT_TEXT], uint8_t out[PRINT_LEN])
{
    memset(out, 0, PRINT_LEN);
    for (int i = 0; i < PRINT_LEN; i++) {
        int hi = text[2 * i] ? digit(text[2 * i]) : -1;
        int lo = hi >= 0 ? digit(text[2 * i + 1]) : -1;

        if (lo < 0) {
            memset(out, 0, PRINT_LEN);
            return;
        }
        out[i] = (uint8_t)(hi << 4 | lo);
    }
}

static void print_text(const uint8_t in[PRINT_LEN], char out[PRINT_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t any = 0;

    for (int i = 0; i < PRINT_LEN; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
        any |= in[i];
    }
    out[any ? PRINT_TEXT - 1 : 0] = '\0';
}

void prints_of(const struct finding_identity *id, uint8_t out[PRINTS_LEN])
{
    print_bytes(id->primary, out);
    print_bytes(id->moved, out + PRINT_LEN);
    print_bytes(id->around, out + 2 * PRINT_LEN);
}

void prints_text(const uint8_t prints[PRINTS_LEN], struct finding_identity *out)
{
    print_text(prints, out->primary);
    print_text(prints + PRINT_LEN, out->moved);
    print_text(prints + 2 * PRINT_LEN, out->around);
    out->github[0] = '\0';
}

void head_of(const struct finding *f, struct buf *engines, struct buf *cwes,
             struct finding_head *out)
{
    buf_reset(engines);
    buf_reset(cwes);
    for (uint32_t i = 0; i < f->n_engines; i++) {
        buf_adds(engines, f->engines[i].name);
        buf_addc(engines, '\n');
    }
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        buf_addf(cwes, "%d ", f->cwe[i]);
    }
    *out = (struct finding_head){
        .severity = f->severity,
        .confidence_x100 = f->confidence_x100,
        .line = f->at.line,
        .rule = f->rule,
        .path = f->at.path,
        .text = f->line,
        .engines = engines->len ? engines->data : "",
        .cwes = cwes->len ? cwes->data : "",
    };
    prints_of(&f->identity, out->prints);
}

/* ---- filters ---- */

bool list_has(const char *list, char end, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = list; *p;) {
        const char *stop = strchr(p, end);

        if (!stop) {
            return false;
        }
        if ((size_t)(stop - p) == n && memcmp(p, word, n) == 0) {
            return true;
        }
        p = stop + 1;
    }
    return false;
}

static bool in_path(const char *path, const char *wanted)
{
    size_t n = strlen(wanted);

    return n > 0 && wanted[n - 1] == '/' ? strncmp(path, wanted, n) == 0
                                         : strcmp(path, wanted) == 0;
}

bool head_passes(const struct finding_head *h, const struct finding_filter *f)
{
    char cwe[16];

    if ((int)h->severity < f->severity_min || (f->rule && strcmp(h->rule, f->rule) != 0) ||
        (f->path && !in_path(h->path, f->path)) ||
        (f->engine && !list_has(h->engines, '\n', f->engine))) {
        return false;
    }
    if (f->cwe == 0) {
        return true;
    }
    snprintf(cwe, sizeof cwe, "%d", f->cwe);
    return list_has(h->cwes, ' ', cwe);
}

bool text_passes(const struct finding *f, const struct finding_filter *filter)
{
    return !filter->text || !*filter->text || strcasestr(f->title, filter->text) ||
           (f->message && strcasestr(f->message, filter->text)) ||
           strcasestr(f->at.path, filter->text);
}

/* ---- figures ---- */

bool triage_away(enum triage force)
{
    return force == TRIAGE_FALSE_POSITIVE || force == TRIAGE_ACCEPTED_RISK;
}

static uint32_t *cell_of(struct spread *sp, const struct finding_head *h)
{
    return &sp->n[h->severity][MIN(MAX(h->confidence_x100, 0), CONFIDENCES - 1)];
}

void spread_add(struct spread *sp, const struct finding_head *h)
{
    ++*cell_of(sp, h);
}

void spread_take(struct spread *sp, const struct finding_head *h)
{
    uint32_t *n = cell_of(sp, h);

    *n -= *n > 0;
}

void figures_report(struct figures *f, const struct finding_head *h, enum finding_life l, bool away)
{
    f->life[l]++;
    if (away) {
        f->triaged++;
    } else {
        f->by_life[h->severity][l]++;
        spread_add(&f->counting, h);
    }
}

void figures_absent(struct figures *f, enum severity sev, enum finding_life l, bool away)
{
    f->life[l]++;
    f->by_life[sev][l] += !away;
}

void figures_recount(struct figures *f, const struct finding_head *h, enum finding_life l,
                     bool away)
{
    uint32_t *n = &f->by_life[h->severity][l];

    if (away) {
        f->triaged++;
        *n -= *n > 0;
        spread_take(&f->counting, h);
    } else {
        f->triaged -= f->triaged > 0;
        ++*n;
        spread_add(&f->counting, h);
    }
}

int64_t spread_sum(const struct spread *sp, int64_t by[SEVERITIES])
{
    int64_t sum = 0;

    for (int sev = 0; sev < SEVERITIES; sev++) {
        int64_t n = 0;

        for (int c = 0; c < CONFIDENCES; c++) {
            n += sp->n[sev][c];
        }
        if (by) {
            by[sev] = n;
        }
        sum += n;
    }
    return sum;
}

/* Always in the same order: what was counted step by step is what is counted anew. */
void spread_level(const struct spread *sp, bool complete, char level[16], int32_t *score_x10)
{
    struct risk r;

    risk_init(&r);
    for (int sev = SEVERITIES - 1; sev >= 0; sev--) {
        for (int c = CONFIDENCES - 1; c >= 0; c--) {
            for (uint32_t i = 0; i < sp->n[sev][c]; i++) {
                risk_add(&r, (enum severity)sev, c);
            }
        }
    }
    snprintf(level, 16, "%s", risk_level(&r, complete));
    if (score_x10) {
        *score_x10 = (int32_t)(risk_score(&r) * 10 + 0.5);
    }
}
