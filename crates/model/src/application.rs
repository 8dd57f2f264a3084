//! An application: one hospital system whose database the console reads.

use serde::{Deserialize, Serialize};

use super::{error_text::visible, obstacle::no_address, payload};

/// Which of the known consumers an application is; determines the presets of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Openmrs,
    Openelis,
    Odoo,
    Pacs,
    Crater,
    Custom,
}

impl Kind {
    pub const ALL: [Kind; 6] = [Kind::Openmrs, Kind::Openelis, Kind::Odoo, Kind::Pacs, Kind::Crater, Kind::Custom];

    /// Returns the word used in the configuration file.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Openmrs => "openmrs",
            Kind::Openelis => "openelis",
            Kind::Odoo => "odoo",
            Kind::Pacs => "pacs",
            Kind::Crater => "crater",
            Kind::Custom => "custom",
        }
    }
}

/// The kind of database that an application uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// MySQL or MariaDB.
    MySql,
    Postgres,
    Sqlite,
}

/// Limits and schedule of a consumer. They are in the consumer's own properties, which the console cannot read, so they
/// are settings here, with presets for the known consumers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// `maxFailedEvents`: at this many failed events a feed is stopped. `None`: the consumer has no limit.
    pub max_failed_events: Option<u64>,
    /// `maxRetry`: at this many retries a failed event is exhausted. `None`: no job retries (openmrs-module-atomfeed).
    pub max_retry: Option<i64>,
    /// Seconds between two runs of the job that reads the feed.
    pub feed_interval_secs: u64,
    /// Seconds between two runs of the retry job.
    pub retry_interval_secs: u64,
    /// How many failed events one run of the retry job retries, oldest first.
    pub retry_batch: u32,
    /// Whether the values were inferred from the application's name, not configured; pages say "assumed".
    pub assumed: bool,
}

/// A limit that the configuration sets for one feed, in place of its application's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedLimit {
    /// The feed's address as in `markers` and `failed_events`.
    pub uri: String,
    /// As [`Limits::max_failed_events`].
    pub max_failed_events: Option<u64>,
}

/// The part of an application's configuration that pages need. Never holds a password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApplicationInfo {
    /// Short form of the name for URLs and the store: lower case letters, digits and hyphens; unique.
    pub key: String,
    /// The name as configured.
    pub name: String,
    pub kind: Kind,
    /// Whether the kind was inferred from the name.
    pub kind_assumed: bool,
    /// Where the database is, for display: `openmrsdb:3306/openmrs`, or a file's name. No user, no password.
    pub address: String,
    pub limits: Limits,
    /// Limits that the configuration sets for single feeds, each address once.
    pub feed_limits: Vec<FeedLimit>,
    /// Thresholds from which something here is a concern.
    pub concerns: ConcernSettings,
    /// IANA name of the zone that is applied to columns without one.
    pub time_zone: String,
    /// Seconds between two polls of this source.
    pub refresh_secs: u64,
    /// Feed addresses beginning with one of these are published by this application.
    pub publishes: Vec<String>,
    /// The address of this application for browsers in the hospital: `https://bahmni.hospital.example`. `None` if not
    /// configured; records are then not linked.
    #[serde(default)]
    pub public_url: Option<String>,
    /// Whether the configuration forbids every action on this application.
    pub read_only: bool,
    /// What its feed pages contain and its database does not.
    #[serde(default)]
    pub feed_texts: FeedTexts,
}

/// What the pages of an application's feeds contain and its database does not, as far as the configuration says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedTexts {
    /// The address before the category: `http://openmrs:8080/openmrs/ws/atomfeed`.
    pub address: Option<String>,
    pub title: Option<String>,
    /// The id of a page, before `+` and its number.
    pub id_prefix: Option<String>,
}

/// The thresholds from which something is a concern. `None` in a threshold: never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcernSettings {
    /// Percent of a feed's limit of failed events.
    pub near_limit_percent: Option<u64>,
    /// Seconds that an event may wait in its publisher's queue.
    pub queue_age_secs: Option<u64>,
    /// Seconds without a retry of any waiting event, unless three intervals of the retry job are longer.
    pub retry_overdue_secs: Option<u64>,
    /// Whether markers are compared with the events of their publishers.
    pub compare_markers: bool,
    /// Prefixes of the addresses, or of their paths, of feeds that are read rarely or not at all: that no consumer
    /// reads them is not a concern.
    pub idle_feeds: Vec<String>,
}

impl ConcernSettings {
    /// Returns whether a feed is one of [`ConcernSettings::idle_feeds`].
    pub fn is_idle(&self, uri: Option<&str>) -> bool {
        let Some(uri) = uri else { return false };
        let path = uri.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or(uri);
        let begins = |begin: &String| uri.starts_with(begin.as_str()) || path.starts_with(begin.as_str());
        self.idle_feeds.iter().filter(|begin| !begin.is_empty()).any(begins)
    }
}

