/* What a worker elsewhere makes of a run's reports: whole hosts, each run's apart. A station that
 * only remembers stands in for the real one. */
#include "daemon/reports.h"
#include "ipc/record.h"
#include "tap.h"
#include "transport/station.h"

struct station {
    struct buf hosts[3]; /* by the lease's idx */
    unsigned messages, ends, releases, waits, progress;
    char raw[256];
};

void station_hosts(struct station *s, const struct lease *l, const void *records, size_t n)
{
    buf_add(&s->hosts[l->idx], records, n);
    s->messages++;
}

void station_progress(struct station *s, const struct lease *l, const struct progress *p)
{
    (void)l;
    (void)p;
    s->progress++;
}

void station_end(struct station *s, const struct lease *l, const struct outcome *o,
                 const char *raw_path)
{
    (void)l;
    (void)o;
    s->ends++;
    snprintf(s->raw, sizeof s->raw, "%s", raw_path ? raw_path : "");
}

void station_release(struct station *s, const struct lease *l, enum release_why why)
{
    (void)l;
    CHECK_INT(why, RELEASE_DRAIN);
    s->releases++;
}

void station_wait(struct station *s, const struct lease *l, int64_t until_us)
{
    (void)l;
    (void)until_us;
    s->waits++;
}

struct seen {
    unsigned hosts, ports, ends;
};

static int see_host(void *arg, const struct host *h, struct err *e)
{
    struct seen *s = arg;

    (void)e;
    CHECK_STR(h->state, "up");
    s->hosts++;
    return 0;
}

static int see_port(void *arg, const struct port *p, struct err *e)
{
    struct seen *s = arg;

    (void)e;
    CHECK_STR(p->service, "http");
    s->ports++;
    return 0;
}

static int see_end(void *arg, struct err *e)
{
    struct seen *s = arg;

    (void)e;
    s->ends++;
    return 0;
}

static struct seen read_back(const struct buf *b)
{
    static const struct record_sink sink = {
        .host = see_host, .port = see_port, .host_end = see_end};
    struct seen seen = {0};
    struct record_reader r = {.sink = &sink, .arg = &seen};

    CHECK_OK(record_feed(&r, b->data, b->len, ERR));
    CHECK(!r.in_host && r.in.len == 0);
    record_reader_done(&r);
    return seen;
}

static const struct host head = {.state = "up", .reason_ttl = -1};
static const struct port port = {.number = 80,
                                 .protocol = "tcp",
                                 .state = "open",
                                 .reason_ttl = -1,
                                 .conf = 10,
                                 .has_service = true,
                                 .service = "http"};

static void done(struct station *s, struct station_reports *to)
{
    station_reports_done(to);
    for (size_t i = 0; i < ARRAY_LEN(s->hosts); i++) {
        buf_done(&s->hosts[i]);
    }
}

static void hosts_of_two_runs_alternate_and_come_whole_and_apart(void)
{
    struct station s = {0};
    struct station_reports to = {.station = &s, .blob_dir = "/blob"};
    struct reports r = reports_station(&to);
    const struct lease a = {.idx = 0, .token = 1}, b = {.idx = 1, .token = 2};

    CHECK_OK(r.host(r.arg, &a, &head, ERR));
    CHECK_OK(r.host(r.arg, &b, &head, ERR));
    r.wrote(r.arg, &a);
    r.wrote(r.arg, &b);
    CHECK_INT(s.messages, 0); /* neither is whole */
    CHECK_OK(r.select(r.arg, &a, ERR));
    CHECK_OK(r.port(r.arg, &a, &port, ERR));
    CHECK_OK(r.host_end(r.arg, &a, ERR));
    CHECK_OK(r.host(r.arg, &a, &head, ERR));
    CHECK_OK(r.select(r.arg, &b, ERR));
    CHECK_OK(r.port(r.arg, &b, &port, ERR));
    r.wrote(r.arg, &a);
    r.wrote(r.arg, &b);
    CHECK_INT(s.messages, 1);
    CHECK_INT(read_back(&s.hosts[0]).ports, 1);
    CHECK_OK(r.host_end(r.arg, &a, ERR));
    CHECK_OK(r.port(r.arg, &b, &port, ERR));
    CHECK_OK(r.host_end(r.arg, &b, ERR));
    r.finish(r.arg, &a, &(const struct outcome){.raw_path = "ab/c.zst"});
    CHECK_STR(s.raw, "/blob/ab/c.zst");
    r.finish(r.arg, &b, &(const struct outcome){.raw_path = NULL});
    CHECK_STR(s.raw, "");
    CHECK_INT(read_back(&s.hosts[0]).hosts, 2);
    CHECK_INT(read_back(&s.hosts[1]).ports, 2);
    CHECK_INT(s.ends, 2);
    CHECK(!to.hosts);
    done(&s, &to);
}

