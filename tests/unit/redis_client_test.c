/*
 * The connection to Redis: against a real server on a socket of its own, and against peers that are
 * none. Times are not waited for: a timer that would end in seconds is set to now.
 */
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "box/seccomp.h"
#include "transport/redis.h"
#include "transport/redis_inside.h"

#include "redis_rig.h"

/* ---- commands ---- */

static void answers_come_in_the_order_of_the_commands(void)
{
    enum { N = 20000 };
    static int order[N];

    fresh();
    start_server(NULL);
    connect_up("", "");
    answers = nones = 0;
    for (int i = 0; i < N; i++) {
        const char *argv[] = {"INCR", "n"};

        order[i] = i + 1;
        redis_command(r, on_answer, &order[i], 2, argv, NULL);
    }
    CHECK_INT(answers, 0);
    CHECK(redis_queued(r) > N * 10);
    turns_until(&answers, N);
    CHECK_INT(nones, 0);
    CHECK_INT(redis_queued(r), 0);
    CHECK(!r->pending.n && redis_is_up(r));
    finish();
}

/* How often the server has read from a connection; asking is one more. */
static long long reads_processed(redisContext *c)
{
    redisReply *reply = redisCommand(c, "INFO stats");
    const char *at = strstr(reply->str, "total_reads_processed:");
    long long n = at ? strtoll(strchr(at, ':') + 1, NULL, 10) : -1;

    freeReplyObject(reply);
    return n;
}

static void commands_of_one_turn_leave_in_one_write(void)
{
    redisContext *apart;
    long long before, after;

    fresh();
    start_server(NULL);
    connect_up("", "");
    apart = redisConnectUnix(socket_path());
    before = reads_processed(apart);
    answers = 0;
    for (int i = 0; i < 100; i++) {
        redis_cmd(r, on_answer, NULL, "PING %lld", (long long)i);
    }
    turns_until(&answers, 100);
    CHECK_STR(last_text, "99");
    after = reads_processed(apart);
    redisFree(apart);
    CHECK_INT(after - before, 2); /* one of them is the second question */
    finish();
}

static void values_of_any_bytes_and_many_of_them_come_back(void)
{
    enum { BIG = 40 << 20 };
    auto_free char *big = xmalloc(BIG);
    const char *argv[] = {"SET", "k", big};
    const size_t lens[] = {3, 1, BIG};

    for (size_t i = 0; i < BIG; i++) {
        big[i] = (char)(i * 2654435761U >> 13);
    }
    fresh();
    start_server(NULL);
    connect_up("", "");
    answers = nones = 0;
    redis_command(r, on_answer, NULL, 3, argv, lens);
    redis_cmd(r, on_answer, NULL, "STRLEN %s", "k");
    turns_until(&answers, 2);
    CHECK_INT(last_integer, BIG);
    command("GET", "k", NULL);
    turns_until(&answers, 3);
    CHECK_INT(last_len, BIG);
    redis_cmd(r, on_answer, NULL, "SET b %b", "a\0\r\nb", (size_t)5);
    command("STRLEN", "b", NULL);
    turns_until(&answers, 5);
    CHECK_INT(last_integer, 5);
    command("GET", "missing", NULL);
    command("NONSENSE", NULL, NULL);
    turns_until(&answers, 7);
    CHECK_INT(last_type, REDIS_REPLY_ERROR);
    CHECK(redis_is_up(r));
    finish();
}

/* ---- losses ---- */

static void a_server_that_is_killed_is_found_again(void)
{
    fresh();
    start_server(NULL);
    connect_up("", "");
    answers = nones = 0;
    command("BLPOP", "never", "0");
    for (int i = 0; i < 10; i++) {
        command("PING", NULL, NULL);
    }
    CHECK_OK(loop_turn(loop, 100, ERR));
    stop_server();
    turns_until(&downs, 1);
    CHECK_INT(nones, 11);
    CHECK_INT(answers, 0);
    CHECK(!redis_is_up(r) && why[0]);
    /* While it is down: told so, but not from inside. */
    command("PING", NULL, NULL);
    redis_cmd(r, on_answer, NULL, "PING");
    redis_cmd(r, NULL, NULL, "PING");
    CHECK_INT(nones, 11);
    turns_until(&nones, 13);
    start_server(NULL);
    turns_until(&ups, 2);
    command("PING", NULL, NULL);
    turns_until(&answers, 1);
    CHECK_STR(last_text, "PONG");
    CHECK_INT(nones, 13);
    finish();
}