impl Default for ConcernSettings {
    fn default() -> Self {
        Self {
            near_limit_percent: Some(80),
            queue_age_secs: Some(600),
            retry_overdue_secs: Some(300),
            compare_markers: true,
            idle_feeds: Vec::new(),
        }
    }
}

/// Returns the name of the application with this key; the key if it is not configured any more.
pub fn name_of<'a>(applications: impl IntoIterator<Item = &'a ApplicationInfo>, key: &str) -> String {
    visible(applications.into_iter().find(|info| info.key == key).map_or(key, |info| info.name.as_str()))
}

impl ApplicationInfo {
    /// Returns whether the feed with this address is one of its own.
    pub fn is_publisher_of(&self, uri: &str) -> bool {
        self.publishes.iter().any(|begin| !begin.is_empty() && uri.starts_with(begin.as_str()))
    }

    /// Returns where a browser in the hospital finds what a payload points to, if that is known. The address in a
    /// payload is for use between servers, and often the name of a container.
    pub fn public_link(&self, payload: &str) -> Option<String> {
        let public = self.public_url.as_deref()?.trim_end_matches('/');
        let link = payload::link(payload)?;
        let path = match link.split_once("://") {
            Some((_, rest)) => rest.find('/').map(|at| &rest[at..])?,
            None => link,
        };
        Some(format!("{public}{path}"))
    }

    /// Returns the limits of a feed: the application's, with those that the configuration sets for this feed in their
    /// place. No consumer reads or counts rows without a feed address: nothing stops them.
    pub fn limits_of(&self, feed: Option<&str>) -> Limits {
        let Some(uri) = feed.filter(|uri| !no_address(Some(uri))) else {
            return Limits { max_failed_events: None, ..self.limits };
        };
        match self.feed_limits.iter().find(|limit| limit.uri == uri) {
            Some(limit) => Limits { max_failed_events: limit.max_failed_events, assumed: false, ..self.limits },
            None => self.limits,
        }
    }
}

/// Whether an application's database answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reach {
    /// Not polled yet: the console has just started.
    NotYet,
    /// It answers; `server` is its own name and version ("MariaDB 10.11.6", "PostgreSQL 15.18").
    Reachable { server: String },
    /// It cannot be read; `reason` says why and `advice` what to do, both whole sentences without secrets. `answers`:
    /// its server answered and refused, as it does with a wrong password.
    Unreachable { reason: String, advice: String, answers: bool },
    /// It is never polled: its entry in the configuration does not say how to connect. `lacking` says what is missing,
    /// one line each, without values.
    NotConfigured { lacking: Vec<String> },
}

impl Reach {
    /// Returns what to say of a database that cannot be read, after its name; `None` otherwise.
    pub const fn trouble(&self) -> Option<&'static str> {
        match self {
            Reach::Unreachable { answers: false, .. } => Some("does not answer"),
            Reach::Unreachable { answers: true, .. } => Some("cannot be read"),
            Reach::NotYet | Reach::Reachable { .. } | Reach::NotConfigured { .. } => None,
        }
    }
}

/// What to do about an application of [`Reach::NotConfigured`].
pub const COMPLETE_ENTRY: &str = "Complete or remove the entry in the configuration, then restart the console.";

/// Something that a source may lack: because of an older schema, or a missing right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Availability<T> {
    Here(T),
    /// Shown as "not available here", with the reason ("the table chunking_history does not exist").
    NotHere(String),
}

impl<T> Availability<T> {
    pub fn here(&self) -> Option<&T> {
        match self {
            Availability::Here(value) => Some(value),
            Availability::NotHere(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::samples::info;

    #[test]
    fn a_record_is_linked_to_where_a_browser_gets_and_nowhere_else() {
        let mut openmrs = info("OpenMRS");
        let path = "/openmrs/ws/rest/v1/encounter/be4d353b?v=full";
        assert_eq!(openmrs.public_link(path), None, "the address in a payload is one between servers");
        openmrs.public_url = Some("https://bahmni.hospital.example/".into());
        let link = "https://bahmni.hospital.example/openmrs/ws/rest/v1/encounter/be4d353b?v=full";
        assert_eq!(openmrs.public_link(path).as_deref(), Some(link));
        assert_eq!(openmrs.public_link(&format!("http://openmrs:8080{path}")).as_deref(), Some(link));
        for other in ["{\"uuid\":1}", "//elsewhere/x", "javascript:alert(1)", "http://openmrs:8080", ""] {
            assert_eq!(openmrs.public_link(other), None, "{other}");
        }
    }
}
