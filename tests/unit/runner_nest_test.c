/*
 * Runs that make boxes themselves: what a launch brings along is there, what no launch may bring is
 * refused, and where no boxes can be made in a box such a run does not start, and says why.
 *
 * The tool is this program itself: PROGRAM MARK WHAT ARG, with what it prints as the run's
 * arguments (runner_rig.h).
 */
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "runner_rig.h"

/* ---- the tool ---- */

static void show_file(const char *path)
{
    char text[256];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

    if (n < 0) {
        printf("%s: %s\n", path, strerror(errno));
    } else {
        printf("%s: %.*s\n", path, (int)n, text);
    }
}

static int show_input(const char *path)
{
    char text[64] = "";
    ssize_t n = read(STDIN_FILENO, text, sizeof text - 1);
    int fd;

    show_file("/tmp/spec");
    show_file("/etc/scanpod/ca.pem");
    show_file(path);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    printf("write: %s\n", fd >= 0 ? "yes" : strerror(errno));
    printf("input: %zd %s\n", n, text);
    printf("proxy: %s\n", getenv("HTTPS_PROXY") ? getenv("HTTPS_PROXY") : "none");
    printf("home: %s\n", getenv("HOME"));
    return 0;
}

static int sum_file(const char *path)
{
    static unsigned char chunk[1 << 16];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    unsigned long sum = 0, bytes = 0;
    ssize_t n;

    while ((n = read(fd, chunk, sizeof chunk)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            sum = sum * 31 + chunk[i];
        }
        bytes += (unsigned long)n;
    }
    printf("bytes %lu sum %lx\n", bytes, sum);
    return 0;
}

/* One answer, whole, from the listener of the box. */
static int ask_api(const char *path)
{
    const struct sockaddr_in sa = {.sin_family = AF_INET,
                                   .sin_port = htons(PROXY_PORT),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[4096];
    ssize_t n;

    if (connect(fd, (const struct sockaddr *)&sa, sizeof sa) < 0) {
        printf("connect: %s\n", strerror(errno));
        return 1;
    }
    dprintf(fd,
            "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            path, PROXY_PORT);
    n = recv(fd, text, sizeof text, MSG_WAITALL);
    printf("%.*s\n", (int)MAX(n, 0), text);
    return 0;
}

/* An inner box with that program, which is told apart by our own mark. */
static int nest(char **argv, bool linger)
{
    static char *const env[] = {NULL};
    struct box_spec spec = {.argv = argv,
                            .env = env,
                            .dir = "/tmp",
                            .in = -1,
                            .out = STDOUT_FILENO,
                            .err = STDOUT_FILENO,
                            .net = BOX_NET_EMPTY,
                            .calls = BOX_CALLS_OFFLINE,
                            .hold_fd = -1,
                            .cgroup_fd = -1};
    struct box_end end;
    struct err e = {0};
    struct box b;

    if (linger) {
        signal(SIGTERM, SIG_IGN);
    }
    if (box_start(&spec, &b, &e) != 0) {
        printf("no box: %s\n", e.msg);
        return 1;
    }
    printf("level %s\n", b.level);
    if (linger) {
        fflush(stdout);
        for (;;) {
            pause();
        }
    }
    (void)box_wait(&b, &end, &e);
    box_done(&b);
    printf("inner %d %s %d\n", end.started, end.step, end.exit_status);
    return 0;
}

/* `arg` is the stand-in. */
static int tool(const char *tool_mark, const char *what, const char *arg)
{
    char *words[] = {xstrdup(arg), xstrdup(tool_mark), xstrdup("exit"), xstrdup("7"), NULL};
    int rc = 9;

    if (str_eq(what, "input")) {
        rc = show_input(arg);
    } else if (str_eq(what, "sum")) {
        rc = sum_file(arg);
    } else if (str_eq(what, "api")) {
        rc = ask_api(arg);
    } else if (str_eq(what, "nest")) {
        rc = nest(words, false);
    } else if (str_eq(what, "linger")) {
        words[2] = xstrdup("deaf");
        rc = nest(words, true);
    }
    fflush(stdout);
    return rc;
}

__attribute__((constructor)) static void be_the_tool(int argc, char **argv)
{
    if (argc == 4 && str_starts(argv[1], "runner-test-")) {
        _exit(tool(argv[1], argv[2], argv[3]));
    }
}

static const char *myself(void)
{
    static char copy[256];
    char chunk[1 << 16];
    ssize_t n;
    int from, to;

    if (copy[0]) {
        return copy;
    }
    (void)test_standin(); /* opens test_dir() */
    snprintf(copy, sizeof copy, "%s/myself", test_dir());
    from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    to = open(copy, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    while ((n = read(from, chunk, sizeof chunk)) > 0) {
        CHECK_INT(write(to, chunk, (size_t)n), n);
    }
    CHECK_INT(fchmod(to, 0755), 0);
    close(from);
    close(to);
    return copy;
}

/* What the tool of a run printed. Free it. */
static char *printed(uint64_t run)
{
    struct story story;

    CHECK(read_story(finish(run), &story));
    return story.args;
}

static void check_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part)) {
        tap_fail(__FILE__, __LINE__, "no '%s' in: %s", part, text ? text : "");
    }
}

