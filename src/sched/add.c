#include "sched/add.h"

#include <stdlib.h>

#include "base/mem.h"
#include "model/queue.h"

int sched_add_tasks(struct store *s, const struct job *j, const struct plan_tasks *tasks,
                    struct err *e)
{
    char queues[QUEUE_KINDS][QUEUE_MAX], zone[ZONE_MAX] = "";
    enum queue_kind kind;
    struct task_new *v = xcalloc(MAX(tasks->n, 1), sizeof *v);
    struct buf *texts = xcalloc(MAX(tasks->n, 1), sizeof *texts);
    int32_t first;
    int rc = 0;

    if (j->queue) {
        (void)queue_parse(j->queue, &kind, zone, NULL); /* it was made by queue_name() */
    }
    for (int k = 0; k < QUEUE_KINDS; k++) {
        queue_name((enum queue_kind)k, zone, queues[k]);
    }
    for (size_t i = 0; i < tasks->n; i++) {
        const struct plan_spec *spec = &tasks->v[i];

        plan_spec_write(spec, &texts[i]);
        v[i] = (struct task_new){.queue = queues[plan_spec_queue(spec)],
                                 .stage = spec->stage,
                                 .weight = (int64_t)MIN(MAX(spec->probes, 1), (uint64_t)INT64_MAX),
                                 .spec = texts[i].data,
                                 .found_only = spec->found_only,
                                 .repeats = spec->repeats};
    }
    if (tasks->n > 0) {
        rc = store_task_add(s, &j->id, v, tasks->n, &first, e);
    }
    for (size_t i = 0; i < tasks->n; i++) {
        buf_done(&texts[i]);
    }
    free(texts);
    free(v);
    return rc;
}

int sched_add_planned(struct store *s, struct job *j, const struct plan *plan,
                      const struct target_set *t, struct err *e)
{
    auto_tasks first = {0};
    int rc = plan_first(plan, t, &first, e);

    if (rc == 0) {
        rc = store_job_add(s, j, e);
    }
    return rc == 0 ? sched_add_tasks(s, j, &first, e) : rc;
}
