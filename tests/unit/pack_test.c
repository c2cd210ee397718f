/* A directory as a stream: what is in it, what is left out, and what a broken one does. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "repo/pack.h"
#include "repo/tree_write.h"
#include "tap.h"

static const struct pack_limits plenty = {
    .max_bytes = 1 << 24, .max_files = 1000, .max_file_bytes = 1 << 20};

static char *fresh_dir(void)
{
    static unsigned n;
    char *path = str_fmt("%s/d%u", test_dir(), n++);

    CHECK(mkdir(path, 0755) == 0);
    return path;
}

static void put(const char *dir, const char *path, const char *text)
{
    auto_free char *full = str_fmt("%s/%s", dir, path);

    for (char *slash = full + strlen(dir) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        (void)mkdir(full, 0755);
        *slash = '/';
    }
    auto_fd int fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static char *get(const char *dir, const char *path)
{
    auto_free char *full = str_fmt("%s/%s", dir, path);
    auto_fd int fd = open(full, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char *text = xcalloc(1, 4096);

    if (fd < 0 || read(fd, text, 4095) < 0) {
        free(text);
        return NULL;
    }
    return text;
}

static struct buf left_paths;

static void note_left(void *arg, const char *path, const char *why)
{
    (void)arg;
    buf_addf(&left_paths, "%s: %s\n", path, why);
}

static int unpack_from(int fd, const char *dir, const struct pack_limits *l, struct unpacked *u)
{
    auto_fd int to = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    buf_done(&left_paths);
    u->left = note_left;
    return unpack_directory(fd, to, l, u, ERR);
}

static void a_directory_comes_out_as_it_went_in(void)
{
    auto_free char *from = fresh_dir(), *to = fresh_dir(), *fifo = str_fmt("%s/pipe", from),
                   *link = str_fmt("%s/link", from), *text = NULL, *hidden = NULL;
    struct unpacked u = {0};
    uint64_t left = 0;
    auto_fd int fd = -1;

    put(from, "a/b/c.txt", "deep");
    put(from, "empty", "");
    put(from, ".gitignore", "ignored\n");
    put(from, "ignored", "is not");
    put(from, "bad\n\x1bname", "control");
    put(from, ".git/config", "git's");
    put(from, "sub/.git", "gitdir: /etc");
    CHECK(symlink("/etc/passwd", link) == 0 && mkfifo(fifo, 0600) == 0);
    CHECK_OK(pack_directory(from, false, &plenty, &fd, &left, ERR));
    CHECK_INT(left, 1);
    CHECK_OK(unpack_from(fd, to, &plenty, &u));
    CHECK_INT(u.files, 5);
    CHECK_INT(u.bytes, 25);
    text = get(to, "a/b/c.txt");
    CHECK_STR(text, "deep");
    hidden = get(to, "bad\n\x1bname");
    CHECK_STR(hidden, "control");
    CHECK(!get(to, ".git/config") && !get(to, "sub/.git") && !get(to, "link") && !get(to, "pipe"));
    CHECK(strstr(left_paths.data, "link: symbolic link"));
    CHECK(strstr(left_paths.data, "pipe: not a file"));
}

static void what_is_too_large_is_left_out(void)
{
    auto_free char *from = fresh_dir(), *to = fresh_dir();
    const struct pack_limits small = {.max_bytes = 1000, .max_files = 10, .max_file_bytes = 8};
    struct unpacked u = {0};
    uint64_t left = 0;
    auto_fd int fd = -1;

    put(from, "small", "12345678");
    put(from, "large", "123456789");
    CHECK_OK(pack_directory(from, false, &small, &fd, &left, ERR));
    CHECK_INT(left, 1);
    CHECK_OK(unpack_from(fd, to, &small, &u));
    CHECK_INT(u.files, 1);
    CHECK(strstr(left_paths.data, "large: larger than"));
}

static void a_limit_is_named(void)
{
    auto_free char *from = fresh_dir();
    const struct pack_limits few = {.max_bytes = 1000, .max_files = 2, .max_file_bytes = 100};
    const struct pack_limits little = {.max_bytes = 10, .max_files = 10, .max_file_bytes = 100};
    uint64_t left;
    int fd;

    put(from, "a", "12345");
    put(from, "b", "12345");
    put(from, "c", "12345");
    CHECK_ERR(pack_directory(from, false, &few, &fd, &left, ERR), ERR_LIMIT);
    CHECK(strstr(tap_err.msg, "max_files"));
    CHECK_ERR(pack_directory(from, false, &little, &fd, &left, ERR), ERR_LIMIT);
    CHECK(strstr(tap_err.msg, "max_bytes"));
}

static void only_the_wanted_part_is_packed(void)
{
    auto_free char *from = fresh_dir(), *to = fresh_dir(), *text = NULL;
    struct pack_limits part = plenty;
    struct unpacked u = {0};
    uint64_t left;
    auto_fd int fd = -1;

    part.subdir = "src/lib";
    put(from, "src/lib/a", "a");
    put(from, "src/lib/deep/b", "b");
    put(from, "src/library", "c");
    put(from, "other/d", "d");
    CHECK_OK(pack_directory(from, false, &part, &fd, &left, ERR));
    CHECK_OK(unpack_from(fd, to, &plenty, &u));
    CHECK_INT(u.files, 2);
    text = get(to, "src/lib/deep/b");
    CHECK_STR(text, "b");
}

static void a_directory_that_is_not_there_is_told(void)
{
    uint64_t left;
    int fd;

    CHECK_ERR(pack_directory("/nonexistent/x", false, &plenty, &fd, &left, ERR), ERR_NOT_FOUND);
    CHECK(strstr(tap_err.msg, "/nonexistent/x"));
    CHECK_ERR(pack_directory(test_dir(), true, &plenty, &fd, &left, ERR), ERR_NOT_FOUND);
}

static void of_a_repository_only_its_objects_are_packed(void)
{
    auto_free char *from = fresh_dir(), *to = fresh_dir();
    struct unpacked u = {0};
    uint64_t left;
    auto_fd int fd = -1;

    put(from, ".git/HEAD", "ref: refs/heads/main\n");
    put(from, ".git/config", "[extensions]\n\tobjectFormat = sha256\n");
    put(from, ".git/hooks/post-checkout", "#!/bin/sh\n");
    put(from, ".git/info/attributes", "* filter=x\n");
    put(from, ".git/objects/ab/01234567890123456789012345678901234567", "loose");
    put(from, ".git/objects/ab/tmp_obj_x", "no");
    put(from, ".git/objects/pack/pack-1.pack", "pack");
    put(from, ".git/objects/pack/pack-1.idx", "idx");
    put(from, ".git/objects/info/commit-graph", "no");
    put(from, ".git/refs/heads/main", "x\n");
    put(from, ".git/packed-refs", "");
    put(from, "file", "not this");
    CHECK_OK(pack_directory(from, true, &plenty, &fd, &left, ERR));
    CHECK_OK(unpack_from(fd, to, &plenty, &u));
    CHECK_INT(u.files, 7); /* and "sha256" */
    CHECK(!get(to, "config") && !get(to, "hooks/post-checkout") && !get(to, "file"));
}