static void a_server_that_is_not_there_is_told_once(void)
{
    fresh();
    unlink(socket_path());
    open_server("", "");
    turns_until(&downs, 1);
    CHECK(str_starts(why, "connect: "));
    while (r->backoff_ms < 1000) { /* a few more attempts */
        CHECK_OK(loop_turn(loop, 100, ERR));
    }
    CHECK_INT(downs, 1);
    start_server(NULL);
    turns_until(&ups, 1);
    finish();
}

static void a_server_that_stops_answering_is_lost(void)
{
    fresh();
    start_server(NULL);
    connect_up("", "");
    kill(server_pid, SIGSTOP);
    answers = nones = 0;
    command("PING", NULL, NULL);
    CHECK_OK(loop_turn(loop, 100, ERR));
    timer_arm(loop, &r->look, 0);
    CHECK_OK(loop_turn(loop, 100, ERR));
    CHECK_OK(loop_turn(loop, 10, ERR));
    CHECK(redis_is_up(r)); /* it has time left */
    r->moved_ms -= REDIS_DEAD_MS;
    timer_arm(loop, &r->look, 0);
    turns_until(&downs, 1);
    CHECK_STR(why, "no answer for 10 s");
    CHECK_INT(nones, 1);
    kill(server_pid, SIGCONT);
    turns_until(&ups, 2);
    finish();
}

static void a_silent_connection_is_asked_whether_it_lives(void)
{
    fresh();
    start_server(NULL);
    connect_up("", "");
    CHECK_INT(r->pending.n, 0);
    r->moved_ms -= REDIS_IDLE_MS;
    timer_arm(loop, &r->look, 0);
    for (int i = 0; i < 100 && r->pending.n == 0; i++) {
        CHECK_OK(loop_turn(loop, 10, ERR));
    }
    CHECK_INT(r->pending.n, 1);
    while (r->pending.n > 0) {
        CHECK_OK(loop_turn(loop, 100, ERR));
    }
    CHECK(redis_is_up(r) && downs == 0);
    finish();
}

/* ---- who may come in ---- */

static void refused_with(const char *user, const char *tail, const char *because)
{
    unsigned before = downs;

    redis_free(r);
    r = NULL;
    open_server(user, tail);
    turns_until(&downs, before + 1);
    if (!strstr(why, because) || strstr(why, "s3cret")) {
        tap_fail(__FILE__, __LINE__, "the reason is '%s'", why);
    }
    CHECK(!redis_is_up(r));
}

static void passwords_are_checked_by_the_server(void)
{
    const char *const more[] = {"--requirepass", "s3cret", "--databases", "4", NULL};

    fresh();
    start_server(more);
    refused_with("", "", "asks for a password");
    refused_with(":s3cret!@", "", "the password is wrong");
    refused_with("nobody:s3cret@", "", "the user or the password is wrong");
    refused_with(":s3cret@", "?db=4", "database 4 cannot be used: ERR DB index is out of range");
    CHECK_INT(ups, 0);
    redis_free(r);
    r = NULL;
    open_server(":s3cret@", "?db=3");
    turns_until(&ups, 1);
    answers = 0;
    redis_cmd(r, on_answer, NULL, "CLIENT LIST");
    turns_until(&answers, 1);
    CHECK(strstr(last_text, "name=scanpod") && strstr(last_text, "db=3"));
    finish();
}

static void a_password_for_a_server_that_has_none_is_told(void)
{
    fresh();
    start_server(NULL);
    refused_with(":s3cret@", "", "the server has none");
    finish();
}

/* A server may quote what it does not know. */
static void what_the_server_quotes_of_a_password_is_not_told(void)
{
    const char *const more[] = {"--rename-command", "AUTH", "", NULL};

    fresh();
    start_server(more);
    refused_with(":s3cret@", "", "does not accept AUTH");
    finish();
}

static void a_user_without_config_comes_in(void)
{
    const char *const more[] = {"--user", "worker",  "on",           ">s3cret", "~*", "&*",
                                "+@all",  "-config", "--appendonly", "yes",     NULL};
    char *warn = NULL;

    fresh();
    start_server(more);
    connect_up("worker:s3cret@", "");
    CHECK(redis_server(r)->hidden && !redis_server(r)->evicts);
    CHECK_OK(redis_server_check(redis_server(r), &warn, ERR));
    CHECK(warn && strstr(warn, "CONFIG GET"));
    free(warn);
    finish();
}

