#include "tap.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

struct err tap_err;

static jmp_buf out;
static char why[4096];
static char dir[64];

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void remove_dir(void)
{
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_dir(void)
{
    if (!dir[0]) {
        snprintf(dir, sizeof dir, "%s/scanpod-test-XXXXXX", "/tmp");
        if (!mkdtemp(dir)) {
            perror("mkdtemp");
            exit(99);
        }
        atexit(remove_dir);
    }
    return dir;
}

void tap_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(why, sizeof why, "%s:%d: ", file, line);

    va_start(ap, fmt);
    vsnprintf(why + n, sizeof why - (size_t)n, fmt, ap);
    va_end(ap);
    longjmp(out, 1);
}

void tap_skip(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    longjmp(out, 2);
}

static char *read_file(const char *base, const char *path, size_t *n)
{
    auto_free char *full = str_fmt("%s/%s", base ? base : ".", path);
    struct buf b = {0};
    FILE *f = fopen(full, "rb");
    size_t k;
    char chunk[65536];

    if (!f) {
        return NULL;
    }
    while ((k = fread(chunk, 1, sizeof chunk, f)) > 0) {
        buf_add(&b, chunk, k);
    }
    fclose(f);
    if (n) {
        *n = b.len;
    }
    return buf_take(&b);
}

char *test_data(const char *path, size_t *n)
{
    char *text = read_file(getenv("SCANPOD_TEST_DATA"), path, n);

    if (!text) {
        tap_fail(__FILE__, __LINE__, "no test data '%s'", path);
    }
    return text;
}

/* The checkout may lie where only its owner can go, such as /root: a copy is used. */
const char *test_standin(void)
{
    static char copy[sizeof dir + 16];
    const char *path = getenv("SCANPOD_TEST_STANDIN");
    auto_free char *program = NULL;
    size_t n;
    FILE *f;

    if (copy[0]) {
        return copy;
    }
    program = path ? read_file("", path, &n) : NULL;
    if (!program) {
        tap_fail(__FILE__, __LINE__, "SCANPOD_TEST_STANDIN is not set, or there is no such file");
    }
    snprintf(copy, sizeof copy, "%s/standin", test_dir());
    f = fopen(copy, "wb");
    if (!f || fwrite(program, 1, n, f) != n || fchmod(fileno(f), 0755) < 0 || fclose(f) != 0 ||
        chmod(dir, 0755) < 0) {
        tap_fail(__FILE__, __LINE__, "cannot copy '%s' to '%s'", path, copy);
    }
    return copy;
}

bool test_fixtures_present(void)
{
    const char *base = getenv("SCANPOD_TEST_FIXTURES");

    return base && access(base, R_OK) == 0;
}

char *test_fixture(const char *path, size_t *n)
{
    char *text;

    if (!test_fixtures_present()) {
        tap_skip("shared fixtures are not beside this repository");
    }
    text = read_file(getenv("SCANPOD_TEST_FIXTURES"), path, n);
    if (!text) {
        tap_fail(__FILE__, __LINE__, "no fixture '%s'", path);
    }
    return text;
}

int tap_run(const struct tap_test *tests, unsigned n, int argc, char **argv)
{
    volatile unsigned failed = 0;
    const char *only = argc > 1 ? argv[1] : NULL;

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("TAP version 13\n1..%u\n", n);
    for (volatile unsigned i = 0; i < n; i++) {
        int how;

        if (only && !strstr(tests[i].name, only)) {
            printf("ok %u - %s # SKIP not asked for\n", i + 1, tests[i].name);
            continue;
        }
        how = setjmp(out);
        if (how == 0) {
            tests[i].fn();
            printf("ok %u - %s\n", i + 1, tests[i].name);
        } else if (how == 2) {
            printf("ok %u - %s # SKIP %s\n", i + 1, tests[i].name, why);
        } else {
            printf("not ok %u - %s\n# %s\n", i + 1, tests[i].name, why);
            failed++;
        }
    }
    return failed ? 1 : 0;
}
