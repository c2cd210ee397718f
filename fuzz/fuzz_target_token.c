/*
 * One target and its pins: no name is one that inet_aton() takes for a number, no address is
 * another one to inet_aton(), and pins read as they were written. The first line is the token.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "model/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void same_to_others(const char *token, const struct target_set *t)
{
    struct in_addr in;

    for (size_t i = 0; i < t->n_pins; i++) {
        assert(!inet_aton(t->pins[i].name, &in));
    }
    if (t->addresses.n && inet_aton(token, &in)) {
        const struct net_range *r = &t->addresses.v[0];

        assert(t->addresses.n == 1 && r->first.lo == ntohl(in.s_addr) && r->last.lo == r->first.lo);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_free char *text = xstrndup((const char *)data, n);
    char *pins = strchr(text, '\n');
    auto_targets t = {0};
    auto_buf once = {0}, twice = {0};
    struct err e = {0};

    if (pins) {
        *pins++ = '\0';
    }
    if (target_add(&t, text, &e) < 0) {
        assert(e.code == ERR_INVALID && !t.addresses.n && !t.n_pins);
        return 0;
    }
    assert((t.addresses.n > 0) != (t.n_pins > 0));
    same_to_others(text, &t);
    if (pins && pins_apply(&t, pins, &e) == 0) {
        pins_put(&t, &once);
        assert(pins_apply(&t, once.len ? once.data : "", &e) == 0);
        pins_put(&t, &twice);
        assert(str_eq(once.data, twice.data));
    }
    return 0;
}
