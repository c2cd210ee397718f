#include "proxy/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "proxy/server.h"

enum {
    PARTING_MS = 2000,
    PARTING_MAX = 65536, /* what is read, unseen, after a refusal */
};

bool link_init(struct link *l, struct proxy_run *run, int fd,
               void (*on_tool)(struct watch *w, uint32_t events))
{
    const int on = 1;

    l->run = run;
    l->tool = (struct watch){.fd = fd, .events = EPOLLIN, .fn = on_tool};
    l->next = run->links;
    l->at = &run->links;
    if (l->next) {
        l->next->at = &l->next;
    }
    run->links = l;
    run->n_links++;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return watch_add(run->pp->loop, &l->tool, NULL) == 0;
}

void watch_close(struct watch *w, bool reset)
{
    const struct linger at_once = {.l_onoff = 1};

    if (w->fd >= 0 && reset) {
        (void)setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    watch_del(w);
    fd_close(&w->fd);
}

int link_release(struct link *l)
{
    timer_stop(&l->late);
    watch_del(&l->tool);
    *l->at = l->next;
    if (l->next) {
        l->next->at = l->at;
    }
    l->run->n_links--;
    run_has_room(l->run);
    return take_fd(&l->tool.fd);
}

void link_done(struct link *l, bool reset)
{
    watch_close(&l->tool, reset);
    (void)link_release(l);
}

static void on_parting_late(struct timer *t)
{
    struct link *l = container_of(t, struct link, late);

    l->end(l, true);
}

static void on_parting(struct watch *w, uint32_t events)
{
    struct link *l = container_of(w, struct link, tool);
    char chunk[4096];
    ssize_t n = recv(w->fd, chunk, sizeof chunk, MSG_DONTWAIT);

    (void)events;
    if (n > 0 && (l->parted += (size_t)n) < PARTING_MAX) {
        return;
    }
    if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
        l->end(l, false);
    }
}

void link_part(struct link *l, const char *text, size_t n)
{
    if (n > 0 && send(l->tool.fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n) {
        l->end(l, true); /* its socket was empty, or does not take any more: it is gone */
        return;
    }
    (void)shutdown(l->tool.fd, SHUT_WR);
    l->carries = false;
    l->tool.fn = on_parting;
    watch_events(&l->tool, EPOLLIN);
    l->late.fn = on_parting_late;
    timer_arm(l->run->pp->loop, &l->late, PARTING_MS);
}
