/*
 * Boxes in a box: what a program of ours with `nest` can make, what the tools in them cannot get
 * out of, and that everything goes with the outer one, however that ends.
 */
#include "nest_rig.h"

#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "box/seccomp_table.h"

enum { LISTENER = 3128, WAYS = 53 };

/* The levels that boxes in a box can have. Who has no privilege makes none at level namespaces. */
static const struct inner {
    const char *word, *says;
    bool view, own_net, userns;
} inners[] = {
    {"without=0", "inner userns 1 1 ", true, true, true},
    {"without=4", "inner userns 0 1 ", false, true, true},
    {"without=1", "inner plain 0 0 ", false, false, false},
};

/* This program and what its boxes run, where any user can run them. */
static char *myself(void)
{
    static char copy[256];

    if (!copy[0]) {
        (void)prisoner();
        snprintf(copy, sizeof copy, "%s/coordinator", test_dir());
        copy_file("/proc/self/exe", copy);
    }
    return copy;
}

/* An outer box, whose coordinator gets those words: up to a NULL. */
struct outer {
    struct run run;
    struct strvec argv;
    struct box_bind binds[3];
    struct box_spec spec;
};

static void outer_init(struct outer *o, const char *const *words)
{
    *o = (struct outer){0};
    new_mark();
    strvec_push(&o->argv, myself());
    strvec_push(&o->argv, "coordinate");
    strvec_push(&o->argv, "mark");
    for (; *words; words++) {
        strvec_push(&o->argv, *words);
    }
    o->spec = a_spec(o->argv.v);
    free(o->argv.v[2]);
    o->argv.v[2] = xstrdup(mark);
    o->binds[0].path = standin();
    o->binds[1].path = prisoner();
    o->binds[2].path = hostile();
    o->spec.binds = o->binds;
    o->spec.n_binds = ARRAY_LEN(o->binds);
    o->spec.nest = true;
    o->spec.calls = BOX_CALLS_NESTING;
    o->spec.net = BOX_NET_EMPTY;
    o->spec.listen_port = LISTENER;
    take_way(&ways[0]);
}

static void outer_done(struct outer *o)
{
    strvec_done(&o->argv);
    buf_done(&o->run.text);
}

/* To its end, which has to be a good one. */
static void outer_run(struct outer *o, const char *const *words)
{
    outer_init(o, words);
    start_spec(&o->run, &o->spec);
    finish(&o->run);
    check_started(&o->run);
    if (o->run.end.exit_status != 0) {
        tap_fail(__FILE__, __LINE__, "the coordinator: %d, signal %d: %s", o->run.end.exit_status,
                 o->run.end.exit_signal, o->run.text.data ? o->run.text.data : "");
    }
}

static bool says(const struct outer *o, const char *text)
{
    return o->run.text.data && strstr(o->run.text.data, text);
}

static void check_says(const struct outer *o, const char *text)
{
    if (!says(o, text)) {
        tap_fail(__FILE__, __LINE__, "no '%s' in: %s", text, o->run.text.data);
    }
}

static void boxes_can_be_made_in_a_box(void)
{
    char why[160] = "?";

    box_without(0);
    if (!box_can_nest(why)) {
        tap_fail(__FILE__, __LINE__, "%s", why);
    }
    CHECK_STR(why, "");
}

static void where_none_can_be_made_the_reason_is_told_and_none_is_started(void)
{
    static const char *const words[] = {"--", "/bin/true", NULL};
    static const unsigned without[] = {BOX_WITHOUT_USERNS, BOX_WITHOUT_MOUNT,
                                       BOX_WITHOUT_USERNS | BOX_WITHOUT_PRIVILEGE};

    for (size_t i = 0; i < ARRAY_LEN(without); i++) {
        struct outer o;
        struct box b;
        char why[160] = "";

        outer_init(&o, words);
        o.spec.net = BOX_NET_SHARED;
        o.spec.listen_port = 0;
        box_without(without[i]);
        CHECK(!box_can_nest(why));
        CHECK(strstr(why, "user namespaces") != NULL);
        CHECK_ERR(box_start(&o.spec, &b, ERR), ERR_SANDBOX);
        outer_done(&o);
    }
    box_without(0);
}

