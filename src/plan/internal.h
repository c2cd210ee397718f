/* internal - what the files of this room share. */
#pragma once

#include "plan/plan.h"

/* ---- ports as sets (ports.c) ---- */

enum { PORT_WORDS = 1024, PROTO_TCP = 0, PROTO_UDP, PROTO_SCTP, PROTOS };

struct portset {
    uint64_t bits[PORT_WORDS];
};
void portset_add(struct portset *s, unsigned port);
bool portset_has(const struct portset *s, unsigned port);
uint32_t portset_count(const struct portset *s);
/* Ports that `list` (request.h) has for a protocol. */
void portset_read(struct portset *s, const char *list, unsigned proto);
/* "1-5,9"; nothing when it is empty. */
void portset_text(const struct portset *s, struct buf *out);
/* A list for those protocols of `protocols` (1 << PROTO_*): letters only where one is not TCP. */
void ports_join(const struct portset s[PROTOS], unsigned protocols, struct buf *out);
/* How many (protocol, port) pairs `list` has for these protocols. */
uint32_t ports_of(const char *list, unsigned protocols);
int proto_of(const char *word); /* "tcp"; -1: another one */

/* ---- chance: the same seed, the same order ---- */

struct chance {
    uint64_t state;
};
uint64_t chance_next(struct chance *c);
uint64_t chance_below(struct chance *c, uint64_t n);
uint64_t chance_hash(uint64_t seed, const void *p, size_t n);

/* ---- plans (plan.c) ---- */

struct stage {
    enum stage_kind kind;
    char *tool, *extra; /* extra: options that are asked for, beside ours */
    char *ports;        /* canonical; NULL: nmap's list of `top`, or found by the stage before */
    char *arguments;    /* as a task of it would have them, without its rate */
    uint32_t top, n_ports, rate;
    unsigned protocols; /* 1 << PROTO_* */
};

struct plan {
    char *profile, *ports; /* "standard@1" */
    struct stage v[PLAN_STAGES_MAX];
    size_t n;
    uint32_t service_s, shards, slots;
    uint32_t most;        /* packets a second of each stage, as the request has it; 0: no limit */
    uint32_t first_tasks; /* of the first stage */
    uint32_t batch;       /* tasks of a stage that one task before it may give rise to */
    uint64_t seed, addresses;
    bool own_pace, raw, connect; /* connect: no SYN scans */
    bool one;                    /* no profile: one task */
};
struct plan *plan_new(void);
/* Fills v[].arguments; after everything else is there. */
void plan_arguments(struct plan *p);
uint64_t mul_sat(uint64_t a, uint64_t b);
uint64_t add_sat(uint64_t a, uint64_t b);

/* The stage `from` of the profile; sweep: no stage before it finds hosts (stage.c). */
int stage_make(const struct plan_request *q, const struct profile_stage *from, bool sweep,
               struct stage *s, struct err *e);
int stage_check(const struct plan_request *q, const struct stage *s, struct err *e);
int stage_read_ports(const char *text, struct stage *s, struct err *e); /* "top:100" or a list */
unsigned list_protocols(const char *list);
uint32_t least_rate(uint32_t a, uint32_t b); /* 0: none */

/* How a task is to go about it. */
struct manner {
    bool fast, light;
    bool bare;          /* services: only whether ports are open */
    uint32_t host_s;    /* services: when a host is given up; 0: not */
    uint32_t group;     /* hosts that are probed at the same time; 0: nmap's own choice */
    uint32_t rate;      /* of the task */
    unsigned protocols; /* of its ports; 0: those of the stage */
    const char *tool;   /* NULL: the stage's */
};
char *stage_arguments(const struct plan *p, const struct stage *s, const struct manner *m);
bool stage_fast(const struct plan *p, const struct stage *s);
/* The first stage behind `at` of one of these kinds (1 << STAGE_*); -1: none. */
int plan_stage_after(const struct plan *p, int at, unsigned kinds);
/* True if some stage before `at` finds out which hosts are up. */
bool plan_knows_hosts(const struct plan *p, int at);
/* The rest of a list of options without -p, --top-ports, -F, which become ports or top. */
int options_split(const char *tool, const char *arguments, char **ports, uint32_t *top,
                  struct strvec *rest, struct err *e);
