#include "parse/json_seed.h"

#include <jansson.h>
#include <sys/random.h>

void json_seed(void)
{
    size_t seed = 0;

    /* 0 would mean "look for one"; a collision costs time only, and a run has a limit. */
    json_object_seed(getrandom(&seed, sizeof seed, 0) == sizeof seed && seed ? seed : 1);
}