static void a_user_without_info_is_told_what_to_allow(void)
{
    const char *const more[] = {"--user", "worker", "on", ">s3cret", "~*", "+ping", NULL};

    fresh();
    start_server(more);
    refused_with("worker:s3cret@", "", "+info");
    finish();
}

/* ---- what it is ---- */

static void check_server(const char *const *more, int want)
{
    char *warn = NULL;

    fresh();
    start_server(more);
    connect_up("", "");
    CHECK_ERR(redis_server_check(redis_server(r), &warn, ERR), want);
    free(warn);
}

static void a_server_that_evicts_is_refused(void)
{
    const char *const more[] = {"--maxmemory-policy", "allkeys-lru", NULL};

    check_server(more, ERR_SCOPE);
    CHECK(strstr(tap_err.msg, "noeviction"));
    finish();
}

static void a_server_tells_its_version_and_how_it_keeps_things(void)
{
    const char *const always[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
    const char *const never[] = {"--appendonly", "yes", "--appendfsync", "no", NULL};
    const char *const usual[] = {"--appendonly", "yes", NULL};
    const struct redis_server *s;

    check_server(always, 0);
    s = redis_server(r);
    CHECK(s->major >= 6 && s->version[0] && strlen(s->run_id) == 40);
    CHECK_INT(s->aof, REDIS_AOF_ALWAYS);
    CHECK(!s->hidden && !s->replica);
    check_server(never, 0);
    CHECK_INT(redis_server(r)->aof, REDIS_AOF_NO);
    check_server(usual, 0);
    CHECK_INT(redis_server(r)->aof, REDIS_AOF_EVERYSEC);
    check_server(NULL, 0);
    CHECK_INT(redis_server(r)->aof, REDIS_NO_AOF);
    finish();
}

static void servers_are_judged_by_what_they_are(void)
{
    struct redis_server s = {.version = "7.0.15", .major = 7, .aof = REDIS_AOF_EVERYSEC};
    char *warn = NULL;

    CHECK_OK(redis_server_check(&s, &warn, ERR));
    CHECK(!warn);
    s.aof = REDIS_AOF_NO;
    CHECK_OK(redis_server_check(&s, &warn, ERR));
    CHECK(strstr(warn, "everysec"));
    free(warn);
    s.aof = REDIS_NO_AOF;
    CHECK_OK(redis_server_check(&s, &warn, ERR));
    CHECK(strstr(warn, "appendonly"));
    free(warn);
    warn = NULL;
    s.replica = true;
    CHECK_ERR(redis_server_check(&s, &warn, ERR), ERR_SCOPE);
    CHECK(strstr(tap_err.msg, "replica"));
    s.replica = false;
    s.evicts = true;
    CHECK_ERR(redis_server_check(&s, &warn, ERR), ERR_SCOPE);
    s = (struct redis_server){.version = "6.0.16", .major = 6};
    CHECK_ERR(redis_server_check(&s, &warn, ERR), ERR_SCOPE);
    CHECK(strstr(tap_err.msg, "6.0.16") && strstr(tap_err.msg, "6.2"));
    CHECK_ERR(redis_server_check(&(struct redis_server){0}, &warn, ERR), ERR_SCOPE);
    CHECK(!warn);
}

/* ---- peers that are no Redis ---- */

static const char greeting[] = "+OK\r\n$21\r\nredis_version:7.0.15\n\r\n*0\r\n";

static struct {
    int listener;
    uint16_t port;
    struct watch door, visitor;
    struct buf heard;
    const char *first; /* said as soon as somebody is there; NULL: nothing */
    const char *then;  /* said once `upon` was heard */
    const char *upon;
    unsigned visits;
} peer;

static void say(int fd, const char *s)
{
    CHECK_INT(send(fd, s, strlen(s), MSG_NOSIGNAL), strlen(s));
}

static void on_heard(struct watch *w, uint32_t events)
{
    char in[4096];
    ssize_t n = recv(w->fd, in, sizeof in, MSG_DONTWAIT);

    (void)events;
    if (n <= 0) {
        watch_del(w);
        fd_close(&w->fd);
        return;
    }
    buf_add(&peer.heard, in, (size_t)n);
    if (peer.then && strstr(peer.heard.data, peer.upon)) {
        buf_reset(&peer.heard);
        say(w->fd, peer.then);
        peer.then = NULL;
    }
}

static void on_visitor(struct watch *w, uint32_t events)
{
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);

    (void)events;
    CHECK(fd >= 0);
    watch_del(&peer.visitor);
    fd_close(&peer.visitor.fd);
    peer.visitor = (struct watch){.fd = fd, .events = EPOLLIN, .fn = on_heard};
    CHECK_OK(watch_add(loop, &peer.visitor, ERR));
    peer.visits++;
    if (peer.first) {
        say(fd, peer.first);
    }
}

