//! Times as a foreign database holds them: maybe readable, maybe not, never thrown away.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A time found in a source: the text as the database gives it, and the instant it means where that is known.
///
/// MySQL's `0000-00-00 00:00:00`, PostgreSQL's `infinity` and a text that is no date at all keep their `text` and have
/// no `at`. SQL NULL is `Option::<Stamp>::None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// What the column holds, as the database prints it. Used again, unchanged, as a paging key.
    pub text: String,
    /// The instant, after the source's `time_zone` was applied where the column carries no zone.
    pub at: Option<DateTime<Utc>>,
}

impl Stamp {
    /// A stamp that means exactly this instant; for the console's own times.
    pub fn of(at: DateTime<Utc>) -> Self {
        Self { text: at.format("%Y-%m-%d %H:%M:%S%.6f").to_string(), at: Some(at) }
    }
}
