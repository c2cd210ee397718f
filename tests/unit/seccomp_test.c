/*
 * The filters of system calls: every number against the plain lists, by an interpreter of our own
 * and for both architectures; and what children under the real filters can and cannot do.
 */
#include "box/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "box/seccomp_table.h"
#include "seccomp_aarch64.h"
#include "tap.h"

#define FAIL(errnum) (SECCOMP_RET_ERRNO | (errnum))

/* ---- programs, interpreted ---- */

static const unsigned lists[] = {
    LIST_NETWORK,  LIST_OFFLINE, LIST_BROKER, LIST_PARSER, LIST_DAEMON,  LIST_RUNNER, LIST_NETD,
    LIST_RESOLVER, LIST_PROXY,   LIST_DEPOT,  LIST_EDGE,   LIST_NESTING, LIST_AGENT};

struct program {
    struct sock_filter code[SECCOMP_MAX];
    unsigned n;
    unsigned steps; /* of the last run */
};

static bool jump_taken(uint16_t code, uint32_t a, uint32_t k)
{
    switch (BPF_OP(code)) {
    case BPF_JEQ:
        return a == k;
    case BPF_JGE:
        return a >= k;
    case BPF_JSET:
        return (a & k) != 0;
    default:
        tap_fail(__FILE__, __LINE__, "jump of unknown kind %#x", code);
    }
}

/* Fails the test on anything the kernel would not load. */
static uint32_t run(struct program *p, const struct seccomp_data *d)
{
    uint32_t a = 0;

    p->steps = 0;
    for (unsigned at = 0; at < p->n; at++) {
        const struct sock_filter *f = &p->code[at];

        p->steps++;
        switch (f->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            CHECK(f->k % 4 == 0 && f->k <= sizeof *d - 4);
            memcpy(&a, (const char *)d + f->k, 4);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= f->k;
            break;
        case BPF_RET | BPF_K:
            return f->k;
        case BPF_JMP | BPF_JA:
            at += f->k;
            break;
        default:
            CHECK_INT(BPF_CLASS(f->code), BPF_JMP);
            at += jump_taken(f->code, a, f->k) ? f->jt : f->jf;
        }
    }
    tap_fail(__FILE__, __LINE__, "the program has no end");
}

static void build(struct program *p, bool aarch64, unsigned list)
{
    const struct seccomp_source from = {
        .calls = aarch64 ? aarch64_calls : seccomp_calls,
        .n = aarch64 ? aarch64_n_calls : seccomp_n_calls,
        .arch = aarch64 ? AUDIT_ARCH_AARCH64 : seccomp_arch,
        .list = list,
    };

    p->n = seccomp_build(&from, p->code);
}

static uint32_t ask(unsigned list, int number, uint64_t a0, uint64_t a1, uint64_t a2)
{
    static struct program p;
    struct seccomp_data d = {.nr = number, .arch = seccomp_arch, .args = {a0, a1, a2}};

    build(&p, false, list);
    return run(&p, &d);
}

static uint32_t unlisted(unsigned list, int number)
{
    if (list & LIST_BOXED) {
        return (unsigned)number > SECCOMP_NEWEST ? FAIL(ENOSYS) : SECCOMP_RET_ALLOW;
    }
    return list & LIST_ROLES     ? SECCOMP_RET_ALLOW
           : list == LIST_PARSER ? SECCOMP_RET_KILL_PROCESS
                                 : FAIL(ENOSYS);
}

/* What a rule says to arguments that are all zero. */
static uint32_t zero_answer(enum seccomp_rule rule, unsigned list, int number)
{
    bool broker = list == LIST_BROKER;

    switch (rule) {
    case RULE_NONE:
        return unlisted(list, number);
    case RULE_REFUSED:
        return FAIL(EPERM);
    case RULE_ABSENT:
        return FAIL(ENOSYS);
    case RULE_SOCKET:
    case RULE_SOCKETPAIR:
        return FAIL(EAFNOSUPPORT);
    case RULE_SOCKOPT:
    case RULE_LISTEN:
        return broker ? FAIL(EPERM) : SECCOMP_RET_ALLOW;
    case RULE_NOTIFY:
        return broker ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW;
    default:
        return SECCOMP_RET_ALLOW;
    }
}

