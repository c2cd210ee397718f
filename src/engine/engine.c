#include "engine/engine.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

static const struct engine *const engines[] = {
    &engine_flawfinder, &engine_cppcheck, &engine_bandit, &engine_shellcheck,
    &engine_rules,      &engine_claude,   NULL,
};

const struct engine *const *engine_all(void)
{
    return engines;
}

const struct engine *engine_find(const char *name)
{
    for (const struct engine *const *en = engines; name && *en; en++) {
        if (strcmp((*en)->tool.name, name) == 0) {
            return *en;
        }
    }
    return NULL;
}

void engine_notes_done(struct engine_notes *n)
{
    strvec_done(&n->failed);
    buf_done(&n->more);
    free(n->why);
    *n = (struct engine_notes){0};
}

/* ---- marks ---- */

/* How sources ask to be left alone. Longer ones before those that they begin with. */
static const struct mark {
    const char *text, *name;
    bool below; /* it speaks of the line below it, too, even behind code */
} marks[] = {
    {"flawfinder: ignore", "Flawfinder: ignore", false},
    {"flawfinder:ignore", "Flawfinder: ignore", false},
    {"its4: ignore", "ITS4: ignore", false},
    {"rats: ignore", "RATS: ignore", false},
    {"nosec", "nosec", false},
    {"nosemgrep", "nosemgrep", false},
    {"nosonar", "NOSONAR", false},
    {"noqa", "noqa", false},
    {"shellcheck disable", "shellcheck disable", true},
    {"cppcheck-suppress", "cppcheck-suppress", true},
    {"nolintnextline", "NOLINTNEXTLINE", true},
    {"nolint", "NOLINT", false},
    {"eslint-disable", "eslint-disable", true},
    {"gitleaks:allow", "gitleaks:allow", false},
    {"pragma: allowlist secret", "pragma: allowlist secret", false},
    {"lgtm[", "lgtm", false},
    {"codeql[", "codeql", false},
    {"coverity[", "coverity", true},
    {"brakeman:ignore", "brakeman:ignore", false},
    {"phpcs:ignore", "phpcs:ignore", false},
};

/* Bytes at the end of a line in which a mark is looked for: a line of megabytes may have thousands
 * of findings, each of which asks. */
enum { MARKED_MAX = 1024 };

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* `text` is in small letters. */
static const char *find_text(const char *s, const char *end, const char *text)
{
    size_t n = strlen(text);

    for (; (size_t)(end - s) >= n; s++) {
        if (tolower((unsigned char)*s) == *text && strncasecmp(s, text, n) == 0) {
            return s;
        }
    }
    return NULL;
}

/* Where the comment begins that the line ends with; NULL: there is none, as far as can be seen
 * without reading the language. */
static const char *comment_in(const char *s, const char *end)
{
    static const char *const begins[] = {"#", "//", "/*", "<!--", "--", "{-", "%", ";"};
    const char *first = NULL;

    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        const char *at = find_text(s, end, begins[i]);

        if (at && (!first || at < first)) {
            first = at;
        }
    }
    return first;
}

static const struct mark *mark_in(const char *line, size_t n)
{
    const char *end = line + n;
    const char *comment = comment_in(n > MARKED_MAX ? end - MARKED_MAX : line, end);

    for (size_t i = 0; comment && i < ARRAY_LEN(marks); i++) {
        const char *text = marks[i].text;
        const char *at = find_text(comment, end, text);
        const char *after = at ? at + strlen(text) : NULL;

        if (at && !in_word(at[-1]) && (after == end || !in_word(*after) || !in_word(after[-1]))) {
            return &marks[i];
        }
    }
    return NULL;
}

const char *engine_mark(const char *line, size_t n)
{
    const struct mark *m = n > 0 ? mark_in(line, n) : NULL;

    return m ? m->name : NULL;
}

const char *engine_mark_above(const char *line, size_t n)
{
    const struct mark *m = n > 0 ? mark_in(line, n) : NULL;
    const char *comment;

    if (!m || m->below) {
        return m ? m->name : NULL;
    }
    comment = comment_in(line, line + MIN(n, (size_t)MARKED_MAX));
    while (comment && line < comment && isspace((unsigned char)*line)) {
        line++;
    }
    return line == comment ? m->name : NULL;
}
