/* Results of planned jobs: how what many tasks found becomes one set of hosts, on each backend. */
#include <sqlite3.h>
#include <string.h>

#include "store/merge.h"
#include "store_rig.h"

enum { ALL = 100000, PORTS = 8, TASKS = 12 };

/* ---- what tasks find, in short ---- */

/* A host of one address with ports of tcp. */
struct found {
    const char *address; /* NULL: none */
    struct host head;    /* without addresses: those of `more_addresses` follow the first */
    struct host_addr more_addresses[2];
    struct host_name names[3];
    struct port ports[PORTS]; /* up to the first without a state */
};

#define UP   .state = "up", .reason = "syn-ack", .reason_ttl = 64
#define DOWN .state = "down", .reason = "no-response", .reason_ttl = 0
#define OPEN(n)                                                                         \
    {                                                                                   \
        .number = (n), .protocol = "tcp", .state = "open", .reason_ttl = -1, .conf = -1 \
    }
#define CLOSED(n)                                                                         \
    {                                                                                     \
        .number = (n), .protocol = "tcp", .state = "closed", .reason_ttl = -1, .conf = -1 \
    }
#define SERVICE(n, name)                                                                 \
    {                                                                                    \
        .number = (n), .protocol = "tcp", .state = "open", .reason_ttl = -1, .conf = 10, \
        .has_service = true, .service = (name), .method = "probed"                       \
    }

#define GUESSED(n, name)                                                                \
    {                                                                                   \
        .number = (n), .protocol = "tcp", .state = "open", .reason_ttl = -1, .conf = 3, \
        .has_service = true, .service = (name), .method = "table"                       \
    }
#define UNHEARD(n)                                                                                 \
    {                                                                                              \
        .number = (n), .protocol = "tcp", .state = "filtered", .conf = -1, .reason = "no-response" \
    }

struct made {
    int32_t stage;
    bool found_only, repeats;
    const struct found *hosts;
    size_t n;
};
#define MADE(at_stage, hosts_, ...)                                                 \
    {                                                                               \
        .stage = (at_stage), .hosts = (hosts_), .n = ARRAY_LEN(hosts_), __VA_ARGS__ \
    }

static const char *family(const char *address)
{
    return strchr(address, ':') && strlen(address) == 17 ? "mac"
           : strchr(address, ':')                        ? "ipv6"
                                                         : "ipv4";
}

static void deliver_one(struct store *s, const struct lease *l, const struct found *f)
{
    struct host head = f->head;
    struct host_addr addrs[3];
    struct host_name names[3];

    head.addrs = addrs;
    head.names = names;
    if (f->address) {
        addrs[head.n_addrs++] = (struct host_addr){f->address, family(f->address), NULL};
    }
    for (size_t i = 0; i < 2 && f->more_addresses[i].addr; i++) {
        addrs[head.n_addrs++] = f->more_addresses[i];
    }
    for (size_t i = 0; i < 3 && f->names[i].name; i++) {
        names[head.n_names++] = f->names[i];
    }
    CHECK_OK(store_host_begin(s, l, &head, NULL, ERR));
    for (size_t i = 0; i < PORTS && f->ports[i].state; i++) {
        CHECK_OK(store_host_port(s, &f->ports[i], ERR));
    }
    CHECK_OK(store_host_end(s, ERR));
}

static void deliver(struct store *s, const struct lease *l, const struct found *hosts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        deliver_one(s, l, &hosts[i]);
    }
}

static struct id add_planned(struct store *s)
{
    struct job j = new_job();
    struct id id = j.id;

    j.plan = xstrdup("{}");
    CHECK_OK(store_job_add(s, &j, ERR));
    job_done(&j);
    return id;
}

static void add_task(struct store *s, const struct id *id, const struct made *m)
{
    CHECK_OK(store_task_add(s, id,
                            &(struct task_new){.stage = m->stage,
                                               .weight = 1,
                                               .spec = "{}",
                                               .found_only = m->found_only,
                                               .repeats = m->repeats},
                            1, NULL, ERR));
}

static void finish_ok(struct store *s, const struct lease *l)
{
    static const struct outcome done = {.state = JOB_COMPLETED};

    CHECK_OK(store_task_finish(s, l, &done, 0, NULL, ERR));
}

/* Runs the tasks one after the other, in a job of their own. */
static struct id run_tasks(struct store *s, const struct made *v, size_t n)
{
    struct id id = add_planned(s);

    for (size_t i = 0; i < n; i++) {
        struct lease l;

        add_task(s, &id, &v[i]);
        l = claim(s);
        deliver(s, &l, v[i].hosts, v[i].n);
        finish_ok(s, &l);
        CHECK_OK(store_commit(s, ERR));
    }
    return id;
}

static void merge_all(struct store *s, uint32_t rows)
{
    bool more = true;

    while (more) {
        CHECK_OK(store_merge_step(s, rows, &more, ERR));
        CHECK_OK(store_commit(s, ERR));
    }
}

static struct id run_and_merge(struct store *s, const struct made *v, size_t n)
{
    struct id id = run_tasks(s, v, n);

    merge_all(s, ALL);
    return id;
}
#define RUN(s, v) run_and_merge(s, v, ARRAY_LEN(v))

/* ---- what a job shows, as text ---- */

static void say(struct buf *b, const char *name, const char *text)
{
    if (text) {
        buf_addf(b, " %s=", name);
        buf_add_escaped(b, text, strlen(text));
    }
}

static int show_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct buf *b = arg;

    (void)e;
    buf_addf(b, "%lld", (long long)seq);
    for (size_t i = 0; i < h->n_addrs; i++) {
        buf_addf(b, " %s", h->addrs[i].addr);
        say(b, "vendor", h->addrs[i].vendor);
    }
    say(b, "state", h->state);
    say(b, "reason", h->reason);
    for (size_t i = 0; i < h->n_names; i++) {
        say(b, "name", h->names[i].name);
    }
    if (h->start_s || h->end_s) {
        buf_addf(b, " %lld-%lld", (long long)h->start_s, (long long)h->end_s);
    }
    buf_adds(b, h->timed_out ? " timed-out" : "");
    say(b, "comment", h->comment);
    say(b, "extraports", h->extraports);
    say(b, "os", h->os);
    say(b, "scripts", h->scripts);
    say(b, "more", h->more);
    return 0;
}

static int show_port(void *arg, const struct port *p, struct err *e)
{
    (void)e;
    buf_addf(arg, " %u/%s/%s", p->number, p->protocol ? p->protocol : "-",
             p->state ? p->state : "-");
    if (p->has_service) {
        buf_addf(arg, ":%s", p->service ? p->service : "-");
    }
    say(arg, "scripts", p->scripts);
    return 0;
}

static int show_end(void *arg, struct err *e)
{
    (void)e;
    buf_addc(arg, '\n');
    return 0;
}

static char *shown(struct store *s, const struct id *id)
{
    struct buf b = {0};
    struct host_sink sink = {show_host, show_port, show_end, &b};

    CHECK_OK(store_hosts(s, num_of(s, id), &(struct host_filter){0}, &sink, ERR));
    return buf_take(&b);
}

