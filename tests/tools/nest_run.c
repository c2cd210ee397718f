/*
 * nest_run - `scanpod repo-box` as the runner starts it: in a box with `nest`, with a spec and a
 * packed directory. For tests of repository scans without a server.
 *
 *   nest_run [OPTIONS] PROGRAM SPEC
 *     PROGRAM          scanpod
 *     SPEC             file with the spec (repo/spec.h)
 *     --tree DIR       its pack is standard input
 *     --git DIR        the same with the objects of its .git
 *     --bind PATH      more of the machine, read-only; may be repeated
 *     --rules FILE     the operator's rules
 *     --disk MB        of the box's /tmp; default 1024
 *     --inodes N       default 400000
 *     --max-bytes N --max-files N --max-file-bytes N    of the pack
 *     --proxy          an empty network with a listener that nobody serves
 *     --kill MS        kill the box so long after its start
 *     --report FILE    gets one object of JSON: started, step, exit_status, exit_signal, cpu_us,
 *                      max_rss_kb, disk_bytes, disk_files, wall_us
 *
 * Standard output and error are the box's.
 * Status: the program's, 128 + signal, 125 if it was not started, 2 for a usage error.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "box/box.h"
#include "proxy/proxy.h"
#include "repo/pack.h"
#include "repo/spec.h"

enum { BINDS_MAX = 32, NOT_STARTED = 125, USAGE = 2, FILE_MAX = 16 << 20 };

struct options {
    const char *tree, *report;
    bool git, proxy;
    struct box_bind binds[BINDS_MAX];
    size_t n_binds;
    struct pack_limits pack;
    uint32_t disk_mb, inodes;
    int kill_ms; /* -1: not */
    char program[PATH_MAX];
    struct buf spec, rules;
};

static _Noreturn void die(int status, const char *what, const char *why)
{
    fprintf(stderr, "nest_run: %s: %s\n", what, why);
    exit(status);
}

static void read_file(struct buf *out, const char *path)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf_space(out, FILE_MAX), FILE_MAX);

    if (n < 0) {
        die(USAGE, path, strerror(errno));
    }
    out->len = (size_t)n;
}

static uint64_t number(const char *text)
{
    uint64_t v;

    if (!str_to_u64(text, 0, UINT64_MAX / 2, &v)) {
        die(USAGE, text, "is not a number");
    }
    return v;
}

static void report(const char *path, const struct box_end *end, int64_t wall_us)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    auto_buf text = {0};
    struct json j = json_to(&text);

    json_obj(&j);
    json_bool(&j, "started", end->started);
    json_str(&j, "step", end->step);
    json_int(&j, "exit_status", end->exit_status);
    json_int(&j, "exit_signal", end->exit_signal);
    json_int(&j, "cpu_us", end->cpu_us);
    json_int(&j, "max_rss_kb", end->max_rss_kb);
    json_int(&j, "disk_bytes", end->disk_bytes);
    json_int(&j, "disk_files", end->disk_files);
    json_int(&j, "wall_us", wall_us);
    json_end(&j);
    if (fd < 0 || dprintf(fd, "%s\n", text.data) < 0) {
        die(NOT_STARTED, path, strerror(errno));
    }
}

