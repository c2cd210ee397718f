/* Messages with descriptors between processes, and the record stream against a hostile sender. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/chan.h"
#include "ipc/record.h"
#include "tap.h"

struct side {
    struct chan chan;
    struct loop *l;
    unsigned messages, closed, n_fds;
    uint16_t type;
    size_t n;
    int kept_fd;
    uint32_t next; /* number expected in the next message */
    bool in_order, free_in_handler;
};

static void on_message(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds)
{
    struct side *s = container_of(c, struct side, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    uint32_t number = wire_get_u32(&w);

    s->messages++;
    s->type = type;
    s->n = n;
    s->n_fds = n_fds;
    s->in_order = number == s->next;
    s->next = number + 1;
    if (n_fds > 0) {
        s->kept_fd = take_fd(&fds[0]);
    }
    if (s->free_in_handler) {
        unsigned char last = ((const unsigned char *)body)[n - 1];

        chan_done(c);
        CHECK_INT(((const unsigned char *)body)[n - 1], last); /* still readable */
        s->closed++;
    }
}

static void on_close(struct chan *c)
{
    struct side *s = container_of(c, struct side, chan);

    s->closed++;
    chan_done(c);
}

static struct side *side_new(struct loop *l, int fd)
{
    struct side *s = xcalloc(1, sizeof *s);

    s->l = l;
    s->kept_fd = -1;
    s->in_order = true;
    s->chan.on_message = on_message;
    s->chan.on_close = on_close;
    CHECK_OK(chan_start(&s->chan, l, fd, ERR));
    return s;
}

static void side_free(struct side *s)
{
    chan_done(&s->chan);
    fd_close(&s->kept_fd);
    free(s);
}

static struct loop *pair_up(struct side **a, struct side **b)
{
    struct loop *l;
    int fds[2];

    CHECK_OK(loop_new(&l, ERR));
    CHECK_OK(chan_pair(fds, ERR));
    *a = side_new(l, fds[0]);
    *b = side_new(l, fds[1]);
    return l;
}

static int send_number(struct side *s, uint32_t number, size_t n, struct err *e)
{
    auto_buf body = {0};

    wire_u32(&body, number);
    while (body.len < n) {
        buf_addc(&body, 'x');
    }
    return chan_send(&s->chan, 7, body.data, body.len, NULL, 0, e);
}

static unsigned open_fds(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

static void a_message_brings_its_type_its_body_and_its_descriptors(void)
{
    unsigned before = open_fds();
    struct side *a, *b;
    struct loop *l = pair_up(&a, &b);
    int pipe_fds[2];
    int send_fds[3];
    char byte;

    CHECK_INT(pipe2(pipe_fds, O_CLOEXEC), 0);
    for (int i = 0; i < 3; i++) {
        send_fds[i] = pipe_fds[1];
    }
    CHECK_OK(chan_send(&a->chan, 0xfeed, "\0\0\0\0", 4, send_fds, 3, ERR));
    CHECK_OK(loop_turn(l, 1000, ERR));
    CHECK_INT(b->messages, 1);
    CHECK_INT(b->type, 0xfeed);
    CHECK_INT(b->n, 4);
    CHECK_INT(b->n_fds, 3);
    CHECK(fcntl(b->kept_fd, F_GETFD) & FD_CLOEXEC);
    CHECK_INT(write(b->kept_fd, "y", 1), 1);
    CHECK_INT(read(pipe_fds[0], &byte, 1), 1);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    side_free(a);
    side_free(b);
    loop_free(l);
    CHECK_INT(open_fds(), before); /* those that the handler did not take were closed */
}

static void what_does_not_fit_waits_in_order_until_the_cap(void)
{
    struct side *a, *b;
    struct loop *l = pair_up(&a, &b);
    uint32_t sent = 0;
    auto_buf last = {0};
    int dev_null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    while (send_number(a, sent, 10000, ERR) == 0) {
        sent++;
        CHECK(sent < 10000);
    }
    CHECK_INT(tap_err.code, ERR_LIMIT);
    CHECK(a->chan.queued > CHAN_QUEUE_MAX - 20000);
    wire_u32(&last, sent++);
    CHECK_OK(chan_send(&a->chan, 1, last.data, last.len, &dev_null, 1, ERR));
    close(dev_null); /* waits as a duplicate */
    while (b->messages < sent) {
        CHECK_OK(loop_turn(l, 1000, ERR));
        CHECK(b->in_order);
    }
    CHECK_INT(b->n_fds, 1);
    CHECK_INT(a->chan.queued, 0);
    CHECK(a->chan.queue == NULL);
    side_free(a);
    side_free(b);
    loop_free(l);
}

static void the_longest_body_passes_and_one_byte_more_is_refused(void)
{
    struct side *a, *b;
    struct loop *l = pair_up(&a, &b);

    CHECK_OK(send_number(a, 0, CHAN_BODY_MAX, ERR));
    CHECK_ERR(send_number(a, 1, CHAN_BODY_MAX + 1, ERR), ERR_LIMIT);
    while (b->messages == 0) {
        CHECK_OK(loop_turn(l, 1000, ERR));
    }
    CHECK_INT(b->n, CHAN_BODY_MAX);
    side_free(a);
    side_free(b);
    loop_free(l);
}

static void what_was_sent_before_the_end_arrives_before_the_end(void)
{
    struct side *a, *b;
    struct loop *l = pair_up(&a, &b);

    CHECK_OK(send_number(b, 0, 4, ERR)); /* a closes with this unread: b's socket is reset */
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_OK(send_number(a, i, 4, ERR));
    }
    chan_done(&a->chan);
    while (!b->closed) {
        CHECK_OK(loop_turn(l, 1000, ERR));
    }
    CHECK_INT(b->messages, 3);
    CHECK(b->in_order);
    CHECK_ERR(send_number(b, 0, 4, ERR), ERR_IO);
    CHECK_ERR(send_number(a, 0, 4, ERR), ERR_IO);
    side_free(a);
    side_free(b);
    loop_free(l);
}

static void a_handler_may_end_its_own_channel(void)
{
    struct side *a, *b;
    struct loop *l = pair_up(&a, &b);

    b->free_in_handler = true;
    CHECK_OK(send_number(a, 0, 100, ERR));
    CHECK_OK(send_number(a, 1, 100, ERR)); /* never delivered */
    CHECK_OK(loop_turn(l, 1000, ERR));
    CHECK_INT(b->messages, 1);
    CHECK_INT(b->closed, 1);
    side_free(b);
    CHECK_OK(loop_turn(l, 1000, ERR));
    CHECK_INT(a->closed, 1);
    side_free(a);
    loop_free(l);
}

static void raw_packet(int fd, size_t n, unsigned n_fds)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(16 * sizeof(int))];
    } control = {0};
    auto_free char *data = xcalloc(1, n + 1);
    struct iovec iov = {data, n};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n_fds > 0) {
        struct cmsghdr *c;

        mh.msg_control = &control;
        mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        for (unsigned i = 0; i < n_fds; i++) {
            memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof fd);
        }
    }
    CHECK_INT(sendmsg(fd, &mh, MSG_NOSIGNAL), n);
}

