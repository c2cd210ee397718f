/* Rules: any text is searched, and what is told of it is in it and has no secret. Texts that begin
 * with "version" are read as files of rules, too. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "engine/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const paths[] = {
    "a.c",
    "a.py",
    "a.sh",
    "a.js",
    "a.php",
    "A.java",
    "a.rb",
    "a.go",
    "a.cs",
    "Dockerfile",
    "a.yaml",
    ".github/workflows/a.yml",
    "a.tf",
    "nginx.conf",
    ".env",
    "a.json",
    ".npmrc",
    "sshd_config",
    ".mcp.json",
    "a.pl",
    "a.ps1",
    ".gitlab-ci.yml",
    ".claude/settings.json",
    "a.txt",
};

struct seen {
    unsigned n;
    int32_t line;
};

static int see(void *arg, const struct finding *f, struct err *e)
{
    struct seen *s = arg;

    assert(finding_check(f, e) == 0);
    assert(f->at.line >= s->line && f->at.end_line >= f->at.line);
    assert(f->n_engines == 1 && f->engines[0].rule);
    s->line = f->at.line;
    s->n++;
    return 0;
}

static void read_rules(const char *text, size_t n)
{
    struct rules *r = NULL;
    struct err e = {0};

    if (rules_new(&r, &e) < 0) {
        abort();
    }
    if (rules_add(r, text, n, "f", &e) == 0) {
        const struct engine_file file = {.path = "a.js", .size = n};
        struct seen s = {0};

        (void)rules_scan(r, &file, text, n, see, &s, &e);
    } else {
        assert(e.code == ERR_INVALID && strncmp(e.msg, "f:", 2) == 0);
    }
    rules_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct rules *r;
    struct engine_file file = {0};
    struct seen first = {0}, again = {0};
    struct err e = {0};
    const char *text = (const char *)data + 1;

    if (n == 0 || (!r && rules_new(&r, &e) < 0)) {
        return 0;
    }
    n--;
    if (n > 7 && memcmp(text, "version", 7) == 0) {
        read_rules(text, n);
    }
    file.path = paths[data[0] % ARRAY_LEN(paths)];
    file.size = n;
    /* A file is given up for its time, too: then the two need not be equal. */
    if (rules_scan(r, &file, text, n, see, &first, &e) == 0 &&
        rules_scan(r, &file, text, n, see, &again, &e) == 0) {
        assert(first.n == again.n && first.line == again.line);
    }
    return 0;
}
