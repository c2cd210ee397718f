/*
 * spec - what a repository scan is to do, as JSON: written by the daemon, read in the box. What a
 * client asked (struct repo_request) is a part of it and is stored with the job.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "engine/agent.h"
#include "engine/sarif.h"

enum { REPO_URL_MAX = 2048, REPO_REF_MAX = 255, REPO_ENGINES_MAX = 32 };

/* As a client sends it. Strings owned: repo_request_done(). */
struct repo_request {
    char *url;    /* canonical; of a local directory "dir:NAME" */
    char *branch; /* NULL: the remote's HEAD */
    char *commit; /* 40 or 64 hex digits: pinned; NULL: the branch's head */
    char *subdir; /* only below it; NULL: all */
    /* Only what changed between these: commits, branches or tags. NULL: everything. head NULL: the
     * commit, or the branch's head. */
    char *base, *head;
    char *baseline;         /* id of a job, or "none"; NULL: the last scan of the same line */
    struct strvec engines;  /* empty: all that apply */
    char *credential;       /* name of a secret: a token (https) or a private key (ssh) */
    char *username;         /* with it; NULL: "x-access-token" (https), "git" (ssh) */
    char *fail_on;          /* severity name; NULL: no gate */
    struct agent_ask agent; /* its strings owned here, each by itself; never a base_url */
    bool agent_wanted;      /* the claude engine was named, or claude_cli_args given */
    uint64_t max_bytes;     /* of the checkout; 0: setting */
    uint32_t max_files;
};
void repo_request_done(struct repo_request *r);
/* How it is stored with the job, and back. read: ERR_INVALID names the member (a JSON pointer first
 * in the message: "/branch: ..."); unknown members are errors. */
void repo_request_write(const struct repo_request *r, struct buf *json);
int repo_request_read(const char *json, struct repo_request *out, struct err *e);

/*
 * https://HOST[:PORT]/PATH or ssh://[USER@]HOST[:PORT]/PATH (also USER@HOST:PATH). No credentials,
 * query, fragment, options, controls; host as model/target.h has names and addresses; path
 * [A-Za-z0-9._~/+-] and %XX of those, without "..". Canonical: host in lower case, no default port,
 * no slash and ".git" at the end. ERR_INVALID says what is wrong and what would do.
 */
int repo_url_check(const char *text, char **canonical, struct err *e);
struct repo_url {
    bool ssh;
    char *user, *host, *path; /* owned; user NULL; path with its slash */
    uint16_t port;
};
int repo_url_split(const char *canonical, struct repo_url *out, struct err *e);
void repo_url_done(struct repo_url *u);
/* A branch or tag as git check-ref-format has them, and without '-' at the start. */
int repo_ref_check(const char *ref, struct err *e);

/* All that the box needs. */
struct repo_spec {
    struct repo_request request;
    const char *local;     /* the tree comes on standard input (repo/pack.h): "tree", or "git": with
                              the objects of a repository; NULL: it is cloned */
    const char *clone_url; /* what git is told: the URL, or that of the proxy's gateway */
    bool proxy;            /* git goes through http://127.0.0.1:PROXY_PORT */
    char *ssh_key, *known_hosts; /* owned: contents; zeroed after the checkout; NULL */
    bool has_ca;                 /* there is a file CA_FILE inside: git trusts it alone */
    const char *programs[REPO_ENGINES_MAX]; /* "NAME=PATH=VERSION" of those to be run, in order */
    uint32_t n_programs;
    const char *git, *ssh;          /* full paths; ssh NULL: not there */
    struct sarif_engines *declared; /* owned; may be NULL */
    char *last_commit;              /* owned: of the line's last scan, for renames; NULL */
    uint64_t max_bytes;
    uint32_t max_files, max_file_bytes; /* larger files are left out and told */
    uint32_t wall_s, clone_s;
    uint32_t at_once;    /* engines side by side */
    struct arena *arena; /* owned: borrowed strings of a spec that was read; else NULL */
};
/* How the clone_url of a gateway begins (proxy/proxy.h, GATEWAY_GIT). */
#define REPO_GATEWAY_URL "http://127.0.0.1:3128/"
#define REPO_CA_FILE     "/etc/scanpod/ca.pem"
#define REPO_SPEC_FILE   "/tmp/spec"
#define REPO_RULES_FILE  "/etc/scanpod/rules.yaml" /* the operator's, if there are any */
#define REPO_GIT_DIR     "/tmp/git"                /* the objects, while the checkout runs */
void repo_spec_done(struct repo_spec *s);          /* zeroes the key */
void repo_spec_write(const struct repo_spec *s, struct buf *json);
int repo_spec_read(const char *json, size_t n, struct repo_spec *out, struct err *e);
