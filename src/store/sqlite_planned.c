/* Planned jobs in SQLite: their boards, the parts of their tasks, and coverage. */
#include <string.h>

#include "base/mem.h"
#include "store/sqlite.h"

/* ---- boards ---- */

int sqlite_board_add(struct store *s, const struct job *j, const struct board *b)
{
    static const char put[] = "INSERT INTO planned (runs, tasks, tasks_left, tasks_queued,"
                              " tasks_unmerged, result, job_num, key_id, priority)"
                              " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder to = {sq_stmt(q, put), 0};

    b_int(&to, j->state == JOB_RUNNING);
    b_int(&to, b->tasks);
    b_int(&to, b->tasks_left);
    b_int(&to, b->tasks_queued);
    b_int(&to, b->tasks_unmerged);
    b_int(&to, b->result);
    b_int(&to, j->num);
    b_text(&to, j->key_id);
    b_int(&to, j->priority);
    return sq_run(q, to.st, "store how far a job is");
}

int sqlite_board_put(struct store *s, const struct job *j, const struct board *b)
{
    static const char put[] = "UPDATE planned SET runs = ?, tasks = ?, tasks_left = ?,"
                              " tasks_queued = ?, tasks_unmerged = ?, result = ?"
                              " WHERE job_num = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder to = {sq_stmt(q, put), 0};

    b_int(&to, j->state == JOB_RUNNING);
    b_int(&to, b->tasks);
    b_int(&to, b->tasks_left);
    b_int(&to, b->tasks_queued);
    b_int(&to, b->tasks_unmerged);
    b_int(&to, b->result);
    b_int(&to, j->num);
    return sq_run(q, to.st, "store how far a job is");
}

int sqlite_board_find(struct store *s, int64_t job_num, struct board *out)
{
    static const char get[] = "SELECT tasks, tasks_left, tasks_queued, tasks_unmerged, result"
                              " FROM planned WHERE job_num = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    struct columns c = {b.st, 0};
    int rc;

    b_int(&b, job_num);
    rc = sq_step(q, b.st, "read how far a job is");
    if (rc == 0) {
        return store_fail(s, ERR_NOT_FOUND, "no such job");
    }
    if (rc < 0) {
        return rc;
    }
    out->tasks = (int32_t)c_int(&c);
    out->tasks_left = (int32_t)c_int(&c);
    out->tasks_queued = (int32_t)c_int(&c);
    out->tasks_unmerged = (int32_t)c_int(&c);
    out->result = c_int(&c);
    sqlite3_reset(b.st);
    return 0;
}

int sqlite_board_ripe(struct store *s, int64_t *job_num)
{
    static const char get[] = "SELECT job_num FROM planned WHERE runs = 1 AND tasks_left = 0"
                              " AND tasks_unmerged = 0 ORDER BY job_num LIMIT 1";
    struct sqlite *q = sqlite_of(s);

    return sqlite_one(q, sq_stmt(q, get), job_num);
}

/* ---- parts ---- */

static int add_spec(struct sqlite *q, const struct task *t, const char *spec)
{
    struct binder b = {sq_stmt(q, "INSERT INTO spec VALUES (?, ?, ?)"), 0};

    b_int(&b, t->job_num);
    b_int(&b, t->idx);
    b_text(&b, spec);
    return sq_run(q, b.st, "store a task");
}

int sqlite_part_add(struct store *s, const struct task_row *r, const struct part *p,
                    const char *spec)
{
    static const char put[] = "INSERT INTO part (job_num, idx, queue, weight, found_only,"
                              " repeats) VALUES (?, ?, ?, ?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};
    int rc;

    b_int(&b, r->task.job_num);
    b_int(&b, r->task.idx);
    b_text(&b, p->queue);
    b_int(&b, p->weight);
    b_int(&b, p->found_only);
    b_int(&b, p->repeats);
    rc = sq_run(q, b.st, "store a task");
    if (rc == 0) {
        rc = add_spec(q, &r->task, spec);
    }
    return rc == 0 ? sqlite_task_put(s, r) : rc;
}

