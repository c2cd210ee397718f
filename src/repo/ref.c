/* Names of branches and tags, and commits. */
#include <string.h>

#include "base/mem.h"
#include "repo/ref.h"
#include "repo/spec.h"

static const char *wrong_byte(const char *ref)
{
    for (const char *p = ref; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f) {
            return "it has a blank or a control character";
        }
        if (strchr("~^:?*[\\", *p)) {
            return "it has one of ~ ^ : ? * [ \\";
        }
        if (p[0] == '.' && p[1] == '.') {
            return "it has '..'";
        }
        if (p[0] == '@' && p[1] == '{') {
            return "it has '@{'";
        }
    }
    return utf8_valid(ref, strlen(ref)) ? NULL : "it is not valid UTF-8";
}

static const char *wrong_part(const char *ref)
{
    for (const char *p = ref;; p++) {
        size_t n = strcspn(p, "/");

        if (n == 0) {
            return "it has a '/' at an end, or two of them";
        }
        if (p[0] == '.') {
            return "a part of it begins with '.'";
        }
        if (n >= 5 && memcmp(p + n - 5, ".lock", 5) == 0) {
            return "a part of it ends with '.lock'";
        }
        p += n;
        if (!*p) {
            return p[-1] == '.' ? "it ends with '.'" : NULL;
        }
    }
}

static const char *wrong(const char *ref)
{
    size_t n = strlen(ref);
    const char *why;

    if (n == 0) {
        return "it is empty";
    }
    if (n > REPO_REF_MAX) {
        return "it is longer than 255 bytes";
    }
    if (ref[0] == '-') {
        return "it begins with '-'";
    }
    if (strcmp(ref, "@") == 0 || strcmp(ref, "HEAD") == 0) {
        return "it is a name of git's own; leave it out for the default branch";
    }
    why = wrong_byte(ref);
    return why ? why : wrong_part(ref);
}

int repo_ref_check(const char *ref, struct err *e)
{
    const char *why = wrong(ref);

    return why ? err_set(e, ERR_INVALID, "this is no name of a branch or tag: %s", why) : 0;
}

bool repo_is_commit(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");

    return s[n] == '\0' && (n == 40 || n == 64);
}

int repo_commit_check(const char *s, struct err *e)
{
    size_t n = strspn(s, "0123456789abcdefABCDEF");

    if (s[n] != '\0' || n == 0) {
        return err_set(e, ERR_INVALID, "a commit is named by its hexadecimal digits");
    }
    if (n != 40 && n != 64) {
        return err_set(e, ERR_INVALID,
                       "a commit is named by all of its 40 digits (64 with SHA-256), not by %zu",
                       n);
    }
    return 0;
}

int repo_subdir_check(const char *s, struct err *e)
{
    size_t n = strlen(s);

    if (n == 0 || n > REPO_SUBDIR_MAX || !utf8_valid(s, n)) {
        return err_set(e, ERR_INVALID,
                       "a directory in the tree is UTF-8 of 1 to %d bytes; leave it out for all",
                       REPO_SUBDIR_MAX);
    }
    for (const char *p = s; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            return err_set(e, ERR_INVALID, "a directory in the tree has no control characters");
        }
    }
    for (const char *p = s;; p++) {
        n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.')) {
            return err_set(e, ERR_INVALID,
                           "a directory in the tree is written as in 'src/lib': no '/' at an end, "
                           "no '.' or '..'");
        }
        p += n;
        if (!*p) {
            return 0;
        }
    }
}
