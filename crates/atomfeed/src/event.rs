//! Events: as a publisher queues them, and as a worker receives them.

use chrono::{DateTime, Utc};

use crate::clock;

/// Prefix of every entry's id; the event's uuid follows.
pub const ENTRY_ID_PREFIX: &str = "tag:atomfeed.ict4h.org:";

/// An event to be published: what changed and where to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Unique id of the event.
    pub uuid: String,
    /// Kind of record that changed, such as `Patient`.
    pub title: String,
    /// Address of the record; OpenMRS leaves it empty.
    pub uri: Option<String>,
    /// What consumers read: nearly always the path of a resource. `None` is stored as NULL and read from the page as an
    /// empty text.
    pub content: Option<String>,
    /// The category feed it appears on; with `None` it appears only on the feed of all events.
    pub category: Option<String>,
    /// Further categories, separated by commas. The tables keep them after the category, as the Java library does:
    /// `urgent` of a `patient` is stored as `patient,urgent`.
    pub tags: Option<String>,
    /// When it happened.
    pub at: DateTime<Utc>,
}

impl NewEvent {
    /// Creates an event with the current time, a category and a content.
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
            content: Some(content.into()),
            category: Some(category.into()),
            tags: None,
            at: clock::now(),
        }
    }

    /// Returns the `tags` column of the queue. Source: `EventRecordQueueItem.setTags` of the Java library, which puts
    /// the category first and collapses blanks. Without a category it would write the word `null`; this does not.
    pub(super) fn queued_tags(&self) -> Option<String> {
        let tags = self.tags.iter().flat_map(|tags| tags.split_whitespace()).collect::<Vec<_>>().join(" ");
        match (&self.category, tags.is_empty()) {
            (category, true) => category.clone(),
            (Some(category), false) => Some(format!("{category},{tags}")),
            (None, false) => Some(tags),
        }
    }
}

/// Returns the `tags` column of `event_records` for a queued event: its tags unchanged, or the category if they are
/// blank. Source: `EventRecord.setTags` of the Java library.
pub(super) fn published_tags(category: Option<String>, tags: Option<String>) -> Option<String> {
    tags.filter(|tags| !tags.trim().is_empty()).or(category)
}

/// An event as a worker receives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The whole entry id: [`ENTRY_ID_PREFIX`] and the uuid.
    pub id: String,
    /// Kind of record that changed.
    pub title: Option<String>,
    /// Content as the publisher wrote it: nearly always the path of a resource.
    pub content: Option<String>,
    /// Category and tags.
    pub categories: Vec<String>,
    /// Time of publication; `None` at a retry, because `failed_events` does not store it.
    pub updated: Option<DateTime<Utc>>,
    /// The numbered page it is on; `None` at a retry.
    pub page: Option<String>,
}

impl Event {
    /// The uuid of the event.
    pub fn uuid(&self) -> &str {
        self.id.strip_prefix(ENTRY_ID_PREFIX).unwrap_or(&self.id)
    }

    /// Joins the categories as `failed_events.tags` stores them.
    pub(super) fn tags(&self) -> String {
        self.categories.join(",")
    }

    /// Splits `failed_events.tags` into categories; blank tags yield none.
    pub(super) fn categories_of(tags: Option<&str>) -> Vec<String> {
        tags.filter(|tags| !tags.trim().is_empty())
            .map(|tags| tags.split(',').map(str::to_owned).collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(category: Option<&str>, tags: Option<&str>) -> Option<String> {
        let event = NewEvent::new("a", "", "Patient", "/a");
        NewEvent { category: category.map(str::to_owned), tags: tags.map(str::to_owned), ..event }.queued_tags()
    }

    #[test]
    fn the_queue_keeps_the_category_before_the_tags() {
        assert_eq!(queued(Some("patient"), None).as_deref(), Some("patient"));
        assert_eq!(queued(Some("patient"), Some(" \t ")).as_deref(), Some("patient"));
        assert_eq!(queued(Some("patient"), Some("urgent")).as_deref(), Some("patient,urgent"));
        assert_eq!(queued(Some("patient"), Some("patient,urgent")).as_deref(), Some("patient,patient,urgent"));
        let blanks = queued(Some("patient"), Some("  urgent ,\t  new \n patient "));
        assert_eq!(blanks.as_deref(), Some("patient,urgent , new patient"));
        assert_eq!(queued(None, Some("urgent")).as_deref(), Some("urgent"));
        assert_eq!(queued(None, None), None);
    }

    #[test]
    fn what_is_published_without_tags_has_its_category_as_tag() {
        let published = |category: Option<&str>, tags: Option<&str>| {
            published_tags(category.map(str::to_owned), tags.map(str::to_owned))
        };
        assert_eq!(published(Some("patient"), None).as_deref(), Some("patient"));
        assert_eq!(published(Some("patient"), Some("   ")).as_deref(), Some("patient"));
        assert_eq!(published(Some("patient"), Some(" urgent ")).as_deref(), Some(" urgent "));
        assert_eq!(published(None, None), None);
    }
}
