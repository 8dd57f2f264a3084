-- The highest number that an operation ever had. People quote the numbers of plans, so that of a plan that was removed is
-- not used again.
CREATE TABLE operation_numbers (last BIGINT NOT NULL);
INSERT INTO operation_numbers (last) SELECT MAX(
    (SELECT COALESCE(MAX(id), 0) FROM operations),
    (SELECT COALESCE(MAX(operation), 0) FROM ledger_requests),
    (SELECT COALESCE(MAX(operation), 0) FROM ledger_entries),
    (SELECT COALESCE(MAX(operation_id), 0) FROM discarded),
    (SELECT COALESCE(MAX(action_id), 0) FROM audit_entries)
);
CREATE TRIGGER operations_numbered AFTER INSERT ON operations BEGIN
    UPDATE operation_numbers SET last = NEW.id WHERE last < NEW.id;
END;
