/* Messages that become jobs, and the reader of the event log that tells what became of them. */
#include "api_rig.h"
#include "daemon/intake_results.h"
#include "edge/edge.h"
#include "edge/edge_wire.h"
#include "http/api_message.h"
#include "ipc/chan.h"

/* ---- messages ---- */

static struct {
    unsigned n;
    int how;
    char why[512];
    bool key, another;
    uint32_t after_ms;
} end;

static void on_end(void *arg, const struct api_message_end *e)
{
    CHECK(arg == &end);
    end.n++;
    end.how = e->how;
    end.key = e->key;
    end.another = e->another;
    end.after_ms = e->after_ms;
    snprintf(end.why, sizeof end.why, "%s", e->why ? e->why : "");
}

static struct api_asked *message_as(const char *key, const char *task_id, const char *body)
{
    const struct api_message m = {.intake = "q",
                                  .key = key,
                                  .task_id = task_id,
                                  .reply_to = "r",
                                  .correlation = "c",
                                  .body = body,
                                  .form = EDGE_CELERY};

    return api_message(rig.api, &m, on_end, &end);
}

static void message(const char *task_id, const char *body, int how)
{
    unsigned before = end.n;

    CHECK(!message_as(NULL, task_id, body));
    CHECK_INT(end.n, before + 1);
    if (end.how != how) {
        tap_fail(__FILE__, __LINE__, "%s: %d: %s", body, end.how, end.why);
    }
    turns(1);
}

static unsigned completed; /* jobs */

static void start(void)
{
    completed = 0;
    memset(&end, 0, sizeof end);
    rig_start(1, NULL);
    turns(1);
}

static int on_job(void *arg, const struct job *j, struct err *e)
{
    struct job *out = arg;

    out->num = j->num;
    out->id = j->id;
    return 0;
}

static struct job last_job(void)
{
    struct job_filter f = {.limit = 1};
    struct job j = {0};

    CHECK_OK(store_job_list(rig.store, &f, on_job, &j, ERR));
    return j;
}

static int64_t job_count(void)
{
    int64_t counts[JOB_STATES], n = 0;

    store_job_counts(rig.store, counts);
    for (int i = 0; i < JOB_STATES; i++) {
        n += counts[i];
    }
    return n;
}

struct dead {
    char task[300], reason[600], body[5000];
};

static int on_dead(void *arg, const struct dead_letter *d, struct err *e)
{
    struct dead *out = arg;

    snprintf(out->task, sizeof out->task, "%s", d->task_id);
    snprintf(out->reason, sizeof out->reason, "%s", d->reason);
    snprintf(out->body, sizeof out->body, "%s", d->body);
    CHECK_STR(d->source, "q");
    return 0;
}

static struct dead last_dead(void)
{
    struct dead d = {0};

    CHECK_OK(store_dead_list(rig.store, 0, 1, on_dead, &d, ERR));
    return d;
}

#define NOOP "{\"task_id\":\"t\",\"tool\":\"noop\",\"target\":\"127.0.0.1\"}"

static void a_message_becomes_a_job_that_knows_where_it_came_from(void)
{
    struct origin o = {0};
    bool found = false;

    start();
    message("t", NOOP, MESSAGE_TAKEN);
    CHECK_OK(store_origin_get(rig.store, last_job().num, &o, &found, ERR));
    CHECK(found);
    CHECK_STR(o.intake, "q");
    CHECK_STR(o.task_id, "t");
    CHECK_STR(o.reply_to, "r");
    CHECK_STR(o.correlation, "c");
    CHECK_INT(o.form, EDGE_CELERY);
    origin_done(&o);
    rig_stop();
}

static void a_task_id_is_one_job_however_its_request_is_written(void)
{
    start();
    message("t", NOOP, MESSAGE_TAKEN);
    message("t", "{ \"target\": \"127.0.0.1\", \"tool\": \"noop\", \"task_id\": \"t\"}",
            MESSAGE_TAKEN);
    message("t",
            "{\"task_id\":\"t\",\"reply_to\":\"r\",\"tool\":\"noop\",\"target\":\"127.0.0.1\"}",
            MESSAGE_TAKEN);
    CHECK_INT(job_count(), 1);
    message("t", "{\"task_id\":\"t\",\"tool\":\"noop\",\"target\":\"127.0.0.2\"}", MESSAGE_REFUSED);
    CHECK(end.another);
    CHECK_STR(last_dead().task, "t");
    CHECK_INT(job_count(), 1);
    message("u", NOOP, MESSAGE_TAKEN); /* the message's own id counts */
    CHECK_INT(job_count(), 2);
    rig_stop();
}

