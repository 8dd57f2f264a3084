//! Why failed events fail, counted: one line for each cause of a list, the greatest first.

use serde::{Deserialize, Serialize};

use super::{advice::Subject, error_text::visible};

/// A cause, with how many failed events have it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The group that it is.
    pub fault: i64,
    /// In the words of its group.
    pub title: String,
    pub failed: u64,
    /// Of those, the ones whose retries are used up.
    pub used_up: u64,
    /// Where they failed, as far as that was asked for.
    #[serde(default)]
    pub about: Subject,
}

impl Cause {
    /// In the words of its group, made visible; never empty.
    pub fn says(&self) -> String {
        if self.title.trim().is_empty() { "No error text".to_owned() } else { visible(&self.title) }
    }
}

/// The greatest causes of one feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedCauses {
    /// The application's key.
    pub app: String,
    pub uri: Option<String>,
    /// The greatest first.
    pub causes: Vec<Cause>,
}

impl FeedCauses {
    /// Causes of a feed that a page shows.
    pub const SHOWN: usize = 3;

    /// Those of this feed.
    pub fn of<'a>(all: &'a [Self], app: &str, uri: Option<&str>) -> &'a [Cause] {
        let named = |uri: Option<&str>| uri.map(str::to_owned).filter(|uri| !uri.is_empty());
        let found = all.iter().find(|feed| feed.app == app && named(feed.uri.as_deref()) == named(uri));
        found.map_or(&[], |feed| &feed.causes)
    }
}
