-- What names something is known by its first 1,000 characters (KEY_CHARS in src/model/error_text.rs), as it is read from the
-- sources from now on: tables without a bound of their own can hold megabytes in a title or an event id.
UPDATE ledger_events SET
    title = CASE WHEN length(title) > 1000 THEN substr(title, 1, 999) || '…' ELSE title END,
    event_id = CASE WHEN length(event_id) > 1000 THEN substr(event_id, 1, 999) || '…' ELSE event_id END
WHERE length(title) > 1000 OR length(event_id) > 1000;

-- Where two addresses begin alike, the second keeps its length: its failed events come again under the first.
UPDATE OR IGNORE ledger_feeds SET uri = substr(uri, 1, 999) || '…' WHERE length(uri) > 1000;

UPDATE operation_rows SET
    feed_uri = CASE WHEN length(feed_uri) > 1000 THEN substr(feed_uri, 1, 999) || '…' ELSE feed_uri END,
    event_id = CASE WHEN length(event_id) > 1000 THEN substr(event_id, 1, 999) || '…' ELSE event_id END
WHERE length(feed_uri) > 1000 OR length(event_id) > 1000;

-- The copy itself is whole in another column.
UPDATE discarded SET
    title = CASE WHEN length(title) > 1000 THEN substr(title, 1, 999) || '…' ELSE title END,
    feed_uri = CASE WHEN length(feed_uri) > 1000 THEN substr(feed_uri, 1, 999) || '…' ELSE feed_uri END,
    event_id = CASE WHEN length(event_id) > 1000 THEN substr(event_id, 1, 999) || '…' ELSE event_id END
WHERE length(title) > 1000 OR length(feed_uri) > 1000 OR length(event_id) > 1000;