#define CHECK_SHOWN(s, id, want)                   \
    do {                                           \
        auto_free char *shown_ = shown((s), (id)); \
        CHECK_STR(shown_, (want));                 \
    } while (0)

static void check_counts(struct store *s, const struct id *id, int64_t hosts, int64_t up,
                         int64_t open)
{
    struct job j = get(s, id);

    CHECK_INT(j.hosts, hosts);
    CHECK_INT(j.hosts_up, up);
    CHECK_INT(j.ports_open, open);
    job_done(&j);
}

/* ---- the rules ---- */

static void shards_that_overlap_give_one_host_for_each_address(struct store *s)
{
    static const struct found one[] = {
        {"10.0.0.2", {UP}, .ports = {OPEN(22), OPEN(80)}},
        {"10.0.0.1", {UP}, .ports = {OPEN(22)}},
    };
    static const struct found two[] = {
        {"10.0.0.3", {DOWN}},
        {"10.0.0.2", {UP}, .ports = {OPEN(443), OPEN(80)}},
    };
    static const struct made v[] = {MADE(0, one), MADE(0, two)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.2 state=up reason=syn-ack 22/tcp/open 80/tcp/open 443/tcp/open\n"
                "2 10.0.0.1 state=up reason=syn-ack 22/tcp/open\n"
                "3 10.0.0.3 state=down reason=no-response\n");
    check_counts(s, &id, 3, 2, 4);
}

static void nothing_shows_before_the_first_merge(struct store *s)
{
    static const struct found one[] = {{"10.0.0.1", {UP}, .ports = {OPEN(22)}}};
    static const struct made v[] = {MADE(0, one)};
    struct id id = run_tasks(s, v, 1);
    struct buf own = {0};
    struct host_sink sink = {show_host, show_port, show_end, &own};
    bool more = true;

    CHECK_SHOWN(s, &id, "");
    check_counts(s, &id, 0, 0, 0);
    CHECK_OK(store_task_hosts(s, num_of(s, &id), 0, &(struct host_filter){0}, &sink, ERR));
    CHECK_STR(own.data, "1 10.0.0.1 state=up reason=syn-ack 22/tcp/open\n");
    CHECK_OK(store_merge_step(s, ALL, &more, ERR));
    CHECK(!more);
    buf_reset(&own);
    CHECK_OK(store_task_hosts(s, num_of(s, &id), 0, &(struct host_filter){0}, &sink, ERR));
    CHECK_INT(own.len, 0);
    buf_done(&own);
    check_counts(s, &id, 1, 1, 1);
    CHECK_ERR(store_task_hosts(s, num_of(s, &id), 7, &(struct host_filter){0}, &sink, ERR),
              ERR_NOT_FOUND);
    CHECK_OK(store_merge_step(s, 1, &more, ERR));
    CHECK(!more);
}

static void a_later_stage_wins_whichever_is_merged_first(struct store *s)
{
    static const struct found early[] = {
        {"10.0.0.1",
         {UP, .os = "{\"early\":1}", .scripts = "[1]", .comment = "early"},
         .ports = {OPEN(22), OPEN(80)}}};
    static const struct found late[] = {
        {"10.0.0.1",
         {.state = "up", .reason = "echo-reply", .os = "{\"late\":1}", .more = "{\"late\":2}"},
         .ports = {CLOSED(80)}}};
    static const struct made v[] = {MADE(0, early), MADE(1, late)};
    static const struct made turned[] = {MADE(1, late), MADE(0, early)};
    static const char want[] =
        "1 10.0.0.1 state=up reason=echo-reply comment=early os={\"late\":1} scripts=[1]"
        " more={\"late\":2} 22/tcp/open 80/tcp/closed\n";
    struct id id = RUN(s, v);
    struct id other = RUN(s, turned);

    CHECK_SHOWN(s, &id, want);
    CHECK_SHOWN(s, &other, want);
    check_counts(s, &id, 1, 1, 1);
    check_counts(s, &other, 1, 1, 1);
}

static void up_wins_and_keeps_its_reason(struct store *s)
{
    static const struct found down[] = {{"10.0.0.1", {DOWN}}, {"10.0.0.2", {UP}}};
    static const struct found up[] = {{"10.0.0.1", {UP}}, {"10.0.0.2", {DOWN}}};
    static const struct found none[] = {{"10.0.0.1", {.reason = "?"}}};
    static const struct made v[] = {MADE(0, down), MADE(1, up), MADE(2, none), MADE(2, down)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id, "1 10.0.0.1 state=up reason=syn-ack\n2 10.0.0.2 state=up reason=syn-ack\n");
    check_counts(s, &id, 2, 2, 0);
}

static void a_port_keeps_its_service_where_the_new_one_has_none(struct store *s)
{
    static const struct found before[] = {
        {"10.0.0.1", {UP}, .ports = {SERVICE(22, "ssh"), SERVICE(80, "http"), SERVICE(81, "x")}}};
    static const struct found after[] = {
        {"10.0.0.1", {UP}, .ports = {OPEN(22), CLOSED(80), SERVICE(81, "y")}}};
    static const struct made v[] = {MADE(0, before), MADE(0, after)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 state=up reason=syn-ack 22/tcp/open:ssh 80/tcp/closed 81/tcp/open:y\n");
    check_counts(s, &id, 1, 1, 2);
}

static void a_service_that_was_probed_for_is_not_undone_by_a_guess(struct store *s)
{
    static const struct found probed[] = {
        {"10.0.0.1", {UP}, .ports = {SERVICE(22, "ssh"), SERVICE(80, "x"), SERVICE(443, "tls")}}};
    static const struct found guessed[] = {
        {"10.0.0.1", {UP}, .ports = {GUESSED(22, "no"), CLOSED(80), GUESSED(443, "no")}}};
    static const struct made v[][2] = {
        {MADE(1, probed), MADE(1, guessed, .found_only = true)}, /* a sample looked at alone */
        {MADE(1, probed), MADE(2, guessed)},
        {MADE(2, guessed), MADE(1, probed)},
    };
    static const struct made last[] = {MADE(1, guessed), MADE(1, probed)};
    struct id id;

    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        id = RUN(s, v[i]);
        CHECK_SHOWN(s, &id,
                    "1 10.0.0.1 state=up reason=syn-ack"
                    " 22/tcp/open:ssh 80/tcp/closed 443/tcp/open:tls\n");
        check_counts(s, &id, 1, 1, 2);
    }
    id = RUN(s, last);
    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 state=up reason=syn-ack"
                " 22/tcp/open:ssh 80/tcp/open:x 443/tcp/open:tls\n");
}

static void a_later_stage_s_word_on_a_port_stays_a_later_stage_s(struct store *s)
{
    static const struct found first[] = {
        {"10.0.0.1", {UP}, .ports = {SERVICE(22, "ssh"), OPEN(80)}}};
    static const struct found second[] = {{"10.0.0.1", {UP}, .ports = {GUESSED(22, "no")}}};
    static const struct found third[] = {{"10.0.0.1", {UP}, .ports = {CLOSED(22)}}};
    static const struct made v[] = {MADE(2, second), MADE(0, first), MADE(1, third)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id, "1 10.0.0.1 state=up reason=syn-ack 22/tcp/open:ssh 80/tcp/open\n");
}