static enum seccomp_rule rule_of(bool aarch64, unsigned list, int number)
{
    const struct seccomp_call *calls = aarch64 ? aarch64_calls : seccomp_calls;
    size_t n = aarch64 ? aarch64_n_calls : seccomp_n_calls;

    for (size_t i = 0; i < n; i++) {
        if ((calls[i].lists & list) && seccomp_number(&calls[i]) == number) {
            return calls[i].rule;
        }
    }
    return RULE_NONE;
}

static void every_number_gets_what_its_row_says(void)
{
    static struct program p;

    for (int aarch64 = 0; aarch64 < 2; aarch64++) {
        for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
            build(&p, aarch64, lists[i]);
            for (int number = 0; number <= 600; number++) {
                struct seccomp_data d = {.nr = number,
                                         .arch = aarch64 ? AUDIT_ARCH_AARCH64 : seccomp_arch};
                uint32_t want = zero_answer(rule_of(aarch64, lists[i], number), lists[i], number);
                uint32_t got = run(&p, &d);

                if (got != want) {
                    tap_fail(__FILE__, __LINE__, "list %u, %s, call %d: %#x, not %#x", lists[i],
                             aarch64 ? "aarch64" : "this machine", number, got, want);
                }
            }
        }
    }
}

static void numbers_beyond_all_tables_are_not_listed(void)
{
    static const int far[] = {1023, 1024, 65536, 0x3fffffff, -1};
    static struct program p;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        build(&p, true, lists[i]); /* no x32 there */
        for (size_t k = 0; k < ARRAY_LEN(far); k++) {
            struct seccomp_data d = {.nr = far[k], .arch = AUDIT_ARCH_AARCH64};

            CHECK_INT(run(&p, &d), unlisted(lists[i], far[k]));
        }
    }
}

static void other_architectures_end_the_process(void)
{
    static struct program p;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct seccomp_data d = {.nr = SYS_getpid, .arch = AUDIT_ARCH_I386};

        build(&p, false, lists[i]);
        CHECK_INT(run(&p, &d), SECCOMP_RET_KILL_PROCESS);
        build(&p, true, lists[i]);
        d.arch = AUDIT_ARCH_ARM;
        CHECK_INT(run(&p, &d), SECCOMP_RET_KILL_PROCESS);
        if (seccomp_arch == AUDIT_ARCH_X86_64) {
            build(&p, false, lists[i]);
            d = (struct seccomp_data){.nr = 0x40000000 | SYS_getpid, .arch = seccomp_arch};
            CHECK_INT(run(&p, &d), SECCOMP_RET_KILL_PROCESS);
        }
    }
}

/* The tree is balanced: what is in front of it takes five steps, each of its levels two, and
 * without arguments nothing comes behind it. */
static void no_number_takes_many_steps(void)
{
    static struct program p;
    unsigned most = 0;

    build(&p, false, LIST_NETWORK);
    for (int number = 0; number <= 600; number++) {
        struct seccomp_data d = {.nr = number, .arch = seccomp_arch};

        if (rule_of(false, LIST_NETWORK, number) <= RULE_ABSENT) {
            run(&p, &d);
            most = MAX(most, p.steps);
        }
    }
    CHECK(most <= 5 + 2 * 9 + 1);
}

static int aarch64_number(const char *name)
{
    for (size_t i = 0; i < aarch64_n_calls; i++) {
        if (strcmp(aarch64_calls[i].name, name) == 0) {
            return seccomp_number(&aarch64_calls[i]);
        }
    }
    return -2;
}

static void aarch64_has_its_own_numbers_and_lacks_the_old_calls(void)
{
    CHECK_INT(aarch64_number("read"), 63);
    CHECK_INT(aarch64_number("openat"), 56);
    CHECK_INT(aarch64_number("fcntl"), 25);
    CHECK_INT(aarch64_number("newfstatat"), 79);
    CHECK_INT(aarch64_number("fstat"), 80);
    CHECK_INT(aarch64_number("renameat"), 38);
    CHECK_INT(aarch64_number("prlimit64"), 261);
    CHECK_INT(aarch64_number("clone"), 220);
    CHECK_INT(aarch64_number("clone3"), 435);
    CHECK_INT(aarch64_number("mmap"), 222);
    CHECK_INT(aarch64_number("socket"), 198);
    CHECK_INT(aarch64_number("sendfile"), 71);
    CHECK_INT(aarch64_number("open"), -1);
    CHECK_INT(aarch64_number("stat"), -1);
    CHECK_INT(aarch64_number("fork"), -1);
    CHECK_INT(aarch64_number("no such call"), -2);
}

