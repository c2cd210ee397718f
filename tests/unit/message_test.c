/* What a server and its workers tell each other: written, read, cut short, and made up. */
#include <endian.h>

#include "ipc/chan.h"
#include "transport/message.h"
#include "transport/message_inside.h"

#include "tap.h"

static const struct lease some = {
    .job_id = {.b = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
    .idx = 7,
    .epoch = 3,
    .token = UINT64_C(0x1122334455667788),
};

static struct message got;
static struct buf wire_of; /* of the message that was read last: its strings lie there */

/* Writes in `b`, reads into `got`: the only one of its entry. */
static void read_only_one(struct buf *b)
{
    const uint8_t *p;
    size_t n;

    message_done(&got);
    buf_done(&wire_of);
    wire_of = *b;
    *b = (struct buf){0};
    p = (const uint8_t *)wire_of.data;
    n = wire_of.len;
    CHECK(!wire_of.over);
    CHECK_OK(message_next(&p, &n, &got, ERR));
    CHECK_INT(n, 0);
    CHECK(p == (const uint8_t *)wire_of.data + wire_of.len);
}

static bool same_lease(const struct lease *a, const struct lease *b)
{
    return id_cmp(&a->job_id, &b->job_id) == 0 && a->idx == b->idx && a->epoch == b->epoch &&
           a->token == b->token;
}

static struct hello some_hello(void)
{
    struct hello h = {.version = "0.1.0",
                      .zone = "dmz",
                      .host = "böx",
                      .slots = 4,
                      .draining = true,
                      .confinement = "pidns+rlimits, egress nft"};

    strvec_push(&h.queues, "net@dmz");
    strvec_push(&h.queues, "net-raw@dmz");
    strvec_push(&h.tools, "nmap 7.93");
    strvec_push(&h.held, "0102030405060708090a0b0c0d0e0f10/7/3/1122334455667788");
    return h;
}

static void hello_done(struct hello *h)
{
    strvec_done(&h->queues);
    strvec_done(&h->tools);
    strvec_done(&h->held);
}

static const struct coverage_cell cells[] = {
    {.addresses = "192.0.2.0/28,198.51.100.7,2001:db8::/64",
     .protocol = "host",
     .start_us = 5,
     .end_us = 9},
    {.addresses = "192.0.2.1", .protocol = "tcp", .ports = "1-1000,8080", .up_only = true},
};

static const struct outcome some_outcome = {
    .state = JOB_FAILED,
    .reason = REASON_TOOL_FAILED,
    .retryable = true,
    .partial = true,
    .error = "the tool failed",
    .exit_status = 2,
    .exit_signal = 9,
    .stderr_tail = "bad \xff byte",
    .command_line = "nmap -sT 192.0.2.1",
    .tool_version = "7.93",
    .confinement = "pidns",
    .run_json = "{\"a\":[1,-2.5e3,null,true]}",
    .sandbox_json = "{}",
    .summary_json = "[]",
    .raw_path = "not/sent",
    .raw_sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    .raw_size = 5000000000,
    .raw_stored = 77,
    .cells = cells,
    .n_cells = ARRAY_LEN(cells),
};

static struct assignment some_assignment(void)
{
    static char tool[] = "nmap", targets[] = "192.0.2.0/24 a.example", ports[] = "22,80",
                arguments[] = "-sT -T4", pins[] = "a.example=192.0.2.9", limits[] = "wall_s=60",
                spec[] = "{\"stage\":1}", key[] = "k1";
    struct assignment a = {.lease = some, .boot = 99, .at_ms = 1234, .queue = "net-raw@dmz"};

    job_init(&a.job);
    a.job.id = some.job_id;
    a.job.tool = tool;
    a.job.targets = targets;
    a.job.ports = ports;
    a.job.arguments = arguments;
    a.job.pins = pins;
    a.job.limits = limits;
    a.job.task_spec = spec;
    a.job.key_id = key;
    a.job.run_timeout_s = 300;
    a.job.old_route = a.job.clip = a.job.planned = true;
    a.job.spent_us = 17;
    a.job.created_us = 18;
    a.job.priority = 9;
    a.key_name = "red team";
    return a;
}

static const struct answer some_answer = {.beat = 5,
                                          .boot = 99,
                                          .at_ms = 1234,
                                          .drain = true,
                                          .lease_ms = 80000,
                                          .beat_ms = 10000,
                                          .kill_ms = 60000};

static const struct beat some_beat = {
    .n = 12,
    .busy = 2,
    .load_x100 = 150,
    .spool_bytes = 1 << 20,
    .spooled = 3,
    .draining = true,
    .n_leases = 2,
    .leases = {{.idx = 1, .epoch = 2, .token = 3}, {.idx = 4, .epoch = 5, .token = 6}}};

/* ---- one message of each kind ---- */

enum { KINDS = 20 };

static void put_kind(struct buf *b, unsigned kind)
{
    const struct progress progress = {.task = "SYN", .percent_x100 = 4250, .remaining_s = 12};
    struct lease later = some;
    struct assignment a;
    struct hello h;

    switch (kind) {
    case 0:
        h = some_hello();
        put_hello(b, &h);
        hello_done(&h);
        break;
    case 1:
        put_beat(b, &some_beat);
        break;
    case 2:
        put_took(b, &some);
        break;
    case 3:
        put_hosts(b, &some, 41, "records", 7);
        break;
    case 4:
        put_progress(b, &some, &progress);
        break;
    case 5:
        put_raw(b, &some, 42, UINT64_C(1) << 40, "zstd\0", 5);
        break;
    case 6:
        put_end(b, &some, 43, &some_outcome);
        break;
    case 7:
        put_release(b, &some, 44, RELEASE_STALE);
        break;
    case 8:
        put_wait(b, &some, 45, 1700000000000000);
        break;
    case 9:
        put_bye(b);
        break;
    case 10:
        a = some_assignment();
        put_assign(b, &a);
        break;
    case 11:
        put_answer(b, &some_answer);
        break;
    case 12:
        put_ack(b, &some, 46);
        break;
    case 13:
        put_fenced(b, &some, true);
        break;
    case 14:
        put_cancel(b, &some);
        break;
    case 15:
        later.epoch = 4;
        later.token = 5;
        put_adopt(b, &some, &later);
        break;
    case 16:
        put_drain(b, true);
        break;
    case 17:
        put_refused(b, "another protocol");
        break;
    case 18:
        put_offer(b, &some);
        break;
    default:
        put_end(b, &some, 0, &(struct outcome){.state = JOB_COMPLETED});
    }
}

static void a_hello_comes_back_as_it_was(void)
{
    struct hello h = some_hello();
    struct buf b = {0};

    put_hello(&b, &h);
    hello_done(&h);
    read_only_one(&b);
    CHECK_INT(got.type, MSG_HELLO);
    CHECK_STR(got.hello.version, "0.1.0");
    CHECK_STR(got.hello.zone, "dmz");
    CHECK_STR(got.hello.host, "böx");
    CHECK_INT(got.hello.slots, 4);
    CHECK(got.hello.draining);
    CHECK_STR(got.hello.confinement, "pidns+rlimits, egress nft");
    CHECK_INT(got.hello.queues.n, 2);
    CHECK_STR(got.hello.queues.v[1], "net-raw@dmz");
    CHECK_INT(got.hello.tools.n, 1);
    CHECK_STR(got.hello.tools.v[0], "nmap 7.93");
    CHECK_INT(got.hello.held.n, 1);
}

static void a_beat_names_the_leases_that_are_held(void)
{
    struct buf b = {0};

    put_beat(&b, &some_beat);
    read_only_one(&b);
    CHECK_INT(got.type, MSG_BEAT);
    CHECK_INT(got.beat.n, 12);
    CHECK_INT(got.beat.busy, 2);
    CHECK_INT(got.beat.load_x100, 150);
    CHECK_INT(got.beat.spool_bytes, 1 << 20);
    CHECK_INT(got.beat.spooled, 3);
    CHECK(got.beat.draining);
    CHECK_INT(got.beat.n_leases, 2);
    CHECK(same_lease(&got.beat.leases[1], &some_beat.leases[1]));
}

static void an_end_comes_back_with_its_cells_and_without_its_path(void)
{
    const struct outcome *o = &got.outcome;
    struct buf b = {0};

    put_end(&b, &some, 43, &some_outcome);
    read_only_one(&b);
    CHECK_INT(got.type, MSG_END);
    CHECK(same_lease(&got.lease, &some));
    CHECK_INT(got.seq, 43);
    CHECK_INT(o->state, JOB_FAILED);
    CHECK_INT(o->reason, REASON_TOOL_FAILED);
    CHECK(o->retryable && o->partial);
    CHECK_STR(o->error, "the tool failed");
    CHECK_INT(o->exit_status, 2);
    CHECK_INT(o->exit_signal, 9);
    CHECK_STR(o->stderr_tail, "bad \xff byte");
    CHECK_STR(o->command_line, "nmap -sT 192.0.2.1");
    CHECK_STR(o->tool_version, "7.93");
    CHECK_STR(o->confinement, "pidns");
    CHECK_STR(o->run_json, some_outcome.run_json);
    CHECK_STR(o->sandbox_json, "{}");
    CHECK_STR(o->summary_json, "[]");
    CHECK(!o->raw_path);
    CHECK_STR(o->raw_sha256, some_outcome.raw_sha256);
    CHECK_INT(o->raw_size, 5000000000);
    CHECK_INT(o->raw_stored, 77);
    CHECK_INT(o->n_cells, 2);
    CHECK_STR(o->cells[0].addresses, cells[0].addresses);
    CHECK_STR(o->cells[0].protocol, "host");
    CHECK(!o->cells[0].ports && !o->cells[0].up_only);
    CHECK_INT(o->cells[0].end_us, 9);
    CHECK_STR(o->cells[1].ports, "1-1000,8080");
    CHECK(o->cells[1].up_only);
}

static void an_assignment_comes_back_with_the_job(void)
{
    struct assignment want = some_assignment();
    const struct assignment *a = &got.assign;
    struct buf b = {0};

    put_assign(&b, &want);
    read_only_one(&b);
    CHECK_INT(got.type, MSG_ASSIGN);
    CHECK(same_lease(&a->lease, &some) && same_lease(&got.lease, &some));
    CHECK(id_cmp(&a->job.id, &some.job_id) == 0);
    CHECK_INT(a->boot, 99);
    CHECK_INT(a->at_ms, 1234);
    CHECK_STR(a->queue, "net-raw@dmz");
    CHECK_STR(a->key_name, "red team");
    CHECK_STR(a->job.tool, "nmap");
    CHECK_STR(a->job.targets, want.job.targets);
    CHECK_STR(a->job.ports, "22,80");
    CHECK_STR(a->job.arguments, "-sT -T4");
    CHECK_STR(a->job.pins, want.job.pins);
    CHECK_STR(a->job.limits, "wall_s=60");
    CHECK_STR(a->job.task_spec, "{\"stage\":1}");
    CHECK_STR(a->job.key_id, "k1");
    CHECK_INT(a->job.run_timeout_s, 300);
    CHECK(a->job.old_route && a->job.clip && a->job.planned);
    CHECK_INT(a->job.spent_us, 17);
    CHECK_INT(a->job.created_us, 18);
    CHECK_INT(a->job.priority, 9);
}

static void an_assignment_may_leave_out_what_was_not_asked_for(void)
{
    static char tool[] = "noop";
    struct assignment a = {.lease = some, .queue = "net"};
    struct buf b = {0};

    job_init(&a.job);
    a.job.tool = tool;
    a.job.run_timeout_s = 1;
    put_assign(&b, &a);
    read_only_one(&b);
    CHECK(!got.assign.key_name && !got.assign.job.targets && !got.assign.job.pins &&
          !got.assign.job.task_spec && !got.assign.job.limits);
}

static void an_answer_tells_the_times_in_force(void)
{
    struct buf b = {0};

    put_answer(&b, &some_answer);
    read_only_one(&b);
    CHECK_INT(got.answer.beat, 5);
    CHECK_INT(got.answer.boot, 99);
    CHECK_INT(got.answer.at_ms, 1234);
    CHECK(got.answer.drain);
    CHECK_INT(got.answer.lease_ms, 80000);
    CHECK_INT(got.answer.beat_ms, 10000);
    CHECK_INT(got.answer.kill_ms, 60000);
}

static void bytes_come_back_as_they_were(void)
{
    struct buf b = {0};

    put_kind(&b, 3);
    read_only_one(&b);
    CHECK_INT(got.type, MSG_HOSTS);
    CHECK_INT(got.seq, 41);
    CHECK_INT(got.n, 7);
    CHECK(memcmp(got.data, "records", 7) == 0);
    put_kind(&b, 5);
    read_only_one(&b);
    CHECK_INT(got.type, MSG_RAW);
    CHECK_INT(got.offset, INT64_C(1) << 40);
    CHECK_INT(got.n, 5);
    CHECK(memcmp(got.data, "zstd\0", 5) == 0);
}

static void short_messages_come_back_as_they_were(void)
{
    struct buf b = {0};

    put_kind(&b, 4);
    read_only_one(&b);
    CHECK_STR(got.progress.task, "SYN");
    CHECK_INT(got.progress.percent_x100, 4250);
    CHECK_INT(got.progress.remaining_s, 12);
    put_kind(&b, 7);
    read_only_one(&b);
    CHECK_INT(got.why, RELEASE_STALE);
    put_kind(&b, 8);
    read_only_one(&b);
    CHECK_INT(got.until_us, 1700000000000000);
    put_kind(&b, 13);
    read_only_one(&b);
    CHECK(got.type == MSG_FENCED && got.on);
    put_kind(&b, 15);
    read_only_one(&b);
    CHECK(got.type == MSG_ADOPT && got.lease.epoch == 3 && got.now.epoch == 4);
    put_kind(&b, 16);
    read_only_one(&b);
    CHECK(got.type == MSG_DRAIN && got.on);
    put_kind(&b, 17);
    read_only_one(&b);
    CHECK_STR(got.text, "another protocol");
}

static void an_entry_may_hold_all_kinds_one_after_the_other(void)
{
    auto_buf b = {0};
    const uint8_t *p;
    size_t n, kinds = 0;

    for (unsigned i = 0; i < KINDS; i++) {
        put_kind(&b, i);
    }
    p = (const uint8_t *)b.data;
    n = b.len;
    while (n > 0) {
        struct message m;

        CHECK_OK(message_next(&p, &n, &m, ERR));
        message_done(&m);
        kinds++;
    }
    CHECK_INT(kinds, KINDS);
}

/* ---- what breaks a rule ---- */

/* Read from memory of just that size, so that a byte too far is seen. */
static int read_copy(const void *data, size_t n)
{
    auto_free uint8_t *copy = xmalloc(n + !n);
    const uint8_t *p = copy;
    struct message m;
    int rc;

    memcpy(copy, data, n);
    rc = message_next(&p, &n, &m, ERR);
    if (rc == 0) {
        message_done(&m);
    }
    return rc;
}

static void set_length(char *data, size_t n)
{
    uint32_t v = htole32((uint32_t)n);

    memcpy(data, &v, sizeof v);
}

static void a_message_that_is_cut_anywhere_is_refused(void)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        auto_buf b = {0};

        put_kind(&b, kind);
        for (size_t n = 0; n < b.len; n++) {
            CHECK_ERR(read_copy(b.data, n), ERR_INVALID);
        }
    }
}

