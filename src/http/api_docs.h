/* api_docs - openapi.json as the build embedded it. */
#pragma once

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_len;