static void silence_undoes_no_answer_of_its_own_stage(struct store *s)
{
    static const struct found answered[] = {
        {"10.0.0.1", {UP}, .ports = {OPEN(22), CLOSED(80), UNHEARD(443)}}};
    static const struct found silent[] = {
        {"10.0.0.1", {UP}, .ports = {UNHEARD(22), UNHEARD(80), OPEN(443)}}};
    static const struct made v[] = {MADE(1, answered), MADE(1, silent)};
    static const struct made later[] = {MADE(1, answered), MADE(2, silent)};
    struct id id = RUN(s, v);
    struct id other = RUN(s, later);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 state=up reason=syn-ack 22/tcp/open 80/tcp/closed 443/tcp/open\n");
    check_counts(s, &id, 1, 1, 2);
    CHECK_SHOWN(s, &other,
                "1 10.0.0.1 state=up reason=syn-ack 22/tcp/filtered 80/tcp/filtered"
                " 443/tcp/open\n");
    check_counts(s, &other, 1, 1, 1);
}

static void what_looks_only_at_what_was_found_adds_open_ports_alone(struct store *s)
{
    static const struct found before[] = {
        {"10.0.0.1",
         {UP, .extraports = "[{\"state\":\"closed\",\"count\":9,\"reasons\":[]}]"},
         .ports = {OPEN(22), OPEN(80)}}};
    static const struct found again[] = {
        {"10.0.0.1",
         {UP, .extraports = "[{\"state\":\"closed\",\"count\":5,\"reasons\":[]}]"},
         .ports = {CLOSED(22), OPEN(443), CLOSED(444)}},
        {"10.0.0.2",
         {UP, .extraports = "[{\"state\":\"closed\",\"count\":5,\"reasons\":[]}]"},
         .ports = {CLOSED(1)}}};
    static const struct made v[] = {MADE(0, before), MADE(1, again, .found_only = true)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 state=up reason=syn-ack"
                " extraports=[{\"state\":\"closed\",\"count\":9,\"reasons\":[]}]"
                " 22/tcp/closed 80/tcp/open 443/tcp/open\n");
    check_counts(s, &id, 1, 1, 2);
}

static void what_looks_only_at_what_was_found_does_not_give_up_a_host(struct store *s)
{
    static const struct found before[] = {{"10.0.0.1", {UP}, .ports = {OPEN(22)}},
                                          {"10.0.0.2", {UP, .timed_out = true}}};
    static const struct found again[] = {{"10.0.0.1", {UP, .timed_out = true}}, {"10.0.0.2", {UP}}};
    static const struct made v[] = {MADE(0, before), MADE(1, again, .found_only = true)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 state=up reason=syn-ack 22/tcp/open\n"
                "2 10.0.0.2 state=up reason=syn-ack timed-out\n");
}

#define TOLD .state = "up", .reason = "user-set", .reason_ttl = 0
#define SILENT(n)                                                                      \
    {                                                                                  \
        .number = (n), .protocol = "tcp", .state = "filtered", .reason = "no-response" \
    }
#define EXTRA(state, n, reason, ports)                                              \
    "[{\"state\":\"" state "\",\"count\":" #n ",\"reasons\":[{\"reason\":\"" reason \
    "\",\"count\":" #n ",\"proto\":\"tcp\",\"ports\":\"" ports "\"}]}]"

