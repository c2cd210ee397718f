/*
 * plan - from what is asked to stages, from stages to tasks, and from what a task found to the
 * tasks that follow. No I/O; the daemon asks, the store keeps.
 *
 *     hosts (which are up) -> ports (which are open) -> services (what is on the open ones)
 *
 * A stage is cut into tasks by addresses and by ports: pieces of about the same work, more than
 * there are slots, in random order over the target set, so that no network takes all of the load
 * at once and a retry repeats little. A task of the next stage is made as soon as the task before
 * it has ended: a host whose ports are known does not wait for the others.
 *
 * Accuracy guard. A fast stage (one that was given a rate) may lose probes. So the stage behind it
 * looks again, without haste, at every port that was found open and at a random sample of what was
 * not, on hosts that are up; plans whose last stage is fast have a stage for that alone (verify).
 * When more than GUARD_LOST of the sample that answers was lost the first time, the task is done
 * again slower, by nmap at its own pace, and the result says so.
 *
 * Bounds. Identification of services has a time limit for each task (plan.service_s), for services
 * that never speak: tasks that run into it are done again with a light set of probes, and after
 * that their ports are told without a service. A host on which most of many ports are open (a
 * tarpit, a load balancer) is flagged, and only some of its ports are identified.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/host.h"
#include "model/job.h"
#include "model/target.h"
#include "tool/tool.h"

enum stage_kind { STAGE_HOSTS, STAGE_PORTS, STAGE_SERVICES, STAGE_VERIFY, STAGE_KINDS };
const char *stage_kind_name(enum stage_kind k); /* "hosts", "ports", "services", "verify" */

enum {
    PLAN_STAGES_MAX = 8,
    PLAN_SHARDS_MAX = 1024,    /* of one stage */
    GUARD_SAMPLE = 400,        /* probes of the sample for each fast task, about */
    OPEN_EVERYWHERE_MIN = 100, /* open ports of a host, and at least half of those probed */
    OPEN_EVERYWHERE_LOOK = 20, /* of such a host are identified */
};

/* ---- profiles ---- */

/* One stage of a profile. Strings owned by the profile. */
struct profile_stage {
    enum stage_kind kind;
    const char *tool;      /* "nmap", "masscan", "zmap"; NULL: the best that is there */
    const char *ports;     /* request.h grammar; "top:100": nmap's list; NULL: those of the
                              request, or found by the stage before */
    const char *arguments; /* more of the tool's options, as its table has them; NULL: none */
    uint32_t rate;         /* packets a second that are aimed at; 0: the tool's own pace */
};

struct profile {
    const char *name, *summary;
    uint32_t version;
    bool builtin;
    struct profile_stage stages[PLAN_STAGES_MAX];
    size_t n_stages;
    uint32_t service_s; /* time limit of one task of services; 0: default */
};

struct profiles;
/*
 * The built-in ones (quick, standard, full, sweep, udp, ping) and those of a YAML file (NULL: none;
 * docs/profiles.md), which may not take the name of a built-in one. Every stage is checked by the
 * tool's tables as an advanced request. ERR_INVALID names file, line, member and what to do.
 */
int profiles_load(const char *path, struct profiles **out, struct err *e);
void profiles_free(struct profiles *p);
/* "standard" or "standard@1"; NULL with *e: what there is. */
const struct profile *profiles_find(const struct profiles *p, const char *name, struct err *e);
const struct profile *profiles_at(const struct profiles *p, size_t i); /* NULL behind the last */
void profile_json(const struct profile *p, struct buf *out); /* the object the API shows */

/* ---- plans ---- */

struct plan;

/* What is asked. Borrowed. */
struct plan_request {
    const struct profile *profile; /* NULL: the request's own tool in one stage of one task (tools
                                      whose results come unordered: struct tool.merges) */
    const char *tool;              /* without a profile: that tool; else the one of the ports stage;
                                      NULL: the profile's */
    const char *ports;             /* NULL: the profile's */
    const char *arguments;         /* without a profile: the tool's; else for the ports stage */
    uint32_t rate;                /* 0: the profile's; in force is the least of both and max_rate */
    bool own_pace;                /* no stage is fast: the tools' own timing */
    uint32_t shards;              /* of each stage, about; 0: by size and slots; 1: none */
    uint32_t slots;               /* how many tasks can run at the same time here */
    uint32_t max_rate;            /* of the policy; 0: none */
    bool raw;                     /* raw sockets can be had for these targets */
    bool have_masscan, have_zmap; /* installed */
    const char *zmap_version;     /* NULL: not known */
    const struct target_set *targets; /* pinned */
    const char *zone;                 /* in which it is to run; NULL: none */
    uint64_t seed; /* of the order and of samples: the same seed, the same plan */
};
/* ERR_INVALID: what is asked cannot be done, with the reason (an IPv6 prefix too large to walk
 * through, zmap with two ports, a sweep without ports, ...). */
int plan_make(const struct plan_request *q, struct plan **out, struct err *e);
void plan_free(struct plan *p);
void plan_write(const struct plan *p, struct buf *json);
int plan_read(const char *json, struct plan **out, struct err *e); /* ERR_INTERNAL */
size_t plan_stages(const struct plan *p);
enum stage_kind plan_stage_kind(const struct plan *p, size_t i);
const char *plan_stage_tool(const struct plan *p, size_t i);
const char *plan_stage_arguments(const struct plan *p, size_t i);
/* The ports the request is about, canonical: all stages of ports together; NULL: nmap's own list.*/
const char *plan_ports(const struct plan *p);

/* How it looks for TCP ports, in nmap's words: "syn", "connect", "fin", ... */
const char *plan_tcp_scan(const struct plan *p);

