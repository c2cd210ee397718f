#include "daemon/transport_url.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *from_environment(void *arg, const char *name)
{
    (void)arg;
    return getenv(name);
}

int transport_url(const struct option_set *settings, bool needed, struct redis_url *out, bool *has,
                  struct err *e)
{
    const char *text = option_str(settings, "transport");
    auto_free char *found = NULL;
    int rc = 0;

    *has = false;
    if (text ? strcmp(text, "local") == 0 : !needed) {
        return needed ? err_set(e, ERR_INVALID, "a worker needs a transport: --transport URL") : 0;
    }
    if (!text || strcmp(text, "redis") == 0) {
        rc = redis_url_from_env(from_environment, NULL, &found, e);
        if (rc == 0 && !found) {
            rc = err_set(e, ERR_INVALID,
                         "no transport is named: set --transport redis://HOST[:PORT][/DB], "
                         "SCANPOD_TRANSPORT or REDIS_URL");
        }
        text = found;
    }
    if (rc == 0) {
        rc = redis_url_parse(text, out, e);
    }
    *has = rc == 0;
    return rc;
}
