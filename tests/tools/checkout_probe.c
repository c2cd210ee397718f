/*
 * checkout_probe - one checkout as a repository scan makes it: in a box with `nest`, with the real
 * proxy at its one listener, and nothing of the scan behind it. For
 * tests/blackbox/test_checkout.py.
 *
 *   checkout_probe [OPTIONS] SPEC        SPEC: a file with the JSON of struct repo_spec
 *     --allow ENTRY   of the proxy; may be repeated
 *     --in FILE       standard input of the box: a packed directory
 *     --ca FILE       is REPO_CA_FILE inside, and what the proxy trusts
 *     --gateway PREFIX=PATH   to PATH at the last --allow, with the secret SCANPOD_SECRET_FORGE
 *     --disk MB --inodes N    of the box's /tmp; default 512, 300000
 *     --quiet         files are counted, not shown
 *   checkout_probe pack tree|git DIR FILE BYTES FILES FILE_BYTES
 *
 * Prints one JSON object: what struct checkout has, "status", "error", "tree" (path in hexadecimal,
 * size, first bytes in hexadecimal), "tmp" (names that are left in /tmp), "key_zeroed". Status:
 * that of the checkout, 125 if there was no box.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "box/box.h"
#include "engine/engine.h"
#include "event/loop.h"
#include "proxy/proxy.h"
#include "repo/checkout.h"
#include "repo/pack.h"
#include "secret/secret.h"

enum { NO_BOX = 125, SHOWN = 256, GATEWAYS = 4 };

static _Noreturn void die(const char *what, const struct err *e)
{
    fprintf(stderr, "checkout_probe: %s: %s\n", what, e ? e->msg : strerror(errno));
    exit(NO_BOX);
}

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "re");
    struct buf text = {0};
    char chunk[65536];
    size_t got;

    if (!f) {
        die(path, NULL);
    }
    while ((got = fread(chunk, 1, sizeof chunk, f)) > 0) {
        buf_add(&text, chunk, got);
    }
    fclose(f);
    *n = text.len;
    return buf_take(&text);
}

/* ---- inside ---- */

static void add_hex(struct buf *b, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_addf(b, "%02x", (unsigned char)p[i]);
    }
}

static void show_file(int dir, const char *name, const char *path, struct json *j)
{
    auto_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char head[SHOWN];
    auto_buf text = {0}, hex = {0};
    struct stat st = {0};
    ssize_t n = fd < 0 ? 0 : read(fd, head, sizeof head);

    (void)fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW);
    add_hex(&hex, path, strlen(path));
    add_hex(&text, head, n > 0 ? (size_t)n : 0);
    json_obj(j);
    json_str(j, "path", hex.data);
    json_int(j, "size", st.st_size);
    json_bool(j, "file", S_ISREG(st.st_mode));
    json_int(j, "mode", st.st_mode & 07777);
    json_str(j, "text", text.data ? text.data : "");
    json_end(j);
}

static void show_tree(const char *dir, const char *below, struct json *j, uint32_t *n)
{
    DIR *d = opendir(dir);
    const struct dirent *row;

    while (d && (row = readdir(d))) {
        auto_free char *full = str_fmt("%s/%s", dir, row->d_name);
        auto_free char *path = str_fmt("%s%s%s", below, *below ? "/" : "", row->d_name);
        struct stat st;

        if (str_eq(row->d_name, ".") || str_eq(row->d_name, "..") || lstat(full, &st) < 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            show_tree(full, path, j, n);
        } else {
            ++*n;
            if (j) {
                show_file(dirfd(d), row->d_name, path, j);
            }
        }
    }
    if (d) {
        closedir(d);
    }
}

static void show_tmp(struct json *j)
{
    DIR *d = opendir("/tmp");
    const struct dirent *row;

    json_arr_in(j, "tmp");
    while (d && (row = readdir(d))) {
        if (row->d_name[0] != '.') {
            json_str(j, NULL, row->d_name);
        }
    }
    json_end(j);
    if (d) {
        closedir(d);
    }
}

static void show_lists(const struct checkout *c, struct json *j)
{
    json_arr_in(j, "left");
    for (uint32_t i = 0; i < c->n_left; i++) {
        json_obj(j);
        json_str(j, "path", c->left[i].path);
        json_str(j, "why", c->left[i].why);
        json_end(j);
    }
    json_end(j);
    json_int(j, "left_more", c->left_more);
    json_arr_in(j, "changed");
    for (uint32_t i = 0; i < c->n_changed; i++) {
        json_obj(j);
        json_str(j, "path", c->changed[i].path);
        json_str(j, "from", c->changed[i].from);
        json_bool(j, "whole", c->changed[i].whole);
        json_arr_in(j, "lines");
        for (uint32_t k = 0; k < c->changed[i].n_lines; k++) {
            json_int(j, NULL, c->changed[i].lines[k].first);
            json_int(j, NULL, c->changed[i].lines[k].last);
        }
        json_end(j);
        json_end(j);
    }
    json_end(j);
    json_arr_in(j, "renamed");
    for (uint32_t i = 0; i < c->n_renamed; i++) {
        json_str(j, NULL, c->renamed[i].from);
        json_str(j, NULL, c->renamed[i].to);
    }
    json_end(j);
    json_arr_in(j, "notes");
    for (size_t i = 0; i < c->notes.n; i++) {
        json_str(j, NULL, c->notes.v[i]);
    }
    json_end(j);
}

