/*
 * How events find their watch: epoll carries a slot number and the slot's generation, never a
 * pointer. Removing a watch empties the slot and counts its generation up, so that an event that
 * was already fetched for it (or for a descriptor number that was reused) is dropped, and the
 * struct may be freed at once.
 */
#include "event/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { EVENTS_PER_TURN = 128, NO_SLOT = UINT32_MAX };

struct slot {
    struct watch *watch; /* NULL: free */
    uint32_t gen;
    uint32_t next_free;
};

struct handler {
    int signo;
    void (*fn)(int signo, void *arg);
    void *arg;
};

struct loop {
    int epoll_fd;
    bool stopped, again;
    int64_t now_ms;
    struct slot *slots; /* owned */
    uint32_t n_slots, free_slot;
    struct timer **heap; /* owned, the timers are not */
    uint32_t n_timers, heap_size;
    struct turn_hook *hooks, **hooks_tail;
    struct handler *handlers; /* owned */
    unsigned n_handlers;
    sigset_t signals;
    struct watch signal_watch;
};

int loop_new(struct loop **out, struct err *e)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    struct loop *l;

    if (fd < 0) {
        return err_errno(e, "create epoll");
    }
    l = xcalloc(1, sizeof *l);
    l->epoll_fd = fd;
    l->free_slot = NO_SLOT;
    l->hooks_tail = &l->hooks;
    l->signal_watch.fd = -1;
    sigemptyset(&l->signals);
    l->now_ms = boot_ms();
    *out = l;
    return 0;
}

void loop_free(struct loop *l)
{
    if (!l) {
        return;
    }
    for (uint32_t i = 0; i < l->n_slots; i++) {
        if (l->slots[i].watch) {
            l->slots[i].watch->loop = NULL;
        }
    }
    for (uint32_t i = 0; i < l->n_timers; i++) {
        l->heap[i]->loop = NULL;
    }
    fd_close(&l->signal_watch.fd);
    fd_close(&l->epoll_fd);
    free(l->slots);
    free(l->heap);
    free(l->handlers);
    free(l);
}

void loop_stop(struct loop *l)
{
    l->stopped = true;
}

void loop_again(struct loop *l)
{
    l->again = true;
}

int64_t loop_now_ms(const struct loop *l)
{
    return l->now_ms;
}

void loop_at_turn_end(struct loop *l, struct turn_hook *h)
{
    h->next = NULL;
    *l->hooks_tail = h;
    l->hooks_tail = &h->next;
}

/* Watches. */

static uint32_t slot_take(struct loop *l)
{
    uint32_t i = l->free_slot;

    if (i != NO_SLOT) {
        l->free_slot = l->slots[i].next_free;
        return i;
    }
    if ((l->n_slots & (l->n_slots - 1)) == 0) {
        uint32_t size = l->n_slots ? l->n_slots * 2 : 1;

        l->slots = xrealloc(l->slots, size * sizeof *l->slots);
    }
    i = l->n_slots++;
    l->slots[i] = (struct slot){0};
    return i;
}

static void slot_give(struct loop *l, uint32_t i)
{
    l->slots[i].watch = NULL;
    l->slots[i].gen++;
    l->slots[i].next_free = l->free_slot;
    l->free_slot = i;
}

/* No events asked for: edge-triggered, so that a hang-up (always told) is told once and dropped. */
static struct epoll_event epoll_row(const struct watch *w)
{
    return (struct epoll_event){
        .events = w->events ? w->events : EPOLLET,
        .data.u64 = w->gen,
    };
}

int watch_add(struct loop *l, struct watch *w, struct err *e)
{
    struct epoll_event row;
    uint32_t i;

    assert(!w->loop && w->fd >= 0 && w->fn);
    i = slot_take(l);
    w->gen = (uint64_t)l->slots[i].gen << 32 | i;
    row = epoll_row(w);
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, w->fd, &row) < 0) {
        int rc = err_errno(e, "watch descriptor %d", w->fd);

        slot_give(l, i);
        return rc;
    }
    l->slots[i].watch = w;
    w->loop = l;
    return 0;
}

void watch_events(struct watch *w, uint32_t events)
{
    struct epoll_event row;

    assert(w->loop);
    if (w->events == events) {
        return;
    }
    w->events = events;
    row = epoll_row(w);
    if (epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &row) < 0) {
        assert(!"a watched descriptor was closed before watch_del()");
    }
}

void watch_del(struct watch *w)
{
    if (!w->loop) {
        return;
    }
    epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    slot_give(w->loop, (uint32_t)w->gen);
    w->loop = NULL;
}

static void dispatch(struct loop *l, const struct epoll_event *ev)
{
    uint32_t i = (uint32_t)ev->data.u64;
    struct watch *w = l->slots[i].watch;
    uint32_t events;

    if (!w || w->gen != ev->data.u64 || !w->events) {
        return; /* removed or silenced earlier in this turn */
    }
    events = ev->events & (w->events | EPOLLERR | EPOLLHUP);
    if (events) {
        w->fn(w, events);
    }
}

