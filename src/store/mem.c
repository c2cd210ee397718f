#include "store/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
/* ---- things and their undo ---- */

static void thing_free(enum mem_kind kind, void *thing)
{
    if (!thing) {
        return;
    }
    if (kind == MEM_JOB) {
        job_done(&((struct mem_job *)thing)->job);
        free(((struct mem_job *)thing)->raw_path);
        free(((struct mem_job *)thing)->raw_uri);
    } else if (kind == MEM_TASK) {
        mem_task_free(thing);
    } else if (kind == MEM_CELL) {
        mem_cell_free(thing);
    } else if (kind == MEM_PURGE) {
        free(((struct mem_purge *)thing)->path);
    } else if (kind == MEM_EVENT) {
        free((void *)(uintptr_t)((struct mem_event *)thing)->ev.data);
    } else if (kind == MEM_AUDIT) {
        mem_audit_done(thing);
    } else if (kind == MEM_ORIGIN) {
        mem_origin_free(thing);
    } else if (kind == MEM_CURSOR || kind == MEM_MEMO || kind == MEM_ORPHAN) {
        mem_named_free(thing);
    } else if (kind == MEM_DEAD) {
        mem_dead_free(thing);
    } else if (kind >= MEM_SCAN) {
        mem_finding_free(kind, thing);
    } else if (kind == MEM_IDEM) {
        free(((struct mem_idem *)thing)->key_id);
        free(((struct mem_idem *)thing)->idem);
    }
    free(thing);
}

void mem_undo_push(struct mem *m, const struct mem_undo *u)
{
    if (m->n_undo == m->undo_size) {
        m->undo_size = MAX(2 * m->undo_size, 64);
        m->undo = xrealloc(m->undo, m->undo_size * sizeof *m->undo);
    }
    m->undo[m->n_undo++] = *u;
}

static void insert(struct mem_list *l, size_t at, void *thing)
{
    if (l->n == l->size) {
        l->size = MAX(2 * l->size, 16);
        l->v = xrealloc(l->v, l->size * sizeof *l->v);
    }
    memmove(l->v + at + 1, l->v + at, (l->n - at) * sizeof *l->v);
    l->v[at] = thing;
    l->n++;
}

static void *cut(struct mem_list *l, size_t at)
{
    void *thing = l->v[at];

    l->n--;
    memmove(l->v + at, l->v + at + 1, (l->n - at) * sizeof *l->v);
    return thing;
}

void mem_add(struct mem *m, enum mem_kind kind, void *thing)
{
    struct mem_list *l = &m->lists[kind];

    insert(l, l->n, thing);
    mem_undo_push(m, &(struct mem_undo){.what = UNDO_ADD, .kind = kind, .at = l->n - 1});
}

void mem_insert(struct mem *m, enum mem_kind kind, size_t at, void *thing)
{
    insert(&m->lists[kind], at, thing);
    mem_undo_push(m, &(struct mem_undo){.what = UNDO_ADD, .kind = kind, .at = at});
}

void mem_remove(struct mem *m, enum mem_kind kind, size_t at)
{
    void *old = cut(&m->lists[kind], at);

    mem_undo_push(m, &(struct mem_undo){.what = UNDO_REMOVE, .kind = kind, .at = at, .old = old});
}

void mem_replace(struct mem *m, enum mem_kind kind, size_t at, void *thing)
{
    void *old = m->lists[kind].v[at];

    m->lists[kind].v[at] = thing;
    mem_undo_push(m, &(struct mem_undo){.what = UNDO_CHANGE, .kind = kind, .at = at, .old = old});
}

static void undo(struct mem *m, const struct mem_undo *u)
{
    struct mem_list *l = &m->lists[u->kind];
    struct mem_result *r;
    int64_t ports;

    switch (u->what) {
    case UNDO_ADD:
        thing_free(u->kind, cut(l, u->at));
        break;
    case UNDO_REMOVE:
        insert(l, u->at, u->old);
        break;
    case UNDO_CHANGE:
        thing_free(u->kind, l->v[u->at]);
        l->v[u->at] = u->old;
        break;
    case UNDO_HOST:
        mem_result_cut(&m->base, u->result, u->seq - 1, &ports);
        break;
    case UNDO_SEAL:
        r = mem_result_find(m, u->result);
        r->hosts[u->seq - 1]->sealed = false;
        break;
    case UNDO_MERGED:
        mem_merged_undo(m, u);
        break;
    }
}
/* ---- turns ---- */

static int mem_begin(struct store *s)
{
    assert(mem_of(s)->n_undo == 0);
    return 0;
}

static int mem_commit(struct store *s, const struct tally *t)
{
    struct mem *m = mem_of(s);

    (void)t;
    for (size_t i = 0; i < m->n_undo; i++) {
        struct mem_undo *u = &m->undo[i];

        if (u->what == UNDO_REMOVE && u->kind == MEM_PURGE) {
            mem_result_remove(m, ((struct mem_purge *)u->old)->result);
        }
        if (u->what == UNDO_MERGED) {
            mem_host_free(u->old);
        } else {
            thing_free(u->kind, u->old);
        }
    }
    m->n_undo = 0;
    m->turn++;
    return 0;
}

static void mem_rollback(struct store *s)
{
    struct mem *m = mem_of(s);

    while (m->n_undo > 0) {
        undo(m, &m->undo[--m->n_undo]);
    }
    m->turn++;
}

static void mem_close(struct store *s)
{
    struct mem *m = mem_of(s);

    for (int kind = 0; kind < MEM_KINDS; kind++) {
        for (size_t i = 0; i < m->lists[kind].n; i++) {
            thing_free((enum mem_kind)kind, m->lists[kind].v[i]);
        }
        free(m->lists[kind].v);
    }
    for (size_t i = 0; i < m->n_results; i++) {
        mem_result_free(m->results[i]);
    }
    free(m->results);
    free(m->undo);
    free(m);
}