static void a_peer_that_does_not_speak_the_protocol_is_cut_off(void)
{
    static const struct {
        size_t n;
        unsigned n_fds;
    } cases[] = {{1, 0}, {CHAN_BODY_MAX + 3, 0}, {10, CHAN_FDS_MAX + 1}};
    unsigned before = open_fds();

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loop *l;
        struct side *b;
        int fds[2];

        CHECK_OK(loop_new(&l, ERR));
        CHECK_OK(chan_pair(fds, ERR));
        b = side_new(l, fds[1]);
        raw_packet(fds[0], cases[i].n, cases[i].n_fds);
        CHECK_OK(loop_turn(l, 1000, ERR));
        CHECK_INT(b->messages, 0);
        CHECK_INT(b->closed, 1);
        close(fds[0]);
        side_free(b);
        loop_free(l);
    }
    CHECK_INT(open_fds(), before);
}

static void fields_are_read_back_and_a_short_body_reads_as_zeroes(void)
{
    auto_buf b = {0};
    auto_free char *copy = NULL;
    const char *s;
    size_t n;

    wire_u8(&b, 200);
    wire_u16(&b, 65535);
    wire_i32(&b, -5);
    wire_i64(&b, INT64_MIN);
    wire_u64(&b, UINT64_MAX);
    wire_str(&b, "caf\xc3\xa9");
    wire_str(&b, NULL);
    wire_str(&b, "");
    for (size_t len = 0; len <= b.len; len++) {
        struct wire w = {.p = (const uint8_t *)b.data, .end = (const uint8_t *)b.data + len};

        (void)wire_get_u8(&w);
        (void)wire_get_u16(&w);
        (void)wire_get_i32(&w);
        (void)wire_get_i64(&w);
        (void)wire_get_u64(&w);
        free(wire_get_strdup(&w));
        free(wire_get_strdup(&w));
        (void)wire_get_str(&w, &s, &n);
        CHECK(wire_end(&w) == (len == b.len));
        CHECK_INT(wire_get_u32(&w), 0);
        CHECK(w.bad);
    }
    struct wire w = {.p = (const uint8_t *)b.data, .end = (const uint8_t *)b.data + b.len};

    CHECK_INT(wire_get_u8(&w), 200);
    CHECK_INT(wire_get_u16(&w), 65535);
    CHECK_INT(wire_get_i32(&w), -5);
    CHECK(wire_get_i64(&w) == INT64_MIN);
    CHECK(wire_get_u64(&w) == UINT64_MAX);
    CHECK(wire_get_str(&w, &s, &n));
    CHECK_STR(s, "caf\xc3\xa9");
    CHECK_INT(n, 5);
    CHECK(wire_get_str(&w, &s, NULL));
    CHECK(s == NULL);
    copy = wire_get_strdup(&w);
    CHECK_STR(copy, "");
    CHECK(wire_end(&w));
}