/* A misspelt name would silently be nowhere. */
static void every_name_is_known_on_one_machine_at_least(void)
{
    /* Newer or older than some headers. */
    static const char *const may_lack[] = {"fchmodat2",    "process_mrelease", "quotactl_fd",
                                           "memfd_secret", "epoll_pwait2",     "process_madvise"};

    for (size_t i = 0; i < seccomp_n_calls; i++) {
        bool known =
            seccomp_number(&seccomp_calls[i]) >= 0 || aarch64_number(seccomp_calls[i].name) >= 0;

        for (size_t k = 0; k < ARRAY_LEN(may_lack); k++) {
            known = known || strcmp(seccomp_calls[i].name, may_lack[k]) == 0;
        }
        if (!known) {
            tap_fail(__FILE__, __LINE__, "no machine knows '%s'", seccomp_calls[i].name);
        }
    }
}

static void upper_halves_of_arguments_hide_nothing(void)
{
    const uint64_t high = UINT64_C(1) << 32;

    CHECK_INT(ask(LIST_NETWORK, SYS_ioctl, 0, TIOCSTI | high, 0), FAIL(EPERM));
    CHECK_INT(ask(LIST_NETWORK, SYS_clone, CLONE_NEWUSER | high, 0, 0), FAIL(EPERM));
    CHECK_INT(ask(LIST_NETWORK, SYS_socket, AF_VSOCK | high, SOCK_STREAM, 0), FAIL(EAFNOSUPPORT));
    CHECK_INT(ask(LIST_BROKER, SYS_socket, AF_INET, SOCK_RAW | high, 0), FAIL(EPERM));
    CHECK_INT(ask(LIST_BROKER, SYS_setsockopt, 3, SOL_IP | high, IP_OPTIONS), FAIL(EPERM));
    CHECK_INT(ask(LIST_PARSER, SYS_mmap, 0, 4096, PROT_EXEC | high), SECCOMP_RET_KILL_PROCESS);
}

static void a_destination_is_seen_in_both_halves_of_its_pointer(void)
{
    static struct program p;
    struct seccomp_data d = {.nr = SYS_sendto, .arch = seccomp_arch};

    build(&p, false, LIST_BROKER);
    CHECK_INT(run(&p, &d), SECCOMP_RET_ALLOW);
    d.args[4] = 1;
    CHECK_INT(run(&p, &d), SECCOMP_RET_USER_NOTIF);
    d.args[4] = UINT64_C(0x7f) << 32;
    CHECK_INT(run(&p, &d), SECCOMP_RET_USER_NOTIF);
    d.args[4] = 0;
    d.args[3] = MSG_FASTOPEN | MSG_NOSIGNAL;
    CHECK_INT(run(&p, &d), FAIL(EOPNOTSUPP));
}

static void a_runner_may_build_boxes_and_the_others_may_not(void)
{
    static const long boxing[] = {SYS_execve, SYS_unshare,     SYS_setns,
                                  SYS_mount,  SYS_pivot_root,  SYS_move_mount,
                                  SYS_chroot, SYS_pidfd_getfd, SYS_sethostname};

    for (size_t i = 0; i < ARRAY_LEN(boxing); i++) {
        CHECK_INT(ask(LIST_RUNNER, (int)boxing[i], 0, 0, 0), SECCOMP_RET_ALLOW);
        CHECK_INT(ask(LIST_DAEMON, (int)boxing[i], 0, 0, 0), FAIL(EPERM));
        CHECK_INT(ask(LIST_NETD, (int)boxing[i], 0, 0, 0), FAIL(EPERM));
        CHECK_INT(ask(LIST_RESOLVER, (int)boxing[i], 0, 0, 0), FAIL(EPERM));
        CHECK_INT(ask(LIST_PROXY, (int)boxing[i], 0, 0, 0), FAIL(EPERM));
    }
    CHECK_INT(ask(LIST_RUNNER, SYS_clone3, 0, 0, 0), SECCOMP_RET_ALLOW);
    CHECK_INT(ask(LIST_DAEMON, SYS_clone3, 0, 0, 0), FAIL(ENOSYS));
    CHECK_INT(ask(LIST_RUNNER, SYS_clone, CLONE_NEWUSER, 0, 0), SECCOMP_RET_ALLOW);
    CHECK_INT(ask(LIST_DAEMON, SYS_clone, CLONE_NEWUSER, 0, 0), FAIL(EPERM));
    CHECK_INT(ask(LIST_RUNNER, SYS_bpf, 0, 0, 0), FAIL(EPERM));
    CHECK_INT(ask(LIST_RUNNER, SYS_io_uring_setup, 0, 0, 0), FAIL(EPERM));
}