static void peer_done(void)
{
    watch_del(&peer.door);
    watch_del(&peer.visitor);
    fd_close(&peer.listener);
    if (peer.visitor.fd > 0) {
        fd_close(&peer.visitor.fd);
    }
    buf_done(&peer.heard);
}

static void peer_start(const char *first, const char *upon, const char *then)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;

    fresh();
    memset(&peer, 0, sizeof peer);
    peer.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(peer.listener >= 0 && bind(peer.listener, (struct sockaddr *)&at, sizeof at) == 0 &&
          listen(peer.listener, 8) == 0 &&
          getsockname(peer.listener, (struct sockaddr *)&at, &n) == 0);
    peer.port = ntohs(at.sin_port);
    peer.first = first;
    peer.upon = upon;
    peer.then = then;
    peer.visitor.fd = -1;
    peer.door = (struct watch){.fd = peer.listener, .events = EPOLLIN, .fn = on_visitor};
    CHECK_OK(watch_add(loop, &peer.door, ERR));
}

static void open_peer(void)
{
    auto_free char *url = str_fmt("redis://127.0.0.1:%u", peer.port);

    open_url(url);
}

static void lost_because(const char *because)
{
    turns_until(&downs, 1);
    if (!strstr(why, because)) {
        tap_fail(__FILE__, __LINE__, "the reason is '%s'", why);
    }
    CHECK(!redis_is_up(r));
}

