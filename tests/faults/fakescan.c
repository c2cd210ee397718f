/*
 * fakescan - stands in for nmap, and tells the truth of when it ran.
 *
 * It is BASE/bin/WORKER/nmap, and writes to BASE, which its box may write to:
 *   BASE/truth.log     "what task run worker ns detail\n", each line one write() to O_APPEND;
 * `what` is start (detail: 1 if no other run of the task lived), tick, or end (detail: its exit
 * status); ns is CLOCK_BOOTTIME BASE/locks/TASK    locked for as long as a run of that task lives
 *   BASE/marks/TASK    there once it has failed on purpose
 *
 * TASK is the first target. The port says what to do: KIND * 10000 + hundredths of a second.
 *   0 completes   1 fails once, then completes   2 crashes   3 prints no XML
 *   4 crashes once, then completes               5 completes, after seconds instead of hundredths
 * Each host that it prints names the run that printed it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { KIND_FAILS_ONCE = 1, KIND_CRASHES, KIND_GARBAGE, KIND_CRASHES_ONCE, KIND_SECONDS };
enum { TICK_MS = 50, HOSTS_MAX = 256, BAD_TOOL = 90 };

static char base[2048], worker[64], task[64];
static uint32_t hosts[HOSTS_MAX];
static size_t n_hosts;
static uint64_t run_id;
static int truth = -1;
static int *volatile nowhere;

static int64_t boot_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void tell(const char *what, int detail)
{
    char line[256];
    int n = snprintf(line, sizeof line, "%s %s %016" PRIx64 " %s %" PRId64 " %d\n", what, task,
                     run_id, worker, boot_ns(), detail);

    if (write(truth, line, (size_t)n) != n) {
        _exit(BAD_TOOL);
    }
}

/* A file below BASE; -1 as of open(). */
static int open_below(const char *folder, const char *name, int flags)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s%s", base, folder, name);
    return open(path, flags | O_CLOEXEC, 0666);
}

/* BASE and WORKER out of BASE/bin/WORKER/nmap. */
static bool find_base(const char *self)
{
    char *slash;

    snprintf(base, sizeof base, "%s", self);
    for (int up = 0; up < 3; up++) {
        slash = strrchr(base, '/');
        if (!slash) {
            return false;
        }
        *slash = 0;
        if (up == 1) {
            snprintf(worker, sizeof worker, "%s", slash + 1);
        }
    }
    return true;
}

static void add_target(const char *word)
{
    char address[64];
    int bits = 32;
    struct in_addr in;

    if (sscanf(word, "%63[^/]/%d", address, &bits) < 1 || bits < 24 || bits > 32 ||
        inet_pton(AF_INET, address, &in) != 1) {
        fprintf(stderr, "'%s' is no target of ours\n", word);
        exit(BAD_TOOL);
    }
    if (n_hosts == 0) {
        snprintf(task, sizeof task, "%s", address);
    }
    for (uint32_t i = 0; i < 1u << (32 - bits) && n_hosts < HOSTS_MAX; i++) {
        hosts[n_hosts++] = ntohl(in.s_addr) + i;
    }
}

static void read_targets(const char *path)
{
    FILE *f = fopen(path, "re");
    char word[64];

    while (f && fscanf(f, "%63s", word) == 1) {
        add_target(word);
    }
    if (f) {
        fclose(f);
    }
}

/* The lock is the kernel's word for it: it goes with the process, however that ends. */
static int lock_task(void)
{
    int fd = open_below("locks/", task, O_RDWR | O_CREAT);

    if (fd < 0) {
        fprintf(stderr, "%s/locks: %s\n", base, strerror(errno));
        exit(BAD_TOOL);
    }
    return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 1 : 0;
}

static void work(int64_t ms)
{
    int64_t end = boot_ns() + ms * 1000000;

    for (int64_t left; (left = (end - boot_ns()) / 1000000) > 0;) {
        const struct timespec nap = {.tv_nsec = (left < TICK_MS ? left + 1 : TICK_MS) * 1000000};

        nanosleep(&nap, NULL);
        tell("tick", 0);
    }
}

