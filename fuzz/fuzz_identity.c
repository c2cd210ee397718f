/*
 * A file of any bytes with findings at any places in it: identified and merged, each must be one
 * that finding_check() takes, and no secret may be shown. The first byte is the kind of file; then
 * six bytes a finding (line, column, end, secret or quote, rule), up to a zero; the rest is the
 * file.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "assess/identity.h"
#include "assess/merge.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { FINDINGS = 12, BYTES = 6 };

static const char *const paths[] = {"a.c",  "a.cpp", "a.java",  "a.cs",   "a.go", "a.rs",
                                    "a.js", "a.php", "a.swift", "a.kt",   "a.py", "a.rb",
                                    "a.sh", "a.txt", "script",  "dir/a.h"};
static const char *const rules[] = {"buffer-overflow", "hardcoded-secret", "other", "weak-hash"};
static const char *const engines[] = {"flawfinder", "cppcheck", "claude"};

static void finding_of(const uint8_t *b, const char *path, const char *quote, struct finding *f)
{
    *f = (struct finding){.rule = rules[b[4] % 4],
                          .title = "T",
                          .severity = SEVERITY_LOW,
                          .confidence_x100 = 50,
                          .at = {.path = path, .line = b[0], .column = b[1]},
                          .n_engines = 1};
    f->at.end_line = b[2] & 1 ? f->at.line + (b[2] >> 5) : 0;
    f->at.end_column = b[3] >> 2;
    f->secret = b[3] & 1 ? "s" : NULL;
    f->quote = b[3] & 2 ? quote : NULL;
    f->engines[0].name = engines[b[5] % 3];
}

static void check(struct finding *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (finding_check(v[i], NULL) != 0 || !v[i]->identity.primary[0] || v[i]->quote) {
            abort();
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(v[i]->identity.primary, v[k]->identity.primary) == 0) {
                abort();
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct finding f[FINDINGS], *v[FINDINGS];
    struct arena *arena;
    struct source s;
    size_t count = 0, at = 1;
    const char *path;

    if (n < 2) {
        return 0;
    }
    path = paths[data[0] % ARRAY_LEN(paths)];
    arena = arena_new();
    for (; count < FINDINGS && n - at > BYTES && data[at]; at += BYTES) {
        const char *quote = arena_strn(arena, (const char *)data + n / 2, MIN(n - n / 2, 40));

        finding_of(data + at, path, utf8_valid(quote, strlen(quote)) ? quote : "x", &f[count]);
        v[count] = &f[count];
        count++;
    }
    source_init(&s, path, (const char *)data + at, n - at);
    identify(&s, v, count, arena);
    check(v, count);
    merge_findings(v, &count, arena);
    check(v, count);
    source_done(&s);
    arena_free(arena);
    return 0;
}
