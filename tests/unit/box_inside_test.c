/*
 * What a tool finds in its box, and what it cannot do there, at every level that the kernel grants:
 * with the filter of system calls, and without it, so that what lies under it is proven as well.
 */
#include <arpa/inet.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "box_rig.h"

/* Runs the prisoner to its end. spec: what is to be different. */
static void run_prisoner(struct run *r, struct box_spec *spec)
{
    start_spec(r, spec);
    finish(r);
}

/* Escaping. */

/* What is no way out where there is no view, or no namespace to be in. */
static bool is_allowed(const char *name, const struct box_spec *spec)
{
    static const char *const without_filter[] = {"keyring", NULL};
    /* In a user namespace that is itself forbidden; with Landlock it leads nowhere. */
    static const char *const plain_without_filter[] = {"unshare-user", "clone-user", NULL};

    if (str_eq(name, "connect-host")) {
        return spec->net == BOX_NET_SHARED;
    }
    for (const char *const *p = without_filter; *p && spec->calls == BOX_CALLS_ALL; p++) {
        if (str_eq(*p, name)) {
            return true;
        }
    }
    for (const char *const *p = plain_without_filter;
         *p && spec->calls == BOX_CALLS_ALL && now->level != BOX_USERNS; p++) {
        if (str_eq(*p, name)) {
            return true;
        }
    }
    return false;
}