static void an_address_that_never_answered_is_no_host(struct store *s)
{
    static const struct found one[] = {
        {"10.0.0.1", {TOLD}},
        {"10.0.0.2", {TOLD, .extraports = EXTRA("filtered", 3, "no-response", "1-3")}},
        {"10.0.0.3", {TOLD}, .ports = {SILENT(1), SILENT(2)}},
        {"10.0.0.4", {TOLD}, .ports = {SILENT(1), SILENT(2), CLOSED(3), SILENT(4)}},
        {"10.0.0.5", {TOLD}, .ports = {OPEN(9)}},
        {"10.0.0.6", {TOLD, .extraports = EXTRA("closed", 1, "reset", "7")}, .ports = {SILENT(1)}},
        {"10.0.0.7", {TOLD, .timed_out = true}},
    };
    static const struct made v[] = {MADE(0, one)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(
        s, &id,
        "1 10.0.0.4 state=up reason=user-set 1/tcp/filtered 2/tcp/filtered 3/tcp/closed "
        "4/tcp/filtered\n"
        "2 10.0.0.5 state=up reason=user-set 9/tcp/open\n"
        "3 10.0.0.6 state=up reason=user-set extraports=[{\"state\":\"closed\",\"count\":1,"
        "\"reasons\":[{\"reason\":\"reset\",\"count\":1,\"proto\":\"tcp\",\"ports\":\"7\"}]}]"
        " 1/tcp/filtered\n"
        "4 10.0.0.7 state=up reason=user-set timed-out\n");
    check_counts(s, &id, 4, 4, 1);
}

#define ANSWERS(n, st, why, ttl)                                                               \
    {                                                                                          \
        .number = (n), .protocol = "tcp", .state = (st), .reason = (why), .reason_ttl = (ttl), \
        .conf = -1                                                                             \
    }

static void a_host_that_was_taken_for_up_is_up_for_what_answered_there(struct store *s)
{
    static const struct found one[] = {
        {"10.0.0.1", {TOLD}, .ports = {ANSWERS(9, "open", "syn-ack", 63), SILENT(10)}},
        {"10.0.0.2",
         {TOLD},
         .ports = {SILENT(1), SILENT(2), ANSWERS(3, "closed", "reset", 62),
                   ANSWERS(4, "open", "syn-ack", 63)}},
        {"10.0.0.3", {UP}, .ports = {ANSWERS(3, "closed", "reset", 62)}},
        {"10.0.0.4", {TOLD, .timed_out = true}},
    };
    static const struct found again[] = {{"10.0.0.1", {TOLD}}};
    static const struct made v[] = {MADE(0, one), MADE(0, again)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 state=up reason=syn-ack 9/tcp/open 10/tcp/filtered\n"
                "2 10.0.0.2 state=up reason=reset 1/tcp/filtered 2/tcp/filtered 3/tcp/closed "
                "4/tcp/open\n"
                "3 10.0.0.3 state=up reason=syn-ack 3/tcp/closed\n"
                "4 10.0.0.4 state=up reason=user-set timed-out\n");
}

static void a_host_that_answered_keeps_its_reason_when_it_is_taken_for_up(struct store *s)
{
    static const struct found one[] = {{"10.0.0.1", {UP}}};
    static const struct found two[] = {{"10.0.0.1", {TOLD}, .ports = {SILENT(1)}}};
    static const struct made v[] = {MADE(0, one), MADE(1, two)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id, "1 10.0.0.1 state=up reason=syn-ack 1/tcp/filtered\n");
}

static void extraports_are_added_up_but_not_of_repeats(struct store *s)
{
    static const struct found one[] = {
        {"10.0.0.1", {UP, .extraports = EXTRA("closed", 4, "reset", "1,3-5")}}};
    static const struct found two[] = {
        {"10.0.0.1", {UP, .extraports = EXTRA("closed", 3, "reset", "6-7,9")}}};
    static const struct found three[] = {
        {"10.0.0.1", {UP, .extraports = EXTRA("filtered", 1, "no-response", "2")}}};
    static const struct made v[] = {MADE(0, one), MADE(0, two), MADE(0, one, .repeats = true),
                                    MADE(0, three)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 state=up reason=syn-ack extraports="
                "[{\"state\":\"closed\",\"count\":7,\"reasons\":[{\"reason\":\"reset\",\"count\":7,"
                "\"proto\":\"tcp\",\"ports\":\"1,3-7,9\"}]},"
                "{\"state\":\"filtered\",\"count\":1,\"reasons\":[{\"reason\":\"no-response\","
                "\"count\":1,\"proto\":\"tcp\",\"ports\":\"2\"}]}]\n");
}

static void times_are_joined_and_the_last_word_on_a_time_out_wins(struct store *s)
{
    static const struct found one[] = {
        {"10.0.0.1", {UP, .start_s = 50, .end_s = 60, .timed_out = true}}, {"10.0.0.2", {UP}}};
    static const struct found two[] = {{"10.0.0.1", {UP, .start_s = 40, .end_s = 55}},
                                       {"10.0.0.2", {UP, .start_s = 7, .timed_out = true}}};
    static const struct made v[] = {MADE(0, one), MADE(0, two)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 state=up reason=syn-ack 40-60\n"
                "2 10.0.0.2 state=up reason=syn-ack 7-0 timed-out\n");
}

static void names_and_addresses_are_joined(struct store *s)
{
    static const struct found one[] = {{"10.0.0.1",
                                        {UP},
                                        .more_addresses = {{"00:11:22:33:44:55", "mac", NULL}},
                                        .names = {{"a.example", "PTR"}, {"b.example", "user"}}}};
    static const struct found two[] = {
        {"10.0.0.1",
         {UP},
         .more_addresses = {{"00:11:22:33:44:55", "mac", "Acme"}, {"2001:db8::1", "ipv6", NULL}},
         .names = {{"c.example", "PTR"}, {"a.example", "PTR"}, {"a.example", "user"}}}};
    static const struct made v[] = {MADE(0, one), MADE(0, two)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 00:11:22:33:44:55 vendor=Acme 2001:db8::1 state=up reason=syn-ack"
                " name=a.example name=b.example name=c.example name=a.example\n");
}

static void an_address_is_one_however_it_is_written(struct store *s)
{
    static const struct found one[] = {{"2001:db8:0:0::1", {UP}, .ports = {OPEN(1)}}};
    static const struct found two[] = {{"2001:db8::1", {UP}, .ports = {OPEN(2)}}};
    static const struct made v[] = {MADE(0, one), MADE(0, two)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id, "1 2001:db8:0:0::1 state=up reason=syn-ack 1/tcp/open 2/tcp/open\n");
}

static void hosts_without_an_address_stay_apart(struct store *s)
{
    static const struct found one[] = {
        {NULL, {UP}, .ports = {OPEN(1), OPEN(2), OPEN(3)}},
        {"garbage", {UP}},
        {"00:11:22:33:44:55", {UP}, .ports = {OPEN(4)}},
    };
    static const struct made v[] = {MADE(0, one), MADE(0, one)};
    struct id id = run_tasks(s, v, 2);

    merge_all(s, 1);
    CHECK_SHOWN(s, &id,
                "1 state=up reason=syn-ack 1/tcp/open 2/tcp/open 3/tcp/open\n"
                "2 garbage state=up reason=syn-ack\n"
                "3 00:11:22:33:44:55 state=up reason=syn-ack 4/tcp/open\n"
                "4 state=up reason=syn-ack 1/tcp/open 2/tcp/open 3/tcp/open\n"
                "5 garbage state=up reason=syn-ack\n"
                "6 00:11:22:33:44:55 state=up reason=syn-ack 4/tcp/open\n");
    check_counts(s, &id, 6, 6, 8);
}

static void an_address_that_comes_again_in_one_set_is_the_same_host(struct store *s)
{
    static const struct found one[] = {
        {"10.0.0.1", {UP, .start_s = 5}, .ports = {OPEN(9), OPEN(1), OPEN(9), CLOSED(1)}},
        {"10.0.0.2", {UP}, .ports = {OPEN(1)}},
        {"10.0.0.1", {UP, .start_s = 4}, .ports = {OPEN(2), CLOSED(9)}},
    };
    static const struct made v[] = {MADE(0, one)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 state=up reason=syn-ack 4-0 1/tcp/closed 2/tcp/open 9/tcp/closed\n"
                "2 10.0.0.2 state=up reason=syn-ack 1/tcp/open\n");
    check_counts(s, &id, 2, 2, 2);
}

static void ports_are_in_the_order_of_protocol_and_number(struct store *s)
{
    static const struct found one[] = {
        {"10.0.0.1",
         {UP},
         .ports = {{.number = 65535, .protocol = "ip", .state = "open"},
                   {.number = 5, .protocol = "sctp", .state = "open"},
                   {.number = 53, .protocol = "udp", .state = "open|filtered"},
                   {.number = 0, .state = "open"},
                   {.number = 65535, .protocol = "tcp", .state = "open"},
                   {.number = 80, .protocol = "tcp", .state = "open"},
                   {.number = 0, .protocol = "ip", .state = "closed"}}}};
    static const struct made v[] = {MADE(0, one)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 state=up reason=syn-ack 80/tcp/open 65535/tcp/open 53/udp/open|filtered"
                " 5/sctp/open 0/ip/closed 65535/ip/open 0/-/open\n");
    check_counts(s, &id, 1, 1, 5);
}

static void tasks_are_merged_in_the_order_of_their_ends(struct store *s)
{
    static const struct found first[] = {{"10.0.0.1", {UP, .comment = "first"}}};
    static const struct found second[] = {{"10.0.0.2", {UP}}, {"10.0.0.1", {.comment = "second"}}};
    static const struct made m = MADE(0, first);
    struct id id = add_planned(s);
    struct lease a;
    struct lease b;

    add_task(s, &id, &m);
    add_task(s, &id, &m);
    a = claim(s);
    b = claim(s);
    deliver(s, &a, first, 1);
    deliver(s, &b, second, 2);
    finish_ok(s, &b);
    merge_all(s, ALL);
    CHECK_SHOWN(s, &id, "1 10.0.0.2 state=up reason=syn-ack\n2 10.0.0.1 comment=second\n");
    finish_ok(s, &a);
    merge_all(s, ALL);
    CHECK_SHOWN(s, &id,
                "1 10.0.0.2 state=up reason=syn-ack\n"
                "2 10.0.0.1 state=up reason=syn-ack comment=first\n");
}

static void what_a_task_found_before_it_failed_is_merged(struct store *s)
{
    static const struct outcome late = {.state = JOB_TIMED_OUT, .reason = REASON_TIMEOUT};
    static const struct found one[] = {{"10.0.0.1", {UP}, .ports = {OPEN(22)}}};
    static const struct made m = MADE(0, one);
    struct host half = {.state = "up", .reason_ttl = -1};
    struct id id = add_planned(s);
    struct lease l;

    add_task(s, &id, &m);
    l = claim(s);
    deliver(s, &l, one, 1);
    CHECK_OK(store_host_begin(s, &l, &half, NULL, ERR));
    CHECK_OK(store_task_finish(s, &l, &late, 0, NULL, ERR));
    merge_all(s, ALL);
    CHECK_SHOWN(s, &id, "1 10.0.0.1 state=up reason=syn-ack 22/tcp/open\n");
}

/* ---- hostile texts ---- */

static void names_of_any_bytes_are_kept_as_they_are(struct store *s)
{
    static const struct found one[] = {{"10.0.0.1",
                                        {UP, .comment = "\xff\xfe\x1b[2J"},
                                        .names = {{"\xc0\xaf'\";--", "PTR"}, {"", "PTR"}}}};
    static const struct found two[] = {
        {"10.0.0.1", {UP}, .names = {{"\xed\xa0\x80\n", "\xff"}, {"\xc0\xaf'\";--", "PTR"}}}};
    static const struct made v[] = {MADE(0, one), MADE(1, two)};
    struct id id = RUN(s, v);

    CHECK_SHOWN(s, &id,
                "1 10.0.0.1 state=up reason=syn-ack name=\\xc0\\xaf'\";-- name="
                " name=\\xed\\xa0\\x80\\x0a comment=\\xff\\xfe\\x1b[2J\n");
}

static void a_host_has_so_many_names_and_no_more(struct store *s)
{
    struct id id = add_planned(s);
    struct found f = {"10.0.0.1", {UP}};
    static const struct made m = {.n = 0};
    auto_free char *text = NULL;
    auto_free char *last = NULL;

    for (int i = 0; i < 3; i++) {
        struct lease l;

        add_task(s, &id, &m);
        l = claim(s);
        for (int k = 0; k < 100; k++) {
            auto_free char *name = str_fmt("n%d.example", 100 * i + k);

            f.names[0] = (struct host_name){name, "PTR"};
            deliver_one(s, &l, &f);
        }
        finish_ok(s, &l);
    }
    merge_all(s, 7);
    text = shown(s, &id);
    last = str_fmt(" name=n%d.example\n", MERGE_NAMES_MAX - 1);
    CHECK(strstr(text, last));
}

static void sums_of_wild_extraports_are_still_lists(void)
{
    static const char good[] = EXTRA("closed", 4, "reset", "1-4");
    static const char *const wild[] = {
        "",
        "{}",
        "[",
        "null",
        "[{\"state\":\"closed\"",
        "[[[[",
        "[1,\"x\",null,[],{}]",
        "[{\"state\":7,\"count\":\"many\",\"reasons\":{}}]",
        "[{\"state\":\"closed\",\"count\":-9,\"reasons\":[3,{}]}]",
        "[{\"state\":\"closed\",\"count\":99999999999999999999999}]",
        "[{\"state\":\"closed\",\"count\":9223372036854775807,\"reasons\":[{\"count\":"
        "9223372036854775807,\"ports\":\"0-65535,70000,5-1\"}]}]",
        "[{\"state\":\"\xff\xfe\",\"count\":1}]",
        "[{\"state\":\"a\\u0000b\",\"count\":1}]",
        EXTRA("closed", 4, "reset", "1-4,"),
        EXTRA("closed", 4, "reset", "99999999999999999999"),
        EXTRA("closed", 4, "reset", "-"),
    };

    for (size_t i = 0; i < ARRAY_LEN(wild); i++) {
        for (size_t k = 0; k < ARRAY_LEN(wild); k++) {
            auto_buf one = {0};
            auto_buf two = {0};

            if (extraports_sum(wild[i], wild[k], &one)) {
                CHECK(utf8_valid(one.data, one.len));
                CHECK(extraports_sum(good, one.data, &two));
            }
        }
    }
}

static void sums_of_extraports_have_bounds(void)
{
    auto_buf many = {0};
    auto_buf sum = {0};
    auto_buf large = {0};

    buf_adds(&many, "[");
    for (int i = 0; i < 5000; i++) {
        buf_addf(&many, "%s{\"state\":\"s%d\",\"count\":1}", i ? "," : "", i);
    }
    buf_adds(&many, "]");
    CHECK(extraports_sum(many.data, many.data, &sum));
    CHECK(strstr(sum.data, "\"s63\",\"count\":2,"));
    CHECK(!strstr(sum.data, "\"s64\""));

    buf_adds(&large, "[{\"state\":\"x\",\"count\":1,\"reasons\":[");
    for (int i = 0; i < 3; i++) {
        buf_addf(&large, "%s{\"reason\":\"r%d\",\"count\":1,\"ports\":\"", i ? "," : "", i);
        for (int p = 0; p < 30000; p += 2) {
            buf_addf(&large, "%s%d", p ? "," : "", p);
        }
        buf_adds(&large, "\"}");
    }
    buf_adds(&large, "]}]");
    CHECK(large.len < MERGE_TEXT_MAX);
    buf_reset(&sum);
    CHECK(extraports_sum(large.data, large.data, &sum));
    CHECK(strstr(sum.data, "\"ports\":\"0,2,"));
    buf_reset(&many);
    buf_adds(&many, "[");
    for (size_t i = 0; i <= MERGE_TEXT_MAX; i++) {
        buf_addc(&many, ' ');
    }
    buf_adds(&many, "]");
    buf_reset(&sum);
    CHECK(!extraports_sum(large.data, many.data, &sum));
}

static void ports_that_one_side_does_not_list_are_not_listed(void)
{
    auto_buf sum = {0};

    CHECK(
        extraports_sum("[{\"state\":\"closed\",\"count\":\"2\",\"reasons\":[{\"reason\":\"reset\","
                       "\"proto\":\"tcp\",\"count\":2}]}]",
                       EXTRA("closed", 1, "reset", "3"), &sum));
    CHECK_STR(sum.data, "[{\"state\":\"closed\",\"count\":3,\"reasons\":[{\"reason\":\"reset\","
                        "\"count\":3,\"proto\":\"tcp\"}]}]");
}

/* ---- steps ---- */

static uint32_t rng;

static uint32_t below(uint32_t n)
{
    rng = rng * 1664525 + 1013904223;
    return (rng >> 8) % n;
}

static const char *pick(const char *const *words, uint32_t n)
{
    return words[below(n)];
}

static void random_host(struct store *s, const struct lease *l)
{
    static const char *const addresses[] = {"10.0.0.1",    "10.0.0.2", "10.0.0.3", "2001:db8::1",
                                            "2001:db8::2", "10.1.0.1", NULL};
    static const char *const states[] = {"up", "up", "down", "unknown", NULL};
    static const char *const texts[] = {"a", "b", NULL};
    static const char *const reasons[] = {"user-set", "user-set", "b", NULL};
    static const char *const silence[] = {"no-response", "a", NULL};
    static const char *const extra[] = {NULL, EXTRA("closed", 2, "reset", "1-2"),
                                        EXTRA("filtered", 1, "no-response", "9"), "bad"};
    static const char *const port_states[] = {"open", "closed", "filtered"};
    static const char *const protocols[] = {"tcp", "tcp", "udp", "odd"};
    struct found f = {.address = pick(addresses, 7)};
    uint32_t n = below(PORTS);

    f.head = (struct host){.state = pick(states, 5),
                           .reason = pick(reasons, 4),
                           .start_s = below(50),
                           .end_s = below(50),
                           .timed_out = below(2),
                           .comment = pick(texts, 3),
                           .os = pick(texts, 3),
                           .scripts = pick(texts, 3),
                           .more = pick(texts, 3),
                           .extraports = pick(extra, 4)};
    f.names[0] = (struct host_name){pick(texts, 3), "PTR"};
    for (uint32_t i = 0; i < n; i++) {
        f.ports[i] = (struct port){.number = (uint16_t)below(6),
                                   .protocol = pick(protocols, 4),
                                   .state = pick(port_states, 3),
                                   .reason = pick(silence, 3),
                                   .scripts = pick(texts, 3),
                                   .has_service = below(2),
                                   .service = pick(texts, 3)};
    }
    deliver_one(s, l, &f);
}

/* The same for the same seed. */
static struct id random_tasks(struct store *s, uint32_t seed)
{
    struct id id = add_planned(s);

    rng = seed;
    for (int i = 0; i < TASKS; i++) {
        struct made m = {
            .stage = (int32_t)below(3), .found_only = below(4) == 0, .repeats = below(4) == 0};
        struct lease l;
        uint32_t n = below(12);

        add_task(s, &id, &m);
        l = claim(s);
        for (uint32_t k = 0; k < n; k++) {
            random_host(s, &l);
        }
        finish_ok(s, &l);
    }
    CHECK_OK(store_commit(s, ERR));
    return id;
}

struct plain_counts {
    int64_t hosts, up, open;
};

static int count_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct plain_counts *c = arg;

    (void)seq;
    (void)e;
    c->hosts++;
    c->up += str_eq(h->state, "up");
    return 0;
}

