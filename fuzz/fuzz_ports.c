/*
 * Ports: what is accepted has no character beyond its grammar, and its canonical text means the
 * same ports and is its own canonical text.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_free char *text = xstrndup((const char *)data, n);
    uint32_t count[PORTS_PROTOCOLS], same[PORTS_PROTOCOLS];
    struct err e = {0};

    if (ports_parse(text, &e) < 0) {
        assert(e.code == ERR_INVALID && e.msg[0]);
        return 0;
    }
    assert(*text && text[0] != '-');
    assert(strspn(text, "0123456789,-:TUS") == strlen(text));
    auto_free char *once = ports_canonical(text);
    auto_free char *again = ports_canonical(once);

    assert(ports_parse(once, &e) == 0 && strcmp(once, again) == 0);
    ports_count(text, count);
    ports_count(once, same);
    for (int k = 0; k < PORTS_PROTOCOLS; k++) {
        assert(count[k] == same[k] && count[k] <= 65536);
    }
    assert(count[PORTS_TCP] + count[PORTS_UDP] + count[PORTS_SCTP] > 0);
    return 0;
}
