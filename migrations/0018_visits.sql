-- When somebody was here last: what the overview counts from. `way` is how they sign in, `name` who they are by it; where
-- nobody signs in, it is a hash of their browser's mark. `before_at` is the end of the visit before this one.
CREATE TABLE visits (
    way TEXT NOT NULL,
    name TEXT NOT NULL,
    before_at BIGINT,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (way, name)
);
CREATE INDEX visits_by_time ON visits (seen_at);
