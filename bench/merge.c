/*
 * merge - what merging the results of a planned job costs, through the store's own interface.
 * usage: merge DIR HOSTS PORTS SHARDS addresses|ports|findings
 *
 * A job of SHARDS tasks finds PORTS open ports on each of HOSTS hosts. "addresses": each task has a
 * part of the hosts; "ports": each has all hosts, and a part of the ports; "findings": each has a
 * part of the hosts, which come as masscan's parser gives them: sorted runs of 65,536 findings.
 * Prints rates, the times of steps of 2,000 rows with their commits, of pages of 100 hosts while it
 * merges and after, and the memory of the process.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/host.h"
#include "model/job.h"
#include "store/store.h"

enum { STEP = 2000, PAGE = 100, INTAKE = 2000, RUN = 65536, PAGE_EVERY = 4 };

struct times {
    int64_t *v; /* microseconds */
    size_t n, size;
};

struct bench {
    struct store *s;
    struct id id;
    int64_t num;
    uint64_t hosts, ports, shards;
    const char *how;
    uint64_t rows; /* since the last commit */
    struct times steps, pages, address_pages;
    uint64_t x; /* of the random numbers */
};

/* ---- times ---- */

static void note(struct times *t, int64_t us)
{
    if (t->n == t->size) {
        t->size = t->size ? 2 * t->size : 1024;
        t->v = xrealloc(t->v, t->size * sizeof *t->v);
    }
    t->v[t->n++] = us;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void show(const char *what, struct times *t)
{
    if (t->n > 0) {
        qsort(t->v, t->n, sizeof *t->v, by_size);
        printf("%s: %zu, ms: p50 %.2f p99 %.2f max %.2f\n", what, t->n,
               (double)t->v[t->n / 2] / 1e3, (double)t->v[t->n * 99 / 100] / 1e3,
               (double)t->v[t->n - 1] / 1e3);
    }
    free(t->v);
    *t = (struct times){0};
}

static uint64_t next(struct bench *b)
{
    uint64_t z = (b->x += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    return z ^ (z >> 27);
}

static long peak_kib(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* ---- what the tasks find ---- */

static int host_put(struct bench *b, const struct lease *l, uint64_t host, uint64_t first,
                    uint64_t n, struct err *e)
{
    char text[16];
    struct host_addr addr = {.addr = text, .type = "ipv4"};
    struct host head = {.state = "up",
                        .reason = "syn-ack",
                        .reason_ttl = 60,
                        .start_s = 1700000000,
                        .end_s = 1700000009,
                        .addrs = &addr,
                        .n_addrs = 1};
    int rc;

    snprintf(text, sizeof text, "10.%u.%u.%u", (unsigned)(host >> 16 & 255),
             (unsigned)(host >> 8 & 255), (unsigned)(host & 255));
    rc = store_host_begin(b->s, l, &head, NULL, e);
    for (uint64_t i = first; rc == 0 && i < first + n; i++) {
        struct port p = {.number = (uint16_t)(i * 7 % 65536),
                         .protocol = "tcp",
                         .state = "open",
                         .reason = "syn-ack",
                         .reason_ttl = 60,
                         .conf = -1};

        rc = store_host_port(b->s, &p, e);
    }
    if (rc == 0) {
        rc = store_host_end(b->s, e);
    }
    b->rows += 1 + n;
    if (rc == 0 && b->rows >= INTAKE) {
        b->rows = 0;
        rc = store_commit(b->s, e);
        store_idle(b->s);
    }
    return rc;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* A part of the hosts, findings in random order, sorted in runs. */
static int findings(struct bench *b, const struct lease *l, uint64_t lo, uint64_t hi, struct err *e)
{
    uint64_t n = (hi - lo) * b->ports;
    auto_free uint64_t *all = xmalloc((n + 1) * sizeof *all);
    int rc = 0;

    for (uint64_t i = 0; i < n; i++) {
        uint64_t k = next(b) % (i + 1);

        all[i] = all[k];
        all[k] = i;
    }
    for (uint64_t at = 0; rc == 0 && at < n; at += RUN) {
        uint64_t end = MIN(at + RUN, n);

        qsort(all + at, end - at, sizeof *all, by_number);
        for (uint64_t i = at; rc == 0 && i < end;) {
            uint64_t host = all[i] / b->ports;
            uint64_t first = all[i] % b->ports;
            uint64_t k = i + 1;

            while (k < end && all[k] == all[k - 1] + 1 && all[k] / b->ports == host) {
                k++;
            }
            rc = host_put(b, l, lo + host, first, k - i, e);
            i = k;
        }
    }
    return rc;
}

static int run_task(struct bench *b, const struct lease *l, uint64_t k, struct err *e)
{
    bool by_port = strcmp(b->how, "ports") == 0;
    uint64_t lo = by_port ? 0 : b->hosts * k / b->shards;
    uint64_t hi = by_port ? b->hosts : b->hosts * (k + 1) / b->shards;
    uint64_t first = by_port ? b->ports * k / b->shards : 0;
    uint64_t last = by_port ? b->ports * (k + 1) / b->shards : b->ports;
    int rc = 0;

    if (strcmp(b->how, "findings") == 0) {
        return findings(b, l, lo, hi, e);
    }
    for (uint64_t i = lo; rc == 0 && i < hi; i++) {
        rc = host_put(b, l, i, first, last - first, e);
    }
    return rc;
}

static int fill(struct bench *b, struct err *e)
{
    static const struct outcome done = {.state = JOB_COMPLETED};
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < b->shards; i++) {
        struct job job = {0};
        struct task task;
        struct lease l;
        bool got = false;

        rc = store_task_claim(b->s, "bench", NULL, NULL, &task, &job, &got, e);
        if (rc == 0 && !got) {
            rc = err_set(e, ERR_INTERNAL, "the task just added cannot be claimed");
        }
        if (rc == 0) {
            b->num = job.num;
            l = (struct lease){task.job_id, task.idx, task.epoch, task.token};
            rc = run_task(b, &l, (uint64_t)task.idx, e);
        }
        if (rc == 0) {
            rc = store_task_finish(b->s, &l, &done, 0, NULL, e);
        }
        if (rc == 0) {
            rc = store_commit(b->s, e);
        }
        job_done(&job);
    }
    return rc;
}

static int add_job(struct bench *b, struct err *e)
{
    struct job j;
    struct task_new task = {.weight = 1, .spec = "{}"};
    int rc;

    job_init(&j);
    j.id = b->id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup("10.0.0.0/8");
    j.key_id = xstrdup("");
    j.plan = xstrdup("{}");
    j.created_us = wall_us();
    rc = store_job_add(b->s, &j, e);
    for (uint64_t i = 0; rc == 0 && i < b->shards; i++) {
        rc = store_task_add(b->s, &b->id, &task, 1, NULL, e);
    }
    job_done(&j);
    return rc == 0 ? store_commit(b->s, e) : rc;
}

/* ---- pages ---- */

static int on_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    (void)seq;
    (void)h;
    (void)e;
    ++*(uint64_t *)arg;
    return 0;
}

static int on_port(void *arg, const struct port *p, struct err *e)
{
    (void)p;
    (void)e;
    ++*(uint64_t *)arg;
    return 0;
}

/* One page at a random place, in either order. */
static int page(struct bench *b, struct err *e)
{
    uint64_t rows = 0;
    struct host_sink sink = {.host = on_host, .port = on_port, .arg = &rows};
    uint64_t place = next(b) % b->hosts;
    uint8_t key[HOST_KEY] = {4, 10, (uint8_t)(place >> 16), (uint8_t)(place >> 8), (uint8_t)place};
    struct host_filter f = {.after = (int64_t)place, .limit = PAGE};
    int64_t start = boot_us();
    int rc = store_hosts(b->s, b->num, &f, &sink, e);

    note(&b->pages, boot_us() - start);
    f.by_address = true;
    f.after_key = key;
    start = boot_us();
    if (rc == 0) {
        rc = store_hosts(b->s, b->num, &f, &sink, e);
    }
    note(&b->address_pages, boot_us() - start);
    return rc;
}

static void show_pages(struct bench *b, const char *when)
{
    auto_free char *seq = str_fmt("pages in order of sight %s", when);
    auto_free char *address = str_fmt("pages in order of address %s", when);

    show(seq, &b->pages);
    show(address, &b->address_pages);
}

/* ---- merging ---- */

static int step(struct bench *b, bool *more, int64_t *total, struct err *e)
{
    int64_t start = boot_us();
    int64_t took;
    int rc = store_merge_step(b->s, STEP, more, e);

    if (rc == 0) {
        rc = store_commit(b->s, e);
    }
    took = boot_us() - start;
    note(&b->steps, took);
    start = boot_us();
    store_idle(b->s);
    *total += took + boot_us() - start;
    return rc;
}

static int merge(struct bench *b, struct err *e)
{
    struct job j = {0};
    int64_t us = 0;
    bool more = true;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && more; i++) {
        rc = step(b, &more, &us, e);
        if (rc == 0 && i % PAGE_EVERY == 0) {
            rc = page(b, e);
        }
    }
    if (rc == 0) {
        rc = store_job_get(b->s, &b->id, &j, e);
    }
    if (rc == 0) {
        printf("merged: %" PRId64 " hosts, %" PRId64 " open ports in %.2f s with checkpoints: %.0f "
               "ports/s\n",
               j.hosts, j.ports_open, (double)us / 1e6, (double)j.ports_open / ((double)us / 1e6));
        show("steps with their commits", &b->steps);
        show_pages(b, "meanwhile");
    }
    job_done(&j);
    return rc;
}

static int purge(struct bench *b, struct err *e)
{
    int64_t start = boot_us();
    bool more = true;
    int rc = 0;

    while (rc == 0 && more) {
        char *path = NULL;
        int64_t id;
        int64_t at = boot_us();

        rc = store_purge_step(b->s, STEP, &more, &path, &id, e);
        free(path);
        if (rc == 0) {
            rc = store_commit(b->s, e);
        }
        note(&b->steps, boot_us() - at);
        store_idle(b->s);
    }
    printf("tasks' own rows removed in %.2f s\n", (double)(boot_us() - start) / 1e6);
    show("steps of that", &b->steps);
    return rc;
}

static int run(struct bench *b, struct err *e)
{
    int64_t start = boot_us();
    int rc = add_job(b, e);

    if (rc == 0) {
        rc = fill(b, e);
    }
    if (rc == 0) {
        double s = (double)(boot_us() - start) / 1e6;

        printf("received: %" PRIu64 " ports in %.2f s: %.0f ports/s; peak memory %ld KiB\n",
               b->hosts * b->ports, s, (double)(b->hosts * b->ports) / s, peak_kib());
        rc = merge(b, e);
    }
    for (int i = 0; rc == 0 && i < 1000; i++) {
        rc = page(b, e);
    }
    if (rc == 0) {
        show_pages(b, "after it");
        rc = purge(b, e);
    }
    printf("peak memory %ld KiB\n", peak_kib());
    return rc;
}

int main(int argc, char **argv)
{
    struct bench b = {.x = 1};
    auto_free char *url = NULL;
    struct err e = {0};
    int rc;

    if (argc != 6 || !str_to_u64(argv[2], 1, 1 << 24, &b.hosts) ||
        !str_to_u64(argv[3], 1, 65536, &b.ports) || !str_to_u64(argv[4], 1, 1024, &b.shards) ||
        (strcmp(argv[5], "addresses") != 0 && strcmp(argv[5], "ports") != 0 &&
         strcmp(argv[5], "findings") != 0)) {
        fputs("usage: merge DIR HOSTS PORTS SHARDS addresses|ports|findings\n", stderr);
        return 2;
    }
    b.how = argv[5];
    url = str_fmt("sqlite:%s", argv[1]);
    rc = store_open(url, &b.s, &e);
    if (rc == 0) {
        rc = run(&b, &e);
    }
    store_close(b.s);
    if (rc != 0) {
        fprintf(stderr, "merge: %s\n", e.msg);
    }
    return rc == 0 ? 0 : 1;
}
