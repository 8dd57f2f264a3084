-- The ledger: the life of every failed event that the watcher has seen. It outlives the rows of the source.
-- It holds ids, feeds, titles, times, states and fingerprints; never an error text, never a payload.
-- Only integers and texts, so that the same statements hold on another database later. Times are milliseconds since 1970,
-- but for failed_at. Where a time is known only from two looks, `…_after` is the earlier look and NULL means: exactly then.

-- A watched database, one row for each application key, and where the watcher stands in it.
CREATE TABLE ledger_sources (
    id INTEGER PRIMARY KEY,
    app TEXT NOT NULL UNIQUE,
    -- What tells this database from another under the same key: see server/sources/walk.rs.
    identity TEXT,
    -- When the watch began, and when the first full read was through; NULL: it is still under way.
    since BIGINT NOT NULL,
    read_whole_at BIGINT,
    -- The end of the last look whose changes are all in the ledger.
    looked_at BIGINT,
    -- The highest row id of the retry log that was read.
    log_to BIGINT,
    -- The max_retry by which the states below were decided.
    max_retry BIGINT
);

-- A database that was replaced or restored, or whose ids began again.
CREATE TABLE ledger_breaks (
    id INTEGER PRIMARY KEY,
    source_id BIGINT NOT NULL REFERENCES ledger_sources (id),
    after BIGINT,
    at BIGINT NOT NULL,
    -- A whole sentence for people.
    what TEXT NOT NULL
);
CREATE INDEX ledger_breaks_of_source ON ledger_breaks (source_id, at);

-- A feed of a source. The empty text: failed events without an address.
CREATE TABLE ledger_feeds (
    id INTEGER PRIMARY KEY,
    source_id BIGINT NOT NULL REFERENCES ledger_sources (id),
    uri TEXT NOT NULL,
    -- When its consumer was last seen at work: a failure, a failed retry, a marker that moved on, a failed event resolved.
    worked_at BIGINT,
    -- The markers' entries when they last moved, and when that was seen.
    marker TEXT,
    marker_moved_at BIGINT,
    UNIQUE (source_id, uri)
);

-- A fault: what the fingerprint of an error text names, with the version of the rules that made it.
CREATE TABLE ledger_faults (
    id INTEGER PRIMARY KEY,
    version BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    UNIQUE (version, fingerprint)
);