/* Timers: a binary heap of pointers; every timer knows its place. */

static void heap_put(struct loop *l, uint32_t i, struct timer *t)
{
    l->heap[i] = t;
    t->slot = i;
}

static void heap_up(struct loop *l, uint32_t i, struct timer *t)
{
    while (i > 0 && l->heap[(i - 1) / 2]->at_ms > t->at_ms) {
        heap_put(l, i, l->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(l, i, t);
}

static void heap_down(struct loop *l, uint32_t i, struct timer *t)
{
    for (;;) {
        uint32_t child = i * 2 + 1;

        if (child >= l->n_timers) {
            break;
        }
        if (child + 1 < l->n_timers && l->heap[child + 1]->at_ms < l->heap[child]->at_ms) {
            child++;
        }
        if (l->heap[child]->at_ms >= t->at_ms) {
            break;
        }
        heap_put(l, i, l->heap[child]);
        i = child;
    }
    heap_put(l, i, t);
}

void timer_stop(struct timer *t)
{
    struct loop *l = t->loop;
    struct timer *last;

    if (!l) {
        return;
    }
    t->loop = NULL;
    last = l->heap[--l->n_timers];
    if (last == t) {
        return;
    }
    if (t->slot > 0 && last->at_ms < l->heap[(t->slot - 1) / 2]->at_ms) {
        heap_up(l, t->slot, last);
    } else {
        heap_down(l, t->slot, last);
    }
}

void timer_arm(struct loop *l, struct timer *t, int64_t in_ms)
{
    assert(t->fn && (!t->loop || t->loop == l));
    timer_stop(t);
    t->at_ms = boot_ms() + MAX(in_ms, 0);
    if (l->n_timers == l->heap_size) {
        l->heap_size = l->heap_size ? l->heap_size * 2 : 16;
        l->heap = xrealloc(l->heap, l->heap_size * sizeof(struct timer *));
    }
    t->loop = l;
    heap_up(l, l->n_timers++, t);
}

/* At most as many as there were at the start: one that is armed anew for "now" waits a turn. */
static void run_timers(struct loop *l)
{
    for (uint32_t left = l->n_timers; left > 0 && l->n_timers > 0; left--) {
        struct timer *t = l->heap[0];

        if (t->at_ms > l->now_ms) {
            break;
        }
        timer_stop(t);
        t->fn(t);
    }
}

static int wait_ms(const struct loop *l, int timeout_ms)
{
    int64_t left;

    if (l->again) {
        return 0;
    }
    if (l->n_timers == 0) {
        return timeout_ms;
    }
    left = MAX(l->heap[0]->at_ms - boot_ms(), 0);
    left = MIN(left, 3600 * 1000);
    return timeout_ms < 0 || left < timeout_ms ? (int)left : timeout_ms;
}

int loop_turn(struct loop *l, int timeout_ms, struct err *e)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int n = epoll_wait(l->epoll_fd, events, EVENTS_PER_TURN, wait_ms(l, timeout_ms));

    if (n < 0 && errno != EINTR) {
        return err_errno(e, "wait for events");
    }
    l->again = false;
    l->now_ms = boot_ms();
    for (int i = 0; i < n; i++) {
        dispatch(l, &events[i]);
    }
    run_timers(l);
    for (struct turn_hook *h = l->hooks; h; h = h->next) {
        h->fn(h);
    }
    return 0;
}

int loop_run(struct loop *l, struct err *e)
{
    int rc = 0;

    l->stopped = false;
    while (rc == 0 && !l->stopped) {
        rc = loop_turn(l, -1, e);
    }
    return rc;
}

/* Signals. */

static void on_signal(struct watch *w, uint32_t events)
{
    struct loop *l = w->loop;
    struct signalfd_siginfo info;

    (void)events;
    while (read(w->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        for (unsigned i = 0; i < l->n_handlers; i++) {
            if (l->handlers[i].signo == (int)info.ssi_signo) {
                l->handlers[i].fn(l->handlers[i].signo, l->handlers[i].arg);
            }
        }
    }
}

int loop_signal(struct loop *l, int signo, void (*fn)(int signo, void *arg), void *arg,
                struct err *e)
{
    struct watch *w = &l->signal_watch;
    int fd;
    int rc;

    sigaddset(&l->signals, signo);
    if (sigprocmask(SIG_BLOCK, &l->signals, NULL) < 0) {
        return err_errno(e, "block signal %d", signo);
    }
    fd = signalfd(w->fd, &l->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return err_errno(e, "create signalfd");
    }
    if (!w->loop) {
        w->fd = fd;
        w->events = EPOLLIN;
        w->fn = on_signal;
        rc = watch_add(l, w, e);
        if (rc != 0) {
            fd_close(&w->fd);
            return rc;
        }
    }
    l->handlers = xrealloc(l->handlers, (l->n_handlers + 1) * sizeof *l->handlers);
    l->handlers[l->n_handlers++] = (struct handler){signo, fn, arg};
    return 0;
}
