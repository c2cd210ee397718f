/*
 * Messages to the runner: a launch or a question. What is accepted is what launch_put() makes:
 * written again it is the same, and every field is within its bounds. Bytes behind the first length
 * of the input stand for the sealed file, if the launch asks for one; what the files of a run hold
 * are always the same eight bytes.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "runner/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int sealed(const uint8_t *data, size_t n)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || write(fd, data, n) != (ssize_t)n ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        abort();
    }
    return fd;
}

static void check_extras(const struct runner_launch *a, const struct runner_launch *b)
{
    assert(a->n_texts == b->n_texts && a->n_binds == b->n_binds && a->n_gateways == b->n_gateways);
    assert(a->nest == b->nest && (a->stdin_fd > 0) == (b->stdin_fd > 0));
    for (size_t i = 0; i < a->n_texts; i++) {
        assert(a->texts[i].n == b->texts[i].n && str_eq(a->texts[i].path, b->texts[i].path));
        assert(memcmp(a->texts[i].text, b->texts[i].text, a->texts[i].n) == 0);
        assert(!strstr(a->texts[i].path, "/../"));
    }
    for (size_t i = 0; i < a->n_binds; i++) {
        assert(a->binds[i].path[0] == '/' && !a->binds[i].write);
    }
    for (size_t i = 0; i < a->n_gateways; i++) {
        assert(str_eq(a->gateways[i].prefix, b->gateways[i].prefix));
        assert(str_eq(a->gateways[i].secret, b->gateways[i].secret));
    }
}

static void check_launch(const struct launch_in *in)
{
    struct launch_fds brought = {-1, -1};
    auto_buf again = {0};
    struct launch_in twice;
    struct wire w;
    /* Only the last ones are ever read from. */
    int fds[LAUNCH_FDS_MAX] = {0};
    unsigned n = 1 + (in->blob > 0) + (in->input > 0);

    assert((in->argv.n > 0) == (in->l.input_fd < 0));
    assert(in->argv.n == 0 || in->argv.v[0][0] == '/');
    assert(in->l.egress < EGRESS_LEVELS && in->targets.n <= RANGES_MAX);
    assert(launch_put(&again, &brought, &in->l, NULL) == 0);
    if (in->l.stdin_fd > 0) {
        fds[n++] = in->l.stdin_fd;
    }
    if (brought.more >= 0) {
        fds[n++] = brought.more;
    }
    if (brought.texts >= 0) {
        fds[n++] = brought.texts;
    }
    w = (struct wire){.p = (const uint8_t *)again.data,
                      .end = (const uint8_t *)again.data + again.len};
    assert(launch_get(&w, fds, n, &twice));
    assert(netset_equal(&twice.targets, &in->targets));
    assert(twice.argv.n == in->argv.n && twice.l.wall_ms == in->l.wall_ms);
    assert(str_eq(twice.l.hosts, in->l.hosts) && str_eq(twice.l.target_lines, in->l.target_lines));
    check_extras(&in->l, &twice.l);
    launch_in_done(&twice);
    fd_close(&brought.more);
    fd_close(&brought.texts);
}

/* The last descriptors of a message, in each order in which they can come. */
static void try_launch(const uint8_t *data, size_t head, int more, int texts)
{
    for (unsigned n = 1; n <= LAUNCH_FDS_MAX; n++) {
        int fds[LAUNCH_FDS_MAX];
        struct launch_in in;
        struct wire w = {.p = data, .end = data + head};

        for (unsigned i = 0; i < LAUNCH_FDS_MAX; i++) {
            fds[i] = texts; /* which any of the first may be: they are not looked into */
        }
        if (more >= 0) {
            fds[n - 1] = more;
        }
        if (launch_get(&w, fds, n, &in)) {
            check_launch(&in);
        }
        launch_in_done(&in);
        if (more < 0 || n < 2) {
            continue;
        }
        fds[n - 2] = more;
        fds[n - 1] = texts;
        w = (struct wire){.p = data, .end = data + head};
        if (launch_get(&w, fds, n, &in)) {
            check_launch(&in);
        }
        launch_in_done(&in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t contents[8] = "contents";
    size_t head = n < 2 ? 0 : MIN((size_t)(data[0] | data[1] << 8), n - 2);
    auto_fd int more = -1;
    auto_fd int texts = -1;
    auto_strvec argv = {0};
    struct wire w;
    uint64_t ask;

    if (n < 2) {
        return 0;
    }
    data += 2;
    n -= 2;
    more = n > head ? sealed(data + head, n - head) : -1;
    texts = sealed(contents, sizeof contents);
    try_launch(data, head, more, texts);
    w = (struct wire){.p = data, .end = data + head};
    if (ask_get(&w, &ask, &argv)) {
        assert(argv.n > 0 && argv.v[0][0] == '/');
    }
    return 0;
}
