-- How often a feed's marker moves: how many moves were seen, and when the first of them was. With the last one they give the
-- usual pause between two.
ALTER TABLE ledger_feeds ADD COLUMN moves BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ledger_feeds ADD COLUMN moves_from BIGINT;
