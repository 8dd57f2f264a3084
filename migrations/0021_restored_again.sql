-- A copy whose event was found in its table was called restored, though it was not, and could not be restored any more.
UPDATE discarded SET state = 'discarded', restored_at = NULL, restored_by = NULL
WHERE state = 'restored' AND restored_as IS NULL;

-- What was discarded of a row, and what was restored of an event.
CREATE INDEX discarded_by_row ON discarded (app, row_id);
CREATE INDEX discarded_by_event ON discarded (app, event_id);
