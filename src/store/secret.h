/* secret - makes API keys: what the client keeps, and what the store remembers of it. */
#pragma once

#include "store/store.h"

enum { SECRET_TEXT = 46 }; /* "sp_" and 256 random bits in base64url */

/* Fills k (id, name, hash, created_us, all scopes, no expiry, no quota: the caller narrows it);
 * `secret` is shown once and never stored. */
void key_make(const char *name, char secret[SECRET_TEXT + 1], struct key *k);
