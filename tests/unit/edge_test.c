/* The edge process against a real redis-server on loopback. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "edge/edge.h"
#include "tap.h"

enum { WAIT_MS = 20000, KEPT = 64 };

struct seen {
    uint64_t id;
    enum edge_form form;
    char *task_id, *body, *bad;
    bool redelivered;
};

struct world {
    int port;
    pid_t server;
    char *dir, *text; /* of the source */
    struct loop *loop;
    struct edge_source source;
    struct edge *edge;
    int pidfd;
    redisContext *c;
    struct seen seen[KEPT];
    unsigned n_seen, n_sent, n_up, n_down, n_gone;
    int sent_rc;
    uint64_t sent_id;
    char why[512];
};

/* ---- a server ---- */

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    return ntohs(a.sin_port);
}

static void serve(struct world *w)
{
    auto_free char *port = str_fmt("%d", w->port);
    int64_t until = boot_ms() + WAIT_MS;

    w->server = fork();
    if (w->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir",
               w->dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--logfile",
               "log", (char *)NULL);
        _exit(127);
    }
    for (;;) {
        w->c = redisConnect("127.0.0.1", w->port);
        if (w->c && !w->c->err) {
            return;
        }
        redisFree(w->c);
        if (waitpid(w->server, NULL, WNOHANG) == w->server) {
            tap_skip("redis-server is not installed");
        }
        CHECK(boot_ms() < until);
        usleep(20000);
    }
}

static void stop_server(struct world *w)
{
    redisFree(w->c);
    w->c = NULL;
    kill(w->server, SIGKILL);
    waitpid(w->server, NULL, 0);
}

/* ---- what the process says ---- */

static void on_message(void *arg, const struct edge_message *m)
{
    struct world *w = arg;

    CHECK(w->n_seen < KEPT);
    w->seen[w->n_seen++] = (struct seen){.id = m->id,
                                         .form = m->form,
                                         .task_id = xstrdup(m->task_id),
                                         .body = xstrdup(m->body),
                                         .bad = xstrdup(m->bad),
                                         .redelivered = m->redelivered};
}

static void on_sent(void *arg, uint64_t id, int rc, const char *why)
{
    struct world *w = arg;

    w->n_sent++;
    w->sent_id = id;
    w->sent_rc = rc;
    snprintf(w->why, sizeof w->why, "%s", why);
}

static void on_state(void *arg, bool up, const char *why)
{
    struct world *w = arg;

    w->n_up += up;
    w->n_down += !up;
    snprintf(w->why, sizeof w->why, "%s", why);
}

static void on_gone(void *arg)
{
    ((struct world *)arg)->n_gone++;
}