static int inside(bool quiet)
{
    size_t n;
    auto_free char *text = slurp(REPO_SPEC_FILE, &n);
    auto_buf out = {0};
    struct json j = json_to(&out);
    struct repo_spec s = {0};
    struct checkout c = {0};
    struct err e = {0};
    uint32_t files = 0;
    int rc = repo_spec_read(text, n, &s, &e);

    unlink(REPO_SPEC_FILE);
    rc = rc ? rc : checkout_run(&s, &c, &e);
    json_obj(&j);
    json_int(&j, "status", rc && !c.status ? CHECKOUT_FAILED : (int)c.status);
    json_str(&j, "error", rc ? e.msg : NULL);
    json_str(&j, "code", rc ? err_name(rc) : NULL);
    json_str(&j, "branch", c.branch);
    json_str(&j, "commit", c.commit);
    json_str(&j, "base", c.base);
    json_int(&j, "bytes", (int64_t)c.bytes);
    json_int(&j, "files", c.files);
    json_int(&j, "duration_ms", c.duration_ms);
    json_bool(&j, "key_zeroed", s.ssh_key == NULL);
    show_lists(&c, &j);
    show_tmp(&j);
    json_arr_in(&j, "tree");
    show_tree(ENGINE_TREE, "", quiet ? NULL : &j, &files);
    json_end(&j);
    json_int(&j, "written", files);
    json_end(&j);
    printf("%s\n", out.data);
    rc = rc ? (c.status ? (int)c.status : CHECKOUT_FAILED) : 0;
    checkout_done(&c);
    repo_spec_done(&s);
    return rc;
}

/* ---- outside ---- */

struct outside {
    struct loop *loop;
    struct proxy *proxy;
    struct watch report, pidfd;
    struct box box;
    struct strvec allow, none;
    struct proxy_gateway gateways[GATEWAYS];
    size_t n_gateways;
    const char *ca;
    bool opened;
};

static void on_report(struct watch *w, uint32_t events)
{
    struct outside *o = container_of(w, struct outside, report);
    struct err e = {0};

    (void)events;
    if (box_poll(&o->box) && !o->opened && o->box.listen_fd >= 0) {
        struct proxy_ask ask = {.run = 1,
                                .listen_fd = o->box.listen_fd,
                                .allow = o->n_gateways ? &o->none : &o->allow,
                                .gateways = o->gateways,
                                .n_gateways = o->n_gateways};

        o->opened = true;
        if (proxy_open(o->proxy, &ask, &e) != 0) {
            die("proxy", &e);
        }
        fd_close(&o->box.listen_fd);
    }
    if (o->box.told == BOX_ENDED || o->box.told == BOX_NOT_STARTED) {
        watch_events(w, 0);
    }
}

static void on_gone(struct watch *w, uint32_t events)
{
    (void)events;
    loop_stop(w->loop);
}

static void start_proxy(struct outside *o)
{
    const struct passwd *pw = getpwnam("nobody");
    struct proxy_config c = {.change_user = geteuid() == 0 && pw, .ca_file = {o->ca}};
    const struct proxy_events ev = {0};
    struct err e = {0};
    int fd, pidfd;

    if (c.change_user) {
        c.uid = pw->pw_uid;
        c.gid = pw->pw_gid;
    }
    if (secrets_load(NULL, &c.secrets, &e) != 0) {
        die("secrets", &e);
    }
    secrets_share(c.secrets, true);
    if (proxy_spawn(&c, &fd, &pidfd, &e) != 0 || loop_new(&o->loop, &e) != 0 ||
        proxy_connect(o->loop, fd, &ev, &o->proxy, &e) != 0) {
        die("proxy", &e);
    }
    secrets_free(c.secrets);
}

/* PREFIX=PATH */
static void add_gateway(struct outside *o, char *word)
{
    char *path = strchr(word, '=');

    if (!path || o->n_gateways == GATEWAYS || o->allow.n == 0) {
        die("--gateway", NULL);
    }
    *path++ = '\0';
    o->gateways[o->n_gateways++] = (struct proxy_gateway){
        .kind = GATEWAY_GIT,
        .prefix = word,
        .upstream = o->allow.v[o->allow.n - 1],
        .tls = true,
        .path = path,
        .ca_file = o->ca,
        .secret = "forge",
        .username = "x-access-token",
    };
}

