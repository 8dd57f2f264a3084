//! The settings of concerns: an application's settings override the console's, and those override the presets.

use std::time::Duration;

use crate::model::application::ConcernSettings;

/// Settings of a table `concerns`. Each may be absent; an inner `None` is "off".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConcernLayer {
    /// Percentage of a feed's limit.
    pub near_limit: Option<Option<u64>>,
    /// How long an event may wait in its publisher's queue.
    pub queue_age: Option<Option<Duration>>,
    /// How long waiting events may go without a retry, unless three intervals of the retry job are longer.
    pub retry_overdue: Option<Option<Duration>>,
    /// Whether markers are compared with the events of their publishers.
    pub compare_markers: Option<bool>,
    /// Prefixes of the addresses of feeds that are read rarely or not at all.
    pub idle_feeds: Option<Vec<String>>,
}

impl ConcernLayer {
    /// Returns this layer, with the settings it lacks from `lower`.
    pub(super) fn over(self, lower: Self) -> Self {
        Self {
            near_limit: self.near_limit.or(lower.near_limit),
            queue_age: self.queue_age.or(lower.queue_age),
            retry_overdue: self.retry_overdue.or(lower.retry_overdue),
            compare_markers: self.compare_markers.or(lower.compare_markers),
            idle_feeds: self.idle_feeds.or(lower.idle_feeds),
        }
    }

    /// Returns these settings, with the preset's for those that are absent.
    pub(super) fn settings(self, preset: ConcernSettings) -> ConcernSettings {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
        ConcernSettings {
            near_limit_percent: self.near_limit.unwrap_or(preset.near_limit_percent),
            queue_age_secs: self.queue_age.map_or(preset.queue_age_secs, seconds),
            retry_overdue_secs: self.retry_overdue.map_or(preset.retry_overdue_secs, seconds),
            compare_markers: self.compare_markers.unwrap_or(preset.compare_markers),
            idle_feeds: self.idle_feeds.unwrap_or(preset.idle_feeds),
        }
    }
}