static int count_port(void *arg, const struct port *p, struct err *e)
{
    (void)e;
    ((struct plain_counts *)arg)->open += str_eq(p->state, "open");
    return 0;
}

/* What is counted is what is there. */
static char *checked(struct store *s, const struct id *id)
{
    struct plain_counts c = {0};
    struct host_sink sink = {.host = count_host, .port = count_port, .arg = &c};

    CHECK_OK(store_hosts(s, num_of(s, id), &(struct host_filter){0}, &sink, ERR));
    check_counts(s, id, c.hosts, c.up, c.open);
    return shown(s, id);
}

static void the_size_of_the_steps_makes_no_difference(struct store *s)
{
    static const uint32_t sizes[] = {1, 2, 3, 5, 50};

    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct id whole = random_tasks(s, seed);
        auto_free char *want = NULL;

        merge_all(s, ALL);
        want = checked(s, &whole);
        CHECK(*want);
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            struct id id = random_tasks(s, seed);

            merge_all(s, sizes[i]);
            CHECK_SHOWN(s, &id, want);
            free(checked(s, &id));
        }
    }
}

static void a_step_that_is_undone_is_done_again(struct store *s)
{
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct id whole = random_tasks(s, seed);
        struct id id;
        auto_free char *want = NULL;
        bool more = true;

        merge_all(s, ALL);
        want = checked(s, &whole);
        id = random_tasks(s, seed);
        for (uint32_t i = 0; more; i++) {
            auto_free char *before = shown(s, &id);

            CHECK_OK(store_merge_step(s, 1 + i % 4, &more, ERR));
            if (i % 3 == 0) {
                store_rollback(s);
                CHECK_SHOWN(s, &id, before);
                more = true;
            } else {
                CHECK_OK(store_commit(s, ERR));
            }
            free(checked(s, &id));
        }
        CHECK_SHOWN(s, &id, want);
    }
}

