/*
 * The URL of a Redis server. What is accepted can be shown, and what is shown is a URL of the same
 * place, without user and password.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "transport/redis.h"

enum { SHOWN_MAX = 4096 }; /* what redis_url_parse() takes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_free char *text = xstrndup((const char *)data, n);
    auto_buf shown = {0};
    struct redis_url u, again;
    struct err e = {0};

    if (redis_url_parse(text, &u, &e) != 0) {
        assert(e.code == ERR_INVALID && e.msg[0]);
        return 0;
    }
    assert(!u.host != !u.path && u.prefix && *u.prefix && u.db >= 0 && (u.path || u.port > 0));
    assert(!u.user || (*u.user && u.password));
    redis_url_text(&u, &shown);
    if (shown.len > SHOWN_MAX) { /* bytes that have to be encoded take three */
        redis_url_done(&u);
        return 0;
    }
    assert(redis_url_parse(shown.data, &again, &e) == 0);
    assert(!again.user && !again.password);
    assert(str_eq(u.host, again.host) && str_eq(u.path, again.path));
    assert(u.port == again.port && u.db == again.db && u.tls == again.tls);
    assert(str_eq(u.prefix, again.prefix));
    assert(str_eq(u.ca, again.ca) && str_eq(u.cert, again.cert) && str_eq(u.key, again.key));
    redis_url_done(&again);
    redis_url_done(&u);
    return 0;
}