/* What is needed of the policy and of the machine: the sum over the stages. */
struct plan_needs {
    uint64_t addresses;
    uint32_t ports;     /* for each address, at most */
    uint64_t probes;    /* at most, about */
    uint32_t seconds;   /* estimate of the whole at these slots; never a promise */
    unsigned protocols; /* 1 << enum port_protocol */
    bool raw;           /* some stage cannot work without raw sockets */
    const char *raw_by; /* which tool or option; for messages */
};
void plan_needs(const struct plan *p, const struct target_set *t, struct plan_needs *out);

/* ---- tasks ---- */

/* What a task does, in the words of a request to its tool. Strings owned. */
struct plan_spec {
    int32_t stage;
    enum stage_kind kind;
    char *tool, *targets, *ports, *arguments; /* ports NULL: none or nmap's own */
    char *pins;                               /* of the names among the targets; NULL: none */
    uint32_t rate;                            /* packets a second; 0: the tool's own pace */
    uint32_t wall_s;                          /* of this task; 0: the job's */
    uint64_t probes;                          /* at most, about: its weight */
    uint64_t addresses;
    bool found_only; /* store.h: struct task_new */
    bool repeats;
    bool light;    /* services: the light set, after the time limit was reached */
    int32_t round; /* 0: the first time; how often it was done before */
    char *open;    /* services: what is looked at, "10.0.0.5:22,80 10.0.0.9:443"; NULL: not
                      kept */
    char *sample;  /* guard: "10.0.0.5:81,?9000 10.0.0.9:4" of ports that the fast stage did
                      not call open ('?': there was no answer at all); NULL: none */
    char *checks;  /* guard: the request (targets, ports) of the fast task that this one
                      looks at again, to be repeated if need be, and what is known already;
                      JSON of this room's own; NULL: none */
};
void plan_spec_done(struct plan_spec *s);
void plan_spec_write(const struct plan_spec *s, struct buf *json);
int plan_spec_read(const char *json, struct plan_spec *out, struct err *e); /* ERR_INTERNAL */
enum queue_kind plan_spec_queue(const struct plan_spec *s); /* by what it cannot work without */

struct plan_tasks { /* zeroed is empty; owns */
    struct plan_spec *v;
    size_t n, size;
};
#define auto_tasks __attribute__((cleanup(plan_tasks_done))) struct plan_tasks
void plan_tasks_done(struct plan_tasks *t);

/* The tasks of the first stage, in the order in which they are to run. t: as in plan_make(). */
int plan_first(const struct plan *p, const struct target_set *t, struct plan_tasks *out,
               struct err *e);

/* One task as the store knows it. Borrowed. */
struct plan_task {
    const struct plan_spec *spec;
    enum job_state state;
    enum job_reason reason;
    const char *error;
    bool partial;
    int32_t percent_x100; /* -1 unknown */
    int64_t started_us, ended_us;
};

/* A task that is over. */
struct plan_ended {
    const struct plan_spec *spec;
    enum job_state state;
    enum job_reason reason;
    /* Calls back with the hosts of that run alone, in any order, once over all of them. */
    int (*hosts)(void *arg, const struct host_sink *sink, struct err *e);
    void *arg;
    const char *pins; /* the job's; for names */
    /* What waits for the end of other tasks is kept in the job's summary. */
    const char *summary;           /* plan_summary() as it was; NULL: none */
    const struct plan_task *tasks; /* all of the job, this one with its `spec` among them; NULL:
                                      nothing waits */
    size_t n_tasks;
};
/*
 * Which tasks follow from it: of the next stage, or the same one again (slower, or lighter). notes:
 * what a reader of the result should know ("ports: 254 addresses were probed again at nmap's own
 * pace: 3 of 40 sampled ports had been lost at 20000/s"). Flagged hosts are told as notes too, and
 * in `flags` as "address open probed". A job that is being cancelled does not ask.
 */
int plan_next(const struct plan *p, const struct plan_ended *t, struct plan_tasks *out,
              struct strvec *notes, struct strvec *flags, struct err *e);

/* ---- how far it is, and what was covered ---- */

/* Over all tasks so far; stages that are to come are estimated from what is known. Between 0 and
 * 9999 until the job ends. *remaining_s -1: not known yet. */
void plan_progress(const struct plan *p, const struct plan_task *v, size_t n, int64_t now_us,
                   int64_t started_us, struct progress *out);

/*
 * The object that results carry:
 * {"stages":[{"name":"ports","tool":"nmap","tasks":8,"done":7,"running":0,"failed":1,
 *             "repeated":0,"percent":87.5}],
 *  "coverage":{"percent":98.4,"asked":n,"covered":n,"unit":"ports"|"addresses",
 *              "text":"covered 98.4 %, 2 shards failed: ports 10.0.0.0/26 tcp 1-1000
 * (tool_crashed)", "missing":[{"task":7,"stage":"ports","addresses":"10.0.0.0/26","ports":"1-1000",
 *                          "reason":"tool_crashed","error":"..."}]},   at most 100, "more": n
 *  "notes":[...],"flagged":[{"address":"10.0.0.7","open":990,"probed":1000}]}
 * lost: probes of hosts that a tool gave up on (timed out) in tasks that completed, which the
 * caller counted from the cells; a task that ended early is missing whole, unless it was repeated.
 * notes and flags: of all plan_next() so far; kept in the object itself, so that `before` (NULL:
 * none) brings the old ones in.
 */
void plan_summary(const struct plan *p, const struct plan_task *v, size_t n, uint64_t lost,
                  const struct strvec *notes, const struct strvec *flags, const char *before,
                  struct buf *json);
/* The share that was not covered, from such an object: 0..10000. */
int32_t plan_summary_missing_x100(const char *json);
