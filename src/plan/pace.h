/*
 * pace - the numbers of the fast path, all in one place, found by experiment (bench/scan.*).
 *
 * Rates are packets a second of a whole stage, shared by the tasks that can run at the same time.
 */
#pragma once

enum {
    PACE_PORTS_RATE = 40000,  /* SYN scans by nmap */
    PACE_CONNECT_RATE = 5000, /* without raw sockets each probe is a socket */
    PACE_SWEEP_RATE = 50000,  /* masscan, zmap */

    PACE_HOSTS_LEAST = 64,  /* addresses of one task that looks for hosts */
    PACE_HOSTS_MOST = 4096, /* unless that makes more than PACE_HOSTS_TASKS of them */
    PACE_HOSTS_TASKS = 64,

    PACE_PROBES_LEAST = 5000,       /* of one task: starting a process costs 50 ms */
    PACE_PROBES_MOST = 2000000,     /* so that a retry repeats little */
    PACE_PROBES_MOST_OWN = 500000,  /* the same at the tool's own pace */
    PACE_SWEEP_PROBES = 6000000,    /* of one task of masscan or zmap */
    PACE_TASKS_PER_SLOT = 2,        /* pieces of a stage, so that slots stay busy to its end */
    PACE_TASKS_MOST = 512,          /* of one stage, unless more are asked for */
    PACE_NMAP_AGAIN_MOST = 4000000, /* probes that nmap may do instead of a sweep that failed */
    PACE_SERVICE_PROBES = 20000,    /* of one task of services: hosts x ports */
    PACE_SERVICE_PORTS = 128,       /* open ports of one task of services */
    PACE_SERVICE_SECONDS = 40,      /* time limit of one such task */
    PACE_SERVICE_PIECES = 4,        /* a task that ran into it is cut into */
    PACE_PORTS_OF_PIECE = 256,      /* least ports of a piece that is cut by ports */
};

#define PACE_HOSTS    "-T4 --max-retries 2 --min-parallelism 64"
#define PACE_PORTS    "-T4 --min-hostgroup 256 --max-retries 2"
#define PACE_SERVICES "-T4"
#define PACE_VERIFY   "-T4"
#define PACE_LIGHT    "--version-intensity 2"
#define PACE_MASSCAN  "--wait 3"
