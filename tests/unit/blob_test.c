/* Raw files and digests. */
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "store/blob.h"
#include "store/digest.h"
#include "tap.h"

static struct lease new_lease(void)
{
    return (struct lease){.job_id = id_new(), .epoch = 7, .token = 1};
}

/* Text like a scanner's, of n bytes, from a number. */
static char *some_text(size_t n, uint32_t from)
{
    char *text = xmalloc(n + 1);

    for (size_t i = 0; i < n; i++) {
        from = from * 1664525 + 1013904223;
        text[i] = (char)(i % 64 < 40 ? 'a' + (char)(i % 23) : (char)(from >> 24));
    }
    text[n] = '\0';
    return text;
}

/* Writes `n` bytes in steps; gives the path. */
static char *write_blob(const char *text, size_t n, size_t step, char sha[65])
{
    struct lease l = new_lease();
    char *path = blob_path(&l);
    struct blob_writer *w;
    uint64_t size = 0;
    uint64_t stored = 0;
    struct stat st;
    auto_free char *full = str_fmt("%s/%s", test_dir(), path);
    int fd;

    CHECK_OK(blob_create(test_dir(), path, &fd, ERR));
    w = blob_writer_new(fd);
    for (size_t i = 0; i < n; i += step) {
        CHECK_OK(blob_write(w, text + i, MIN(step, n - i), ERR));
    }
    CHECK_OK(blob_writer_end(w, sha, &size, &stored, ERR));
    CHECK_INT(size, n);
    CHECK_INT(stat(full, &st), 0);
    CHECK_INT(stored, st.st_size);
    CHECK_INT(st.st_mode & 0777, 0600);
    return path;
}

/* Reads it all in steps; returns the code of the first failure. */
static int read_blob(const char *path, size_t step, struct buf *out)
{
    struct blob_reader *r;
    auto_free char *chunk = xmalloc(step);
    size_t n = 1;
    int rc = blob_reader_open(test_dir(), path, &r, ERR);

    if (rc != 0) {
        return rc;
    }
    while (rc == 0 && n > 0) {
        n = 0;
        rc = blob_read(r, chunk, step, &n, ERR);
        buf_add(out, chunk, n);
    }
    blob_reader_free(r);
    return rc;
}

static void what_was_written_is_read_back(void)
{
    static const struct {
        size_t size, write, read;
    } rows[] = {
        {0, 1, 10}, {1, 1, 1}, {5000, 7, 3}, {3 << 20, 65536, 4096}, {1 << 20, 999, 1 << 21}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = some_text(rows[i].size, (uint32_t)i);
        auto_buf got = {0};
        char sha[65];
        char want[65];
        uint8_t hash[32];
        auto_free char *path = write_blob(text, rows[i].size, rows[i].write, sha);

        CHECK_OK(read_blob(path, rows[i].read, &got));
        CHECK_INT(got.len, rows[i].size);
        CHECK(rows[i].size == 0 || memcmp(got.data, text, got.len) == 0);
        sha256_of(text, rows[i].size, hash);
        sha256_hex(hash, want);
        CHECK_STR(sha, want);
    }
}

static void the_path_names_the_job_and_the_epoch(void)
{
    struct lease l = {.epoch = 4000000000u};
    auto_free char *path = NULL;

    CHECK(id_parse("0199aabbccdd7eef8123456789abcdef", &l.job_id));
    path = blob_path(&l);
    CHECK_STR(path, "ef/0199aabbccdd7eef8123456789abcdef.4000000000.zst");
}

static void tasks_of_one_job_have_files_of_their_own(void)
{
    struct lease l = {.idx = 12, .epoch = 3};
    auto_free char *path = NULL;
    int fd = -1;

    CHECK(id_parse("0199aabbccdd7eef8123456789abcdef", &l.job_id));
    path = blob_path(&l);
    CHECK_STR(path, "ef/0199aabbccdd7eef8123456789abcdef.12.3.zst");
    CHECK_OK(blob_create(test_dir(), path, &fd, ERR));
    close(fd);
    blob_remove(test_dir(), path);
    CHECK_ERR(read_blob(path, 100, NULL), ERR_NOT_FOUND);
}

static void a_file_is_created_once_and_removed_more_than_once(void)
{
    struct lease l = new_lease();
    auto_free char *path = blob_path(&l);
    int fd = -1;
    int other = -1;

    CHECK_OK(blob_create(test_dir(), path, &fd, ERR));
    CHECK_ERR(blob_create(test_dir(), path, &other, ERR), ERR_IO);
    CHECK_INT(other, -1);
    close(fd);
    blob_remove(test_dir(), path);
    blob_remove(test_dir(), path);
    CHECK_ERR(read_blob(path, 100, NULL), ERR_NOT_FOUND);
    CHECK_OK(blob_create(test_dir(), path, &fd, ERR));
    close(fd);
}

