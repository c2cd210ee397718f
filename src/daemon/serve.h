/* serve - `scanpod serve`: starts the roles and runs the daemon until it is told to stop. */
#pragma once

#include "base/option.h"
#include "model/job.h"
#include "store/store.h"

/* Returns an exit status. */
int serve_main(struct option_set *settings);

/* `scanpod netd`: netd on its own, for one peer user at a time. Returns an exit status. */
int netd_main(const struct option_set *settings, const char *socket, const char *peer_user);

/* One scan without a server: the same policy, runner, parser and store ("mem:"). */
struct local_scan {
    const char *targets, *ports, *arguments;
    const char *tool;      /* NULL: nmap, or the profile's choice */
    const char *profile;   /* NULL: one run of the tool */
    uint32_t rate, shards; /* of a profile; 0: its own */
    bool own_pace;
    const char *limits; /* the request's own, as limits_put() writes them; NULL or "": none */
    bool clip;
    int64_t timeout_s; /* INT64_MIN: default */
    /* A repository scan: what repo_request_write() wrote; targets is its URL. With `dir:` the
     * packed directory (repo/pack.h; taken), and what it is: "tree", "git". */
    const char *repo;
    int local_fd;
    const char *local;
    struct option_set *settings;
    void (*progress)(void *arg, const struct job *j);
    /* The finished job and the store that holds its results; both borrowed. */
    int (*finished)(void *arg, struct store *st, const struct job *j);
    void *arg;
};
int local_scan_run(struct local_scan *ls, struct err *e);