#define UNTIL(w, cond)                                         \
    do {                                                       \
        int64_t until_ = boot_ms() + WAIT_MS;                  \
        while (!(cond)) {                                      \
            CHECK_OK(loop_turn((w)->loop, 20, ERR));           \
            if (boot_ms() > until_) {                          \
                tap_fail(__FILE__, __LINE__, "never: " #cond); \
            }                                                  \
        }                                                      \
    } while (0)

static void start(struct world *w)
{
    const struct edge_events ev = {
        .message = on_message, .sent = on_sent, .state = on_state, .gone = on_gone, .arg = w};
    const struct edge_config c = {.source = &w->source, .server = "s1"};
    int fd;

    CHECK_OK(edge_spawn(&c, &fd, &w->pidfd, ERR));
    CHECK_OK(edge_connect(w->loop, fd, &ev, &w->edge, ERR));
}

static void forget_seen(struct world *w)
{
    for (unsigned i = 0; i < w->n_seen; i++) {
        free(w->seen[i].task_id);
        free(w->seen[i].body);
        free(w->seen[i].bad);
    }
    w->n_seen = 0;
}

static void end(struct world *w)
{
    edge_free(w->edge); /* which ends the process */
    CHECK(waitid(P_PIDFD, (id_t)w->pidfd, &(siginfo_t){0}, WEXITED) == 0);
    close(w->pidfd);
    forget_seen(w);
}

static void open_world(struct world *w, const char *parameters)
{
    static int n;

    *w = (struct world){.port = free_port(), .dir = str_fmt("%s/%d", test_dir(), n++)};
    CHECK(mkdir(w->dir, 0700) == 0);
    serve(w);
    w->text = str_fmt("redis://127.0.0.1:%d/0?queue=jobs&results=answers%s", w->port, parameters);
    CHECK_OK(edge_source_parse(w->text, &w->source, ERR));
    CHECK_OK(loop_new(&w->loop, ERR));
    start(w);
    UNTIL(w, w->n_up == 1);
}

static void close_world(struct world *w)
{
    end(w);
    loop_free(w->loop);
    stop_server(w);
    edge_source_done(&w->source);
    free(w->dir);
    free(w->text);
}

/* ---- Redis as others see it ---- */

static long long number(struct world *w, const char *command)
{
    redisReply *r = redisCommand(w->c, command);
    long long n;

    CHECK(r && r->type == REDIS_REPLY_INTEGER);
    n = r->integer;
    freeReplyObject(r);
    return n;
}

static char *text(struct world *w, const char *command)
{
    redisReply *r = redisCommand(w->c, command);
    char *s;

    CHECK(r);
    s = r->type == REDIS_REPLY_STRING ? xstrdup(r->str) : NULL;
    freeReplyObject(r);
    return s;
}

static void push(struct world *w, const char *body)
{
    redisReply *r = redisCommand(w->c, "LPUSH jobs %s", body);

    CHECK(r && r->type == REDIS_REPLY_INTEGER);
    freeReplyObject(r);
}

/* ---- tests ---- */

static void a_message_is_kept_until_it_is_taken(void)
{
    struct world w;

    open_world(&w, "");
    push(&w, "{\"task_id\": \"a\"}");
    UNTIL(&w, w.n_seen == 1);
    CHECK_STR(w.seen[0].task_id, "a");
    CHECK_STR(w.seen[0].bad, NULL);
    CHECK(!w.seen[0].redelivered);
    CHECK_INT(number(&w, "LLEN jobs"), 0);
    CHECK_INT(number(&w, "LLEN jobs:taken:s1"), 1);
    edge_verdict(w.edge, w.seen[0].id, EDGE_TAKEN, 0, NULL);
    UNTIL(&w, number(&w, "EXISTS jobs:taken:s1") == 0);
    CHECK_INT(number(&w, "EXISTS jobs.dead"), 0);
    close_world(&w);
}

static void what_was_not_decided_comes_again_to_the_next_process(void)
{
    struct world w;

    open_world(&w, "");
    push(&w, "{\"task_id\": \"a\"}");
    push(&w, "{\"task_id\": \"b\"}");
    UNTIL(&w, w.n_seen == 2);
    edge_verdict(w.edge, w.seen[0].id, EDGE_TAKEN, 0, NULL);
    UNTIL(&w, number(&w, "LLEN jobs:taken:s1") == 1);
    end(&w);
    push(&w, "{\"task_id\": \"c\"}");
    start(&w);
    UNTIL(&w, w.n_seen == 2);
    CHECK_STR(w.seen[0].task_id, "b"); /* first */
    CHECK(w.seen[0].redelivered);
    CHECK_STR(w.seen[1].task_id, "c");
    close_world(&w);
}

static void what_is_refused_is_a_dead_letter_with_the_reason(void)
{
    struct world w;
    json_t *dead;

    open_world(&w, "");
    push(&w, "{\"task_id\": \"a\", \"tool\": \"none\"}");
    push(&w, "no JSON");
    UNTIL(&w, w.n_seen == 2);
    CHECK(w.seen[1].bad);
    edge_verdict(w.edge, w.seen[0].id, EDGE_REFUSED, 0, "unknown tool 'none'");
    edge_verdict(w.edge, w.seen[1].id, EDGE_REFUSED, 0, NULL);
    UNTIL(&w, number(&w, "LLEN jobs.dead") == 2);
    UNTIL(&w, number(&w, "EXISTS jobs:taken:s1") == 0);
    for (int i = 0; i < 2; i++) {
        auto_free char *entry = text(&w, i ? "LINDEX jobs.dead 1" : "LINDEX jobs.dead 0");

        dead = json_loads(entry, 0, NULL);
        CHECK_STR(json_string_value(json_object_get(dead, "task_id")), i ? NULL : "a");
        CHECK_STR(json_string_value(json_object_get(dead, "body")),
                  i ? "no JSON" : "{\"task_id\": \"a\", \"tool\": \"none\"}");
        CHECK(str_starts(json_string_value(json_object_get(dead, "reason")),
                         i ? "the message is not JSON" : "unknown tool 'none'"));
        CHECK(json_string_value(json_object_get(dead, "at")));
        json_decref(dead);
    }
    close_world(&w);
}

static void later_is_asked_again(void)
{
    struct world w;

    open_world(&w, "");
    push(&w, "{\"task_id\": \"a\"}");
    UNTIL(&w, w.n_seen == 1);
    edge_verdict(w.edge, w.seen[0].id, EDGE_LATER, 50, NULL);
    UNTIL(&w, w.n_seen == 2);
    CHECK_INT(w.seen[1].id, w.seen[0].id);
    CHECK_INT(number(&w, "LLEN jobs:taken:s1"), 1);
    close_world(&w);
}

static void no_more_is_taken_than_can_be_decided(void)
{
    struct world w;

    open_world(&w, "");
    for (int i = 0; i < EDGE_PREFETCH + 10; i++) {
        auto_free char *body = str_fmt("{\"task_id\": \"%d\"}", i);

        push(&w, body);
    }
    UNTIL(&w, w.n_seen == EDGE_PREFETCH);
    CHECK_INT(number(&w, "LLEN jobs:taken:s1"), EDGE_PREFETCH);
    CHECK_INT(number(&w, "LLEN jobs"), 10);
    close_world(&w);
}

static void a_verdict_is_carried_out_after_the_connection_was_lost(void)
{
    struct world w;

    open_world(&w, "");
    push(&w, "{\"tool\": \"nmap\"}"); /* without an id, a second one would be another job */
    push(&w, "{\"tool\": \"zmap\"}");
    UNTIL(&w, w.n_seen == 2);
    stop_server(&w);
    UNTIL(&w, w.n_down >= 1);
    edge_verdict(w.edge, w.seen[0].id, EDGE_TAKEN, 0, NULL);
    serve(&w);
    UNTIL(&w, w.n_up == 2);
    UNTIL(&w, number(&w, "LLEN jobs:taken:s1") == 1);
    CHECK_INT(w.n_seen, 2); /* nobody was asked twice */
    edge_verdict(w.edge, w.seen[1].id, EDGE_TAKEN, 0, NULL);
    UNTIL(&w, number(&w, "EXISTS jobs:taken:s1") == 0);
    close_world(&w);
}

static void a_message_that_is_too_large_is_moved_and_told(void)
{
    struct world w;
    size_t n = 2 << 20;
    auto_free char *body = xmalloc(n + 1);

    memset(body, 'a', n);
    body[n] = '\0';
    open_world(&w, "");
    push(&w, body);
    push(&w, "{\"task_id\": \"b\"}");
    UNTIL(&w, w.n_seen == 2);
    CHECK(w.seen[0].bad && strstr(w.seen[0].bad, "2097152 bytes"));
    CHECK(str_starts(w.seen[0].body, "aaa"));
    CHECK_STR(w.seen[1].task_id, "b");
    edge_verdict(w.edge, w.seen[0].id, EDGE_REFUSED, 0, NULL);
    edge_verdict(w.edge, w.seen[1].id, EDGE_TAKEN, 0, NULL);
    UNTIL(&w, number(&w, "EXISTS jobs:taken:s1") == 0);
    CHECK_INT(number(&w, "LLEN jobs.dead"), 2); /* itself, and the reason */
    close_world(&w);
}

static void send_result(struct world *w, const struct edge_result *r)
{
    unsigned n = w->n_sent;

    CHECK_OK(edge_result(w->edge, r, ERR));
    UNTIL(w, w->n_sent == n + 1);
    CHECK_INT(w->sent_id, r->id);
}

static void results_go_to_their_list_or_stream(void)
{
    struct edge_result r = {.id = 5,
                            .event_id = "e1",
                            .task_id = "a",
                            .reply_to = "",
                            .state = RESULT_OK,
                            .body = "{\"status\":\"completed\"}"};
    auto_free char *got = NULL;
    struct world w;

    open_world(&w, "");
    send_result(&w, &r);
    CHECK_INT(w.sent_rc, 0);
    got = text(&w, "LINDEX answers 0");
    CHECK_STR(got, "{\"status\":\"completed\",\"event_id\":\"e1\"}");
    freeReplyObject(redisCommand(w.c, "XGROUP CREATE mine g 0 MKSTREAM"));
    r.reply_to = "mine";
    send_result(&w, &r);
    CHECK_INT(w.sent_rc, 0);
    CHECK_INT(number(&w, "XLEN mine"), 1);
    r.state = RESULT_STARTED; /* only Celery hears of it */
    send_result(&w, &r);
    CHECK_INT(w.sent_rc, 0);
    CHECK_INT(number(&w, "XLEN mine"), 1);
    close_world(&w);
}

static void results_go_to_no_key_of_ours_and_of_no_other_kind(void)
{
    static const char *const names[] = {"jobs", "jobs.dead", "scanpod:x", "a b", "hash"};
    struct world w;

    open_world(&w, "");
    freeReplyObject(redisCommand(w.c, "HSET hash a b"));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct edge_result r = {.id = i + 1,
                                      .event_id = "e",
                                      .task_id = "a",
                                      .reply_to = names[i],
                                      .state = RESULT_OK,
                                      .body = "{}"};

        send_result(&w, &r);
        CHECK_INT(w.sent_rc, ERR_INVALID);
    }
    CHECK_INT(number(&w, "DBSIZE"), 1);
    close_world(&w);
}

