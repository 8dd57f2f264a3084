-- How people want their pages, by the way they sign in and their name. A form's text: zone, clock, theme, keys.
CREATE TABLE preferences (
    way TEXT NOT NULL,
    name TEXT NOT NULL,
    chosen TEXT NOT NULL,
    PRIMARY KEY (way, name)
);
