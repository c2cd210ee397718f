#include "cli/raw_json.h"

#include <string.h>

static size_t skip_space(struct span t, size_t i)
{
    while (i < t.n && strchr(" \t\r\n", t.p[i]) && t.p[i]) {
        i++;
    }
    return i;
}

/* After the closing quote. */
static size_t skip_string(struct span t, size_t i)
{
    for (i++; i < t.n && t.p[i] != '"'; i++) {
        if (t.p[i] == '\\') {
            i++;
        }
    }
    return i < t.n ? i + 1 : t.n;
}

static size_t skip_value(struct span t, size_t i)
{
    size_t depth = 0;

    while (i < t.n) {
        char c = t.p[i];

        if (c == '"') {
            i = skip_string(t, i);
        } else if (c == '{' || c == '[') {
            depth++;
            i++;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
            i++;
        } else if (depth == 0) { /* a number or a word, or what follows the value */
            while (i < t.n && !strchr(",]} \t\r\n", t.p[i])) {
                i++;
            }
            return i;
        } else {
            i++;
            continue;
        }
        if (depth == 0) {
            return i;
        }
    }
    return i;
}

static bool take(struct span t, size_t *i, struct span *out)
{
    size_t from = skip_space(t, *i);
    size_t to = skip_value(t, from);

    *out = (struct span){t.p + from, to - from};
    *i = skip_space(t, to);
    return to > from;
}

bool raw_member(struct span object, const char *name, struct span *out)
{
    size_t n = strlen(name);
    size_t i = skip_space(object, 0) + 1; /* after the brace */
    struct span key;
    struct span value;

    while (i < object.n && take(object, &i, &key) && i < object.n && object.p[i] == ':') {
        i++;
        if (!take(object, &i, &value)) {
            return false;
        }
        if (key.n == n + 2 && memcmp(key.p + 1, name, n) == 0) {
            *out = value;
            return true;
        }
        i += i < object.n && object.p[i] == ',';
    }
    return false;
}

bool raw_element(struct span array, size_t *at, struct span *out)
{
    size_t i = *at ? *at : skip_space(array, 0) + 1;

    if (i >= array.n || !take(array, &i, out)) {
        return false;
    }
    *at = i + (i < array.n && array.p[i] == ',');
    return true;
}