static void a_string_with_a_hidden_nul_or_without_its_own_is_refused(void)
{
    static const uint8_t hidden[] = {3, 0, 0, 0, 'a', 0, 'b', 0};
    static const uint8_t open_end[] = {2, 0, 0, 0, 'a', 'b', 'c'};
    static const uint8_t huge[] = {0xfe, 0xff, 0xff, 0xff, 'a', 0};
    const struct wire all[] = {
        {hidden, hidden + sizeof hidden, false},
        {open_end, open_end + sizeof open_end, false},
        {huge, huge + sizeof huge, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct wire w = all[i];
        const char *s;

        CHECK(!wire_get_str(&w, &s, NULL));
        CHECK(s == NULL);
        CHECK(w.bad);
    }
}

/* Records. The sink writes down what it hears. */

struct story {
    struct buf text;
    unsigned hosts, ports, ends;
    int stop_at_port; /* the sink's own refusal */
    bool in_host;
};

static void tell(struct buf *b, const char *name, const char *s)
{
    if (s) {
        buf_addf(b, " %s=%.200s", name, s);
    }
}

static int hear_host(void *arg, const struct host *h, struct err *e)
{
    struct story *st = arg;

    (void)e;
    CHECK(!st->in_host && h->n_ports == 0);
    st->in_host = true;
    st->hosts++;
    buf_addf(&st->text, "host ttl=%d %" PRId64 "-%" PRId64 " timed_out=%d", h->reason_ttl,
             h->start_s, h->end_s, h->timed_out);
    for (size_t i = 0; i < h->n_addrs; i++) {
        tell(&st->text, h->addrs[i].type, h->addrs[i].addr);
        tell(&st->text, "vendor", h->addrs[i].vendor);
    }
    for (size_t i = 0; i < h->n_names; i++) {
        tell(&st->text, "name", h->names[i].name);
        tell(&st->text, "kind", h->names[i].type);
    }
    tell(&st->text, "state", h->state);
    tell(&st->text, "reason", h->reason);
    tell(&st->text, "comment", h->comment);
    tell(&st->text, "extraports", h->extraports);
    tell(&st->text, "os", h->os);
    tell(&st->text, "scripts", h->scripts);
    tell(&st->text, "more", h->more);
    buf_addc(&st->text, '\n');
    return 0;
}

static int hear_port(void *arg, const struct port *p, struct err *e)
{
    struct story *st = arg;

    CHECK(st->in_host);
    st->ports++;
    if (st->stop_at_port && (int)st->ports == st->stop_at_port) {
        return err_set(e, ERR_FULL, "no space for port %u", p->number);
    }
    buf_addf(&st->text, "port %u ttl=%d conf=%d service=%d", p->number, p->reason_ttl, p->conf,
             p->has_service);
    tell(&st->text, "protocol", p->protocol);
    tell(&st->text, "state", p->state);
    tell(&st->text, "reason", p->reason);
    tell(&st->text, "reason_ip", p->reason_ip);
    tell(&st->text, "owner", p->owner);
    tell(&st->text, "name", p->service);
    tell(&st->text, "product", p->product);
    tell(&st->text, "version", p->version);
    tell(&st->text, "extrainfo", p->extrainfo);
    tell(&st->text, "tunnel", p->tunnel);
    tell(&st->text, "method", p->method);
    tell(&st->text, "hostname", p->hostname);
    tell(&st->text, "ostype", p->ostype);
    tell(&st->text, "devicetype", p->devicetype);
    tell(&st->text, "cpe", p->cpe);
    tell(&st->text, "scripts", p->scripts);
    tell(&st->text, "more", p->more);
    buf_addc(&st->text, '\n');
    return 0;
}

static int hear_host_end(void *arg, struct err *e)
{
    struct story *st = arg;

    (void)e;
    CHECK(st->in_host);
    st->in_host = false;
    buf_adds(&st->text, "host_end\n");
    return 0;
}

static int hear_progress(void *arg, const struct progress *p, struct err *e)
{
    struct story *st = arg;

    (void)e;
    buf_addf(&st->text, "progress %d %d", p->percent_x100, p->remaining_s);
    tell(&st->text, "task", p->task);
    buf_addc(&st->text, '\n');
    return 0;
}

static int hear_run(void *arg, const struct run_info *r, struct err *e)
{
    struct story *st = arg;

    (void)e;
    buf_addf(&st->text, "run %" PRId64 " complete=%d", r->start_s, r->complete);
    tell(&st->text, "scanner", r->scanner);
    tell(&st->text, "version", r->version);
    tell(&st->text, "args", r->args);
    tell(&st->text, "json", r->json);
    tell(&st->text, "exit", r->exit);
    tell(&st->text, "errormsg", r->errormsg);
    buf_addc(&st->text, '\n');
    return 0;
}

static int hear_raw(void *arg, const struct raw_info *r, struct err *e)
{
    struct story *st = arg;

    (void)e;
    buf_addf(&st->text, "raw '%s' %" PRIu64 " %" PRIu64 " truncated=%d\n", r->sha256, r->size,
             r->stored, r->truncated);
    return 0;
}

static int hear_end(void *arg, const struct parse_end *end, struct err *e)
{
    struct story *st = arg;

    (void)e;
    st->ends++;
    buf_addf(&st->text, "end %d", end->code);
    tell(&st->text, "message", end->message);
    buf_addc(&st->text, '\n');
    return 0;
}

static const struct record_sink sink = {
    .host = hear_host,
    .port = hear_port,
    .host_end = hear_host_end,
    .progress = hear_progress,
    .run = hear_run,
    .raw = hear_raw,
    .end = hear_end,
};

static int read_all(const struct buf *b, size_t step, struct story *st, bool *ended, struct err *e)
{
    struct record_reader r = {.sink = &sink, .arg = st};
    int rc = 0;

    for (size_t at = 0; at < b->len && rc == 0; at += step) {
        /* An exact copy, so that a sanitizer sees every byte read beyond it. */
        size_t n = MIN(step, b->len - at);
        auto_free char *chunk = xmalloc(n);

        memcpy(chunk, b->data + at, n);
        rc = record_feed(&r, chunk, n, e);
    }
    if (rc != 0) {
        CHECK_INT(record_feed(&r, "", 1, NULL), rc); /* for ever */
    }
    *ended = r.ended;
    record_reader_done(&r);
    return rc;
}

static void sample(struct buf *b)
{
    struct host_addr addrs[] = {{"192.0.2.7", "ipv4", NULL}, {"00:11:22:33:44:55", "mac", "ACME"}};
    struct host_name names[] = {{"caf\xc3\xa9.example", "PTR"}, {"plain", NULL}};
    struct port ports[] = {
        {.number = 22,
         .protocol = "tcp",
         .state = "open",
         .reason = "syn-ack",
         .reason_ttl = 64,
         .conf = 10,
         .has_service = true,
         .service = "ssh",
         .product = "OpenSSH",
         .version = "9.2",
         .extrainfo = "protocol 2.0",
         .method = "probed",
         .hostname = "h",
         .ostype = "Linux",
         .devicetype = "general",
         .tunnel = "ssl",
         .owner = "root",
         .reason_ip = "192.0.2.1",
         .cpe = "[\"cpe:/a:x\"]",
         .scripts = "[{\"id\":\"a\"}]",
         .more = "{\"rpcnum\":1}"},
        {.number = 65535,
         .protocol = "udp",
         .state = "open|filtered",
         .reason_ttl = -1,
         .conf = -1},
    };
    struct host h = {
        .addrs = addrs,
        .n_addrs = 2,
        .names = names,
        .n_names = 2,
        .ports = ports,
        .n_ports = 2,
        .state = "up",
        .reason = "echo-reply",
        .reason_ttl = 255,
        .start_s = 1700000000,
        .end_s = 1700000009,
        .comment = "a \"comment\"",
        .extraports = "[{\"count\":3}]",
        .os = "{\"matches\":[]}",
        .scripts = "[]",
        .more = "{}",
    };
    struct host quiet = {.state = "down", .reason_ttl = -1, .timed_out = true};

    record_put_progress(b, &(struct progress){"SYN Stealth Scan", 4242, 17});
    record_put_host(b, &h);
    record_put_progress(b, &(struct progress){NULL, -1, -1});
    record_put_host(b, &quiet);
    record_put_run(b, &(struct run_info){.scanner = "nmap",
                                         .version = "7.93",
                                         .args = "nmap -oX -",
                                         .start_s = 5,
                                         .json = "{\"a\":1}",
                                         .complete = true,
                                         .exit = "success",
                                         .errormsg = NULL});
    struct raw_info raw = {.size = 1000, .stored = 100, .truncated = true};

    memset(raw.sha256, 'a', 64);
    record_put_raw(b, &raw);
    record_put_end(b, &(struct parse_end){ERR_TOOL, "line 3: garbage"});
}

static const char sample_story[] =
    "progress 4242 17 task=SYN Stealth Scan\n"
    "host ttl=255 1700000000-1700000009 timed_out=0 ipv4=192.0.2.7 mac=00:11:22:33:44:55 "
    "vendor=ACME name=caf\xc3\xa9.example kind=PTR name=plain state=up reason=echo-reply "
    "comment=a \"comment\" extraports=[{\"count\":3}] os={\"matches\":[]} scripts=[] more={}\n"
    "port 22 ttl=64 conf=10 service=1 protocol=tcp state=open reason=syn-ack "
    "reason_ip=192.0.2.1 owner=root name=ssh product=OpenSSH version=9.2 "
    "extrainfo=protocol 2.0 tunnel=ssl method=probed hostname=h ostype=Linux "
    "devicetype=general cpe=[\"cpe:/a:x\"] scripts=[{\"id\":\"a\"}] more={\"rpcnum\":1}\n"
    "port 65535 ttl=-1 conf=-1 service=0 protocol=udp state=open|filtered\n"
    "host_end\n"
    "progress -1 -1\n"
    "host ttl=-1 0-0 timed_out=1 state=down\n"
    "host_end\n"
    "run 5 complete=1 scanner=nmap version=7.93 args=nmap -oX - json={\"a\":1} exit=success\n"
    "raw 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' 1000 100 truncated=1\n"
    "end -8 message=line 3: garbage\n";

static void records_do_not_depend_on_chunking(void)
{
    auto_buf b = {0};

    sample(&b);
    for (size_t step = 1; step <= b.len; step++) {
        struct story st = {0};
        bool ended;

        CHECK_OK(read_all(&b, step, &st, &ended, ERR));
        CHECK_STR(st.text.data, sample_story);
        CHECK(ended);
        buf_done(&st.text);
    }
}

static void a_stream_that_breaks_off_gives_what_was_complete_and_no_end(void)
{
    auto_buf b = {0};

    sample(&b);
    for (size_t len = 0; len < b.len; len++) {
        struct buf part = {.data = b.data, .len = len};
        struct story st = {0};
        bool ended;

        CHECK_OK(read_all(&part, 13, &st, &ended, ERR));
        CHECK(!ended);
        CHECK(st.text.len == 0 || str_starts(sample_story, st.text.data));
        buf_done(&st.text);
    }
}

static void flipped_bits_are_refused_or_harmless_but_never_more(void)
{
    auto_buf b = {0};
    unsigned refused = 0;

    sample(&b);
    srand(20261121);
    for (int round = 0; round < 20000; round++) {
        auto_buf copy = {0};
        struct story st = {0};
        bool ended;
        int rc;

        buf_add(&copy, b.data, b.len);
        for (int i = rand() % 4; i >= 0; i--) {
            copy.data[(size_t)rand() % copy.len] ^= (char)(1 << (rand() % 8));
        }
        rc = read_all(&copy, (size_t)(1 + rand() % 700), &st, &ended, ERR);
        CHECK(rc == 0 || rc == ERR_TOOL);
        CHECK(st.ends <= 1);
        CHECK(st.text.len == 0 || utf8_valid(st.text.data, st.text.len));
        refused += rc != 0;
        buf_done(&st.text);
    }
    CHECK(refused > 2000);
}

static void noise_is_refused(void)
{
    srand(4);
    for (int round = 0; round < 20000; round++) {
        auto_buf b = {0};
        struct story st = {0};
        bool ended;
        unsigned len = 1 + (unsigned)rand() % 60;

        wire_u32(&b, len);
        wire_u8(&b, (uint8_t)(rand() % 8));
        for (unsigned i = 1; i < len; i++) {
            wire_u8(&b, (uint8_t)(rand() % 3 ? 0 : rand()));
        }
        (void)read_all(&b, 1 + (size_t)rand() % 20, &st, &ended, ERR);
        buf_done(&st.text);
    }
}

/* The sample as separate records. */
struct cuts {
    struct buf all;
    size_t at[32], n;
};

static void cuts_of(struct cuts *c)
{
    *c = (struct cuts){0};
    sample(&c->all);
    for (size_t at = 0; at < c->all.len; c->n++) {
        struct wire w = {.p = (const uint8_t *)c->all.data + at,
                         .end = (const uint8_t *)c->all.data + c->all.len};

        c->at[c->n] = at;
        at += 4 + (size_t)wire_get_u32(&w);
    }
    c->at[c->n] = c->all.len;
}

static int read_in_order(const struct cuts *c, const char *order, bool *ended)
{
    auto_buf b = {0};
    struct story st = {0};
    int rc;

    for (; *order; order++) {
        size_t i = (size_t)(*order - 'a');

        buf_add(&b, c->all.data + c->at[i], c->at[i + 1] - c->at[i]);
    }
    rc = read_all(&b, b.len, &st, ended, ERR);
    buf_done(&st.text);
    return rc;
}

static void records_out_of_order_are_refused(void)
{
    /* a progress, b host, c d ports, e host end, f progress, g host, h host end, i run, j raw,
     * k end */
    static const char *const wrong[] = {"c",  "e",  "bf", "bg", "bi", "bk", "bec", "ia",   "ib",
                                        "ii", "ji", "ja", "jj", "ka", "kk", "kj",  "bcdk", NULL};
    static const char *const right[] = {"k",   "bek",         "jk",        "ik",
                                        "ijk", "abcdefghijk", "befbeaijk", NULL};
    struct cuts c;
    bool ended;

    cuts_of(&c);
    CHECK_INT(c.n, 11);
    for (size_t i = 0; wrong[i]; i++) {
        if (read_in_order(&c, wrong[i], &ended) != ERR_TOOL) {
            tap_fail(__FILE__, __LINE__, "order '%s' was not refused", wrong[i]);
        }
    }
    for (size_t i = 0; right[i]; i++) {
        CHECK_OK(read_in_order(&c, right[i], &ended));
        CHECK(ended);
    }
    buf_done(&c.all);
}

static void lengths_of_nothing_and_of_too_much_are_refused_at_once(void)
{
    static const uint32_t lengths[] = {0, RECORD_MAX + 1, UINT32_MAX};

    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        auto_buf b = {0};
        struct record_reader r = {.sink = &sink};

        wire_u32(&b, lengths[i]);
        CHECK_ERR(record_feed(&r, b.data, b.len, ERR), ERR_TOOL);
        CHECK(r.in.size < 4096);
        record_reader_done(&r);
    }
}

