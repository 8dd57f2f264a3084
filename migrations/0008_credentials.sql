-- When the one-time password of an account was used for its one sign-in; NULL: it was not.
ALTER TABLE accounts ADD COLUMN password_used_at BIGINT;

-- Tokens of machines: they belong to no person, and each opens one thing alone.
CREATE TABLE service_tokens (
    id INTEGER PRIMARY KEY,
    -- SHA-256 of the token.
    hash BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- What it opens, as a word: 'status'.
    opens TEXT NOT NULL,
    -- 1: the settings name it (token_file); 0: it was made on the page.
    from_settings BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- Empty where the settings name it.
    created_by TEXT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    last_address TEXT,
    -- A token of the settings stays here when it is revoked, so that the next start does not take it again.
    revoked_at BIGINT
);