static void check_nothing_worked(const struct run *r, const struct box_spec *spec)
{
    unsigned tried = 0;
    char *rest = r->text.data;
    auto_buf escaped = {0};

    for (char *line = strtok_r(rest, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *result = strchr(line, ' ');

        CHECK(result != NULL);
        *result++ = '\0';
        tried++;
        if ((str_eq(result, "yes") || str_eq(result, "died")) && !is_allowed(line, spec)) {
            buf_addf(&escaped, " %s", line);
        }
    }
    if (escaped.len) {
        tap_fail(__FILE__, __LINE__, "%s, calls %d: worked:%s", now->name, (int)spec->calls,
                 escaped.data);
    }
    CHECK_INT(tried, 53);
}

static int tcp_listener(const char *address, int *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address)};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK_INT(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    CHECK_INT(listen(fd, 5), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    *port = ntohs(sa.sin_port);
    return fd;
}

static int abstract_listener(const char *name)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(sa.sun_path + 1, name, strlen(name));
    CHECK_INT(bind(fd, (struct sockaddr *)&sa,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
              0);
    CHECK_INT(listen(fd, 5), 0);
    return fd;
}

static void tries_to_escape(enum box_calls calls)
{
    int port;
    auto_fd int listener = tcp_listener("127.0.0.1", &port);
    auto_free char *number = str_fmt("%d", port);
    char *argv[] = {prisoner(), mark, xstrdup("escape"), number, NULL};
    auto_free char *secret = str_fmt("%s/secret", test_dir());
    auto_free char *outside = str_fmt("/var/tmp/box-test-%d-%d", getpid(), (int)now->level);
    auto_free char *name = str_fmt("box-test-%d-abstract", getpid());
    auto_fd int abstract = abstract_listener(name);
    char *env[] = {str_fmt("SECRET=%s", secret), str_fmt("OUTSIDE=%s", outside),
                   str_fmt("ABSTRACT=%s", name), str_fmt("OUTSIDER=%d", getpid()), NULL};
    int64_t *until_ms =
        mmap(NULL, sizeof *until_ms, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct box_spec spec = a_spec(argv);
    struct run r;

    CHECK(until_ms != MAP_FAILED);
    *until_ms = INT64_MAX;
    spec.until_ms = until_ms;
    CHECK(listener >= 0 && abstract >= 0);
    copy_file("/etc/hostname", secret); /* that any user could read */
    spec.env = env;
    spec.calls = calls;
    spec.net = box_probe()->own_net ? BOX_NET_EMPTY : BOX_NET_SHARED;
    run_prisoner(&r, &spec);
    check_started(&r);
    CHECK_INT(r.end.exit_status, 0);
    check_nothing_worked(&r, &spec);
    CHECK_INT(access(outside, F_OK), -1);
    munmap(until_ms, sizeof *until_ms);
    buf_done(&r.text);
    free(argv[2]);
    for (char **v = env; *v; v++) {
        free(*v);
    }
}

static void tries_with_the_filter(void)
{
    tries_to_escape(BOX_CALLS_NETWORK);
    tries_to_escape(BOX_CALLS_OFFLINE);
}

static void no_way_out_of_a_box_works(void)
{
    each_way(tries_with_the_filter);
}

static void tries_without_the_filter(void)
{
    tries_to_escape(BOX_CALLS_ALL);
}

static void none_works_without_the_filter_of_system_calls_either(void)
{
    each_way(tries_without_the_filter);
}

/* Being given. */

static void looks_round(void)
{
    static const char *const inside[] = {".",    "..",  "bin", "dev",  "etc", "lib",
                                         "sbin", "tmp", "usr", "proc", NULL};
    char *argv[] = {prisoner(), mark, xstrdup("show"), NULL};
    struct box_spec spec = a_spec(argv);
    const bool nobody = geteuid() != 0;
    struct run r;
    unsigned seen = 0;

    spec.net = box_probe()->own_net ? BOX_NET_EMPTY : BOX_NET_SHARED;
    spec.calls = BOX_CALLS_ALL; /* to ask for its priority */
    run_prisoner(&r, &spec);
    check_line(&r, nobody && now->level != BOX_USERNS ? "uid 65534 65534" : "uid 61001 61001");
    check_line(&r, nobody && now->level != BOX_USERNS ? "gid 65534 65534" : "gid 61001 61001");
    check_line(&r, "groups 0");
    check_line(&r, "nice 10");
    check_line(&r, "ioprio 16391"); /* best effort, 7 */
    if (now->view) {
        check_line(&r, "host scanpod");
        for (const char *const *p = inside; *p; p++) {
            auto_free char *line = str_fmt("root %s", *p);

            check_line(&r, line);
        }
        CHECK(strstr(r.text.data, "root root") == NULL);
        CHECK(strstr(r.text.data, "root home") == NULL);
        CHECK(strstr(r.text.data, "root var") == NULL);
    }
    if (spec.net == BOX_NET_EMPTY) {
        check_line(&r, "interface lo");
        for (const char *p = r.text.data; (p = strstr(p, "\ninterface ")); p++) {
            seen++;
        }
        CHECK_INT(seen, 1);
    }
    buf_done(&r.text);
    free(argv[2]);
}

static void a_tool_is_nobody_on_a_machine_of_its_own(void)
{
    each_way(looks_round);
}

static void has_files(void)
{
    const struct box_file files[] = {
        {"/etc/hosts", "127.0.0.1 pinned\n", 17},
        {"/tmp/targets", "192.0.2.1", 9},
        {"/srv/deep/file", "deep", 4},
    };
    char *argv[] = {prisoner(),
                    mark,
                    xstrdup("cat"),
                    xstrdup("targets"),
                    xstrdup("/etc/hosts"),
                    xstrdup("/srv/deep/file"),
                    NULL};
    struct box_spec spec = a_spec(argv);
    struct run r;

    spec.files = files;
    spec.n_files = ARRAY_LEN(files);
    run_prisoner(&r, &spec);
    check_line(&r, "targets: 192.0.2.1");
    if (now->view) {
        check_line(&r, "/etc/hosts: 127.0.0.1 pinned");
        check_line(&r, "/srv/deep/file: deep");
    } else {
        CHECK(strstr(r.text.data, "pinned") == NULL);
        CHECK(strstr(r.text.data, "/srv/deep/file: deep") == NULL);
    }
    buf_done(&r.text);
    for (size_t i = 2; i < ARRAY_LEN(argv) - 1; i++) {
        free(argv[i]);
    }
}

static void files_are_in_the_view_before_the_tool_starts(void)
{
    each_way(has_files);
}

static void has_binds(void)
{
    static const char script[] = "echo a >$1/read/x; echo b >$1/write/x; echo c >$1/write/deep/x;"
                                 "cat $1/read/there; ls -d $1/hidden";
    auto_free char *dir = str_fmt("%s/binds-%d", test_dir(), (int)(now - ways));
    auto_free char *read = str_fmt("%s/read", dir);
    auto_free char *write = str_fmt("%s/write", dir);
    auto_free char *deep = str_fmt("%s/write/deep", dir);
    auto_free char *hidden = str_fmt("%s/hidden", dir);
    auto_free char *there = str_fmt("%s/read/there", dir);
    auto_free char *read_x = str_fmt("%s/read/x", dir);
    auto_free char *write_x = str_fmt("%s/write/x", dir);
    auto_free char *deep_x = str_fmt("%s/write/deep/x", dir);
    char *argv[] = {xstrdup("/bin/sh"), xstrdup("-c"), xstrdup(script), mark, dir, NULL};
    char *env[] = {xstrdup("PATH=/usr/bin:/bin"), NULL};
    struct box_bind binds[] = {{read, false}, {write, true}, {deep, false}};
    struct box_spec spec = a_spec(argv);
    struct run r;

    CHECK_INT(mkdir(dir, 0755) | mkdir(read, 0777) | mkdir(write, 0777) | mkdir(deep, 0777) |
                  mkdir(hidden, 0777),
              0);
    CHECK_INT(chmod(dir, 0755) | chmod(read, 0777) | chmod(write, 0777) | chmod(deep, 0777), 0);
    copy_file("/etc/hostname", there);
    spec.env = env;
    spec.binds = binds;
    /* Landlock adds up: there is no read-only part of what may be written. */
    spec.n_binds = now->view ? 3 : 2;
    run_prisoner(&r, &spec);
    check_started(&r);
    CHECK(r.text.len > 0);
    CHECK_INT(access(read_x, F_OK), -1);
    CHECK_INT(access(write_x, F_OK), 0);
    CHECK_INT(access(deep_x, F_OK), now->view ? -1 : 0);
    if (now->view) {
        CHECK(strstr(r.text.data, "hidden") == NULL);
    }
    buf_done(&r.text);
    free(argv[0]);
    free(argv[1]);
    free(argv[2]);
    free(env[0]);
}

static void binds_are_there_read_only_unless_they_are_to_be_written(void)
{
    each_way(has_binds);
}

/* Limits. */

static void run_limited(struct run *r, const char *what, const char *n, struct box_limits limits)
{
    char *argv[] = {prisoner(), mark, xstrdup(what), xstrdup(n), NULL};
    struct box_spec spec = a_spec(argv);

    spec.limits = limits;
    run_prisoner(r, &spec);
    check_started(r);
    free(argv[2]);
    free(argv[3]);
}

static long number_after(const struct run *r, const char *word)
{
    return strncmp(r->text.data, word, strlen(word)) == 0
               ? strtol(r->text.data + strlen(word), NULL, 10)
               : -1;
}

static void fills_its_disk(void)
{
    struct run r;

    run_limited(&r, "sparse", "3", (struct box_limits){.file_mb = 2});
    CHECK_INT(r.end.exit_signal, SIGXFSZ);
    if (!now->view) {
        CHECK_INT(r.end.disk_bytes, -1);
        return;
    }
    run_limited(&r, "fill", "9", (struct box_limits){.disk_mb = 4});
    CHECK_INT(number_after(&r, "filled "), 4);
    CHECK_INT(r.end.disk_bytes, 4 << 20);
    CHECK(r.end.disk_full);
    CHECK(!r.end.inodes_full);
    buf_done(&r.text);

    run_limited(&r, "fill", "2", (struct box_limits){.disk_mb = 4});
    CHECK_INT(number_after(&r, "filled "), 2);
    CHECK_INT(r.end.disk_bytes, 2 << 20);
    CHECK(!r.end.disk_full);
    buf_done(&r.text);

    run_limited(&r, "files", "300", (struct box_limits){.inodes = 100});
    CHECK(number_after(&r, "files ") < 100 && number_after(&r, "files ") > 90);
    CHECK_INT(r.end.disk_files, 99);
    CHECK(r.end.inodes_full);
    CHECK(!r.end.disk_full);
    buf_done(&r.text);

    run_limited(&r, "files", "5000", (struct box_limits){0}); /* not unlimited unless said */
    CHECK(number_after(&r, "files ") < 4096 && r.end.inodes_full);
    buf_done(&r.text);
}

static void a_full_disk_is_full_and_told(void)
{
    each_way(fills_its_disk);
}

static void has_too_many_children(void)
{
    struct run r;

    run_limited(&r, "forks", "40", (struct box_limits){.procs = 10});
    /* Its own user namespace counts alone; else others of the user count too. */
    if (now->level == BOX_USERNS) {
        CHECK_INT(number_after(&r, "children "), 9);
    } else {
        CHECK(number_after(&r, "children ") <= 9);
    }
    buf_done(&r.text);
}

static void processes_are_limited(void)
{
    each_way(has_too_many_children);
}

/* Network. */

static void is_served_from_outside(void)
{
    char *argv[] = {prisoner(), mark, xstrdup("connect"), xstrdup("8391"), NULL};
    struct box_spec spec = a_spec(argv);
    char word[8] = "";
    struct run r;
    int fd;

    if (box_probe()->own_net) {
        spec.net = BOX_NET_EMPTY;
        spec.listen_port = 8391;
        start_spec(&r, &spec);
        await_note(&r);
        r.end = r.box.end;
        check_started(&r);
        CHECK(r.box.listen_fd >= 0);
        fd = accept4(r.box.listen_fd, NULL, NULL, SOCK_CLOEXEC);
        CHECK(fd >= 0);
        CHECK_INT(read(fd, word, sizeof word), 4);
        CHECK_STR(word, "word");
        close(fd);
        finish(&r);
        check_line(&r, "connect yes");
        buf_done(&r.text);
    }
    free(argv[2]);
    free(argv[3]);
}

static void an_empty_network_has_one_listener_served_from_outside(void)
{
    each_way(is_served_from_outside);
}

static void answer(int listener, struct seccomp_notif *n)
{
    union {
        struct seccomp_notif_resp r;
        char room[1024];
    } out = {.r = {.id = n->id, .error = -EHOSTUNREACH}};

    CHECK_INT(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &out.r), 0);
}

static void is_brokered(void)
{
    char *argv[] = {prisoner(), mark, xstrdup("send-to"), xstrdup("9"), NULL};
    struct box_spec spec = a_spec(argv);
    union {
        struct seccomp_notif n;
        char room[1024];
    } in = {0};
    char word[4] = "";
    struct iovec here = {word, sizeof word};
    struct iovec there;
    struct run r;
    int taken;

    CHECK(box_probe()->notify);
    spec.calls = BOX_CALLS_BROKER;
    start_spec(&r, &spec);
    await_note(&r);
    CHECK(r.box.told == BOX_STARTED);
    CHECK(r.box.notify_fd >= 0);
    CHECK_INT(ioctl(r.box.notify_fd, SECCOMP_IOCTL_NOTIF_RECV, &in.n), 0);
    CHECK_INT(in.n.data.nr, SYS_sendto);
    there = (struct iovec){(void *)(uintptr_t)in.n.data.args[1], sizeof word};
    CHECK_INT(process_vm_readv((pid_t)in.n.pid, &here, 1, &there, 1, 0), 4);
    CHECK(memcmp(word, "word", 4) == 0);

    auto_fd int pidfd = (int)syscall(SYS_pidfd_open, in.n.pid, 0);

    taken = (int)syscall(SYS_pidfd_getfd, pidfd, (int)in.n.data.args[0], 0);
    CHECK(taken >= 0);
    close(taken);
    answer(r.box.notify_fd, &in.n);
    finish(&r);
    check_line(&r, "send-to No route to host");
    buf_done(&r.text);
    free(argv[2]);
    free(argv[3]);
}

static void the_listener_of_a_brokered_tool_comes_out(void)
{
    each_way(is_brokered);
}

static void ip(const char *line)
{
    auto_free char *text = xstrdup(line);
    char *argv[32] = {NULL};
    char *const env[] = {NULL};
    char *rest = text;
    size_t n = 0;
    int status;
    pid_t pid;

    for (char *word = strtok_r(rest, " ", &rest); word && n < 31;
         word = strtok_r(NULL, " ", &rest)) {
        argv[n++] = word;
    }
    argv[n] = NULL;
    CHECK_INT(posix_spawn(&pid, "/usr/sbin/ip", NULL, NULL, argv, env), 0);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    if (status != 0) {
        tap_fail(__FILE__, __LINE__, "%s: %d", line, status);
    }
}

static struct net_ip an_ip(const char *text)
{
    struct net_ip out;

    CHECK(net_ip_parse(text, &out));
    return out;
}

/* A network namespace to throw away, as the outer side: wires of former ones die late. */
static void enter_lab(void)
{
    CHECK_INT(unshare(CLONE_NEWNET), 0);
    ip("ip link set lo up");
}

/* Call it in a lab. */
static void start_with_a_wire(struct run *r, struct box_spec *spec, bool v6)
{
    struct box_address a = {
        .has_v4 = true,
        .has_v6 = v6,
        .v4 = an_ip("198.18.0.2"),
        .gateway4 = an_ip("198.18.0.1"),
        .prefix4 = 30,
        .v6 = an_ip("fd5c:a17e::2"),
        .gateway6 = an_ip("fd5c:a17e::1"),
        .prefix6 = 126,
    };
    struct ifreq req = {.ifr_name = "v0"};
    auto_fd int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    auto_free char *add = NULL;

    spec->net = BOX_NET_OWN;
    start_spec(r, spec);
    await_note(r);
    CHECK(r->box.told == BOX_WAITING);
    CHECK(r->box.netns_fd >= 0);
    add = str_fmt("ip link add v0 type veth peer name eth0 netns %d", r->box.pid);
    ip(add);
    ip("ip address add 198.18.0.1/30 dev v0");
    ip("ip link set v0 up");
    CHECK_INT(ioctl(s, SIOCGIFHWADDR, &req), 0);
    memcpy(a.gateway_mac, req.ifr_hwaddr.sa_data, 6);
    CHECK_OK(box_go(&r->box, &a, ERR));
}

static void check_has(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        tap_fail(__FILE__, __LINE__, "%s: no '%s' in: %s", now->name, part, text);
    }
}