/* ---- tests ---- */

static void brings_things(void)
{
    auto_free char *part = write_test_file("part", "a part of the machine");
    const struct box_bind bind = {.path = part};
    const struct box_file texts[] = {{"/tmp/spec", "{\"a\":1}", 7},
                                     {"/etc/scanpod/ca.pem", "certificate", 11},
                                     {"/tmp/empty", "", 0}};
    struct runner_launch l = {
        .run = 1, .texts = texts, .n_texts = ARRAY_LEN(texts), .binds = &bind, .n_binds = 1};
    auto_free char *text = NULL;
    int fds[2];

    daemon_start();
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    CHECK_INT(write(fds[1], "given", 5), 5);
    close(fds[1]);
    l.stdin_fd = fds[0];
    CHECK_OK(launch_as(&l, myself(), "input", part));
    close(fds[0]);
    text = printed(1);
    if (d.caps.view) {
        check_has(text, "/tmp/spec: {\"a\":1}\n");
        check_has(text, "/etc/scanpod/ca.pem: certificate\n");
        check_has(text, "home: /tmp\n");
    } else {
        check_has(text, "/etc/scanpod/ca.pem: No such file");
    }
    check_has(text, "part: a part of the machine\n");
    check_has(text, "write: ");
    CHECK(!strstr(text, "write: yes"));
    check_has(text, "input: 5 given\n");
    check_has(text, "proxy: none\n");
    daemon_stop();
}

static void files_parts_of_the_machine_and_input_come_with_a_launch(void)
{
    each_level(brings_things);
}

static void nothing_but_its_own_arrives_without_them(void)
{
    struct runner_launch l = {.run = 1};
    auto_free char *text = NULL;

    daemon_start();
    CHECK_OK(launch_as(&l, myself(), "input", "/tmp/none"));
    text = printed(1);
    check_has(text, "/tmp/spec: No such file");
    check_has(text, "input: 0 \n");
    daemon_stop();
}

static void sixty_four_megabytes_of_files_travel_and_no_more(void)
{
    enum { MOST = 64 << 20 };
    char *big = xmalloc(MOST + 1);
    struct box_file texts[] = {{"/tmp/one", big, MOST - 100}, {"/tmp/two", big + MOST - 100, 100}};
    struct runner_launch l = {
        .run = 1, .texts = texts, .n_texts = ARRAY_LEN(texts), .limits = {.disk_mb = 200}};
    auto_free char *want = NULL;
    auto_free char *text = NULL;
    unsigned long sum = 0;

    for (size_t i = 0; i < MOST + 1; i++) {
        big[i] = (char)(i * 2654435761U >> 13);
    }
    for (size_t i = 0; i < MOST - 100; i++) {
        sum = sum * 31 + (unsigned char)big[i];
    }
    daemon_start();
    if (!d.caps.view) {
        daemon_stop();
        tap_skip("no view here");
    }
    CHECK_OK(launch_as(&l, myself(), "sum", "/tmp/one"));
    want = str_fmt("bytes %d sum %lx\n", MOST - 100, sum);
    text = printed(1);
    CHECK_STR(text, want);
    texts[1].n++;
    l.run = 2;
    CHECK_ERR(launch_as(&l, myself(), "sum", "/tmp/one"), ERR_LIMIT);
    daemon_stop();
    free(big);
}

