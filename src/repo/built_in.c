#include "repo/built_in.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "engine/rules.h"
#include "ipc/record.h"
#include "repo/spec.h"
#include "repo/start.h"

enum { FLUSH_AT = 64 << 10, LIST_MAX = 256 << 20 };

struct work {
    const struct engine *engine;
    struct buf records, text;
    size_t read, failed;
};

static bool write_out(struct buf *b)
{
    size_t at = 0;

    while (at < b->len) {
        ssize_t n = write(STDOUT_FILENO, b->data + at, b->len - at);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    buf_reset(b);
    return true;
}

static int on_finding(void *arg, const struct finding *f, struct err *e)
{
    struct work *w = arg;

    record_put_finding(&w->records, f);
    if (w->records.len >= FLUSH_AT && !write_out(&w->records)) {
        return err_errno(e, "write");
    }
    return 0;
}

static int read_file(const char *path, struct buf *text, struct err *e)
{
    auto_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    buf_reset(text);
    buf_adds(text, "");
    if (fd < 0 || fstat(fd, &st) < 0) {
        return err_errno(e, "open");
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(e, ERR_INVALID, "not a file");
    }
    while (text->len < (size_t)st.st_size) {
        size_t want = (size_t)st.st_size - text->len;
        ssize_t n = read(fd, buf_space(text, want), want);

        if (n < 0 && errno != EINTR) {
            return err_errno(e, "read");
        }
        if (n == 0) {
            break;
        }
        text->len += n > 0 ? (size_t)n : 0;
    }
    text->data[text->len] = '\0';
    return 0;
}

static void look_at(struct work *w, const struct engine_file *file)
{
    struct err e = {0};
    int rc = read_file(file->path, &w->text, &e);

    if (rc == 0) {
        rc = w->engine->read_file(file, w->text.data, w->text.len, on_finding, w, &e);
    }
    w->read++;
    if (rc != 0) {
        auto_free char *note = str_fmt("%s\t%s", file->path, e.msg);
        const struct progress p = {.task = note, .percent_x100 = -1, .remaining_s = -1};

        w->failed++;
        record_put_progress(&w->records, &p);
    }
}

/* "LANGUAGE PATH" */
static bool read_line(char *line, struct engine_file *out)
{
    char *space = strchr(line, ' ');
    uint64_t language;

    if (!space) {
        return false;
    }
    *space = '\0';
    if (!str_to_u64(line, 1, LANG_ANY, &language)) {
        return false;
    }
    *out = (struct engine_file){.path = space + 1, .language = (unsigned)language};
    return true;
}

static int look_at_all(struct work *w, char *list, struct err *e)
{
    for (char *save = NULL, *line = strtok_r(list, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        struct engine_file file;
        struct stat st;

        if (!read_line(line, &file)) {
            return err_set(e, ERR_INVALID, "the list of files is broken");
        }
        file.size = lstat(file.path, &st) == 0 ? (uint64_t)st.st_size : 0;
        look_at(w, &file);
        if (w->records.len >= FLUSH_AT && !write_out(&w->records)) {
            return err_errno(e, "write");
        }
    }
    return 0;
}

/* What the operator adds to our own rules, where there is something. */
static int use_rules(const struct engine *en, struct err *e)
{
    auto_buf text = {0};
    int rc;

    if (en != &engine_rules || access(REPO_RULES_FILE, F_OK) != 0) {
        return 0;
    }
    rc = read_file(REPO_RULES_FILE, &text, e);
    return rc ? rc : rules_use(text.data, text.len, "rules-file", e);
}

int built_in_main(const char *name)
{
    struct work w = {.engine = engine_find(name)};
    auto_buf list = {0};
    struct parse_end end = {0};
    struct err e = {0};
    bool written;

    if (!w.engine || !w.engine->built_in || read_file(START_LIST, &list, &e) != 0 ||
        list.len > LIST_MAX) {
        fprintf(stderr, "repo-box: '%s' is no built-in engine in its box\n", name);
        return 1;
    }
    end.code = use_rules(w.engine, &e);
    if (end.code == 0) {
        end.code = look_at_all(&w, list.data, &e);
    }
    end.message = end.code != 0 ? e.msg : NULL;
    record_put_end(&w.records, &end);
    written = write_out(&w.records);
    buf_done(&w.records);
    buf_done(&w.text);
    return written ? 0 : 1;
}
