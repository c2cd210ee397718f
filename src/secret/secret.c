#include "secret/secret.h"

#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "secret/secret_priv.h"

enum { PAGE = 4096 };

/* ---- memory ---- */

/* Moved by the kernel, page by page: nothing stays behind where it was. */
char *secrets_space(struct secrets *s, size_t n)
{
    char *p;

    if (s->size - s->used < n) {
        size_t size = (MAX(s->size * 2, s->used + n) + PAGE - 1) / PAGE * PAGE;

        p = s->mem ? mremap(s->mem, s->size, size, MREMAP_MAYMOVE)
                   : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            abort(); /* as all small allocations: there are at most some MiB */
        }
        (void)madvise(p, size, MADV_DONTDUMP);
        s->mem = p;
        s->size = size;
    }
    p = s->mem + s->used;
    s->used += n;
    return p;
}

void secrets_lock(struct secrets *s)
{
    /* The bound may be low (64 KiB was usual): the values matter most. */
    if (s && s->mem && mlock(s->mem, s->used) < 0) {
        (void)mlock(s->mem, s->values);
    }
}

void secrets_free(struct secrets *s)
{
    if (!s) {
        return;
    }
    if (s->mem) {
        secure_zero(s->mem, s->size);
        munmap(s->mem, s->size);
    }
    free(s->v);
    free(s->forms);
    free(s->head);
    free(s->next);
    free(s);
}

/* ---- names ---- */

bool secret_name_ok(const char *name)
{
    size_t n = strlen(name);

    return n >= 1 && n <= SECRET_NAME_MAX && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static struct secret_row *find(const struct secrets *s, const char *name)
{
    for (size_t i = 0; s && i < s->n; i++) {
        if (strcmp(s->v[i].name, name) == 0) {
            return &s->v[i];
        }
    }
    return NULL;
}

size_t secrets_count(const struct secrets *s)
{
    return s ? s->n : 0;
}

const char *secrets_name(const struct secrets *s, size_t i)
{
    return s->v[i].name;
}

const char *secrets_get(const struct secrets *s, const char *name, size_t *n)
{
    const struct secret_row *row = find(s, name);

    if (row && n) {
        *n = row->n;
    }
    return row ? s->mem + row->at : NULL;
}

/* ---- loading ---- */

static size_t without_line_end(const char *p, size_t n)
{
    if (n > 0 && p[n - 1] == '\n') {
        n--;
        if (n > 0 && p[n - 1] == '\r') {
            n--;
        }
    }
    return n;
}

int secrets_add(struct secrets *s, const char *name, const char *p, size_t n, const char *what,
                struct err *e)
{
    struct secret_row *row;

    if (find(s, name)) {
        return 0;
    }
    if (n > SECRET_MAX) {
        return err_set(e, ERR_LIMIT, "%s has more than 64 KiB: that is no secret", what);
    }
    n = without_line_end(p, n);
    if (n == 0) {
        return err_set(e, ERR_INVALID, "%s is empty: write the secret into it, or remove it", what);
    }
    if (memchr(p, '\0', n)) {
        return err_set(e, ERR_INVALID, "%s has a NUL byte: secrets are text", what);
    }
    if (s->n == SECRETS_MAX || s->used + n + 1 > SECRETS_BYTES_MAX) {
        return err_set(e, ERR_LIMIT, "%s: there are more than 1,000 secrets or 1 MiB of them",
                       what);
    }
    s->v = xrealloc(s->v, (s->n + 1) * sizeof *s->v);
    row = &s->v[s->n++];
    *row = (struct secret_row){.at = s->used, .n = n};
    memcpy(row->name, name, strlen(name));
    memcpy(secrets_space(s, n + 1), p, n); /* the mapping is zeroes */
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct secret_row *)a)->name, ((const struct secret_row *)b)->name);
}

int secrets_load(const char *dir, struct secrets **out, struct err *e)
{
    struct secrets *s = xcalloc(1, sizeof *s);
    const char *systemd = getenv("CREDENTIALS_DIRECTORY");
    int rc = dir ? secrets_from_dir(s, dir, false, e) : 0;

    if (rc == 0 && systemd && *systemd) {
        rc = secrets_from_dir(s, systemd, true, e);
    }
    if (rc == 0) {
        rc = secrets_from_environment(s, e);
    }
    if (rc != 0) {
        secrets_free(s);
        return rc;
    }
    if (s->n > 0) {
        qsort(s->v, s->n, sizeof *s->v, by_name);
    }
    s->values = s->used;
    for (size_t i = 0; i < s->n; i++) {
        secrets_add_forms(s, i);
    }
    secrets_index(s);
    secrets_lock(s);
    secrets_share(s, false);
    *out = s;
    return 0;
}