bool options_have(const char *tool, const struct strvec *tokens, const char *name);
unsigned options_protocols(const struct strvec *tokens); /* of nmap's techniques; 0: none named */
void options_join(const struct strvec *tokens, struct buf *out); /* shell_split() reads it back */

/* ---- hosts of tasks (places.c, shard.c) ---- */

typedef unsigned __int128 u128;
u128 ip_number(const struct net_ip *ip);
struct net_ip ip_address(u128 v, bool v6);
/* The address of a name that is probed: nmap reads one family, and the first address of it. */
const struct net_ip *place_ip(const struct target_set *t, const struct target_pin *pin);

struct place {
    struct net_ip ip;
    const char *name; /* borrowed; NULL: none */
};
struct places {
    struct place *v; /* owned */
    size_t n, size;
};
#define auto_places __attribute__((cleanup(places_done))) struct places
void places_done(struct places *l);
void places_add(struct places *l, const struct net_ip *ip, const char *name);
/* Fills targets, pins and addresses of a task. */
void spec_places(struct plan_spec *s, const struct place *v, size_t n);
void spec_set(struct plan_spec *s, const struct netset *set, const struct place *names,
              size_t n_names);
/* Names of `t` by the address that is probed, and addresses as long as there are less than `most`
 * places. */
void places_of(const struct target_set *t, uint64_t most, struct places *out);
/* What is probed of one family: addresses, and names by theirs; all are addresses where the tool
 * is `numeric`. */
void places_family(const struct target_set *t, bool v6, bool numeric, struct netset *set,
                   struct places *names);
int spec_targets(const struct plan_spec *s, struct target_set *out, struct err *e);

struct plan_spec *tasks_add(struct plan_tasks *t);
/* Tasks of stage `at` over hosts that are up, cut by hosts and ports. */
void shard_ports(const struct plan *p, int at, struct places *up, struct plan_tasks *out);
/* The same ports of the same hosts again by nmap: at its own pace, or (fast) at that of the stage.
 */
void shard_again(const struct plan *p, const struct plan_spec *s, const struct places *hosts,
                 bool fast, const char *known, struct plan_tasks *out);
/* Some of the addresses, at least `n` if there are so many, from everywhere. */
void shard_part(const struct plan *p, const struct target_set *t, uint64_t n,
                struct plan_spec *out);
/* What a repetition is of: for plan_summary(). */
void spec_key(const struct plan_spec *s, char out[17]);

/* ---- what was found (found.c) ---- */

struct pair {
    struct net_ip ip;
    uint8_t proto;
    bool quiet; /* there was no answer at all */
    uint16_t port;
};
struct pairs {
    struct pair *v; /* owned; sorted once pairs_sort() was called */
    size_t n, size;
};
#define auto_pairs __attribute__((cleanup(pairs_done))) struct pairs
void pairs_done(struct pairs *s);
void pairs_add(struct pairs *s, const struct pair *p);
void pairs_sort(struct pairs *s); /* by address, protocol, port; each once */
bool pairs_has(const struct pairs *s, const struct pair *p);
/* "10.0.0.5:81,?9000,U53 [2001:db8::1]:80": '?' where there was no answer. s is sorted. */
void pairs_text(const struct pairs *s, struct buf *out);
bool pairs_read(const char *text, struct pairs *out);

enum { DETAILS_MAX = 64 };

/* What one host answered, port by port (TCP). */
struct detail {
    struct net_ip ip;
    uint64_t rank;               /* those with the least are kept */
    struct portset quiet, spoke; /* no answer; closed */
    bool rest_quiet, rest_spoke; /* all that are not named */
};

/* A host on which most of many ports are open. */
struct everywhere {
    struct net_ip ip;
    uint64_t open;
};