/* Filters stack: what the outer one refuses no inner one can allow. */
static void what_inner_lists_allow_the_nesting_one_does_too(void)
{
    static const unsigned inner[] = {LIST_NETWORK, LIST_OFFLINE, LIST_AGENT};
    static struct program outer;
    static struct program p;

    for (int aarch64 = 0; aarch64 < 2; aarch64++) {
        build(&outer, aarch64, LIST_NESTING);
        for (size_t i = 0; i < ARRAY_LEN(inner); i++) {
            build(&p, aarch64, inner[i]);
            for (int number = 0; number <= 600; number++) {
                struct seccomp_data d = {.nr = number,
                                         .arch = aarch64 ? AUDIT_ARCH_AARCH64 : seccomp_arch};

                if (run(&p, &d) == SECCOMP_RET_ALLOW && run(&outer, &d) != SECCOMP_RET_ALLOW) {
                    tap_fail(__FILE__, __LINE__, "list %u has call %d", inner[i], number);
                }
            }
        }
    }
}

static void a_box_in_a_box_can_be_made_and_an_agent_makes_none(void)
{
    static const long boxing[] = {SYS_unshare, SYS_setns,         SYS_mount,      SYS_umount2,
                                  SYS_clone3,  SYS_open_tree,     SYS_move_mount, SYS_pivot_root,
                                  SYS_seccomp, SYS_mount_setattr, SYS_sethostname};
    static const long never[] = {SYS_ptrace,           SYS_bpf,
                                 SYS_keyctl,           SYS_add_key,
                                 SYS_request_key,      SYS_kexec_load,
                                 SYS_init_module,      SYS_finit_module,
                                 SYS_reboot,           SYS_swapon,
                                 SYS_userfaultfd,      SYS_perf_event_open,
                                 SYS_io_uring_setup,   SYS_io_uring_enter,
                                 SYS_process_vm_readv, SYS_process_vm_writev,
                                 SYS_pidfd_getfd,      SYS_fsopen,
                                 SYS_fsconfig,         SYS_open_by_handle_at,
                                 SYS_chroot,           SYS_personality};
    static const long runtime[] = {SYS_memfd_create,       SYS_pidfd_open,      SYS_inotify_init1,
                                   SYS_inotify_add_watch,  SYS_timerfd_create,  SYS_eventfd2,
                                   SYS_sched_setscheduler, SYS_copy_file_range, SYS_execve,
                                   SYS_mprotect,           SYS_epoll_pwait,     SYS_vfork};

    for (size_t i = 0; i < ARRAY_LEN(boxing); i++) {
        CHECK_INT(ask(LIST_NESTING, (int)boxing[i], 0, 0, 0), SECCOMP_RET_ALLOW);
        CHECK(ask(LIST_AGENT, (int)boxing[i], 0, 0, 0) != SECCOMP_RET_ALLOW);
    }
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        if (SECCOMP_ASAN && never[i] == SYS_ptrace) {
            continue;
        }
        CHECK_INT(ask(LIST_NESTING, (int)never[i], 0, 0, 0), FAIL(EPERM));
        CHECK_INT(ask(LIST_AGENT, (int)never[i], 0, 0, 0), FAIL(EPERM));
    }
    for (size_t i = 0; i < ARRAY_LEN(runtime); i++) {
        CHECK_INT(ask(LIST_AGENT, (int)runtime[i], 0, 0, PROT_EXEC | PROT_WRITE),
                  SECCOMP_RET_ALLOW);
    }
    CHECK_INT(ask(LIST_NESTING, SYS_clone, CLONE_NEWUSER | CLONE_NEWNS, 0, 0), SECCOMP_RET_ALLOW);
    CHECK_INT(ask(LIST_AGENT, SYS_clone, CLONE_NEWUSER, 0, 0), FAIL(EPERM));
    CHECK_INT(ask(LIST_AGENT, SYS_clone, CLONE_VM | CLONE_THREAD, 0, 0), SECCOMP_RET_ALLOW);
    CHECK_INT(ask(LIST_AGENT, SYS_clone3, 0, 0, 0), FAIL(ENOSYS));
    CHECK_INT(ask(LIST_AGENT, SECCOMP_NEWEST + 1, 0, 0, 0), FAIL(ENOSYS));
    CHECK_INT(ask(LIST_NESTING, 1000000, 0, 0, 0), FAIL(ENOSYS));
}

