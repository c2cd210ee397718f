/* proto - the messages between daemon and runner, written and checked in one place. Private. */
#pragma once

#include "ipc/chan.h"
#include "runner/runner.h"

enum {
    MSG_LAUNCH = 1, /* u32 slot of its lease (runner/lease.h), launch; descriptors: launch_in */
    MSG_STOP,
    MSG_ASK,
    MSG_LEASES, /* nothing; its descriptor: leases_make() */
    MSG_READY,  /* from here on: runner to daemon */
    MSG_STARTED,
    MSG_ENDED,
    MSG_ANSWER,
    MSG_STATUS,
};

enum {
    MORE_MAX = 8 << 20,     /* bytes of targets, their lines and hosts */
    RANGES_MAX = 1 << 17,   /* intervals of targets */
    ANSWER_MAX = 4096,      /* bytes of an answer */
    WHY_MAX = 512,          /* bytes of a reason */
    STATUS_MAX = 256,       /* bytes of a status line */
    LAUNCH_FDS_MAX = 1 + 5, /* the record socket; blob, input, stdin, more, texts */
    TEXTS_MAX = 64 << 20,   /* bytes of all files of a run */
    TEXTS_COUNT_MAX = 64,
    BINDS_MAX = 64,
    GATEWAYS_MAX = 8,
};

/* ERR_INVALID: what no runner would do. Asked on both sides. */
int launch_check(const struct runner_launch *l, struct err *e);
/*
 * What does not fit into a message travels in a sealed memfd: out->more, else -1; and what the
 * files of a run hold in out->texts, if there are any. ERR_LIMIT: the command line, the targets or
 * the files are too long.
 */
struct launch_fds {
    int more, texts; /* owned by the caller, also on failure; -1 before */
};
int launch_put(struct buf *b, struct launch_fds *out, const struct runner_launch *l, struct err *e);

/* A launch as it came. Strings point into the body, or into `more`. */
struct launch_in {
    struct runner_launch l; /* blob_fd, input_fd: 0 if they are among the descriptors, else -1;
                               stdin_fd is borrowed from them */
    struct strvec argv;
    struct netset targets;
    struct strvec proxy_allow;
    struct buf more;
    struct box_file *texts; /* owned, like these; what they hold is in the map */
    struct box_bind *binds;
    struct proxy_gateway *gateways;
    void *map; /* of the sealed memfd; NULL: none */
    size_t map_size;
    unsigned record, blob, input; /* which descriptors they are */
};
/* `fds` are only read from. False: not one of ours. launch_in_done() in any case. */
bool launch_get(struct wire *w, const int *fds, unsigned n_fds, struct launch_in *in);
void launch_in_done(struct launch_in *in);

/* proto_extras.c: its parts, as above. Texts are mapped after extras_get(). */
extern const int launch_seals; /* of a memfd that nobody can change any more */
int extras_check(const struct runner_launch *l, struct err *e);
void extras_put(struct buf *b, const struct runner_launch *l);
bool extras_get(struct wire *w, struct launch_in *in);
void extras_done(struct launch_in *in);
int texts_seal(const struct runner_launch *l, int *out_fd, struct err *e);
bool texts_map(int fd, struct launch_in *in);

int ask_put(struct buf *b, uint64_t ask, const struct strvec *argv, struct err *e);
bool ask_get(struct wire *w, uint64_t *ask, struct strvec *argv);

void caps_put(struct buf *b, const struct sandbox_caps *caps);
bool caps_get(struct wire *w, struct sandbox_caps *caps);

void end_put(struct buf *b, const struct runner_end *end);
/* Strings point into the body. */
bool end_get(struct wire *w, struct runner_end *end);

const struct parser *parser_find(const char *name); /* NULL if there is none */
