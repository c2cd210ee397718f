/*
 * git_ssh - the way of ssh out of the box: a listener of ours on 127.0.0.1, which makes a tunnel
 * through the proxy to the one place of the URL for each connection. Private to repo/.
 *
 * So ssh needs no command of a proxy, which it would give to a shell; git starts it by its path,
 * with the host and the user of a URL that was checked, and its configuration is a file of ours in
 * which nothing is open: the key given and no other, the host's key known before, no agent, no
 * forwarding.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "box/box.h"
#include "repo/spec.h"
#include "repo/tunnel.h"

enum { GIT_SSH_FILES = 4 };

struct git_relay;

/* The spec has an ssh URL, a key and known hosts; it outlives the relay. The relay is a process of
 * ours, until git_ssh_stop(). */
int git_ssh_start(const struct repo_spec *s, struct git_relay **out, struct err *e);
/* NULL is fine. What was copied of the key is zeroed. */
void git_ssh_stop(struct git_relay *r);
/* Fills at most GIT_SSH_FILES; borrowed from the relay and the spec. */
size_t git_ssh_files(const struct git_relay *r, struct box_file *files);
/* What git is told instead of the URL: without its port, which is the relay's. Borrowed. */
const char *git_ssh_url(const struct git_relay *r);
/* The last thing that the proxy said when it made no tunnel; false: nothing. */
bool git_ssh_why(struct git_relay *r, int *status, char why[TUNNEL_WHY]);
