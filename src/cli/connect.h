/*
 * connect - which server a command talks to, and with which key.
 *
 * Server: --server, SCANPOD_SERVER, else where a local server listens by its settings.
 * Key: --key-file, SCANPOD_API_KEY_FILE, SCANPOD_API_KEY, the settings, else DATA_DIR/key.
 * Trust for https: --ca-file, else DATA_DIR/tls/cert.pem for this machine if it is there, else the
 * system's certificates.
 */
#pragma once

#include "cli/cli.h"

/* Settings from the flags of that name, the environment and files. *out is owned by the caller,
 * also after an error: then it holds what was read until there. */
int connect_settings(const struct args *a, struct option_set **out, struct err *e);
/* Whether a server would start with them; the message says what is wrong. */
int connect_settings_check(const struct args *a, struct err *e);
/* What to do about "not signed in". Caller frees; may be NULL. */
char *connect_key_hint(struct cli *c);
/* The URL of a local server that listens at `where`. Caller frees. */
char *connect_local_url(const char *where, bool tls);
/* DATA_DIR/name; NULL if there is no data directory. Caller frees. */
char *connect_data_path(struct cli *c, const char *name);
/* The server as cli_client() would choose it. Caller frees. */
char *connect_server(struct cli *c);
/* Reads a key from a file: its first line. Caller frees (and wipes). */
int connect_read_key(const char *path, char **out, struct err *e);
