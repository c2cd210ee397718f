/* How many connections each address has. IPv6 counts by /64: one host easily has many addresses. */
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "http/conn.h"

static void key_of(const struct sockaddr *sa, unsigned char *key)
{
    memset(key, 0, PEER_KEY);
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;

        if (!IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            memcpy(key, &in6->sin6_addr, 8);
            return;
        }
        memcpy(key + 4, &in6->sin6_addr.s6_addr[12], 4);
    } else {
        const struct sockaddr_in *in = (const void *)sa;

        memcpy(key + 4, &in->sin_addr, 4);
    }
    key[0] = 0xff; /* no unicast /64 of IPv6 begins so */
}

static struct peer **bucket_of(struct http_server *s, const unsigned char *key)
{
    uint32_t h = 2166136261u;

    for (unsigned i = 0; i < PEER_KEY; i++) {
        h = (h ^ key[i]) * 16777619u;
    }
    return &s->peers[(h ^ h >> 16) % PEER_BUCKETS];
}

struct peer *peer_take(struct http_server *s, const struct sockaddr *sa, uint32_t max)
{
    unsigned char key[PEER_KEY];
    struct peer **bucket, *p;

    key_of(sa, key);
    bucket = bucket_of(s, key);
    for (p = *bucket; p && memcmp(p->key, key, PEER_KEY) != 0;) {
        p = p->next;
    }
    if (p && max && p->n >= max) {
        return NULL;
    }
    if (!p) {
        p = xcalloc(1, sizeof *p);
        memcpy(p->key, key, PEER_KEY);
        p->next = *bucket;
        *bucket = p;
    }
    p->n++;
    return p;
}

void peer_drop(struct http_server *s, struct peer *p)
{
    struct peer **at;

    if (!p || --p->n) {
        return;
    }
    for (at = bucket_of(s, p->key); *at != p;) {
        at = &(*at)->next;
    }
    *at = p->next;
    free(p);
}
