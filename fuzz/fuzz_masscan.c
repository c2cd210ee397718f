/* Output of masscan, in all forms. */
#include "parse_twice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    parse_twice(&parser_masscan, data, n);
    return 0;
}
