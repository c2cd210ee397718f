/*
 * stand_in - an instant nmap: prints NAME.xml, where NAME is the path it was started by, and ends.
 * `-V` and `--version` print the line that wrappers around nmap look for. Where there is a file
 * NAME.second it takes one second.
 *
 * Without the C library: its start alone (relocation, questions to the processor that a virtual
 * machine answers slowly) takes longer than all the rest, and would hide what is measured.
 */
#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/auxvec.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");

static long call(long n, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n mov x0, sp\n bl begin\n");

static long call(long n, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;

    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "say here how this processor makes system calls"
#endif

static _Noreturn void end(int status)
{
    for (;;) {
        call(__NR_exit_group, status, 0, 0, 0);
    }
}

static bool put(const char *p, long n)
{
    while (n > 0) {
        long w = call(__NR_write, 1, (long)p, n, 0);

        if (w <= 0) {
            return false;
        }
        p += w;
        n -= w;
    }
    return true;
}

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static int copy_out(int fd)
{
    static char part[1 << 16];
    long n;

    while ((n = call(__NR_read, fd, (long)part, sizeof part, 0)) > 0) {
        if (!put(part, n)) {
            return 1;
        }
    }
    return n < 0;
}

static void sleep_second(void)
{
    const long time[2] = {1, 0};

    call(__NR_nanosleep, (long)time, 0, 0, 0);
}

/* The kernel's first stack: argc, argv, NULL, environment, NULL, pairs of numbers. */
static const char *path_of_self(char **argv, long argc)
{
    char **p = argv + argc + 1;
    const uintptr_t *pair;

    while (*p) {
        p++;
    }
    for (pair = (const uintptr_t *)(p + 1); pair[0] != AT_NULL; pair += 2) {
        if (pair[0] == AT_EXECFN) {
            return (const char *)pair[1]; /* argv[0] may lack the directory */
        }
    }
    return argv[0];
}

/* The file whose name is ours with a suffix. */
static long open_beside(const char *self, const char *suffix, char *path, size_t size)
{
    size_t n = 0;

    while (self[n] && n < size / 2) {
        path[n] = self[n];
        n++;
    }
    do {
        path[n++] = *suffix;
    } while (*suffix++ && n < size);
    path[size - 1] = '\0';
    return call(__NR_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
}

_Noreturn void begin(long *stack);
_Noreturn void begin(long *stack)
{
    static const char version[] = "Nmap version 7.93 ( https://nmap.org )\n";
    static char path[4096];
    char **argv = (char **)(stack + 1);
    const char *self = path_of_self(argv, stack[0]);
    long fd;

    for (long i = 1; i < stack[0]; i++) {
        if (same(argv[i], "-V") || same(argv[i], "--version")) {
            end(!put(version, sizeof version - 1));
        }
    }
    if ((fd = open_beside(self, ".second", path, sizeof path)) >= 0) {
        sleep_second();
    }
    fd = open_beside(self, ".xml", path, sizeof path);
    end(fd < 0 ? 1 : copy_out((int)fd));
}
