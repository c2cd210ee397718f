#include "base/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

enum { VALUE_MAX = 1024, FILE_MAX = 5 << 20, FILES_KEPT = 3, EVENTS_PER_S = 100 };

/* The one global of base/: a log that had to be handed through every call would not be used. */
static struct {
    enum log_level level;
    enum log_format format;
    int fd;
    char *path;
    int64_t size;
} sink = {.level = LOG_INFO, .format = LOG_TEXT, .fd = STDERR_FILENO};

static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

void log_setup(enum log_level level, enum log_format format)
{
    sink.level = level;
    sink.format = format;
}

/* Leaves the sink alone if it cannot be opened. */
static int open_file(const char *path, struct err *e)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        return err_errno(e, "open log file '%s'", path);
    }
    if (sink.path) {
        close(sink.fd);
    }
    sink.fd = take_fd(&fd);
    sink.size = st.st_size;
    return 0;
}

int log_to_file(const char *path, struct err *e)
{
    int rc = open_file(path, e);

    if (rc == 0) {
        free(sink.path);
        sink.path = xstrdup(path);
    }
    return rc;
}

bool log_level_parse(const char *name, enum log_level *out)
{
    for (unsigned i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcasecmp(name, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    if (strcasecmp(name, "warn") == 0) {
        *out = LOG_WARN;
        return true;
    }
    if (strcasecmp(name, "critical") == 0) {
        *out = LOG_ERROR;
        return true;
    }
    return false;
}

bool log_on(enum log_level level)
{
    return level >= sink.level;
}

/* Where the directory does not let us, the file goes on growing: better than no log. */
static void rotate(void)
{
    for (int i = FILES_KEPT - 1; i >= 0; i--) {
        auto_free char *from = i ? str_fmt("%s.%d", sink.path, i) : xstrdup(sink.path);
        auto_free char *to = str_fmt("%s.%d", sink.path, i + 1);

        rename(from, to);
    }
    (void)open_file(sink.path, NULL); /* or else it goes on in the old one */
    sink.size = 0; /* also if nothing could be renamed: not to be tried again at every line */
}

/* Quoted if it could be taken for something else: no value can look like a field of its own. */
static void add_value(struct buf *b, const char *s)
{
    size_t n = strnlen(s, VALUE_MAX);
    size_t run;

    if (n > 0 && !strpbrk(s, " =\"|")) {
        buf_add_escaped(b, s, n);
        return;
    }
    buf_addc(b, '"');
    for (; n > 0; s += run, n -= run) {
        run = MIN(strcspn(s, "\"\\"), n);
        buf_add_escaped(b, s, run);
        if (run < n) {
            buf_addc(b, '\\');
            buf_addc(b, s[run++]);
        }
    }
    buf_addc(b, '"');
}

static void add_text(struct buf *b, const char *when, enum log_level level, const char *event,
                     const struct kv *kv, unsigned n)
{
    buf_addf(b, "%s | %s | %s |", when, level_names[level], event);
    for (unsigned i = 0; i < n; i++) {
        buf_addf(b, " %s=", kv[i].key);
        if (kv[i].type == KV_INT) {
            buf_addf(b, "%" PRId64, kv[i].i);
        } else {
            add_value(b, kv[i].s);
        }
    }
}

static void add_json(struct buf *b, const char *when, enum log_level level, const char *event,
                     const struct kv *kv, unsigned n)
{
    struct json j = json_to(b);

    json_obj(&j);
    json_str(&j, "ts", when);
    json_str(&j, "lvl", level_names[level]);
    json_str(&j, "evt", event);
    for (unsigned i = 0; i < n; i++) {
        if (kv[i].type == KV_INT) {
            json_int(&j, kv[i].key, kv[i].i);
        } else {
            json_strn(&j, kv[i].key, kv[i].s, strnlen(kv[i].s, VALUE_MAX));
        }
    }
    json_end(&j);
}

static void emit(enum log_level level, const char *event, const struct kv *kv, unsigned n)
{
    auto_buf b = {0};
    char when[RFC3339_LEN + 1];

    rfc3339_us(wall_us(), when);
    if (sink.format == LOG_JSON) {
        add_json(&b, when, level, event, kv, n);
    } else {
        add_text(&b, when, level, event, kv, n);
    }
    buf_addc(&b, '\n');
    if (write(sink.fd, b.data, b.len) < 0) {
        return; /* a log that cannot be written must not stop a scan */
    }
    sink.size += (int64_t)b.len;
    if (sink.path && sink.size > FILE_MAX) {
        rotate();
    }
}

/*
 * At most EVENTS_PER_S of one kind: whoever can make us log must not be able to fill the disk or
 * hold up the loop. What was left out is told with the next event of that slot.
 */
static bool let_through(const char *event)
{
    static struct {
        int64_t second;
        uint32_t n, left_out;
        const char *event;
    } slots[64];
    uint32_t h = 5381;
    int64_t now = boot_ms() / 1000;
    uint32_t left_out;

    for (const char *p = event; *p; p++) {
        h = h * 33 + (unsigned char)*p;
    }
    h %= ARRAY_LEN(slots);
    if (slots[h].second == now) {
        slots[h].n++;
        if (slots[h].n > EVENTS_PER_S) {
            slots[h].left_out++;
            return false;
        }
        return true;
    }
    left_out = slots[h].left_out;
    if (left_out > 0) {
        emit(LOG_WARN, "log_left_out",
             (struct kv[]){KV("event", slots[h].event), KV("count", left_out)}, 2);
    }
    slots[h].second = now;
    slots[h].n = 1;
    slots[h].left_out = 0;
    slots[h].event = event;
    return true;
}

void log_event(enum log_level level, const char *event, const struct kv *kv, unsigned n)
{
    if (let_through(event)) {
        emit(level, event, kv, n);
    }
}
