/*
 * What passes between daemon and edge process, entries of streams, and addresses of brokers. Input:
 * a letter that says which, and the rest. What is accepted is written again to the same bytes.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "edge/edge_message.h"
#include "edge/edge_url.h"
#include "edge/edge_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void fuzz_wire(uint8_t which, const uint8_t *p, size_t n)
{
    struct wire w = {.p = p, .end = p + n};
    struct edge_verdict_in v;
    struct edge_message m;
    struct edge_result r;
    struct edge_note note;
    auto_buf again = {0};

    if (which == 'm' && edge_message_get(&w, &m)) {
        edge_message_put(&again, &m);
        assert(m.form <= EDGE_CELERY && strlen(m.body) <= EDGE_BODY_MAX);
    } else if (which == 'r' && edge_result_get(&w, &r)) {
        edge_result_put(&again, &r);
        assert(r.form <= EDGE_CELERY && r.state <= RESULT_FAILED);
    } else if (which == 'v' && edge_verdict_get(&w, &v)) {
        edge_verdict_put(&again, &v);
        assert(v.verdict <= EDGE_LATER);
    } else if (which == 'n' && edge_note_get(&w, &note)) {
        edge_note_put(&again, &note);
    }
}

/* Name, 0x1f, value, 0x1e, and so on. */
static void fuzz_fields(const char *p, size_t n)
{
    struct raw_field f[16];
    const char *end = p + n;
    auto_buf out = {0};
    size_t k = 0;

    while (p < end && k < ARRAY_LEN(f)) {
        const char *stop = memchr(p, 0x1e, (size_t)(end - p));
        const char *is;

        stop = stop ? stop : end;
        is = memchr(p, 0x1f, (size_t)(stop - p));
        is = is ? is : stop;
        f[k++] = (struct raw_field){.name = p,
                                    .n_name = (size_t)(is - p),
                                    .value = is < stop ? is + 1 : stop,
                                    .n_value = is < stop ? (size_t)(stop - is) - 1 : 0};
        p = stop < end ? stop + 1 : end;
    }
    edge_fields(f, k, &out);
}

static void fuzz_source(const char *text)
{
    struct edge_source s;
    struct edge_url u;
    struct err e;

    if (edge_source_parse(text, &s, &e) == 0) {
        assert(edge_url_parse(s.url, &u, &e) == 0);
        assert(u.amqp == (s.broker == BROKER_AMQP));
        edge_url_done(&u);
        edge_source_done(&s);
    } else {
        assert(e.code == ERR_INVALID);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_free char *text = NULL;

    if (n == 0) {
        return 0;
    }
    text = xstrndup((const char *)data + 1, n - 1);
    if (data[0] == 'f') {
        fuzz_fields((const char *)data + 1, n - 1);
    } else if (data[0] == 's') {
        fuzz_source(text);
    } else {
        fuzz_wire(data[0], data + 1, n - 1);
    }
    return 0;
}
