//! The time of day, read in one place (see clippy.toml).

use chrono::{DateTime, Utc};

pub(crate) fn now() -> DateTime<Utc> {
    #[expect(clippy::disallowed_methods, reason = "everything else asks this function")]
    Utc::now()
}
