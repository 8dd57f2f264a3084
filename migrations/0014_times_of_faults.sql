-- When the first and the last failure, or failed retry, of an hour was, in milliseconds; NULL: only the hour is known.
ALTER TABLE ledger_hours ADD COLUMN first_at BIGINT;
ALTER TABLE ledger_hours ADD COLUMN last_at BIGINT;

-- What the searches that stand in the audit log are hashed with, and what else only this store knows.
CREATE TABLE store_secrets (
    name TEXT PRIMARY KEY,
    secret TEXT NOT NULL
);

WITH told (source_id, feed_id, fault_id, at) AS (
    SELECT source_id, feed_id, first_fault_id, failed_at / 1000 FROM ledger_events
    WHERE failed_at > -9223372036854775807 AND failed_at < 9223372036854775807
    UNION ALL
    SELECT e.source_id, e.feed_id, a.fault_id, a.at
    FROM ledger_entries a JOIN ledger_events e ON e.id = a.ledger_event WHERE a.kind = 1
), spans AS (
    SELECT source_id, feed_id, fault_id, at / 3600000 AS hour, MIN(at) AS first_at, MAX(at) AS last_at
    FROM told GROUP BY 1, 2, 3, 4
)
UPDATE ledger_hours SET first_at = spans.first_at, last_at = spans.last_at FROM spans
WHERE spans.source_id = ledger_hours.source_id AND spans.feed_id = ledger_hours.feed_id
    AND spans.fault_id = ledger_hours.fault_id AND spans.hour = ledger_hours.hour;
