/*
 * The SQLite connection: opening, schema, turns, the write-ahead log.
 *
 * Exactly one connection, in one process, writes and checkpoints: before 3.51.3 two of them can
 * corrupt a log that starts over. A commit appends to the log and syncs it; the log is moved into
 * the database in store_idle() only, so that no commit waits for that.
 */
#include "store/sqlite.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/sqlite_log.h"

enum {
    PAGE_SIZE = 4096,
    LOG_PASSIVE = 8 << 20, /* bytes of log not yet in the database */
    LOG_TRUNCATE = 64 << 20,
};

/* ---- statements ---- */

/* The cases where a later attempt may succeed are told apart: no space is not a broken disk. */
static int code_of(struct sqlite *q)
{
    /* what failed in a COMMIT is told by errno only */
    int saved = errno ? errno : sqlite3_system_errno(q->db);

    switch (sqlite3_errcode(q->db)) {
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_IOERR:
        return saved == ENOSPC || saved == EDQUOT || saved == EFBIG ? ERR_FULL : ERR_IO;
    case SQLITE_CONSTRAINT:
        return ERR_INTERNAL;
    default:
        return ERR_IO;
    }
}

int sq_fail(struct sqlite *q, const char *what)
{
    struct store *s = &q->base;
    int code = code_of(q);
    int extended = sqlite3_extended_errcode(q->db);

    store_fail(s, code, "cannot %s: %s", what, sqlite3_errmsg(q->db));
    if (extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC) {
        q->dead = true;
    }
    if (s->in_turn && !s->broken && sqlite3_get_autocommit(q->db)) {
        s->broken = code; /* SQLite has undone the turn by itself */
        s->why = s->err;
    }
    return code;
}

static size_t slot_of(const char *sql)
{
    return ((uintptr_t)sql >> 3) * 2654435761u % STMTS_MAX;
}

sqlite3_stmt *sq_stmt(struct sqlite *q, const char *sql)
{
    size_t i = slot_of(sql);

    while (q->stmts[i].sql && q->stmts[i].sql != sql) {
        i = (i + 1) % STMTS_MAX;
    }
    if (!q->stmts[i].st) {
        if (sqlite3_prepare_v3(q->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmts[i].st, NULL) !=
            SQLITE_OK) {
            return NULL;
        }
        q->stmts[i].sql = sql;
    }
    return q->stmts[i].st;
}

int sq_step(struct sqlite *q, sqlite3_stmt *st, const char *what)
{
    int rc;

    if (!st) {
        return sq_fail(q, what);
    }
    errno = 0;
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        return 1;
    }
    if (rc != SQLITE_DONE) {
        rc = sq_fail(q, what);
        sqlite3_reset(st);
        return rc;
    }
    sqlite3_reset(st);
    return 0;
}

int sq_run(struct sqlite *q, sqlite3_stmt *st, const char *what)
{
    int rc = sq_step(q, st, what);

    if (rc > 0) {
        sqlite3_reset(st);
        rc = 0;
    }
    return rc;
}