static void a_web_server_is_no_redis(void)
{
    peer_start(NULL, "INFO", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    open_peer();
    lost_because("no Redis server");
    CHECK_INT(ups, 0);
    peer_done();
    finish();
}

static void what_a_peer_says_is_shown_without_its_control_bytes(void)
{
    peer_start("-ERR max number of clients \x1b[31mreached\r\n", NULL, NULL);
    open_peer();
    lost_because("ERR max number of clients \\x1b[31mreached");
    peer_done();
    finish();
}

static void a_peer_that_says_nothing_is_left(void)
{
    peer_start(NULL, NULL, NULL);
    open_peer();
    while (r->state != REDIS_GREETING) {
        CHECK_OK(loop_turn(loop, 100, ERR));
    }
    CHECK(r->limit.loop && r->limit.at_ms <= boot_ms() + REDIS_CONNECT_MS);
    timer_arm(loop, &r->limit, 0);
    lost_because("no answer within 5 s");
    turns_until(&peer.visits, 2); /* tried again */
    peer_done();
    finish();
}

static void a_reply_that_nobody_asked_for_ends_the_connection(void)
{
    auto_free char *text = str_fmt("%s+surprise\r\n", greeting);

    peer_start(NULL, "appendfsync", text);
    open_peer();
    lost_because("nobody asked for");
    CHECK_INT(ups, 1);
    peer_done();
    finish();
}

static void a_reply_of_too_many_elements_ends_the_connection(void)
{
    peer_start(NULL, "appendfsync", greeting);
    open_peer();
    turns_until(&ups, 1);
    nones = 0;
    peer.then = "*2\r\n*4000000\r\n";
    peer.upon = "PING";
    command("PING", NULL, NULL);
    command("PING", NULL, NULL);
    CHECK_OK(loop_turn(loop, 100, ERR));
    while (peer.then) {
        CHECK_OK(loop_turn(loop, 100, ERR));
    }
    CHECK_OK(loop_turn(loop, 100, ERR));
    CHECK(redis_is_up(r)); /* it may still be sent */
    say(peer.visitor.fd, "*400000\r\n");
    lost_because("too many elements");
    CHECK_INT(nones, 2);
    peer_done();
    finish();
}

static void a_reply_of_too_many_bytes_ends_the_connection(void)
{
    char some[1000];

    memset(some, 'x', sizeof some);
    peer_start(NULL, "appendfsync", greeting);
    open_peer();
    r->fed_max = 100000;
    turns_until(&ups, 1);
    peer.then = "$99999999\r\n";
    peer.upon = "PING";
    nones = 0;
    command("PING", NULL, NULL);
    while (peer.then) {
        CHECK_OK(loop_turn(loop, 100, ERR));
    }
    for (size_t sent = 0; sent < 100000; sent += sizeof some) {
        CHECK_INT(downs, 0);
        CHECK_INT(send(peer.visitor.fd, some, sizeof some, MSG_NOSIGNAL), sizeof some);
        CHECK_OK(loop_turn(loop, 100, ERR));
    }
    lost_because("too large");
    CHECK_INT(nones, 1);
    peer_done();
    finish();
}

static void bytes_that_are_no_reply_end_the_connection(void)
{
    static const char *const bad[] = {"$-7\r\n", "?\r\n", "*-9\r\n", ":x\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        peer_start(NULL, "appendfsync", greeting);
        open_peer();
        turns_until(&ups, 1);
        peer.then = bad[i];
        peer.upon = "PING";
        nones = answers = 0;
        command("PING", NULL, NULL);
        lost_because("no reply");
        CHECK_INT(nones, 1);
        peer_done();
        finish();
    }
}

/* ---- names ---- */

static struct {
    void (*found)(void *found_arg, const char *address);
    void *arg;
    const char *at_once; /* the answer; NULL: later */
    unsigned asked;
} resolver;

static void resolve(void *arg, const char *host,
                    void (*found)(void *found_arg, const char *address), void *found_arg)
{
    (void)arg;
    CHECK_STR(host, "redis.example");
    resolver.asked++;
    resolver.found = found;
    resolver.arg = found_arg;
    if (resolver.at_once) {
        found(found_arg, resolver.at_once);
    }
}

static void open_name(const char *at_once)
{
    const struct redis_events ev = {.up = on_up, .down = on_down, .resolve = resolve};
    auto_free char *url = str_fmt("redis://redis.example:%u", peer.port);

    memset(&resolver, 0, sizeof resolver);
    resolver.at_once = at_once;
    open_with(url, &ev);
    turns_until(&resolver.asked, 1);
}

static void a_name_becomes_an_address_first(void)
{
    peer_start(NULL, "appendfsync", greeting);
    open_name("127.0.0.1");
    turns_until(&ups, 1);
    peer_done();
    peer_start(NULL, "appendfsync", greeting);
    open_name(NULL);
    CHECK_INT(r->state, REDIS_FINDING);
    resolver.found(resolver.arg, "127.0.0.1");
    turns_until(&ups, 1);
    peer_done();
    finish();
}

static void a_name_without_an_address_is_told_and_asked_again(void)
{
    peer_start(NULL, NULL, NULL);
    open_name(NULL);
    resolver.found(resolver.arg, NULL);
    lost_because("no address was found");
    turns_until(&resolver.asked, 2);
    resolver.found(resolver.arg, "redis.example"); /* no address either */
    turns_until(&resolver.asked, 3);
    timer_arm(loop, &r->limit, 0);
    turns_until(&downs, 2);
    CHECK(strstr(why, "in time"));
    resolver.found(resolver.arg, "127.0.0.1"); /* too late */
    turns_until(&resolver.asked, 4);
    redis_free(r);
    r = NULL;
    resolver.found(resolver.arg, "127.0.0.1"); /* nobody is there */
    peer_done();
    finish();
}

static void a_name_needs_somebody_who_looks_it_up(void)
{
    const struct redis_events ev = {0};
    struct redis_url u;
    struct redis *none = NULL;

    fresh();
    CHECK_OK(redis_url_parse("redis://redis.example", &u, ERR));
    CHECK_ERR(redis_new(loop, &u, &ev, &none, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "redis.example") && !none);
    redis_url_done(&u);
    finish();
}

/* ---- under the daemon's filter of system calls ---- */

/* In a process of its own, which cannot use CHECK: it would go on as the tests do. */
static int connects_under_the_filter(const char *url)
{
    const struct redis_events ev = {.up = on_up, .down = on_down};
    struct redis_url u;
    struct redis *own = NULL;
    struct loop *l = NULL;
    int64_t until_ms = boot_ms() + PATIENCE_MS;

    if (redis_url_parse(url, &u, NULL) != 0 || seccomp_role(ROLE_DAEMON, NULL) != 0 ||
        loop_new(&l, NULL) != 0 || redis_new(l, &u, &ev, &own, NULL) != 0) {
        return 1;
    }
    redis_url_done(&u);
    ups = answers = 0;
    while (ups == 0 && boot_ms() < until_ms && loop_turn(l, 100, NULL) == 0) {
    }
    redis_cmd(own, on_answer, NULL, "PING");
    while (answers == 0 && boot_ms() < until_ms && loop_turn(l, 100, NULL) == 0) {
    }
    redis_free(own);
    loop_free(l);
    return answers == 1 && str_eq(last_text, "PONG") ? 0 : 2;
}

static void check_under_the_filter(const char *url)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        _exit(connects_under_the_filter(url));
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
}