static void names_are_resolved_first_and_a_twin_comes_later(void)
{
    static const char named[] = "{\"tool\":\"noop\",\"target\":\"one.example\"}";
    struct api_asked *x;

    start();
    x = message_as(NULL, "t", named);
    CHECK(x && end.n == 0);
    message("t", named, MESSAGE_LATER);
    CHECK_INT(job_count(), 0);
    rig_resolve("127.0.0.1");
    CHECK_INT(end.n, 2);
    CHECK_INT(end.how, MESSAGE_TAKEN);
    turns(1);
    message("t", named, MESSAGE_TAKEN);
    CHECK_INT(job_count(), 1);
    x = message_as(NULL, "v", named);
    rig_resolve(NULL);
    CHECK_INT(end.how, MESSAGE_REFUSED);
    CHECK(strstr(last_dead().reason, "/target: 'x' has no address"));
    x = message_as(NULL, "w", named);
    api_message_give_up(x);
    CHECK_INT(rig.unpins, 1);
    x = message_as(NULL, "y", named); /* under way when the API ends */
    api_message_give_up(x);
    rig_stop();
}

static void what_is_wrong_is_named_and_kept(void)
{
    static const struct {
        const char *body, *why;
    } cases[] = {
        {"{", "not JSON"},
        {"[]", "not a JSON object"},
        {"{\"tool\":\"noop\",\"tool\":\"noop\"}", "not JSON"},
        {"{\"tool\":\"rm\",\"target\":\"127.0.0.1\"}", "/tool: there is no such tool 'rm'"},
        {"{\"tool\":\"noop\"}", "/targets: is required"},
        {"{\"tool\":\"noop\",\"target\":\"127.0.0.1\",\"x\":1}", "/x: unknown member"},
        {"{\"tool\":\"noop\",\"target\":\"127.0.0.1\",\"timeout_seconds\":0}", "/timeout_seconds"},
        {"{\"tool\":\"noop\",\"target\":\"203.0.113.7\"}", "is not allowed"},
        {"{\"repo_url\":\"http://git.example/x\"}", "repo_url"},
        {"{\"repo_url\":\"https://127.0.0.1/x\"}", "may not be fetched from 127.0.0.1"},
        {"{\"url\":\"https://git.example/x\",\"ref\":\"main\"}", "/ref"},
    };

    start();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        message("t", cases[i].body, MESSAGE_REFUSED);
        CHECK(!end.another);
        CHECK(strstr(end.why, cases[i].why));
        CHECK(strstr(last_dead().reason, cases[i].why));
        CHECK_STR(last_dead().body, cases[i].body);
        CHECK_INT(store_dead_count(rig.store), i + 1);
    }
    message("", NOOP, MESSAGE_REFUSED);
    CHECK(strstr(end.why, "/task_id: is required"));
    message("a b", NOOP, MESSAGE_REFUSED);
    CHECK_INT(job_count(), 0);
    rig_stop();
}

static void a_dead_letter_is_cut_at_a_character(void)
{
    auto_buf body = {0};

    start();
    buf_adds(&body, "\"");
    while (body.len < 6000) {
        buf_adds(&body, "\xe2\x82\xac");
    }
    message("t", body.data, MESSAGE_REFUSED);
    CHECK(strlen(last_dead().body) > 4000 && strlen(last_dead().body) <= 4096);
    CHECK(utf8_valid(last_dead().body, strlen(last_dead().body)));
    message("t", "\xff\xfe", MESSAGE_REFUSED);
    CHECK_STR(last_dead().body, "\xef\xbf\xbd\xef\xbf\xbd");
    rig_stop();
}

static void a_key_that_is_none_makes_messages_wait(void)
{
    struct key k = {.id = "0123456789abcdef", .name = "reader", .scopes = KEY_READ};

    start();
    CHECK_OK(store_key_add(rig.store, &k, ERR));
    CHECK_OK(api_keys_load(rig.api, ERR));
    CHECK(!message_as("nobody", "t", NOOP));
    CHECK(end.how == MESSAGE_LATER && end.key && strstr(end.why, "there is no key 'nobody'"));
    CHECK(!message_as("reader", "t", NOOP));
    CHECK(end.how == MESSAGE_LATER && end.key && strstr(end.why, "submit:network"));
    CHECK(!message_as("0123456789abcdef", "t", NOOP));
    CHECK(end.key && end.after_ms > 0);
    turns(1);
    CHECK_INT(store_dead_count(rig.store), 0);
    CHECK_INT(job_count(), 0);
    rig_stop();
}