int sq_exec(struct sqlite *q, const char *sql, const char *what)
{
    return sqlite3_exec(q->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sq_fail(q, what);
}

void c_bytes(struct columns *c, void *out, size_t n)
{
    const void *p = sqlite3_column_blob(c->st, c->i);

    if (p && (size_t)sqlite3_column_bytes(c->st, c->i) == n) {
        memcpy(out, p, n);
    } else {
        memset(out, 0, n);
    }
    c->i++;
}

int sqlite_one(struct sqlite *q, sqlite3_stmt *st, int64_t *out)
{
    int rc = sq_step(q, st, "read");

    if (rc > 0) {
        *out = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
    } else if (rc == 0) {
        *out = 0;
    }
    return rc < 0 ? rc : 0;
}

int sqlite_nums(struct sqlite *q, sqlite3_stmt *st, uint32_t limit, int64_t *nums, uint32_t *n)
{
    uint32_t got = 0;
    int rc = 0;

    while (got < limit && (rc = sq_step(q, st, "read jobs")) > 0) {
        nums[got++] = sqlite3_column_int64(st, 0);
    }
    if (rc > 0 || limit == 0) {
        sqlite3_reset(st);
    }
    *n = got;
    return rc < 0 ? rc : 0;
}

/* ---- turns ---- */

static int sqlite_begin(struct store *s)
{
    struct sqlite *q = sqlite_of(s);

    if (q->dead) {
        return store_fail(s, ERR_IO,
                          "the disk failed to keep what was written: check it, and restart");
    }
    return sq_run(q, sq_stmt(q, "BEGIN IMMEDIATE"), "begin a turn");
}

static const char put_tally[] =
    "UPDATE tally SET scheduled = ?, queued = ?, waiting = ?, running = ?, completed = ?,"
    " failed = ?, cancelled = ?, timed_out = ?, next_job = ?, next_event = ?, next_result = ?,"
    " next_purge = ?, next_slot = ?, created_max_us = ?, next_audit = ?, audit_head = ?,"
    " planned_running = ?, tasks_timed = ?, tasks_unmerged = ?, next_merge = ?, next_issue = ?,"
    " next_line = ? WHERE one = 1";

static int sqlite_commit(struct store *s, const struct tally *t)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put_tally), 0};
    int rc;

    if (memcmp(t, &s->committed, sizeof *t) != 0) {
        for (int i = 0; i < JOB_STATES; i++) {
            b_int(&b, t->counts[i]);
        }
        b_int(&b, t->next_job);
        b_int(&b, t->next_event);
        b_int(&b, t->next_result);
        b_int(&b, t->next_purge);
        b_int(&b, t->next_slot);
        b_int(&b, t->created_max_us);
        b_int(&b, t->next_audit);
        b_blob(&b, t->audit_head, sizeof t->audit_head);
        b_int(&b, t->planned_running);
        b_int(&b, t->tasks_timed);
        b_int(&b, t->tasks_unmerged);
        b_int(&b, t->next_merge);
        b_int(&b, t->next_issue);
        b_int(&b, t->next_line);
        rc = sq_run(q, b.st, "write the counts");
        if (rc != 0) {
            return rc;
        }
    }
    rc = sq_run(q, sq_stmt(q, "COMMIT"), "commit");
    if (rc == 0 && sqlite_log_end(q->db, true) != SQLITE_OK) {
        return store_fail(s, ERR_IO, "cannot write the log");
    }
    if (rc == 0) {
        q->n_tools_committed = q->n_tools;
    }
    return rc;
}

static void sqlite_rollback(struct store *s)
{
    struct sqlite *q = sqlite_of(s);

    if (!sqlite3_get_autocommit(q->db)) {
        sqlite3_exec(q->db, "ROLLBACK", NULL, NULL, NULL);
    }
    sqlite_log_end(q->db, false);
    while (q->n_tools > q->n_tools_committed) {
        free(q->tools[--q->n_tools]);
    }
}

/* ---- the log ---- */

static int log_grew(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct sqlite *q = arg;

    (void)db;
    (void)name;
    if (frames < q->log_frames) {
        q->log_tried = 0; /* it started over */
    }
    q->log_frames = frames;
    return SQLITE_OK;
}

/* Tries again only after as much more: a reader or a full disk may be in the way. */
static void sqlite_idle(struct store *s)
{
    struct sqlite *q = sqlite_of(s);
    int mode = SQLITE_CHECKPOINT_PASSIVE;
    int in_log = -1;

    if (q->log_frames - q->log_tried <= LOG_PASSIVE / PAGE_SIZE) {
        return;
    }
    if (q->log_frames > LOG_TRUNCATE / PAGE_SIZE) {
        mode = SQLITE_CHECKPOINT_TRUNCATE;
    }
    sqlite3_wal_checkpoint_v2(q->db, "main", mode, &in_log, NULL);
    if (sqlite3_extended_errcode(q->db) == SQLITE_IOERR_FSYNC) {
        q->dead = true;
    }
    if (in_log >= 0) {
        q->log_frames = in_log;
    }
    q->log_tried = q->log_frames;
}

static int64_t sqlite_log_bytes(struct store *s)
{
    return (int64_t)sqlite_of(s)->log_frames * PAGE_SIZE;
}

static int sqlite_check(struct store *s)
{
    struct sqlite *q = sqlite_of(s);
    sqlite3_stmt *st = sq_stmt(q, "PRAGMA integrity_check(1)");
    int rc = sq_step(q, st, "check the database");

    if (rc > 0) {
        const char *text = (const char *)sqlite3_column_text(st, 0);

        rc = str_eq(text, "ok") ? 0 : store_fail(s, ERR_IO, "database: %s", text ? text : "?");
        sqlite3_reset(st);
    }
    return rc;
}

/* ---- opening ---- */

