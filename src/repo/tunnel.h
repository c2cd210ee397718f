/* tunnel - a connection through the proxy of the box (proxy/proxy.h). Private to repo/. */
#pragma once

#include <stdint.h>

enum { TUNNEL_WHY = 256 };

/*
 * Asks for a tunnel to host:port. Returns the status of the answer; 0: there was none. 200: *fd is
 * the tunnel, owned by the caller. Else why has the proxy's words, made fit to be shown. Blocks at
 * most half a minute.
 */
int tunnel_open(const char *host, uint16_t port, int *fd, char why[TUNNEL_WHY]);
