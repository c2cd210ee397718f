#include <stdlib.h>
#include <string.h>

#include "assess/functions.h"
#include "assess/source.h"
#include "base/mem.h"

/* Length of the line end at p: LF, CR LF or CR. */
static size_t line_end(const char *p, const char *end)
{
    return p[0] == '\r' && end - p > 1 && p[1] == '\n' ? 2 : 1;
}

static const char *find_line_end(const char *p, const char *end)
{
    while (p < end && *p != '\n' && *p != '\r') {
        p++;
    }
    return p;
}

static size_t count_lines(const char *text, size_t n)
{
    const char *p = text, *end = text + n;
    size_t lines = 0;

    while (p < end) {
        p = find_line_end(p, end);
        lines++;
        if (p < end) {
            p += line_end(p, end);
        }
    }
    return lines ? lines : 1;
}

void source_init(struct source *s, const char *path, const char *text, size_t n)
{
    const char *p, *end;
    int32_t line = 0;

    n = MIN(n, (size_t)SOURCE_MAX);
    *s = (struct source){.text = text, .n = n, .path = path};
    s->lines = (int32_t)count_lines(text, n);
    s->starts = xmalloc(((size_t)s->lines + 1) * sizeof *s->starts);
    s->starts[0] = 0;
    end = text + n;
    for (p = text; p < end; line++) {
        s->starts[line] = (size_t)(p - text);
        p = find_line_end(p, end);
        if (p < end) {
            p += line_end(p, end);
        }
    }
    s->starts[s->lines] = n;
}

void source_done(struct source *s)
{
    free(s->starts);
    functions_free(s->functions);
    free(s->hashes);
    *s = (struct source){0};
}

const char *source_line(const struct source *s, int32_t line, size_t *n)
{
    const char *p, *end;

    *n = 0;
    if (line < 1 || line > s->lines) {
        return NULL;
    }
    p = s->text + s->starts[line - 1];
    end = s->text + s->starts[line]; /* from there back: a line may have megabytes */
    end -= end > p && end[-1] == '\n';
    end -= end > p && end[-1] == '\r';
    *n = (size_t)(end - p);
    return p;
}

int32_t source_line_at(const struct source *s, size_t at)
{
    int32_t low = 0, high = s->lines;

    while (high - low > 1) {
        int32_t mid = low + (high - low) / 2;

        if (s->starts[mid] <= at) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low + 1;
}

size_t text_char(const char *p, size_t n)
{
    size_t len = utf8_len(p, n);

    return len ? len : 1;
}

void text_clean(struct buf *out, const char *p, size_t n)
{
    while (n > 0) {
        size_t len = utf8_len(p, n);

        if (len == 0 || ((unsigned char)*p < 0x20 && *p != '\t' && *p != '\n') || *p == 0x7f) {
            buf_adds(out, "\xEF\xBF\xBD");
            len = 1;
        } else {
            buf_add(out, p, len);
        }
        p += len;
        n -= len;
    }
}

size_t text_cut(const char *p, size_t n, size_t max)
{
    if (n <= max) {
        return n;
    }
    while (max > 0 && ((unsigned char)p[max] & 0xC0) == 0x80) {
        max--;
    }
    return max;
}