static void port_must_be_refused(const struct port *p, const char *find, const char *replace)
{
    auto_buf b = {0};
    struct host h = {.ports = NULL, .n_ports = 1};
    struct port copy = *p;
    struct story st = {0};
    char *at;
    bool ended;

    h.ports = &copy;
    h.reason_ttl = -1;
    record_put_host(&b, &h);
    at = memmem(b.data, b.len, find, strlen(find));
    CHECK(at != NULL);
    memcpy(at, replace, strlen(find)); /* as long, and may hold a NUL */
    CHECK_ERR(read_all(&b, b.len, &st, &ended, ERR), ERR_TOOL);
    CHECK_INT(st.ports, 0);
    buf_done(&st.text);
}

static void text_that_is_not_utf8_and_json_that_is_none_are_refused(void)
{
    struct port p = {.number = 1,
                     .protocol = "tcp",
                     .state = "open",
                     .reason_ttl = -1,
                     .conf = -1,
                     .product = "PRODUCT NAME",
                     .cpe = "[\"c\"]",
                     .more = "{\"m\":1}"};

    port_must_be_refused(&p, "PRODUCT NAME",
                         "PRODUCT \xff"
                         "AME");
    port_must_be_refused(&p, "PRODUCT NAME", "PRODUCT\0NAME");
    port_must_be_refused(&p, "PRODUCT NAME", "PRODUCT NAM\xc3");
    port_must_be_refused(&p, "[\"c\"]", "{\"c\"}");
    port_must_be_refused(&p, "[\"c\"]", "[\"c\" ");
    port_must_be_refused(&p, "{\"m\":1}", " \"m\":1}");
}

