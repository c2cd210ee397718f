#include "report/html_chart.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/escape.h"

/* ---- names ---- */

enum { SLOTS = CHART_NAMES * 2 };

struct name {
    char text[CHART_NAME];
    uint64_t n;
};

struct chart_names {
    struct name names[CHART_NAMES];
    size_t used;
    uint16_t slots[SLOTS]; /* index into names + 1; 0 free */
};

struct chart_names *chart_names_new(void)
{
    return xcalloc(1, sizeof(struct chart_names));
}

void chart_names_free(struct chart_names *c)
{
    free(c);
}

static size_t hash(const char *s)
{
    uint32_t h = 2166136261u;

    for (; *s; s++) {
        h = (h ^ (unsigned char)*s) * 16777619u;
    }
    return h % SLOTS;
}

/* The slot of a name, or the free one where it would be. */
static size_t slot_of(const struct chart_names *c, const char *text)
{
    size_t i = hash(text);

    while (c->slots[i] && strcmp(c->names[c->slots[i] - 1].text, text) != 0) {
        i = (i + 1) % SLOTS;
    }
    return i;
}

static void slots_rebuild(struct chart_names *c)
{
    memset(c->slots, 0, sizeof c->slots);
    for (size_t i = 0; i < c->used; i++) {
        c->slots[slot_of(c, c->names[i].text)] = (uint16_t)(i + 1);
    }
}

static int by_count(const void *a, const void *b)
{
    const struct name *x = a;
    const struct name *y = b;

    return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->text, y->text);
}

/* Full: the rarer half gives way at once, so that this costs nothing for each name. What comes
 * next starts with the greatest count that was thrown out. */
static uint64_t make_room(struct chart_names *c)
{
    uint64_t least;

    qsort(c->names, c->used, sizeof *c->names, by_count);
    c->used /= 2;
    least = c->names[c->used].n;
    slots_rebuild(c);
    return least;
}

void chart_names_count(struct chart_names *c, const char *name)
{
    char text[CHART_NAME];
    uint64_t least = 0;
    size_t slot;

    snprintf(text, sizeof text, "%s", name);
    slot = slot_of(c, text);
    if (c->slots[slot]) {
        c->names[c->slots[slot] - 1].n++;
        return;
    }
    if (c->used == CHART_NAMES) {
        least = make_room(c);
        slot = slot_of(c, text);
    }
    memcpy(c->names[c->used].text, text, sizeof text);
    c->names[c->used].n = least + 1;
    c->slots[slot] = (uint16_t)++c->used;
}

/* ---- the greatest ones ---- */

static size_t insert(struct chart_bar *bars, size_t n, const char *label, uint64_t count)
{
    size_t at = n;

    while (at > 0 && bars[at - 1].n < count) {
        at--;
    }
    if (at == CHART_BARS) {
        return n;
    }
    n = MIN(n + 1, CHART_BARS);
    memmove(&bars[at + 1], &bars[at], (n - at - 1) * sizeof *bars);
    snprintf(bars[at].label, sizeof bars[at].label, "%s", label);
    bars[at].n = count;
    return n;
}

size_t chart_names_top(const struct chart_names *c, struct chart_bar out[CHART_BARS])
{
    size_t n = 0;

    for (size_t i = 0; i < c->used; i++) {
        n = insert(out, n, c->names[i].text, c->names[i].n);
    }
    return n;
}

size_t chart_ports_top(const uint32_t *counts, const char *protocol,
                       struct chart_bar out[CHART_BARS])
{
    size_t n = 0;
    char label[CHART_NAME];

    for (unsigned port = 0; port <= UINT16_MAX; port++) {
        if (counts[port] && (n < CHART_BARS || counts[port] > out[n - 1].n)) {
            snprintf(label, sizeof label, "%u/%s", port, protocol);
            n = insert(out, n, label, counts[port]);
        }
    }
    return n;
}

size_t chart_join(struct chart_bar a[CHART_BARS], size_t n, const struct chart_bar *b, size_t m)
{
    for (size_t i = 0; i < m; i++) {
        n = insert(a, n, b[i].label, b[i].n);
    }
    return n;
}

/* ---- drawing ---- */

enum { WIDTH = 640, LEFT = 180, RIGHT = 90, ROW = 26 };

static void draw_bar(struct buf *out, const struct chart_bar *bar, size_t i, uint64_t greatest)
{
    uint64_t wide = (WIDTH - LEFT - RIGHT) * bar->n / (greatest ? greatest : 1);
    unsigned y = (unsigned)i * ROW;

    wide = MAX(wide, bar->n ? 2 : 0);
    buf_addf(out, "<text class=\"l\" x=\"%d\" y=\"%u\">", LEFT - 8, y + 17);
    html_add(out, bar->label);
    buf_addf(out,
             "</text><rect x=\"%d\" y=\"%u\" width=\"%" PRIu64 "\" height=\"18\" rx=\"2\"/>"
             "<text x=\"%" PRIu64 "\" y=\"%u\">%" PRIu64 "</text>\n",
             LEFT, y + 4, wide, LEFT + wide + 6, y + 17, bar->n);
}

void chart_draw(struct buf *out, const char *id, const char *title, const char *what,
                const struct chart_bar *bars, size_t n)
{
    buf_addf(out, "<section aria-labelledby=\"%s\"><h3 id=\"%s\">%s</h3>\n", id, id, title);
    if (n == 0) {
        buf_adds(out, "<p>None.</p></section>\n");
        return;
    }
    buf_addf(out,
             "<svg viewBox=\"0 0 %d %zu\" role=\"img\" aria-label=\"%s: bars, the table below has "
             "the same figures\">\n",
             WIDTH, n * ROW, title);
    for (size_t i = 0; i < n; i++) {
        uint64_t greatest = 0;

        for (size_t k = 0; k < n; k++) {
            greatest = MAX(greatest, bars[k].n);
        }
        draw_bar(out, &bars[i], i, greatest);
    }
    buf_addf(out,
             "</svg>\n<details><summary>As a table</summary><table><caption>%s</caption>\n"
             "<thead><tr><th scope=\"col\">%s</th><th scope=\"col\">Count</th></tr></thead>"
             "<tbody>\n",
             title, what);
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, "<tr><th scope=\"row\">");
        html_add(out, bars[i].label);
        buf_addf(out, "</th><td>%" PRIu64 "</td></tr>\n", bars[i].n);
    }
    buf_adds(out, "</tbody></table></details></section>\n");
}
