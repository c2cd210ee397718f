/*
 * seccomp - which system calls who may make. Allow-lists for x86-64 and aarch64, written as names
 * and compiled to classic BPF as a balanced tree.
 *
 * A tool's list is the measured union of nmap, masscan, zmap, git, python and their libc's
 * neighbours (reference: security.md 1.2). What is not on it fails with ENOSYS, so that a newer
 * libc falls back; a wrong architecture or x32 ends the process. clone() may make no namespace,
 * clone3() does not exist, ioctl() may not type into terminals, socket() knows UNIX, INET, INET6,
 * NETLINK and PACKET only.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "box/box.h"

/*
 * For the calling process, for ever; needs no_new_privs. With BOX_CALLS_BROKER connect(), sendto()
 * with an address, sendmsg() and sendmmsg() raise notifications on *notify_fd (owned by the
 * caller), raw and packet sockets and listen() are refused, and so are socket options that route.
 * Only async-signal-safe calls: it runs in the child of a vfork. Returns -1 and errno.
 */
int seccomp_tool(enum box_calls calls, int *notify_fd);

/* Our own processes, once they are set up: what a role never does is refused (EPERM; execve and
 * what makes or enters namespaces for all but the runner). */
enum role { ROLE_DAEMON, ROLE_RUNNER, ROLE_NETD, ROLE_RESOLVER, ROLE_PARSER };
/* ROLE_PARSER is a dozen calls on open descriptors: read, write, memory, exit; anything else ends
 * the process. */
int seccomp_role(enum role r, struct err *e);
const char *role_name(enum role r);
