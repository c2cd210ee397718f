#include "cli/table.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum { GAP = 2, LAST_MIN = 8 };

static void pad(struct buf *b, size_t n)
{
    while (n--) {
        buf_addc(b, ' ');
    }
}

/* The last column: nothing after it, cut where the terminal ends. */
static void add_last(const struct table *t, struct buf *b, const char *s, size_t used)
{
    size_t n = strlen(s);
    size_t room = t->width > used + LAST_MIN ? t->width - used : LAST_MIN;

    if (t->width && text_width(s, n) > room) {
        buf_add(b, s, text_fit(s, n, room - 1));
        buf_adds(b, "…");
        return;
    }
    buf_add(b, s, n);
}

static void add_row(const struct table *t, struct buf *b, const char *const *cells, bool head)
{
    auto_buf line = {0};
    size_t used = 0;

    for (size_t i = 0; i < t->n; i++) {
        size_t w = text_width(cells[i], strlen(cells[i]));

        if (i + 1 == t->n && !(t->right & (1u << i))) {
            add_last(t, &line, cells[i], used);
            break;
        }
        if (t->right & (1u << i)) {
            pad(&line, t->widths[i] - w);
        }
        buf_adds(&line, cells[i]);
        if (i + 1 < t->n) {
            pad(&line, (t->right & (1u << i) ? 0 : t->widths[i] - w) + GAP);
        }
        used += t->widths[i] + GAP;
    }
    while (line.len && line.data[line.len - 1] == ' ') {
        line.data[--line.len] = '\0';
    }
    if (head) {
        buf_add_painted(b, t->color, PAINT_BOLD, line.data ? line.data : "");
    } else {
        buf_add(b, line.data, line.len);
    }
    buf_addc(b, '\n');
}

static void widen(struct table *t, const char *const *cells)
{
    for (size_t i = 0; i < t->n; i++) {
        t->widths[i] = MAX(t->widths[i], text_width(cells[i], strlen(cells[i])));
    }
}

void table_flush(struct table *t)
{
    auto_buf b = {0};

    if (!t->head_done) {
        widen(t, t->head);
    }
    for (size_t i = 0; i + t->n <= t->cells.n; i += t->n) {
        widen(t, (const char *const *)t->cells.v + i);
    }
    if (!t->head_done) {
        add_row(t, &b, t->head, true);
        t->head_done = true;
    }
    for (size_t i = 0; i + t->n <= t->cells.n; i += t->n) {
        add_row(t, &b, (const char *const *)t->cells.v + i, false);
    }
    strvec_done(&t->cells);
    t->sink(t->arg, &b);
}

void table_row(struct table *t, const char *const *cells)
{
    assert(t->n > 0 && t->n <= TABLE_COLUMNS_MAX);
    for (size_t i = 0; i < t->n; i++) {
        auto_buf text = {0};

        if (cells[i]) {
            buf_add_escaped(&text, cells[i], strlen(cells[i]));
        }
        strvec_pushn(&t->cells, text.data ? text.data : "", text.len);
    }
    if (t->cells.n >= t->n * TABLE_BLOCK_ROWS) {
        table_flush(t);
    }
}

void table_end(struct table *t)
{
    if (t->cells.n || !t->head_done) {
        table_flush(t);
    }
    strvec_done(&t->cells);
}

static void csv_cell(struct buf *b, const char *s)
{
    bool formula = *s && strchr("=+-@\t\r", *s);

    if (!formula && !strpbrk(s, ",\"\t\r\n")) {
        buf_add_escaped(b, s, strlen(s));
        return;
    }
    buf_addc(b, '"');
    if (formula) {
        buf_addc(b, '\'');
    }
    for (size_t n; *s; s += n) {
        n = strcspn(s, "\"\t\r\n");
        if (n) {
            buf_add_escaped(b, s, n);
            continue;
        }
        if (*s == '"') {
            buf_addc(b, '"');
        }
        buf_addc(b, *s);
        n = 1;
    }
    buf_addc(b, '"');
}

void csv_row(struct buf *b, const char *const *cells, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i) {
            buf_addc(b, ',');
        }
        csv_cell(b, cells[i] ? cells[i] : "");
    }
    buf_adds(b, "\r\n");
}