static void a_task_of_celery_never_goes_back_to_started(void)
{
    struct edge_result r = {.id = 5,
                            .form = EDGE_CELERY,
                            .event_id = "e1",
                            .task_id = "a",
                            .state = RESULT_OK,
                            .body = "{}"};
    auto_free char *got = NULL;
    struct world w;

    open_world(&w, "");
    send_result(&w, &r);
    r.state = RESULT_STARTED;
    send_result(&w, &r);
    CHECK_INT(w.sent_rc, 0);
    got = text(&w, "GET celery-task-meta-a");
    CHECK(strstr(got, "SUCCESS"));
    CHECK(number(&w, "TTL celery-task-meta-a") > 86000);
    close_world(&w);
}

static void entries_of_a_stream_are_acknowledged_and_removed(void)
{
    struct world w;

    open_world(&w, "&kind=stream");
    freeReplyObject(redisCommand(w.c, "XADD jobs * body %s", "{\"task_id\": \"a\"}"));
    freeReplyObject(redisCommand(w.c, "XADD jobs * tool nmap target 127.0.0.1"));
    UNTIL(&w, w.n_seen == 2);
    CHECK_STR(w.seen[0].task_id, "a");
    CHECK(str_starts(w.seen[1].task_id, "jobs:")); /* the entry's id */
    CHECK_STR(w.seen[1].body, "{\"tool\":\"nmap\",\"target\":\"127.0.0.1\"}");
    edge_verdict(w.edge, w.seen[0].id, EDGE_TAKEN, 0, NULL);
    UNTIL(&w, number(&w, "XLEN jobs") == 1);
    end(&w);
    start(&w);
    UNTIL(&w, w.n_seen == 1);
    CHECK(w.seen[0].redelivered);
    edge_verdict(w.edge, w.seen[0].id, EDGE_REFUSED, 0, "no");
    UNTIL(&w, number(&w, "XLEN jobs") == 0);
    CHECK_INT(number(&w, "LLEN jobs.dead"), 1);
    close_world(&w);
}

