#include "engine/rules_kind.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum comment { COMMENT_NONE, COMMENT_HASH, COMMENT_SLASH, COMMENT_BOTH, COMMENT_DASH, COMMENT_XML };

static const struct kind {
    const char *name, *sample;
    const char *const *paths;
    const char *shebang; /* word of the first line */
    enum comment comment;
} kinds[] = {
#define PATHS(...) ((const char *const[]){__VA_ARGS__, NULL})
    {"c", "src/sample.c", PATHS("*.c", "*.h", "*.cc", "*.cpp", "*.cxx", "*.hh", "*.hpp", "*.hxx"),
     NULL, COMMENT_SLASH},
    {"python", "app/sample.py", PATHS("*.py", "*.pyw", "*.pyi", "SConstruct", "wscript"), "python",
     COMMENT_HASH},
    {"shell", "bin/sample.sh",
     PATHS("*.sh", "*.bash", "*.ksh", "*.zsh", "*.dash", ".bashrc", ".profile", "*.envrc"), "sh",
     COMMENT_HASH},
    {"javascript", "web/sample.js",
     PATHS("*.js", "*.mjs", "*.cjs", "*.jsx", "*.ts", "*.mts", "*.cts", "*.tsx", "*.vue",
           "*.svelte"),
     "node", COMMENT_SLASH},
    {"php", "web/sample.php", PATHS("*.php", "*.phtml", "*.php?", "*.inc"), "php", COMMENT_BOTH},
    {"go", "cmd/sample.go", PATHS("*.go"), NULL, COMMENT_SLASH},
    {"java", "src/Sample.java", PATHS("*.java", "*.kt", "*.kts", "*.scala", "*.groovy", "*.gradle"),
     NULL, COMMENT_SLASH},
    {"ruby", "lib/sample.rb", PATHS("*.rb", "*.rake", "*.gemspec", "Gemfile", "Rakefile", "*.erb"),
     "ruby", COMMENT_HASH},
    {"csharp", "src/Sample.cs", PATHS("*.cs", "*.cshtml"), NULL, COMMENT_SLASH},
    {"rust", "src/sample.rs", PATHS("*.rs"), NULL, COMMENT_SLASH},
    {"perl", "lib/sample.pl", PATHS("*.pl", "*.pm", "*.t"), "perl", COMMENT_HASH},
    {"powershell", "bin/sample.ps1", PATHS("*.ps1", "*.psm1", "*.psd1"), NULL, COMMENT_HASH},
    {"swift", "App/sample.swift", PATHS("*.swift", "*.m", "*.mm"), NULL, COMMENT_SLASH},
    {"sql", "db/sample.sql", PATHS("*.sql"), NULL, COMMENT_DASH},
    {"html", "web/sample.html", PATHS("*.html", "*.htm", "*.xhtml", "*.ejs", "*.hbs", "*.jsp"),
     NULL, COMMENT_XML},
    {"xml", "conf/sample.xml", PATHS("*.xml", "*.config", "*.plist", "*.csproj", "*.props"), NULL,
     COMMENT_XML},
    {"yaml", "conf/sample.yaml", PATHS("*.yaml", "*.yml"), NULL, COMMENT_HASH},
    {"json", "conf/sample.json", PATHS("*.json", "*.jsonc", "*.json5", "*.ipynb", "*.tfstate"),
     NULL, COMMENT_NONE},
    {"ini", "conf/sample.ini",
     PATHS("*.ini", "*.cfg", "*.conf", "*.cnf", "*.toml", "*.properties", ".editorconfig",
           ".gitconfig", ".s3cfg", ".boto", "credentials", "*.service"),
     NULL, COMMENT_HASH},
    {"env", ".env",
     PATHS(".env", ".env.*", "*.env", ".envrc", "**/env/*.properties", "**/environments/*.env"),
     NULL, COMMENT_HASH},
    {"dockerfile", "Dockerfile",
     PATHS("Dockerfile", "Dockerfile.*", "*.dockerfile", "Containerfile", "Containerfile.*"), NULL,
     COMMENT_HASH},
    {"compose", "compose.yaml",
     PATHS("docker-compose*.yml", "docker-compose*.yaml", "compose*.yml", "compose*.yaml",
           "docker-stack*.yml"),
     NULL, COMMENT_HASH},
    {"workflow", ".github/workflows/sample.yml",
     PATHS(".github/workflows/*.yml", ".github/workflows/*.yaml", "**/.github/workflows/*.yml",
           "**/.github/workflows/*.yaml", "action.yml", "action.yaml", ".gitea/workflows/*.y*ml",
           ".forgejo/workflows/*.y*ml"),
     NULL, COMMENT_HASH},
    {"gitlab-ci", ".gitlab-ci.yml", PATHS(".gitlab-ci.yml", "*.gitlab-ci.yml", ".gitlab/ci/*.yml"),
     NULL, COMMENT_HASH},
    {"terraform", "infra/sample.tf", PATHS("*.tf", "*.tfvars", "*.hcl"), NULL, COMMENT_BOTH},
    {"nginx", "etc/nginx/nginx.conf",
     PATHS("nginx.conf", "nginx*.conf", "*.nginx", "**/nginx/**.conf", "**/sites-available/*",
           "**/sites-enabled/*", "**/conf.d/*.conf"),
     NULL, COMMENT_HASH},
    {"apache", "etc/apache2/apache2.conf",
     PATHS("httpd*.conf", "apache*.conf", ".htaccess", "**/apache2/**.conf", "**/httpd/**.conf",
           "**/sites-available/*", "**/sites-enabled/*"),
     NULL, COMMENT_HASH},
    {"sshd", "etc/ssh/sshd_config", PATHS("sshd_config", "sshd_config.*", "**/sshd_config.d/*"),
     NULL, COMMENT_HASH},
    {"make", "Makefile", PATHS("Makefile", "makefile", "GNUmakefile", "*.mk", "justfile"), "make",
     COMMENT_HASH},
    {"markdown", "docs/sample.md", PATHS("*.md", "*.markdown", "*.mdx", "*.rst", "*.txt", "*.adoc"),
     NULL, COMMENT_NONE},
    {"jenkins", "Jenkinsfile", PATHS("Jenkinsfile", "Jenkinsfile.*", "*.jenkinsfile"), NULL,
     COMMENT_SLASH},
#undef PATHS
};

