/*
 * scan_delay - a long cable between two network namespaces, for kernels without netem.
 * usage: scan_delay PID_A PID_B DELAY_MS LOSS_PERCENT RATE
 *
 * Makes a TAP "wire0" in the network namespace of each process and carries frames from one to the
 * other, each DELAY_MS later; both go with this program. LOSS_PERCENT of the frames from A to B are
 * lost, by chance; with a RATE, so is what is above so many frames a second from A to B. Prints
 * "ready", and what was carried and lost at SIGTERM.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
    FRAME = 1600,
    ROOM = 32768, /* frames on their way: 40 ms at 800,000 a second */
    TURN = 128,   /* frames that are read before the other direction is looked at */
    SECOND_NS = 1000000000,
    BURST_PER_S = 50, /* the rate's bucket holds a fiftieth of a second */
};

struct frame {
    int64_t due_ns;
    uint16_t len;
    uint8_t bytes[FRAME];
};

struct direction {
    int from, to;
    struct frame *v; /* a ring */
    size_t first, n;
    double loss, rate; /* of 1; a second */
    double tokens;
    int64_t filled_ns;
    uint64_t carried, lost, crowded; /* crowded: the ring was full */
};

static volatile sig_atomic_t ended;

static void on_signal(int sig)
{
    ended = sig;
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)SECOND_NS + t.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "scan_delay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void join(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) {
        fail(path);
    }
    close(fd);
}

static int tap_in(const char *pid)
{
    struct ifreq r = {.ifr_name = "wire0", .ifr_flags = IFF_TAP | IFF_NO_PI};
    char path[64];
    int fd;

    snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
    join(path);
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0) {
        fail("/dev/net/tun");
    }
    return fd;
}

static double chance(void)
{
    static uint64_t x = UINT64_C(0x9E3779B97F4A7C15);

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (double)(x >> 11) / (double)(UINT64_C(1) << 53);
}

static bool is_lost(struct direction *d, int64_t now)
{
    if (d->loss > 0 && chance() < d->loss) {
        return true;
    }
    if (d->rate <= 0) {
        return false;
    }
    d->tokens += (double)(now - d->filled_ns) * d->rate / SECOND_NS;
    d->filled_ns = now;
    if (d->tokens > d->rate / BURST_PER_S) {
        d->tokens = d->rate / BURST_PER_S;
    }
    if (d->tokens < 1) {
        return true;
    }
    d->tokens -= 1;
    return false;
}

/* True when there may be more to read. */
static bool take(struct direction *d, int64_t delay_ns)
{
    for (int i = 0; i < TURN; i++) {
        struct frame *f = &d->v[(d->first + d->n) % ROOM];
        struct frame spare;
        bool full = d->n == ROOM;
        ssize_t got = read(d->from, full ? spare.bytes : f->bytes, FRAME);
        int64_t now;

        if (got <= 0) {
            return false;
        }
        now = now_ns();
        if (full) {
            d->crowded++;
        } else if (is_lost(d, now)) {
            d->lost++;
        } else {
            f->due_ns = now + delay_ns;
            f->len = (uint16_t)got;
            d->n++;
        }
    }
    return true;
}

/* When the next one is due; INT64_MAX: none is on its way. */
static int64_t hand_out(struct direction *d)
{
    int64_t now = now_ns();

    while (d->n) {
        struct frame *f = &d->v[d->first];

        if (f->due_ns > now) {
            return f->due_ns;
        }
        if (write(d->to, f->bytes, f->len) < 0 && errno == EAGAIN) {
            return now;
        }
        d->first = (d->first + 1) % ROOM;
        d->n--;
        d->carried++;
    }
    return INT64_MAX;
}

static void carry(struct direction d[2], int64_t delay_ns)
{
    struct pollfd p[2] = {{.fd = d[0].from, .events = POLLIN}, {.fd = d[1].from, .events = POLLIN}};

    while (!ended) {
        bool more = false;
        int64_t due = INT64_MAX;

        for (int i = 0; i < 2; i++) {
            int64_t at;

            more = take(&d[i], delay_ns) || more;
            at = hand_out(&d[i]);
            due = at < due ? at : due;
        }
        if (!more) {
            int64_t wait = due - now_ns();
            struct timespec t = {.tv_sec = 1};

            if (wait < SECOND_NS) {
                t = (struct timespec){.tv_nsec = wait > 0 ? (long)wait : 0};
            }
            ppoll(p, 2, &t, NULL);
        }
    }
}

int main(int argc, char **argv)
{
    int a, b;
    struct direction d[2];

    if (argc != 6) {
        fprintf(stderr, "usage: scan_delay PID_A PID_B DELAY_MS LOSS_PERCENT RATE\n");
        return 2;
    }
    a = tap_in(argv[1]);
    b = tap_in(argv[2]);
    d[0] = (struct direction){.from = a,
                              .to = b,
                              .loss = atof(argv[4]) / 100,
                              .rate = atof(argv[5]),
                              .filled_ns = now_ns()};
    d[1] = (struct direction){.from = b, .to = a};
    for (int i = 0; i < 2; i++) {
        d[i].v = calloc(ROOM, sizeof *d[i].v);
        if (!d[i].v) {
            fail("memory");
        }
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    puts("ready");
    fflush(stdout);
    carry(d, (int64_t)(atof(argv[3]) * 1e6));
    for (int i = 0; i < 2; i++) {
        printf("%s carried %" PRIu64 " lost %" PRIu64 " crowded %" PRIu64 "\n",
               i ? "back" : "forth", d[i].carried, d[i].lost, d[i].crowded);
        free(d[i].v);
    }
    return 0;
}