static void the_writer_keeps_to_the_rules_whatever_it_is_given(void)
{
    enum { HUGE_TEXT = 3 << 20 };
    auto_free char *huge = xmalloc(HUGE_TEXT + 1);
    auto_free struct host_name *names = xcalloc(5000, sizeof *names);
    auto_buf b = {0};
    struct port p = {.number = 1, .reason_ttl = 100000, .conf = 77, .scripts = huge};
    struct host h = {.ports = &p,
                     .n_ports = 1,
                     .names = names,
                     .n_names = 5000,
                     .reason_ttl = -7,
                     .start_s = -5,
                     .comment = huge + 1,
                     .state = "up"};
    struct story st = {0};
    bool ended;

    memset(huge, '[', HUGE_TEXT);
    for (size_t i = 2; i + 1 < HUGE_TEXT; i += 2) {
        memcpy(huge + i, "\xc3\xa9", 2);
    }
    huge[HUGE_TEXT - 1] = ']';
    huge[HUGE_TEXT] = '\0';
    for (size_t i = 0; i < 5000; i++) {
        names[i].name = i == 3 ? huge + 2 : "n";
    }
    record_put_host(&b, &h);
    record_put_progress(&b, &(struct progress){.percent_x100 = 10001, .remaining_s = -2});
    CHECK_OK(read_all(&b, 65536, &st, &ended, ERR));
    CHECK_INT(st.hosts, 1);
    CHECK_INT(st.ports, 1);
    CHECK(strstr(st.text.data, "port 1 ttl=-1 conf=-1 service=0 protocol= state=\n") != NULL);
    CHECK(strstr(st.text.data, "progress -1 -1\n") != NULL);
    buf_done(&st.text);
}

