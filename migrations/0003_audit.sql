-- The audit log: who did or saw what. Entries are only ever added; each carries a hash over the one before and itself
-- (docs/audit.md says how it is made). The triggers keep the console itself, and anyone who only has SQL, from changing
-- what is there; that nobody changed the file is what the chain shows.
CREATE TABLE audit_entries (
    sequence INTEGER PRIMARY KEY,
    -- Milliseconds since 1970.
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    signed_in_by TEXT NOT NULL,
    address TEXT NOT NULL,
    kind TEXT NOT NULL,
    app TEXT,
    what TEXT NOT NULL,
    reason TEXT,
    outcome TEXT NOT NULL,
    action_id BIGINT,
    hash TEXT NOT NULL
);

-- The two ends of the chain. 'removed': the last entry that was removed because it was old, which the first entry that
-- is left is chained to. 'newest': the newest entry, so that entries missing at the end show, too.
CREATE TABLE audit_ends (
    which TEXT PRIMARY KEY CHECK (which IN ('removed', 'newest')),
    sequence BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_ends (which, sequence, hash) VALUES
    ('removed', 0, '0000000000000000000000000000000000000000000000000000000000000000'),
    ('newest', 0, '0000000000000000000000000000000000000000000000000000000000000000');

CREATE TRIGGER audit_entries_follow_each_other BEFORE INSERT ON audit_entries
WHEN NEW.sequence IS NOT (SELECT sequence + 1 FROM audit_ends WHERE which = 'newest')
BEGIN
    SELECT RAISE(ABORT, 'an audit entry must follow the newest one');
END;

CREATE TRIGGER audit_entries_are_the_newest AFTER INSERT ON audit_entries
BEGIN
    UPDATE audit_ends SET sequence = NEW.sequence, hash = NEW.hash WHERE which = 'newest';
END;

CREATE TRIGGER audit_entries_do_not_change BEFORE UPDATE ON audit_entries
BEGIN
    SELECT RAISE(ABORT, 'audit entries do not change');
END;

-- Only what the end 'removed' has moved past may go.
CREATE TRIGGER audit_entries_stay BEFORE DELETE ON audit_entries
WHEN OLD.sequence > (SELECT sequence FROM audit_ends WHERE which = 'removed')
BEGIN
    SELECT RAISE(ABORT, 'audit entries stay until they are old');
END;

-- Ends move forward, onto an entry that is there.
CREATE TRIGGER audit_ends_move_forward BEFORE UPDATE ON audit_ends
WHEN NEW.which IS NOT OLD.which
    OR NEW.sequence <= OLD.sequence
    OR NEW.hash IS NOT (SELECT hash FROM audit_entries WHERE sequence = NEW.sequence)
BEGIN
    SELECT RAISE(ABORT, 'the ends of the audit log only move forward');
END;

CREATE TRIGGER audit_ends_stay BEFORE DELETE ON audit_ends
BEGIN
    SELECT RAISE(ABORT, 'the ends of the audit log stay');
END;
