#include "transport/entry.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "transport/redis.h"

const struct redisReply *entry_field(const struct redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const struct redisReply *k = fields->element[i], *v = fields->element[i + 1];

        if (k->type == REDIS_REPLY_STRING && v->type == REDIS_REPLY_STRING &&
            strcmp(k->str, name) == 0) {
            return v;
        }
    }
    return NULL;
}

void entries_done(struct redis *r, const char *key, const char *group, const struct strvec *ids)
{
    const char **argv;

    if (ids->n == 0) {
        return;
    }
    argv = xcalloc(ids->n + 3, sizeof *argv);
    argv[0] = "XACK";
    argv[1] = key;
    argv[2] = group;
    memcpy(argv + 3, ids->v, ids->n * sizeof *argv);
    redis_command(r, NULL, NULL, (int)ids->n + 3, argv, NULL);
    argv[1] = "XDEL";
    argv[2] = key;
    redis_command(r, NULL, NULL, (int)ids->n + 2, argv + 1, NULL);
    free(argv);
}
