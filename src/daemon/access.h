/*
 * access - who may come in from where: the rules for listeners, and the first key.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/option.h"
#include "store/secret.h"
#include "store/store.h"

bool listen_is_local(const char *where); /* loopback address or unix: */
/* Refuses to listen beyond loopback without TLS, or with the old service's default key. */
int access_check(const struct option_set *settings, struct err *e);

/* Makes the first key and writes it to DIR/key (0600) unless there are keys. *made: its text is in
 * `secret`. Commits. */
int key_first(struct store *s, const char *dir, char secret[SECRET_TEXT + 1], bool *made,
              struct err *e);