static void a_message_whose_body_is_cut_is_refused(void)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        auto_buf b = {0};
        bool bytes = kind == 3 || kind == 5; /* any rest will do, but none will not */

        put_kind(&b, kind);
        for (size_t n = MESSAGE_HEAD; n < b.len - (bytes ? (kind == 3 ? 7 : 5) : 0); n++) {
            set_length(b.data, n - MESSAGE_HEAD);
            CHECK_ERR(read_copy(b.data, n), ERR_INVALID);
        }
    }
}

static void a_message_with_something_behind_it_is_refused(void)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        auto_buf b = {0};

        put_kind(&b, kind);
        buf_addc(&b, 0);
        set_length(b.data, b.len - MESSAGE_HEAD);
        if (kind != 3 && kind != 5) {
            CHECK_ERR(read_copy(b.data, b.len), ERR_INVALID);
        }
    }
}

static void types_that_are_not_known_are_refused(void)
{
    unsigned known = 0;

    for (unsigned type = 0; type < 256; type++) {
        auto_buf b = {0};
        int rc;

        put_bye(&b);
        b.data[MESSAGE_HEAD] = (char)type;
        rc = read_copy(b.data, b.len);
        CHECK(rc == 0 || rc == ERR_INVALID);
        known += rc == 0;
    }
    CHECK_INT(known, 1);
    CHECK(strstr(tap_err.msg, "255") != NULL);
}

