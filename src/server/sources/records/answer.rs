//! An answer about records, or why there is none.

use super::super::SourceError;

/// Why there is no answer.
#[derive(Debug)]
pub(in super::super) enum Lack {
    /// Something may not be read or does not exist, in words.
    NotHere(String),
    Failed(SourceError),
}

/// An answer about records.
pub(in super::super) type Answer<T> = Result<T, Lack>;

impl From<SourceError> for Lack {
    fn from(error: SourceError) -> Self {
        Lack::Failed(error)
    }
}

impl From<String> for Lack {
    fn from(reason: String) -> Self {
        Lack::NotHere(reason)
    }
}
