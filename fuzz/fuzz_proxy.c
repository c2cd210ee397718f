/*
 * The head of a request to the proxy, and an entry of its list. A head is taken when it is whole
 * and not before, whatever follows it; what it names is no spelling that means something else to
 * others; an entry finds itself, and lifts no hard denial from outside.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "policy/hard.h"
#include "proxy/allow.h"
#include "proxy/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Written and read again it is the same. */
static void check_place(const struct proxy_place *p)
{
    const struct allow_entry one = {.place = *p};
    const struct allow_list list = {.v = (struct allow_entry *)(uintptr_t)&one, .n = 1};
    struct proxy_place again;
    char text[NET_TEXT];
    auto_buf b = {0};
    struct in_addr in;
    const char *why;
    bool ok;

    net_ip_text(&p->ip, text);
    assert(p->port > 0 && (!p->name || !inet_aton(p->name, &in)));
    buf_addf(&b, p->name || !p->ip.v6 ? "%s:%u" : "[%s]:%u", p->name ? p->name : text, p->port);
    ok = place_parse(b.data, &again, &why);
    assert(ok && allow_find(&list, &again) == &one);
    place_done(&again);
}

static void check_head(const char *text, size_t n)
{
    struct proxy_place to;
    const char *why = NULL;
    auto_buf answer = {0};
    size_t len = 0, more;
    int status = head_parse(text, n, &to, &len, &why);

    if (status == 200) {
        assert(len <= n && len <= HEAD_MAX && memcmp(text + len - 4, "\r\n\r\n", 4) == 0);
        check_place(&to);
        place_done(&to);
        assert(head_parse(text, len - 1, &to, &more, &why) == 0);
        assert(head_parse(text, len, &to, &more, &why) == 200 && more == len);
        place_done(&to);
    } else if (status != 0) {
        assert(status == 400 || status == 405 || status == 431);
        assert(why && !strpbrk(why, "\r\n"));
        head_refusal(&answer, status, why);
        assert(str_starts(answer.data, "HTTP/1.1 4"));
    } else {
        assert(n < HEAD_MAX);
    }
}

static void check_entry(const char *text)
{
    auto_strvec entries = {0};
    struct allow_list list;
    struct netset own = {0};

    strvec_push(&entries, text);
    if (allow_parse(&entries, &list, NULL) != 0) {
        return;
    }
    check_place(&list.v[0].place);
    for (const struct hard_row *h = hard_rows(); h->why; h++) {
        bool lifted = false;

        for (size_t i = 0; i < list.v[0].n_within; i++) {
            lifted = lifted || net_range_has(&h->range, &list.v[0].within[i].first);
        }
        assert(lifted || allow_refuses(&list.v[0], &h->range.first, &own));
        assert(lifted || allow_refuses(&list.v[0], &h->range.last, &own));
    }
    allow_done(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_free char *text = xmalloc(n + 1); /* of its own: reading beyond it is seen */

    memcpy(text, data, n);
    text[n] = '\0';
    check_entry(text);
    text = xrealloc(text, n ? n : 1);
    check_head(text, n);
    return 0;
}
