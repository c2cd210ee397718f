/* The loop: what is removed stays silent, timers come in order, a turn ends with its hooks. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/loop.h"
#include "tap.h"

struct end {
    struct watch watch;
    struct end *victim; /* removed and freed by the handler */
    unsigned calls;
    uint32_t last;
    bool drain;
};

static struct end *survivor;

static void on_end(struct watch *w, uint32_t events)
{
    struct end *self = container_of(w, struct end, watch);

    self->calls++;
    self->last = events;
    if (self->drain) {
        char byte;

        CHECK_INT(read(w->fd, &byte, 1), 1);
    }
    if (self->victim) {
        struct end *victim = self->victim;

        survivor = self;
        watch_del(&victim->watch);
        self->victim = NULL;
        memset(victim, 0xa5, sizeof *victim);
        free(victim);
    }
}

static struct loop *new_loop(void)
{
    struct loop *l = NULL;

    CHECK_OK(loop_new(&l, ERR));
    return l;
}

static void pair(int fds[2])
{
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void a_watch_freed_in_another_handler_never_sees_its_event(void)
{
    struct loop *l = new_loop();
    struct end *a = xcalloc(1, sizeof *a);
    struct end *b = xcalloc(1, sizeof *b);
    struct end *ends[2] = {a, b};
    int fds[2][2];

    for (int i = 0; i < 2; i++) {
        pair(fds[i]);
        ends[i]->watch = (struct watch){.fd = fds[i][0], .events = EPOLLIN, .fn = on_end};
        CHECK_OK(watch_add(l, &ends[i]->watch, ERR));
        CHECK_INT(write(fds[i][1], "x", 1), 1);
    }
    /* Whichever is first frees the other, whose event of this same turn is fetched already. */
    a->victim = b;
    b->victim = a;
    CHECK_OK(loop_turn(l, 1000, ERR));
    loop_free(l);
    for (int i = 0; i < 2; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
    CHECK(survivor == a || survivor == b);
    CHECK_INT(survivor->calls, 1);
    free(survivor);
}

struct swap {
    struct watch watch;
    struct loop *l;
    struct end *old, *new;
    int readable_fd;
    bool done;
};

/* Replaces `old` by `new` on the same descriptor number, as a server does that accepts. */
static void on_swap(struct watch *w, uint32_t events)
{
    struct swap *s = container_of(w, struct swap, watch);
    struct end *old = s->old;

    (void)events;
    if (s->done) {
        return;
    }
    s->done = true;
    watch_del(&old->watch);
    CHECK_INT(dup2(s->readable_fd, old->watch.fd), old->watch.fd);
    s->new->watch = (struct watch){.fd = old->watch.fd, .events = EPOLLIN, .fn = on_end};
    CHECK_OK(watch_add(s->l, &s->new->watch, ERR));
}

static void a_reused_descriptor_does_not_get_its_predecessors_event(void)
{
    struct loop *l = new_loop();
    struct end old = {0};
    struct end new = {0};
    struct swap s = {.l = l, .old = &old, .new = &new};
    int first[2], second[2], silent[2];

    pair(first);
    pair(second);
    pair(silent);
    s.readable_fd = silent[0]; /* nothing to read: an event could only be the old one's */
    s.watch = (struct watch){.fd = first[0], .events = EPOLLIN, .fn = on_swap};
    old.watch = (struct watch){.fd = second[0], .events = EPOLLIN, .fn = on_end};
    CHECK_OK(watch_add(l, &s.watch, ERR));
    CHECK_OK(watch_add(l, &old.watch, ERR));
    CHECK_INT(write(first[1], "x", 1), 1);
    CHECK_INT(write(second[1], "x", 1), 1);
    CHECK_OK(loop_turn(l, 1000, ERR));
    CHECK(s.done);
    CHECK_OK(loop_turn(l, 0, ERR));
    CHECK_INT(new.calls, 0);
    CHECK_INT(write(silent[1], "x", 1), 1);
    CHECK_OK(loop_turn(l, 1000, ERR));
    CHECK_INT(new.calls, 1);
    loop_free(l);
    for (int i = 0; i < 2; i++) {
        close(first[i]);
        close(second[i]);
        close(silent[i]);
    }
}

static void a_silenced_watch_is_told_nothing_not_even_the_hang_up(void)
{
    struct loop *l = new_loop();
    struct end a = {0};
    int fds[2];

    pair(fds);
    a.watch = (struct watch){.fd = fds[0], .events = EPOLLIN, .fn = on_end};
    CHECK_OK(watch_add(l, &a.watch, ERR));
    watch_events(&a.watch, 0);
    close(fds[1]);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(loop_turn(l, 0, ERR));
    }
    CHECK_INT(a.calls, 0);
    watch_events(&a.watch, EPOLLIN);
    CHECK_OK(loop_turn(l, 1000, ERR));
    CHECK_INT(a.calls, 1);
    CHECK(a.last & EPOLLHUP);
    watch_del(&a.watch);
    watch_del(&a.watch); /* twice is fine */
    close(fds[0]);
    loop_free(l);
}

static void watching_a_closed_descriptor_is_an_error_and_leaves_nothing_behind(void)
{
    struct loop *l = new_loop();
    struct end a = {.watch = {.fd = 1 << 20, .events = EPOLLIN, .fn = on_end}};

    CHECK_ERR(watch_add(l, &a.watch, ERR), ERR_IO);
    CHECK(a.watch.loop == NULL);
    CHECK(strstr(tap_err.msg, "1048576") != NULL);
    loop_free(l);
}

struct tick {
    struct timer timer;
    int64_t due_ms;
    unsigned fired;
    struct loop *again; /* armed anew for "now" by its own handler */
};

static unsigned fired;
static int64_t last_due;
static bool in_order;

static void on_tick(struct timer *t)
{
    struct tick *k = container_of(t, struct tick, timer);

    k->fired++;
    fired++;
    in_order = in_order && k->due_ms >= last_due && boot_ms() >= k->due_ms;
    last_due = k->due_ms;
    if (k->again) {
        timer_arm(k->again, t, 0);
    }
}

static void a_thousand_timers_fire_once_each_in_order_of_time(void)
{
    enum { N = 1000 };
    struct loop *l = new_loop();
    struct tick *ticks = xcalloc(N, sizeof *ticks);
    unsigned stopped = 0;

    fired = 0;
    last_due = 0;
    in_order = true;
    srand(7);
    for (int i = 0; i < N; i++) {
        ticks[i].timer.fn = on_tick;
        timer_arm(l, &ticks[i].timer, 500);
    }
    for (int i = 0; i < N; i++) { /* moved to and fro, some stopped */
        timer_arm(l, &ticks[i].timer, rand() % 40);
        ticks[i].due_ms = ticks[i].timer.at_ms;
        if (i % 7 == 3) {
            timer_stop(&ticks[i].timer);
            timer_stop(&ticks[i].timer);
            stopped++;
        }
    }
    while (fired < N - stopped) {
        CHECK_OK(loop_turn(l, -1, ERR));
    }
    CHECK(in_order);
    for (int i = 0; i < N; i++) {
        CHECK_INT(ticks[i].fired, i % 7 == 3 ? 0 : 1);
        CHECK(ticks[i].timer.loop == NULL);
    }
    loop_free(l);
    free(ticks);
}

static void a_timer_armed_for_now_in_its_own_handler_does_not_hold_the_turn(void)
{
    struct loop *l = new_loop();
    struct tick a = {.timer = {.fn = on_tick}, .again = l};
    unsigned before;

    timer_arm(l, &a.timer, 0);
    CHECK_OK(loop_turn(l, 1000, ERR));
    before = a.fired;
    CHECK_INT(before, 1);
    CHECK_OK(loop_turn(l, 1000, ERR));
    CHECK_INT(a.fired, 2);
    timer_stop(&a.timer);
    loop_free(l);
}

struct hook {
    struct turn_hook hook;
    struct loop *l;
    unsigned calls, at;
    bool again;
};

static unsigned hook_clock;

static void on_hook(struct turn_hook *h)
{
    struct hook *k = container_of(h, struct hook, hook);

    k->calls++;
    k->at = ++hook_clock;
    if (k->again) {
        k->again = false;
        loop_again(k->l);
    }
}

static void turn_end_hooks_run_in_order_and_may_ask_for_another_turn(void)
{
    struct loop *l = new_loop();
    struct hook a = {.hook = {.fn = on_hook}, .l = l, .again = true};
    struct hook b = {.hook = {.fn = on_hook}, .l = l};

    loop_at_turn_end(l, &a.hook);
    loop_at_turn_end(l, &b.hook);
    CHECK_OK(loop_turn(l, 0, ERR));
    CHECK(a.at < b.at);
    CHECK_OK(loop_turn(l, -1, ERR)); /* would hang without loop_again() */
    CHECK_INT(a.calls, 2);
    CHECK_INT(b.calls, 2);
    loop_free(l);
}

struct heard {
    unsigned usr1, usr2, more;
    struct loop *l;
};

static void on_usr(int signo, void *arg)
{
    struct heard *h = arg;

    if (signo == SIGUSR1) {
        h->usr1++;
    } else {
        h->usr2++;
        loop_stop(h->l);
    }
}

static void on_usr_too(int signo, void *arg)
{
    (void)signo;
    ((struct heard *)arg)->more++;
}

static void signals_arrive_as_calls_to_everyone_who_asked(void)
{
    struct loop *l = new_loop();
    struct heard h = {.l = l};

    CHECK_OK(loop_signal(l, SIGUSR1, on_usr, &h, ERR));
    CHECK_OK(loop_signal(l, SIGUSR2, on_usr, &h, ERR));
    CHECK_OK(loop_signal(l, SIGUSR2, on_usr_too, &h, ERR));
    CHECK_INT(kill(getpid(), SIGUSR1), 0);
    CHECK_OK(loop_turn(l, 1000, ERR));
    CHECK_INT(h.usr1, 1);
    CHECK_INT(kill(getpid(), SIGUSR2), 0);
    CHECK_OK(loop_run(l, ERR));
    CHECK_INT(h.usr2, 1);
    CHECK_INT(h.more, 1);
    loop_free(l);
}

TESTS(a_watch_freed_in_another_handler_never_sees_its_event,
      a_reused_descriptor_does_not_get_its_predecessors_event,
      a_silenced_watch_is_told_nothing_not_even_the_hang_up,
      watching_a_closed_descriptor_is_an_error_and_leaves_nothing_behind,
      a_thousand_timers_fire_once_each_in_order_of_time,
      a_timer_armed_for_now_in_its_own_handler_does_not_hold_the_turn,
      turn_end_hooks_run_in_order_and_may_ask_for_another_turn,
      signals_arrive_as_calls_to_everyone_who_asked)
