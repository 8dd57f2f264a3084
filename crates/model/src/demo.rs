//! The demo hospital as its own page shows it: what is wrong in it, who is at work, and what can be broken.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Everything on the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DemoHospital {
    /// How many times faster than a real hospital; 0: nobody is at work.
    pub pace: u32,
    /// What is wrong now, the oldest first.
    pub troubles: Vec<Trouble>,
    /// What a person can break.
    pub breakages: Vec<Breakage>,
    /// The consumers' jobs, in the order of the systems.
    pub jobs: Vec<Job>,
    /// Feeds that can be opened: what they hold, and their path on this server.
    pub feeds: Vec<(String, String)>,
}

/// Something that is wrong in the demo hospital.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    pub id: i64,
    /// A sentence.
    pub title: String,
    /// What comes of it: a sentence.
    pub effect: String,
    pub began_at: DateTime<Utc>,
    /// When it ends by itself.
    pub until: Option<DateTime<Utc>>,
    /// How many records it is of; `None`: everything.
    pub records: Option<u64>,
    /// How many of the records that come next it will be of, too.
    pub catches: u64,
    /// The button that ends it. Without one a person cannot.
    pub mend: Option<String>,
}

/// Something that a person can break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakage {
    /// Names it in the form.
    pub word: String,
    /// The button.
    pub label: String,
    /// What comes of it: a sentence.
    pub effect: String,
}

/// A consumer's work on one feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub system: String,
    pub feed: String,
    /// Seconds between two runs that read what is new, and between two that retry.
    pub feed_interval_secs: f64,
    pub retry_interval_secs: f64,
    /// The last runs, if there were any.
    pub read: Option<Run>,
    pub retried: Option<Run>,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub at: DateTime<Utc>,
    /// Events that were processed, or retried with success.
    pub succeeded: u64,
    pub failed: u64,
    /// Why the run ended before it came to all: the library's own words.
    pub ended: Option<String>,
}
