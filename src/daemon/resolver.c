/*
 * The role is a small process between the daemon, which may not wait and may not fork, and one
 * child for each question, in which getaddrinfo() may take as long as it likes: it is killed when
 * the time is over. Names come here checked (model/target.h); answers are checked again on the way
 * back.
 */
#include "daemon/resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/close_fds.h"
#include "box/seccomp.h"
#include "ipc/chan.h"
#include "runner/child.h"

enum { MSG_ASK = 1, MSG_ANSWER };
enum { AT_ONCE = 64, ADDRESSES_MAX = 64, WAIT_MS = 5000, NAME_SIZE = 256 };

/* ---- asking ---- */

/* Sorted by nobody: in the order of RFC 6724, as programs would try them. Returns how many. */
static size_t look_up(const char *name, struct net_ip out[ADDRESSES_MAX])
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    size_t n = 0;

    if (getaddrinfo(name, NULL, &hints, &list) != 0) {
        return 0;
    }
    for (const struct addrinfo *a = list; a && n < ADDRESSES_MAX; a = a->ai_next) {
        n += net_ip_from(a->ai_addr, a->ai_addrlen, &out[n]);
    }
    freeaddrinfo(list);
    return n;
}

static void pin(struct target_pin *p, const struct net_ip *ip, size_t n)
{
    p->ip = xcalloc(n, sizeof *ip);
    memcpy(p->ip, ip, n * sizeof *ip);
    p->n = n;
}

static int no_address(const char *name, struct err *e)
{
    return err_set(e, ERR_INVALID, "invalid target: '%s': the name has no address", name);
}

int resolver_pin_now(struct target_set *t, struct err *e)
{
    for (size_t i = 0; i < t->n_pins; i++) {
        struct net_ip ip[ADDRESSES_MAX];
        size_t n = t->pins[i].n ? 1 : look_up(t->pins[i].name, ip);

        if (n == 0) {
            return no_address(t->pins[i].name, e);
        }
        if (!t->pins[i].n) {
            pin(&t->pins[i], ip, n);
        }
    }
    return 0;
}

/* ---- the role ---- */

struct asker {
    struct loop *loop;
    struct chan chan;
    struct question *questions;
};

struct question {
    struct question *next;
    struct asker *asker;
    uint64_t id;
    struct child child;
    struct timer late;
    int fd; /* what the child found: struct net_ip, one after the other */
};

static void answer(struct question *q)
{
    struct net_ip ip[ADDRESSES_MAX];
    ssize_t n = read(q->fd, ip, sizeof ip);
    auto_buf body = {0};

    wire_u64(&body, q->id);
    wire_u32(&body, n > 0 ? (uint32_t)((size_t)n / sizeof ip[0]) : 0);
    for (size_t i = 0; n > 0 && i < (size_t)n / sizeof ip[0]; i++) {
        wire_u8(&body, ip[i].v6);
        wire_u64(&body, ip[i].hi);
        wire_u64(&body, ip[i].lo);
    }
    (void)chan_send(&q->asker->chan, MSG_ANSWER, body.data, body.len, NULL, 0, NULL);
}

static void on_child(struct watch *w, uint32_t events)
{
    struct question *q = container_of(w, struct question, child.watch);
    struct question **at = &q->asker->questions;

    (void)events;
    (void)child_reap(&q->child);
    timer_stop(&q->late);
    answer(q);
    fd_close(&q->fd);
    while (*at != q) {
        at = &(*at)->next;
    }
    *at = q->next;
    free(q);
}

static void on_late(struct timer *t)
{
    child_kill(&container_of(t, struct question, late)->child);
}

static _Noreturn void ask_and_exit(const char *name, int fd)
{
    struct net_ip ip[ADDRESSES_MAX];
    size_t n;

    memset(ip, 0, sizeof ip); /* padding crosses the pipe too */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    n = look_up(name, ip);
    _exit(write(fd, ip, n * sizeof ip[0]) < 0 ? 1 : 0);
}

