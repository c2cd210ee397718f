#include "store/place.h"

#include <string.h>

#include "store/store.h"

bool place_of_text(const char *address, uint8_t out[HOST_KEY])
{
    bool has = host_key(address, out);

    if (!has) {
        memset(out, 255, HOST_KEY);
    }
    return has;
}

bool place_of(const struct host *head, uint8_t out[HOST_KEY])
{
    return place_of_text(host_address(head), out);
}

size_t place_len(const uint8_t key[HOST_KEY])
{
    return key[0] == 4 ? 5 : key[0] == 6 ? HOST_KEY : 1;
}

int place_cmp(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;
    int order = memcmp(x->key, y->key, HOST_KEY);

    return order ? order : (x->seq > y->seq) - (x->seq < y->seq);
}

struct place place_after(const struct host_filter *f)
{
    struct place p = {.seq = 0};

    if (f->after_key) {
        memcpy(p.key, f->after_key, HOST_KEY);
        p.seq = f->after;
    }
    return p;
}