/* Families by list: "u" UNIX, "4", "6", "r" NETLINK ROUTE, "f" NETLINK NETFILTER, "p" PACKET. */
static void each_list_has_its_socket_families(void)
{
    static const struct {
        char letter;
        int family, type, protocol;
    } families[] = {
        {'u', AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0},
        {'4', AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0},
        {'6', AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
        {'r', AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
        {'f', AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER},
        {'p', AF_PACKET, SOCK_RAW, 0},
        {'v', AF_VSOCK, SOCK_STREAM, 0},
        {'a', AF_ALG, SOCK_SEQPACKET, 0},
        {'w', AF_INET, SOCK_RAW, IPPROTO_ICMP},
        {'s', AF_INET, SOCK_STREAM, IPPROTO_SCTP},
    };
    static const struct {
        unsigned list;
        const char *may;
    } rows[] = {
        {LIST_NETWORK, "u46rpws"}, {LIST_OFFLINE, "u"},    {LIST_BROKER, "46r"},
        {LIST_DAEMON, "u46rws"},   {LIST_NETD, "u46rfws"}, {LIST_RUNNER, "u46rpws"},
        {LIST_RESOLVER, "u46rws"}, {LIST_PROXY, "u46rws"}, {LIST_DEPOT, "u46rws"},
        {LIST_EDGE, "u46rws"},     {LIST_NESTING, "u46r"}, {LIST_AGENT, "u46r"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < ARRAY_LEN(families); k++) {
            bool may = strchr(rows[i].may, families[k].letter);
            uint32_t got = ask(rows[i].list, SYS_socket, (uint64_t)families[k].family,
                               (uint64_t)families[k].type, (uint64_t)families[k].protocol);

            if ((got == SECCOMP_RET_ALLOW) != may) {
                tap_fail(__FILE__, __LINE__, "list %u, family %c: %#x", rows[i].list,
                         families[k].letter, got);
            }
        }
    }
}

/* ---- children under the real filters ---- */

/* As exit statuses: 0 went well, else errno. */
static int result(long rc)
{
    return rc < 0 ? errno : 0;
}

static int status_of(pid_t pid)
{
    int status;

    CHECK_INT(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

enum { ENDED_BY_FILTER = 128 + SIGSYS, NOT_INSTALLED = 200 };

static int under_tool(enum box_calls calls, int (*what)(void))
{
    pid_t pid;

    seccomp_prepare();
    pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_tool(calls, NULL) < 0) {
            _exit(NOT_INSTALLED);
        }
        _exit(what());
    }
    return status_of(pid);
}

static int under_role(enum role role, int (*what)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        if (seccomp_role(role, NULL) != 0) {
            _exit(NOT_INSTALLED);
        }
        _exit(what());
    }
    return status_of(pid);
}

static int do_nothing(void)
{
    return 0;
}

static int do_shell(void)
{
    char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"x=$(echo 7); exit $x"}, NULL};
    char *const env[] = {NULL};
    pid_t pid = fork();

    if (pid == 0) {
        execve("/bin/sh", argv, env);
        _exit(errno);
    }
    return pid < 0 ? errno : status_of(pid);
}

static int do_unshare(void)
{
    return result(unshare(CLONE_NEWUSER));
}

static int do_clone_namespace(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0) {
        _exit(0);
    }
    return result(pid);
}

static int do_clone3(void)
{
    return result(syscall(SYS_clone3, NULL, 0));
}

static int do_type_into_terminal(void)
{
    return result(ioctl(0, TIOCSTI, "x"));
}