static void a_repository_that_is_not_whole_is_told(void)
{
    auto_free char *from = fresh_dir(), *tree = fresh_dir();
    uint64_t left;
    int fd;

    put(from, ".git/HEAD", "ref: refs/heads/main\n");
    put(from, ".git/objects/info/alternates", "/srv/other/objects\n");
    CHECK_ERR(pack_directory(from, true, &plenty, &fd, &left, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "git repack"));
    put(tree, ".git", "gitdir: /srv/other\n");
    CHECK_ERR(pack_directory(tree, true, &plenty, &fd, &left, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "worktree"));
}

/* ---- hostile packs ---- */

static void add(struct buf *b, char kind, const char *path, const char *text)
{
    size_t n = strlen(path), size = strlen(text);

    buf_addc(b, kind);
    buf_addc(b, (char)(n >> 8));
    buf_addc(b, (char)n);
    buf_adds(b, path);
    for (int i = 7; i >= 0; i--) {
        buf_addc(b, (char)(size >> (8 * i)));
    }
    buf_adds(b, text);
}

static int unpack_text(const struct buf *b, const char *dir, struct unpacked *u)
{
    auto_fd int fd = memfd_create("pack", MFD_CLOEXEC);

    CHECK(fd >= 0 && write(fd, b->data, b->len) == (ssize_t)b->len && lseek(fd, 0, SEEK_SET) == 0);
    return unpack_from(fd, dir, &plenty, u);
}

