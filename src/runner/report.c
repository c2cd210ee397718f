/* What is told of a run's confinement when it is over. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "runner/limits.h"
#include "runner/run.h"

void run_report(const struct run *r, const char *stderr_tail, struct sandbox_report *out)
{
    const struct sandbox_caps *caps = &r->rp->caps;
    struct limit_evidence ev = {
        .cause = r->cause,
        .end = &r->end,
        .limits = &r->limits,
        .cgroup = r->cgroup.dir_fd >= 0 || r->use.memory_peak_kb >= 0,
        .use = r->use,
        .stderr_tail = stderr_tail,
    };

    *out = (struct sandbox_report){
        .files = caps->view       ? FILES_VIEW
                 : caps->landlock ? FILES_LANDLOCK
                                  : FILES_OPEN,
        .egress = r->egress,
        .dedicated = r->dedicated,
        .raw_sockets = r->box_made && r->box.raw_sockets,
        .cpu_us = MAX(r->end.cpu_us, r->use.cpu_us),
        .max_rss_kb = r->end.max_rss_kb,
        .memory_peak_kb = r->use.memory_peak_kb,
        .output_bytes = (int64_t)MIN(*r->output_bytes, (uint64_t)INT64_MAX),
        .disk_bytes = r->box_made ? r->end.disk_bytes : -1,
        .counted = r->counted,
        .counts = r->counts,
        .api = r->api,
    };
    snprintf(out->box, sizeof out->box, "%s", r->box_made ? r->box.level : caps->box);
    snprintf(out->limits, sizeof out->limits, "%s", caps->limits);
    out->limit = limit_that_ended(&ev, &out->limit_certain);
}