static void both_backends_merge_to_the_same(void)
{
    auto_free char *url = str_fmt("sqlite:%s/both", test_dir());
    struct store *v[2];

    clock_us = 1000;
    CHECK_OK(store_open(url, &v[0], ERR));
    CHECK_OK(store_open("mem:", &v[1], ERR));
    for (uint32_t seed = 100; seed < 150; seed++) {
        char *text[2];

        for (int i = 0; i < 2; i++) {
            struct id id = random_tasks(v[i], seed);

            merge_all(v[i], i ? 4 : 9);
            text[i] = checked(v[i], &id);
        }
        CHECK_STR(text[0], text[1]);
        free(text[0]);
        free(text[1]);
    }
    store_close(v[0]);
    store_close(v[1]);
}

static void a_crash_between_steps_loses_and_doubles_nothing(void)
{
    auto_free char *url = str_fmt("sqlite:%s/crash", test_dir());
    struct store *s;
    auto_free char *want = NULL;
    struct id id;
    bool more = true;

    clock_us = 1000;
    CHECK_OK(store_open(url, &s, ERR));
    id = random_tasks(s, 7);
    merge_all(s, ALL);
    want = checked(s, &id);
    id = random_tasks(s, 7);
    while (more) {
        CHECK_OK(store_merge_step(s, 3, &more, ERR));
        CHECK_OK(store_commit(s, ERR));
        CHECK_OK(store_merge_step(s, 2, &more, ERR)); /* lost with the process */
        store_close(s);
        CHECK_OK(store_open(url, &s, ERR));
        CHECK_OK(store_merge_step(s, 1, &more, ERR));
        CHECK_OK(store_commit(s, ERR));
        free(checked(s, &id));
    }
    CHECK_SHOWN(s, &id, want);
    CHECK_OK(store_check(s, ERR));
    store_close(s);
}

static void a_step_is_bounded_also_within_a_host(struct store *s)
{
    struct id id = add_planned(s);
    struct host head = {.state = "up", .reason_ttl = -1};
    static const struct made m = {.n = 0};
    struct lease l;
    struct job j;
    bool more;

    add_task(s, &id, &m);
    l = claim(s);
    CHECK_OK(store_host_begin(s, &l, &head, NULL, ERR));
    for (int i = 0; i < 1000; i++) {
        struct port p = OPEN((uint16_t)i);

        CHECK_OK(store_host_port(s, &p, ERR));
    }
    CHECK_OK(store_host_end(s, ERR));
    finish_ok(s, &l);
    CHECK_OK(store_merge_step(s, 101, &more, ERR));
    CHECK(more);
    check_counts(s, &id, 1, 1, 100);
    j = get(s, &id);
    CHECK_INT(j.state, JOB_RUNNING);
    job_done(&j);
    CHECK_OK(store_merge_step(s, 100, &more, ERR));
    CHECK(more);
    check_counts(s, &id, 1, 1, 200);
    merge_all(s, 99);
    check_counts(s, &id, 1, 1, 1000);
}

/* ---- removal ---- */

static int64_t purge_all(struct store *s, uint32_t rows)
{
    bool more = true;
    int64_t steps = 0;

    while (more) {
        char *path = NULL;
        int64_t id;

        CHECK_OK(store_purge_step(s, rows, &more, &path, &id, ERR));
        if (path) {
            CHECK_OK(store_purge_done(s, id, ERR));
        }
        free(path);
        CHECK_OK(store_commit(s, ERR));
        steps++;
    }
    return steps;
}