static void the_daemons_filter_lets_a_connection_be(void)
{
    auto_free char *local = str_fmt("unix:%s", socket_path());
    auto_free char *port = str_fmt("%u", free_port());
    auto_free char *tcp = str_fmt("redis://127.0.0.1:%s", port);
    const char *const more[] = {"--port", port, "--bind", "127.0.0.1", NULL};

    fresh();
    start_server(more);
    check_under_the_filter(local);
    check_under_the_filter(tcp);
    finish();
}

/* ---- ends from inside ---- */

static unsigned freed;

static void free_now(void *arg)
{
    (void)arg;
    redis_free(r);
    r = NULL;
    freed++;
}

static void free_on_answer(void *arg, const struct redisReply *reply)
{
    (void)reply;
    free_now(arg);
}

static void free_on_down(void *arg, const char *reason)
{
    (void)reason;
    free_now(arg);
}

static void it_may_be_freed_from_any_call_back(void)
{
    const struct redis_events at_up = {.up = free_now}, at_down = {.down = free_on_down};
    auto_free char *url = str_fmt("unix:%s", socket_path());

    start_server(NULL);
    fresh();
    freed = 0;
    open_with(url, &at_up);
    turns_until(&freed, 1);

    open_url(url);
    turns_until(&ups, 1);
    answers = nones = 0;
    command("PING", NULL, NULL);
    redis_cmd(r, free_on_answer, NULL, "PING");
    command("PING", NULL, NULL);
    turns_until(&freed, 2);
    CHECK_INT(answers, 1);
    CHECK_INT(nones, 0);

    open_with(url, &at_down); /* told that it is down, with something under way */
    while (!redis_is_up(r)) {
        CHECK_OK(loop_turn(loop, 100, ERR));
    }
    command("BLPOP", "never", "0");
    stop_server();
    turns_until(&freed, 3);
    CHECK_INT(nones, 1);

    open_url(url); /* in an answer that there is none */
    redis_cmd(r, free_on_answer, NULL, "PING");
    command("PING", NULL, NULL);
    turns_until(&freed, 4);
    CHECK_INT(nones, 1);

    start_server(NULL); /* the same, of a connection that is lost */
    open_url(url);
    turns_until(&ups, 2);
    redis_cmd(r, free_on_answer, NULL, "BLPOP never 0");
    command("PING", NULL, NULL);
    CHECK_OK(loop_turn(loop, 10, ERR));
    stop_server();
    turns_until(&freed, 5);
    CHECK_INT(nones, 1);

    start_server((const char *const[]){"--requirepass", "s3cret", NULL});
    open_with(url, &at_down); /* while it greets */
    turns_until(&freed, 6);
    finish();
}

TESTS(answers_come_in_the_order_of_the_commands, commands_of_one_turn_leave_in_one_write,
      values_of_any_bytes_and_many_of_them_come_back, a_server_that_is_killed_is_found_again,
      a_server_that_is_not_there_is_told_once, a_server_that_stops_answering_is_lost,
      a_silent_connection_is_asked_whether_it_lives, passwords_are_checked_by_the_server,
      a_password_for_a_server_that_has_none_is_told,
      what_the_server_quotes_of_a_password_is_not_told, a_user_without_config_comes_in,
      a_user_without_info_is_told_what_to_allow, a_server_that_evicts_is_refused,
      a_server_tells_its_version_and_how_it_keeps_things, servers_are_judged_by_what_they_are,
      a_web_server_is_no_redis, what_a_peer_says_is_shown_without_its_control_bytes,
      a_peer_that_says_nothing_is_left, a_reply_that_nobody_asked_for_ends_the_connection,
      a_reply_of_too_many_elements_ends_the_connection,
      a_reply_of_too_many_bytes_ends_the_connection, bytes_that_are_no_reply_end_the_connection,
      a_name_becomes_an_address_first, a_name_without_an_address_is_told_and_asked_again,
      a_name_needs_somebody_who_looks_it_up, the_daemons_filter_lets_a_connection_be,
      it_may_be_freed_from_any_call_back)
