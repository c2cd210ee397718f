/*
 * secret - named secrets: loaded at start by the process that needs them, used by name in requests,
 * never shown.
 *
 * Sources, the first that has the name wins: the directory of the setting `secrets-dir` and that of
 * systemd ($CREDENTIALS_DIRECTORY), one file a secret, its name the file's; environment variables
 * SCANPOD_SECRET_NAME (upper case, '-' as '_'), which are removed from the environment. Files must
 * belong to root or to us and be closed to others (systemd's are). A name: [a-z][a-z0-9-]{0,62}. A
 * line end at the end is not part of it. At most 64 KiB, 1,000 secrets. The memory is locked where
 * the system lets us, left out of core dumps, and zeroed at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct secrets;

/* ERR_INVALID names a file that is not acceptable and what to do. dir NULL: only the others. */
int secrets_load(const char *dir, struct secrets **out, struct err *e);
void secrets_free(struct secrets *s);
size_t secrets_count(const struct secrets *s);
const char *secrets_name(const struct secrets *s, size_t i);
/* Borrowed, NUL-terminated; NULL: there is none of that name. */
const char *secrets_get(const struct secrets *s, const char *name, size_t *n);
bool secret_name_ok(const char *name);
/*
 * Text with every known secret of 8 bytes or more (also its URL-encoded and base64 forms) replaced
 * by "[secret NAME]". Returns how many there were. For whatever leaves: errors of programs, logs.
 */
size_t secrets_redact(const struct secrets *s, const char *text, size_t n, struct buf *out);
