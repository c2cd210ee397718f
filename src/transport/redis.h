/*
 * redis - a connection to a Redis server in our loop: pipelined commands, answers as call-backs,
 * reconnection with back-off, authentication, and a check of what kind of server it is.
 *
 * hiredis does the wire format. Nothing here blocks. A connection that was lost is made anew by
 * itself (100 ms, doubling to 5 s, jitter); commands that were under way are answered with a NULL
 * reply, once, and are not repeated: whoever sent them knows whether to.
 *
 * A server that owes an answer and from which nothing comes for 10 s is lost, too (one that owes
 * nothing is asked every 5 s): no command may block there for longer than 5 s. So is one that sends
 * what nobody asked for, or a reply of more than 256 MiB or 4 million elements.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "event/loop.h"

/* redis://[[USER]:PASSWORD@]HOST[:PORT][/DB][?prefix=P]; rediss:// the same by TLS, with
 * [&ca=FILE&cert=FILE&key=FILE]; unix:PATH or unix://[[USER]:PASSWORD@]PATH with
 * [?db=N&prefix=P]. Parts are percent-decoded. */
struct redis_url {
    bool tls;
    char *host, *path; /* one of them */
    uint16_t port;
    int db;
    char *user, *password; /* NULL: none */
    char *prefix;          /* of all keys; default "scanpod:" */
    char *ca, *cert, *key; /* files, PEM: rediss:// only; NULL: the system's authorities, none */
};
/* ERR_INVALID says what is wrong without showing the password. redis_url_done() it. */
int redis_url_parse(const char *text, struct redis_url *out, struct err *e);
void redis_url_copy(const struct redis_url *from, struct redis_url *to); /* *to is no URL yet */
void redis_url_done(struct redis_url *u);
/* For logs: without user and password. */
void redis_url_text(const struct redis_url *u, struct buf *out);
/* From the environment: REDIS_URL, or else what REDIS_HOST and its likes say, as a URL that
 * redis_url_parse() takes. get() is getenv(). The caller frees *url_text, which holds the password;
 * NULL: neither is set. ERR_INVALID names the variable. */
int redis_url_from_env(const char *(*get)(void *arg, const char *name), void *arg, char **url_text,
                       struct err *e);

struct redisReply; /* hiredis */
struct redis;

struct redis_events {
    /* Connected, authenticated, looked at: commands may be sent. */
    void (*up)(void *arg);
    /* Lost, or could not be made: `why` says it for a person, without secrets. Called once for each
     * loss, after the NULL replies, and again only when the reason becomes another one. */
    void (*down)(void *arg, const char *why);
    /* Host names: how to find an address (numeric text) without waiting; calls found() later with
     * NULL if there is none. NULL member: only addresses are allowed. */
    void (*resolve)(void *arg, const char *host,
                    void (*found)(void *found_arg, const char *address), void *found_arg);
    void *resolve_arg; /* its arg; the others have `arg` */
    void *arg;
};

/* Copies url. Begins to connect in the next turn. ERR_INVALID: a name where there is no `resolve`,
 * or a file of TLS that does not do; ERR_NOT_FOUND: GnuTLS is not installed. redis_free() is fine
 * in any call-back. */
int redis_new(struct loop *l, const struct redis_url *url, const struct redis_events *ev,
              struct redis **out, struct err *e);
void redis_free(struct redis *r); /* no call-backs any more */
bool redis_is_up(const struct redis *r);

/* `reply` NULL: the connection was lost, or never was. Borrowed for the call. */
typedef void (*redis_fn)(void *arg, const struct redisReply *reply);
/* argv as hiredis wants it; lens NULL: texts. fn NULL: the answer does not count. Queued: what is
 * sent in one turn leaves in one write after its end. A command while the connection is down is
 * answered with NULL soon, never from inside this call. */
void redis_command(struct redis *r, redis_fn fn, void *arg, int argc, const char **argv,
                   const size_t *lens);
/* "%s" text, "%b" bytes with size_t length, "%lld". */
void redis_cmd(struct redis *r, redis_fn fn, void *arg, const char *format, ...);
size_t redis_queued(const struct redis *r); /* bytes that are not yet written */

/* What the server said of itself when it was connected to. */
struct redis_server {
    char version[32];
    int major, minor;
    bool evicts; /* maxmemory-policy is not noeviction: entries may vanish */
    bool replica;
    bool hidden; /* CONFIG is not allowed: `aof` is a guess */
    enum { REDIS_NO_AOF, REDIS_AOF_NO, REDIS_AOF_EVERYSEC, REDIS_AOF_ALWAYS } aof;
    char run_id[48];
};
const struct redis_server *redis_server(const struct redis *r);
/*
 * Is it fit to carry tasks? 0; or ERR_SCOPE with what to change: older than 6.2, it
 * evicts, or it is a replica.
 * *warn (caller frees, NULL: none): what is not wise, such as no persistence.
 */
int redis_server_check(const struct redis_server *s, char **warn, struct err *e);
