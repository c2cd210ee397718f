/*
 * Reads until the tool's last process has closed its stdout. What the parser does not understand
 * is still kept and counted: the raw output is complete even if the results are not. Records are
 * sent when there are enough of them, and whenever the tool pauses, so that results are live.
 */
#include "runner/parse_process.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/close_fds.h"
#include "box/seccomp.h"
#include "ipc/record.h"
#include "parse/json_seed.h"
#include "store/blob.h"
#include "store/digest.h"

enum { CHUNK = 64 << 10, FLUSH_AT = 64 << 10, CPU_MAX_S = 3600, MEMORY_MAX_MB = 512 };

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

struct parsing {
    const struct parse_job *job;
    struct buf records;
    void *parser;
    struct blob_reader *stored; /* a reparse */
    struct blob_writer *blob;
    struct sha256 *hash; /* when there is no blob, which has its own */
    uint64_t size;
    bool capped;
    struct err why;  /* how parsing ended; code 0: well */
    struct err lost; /* raw output could not be kept, or read: the run ends */
};

static _Noreturn void give_up(const char *what, const struct err *e)
{
    /* The daemon sees a stream without an end; this line is for the log. */
    fprintf(stderr, "parser: %s: %s\n", what, e ? e->msg : strerror(errno));
    _exit(PARSE_FAILED);
}

static void set_limit(int which, rlim_t max)
{
    struct rlimit l = {max, max};

    if (setrlimit(which, &l) < 0) {
        give_up("setrlimit", NULL);
    }
}

/* Fewer rights than anybody: it reads what strangers wrote. */
static void confine(const struct parse_job *job)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    struct pollfd runner = {.fd = job->runner_pidfd, .events = POLLIN};
    int keep[] = {STDERR_FILENO, job->out_fd, job->input_fd, job->record_fd, job->blob_fd};
    sigset_t no_signals;

    prctl(PR_SET_NAME, "scanpod-parse", 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &head, none) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
        give_up("drop privileges", NULL);
    }
    if (poll(&runner, 1, 0) != 0) {
        _exit(PARSE_FAILED); /* the runner died before the signal was set */
    }
    if (!close_all_but(keep, ARRAY_LEN(keep))) {
        give_up("close descriptors", NULL);
    }
    set_limit(RLIMIT_CORE, 0);
    set_limit(RLIMIT_CPU, CPU_MAX_S);
    set_limit(RLIMIT_NOFILE, 32);
    if (!UNDER_ASAN) { /* whose shadow is larger than that */
        set_limit(RLIMIT_AS, (rlim_t)MEMORY_MAX_MB << 20);
    }
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&no_signals);
    sigprocmask(SIG_SETMASK, &no_signals, NULL);
}

static void flush(struct parsing *p)
{
    size_t at = 0;

    while (at < p->records.len) {
        ssize_t n = write(p->job->record_fd, p->records.data + at, p->records.len - at);

        if (n < 0 && errno != EINTR) {
            give_up("send records", NULL); /* nobody wants them any more */
        }
        at += n > 0 ? (size_t)n : 0;
    }
    buf_reset(&p->records);
}

static void flush_if_full(struct parsing *p)
{
    if (p->records.len >= FLUSH_AT) {
        flush(p);
    }
}

static int on_host(void *arg, const struct host *h, struct err *e)
{
    struct parsing *p = arg;

    (void)e;
    record_put_host(&p->records, h);
    flush_if_full(p);
    return 0;
}

static int on_finding(void *arg, const struct finding *f, struct err *e)
{
    struct parsing *p = arg;
    int rc = finding_check(f, e);

    if (rc == 0) {
        record_put_finding(&p->records, f);
        flush_if_full(p);
    }
    return rc;
}

static int on_progress(void *arg, const struct progress *progress, struct err *e)
{
    struct parsing *p = arg;

    (void)e;
    record_put_progress(&p->records, progress);
    return 0;
}

static int on_run(void *arg, const struct run_info *r, struct err *e)
{
    struct parsing *p = arg;

    (void)e;
    record_put_run(&p->records, r);
    return 0;
}

