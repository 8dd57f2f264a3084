-- How far consumers were behind, and how many failed events their feeds had: a sample a minute for a day, then one each ten
-- minutes for 30 days. `unread` and `age` (seconds, of the oldest unread event) are NULL where they were not known.
CREATE TABLE lag_feeds (
    id INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    uri TEXT NOT NULL,
    UNIQUE (app, uri)
);

CREATE TABLE lag_samples (
    feed_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    unread BIGINT,
    age BIGINT,
    failed BIGINT NOT NULL,
    PRIMARY KEY (feed_id, at)
) WITHOUT ROWID;
