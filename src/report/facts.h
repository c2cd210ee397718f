/*
 * facts - what a report says of the job and of a host in words, the same in all formats; and the
 * JSON members of results, taken apart. For src/report only.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "model/host.h"
#include "model/job.h"

/* A member of a host, port or job; NULL when it is not there or no JSON. json_decref() it. */
json_t *facts_json(const char *text);
/* A string or a number as text, in `number` if it must be; NULL: neither. */
enum { FACTS_NUMBER = 32 };
const char *facts_text(const json_t *v, char number[FACTS_NUMBER]);

/* "Sat Nov 21 22:12:08 2026", UTC, as nmap writes times. */
enum { FACTS_TIME = 32 };
void facts_time(int64_t s, char out[FACTS_TIME]);

/* Label, value, label, value, ... of the job: tool, targets, times, coverage. */
void facts_job(const struct job *j, struct strvec *rows);
/* Notes and flagged hosts of a planned job's summary. */
void facts_notes(const struct job *j, struct strvec *notes);
/* How it was asked for, as a command. */
void facts_command(const struct job *j, struct buf *out);

/* The MAC address among the addresses; NULL: none. */
const struct host_addr *facts_mac(const struct host *h);
/* The best guess of the operating system; nothing if there is none. */
void facts_os(const struct host *h, struct buf *out);
/* Calls back with what is known of the host itself, label by label; value is "" or NULL where
 * nothing is. */
void facts_host(const struct host *h,
                void (*item)(struct buf *out, const char *label, const char *value),
                struct buf *out, struct buf *scratch);
/* "OpenSSH 8.2 (protocol 2.0)"; nothing if there is none. */
void facts_version(const struct port *p, struct buf *out);
/* "ssl/http"; nothing if there is none. */
void facts_service(const struct port *p, struct buf *out);
/* Calls back with each script of a JSON list; output is never NULL. */
void facts_scripts(const char *list,
                   void (*fn)(void *arg, const char *id, const char *output, size_t n), void *arg);
/* A port's banner that stands among its rare members (masscan), where no script tells it. */
bool facts_banner(const struct port *p, struct buf *out);
