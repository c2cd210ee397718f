/*
 * Messages to the runner: a launch or a question. What is accepted is what launch_put() makes:
 * written again it is the same, and every field is within its bounds. Bytes behind the first length
 * of the input stand for the sealed file, if the launch asks for one.
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

static void check_launch(const struct launch_in *in)
{
    auto_buf again = {0};
    auto_fd int more = -1;
    struct launch_in twice;
    struct wire w;
    /* Only the last one is ever read from. */
    int fds[LAUNCH_FDS_MAX] = {0};
    unsigned n = 1 + (in->blob > 0) + (in->input > 0);

    assert((in->argv.n > 0) == (in->l.input_fd < 0));
    assert(in->argv.n == 0 || in->argv.v[0][0] == '/');
    assert(in->l.egress < EGRESS_LEVELS && in->targets.n <= RANGES_MAX);
    assert(launch_put(&again, &more, &in->l, NULL) == 0);
    if (more >= 0) {
        fds[n++] = more;
    }
    w = (struct wire){.p = (const uint8_t *)again.data,
                      .end = (const uint8_t *)again.data + again.len};
    assert(launch_get(&w, fds, n, &twice));
    assert(netset_equal(&twice.targets, &in->targets));
    assert(twice.argv.n == in->argv.n && twice.l.wall_ms == in->l.wall_ms);
    assert(str_eq(twice.l.hosts, in->l.hosts) && str_eq(twice.l.target_lines, in->l.target_lines));
    launch_in_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t head = n < 2 ? 0 : MIN((size_t)(data[0] | data[1] << 8), n - 2);
    auto_fd int more = -1;
    auto_strvec argv = {0};
    struct launch_in in;
    struct wire w;
    uint64_t ask;

    if (n < 2) {
        return 0;
    }
    data += 2;
    n -= 2;
    more = n > head ? sealed(data + head, n - head) : -1;
    for (unsigned n_fds = 1; n_fds <= LAUNCH_FDS_MAX; n_fds++) {
        int fds[LAUNCH_FDS_MAX] = {-1, -1, -1, -1};

        fds[n_fds - 1] = more;
        w = (struct wire){.p = data, .end = data + head};
        if (launch_get(&w, fds, n_fds, &in)) {
            check_launch(&in);
        }
        launch_in_done(&in);
    }
    w = (struct wire){.p = data, .end = data + head};
    if (ask_get(&w, &ask, &argv)) {
        assert(argv.n > 0 && argv.v[0][0] == '/');
    }
    return 0;
}
