/*
 * edgerun SOURCE SERVER - the edge process alone: what it says comes out as lines of JSON, what
 * the daemon would say goes in as lines:
 *
 *   taken ID | refused ID REASON | later ID MS | result {"id", "form", "state", "event_id", ...}
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "edge/edge.h"

static struct loop *loop;
static struct edge *edge;

static void out(struct buf *b)
{
    buf_addc(b, '\n');
    if (write(STDOUT_FILENO, b->data, b->len) < 0) {
        loop_stop(loop);
    }
}

static void on_message(void *arg, const struct edge_message *m)
{
    static const char *const forms[] = {"scan", "repo", "celery"};
    auto_buf b = {0};
    struct json j = json_to(&b);

    (void)arg;
    json_obj(&j);
    json_int(&j, "message", (int64_t)m->id);
    json_str(&j, "form", forms[m->form]);
    json_str(&j, "task_id", m->task_id);
    json_str(&j, "reply_to", m->reply_to);
    json_str(&j, "correlation", m->correlation);
    json_str(&j, "body", m->body);
    json_str(&j, "bad", m->bad);
    json_bool(&j, "redelivered", m->redelivered);
    json_end(&j);
    out(&b);
}

static void on_sent(void *arg, uint64_t id, int rc, const char *why)
{
    auto_buf b = {0};
    struct json j = json_to(&b);

    (void)arg;
    json_obj(&j);
    json_int(&j, "sent", (int64_t)id);
    json_str(&j, "rc", rc ? err_name(rc) : "ok");
    json_str(&j, "why", why);
    json_end(&j);
    out(&b);
}

static void on_state(void *arg, bool up, const char *why)
{
    auto_buf b = {0};
    struct json j = json_to(&b);

    (void)arg;
    json_obj(&j);
    json_bool(&j, "up", up);
    json_str(&j, "why", why);
    json_end(&j);
    out(&b);
}

static void on_gone(void *arg)
{
    auto_buf b = {0};

    (void)arg;
    buf_adds(&b, "{\"gone\": true}");
    out(&b);
    loop_stop(loop);
}

static const char *text(const json_t *o, const char *member)
{
    const char *s = json_string_value(json_object_get(o, member));

    return s ? s : "";
}

static void give_result(const char *line)
{
    json_t *o = json_loads(line, 0, NULL);
    char *body = json_dumps(json_object_get(o, "body"), JSON_COMPACT);
    const struct edge_result r = {
        .id = (uint64_t)json_integer_value(json_object_get(o, "id")),
        .form = (enum edge_form)json_integer_value(json_object_get(o, "form")),
        .state = (unsigned)json_integer_value(json_object_get(o, "state")),
        .event_id = text(o, "event_id"),
        .task_id = text(o, "task_id"),
        .reply_to = text(o, "reply_to"),
        .correlation = text(o, "correlation"),
        .body = body ? body : "{}",
        .error = text(o, "error")};
    struct err e = {0};
    int rc = edge_result(edge, &r, &e);

    if (rc != 0) {
        on_sent(NULL, r.id, rc, e.msg);
    }
    free(body);
    json_decref(o);
}

static void on_line(char *line)
{
    char *word = strtok(line, " ");
    char *id = word && strcmp(word, "result") != 0 ? strtok(NULL, " ") : NULL;
    char *rest = strtok(NULL, "");
    uint64_t n = id ? strtoull(id, NULL, 10) : 0;

    if (str_eq(word, "taken")) {
        edge_verdict(edge, n, EDGE_TAKEN, 0, NULL);
    } else if (str_eq(word, "refused")) {
        edge_verdict(edge, n, EDGE_REFUSED, 0, rest);
    } else if (str_eq(word, "later")) {
        edge_verdict(edge, n, EDGE_LATER, (uint32_t)strtoul(rest ? rest : "0", NULL, 10), NULL);
    } else if (str_eq(word, "result") && rest) {
        give_result(rest);
    }
}

static void on_input(struct watch *w, uint32_t events)
{
    static struct buf in;
    char *to = buf_space(&in, 65536);
    ssize_t n = read(w->fd, to, 65536);
    char *end;

    (void)events;
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        loop_stop(loop);
        return;
    }
    in.len += n > 0 ? (size_t)n : 0;
    while (in.len && (end = memchr(in.data, '\n', in.len))) {
        *end = '\0';
        on_line(in.data);
        buf_drop(&in, (size_t)(end - in.data) + 1);
    }
}

int main(int argc, char **argv)
{
    const struct edge_events ev = {
        .message = on_message, .sent = on_sent, .state = on_state, .gone = on_gone};
    struct watch input = {.fd = STDIN_FILENO, .events = EPOLLIN, .fn = on_input};
    struct edge_config c = {.server = argc > 2 ? argv[2] : "server"};
    struct edge_source source;
    struct err e = {0};
    int fd, pidfd;

    if (argc < 2 || edge_source_parse(argv[1], &source, &e) != 0) {
        fprintf(stderr, "edgerun: %s\n", argc < 2 ? "SOURCE SERVER" : e.msg);
        return 2;
    }
    c.source = &source;
    if (edge_spawn(&c, &fd, &pidfd, &e) != 0 || loop_new(&loop, &e) != 0 ||
        edge_connect(loop, fd, &ev, &edge, &e) != 0 || watch_add(loop, &input, &e) != 0 ||
        loop_run(loop, &e) != 0) {
        fprintf(stderr, "edgerun: %s\n", e.msg);
        return 1;
    }
    edge_free(edge);
    close(pidfd);
    edge_source_done(&source);
    return 0;
}
