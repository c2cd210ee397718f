/*
 * seccomp - which system calls who may make. Allow-lists for x86-64 and aarch64, written as names
 * and compiled to classic BPF as a balanced tree.
 *
 * A tool's list is the measured union of nmap, masscan, zmap, git, python and their libc's
 * neighbours (reference: security.md 1.2). What is not on it fails with ENOSYS, so that a newer
 * libc falls back; a wrong architecture or x32 ends the process. clone() may make no namespace,
 * clone3() does not exist, ioctl() may not type into terminals, socket() knows UNIX, INET, INET6,
 * NETLINK (of that ROUTE alone) and PACKET only, and UNIX alone with BOX_CALLS_OFFLINE; other
 * families are "not supported", which programs know how to take.
 *
 * Two lists say what is refused instead (EPERM), and what came after Linux 5.17 gives ENOSYS:
 *   NESTING  stands above other lists, because filters stack: it lets through what they allow but
 *            raw, packet and SCTP sockets, and what a box is made with (namespaces, mounts,
 *            Landlock, filters). Not the newer fsopen() family, which boxes do not use, nor what
 *            reaches into other processes.
 *   AGENT    for a runtime that compiles at run time and uses whatever the kernel has: no
 *            namespaces, mounts, filters or tracing, no keys, no System V objects, and the sockets
 *            of a client.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "box/box.h"

/*
 * Builds the programs of all lists (some ten microseconds, static memory), once: later calls do
 * nothing. Call it in a process that may allocate, before anything forks or vforks what calls
 * seccomp_tool(); children inherit what was built.
 */
void seccomp_prepare(void);

/*
 * For the calling process, for ever; needs no_new_privs and seccomp_prepare(). BOX_CALLS_ALL: does
 * nothing. Only system calls are made: it runs in the child of a vfork. Returns 0, or -1 and errno
 * (EINVAL: the kernel has no seccomp, EBUSY: a listener is there already).
 *
 * BOX_CALLS_BROKER: *notify_fd (owned by the caller, close-on-exec) is the listener, else it is
 * not touched and may be NULL. From then on, also before exec:
 *
 *   notified, always     connect(), sendmsg(), sendmmsg(); sendto() with an address
 *   passed               sendto() without an address, write(), recvmsg() and everything that reads
 *   sockets              INET and INET6 of type STREAM and DGRAM, protocols TCP, UDP and the two
 *                        ICMPs (not SCTP, which connects by a socket option); NETLINK ROUTE; pairs
 *                        of UNIX sockets. No other UNIX sockets: a path or an abstract name would
 *                        be looked up in the supervisor's namespaces.
 *   refused (EPERM)      raw types, listen(), signals to other processes, socket options but a list
 *                        of harmless ones (so: IP_OPTIONS, routing and other extension headers,
 *                        PKTINFO, multicast membership, devices, upper layer protocols)
 *
 * The supervisor never lets the kernel continue with the tool's own call: an address could change
 * under it, or the descriptor. It copies address and data once, takes a duplicate of the socket,
 * and makes the call itself. Destinations: INET and INET6 (IPv4-mapped folded) inside the scope;
 * NETLINK as it is (getaddrinfo() and nmap ask the kernel for routes with sendto() and sendmsg());
 * AF_UNSPEC in connect(), which only dissolves; none at all (sendmsg on a connected socket or a
 * pair); anything else EACCES. Control data of a message is refused: it carries routes
 * and descriptors. A notification that comes in while the tool is being started is none of ours:
 * nothing between seccomp_tool() and execve() may send or connect.
 */
int seccomp_tool(enum box_calls calls, int *notify_fd);

/*
 * Our own processes, once they are set up: what a role never does is refused (EPERM; execve and
 * what makes or enters namespaces for all but the runner; the socket families it does not use).
 * Sets no_new_privs. What it forks inherits it: a runner's boxes stand below both lists.
 *   ROLE_DAEMON    sockets UNIX, INET, INET6, NETLINK ROUTE (it lists the machine's addresses)
 *   ROLE_RUNNER    what a tool may have; may exec, mount, make namespaces and read its boxes
 *   ROLE_NETD      UNIX, INET, INET6, NETLINK
 *   ROLE_RESOLVER  UNIX, INET, INET6, NETLINK ROUTE
 *   ROLE_PROXY     the same; may not listen: its listeners are made in boxes
 *   ROLE_EDGE      the same as the proxy: it only connects
 *   ROLE_DEPOT     the same; may not listen
 */
enum role {
    ROLE_DAEMON,
    ROLE_RUNNER,
    ROLE_NETD,
    ROLE_RESOLVER,
    ROLE_PROXY,
    ROLE_DEPOT,
    ROLE_EDGE,
    ROLE_PARSER
};
/* ROLE_PARSER is a dozen calls on open descriptors: read, write, memory, exit; anything else ends
 * the process with SIGSYS. ERR_SANDBOX: the kernel has no seccomp. */
int seccomp_role(enum role r, struct err *e);
const char *role_name(enum role r);
