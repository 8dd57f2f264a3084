//! What the page of the demo hospital shows: its troubles, the jobs at work, and what can be broken.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Everything on the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DemoHospital {
    /// How many times faster than a real hospital; 0 if no one is at work.
    pub pace: u32,
    /// The present troubles, oldest first.
    pub troubles: Vec<Trouble>,
    /// What the user can break.
    pub breakages: Vec<Breakage>,
    /// The consumers' jobs, in the order of the systems.
    pub jobs: Vec<Job>,
    /// Feeds that can be opened: their content, and their path on this server.
    pub feeds: Vec<(String, String)>,
    /// Records that the user can follow on their way.
    pub examples: Vec<Example>,
}

/// A record to follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Where its way ends, in a few words.
    pub title: String,
    /// What the user sees: sentences.
    pub expected: String,
    /// The number of an order, a sample or a patient; `None` if there is no such record now.
    pub number: Option<String>,
}

/// Something that is wrong in the demo hospital.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    pub id: i64,
    /// A sentence.
    pub title: String,
    /// A sentence.
    pub effect: String,
    pub began_at: DateTime<Utc>,
    /// When it ends by itself.
    pub until: Option<DateTime<Utc>>,
    /// Number of affected records; `None`: all.
    pub records: Option<u64>,
    /// How many of the next records it will affect as well.
    pub catches: u64,
    /// Label of the button that ends it. `None` if the user cannot end it.
    pub fix: Option<String>,
}

/// Something that the user can break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakage {
    /// Its name in the form.
    pub word: String,
    /// Label of the button.
    pub label: String,
    /// A sentence.
    pub effect: String,
}

/// A consumer's work on one feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub system: String,
    pub feed: String,
    /// Seconds between two runs that read new events, and between two that retry.
    pub feed_interval_secs: f64,
    pub retry_interval_secs: f64,
    /// The last runs; `None` if there were none.
    pub read: Option<Run>,
    pub retried: Option<Run>,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub at: DateTime<Utc>,
    /// Events that were processed, or retried with success.
    pub succeeded: u64,
    pub failed: u64,
    /// Why the run ended early, in the library's words.
    pub ended: Option<String>,
}