static void sqlite_close(struct store *s)
{
    struct sqlite *q = sqlite_of(s);

    for (size_t i = 0; i < STMTS_MAX; i++) {
        sqlite3_finalize(q->stmts[i].st);
    }
    for (int i = 0; i < q->n_tools; i++) {
        free(q->tools[i]);
    }
    buf_done(&q->addrs);
    buf_done(&q->names);
    sqlite3_close(q->db); /* the last checkpoint */
    lock_release(q->lock_fd);
    free(q);
}

/* SQLite would make it readable for everybody that the umask lets in. */
static int make_file(const char *path, struct err *e)
{
    auto_fd int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    return fd < 0 ? err_errno(e, "open database '%s'", path) : 0;
}

static const char settings[] = "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA wal_autocheckpoint = 0;"
                               "PRAGMA cache_size = -3072;"
                               "PRAGMA mmap_size = 0;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA secure_delete = FAST;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA cell_size_check = ON;"
                               "PRAGMA foreign_keys = OFF;"; /* the rules see to it */

static int migrate_to(struct sqlite *q, const struct migration *m)
{
    static const char put[] = "INSERT INTO schema_version VALUES (?, ?)";
    struct binder b;
    int rc = sq_exec(q, m->sql, "migrate the database");

    if (rc == 0) {
        b = (struct binder){sq_stmt(q, put), 0};
        b_int(&b, m->version);
        b_int(&b, wall_us());
        rc = sq_run(q, b.st, "migrate the database");
    }
    return rc;
}

/* Versions were in use while they were still being written. */
static int check_format(struct sqlite *q, int64_t version, const char *path)
{
    static const int formats[] = {0, 5, 6}; /* user_version at the end of schema/NNN */
    int64_t format = 0;
    int rc;

    if (version <= 0 || version >= (int64_t)ARRAY_LEN(formats)) {
        return 0; /* new, or to be refused as newer */
    }
    rc = sqlite_one(q, sq_stmt(q, "PRAGMA user_version"), &format);
    if (rc == 0 && format != formats[version]) {
        rc = store_fail(&q->base, ERR_CONFLICT,
                        "database '%s' was written by a scanpod before the first release (format "
                        "%d, this one knows %d): use another data directory",
                        path, (int)format, formats[version]);
    }
    return rc;
}

static int migrate(struct sqlite *q, const char *path)
{
    static const char current[] = "SELECT max(version) FROM schema_version";
    const struct migration *m = sqlite_migrations;
    int64_t version = 0;
    int latest = 0;
    int rc = sq_exec(q,
                     "CREATE TABLE IF NOT EXISTS schema_version"
                     " (version INTEGER PRIMARY KEY, applied_us INTEGER NOT NULL) STRICT",
                     "open the database");

    if (rc == 0) {
        rc = sqlite_one(q, sq_stmt(q, current), &version);
    }
    if (rc == 0) {
        rc = check_format(q, version, path);
    }
    for (; rc == 0 && m->version; m++) {
        latest = m->version;
        if (m->version > version) {
            rc = migrate_to(q, m);
        }
    }
    if (rc == 0 && version > latest) {
        rc = store_fail(&q->base, ERR_CONFLICT,
                        "database '%s' was written by a newer scanpod (schema %d, this one knows "
                        "%d): install that version, or use another data directory",
                        path, (int)version, latest);
    }
    return rc;
}

static int load_tally(struct sqlite *q)
{
    static const char get[] =
        "SELECT scheduled, queued, waiting, running, completed, failed, cancelled, timed_out,"
        " next_job, next_event, next_result, next_purge, next_slot, created_max_us, next_audit, "
        "audit_head,"
        " planned_running, tasks_timed, tasks_unmerged, next_merge, next_issue, next_line"
        " FROM tally";
    struct columns c = {sq_stmt(q, get), 0};
    struct tally *t = &q->base.committed;
    int rc = sq_step(q, c.st, "read the counts");

    if (rc == 0) {
        return store_fail(&q->base, ERR_IO, "the database has no counts: it is damaged");
    }
    if (rc > 0) {
        for (int i = 0; i < JOB_STATES; i++) {
            t->counts[i] = c_int(&c);
        }
        t->next_job = c_int(&c);
        t->next_event = c_int(&c);
        t->next_result = c_int(&c);
        t->next_purge = c_int(&c);
        t->next_slot = c_int(&c);
        t->created_max_us = c_int(&c);
        t->next_audit = c_int(&c);
        c_bytes(&c, t->audit_head, sizeof t->audit_head);
        t->planned_running = c_int(&c);
        t->tasks_timed = c_int(&c);
        t->tasks_unmerged = c_int(&c);
        t->next_merge = c_int(&c);
        t->next_issue = c_int(&c);
        t->next_line = c_int(&c);
        sqlite3_reset(c.st);
    }
    return rc < 0 ? rc : 0;
}

