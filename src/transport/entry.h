/* entry - the fields of an entry of a stream, as hiredis hands them over. Private to transport/. */
#pragma once

struct redisReply;

/* fields: a list of names and values. NULL: there is none of that name, or it is no string. */
const struct redisReply *entry_field(const struct redisReply *fields, const char *name);
