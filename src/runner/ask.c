/*
 * Questions: a program is run in a box without network for what it prints, two seconds at most.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/box.h"
#include "runner/process.h"
#include "runner/proto.h"

enum { ASK_MS = 2000, ASKS_MAX = 64, ASK_MEMORY_MB = 1024, ASK_PROCESSES = 64 };

struct ask {
    struct ask *next;
    struct runner_process *rp;
    uint64_t id;
    struct box box;
    struct watch box_watch, out_watch; /* out_watch.fd -1: closed */
    struct timer late;
    struct buf text;
    struct work_dir dir;
    bool dir_made;
};

static void ask_over(struct ask *a)
{
    struct runner_process *rp = a->rp;
    struct ask **at = &rp->asks;
    auto_buf body = {0};

    if (!rp->closing) {
        wire_u64(&body, a->id);
        buf_add(&body, a->text.data, a->text.len);
        (void)chan_send(&rp->chan, MSG_ANSWER, body.data, body.len, NULL, 0, NULL);
    }
    while (*at != a) {
        at = &(*at)->next;
    }
    *at = a->next;
    rp->n_asks--;
    timer_stop(&a->late);
    watch_del(&a->out_watch);
    fd_close(&a->out_watch.fd);
    if (a->dir_made) {
        (void)work_dir_give(&rp->work, &a->dir);
    }
    buf_done(&a->text);
    free(a);
    runner_run_over(rp);
}

/* False at the end. What does not fit is not wanted. */
static bool read_text(struct ask *a)
{
    char chunk[ANSWER_MAX];
    ssize_t n = read(a->out_watch.fd, chunk, sizeof chunk);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    buf_add(&a->text, chunk, MIN((size_t)n, ANSWER_MAX - a->text.len));
    return n > 0 && a->text.len < ANSWER_MAX;
}

static void on_text(struct watch *w, uint32_t events)
{
    struct ask *a = container_of(w, struct ask, out_watch);

    (void)events;
    if (!read_text(a)) {
        watch_del(w);
        fd_close(&w->fd); /* one that goes on printing finds its pipe broken */
    }
}

static void on_gone(struct watch *w, uint32_t events)
{
    struct ask *a = container_of(w, struct ask, box_watch);
    struct box_end end = {0};

    (void)events;
    watch_del(w);
    (void)box_wait(&a->box, &end, NULL);
    box_done(&a->box);
    if (a->out_watch.fd >= 0) {
        (void)read_text(a); /* what the pipe still holds; one read takes all that is wanted */
    }
    if (!end.started) {
        buf_reset(&a->text);
    }
    ask_over(a);
}

static void on_late(struct timer *t)
{
    struct ask *a = container_of(t, struct ask, late);

    box_kill(&a->box);
    timer_arm(a->rp->loop, t, ASK_MS);
}

void ask_abandon_all(struct runner_process *rp)
{
    for (struct ask *a = rp->asks; a; a = a->next) {
        box_kill(&a->box);
    }
}

static int start(struct ask *a, const struct strvec *argv, int out)
{
    const struct runner_config *c = a->rp->config;
    const bool view = box_probe()->view;
    auto_free char *dir = NULL;
    auto_strvec env = {0};
    struct box_spec spec = {
        .argv = argv->v,
        .in = -1,
        .out = out,
        .err = out,
        .net = box_probe()->own_net ? BOX_NET_EMPTY : BOX_NET_SHARED,
        .calls = BOX_CALLS_OFFLINE,
        .binds = c->binds,
        .n_binds = c->n_binds,
        .limits = {.cpu_s = 2, .mem_mb = ASK_MEMORY_MB, .files = 64, .disk_mb = 1, .inodes = 64},
        .cgroup_fd = -1,
        .hold_fd = c->hold_fd,
    };

    if (box_probe()->level == BOX_USERNS) { /* elsewhere it would be counted with all others */
        spec.limits.procs = ASK_PROCESSES;
    }
    if (!view) {
        a->dir_made = work_dir_take(&a->rp->work, UINT64_MAX - a->id, &a->dir);
        if (!a->dir_made) {
            return ERR_IO;
        }
        dir = str_fmt("%s/%s", a->rp->work.path, a->dir.name);
    }
    spec.dir = dir;
    strvec_push(&env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    strvec_pushf(&env, "HOME=%s", dir ? dir : "/tmp");
    strvec_push(&env, "LC_ALL=C.UTF-8");
    spec.env = env.v;
    return box_start(&spec, &a->box, NULL);
}

bool ask_begin(struct runner_process *rp, uint64_t id, const struct strvec *argv)
{
    struct ask *a;
    int out[2] = {-1, -1};

    if (rp->n_asks == ASKS_MAX) {
        return false;
    }
    a = xcalloc(1, sizeof *a);
    a->rp = rp;
    a->id = id;
    a->text.cap = ANSWER_MAX;
    a->next = rp->asks;
    rp->asks = a;
    rp->n_asks++;
    a->out_watch.fd = -1;
    if (pipe2(out, O_CLOEXEC) < 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 ||
        start(a, argv, out[1]) != 0) {
        fd_close(&out[0]);
        fd_close(&out[1]);
        ask_over(a);
        return true;
    }
    close(out[1]);
    a->out_watch = (struct watch){.fd = out[0], .events = EPOLLIN, .fn = on_text};
    a->box_watch = (struct watch){.fd = a->box.pidfd, .events = EPOLLIN, .fn = on_gone};
    a->late.fn = on_late;
    if (watch_add(rp->loop, &a->out_watch, NULL) != 0 ||
        watch_add(rp->loop, &a->box_watch, NULL) != 0) {
        abort(); /* every box dies with us */
    }
    timer_arm(rp->loop, &a->late, ASK_MS);
    return true;
}