-- A failed event.
CREATE TABLE ledger_events (
    id INTEGER PRIMARY KEY,
    source_id BIGINT NOT NULL REFERENCES ledger_sources (id),
    -- Its id in the source. Ids start again when a dump is restored: `life` counts the events that had it.
    row_id BIGINT NOT NULL,
    life BIGINT NOT NULL DEFAULT 0,
    feed_id BIGINT NOT NULL REFERENCES ledger_feeds (id),
    event_id TEXT,
    -- The uuid of the record that it is about, in lower case, from its payload or else from its event id.
    record TEXT,
    title TEXT,
    -- The source's time of the first failure: MICROseconds since 1970. The two smallest numbers and the largest stand for
    -- no time, and for what is no date (0000-00-00, infinity), so that it sorts as the source sorts it.
    failed_at BIGINT NOT NULL,
    -- First sight: between two looks, or (after is NULL) at the first look of all.
    seen_after BIGINT,
    seen_at BIGINT NOT NULL,
    retries BIGINT,
    -- What the source calculates from event id and feed: so that the sums of both sides tell when either changes.
    mark BIGINT NOT NULL,
    -- 1 waiting, 2 exhausted, 3 unknown; ended: 11 resolved, 12 gone, 13 discarded.
    state BIGINT NOT NULL,
    -- The last request by a person: NULL none, 1 requested, 2 failed again, 3 overwritten by the running consumer.
    asked BIGINT,
    -- The fault of the first error, and of the latest one.
    first_fault_id BIGINT NOT NULL REFERENCES ledger_faults (id),
    fault_id BIGINT NOT NULL REFERENCES ledger_faults (id),
    -- Rows of the retry log that were seen.
    attempts BIGINT NOT NULL DEFAULT 0,
    ended_after BIGINT,
    ended_at BIGINT,
    -- Why it ended as it did, as a whole sentence, where the state does not say it all.
    ended_why TEXT,
    UNIQUE (source_id, row_id, life)
);
CREATE INDEX ledger_events_by_state ON ledger_events (source_id, state, failed_at, row_id);
CREATE INDEX ledger_events_by_feed ON ledger_events (feed_id, state, failed_at, row_id);
CREATE INDEX ledger_events_by_fault ON ledger_events (fault_id, state, failed_at, row_id);
CREATE INDEX ledger_events_by_event ON ledger_events (event_id);
CREATE INDEX ledger_events_by_record ON ledger_events (record);
CREATE INDEX ledger_events_by_end ON ledger_events (source_id, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX ledger_events_by_feeds_end ON ledger_events (feed_id, ended_at) WHERE ended_at IS NOT NULL;

-- What happened to a failed event between its first sight and its end.
CREATE TABLE ledger_entries (
    id INTEGER PRIMARY KEY,
    ledger_event BIGINT NOT NULL REFERENCES ledger_events (id),
    -- 1 attempt (a row of the retry log), 2 retries changed, 3 requested, 4 overwritten, 5 discarded, 6 restored, 7 moved
    -- to another feed's address, 8 ended, 9 request withdrawn.
    kind BIGINT NOT NULL,
    after BIGINT,
    at BIGINT NOT NULL,
    retries_before BIGINT,
    retries_after BIGINT,
    fault_id BIGINT REFERENCES ledger_faults (id),
    -- Of an attempt: its id in the retry log.
    log_id BIGINT,
    operation BIGINT,
    who TEXT,
    UNIQUE (ledger_event, log_id)
);

-- A retry or a discard that a person asked for, and what became of it.
CREATE TABLE ledger_requests (
    id INTEGER PRIMARY KEY,
    ledger_event BIGINT NOT NULL REFERENCES ledger_events (id),
    -- 1 retry, 2 discard, 3 restore.
    kind BIGINT NOT NULL,
    operation BIGINT NOT NULL,
    who TEXT NOT NULL,
    at BIGINT NOT NULL,
    -- The retries before the request.
    retries_before BIGINT,
    -- NULL while nothing is known, then 1 resolved, 2 failed again, 3 overwritten, 4 gone, 5 discarded, 6 restored,
    -- 7 superseded by a later request, 8 withdrawn (the source was not changed).
    outcome BIGINT,
    outcome_after BIGINT,
    outcome_at BIGINT,
    -- Failed again: with which fault.
    outcome_fault_id BIGINT REFERENCES ledger_faults (id),
    UNIQUE (operation, ledger_event, kind)
);
CREATE INDEX ledger_requests_of_event ON ledger_requests (ledger_event, id);
CREATE INDEX ledger_requests_by_outcome ON ledger_requests (operation, outcome);

-- How many failed events there are: kept with every change, so that no page counts.
CREATE TABLE ledger_counts (
    source_id BIGINT NOT NULL,
    feed_id BIGINT NOT NULL,
    fault_id BIGINT NOT NULL,
    state BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (source_id, feed_id, fault_id, state)
);
CREATE INDEX ledger_counts_by_fault ON ledger_counts (fault_id, state);

-- What happened in each hour (hours since 1970, UTC): for the charts and the trends.
CREATE TABLE ledger_hours (
    source_id BIGINT NOT NULL,
    feed_id BIGINT NOT NULL,
    fault_id BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    failed BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    resolved BIGINT NOT NULL DEFAULT 0,
    gone BIGINT NOT NULL DEFAULT 0,
    discarded BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (source_id, feed_id, fault_id, hour)
);
CREATE INDEX ledger_hours_by_hour ON ledger_hours (hour);
CREATE INDEX ledger_hours_by_fault ON ledger_hours (fault_id, hour);

-- What is still to come of requests: few rows, whatever the ledger's size.
CREATE INDEX ledger_requests_open ON ledger_requests (kind, ledger_event) WHERE outcome IS NULL;
