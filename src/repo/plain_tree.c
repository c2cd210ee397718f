/* A tree without the words by which sources silence an engine. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "repo/survey.h"

/* Behind '#' and blanks: where directives stand. */
static char *find_word(char *p, char *end, const char *word)
{
    size_t n = strlen(word);

    while (p < end && (p = memchr(p, '#', (size_t)(end - p))) != NULL) {
        while (p < end && (*p == '#' || *p == ' ' || *p == '\t')) {
            p++;
        }
        if ((size_t)(end - p) >= n && memcmp(p, word, n) == 0) {
            return p;
        }
    }
    return NULL;
}

static int write_all(int fd, const char *p, size_t n, struct err *e)
{
    while (n > 0) {
        ssize_t rc = write(fd, p, n);

        if (rc < 0 && errno != EINTR) {
            return err_errno(e, "make an engine's tree");
        }
        p += MAX(rc, 0);
        n -= (size_t)MAX(rc, 0);
    }
    return 0;
}

/* 0 and *copied false: there is no such word in it. */
static int copy_without(int from, int to, const char *path, const char *word, bool *copied,
                        struct err *e)
{
    auto_fd int in = openat(from, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    auto_fd int out = -1;
    struct stat st;
    char *text, *at;
    int rc = 0;

    *copied = false;
    if (in < 0 || fstat(in, &st) < 0) {
        return err_errno(e, "make an engine's tree");
    }
    if (st.st_size == 0) {
        return 0;
    }
    text = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, in, 0);
    if (text == MAP_FAILED) {
        return err_errno(e, "make an engine's tree");
    }
    at = find_word(text, text + st.st_size, word);
    *copied = at != NULL;
    for (; at; at = find_word(at, text + st.st_size, word)) {
        *at = '_'; /* columns stay where they are */
    }
    if (*copied) {
        out = openat(to, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        rc = out < 0 ? err_errno(e, "make an engine's tree")
                     : write_all(out, text, (size_t)st.st_size, e);
    }
    munmap(text, (size_t)st.st_size);
    return rc;
}

int survey_plain_tree(const struct engine_file *files, size_t n, const char *word, const char *dir,
                      const char *to, struct err *e)
{
    auto_fd int from_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_fd int to_fd = -1;
    int rc = 0;

    if (from_fd < 0 || mkdir(to, 0700) < 0 ||
        (to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        return err_errno(e, "make an engine's tree");
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        bool copied = false;

        rc = survey_make_parents(to_fd, files[i].path, e);
        if (rc == 0) {
            rc = copy_without(from_fd, to_fd, files[i].path, word, &copied, e);
        }
        if (rc == 0 && !copied && linkat(from_fd, files[i].path, to_fd, files[i].path, 0) < 0) {
            rc = err_errno(e, "make an engine's tree");
        }
    }
    return rc;
}