uint64_t kind_find(const char *name)
{
    if (strcmp(name, "any") == 0) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return UINT64_C(1) << i;
        }
    }
    return 0;
}

const char *kind_sample(uint64_t bits)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds) && bits != UINT64_MAX; i++) {
        if (bits >> i & 1) {
            return kinds[i].sample;
        }
    }
    return "conf/sample.txt";
}

void kind_names(uint64_t bits, struct buf *out)
{
    size_t before = out->len;

    if (bits == UINT64_MAX) {
        buf_adds(out, "any");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (bits >> i & 1) {
            buf_addf(out, "%s%s", out->len > before ? ", " : "", kinds[i].name);
        }
    }
}

/* ---- paths ---- */

/* One mark to go back to is enough: a later star that has to take more text makes an earlier one
 * needless, as long as it takes all that the earlier could ('**' keeps its own mark). */
static bool glob(const char *p, const char *s)
{
    const char *star_p = NULL, *star_s = NULL, *all_p = NULL, *all_s = NULL;
    bool whole = false; /* the text of '**' ends with a directory */

    for (;;) {
        if (p[0] == '*' && p[1] == '*') {
            whole = p[2] == '/';
            p += whole ? 3 : 2; /* also no directory at all */
            all_p = p;
            all_s = s;
            star_p = NULL;
        } else if (*p == '*') {
            star_p = ++p;
            star_s = s;
        } else if (*s && (tolower((unsigned char)*p) == tolower((unsigned char)*s) ||
                          (*p == '?' && *s != '/'))) {
            p++;
            s++;
        } else if (!*p && !*s) {
            return true;
        } else if (star_p && *star_s && *star_s != '/') {
            p = star_p;
            s = ++star_s;
        } else if (all_p && *all_s) {
            do {
                all_s++;
            } while (whole && *all_s && all_s[-1] != '/');
            p = all_p;
            s = all_s;
            star_p = NULL;
        } else {
            return false;
        }
    }
}

bool path_matches(const char *pattern, const char *path)
{
    const char *last = strrchr(path, '/');

    return glob(pattern, last && !strchr(pattern, '/') ? last + 1 : path);
}

/* "#!/usr/bin/env python3", "#!/bin/sh -e": the name of the program begins or ends with the word.
 */
