/* The worker's side of the transport where the other side does not do its part. */
#include "station_rig.h"

static struct lease started(struct rig *r)
{
    struct lease l = lease_made(77);

    rig_ready(r);
    assign(r, &l);
    UNTIL(r, r->assigned == 1);
    return l;
}

static void a_report_that_is_never_taken_is_given_up_some_day(void)
{
    static struct rig r;
    struct lease l;

    rig_init(&r);
    l = started(&r);
    r.ack = false;
    station_hosts(r.station, &l, "hosts", 5);
    UNTIL(&r, r.fenced == 1);
    CHECK_INT(count_of(&r, MSG_HOSTS), 11);
    CHECK_INT(stats(&r).held, 0);
    rig_done(&r);
}

static void a_result_that_is_never_taken_leaves_no_file(void)
{
    static struct rig r;
    const struct outcome o = {.state = JOB_COMPLETED};
    struct lease l;

    rig_init(&r);
    l = started(&r);
    r.ack = false;
    station_end(r.station, &l, &o, NULL);
    UNTIL(&r, stats(&r).spooled == 1);
    UNTIL(&r, stats(&r).spooled == 0);
    CHECK(rmdir(r.spool) == 0);
    rig_done(&r);
}

static void a_report_that_is_taken_late_is_not_given_up(void)
{
    static struct rig r;
    struct lease l;

    rig_init(&r);
    l = started(&r);
    r.ack = false;
    station_hosts(r.station, &l, "hosts", 5);
    UNTIL(&r, count_of(&r, MSG_HOSTS) == 6);
    r.ack = true;
    UNTIL(&r, count_of(&r, MSG_HOSTS) == 7);
    r.ack = false;
    station_hosts(r.station, &l, "hosts", 5);
    UNTIL(&r, count_of(&r, MSG_HOSTS) == 15);
    r.ack = true;
    station_end(r.station, &l, &(const struct outcome){.state = JOB_COMPLETED}, NULL);
    UNTIL(&r, stats(&r).delivered == 1);
    CHECK_INT(r.fenced, 0);
    rig_done(&r);
}

static void beats_to_a_server_that_is_gone_for_long_become_rare(void)
{
    static struct rig r;
    unsigned before;
    int64_t end;

    rig_init(&r);
    rig_ready(&r);
    r.mute = true;
    for (end = boot_ms() + 35 * BEAT_MS; boot_ms() < end;) {
        turn(&r);
    }
    before = count_of(&r, MSG_BEAT);
    for (end = boot_ms() + 40 * BEAT_MS; boot_ms() < end;) {
        turn(&r);
    }
    CHECK(count_of(&r, MSG_BEAT) - before <= 6 && count_of(&r, MSG_BEAT) > before);
    r.mute = false;
    before = count_of(&r, MSG_BEAT);
    UNTIL(&r, count_of(&r, MSG_BEAT) > before + 5);
    started(&r);
    rig_done(&r);
}

static void results_that_can_be_kept_nowhere_end_their_run(void)
{
    static struct rig r;
    static char mib[1 << 20];
    struct lease l;

    rig_init(&r);
    l = started(&r);
    CHECK(rmdir(r.spool) == 0);
    r.ack = false;
    for (int i = 0; i < 80 && r.fenced == 0; i++) {
        station_hosts(r.station, &l, mib, sizeof mib);
    }
    CHECK_INT(r.fenced, 1);
    CHECK_INT(stats(&r).held, 0);
    rig_done(&r);
}

/* Read by a command of a connection that was given up, for a worker that waits for new ones. */
static void a_task_that_was_read_for_nobody_is_found_while_new_ones_are_waited_for(void)
{
    static struct rig r;
    struct lease l = lease_made(78);

    rig_init(&r);
    rig_ready(&r);
    station_room(r.station, 0); /* else it would be quicker than we are */
    for (int64_t end = boot_ms() + 4 * BEAT_MS; boot_ms() < end;) {
        turn(&r);
    }
    assign(&r, &l);
    freeReplyObject(command(&r, "XREADGROUP GROUP workers w1 STREAMS t:q:net >"));
    station_room(r.station, 4);
    UNTIL(&r, r.assigned == 1);
    CHECK(r.lease.token == l.token);
    UNTIL(&r, number(&r, "XLEN %s", "t:q:net") == 0);
    rig_done(&r);
}

TESTS(a_report_that_is_never_taken_is_given_up_some_day,
      a_result_that_is_never_taken_leaves_no_file, a_report_that_is_taken_late_is_not_given_up,
      beats_to_a_server_that_is_gone_for_long_become_rare,
      results_that_can_be_kept_nowhere_end_their_run,
      a_task_that_was_read_for_nobody_is_found_while_new_ones_are_waited_for)
