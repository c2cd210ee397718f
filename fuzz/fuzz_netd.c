/*
 * Messages between runner and netd: what is accepted is what the other side could have written (it
 * is written again, to the same bytes), and its ranges are a set. Input: type (u8), length (u16,
 * little-endian), body, and so on.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "netd/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void same(const struct buf *b, const uint8_t *body, size_t n)
{
    assert(b->len == n && memcmp(b->data, body, n) == 0);
}

static void check_up(const struct up_ask *up, const uint8_t *body, size_t n)
{
    struct netset counted = {.n = up->n_ranges};
    const struct netd_ask ask = {.run = up->run,
                                 .raw = up->raw,
                                 .targets = &counted,
                                 .has_dns = up->has_dns,
                                 .dns = up->dns,
                                 .rate_pps = up->rate_pps,
                                 .dedicated = up->dedicated};
    auto_buf again = {0};

    assert(up->n_ranges > 0 && up->n_ranges <= NETD_RANGES_MAX && up->targets.n == 0);
    up_put(&again, &ask);
    same(&again, body, n);
}

static void check_ranges(const struct up_ask *up)
{
    const struct netset *t = &up->targets;

    assert(t->n > 0 && t->n <= up->n_ranges);
    for (size_t i = 0; i < t->n; i++) {
        assert(t->v[i].first.v6 == t->v[i].last.v6);
        assert(net_ip_cmp(&t->v[i].first, &t->v[i].last) <= 0);
        assert(i == 0 || net_ip_cmp(&t->v[i - 1].last, &t->v[i].first) < 0);
    }
}

static void check_answers(uint8_t type, struct wire w, const uint8_t *body, size_t n)
{
    auto_buf again = {0};
    struct netd_ready ready;
    struct up_answer answer;
    struct egress_counts counts;
    uint64_t run;

    if (type == NETD_READY && netd_ready_get(&w, &ready)) {
        netd_ready_put(&again, &ready);
        same(&again, body, n);
    } else if (type == NETD_UP_DONE && answer_get(&w, &answer)) {
        answer_put(&again, &answer);
        same(&again, body, n);
    } else if (type == NETD_COUNTS && counts_get(&w, &run, &counts)) {
        counts_put(&again, run, &counts);
        same(&again, body, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct up_ask up = {0};
    bool asking = false;

    while (n >= 3) {
        uint8_t type = data[0];
        size_t len = MIN((size_t)(data[1] | data[2] << 8), n - 3);
        auto_free uint8_t *body = xmalloc(len + 1); /* of its own: reading beyond it is seen */
        struct wire w = {.p = body, .end = body + len};

        memcpy(body, data + 3, len);
        data += 3 + len;
        n -= 3 + len;
        if (type == NETD_UP && !asking) {
            asking = up_get(&w, &up);
            if (asking) {
                check_up(&up, body, len);
            }
        } else if (type == NETD_RANGES && asking) {
            asking = ranges_get(&w, &up);
            if (asking) {
                check_ranges(&up);
            } else {
                up_done(&up); /* as the end of a session does */
            }
        } else {
            check_answers(type, w, body, len);
        }
    }
    up_done(&up);
    return 0;
}