static void sees_its_wire(bool v6)
{
    static const char script[] = "ip -br address; ip route; ip -6 route; ip neighbour; "
                                 "cat /proc/sys/net/ipv4/ip_unprivileged_port_start "
                                 "/proc/sys/net/ipv6/conf/all/disable_ipv6";
    char *argv[] = {xstrdup("/bin/sh"), xstrdup("-c"), xstrdup(script), mark, NULL};
    char *env[] = {xstrdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), NULL};
    struct box_spec spec = a_spec(argv);
    struct run r;
    const char *text;

    spec.env = env;
    spec.calls = BOX_CALLS_ALL;
    start_with_a_wire(&r, &spec, v6);
    finish(&r);
    text = r.text.data ? r.text.data : "";
    check_started(&r);
    check_has(text, "198.18.0.2/30");
    check_has(text, "127.0.0.1/8");
    check_has(text, "default via 198.18.0.1 dev eth0");
    check_has(text, "PERMANENT");
    CHECK((strstr(text, "fd5c:a17e::2/126") != NULL) == v6);
    CHECK((strstr(text, "default via fd5c:a17e::1 dev eth0") != NULL) == v6);
    CHECK(strstr(text, "tentative") == NULL && strstr(text, "fe80") == NULL);
    check_has(text, !now->view ? "" : v6 ? "\n0\n0\n" : "\n0\n1\n");
    buf_done(&r.text);
    free(argv[0]);
    free(argv[1]);
    free(argv[2]);
    free(env[0]);
}

