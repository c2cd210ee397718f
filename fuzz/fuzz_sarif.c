/* SARIF, which other programs wrote. */
#include "parse_twice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    parse_twice(&parser_sarif, data, n);
    return 0;
}
