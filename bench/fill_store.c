/*
 * fill_store - a store with many jobs, made through the store's own interface.
 * usage: fill_store DIR N          finished jobs; prints the id of one in the middle. Each has one
 *                                  host with two ports, as if a scan of one address had ended; a
 *                                  commit for each thousand
 *        fill_store DIR N queued K waiting jobs of K keys; then the store is opened again and 5000
 *                                  of them are claimed. Prints what that took
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/host.h"
#include "model/job.h"
#include "store/store.h"

enum { BATCH = 1000 };

static void job_fill(struct job *j, uint64_t n)
{
    job_init(j);
    j->id = id_new();
    j->tool = xstrdup("nmap");
    j->targets = str_fmt("127.%d.%d.%d", (int)(n >> 16 & 255), (int)(n >> 8 & 255), (int)(n & 255));
    j->ports = xstrdup("22,80");
    j->arguments = xstrdup("-sT");
    j->run_timeout_s = 900;
    j->queue_timeout_s = 86400;
    j->created_us = wall_us();
    j->queue_expires_us = j->created_us + INT64_C(86400000000);
    j->key_id = xstrdup("");
}

static int host_add(struct store *s, const struct lease *l, const struct job *j, struct err *e)
{
    static const struct port ports[] = {
        {.number = 22,
         .protocol = "tcp",
         .state = "open",
         .reason = "syn-ack",
         .reason_ttl = -1,
         .has_service = true,
         .service = "ssh",
         .method = "table",
         .conf = 3},
        {.number = 80,
         .protocol = "tcp",
         .state = "closed",
         .reason = "conn-refused",
         .reason_ttl = -1,
         .has_service = true,
         .service = "http",
         .method = "table",
         .conf = 3},
    };
    struct host_addr addr = {.addr = j->targets, .type = "ipv4"};
    struct host head = {.state = "up",
                        .reason = "localhost-response",
                        .reason_ttl = -1,
                        .addrs = &addr,
                        .n_addrs = 1};
    int64_t seq;
    int rc = store_host_begin(s, l, &head, &seq, e);

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(ports); i++) {
        rc = store_host_port(s, &ports[i], e);
    }
    return rc == 0 ? store_host_end(s, e) : rc;
}

static int job_run(struct store *s, uint64_t n, struct id *id, struct err *e)
{
    struct job j = {0}, claimed = {0};
    struct task task = {0};
    struct outcome done = {
        .state = JOB_COMPLETED, .command_line = "nmap -oX - -sT -p 22,80", .tool_version = "7.93"};
    bool got = false;
    int rc;

    job_fill(&j, n);
    *id = j.id;
    rc = store_job_add(s, &j, e);
    if (rc == 0) {
        rc = store_task_claim(s, "fill", NULL, NULL, &task, &claimed, &got, e);
    }
    if (rc == 0 && !got) {
        rc = err_set(e, ERR_INTERNAL, "the job just added cannot be claimed");
    }
    if (rc == 0) {
        struct lease l = {
            .job_id = task.job_id, .idx = task.idx, .epoch = task.epoch, .token = task.token};

        rc = host_add(s, &l, &claimed, e);
        if (rc == 0) {
            rc = store_task_finish(s, &l, &done, 0, NULL, e);
        }
    }
    job_done(&j);
    job_done(&claimed);
    return rc;
}

static int fill(struct store *s, uint64_t count, struct err *e)
{
    struct id id = {0};
    char text[ID_TEXT + 1] = "";
    int rc = 0;

    for (uint64_t n = 1; rc == 0 && n <= count; n++) {
        rc = job_run(s, n, &id, e);
        if (rc == 0 && n == (count + 1) / 2) {
            id_text(&id, text);
        }
        if (rc == 0 && (n % BATCH == 0 || n == count)) {
            rc = store_commit(s, e);
            store_idle(s);
        }
    }
    if (rc == 0) {
        puts(text);
    }
    return rc;
}

/* ---- jobs that wait ---- */

enum { CLAIMS = 5000, TURN = 8 };

static int enqueue(struct store *s, uint64_t count, uint64_t keys, struct err *e)
{
    int64_t start = boot_us();
    int rc = 0;

    for (uint64_t n = 1; rc == 0 && n <= count; n++) {
        struct job j = {0};

        job_fill(&j, n);
        if (keys > 1) {
            free(j.key_id);
            j.key_id = str_fmt("%016" PRIx64, n % keys);
        }
        rc = store_job_add(s, &j, e);
        job_done(&j);
        if (rc == 0 && (n % BATCH == 0 || n == count)) {
            rc = store_commit(s, e);
            store_idle(s);
        }
    }
    printf("submit_us %.2f\n", (double)(boot_us() - start) / (double)count);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* A commit for every few, whose time is not the claims'. */
static int claims(struct store *s, struct err *e)
{
    int64_t took[CLAIMS];
    size_t n = 0;
    bool got = true;
    int rc = 0;

    while (rc == 0 && got && n < CLAIMS) {
        struct job j = {0};
        struct task t;
        int64_t start = boot_us();

        rc = store_task_claim(s, "fill", NULL, NULL, &t, &j, &got, e);
        took[n] = boot_us() - start;
        n += got;
        job_done(&j);
        if (rc == 0 && n % TURN == 0) {
            rc = store_commit(s, e);
        }
    }
    if (rc == 0 && n > 0) {
        qsort(took, n, sizeof took[0], by_value);
        printf("claims %zu\nclaim_p50_us %" PRId64 "\nclaim_p99_us %" PRId64
               "\nclaim_max_us %" PRId64 "\n",
               n, took[n / 2], took[n * 99 / 100], took[n - 1]);
    }
    return rc;
}

static int measure_queue(const char *url, uint64_t count, uint64_t keys, struct err *e)
{
    struct store *s = NULL;
    size_t heap;
    int64_t start;
    int rc = store_open(url, &s, e);

    if (rc == 0) {
        rc = enqueue(s, count, keys, e);
    }
    store_close(s);
    s = NULL;
    heap = mallinfo2().uordblks + mallinfo2().hblkhd;
    start = boot_us();
    if (rc == 0) {
        rc = store_open(url, &s, e);
    }
    if (rc == 0) {
        printf("open_ms %.1f\nheap_bytes_per_job %.1f\n", (double)(boot_us() - start) / 1000,
               (double)(mallinfo2().uordblks + mallinfo2().hblkhd - heap) / (double)count);
        rc = claims(s, e);
    }
    store_close(s);
    return rc;
}

int main(int argc, char **argv)
{
    auto_free char *url = NULL;
    struct store *s = NULL;
    struct err e = {0};
    uint64_t count;
    uint64_t keys = 0;
    int rc;

    if ((argc != 3 && argc != 5) || !str_to_u64(argv[2], 1, 100000000, &count) ||
        (argc == 5 && (!str_eq(argv[3], "queued") || !str_to_u64(argv[4], 1, 100000, &keys)))) {
        fputs("usage: fill_store DIR N [queued KEYS]\n", stderr);
        return 2;
    }
    url = str_fmt("sqlite:%s", argv[1]);
    if (keys > 0) {
        rc = measure_queue(url, count, keys, &e);
    } else {
        rc = store_open(url, &s, &e);
        if (rc == 0) {
            rc = fill(s, count, &e);
        }
        store_close(s);
    }
    if (rc != 0) {
        fprintf(stderr, "fill_store: %s\n", e.msg);
    }
    return rc == 0 ? 0 : 1;
}