int sqlite_part_put(struct store *s, const struct task_row *r, const struct part *p)
{
    static const char put[] =
        "UPDATE part SET percent_x100 = ?, reason = ?, partial = ?, started_us = ?, ended_us = ?,"
        " hosts = ?, hosts_up = ?, ports_open = ?, merge = ?, merge_pos = ?, error = ?,"
        " command_line = ? WHERE job_num = ? AND idx = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, p->percent_x100);
    b_int(&b, p->reason);
    b_int(&b, p->partial);
    b_int(&b, p->started_us);
    b_int(&b, p->ended_us);
    b_int(&b, p->counts.hosts);
    b_int(&b, p->counts.hosts_up);
    b_int(&b, p->counts.ports_open);
    b_int(&b, p->merge);
    b_int(&b, p->merge_pos);
    b_text(&b, p->error);
    b_text(&b, p->command_line);
    b_int(&b, r->task.job_num);
    b_int(&b, r->task.idx);
    return sq_run(q, b.st, "store a task");
}

#define PART_COLUMNS                                                                            \
    "queue, weight, found_only, repeats, percent_x100, reason, partial, started_us, ended_us, " \
    "hosts, hosts_up, ports_open, merge, merge_pos, error, command_line"

/* Texts are borrowed until the next step. */
static void read_part(struct columns *c, struct part *p)
{
    *p = (struct part){.queue = (char *)(uintptr_t)c_text(c)};
    p->weight = c_int(c);
    p->found_only = c_int(c) != 0;
    p->repeats = c_int(c) != 0;
    p->percent_x100 = (int32_t)c_int(c);
    p->reason = (enum job_reason)c_int(c);
    p->partial = c_int(c) != 0;
    p->started_us = c_int(c);
    p->ended_us = c_int(c);
    p->counts.hosts = c_int(c);
    p->counts.hosts_up = c_int(c);
    p->counts.ports_open = c_int(c);
    p->merge = c_int(c);
    p->merge_pos = c_int(c);
    p->error = (char *)(uintptr_t)c_text(c);
    p->command_line = (char *)(uintptr_t)c_text(c);
}

int sqlite_part_find(struct store *s, int64_t job_num, int32_t idx, struct part *out)
{
    static const char get[] = "SELECT " PART_COLUMNS " FROM part WHERE job_num = ? AND idx = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    struct columns c = {b.st, 0};
    int rc;

    b_int(&b, job_num);
    b_int(&b, idx);
    rc = sq_step(q, b.st, "read a task");
    if (rc == 0) {
        return store_fail(s, ERR_INTERNAL, "a task of a planned job has no part");
    }
    if (rc < 0) {
        return rc;
    }
    read_part(&c, out);
    out->queue = xstrdup(out->queue);
    out->error = xstrdup(out->error);
    out->command_line = xstrdup(out->command_line);
    sqlite3_reset(b.st);
    return 0;
}

int sqlite_part_spec(struct store *s, int64_t job_num, int32_t idx, char **spec)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "SELECT text FROM spec WHERE job_num = ? AND idx = ?"), 0};
    int rc;

    b_int(&b, job_num);
    b_int(&b, idx);
    rc = sq_step(q, b.st, "read what a task is to do");
    if (rc == 0) {
        return store_fail(s, ERR_INTERNAL, "a task does not say what it is to do");
    }
    if (rc < 0) {
        return rc;
    }
    *spec = xstrdup((const char *)sqlite3_column_text(b.st, 0));
    sqlite3_reset(b.st);
    return 0;
}

/* All at once: there may be thousands. */
int sqlite_part_end_idle(struct store *s, int64_t job_num, enum job_state state,
                         enum job_reason reason, const char *error, int64_t now_us, int64_t *n)
{
    static const char end_parts[] =
        "UPDATE part SET reason = ?, error = ?, ended_us = ?, percent_x100 = -1"
        " WHERE job_num = ? AND idx IN"
        " (SELECT idx FROM task WHERE job_num = ? AND state IN (0, 1, 2))";
    static const char end_tasks[] = "UPDATE task SET state = ?, run_at_us = 0"
                                    " WHERE job_num = ? AND state IN (0, 1, 2)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, end_parts), 0};
    int rc;

    b_int(&b, reason);
    b_text(&b, error);
    b_int(&b, now_us);
    b_int(&b, job_num);
    b_int(&b, job_num);
    rc = sq_run(q, b.st, "end tasks");
    if (rc != 0) {
        return rc;
    }
    b = (struct binder){sq_stmt(q, end_tasks), 0};
    b_int(&b, state);
    b_int(&b, job_num);
    rc = sq_run(q, b.st, "end tasks");
    *n = rc == 0 ? sqlite3_changes(q->db) : 0;
    return rc;
}

