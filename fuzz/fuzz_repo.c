/*
 * What a repository scan reads of others. The first byte says which: a URL, which when it is taken
 * has one spelling that reads as itself; a request, which reads as it was written; a name of a
 * branch, which git's command line cannot take for anything else; a packed directory, of which
 * nothing leaves the directory that it is unpacked in.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "repo/pack.h"
#include "repo/spec.h"
#include "repo/tree_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void url(const char *text)
{
    static const char *const allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
        "._~/+-:@[]";
    auto_free char *once = NULL, *again = NULL;
    struct repo_url u = {0};
    struct err e = {0};

    if (repo_url_check(text, &once, &e) != 0) {
        assert(e.code == ERR_INVALID && e.msg[0]);
        return;
    }
    assert(str_starts(once, "https://") || str_starts(once, "ssh://"));
    assert(strspn(once, allowed) == strlen(once));
    assert(!strstr(once, "/../") && (str_starts(once, "ssh://") || !strchr(once, '@')));
    if (strlen(once) > REPO_URL_MAX) {
        return; /* "git@" became longer */
    }
    if (repo_url_check(once, &again, &e) != 0) {
        assert(0);
    }
    assert(strcmp(once, again) == 0);
    if (repo_url_split(once, &u, &e) != 0) {
        assert(0);
    }
    assert(u.host[0] && u.host[0] != '-' && u.path[0] == '/' && u.port);
    repo_url_done(&u);
}

static void request(const char *text)
{
    struct repo_request r = {0}, same = {0};
    auto_buf once = {0}, again = {0};
    struct err e = {0};

    if (repo_request_read(text, &r, &e) != 0) {
        assert(e.code == ERR_INVALID && e.msg[0] && !r.url);
        return;
    }
    repo_request_write(&r, &once);
    if (strlen(r.url) <= REPO_URL_MAX) {
        if (repo_request_read(once.data, &same, &e) != 0) {
            assert(0);
        }
        repo_request_write(&same, &again);
        assert(strcmp(once.data, again.data) == 0);
    }
    repo_request_done(&r);
    repo_request_done(&same);
}

static void ref(const char *text)
{
    if (repo_ref_check(text, NULL) == 0) {
        assert(text[0] && text[0] != '-' && !strpbrk(text, " :^~?*[\\\n\x7f"));
        assert(!strstr(text, "..") && !strstr(text, "@{") && strlen(text) <= REPO_REF_MAX);
    }
}

static const char *fresh_dir(void)
{
    static char dir[64];

    snprintf(dir, sizeof dir, "/tmp/fuzz-repo-%d", getpid());
    if (mkdir(dir, 0700) < 0) {
        abort();
    }
    return dir;
}

static void unpack(const uint8_t *data, size_t n)
{
    const struct pack_limits l = {.max_bytes = 65536, .max_files = 100, .max_file_bytes = 4096};
    struct unpacked told = {0};
    const char *dir = fresh_dir();
    auto_fd int in = memfd_create("pack", MFD_CLOEXEC);
    auto_fd int to = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct err e = {0};

    if (in < 0 || to < 0 || write(in, data, n) != (ssize_t)n || lseek(in, 0, SEEK_SET) < 0) {
        abort();
    }
    if (unpack_directory(in, to, &l, &told, &e) != 0) {
        assert(e.code == ERR_INVALID || e.code == ERR_LIMIT);
    }
    assert(told.files <= l.max_files && told.bytes <= l.max_bytes);
    if (tree_remove(dir, NULL) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_free char *text = n ? xstrndup((const char *)data + 1, n - 1) : NULL;

    switch (n ? data[0] : 0) {
    case 'u':
        url(text);
        break;
    case 'r':
        request(text);
        break;
    case 'b':
        ref(text);
        break;
    case 'p':
        unpack(data + 1, n - 1);
        break;
    default:
        break;
    }
    return 0;
}