static void a_length_beyond_the_largest_message_is_refused(void)
{
    auto_free char *big = xcalloc(1, MESSAGE_HEAD + MESSAGE_MAX + 1);

    big[MESSAGE_HEAD] = MSG_HOSTS;
    memset(big + MESSAGE_HEAD + 1, 1, 64);
    big[MESSAGE_HEAD + 17] = 0; /* idx below its bound */
    memset(big + MESSAGE_HEAD + 17, 0, 4);
    set_length(big, MESSAGE_MAX);
    CHECK_OK(read_copy(big, MESSAGE_HEAD + MESSAGE_MAX));
    set_length(big, MESSAGE_MAX + 1);
    CHECK_ERR(read_copy(big, MESSAGE_HEAD + MESSAGE_MAX + 1), ERR_INVALID);
    set_length(big, UINT32_MAX);
    CHECK_ERR(read_copy(big, MESSAGE_HEAD + MESSAGE_MAX + 1), ERR_INVALID);
    set_length(big, 0);
    CHECK_ERR(read_copy(big, MESSAGE_HEAD), ERR_INVALID);
}

/* Writes an outcome with one thing wrong. */
static int end_with(struct outcome o)
{
    auto_buf b = {0};

    put_end(&b, &some, 1, &o);
    return read_copy(b.data, b.len);
}