int sqlite_parts(struct store *s, int64_t job_num, int32_t after, uint32_t limit, task_info_fn fn,
                 void *arg)
{
    static const char get[] =
        "SELECT " TASK_COLUMNS ", " PART_COLUMNS ", text"
        " FROM task JOIN part USING (job_num, idx) JOIN spec USING (job_num, idx)"
        " WHERE job_num = ? AND idx > ? ORDER BY idx LIMIT ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, job_num);
    b_int(&b, after);
    b_int(&b, limit);
    while ((rc = sq_step(q, b.st, "list tasks")) > 0) {
        struct columns c = {b.st, 0};
        struct task_row row;
        struct part p;
        struct task_info info;

        sqlite_task_read(&c, &row);
        read_part(&c, &p);
        info = part_info(&row, &p, c_text(&c));
        rc = fn(arg, &info, &s->err);
        if (rc != 0) {
            sqlite3_reset(b.st);
            return rc;
        }
    }
    return rc;
}

int sqlite_part_to_merge(struct store *s, struct task_at *out)
{
    static const char get[] =
        "SELECT job_num, idx FROM part WHERE merge <> 0 ORDER BY merge LIMIT 1";
    struct sqlite *q = sqlite_of(s);
    struct columns c = {sq_stmt(q, get), 0};
    int rc = sq_step(q, c.st, "find what is to be merged");

    *out = (struct task_at){0};
    if (rc > 0) {
        out->job_num = c_int(&c);
        out->idx = (int32_t)c_int(&c);
        sqlite3_reset(c.st);
    }
    return MIN(rc, 0);
}

int sqlite_part_remains(struct store *s, int64_t job_num,
                        int (*fn)(struct store *s, int64_t result, const char *path,
                                  const char *uri))
{
    static const char get[] = "SELECT task.result, blob.path, blob.uri FROM task LEFT JOIN blob"
                              " ON blob.job_num = task.job_num AND blob.idx = task.idx"
                              " WHERE task.job_num = ?"
                              " AND (task.result <> 0 OR blob.path IS NOT NULL)"
                              " ORDER BY task.idx";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, job_num);
    while ((rc = sq_step(q, b.st, "read what tasks leave behind")) > 0) {
        struct columns c = {b.st, 0};
        int64_t result = c_int(&c);
        const char *path = c_text(&c);

        rc = fn(s, result, path, c_text(&c));
        if (rc != 0) {
            sqlite3_reset(b.st);
            return rc;
        }
    }
    return rc;
}

/* ---- coverage ---- */

int sqlite_cell_add(struct store *s, int64_t job_num, int32_t idx, size_t seq,
                    const struct coverage_cell *cell)
{
    static const char put[] = "INSERT INTO coverage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, job_num);
    b_int(&b, idx);
    b_int(&b, (int64_t)seq);
    b_text(&b, cell->addresses);
    b_text(&b, cell->protocol);
    b_text(&b, cell->ports);
    b_int(&b, cell->up_only);
    b_int(&b, cell->start_us);
    b_int(&b, cell->end_us);
    return sq_run(q, b.st, "store what was covered");
}

int sqlite_cells(struct store *s, int64_t job_num, cell_fn fn, void *arg)
{
    static const char get[] = "SELECT idx, addresses, protocol, ports, up_only, start_us, end_us"
                              " FROM coverage WHERE job_num = ? ORDER BY idx, seq";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, job_num);
    while ((rc = sq_step(q, b.st, "read what was covered")) > 0) {
        struct columns c = {b.st, 0};
        int32_t idx = (int32_t)c_int(&c);
        struct coverage_cell cell = {.addresses = c_text(&c)};

        cell.protocol = c_text(&c);
        cell.ports = c_text(&c);
        cell.up_only = c_int(&c) != 0;
        cell.start_us = c_int(&c);
        cell.end_us = c_int(&c);
        rc = fn(arg, idx, &cell, &s->err);
        if (rc != 0) {
            sqlite3_reset(b.st);
            return rc;
        }
    }
    return rc;
}
