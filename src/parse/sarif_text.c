#include <string.h>

#include "base/mem.h"
#include "parse/sarif.h"

const char *sarif_cut(struct arena *a, const char *s, size_t max, bool one_line)
{
    size_t n = s ? strlen(s) : 0;
    char *out;

    if (n == 0) {
        return NULL;
    }
    if (n > max) {
        for (n = max; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80; n--) {
        }
    }
    out = arena_strn(a, s, n);
    for (char *p = out; one_line && *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            *p = ' ';
        }
    }
    return out;
}

static bool blank(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7f;
}

const char *sarif_fold(struct arena *a, const char *s, size_t n, size_t max)
{
    auto_buf b = {0};

    for (size_t i = 0; i < n && b.len <= max;) {
        size_t word = 0;

        while (i < n && blank(s[i])) {
            i++;
        }
        while (i + word < n && !blank(s[i + word])) {
            word++;
        }
        if (word && b.len) {
            buf_addc(&b, ' ');
        }
        buf_add(&b, s + i, word);
        i += word;
    }
    return b.len ? sarif_cut(a, b.data, max, true) : NULL;
}

/* ---- messages ---- */

/* "[text](7)" leads to a place, "[text](https://...)" elsewhere. Returns how much of s it is; 0:
 * none. */
static size_t link_at(const char *s, struct buf *out)
{
    const char *close = strchr(s, ']');
    const char *target, *end;
    size_t n;

    if (!close || close[1] != '(' || memchr(s, '\n', (size_t)(close - s))) {
        return 0;
    }
    target = close + 2;
    n = strcspn(target, ") \n");
    end = target + n;
    if (n == 0 || *end != ')') {
        return 0;
    }
    buf_add(out, s + 1, (size_t)(close - s) - 1);
    if (strspn(target, "0123456789") != n && memmem(target, n, "://", 3)) {
        buf_addf(out, " (%.*s)", (int)MIN(n, (size_t)500), target);
    }
    return (size_t)(end + 1 - s);
}

/* "{0}"; returns how much of s it is; 0: none that there is an argument for. */
static size_t argument_at(const char *s, const json_t *arguments, struct buf *out)
{
    size_t n = strspn(s + 1, "0123456789");
    const char *text;

    if (n == 0 || n > 3 || s[1 + n] != '}') {
        return 0;
    }
    text = json_string_value(json_array_get(arguments, (size_t)strtoul(s + 1, NULL, 10)));
    if (!text) {
        return 0;
    }
    buf_adds(out, text);
    return n + 2;
}

static const char *plain(struct arena *a, const char *s, const json_t *arguments, size_t max)
{
    auto_buf b = {.cap = 4 * max};

    while (*s && !b.over) {
        size_t used = 0;

        if (*s == '{' && arguments) {
            used = argument_at(s, arguments, &b);
        } else if (*s == '[') {
            used = link_at(s, &b);
        }
        if (used == 0 && ((arguments && ((s[0] == '{' && s[1] == '{') || /* written twice */
                                         (s[0] == '}' && s[1] == '}'))) ||
                          (s[0] == '\\' && (s[1] == '[' || s[1] == ']')))) {
            buf_addc(&b, s[1]);
            used = 2;
        }
        if (used == 0) {
            used = 1 + strcspn(s + 1, "{}[\\");
            buf_add(&b, s, used);
        }
        s += used;
    }
    return b.len ? sarif_cut(a, b.data, max, false) : NULL;
}

const char *sarif_message(const struct sarif_run *r, const json_t *message, const json_t *rule,
                          size_t max)
{
    const char *id = sarif_string(message, "id");
    const char *text = sarif_string(message, "text");

    if (!text && id) {
        text = sarif_text(sarif_object(rule, "messageStrings"), id);
        text = text ? text : sarif_text(sarif_object(r->driver, "globalMessageStrings"), id);
    }
    text = text ? text : sarif_string(message, "markdown");
    return text ? plain(r->arena, text, sarif_array(message, "arguments"), max) : NULL;
}