static void inner_boxes_have_every_level_that_is_to_be_had_and_say_which(void)
{
    for (size_t i = 0; i < ARRAY_LEN(inners); i++) {
        const char *words[] = {inners[i].word, "calls=all", "--", prisoner(), mark, "show", NULL};
        struct outer o;

        outer_run(&o, words);
        check_says(&o, inners[i].says);
        check_says(&o, "\nended 1 - 0 0 0 0\n");
        check_line(&o.run, "uid 61001 61001");
        CHECK(says(&o, "\nhost scanpod\n"));
        CHECK(says(&o, "\nroot src\n") == false);
        outer_done(&o);
    }
}

/* As on a machine that grants no namespaces to users: the box of the coordinator forbids them. */
static void without_namespaces_inner_boxes_are_plain_ones_and_say_why(void)
{
    const char *words[] = {"--", prisoner(), mark, "show", NULL};
    struct outer o;

    outer_init(&o, words);
    o.spec.nest = false;
    o.spec.calls = BOX_CALLS_ALL;
    start_spec(&o.run, &o.spec);
    finish(&o.run);
    check_says(&o, "inner plain 0 0 cannot make a box at level userns: ");
    check_says(&o, "\nended 1 - 0 0 0 0\n");
    outer_done(&o);
}

/* ---- what inner tools cannot ---- */

static bool is_allowed(const char *way, const struct inner *in, const char *calls)
{
    bool filtered = !str_eq(calls, "calls=all");

    if (str_eq(way, "connect-host")) { /* the proxy's listener, in the same namespace */
        return !in->own_net && !str_eq(calls, "calls=offline");
    }
    /* A user namespace that leads nowhere: Landlock stands above it. */
    return !filtered && !in->userns && (str_eq(way, "unshare-user") || str_eq(way, "clone-user"));
}

