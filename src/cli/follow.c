/*
 * Following a job: long polls with the ETag of what is known, so that a change arrives at once and
 * an idle job costs one request in half a minute. SIGINT arrives through a pipe that the HTTP
 * client waits for together with its socket: the first one leaves, a second one within two
 * seconds asks the server to cancel. A server that goes away for a moment is asked again: the job
 * is on its disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/progress.h"
#include "cli/remote.h"

enum {
    POLL_S = 30,
    POLL_SLACK_MS = 15000,
    TICK_MS = 500,
    SECOND_MS = 2000,
    MIN_GAP_MS = 100, /* between answers, whatever the server does */
    AGAIN_MAX = 6,    /* 0.5 s, 1 s, 2 s, ...: about half a minute */
};
enum { STOP_SIGNAL = 1, STOP_TIME = 2 }; /* what ends a call early */

static int signal_pipe[2] = {-1, -1};

static void on_signal(int signo)
{
    int saved = errno;

    (void)signo;
    (void)!write(signal_pipe[1], "", 1);
    errno = saved;
}

struct follower {
    struct cli *c;
    const char *id;
    struct progress_bar bar;
    json_t *job; /* the last state known, for redrawing; NULL: none */
    int64_t give_up_ms;
    struct sigaction old;
};

static bool interrupted(int wait_ms)
{
    struct pollfd p = {.fd = signal_pipe[0], .events = POLLIN};
    char drop[16];
    int n = poll(&p, 1, wait_ms);

    if (n < 0 && errno == EINTR) {
        n = poll(&p, 1, 0);
    }
    return n > 0 && read(signal_pipe[0], drop, 1) > 0;
}

static int on_pause(void *arg)
{
    struct follower *f = arg;

    if (interrupted(0)) {
        return STOP_SIGNAL;
    }
    if (f->give_up_ms && boot_ms() >= f->give_up_ms) {
        return STOP_TIME;
    }
    if (f->job && f->bar.term->bar) {
        struct job_view v;

        job_view_read(f->job, &v);
        progress_show(&f->bar, &v);
    }
    return 0;
}

static void catch_signals(struct follower *f)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    if (signal_pipe[0] < 0 && pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
        signal_pipe[0] = signal_pipe[1] = -1;
    }
    sigaction(SIGINT, signal_pipe[0] >= 0 ? &sa : NULL, &f->old);
}

/* Like a sleep that ends with a signal or the time limit. */
static int pause_for(struct follower *f, int ms)
{
    if (interrupted(ms)) {
        return STOP_SIGNAL;
    }
    return f->give_up_ms && boot_ms() >= f->give_up_ms ? STOP_TIME : 0;
}

/* One state of the job: 0 and an answer, STOP_*, or ERR_*. */
static int ask(struct follower *f, const char *etag, struct answer *a, struct err *e)
{
    auto_free char *path = str_fmt("/api/v1/scans/%s%s", f->id, *etag ? "?wait=30" : "");
    struct client_pause pause = {
        .fd = signal_pipe[0], .tick_ms = TICK_MS, .fn = on_pause, .arg = f};
    struct call call = {
        .method = "GET",
        .path = path,
        .if_none_match = *etag ? etag : NULL,
        .timeout_ms = POLL_S * 1000 + POLL_SLACK_MS,
        .pause = &pause,
    };

    for (int again = 0;; again++) {
        int rc = client_call(f->c->client, &call, a, e);

        if (rc != ERR_IO && !(rc == 0 && a->status == 503)) {
            return rc;
        }
        if (again == AGAIN_MAX || !*etag) {
            return rc;
        }
        progress_clear(&f->bar);
        say(f->bar.term, "%s; asking again", rc == 0 ? "the server is not ready" : e->msg);
        rc = pause_for(f, 500 << again);
        if (rc != 0) {
            return rc;
        }
    }
}

static int detach(struct follower *f)
{
    struct answer a = {0};
    int status = STATUS_INTERRUPTED;

    progress_clear(&f->bar);
    fprintf(stderr,
            "\nStill running. Follow it with: scanpod job watch %s    (Ctrl-C again within 2 s "
            "cancels it)\n",
            f->id);
    if (interrupted(SECOND_MS)) {
        if (remote_job_call(f->c, "POST", f->id, "/cancel", &a) == STATUS_OK) {
            fprintf(stderr, "Cancelled: %s\n", f->id);
        }
        answer_done(&a);
    }
    return status;
}

static int stopped(struct follower *f, int rc, const struct err *e)
{
    progress_clear(&f->bar);
    if (rc == STOP_SIGNAL) {
        return detach(f);
    }
    if (rc == STOP_TIME) {
        fprintf(stderr,
                "The time limit for waiting passed; the job goes on. Follow it with: "
                "scanpod job watch %s\n",
                f->id);
        return STATUS_WAITED;
    }
    if (e->code == ERR_IO && f->job) {
        auto_free char *hint =
            str_fmt("scanpod job watch %s    (when it is back: the job is kept)", f->id);

        return cli_fail(f->c, e, hint);
    }
    return cli_fail(f->c, e, e->code == ERR_IO ? cli_hint_unreachable(f->c->client) : NULL);
}

/* Takes an answer in; *over when the job is terminal. An exit status. */
static int take(struct follower *f, const struct answer *a, bool *over)
{
    struct job_view v;

    if (a->status == 304) {
        return STATUS_OK;
    }
    json_decref(f->job);
    f->job = remote_job(f->c, a);
    if (!f->job) {
        return STATUS_UNREACHABLE;
    }
    job_view_read(f->job, &v);
    progress_show(&f->bar, &v);
    *over = v.terminal;
    return STATUS_OK;
}

static int follow(struct follower *f, struct answer *a)
{
    char etag[sizeof a->etag] = "";
    bool over = false;
    int status = STATUS_OK;

    while (!over && status == STATUS_OK) {
        struct err e = {0};
        int64_t began = boot_ms();
        int rc = ask(f, etag, a, &e);

        if (rc != 0) {
            return stopped(f, rc, &e);
        }
        status = cli_check(f->c, a);
        if (status == STATUS_OK) {
            status = take(f, a, &over);
            if (a->etag[0]) {
                memcpy(etag, a->etag, sizeof etag);
            }
        }
        if (!over && status == STATUS_OK) {
            rc = pause_for(f, boot_ms() - began < MIN_GAP_MS ? MIN_GAP_MS : 0);
            if (rc != 0) {
                return stopped(f, rc, &e);
            }
        }
    }
    return status;
}

int remote_follow(struct cli *c, const char *id, enum follow how, struct answer *a)
{
    struct term silent = c->term;
    struct follower f = {.c = c, .id = id, .bar = {.term = &silent}};
    int status;

    if (how == FOLLOW_SILENT) {
        silent.quiet = true;
        silent.bar = false;
    }
    if (!cli_client(c, &status)) {
        return status;
    }
    if (c->wait_ms) {
        f.give_up_ms = boot_ms() + c->wait_ms;
    }
    catch_signals(&f);
    status = follow(&f, a);
    progress_clear(&f.bar);
    sigaction(SIGINT, &f.old, NULL);
    json_decref(f.job);
    return status;
}
