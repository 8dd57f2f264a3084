//! Failed events of one fault, as one problem: their number, where and since when, and what users know about it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Days of a trend.
pub const TREND_DAYS: usize = 14;

/// A user's note on a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What it is.
    pub what: String,
    /// What to do about it.
    pub todo: String,
    /// Who is responsible for it.
    pub looks_after: String,
}

impl Note {
    /// The most characters of each part.
    pub const LIMIT: usize = 2000;

    /// Returns a note as typed, without blanks at the ends, each part cut to [`Note::LIMIT`].
    pub fn typed(what: &str, todo: &str, looks_after: &str) -> Self {
        let part = |text: &str| text.trim().chars().take(Self::LIMIT).collect();
        Self { what: part(what), todo: part(todo), looks_after: part(looks_after) }
    }

    /// Returns the number of characters of all parts together.
    pub fn length(&self) -> usize {
        [&self.what, &self.todo, &self.looks_after].iter().map(|part| part.chars().count()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.what.is_empty() && self.todo.is_empty() && self.looks_after.is_empty()
    }
}

/// A stored note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenNote {
    pub note: Note,
    pub who: String,
    pub at: DateTime<Utc>,
}

/// The result of writing a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteSaved {
    Yes,
    /// Another version was written since the one that the writer saw.
    Conflict,
    NoGroup,
}

/// Where failed events of a group are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlace {
    pub app: String,
    pub feed_uri: Option<String>,
    pub failed: u64,
}

/// Failed events with one fault, as far as the ledger knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The fault's number in the store.
    pub fault: i64,
    /// The text that distinguishes the fault from others.
    pub fingerprint: String,
    /// The title for display.
    pub title: String,
    pub waiting: u64,
    pub exhausted: u64,
    pub unknown: u64,
    pub resolved: u64,
    pub gone: u64,
    pub discarded: u64,
    /// Where the failed events are that are in a table now; most first.
    pub places: Vec<GroupPlace>,
    /// The first and the last hour in which one failed, for the first time or again.
    pub first_seen: Option<DateTime<Utc>>,
    pub last_seen: Option<DateTime<Utc>>,
    /// First failures of the last [`TREND_DAYS`] days, today last.
    pub days: Vec<super::DayCount>,
    pub note: Option<WrittenNote>,
    /// The number of the newest version of its note, even if that was removed; 0 if there never was one.
    pub note_version: i64,
}

impl Group {
    /// Returns the number of failed events that are in a table now.
    pub fn failed(&self) -> u64 {
        self.waiting + self.exhausted + self.unknown
    }

    /// Returns the keys of its applications, each once, in the order of their places.
    pub fn apps(&self) -> Vec<&str> {
        let mut apps: Vec<&str> = Vec::new();
        for place in &self.places {
            if !apps.contains(&place.app.as_str()) {
                apps.push(&place.app);
            }
        }
        apps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_keeps_what_was_typed_within_its_limit() {
        let long = "ü".repeat(Note::LIMIT + 5);
        let note = Note::typed(" It is \n", &long, "\t");
        assert_eq!(note.what, "It is");
        assert_eq!(note.todo.chars().count(), Note::LIMIT);
        assert!(note.looks_after.is_empty() && !note.is_empty());
        assert!(Note::typed(" ", "", "\n").is_empty());
    }
}
