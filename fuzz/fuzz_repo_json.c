/* What the box of a repository scan writes. */
#include "parse_twice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    parse_twice(&parser_repo, data, n);
    return 0;
}
