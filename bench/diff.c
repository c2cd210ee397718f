/*
 * diff - what comparing and writing out large results costs.
 * usage: diff DIR HOSTS PORTS SHARDS
 *
 * Makes two results of HOSTS hosts with PORTS open ports each, in one of which every tenth port is
 * closed and every hundredth host is gone, with the cells of SHARDS tasks; a process of its own
 * compares them, another one writes the first one in each format. Prints seconds, rates and the
 * greatest memory of each.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/job.h"
#include "report/diff.h"
#include "report/report.h"
#include "store/store.h"

enum { COMMIT = 20000, STEP = 2000, CHUNK = 64 * 1024, PAGE = 256 };

struct plan {
    const char *url;
    uint64_t hosts, ports, shards;
};

/* ---- filling ---- */

static int host_add(struct store *s, const struct lease *l, const struct plan *p, uint64_t i,
                    bool second, struct err *e)
{
    char text[32];
    struct host_addr addr = {.addr = text, .type = "ipv4"};
    struct host head = {
        .state = "up", .reason = "echo-reply", .reason_ttl = -1, .addrs = &addr, .n_addrs = 1};
    struct port port = {.protocol = "tcp",
                        .state = "open",
                        .reason = "syn-ack",
                        .reason_ttl = 64,
                        .has_service = true,
                        .service = "http",
                        .product = "nginx",
                        .version = "1.22.1",
                        .method = "probed",
                        .conf = 10};
    int64_t seq;
    int rc;

    snprintf(text, sizeof text, "10.%d.%d.%d", (int)(i >> 16), (int)(i >> 8 & 255), (int)(i & 255));
    rc = store_host_begin(s, l, &head, &seq, e);
    for (uint64_t k = 0; rc == 0 && k < p->ports; k++) {
        port.number = (uint16_t)(k + 1);
        if (!second || (i + k) % 10) {
            rc = store_host_port(s, &port, e);
        }
    }
    return rc == 0 ? store_host_end(s, e) : rc;
}

static int finish(struct store *s, const struct lease *l, const struct plan *p, struct err *e)
{
    struct outcome o = {.state = JOB_COMPLETED};
    struct coverage_cell *cells = xcalloc(p->shards, sizeof *cells);
    uint64_t part = (p->hosts + p->shards - 1) / p->shards;
    auto_strvec text = {0};
    int rc;

    for (uint64_t i = 0; i < p->shards; i++) {
        uint64_t first = i * part;
        uint64_t last = first + part - 1;

        strvec_pushf(&text, "10.%d.%d.%d-10.%d.%d.%d", (int)(first >> 16), (int)(first >> 8 & 255),
                     (int)(first & 255), (int)(last >> 16), (int)(last >> 8 & 255),
                     (int)(last & 255));
        cells[i] = (struct coverage_cell){
            .addresses = text.v[i], .protocol = "tcp", .ports = "1-65535", .up_only = true};
    }
    o.cells = cells;
    o.n_cells = p->shards;
    rc = store_task_finish(s, l, &o, 0, NULL, e);
    free(cells);
    return rc;
}

static int result_add(struct store *s, const struct plan *p, bool second, int64_t *num,
                      struct err *e)
{
    struct job j = {0}, claimed = {0};
    struct task t;
    struct lease l;
    bool got = false;
    int rc;

    job_init(&j);
    j.id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup("10.0.0.0/8");
    j.run_timeout_s = 900;
    j.key_id = xstrdup("");
    j.created_us = wall_us();
    rc = store_job_add(s, &j, e);
    job_done(&j);
    rc = rc ? rc : store_task_claim(s, "bench", NULL, NULL, &t, &claimed, &got, e);
    *num = claimed.num;
    job_done(&claimed);
    l = (struct lease){.job_id = t.job_id, .idx = t.idx, .epoch = t.epoch, .token = t.token};
    for (uint64_t i = 0, rows = 0; rc == 0 && i < p->hosts; i++) {
        if (!second || i % 100) {
            rc = host_add(s, &l, p, i, second, e);
        }
        rows += p->ports;
        if (rc == 0 && rows >= COMMIT) {
            rc = store_commit(s, e);
            store_idle(s);
            rows = 0;
        }
    }
    rc = rc ? rc : finish(s, &l, p, e);
    return rc ? rc : store_commit(s, e);
}

/* ---- comparing ---- */

static int count_text(void *arg, const struct diff_item *it, struct err *e)
{
    struct buf *b = arg;

    (void)e;
    buf_reset(b);
    diff_item_json(it, b);
    return 0;
}

