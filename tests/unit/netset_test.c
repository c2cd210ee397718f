/* Addresses, ranges and sets of them: text, the ends of both spaces, and a model of one bit each.
 */
#include "base/netset.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tap.h"

static struct net_ip ip(const char *s)
{
    struct net_ip out = {0};

    if (!net_ip_parse(s, &out)) {
        tap_fail(__FILE__, __LINE__, "'%s' is no address", s);
    }
    return out;
}

static struct net_range range(const char *s)
{
    struct net_range out = {0};

    if (!net_range_parse(s, false, &out)) {
        tap_fail(__FILE__, __LINE__, "'%s' is no range", s);
    }
    return out;
}

static void add(struct netset *s, const char *text)
{
    struct net_range r = range(text);

    netset_add(s, &r);
}

static void cut(struct netset *s, const char *text)
{
    struct net_range r = range(text);

    netset_remove(s, &r);
}

/* "10.0.0.0/24 2001:db8::1"; borrowed until the next call. */
static const char *text_of(const struct netset *s)
{
    static char out[1024];
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < s->n; i++) {
        char t[NET_TEXT];

        net_range_text(&s->v[i], t);
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", i ? " " : "", t);
    }
    return out;
}

static void addresses_have_one_spelling(void)
{
    static const char *const good[][2] = {
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"10.20.30.40", "10.20.30.40"},
        {"::", "::"},
        {"2001:DB8:0:0::1", "2001:db8::1"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"64:ff9b::10.0.0.1", "64:ff9b::a00:1"},
    };
    static const char *const bad[] = {
        "",           "127.1",      "0x7f.0.0.1", "2130706433", "010.0.0.1",
        "10.0.0.01",  "10.0.0.256", "10.0.0",     "10.0.0.0.1", "10.0.0.1 ",
        " 10.0.0.1",  "10.0.0.1.",  "10.0.0.-1",  "+1.0.0.1",   "::ffff:10.0.0.1",
        "::ffff:0:0", "fe80::1%lo", "[::1]",      "1::2::3",    ":::",
        "12345::",    "00000::1",   "::1/128",    "1.2.3.4/32", "::010.0.0.1",
        "1111.0.0.1", "10..0.1",
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct net_ip a = ip(good[i][0]);
        char t[NET_TEXT];

        net_ip_text(&a, t);
        CHECK_STR(t, good[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct net_ip a;

        if (net_ip_parse(bad[i], &a)) {
            tap_fail(__FILE__, __LINE__, "'%s' was taken", bad[i]);
        }
    }
}

static void socket_addresses_are_folded(void)
{
    struct sockaddr_storage ss;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct net_ip a = ip("10.1.2.3"), b;
    socklen_t n = net_ip_to(&a, 80, &ss);

    CHECK_INT(n, sizeof(struct sockaddr_in));
    CHECK(net_ip_from((struct sockaddr *)&ss, n, &b) && net_ip_cmp(&a, &b) == 0);
    CHECK(!net_ip_from((struct sockaddr *)&ss, 4, &b));
    a = ip("2001:db8::7");
    n = net_ip_to(&a, 80, &ss);
    CHECK(net_ip_from((struct sockaddr *)&ss, n, &b) && net_ip_cmp(&a, &b) == 0);
    CHECK(!net_ip_from((struct sockaddr *)&ss, sizeof(struct sockaddr_in), &b));
    CHECK_INT(inet_pton(AF_INET6, "::ffff:10.1.2.3", &in6.sin6_addr), 1);
    a = ip("10.1.2.3");
    CHECK(net_ip_from((struct sockaddr *)&in6, sizeof in6, &b) && net_ip_cmp(&a, &b) == 0);
    ss.ss_family = AF_UNIX;
    CHECK(!net_ip_from((struct sockaddr *)&ss, sizeof ss, &b));
}

static void ranges_are_read_strictly_and_printed_short(void)
{
    static const char *const good[][2] = {
        {"10.0.0.0/24", "10.0.0.0/24"},
        {"10.0.0.7/32", "10.0.0.7"},
        {"10.0.0.7", "10.0.0.7"},
        {"10.0.0.0-10.0.0.255", "10.0.0.0/24"},
        {"10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"255.255.255.254-255.255.255.255", "255.255.255.254/31"},
        {"::/0", "::/0"},
        {"2001:db8::/127", "2001:db8::/127"},
        {"2001:db8::1-2001:db8::2", "2001:db8::1-2001:db8::2"},
        {"ffff:ffff:ffff:ffff::/64", "ffff:ffff:ffff:ffff::/64"},
    };
    static const char *const bad[] = {
        "10.0.0.1/24",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/024",
        "10.0.0.0/-1",
        "10.0.0.2-10.0.0.1",
        "10.0.0.1-2001:db8::",
        "10.0.0.1-",
        "-10.0.0.1",
        "10.0.0.1-5",
        "2001:db8::/129",
        "2001:db8::1/64",
        "10.0.0.0/8/8",
        "/8",
        "",
        "10.0.0.0/8-10.0.0.9",
        "::ffff:0:0/96",
        "10.0.0.1--10.0.0.2",
    };
    struct net_range r;
    char t[NET_TEXT];

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        r = range(good[i][0]);
        net_range_text(&r, t);
        CHECK_STR(t, good[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (net_range_parse(bad[i], false, &r)) {
            tap_fail(__FILE__, __LINE__, "'%s' was taken", bad[i]);
        }
    }
    CHECK(net_range_parse("10.1.2.3/8", true, &r));
    net_range_text(&r, t);
    CHECK_STR(t, "10.0.0.0/8");
    CHECK(net_range_parse("2001:db8:ffff::1/33", true, &r));
    net_range_text(&r, t);
    CHECK_STR(t, "2001:db8:8000::/33");
}

static void sets_merge_neighbours_and_stay_sorted(void)
{
    auto_netset s = {0};

    add(&s, "2001:db8::/64");
    add(&s, "10.0.2.0/24");
    add(&s, "10.0.0.0/24");
    CHECK_STR(text_of(&s), "10.0.0.0/24 10.0.2.0/24 2001:db8::/64");
    add(&s, "10.0.1.0/24");
    CHECK_STR(text_of(&s), "10.0.0.0-10.0.2.255 2001:db8::/64");
    add(&s, "10.0.3.0/24");
    CHECK_STR(text_of(&s), "10.0.0.0/22 2001:db8::/64");
    add(&s, "10.0.0.8");
    CHECK_INT(netset_count(&s), UINT64_MAX);
    cut(&s, "2001:db8::/64");
    CHECK_INT(netset_count(&s), 1024);
    cut(&s, "10.0.1.0/24");
    cut(&s, "10.0.3.255");
    CHECK_STR(text_of(&s), "10.0.0.0/24 10.0.2.0-10.0.3.254");
    cut(&s, "0.0.0.0/0");
    CHECK_INT(s.n, 0);
}

static void the_ends_of_the_space_do_not_overflow(void)
{
    auto_netset s = {0};
    struct net_range r, out;

    add(&s, "255.255.255.255");
    add(&s, "::");
    CHECK_STR(text_of(&s), "255.255.255.255 ::");
    add(&s, "255.255.255.254");
    add(&s, "::1");
    add(&s, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    add(&s, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
    CHECK_STR(text_of(&s), "255.255.255.254/31 ::/127 "
                           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
    CHECK_INT(netset_count(&s), 6);
    r = range("0.0.0.0/0");
    CHECK(!netset_covers(&s, &r, &out));
    CHECK(net_ip_cmp(&out.first, &r.first) == 0);
    netset_add(&s, &r);
    r = range("::/0");
    CHECK(!netset_covers(&s, &r, &out));
    netset_add(&s, &r);
    CHECK_STR(text_of(&s), "0.0.0.0/0 ::/0");
    CHECK(netset_covers(&s, &r, NULL));
    CHECK_INT(netset_count(&s), UINT64_MAX);
    cut(&s, "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
    cut(&s, "0.0.0.1-255.255.255.255");
    CHECK_STR(text_of(&s), "0.0.0.0 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    r = range("ffff:ffff:ffff:ffff::/64");
    CHECK(netset_meets(&s, &r, &out) && net_ip_cmp(&out.first, &out.last) == 0);
    CHECK(!netset_covers(&s, &r, &out));
    CHECK(out.last.lo == UINT64_MAX - 1);
}

static void carries_go_from_the_low_half_to_the_high_one(void)
{
    auto_netset s = {0};

    add(&s, "2001:db8:0:0:ffff:ffff:ffff:ffff");
    add(&s, "2001:db8:0:1::");
    CHECK_INT(s.n, 1);
    CHECK_INT(netset_count(&s), 2);
    cut(&s, "2001:db8:0:1::");
    CHECK_STR(text_of(&s), "2001:db8::ffff:ffff:ffff:ffff");
}

static void what_is_outside_is_the_first_part(void)
{
    auto_netset s = {0};
    struct net_range r, out;
    char t[NET_TEXT];

    add(&s, "10.0.1.0/24");
    add(&s, "10.0.3.0/24");
    r = range("10.0.0.0/22");
    CHECK(!netset_covers(&s, &r, &out));
    net_range_text(&out, t);
    CHECK_STR(t, "10.0.0.0/24");
    r = range("10.0.1.0-10.0.3.9");
    CHECK(!netset_covers(&s, &r, &out));
    net_range_text(&out, t);
    CHECK_STR(t, "10.0.2.0/24");
    CHECK(netset_meets(&s, &r, &out));
    net_range_text(&out, t);
    CHECK_STR(t, "10.0.1.0/24");
    r = range("10.0.2.0/24");
    CHECK(!netset_meets(&s, &r, NULL));
}

/* ---- against a model ---- */

enum { SPACE = 256 };

/* Places of a small window, at the very end of a space if `end`. */
static struct net_ip place(unsigned i, bool v6, bool end)
{
    if (!v6) {
        return (struct net_ip){.lo = end ? UINT32_MAX - (SPACE - 1) + i : i};
    }
    if (end) {
        return (struct net_ip){.v6 = true, .hi = UINT64_MAX, .lo = UINT64_MAX - (SPACE - 1) + i};
    }
    /* Across the carry. */
    return i < SPACE / 2
               ? (struct net_ip){.v6 = true, .hi = 7, .lo = UINT64_MAX - (SPACE / 2 - 1) + i}
               : (struct net_ip){.v6 = true, .hi = 8, .lo = i - SPACE / 2};
}

static uint64_t seed = 0x2545f4914f6cdd1d;

static unsigned dice(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % n;
}

/* A place behind a, less than n away. */
static unsigned after(unsigned a, unsigned n)
{
    unsigned b = a + dice(n);

    return MIN(b, SPACE - 1u);
}

static void agree(const struct netset *s, const bool *model, bool v6, bool end)
{
    uint64_t count = 0;
    size_t runs = 0;

    for (unsigned i = 0; i < SPACE; i++) {
        struct net_ip a = place(i, v6, end);

        count += model[i];
        runs += model[i] && (i == 0 || !model[i - 1]);
        CHECK_INT(netset_has(s, &a), model[i]);
    }
    CHECK_INT(netset_count(s), count);
    CHECK_INT(s->n, runs); /* disjoint, and neighbours are merged */
}

static void ask(const struct netset *s, const bool *model, unsigned a, unsigned b, bool v6,
                bool end)
{
    struct net_range r = {.first = place(a, v6, end), .last = place(b, v6, end)}, out;
    unsigned first_out = a, first_in = a, k;

    for (; first_out <= b && model[first_out]; first_out++) {
    }
    for (; first_in <= b && !model[first_in]; first_in++) {
    }
    CHECK_INT(netset_covers(s, &r, &out), first_out > b);
    if (first_out <= b) {
        struct net_ip want = place(first_out, v6, end);

        CHECK(net_ip_cmp(&out.first, &want) == 0);
        for (k = first_out; k < b && !model[k + 1]; k++) {
        }
        want = place(k, v6, end);
        CHECK(net_ip_cmp(&out.last, &want) == 0);
    }
    CHECK_INT(netset_meets(s, &r, &out), first_in <= b);
    if (first_in <= b) {
        struct net_ip want = place(first_in, v6, end);

        CHECK(net_ip_cmp(&out.first, &want) == 0);
        for (k = first_in; k < b && model[k + 1]; k++) {
        }
        want = place(k, v6, end);
        CHECK(net_ip_cmp(&out.last, &want) == 0);
    }
}

static void one_round(bool v6, bool end)
{
    auto_netset s = {0}, other = {0};
    bool model[SPACE] = {false}, second[SPACE] = {false};
    struct net_range many[8];

    for (unsigned step = 0; step < 40; step++) {
        unsigned a = dice(SPACE), b = after(a, 24), what = dice(4);
        struct net_range r = {.first = place(a, v6, end), .last = place(b, v6, end)};

        if (what == 0) {
            netset_remove(&s, &r);
        } else {
            netset_add(&s, &r);
        }
        for (unsigned i = a; i <= b; i++) {
            model[i] = what != 0;
        }
        agree(&s, model, v6, end);
        a = dice(SPACE);
        ask(&s, model, a, after(a, SPACE), v6, end);
    }
    for (unsigned k = 0; k < ARRAY_LEN(many); k++) {
        unsigned a = dice(SPACE), b = after(a, 30);

        many[k] = (struct net_range){.first = place(a, v6, end), .last = place(b, v6, end)};
        for (unsigned i = a; i <= b; i++) {
            second[i] = true;
        }
    }
    netset_add_many(&other, many, ARRAY_LEN(many));
    agree(&other, second, v6, end);

    auto_netset sum = {0};

    netset_add_set(&sum, &s);
    netset_add_set(&sum, &other);
    netset_remove_set(&s, &other);
    for (unsigned i = 0; i < SPACE; i++) {
        second[i] |= model[i];
    }
    agree(&sum, second, v6, end);
    netset_remove_set(&sum, &s);
    netset_add_set(&sum, &s);
    agree(&sum, second, v6, end);
}

static void sets_do_what_a_bit_for_each_address_does(void)
{
    for (unsigned i = 0; i < 300; i++) {
        one_round(i & 1, i & 2);
    }
}

struct pieces {
    struct netset s;
    unsigned n;
};

static void piece(void *arg, const struct net_ip *a, unsigned len)
{
    struct pieces *p = arg;
    struct net_range r = net_prefix(a, len);

    CHECK(net_ip_cmp(&r.first, a) == 0); /* aligned */
    CHECK(!netset_meets(&p->s, &r, NULL));
    netset_add(&p->s, &r);
    p->n++;
}

static void prefixes_of_a_range_are_the_fewest(void)
{
    static const struct {
        const char *s;
        unsigned n;
    } cases[] = {
        {"10.0.0.0/24", 1},
        {"10.0.0.1-10.0.0.5", 3},
        {"0.0.0.0/0", 1},
        {"0.0.0.1-255.255.255.254", 62},
        {"255.255.255.255", 1},
        {"::/0", 1},
        {"::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 254},
        {"2001:db8::ffff:ffff:ffff:ffff-2001:db8:0:1::", 2},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pieces p = {0};
        struct net_range r = range(cases[i].s);
        auto_netset want = {0};

        netset_add(&want, &r);
        net_range_prefixes(&r, piece, &p);
        CHECK_INT(p.n, cases[i].n);
        CHECK(netset_equal(&p.s, &want));
        netset_done(&p.s);
    }
}

TESTS(addresses_have_one_spelling, socket_addresses_are_folded,
      ranges_are_read_strictly_and_printed_short, sets_merge_neighbours_and_stay_sorted,
      the_ends_of_the_space_do_not_overflow, carries_go_from_the_low_half_to_the_high_one,
      what_is_outside_is_the_first_part, sets_do_what_a_bit_for_each_address_does,
      prefixes_of_a_range_are_the_fewest)
