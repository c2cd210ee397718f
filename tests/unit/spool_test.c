#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tap.h"
#include "transport/message.h"
#include "transport/spool.h"

static const char *new_dir(void)
{
    static char path[256];
    static unsigned n;

    snprintf(path, sizeof path, "%s/%u", test_dir(), ++n);
    CHECK(mkdir(path, 0700) == 0);
    return path;
}

static struct lease lease_made(uint64_t token)
{
    return (struct lease){.job_id = id_new(), .idx = 3, .epoch = 2, .token = token};
}

static unsigned files_in(const char *dir)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    CHECK(d != NULL);
    for (const struct dirent *x; (x = readdir(d));) {
        n += x->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static void add_hosts(struct spool *s, const struct lease *l, const char *text)
{
    auto_buf b = {0};

    put_hosts(&b, l, spool_last(s) + 1, text, strlen(text));
    spool_add(s, b.data, b.len);
}

static void add_end(struct spool *s, const struct lease *l, enum job_state state)
{
    const struct coverage_cell cell = {.addresses = "127.0.0.1", .protocol = "host"};
    const struct outcome o = {
        .state = state, .error = "why", .cells = &cell, .n_cells = 1, .exit_status = 7};
    auto_buf b = {0};

    put_end(&b, l, spool_last(s) + 1, &o);
    spool_add(s, b.data, b.len);
}

static void add_raw(struct spool *s, const char *dir, size_t n)
{
    auto_free char *path = str_fmt("%s/some-file", dir);
    auto_free char *bytes = xcalloc(n, 1);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
    CHECK_OK(spool_add_raw(s, path, ERR));
    CHECK(access(path, F_OK) != 0);
}

/* One message of it under the lease `as`. */
static struct message read_one(struct spool *s, uint64_t seq, const struct lease *as,
                               struct buf *out)
{
    struct message m = {0};
    const uint8_t *p;
    size_t n;

    buf_reset(out);
    CHECK_OK(spool_get(s, seq, as, out, ERR));
    p = (const uint8_t *)out->data;
    n = out->len;
    CHECK_OK(message_next(&p, &n, &m, ERR));
    CHECK_INT(n, 0);
    CHECK_INT(m.seq, seq);
    CHECK_INT(m.lease.token, as->token);
    return m;
}

static void check_whole(struct spool *s, const struct lease *as)
{
    auto_buf b = {0};
    struct message m;

    CHECK_INT(spool_last(s), 5);
    m = read_one(s, 1, as, &b);
    CHECK(m.type == MSG_HOSTS && m.n == 3 && memcmp(m.data, "one", 3) == 0);
    m = read_one(s, 2, as, &b);
    CHECK(m.type == MSG_HOSTS && m.n == 3 && memcmp(m.data, "two", 3) == 0);
    m = read_one(s, 3, as, &b);
    CHECK(m.type == MSG_RAW && m.offset == 0 && m.n == MESSAGE_RAW_MAX);
    m = read_one(s, 4, as, &b);
    CHECK(m.type == MSG_RAW && m.offset == MESSAGE_RAW_MAX && m.n == 1);
    m = read_one(s, 5, as, &b);
    CHECK(m.type == MSG_END && m.outcome.state == JOB_COMPLETED && m.outcome.n_cells == 1);
    CHECK_INT(m.outcome.exit_status, 7);
    CHECK_STR(m.outcome.cells[0].addresses, "127.0.0.1");
    message_done(&m);
}

static struct spool *whole_spool(const char *dir, const struct lease *l, bool early)
{
    struct spool *s = spool_new(dir, l);

    add_hosts(s, l, "one");
    if (early) {
        CHECK_OK(spool_spill(s, ERR));
    }
    add_hosts(s, l, "two");
    add_raw(s, dir, MESSAGE_RAW_MAX + 1);
    add_end(s, l, JOB_COMPLETED);
    return s;
}

static void reports_are_the_same_in_memory_in_a_file_and_in_part(void)
{
    const char *dir = new_dir();
    struct lease l = lease_made(1), other = l;

    other.token = 2;
    for (int spill = 0; spill < 4; spill++) {
        struct spool *s = whole_spool(dir, &l, spill & 1);

        if (spill & 2) {
            CHECK_OK(spool_spill(s, ERR));
            CHECK_INT(spool_memory(s), 0);
        }
        check_whole(s, &l);
        check_whole(s, &other);
        spool_free(s);
        CHECK_INT(files_in(dir), 0);
    }
}

struct found {
    struct spool *spool;
    struct lease lease;
    unsigned n;
};

static void on_found(void *arg, const struct lease *l, struct spool *s)
{
    struct found *f = arg;

    f->spool = s;
    f->lease = *l;
    f->n++;
}

static uint32_t load(const char *dir, struct found *f)
{
    uint32_t removed = 99;

    *f = (struct found){0};
    CHECK_OK(spools_load(dir, on_found, f, &removed, ERR));
    return removed;
}

static void a_settled_result_is_found_again_and_follows_its_lease(void)
{
    const char *dir = new_dir();
    struct lease l = lease_made(1), now = l;
    struct spool *s = whole_spool(dir, &l, true);
    struct found f;

    CHECK_OK(spool_settle(s, ERR));
    CHECK_OK(spool_settle(s, ERR));
    check_whole(s, &l);
    spool_free(s);
    CHECK_INT(files_in(dir), 2);
    CHECK_INT(load(dir, &f), 0);
    CHECK_INT(f.n, 1);
    CHECK_INT(f.lease.token, 1);
    check_whole(f.spool, &l);
    now.token = 77;
    CHECK_OK(spool_rename(f.spool, &now, ERR));
    spool_free(f.spool);
    CHECK_INT(load(dir, &f), 0);
    CHECK_INT(f.lease.token, 77);
    check_whole(f.spool, &now);
    spool_remove(f.spool);
    CHECK_INT(files_in(dir), 0);
}

static char *only_spool(const char *dir)
{
    DIR *d = opendir(dir);
    char *path = NULL;

    for (const struct dirent *x; (x = readdir(d));) {
        if (strstr(x->d_name, ".spool")) {
            path = str_fmt("%s/%s", dir, x->d_name);
        }
    }
    closedir(d);
    CHECK(path != NULL);
    return path;
}

static void a_file_that_was_cut_anywhere_is_removed_with_its_raw_output(void)
{
    const char *dir = new_dir();
    struct stat st;

    for (off_t cut = 0;; cut++) {
        struct lease l = lease_made(1);
        struct spool *s = whole_spool(dir, &l, false);
        auto_free char *path = NULL;
        struct found f;

        CHECK_OK(spool_settle(s, ERR));
        spool_free(s);
        path = only_spool(dir);
        CHECK(stat(path, &st) == 0);
        if (cut == st.st_size) {
            break;
        }
        CHECK(truncate(path, cut) == 0);
        CHECK(load(dir, &f) >= 1);
        CHECK_INT(f.n, 0);
        CHECK_INT(files_in(dir), 0);
    }
}

static void a_file_with_any_byte_changed_is_removed_or_read_without_harm(void)
{
    const char *dir = new_dir();
    struct stat st;
    off_t size = 1;

    for (off_t at = 0; at < size; at++) {
        struct lease l = lease_made(1);
        struct spool *s = whole_spool(dir, &l, false);
        auto_free char *path = NULL;
        struct found f;
        uint8_t byte;
        int fd;

        CHECK_OK(spool_settle(s, ERR));
        spool_free(s);
        path = only_spool(dir);
        fd = open(path, O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0 && fstat(fd, &st) == 0 && pread(fd, &byte, 1, at) == 1);
        size = st.st_size;
        byte ^= 0xff;
        CHECK(pwrite(fd, &byte, 1, at) == 1);
        close(fd);
        (void)load(dir, &f);
        for (uint64_t seq = 1; f.n && seq <= spool_last(f.spool); seq++) {
            auto_buf b = {0};

            (void)spool_get(f.spool, seq, &l, &b, NULL); /* an error, or a message */
        }
        spool_remove(f.spool);
        CHECK_INT(files_in(dir), 0);
    }
}

static void make_file(const char *dir, const char *name)
{
    auto_free char *path = str_fmt("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && write(fd, "x", 1) == 1);
    close(fd);
}

static void what_is_no_whole_result_is_removed_at_the_start(void)
{
    const char *dir = new_dir();
    struct lease l = lease_made(1);
    struct spool *s = spool_new(dir, &l);
    struct found f;

    add_end(s, &l, JOB_FAILED); /* not complete: it is run again */
    CHECK_OK(spool_settle(s, ERR));
    spool_free(s);
    make_file(dir, "0123456789abcdef0123456789abcdef.0.1.0123456789abcdef.part");
    make_file(dir, "0123456789abcdef0123456789abcdef.0.1.0123456789abcdef.raw");
    make_file(dir, "garbage");
    CHECK_INT(load(dir, &f), 4);
    CHECK_INT(f.n, 0);
    CHECK_INT(files_in(dir), 0);
}

static void a_result_whose_raw_output_is_gone_is_not_whole(void)
{
    const char *dir = new_dir();
    struct lease l = lease_made(1);
    struct spool *s = whole_spool(dir, &l, false);
    auto_free char *path = NULL;
    struct found f;

    CHECK_OK(spool_settle(s, ERR));
    spool_free(s);
    path = only_spool(dir);
    memcpy(strrchr(path, '.'), ".raw", 5);
    CHECK(unlink(path) == 0);
    CHECK_INT(load(dir, &f), 1);
    CHECK_INT(f.n, 0);
    CHECK_INT(files_in(dir), 0);
}

TESTS(reports_are_the_same_in_memory_in_a_file_and_in_part,
      a_settled_result_is_found_again_and_follows_its_lease,
      a_file_that_was_cut_anywhere_is_removed_with_its_raw_output,
      a_file_with_any_byte_changed_is_removed_or_read_without_harm,
      what_is_no_whole_result_is_removed_at_the_start,
      a_result_whose_raw_output_is_gone_is_not_whole)
