/* Differences between results: agreement with ndiff, and what the cells of each side allow to say.
 */
#include <jansson.h>

#include "base/netset.h"
#include "diff_rig.h"

/* ---- agreement with ndiff ---- */

struct lines {
    char *v[512]; /* owned: "10.0.0.1 80/tcp text" */
    size_t n;
};

static void lines_add(struct lines *l, char *s)
{
    CHECK(l->n < ARRAY_LEN(l->v));
    l->v[l->n++] = s;
}

static void lines_done(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i]);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* An address between brackets, or the first word: "-web.lab.test (10.77.0.20, B8:27:...):" */
static void read_address(const char *line, size_t len, char out[NET_TEXT])
{
    const char *at = memchr(line, '(', len);
    size_t n;

    at = at ? at + 1 : line + 1;
    n = strcspn(at, ",):");
    if (n < NET_TEXT) {
        memcpy(out, at, n);
        out[n] = '\0';
    }
}

/* "21/tcp   open   ftp       vsftpd 2.3.4" with one space where there are several. */
static char *squeeze(const char *address, const char *s, size_t n)
{
    struct buf b = {0};

    buf_addf(&b, "%s ", address);
    for (size_t i = 0; i < n; i++) {
        if (s[i] != ' ' || b.data[b.len - 1] != ' ') {
            buf_addc(&b, s[i]);
        }
    }
    return buf_take(&b);
}

static const char *line_of(const struct lines *l, const char *port)
{
    size_t n = strcspn(strchr(port, ' ') + 1, " ") + (size_t)(strchr(port, ' ') + 1 - port);

    for (size_t i = 0; i < l->n; i++) {
        if (strncmp(l->v[i], port, n + 1) == 0) {
            return l->v[i];
        }
    }
    return NULL;
}

static bool says_open(const char *line)
{
    return line && strstr(line, "/tcp open ");
}

/* What ndiff says of a port, in our words; NULL: nothing that we would. */
static const char *kind_by_ndiff(const char *a, const char *b)
{
    if (says_open(a) != says_open(b)) {
        return says_open(b) ? "opened" : "closed";
    }
    return a && b && strcmp(a, b) != 0 ? "changed" : NULL;
}

static void add_kind(struct lines *out, const struct lines *a, const struct lines *b,
                     const char *port, bool first)
{
    const char *in_a = line_of(a, port);
    const char *in_b = line_of(b, port);
    const char *kind = kind_by_ndiff(in_a, in_b);
    size_t n = strcspn(strchr(port, ' ') + 1, " ") + (size_t)(strchr(port, ' ') + 1 - port);

    if (kind && (first || !in_a)) {
        lines_add(out, str_fmt("%.*s %s", (int)n, port, kind));
    }
}

static void read_ndiff(const char *text, struct lines *out)
{
    struct lines a = {0}, b = {0};
    char address[NET_TEXT] = "";

    for (const char *s = text; *s; s += strcspn(s, "\n") + (s[strcspn(s, "\n")] == '\n')) {
        size_t n = strcspn(s, "\n");

        if (n > 2 && s[n - 1] == ':' && strncmp(s + 1, "OS ", 3) != 0 && s[1] != ' ') {
            read_address(s, n, address);
        } else if (strchr("+-", *s) && s[1] >= '0' && s[1] <= '9' && memmem(s, n, "/tcp ", 5)) {
            lines_add(*s == '-' ? &a : &b, squeeze(address, s + 1, n - 1));
        }
    }
    for (size_t i = 0; i < a.n; i++) {
        add_kind(out, &a, &b, a.v[i], true);
    }
    for (size_t i = 0; i < b.n; i++) {
        add_kind(out, &a, &b, b.v[i], false);
    }
    lines_done(&a);
    lines_done(&b);
}

static int keep_port(void *arg, const struct diff_item *it, struct err *e)
{
    const struct port *p = it->b ? it->b : it->a;

    (void)e;
    if (p) {
        lines_add(arg, str_fmt("%s %u/%s %s", it->address, p->number, p->protocol,
                               diff_kind_name(it->kind)));
    }
    return 0;
}