static void half_a_host_is_not_sent_with_the_end(void)
{
    struct station s = {0};
    struct station_reports to = {.station = &s};
    struct reports r = reports_station(&to);
    const struct lease a = {.idx = 0, .token = 1};

    CHECK_OK(r.host(r.arg, &a, &head, ERR));
    CHECK_OK(r.host_end(r.arg, &a, ERR));
    CHECK_OK(r.host(r.arg, &a, &head, ERR));
    CHECK_OK(r.port(r.arg, &a, &port, ERR));
    r.finish(r.arg, &a, &(const struct outcome){.state = JOB_FAILED});
    CHECK_INT(read_back(&s.hosts[0]).hosts, 1);
    done(&s, &to);
}

static void many_hosts_of_one_turn_are_many_messages(void)
{
    struct station s = {0};
    struct station_reports to = {.station = &s};
    struct reports r = reports_station(&to);
    const struct lease a = {.idx = 0, .token = 1};

    for (int i = 0; i < 20000; i++) {
        CHECK_OK(r.host(r.arg, &a, &head, ERR));
        CHECK_OK(r.port(r.arg, &a, &port, ERR));
        CHECK_OK(r.host_end(r.arg, &a, ERR));
    }
    r.wrote(r.arg, &a);
    CHECK(s.messages >= 2);
    CHECK_INT(read_back(&s.hosts[0]).ends, 20000);
    done(&s, &to);
}

static void a_host_that_no_message_can_hold_is_refused(void)
{
    struct station s = {0};
    struct station_reports to = {.station = &s};
    struct reports r = reports_station(&to);
    const struct lease a = {.idx = 0, .token = 1};
    auto_free char *text = xcalloc(RECORD_TEXT_MAX + 1, 1);
    struct port big = port;
    struct err e = {0};
    int rc = 0;

    memset(text, 'x', RECORD_TEXT_MAX);
    big.product = big.version = big.extrainfo = text;
    CHECK_OK(r.host(r.arg, &a, &head, ERR));
    for (int i = 0; i < 100 && rc == 0; i++) {
        rc = r.port(r.arg, &a, &big, &e);
    }
    CHECK_INT(rc, ERR_LIMIT);
    CHECK(strstr(e.msg, "MiB"));
    done(&s, &to);
}

static void what_is_handed_back_or_waits_is_told_and_forgotten(void)
{
    struct station s = {0};
    struct station_reports to = {.station = &s};
    struct reports r = reports_station(&to);
    const struct lease a = {.idx = 0, .token = 1}, b = {.idx = 1, .token = 2};
    const struct progress p = {.percent_x100 = 100};

    CHECK_OK(r.host(r.arg, &a, &head, ERR));
    CHECK_OK(r.host_end(r.arg, &a, ERR));
    CHECK_OK(r.progress(r.arg, &a, &p, ERR));
    r.release(r.arg, &a);
    r.wrote(r.arg, &a);
    r.wait(r.arg, &b, 5);
    CHECK_INT(s.messages, 0);
    CHECK_INT(s.releases, 1);
    CHECK_INT(s.waits, 1);
    CHECK_INT(s.progress, 1);
    CHECK(!to.hosts);
    done(&s, &to);
}

TESTS(hosts_of_two_runs_alternate_and_come_whole_and_apart, half_a_host_is_not_sent_with_the_end,
      many_hosts_of_one_turn_are_many_messages, a_host_that_no_message_can_hold_is_refused,
      what_is_handed_back_or_waits_is_told_and_forgotten)