static void names_that_are_not_ours_are_refused(void)
{
    static const char *const bad[] = {
        "",
        "/etc/passwd",
        "../ef/0199aabbccdd7eef8123456789abcdef.1.zst",
        "ab/0199aabbccdd7eef8123456789abcdef.1.zst",
        "ef/0199aabbccdd7eef8123456789abcdef.1",
        "ef/0199aabbccdd7eef8123456789abcdef..zst",
        "ef/0199aabbccdd7eef8123456789abcdef.1.zst/x",
        "ef/0199aabbccdd7eef8123456789abcdef.12345678901.zst",
        "ef/0199aabbccdd7eef8123456789abcdef.1..zst",
        "ef/0199aabbccdd7eef8123456789abcdef.1.2.3.zst",
        "ef/0199aabbccdd7eef8123456789abcdef.1./2.zst",
        "ef/0199AABBccdd7eef8123456789abcdef.1.zst",
        "ef/../../0199aabbccdd7eef8123456789ab.1.zst",
        "e",
        "ef",
        "ef/",
    };
    struct blob_reader *r;
    int fd;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(blob_reader_open(test_dir(), bad[i], &r, ERR), ERR_INVALID);
        CHECK_ERR(blob_create(test_dir(), bad[i], &fd, ERR), ERR_INVALID);
        blob_remove(test_dir(), bad[i]);
    }
}

static void a_link_is_not_followed(void)
{
    char sha[65];
    auto_free char *path = write_blob("secret", 6, 6, sha);
    struct lease l = new_lease();
    auto_free char *link = blob_path(&l);
    auto_free char *to = str_fmt("%s/%s", test_dir(), path);
    auto_free char *from = str_fmt("%s/%s", test_dir(), link);
    int fd;

    CHECK_OK(blob_create(test_dir(), link, &fd, ERR));
    close(fd);
    CHECK_INT(unlink(from), 0);
    CHECK_INT(symlink(to, from), 0);
    CHECK_ERR(read_blob(link, 100, NULL), ERR_IO);
}

/* What could be read before the damage is given, then the error. */
static void a_truncated_file_gives_what_it_has_and_then_an_error(void)
{
    enum { SIZE = 1 << 20 };
    auto_free char *text = some_text(SIZE, 9);
    char sha[65];
    auto_free char *path = write_blob(text, SIZE, SIZE, sha);
    auto_free char *full = str_fmt("%s/%s", test_dir(), path);
    struct stat st;

    CHECK_INT(stat(full, &st), 0);
    for (off_t cut = st.st_size - 1; cut >= 0; cut = cut > 9 ? cut / 3 : cut - 1) {
        auto_buf got = {0};

        CHECK_INT(truncate(full, cut), 0);
        CHECK_ERR(read_blob(path, 5000, &got), ERR_IO);
        CHECK_STR(tap_err.msg, "raw file ends too early");
        CHECK(got.len <= SIZE);
        CHECK(got.len == 0 || memcmp(got.data, text, got.len) == 0);
    }
}

static void a_damaged_file_is_an_error(void)
{
    enum { SIZE = 300000 };
    auto_free char *text = some_text(SIZE, 3);
    char sha[65];
    auto_free char *path = write_blob(text, SIZE, SIZE, sha);
    auto_free char *full = str_fmt("%s/%s", test_dir(), path);
    auto_buf got = {0};
    int fd = open(full, O_RDWR | O_CLOEXEC);

    CHECK(fd >= 0);
    CHECK_INT(pwrite(fd, "damage", 6, 1000), 6);
    close(fd);
    CHECK_ERR(read_blob(path, 5000, &got), ERR_IO);
}

static void bytes_after_the_end_are_an_error(void)
{
    char sha[65];
    auto_free char *path = write_blob("abc", 3, 3, sha);
    auto_free char *full = str_fmt("%s/%s", test_dir(), path);
    auto_buf got = {0};
    int fd = open(full, O_WRONLY | O_APPEND | O_CLOEXEC);

    CHECK(fd >= 0);
    CHECK_INT(write(fd, "x", 1), 1);
    close(fd);
    CHECK_ERR(read_blob(path, 5000, &got), ERR_IO);
}

static void a_full_disk_is_told_apart(void)
{
    struct blob_writer *w;
    auto_free char *text = some_text(1 << 20, 5);
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    char sha[65];
    uint64_t size;
    uint64_t stored;

    if (fd < 0) {
        tap_skip("no /dev/full here");
    }
    w = blob_writer_new(fd);
    CHECK_ERR(blob_write(w, text, 1 << 20, ERR), ERR_FULL);
    CHECK_ERR(blob_writer_end(w, sha, &size, &stored, ERR), ERR_FULL);
}

static void the_digest_is_sha_256(void)
{
    struct sha256 *h = sha256_new();
    uint8_t hash[32];
    uint8_t at_once[32];
    char hex[65];

    sha256_add(h, "a", 1);
    sha256_add(h, "", 0);
    sha256_add(h, "bc", 2);
    sha256_end(h, hash);
    sha256_hex(hash, hex);
    CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_of("abc", 3, at_once);
    CHECK(equal_secret(hash, at_once, 32));
    at_once[31] ^= 1;
    CHECK(!equal_secret(hash, at_once, 32));
    sha256_of(NULL, 0, hash);
    sha256_hex(hash, hex);
    CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TESTS(what_was_written_is_read_back, the_path_names_the_job_and_the_epoch,
      tasks_of_one_job_have_files_of_their_own, a_file_is_created_once_and_removed_more_than_once,
      names_that_are_not_ours_are_refused, a_link_is_not_followed,
      a_truncated_file_gives_what_it_has_and_then_an_error, a_damaged_file_is_an_error,
      bytes_after_the_end_are_an_error, a_full_disk_is_told_apart, the_digest_is_sha_256)
