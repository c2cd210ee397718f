/*
 * transport_url - which transport the settings name.
 */
#pragma once

#include "base/err.h"
#include "base/option.h"
#include "transport/redis.h"

/*
 * Setting `transport`: a URL, or the word "redis" for what REDIS_URL, or REDIS_HOST, REDIS_PORT,
 * REDIS_DB and REDIS_PASSWORD say. *has is false where it is not set (or "local") and `needed` is
 * not: then *out is untouched. With `needed` the environment counts without the word, too;
 * ERR_INVALID tells how to name one. redis_url_done() *out.
 */
int transport_url(const struct option_set *settings, bool needed, struct redis_url *out, bool *has,
                  struct err *e);
