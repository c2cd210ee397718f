/* Ports as sets of bits, and the chance that orders and samples them. */
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "plan/internal.h"

static const char letters[PROTOS] = {'T', 'U', 'S'};

void portset_add(struct portset *s, unsigned port)
{
    s->bits[port / 64 % PORT_WORDS] |= UINT64_C(1) << port % 64;
}

bool portset_has(const struct portset *s, unsigned port)
{
    return s->bits[port / 64 % PORT_WORDS] >> port % 64 & 1;
}

uint32_t portset_count(const struct portset *s)
{
    uint32_t n = 0;

    for (unsigned w = 0; w < PORT_WORDS; w++) {
        n += (uint32_t)__builtin_popcountll(s->bits[w]);
    }
    return n;
}

void portset_read(struct portset *s, const char *list, unsigned proto)
{
    int letter = -1; /* every protocol, until there is one */

    while (*list) {
        char *end;
        unsigned long low, high;

        for (unsigned k = 0; k < PROTOS; k++) {
            if (*list == letters[k] && list[1] == ':') {
                letter = (int)k;
                list += 2;
            }
        }
        low = strtoul(list, &end, 10);
        high = *end == '-' ? strtoul(end + 1, &end, 10) : low;
        if (end == list || high > UINT16_MAX) {
            return; /* not of ports_parse() */
        }
        for (unsigned long p = low; (letter < 0 || letter == (int)proto) && p <= high; p++) {
            portset_add(s, (unsigned)p);
        }
        list = *end == ',' ? end + 1 : end;
        if (*end && *end != ',') {
            return;
        }
    }
}

void portset_text(const struct portset *s, struct buf *out)
{
    bool first = true;

    for (unsigned p = 0; p <= UINT16_MAX; p++) {
        unsigned last = p;

        if (!s->bits[p / 64]) {
            p |= 63;
            continue;
        }
        if (!portset_has(s, p)) {
            continue;
        }
        while (last < UINT16_MAX && portset_has(s, last + 1)) {
            last++;
        }
        buf_addf(out, "%s%u", first ? "" : ",", p);
        if (last > p) {
            buf_addf(out, "-%u", last);
        }
        first = false;
        p = last;
    }
}

void ports_join(const struct portset s[PROTOS], unsigned protocols, struct buf *out)
{
    bool any = false;

    for (unsigned k = 0; k < PROTOS; k++) {
        auto_buf one = {0};

        if (protocols >> k & 1) {
            portset_text(&s[k], &one);
        }
        if (!one.len) {
            continue;
        }
        buf_adds(out, any ? "," : "");
        if (protocols != 1u << PROTO_TCP) {
            buf_addf(out, "%c:", letters[k]);
        }
        buf_add(out, one.data, one.len);
        any = true;
    }
}

uint32_t ports_of(const char *list, unsigned protocols)
{
    uint32_t n[PORTS_PROTOCOLS], sum = 0;

    ports_count(list, n);
    for (unsigned k = 0; k < PROTOS; k++) {
        sum += protocols >> k & 1 ? n[k] : 0;
    }
    return sum;
}

int proto_of(const char *word)
{
    static const char *const words[PROTOS] = {"tcp", "udp", "sctp"};

    for (unsigned k = 0; k < PROTOS; k++) {
        if (str_eq(word, words[k])) {
            return (int)k;
        }
    }
    return -1;
}

/* splitmix64 */
uint64_t chance_next(struct chance *c)
{
    uint64_t z = c->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t chance_below(struct chance *c, uint64_t n)
{
    return n ? chance_next(c) % n : 0;
}

uint64_t chance_hash(uint64_t seed, const void *p, size_t n)
{
    const uint8_t *b = p;
    struct chance c = {seed ^ UINT64_C(0xcbf29ce484222325)};

    for (size_t i = 0; i < n; i++) {
        c.state = (c.state ^ b[i]) * UINT64_C(0x100000001b3);
    }
    return chance_next(&c);
}
