/*
 * log - events, not prose: log_info("job_claimed", KV("job", id), KV("attempt", n));
 *
 * One event is one line on stderr (or in a file that rotates): the old service's
 * `time | LEVEL | event | key=value ...` as text, one JSON object, or logfmt; or a datagram to
 * systemd's journal, with fields. Values are escaped, cut at
 * 1 KiB and never contain secrets. Of one event at most 100 are written a second; the next one
 * after that says how many were left out. Rooms below sched/ log at debug level only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON, LOG_LOGFMT, LOG_JOURNALD };

struct kv {
    const char *key;
    enum { KV_STR, KV_INT } type;
    const char *s;
    int64_t i;
};

#define KV(k, v) _Generic((v), char * : kv_str, const char * : kv_str, default : kv_int)((k), (v))

static inline struct kv kv_str(const char *key, const char *s)
{
    return (struct kv){.key = key, .type = KV_STR, .s = s ? s : ""};
}

static inline struct kv kv_int(const char *key, int64_t i)
{
    return (struct kv){.key = key, .type = KV_INT, .i = i};
}

/* LOG_JOURNALD: what the journal does not take goes to the sink as text. */
void log_setup(enum log_level level, enum log_format format);
bool log_format_parse(const char *name, enum log_format *out); /* text json logfmt journald */
/* "key=value key=value", values quoted where they must be. */
void log_add_logfmt(struct buf *b, const struct kv *kv, unsigned n);
/* Every event that is written goes there, too; it must not log. NULL: no more. */
void log_also(void (*fn)(void *arg, enum log_level level, int64_t at_us, const char *event,
                         const struct kv *kv, unsigned n),
              void *arg);
/* Writes to `path` from now on; at 5 MiB it becomes path.1, .1 becomes .2, three are kept. */
int log_to_file(const char *path, struct err *e);
bool log_level_parse(const char *name, enum log_level *out); /* DEBUG INFO WARNING ERROR */
bool log_on(enum log_level level);
/* `event` is a literal: it is remembered. */
void log_event(enum log_level level, const char *event, const struct kv *kv, unsigned n);

#define LOG_AT(level, event, ...)                                                 \
    do {                                                                          \
        if (log_on(level)) {                                                      \
            const struct kv kv_[] = {{0}, ##__VA_ARGS__};                         \
            log_event((level), (event), kv_ + 1, sizeof kv_ / sizeof kv_[0] - 1); \
        }                                                                         \
    } while (0)

#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, ##__VA_ARGS__)
#define log_info(event, ...)  LOG_AT(LOG_INFO, event, ##__VA_ARGS__)
#define log_warn(event, ...)  LOG_AT(LOG_WARN, event, ##__VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_ERROR, event, ##__VA_ARGS__)
