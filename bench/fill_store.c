/*
 * fill_store - a store with many finished jobs, made through the store's own interface.
 * usage: fill_store DIR N; prints the id of a job in the middle. Each job has one host with two
 * ports, as if a scan of one address had ended; a commit for each thousand.
 */
#include <inttypes.h>
#include <stdio.h>
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

int main(int argc, char **argv)
{
    auto_free char *url = NULL;
    struct store *s = NULL;
    struct err e = {0};
    uint64_t count;
    int rc;

    if (argc != 3 || !str_to_u64(argv[2], 1, 100000000, &count)) {
        fputs("usage: fill_store DIR N\n", stderr);
        return 2;
    }
    url = str_fmt("sqlite:%s", argv[1]);
    rc = store_open(url, &s, &e);
    if (rc == 0) {
        rc = fill(s, count, &e);
    }
    store_close(s);
    if (rc != 0) {
        fprintf(stderr, "fill_store: %s\n", e.msg);
    }
    return rc == 0 ? 0 : 1;
}
