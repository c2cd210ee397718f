#include "daemon/imports.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
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

enum {
    SWEEP_EVERY_MS = 60000,
    SETTLED_S = 60, /* an upload that is under way is newer than that */
};

struct imports {
    struct loop *loop;
    struct store *store;
    char *dir;        /* owned */
    struct id *ended; /* owned: of runs that are over, until it is known that they were the last */
    size_t n, size;
    struct timer timer;
};

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

static bool is_empty(DIR *d)
{
    const struct dirent *entry;
    bool any = false;

    while (!any && (entry = readdir(d))) {
        any = entry->d_name[0] != '.';
    }
    rewinddir(d);
    return !any;
}

void imports_sweep(struct store *s, const char *dir, int64_t older_than_s)
{
    struct wanted w = {.last = 0};
    DIR *d = opendir(dir);

    if (d && !is_empty(d) && list_wanted(s, &w) == 0) {
        sweep(d, &w, older_than_s);
    }
    strvec_done(&w.names);
    if (d) {
        closedir(d);
    }
}

/* ---- while the server runs ---- */

static void on_timer(struct timer *t)
{
    struct imports *m = container_of(t, struct imports, timer);

    imports_sweep(m->store, m->dir, SETTLED_S);
    timer_arm(m->loop, t, SWEEP_EVERY_MS);
}

struct imports *imports_new(struct loop *l, struct store *s, const char *dir)
{
    struct imports *m = xcalloc(1, sizeof *m);

    *m = (struct imports){.loop = l, .store = s, .dir = xstrdup(dir), .timer.fn = on_timer};
    if (dir) {
        timer_arm(l, &m->timer, SWEEP_EVERY_MS);
    }
    return m;
}

void imports_free(struct imports *m)
{
    if (m) {
        timer_stop(&m->timer);
        free(m->ended);
        free(m->dir);
        free(m);
    }
}

void imports_ended(struct imports *m, const struct id *job)
{
    if (m->n == m->size) {
        m->size = m->size ? m->size * 2 : 4;
        m->ended = xrealloc(m->ended, m->size * sizeof *m->ended);
    }
    m->ended[m->n++] = *job;
}

/* Whether its task is over, or runs (again); otherwise its turn comes later. */
struct stage_of_job {
    bool over, runs;
};

static int note_task(void *arg, const struct task_info *t, struct err *e)
{
    struct stage_of_job *at = arg;

    (void)e;
    at->over = at->over && job_state_terminal(t->task.state);
    at->runs = at->runs || t->task.state == JOB_RUNNING;
    return 0;
}

static int look_at(struct store *s, const struct id *id, struct stage_of_job *at)
{
    struct job j = {0};
    int rc;

    *at = (struct stage_of_job){.over = true};
    job_init(&j);
    rc = store_job_get(s, id, &j, NULL);
    if (rc == 0) {
        rc = store_tasks(s, j.num, -1, 0, note_task, at, NULL);
    }
    job_done(&j);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

void imports_committed(struct imports *m)
{
    for (size_t i = m->n; i-- > 0;) {
        struct stage_of_job at;

        if (look_at(m->store, &m->ended[i], &at) != 0 || (!at.over && at.runs)) {
            continue; /* not known yet */
        }
        if (at.over) {
            char id[ID_TEXT + 1];

            id_text(&m->ended[i], id);
            auto_free char *path = str_fmt("%s/%s", m->dir, id);

            if (unlink(path) < 0 && errno != ENOENT) {
                log_warn("import_left", KV("file", id), KV("error", strerror(errno)));
            }
        }
        m->ended[i] = m->ended[--m->n];
    }
}