static int end_with_cell(const char *addresses, const char *protocol, const char *ports)
{
    const struct coverage_cell c = {addresses, protocol, ports, false, 0, 0};

    return end_with((struct outcome){.state = JOB_COMPLETED, .cells = &c, .n_cells = 1});
}

static void an_end_that_breaks_a_rule_is_refused(void)
{
    const struct outcome good = {.state = JOB_COMPLETED};
    struct outcome o = good;

    CHECK_OK(end_with(good));
    o.state = JOB_RUNNING;
    CHECK_ERR(end_with(o), ERR_INVALID);
    o = good;
    o.reason = REASON_COUNT;
    CHECK_ERR(end_with(o), ERR_INVALID);
    o = good;
    o.exit_signal = 65;
    CHECK_ERR(end_with(o), ERR_INVALID);
    o = good;
    o.raw_size = -1;
    CHECK_ERR(end_with(o), ERR_INVALID);
    o = good;
    o.raw_sha256 = "abc";
    CHECK_ERR(end_with(o), ERR_INVALID);
    o = good;
    o.run_json = "{\"a\":\"\xff\"}";
    CHECK_ERR(end_with(o), ERR_INVALID);
    o.run_json = "{},{}";
    CHECK_ERR(end_with(o), ERR_INVALID);
    o.run_json = "7";
    CHECK_ERR(end_with(o), ERR_INVALID);
}

