/*
 * term - what may be shown where: results on stdout, everything else on stderr.
 *
 * Colour: --color, else NO_COLOR, else CLICOLOR_FORCE, else whether the stream is a terminal.
 * A progress bar only where stderr is a terminal, and neither -q, CI nor TERM=dumb says otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"

enum color_choice { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* What a decision is made from; term_environment() fills it, tests make their own. */
struct term_facts {
    bool out_tty, err_tty, quiet;
    enum color_choice color;
    const char *no_color, *clicolor_force, *ci, *term; /* NULL: not set */
    unsigned width;                                    /* of stdout; 0: no terminal */
};

struct term {
    bool out_color, err_color;
    bool bar;       /* a progress bar that rewrites its line */
    bool quiet;     /* -q: only results and errors */
    unsigned width; /* columns of the table; 0: do not cut */
    unsigned err_width;
};

void term_environment(struct term_facts *f);
struct term term_decide(const struct term_facts *f);

enum paint { PAINT_BOLD, PAINT_DIM, PAINT_RED, PAINT_GREEN, PAINT_YELLOW };
/* Appends text in colour if `on`. Text that is not ours is escaped by the caller before. */
void buf_add_painted(struct buf *b, bool on, enum paint p, const char *s);

/* Display columns of UTF-8 text: combining marks take none, wide characters two. */
size_t text_width(const char *s, size_t n);
/* How many bytes of s fit into `columns`. */
size_t text_fit(const char *s, size_t n, size_t columns);

/* Result text. A reader that went away ends the program as SIGPIPE does; another failure is
 * reported once, by out_end(). */
void out_write(const void *p, size_t n);
void out_buf(struct buf *b);                /* writes and empties */
void out_sink(void *unused, struct buf *b); /* the same */
int out_end(struct err *e);

/* "error: MESSAGE" and, if not NULL, "hint: HINT" on stderr; the text is escaped. */
void say_error(const struct term *t, const char *message, const char *hint);
void say_warning(const struct term *t, const char *message);
/* A line on stderr, unless -q. */
void say(const struct term *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