static bool start(struct asker *a, uint64_t id, const char *name)
{
    struct question *q = xcalloc(1, sizeof *q);
    int fds[2];
    int rc;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        free(q);
        return false;
    }
    q->asker = a;
    q->id = id;
    q->fd = fds[0];
    q->late.fn = on_late;
    rc = child_fork(&q->child, a->loop, on_child);
    if (rc == 0) {
        ask_and_exit(name, fds[1]);
    }
    close(fds[1]);
    if (rc < 0) {
        close(fds[0]);
        free(q);
        return false;
    }
    q->next = a->questions;
    a->questions = q;
    timer_arm(a->loop, &q->late, WAIT_MS);
    return true;
}

static void on_ask(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                   unsigned n_fds)
{
    struct asker *a = container_of(c, struct asker, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    uint64_t id = wire_get_u64(&w);
    const char *name = NULL;

    (void)fds;
    if (type != MSG_ASK || n_fds != 0 || !wire_get_str(&w, &name, &n) || !name || n >= NAME_SIZE ||
        !wire_end(&w)) {
        loop_stop(a->loop);
        return;
    }
    if (!start(a, id, name)) {
        struct question nothing = {.asker = a, .id = id, .fd = -1};

        answer(&nothing);
    }
}

static void on_close(struct chan *c)
{
    loop_stop(container_of(c, struct asker, chan)->loop);
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "resolver: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void drop(bool change_user, uid_t uid, gid_t gid)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    if (change_user &&
        (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)) {
        give_up("become the service user");
    }
    if (syscall(SYS_capset, &head, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        give_up("drop privileges");
    }
}

static _Noreturn void resolver_process(bool change_user, uid_t uid, gid_t gid, int fd)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT};
    struct asker a = {.chan = {.on_message = on_ask, .on_close = on_close}};
    int keep[] = {STDERR_FILENO, fd};
    struct err e = {0};

    drop(change_user, uid, gid);
    if (!close_all_but(keep, ARRAY_LEN(keep))) {
        give_up("close descriptors");
    }
    prctl(PR_SET_NAME, "scanpod-resolve", 0, 0, 0);
    (void)setsid();
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        signal(ignored[i], SIG_IGN);
    }
    if (loop_new(&a.loop, &e) != 0 || chan_start(&a.chan, a.loop, fd, &e) != 0 ||
        seccomp_role(ROLE_RESOLVER, &e) != 0 || loop_run(a.loop, &e) != 0) {
        fprintf(stderr, "resolver: %s\n", e.msg);
        _exit(1);
    }
    _exit(0); /* children die with us */
}

int resolver_spawn(bool change_user, uid_t uid, gid_t gid, int *out_fd, int *out_pidfd,
                   struct err *e)
{
    int fds[2];
    int pidfd;
    pid_t pid;
    int rc = chan_pair(fds, e);

    if (rc != 0) {
        return rc;
    }
    pid = fork();
    if (pid == 0) {
        resolver_process(change_user, uid, gid, fds[1]);
    }
    close(fds[1]);
    pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        rc = err_errno(e, "start the resolver");
        close(fds[0]); /* which ends it */
        return rc;
    }
    *out_fd = fds[0];
    *out_pidfd = pidfd;
    return 0;
}

/* ---- the daemon's side ---- */

/* A question's number is that of its set, and the name's place in it. */
enum { PLACE_BITS = 16, ALL_MS = 30000 };

struct resolve {
    struct resolve *next;
    struct resolver *resolver;
    uint64_t serial;
    struct target_set *targets;
    size_t at;   /* names before it were asked, or need not be */
    size_t open; /* asked and not answered */
    struct err why;
    void (*done)(void *arg, int code, const char *why);
    void *arg;
    struct timer finish; /* calls back from the loop, and ends what takes too long */
};

struct resolver {
    struct loop *loop;
    struct chan chan;
    uint64_t last;
    struct resolve *list;
    bool gone;
};

static void resolve_free(struct resolve *q)
{
    struct resolve **at = &q->resolver->list;

    while (*at != q) {
        at = &(*at)->next;
    }
    *at = q->next;
    timer_stop(&q->finish);
    free(q);
}

static void on_finish(struct timer *t)
{
    struct resolve q = *container_of(t, struct resolve, finish);

    resolve_free(container_of(t, struct resolve, finish));
    if (!q.why.code && (q.open || q.at < q.targets->n_pins)) {
        err_set(&q.why, ERR_BUSY, "names could not be resolved in time: try again");
    }
    q.done(q.arg, q.why.code, q.why.msg);
}