static const char *const pairs[][2] = {
    {"port-state", "127.0.0.1"},
    {"ports-changed", "127.0.0.1,45.33.32.156"},
    {"extraports-groups", "172.28.1.3"},
    {"mac-changed", "172.28.1.3"},
    {"lab-ping", "10.77.0.0/26"},
    {"lab-services", "10.77.0.10,10.77.0.20,10.77.0.30,10.77.0.40,10.77.2.10"},
    {"lab-services-reversed", "10.77.0.10,10.77.0.20,10.77.0.30,10.77.0.40,10.77.2.10"},
    {"nothing-to-something", "10.77.0.10,10.77.0.20,10.77.0.30,192.168.88.88"},
    {"different-networks", "10.77.0.10,45.33.32.156"},
    {"same-file", "127.0.0.1"},
};

static int64_t pair_result(struct store *s, const char *pair, char side, const char *addresses)
{
    auto_free char *file = str_fmt("ndiff/%s/%c.xml", pair, side);

    return nmap_result(s, file, addresses);
}

static void check_pair(struct store *s, const char *pair, const char *addresses)
{
    auto_free char *file = str_fmt("ndiff/%s/diff.txt", pair);
    auto_free char *text = test_fixture(file, NULL);
    int64_t a = pair_result(s, pair, 'a', addresses);
    int64_t b = pair_result(s, pair, 'b', addresses);
    struct lines want = {0}, got = {0};
    struct diff *d;
    bool more;

    read_ndiff(text, &want);
    CHECK_OK(diff_new(s, a, b, &d, ERR));
    CHECK_OK(diff_step(d, UINT32_MAX, keep_port, &got, &more, ERR));
    CHECK(!more);
    diff_free(d);
    qsort(want.v, want.n, sizeof *want.v, by_text);
    qsort(got.v, got.n, sizeof *got.v, by_text);
    for (size_t i = 0; i < MAX(want.n, got.n); i++) {
        CHECK_STR(i < got.n ? got.v[i] : "nothing", i < want.n ? want.v[i] : "nothing");
    }
    lines_done(&want);
    lines_done(&got);
}

static void ports_that_both_sides_scanned_differ_as_ndiff_says(struct store *s)
{
    if (!test_fixtures_present()) {
        tap_skip("shared fixtures are not beside this repository");
    }
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        check_pair(s, pairs[i][0], pairs[i][1]);
    }
}

static void check_text(struct store *s, const char *pair, const char *of_a, const char *of_b,
                       const char *want)
{
    auto_buf out = {0};

    if (!test_fixtures_present()) {
        tap_skip("shared fixtures are not beside this repository");
    }
    diff_text(s, pair_result(s, pair, 'a', of_a), pair_result(s, pair, 'b', of_b), 1, &out, NULL);
    CHECK_STR(out.data, want);
}

static void names_hardware_addresses_and_systems_differ_as_ndiff_says(struct store *s)
{
    check_text(s, "lab-ping", "10.77.0.0/26", "10.77.0.0/26",
               "~ 10.77.0.20 host changed (mac): up mac B8:27:EB:12:34:56 -> up mac "
               "B8:27:EB:AB:CD:EF\n"
               "- 10.77.0.30 host is gone: up mac 00:1B:21:0A:0B:0C\n"
               "+ 10.77.0.40 new host: up mac 00:1B:21:99:88:77\n");
    check_text(s, "extraports-groups", "172.28.1.3", "172.28.1.3",
               "~ 172.28.1.3 host changed (extraports): up dionaea, "
               "dionaea.libnmap-testing_testing_net mac 02:42:AC:1C:01:03 os Linux 4.15 - 5.6 -> "
               "up dionaea, dionaea.libnmap-testing_testing_net mac 02:42:AC:1C:01:03 os Linux "
               "4.15 - 5.6\n");
    check_text(s, "same-file", "127.0.0.1", "127.0.0.1", "");
}

static void the_lab_a_week_later_reads_well(struct store *s)
{
    auto_free char *want = test_data("diff/lab-services.txt", NULL);

    check_text(s, "lab-services", pairs[5][1], pairs[5][1], want);
}

/* ---- not scanned ---- */

