/* allow - a run's list of where it may connect, and whether an address will do. Private to proxy/.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/netset.h"

/* Where a connection is to go: a name, in lower case, or an address. */
struct proxy_place {
    char *name; /* owned; NULL: `ip` */
    struct net_ip ip;
    uint16_t port;
};

void place_done(struct proxy_place *p);
/* "HOST:PORT", "[IPV6]:PORT". False: *why says what is wrong with it. */
bool place_parse(const char *text, struct proxy_place *out, const char **why);

struct allow_entry {
    struct proxy_place place;
    struct net_range *within; /* owned */
    size_t n_within;          /* 0: global addresses */
};

struct allow_list {
    struct allow_entry *v; /* owned */
    size_t n;
};

void allow_done(struct allow_list *l);
/* All of it, or nothing. */
int allow_parse(const struct strvec *entries, struct allow_list *out, struct err *e);
/* The entry of exactly that host and port; NULL: none. */
const struct allow_entry *allow_find(const struct allow_list *l, const struct proxy_place *to);
/* NULL if a connection of that entry may go to ip; else what ip is. */
const char *allow_refuses(const struct allow_entry *en, const struct net_ip *ip,
                          const struct netset *own);
