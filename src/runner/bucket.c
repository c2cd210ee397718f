#include "runner/bucket.h"

#include "base/mem.h"

enum { ONE = 1000000, BURST_MIN = 64 };

static int64_t burst(const struct bucket *b)
{
    return (int64_t)MAX(b->rate, BURST_MIN) * ONE;
}

void bucket_init(struct bucket *b, uint32_t rate, int64_t now_us)
{
    *b = (struct bucket){.rate = rate, .filled_at_us = now_us};
    b->millionths = burst(b);
}

void bucket_take(struct bucket *b)
{
    if (b->rate) {
        b->millionths -= ONE;
    }
}

int64_t bucket_wait_ms(struct bucket *b, int64_t now_us)
{
    int64_t missing_us = b->rate ? (burst(b) - b->millionths) / b->rate + 1 : 0;

    /* Compared before it is multiplied: a night without calls fills it, and no more. */
    if (now_us - b->filled_at_us >= missing_us) {
        b->millionths = burst(b);
    } else {
        b->millionths += (now_us - b->filled_at_us) * b->rate;
    }
    b->filled_at_us = now_us;
    if (!b->rate || b->millionths >= ONE) {
        return 0;
    }
    return (ONE - b->millionths) / ((int64_t)b->rate * 1000) + 1;
}
