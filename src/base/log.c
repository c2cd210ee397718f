#include "base/log.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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
    int journal; /* socket; -1: there is none */
    void (*also)(void *arg, enum log_level level, int64_t at_us, const char *event,
                 const struct kv *kv, unsigned n);
    void *also_arg;
} sink = {.level = LOG_INFO, .format = LOG_TEXT, .fd = STDERR_FILENO, .journal = -1};

static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

/* sd_journal_sendv() without the library: systemd.io/JOURNAL_NATIVE_PROTOCOL. */
static int open_journal(void)
{
    static const struct sockaddr_un at = {.sun_family = AF_UNIX,
                                          .sun_path = "/run/systemd/journal/socket"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void log_setup(enum log_level level, enum log_format format)
{
    sink.level = level;
    sink.format = format;
    if (format == LOG_JOURNALD && sink.journal < 0) {
        sink.journal = open_journal();
    }
}

bool log_format_parse(const char *name, enum log_format *out)
{
    static const char *const names[] = {"text", "json", "logfmt", "journald"};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum log_format)i;
            return true;
        }
    }
    return false;
}

void log_also(void (*fn)(void *arg, enum log_level level, int64_t at_us, const char *event,
                         const struct kv *kv, unsigned n),
              void *arg)
{
    sink.also = fn;
    sink.also_arg = arg;
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

void log_add_logfmt(struct buf *b, const struct kv *kv, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_addf(b, "%s%s=", i ? " " : "", kv[i].key);
        if (kv[i].type == KV_INT) {
            buf_addf(b, "%" PRId64, kv[i].i);
        } else {
            add_value(b, kv[i].s);
        }
    }
}

static void add_text(struct buf *b, const char *when, enum log_level level, const char *event,
                     const struct kv *kv, unsigned n)
{
    buf_addf(b, "%s | %s | %s |%s", when, level_names[level], event, n ? " " : "");
    log_add_logfmt(b, kv, n);
}

static void add_line(struct buf *b, const char *when, enum log_level level, const char *event,
                     const struct kv *kv, unsigned n)
{
    static const char *const words[] = {"debug", "info", "warning", "error"};

    buf_addf(b, "ts=%s level=%s event=%s%s", when, words[level], event, n ? " " : "");
    log_add_logfmt(b, kv, n);
}

/* One datagram: FIELD=value lines; a value with a line end in it cannot be, they are escaped. False
 * if the journal did not take it. */
static bool to_journal(enum log_level level, const char *event, const struct kv *kv, unsigned n)
{
    static const int priority[] = {7, 6, 4, 3};
    auto_buf b = {0};

    buf_addf(&b, "MESSAGE=%s%s", event, n ? " " : "");
    log_add_logfmt(&b, kv, n);
    buf_addf(&b, "\nPRIORITY=%d\nSYSLOG_IDENTIFIER=scanpod\nSCANPOD_EVENT=%s\n", priority[level],
             event);
    for (unsigned i = 0; i < n; i++) {
        buf_adds(&b, "SCANPOD_");
        for (const char *p = kv[i].key; *p; p++) {
            buf_addc(&b, (char)toupper((unsigned char)*p));
        }
        buf_addc(&b, '=');
        if (kv[i].type == KV_INT) {
            buf_addf(&b, "%" PRId64, kv[i].i);
        } else {
            buf_add_escaped(&b, kv[i].s, strnlen(kv[i].s, VALUE_MAX));
        }
        buf_addc(&b, '\n');
    }
    return sink.journal >= 0 &&
           send(sink.journal, b.data, b.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)b.len;
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
    int64_t now = wall_us();

    if (sink.also) {
        sink.also(sink.also_arg, level, now, event, kv, n);
    }
    if (sink.format == LOG_JOURNALD && to_journal(level, event, kv, n)) {
        return;
    }
    rfc3339_us(now, when);
    if (sink.format == LOG_JSON) {
        add_json(&b, when, level, event, kv, n);
    } else if (sink.format == LOG_LOGFMT) {
        add_line(&b, when, level, event, kv, n);
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