static void what_the_other_scan_did_not_look_at_is_not_gone(struct store *s)
{
    check_text(s, "nothing-to-something", "192.168.88.88", "10.77.0.20",
               "? 10.77.0.10 not scanned before: up mac 00:0C:29:FA:DD:2A\n"
               "? 10.77.0.10 21/tcp not scanned before: open ftp vsftpd 2.3.4\n"
               "? 10.77.0.10 22/tcp not scanned before: open ssh OpenSSH 4.7p1 Debian 8ubuntu1 "
               "(Ubuntu Linux; protocol 2.0)\n"
               "? 10.77.0.10 25/tcp not scanned before: open smtp Postfix smtpd\n"
               "? 10.77.0.10 80/tcp not scanned before: open http Apache httpd 2.2.8 ((Ubuntu) "
               "DAV/2)\n"
               "? 10.77.0.20 not scanned before: up mac B8:27:EB:12:34:56\n"
               "? 10.77.0.20 22/tcp not scanned before: open ssh OpenSSH 6.6.1p1 Ubuntu "
               "2ubuntu2.13 (Ubuntu Linux; protocol 2.0)\n"
               "? 10.77.0.20 80/tcp not scanned before: open http Apache httpd 2.4.7 "
               "((Ubuntu))\n"
               "? 10.77.0.30 not scanned before: up mac 00:1B:21:0A:0B:0C\n"
               "? 10.77.0.30 22/tcp not scanned before: open ssh OpenSSH 7.4 (protocol 2.0)\n");
}

