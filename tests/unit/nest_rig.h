/*
 * nest_rig - a coordinator for tests of boxes in boxes: the test program itself, started once more
 * as the tool of an outer box with `nest`:
 *
 *     PROGRAM coordinate MARK [OPTION...] -- argv of the inner tool
 *
 * It makes one inner box, which has the outer's standard output, and prints how that ended:
 * "inner LEVEL VIEW OWN_NET", "ended STARTED STEP ERRNO STATUS SIGNAL DISK_FULL", how many
 * packets the outer loopback saw meanwhile ("loopback N"), and with `time` "took N" (microseconds,
 * of ten one after the other). Options: calls=NAME, net=empty|shared, without=BITS,
 * bind=PATH, write=PATH, mem=MB, disk=MB, inodes=N, procs=N, file=MB, linger (stays when the inner
 * box was started), time.
 */
#pragma once

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "box_rig.h"

struct coordinate {
    struct box_spec spec;
    struct box_bind binds[8];
    unsigned without;
    bool linger, time;
};

static inline bool take_word(struct coordinate *c, const char *word)
{
    static const struct {
        const char *name;
        enum box_calls calls;
    } lists[] = {{"calls=network", BOX_CALLS_NETWORK},
                 {"calls=offline", BOX_CALLS_OFFLINE},
                 {"calls=agent", BOX_CALLS_AGENT},
                 {"calls=all", BOX_CALLS_ALL}};
    struct {
        const char *name;
        uint32_t *to;
    } numbers[] = {
        {"without=", &c->without},          {"mem=", &c->spec.limits.mem_mb},
        {"disk=", &c->spec.limits.disk_mb}, {"inodes=", &c->spec.limits.inodes},
        {"procs=", &c->spec.limits.procs},  {"file=", &c->spec.limits.file_mb},
        {"files=", &c->spec.limits.files},
    };

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        if (str_eq(word, lists[i].name)) {
            c->spec.calls = lists[i].calls;
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        size_t n = strlen(numbers[i].name);

        if (strncmp(word, numbers[i].name, n) == 0) {
            *numbers[i].to = (uint32_t)strtoul(word + n, NULL, 0);
            return true;
        }
    }
    if (strncmp(word, "bind=", 5) == 0 || strncmp(word, "write=", 6) == 0) {
        c->binds[c->spec.n_binds++] =
            (struct box_bind){.path = strchr(word, '=') + 1, .write = word[0] == 'w'};
        return true;
    }
    c->linger |= str_eq(word, "linger");
    c->time |= str_eq(word, "time");
    if (str_eq(word, "net=empty") || str_eq(word, "net=shared")) {
        c->spec.net = word[4] == 'e' ? BOX_NET_EMPTY : BOX_NET_SHARED;
        return true;
    }
    return c->linger || c->time;
}

/* Packets that the loopback interface of our own namespace has seen. */
static inline unsigned long loopback_packets(void)
{
    FILE *f = fopen("/proc/net/dev", "re");
    char line[512];
    unsigned long bytes, packets = 0;

    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, " lo: %lu %lu", &bytes, &packets) == 2) {
            break;
        }
    }
    if (f) {
        fclose(f);
    }
    return packets;
}

static inline void run_inner(const struct coordinate *c)
{
    unsigned long before = loopback_packets();
    struct timespec from, to;
    struct box_end end = {0};
    struct err e = {0};
    struct box b;

    clock_gettime(CLOCK_MONOTONIC, &from);
    if (box_start(&c->spec, &b, &e) != 0) {
        printf("no box: %s\n", e.msg);
        exit(3);
    }
    while (!box_poll(&b) && b.told == BOX_SILENT) {
        struct pollfd p = {.fd = b.report_fd, .events = POLLIN};

        (void)poll(&p, 1, PATIENCE_MS);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    if (c->linger) {
        printf("lingers\n");
        fflush(stdout);
        for (;;) {
            pause();
        }
    }
    (void)box_wait(&b, &end, &e);
    box_done(&b);
    if (c->time) {
        printf("took %ld\n",
               (long)((to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000));
    }
    printf("ended %d %s %d %d %d %d\n", end.started, end.step[0] ? end.step : "-", end.errnum,
           end.exit_status, end.exit_signal, end.disk_full);
    printf("loopback %lu\n", loopback_packets() - before);
    fflush(stdout);
}

/* A process outside of the inner box, with a number that nobody inside has. */
static inline pid_t outsider(void)
{
    pid_t pid = 0;

    for (int i = 0; i < 200 && pid >= 0; i++) {
        pid = fork();
        if (pid == 0) {
            _exit(0);
        }
        (void)waitpid(pid, NULL, 0);
    }
    pid = fork();
    if (pid == 0) {
        for (;;) {
            pause();
        }
    }
    return pid;
}

/* What an inner tool is to find, or not: a file, an abstract socket, a process. */
static inline char **temptations(void)
{
    static char *env[16];
    struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = "\0coordinator"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FILE *secret = fopen("/tmp/secret", "we");
    size_t n = 0;

    (void)bind(fd, (struct sockaddr *)&sa,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen("coordinator") + 1));
    (void)listen(fd, 1);
    fputs("secret\n", secret);
    fclose(secret);
    chmod("/tmp/secret", 0644);
    mkdir("/tmp/tree", 0755);
    close(open("/tmp/tree/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    env[n++] = xstrdup("HOME=/tmp");
    env[n++] = xstrdup("DISABLE_TELEMETRY=1");
    env[n++] = xstrdup("DISABLE_AUTOUPDATER=1");
    env[n++] = xstrdup("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1");
    env[n++] = xstrdup("SECRET=/tmp/secret");
    env[n++] = xstrdup("OUTSIDE=/tmp/tree/file");
    env[n++] = xstrdup("ABSTRACT=coordinator");
    env[n++] = str_fmt("OUTSIDER=%d", outsider());
    return env;
}

static inline int coordinate(char **words)
{
    struct coordinate c = {.spec = {.in = -1,
                                    .out = STDOUT_FILENO,
                                    .err = STDOUT_FILENO,
                                    .net = BOX_NET_EMPTY,
                                    .calls = BOX_CALLS_OFFLINE,
                                    .dir = "/tmp/inner",
                                    .hold_fd = -1,
                                    .cgroup_fd = -1}};

    c.spec.binds = c.binds;
    for (; *words && !str_eq(*words, "--"); words++) {
        if (!take_word(&c, *words)) {
            printf("what is %s?\n", *words);
            return 2;
        }
    }
    if (!*words || mkdir(c.spec.dir, 0700) < 0) {
        printf("no words, or no directory: %s\n", strerror(errno));
        return 2;
    }
    c.spec.argv = words + 1;
    c.spec.env = temptations();
    box_without(c.without);
    printf("inner %s %d %d %s\n", box_level_name(box_probe()->level), box_probe()->view,
           box_probe()->own_net, box_probe()->why);
    fflush(stdout);
    if (!box_probe()->own_net) {
        c.spec.net = BOX_NET_SHARED;
    }
    for (int i = c.time ? 9 : 0; i >= 0; i--) {
        run_inner(&c);
    }
    return 0;
}

__attribute__((constructor)) static void be_the_coordinator(int argc, char **argv)
{
    if (argc > 3 && str_eq(argv[1], "coordinate")) {
        _exit(coordinate(argv + 3));
    }
}
