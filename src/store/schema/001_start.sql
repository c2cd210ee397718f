-- States are numbered as in model/job.h: 0 scheduled, 1 queued, 2 waiting, 3 running,
-- 4 completed, 5 failed, 6 cancelled, 7 timed_out. Times are microseconds since 1970, 0: not yet.

-- Of databases whose schema_version is 1: which text of this file made them.
PRAGMA user_version = 5;

-- One row: counts by state and the next number of each sequence, written once per commit.
CREATE TABLE tally (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    scheduled INTEGER NOT NULL CHECK (scheduled >= 0),
    queued INTEGER NOT NULL CHECK (queued >= 0),
    waiting INTEGER NOT NULL CHECK (waiting >= 0),
    running INTEGER NOT NULL CHECK (running >= 0),
    completed INTEGER NOT NULL CHECK (completed >= 0),
    failed INTEGER NOT NULL CHECK (failed >= 0),
    cancelled INTEGER NOT NULL CHECK (cancelled >= 0),
    timed_out INTEGER NOT NULL CHECK (timed_out >= 0),
    next_job INTEGER NOT NULL,
    next_event INTEGER NOT NULL,
    next_result INTEGER NOT NULL,
    next_purge INTEGER NOT NULL,
    next_slot INTEGER NOT NULL,
    created_max_us INTEGER NOT NULL,
    next_audit INTEGER NOT NULL,
    audit_head BLOB NOT NULL CHECK (length(audit_head) = 32),
    planned_running INTEGER NOT NULL CHECK (planned_running >= 0),
    tasks_timed INTEGER NOT NULL CHECK (tasks_timed >= 0),
    tasks_unmerged INTEGER NOT NULL CHECK (tasks_unmerged >= 0),
    next_merge INTEGER NOT NULL
) STRICT;
INSERT INTO tally VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 1, zeroblob(32), 0, 0, 0, 1);

-- What only this database knows: 'tokens', which the tokens of leases are made from.
CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL CHECK (length(value) = 32)
) STRICT, WITHOUT ROWID;

CREATE TABLE tool (
    num INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- The defaults are those of job_init(): a submit names what it gives and no more.
CREATE TABLE job (
    num INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    rev INTEGER NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 7),
    tool INTEGER NOT NULL,
    targets TEXT NOT NULL,
    ports TEXT,
    arguments TEXT,
    timeout_s INTEGER,
    run_timeout_s INTEGER NOT NULL,
    queue_timeout_s INTEGER NOT NULL,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    max_attempts INTEGER NOT NULL,
    key_id TEXT,
    old_route INTEGER NOT NULL CHECK (old_route IN (0, 1)),
    clip INTEGER NOT NULL CHECK (clip IN (0, 1)),
    scope_rule TEXT,
    planned INTEGER NOT NULL CHECK (planned IN (0, 1)),
    profile TEXT,
    import_path TEXT,
    queue TEXT, -- NULL: net, as of most
    created_us INTEGER NOT NULL,
    started_us INTEGER NOT NULL DEFAULT 0,
    completed_us INTEGER NOT NULL DEFAULT 0,
    run_at_us INTEGER NOT NULL,
    queue_expires_us INTEGER NOT NULL,
    reason INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    exit_status INTEGER NOT NULL DEFAULT -1,
    exit_signal INTEGER NOT NULL DEFAULT 0,
    command_line TEXT,
    tool_version TEXT,
    confinement TEXT,
    partial INTEGER NOT NULL DEFAULT 0 CHECK (partial IN (0, 1)),
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    attempts INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    percent_x100 INTEGER NOT NULL DEFAULT -1,
    remaining_s INTEGER NOT NULL DEFAULT -1,
    hosts INTEGER NOT NULL DEFAULT 0,
    hosts_up INTEGER NOT NULL DEFAULT 0,
    ports_open INTEGER NOT NULL DEFAULT 0,
    raw_sha256 TEXT,
    raw_size INTEGER NOT NULL DEFAULT 0,
    CHECK ((state >= 4) = (completed_us <> 0)),
    CHECK ((state IN (0, 2)) = (run_at_us <> 0)),
    CHECK (queue_expires_us = 0 OR state = 1)
) STRICT;
-- Lists by tool and state are merged from it; tools are few. What can be claimed is read from it
-- once, when the store is opened.
CREATE INDEX job_list ON job (tool, state, num);
CREATE INDEX job_ended ON job (completed_us, num) WHERE completed_us <> 0;
CREATE INDEX job_overdue ON job (queue_expires_us, num) WHERE queue_expires_us <> 0;

