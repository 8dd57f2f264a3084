//! Events: as a publisher hands them over, and as a worker gets them.

use chrono::{DateTime, Utc};

/// Every entry's id begins so; the event's uuid follows.
pub const ENTRY_ID_PREFIX: &str = "tag:atomfeed.ict4h.org:";

/// An event to be published: what changed and where to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Names the event; unique.
    pub uuid: String,
    /// What kind of thing changed, such as `Patient`.
    pub title: String,
    /// The address of the thing; OpenMRS leaves it empty.
    pub uri: Option<String>,
    /// What the consumer is told: nearly always the path of a resource.
    pub content: String,
    /// The feed it is on.
    pub category: String,
    /// Further categories, separated by commas.
    pub tags: Option<String>,
    /// When it happened.
    pub at: DateTime<Utc>,
}

impl NewEvent {
    /// An event of now.
    pub fn new(
        uuid: impl Into<String>,
        category: impl Into<String>,
        title: impl Into<String>,
        content: impl Into<String>,
    ) -> Self {
        Self {
            uuid: uuid.into(),
            title: title.into(),
            uri: None,
            content: content.into(),
            category: category.into(),
            tags: None,
            at: Utc::now(),
        }
    }
}

/// An event as a worker gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The whole entry id, [`ENTRY_ID_PREFIX`] and the uuid.
    pub id: String,
    /// What kind of thing changed.
    pub title: Option<String>,
    /// What the publisher says: nearly always the path of a resource.
    pub content: Option<String>,
    /// Category and tags.
    pub categories: Vec<String>,
    /// When it was published; `None` at a retry, which knows only what `failed_events` keeps.
    pub updated: Option<DateTime<Utc>>,
    /// The numbered page it is on; `None` at a retry.
    pub page: Option<String>,
}

impl Event {
    /// The uuid of the event.
    pub fn uuid(&self) -> &str {
        self.id.strip_prefix(ENTRY_ID_PREFIX).unwrap_or(&self.id)
    }

    /// Categories as `failed_events.tags` keeps them.
    pub(super) fn tags(&self) -> String {
        self.categories.join(",")
    }

    /// The other way round; blank is none.
    pub(super) fn categories_of(tags: Option<&str>) -> Vec<String> {
        tags.filter(|tags| !tags.trim().is_empty())
            .map(|tags| tags.split(',').map(str::to_owned).collect())
            .unwrap_or_default()
    }
}
