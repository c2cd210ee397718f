/* internal - what a policy is made of; for the files of this room only. */
#pragma once

#include "base/json.h"
#include "policy/hard.h"
#include "policy/node.h"
#include "policy/policy.h"

enum {
    FILE_MAX = 1 << 20, /* bytes of a policy file */
    WEEK_MIN = 7 * 24 * 60,
    PROTOCOLS = 3, /* TCP, UDP, SCTP */
    PORTS = 65536,
};

#define NEVER INT64_MAX

/* One line of scope.allow or scope.deny. */
struct entry {
    char *name;               /* owned; NULL: `range` */
    struct net_range range;   /* of an address entry */
    struct net_range *within; /* of a name; owned */
    size_t n_within;
    char *note, *authorised_by; /* owned; NULL: none */
    char *label;        /* of an allow entry, as verdicts show it; owned, by scope_build() */
    int64_t expires_us; /* NEVER: does not; else the first moment when it no longer counts */
    unsigned line, column;
};

struct entries {
    struct entry *v; /* owned */
    size_t n, size;
};

/* A part of an allow entry that the hard denials leave, sorted by where it starts. */
struct piece {
    struct net_range range;
    struct net_range source; /* as it is written: lifts what it lies in */
    int64_t expires_us;
    bool named; /* from `within` of a name */
};

/* Where a name stands, sorted by name. */
struct name_row {
    const struct entry *entry;
    bool deny;
};

struct port_set {
    uint8_t bits[PROTOCOLS][PORTS / 8];
};

struct rules {
    struct policy_rules pub; /* points into what follows */
    char *name, *ports;      /* owned */
    struct strvec tools;
    struct strvec windows; /* as written */
    struct netset targets; /* scans stay inside; used if has_targets */
    bool has_targets;
    struct port_set *set; /* owned; NULL: all */
    uint8_t *open;        /* a bit for each minute of the week, from Monday; owned; NULL: always */
    int offset_min;       /* local time minus UTC */
    unsigned line, column;
};

struct key_row {
    char *key, *policy; /* owned */
    size_t rules;       /* index */
    unsigned line, column;
};

/* Where checkouts may come from. */
struct repository {
    char *host; /* owned; without "*." */
    bool below; /* names below it, not itself */
    bool is_ip;
    struct net_ip ip;
    uint16_t port;            /* 0: that of the scheme */
    struct net_range *within; /* owned: what it may resolve to; none: global addresses */
    size_t n_within;
};

struct policy {
    unsigned refs;
    bool builtin;
    char *source;
    struct entries allow, deny;
    struct piece *pieces; /* owned */
    size_t n_pieces;
    struct netset denied;
    struct name_row *names; /* owned */
    size_t n_names;
    struct rules *rules; /* owned; the last one is the default */
    size_t n_rules;
    struct key_row *keys; /* sorted by key; owned */
    size_t n_keys;
    bool has_repositories;           /* else every host with global addresses will do */
    struct repository *repositories; /* owned */
    size_t n_repositories;
};

/* Fills pieces, denied, names and labels from the entries. */
void scope_build(struct policy *p);
/* Every address that is allowed at that time, with those of names if `named`; as far as it is among
 * what pieces of `near` have. */
void scope_open(const struct policy *p, const struct netset *near, const struct netset *own,
                int64_t now_us, bool named, struct netset *out);
/* May this address be reached under this name, by `within` of an entry for the name? */
bool scope_name_allows(const struct policy *p, const char *name, const struct net_ip *ip,
                       const struct netset *own, int64_t now_us);
/* The entries for a name: *first and how many. */
size_t scope_names(const struct policy *p, const char *name, const struct name_row **first);
/* ERR_SCOPE: why the first part of `outside` is not allowed, and how to allow it. */
int scope_explain(const struct policy *p, const struct netset *own, int64_t now_us,
                  const struct net_range *outside, struct err *e);
/* What to do about it, in a message. */
void scope_fix(const struct policy *p, char *out, size_t size);

/* "10.0.0.0/8" or "www.example.org". */
void entry_text(const struct entry *en, char *out, size_t size);

/* "T:1-1024,U:53"; without a letter: of every protocol. False: malformed. */
bool port_set_parse(const char *s, struct port_set *out);
/* Every port of `ports` (as in a request; of `protocols` where it names none) in the set? *text
 * is the first that is not: "U:53". */
bool port_set_covers(const struct port_set *set, const char *ports, unsigned protocols,
                     char text[16]);

/* Adds "Mon-Fri 22:00-06:00" to the minutes of a week. Returns what is wrong with it, or NULL. */
const char *window_parse(const char *s, uint8_t *open);
/* "UTC", "+HH:MM". */
bool timezone_parse(const char *s, int *offset_min);
/* When it opens; 0: it is open. */
int64_t window_wait(const uint8_t *open, int offset_min, int64_t now_us);

/* The two halves of reading a file; `arg` is a struct load. */
struct load {
    const char *name; /* for messages */
    struct policy *p;
    struct entries *into; /* of the list that is read */
    bool deny;
    size_t rules_size, keys_size;
};
/* An address, a prefix or a range. */
int node_range(const struct load *l, const struct node *v, struct net_range *out, struct err *e);
int scope_read(void *load, const struct node *v, struct err *e);
int policies_read(void *load, const struct node *v, struct err *e);
int keys_read(void *load, const struct node *v, struct err *e);
int repositories_read(void *load, const struct node *v, struct err *e);
void repositories_json(struct json *j, const struct policy *p);
void repository_done(struct repository *r);
/* Sorts what was read and refuses what contradicts itself. */
int scope_check(struct load *l, struct err *e);
int keys_check(struct load *l, struct err *e);
void rules_default(struct rules *r, const char *name);
void rules_done(struct rules *r);
void entry_done(struct entry *en);
