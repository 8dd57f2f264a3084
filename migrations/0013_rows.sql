-- Rows of a retry's plan whose events have no title, which its page warns of.
ALTER TABLE operations ADD COLUMN untitled BIGINT NOT NULL DEFAULT 0;

-- What is no date (0000-00-00) stands where NULL does, at the end of a list in either order of time. Of what could not be
-- read until now only a new look would tell which it is; PostgreSQL's -infinity is the one that is a time all the same,
-- and comes to stand there with the others.
UPDATE ledger_events SET failed_at = -9223372036854775807 - 1 WHERE failed_at = -9223372036854775807;
