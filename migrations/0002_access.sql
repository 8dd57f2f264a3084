-- Who may come in. Times are milliseconds since 1970. No password, token or session id is kept, only what proves one.
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    -- As it is compared: lower case. Nobody has a name that differs from another's in case alone.
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    -- Keys of the applications that may be seen, one a line; NULL: all.
    applications TEXT,
    -- Argon2id, as a PHC string.
    password TEXT NOT NULL,
    -- The password is for one sign-in: it must be changed before anything else can be done.
    must_change BIGINT NOT NULL,
    -- Until when a one-time password can be used; NULL: no end.
    password_until BIGINT,
    -- Changes whenever the password, the role or the applications do.
    password_set_at BIGINT NOT NULL,
    disabled_at BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    last_sign_in_at BIGINT
);

CREATE TABLE sessions (
    -- SHA-256 of the id in the cookie.
    hash BLOB PRIMARY KEY,
    -- What the owner names a session by when ending it; says nothing of the id.
    number BIGINT NOT NULL UNIQUE,
    -- NULL for people whom OpenMRS knows: what they may do stands in the session itself.
    account_id BIGINT REFERENCES accounts (id),
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    address TEXT NOT NULL,
    browser TEXT NOT NULL
);
CREATE INDEX sessions_by_name ON sessions (name);

CREATE TABLE tokens (
    id INTEGER PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    -- SHA-256 of the token.
    hash BLOB NOT NULL UNIQUE,
    label TEXT NOT NULL,
    role TEXT NOT NULL,
    reading_only BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    last_address TEXT
);

-- Browsers that a person has signed in from: their attempts are not slowed down by those of strangers.
CREATE TABLE known_browsers (
    -- SHA-256 of the mark in the cookie.
    hash BLOB NOT NULL,
    name TEXT NOT NULL,
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (hash, name)
);