static void cells_that_are_none_are_refused(void)
{
    CHECK_OK(end_with_cell("192.0.2.1", "tcp", "22"));
    CHECK_ERR(end_with_cell("", "tcp", "22"), ERR_INVALID);
    CHECK_ERR(end_with_cell("192.0.2.1,", "tcp", "22"), ERR_INVALID);
    CHECK_ERR(end_with_cell("192.0.2.1/24", "tcp", "22"), ERR_INVALID);
    CHECK_ERR(end_with_cell("a.example", "tcp", "22"), ERR_INVALID);
    CHECK_ERR(end_with_cell("192.0.2.1", "icmp", "22"), ERR_INVALID);
    CHECK_ERR(end_with_cell("192.0.2.1", "tcp", NULL), ERR_INVALID);
    CHECK_ERR(end_with_cell("192.0.2.1", "tcp", ""), ERR_INVALID);
    CHECK_ERR(end_with_cell("192.0.2.1", "tcp", "70000"), ERR_INVALID);
    CHECK_ERR(end_with_cell("192.0.2.1", "host", "22"), ERR_INVALID);
    CHECK_ERR(end_with_cell(NULL, "host", NULL), ERR_INVALID);
}

static int assign_with(const struct assignment *a)
{
    auto_buf b = {0};

    put_assign(&b, a);
    return read_copy(b.data, b.len);
}