static void entries_of_a_server_that_is_gone_are_claimed(void)
{
    struct world w;
    auto_free char *id = NULL;
    redisReply *r;

    open_world(&w, "&kind=stream");
    end(&w);
    r = redisCommand(w.c, "XADD jobs * body {}");
    id = xstrdup(r->str);
    freeReplyObject(r);
    freeReplyObject(redisCommand(w.c, "XREADGROUP GROUP scanpod other COUNT 1 STREAMS jobs >"));
    start(&w);
    UNTIL(&w, w.n_up == 2);
    freeReplyObject(redisCommand(w.c, "XCLAIM jobs scanpod other 0 %s IDLE 120000", id));
    end(&w);
    start(&w); /* it looks at once, and then from time to time */
    UNTIL(&w, w.n_seen == 1);
    CHECK(w.seen[0].redelivered);
    edge_verdict(w.edge, w.seen[0].id, EDGE_TAKEN, 0, NULL);
    UNTIL(&w, number(&w, "XLEN jobs") == 0);
    close_world(&w);
}

static void messages_that_vanished_take_no_room(void)
{
    struct world w;

    open_world(&w, "");
    for (int i = 0; i < EDGE_PREFETCH; i++) {
        push(&w, "{}");
    }
    UNTIL(&w, w.n_seen == EDGE_PREFETCH);
    freeReplyObject(redisCommand(w.c, "FLUSHALL"));
    stop_server(&w);
    UNTIL(&w, w.n_down >= 1);
    forget_seen(&w);
    serve(&w);
    UNTIL(&w, w.n_up == 2);
    push(&w, "{\"task_id\": \"a\"}");
    UNTIL(&w, w.n_seen == 1);
    CHECK_STR(w.seen[0].task_id, "a");
    close_world(&w);
}

static void a_queue_of_another_kind_is_told(void)
{
    struct world w;

    open_world(&w, "&kind=stream");
    end(&w);
    freeReplyObject(redisCommand(w.c, "DEL jobs"));
    push(&w, "{}");
    start(&w);
    UNTIL(&w, w.n_down >= 1);
    CHECK(strstr(w.why, "WRONGTYPE"));
    close_world(&w);
}