static int compare(struct store *s, int64_t a, int64_t b, struct err *e)
{
    int64_t longest = 0;
    struct diff *d;
    bool more = true;
    auto_buf out = {0};
    auto_buf counts = {0};
    int rc = diff_new(s, a, b, &d, e);

    if (rc) {
        return rc;
    }
    while (rc == 0 && more) {
        int64_t at = boot_us();

        rc = diff_step(d, STEP, count_text, &out, &more, e);
        longest = MAX(longest, boot_us() - at);
    }
    diff_counts_json(diff_counts(d), &counts);
    printf("diff       %s, longest step %.1f ms\n", counts.data, (double)longest / 1000);
    diff_free(d);
    return rc;
}

/* ---- writing ---- */

struct writer {
    const struct report_format *f;
    void *w;
    struct buf *out;
    uint64_t bytes;
    int64_t last;
    uint32_t hosts;
};

static int on_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct writer *w = arg;

    w->last = seq;
    w->hosts++;
    return w->f->sink.host(w->w, seq, h, e);
}

static int on_port(void *arg, const struct port *p, struct err *e)
{
    struct writer *w = arg;

    return w->f->sink.port(w->w, p, e);
}

static int on_end(void *arg, struct err *e)
{
    struct writer *w = arg;
    int rc = w->f->sink.host_end(w->w, e);

    if (w->out->len > CHUNK) { /* as a connection that takes all at once */
        w->bytes += w->out->len;
        buf_reset(w->out);
    }
    return rc;
}

static int write_out(struct store *s, int64_t num, const struct report_format *f, struct err *e)
{
    struct job j;
    auto_buf out = {0};
    struct writer w = {.f = f, .out = &out};
    const struct host_sink sink = {.host = on_host, .port = on_port, .host_end = on_end, .arg = &w};
    struct host_filter filter = {.limit = PAGE};
    int rc;

    job_init(&j);
    j.state = JOB_COMPLETED;
    w.w = f->new (&j, &out);
    rc = f->begin(w.w, e);
    do {
        w.hosts = 0;
        filter.after = w.last;
        rc = rc ? rc : store_hosts(s, num, &filter, &sink, e);
    } while (rc == 0 && w.hosts == PAGE);
    rc = rc ? rc : f->end(w.w, e);
    f->done(w.w);
    printf("%-10s %" PRIu64 " MB\n", f->name, (w.bytes + out.len) >> 20);
    job_done(&j);
    return rc;
}

/* ---- processes ---- */

/* f NULL: compare. In a process of its own, so that its memory is its own. */
static int measured(const struct plan *p, int64_t a, int64_t b, const struct report_format *f)
{
    struct rusage use;
    struct store *s;
    struct err e = {0};
    int64_t at = boot_us();
    int rc;

    rc = store_open(p->url, &s, &e);
    if (rc == 0) {
        rc = f ? write_out(s, a, f, &e) : compare(s, a, b, &e);
        store_close(s);
    }
    if (rc) {
        fprintf(stderr, "diff: %s\n", e.msg);
        return 1;
    }
    at = boot_us() - at;
    getrusage(RUSAGE_SELF, &use);
    printf("           %.2f s, %.1f million ports a second, %ld MiB\n", (double)at / 1e6,
           (double)(p->hosts * p->ports * (f ? 1 : 2)) / (double)at, use.ru_maxrss / 1024);
    return 0;
}

static int in_child(const struct plan *p, int64_t a, int64_t b, const struct report_format *f)
{
    int status = 1;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        status = measured(p, a, b, f);
        fflush(stdout);
        _exit(status);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : 1;
}

/* Also in a child: the memory of a process never shrinks again in its own books. */
static int fill(const struct plan *p)
{
    struct store *s = NULL;
    struct err e = {0};
    int64_t num;
    int status = 1;
    pid_t pid = fork();

    if (pid == 0) {
        int rc = store_open(p->url, &s, &e);

        rc = rc ? rc : result_add(s, p, false, &num, &e);
        rc = rc ? rc : result_add(s, p, true, &num, &e);
        store_close(s);
        if (rc) {
            fprintf(stderr, "diff: %s\n", e.msg);
        }
        _exit(rc != 0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : 1;
}

int main(int argc, char **argv)
{
    auto_free char *url = NULL;
    struct plan p = {0};
    int rc;

    if (argc != 5 || !str_to_u64(argv[2], 1, 1 << 24, &p.hosts) ||
        !str_to_u64(argv[3], 1, 65535, &p.ports) || !str_to_u64(argv[4], 1, 4096, &p.shards)) {
        fputs("usage: diff DIR HOSTS PORTS SHARDS\n", stderr);
        return 2;
    }
    p.url = url = str_fmt("sqlite:%s", argv[1]);
    rc = fill(&p);
    rc = rc ? rc : in_child(&p, 1, 2, NULL);
    for (const struct report_format *const *f = report_formats; rc == 0 && *f; f++) {
        rc = in_child(&p, 1, 2, *f);
    }
    return rc ? 1 : 0;
}
