#include "proxy/proto.h"

#include "base/mem.h"

int open_put(struct buf *b, const struct proxy_ask *ask, struct err *e)
{
    int rc = proxy_allow_check(ask->allow, e);

    if (rc != 0) {
        return rc;
    }
    wire_u64(b, ask->run);
    wire_u64(b, ask->bytes_max ? ask->bytes_max : PROXY_BYTES);
    wire_u32(b, ask->connections_max ? ask->connections_max : PROXY_CONNECTIONS);
    wire_u32(b, (uint32_t)ask->allow->n);
    for (size_t i = 0; i < ask->allow->n; i++) {
        wire_u8(b, ENTRY_TUNNEL);
        wire_str(b, ask->allow->v[i]);
    }
    return b->len > CHAN_BODY_MAX ? err_set(e, ERR_LIMIT, "the proxy's list is too long") : 0;
}

bool open_get(struct wire *w, struct open_in *in)
{
    auto_strvec entries = {0};
    uint32_t n;

    *in = (struct open_in){.run = wire_get_u64(w)};
    in->bytes_max = wire_get_u64(w);
    in->connections_max = wire_get_u32(w);
    n = wire_get_u32(w);
    if (w->bad || n > PROXY_ENTRIES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        const char *text;

        if (wire_get_u8(w) != ENTRY_TUNNEL || !wire_get_str(w, &text, NULL) || !text) {
            return false;
        }
        strvec_push(&entries, text);
    }
    return wire_end(w) && in->bytes_max > 0 && in->connections_max > 0 &&
           allow_parse(&entries, &in->allow, NULL) == 0;
}

void tally_put(struct buf *b, uint64_t run, const struct proxy_counts *c)
{
    wire_u64(b, run);
    wire_u64(b, c->passed);
    wire_u64(b, c->refused);
    wire_u64(b, c->failed);
    wire_u64(b, c->bytes_up);
    wire_u64(b, c->bytes_down);
}

bool tally_get(struct wire *w, uint64_t *run, struct proxy_counts *c)
{
    *run = wire_get_u64(w);
    c->passed = wire_get_u64(w);
    c->refused = wire_get_u64(w);
    c->failed = wire_get_u64(w);
    c->bytes_up = wire_get_u64(w);
    c->bytes_down = wire_get_u64(w);
    return wire_end(w);
}