static void finish_with(struct resolve *q)
{
    timer_arm(q->resolver->loop, &q->finish, 0);
}

/* As many names as may be asked at the same time; the set is finished when there are no more. */
static void ask_on(struct resolve *q)
{
    struct resolver *r = q->resolver;

    for (; q->at < q->targets->n_pins && q->open < AT_ONCE && !q->why.code; q->at++) {
        auto_buf body = {0};

        if (q->targets->pins[q->at].n) {
            continue;
        }
        wire_u64(&body, q->serial << PLACE_BITS | q->at);
        wire_str(&body, q->targets->pins[q->at].name);
        if (r->gone || chan_send(&r->chan, MSG_ASK, body.data, body.len, NULL, 0, NULL) != 0) {
            err_set(&q->why, ERR_INTERNAL, "names cannot be resolved: the resolver is gone");
        }
        q->open++;
    }
    if (q->why.code || (!q->open && q->at == q->targets->n_pins)) {
        finish_with(q);
    }
}

static struct resolve *find(const struct resolver *r, uint64_t serial)
{
    struct resolve *q = r->list;

    while (q && q->serial != serial) {
        q = q->next;
    }
    return q;
}

static void take_answer(struct resolve *q, size_t place, const struct net_ip *ip, uint32_t n)
{
    if (place >= q->at || q->targets->pins[place].n || !q->open) {
        return; /* of a number that we never sent */
    }
    q->open--;
    if (n) {
        pin(&q->targets->pins[place], ip, n);
    } else if (!q->why.code) {
        no_address(q->targets->pins[place].name, &q->why);
    }
    ask_on(q);
}

static void resolver_broken(struct resolver *r)
{
    r->gone = true;
    chan_done(&r->chan);
    for (struct resolve *q = r->list; q; q = q->next) {
        err_set(&q->why, ERR_INTERNAL, "names cannot be resolved: the resolver is gone");
        finish_with(q);
    }
}

static void on_answer(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                      unsigned n_fds)
{
    struct resolver *r = container_of(c, struct resolver, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    uint64_t id = wire_get_u64(&w);
    uint32_t count = wire_get_u32(&w);
    struct resolve *q = find(r, id >> PLACE_BITS);
    struct net_ip ip[ADDRESSES_MAX];

    (void)fds;
    for (uint32_t i = 0; i < count && i < ADDRESSES_MAX; i++) {
        ip[i].v6 = wire_get_u8(&w) != 0;
        ip[i].hi = wire_get_u64(&w);
        ip[i].lo = wire_get_u64(&w);
    }
    if (type != MSG_ANSWER || n_fds != 0 || count > ADDRESSES_MAX || !wire_end(&w)) {
        resolver_broken(r);
    } else if (q) { /* else it was cancelled */
        take_answer(q, id & ((1u << PLACE_BITS) - 1), ip, count);
    }
}

static void on_gone(struct chan *c)
{
    resolver_broken(container_of(c, struct resolver, chan));
}

int resolver_connect(struct loop *l, int fd, struct resolver **out, struct err *e)
{
    struct resolver *r = xcalloc(1, sizeof *r);
    int rc;

    r->loop = l;
    r->chan.on_message = on_answer;
    r->chan.on_close = on_gone;
    rc = chan_start(&r->chan, l, fd, e);
    if (rc != 0) {
        free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void resolver_free(struct resolver *r)
{
    if (!r) {
        return;
    }
    while (r->list) {
        resolve_free(r->list);
    }
    chan_done(&r->chan);
    free(r);
}

struct resolve *resolver_pin(struct resolver *r, struct target_set *t,
                             void (*done)(void *arg, int code, const char *why), void *arg)
{
    struct resolve *q = xcalloc(1, sizeof *q);

    q->resolver = r;
    q->serial = ++r->last;
    q->targets = t;
    q->done = done;
    q->arg = arg;
    q->finish.fn = on_finish;
    q->next = r->list;
    r->list = q;
    timer_arm(r->loop, &q->finish, ALL_MS);
    ask_on(q);
    return q;
}

void resolver_cancel(struct resolve *q)
{
    resolve_free(q);
}