/* A result of hosts "10.0.0.1 up 22:open 80:closed", one a line, with the cells given. */
static int64_t result_of(struct store *s, const char *text, const struct coverage_cell *cells,
                         size_t n)
{
    struct writing w = write_as(s, "nmap", NULL);
    auto_free char *copy = xstrdup(text);

    for (char *save, *line = strtok_r(copy, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        struct host_addr addr = {.type = "ipv4"};
        struct host h = {.addrs = &addr, .n_addrs = 1, .reason_ttl = -1};
        struct port ports[16] = {0};
        char *at, *word = strtok_r(line, " ", &at);

        addr.addr = word;
        h.ports = ports;
        while ((word = strtok_r(NULL, " ", &at))) {
            char *colon = strchr(word, ':');

            if (strcmp(word, "timedout") == 0) {
                h.timed_out = true;
            } else if (!colon) {
                h.state = word;
            } else {
                CHECK(h.n_ports < ARRAY_LEN(ports));
                ports[h.n_ports++] = (struct port){.number = (uint16_t)atoi(word),
                                                   .protocol = "tcp",
                                                   .state = colon + 1,
                                                   .reason_ttl = -1,
                                                   .conf = -1};
            }
        }
        write_host(&w, &h, ERR);
    }
    return write_end(&w, cells, n);
}

struct known {
    const char *name, *a, *b;
    struct coverage_cell of_b[2];
    const char *want;
};

#define TCP(where, which)                                     \
    {                                                         \
        .addresses = where, .protocol = "tcp", .ports = which \
    }
#define TCP_UP(where, which)                                                   \
    {                                                                          \
        .addresses = where, .protocol = "tcp", .ports = which, .up_only = true \
    }
#define HOSTS(where)                           \
    {                                          \
        .addresses = where, .protocol = "host" \
    }

/* a: one host with port 80 open; what b says of it by rows and cells. */
static const struct known knowns[] = {
    {"no row, no cell",
     "10.0.0.1 up 80:open",
     "",
     {{0}},
     "? 10.0.0.1 not scanned after: up\n? 10.0.0.1 80/tcp not scanned after: open\n"},
    {"a cell of another network",
     "10.0.0.1 up 80:open",
     "",
     {TCP("10.0.1.0/24", "1-65535")},
     "? 10.0.0.1 not scanned after: up\n? 10.0.0.1 80/tcp not scanned after: open\n"},
    {"a cell of other ports",
     "10.0.0.1 up 80:open",
     "10.0.0.1 up 22:open",
     {TCP("10.0.0.0/24", "1-79,81")},
     "+ 10.0.0.1 22/tcp opened: not open -> open\n? 10.0.0.1 80/tcp not scanned after: open\n"},
    {"a cell of another protocol",
     "10.0.0.1 up 80:open",
     "10.0.0.1 up",
     {{.addresses = "10.0.0.1", .protocol = "udp", .ports = "80"}},
     "? 10.0.0.1 80/tcp not scanned after: open\n"},
    {"scanned, not listed",
     "10.0.0.1 up 80:open",
     "10.0.0.1 up",
     {TCP("10.0.0.0-10.0.0.9", "80")},
     "- 10.0.0.1 80/tcp closed: open -> not open\n"},
    {"scanned only where up, and it is up",
     "10.0.0.1 up 80:open",
     "10.0.0.1 up",
     {TCP_UP("10.0.0.0/24", "80")},
     "- 10.0.0.1 80/tcp closed: open -> not open\n"},
    {"scanned only where up, and it is not",
     "10.0.0.1 up 80:open",
     "",
     {TCP_UP("10.0.0.0/24", "22")},
     "- 10.0.0.1 host is gone: up\n- 10.0.0.1 80/tcp closed: open -> not open\n"},
    {"looked for hosts, it is down",
     "10.0.0.1 up 80:open",
     "10.0.0.1 down",
     {HOSTS("10.0.0.0/24")},
     "- 10.0.0.1 host is gone: up\n- 10.0.0.1 80/tcp closed: open -> not open\n"},
    {"looked for hosts, it is up",
     "10.0.0.1 up 80:open",
     "10.0.0.1 up",
     {HOSTS("10.0.0.0/24")},
     "? 10.0.0.1 80/tcp not scanned after: open\n"},
    {"ports without looking for hosts",
     "10.0.0.1 up 80:open",
     "",
     {TCP("10.0.0.1", "80")},
     "? 10.0.0.1 not scanned after: up\n- 10.0.0.1 80/tcp closed: open -> not open\n"},
    {"the tool gave up on it",
     "10.0.0.1 up 80:open 81:open",
     "10.0.0.1 up timedout 81:open",
     {TCP_UP("10.0.0.0/24", "80-81")},
     "? 10.0.0.1 80/tcp not scanned after: open\n"},
    {"a row needs no cell",
     "10.0.0.1 up 80:open",
     "10.0.0.1 up 80:filtered",
     {{0}},
     "- 10.0.0.1 80/tcp closed: open -> filtered\n"},
    {"only open ports are worth it",
     "10.0.0.1 up 80:closed 81:open|filtered 82:filtered",
     "10.0.0.1 up",
     {{0}},
     "? 10.0.0.1 81/tcp not scanned after: open|filtered\n"},
    {"neither is open",
     "10.0.0.1 up 80:closed",
     "10.0.0.1 up 80:filtered",
     {{0}},
     "~ 10.0.0.1 80/tcp changed (state): closed -> filtered\n"},
    {"a tool that does not speak of hosts", "10.0.0.1 up 80:open", "10.0.0.1 80:open", {{0}}, ""},
    {"nobody is up", "10.0.0.1 down", "10.0.0.1 unknown", {{0}}, ""},
};

static void cells_decide_what_may_be_called_closed(struct store *s)
{
    for (size_t i = 0; i < ARRAY_LEN(knowns); i++) {
        const struct known *k = &knowns[i];
        size_t n = (k->of_b[0].addresses != NULL) + (k->of_b[1].addresses != NULL);
        const struct coverage_cell all[] = {HOSTS("10.0.0.0/16"), TCP("10.0.0.0/16", "1-65535")};
        int64_t a = result_of(s, k->a, all, 2);
        int64_t b = result_of(s, k->b, k->of_b, n);
        auto_buf out = {0};

        diff_text(s, a, b, 1, &out, NULL);
        if (strcmp(out.data, k->want) != 0) {
            tap_fail(__FILE__, __LINE__, "%s: '%s', not '%s'", k->name, out.data, k->want);
        }
    }
}

static void both_directions_say_the_same_of_each_other(struct store *s)
{
    const struct coverage_cell cell = TCP_UP("10.0.0.0/24", "80");
    int64_t a = result_of(s, "10.0.0.1 up 80:open\n10.0.0.2 up 80:open", &cell, 1);
    int64_t b = result_of(s, "10.0.0.2 up 80:open 81:open\n10.0.1.1 up 80:open", NULL, 0);
    struct diff_counts ab, ba;
    auto_buf one = {0}, two = {0};

    diff_text(s, a, b, 1, &one, &ab);
    diff_text(s, b, a, 1, &two, &ba);
    CHECK_STR(one.data, "? 10.0.0.1 not scanned after: up\n"
                        "? 10.0.0.1 80/tcp not scanned after: open\n"
                        "? 10.0.0.2 81/tcp not scanned before: open\n"
                        "? 10.0.1.1 not scanned before: up\n"
                        "? 10.0.1.1 80/tcp not scanned before: open\n");
    CHECK_INT(ab.n[DIFF_NOT_SCANNED_A], ba.n[DIFF_NOT_SCANNED_B]);
    CHECK_INT(ab.n[DIFF_NOT_SCANNED_B], ba.n[DIFF_NOT_SCANNED_A]);
    CHECK_INT(ab.ports_same, 1);
    CHECK_INT(ba.ports_same, 1);
}

/* ---- many ---- */

enum { MANY = 3000 };

/* Hosts 10.1.0.0 and on, backwards; every `skip`th is left out. */
static int64_t many(struct store *s, int skip, const struct coverage_cell *cells, size_t n)
{
    struct writing w = write_as(s, "masscan", NULL);

    for (int i = MANY - 1; i >= 0; i--) {
        char text[32];
        struct host_addr addr = {.addr = text, .type = "ipv4"};
        struct port ports[3] = {0};
        struct host h = {.state = "up",
                         .addrs = &addr,
                         .n_addrs = 1,
                         .ports = ports,
                         .n_ports = 3,
                         .reason_ttl = -1};

        if (skip && i % skip == 0) {
            continue;
        }
        snprintf(text, sizeof text, "10.1.%d.%d", i / 256, i % 256);
        for (int k = 0; k < 3; k++) {
            ports[k] = (struct port){.number = (uint16_t)(82 - k),
                                     .protocol = "tcp",
                                     .state = "open",
                                     .reason_ttl = -1,
                                     .conf = -1};
        }
        write_host(&w, &h, ERR);
    }
    return write_end(&w, cells, n);
}

/* As a job leaves them that was cut by addresses and by ports: 64 x 16 cells. */
static size_t shards(struct coverage_cell *cells, char (*text)[64])
{
    size_t n = 0;

    for (int i = 0; i < 64; i++) {
        for (int k = 0; k < 16; k++, n++) {
            snprintf(text[2 * n], 64, "10.1.%d.0/26,10.1.%d.64-10.1.%d.127", i, i, i);
            if (i % 2) {
                snprintf(text[2 * n], 64, "10.1.%d.0/25", i);
            }
            snprintf(text[2 * n + 1], 64, "%d-%d", k * 6 + 1, k * 6 + 6);
            cells[n] = (struct coverage_cell)TCP(text[2 * n], text[2 * n + 1]);
        }
    }
    return n;
}

static void many_hosts_and_shards_are_compared_in_steps(struct store *s)
{
    auto_free struct coverage_cell *cells = xcalloc(1024, sizeof *cells);
    auto_free char(*text)[64] = xcalloc(2048, sizeof *text);
    size_t n = shards(cells, text);
    int64_t a = many(s, 0, cells, n);
    int64_t b = many(s, 10, cells, n);
    struct diff_counts c;
    auto_buf one = {0}, all = {0};

    diff_text(s, a, b, 1, &one, &c);
    diff_text(s, a, b, UINT32_MAX, &all, NULL);
    CHECK_STR(one.data, all.data);
    CHECK_INT(c.hosts_same, MANY - MANY / 10);
    CHECK_INT(c.ports_same, 3 * (MANY - MANY / 10));
    /* Of each /24 the lower half was scanned, and all of it up to 96. */
    CHECK_INT(c.n[DIFF_CLOSED] + c.n[DIFF_NOT_SCANNED_B] - MANY / 10, 3 * MANY / 10);
    for (int i = 0, closed = 0; i < MANY; i += 10) {
        closed += i % 256 < 128;
        if (i + 10 >= MANY) {
            CHECK_INT(c.n[DIFF_CLOSED], 3 * closed);
        }
    }
}

static void an_address_that_comes_twice_is_one_host(struct store *s)
{
    const struct coverage_cell cell = TCP("10.0.0.0/24", "1-100");
    int64_t a = result_of(s, "10.0.0.1 up 80:open 81:open", &cell, 1);
    int64_t b =
        result_of(s, "10.0.0.1 up 81:closed\n10.0.0.1 80:open\n10.0.0.1 up 81:open", &cell, 1);
    struct diff_counts c;
    auto_buf out = {0};

    diff_text(s, a, b, 1, &out, &c);
    CHECK_STR(out.data, "");
    CHECK_INT(c.ports_same, 2);
    CHECK_INT(c.hosts_same, 1);
}

static void families_are_in_order_and_hosts_without_address_left_out(struct store *s)
{
    const struct coverage_cell cells[] = {TCP("2001:db8::/32,10.0.0.0/8", "80")};
    int64_t a = result_of(s,
                          "2001:db8::2 up 80:open\n00:11:22:33:44:55 up 80:open\n"
                          "10.0.0.200 up 80:open\n10.0.0.3 up 80:open",
                          cells, 1);
    int64_t b = result_of(s, "2001:db8::10 up 80:open\n10.0.0.20 up 80:open", cells, 1);
    auto_buf out = {0};

    diff_text(s, a, b, 1, &out, NULL);
    CHECK_STR(out.data, "? 10.0.0.3 not scanned after: up\n"
                        "- 10.0.0.3 80/tcp closed: open -> not open\n"
                        "? 10.0.0.20 not scanned before: up\n"
                        "+ 10.0.0.20 80/tcp opened: not open -> open\n"
                        "? 10.0.0.200 not scanned after: up\n"
                        "- 10.0.0.200 80/tcp closed: open -> not open\n"
                        "? 2001:db8::2 not scanned after: up\n"
                        "- 2001:db8::2 80/tcp closed: open -> not open\n"
                        "? 2001:db8::10 not scanned before: up\n"
                        "+ 2001:db8::10 80/tcp opened: not open -> open\n");
}

/* ---- what tools do not tell ---- */

static int64_t one_service(struct store *s, const char *tool, const char *profile,
                           const char *service, const char *version)
{
    const struct coverage_cell cell = TCP("10.0.0.1", "80");
    struct writing w = write_as(s, tool, profile);
    struct host_addr addr = {.addr = "10.0.0.1", .type = "ipv4"};
    struct port port = {.number = 80,
                        .protocol = "tcp",
                        .state = "open",
                        .reason_ttl = -1,
                        .has_service = service != NULL,
                        .service = service,
                        .version = version,
                        .conf = -1};
    struct host h = {.state = "up",
                     .addrs = &addr,
                     .n_addrs = 1,
                     .ports = &port,
                     .n_ports = 1,
                     .reason_ttl = -1};

    write_host(&w, &h, ERR);
    return write_end(&w, &cell, 1);
}

static void a_sweep_without_services_does_not_take_them_away(struct store *s)
{
    int64_t nmap = one_service(s, "nmap", NULL, "http", "2.4");
    int64_t later = one_service(s, "nmap", NULL, "http", "2.5");
    int64_t plain = one_service(s, "nmap", NULL, NULL, NULL);
    int64_t sweep = one_service(s, "masscan", NULL, NULL, NULL);
    int64_t staged = one_service(s, "nmap", "standard@1", "https", "2.4");
    auto_buf out = {0};

    diff_text(s, nmap, sweep, 1, &out, NULL);
    CHECK_STR(out.data, "");
    diff_text(s, sweep, nmap, 1, &out, NULL);
    CHECK_STR(out.data, "");
    diff_text(s, nmap, staged, 1, &out, NULL);
    diff_text(s, nmap, later, 1, &out, NULL);
    diff_text(s, nmap, plain, 1, &out, NULL);
    CHECK_STR(out.data, "~ 10.0.0.1 80/tcp changed (service): open http 2.4 -> open https 2.4\n"
                        "~ 10.0.0.1 80/tcp changed (version): open http 2.4 -> open http 2.5\n"
                        "~ 10.0.0.1 80/tcp changed (service,version): open http 2.4 -> open\n");
}

/* ---- form and failure ---- */

static int add_json(void *arg, const struct diff_item *it, struct err *e)
{
    struct buf *b = arg;

    (void)e;
    diff_item_json(it, b);
    buf_addc(b, '\n');
    return 0;
}

static void items_are_json_and_harmless_lines(struct store *s)
{
    int64_t a = one_service(s, "nmap", NULL, "\x1b[2J", "1\n2");
    int64_t b = one_service(s, "nmap", NULL, "\u202ehttp", "1\n2");
    struct diff *d;
    bool more;
    auto_buf json = {0}, counts = {0}, text = {0};

    CHECK_OK(diff_new(s, a, b, &d, ERR));
    CHECK_OK(diff_step(d, 100, add_json, &json, &more, ERR));
    diff_counts_json(diff_counts(d), &counts);
    diff_free(d);
    CHECK_STR(json.data,
              "{\"kind\":\"changed\",\"address\":\"10.0.0.1\",\"port\":80,\"protocol\":\"tcp\","
              "\"what\":\"service\",\"a\":{\"state\":\"open\",\"service\":\"\\u001b[2J\","
              "\"version\":\"1\\n2\"},\"b\":{\"state\":\"open\",\"service\":\"\u202ehttp\","
              "\"version\":\"1\\n2\"}}\n");
    CHECK_STR(counts.data, "{\"host_new\":0,\"host_gone\":0,\"host_changed\":0,\"opened\":0,"
                           "\"closed\":0,\"changed\":1,\"not_scanned_a\":0,\"not_scanned_b\":0,"
                           "\"hosts_same\":0,\"ports_same\":0}");
    diff_text(s, a, b, 1, &text, NULL);
    CHECK_STR(text.data, "~ 10.0.0.1 80/tcp changed (service): open \\x1b[2J 1\\x0a2 -> open "
                         "\\u{202e}http 1\\x0a2\n");
}

static int stop(void *arg, const struct diff_item *it, struct err *e)
{
    (void)it;
    ++*(int *)arg;
    return err_set(e, ERR_LIMIT, "enough");
}

static void a_receiver_can_stop_it(struct store *s)
{
    int64_t a = result_of(s, "10.0.0.1 up 80:open\n10.0.0.2 up 80:open", NULL, 0);
    int64_t b = result_of(s, "", NULL, 0);
    struct diff *d;
    bool more = true;
    int calls = 0;

    CHECK_OK(diff_new(s, a, b, &d, ERR));
    CHECK_ERR(diff_step(d, 100, stop, &calls, &more, ERR), ERR_LIMIT);
    CHECK(!more);
    CHECK_ERR(diff_step(d, 100, stop, &calls, &more, ERR), ERR_LIMIT);
    CHECK_INT(calls, 1);
    diff_free(d);
}

static void only_results_that_are_there_are_compared(struct store *s)
{
    struct id id = add(s);
    int64_t running = num_of(s, &id);
    int64_t done;
    struct diff *d;

    CHECK_OK(store_job_cancel(s, &id, &(enum job_state){0}, ERR));
    done = running;
    id = add(s);
    running = num_of(s, &id);
    CHECK_ERR(diff_new(s, done, running, &d, ERR), ERR_CONFLICT);
    CHECK_ERR(diff_new(s, running, done, &d, ERR), ERR_CONFLICT);
    CHECK_ERR(diff_new(s, done, running + 1, &d, ERR), ERR_NOT_FOUND);
    CHECK_OK(diff_new(s, done, done, &d, ERR));
    diff_free(d);
}

BOTH(ports_that_both_sides_scanned_differ_as_ndiff_says)
BOTH(names_hardware_addresses_and_systems_differ_as_ndiff_says)
BOTH(the_lab_a_week_later_reads_well)
BOTH(what_the_other_scan_did_not_look_at_is_not_gone)
BOTH(cells_decide_what_may_be_called_closed)
BOTH(both_directions_say_the_same_of_each_other)
BOTH(many_hosts_and_shards_are_compared_in_steps)
BOTH(an_address_that_comes_twice_is_one_host)
BOTH(families_are_in_order_and_hosts_without_address_left_out)
BOTH(a_sweep_without_services_does_not_take_them_away)
BOTH(items_are_json_and_harmless_lines)
BOTH(a_receiver_can_stop_it)
BOTH(only_results_that_are_there_are_compared)

TESTS(OF_BOTH(ports_that_both_sides_scanned_differ_as_ndiff_says),
      OF_BOTH(names_hardware_addresses_and_systems_differ_as_ndiff_says),
      OF_BOTH(the_lab_a_week_later_reads_well),
      OF_BOTH(what_the_other_scan_did_not_look_at_is_not_gone),
      OF_BOTH(cells_decide_what_may_be_called_closed),
      OF_BOTH(both_directions_say_the_same_of_each_other),
      OF_BOTH(many_hosts_and_shards_are_compared_in_steps),
      OF_BOTH(an_address_that_comes_twice_is_one_host),
      OF_BOTH(families_are_in_order_and_hosts_without_address_left_out),
      OF_BOTH(a_sweep_without_services_does_not_take_them_away),
      OF_BOTH(items_are_json_and_harmless_lines), OF_BOTH(a_receiver_can_stop_it),
      OF_BOTH(only_results_that_are_there_are_compared))
