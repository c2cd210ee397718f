/* edge_name - names of queues, keys and tasks that strangers may choose. Private to edge/. */
#pragma once

#include <stdbool.h>

enum { EDGE_QUEUE_MAX = 200, EDGE_TEXT_MAX = 255 };

/* 1 to 255 of A-Z a-z 0-9 . _ : - and + / = @, which RabbitMQ puts into its own names. */
bool edge_name_ok(const char *s);
/* Ours alone: the prefix "scanpod:", and what belongs to the queue of requests (NULL: none). */
bool edge_name_is_ours(const char *s, const char *queue);
/* 1 to 255 printable characters, valid UTF-8. */
bool edge_text_ok(const char *s);
