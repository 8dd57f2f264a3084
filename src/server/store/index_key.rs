//! The key of the digests in the index of published events. Nothing here reads or writes.

use ring::hmac;

/// The key of the digests.
#[derive(Debug)]
pub(super) struct IndexKey(hmac::Key);

impl IndexKey {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Returns the first 64 bits of a keyed digest. `use_of` separates digests for different uses.
    pub(super) fn digest(&self, use_of: &str, text: &str) -> i64 {
        let tag = hmac::sign(&self.0, format!("{use_of}\0{text}").as_bytes());
        tag.as_ref().iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)).cast_signed()
    }

    /// Databases that ignore case may have one record in two spellings.
    pub(super) fn record(&self, uuid: &str) -> i64 {
        self.digest("record", &uuid.to_lowercase())
    }

    pub(super) fn mark(&self) -> i64 {
        self.digest("key", "")
    }
}
