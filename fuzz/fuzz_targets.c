/* Targets: what is accepted cannot be an option or a shell's word, and its count is bounded. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const allowed =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-/*:";
    auto_free char *text = xstrndup((const char *)data, n);
    auto_strvec tokens = {0};
    uint64_t addresses = 0;
    struct err e = {0};

    if (targets_parse(text, &tokens, &addresses, &e) < 0) {
        assert(e.code == ERR_INVALID && e.msg[0]);
        return 0;
    }
    assert(tokens.n > 0);
    assert(addresses >= tokens.n && addresses <= TARGET_ADDRESSES_MAX);
    for (size_t i = 0; i < tokens.n; i++) {
        const char *t = tokens.v[i];

        assert(t[0] != '\0' && t[0] != '-');
        assert(strspn(t, allowed) == strlen(t));
    }
    return 0;
}
