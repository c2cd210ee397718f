/* gateway - what a gateway is, what it lets through, and what it makes of a request and an answer.
 * Private to proxy/. */
#pragma once

#include "ipc/chan.h"
#include "proxy/allow.h"
#include "proxy/message.h"
#include "proxy/proxy.h"
#include "secret/leak.h"
#include "secret/secret.h"

enum { GATEWAYS_MAX = 8 /* of one run */ };

struct gateway {
    enum gateway_kind kind;
    char *prefix, *path, *ca_file, *secret, *username; /* owned; path may be "" */
    struct allow_list upstream;                        /* one entry */
    bool tls;
    uint64_t tokens_max;
    uint32_t requests_max, body_max;
    /* Of the role's side. */
    struct leak *leak; /* owned; what may not be answered */
    uint64_t tokens;
    uint32_t requests;
};

struct gateway_list {
    struct gateway *v; /* owned */
    size_t n;
};

void gateways_done(struct gateway_list *l);
void gateway_put(struct buf *b, const struct proxy_gateway *g);
/* Checks it all again. gateways_done() also after false. */
bool gateway_get(struct wire *w, struct gateway_list *l);

/* The gateway that a request line is for, as soon as that is seen; NULL: none (yet). */
struct gateway *gateway_of_head(const struct gateway_list *l, const char *p, size_t n);
struct gateway *gateway_of_target(const struct gateway_list *l, const char *target);

/* What a request is. */
struct route {
    int status; /* 0: it is passed on; 200: answered here, with nothing; else refused, and why */
    const char *why;
    bool counts;    /* its answer says how many tokens it took */
    const char *is; /* the content type of a good answer; NULL: any */
};
/* *target is what to ask the far side for. */
struct route gateway_route(const struct gateway *g, const struct msg *m, struct buf *target);

/* The head of the request to the far side. False: the secret cannot be put in; *why. */
bool gateway_request(const struct gateway *g, const struct secrets *s, const struct msg *m,
                     const char *target, const struct body *b, struct buf *out, const char **why);
/* What is wrong with an answer's head; NULL: nothing. */
const char *gateway_distrusts(const struct route *r, const struct msg *m);
/* The head of the answer to the box, but for its framing and the empty line. */
void gateway_answer(const struct msg *m, struct buf *out);
/* An answer of our own, in the shape that clients of the gateway's kind read. `final`: asking again
 * is of no use; `close`: nothing may follow on the connection. */
void gateway_error(const struct gateway *g, int status, const char *why, bool final, bool close,
                   struct buf *out);
