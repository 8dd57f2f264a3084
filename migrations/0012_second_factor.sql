-- The second factor of accounts: what an app on somebody's phone calculates codes from.
CREATE TABLE second_factors (
    account_id BIGINT PRIMARY KEY REFERENCES accounts (id),
    -- Encrypted with a key that is not in the store: nonce, ciphertext, tag.
    secret BLOB NOT NULL,
    set_at BIGINT NOT NULL,
    -- The step of 30 seconds whose code was taken last: no code is taken twice.
    last_step BIGINT NOT NULL
);

-- Codes for somebody who has lost the phone, each for once.
CREATE TABLE recovery_codes (
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    hash BLOB NOT NULL,
    -- NULL: not used yet.
    used_at BIGINT,
    PRIMARY KEY (account_id, hash)
);
