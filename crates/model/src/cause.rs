//! Counts of why failed events fail: one entry for each cause of a list, largest first.

use serde::{Deserialize, Serialize};

use super::{advice::Subject, error_text::visible};

/// A cause, with the number of failed events that have it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The number of its group.
    pub fault: i64,
    /// The title of its group.
    pub title: String,
    pub failed: u64,
    /// How many of those have used up their retries.
    pub used_up: u64,
    /// Where they failed, as far as that was requested.
    #[serde(default)]
    pub about: Subject,
}

impl Cause {
    /// Returns the title of its group, made visible; never empty.
    pub fn says(&self) -> String {
        if self.title.trim().is_empty() { "No error text".to_owned() } else { visible(&self.title) }
    }
}

/// The largest causes of one feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedCauses {
    /// The application's key.
    pub app: String,
    pub uri: Option<String>,
    /// Largest first.
    pub causes: Vec<Cause>,
}

impl FeedCauses {
    /// The most causes of a feed that a page shows.
    pub const SHOWN: usize = 3;

    /// Returns the causes of this feed.
    pub fn of<'a>(all: &'a [Self], app: &str, uri: Option<&str>) -> &'a [Cause] {
        let named = |uri: Option<&str>| uri.map(str::to_owned).filter(|uri| !uri.is_empty());
        let found = all.iter().find(|feed| feed.app == app && named(feed.uri.as_deref()) == named(uri));
        found.map_or(&[], |feed| &feed.causes)
    }
}
