/* amqp_table - a table of AMQP (the headers of a message) as JSON. Private to edge/. */
#pragma once

#include <amqp.h>
#include <jansson.h>

/* Owned by the caller. Bytes that are no text, and what nests too deeply, become null. */
json_t *amqp_table_json(const amqp_table_t *t);
