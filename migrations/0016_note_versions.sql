-- Every version of a note, the newest of which is the note itself. An empty one says that the note was removed.
CREATE TABLE note_versions (
    -- The fault, as in fault_notes.
    version BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    -- 1 for the first.
    number BIGINT NOT NULL,
    what TEXT NOT NULL,
    todo TEXT NOT NULL,
    looks_after TEXT NOT NULL,
    who TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (version, fingerprint, number)
);
INSERT INTO note_versions (version, fingerprint, number, what, todo, looks_after, who, at)
SELECT version, fingerprint, 1, what, todo, looks_after, who, at FROM fault_notes;