struct found {
    struct places up;       /* names: of `pins` */
    struct places gone;     /* the tool gave up on them */
    struct pairs open;      /* sorted */
    uint64_t n_open;        /* also those that were not kept */
    uint64_t quiet, spoke;  /* ports that did not answer, that were closed, of hosts that live */
    struct detail *details; /* owned; DETAILS_MAX at most */
    size_t n_details;
    struct everywhere *flagged; /* owned */
    size_t n_flagged;
    bool full; /* more open ports than are looked at */
    /* asked */
    const struct pairs *only;      /* details of these hosts; NULL: of the least rank */
    const struct target_set *pins; /* names of addresses */
    uint64_t seed;
    uint32_t probed, look; /* ports of each host, and how many of a flagged one are kept */
};
void found_done(struct found *f);
int found_read(struct found *f, const struct plan_ended *t, struct err *e);

/* ---- what follows (services.c, guard.c) ---- */

/* What a task carries for those behind it: JSON in spec.checks. */
struct checks {
    struct plan_spec fast; /* the task that is looked at again; targets NULL: none */
    char *known;           /* open ports that were looked at already, pairs_text() */
    char *of;              /* spec_key() of the task that is repeated */
    uint64_t quiet, spoke, open;
    uint64_t from; /* how many the sample is of (sweeps) */
};
#define auto_checks __attribute__((cleanup(checks_done))) struct checks
void checks_done(struct checks *c);
char *checks_text(const struct checks *c);
int checks_read(const char *text, struct checks *out, struct err *e); /* NULL text: empty */

/* Tasks of stage `at` over open ports; `sample` (sorted) is looked at in the first of them, which
 * carries `checks`. Both may be empty. */
void services_of(const struct plan *p, int at, struct pairs *open, const struct pairs *sample,
                 const char *checks, const struct target_set *pins, struct plan_tasks *out);
/* One task over these open ports, which does again what another could not. */
void services_task(const struct plan *p, int at, struct pairs *open, const struct target_set *pins,
                   int32_t round, struct plan_tasks *out);
/* Hosts of a task that were given up, with their ports apart; a note of those that are silent
 * (apart.c). plan_summary() adds up such notes. */
#define SILENT_NOTE "services: open ports that did not say what they are, told without a service: "
void services_apart(const struct plan *p, int at, int32_t round, struct pairs *open,
                    const struct target_set *pins, struct plan_tasks *out, struct strvec *notes);
/* The open ports of a task's hosts that were given up. */
void services_given_up(const struct plan_spec *s, const struct found *f, struct pairs *out);
/* Of those the ones that can wait for the end of other tasks, so that few tasks look at all of
 * them: the words of a note that plan_summary() keeps apart, and that an empty one takes back. */
#define WAITING_NOTE "waiting: "
void services_wait(struct pairs *open, const struct target_set *pins, struct strvec *notes);
void services_waiting(const char *summary, struct pairs *out);
size_t services_apart_most(const struct plan *p); /* tasks that one may give rise to */
/* The sample of a task alone. */
void services_sample(const struct plan *p, const struct plan_spec *s, const struct target_set *set,
                     struct plan_tasks *out);
/* The light set for those that were not identified in time; or a note. */
void services_again(const struct plan *p, const struct plan_ended *t, const struct found *f,
                    const struct target_set *set, struct plan_tasks *out, struct strvec *notes);

/* The sample of a fast task. */
void guard_sample(const struct plan *p, const struct plan_spec *s, const struct found *f,
                  const struct target_set *set, struct pairs *out);
/* A task that looked again has ended: repeats the fast one if it lost too much. */
int guard_judge(const struct plan *p, const struct plan_ended *t, const struct found *f,
                struct plan_tasks *out, struct strvec *notes, struct err *e);
/* The second of two passes has ended: by what they have in common. */
int guard_compare(const struct plan *p, const struct plan_spec *s, const struct checks *c,
                  const struct found *f, struct plan_tasks *out, struct strvec *notes,
                  struct err *e);
