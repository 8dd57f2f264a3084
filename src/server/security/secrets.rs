//! Random secrets for browsers and scripts, and the hashes that the store keeps of them.

use sha2::{Digest, Sha256};

/// Returns random bytes from the system.
///
/// # Panics
/// Panics if the system has no source of randomness: nothing here is safe without one, and the request must not
/// continue.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the system gives no randomness: {error}");
    }
    bytes
}

/// Returns a new secret of 256 bits, as text for a cookie or a header.
pub fn new() -> String {
    hex(&random::<32>())
}

/// Returns the hash of a secret, as stored. A secret of 256 bits needs no slow hash: it cannot be guessed.
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Returns a digest that can be made only with the secret; `what` separates digests for different uses.
pub fn derived(what: &str, secret: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(what.as_bytes());
    digest.update([0]);
    digest.update(secret.as_bytes());
    digest.finalize().into()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns whether two texts are equal. The duration does not reveal where they differ: their digests are compared.
pub fn same(one: &str, other: &str) -> bool {
    hash(one) == hash(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, other) = (new(), new());
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
        assert!(same(&one, &one.clone()) && !same(&one, &other));
        assert_ne!(derived("a", "bc"), derived("ab", "c"));
    }
}
