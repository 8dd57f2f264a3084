-- Whether this database rewrites failed_at with every change of a row (MySQL: ON UPDATE CURRENT_TIMESTAMP).
ALTER TABLE ledger_sources ADD COLUMN failed_at_moves BIGINT NOT NULL DEFAULT 0;

-- Attempts from before a row's first failure are of an earlier failure of the same event, whose retry log stayed. They were
-- taken for attempts of the present one: from now on they are entries of the kind 10, which count for nothing.
CREATE TABLE earlier_attempts AS
SELECT a.id, a.ledger_event, e.source_id, e.feed_id, a.fault_id, a.at
FROM ledger_entries a JOIN ledger_events e ON e.id = a.ledger_event
WHERE a.kind = 1 AND a.after IS NULL
    -- The two smallest numbers and the largest are no dates.
    AND e.failed_at > -9223372036854775807 AND e.failed_at < 9223372036854775807
    AND a.at < MIN(e.failed_at / 1000, e.seen_at) - 60000;

UPDATE ledger_entries SET kind = 10 WHERE id IN (SELECT id FROM earlier_attempts);

UPDATE ledger_hours SET attempts = attempts - (
    SELECT COUNT(*) FROM earlier_attempts b
    WHERE b.source_id = ledger_hours.source_id AND b.feed_id = ledger_hours.feed_id
        AND b.fault_id = ledger_hours.fault_id AND b.at / 3600000 = ledger_hours.hour
)
WHERE (source_id, feed_id, fault_id, hour) IN (
    SELECT source_id, feed_id, fault_id, at / 3600000 FROM earlier_attempts
);

-- Their latest error is that of the newest attempt that is left, or the first one.
CREATE TABLE earlier_events AS
SELECT e.id, e.source_id, e.feed_id, e.state, e.fault_id AS was, COALESCE((
    SELECT a.fault_id FROM ledger_entries a
    WHERE a.ledger_event = e.id AND a.kind = 1 ORDER BY a.log_id DESC LIMIT 1
), e.first_fault_id) AS now
FROM ledger_events e WHERE e.id IN (SELECT ledger_event FROM earlier_attempts);

UPDATE ledger_events SET
    fault_id = (SELECT now FROM earlier_events b WHERE b.id = ledger_events.id),
    attempts = (SELECT COUNT(*) FROM ledger_entries a WHERE a.ledger_event = ledger_events.id AND a.kind = 1)
WHERE id IN (SELECT id FROM earlier_events);

INSERT INTO ledger_counts (source_id, feed_id, fault_id, state, count)
SELECT source_id, feed_id, was, state, -COUNT(*) FROM earlier_events WHERE was <> now GROUP BY source_id, feed_id, was, state
ON CONFLICT (source_id, feed_id, fault_id, state) DO UPDATE SET count = ledger_counts.count + excluded.count;

INSERT INTO ledger_counts (source_id, feed_id, fault_id, state, count)
SELECT source_id, feed_id, now, state, COUNT(*) FROM earlier_events WHERE was <> now GROUP BY source_id, feed_id, now, state
ON CONFLICT (source_id, feed_id, fault_id, state) DO UPDATE SET count = ledger_counts.count + excluded.count;

DROP TABLE earlier_attempts;
DROP TABLE earlier_events;
