/*
 * hostile - a "scanner" that tries to get out: one function for each way. For tests of the sandbox
 * only; packets go nowhere but to the addresses it is given, which lie in namespaces of the test.
 *
 *   hostile net --in A --out B [--in6 A --out6 B] --gateway G [--own ADDRESS]   all ways at once
 *   hostile files [--secret PATH]    reading, writing, gaining privilege
 *   hostile fork|memory|disk|inodes|sparse|endless|stubborn|daemon|spin    one limit each
 *   hostile WAY ...                  one way by its name
 *
 * A line for each way: "way<TAB>verdict<TAB>detail". Verdicts: "refused" (the kernel said no),
 * "sent" (it took a packet; what became of it the witness knows), "got" (the way is open).
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct where {
    struct in_addr in, out, gateway, own;
    struct in6_addr in6, out6;
    bool has6, has_own;
    const char *secret; /* a file outside that must not be readable */
    int ifindex;        /* of the way out; 0: none */
    uint8_t mac[6], gateway_mac[6];
    struct in_addr self;
};

enum verdict { REFUSED, SENT, GOT };

struct way {
    const char *name;
    enum verdict (*fn)(const struct where *w, char detail[160]);
};

extern const struct way ways_net[], ways_frames[], ways_files[]; /* end with name NULL */

/* "connect: Operation not permitted" into detail. */
enum verdict refused(char detail[160], const char *what);
enum verdict sent(char detail[160], const char *what);
enum verdict got(char detail[160], const char *what);

struct limit_way {
    const char *name;
    void (*fn)(void);
};
extern const struct limit_way ways_limits[];