static void names_that_lead_out_are_left_out(void)
{
    auto_free char *to = fresh_dir(), *same = NULL;
    struct unpacked u = {0};
    auto_buf b = {0};

    add(&b, 'f', "../out", "x");
    add(&b, 'f', "/abs", "x");
    add(&b, 'f', "a/../../out", "x");
    add(&b, 'f', "", "x");
    add(&b, 'f', "a//b", "x");
    add(&b, 'f', ".GIT/config", "x");
    add(&b, 'f', "d/git~1/config", "x");
    add(&b, 'f', ".git. /x", "x");
    add(&b, 'f', ".g\xe2\x80\x8cit/x", "x");
    add(&b, 'f', ".git::$INDEX_ALLOCATION/x", "x");
    add(&b, 'f', "same", "first");
    add(&b, 'f', "same", "second");
    add(&b, 'f', "same/below", "third");
    add(&b, 'f', ".github/fine", "x");
    add(&b, 'f', ".gitattributes", "x");
    add(&b, 'E', "", "");
    CHECK_OK(unpack_text(&b, to, &u));
    CHECK_INT(u.files, 3);
    same = get(to, "same");
    CHECK_STR(same, "first");
}

static void a_link_is_not_walked_through(void)
{
    auto_free char *to = fresh_dir(), *away = fresh_dir(), *link = str_fmt("%s/d", to);
    struct unpacked u = {0};
    auto_buf b = {0};

    CHECK(symlink(away, link) == 0);
    add(&b, 'f', "d/x", "x");
    add(&b, 'E', "", "");
    CHECK_OK(unpack_text(&b, to, &u));
    CHECK_INT(u.files, 0);
    CHECK(!get(away, "x"));
}

static void a_pack_that_is_cut_anywhere_is_none(void)
{
    auto_buf b = {0};
    size_t whole;

    add(&b, 'f', "a/b", "hello");
    add(&b, 'l', "link", "/etc");
    add(&b, 'E', "", "");
    whole = b.len;
    for (size_t n = 0; n < whole; n++) {
        auto_free char *to = fresh_dir();
        struct unpacked u = {0};
        struct buf part = b;

        part.len = n;
        CHECK_ERR(unpack_text(&part, to, &u), ERR_INVALID);
    }
}

static void garbage_is_no_pack(void)
{
    static const char *const rows[] = {"PK\003\004 a zip file, perhaps", "f\xff\xff", "z\0\0"};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *to = fresh_dir();
        struct unpacked u = {0};
        auto_buf b = {0};

        buf_adds(&b, rows[i]);
        CHECK_ERR(unpack_text(&b, to, &u), ERR_INVALID);
    }
}

static void a_tree_is_removed_however_deep(void)
{
    auto_free char *dir = fresh_dir();
    auto_fd int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; i < 3000; i++) {
        int next;

        CHECK(mkdirat(at, "d", 0755) == 0 && symlinkat("/etc", at, "link") == 0);
        next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(next >= 0);
        close(at);
        at = next;
    }
    CHECK_OK(tree_remove(dir, ERR));
    CHECK(access(dir, F_OK) < 0 && access("/etc/passwd", F_OK) == 0);
    CHECK_OK(tree_remove(dir, ERR));
}

TESTS(a_directory_comes_out_as_it_went_in, what_is_too_large_is_left_out, a_limit_is_named,
      only_the_wanted_part_is_packed, a_directory_that_is_not_there_is_told,
      of_a_repository_only_its_objects_are_packed, a_repository_that_is_not_whole_is_told,
      names_that_lead_out_are_left_out, a_link_is_not_walked_through,
      a_pack_that_is_cut_anywhere_is_none, garbage_is_no_pack, a_tree_is_removed_however_deep)
