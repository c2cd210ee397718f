/*
 * What happens to a message:
 *
 *   told by the edge -> api_message() -> decided -> (commit) -> verdict
 *                                           refused -> its sender is told -> verdict
 *
 * A turn that is undone decides nothing: the edge is asked to come back with the message.
 */
#include "daemon/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/intake_results.h"
#include "daemon/intake_view.h"
#include "edge/edge.h"
#include "http/api_message.h"
#include "store/digest.h"

enum { TICK_MS = 1000, UNDONE_AFTER_MS = 1000, END_MS = 5000, INTAKES_MAX = 16, NAME_HEX = 32 };

struct message {
    struct message *next;
    struct intake *in;
    uint64_t id; /* of the edge */
    enum edge_form form;
    char *task_id, *reply_to, *correlation, *event_id; /* owned */
    struct api_asked *asked;                           /* names are being resolved; NULL: not */
    enum { ASKED, DECIDED, TELLING } state;
    enum edge_verdict verdict;
    uint32_t after_ms;
    char *why;       /* owned */
    bool tell;       /* refused: its sender hears of it */
    uint64_t result; /* TELLING: id of it; 0: to be sent (again) */
};

struct intake {
    struct intakes *all;
    struct edge_source source;
    int fd, pidfd;
    struct edge *edge; /* NULL until the start, and when the process is gone */
    bool up;
    char why[512];     /* it is not up; "": it is */
    char key_why[512]; /* its key cannot be used; "": it can */
    struct message *messages;
    uint64_t last_id;
    struct intake_results results;
    int64_t taken, refused, later;
};

struct intakes {
    struct intakes_start c;
    struct intake *v;
    size_t n;
    char server[NAME_HEX + 1];
    char *store_id; /* owned */
    struct timer tick;
    bool drained;
};

/* ---- messages ---- */

static void message_free(struct message *m)
{
    if (m->asked) {
        api_message_give_up(m->asked);
    }
    free(m->task_id);
    free(m->reply_to);
    free(m->correlation);
    free(m->event_id);
    free(m->why);
    free(m);
}

static void message_drop(struct message *m)
{
    struct message **at = &m->in->messages;

    while (*at != m) {
        at = &(*at)->next;
    }
    *at = m->next;
    message_free(m);
}

static void drop_all(struct intake *in)
{
    while (in->messages) {
        struct message *m = in->messages;

        in->messages = m->next;
        message_free(m);
    }
}

/* The same for the same message, whenever it comes. */
static char *refusal_id(const struct intake *in, const struct edge_message *m)
{
    auto_free char *text = str_fmt("%s\n%s\n%s", in->source.name, m->task_id, m->body);
    uint8_t hash[32];
    auto_buf hex = {0};

    sha256_of(text, strlen(text), hash);
    for (size_t i = 0; i < 8; i++) {
        buf_addf(&hex, "%02x", hash[i]);
    }
    return str_fmt("%s:refused:%s", in->all->store_id, hex.data);
}

static void note_key(struct intake *in, const char *why)
{
    if (str_eq(in->key_why, why)) {
        return;
    }
    snprintf(in->key_why, sizeof in->key_why, "%s", why);
    if (*in->key_why) {
        log_warn("intake_waits", KV("intake", in->source.name), KV("error", in->key_why));
    }
}

static void on_asked(void *arg, const struct api_message_end *end)
{
    struct message *m = arg;

    m->asked = NULL;
    m->state = DECIDED;
    m->why = xstrdup(end->why ? end->why : "");
    m->after_ms = end->after_ms;
    m->verdict = end->how == MESSAGE_TAKEN     ? EDGE_TAKEN
                 : end->how == MESSAGE_REFUSED ? EDGE_REFUSED
                                               : EDGE_LATER;
    /* Of another request of the same task_id nobody must think that it has failed. */
    m->tell = m->verdict == EDGE_REFUSED && !end->another && (*m->task_id || *m->reply_to);
    note_key(m->in, end->key && end->why ? end->why : "");
}

