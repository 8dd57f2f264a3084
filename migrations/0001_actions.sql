-- The record of every action: who changed what in which source, when, from where, why and with what outcome.
-- Only integers and texts, so that the same statements hold on another database later. Times are milliseconds since 1970.
CREATE TABLE actions (
    id INTEGER PRIMARY KEY,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    who TEXT NOT NULL,
    address TEXT NOT NULL,
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    reason TEXT,
    -- How many rows there were to take when it began, where that is not simply the number of its rows.
    planned BIGINT,
    -- Why it ended before it came to all of them; NULL when it did not.
    ended_early TEXT
);

CREATE TABLE action_rows (
    action_id BIGINT NOT NULL REFERENCES actions (id),
    position BIGINT NOT NULL,
    app TEXT NOT NULL,
    row_id TEXT NOT NULL,
    feed_uri TEXT,
    event_id TEXT,
    seen_retries BIGINT NOT NULL,
    -- NULL until the row's turn has come, then 'writing' until it is known what became of it.
    outcome TEXT,
    -- What the outcome says beyond its name: the other count, the reason.
    detail TEXT,
    PRIMARY KEY (action_id, position)
);