static uint64_t of_first_line(const char *text, size_t n)
{
    const char *end = memchr(text, '\n', MIN(n, 200));
    size_t len = end ? (size_t)(end - text) : MIN(n, 200);
    char name[64] = "";
    size_t at = 2;

    if (len < 3 || text[0] != '#' || text[1] != '!') {
        return 0;
    }
    for (int word = 0; word < 3 && (name[0] == '\0' || strcmp(name, "env") == 0 || name[0] == '-');
         word++) {
        size_t from, to;

        while (at < len && (text[at] == ' ' || text[at] == '\t')) {
            at++;
        }
        from = at;
        while (at < len && text[at] != ' ' && text[at] != '\t' && text[at] != '\r') {
            from = text[at] == '/' ? at + 1 : from;
            at++;
        }
        to = MIN(at, from + sizeof name - 1);
        memcpy(name, text + from, to - from);
        name[to - from] = '\0';
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *word = kinds[i].shebang;
        size_t n_word = word ? strlen(word) : 0, n_name = strlen(name);

        if (word && (str_starts(name, word) ||
                     (n_name > n_word && strcmp(name + n_name - n_word, word) == 0))) {
            return UINT64_C(1) << i;
        }
    }
    return 0;
}

uint64_t rule_kind_of(const char *path, const char *text, size_t n)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        for (const char *const *p = kinds[i].paths; *p; p++) {
            if (path_matches(*p, path)) {
                bits |= UINT64_C(1) << i;
                break;
            }
        }
    }
    return bits ? bits : of_first_line(text, n);
}

/* Whether one of the directories, or the file's name, is among the words. */
static bool has_part(const char *path, const char *const *words)
{
    for (const char *p = path; *p;) {
        size_t len = strcspn(p, "/");

        for (const char *const *w = words; *w; w++) {
            if (strlen(*w) == len && strncasecmp(p, *w, len) == 0) {
                return true;
            }
        }
        p += len + (p[len] == '/');
    }
    return false;
}

bool path_is_aside(const char *path)
{
    static const char *const parts[] = {"test",          "tests",     "spec",     "specs",
                                        "__tests__",     "__mocks__", "testdata", "fixtures",
                                        "fixture",       "mocks",     "example",  "examples",
                                        "sample",        "samples",   "demo",     "doc",
                                        "docs",          "vendor",    "vendors",  "node_modules",
                                        "third_party",   "external",  "3rdparty", "dist",
                                        "site-packages", NULL};
    static const char *const names[] = {
        "*_test.*",   "*.test.*",    "*.spec.*",  "test_*",     "*_spec.rb", "*.lock",
        "*lock.json", "*.min.js",    "*.min.css", "*.map",      "*.example", "*.sample",
        "*.template", "*.dist",      "*.md",      "*.rst",      "*.adoc",    "*-lock.yaml",
        "go.sum",     "*.example.*", "*.snap",    "*Test.java", "*Tests.cs", NULL};

    if (has_part(path, parts)) {
        return true;
    }
    for (const char *const *n = names; *n; n++) {
        if (path_matches(*n, path)) {
            return true;
        }
    }
    return false;
}

/* ---- comments ---- */

static bool starts(const char *line, size_t n, const char *with)
{
    size_t len = strlen(with);

    return n >= len && memcmp(line, with, len) == 0;
}

static bool comment_begins(enum comment how, const char *s, size_t n)
{
    bool hash = starts(s, n, "#") && !starts(s, n, "#!") && !starts(s, n, "#[");
    bool slash = starts(s, n, "//") || starts(s, n, "/*") || starts(s, n, "* ") ||
                 starts(s, n, "*/") || (n == 1 && *s == '*');

    switch (how) {
    case COMMENT_HASH:
        return hash;
    case COMMENT_SLASH:
        return slash;
    case COMMENT_BOTH:
        return hash || slash;
    case COMMENT_DASH:
        return starts(s, n, "--");
    case COMMENT_XML:
        return starts(s, n, "<!--");
    default:
        return false;
    }
}

bool line_is_comment(uint64_t bits, const char *line, size_t n)
{
    size_t at = 0;

    while (at < n && (line[at] == ' ' || line[at] == '\t')) {
        at++;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (bits >> i & 1) {
            return comment_begins(kinds[i].comment, line + at, n - at);
        }
    }
    return comment_begins(COMMENT_HASH, line + at, n - at);
}
