/*
 * Calls that wait: a connect() of a blocking socket, whose description does not block meanwhile,
 * and a send that finds no room. The tool waits in the kernel, the broker does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/time.h>

#include "base/mem.h"
#include "runner/broker_inside.h"

enum {
    PENDING_MAX = 256 /* a tool may have so many threads */
};

void broker_pending_free(struct pending *p)
{
    struct pending **at = &p->broker->pending;

    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
    p->broker->n_pending--;
    timer_stop(&p->until);
    watch_del(&p->watch);
    if (p->connecting) {
        (void)fcntl(p->watch.fd, F_SETFL, p->flags);
    }
    fd_close(&p->watch.fd);
    buf_done(&p->data);
    free(p);
}

static void pending_over(struct pending *p, long result)
{
    struct broker *b = p->broker;
    uint64_t id = p->id;

    broker_pending_free(p); /* first: the tool finds its socket as it was */
    broker_answer(b, id, result);
}

static void on_pending(struct watch *w, uint32_t events)
{
    struct pending *p = container_of(w, struct pending, watch);
    long n;

    (void)events;
    if (p->connecting) {
        int error = broker_socket_option(w->fd, SO_ERROR);

        pending_over(p, error < 0 ? -EIO : -error);
        return;
    }
    n = sendto(w->fd, p->data.data, p->data.len, p->send_flags | MSG_DONTWAIT | MSG_NOSIGNAL,
               p->to_len ? (const struct sockaddr *)&p->to : NULL, p->to_len);
    if (n >= 0 || errno != EAGAIN) {
        pending_over(p, n < 0 ? -errno : n);
    }
}

static void on_pending_late(struct timer *t)
{
    struct pending *p = container_of(t, struct pending, until);

    pending_over(p, p->connecting ? -EINPROGRESS : -EAGAIN);
}

/* Callers that were killed leave their calls behind. */
static void drop_stale(struct broker *b)
{
    struct pending *next;

    for (struct pending *p = b->pending; p; p = next) {
        next = p->next;
        if (!broker_still_waits(b, p->id)) {
            broker_pending_free(p);
        }
    }
}

static void arm_send_timeout(struct pending *p)
{
    struct timeval tv = {0};
    socklen_t len = sizeof tv;

    p->until.fn = on_pending_late;
    if (getsockopt(p->watch.fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &len) == 0 &&
        (tv.tv_sec > 0 || tv.tv_usec > 0)) {
        timer_arm(p->broker->loop, &p->until, (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000);
    }
}

struct pending *broker_wait_for(struct broker *b, uint64_t id, int *fd)
{
    struct pending *p;

    if (b->n_pending == PENDING_MAX) {
        drop_stale(b);
    }
    if (b->n_pending == PENDING_MAX) {
        return NULL;
    }
    p = xcalloc(1, sizeof *p);
    p->broker = b;
    p->id = id;
    p->watch = (struct watch){.fd = *fd, .events = EPOLLOUT, .fn = on_pending};
    if (watch_add(b->loop, &p->watch, NULL) != 0) {
        free(p);
        return NULL;
    }
    *fd = -1;
    p->next = b->pending;
    b->pending = p;
    b->n_pending++;
    arm_send_timeout(p);
    return p;
}