static void on_message(void *arg, const struct edge_message *em)
{
    struct intake *in = arg;
    const struct api_message am = {.intake = in->source.name,
                                   .key = in->source.key,
                                   .task_id = em->task_id,
                                   .reply_to = em->reply_to,
                                   .correlation = em->correlation,
                                   .body = em->body,
                                   .form = em->form};
    struct message *m;

    if (in->all->drained) {
        return; /* the next server is asked */
    }
    m = xcalloc(1, sizeof *m);
    *m = (struct message){.next = in->messages,
                          .in = in,
                          .id = em->id,
                          .form = em->form,
                          .task_id = xstrdup(em->task_id),
                          .reply_to = xstrdup(em->reply_to),
                          .correlation = xstrdup(em->correlation),
                          .event_id = refusal_id(in, em)};
    in->messages = m;
    if (em->bad) {
        api_message_refuse(in->all->c.api, &am, em->bad);
        m->state = DECIDED;
        m->verdict = EDGE_REFUSED;
        m->why = xstrdup(em->bad);
        m->tell = *m->task_id || *m->reply_to;
    } else {
        struct api_asked *asked = api_message(in->all->c.api, &am, on_asked, m);

        if (asked) { /* else m was decided */
            m->asked = asked;
        }
    }
}

static void say(struct message *m)
{
    edge_verdict(m->in->edge, m->id, m->verdict, m->after_ms, m->why);
    message_drop(m);
}

static void tell_sender(struct message *m)
{
    struct intake *in = m->in;
    auto_buf body = {0};
    struct edge_result r = {.id = in->last_id + 1,
                            .form = m->form,
                            .event_id = m->event_id,
                            .task_id = m->task_id,
                            .reply_to = m->reply_to,
                            .correlation = m->correlation,
                            .state = RESULT_FAILED,
                            .error = m->why};
    struct err e = {0};
    int rc;

    intake_refusal_write(m->event_id, m->task_id, m->why, &body);
    r.body = body.data;
    m->state = TELLING;
    if (!in->up) {
        return;
    }
    rc = edge_result(in->edge, &r, &e);
    if (rc == 0) {
        m->result = ++in->last_id;
    } else if (intake_result_is_lost(rc)) {
        say(m); /* it is a dead letter already */
    }
}

static void decided(struct message *m, bool committed)
{
    struct intake *in = m->in;

    if (!committed) {
        m->verdict = EDGE_LATER;
        m->after_ms = UNDONE_AFTER_MS;
        m->tell = false;
    }
    in->taken += m->verdict == EDGE_TAKEN;
    in->refused += m->verdict == EDGE_REFUSED;
    in->later += m->verdict == EDGE_LATER;
    if (m->tell) {
        tell_sender(m);
    } else {
        say(m);
    }
}

static void tell_again(struct intake *in)
{
    for (struct message *m = in->messages, *after; m; m = after) {
        after = m->next;
        if (m->state == TELLING && !m->result) {
            tell_sender(m);
        }
    }
}

/* ---- what else the edge says ---- */

static void on_sent(void *arg, uint64_t id, int rc, const char *why)
{
    struct intake *in = arg;

    if (intake_results_sent(&in->results, id, rc, why)) {
        return;
    }
    for (struct message *m = in->messages; m; m = m->next) {
        if (m->state == TELLING && m->result == id) {
            m->result = 0;
            if (rc == 0 || intake_result_is_lost(rc)) {
                say(m);
            }
            return;
        }
    }
}

static void on_state(void *arg, bool up, const char *why)
{
    struct intake *in = arg;

    in->up = up;
    snprintf(in->why, sizeof in->why, "%s", up ? "" : why);
    if (up) {
        log_info("intake_up", KV("intake", in->source.name), KV("queue", in->source.queue));
    } else {
        log_warn("intake_down", KV("intake", in->source.name), KV("error", why));
    }
    intake_results_up(&in->results, up);
    if (up) {
        tell_again(in);
    }
}