static void escapes(const struct inner *in, const char *calls)
{
    const char *words[] = {in->word, calls,    "bind=/tmp/tree", "--", prisoner(),
                           "inner",  "escape", "3128",           NULL};
    struct outer o;
    unsigned tried = 0;
    auto_buf escaped = {0};
    char *rest;

    outer_run(&o, words);
    check_says(&o, in->says);
    check_says(&o, "\nended 1 - 0 0 0 0\n");
    rest = o.run.text.data;
    for (char *line = strtok_r(rest, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *result = strchr(line, ' ');

        if (!result || str_starts(line, "inner ") || str_starts(line, "ended ") ||
            str_starts(line, "loopback ")) {
            continue;
        }
        *result++ = '\0';
        tried++;
        if ((str_eq(result, "yes") || str_eq(result, "died")) && !is_allowed(line, in, calls)) {
            buf_addf(&escaped, " %s", line);
        }
    }
    if (escaped.len) {
        tap_fail(__FILE__, __LINE__, "%s, %s: worked:%s", in->says, calls, escaped.data);
    }
    CHECK_INT(tried, WAYS);
    outer_done(&o);
}

static void no_way_out_of_an_inner_box_works(void)
{
    static const char *const calls[] = {"calls=offline", "calls=agent", "calls=network",
                                        "calls=all"};

    for (size_t i = 0; i < ARRAY_LEN(inners); i++) {
        for (size_t k = 0; k < ARRAY_LEN(calls); k++) {
            escapes(&inners[i], calls[k]);
        }
    }
}

/* ---- a tool that tries everything ---- */

/* How many it tried, and the names of those that are open. */
static unsigned count_ways(const struct outer *o, struct buf *open)
{
    auto_free char *text = xstrdup(o->run.text.data);
    char *rest = text;
    unsigned n = 0;

    for (char *line = strtok_r(rest, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *verdict = strchr(line, '\t');

        if (verdict) {
            *verdict++ = '\0';
            n++;
            if (open && str_starts(verdict, "got")) {
                buf_addf(open, " %s", line);
            }
        }
    }
    return n;
}

/* Nothing is open, and the outer box, with the proxy's listener in it, hears of nothing. */
static void a_hostile_tool_gets_nothing_out_of_an_inner_box(void)
{
    static const char *const calls[] = {"calls=offline", "calls=agent", "calls=all"};

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        const char *net[] = {calls[i],    "bind=/tmp/tree", "--",        hostile(),
                             "net",       "--in",           "127.0.0.1", "--out",
                             "127.0.0.2", "--gateway",      "127.0.0.1", NULL};
        const char *files[] = {calls[i], "bind=/tmp/tree", "--",          hostile(),
                               "files",  "--secret",       "/tmp/secret", NULL};
        auto_buf open = {0};
        struct outer o;

        outer_run(&o, net); /* it may speak with its own loopback */
        CHECK(count_ways(&o, NULL) > 50);
        check_says(&o, "\nloopback 0\n");
        outer_done(&o);
        outer_run(&o, files);
        CHECK(count_ways(&o, &open) > 30);
        check_says(&o, "\nloopback 0\n");
        outer_done(&o);
        if (open.len) {
            tap_fail(__FILE__, __LINE__, "%s: open:%s", calls[i], open.data);
        }
    }
}

/* SCANPOD_CLAUDE: the full path of the native program, where there is one. */
static void the_claude_cli_starts_in_an_inner_box_below_its_list(void)
{
    const char *claude = getenv("SCANPOD_CLAUDE");
    const char *words[] = {"calls=agent", "mem=1024", "procs=64",  "disk=64",
                           "--",          claude,     "--version", NULL};
    struct box_bind binds[4];
    struct outer o;

    if (!claude || !*claude) {
        tap_skip("SCANPOD_CLAUDE names no program");
    }
    outer_init(&o, words);
    memcpy(binds, o.binds, sizeof o.binds);
    binds[3] = (struct box_bind){.path = claude};
    o.spec.binds = binds;
    o.spec.n_binds = ARRAY_LEN(binds);
    start_spec(&o.run, &o.spec);
    finish(&o.run);
    check_says(&o, " (Claude Code)\n");
    check_says(&o, "\nended 1 - 0 0 0 0\n");
    outer_done(&o);
}

/* ---- limits ---- */

static void an_inner_box_has_a_disk_of_its_own_and_cannot_fill_the_outer_one(void)
{
    const char *words[] = {"disk=8", "--", prisoner(), "inner", "fill", "64", NULL};
    const char *small[] = {"disk=64", "--", prisoner(), "inner", "fill", "32", NULL};
    struct outer o;

    outer_run(&o, words);
    check_line(&o.run, "filled 8");
    check_says(&o, "\nended 1 - 0 0 0 1\n");
    CHECK(o.run.end.disk_bytes < 1 << 20);
    outer_done(&o);

    outer_init(&o, small);
    o.spec.limits.disk_mb = 1; /* is not the inner one's */
    start_spec(&o.run, &o.spec);
    finish(&o.run);
    check_line(&o.run, "filled 32");
    outer_done(&o);
}

/* dd, whose buffer is one allocation: the shadow of a sanitizer in a program of our own is more
 * memory than any limit. */
static void check_buffer(const char *inner, uint32_t outer_mb, const char *buffer, bool fits)
{
    const char *words[] = {inner,          "--",   "/usr/bin/dd", "if=/dev/zero",
                           "of=/dev/null", buffer, "count=1",     NULL};
    struct outer o;

    outer_init(&o, words);
    o.spec.limits.mem_mb = outer_mb;
    start_spec(&o.run, &o.spec);
    finish(&o.run);
    check_says(&o, fits ? "\nended 1 - 0 0 0 0\n" : "\nended 1 - 0 1 0 0\n");
    outer_done(&o);
}

static void an_inner_tool_has_its_own_memory_limit_and_never_more_than_the_outer_box(void)
{
    const uint32_t outer_mb = SECCOMP_ASAN ? 0 : 512;

    check_buffer("mem=64", outer_mb, "bs=32M", true);
    check_buffer("mem=64", outer_mb, "bs=64M", false);
    /* The outer box has a program of ours in it. What else it is limited to: the next test. */
    if (!SECCOMP_ASAN) {
        check_buffer("mem=1000", 200, "bs=100M", true);
        check_buffer("mem=1000", 200, "bs=200M", false);
    }
}

static void limits_of_the_outer_box_are_the_most_an_inner_one_has(void)
{
    const char *lower[] = {"file=10", "--", prisoner(), "inner", "sparse", "20", NULL};
    const char *higher[] = {"file=100", "--", prisoner(), "inner", "sparse", "60", NULL};
    const char *within[] = {"file=100", "--", prisoner(), "inner", "sparse", "40", NULL};
    const char *procs[] = {"procs=8", "--", prisoner(), "inner", "forks", "40", NULL};
    const char *more[] = {"procs=100", "--", prisoner(), "inner", "forks", "60", NULL};
    const struct {
        const char *const *words;
        const char *says;
    } rows[] = {
        {lower, "\nended 1 - 0 -1 25 0\n"}, /* SIGXFSZ */
        {higher, "\nended 1 - 0 -1 25 0\n"},
        {within, "\nended 1 - 0 0 0 0\n"},
        {procs, "\nchildren 7\n"},
        {more, "\nchildren 3"}, /* thirty or some more, with all others of the outer box */
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outer o;

        outer_init(&o, rows[i].words);
        o.spec.limits = (struct box_limits){.file_mb = 50, .procs = 40};
        start_spec(&o.run, &o.spec);
        finish(&o.run);
        check_says(&o, rows[i].says);
        outer_done(&o);
    }
}

/* ---- the end ---- */

/* An outer box in which an inner one runs, with a tool whose children ignore every signal. */
static void linger_init(struct outer *o, const char *without)
{
    const char *words[] = {without, "linger", "--", standin(), "mark", "children", "20", NULL};
    char **inner_mark;

    outer_init(o, words);
    inner_mark = &o->argv.v[o->argv.n - 3];
    free(*inner_mark);
    *inner_mark = xstrdup(mark);
}

static void linger_start(struct outer *o)
{
    char text[256] = "";
    size_t n = 0;

    start_spec(&o->run, &o->spec);
    while (!strstr(text, "lingers\n")) {
        ssize_t got = read(o->run.out, text + n, sizeof text - n - 1);

        CHECK(got > 0);
        n += (size_t)got;
        text[n] = '\0';
    }
    while (marked_processes() < 22) { /* the coordinator, the tool and its children */
        poll(NULL, 0, 1);
    }
}

static void the_end_of_the_outer_box_is_the_end_of_all_inner_ones(void)
{
    for (size_t i = 0; i < ARRAY_LEN(inners); i++) {
        struct outer o;

        linger_init(&o, inners[i].word);
        linger_start(&o);
        box_kill(&o.run.box);
        finish(&o.run); /* checks that nothing is left once it is over */
        CHECK_INT(o.run.end.exit_signal, SIGKILL);
        outer_done(&o);

        linger_init(&o, inners[i].word);
        linger_start(&o);
        CHECK_INT(kill(o.run.box.pid, SIGKILL), 0); /* the init itself */
        finish(&o.run);
        CHECK_INT(o.run.end.exit_signal, SIGKILL);
        outer_done(&o);
    }
}

static void the_time_of_the_outer_box_ends_all_inner_ones(void)
{
    int64_t *until_ms =
        mmap(NULL, sizeof *until_ms, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *words[] = {"linger", "--", standin(), "inner", "deaf", "", NULL};
    struct outer o;

    CHECK(until_ms != MAP_FAILED);
    *until_ms = boot_ms() + 200;
    outer_init(&o, words);
    o.spec.until_ms = until_ms;
    start_spec(&o.run, &o.spec);
    finish(&o.run);
    CHECK(o.run.end.late);
    CHECK_INT(o.run.end.exit_signal, SIGKILL);
    outer_done(&o);
    munmap(until_ms, sizeof *until_ms);
}

/* Whoever starts the outer box is killed, and with it goes everything. */
static void inner_boxes_die_with_the_caller_of_the_outer_one(void)
{
    struct outer o;
    int fds[2];
    char byte;
    pid_t pid;

    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    linger_init(&o, "without=0");
    pid = fork();
    if (pid == 0) {
        linger_start(&o);
        (void)!write(fds[1], "!", 1);
        pause();
    }
    CHECK_INT(read(fds[0], &byte, 1), 1);
    CHECK(marked_processes() >= 22);
    CHECK_INT(kill(pid, SIGKILL), 0);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    for (int64_t from = boot_ms(); marked_processes() > 0;) {
        CHECK(boot_ms() - from < PATIENCE_MS);
        poll(NULL, 0, 5);
    }
    close(fds[0]);
    close(fds[1]);
    outer_done(&o);
}

/* The kernel says when the file system itself is no more, not only the way to it. */
static void the_workspace_is_gone_when_the_init_of_the_outer_box_is_killed(void)
{
    auto_fd int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    auto_free char *path = NULL;
    struct pollfd p = {.fd = watch, .events = POLLIN};
    char room[4096] __attribute__((aligned(8)));
    uint32_t seen = 0;
    struct outer o;

    if (geteuid() != 0) {
        tap_skip("needs root, to watch the box's own directory");
    }
    linger_init(&o, "without=0");
    linger_start(&o);
    path = str_fmt("/proc/%d/root/tmp/tree", o.run.box.pid);
    CHECK(inotify_add_watch(watch, path, IN_DELETE_SELF) >= 0);
    CHECK_INT(kill(o.run.box.pid, SIGKILL), 0);
    finish(&o.run);
    while (!(seen & IN_UNMOUNT)) {
        ssize_t n;

        CHECK_INT(poll(&p, 1, PATIENCE_MS), 1);
        n = read(watch, room, sizeof room);
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *ev =
                (const struct inotify_event *)(const void *)(room + at);

            seen |= ev->mask;
            at += (ssize_t)(sizeof *ev + ev->len);
        }
    }
    outer_done(&o);
}

static void all_of_this_holds_for_a_service_user(void)
{
    again_as_nobody();
}

TESTS(boxes_can_be_made_in_a_box, where_none_can_be_made_the_reason_is_told_and_none_is_started,
      inner_boxes_have_every_level_that_is_to_be_had_and_say_which,
      without_namespaces_inner_boxes_are_plain_ones_and_say_why, no_way_out_of_an_inner_box_works,
      a_hostile_tool_gets_nothing_out_of_an_inner_box,
      the_claude_cli_starts_in_an_inner_box_below_its_list,
      an_inner_box_has_a_disk_of_its_own_and_cannot_fill_the_outer_one,
      an_inner_tool_has_its_own_memory_limit_and_never_more_than_the_outer_box,
      limits_of_the_outer_box_are_the_most_an_inner_one_has,
      the_end_of_the_outer_box_is_the_end_of_all_inner_ones,
      the_time_of_the_outer_box_ends_all_inner_ones,
      inner_boxes_die_with_the_caller_of_the_outer_one,
      the_workspace_is_gone_when_the_init_of_the_outer_box_is_killed,
      all_of_this_holds_for_a_service_user)
