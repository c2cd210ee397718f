/*
 * What stands before a root element.
 *
 * By the letter nothing may precede `<?xml ...?>`; in circulation are files with a licence comment
 * or an empty line there. And nmap before 5.x wrote its command line into a comment as it was,
 * `--` included, which no XML parser accepts. So comments before the root element are dropped here,
 * and white space is until something else was passed on. Line ends inside stay, or are counted, so
 * that places in messages are those of the file.
 *
 * From a document type or the root element on nothing is touched, nor is UTF-16.
 */
#include "parse/nmap.h"

static void pass(struct nmap_prolog *f, struct buf *out, const char *s, size_t n)
{
    buf_add(out, s, n);
    f->passed = true;
}

static void line_end(struct nmap_prolog *f, struct buf *out)
{
    if (f->passed) {
        buf_addc(out, '\n');
    } else {
        f->lines++;
    }
}

static void text(struct nmap_prolog *f, char c, struct buf *out)
{
    switch (c) {
    case '<':
        f->state = PROLOG_LESS;
        break;
    case '\n':
        line_end(f, out);
        break;
    case ' ':
    case '\t':
    case '\r':
        break;
    case '\0':
        /* After a document: the other half of a UTF-16 line end, or what a crash left of a file. */
        if (f->later && !f->passed) {
            break;
        }
        __attribute__((fallthrough));
    case '\xff':
    case '\xfe':
        if (!f->passed) {
            f->state = PROLOG_DONE; /* UTF-16 */
        }
        pass(f, out, &c, 1);
        break;
    case '\xef':
    case '\xbb':
    case '\xbf':
        if (!f->passed) {
            break; /* the byte order mark of UTF-8 */
        }
        __attribute__((fallthrough));
    default:
        pass(f, out, &c, 1);
        break;
    }
}

static void step(struct nmap_prolog *f, char c, struct buf *out)
{
    char tag[4] = "<";

    switch (f->state) {
    case PROLOG_TEXT:
        text(f, c, out);
        return;
    case PROLOG_LESS:
        if (c == '!') {
            f->state = PROLOG_BANG;
            return;
        }
        tag[1] = c;
        pass(f, out, tag, 2);
        f->state = c == '?' ? PROLOG_PI : PROLOG_DONE;
        break;
    case PROLOG_BANG:
        if (c == '-') {
            f->state = PROLOG_DASH;
            return;
        }
        tag[1] = '!';
        tag[2] = c;
        pass(f, out, tag, 3);
        f->state = PROLOG_DONE;
        return;
    case PROLOG_DASH:
        if (c == '-') {
            f->state = PROLOG_COMMENT;
            break;
        }
        pass(f, out, "<!-", 3);
        pass(f, out, &c, 1);
        f->state = PROLOG_DONE;
        return;
    case PROLOG_COMMENT:
        if (c == '\n') {
            line_end(f, out);
        } else if (c == '>' && f->last[0] == '-' && f->last[1] == '-') {
            f->state = PROLOG_TEXT;
        }
        f->last[0] = f->last[1];
        f->last[1] = c;
        return;
    case PROLOG_PI:
        pass(f, out, &c, 1);
        if (c == '>' && f->last[1] == '?') {
            f->state = PROLOG_TEXT;
        }
        f->last[1] = c;
        return;
    case PROLOG_DONE:
        return;
    }
    f->last[0] = f->last[1] = '\0';
}

size_t nmap_prolog_filter(struct nmap_prolog *f, const char *s, size_t n, struct buf *out)
{
    size_t i = 0;

    while (i < n && f->state != PROLOG_DONE) {
        step(f, s[i++], out);
    }
    return i;
}
