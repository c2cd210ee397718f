#include "station_rig.h"

#include <dirent.h>

#include "ipc/record.h"

static void end_run(struct rig *r, const struct lease *l, const char *raw)
{
    const struct outcome o = {.state = JOB_COMPLETED, .raw_path = raw};

    station_end(r->station, l, &o, raw);
}

static unsigned files_in(const char *dir)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    CHECK(d != NULL);
    for (const struct dirent *x; (x = readdir(d));) {
        n += x->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static struct lease take_one(struct rig *r, uint64_t token)
{
    struct lease l = lease_made(token);
    unsigned before = r->assigned;

    assign(r, &l);
    UNTIL(r, r->assigned == before + 1);
    return l;
}

/* Records of one host, with some text to make them large. */
static void put_host(struct buf *b, size_t text)
{
    auto_free char *comment = xmalloc(text + 1);
    struct host_addr addr = {.addr = "127.0.0.1", .type = "ipv4"};
    const struct host h = {
        .addrs = &addr, .n_addrs = 1, .state = "up", .reason_ttl = -1, .comment = comment};

    memset(comment, 'x', text);
    comment[text] = '\0';
    record_put_host(b, &h);
}

static void say_hosts(struct rig *r, const struct lease *l, size_t text)
{
    auto_buf b = {0};

    put_host(&b, text);
    station_hosts(r->station, l, b.data, b.len);
}

/* ---- life of a task ---- */

static void a_task_is_taken_reported_and_forgotten_when_it_is_acknowledged(void)
{
    struct rig r;
    struct lease l;

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    UNTIL(&r, number(&r, "XLEN %s", "t:q:net") == 0);
    CHECK(r.deadline_ms > boot_ms() && r.deadline_ms <= boot_ms() + KILL_MS);
    UNTIL(&r, last_of(&r, MSG_TOOK));
    say_hosts(&r, &l, 10);
    end_run(&r, &l, NULL);
    UNTIL(&r, stats(&r).delivered == 1);
    CHECK_INT(last_of(&r, MSG_HOSTS)->seq, 1);
    CHECK_INT(last_of(&r, MSG_END)->seq, 2);
    CHECK_INT(count_of(&r, MSG_HOSTS), 1);
    CHECK_INT(count_of(&r, MSG_END), 1);
    CHECK_INT(stats(&r).held, 0);
    CHECK_INT(files_in(r.spool), 0);
    rig_done(&r);
}

static void no_more_is_taken_than_there_is_room_for(void)
{
    struct rig r;

    rig_init(&r);
    rig_ready(&r);
    station_room(r.station, 0);
    for (uint64_t i = 1; i <= 3; i++) {
        struct lease l = lease_made(i);

        assign(&r, &l);
    }
    r.n_heard = 0;
    UNTIL(&r, count_of(&r, MSG_BEAT) >= 4);
    /* What was being read for already may still come, and is given back. */
    CHECK_INT(r.assigned, 0);
    CHECK(number(&r, "XLEN %s", "t:q:net") + count_of(&r, MSG_RELEASE) >= 1);
    station_room(r.station, 2);
    UNTIL(&r, r.assigned + count_of(&r, MSG_RELEASE) >= 2);
    rig_done(&r);
}

static void an_assignment_that_came_twice_runs_once(void)
{
    struct rig r;
    struct lease l;

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    end_run(&r, &l, NULL);
    UNTIL(&r, stats(&r).delivered == 1);
    assign(&r, &l);
    UNTIL(&r, number(&r, "XLEN %s", "t:q:net") == 0);
    r.n_heard = 0;
    UNTIL(&r, count_of(&r, MSG_BEAT) >= 3);
    CHECK_INT(r.assigned, 1);
    rig_done(&r);
}

static void what_an_earlier_process_read_and_did_not_run_is_given_back(void)
{
    struct rig r;
    struct lease l = lease_made(5);

    rig_init(&r);
    rig_ready(&r);
    station_free(r.station);
    assign_at(&r, &l, boot_ms() - 50);
    freeReplyObject(command(&r, "XREADGROUP GROUP workers w1 STREAMS t:q:net >"));
    r.n_heard = 0;
    station_start(&r);
    UNTIL(&r, last_of(&r, MSG_RELEASE));
    CHECK_INT(last_of(&r, MSG_RELEASE)->why, RELEASE_STALE);
    CHECK_INT(last_of(&r, MSG_RELEASE)->lease.token, 5);
    UNTIL(&r, number(&r, "XLEN %s", "t:q:net") == 0);
    rig_done(&r);
}

/* ---- time ---- */

static void an_assignment_of_an_unknown_server_is_given_back(void)
{
    struct rig r;
    struct lease l = lease_made(1);

    rig_init(&r);
    rig_ready(&r);
    r.boot = 8;
    assign(&r, &l);
    r.boot = 7;
    UNTIL(&r, last_of(&r, MSG_RELEASE));
    CHECK_INT(last_of(&r, MSG_RELEASE)->why, RELEASE_STALE);
    CHECK_INT(r.assigned, 0);
    rig_done(&r);
}

static void an_assignment_waits_for_the_first_answer_of_a_server_that_was_started_anew(void)
{
    struct rig r;
    struct lease l = lease_made(1);

    rig_init(&r);
    rig_ready(&r);
    r.boot = 8;
    say_answer(&r, last_of(&r, MSG_BEAT) ? 1 : 1); /* heard, and older than the assignment */
    assign(&r, &l);
    UNTIL(&r, r.assigned == 1);
    CHECK(!last_of(&r, MSG_RELEASE));
    rig_done(&r);
}

static void an_assignment_that_lay_too_long_is_given_back(void)
{
    struct rig r;
    struct lease l = lease_made(1);
    int64_t at;

    rig_init(&r);
    rig_ready(&r);
    at = boot_ms();
    for (int64_t end = at + KILL_MS; boot_ms() < end;) {
        turn(&r);
    }
    assign_at(&r, &l, at);
    UNTIL(&r, last_of(&r, MSG_RELEASE));
    CHECK_INT(last_of(&r, MSG_RELEASE)->why, RELEASE_STALE);
    CHECK_INT(r.assigned, 0);
    rig_done(&r);
}

static void answered_beats_extend_a_lease(void)
{
    struct rig r;

    rig_init(&r);
    rig_ready(&r);
    take_one(&r, 1);
    UNTIL(&r, r.extended >= 3);
    CHECK(r.deadline_ms <= boot_ms() + KILL_MS);
    for (int64_t end = boot_ms() + 2 * KILL_MS; boot_ms() < end;) {
        turn(&r);
    }
    CHECK_INT(r.fenced, 0);
    rig_done(&r);
}

static void a_run_ends_at_its_deadline_and_is_given_back_once_nothing_of_it_lives(void)
{
    struct rig r;
    struct lease l;

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    r.mute = true;
    UNTIL(&r, r.fenced == 1);
    CHECK(boot_ms() >= r.deadline_ms);
    CHECK_INT(stats(&r).self_kills, 1);
    CHECK(!last_of(&r, MSG_RELEASE));
    end_run(&r, &l, NULL); /* it says that it completed: too late to be believed */
    r.mute = false;
    UNTIL(&r, last_of(&r, MSG_RELEASE));
    CHECK_INT(last_of(&r, MSG_RELEASE)->why, RELEASE_LOST);
    CHECK(!last_of(&r, MSG_END));
    UNTIL(&r, stats(&r).held == 0);
    rig_done(&r);
}

/* ---- what the server says ---- */

static void a_fenced_run_is_stopped_and_says_nothing_more(void)
{
    struct rig r;
    struct lease l;
    struct buf b = {0};

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    put_fenced(&b, &l, true);
    say(&r, &b);
    UNTIL(&r, r.fenced == 1);
    r.n_heard = 0;
    end_run(&r, &l, NULL);
    station_release(r.station, &l, RELEASE_DRAIN);
    UNTIL(&r, count_of(&r, MSG_BEAT) >= 3);
    CHECK(!last_of(&r, MSG_END) && !last_of(&r, MSG_RELEASE) && !last_of(&r, MSG_OFFER));
    CHECK_INT(last_of(&r, MSG_BEAT)->n, 0);
    rig_done(&r);
}

static void cancels_drains_and_refusals_reach_the_owner(void)
{
    struct rig r;
    struct lease l;
    struct buf b = {0};

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    put_cancel(&b, &l);
    put_drain(&b, true);
    say(&r, &b);
    UNTIL(&r, r.cancelled == 1 && r.drains == 1);
    CHECK(r.drain); /* from now on answers say it too */
    l = lease_made(2);
    assign(&r, &l);
    r.n_heard = 0;
    UNTIL(&r, count_of(&r, MSG_BEAT) >= 3);
    CHECK_INT(r.assigned, 1);
    put_refused(&b, "go away");
    say(&r, &b);
    UNTIL(&r, r.refused[0]);
    CHECK_STR(r.refused, "go away");
    rig_done(&r);
}

static void a_server_of_another_protocol_ends_the_worker(void)
{
    struct rig r;

    rig_init(&r);
    rig_ready(&r);
    freeReplyObject(command(&r, "XADD t:w:w1 * v 3 w w1 i %s d x", r.instance));
    UNTIL(&r, r.refused[0]);
    CHECK(strstr(r.refused, "protocol 3") && strstr(r.refused, "protocol") != NULL);
    rig_done(&r);
}

static void words_to_another_instance_and_broken_ones_are_not_listened_to(void)
{
    struct rig r;
    struct lease l;
    auto_buf b = {0};

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    put_fenced(&b, &l, false);
    freeReplyObject(command(&r, "XADD t:w:w1 * v 2 w w1 i 0123456789abcdef d %b", b.data, b.len));
    freeReplyObject(command(&r, "XADD t:w:w1 * v 2 w w1 i %s d %b", r.instance, "\x7f\0\0\0?", 5));
    freeReplyObject(command(&r, "XADD t:w:w1 * v 2 w w1 i %s", r.instance));
    freeReplyObject(command(&r, "XADD t:q:net * v 2 d garbage"));
    freeReplyObject(command(&r, "XADD t:q:net * hello world"));
    r.n_heard = 0;
    UNTIL(&r, count_of(&r, MSG_BEAT) >= 3);
    UNTIL(&r, number(&r, "XLEN %s", "t:q:net") == 0);
    CHECK_INT(r.fenced, 0);
    CHECK_INT(stats(&r).held, 1);
    rig_done(&r);
}

/* ---- delivery ---- */

static void reports_without_an_acknowledgement_are_sent_again_in_order(void)
{
    struct rig r;
    struct lease l;

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    r.ack = false;
    say_hosts(&r, &l, 10);
    say_hosts(&r, &l, 10);
    end_run(&r, &l, NULL);
    UNTIL(&r, count_of(&r, MSG_END) == 1);
    r.n_heard = 0;
    r.ack = true;
    UNTIL(&r, stats(&r).delivered == 1);
    CHECK_INT(count_of(&r, MSG_HOSTS), 2);
    CHECK_INT(count_of(&r, MSG_END), 1);
    rig_done(&r);
}

static void nothing_is_sent_again_and_again_to_a_server_that_is_not_there(void)
{
    struct rig r;
    struct lease l;

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    r.ack = false;
    r.mute = true;
    say_hosts(&r, &l, 10);
    end_run(&r, &l, NULL);
    for (int64_t end = boot_ms() + 10 * BEAT_MS; boot_ms() < end;) {
        turn(&r);
    }
    CHECK_INT(count_of(&r, MSG_END), 1);
    r.mute = false;
    r.ack = true;
    UNTIL(&r, stats(&r).delivered == 1);
    rig_done(&r);
}

static void many_reports_wait_in_a_file_and_only_so_many_are_under_way(void)
{
    enum { N = 120, EACH = 200 << 10 };
    struct rig r;
    struct lease l;
    uint64_t next = 1;
    size_t seen;

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    r.ack = false;
    for (int i = 0; i < N; i++) {
        say_hosts(&r, &l, EACH);
    }
    CHECK_INT(files_in(r.spool), 1);
    UNTIL(&r, count_of(&r, MSG_HOSTS) >= 30);
    seen = r.n_heard;
    UNTIL(&r, r.n_heard >= seen + 2); /* beats */
    CHECK(count_of(&r, MSG_HOSTS) * (uint64_t)EACH <= 8 << 20);
    end_run(&r, &l, NULL);
    r.ack = true;
    UNTIL(&r, stats(&r).delivered == 1);
    for (size_t i = 0; i < r.n_heard; i++) {
        if (r.heard[i].type == MSG_HOSTS && r.heard[i].seq == next) {
            next++;
        }
    }
    CHECK_INT(next, N + 1);
    CHECK_INT(files_in(r.spool), 0);
    rig_done(&r);
}

static char *raw_file(struct rig *r, size_t n)
{
    char *path = str_fmt("%s/raw", r->dir);
    auto_free char *bytes = xmalloc(n);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    memset(bytes, 'r', n);
    CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
    return path;
}

static void raw_output_comes_in_pieces_before_the_end(void)
{
    struct rig r;
    struct lease l;
    auto_free char *raw = NULL;

    rig_init(&r);
    rig_ready(&r);
    raw = raw_file(&r, MESSAGE_RAW_MAX + 10);
    l = take_one(&r, 1);
    end_run(&r, &l, raw);
    UNTIL(&r, stats(&r).delivered == 1);
    CHECK_INT(count_of(&r, MSG_RAW), 2);
    CHECK_INT(last_of(&r, MSG_RAW)->offset, MESSAGE_RAW_MAX);
    CHECK_INT(last_of(&r, MSG_RAW)->n, 10);
    CHECK_INT(last_of(&r, MSG_END)->seq, 3);
    CHECK_INT(files_in(r.spool), 0);
    CHECK(access(raw, F_OK) != 0);
    rig_done(&r);
}

/* ---- broken connections ---- */

static void a_lost_redis_comes_back_empty_and_work_goes_on(void)
{
    struct rig r;
    struct lease l;

    rig_init(&r);
    rig_ready(&r);
    redis_stop(&r);
    UNTIL(&r, !stats(&r).up);
    redis_start(&r);
    memcpy(r.last, "0-0", 4);
    r.n_heard = 0;
    rig_ready(&r);
    CHECK(last_of(&r, MSG_HELLO));
    l = take_one(&r, 1);
    end_run(&r, &l, NULL);
    UNTIL(&r, stats(&r).delivered == 1);
    rig_done(&r);
}

/* How often Redis refused to let it read tasks. */
static int64_t refusals(struct rig *r)
{
    redisReply *reply = command(r, "INFO commandstats");
    const char *at = strstr(reply->str, "cmdstat_xreadgroup:");
    int64_t n = 0;

    at = at ? strstr(at, "rejected_calls=") : NULL;
    if (at) {
        n = strtoll(at + strlen("rejected_calls="), NULL, 10);
    }
    freeReplyObject(reply);
    return n;
}

static void a_worker_that_may_not_read_tasks_does_not_ask_all_the_time(void)
{
    struct rig r;
    struct lease l = lease_made(1);
    int64_t since;

    rig_init(&r);
    rig_ready(&r);
    freeReplyObject(command(&r, "ACL SETUSER default -xreadgroup"));
    since = boot_ms();
    UNTIL(&r, refusals(&r) > 0);
    for (int i = 0; i < 100; i++) {
        turn(&r);
        station_room(r.station, 4); /* as its owner does each turn */
    }
    CHECK(refusals(&r) <= (boot_ms() - since) / BEAT_MS + 2);
    freeReplyObject(command(&r, "ACL SETUSER default +xreadgroup"));
    assign(&r, &l);
    UNTIL(&r, r.assigned == 1);
    rig_done(&r);
}

static void a_redis_that_hangs_is_connected_to_anew(void)
{
    struct rig r;

    rig_init(&r);
    rig_ready(&r);
    kill(r.redis, SIGSTOP);
    for (int64_t end = boot_ms() + 6 * BEAT_MS; boot_ms() < end;) {
        CHECK_OK(loop_turn(r.loop, 5, ERR));
    }
    kill(r.redis, SIGCONT);
    UNTIL(&r, stats(&r).up && stats(&r).reconnects > 0);
    take_one(&r, 1);
    rig_done(&r);
}

static void adopt(struct rig *r, const struct lease *old, const struct lease *now)
{
    struct buf b = {0};

    put_adopt(&b, old, now);
    say(r, &b);
}

static void a_complete_result_outlives_the_worker_and_is_delivered_under_another_lease(void)
{
    struct rig r;
    struct lease l, now;
    auto_free char *raw = NULL;

    rig_init(&r);
    rig_ready(&r);
    raw = raw_file(&r, 100);
    l = take_one(&r, 1);
    say_hosts(&r, &l, 10);
    UNTIL(&r, count_of(&r, MSG_HOSTS) == 1);
    redis_stop(&r);
    UNTIL(&r, !stats(&r).up);
    end_run(&r, &l, raw);
    CHECK_INT(files_in(r.spool), 2);
    CHECK_INT(stats(&r).spooled, 1);
    station_free(r.station);
    redis_start(&r);
    memcpy(r.last, "0-0", 4);
    r.n_heard = 0;
    station_start(&r);
    UNTIL(&r, last_of(&r, MSG_OFFER));
    CHECK(last_of(&r, MSG_HELLO)->held);
    CHECK_INT(last_of(&r, MSG_OFFER)->lease.token, 1);
    now = l;
    now.epoch = 2;
    now.token = 99;
    adopt(&r, &l, &now);
    UNTIL(&r, stats(&r).delivered == 1);
    CHECK_INT(last_of(&r, MSG_HOSTS)->lease.token, 99);
    CHECK_INT(last_of(&r, MSG_HOSTS)->seq, 1);
    CHECK_INT(last_of(&r, MSG_RAW)->seq, 2);
    CHECK_INT(last_of(&r, MSG_END)->seq, 3);
    CHECK_INT(last_of(&r, MSG_END)->lease.token, 99);
    CHECK_INT(files_in(r.spool), 0);
    rig_done(&r);
}

static void a_result_whose_lease_was_lost_is_offered_if_it_was_complete_in_time(void)
{
    struct rig r;
    struct lease l, now;
    struct buf b = {0};

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    r.ack = false;
    say_hosts(&r, &l, 10);
    end_run(&r, &l, NULL);
    put_fenced(&b, &l, true);
    say(&r, &b);
    UNTIL(&r, last_of(&r, MSG_OFFER));
    now = l;
    now.epoch = 3;
    now.token = 55;
    adopt(&r, &l, &now);
    r.ack = true;
    UNTIL(&r, stats(&r).delivered == 1);
    CHECK_INT(last_of(&r, MSG_HOSTS)->lease.token, 55);
    CHECK_INT(last_of(&r, MSG_HOSTS)->seq, 1);
    CHECK_INT(last_of(&r, MSG_END)->seq, 2);
    rig_done(&r);
}

static void a_kept_result_that_nobody_wants_is_removed(void)
{
    struct rig r;
    struct lease l;
    struct buf b = {0};

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    redis_stop(&r);
    UNTIL(&r, !stats(&r).up);
    end_run(&r, &l, NULL);
    CHECK_INT(files_in(r.spool), 1);
    redis_start(&r);
    memcpy(r.last, "0-0", 4);
    r.n_heard = 0;
    r.ack = false;
    rig_ready(&r);
    put_fenced(&b, &l, false);
    say(&r, &b);
    UNTIL(&r, files_in(r.spool) == 0);
    rig_done(&r);
}

/* ---- leaving ---- */

static void a_worker_says_goodbye_when_all_is_delivered(void)
{
    struct rig r;
    struct lease l;

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    station_leave(r.station, PATIENCE_MS, on_left, &r);
    r.n_heard = 0;
    UNTIL(&r, count_of(&r, MSG_BEAT) >= 2);
    CHECK(last_of(&r, MSG_BEAT)->draining);
    CHECK(!last_of(&r, MSG_BYE));
    station_release(r.station, &l, RELEASE_DRAIN);
    UNTIL(&r, r.left == 1);
    UNTIL(&r, last_of(&r, MSG_BYE));
    CHECK_INT(last_of(&r, MSG_RELEASE)->why, RELEASE_DRAIN);
    rig_done(&r);
}

static void a_worker_that_cannot_deliver_leaves_in_time_and_keeps_what_it_has(void)
{
    struct rig r;
    struct lease l;

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    r.ack = false;
    end_run(&r, &l, NULL);
    station_leave(r.station, 100, on_left, &r);
    UNTIL(&r, r.left == 1);
    CHECK(!last_of(&r, MSG_BYE));
    CHECK_INT(files_in(r.spool), 1);
    rig_done(&r);
}

static void a_worker_without_a_connection_leaves_at_once_when_nothing_is_lost_by_it(void)
{
    struct rig r;
    struct lease l;

    rig_init(&r);
    rig_ready(&r);
    l = take_one(&r, 1);
    redis_stop(&r);
    UNTIL(&r, !stats(&r).up);
    station_leave(r.station, 3600 * 1000, on_left, &r);
    for (int i = 0; i < 5; i++) {
        turn(&r);
    }
    CHECK_INT(r.left, 0); /* it runs */
    end_run(&r, &l, NULL);
    UNTIL(&r, r.left == 1);
    CHECK_INT(files_in(r.spool), 1);
    rig_done(&r);
}

TESTS(a_task_is_taken_reported_and_forgotten_when_it_is_acknowledged,
      no_more_is_taken_than_there_is_room_for, an_assignment_that_came_twice_runs_once,
      what_an_earlier_process_read_and_did_not_run_is_given_back,
      an_assignment_of_an_unknown_server_is_given_back,
      an_assignment_waits_for_the_first_answer_of_a_server_that_was_started_anew,
      an_assignment_that_lay_too_long_is_given_back, answered_beats_extend_a_lease,
      a_run_ends_at_its_deadline_and_is_given_back_once_nothing_of_it_lives,
      a_fenced_run_is_stopped_and_says_nothing_more, cancels_drains_and_refusals_reach_the_owner,
      a_server_of_another_protocol_ends_the_worker,
      words_to_another_instance_and_broken_ones_are_not_listened_to,
      reports_without_an_acknowledgement_are_sent_again_in_order,
      nothing_is_sent_again_and_again_to_a_server_that_is_not_there,
      many_reports_wait_in_a_file_and_only_so_many_are_under_way,
      raw_output_comes_in_pieces_before_the_end, a_lost_redis_comes_back_empty_and_work_goes_on,
      a_worker_that_may_not_read_tasks_does_not_ask_all_the_time,
      a_redis_that_hangs_is_connected_to_anew,
      a_complete_result_outlives_the_worker_and_is_delivered_under_another_lease,
      a_result_whose_lease_was_lost_is_offered_if_it_was_complete_in_time,
      a_kept_result_that_nobody_wants_is_removed, a_worker_says_goodbye_when_all_is_delivered,
      a_worker_that_cannot_deliver_leaves_in_time_and_keeps_what_it_has,
      a_worker_without_a_connection_leaves_at_once_when_nothing_is_lost_by_it)
