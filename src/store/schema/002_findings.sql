-- Repository scans. Databases of version 1 (format 5) know nothing of them.
PRAGMA user_version = 6;

ALTER TABLE tally ADD COLUMN next_issue INTEGER NOT NULL DEFAULT 1;
ALTER TABLE tally ADD COLUMN next_line INTEGER NOT NULL DEFAULT 1;
ALTER TABLE job_text ADD COLUMN repo TEXT; -- comes with the request, as the plan
ALTER TABLE purge ADD COLUMN line INTEGER NOT NULL DEFAULT 0; -- whose issues go

-- A repository scan: written with its job, counted while it runs and at its end.
CREATE TABLE scan (
    job_num INTEGER PRIMARY KEY,
    line INTEGER NOT NULL, -- 0: of none, or not yet
    url TEXT NOT NULL,
    branch TEXT NOT NULL,
    subdir TEXT NOT NULL,
    commit_id TEXT,
    asked INTEGER NOT NULL CHECK (asked BETWEEN 0 AND 2), -- compared with: line, nothing, a job
    baseline BLOB NOT NULL CHECK (length(baseline) = 16),
    diff INTEGER NOT NULL CHECK (diff IN (0, 1)),
    complete INTEGER NOT NULL CHECK (complete IN (0, 1)),
    ended INTEGER NOT NULL CHECK (ended IN (0, 1)),
    reread INTEGER NOT NULL CHECK (reread IN (0, 1)), -- a reparse replaced its findings
    findings INTEGER NOT NULL CHECK (findings >= 0),
    figures BLOB -- packed, see finding_pack.c
) STRICT;

-- What scans of one repository, branch and sub-directory share. key: these three.
CREATE TABLE line (
    num INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    branch TEXT NOT NULL,
    subdir TEXT NOT NULL,
    last_num INTEGER NOT NULL,
    last_job BLOB NOT NULL CHECK (length(last_job) = 16),
    last_us INTEGER NOT NULL,
    jobs INTEGER NOT NULL CHECK (jobs >= 0),
    gone_below INTEGER NOT NULL, -- issues without a note that have lower numbers are gone
    open INTEGER NOT NULL CHECK (open >= 0),
    complete INTEGER NOT NULL CHECK (complete IN (0, 1)),
    level TEXT NOT NULL,
    counting BLOB
) STRICT;

-- What findings are listed and compared by; id = result * 2^32 + sequence number, as of hosts.
CREATE TABLE finding (
    id INTEGER PRIMARY KEY,
    severity INTEGER NOT NULL CHECK (severity BETWEEN 0 AND 4),
    confidence INTEGER NOT NULL,
    at_line INTEGER NOT NULL,
    rule TEXT NOT NULL,
    path TEXT NOT NULL,
    engines TEXT NOT NULL, -- names, each with a newline behind
    cwes TEXT NOT NULL, -- numbers, each with a space behind
    prints BLOB NOT NULL CHECK (length(prints) = 48),
    text TEXT -- of the line
) STRICT;

-- All of it, packed. It outlives its finding as long as an issue shows it.
CREATE TABLE finding_body (
    id INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

-- How a finding stands to what was known. Behind the last finding: what was not reported any more.
CREATE TABLE verdict (
    id INTEGER PRIMARY KEY,
    issue INTEGER NOT NULL,
    life INTEGER NOT NULL CHECK (life BETWEEN 0 AND 5),
    body INTEGER NOT NULL
) STRICT;

-- Rule, engines and CWEs of issues: few, and kept in memory.
CREATE TABLE kind (
    num INTEGER PRIMARY KEY,
    rule TEXT NOT NULL,
    engines TEXT NOT NULL,
    cwes TEXT NOT NULL
) STRICT;

CREATE TABLE issue (
    num INTEGER PRIMARY KEY,
    line INTEGER NOT NULL,
    kind INTEGER NOT NULL, -- 0: too many kinds to have one of its own
    open INTEGER NOT NULL CHECK (open IN (0, 1)),
    severity INTEGER NOT NULL CHECK (severity BETWEEN 0 AND 4),
    rule TEXT NOT NULL,
    force INTEGER NOT NULL CHECK (force BETWEEN 0 AND 3), -- the triage that is in force
    noted INTEGER NOT NULL CHECK (noted BETWEEN 0 AND 3), -- the last one, in force or not
    reason TEXT,
    decided_by TEXT,
    decided_us INTEGER NOT NULL,
    until_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL, -- when it will not be in force any more; 0: never
    id BLOB NOT NULL CHECK (length(id) = 16), -- its last 6 bytes are the number
    first_job BLOB NOT NULL CHECK (length(first_job) = 16),
    first_us INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    life INTEGER NOT NULL CHECK (life BETWEEN 0 AND 5),
    last_life INTEGER NOT NULL CHECK (last_life BETWEEN 0 AND 5),
    job_num INTEGER NOT NULL, -- that reported it last
    job BLOB NOT NULL CHECK (length(job) = 16),
    last_us INTEGER NOT NULL,
    fixed_us INTEGER NOT NULL,
    reopened INTEGER NOT NULL,
    body INTEGER NOT NULL,
    confidence INTEGER NOT NULL,
    at_line INTEGER NOT NULL,
    path TEXT NOT NULL,
    engines TEXT NOT NULL,
    cwes TEXT NOT NULL,
    prints BLOB NOT NULL CHECK (length(prints) = 48),
    text TEXT,
    CHECK ((open = 1) = (fixed_us = 0))
) STRICT;
-- Lists are merged from these.
CREATE INDEX issue_line ON issue (line, open, severity, num);
CREATE INDEX issue_state ON issue (open, severity, num);
CREATE INDEX issue_kind ON issue (kind, num);
CREATE INDEX issue_force ON issue (force, num) WHERE force <> 0;
CREATE INDEX issue_noted ON issue (line, num) WHERE noted <> 0;
CREATE INDEX issue_due ON issue (expires_us, num) WHERE expires_us <> 0;
