/*
 * repo_means - what repository scans have on this machine, as the settings say: secrets, engines,
 * trust, the way to the model's API. Read once, while still privileged: files that only root can
 * read are meant to be usable.
 */
#pragma once

#include "base/buf.h"
#include "base/option.h"
#include "engine/sarif.h"
#include "secret/secret.h"

struct repo_means {
    struct secrets *secrets;        /* owned */
    struct sarif_engines *declared; /* owned; may be NULL */
    char *self;                     /* owned: path of this program, which is the box's */
    char *git, *ssh;                /* owned: full paths; NULL: not there */
    char *ca, *known_hosts, *rules; /* owned: contents; NULL: none */
    char *ca_file, *api_ca_file;    /* owned: full paths, as the proxy was told them; NULL: none */
    /* The model's API: "HOST:PORT[=RANGES]" and what stands before /v1; NULL: it is off. */
    char *api_upstream, *api_path; /* owned */
    bool api_tls;
    const char *api_secret, *api_models; /* borrowed from the settings */
    uint64_t api_tokens;
    uint64_t max_bytes;
    uint32_t max_files;
    /* `scanpod repo DIR`: the packed directory (repo/pack.h), and what it is: "tree", "git". */
    int local_fd; /* -1: none */
    const char *local;
};

/* ERR_INVALID names the setting. repo_means_done() in any case. */
int repo_means_open(const struct option_set *settings, struct repo_means *out, struct err *e);
void repo_means_done(struct repo_means *m);
/* The setting's file by its full path, which is the name that gateways and the proxy have for it;
 * the caller frees it. NULL: there is none. */
char *repo_means_ca(const struct option_set *settings, const char *setting);
/* The claude engine can be used: there is a secret of the name. */
bool repo_means_agent(const struct repo_means *m);
/* May a request name that model? */
bool repo_means_model(const struct repo_means *m, const char *model);
/* The one that is taken where a request names none: the usual one, or else the first of those that
 * may be named. The caller frees it. */
char *repo_means_default_model(const struct repo_means *m);