/* Made with the database. */
static int load_secret(struct sqlite *q)
{
    static const char get[] = "SELECT value FROM secret WHERE name = 'tokens'";
    static const char put[] = "INSERT INTO secret VALUES ('tokens', ?)";
    struct columns c = {sq_stmt(q, get), 0};
    struct binder b;
    int rc = sq_step(q, c.st, "read the secret");

    if (rc > 0) {
        c_bytes(&c, q->base.secret, sizeof q->base.secret);
        sqlite3_reset(c.st);
    }
    if (rc != 0) {
        return MIN(rc, 0);
    }
    random_bytes(q->base.secret, sizeof q->base.secret);
    b = (struct binder){sq_stmt(q, put), 0};
    b_blob(&b, q->base.secret, sizeof q->base.secret);
    return sq_run(q, b.st, "store the secret");
}

static int open_schema(struct sqlite *q, const char *path)
{
    int rc = sq_exec(q, settings, "open the database");

    if (rc == 0) {
        rc = sq_exec(q, "BEGIN IMMEDIATE", "open the database");
    }
    if (rc == 0) {
        rc = migrate(q, path);
        if (rc == 0) {
            rc = load_secret(q);
        }
        if (rc != 0) {
            sqlite3_exec(q->db, "ROLLBACK", NULL, NULL, NULL);
        }
    }
    if (rc == 0) {
        rc = sq_exec(q, "COMMIT", "open the database");
    }
    if (rc == 0) {
        rc = load_tally(q);
    }
    if (rc == 0) {
        rc = sqlite_key_tallies_load(q);
    }
    if (rc == 0) {
        rc = sqlite_tools_load(q);
    }
    return rc == 0 ? store_load_ready(&q->base) : rc;
}

