/* Plans and tasks as they are stored, a line each: what can be read is written as it was, and what
 * follows from such a task is tasks that can be read. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int hosts(void *arg, const struct host_sink *sink, struct err *e)
{
    static const char *const ips[] = {"10.0.0.1", "10.0.0.2", "2001:db8::1"};
    int rc = 0;

    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(ips) && rc == 0; i++) {
        struct host_addr addr = {.addr = ips[i], .type = i < 2 ? "ipv4" : "ipv6"};
        const struct host head = {
            .addrs = &addr,
            .n_addrs = 1,
            .state = "up",
            .extraports = "[{\"state\":\"filtered\",\"count\":2,\"reasons\":[{\"reason\":"
                          "\"no-response\",\"count\":2,\"proto\":\"tcp\",\"ports\":\"1-2\"}]}]"};
        const struct port p = {.number = 80, .protocol = i ? "tcp" : "udp", .state = "open"};

        rc = sink->host(sink->arg, 0, &head, e);
        rc = rc == 0 ? sink->port(sink->arg, &p, e) : rc;
        rc = rc == 0 ? sink->host_end(sink->arg, e) : rc;
    }
    return rc;
}

static void follow(const struct plan *p, const struct plan_spec *s)
{
    static const enum job_state ends[] = {JOB_COMPLETED, JOB_TIMED_OUT, JOB_FAILED};

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct plan_ended end = {.spec = s, .state = ends[i], .hosts = hosts};
        struct plan_task task = {.spec = s, .state = ends[i]};
        auto_tasks next = {0};
        auto_strvec notes = {0}, flags = {0};
        auto_buf b = {0};
        struct progress now;
        struct err e = {0};

        end.reason = i ? REASON_TIMEOUT : REASON_NONE;
        if (plan_next(p, &end, &next, &notes, &flags, &e) < 0) {
            assert(e.msg[0]);
            continue;
        }
        for (size_t k = 0; k < next.n; k++) {
            struct plan_spec again = {0};
            auto_buf text = {0};

            plan_spec_write(&next.v[k], &text);
            if (plan_spec_read(text.data, &again, &e) < 0) {
                abort();
            }
            plan_spec_done(&again);
        }
        plan_progress(p, &task, 1, 5, 1, &now);
        plan_summary(p, &task, 1, 0, &notes, &flags, NULL, &b);
        assert(now.percent_x100 >= 0 && now.percent_x100 <= 9999);
        assert(plan_summary_missing_x100(b.data) <= 10000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_free char *text = xstrndup((const char *)data, n);
    char *line = strchr(text, '\n');
    struct plan *p = NULL;
    struct plan_spec s = {0};
    struct err e = {0};

    if (line) {
        *line++ = '\0';
    }
    if (line && plan_spec_read(line, &s, &e) == 0 && plan_read(text, &p, &e) == 0) {
        follow(p, &s);
    }
    plan_spec_done(&s);
    plan_free(p);
    return 0;
}
