#include "cli/term.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"

static const char *const paints[] = {
    [PAINT_BOLD] = "1",   [PAINT_DIM] = "2",     [PAINT_RED] = "31",
    [PAINT_GREEN] = "32", [PAINT_YELLOW] = "33",
};

static int out_errno;

static bool given(const char *s)
{
    return s && *s;
}

void term_environment(struct term_facts *f)
{
    struct winsize ws = {0};

    f->out_tty = isatty(STDOUT_FILENO) == 1;
    f->err_tty = isatty(STDERR_FILENO) == 1;
    f->no_color = getenv("NO_COLOR");
    f->clicolor_force = getenv("CLICOLOR_FORCE");
    f->ci = getenv("CI");
    f->term = getenv("TERM");
    f->width = 0;
    if ((f->out_tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0) ||
        (f->err_tty && ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0)) {
        f->width = ws.ws_col;
    }
}

static bool colored(const struct term_facts *f, bool tty)
{
    if (f->color != COLOR_AUTO) {
        return f->color == COLOR_ALWAYS;
    }
    if (given(f->no_color)) {
        return false;
    }
    if (given(f->clicolor_force) && strcmp(f->clicolor_force, "0") != 0) {
        return true;
    }
    return tty && given(f->term) && strcmp(f->term, "dumb") != 0;
}

struct term term_decide(const struct term_facts *f)
{
    bool dumb = !given(f->term) || strcmp(f->term, "dumb") == 0;

    return (struct term){
        .out_color = colored(f, f->out_tty),
        .err_color = colored(f, f->err_tty),
        .bar = f->err_tty && !f->quiet && !given(f->ci) && !dumb,
        .quiet = f->quiet,
        .width = f->out_tty ? f->width : 0,
        .err_width = f->width ? f->width : 80,
    };
}

void buf_add_painted(struct buf *b, bool on, enum paint p, const char *s)
{
    if (on) {
        buf_addf(b, "\x1b[%sm%s\x1b[0m", paints[p], s);
    } else {
        buf_adds(b, s);
    }
}

/* The ranges that matter for tables; independent of the locale, as our output is always UTF-8. */
static size_t code_width(uint32_t c)
{
    if ((c >= 0x300 && c <= 0x36f) || (c >= 0x1ab0 && c <= 0x1aff) ||
        (c >= 0x20d0 && c <= 0x20ff) || (c >= 0xfe00 && c <= 0xfe0f)) {
        return 0;
    }
    if ((c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
        (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
        (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
        (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1f64f) ||
        (c >= 0x1f900 && c <= 0x1f9ff) || (c >= 0x20000 && c <= 0x3fffd)) {
        return 2;
    }
    return 1;
}

size_t text_width(const char *s, size_t n)
{
    size_t w = 0;

    while (n) {
        size_t k = utf8_len(s, n);

        w += k ? code_width(utf8_code(s, k)) : 1;
        k = k ? k : 1;
        s += k;
        n -= k;
    }
    return w;
}

size_t text_fit(const char *s, size_t n, size_t columns)
{
    size_t used = 0, w = 0;

    while (used < n) {
        size_t k = utf8_len(s + used, n - used);
        size_t cw = k ? code_width(utf8_code(s + used, k)) : 1;

        if (w + cw > columns) {
            break;
        }
        w += cw;
        used += k ? k : 1;
    }
    return used;
}

void out_write(const void *p, size_t n)
{
    if (out_errno || n == 0) {
        return;
    }
    if (fwrite(p, 1, n, stdout) != n) {
        out_errno = errno;
    }
    if (out_errno == EPIPE) {
        /* The HTTP client needs SIGPIPE ignored; a reader that went away is what it is for. */
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
}

void out_buf(struct buf *b)
{
    out_write(b->data, b->len);
    buf_reset(b);
}

void out_sink(void *unused, struct buf *b)
{
    (void)unused;
    out_buf(b);
}

int out_end(struct err *e)
{
    if (!out_errno && fflush(stdout) != 0) {
        out_errno = errno;
    }
    if (out_errno == EPIPE) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    if (out_errno) {
        errno = out_errno;
        return err_errno(e, "write the output");
    }
    return 0;
}

static void labelled(const struct term *t, enum paint p, const char *label, const char *text)
{
    auto_buf b = {0};

    buf_add_painted(&b, t->err_color, p, label);
    buf_addc(&b, ' ');
    buf_add_escaped(&b, text, strlen(text));
    buf_addc(&b, '\n');
    fflush(stdout);
    fwrite(b.data, 1, b.len, stderr);
}

void say_error(const struct term *t, const char *message, const char *hint)
{
    labelled(t, PAINT_RED, "error:", message);
    if (hint && *hint) {
        labelled(t, PAINT_BOLD, "hint:", hint);
    }
}

void say_warning(const struct term *t, const char *message)
{
    labelled(t, PAINT_YELLOW, "warning:", message);
}

void say(const struct term *t, const char *fmt, ...)
{
    auto_buf text = {0};
    auto_buf b = {0};
    va_list ap;

    if (t->quiet) {
        return;
    }
    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    buf_add_escaped(&b, text.data, text.len);
    buf_addc(&b, '\n');
    fflush(stdout);
    fwrite(b.data, 1, b.len, stderr);
}
