/*
 * html_chart - counts of what goes by, and bars drawn of them. For src/report only.
 *
 * Memory is bounded: each port has a counter; of services as many names as CHART_NAMES are counted,
 * then the least frequent give way (space-saving: what is frequent stays, counts are at most too
 * high by the count of the name that was thrown out).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/host.h"

enum { CHART_NAMES = 1024, CHART_NAME = 48, CHART_BARS = 10 };

struct chart_names;
struct chart_names *chart_names_new(void);
void chart_names_free(struct chart_names *c);
void chart_names_count(struct chart_names *c, const char *name);

struct chart_bar {
    char label[CHART_NAME * 4];
    uint64_t n;
};

/* The most frequent ones, greatest first; returns how many, at most CHART_BARS. */
size_t chart_names_top(const struct chart_names *c, struct chart_bar out[CHART_BARS]);
/* The same of counters of ports; `protocol` stands behind the number. */
size_t chart_ports_top(const uint32_t *counts, const char *protocol,
                       struct chart_bar out[CHART_BARS]);
/* Keeps the greatest of both in `a`. */
size_t chart_join(struct chart_bar a[CHART_BARS], size_t n, const struct chart_bar *b, size_t m);
/* An inline SVG with one bar a line, and a table with the same for those who do not see it. */
void chart_draw(struct buf *out, const char *id, const char *title, const char *what,
                const struct chart_bar *bars, size_t n);
