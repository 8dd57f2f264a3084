-- Event ids and records are searched for by their last twelve characters first, and compared whole after that. Both are in
-- no order of time, so every new row goes to another place of these indexes: at a million rows the whole texts were
-- three times as many pages to write as the ends of their uuids are.
DROP INDEX ledger_events_by_event;
DROP INDEX ledger_events_by_record;
CREATE INDEX ledger_events_by_event_end ON ledger_events (substr(event_id, -12));
CREATE INDEX ledger_events_by_record_end ON ledger_events (substr(record, -12));

-- The rows of an operation whose turn is still to come: without it every batch goes through all that are done.
CREATE INDEX operation_rows_to_come ON operation_rows (operation_id, position)
WHERE (outcome IS NULL OR outcome = 'writing');
