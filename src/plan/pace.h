/*
 * pace - the numbers of the fast path, all in one place, found by experiment (bench/scan.*).
 *
 * Rates are packets a second of a whole stage, shared by the tasks that can run at the same time:
 * what counts is the sum of what is sent at one time, not how many send it.
 */
#pragma once

enum {
    PACE_HOSTS_RATE = 5000,    /* looking for hosts */
    PACE_PORTS_RATE = 40000,   /* SYN scans by nmap */
    PACE_CONNECT_RATE = 5000,  /* without raw sockets each probe is a socket */
    PACE_SWEEP_RATE = 50000,   /* masscan, zmap */
    PACE_SERVICES_RATE = 1000, /* of one task: its probes of ports, not of services */

    PACE_HOSTS_MOST = 4096, /* unless that makes more than PACE_HOSTS_TASKS of them */
    PACE_HOSTS_TASKS = 64,

    PACE_PROBES_LEAST = 60000,      /* of one task: its end is waiting for what is late */
    PACE_PROBES_LEAST_OWN = 5000,   /* the same at the tool's own pace */
    PACE_PROBES_MOST = 2000000,     /* so that a retry repeats little */
    PACE_PROBES_MOST_OWN = 500000,  /* the same at the tool's own pace */
    PACE_SWEEP_PROBES = 6000000,    /* of one task of masscan or zmap */
    PACE_SWEEP_AGAIN_MOST = 500000, /* probes of a sweep that is made twice as a whole */
    PACE_TASKS_MOST = 512,          /* of one stage, unless more are asked for */
    PACE_NMAP_AGAIN_MOST = 4000000, /* probes that nmap may do instead of a sweep that failed */
    PACE_NMAP_DARK_MOST = 4096,     /* addresses, if it is not known who is up: silence is slow */
    PACE_SERVICE_PROBES = 5000,     /* of one task of services: hosts x ports */
    PACE_SERVICE_PORTS = 96,        /* open ports of one task: all of them at the same time */
    PACE_SERVICE_PORTS_OWN = 128,   /* the same at nmap's own pace */
    PACE_SERVICE_SECONDS = 40,      /* time limit of one such task */
    PACE_SERVICE_PIECES = 4,        /* a task that ran into it is cut into */
    PACE_APART_PARTS = 20,          /* the ports of a host that was given up are cut into */
    PACE_APART_TASKS = 64,          /* of one round of that */
    PACE_APART_WAIT = 256,          /* such ports wait for those of other tasks, up to so many */
    /* A service that does not speak keeps nmap waiting for minutes. It looks at this limit only
     * when it waited in vain, and then gives up the host with all of its ports. */
    PACE_HOST_SECONDS = 10,
    /* The same once its ports are apart. Services that answer what they do not understand, and
     * stay, cost nmap five seconds for each probe: Redis is known after 17. */
    PACE_APART_SECONDS = 25,
    /* nmap begins with five hosts at a time. At its own pace a task of a few more would be done one
     * group after the other. */
    PACE_GROUP_MOST = 16,
    PACE_PORTS_OF_PIECE = 256, /* least ports of a piece that is cut by ports */
};

#define PACE_HOSTS    "-T4"
#define PACE_PORTS    "-T4 --min-hostgroup 256"
#define PACE_SERVICES "-T4 --min-parallelism 96"
#define PACE_VERIFY   "-T4"
#define PACE_LIGHT    "--version-intensity 2"
#define PACE_MASSCAN  "--wait 3"
#define PACE_ZMAP     "-c 3"
