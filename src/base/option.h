/*
 * option - every setting is one row: read by the configuration file, the environment, the command
 * line, `config show`, and the documentation.
 *
 * Order of precedence: flag, environment, file (`.env` in the working directory for the variables
 * of the old service, then /etc/scanpod/scanpod.conf), default. A value out of bounds is refused
 * with the row's name, the value, where it came from and the bounds.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum option_type { OPT_STR, OPT_INT, OPT_BOOL, OPT_ENUM };
enum option_origin { FROM_DEFAULT, FROM_FILE, FROM_ENV, FROM_FLAG };

struct option {
    const char *name; /* flag without dashes: "data-dir"; in the file the same */
    const char *env;  /* SCANPOD_DATA_DIR */
    const char *env2; /* another name of an older system, or NULL */
    enum option_type type;
    const char *def;    /* text of the default; NULL: not set */
    int64_t min, max;   /* OPT_INT */
    const char *values; /* OPT_ENUM: "text|json" */
    bool secret;        /* never shown */
    bool dotenv;        /* its `env` name is also read from ./.env */
    const char *help;
};

struct option_set; /* values for one table */

/* `table` ends with a row whose name is NULL and outlives the set. Its defaults must be valid. */
struct option_set *option_set_new(const struct option *table);
void option_set_free(struct option_set *s);
/*
 * Each refuses a value that the row does not allow. An unknown name is ERR_NOT_FOUND. A value from
 * a weaker origin is checked and dropped; of two from the same origin the later one counts. An
 * empty string unsets an OPT_STR without a default, and is refused for other rows.
 * `where` is copied: "--max-jobs", "SCANPOD_MAX_JOBS", "FILE:12".
 */
int option_put(struct option_set *s, const char *name, const char *value, enum option_origin from,
               const char *where, struct err *e);
/* Empty variables count as absent. `env` wins over `env2`. */
int option_read_env(struct option_set *s, struct err *e);
/*
 * KEY=VALUE lines, '#' comments, optional quotes. A missing file is ERR_NOT_FOUND.
 * A configuration file has row names as keys; an unknown one is refused with its line. A `.env`
 * (dotenv) has the `env` names of the rows marked so, with or without `export`; the rest of it
 * belongs to others and is ignored, as is a `.env` that is not a regular file. One that belongs
 * to another user than us and root is refused.
 */
int option_read_file(struct option_set *s, const char *path, bool dotenv, struct err *e);

const char *option_str(const struct option_set *s, const char *name); /* NULL if not set */
int64_t option_int(const struct option_set *s, const char *name);     /* must be set */
bool option_bool(const struct option_set *s, const char *name);
bool option_is_set(const struct option_set *s, const char *name);
enum option_origin option_from(const struct option_set *s, const char *name, const char **where);
