/* entry - entries of a stream: their fields as hiredis hands them over, and their end. Private to
 * transport/. */
#pragma once

#include "base/buf.h"

struct redis;
struct redisReply;

/* fields: a list of names and values. NULL: there is none of that name, or it is no string. */
const struct redisReply *entry_field(const struct redisReply *fields, const char *name);
/* They are acknowledged in the group, and removed. None is fine. */
void entries_done(struct redis *r, const char *key, const char *group, const struct strvec *ids);