-- The moves of model/job.c once more; terminal is for ever.
CREATE TRIGGER job_move BEFORE UPDATE OF state ON job
WHEN NEW.state <> OLD.state AND NOT (
    (OLD.state = 0 AND NEW.state IN (1, 5, 6))
    OR (OLD.state = 1 AND NEW.state IN (2, 3, 5, 6))
    OR (OLD.state = 2 AND NEW.state IN (1, 5, 6))
    OR (OLD.state = 3 AND NEW.state IN (0, 1, 2, 4, 5, 6, 7))
)
BEGIN
    SELECT RAISE(ABORT, 'a job does not move like that');
END;

-- What is large and rarely read: pins, limits and plan come with the request (most have none) and
-- are read by the claim, the others are written at the end of a job; the summary of a planned one
-- also before.
CREATE TABLE job_text (
    job_num INTEGER PRIMARY KEY,
    pins TEXT,
    limits TEXT,
    plan TEXT,
    stderr_tail TEXT,
    sandbox_json TEXT,
    run_json TEXT,
    summary_json TEXT
) STRICT;

-- Every 256th job: no job up to num was created after created_us. Where a list by time starts.
CREATE TABLE mark (
    num INTEGER PRIMARY KEY,
    created_us INTEGER NOT NULL
) STRICT;
CREATE INDEX mark_created ON mark (created_us, num);

-- The one task of a plain job, the tasks of a planned one. A plain job that is queued and has no
-- row has a task that nothing happened to yet: most jobs are submitted in bulk, and their tasks are
-- written when they are first claimed.
CREATE TABLE task (
    job_num INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 7),
    priority INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    token INTEGER NOT NULL,
    beat INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    run_at_us INTEGER NOT NULL,
    worker TEXT NOT NULL,
    result INTEGER NOT NULL, -- whose hosts are its results; 0: none
    stage INTEGER NOT NULL,
    reports INTEGER NOT NULL, -- number of the last report from afar that was applied, of this epoch
    PRIMARY KEY (job_num, idx),
    CHECK (state <> 3 OR token <> 0),
    CHECK ((state IN (0, 2)) = (run_at_us <> 0))
) STRICT, WITHOUT ROWID;
CREATE INDEX task_due ON task (run_at_us, job_num, idx) WHERE run_at_us <> 0;
CREATE INDEX task_running ON task (job_num, idx) WHERE state = 3;
CREATE INDEX task_waiting ON task (job_num, idx) WHERE state = 2;

-- How far a planned job is. A row here is small, the job's may hold a list of 65536 targets.
CREATE TABLE planned (
    job_num INTEGER PRIMARY KEY,
    key_id TEXT, -- these two: the job's
    priority INTEGER NOT NULL,
    runs INTEGER NOT NULL CHECK (runs IN (0, 1)), -- the job is running
    tasks INTEGER NOT NULL CHECK (tasks BETWEEN 0 AND 4096),
    tasks_left INTEGER NOT NULL CHECK (tasks_left BETWEEN 0 AND tasks),
    tasks_queued INTEGER NOT NULL CHECK (tasks_queued BETWEEN 0 AND tasks_left),
    tasks_unmerged INTEGER NOT NULL CHECK (tasks_unmerged BETWEEN 0 AND tasks - tasks_left),
    result INTEGER NOT NULL -- whose hosts are the job's results; 0: none yet
) STRICT;
CREATE INDEX planned_ripe ON planned (job_num)
    WHERE runs = 1 AND tasks_left = 0 AND tasks_unmerged = 0;