static void what_no_launch_may_bring_is_refused_at_once(void)
{
    static const char *const places[] = {"spec",     "/tmp",     "/tmp/",   "/tmp/../etc/x",
                                         "/usr/bin", "/tmp/./a", "/tmp//a", "/root/x",
                                         "/tmp/a/",  "/tmp/..",  "",        NULL};
    static const char *const parts[] = {"usr", "/usr/..", "/", "", "/usr/", "/a/../b", NULL};
    const struct proxy_gateway gateway = {
        .kind = GATEWAY_GIT, .prefix = "/git", .upstream = "git.example.org:443", .path = "/a"};
    struct box_file texts[65];
    struct runner_launch l = {.run = 1};

    daemon_start();
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        const struct box_file f = {places[i], "x", 1};

        l = (struct runner_launch){.run = 1, .texts = &f, .n_texts = 1};
        CHECK_ERR(launch_as(&l, myself(), "input", ""), ERR_INVALID);
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        texts[i] = (struct box_file){"/tmp/x", "x", 1};
    }
    l = (struct runner_launch){.run = 1, .texts = texts, .n_texts = ARRAY_LEN(texts)};
    CHECK_ERR(launch_as(&l, myself(), "input", ""), ERR_LIMIT);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const struct box_bind b = {.path = parts[i]};

        l = (struct runner_launch){.run = 1, .binds = &b, .n_binds = 1};
        CHECK_ERR(launch_as(&l, myself(), "input", ""), ERR_INVALID);
    }
    {
        const struct box_bind b = {.path = "/usr", .write = true};

        l = (struct runner_launch){.run = 1, .binds = &b, .n_binds = 1};
        CHECK_ERR(launch_as(&l, myself(), "input", ""), ERR_INVALID);
    }
    l = (struct runner_launch){.run = 1, .gateways = &gateway, .n_gateways = 1};
    CHECK_ERR(launch_as(&l, myself(), "input", ""), ERR_INVALID); /* another level's */
    l = (struct runner_launch){.run = 1, .nest = true, .raw_sockets = true};
    CHECK_ERR(launch_as(&l, myself(), "input", ""), ERR_INVALID);
    for (int level = EGRESS_NFT; level <= EGRESS_UNCONFINED; level++) {
        l = (struct runner_launch){.run = 1, .nest = true, .egress = (enum egress)level};
        CHECK_ERR(launch_as(&l, myself(), "input", ""), ERR_INVALID);
    }
    daemon_stop();
}

static void a_file_that_is_there_already_ends_the_start_by_name(void)
{
    const struct box_file f = {"/etc/hosts", "127.0.0.1 elsewhere\n", 20};
    struct runner_launch l = {.run = 1, .texts = &f, .n_texts = 1};

    daemon_start();
    if (!d.caps.view) {
        daemon_stop();
        tap_skip("no view here");
    }
    CHECK_OK(launch_as(&l, myself(), "input", ""));
    CHECK(!finish(1)->end.started);
    CHECK_STR(d.runs[1].step, "file");
    CHECK_INT(d.runs[1].end.errnum, EEXIST);
    daemon_stop();
}

static void makes_boxes(void)
{
    struct runner_launch l = {.run = 1, .nest = true};
    auto_free char *text = NULL;

    daemon_start();
    CHECK_INT(d.caps.nest, level_now == BOX_USERNS);
    if (!d.caps.nest) {
        l.egress = EGRESS_PROXY;
        CHECK_OK(launch_as(&l, myself(), "nest", test_standin()));
        CHECK(!finish(1)->end.started);
        CHECK_STR(d.runs[1].step, "nest");
        CHECK_INT(d.runs[1].end.errnum, EOPNOTSUPP);
        CHECK_STR(d.runs[1].why, d.caps.why_nest);
        check_has(d.caps.why_nest, "user namespaces");
        daemon_stop();
        return;
    }
    CHECK_STR(d.caps.why_nest, "");
    CHECK_OK(launch_as(&l, myself(), "nest", test_standin()));
    text = printed(1);
    CHECK_INT(d.runs[1].end.exit_status, 0);
    CHECK_STR(text, "level userns\ninner 1  7\n");
    CHECK_STR(d.runs[1].end.sandbox.box, "userns");
    daemon_stop();
}

static void a_run_makes_boxes_itself_or_says_why_it_cannot(void)
{
    each_level(makes_boxes);
}

/* ---- the API's gateway ---- */

