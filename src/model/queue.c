#include "model/queue.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

const char *const queue_kind_names[QUEUE_KINDS] = {"net",      "net-raw", "net-masscan",
                                                   "net-zmap", "repo",    "import"};

void queue_name(enum queue_kind kind, const char *zone, char out[QUEUE_MAX])
{
    snprintf(out, QUEUE_MAX, "%s%s%s", queue_kind_names[kind], zone && *zone ? "@" : "",
             zone ? zone : "");
}

static bool zone_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && !first);
}

int zone_check(const char *zone, struct err *e)
{
    size_t n = strlen(zone);
    bool good = n > 0 && n < ZONE_MAX;

    for (size_t i = 0; good && i < n; i++) {
        good = zone_char(zone[i], i == 0);
    }
    return good ? 0
                : err_set(e, ERR_INVALID,
                          "zone '%.64s': a zone has 1 to %d of a-z, 0-9 and -, and does not begin "
                          "with -",
                          zone, ZONE_MAX - 1);
}

int queue_parse(const char *name, enum queue_kind *kind, char zone[ZONE_MAX], struct err *e)
{
    const char *at = strchr(name, '@');
    size_t n = at ? (size_t)(at - name) : strlen(name);

    for (int k = 0; k < QUEUE_KINDS; k++) {
        if (strlen(queue_kind_names[k]) == n && strncmp(queue_kind_names[k], name, n) == 0) {
            int rc = at ? zone_check(at + 1, e) : 0;

            if (rc == 0) {
                *kind = (enum queue_kind)k;
                snprintf(zone, ZONE_MAX, "%s", at ? at + 1 : "");
            }
            return rc;
        }
    }
    return err_set(e, ERR_INVALID, "there is no queue '%.64s'", name);
}
