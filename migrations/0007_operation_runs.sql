-- What became of an operation's rows is kept for neighbours together: of 90,000 rows that were all reset there is one row
-- here, and not 90,000 to write, twice, while the source waits.
CREATE TABLE operation_runs (
    operation_id BIGINT NOT NULL REFERENCES operations (id),
    -- Positions in operation_rows. Runs of an operation never overlap; what is in none has not had its turn.
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    -- 'writing' until it is known what became of the rows.
    outcome TEXT NOT NULL,
    -- What the outcome says beyond its name: the other count, the reason.
    detail TEXT,
    -- When the outcome, or that they are being written, was recorded.
    at BIGINT NOT NULL,
    -- 0: the ledger must still be told that these rows were asked for; 1: it was, or there is nothing to tell.
    told BIGINT NOT NULL,
    PRIMARY KEY (operation_id, first)
);
CREATE INDEX operation_runs_to_tell ON operation_runs (operation_id, first) WHERE told = 0;
CREATE INDEX operation_runs_being_written ON operation_runs (operation_id, first) WHERE outcome = 'writing';

INSERT INTO operation_runs (operation_id, first, last, outcome, detail, at, told)
SELECT operation_id, MIN(position), MAX(position), outcome, detail, 0, 1
FROM (
    SELECT operation_id, position, outcome, detail,
        position - ROW_NUMBER() OVER (PARTITION BY operation_id, outcome, detail ORDER BY position) AS island
    FROM operation_rows WHERE outcome IS NOT NULL
)
GROUP BY operation_id, outcome, detail, island;

DROP INDEX operation_rows_to_come;
DROP INDEX operation_rows_by_outcome;
DROP INDEX operation_rows_claimed;
ALTER TABLE operation_rows DROP COLUMN outcome;
ALTER TABLE operation_rows DROP COLUMN detail;
-- A row belongs to the operation under way that has it in its plan, until it is in a run with an outcome.
ALTER TABLE operation_rows DROP COLUMN claimed;
CREATE INDEX operation_rows_by_row ON operation_rows (operation_id, app, row_id, position);
