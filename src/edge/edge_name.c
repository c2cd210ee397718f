#include "edge/edge_name.h"

#include <string.h>

#include "base/buf.h"

bool edge_name_ok(const char *s)
{
    size_t n = strlen(s);

    return n > 0 && n <= EDGE_TEXT_MAX &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-+/=@") == n;
}

/* The queue itself, QUEUE.dead, QUEUE.dlx and QUEUE:taken:NAME. */
bool edge_name_is_ours(const char *s, const char *queue)
{
    const char *rest = queue && str_starts(s, queue) ? s + strlen(queue) : NULL;

    return str_starts(s, "scanpod:") ||
           (rest && (!*rest || str_eq(rest, ".dead") || str_eq(rest, ".dlx") ||
                     str_starts(rest, ":taken:")));
}

bool edge_text_ok(const char *s)
{
    size_t n = strlen(s);

    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7f) {
            return false;
        }
    }
    return n > 0 && n <= EDGE_TEXT_MAX && utf8_valid(s, n);
}