static void take(struct parsing *p, const char *data, size_t n)
{
    p->size += n;
    if (p->blob) {
        p->lost.code = blob_write(p->blob, data, n, &p->lost);
    } else {
        sha256_add(p->hash, data, n);
    }
    if (p->why.code == 0) {
        p->why.code = p->job->parser->feed(p->parser, data, n, &p->why);
    }
    flush_if_full(p);
}

/* False: no more of it is to be read. */
static bool take_all(struct parsing *p, const char *data, size_t n)
{
    uint64_t room = p->job->output_max - p->size;

    p->capped = (uint64_t)n > room;
    take(p, data, p->capped ? (size_t)room : n);
    *p->job->output_bytes = p->size;
    return !p->capped && p->lost.code == 0;
}

/* Nothing to read just now: what there is goes out before we wait. */
static void flush_if_drained(struct parsing *p)
{
    struct pollfd out = {.fd = p->job->out_fd, .events = POLLIN};

    if (p->records.len > 0 && poll(&out, 1, 0) == 0) {
        flush(p);
    }
}

/* What the tool prints. */
static void read_tool(struct parsing *p)
{
    auto_free char *chunk = xmalloc(CHUNK);

    for (;;) {
        ssize_t n;

        flush_if_drained(p);
        n = read(p->job->out_fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            give_up("read the tool's output", NULL);
        }
        if (n == 0) {
            return;
        }
        if (!take_all(p, chunk, (size_t)n)) {
            if (p->capped) {
                close(p->job->out_fd); /* the tool finds its pipe broken; the runner ends it */
            }
            return;
        }
    }
}

/* What a former tool printed. */
static void read_stored(struct parsing *p)
{
    auto_free char *chunk = xmalloc(CHUNK);
    size_t n;

    do {
        p->lost.code = blob_read(p->stored, chunk, CHUNK, &n, &p->lost);
    } while (p->lost.code == 0 && n > 0 && take_all(p, chunk, n));
}

static void finish_raw(struct parsing *p)
{
    struct raw_info raw = {.size = p->size, .truncated = p->capped};

    if (p->blob && p->lost.code != 0) {
        blob_writer_free(p->blob);
    } else if (p->blob) {
        p->lost.code = blob_writer_end(p->blob, raw.sha256, &raw.size, &raw.stored, &p->lost);
    } else {
        uint8_t hash[32];

        sha256_end(p->hash, hash);
        sha256_hex(hash, raw.sha256);
    }
    if (p->lost.code == 0) {
        record_put_raw(&p->records, &raw);
    }
}

/* Everything that is made is made here: afterwards there are no files and little else. */
static void prepare(struct parsing *p, const struct parse_sink *sink)
{
    const struct parse_job *job = p->job;
    struct err e = {0};

    confine(job);
    if (job->blob_fd >= 0) {
        p->blob = blob_writer_new(job->blob_fd);
    } else {
        p->hash = sha256_new();
    }
    if (job->input_fd >= 0) {
        p->stored = blob_reader_new(job->input_fd);
    }
    p->parser = job->parser->new (sink);
    json_seed();
    if (seccomp_role(ROLE_PARSER, &e) != 0) {
        give_up("confine the parser", &e);
    }
}

_Noreturn void parse_process(const struct parse_job *job)
{
    struct parsing p = {.job = job};
    const struct parse_sink sink = {
        .host = on_host, .finding = on_finding, .progress = on_progress, .run = on_run, .arg = &p};
    struct err finished = {0};

    prepare(&p, &sink);
    if (p.stored) {
        read_stored(&p);
    } else {
        read_tool(&p);
    }
    finished.code = job->parser->finish(p.parser, &finished);
    if (p.why.code == 0) {
        p.why = finished;
    }
    job->parser->free(p.parser);
    flush(&p); /* the results first: the disk may take its time */
    finish_raw(&p);
    if (p.lost.code != 0) {
        err_prefix(&p.lost, p.lost.code, p.stored ? "read stored output" : "keep raw output");
        p.why = p.lost;
    }
    record_put_end(&p.records, &(struct parse_end){p.why.code, p.why.code ? p.why.msg : NULL});
    flush(&p);
    _exit(p.lost.code != 0 ? PARSE_FAILED : p.capped ? PARSE_OUTPUT_CAP : PARSE_OK);
}
