#include "transport/entry.h"

#include <hiredis/hiredis.h>
#include <string.h>

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
