-- The index of the search: which failed events have which word or id. It holds words of titles and of errors, event ids
-- and uuids; no text as it stood. What a token is says src/model/search_index.rs; SECURITY.md says what can be read from it.
-- `rowid` is the ledger's number of the event. Contentless: the tokens alone, without the texts that they are from.
CREATE VIRTUAL TABLE search_events USING fts5(
    tokens, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
);

-- The words among the tokens, for finding a word by a part of it. 1: of an error; 0: of an id or a title.
CREATE TABLE search_words (
    said BIGINT NOT NULL,
    word TEXT NOT NULL,
    PRIMARY KEY (said, word)
) WITHOUT ROWID;

-- Failed events whose place in the index is to be written: at first all there are.
CREATE TABLE search_pending (
    source_id BIGINT NOT NULL,
    event BIGINT NOT NULL,
    PRIMARY KEY (source_id, event)
) WITHOUT ROWID;
INSERT INTO search_pending (source_id, event) SELECT source_id, id FROM ledger_events;

CREATE TRIGGER search_events_come AFTER INSERT ON ledger_events
BEGIN
    INSERT OR IGNORE INTO search_pending (source_id, event) VALUES (NEW.source_id, NEW.id);
END;

-- A failed retry: the latest error is another one.
CREATE TRIGGER search_events_change AFTER UPDATE OF attempts, title, event_id ON ledger_events
BEGIN
    INSERT OR IGNORE INTO search_pending (source_id, event) VALUES (NEW.source_id, NEW.id);
END;

CREATE TRIGGER search_events_go AFTER DELETE ON ledger_events
BEGIN
    DELETE FROM search_pending WHERE source_id = OLD.source_id AND event = OLD.id;
    DELETE FROM search_events WHERE rowid = OLD.id;
END;
