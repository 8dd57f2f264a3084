-- What happened in each quarter of an hour (since 1970, UTC), in place of each hour: a day in India or Nepal begins at a
-- half or three quarters of an hour. Rows of one source and time are next to each other, so that four times the rows are
-- read as quickly as the hours were.
CREATE TABLE ledger_quarters (
    source_id BIGINT NOT NULL,
    quarter BIGINT NOT NULL,
    feed_id BIGINT NOT NULL,
    fault_id BIGINT NOT NULL,
    failed BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    resolved BIGINT NOT NULL DEFAULT 0,
    gone BIGINT NOT NULL DEFAULT 0,
    discarded BIGINT NOT NULL DEFAULT 0,
    -- When the fault was first and last seen in it.
    first_at BIGINT,
    last_at BIGINT,
    PRIMARY KEY (source_id, quarter, feed_id, fault_id)
) WITHOUT ROWID;

-- What is known of a past hour is in its quarter if that is certain, otherwise in the one that begins in the middle.
INSERT INTO ledger_quarters (source_id, quarter, feed_id, fault_id, failed, attempts, resolved, gone, discarded, first_at,
    last_at)
SELECT source_id, CASE WHEN first_at / 900000 = last_at / 900000 AND resolved + gone + discarded = 0
    THEN first_at / 900000 ELSE hour * 4 + 2 END, feed_id, fault_id, failed, attempts, resolved, gone, discarded, first_at,
    last_at
FROM ledger_hours;
DROP TABLE ledger_hours;
CREATE INDEX ledger_quarters_by_fault ON ledger_quarters (fault_id, quarter);