static void an_assignment_that_breaks_a_rule_is_refused(void)
{
    struct assignment a = some_assignment();
    char word[16] = "../nmap";

    CHECK_OK(assign_with(&a));
    a.job.tool = word;
    CHECK_ERR(assign_with(&a), ERR_INVALID);
    a.job.tool = NULL;
    CHECK_ERR(assign_with(&a), ERR_INVALID);
    a = some_assignment();
    a.queue = "elsewhere";
    CHECK_ERR(assign_with(&a), ERR_INVALID);
    a = some_assignment();
    a.job.priority = 10;
    CHECK_ERR(assign_with(&a), ERR_INVALID);
    a = some_assignment();
    a.job.run_timeout_s = 0;
    CHECK_ERR(assign_with(&a), ERR_INVALID);
    a = some_assignment();
    a.job.limits = word;
    CHECK_ERR(assign_with(&a), ERR_INVALID);
    a = some_assignment();
    a.job.task_spec = word;
    CHECK_ERR(assign_with(&a), ERR_INVALID);
    a = some_assignment();
    a.at_ms = -1;
    CHECK_ERR(assign_with(&a), ERR_INVALID);
    a = some_assignment();
    a.lease.token = 0;
    CHECK_ERR(assign_with(&a), ERR_INVALID);
    a = some_assignment();
    a.lease.idx = TASKS_MAX;
    CHECK_ERR(assign_with(&a), ERR_INVALID);
}

static int answer_with(uint32_t beat_ms, uint32_t kill_ms, uint32_t lease_ms)
{
    auto_buf b = {0};

    put_answer(&b, &(struct answer){.beat_ms = beat_ms, .kill_ms = kill_ms, .lease_ms = lease_ms});
    return read_copy(b.data, b.len);
}

static void times_by_which_two_runs_could_overlap_are_refused(void)
{
    CHECK_OK(answer_with(1, 2, 3));
    CHECK_ERR(answer_with(0, 2, 3), ERR_INVALID);
    CHECK_ERR(answer_with(2, 2, 3), ERR_INVALID);
    CHECK_ERR(answer_with(1, 3, 3), ERR_INVALID);
    CHECK_ERR(answer_with(1, 4, 3), ERR_INVALID);
    CHECK_ERR(answer_with(1, 2, UINT32_MAX), ERR_INVALID);
}

static int hello_with(const char *zone, uint32_t slots, const char *queue, const char *held)
{
    struct hello h = {.version = "1", .zone = zone, .host = "h", .slots = slots};
    auto_buf b = {0};

    strvec_push(&h.queues, queue);
    strvec_push(&h.held, held);
    put_hello(&b, &h);
    hello_done(&h);
    return read_copy(b.data, b.len);
}