static void on_gone(void *arg)
{
    struct intake *in = arg;

    log_error("intake_ended", KV("intake", in->source.name),
              KV("hint", "its messages wait at the broker: restart the server"));
    in->up = false;
    snprintf(in->why, sizeof in->why, "its process has ended; restart the server");
    drop_all(in);
    in->results.edge = NULL;
    intake_results_up(&in->results, false);
    edge_free(in->edge);
    in->edge = NULL;
}

static void on_tick(struct timer *t)
{
    struct intakes *all = container_of(t, struct intakes, tick);

    for (size_t i = 0; i < all->n; i++) {
        tell_again(&all->v[i]);
        intake_results_tick(&all->v[i].results);
    }
    timer_arm(all->c.loop, &all->tick, TICK_MS);
}

void intakes_after_commit(struct intakes *all, bool committed)
{
    for (size_t i = 0; all && i < all->n; i++) {
        struct intake *in = &all->v[i];

        for (struct message *m = in->messages, *after; m; m = after) {
            after = m->next;
            if (m->state == DECIDED) {
                decided(m, committed);
            }
        }
        if (committed) {
            intake_results_pump(&in->results);
        } else {
            intake_results_undone(&in->results);
        }
    }
}

/* ---- start ---- */

static bool name_read(int fd, char out[NAME_HEX + 1])
{
    ssize_t n = read(fd, out, NAME_HEX);

    out[n > 0 ? n : 0] = '\0';
    return n == NAME_HEX && strspn(out, "0123456789abcdef") == NAME_HEX;
}

static int name_make(const char *path, const struct service_user *u, char out[NAME_HEX + 1],
                     struct err *e)
{
    struct id id = id_new();
    auto_fd int fd = -1;

    (void)unlink(path); /* a start was cut off while it was written */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    id_text(&id, out);
    if (fd < 0 || write(fd, out, NAME_HEX) != NAME_HEX || fsync(fd) < 0 ||
        (u->change && fchown(fd, u->uid, u->gid) < 0)) {
        return err_errno(e, "make '%s'", path);
    }
    return 0;
}

/* Messages that were taken under this name and not committed are known again by it: it is needed
 * before the store can be opened. */
static int name_of(const char *dir, const struct service_user *u, char out[NAME_HEX + 1],
                   struct err *e)
{
    auto_free char *path = str_fmt("%s/intake-id", dir);
    auto_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 && errno != ENOENT) {
        return err_errno(e, "open '%s'", path);
    }
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && name_read(fd, out)) {
        return 0;
    }
    return name_make(path, u, out, e);
}

static int read_source(struct intakes *all, const char *url, struct err *e)
{
    struct intake *in = &all->v[all->n];
    int rc;

    if (all->n == INTAKES_MAX) {
        return err_set(e, ERR_INVALID, "more than %d message queues", INTAKES_MAX);
    }
    *in = (struct intake){.all = all, .fd = -1, .pidfd = -1};
    rc = edge_source_parse(url, &in->source, e);
    if (rc != 0) {
        return rc;
    }
    all->n++;
    for (size_t i = 0; i + 1 < all->n; i++) {
        if (str_eq(all->v[i].source.name, in->source.name)) {
            return err_set(e, ERR_INVALID, "two message queues have the name '%s': give name=NAME",
                           in->source.name);
        }
    }
    return 0;
}

static int read_setting(struct intakes *all, const char *setting, struct err *e)
{
    auto_free char *text = xstrdup(setting);
    int rc = 0;

    for (char *save, *url = strtok_r(text, " \t\r\n", &save); url && rc == 0;
         url = strtok_r(NULL, " \t\r\n", &save)) {
        rc = read_source(all, url, e);
    }
    secure_zero(text, strlen(setting));
    return rc ? err_prefix(e, rc, "intake") : 0;
}

int intakes_spawn(const char *setting, const char *dir, const struct service_user *u,
                  struct intakes **out, struct err *e)
{
    struct intakes *all;
    int rc;

