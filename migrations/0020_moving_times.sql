-- Where failed_at moves with every change of a row, the time of a failed event is its first sight, if that was earlier.
UPDATE ledger_events SET failed_at = seen_at * 1000
WHERE failed_at > seen_at * 1000 AND failed_at < 9223372036854775807
    AND source_id IN (SELECT id FROM ledger_sources WHERE failed_at_moves <> 0);