static int run_box(struct outside *o, const struct box_spec *spec)
{
    struct box_end end = {0};
    struct err e = {0};

    if (box_start(spec, &o->box, &e) != 0) {
        die("box", &e);
    }
    o->report = (struct watch){.fd = o->box.report_fd, .events = EPOLLIN, .fn = on_report};
    o->pidfd = (struct watch){.fd = o->box.pidfd, .events = EPOLLIN, .fn = on_gone};
    if (watch_add(o->loop, &o->report, &e) != 0 || watch_add(o->loop, &o->pidfd, &e) != 0 ||
        loop_run(o->loop, &e) != 0 || box_wait(&o->box, &end, &e) != 0) {
        die("box", &e);
    }
    if (!end.started) {
        fprintf(stderr, "checkout_probe: no box: %s: %s\n", end.step, strerror(end.errnum));
        return NO_BOX;
    }
    return end.exit_signal ? 128 + end.exit_signal : end.exit_status;
}

static int outside(int argc, char **argv)
{
    static const struct option long_options[] = {{"allow", 1, NULL, 'a'}, {"in", 1, NULL, 'i'},
                                                 {"ca", 1, NULL, 'c'},    {"gateway", 1, NULL, 'g'},
                                                 {"disk", 1, NULL, 'd'},  {"inodes", 1, NULL, 'n'},
                                                 {"quiet", 0, NULL, 'q'}, {0}};
    char self[PATH_MAX] = "";
    char word[] = "inside", quiet[] = "quiet";
    char path[] = "PATH=/usr/bin:/bin", asan[] = "ASAN_OPTIONS=detect_leaks=1";
    char *child[] = {self, word, NULL, NULL};
    char *env[] = {path, asan, NULL};
    struct box_bind binds[] = {{self, false}};
    struct box_file files[2];
    struct outside o = {0};
    struct box_spec spec = {.argv = child,
                            .env = env,
                            .in = -1,
                            .out = STDOUT_FILENO,
                            .err = STDERR_FILENO,
                            .net = BOX_NET_EMPTY,
                            .listen_port = PROXY_PORT,
                            .calls = BOX_CALLS_NESTING,
                            .nest = true,
                            .binds = binds,
                            .n_binds = 1,
                            .files = files,
                            .cgroup_fd = -1,
                            .hold_fd = -1,
                            .limits = {.disk_mb = 512, .inodes = 300000, .files = 1024}};
    int status;

    for (int opt; (opt = getopt_long(argc, argv, "+", long_options, NULL)) != -1;) {
        switch (opt) {
        case 'a':
            strvec_push(&o.allow, optarg);
            break;
        case 'i':
            spec.in = open(optarg, O_RDONLY | O_CLOEXEC);
            break;
        case 'c':
            o.ca = optarg;
            break;
        case 'g':
            add_gateway(&o, optarg);
            break;
        case 'd':
            spec.limits.disk_mb = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            spec.limits.inodes = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'q':
            child[2] = quiet;
            break;
        default:
            return NO_BOX;
        }
    }
    if (optind + 1 != argc || readlink("/proc/self/exe", self, sizeof self - 1) < 0) {
        die("usage", NULL);
    }
    files[0] = (struct box_file){.path = REPO_SPEC_FILE};
    files[0].text = slurp(argv[optind], &files[0].n);
    spec.n_files = 1;
    if (o.ca) {
        files[1] = (struct box_file){.path = REPO_CA_FILE};
        files[1].text = slurp(o.ca, &files[1].n);
        spec.n_files = 2;
    }
    start_proxy(&o);
    status = run_box(&o, &spec);
    box_done(&o.box);
    proxy_free(o.proxy);
    loop_free(o.loop);
    strvec_done(&o.allow);
    for (size_t i = 0; i < spec.n_files; i++) {
        free((void *)(uintptr_t)files[i].text);
    }
    return status;
}

static int pack(char **argv)
{
    const struct pack_limits l = {.max_bytes = strtoull(argv[3], NULL, 10),
                                  .max_files = (uint32_t)strtoul(argv[4], NULL, 10),
                                  .max_file_bytes = (uint32_t)strtoul(argv[5], NULL, 10)};
    struct err e = {0};
    uint64_t left;
    auto_fd int to = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    char chunk[65536];
    int fd;
    ssize_t n;

    if (to < 0 || pack_directory(argv[1], str_eq(argv[0], "git"), &l, &fd, &left, &e) != 0) {
        die("pack", to < 0 ? NULL : &e);
    }
    while ((n = read(fd, chunk, sizeof chunk)) > 0) {
        if (write(to, chunk, (size_t)n) != n) {
            die(argv[2], NULL);
        }
    }
    printf("%llu\n", (unsigned long long)left);
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc >= 2 && str_eq(argv[1], "inside")) {
        return inside(argc > 2);
    }
    if (argc == 8 && str_eq(argv[1], "pack")) {
        return pack(argv + 2);
    }
    return outside(argc, argv);
}
