-- Of a superseded request: the operation whose request took its place. Where that one changes nothing and is withdrawn, this
-- one gets its place back. NULL: it has lost its place for good, or it did before this was kept.
ALTER TABLE ledger_requests ADD COLUMN superseded_by BIGINT;
