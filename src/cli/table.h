/*
 * table - rows for people (aligned columns) and for sheets (CSV), in flat memory.
 *
 * Cells are given as they are; escaping happens here. Aligned rows are held back in blocks to
 * find the widths of the columns; a later block may be wider than an earlier one, never narrower.
 * The last column is cut to the terminal's width.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "cli/term.h"

enum { TABLE_COLUMNS_MAX = 16, TABLE_BLOCK_ROWS = 512 };

struct table {
    const char *const *head; /* column names, n of them */
    size_t n;
    unsigned width; /* cut the last column to this many columns in all; 0: never */
    uint32_t right; /* bit set: columns aligned to the right */
    bool color;     /* bold head */
    void (*sink)(void *arg, struct buf *text); /* takes the text and empties the buffer */
    void *arg;

    /* private */
    struct strvec cells; /* escaped, of the rows held back */
    size_t widths[TABLE_COLUMNS_MAX];
    bool head_done;
};

/* n cells; NULL is empty. */
void table_row(struct table *t, const char *const *cells);
/* Writes the rows that are held back. */
void table_flush(struct table *t);
/* Writes what is held back, and the head even if there was no row. Frees. */
void table_end(struct table *t);

/* One CSV record (RFC 4180, CRLF). A cell that a sheet would take for a formula is neutralised by
 * a leading apostrophe; control bytes other than tab and line ends are escaped. NULL is empty. */
void csv_row(struct buf *b, const char *const *cells, size_t n);