static void a_hello_that_breaks_a_rule_is_refused(void)
{
    const char *held = "0102030405060708090a0b0c0d0e0f10/7/3/1122334455667788";

    CHECK_OK(hello_with("", 256, "net", held));
    CHECK_ERR(hello_with("a b", 1, "net", held), ERR_INVALID);
    CHECK_ERR(hello_with("", 257, "net", held), ERR_INVALID);
    CHECK_ERR(hello_with("", 1, "new", held), ERR_INVALID);
    CHECK_ERR(hello_with("", 1, "net", "x"), ERR_INVALID);
}

/* A count that the bytes behind it cannot hold takes no memory. */
static void counts_are_held_against_what_is_there(void)
{
    auto_buf b = {0};
    size_t at = 0;

    put_end(&b, &some, 1, &(struct outcome){.state = JOB_COMPLETED});
    at = b.len - 4; /* number of cells */
    memcpy(b.data + at, "\xff\xff\xff\x7f", 4);
    CHECK_ERR(read_copy(b.data, b.len), ERR_INVALID);
    buf_reset(&b);
    put_beat(&b, &(struct beat){.n = 1});
    memcpy(b.data + b.len - 4, "\x01\x01\0\0", 4); /* 257 leases */
    CHECK_ERR(read_copy(b.data, b.len), ERR_INVALID);
}

static void a_boolean_is_nought_or_one(void)
{
    auto_buf b = {0};

    put_drain(&b, true);
    CHECK_OK(read_copy(b.data, b.len));
    b.data[b.len - 1] = 2;
    CHECK_ERR(read_copy(b.data, b.len), ERR_INVALID);
}

static void a_lease_is_adopted_for_the_same_task_only(void)
{
    struct lease other = some;
    auto_buf b = {0};

    other.idx++;
    put_adopt(&b, &some, &other);
    CHECK_ERR(read_copy(b.data, b.len), ERR_INVALID);
}

/* ---- the writer ---- */

static void texts_for_people_are_made_fit_to_be_read(void)
{
    auto_free char *longer = xmalloc(MESSAGE_WORDS_MAX + 100);
    struct buf b = {0};

    memset(longer, 'x', MESSAGE_WORDS_MAX + 99);
    longer[MESSAGE_WORDS_MAX + 99] = '\0';
    put_end(&b, &some, 1,
            &(struct outcome){.state = JOB_FAILED,
                              .error = longer,
                              .stderr_tail = longer,
                              .command_line = "nmap \xff\xfe x",
                              .tool_version = "7\x80"});
    read_only_one(&b);
    CHECK_INT(strlen(got.outcome.error), MESSAGE_WORDS_MAX);
    CHECK_INT(strlen(got.outcome.stderr_tail), MESSAGE_WORDS_MAX);
    CHECK_STR(got.outcome.command_line, "nmap \xef\xbf\xbd\xef\xbf\xbd x");
    CHECK_STR(got.outcome.tool_version, "7\xef\xbf\xbd");
}

static void a_message_that_does_not_fit_leaves_the_others_whole(void)
{
    auto_free char *big = xcalloc(1, MESSAGE_MAX);
    auto_buf b = {0}, capped = {.cap = 64};
    size_t one;

    put_bye(&b);
    one = b.len;
    put_hosts(&b, &some, 1, big, MESSAGE_MAX);
    CHECK(b.over);
    CHECK_INT(b.len, one);
    CHECK_OK(read_copy(b.data, b.len));
    put_bye(&capped);
    put_refused(&capped, "a text that is longer than what the buffer may hold, by far: 64 bytes");
    CHECK(capped.over);
    CHECK_INT(capped.len, one);
}

/* ---- leases and names as text, JSON ---- */