static void a_full_store_makes_messages_wait(void)
{
    struct store_limits one = {.max_jobs = 1};

    start();
    store_set_limits(rig.store, &one);
    message("t", NOOP, MESSAGE_TAKEN);
    message("u", NOOP, MESSAGE_LATER);
    CHECK(!end.key && end.after_ms > 0);
    CHECK_INT(store_dead_count(rig.store), 0);
    rig_stop();
}

/* ---- results: the other end of the channel is the test ---- */

static struct {
    struct chan chan;
    unsigned n;
    uint64_t id;
    int state;
    char event_id[64], task_id[64];
    char body[EDGE_RESULT_MAX + 1];
} peer;

static struct intake_results reader;
static uint64_t last_id;

static void peer_heard(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds)
{
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    struct edge_result r;

    CHECK(type == EDGE_RESULT && edge_result_get(&w, &r));
    peer.n++;
    peer.id = r.id;
    peer.state = (int)r.state;
    snprintf(peer.event_id, sizeof peer.event_id, "%s", r.event_id);
    snprintf(peer.task_id, sizeof peer.task_id, "%s", r.task_id);
    snprintf(peer.body, sizeof peer.body, "%s", r.body);
}

static void peer_closed(struct chan *c)
{
    chan_done(c);
}

static void told(int rc, const char *why)
{
    CHECK(intake_results_sent(&reader, peer.id, rc, why));
}

static void never(void *arg, const struct edge_message *m)
{
    tap_fail(__FILE__, __LINE__, "no message was sent");
}

static void never_sent(void *arg, uint64_t id, int rc, const char *why)
{
    CHECK_INT(rc, ERR_IO); /* the channel's end */
}

static void no_state(void *arg, bool up, const char *why)
{
}

static void open_reader(void)
{
    static const struct edge_events ev = {.message = never, .sent = never_sent, .state = no_state};
    int fds[2];

    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    memset(&peer, 0, sizeof peer);
    peer.chan.on_message = peer_heard;
    peer.chan.on_close = peer_closed;
    CHECK_OK(chan_start(&peer.chan, rig.loop, fds[1], ERR));
    reader = (struct intake_results){
        .loop = rig.loop, .store = rig.store, .name = "q", .store_id = "s", .last_id = &last_id};
    CHECK_OK(edge_connect(rig.loop, fds[0], &ev, &reader.edge, ERR));
    CHECK_OK(intake_results_open(&reader, ERR));
    turns(1);
}

static void close_reader(void)
{
    edge_free(reader.edge);
    intake_results_done(&reader);
    chan_done(&peer.chan);
}

static void pump(void)
{
    intake_results_pump(&reader);
    turns(2);
}

static void complete_job(void)
{
    const struct outcome o = {.state = JOB_COMPLETED, .command_line = "x"};

    for (int i = 0; i < 20 && rig.runs == completed; i++) {
        turns(1);
    }
    CHECK_INT(rig.runs, ++completed);
    sched_finish(rig.sched, &rig.run, &o);
    turns(1);
}

static int64_t cursor(void)
{
    int64_t at = -1;

    CHECK_OK(store_cursor_get(rig.store, "intake:q", &at, ERR));
    return at;
}

static void a_result_is_told_again_until_the_broker_has_it(void)
{
    char first[64];
    int64_t at;

    start();
    open_reader();
    at = cursor();
    message("a", NOOP, MESSAGE_TAKEN);
    complete_job();
    pump();
    CHECK_INT(peer.n, 0); /* the broker is away */
    intake_results_up(&reader, true);
    pump();
    CHECK_INT(peer.n, 2); /* Celery hears of the start, too */
    CHECK_INT(peer.state, RESULT_OK);
    CHECK_STR(peer.task_id, "a");
    CHECK(strstr(peer.body, "\"status\":\"completed\""));
    snprintf(first, sizeof first, "%s", peer.event_id);
    told(ERR_IO, "gone");
    intake_results_tick(&reader);
    turns(2);
    CHECK_INT(peer.n, 3);
    CHECK_STR(peer.event_id, first);
    told(0, "");
    intake_results_tick(&reader);
    turns(1);
    CHECK(cursor() == at || cursor() < store_event_last(rig.store)); /* the start is under way */
    CHECK(intake_results_sent(&reader, peer.id - 2, 0, ""));
    intake_results_tick(&reader);
    turns(1);
    CHECK_INT(cursor(), store_event_last(rig.store));
    CHECK_INT(reader.sent, 2);
    CHECK(!intake_results_sent(&reader, peer.id, 0, ""));
    close_reader();
    rig_stop();
}

