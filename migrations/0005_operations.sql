-- Operations take the place of the actions: a plan with every row, frozen before anything is touched, and its course.
-- Only integers, texts and blobs, so that the same statements hold on another database later. Times are milliseconds
-- since 1970.
CREATE TABLE operations (
    id INTEGER PRIMARY KEY,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    who TEXT NOT NULL,
    address TEXT NOT NULL,
    -- retry, discard, restore.
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    reason TEXT,
    -- planning: its rows are being written down; draft: its plan is shown, nothing has begun; running; trying: the first
    -- rows are written and their outcome is waited for; paused; ended; cancelled.
    stage TEXT NOT NULL,
    -- Why it waits, was paused or ended before it came to all rows; a whole sentence. NULL: there is nothing to say.
    note TEXT,
    -- How many rows its plan has, once that is known.
    planned BIGINT,
    -- Rows that matched and were left out of the plan, and why; a whole sentence.
    left_out TEXT,
    -- At most so many rows a minute; NULL: as quickly as the source takes them.
    per_minute BIGINT,
    -- First so many rows, then only on if so many of them succeeded; NULL: all at once.
    try_first BIGINT,
    try_needed BIGINT,
    -- 1: a source that does not answer is waited for; 0: its rows are given up at once, because somebody waits for the
    -- answer.
    waits BIGINT NOT NULL DEFAULT 1,
    -- Rows of the plan for whose record a later event is known that succeeded, or that failed too.
    later_resolved BIGINT NOT NULL DEFAULT 0,
    later_failed BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX operations_under_way ON operations (stage) WHERE finished_at IS NULL;

INSERT INTO operations (id, started_at, finished_at, who, address, kind, scope, reason, stage, note, planned)
SELECT id, started_at, finished_at, who, address, kind, scope, reason, 'ended', ended_early, planned FROM actions;

CREATE TABLE operation_rows (
    operation_id BIGINT NOT NULL REFERENCES operations (id),
    position BIGINT NOT NULL,
    app TEXT NOT NULL,
    row_id TEXT NOT NULL,
    feed_uri TEXT,
    event_id TEXT,
    -- NULL: the row has none.
    seen_retries BIGINT,
    -- Of a restore: the copy that is put back.
    copy_id BIGINT,
    -- NULL until the row's turn has come, then 'writing' until it is known what became of it.
    outcome TEXT,
    -- What the outcome says beyond its name: the other count, the reason.
    detail TEXT,
    -- 1 from the operation's start until the row's outcome is known: no other operation takes the row.
    claimed BIGINT NOT NULL DEFAULT 0,
    -- How often a reset that the consumer had overwritten was set again.
    again BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (operation_id, position)
);
INSERT INTO operation_rows (operation_id, position, app, row_id, feed_uri, event_id, seen_retries, outcome, detail)
SELECT action_id, position, app, row_id, feed_uri, event_id, seen_retries, outcome, detail FROM action_rows;
CREATE INDEX operation_rows_by_outcome ON operation_rows (operation_id, outcome);
CREATE UNIQUE INDEX operation_rows_claimed ON operation_rows (app, row_id) WHERE claimed = 1;

DROP TABLE action_rows;
DROP TABLE actions;

-- Resets that a running consumer wrote its own count over, to be set again.
CREATE INDEX ledger_requests_overwritten ON ledger_requests (operation) WHERE outcome = 3;

-- Discarded failed events, whole.
CREATE TABLE discarded (
    id INTEGER PRIMARY KEY,
    operation_id BIGINT NOT NULL REFERENCES operations (id),
    position BIGINT NOT NULL,
    app TEXT NOT NULL,
    row_id TEXT NOT NULL,
    feed_uri TEXT,
    event_id TEXT,
    title TEXT,
    -- The fault of its first error, in words.
    fault TEXT NOT NULL,
    at BIGINT NOT NULL,
    -- copied: it may still be in the source; discarded; restored.
    state TEXT NOT NULL,
    -- When it was put back, by which operation, and under which id.
    restored_at BIGINT,
    restored_by BIGINT,
    restored_as TEXT,
    -- Every column of the row and of its retry log (see model/whole_row.rs).
    whole BLOB NOT NULL,
    UNIQUE (operation_id, position)
);
CREATE INDEX discarded_by_state ON discarded (state, id);
CREATE INDEX discarded_by_time ON discarded (at);

-- What people wrote down about a fault. Kept by its fingerprint, so that it outlives the failed events.
CREATE TABLE fault_notes (
    version BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    what TEXT NOT NULL,
    todo TEXT NOT NULL,
    looks_after TEXT NOT NULL,
    who TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (version, fingerprint)
);
