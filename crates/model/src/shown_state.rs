//! The displayed state of a feed: the one function that decides it for badges, headings, tables and the map.
//!
//! It says more than [`FeedState`], which counts failed events and is used in addresses, APIs and documents: what else
//! is known of a feed takes precedence over a state that says less.

use super::{ApplicationInfo, Feed, FeedState, explain};

/// The displayed state of a feed, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShownState {
    /// As many failed events as the limit: nothing new is read.
    Stopped,
    /// The read position does not move although there are new events.
    NotReading,
    /// The consumer cannot continue from the read position.
    CannotContinue,
    /// Close to the limit of failed events, by the setting `near_limit`.
    NearLimit,
    /// Events wait for a retry, and the retry job has not run for long.
    RetryOverdue,
    Failing,
    Unknown,
    Running,
}

impl ShownState {
    pub const ALL: [ShownState; 8] = [
        ShownState::Stopped,
        ShownState::NotReading,
        ShownState::CannotContinue,
        ShownState::NearLimit,
        ShownState::RetryOverdue,
        ShownState::Failing,
        ShownState::Unknown,
        ShownState::Running,
    ];

    /// Returns the state of a feed of this application.
    pub fn of(feed: &Feed, info: &ApplicationInfo) -> Self {
        match feed.state {
            FeedState::Stopped => ShownState::Stopped,
            FeedState::Stalled => ShownState::NotReading,
            _ if feed.marker_fault().is_some() || feed.signs.unpublished.is_some() => ShownState::CannotContinue,
            _ if explain::near_limit(feed, info).is_some() => ShownState::NearLimit,
            _ if feed.signs.unretried_since.is_some() => ShownState::RetryOverdue,
            FeedState::Failing => ShownState::Failing,
            FeedState::Unknown => ShownState::Unknown,
            FeedState::Running => ShownState::Running,
        }
    }

    /// Returns the label that people read.
    pub fn label(self) -> &'static str {
        match self {
            ShownState::Stopped => "Stopped",
            ShownState::NotReading => "Not reading",
            ShownState::CannotContinue => "Cannot continue",
            ShownState::NearLimit => "Near the limit",
            ShownState::RetryOverdue => "Retry overdue",
            ShownState::Failing => "Has failures",
            ShownState::Unknown => "Unknown",
            ShownState::Running => "Running",
        }
    }

    /// Returns the state of several feeds, after their number: `2 stopped`, `3 with failures`.
    pub fn after_number(self) -> &'static str {
        match self {
            ShownState::Stopped => "stopped",
            ShownState::NotReading => "not reading",
            ShownState::CannotContinue => "that cannot continue",
            ShownState::NearLimit => "near the limit",
            ShownState::RetryOverdue => "with overdue retries",
            ShownState::Failing => "with failures",
            ShownState::Unknown => "unknown",
            ShownState::Running => "running",
        }
    }

    /// Returns what the state means, for help.
    pub fn meaning(self) -> &'static str {
        match self {
            ShownState::Stopped => {
                "As many failed events as the limit. Nothing new is read until some succeed or are discarded."
            }
            ShownState::NotReading => "The read position does not move although there are new events.",
            ShownState::CannotContinue => {
                "The read position is incomplete, or names an event or a page that the publisher does not have. Nothing new is \
                 read until it is repaired."
            }
            ShownState::NearLimit => "Nearly as many failed events as the limit. New events are still read.",
            ShownState::RetryOverdue => {
                "Failed events wait for a retry, and none was retried for long. The retry job is probably not running."
            }
            ShownState::Failing => "Failed events, but fewer than the limit. New events are read.",
            ShownState::Unknown => "Nothing says how it is.",
            ShownState::Running => "No failed events, and a read position that says where to continue.",
        }
    }

    /// Returns the class that colours it.
    pub fn class(self) -> &'static str {
        match self {
            ShownState::Stopped => "stopped",
            ShownState::NotReading | ShownState::CannotContinue => "stalled",
            ShownState::NearLimit | ShownState::RetryOverdue | ShownState::Failing => "failing",
            ShownState::Unknown => "unknown",
            ShownState::Running => "running",
        }
    }

    /// Returns the name of its icon.
    pub fn icon(self) -> &'static str {
        match self {
            ShownState::RetryOverdue => "waiting",
            other => other.class(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{
        feed::Unpublished,
        samples::{feed_with, info},
    };

    fn of(feed: &Feed) -> ShownState {
        ShownState::of(feed, &info("Odoo"))
    }

    #[test]
    fn what_is_known_of_a_feed_goes_before_a_state_that_says_less() {
        let overdue = |mut feed: Feed| {
            feed.signs.unretried_since = DateTime::from_timestamp(1_800_000_000, 0);
            feed
        };
        let lost = |mut feed: Feed| {
            feed.signs.unpublished = Some(Unpublished::Page { page: 3, last: 0 });
            feed
        };
        let unusable = |mut feed: Feed, state| {
            feed.markers[0].page_uri = Some("?".into());
            feed.state = state;
            feed
        };
        let nameless = |mut feed: Feed| {
            (feed.uri, feed.markers[0].feed_uri) = (None, None);
            feed
        };
        for (feed, state) in [
            (feed_with(0, 0, 0), ShownState::Running),
            (feed_with(3, 0, 3), ShownState::Failing),
            (feed_with(900, 0, 900), ShownState::NearLimit),
            (feed_with(0, 1000, 1000), ShownState::Stopped),
            (overdue(feed_with(3, 0, 3)), ShownState::RetryOverdue),
            (overdue(feed_with(900, 0, 900)), ShownState::NearLimit),
            (overdue(feed_with(12, 988, 1000)), ShownState::Stopped),
            (lost(feed_with(3, 0, 3)), ShownState::CannotContinue),
            (nameless(feed_with(0, 0, 0)), ShownState::CannotContinue),
            (nameless(feed_with(0, 3, 3)), ShownState::CannotContinue),
            (unusable(feed_with(0, 0, 0), FeedState::Unknown), ShownState::CannotContinue),
            (overdue(unusable(feed_with(3, 0, 3), FeedState::Failing)), ShownState::CannotContinue),
            (Feed { state: FeedState::Stalled, ..feed_with(0, 0, 0) }, ShownState::NotReading),
            (Feed { state: FeedState::Unknown, markers: vec![], ..feed_with(0, 0, 0) }, ShownState::Unknown),
        ] {
            assert_eq!(of(&feed), state, "{feed:?}");
        }
    }

    #[test]
    fn the_states_of_feeds_are_in_the_glossary() {
        let glossary = include_str!("../../../docs/glossary.md");
        let feeds = glossary.split("## States of a feed").nth(1).expect("the table of feeds");
        let feeds = feeds.split("\n## ").next().unwrap_or_default();
        for state in ShownState::ALL {
            assert!(feeds.contains(&format!("| {} |", state.label())), "{}", state.label());
        }
        let mut sorted = ShownState::ALL;
        sorted.sort();
        assert_eq!(sorted, ShownState::ALL, "the worst first");
    }
}