static int64_t rows_in(struct store *s, const char *table)
{
    auto_free char *sql = str_fmt("SELECT count(*) FROM %s", table);
    sqlite3_stmt *st = NULL;
    int64_t n;

    CHECK_INT(sqlite3_prepare_v2(store_sqlite(s), sql, -1, &st, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

static void check_empty(struct store *s)
{
    static const char *const tables[] = {"host", "port", "merged_port", "place", "purge", "task"};

    for (size_t i = 0; store_sqlite(s) && i < ARRAY_LEN(tables); i++) {
        CHECK_INT(rows_in(s, tables[i]), 0);
    }
}

static void settle(struct store *s, const struct id *id)
{
    static const struct outcome done = {.state = JOB_COMPLETED};

    CHECK_OK(store_job_settle(s, id, &done, ERR));
}

static void the_rows_of_a_task_go_once_they_are_merged(struct store *s)
{
    static const struct found one[] = {{"10.0.0.1", {UP}, .ports = {OPEN(22), OPEN(80)}}};
    static const struct made v[] = {MADE(0, one), MADE(0, one)};
    struct id id = RUN(s, v);

    CHECK(purge_all(s, 1) > 4);
    if (store_sqlite(s)) {
        CHECK_INT(rows_in(s, "port"), 0);
        CHECK_INT(rows_in(s, "host"), 1);
        CHECK_INT(rows_in(s, "merged_port"), 2);
    }
    CHECK_SHOWN(s, &id, "1 10.0.0.1 state=up reason=syn-ack 22/tcp/open 80/tcp/open\n");
}

static void nothing_stays_of_a_merged_set_whose_job_is_removed(struct store *s)
{
    struct id id = random_tasks(s, 3);
    struct id other = random_tasks(s, 4);
    auto_free char *want = NULL;

    merge_all(s, 3); /* their rows lie between each other's */
    want = shown(s, &other);
    settle(s, &id);
    CHECK_OK(store_job_delete(s, &id, ERR));
    CHECK_OK(store_commit(s, ERR));
    CHECK(purge_all(s, 2) > 10);
    CHECK_SHOWN(s, &other, want);
    settle(s, &other);
    CHECK_OK(store_job_delete(s, &other, ERR));
    CHECK_OK(store_commit(s, ERR));
    purge_all(s, ALL);
    check_empty(s);
}

static void a_job_that_is_merged_is_not_settled_or_removed(struct store *s)
{
    static const struct outcome done = {.state = JOB_COMPLETED};
    struct id id = random_tasks(s, 5);
    struct id ripe;
    bool found = true;
    bool more;

    CHECK_OK(store_merge_step(s, 5, &more, ERR));
    CHECK(more);
    CHECK_ERR(store_job_delete(s, &id, ERR), ERR_CONFLICT);
    CHECK_ERR(store_job_settle(s, &id, &done, ERR), ERR_CONFLICT);
    CHECK_OK(store_job_ripe(s, &ripe, &found, ERR));
    CHECK(!found);
    CHECK_OK(store_job_cancel(s, &id, NULL, ERR));
    merge_all(s, 5);
    CHECK_OK(store_job_ripe(s, &ripe, &found, ERR));
    CHECK(found);
    settle(s, &id);
    CHECK_OK(store_job_delete(s, &id, ERR));
    CHECK_OK(store_commit(s, ERR));
    purge_all(s, 5);
    check_empty(s);
}

static void each_task_has_its_raw_file(struct store *s)
{
    static const struct made m = {.n = 0};
    struct id id = add_planned(s);
    char *path = NULL;
    struct lease l;

    add_task(s, &id, &m);
    add_task(s, &id, &m);
    l = claim(s);
    finish_ok(s, &l);
    l = claim(s);
    CHECK_OK(store_task_finish(
        s, &l, &(struct outcome){.state = JOB_COMPLETED, .raw_path = "ab/two.zst"}, 0, NULL, ERR));
    CHECK_OK(store_task_raw_path(s, num_of(s, &id), 0, &path, ERR));
    CHECK_STR(path, NULL);
    CHECK_OK(store_task_raw_path(s, num_of(s, &id), 1, &path, ERR));
    CHECK_STR(path, "ab/two.zst");
    free(path);
    CHECK_ERR(store_task_raw_path(s, num_of(s, &id), 2, &path, ERR), ERR_NOT_FOUND);
}

/* ---- in the order of addresses ---- */

struct page {
    struct buf text;
    uint8_t key[HOST_KEY];
    int64_t seq;
    int n;
};

static int page_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct page *p = arg;

    (void)e;
    if (!host_key(host_address(h), p->key)) {
        memset(p->key, 255, HOST_KEY);
    }
    p->seq = seq;
    p->n++;
    buf_addf(&p->text, "%s#%lld ", host_address(h) ? host_address(h) : "-", (long long)seq);
    return 0;
}

/* All pages of so many hosts. */
static char *paged(struct store *s, int64_t num, uint32_t size, const char *state)
{
    struct page p = {.n = 0};
    struct host_sink sink = {.host = page_host, .arg = &p};
    struct host_filter f = {.by_address = true, .limit = size, .state = state};
    uint8_t key[HOST_KEY];

    do {
        p.n = 0;
        CHECK_OK(store_hosts(s, num, &f, &sink, ERR));
        CHECK(p.n <= (int)size);
        memcpy(key, p.key, HOST_KEY);
        f.after_key = key;
        f.after = p.seq;
    } while (p.n > 0);
    return buf_take(&p.text);
}

static const struct found spread[] = {
    {"2001:db8::1", {UP}},   {"10.0.0.200", {UP}}, {"00:11:22:33:44:55", {UP}}, {"9.0.0.1", {UP}},
    {"10.0.0.3", {UP}},      {NULL, {UP}},         {"10.0.0.200", {UP}},        {"::1", {UP}},
    {"2001:db8::1", {DOWN}}, {"100.0.0.1", {UP}},
};

static void merged_hosts_are_paged_in_the_order_of_addresses(struct store *s)
{
    static const struct made v[] = {MADE(0, spread)};
    struct id id = RUN(s, v);

    for (uint32_t size = 1; size < 12; size++) {
        auto_free char *text = paged(s, num_of(s, &id), size, NULL);

        CHECK_STR(text, "9.0.0.1#4 10.0.0.3#5 10.0.0.200#2 100.0.0.1#8 ::1#7 2001:db8::1#1 "
                        "00:11:22:33:44:55#3 -#6 ");
    }
}

static void plain_hosts_are_paged_in_the_order_of_addresses(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);
    auto_free char *down = NULL;

    deliver(s, &l, spread, ARRAY_LEN(spread));
    for (uint32_t size = 1; size < 12; size++) {
        auto_free char *text = paged(s, num_of(s, &id), size, NULL);

        CHECK_STR(text, "9.0.0.1#4 10.0.0.3#5 10.0.0.200#2 10.0.0.200#7 100.0.0.1#10 ::1#8 "
                        "2001:db8::1#1 2001:db8::1#9 00:11:22:33:44:55#3 -#6 ");
    }
    down = paged(s, num_of(s, &id), 3, "down");
    CHECK_STR(down, "2001:db8::1#9 ");
}

/* Far more than are put in order when they are asked for. */
static void large_plain_sets_are_paged_in_the_order_of_addresses(struct store *s)
{
    enum { MANY = 1500 };
    struct id id = add(s);
    struct lease l = claim(s);
    auto_free char *first = NULL;
    char *at;
    int64_t last = -1;
    int n = 0;

    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t k = i * 7919 % MANY;
        auto_free char *address =
            k % 3 == 2 ? str_fmt("2001:db8::%x", k) : str_fmt("10.0.%u.%u", k / 256, k % 256);
        struct found f = {i % 100 == 99 ? NULL : address, {.state = k % 2 ? "up" : "down"}};

        deliver_one(s, &l, &f);
    }
    first = paged(s, num_of(s, &id), 1000, NULL);
    for (uint32_t size = 7; size < 1000; size = size * 3 + 1) {
        auto_free char *text = paged(s, num_of(s, &id), size, NULL);

        CHECK_STR(text, first);
    }
    for (char *host = strtok_r(first, " ", &at); host; host = strtok_r(NULL, " ", &at)) {
        uint8_t key[HOST_KEY];
        char *seq = strchr(host, '#');
        int64_t place = 1 << 30;

        *seq = '\0';
        if (host_key(host, key)) {
            place = key[0] == 4 ? key[3] * 256 + key[4] : 100000 + key[15] * 256 + key[16];
        } else {
            place += atoi(seq + 1);
        }
        CHECK(place > last);
        last = place;
        n++;
    }
    CHECK_INT(n, MANY);
}

