-- The console's own index of the events that applications publish: which events are about a record, and where the pages of a
-- feed begin. It holds no names and no uuids: `record` is a keyed digest of the record's uuid, and the key is in a file beside
-- this one. The events themselves are read from their application, by id.
--
-- `app` is NULL once the index was begun again: what is left of it is removed bit by bit. `key_mark`: a digest of a constant by
-- the key; with another key nothing here is found, and the index is built anew. `lowest` to `highest`: the ids that are
-- indexed. `highest_mark`: the digest of the newest event's uuid, which shows that ids began again. `ended`: why it reaches no
-- further back: 1: the first event is indexed; 2: the most events, or years, are.
CREATE TABLE published_sources (
    id INTEGER PRIMARY KEY,
    app TEXT UNIQUE,
    key_mark BIGINT NOT NULL,
    lowest BIGINT NOT NULL,
    highest BIGINT NOT NULL,
    highest_mark BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    at BIGINT NOT NULL
);

CREATE TABLE published_events (
    source_id BIGINT NOT NULL,
    record BIGINT NOT NULL,
    event BIGINT NOT NULL,
    PRIMARY KEY (source_id, record, event)
) WITHOUT ROWID;

-- The events of a feed by blocks of 256 ids. `category` as the application's database compares it; the empty text is the feed
-- of all events. `oldest_at`: when the first of them was published, if that is known.
CREATE TABLE published_blocks (
    source_id BIGINT NOT NULL,
    category TEXT NOT NULL,
    block BIGINT NOT NULL,
    events BIGINT NOT NULL,
    oldest_at BIGINT,
    PRIMARY KEY (source_id, category, block)
) WITHOUT ROWID;