static int do_vsock(void)
{
    return result(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int do_tcp_socket(void)
{
    return result(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int do_unix_socket(void)
{
    return result(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int do_bpf(void)
{
    return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int do_limit_another(void)
{
    struct rlimit now;

    return result(prlimit(getppid(), RLIMIT_NOFILE, NULL, &now));
}

static int do_limit_itself(void)
{
    struct rlimit now;

    return result(prlimit(0, RLIMIT_NOFILE, NULL, &now));
}

static void a_tool_runs_programs_and_opens_sockets(void)
{
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_shell), 7);
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_tcp_socket), 0);
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_unix_socket), 0);
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_limit_itself), 0);
    CHECK_INT(under_tool(BOX_CALLS_OFFLINE, do_shell), 7);
    CHECK_INT(under_tool(BOX_CALLS_OFFLINE, do_unix_socket), 0);
}

static void a_tool_gets_no_namespace_terminal_or_kernel_surface(void)
{
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_unshare), ENOSYS);
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_clone_namespace), EPERM);
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_clone3), ENOSYS);
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_type_into_terminal), EPERM);
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_vsock), EAFNOSUPPORT);
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_bpf), ENOSYS);
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_limit_another), EPERM);
    CHECK_INT(under_tool(BOX_CALLS_OFFLINE, do_tcp_socket), EAFNOSUPPORT);
}

/* Without a filter it can clone3 (which finds fault with no arguments). */
static void all_calls_means_no_filter(void)
{
    CHECK_INT(under_tool(BOX_CALLS_ALL, do_clone3), EINVAL);
}

static void a_filter_needs_no_new_privileges(void)
{
    pid_t pid;

    seccomp_prepare();
    pid = fork();
    if (pid == 0) {
        /* Root may without: so no root. */
        if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0)) {
            _exit(NOT_INSTALLED);
        }
        _exit(result(seccomp_tool(BOX_CALLS_NETWORK, NULL)));
    }
    CHECK_INT(status_of(pid), EACCES);
}

#ifdef __x86_64__
static int do_x32(void)
{
    return result(syscall(0x40000000 | SYS_getpid));
}

static int do_i386(void)
{
    long r = 20; /* getpid there */

    __asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
    return r > 0 ? 0 : 1;
}

/* A kernel without the old gate ends the process itself (SIGSEGV). */
static void the_other_gates_of_the_machine_are_shut(void)
{
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_x32), ENDED_BY_FILTER);
    CHECK_INT(under_role(ROLE_DAEMON, do_x32), ENDED_BY_FILTER);
    if (under_tool(BOX_CALLS_ALL, do_i386) == 0) {
        CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_i386), ENDED_BY_FILTER);
        CHECK_INT(under_role(ROLE_RUNNER, do_i386), ENDED_BY_FILTER);
    } else {
        CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_i386), 128 + SIGSEGV);
    }
}
#else
static void the_other_gates_of_the_machine_are_shut(void)
{
    CHECK_INT(under_tool(BOX_CALLS_NETWORK, do_nothing), 0);
}
#endif

static int do_exec(void)
{
    char *const argv[] = {(char[]){"true"}, NULL};
    char *const env[] = {NULL};

    execve("/bin/true", argv, env);
    return errno;
}

static int do_fork_and_wait(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        _exit(5);
    }
    return pid < 0 ? errno : status_of(pid);
}

static int do_netfilter(void)
{
    return result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
}

static int do_io_uring(void)
{
    return result(syscall(SYS_io_uring_setup, 0, NULL));
}

static int do_keyring(void)
{
    return result(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static void roles_do_their_work_and_nothing_else(void)
{
    static const enum role roles[] = {ROLE_DAEMON, ROLE_NETD,  ROLE_RESOLVER,
                                      ROLE_PROXY,  ROLE_DEPOT, ROLE_EDGE};

    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        CHECK_INT(under_role(roles[i], do_nothing), 0);
        CHECK_INT(under_role(roles[i], do_fork_and_wait), 5);
        CHECK_INT(under_role(roles[i], do_tcp_socket), 0);
        CHECK_INT(under_role(roles[i], do_exec), EPERM);
        CHECK_INT(under_role(roles[i], do_unshare), EPERM);
        CHECK_INT(under_role(roles[i], do_clone_namespace), EPERM);
        CHECK_INT(under_role(roles[i], do_io_uring), EPERM);
        CHECK_INT(under_role(roles[i], do_keyring), EPERM);
        CHECK_INT(under_role(roles[i], do_vsock), EAFNOSUPPORT);
    }
    CHECK_INT(under_role(ROLE_DAEMON, do_netfilter), EAFNOSUPPORT);
    CHECK(under_role(ROLE_NETD, do_netfilter) != EAFNOSUPPORT);
    CHECK_INT(under_role(ROLE_RUNNER, do_exec), 0);
    CHECK_INT(under_role(ROLE_RUNNER, do_bpf), EPERM);
    CHECK_STR(role_name(ROLE_NETD), "netd");
}

/* ---- the parser process ---- */

static int do_read_and_write(void)
{
    static char page[8192];
    int zero = 3;
    void *p;

    if (read(zero, page, sizeof page) != sizeof page || write(4, page, sizeof page) < 0 ||
        fsync(5) < 0) {
        return errno;
    }
    p = malloc(4 << 20);
    if (!p) {
        return ENOMEM;
    }
    memset(p, 1, 4 << 20);
    free(p);
    return 0;
}

static int do_map_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? errno : 0;
}

