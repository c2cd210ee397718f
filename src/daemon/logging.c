#include "daemon/logging.h"

#include "base/log.h"
#include "base/mem.h"
#include "daemon/find_host.h"

void logging_set_up(const struct option_set *o)
{
    enum log_level level = LOG_INFO;
    enum log_format format = LOG_TEXT;

    log_level_parse(option_str(o, "log-level"), &level);
    log_format_parse(option_str(o, "log-format"), &format);
    log_setup(level, format);
}

int logging_to_file(const struct option_set *o, struct err *e)
{
    const char *path = option_str(o, "log-file");

    return path ? log_to_file(path, e) : 0;
}

int logging_ship(struct loop *l, const struct option_set *o, struct resolver *r,
                 struct syslog **out, struct err *e)
{
    const struct syslog_events ev = {.resolve = find_host, .arg = r};
    const char *text = option_str(o, "log-endpoint");
    struct syslog_url url;
    int rc;

    *out = NULL;
    if (!text) {
        return 0;
    }
    rc = syslog_url_parse(text, &url, e);
    if (rc == 0) {
        *out = syslog_start(l, &url, &ev);
        syslog_url_done(&url);
    }
    return rc;
}