static void print_head(void)
{
    printf("<?xml version=\"1.0\"?>\n<!DOCTYPE nmaprun>\n<nmaprun scanner=\"nmap\" args=\"nmap\" "
           "start=\"1795262400\" version=\"7.93\" xmloutputversion=\"1.05\">\n");
    fflush(stdout);
}

static void print_host(uint32_t address, int port)
{
    struct in_addr in = {.s_addr = htonl(address)};
    char text[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &in, text, sizeof text);
    printf("<host starttime=\"1795262400\" endtime=\"1795262401\"><status state=\"up\" "
           "reason=\"user-set\" reason_ttl=\"0\"/><address addr=\"%s\" addrtype=\"ipv4\"/>"
           "<ports><port protocol=\"tcp\" portid=\"%d\"><state state=\"open\" reason=\"syn-ack\" "
           "reason_ttl=\"0\"/><service name=\"test\" product=\"%016" PRIx64
           "\" method=\"probed\" conf=\"10\"/></port></ports></host>\n",
           text, port, run_id);
    fflush(stdout);
}

/* What is told while it runs changes rows too. */
static void print_progress(size_t done)
{
    printf("<taskprogress task=\"Fake Scan\" time=\"1795262400\" percent=\"%.2f\" "
           "remaining=\"1\" etc=\"1795262500\"/>\n",
           100.0 * (double)(done + 1) / (double)(n_hosts + 1));
    fflush(stdout);
}

static void print_tail(void)
{
    printf("<runstats><finished time=\"1795262402\" elapsed=\"2.00\" exit=\"success\"/>"
           "<hosts up=\"%zu\" down=\"0\" total=\"%zu\"/></runstats>\n</nmaprun>\n",
           n_hosts, n_hosts);
    fflush(stdout);
}

static bool first_failure(void)
{
    int fd = open_below("marks/", task, O_WRONLY | O_CREAT | O_EXCL);

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

static void end(int status)
{
    tell("end", status);
    _exit(status);
}

/* Hosts appear while it runs, so that there are results of runs that never end. */
static void scan(int port)
{
    int kind = port / 10000;
    int64_t ms = (int64_t)(port % 10000) * (kind == KIND_SECONDS ? 1000 : 10);
    bool fails = (kind == KIND_FAILS_ONCE || kind == KIND_CRASHES_ONCE) && first_failure();

    if (kind == KIND_GARBAGE) {
        work(ms);
        printf("no element at all <<<\n");
        fflush(stdout);
        end(0);
    }
    print_head();
    for (size_t i = 0; i < n_hosts; i++) {
        print_progress(i);
        work(ms / (int64_t)n_hosts);
        print_host(hosts[i], port);
    }
    if (fails && kind == KIND_FAILS_ONCE) {
        fprintf(stderr, "failing on purpose\n");
        end(3);
    }
    if (fails || kind == KIND_CRASHES) {
        tell("end", 128 + SIGSEGV);
        *(volatile int *)nowhere = 1; /* no signal sent: filters may refuse that */
    }
    print_tail();
    end(0);
}

int main(int argc, char **argv)
{
    int port = 0;

    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("Nmap version 7.93 ( https://nmap.org )");
        return 0;
    }
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "-iL") == 0) {
            read_targets(argv[i + 1]);
        } else if (strcmp(argv[i], "-p") == 0) {
            port = atoi(argv[i + 1]);
        }
    }
    if (n_hosts == 0 || port <= 0 || !find_base((const char *)getauxval(AT_EXECFN)) ||
        (truth = open_below("", "truth.log", O_WRONLY | O_APPEND)) < 0 ||
        getrandom(&run_id, sizeof run_id, 0) != sizeof run_id) {
        fprintf(stderr, "fakescan: %s: %s\n", base, strerror(errno));
        return BAD_TOOL;
    }
    tell("start", lock_task());
    scan(port);
    return 0;
}