static int do_make_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int do_signal_parent(void)
{
    return result(kill(getppid(), 0));
}

static void a_parser_reads_writes_and_allocates(void)
{
    auto_free char *path = str_fmt("%s/out", test_dir());
    int fds[] = {open("/dev/zero", O_RDONLY), open("/dev/null", O_WRONLY),
                 open(path, O_WRONLY | O_CREAT, 0600)};

    /* As 3, 4, 5, whatever the harness has open. */
    for (int i = 0; i < 3; i++) {
        CHECK(fds[i] >= 0);
        fds[i] = fcntl(fds[i], F_DUPFD, 20);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_INT(dup2(fds[i], 3 + i), 3 + i);
        close(fds[i]);
    }
    CHECK_INT(under_role(ROLE_PARSER, do_read_and_write), 0);
    for (int i = 0; i < 3; i++) {
        close(3 + i);
    }
}

static void a_parser_that_does_more_is_ended(void)
{
    CHECK_INT(under_role(ROLE_PARSER, do_tcp_socket), ENDED_BY_FILTER);
    CHECK_INT(under_role(ROLE_PARSER, do_map_code), ENDED_BY_FILTER);
    CHECK_INT(under_role(ROLE_PARSER, do_make_code), ENDED_BY_FILTER);
    CHECK_INT(under_role(ROLE_PARSER, do_signal_parent), ENDED_BY_FILTER);
    CHECK_INT(under_role(ROLE_PARSER, do_exec), ENDED_BY_FILTER);
    CHECK_INT(under_role(ROLE_PARSER, do_unshare), ENDED_BY_FILTER);
}

/* ---- the broker's list, with a listener ---- */

static const struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = 9};

static int do_connect(int s)
{
    return result(connect(s, (const struct sockaddr *)&nobody, sizeof nobody));
}

static int do_sendto(int s)
{
    return result(sendto(s, "x", 1, 0, (const struct sockaddr *)&nobody, sizeof nobody));
}

static int do_send(int s)
{
    return result(send(s, "x", 1, 0)); /* sendto() without an address */
}

static int do_sendmsg(int s)
{
    struct iovec iov = {(char[]){"x"}, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    return result(sendmsg(s, &m, 0));
}

static int do_sendmmsg(int s)
{
    struct mmsghdr m = {0};

    return result(sendmmsg(s, &m, 1, 0));
}

static int do_listen(int s)
{
    return result(listen(s, 1));
}

static int do_option(int s, int level, int option)
{
    int one = 1;

    return result(setsockopt(s, level, option, &one, sizeof one));
}

static int do_ip_options(int s)
{
    return do_option(s, IPPROTO_IP, IP_OPTIONS);
}

static int do_membership(int s)
{
    return do_option(s, IPPROTO_IP, IP_ADD_MEMBERSHIP);
}

static int do_routing_header(int s)
{
    return do_option(s, IPPROTO_IPV6, IPV6_RTHDR);
}

static int do_ttl(int s)
{
    return do_option(s, IPPROTO_IP, IP_TTL);
}

static int do_reuse(int s)
{
    return do_option(s, SOL_SOCKET, SO_REUSEADDR);
}

static int do_raw(int s)
{
    return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int do_sctp(int s)
{
    return result(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
}

static int do_abstract(int s)
{
    return do_unix_socket();
}

static int do_kill(int s)
{
    return do_signal_parent();
}

static int do_pair(int s)
{
    int fds[2];

    return result(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
}

/* The child's listener, by the number that it wrote. */
static int take_listener(pid_t pid, int from)
{
    auto_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int number = -1;
    int fd;

    CHECK(pidfd >= 0);
    CHECK_INT(read(from, &number, sizeof number), sizeof number);
    fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    CHECK(fd >= 0);
    return fd;
}

/* Answers every notification with EHOSTDOWN until the child is gone; the last call's number. */
static int supervise(int listener)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};
    int number = 0;

    while (poll(&p, 1, 30000) == 1 && (p.revents & POLLIN)) {
        struct seccomp_notif ask_ = {0};
        struct seccomp_notif_resp answer = {.error = -EHOSTDOWN};

        CHECK_INT(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &ask_), 0);
        number = ask_.data.nr;
        answer.id = ask_.id;
        CHECK_INT(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer), 0);
    }
    return number;
}

