/* How objects are named. */
#include "base/buf.h"
#include "base/mem.h"
#include "edge/depot.h"

char *depot_uri(const struct depot_config *c, const char *name)
{
    return str_fmt("s3://%s/%s%s%s", c->bucket, c->prefix ? c->prefix : "",
                   c->prefix && *c->prefix ? "/" : "", name);
}
