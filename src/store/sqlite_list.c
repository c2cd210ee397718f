/*
 * Lists of jobs in SQLite: by number, and merged from the index (tool, state, num) when a filter
 * names states or a tool, so that a page costs the same however many jobs there are.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/sqlite.h"

enum { ALL_STATES = (1u << JOB_STATES) - 1 };

/* A filter as bounds: jobs with lo < num < hi, created_us >= since. */
struct walk {
    const struct job_filter *f;
    int64_t lo, hi;
    int tool; /* number; 0: all */
};

static int scan_start(struct sqlite *q, const struct job_filter *f, struct walk *sc)
{
    static const char mark[] =
        "SELECT num FROM mark WHERE created_us < ? ORDER BY created_us DESC, num DESC LIMIT 1";
    int64_t from = 0;

    *sc = (struct walk){.f = f, .lo = 0, .hi = INT64_MAX};
    if (f->since_us > 0) {
        struct binder b = {sq_stmt(q, mark), 0};
        int rc;

        b_int(&b, f->since_us);
        rc = sqlite_one(q, b.st, &from);
        if (rc != 0) {
            return rc;
        }
        sc->lo = from;
    }
    if (f->after > 0 && f->oldest_first) {
        sc->lo = MAX(sc->lo, f->after);
    } else if (f->after > 0) {
        sc->hi = f->after;
    }
    if (f->tool) {
        sc->tool = -1; /* unknown until found */
        for (int i = 0; i < q->n_tools; i++) {
            if (strcmp(q->tools[i], f->tool) == 0) {
                sc->tool = i + 1;
            }
        }
    }
    return 0;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static int descending(const void *a, const void *b)
{
    return ascending(b, a);
}

static const char list_up[] = "SELECT num FROM job WHERE tool = ? AND state = ?"
                              " AND num > ? AND num < ? ORDER BY num LIMIT ?";
static const char list_down[] = "SELECT num FROM job WHERE tool = ? AND state = ?"
                                " AND num > ? AND num < ? ORDER BY num DESC LIMIT ?";

/* Numbers in order, found one after the other in the index. */
static int stream(struct sqlite *q, const struct walk *sc, int tool, int state, int64_t *nums,
                  uint32_t *n)
{
    struct binder b = {sq_stmt(q, sc->f->oldest_first ? list_up : list_down), 0};

    b_int(&b, tool);
    b_int(&b, state);
    b_int(&b, sc->lo);
    b_int(&b, sc->hi);
    b_int(&b, sc->f->limit);
    return sqlite_nums(q, b.st, sc->f->limit, nums, n);
}

/* The first numbers that match tool and states, in order; each stream gives its first. */
static int merged(struct sqlite *q, const struct walk *sc, int64_t *nums, uint32_t *n)
{
    uint32_t limit = sc->f->limit;
    auto_free int64_t *all = NULL;
    size_t size = 0;
    size_t total = 0;
    int rc = 0;

    for (int t = 1; rc == 0 && t <= q->n_tools; t++) {
        for (int st = 0; rc == 0 && st < JOB_STATES; st++) {
            uint32_t got = 0;

            if ((sc->tool && sc->tool != t) || !(sc->f->states & (1u << st))) {
                continue;
            }
            if (total + limit > size) {
                size = 2 * size + limit;
                all = xrealloc(all, size * sizeof *all);
            }
            rc = stream(q, sc, t, st, all + total, &got);
            total += got;
        }
    }
    if (total > 0) {
        qsort(all, total, sizeof *all, sc->f->oldest_first ? ascending : descending);
        memcpy(nums, all, MIN(total, limit) * sizeof *nums);
    }
    *n = (uint32_t)MIN(total, limit);
    return rc;
}

/* One page by merging: jobs are fetched one by one. */
static int give_merged(struct sqlite *q, struct walk *sc, job_fn fn, void *arg)
{
    uint32_t limit = sc->f->limit;
    auto_free int64_t *nums = xcalloc(limit, sizeof *nums);
    uint32_t left = limit;
    uint32_t n = limit;
    int rc = 0;

    while (rc == 0 && left > 0 && n == limit) {
        rc = merged(q, sc, nums, &n);
        for (uint32_t i = 0; rc == 0 && left > 0 && i < n; i++) {
            struct job j = {0};

            rc = sqlite_job_find(&q->base, NULL, nums[i], &j);
            if (rc == 0 && j.created_us >= sc->f->since_us) {
                rc = fn(arg, &j, &q->base.err);
                left--;
            }
            job_done(&j);
        }
        if (n > 0 && sc->f->oldest_first) {
            sc->lo = nums[n - 1];
        } else if (n > 0) {
            sc->hi = nums[n - 1];
        }
    }
    return rc;
}

/* All its statements read under one lock, not each under one of its own. */
static int list_merged(struct sqlite *q, struct walk *sc, job_fn fn, void *arg)
{
    bool alone = sqlite3_get_autocommit(q->db);
    int rc = alone ? sq_run(q, sq_stmt(q, "BEGIN"), "list jobs") : 0;
    int end;

    if (rc != 0) {
        return rc;
    }
    rc = give_merged(q, sc, fn, arg);
    end = alone ? sq_run(q, sq_stmt(q, "COMMIT"), "list jobs") : 0;
    return rc != 0 ? rc : end;
}

static int list_by_num(struct sqlite *q, const struct walk *sc, job_fn fn, void *arg)
{
    static const char up[] = "SELECT " JOB_COLUMNS " FROM job WHERE num > ? AND num < ?"
                             " AND created_us >= ? ORDER BY num LIMIT ?";
    static const char down[] = "SELECT " JOB_COLUMNS " FROM job WHERE num > ? AND num < ?"
                               " AND created_us >= ? ORDER BY num DESC LIMIT ?";
    struct binder b = {sq_stmt(q, sc->f->oldest_first ? up : down), 0};
    int rc;

    b_int(&b, sc->lo);
    b_int(&b, sc->hi);
    b_int(&b, sc->f->since_us > 0 ? sc->f->since_us : INT64_MIN);
    b_int(&b, sc->f->limit);
    while ((rc = sq_step(q, b.st, "list jobs")) > 0) {
        struct columns c = {b.st, 0};
        struct job j;
        int stop;

        sqlite_job_read(q, &c, &j);
        stop = fn(arg, &j, &q->base.err);
        job_done(&j);
        if (stop != 0) {
            sqlite3_reset(b.st);
            return stop;
        }
    }
    return rc;
}

int sqlite_job_list(struct store *s, const struct job_filter *f, job_fn fn, void *arg)
{
    struct sqlite *q = sqlite_of(s);
    struct walk sc;
    int rc = scan_start(q, f, &sc);

    if (rc != 0 || sc.tool < 0) {
        return rc;
    }
    if (f->states == ALL_STATES && !f->tool) {
        return list_by_num(q, &sc, fn, arg);
    }
    return list_merged(q, &sc, fn, arg);
}

/* ---- heads ---- */

static int heads_by_num(struct sqlite *q, const struct walk *sc, job_head_fn fn, void *arg)
{
    static const char up[] = "SELECT num, id, state FROM job WHERE num > ? AND num < ?"
                             " AND created_us >= ? ORDER BY num LIMIT ?";
    static const char down[] = "SELECT num, id, state FROM job WHERE num > ? AND num < ?"
                               " AND created_us >= ? ORDER BY num DESC LIMIT ?";
    struct binder b = {sq_stmt(q, sc->f->oldest_first ? up : down), 0};
    int rc;

    b_int(&b, sc->lo);
    b_int(&b, sc->hi);
    b_int(&b, sc->f->since_us > 0 ? sc->f->since_us : INT64_MIN);
    b_int(&b, sc->f->limit);
    while ((rc = sq_step(q, b.st, "list jobs")) > 0) {
        struct columns c = {b.st, 0};
        int64_t num = c_int(&c);
        struct id id;
        int stop;

        c_bytes(&c, id.b, ID_LEN);
        stop = fn(arg, num, &id, (enum job_state)c_int(&c));
        if (stop != 0) {
            sqlite3_reset(b.st);
            return stop;
        }
    }
    return rc;
}

int sqlite_job_heads(struct store *s, const struct job_filter *f, job_head_fn fn, void *arg)
{
    struct sqlite *q = sqlite_of(s);
    struct head_sink h = {fn, arg};
    struct walk sc;
    int rc = scan_start(q, f, &sc);

    if (rc != 0 || sc.tool < 0) {
        return rc;
    }
    if (f->states == ALL_STATES && !f->tool) {
        return heads_by_num(q, &sc, fn, arg);
    }
    return list_merged(q, &sc, job_head_of, &h);
}
