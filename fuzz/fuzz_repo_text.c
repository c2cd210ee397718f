/*
 * Files of a repository as UTF-8: whatever they hold, what comes out is UTF-8 and stays as it is
 * the next time; where it was bytes, it has the same lines; and a language is found.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "repo/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t line_ends(const char *p, size_t n)
{
    size_t lines = 0;

    for (size_t i = 0; i < n; i++) {
        lines += p[i] == '\n';
    }
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *text = (const char *)data;
    auto_buf out = {0};
    auto_buf again = {0};
    bool wide = n >= 2 && data[0] >= 0xfe && data[1] >= 0xfe;

    if (n == 0 || text_not(text, MIN(n, (size_t)TEXT_HEAD))) {
        return 0;
    }
    (void)language_of("some/file", text, n);
    if (!text_to_utf8(text, n, &out)) {
        assert(utf8_valid(text, n) && out.len == 0);
        return 0;
    }
    assert(out.len == 0 || utf8_valid(out.data, out.len));
    assert(wide || (out.len > n && line_ends(out.data, out.len) == line_ends(text, n)));
    assert(out.len == 0 || !text_to_utf8(out.data, out.len, &again));
    return 0;
}
