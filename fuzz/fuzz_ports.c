/* Ports: what is accepted has no character beyond its grammar and counts between 1 and 3 x 65536.
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
    struct err e = {0};
    uint32_t count;

    if (ports_parse(text, &e) < 0) {
        assert(e.code == ERR_INVALID && e.msg[0]);
        return 0;
    }
    assert(*text && text[0] != '-');
    assert(strspn(text, "0123456789,-:TUS") == strlen(text));
    count = ports_count(text);
    assert(count > 0 && count <= 3 * 65536);
    return 0;
}