-- What more there is of a planned job's task; a lease is renewed without it.
CREATE TABLE part (
    job_num INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    queue TEXT, -- NULL: net
    weight INTEGER NOT NULL CHECK (weight >= 1),
    found_only INTEGER NOT NULL CHECK (found_only IN (0, 1)),
    repeats INTEGER NOT NULL CHECK (repeats IN (0, 1)),
    percent_x100 INTEGER NOT NULL DEFAULT -1,
    reason INTEGER NOT NULL DEFAULT 0,
    partial INTEGER NOT NULL DEFAULT 0 CHECK (partial IN (0, 1)),
    started_us INTEGER NOT NULL DEFAULT 0,
    ended_us INTEGER NOT NULL DEFAULT 0,
    hosts INTEGER NOT NULL DEFAULT 0,
    hosts_up INTEGER NOT NULL DEFAULT 0,
    ports_open INTEGER NOT NULL DEFAULT 0,
    merge INTEGER NOT NULL DEFAULT 0, -- place in the order of ends, until all is merged
    merge_pos INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    command_line TEXT,
    PRIMARY KEY (job_num, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX part_merge ON part (merge) WHERE merge <> 0;

-- What a planned job's task is to do.
CREATE TABLE spec (
    job_num INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job_num, idx)
) STRICT, WITHOUT ROWID;

-- What was really probed, by the run that a task ended with.
CREATE TABLE coverage (
    job_num INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    addresses TEXT NOT NULL,
    protocol TEXT NOT NULL,
    ports TEXT,
    up_only INTEGER NOT NULL CHECK (up_only IN (0, 1)),
    start_us INTEGER NOT NULL,
    end_us INTEGER NOT NULL,
    PRIMARY KEY (job_num, idx, seq)
) STRICT, WITHOUT ROWID;

-- id = result * 2^32 + sequence number: results are written at their end and read in order.
CREATE TABLE host (
    id INTEGER PRIMARY KEY,
    n_ports INTEGER NOT NULL,
    ports_open INTEGER NOT NULL,
    port_first INTEGER NOT NULL, -- id of its first port; they follow each other
    address TEXT,
    state TEXT,
    reason TEXT,
    reason_ttl INTEGER NOT NULL,
    start_s INTEGER NOT NULL,
    end_s INTEGER NOT NULL,
    timed_out INTEGER NOT NULL,
    addrs BLOB, -- packed strings, see sqlite_result.c
    names BLOB,
    comment TEXT,
    extraports TEXT,
    os TEXT,
    scripts TEXT,
    more TEXT,
    marks INTEGER -- of a host of a merged set, whose ports are in merged_port at port_first
) STRICT;

-- Hosts in the order of their addresses. key: 4 and the address, 6 and the address, or 255 for none.
-- The first hosts of a plain set have no row: most sets are that small.
CREATE TABLE place (
    result INTEGER NOT NULL,
    key BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (result, key, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE port (
    id INTEGER PRIMARY KEY,
    host_seq INTEGER NOT NULL,
    number INTEGER NOT NULL CHECK (number BETWEEN 0 AND 65535),
    protocol TEXT,
    state TEXT,
    reason TEXT,
    reason_ttl INTEGER,
    conf INTEGER,
    service TEXT,
    method TEXT,
    product TEXT,
    version TEXT,
    extrainfo TEXT,
    tunnel TEXT,
    hostname TEXT,
    ostype TEXT,
    devicetype TEXT,
    cpe TEXT,
    scripts TEXT,
    reason_ip TEXT,
    owner TEXT,
    more TEXT,
    has_service INTEGER NOT NULL
) STRICT;

-- Ports of merged sets: id = slot of the host * 2^19 + port_key().
CREATE TABLE merged_port (
    id INTEGER PRIMARY KEY,
    stage INTEGER NOT NULL, -- which said so
    number INTEGER NOT NULL CHECK (number BETWEEN 0 AND 65535),
    protocol TEXT,
    state TEXT,
    reason TEXT,
    reason_ttl INTEGER,
    conf INTEGER,
    service TEXT,
    method TEXT,
    product TEXT,
    version TEXT,
    extrainfo TEXT,
    tunnel TEXT,
    hostname TEXT,
    ostype TEXT,
    devicetype TEXT,
    cpe TEXT,
    scripts TEXT,
    reason_ip TEXT,
    owner TEXT,
    more TEXT,
    has_service INTEGER NOT NULL
) STRICT;

CREATE TABLE blob (
    job_num INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT,
    size INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    uri TEXT, -- where it is, too, or instead; NULL: only here
    PRIMARY KEY (job_num, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_local ON blob (job_num, idx) WHERE uri IS NULL;

-- Results and raw files of jobs that are gone, removed in steps.
CREATE TABLE purge (
    id INTEGER PRIMARY KEY,
    result INTEGER NOT NULL,
    path TEXT
) STRICT;

-- What is in object storage of jobs that are gone.
CREATE TABLE orphan (
    id INTEGER PRIMARY KEY,
    uri TEXT NOT NULL
) STRICT;

CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    type INTEGER NOT NULL,
    job_id BLOB NOT NULL,
    data TEXT NOT NULL
) STRICT;

-- Who wants to hear of a job. gone: number of the event that told of its removal; 0: it is there.
CREATE TABLE origin (
    job_num INTEGER PRIMARY KEY,
    job_id BLOB NOT NULL UNIQUE CHECK (length(job_id) = 16),
    gone INTEGER NOT NULL,
    intake TEXT NOT NULL,
    task_id TEXT NOT NULL,
    reply_to TEXT NOT NULL,
    correlation TEXT NOT NULL,
    form INTEGER NOT NULL
) STRICT;
CREATE INDEX origin_gone ON origin (gone) WHERE gone <> 0;

-- How far readers of the events are.
CREATE TABLE cursor (
    name TEXT PRIMARY KEY,
    seq INTEGER NOT NULL CHECK (seq >= 0),
    moved_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Messages that were no requests; numbered without a gap.
CREATE TABLE dead (
    seq INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    source TEXT NOT NULL,
    task_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE memo (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE idem (
    key_id TEXT NOT NULL,
    idem TEXT NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    job_id BLOB NOT NULL,
    at_us INTEGER NOT NULL,
    PRIMARY KEY (key_id, idem)
) STRICT, WITHOUT ROWID;
CREATE INDEX idem_at ON idem (at_us);

CREATE TABLE api_key (
    num INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    scopes INTEGER NOT NULL CHECK (scopes BETWEEN 0 AND 127), -- enum key_scope
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL, -- 0: never
    revoked_us INTEGER NOT NULL,
    last_used_us INTEGER NOT NULL,
    max_waiting INTEGER NOT NULL, -- the quotas; 0: none
    jobs_per_day INTEGER NOT NULL,
    addresses_per_day INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX api_key_name ON api_key (name) WHERE revoked_us = 0;

-- How many jobs of a key are scheduled, queued or waiting; no row: none. Written with the tally.
CREATE TABLE key_waiting (
    key_id TEXT PRIMARY KEY,
    n INTEGER NOT NULL CHECK (n > 0)
) STRICT, WITHOUT ROWID;

-- What a key asked for, by hour since 1970; slot is the hour modulo 24.
CREATE TABLE key_use (
    key_id TEXT NOT NULL,
    slot INTEGER NOT NULL CHECK (slot BETWEEN 0 AND 23),
    hour INTEGER NOT NULL,
    jobs INTEGER NOT NULL,
    addresses INTEGER NOT NULL,
    PRIMARY KEY (key_id, slot)
) STRICT, WITHOUT ROWID;

-- The chain of store/audit.h; its head is in the tally.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER audit_keep BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_stay BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