static void what_was_under_way_is_told_by_the_next_server(void)
{
    char first[64];

    start();
    open_reader();
    intake_results_up(&reader, true);
    message("a", NOOP, MESSAGE_TAKEN);
    complete_job();
    pump();
    CHECK_INT(peer.n, 2);
    snprintf(first, sizeof first, "%s", peer.event_id);
    intake_results_tick(&reader);
    turns(1);
    close_reader();
    open_reader();
    intake_results_up(&reader, true);
    pump();
    CHECK_INT(peer.n, 2);
    CHECK_STR(peer.event_id, first);
    close_reader();
    rig_stop();
}

static void what_the_broker_refuses_for_good_is_a_dead_letter(void)
{
    start();
    open_reader();
    intake_results_up(&reader, true);
    message("a", NOOP, MESSAGE_TAKEN);
    complete_job();
    pump();
    CHECK_INT(peer.n, 2);
    told(ERR_NOT_FOUND, "there is no queue 'r'");
    CHECK(intake_results_sent(&reader, peer.id - 1, 0, ""));
    turns(1);
    CHECK_STR(last_dead().task, "a");
    CHECK(str_starts(last_dead().reason, "undeliverable: there is no queue 'r'"));
    CHECK_INT(reader.undeliverable, 1);
    intake_results_tick(&reader);
    turns(1);
    CHECK_INT(cursor(), store_event_last(rig.store));
    close_reader();
    rig_stop();
}

static void jobs_of_others_are_passed_over_and_a_deleted_one_is_told(void)
{
    struct job j;

    start();
    open_reader();
    message("a", NOOP, MESSAGE_TAKEN);
    complete_job();
    j = last_job();
    CHECK_OK(store_job_delete(rig.store, &j.id, ERR));
    turns(1);
    close(say("POST", "/api/v1/scans", "Content-Type: application/json\r\n",
              "{\"tool\":\"noop\",\"targets\":\"127.0.0.1\"}"));
    complete_job();
    intake_results_up(&reader, true);
    for (int i = 0; i < 4; i++) {
        pump();
    }
    CHECK_INT(peer.n, 2);
    CHECK_STR(peer.task_id, "a");
    CHECK(strstr(peer.body, "\"status\":\"completed\",\"tool\":null"));
    close_reader();
    rig_stop();
}

static void no_more_than_sixty_four_are_under_way(void)
{
    start();
    open_reader();
    intake_results_up(&reader, true);
    for (int i = 0; i < RESULTS_AT_ONCE; i++) {
        auto_free char *task = str_fmt("t%d", i);

        message(task, NOOP, MESSAGE_TAKEN);
        complete_job();
    }
    for (int i = 0; i < 10; i++) {
        pump();
    }
    CHECK_INT(peer.n, RESULTS_AT_ONCE); /* half of them are starts */
    CHECK_INT(reader.n, RESULTS_AT_ONCE);
    for (uint64_t id = peer.id - RESULTS_AT_ONCE + 1; id <= last_id; id++) {
        CHECK(intake_results_sent(&reader, id, 0, ""));
        intake_results_pump(&reader);
        turns(1);
    }
    CHECK_INT(peer.n, 2 * RESULTS_AT_ONCE);
    intake_results_tick(&reader);
    turns(1);
    CHECK_INT(cursor(), store_event_last(rig.store));
    close_reader();
    rig_stop();
}

TESTS(a_message_becomes_a_job_that_knows_where_it_came_from,
      a_task_id_is_one_job_however_its_request_is_written,
      names_are_resolved_first_and_a_twin_comes_later, what_is_wrong_is_named_and_kept,
      a_dead_letter_is_cut_at_a_character, a_key_that_is_none_makes_messages_wait,
      a_full_store_makes_messages_wait, a_result_is_told_again_until_the_broker_has_it,
      what_was_under_way_is_told_by_the_next_server,
      what_the_broker_refuses_for_good_is_a_dead_letter,
      jobs_of_others_are_passed_over_and_a_deleted_one_is_told,
      no_more_than_sixty_four_are_under_way)