static int run(struct options *o)
{
    char *argv[] = {o->program, (char *)(uintptr_t) "repo-box", NULL};
    char *env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", (char *)(uintptr_t) "HOME=/tmp",
                   (char *)(uintptr_t) "LC_ALL=C.UTF-8", NULL};
    const struct box_file files[] = {
        {.path = REPO_SPEC_FILE, .text = o->spec.data, .n = o->spec.len},
        {.path = REPO_RULES_FILE, .text = o->rules.data, .n = o->rules.len},
    };
    struct box_spec spec = {
        .argv = argv,
        .env = env,
        .in = -1,
        .out = STDOUT_FILENO,
        .err = STDERR_FILENO,
        .net = BOX_NET_EMPTY,
        .calls = BOX_CALLS_NESTING,
        .nest = true,
        .binds = o->binds,
        .n_binds = o->n_binds,
        .files = files,
        .n_files = o->rules.len ? 2 : 1,
        .limits = {.disk_mb = o->disk_mb, .inodes = o->inodes, .files = 4096},
        .cgroup_fd = -1,
        .listen_port = o->proxy ? PROXY_PORT : 0,
        .hold_fd = -1,
    };
    struct err e = {0};
    struct box_end end;
    struct box b;
    uint64_t left_out;
    int64_t from;

    if (box_probe()->level != BOX_USERNS) {
        die(NOT_STARTED, "no box can be nested here", box_probe()->why);
    }
    if (o->tree && pack_directory(o->tree, o->git, &o->pack, &spec.in, &left_out, &e) != 0) {
        die(NOT_STARTED, o->tree, e.msg);
    }
    from = boot_us();
    if (box_start(&spec, &b, &e) != 0) {
        die(NOT_STARTED, "box", e.msg);
    }
    if (o->kill_ms >= 0) {
        struct pollfd p = {.fd = b.pidfd, .events = POLLIN};

        (void)poll(&p, 1, o->kill_ms);
        (void)box_poll(&b);
        box_kill(&b);
    }
    if (box_wait(&b, &end, &e) != 0) {
        die(NOT_STARTED, "box", e.msg);
    }
    box_done(&b);
    if (o->report) {
        report(o->report, &end, boot_us() - from);
    }
    if (!end.started) {
        die(NOT_STARTED, end.step, strerror(end.errnum));
    }
    return end.exit_signal ? 128 + end.exit_signal : end.exit_status;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"tree", 1, NULL, 't'},
        {"git", 1, NULL, 'g'},
        {"bind", 1, NULL, 'b'},
        {"disk", 1, NULL, 'd'},
        {"inodes", 1, NULL, 'i'},
        {"max-bytes", 1, NULL, 'B'},
        {"max-files", 1, NULL, 'F'},
        {"max-file-bytes", 1, NULL, 'S'},
        {"proxy", 0, NULL, 'p'},
        {"kill", 1, NULL, 'k'},
        {"report", 1, NULL, 'r'},
        {"rules", 1, NULL, 'R'},
        {0},
    };
    struct options o = {
        .disk_mb = 1024,
        .inodes = 400000,
        .kill_ms = -1,
        .pack = {.max_bytes = 1 << 30, .max_files = 1000000, .max_file_bytes = 64 << 20},
    };
    int opt, status;

    while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (opt) {
        case 't':
        case 'g':
            o.tree = optarg;
            o.git = opt == 'g';
            break;
        case 'b':
            if (o.n_binds == BINDS_MAX) {
                die(USAGE, optarg, "one path too many");
            }
            o.binds[o.n_binds++] = (struct box_bind){.path = optarg};
            break;
        case 'd':
            o.disk_mb = (uint32_t)number(optarg);
            break;
        case 'i':
            o.inodes = (uint32_t)number(optarg);
            break;
        case 'B':
            o.pack.max_bytes = number(optarg);
            break;
        case 'F':
            o.pack.max_files = (uint32_t)number(optarg);
            break;
        case 'S':
            o.pack.max_file_bytes = (uint32_t)number(optarg);
            break;
        case 'p':
            o.proxy = true;
            break;
        case 'k':
            o.kill_ms = (int)number(optarg);
            break;
        case 'R':
            read_file(&o.rules, optarg);
            break;
        case 'r':
            o.report = optarg;
            break;
        default:
            return USAGE;
        }
    }
    if (argc - optind != 2 || !realpath(argv[optind], o.program)) {
        die(USAGE, "usage", "nest_run [OPTIONS] PROGRAM SPEC");
    }
    read_file(&o.spec, argv[optind + 1]);
    status = run(&o);
    buf_done(&o.spec);
    buf_done(&o.rules);
    return status;
}
