#include "daemon/imports.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

int imports_open(const char *dir, struct err *e)
{
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        return err_errno(e, "make the directory '%s'", dir);
    }
    return 0;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

struct wanted {
    struct strvec names;
    int64_t last;
    uint32_t n;
};

static int note_job(void *arg, const struct job *j, struct err *e)
{
    struct wanted *w = arg;

    (void)e;
    w->last = j->num;
    w->n++;
    if (j->import_path) {
        strvec_push(&w->names, name_of(j->import_path));
    }
    return 0;
}

static int list_wanted(struct store *s, struct wanted *w)
{
    struct job_filter f = {.states = 1u << JOB_SCHEDULED | 1u << JOB_QUEUED | 1u << JOB_WAITING |
                                     1u << JOB_RUNNING,
                           .oldest_first = true,
                           .limit = 1000};
    int rc;

    do {
        w->n = 0;
        f.after = w->last;
        rc = store_job_list(s, &f, note_job, w, NULL);
    } while (rc == 0 && w->n == f.limit);
    return rc;
}

static bool is_wanted(const struct wanted *w, const char *name)
{
    for (size_t i = 0; i < w->names.n; i++) {
        if (str_eq(w->names.v[i], name)) {
            return true;
        }
    }
    return false;
}

static void sweep(DIR *d, const struct wanted *w, int64_t older_than_s)
{
    const struct dirent *entry;
    struct stat st;

    while ((entry = readdir(d))) {
        if (entry->d_name[0] == '.' || is_wanted(w, entry->d_name) ||
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode) || time(NULL) - st.st_mtime < older_than_s) {
            continue;
        }
        if (unlinkat(dirfd(d), entry->d_name, 0) < 0) {
            log_warn("import_left", KV("file", entry->d_name), KV("error", strerror(errno)));
        }
    }
}

void imports_sweep(struct store *s, const char *dir, int64_t older_than_s)
{
    struct wanted w = {.last = 0};
    DIR *d = opendir(dir);

    if (d && list_wanted(s, &w) == 0) {
        sweep(d, &w, older_than_s);
    }
    strvec_done(&w.names);
    if (d) {
        closedir(d);
    }
}