static const struct store_ops ops = {
    .close = sqlite_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .idle = sqlite_idle,
    .check = sqlite_check,
    .log_bytes = sqlite_log_bytes,
    .job_add = sqlite_job_add,
    .job_put = sqlite_job_put,
    .job_text_put = sqlite_job_text_put,
    .job_text_get = sqlite_job_text_get,
    .job_find = sqlite_job_find,
    .job_drop = sqlite_job_drop,
    .job_list = sqlite_job_list,
    .job_heads = sqlite_job_heads,
    .job_ended = sqlite_job_ended,
    .job_overdue = sqlite_job_overdue,
    .job_overdue_next = sqlite_job_overdue_next,
    .task_add = sqlite_task_add,
    .task_put = sqlite_task_put,
    .task_find = sqlite_task_find,
    .task_ready = sqlite_task_ready,
    .task_running = sqlite_task_running,
    .task_due = sqlite_task_due,
    .task_due_next = sqlite_task_due_next,
    .task_waiting = sqlite_task_waiting,
    .board_add = sqlite_board_add,
    .board_put = sqlite_board_put,
    .board_find = sqlite_board_find,
    .board_ripe = sqlite_board_ripe,
    .part_add = sqlite_part_add,
    .part_put = sqlite_part_put,
    .part_find = sqlite_part_find,
    .part_spec = sqlite_part_spec,
    .part_end_idle = sqlite_part_end_idle,
    .parts = sqlite_parts,
    .part_to_merge = sqlite_part_to_merge,
    .part_remains = sqlite_part_remains,
    .cell_add = sqlite_cell_add,
    .cells = sqlite_cells,
    .host_put = sqlite_host_put,
    .port_put = sqlite_port_put,
    .result_cut = sqlite_result_cut,
    .hosts = sqlite_hosts,
    .host_place = sqlite_host_place,
    .merge_source = sqlite_merge_source,
    .merged_find = sqlite_merged_find,
    .merged_get = sqlite_merged_get,
    .merged_put = sqlite_merged_put,
    .merged_count = sqlite_merged_count,
    .merged_port_get = sqlite_merged_port_get,
    .merged_port_put = sqlite_merged_port_put,
    .blob_put = sqlite_blob_put,
    .scan_put = sqlite_scan_put,
    .scan_find = sqlite_scan_find,
    .scan_drop = sqlite_scan_drop,
    .finding_put = sqlite_finding_put,
    .verdict_put = sqlite_verdict_put,
    .findings = sqlite_findings,
    .verdicts = sqlite_verdicts,
    .body_get = sqlite_body_get,
    .body_free = sqlite_body_free,
    .issue_add = sqlite_issue_add,
    .issue_put = sqlite_issue_put,
    .issue_touch = sqlite_issue_touch,
    .issue_drop = sqlite_issue_drop,
    .issue_find = sqlite_issue_find,
    .issue_before = sqlite_issue_before,
    .issues_of = sqlite_issues_of,
    .issues_noted = sqlite_issues_noted,
    .issue_due = sqlite_issue_due,
    .issue_due_next = sqlite_issue_due_next,
    .kind_add = sqlite_kind_add,
    .kinds = sqlite_kinds,
    .line_put = sqlite_line_put,
    .line_find = sqlite_line_find,
    .lines = sqlite_lines,
    .purge_line = sqlite_purge_line,
    .job_num = sqlite_job_num,
    .task_reports = sqlite_task_reports,
    .blob_get = sqlite_blob_get,
    .blob_move = sqlite_blob_move,
    .blobs_local = sqlite_blobs_local,
    .orphan_add = sqlite_orphan_add,
    .orphans = sqlite_orphans,
    .orphan_drop = sqlite_orphan_drop,
    .origin_put = sqlite_origin_put,
    .origin_find = sqlite_origin_find,
    .origin_gone = sqlite_origin_gone,
    .origin_drop = sqlite_origin_drop,
    .cursor_get = sqlite_cursor_get,
    .cursor_put = sqlite_cursor_put,
    .cursor_least = sqlite_cursor_least,
    .dead_put = sqlite_dead_put,
    .dead_bounds = sqlite_dead_bounds,
    .dead_drop = sqlite_dead_drop,
    .deads = sqlite_deads,
    .memo_put = sqlite_memo_put,
    .memo_get = sqlite_memo_get,
    .purge_add = sqlite_purge_add,
    .purge_step = sqlite_purge_step,
    .purge_drop = sqlite_purge_drop,
    .purge_keep = sqlite_purge_drop,
    .purge_any = sqlite_purge_any,
    .event_put = sqlite_event_put,
    .events = sqlite_events,
    .event_first = sqlite_event_first,
    .event_older = sqlite_event_older,
    .event_drop = sqlite_event_drop,
    .idem_find = sqlite_idem_find,
    .idem_put = sqlite_idem_put,
    .idem_older = sqlite_idem_older,
    .idem_drop = sqlite_idem_drop,
    .key_put = sqlite_key_put,
    .keys = sqlite_keys,
    .key_tally_put = sqlite_key_tally_put,
    .key_use_drop = sqlite_key_use_drop,
    .audit_put = sqlite_audit_put,
    .audits = sqlite_audits,
};

/* One thread, and nobody asks how much memory SQLite has: no locks and no counters for each malloc.
 */
static void configure(void)
{
    static bool done;

    if (!done) {
        done = true; /* without effect when somebody in the process opened a database before */
        sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    }
}

int sqlite_open(const char *dir, int lock_fd, struct store **out, struct err *e)
{
    auto_free char *path = str_fmt("%s/scanpod.db", dir);
    struct sqlite *q;
    int rc = make_file(path, e);

    if (rc != 0) {
        return rc;
    }
    configure();
    q = xcalloc(1, sizeof *q);
    q->base.ops = &ops;
    q->lock_fd = -1;
    if (sqlite3_open_v2(path, &q->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        sqlite_log_vfs()) != SQLITE_OK) {
        rc = sq_fail(q, "open the database");
    } else {
        /* or each new value that a partial index might be about would prepare the statement anew */
        sqlite3_db_config(q->db, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
        rc = open_schema(q, path);
        sqlite3_wal_hook(q->db, log_grew, q); /* after the settings, which would remove it */
    }
    if (rc != 0) {
        err_set(e, rc, "%s", q->base.err.msg);
        if (rc != ERR_CONFLICT) {
            err_prefix(e, rc, "database '%s'", path);
        }
        key_tallies_done(&q->base);
        ready_free(q->base.ready);
        sqlite_close(&q->base);
        return rc;
    }
    q->lock_fd = lock_fd;
    *out = &q->base;
    return 0;
}

int store_lock_fd(const struct store *s)
{
    return s->ops == &ops ? ((const struct sqlite *)(const void *)s)->lock_fd : -1;
}

struct sqlite3 *store_sqlite(struct store *s)
{
    return s->ops == &ops ? sqlite_of(s)->db : NULL;
}
