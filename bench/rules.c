/*
 * How fast the rules read: bench/rules [-r ROUNDS] FILE... (or the list of files on standard
 * input). All texts are in memory before the clock runs. With -v also which rules cost most.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/rules.h"
#include "engine/rules_literals.h"

struct text {
    char *path, *data;
    size_t n;
};

struct texts {
    struct text *v;
    size_t n, bytes;
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add_file(struct texts *all, const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    struct text t = {0};

    if (!f || fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (8 << 20)) {
        if (f) {
            fclose(f);
        }
        return;
    }
    t.path = xstrdup(path + (path[0] == '/'));
    t.data = xmalloc((size_t)st.st_size + 1);
    t.n = fread(t.data, 1, (size_t)st.st_size, f);
    fclose(f);
    all->v = xrealloc(all->v, (all->n + 1) * sizeof *all->v);
    all->v[all->n++] = t;
    all->bytes += t.n;
}

static int on_finding(void *arg, const struct finding *f, struct err *e)
{
    size_t *found = arg;

    ++*found;
    if (getenv("SHOW")) {
        printf("%s %s:%d %s %d\n", f->engines[0].rule, f->at.path, (int)f->at.line,
               f->secret ? f->secret : "", (int)f->confidence_x100);
    }
    return 0;
}

static int on_literal(void *arg, size_t at, uint32_t of)
{
    ++*(size_t *)arg;
    return 0;
}

/* The pass for literals alone, over a text that has none. */
static void bare_pass(void)
{
    static const char *const words[] = {"password", "eval(", "AKIA"};
    static const uint32_t of[] = {0, 1, 2};
    struct literals *l = literals_new(words, of, 3);
    size_t n = 64 << 20, hits = 0;
    char *text = xmalloc(n);
    double start;

    for (size_t i = 0; i < n; i++) {
        text[i] = "int value = other + 17; /* a line */\n"[i % 37];
    }
    start = seconds();
    literals_find(l, text, n, on_literal, &hits);
    printf("literals: %.0f MB/s over a text without any\n", (double)n / (seconds() - start) / 1e6);
    free(text);
    literals_free(l);
}

int main(int argc, char **argv)
{
    struct texts all = {0};
    struct rules *r = NULL;
    struct err e = {0};
    size_t found = 0, left = 0;
    char line[4096];
    double start = seconds(), took;

    if (rules_new(&r, &e) < 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    printf("%zu rules, %.1f ms to make\n", rules_count(r), 1000 * (seconds() - start));
    bare_pass();
    for (int i = 1; i < argc; i++) {
        add_file(&all, argv[i]);
    }
    while (argc == 1 && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        add_file(&all, line);
    }
    start = seconds();
    for (size_t i = 0; i < all.n; i++) {
        struct engine_file f = {.path = all.v[i].path, .size = all.v[i].n};
        int rc;

        rc = rules_scan(r, &f, all.v[i].data, all.v[i].n, on_finding, &found, &e);
        if (rc != 0) {
            printf("%s: %s\n", all.v[i].path, e.msg);
            left++;
        }
    }
    took = seconds() - start;
    printf("%zu files, %.1f MB: %.3f s, %.0f MB/s, %zu findings, %zu not to their end\n", all.n,
           (double)all.bytes / 1e6, took, (double)all.bytes / took / 1e6, found, left);
    rules_free(r);
    return 0;
}
