/*
 * syslog - events to a syslog server as well, in RFC 5424's form: by UDP (RFC 5426), TCP with octet
 * counting (RFC 6587), or a Unix socket (datagram, else stream).
 *
 * Never waits and never fails a caller: what does not go out at once waits in a buffer of 256 KiB
 * (TCP and streams), what does not fit is counted and told once the server takes something again. A
 * lost connection is made anew (1 s, doubling to 60 s). One for each process: it hangs on
 * log_also().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "event/loop.h"

/* syslog://HOST[:PORT] (or syslog+udp://), syslog+tcp://HOST[:PORT], syslog+unix:PATH; port 514, of
 * TCP 601. Owned. */
struct syslog_url {
    enum { SYSLOG_UDP, SYSLOG_TCP, SYSLOG_UNIX } kind;
    char *host, *path;
    uint16_t port;
};
int syslog_url_parse(const char *text, struct syslog_url *out, struct err *e);
void syslog_url_done(struct syslog_url *u);

struct syslog_stats {
    bool up;
    int64_t sent, dropped, reconnects;
};

struct syslog;
struct syslog_events {
    /* How to find the address of a host name without waiting; as struct redis_events has it. NULL:
     * only addresses. */
    void (*resolve)(void *arg, const char *host,
                    void (*found)(void *found_arg, const char *address), void *found_arg);
    void *arg;
};

/* Copies url. Never fails: a server that is away is dialled again. */
struct syslog *syslog_start(struct loop *l, const struct syslog_url *url,
                            const struct syslog_events *ev);
void syslog_stop(struct syslog *s); /* NULL is fine */
void syslog_stats(const struct syslog *s, struct syslog_stats *out);
