/*
 * remote - jobs on the server: found by a prefix of their id, followed, their results read.
 *
 * Each function prints its error and returns an exit status.
 */
#pragma once

#include <jansson.h>

#include "base/id.h"
#include "cli/cli.h"
#include "cli/client.h"

enum { PREFIX_MIN = 4 };

/* A full id (32 hex digits, or with dashes) or at least PREFIX_MIN hex digits of one. */
int remote_find(struct cli *c, const char *given, char out[ID_TEXT + 1]);
/* GET, POST or DELETE of /api/v1/scans/ID and what follows ("", "/cancel"). */
int remote_job_call(struct cli *c, const char *method, const char *id, const char *rest,
                    struct answer *a);
/* The object that an answer is, and the job of one; NULL after an error was printed. The caller
 * json_decref()s. */
json_t *remote_object(struct cli *c, const struct answer *a);
json_t *remote_job(struct cli *c, const struct answer *a);

/* Writes the answer's body to stdout, ended by a newline. */
void print_answer(const struct answer *a);
/* Writes the job's results in c->format; job_json is its own text. Warns of what is missing. */
int remote_results(struct cli *c, const char *id, const struct buf *job_json);

/* How to follow a job. */
enum follow { FOLLOW_SHOW, FOLLOW_SILENT };
/*
 * Waits until the job is terminal: its last state is then in *a, and 0 returned. --timeout and
 * Ctrl-C give STATUS_WAITED and STATUS_INTERRUPTED; a second Ctrl-C within 2 s cancels the job.
 */
int remote_follow(struct cli *c, const char *id, enum follow how, struct answer *a);
/* What follows a job that has ended: its results, its problem on stderr, its status. */
int remote_report(struct cli *c, const char *id, const struct answer *a);
/* What follows a submit, whose answer *a is: the job's id (--detach), or all of the above. */
int remote_submitted(struct cli *c, enum follow how, struct answer *a);

/* Calls fn with every item of a paged list until it returns non-zero, which is returned. `path`
 * has a query ("/api/v1/scans?limit=1000"). A failure is printed and *status set; then -1. */
int remote_each(struct cli *c, const char *path, int (*fn)(void *arg, json_t *item), void *arg,
                int *status);