static void places_of_a_plain_set_go_with_it(struct store *s)
{
    struct id id = add(s);
    struct lease l = claim(s);

    for (uint32_t i = 0; i < 600; i++) {
        auto_free char *address = str_fmt("10.0.%u.%u", i / 256, i % 256);
        struct found f = {i % 2 ? address : NULL, {UP}};

        deliver_one(s, &l, &f);
    }
    finish_ok(s, &l);
    CHECK_OK(store_commit(s, ERR));
    CHECK_OK(store_job_delete(s, &id, ERR));
    CHECK(purge_all(s, 10) >= 60);
    check_empty(s);
}

BOTH(shards_that_overlap_give_one_host_for_each_address)
BOTH(nothing_shows_before_the_first_merge)
BOTH(a_later_stage_wins_whichever_is_merged_first)
BOTH(up_wins_and_keeps_its_reason)
BOTH(a_port_keeps_its_service_where_the_new_one_has_none)
BOTH(a_service_that_was_probed_for_is_not_undone_by_a_guess)
BOTH(a_later_stage_s_word_on_a_port_stays_a_later_stage_s)
BOTH(silence_undoes_no_answer_of_its_own_stage)
BOTH(what_looks_only_at_what_was_found_adds_open_ports_alone)
BOTH(what_looks_only_at_what_was_found_does_not_give_up_a_host)
BOTH(an_address_that_never_answered_is_no_host)
BOTH(a_host_that_was_taken_for_up_is_up_for_what_answered_there)
BOTH(a_host_that_answered_keeps_its_reason_when_it_is_taken_for_up)
BOTH(extraports_are_added_up_but_not_of_repeats)
BOTH(times_are_joined_and_the_last_word_on_a_time_out_wins)
BOTH(names_and_addresses_are_joined)
BOTH(an_address_is_one_however_it_is_written)
BOTH(hosts_without_an_address_stay_apart)
BOTH(an_address_that_comes_again_in_one_set_is_the_same_host)
BOTH(ports_are_in_the_order_of_protocol_and_number)
BOTH(tasks_are_merged_in_the_order_of_their_ends)
BOTH(what_a_task_found_before_it_failed_is_merged)
BOTH(names_of_any_bytes_are_kept_as_they_are)
BOTH(a_host_has_so_many_names_and_no_more)
BOTH(the_size_of_the_steps_makes_no_difference)
BOTH(a_step_that_is_undone_is_done_again)
BOTH(a_step_is_bounded_also_within_a_host)
BOTH(the_rows_of_a_task_go_once_they_are_merged)
BOTH(nothing_stays_of_a_merged_set_whose_job_is_removed)
BOTH(a_job_that_is_merged_is_not_settled_or_removed)
BOTH(each_task_has_its_raw_file)
BOTH(merged_hosts_are_paged_in_the_order_of_addresses)
BOTH(plain_hosts_are_paged_in_the_order_of_addresses)
BOTH(large_plain_sets_are_paged_in_the_order_of_addresses)
BOTH(places_of_a_plain_set_go_with_it)

TESTS(OF_BOTH(shards_that_overlap_give_one_host_for_each_address),
      OF_BOTH(nothing_shows_before_the_first_merge),
      OF_BOTH(a_later_stage_wins_whichever_is_merged_first), OF_BOTH(up_wins_and_keeps_its_reason),
      OF_BOTH(a_port_keeps_its_service_where_the_new_one_has_none),
      OF_BOTH(a_service_that_was_probed_for_is_not_undone_by_a_guess),
      OF_BOTH(a_later_stage_s_word_on_a_port_stays_a_later_stage_s),
      OF_BOTH(silence_undoes_no_answer_of_its_own_stage),
      OF_BOTH(what_looks_only_at_what_was_found_adds_open_ports_alone),
      OF_BOTH(what_looks_only_at_what_was_found_does_not_give_up_a_host),
      OF_BOTH(an_address_that_never_answered_is_no_host),
      OF_BOTH(a_host_that_was_taken_for_up_is_up_for_what_answered_there),
      OF_BOTH(a_host_that_answered_keeps_its_reason_when_it_is_taken_for_up),
      OF_BOTH(extraports_are_added_up_but_not_of_repeats),
      OF_BOTH(times_are_joined_and_the_last_word_on_a_time_out_wins),
      OF_BOTH(names_and_addresses_are_joined), OF_BOTH(an_address_is_one_however_it_is_written),
      OF_BOTH(hosts_without_an_address_stay_apart),
      OF_BOTH(an_address_that_comes_again_in_one_set_is_the_same_host),
      OF_BOTH(ports_are_in_the_order_of_protocol_and_number),
      OF_BOTH(tasks_are_merged_in_the_order_of_their_ends),
      OF_BOTH(what_a_task_found_before_it_failed_is_merged),
      OF_BOTH(names_of_any_bytes_are_kept_as_they_are),
      OF_BOTH(a_host_has_so_many_names_and_no_more), sums_of_wild_extraports_are_still_lists,
      sums_of_extraports_have_bounds, ports_that_one_side_does_not_list_are_not_listed,
      OF_BOTH(the_size_of_the_steps_makes_no_difference),
      OF_BOTH(a_step_that_is_undone_is_done_again), both_backends_merge_to_the_same,
      a_crash_between_steps_loses_and_doubles_nothing,
      OF_BOTH(a_step_is_bounded_also_within_a_host),
      OF_BOTH(the_rows_of_a_task_go_once_they_are_merged),
      OF_BOTH(nothing_stays_of_a_merged_set_whose_job_is_removed),
      OF_BOTH(a_job_that_is_merged_is_not_settled_or_removed), OF_BOTH(each_task_has_its_raw_file),
      OF_BOTH(merged_hosts_are_paged_in_the_order_of_addresses),
      OF_BOTH(plain_hosts_are_paged_in_the_order_of_addresses),
      OF_BOTH(large_plain_sets_are_paged_in_the_order_of_addresses),
      OF_BOTH(places_of_a_plain_set_go_with_it))
