/*
 * bucket - so many calls a second, and at once as many as a second has: as in the packet filter.
 *
 * Who takes without asking goes into debt and waits for longer. Private to runner/.
 */
#pragma once

#include <stdint.h>

struct bucket {
    uint32_t rate;        /* a second; 0: not limited */
    int64_t millionths;   /* of what may be taken; negative: debt */
    int64_t filled_at_us; /* boot_us() */
};

void bucket_init(struct bucket *b, uint32_t rate, int64_t now_us);
void bucket_take(struct bucket *b);
/* How long until one may be taken; 0: now. */
int64_t bucket_wait_ms(struct bucket *b, int64_t now_us);
