#include "model/host.h"

#include "tap.h"

static void strings_in_an_arena_are_copies_that_stay_where_they_are(void)
{
    enum { N = 20000 };
    struct arena *a = arena_new();
    char **all = xcalloc(N, sizeof *all);
    char text[32];

    for (int i = 0; i < N; i++) {
        int n = snprintf(text, sizeof text, "string %d", i);

        all[i] = arena_strn(a, text, (size_t)n);
    }
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "string %d", i);
        CHECK_STR(all[i], text);
    }
    free(all);
    arena_free(a);
}

static void an_arena_takes_strings_of_any_length_and_cuts_at_n(void)
{
    struct arena *a = arena_new();
    size_t big = 3 << 20;
    auto_free char *long_text = xmalloc(big);

    memset(long_text, 'x', big);
    CHECK_STR(arena_strn(a, "", 0), "");
    CHECK_STR(arena_strn(a, NULL, 0), "");
    CHECK_STR(arena_strn(a, "abcdef", 3), "abc");
    for (size_t n = 32 * 1024 - 64; n < 32 * 1024 + 8; n++) {
        CHECK_INT(strlen(arena_strn(a, long_text, n)), n);
    }
    CHECK_INT(strlen(arena_strn(a, long_text, big)), big);
    CHECK_STR(arena_strn(a, "after", 5), "after");
    arena_free(a);
}

static void a_reset_arena_counts_from_zero_and_reuses_its_first_block(void)
{
    struct arena *a = arena_new();
    const char *first = arena_strn(a, "first", 5);

    CHECK_INT(arena_used(a), 6);
    for (int i = 0; i < 10000; i++) {
        arena_strn(a, "twelve bytes", 12);
    }
    CHECK_INT(arena_used(a), 6 + 10000 * 13);
    arena_reset(a);
    CHECK_INT(arena_used(a), 0);
    CHECK(arena_strn(a, "again", 5) == first);
    arena_free(a);
    arena_free(NULL);
}

static void a_host_grows_to_all_ports_and_new_elements_are_unsaid(void)
{
    struct host h = {0};

    for (int i = 0; i < 65536; i++) {
        struct port *p = host_add_port(&h);

        CHECK_INT(p->conf, -1);
        CHECK_INT(p->reason_ttl, -1);
        CHECK(!p->service && !p->state && !p->has_service && p->number == 0);
        p->number = (uint16_t)i;
        p->conf = 3;
    }
    for (int i = 0; i < 1000; i++) {
        struct host_addr *a = host_add_addr(&h);
        struct host_name *n = host_add_name(&h);

        CHECK(!a->addr && !a->type && !a->vendor && !n->name && !n->type);
        a->addr = n->name = "x";
    }
    CHECK_INT(h.n_ports, 65536);
    for (int i = 0; i < 65536; i++) {
        CHECK_INT(h.ports[i].number, i);
    }
    CHECK_INT(h.n_addrs, 1000);
    CHECK_INT(h.n_names, 1000);
    host_done(&h);
    CHECK(!h.ports && !h.addrs && !h.names && !h.arena && h.n_ports == 0);
    host_done(&h);
}

static void add(struct host *h, const char *addr, const char *type)
{
    struct host_addr *a = host_add_addr(h);

    a->addr = addr;
    a->type = type;
}

static void the_address_of_a_host_is_ipv4_before_ipv6_before_mac(void)
{
    struct host h = {0};

    CHECK_STR(host_address(&h), NULL);
    add(&h, NULL, "ipv4");
    add(&h, "odd", NULL);
    CHECK_STR(host_address(&h), NULL);
    add(&h, "00:00:5E:00:53:01", "mac");
    CHECK_STR(host_address(&h), "00:00:5E:00:53:01");
    add(&h, "2001:db8::1", "ipv6");
    CHECK_STR(host_address(&h), "2001:db8::1");
    add(&h, "192.0.2.1", "ipv4");
    add(&h, "192.0.2.2", "ipv4");
    CHECK_STR(host_address(&h), "192.0.2.1");
    host_done(&h);
}

static void keys_of_addresses_sort_as_the_addresses_do(void)
{
    static const char *const order[] = {"0.0.0.0",     "9.255.0.1",    "10.0.0.2", "10.0.0.10",
                                        "10.0.1.0",    "255.0.0.1",    "::1",      "2001:db8::2",
                                        "2001:db8::a", "2001:db8:1::", "fe80::1"};
    static const char *const none[] = {"",          "00:11:22:33:44:55", "10.0.0",
                                       "a.example", "::ffff:10.0.0.1",   "10.0.0.1 "};
    uint8_t last[HOST_KEY] = {0}, key[HOST_KEY];

    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        CHECK(host_key(order[i], key));
        CHECK(memcmp(last, key, sizeof key) < 0);
        memcpy(last, key, sizeof key);
    }
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        CHECK(!host_key(none[i], key));
    }
    CHECK(!host_key(NULL, key));
    CHECK(host_key("10.1.2.3", key));
    CHECK(memcmp(key, (const uint8_t[HOST_KEY]){4, 10, 1, 2, 3}, HOST_KEY) == 0);
    CHECK(host_key("2001:db8::ff01", key));
    CHECK(memcmp(key, (const uint8_t[HOST_KEY]){6, 0x20, 1, 0xd, 0xb8, [15] = 0xff, [16] = 1},
                 HOST_KEY) == 0);
}

TESTS(keys_of_addresses_sort_as_the_addresses_do,
      strings_in_an_arena_are_copies_that_stay_where_they_are,
      an_arena_takes_strings_of_any_length_and_cuts_at_n,
      a_reset_arena_counts_from_zero_and_reuses_its_first_block,
      a_host_grows_to_all_ports_and_new_elements_are_unsaid,
      the_address_of_a_host_is_ipv4_before_ipv6_before_mac)