/* In a child: answers each request with a message of 12 tokens in and 34 out. */
static pid_t start_api(int *port)
{
    static const char answer[] = "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[],"
                                 "\"usage\":{\"input_tokens\":12,\"output_tokens\":34}}";
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    CHECK_INT(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    CHECK_INT(listen(fd, 5), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    *port = ntohs(sa.sin_port);
    pid = fork();
    for (int c; pid == 0 && (c = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0; close(c)) {
        char head[4096];

        (void)!read(c, head, sizeof head);
        dprintf(c,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                "Connection: close\r\n\r\n%s",
                strlen(answer), answer);
    }
    if (pid == 0) {
        _exit(0);
    }
    close(fd);
    return pid;
}

static void what_a_run_asked_of_an_api_comes_with_its_end(void)
{
    const struct proxy_config pc = {.change_user = geteuid() == 0, .uid = 65534, .gid = 65534};
    struct runner_config c = {.netd_fd = -1};
    struct proxy_gateway gateways[] = {
        {.kind = GATEWAY_MESSAGES, .prefix = "/anthropic", .path = ""},
        {.kind = GATEWAY_MESSAGES, .prefix = "/anthropic", .path = ""},
    };
    struct runner_launch l = {
        .run = 1, .egress = EGRESS_PROXY, .gateways = gateways, .n_gateways = 1};
    auto_free char *upstream = NULL;
    auto_free char *text = NULL;
    const struct api_use *api;
    int pidfd, port;
    pid_t pid;

    CHECK_OK(proxy_spawn(&pc, &c.proxy_fd, &pidfd, ERR));
    daemon_start_with(c);
    fd_close(&c.proxy_fd);
    if (!d.caps.usable[EGRESS_PROXY]) {
        daemon_stop();
        tap_skip("no network namespaces here");
    }
    pid = start_api(&port);
    upstream = str_fmt("127.0.0.1:%d=127.0.0.1/32", port);
    gateways[0].upstream = gateways[1].upstream = upstream;
    l.nest = d.caps.nest;
    CHECK_OK(launch_as(&l, myself(), "api", "/anthropic/v1/messages?beta=true"));
    text = printed(1);
    check_has(text, "\"output_tokens\":34");
    api = &d.runs[1].end.sandbox.api;
    CHECK_INT(api->requests, 1);
    CHECK_INT(api->refused, 0);
    CHECK_INT(api->input_tokens, 12);
    CHECK_INT(api->output_tokens, 34);
    CHECK(d.runs[1].end.sandbox.counted);
    l.run = 2;
    CHECK_OK(launch_as(&l, myself(), "api", "/anthropic/v1/files"));
    CHECK_INT(finish(2)->end.sandbox.api.requests, 0);
    CHECK_INT(finish(2)->end.sandbox.api.refused, 1);
    l.run = 3;
    l.n_gateways = 2; /* of one prefix */
    CHECK_ERR(launch_as(&l, myself(), "api", "/"), ERR_INVALID);
    CHECK_INT(kill(pid, SIGKILL), 0);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    daemon_stop();
    close(pidfd);
}

static void await_marked(uint64_t run, unsigned n)
{
    while (marked_processes(run) < n) {
        poll(NULL, 0, 1);
    }
}

/* False: no boxes in a box here. */
static bool linger(uint64_t run, int64_t lease_until_ms)
{
    struct runner_launch l = {
        .run = run, .nest = true, .grace_ms = 20, .lease_until_ms = lease_until_ms};

    if (!d.caps.nest) {
        return false;
    }
    CHECK_OK(launch_as(&l, myself(), "linger", test_standin()));
    return true;
}

static void inner_tools_end_with_their_run_however_that_ends(void)
{
    const struct seen *s;

    daemon_start();
    if (!linger(1, 0)) {
        daemon_stop();
        tap_skip("no boxes in a box here");
    }
    await_marked(1, 3); /* the coordinator, the inner init, and the tool */
    while (!d.runs[1].started) {
        turn();
    }
    runner_stop(d.r, 1);
    s = finish(1); /* checks that nothing was left when the end was told */
    CHECK_INT(s->end.cause, RUN_STOPPED);
    CHECK_INT(s->end.exit_signal, SIGKILL);
    CHECK(linger(2, boot_ms() + 300));
    s = finish(2);
    CHECK_INT(s->end.cause, RUN_LEASE);
    daemon_stop();
}

static void inner_tools_die_with_a_runner_that_is_killed(void)
{
    daemon_start();
    if (!linger(1, 0)) {
        daemon_stop();
        tap_skip("no boxes in a box here");
    }
    await_marked(1, 3);
    CHECK_INT(syscall(SYS_pidfd_send_signal, d.pidfd, SIGKILL, NULL, 0), 0);
    while (!d.gone) {
        turn();
    }
    await_runner_end();
    for (int64_t from = boot_ms(); marked_processes(0) > 0;) {
        CHECK(boot_ms() - from < PATIENCE_MS);
        poll(NULL, 0, 5);
    }
    daemon_free();
}

TESTS(files_parts_of_the_machine_and_input_come_with_a_launch,
      nothing_but_its_own_arrives_without_them, sixty_four_megabytes_of_files_travel_and_no_more,
      what_no_launch_may_bring_is_refused_at_once,
      a_file_that_is_there_already_ends_the_start_by_name,
      a_run_makes_boxes_itself_or_says_why_it_cannot, what_a_run_asked_of_an_api_comes_with_its_end,
      inner_tools_end_with_their_run_however_that_ends,
      inner_tools_die_with_a_runner_that_is_killed)
