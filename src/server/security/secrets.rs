//! Random secrets that browsers and scripts hold, and what the store keeps of them.

use sha2::{Digest, Sha256};

/// Random bytes from the system.
///
/// # Panics
/// The system has no source of randomness: without one nothing here is safe, and the request must not go on.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the system gives no randomness: {error}");
    }
    bytes
}

/// A new secret of 256 bits, as text for a cookie or a header.
pub fn new() -> String {
    hex(&random::<32>())
}

/// What the store keeps of a secret. A secret of 256 bits needs no slow hash: it cannot be guessed.
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// A text that only somebody who knows the secret can make; `what` keeps those for different uses apart.
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

/// Whether two texts are the same. How long it takes says nothing of where they differ: their digests are compared.
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
