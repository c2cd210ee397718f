/* pair - a self-signed P-256 certificate and its key, as PEM; and a look at one that exists. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct pair {
    struct buf cert, key; /* owned */
    char fingerprint[65]; /* SHA-256 of the certificate */
};

/* For localhost, 127.0.0.1, ::1, this machine's name, and `extra` (a name or an address; NULL). */
int pair_make(const char *extra, unsigned days, struct pair *out, struct err *e);
void pair_done(struct pair *p); /* wipes the key */

/* Reads both files and compares them. *expires_s: epoch seconds. */
int pair_check(const char *cert_file, const char *key_file, int64_t *expires_s, struct err *e);