static void wrong_credentials_are_told_without_them(void)
{
    struct world w;

    open_world(&w, "");
    end(&w);
    edge_source_done(&w.source);
    free(w.text);
    w.text = str_fmt("redis://someone:s3cret@127.0.0.1:%d/0?queue=jobs", w.port);
    CHECK_OK(edge_source_parse(w.text, &w.source, ERR));
    start(&w);
    UNTIL(&w, w.n_down >= 1);
    CHECK(strstr(w.why, "WRONGPASS"));
    CHECK(!strstr(w.why, "s3cret"));
    close_world(&w);
}

static char *line_of(pid_t pid, const char *file, const char *name)
{
    auto_free char *path = str_fmt("/proc/%d/%s", (int)pid, file);
    char line[256];
    FILE *f = fopen(path, "r");
    char *found = NULL;

    CHECK(f);
    while (!found && fgets(line, sizeof line, f)) {
        if (str_starts(line, name)) {
            line[strcspn(line, "\n")] = '\0';
            found = xstrdup(line + strlen(name) + strspn(line + strlen(name), " \t"));
        }
    }
    fclose(f);
    return found;
}

static void the_process_has_no_privileges(void)
{
    static const struct {
        const char *name, *value;
    } rows[] = {
        {"Name:", "scanpod-edge"},
        {"CapPrm:", "0000000000000000"},
        {"CapEff:", "0000000000000000"},
        {"NoNewPrivs:", "1"},
        {"Seccomp:", "2"},
    };
    auto_free char *pid = NULL;
    struct world w;
    char fd[32];

    open_world(&w, "");
    if (geteuid() == 0) {
        const struct edge_config c = {
            .source = &w.source, .server = "s1", .change_user = true, .uid = 65534, .gid = 65534};
        const struct edge_events ev = {
            .message = on_message, .sent = on_sent, .state = on_state, .gone = on_gone, .arg = &w};
        int chan_fd;

        end(&w);
        CHECK_OK(edge_spawn(&c, &chan_fd, &w.pidfd, ERR));
        CHECK_OK(edge_connect(w.loop, chan_fd, &ev, &w.edge, ERR));
        UNTIL(&w, w.n_up == 2);
    }
    snprintf(fd, sizeof fd, "fdinfo/%d", w.pidfd);
    pid = line_of(getpid(), fd, "Pid:");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *got = line_of(atoi(pid), "status", rows[i].name);

        CHECK_STR(got, rows[i].value);
    }
    if (geteuid() == 0) {
        auto_free char *uid = line_of(atoi(pid), "status", "Uid:");

        CHECK_STR(uid, "65534\t65534\t65534\t65534");
    }
    close_world(&w);
}

static void the_end_of_the_process_is_told_with_what_it_owed(void)
{
    const struct edge_result r = {
        .id = 9, .event_id = "e", .task_id = "a", .reply_to = "", .state = RESULT_OK, .body = "{}"};
    struct world w;

    open_world(&w, "");
    CHECK(syscall(SYS_pidfd_send_signal, w.pidfd, SIGSTOP, NULL, 0) == 0);
    CHECK_OK(edge_result(w.edge, &r, ERR));
    CHECK(syscall(SYS_pidfd_send_signal, w.pidfd, SIGKILL, NULL, 0) == 0);
    UNTIL(&w, w.n_gone == 1);
    CHECK_INT(w.n_sent, 1);
    CHECK_INT(w.sent_rc, ERR_IO);
    CHECK_ERR(edge_result(w.edge, &r, ERR), ERR_IO);
    close_world(&w);
}

TESTS(a_message_is_kept_until_it_is_taken, what_was_not_decided_comes_again_to_the_next_process,
      what_is_refused_is_a_dead_letter_with_the_reason, later_is_asked_again,
      no_more_is_taken_than_can_be_decided, a_verdict_is_carried_out_after_the_connection_was_lost,
      a_message_that_is_too_large_is_moved_and_told, results_go_to_their_list_or_stream,
      results_go_to_no_key_of_ours_and_of_no_other_kind,
      a_task_of_celery_never_goes_back_to_started, entries_of_a_stream_are_acknowledged_and_removed,
      entries_of_a_server_that_is_gone_are_claimed, messages_that_vanished_take_no_room,
      a_queue_of_another_kind_is_told, wrong_credentials_are_told_without_them,
      the_process_has_no_privileges, the_end_of_the_process_is_told_with_what_it_owed)