static void talks_over_its_wire(void)
{
    char *argv[] = {prisoner(), mark, xstrdup("connect"), NULL, xstrdup("198.18.0.1"), NULL};
    struct box_spec spec;
    struct run r;
    int port;
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int listener;

    if (box_probe()->own_net) {
        enter_lab();
        sees_its_wire(false);
        enter_lab();
        sees_its_wire(true);
        enter_lab();
        spec = a_spec(argv);
        ip("ip address add 198.18.0.1/32 dev lo");
        listener = tcp_listener("198.18.0.1", &port);
        ip("ip address del 198.18.0.1/32 dev lo");
        argv[3] = str_fmt("%d", port);
        start_with_a_wire(&r, &spec, false);
        finish(&r);
        check_line(&r, "connect yes");
        buf_done(&r.text);
        free(argv[3]);
        close(listener);
        CHECK_INT(setns(home, CLONE_NEWNET), 0);
    }
    close(home);
    free(argv[2]);
    free(argv[4]);
}

static void a_box_with_a_wire_configures_it_itself(void)
{
    if (geteuid() != 0) {
        tap_skip("needs root to make the outer end of a wire");
    }
    each_way(talks_over_its_wire);
}

static void has_no_wire(void)
{
    char *argv[] = {prisoner(), mark, NULL};
    struct box_spec spec = a_spec(argv);
    const struct box_address none = {0};
    struct run r;

    if (box_probe()->own_net) {
        spec.net = BOX_NET_OWN;
        start_spec(&r, &spec);
        await_note(&r);
        CHECK_OK(box_go(&r.box, &none, ERR));
        finish(&r);
        CHECK(!r.end.started);
        CHECK_STR(r.end.step, "eth0");
        CHECK_INT(r.end.errnum, ENODEV);
    }
}

static void a_wire_that_is_missing_is_named(void)
{
    each_way(has_no_wire);
}

static void all_of_this_holds_for_a_service_user(void)
{
    again_as_nobody();
}

TESTS(no_way_out_of_a_box_works, none_works_without_the_filter_of_system_calls_either,
      a_tool_is_nobody_on_a_machine_of_its_own, files_are_in_the_view_before_the_tool_starts,
      binds_are_there_read_only_unless_they_are_to_be_written, a_full_disk_is_full_and_told,
      processes_are_limited, an_empty_network_has_one_listener_served_from_outside,
      the_listener_of_a_brokered_tool_comes_out, a_box_with_a_wire_configures_it_itself,
      a_wire_that_is_missing_is_named, all_of_this_holds_for_a_service_user)