static void a_lease_is_text_and_back(void)
{
    char text[LEASE_TEXT + 1];
    struct lease l;

    lease_text(&some, text);
    CHECK_STR(text, "0102030405060708090a0b0c0d0e0f10/7/3/1122334455667788");
    CHECK(lease_parse(text, &l));
    CHECK(same_lease(&l, &some));
    l = (struct lease){.idx = TASKS_MAX - 1, .epoch = UINT32_MAX, .token = UINT64_MAX};
    lease_text(&l, text);
    CHECK(lease_parse(text, &l));
    CHECK_INT(l.epoch, UINT32_MAX);
}

static void text_that_is_no_lease_is_none(void)
{
    static const char *const bad[] = {
        "",
        "x",
        "0102030405060708090a0b0c0d0e0f10",
        "0102030405060708090a0b0c0d0e0f10/",
        "0102030405060708090a0b0c0d0e0f10/1/2",
        "0102030405060708090a0b0c0d0e0f10/1/2/",
        "0102030405060708090a0b0c0d0e0f10/1/2/1122",
        "0102030405060708090a0b0c0d0e0f10/1/2/11223344556677889",
        "0102030405060708090a0b0c0d0e0f10/1/2/112233445566778 ",
        "0102030405060708090a0b0c0d0e0f10/-1/2/1122334455667788",
        "0102030405060708090a0b0c0d0e0f10/4096/2/1122334455667788",
        "0102030405060708090a0b0c0d0e0f10/1/4294967296/1122334455667788",
        "0102030405060708090a0b0c0d0e0f10/1/99999999999999999999999/1122334455667788",
        "0102030405060708090a0b0c0d0e0f1g/1/2/1122334455667788",
        "0102030405060708090a0b0c0d0e0f10 1/2/1122334455667788",
        "0102030405060708090a0b0c0d0e0f10/1/2/1122334455667788/",
        "0102030405060708090a0b0c0d0e0f10/1/2/0x22334455667788",
    };
    struct lease l;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (lease_parse(bad[i], &l)) {
            tap_fail(__FILE__, __LINE__, "'%s' was taken", bad[i]);
        }
    }
}

static void names_of_workers_are_plain_words(void)
{
    char longest[WORKER_NAME_MAX + 1];

    memset(longest, 'a', sizeof longest);
    longest[WORKER_NAME_MAX] = '\0';
    CHECK(!worker_name_ok(longest));
    longest[WORKER_NAME_MAX - 1] = '\0';
    CHECK(worker_name_ok(longest));
    CHECK(worker_name_ok("w1.example-2_x"));
    CHECK(!worker_name_ok(""));
    CHECK(!worker_name_ok("-w"));
    CHECK(!worker_name_ok(".w"));
    CHECK(!worker_name_ok("a:b"));
    CHECK(!worker_name_ok("a*"));
    CHECK(!worker_name_ok("ä"));
}

TESTS(a_hello_comes_back_as_it_was, a_beat_names_the_leases_that_are_held,
      an_end_comes_back_with_its_cells_and_without_its_path, an_assignment_comes_back_with_the_job,
      an_assignment_may_leave_out_what_was_not_asked_for, an_answer_tells_the_times_in_force,
      bytes_come_back_as_they_were, short_messages_come_back_as_they_were,
      an_entry_may_hold_all_kinds_one_after_the_other, a_message_that_is_cut_anywhere_is_refused,
      a_message_whose_body_is_cut_is_refused, a_message_with_something_behind_it_is_refused,
      types_that_are_not_known_are_refused, a_length_beyond_the_largest_message_is_refused,
      an_end_that_breaks_a_rule_is_refused, cells_that_are_none_are_refused,
      an_assignment_that_breaks_a_rule_is_refused,
      times_by_which_two_runs_could_overlap_are_refused, a_hello_that_breaks_a_rule_is_refused,
      counts_are_held_against_what_is_there, a_boolean_is_nought_or_one,
      a_lease_is_adopted_for_the_same_task_only, texts_for_people_are_made_fit_to_be_read,
      a_message_that_does_not_fit_leaves_the_others_whole, a_lease_is_text_and_back,
      text_that_is_no_lease_is_none, names_of_workers_are_plain_words)