struct brokered {
    int status; /* as of the other children */
    int number; /* of the notified call; 0: none */
};

static struct brokered under_broker(int (*what)(int s))
{
    struct brokered b;
    int fds[2];
    pid_t pid;

    seccomp_prepare();
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pid = fork();
    if (pid == 0) {
        int listener = -1;
        int s = socket(AF_INET, SOCK_DGRAM, 0);
        char go = 0;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            seccomp_tool(BOX_CALLS_BROKER, &listener) < 0 ||
            fcntl(listener, F_GETFD) != FD_CLOEXEC ||
            write(fds[1], &listener, sizeof listener) < 0 || read(fds[1], &go, 1) != 1) {
            _exit(NOT_INSTALLED);
        }
        _exit(what(s));
    }
    close(fds[1]);

    auto_fd int listener = take_listener(pid, fds[0]);

    CHECK_INT(write(fds[0], "g", 1), 1);
    close(fds[0]);
    b.number = supervise(listener);
    b.status = status_of(pid);
    return b;
}

static void a_supervisor_is_asked_about_every_destination(void)
{
    static const struct {
        int (*what)(int s);
        long number;
    } rows[] = {
        {do_connect, SYS_connect},
        {do_sendto, SYS_sendto},
        {do_sendmsg, SYS_sendmsg},
        {do_sendmmsg, SYS_sendmmsg},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct brokered b = under_broker(rows[i].what);

        CHECK_INT(b.number, rows[i].number);
        CHECK_INT(b.status, EHOSTDOWN);
    }
}

static void what_goes_round_a_supervisor_is_refused(void)
{
    static const struct {
        int (*what)(int s);
        int status;
    } rows[] = {
        {do_listen, EPERM},
        {do_ip_options, EPERM},
        {do_membership, EPERM},
        {do_raw, EPERM},
        {do_routing_header, EPERM},
        {do_sctp, EPROTONOSUPPORT},
        {do_kill, EPERM},
        {do_abstract, EAFNOSUPPORT},
        {do_ttl, 0},
        {do_reuse, 0},
        {do_pair, 0},
        {do_send, EDESTADDRREQ},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct brokered b = under_broker(rows[i].what);

        if (b.number != 0 || b.status != rows[i].status) {
            tap_fail(__FILE__, __LINE__, "case %zu: status %d, call %d", i, b.status, b.number);
        }
    }
}

TESTS(every_number_gets_what_its_row_says, numbers_beyond_all_tables_are_not_listed,
      other_architectures_end_the_process, no_number_takes_many_steps,
      aarch64_has_its_own_numbers_and_lacks_the_old_calls,
      every_name_is_known_on_one_machine_at_least, upper_halves_of_arguments_hide_nothing,
      a_destination_is_seen_in_both_halves_of_its_pointer,
      a_runner_may_build_boxes_and_the_others_may_not,
      what_inner_lists_allow_the_nesting_one_does_too,
      a_box_in_a_box_can_be_made_and_an_agent_makes_none, each_list_has_its_socket_families,
      a_tool_runs_programs_and_opens_sockets, a_tool_gets_no_namespace_terminal_or_kernel_surface,
      all_calls_means_no_filter, a_filter_needs_no_new_privileges,
      the_other_gates_of_the_machine_are_shut, roles_do_their_work_and_nothing_else,
      a_parser_reads_writes_and_allocates, a_parser_that_does_more_is_ended,
      a_supervisor_is_asked_about_every_destination, what_goes_round_a_supervisor_is_refused)