static void mem_idle(struct store *s)
{
    (void)s;
}

static int mem_check(struct store *s)
{
    (void)s;
    return 0;
}

static int64_t mem_log_bytes(struct store *s)
{
    (void)s;
    return 0;
}
static const struct store_ops ops = {
    .close = mem_close,
    .begin = mem_begin,
    .commit = mem_commit,
    .rollback = mem_rollback,
    .idle = mem_idle,
    .check = mem_check,
    .log_bytes = mem_log_bytes,
    .job_add = mem_job_add,
    .job_put = mem_job_put,
    .job_text_put = mem_job_text_put,
    .job_text_get = mem_job_text_get,
    .job_find = mem_job_find,
    .job_drop = mem_job_drop,
    .job_list = mem_job_list,
    .job_heads = mem_job_heads,
    .job_ended = mem_job_ended,
    .job_overdue = mem_job_overdue,
    .job_overdue_next = mem_job_overdue_next,
    .task_add = mem_task_put,
    .task_put = mem_task_put,
    .task_find = mem_task_find,
    .task_ready = mem_task_ready,
    .task_running = mem_task_running,
    .task_due = mem_task_due,
    .task_due_next = mem_task_due_next,
    .task_waiting = mem_task_waiting,
    .board_add = mem_board_add,
    .board_put = mem_board_put,
    .board_find = mem_board_find,
    .board_ripe = mem_board_ripe,
    .part_add = mem_part_add,
    .part_put = mem_part_put,
    .part_find = mem_part_find,
    .part_spec = mem_part_spec,
    .part_end_idle = mem_part_end_idle,
    .parts = mem_parts,
    .part_to_merge = mem_part_to_merge,
    .part_remains = mem_part_remains,
    .cell_add = mem_cell_add,
    .cells = mem_cells,
    .host_put = mem_host_put,
    .port_put = mem_port_put,
    .result_cut = mem_result_cut,
    .hosts = mem_hosts,
    .host_place = mem_host_place,
    .merge_source = mem_merge_source,
    .merged_find = mem_merged_find,
    .merged_get = mem_merged_get,
    .merged_put = mem_merged_put,
    .merged_count = mem_merged_count,
    .merged_port_get = mem_merged_port_get,
    .merged_port_put = mem_merged_port_put,
    .blob_put = mem_blob_put,
    .scan_put = mem_scan_put,
    .scan_find = mem_scan_find,
    .scan_drop = mem_scan_drop,
    .finding_put = mem_finding_put,
    .verdict_put = mem_verdict_put,
    .findings = mem_findings,
    .verdicts = mem_verdicts,
    .body_get = mem_body_get,
    .body_free = mem_body_free,
    .issue_add = mem_issue_add,
    .issue_put = mem_issue_put,
    .issue_touch = mem_issue_touch,
    .issue_drop = mem_issue_drop,
    .issue_find = mem_issue_find,
    .issue_before = mem_issue_before,
    .issues_of = mem_issues_of,
    .issues_noted = mem_issues_noted,
    .issue_due = mem_issue_due,
    .issue_due_next = mem_issue_due_next,
    .kind_add = mem_kind_add,
    .kinds = mem_kinds,
    .line_put = mem_line_put,
    .line_find = mem_line_find,
    .lines = mem_lines,
    .purge_line = mem_purge_line,
    .job_num = mem_job_num,
    .task_reports = mem_task_reports,
    .blob_get = mem_blob_get,
    .blob_move = mem_blob_move,
    .blobs_local = mem_blobs_local,
    .orphan_add = mem_orphan_add,
    .orphans = mem_orphans,
    .orphan_drop = mem_orphan_drop,
    .origin_put = mem_origin_put,
    .origin_find = mem_origin_find,
    .origin_gone = mem_origin_gone,
    .origin_drop = mem_origin_drop,
    .cursor_get = mem_cursor_get,
    .cursor_put = mem_cursor_put,
    .cursor_least = mem_cursor_least,
    .dead_put = mem_dead_put,
    .dead_bounds = mem_dead_bounds,
    .dead_drop = mem_dead_drop,
    .deads = mem_deads,
    .memo_put = mem_memo_put,
    .memo_get = mem_memo_get,
    .purge_add = mem_purge_add,
    .purge_step = mem_purge_step,
    .purge_drop = mem_purge_drop,
    .purge_keep = mem_purge_keep,
    .purge_any = mem_purge_any,
    .event_put = mem_event_put,
    .events = mem_events,
    .event_first = mem_event_first,
    .event_older = mem_event_older,
    .event_drop = mem_event_drop,
    .idem_find = mem_idem_find,
    .idem_put = mem_idem_put,
    .idem_older = mem_idem_older,
    .idem_drop = mem_idem_drop,
    .key_put = mem_key_put,
    .keys = mem_keys,
    .key_tally_put = mem_key_tally_put,
    .key_use_drop = mem_key_use_drop,
    .audit_put = mem_audit_put,
    .audits = mem_audits,
};

int mem_open(struct store **out)
{
    struct mem *m = xcalloc(1, sizeof *m);

    m->base.ops = &ops;
    m->base.committed = (struct tally){.next_job = 1,
                                       .next_event = 1,
                                       .next_result = 1,
                                       .next_purge = 1,
                                       .next_audit = 1,
                                       .next_merge = 1,
                                       .next_issue = 1,
                                       .next_line = 1};
    random_bytes(m->base.secret, sizeof m->base.secret);
    *out = &m->base;
    return store_load_ready(&m->base);
}
