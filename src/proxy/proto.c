#include "proxy/proto.h"

#include <string.h>

#include "base/mem.h"

static int gateways_check(const struct proxy_ask *ask, struct err *e)
{
    if (ask->n_gateways > GATEWAYS_MAX) {
        return err_set(e, ERR_LIMIT, "a run has at most %d gateways", GATEWAYS_MAX);
    }
    for (size_t i = 0; i < ask->n_gateways; i++) {
        int rc = proxy_gateway_check(&ask->gateways[i], e);

        if (rc != 0) {
            return rc;
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(ask->gateways[i].prefix, ask->gateways[k].prefix) == 0) {
                return err_set(e, ERR_INVALID, "gateway: prefix: '%s' is there twice",
                               ask->gateways[i].prefix);
            }
        }
    }
    return 0;
}

int open_put(struct buf *b, const struct proxy_ask *ask, struct err *e)
{
    int rc = proxy_allow_check(ask->allow, e);

    if (rc == 0) {
        rc = gateways_check(ask, e);
    }
    if (rc != 0) {
        return rc;
    }
    wire_u64(b, ask->run);
    wire_u64(b, ask->bytes_max ? ask->bytes_max : PROXY_BYTES);
    wire_u32(b, ask->connections_max ? ask->connections_max : PROXY_CONNECTIONS);
    wire_u32(b, (uint32_t)(ask->allow->n + ask->n_gateways));
    for (size_t i = 0; i < ask->allow->n; i++) {
        wire_u8(b, ENTRY_TUNNEL);
        wire_str(b, ask->allow->v[i]);
    }
    for (size_t i = 0; i < ask->n_gateways; i++) {
        wire_u8(b, ENTRY_GATEWAY);
        gateway_put(b, &ask->gateways[i]);
    }
    return b->len > CHAN_BODY_MAX ? err_set(e, ERR_LIMIT, "the proxy's list is too long") : 0;
}

static bool get_entry(struct wire *w, struct strvec *entries, struct gateway_list *gateways)
{
    uint8_t kind = wire_get_u8(w);
    const char *text;

    if (kind == ENTRY_GATEWAY) {
        return gateway_get(w, gateways);
    }
    if (kind != ENTRY_TUNNEL || !wire_get_str(w, &text, NULL) || !text) {
        return false;
    }
    strvec_push(entries, text);
    return true;
}

bool open_get(struct wire *w, struct open_in *in)
{
    auto_strvec entries = {0};
    bool ok;
    uint32_t n;

    *in = (struct open_in){.run = wire_get_u64(w)};
    in->bytes_max = wire_get_u64(w);
    in->connections_max = wire_get_u32(w);
    n = wire_get_u32(w);
    ok = !w->bad && n <= PROXY_ENTRIES_MAX + GATEWAYS_MAX;
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = get_entry(w, &entries, &in->gateways);
    }
    ok = ok && wire_end(w) && in->bytes_max > 0 && in->connections_max > 0 &&
         allow_parse(&entries, &in->allow, NULL) == 0;
    if (!ok) {
        gateways_done(&in->gateways);
    }
    return ok;
}

void tally_put(struct buf *b, uint64_t run, const struct proxy_counts *c)
{
    wire_u64(b, run);
    wire_u64(b, c->passed);
    wire_u64(b, c->refused);
    wire_u64(b, c->failed);
    wire_u64(b, c->bytes_up);
    wire_u64(b, c->bytes_down);
    wire_u64(b, c->api_requests);
    wire_u64(b, c->api_refused);
    wire_u64(b, c->input_tokens);
    wire_u64(b, c->output_tokens);
}

bool tally_get(struct wire *w, uint64_t *run, struct proxy_counts *c)
{
    *run = wire_get_u64(w);
    c->passed = wire_get_u64(w);
    c->refused = wire_get_u64(w);
    c->failed = wire_get_u64(w);
    c->bytes_up = wire_get_u64(w);
    c->bytes_down = wire_get_u64(w);
    c->api_requests = wire_get_u64(w);
    c->api_refused = wire_get_u64(w);
    c->input_tokens = wire_get_u64(w);
    c->output_tokens = wire_get_u64(w);
    return wire_end(w);
}