    *out = NULL;
    if (!setting || strspn(setting, " \t\r\n") == strlen(setting)) {
        return 0;
    }
    all = xcalloc(1, sizeof *all);
    all->v = xcalloc(INTAKES_MAX, sizeof *all->v);
    rc = read_setting(all, setting, e);
    rc = rc ? rc : name_of(dir, u, all->server, e);
    for (size_t i = 0; i < all->n && rc == 0; i++) {
        struct intake *in = &all->v[i];
        const struct edge_config c = {.source = &in->source,
                                      .server = all->server,
                                      .change_user = u->change,
                                      .uid = u->uid,
                                      .gid = u->gid};

        rc = edge_spawn(&c, &in->fd, &in->pidfd, e);
    }
    if (rc != 0) {
        intakes_free(all);
        return rc;
    }
    *out = all;
    return 0;
}

/* As transport/fleet.c: the store's own, whoever needs it first. */
static int know_store(struct intakes *all, struct err *e)
{
    int rc = store_memo_get(all->c.store, "id", &all->store_id, e);

    if (rc == 0 && !all->store_id) {
        uint64_t id;

        random_bytes(&id, sizeof id);
        all->store_id = str_fmt("%016llx", (unsigned long long)id);
        rc = store_memo_put(all->c.store, "id", all->store_id, e);
    }
    return rc;
}

static int start_one(struct intake *in, struct err *e)
{
    const struct edge_events ev = {
        .message = on_message, .sent = on_sent, .state = on_state, .gone = on_gone, .arg = in};
    const struct intakes_start *c = &in->all->c;
    int rc;

    snprintf(in->why, sizeof in->why, "not connected yet");
    in->results = (struct intake_results){.loop = c->loop,
                                          .store = c->store,
                                          .depot = c->depot,
                                          .name = in->source.name,
                                          .store_id = in->all->store_id,
                                          .last_id = &in->last_id};
    rc = intake_results_open(&in->results, e);
    rc = rc ? rc : edge_connect(c->loop, take_fd(&in->fd), &ev, &in->edge, e);
    in->results.edge = in->edge;
    return rc;
}

int intakes_start(struct intakes *all, const struct intakes_start *s, struct err *e)
{
    int rc;

    if (!all) {
        return 0;
    }
    all->c = *s;
    all->tick.fn = on_tick;
    timer_arm(s->loop, &all->tick, TICK_MS);
    rc = know_store(all, e);
    for (size_t i = 0; i < all->n && rc == 0; i++) {
        rc = start_one(&all->v[i], e);
    }
    return rc;
}

void intakes_drain(struct intakes *all)
{
    for (size_t i = 0; all && i < all->n; i++) {
        intake_results_tick(&all->v[i].results);
    }
    if (all) {
        all->drained = true;
    }
}

void intakes_free(struct intakes *all)
{
    if (!all) {
        return;
    }
    timer_stop(&all->tick);
    for (size_t i = 0; i < all->n; i++) {
        struct intake *in = &all->v[i];

        drop_all(in);
        edge_free(in->edge);
        fd_close(&in->fd);
        intake_results_done(&in->results);
    }
    for (size_t i = 0; i < all->n; i++) { /* all of them end at the same time */
        struct intake *in = &all->v[i];
        struct pollfd p = {.fd = in->pidfd, .events = POLLIN};

        if (in->pidfd >= 0) {
            (void)poll(&p, 1, END_MS);
        }
        fd_close(&in->pidfd);
        edge_source_done(&in->source);
    }
    free(all->store_id);
    free(all->v);
    free(all);
}

bool intakes_stats(void *arg, size_t i, struct api_intake_stats *out)
{
    const struct intakes *all = arg;
    const struct intake *in;

    if (!all || i >= all->n) {
        return false;
    }
    in = &all->v[i];
    *out = (struct api_intake_stats){
        .name = in->source.name,
        .queue = in->source.queue,
        .up = in->up,
        .why = *in->why       ? in->why
               : *in->key_why ? in->key_why
                              : NULL,
        .taken = in->taken,
        .refused = in->refused,
        .later = in->later,
        .results = in->results.sent,
        .undeliverable = in->results.undeliverable,
    };
    return true;
}
