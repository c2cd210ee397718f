#include "proxy/tunnel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

enum { ROUNDS = 4 };

void flow_init(struct flow *f, const void *p, size_t n)
{
    *f = (struct flow){.data = xmalloc(FLOW_SIZE), .len = n};
    if (n > 0) {
        memcpy(f->data, p, n);
    }
}

void flow_done(struct flow *f)
{
    free(f->data);
    f->data = NULL;
}

static bool not_now(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* Nothing may be read any more: is there anything? */
static enum flow_end at_cap(struct flow *f, int from)
{
    char c;
    ssize_t n = recv(from, &c, 1, MSG_PEEK | MSG_DONTWAIT);

    f->eof = n == 0;
    return n > 0 ? FLOW_OVER : n == 0 || not_now() ? FLOW_OPEN : FLOW_BROKEN;
}

static enum flow_end take_in(struct flow *f, int from, uint64_t *left)
{
    ssize_t n;

    if (*left == 0) {
        return at_cap(f, from);
    }
    n = recv(from, f->data, (size_t)MIN((uint64_t)FLOW_SIZE, *left), MSG_DONTWAIT);
    if (n < 0) {
        return not_now() ? FLOW_OPEN : FLOW_BROKEN;
    }
    f->at = 0;
    f->len = (size_t)n;
    f->eof = n == 0;
    *left -= (uint64_t)n;
    return FLOW_OPEN;
}

static enum flow_end hand_on(struct flow *f, int to)
{
    ssize_t n = send(to, f->data + f->at, f->len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0) {
        return not_now() ? FLOW_OPEN : FLOW_BROKEN;
    }
    f->at += (size_t)n;
    f->len -= (size_t)n;
    f->sent += (uint64_t)n;
    return FLOW_OPEN;
}

enum flow_end flow_pump(struct flow *f, int from, int to, uint64_t *left, bool *moved)
{
    for (int i = 0; i < ROUNDS && !f->shut; i++) {
        uint64_t sent = f->sent;
        enum flow_end end = flow_wants_in(f) ? take_in(f, from, left) : FLOW_OPEN;

        if (end == FLOW_OPEN && f->len > 0) {
            end = hand_on(f, to);
        }
        if (end != FLOW_OPEN) {
            return end;
        }
        if (f->eof && f->len == 0) {
            f->shut = true;
            (void)shutdown(to, SHUT_WR); /* fails if that one is gone: its own reader sees it */
            *moved = true;
        }
        if (f->sent == sent) {
            break;
        }
        *moved = true;
    }
    return FLOW_OPEN;
}
