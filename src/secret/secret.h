/*
 * secret - named secrets: loaded at start by the process that needs them, used by name in requests,
 * never shown.
 *
 * Sources, the first that has the name wins: the directory of the setting `secrets-dir` and that of
 * systemd ($CREDENTIALS_DIRECTORY), one file a secret, its name the file's; environment variables
 * SCANPOD_SECRET_NAME (upper case, '-' as '_'), which are removed from the environment. Files must
 * belong to root or to us and be closed to others (systemd's are). A name: [a-z][a-z0-9-]{0,62};
 * files whose names begin with '.' are not looked at, and in systemd's directory, which may have
 * credentials for other ends, none with another name. A line end at the end is not part of it. At
 * most 64 KiB each, 1 MiB together, 1,000 secrets. The memory is locked where the system lets us,
 * left out of core dumps, and zeroed at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct secrets;

enum { SECRET_MAX = 64 << 10, SECRETS_MAX = 1000, SECRETS_BYTES_MAX = 1 << 20 };

/* ERR_INVALID, ERR_LIMIT: name a file that is not acceptable and what to do. dir NULL: only the
 * others. */
int secrets_load(const char *dir, struct secrets **out, struct err *e);
void secrets_free(struct secrets *s);
/* A forked child that keeps them calls it: what is locked is not inherited. */
void secrets_lock(struct secrets *s);
/* Whether children that are forked from now on have them; if not (before exec, too) they see
 * zeroes. At first they do not. NULL is fine. */
void secrets_share(struct secrets *s, bool on);
size_t secrets_count(const struct secrets *s);               /* NULL: 0 */
const char *secrets_name(const struct secrets *s, size_t i); /* by name */
/* Borrowed, NUL-terminated; NULL: there is none of that name. `n` may be NULL, and s. */
const char *secrets_get(const struct secrets *s, const char *name, size_t *n);
bool secret_name_ok(const char *name);
/*
 * Text with every known secret of 8 bytes or more (also as it is in URLs, JSON and base64) replaced
 * by "[secret NAME]". Returns how many there were. For whatever leaves: errors of programs, logs.
 */
size_t secrets_redact(const struct secrets *s, const char *text, size_t n, struct buf *out);