static void what_the_sink_refuses_ends_the_stream_with_its_own_reason(void)
{
    auto_buf b = {0};
    struct story st = {.stop_at_port = 2};
    bool ended;

    sample(&b);
    CHECK_ERR(read_all(&b, 5, &st, &ended, ERR), ERR_FULL);
    CHECK_STR(tap_err.msg, "no space for port 65535");
    CHECK_INT(st.ports, 2);
    CHECK(!ended);
    buf_done(&st.text);
}

TESTS(a_message_brings_its_type_its_body_and_its_descriptors,
      what_does_not_fit_waits_in_order_until_the_cap,
      the_longest_body_passes_and_one_byte_more_is_refused,
      what_was_sent_before_the_end_arrives_before_the_end, a_handler_may_end_its_own_channel,
      a_peer_that_does_not_speak_the_protocol_is_cut_off,
      fields_are_read_back_and_a_short_body_reads_as_zeroes,
      a_string_with_a_hidden_nul_or_without_its_own_is_refused, records_do_not_depend_on_chunking,
      a_stream_that_breaks_off_gives_what_was_complete_and_no_end,
      flipped_bits_are_refused_or_harmless_but_never_more, noise_is_refused,
      records_out_of_order_are_refused, lengths_of_nothing_and_of_too_much_are_refused_at_once,
      text_that_is_not_utf8_and_json_that_is_none_are_refused,
      the_writer_keeps_to_the_rules_whatever_it_is_given,
      what_the_sink_refuses_ends_the_stream_with_its_own_reason)
